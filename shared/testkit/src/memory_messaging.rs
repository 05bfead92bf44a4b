//! The sales stream and the dispatcher's queue in memory, with the side that receives.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use jiff::{SignedDuration, Timestamp};
use tillstream_app::environment::Environment;
use tillstream_app::ports::{EventStream, StreamRecord, WakeUp, WakeUpQueue};
use tillstream_app::{Error, Result};

use crate::memory_database::shard_of;
use crate::simulator::chance::Chance;

/// Most bytes of a record, its partition key included (Kinesis).
const RECORD_BYTES_MAX: usize = 1024 * 1024;
/// How long a deduplication id is remembered (SQS FIFO).
const DEDUPLICATION: SignedDuration = SignedDuration::from_mins(5);
/// Longest time a message can be hidden (SQS).
const HIDDEN_MAX: Duration = Duration::from_secs(43_200);

/// What the next calls of a sender meet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SendFault {
    /// The call fails; nothing was taken.
    CallFails,
    /// All was taken, and the answer was lost.
    AnswerLost,
    /// These positions are not taken.
    Refuses(BTreeSet<usize>),
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A record on a shard.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ShardRecord {
    /// Rises within the shard.
    pub sequence: u64,
    /// What chose the shard.
    pub partition_key: String,
    /// Bytes.
    pub data: Vec<u8>,
    /// When it came.
    pub at: Timestamp,
}

struct Shards {
    /// All that there ever were, oldest first.
    all: Vec<Vec<ShardRecord>>,
    /// The first of each generation: those of all but the last are closed.
    generations: Vec<usize>,
}

impl Shards {
    fn open_from(&self) -> usize {
        self.generations.last().copied().unwrap_or(0)
    }
}

/// A Kinesis stream in memory.
pub struct MemoryStream {
    shards: Mutex<Shards>,
    faults: Mutex<VecDeque<SendFault>>,
    environment: Arc<dyn Environment>,
}

impl MemoryStream {
    /// A stream of so many shards.
    pub fn new(shards: usize, environment: Arc<dyn Environment>) -> Self {
        MemoryStream {
            shards: Mutex::new(Shards { all: vec![Vec::new(); shards.max(1)], generations: vec![0] }),
            faults: Mutex::default(),
            environment,
        }
    }

    /// The next call meets this; more are queued.
    pub fn fail_next(&self, fault: SendFault) {
        lock(&self.faults).push_back(fault);
    }

    /// No call meets anything any more.
    pub fn fail_no_more(&self) {
        lock(&self.faults).clear();
    }

    /// How many shards, closed ones too.
    pub fn shards(&self) -> usize {
        lock(&self.shards).all.len()
    }

    /// Splits or merges: closes all shards, and opens so many. As Lambda reads a stream, a shard's records
    /// come after those of the shards before it.
    pub fn reshard(&self, shards: usize) {
        let mut state = lock(&self.shards);
        let first = state.all.len();
        state.generations.push(first);
        state.all.extend(std::iter::repeat_with(Vec::new).take(shards.max(1)));
    }

    /// The shards by generation, oldest first: those of one are read side by side, after those before them.
    pub fn generations(&self) -> Vec<std::ops::Range<usize>> {
        let shards = lock(&self.shards);
        let ends = shards.generations.iter().skip(1).copied().chain([shards.all.len()]);
        shards.generations.iter().zip(ends).map(|(first, end)| *first..end).collect()
    }

    /// Up to `most` records of a shard after sequence number `after`: they count from 1.
    pub fn records(&self, shard: usize, after: u64, most: usize) -> Vec<ShardRecord> {
        let after = usize::try_from(after).unwrap_or(usize::MAX);
        let shards = lock(&self.shards);
        let records = shards.all.get(shard).and_then(|records| records.get(after..)).unwrap_or_default();
        records.iter().take(most).cloned().collect()
    }

    /// All records of all shards.
    pub fn all(&self) -> Vec<ShardRecord> {
        lock(&self.shards).all.iter().flatten().cloned().collect()
    }
}

#[async_trait]
impl EventStream for MemoryStream {
    async fn publish(&self, records: &[StreamRecord]) -> Result<Vec<usize>> {
        let size = |record: &StreamRecord| record.partition_key.len() + record.data.len();
        if let Some(position) = records.iter().position(|record| size(record) > RECORD_BYTES_MAX) {
            return Err(Error::Bug(format!("record {position} is above {RECORD_BYTES_MAX} bytes")));
        }
        if records.iter().any(|record| record.partition_key.is_empty() || record.partition_key.len() > 256) {
            return Err(Error::Bug("a partition key has 1 to 256 characters".into()));
        }
        let fault = if records.is_empty() { None } else { lock(&self.faults).pop_front() };
        let refused = match &fault {
            Some(SendFault::CallFails) => return Err(Error::retryable("injected: kinesis does not answer")),
            Some(SendFault::Refuses(positions)) => positions.clone(),
            Some(SendFault::AnswerLost) | None => BTreeSet::new(),
        };
        let mut shards = lock(&self.shards);
        let from = shards.open_from();
        let open = shards.all.get_mut(from..).unwrap_or_default();
        let count = open.len();
        for (position, record) in records.iter().enumerate() {
            let Some(shard) = open.get_mut(shard_of(&record.partition_key, count)) else { continue };
            if !refused.contains(&position) {
                shard.push(ShardRecord {
                    sequence: u64::try_from(shard.len()).map_err(Error::bug)? + 1,
                    partition_key: record.partition_key.clone(),
                    data: record.data.clone(),
                    at: self.environment.now(),
                });
            }
        }
        drop(shards);
        match fault {
            Some(SendFault::AnswerLost) => Err(Error::retryable("injected: the answer was lost")),
            _ => Ok(refused.into_iter().filter(|position| *position < records.len()).collect()),
        }
    }
}

/// A received message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReceivedMessage {
    /// Its id.
    pub message_id: String,
    /// What deletes or hides it, until it is visible again.
    pub receipt: String,
    /// Message group.
    pub group: String,
    /// Deduplication id.
    pub deduplication: String,
    /// Body.
    pub body: String,
    /// How often it was received, this time included.
    pub receive_count: u32,
    /// When it was sent.
    pub sent_at: Timestamp,
    /// When it was received first.
    pub first_received_at: Timestamp,
    /// Its place in the queue.
    pub sequence: u64,
}

struct Message {
    received: ReceivedMessage,
    hidden_until: Option<Timestamp>,
}

#[derive(Default)]
struct QueueState {
    sent: u64,
    receipts: u64,
    messages: VecDeque<Message>,
    deduplicated: BTreeMap<String, Timestamp>,
    backstop: Vec<ReceivedMessage>,
    faults: VecDeque<SendFault>,
}

/// An SQS FIFO queue in memory.
pub struct MemoryQueue {
    state: Mutex<QueueState>,
    environment: Arc<dyn Environment>,
    visibility: SignedDuration,
    receives_max: u32,
    retention: SignedDuration,
    /// What the order of groups is drawn from; they come as they were sent where there is none.
    order: Option<Chance>,
}

impl MemoryQueue {
    /// A queue as the template makes it: hidden for 150 s after a receive, redriven after 100 receives,
    /// kept for 14 days.
    pub fn new(environment: Arc<dyn Environment>) -> Self {
        MemoryQueue {
            state: Mutex::default(),
            environment,
            visibility: SignedDuration::from_secs(150),
            receives_max: 100,
            retention: SignedDuration::from_hours(14 * 24),
            order: None,
        }
    }

    /// The same, whose groups come in any order, as those of SQS do: messages of one group keep theirs.
    #[must_use]
    pub fn in_any_order(mut self, order: Chance) -> Self {
        self.order = Some(order);
        self
    }

    /// One of the hidden messages can be seen again before its time, as if another had been told so; `drawn` says which.
    /// Whoever received it may still be at it, and cannot delete it any more once it was received again.
    pub fn show_early(&self, drawn: u64) {
        let now = self.environment.now();
        let mut state = lock(&self.state);
        let is_hidden = |message: &&mut Message| message.hidden_until.is_some_and(|until| until > now);
        let mut hidden: Vec<&mut Message> = state.messages.iter_mut().filter(is_hidden).collect();
        let at = drawn.checked_rem(u64::try_from(hidden.len()).unwrap_or(0)).unwrap_or(0);
        if let Some(message) = usize::try_from(at).ok().and_then(|at| hidden.get_mut(at)) {
            message.hidden_until = Some(now);
        }
    }

    /// Positions of the messages that are given next, of groups that are not closed.
    fn turns(&self, messages: &VecDeque<Message>, closed: &BTreeSet<String>, most: usize) -> Vec<usize> {
        let (mut ranks, mut turns) = (BTreeMap::<&str, u64>::new(), Vec::new());
        for (at, message) in messages.iter().enumerate() {
            let group = message.received.group.as_str();
            if closed.contains(group) {
                continue;
            }
            let rank = match &self.order {
                Some(order) => *ranks.entry(group).or_insert_with(|| order.next()),
                None => 0,
            };
            turns.push((rank, at));
        }
        turns.sort_unstable();
        turns.into_iter().take(most).map(|(_, at)| at).collect()
    }

    /// The next call meets this; more are queued.
    pub fn fail_next(&self, fault: SendFault) {
        lock(&self.state).faults.push_back(fault);
    }

    /// No call meets anything any more.
    pub fn fail_no_more(&self) {
        lock(&self.state).faults.clear();
    }

    /// Up to `most` (10 on SQS) visible messages, in order within a group. A group with a hidden message
    /// gives nothing.
    pub fn receive(&self, most: usize) -> Vec<ReceivedMessage> {
        let now = self.environment.now();
        let mut guard = lock(&self.state);
        let state = &mut *guard;
        state.messages.retain(|message| now.duration_since(message.received.sent_at) < self.retention);
        let is_hidden = |message: &Message| message.hidden_until.is_some_and(|until| until > now);
        // A message that was received too often goes aside instead of being received again.
        let (mut kept, mut spent) = (VecDeque::new(), Vec::new());
        for message in state.messages.drain(..) {
            if !is_hidden(&message) && message.received.receive_count >= self.receives_max {
                spent.push(message.received);
            } else {
                kept.push_back(message);
            }
        }
        state.messages = kept;
        state.backstop.extend(spent);
        let closed: BTreeSet<String> = state
            .messages
            .iter()
            .filter(|message| is_hidden(message))
            .map(|message| message.received.group.clone())
            .collect();
        let mut given = Vec::new();
        for at in self.turns(&state.messages, &closed, most) {
            let Some(message) = state.messages.get_mut(at) else { continue };
            state.receipts += 1;
            let received = &mut message.received;
            if received.receive_count == 0 {
                received.first_received_at = now;
            }
            received.receive_count += 1;
            received.receipt = format!("receipt-{}", state.receipts);
            message.hidden_until = Some(now.saturating_add(self.visibility).unwrap_or(Timestamp::MAX));
            given.push(received.clone());
        }
        given
    }

    /// Deletes a received message; `false` where the receipt is of an earlier receive or the message is
    /// visible again.
    pub fn delete(&self, receipt: &str) -> bool {
        let now = self.environment.now();
        let mut state = lock(&self.state);
        let before = state.messages.len();
        state.messages.retain(|message| {
            message.received.receipt != receipt || message.hidden_until.is_none_or(|until| until <= now)
        });
        state.messages.len() < before
    }

    /// Messages in the queue, hidden ones too.
    pub fn len(&self) -> usize {
        lock(&self.state).messages.len()
    }

    /// Whether it has none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// When the next hidden message is visible again.
    pub fn next_visible(&self) -> Option<Timestamp> {
        lock(&self.state).messages.iter().filter_map(|message| message.hidden_until).min()
    }

    /// What was received too often.
    pub fn backstop(&self) -> Vec<ReceivedMessage> {
        lock(&self.state).backstop.clone()
    }
}

#[async_trait]
impl WakeUpQueue for MemoryQueue {
    async fn send(&self, wake_ups: &[WakeUp]) -> Result<Vec<usize>> {
        let now = self.environment.now();
        let mut guard = lock(&self.state);
        let state = &mut *guard;
        let fault = if wake_ups.is_empty() { None } else { state.faults.pop_front() };
        let refused = match &fault {
            Some(SendFault::CallFails) => return Err(Error::retryable("injected: sqs does not answer")),
            Some(SendFault::Refuses(positions)) => positions.clone(),
            Some(SendFault::AnswerLost) | None => BTreeSet::new(),
        };
        state.deduplicated.retain(|_, at| now.duration_since(*at) < DEDUPLICATION);
        for (position, wake_up) in wake_ups.iter().enumerate() {
            // A duplicate is taken, and goes nowhere.
            if refused.contains(&position) || state.deduplicated.contains_key(&wake_up.deduplication) {
                continue;
            }
            state.deduplicated.insert(wake_up.deduplication.clone(), now);
            state.sent += 1;
            state.messages.push_back(Message {
                received: ReceivedMessage {
                    message_id: format!("message-{}", state.sent),
                    receipt: String::new(),
                    group: wake_up.group.clone(),
                    deduplication: wake_up.deduplication.clone(),
                    body: wake_up.body.clone(),
                    receive_count: 0,
                    sent_at: now,
                    first_received_at: now,
                    sequence: state.sent,
                },
                hidden_until: None,
            });
        }
        match fault {
            Some(SendFault::AnswerLost) => Err(Error::retryable("injected: the answer was lost")),
            _ => Ok(refused.into_iter().filter(|position| *position < wake_ups.len()).collect()),
        }
    }

    async fn postpone(&self, receipt: &str, delay: Duration) -> Result<()> {
        let now = self.environment.now();
        let mut state = lock(&self.state);
        let message = state.messages.iter_mut().find(|message| {
            message.received.receipt == receipt && message.hidden_until.is_some_and(|until| until > now)
        });
        let Some(message) = message else {
            return Err(Error::Bug("the receipt is of no message in flight".into()));
        };
        message.hidden_until = Some(now.saturating_add(delay.min(HIDDEN_MAX)).unwrap_or(Timestamp::MAX));
        Ok(())
    }
}
