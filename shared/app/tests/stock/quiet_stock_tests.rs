//! Split stock that is quiet is merged by the schedule, whatever stands beside it.

use std::sync::Arc;

use jiff::Timestamp;
use tillstream_app::Ports;
use tillstream_app::database::Database;
use tillstream_app::environment::Environment;
use tillstream_app::stock::counters::{Delta, stock_update};
use tillstream_app::stock::split;
use tillstream_testkit::faults;

use crate::fixture::{Fixture, SKUS};

const SHOP: &str = "s-leeds";
const A: &str = SKUS[0];

#[tokio::test]
async fn the_schedule_merges_what_is_quiet() {
    let fixture = Fixture::new(15).await;
    fixture.count(SHOP, A, 400).await;
    fixture.split(8).await;
    let run = || split::merge_quiet(&fixture.ports, fixture.scope(), Timestamp::MAX);
    let run = async || run().await.unwrap().merged;
    let layout = || async { fixture.stock(SHOP, A).await.layout };
    assert_eq!(run().await, 0, "it was just met");
    fixture.pass(599);
    assert_eq!((run().await, layout().await != 0), (0, true), "not for ten minutes");
    fixture.pass(1);
    assert_eq!((run().await, layout().await), (1, 0));
    assert_eq!(run().await, 0, "it is no longer listed");
    fixture.check().await;
    // Ten changes a second are not quiet; an hour later the same count is.
    fixture.split(8).await;
    run().await;
    let busy = 6_010;
    let found = Delta { on_hand: 1_000, ..Delta::default() };
    for _ in 0..busy {
        let movement = fixture.movement();
        let write = stock_update(fixture.scope(), SHOP, A, found, &movement, Vec::new(), Vec::new());
        fixture.memory.write(write).await.unwrap();
    }
    fixture.pass(600);
    assert_eq!((run().await, layout().await != 0), (0, true));
    fixture.pass(600);
    assert_eq!((run().await, layout().await), (1, 0));
    fixture.check().await;
}

#[tokio::test]
async fn split_stock_that_is_busy_does_not_keep_others_split() {
    let fixture = Fixture::new(19).await;
    for (sku, place) in [(A, "s-leeds"), (A, "s-york")] {
        fixture.count(place, sku, 400).await;
    }
    for place in ["s-leeds", "s-york"] {
        split::split(&fixture.ports, fixture.scope(), place, A, 8).await.unwrap();
    }
    let database = Arc::new(faults::FaultyDatabase::new(fixture.memory.clone()));
    let ports = Ports { database: database.clone(), environment: fixture.environment.clone() };
    split::merge_quiet(&ports, fixture.scope(), Timestamp::MAX).await.unwrap();
    fixture.pass(600);
    assert_eq!(
        split::merge_quiet(&ports, fixture.scope(), fixture.environment.now()).await.unwrap(),
        split::QuietMerged::default(),
        "nothing is begun after the deadline"
    );
    database.fail_next(tillstream_app::capacity::Operation::Transact, faults::Fault::Refused);
    let done = split::merge_quiet(&ports, fixture.scope(), Timestamp::MAX).await.unwrap();
    assert_eq!(done, split::QuietMerged { merged: 1, failed: 1 });
}
