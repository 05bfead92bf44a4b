//! What lies between: HQ's line, which fails in every way that a line can.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use tillstream_app::dispatch::transport::{HqAnswer, HqRequest, HqTransport, HqTransportError};
use tillstream_app::environment::Environment;

use super::chance::Chance;
use super::clock::Clock;
use crate::hq_stand_in::HqStandIn;

/// The line to HQ.
pub struct HqLine {
    /// Who is at its end.
    pub hq: Arc<HqStandIn>,
    /// The run's clock.
    pub clock: Arc<Clock>,
    /// The run's chance.
    pub chance: Arc<Chance>,
    /// Of requests, in thousandths: each fault of the line.
    pub faults: AtomicU64,
}

#[async_trait]
impl HqTransport for HqLine {
    async fn post(&self, request: HqRequest) -> Result<HqAnswer, HqTransportError> {
        let faults = self.faults.load(Ordering::Relaxed);
        self.clock.sleep(self.chance.up_to(Duration::from_millis(80))).await;
        if self.chance.per_mille(faults) {
            return Err(HqTransportError::Connection("injected: the name does not resolve".to_owned()));
        }
        if self.chance.per_mille(faults) {
            return Err(HqTransportError::Connection("injected: reset before it arrived".to_owned()));
        }
        let timeout = request.timeout;
        let answer = self.hq.post(request).await;
        if self.chance.per_mille(faults) {
            self.clock.sleep(timeout).await;
            return Err(HqTransportError::Timeout);
        }
        if self.chance.per_mille(faults) {
            return Err(HqTransportError::Connection("injected: reset before the answer".to_owned()));
        }
        answer
    }
}
