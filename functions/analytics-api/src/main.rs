//! Wires `analytics-api` to the Lambda runtime.

use analytics_api::{Services, VARIABLES, router};
use tillstream_allocator as _;
use tillstream_runtime::{clients, http};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), lambda_http::Error> {
    let clients = clients::start(VARIABLES).await?;
    let authenticator = clients.authenticator()?;
    http::serve(router(Services { ports: clients.ports }, authenticator)).await
}
