//! Deliveries as people see them: lists, and one with its attempts and payload.

use tillstream_contracts::dispatch::{DeliveryDetail, DeliveryFilter, DeliveryPage, DeliveryStatus};

use crate::cursor::{self, PagedQuery};
use crate::database::{Consistency, Get, Index, Item, Key, Query, Range, StartKey, Table};
use crate::dispatch::HQ;
use crate::dispatch::delivery::{Delivery, attempt_view, delivery_id, load};
use crate::dispatch::message::read_message;
use crate::dispatch::subject::{id_in, is_subject};
use crate::error::{Error, Refusal, RefusalKind, Result};
use crate::fields;
use crate::ports::Ports;
use crate::tenancy::{Caller, Role, TenantScope};

/// Roles that may see deliveries, beside the operator.
pub const READERS: [Role; 2] = [Role::StoreManager, Role::Integration];

/// Attempts that are shown, the last ones.
const ATTEMPTS_SHOWN: usize = 500;

/// Index entries looked at for one page; a rare filter goes on at the cursor.
pub(super) const SCAN_MAX: usize = 2_000;

/// What a list or a replay of many selects by.
#[derive(Debug, Clone, Copy)]
pub(super) struct Selection<'a> {
    pub destination: Option<&'a str>,
    pub order_id: Option<&'a str>,
    pub store_id: Option<&'a str>,
}

impl Selection<'_> {
    /// Checks what the caller sent.
    pub fn check(&self) -> Result<()> {
        if self.destination.is_some_and(|destination| destination != HQ) {
            return Err(
                Refusal::field("destination", "destination_unknown", "the destination is `hq`").into()
            );
        }
        if let Some(order_id) = self.order_id {
            fields::id("order_id", id_in(order_id))?;
        }
        self.store_id.map_or(Ok(()), |store_id| fields::id("store_id", store_id))
    }

    /// As parts of a query's identity.
    pub fn parts(&self) -> [&str; 3] {
        [self.destination, self.order_id, self.store_id].map(|part| part.unwrap_or_default())
    }

    /// Whether it takes `delivery`, which is in the caller's reach.
    pub fn takes(&self, delivery: &Delivery, caller: &Caller) -> bool {
        let store_id = &delivery.lane_number.lane.store_id;
        caller.reaches(store_id)
            && self.store_id.is_none_or(|wanted| wanted == store_id)
            && self.order_id.is_none_or(|wanted| wanted == delivery.order_id)
    }
}

/// Lists deliveries.
///
/// # Errors
/// 400 `cursor_malformed`; 403 `role_required`; 422 `limit_out_of_range`, `destination_unknown`,
/// `id_malformed`.
pub async fn list(ports: &Ports, caller: &Caller, filter: DeliveryFilter) -> Result<DeliveryPage> {
    caller.require_role(&READERS)?;
    let limit = usize::try_from(cursor::limit(filter.limit)?).map_err(Error::bug)?;
    let selection = Selection {
        destination: filter.destination.as_deref(),
        order_id: filter.order_id.as_deref(),
        store_id: None,
    };
    selection.check()?;
    let status = filter.status.map_or("", DeliveryStatus::name);
    let query = PagedQuery::new(&caller.scope, "deliveries", selection.parts().into_iter().chain([status]));
    let position = filter.cursor.as_deref().map(|cursor| query.position(cursor)).transpose()?;
    let (found, next) = match selection.order_id {
        Some(order_id) => of_order(ports, &caller.scope, order_id, position.as_deref(), limit).await?,
        None => by_status(ports, caller, &selection, filter.status, position.as_deref(), limit).await?,
    };
    let wanted = |delivery: &&Delivery| {
        selection.takes(delivery, caller) && filter.status.is_none_or(|status| delivery.status == status)
    };
    Ok(DeliveryPage {
        items: found.iter().filter(wanted).map(Delivery::view).collect(),
        next_cursor: next.map(|position| query.cursor(&position)),
    })
}

fn bad_position() -> Refusal {
    Refusal::new(RefusalKind::Malformed, "cursor_malformed", "the cursor is not one of this list")
}

/// Deliveries of one order by version, and where to go on.
pub(super) async fn of_order(
    ports: &Ports,
    scope: &TenantScope,
    order_id: &str,
    position: Option<&str>,
    limit: usize,
) -> Result<(Vec<Delivery>, Option<String>)> {
    let after: u32 = position.map(str::parse).transpose().map_err(|_| bad_position())?.unwrap_or(0);
    let last = after.saturating_add(u32::try_from(limit).map_err(Error::bug)?);
    let keys = (after.saturating_add(1)..=last)
        .map(|version| scope.delivery(&delivery_id(order_id, version)))
        .collect();
    let found = read_all(ports, keys).await?;
    let more = found.last().is_some_and(|delivery| delivery.order_version == last);
    Ok((found, more.then(|| last.to_string())))
}

async fn read_all(ports: &Ports, keys: Vec<Key>) -> Result<Vec<Delivery>> {
    let gets = keys
        .into_iter()
        .map(|key| Get { table: Table::Dispatch, key, consistency: Consistency::Strong })
        .collect();
    let items = ports.database.get_many(gets).await?;
    items.iter().flatten().map(Delivery::of).collect()
}

/// Deliveries by status, within it the latest change first, and where to go on.
async fn by_status(
    ports: &Ports,
    caller: &Caller,
    selection: &Selection<'_>,
    status: Option<DeliveryStatus>,
    position: Option<&str>,
    limit: usize,
) -> Result<(Vec<Delivery>, Option<String>)> {
    let all: Vec<DeliveryStatus> = status.map_or(DeliveryStatus::ALL.to_vec(), |status| vec![status]);
    let (mut at, mut after) = match position {
        None => (0, None),
        Some(position) => {
            let (name, sort_key) = position.split_once('|').ok_or_else(bad_position)?;
            let at = all.iter().position(|status| status.name() == name).ok_or_else(bad_position)?;
            (at, (!sort_key.is_empty()).then(|| sort_key.to_owned()))
        }
    };
    let (mut found, mut scanned) = (Vec::new(), 0);
    while let Some(status) = all.get(at) {
        if found.len() >= limit || scanned >= SCAN_MAX {
            return Ok((found, Some(format!("{}|{}", status.name(), after.unwrap_or_default()))));
        }
        let page = StatusPage { status: *status, ascending: false, until: None, after };
        let (deliveries, next) = page.read(ports, &caller.scope, limit - found.len()).await?;
        scanned += deliveries.len().max(1);
        // The index is a moment behind: what has changed its status since is in another list now.
        found.extend(
            deliveries
                .into_iter()
                .filter(|delivery| delivery.status == *status && selection.takes(delivery, caller)),
        );
        if next.is_none() {
            at += 1;
        }
        after = next;
    }
    Ok((found, None))
}

/// A page of the index by status.
pub(super) struct StatusPage {
    pub status: DeliveryStatus,
    pub ascending: bool,
    /// Not beyond this sort key.
    pub until: Option<String>,
    /// Sort key of the last entry of the page before.
    pub after: Option<String>,
}

impl StatusPage {
    /// Reads it: the deliveries as they stand now, and the sort key to go on after.
    pub async fn read(
        self,
        ports: &Ports,
        scope: &TenantScope,
        limit: usize,
    ) -> Result<(Vec<Delivery>, Option<String>)> {
        let partition = scope.deliveries_by_status(self.status.name());
        let start = self.after.as_deref().map(|after| start_key(scope, self.status, after)).transpose()?;
        let mut query = Query::index(Table::Dispatch, Index::ByStatus, partition);
        query.ascending = self.ascending;
        query.limit = u32::try_from(limit).map_err(Error::bug)?;
        query.start = start;
        if let Some(until) = self.until {
            query.range = Range::Between("0".to_owned(), until);
        }
        let page = ports.database.query(query).await?;
        let keys = page.items.iter().map(Key::of).collect::<Result<Vec<_>>>()?;
        let last = page.items.last().map(|item| item.text("status_sk").map(str::to_owned)).transpose()?;
        let deliveries = read_all(ports, keys).await?;
        Ok((deliveries, last.filter(|_| page.next.is_some())))
    }
}

/// Built from the caller's own scope: a cursor cannot lead into another tenant's partition.
fn start_key(scope: &TenantScope, status: DeliveryStatus, sort_key: &str) -> Result<StartKey> {
    let (_, id) = sort_key.split_once('#').ok_or_else(bad_position)?;
    let item = Item::new(&scope.delivery(id))
        .with("status_pk", scope.deliveries_by_status(status.name()).value())
        .with("status_sk", sort_key);
    Ok(StartKey(item.0.into()))
}

fn not_found(id: &str) -> Refusal {
    Refusal::not_found("delivery_not_found", format!("there is no delivery {id}"))
}

/// Order id and version of a delivery id.
pub(super) fn parse_id(id: &str) -> Option<(&str, u32)> {
    let (order_id, version) = id.rsplit_once('.')?;
    let version: u32 = version.parse().ok()?;
    let ours = version > 0 && is_subject(order_id) && delivery_id(order_id, version) == id;
    ours.then_some((order_id, version))
}

/// Reads a delivery in the caller's reach.
pub(super) async fn find(ports: &Ports, caller: &Caller, id: &str) -> Result<Option<Delivery>> {
    if parse_id(id).is_none() {
        return Ok(None);
    }
    let delivery = load(ports, caller.scope.delivery(id)).await?;
    Ok(delivery.filter(|delivery| caller.reaches(&delivery.lane_number.lane.store_id)))
}

/// A delivery with every attempt and what is sent.
///
/// # Errors
/// 403 `role_required`; 404 `delivery_not_found`, also where its store is out of the caller's reach.
pub async fn get(ports: &Ports, caller: &Caller, id: &str) -> Result<DeliveryDetail> {
    caller.require_role(&READERS)?;
    let delivery = find(ports, caller, id).await?.ok_or_else(|| not_found(id))?;
    detail(ports, &delivery).await
}

/// A dead letter with every attempt and what is sent.
///
/// # Errors
/// 403 `role_required`; 404 `dead_letter_not_found`, also where it is none any more or its store is out
/// of the caller's reach.
pub async fn get_dead_letter(ports: &Ports, caller: &Caller, id: &str) -> Result<DeliveryDetail> {
    caller.require_role(&READERS)?;
    match find(ports, caller, id).await? {
        Some(delivery) if delivery.status == DeliveryStatus::Dead => detail(ports, &delivery).await,
        other => Err(no_dead_letter(id, other.as_ref()).into()),
    }
}

/// The refusal where there is no dead letter of this id.
pub(super) fn no_dead_letter(id: &str, delivery: Option<&Delivery>) -> Refusal {
    let detail = match delivery {
        Some(delivery) => format!("delivery {id} is {}, not a dead letter", delivery.status.name()),
        None => format!("there is no dead letter {id}"),
    };
    Refusal::not_found("dead_letter_not_found", detail)
}

async fn detail(ports: &Ports, delivery: &Delivery) -> Result<DeliveryDetail> {
    let mut query = Query::partition(Table::Dispatch, delivery.scope.delivery_parts(&delivery.id()));
    query.range = Range::BeginsWith("attempt#".to_owned());
    query.ascending = false;
    let mut attempts = Vec::new();
    loop {
        query.limit = u32::try_from(ATTEMPTS_SHOWN - attempts.len()).map_err(Error::bug)?;
        let page = ports.database.query(query.clone()).await?;
        for item in &page.items {
            attempts.push(attempt_view(item)?);
        }
        match page.next {
            Some(next) if attempts.len() < ATTEMPTS_SHOWN => query.start = Some(next),
            _ => break,
        }
    }
    attempts.reverse();
    let (payload, payload_error) = match read_message(ports, delivery).await? {
        Ok(message) => (Some(message), None),
        Err(error) => (None, Some(error.to_string())),
    };
    Ok(DeliveryDetail { delivery: delivery.view(), attempt_log: attempts, payload, payload_error })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_delivery_id_is_an_order_id_and_a_version() {
        assert_eq!(parse_id("c-1.2"), Some(("c-1", 2)));
        assert_eq!(parse_id("a.b.1"), Some(("a.b", 1)));
        assert_eq!(parse_id("~sh-1.1"), Some(("~sh-1", 1)));
        assert_eq!(parse_id("_backorder:b.1.2"), Some(("_backorder:b.1", 2)));
        for bad in ["", "c-1", "c-1.0", "c-1.01", "c-1.+1", ".1", "a#b.1", "c-1.99999999999"] {
            assert_eq!(parse_id(bad), None, "{bad}");
        }
    }
}
