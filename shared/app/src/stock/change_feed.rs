//! The change feed: which stock items changed, in the order in which they were noted, so that a reader that
//! goes on where it stopped misses nothing.
//!
//! The relay notes each batch of changes as one page. Pages of a tenant are numbered without a gap: each is put on
//! the condition that its number is free, beginning after the last there is, so a page is there only when all
//! before it are. The number of the first is agreed upon in an item of its own and follows the clock, so that no
//! number returns when all pages have gone. A page names items; what a reader is told of them is what stands when it
//! reads. A batch that is repeated is noted twice; a change that the ledger lost is noted when its gap is closed.
//!
//! A reader that begins is told a place some time before the end: what it lists meanwhile is a moment behind, and
//! what the list did not show yet must not stand before the place.
//!
//! Pages run out after 30 days. A reader that had come to the end goes on although its page is gone, and where the
//! feed was quiet for so long that it began anew.
//!
//! Each page has a mark of its own, and a reader's position that of the page it has come to: where the feed was
//! restored and went on otherwise, it is told so rather than going on after pages that it never saw.

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
/// Steps until a reader is answered: what it may not see, and what changes again and again, can be much.
const QUERIES_MAX: usize = 10;
/// Longest wait for a change, in seconds: the gateway gives up after 30.
pub const WAIT_SECONDS_MAX: u32 = 20;
/// So long before the end of the feed, in seconds, begins who begins: lists are read from indexes, which are behind
/// by less than a second as a rule, and clocks differ.
const OVERLAP_SECONDS: i64 = 60;
/// How often a waiting reader looks.
const LOOK_EVERY: Duration = Duration::from_millis(500);

/// Location and SKU of items that changed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ChangePage {
    /// Location and SKU.
    pub names: Vec<(String, String)>,
}

/// A page as it lies in the feed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Noted {
    number: u64,
    mark: i64,
    /// From when on the database may delete it, in epoch seconds; not before.
    expires_at: i64,
}

impl Noted {
    fn of(item: &Item) -> Result<Self> {
        let number = item.number("page").and_then(|page| u64::try_from(page).map_err(Error::bug))?;
        Ok(Noted { number, mark: item.number("mark")?, expires_at: item.number("expires_at")? })
    }

    /// Whether it is only a matter of time that the database deletes it. It may delete what is newer before.
    fn is_over(&self, now: Timestamp) -> bool {
        self.expires_at <= now.as_second()
    }
}

/// The last page, and the number after which a feed would begin anew where there is none.
async fn last_page(ports: &Ports, scope: &TenantScope) -> Result<(Option<Noted>, u64)> {
    let range = Range::Between(TenantScope::change_page_sort(0), ":".to_owned());
    let pages = Query::partition(Table::Ledger, scope.stock_changes());
    let page = ports.database.query(Query { ascending: false, limit: 1, range, ..pages }).await?;
    let Some(item) = page.items.first() else { return Ok((None, 0)) };
    let last = Noted::of(item)?;
    Ok(((!last.is_over(ports.environment.now())).then_some(last), last.number))
}

/// The number with which a feed without pages begins, as all who note agree on it, and whether it has begun with it.
struct Agreed {
    first: u64,
    has_begun: bool,
}

async fn agreed(ports: &Ports, scope: &TenantScope) -> Result<Option<Agreed>> {
    let sort = TenantScope::change_feed_start_sort();
    let query = Query {
        range: Range::Between(sort.clone(), sort),
        limit: 1,
        ..Query::partition(Table::Ledger, scope.stock_changes())
    };
    let read = ports.database.query(query).await?;
    let Some(item) = read.items.first() else { return Ok(None) };
    let first = u64::try_from(item.number("first")?).map_err(Error::bug)?;
    Ok(Some(Agreed { first, has_begun: item.opt_number("has_begun").is_some() }))
}

/// The item that says with which number a feed begins, to be put where it is still what it was.
fn agreement(scope: &TenantScope, was: Option<&Agreed>, is: &Agreed) -> Result<Write> {
    let first = |agreed: &Agreed| i64::try_from(agreed.first).map_err(Error::bug);
    let item = Item::new(&scope.stock_change_feed_start())
        .with("tenant_id", scope.tenant_id())
        .with("first", first(is)?)
        .with_some("has_begun", is.has_begun.then_some(1));
    let condition = match was {
        None => Condition::NotExists,
        Some(was) => Condition::All(vec![
            Condition::Eq("first", first(was)?.into()),
            if was.has_begun { Condition::Has("has_begun") } else { Condition::Lacks("has_begun") },
        ]),
    };
    Ok(Write::Put { table: Table::Ledger, item, condition: Some(condition) })
}

/// What is next for whoever has a page to note.
enum Step {
    /// The page follows the last there is.
    Follow(Write),
    /// The page, and what it depends on that was agreed.
    Together([Write; 2]),
    /// The number of the first is to be agreed on.
    Agree(Write),
}

/// What puts a page: the next after the last there is, or the first of a feed, and then it is noted in the same
/// transaction that the feed has begun. Whoever finds no page, and is so slow that others begin it meanwhile, or
/// agree on another number, begins none of his own; and nothing follows a page that is nearly over once others agreed
/// to begin anew after it.
async fn next_page(
    ports: &Ports,
    scope: &TenantScope,
    page: impl Fn(u64, bool) -> Result<Write>,
) -> Result<Step> {
    let now = ports.environment.now();
    if let (Some(last), _) = last_page(ports, scope).await?
        && last.expires_at > now.as_second().saturating_add(LEEWAY_SECONDS)
    {
        return Ok(Step::Follow(page(last.number.saturating_add(1), false)?));
    }
    let known = agreed(ports, scope).await?;
    // Read after what was agreed: whatever is noted from now on depends on that.
    let (last, used) = last_page(ports, scope).await?;
    if let Some(last) = last {
        let begun = Agreed { first: last.number, has_begun: true };
        let unchanged = agreement(scope, known.as_ref(), known.as_ref().unwrap_or(&begun))?;
        return Ok(Step::Together([page(last.number.saturating_add(1), false)?, unchanged]));
    }
    if let Some(known) = &known
        && !known.has_begun
        && known.first > used
    {
        let begun = Agreed { first: known.first, has_begun: true };
        return Ok(Step::Together([page(known.first, true)?, agreement(scope, Some(known), &begun)?]));
    }
    let above = used.max(known.as_ref().map_or(0, |known| known.first)).saturating_add(1);
    let by_clock = u64::try_from(now.as_millisecond() / 10).map_err(Error::bug)?;
    let next = Agreed { first: by_clock.max(above), has_begun: false };
    Ok(Step::Agree(agreement(scope, known.as_ref(), &next)?))
}

/// The first page from a number on, and when it was noted, in epoch seconds.
async fn page_from(ports: &Ports, scope: &TenantScope, number: u64) -> Result<Option<(Noted, i64, bool)>> {
    let query = Query {
        range: Range::Between(TenantScope::change_page_sort(number), ":".to_owned()),
        limit: 1,
        ..Query::partition(Table::Ledger, scope.stock_changes())
    };
    let read = ports.database.query(query).await?;
    let Some(item) = read.items.first() else { return Ok(None) };
    let noted_at = item.number("expires_at")?.saturating_sub(KEPT_SECONDS);
    Ok(Some((Noted::of(item)?, noted_at, item.opt_number("is_first").is_some())))
}

/// After which page a reader begins: one of those noted before the overlap, `None` where there is none. Pages are
/// numbered as they were noted, so it is looked for in steps that double, and then between two of them.
async fn start(ports: &Ports, scope: &TenantScope, now: Timestamp) -> Result<Option<Noted>> {
    let (Some(last), _) = last_page(ports, scope).await? else { return Ok(None) };
    let before = now.as_second().saturating_sub(OVERLAP_SECONDS);
    // Noted within the overlap: all from here on.
    let mut within = last.number.saturating_add(1);
    let mut step = 1;
    let mut found = loop {
        let number = within.saturating_sub(step);
        match page_from(ports, scope, number).await? {
            // None is before it: it is to be told, unless there were some before it that are gone.
            Some((first, noted_at, is_first)) if first.number > number || number == 0 || is_first => {
                break (noted_at <= before || !is_first).then_some((first, noted_at));
            }
            Some((page, noted_at, _)) if noted_at <= before => break Some((page, noted_at)),
            Some((page, ..)) => within = page.number,
            None => return Ok(Some(last)),
        }
        step = step.saturating_mul(2);
    };
    while let Some((page, _)) = found
        && within > page.number.saturating_add(1)
    {
        let middle = page.number + (within - page.number) / 2;
        match page_from(ports, scope, middle).await? {
            Some((page, noted_at, _)) if noted_at <= before => found = Some((page, noted_at)),
            _ => within = middle,
        }
    }
    // Pages of a feed that is over have no place in the one that began after it.
    let is_over = |noted_at: i64| noted_at.saturating_add(KEPT_SECONDS) <= now.as_second();
    Ok(found.filter(|(_, noted_at)| !is_over(*noted_at)).map(|(page, _)| page))
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
        let page = |number: u64, is_first: bool| {
            let mark = i64::try_from(ports.environment.random() >> 1).map_err(Error::bug)?;
            let expires_at = ports.environment.now().as_second().saturating_add(KEPT_SECONDS);
            let item = Item::new(&scope.stock_change_page(number))
                .with("tenant_id", scope.tenant_id())
                .with("page", i64::try_from(number).map_err(Error::bug)?)
                .with("mark", mark)
                .with("expires_at", expires_at)
                .with_some("is_first", is_first.then_some(1))
                .with("body", body.clone());
            Ok(Write::Put { table: Table::Ledger, item, condition: Some(Condition::NotExists) })
        };
        loop {
            let (written, is_noted) = match next_page(ports, scope, page).await? {
                Step::Follow(page) => (ports.database.write(page).await, true),
                Step::Together(writes) => (ports.database.transact(writes.into()).await, true),
                Step::Agree(write) => (ports.database.write(write).await, false),
            };
            match written {
                Ok(()) if is_noted => break,
                Ok(()) => {}
                Err(error) if error.is_transient() => retries.again(&error.to_string()).await?,
                // Somebody else's, or our own whose answer was lost: then it is noted twice.
                Err(DatabaseError::ConditionFailed(_) | DatabaseError::Cancelled(_)) => {
                    retries.again("another page was noted").await?;
                }
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
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
struct Position {
    /// When it was told, in epoch seconds.
    #[serde(rename = "t")]
    at: i64,
    /// Last page of which all was told; 0 where there was none.
    #[serde(rename = "p")]
    page: u64,
    /// Its mark.
    #[serde(rename = "m")]
    mark: i64,
    /// How many names of the page after it were told, and the mark of that page.
    #[serde(rename = "n", default, skip_serializing_if = "Option::is_none")]
    part: Option<(usize, i64)>,
    /// From when on the page may be gone, in epoch seconds, where nothing followed it that is much older than `at`:
    /// then what follows it is all there though the page is not.
    #[serde(rename = "x", default, skip_serializing_if = "Option::is_none")]
    ends: Option<i64>,
}

impl Position {
    /// All was told up to a page.
    fn after(page: Option<Noted>, is_end: bool) -> Self {
        let Some(page) = page else { return Position::default() };
        let ends = is_end.then_some(page.expires_at);
        Position { at: 0, page: page.number, mark: page.mark, part: None, ends }
    }

    /// Whether its page has run out, and nothing that followed it has.
    fn may_lack_its_page(&self, now: Timestamp) -> bool {
        self.ends.is_some_and(|ends| ends <= now.as_second())
    }
}

/// What was found after a position.
struct Found {
    names: BTreeSet<(String, String)>,
    next: Position,
    /// Whether nothing was noted after it.
    at_end: bool,
}

/// Looks at some pages after a position: as many as have `wanted` names that the caller reaches, or so many that it
/// is time to answer.
async fn after(ports: &Ports, caller: &Caller, from: Position, wanted: usize) -> Result<Found> {
    let mut found = Found { names: BTreeSet::new(), next: from, at_end: false };
    let now = ports.environment.now();
    // The page that was told last is looked at again: if it is that page still, what follows is what followed.
    let mut is_told = from.page > 0;
    // When the page that was told last ends, where that is known.
    let mut ends = from.ends;
    for _ in 0..QUERIES_MAX {
        let first = if is_told { from.page } else { found.next.page.saturating_add(1) };
        let query = Query {
            range: Range::Between(TenantScope::change_page_sort(first), ":".to_owned()),
            limit: PAGES_STEP,
            ..Query::partition(Table::Ledger, caller.scope.stock_changes())
        };
        let read = ports.database.query(query).await?;
        let mut items = read.items.as_slice();
        if std::mem::take(&mut is_told) {
            let told = items.split_first().map(|(told, rest)| Noted::of(told).map(|told| (told, rest)));
            match told.transpose()? {
                Some((told, rest)) if (told.number, told.mark) == (from.page, from.mark) => {
                    items = rest;
                    ends = Some(told.expires_at);
                }
                Some((told, _)) if told.number == from.page => return Err(ahead()),
                _ if from.may_lack_its_page(now) => {}
                _ => return Err(not_there(ports, caller, from).await?),
            }
        }
        for item in items {
            let page = Noted::of(item)?;
            if page.is_over(now) {
                continue;
            }
            let may_begin = found.next.page == 0 || (found.next == from && from.may_lack_its_page(now));
            let begins = may_begin && item.opt_number("is_first").is_some();
            if page.number != found.next.page.saturating_add(1) && !begins {
                return Err(too_old());
            }
            let told = match found.next.part {
                Some((_, mark)) if mark != page.mark => return Err(ahead()),
                Some((told, _)) => told,
                None => 0,
            };
            let body: ChangePage = compact::decode(item.bytes("body")?).map_err(Error::bug)?;
            for (at, name) in body.names.iter().enumerate().skip(told) {
                if found.names.len() >= wanted {
                    found.next = Position { part: Some((at, page.mark)), ends: None, ..found.next };
                    return Ok(found);
                }
                if caller.reaches(&name.0) {
                    found.names.insert(name.clone());
                }
            }
            found.next = Position::after(Some(page), false);
            ends = Some(page.expires_at);
        }
        if read.next.is_none() && read.items.len() < usize::try_from(PAGES_STEP).unwrap_or(usize::MAX) {
            found.at_end = true;
            found.next.ends = ends;
            return Ok(found);
        }
    }
    Ok(found)
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
/// `since` nothing is told but where to begin, a minute before the end: whoever then lists the stock and goes on
/// from there has all, also what the list did not show yet.
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
    let answer = |items, next: Position, has_more| {
        let next = Position { at: began.as_second(), ..next };
        let next = serde_json::to_string(&next).map_err(Error::bug)?;
        Ok(StockChanges { items, next_since: feed.cursor(&next), has_more })
    };
    let Some(since) = &query.since else {
        let start = start(ports, &caller.scope, began).await?;
        return answer(Vec::new(), Position::after(start, true), false);
    };
    let from: Position = feed.typed_position(since)?;
    if began.as_second().saturating_sub(from.at) > KEPT_SECONDS - LEEWAY_SECONDS {
        return Err(too_old());
    }
    let until = began.checked_add(Duration::from_secs(wait.into())).map_err(Error::bug)?;
    let mut found = after(ports, caller, from, wanted).await?;
    while found.names.is_empty() && ports.environment.now() < until {
        if found.at_end {
            let left = Duration::try_from(until.duration_since(ports.environment.now())).unwrap_or_default();
            ports.environment.sleep(left.min(LOOK_EVERY)).await;
        }
        found = after(ports, caller, found.next, wanted).await?;
    }
    let names: Vec<StockName> =
        found.names.into_iter().map(|(location_id, sku)| StockName { location_id, sku }).collect();
    let now: Timestamp = ports.environment.now();
    // As strong as the feed: an older copy would never be told again.
    let read = read_many(ports, &caller.scope, names, Consistency::Strong, now).await?;
    let items = read.iter().map(|(name, counters)| level(&name.location_id, &name.sku, counters)).collect();
    answer(items, found.next, !found.at_end)
}

/// Why the page of a position is not there: the feed never came so far, or it is gone.
async fn not_there(ports: &Ports, caller: &Caller, from: Position) -> Result<Error> {
    let (last, _) = last_page(ports, &caller.scope).await?;
    Ok(if last.is_some_and(|last| last.number < from.page) { ahead() } else { too_old() })
}

fn ahead() -> Error {
    let detail =
        "the feed did not come to this: it was restored; list the stock, and begin anew without since";
    Refusal::conflict("since_ahead", detail).into()
}
