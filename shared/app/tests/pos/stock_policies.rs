//! What a tenant, or one store, decides about stock: each policy and each value, at the till, in orders from elsewhere
//! and in what a register uploads.

mod of_kits;

use std::sync::Arc;
use std::time::Duration;

use futures::future::join_all;
use jiff::Timestamp;
use serde_json::{Value, json};
use tillstream_app::capacity::{CapacityKind, CapacityMeter, Operation};
use tillstream_app::catalog::items::product_item;
use tillstream_app::database::{Database, Item, Table, Write};
use tillstream_app::environment::Environment;
use tillstream_app::orders::place;
use tillstream_app::pos::batch;
use tillstream_app::stock::reserve::reserve;
use tillstream_app::stock::split::split;
use tillstream_app::stock::{conservation, ledger};
use tillstream_app::sync::entities::Entity;
use tillstream_app::sync::upload::{Upload, upload};
use tillstream_app::tenancy::Role;
use tillstream_app::tenant_rules::tenant_rules;
use tillstream_app::{Error, Ports};
use tillstream_contracts::inventory::ExceptionKind;
use tillstream_domain::product::Product;
use tillstream_domain::quantity::QuantityInput;
use tillstream_domain::stock_policies::{CartStock, UnsyncedStock};
use tillstream_testkit::faults::{Fault, FaultyDatabase};
use tillstream_testkit::memory_database::{MemoryDatabase, StreamChange};
use tillstream_testkit::shop::{STORE, Shop, caller};
use tillstream_testkit::test_environment::TestEnvironment;

use crate::policy_world::{A, NEW, World, manager, refused};
use crate::uploaded_sale::sale;

use CartStock::{Check, None as Unchecked};
use UnsyncedStock::{Allow, Refuse};

impl World {
    /// What the store decides, by the feed of locations.
    async fn store_decides(&self, stock: Value) {
        // Newer than whatever it decided before.
        let version = self.environment.now().as_second();
        let line = json!({"id": STORE, "version": version, "op": "upsert", "data": {"kind": "store", "name": STORE,
            "time_zone": "Europe/London", "currency": "GBP", "registers": ["r-1", "r-2", "r-3", "r-4"],
            "stock": stock}});
        let body = line.to_string();
        let call =
            Upload { entity: Entity::Locations, body: body.as_bytes(), from: 1, deadline: Timestamp::MAX };
        let reply = upload(&self.shop.ports, &caller("demo", &[Role::Integration]), call).await.unwrap();
        assert_eq!((reply.applied, reply.failed), (1, 0), "{reply:?}");
        self.forget();
    }

    /// The ledger adds up to the counters, and what was entered is what the exceptions tell.
    async fn proved(&self, sku: &str) {
        let changes = self.database.changes(Table::Stock, 0);
        let row = |c: &StreamChange| ledger::ledger_rows(c.old.as_ref(), c.new.as_ref()).unwrap();
        let rows: Vec<Item> = changes.iter().filter_map(row).collect();
        let of_it = rows
            .iter()
            .filter(|row| row.opt_text("kind") == Some("discrepancy") && row.opt_text("sku") == Some(sku));
        let entered: i64 = of_it.map(|row| row.number("delta_on_hand").unwrap() / 1_000).sum();
        ledger::record(&self.shop.ports, rows).await.unwrap();
        let tasks = self.tasks().await;
        let told =
            tasks.iter().filter(|task| task.sku.as_deref() == Some(sku)).map(|task| match task.quantity {
                QuantityInput::Whole(pieces) => pieces,
                QuantityInput::Decimal(_) => panic!("{task:?}"),
            });
        assert_eq!(entered, told.sum::<i64>());
        let proof = conservation::prove(&self.shop.ports, &manager(), STORE, sku).await.unwrap();
        assert!(proof.holds && proof.seq_reached == proof.seq_current, "{proof:?}");
    }

    async fn place(&self, id: &str, lines: &[(&str, i64)]) -> tillstream_app::Result<()> {
        let lines: Vec<Value> = lines.iter().map(|(sku, n)| json!({"sku": sku, "quantity": n})).collect();
        let order = json!({"order_id": id, "store_id": STORE, "channel": "web", "lines": lines});
        let who = caller("demo", &[Role::Integration]);
        let order = serde_json::from_value(order).unwrap();
        place::place(&self.shop.ports, &who, &format!("k-{id}"), order).await.map(drop)
    }
}

/// Tenant and store, and whether what nobody has told is sold.
const DECISIONS: [(UnsyncedStock, Option<&str>, bool); 6] = [
    (Refuse, None, false),
    (Allow, None, true),
    (Refuse, Some("allow"), true),
    (Allow, Some("refuse"), false),
    (Allow, Some("allow"), true),
    (Refuse, Some("refuse"), false),
];

impl World {
    async fn deciding(seed: u64, tenant: UnsyncedStock, own: Option<&str>) -> Self {
        let world = World::new(seed, &[A], 5).await;
        world.decide(Unchecked, tenant).await;
        if let Some(own) = own {
            world.store_decides(json!({"unsynced": own})).await;
        }
        world
    }
}

#[tokio::test]
async fn a_till_sells_what_nobody_has_told_where_that_is_allowed() {
    for (tenant, own, allowed) in DECISIONS {
        let label = format!("{tenant:?} {own:?}");
        let world = World::deciding(1, tenant, own).await;
        let shop = &world.shop;
        shop.ready("r-1", "c-1", &[(NEW, 2), (A, 1)]).await.unwrap();
        let before = world.database.items(Table::Stock);
        let done = shop.finalize("r-1", "c-1").await;
        if !allowed {
            let refusal = refused(done);
            assert_eq!(refusal.code, "insufficient_stock", "{label}");
            assert_eq!(refusal.extra["lines"][0]["sku"], json!(NEW), "{label}");
            assert_eq!(world.database.items(Table::Stock), before, "{label}");
            continue;
        }
        assert!(!done.unwrap().replayed, "{label}");
        assert!(shop.finalize("r-1", "c-1").await.unwrap().replayed);
        assert_eq!((world.pieces(NEW).await, world.pieces(A).await), ((0, 0, 0), (4, 0, 4)), "{label}");
        let tasks = world.tasks().await;
        assert_eq!(tasks.len(), 1, "{label}");
        assert_eq!((tasks[0].kind, tasks[0].sku.as_deref()), (ExceptionKind::UnsyncedStock, Some(NEW)));
        let who = (tasks[0].order_id.as_deref(), tasks[0].register_id.as_deref());
        assert_eq!((who, &tasks[0].quantity), ((Some("c-1"), Some("r-1")), &QuantityInput::Whole(2)));
        world.proved(NEW).await;
    }
}

#[tokio::test]
async fn it_lasts_until_somebody_tells() {
    let world = World::deciding(2, Allow, None).await;
    let shop = &world.shop;
    for cart in ["c-1", "c-2"] {
        shop.ready("r-1", cart, &[(NEW, 2)]).await.unwrap();
        shop.finalize("r-1", cart).await.unwrap();
    }
    assert_eq!((world.pieces(NEW).await, world.tasks().await.len()), ((0, 0, 0), 2));
    world.count(NEW, 3).await;
    shop.ready("r-1", "c-3", &[(NEW, 2)]).await.unwrap();
    shop.finalize("r-1", "c-3").await.unwrap();
    shop.ready("r-1", "c-4", &[(NEW, 2)]).await.unwrap();
    assert_eq!(refused(shop.finalize("r-1", "c-4").await).code, "insufficient_stock");
    assert_eq!((world.pieces(NEW).await, world.tasks().await.len()), ((1, 0, 1), 2));
    world.proved(NEW).await;
    // What was told of `SKU-A` is sold as ever, also beside what nobody has told: all or nothing.
    shop.product("s-other", "NEW-2", "1.00", 1).await.unwrap();
    shop.ready("r-1", "c-5", &[("NEW-2", 1), (A, 6)]).await.unwrap();
    let refusal = refused(shop.finalize("r-1", "c-5").await);
    let told: Vec<_> = refusal.extra["lines"].as_array().unwrap().iter().map(|line| &line["sku"]).collect();
    assert_eq!(told, [&json!(A)], "only what is refused is told");
    assert_eq!((world.pieces("NEW-2").await, world.tasks().await.len()), ((0, 0, 0), 2));
}

#[tokio::test]
async fn a_feed_line_tells_too() {
    let world = World::deciding(3, Allow, None).await;
    let shop = &world.shop;
    shop.ready("r-1", "c-1", &[(NEW, 2)]).await.unwrap();
    shop.finalize("r-1", "c-1").await.unwrap();
    let line = json!({"id": format!("{STORE}/{NEW}"), "version": 3, "op": "upsert",
        "data": {"location_id": STORE, "sku": NEW, "on_hand": 1}});
    let body = line.to_string();
    let call = Upload { entity: Entity::Inventory, body: body.as_bytes(), from: 1, deadline: Timestamp::MAX };
    let reply = upload(&shop.ports, &caller("demo", &[Role::Integration]), call).await.unwrap();
    assert_eq!(reply.applied, 1, "{reply:?}");
    shop.ready("r-1", "c-2", &[(NEW, 2)]).await.unwrap();
    assert_eq!(refused(shop.finalize("r-1", "c-2").await).code, "insufficient_stock");
}

#[tokio::test]
async fn an_order_from_elsewhere_follows_the_policy() {
    for (tenant, own, allowed) in DECISIONS {
        let world = World::deciding(4, tenant, own).await;
        let placed = world.place("o-1", &[(NEW, 2), (A, 1)]).await;
        if allowed {
            placed.unwrap();
            world.place("o-1", &[(NEW, 2), (A, 1)]).await.unwrap();
            let tasks = world.tasks().await;
            assert_eq!((tasks.len(), tasks[0].kind), (1, ExceptionKind::UnsyncedStock));
            assert_eq!((world.pieces(NEW).await, world.pieces(A).await), ((0, 0, 0), (4, 0, 4)));
            world.proved(NEW).await;
        } else {
            assert_eq!(refused(placed).code, "insufficient_stock", "{tenant:?} {own:?}");
            assert_eq!((world.tasks().await.len(), world.pieces(A).await), (0, (5, 0, 5)));
        }
        // What is checked at a cart is nothing to an order that has none: it is refused for what is not there.
        world.store_decides(json!({"at_cart": "check"})).await;
        let more = refused(world.place("o-2", &[(A, 9)]).await);
        assert_eq!((more.code, more.errors[0].field.as_str()), ("insufficient_stock", "lines[0].quantity"));
    }
}

/// What a register sold while it was cut off has left the shop: no policy refuses it.
#[tokio::test]
async fn an_upload_is_never_refused() {
    for unsynced in [Refuse, Allow] {
        for at_cart in [Unchecked, Check] {
            let world = World::new(5, &[A], 1).await;
            world.decide(at_cart, unsynced).await;
            let who = caller("demo", &[Role::Cashier, Role::StoreManager]);
            let commands = sale("r-1", "c-1", &[(NEW, 2), (A, 4)]);
            for _ in 0..2 {
                let (outcomes, go_on) =
                    batch::run(&world.shop.ports, &who, commands.clone(), Timestamp::MAX).await;
                assert_eq!(go_on, None);
                assert!(outcomes.iter().all(|(_, outcome)| outcome.is_ok()), "{outcomes:?}");
            }
            let mut tasks = world.tasks().await;
            tasks.sort_by(|a, b| a.sku.cmp(&b.sku));
            let told: Vec<_> = tasks.iter().map(|task| (task.kind, task.quantity.clone())).collect();
            let oversold = |n| (ExceptionKind::OversoldOffline, QuantityInput::Whole(n));
            assert_eq!(told, [oversold(2), oversold(3)], "{unsynced:?} {at_cart:?}");
            assert_eq!((world.pieces(NEW).await, world.pieces(A).await), ((0, 0, 0), (0, 0, 0)));
            world.proved(NEW).await;
        }
    }
}

/// More SKUs than one transaction takes, of which nobody has told any, and one fault at each transaction.
#[tokio::test]
async fn a_long_order_follows_the_policy() {
    const LONG: usize = 110;
    let skus: Vec<String> = (0..LONG).map(|n| format!("L-{n:03}")).collect();
    let lines: Vec<(&str, i64)> = skus.iter().map(|sku| (sku.as_str(), 2)).collect();
    for allowed in [false, true] {
        for (step, fault) in
            [(99, Fault::Throttled), (1, Fault::AnswerLost), (2, Fault::AnswerLost), (3, Fault::Conflict)]
        {
            let world = World::deciding(6, if allowed { Allow } else { Refuse }, None).await;
            for sku in &skus {
                world.shop.product("s-other", sku, "1.00", 1).await.unwrap();
            }
            world.shop.ready("r-1", "c", &lines).await.unwrap();
            let faulty = Arc::new(FaultyDatabase::new(world.database.clone()));
            faulty.script(Operation::Transact, std::iter::repeat_n(None, step).chain([Some(fault)]));
            let shop = Shop {
                ports: Ports { database: faulty, environment: world.environment.clone() },
                scope: world.shop.scope.clone(),
            };
            let done = shop.finalize("r-1", "c").await;
            if !allowed {
                let refusal = refused(done);
                assert_eq!(refusal.code, "insufficient_stock");
                assert!(world.tasks().await.is_empty());
                continue;
            }
            done.unwrap();
            assert_eq!(world.tasks().await.len(), LONG, "{fault:?} at {step}");
            for sku in [&skus[0], &skus[LONG - 1]] {
                assert_eq!(world.pieces(sku).await, (0, 0, 0), "{fault:?} at {step}");
                world.proved(sku).await;
            }
        }
    }
}

#[tokio::test]
async fn registers_at_once_enter_what_they_sell() {
    for seed in 300..310 {
        let world = World::deciding(seed, Allow, None).await;
        let shop = &world.shop;
        for n in 0..20 {
            shop.ready(&format!("r-{}", n % 4 + 1), &format!("c-{n}"), &[(NEW, 1 + n % 3)]).await.unwrap();
        }
        let sales = (0..20_i64).flat_map(|n| [n, n]).map(|n| {
            let shop = shop.clone();
            tokio::spawn(async move {
                loop {
                    match shop.finalize(&format!("r-{}", n % 4 + 1), &format!("c-{n}")).await {
                        // Its time was up, on a clock that all of them wait on: a till sends it again.
                        Err(Error::Conflict(_) | Error::Retryable { .. }) => {}
                        done => return done,
                    }
                }
            })
        });
        let sales: Vec<_> = sales.collect();
        for sale in join_all(sales).await {
            sale.unwrap().unwrap();
        }
        assert_eq!(world.pieces(NEW).await, (0, 0, 0), "{seed}");
        let sold = (0..20).map(|n| 1 + n % 3).sum::<i64>();
        let told = world.tasks().await.into_iter().map(|task| match task.quantity {
            QuantityInput::Whole(pieces) => pieces,
            QuantityInput::Decimal(text) => panic!("{text}"),
        });
        assert_eq!(told.sum::<i64>(), sold, "{seed}");
        world.proved(NEW).await;
    }
}

#[tokio::test]
async fn without_a_policy_a_cart_costs_what_it_cost() {
    let meter = Arc::new(CapacityMeter::default());
    let environment = Arc::new(TestEnvironment::new(7));
    let memory = MemoryDatabase::with_environment(environment.clone()).observed_by(meter.clone());
    let database = Arc::new(memory);
    let shop = Shop::open(database.clone(), environment.clone()).await.unwrap();
    shop.product(STORE, A, "1.00", 100).await.unwrap();
    let world = World { shop, database, environment };
    // As a process does that has answered before.
    let remember = async || {
        let shop = &world.shop;
        tenant_rules(&shop.ports, &shop.scope, shop.ports.environment.now()).await.unwrap();
        meter.take();
    };
    remember().await;
    let line = |cart: &str, n: i64| json!({"cart_id": cart, "sku": A, "quantity": n});
    world.shop.command("k-1", "create_cart", json!({"cart_id": "c"})).await.unwrap();
    meter.take();
    world.shop.command("k-2", "add_line_item", line("c", 1)).await.unwrap();
    let none = meter.take();
    assert_eq!(none.calls, [(Operation::GetMany, 1), (Operation::Write, 1)].into());
    assert_eq!(none.at(Table::Stock, None, CapacityKind::Read), 0);
    world.store_decides(json!({"at_cart": "check"})).await;
    remember().await;
    world.shop.command("k-3", "add_line_item", line("c", 1)).await.unwrap();
    let check = meter.take();
    assert_eq!(check.calls, [(Operation::GetMany, 2), (Operation::Write, 1)].into(), "one look more");
    assert_eq!(check.at(Table::Stock, None, CapacityKind::Read), 1_000);
}

#[tokio::test]
async fn what_is_not_there_is_not_added_where_that_is_checked() {
    for (tenant, own, checked) in [
        (Unchecked, None, false),
        (Check, None, true),
        (Unchecked, Some("check"), true),
        (Check, Some("none"), false),
    ] {
        let label = format!("{tenant:?} {own:?}");
        let world = World::new(8, &[A], 3).await;
        world.decide(tenant, Refuse).await;
        if let Some(own) = own {
            world.store_decides(json!({"at_cart": own})).await;
        }
        let shop = &world.shop;
        shop.command("k-1", "create_cart", json!({"cart_id": "c"})).await.unwrap();
        let line = |n: i64| json!({"cart_id": "c", "sku": A, "quantity": n});
        let added = shop.command("k-2", "add_line_item", line(2)).await.unwrap();
        let version = added.reply.cart.unwrap().version;
        let more = shop.command("k-3", "add_line_item", line(2)).await;
        if !checked {
            more.unwrap();
            continue;
        }
        let refusal = refused(more);
        assert_eq!(
            (refusal.code, refusal.errors[0].field.as_str()),
            ("insufficient_stock", "payload.quantity")
        );
        assert_eq!(
            refusal.extra["lines"],
            json!([{"sku": A, "location_id": STORE, "requested": 4, "available": 3, "incoming": 0, "expected": []}]),
            "{label}"
        );
        // Nothing came of it: the same key takes what is there.
        let fits = shop.command("k-3", "add_line_item", line(1)).await.unwrap();
        assert_eq!(fits.reply.cart.unwrap().version, version + 1);
        // More of a line is asked for too, less never.
        let to = |n: i64| json!({"cart_id": "c", "line_id": "l-1", "quantity": n});
        let refusal = refused(shop.command("k-4", "update_line_item", to(3)).await);
        assert_eq!(
            (refusal.code, refusal.errors[0].field.as_str()),
            ("insufficient_stock", "payload.quantity")
        );
        shop.command("k-5", "update_line_item", to(1)).await.unwrap();
        shop.command("k-6", "update_line_item", to(2)).await.unwrap();
        let notes = json!({"cart_id": "c", "line_id": "l-1", "notes": "blue"});
        world.count(A, 0).await;
        shop.command("k-7", "update_line_item", notes).await.unwrap();
        shop.command("k-8", "update_line_item", to(1)).await.unwrap();
        // What took effect is answered again, whatever is there by now.
        assert!(shop.command("k-2", "add_line_item", line(2)).await.unwrap().replayed);
        assert!(shop.command("k-6", "update_line_item", to(2)).await.unwrap().replayed);
    }
}

/// Nothing is held by a check: of two carts that both have the last one, the first to become final sells it.
#[tokio::test]
async fn a_check_holds_nothing() {
    let world = World::new(9, &[A], 1).await;
    world.decide(Check, Refuse).await;
    let shop = &world.shop;
    shop.ready("r-1", "c-1", &[(A, 1)]).await.unwrap();
    shop.ready("r-2", "c-2", &[(A, 1)]).await.unwrap();
    assert_eq!(world.pieces(A).await, (1, 0, 1));
    shop.finalize("r-2", "c-2").await.unwrap();
    assert_eq!(refused(shop.finalize("r-1", "c-1").await).code, "insufficient_stock");
}

#[tokio::test]
async fn a_check_knows_holds_parts_services_and_what_nobody_has_told() {
    let world = World::new(10, &[A], 40).await;
    world.decide(Check, Refuse).await;
    let shop = &world.shop;
    shop.command("k-1", "create_cart", json!({"cart_id": "c"})).await.unwrap();
    let add = async |key: &str, sku: &str, n: i64| {
        shop.command(key, "add_line_item", json!({"cart_id": "c", "sku": sku, "quantity": n})).await.map(drop)
    };
    // What others hold is not there, until their time is over.
    let hold = json!({"lines": [{"location_id": STORE, "sku": A, "quantity": 39}], "ttl_seconds": 60});
    let hold = serde_json::from_value(hold).unwrap();
    reserve(&shop.ports, &manager(), "held", &hold).await.unwrap();
    assert_eq!(refused(add("k-2", A, 2).await).extra["lines"][0]["available"], json!(1));
    world.environment.advance(Duration::from_secs(61));
    add("k-2", A, 2).await.unwrap();
    // Split over parts, it is there as a whole.
    let world_2 = World::new(11, &[A], 40).await;
    world_2.decide(Check, Refuse).await;
    split(&world_2.shop.ports, &world_2.shop.scope, STORE, A, 8).await.unwrap();
    let shop_2 = &world_2.shop;
    shop_2.command("k-1", "create_cart", json!({"cart_id": "c"})).await.unwrap();
    let line = |n: i64| json!({"cart_id": "c", "sku": A, "quantity": n});
    assert!(shop_2.command("k-2", "add_line_item", line(41)).await.is_err());
    shop_2.command("k-2", "add_line_item", line(40)).await.unwrap();

    // No stock is kept of services.
    let service: Product =
        serde_json::from_value(json!({"sku": "WRAP", "name": "Wrapping", "unit_price": "1.00",
        "currency": "GBP", "stocked": false, "unit": "piece", "category": null, "barcodes": ["4006381333931"],
        "attributes": {}, "version": 1}))
        .unwrap();
    let item = product_item(&shop.scope, &service).unwrap();
    world.database.write(Write::Put { table: Table::Catalog, item, condition: None }).await.unwrap();
    add("k-3", "WRAP", 1_000).await.unwrap();
    // What nobody has told is not there, unless its policy allows it to be sold.
    assert_eq!(refused(add("k-4", NEW, 1).await).extra["lines"][0]["available"], json!(0));
    world.decide(Check, Allow).await;
    add("k-4", NEW, 1).await.unwrap();
    // And of what was told the check goes on.
    assert!(add("k-5", A, 39).await.is_err());
    assert!(add("k-6", "NOSUCH", 1).await.unwrap_err().code() == Some("sku_not_found"));
}

/// A fault while the stock is looked at, or the cart is written: the command is answered, or may be repeated.
#[tokio::test]
async fn one_fault_of_a_checked_command_is_outlived() {
    for operation in [Operation::GetMany, Operation::Write] {
        for (step, fault) in (0..3).flat_map(|step| {
            [Fault::Throttled, Fault::TimedOutBefore, Fault::AnswerLost].map(|fault| (step, fault))
        }) {
            let world = World::new(12, &[A], 3).await;
            world.decide(Check, Refuse).await;
            world.shop.command("k-1", "create_cart", json!({"cart_id": "c"})).await.unwrap();
            let faulty = Arc::new(FaultyDatabase::new(world.database.clone()));
            faulty.script(operation, std::iter::repeat_n(None, step).chain([Some(fault)]));
            let shop = Shop {
                ports: Ports { database: faulty, environment: world.environment.clone() },
                scope: world.shop.scope.clone(),
            };
            let line = json!({"cart_id": "c", "sku": A, "quantity": 3});
            match shop.command("k-2", "add_line_item", line.clone()).await {
                Ok(_) | Err(Error::Retryable { .. }) => {}
                Err(error) => panic!("{operation:?} {step} {fault:?}: {error}"),
            }
            let again = world.shop.command("k-2", "add_line_item", line).await.unwrap();
            assert_eq!(again.reply.cart.unwrap().line_count, 1, "{operation:?} {step} {fault:?}");
        }
    }
}
