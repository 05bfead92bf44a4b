//! Orders on account of which some came back before they were settled.

use serde_json::{Value, json};
use tillstream_app::Error;
use tillstream_testkit::shop::Shop;

use super::fixture::{busy_shop, code, gbp, moved, order, placed, shop, snapshot};

/// Begins a return of one piece of the first line of `o`, refunded to `tender`.
async fn begun(shop: &Shop, id: &str, tender: &str) -> &'static str {
    for (n, (action, payload)) in [
        ("start_return", json!({"return_id": id, "original_order_id": "o", "reason": "x"})),
        (
            "return_line_item",
            json!({"return_id": id, "line_id": "l-1", "quantity": 1, "disposition": "restock"}),
        ),
        ("refund_tender", json!({"return_id": id, "tender": tender, "amount": gbp(255)})),
    ]
    .into_iter()
    .enumerate()
    {
        let answer = shop.command(&format!("{id}-{n}"), action, payload).await;
        if answer.is_err() {
            return code(answer);
        }
    }
    "done"
}

async fn ended(shop: &Shop, id: &str) -> &'static str {
    code(shop.command(&format!("{id}-end"), "finalize_return", json!({"return_id": id})).await)
}

fn paid(amount: i64) -> Value {
    json!({"status": "paid", "payments": [{"tender": "card", "amount": gbp(amount)}]})
}

/// Nobody pays for what they brought back.
#[tokio::test]
async fn what_came_back_is_not_owed() {
    let (shop, database) = shop().await;
    placed(&shop, "o", &[("A", 3)], json!([])).await.unwrap();
    assert_eq!(begun(&shop, "r", "account").await, "done");
    assert_eq!(ended(&shop, "r").await, "done");
    let before = snapshot(&database);
    assert_eq!(code(moved(&shop, "k-1", "o", paid(765)).await), "overpaid");
    assert_eq!(code(moved(&shop, "k-2", "o", paid(509)).await), "underpaid");
    assert_eq!(snapshot(&database), before);
    moved(&shop, "k-3", "o", paid(510)).await.unwrap();
    // The rest goes back to what settled it, and the account gets nothing more.
    assert_eq!(begun(&shop, "s", "account").await, "refund_above_paid");
    assert_eq!(begun(&shop, "t", "card").await, "done");
    assert_eq!(ended(&shop, "t").await, "done");
    assert_eq!(begun(&shop, "u", "card").await, "done");
    assert_eq!(ended(&shop, "u").await, "done");
    assert_eq!(order(&shop, "o").await["status"], "paid");
    assert_eq!(
        code(moved(&shop, "k-4", "o", json!({"status": "allocated"})).await),
        "order_already_returned"
    );
}

/// Of an order that came back whole nothing is to be paid or sent.
#[tokio::test]
async fn what_came_back_whole_goes_no_further() {
    let (shop, _) = shop().await;
    placed(&shop, "o", &[("A", 1)], json!([])).await.unwrap();
    assert_eq!((begun(&shop, "r", "account").await, ended(&shop, "r").await), ("done", "done"));
    for body in [json!({"status": "paid"}), paid(255)] {
        assert_eq!(code(moved(&shop, "k", "o", body).await), "order_already_returned");
    }
}

/// A return that was begun before the order was settled would refund to an account that owes nothing.
#[tokio::test]
async fn a_return_that_a_settlement_overtook_is_begun_again() {
    let (shop, database) = shop().await;
    placed(&shop, "o", &[("A", 2)], json!([])).await.unwrap();
    assert_eq!(begun(&shop, "r", "account").await, "done");
    moved(&shop, "k", "o", paid(510)).await.unwrap();
    let before = snapshot(&database);
    assert_eq!(ended(&shop, "r").await, "return_outdated");
    assert_eq!(snapshot(&database), before);
    shop.command("v", "void_return", json!({"return_id": "r", "reason": "x"})).await.unwrap();
    assert_eq!((begun(&shop, "s", "card").await, ended(&shop, "s").await), ("done", "done"));
}

/// Both at once: whichever is first, what was paid and what was refunded are the goods' worth.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn of_a_settlement_and_a_return_at_once_one_is_first() {
    for _ in 0..24 {
        let (shop, _) = busy_shop().await;
        placed(&shop, "o", &[("A", 2)], json!([])).await.unwrap();
        assert_eq!(begun(&shop, "r", "account").await, "done");
        let (one, other) = (shop.clone(), shop.clone());
        let settling = tokio::spawn(async move {
            loop {
                match moved(&one, "k", "o", paid(510)).await {
                    Err(Error::Conflict(_)) => {}
                    answer => break code(answer),
                }
            }
        });
        let returning = tokio::spawn(async move {
            loop {
                let end = json!({"return_id": "r"});
                match other.command("r-end", "finalize_return", end).await {
                    Err(Error::Conflict(_)) => {}
                    answer => break code(answer),
                }
            }
        });
        match (settling.await.unwrap(), returning.await.unwrap()) {
            ("done", "return_outdated") => {}
            ("overpaid", "done") => moved(&shop, "l", "o", paid(255)).await.map(drop).unwrap(),
            both => panic!("{both:?}"),
        }
    }
}
