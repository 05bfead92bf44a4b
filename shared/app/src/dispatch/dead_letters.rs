//! What people do to dead letters: replay one or many, or give one up with a reason.
//!
//! A replay makes the record pending again and wakes it. The idempotency key is kept in the record
//! itself, in the write that does it.

use std::time::Duration;

use futures::StreamExt;
use serde::{Deserialize, Serialize};
use tillstream_contracts::dispatch::{
    DeliveryStatus, DeliveryView, DiscardRequest, DiscardView, REASON_CHARS_MAX, REPLAY_MAX, ReplayManyReply,
    ReplayManyRequest,
};

use crate::cursor::PagedQuery;
use crate::database::{Change, Condition, Consistency, DatabaseError, Get, Item, Key, Table, Write};
use crate::dispatch::delivery::{Action, Delivery, Seen};
use crate::dispatch::listing::{SCAN_MAX, Selection, StatusPage, find, no_dead_letter, of_order};
use crate::dispatch::wake_up::wake_up;
use crate::environment::backoff;
use crate::error::{Error, Refusal, RefusalKind, Result};
use crate::fields;
use crate::ports::{Ports, WakeUpQueue};
use crate::pos::identity::reused_key;
use crate::tenancy::{Caller, Role};

/// Roles that may act, beside the operator.
pub const ACTORS: [Role; 1] = [Role::Integration];

/// Dead letters that one replay of many takes where it is not said.
const REPLAY_DEFAULT: u32 = 100;

/// How long the record of a replay of many is kept, in seconds: idempotency keys live 30 days.
const REPLAY_RECORD_SECONDS: i64 = 35 * 86_400;

/// How often a lost race is run again.
const TRIES: u32 = 8;

/// Records changed at once.
const AT_ONCE: usize = 16;

/// What was done, and whether it had been done before with this key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Done<T> {
    /// The answer.
    pub reply: T,
    /// Whether this request only repeats one that took effect.
    pub replayed: bool,
}

/// Tries a dead letter anew.
///
/// # Errors
/// 403 `role_required`; 404 `dead_letter_not_found`; 422 `idempotency_key_reused`; [`Error::Conflict`]
/// when too many races were lost.
pub async fn replay(
    ports: &Ports,
    queue: &dyn WakeUpQueue,
    caller: &Caller,
    id: &str,
    key: &str,
) -> Result<Done<DeliveryView>> {
    caller.require_role(&ACTORS)?;
    let action = Action::new(key, &["replay"]);
    let (delivery, replayed) = act(ports, caller, id, &action, |delivery| {
        let now = ports.environment.now();
        delivery.replayed(now, action.clone())
    })
    .await?;
    wake_all(queue, std::slice::from_ref(&delivery)).await;
    Ok(Done { reply: delivery.view(), replayed })
}

/// Gives a dead letter up.
///
/// # Errors
/// 403 `role_required`; 404 `dead_letter_not_found`; 422 `reason_missing`, `text_too_long`,
/// `text_malformed`, `card_number_refused`, `idempotency_key_reused`; [`Error::Conflict`] when too many
/// races were lost.
pub async fn discard(
    ports: &Ports,
    caller: &Caller,
    id: &str,
    key: &str,
    request: &DiscardRequest,
) -> Result<Done<DeliveryView>> {
    caller.require_role(&ACTORS)?;
    let reason = request.reason.trim();
    if reason.is_empty() {
        return Err(Refusal::field("reason", "reason_missing", "say why it is given up").into());
    }
    fields::text("reason", reason, REASON_CHARS_MAX)?;
    let action = Action::new(key, &["discard", reason]);
    let (delivery, replayed) = act(ports, caller, id, &action, |delivery| {
        let discard = DiscardView { reason: reason.to_owned(), by: caller.subject.clone() };
        delivery.discarded(ports.environment.now(), discard, action.clone())
    })
    .await?;
    Ok(Done { reply: delivery.view(), replayed })
}

/// Does something to a dead letter once; answers it as it is then, and whether that was before.
async fn act(
    ports: &Ports,
    caller: &Caller,
    id: &str,
    action: &Action,
    change: impl Fn(&Delivery) -> Delivery,
) -> Result<(Delivery, bool)> {
    let mut tried = false;
    for attempt in 1..=TRIES {
        let found = find(ports, caller, id).await?;
        let Some(delivery) = found else {
            return Err(no_dead_letter(id, None).into());
        };
        match delivery.seen(action) {
            // After a try of this very request it may be its own write, whose answer was lost.
            Seen::Same => return Ok((delivery, !tried)),
            Seen::Reused => return Err(reused_key().into()),
            Seen::Never if delivery.status != DeliveryStatus::Dead => {
                return Err(no_dead_letter(id, Some(&delivery)).into());
            }
            Seen::Never => {}
        }
        let mut next = change(&delivery);
        match ports.database.write(next.write()?).await {
            Ok(()) => return Ok((next, false)),
            Err(DatabaseError::ConditionFailed(_)) => {}
            Err(error) if error.is_transient() => {}
            Err(error) => return Err(error.into()),
        }
        tried = true;
        pause(ports, attempt).await;
    }
    Err(Error::Conflict(format!("delivery {id} changed too often")))
}

/// Wakes those that are to be sent. A wake-up that cannot be sent becomes overdue, and the sweeper
/// sends it; one that was sent before with the same count the queue drops.
async fn wake_all(queue: &dyn WakeUpQueue, deliveries: &[Delivery]) {
    let pending = deliveries.iter().filter(|delivery| delivery.status == DeliveryStatus::Pending);
    let result = match pending.map(wake_up).collect::<Result<Vec<_>>>() {
        Ok(wake_ups) if wake_ups.is_empty() => return,
        Ok(wake_ups) => queue.send(&wake_ups).await.map(|_| ()),
        Err(error) => Err(error),
    };
    if let Err(error) = result {
        tracing::warn!(%error, "replayed deliveries are left to the sweeper");
    }
}

async fn pause(ports: &Ports, attempt: u32) {
    let environment = ports.environment.as_ref();
    let wait = backoff(environment, attempt, Duration::from_millis(20), Duration::from_secs(1));
    environment.sleep(wait).await;
}

/// What one replay of many took on, written before anything is replayed: a repetition of the request
/// finishes the same work and answers the same.
#[derive(Serialize, Deserialize)]
struct Plan {
    ids: Vec<String>,
    next: Option<String>,
}

/// Replays all dead letters that match, oldest first, a bounded number; the reply says where to go on.
/// Letters that die after the first call are not taken, so that going on comes to an end.
///
/// # Errors
/// 400 `cursor_malformed`; 403 `role_required`; 422 `limit_out_of_range`, `destination_unknown`,
/// `id_malformed`, `idempotency_key_reused`.
pub async fn replay_many(
    ports: &Ports,
    queue: &dyn WakeUpQueue,
    caller: &Caller,
    key: &str,
    request: &ReplayManyRequest,
) -> Result<Done<ReplayManyReply>> {
    caller.require_role(&ACTORS)?;
    let limit = match request.limit {
        None => REPLAY_DEFAULT,
        Some(limit @ 1..=REPLAY_MAX) => limit,
        Some(_) => {
            let message = format!("limit goes from 1 to {REPLAY_MAX}");
            return Err(Refusal::field("limit", "limit_out_of_range", message).into());
        }
    };
    let selection = Selection {
        destination: request.destination.as_deref(),
        order_id: request.order_id.as_deref(),
        store_id: request.store_id.as_deref(),
    };
    selection.check()?;
    let query = PagedQuery::new(&caller.scope, "replay-dead-letters", selection.parts());
    let position = request.cursor.as_deref().map(|cursor| query.position(cursor)).transpose()?;
    let [destination, order_id, store_id] = selection.parts();
    let asked = limit.to_string();
    let cursor = request.cursor.as_deref().unwrap_or_default();
    let action = Action::new(key, &[&caller.subject, destination, order_id, store_id, &asked, cursor]);

    let record = caller.scope.replay_of_many(key);
    let (plan, reply) = match read_plan(ports, &record, &action).await? {
        Some(found) => found,
        None => {
            let limit = usize::try_from(limit).map_err(Error::bug)?;
            let plan = make_plan(ports, caller, &selection, position.as_deref(), limit).await?;
            store_plan(ports, &record, &action, &plan).await?
        }
    };
    if let Some(reply) = reply {
        return Ok(Done { reply, replayed: true });
    }
    let each = Action::new(&format!("many {key}"), &["replay"]);
    let results: Vec<Result<Option<Delivery>>> = futures::stream::iter(plan.ids)
        .map(|id| replay_one_of_many(ports, caller, id, &each))
        .buffered(AT_ONCE)
        .collect()
        .await;
    let all = u32::try_from(results.len()).map_err(Error::bug)?;
    let (mut replayed, mut failed) = (Vec::new(), None);
    for result in results {
        match result {
            Ok(delivery) => replayed.extend(delivery),
            Err(error) => failed = Some(error),
        }
    }
    wake_all(queue, &replayed).await;
    if let Some(error) = failed {
        // Repeated with the same key, it goes on with the same letters.
        return Err(error);
    }
    let count = u32::try_from(replayed.len()).map_err(Error::bug)?;
    let reply = ReplayManyReply {
        replayed: count,
        skipped: all.saturating_sub(count),
        next_cursor: plan.next.map(|position| query.cursor(&position)),
    };
    let result = serde_json::to_string(&reply).map_err(Error::bug)?;
    let write = Write::Update {
        table: Table::Dispatch,
        key: record,
        changes: vec![Change::SetIfAbsent("result", result.into())],
        condition: Some(Condition::Exists),
    };
    ports.database.write(write).await?;
    Ok(Done { reply, replayed: false })
}

/// One letter of many; `None` if it is none any more.
async fn replay_one_of_many(
    ports: &Ports,
    caller: &Caller,
    id: String,
    action: &Action,
) -> Result<Option<Delivery>> {
    let change = |delivery: &Delivery| delivery.replayed(ports.environment.now(), action.clone());
    match act(ports, caller, &id, action, change).await {
        Ok((delivery, _)) => Ok(Some(delivery)),
        Err(Error::Rejected(refusal)) if refusal.kind == RefusalKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

async fn read_plan(
    ports: &Ports,
    record: &Key,
    action: &Action,
) -> Result<Option<(Plan, Option<ReplayManyReply>)>> {
    let get = Get { table: Table::Dispatch, key: record.clone(), consistency: Consistency::Strong };
    let Some(item) = ports.database.get(get).await? else { return Ok(None) };
    if item.text("fingerprint")? != action.fingerprint() {
        return Err(reused_key().into());
    }
    let reply = item.opt_text("result").map(|_| item.json("result")).transpose()?;
    Ok(Some((item.json("plan")?, reply)))
}

/// Stores the plan unless there is one; answers the one that stands.
async fn store_plan(
    ports: &Ports,
    record: &Key,
    action: &Action,
    plan: &Plan,
) -> Result<(Plan, Option<ReplayManyReply>)> {
    let expires_at = ports.environment.now().as_second().saturating_add(REPLAY_RECORD_SECONDS);
    let item = Item::new(record)
        .with("kind", "replay_of_many")
        .with("fingerprint", action.fingerprint())
        .with("expires_at", expires_at)
        .with_json("plan", plan)?;
    let write = Write::Put { table: Table::Dispatch, item, condition: Some(Condition::NotExists) };
    match ports.database.write(write).await {
        Ok(()) | Err(DatabaseError::ConditionFailed(_)) => {}
        Err(error) => return Err(error.into()),
    }
    let stored = read_plan(ports, record, action).await?;
    stored.ok_or_else(|| Error::retryable("the replay's record is not there yet"))
}

/// The next letters that match. A position is the time of the first call and the last entry seen.
async fn make_plan(
    ports: &Ports,
    caller: &Caller,
    selection: &Selection<'_>,
    position: Option<&str>,
    limit: usize,
) -> Result<Plan> {
    let wanted =
        |delivery: &Delivery| delivery.status == DeliveryStatus::Dead && selection.takes(delivery, caller);
    if let Some(order_id) = selection.order_id {
        let (found, next) = of_order(ports, &caller.scope, order_id, position, limit).await?;
        return Ok(Plan { ids: found.iter().filter(|d| wanted(d)).map(Delivery::id).collect(), next });
    }
    let now = format!("{:016}#~", ports.environment.now().as_millisecond().max(0));
    let (until, mut after) = match position.and_then(|position| position.split_once('|')) {
        Some((until, after)) => (until.to_owned(), Some(after.to_owned())),
        None => (now, None),
    };
    let (mut ids, mut scanned) = (Vec::new(), 0);
    loop {
        let page =
            StatusPage { status: DeliveryStatus::Dead, ascending: true, until: Some(until.clone()), after };
        let (found, next) = page.read(ports, &caller.scope, limit - ids.len()).await?;
        scanned += found.len().max(1);
        ids.extend(found.iter().filter(|d| wanted(d)).map(Delivery::id));
        after = next;
        if after.is_none() || ids.len() >= limit || scanned >= SCAN_MAX {
            break;
        }
    }
    Ok(Plan { ids, next: after.map(|after| format!("{until}|{after}")) })
}
