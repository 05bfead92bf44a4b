//! Carts of a store that has them hold what is added: nobody else sells it, it is sold with the cart, and whatever
//! becomes of the cart, nothing of it is held for ever.

mod lifecycles;
mod long;
mod troubles;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use futures::future::join_all;
use jiff::Timestamp;
use serde_json::{Value, json};
use tillstream_app::Error;
use tillstream_app::capacity::{CapacityKind, CapacityMeter, Operation};
use tillstream_app::database::{Item, Table};
use tillstream_app::environment::Environment;
use tillstream_app::pos::batch;
use tillstream_app::pos::execute::Answered;
use tillstream_app::stock::expiry::sweep_expired;
use tillstream_app::stock::reserve::reserve;
use tillstream_app::stock::split::{make_whole, split};
use tillstream_app::tenancy::Role;
use tillstream_app::tenant_rules::tenant_rules;
use tillstream_contracts::inventory::ExceptionKind;
use tillstream_domain::quantity::QuantityInput;
use tillstream_domain::stock_policies::{CartStock, UnsyncedStock};
use tillstream_testkit::memory_database::MemoryDatabase;
use tillstream_testkit::shop::{STORE, Shop, caller, envelope};
use tillstream_testkit::test_environment::TestEnvironment;

use crate::policy_world::{A, MINUTES, NEW, World, manager, refused};

const B: &str = "SKU-B";

impl World {
    /// A store whose carts hold, with so many of `SKU-A` and of `SKU-B`.
    async fn that_holds(seed: u64, pieces: i64) -> Self {
        let world = World::new(seed, &[A, B], pieces).await;
        world.decide(CartStock::Hold, UnsyncedStock::Refuse).await;
        world
    }

    /// Until what was held before is over.
    fn wait(&self) {
        self.environment.advance(Duration::from_secs(u64::from(MINUTES) * 60));
    }

    async fn sweep(&self) {
        sweep_expired(&self.shop.ports, self.environment.now(), Timestamp::MAX).await.unwrap();
    }

    async fn open(&self, cart: &str) {
        let key = format!("{cart}-open");
        self.shop.command(&key, "create_cart", json!({"cart_id": cart})).await.unwrap();
    }

    async fn add(&self, key: &str, cart: &str, sku: &str, n: i64) -> tillstream_app::Result<Answered> {
        let line = json!({"cart_id": cart, "sku": sku, "quantity": n});
        self.shop.command(key, "add_line_item", line).await
    }

    async fn change(&self, key: &str, cart: &str, line: &str, n: i64) -> tillstream_app::Result<Answered> {
        let line = json!({"cart_id": cart, "line_id": line, "quantity": n});
        self.shop.command(key, "update_line_item", line).await
    }

    async fn remove(&self, key: &str, cart: &str, line: &str) -> tillstream_app::Result<Answered> {
        self.shop.command(key, "remove_line_item", json!({"cart_id": cart, "line_id": line})).await
    }

    async fn void(&self, cart: &str) -> tillstream_app::Result<Answered> {
        self.shop.command(&format!("{cart}-void"), "void_cart", json!({"cart_id": cart})).await
    }

    /// Tenders, pays and finalises an open cart.
    async fn sell(&self, cart: &str) -> tillstream_app::Result<Answered> {
        let key = |what: &str| format!("{cart}-{what}");
        let tendering = self.shop.command(&key("tender"), "set_tendering", json!({"cart_id": cart})).await?;
        let due = tendering.reply.cart.map_or(0, |cart| cart.totals.due.amount);
        if due > 0 {
            let amount = json!({"amount": due, "currency": "GBP"});
            let paid = json!({"cart_id": cart, "tender": "card", "amount": amount});
            self.shop.command(&key("pay"), "add_payment", paid).await?;
        }
        self.shop.finalize("r-1", cart).await
    }
}

#[tokio::test]
async fn what_is_added_is_held_for_the_cart_and_sold_with_it() {
    let world = World::that_holds(1, 3).await;
    world.open("c-1").await;
    world.open("c-2").await;
    let added = world.add("k-1", "c-1", A, 2).await.unwrap();
    assert_eq!(world.pieces(A).await, (3, 2, 1));
    let holds = added.reply.cart.unwrap().holds;
    let until = world.environment.now().as_millisecond() + i64::from(MINUTES) * 60_000;
    assert_eq!((holds.len(), holds[0].sku.as_str()), (1, A));
    assert_eq!((&holds[0].quantity, holds[0].expires_at.as_millisecond()), (&QuantityInput::Whole(2), until));
    // A repetition adds and holds nothing.
    assert!(world.add("k-1", "c-1", A, 2).await.unwrap().replayed);
    assert_eq!(world.pieces(A).await, (3, 2, 1));
    // What it holds nobody else has, and the refusal is that of a check.
    let refusal = refused(world.add("k-2", "c-2", A, 2).await);
    assert_eq!((refusal.code, refusal.errors[0].field.as_str()), ("insufficient_stock", "payload.quantity"));
    assert_eq!(
        refusal.extra["lines"],
        json!([{"sku": A, "location_id": STORE, "requested": 2, "available": 1, "incoming": 0, "expected": []}])
    );
    // To the cart itself what it holds is there.
    let refusal = refused(world.add("k-3", "c-1", A, 2).await);
    let line = &refusal.extra["lines"][0];
    assert_eq!((&line["requested"], &line["available"]), (&json!(4), &json!(3)));
    world.add("k-2", "c-2", A, 1).await.unwrap();
    assert_eq!(world.pieces(A).await, (3, 3, 0));
    let sold = world.sell("c-1").await.unwrap();
    assert!(!sold.replayed && sold.reply.cart.unwrap().holds.is_empty());
    assert_eq!(world.pieces(A).await, (1, 1, 0));
    assert!(world.shop.finalize("r-1", "c-1").await.unwrap().replayed);
    world.sell("c-2").await.unwrap();
    assert_eq!((world.pieces(A).await, world.lines().len()), ((0, 0, 0), 0));
}

#[tokio::test]
async fn what_a_cart_holds_follows_its_lines() {
    let world = World::that_holds(2, 9).await;
    world.open("c").await;
    world.add("k-1", "c", A, 2).await.unwrap();
    world.add("k-2", "c", A, 3).await.unwrap();
    world.add("k-3", "c", B, 1).await.unwrap();
    assert_eq!((world.pieces(A).await, world.pieces(B).await), ((9, 5, 4), (9, 1, 8)));
    world.change("k-4", "c", "l-1", 6).await.unwrap();
    assert_eq!(world.pieces(A).await, (9, 9, 0));
    let version = world.change("k-5", "c", "l-1", 1).await.unwrap().reply.cart.unwrap().version;
    assert_eq!(world.pieces(A).await, (9, 4, 5));
    let refusal = refused(world.change("k-6", "c", "l-2", 9).await);
    assert_eq!(
        (refusal.code, refusal.extra["lines"][0]["requested"].clone()),
        ("insufficient_stock", json!(10))
    );
    let notes = json!({"cart_id": "c", "line_id": "l-1", "notes": "blue"});
    let noted = world.shop.command("k-7", "update_line_item", notes).await.unwrap();
    assert_eq!((noted.reply.cart.unwrap().version, world.pieces(A).await), (version + 1, (9, 4, 5)));
    world.remove("k-8", "c", "l-2").await.unwrap();
    assert_eq!(world.pieces(A).await, (9, 1, 8));
    // Each again: none has another effect.
    for answer in [
        world.add("k-2", "c", A, 3).await,
        world.change("k-4", "c", "l-1", 6).await,
        world.change("k-5", "c", "l-1", 1).await,
        world.remove("k-8", "c", "l-2").await,
    ] {
        assert!(answer.unwrap().replayed);
    }
    assert_eq!((world.pieces(A).await, world.pieces(B).await), ((9, 1, 8), (9, 1, 8)));
    let voided = world.void("c").await.unwrap();
    assert!(voided.reply.cart.unwrap().holds.is_empty());
    assert!(world.void("c").await.unwrap().replayed);
    assert_eq!((world.pieces(A).await, world.pieces(B).await), ((9, 0, 9), (9, 0, 9)));
    assert!(world.lines().is_empty());
}

/// Who comes back with a purse finds what was put aside, at any register of the store.
#[tokio::test]
async fn a_parked_cart_goes_on_holding_until_that_is_over() {
    let world = World::that_holds(3, 2).await;
    let shop = &world.shop;
    let of = |cart: &str| json!({"cart_id": cart});
    for cart in ["c-1", "c-2"] {
        world.open(cart).await;
        world.add(&format!("{cart}-line"), cart, A, 1).await.unwrap();
        shop.command(&format!("{cart}-park"), "park_cart", of(cart)).await.unwrap();
    }
    assert_eq!(world.pieces(A).await, (2, 2, 0));
    shop.at("r-2", "k-1", "recall_cart", of("c-1")).await.unwrap();
    shop.at("r-2", "k-2", "set_tendering", of("c-1")).await.unwrap();
    let paid = json!({"cart_id": "c-1", "tender": "card", "amount": {"amount": 100, "currency": "GBP"}});
    shop.at("r-2", "k-3", "add_payment", paid).await.unwrap();
    shop.at("r-2", "k-4", "finalize_order", of("c-1")).await.unwrap();
    assert_eq!(world.pieces(A).await, (1, 1, 0));
    // A parked cart that nobody fetches holds for its time, and one that is given up while it is parked nothing.
    world.open("c-3").await;
    refused(world.add("k-5", "c-3", A, 1).await);
    world.void("c-2").await.unwrap();
    world.add("k-5", "c-3", A, 1).await.unwrap();
    shop.command("k-6", "park_cart", of("c-3")).await.unwrap();
    world.wait();
    world.open("c-4").await;
    world.add("k-7", "c-4", A, 1).await.unwrap();
    assert_eq!(world.pieces(A).await, (1, 1, 0));
}

#[tokio::test]
async fn what_is_over_is_free_for_everybody() {
    let world = World::that_holds(4, 3).await;
    for cart in ["c-1", "c-2", "c-3"] {
        world.open(cart).await;
    }
    world.add("k-1", "c-1", A, 3).await.unwrap();
    world.environment.advance(Duration::from_secs(u64::from(MINUTES) * 60 - 1));
    assert_eq!(refused(world.add("k-2", "c-2", A, 1).await).code, "insufficient_stock");
    world.environment.advance(Duration::from_secs(1));
    world.add("k-2", "c-2", A, 1).await.unwrap();
    assert_eq!(world.pieces(A).await, (3, 1, 2));
    // The first is sold what is left, or refused as without a hold.
    let refusal = refused(world.sell("c-1").await);
    assert_eq!(
        (refusal.code, refusal.extra["lines"][0]["available"].clone()),
        ("insufficient_stock", json!(2))
    );
    world.void("c-2").await.unwrap();
    world.shop.finalize("r-1", "c-1").await.unwrap();
    assert_eq!((world.pieces(A).await, world.lines().len()), ((0, 0, 0), 0));
    // A reservation finds it too, and one that nobody wants ends by the schedule.
    world.add("k-3", "c-3", B, 3).await.unwrap();
    world.wait();
    let line = json!({"location_id": STORE, "sku": B, "quantity": 2});
    let request = serde_json::from_value(json!({"lines": [line], "ttl_seconds": 60})).unwrap();
    reserve(&world.shop.ports, &manager(), "k", &request).await.unwrap();
    assert_eq!(world.pieces(B).await, (3, 2, 1));
    world.wait();
    world.sweep().await;
    assert_eq!((world.pieces(B).await, world.lines().len()), ((3, 0, 3), 0));
}

/// Nobody wanted it meanwhile: the cart is sold its own, whether its lines still stand or were freed.
#[tokio::test]
async fn a_cart_whose_hold_is_over_takes_stock_anew() {
    for swept in [false, true] {
        let world = World::that_holds(5, 3).await;
        for (n, cart) in ["c-1", "c-2"].into_iter().enumerate() {
            world.open(cart).await;
            world.add(&format!("k-{n}"), cart, [A, B][n], 3).await.unwrap();
        }
        world.wait();
        if swept {
            world.sweep().await;
            assert!(world.lines().is_empty());
        }
        // More of it holds all of it anew.
        refused(world.change("k-4", "c-2", "l-1", 4).await);
        world.change("k-5", "c-2", "l-1", 2).await.unwrap();
        world.change("k-6", "c-2", "l-1", 3).await.unwrap();
        assert_eq!(world.pieces(B).await, (3, 3, 0), "{swept}");
        world.sell("c-1").await.unwrap();
        world.sell("c-2").await.unwrap();
        world.sweep().await;
        assert_eq!((world.pieces(A).await, world.pieces(B).await), ((0, 0, 0), (0, 0, 0)), "{swept}");
        assert!(world.lines().is_empty(), "{swept}");
    }
}

#[tokio::test]
async fn a_kit_holds_its_components_with_what_is_sold_by_itself() {
    let world = World::that_holds(6, 6).await;
    world.shop.kit("SET", "5.00", &[(A, 2), (B, 1)]).await.unwrap();
    world.open("c").await;
    world.add("k-1", "c", "SET", 2).await.unwrap();
    world.add("k-2", "c", A, 1).await.unwrap();
    assert_eq!((world.pieces(A).await, world.pieces(B).await), ((6, 5, 1), (6, 2, 4)));
    let refusal = refused(world.add("k-3", "c", "SET", 1).await);
    let line = &refusal.extra["lines"][0];
    assert_eq!((&line["sku"], &line["requested"], &line["kits"]), (&json!(A), &json!(7), &json!(["SET"])));
    assert_eq!((world.pieces(A).await, world.pieces(B).await), ((6, 5, 1), (6, 2, 4)), "all or none");
    world.change("k-4", "c", "l-1", 1).await.unwrap();
    assert_eq!((world.pieces(A).await, world.pieces(B).await), ((6, 3, 3), (6, 1, 5)));
    world.sell("c").await.unwrap();
    assert_eq!((world.pieces(A).await, world.pieces(B).await), ((3, 0, 3), (5, 0, 5)));
}

#[tokio::test]
async fn carts_hold_from_the_parts_of_split_stock() {
    for end in ["sold", "voided", "sold whole", "voided whole", "sold in another layout"] {
        let world = World::that_holds(7, 40).await;
        let (ports, scope) = (&world.shop.ports, &world.shop.scope);
        split(ports, scope, STORE, A, 8).await.unwrap();
        world.open("c").await;
        // Some fit one part, and then another, and at last only all together.
        for (n, pieces) in [2, 2, 4, 4, 5].into_iter().enumerate() {
            world.add(&format!("k-{n}"), "c", A, pieces).await.unwrap();
        }
        assert_eq!(world.pieces(A).await, (40, 17, 23), "{end}");
        if end.ends_with("whole") || end.ends_with("layout") {
            make_whole(ports, scope, STORE, A).await.unwrap();
        }
        if end.ends_with("layout") {
            split(ports, scope, STORE, A, 4).await.unwrap();
        }
        world.remove("k-r", "c", "l-2").await.unwrap();
        assert_eq!(world.pieces(A).await, (40, 15, 25), "{end}");
        world.add("k-9", "c", A, 1).await.unwrap();
        assert_eq!(world.pieces(A).await, (40, 16, 24), "{end}");
        let refusal = refused(world.add("k-10", "c", A, 25).await);
        assert_eq!(refusal.extra["lines"][0]["available"], json!(40), "{end}");
        if end.starts_with("sold") {
            world.sell("c").await.unwrap();
            assert_eq!(world.pieces(A).await, (24, 0, 24), "{end}");
        } else {
            world.void("c").await.unwrap();
            assert_eq!(world.pieces(A).await, (40, 0, 40), "{end}");
        }
        assert!(world.lines().is_empty(), "{end}");
    }
}

/// What a register did while it was cut off has left the shop: it holds nothing, and is refused for nothing.
#[tokio::test]
async fn an_upload_neither_holds_nor_is_refused() {
    let world = World::that_holds(8, 3).await;
    world.open("other").await;
    world.add("k-other", "other", A, 2).await.unwrap();
    // Begun online, gone on with while the register was cut off.
    world.open("c").await;
    world.add("k-1", "c", A, 1).await.unwrap();
    world.add("k-2", "c", B, 3).await.unwrap();
    let at = |key: &str, action: &str, payload: Value| envelope(STORE, "r-1", key, action, payload);
    let commands = vec![
        at("k-3", "add_line_item", json!({"cart_id": "c", "sku": A, "quantity": 4})),
        at("k-4", "update_line_item", json!({"cart_id": "c", "line_id": "l-2", "quantity": 1})),
        at("k-5", "set_tendering", json!({"cart_id": "c"})),
        at(
            "k-6",
            "add_payment",
            json!({"cart_id": "c", "tender": "card", "amount": {"amount": 600, "currency": "GBP"}}),
        ),
    ];
    let who = caller("demo", &[Role::Cashier, Role::StoreManager]);
    let upload = async |commands: Vec<Value>| {
        for _ in 0..2 {
            let (outcomes, _) = batch::run(&world.shop.ports, &who, commands.clone(), Timestamp::MAX).await;
            assert!(outcomes.iter().all(|(_, outcome)| outcome.is_ok()), "{outcomes:?}");
        }
    };
    upload(commands).await;
    assert_eq!((world.pieces(A).await, world.pieces(B).await), ((3, 3, 0), (3, 1, 2)), "no more, but less");
    upload(vec![at("k-7", "finalize_order", json!({"cart_id": "c"}))]).await;
    // Five were sold, of which one was its own, and the other cart's two stay its own.
    assert_eq!((world.pieces(A).await, world.pieces(B).await), ((2, 2, 0), (2, 0, 2)));
    let tasks = world.tasks().await;
    let told: Vec<_> = tasks.iter().map(|task| (task.kind, task.quantity.clone())).collect();
    assert_eq!(told, [(ExceptionKind::OversoldOffline, QuantityInput::Whole(4))]);
    world.sell("other").await.unwrap();
    assert_eq!(world.pieces(A).await, (0, 0, 0));
}

#[tokio::test]
async fn what_nobody_has_told_is_held_as_its_policy_says() {
    let world = World::that_holds(9, 3).await;
    world.open("c").await;
    let refusal = refused(world.add("k-1", "c", NEW, 2).await);
    assert_eq!(
        (refusal.code, refusal.extra["lines"][0]["available"].clone()),
        ("insufficient_stock", json!(0))
    );
    world.decide(CartStock::Hold, UnsyncedStock::Allow).await;
    world.add("k-1", "c", NEW, 2).await.unwrap();
    world.add("k-2", "c", A, 1).await.unwrap();
    assert_eq!((world.pieces(NEW).await, world.pieces(A).await), ((0, 0, 0), (3, 1, 2)));
    world.sell("c").await.unwrap();
    assert_eq!((world.pieces(NEW).await, world.pieces(A).await), ((0, 0, 0), (2, 0, 2)));
}

#[tokio::test]
async fn a_count_below_what_is_held_refuses_the_sale_as_without_a_hold() {
    let world = World::that_holds(10, 5).await;
    world.open("c").await;
    world.add("k-1", "c", A, 4).await.unwrap();
    world.count(A, 3).await;
    let refusal = refused(world.sell("c").await);
    let line = &refusal.extra["lines"][0];
    assert_eq!((&line["requested"], &line["available"]), (&json!(4), &json!(3)));
    assert_eq!(world.pieces(A).await, (3, 4, -1));
    world.count(A, 4).await;
    world.shop.finalize("r-1", "c").await.unwrap();
    assert_eq!(world.pieces(A).await, (0, 0, 0));
}

/// Whoever changes the policy in the middle of a day loses nothing of what carts hold.
#[tokio::test]
async fn what_is_held_is_sold_and_given_back_whatever_the_policy_is_by_then() {
    for then in [CartStock::None, CartStock::Check] {
        let world = World::that_holds(11, 4).await;
        for cart in ["c-1", "c-2"] {
            world.open(cart).await;
            world.add(&format!("{cart}-line"), cart, A, 2).await.unwrap();
        }
        world.decide(then, UnsyncedStock::Refuse).await;
        world.remove("k-1", "c-2", "l-1").await.unwrap();
        assert_eq!(world.pieces(A).await, (4, 2, 2), "{then:?}");
        // More is not held; to a check, what the cart holds itself is there.
        world.add("k-2", "c-1", A, 2).await.unwrap();
        assert_eq!(world.pieces(A).await, (4, 2, 2), "{then:?}");
        assert_eq!(world.add("k-3", "c-1", A, 1).await.is_err(), then == CartStock::Check);
        if then == CartStock::None {
            world.remove("k-4", "c-1", "l-3").await.unwrap();
        }
        world.sell("c-1").await.unwrap();
        assert_eq!((world.pieces(A).await, world.lines().len()), ((0, 0, 0), 0), "{then:?}");
    }
}

/// What comes back for what the cart holds: taken together, and nothing is held any more.
#[tokio::test]
async fn an_exchange_sells_what_its_cart_holds() {
    for is_split in [false, true] {
        let world = World::that_holds(12, 20).await;
        let shop = &world.shop;
        shop.ready("r-1", "sold", &[(A, 2)]).await.unwrap();
        shop.finalize("r-1", "sold").await.unwrap();
        if is_split {
            split(&shop.ports, &shop.scope, STORE, A, 2).await.unwrap();
        }
        world.open("c").await;
        world.add("k-1", "c", A, 3).await.unwrap();
        world.add("k-2", "c", B, 1).await.unwrap();
        assert_eq!((world.pieces(A).await, world.pieces(B).await), ((18, 3, 15), (20, 1, 19)));
        let start = json!({"return_id": "back", "original_order_id": "sold", "reason": "too small"});
        shop.command("k-3", "start_return", start).await.unwrap();
        let line = json!({"return_id": "back", "line_id": "l-1", "quantity": 2, "disposition": "restock"});
        shop.command("k-4", "return_line_item", line).await.unwrap();
        shop.command("k-5", "set_tendering", json!({"cart_id": "c"})).await.unwrap();
        let paid = json!({"cart_id": "c", "tender": "card", "amount": {"amount": 200, "currency": "GBP"}});
        shop.command("k-6", "add_payment", paid).await.unwrap();
        let both = json!({"return_id": "back", "cart_id": "c"});
        shop.command("k-7", "finalize_exchange", both.clone()).await.unwrap();
        assert!(shop.command("k-7", "finalize_exchange", both).await.unwrap().replayed);
        assert_eq!((world.pieces(A).await, world.pieces(B).await), ((17, 0, 17), (19, 0, 19)), "{is_split}");
        assert!(world.lines().is_empty(), "{is_split}");
    }
}

/// A look more and a transaction for each line; the sale itself reads no more than without.
#[tokio::test]
async fn holding_costs_what_it_says() {
    let meter = Arc::new(CapacityMeter::default());
    let environment = Arc::new(TestEnvironment::new(13));
    let memory = MemoryDatabase::with_environment(environment.clone()).observed_by(meter.clone());
    let database = Arc::new(memory);
    let shop = Shop::open(database.clone(), environment.clone()).await.unwrap();
    shop.product(STORE, A, "1.00", 100).await.unwrap();
    let world = World { shop, database, environment };
    let mut costs = Vec::new();
    for at_cart in [CartStock::None, CartStock::Hold] {
        world.decide(at_cart, UnsyncedStock::Refuse).await;
        let cart = format!("{at_cart:?}");
        world.open(&cart).await;
        let now = world.environment.now();
        tenant_rules(&world.shop.ports, &world.shop.scope, now).await.unwrap();
        meter.take();
        world.add(&format!("{cart}-1"), &cart, A, 2).await.unwrap();
        let added = meter.take();
        world.change(&format!("{cart}-2"), &cart, "l-1", 1).await.unwrap();
        let lessened = meter.take();
        world.add(&format!("{cart}-3"), &cart, A, 1).await.unwrap();
        world.remove(&format!("{cart}-4"), &cart, "l-2").await.unwrap();
        meter.take();
        let key = format!("{cart}-5");
        world.shop.command(&key, "set_tendering", json!({"cart_id": cart})).await.unwrap();
        let paid = json!({"cart_id": cart, "tender": "card", "amount": {"amount": 100, "currency": "GBP"}});
        world.shop.command(&format!("{cart}-6"), "add_payment", paid).await.unwrap();
        let tendered = meter.take();
        world.shop.finalize("r-1", &cart).await.unwrap();
        let sold = meter.take();
        for (what, cost) in [("add", &added), ("less", &lessened), ("pay", &tendered), ("sell", &sold)] {
            println!("{at_cart:?} {what}: {} read, {} write, {:?}", cost.read(), cost.write(), cost.calls);
        }
        costs.push([added, lessened, tendered, sold]);
    }
    let [none, hold] = &costs[..] else { panic!("two policies") };
    let calls = |cost: &tillstream_app::capacity::CapacitySums| cost.calls.clone();
    assert_eq!(calls(&none[0]), [(Operation::GetMany, 1), (Operation::Write, 1)].into());
    assert_eq!(none[0].at(Table::Stock, None, CapacityKind::Read), 0);
    assert_eq!(none[0].at(Table::Stock, None, CapacityKind::Write), 0);
    assert_eq!(calls(&hold[0]), [(Operation::GetMany, 2), (Operation::Transact, 1)].into());
    assert_eq!(hold[0].at(Table::Stock, None, CapacityKind::Read), 1_000);
    assert_eq!(calls(&hold[1]), [(Operation::GetMany, 1), (Operation::Transact, 1)].into());
    assert_eq!(hold[1].at(Table::Stock, None, CapacityKind::Read), 0);
    assert_eq!(calls(&hold[2]), calls(&none[2]), "what is about no goods costs what it cost");
    assert_eq!(calls(&hold[3]), calls(&none[3]));
    assert_eq!(hold[3].read(), none[3].read());
    // The hold line ends with the sale.
    assert!(hold[3].write() > none[3].write());
}

/// Sixty-four carts, each command sent twice, for the last ten.
#[tokio::test]
async fn of_many_carts_at_once_as_many_hold_as_there_is() {
    for seed in 400..404 {
        let world = World::that_holds(seed, 10).await;
        if seed % 2 == 1 {
            split(&world.shop.ports, &world.shop.scope, STORE, A, 4).await.unwrap();
        }
        for n in 0..64 {
            world.open(&format!("c-{n}")).await;
        }
        let tries = (0..64).flat_map(|n| [n, n]).map(|n| {
            let world = world.clone();
            tokio::spawn(async move {
                loop {
                    match world.add(&format!("add-{n}"), &format!("c-{n}"), A, 1).await {
                        // Its time was up, on a clock that all of them wait on: a till sends it again.
                        Err(Error::Conflict(_) | Error::Retryable { .. }) => {}
                        done => return (n, done),
                    }
                }
            })
        });
        let tries: Vec<_> = tries.collect();
        let mut held: BTreeMap<i32, Vec<bool>> = BTreeMap::new();
        for tried in join_all(tries).await {
            let (n, done) = tried.unwrap();
            match &done {
                Ok(answered) => assert_eq!(answered.reply.cart.as_ref().unwrap().line_count, 1),
                Err(Error::Rejected(refusal)) => assert_eq!(refusal.code, "insufficient_stock", "{seed}"),
                Err(error) => panic!("{seed}: {error}"),
            }
            held.entry(n).or_default().push(done.is_ok());
        }
        // Of two that are one command, both are told the same.
        assert!(held.values().all(|both| both[0] == both[1]), "{seed}: {held:?}");
        assert_eq!(held.values().filter(|both| both[0]).count(), 10, "{seed}");
        assert_eq!(world.pieces(A).await, (10, 10, 0), "{seed}");
        let carts: Vec<Item> = world
            .database
            .items(Table::Orders)
            .into_iter()
            .filter(|item| item.opt_text("sk") == Some("cart") && item.opt_number("lines") == Some(1))
            .collect();
        assert_eq!(carts.len(), 10, "{seed}");
        for cart in &carts {
            world.sell(cart.text("cart_id").unwrap()).await.unwrap();
        }
        assert_eq!((world.pieces(A).await, world.lines().len()), ((0, 0, 0), 0), "{seed}");
    }
}
