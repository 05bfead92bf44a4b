//! Wires `identity` to the Lambda runtime.

use lambda_http::Error;
use tillstream_allocator as _;
use tillstream_runtime::config::STAGE;
use tillstream_runtime::{clients, http};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    let clients = clients::start(identity::VARIABLES).await?;
    let stage = clients.config.get(&STAGE)?.to_owned();
    http::serve(identity::router(clients.ports, &stage)).await
}
