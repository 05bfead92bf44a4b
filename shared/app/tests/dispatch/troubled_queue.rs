//! The queue in trouble: away, losing what it took, and given messages out of nowhere.

use std::sync::Arc;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use jiff::Timestamp;
use tillstream_app::Result;
use tillstream_app::dispatch::dispatcher::Received;
use tillstream_app::ports::{WakeUp, WakeUpQueue};
use tillstream_testkit::memory_messaging::MemoryQueue;
use tillstream_testkit::test_environment::TestEnvironment;

pub struct TroubledQueue {
    inner: MemoryQueue,
    injected: AtomicU64,
    sent: Mutex<Vec<WakeUp>>,
    /// Takes messages and loses them.
    pub loses: AtomicBool,
    /// Takes no message: the call fails.
    pub is_away: AtomicBool,
}

impl TroubledQueue {
    pub fn new(environment: Arc<TestEnvironment>) -> Self {
        TroubledQueue {
            inner: MemoryQueue::new(environment),
            injected: 0.into(),
            sent: Mutex::default(),
            loses: false.into(),
            is_away: false.into(),
        }
    }

    /// Puts a message that is no duplicate of any.
    pub async fn inject(&self, group: &str, body: &str) {
        let number = self.injected.fetch_add(1, Ordering::SeqCst);
        let (group, body) = (group.to_owned(), body.to_owned());
        self.inner
            .send(&[WakeUp { group, body, deduplication: format!("injected-{number}") }])
            .await
            .unwrap();
    }

    pub fn receive(&self, most: usize) -> Vec<Received> {
        let messages = self.inner.receive(most).into_iter();
        messages.map(|m| Received { group: m.group, receipt: m.receipt, body: m.body }).collect()
    }

    pub fn delete(&self, receipt: &str) {
        self.inner.delete(receipt);
    }

    pub fn len(&self) -> usize {
        self.inner.len()
    }

    pub fn next_visible(&self) -> Option<Timestamp> {
        self.inner.next_visible()
    }

    /// Whether a message was received too often, and put aside.
    pub fn gave_up(&self) -> bool {
        !self.inner.backstop().is_empty()
    }

    /// Everything that was ever sent.
    pub fn sent(&self) -> Vec<WakeUp> {
        self.sent.lock().unwrap().clone()
    }
}

#[async_trait]
impl WakeUpQueue for TroubledQueue {
    async fn send(&self, wake_ups: &[WakeUp]) -> Result<Vec<usize>> {
        if self.is_away.load(Ordering::SeqCst) {
            return Err(tillstream_app::Error::retryable("the queue is away"));
        }
        self.sent.lock().unwrap().extend_from_slice(wake_ups);
        if self.loses.load(Ordering::SeqCst) {
            return Ok(Vec::new());
        }
        self.inner.send(wake_ups).await
    }

    async fn postpone(&self, receipt: &str, delay: Duration) -> Result<()> {
        self.inner.postpone(receipt, delay).await
    }
}
