//! An SQS FIFO queue in virtual time: deduplication for five minutes, one message of a group in flight,
//! visibility, redelivery.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use jiff::Timestamp;
use tillstream_app::Result;
use tillstream_app::dispatch::dispatcher::Received;
use tillstream_app::environment::Environment;
use tillstream_app::ports::{WakeUp, WakeUpQueue};
use tillstream_testkit::test_environment::TestEnvironment;

const DEDUPLICATION: Duration = Duration::from_secs(300);
const VISIBILITY: Duration = Duration::from_secs(360);

struct Message {
    receipt: String,
    group: String,
    body: String,
    visible_at: Timestamp,
    received: u32,
}

#[derive(Default)]
struct State {
    messages: Vec<Message>,
    seen: BTreeMap<String, Timestamp>,
    next: u64,
}

pub struct FifoQueue {
    environment: Arc<TestEnvironment>,
    state: Mutex<State>,
    /// Takes messages and loses them.
    pub loses: AtomicBool,
    /// Takes no message: the call fails.
    pub is_away: AtomicBool,
}

impl FifoQueue {
    pub fn new(environment: Arc<TestEnvironment>) -> Self {
        FifoQueue { environment, state: Mutex::default(), loses: false.into(), is_away: false.into() }
    }

    /// Puts a message without deduplication.
    pub fn inject(&self, group: &str, body: &str) {
        let mut state = self.state.lock().unwrap();
        state.next += 1;
        let receipt = format!("m-{}", state.next);
        let visible_at = self.environment.now();
        state.messages.push(Message {
            receipt,
            group: group.to_owned(),
            body: body.to_owned(),
            visible_at,
            received: 0,
        });
    }

    pub fn receive(&self, most: usize) -> Vec<Received> {
        let now = self.environment.now();
        let mut state = self.state.lock().unwrap();
        let mut shut = BTreeSet::new();
        let mut received = Vec::new();
        for message in &mut state.messages {
            if message.visible_at > now {
                shut.insert(message.group.clone());
            }
            if received.len() == most || shut.contains(&message.group) {
                continue;
            }
            message.visible_at = now + VISIBILITY;
            message.received += 1;
            received.push(Received {
                group: message.group.clone(),
                receipt: message.receipt.clone(),
                body: message.body.clone(),
            });
        }
        received
    }

    pub fn delete(&self, receipt: &str) {
        self.state.lock().unwrap().messages.retain(|message| message.receipt != receipt);
    }

    /// When the next message that is there can be received.
    pub fn next_visible(&self) -> Option<Timestamp> {
        self.state.lock().unwrap().messages.iter().map(|message| message.visible_at).min()
    }

    pub fn len(&self) -> usize {
        self.state.lock().unwrap().messages.len()
    }

    /// The most often that a message that is still there was received.
    pub fn most_received(&self) -> u32 {
        self.state.lock().unwrap().messages.iter().map(|message| message.received).max().unwrap_or(0)
    }

    pub fn bodies(&self) -> Vec<(String, String)> {
        let state = self.state.lock().unwrap();
        state.messages.iter().map(|message| (message.group.clone(), message.body.clone())).collect()
    }
}

#[async_trait]
impl WakeUpQueue for FifoQueue {
    async fn send(&self, wake_ups: &[WakeUp]) -> Result<Vec<usize>> {
        if self.is_away.load(Ordering::SeqCst) {
            return Err(tillstream_app::Error::retryable("the queue is away"));
        }
        if self.loses.load(Ordering::SeqCst) {
            return Ok(Vec::new());
        }
        let now = self.environment.now();
        for wake_up in wake_ups {
            let mut state = self.state.lock().unwrap();
            state.seen.retain(|_, at| *at + DEDUPLICATION > now);
            let is_new = state.seen.insert(wake_up.deduplication.clone(), now).is_none();
            drop(state);
            if is_new {
                self.inject(&wake_up.group, &wake_up.body);
            }
        }
        Ok(Vec::new())
    }

    async fn postpone(&self, receipt: &str, delay: Duration) -> Result<()> {
        let now = self.environment.now();
        let mut state = self.state.lock().unwrap();
        for message in state.messages.iter_mut().filter(|message| message.receipt == receipt) {
            message.visible_at = now + delay;
        }
        Ok(())
    }
}
