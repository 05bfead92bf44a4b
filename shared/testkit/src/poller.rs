//! Event sources as AWS Lambda runs them: batches, partial failures, retries, bisecting, on-failure
//! destinations, parallel shards, and records that come more than once.
//!
//! Handlers get the event as JSON text and answer with JSON, as a function does. Source: Lambda
//! Developer Guide, "How Lambda processes records from stream and queue-based event sources".

use std::collections::{BTreeSet, VecDeque};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use futures::future::join_all;
use jiff::Timestamp;
use serde_json::{Value as Json, json};
use tillstream_app::database::Table;

use crate::event_payloads::{
    KINESIS_ARN, change_record, change_sequence, event, kinesis_record, kinesis_sequence, queue_record,
    shard_id,
};
use crate::memory_database::{MemoryDatabase, StreamChange, shard_of};
use crate::memory_messaging::{MemoryQueue, MemoryStream};
use crate::test_environment::{SPLIT_MIX_STEP, split_mix};

/// A record that a poller read from a shard.
#[derive(Debug, Clone)]
pub struct PolledRecord {
    /// Its place in its shard.
    pub sequence: u64,
    /// What keeps records in order: the partition key.
    pub partition_key: String,
    /// When it came.
    pub at: Timestamp,
    /// The record as the function gets it.
    pub payload: Json,
}

/// What a stream poller reads from.
pub trait RecordSource: Send + Sync {
    /// How many shards.
    fn shards(&self) -> usize;

    /// Up to `most` records of a shard after a sequence number, in order.
    fn records(&self, shard: usize, after: u64, most: usize) -> Vec<PolledRecord>;

    /// A sequence number as the source writes it.
    fn sequence_text(&self, sequence: u64) -> String;

    /// Whether the event-source filter lets the record through.
    fn lets_through(&self, _record: &PolledRecord) -> bool {
        true
    }

    /// The member of an on-failure message that says where the batch is: its name, and its stream's ARN.
    fn address(&self) -> (&'static str, String);
}

impl RecordSource for MemoryStream {
    fn shards(&self) -> usize {
        MemoryStream::shards(self)
    }

    fn records(&self, shard: usize, after: u64, most: usize) -> Vec<PolledRecord> {
        MemoryStream::records(self, shard, after, most)
            .into_iter()
            .map(|record| PolledRecord {
                payload: kinesis_record(shard, &record),
                sequence: record.sequence,
                partition_key: record.partition_key,
                at: record.at,
            })
            .collect()
    }

    fn sequence_text(&self, sequence: u64) -> String {
        kinesis_sequence(sequence)
    }

    fn address(&self) -> (&'static str, String) {
        ("KinesisBatchInfo", KINESIS_ARN.to_owned())
    }
}

/// The change stream of a table, with the template's filter: only changes whose new image has
/// `new_image_has`.
pub struct TableChanges {
    /// The database.
    pub database: Arc<MemoryDatabase>,
    /// Which table; orders and stock have a stream.
    pub table: Table,
    /// The filter; none lets everything through.
    pub new_image_has: Option<&'static str>,
}

impl RecordSource for TableChanges {
    fn shards(&self) -> usize {
        crate::memory_database::STREAM_SHARDS
    }

    fn records(&self, shard: usize, after: u64, most: usize) -> Vec<PolledRecord> {
        let pk = |change: &StreamChange| {
            let image = change.new.as_ref().or(change.old.as_ref());
            image.and_then(|image| image.opt_text("pk")).unwrap_or_default().to_owned()
        };
        // What the filter holds back no function gets, so it needs no payload.
        let passes = |change: &StreamChange| {
            self.new_image_has
                .is_none_or(|name| change.new.as_ref().is_some_and(|new| new.get(name).is_some()))
        };
        self.database.shard_changes(self.table, shard, after, most, |change| PolledRecord {
            sequence: change.sequence,
            partition_key: pk(change),
            at: change.at,
            payload: if passes(change) { change_record(change) } else { Json::Null },
        })
    }

    fn sequence_text(&self, sequence: u64) -> String {
        change_sequence(sequence)
    }

    fn lets_through(&self, record: &PolledRecord) -> bool {
        !record.payload.is_null()
    }

    fn address(&self) -> (&'static str, String) {
        let table = crate::event_payloads::table_name(self.table);
        let arn =
            format!("arn:aws:dynamodb:us-east-1:123456789012:table/{table}/stream/2026-01-01T00:00:00.000");
        ("DDBStreamBatchInfo", arn)
    }
}

/// How a stream's event source is set up.
#[derive(Debug, Clone, Copy)]
pub struct StreamSettings {
    /// Most records of a batch.
    pub batch_size: usize,
    /// Batches of one shard at once; one partition key is in one at a time.
    pub parallelization_factor: usize,
    /// How often a batch is sent again before it is given up; `None`: until the record is gone.
    pub maximum_retry_attempts: Option<u32>,
    /// Whether a batch that failed whole is cut in two.
    pub bisect_batch_on_function_error: bool,
    /// Whether the function's answer is read (`ReportBatchItemFailures`); if not, any answer is success.
    pub report_batch_item_failures: bool,
    /// How often, in thousandths of successes, the poller has forgotten how far it was and goes back.
    pub goes_back: u64,
    /// Seed for going back.
    pub seed: u64,
}

impl Default for StreamSettings {
    fn default() -> Self {
        StreamSettings {
            batch_size: 100,
            parallelization_factor: 1,
            maximum_retry_attempts: None,
            bisect_batch_on_function_error: false,
            report_batch_item_failures: true,
            goes_back: 0,
            seed: 0,
        }
    }
}

struct Batch {
    records: Vec<PolledRecord>,
    failures: u32,
}

/// One poller of a shard: with a parallelization factor there are several.
#[derive(Default)]
struct Lane {
    position: u64,
    work: VecDeque<Batch>,
}

/// The event source of a stream.
pub struct StreamPoller {
    source: Arc<dyn RecordSource>,
    settings: StreamSettings,
    lanes: Vec<Lane>,
    given_up: Vec<Json>,
    invocations: u64,
    chance: AtomicU64,
}

enum Outcome {
    Done,
    /// Failed from this position on.
    From(usize),
    Failed,
}

impl StreamPoller {
    /// From the oldest record on.
    pub fn new(source: Arc<dyn RecordSource>, settings: StreamSettings) -> Self {
        let lanes = source.shards() * settings.parallelization_factor.max(1);
        StreamPoller {
            source,
            settings,
            lanes: std::iter::repeat_with(Lane::default).take(lanes).collect(),
            given_up: Vec::new(),
            invocations: 0,
            chance: AtomicU64::new(settings.seed),
        }
    }

    /// What went to the on-failure destination: where the records were, not what they were.
    pub fn given_up(&self) -> &[Json] {
        &self.given_up
    }

    /// How often the function was invoked.
    pub fn invocations(&self) -> u64 {
        self.invocations
    }

    /// Sends one batch from each poller of each shard, all at once. Answers how many were sent.
    pub async fn poll(&mut self, handler: &impl AsyncFn(String) -> Result<Json, String>) -> usize {
        let (source, settings, chance) = (&self.source, &self.settings, &self.chance);
        let factor = settings.parallelization_factor.max(1);
        let steps = self.lanes.iter_mut().enumerate().map(|(number, lane)| async move {
            lane.step(&**source, settings, chance, number / factor, number % factor, handler).await
        });
        let mut sent = 0;
        for step in join_all(steps).await {
            sent += usize::from(step.invoked);
            self.given_up.extend(step.given_up);
        }
        self.invocations += u64::try_from(sent).unwrap_or(0);
        sent
    }

    /// Sends batches until all records are through.
    ///
    /// # Errors
    /// Where that is not so after `rounds`.
    pub async fn run(
        &mut self,
        rounds: usize,
        handler: &impl AsyncFn(String) -> Result<Json, String>,
    ) -> Result<(), String> {
        for _ in 0..rounds {
            if self.poll(handler).await == 0 {
                return Ok(());
            }
        }
        Err(format!("records are left after {rounds} rounds"))
    }
}

struct Step {
    invoked: bool,
    given_up: Option<Json>,
}

impl Lane {
    async fn step(
        &mut self,
        source: &dyn RecordSource,
        settings: &StreamSettings,
        chance: &AtomicU64,
        shard: usize,
        part: usize,
        handler: &impl AsyncFn(String) -> Result<Json, String>,
    ) -> Step {
        if self.work.is_empty() {
            self.fetch(source, settings, shard, part);
        }
        let Some(mut batch) = self.work.pop_front() else {
            return Step { invoked: false, given_up: None };
        };
        let payloads: Vec<Json> = batch.records.iter().map(|record| record.payload.clone()).collect();
        let answer = handler(event(&payloads).to_string()).await;
        let mut given_up = None;
        match outcome(source, settings, &batch.records, answer) {
            Outcome::Done => self.done(settings, chance, &batch.records),
            Outcome::From(position) => {
                let failed = batch.records.split_off(position);
                self.done(settings, chance, &batch.records);
                // What was done before the failed record is progress, and a new batch.
                let failures = if position == 0 { batch.failures + 1 } else { 1 };
                given_up = self.again(source, settings, shard, Batch { records: failed, failures }, false);
            }
            Outcome::Failed => {
                batch.failures += 1;
                let bisect = settings.bisect_batch_on_function_error;
                given_up = self.again(source, settings, shard, batch, bisect);
            }
        }
        Step { invoked: true, given_up }
    }

    fn fetch(&mut self, source: &dyn RecordSource, settings: &StreamSettings, shard: usize, part: usize) {
        let (mut records, mut read_up_to) = (Vec::new(), self.position);
        loop {
            let read = source.records(shard, read_up_to, settings.batch_size);
            let Some(last) = read.last() else { break };
            read_up_to = last.sequence;
            for record in read {
                let mine = shard_of(&record.partition_key, settings.parallelization_factor) == part;
                if mine && source.lets_through(&record) && records.len() < settings.batch_size {
                    records.push(record);
                } else if records.is_empty() {
                    // Filtered out, or another's: passed by.
                    self.position = record.sequence;
                }
            }
            if records.len() >= settings.batch_size {
                break;
            }
        }
        if !records.is_empty() {
            self.work.push_back(Batch { records, failures: 0 });
        }
    }

    fn done(&mut self, settings: &StreamSettings, chance: &AtomicU64, records: &[PolledRecord]) {
        let Some(last) = records.last() else { return };
        self.position = self.position.max(last.sequence);
        let state = chance.fetch_add(SPLIT_MIX_STEP, Ordering::Relaxed).wrapping_add(SPLIT_MIX_STEP);
        let draw = split_mix(state);
        if draw % 1000 < settings.goes_back && self.work.is_empty() {
            // Back to somewhere within the last few batches: all from there comes again, cut otherwise.
            let span = u64::try_from(settings.batch_size).unwrap_or(1).saturating_mul(2).max(1);
            self.position = self.position.saturating_sub(1 + (draw / 1000) % span);
        }
    }

    /// Puts a batch back, whole or in halves, or gives it up.
    fn again(
        &mut self,
        source: &dyn RecordSource,
        settings: &StreamSettings,
        shard: usize,
        mut batch: Batch,
        bisect: bool,
    ) -> Option<Json> {
        if bisect && batch.records.len() > 1 {
            // Cutting does not count as a retry.
            let second = batch.records.split_off(batch.records.len() / 2);
            self.work.push_front(Batch { records: second, failures: 0 });
            self.work.push_front(Batch { records: batch.records, failures: 0 });
            return None;
        }
        if settings.maximum_retry_attempts.is_none_or(|most| batch.failures <= most) {
            self.work.push_front(batch);
            return None;
        }
        let (first, last) = (batch.records.first()?, batch.records.last()?);
        self.position = self.position.max(last.sequence);
        let (name, arn) = source.address();
        Some(json!({
            "requestContext": { "condition": "RetryAttemptsExhausted", "approximateInvokeCount": batch.failures },
            "version": "1.0",
            name: {
                "shardId": shard_id(shard),
                "startSequenceNumber": source.sequence_text(first.sequence),
                "endSequenceNumber": source.sequence_text(last.sequence),
                "approximateArrivalOfFirstRecord": first.at.to_string(),
                "approximateArrivalOfLastRecord": last.at.to_string(),
                "batchSize": batch.records.len(),
                "streamArn": arn,
            },
        }))
    }
}

/// What an answer means for a batch of a stream.
fn outcome(
    source: &dyn RecordSource,
    settings: &StreamSettings,
    records: &[PolledRecord],
    answer: Result<Json, String>,
) -> Outcome {
    let Ok(answer) = answer else { return Outcome::Failed };
    if !settings.report_batch_item_failures {
        return Outcome::Done;
    }
    let Some(identifiers) = failed_identifiers(&answer) else { return Outcome::Failed };
    let mut first = None;
    for identifier in identifiers {
        let found = records.iter().position(|record| source.sequence_text(record.sequence) == identifier);
        // An identifier that is not in the batch fails all of it.
        let Some(position) = found else { return Outcome::Failed };
        first = Some(first.map_or(position, |first: usize| first.min(position)));
    }
    first.map_or(Outcome::Done, Outcome::From)
}

/// The identifiers of a partial batch response; `None` where it is malformed, which fails the batch.
fn failed_identifiers(answer: &Json) -> Option<Vec<String>> {
    let failures = match answer {
        Json::Null => return Some(Vec::new()),
        Json::Object(members) => members.get("batchItemFailures"),
        _ => return None,
    };
    let Some(failures) = failures.filter(|failures| !failures.is_null()) else { return Some(Vec::new()) };
    let identifier = |failure: &Json| {
        let text = failure.get("itemIdentifier")?.as_str()?;
        (!text.is_empty()).then(|| text.to_owned())
    };
    failures.as_array()?.iter().map(identifier).collect()
}

/// The event source of a FIFO queue, with `ReportBatchItemFailures`.
pub struct QueuePoller {
    queue: Arc<MemoryQueue>,
    batch_size: usize,
    deletes_lost: u64,
    chance: u64,
    invocations: u64,
}

impl QueuePoller {
    /// Batches of up to `batch_size` (10 at most on a FIFO queue).
    pub fn new(queue: Arc<MemoryQueue>, batch_size: usize) -> Self {
        QueuePoller { queue, batch_size, deletes_lost: 0, chance: 0, invocations: 0 }
    }

    /// In so many thousandths of batches nothing is deleted after success: all of it comes again when
    /// its time is up.
    #[must_use]
    pub fn losing_deletes(mut self, thousandths: u64, seed: u64) -> Self {
        (self.deletes_lost, self.chance) = (thousandths, seed);
        self
    }

    /// How often the function was invoked.
    pub fn invocations(&self) -> u64 {
        self.invocations
    }

    /// Receives a batch and sends it; answers whether there was one. What failed stays hidden until its
    /// time is up.
    pub async fn poll(&mut self, handler: &impl AsyncFn(String) -> Result<Json, String>) -> bool {
        let messages = self.queue.receive(self.batch_size.min(10));
        if messages.is_empty() {
            return false;
        }
        self.invocations += 1;
        let payloads: Vec<Json> = messages.iter().map(queue_record).collect();
        let answer = handler(event(&payloads).to_string()).await;
        let known: BTreeSet<&str> = messages.iter().map(|message| message.message_id.as_str()).collect();
        let failed: BTreeSet<String> = match answer.ok().as_ref().and_then(failed_identifiers) {
            Some(failed) if failed.iter().all(|id| known.contains(id.as_str())) => {
                failed.into_iter().collect()
            }
            _ => known.iter().map(|id| (*id).to_owned()).collect(),
        };
        self.chance = self.chance.wrapping_add(SPLIT_MIX_STEP);
        if split_mix(self.chance) % 1000 >= self.deletes_lost {
            for message in messages.iter().filter(|message| !failed.contains(&message.message_id)) {
                self.queue.delete(&message.receipt);
            }
        }
        true
    }
}
