//! Wires `pos-commands` to the Lambda runtime.

use lambda_http::Error;
use pos_commands::Services;
use tillstream_allocator as _;
use tillstream_runtime::{clients, http};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    let clients = clients::start(pos_commands::VARIABLES).await?;
    let authenticator = clients.authenticator()?;
    http::serve(pos_commands::router(Services { ports: clients.ports }, authenticator)).await
}
