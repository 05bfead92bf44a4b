//! The sample events of this function, through its handler.
#![allow(clippy::unwrap_used, clippy::panic, missing_docs, reason = "a test that cannot go on fails")]

use std::path::Path;
use std::sync::Arc;

use sales_aggregator::{Aggregator, FUNCTION};
use tillstream_app::Ports;
use tillstream_app::aggregation::completeness;
use tillstream_app::aggregation::reading::hours;
use tillstream_app::database::{Database, Table};
use tillstream_app::tenancy::TenantScope;
use tillstream_runtime::batch::kinesis::Kinesis;
use tillstream_runtime::batch::{BatchResponse, Batches, Failures, run_whole};
use tillstream_testkit::faults::{FaultyDatabase, Rates};
use tillstream_testkit::memory_database::MemoryDatabase;
use tillstream_testkit::test_environment::TestEnvironment;

struct Fixture {
    database: Arc<MemoryDatabase>,
    ports: Ports,
}

impl Fixture {
    fn new() -> Self {
        let database = Arc::new(MemoryDatabase::new());
        let environment = Arc::new(TestEnvironment::new(1));
        Fixture { database: database.clone(), ports: Ports { database, environment } }
    }

    async fn run(&self, sample: &str) -> BatchResponse {
        self.run_over(self.database.clone(), sample).await
    }

    /// Pages over a database of their own; what is parked goes to the fixture's.
    async fn run_over(&self, pages: Arc<dyn Database>, sample: &str) -> BatchResponse {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../events/sales-aggregator").join(sample);
        let event = std::fs::read_to_string(path).unwrap();
        let batches = Batches::telling(FUNCTION, &self.ports, Failures::Report);
        let handler = Aggregator { ports: Ports { database: pages, ..self.ports.clone() } };
        run_whole::<Kinesis, _>(&batches, &handler, &event).await.unwrap()
    }

    /// Orders counted, and numbers complete up to.
    async fn counted(&self) -> (u64, u64) {
        let scope = TenantScope::from_own_record("demo");
        let day = "2010-12-01".parse().unwrap();
        let hours = hours(&self.ports, &scope, "s-uk-1", day, day).await.unwrap();
        let orders = hours.iter().flat_map(|h| h.page.figures.values()).map(|f| f.total.orders).sum();
        let record = completeness::read(&self.ports, &scope, "s-uk-1").await.unwrap().content;
        (orders, record.folded.of("r-1", 0).map_or(0, |set| set.through()))
    }
}

#[tokio::test]
async fn a_sale_is_counted() {
    let fixture = Fixture::new();
    assert!(fixture.run("sale.json").await.batch_item_failures.is_empty());
    assert_eq!(fixture.counted().await, (1, 1));
}

#[tokio::test]
async fn a_duplicate_is_counted_once() {
    let fixture = Fixture::new();
    for _ in 0..2 {
        assert!(fixture.run("duplicate.json").await.batch_item_failures.is_empty());
        assert_eq!(fixture.counted().await, (2, 2));
    }
}

#[tokio::test]
async fn poison_is_parked_and_the_rest_is_counted() {
    let fixture = Fixture::new();
    assert!(fixture.run("poison.json").await.batch_item_failures.is_empty());
    assert_eq!(fixture.counted().await, (1, 0));
    assert_eq!(fixture.database.items(Table::Dispatch).len(), 2, "both are parked whole");
}

/// A role that lost its permission fails every sale of the day, and no sale is at fault.
#[tokio::test]
async fn no_sale_is_parked_for_what_the_database_refuses() {
    let fixture = Fixture::new();
    let refusing = Arc::new(FaultyDatabase::new(fixture.database.clone()));
    refusing.set_rates(Rates { refused: 1000, ..Rates::default() });
    let response = fixture.run_over(refusing.clone(), "sale.json").await;
    assert!(!refusing.injected().is_empty());
    assert_eq!(response.batch_item_failures.len(), 1, "it comes again");
    assert!(fixture.database.items(Table::Dispatch).is_empty(), "nothing is parked");
    refusing.set_rates(Rates::default());
    let response = fixture.run_over(refusing, "sale.json").await;
    assert!(response.batch_item_failures.is_empty());
    assert_eq!(fixture.counted().await, (1, 1));
}
