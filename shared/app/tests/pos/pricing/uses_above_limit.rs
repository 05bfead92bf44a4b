//! Uses of coupons and promotions above their limit: what a register gave while it was cut off, and what another
//! system gave, is counted and somebody is asked to look into it, once for each order and coupon. Online nobody
//! can have any.

use jiff::Timestamp;
use tillstream_app::capacity::Operation;
use tillstream_app::database::Write;
use tillstream_app::environment::Environment as _;
use tillstream_app::orders::record::record;
use tillstream_app::pos::plan;
use tillstream_app::stock::exceptions;
use tillstream_contracts::inventory::{
    ExceptionKind, ExceptionQuery, ExceptionStatus, ResolveExceptionRequest, StockException,
};
use tillstream_domain::quantity::QuantityInput;
use tillstream_domain::tenant_settings::OfflineUses;
use tillstream_testkit::faults::Fault;

use super::*;

fn manager() -> tillstream_app::tenancy::Caller {
    caller("demo", &[Role::StoreManager])
}

async fn listed(world: &World, status: ExceptionStatus) -> Vec<StockException> {
    let query =
        ExceptionQuery { location_id: STORE.into(), status: Some(status), limit: Some(200), cursor: None };
    exceptions::list(&world.shop.ports, &manager(), &query).await.unwrap().items
}

/// Of each open task of this kind: the order, what was used, how many above the limit.
async fn tasks(world: &World) -> Vec<(String, String, i64)> {
    let mut tasks: Vec<_> = listed(world, ExceptionStatus::Open)
        .await
        .into_iter()
        .inspect(|task| assert_eq!((task.kind, &task.sku), (ExceptionKind::UsesAboveLimit, &None)))
        .map(|task| {
            let QuantityInput::Whole(uses) = task.quantity else { panic!("{task:?}") };
            (task.order_id.unwrap(), task.coupon_code.or(task.promotion_id).unwrap(), uses)
        })
        .collect();
    tasks.sort();
    tasks
}

fn task(order: &str, what: &str, uses: i64) -> (String, String, i64) {
    (order.to_owned(), what.to_owned(), uses)
}

/// A sale as a register remembers it: opened by what `begins` says, of `lines`, with a coupon, paid by card.
fn sale(cart: &str, begins: &Value, lines: &[(&str, i64)], coupon: Option<&str>, paid: i64) -> Vec<Value> {
    let mut commands = Vec::new();
    let mut add = |action: &str, more: &Value| {
        let mut payload = json!({"cart_id": cart});
        payload.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        let key = format!("{cart}-{}", commands.len());
        commands.push(envelope(STORE, "r-1", &key, action, payload));
    };
    add("create_cart", begins);
    for (sku, quantity) in lines {
        add("add_line_item", &json!({"sku": sku, "quantity": quantity}));
    }
    if let Some(code) = coupon {
        add("apply_coupon", &json!({"coupon_code": code}));
    }
    add("set_tendering", &json!({}));
    add("add_payment", &json!({"tender": "card", "amount": gbp(paid)}));
    add("finalize_order", &json!({}));
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

/// A coupon of 0.05 off that may be used so often.
async fn coupon(world: &World, code: &str, limits: (Option<u32>, Option<u32>)) {
    let off = json!({"fixed_amount": {"amount": 5}});
    world.coupon(code, off, json!({"currency": "GBP"}), limits).await;
}

fn three() -> Vec<Value> {
    let one = |n: usize| sale(&format!("off-{n}"), &json!({}), &[("B", 1)], Some("LAST"), 95);
    (0..3).flat_map(one).collect()
}

#[tokio::test]
async fn of_three_sales_with_a_coupon_of_one_use_two_are_tasks() {
    let world = World::open().await;
    coupon(&world, "LAST", (Some(1), None)).await;
    assert!(upload(&world.shop.ports, &three()).await.is_empty());
    assert_eq!(world.used("LAST"), 3);
    let tasks = tasks(&world).await;
    assert_eq!(tasks.len(), 2, "{tasks:?}");
    for (order, what, uses) in &tasks {
        assert!(order.starts_with("off-"));
        assert_eq!((what.as_str(), *uses), ("LAST", 1));
    }
    let told = listed(&world, ExceptionStatus::Open).await.remove(0);
    assert_eq!((told.register_id.as_deref(), told.employee_id.as_deref()), (Some("r-1"), Some("e-7")));
    assert_eq!((told.limit, told.customer_id, told.location_id.as_str()), (Some(1), None, STORE));
    assert_eq!(told.occurred_at, "2010-12-01T08:26:00Z".parse().unwrap());
    assert_eq!(told.opened_at, "2010-12-01T08:30:00Z".parse().unwrap());
    assert_eq!(Some(told.reference), told.order_id);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn however_often_and_from_wherever_it_is_uploaded_it_is_two() {
    let world = World::open().await;
    coupon(&world, "LAST", (Some(1), None)).await;
    let places: Vec<_> = (0..2)
        .map(|_| {
            let ports = world.shop.ports.clone();
            tokio::spawn(async move {
                for _ in 0..50 {
                    assert!(upload(&ports, &three()).await.is_empty());
                }
            })
        })
        .collect();
    for place in places {
        place.await.unwrap();
    }
    assert_eq!((tasks(&world).await.len(), world.used("LAST")), (2, 3));
}

/// Carts of their own at the same moment: of all uses but one, each is a task, and none is counted twice.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn of_many_sales_at_once_all_but_what_the_limit_allows_are_tasks() {
    let world = World::open().await;
    coupon(&world, "FEW", (Some(3), None)).await;
    let uploads: Vec<_> = (0..24)
        .map(|n| {
            let ports = world.shop.ports.clone();
            let commands = sale(&format!("c-{n}"), &json!({}), &[("B", 1)], Some("FEW"), 95);
            tokio::spawn(async move { upload(&ports, &commands).await })
        })
        .collect();
    for one in uploads {
        assert!(one.await.unwrap().is_empty());
    }
    assert_eq!((tasks(&world).await.len(), world.used("FEW")), (21, 24));
}

#[tokio::test]
async fn an_online_sale_above_the_limit_is_refused_and_nobody_has_to_look() {
    let world = World::open().await;
    coupon(&world, "LAST", (Some(1), None)).await;
    for cart in ["one", "two"] {
        world.cart(cart, &[("B", 1)]).await;
        world.send(cart, "apply_coupon", json!({"coupon_code": "LAST"})).await;
        world.send(cart, "set_tendering", json!({})).await;
        world.send(cart, "add_payment", json!({"tender": "card", "amount": gbp(95)})).await;
    }
    world.send("one", "finalize_order", json!({})).await;
    assert_eq!(world.refused("two", "finalize_order", json!({})).await, "coupon_limit_reached");
    assert!(tasks(&world).await.is_empty());
    assert_eq!(world.used("LAST"), 1);
    // The same cart, uploaded by its register, was sold.
    let last = envelope(STORE, "r-1", "again", "finalize_order", json!({"cart_id": "two"}));
    assert!(upload(&world.shop.ports, &[last]).await.is_empty());
    assert_eq!((tasks(&world).await, world.used("LAST")), (vec![task("two", "LAST", 1)], 2));
}

/// What was used goes back with a void. Who gave it is still to be asked: the task stays until somebody settles it.
#[tokio::test]
async fn a_void_gives_the_use_back_and_leaves_the_task() {
    let world = World::open().await;
    coupon(&world, "LAST", (Some(1), None)).await;
    upload(&world.shop.ports, &three()).await;
    let left = tasks(&world).await;
    let order = left[0].0.clone();
    world.shop.command("v", "void_order", json!({"order_id": order, "reason": "x"})).await.unwrap();
    assert_eq!((world.used("LAST"), tasks(&world).await), (2, left));
    // Sold again, it is another order and another task.
    upload(&world.shop.ports, &sale("again", &json!({}), &[("B", 1)], Some("LAST"), 95)).await;
    assert_eq!((world.used("LAST"), tasks(&world).await.len()), (3, 3));

    let id = listed(&world, ExceptionStatus::Open).await.remove(0).exception_id;
    let request = ResolveExceptionRequest { reason: "talked to e-7".into(), note: None };
    let who = manager();
    let resolve = || exceptions::resolve(&world.shop.ports, &who, "k", &id, &request);
    let resolved = resolve().await.unwrap();
    assert_eq!(resolved.exception.status, ExceptionStatus::Resolved);
    assert!(resolve().await.unwrap().replayed);
    assert_eq!(listed(&world, ExceptionStatus::Resolved).await, [resolved.exception]);
    upload(&world.shop.ports, &three()).await;
    assert_eq!(tasks(&world).await.len(), 2, "what is settled is not opened by the same upload again");
    let mut far = manager();
    far.stores = tillstream_app::tenancy::Stores::Named(["s-2".to_owned()].into());
    let refused = exceptions::resolve(&world.shop.ports, &far, "l", &id, &request).await.unwrap_err();
    assert_eq!(refused.code(), Some("store_out_of_reach"));
}

/// A promotion takes several uses at once: only those above the limit are told. Where a customer's own limit and that
/// of all together are exceeded both, it is one task, of the one that is exceeded by more.
#[tokio::test]
async fn what_is_above_is_told_of_the_limit_that_it_is_above() {
    let world = World::open().await;
    let free = json!({"benefit": {"buy_get": {"buy": 1, "get": 1, "bps": 10_000}}, "target": {"skus": ["B"]},
        "limits": {"total": 5, "per_customer": 4}});
    world.promotion("two-for-one", free).await;
    let ann = json!({"customer_id": "ann"});
    let sold = async |cart: &str, begins: &Value, pieces: i64, paid: i64| {
        let refused = upload(&world.shop.ports, &sale(cart, begins, &[("B", pieces)], None, paid)).await;
        assert!(refused.is_empty(), "{cart}: {refused:?}");
    };
    // Three of her four, and of five for all.
    sold("first", &ann, 6, 300).await;
    assert!(tasks(&world).await.is_empty());
    // Three more: two are above hers, one above that of all.
    sold("second", &ann, 6, 300).await;
    assert_eq!(tasks(&world).await, [task("second", "two-for-one", 2)]);
    let told = listed(&world, ExceptionStatus::Open).await.remove(0);
    assert_eq!((told.limit, told.customer_id.as_deref()), (Some(4), Some("ann")));
    // Bob has not used it: his are above that of all.
    sold("third", &json!({"customer_id": "bob"}), 4, 200).await;
    assert_eq!(tasks(&world).await, [task("second", "two-for-one", 2), task("third", "two-for-one", 2)]);
    let told = listed(&world, ExceptionStatus::Open).await.pop().unwrap();
    assert_eq!(
        (told.limit, told.customer_id, told.promotion_id.as_deref()),
        (Some(5), None, Some("two-for-one"))
    );
}

/// Of a counter over many parts, a use is above only where no part has any left.
#[tokio::test]
async fn a_split_counter_is_used_up_before_anybody_has_to_look() {
    let world = World::open().await;
    coupon(&world, "MANY", (Some(200), None)).await;
    for part in 0..16_u32 {
        // Shares of 200 over 16: eight parts of 13, eight of 12; one is left in part 9.
        let share = if part < 8 { 13 } else { 12 };
        let used = share - i64::from(part == 9);
        let item = Item::new(&world.shop.scope.uses("coupon", "MANY", part)).with("used", used);
        let write = Write::Put { table: Table::Orders, item, condition: None };
        world.database.write(write).await.unwrap();
    }
    let sold = async |cart: &str| {
        let refused = upload(&world.shop.ports, &sale(cart, &json!({}), &[("B", 1)], Some("MANY"), 95)).await;
        assert!(refused.is_empty(), "{cart}: {refused:?}");
    };
    sold("last").await;
    assert_eq!((world.used("MANY"), tasks(&world).await), (200, vec![]));
    sold("above").await;
    assert_eq!((world.used("MANY"), tasks(&world).await), (201, vec![task("above", "MANY", 1)]));
    // What is given back is there for whoever is next.
    for order in ["last", "above"] {
        let void = json!({"order_id": order, "reason": "x"});
        world.shop.command(order, "void_order", void).await.unwrap();
    }
    sold("next").await;
    assert_eq!((world.used("MANY"), tasks(&world).await.len()), (200, 1));
}

/// What another system sold is counted like that too, whatever the settings say of registers.
#[tokio::test]
async fn a_recorded_sale_above_the_limit_is_a_task() {
    for settings in [OfflineUses::Allow, OfflineUses::Refuse] {
        let world = World::open().await;
        set(&world, settings).await;
        coupon(&world, "LAST", (Some(1), None)).await;
        let half = json!({"percentage": {"bps": 5_000}});
        world.promotion("once", json!({"automatic": false, "benefit": half, "limits": {"total": 1}})).await;
        for id in ["s-1", "s-2", "s-1", "s-2"] {
            let sent = json!({"order_id": id, "store_id": STORE, "channel": "market",
                "occurred_at": "2010-11-30T10:00:00Z", "lines": [{"sku": "B", "quantity": 1}],
                "coupons": ["LAST"], "promotions": ["once"],
                "payments": [{"tender": "card", "amount": gbp(45), "tip": gbp(5)}]});
            let who = caller("demo", &[Role::Integration]);
            let sent = tillstream_contracts::strict_json::typed(sent).unwrap();
            let recorded = record(&world.shop.ports, &who, id, sent).await.unwrap();
            assert_eq!(recorded.cart.totals().unwrap().tips, 5);
        }
        assert_eq!(tasks(&world).await, [task("s-2", "LAST", 1), task("s-2", "once", 1)]);
        assert_eq!(world.used("LAST"), 2);
    }
}

async fn set(world: &World, offline_uses_above_limit: OfflineUses) {
    let settings = TenantSettings { offline_uses_above_limit, ..TenantSettings::default() };
    world.put(settings_item(&world.shop.scope, &settings).unwrap()).await;
    world.later();
}

#[tokio::test]
async fn a_tenant_may_refuse_what_is_above() {
    let world = World::open().await;
    coupon(&world, "LAST", (Some(1), None)).await;
    set(&world, OfflineUses::Refuse).await;
    // Both were given the coupon before either was final: at the till online as in the upload.
    let upload_of = |cart: &str| sale(cart, &json!({}), &[("B", 1)], Some("LAST"), 95);
    let mut finals = Vec::new();
    for cart in ["one", "two"] {
        let mut commands = upload_of(cart);
        finals.push(commands.pop().unwrap());
        assert!(upload(&world.shop.ports, &commands).await.is_empty());
    }
    assert_eq!(upload(&world.shop.ports, &finals).await, ["coupon_limit_reached"]);
    assert_eq!((world.used("LAST"), tasks(&world).await), (1, vec![]));
    // Whoever comes later is told when the coupon is applied, and that sale is not made final without it.
    assert_eq!(
        upload(&world.shop.ports, &upload_of("three")).await,
        ["coupon_limit_reached", "earlier_command_failed"]
    );
    assert_eq!((world.used("LAST"), tasks(&world).await), (1, vec![]));
    // Somebody settles it, and the sale is not lost.
    let pay = json!({"cart_id": "three", "tender": "cash", "amount": gbp(5)});
    world.shop.command("rest", "add_payment", pay).await.unwrap();
    world.shop.command("three", "finalize_order", json!({"cart_id": "three"})).await.unwrap();
    // Allowed again, what waited is counted and told.
    set(&world, OfflineUses::Allow).await;
    assert!(upload(&world.shop.ports, &finals).await.is_empty());
    assert_eq!((world.used("LAST"), tasks(&world).await), (2, vec![task("two", "LAST", 1)]));
}

/// Of a limited promotion the same: with `refuse` it is given as at a till that is online.
#[tokio::test]
async fn a_promotion_that_is_used_up_is_not_given_to_whom_it_is_refused() {
    for (settings, codes, used) in
        [(OfflineUses::Allow, vec![], 2), (OfflineUses::Refuse, vec!["underpaid"], 1)]
    {
        let world = World::open().await;
        set(&world, settings).await;
        let half = json!({"percentage": {"bps": 5_000}});
        world.promotion("few", json!({"benefit": half, "limits": {"total": 1}})).await;
        world.later();
        let sold = |cart: &str| sale(cart, &json!({}), &[("B", 2)], None, 100);
        assert!(upload(&world.shop.ports, &sold("one")).await.is_empty());
        assert_eq!(upload(&world.shop.ports, &sold("two")).await, codes, "{settings:?}");
        let items = world.database.items(Table::Orders);
        assert_eq!(items.iter().filter_map(|item| item.opt_number("used")).sum::<i64>(), used);
        assert_eq!(tasks(&world).await.len(), usize::try_from(used - 1).unwrap());
    }
}

/// Of more SKUs than a transaction takes, and one of them short.
async fn long_sale(world: &World, cart: &str) -> Vec<Value> {
    let skus: Vec<String> = (0..120).map(|n| format!("P{n}")).collect();
    for sku in &skus {
        world.shop.product(STORE, sku, "1", 10).await.unwrap();
    }
    let lines: Vec<(&str, i64)> = skus.iter().map(|sku| (sku.as_str(), 1)).collect();
    sale(cart, &json!({}), &lines, Some("LAST"), 11_995)
}

#[tokio::test]
async fn a_long_sale_above_the_limit_is_a_task_by_its_plan() {
    for (settings, codes, used) in
        [(OfflineUses::Allow, vec![], 2), (OfflineUses::Refuse, vec!["coupon_limit_reached"], 1)]
    {
        let world = World::open().await;
        coupon(&world, "LAST", (Some(1), None)).await;
        set(&world, settings).await;
        let mut commands = long_sale(&world, "long").await;
        let last = commands.pop().unwrap();
        assert!(upload(&world.shop.ports, &commands).await.is_empty());
        upload(&world.shop.ports, &sale("short", &json!({}), &[("B", 1)], Some("LAST"), 95)).await;
        for _ in 0..2 {
            assert_eq!(upload(&world.shop.ports, std::slice::from_ref(&last)).await, codes, "{settings:?}");
        }
        assert_eq!(world.used("LAST"), used);
        let expected = if codes.is_empty() { vec![task("long", "LAST", 1)] } else { vec![] };
        assert_eq!(tasks(&world).await, expected);
        let p7 = world.shop.counters(STORE, "P7").await.unwrap();
        assert_eq!((p7.on_hand, p7.reserved), (11_000 - used * 1_000, 0), "sold, or nothing held");
    }
}

/// Wherever the process dies that makes a long sale final, the schedule or the next upload ends it: one use, one task.
#[tokio::test]
async fn a_death_at_any_step_leaves_one_task() {
    let mut died = 0;
    for step in 0..6 {
        for fault in [Fault::DiesBefore, Fault::DiesAfter] {
            let world = World::open().await;
            coupon(&world, "LAST", (Some(1), None)).await;
            let mut commands = long_sale(&world, "long").await;
            let last = commands.pop().unwrap();
            upload(&world.shop.ports, &sale("short", &json!({}), &[("B", 1)], Some("LAST"), 95)).await;
            assert!(upload(&world.shop.ports, &commands).await.is_empty());
            let dying = Arc::new(FaultyDatabase::new(world.database.clone()));
            dying.script(Operation::Transact, std::iter::repeat_n(None, step).chain([Some(fault)]));
            let ports = Ports { database: dying.clone(), environment: world.environment.clone() };
            let sent = last.clone();
            let dies = tokio::spawn(async move { upload(&ports, &[sent]).await });
            for _ in 0..20_000 {
                if dies.is_finished() {
                    break;
                }
                tokio::task::yield_now().await;
            }
            dies.abort();
            died += usize::from(!dying.injected().is_empty());
            let later = world.environment.now() + jiff::SignedDuration::from_mins(1);
            plan::recover(&world.shop.ports, later, 10, Timestamp::MAX).await.unwrap();
            assert!(upload(&world.shop.ports, &[last]).await.is_empty());
            let (label, told) = (format!("{fault:?} {step}"), ("long".to_owned(), "LAST".to_owned(), 1));
            assert_eq!(tasks(&world).await, std::slice::from_ref(&told), "{label}");
            assert_eq!(world.used("LAST"), 2, "{label}");
        }
    }
    assert!(died >= 8, "{died}");
}

/// A fault at any write of a short sale: one use, one task.
#[tokio::test]
async fn a_lost_answer_makes_no_second_task() {
    for fault in [Fault::Throttled, Fault::Conflict, Fault::TimedOutBefore, Fault::AnswerLost] {
        for call in 0..4 {
            let world = World::open().await;
            coupon(&world, "LAST", (Some(1), None)).await;
            upload(&world.shop.ports, &sale("first", &json!({}), &[("B", 1)], Some("LAST"), 95)).await;
            let faulty = Arc::new(FaultyDatabase::new(world.database.clone()));
            faulty.script(Operation::Transact, std::iter::repeat_n(None, call).chain([Some(fault)]));
            let ports = Ports { database: faulty, environment: world.environment.clone() };
            let commands = sale("second", &json!({}), &[("B", 1)], Some("LAST"), 95);
            for _ in 0..2 {
                assert!(upload(&ports, &commands).await.is_empty(), "{fault:?} {call}");
            }
            assert_eq!((tasks(&world).await, world.used("LAST")), (vec![task("second", "LAST", 1)], 2));
        }
    }
}

/// Where others are at the counter all the time, what was given already is not refused for that: it waits.
#[tokio::test]
async fn trouble_with_a_counter_never_refuses_what_was_given() {
    let world = World::open().await;
    coupon(&world, "LAST", (Some(1), None)).await;
    let mut commands = sale("c", &json!({}), &[("B", 1)], Some("LAST"), 95);
    let last = commands.pop().unwrap();
    upload(&world.shop.ports, &commands).await;
    let busy = Arc::new(FaultyDatabase::new(world.database.clone()));
    busy.keep_busy("uses#coupon");
    let ports = Ports { database: busy, environment: world.environment.clone() };
    let who = caller("demo", &[Role::Cashier]);
    let (outcomes, go_on) = batch::run(&ports, &who, vec![last.clone()], Timestamp::MAX).await;
    assert!(outcomes.is_empty() && go_on == Some(0), "to be sent again");
    assert!(upload(&world.shop.ports, &[last]).await.is_empty());
    assert_eq!(world.used("LAST"), 1);
}

/// An exchange that was made offline: its sale's use is above the limit.
#[tokio::test]
async fn an_exchange_above_the_limit_is_a_task() {
    let world = World::open().await;
    coupon(&world, "LAST", (Some(1), None)).await;
    upload(&world.shop.ports, &sale("first", &json!({}), &[("B", 1)], Some("LAST"), 95)).await;
    let mut commands = sale("new", &json!({}), &[("A", 1)], Some("LAST"), 155);
    commands.pop();
    let at = |key: &str, action: &str, payload: Value| envelope(STORE, "r-1", key, action, payload);
    let start = json!({"return_id": "back", "original_order_id": "first", "reason": "x"});
    commands.push(at("r-1", "start_return", start));
    let line = json!({"return_id": "back", "line_id": "l-1", "quantity": 1, "disposition": "restock"});
    commands.push(at("r-2", "return_line_item", line));
    let exchange = at("r-3", "finalize_exchange", json!({"return_id": "back", "cart_id": "new"}));
    commands.push(exchange);
    for _ in 0..2 {
        assert_eq!(upload(&world.shop.ports, &commands).await, Vec::<&str>::new());
    }
    assert_eq!((tasks(&world).await, world.used("LAST")), (vec![task("new", "LAST", 1)], 2));
}

/// The refusal of one who cannot have any is no task either.
#[tokio::test]
async fn whoever_is_next_online_is_refused() {
    let world = World::open().await;
    coupon(&world, "LAST", (Some(1), None)).await;
    upload(&world.shop.ports, &three()).await;
    world.cart("next", &[("B", 1)]).await;
    let refused = world.at("r-1", "next", "apply_coupon", json!({"coupon_code": "LAST"})).await;
    assert!(matches!(refused, Err(Error::Rejected(refusal)) if refusal.code == "coupon_limit_reached"));
    assert_eq!(tasks(&world).await.len(), 2);
}

/// A promotion of 200 uses, which are counted in sixteen parts, with so many left of each.
async fn promotion_in_parts(world: &World, left: impl Fn(u32) -> u32) {
    let penny = json!({"fixed_amount": {"amount": 1, "per": "unit"}});
    let many =
        json!({"benefit": penny, "currency": "GBP", "target": {"skus": ["B"]}, "limits": {"total": 200}});
    world.promotion("many", many).await;
    for part in 0..16_u32 {
        // Thirteen each of the first eight, twelve of the others.
        let share = if part < 8 { 13 } else { 12 };
        let used = i64::from(share - left(part));
        let item = Item::new(&world.shop.scope.uses("promotion", "many", part)).with("used", used);
        let write = Write::Put { table: Table::Orders, item, condition: None };
        world.database.write(write).await.unwrap();
    }
}

/// A register that is cut off lets go of the customer of whom a coupon is one: the sale is kept, and counted among all uses.
#[tokio::test]
async fn a_coupon_of_a_customer_that_a_sale_has_no_more_is_counted_among_all() {
    let world = World::open().await;
    coupon(&world, "MINE", (Some(10), Some(1))).await;
    let mut commands = sale("off", &json!({"customer_id": "k"}), &[("B", 1)], Some("MINE"), 95);
    let none = json!({"cart_id": "off", "customer_id": null});
    commands.insert(3, envelope(STORE, "r-1", "off-none", "set_customer", none));
    let who = caller("demo", &[Role::Cashier]);
    let (finalize, before) = commands.split_last().unwrap();
    assert!(upload(&world.shop.ports, before).await.is_empty());
    let online = tillstream_app::pos::execute::execute(&world.shop.ports, &who, finalize.clone()).await;
    assert_eq!(online.err().and_then(|error| error.code()), Some("coupon_needs_customer"));
    for _ in 0..2 {
        assert!(upload(&world.shop.ports, &commands).await.is_empty());
        assert_eq!(world.used("MINE"), 1);
    }
    assert!(world.order("off").await.finalized.is_some());
}

/// Of a promotion whose counter is split: what is left anywhere is taken first, and only the rest is above.
#[tokio::test]
async fn a_sale_takes_what_is_left_of_every_part_before_it_is_a_task() {
    let world = World::open().await;
    // Of two parts one use is left.
    promotion_in_parts(&world, |part| u32::from([2, 9].contains(&part))).await;
    for _ in 0..2 {
        assert!(upload(&world.shop.ports, &sale("off", &json!({}), &[("B", 3)], None, 297)).await.is_empty());
        assert_eq!(tasks(&world).await, [task("off", "many", 1)]);
        let items = world.database.items(Table::Orders);
        let used: Vec<i64> = items.iter().filter_map(|item| item.opt_number("used")).collect();
        assert_eq!(used.iter().sum::<i64>(), 201, "{used:?}");
    }
}

/// What is left is over more parts than one sale takes from. Online such a sale is refused; what was given already is
/// counted on the first part, and is a task: the other parts still have as much, and give it to whoever takes from one.
#[tokio::test]
async fn what_is_left_over_too_many_parts_is_a_task_where_it_was_given() {
    let world = World::open().await;
    // One use is left of each of sixteen parts.
    promotion_in_parts(&world, |_| 1).await;
    let used = || {
        let items = world.database.items(Table::Orders);
        let of = |part| {
            let key = world.shop.scope.uses("promotion", "many", part);
            let named = items.iter().find(|item| item.opt_text("pk") == Some(key.pk()));
            named.and_then(|item| item.opt_number("used")).unwrap_or(0)
        };
        (0..16_u32).map(of).collect::<Vec<i64>>()
    };
    for _ in 0..2 {
        let refused = upload(&world.shop.ports, &sale("off", &json!({}), &[("B", 12)], None, 1_188)).await;
        assert!(refused.is_empty(), "{refused:?}");
        let used = used();
        assert_eq!(used.iter().sum::<i64>(), 184 + 12, "{used:?}");
        assert!(used[0] > 13, "{used:?}");
        assert_eq!(tasks(&world).await, [task("off", "many", used[0] - 13)], "{used:?}");
    }
}
