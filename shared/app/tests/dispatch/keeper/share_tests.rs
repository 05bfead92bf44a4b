//! A run's time is shared out: however much one duty meets, the others have their turn.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use tillstream_app::Ports;
use tillstream_app::capacity::Operation;
use tillstream_app::database::{Database, Table};
use tillstream_app::environment::Environment;
use tillstream_app::stock::{counts, reserve, transfers};
use tillstream_app::tenancy::{Role, TenantScope};
use tillstream_contracts::counts::{
    CloseCountRequest, CountStatus, CountedLineRequest, OpenCountRequest, RecordCountRequest,
};
use tillstream_contracts::inventory::{ReserveLine, ReserveRequest};
use tillstream_contracts::transfers::{TransferLineRequest, TransferRequest, TransferStatusView};
use tillstream_domain::quantity::QuantityInput;
use tillstream_testkit::due_lots::stock_of_due_lot;
use tillstream_testkit::faults::{Fault, FaultyDatabase};
use tillstream_testkit::heard_database::{HeardDatabase, Listener};
use tillstream_testkit::shop::{STORE, caller};
use tillstream_testkit::test_environment::TestEnvironment;

use super::fixture::{Keeping, MINUTE};
use super::{feed, store};

/// Every transaction takes its time.
struct Slow {
    environment: Arc<TestEnvironment>,
    time: Duration,
}

#[async_trait]
impl Listener for Slow {
    async fn called(&self, operation: Operation) {
        if operation == Operation::Transact {
            self.environment.advance(self.time);
        }
    }
}

impl Keeping {
    fn slow(&self, time: Duration) -> Arc<dyn Database> {
        let slow = Slow { environment: self.environment.clone(), time };
        Arc::new(HeardDatabase::new(self.memory.clone(), Arc::new(slow)))
    }

    fn dying(&self, after: usize) -> (Ports, Arc<FaultyDatabase>) {
        let (ports, database) = FaultyDatabase::ports_over(self.memory.clone(), self.environment.clone());
        let script =
            std::iter::repeat_n(None, after).chain(std::iter::repeat_n(Some(Fault::TimedOutBefore), 2_000));
        database.script(Operation::Transact, script);
        (ports, database)
    }

    /// A transfer and a count sheet of sixty lines each that were begun and left.
    async fn left_undone(&self) {
        let skus: Vec<String> = (0..60).map(|n| format!("T-{n:02}")).collect();
        for sku in &skus {
            self.shop.product(STORE, sku, "1.00", 10).await.unwrap();
        }
        let operator = caller("demo", &[Role::Operator]);
        let lines = skus
            .iter()
            .map(|sku| TransferLineRequest { sku: sku.clone(), quantity: QuantityInput::Whole(1) });
        let transfer = TransferRequest {
            transfer_id: Some("t-1".into()),
            from_location_id: STORE.into(),
            to_location_id: "s-2".into(),
            lines: lines.collect(),
            note: None,
        };
        let (ports, _) = self.dying(1);
        transfers::ship::ship(&ports, &operator, "t", &transfer).await.unwrap_err();
        let sheet = OpenCountRequest {
            count_id: Some("n-1".into()),
            location_id: STORE.into(),
            skus: Some(skus.clone()),
            category: None,
            all: None,
            limit: None,
            cursor: None,
            blind: false,
        };
        counts::open(&self.shop.ports, &operator, "o", &sheet).await.unwrap();
        let lines = skus.iter().map(|sku| CountedLineRequest {
            sku: sku.clone(),
            counted: QuantityInput::Whole(8),
            lots: Vec::new(),
            reason: None,
        });
        let counted = RecordCountRequest { lines: lines.collect() };
        counts::record(&self.shop.ports, &operator, "r", "n-1", &counted, |_| Ok(())).await.unwrap();
        let (ports, _) = self.dying(1);
        counts::close(&ports, &operator, "c", "n-1", &CloseCountRequest::default(), |_| Ok(()))
            .await
            .unwrap_err();
    }
}

/// Hundreds of stock items have holds that are over, far more than a run has time for: what was left undone is seen to
/// all the same, and so are the holds, some each run.
#[tokio::test]
async fn a_mass_of_due_holds_keeps_no_other_duty_from_its_turn() {
    let keeping = Keeping::new().await;
    feed(&keeping.shop, store("s-2", 1, &["r-1"])).await;
    let operator = caller("demo", &[Role::Operator]);
    let skus: Vec<String> = (0..300).map(|n| format!("H-{n:03}")).collect();
    for (n, sku) in skus.iter().enumerate() {
        keeping.shop.product(STORE, sku, "1.00", 5).await.unwrap();
        let line = ReserveLine {
            location_id: Some(STORE.into()),
            sku: sku.clone(),
            quantity: QuantityInput::Whole(1),
        };
        let request = ReserveRequest {
            reservation_id: None,
            lines: vec![line],
            sourcing: None,
            ttl_seconds: 30,
            order_id: None,
        };
        reserve::reserve(&keeping.shop.ports, &operator, &format!("h-{n}"), &request).await.unwrap();
    }
    keeping.left_undone().await;
    keeping.pass(2 * MINUTE);
    let slow = || keeping.slow(Duration::from_secs(1));
    let report = keeping.run_on(slow(), Duration::from_secs(45)).await.unwrap();
    let transfer = transfers::get(&keeping.shop.ports, &operator, "t-1").await.unwrap();
    assert_eq!((report.transfers, transfer.status), (1, TransferStatusView::InTransit));
    let sheet = counts::get(&keeping.shop.ports, &operator, "n-1").await.unwrap();
    assert_eq!((report.counts, sheet.status), (1, CountStatus::Closed));
    assert!((6..60).contains(&report.holds), "some were freed, and not all: {}", report.holds);
    let mut freed = report.holds;
    for _ in 0..60 {
        keeping.pass(MINUTE);
        freed += keeping.run_on(slow(), Duration::from_secs(45)).await.unwrap().holds;
    }
    assert!(freed >= 300, "all are freed in the end: {freed}");
    for sku in &skus {
        assert_eq!(keeping.shop.counters(STORE, sku).await.unwrap().reserved, 0);
    }
}

/// Of a chain all lots are past their day at the same midnight: what a run leaves of its time is for them.
#[tokio::test]
async fn lots_past_their_day_have_what_is_left_of_a_run() {
    let keeping = Keeping::new().await;
    let scope = TenantScope::from_own_record("chain");
    let due_at = keeping.environment.now().as_millisecond();
    for n in 0..200_u64 {
        let sku = format!("L-{n:03}");
        let item = stock_of_due_lot(&scope, STORE, &sku, n, due_at);
        keeping.memory.put_many(Table::Stock, vec![item]).await.unwrap();
    }
    let slow = keeping.slow(Duration::from_millis(100));
    // Twenty seconds of work, of which its share is eleven.
    let report = keeping.run_on(slow, Duration::from_secs(45)).await.unwrap();
    let stock = keeping.memory.items(Table::Stock);
    assert_eq!(stock.iter().filter(|item| item.opt_number("lots_due_at").is_some()).count(), 0);
    assert_eq!(report.lots, 200);
}
