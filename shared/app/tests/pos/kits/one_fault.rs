//! One call of the database fails while kits are sold, held, brought back or undone, whichever it is: their components
//! move all together and once.

use futures::FutureExt;
use tillstream_app::Error;
use tillstream_app::capacity::Operation;
use tillstream_testkit::faults::{Fault, FaultyDatabase};

use super::*;
use crate::one_fault::{Moment, Request, shop_on as on, told};

const FAULTS: [Fault; 4] = [Fault::Throttled, Fault::Conflict, Fault::TimedOutBefore, Fault::AnswerLost];

/// On hand and reserved of all components, over all parts.
async fn counted(shop: &Shop) -> Vec<(i64, i64)> {
    let mut all = Vec::new();
    for sku in ["MUG", "BOX", "TEA"] {
        let database = shop.ports.database.as_ref();
        let found = tillstream_app::stock::standing::standing(database, &shop.scope, STORE, sku, 0).await;
        let total = found.unwrap().unwrap().total();
        assert_eq!(total.available, total.on_hand - total.reserved, "{sku}");
        all.push((total.on_hand, total.reserved));
    }
    all
}

fn command(action: &'static str, payload: Value) -> Request {
    Box::new(move |shop| {
        let payload = payload.clone();
        async move { Ok(json!(shop.at("r-1", "key", action, payload).await?.reply.result)) }.boxed()
    })
}

fn ordered(order: Value) -> Request {
    Box::new(move |shop| {
        let order = serde_json::from_value(order.clone()).unwrap();
        async move {
            let executed = place(&shop.ports, &caller("demo", &[Role::Integration]), "key", order).await?;
            Ok(json!(executed.cart.finalized.map(|done| done.number.to_string())))
        }
        .boxed()
    })
}

fn held(lines: Value) -> Request {
    Box::new(move |shop| {
        let request = json!({"reservation_id": "new", "ttl_seconds": 600, "lines": lines});
        let request = serde_json::from_value(request).unwrap();
        async move {
            let who = caller("demo", &[Role::Operator]);
            let answer = reserve(&shop.ports, &who, "key", &request).await?;
            Ok(serde_json::to_value(answer.reservation.lines).unwrap())
        }
        .boxed()
    })
}

/// The shop with all that the requests need, its mugs perhaps in parts.
async fn moment(parts: Option<u32>) -> Moment {
    let environment = Arc::new(TestEnvironment::new(3));
    let database = Arc::new(MemoryDatabase::with_environment(environment.clone()));
    let shop = shop_on(database.clone(), environment.clone()).await;
    if let Some(parts) = parts {
        tillstream_app::stock::split::split(&shop.ports, &shop.scope, STORE, "MUG", parts).await.unwrap();
    }
    let old = json!({"reservation_id": "old", "ttl_seconds": 6_000,
        "lines": [{"location_id": STORE, "sku": SET, "quantity": 2}]});
    let old = serde_json::from_value(old).unwrap();
    reserve(&shop.ports, &caller("demo", &[Role::Operator]), "old", &old).await.unwrap();
    sold(&shop, "sold", &[(SET, 3), ("BOX", 1)]).await;
    shop.ready("r-1", "c", &[(SET, 2), (GIFT, 1)]).await.unwrap();
    let start = json!({"return_id": "r", "original_order_id": "sold", "reason": "x"});
    shop.command("s", "start_return", start).await.unwrap();
    let line = json!({"return_id": "r", "line_id": "l-1", "quantity": 2, "disposition": "restock"});
    shop.command("l", "return_line_item", line).await.unwrap();
    let refund = json!({"return_id": "r", "tender": "card", "amount": gbp(4_000)});
    shop.command("t", "refund_tender", refund).await.unwrap();
    Moment::of(&database, &environment)
}

/// Every request that moves kits' components, with every fault at every call. After the first try there is all of it
/// or nothing; an answer is never more than what is there; and repeated it is all of it, once.
async fn all_or_none_whatever_fails(parts: Option<u32>) {
    let moment = moment(parts).await;
    let here = |sku: &str, n: i64| json!({"location_id": STORE, "sku": sku, "quantity": n});
    let order = |id: &str, n: i64| json!({"order_id": id, "store_id": STORE, "channel": "web", "lines": [{"sku": SET, "quantity": n}]});
    let mut reserved = order("of-old", 2);
    reserved["reservation_id"] = "old".into();
    let mut faults = 0;
    for (label, request) in [
        ("reserve", held(json!([here(SET, 4), here(GIFT, 1), here("MUG", 1)]))),
        ("finalize", command("finalize_order", json!({"cart_id": "c"}))),
        ("place", ordered(order("web", 5))),
        ("place what is held", ordered(reserved)),
        ("return", command("finalize_return", json!({"return_id": "r"}))),
        ("void", command("void_order", json!({"order_id": "sold", "reason": "x"}))),
        ("short", held(json!([here(SET, 1), here(GIFT, 1_000)]))),
    ] {
        let (database, environment) = moment.copied().await;
        let before = counted(&on(database.clone(), environment.clone())).await;
        let expected = told(request(on(database.clone(), environment.clone())).await).unwrap();
        let after = counted(&on(database, environment)).await;
        assert_eq!(before == after, label == "short", "{label}");
        for operation in Operation::ALL {
            for fault in FAULTS {
                for call in 0.. {
                    let (database, environment) = moment.copied().await;
                    let faulty = Arc::new(FaultyDatabase::new(database.clone()));
                    faulty.script(operation, std::iter::repeat_n(None, call).chain([Some(fault)]));
                    let answer = told(request(on(faulty.clone(), environment.clone())).await);
                    if faulty.injected().is_empty() {
                        break;
                    }
                    faults += 1;
                    let label = format!("{label}: {fault:?} at {operation:?} {call}");
                    let healthy = || on(database.clone(), environment.clone());
                    let there = counted(&healthy()).await;
                    match answer {
                        Ok(answer) => assert_eq!((answer, &there), (expected.clone(), &after), "{label}"),
                        Err(Error::Retryable { .. }) => {
                            assert!(there == before || there == after, "{label}: {there:?}");
                        }
                        Err(error) => panic!("{label}: {error}"),
                    }
                    for _ in 0..2 {
                        assert_eq!(told(request(healthy()).await).unwrap(), expected, "{label}, repeated");
                        assert_eq!(counted(&healthy()).await, after, "{label}, repeated");
                    }
                }
            }
        }
    }
    assert!(faults >= 100, "{faults}");
}

#[tokio::test]
async fn kits_move_all_or_none_of_their_components_whatever_fails() {
    all_or_none_whatever_fails(None).await;
}

#[tokio::test]
async fn kits_of_a_component_that_is_split_move_all_or_none_whatever_fails() {
    all_or_none_whatever_fails(Some(4)).await;
}
