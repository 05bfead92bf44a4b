//! Fine pages made once more from the orders: what is reported, mended, and left alone.

use std::sync::Arc;

use jiff::ToSpan;
use tillstream_app::aggregation::coarse;
use tillstream_app::aggregation::rebuild::{Mode, Report, rebuild};
use tillstream_testkit::made_up_sales::*;
use tillstream_testkit::memory_database::MemoryDatabase;
use tillstream_testkit::shop::Shop;

use crate::fixture::*;

/// A shop of one order, which is counted.
async fn shop_with_an_order() -> (Shop, Arc<MemoryDatabase>) {
    let (shop, database) = shop().await;
    shop.product(STORE, "A", "2.55", 100).await.unwrap();
    shop.ready("r-1", "c-1", &[("A", 2)]).await.unwrap();
    shop.finalize("r-1", "c-1").await.unwrap();
    fold_all(&shop.ports, &events_of(&database)).await;
    (shop, database)
}

async fn rebuilt(shop: &Shop, mode: Mode) -> Report {
    let location = store(&shop.ports, STORE).await;
    rebuild(&shop.ports, &shop.scope, &location, day(0), day(0), mode).await.unwrap()
}

/// Coarse pages were made of what was wrong.
#[test]
fn a_repair_marks_the_days_it_looked_at_so_that_coarse_pages_follow() {
    run(async {
        let (shop, database) = shop_with_an_order().await;
        let expected = answers(&shop.ports).await;
        assert!(take_away(&shop.ports, &database, |_, sk| sk.starts_with("hour#")).await > 0);
        let through = "2010-12-31".parse().unwrap();
        coarse::refresh(&shop.ports, &shop.scope, STORE, through, 50).await.unwrap();
        assert_ne!(answers(&shop.ports).await, expected);

        let wrong = content(&database);
        let report = rebuilt(&shop, Mode::Verify).await;
        assert_eq!((report.orders, report.pages, report.different.len()), (1, 2, 1));
        assert_eq!(content(&database), wrong, "to verify is to read");

        assert_eq!(rebuilt(&shop, Mode::Repair).await, report);
        let changed: Vec<_> = record(&shop.ports, STORE).await.changed.into_keys().collect();
        assert_eq!(changed, [day(0)]);
        assert_eq!(answers(&shop.ports).await, expected, "from the moment that it is mended");
        coarse::refresh(&shop.ports, &shop.scope, STORE, through, 50).await.unwrap();
        assert_eq!(answers(&shop.ports).await, expected, "and from coarse pages");
    });
}

/// The index of orders may be behind what was counted: what it does not account for is not lost.
#[test]
fn pages_that_hold_more_than_the_orders_are_told_and_left_alone() {
    run(async {
        let (shop, database) = shop_with_an_order().await;
        // One into the pages of the order; one into pages that no order has.
        let mut apart = sale("r-9", 8);
        apart.hour_start = apart.hour_start.checked_add(5.hours()).unwrap();
        apart.detail.as_mut().unwrap().lines[0].sku = "Z".into();
        fold_all(&shop.ports, &[sale("r-9", 7), apart]).await;
        let counted = content(&database);
        for mode in [Mode::Verify, Mode::Repair] {
            let report = rebuilt(&shop, mode).await;
            assert_eq!((report.orders, report.pages), (1, 4), "{mode:?}");
            assert_eq!((report.different.len(), report.unaccounted.len()), (4, 4), "{mode:?}");
            assert_eq!(content(&database), counted, "{mode:?}");
        }
    });
}
