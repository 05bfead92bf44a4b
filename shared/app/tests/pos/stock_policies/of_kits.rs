//! The same policies where kits are sold: it is the components that are there, or not, or untold.

use serde_json::json;
use tillstream_app::pos::batch;
use tillstream_contracts::inventory::ExceptionKind;
use tillstream_domain::kit::KitComponent;
use tillstream_domain::product::Product;
use tillstream_domain::quantity::{QuantityInput, Unit};
use tillstream_testkit::shop::{STORE, Shop, caller};

use super::{
    A, Allow, Check, DECISIONS, NEW, Refuse, Role, Table, Timestamp, Unchecked, World, refused, sale,
};

/// Two of what the store has.
const TWO: &str = "TWO";
/// One of that, and one of what nobody has told.
const MIXED: &str = "MIXED";

impl World {
    async fn with_kits(self) -> Self {
        self.shop.kit(TWO, "1.00", &[(A, 2)]).await.unwrap();
        self.shop.kit(MIXED, "1.00", &[(A, 1), (NEW, 1)]).await.unwrap();
        self
    }
}

#[tokio::test]
async fn what_a_cart_has_of_a_component_is_checked_over_all_its_lines() {
    let world = World::new(20, &[A], 4).await.with_kits().await;
    world.decide(Check, Refuse).await;
    let shop = &world.shop;
    shop.command("k-1", "create_cart", json!({"cart_id": "c"})).await.unwrap();
    let line = |sku: &str, n: i64| json!({"cart_id": "c", "sku": sku, "quantity": n});
    shop.command("k-2", "add_line_item", line(TWO, 1)).await.unwrap();
    // By itself, and in another kit: the component is one.
    let refusal = refused(shop.command("k-3", "add_line_item", line(A, 3)).await);
    assert_eq!((refusal.code, refusal.errors[0].field.as_str()), ("insufficient_stock", "payload.quantity"));
    assert_eq!(
        refusal.extra["lines"],
        json!([{"sku": A, "location_id": STORE, "requested": 5, "available": 4, "incoming": 0, "expected": [],
            "kits": [TWO]}])
    );
    shop.command("k-3", "add_line_item", line(A, 1)).await.unwrap();
    let refusal = refused(shop.command("k-4", "add_line_item", line(TWO, 1)).await);
    assert_eq!((refusal.code, &refusal.extra["lines"][0]["requested"]), ("insufficient_stock", &json!(5)));
    let to = |n: i64| json!({"cart_id": "c", "line_id": "l-1", "quantity": n});
    let refusal = refused(shop.command("k-5", "update_line_item", to(2)).await);
    assert_eq!((refusal.code, &refusal.extra["lines"][0]["sku"]), ("insufficient_stock", &json!(A)));
    world.count(A, 5).await;
    let fits = shop.command("k-5", "update_line_item", to(2)).await.unwrap();
    assert_eq!(fits.reply.cart.unwrap().line_count, 2);
    assert!(shop.command("k-5", "update_line_item", to(2)).await.unwrap().replayed);
    // Nothing was held, and without the policy nothing is asked.
    assert_eq!(world.pieces(A).await, (5, 0, 5));
    world.decide(Unchecked, Refuse).await;
    shop.command("k-6", "add_line_item", line(TWO, 1_000)).await.unwrap();
}

#[tokio::test]
async fn a_component_that_nobody_has_told_is_checked_as_its_policy_says() {
    let world = World::new(21, &[A], 3).await.with_kits().await;
    let shop = &world.shop;
    shop.command("k-1", "create_cart", json!({"cart_id": "c"})).await.unwrap();
    let line = |n: i64| json!({"cart_id": "c", "sku": MIXED, "quantity": n});
    world.decide(Check, Refuse).await;
    let refusal = refused(shop.command("k-2", "add_line_item", line(1)).await);
    let short = |refusal: &tillstream_app::Refusal| -> Vec<String> {
        let lines = refusal.extra["lines"].as_array().unwrap().iter();
        lines.map(|line| line["sku"].as_str().unwrap().to_owned()).collect()
    };
    assert_eq!((refusal.code, short(&refusal)), ("insufficient_stock", vec![NEW.to_owned()]));
    world.decide(Check, Allow).await;
    shop.command("k-2", "add_line_item", line(1)).await.unwrap();
    // What was told is checked all the same.
    let refusal = refused(shop.command("k-3", "add_line_item", line(3)).await);
    assert_eq!((refusal.code, short(&refusal)), ("insufficient_stock", vec![A.to_owned()]));
}

#[tokio::test]
async fn a_kit_of_what_nobody_has_told_is_sold_where_that_is_allowed() {
    for (tenant, own, allowed) in DECISIONS {
        let label = format!("{tenant:?} {own:?}");
        for by_order in [false, true] {
            let world = World::deciding(22, tenant, own).await.with_kits().await;
            let before = world.database.items(Table::Stock);
            let done = if by_order {
                world.place("c-1", &[(MIXED, 2)]).await
            } else {
                world.shop.ready("r-1", "c-1", &[(MIXED, 2)]).await.unwrap();
                world.shop.finalize("r-1", "c-1").await.map(drop)
            };
            if !allowed {
                let refusal = refused(done);
                assert_eq!(refusal.code, "insufficient_stock", "{label}");
                let line = &refusal.extra["lines"][0];
                assert_eq!((&line["sku"], &line["kits"]), (&json!(NEW), &json!([MIXED])), "{label}");
                assert_eq!(world.database.items(Table::Stock), before, "{label}");
                continue;
            }
            done.unwrap();
            assert_eq!((world.pieces(NEW).await, world.pieces(A).await), ((0, 0, 0), (3, 0, 3)), "{label}");
            let tasks = world.tasks().await;
            assert_eq!(tasks.len(), 1, "{label}");
            assert_eq!((tasks[0].kind, tasks[0].sku.as_deref()), (ExceptionKind::UnsyncedStock, Some(NEW)));
            let told = (tasks[0].order_id.as_deref(), &tasks[0].quantity);
            assert_eq!(told, (Some("c-1"), &QuantityInput::Whole(2)), "{label}");
            world.proved(NEW).await;
        }
    }
}

/// What is missing is told as the component is sold.
#[tokio::test]
async fn an_untold_component_by_weight_is_entered_by_weight() {
    let world = World::deciding(23, Allow, None).await;
    let tea = Product { unit: Unit::Kg, ..Shop::plain("TEA", "40").unwrap() };
    world.shop.put_product(&tea).await.unwrap();
    let components =
        vec![KitComponent { sku: "TEA".into(), quantity: QuantityInput::Decimal("0.125".into()) }];
    world.shop.put_product(&Product { components, ..Shop::plain("CUP", "1.00").unwrap() }).await.unwrap();
    world.shop.ready("r-1", "c-1", &[("CUP", 2)]).await.unwrap();
    world.shop.finalize("r-1", "c-1").await.unwrap();
    let tasks = world.tasks().await;
    let told: Vec<_> = tasks.iter().map(|task| (task.sku.as_deref(), &task.quantity)).collect();
    assert_eq!(told, [(Some("TEA"), &QuantityInput::Decimal("0.25".into()))]);
    assert_eq!(world.shop.counters(STORE, "TEA").await.unwrap().on_hand, 0);
}

#[tokio::test]
async fn kits_that_were_sold_while_a_register_was_cut_off_are_never_refused() {
    let world = World::new(24, &[A], 1).await.with_kits().await;
    world.decide(Check, Refuse).await;
    let who = caller("demo", &[Role::Cashier, Role::StoreManager]);
    let commands = sale("r-1", "c-1", &[(MIXED, 2), (TWO, 1)]);
    for _ in 0..2 {
        let (outcomes, go_on) = batch::run(&world.shop.ports, &who, commands.clone(), Timestamp::MAX).await;
        assert_eq!(go_on, None);
        assert!(outcomes.iter().all(|(_, outcome)| outcome.is_ok()), "{outcomes:?}");
    }
    let mut tasks = world.tasks().await;
    tasks.sort_by(|a, b| a.sku.cmp(&b.sku));
    let told: Vec<_> = tasks.iter().map(|task| (task.kind, task.sku.as_deref(), &task.quantity)).collect();
    // Of four of the one there was one: three are missing, and of the other both.
    let missing = [(NEW, QuantityInput::Whole(2)), (A, QuantityInput::Whole(3))];
    let oversold = missing.each_ref().map(|(sku, n)| (ExceptionKind::OversoldOffline, Some(*sku), n));
    assert_eq!(told, oversold);
    assert_eq!((world.pieces(NEW).await, world.pieces(A).await), ((0, 0, 0), (0, 0, 0)));
}
