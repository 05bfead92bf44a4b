//! The exception of a stock item of which less is there than is promised: counts and feed lines open and resolve it.

use jiff::Timestamp;
use tillstream_domain::quantity::Unit;

use super::opening::{listed_at, of_goods, opened};
use super::resolving::{KEYS_USED, keys_used_from_now};
use crate::database::{Change, Condition, Consistency, Database, Get, Item, Table, Write};
use crate::error::Result;
use crate::pos::identity::derived_id;
use crate::tenancy::TenantScope;

/// Who resolves an exception that nobody has to look at any more.
const BY_ITSELF: &str = "system";
/// Why it does.
const ENOUGH_FOUND: &str = "enough was found";
/// What says how an exception was settled.
const RESOLUTION: [&str; 7] = [
    "resolved_reason",
    "resolved_note",
    "resolved_by",
    "resolved_at",
    "resolve_key",
    "resolve_fingerprint",
    "resolve_request",
];

/// Id of the exception of a stock item of which less is there than is promised.
pub(in crate::stock) fn below_promised_id(location_id: &str, sku: &str) -> String {
    derived_id("x", &["below_promised", location_id, sku])
}

/// The read of the exception of a stock item of which less is there than is promised, for [`exception_write`].
pub fn below_promised_get(scope: &TenantScope, (location_id, sku): (&str, &str)) -> Get {
    let key = scope.stock_exception(&below_promised_id(location_id, sku));
    Get { table: Table::Stock, key, consistency: Consistency::Strong }
}

/// The same, read.
///
/// # Errors
/// As the database.
pub async fn below_promised(
    database: &dyn Database,
    scope: &TenantScope,
    what: (&str, &str),
) -> Result<Option<Item>> {
    Ok(database.get(below_promised_get(scope, what)).await?)
}

/// Whether an exception, as it was read, is to be settled still.
pub fn is_standing_open(standing: Option<&Item>) -> bool {
    standing.and_then(|item| item.opt_text("state")) == Some("open")
}

/// What a count or feed line that leaves `available` at this has to write beside the stock item, in its
/// own transaction, over the exception as it is `standing`: it opens, or opens anew, or is resolved if it is open
/// still. What somebody resolved stays as it is, for who asks why. `None`: nothing, and so most counts pay nothing
/// for it.
///
/// A failed condition of the write is a lost race: the exception is not as it was read.
///
/// # Errors
/// A bug if what stands is malformed.
pub fn exception_write(
    scope: &TenantScope,
    (location_id, sku): (&str, &str),
    unit: Option<Unit>,
    available: i64,
    reference: &str,
    now: Timestamp,
    standing: Option<&Item>,
) -> Result<Option<Write>> {
    let id = below_promised_id(location_id, sku);
    let key = scope.stock_exception(&id);
    let millis = now.as_millisecond();
    if available >= 0 {
        if !is_standing_open(standing) {
            return Ok(None);
        }
        let resolved = scope.stock_exceptions(location_id, "resolved");
        let changes = vec![
            Change::Set("state", "resolved".into()),
            Change::Set("location_pk", resolved.value().into()),
            Change::Set("resolved_reason", ENOUGH_FOUND.into()),
            Change::Set("resolved_note", format!("found by {reference}").into()),
            Change::Set("resolved_by", BY_ITSELF.into()),
            Change::Set("resolved_at", millis.into()),
        ];
        let condition = Some(Condition::Eq("state", "open".into()));
        return Ok(Some(Write::Update { table: Table::Stock, key, changes, condition }));
    }
    let mut changes = opened(scope, &id, "below_promised", location_id, now);
    let condition = match standing {
        None => Condition::NotExists,
        Some(_) if is_standing_open(standing) => Condition::Eq("state", "open".into()),
        Some(item) => {
            // It is another one than that which was resolved: nothing of that is told of it.
            changes.retain(|change| !matches!(change, Change::SetIfAbsent(..)));
            changes.push(Change::Set("opened_at", millis.into()));
            changes.push(Change::Set("location_sk", listed_at(&id, now).into()));
            changes.extend(RESOLUTION.map(Change::Remove));
            changes.extend(keys_used_from_now(item)?.map(|used| Change::Set(KEYS_USED, used.into())));
            Condition::All(vec![
                Condition::Eq("state", item.text("state")?.into()),
                Condition::Eq("resolved_at", item.number("resolved_at")?.into()),
            ])
        }
    };
    changes.extend(of_goods(sku, unit));
    changes.extend([
        Change::Set("quantity", (-available).into()),
        Change::Set("reference", reference.into()),
        Change::Set("occurred_at", millis.into()),
    ]);
    Ok(Some(Write::Update { table: Table::Stock, key, changes, condition: Some(condition) }))
}
