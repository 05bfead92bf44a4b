//! Acting on wake-ups: sending to HQ what the delivery records say, and writing down what came of it.
//!
//! Killed between any two steps it loses nothing: the record is written after HQ answered, so at worst
//! HQ is asked again with the same idempotency key. What it leaves undone comes back by the queue, and
//! if not by the queue then by the sweeper.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt;
use futures::stream::FuturesUnordered;
use jiff::Timestamp;
use sha2::{Digest, Sha256};
use tillstream_contracts::dispatch::{AttemptOutcome, DeliveryStatus};
use tillstream_domain::breaker::{Admission, Breaker, BreakerRules, Phase};

use crate::database::{Cancellation, Consistency, DatabaseError, Get, Table};
use crate::dispatch::delivery::{Attempt, Delivery, OVERDUE_AFTER, delivery_id, later, load};
use crate::dispatch::message::{Unsendable, read_message};
use crate::dispatch::signature::SigningSecret;
use crate::dispatch::transport::{HqRequest, HqTransport, TIMEOUT, Verdict, judge};
use crate::dispatch::wake_up::{Subject, parse};
use crate::dispatch::{breaker_record, sweeper};
use crate::environment::backoff;
use crate::error::{Error, Result};
use crate::ports::{Ports, WakeUpQueue};
use crate::tenancy::TenantScope;

/// Wait where something of our own is away: the queue counts receipts, and hurry would help nobody.
const AFTER_ERROR: Duration = Duration::from_secs(30);

/// How many times something is tried, and how long apart.
#[derive(Debug, Clone, Copy)]
pub struct Policy {
    /// A message that was refused so often is a dead letter.
    pub refusals_max: u32,
    /// A message that HQ failed on so often while it was well to others is a dead letter.
    pub suspected_max: u32,
    /// Wait after the first failure; doubles, with full jitter.
    pub backoff: Duration,
    /// Longest wait.
    pub backoff_max: Duration,
    /// Waits up to this long are the queue's, since it is exact; longer ones the sweeper's, since the
    /// queue counts receipts and moves a message aside that was received too often.
    pub queue_wait_max: Duration,
    /// No wake-up of a batch is begun after this time: with the longest attempt behind it, a batch must be
    /// over before the function's timeout, which the template sets.
    pub batch_time: Duration,
    /// How many waiting deliveries a probe that succeeded wakes at once; the rest is the sweeper's.
    pub woken_by_probe: usize,
    /// When the breaker opens.
    pub breaker: BreakerRules,
}

impl Default for Policy {
    fn default() -> Self {
        Policy {
            refusals_max: 5,
            suspected_max: 12,
            backoff: Duration::from_secs(1),
            backoff_max: Duration::from_secs(300),
            queue_wait_max: Duration::from_secs(60),
            batch_time: Duration::from_secs(10),
            woken_by_probe: 20,
            breaker: BreakerRules::default(),
        }
    }
}

/// A message as the queue gave it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Received {
    /// Its group.
    pub group: String,
    /// What it is postponed by.
    pub receipt: String,
    /// Its body.
    pub body: String,
}

/// What becomes of a message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fate {
    /// It has done its work.
    Done,
    /// It comes back.
    Again(String),
    /// It is none of ours, or older than our records: to be parked, whole.
    Stray(&'static str),
}

/// What follows from a look at a delivery.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Next {
    /// The wake-up has done its work.
    Done,
    /// It comes back after this time.
    Again(Duration),
    /// It is about nothing that we know.
    Stray(&'static str),
}

/// Sends to HQ. Cheap to clone.
#[derive(Clone)]
pub struct Dispatcher {
    /// Tables, time and chance.
    pub ports: Ports,
    /// Where wake-ups come from.
    pub queue: Arc<dyn WakeUpQueue>,
    /// HQ.
    pub transport: Arc<dyn HqTransport>,
    /// What messages are signed with.
    pub secret: SigningSecret,
    /// How often and when.
    pub policy: Policy,
}

impl Dispatcher {
    /// Acts on a batch; answers what becomes of each message, by position. Groups go side by side, so
    /// that one that hangs delays no other; within a group in order, and after one that comes back none
    /// is begun.
    pub async fn handle_batch(&self, messages: &[Received]) -> Vec<Fate> {
        let begun = self.ports.environment.now();
        let mut groups = BTreeMap::<&str, Vec<(usize, &Received)>>::new();
        for (position, message) in messages.iter().enumerate() {
            groups.entry(&message.group).or_default().push((position, message));
        }
        let groups: FuturesUnordered<_> =
            groups.into_values().map(|group| self.handle_group(begun, group)).collect();
        let mut fates: Vec<(usize, Fate)> = groups.collect::<Vec<_>>().await.into_iter().flatten().collect();
        fates.sort_by_key(|(position, _)| *position);
        fates.into_iter().map(|(_, fate)| fate).collect()
    }

    async fn handle_group(&self, begun: Timestamp, group: Vec<(usize, &Received)>) -> Vec<(usize, Fate)> {
        let mut fates = Vec::with_capacity(group.len());
        let mut stopped: Option<(Duration, String)> = None;
        for (position, message) in group {
            if stopped.is_none() && self.since(begun) >= self.policy.batch_time {
                stopped = Some((Duration::ZERO, "the batch's time is over".to_owned()));
            }
            if stopped.is_none() {
                match self.handle(&message.body).await {
                    Ok(Next::Done) => {
                        fates.push((position, Fate::Done));
                        continue;
                    }
                    Ok(Next::Stray(why)) => {
                        fates.push((position, Fate::Stray(why)));
                        continue;
                    }
                    Ok(Next::Again(wait)) => stopped = Some((wait, "not delivered yet".to_owned())),
                    Err(error) => stopped = Some((AFTER_ERROR, error.to_string())),
                }
            }
            // Those behind wait as long: left alone they would keep the group shut until the queue's own
            // time is over.
            let (wait, why) = stopped.clone().unwrap_or_default();
            if let Err(error) = self.queue.postpone(&message.receipt, wait).await {
                tracing::warn!(%error, "wake-up not postponed; it comes back when the queue likes");
            }
            fates.push((position, Fate::Again(why)));
        }
        fates
    }

    fn since(&self, begun: Timestamp) -> Duration {
        self.ports.environment.now().duration_since(begun).try_into().unwrap_or(Duration::ZERO)
    }

    async fn handle(&self, body: &str) -> Result<Next> {
        let Some(subject) = parse(body) else {
            return Ok(Next::Stray("not a wake-up"));
        };
        // A lost race begins again from what is there now.
        for attempt in 1..=8 {
            if let Some(next) = self.step(&subject).await? {
                return Ok(next);
            }
            self.pause(attempt).await;
        }
        Ok(Next::Again(self.policy.backoff))
    }

    /// One look at the record and what follows from it; `None` where a race was lost.
    async fn step(&self, subject: &Subject) -> Result<Option<Next>> {
        let id = delivery_id(&subject.order_id, subject.order_version);
        let Some(delivery) = load(&self.ports, subject.scope.delivery(&id)).await? else {
            // The record comes first, always; a wake-up without one is from before a restore.
            return Ok(Some(Next::Stray("there is no such delivery")));
        };
        if delivery.status != DeliveryStatus::Pending {
            return Ok(Some(Next::Done));
        }
        let now = self.ports.environment.now();
        if delivery.next_attempt_at > now {
            return Ok(Some(self.until(now, delivery.next_attempt_at)));
        }
        if let Some(until) = self.blocked_by_earlier(&delivery, now).await? {
            // The sweeper's, however short: its wake-up may stand in front of the earlier one's in the order's
            // group, and what comes back lets nothing behind it pass.
            let stored = self.store(&mut delivery.deferred(now, until, Duration::ZERO)).await?;
            return Ok(stored.then_some(Next::Done));
        }
        let message = read_message(&self.ports, &delivery).await?;
        let message = match message {
            Ok(message) => message,
            Err(unsendable) => return self.unsendable(&delivery, now, &unsendable).await.map(Some),
        };
        let body = serde_json::to_vec(&message).map_err(Error::bug)?;
        let request = self.request(&delivery, now, body)?;
        let rules = &self.policy.breaker;
        let (admission, breaker) =
            breaker_record::admit(&self.ports, &delivery.scope, rules, now, &id).await?;
        if let Admission::Wait { .. } = admission {
            return Ok(self.store(&mut delivery.waiting(now)).await?.then_some(Next::Done));
        }
        self.send(delivery, breaker, request).await.map(Some)
    }

    /// A version of an order waits for the one before it.
    async fn blocked_by_earlier(&self, delivery: &Delivery, now: Timestamp) -> Result<Option<Timestamp>> {
        let Some(version) = delivery.order_version.checked_sub(1).filter(|version| *version > 0) else {
            return Ok(None);
        };
        let key = delivery.scope.delivery(&delivery_id(&delivery.order_id, version));
        let earlier = load(&self.ports, key).await?;
        Ok(earlier.filter(Delivery::is_open).map(|earlier| match earlier.status {
            DeliveryStatus::Waiting => later(now, self.policy.backoff_max),
            _ => earlier.next_attempt_at.max(later(now, self.policy.backoff)),
        }))
    }

    /// Who waits until then: short waits are the queue's, long ones the sweeper's.
    fn until(&self, now: Timestamp, until: Timestamp) -> Next {
        let wait = Duration::try_from(until.duration_since(now)).unwrap_or(Duration::ZERO);
        if wait <= self.policy.queue_wait_max { Next::Again(wait) } else { Next::Done }
    }

    fn request(&self, delivery: &Delivery, now: Timestamp, body: Vec<u8>) -> Result<HqRequest> {
        let key = format!("{}/{}", delivery.scope.tenant_id(), delivery.id());
        // Without full stops, which separate what is signed.
        let digest = Sha256::digest(key.as_bytes());
        let id: String = digest.iter().take(16).map(|byte| format!("{byte:02x}")).collect();
        let id = format!("msg_{id}");
        let signature = self.secret.sign(&id, now, &body).map_err(Error::bug)?;
        Ok(HqRequest {
            headers: vec![
                ("webhook-id", id),
                ("webhook-timestamp", now.as_second().to_string()),
                ("webhook-signature", signature),
                ("idempotency-key", key),
            ],
            body,
            timeout: TIMEOUT,
        })
    }

    async fn send(&self, delivery: Delivery, breaker: Breaker, request: HqRequest) -> Result<Next> {
        let id = delivery.id();
        let begun = self.ports.environment.now();
        let answer = self.transport.post(request).await;
        let ended = self.ports.environment.now();
        let verdict = judge(&answer);
        let (outcome, error, retry_after) = match &verdict {
            Verdict::Accepted => (AttemptOutcome::Delivered, None, None),
            Verdict::MessageAtFault(error) => (AttemptOutcome::Refused, Some(error.clone()), None),
            Verdict::HqAtFault { error, retry_after } => {
                let outcome = if is_suspect(&delivery, &breaker) {
                    AttemptOutcome::Suspected
                } else {
                    AttemptOutcome::Failed
                };
                (outcome, Some(error.clone()), *retry_after)
            }
        };
        let attempt = Attempt {
            at: begun,
            duration_ms: ended.as_millisecond().saturating_sub(begun.as_millisecond()),
            outcome,
            status: answer.ok().map(|answer| answer.status),
            error,
            nonce: i64::from_ne_bytes(self.ports.environment.random().to_ne_bytes()),
        };
        // The breaker first: it concerns all, and the lease of a probe should not have to run out.
        let scope = delivery.scope.clone();
        if let Err(error) = self.tell_breaker(&scope, &id, &verdict, ended).await {
            tracing::warn!(%error, "breaker not updated");
        }
        let next = self.record(delivery, &attempt, retry_after).await?;
        tracing::info!(
            tenant_id = scope.tenant_id(),
            delivery_id = id,
            outcome = outcome.name(),
            status = attempt.status,
            duration_ms = attempt.duration_ms,
            delivery_status = next.status.name(),
            "dispatch attempt"
        );
        Ok(self.after(&next))
    }

    fn after(&self, delivery: &Delivery) -> Next {
        match delivery.status {
            DeliveryStatus::Pending => self.until(self.ports.environment.now(), delivery.next_attempt_at),
            _ => Next::Done,
        }
    }

    /// The message cannot be made: its own fault, and no business of the breaker's.
    async fn unsendable(&self, delivery: &Delivery, now: Timestamp, why: &Unsendable) -> Result<Next> {
        let attempt = Attempt {
            at: now,
            duration_ms: 0,
            outcome: AttemptOutcome::Refused,
            status: None,
            error: Some(why.to_string()),
            nonce: i64::from_ne_bytes(self.ports.environment.random().to_ne_bytes()),
        };
        Ok(self.after(&self.record(delivery.clone(), &attempt, None).await?))
    }

    async fn tell_breaker(
        &self,
        scope: &TenantScope,
        delivery_id: &str,
        verdict: &Verdict,
        at: Timestamp,
    ) -> Result<()> {
        let (rules, now) = (self.policy.breaker, at.as_millisecond());
        let (before, after) = breaker_record::change(&self.ports, scope, |breaker| match verdict {
            Verdict::Accepted => breaker.succeeded(now),
            Verdict::MessageAtFault(_) => breaker.answered(now),
            Verdict::HqAtFault { .. } => breaker.failed(&rules, now, delivery_id),
        })
        .await?;
        let was_open = !matches!(before.phase, Phase::Closed { .. });
        let is_open = !matches!(after.phase, Phase::Closed { .. });
        if was_open != is_open {
            tracing::warn!(tenant_id = scope.tenant_id(), open = is_open, "breaker to HQ");
        }
        if was_open && !is_open {
            let most = self.policy.woken_by_probe;
            sweeper::wake_waiting(&self.ports, self.queue.as_ref(), scope, most, at).await?;
        }
        Ok(())
    }

    /// Writes the attempt and what follows from it, in one transaction.
    async fn record(
        &self,
        mut delivery: Delivery,
        attempt: &Attempt,
        retry_after: Option<Duration>,
    ) -> Result<Delivery> {
        for round in 1..=8 {
            let mut next = self.after_attempt(&delivery, attempt, retry_after);
            let number = next.attempts;
            let writes = vec![next.write()?, attempt.write(&delivery.scope, &delivery.id(), number)];
            match self.ports.database.transact(writes).await {
                Ok(()) => return Ok(next),
                Err(DatabaseError::Cancelled(reasons))
                    if reasons.iter().any(|r| matches!(r, Cancellation::ConditionFailed(_))) => {}
                Err(error) if error.is_transient() => {}
                Err(error) => return Err(error.into()),
            }
            self.pause(round).await;
            let Some(fresh) = load(&self.ports, delivery.key()).await? else {
                return Err(Error::Bug(format!("delivery {} is gone", delivery.id())));
            };
            if fresh.rev != delivery.rev && self.is_own(&delivery, number, attempt).await? {
                return Ok(fresh);
            }
            delivery = fresh;
        }
        Err(Error::Conflict(format!("delivery {} changed too often", delivery.id())))
    }

    /// Whether the attempt stored under `number` is this one: a write whose answer was lost.
    async fn is_own(&self, delivery: &Delivery, number: u32, attempt: &Attempt) -> Result<bool> {
        let get = Get {
            table: Table::Dispatch,
            key: delivery.scope.delivery_attempt(&delivery.id(), number),
            consistency: Consistency::Strong,
        };
        let stored = self.ports.database.get(get).await?;
        Ok(stored.and_then(|item| item.opt_number("nonce")) == Some(attempt.nonce))
    }

    /// The record after an attempt.
    fn after_attempt(&self, before: &Delivery, attempt: &Attempt, retry_after: Option<Duration>) -> Delivery {
        let policy = &self.policy;
        let now = self.ports.environment.now();
        let mut next = Delivery {
            attempts: before.attempts.saturating_add(1),
            last_attempt_at: Some(attempt.at),
            last_status: attempt.status,
            last_error: attempt.error.clone(),
            unanswered: 0,
            updated_at: now,
            ..before.clone()
        };
        match attempt.outcome {
            AttemptOutcome::Delivered => {
                next.status = DeliveryStatus::Delivered;
                return next;
            }
            // Somebody else brought it to an end meanwhile, or keeps it back: it is only logged.
            _ if before.status != DeliveryStatus::Pending => return next,
            AttemptOutcome::Refused => next.refusals = next.refusals.saturating_add(1),
            AttemptOutcome::Suspected => next.suspected = next.suspected.saturating_add(1),
            AttemptOutcome::Failed => {}
        }
        if next.refusals >= policy.refusals_max || next.suspected >= policy.suspected_max {
            next.status = DeliveryStatus::Dead;
            return next;
        }
        let wait =
            backoff(self.ports.environment.as_ref(), next.attempts, policy.backoff, policy.backoff_max)
                .max(retry_after.unwrap_or_default().min(policy.backoff_max));
        let until = later(now, wait);
        let slack = if self.until(now, until) == Next::Done { Duration::ZERO } else { OVERDUE_AFTER };
        next.deferred(now, until, slack)
    }

    async fn store(&self, next: &mut Delivery) -> Result<bool> {
        match self.ports.database.write(next.write()?).await {
            Ok(()) => Ok(true),
            Err(DatabaseError::ConditionFailed(_) | DatabaseError::Conflict(_)) => Ok(false),
            Err(error) => Err(error.into()),
        }
    }

    async fn pause(&self, attempt: u32) {
        let environment = self.ports.environment.as_ref();
        let wait = backoff(environment, attempt, Duration::from_millis(20), Duration::from_secs(1));
        environment.sleep(wait).await;
    }
}

/// Whether a failure of HQ's points at the message: HQ was well, by its last answer to any other, and
/// accepted another since this one was tried before. In an outage neither holds, so that an outage makes
/// no dead letters.
fn is_suspect(delivery: &Delivery, breaker: &Breaker) -> bool {
    let tried_before = delivery.last_attempt_at.map(Timestamp::as_millisecond);
    breaker.is_well_but_for(&delivery.id())
        && matches!((tried_before, breaker.last_success_at), (Some(tried), Some(success)) if success > tried)
}
