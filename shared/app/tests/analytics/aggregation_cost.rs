//! What counting costs in write units.

use std::sync::Arc;

use tillstream_app::capacity::CapacityMeter;
use tillstream_contracts::events::SaleEvent;
use tillstream_testkit::made_up_sales::*;
use tillstream_testkit::memory_database::MemoryDatabase;

#[tokio::test]
async fn write_units_stay_within_their_bounds() {
    let meter = Arc::new(CapacityMeter::default());
    let database = Arc::new(MemoryDatabase::new().observed_by(meter.clone()));
    let ports = ports(database);
    let mut dice = Dice(77);
    let written = || meter.take().write().div_ceil(1_000);

    fold_all(&ports, &[busy_sale(&mut dice, 0, 1, 3, 0)]).await;
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
                busy_sale(&mut dice, register, *number, 20, (batch * 500 + n) / 200)
            })
            .collect();
        fold_all(&ports, &events).await;
        last_batch = written();
        assert!(last_batch <= 500, "500 orders of 20 lines in one batch: {last_batch} write units");
    }

    fold_all(&ports, &[busy_sale(&mut dice, 0, numbers[0] + 1, 3, 9)]).await;
    let late = written();
    assert!(late <= 12, "an order of 3 lines late on a full day: {late} write units");
    println!("alone {alone}, batch of 500 {last_batch}, late {late}");
}
