//! The feed of customers.

use async_trait::async_trait;
use tillstream_domain::customer::Customer;

use super::line::{BadLine, Line};
use super::record_feed::RecordFeed;
use super::rule_lines::customer_of_line;
use crate::catalog::items::customer_item;
use crate::database::{Item, Key};
use crate::error::Result;
use crate::tenancy::TenantScope;

/// Customers, by their ids.
pub(super) struct Customers;

#[async_trait]
impl RecordFeed for Customers {
    type Record = Customer;
    const WHAT: &'static str = "customer";

    fn record_of(&self, line: &Line) -> Result<Customer, BadLine> {
        customer_of_line(line)
    }

    fn key(&self, scope: &TenantScope, id: &str) -> Key {
        scope.customer(id)
    }

    fn item(&self, scope: &TenantScope, record: &Customer, version: u64) -> Result<Item> {
        customer_item(scope, &Customer { version, ..record.clone() })
    }
}
