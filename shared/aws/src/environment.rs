//! The machine's clock and randomness.

use std::hash::{BuildHasher, RandomState};
use std::time::Duration;

use async_trait::async_trait;
use jiff::Timestamp;
use tillstream_app::environment::Environment;

/// The machine's clock and randomness.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemEnvironment;

#[async_trait]
impl Environment for SystemEnvironment {
    fn now(&self) -> Timestamp {
        Timestamp::now()
    }

    fn random(&self) -> u64 {
        let mut bytes = [0; 8];
        match aws_lc_rs::rand::fill(&mut bytes) {
            Ok(()) => u64::from_ne_bytes(bytes),
            // The system has no randomness left to give: what hash tables are seeded with must do.
            Err(_) => RandomState::new().hash_one(Timestamp::now().as_nanosecond()),
        }
    }

    async fn sleep(&self, time: Duration) {
        tokio::time::sleep(time).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn chance_differs() {
        let drawn: std::collections::BTreeSet<u64> = (0..100).map(|_| SystemEnvironment.random()).collect();
        assert_eq!(drawn.len(), 100);
    }
}
