//! Issuing stored value, paying in and out by hand, blocking and unblocking: each once, with a record of its key
//! in the same transaction.

use jiff::Timestamp;
use serde::Serialize;
use tillstream_contracts::stored_value::{
    BlockStoredValue, IssueStoredValue, MoveStoredValue, StoredValueKindBody, StoredValueView,
};
use tillstream_domain::cart::applied::CommandIdentity;
use tillstream_domain::money::AMOUNT_MAX;
use tillstream_domain::stored_value::{StoredValue, StoredValueError, StoredValueKind, check_number};

use super::item::{Movement, Stored, stored_value_get};
use super::read::view;
use super::{not_found, refused};
use crate::database::{Cancellation, Condition, Consistency, DatabaseError, Get, Item, Key, Table, Write};
use crate::environment::{Environment, Retries};
use crate::error::{Error, Refusal, Result};
use crate::fields::{text, typed_id};
use crate::ports::Ports;
use crate::pos::identity::{command_identity, reused_key};
use crate::pos::returns::REASON_CHARS_MAX;
use crate::stock::reservations::request_number;
use crate::tenancy::{Caller, Role};

/// Who may issue stored value and change it by hand.
pub const ADMINISTRATORS: [Role; 2] = [Role::StoreManager, Role::Integration];

/// Letters of the numbers that are made here: no vowels, so that no word is among them, and nothing that passes
/// for another when it is read aloud. Without digits none passes for a payment card's.
const LETTERS: &[u8; 16] = b"BCDFGHJKLMPRTVXZ";

/// What a request about one gift card or account answers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// It as it stands now.
    pub stored_value: StoredValueView,
    /// Whether the request took effect before.
    pub replayed: bool,
}

/// A number of 64 random bits: of a thousand million guesses not one in ten meets any of a million cards, where
/// each guess is a request.
fn new_number(environment: &dyn Environment) -> String {
    let mut bits = environment.random();
    let mut number = String::with_capacity(19);
    for at in 0..16 {
        if at > 0 && at % 4 == 0 {
            number.push('-');
        }
        let letter = usize::try_from(bits & 15).ok().and_then(|at| LETTERS.get(at));
        number.push(letter.copied().map_or('B', char::from));
        bits >>= 4;
    }
    number
}

fn check_reason(reason: &str) -> Result<()> {
    text("reason", reason, REASON_CHARS_MAX)?;
    if reason.trim().is_empty() {
        return Err(Refusal::field("reason", "reason_required", "say why").into());
    }
    Ok(())
}

/// The key of a request as sort keys have it.
fn hex(identity: &CommandIdentity) -> String {
    identity.key.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// That a request took effect: its fingerprint, what it was about, and which request wrote it.
fn record(key: &Key, identity: &CommandIdentity, id: &str, request: i64) -> Write {
    let item = Item::new(key)
        .with("kind", "stored_value_change")
        .with("fingerprint", identity.fingerprint.to_vec())
        .with("stored_value_id", id)
        .with("request", request);
    Write::Put { table: Table::Orders, item, condition: Some(Condition::NotExists) }
}

/// Whether a record is of this request; and then, whether of an earlier sending of it.
///
/// # Errors
/// 422 `idempotency_key_reused`.
fn is_earlier(record: &Item, identity: &CommandIdentity, request: i64) -> Result<bool> {
    if record.bytes("fingerprint")? != identity.fingerprint {
        return Err(reused_key().into());
    }
    Ok(record.number("request")? != request)
}

fn record_get(key: Key) -> Get {
    Get { table: Table::Orders, key, consistency: Consistency::Strong }
}

/// Issues a gift card or an account, once.
///
/// # Errors
/// 403 `role_required`; 409 `stored_value_exists`; 422 for fields, `customer_required` and
/// `idempotency_key_reused`; [`Error::Conflict`] after too many lost races.
pub async fn issue(ports: &Ports, caller: &Caller, key: &str, sent: IssueStoredValue) -> Result<Answer> {
    caller.require_role(&ADMINISTRATORS)?;
    check_reason(&sent.reason)?;
    if let Some(customer_id) = &sent.customer_id {
        typed_id("customer_id", customer_id)?;
    }
    let kind = match sent.kind {
        StoredValueKindBody::GiftCard => StoredValueKind::GiftCard,
        StoredValueKindBody::Account => StoredValueKind::Account,
    };
    if let Some(id) = &sent.id {
        typed_id("id", id)?;
        if kind == StoredValueKind::GiftCard {
            check_number(id).map_err(|error| refused(error, Some("id")))?;
        }
    }
    // As it is kept: to the millisecond.
    let expires_at = sent.expires_at.map(|end| Timestamp::from_millisecond(end.as_millisecond()));
    let expires_at = expires_at.transpose().map_err(Error::bug)?;
    // Whoever's account it is: by its own name, where that is all there is.
    let customer_id = match kind {
        StoredValueKind::GiftCard => sent.customer_id.clone(),
        StoredValueKind::Account => sent.customer_id.clone().or_else(|| sent.id.clone()),
    };
    if kind == StoredValueKind::Account && customer_id.is_none() {
        return Err(Refusal::field("customer_id", "customer_required", "say whose account it is").into());
    }
    let value = StoredValue::issue(kind, sent.currency, sent.amount, expires_at)
        .map_err(|error| refused(error, Some("amount")))?;
    let scope = &caller.scope;
    let payload = serde_json::to_value(&sent).map_err(Error::bug)?;
    let parts = [scope.tenant_id(), &caller.subject, "issue_stored_value"];
    let identity = command_identity(key, &parts, &payload);
    let record_key = scope.stored_value_issue(&caller.subject, &hex(&identity));
    let environment = ports.environment.as_ref();
    let (now, request) = (environment.now(), request_number(environment));
    let of_customer = || customer_id.clone().filter(|_| kind == StoredValueKind::Account);
    let id = sent.id.clone().or_else(of_customer).unwrap_or_else(|| new_number(environment));
    let mut retries = Retries::new(environment, now);
    loop {
        // Read together: a record that is seen has its gift card.
        let read = ports.database.get(record_get(record_key.clone())).await;
        let Some(read) = retries.answered(read).await? else { continue };
        if let Some(issued) = read {
            let replayed = is_earlier(&issued, &identity, request)?;
            let id = issued.text("stored_value_id")?;
            let item = ports.database.get(stored_value_get(scope, id)).await?;
            let stored = Stored::of(&item.ok_or_else(|| Error::bug("what was issued is there"))?)?;
            return Ok(Answer { stored_value: view(&stored, now), replayed });
        }
        // Only now: what took effect while its end was ahead is answered again behind it.
        if value.is_expired(now) {
            let message = format!("it is {now} here: nothing could be spent of it");
            return Err(Refusal::field("expires_at", "expires_at_past", message).into());
        }
        let stored = Stored {
            id: id.clone(),
            value: value.clone(),
            customer_id: customer_id.clone(),
            issued_at: now,
            version: 1,
        };
        let change = Change { kind: "issue", amount: sent.amount, reason: &sent.reason };
        let writes = vec![
            record(&record_key, &identity, &id, request),
            stored.put(scope, true)?,
            change.movement(caller, &stored, &identity, now),
        ];
        match ports.database.transact(writes).await {
            Ok(()) => return Ok(Answer { stored_value: view(&stored, now), replayed: false }),
            Err(DatabaseError::Invalid(what)) => return Err(Error::Bug(what)),
            Err(DatabaseError::Cancelled(reasons)) if is_taken(&reasons) => {
                let detail = "there is a gift card or account of that name already";
                return Err(Refusal::conflict("stored_value_exists", detail).into());
            }
            Err(error) => retries.again(why(&error)).await?,
        }
    }
}

/// Whether nothing but the gift card or account was in the way, of a transaction that puts its record first.
fn is_taken(reasons: &[Cancellation]) -> bool {
    matches!(
        reasons,
        [
            Cancellation::None,
            Cancellation::ConditionFailed(_),
            Cancellation::None | Cancellation::ConditionFailed(_)
        ]
    )
}

/// Why an attempt failed, without the items that were in its way: a message may get into the log.
fn why(error: &DatabaseError) -> &'static str {
    match error {
        DatabaseError::Cancelled(_) | DatabaseError::ConditionFailed(_) => "another transaction was first",
        _ => "the database was busy",
    }
}

/// A change by hand, as its movement tells it.
struct Change<'a> {
    kind: &'static str,
    amount: i64,
    reason: &'a str,
}

impl Change<'_> {
    fn movement(
        &self,
        caller: &Caller,
        stored: &Stored,
        identity: &CommandIdentity,
        now: Timestamp,
    ) -> Write {
        let movement = Movement {
            kind: self.kind.to_owned(),
            amount: self.amount,
            currency: stored.value.currency.code().to_owned(),
            at: now,
            by: caller.subject.clone(),
            reason: Some(self.reason.to_owned()),
            payment: None,
        };
        let key = caller.scope.stored_value_movement(&stored.id, now.as_millisecond(), &hex(identity));
        movement.put(&caller.scope, &key)
    }
}

/// Pays in, once. `precondition` hears the version that is there and may refuse.
///
/// # Errors
/// 403 `role_required`; 404 `stored_value_not_found`; 422 for fields and `idempotency_key_reused`; what
/// `precondition` refuses; [`Error::Conflict`] after too many lost races.
pub async fn credit(
    ports: &Ports,
    caller: &Caller,
    key: &str,
    id: &str,
    sent: MoveStoredValue,
    precondition: impl Fn(u64) -> Result<(), Refusal> + Send + Sync,
) -> Result<Answer> {
    let what = Change { kind: "credit", amount: sent.amount, reason: &sent.reason };
    change(ports, caller, (key, id), &sent, what, (precondition, |value| value.credit(sent.amount))).await
}

/// Pays out, once, and never below zero.
///
/// # Errors
/// As [`credit`]; 409 `insufficient_balance`.
pub async fn debit(
    ports: &Ports,
    caller: &Caller,
    key: &str,
    id: &str,
    sent: MoveStoredValue,
    precondition: impl Fn(u64) -> Result<(), Refusal> + Send + Sync,
) -> Result<Answer> {
    let amount = sent.amount.checked_neg().unwrap_or(-AMOUNT_MAX);
    let what = Change { kind: "debit", amount, reason: &sent.reason };
    change(ports, caller, (key, id), &sent, what, (precondition, |value| value.debit(sent.amount))).await
}

/// Stops it from being spent, once.
///
/// # Errors
/// As [`credit`]; 409 `stored_value_blocked`.
pub async fn block(
    ports: &Ports,
    caller: &Caller,
    key: &str,
    id: &str,
    sent: BlockStoredValue,
    precondition: impl Fn(u64) -> Result<(), Refusal> + Send + Sync,
) -> Result<Answer> {
    let what = Change { kind: "block", amount: 0, reason: &sent.reason };
    change(ports, caller, (key, id), &sent, what, (precondition, |value| value.block(sent.reason.clone())))
        .await
}

/// Lets it be spent again, once.
///
/// # Errors
/// As [`credit`]; 409 `stored_value_not_blocked`.
pub async fn unblock(
    ports: &Ports,
    caller: &Caller,
    key: &str,
    id: &str,
    sent: BlockStoredValue,
    precondition: impl Fn(u64) -> Result<(), Refusal> + Send + Sync,
) -> Result<Answer> {
    let what = Change { kind: "unblock", amount: 0, reason: &sent.reason };
    change(ports, caller, (key, id), &sent, what, (precondition, StoredValue::unblock)).await
}

async fn change(
    ports: &Ports,
    caller: &Caller,
    (key, id): (&str, &str),
    sent: &impl Serialize,
    what: Change<'_>,
    (precondition, apply): (
        impl Fn(u64) -> Result<(), Refusal>,
        impl Fn(&mut StoredValue) -> std::result::Result<(), StoredValueError>,
    ),
) -> Result<Answer> {
    caller.require_role(&ADMINISTRATORS)?;
    typed_id("id", id)?;
    check_reason(what.reason)?;
    let scope = &caller.scope;
    let payload = serde_json::to_value(sent).map_err(Error::bug)?;
    let identity = command_identity(key, &[scope.tenant_id(), &caller.subject, what.kind, id], &payload);
    let record_key = scope.stored_value_change(id, &hex(&identity));
    let environment = ports.environment.as_ref();
    let (now, request) = (environment.now(), request_number(environment));
    let mut retries = Retries::new(environment, now);
    loop {
        // As of one moment: what is refused on the balance that is seen was not this very request's doing.
        let gets = vec![stored_value_get(scope, id), record_get(record_key.clone())];
        let Some(read) = retries.answered(ports.database.get_together(gets).await).await? else { continue };
        let at = |position: usize| read.get(position).and_then(Option::as_ref);
        let mut stored = Stored::of(at(0).ok_or_else(not_found)?)?;
        if let Some(changed) = at(1) {
            let replayed = is_earlier(changed, &identity, request)?;
            return Ok(Answer { stored_value: view(&stored, now), replayed });
        }
        precondition(stored.version)?;
        apply(&mut stored.value).map_err(|error| {
            let is_amount = matches!(error, StoredValueError::NotPositive | StoredValueError::OutOfRange);
            refused(error, is_amount.then_some("amount"))
        })?;
        let writes = vec![
            record(&record_key, &identity, id, request),
            stored.put(scope, false)?,
            what.movement(caller, &stored, &identity, now),
        ];
        match ports.database.transact(writes).await {
            Ok(()) => {
                stored.version += 1;
                return Ok(Answer { stored_value: view(&stored, now), replayed: false });
            }
            Err(DatabaseError::Invalid(what)) => return Err(Error::Bug(what)),
            Err(error) => retries.again(why(&error)).await?,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_card_itself_in_the_way_is_a_refusal() {
        use Cancellation::{ConditionFailed, Conflict, None as Fine};
        let gone = || ConditionFailed(None);
        for (reasons, expected) in [
            ([Fine, gone(), Fine], true),
            ([Fine, gone(), gone()], true),
            ([gone(), gone(), gone()], false),
            ([gone(), Fine, Fine], false),
            ([Fine, Conflict, Fine], false),
            ([Fine, gone(), Conflict], false),
            ([Conflict, gone(), Fine], false),
        ] {
            assert_eq!(is_taken(&reasons), expected, "{reasons:?}");
        }
    }
}
