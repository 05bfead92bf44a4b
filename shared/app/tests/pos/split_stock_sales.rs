//! Tills and orders that sell stock which is split: from its parts, never twice, never less than there is.

use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};
use serde_json::json;
use tillstream_app::capacity::{CapacityMeter, Operation};
use tillstream_app::catalog::suppliers::supplier_item;
use tillstream_app::database::{Table, Write};
use tillstream_app::orders::place::place;
use tillstream_app::pos::plan;
use tillstream_app::stock::counters::Counters;
use tillstream_app::stock::purchases;
use tillstream_app::stock::reserve::reserve;
use tillstream_app::stock::split::{self, LaidOut};
use tillstream_app::stock::standing::standing;
use tillstream_app::tenancy::Role;
use tillstream_app::{Error, Ports};
use tillstream_contracts::inventory::{ReserveLine, ReserveRequest};
use tillstream_contracts::purchase_orders::{PurchaseLineRequest, PurchaseOrderRequest};
use tillstream_domain::quantity::QuantityInput;
use tillstream_domain::supplier::Supplier;
use tillstream_testkit::faults::{Fault, FaultyDatabase};
use tillstream_testkit::memory_database::MemoryDatabase;
use tillstream_testkit::shop::{STORE, Shop, caller};
use tillstream_testkit::test_environment::TestEnvironment;

const A: &str = "SKU-A";

async fn shop(seed: u64, pieces: i64, parts: u32) -> (Shop, Arc<MemoryDatabase>) {
    let environment = Arc::new(TestEnvironment::new(seed));
    let database = Arc::new(MemoryDatabase::with_environment(environment.clone()));
    let shop = Shop::open(database.clone(), environment).await.unwrap();
    shop.product(STORE, A, "1.00", pieces).await.unwrap();
    let laid_out = split::split(&shop.ports, &shop.scope, STORE, A, parts).await.unwrap();
    assert!(matches!(laid_out, LaidOut::Now(_)));
    (shop, database)
}

/// Over all parts; each part must be in order by itself.
async fn total(shop: &Shop) -> Counters {
    let found = standing(shop.ports.database.as_ref(), &shop.scope, STORE, A, 0).await.unwrap().unwrap();
    for part in found.parts() {
        assert!(part.available >= 0 && part.on_hand >= 0 && part.reserved >= 0, "{found:?}");
        assert_eq!(part.available, part.on_hand - part.reserved, "{found:?}");
    }
    found.total()
}

async fn finalize(shop: &Shop, register: &str, cart: &str) -> tillstream_app::Result<()> {
    let payload = json!({"cart_id": cart});
    shop.at(register, &format!("{cart}-end"), "finalize_order", payload).await.map(|_| ())
}

#[tokio::test]
async fn a_till_sells_from_the_parts_to_the_last_piece() {
    let (shop, _) = shop(1, 40, 8).await;
    // One part has enough; no part has; all have together.
    for (n, pieces) in [2, 9, 29].into_iter().enumerate() {
        let cart = format!("c-{n}");
        shop.ready("r-1", &cart, &[(A, pieces)]).await.unwrap();
        finalize(&shop, "r-1", &cart).await.unwrap();
        // A repetition is a replay.
        finalize(&shop, "r-1", &cart).await.unwrap();
    }
    assert_eq!(total(&shop).await.on_hand, 0);
    shop.ready("r-1", "late", &[(A, 1)]).await.unwrap();
    let Err(Error::Rejected(refusal)) = finalize(&shop, "r-1", "late").await else { panic!("sold twice") };
    assert_eq!(refusal.code, "insufficient_stock");
    assert_eq!(refusal.extra["lines"][0]["available"], 0);
}

/// The one reads its cart, the other takes all there is, the first looks at the parts: they are one command.
#[tokio::test]
async fn a_twin_that_took_the_last_piece_is_no_shortage() {
    for seed in 40..60 {
        let (shop, _) = shop(seed, 8, 4).await;
        shop.ready("r-1", "c", &[(A, 8)]).await.unwrap();
        let twins = (0..4).map(|_| finalize(&shop, "r-1", "c"));
        for answer in futures::future::join_all(twins).await {
            assert!(!matches!(answer, Err(Error::Rejected(_) | Error::Bug(_))), "{seed}: {answer:?}");
        }
        finalize(&shop, "r-1", "c").await.unwrap();
        assert_eq!(total(&shop).await.on_hand, 0);
    }
}

#[tokio::test]
async fn a_refusal_tells_what_all_parts_have_together() {
    let (shop, _) = shop(2, 40, 8).await;
    shop.ready("r-1", "c", &[(A, 41)]).await.unwrap();
    let Err(Error::Rejected(refusal)) = finalize(&shop, "r-1", "c").await else { panic!("oversold") };
    assert_eq!(refusal.extra["lines"][0]["available"], 40);
    assert_eq!(
        (&refusal.extra["lines"][0]["incoming"], &refusal.extra["lines"][0]["expected"]),
        (&json!(0), &json!([]))
    );
    assert_eq!(total(&shop).await.on_hand, 40_000);
}

fn supplier(id: &str) -> Supplier {
    Supplier {
        id: id.into(),
        name: "Candles Ltd".into(),
        lead_time_days: 7,
        currency: None,
        over_delivery_percent: 0,
        contact_name: None,
        email: None,
        phone: None,
        address: None,
        supplies: vec![],
        version: 1,
    }
}

/// So many are ordered as days go by until they come.
async fn order_more(shop: &Shop, days: &[i64]) {
    let item = supplier_item(&shop.scope, &supplier("sup-1")).unwrap();
    shop.ports.database.write(Write::Put { table: Table::Catalog, item, condition: None }).await.unwrap();
    for days in days {
        let line =
            PurchaseLineRequest { sku: A.into(), quantity: QuantityInput::Whole(*days), unit_cost: None };
        let order = PurchaseOrderRequest {
            purchase_order_id: Some(format!("po-{days}")),
            supplier_id: "sup-1".into(),
            location_id: STORE.into(),
            lines: vec![line],
            expected_at: Some(in_days(shop, *days)),
            note: None,
        };
        let buyer = caller("demo", &[Role::StoreManager]);
        purchases::place::place(&shop.ports, &buyer, "k", &order).await.unwrap();
    }
}

fn in_days(shop: &Shop, days: i64) -> Timestamp {
    let now = Timestamp::from_second(shop.ports.environment.now().as_second()).unwrap();
    now + SignedDuration::from_hours(24 * days)
}

#[tokio::test]
async fn a_refusal_at_a_till_tells_what_is_on_order_and_when_it_comes() {
    for parts in [1, 8] {
        let (shop, _) = shop(20, 40, 8).await;
        if parts == 1 {
            split::merge(&shop.ports, &shop.scope, STORE, A).await.unwrap();
        }
        order_more(&shop, &[9, 4]).await;
        shop.ready("r-1", "c", &[(A, 41)]).await.unwrap();
        let Err(Error::Rejected(refusal)) = finalize(&shop, "r-1", "c").await else { panic!("oversold") };
        let line = &refusal.extra["lines"][0];
        assert_eq!((&line["available"], &line["incoming"]), (&json!(40), &json!(13)), "{parts} parts");
        let expected = [4, 9].map(|days| json!({"quantity": days, "at": in_days(&shop, days)}));
        assert_eq!(line["expected"], json!(expected), "{parts} parts");
    }
}

/// A sale costs what it cost before anything was ordered: only who is refused looks.
#[tokio::test]
async fn a_sale_pays_nothing_for_what_is_on_order() {
    let environment = Arc::new(TestEnvironment::new(21));
    let meter = Arc::new(CapacityMeter::default());
    let memory = MemoryDatabase::with_environment(environment.clone()).observed_by(meter.clone());
    let shop = Shop::open(Arc::new(memory), environment).await.unwrap();
    shop.product(STORE, A, "1.00", 40).await.unwrap();
    let cost_of_sale = async |cart: &str| {
        shop.ready("r-1", cart, &[(A, 1)]).await.unwrap();
        meter.take();
        finalize(&shop, "r-1", cart).await.unwrap();
        meter.take()
    };
    let before = cost_of_sale("c-1").await;
    order_more(&shop, &[9, 4]).await;
    let after = cost_of_sale("c-2").await;
    assert_eq!((&after.calls, after.read()), (&before.calls, before.read()));
    assert_eq!(after.write(), before.write());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn four_tills_at_once_sell_what_there_is_while_it_is_laid_out_anew() {
    let (shop, _) = shop(3, 50, 8).await;
    let shop = Arc::new(shop);
    for register in 1..=4 {
        for n in 0..5 {
            let cart = format!("c-{register}-{n}");
            shop.ready(&format!("r-{register}"), &cart, &[(A, 3)]).await.unwrap();
        }
    }
    let tills: Vec<_> = (1..=4)
        .map(|register| {
            let shop = shop.clone();
            tokio::spawn(async move {
                let mut sold = 0;
                for n in 0..5 {
                    let cart = format!("c-{register}-{n}");
                    loop {
                        match finalize(&shop, &format!("r-{register}"), &cart).await {
                            Ok(()) => {
                                sold += 3;
                                break;
                            }
                            Err(Error::Rejected(refusal)) => {
                                assert_eq!(refusal.code, "insufficient_stock");
                                break;
                            }
                            Err(Error::Bug(bug)) => panic!("{bug}"),
                            Err(_) => {}
                        }
                    }
                }
                sold
            })
        })
        .collect();
    let layouts = {
        let shop = shop.clone();
        tokio::spawn(async move {
            for parts in [4, 12, 3, 8] {
                let _ = split::merge(&shop.ports, &shop.scope, STORE, A).await.unwrap();
                tokio::task::yield_now().await;
                let _ = split::split(&shop.ports, &shop.scope, STORE, A, parts).await.unwrap();
            }
        })
    };
    let mut sold = 0;
    for till in tills {
        sold += till.await.unwrap();
    }
    layouts.await.unwrap();
    // Twenty carts of three want sixty of fifty: sixteen get theirs.
    assert_eq!(sold, 48);
    assert_eq!(total(&shop).await.on_hand, 2_000);
}

#[tokio::test]
async fn what_comes_back_goes_to_the_first_part() {
    let (shop, _) = shop(4, 40, 8).await;
    shop.ready("r-1", "c", &[(A, 6)]).await.unwrap();
    finalize(&shop, "r-1", "c").await.unwrap();
    let send = async |action: &'static str, disposition: &'static str, payload| {
        shop.command(&format!("{action} {disposition}"), action, payload).await.unwrap()
    };
    for (disposition, pieces) in [("restock", 4), ("damaged", 1), ("none", 1)] {
        let id = format!("back-{disposition}");
        let start = json!({"return_id": id, "original_order_id": "c", "reason": "too many"});
        send("start_return", disposition, start).await;
        let line = json!({"return_id": id, "line_id": "l-1", "quantity": pieces, "disposition": disposition});
        send("return_line_item", disposition, line).await;
        let amount = json!({"amount": pieces * 100, "currency": "GBP"});
        let refund = json!({"return_id": id, "tender": "card", "amount": amount});
        send("refund_tender", disposition, refund).await;
        send("finalize_return", disposition, json!({"return_id": id})).await;
    }
    assert_eq!((total(&shop).await.on_hand, total(&shop).await.damaged), (38_000, 1_000));
}

#[tokio::test]
async fn a_long_order_holds_of_the_whole_and_settles_in_any_layout() {
    let (shop, database) = shop(5, 40, 8).await;
    let skus: Vec<String> = (0..110).map(|n| format!("SKU-{n:04}")).collect();
    let mut lines = vec![(A, 7)];
    for sku in &skus {
        shop.product(STORE, sku, "1.00", 5).await.unwrap();
        lines.push((sku, 1));
    }
    shop.ready("r-1", "long", &lines).await.unwrap();
    // Dies after the plan, its chunks and the order: the chunks are not settled.
    let faulty = Arc::new(FaultyDatabase::new(database.clone()));
    let scope = shop.scope.clone();
    let ports = Ports { database: faulty.clone(), environment: shop.ports.environment.clone() };
    let dying = Shop { ports, scope: scope.clone() };
    // The plan; the first chunk, which meets the split; the merge; both chunks; the order.
    faulty.script(Operation::Transact, (0..6).map(|_| None).chain([Some(Fault::DiesBefore)]));
    let task = tokio::spawn(async move { finalize(&dying, "r-1", "long").await });
    while faulty.injected().is_empty() {
        assert!(!task.is_finished(), "it had more to write");
        tokio::task::yield_now().await;
    }
    task.abort();
    assert_eq!((total(&shop).await.layout, total(&shop).await.reserved), (0, 7_000));
    // Split again before what it holds is settled.
    split::split(&shop.ports, &shop.scope, STORE, A, 8).await.unwrap();
    let late = shop.ports.environment.now() + SignedDuration::from_mins(5);
    plan::recover(&shop.ports, late, 10, Timestamp::MAX).await.unwrap();
    let left = total(&shop).await;
    assert_eq!((left.on_hand, left.reserved, left.layout != 0), (33_000, 0, true));
}

#[tokio::test]
async fn an_order_takes_the_reservation_it_was_held_by() {
    for merged in [false, true] {
        let (shop, _) = shop(6, 40, 8).await;
        let who = caller("demo", &[Role::Operator]);
        let wanted = ReserveRequest {
            reservation_id: Some("held".into()),
            lines: vec![ReserveLine {
                location_id: Some(STORE.into()),
                sku: A.into(),
                quantity: QuantityInput::Whole(12),
            }],
            sourcing: None,
            ttl_seconds: 900,
            order_id: None,
        };
        reserve(&shop.ports, &who, "k", &wanted).await.unwrap();
        if merged {
            split::merge(&shop.ports, &shop.scope, STORE, A).await.unwrap();
        }
        let order = json!({
            "order_id": "o-1", "store_id": STORE, "channel": "web", "reservation_id": "held",
            "lines": [{"sku": A, "quantity": 12}],
            "payments": [{"tender": "card", "amount": {"amount": 1200, "currency": "GBP"}}],
        });
        place(&shop.ports, &who, "order", serde_json::from_value(order).unwrap()).await.unwrap();
        let left = total(&shop).await;
        assert_eq!((left.on_hand, left.reserved), (28_000, 0));
    }
}

#[tokio::test]
async fn a_whole_sku_beside_a_split_one_is_sold_with_it() {
    let (shop, database) = shop(7, 40, 8).await;
    shop.product(STORE, "B", "1.00", 3).await.unwrap();
    shop.ready("r-1", "c", &[(A, 20), ("B", 3)]).await.unwrap();
    finalize(&shop, "r-1", "c").await.unwrap();
    assert_eq!(total(&shop).await.on_hand, 20_000);
    assert_eq!(shop.counters(STORE, "B").await.unwrap().on_hand, 0);
    // Nothing of the whole one knows of parts.
    let parts = database.items(Table::Stock).iter().filter(|item| item.get("part").is_some()).count();
    assert_eq!(parts, 7);
}

/// Pieces of all parts at once are as many actions of one transaction: beyond a hundred, what is split over
/// the most parts is merged first, and only that.
#[tokio::test]
async fn too_many_parts_for_a_transaction_are_merged() {
    for (wholes, merged) in [(4, None), (5, Some("B"))] {
        let (shop, _) = shop(8, 62, 31).await;
        for (sku, parts) in [("B", 32), ("C", 31)] {
            shop.product(STORE, sku, "1.00", 2 * i64::from(parts)).await.unwrap();
            split::split(&shop.ports, &shop.scope, STORE, sku, parts).await.unwrap();
        }
        let mut lines = vec![(A, 62), ("B", 64), ("C", 62)];
        let whole: Vec<String> = (0..wholes).map(|n| format!("W-{n}")).collect();
        for sku in &whole {
            shop.product(STORE, sku, "1.00", 1).await.unwrap();
            lines.push((sku, 1));
        }
        shop.ready("r-1", "c", &lines).await.unwrap();
        finalize(&shop, "r-1", "c").await.unwrap();
        for (sku, _) in lines {
            let left =
                standing(shop.ports.database.as_ref(), &shop.scope, STORE, sku, 0).await.unwrap().unwrap();
            assert_eq!(left.total().on_hand, 0, "{sku}");
            let is_split = left.layout() != 0;
            assert_eq!(is_split, !sku.starts_with('W') && Some(sku) != merged, "{sku} beside {wholes}");
        }
    }
}
