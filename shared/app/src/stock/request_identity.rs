//! What makes two requests the same: the scope of an idempotency key, and the fingerprint of what was
//! sent under it.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jiff::Timestamp;
use serde::Serialize;
use serde::de::DeserializeOwned;
use sha2::{Digest, Sha256};

use crate::database::{Condition, Item, Key, Table, Write};
use crate::environment::Environment;
use crate::error::{Error, Refusal, RefusalKind, Result};
use crate::tenancy::{Caller, TenantScope};

/// Who sends: the register a token belongs to, else its subject.
pub(super) fn sender(caller: &Caller) -> String {
    match &caller.register_id {
        Some(register_id) => format!("register:{register_id}"),
        None => format!("sub:{}", caller.subject),
    }
}

fn digest(parts: &[&[u8]]) -> String {
    let mut hash = Sha256::new();
    for part in parts {
        // Length first, so that no two lists of parts read the same.
        hash.update(u64::try_from(part.len()).unwrap_or(u64::MAX).to_be_bytes());
        hash.update(part);
    }
    URL_SAFE_NO_PAD.encode(hash.finalize())
}

/// Fingerprint of an action with its payload.
pub(super) fn fingerprint<T: Serialize>(action: &str, payload: &T) -> Result<String> {
    let payload = serde_json::to_vec(payload).map_err(Error::bug)?;
    Ok(digest(&[action.as_bytes(), &payload]))
}

/// The id of what a request creates without naming it: the same for the same sender and key.
pub(super) fn derived_id(caller: &Caller, action: &str, idempotency_key: &str) -> String {
    let hash = digest(&[
        caller.scope.tenant_id().as_bytes(),
        sender(caller).as_bytes(),
        action.as_bytes(),
        idempotency_key.as_bytes(),
    ]);
    format!("{action}-{}", hash.get(..24).unwrap_or(&hash))
}

/// 422: the key was used for something else.
pub(super) fn key_reused() -> Error {
    Refusal::new(
        RefusalKind::Invalid,
        "idempotency_key_reused",
        "the idempotency key was used with another payload; send a new key with a new request",
    )
    .into()
}

/// Whether a request is a replay to what was `done` under its key; both are told by fingerprint and number.
///
/// # Errors
/// 422 `idempotency_key_reused`.
pub(super) fn is_replay(asked: (&str, i64), done: (&str, i64)) -> Result<bool> {
    if asked.0 != done.0 {
        return Err(key_reused());
    }
    // Our own write, whose answer was lost, is not a replay.
    Ok(asked.1 != done.1)
}

/// A number of this one request. Written with what it does, it tells our own write, whose answer was
/// lost, from that of a twin with the same key; and it makes the database's own request token, a hash of
/// all parameters, cover this request only.
pub fn request_number(environment: &dyn Environment) -> i64 {
    i64::try_from(environment.random() >> 1).unwrap_or(i64::MAX)
}

/// The record of a request under `key`, put in the transaction of what it does: its fingerprint, its number, and what
/// it answers.
///
/// # Errors
/// A bug if `result` cannot be JSON.
pub(super) fn record_write<T: Serialize>(
    scope: &TenantScope,
    key: &Key,
    (fingerprint, number): (&str, i64),
    now: Timestamp,
    result: &T,
) -> Result<Write> {
    let item = Item::new(key)
        .with("tenant_id", scope.tenant_id())
        .with("fingerprint", fingerprint)
        .with("request", number)
        .with("at", now.as_millisecond())
        .with_json("result", result)?;
    Ok(Write::Put { table: Table::Stock, item, condition: Some(Condition::NotExists) })
}

/// What the request of a record answered, and whether that is a replay to the one of this number.
///
/// # Errors
/// 422 `idempotency_key_reused`; a bug if the record is not one.
pub(super) fn recorded<T: DeserializeOwned>(
    record: &Item,
    fingerprint: &str,
    number: i64,
) -> Result<(T, bool)> {
    let done = (record.text("fingerprint")?, record.number("request")?);
    let replayed = is_replay((fingerprint, number), done)?;
    Ok((record.json("result")?, replayed))
}
