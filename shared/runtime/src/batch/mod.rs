//! Batches of records from SQS, Kinesis and DynamoDB Streams.
//!
//! A record is read by itself, so that no bad one fails its batch, and ends in one of three ways: done;
//! transient, it comes again; or poison, it is parked whole and counts as done. Nothing is skipped
//! silently: a record that cannot be parked comes again.
//!
//! - **Streams** are ordered: the first transient failure ends the batch, and its sequence number makes
//!   the source go on from there.
//! - **Queues**: each message is answered for by itself; after a failure the rest of its message group
//!   (FIFO) is left for the next time.

pub mod dynamodb;
pub mod kinesis;
mod parked;
pub mod sqs;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use async_trait::async_trait;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use serde_json::value::RawValue;
use tillstream_app::Ports;
pub use tillstream_app::record_failure::Failure;

pub use self::parked::{Parcel, ParkedRecords};
use crate::caught::caught;
use crate::config::{BATCH_FAILURES, Config};
use crate::wide_event::{self, Outcome, Work};

/// Handles one record after the other.
#[async_trait]
pub trait RecordHandler<R>: Send + Sync {
    /// Handles a record. It may have been handled before.
    async fn handle(&self, record: &R) -> Result<(), Failure>;
}

/// Handles a batch at once.
#[async_trait]
pub trait BatchHandler<R>: Send + Sync {
    /// Handles records, in order; answers which were not handled, by position. Any may have been
    /// handled before. A panic makes it be called again with each record alone.
    async fn handle(&self, records: &[R]) -> BTreeMap<usize, Failure>;
}

/// Where records come from.
pub trait Source {
    /// A record.
    type Record: Send + Sync;
    /// Its name in logs and metrics.
    const NAME: &'static str;
    /// Whether a failure holds up everything after it (streams).
    const ORDERED: bool;

    /// Reads a record.
    ///
    /// # Errors
    /// What was wrong with it.
    fn read(raw: &str) -> Result<Self::Record, String>;

    /// The identifier by which a failure is told, if even that can be read.
    fn identifier(raw: &Value) -> Option<String>;

    /// When it arrived, in epoch milliseconds, if even that can be read. The same when it comes again.
    fn arrived_millis(raw: &Value) -> Option<i64>;

    /// The message group, where there are such.
    fn group(_record: &Self::Record) -> Option<&str> {
        None
    }
}

/// How failures are told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Failures {
    /// By identifier, in the answer (`ReportBatchItemFailures`).
    Report,
    /// By failing the invocation, for a source that takes an answer for success.
    Raise,
}

/// What every batch of a function needs. Cheap to clone.
#[derive(Clone)]
pub struct Batches {
    function: &'static str,
    parked: ParkedRecords,
    failures: Failures,
}

impl Batches {
    /// For `function` (its name in logs and metrics), told as the configuration says.
    pub fn new(function: &'static str, ports: &Ports, config: &Config) -> Self {
        let failures =
            if config.opt(&BATCH_FAILURES) == Some("raise") { Failures::Raise } else { Failures::Report };
        Batches::telling(function, ports, failures)
    }

    /// For `function`, told in this way.
    pub fn telling(function: &'static str, ports: &Ports, failures: Failures) -> Self {
        Batches { function, parked: ParkedRecords::new(function, ports.clone()), failures }
    }
}

/// What the event source gets to know.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct BatchResponse {
    /// The records that come again.
    pub batch_item_failures: Vec<ItemFailure>,
}

/// One record that comes again; of a stream, all after it too.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ItemFailure {
    /// Message id, or sequence number.
    pub item_identifier: String,
}

/// The whole invocation failed: everything comes again.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the batch failed: {0}")]
pub struct BatchFailed(pub String);

#[derive(Deserialize)]
struct Event<'a> {
    #[serde(rename = "Records", borrow)]
    records: Vec<&'a RawValue>,
}

/// One record as it arrived.
struct Arrived<'a, R> {
    raw: &'a str,
    identifier: Option<String>,
    arrived_millis: Option<i64>,
    record: Result<R, String>,
}

impl<R> Arrived<'_, R> {
    fn as_parcel(&self) -> Parcel<'_> {
        Parcel {
            identifier: self.identifier.as_deref(),
            arrived_millis: self.arrived_millis,
            record: self.raw,
        }
    }
}

/// Runs a batch record by record.
///
/// # Errors
/// [`BatchFailed`] where the failures cannot be, or shall not be, told one by one.
pub async fn run_each<S: Source, H: RecordHandler<S::Record> + ?Sized>(
    batches: &Batches,
    handler: &H,
    event: &str,
) -> Result<BatchResponse, BatchFailed> {
    let arrived = arrivals::<S>(event)?;
    let mut ending = Ending::new(arrived.len());
    for (position, arrival) in arrived.iter().enumerate() {
        if ending.is_held_up::<S>(arrival) {
            ending.again(position, arrival, "comes after one that failed");
            continue;
        }
        let result = match &arrival.record {
            Err(reason) => Err(Failure::Poison(reason.clone())),
            Ok(record) => caught(handler.handle(record))
                .await
                .unwrap_or_else(|panic| Err(Failure::Poison(format!("panic: {panic}")))),
        };
        ending.settle::<S>(&batches.parked, position, arrival, result).await;
        if S::ORDERED && ending.has_failed() {
            break;
        }
    }
    ending.answer(batches.failures)
}

/// Runs a batch at once.
///
/// # Errors
/// [`BatchFailed`] where the failures cannot be, or shall not be, told one by one.
pub async fn run_whole<S: Source, H: BatchHandler<S::Record> + ?Sized>(
    batches: &Batches,
    handler: &H,
    event: &str,
) -> Result<BatchResponse, BatchFailed> {
    let mut arrived = arrivals::<S>(event)?;
    let (mut positions, mut records, mut failures) = (Vec::new(), Vec::new(), BTreeMap::new());
    for (position, arrival) in arrived.iter_mut().enumerate() {
        match std::mem::replace(&mut arrival.record, Err(String::new())) {
            Ok(record) => {
                positions.push(position);
                records.push(record);
            }
            Err(reason) => {
                failures.insert(position, Failure::Poison(reason));
            }
        }
    }
    for (index, failure) in handle_whole(handler, &records).await {
        if let Some(position) = positions.get(index) {
            failures.insert(*position, failure);
        }
    }
    // Back to their places, for their message groups.
    for (position, record) in positions.into_iter().zip(records) {
        if let Some(arrival) = arrived.get_mut(position) {
            arrival.record = Ok(record);
        }
    }
    let mut ending = Ending::new(arrived.len());
    for (position, arrival) in arrived.iter().enumerate() {
        if ending.is_held_up::<S>(arrival) {
            // Handled, maybe; but it comes again with the one before it, and in order.
            ending.again(position, arrival, "comes after one that failed");
            continue;
        }
        let result = failures.remove(&position).map_or(Ok(()), Err);
        ending.settle::<S>(&batches.parked, position, arrival, result).await;
        if S::ORDERED && ending.has_failed() {
            break;
        }
    }
    ending.answer(batches.failures)
}

/// Calls the handler; finds out who made it panic.
async fn handle_whole<R: Send + Sync, H: BatchHandler<R> + ?Sized>(
    handler: &H,
    records: &[R],
) -> BTreeMap<usize, Failure> {
    if records.is_empty() {
        return BTreeMap::new();
    }
    if let Ok(failures) = caught(handler.handle(records)).await {
        return failures;
    }
    let mut failures = BTreeMap::new();
    for (index, record) in records.iter().enumerate() {
        let failure = match caught(handler.handle(std::slice::from_ref(record))).await {
            Ok(mut alone) => alone.remove(&0),
            Err(panic) => Some(Failure::Poison(format!("panic: {panic}"))),
        };
        failures.extend(failure.map(|failure| (index, failure)));
    }
    failures
}

fn arrivals<S: Source>(event: &str) -> Result<Vec<Arrived<'_, S::Record>>, BatchFailed> {
    let event: Event<'_> = serde_json::from_str(event)
        .map_err(|error| BatchFailed(format!("the event is no batch of records: {error}")))?;
    let arrived = |raw: &'_ RawValue| {
        let value: Value = serde_json::from_str(raw.get()).unwrap_or_default();
        (S::identifier(&value).filter(|identifier| !identifier.is_empty()), S::arrived_millis(&value))
    };
    Ok(event
        .records
        .into_iter()
        .map(|raw| {
            let (identifier, arrived_millis) = arrived(raw);
            Arrived { raw: raw.get(), identifier, arrived_millis, record: S::read(raw.get()) }
        })
        .collect())
}

/// Seconds, with or without places, as milliseconds to the second.
fn seconds_to_millis(seconds: &Value) -> Option<i64> {
    // Read as text: what matters is whole seconds, and floats are for nobody here.
    let text = seconds.as_number()?.to_string();
    let whole = seconds.as_i64().or_else(|| text.split('.').next()?.parse().ok())?;
    whole.checked_mul(1_000)
}

/// How a batch ends.
struct Ending {
    records: usize,
    parked: usize,
    failed: Vec<Option<String>>,
    groups: BTreeSet<String>,
    reason: Option<String>,
}

impl Ending {
    fn new(records: usize) -> Self {
        Ending { records, parked: 0, failed: Vec::new(), groups: BTreeSet::new(), reason: None }
    }

    fn has_failed(&self) -> bool {
        !self.failed.is_empty()
    }

    /// Whether one of the record's group failed before it.
    fn is_held_up<S: Source>(&self, arrival: &Arrived<'_, S::Record>) -> bool {
        let group = arrival.record.as_ref().ok().and_then(S::group);
        group.is_some_and(|group| self.groups.contains(group))
    }

    fn again<R>(&mut self, position: usize, arrival: &Arrived<'_, R>, reason: &str) {
        tracing::warn!(position, identifier = arrival.identifier, reason, "record comes again");
        self.reason.get_or_insert_with(|| reason.to_owned());
        self.failed.push(arrival.identifier.clone());
    }

    async fn settle<S: Source>(
        &mut self,
        parked: &ParkedRecords,
        position: usize,
        arrival: &Arrived<'_, S::Record>,
        result: Result<(), Failure>,
    ) {
        let reason = match result {
            Ok(()) => return,
            Err(Failure::Transient(reason)) => reason,
            Err(Failure::Poison(reason)) => match parked.park(S::NAME, &arrival.as_parcel(), &reason).await {
                Ok(()) => {
                    tracing::error!(position, identifier = arrival.identifier, reason, "record parked");
                    self.parked += 1;
                    return;
                }
                Err(error) => format!("could not be parked ({error}), which was needed because: {reason}"),
            },
        };
        if let Some(group) = arrival.record.as_ref().ok().and_then(S::group) {
            self.groups.insert(group.to_owned());
        }
        self.again(position, arrival, &reason);
    }

    fn answer(self, failures: Failures) -> Result<BatchResponse, BatchFailed> {
        wide_event::note("records", self.records);
        wide_event::note("records_parked", self.parked);
        wide_event::note("records_failed", self.failed.len());
        if let (Some(reason), Failures::Raise) = (&self.reason, failures) {
            return Err(BatchFailed(reason.clone()));
        }
        // Without an identifier the source could only take the record for done.
        let identifiers: Option<Vec<String>> = self.failed.into_iter().collect();
        let Some(identifiers) = identifiers else {
            return Err(BatchFailed("a record without identifier failed".to_owned()));
        };
        let item = |item_identifier| ItemFailure { item_identifier };
        Ok(BatchResponse { batch_item_failures: identifiers.into_iter().map(item).collect() })
    }
}

/// Runs a function that handles one record after the other, until the environment ends.
///
/// # Errors
/// What the runtime's own calls answer.
pub async fn serve_each<S, H>(batches: Batches, handler: H) -> Result<(), lambda_runtime::Error>
where
    S: Source,
    H: RecordHandler<S::Record>,
{
    let handler = Arc::new(handler);
    let service = |event: lambda_runtime::LambdaEvent<Box<RawValue>>| {
        let (batches, handler) = (batches.clone(), Arc::clone(&handler));
        async move {
            let work = Work::begin(batches.function, event.context.request_id);
            let run = run_each::<S, H>(&batches, &handler, event.payload.get());
            finish::<S>(&work, work.scope(run).await)
        }
    };
    lambda_runtime::run(lambda_runtime::service_fn(service)).await
}

/// Runs a function that handles batches at once, until the environment ends.
///
/// # Errors
/// What the runtime's own calls answer.
pub async fn serve_whole<S, H>(batches: Batches, handler: H) -> Result<(), lambda_runtime::Error>
where
    S: Source,
    H: BatchHandler<S::Record>,
{
    let handler = Arc::new(handler);
    let service = |event: lambda_runtime::LambdaEvent<Box<RawValue>>| {
        let (batches, handler) = (batches.clone(), Arc::clone(&handler));
        async move {
            let work = Work::begin(batches.function, event.context.request_id);
            let run = run_whole::<S, H>(&batches, &handler, event.payload.get());
            finish::<S>(&work, work.scope(run).await)
        }
    };
    lambda_runtime::run(lambda_runtime::service_fn(service)).await
}

fn finish<S: Source>(
    work: &Work,
    result: Result<BatchResponse, BatchFailed>,
) -> Result<BatchResponse, lambda_runtime::Error> {
    let whole = matches!(&result, Ok(response) if response.batch_item_failures.is_empty());
    work.name(S::NAME);
    work.end(if whole { Outcome::Ok } else { Outcome::Retryable }, None, None);
    Ok(result?)
}

#[cfg(test)]
mod tests;
