//! The delivery record: one version of an order on its way to HQ.
//!
//! Every change is one conditional write on `rev`. While a record is pending it stands in the due index
//! at the time when its wake-up counts as lost; while it waits, in its tenant's own partition of that
//! index.

use std::time::Duration;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use tillstream_contracts::dispatch::{
    AttemptOutcome, AttemptView, DeliveryStatus, DeliveryView, DiscardView,
};
use tillstream_domain::lane::LaneNumber;

use crate::database::{Condition, Consistency, Get, Item, Key, Partition, Table, Write};
use crate::dispatch::HQ;
use crate::dispatch::subject::{shift_in, stock_in};
use crate::error::{Error, Result};
use crate::keys;
use crate::ports::Ports;
use crate::tenancy::TenantScope;

/// After this time without a sign of the dispatcher, a wake-up counts as lost; doubles each time the
/// sweeper sent another.
pub const OVERDUE_AFTER: Duration = Duration::from_secs(120);

/// Longest time until a wake-up counts as lost.
pub const OVERDUE_AFTER_MAX: Duration = Duration::from_secs(3_600);

/// Idempotency keys of people's actions that a record keeps.
const ACTIONS_MAX: usize = 100;

/// Something a person did to a delivery, so that it is done once.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Action {
    /// Hash of the idempotency key.
    key: String,
    /// Hash of what was asked.
    fingerprint: String,
}

/// How an action relates to what was done before.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Seen {
    /// New here.
    Never,
    /// Done before.
    Same,
    /// The key was used for something else.
    Reused,
}

/// A delivery.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Delivery {
    /// Whose.
    pub scope: TenantScope,
    /// The order, or what stands for a shift ([`super::subject`]).
    pub order_id: String,
    /// Its version.
    pub order_version: u32,
    /// Where the order stood at that version.
    pub order_status: String,
    /// Its number on its lane; of a shift that of its Z report.
    pub lane_number: LaneNumber,
    /// When the fact happened.
    pub occurred_at: Timestamp,
    /// Where it stands.
    pub status: DeliveryStatus,
    /// How often it was tried.
    pub attempts: u32,
    /// How often the message was refused since it was made or replayed.
    pub refusals: u32,
    /// How often HQ failed on it while well to others, since then.
    pub suspected: u32,
    /// How many wake-ups were sent.
    pub enqueue_count: u32,
    /// Wake-ups that the sweeper sent since the dispatcher was last heard of.
    pub unanswered: u32,
    /// Not to be tried before.
    pub next_attempt_at: Timestamp,
    /// When the last attempt began.
    pub last_attempt_at: Option<Timestamp>,
    /// HTTP status of the last attempt.
    pub last_status: Option<u16>,
    /// What went wrong last.
    pub last_error: Option<String>,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it changed last.
    pub updated_at: Timestamp,
    /// While pending: when its wake-up counts as lost. While waiting: since when.
    pub due_at: Timestamp,
    /// Why it was discarded, and by whom.
    pub discarded: Option<DiscardView>,
    /// What people did to it.
    pub actions: Vec<Action>,
    /// The message as JSON, where it is not made of an order or a shift.
    pub payload: Option<String>,
    /// Counts its writes; 0 before the first.
    pub rev: i64,
}

/// Id of the delivery of a version of an order.
pub fn delivery_id(order_id: &str, order_version: u32) -> String {
    format!("{order_id}.{order_version}")
}

/// `at` later by `by`, or the end of time.
pub(crate) fn later(at: Timestamp, by: Duration) -> Timestamp {
    at.checked_add(by).unwrap_or(Timestamp::MAX)
}

fn millis(item: &Item, name: &str) -> Result<Timestamp> {
    Timestamp::from_millisecond(item.number(name)?).map_err(Error::bug)
}

fn hex(text: &[&str]) -> String {
    let mut hash = Sha256::new();
    for part in text {
        hash.update(part.len().to_be_bytes());
        hash.update(part.as_bytes());
    }
    hash.finalize().iter().take(16).map(|byte| format!("{byte:02x}")).collect()
}

impl Action {
    /// An action with this idempotency key; `what` says in full what was asked.
    pub fn new(idempotency_key: &str, what: &[&str]) -> Self {
        Action { key: hex(&[idempotency_key]), fingerprint: hex(what) }
    }

    /// Hash of what was asked.
    pub fn fingerprint(&self) -> &str {
        &self.fingerprint
    }
}

impl Delivery {
    /// Its id.
    pub fn id(&self) -> String {
        delivery_id(&self.order_id, self.order_version)
    }

    /// Its key.
    pub fn key(&self) -> Key {
        self.scope.delivery(&self.id())
    }

    /// Whether it is still to be delivered.
    pub fn is_open(&self) -> bool {
        matches!(self.status, DeliveryStatus::Pending | DeliveryStatus::Waiting)
    }

    fn to(&self, status: DeliveryStatus, now: Timestamp) -> Self {
        Delivery { status, updated_at: now, ..self.clone() }
    }

    /// Kept back, since HQ is down.
    #[must_use]
    pub fn waiting(&self, now: Timestamp) -> Self {
        Delivery { due_at: now, unanswered: 0, ..self.to(DeliveryStatus::Waiting, now) }
    }

    /// About to be woken once more, by the sweeper.
    #[must_use]
    pub fn woken(&self, now: Timestamp) -> Self {
        let patience = OVERDUE_AFTER
            .saturating_mul(1_u32.checked_shl(self.unanswered).unwrap_or(u32::MAX))
            .min(OVERDUE_AFTER_MAX);
        Delivery {
            enqueue_count: self.enqueue_count.saturating_add(1),
            unanswered: self.unanswered.saturating_add(1),
            due_at: later(now, patience),
            ..self.to(DeliveryStatus::Pending, now)
        }
    }

    /// A dead letter tried anew, as a person wants.
    #[must_use]
    pub fn replayed(&self, now: Timestamp, action: Action) -> Self {
        let mut next = Delivery {
            refusals: 0,
            suspected: 0,
            next_attempt_at: now,
            unanswered: 0,
            // What happened before the replay says nothing of HQ's state since.
            last_attempt_at: None,
            ..self.woken(now)
        };
        next.remember(action);
        next
    }

    /// A dead letter given up.
    #[must_use]
    pub fn discarded(&self, now: Timestamp, discard: DiscardView, action: Action) -> Self {
        let mut next = Delivery { discarded: Some(discard), ..self.to(DeliveryStatus::Discarded, now) };
        next.remember(action);
        next
    }

    /// Tried not before `until`; its wake-up counts as lost some time after.
    #[must_use]
    pub fn deferred(&self, now: Timestamp, until: Timestamp, slack: Duration) -> Self {
        Delivery {
            next_attempt_at: until,
            due_at: later(until, slack),
            unanswered: 0,
            ..self.to(DeliveryStatus::Pending, now)
        }
    }

    fn remember(&mut self, action: Action) {
        self.actions.push(action);
        if self.actions.len() > ACTIONS_MAX {
            self.actions.remove(0);
        }
    }

    /// Whether `action` was done before.
    pub fn seen(&self, action: &Action) -> Seen {
        match self.actions.iter().find(|done| done.key == action.key) {
            None => Seen::Never,
            Some(done) if done.fingerprint == action.fingerprint => Seen::Same,
            Some(_) => Seen::Reused,
        }
    }

    /// Sort key among those of its status: by the last change, then id.
    pub fn status_sort_key(&self) -> String {
        format!("{:016}#{}", self.updated_at.as_millisecond().max(0), self.id())
    }

    /// The write that makes this the record's next state: it must not have changed since it was read.
    ///
    /// # Errors
    /// A bug if it cannot be stored.
    pub fn write(&mut self) -> Result<Write> {
        let condition = match self.rev {
            0 => Condition::NotExists,
            rev => Condition::Eq("rev", rev.into()),
        };
        self.rev += 1;
        Ok(Write::Put { table: Table::Dispatch, item: self.item()?, condition: Some(condition) })
    }

    /// Where its number is looked for: receipts and Z reports of a lane count apart, and what happens to stock has
    /// no lane.
    fn lane_partition(&self) -> Partition {
        let lane = &self.lane_number.lane;
        if stock_in(&self.order_id).is_some() {
            return self.scope.stock_deliveries(&lane.store_id);
        }
        match shift_in(&self.order_id) {
            None => self.scope.lane_deliveries(&lane.store_id, &lane.register_id, lane.epoch),
            Some(_) => self.scope.lane_shift_deliveries(&lane.store_id, &lane.register_id, lane.epoch),
        }
    }

    fn item(&self) -> Result<Item> {
        let lane = &self.lane_number.lane;
        let item = Item::new(&self.key())
            .with("tenant_id", self.scope.tenant_id())
            .with("destination", HQ)
            .with("order_id", self.order_id.as_str())
            .with("order_version", i64::from(self.order_version))
            .with("order_status", self.order_status.as_str())
            .with("lane", lane.to_string())
            .with("lane_pk", self.lane_partition().value())
            .with("lane_number", i64::try_from(self.lane_number.number).map_err(Error::bug)?)
            .with("occurred_at", self.occurred_at.as_millisecond())
            .with("status", self.status.name())
            .with("status_pk", self.scope.deliveries_by_status(self.status.name()).value())
            .with("status_sk", self.status_sort_key())
            .with("attempts", i64::from(self.attempts))
            .with("own_failures", i64::from(self.refusals))
            .with("suspected_failures", i64::from(self.suspected))
            .with("enqueue_count", i64::from(self.enqueue_count))
            .with("unanswered", i64::from(self.unanswered))
            .with("next_attempt_at", self.next_attempt_at.as_millisecond())
            .with_some("last_attempt_at", self.last_attempt_at.map(Timestamp::as_millisecond))
            .with_some("last_status", self.last_status.map(i64::from))
            .with_some("last_error", self.last_error.as_deref())
            .with("created_at", self.created_at.as_millisecond())
            .with("updated_at", self.updated_at.as_millisecond())
            .with_some("payload", self.payload.as_deref())
            .with("rev", self.rev);
        let item = match &self.discarded {
            Some(discarded) => item.with_json("discarded", discarded)?,
            None => item,
        };
        let item = if self.actions.is_empty() { item } else { item.with_json("actions", &self.actions)? };
        let due = match self.status {
            DeliveryStatus::Pending => keys::due("delivery", spread(&self.key())),
            DeliveryStatus::Waiting => self.scope.waiting_deliveries(HQ),
            _ => return Ok(item),
        };
        Ok(item.with("due_pk", due.value()).with("due_at", self.due_at.as_millisecond()))
    }

    /// Reads a record.
    ///
    /// # Errors
    /// A bug if the item is not a delivery.
    pub fn of(item: &Item) -> Result<Self> {
        let count = |name| u32::try_from(item.opt_number(name).unwrap_or(0)).map_err(Error::bug);
        let status = item.text("status")?;
        Ok(Delivery {
            scope: TenantScope::from_own_record(item.text("tenant_id")?),
            order_id: item.text("order_id")?.to_owned(),
            order_version: count("order_version")?,
            order_status: item.text("order_status")?.to_owned(),
            lane_number: LaneNumber {
                lane: item.text("lane")?.parse().map_err(Error::bug)?,
                number: u64::try_from(item.number("lane_number")?).map_err(Error::bug)?,
            },
            occurred_at: millis(item, "occurred_at")?,
            status: DeliveryStatus::parse(status)
                .ok_or_else(|| Error::Bug(format!("unknown delivery status {status}")))?,
            attempts: count("attempts")?,
            refusals: count("own_failures")?,
            suspected: count("suspected_failures")?,
            enqueue_count: count("enqueue_count")?,
            unanswered: count("unanswered")?,
            next_attempt_at: millis(item, "next_attempt_at")?,
            last_attempt_at: item
                .opt_number("last_attempt_at")
                .map(Timestamp::from_millisecond)
                .transpose()
                .map_err(Error::bug)?,
            last_status: item.opt_number("last_status").map(u16::try_from).transpose().map_err(Error::bug)?,
            last_error: item.opt_text("last_error").map(Into::into),
            created_at: millis(item, "created_at")?,
            updated_at: millis(item, "updated_at")?,
            due_at: Timestamp::from_millisecond(item.opt_number("due_at").unwrap_or(0))
                .map_err(Error::bug)?,
            discarded: item.opt_text("discarded").map(|_| item.json("discarded")).transpose()?,
            actions: match item.opt_text("actions") {
                Some(_) => item.json("actions")?,
                None => Vec::new(),
            },
            payload: item.opt_text("payload").map(Into::into),
            rev: item.number("rev")?,
        })
    }

    /// As people see it.
    pub fn view(&self) -> DeliveryView {
        DeliveryView {
            id: self.id(),
            destination: HQ.to_owned(),
            order_id: self.order_id.clone(),
            order_version: self.order_version,
            receipt_number: self.lane_number.number,
            lane: self.lane_number.lane.to_string(),
            store_id: self.lane_number.lane.store_id.clone(),
            status: self.status,
            attempts: self.attempts,
            refusals: self.refusals,
            suspected_failures: self.suspected,
            last_status: self.last_status,
            last_error: self.last_error.clone(),
            next_attempt_at: (self.status == DeliveryStatus::Pending).then_some(self.next_attempt_at),
            created_at: self.created_at,
            updated_at: self.updated_at,
            discarded: self.discarded.clone(),
        }
    }
}

/// Any number that spreads keys evenly, always the same for a key.
pub(crate) fn spread(key: &Key) -> u64 {
    Sha256::digest(key.pk().as_bytes()).iter().take(8).fold(0, |sum, byte| sum << 8 | u64::from(*byte))
}

/// Reads a delivery as it stands.
///
/// # Errors
/// Where the database is away.
pub async fn load(ports: &Ports, key: Key) -> Result<Option<Delivery>> {
    let get = Get { table: Table::Dispatch, key, consistency: Consistency::Strong };
    ports.database.get(get).await?.as_ref().map(Delivery::of).transpose()
}

/// One attempt, to be written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Attempt {
    /// When it began.
    pub at: Timestamp,
    /// How long it took, in milliseconds.
    pub duration_ms: i64,
    /// How it ended.
    pub outcome: AttemptOutcome,
    /// HTTP status, if there was an answer.
    pub status: Option<u16>,
    /// What went wrong.
    pub error: Option<String>,
    /// Tells this attempt's own write from another's.
    pub nonce: i64,
}

impl Attempt {
    /// The write of this attempt as the delivery's `number`-th.
    pub fn write(&self, scope: &TenantScope, delivery_id: &str, number: u32) -> Write {
        let item = Item::new(&scope.delivery_attempt(delivery_id, number))
            .with("tenant_id", scope.tenant_id())
            .with("delivery_id", delivery_id)
            .with("attempt", i64::from(number))
            .with("at", self.at.as_millisecond())
            .with("duration_ms", self.duration_ms)
            .with("outcome", self.outcome.name())
            .with_some("status", self.status.map(i64::from))
            .with_some("error", self.error.as_deref())
            .with("nonce", self.nonce);
        Write::Put { table: Table::Dispatch, item, condition: Some(Condition::NotExists) }
    }
}

/// Reads an attempt's item as people see it.
///
/// # Errors
/// A bug if it is not one.
pub fn attempt_view(item: &Item) -> Result<AttemptView> {
    let outcome = item.text("outcome")?;
    Ok(AttemptView {
        attempt: u32::try_from(item.number("attempt")?).map_err(Error::bug)?,
        at: millis(item, "at")?,
        duration_ms: item.number("duration_ms")?,
        outcome: AttemptOutcome::parse(outcome)
            .ok_or_else(|| Error::Bug(format!("unknown attempt outcome {outcome}")))?,
        status: item.opt_number("status").map(u16::try_from).transpose().map_err(Error::bug)?,
        error: item.opt_text("error").map(Into::into),
    })
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use tillstream_domain::lane::Lane;

    use super::*;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    /// One that was tried, suspected, and woken in vain.
    fn in_trouble(order_id: &str) -> Delivery {
        Delivery {
            scope: TenantScope::from_own_record("demo"),
            order_id: order_id.to_owned(),
            order_version: 1,
            order_status: "completed".to_owned(),
            lane_number: LaneNumber { lane: Lane::new("s-1", "r-1"), number: 1 },
            occurred_at: at(0),
            status: DeliveryStatus::Pending,
            attempts: 7,
            refusals: 3,
            suspected: 4,
            enqueue_count: 9,
            unanswered: 5,
            next_attempt_at: at(500),
            last_attempt_at: Some(at(50)),
            last_status: Some(500),
            last_error: None,
            created_at: at(0),
            updated_at: at(50),
            due_at: at(600),
            discarded: None,
            actions: Vec::new(),
            payload: None,
            rev: 3,
        }
    }

    /// How long after `now` a wake-up of it would count as lost.
    fn patience(delivery: &Delivery) -> i64 {
        delivery.woken(at(1_000)).due_at.duration_since(at(1_000)).as_secs()
    }

    #[test]
    fn a_wake_up_counts_as_lost_ever_later_until_something_is_heard() {
        let mut delivery = Delivery { unanswered: 0, ..in_trouble("o") };
        for seconds in [120, 240, 480, 960, 1_920, 3_600, 3_600] {
            assert_eq!(patience(&delivery), seconds);
            delivery = delivery.woken(at(1_000));
        }
        let heard = [delivery.waiting(at(1_000)), delivery.deferred(at(1_000), at(1_001), OVERDUE_AFTER)];
        assert!(heard.iter().all(|delivery| patience(delivery) == 120));
        assert_eq!(delivery.waiting(at(1_000)).due_at, at(1_000), "since when it waits");
    }

    #[test]
    fn only_what_is_pending_has_a_next_attempt() {
        for (status, next) in [
            (DeliveryStatus::Pending, Some(at(500))),
            (DeliveryStatus::Waiting, None),
            (DeliveryStatus::Delivered, None),
            (DeliveryStatus::Dead, None),
            (DeliveryStatus::Discarded, None),
        ] {
            let view = Delivery { status, ..in_trouble("o") }.view();
            assert_eq!((view.status, view.next_attempt_at), (status, next));
        }
    }

    #[test]
    fn a_replay_forgets_what_was_counted_and_is_due_at_once() {
        let dead = Delivery { status: DeliveryStatus::Dead, ..in_trouble("o") };
        let next = dead.replayed(at(1_000), Action::new("k", &["replay"]));
        assert_eq!((next.status, next.refusals, next.suspected), (DeliveryStatus::Pending, 0, 0));
        assert_eq!((next.next_attempt_at, next.last_attempt_at, next.unanswered), (at(1_000), None, 0));
        assert_eq!((next.updated_at, next.created_at), (at(1_000), at(0)));
        assert_eq!((next.attempts, next.enqueue_count), (7, 10), "these go on: numbers of what is written");
    }

    #[test]
    fn the_last_hundred_actions_are_known_again() {
        let mut delivery = in_trouble("o");
        let action = |n: usize| Action::new(&n.to_string(), &["replay"]);
        for n in 0..=ACTIONS_MAX {
            delivery = delivery.replayed(at(1_000), action(n));
        }
        let seen = |n| delivery.seen(&action(n));
        assert_eq!((seen(0), seen(1), seen(ACTIONS_MAX)), (Seen::Never, Seen::Same, Seen::Same));
    }

    /// Each shard of the due index is read in bounded steps, so that all must have their part.
    #[test]
    fn what_is_due_is_spread_over_all_shards() {
        let shards: BTreeSet<u64> =
            (0..50).map(|n| spread(&in_trouble(&format!("o-{n}")).key()) % keys::DUE_SHARDS).collect();
        assert_eq!(shards.len(), usize::try_from(keys::DUE_SHARDS).unwrap());
    }
}
