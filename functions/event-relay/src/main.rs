//! Wires `event-relay` to the Lambda runtime.

use event_relay::{FUNCTION, Relay, VARIABLES};
use tillstream_allocator as _;
use tillstream_runtime::batch::dynamodb::Changes;
use tillstream_runtime::batch::{Batches, serve_whole};
use tillstream_runtime::clients;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), lambda_runtime::Error> {
    let clients = clients::start(VARIABLES).await?;
    let (stream, queue) = (clients.event_stream()?, clients.wake_ups()?);
    let batches = Batches::new(FUNCTION, &clients.ports, &clients.config);
    serve_whole::<Changes, _>(batches, Relay { ports: clients.ports, stream, queue }).await
}
