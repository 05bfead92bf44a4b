//! Whole orders with coupons, promotions by hand, modifiers, notes and tips: what a till would make of them, or the
//! refusal of a till at the field that it is about.

use std::collections::BTreeSet;

use tillstream_app::capacity::Operation;
use tillstream_app::environment::Environment as _;
use tillstream_app::orders::place::place;
use tillstream_app::orders::read;
use tillstream_app::orders::status::change;
use tillstream_app::pos::cart_write::Executed;
use tillstream_domain::cart::Cart;
use tillstream_testkit::faults::Fault;

use super::*;

pub(super) fn order(id: &str, lines: Value, more: Value) -> Value {
    let mut order = json!({"order_id": id, "store_id": STORE, "channel": "web", "lines": lines});
    order.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    order
}

pub(super) fn one_of(sku: &str) -> Value {
    json!([{"sku": sku, "quantity": 1}])
}

pub(super) async fn send(ports: &Ports, key: &str, order: Value) -> Result<Executed> {
    let order = tillstream_contracts::strict_json::typed(order).unwrap();
    place(ports, &caller("demo", &[Role::Integration]), key, order).await
}

/// Code and field of a refusal.
pub(super) fn named(answer: Result<Executed>) -> (String, String) {
    match answer {
        Ok(executed) => panic!("{:?}", executed.cart),
        Err(Error::Rejected(refusal)) => {
            let field = refusal.errors.first().map(|error| error.field.clone());
            (refusal.code.to_owned(), field.unwrap_or_default())
        }
        Err(error) => panic!("{error}"),
    }
}

pub(super) fn snapshot(world: &World) -> Vec<Vec<Item>> {
    Table::ALL.into_iter().map(|table| world.database.items(table)).collect()
}

fn all_used(world: &World) -> Vec<i64> {
    world.database.items(Table::Orders).iter().filter_map(|item| item.opt_number("used")).collect()
}

async fn rules(world: &World) {
    world.settings(TaxMode::Exclusive, TaxRounding::PerLine, 0).await;
    world.tax("VAT", 2_000, &["food"]).await;
    let half = json!({"percentage": {"bps": 5_000}});
    world
        .promotion(
            "by-hand",
            json!({"automatic": false, "benefit": half, "target": {"skus": ["A"]}, "limits": {"total": 9}}),
        )
        .await;
    world.coupon("TEN", json!({"percentage": {"bps": 1_000}}), json!({}), (Some(5), Some(2))).await;
}

/// What a cart was charged and asked for, beside what differs between a till and elsewhere.
pub(super) fn charged(cart: &Cart) -> impl PartialEq + std::fmt::Debug {
    let lines: Vec<_> = cart
        .lines
        .iter()
        .map(|line| (line.sku.clone(), line.quantity, line.unit_price, line.notes.clone()))
        .collect();
    (lines, cart.charges.clone(), cart.terms.lines.clone(), cart.totals().unwrap())
}

#[tokio::test]
async fn an_order_is_what_a_till_would_have_made_of_it() {
    let world = World::open().await;
    rules(&world).await;
    world.cart("till", &[]).await;
    world.send("till", "set_customer", json!({"customer_id": "ann"})).await;
    let modifiers = json!([{"modifier_id": "large"}, {"name": "well done"}]);
    let line = json!({"sku": "FOOD", "quantity": 3, "modifiers": modifiers, "notes": "for two"});
    world.send("till", "add_line_item", line.clone()).await;
    world.send("till", "add_line_item", json!({"sku": "A", "quantity": 2})).await;
    world.send("till", "apply_coupon", json!({"coupon_code": "TEN"})).await;
    world.send("till", "apply_promo", json!({"promo_id": "by-hand"})).await;
    let due = world.send("till", "set_tendering", json!({})).await["totals"]["due"].clone();
    world.send("till", "add_payment", json!({"tender": "card", "amount": due, "tip": gbp(150)})).await;
    world.send("till", "finalize_order", json!({})).await;
    let till = world.order("till").await;
    assert_eq!(all_used(&world), [1, 1, 1], "of the coupon, of its customer, of the promotion");

    let wanted = order(
        "web",
        json!([line, {"sku": "A", "quantity": 2}]),
        json!({"customer_id": "ann", "coupons": ["TEN"], "promotions": ["by-hand"],
            "payments": [{"tender": "card", "amount": due, "tip": gbp(150)}]}),
    );
    for replayed in [false, true] {
        let placed = send(&world.shop.ports, "k", wanted.clone()).await.unwrap();
        assert_eq!(placed.replayed, replayed);
        assert_eq!(charged(&placed.cart), charged(&till));
        assert_eq!(placed.cart.totals().unwrap().tips, 150);
    }
    assert_eq!(all_used(&world), [2, 2, 2], "once more each, however often it is sent");
    let mut other = wanted.clone();
    other["coupons"] = json!([]);
    assert_eq!(named(send(&world.shop.ports, "k", other).await).0, "idempotency_key_reused");
    // The customer's own uses are gone now.
    let mut third = wanted.clone();
    third["order_id"] = "third".into();
    let refused = named(send(&world.shop.ports, "l", third).await);
    assert_eq!(refused, ("coupon_limit_reached".to_owned(), "coupons[0]".to_owned()));

    let before = world.shop.counters(STORE, "FOOD").await.unwrap().on_hand;
    let cancel = || serde_json::from_value(json!({"status": "cancelled"})).unwrap();
    for _ in 0..2 {
        let who = caller("demo", &[Role::Integration]);
        change(&world.shop.ports, &who, "c", "web", cancel(), |_| Ok(())).await.unwrap();
    }
    assert_eq!(all_used(&world), [1, 1, 1], "given back once");
    assert_eq!(world.shop.counters(STORE, "FOOD").await.unwrap().on_hand, before + 3_000);
    let read = read::get(&world.shop.ports, &caller("demo", &[Role::Analyst]), "web").await.unwrap();
    let read = serde_json::to_value(read).unwrap();
    assert_eq!(read["refunds"], json!([{"tender": "card", "amount": due, "tip": gbp(150)}]));
    assert_eq!(
        (&read["lines"][0]["notes"], &read["discounts"][0]["id"]),
        (&json!("for two"), &json!("by-hand"))
    );
}

#[tokio::test]
async fn every_refusal_of_a_till_names_the_field_of_the_order() {
    let world = World::open().await;
    rules(&world).await;
    let off = json!({"fixed_amount": {"amount": 10}});
    let pounds = json!({"currency": "GBP"});
    let with = |more: Value| {
        let mut all = pounds.clone();
        all.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        all
    };
    world.coupon("OLD", off.clone(), with(json!({"valid_to": "2010-12-01T08:00:00Z"})), (None, None)).await;
    world.coupon("NEW", off.clone(), with(json!({"valid_from": "2010-12-02T08:00:00Z"})), (None, None)).await;
    world.coupon("ONE", off.clone(), pounds.clone(), (Some(1), None)).await;
    world.coupon("FRANCS", off.clone(), json!({"currency": "CHF"}), (None, None)).await;
    world.coupon("FOOD-ONLY", off.clone(), with(json!({"target": {"skus": ["FOOD"]}})), (None, None)).await;
    world.coupon("RICH", off.clone(), with(json!({"minimum_spend": 10_000})), (None, None)).await;
    let unlocks = |id: &str| json!({"promotion": {"promotion_id": id}});
    world.coupon("UNLOCKS", unlocks("unlocked"), json!({}), (None, None)).await;
    world.coupon("LOCKED", unlocks("app-only"), json!({}), (None, None)).await;
    let half = json!({"percentage": {"bps": 5_000}});
    let by_hand = |more: Value| {
        let mut all = json!({"automatic": false, "benefit": half});
        all.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        all
    };
    world.promotion("unlocked", by_hand(json!({}))).await;
    world.promotion("app-only", by_hand(json!({"conditions": {"channels": ["app"]}}))).await;
    world.promotion("gold-only", by_hand(json!({"conditions": {"segments": ["gold"]}}))).await;
    world.promotion("elsewhere", by_hand(json!({"conditions": {"stores": ["s-2"]}}))).await;
    let ended = json!({"conditions": {"valid_to": "2010-12-01T08:00:00Z"}});
    world.promotion("ended", by_hand(ended)).await;
    let to_come = json!({"conditions": {"valid_from": "2010-12-02T08:00:00Z"}});
    world.promotion("to-come", by_hand(to_come)).await;
    world.promotion("once", by_hand(json!({"limits": {"total": 1}}))).await;
    // What is automatic may be named, too.
    world.promotion("app-always", json!({"benefit": half, "conditions": {"channels": ["app"]}})).await;
    let first = order("first", one_of("A"), json!({"coupons": ["ONE"], "promotions": ["once"]}));
    send(&world.shop.ports, "first", first).await.unwrap();
    let unlocked = send(&world.shop.ports, "u", order("u", one_of("B"), json!({"coupons": ["UNLOCKS"]})));
    assert_eq!(unlocked.await.unwrap().cart.totals().unwrap().total, 50);

    let before = snapshot(&world);
    let coupons = |codes: &[&str]| order("o", one_of("A"), json!({"coupons": codes}));
    let promotions = |ids: &[&str]| order("o", one_of("A"), json!({"promotions": ids}));
    let line = |name: &str, value: Value| {
        let mut order =
            order("o", json!([{"sku": "A", "quantity": 1}, {"sku": "FOOD", "quantity": 1}]), json!({}));
        order["lines"][1][name] = value;
        order
    };
    let tip = |tip: Value| {
        let paid = json!([{"tender": "card", "amount": gbp(255), "tip": tip}]);
        order("o", one_of("A"), json!({"payments": paid}))
    };
    let many = |count: usize| (0..count).map(|n| format!("c-{n}")).collect::<Vec<_>>();
    let wish = |count: usize| Value::from(vec![json!({"name": "x"}); count]);
    for (wanted, code, field) in [
        (coupons(&["NONE"]), "coupon_not_found", "coupons[0]"),
        (coupons(&["a b"]), "id_malformed", "coupons[0]"),
        (coupons(&["TEN", "TEN"]), "coupon_already_applied", "coupons[1]"),
        (coupons(&["TEN"]), "coupon_needs_customer", "coupons[0]"),
        (coupons(&["OLD"]), "coupon_expired", "coupons[0]"),
        (coupons(&["NEW"]), "coupon_not_valid", "coupons[0]"),
        (coupons(&["FRANCS"]), "coupon_not_valid", "coupons[0]"),
        (coupons(&["UNLOCKS", "ONE"]), "coupon_limit_reached", "coupons[1]"),
        (coupons(&["FOOD-ONLY"]), "coupon_takes_nothing_off", "coupons[0]"),
        (coupons(&["UNLOCKS", "RICH"]), "coupon_takes_nothing_off", "coupons[1]"),
        (coupons(&["LOCKED"]), "coupon_takes_nothing_off", "coupons[0]"),
        (order("o", one_of("A"), json!({"coupons": many(11)})), "too_many_coupons", "coupons"),
        (promotions(&["none"]), "promotion_not_found", "promotions[0]"),
        (promotions(&["a b"]), "id_malformed", "promotions[0]"),
        (promotions(&["unlocked", "ended"]), "promotion_expired", "promotions[1]"),
        (promotions(&["to-come"]), "promotion_not_valid", "promotions[0]"),
        (promotions(&["app-only"]), "promotion_takes_nothing_off", "promotions[0]"),
        (promotions(&["gold-only"]), "promotion_takes_nothing_off", "promotions[0]"),
        (promotions(&["elsewhere"]), "promotion_takes_nothing_off", "promotions[0]"),
        (promotions(&["app-always"]), "promotion_takes_nothing_off", "promotions[0]"),
        (promotions(&["once"]), "promotion_limit_reached", "promotions[0]"),
        (order("o", one_of("A"), json!({"promotions": many(101)})), "too_many_promotions", "promotions"),
        (
            line("modifiers", json!([{"modifier_id": "huge"}])),
            "modifier_not_found",
            "lines[1].modifiers[0].modifier_id",
        ),
        (line("modifiers", json!([{}])), "modifier_invalid", "lines[1].modifiers[0].modifier_id"),
        (
            line("modifiers", json!([{"modifier_id": "bare"}, {"name": "x"}, {"modifier_id": "bare"}])),
            "modifier_repeated",
            "lines[1].modifiers[2].modifier_id",
        ),
        (
            line("modifiers", json!([{"name": "x".repeat(101)}])),
            "text_too_long",
            "lines[1].modifiers[0].name",
        ),
        (line("modifiers", wish(51)), "too_many_modifiers", "lines[1].modifiers"),
        (line("notes", json!("x".repeat(501))), "text_too_long", "lines[1].notes"),
        (line("notes", json!("4111 1111 1111 1111")), "card_number_refused", "lines[1].notes"),
        (tip(gbp(-1)), "amount_not_positive", "payments[0].tip"),
        (tip(json!({"amount": 1, "currency": "CHF"})), "currency_mismatch", "payments[0].tip"),
    ] {
        let found = named(send(&world.shop.ports, "k", wanted.clone()).await);
        assert_eq!(found, (code.to_owned(), field.to_owned()), "{wanted}");
    }
    assert_eq!(snapshot(&world), before, "a refusal changed something");
    for (ids, reason) in
        [("app-only", "wrong_channel"), ("gold-only", "wrong_segment"), ("elsewhere", "wrong_store")]
    {
        let Err(Error::Rejected(refusal)) = send(&world.shop.ports, "k", promotions(&[ids])).await else {
            panic!("{ids}")
        };
        assert_eq!(refusal.extra["reason"], json!(reason));
    }
    // Everything that is right stands at its bound.
    let right = json!({"coupons": ["UNLOCKS", "FOOD-ONLY"], "promotions": ["unlocked"]});
    let lines = json!([{"sku": "FOOD", "quantity": 1, "modifiers": wish(50), "notes": "x".repeat(500)}]);
    send(&world.shop.ports, "k", order("o", lines, right)).await.unwrap();
}

async fn sixty_four(world: &World, lines: Value, more: Value) -> (Vec<Executed>, BTreeSet<String>) {
    let tasks: Vec<_> = (0..64)
        .map(|n| {
            let (shop, wanted) = (world.shop.clone(), order(&format!("o-{n}"), lines.clone(), more.clone()));
            tokio::spawn(async move { send(&shop.ports, &format!("k-{n}"), wanted).await })
        })
        .collect();
    let (mut placed, mut refused) = (Vec::new(), BTreeSet::new());
    for task in tasks {
        match task.await.unwrap() {
            Ok(executed) => placed.push(executed),
            refusal => {
                let (code, field) = named(refusal);
                assert!(field.ends_with("s[0]"), "{code}: {field}");
                refused.insert(code);
            }
        }
    }
    (placed, refused)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn of_64_orders_at_once_one_has_the_last_coupon() {
    let world = World::open().await;
    let off = json!({"fixed_amount": {"amount": 10}});
    world.coupon("LAST", off, json!({"currency": "GBP"}), (Some(1), None)).await;
    let (placed, refused) = sixty_four(&world, one_of("A"), json!({"coupons": ["LAST"]})).await;
    assert_eq!((placed.len(), world.used("LAST")), (1, 1));
    let known = ["coupon_limit_reached", "coupon_unavailable"].map(str::to_owned);
    assert!(refused.is_subset(&known.into()), "{refused:?}");
    assert_eq!(world.shop.counters(STORE, "A").await.unwrap().on_hand, 999_000);
    let orders = world.database.items(Table::Orders);
    assert_eq!(orders.iter().filter(|item| item.opt_text("sk") == Some("cart")).count(), 1);
}

/// A promotion that was asked for is given or refused, never left out.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn of_64_orders_at_once_one_has_the_last_use_of_a_promotion() {
    let world = World::open().await;
    let half = json!({"percentage": {"bps": 5_000}});
    world.promotion("once", json!({"automatic": false, "benefit": half, "limits": {"total": 1}})).await;
    let (placed, refused) = sixty_four(&world, one_of("B"), json!({"promotions": ["once"]})).await;
    assert_eq!((placed.len(), all_used(&world)), (1, vec![1]));
    assert_eq!(placed[0].cart.totals().unwrap().total, 50);
    let known = ["promotion_limit_reached", "promotion_unavailable"].map(str::to_owned);
    assert!(refused.is_subset(&known.into()), "{refused:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn of_twenty_of_the_same_order_with_the_last_coupon_all_are_that_order() {
    let world = World::open().await;
    let off = json!({"fixed_amount": {"amount": 10}});
    world.coupon("LAST", off, json!({"currency": "GBP"}), (Some(1), None)).await;
    let wanted = order("o", one_of("A"), json!({"coupons": ["LAST"]}));
    let tasks: Vec<_> = (0_u64..20)
        .map(|n| {
            // No two at the same moment: the same write twice is one to the database, and each would be the first.
            let environment = Arc::new(TestEnvironment::new(n));
            environment.set(world.environment.now() + jiff::SignedDuration::from_millis(n.cast_signed()));
            let ports = Ports { environment, ..world.shop.ports.clone() };
            let wanted = wanted.clone();
            tokio::spawn(async move { send(&ports, "k", wanted).await })
        })
        .collect();
    let (mut effects, mut numbers) = (0, BTreeSet::new());
    for task in tasks {
        let executed = task.await.unwrap().unwrap();
        effects += usize::from(!executed.replayed);
        numbers.insert(executed.cart.finalized.unwrap().number);
    }
    assert_eq!((effects, numbers.len(), world.used("LAST")), (1, 1, 1));
}

/// The repetition reads the counter after its twin took the last use.
#[tokio::test]
async fn an_order_is_not_refused_for_the_use_that_it_took_itself() {
    let mut frozen_at = 0;
    for step in 0..4 {
        let world = World::open().await;
        let off = json!({"fixed_amount": {"amount": 10}});
        world.coupon("LAST", off, json!({"currency": "GBP"}), (Some(1), None)).await;
        let wanted = order("o", one_of("A"), json!({"coupons": ["LAST"]}));
        let frozen = Arc::new(FaultyDatabase::new(world.database.clone()));
        frozen.script(Operation::GetMany, std::iter::repeat_n(None, step).chain([Some(Fault::Freezes)]));
        let ports = Ports { database: frozen.clone(), environment: world.environment.clone() };
        let late = wanted.clone();
        let task = tokio::spawn(async move { send(&ports, "k", late).await });
        while frozen.injected().is_empty() && !task.is_finished() {
            tokio::task::yield_now().await;
        }
        if frozen.injected().is_empty() {
            break;
        }
        frozen_at += 1;
        world.environment.advance(std::time::Duration::from_millis(1));
        assert!(!send(&world.shop.ports, "k", wanted).await.unwrap().replayed);
        frozen.thaw();
        let second = task.await.unwrap().unwrap_or_else(|e| panic!("frozen at {step}: {e}"));
        assert!(second.replayed && world.used("LAST") == 1, "{step}");
    }
    assert!(frozen_at >= 1, "no read to freeze in");
}

/// Of more SKUs than a transaction takes.
pub(super) async fn long_lines(world: &World) -> Value {
    let mut lines = Vec::new();
    for n in 0..120 {
        world.shop.product(STORE, &format!("P{n}"), "1", 10).await.unwrap();
        lines.push(json!({"sku": format!("P{n}"), "quantity": 1, "notes": "long"}));
    }
    lines.into()
}

#[tokio::test]
async fn a_long_order_redeems_its_coupon_by_its_plan() {
    let world = World::open().await;
    let off = json!({"fixed_amount": {"amount": 100}});
    world.coupon("LAST", off, json!({"currency": "GBP"}), (Some(1), None)).await;
    let half = json!({"percentage": {"bps": 5_000}});
    let by_hand = json!({"automatic": false, "benefit": half, "target": {"skus": ["P0"]}});
    world.promotion("by-hand", by_hand).await;
    let lines = long_lines(&world).await;
    let more = json!({"coupons": ["LAST"], "promotions": ["by-hand"],
        "payments": [{"tender": "card", "amount": gbp(11_850), "tip": gbp(7)}]});
    for replayed in [false, true] {
        let placed = send(&world.shop.ports, "one", order("one", lines.clone(), more.clone())).await.unwrap();
        assert_eq!((placed.replayed, placed.cart.totals().unwrap().tips), (replayed, 7));
        assert_eq!(placed.cart.lines[119].notes.as_deref(), Some("long"));
    }
    assert_eq!(world.used("LAST"), 1);
    let refused = named(send(&world.shop.ports, "two", order("two", lines.clone(), more.clone())).await);
    assert_eq!(refused, ("coupon_limit_reached".to_owned(), "coupons[0]".to_owned()));
    let p7 = world.shop.counters(STORE, "P7").await.unwrap();
    assert_eq!((p7.on_hand, p7.reserved, p7.available), (9_000, 0, 9_000), "nothing is held for the other");
    let cancel = serde_json::from_value(json!({"status": "cancelled"})).unwrap();
    let who = caller("demo", &[Role::Integration]);
    change(&world.shop.ports, &who, "c", "one", cancel, |_| Ok(())).await.unwrap();
    assert_eq!(world.used("LAST"), 0);
    // The same request, refused before, is placed now.
    send(&world.shop.ports, "two", order("two", lines, more)).await.unwrap();
    assert_eq!(world.used("LAST"), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn of_long_orders_at_once_one_has_the_last_coupon() {
    let world = World::open().await;
    let off = json!({"fixed_amount": {"amount": 100}});
    world.coupon("LAST", off, json!({"currency": "GBP"}), (Some(1), None)).await;
    let lines = long_lines(&world).await;
    let tasks: Vec<_> = (0..8)
        .map(|n| {
            let wanted = order(&format!("o-{n}"), lines.clone(), json!({"coupons": ["LAST"]}));
            let shop = world.shop.clone();
            tokio::spawn(async move { send(&shop.ports, &format!("k-{n}"), wanted).await })
        })
        .collect();
    let mut placed = 0;
    for task in tasks {
        match task.await.unwrap() {
            Ok(_) => placed += 1,
            Err(Error::Rejected(refusal)) => {
                assert_eq!(
                    (refusal.code, refusal.errors[0].field.as_str()),
                    ("coupon_limit_reached", "coupons[0]")
                );
            }
            Err(error) => panic!("{error}"),
        }
    }
    assert_eq!((placed, world.used("LAST")), (1, 1));
    let p7 = world.shop.counters(STORE, "P7").await.unwrap();
    assert_eq!((p7.on_hand, p7.reserved), (9_000, 0));
}

#[tokio::test]
async fn a_fault_at_any_write_makes_no_second_use() {
    for fault in [Fault::Throttled, Fault::Conflict, Fault::TimedOutBefore, Fault::AnswerLost] {
        for call in 0..3 {
            let world = World::open().await;
            let off = json!({"fixed_amount": {"amount": 10}});
            world.coupon("LAST", off, json!({"currency": "GBP"}), (Some(1), None)).await;
            let faulty = Arc::new(FaultyDatabase::new(world.database.clone()));
            faulty.script(Operation::Transact, std::iter::repeat_n(None, call).chain([Some(fault)]));
            let ports = Ports { database: faulty, environment: world.environment.clone() };
            let wanted = order("o", one_of("A"), json!({"coupons": ["LAST"]}));
            let first = send(&ports, "k", wanted.clone()).await;
            first.unwrap_or_else(|error| panic!("{fault:?} {call}: {error}"));
            assert!(send(&ports, "k", wanted).await.unwrap().replayed);
            assert_eq!(world.used("LAST"), 1, "{fault:?} {call}");
        }
    }
}
