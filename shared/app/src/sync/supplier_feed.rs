//! The feed of suppliers.

use async_trait::async_trait;
use tillstream_contracts::suppliers::SupplierBody;
use tillstream_domain::supplier::Supplier;

use super::line::{BadLine, Line, check_same_id};
use super::record_feed::RecordFeed;
use crate::catalog::supplier_rules::supplier_from;
use crate::catalog::suppliers::supplier_item;
use crate::database::{Item, Key};
use crate::error::Result;
use crate::tenancy::TenantScope;

/// Suppliers, by their ids.
pub(super) struct Suppliers;

#[async_trait]
impl RecordFeed for Suppliers {
    type Record = Supplier;
    const WHAT: &'static str = "supplier";

    fn record_of(&self, line: &Line) -> Result<Supplier, BadLine> {
        let supplier = supplier_from(line.data::<SupplierBody>(Some("id"))?)?;
        check_same_id("id", Some(&supplier.id), line)?;
        Ok(supplier)
    }

    fn key(&self, scope: &TenantScope, id: &str) -> Key {
        scope.supplier(id)
    }

    fn item(&self, scope: &TenantScope, record: &Supplier, version: u64) -> Result<Item> {
        supplier_item(scope, &Supplier { version, ..record.clone() })
    }
}
