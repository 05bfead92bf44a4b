//! Wires `hq-sync` to the Lambda runtime.

use hq_sync::{Services, VARIABLES, router};
use lambda_http::Error;
use tillstream_allocator as _;
use tillstream_runtime::{clients, http};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    let clients = clients::start(VARIABLES).await?;
    let authenticator = clients.authenticator()?;
    http::serve(router(Services { ports: clients.ports }, authenticator)).await
}
