//! Saying how an exception was settled.

use serde::{Deserialize, Serialize};
use tillstream_contracts::inventory::{ResolveExceptionRequest, StockException};
use tillstream_domain::identifier::check_id;

use super::read::{is_open, shown_exception};
use crate::database::{Change, Condition, Consistency, DatabaseError, Get, Item, Table, Write};
use crate::error::{Error, Refusal, Result};
use crate::fields::{TEXT_CHARS_MAX, text};
use crate::ports::Ports;
use crate::stock::attempts::Attempts;
use crate::stock::request_identity::{self, fingerprint, is_replay, key_reused, request_number};
use crate::stock::update::REASON_CHARS_MAX;
use crate::tenancy::Caller;

/// Attribute of an exception that opened anew: the keys by which it was resolved before.
pub(in crate::stock) const KEYS_USED: &str = "resolved_with";
/// Keys of so many resolutions are known again.
const KEYS_USED_MAX: usize = 20;

/// A key by which an exception was resolved or corrected, before it opened anew.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct UsedKey {
    key: String,
    fingerprint: String,
}

fn keys_used(item: &Item) -> Result<Vec<UsedKey>> {
    item.opt_text(KEYS_USED).map_or_else(|| Ok(Vec::new()), |_| item.json(KEYS_USED))
}

/// What is to stand in [`KEYS_USED`] of an exception that opens anew, or is resolved anew: a key that resolved or
/// corrected it once must never do so with what came after. `None`: what stands there stays.
///
/// # Errors
/// A bug if the item is malformed.
pub(in crate::stock) fn keys_used_from_now(item: &Item) -> Result<Option<String>> {
    let settled = [("resolve_key", "resolve_fingerprint"), ("correct_key", "correct_fingerprint")];
    let by: Vec<UsedKey> = settled
        .into_iter()
        .filter_map(|(key, fingerprint)| Some((item.opt_text(key)?, item.opt_text(fingerprint)?)))
        .map(|(key, fingerprint)| UsedKey { key: key.to_owned(), fingerprint: fingerprint.to_owned() })
        .collect();
    if by.is_empty() {
        return Ok(None);
    }
    let mut used = keys_used(item)?;
    used.extend(by);
    let kept = used.get(used.len().saturating_sub(KEYS_USED_MAX)..).unwrap_or_default();
    serde_json::to_string(kept).map(Some).map_err(Error::bug)
}

/// Refuses a key by which an exception was settled before it opened anew.
///
/// # Errors
/// 409 `exception_reopened`; 422 `idempotency_key_reused`; a bug if the item is malformed.
pub(in crate::stock) fn check_not_used_before(item: &Item, own: &str, fingerprint: &str) -> Result<()> {
    match keys_used(item)?.iter().find(|used| used.key == own) {
        None => Ok(()),
        Some(used) if used.fingerprint == fingerprint => Err(reopened()),
        Some(_) => Err(key_reused()),
    }
}

/// 409: what a key resolved is there again.
fn reopened() -> Error {
    let detail = "this request resolved the exception, which opened again since; look at it as it is now, and resolve \
                  that with a new idempotency key";
    Refusal::conflict("exception_reopened", detail).into()
}

/// What resolving answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Resolved {
    /// The exception as it is now.
    pub exception: StockException,
    /// Whether it took effect before, and this is its answer again.
    pub replayed: bool,
}

/// `POST /v1/inventory/exceptions/{id}/resolve`: says how an exception was settled, once. It moves no stock:
/// a count does. The exception itself remembers the idempotency key, also once it opened anew.
///
/// # Errors
/// 403 `store_out_of_reach`; 404 `exception_not_found`; 409 `exception_resolved`, `exception_reopened` where this very
/// request resolved it and it opened again since; 422 `reason_invalid`, `text_too_long`, `text_malformed`, `card_number_refused`, `idempotency_key_reused`.
pub async fn resolve(
    ports: &Ports,
    caller: &Caller,
    idempotency_key: &str,
    id: &str,
    request: &ResolveExceptionRequest,
) -> Result<Resolved> {
    let now = ports.environment.now();
    if request.reason.trim().is_empty() || request.reason.chars().count() > REASON_CHARS_MAX {
        let message = format!("a reason is 1 to {REASON_CHARS_MAX} characters that say how it was settled");
        return Err(Refusal::field("reason", "reason_invalid", message).into());
    }
    text("reason", &request.reason, REASON_CHARS_MAX)?;
    if let Some(note) = &request.note {
        text("note", note, TEXT_CHARS_MAX)?;
    }
    let missing = || Refusal::not_found("exception_not_found", "there is no such exception");
    check_id(id).map_err(|_| missing())?;
    let key = caller.scope.stock_exception(id);
    let own = request_identity::derived_id(caller, "resolve", idempotency_key);
    let fingerprint = fingerprint("resolve", request)?;
    let number = request_number(ports.environment.as_ref());
    let mut attempts = Attempts::new(ports.environment.as_ref());
    loop {
        let get = Get { table: Table::Stock, key: key.clone(), consistency: Consistency::Strong };
        let item = ports.database.get(get).await?;
        // What is only suspected is nobody's task yet.
        let is_known = |item: &Item| item.opt_text("state") != Some("suspected");
        let item = item.filter(is_known).ok_or_else(missing)?;
        caller.require_store(item.text("location_id")?)?;
        check_not_used_before(&item, &own, &fingerprint)?;
        if item.opt_text("resolve_key") == Some(own.as_str()) {
            let done = (item.text("resolve_fingerprint")?, item.number("resolve_request")?);
            let replayed = is_replay((fingerprint.as_str(), number), done)?;
            if is_open(&item)? {
                return Err(reopened());
            }
            return Ok(Resolved { exception: shown_exception(&item)?, replayed });
        }
        if !is_open(&item)? {
            let by = item.opt_text("resolved_by").unwrap_or_default();
            let detail = format!("the exception was resolved before, by {by}");
            return Err(Refusal::conflict("exception_resolved", detail).into());
        }
        let resolved = caller.scope.stock_exceptions(item.text("location_id")?, "resolved");
        let mut changes = vec![
            Change::Set("state", "resolved".into()),
            Change::Set("location_pk", resolved.value().into()),
            Change::Set("resolved_reason", request.reason.as_str().into()),
            match &request.note {
                Some(note) => Change::Set("resolved_note", note.as_str().into()),
                None => Change::Remove("resolved_note"),
            },
            Change::Set("resolved_by", caller.subject.as_str().into()),
            Change::Set("resolved_at", now.as_millisecond().into()),
            Change::Set("resolve_key", own.as_str().into()),
            Change::Set("resolve_fingerprint", fingerprint.as_str().into()),
            Change::Set("resolve_request", number.into()),
        ];
        changes.extend(keys_used_from_now(&item)?.map(|used| Change::Set(KEYS_USED, used.into())));
        if item.opt_number("noted").is_some() {
            // Whoever compares it meanwhile finds it changed.
            changes.extend([Change::Add("noted", 1), Change::Remove("due_pk"), Change::Remove("due_at")]);
        }
        let still_open = Some(Condition::Eq("state", "open".into()));
        let write = Write::Update { table: Table::Stock, key: key.clone(), changes, condition: still_open };
        match ports.database.write(write).await {
            // Read again, for the answer: the write tells nothing of the rest.
            Ok(()) => attempts.at_once("the exception was resolved and resolved again")?,
            Err(DatabaseError::ConditionFailed(_)) => {
                attempts.at_once("the exception changed while it was resolved")?;
            }
            Err(error) if error.is_transient() => attempts.after_a_wait("resolving an exception").await?,
            Err(error) => return Err(error.into()),
        }
    }
}
