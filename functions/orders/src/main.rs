//! Wires `orders` to the Lambda runtime.

use lambda_http::Error;
use orders::Services;
use tillstream_allocator as _;
use tillstream_runtime::{clients, http};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    let clients = clients::start(orders::VARIABLES).await?;
    let authenticator = clients.authenticator()?;
    http::serve(orders::router(Services { ports: clients.ports }, authenticator)).await
}
