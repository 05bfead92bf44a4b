//! Wires `hq-dispatcher` to the Lambda runtime.

use std::sync::Arc;

use hq_dispatcher::http_transport::HttpTransport;
use hq_dispatcher::{FUNCTION, VARIABLES, WakeUps};
use lambda_runtime::Error;
use tillstream_allocator as _;
use tillstream_app::dispatch::dispatcher::{Dispatcher, Policy};
use tillstream_app::dispatch::signature::SigningSecret;
use tillstream_runtime::batch::{self, Batches, sqs::Sqs};
use tillstream_runtime::{clients, config};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    let clients = clients::start(VARIABLES).await?;
    let batches = Batches::new(FUNCTION, &clients.ports, &clients.config);
    let dispatcher = Dispatcher {
        queue: clients.wake_ups()?,
        transport: Arc::new(HttpTransport::new(clients.config.get(&config::HQ_URL)?)?),
        secret: SigningSecret::parse(clients.config.get(&config::HQ_SIGNING_SECRET)?)?,
        policy: Policy::default(),
        ports: clients.ports,
    };
    batch::serve_whole::<Sqs, _>(batches, WakeUps(dispatcher)).await
}
