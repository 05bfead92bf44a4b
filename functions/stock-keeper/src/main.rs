//! Wires `stock-keeper` to the Lambda runtime.

use stock_keeper::{FUNCTION, Keeper, VARIABLES};
use tillstream_allocator as _;
use tillstream_runtime::{clients, schedule};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), lambda_runtime::Error> {
    let clients = clients::start(VARIABLES).await?;
    let (stream, queue) = (clients.event_stream()?, clients.wake_ups()?);
    schedule::serve(FUNCTION, Keeper { ports: clients.ports, stream, queue }).await
}
