//! The database in memory charges what the adapter reports, so that a benchmark in memory tells the
//! price of a request.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test that cannot go on fails")]

use std::sync::Arc;

use tillstream_app::capacity::{CapacityKind, CapacityMeter};
use tillstream_app::database::{Index, Table};
use tillstream_testkit::database_contract::capacity::{check_costs, workload};
use tillstream_testkit::database_contract::deviations::Deviations;
use tillstream_testkit::emulator::DynamoFixture;
use tillstream_testkit::memory_database::MemoryDatabase;

#[tokio::test(flavor = "multi_thread")]
async fn memory_charges_what_the_adapter_reports() {
    let meter = Arc::new(CapacityMeter::default());
    let memory = workload(&MemoryDatabase::new().observed_by(meter.clone()), &meter, "run").await;
    let fixture = DynamoFixture::dynoxide_observed(meter.clone()).await.unwrap();
    let emulated = workload(&*fixture.database, &meter, "run").await;
    let mut none = Deviations::none("dynoxide");
    check_costs(&emulated, &mut none);
    none.finish();
    // By table and index, too.
    assert_eq!(memory.len(), emulated.len());
    for ((name, memory), (_, emulated)) in memory.iter().zip(&emulated) {
        assert_eq!(memory, emulated, "{name}");
    }
    assert_eq!(memory[3].1.at(Table::Orders, Some(Index::ByStore), CapacityKind::Write), 1_000);
}
