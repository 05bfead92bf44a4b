//! What is to come of a stock item by purchase orders: so many in all, and when.
//!
//! `on_order` of the first part counts what is open of all orders. Beside it each open line of an order has an item
//! of its own, by when it is expected, written in the same transactions: whoever is refused for want of stock is told
//! when there is more from a query of one partition, and nobody else reads them.

use futures::future::try_join_all;
use jiff::Timestamp;
use tillstream_contracts::inventory::ExpectedDelivery;
use tillstream_domain::quantity::{Quantity, Unit};

use crate::database::{Consistency, Get, Item, Query, Table, Write};
use crate::error::{Error, Result};
use crate::ports::Ports;
use crate::stock::counters::{Counters, shown};
use crate::tenancy::TenantScope;

/// Most deliveries that a refusal names of one stock item.
const EXPECTED_MAX: u32 = 5;
/// Of so many lines a refusal says when more is expected: each may be a query.
const LOOKED_FOR_MAX: usize = 50;
/// So many of them are looked for at once.
const LOOKED_FOR_AT_ONCE: usize = 8;

/// A line of a purchase order.
#[derive(Debug, Clone, Copy)]
pub(super) struct OrderedLine<'a> {
    pub order_id: &'a str,
    pub location_id: &'a str,
    pub sku: &'a str,
    /// When it is expected, in epoch milliseconds.
    pub expected_at: i64,
}

/// Writes what is open of a line after a step. The order's own item, written in the same transaction, says whether
/// that is so.
pub(super) fn open_line_write(scope: &TenantScope, line: OrderedLine<'_>, open: Quantity) -> Write {
    let key = scope.open_line(line.location_id, line.sku, line.expected_at, line.order_id);
    if open <= Quantity::ZERO {
        return Write::Delete { table: Table::Stock, key, condition: None };
    }
    let item = Item::new(&key)
        .with("tenant_id", scope.tenant_id())
        .with("purchase_order_id", line.order_id)
        .with("location_id", line.location_id)
        .with("sku", line.sku)
        .with("expected_at", line.expected_at)
        .with("open", open.thousandths());
    Write::Put { table: Table::Stock, item, condition: None }
}

/// What is to come of a stock item.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Coming {
    /// How much is ordered, wherever it was.
    pub incoming: Quantity,
    /// When some of it is expected, by purchase orders: the soonest first.
    pub expected: Vec<ExpectedDelivery>,
}

/// What is to come of some stock items, by position; of those after the first 50 only how much. For refusals: it
/// reads each item again, since what was found short may be a part of one that is split.
///
/// # Errors
/// As the database.
pub(crate) async fn coming(
    ports: &Ports,
    scope: &TenantScope,
    names: &[(&str, &str, Unit)],
) -> Result<Vec<Coming>> {
    let get = |(location_id, sku, _): &(&str, &str, Unit)| Get {
        table: Table::Stock,
        key: scope.stock(location_id, sku),
        consistency: Consistency::Strong,
    };
    let items = ports.database.get_many(names.iter().map(get).collect()).await?;
    let mut found = Vec::with_capacity(names.len());
    let mut ordered = Vec::new();
    for (at, item) in items.iter().enumerate() {
        let stock = item.as_ref().map(Counters::of).transpose()?.unwrap_or_default();
        found.push(Coming { incoming: Quantity::of_counter(stock.coming()), expected: Vec::new() });
        if stock.on_order > 0 && at < LOOKED_FOR_MAX {
            ordered.extend(names.get(at).map(|name| (at, *name)));
        }
    }
    for some in ordered.chunks(LOOKED_FOR_AT_ONCE) {
        let looked = some
            .iter()
            .map(|(at, name)| async move { Ok::<_, Error>((*at, expected(ports, scope, *name).await?)) });
        for (at, expected) in try_join_all(looked).await? {
            if let Some(coming) = found.get_mut(at) {
                coming.expected = expected;
            }
        }
    }
    Ok(found)
}

async fn expected(
    ports: &Ports,
    scope: &TenantScope,
    (location_id, sku, unit): (&str, &str, Unit),
) -> Result<Vec<ExpectedDelivery>> {
    let query =
        Query { limit: EXPECTED_MAX, ..Query::partition(Table::Stock, scope.open_lines(location_id, sku)) };
    let page = ports.database.query(query).await?;
    let delivery = |item: &Item| {
        Ok(ExpectedDelivery {
            quantity: shown(item.number("open")?, Some(unit)),
            at: Timestamp::from_millisecond(item.number("expected_at")?).map_err(Error::bug)?,
        })
    };
    page.items.iter().map(delivery).collect()
}
