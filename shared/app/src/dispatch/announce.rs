//! Announcing a finalised order: first the delivery record, then the wake-up.
//!
//! Called by the relay for each version of an order that became final, and by the re-emission of what
//! the relay lost. Called any number of times for the same version it makes one record.

use std::collections::BTreeMap;
use std::time::Duration;

use futures::StreamExt;
use jiff::Timestamp;
use tillstream_contracts::dispatch::DeliveryStatus;
use tillstream_domain::lane::LaneNumber;

use crate::database::DatabaseError;
use crate::dispatch::delivery::{Delivery, OVERDUE_AFTER, delivery_id, later, load};
use crate::dispatch::wake_up::wake_up;
use crate::environment::backoff;
use crate::error::{Error, Result};
use crate::ports::{Ports, WakeUp, WakeUpQueue};
use crate::tenancy::TenantScope;

/// Orders whose records are made at once.
const AT_ONCE: usize = 16;

/// How often a record's write is tried.
const TRIES: u32 = 4;

/// A version of an order became final.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fact {
    /// Whose order.
    pub scope: TenantScope,
    /// The order.
    pub order_id: String,
    /// Its version, from 1.
    pub order_version: u32,
    /// Where the order stands at this version (`completed`, `placed`, …).
    pub status: String,
    /// Its number on its lane.
    pub lane_number: LaneNumber,
    /// When it happened.
    pub at: Timestamp,
    /// The message itself, as JSON, where nothing else would tell it later.
    pub payload: Option<String>,
}

/// Makes the records of `facts` where there are none, and sends their wake-ups. Answers the positions
/// of the facts for which that did not work: repeat them, others need not be.
///
/// # Errors
/// [`crate::Error::Retryable`] where no wake-up could be sent; repeat all.
pub async fn announce(ports: &Ports, queue: &dyn WakeUpQueue, facts: Vec<Fact>) -> Result<Vec<usize>> {
    let mut orders = BTreeMap::<(String, String), Vec<(usize, Fact)>>::new();
    for (position, fact) in facts.into_iter().enumerate() {
        let order = (fact.scope.tenant_id().to_owned(), fact.order_id.clone());
        orders.entry(order).or_default().push((position, fact));
    }
    let made: Vec<Made> = futures::stream::iter(orders.into_values())
        .map(|facts| make_records(ports, facts))
        .buffer_unordered(AT_ONCE)
        .collect()
        .await;
    let mut failed = Vec::new();
    let (mut positions, mut wake_ups) = (Vec::new(), Vec::new());
    for order in made {
        failed.extend(order.failed);
        for (position, wake_up) in order.wake_ups {
            positions.push(position);
            wake_ups.push(wake_up);
        }
    }
    if !wake_ups.is_empty() {
        let not_sent = queue.send(&wake_ups).await?;
        failed.extend(not_sent.into_iter().filter_map(|at| positions.get(at).copied()));
    }
    failed.sort_unstable();
    Ok(failed)
}

#[derive(Default)]
struct Made {
    wake_ups: Vec<(usize, WakeUp)>,
    failed: Vec<usize>,
}

/// One order's records, in order: where one could not be made, later versions are not announced
/// either, or they would overtake it.
async fn make_records(ports: &Ports, mut facts: Vec<(usize, Fact)>) -> Made {
    facts.sort_by_key(|(position, fact)| (fact.order_version, *position));
    let mut made = Made::default();
    for (position, fact) in facts {
        if !made.failed.is_empty() {
            made.failed.push(position);
            continue;
        }
        match make_record(ports, &fact).await.and_then(|delivery| delivery.as_ref().map(wake_up).transpose())
        {
            Ok(Some(wake_up)) => made.wake_ups.push((position, wake_up)),
            Ok(None) => {}
            Err(error) => {
                tracing::warn!(order_id = fact.order_id, %error, "delivery record not made");
                made.failed.push(position);
            }
        }
    }
    made
}

/// Makes the record; answers it if it is to be woken.
async fn make_record(ports: &Ports, fact: &Fact) -> Result<Option<Delivery>> {
    let now = ports.environment.now();
    let mut delivery = Delivery {
        scope: fact.scope.clone(),
        order_id: fact.order_id.clone(),
        order_version: fact.order_version,
        order_status: fact.status.clone(),
        lane_number: fact.lane_number.clone(),
        occurred_at: fact.at,
        status: DeliveryStatus::Pending,
        attempts: 0,
        refusals: 0,
        suspected: 0,
        enqueue_count: 1,
        unanswered: 0,
        next_attempt_at: now,
        last_attempt_at: None,
        last_status: None,
        last_error: None,
        created_at: now,
        updated_at: now,
        due_at: later(now, OVERDUE_AFTER),
        discarded: None,
        actions: Vec::new(),
        payload: fact.payload.clone(),
        rev: 0,
    };
    let write = delivery.write()?;
    for attempt in 1.. {
        match ports.database.write(write.clone()).await {
            Ok(()) => break,
            // Another announcement made it, or this one whose answer was lost. Its wake-up may never
            // have been sent, so it is sent (again) unless somebody has answered it.
            Err(DatabaseError::ConditionFailed(_)) => {
                let there =
                    load(ports, fact.scope.delivery(&delivery_id(&fact.order_id, fact.order_version)))
                        .await?;
                let Some(there) = there else { return Ok(None) };
                let there = renumbered(ports, fact, there, now).await?;
                return Ok((there.status == DeliveryStatus::Pending).then_some(there));
            }
            Err(error) if error.is_transient() && attempt < TRIES => {
                let wait = backoff(
                    ports.environment.as_ref(),
                    attempt,
                    Duration::from_millis(50),
                    Duration::from_secs(1),
                );
                ports.environment.sleep(wait).await;
            }
            Err(error) => return Err(error.into()),
        }
    }
    Ok(Some(delivery))
}

/// The record, under the number that the order has now. A cart that a restore from backup brought back open
/// may become final once more, in a later epoch; HQ was told of it under the number that was lost, and is not
/// told of it twice. The record goes by the number that stands, or that would count as never told.
///
/// # Errors
/// [`Error::Retryable`] where the record changed meanwhile.
async fn renumbered(ports: &Ports, fact: &Fact, there: Delivery, now: Timestamp) -> Result<Delivery> {
    let (known, stands) = (&there.lane_number, &fact.lane_number);
    if known.lane.epoch >= stands.lane.epoch {
        return Ok(there);
    }
    tracing::warn!(
        order_id = fact.order_id, order_version = fact.order_version, told_as = %known, stands_as = %stands,
        told_status = there.order_status, status = fact.status,
        "a restored order became final again; HQ was told of it before"
    );
    let mut next = Delivery { lane_number: stands.clone(), updated_at: now, ..there };
    match ports.database.write(next.write()?).await {
        Ok(()) => Ok(next),
        Err(DatabaseError::ConditionFailed(_)) => {
            Err(Error::retryable("the delivery changed while its number was set"))
        }
        Err(error) => Err(error.into()),
    }
}
