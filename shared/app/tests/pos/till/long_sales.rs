//! A sale of more products than one transaction takes, and the end of the shift at each of its steps: it is sold within
//! the shift, or not at all.

use tillstream_app::Ports;
use tillstream_app::capacity::Operation;
use tillstream_testkit::faults::{Fault, FaultyDatabase};

use super::*;

/// Two chunks of a plan.
const SKUS: usize = 105;

/// The transactions of its finalise: the plan is put, each chunk is held, all of it is committed, each chunk is
/// settled.
const COMMIT: usize = 3;

fn sku(n: usize) -> String {
    format!("SKU-{n:03}")
}

/// On hand and reserved of a product of the first chunk and of one of the last, in pieces.
async fn stock(shop: &Shop) -> [(i64, i64); 2] {
    let mut found = [(0, 0); 2];
    for (at, n) in [0, SKUS - 1].into_iter().enumerate() {
        let counters = shop.counters(STORE, &sku(n)).await.unwrap();
        found[at] = (counters.on_hand / 1_000, counters.reserved / 1_000);
    }
    found
}

/// Finalises a long sale whose transaction number `step` waits until the shift has been closed. What was held at
/// that moment, what the till is told, and the closed shift.
async fn closed_before(step: usize) -> (Shop, [(i64, i64); 2], Result<Answered, Error>, ShiftView) {
    let (shop, database) = shop().await;
    needs_open_shift(&shop).await;
    for n in 0..SKUS {
        shop.product(STORE, &sku(n), "1.00", 5).await.unwrap();
    }
    let skus: Vec<String> = (0..SKUS).map(sku).collect();
    let lines: Vec<(&str, i64)> = skus.iter().map(|sku| (sku.as_str(), 1)).collect();
    shop.ready("r-1", "long", &lines).await.unwrap();
    assert_eq!(shop.finalize("r-1", "long").await.unwrap_err().code(), Some("no_open_shift"));
    send(&shop, "o", "open_till", json!({"shift_id": "sh-1"})).await;

    let slow = Arc::new(FaultyDatabase::new(database));
    slow.script(Operation::Transact, std::iter::repeat_n(None, step).chain([Some(Fault::Freezes)]));
    let ports = Ports { database: slow.clone(), environment: shop.ports.environment.clone() };
    let till = Shop { ports, scope: shop.scope.clone() };
    let sale = tokio::spawn(async move { till.finalize("r-1", "long").await });
    while slow.injected().is_empty() {
        assert!(!sale.is_finished(), "there is no transaction {step}");
        tokio::task::yield_now().await;
    }
    let held = stock(&shop).await;
    let closed = send(&shop, "z", "close_till", json!({"shift_id": "sh-1", "counted": gbp(0)})).await;
    slow.thaw();
    (shop, held, sale.await.unwrap(), closed)
}

#[tokio::test]
async fn a_long_sale_is_refused_where_the_shift_ends_before_it_is_committed() {
    let (free, held) = ((5, 0), (5, 1));
    for (step, expected) in [[free, free], [free, free], [held, free], [held, held]].into_iter().enumerate() {
        let (shop, found, told, closed) = closed_before(step).await;
        assert_eq!(found, expected, "held before transaction {step}");
        assert_eq!(told.unwrap_err().code(), Some("no_open_shift"), "transaction {step}");
        assert_eq!(closed.report.unwrap().sales_count, 0, "transaction {step}");
        assert_eq!(stock(&shop).await, [free, free], "nothing is held for it any more");
        // It is sold in the next shift, and counted there.
        send(&shop, "o2", "open_till", json!({"shift_id": "sh-2"})).await;
        let sold = shop.finalize("r-1", "long").await.unwrap();
        assert_eq!((sold.replayed, sold.reply.result.receipt_number), (false, Some(1)));
        let next = send(&shop, "z2", "close_till", json!({"shift_id": "sh-2", "counted": gbp(0)})).await;
        let report = next.report.unwrap();
        assert_eq!((report.sales_count, report.first_receipt), (1, Some(1)));
        assert_eq!(stock(&shop).await, [(4, 0), (4, 0)]);
    }
}

#[tokio::test]
async fn a_long_sale_is_of_the_shift_that_it_is_committed_in() {
    let (held, settled) = ((5, 1), (4, 0));
    for (step, expected) in (COMMIT + 1..).zip([[held, held], [settled, held]]) {
        let (shop, found, told, closed) = closed_before(step).await;
        assert_eq!(found, expected, "held before transaction {step}");
        assert_eq!(told.unwrap().reply.result.receipt_number, Some(1), "transaction {step}");
        let report = closed.report.unwrap();
        assert_eq!((report.sales_count, report.first_receipt), (1, Some(1)), "transaction {step}");
        assert_eq!(stock(&shop).await, [settled, settled]);
    }
}
