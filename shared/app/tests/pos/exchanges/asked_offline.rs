//! What a register that was cut off asked for an exchange, by prices that are others here by now: it is kept at that, the
//! drawer has what the register put into it, and somebody is told; and where it did not say, somebody is told of the change
//! that only was reckoned here.

use jiff::Timestamp;
use tillstream_app::dispatch::delivery::Delivery;
use tillstream_app::dispatch::message::order_message;
use tillstream_app::pos::batch;
use tillstream_app::pos::execute::execute;
use tillstream_app::relay::handle;
use tillstream_app::stock::exceptions;
use tillstream_contracts::inventory::{ExceptionKind, ExceptionQuery};
use tillstream_domain::tenant_settings::OfflineTotals;
use tillstream_testkit::memory_messaging::{MemoryQueue, MemoryStream};
use tillstream_testkit::shop::envelope;

use super::*;

/// Tenders and amounts.
type Tenders<'a> = &'a [(&'a str, i64)];

fn manager() -> tillstream_app::tenancy::Caller {
    caller("demo", &[Role::StoreManager])
}

fn of_r_1(key: &str, action: &str, payload: Value) -> Value {
    envelope(STORE, "r-1", key, action, payload)
}

/// What a register did while it was cut off: two of C, that were sold for 8.00, come back for one of NEW.
fn remembered(payments: Tenders, refunds: Tenders, total: Option<i64>) -> Vec<Value> {
    let mut commands = Vec::new();
    let mut add = |action: &str, payload: Value| {
        commands.push(of_r_1(&format!("off-{}", commands.len()), action, payload));
    };
    add("start_return", json!({"return_id": "back", "original_order_id": "first", "reason": "x"}));
    add(
        "return_line_item",
        json!({"return_id": "back", "line_id": "l-1", "quantity": 2, "disposition": "restock"}),
    );
    add("create_cart", json!({"cart_id": "new"}));
    add("add_line_item", json!({"cart_id": "new", "sku": "NEW", "quantity": 1}));
    add("set_tendering", json!({"cart_id": "new"}));
    for (tender, amount) in payments {
        add("add_payment", json!({"cart_id": "new", "tender": tender, "amount": gbp(*amount)}));
    }
    for (tender, amount) in refunds {
        add("refund_tender", json!({"return_id": "back", "tender": tender, "amount": gbp(*amount)}));
    }
    let mut both = json!({"return_id": "back", "cart_id": "new"});
    if let Some(total) = total {
        both["total"] = gbp(total);
    }
    add("finalize_exchange", both);
    commands
}

/// Uploads; answers the codes of what was refused.
async fn upload(shop: &Shop, commands: &[Value]) -> Vec<&'static str> {
    let (outcomes, go_on) = batch::run(&shop.ports, &manager(), commands.to_vec(), Timestamp::MAX).await;
    assert_eq!(go_on, None);
    let refused = |(_, outcome): (Value, batch::Outcome)| {
        outcome.err().map(|error| error.code().unwrap_or_else(|| panic!("{error}")))
    };
    outcomes.into_iter().filter_map(refused).collect()
}

/// Opens a shift with 50.00 in its drawer.
async fn open_till(shop: &Shop) {
    shop.command("open", "open_till", json!({"shift_id": "sh", "amount": gbp(5_000)})).await.unwrap();
}

/// A shop where NEW costs so much by now, and two of C were sold for 8.00 in cash before the shift.
async fn shop_at(price: &str, settings: TenantSettings) -> (Shop, Arc<MemoryDatabase>) {
    let (shop, database) = shop().await;
    set(&shop, settings).await;
    shop.product(STORE, "NEW", price, 100).await.unwrap();
    tendering(&shop, "r-1", "first", &[("C", 2)]).await;
    pay(&shop, "r-1", "first", "cash", 800).await.unwrap();
    shop.finalize("r-1", "first").await.unwrap();
    open_till(&shop).await;
    (shop, database)
}

/// Order, what its lines come to, and what was asked, of each task.
async fn tasks(shop: &Shop) -> Vec<(String, i64, i64)> {
    let query = ExceptionQuery { location_id: STORE.into(), status: None, limit: None, cursor: None };
    let items = exceptions::list(&shop.ports, &manager(), &query).await.unwrap().items;
    let mut told: Vec<_> = items
        .into_iter()
        .map(|task| {
            assert_eq!(task.kind, ExceptionKind::TotalDiffers);
            (task.order_id.unwrap(), task.total.unwrap().amount, task.asked.unwrap().amount)
        })
        .collect();
    told.sort();
    told
}

fn told(totals: Option<(i64, i64)>) -> Vec<(String, i64, i64)> {
    totals.into_iter().map(|(total, asked)| ("new".to_owned(), total, asked)).collect()
}

/// Closes the shift over what the register put into its drawer: what is counted is what the report expects, which is of
/// the orders, whose sale is at `price` and so much beyond it.
async fn check_drawer(shop: &Shop, case: &str, put_in: i64, (price, beyond): (i64, i64)) {
    let close = json!({"shift_id": "sh", "counted": gbp(5_000 + put_in)});
    let closed = shop.command("z", "close_till", close).await.unwrap().reply.result.shift.unwrap();
    let report = serde_json::to_value(closed.report.unwrap()).unwrap();
    let of = |name: &str| report[name]["amount"].as_i64().unwrap_or(0);
    let seen = [of("cash_expected"), of("cash_difference"), of("sales_total"), of("cash_rounding")];
    assert_eq!(seen, [5_000 + put_in, 0, price, beyond], "{case}: {report}");
    assert_eq!(of("returns_total"), 800, "{case}");
    let proved = proof::of_shift(&shop.ports, &caller("demo", &[Role::Operator]), "sh").await.unwrap();
    assert!(proved.proved && proved.orders == 2, "{case}: {proved:?}");
}

/// The register sold NEW for 12.00, 5.00, 8.00, or gave it away; here it costs something else by now.
#[tokio::test]
async fn the_drawer_has_what_the_register_put_into_it() {
    for (price, payments, refunds, asked, (put_in, beyond, change), task) in [
        // Nothing changed.
        ("12", vec![("cash", 1_000)], vec![], 400, (400, 0, 600), None),
        ("5", vec![], vec![("cash", 300)], -300, (-300, 0, 0), None),
        // A penny a line is rounding.
        ("11.99", vec![("cash", 400)], vec![], 400, (400, 1, 0), None),
        // The price was lowered at headquarters, or raised.
        ("10", vec![("cash", 1_000)], vec![], 400, (400, 200, 600), Some((1_000, 1_200))),
        ("14", vec![("cash", 1_000)], vec![], 400, (400, -200, 600), Some((1_400, 1_200))),
        // What add_payment told by the price here counts no more.
        ("10", vec![("cash", 2_000)], vec![], 400, (400, 200, 1_600), Some((1_000, 1_200))),
        // A card took more, or less, than is due here.
        ("10", vec![("card", 400)], vec![], 400, (0, 200, 0), Some((1_000, 1_200))),
        ("14", vec![("card", 400)], vec![], 400, (0, -200, 0), Some((1_400, 1_200))),
        ("10", vec![("card", 300), ("cash", 200)], vec![], 400, (100, 200, 100), Some((1_000, 1_200))),
        // Here it costs less than what came back, or nothing.
        ("6", vec![("cash", 1_000)], vec![], 400, (400, 600, 600), Some((600, 1_200))),
        ("0", vec![("card", 400)], vec![], 400, (0, 1_200, 0), Some((0, 1_200))),
        // The difference was given back; here there is less, more, or none to give.
        ("6", vec![], vec![("cash", 300)], -300, (-300, -100, 0), Some((600, 500))),
        ("4", vec![], vec![("cash", 300)], -300, (-300, 100, 0), Some((400, 500))),
        ("10", vec![], vec![("cash", 300)], -300, (-300, -500, 0), Some((1_000, 500))),
        // Nothing changed hands.
        ("9", vec![], vec![], 0, (0, -100, 0), Some((900, 800))),
        ("7", vec![], vec![], 0, (0, 100, 0), Some((700, 800))),
        // It was given away.
        ("1", vec![], vec![("cash", 800)], -800, (-800, -100, 0), Some((100, 0))),
    ] {
        let case = format!("{price} {payments:?} {refunds:?}");
        let (shop, database) = shop_at(price, TenantSettings::default()).await;
        let commands = remembered(&payments, &refunds, Some(asked));
        assert!(upload(&shop, &commands).await.is_empty(), "{case}");
        let after = snapshot(&database);
        // Under the same keys it is the same exchange, and the same task.
        assert!(upload(&shop, &commands).await.is_empty(), "{case}");
        assert_eq!(snapshot(&database), after, "{case}");
        assert_eq!(tasks(&shop).await, told(task), "{case}");
        let (new, back) = (order(&shop, "new").await, order(&shop, "back").await);
        let of_new = (new.totals.cash_rounding.amount, new.totals.change.amount, new.totals.due.amount);
        assert_eq!(of_new, (beyond, change, 0), "{case}");
        assert_eq!((back.totals.cash_rounding.amount, back.totals.due.amount), (0, 0), "{case}");
        let price = new.totals.total.amount;
        check_drawer(&shop, &case, put_in, (price, beyond)).await;
    }
}

/// Coins are those of what was asked, 4.02, unless that was paid to the unit.
#[tokio::test]
async fn coins_are_of_what_was_asked() {
    for (price, handed_over, (put_in, beyond), task) in [
        ("12.02", 1_000, (400, -2), None),
        ("12.02", 402, (402, 0), None),
        ("14", 1_000, (400, -200), Some((1_400, 1_202))),
        ("14", 402, (402, -198), Some((1_400, 1_202))),
        // As much as NEW was sold for alone.
        ("14", 1_202, (400, -200), Some((1_400, 1_202))),
    ] {
        let case = format!("{price} {handed_over}");
        let mut settings = TenantSettings::default();
        settings.pricing.cash_increment = 5;
        let (shop, _) = shop_at(price, settings).await;
        let commands = remembered(&[("cash", handed_over)], &[], Some(402));
        assert!(upload(&shop, &commands).await.is_empty(), "{case}");
        assert_eq!(tasks(&shop).await, told(task), "{case}");
        let price = order(&shop, "new").await.totals.total.amount;
        check_drawer(&shop, &case, put_in, (price, beyond)).await;
    }
}

/// What a blind return is worth its lines say, as they came; of it a sale is kept as of any.
#[tokio::test]
async fn a_blind_return_is_worth_what_its_register_said() {
    for (price, task) in [("12", None), ("10", Some((1_000, 1_200))), ("14", Some((1_400, 1_200)))] {
        let (shop, _) = shop_at(price, TenantSettings::default()).await;
        let mut commands = remembered(&[("cash", 1_000)], &[], Some(400));
        commands[0] = of_r_1("off-0", "start_return", json!({"return_id": "back", "reason": "x"}));
        let line = json!({"return_id": "back", "sku": "C", "quantity": 2, "unit_price": "4",
            "disposition": "restock"});
        commands[1] = of_r_1("off-1", "return_line_item", line);
        assert!(upload(&shop, &commands).await.is_empty(), "{price}");
        assert_eq!(tasks(&shop).await, told(task), "{price}");
        let price = order(&shop, "new").await.totals.total.amount;
        check_drawer(&shop, "blind", 400, (price, 1_200 - price)).await;
    }
}

/// The first sale was kept at 12.00, and its register shows that as what comes back: here it is worth its lines, 8.00. So
/// it looks like another price of NEW, and the drawer is right.
#[tokio::test]
async fn the_drawer_is_right_where_the_return_was_shown_at_another_worth() {
    let (shop, _) = shop().await;
    shop.product(STORE, "NEW", "16", 100).await.unwrap();
    let first = [
        of_r_1("1", "create_cart", json!({"cart_id": "first"})),
        of_r_1("2", "add_line_item", json!({"cart_id": "first", "sku": "C", "quantity": 2})),
        of_r_1("3", "set_tendering", json!({"cart_id": "first"})),
        of_r_1("4", "add_payment", json!({"cart_id": "first", "tender": "cash", "amount": gbp(1_200)})),
        of_r_1("5", "finalize_order", json!({"cart_id": "first", "total": gbp(1_200)})),
    ];
    assert!(upload(&shop, &first).await.is_empty());
    open_till(&shop).await;
    assert!(upload(&shop, &remembered(&[("cash", 1_000)], &[], Some(400))).await.is_empty());
    let both = [("first".to_owned(), 800, 1_200), ("new".to_owned(), 1_600, 1_200)];
    assert_eq!(tasks(&shop).await, both);
    check_drawer(&shop, "another worth", 400, (1_600, -400)).await;
}

/// What was asked must have been paid or given back; and nobody gives back more than came back is worth.
#[tokio::test]
async fn what_does_not_add_up_is_refused_and_changes_nothing() {
    for (payments, refunds, total, code) in [
        (vec![], vec![], gbp(400), "underpaid"),
        (vec![("card", 399)], vec![], gbp(400), "underpaid"),
        (vec![("card", 401)], vec![], gbp(400), "overpaid"),
        (vec![("cash", 400), ("cash", 1)], vec![], gbp(400), "overpaid"),
        (vec![], vec![], gbp(-300), "exchange_not_settled"),
        (vec![], vec![("cash", 299)], gbp(-300), "exchange_not_settled"),
        (vec![], vec![("cash", 800)], gbp(-801), "total_differs"),
        (vec![("card", 400)], vec![], json!({"amount": 400, "currency": "EUR"}), "currency_mismatch"),
        (vec![("card", 400)], vec![], gbp(1_000_000_000_000), "amount_out_of_range"),
        (vec![("card", 400)], vec![], gbp(-1_000_000_000_001), "amount_out_of_range"),
    ] {
        let (shop, database) = shop_at("10", TenantSettings::default()).await;
        let mut commands = remembered(&payments, &refunds, None);
        let mut last = commands.pop().unwrap();
        assert!(upload(&shop, &commands).await.is_empty());
        let before = snapshot(&database);
        last["payload"]["total"] = total;
        assert_eq!(upload(&shop, std::slice::from_ref(&last)).await, [code], "{last}");
        assert_eq!(snapshot(&database), before, "{last} changed something");
    }
}

/// A tenant that wants nothing sold below its lines has it refused, with the totals of the exchange, until somebody
/// settles it; more than the lines, or a penny less, is kept as ever.
#[tokio::test]
async fn a_tenant_may_refuse_what_was_asked_below_the_lines() {
    for (price, setting, refused) in [
        ("14", OfflineTotals::Accept, false),
        ("14", OfflineTotals::Refuse, true),
        ("12.02", OfflineTotals::Refuse, true),
        ("12.01", OfflineTotals::Refuse, false),
        ("10", OfflineTotals::Refuse, false),
    ] {
        let settings = TenantSettings { offline_total_below_lines: setting, ..TenantSettings::default() };
        let (shop, database) = shop_at(price, settings).await;
        let mut commands = remembered(&[("card", 400)], &[], Some(400));
        let last = commands.pop().unwrap();
        assert!(upload(&shop, &commands).await.is_empty());
        let before = snapshot(&database);
        let (outcomes, _) = batch::run(&shop.ports, &manager(), vec![last], Timestamp::MAX).await;
        let outcome = outcomes.into_iter().map(|(_, outcome)| outcome).next().unwrap();
        if !refused {
            outcome.unwrap();
            continue;
        }
        let refusal = refusal(outcome);
        let total = if price == "14" { 600 } else { 402 };
        assert_eq!((refusal.code, refusal.errors[0].field.as_str()), ("total_differs", "payload.total"));
        assert_eq!((&refusal.extra["total"], &refusal.extra["asked"]), (&json!(total), &json!(400)));
        assert_eq!(snapshot(&database), before);
        // Somebody does, and neither half is lost.
        pay(&shop, "r-1", "new", "card", total - 400).await.unwrap();
        let both = json!({"return_id": "back", "cart_id": "new", "total": gbp(total)});
        shop.command("settled", "finalize_exchange", both).await.unwrap();
        assert_eq!(order(&shop, "new").await.totals.cash_rounding.amount, 0);
        assert!(tasks(&shop).await.is_empty());
    }
}

/// A register that does not say what it asked is served by what both come to here. The change that only that made, and no
/// payment told of, may not be what it gave: somebody is asked to look.
#[tokio::test]
async fn change_that_no_payment_told_of_is_a_task_where_nothing_was_stated() {
    for (price, payments, refunds, put_in, task) in [
        // The exchange told nothing that was not known.
        ("12", vec![("cash", 400)], vec![], 400, None),
        ("12", vec![("card", 400)], vec![], 0, None),
        ("5", vec![], vec![("cash", 300)], -300, None),
        ("8", vec![], vec![], 0, None),
        // 8.00 and 10.00 came in for it.
        ("12", vec![("cash", 1_000)], vec![], 400, Some((1_200, 1_800))),
        ("10", vec![("cash", 1_000)], vec![], 200, Some((1_000, 1_800))),
        ("14", vec![("cash", 1_000)], vec![], 600, Some((1_400, 1_800))),
        ("10", vec![("cash", 400)], vec![], 200, Some((1_000, 1_200))),
        // Of 20.00 in cash a payment told 10.00 as change.
        ("10", vec![("cash", 2_000)], vec![], 200, Some((1_000, 1_800))),
    ] {
        let case = format!("{price} {payments:?} {refunds:?}");
        let (shop, database) = shop_at(price, TenantSettings::default()).await;
        let commands = remembered(&payments, &refunds, None);
        assert!(upload(&shop, &commands).await.is_empty(), "{case}");
        let after = snapshot(&database);
        assert!(upload(&shop, &commands).await.is_empty(), "{case}");
        assert_eq!(snapshot(&database), after, "{case}");
        assert_eq!(tasks(&shop).await, told(task), "{case}");
        let price = order(&shop, "new").await.totals.total.amount;
        check_drawer(&shop, &case, put_in, (price, 0)).await;
    }
    for (price, payment, code) in [("10", ("card", 400), "overpaid"), ("14", ("cash", 400), "underpaid")] {
        let (shop, _) = shop_at(price, TenantSettings::default()).await;
        assert_eq!(upload(&shop, &remembered(&[payment], &[], None)).await, [code]);
        assert!(tasks(&shop).await.is_empty());
    }
}

/// Online the register gives the change that it is told, and is asked nothing; what it states must be so.
#[tokio::test]
async fn online_change_is_no_task_and_another_total_is_refused() {
    let (shop, database) = shop_at("10", TenantSettings::default()).await;
    let mut commands = remembered(&[("cash", 1_000)], &[], Some(400));
    let mut last = commands.pop().unwrap();
    for command in commands {
        execute(&shop.ports, &manager(), command).await.unwrap();
    }
    let before = snapshot(&database);
    for total in [400, 201, 199] {
        last["payload"]["total"] = gbp(total);
        let refused = refusal(execute(&shop.ports, &manager(), last.clone()).await);
        assert_eq!(refused.code, "total_differs", "{total}");
        assert_eq!(snapshot(&database), before, "{total}");
    }
    last["payload"]["total"] = Value::Null;
    let done = execute(&shop.ports, &manager(), last).await.unwrap();
    assert_eq!(done.reply.result.change.unwrap().amount, 800);
    assert!(tasks(&shop).await.is_empty());
    check_drawer(&shop, "online", 200, (1_000, 0)).await;
}

/// Whoever reads of it reads the same: what was asked beyond the lines stands as rounding, as of any sale that is kept.
#[tokio::test]
async fn what_it_is_kept_at_is_told_alike() {
    let (shop, database) = shop_at("10", TenantSettings::default()).await;
    assert!(upload(&shop, &remembered(&[("cash", 1_000)], &[], Some(400))).await.is_empty());
    let (new, back) = (order(&shop, "new").await, order(&shop, "back").await);
    let totals = &new.totals;
    let of_new = [&totals.total, &totals.cash_rounding, &totals.paid, &totals.change, &totals.due];
    assert_eq!(of_new.map(|money| money.amount), [1_000, 200, 1_800, 600, 0]);
    assert_eq!(paid(&new), [("exchange", 800, 0), ("cash", 1_000, 600)]);
    assert_eq!((paid(&back), back.totals.cash_rounding.amount), (vec![("exchange", 800, 0)], 0));

    let cart = cart_of(&item(&shop, "new").await).unwrap();
    let event = sale_event(&shop.scope, &cart).unwrap().detail.unwrap();
    let tenders: Vec<_> = event.payments.iter().map(|paid| (paid.tender.as_str(), paid.amount)).collect();
    assert_eq!((tenders, event.lines[0].gross), (vec![("exchange", 800), ("cash", 400)], 1_000));

    let environment = shop.ports.environment.clone();
    let (stream, queue) = (MemoryStream::new(1, environment.clone()), MemoryQueue::new(environment));
    let of_sale = item(&shop, "new").await;
    assert!(handle(&shop.ports, &stream, &queue, &[(None, Some(&of_sale))]).await.is_empty());
    let deliveries = database.items(Table::Dispatch);
    let delivery = deliveries.iter().find_map(|item| Delivery::of(item).ok()).unwrap();
    let message = order_message(&delivery, &cart).unwrap();
    let beyond = message.totals.cash_rounding.unwrap().amount;
    assert_eq!((message.totals.total.amount, beyond, message.totals.change.amount), (1_000, 200, 600));
    assert_eq!(message.exchange_with.as_deref(), Some("back"));

    let who = caller("demo", &[Role::Cashier]);
    let rendered = documents::get(&shop.ports, &who, "new.receipt", Format::Text, false).await.unwrap();
    let text = String::from_utf8(rendered.document.bytes).unwrap();
    let line = text.lines().find(|line| line.contains("Rounding")).unwrap_or_else(|| panic!("{text}"));
    assert!(line.contains("2.00"), "{line}");

    // What comes back of it is worth its lines.
    assert_eq!(returning(&shop, "r-1", "again", "new", &[("l-1", 1, "restock")]).await, 1_000);
    refund(&shop, "r-1", "again", "cash", 1_000).await.unwrap();
    shop.command("again", "finalize_return", json!({"return_id": "again"})).await.unwrap();
}
