//! What a run of the keeper does, reports, and leaves to the next.

use std::sync::Arc;
use std::time::Duration;

use jiff::civil::date;
use tillstream_app::aggregation::coarse::calendar_name;
use tillstream_app::aggregation::completeness;
use tillstream_app::keeper::Report;
use tillstream_app::stock::{reserve, split};
use tillstream_app::tenancy::Role;
use tillstream_contracts::inventory::{ReserveLine, ReserveRequest};
use tillstream_domain::quantity::QuantityInput;
use tillstream_testkit::faults::FaultyDatabase;
use tillstream_testkit::shop::{STORE, caller};

use super::fixture::{Keeping, Lost, MINUTE};
use super::{feed, sell, store};

impl Keeping {
    /// Holds a piece for a minute.
    async fn hold(&self, sku: &str) {
        let line = ReserveLine {
            location_id: Some(STORE.to_owned()),
            sku: sku.to_owned(),
            quantity: QuantityInput::Whole(1),
        };
        let request = ReserveRequest {
            reservation_id: None,
            lines: vec![line],
            sourcing: None,
            ttl_seconds: 60,
            order_id: None,
        };
        let operator = caller("demo", &[Role::Operator]);
        let key = format!("hold-{sku}");
        reserve::reserve(&self.shop.ports, &operator, &key, &request).await.unwrap();
    }

    /// A second store.
    async fn with_second_store(self) -> Self {
        feed(&self.shop, store("s-2", 1, &["r-1"])).await;
        self.shop.product("s-2", "A", "1.00", 10).await.unwrap();
        self
    }
}

#[tokio::test]
async fn a_run_reports_what_it_did_over_all_stores() {
    let keeping = Keeping::new().await.with_second_store().await;
    keeping.shop.product(STORE, "B", "1.00", 400).await.unwrap();
    split::split(&keeping.shop.ports, &keeping.shop.scope, STORE, "B", 8).await.unwrap();
    keeping.hold("A").await;
    keeping.sell("r-1", "a", Lost::Both).await;
    sell(&keeping.shop, "s-2").await;
    assert_eq!(keeping.run(MINUTE).await, Report::default(), "everything may be on its way");

    keeping.pass(10 * MINUTE);
    let report = Report {
        holds: 1,
        sent_again: 2,
        merged: 1,
        // No movement was recorded: of A in two stores, and of B, which had seven parts besides.
        ledger_gaps: 3 + 7,
        ..Report::default()
    };
    assert_eq!(keeping.run(MINUTE).await, report);
    keeping.fold().await;
    keeping.pass(MINUTE);
    assert_eq!(keeping.run(MINUTE).await, Report::default(), "all is done");
}

/// It is seen that something is left undone, and the rest is done all the same.
#[tokio::test]
async fn a_run_fails_where_a_stock_item_could_not_be_looked_after() {
    let keeping = Keeping::new().await;
    keeping.shop.product(STORE, "B", "1.00", 10).await.unwrap();
    for sku in ["A", "B"] {
        keeping.hold(sku).await;
    }
    keeping.pass(MINUTE);
    let faulty = FaultyDatabase::new(keeping.memory.clone());
    faulty.keep_busy(keeping.shop.scope.stock(STORE, "A").pk());
    let failed = keeping.run_on(Arc::new(faulty), MINUTE).await.unwrap_err();
    let what = failed.to_string();
    assert!(what.contains("expired holds of 1 stock items"), "{what}");
    let reserved = async |sku| keeping.shop.counters(STORE, sku).await.unwrap().reserved;
    assert_eq!((reserved("A").await, reserved("B").await), (1_000, 0));
    assert_eq!(keeping.run(MINUTE).await.holds, 1);
    assert_eq!(reserved("A").await, 0);
}

/// Waking sends many messages: a run that has no time left for it leaves it to the next.
#[tokio::test]
async fn a_run_without_time_wakes_no_delivery() {
    let keeping = Keeping::new().await;
    keeping.sell("r-1", "a", Lost::Nothing).await;
    keeping.pass(10 * MINUTE);
    assert_eq!(keeping.run(Duration::ZERO).await, Report::default());
    assert_eq!(keeping.run(MINUTE).await.woken, 1);
}

#[tokio::test]
async fn a_run_settles_closed_days_and_merges_them_over_stores() {
    let keeping = Keeping::new().await.with_second_store().await;
    keeping.sell("r-1", "a", Lost::Nothing).await;
    sell(&keeping.shop, "s-2").await;
    keeping.relay("c-s-2", Lost::Nothing).await;
    keeping.run(MINUTE).await;
    let (day, calendar) = (date(2010, 12, 1), calendar_name(&keeping.location(STORE).await));
    for id in [STORE, "s-2"] {
        let record = completeness::read(&keeping.shop.ports, &keeping.shop.scope, id).await.unwrap();
        assert!(record.content.is_settled(day), "{id}");
        assert!(record.content.is_merged(&calendar, day), "{id}");
    }
}
