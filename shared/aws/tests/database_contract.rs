//! The DynamoDB adapter keeps the contract of the port, on emulators: what these do otherwise than DynamoDB is
//! named, and has to be so.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test that cannot go on fails")]

use std::sync::Arc;

use tillstream_app::capacity::CapacityMeter;
use tillstream_testkit::database_contract::capacity::{check_costs, workload};
use tillstream_testkit::database_contract::check_all;
use tillstream_testkit::database_contract::deviations::Deviations;
use tillstream_testkit::database_contract::streams::check_streams;
use tillstream_testkit::emulator::DynamoFixture;

/// Of MiniStack 1.5.33.
const MINISTACK: [(&str, &str); 9] = [
    ("an update that changes one attribute twice is refused", "it is taken, and changes nothing"),
    ("transaction", "only what indexes take is told, not what the table does"),
    ("transaction with a check", "nothing is told of the table"),
    ("strong get", "one unit, however large the item is"),
    ("eventual get", "half a unit, however large the item is"),
    ("several strong gets", "BatchGetItem tells no consumed capacity"),
    ("several eventual gets", "BatchGetItem tells no consumed capacity"),
    ("gets together", "two units an item, however large it is, and as much again of each index"),
    ("query", "one unit, however much was read"),
];

#[tokio::test(flavor = "multi_thread")]
async fn adapter_keeps_the_contract_on_dynoxide() {
    let fixture = DynamoFixture::dynoxide().await.unwrap();
    let mut none = Deviations::none("dynoxide");
    check_all(&*fixture.database, "dynoxide", &mut none).await;
    none.finish();
}

/// On tables of their own: with a stream, writes become slow there.
#[tokio::test(flavor = "multi_thread")]
async fn streams_keep_the_contract_on_dynoxide() {
    let fixture = DynamoFixture::dynoxide_with_streams().await.unwrap();
    let known = [("a write that changes nothing is not told", "each write is told, with two images alike")];
    let mut deviations = Deviations::of("dynoxide", &known);
    check_streams(&*fixture.database, &fixture, "dynoxide", &mut deviations).await;
    deviations.finish();
}

/// On MiniStack, as `make run` starts it: `DYNAMODB_CONTRACT_ENDPOINT=http://127.0.0.1:4566`.
#[tokio::test(flavor = "multi_thread")]
async fn adapter_keeps_the_contract_on_ministack() {
    let Ok(endpoint) = std::env::var("DYNAMODB_CONTRACT_ENDPOINT") else {
        println!("skipped: DYNAMODB_CONTRACT_ENDPOINT is not set");
        return;
    };
    let meter = Arc::new(CapacityMeter::default());
    let fixture = DynamoFixture::with_streams_at(&endpoint, Some(meter.clone())).await.unwrap();
    let mut deviations = Deviations::of("MiniStack", &MINISTACK);
    check_all(&*fixture.database, "ministack", &mut deviations).await;
    check_streams(&*fixture.database, &fixture, "ministack", &mut deviations).await;
    check_costs(&workload(&*fixture.database, &meter, "ministack").await, &mut deviations);
    deviations.finish();
}
