//! What is found is kept as a stock exception of kind `difference`: suspected when it is first met, opened when it
//! is met once more later, so that nothing that is only behind (an index, a row on its way) is told anybody.
//!
//! A stock item has one, and each order one more per SKU. It is updated while it is open, closes by itself where
//! nothing differs any more, and opens anew where it comes back.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use tillstream_domain::approval::{Binding, Bound};
use tillstream_domain::quantity::Unit;

use super::compare::Finding;
use crate::database::{Condition, Consistency, DatabaseError, Get, Item, Table, Value, Write};
use crate::error::{Error, Refusal, Result};
use crate::keys;
use crate::ports::Ports;
use crate::pos::identity::{derived_id, spread};
use crate::stock::exceptions::{KEYS_USED, keys_used_from_now};
use crate::tenancy::TenantScope;

/// How long after it was met first it must be met again.
pub const CONFIRMED_AFTER_MILLIS: i64 = 120_000;
/// How often an open one is looked at again.
pub const LOOKED_AT_EVERY_MILLIS: i64 = 600_000;
/// Kind of the exception.
pub(crate) const DIFFERENCE: &str = "difference";
/// Who closes it where nothing differs any more.
const KEEPER: &str = "stock-keeper";

/// What a difference is of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Name<'a> {
    pub(super) location_id: &'a str,
    pub(super) sku: &'a str,
    /// The order, where it is of one.
    pub(super) order_id: Option<&'a str>,
}

impl Name<'_> {
    /// Id of its exception.
    pub(super) fn exception_id(&self) -> String {
        let mut parts = vec![DIFFERENCE, self.location_id, self.sku];
        parts.extend(self.order_id);
        derived_id("x", &parts)
    }
}

/// What a comparison came to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Seen {
    /// Version of the stock item that was compared.
    pub(super) version: i64,
    pub(super) unit: Option<Unit>,
    pub(super) findings: Vec<Finding>,
    /// Whether nothing else differs.
    pub(super) is_complete: bool,
}

impl Seen {
    pub(super) fn is_like(&self, findings: &[Finding]) -> bool {
        self.findings.len() == findings.len()
            && self.findings.iter().zip(findings).all(|(one, other)| one.is_like(other))
    }
}

/// What is suspected.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Suspicion {
    /// Since when, in epoch milliseconds.
    at: i64,
    findings: Vec<Finding>,
}

/// Findings of an exception.
///
/// # Errors
/// A bug if they are none.
pub(crate) fn findings_of(item: &Item) -> Result<Vec<Finding>> {
    item.json("findings")
}

/// What an approval of a correction is bound to, from the exception.
///
/// # Errors
/// 404 `exception_not_found`; 409 `exception_resolved`, `exception_not_correctable`.
pub(crate) fn bound_of(item: Option<&Item>) -> Result<Bound> {
    let missing = || Refusal::not_found("exception_not_found", "there is no such exception");
    let item = item.filter(|item| item.opt_text("state") != Some("suspected")).ok_or_else(missing)?;
    if item.text("kind")? != DIFFERENCE {
        let detail = "only a difference is corrected here; settle it by a count, and resolve it";
        return Err(Refusal::conflict("exception_not_correctable", detail).into());
    }
    if item.text("state")? != "open" {
        let by = item.opt_text("resolved_by").unwrap_or_default();
        return Err(Refusal::conflict(
            "exception_resolved",
            format!("the exception was resolved before, by {by}"),
        )
        .into());
    }
    let exception_id = item.text("exception_id")?.to_owned();
    let binding = Binding::CorrectDifference { exception_id, version: item.number("compared_version")? };
    Ok(Bound { store_id: item.text("location_id")?.to_owned(), register_id: None, binding })
}

/// Takes attributes away.
fn without(mut item: Item, names: &[&str]) -> Item {
    for name in names {
        item.0.remove(*name);
    }
    item
}

const RESOLUTION: [&str; 10] = [
    "resolved_reason",
    "resolved_note",
    "resolved_by",
    "resolved_at",
    "resolve_key",
    "resolve_fingerprint",
    "resolve_request",
    "correct_key",
    "correct_fingerprint",
    "correct_request",
];
const DUE: [&str; 2] = ["due_pk", "due_at"];

fn due(item: Item, id: &str, at_millis: i64) -> Item {
    item.with("due_pk", keys::due(DIFFERENCE, spread(id)).value()).with("due_at", at_millis)
}

fn with_findings(item: Item, seen: &Seen, now: Timestamp) -> Result<Item> {
    let most = seen.findings.iter().map(|finding| finding.difference().saturating_abs()).max().unwrap_or(0);
    let named = seen.findings.iter().find_map(|finding| finding.references.first());
    let reference = named.cloned().unwrap_or_else(|| format!("version {}", seen.version));
    item.with("quantity", most)
        .with("reference", reference)
        .with("occurred_at", now.as_millisecond())
        .with("compared_version", seen.version)
        .with_some("unit", seen.unit.map(Unit::name))
        .with_json("findings", &seen.findings)
}

fn resolved(item: Item, scope: &TenantScope, location_id: &str) -> Item {
    let item = item
        .with("state", "resolved")
        .with("location_pk", scope.stock_exceptions(location_id, "resolved").value());
    without(without(item, &DUE), &["suspicion"])
}

/// How a correction leaves an exception.
pub(super) fn corrected(
    item: &Item,
    scope: &TenantScope,
    more: impl IntoIterator<Item = (&'static str, Value)>,
) -> Result<Item> {
    let location_id = item.text("location_id")?.to_owned();
    let noted = item.number("noted")?;
    let item = resolved(item.clone(), scope, &location_id).with("noted", noted + 1);
    Ok(more.into_iter().fold(item, |item, (name, value)| item.with(name, value)))
}

/// What is to be done with an exception, as it stands, after a comparison.
enum Change {
    Nothing,
    Put(Item),
    Delete,
}

fn change(
    scope: &TenantScope,
    name: &Name<'_>,
    standing: Option<&Item>,
    seen: &Seen,
    now: Timestamp,
) -> Result<Change> {
    let id = name.exception_id();
    let millis = now.as_millisecond();
    let state = standing.map(|item| item.text("state")).transpose()?;
    let suspicion = standing
        .filter(|item| item.opt_text("suspicion").is_some())
        .map(|item| item.json::<Suspicion>("suspicion"))
        .transpose()?;
    let again = |item: &Item, after| Change::Put(due(item.clone(), &id, millis.saturating_add(after)));
    if seen.findings.is_empty() {
        return Ok(match (standing, state) {
            (Some(item), Some("open")) if !seen.is_complete => again(item, LOOKED_AT_EVERY_MILLIS),
            (Some(item), _) if !seen.is_complete && suspicion.is_some() => {
                again(item, CONFIRMED_AFTER_MILLIS)
            }
            (Some(item), Some("open")) => Change::Put(
                resolved(item.clone(), scope, name.location_id)
                    .with("resolved_reason", "nothing differs any more")
                    .with("resolved_by", KEEPER)
                    .with("resolved_at", millis),
            ),
            (Some(_), Some("suspected")) => Change::Delete,
            (Some(item), _) if suspicion.is_some() => {
                Change::Put(without(without(item.clone(), &DUE), &["suspicion"]))
            }
            _ => Change::Nothing,
        });
    }
    if state == Some("open") {
        let item = standing.cloned().unwrap_or_default();
        let item = with_findings(item, seen, now)?;
        return Ok(Change::Put(due(item, &id, millis.saturating_add(LOOKED_AT_EVERY_MILLIS))));
    }
    let item = standing.cloned().unwrap_or_else(|| {
        Item::new(&scope.stock_exception(&id))
            .with("tenant_id", scope.tenant_id())
            .with("exception_id", id.as_str())
            .with("kind", DIFFERENCE)
            .with("state", "suspected")
            .with("location_id", name.location_id)
            .with("sku", name.sku)
            .with_some("order_id", name.order_id)
    });
    match suspicion.filter(|suspicion| seen.is_like(&suspicion.findings)) {
        Some(suspicion) if millis.saturating_sub(suspicion.at) >= CONFIRMED_AFTER_MILLIS => {
            let used = keys_used_from_now(&item)?;
            let item = without(without(item, &RESOLUTION), &["suspicion"])
                .with_some(KEYS_USED, used)
                .with("state", "open")
                .with("opened_at", millis)
                .with("location_pk", scope.stock_exceptions(name.location_id, "open").value())
                .with("location_sk", format!("{:015}#{id}", millis.max(0)));
            let item = with_findings(item, seen, now)?;
            Ok(Change::Put(due(item, &id, millis.saturating_add(LOOKED_AT_EVERY_MILLIS))))
        }
        Some(suspicion) => {
            // It is not time yet.
            let at = suspicion.at.saturating_add(CONFIRMED_AFTER_MILLIS);
            Ok(match item.opt_number("due_at") == Some(at) {
                true => Change::Nothing,
                false => Change::Put(due(item, &id, at)),
            })
        }
        None => {
            let suspicion = Suspicion { at: millis, findings: seen.findings.clone() };
            let item = item.with_json("suspicion", &suspicion)?;
            Ok(Change::Put(due(item, &id, millis.saturating_add(CONFIRMED_AFTER_MILLIS))))
        }
    }
}

/// Notes what a comparison came to. Answers whether there is a difference that is open.
///
/// # Errors
/// As the database.
pub(super) async fn note(
    ports: &Ports,
    scope: &TenantScope,
    name: &Name<'_>,
    seen: Seen,
    now: Timestamp,
) -> Result<bool> {
    let key = scope.stock_exception(&name.exception_id());
    let get = Get { table: Table::Stock, key: key.clone(), consistency: Consistency::Strong };
    let standing = ports.database.get(get).await?;
    let was_open = standing.as_ref().and_then(|item| item.opt_text("state")) == Some("open");
    let noted = standing.as_ref().map(|item| item.number("noted")).transpose()?;
    let condition = Some(match noted {
        None => Condition::NotExists,
        Some(noted) => Condition::Eq("noted", noted.into()),
    });
    let (write, is_open) = match change(scope, name, standing.as_ref(), &seen, now)? {
        Change::Nothing => return Ok(was_open),
        Change::Delete => (Write::Delete { table: Table::Stock, key, condition }, false),
        Change::Put(item) => {
            let is_open = item.opt_text("state") == Some("open");
            let item = item.with("noted", noted.unwrap_or(0) + 1);
            (Write::Put { table: Table::Stock, item, condition }, is_open)
        }
    };
    match ports.database.write(write).await {
        Ok(()) => {
            if is_open && !was_open {
                let causes: Vec<String> =
                    seen.findings.iter().map(|f| format!("{} {:?}", f.what, f.cause)).collect();
                tracing::error!(
                    tenant_id = scope.tenant_id(),
                    location_id = name.location_id,
                    sku = name.sku,
                    order_id = name.order_id,
                    causes = causes.join(", "),
                    "stock differs from what it says of itself"
                );
            }
            Ok(is_open)
        }
        // Somebody corrected it, or another run was here.
        Err(DatabaseError::ConditionFailed(_)) => Ok(was_open),
        Err(error) if error.is_transient() => Ok(was_open),
        Err(error) => Err(Error::from(error)),
    }
}
