//! Uploads that come to no end at once: what was refused of a cart is not forgotten by whoever goes on, and what was
//! done is done once, however often and from wherever all of it is sent.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};
use tillstream_app::Ports;
use tillstream_app::capacity::Operation;
use tillstream_app::catalog::items::coupon_item;
use tillstream_app::database::{Database, Item, Table, Write};
use tillstream_app::environment::Environment;
use tillstream_app::pos::batch;
use tillstream_app::pos::till::{proof, read};
use tillstream_app::stock::exceptions;
use tillstream_app::tenancy::Role;
use tillstream_contracts::inventory::{ExceptionKind, ExceptionQuery};
use tillstream_testkit::faults::FaultyDatabase;
use tillstream_testkit::heard_database::{HeardDatabase, Listener};
use tillstream_testkit::memory_database::MemoryDatabase;
use tillstream_testkit::shop::{STORE, Shop, caller, envelope};
use tillstream_testkit::test_environment::TestEnvironment;

use crate::uploaded_sale::sale;

async fn shop() -> (Shop, Arc<MemoryDatabase>, Arc<TestEnvironment>) {
    let environment = Arc::new(TestEnvironment::new(1));
    let database = Arc::new(MemoryDatabase::with_environment(environment.clone()));
    let shop = Shop::open(database.clone(), environment.clone()).await.unwrap();
    shop.product(STORE, "A", "1.00", 100).await.unwrap();
    (shop, database, environment)
}

/// The same with the coupon of [`whole_shift`].
async fn shop_with_coupon() -> (Shop, Arc<MemoryDatabase>, Arc<TestEnvironment>) {
    let (shop, database, environment) = shop().await;
    let ten = json!({"version": 1, "total_limit": 5,
        "coupon": {"code": "TEN", "benefit": {"percentage": {"bps": 1_000}}}});
    let ten = coupon_item(&shop.scope, &serde_json::from_value(ten).unwrap()).unwrap();
    database.write(Write::Put { table: Table::Catalog, item: ten, condition: None }).await.unwrap();
    (shop, database, environment)
}

/// A sale of `A` and of what nobody knows here, paid with 15.00 in cash.
fn sale_of_unknown(cart: &str) -> (Vec<Value>, Vec<Value>) {
    let at = |key: &str, action: &str, more: Value| {
        let mut payload = json!({"cart_id": cart});
        payload.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        envelope(STORE, "r-1", &format!("{cart}-{key}"), action, payload)
    };
    let cash = json!({"tender": "cash", "amount": {"amount": 1_500, "currency": "GBP"}});
    let begun = vec![
        at("open", "create_cart", json!({})),
        at("a", "add_line_item", json!({"sku": "A", "quantity": 1})),
        at("new", "add_line_item", json!({"sku": "NEW", "quantity": 1})),
    ];
    let ended = vec![
        at("tender", "set_tendering", json!({})),
        at("pay", "add_payment", cash),
        at("final", "finalize_order", json!({})),
    ];
    (begun, ended)
}

fn code(outcome: &batch::Outcome) -> &str {
    outcome.as_ref().map_or_else(|error| error.code().unwrap(), |_| "done")
}

fn finals(database: &MemoryDatabase) -> Vec<String> {
    let orders = database.items(Table::Orders);
    let mut ids: Vec<String> = orders
        .iter()
        .filter(|item: &&Item| item.opt_number("lane_number").is_some())
        .map(|item| item.text("cart_id").unwrap().to_owned())
        .collect();
    ids.sort();
    ids
}

/// The finalising of another sale, between two commands of a cart, finds the database busy.
#[tokio::test]
async fn an_upload_is_gone_on_with_before_what_was_refused() {
    let (shop, database, environment) = shop().await;
    let who = caller("demo", &[Role::Operator]);
    let (begun, ended) = sale_of_unknown("c-1");
    let other = sale("r-1", "busy", &[("A", 1)]);
    let commands = [begun, other, ended].concat();
    let (busy, faulty) = FaultyDatabase::ports_over(database.clone(), environment);
    faulty.keep_busy("busy");
    let (outcomes, go_on) = batch::run(&busy, &who, commands.clone(), Timestamp::MAX).await;
    // Seven commands were come to; the third of them was refused, on a cart that goes on.
    assert_eq!((outcomes.len(), go_on), (2, Some(2)));
    assert!(outcomes.iter().all(|(_, outcome)| outcome.is_ok()));
    assert!(finals(&database).is_empty());

    let (outcomes, go_on) = batch::run(&shop.ports, &who, commands[2..].to_vec(), Timestamp::MAX).await;
    assert_eq!(go_on, None);
    let codes: Vec<&str> = outcomes.iter().map(|(_, outcome)| code(outcome)).collect();
    let mut expected = vec!["done"; codes.len()];
    expected[0] = "sku_not_found";
    *expected.last_mut().unwrap() = "earlier_command_failed";
    assert_eq!(codes, expected);
    assert_eq!(finals(&database), ["busy"]);
    // That the product is known by now makes no other sale of it: the cart is being paid already.
    shop.product(STORE, "NEW", "4.00", 5).await.unwrap();
    let (outcomes, _) = batch::run(&shop.ports, &who, commands[2..].to_vec(), Timestamp::MAX).await;
    let told = [&outcomes[0], outcomes.last().unwrap()].map(|(_, outcome)| code(outcome));
    assert_eq!(told, ["wrong_cart_state", "earlier_command_failed"]);
    assert_eq!(finals(&database), ["busy"]);
}

/// Each call of the database takes a millisecond.
struct Ticking(Arc<TestEnvironment>);

#[async_trait]
impl Listener for Ticking {
    async fn called(&self, _: Operation) {
        self.0.advance(Duration::from_millis(1));
    }
}

fn ticking(database: &Arc<MemoryDatabase>, environment: &Arc<TestEnvironment>) -> Ports {
    let listener = Arc::new(Ticking(environment.clone()));
    HeardDatabase::ports_over(database.clone(), environment.clone(), listener)
}

/// Time runs out after every number of calls, again and again: the register goes on where it is told to, and no sale
/// of which something was refused is final, whatever it was cut into. The others are.
#[tokio::test]
async fn wherever_an_upload_is_cut_no_refusal_is_forgotten() {
    let (begun, ended) = sale_of_unknown("c-1");
    let (begun_too, ended_too) = sale_of_unknown("c-2");
    // One is within the other, so that going back for one leads behind a refusal of the other.
    let plain = |cart: &str| sale("r-2", cart, &[("A", 1)]);
    let commands = [begun, plain("p-1"), begun_too, plain("p-2"), ended, plain("p-3"), ended_too].concat();
    let who = caller("demo", &[Role::Operator]);
    let mut in_parts = 0;
    for calls in (1..160).step_by(2) {
        let (_, database, environment) = shop().await;
        let ports = ticking(&database, &environment);
        let mut left = commands.clone();
        let mut refused = 0;
        for part in 1..30 {
            let stop_at = environment.now() + SignedDuration::from_millis(calls);
            let (outcomes, go_on) = batch::run(&ports, &who, left.clone(), stop_at).await;
            assert_eq!(
                outcomes.len(),
                go_on.unwrap_or(left.len()),
                "an outcome for all before where to go on"
            );
            refused +=
                outcomes.iter().filter(|(_, outcome)| code(outcome) == "earlier_command_failed").count();
            let Some(go_on) = go_on else {
                in_parts += usize::from(part > 1);
                assert_eq!(finals(&database), ["p-1", "p-2", "p-3"], "cut after {calls}");
                assert_eq!(refused, 2, "cut after {calls}: each is told once");
                break;
            };
            left.drain(..go_on);
        }
        assert!(finals(&database).iter().all(|id| id.starts_with('p')), "cut after {calls}");
    }
    assert!(in_parts >= 5, "{in_parts} came in parts and to an end");
}

fn gbp(amount: i64) -> Value {
    json!({"amount": amount, "currency": "GBP"})
}

/// A shift of a register that was cut off, with all that happens in one. Everything is sold at 1.00.
fn whole_shift() -> Vec<Value> {
    let sold = |cart: &str, pieces: i64, more: &[(&'static str, Value)], paid: Value, total: Option<i64>| {
        let of = |more: Value| {
            let mut payload = json!({"cart_id": cart});
            payload.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
            payload
        };
        let mut script = vec![
            ("create_cart", of(json!({}))),
            ("add_line_item", of(json!({"sku": "A", "quantity": pieces}))),
        ];
        script.extend(more.iter().map(|(action, payload)| (*action, of(payload.clone()))));
        script.push(("set_tendering", of(json!({}))));
        script.push(("add_payment", of(paid)));
        let last = total.map_or_else(|| json!({}), |total| json!({"total": gbp(total)}));
        script.push(("finalize_order", of(last)));
        script
    };
    let by = |tender: &str, amount: i64| json!({"tender": tender, "amount": gbp(amount)});
    let shift = |more: Value| {
        let mut payload = json!({"shift_id": "sh"});
        payload.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        payload
    };
    let back = |id: &str| {
        let line = json!({"return_id": id, "line_id": "l-1", "quantity": 1, "disposition": "restock"});
        let start = json!({"return_id": id, "original_order_id": "c-1", "reason": "x"});
        [("start_return", start), ("return_line_item", line)]
    };
    let mut script = vec![("open_till", shift(json!({"amount": gbp(10_000)})))];
    script.extend(sold("c-1", 3, &[], by("card", 300), None));
    // The register asked 1.90 for what comes to 2.00 here, and gave 3.10 back.
    script.extend(sold("c-2", 2, &[], by("cash", 500), Some(190)));
    let coupon = [("apply_coupon", json!({"coupon_code": "TEN"}))];
    script.extend(sold("c-3", 10, &coupon, by("cash", 1_000), Some(900)));
    script.extend(back("r-1"));
    script.push(("refund_tender", json!({"return_id": "r-1", "tender": "card", "amount": gbp(100)})));
    script.push(("finalize_return", json!({"return_id": "r-1"})));
    script.extend(back("r-2"));
    let mut other = sold("c-4", 2, &[], by("cash", 100), None);
    *other.last_mut().unwrap() = ("finalize_exchange", json!({"return_id": "r-2", "cart_id": "c-4"}));
    script.extend(other);
    script.push(("paid_in", shift(json!({"amount": gbp(500), "reason": "x"}))));
    script.push(("paid_out", shift(json!({"amount": gbp(200), "reason": "x"}))));
    script.push(("cash_count", shift(json!({"counted": gbp(11_490)}))));
    script.push(("void_order", json!({"order_id": "c-3", "reason": "x"})));
    script.extend(sold("c-5", 1, &[], by("cash", 100), None));
    script.push(("close_till", shift(json!({"counted": gbp(10_690)}))));
    let sent = script.into_iter().enumerate();
    sent.map(|(n, (action, payload))| envelope(STORE, "r-1", &format!("k-{n}"), action, payload)).collect()
}

/// Sends all of it, each time only what was not come to; answers the results, and in how many parts they came.
async fn in_parts(ports: &Ports, commands: &[Value], milliseconds: i64) -> (Vec<Value>, usize) {
    let who = caller("demo", &[Role::Cashier, Role::StoreManager]);
    let (mut left, mut results, mut parts) = (commands.to_vec(), Vec::new(), 0);
    while parts < 1_000 {
        parts += 1;
        let stop_at = ports.environment.now() + SignedDuration::from_millis(milliseconds);
        let (outcomes, go_on) = batch::run(ports, &who, left.clone(), stop_at).await;
        for (sent, outcome) in outcomes {
            let answered = outcome.unwrap_or_else(|error| panic!("{error}: {sent}"));
            results.push(serde_json::to_value(answered.reply.result).unwrap());
        }
        let Some(go_on) = go_on else { return (results, parts) };
        left.drain(..go_on);
    }
    panic!("the upload comes to no end");
}

/// Fifty times from each of two places, in parts: every sale, return, exchange, undoing and movement of cash is there once.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_whole_shift_fifty_times_from_two_places_is_one() {
    let (shop, database, environment) = shop_with_coupon().await;
    let commands = whole_shift();
    let places: Vec<_> = (0..2)
        .map(|place| {
            let (ports, commands) = (ticking(&database, &environment), commands.clone());
            tokio::spawn(async move {
                let mut seen = Vec::new();
                for round in 0..50 {
                    seen.push(in_parts(&ports, &commands, 15 + 5 * place + 3 * round).await);
                }
                seen
            })
        })
        .collect();
    let mut seen = Vec::new();
    for place in places {
        seen.extend(place.await.unwrap());
    }
    assert!(seen.iter().all(|(results, _)| *results == seen[0].0), "every upload tells the same");
    let gone_on = seen.iter().filter(|(_, parts)| *parts > 1).count();
    assert!(gone_on >= 5, "{gone_on} were gone on with");
    check_whole_shift(&shop, &database).await;
}

/// All of [`whole_shift`] is there, once.
async fn check_whole_shift(shop: &Shop, database: &MemoryDatabase) {
    // A shift has a number of its own.
    let orders = database.items(Table::Orders).into_iter().filter(|item| item.opt_text("cart_id").is_some());
    let mut numbers: Vec<i64> = orders.filter_map(|item| item.opt_number("lane_number")).collect();
    numbers.sort_unstable();
    assert_eq!(numbers, [1, 2, 3, 4, 5, 6, 7, 8], "five sales, two returns and what undid one");
    let used: Vec<i64> =
        database.items(Table::Orders).iter().filter_map(|item| item.opt_number("used")).collect();
    assert_eq!(used, [0], "what undid the sale gave the use of its coupon back");
    // 100 less 3, 2, 10, 2 and 1; 1, 1 and 10 came back.
    assert_eq!(shop.counters(STORE, "A").await.unwrap().on_hand, 94_000);
    let query = ExceptionQuery { location_id: STORE.into(), status: None, limit: None, cursor: None };
    let manager = caller("demo", &[Role::StoreManager]);
    let tasks = exceptions::list(&shop.ports, &manager, &query).await.unwrap().items;
    let told: Vec<_> = tasks.iter().map(|task| (task.kind, task.order_id.as_deref())).collect();
    assert_eq!(told, [(ExceptionKind::TotalDiffers, Some("c-2"))]);

    let operator = caller("demo", &[Role::Operator]);
    let (shift, _) = read::get(&shop.ports, &operator, "sh").await.unwrap();
    let counted: Vec<i64> =
        shift.movements.unwrap().iter().map(|movement| movement.cash_expected.amount).collect();
    assert_eq!(counted, [11_690, 11_490, 11_490], "paid in, paid out, counted");
    assert_eq!(shift.z_number, Some(1));
    let z = shift.report.unwrap();
    assert_eq!((z.first_receipt, z.last_receipt), (Some(1), Some(8)));
    assert_eq!((z.sales_count, z.sales_total.amount), (5, 300 + 200 + 900 + 200 + 100));
    assert_eq!((z.returns_count, z.returns_total.amount), (3, 100 + 100 + 900));
    assert_eq!((z.discounts.amount, z.cash_rounding.unwrap().amount), (100, -10));
    let tenders: Vec<_> =
        z.tenders.iter().map(|by| (by.tender.as_str(), by.payments.amount, by.refunds.amount)).collect();
    assert_eq!(tenders, [("card", 300, 100), ("cash", 190 + 900 + 100 + 100, 900), ("exchange", 100, 100)]);
    assert_eq!((z.paid_in.amount, z.paid_out.amount), (500, 200));
    assert_eq!((z.cash_expected.amount, z.cash_difference.unwrap().amount), (10_690, 0));
    let proved = proof::of_shift(&shop.ports, &operator, "sh").await.unwrap();
    assert!(proved.proved && proved.orders == 8, "{proved:?}");
}

/// Two places send the same shift in turn, each cut into pieces of its own length, whatever is within them, while the
/// register's clock jumps to and fro: each is answered the same, and it is one shift.
#[tokio::test]
async fn however_two_places_cut_a_shift_it_is_one() {
    let who = caller("demo", &[Role::Cashier, Role::StoreManager]);
    let mut commands = whole_shift();
    for (n, sent) in commands.iter_mut().enumerate() {
        sent["occurred_at"] =
            ["2010-12-01T08:26:00Z", "2010-12-01T06:26:00Z", "2010-12-01T10:26:00Z"][n % 3].into();
    }
    for sizes in [[1, 1], [1, 7], [2, 3], [5, 1], [13, 4], [1_000, 3], [6, 1_000]] {
        let (shop, database, _) = shop_with_coupon().await;
        let mut places = sizes.map(|size| (commands.chunks(size), Vec::new()));
        for _ in 0..=commands.len() {
            for (parts, results) in &mut places {
                let Some(part) = parts.next() else { continue };
                let (outcomes, go_on) = batch::run(&shop.ports, &who, part.to_vec(), Timestamp::MAX).await;
                assert_eq!(go_on, None, "{sizes:?}");
                for (sent, outcome) in outcomes {
                    let answered = outcome.unwrap_or_else(|error| panic!("{sizes:?}: {error}: {sent}"));
                    results.push(serde_json::to_value(answered.reply.result).unwrap());
                }
            }
        }
        let [(_, one), (_, other)] = places;
        assert_eq!((one.len(), &one), (commands.len(), &other), "{sizes:?}");
        check_whole_shift(&shop, &database).await;
    }
}

/// What each line of a long cart told would be kept until the last: it tells the cart without its lines.
#[tokio::test]
async fn an_upload_keeps_no_cart_for_each_of_its_lines() {
    let (shop, _, _) = shop().await;
    let mut commands = sale("r-1", "c-1", &[("A", 2), ("A", 1)]);
    for sent in &mut commands {
        sent["reply"] = "full".into();
    }
    let back = [
        ("start_return", json!({"return_id": "b", "original_order_id": "c-1", "reason": "x"})),
        (
            "return_line_item",
            json!({"return_id": "b", "line_id": "l-1", "quantity": 1, "disposition": "restock"}),
        ),
    ];
    let back = back.into_iter().map(|(action, payload)| envelope(STORE, "r-1", action, action, payload));
    commands.extend(back);
    let who = caller("demo", &[Role::Cashier]);
    let (outcomes, _) = batch::run(&shop.ports, &who, commands, Timestamp::MAX).await;
    let mut lines = Vec::new();
    for (_, outcome) in outcomes {
        let answered = outcome.unwrap();
        let cart = answered.reply.cart.unwrap();
        lines.push((answered.reply.action, cart.line_count, cart.lines.map(|lines| lines.len())));
    }
    let told: Vec<_> = lines.iter().map(|(action, count, lines)| (action.as_str(), *count, *lines)).collect();
    let expected = [
        ("create_cart", 0, Some(0)),
        ("add_line_item", 1, None),
        ("add_line_item", 2, None),
        ("set_tendering", 2, Some(2)),
        ("add_payment", 2, Some(2)),
        ("finalize_order", 2, Some(2)),
        ("start_return", 0, Some(0)),
        ("return_line_item", 1, None),
    ];
    assert_eq!(told, expected);
}
