//! One structured event per unit of work, written at its end: what it was, how it went, what it cost.
//!
//! The line is in CloudWatch's embedded metric format, so that durations and counts become metrics by
//! function, action and outcome without a call. The format is one JSON object (CloudWatch user guide,
//! "Specification: Embedded metric format"), written here directly: the crate `metrique` would bring
//! 41 further crates for it.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use serde_json::{Map, Value, json};
use tillstream_app::capacity::{CapacityKind, CapacityObserver, Consumed, Operation};

/// CloudWatch namespace of the metrics.
pub const NAMESPACE: &str = "Tillstream";

tokio::task_local! {
    static CURRENT: Arc<Work>;
}

/// How a unit of work ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// It did what was asked.
    Ok,
    /// It was the caller's to mend.
    Refused,
    /// It may be repeated.
    Retryable,
    /// It was ours to mend.
    Failed,
}

impl Outcome {
    /// Its name in the event.
    pub fn name(self) -> &'static str {
        match self {
            Outcome::Ok => "ok",
            Outcome::Refused => "refused",
            Outcome::Retryable => "retryable",
            Outcome::Failed => "failed",
        }
    }
}

/// A unit of work under way: a request, or a batch.
#[derive(Debug)]
pub struct Work {
    function: &'static str,
    request_id: String,
    cold_start: bool,
    began: Instant,
    database: DatabaseUse,
    fields: Mutex<Map<String, Value>>,
}

/// What a unit of work asked of the database. Capacity is counted in thousandths of a unit.
#[derive(Debug, Default)]
pub struct DatabaseUse {
    round_trips: AtomicU64,
    write_attempts: AtomicU64,
    writes_lost: AtomicU64,
    read_thousandths: AtomicU64,
    write_thousandths: AtomicU64,
}

static WARM: AtomicBool = AtomicBool::new(false);

impl Work {
    /// Begins.
    pub fn begin(function: &'static str, request_id: impl Into<String>) -> Arc<Work> {
        Arc::new(Work {
            function,
            request_id: request_id.into(),
            cold_start: !WARM.swap(true, Ordering::Relaxed),
            began: Instant::now(),
            database: DatabaseUse::default(),
            fields: Mutex::new(Map::new()),
        })
    }

    /// Runs `future` as this unit of work: the free functions of this module act on it.
    pub async fn scope<F: Future>(self: &Arc<Self>, future: F) -> F::Output {
        CURRENT.scope(Arc::clone(self), future).await
    }

    /// Its request id.
    pub fn request_id(&self) -> &str {
        &self.request_id
    }

    /// Names the action unless it has named itself.
    pub fn name(&self, action: &str) {
        let mut fields = self.fields.lock().unwrap_or_else(PoisonError::into_inner);
        fields.entry("action").or_insert_with(|| json!(action));
    }

    fn set(&self, name: &str, value: Value) {
        self.fields.lock().unwrap_or_else(PoisonError::into_inner).insert(name.to_owned(), value);
    }

    /// The event, ended now.
    pub fn event(&self, outcome: Outcome, status: Option<u16>, code: Option<&str>) -> Value {
        let mut event = self.fields.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let duration = u64::try_from(self.began.elapsed().as_micros()).unwrap_or(u64::MAX);
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        let members = [
            ("function", json!(self.function)),
            ("request_id", json!(self.request_id)),
            ("outcome", json!(outcome.name())),
            ("status", json!(status)),
            ("code", json!(code)),
            ("cold_start", json!(self.cold_start)),
            ("duration_us", json!(duration)),
            ("count", json!(1)),
            ("round_trips", json!(read(&self.database.round_trips))),
            ("attempts", json!(read(&self.database.write_attempts))),
            ("writes_lost", json!(read(&self.database.writes_lost))),
            ("read_units", units(read(&self.database.read_thousandths))),
            ("write_units", units(read(&self.database.write_thousandths))),
        ];
        for (name, value) in members {
            event.insert(name.to_owned(), value);
        }
        event.entry("action").or_insert_with(|| json!("none"));
        let watched: Vec<&str> = WATCHED.into_iter().filter(|name| event.contains_key(*name)).collect();
        event.insert("_aws".to_owned(), metadata(&watched));
        Value::Object(event)
    }

    /// Ends: writes the event to standard output.
    pub fn end(&self, outcome: Outcome, status: Option<u16>, code: Option<&str>) {
        println!("{}", self.event(outcome, status, code));
    }
}

/// Thousandths as a JSON number.
fn units(thousandths: u64) -> Value {
    let text = format!("{}.{:03}", thousandths / 1_000, thousandths % 1_000);
    let text = text.trim_end_matches('0').trim_end_matches('.');
    serde_json::from_str(text).unwrap_or(Value::Null)
}

/// What the stock keeper found missing downstream and sent again, and the differences of stock that are open: metrics
/// where they are noted, since alarms watch them.
const WATCHED: [&str; 2] = ["sent_again", "differences"];

/// Which members are metrics, and by what they are told apart.
fn metadata(watched: &[&str]) -> Value {
    let metric = |name: &str, unit: &str| json!({"Name": name, "Unit": unit});
    let mut metrics = vec![
        metric("duration_us", "Microseconds"),
        metric("count", "Count"),
        metric("attempts", "Count"),
        metric("read_units", "Count"),
        metric("write_units", "Count"),
    ];
    metrics.extend(watched.iter().map(|name| metric(name, "Count")));
    json!({
        "Timestamp": jiff::Timestamp::now().as_millisecond(),
        "CloudWatchMetrics": [{
            "Namespace": NAMESPACE,
            "Dimensions": [["function", "action", "outcome"], ["function", "outcome"]],
            "Metrics": metrics,
        }],
    })
}

/// Sets a member of the current unit of work's event; nothing outside of one. Only ids and numbers:
/// no personal data, no secrets.
pub fn note(name: &str, value: impl Into<Value>) {
    // Outside of a unit of work (tests of a piece) there is nothing to note on.
    let _ = CURRENT.try_with(|work| work.set(name, value.into()));
}

/// Names the action: a POS action or a job. Must come from a small fixed set, since it is a metric's
/// dimension. A request that names none is called by its method and route.
pub fn action(name: &str) {
    note("action", name);
}

/// Names the tenant.
pub fn tenant(id: &str) {
    note("tenant", id);
}

/// Marks the answer as a replay of what took effect before.
pub fn replayed() {
    note("replayed", true);
}

/// The current request's id, if there is one.
pub fn request_id() -> Option<String> {
    CURRENT.try_with(|work| work.request_id.clone()).ok()
}

/// Counts what the database charged towards the unit of work that asked.
#[derive(Debug, Clone, Copy, Default)]
pub struct Metered;

impl CapacityObserver for Metered {
    fn consumed(&self, _: Operation, consumed: &[Consumed]) {
        let sum = |kind| consumed.iter().filter(|one| one.kind == kind).map(|one| one.thousandths).sum();
        let _ = CURRENT.try_with(|work| {
            let database = &work.database;
            database.round_trips.fetch_add(1, Ordering::Relaxed);
            database.read_thousandths.fetch_add(sum(CapacityKind::Read), Ordering::Relaxed);
            database.write_thousandths.fetch_add(sum(CapacityKind::Write), Ordering::Relaxed);
        });
    }
}

/// Counts an attempt to write, and whether it lost a race.
pub fn write_attempt(lost: bool) {
    let _ = CURRENT.try_with(|work| {
        work.database.write_attempts.fetch_add(1, Ordering::Relaxed);
        work.database.writes_lost.fetch_add(u64::from(lost), Ordering::Relaxed);
    });
}

#[cfg(test)]
mod tests {
    use tillstream_app::database::Table;

    use super::*;

    #[tokio::test]
    async fn an_event_says_what_it_was_and_what_it_cost() {
        let work = Work::begin("orders", "r-1");
        work.scope(async {
            action("POST /v1/orders");
            tenant("demo");
            let one = |kind, thousandths| Consumed { table: Table::Orders, index: None, kind, thousandths };
            Metered.consumed(
                Operation::GetMany,
                &[one(CapacityKind::Read, 1_000), one(CapacityKind::Read, 500)],
            );
            Metered.consumed(Operation::Transact, &[one(CapacityKind::Write, 2_000)]);
            write_attempt(true);
            write_attempt(false);
        })
        .await;
        let event = work.event(Outcome::Refused, Some(409), Some("insufficient_stock"));
        for (name, value) in [
            ("function", json!("orders")),
            ("request_id", json!("r-1")),
            ("action", json!("POST /v1/orders")),
            ("tenant", json!("demo")),
            ("outcome", json!("refused")),
            ("status", json!(409)),
            ("code", json!("insufficient_stock")),
            ("round_trips", json!(2)),
            ("read_units", json!(1.5)),
            ("write_units", json!(2)),
            ("attempts", json!(2)),
            ("writes_lost", json!(1)),
        ] {
            assert_eq!(event[name], value, "{name}");
        }
        let metrics = &event["_aws"]["CloudWatchMetrics"][0];
        // Every dimension and metric must be a member, or CloudWatch drops the event.
        for dimension in metrics["Dimensions"].as_array().unwrap().iter().flat_map(|d| d.as_array().unwrap())
        {
            assert!(event[dimension.as_str().unwrap()].is_string(), "{dimension}");
        }
        for metric in metrics["Metrics"].as_array().unwrap() {
            assert!(event[metric["Name"].as_str().unwrap()].is_number(), "{metric}");
        }
    }

    #[tokio::test]
    async fn what_an_alarm_watches_is_a_metric_where_it_is_noted() {
        let names = |work: &Work| {
            let event = work.event(Outcome::Ok, None, None);
            let metrics = event["_aws"]["CloudWatchMetrics"][0]["Metrics"].as_array().unwrap().clone();
            assert!(metrics.iter().all(|metric| event[metric["Name"].as_str().unwrap()].is_number()));
            let is_watched = |metric: &&Value| WATCHED.iter().any(|name| metric["Name"] == *name);
            metrics.iter().filter(is_watched).count()
        };
        let work = Work::begin("stock-keeper", "r-1");
        assert_eq!(names(&work), 0);
        for (n, name) in WATCHED.into_iter().enumerate() {
            work.scope(async { note(name, 0) }).await;
            assert_eq!(names(&work), n + 1);
        }
    }

    #[tokio::test]
    async fn units_of_work_do_not_mix() {
        let (a, b) = (Work::begin("orders", "a"), Work::begin("orders", "b"));
        tokio::join!(
            a.scope(async {
                tokio::task::yield_now().await;
                tenant("x");
            }),
            b.scope(async { tenant("y") })
        );
        assert_eq!(a.event(Outcome::Ok, None, None)["tenant"], "x");
        assert_eq!(b.event(Outcome::Ok, None, None)["tenant"], "y");
        note("tenant", "nobody");
        assert!(request_id().is_none());
    }
}
