//! Lots that are named for what is sold: they are taken rather than those that expire first, online only where they
//! have it, and what has left the shop is sold all the same.

use std::sync::Arc;

use jiff::Timestamp;
use serde_json::{Value, json};
use tillstream_app::Error;
use tillstream_app::database::Table;
use tillstream_app::environment::Environment;
use tillstream_app::error::Refusal;
use tillstream_app::orders::place::place;
use tillstream_app::orders::read;
use tillstream_app::orders::record::record;
use tillstream_app::pos::batch;
use tillstream_app::stock::lots::recall::Change;
use tillstream_app::stock::lots::{here, sold};
use tillstream_app::stock::reserve::reserve;
use tillstream_app::stock::restock::restock;
use tillstream_app::stock::{conservation, exceptions, update};
use tillstream_app::tenancy::Role;
use tillstream_contracts::inventory::{ExceptionKind, ExceptionQuery, StockException};
use tillstream_contracts::lots::{ChangeLotRequest, LotProblem};
use tillstream_contracts::strict_json;
use tillstream_domain::product::Product;
use tillstream_domain::quantity::QuantityInput;
use tillstream_testkit::shop::{STORE, Shop, caller, envelope};
use tillstream_testkit::test_environment::TestEnvironment;

use super::lots::{Dairy, MILK, lot};

const DAY_SECONDS: i64 = 24 * 3_600;

/// Pieces, and the lot that they are taken from.
type Of<'a> = (i64, Option<&'a str>);

/// The commands of a sale of milk, up to its payment by card.
fn commands(cart: &str, sku: &str, lines: &[Of<'_>]) -> Vec<(String, &'static str, Value)> {
    let mut all = vec![(format!("{cart}-open"), "create_cart", json!({"cart_id": cart}))];
    for (n, (pieces, lot)) in lines.iter().enumerate() {
        let mut line = json!({"cart_id": cart, "sku": sku, "quantity": pieces});
        if let Some(lot) = lot {
            line["lot"] = json!(lot);
        }
        all.push((format!("{cart}-{n}"), "add_line_item", line));
    }
    let pence: i64 = lines.iter().map(|(pieces, _)| pieces * 100).sum();
    let paid = json!({"cart_id": cart, "tender": "card", "amount": {"amount": pence, "currency": "GBP"}});
    all.push((format!("{cart}-tender"), "set_tendering", json!({"cart_id": cart})));
    all.push((format!("{cart}-pay"), "add_payment", paid));
    all
}

async fn ready(shop: &Shop, register: &str, cart: &str, lines: &[Of<'_>]) {
    for (key, action, payload) in commands(cart, MILK, lines) {
        shop.at(register, &key, action, payload).await.unwrap();
    }
}

/// A sale as a register that was cut off remembers it.
fn offline(cart: &str, sku: &str, lines: &[Of<'_>]) -> Vec<Value> {
    let mut all = commands(cart, sku, lines);
    all.push((format!("{cart}-final"), "finalize_order", json!({"cart_id": cart})));
    all.into_iter().map(|(key, action, payload)| envelope(STORE, "r-2", &key, action, payload)).collect()
}

/// Uploads until it has come to its end; nothing may be refused.
async fn upload(shop: &Shop, commands: &[Value]) {
    for _ in 0..20 {
        let who = caller("demo", &[Role::Operator]);
        let (outcomes, go_on) = batch::run(&shop.ports, &who, commands.to_vec(), Timestamp::MAX).await;
        if go_on.is_none() {
            for (sent, outcome) in outcomes {
                outcome.unwrap_or_else(|error| panic!("{sent}: {error}"));
            }
            return;
        }
    }
    panic!("the upload comes to no end");
}

fn refusal<T: std::fmt::Debug>(refused: tillstream_app::Result<T>) -> Refusal {
    match refused.unwrap_err() {
        Error::Rejected(refusal) => *refusal,
        other => panic!("not a refusal: {other}"),
    }
}

fn told(refusal: &Refusal) -> (&'static str, &str) {
    (refusal.code, refusal.errors.first().map_or("", |error| error.field.as_str()))
}

/// Who got of a lot: kind, order and pieces.
async fn who_got(dairy: &Dairy, lot: &str) -> Vec<(String, Option<String>, QuantityInput)> {
    let who = caller("demo", &[Role::Analyst]);
    let page = sold::orders(&dairy.shop.ports, &who, lot, None, None).await.unwrap();
    page.items.into_iter().map(|one| (one.kind, one.order_id, one.quantity)).collect()
}

fn got(kind: &str, order: &str, pieces: i64) -> (String, Option<String>, QuantityInput) {
    (kind.to_owned(), Some(order.to_owned()), QuantityInput::Whole(pieces))
}

/// Of each open exception of a lot: SKU, lot, problem, pieces.
async fn tasks(dairy: &Dairy) -> Vec<(String, String, LotProblem, i64)> {
    let query = ExceptionQuery { location_id: STORE.into(), status: None, limit: Some(200), cursor: None };
    let who = caller("demo", &[Role::StoreManager]);
    let found = exceptions::list(&dairy.shop.ports, &who, &query).await.unwrap();
    let of_lot = |task: StockException| {
        let QuantityInput::Whole(pieces) = task.quantity else { panic!("{task:?}") };
        Some((task.sku?, task.lot_id?, task.lot_problem?, pieces))
    };
    let of_lots = found.items.into_iter().filter(|task| task.kind == ExceptionKind::LotMismatch);
    let mut tasks: Vec<_> = of_lots.map(|task| of_lot(task).unwrap()).collect();
    tasks.sort_by(|a, b| (&a.0, &a.1, a.3).cmp(&(&b.0, &b.1, b.3)));
    tasks
}

fn task(sku: &str, lot: &str, problem: LotProblem, pieces: i64) -> (String, String, LotProblem, i64) {
    (sku.to_owned(), lot.to_owned(), problem, pieces)
}

/// The ledger and the lots add up at every moment.
async fn check(dairy: &Dairy) {
    dairy.relay().await;
    let who = caller("demo", &[Role::Operator]);
    let proof = conservation::prove(&dairy.shop.ports, &who, STORE, MILK).await.unwrap();
    assert!(proof.holds && proof.lots.as_ref().is_none_or(|lots| lots.holds), "{proof:?}");
}

async fn quarantine_here(dairy: &Dairy, lot: &str) {
    let request = ChangeLotRequest { reason: "a leak".into() };
    let who = caller("demo", &[Role::StoreManager]);
    let what = (lot, STORE);
    here::change(&dairy.shop.ports, &who, "here", what, Change::Quarantine, &request).await.unwrap();
}

async fn pass_days(dairy: &Dairy, days: i64) {
    let later = dairy.environment.now().as_second() + days * DAY_SECONDS;
    dairy.environment.set(Timestamp::from_second(later).unwrap());
}

#[tokio::test]
async fn a_till_takes_the_lots_that_it_names() {
    let dairy = Dairy::new().await;
    dairy.receive("SOON", 2, 4).await;
    dairy.receive("LATE", 9, 5).await;
    // The same but for the lot: lines of their own.
    let lines = [(1, Some("LATE")), (1, Some("SOON")), (1, Some("LATE")), (2, None)];
    ready(&dairy.shop, "r-1", "c-1", &lines).await;
    let answered = dairy.shop.finalize("r-1", "c-1").await.unwrap();
    assert_eq!(dairy.lots().await, [lot("SOON", 1, 0), lot("LATE", 3, 0)]);
    let again = dairy.shop.finalize("r-1", "c-1").await.unwrap();
    assert_eq!(again.reply.result.receipt_number, answered.reply.result.receipt_number);
    assert_eq!(dairy.lots().await, [lot("SOON", 1, 0), lot("LATE", 3, 0)], "once");
    let order = read::get(&dairy.shop.ports, &caller("demo", &[Role::Operator]), "c-1").await.unwrap();
    let named: Vec<Option<String>> = order.lines.unwrap().into_iter().map(|line| line.lot).collect();
    assert_eq!(named, [Some("LATE".to_owned()), Some("SOON".to_owned()), Some("LATE".to_owned()), None]);
    check(&dairy).await;
    assert_eq!(who_got(&dairy, "LATE").await, [got("sale", "c-1", 2)]);
    assert_eq!(who_got(&dairy, "SOON").await, [got("sale", "c-1", 3)]);
    assert_eq!(tasks(&dairy).await, []);
}

/// A line that was taken off names nothing any more, and what is parked comes back with its lot.
#[tokio::test]
async fn a_lot_goes_with_its_line() {
    let dairy = Dairy::new().await;
    dairy.receive("SOON", 2, 4).await;
    dairy.receive("LATE", 9, 5).await;
    let send = async |key: &str, action: &str, payload: Value| {
        dairy.shop.command(key, action, payload).await.unwrap();
    };
    send("o", "create_cart", json!({"cart_id": "c-1"})).await;
    send("1", "add_line_item", json!({"cart_id": "c-1", "sku": MILK, "quantity": 9, "lot": "LATE"})).await;
    send("2", "add_line_item", json!({"cart_id": "c-1", "sku": MILK, "quantity": 1, "lot": "LATE"})).await;
    send("3", "remove_line_item", json!({"cart_id": "c-1", "line_id": "l-1"})).await;
    send("p", "park_cart", json!({"cart_id": "c-1"})).await;
    send("r", "recall_cart", json!({"cart_id": "c-1"})).await;
    send("4", "update_line_item", json!({"cart_id": "c-1", "line_id": "l-2", "quantity": 3})).await;
    send("t", "set_tendering", json!({"cart_id": "c-1"})).await;
    let amount = json!({"amount": 300, "currency": "GBP"});
    send("c", "add_payment", json!({"cart_id": "c-1", "tender": "card", "amount": amount})).await;
    send("f", "finalize_order", json!({"cart_id": "c-1"})).await;
    assert_eq!(dairy.lots().await, [lot("SOON", 4, 0), lot("LATE", 2, 0)]);
}

/// Each wrong lot has its code, at the field that names it, and nothing is sold.
#[tokio::test]
async fn a_lot_that_does_not_fit_is_refused_while_the_goods_are_there() {
    let dairy = Dairy::new().await;
    dairy.shop.put_product(&Product { lots: true, ..Shop::plain("CREAM", "1.00").unwrap() }).await.unwrap();
    for (lot, days, pieces) in [("OLD", 1, 5), ("FEW", 9, 2), ("BAD", 9, 3), ("LEAKY", 9, 3), ("GOOD", 9, 9)]
    {
        dairy.receive(lot, days, pieces).await;
    }
    let cream = json!({"location_id": STORE, "sku": "CREAM", "quantity": 1, "lot": "CREAM-1"});
    let cream = strict_json::typed(cream).unwrap();
    let who = caller("demo", &[Role::Operator]);
    restock(&dairy.shop.ports, &who, "in-cream", &cream).await.unwrap();
    dairy.recall("BAD").await;
    quarantine_here(&dairy, "LEAKY").await;
    pass_days(&dairy, 3).await;
    let cases = [
        ("NONE", 1, "lot_unknown"),
        ("CREAM-1", 1, "lot_of_another_sku"),
        ("OLD", 1, "lot_expired"),
        ("FEW", 3, "lot_short"),
        ("BAD", 1, "lot_recalled"),
        ("LEAKY", 1, "lot_quarantined"),
    ];
    for (n, (lot_id, pieces, code)) in cases.into_iter().enumerate() {
        let cart = format!("c-{n}");
        ready(&dairy.shop, "r-1", &cart, &[(1, Some("GOOD")), (pieces, Some(lot_id))]).await;
        let before = dairy.lots().await;
        let refused = refusal(dairy.shop.finalize("r-1", &cart).await);
        assert_eq!(told(&refused), (code, "lines.l-2.lot"), "{refused:?}");
        let of_lot = &refused.extra["lots"][0];
        assert_eq!((&of_lot["lot"], &of_lot["requested"]), (&json!(lot_id), &json!(pieces)), "{of_lot}");
        assert_eq!(of_lot["others"].as_array().unwrap().last().unwrap()["lot"], "GOOD", "{of_lot}");
        assert_eq!(dairy.lots().await, before, "{code}");
        // An order from elsewhere is told the same, at its own field.
        let order = json!({"store_id": STORE, "channel": "web", "order_id": format!("o-{n}"), "lines": [
            {"sku": MILK, "quantity": 1}, {"sku": MILK, "quantity": pieces, "lot": lot_id}]});
        let refused = place(&dairy.shop.ports, &who, &cart, strict_json::typed(order).unwrap()).await;
        assert_eq!(told(&refusal(refused)), (code, "lines[1].lot"));
        assert_eq!(dairy.lots().await, before, "{code}");
    }
    let short = refusal(dairy.shop.finalize("r-1", "c-3").await);
    assert_eq!(short.extra["lots"][0]["available"], 2);
    let other = refusal(dairy.shop.finalize("r-1", "c-1").await);
    assert_eq!(other.extra["lots"][0]["lot_sku"], "CREAM");
    // What is known at once is told at once.
    let line = |sku: &str, lot: &str| json!({"cart_id": "c-9", "sku": sku, "quantity": 1, "lot": lot});
    dairy.shop.command("e", "create_cart", json!({"cart_id": "c-9"})).await.unwrap();
    for (key, sku, lot_id, code) in
        [("x", "BREAD", "L-1", "sku_without_lots"), ("y", MILK, "a/b", "id_malformed")]
    {
        let refused = refusal(dairy.shop.command(key, "add_line_item", line(sku, lot_id)).await);
        assert_eq!(told(&refused), (code, "payload.lot"));
    }
    let order =
        json!({"store_id": STORE, "channel": "web", "lines": [{"sku": "BREAD", "quantity": 1, "lot": "L"}]});
    let refused = place(&dairy.shop.ports, &who, "b", strict_json::typed(order).unwrap()).await;
    assert_eq!(told(&refusal(refused)), ("sku_without_lots", "lines[0].lot"));
    // The sale goes on with another lot.
    dairy
        .shop
        .command("s-1", "remove_payment", json!({"cart_id": "c-3", "payment_id": "p-1"}))
        .await
        .unwrap();
    dairy.shop.command("s-2", "resume_editing", json!({"cart_id": "c-3"})).await.unwrap();
    dairy.shop.command("s-3", "remove_line_item", json!({"cart_id": "c-3", "line_id": "l-2"})).await.unwrap();
    dairy.shop.command("s-4", "set_tendering", json!({"cart_id": "c-3"})).await.unwrap();
    let amount = json!({"amount": 100, "currency": "GBP"});
    let paid = json!({"cart_id": "c-3", "tender": "card", "amount": amount});
    dairy.shop.command("s-5", "add_payment", paid).await.unwrap();
    dairy.shop.command("s-6", "finalize_order", json!({"cart_id": "c-3"})).await.unwrap();
    assert!(dairy.lots().await.contains(&lot("GOOD", 8, 0)));
    assert_eq!(tasks(&dairy).await, []);
    check(&dairy).await;
}

/// What a register sold while it was cut off is sold, each piece by the lot it was said to be of as far as that can
/// be; and somebody is told of what cannot.
#[tokio::test]
async fn what_has_left_the_shop_is_sold_whatever_is_wrong_with_its_lot() {
    let dairy = Dairy::new().await;
    for (lot, days, pieces) in [("FEW", 5, 1), ("BAD", 9, 3), ("LEAKY", 9, 3), ("PLENTY", 30, 9)] {
        dairy.receive(lot, days, pieces).await;
    }
    dairy.recall("BAD").await;
    quarantine_here(&dairy, "LEAKY").await;
    let sale = offline(
        "c-1",
        MILK,
        &[(2, Some("FEW")), (1, Some("BAD")), (2, Some("LEAKY")), (1, Some("NONE")), (1, Some("PLENTY"))],
    );
    upload(&dairy.shop, &sale).await;
    // One more of FEW than there was: it was one of PLENTY by the books. What nobody knows leaves in turn.
    let after = [lot("BAD", 0, 2), lot("LEAKY", 0, 1), lot("PLENTY", 6, 0)];
    assert_eq!(dairy.lots().await, after);
    let expected = [
        task(MILK, "BAD", LotProblem::Recalled, 1),
        task(MILK, "FEW", LotProblem::Short, 1),
        task(MILK, "LEAKY", LotProblem::Quarantined, 2),
        task(MILK, "NONE", LotProblem::Unknown, 1),
    ];
    assert_eq!(tasks(&dairy).await, expected);
    upload(&dairy.shop, &sale).await;
    assert_eq!((dairy.lots().await, tasks(&dairy).await), (after.to_vec(), expected.to_vec()), "once");
    // A SKU without lots that names one is sold as ever.
    upload(&dairy.shop, &offline("c-2", "BREAD", &[(1, Some("L-1"))])).await;
    assert_eq!(dairy.shop.counters(STORE, "BREAD").await.unwrap().on_hand, 9_000);
    assert_eq!(tasks(&dairy).await[0], task("BREAD", "L-1", LotProblem::SkuWithoutLots, 1));
    check(&dairy).await;
    // A recall finds all of them.
    assert_eq!(who_got(&dairy, "FEW").await, [got("sale", "c-1", 2)]);
    assert_eq!(who_got(&dairy, "BAD").await, [got("sale", "c-1", 1)]);
    assert_eq!(who_got(&dairy, "LEAKY").await, [got("sale", "c-1", 2)]);
    // What of it comes back is of the lot that was named, and is kept aside where that is.
    dairy.bring_back_line("back", "c-1", "l-2", 1).await;
    assert_eq!(dairy.lots().await[0], lot("BAD", 0, 3));
}

/// A register that was cut off sold the last day's goods on their last day; they are past it when it tells.
#[tokio::test]
async fn what_was_good_when_it_was_sold_is_no_trouble_later() {
    let dairy = Dairy::new().await;
    dairy.receive("OLD", 1, 5).await;
    dairy.receive("NEW", 9, 5).await;
    let sale = offline("c-1", MILK, &[(2, Some("OLD"))]);
    pass_days(&dairy, 3).await;
    upload(&dairy.shop, &sale).await;
    assert_eq!((tasks(&dairy).await, dairy.lots().await), (vec![], vec![lot("OLD", 0, 3), lot("NEW", 5, 0)]));
    // Another system sold it a day too late: it is sold, and told.
    let at = dairy.environment.now().to_string();
    let sale = json!({"store_id": STORE, "channel": "pos", "occurred_at": at, "order_id": "s-1", "lines": [
        {"sku": MILK, "quantity": 1, "lot": "OLD", "unit_price": "1.00"}],
        "payments": [{"tender": "card", "amount": {"amount": 100, "currency": "GBP"}}]});
    let who = caller("demo", &[Role::Integration]);
    for _ in 0..2 {
        record(&dairy.shop.ports, &who, "k", strict_json::typed(sale.clone()).unwrap()).await.unwrap();
    }
    assert_eq!(dairy.lots().await, [lot("OLD", 0, 2), lot("NEW", 5, 0)]);
    assert_eq!(tasks(&dairy).await, [task(MILK, "OLD", LotProblem::Expired, 1)]);
    check(&dairy).await;
    assert_eq!(who_got(&dairy, "OLD").await, [got("sale", "c-1", 2), got("sale", "s-1", 1)]);
}

/// A register that was cut off named the lot, and the shop was counted before it told: the count had missed the goods, so
/// they are taken off that lot, and somebody is told.
#[tokio::test]
async fn what_was_counted_since_its_lot_was_sold_is_told() {
    let dairy = Dairy::new().await;
    dairy.receive("SOON", 2, 4).await;
    dairy.receive("LATE", 9, 5).await;
    let count = json!({"location_id": STORE, "sku": MILK, "kind": "set", "quantity": 8, "reason": "counted"});
    let (ports, who) = (&dairy.shop.ports, caller("demo", &[Role::Operator]));
    let count = strict_json::typed(count).unwrap();
    update::update(ports, &who, "count", &count, |_| Ok(())).await.unwrap();
    for _ in 0..2 {
        upload(&dairy.shop, &offline("c-1", MILK, &[(2, Some("LATE")), (1, None)])).await;
        assert_eq!(dairy.lots().await, [lot("SOON", 2, 0), lot("LATE", 3, 0)]);
        let query =
            ExceptionQuery { location_id: STORE.into(), status: None, limit: Some(200), cursor: None };
        let told = exceptions::list(ports, &who, &query).await.unwrap().items;
        let told: Vec<_> = told.into_iter().map(|task| (task.kind, task.sku, task.quantity)).collect();
        let expected = (ExceptionKind::SoldBeforeCount, Some(MILK.to_owned()), QuantityInput::Whole(3));
        assert_eq!(told, [expected]);
    }
    check(&dairy).await;
}

/// More than there is of all lots together: what is missing is entered, and is of the lot that was named.
#[tokio::test]
async fn what_was_sold_beyond_all_stock_is_of_its_lot_too() {
    let dairy = Dairy::new().await;
    dairy.receive("A", 5, 2).await;
    upload(&dairy.shop, &offline("c-1", MILK, &[(5, Some("A"))])).await;
    assert_eq!(dairy.lots().await, []);
    let stock = dairy.shop.counters(STORE, MILK).await.unwrap();
    assert_eq!((stock.on_hand, stock.available), (0, 0));
    assert_eq!(tasks(&dairy).await, [task(MILK, "A", LotProblem::Short, 3)]);
    check(&dairy).await;
    assert_eq!(who_got(&dairy, "A").await, [got("sale", "c-1", 5)]);
}

#[tokio::test]
async fn what_comes_back_goes_to_the_lot_that_was_named() {
    let dairy = Dairy::new().await;
    dairy.receive("A", 2, 4).await;
    dairy.receive("B", 9, 4).await;
    ready(&dairy.shop, "r-1", "c-1", &[(2, Some("B")), (1, None)]).await;
    dairy.shop.finalize("r-1", "c-1").await.unwrap();
    assert_eq!(dairy.lots().await, [lot("A", 3, 0), lot("B", 2, 0)]);
    // At once, before anybody noted who took which.
    dairy.bring_back_line("back-1", "c-1", "l-1", 1).await;
    assert_eq!(dairy.lots().await, [lot("A", 3, 0), lot("B", 3, 0)]);
    // Of the line that named none it is known by what else was taken.
    dairy.relay().await;
    dairy.bring_back_line("back-2", "c-1", "l-2", 1).await;
    assert_eq!(dairy.lots().await, [lot("A", 4, 0), lot("B", 3, 0)]);
    ready(&dairy.shop, "r-1", "c-2", &[(3, Some("B")), (1, Some("A"))]).await;
    dairy.shop.finalize("r-1", "c-2").await.unwrap();
    dairy.shop.command("void", "void_order", json!({"order_id": "c-2", "reason": "wrong"})).await.unwrap();
    assert_eq!(dairy.lots().await, [lot("A", 4, 0), lot("B", 3, 0)]);
    check(&dairy).await;
}

/// What comes back and what goes out of one SKU are of different lots.
#[tokio::test]
async fn an_exchange_gives_one_lot_back_and_takes_another() {
    let dairy = Dairy::new().await;
    dairy.receive("A", 2, 4).await;
    dairy.receive("B", 9, 4).await;
    ready(&dairy.shop, "r-1", "c-1", &[(2, Some("A")), (1, None)]).await;
    dairy.shop.finalize("r-1", "c-1").await.unwrap();
    dairy.relay().await;
    let send = async |key: &str, action: &str, payload: Value| dairy.shop.command(key, action, payload).await;
    let start = json!({"return_id": "back", "original_order_id": "c-1", "reason": "sour"});
    send("s", "start_return", start).await.unwrap();
    for (key, line) in [("r1", "l-1"), ("r2", "l-2")] {
        let line = json!({"return_id": "back", "line_id": line, "quantity": 1, "disposition": "restock"});
        send(key, "return_line_item", line).await.unwrap();
    }
    let (open, tender) = (json!({"cart_id": "new"}), json!({"cart_id": "new"}));
    send("o", "create_cart", open).await.unwrap();
    let line = json!({"cart_id": "new", "sku": MILK, "quantity": 2, "lot": "B"});
    send("l", "add_line_item", line).await.unwrap();
    send("t", "set_tendering", tender).await.unwrap();
    let exchange = json!({"return_id": "back", "cart_id": "new"});
    send("f", "finalize_exchange", exchange.clone()).await.unwrap();
    assert_eq!(dairy.lots().await, [lot("A", 3, 0), lot("B", 2, 0)]);
    send("f", "finalize_exchange", exchange).await.unwrap();
    assert_eq!(dairy.lots().await, [lot("A", 3, 0), lot("B", 2, 0)], "once");
    check(&dairy).await;
}

#[tokio::test]
async fn an_order_takes_the_lots_of_its_lines_also_of_what_was_reserved() {
    let dairy = Dairy::new().await;
    dairy.receive("A", 2, 4).await;
    dairy.receive("B", 9, 4).await;
    let (ports, who) = (&dairy.shop.ports, caller("demo", &[Role::Integration]));
    let order = |id: &str, lot: &str, reservation: Option<&str>| {
        let mut order = json!({"store_id": STORE, "channel": "web", "order_id": id, "lines": [
            {"sku": MILK, "quantity": 1}, {"sku": MILK, "quantity": 2, "lot": lot}]});
        if let Some(reservation) = reservation {
            order["reservation_id"] = json!(reservation);
        }
        strict_json::typed(order).unwrap()
    };
    for _ in 0..2 {
        place(ports, &who, "k-1", order("o-1", "B", None)).await.unwrap();
    }
    assert_eq!(dairy.lots().await, [lot("A", 3, 0), lot("B", 2, 0)]);
    let hold = json!({"reservation_id": "v-1", "ttl_seconds": 600, "lines": [
        {"location_id": STORE, "sku": MILK, "quantity": 3}]});
    reserve(ports, &who, "h", &strict_json::typed(hold).unwrap()).await.unwrap();
    let refused = refusal(place(ports, &who, "k-2", order("o-2", "NONE", Some("v-1"))).await);
    assert_eq!(told(&refused), ("lot_unknown", "lines[1].lot"));
    for _ in 0..2 {
        place(ports, &who, "k-3", order("o-3", "B", Some("v-1"))).await.unwrap();
    }
    assert_eq!(dairy.lots().await, [lot("A", 2, 0)]);
    let stock = dairy.shop.counters(STORE, MILK).await.unwrap();
    assert_eq!((stock.on_hand, stock.reserved, stock.available), (2_000, 0, 2_000));
    check(&dairy).await;
    assert_eq!(who_got(&dairy, "B").await, [got("sale", "o-1", 2), got("sale", "o-3", 2)]);
}

/// Of two tills that both name the last of a lot, one gets it, and the other is told; whatever else is sold meanwhile.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn the_last_of_a_lot_is_sold_once() {
    for seed in 0..12 {
        let dairy = Arc::new(Dairy::within(TestEnvironment::real(seed)).await);
        dairy.receive("LAST", 9, 1).await;
        dairy.receive("PLENTY", 2, 9).await;
        ready(&dairy.shop, "r-1", "c-1", &[(1, Some("LAST"))]).await;
        ready(&dairy.shop, "r-2", "c-2", &[(1, Some("LAST"))]).await;
        ready(&dairy.shop, "r-3", "c-3", &[(2, None)]).await;
        let sells = [("r-1", "c-1"), ("r-2", "c-2"), ("r-3", "c-3")].map(|(register, cart)| {
            let dairy = dairy.clone();
            tokio::spawn(async move { dairy.shop.finalize(register, cart).await.map(drop) })
        });
        let mut ended = Vec::new();
        for sell in sells {
            ended.push(sell.await.unwrap());
        }
        assert!(ended[2].is_ok(), "{ended:?}");
        let refused: Vec<&str> = ended.iter().filter_map(|end| end.as_ref().err()?.code()).collect();
        assert_eq!(refused, ["lot_short"], "seed {seed}: {ended:?}");
        assert_eq!(dairy.lots().await, [lot("PLENTY", 7, 0)]);
        check(&dairy).await;
        let winner = if ended[0].is_ok() { "c-1" } else { "c-2" };
        assert_eq!(who_got(&dairy, "LAST").await, [got("sale", winner, 1)]);
    }
}

/// A cart of more SKUs than one transaction takes: its lots are looked at before, taken when it is final, and come
/// back as they were.
#[tokio::test]
async fn a_long_cart_takes_its_lots_when_it_is_final() {
    let dairy = Dairy::new().await;
    dairy.receive("A", 2, 4).await;
    dairy.receive("B", 9, 4).await;
    let skus: Vec<String> = (0..105).map(|n| format!("SKU-{n:03}")).collect();
    for sku in &skus {
        dairy.shop.product(STORE, sku, "1.00", 5).await.unwrap();
    }
    let cart = async |cart: &str, lot: &str| {
        let send = async |key: String, action: &str, payload: Value| {
            dairy.shop.command(&key, action, payload).await.unwrap();
        };
        send(format!("{cart}-o"), "create_cart", json!({"cart_id": cart})).await;
        let milk = json!({"cart_id": cart, "sku": MILK, "quantity": 2, "lot": lot});
        send(format!("{cart}-m"), "add_line_item", milk).await;
        for sku in &skus {
            let line = json!({"cart_id": cart, "sku": sku, "quantity": 1});
            send(format!("{cart}-{sku}"), "add_line_item", line).await;
        }
        send(format!("{cart}-t"), "set_tendering", json!({"cart_id": cart})).await;
        let amount = json!({"amount": 10_700, "currency": "GBP"});
        let paid = json!({"cart_id": cart, "tender": "card", "amount": amount});
        send(format!("{cart}-p"), "add_payment", paid).await;
    };
    cart("bad", "NONE").await;
    assert_eq!(told(&refusal(dairy.shop.finalize("r-1", "bad").await)), ("lot_unknown", "lines.l-1.lot"));
    cart("long", "B").await;
    dairy.shop.finalize("r-1", "long").await.unwrap();
    assert_eq!(dairy.lots().await, [lot("A", 4, 0), lot("B", 2, 0)]);
    let stock = dairy.shop.counters(STORE, MILK).await.unwrap();
    assert_eq!((stock.on_hand, stock.reserved, stock.available), (6_000, 0, 6_000));
    assert_eq!(dairy.shop.counters(STORE, "SKU-104").await.unwrap().on_hand, 4_000);
    dairy.shop.command("v", "void_order", json!({"order_id": "long", "reason": "wrong"})).await.unwrap();
    assert_eq!(dairy.lots().await, [lot("A", 4, 0), lot("B", 4, 0)]);
    assert_eq!(dairy.shop.counters(STORE, "SKU-104").await.unwrap().on_hand, 5_000);
    assert_eq!((tasks(&dairy).await, dairy.database.items(Table::Stock).is_empty()), (vec![], false));
    check(&dairy).await;
}
