//! Reading shifts: one, or lists by store, newest first.

use jiff::Timestamp;
use tillstream_contracts::till::{ShiftFilter, ShiftPage, ShiftView};
use tillstream_domain::till::Shift;

use super::refusals::shift_not_found;
use super::shift_item::{register_in, shift_get, shift_of};
use super::view;
use crate::catalog::reach::stores_in_reach;
use crate::cursor::{self, PagedQuery};
use crate::database::{Consistency, Get, Index, Item, Key, Query, Range, Table};
use crate::error::{Error, Refusal, Result};
use crate::fields::id;
use crate::orders::read::READERS;
use crate::ports::Ports;
use crate::pos::lane_write::{LaneState, lane_get};
use crate::tenancy::{Caller, TenantScope};

/// Most stores one list goes over; above, name one.
const STORES_MAX: usize = 50;
/// Index entries of one store looked at for one page; a rare filter goes on at the cursor. A store of 20
/// registers has some 60 shifts a day.
const SCAN_MAX: usize = 2_000;

/// A shift, and its lane as of the same moment.
pub(crate) struct ShiftRead {
    /// It.
    pub(crate) shift: Shift,
    /// Its lane. Not read where the shift is closed, which keeps the lane of its closing.
    pub(crate) lane: LaneState,
    /// When it was written last, by our clock: of a closed one, when it was closed.
    pub(crate) written_at: Option<Timestamp>,
}

impl ShiftRead {
    fn of(shift: &Item, lane: Option<&Item>) -> Result<Self> {
        let written_at =
            shift.opt_text("written_at").map(str::parse::<Timestamp>).transpose().map_err(Error::bug)?;
        Ok(ShiftRead { shift: shift_of(shift)?, lane: LaneState::of(lane)?, written_at })
    }
}

/// A shift in the caller's reach, with its lane.
///
/// # Errors
/// 404 `shift_not_found`; 403; 422.
pub(super) async fn find(ports: &Ports, caller: &Caller, shift_id: &str) -> Result<(Shift, LaneState)> {
    caller.require_role(&READERS)?;
    id("id", shift_id)?;
    let read = in_reach(ports, caller, shift_id).await?.ok_or_else(|| shift_not_found(shift_id))?;
    Ok((read.shift, read.lane))
}

/// A shift with its lane; `None` where there is none or it is out of the caller's reach.
///
/// # Errors
/// Those of the database.
pub(crate) async fn in_reach(ports: &Ports, caller: &Caller, shift_id: &str) -> Result<Option<ShiftRead>> {
    let scope = &caller.scope;
    let Some(item) = ports.database.get(shift_get(scope, shift_id)).await? else { return Ok(None) };
    let read = ShiftRead::of(&item, None)?;
    if !caller.reaches(&read.shift.store_id) {
        return Ok(None);
    }
    if read.shift.closing.is_some() {
        return Ok(Some(read));
    }
    // As of one moment: it may be closed in between.
    let lane = lane_get(scope, &read.shift.store_id, &read.shift.register_id);
    let both = ports.database.get_together(vec![shift_get(scope, shift_id), lane]).await?;
    let at = |position: usize| both.get(position).and_then(Option::as_ref);
    at(0).map(|shift| ShiftRead::of(shift, at(1))).transpose()
}

/// One shift with its movements and its report.
///
/// # Errors
/// 404 `shift_not_found` also where it is out of the caller's reach; 403; 422.
pub async fn get(ports: &Ports, caller: &Caller, shift_id: &str) -> Result<(ShiftView, u64)> {
    let (shift, lane) = find(ports, caller, shift_id).await?;
    Ok((view::full(&shift, &lane.mark(), ports.environment.now()), shift.version))
}

/// A page of shifts, newest opening first, without their movements.
///
/// # Errors
/// 400 `cursor_malformed`; 403 for a store out of reach; 404 `store_not_found`; 422 for filters.
pub async fn list(ports: &Ports, caller: &Caller, filter: ShiftFilter) -> Result<ShiftPage> {
    caller.require_role(&READERS)?;
    let limit = usize::try_from(cursor::limit(filter.limit)?).map_err(Error::bug)?;
    for (name, value) in [("store_id", &filter.store_id), ("register_id", &filter.register_id)] {
        value.as_deref().map_or(Ok(()), |value| id(name, value))?;
    }
    if filter.register_id.is_some() && filter.store_id.is_none() {
        let message = "a register is one of a store; name that, too";
        return Err(Refusal::field("store_id", "store_required", message).into());
    }
    let state = filter.state.map(tillstream_contracts::till::ShiftState::name);
    let parts = [filter.store_id.as_deref(), filter.register_id.as_deref(), state];
    let paged = PagedQuery::new(&caller.scope, "shifts", parts.map(|part| part.unwrap_or("\u{0}")));
    let after = filter.cursor.as_deref().map(|cursor| paged.position(cursor)).transpose()?;
    let Some(stores) = stores_in_reach(ports, caller, filter.store_id.as_deref(), STORES_MAX).await? else {
        let message = format!("there are more than {STORES_MAX} stores; name one");
        return Err(Refusal::field("store_id", "store_required", message).into());
    };
    let wanted = Wanted { register_id: filter.register_id.as_deref(), state, after: after.as_deref(), limit };
    let mut entries = Vec::new();
    // No entry below the latest end of a walk that had to stop may be shown before that walk goes on.
    let mut horizon: Option<String> = None;
    for store in &stores {
        let (found, stopped) = wanted.walk(ports, &caller.scope, &store.id).await?;
        entries.extend(found);
        horizon = horizon.max(stopped);
    }
    entries.sort_by(|(a, _), (b, _)| b.cmp(a));
    if let Some(horizon) = &horizon {
        entries.retain(|(sort, _)| sort >= horizon);
    }
    let more = entries.len() > limit;
    entries.truncate(limit);
    let position = match entries.last() {
        Some((sort, _)) if more => Some(sort.clone()),
        _ => horizon,
    };
    let gets = entries
        .into_iter()
        .map(|(_, key)| Get { table: Table::Orders, key, consistency: Consistency::Eventual })
        .collect();
    let mut items = Vec::new();
    for item in ports.database.get_many(gets).await?.iter().flatten() {
        items.push(view::headline(&shift_of(item)?));
    }
    Ok(ShiftPage { items, next_cursor: position.map(|position| paged.cursor(&position)) })
}

/// What a list is after.
struct Wanted<'a> {
    register_id: Option<&'a str>,
    state: Option<&'a str>,
    after: Option<&'a str>,
    limit: usize,
}

impl Wanted<'_> {
    /// The newest shifts of a store, one more than a page if there are so many: sort keys and keys. And the
    /// sort key that was looked at last, where more would have been too many to look at.
    async fn walk(
        &self,
        ports: &Ports,
        scope: &TenantScope,
        store_id: &str,
    ) -> Result<(Vec<(String, Key)>, Option<String>)> {
        let mut query = Query {
            range: self.after.map_or(Range::All, |after| Range::Between("0".to_owned(), after.to_owned())),
            ascending: false,
            limit: 200,
            ..Query::index(Table::Orders, Index::ByStore, scope.store_shifts(store_id))
        };
        let (mut found, mut seen, mut last) = (Vec::new(), 0, None);
        loop {
            let page = ports.database.query(query.clone()).await?;
            for item in &page.items {
                let sort = item.text("store_sk")?;
                seen += 1;
                last = Some(sort.to_owned());
                if self.takes(item, sort) {
                    found.push((sort.to_owned(), Key::of(item)?));
                }
                if found.len() > self.limit {
                    return Ok((found, None));
                }
            }
            match page.next {
                Some(_) if seen >= SCAN_MAX => return Ok((found, last)),
                Some(next) => query.start = Some(next),
                None => return Ok((found, None)),
            }
        }
    }

    fn takes(&self, item: &Item, sort: &str) -> bool {
        // The cursor's own shift was on the page before.
        self.after != Some(sort)
            && self.register_id.is_none_or(|wanted| register_in(sort) == Some(wanted))
            && self.state.is_none_or(|wanted| item.opt_text("status") == Some(wanted))
    }
}
