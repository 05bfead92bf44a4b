//! HQ's stand-in as a program, for the local stack: listens on `HQ_STAND_IN_ADDRESS` (a loopback
//! address) and checks signatures with `HQ_SIGNING_SECRET`.

use std::error::Error;
use std::net::SocketAddr;
use std::sync::Arc;

use tillstream_app::dispatch::signature::SigningSecret;
use tillstream_testkit::hq_stand_in::{HqStandIn, server};
use tillstream_testkit::test_environment::TestEnvironment;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let variable = |name: &str| std::env::var(name).map_err(|_| format!("{name} is not set"));
    let address: SocketAddr =
        variable("HQ_STAND_IN_ADDRESS")?.parse().map_err(|_| "HQ_STAND_IN_ADDRESS is not an address")?;
    if !address.ip().is_loopback() {
        return Err("HQ_STAND_IN_ADDRESS is not a loopback address: this is a test tool".into());
    }
    let secret = SigningSecret::parse(&variable("HQ_SIGNING_SECRET")?)?;
    let seed = jiff::Timestamp::now().as_nanosecond().unsigned_abs();
    let environment = TestEnvironment::real(u64::try_from(seed & u128::from(u64::MAX))?);
    let stand_in = HqStandIn::new(secret, Arc::new(environment));
    let listener = tokio::net::TcpListener::bind(address).await?;
    println!("listening on http://{}", listener.local_addr()?);
    server::serve(listener, Arc::new(stand_in)).await?;
    Ok(())
}
