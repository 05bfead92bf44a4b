//! Many at one balance at once.

use std::future::Future;

use serde_json::json;
use tillstream_app::pos::execute::Answered;
use tillstream_app::{Error, Result};
use tillstream_testkit::shop::Shop;

use super::fixture::{CARD, bring_back, busy_world, change, pay, payment, refund, refused, sell, tendering};

/// Repeats what may be repeated, as a till does.
async fn until_told<T, F: Future<Output = Result<T>>>(mut send: impl FnMut() -> F) -> Result<T> {
    loop {
        match send().await {
            Err(Error::Conflict(_) | Error::Retryable { .. }) => {}
            told => return told,
        }
    }
}

async fn at(
    shop: &Shop,
    register: String,
    key: String,
    action: &str,
    payload: serde_json::Value,
) -> Result<Answered> {
    shop.at(&register, &key, action, payload).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn of_64_sales_of_10_at_once_a_balance_of_100_pays_ten() {
    let world = busy_world(5).await;
    world.issue(CARD, 100).await;
    let register = |n: usize| format!("r-{}", n % 4 + 1);
    for n in 0..64 {
        tendering(&world.shop, &register(n), &format!("c{n}"), 1).await;
        pay(&world.shop, &register(n), &format!("c{n}"), 10, CARD).await.unwrap();
    }
    let tasks: Vec<_> = (0..64)
        .map(|n| {
            let shop = world.shop.clone();
            tokio::spawn(async move {
                until_told(|| async { shop.finalize(&register(n), &format!("c{n}")).await }).await
            })
        })
        .collect();
    let mut sold = 0;
    for task in tasks {
        match task.await.unwrap() {
            Ok(_) => sold += 1,
            refusal => assert_eq!(refused(refusal), ("insufficient_balance", Some(0))),
        }
    }
    assert_eq!((sold, world.balance(CARD)), (10, 0));
    assert_eq!(world.movements(CARD).len(), 11);
    assert_eq!(world.shop.counters("s-1", "DIME").await.unwrap().on_hand, 1_000_000_000 - 10_000);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn one_finalise_sent_twenty_times_at_once_takes_once() {
    let world = busy_world(6).await;
    world.issue(CARD, 100).await;
    tendering(&world.shop, "r-1", "c", 6).await;
    pay(&world.shop, "r-1", "c", 60, CARD).await.unwrap();
    let tasks: Vec<_> = (0..20)
        .map(|_| {
            let shop = world.shop.clone();
            tokio::spawn(async move { until_told(|| async { shop.finalize("r-1", "c").await }).await })
        })
        .collect();
    let mut first = 0;
    for task in tasks {
        first += usize::from(!task.await.unwrap().unwrap().replayed);
    }
    assert_eq!((first, world.balance(CARD)), (1, 40));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn sales_credits_and_debits_at_once_add_up() {
    let world = busy_world(7).await;
    world.issue(CARD, 200).await;
    let tasks: Vec<_> = (0..48)
        .map(|n| {
            let shop = world.shop.clone();
            tokio::spawn(async move {
                let (key, register) = (format!("k{n}"), format!("r-{}", n % 4 + 1));
                match n % 3 {
                    0 => until_told(|| change(&shop, "credit", &key, CARD, 7)).await.map(|_| 7),
                    1 => until_told(|| change(&shop, "debit", &key, CARD, 13)).await.map(|_| -13),
                    _ => until_told(|| sell(&shop, &register, &key, 2, CARD)).await.map(|_| -20),
                }
            })
        })
        .collect();
    let mut sum = 200;
    for task in tasks {
        match task.await.unwrap() {
            Ok(amount) => sum += amount,
            refusal => assert_eq!(refused(refusal).0, "insufficient_balance"),
        }
    }
    assert_eq!(world.balance(CARD), sum);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn of_100_refunds_of_60_on_a_payment_of_100_one_is_given() {
    let world = busy_world(8).await;
    world.issue(CARD, 100).await;
    sell(&world.shop, "r-1", "c", 10, CARD).await.unwrap();
    assert_eq!(world.balance(CARD), 0);
    let register = |n: usize| format!("r-{}", n % 4 + 1);
    for n in 0..100 {
        let id = format!("b{n}");
        bring_back(&world.shop, &register(n), &id, "c", 6).await;
        let back = refund(&id, "gift_card", 60, None);
        world.shop.at(&register(n), &format!("{id}-r"), "refund_tender", back).await.unwrap();
    }
    let tasks: Vec<_> = (0..100)
        .map(|n| {
            let shop = world.shop.clone();
            tokio::spawn(async move {
                let payload = json!({"return_id": format!("b{n}")});
                let key = format!("b{n}-end");
                until_told(|| at(&shop, register(n), key.clone(), "finalize_return", payload.clone())).await
            })
        })
        .collect();
    let mut given = 0;
    for task in tasks {
        match task.await.unwrap() {
            Ok(_) => given += 1,
            refusal => assert!(matches!(refused(refusal).0, "return_above_sold" | "return_outdated")),
        }
    }
    assert_eq!((given, world.balance(CARD)), (1, 60));
}

/// Voids and returns of one sale: all of it comes back once, or the returns' part and no void.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_void_and_returns_at_once_give_back_no_more_than_was_taken() {
    for round in 0..5 {
        let world = busy_world(20 + round).await;
        world.issue(CARD, 100).await;
        sell(&world.shop, "r-1", "c", 10, CARD).await.unwrap();
        for n in 1..=2 {
            let id = format!("b{n}");
            bring_back(&world.shop, &format!("r-{n}"), &id, "c", 3).await;
            let back = refund(&id, "gift_card", 30, None);
            world.shop.at(&format!("r-{n}"), &format!("{id}-r"), "refund_tender", back).await.unwrap();
        }
        let tasks: Vec<_> = (1..=4)
            .map(|n| {
                let shop = world.shop.clone();
                tokio::spawn(async move {
                    let (action, payload) = match n {
                        1 | 2 => ("finalize_return", json!({"return_id": format!("b{n}")})),
                        _ => ("void_order", json!({"order_id": "c", "reason": "x"})),
                    };
                    let key = format!("end{n}");
                    until_told(|| at(&shop, format!("r-{n}"), key.clone(), action, payload.clone())).await
                })
            })
            .collect();
        let mut done = Vec::new();
        for task in tasks {
            done.push(task.await.unwrap().is_ok());
        }
        let voided = done[2] || done[3];
        let returned = done[..2].iter().filter(|done| **done).count();
        let expected = if voided { 100 } else { 30 * i64::try_from(returned).unwrap() };
        assert!(!voided || returned == 0, "{done:?}");
        assert!(voided || returned > 0, "somebody is first: {done:?}");
        assert_eq!(world.balance(CARD), expected, "{done:?}");
    }
}

/// Of payments that a cart takes at once, each sees what the others promised.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn payments_of_one_cart_at_once_promise_no_more_than_there_is() {
    let world = busy_world(9).await;
    world.issue(CARD, 100).await;
    tendering(&world.shop, "r-1", "c", 50).await;
    let tasks: Vec<_> = (0..12)
        .map(|n| {
            let shop = world.shop.clone();
            tokio::spawn(async move {
                let paid = payment("c", "gift_card", 30, Some(CARD));
                until_told(|| at(&shop, "r-1".into(), format!("p{n}"), "add_payment", paid.clone())).await
            })
        })
        .collect();
    let mut taken = 0;
    for task in tasks {
        match task.await.unwrap() {
            Ok(_) => taken += 1,
            refusal => assert_eq!(refused(refusal), ("insufficient_balance", Some(10))),
        }
    }
    assert_eq!(taken, 3);
    world.shop.at("r-1", "rest", "add_payment", payment("c", "card", 410, None)).await.unwrap();
    world.shop.finalize("r-1", "c").await.unwrap();
    assert_eq!(world.balance(CARD), 10);
}
