//! Wires `sales-aggregator` to the Lambda runtime.

use sales_aggregator::{Aggregator, FUNCTION, VARIABLES};
use tillstream_allocator as _;
use tillstream_runtime::batch::kinesis::Kinesis;
use tillstream_runtime::batch::{Batches, serve_whole};
use tillstream_runtime::clients;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), lambda_runtime::Error> {
    let clients = clients::start(VARIABLES).await?;
    let batches = Batches::new(FUNCTION, &clients.ports, &clients.config);
    serve_whole::<Kinesis, _>(batches, Aggregator { ports: clients.ports }).await
}
