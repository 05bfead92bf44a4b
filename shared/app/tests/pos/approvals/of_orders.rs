//! Discounts of whole orders: who gives them by themselves, what a cashier may without an approval, and approvals that
//! are used with the order or not at all.

use tillstream_app::orders::place::place;
use tillstream_app::pos::cart_write::Executed;

use super::*;

fn order(id: &str, discounts: Value) -> Value {
    json!({"order_id": id, "store_id": STORE, "channel": "phone", "lines": [{"sku": "A", "quantity": 4}],
        "discounts": discounts})
}

fn off(value: Value) -> Value {
    json!({"value": value, "reason": "regular"})
}

fn approved(value: Value, approval: &str) -> Value {
    json!({"value": value, "reason": "regular", "approval_id": approval})
}

async fn send(ports: &Ports, who: &Caller, key: &str, order: &Value) -> Result<Executed> {
    place(ports, who, key, serde_json::from_value(order.clone()).unwrap()).await
}

impl World {
    async fn place(&self, who: &Caller, key: &str, order: &Value) -> Result<Executed> {
        send(&self.shop.ports, who, key, order).await
    }

    /// What became of an order: what it comes to, or the code of its refusal and the field it names.
    async fn told(&self, who: &Caller, order: &Value) -> std::result::Result<i64, (String, String)> {
        match self.place(who, "k", order).await {
            Ok(placed) => Ok(placed.cart.totals().unwrap().total),
            Err(Error::Rejected(refusal)) => {
                let field = refusal.errors.first().map(|error| error.field.clone()).unwrap_or_default();
                Err((refusal.code.to_owned(), field))
            }
            Err(error) => panic!("{error}"),
        }
    }
}

/// Half off an order, which is no cart yet: of goods for so much at most.
fn half_of(most: i64) -> Value {
    json!({"kind": "percent_cart", "value": 5_000, "maximum_goods": gbp(most)})
}

fn half() -> Value {
    half_of(30_000)
}

fn refused(code: &str, field: &str) -> std::result::Result<i64, (String, String)> {
    Err((code.to_owned(), field.to_owned()))
}

#[tokio::test]
async fn a_cashier_needs_what_a_till_would() {
    let world = World::new().await;
    let integration = named("shop", &[Role::Integration]);
    let tenth = order("o", json!([off(json!(1_000))]));
    let needed = refused("approval_required", "discounts[0].approval_id");
    let before = world.items();
    assert_eq!(world.told(&cashier(), &tenth).await, needed);
    let mut of_line = order("o", json!([]));
    of_line["lines"][0]["discounts"] = json!([off(json!(100))]);
    let of_line = world.told(&cashier(), &of_line).await;
    assert_eq!(of_line, refused("approval_required", "lines[0].discounts[0].approval_id"));
    assert_eq!(world.items(), before, "a refusal changed something");
    // Who needs none at a till needs none here, and neither does another system.
    for (who, id) in [(manager(), "m"), (integration, "i")] {
        assert_eq!(world.told(&who, &order(id, json!([off(json!(1_000))]))).await, Ok(918));
    }

    world
        .settings("1", json!({"approvals": {"manual_discount": {"required": true, "above_bps": 1_000}}}))
        .await;
    assert_eq!(world.told(&cashier(), &tenth).await, Ok(918));
    let more = order("more", json!([off(json!(1_100))]));
    assert_eq!(world.told(&cashier(), &more).await, needed);
    // All that is given without an approval counts together.
    let two = order("two", json!([off(json!(600)), off(json!(600))]));
    let second = refused("approval_required", "discounts[1].approval_id");
    assert_eq!(world.told(&cashier(), &two).await, second);

    world.settings("2", json!({"approvals": {"manual_discount": {"required": false}}})).await;
    assert_eq!(world.told(&cashier(), &more).await, Ok(908));
    assert_eq!(world.told(&cashier(), &order("half", json!([off(json!(5_000))]))).await, Ok(510));
}

#[tokio::test]
async fn an_approval_is_used_by_exactly_its_order() {
    let world = World::new().await;
    // Whatever register it was asked at: the order is at none.
    let of = |cart: &str, more: Value| {
        let mut request = discount_of(cart, more);
        request["register_id"] = "r-2".into();
        request
    };
    world.granted("ap-1", of("o", half())).await;
    world.granted("ap-2", of("o", json!({"kind": "fixed_line", "value": gbp(20), "line_id": "l-1"}))).await;
    let mut asked = of("o", half());
    asked["approval_id"] = "pending".into();
    world.ask("pending", asked.clone()).await.unwrap();
    asked["approval_id"] = "denied".into();
    world.ask("denied", asked).await.unwrap();
    world.decide(&manager(), "deny", "denied", false).await.unwrap();
    let mut elsewhere = of("o", half());
    elsewhere["store_id"] = "s-2".into();
    world.granted("elsewhere", elsewhere).await;

    let before = world.items();
    let field = "discounts[0].approval_id";
    for (wanted, code) in [
        (order("o", json!([approved(json!(5_001), "ap-1")])), "approval_does_not_match"),
        (order("o", json!([approved(gbp(20), "ap-2")])), "approval_does_not_match"),
        (order("other", json!([approved(json!(5_000), "ap-1")])), "approval_does_not_match"),
        (order("o", json!([approved(json!(5_000), "elsewhere")])), "approval_does_not_match"),
        (order("o", json!([approved(json!(5_000), "pending")])), "approval_pending"),
        (order("o", json!([approved(json!(5_000), "denied")])), "approval_denied"),
        (order("o", json!([approved(json!(5_000), "none")])), "approval_not_found"),
    ] {
        assert_eq!(world.told(&cashier(), &wanted).await, refused(code, field), "{wanted}");
        // A made-up one is read as a supervisor's word, whoever names it.
        assert_eq!(world.told(&manager(), &wanted).await, refused(code, field), "{wanted}");
    }
    let twice = order("o", json!([approved(json!(5_000), "ap-1"), approved(json!(5_000), "ap-1")]));
    assert_eq!(world.told(&cashier(), &twice).await, refused("approval_used", "discounts[1].approval_id"));
    // Not without the other that it needs.
    let both = |second: Value| {
        let mut wanted = order("o", json!([approved(json!(5_000), "ap-1")]));
        wanted["lines"][0]["discounts"] = json!([second]);
        wanted
    };
    let of_line = refused("approval_required", "lines[0].discounts[0].approval_id");
    assert_eq!(world.told(&cashier(), &both(off(gbp(20)))).await, of_line);
    // What is refused for its stock has used none.
    let mut short = both(approved(gbp(20), "ap-2"));
    short["lines"][0]["quantity"] = 101.into();
    assert_eq!(world.told(&cashier(), &short).await, refused("insufficient_stock", "lines[0].quantity"));
    assert_eq!(world.items(), before, "a refusal changed something");
    assert_eq!(
        (world.status("ap-1").await, world.status("ap-2").await),
        (json!("granted"), json!("granted"))
    );

    let wanted = both(approved(gbp(20), "ap-2"));
    for replayed in [false, true] {
        let placed = world.place(&cashier(), "k", &wanted).await.unwrap();
        // Half of 10.20, then 0.20.
        assert_eq!((placed.replayed, placed.cart.totals().unwrap().total), (replayed, 490));
    }
    assert_eq!((world.status("ap-1").await, world.status("ap-2").await), (json!("used"), json!("used")));
    let view = tillstream_app::orders::read::get(&world.shop.ports, &manager(), "o").await.unwrap();
    let shown = serde_json::to_value(view).unwrap();
    let shown = shown["discounts"].as_array().unwrap();
    for (id, approval) in [("d-1", "ap-2"), ("d-2", "ap-1")] {
        let one = shown.iter().find(|one| one["id"] == id).unwrap();
        assert_eq!(one["approval"], json!({"approval_id": approval, "approved_by": "m-1"}));
    }
    let again = world.place(&cashier(), "again", &wanted).await.unwrap_err();
    assert_eq!(again.code(), Some("order_exists"));
}

/// An order is no cart when its approval is asked for: it is approved of goods for so much, and of more it is not.
#[tokio::test]
async fn a_share_of_an_order_is_of_no_more_goods_than_it_was_asked_for() {
    let world = World::new().await;
    world.granted("less", discount_of("o", half_of(1_019))).await;
    world.granted("all", discount_of("o", half_of(1_020))).await;
    let before = world.items();
    let wanted = |approval: &str| order("o", json!([approved(json!(5_000), approval)]));
    let of_more = refused("approval_does_not_match", "discounts[0].approval_id");
    assert_eq!(world.told(&cashier(), &wanted("less")).await, of_more);
    assert_eq!(world.items(), before, "a refusal changed something");
    assert_eq!(world.told(&cashier(), &wanted("all")).await, Ok(510));
}

/// An approval is for one register where the command is sent at one.
#[tokio::test]
async fn an_approval_for_an_order_is_none_for_another_register() {
    let world = World::new().await;
    world.cart("c").await;
    world.till("l", "add_line_item", json!({"cart_id": "c", "sku": "A", "quantity": 1})).await.unwrap();
    let mut asked = discount_of("c", json!({"kind": "percent_cart", "value": 5_000}));
    asked["register_id"] = "r-2".into();
    world.granted("ap-1", asked).await;
    let give =
        json!({"cart_id": "c", "kind": "percent_cart", "value": 5_000, "reason": "x", "approval_id": "ap-1"});
    let refused = world.till("d", "apply_manual_discount", give).await.unwrap_err();
    assert_eq!(refused.code(), Some("approval_does_not_match"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn of_twenty_of_the_same_order_with_an_approval_all_are_that_order() {
    let world = World::new().await;
    world.granted("ap-1", discount_of("o", half())).await;
    let wanted = order("o", json!([approved(json!(5_000), "ap-1")]));
    let tasks: Vec<_> = (0_u64..20)
        .map(|n| {
            // No two at the same moment: the same write twice is one to the database, and each would be the first.
            let environment = Arc::new(TestEnvironment::new(n));
            let now = tillstream_app::environment::Environment::now(world.environment.as_ref());
            environment.set(now + jiff::SignedDuration::from_millis(n.cast_signed()));
            let ports = Ports { environment, ..world.shop.ports.clone() };
            let wanted = wanted.clone();
            tokio::spawn(async move { send(&ports, &cashier(), "k", &wanted).await })
        })
        .collect();
    let (mut effects, mut numbers) = (0, BTreeSet::new());
    for task in tasks {
        let executed = task.await.unwrap().unwrap();
        effects += usize::from(!executed.replayed);
        numbers.insert(executed.cart.finalized.unwrap().number);
    }
    assert_eq!((effects, numbers.len(), world.status("ap-1").await), (1, 1, json!("used")));
}

/// The repetition reads the approval after its twin used it, or finds its own write whose answer was lost.
#[tokio::test]
async fn an_order_is_not_refused_for_the_approval_that_it_used_itself() {
    let mut frozen_at = 0;
    for step in 0..4 {
        let world = World::new().await;
        world.granted("ap-1", discount_of("o", half())).await;
        let wanted = order("o", json!([approved(json!(5_000), "ap-1")]));
        let frozen = Arc::new(FaultyDatabase::new(world.database.clone()));
        frozen.script(Operation::GetMany, std::iter::repeat_n(None, step).chain([Some(Fault::Freezes)]));
        let ports = Ports { database: frozen.clone(), environment: world.environment.clone() };
        let late = wanted.clone();
        let task = tokio::spawn(async move { send(&ports, &cashier(), "k", &late).await });
        while frozen.injected().is_empty() && !task.is_finished() {
            tokio::task::yield_now().await;
        }
        if frozen.injected().is_empty() {
            break;
        }
        frozen_at += 1;
        world.environment.advance(Duration::from_millis(1));
        assert!(!world.place(&cashier(), "k", &wanted).await.unwrap().replayed);
        frozen.thaw();
        let second = task.await.unwrap().unwrap_or_else(|e| panic!("frozen at {step}: {e}"));
        assert!(second.replayed, "{step}");
    }
    assert!(frozen_at >= 1, "no read to freeze in");
    for fault in [Fault::Throttled, Fault::Conflict, Fault::TimedOutBefore, Fault::AnswerLost] {
        let world = World::new().await;
        world.granted("ap-1", discount_of("o", half())).await;
        let wanted = order("o", json!([approved(json!(5_000), "ap-1")]));
        let faulty = Arc::new(FaultyDatabase::new(world.database.clone()));
        faulty.script(Operation::Transact, [Some(fault)]);
        let ports = Ports { database: faulty.clone(), environment: world.environment.clone() };
        let placed =
            send(&ports, &cashier(), "k", &wanted).await.unwrap_or_else(|e| panic!("{fault:?}: {e}"));
        assert_eq!((faulty.injected().len(), placed.cart.totals().unwrap().total), (1, 510), "{fault:?}");
        assert_eq!(world.status("ap-1").await, json!("used"), "{fault:?}");
    }
}

/// One that takes more than a transaction is made final by a plan, which may give up: so it uses no approval.
#[tokio::test]
async fn a_long_order_uses_no_approval() {
    let world = World::new().await;
    let mut wanted = order("o", json!([approved(json!(5_000), "ap-1")]));
    let mut lines = Vec::new();
    for n in 0..120 {
        world.shop.product(STORE, &format!("P{n}"), "1", 10).await.unwrap();
        lines.push(json!({"sku": format!("P{n}"), "quantity": 1}));
    }
    wanted["lines"] = lines.into();
    world.granted("ap-1", discount_of("o", half())).await;
    let before = world.items();
    assert_eq!(world.told(&cashier(), &wanted).await, refused("order_too_long", ""));
    assert_eq!(world.items(), before);
    // Who needs none sends the same without.
    wanted["discounts"] = json!([off(json!(5_000))]);
    assert_eq!(world.told(&manager(), &wanted).await, Ok(6_000));
}
