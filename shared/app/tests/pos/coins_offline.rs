//! Cash that a register gave back while it was cut off: it left the drawer, so it is kept as it was given.

use jiff::Timestamp;
use serde_json::{Value, json};
use tillstream_app::pos::batch;
use tillstream_app::pos::till::proof;
use tillstream_app::stock::exceptions;
use tillstream_app::tenancy::Role;
use tillstream_contracts::inventory::{ExceptionKind, ExceptionQuery};
use tillstream_domain::pricing::{TaxMode, TaxRounding};
use tillstream_testkit::shop::{STORE, caller, envelope};

use crate::pricing::{World, amount, gbp};

/// A shop with coins of 5 and an open shift that begins with 50.00, where these were sold together, one of each, for so
/// much in cash.
async fn sold(lines: &[(String, &str)], paid: i64) -> World {
    let world = World::open().await;
    world.settings(TaxMode::Exclusive, TaxRounding::PerLine, 5).await;
    let open = json!({"shift_id": "sh", "amount": gbp(5_000)});
    world.shop.command("o", "open_till", open).await.unwrap();
    for (sku, price) in lines {
        world.shop.product(STORE, sku, price, 100).await.unwrap();
    }
    let all: Vec<(&str, u32)> = lines.iter().map(|(sku, _)| (sku.as_str(), 1)).collect();
    world.cart("sale", &all).await;
    world.send("sale", "set_tendering", json!({})).await;
    world.send("sale", "add_payment", json!({"tender": "cash", "amount": gbp(paid)})).await;
    world.send("sale", "finalize_order", json!({})).await;
    world
}

/// The return of the sale as its register remembers it: so many more lines, then so much cash, and again.
fn remembered(parts: &[(u32, i64)]) -> Vec<Value> {
    let mut script =
        vec![("start_return", json!({"return_id": "back", "original_order_id": "sale", "reason": "x"}))];
    let mut line = 0;
    for (lines, given) in parts {
        for _ in 0..*lines {
            line += 1;
            let back = json!({"return_id": "back", "line_id": format!("l-{line}"), "quantity": 1,
                "disposition": "restock"});
            script.push(("return_line_item", back));
        }
        script.push(("refund_tender", json!({"return_id": "back", "tender": "cash", "amount": gbp(*given)})));
    }
    script.push(("finalize_return", json!({"return_id": "back"})));
    let sent = script.into_iter().enumerate();
    sent.map(|(n, (action, payload))| envelope(STORE, "r-1", &format!("k-{n}"), action, payload)).collect()
}

/// Uploads; answers the codes of what was refused.
async fn upload(world: &World, commands: &[Value]) -> Vec<&'static str> {
    let who = caller("demo", &[Role::Cashier]);
    let (outcomes, go_on) = batch::run(&world.shop.ports, &who, commands.to_vec(), Timestamp::MAX).await;
    assert_eq!(go_on, None);
    let refused = |(_, outcome): (Value, batch::Outcome)| {
        outcome.err().map(|error| error.code().unwrap_or_else(|| panic!("{error}")))
    };
    outcomes.into_iter().filter_map(refused).collect()
}

/// Order, what its lines come to, and what was given, of each task.
async fn tasks(world: &World) -> Vec<(String, i64, i64)> {
    let query = ExceptionQuery { location_id: STORE.into(), status: None, limit: None, cursor: None };
    let who = caller("demo", &[Role::StoreManager]);
    let items = exceptions::list(&world.shop.ports, &who, &query).await.unwrap().items.into_iter();
    let one = |task: tillstream_contracts::inventory::StockException| {
        assert_eq!(task.kind, ExceptionKind::TotalDiffers);
        (task.order_id.unwrap(), task.total.unwrap().amount, task.asked.unwrap().amount)
    };
    items.map(one).collect()
}

/// The return is final for what was given, the drawer has the rest, and the report says what was rounded in all.
async fn check(world: &World, case: &str, (worth, given): (i64, i64), paid: (i64, i64)) {
    let back = world.order("back").await;
    let totals = back.totals().unwrap();
    assert!(back.finalized.is_some(), "{case}");
    let seen = (totals.total, totals.cash_rounding, totals.paid, totals.change, totals.due);
    assert_eq!(seen, (worth, given - worth, given, 0, 0), "{case}");
    let (total, paid) = paid;
    let close = json!({"shift_id": "sh", "counted": gbp(5_000 + paid - given)});
    let closed = world.shop.command("z", "close_till", close).await.unwrap().reply.result.shift.unwrap();
    let report = serde_json::to_value(closed.report.unwrap()).unwrap();
    assert_eq!(amount(&report["cash_difference"]), 0, "{case}");
    let rounded = report.get("cash_rounding").map_or(0, amount);
    assert_eq!(rounded, (paid - total) - (given - worth), "{case}");
    let who = caller("demo", &[Role::Operator]);
    let proved = proof::of_shift(&world.shop.ports, &who, "sh").await.unwrap();
    assert!(proved.proved && proved.orders == 2, "{case}: {proved:?}");
}

#[tokio::test]
async fn refunds_that_a_register_rounded_by_themselves_are_kept() {
    // The price of each of so many, sold for so much; what was given for the first and for the second; what is told.
    for (price, count, paid, given, task) in [
        ("1.02", 2, 205, [100, 100], None),
        // More than was paid for the sale: coins explain it.
        ("1.03", 2, 205, [105, 105], None),
        // Rounded together, as it would be online.
        ("1.02", 2, 205, [100, 105], None),
        // Every coin is there.
        ("1.02", 2, 205, [102, 102], None),
        ("1.02", 3, 305, [100, 120], Some(("back".to_owned(), 204, 220))),
    ] {
        let case = format!("{price}: {given:?}");
        let lines: Vec<(String, &str)> = (1..=count).map(|n| (format!("ODD-{n}"), price)).collect();
        let world = sold(&lines, paid).await;
        let commands = remembered(&given.map(|given| (1_u32, given)));
        // Sent twice it is kept once, and told once.
        for _ in 0..2 {
            assert_eq!(upload(&world, &commands).await, Vec::<&str>::new(), "{case}");
            assert_eq!(tasks(&world).await, task.iter().cloned().collect::<Vec<_>>(), "{case}");
        }
        let pence = |price: &str| price.replace('.', "").parse::<i64>().unwrap();
        let worth = (2 * pence(price), given.iter().sum());
        check(&world, &case, worth, (count * pence(price), paid)).await;
    }
}

/// Of so many products that a plan makes it final.
#[tokio::test]
async fn a_long_return_is_kept_as_it_was_given() {
    let mut lines: Vec<(String, &str)> = (0..118).map(|n| (format!("S-{n:03}"), "0.02")).collect();
    lines.extend(["T-1", "T-2"].map(|sku| (sku.to_owned(), "1.02")));
    let world = sold(&lines, 440).await;
    let commands = remembered(&[(118, 235), (1, 100), (1, 100)]);
    for _ in 0..2 {
        assert_eq!(upload(&world, &commands).await, Vec::<&str>::new());
        assert!(tasks(&world).await.is_empty());
    }
    check(&world, "long", (440, 435), (440, 440)).await;
}

/// Whoever is asked now can still say no, and nothing is final for less than it is worth while a refund may follow.
#[tokio::test]
async fn online_and_where_a_refund_lacks_it_is_refused() {
    for (price, paid, given, refused) in [
        ("1.02", 205, [100, 100], ["underpaid"].as_slice()),
        ("1.03", 205, [105, 105], ["overpaid", "underpaid"].as_slice()),
        ("1.02", 205, [102, 100], ["cash_not_in_coins", "underpaid"].as_slice()),
    ] {
        let world = sold(&[("ODD-1".to_owned(), price), ("ODD-2".to_owned(), price)], paid).await;
        let mut codes = Vec::new();
        for sent in remembered(&given.map(|given| (1_u32, given))) {
            let who = caller("demo", &[Role::Cashier]);
            let answer = tillstream_app::pos::execute::execute(&world.shop.ports, &who, sent).await;
            codes.extend(answer.err().map(|error| error.code().unwrap().to_owned()));
        }
        assert_eq!(codes, refused, "{price}: {given:?}");
        assert!(tasks(&world).await.is_empty());
    }
    let world = sold(&[("ODD-1".to_owned(), "1.02"), ("ODD-2".to_owned(), "1.02")], 205).await;
    let mut commands = remembered(&[(2, 100), (0, 105)]);
    let lacking = commands.remove(4);
    assert_eq!(upload(&world, &commands).await, ["underpaid"]);
    commands.insert(4, lacking);
    assert_eq!(upload(&world, &commands).await, Vec::<&str>::new());
    check(&world, "told late", (204, 205), (204, 205)).await;
}

/// More was given back of one line than it was worth. The other comes back too, for nothing: in coins, and to the penny.
#[tokio::test]
async fn what_is_left_comes_back_for_nothing_where_all_was_given_before() {
    for coins in [0, 5] {
        let world = sold(&[("ODD-1".to_owned(), "10.00"), ("ODD-2".to_owned(), "10.00")], 2_000).await;
        world.settings(TaxMode::Exclusive, TaxRounding::PerLine, coins).await;
        assert_eq!(upload(&world, &remembered(&[(1, 2_000)])).await, Vec::<&str>::new());
        let send = async |key: &str, action: &str, payload: Value| {
            let sent = envelope(STORE, "r-1", key, action, payload);
            let who = caller("demo", &[Role::Cashier]);
            let answer = tillstream_app::pos::execute::execute(&world.shop.ports, &who, sent).await;
            answer.err().and_then(|error| error.code())
        };
        let rest = json!({"return_id": "rest", "original_order_id": "sale", "reason": "x"});
        assert_eq!(send("a", "start_return", rest).await, None);
        let line = json!({"return_id": "rest", "line_id": "l-2", "quantity": 1, "disposition": "restock"});
        assert_eq!(send("b", "return_line_item", line).await, None);
        let refund = |amount| json!({"return_id": "rest", "tender": "cash", "amount": gbp(amount)});
        assert_eq!(send("c", "refund_tender", refund(1_000)).await, Some("refund_above_paid"), "{coins}");
        assert_eq!(send("d", "finalize_return", json!({"return_id": "rest"})).await, Some("underpaid"));
        assert_eq!(send("e", "refund_tender", refund(0)).await, None, "{coins}");
        assert_eq!(send("f", "finalize_return", json!({"return_id": "rest"})).await, None, "{coins}");
        let rest = world.order("rest").await.totals().unwrap();
        assert_eq!((rest.total, rest.cash_rounding, rest.paid, rest.due), (1_000, -1_000, 0, 0), "{coins}");
    }
}
