//! Locations: made by API or feed, read, listed.

use tillstream_contracts::catalog::LocationBody;
use tillstream_domain::identifier::check_id;
use tillstream_domain::location::{Location, LocationKind};

use crate::cursor::{PagedQuery, limit};
use crate::database::{Consistency, Get, Index, Item, Range, Table, Write};
use crate::error::{Error, Refusal, Result};
use crate::ports::Ports;
use crate::tenancy::{Caller, TenantScope};

use super::attempt::{ATTEMPTS_MAX, Attempt, attempt, insist, pause};
use super::index_walk::{IndexWalk, Page};
use super::items::{
    REGISTERS_EVER, kind_changed, location_if_any, location_item, location_not_found, registers_ever,
};
use super::location_rules::location_from;
use super::location_stock::location_stock_writes;
use super::products::{CATALOG_WRITERS, PutOutcome};
use super::put_record::{PutIdentity, Puts};
use super::standing::Standing;

pub(crate) fn location_get(scope: &TenantScope, id: &str) -> Get {
    Get { table: Table::Catalog, key: scope.location(id), consistency: Consistency::Strong }
}

/// A location.
///
/// # Errors
/// 404 `location_not_found`.
pub async fn get(ports: &Ports, scope: &TenantScope, id: &str) -> Result<Location> {
    check_id(id).map_err(|_| location_not_found())?;
    let item = ports.database.get(location_get(scope, id)).await?;
    Ok(location_if_any(item.as_ref())?.ok_or_else(location_not_found)?)
}

/// A page of locations by id, of one kind or of all.
///
/// # Errors
/// 422 `limit_out_of_range`; 400 `cursor_malformed`; [`Error::Retryable`].
pub async fn list(
    ports: &Ports,
    scope: &TenantScope,
    kind: Option<LocationKind>,
    asked: Option<u32>,
    cursor: Option<&str>,
) -> Result<Page<Location>> {
    let filter = match kind {
        None => "all",
        Some(LocationKind::Store) => "store",
        Some(LocationKind::Warehouse) => "warehouse",
    };
    let walk = IndexWalk {
        scope,
        kind: "location",
        key_of: TenantScope::location,
        index: Index::ByList,
        partition: scope.list_of("locations"),
        range: Range::All,
        paged: PagedQuery::new(scope, "locations", [filter]),
        limit: limit(asked)?,
    };
    walk.page(ports, cursor, |item| {
        Ok(location_if_any(Some(item))?.filter(|location| kind.is_none_or(|kind| location.kind == kind)))
    })
    .await
}

/// Makes a location. A repeated request answers the same without writing.
///
/// # Errors
/// 403 `role_required`, `store_out_of_reach`; 422 `field_invalid`, `kind_fixed`,
/// `idempotency_key_reused`; 409 `location_exists`; [`Error::Conflict`] after too many lost races.
pub async fn create(
    ports: &Ports,
    caller: &Caller,
    body: LocationBody,
    idempotency_key: &str,
) -> Result<PutOutcome<Location>> {
    caller.require_role(CATALOG_WRITERS)?;
    let scope = &caller.scope;
    let identity = PutIdentity::new(idempotency_key, &body)?;
    let mut location = location_from(body)?;
    caller.require_store(&location.id)?;
    register_tenant(ports, scope).await?;
    let now = ports.environment.now();
    let mut unknown = false;
    for number in 1..=ATTEMPTS_MAX {
        let old = ports.database.get(location_get(scope, &location.id)).await?;
        let puts = Puts::of(old.as_ref())?;
        let standing = Standing::of(old.as_ref());
        if let Some(created) = puts.seen(identity)? {
            let now = location_if_any(old.as_ref())?.ok_or_else(location_not_found)?;
            return Ok(PutOutcome { now, created, replayed: !unknown });
        }
        if standing.is_there() {
            return Err(Refusal::conflict(
                "location_exists",
                format!("there is a location {} already; send its changes through the feed", location.id),
            )
            .into());
        }
        if let Some(message) = kind_changed(&location, old.as_ref())? {
            return Err(Refusal::field("kind", "kind_fixed", message).into());
        }
        location.version = u64::try_from(standing.next_version(None)).map_err(Error::bug)?;
        let item = location_item(scope, &location)?.with_some("feed_version", standing.feed_version());
        let item = puts.with(identity, true, now).into_item(item)?;
        let with = location_stock_writes(scope, &location.id, Some(&location), old.as_ref())?;
        match write_location(ports, old.as_ref(), item, with).await? {
            Attempt::Done => return Ok(PutOutcome { now: location, created: true, replayed: false }),
            Attempt::Unknown => unknown = true,
            Attempt::Failed { .. } | Attempt::Busy => {}
        }
        pause(ports, number).await;
    }
    Err(Error::Conflict(format!("location {} is being changed by others", location.id)))
}

/// Writes a location's item (or tombstone) over `old`, which must be unchanged, with what goes with it. What it ever
/// had for a register stays with it: the numbers that these gave out are looked after for good.
///
/// # Errors
/// A bug if the database refuses the request itself.
pub(crate) async fn write_location(
    ports: &Ports,
    old: Option<&Item>,
    item: Item,
    with: Vec<Write>,
) -> Result<Attempt> {
    let condition = Some(Standing::of(old).unchanged());
    let mut ever = registers_ever(&item)?;
    if let Some(old) = old {
        ever.extend(registers_ever(old)?);
    }
    let item = if ever.is_empty() { item } else { item.with_json(REGISTERS_EVER, &ever)? };
    let mut writes = vec![Write::Put { table: Table::Catalog, item, condition }];
    writes.extend(with);
    attempt(ports, writes).await
}

/// Enters the tenant into the registry, so that scheduled work finds it. Done before its first location
/// is written: a tenant without locations does no harm there, a location without its tenant would be
/// forgotten.
///
/// # Errors
/// [`Error::Retryable`].
pub(crate) async fn register_tenant(ports: &Ports, scope: &TenantScope) -> Result<()> {
    let item = Item::new(&scope.registry_entry()).with("kind", "tenant").with("tenant_id", scope.tenant_id());
    insist(ports, Write::Put { table: Table::Catalog, item, condition: None }).await
}
