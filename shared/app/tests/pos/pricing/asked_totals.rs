//! What a register asked for a sale, stated with `finalize_order`: online it must be what the cart comes to; what was sold
//! while the register was cut off is kept at what it asked, with the change that it gave, and where rounding does not
//! explain it, somebody is asked to look into it, once.

use jiff::Timestamp;
use tillstream_app::capacity::Operation;
use tillstream_app::environment::Environment as _;
use tillstream_app::pos::plan;
use tillstream_app::stock::exceptions;
use tillstream_contracts::inventory::{
    ExceptionKind, ExceptionQuery, ExceptionStatus, ResolveExceptionRequest, StockException,
};
use tillstream_domain::money::Money;
use tillstream_domain::quantity::QuantityInput;
use tillstream_domain::tenant_settings::OfflineTotals;
use tillstream_testkit::faults::Fault;

use super::*;

fn manager() -> tillstream_app::tenancy::Caller {
    caller("demo", &[Role::StoreManager])
}

async fn tasks(world: &World, status: ExceptionStatus) -> Vec<StockException> {
    let query =
        ExceptionQuery { location_id: STORE.into(), status: Some(status), limit: Some(200), cursor: None };
    let mut items = exceptions::list(&world.shop.ports, &manager(), &query).await.unwrap().items;
    items.retain(|task| task.kind == ExceptionKind::TotalDiffers);
    items.sort_by(|one, other| one.reference.cmp(&other.reference));
    items
}

/// Of each open task: order, what its lines come to, what was asked.
async fn open(world: &World) -> Vec<(String, i64, i64)> {
    let money = |money: Option<Money>| money.unwrap().amount;
    let all = tasks(world, ExceptionStatus::Open).await.into_iter();
    all.map(|task| (task.order_id.unwrap(), money(task.total), money(task.asked))).collect()
}

/// A sale as a register remembers it: `lines`, paid by `payments`, final at what it asked.
fn sale(cart: &str, lines: &[(&str, u32)], payments: &[(&str, i64)], asked: Option<i64>) -> Vec<Value> {
    let mut commands = Vec::new();
    let mut add = |action: &str, more: Value| {
        let mut payload = json!({"cart_id": cart});
        payload.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        let key = format!("{cart}-{}", commands.len());
        commands.push(envelope(STORE, "r-1", &key, action, payload));
    };
    add("create_cart", json!({}));
    for (sku, quantity) in lines {
        add("add_line_item", json!({"sku": sku, "quantity": quantity}));
    }
    add("set_tendering", json!({}));
    for (tender, amount) in payments {
        add("add_payment", json!({"tender": tender, "amount": gbp(*amount)}));
    }
    match asked {
        Some(asked) => add("finalize_order", json!({"total": gbp(asked)})),
        None => add("finalize_order", json!({})),
    }
    commands
}

/// Uploads until it has come to its end; answers the codes of what was refused.
async fn upload(ports: &Ports, commands: &[Value]) -> Vec<&'static str> {
    for _ in 0..100 {
        let who = caller("demo", &[Role::Cashier, Role::StoreManager]);
        let (outcomes, go_on) = batch::run(ports, &who, commands.to_vec(), Timestamp::MAX).await;
        if go_on.is_none() {
            let refused = |(_, outcome): (Value, batch::Outcome)| {
                outcome.err().map(|error| error.code().unwrap_or_else(|| panic!("{error}")))
            };
            return outcomes.into_iter().filter_map(refused).collect();
        }
    }
    panic!("the upload comes to no end");
}

fn held(world: &World) -> Vec<(Table, Vec<Item>)> {
    Table::ALL.into_iter().map(|table| (table, world.database.items(table))).collect()
}

/// Rounding, change, and what tenders kept of an order.
async fn kept(world: &World, id: &str) -> (i64, i64, i64) {
    let order = world.order(id).await;
    let totals = order.totals().unwrap();
    assert!(order.finalized.is_some() && totals.due == 0, "{id}: {totals:?}");
    assert_eq!(totals.total + totals.cash_rounding, totals.paid - totals.change, "{id}");
    (totals.cash_rounding, totals.change, totals.paid - totals.change)
}

#[tokio::test]
async fn online_another_total_is_refused_and_names_both() {
    let world = World::open().await;
    world.cart("c", &[("B", 3)]).await;
    world.send("c", "set_tendering", json!({})).await;
    world.send("c", "add_payment", json!({"tender": "cash", "amount": gbp(1_000)})).await;
    let before = held(&world);
    for (asked, expected) in [
        (gbp(301), "total_differs"),
        (gbp(299), "total_differs"),
        (gbp(0), "total_differs"),
        (gbp(-300), "amount_out_of_range"),
        (gbp(2_000_000_000_000), "amount_out_of_range"),
        (json!({"amount": 300, "currency": "EUR"}), "currency_mismatch"),
    ] {
        let answer = world.at("r-1", "c", "finalize_order", json!({"total": asked})).await;
        let Err(Error::Rejected(refusal)) = answer else { panic!("{asked}: {answer:?}") };
        assert_eq!(refusal.code, expected, "{asked}");
        assert_eq!(refusal.errors[0].field, "payload.total");
        if expected == "total_differs" {
            assert_eq!(refusal.kind, tillstream_app::RefusalKind::Conflict);
            assert_eq!((&refusal.extra["total"], &refusal.extra["asked"]), (&json!(300), &asked["amount"]));
            let theirs = asked["amount"].to_string();
            let names = |total: &str| refusal.detail.contains(total);
            assert!(names("300") && names(&theirs), "{}", refusal.detail);
        }
        assert_eq!(held(&world), before, "what is refused changes nothing");
    }
    for malformed in [json!({"total": 300}), json!({"total": "3.00"}), json!({"totals": gbp(300)})] {
        assert_eq!(world.refused("c", "finalize_order", malformed).await, "field_invalid");
    }
    let done = world.send("c", "finalize_order", json!({"total": gbp(300)})).await;
    assert_eq!((&done["state"], &done["totals"]["change"]), (&json!("finalized"), &gbp(700)));
    assert!(open(&world).await.is_empty());
    let again = json!({"cart_id": "c", "total": gbp(300)});
    let late = world.shop.command("another key", "finalize_order", again).await.unwrap_err();
    assert_eq!(late.code(), Some("wrong_cart_state"));
}

/// Whoever uploads may say that next to nothing was asked. A tenant that wants none of it has it refused; what was asked
/// beyond the lines, or what rounding explains, is kept as ever.
#[tokio::test]
async fn a_tenant_may_refuse_what_was_asked_below_the_lines() {
    for setting in [OfflineTotals::Accept, OfflineTotals::Refuse] {
        let world = World::open().await;
        let settings = TenantSettings { offline_total_below_lines: setting, ..TenantSettings::default() };
        world.put(settings_item(&world.shop.scope, &settings).unwrap()).await;
        world.later();
        let ports = &world.shop.ports;
        for (cart, asked) in [("penny", 99), ("more", 150)] {
            let commands = sale(cart, &[("B", 1)], &[("cash", asked)], Some(asked));
            assert!(upload(ports, &commands).await.is_empty(), "{cart}, {setting:?}");
        }
        assert_eq!(open(&world).await, [("more".to_owned(), 100, 150)], "{setting:?}");
        let mut commands = sale("little", &[("B", 3)], &[("cash", 5)], Some(5));
        let last = commands.pop().unwrap();
        assert!(upload(ports, &commands).await.is_empty());
        let before = held(&world);
        let refused = upload(ports, std::slice::from_ref(&last)).await;
        if setting == OfflineTotals::Accept {
            assert!(refused.is_empty());
            assert_eq!(kept(&world, "little").await, (-295, 0, 5));
            assert_eq!(open(&world).await.len(), 2);
            continue;
        }
        assert_eq!(refused, ["total_differs"]);
        assert_eq!(held(&world), before, "a refusal changed something");
        // Two below three pieces of one line is more than rounding.
        let nearly = sale("nearly", &[("B", 3)], &[("cash", 298)], Some(298));
        assert_eq!(upload(ports, &nearly).await, ["total_differs"]);
        // Somebody settles it, and the sale is not lost.
        let rest = json!({"cart_id": "little", "tender": "cash", "amount": gbp(295)});
        world.shop.command("rest", "add_payment", rest).await.unwrap();
        let whole = json!({"cart_id": "little", "total": gbp(300)});
        world.shop.command("whole", "finalize_order", whole).await.unwrap();
        assert_eq!(kept(&world, "little").await, (0, 0, 300));
        assert_eq!(open(&world).await.len(), 1);
    }
}

/// The price was 1.00 when the register was cut off, and is another by the time that it is back.
#[tokio::test]
async fn what_was_sold_offline_is_kept_at_what_its_register_asked() {
    for (n, (price, payments, expected, told)) in [
        // Nothing changed.
        ("1", vec![("cash", 1_000)], (0, 700, 300), None),
        // A penny a line is rounding: the third of three pieces.
        ("1.0033", vec![("cash", 1_000)], (-1, 700, 300), None),
        ("0.9967", vec![("card", 300)], (1, 0, 300), None),
        // More is another price: the change is what the register gave, and somebody looks.
        ("1.50", vec![("cash", 1_000)], (-150, 700, 300), Some((450, 300))),
        ("0.80", vec![("cash", 1_000)], (60, 700, 300), Some((240, 300))),
        ("0.80", vec![("card", 300)], (60, 0, 300), Some((240, 300))),
        ("0.80", vec![("card", 250), ("cash", 100)], (60, 50, 300), Some((240, 300))),
        ("0.80", vec![("cash", 250), ("card", 50)], (60, 0, 300), Some((240, 300))),
        ("0.80", vec![("cash", 290), ("cash", 20)], (60, 10, 300), Some((240, 300))),
        ("1.50", vec![("card", 300)], (-150, 0, 300), Some((450, 300))),
        ("0", vec![("card", 300)], (300, 0, 300), Some((0, 300))),
    ]
    .into_iter()
    .enumerate()
    {
        let world = World::open().await;
        world.shop.product(STORE, "B", price, 1_000).await.unwrap();
        let id = format!("off-{n}");
        let commands = sale(&id, &[("B", 3)], &payments, Some(300));
        for _ in 0..2 {
            assert_eq!(
                upload(&world.shop.ports, &commands).await,
                Vec::<&str>::new(),
                "{price} {payments:?}"
            );
            assert_eq!(kept(&world, &id).await, expected, "{price} {payments:?}");
            let tasks: Vec<_> = told.iter().map(|(total, asked)| (id.clone(), *total, *asked)).collect();
            assert_eq!(open(&world).await, tasks, "{price} {payments:?}");
        }
        // Headquarters and figures say the same; all of it goes back as it came.
        let event = sale_event(&world.shop.scope, &world.order(&id).await).unwrap().detail.unwrap();
        let paid: i64 = event.payments.iter().map(|paid| paid.amount).sum();
        assert_eq!(paid, 300);
        let void = json!({"order_id": id, "reason": "x"});
        let undone = world.shop.command("v", "void_order", void).await.unwrap().reply.result;
        let back: i64 = undone.refunds.unwrap().iter().map(|refund| refund.amount.amount).sum();
        assert_eq!(back, 300);
    }
}

#[tokio::test]
async fn the_task_names_both_totals_and_is_settled_by_somebody() {
    let world = World::open().await;
    world.shop.product(STORE, "B", "1.50", 1_000).await.unwrap();
    let commands = sale("off", &[("B", 3)], &[("cash", 1_000)], Some(300));
    assert!(upload(&world.shop.ports, &commands).await.is_empty());
    let task = tasks(&world, ExceptionStatus::Open).await.remove(0);
    let gbp = |amount| Some(Money { amount, currency: "GBP".parse().unwrap() });
    assert_eq!((task.total, task.asked), (gbp(450), gbp(300)));
    assert_eq!((&task.quantity, task.sku.as_deref()), (&QuantityInput::Whole(1), None));
    assert_eq!((task.register_id.as_deref(), task.employee_id.as_deref()), (Some("r-1"), Some("e-7")));
    assert_eq!((task.reference.as_str(), task.location_id.as_str()), ("off", STORE));
    assert_eq!(task.occurred_at, "2010-12-01T08:26:00Z".parse().unwrap());
    let request = ResolveExceptionRequest { reason: "old price list".into(), note: None };
    exceptions::resolve(&world.shop.ports, &manager(), "k", &task.exception_id, &request).await.unwrap();
    upload(&world.shop.ports, &commands).await;
    assert!(open(&world).await.is_empty(), "what is settled is not opened by the same upload again");
    assert_eq!(tasks(&world, ExceptionStatus::Resolved).await.len(), 1);
}

/// Coins are those of what was asked: 3.02 is 3.00 in cash, whatever the lines come to.
#[tokio::test]
async fn coins_are_of_what_was_asked() {
    for (asked, given, expected) in [
        (302, 1_000, (-150, 700, 300)),
        (303, 1_000, (-145, 695, 305)),
        // It was paid to the unit, so no coin was missing.
        (303, 303, (-147, 0, 303)),
    ] {
        let world = World::open().await;
        world.settings(TaxMode::Exclusive, TaxRounding::PerLine, 5).await;
        world.shop.product(STORE, "B", "1.50", 1_000).await.unwrap();
        let commands = sale("off", &[("B", 3)], &[("cash", given)], Some(asked));
        assert!(upload(&world.shop.ports, &commands).await.is_empty(), "{asked}");
        assert_eq!(kept(&world, "off").await, expected, "{asked}");
        assert_eq!(open(&world).await, [("off".to_owned(), 450, asked)]);
    }
}

/// The drawer has what the register put into it, and the report says why that is not what was sold.
#[tokio::test]
async fn the_drawer_is_exact() {
    let world = World::open().await;
    world.shop.command("o", "open_till", json!({"shift_id": "sh", "amount": gbp(5_000)})).await.unwrap();
    world.shop.product(STORE, "B", "0.80", 1_000).await.unwrap();
    for (id, payments) in [("one", [("cash", 1_000)]), ("two", [("card", 300)])] {
        assert!(upload(&world.shop.ports, &sale(id, &[("B", 3)], &payments, Some(300))).await.is_empty());
    }
    let close = json!({"shift_id": "sh", "counted": gbp(5_300)});
    let closed = world.shop.command("z", "close_till", close).await.unwrap().reply.result.shift.unwrap();
    let report = serde_json::to_value(closed.report.unwrap()).unwrap();
    let of = |name: &str| amount(&report[name]);
    assert_eq!((of("cash_difference"), of("sales_total"), of("cash_rounding")), (0, 480, 120), "{report}");
}

/// What a register asked must have been paid; and one that states nothing is held to what its lines come to.
#[tokio::test]
async fn what_does_not_add_up_is_refused_in_an_upload_too() {
    for (payments, asked, expected) in [
        (vec![("card", 299)], Some(300), "underpaid"),
        (vec![("card", 301)], Some(300), "overpaid"),
        (vec![("card", 250)], None, "overpaid"),
        (vec![("card", 230)], None, "underpaid"),
        (vec![("card", 240)], Some(-1), "amount_out_of_range"),
    ] {
        let world = World::open().await;
        world.shop.product(STORE, "B", "0.80", 1_000).await.unwrap();
        let commands = sale("off", &[("B", 3)], &payments, asked);
        let refused = upload(&world.shop.ports, &commands).await;
        assert_eq!(refused, [expected], "{payments:?} {asked:?}");
        assert!(world.order("off").await.finalized.is_none());
        assert!(open(&world).await.is_empty());
        // Online no payment is above what is due.
        let late = json!({"tender": "card", "amount": gbp(300)});
        world.cart("on", &[("B", 3)]).await;
        world.send("on", "set_tendering", json!({})).await;
        assert_eq!(world.refused("on", "add_payment", late).await, "overpaid");
    }
}

/// What comes back of a sale that was asked less for than it is worth is given back for what was paid, part by part and
/// to the last one.
#[tokio::test]
async fn no_part_of_it_gets_stuck() {
    let world = World::open().await;
    world.shop.product(STORE, "B", "1.50", 1_000).await.unwrap();
    let commands = sale("off", &[("A", 1), ("B", 2)], &[("card", 300)], Some(300));
    assert!(upload(&world.shop.ports, &commands).await.is_empty());
    // Worth 2.55 and 3.00, and 3.00 were paid: 2.55 and 0.45 go back, and nothing for the last piece.
    for (n, (line, quantity, wrong, given)) in
        [("l-1", 1, 256, 255), ("l-2", 1, 46, 45), ("l-2", 1, 1, 0)].into_iter().enumerate()
    {
        let id = format!("b-{n}");
        let start = json!({"return_id": id, "original_order_id": "off", "reason": "x"});
        world.shop.command(&format!("s-{n}"), "start_return", start).await.unwrap();
        let back = json!({"return_id": id, "line_id": line, "quantity": quantity, "disposition": "restock"});
        world.shop.command(&format!("l-{n}"), "return_line_item", back).await.unwrap();
        let refund = |amount: i64| json!({"return_id": id, "tender": "card", "amount": gbp(amount)});
        assert!(world.shop.command(&format!("x-{n}"), "refund_tender", refund(wrong)).await.is_err());
        world.shop.command(&format!("r-{n}"), "refund_tender", refund(given)).await.unwrap();
        world.shop.command(&format!("f-{n}"), "finalize_return", json!({"return_id": id})).await.unwrap();
    }
}

/// In exchange what comes back would be worth more than was paid for it: it is refunded, and the other goods are sold by
/// themselves. A penny a line is no such matter.
#[tokio::test]
async fn no_exchange_gives_more_than_was_paid() {
    for (price, expected) in [("1.50", Some("order_below_worth")), ("1.0033", None), ("0.80", None)] {
        let world = World::open().await;
        world.shop.product(STORE, "B", price, 1_000).await.unwrap();
        assert!(
            upload(&world.shop.ports, &sale("off", &[("B", 3)], &[("card", 300)], Some(300)))
                .await
                .is_empty()
        );
        let start = json!({"return_id": "b", "original_order_id": "off", "reason": "x"});
        world.shop.command("s", "start_return", start).await.unwrap();
        let back = json!({"return_id": "b", "line_id": "l-1", "quantity": 1, "disposition": "restock"});
        let back = world.shop.command("l", "return_line_item", back).await.unwrap();
        let worth = back.reply.cart.unwrap().totals.total.amount;
        world.cart("new", &[("FOOD", 1)]).await;
        world.send("new", "set_tendering", json!({})).await;
        let rest = json!({"tender": "card", "amount": gbp(400 - worth)});
        world.send("new", "add_payment", rest).await;
        let before = held(&world);
        let both = json!({"return_id": "b", "cart_id": "new"});
        let answer = world.shop.command("x", "finalize_exchange", both).await;
        let code = answer.err().map(|error| error.code().unwrap().to_owned());
        assert_eq!(code.as_deref(), expected, "{price}");
        assert_eq!(held(&world) == before, expected.is_some(), "{price}");
    }
}

/// However often at once, it is one sale and one task.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn however_often_it_is_uploaded_it_is_one_task() {
    let world = World::open().await;
    world.shop.product(STORE, "B", "1.50", 1_000).await.unwrap();
    let commands = sale("off", &[("B", 3)], &[("cash", 1_000)], Some(300));
    let uploads: Vec<_> = (0..8)
        .map(|_| {
            let (ports, commands) = (world.shop.ports.clone(), commands.clone());
            tokio::spawn(async move { upload(&ports, &commands).await })
        })
        .collect();
    for one in uploads {
        assert!(one.await.unwrap().is_empty());
    }
    assert_eq!(kept(&world, "off").await, (-150, 700, 300));
    assert_eq!(open(&world).await, [("off".to_owned(), 450, 300)]);
}

/// A sale of more products than one transaction takes is kept so too, also when its process dies and the keeper ends it.
#[tokio::test]
async fn a_long_sale_is_kept_at_what_was_asked() {
    for dies in [false, true] {
        let world = World::open().await;
        let skus: Vec<String> = (0..120).map(|n| format!("L-{n:03}")).collect();
        for sku in &skus {
            world.shop.product(STORE, sku, "2", 5).await.unwrap();
        }
        let lines: Vec<(&str, u32)> = skus.iter().map(|sku| (sku.as_str(), 1)).collect();
        // 240.00 here; the register asked 120.00, and gave 80.00 of 200.00 back.
        let commands = sale("off", &lines, &[("cash", 20_000)], Some(12_000));
        if dies {
            let faulty = Arc::new(FaultyDatabase::new(world.database.clone()));
            let ports = Ports { database: faulty.clone(), environment: world.shop.ports.environment.clone() };
            let (last, before) = commands.split_last().unwrap();
            assert!(upload(&world.shop.ports, before).await.is_empty());
            // The plan stands, and nothing is answered any more.
            let plan_stands = [None].into_iter().chain(std::iter::repeat_n(Some(Fault::Refused), 1));
            faulty.script(Operation::Transact, plan_stands);
            let (outcomes, _) = batch::run(&ports, &manager(), vec![last.clone()], Timestamp::MAX).await;
            assert!(outcomes.iter().all(|(_, outcome)| outcome.is_err()));
            assert!(world.order("off").await.finalized.is_none());
            let later = world.environment.now() + jiff::SignedDuration::from_mins(5);
            plan::recover(&world.shop.ports, later, 10, Timestamp::MAX).await.unwrap();
        }
        assert!(upload(&world.shop.ports, &commands).await.is_empty());
        assert_eq!(kept(&world, "off").await, (-12_000, 8_000, 12_000));
        assert_eq!(open(&world).await, [("off".to_owned(), 24_000, 12_000)]);
    }
}
