//! The change feed: which stock items changed, in the order in which they were noted, so that a reader that
//! goes on where it stopped misses nothing.
//!
//! The relay notes each batch of changes as one page. Pages of a tenant are numbered without a gap: each is put on
//! the condition that its number is free, beginning after the last there is, so a page is there only when all
//! before it are. The first is numbered by the clock, so that no number returns when all pages have gone. A page names items; what a reader is told of them is what stands when it reads. A batch
//! that is repeated is noted twice; a change that the ledger lost is noted when its gap is closed.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use tillstream_contracts::inventory::{StockChanges, StockChangesQuery};
use tillstream_domain::compact;

use crate::cursor::{PagedQuery, limit};
use crate::database::{Condition, Consistency, DatabaseError, Item, Query, Range, Table, Write};
use crate::environment::Retries;
use crate::error::{Error, Refusal, Result};
use crate::ports::Ports;
use crate::stock::listing::StockName;
use crate::stock::read::{level, read_many};
use crate::tenancy::{Caller, TenantScope};

/// Most items that one page names: some 10 KB.
const NAMES_MAX: usize = 300;
/// How long pages are kept, in seconds: a reader that was away for longer lists the stock again.
const KEPT_SECONDS: i64 = 30 * 86_400;
/// A page is taken to be gone so long before it may be.
const LEEWAY_SECONDS: i64 = 3_600;
/// Pages read in one step.
const PAGES_STEP: u32 = 20;
/// Longest wait for a change, in seconds: the gateway gives up after 30.
pub const WAIT_SECONDS_MAX: u32 = 20;
/// How often a waiting reader looks.
const LOOK_EVERY: Duration = Duration::from_millis(500);

/// Location and SKU of items that changed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ChangePage {
    /// Location and SKU.
    pub names: Vec<(String, String)>,
}

async fn last_page(ports: &Ports, scope: &TenantScope) -> Result<Option<u64>> {
    let query =
        Query { ascending: false, limit: 1, ..Query::partition(Table::Ledger, scope.stock_changes()) };
    let page = ports.database.query(query).await?;
    page.items.first().map(page_number).transpose()
}

fn page_number(item: &Item) -> Result<u64> {
    item.number("page").and_then(|page| u64::try_from(page).map_err(Error::bug))
}

/// Notes that stock items of a tenant changed.
///
/// # Errors
/// As the database; [`Error::Conflict`] where others note without end. Note all of them again.
pub async fn note(ports: &Ports, scope: &TenantScope, names: &BTreeSet<(String, String)>) -> Result<()> {
    let names: Vec<(String, String)> = names.iter().cloned().collect();
    for names in names.chunks(NAMES_MAX) {
        let body = compact::encode(&ChangePage { names: names.to_vec() }).map_err(Error::bug)?;
        let mut retries = Retries::new(ports.environment.as_ref(), ports.environment.now());
        let mut last = last_page(ports, scope).await?;
        loop {
            let noted_at = ports.environment.now();
            let first = u64::try_from(noted_at.as_millisecond() / 10).map_err(Error::bug)?;
            let number = last.map_or(first, |last| last + 1);
            let item = Item::new(&scope.stock_change_page(number))
                .with("tenant_id", scope.tenant_id())
                .with("page", i64::try_from(number).map_err(Error::bug)?)
                .with("expires_at", noted_at.as_second().saturating_add(KEPT_SECONDS))
                .with_some("is_first", last.is_none().then_some(1))
                .with("body", body.clone());
            let condition = Some(Condition::NotExists);
            match ports.database.write(Write::Put { table: Table::Ledger, item, condition }).await {
                Ok(()) => break,
                // Somebody else's, or our own whose answer was lost: then it is noted twice.
                Err(DatabaseError::ConditionFailed(_)) => {
                    retries.again("another page was noted").await?;
                    last = last_page(ports, scope).await?;
                }
                Err(error) if error.is_transient() => retries.again(&error.to_string()).await?,
                Err(error) => return Err(error.into()),
            }
        }
    }
    Ok(())
}

/// Notes the items of ledger rows, of whatever tenants.
///
/// # Errors
/// As [`note`].
pub async fn note_rows(ports: &Ports, rows: &[Item]) -> Result<()> {
    let mut by_tenant: BTreeMap<&str, BTreeSet<(String, String)>> = BTreeMap::new();
    for row in rows {
        let name = (row.text("location_id")?.to_owned(), row.text("sku")?.to_owned());
        by_tenant.entry(row.text("tenant_id")?).or_default().insert(name);
    }
    for (tenant_id, names) in by_tenant {
        note(ports, &TenantScope::from_own_record(tenant_id), &names).await?;
    }
    Ok(())
}

/// Where a reader goes on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
struct Position {
    /// When it was told, in epoch seconds.
    #[serde(rename = "t")]
    at: i64,
    /// Last page of which all was told; 0 where there was none.
    #[serde(rename = "p")]
    page: u64,
    /// How many names of the page after it were told.
    #[serde(rename = "n", default, skip_serializing_if = "is_zero")]
    names: usize,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "as serde calls it")]
fn is_zero(names: &usize) -> bool {
    *names == 0
}

/// What was found after a position.
struct Found {
    names: BTreeSet<(String, String)>,
    next: Position,
}

async fn after(ports: &Ports, caller: &Caller, from: Position, wanted: usize) -> Result<Found> {
    let mut found = Found { names: BTreeSet::new(), next: from };
    loop {
        let first = found.next.page.saturating_add(1);
        let query = Query {
            range: Range::Between(TenantScope::change_page_sort(first), ":".to_owned()),
            limit: PAGES_STEP,
            ..Query::partition(Table::Ledger, caller.scope.stock_changes())
        };
        let read = ports.database.query(query).await?;
        for item in &read.items {
            let number = page_number(item)?;
            let begins = found.next.page == 0 && item.opt_number("is_first").is_some();
            if number != found.next.page.saturating_add(1) && !begins {
                return Err(too_old());
            }
            let page: ChangePage = compact::decode(item.bytes("body")?).map_err(Error::bug)?;
            for (at, name) in page.names.iter().enumerate().skip(found.next.names) {
                if found.names.len() >= wanted {
                    found.next.names = at;
                    return Ok(found);
                }
                if caller.reaches(&name.0) {
                    found.names.insert(name.clone());
                }
            }
            found.next = Position { page: number, names: 0, ..from };
        }
        if read.next.is_none() && read.items.len() < usize::try_from(PAGES_STEP).unwrap_or(usize::MAX) {
            return Ok(found);
        }
    }
}

fn too_old() -> Error {
    Refusal::conflict(
        "since_too_old",
        format!(
            "changes are kept for {} days; list the stock, and begin anew without since",
            KEPT_SECONDS / 86_400
        ),
    )
    .into()
}

/// `GET /v1/inventory/updates`: the stock items that changed since, as they stand now, each once. Without
/// `since` nothing is told but where to begin: whoever then lists the stock and goes on from there has all.
///
/// # Errors
/// 400 `cursor_malformed` where `since` is not one that this tenant's feed gave; 409 `since_too_old`,
/// `since_ahead` (the feed was restored); 422 `limit_out_of_range`, `wait_out_of_range`.
pub async fn changes(ports: &Ports, caller: &Caller, query: &StockChangesQuery) -> Result<StockChanges> {
    let limit = limit(query.limit)?;
    let wanted = usize::try_from(limit).unwrap_or(usize::MAX);
    let wait = query.wait_seconds.unwrap_or(0);
    if wait > WAIT_SECONDS_MAX {
        let message = format!("wait_seconds goes from 0 to {WAIT_SECONDS_MAX}");
        return Err(Refusal::field("wait_seconds", "wait_out_of_range", message).into());
    }
    let feed = PagedQuery::new(&caller.scope, "stock-changes", []);
    let began = ports.environment.now();
    let answer = |items, next: Position| {
        let next = Position { at: began.as_second(), ..next };
        let next = serde_json::to_string(&next).map_err(Error::bug)?;
        Ok(StockChanges { items, next_since: feed.cursor(&next) })
    };
    let Some(since) = &query.since else {
        let page = last_page(ports, &caller.scope).await?.unwrap_or(0);
        return answer(Vec::new(), Position { at: 0, page, names: 0 });
    };
    let from: Position = feed.typed_position(since)?;
    if began.as_second().saturating_sub(from.at) > KEPT_SECONDS - LEEWAY_SECONDS {
        return Err(too_old());
    }
    let until = began.checked_add(Duration::from_secs(wait.into())).map_err(Error::bug)?;
    let mut checked = false;
    let found = loop {
        let found = after(ports, caller, from, wanted).await?;
        if found.next == from && !std::mem::replace(&mut checked, true) {
            check_reached(ports, caller, from).await?;
        }
        if !found.names.is_empty() || ports.environment.now() >= until {
            break found;
        }
        let left = Duration::try_from(until.duration_since(ports.environment.now())).unwrap_or_default();
        ports.environment.sleep(left.min(LOOK_EVERY)).await;
    };
    let names: Vec<StockName> =
        found.names.into_iter().map(|(location_id, sku)| StockName { location_id, sku }).collect();
    let now: Timestamp = ports.environment.now();
    // As strong as the feed: an older copy would never be told again.
    let read = read_many(ports, &caller.scope, names, Consistency::Strong, now).await?;
    let items = read.iter().map(|(name, counters)| level(&name.location_id, &name.sku, counters)).collect();
    answer(items, found.next)
}

/// Refuses a position that the feed never reached, or of which all pages are gone.
async fn check_reached(ports: &Ports, caller: &Caller, from: Position) -> Result<()> {
    match last_page(ports, &caller.scope).await? {
        Some(last) if from.page <= last => return Ok(()),
        None if from.page == 0 => return Ok(()),
        None => return Err(too_old()),
        Some(_) => {}
    }
    let detail =
        "the feed has not come so far: it was restored; list the stock, and begin anew without since";
    Err(Refusal::conflict("since_ahead", detail).into())
}
