//! Suppliers: made and changed by API or feed, read, listed.

use tillstream_contracts::suppliers::SupplierBody;
use tillstream_domain::identifier::check_id;
use tillstream_domain::supplier::Supplier;

use crate::cursor::{PagedQuery, limit};
use crate::database::{Consistency, Get, Index, Item, Range, Table, Write};
use crate::error::{Error, Refusal, Result};
use crate::ports::Ports;
use crate::tenancy::{Caller, Role, TenantScope};

use super::attempt::{ATTEMPTS_MAX, Attempt, attempt, pause};
use super::index_walk::{IndexWalk, Page};
use super::products::{CATALOG_WRITERS, PutOutcome};
use super::put_record::{PutIdentity, Puts};
use super::standing::{Standing, is_deleted};
use super::supplier_rules::supplier_from;

/// Who may look: what goods cost, and whom to call, is nobody's business at a till.
pub const SUPPLIER_READERS: &[Role] =
    &[Role::StoreManager, Role::WarehouseStaff, Role::FranchiseOwner, Role::Analyst, Role::Integration];

/// Item of a supplier.
///
/// # Errors
/// A bug if it cannot be JSON.
pub fn supplier_item(scope: &TenantScope, supplier: &Supplier) -> Result<Item> {
    Item::new(&scope.supplier(&supplier.id))
        .with("kind", "supplier")
        .with("version", i64::try_from(supplier.version).unwrap_or(i64::MAX))
        .with("list_pk", scope.list_of("suppliers").value())
        .with("list_sk", supplier.id.as_str())
        .with_json("data", supplier)
}

/// Reads what may be a supplier: nothing where there is no item, or only the mark of a deleted one.
///
/// # Errors
/// A bug if the item is not a supplier.
pub fn supplier_of(item: Option<&Item>) -> Result<Option<Supplier>> {
    item.filter(|item| !is_deleted(item)).map(|item| item.json("data")).transpose()
}

fn not_found() -> Refusal {
    Refusal::not_found("supplier_not_found", "no supplier has this id")
}

fn supplier_get(scope: &TenantScope, id: &str) -> Get {
    Get { table: Table::Catalog, key: scope.supplier(id), consistency: Consistency::Strong }
}

/// A supplier, if there is one of this id.
///
/// # Errors
/// As the database.
pub(crate) async fn find(ports: &Ports, scope: &TenantScope, id: &str) -> Result<Option<Supplier>> {
    if check_id(id).is_err() {
        return Ok(None);
    }
    supplier_of(ports.database.get(supplier_get(scope, id)).await?.as_ref())
}

/// A supplier that a request names in `field`.
///
/// # Errors
/// 422 `id_malformed`, `supplier_unknown`.
pub(crate) async fn named(ports: &Ports, scope: &TenantScope, field: &str, id: &str) -> Result<Supplier> {
    crate::fields::id(field, id)?;
    let message = || format!("there is no supplier {id}; make it first");
    let found = find(ports, scope, id).await?;
    Ok(found.ok_or_else(|| Refusal::field(field, "supplier_unknown", message()))?)
}

/// A supplier.
///
/// # Errors
/// 403 `role_required`; 404 `supplier_not_found`.
pub async fn get(ports: &Ports, caller: &Caller, id: &str) -> Result<Supplier> {
    caller.require_role(SUPPLIER_READERS)?;
    Ok(find(ports, &caller.scope, id).await?.ok_or_else(not_found)?)
}

/// A page of suppliers by id.
///
/// # Errors
/// 403 `role_required`; 422 `limit_out_of_range`; 400 `cursor_malformed`; [`Error::Retryable`].
pub async fn list(
    ports: &Ports,
    caller: &Caller,
    asked: Option<u32>,
    cursor: Option<&str>,
) -> Result<Page<Supplier>> {
    caller.require_role(SUPPLIER_READERS)?;
    let scope = &caller.scope;
    let walk = IndexWalk {
        scope,
        kind: "supplier",
        key_of: TenantScope::supplier,
        index: Index::ByList,
        partition: scope.list_of("suppliers"),
        range: Range::All,
        paged: PagedQuery::new(scope, "suppliers", []),
        limit: limit(asked)?,
    };
    walk.page(ports, cursor, |item| supplier_of(Some(item))).await
}

/// Makes a supplier, which must not be there. A repeated request answers the same without writing.
///
/// # Errors
/// 409 `supplier_exists`; those of [`put`].
pub async fn create(
    ports: &Ports,
    caller: &Caller,
    body: SupplierBody,
    idempotency_key: &str,
) -> Result<PutOutcome<Supplier>> {
    let id = body.id.clone();
    put(ports, caller, &id, body, idempotency_key, |current| match current {
        None => Ok(()),
        Some(_) => {
            let detail = "there is such a supplier already; change it with PUT /v1/suppliers/{id}";
            Err(Refusal::conflict("supplier_exists", detail))
        }
    })
    .await
}

/// Writes a whole supplier. A repeated request answers the same without writing. `precondition` hears the version
/// that is there (none where there is nothing) and may refuse; where it takes any, the last writer wins.
///
/// # Errors
/// 403 `role_required`; 404 `supplier_not_found` of a repeated request whose supplier was deleted since; 422
/// `field_invalid`, `idempotency_key_reused`; what `precondition` refuses; [`Error::Conflict`] after too many lost
/// races.
pub async fn put(
    ports: &Ports,
    caller: &Caller,
    id: &str,
    body: SupplierBody,
    idempotency_key: &str,
    precondition: impl Fn(Option<u64>) -> Result<(), Refusal> + Send + Sync,
) -> Result<PutOutcome<Supplier>> {
    caller.require_role(CATALOG_WRITERS)?;
    let scope = &caller.scope;
    if body.id != id {
        let message = "the id in the body is not the one that is addressed";
        return Err(Refusal::field("id", "id_mismatch", message).into());
    }
    let identity = PutIdentity::new(idempotency_key, &body)?;
    let mut supplier = supplier_from(body)?;
    let now = ports.environment.now();
    let mut unknown = false;
    for number in 1..=ATTEMPTS_MAX {
        let old = ports.database.get(supplier_get(scope, &supplier.id)).await?;
        let puts = Puts::of(old.as_ref())?;
        let standing = Standing::of(old.as_ref());
        if let Some(created) = puts.seen(identity)? {
            let now = supplier_of(old.as_ref())?.ok_or_else(not_found)?;
            return Ok(PutOutcome { now, created, replayed: !unknown });
        }
        let version = u64::try_from(standing.version()).map_err(Error::bug)?;
        precondition(standing.is_there().then_some(version))?;
        let created = !standing.is_there();
        supplier.version = u64::try_from(standing.next_version(None)).map_err(Error::bug)?;
        let item = supplier_item(scope, &supplier)?.with_some("feed_version", standing.feed_version());
        let item = puts.with(identity, created, now).into_item(item)?;
        let condition = Some(standing.unchanged());
        match attempt(ports, vec![Write::Put { table: Table::Catalog, item, condition }]).await? {
            Attempt::Done => return Ok(PutOutcome { now: supplier, created, replayed: false }),
            Attempt::Unknown => unknown = true,
            Attempt::Failed { .. } | Attempt::Busy => {}
        }
        pause(ports, number).await;
    }
    Err(Error::Conflict(format!("supplier {} is being changed by others", supplier.id)))
}
