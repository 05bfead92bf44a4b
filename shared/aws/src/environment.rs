//! The machine's clock and randomness, and the process's memory.

use std::hash::{BuildHasher, RandomState};
use std::time::Duration;

use async_trait::async_trait;
use jiff::Timestamp;
use tillstream_app::environment::Environment;
use tillstream_app::stock::hot_stock::HotStock;
use tillstream_app::tenant_rules::RulesMemory;

/// The machine's clock and randomness, and what the process that makes it remembers.
#[derive(Debug, Default)]
pub struct SystemEnvironment {
    hot_stock: HotStock,
    rules: RulesMemory,
}

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

    fn hot_stock(&self) -> Option<&HotStock> {
        Some(&self.hot_stock)
    }

    fn rules_memory(&self) -> Option<&RulesMemory> {
        Some(&self.rules)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn chance_differs() {
        let environment = SystemEnvironment::default();
        let drawn: std::collections::BTreeSet<u64> = (0..100).map(|_| environment.random()).collect();
        assert_eq!(drawn.len(), 100);
    }
}
