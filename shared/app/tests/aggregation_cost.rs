//! What counting costs in write units.
#![allow(clippy::unwrap_used, clippy::panic, missing_docs, reason = "a test that cannot go on fails")]

mod sales;

use std::sync::Arc;

use jiff::Span;
use sales::*;
use tillstream_app::capacity::CapacityMeter;
use tillstream_contracts::events::{SaleEvent, SaleLine, SalePayment};
use tillstream_testkit::memory_database::MemoryDatabase;

/// A sale of `lines` products out of 4,000, by one of 4 registers, 6 employees, 3 tenders and 10
/// categories, in hour `hour` of the day.
fn order(dice: &mut Dice, register: u64, number: u64, lines: u64, hour: i64) -> SaleEvent {
    let mut event = sale(&format!("r-{register}"), number);
    event.hour_start = event.hour_start.checked_add(Span::new().hours(hour)).unwrap();
    event.employee_id = format!("e-{}", dice.below(6));
    let detail = event.detail.as_mut().unwrap();
    detail.lines = (0..lines)
        .map(|_| {
            let n = dice.below(4_000);
            let gross = 100 + i64::try_from(dice.below(2_000)).unwrap();
            SaleLine {
                category: Some(format!("category-{}", n % 10)),
                ..line(&format!("{}", 20_000 + n), 2, gross)
            }
        })
        .collect();
    let tender = ["cash", "card", "gift_card"][usize::try_from(dice.below(3)).unwrap()];
    let amount = detail.lines.iter().map(|l| l.gross).sum();
    detail.payments = vec![SalePayment { tender: tender.into(), amount, tip: 0 }];
    event
}

#[tokio::test]
async fn write_units_stay_within_their_bounds() {
    let meter = Arc::new(CapacityMeter::default());
    let database = Arc::new(MemoryDatabase::new().observed_by(meter.clone()));
    let ports = ports(database);
    let mut dice = Dice(77);
    let written = || meter.take().write().div_ceil(1_000);

    fold_all(&ports, &[order(&mut dice, 0, 1, 3, 0)]).await;
    let alone = written();
    assert!(alone <= 6, "an order of 3 lines alone, on a fresh day: {alone} write units");

    // A full day: 2,000 orders of 20 lines over 10 hours, in batches of 500.
    let mut numbers = [1, 0, 0, 0];
    let mut last_batch = 0;
    for batch in 0..4 {
        let events: Vec<SaleEvent> = (0..500)
            .map(|n: i64| {
                let register = dice.below(4);
                let number = &mut numbers[usize::try_from(register).unwrap()];
                *number += 1;
                order(&mut dice, register, *number, 20, (batch * 500 + n) / 200)
            })
            .collect();
        fold_all(&ports, &events).await;
        last_batch = written();
        assert!(last_batch <= 500, "500 orders of 20 lines in one batch: {last_batch} write units");
    }

    fold_all(&ports, &[order(&mut dice, 0, numbers[0] + 1, 3, 9)]).await;
    let late = written();
    assert!(late <= 12, "an order of 3 lines late on a full day: {late} write units");
    println!("alone {alone}, batch of 500 {last_batch}, late {late}");
}
