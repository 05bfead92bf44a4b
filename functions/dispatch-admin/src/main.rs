//! Wires `dispatch-admin` to the Lambda runtime.

use dispatch_admin::Services;
use lambda_http::Error;
use tillstream_allocator as _;
use tillstream_runtime::{clients, http};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    let clients = clients::start(dispatch_admin::VARIABLES).await?;
    let authenticator = clients.authenticator()?;
    let services = Services { queue: clients.wake_ups()?, ports: clients.ports };
    http::serve(dispatch_admin::router(services, authenticator)).await
}
