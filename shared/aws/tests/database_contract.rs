//! The DynamoDB adapter keeps the contract of the port, on an emulator.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test that cannot go on fails")]

use tillstream_testkit::database_contract::{check_all, check_semantics};
use tillstream_testkit::emulator::DynamoFixture;

#[tokio::test(flavor = "multi_thread")]
async fn adapter_keeps_the_contract_on_dynoxide() {
    let fixture = DynamoFixture::dynoxide().await.unwrap();
    check_all(&*fixture.database, "dynoxide").await;
}

/// On any other DynamoDB, as `make run` starts one: `DYNAMODB_CONTRACT_ENDPOINT=http://127.0.0.1:4566`.
/// Without the refusals: MiniStack lets malformed requests through, which is why dynoxide is the judge.
#[tokio::test(flavor = "multi_thread")]
async fn adapter_keeps_the_contract_at_the_given_endpoint() {
    let Ok(endpoint) = std::env::var("DYNAMODB_CONTRACT_ENDPOINT") else {
        println!("skipped: DYNAMODB_CONTRACT_ENDPOINT is not set");
        return;
    };
    let fixture = DynamoFixture::at(&endpoint, None).await.unwrap();
    check_semantics(&*fixture.database, "given").await;
}
