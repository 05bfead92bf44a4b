//! Stock exceptions: where a count or a raised safety stock left less than is promised. Open until a
//! later count or feed line finds enough; somebody has to look at each.

use jiff::Timestamp;

use crate::database::{Item, Query, Table, Write};
use crate::error::{Error, Result};
use crate::ports::Ports;
use crate::tenancy::TenantScope;

/// An open exception.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StockException {
    /// Where.
    pub location_id: String,
    /// What.
    pub sku: String,
    /// `available` as the count left it, in thousandths; below zero.
    pub available: i64,
    /// The count or feed line that found it.
    pub reference: String,
    /// When.
    pub opened_at: Timestamp,
}

/// What a count or feed line that leaves `available` at this has to write beside the stock item, in its
/// own transaction: the exception opens, or closes if there was one.
pub fn exception_write(
    scope: &TenantScope,
    location_id: &str,
    sku: &str,
    available: i64,
    reference: &str,
    now: Timestamp,
) -> Write {
    let key = scope.stock_exception(location_id, sku);
    if available >= 0 {
        return Write::Delete { table: Table::Stock, key, condition: None };
    }
    let item = Item::new(&key)
        .with("tenant_id", scope.tenant_id())
        .with("location_id", location_id)
        .with("sku", sku)
        .with("available", available)
        .with("reference", reference)
        .with("opened_at", now.as_millisecond());
    Write::Put { table: Table::Stock, item, condition: None }
}

/// The open exceptions of a tenant, at most `limit`.
///
/// # Errors
/// As the database.
pub async fn open_exceptions(ports: &Ports, scope: &TenantScope, limit: u32) -> Result<Vec<StockException>> {
    let query = Query { limit, ..Query::partition(Table::Stock, scope.stock_exceptions()) };
    let page = ports.database.query(query).await?;
    page.items
        .iter()
        .map(|item| {
            Ok(StockException {
                location_id: item.text("location_id")?.to_owned(),
                sku: item.text("sku")?.to_owned(),
                available: item.number("available")?,
                reference: item.text("reference")?.to_owned(),
                opened_at: Timestamp::from_millisecond(item.number("opened_at")?).map_err(Error::bug)?,
            })
        })
        .collect()
}
