//! Stock that is not there: what a refusal says of it.

use std::collections::BTreeSet;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use tillstream_domain::cart::{Cart, StockMove};
use tillstream_domain::lane::Lane;
use tillstream_domain::quantity::{Quantity, Unit};
use tillstream_domain::stock_policies::UnsyncedStock;

use super::counted_since::StockCount;
use crate::database::Item;
use crate::error::{Refusal, Result};
use crate::ports::Ports;
use crate::stock::counters::{COUNTED_AT, COUNTED_IN, Counters};
use crate::stock::expiry::{FreedHolds, HoldReads, free_enough};
use crate::stock::layout::layout_of;
use crate::stock::listing::StockName;
use crate::stock::lots::due::keep_aside;
use crate::stock::on_order::coming;
use crate::tenancy::TenantScope;
use crate::tenant_rules::tenant_rules;

/// Lines of kits that are looked at for the names of the kits that want what is short.
const KITS_NAMED_MAX: usize = 100;

/// One SKU of which there is not enough.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Shortage {
    /// SKU.
    pub sku: String,
    /// Wanted.
    pub requested: Quantity,
    /// There, holds taken off; but not what the cart holds by itself.
    pub available: Quantity,
    /// Held by the cart by itself.
    #[serde(skip)]
    pub held: Quantity,
    /// Epoch milliseconds at which a hold on it may expire.
    #[serde(skip)]
    pub earliest_expiry: Option<i64>,
    /// Epoch milliseconds at which a lot of it is past its day.
    #[serde(skip)]
    pub lots_due_at: Option<i64>,
    /// How it was counted last.
    #[serde(skip)]
    pub counted: Option<StockCount>,
    /// The stock as it was found; `None` where there is no such item.
    #[serde(skip)]
    pub found: Option<Found>,
}

/// Stock as it was found short.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Found {
    /// Available, in thousandths; below zero where a count found less than is promised.
    pub available: i64,
    /// Number of the layout.
    pub layout: i64,
    /// Whether nobody has told yet how many there are.
    pub unsynced: bool,
}

fn counted(item: &Item) -> Option<StockCount> {
    let reference = item.opt_text(COUNTED_IN)?.to_owned();
    Some(StockCount { at: item.opt_number(COUNTED_AT)?, reference })
}

impl Shortage {
    /// From a stock update whose condition failed, with the item as it was.
    pub fn of(wanted: &StockMove, old: Option<&Item>) -> Self {
        let available = old.and_then(|item| item.opt_number("available")).unwrap_or(0).max(0);
        Shortage {
            sku: wanted.sku.clone(),
            requested: wanted.sellable,
            available: Quantity::from_thousandths(available).unwrap_or_default(),
            held: Quantity::ZERO,
            earliest_expiry: old.and_then(|item| item.opt_number("earliest_expiry")),
            lots_due_at: old.and_then(|item| item.opt_number("lots_due_at")),
            counted: old.and_then(counted),
            found: old.map(|item| Found {
                available: item.opt_number("available").unwrap_or(0),
                layout: layout_of(Some(item)),
                unsynced: Counters::of(item).is_ok_and(|stock| stock.unsynced),
            }),
        }
    }
}

impl Shortage {
    /// From stock that was looked at over all its parts.
    pub fn over_all_parts(wanted: &StockMove, seen: Option<&Counters>) -> Self {
        let available = seen.map_or(0, |seen| seen.available).max(0);
        Shortage {
            sku: wanted.sku.clone(),
            requested: wanted.sellable,
            available: Quantity::from_thousandths(available).unwrap_or_default(),
            held: Quantity::ZERO,
            earliest_expiry: seen.and_then(|seen| seen.earliest_expiry),
            lots_due_at: seen.and_then(|seen| seen.lots_due_at),
            // Split stock is not counted: whoever takes from it asks its first part.
            counted: None,
            found: seen.map(|seen| Found {
                available: seen.available,
                layout: seen.layout,
                unsynced: seen.unsynced,
            }),
        }
    }

    /// Of a cart that holds so many of it by itself: these are there for it.
    #[must_use]
    pub fn beside(self, held: Quantity) -> Self {
        let found = self.found.map_or(0, |found| found.available);
        let there = found.saturating_add(held.thousandths()).max(0);
        Shortage { available: Quantity::from_thousandths(there).unwrap_or_default(), held, ..self }
    }

    /// How many must be available, beside what the cart holds.
    pub fn needed(&self) -> Quantity {
        self.requested.minus(self.held)
    }

    /// Whether nobody has told yet how many there are.
    pub fn is_unsynced(&self) -> bool {
        self.found.is_none_or(|found| found.unsynced)
    }
}

/// What of `shortages` a sale is refused for: all, but for what nobody has told the stock of yet where the location
/// allows that.
///
/// # Errors
/// Those of the database.
pub async fn refused_of(
    ports: &Ports,
    scope: &TenantScope,
    location_id: &str,
    shortages: &[Shortage],
    now: Timestamp,
) -> Result<Vec<Shortage>> {
    if !shortages.iter().any(Shortage::is_unsynced) {
        return Ok(shortages.to_vec());
    }
    let policies = tenant_rules(ports, scope, now).await?.stock_policies(location_id);
    let stands = |short: &&Shortage| short.is_unsynced() && policies.unsynced == UnsyncedStock::Allow;
    Ok(shortages.iter().filter(|short| !stands(short)).cloned().collect())
}

/// Frees holds that have expired on what is short, as much as is short; and keeps aside lots of it that are past their
/// day, which was all that stood in the way where enough was there. `reads`: what the request has read of hold lines.
///
/// # Errors
/// Those of the database; those of [`free_enough`].
pub async fn free_expired_holds(
    ports: &Ports,
    scope: &TenantScope,
    location_id: &str,
    shortages: &[Shortage],
    reads: &mut HoldReads,
    now: Timestamp,
) -> Result<FreedHolds> {
    let mut all = FreedHolds::default();
    for shortage in shortages {
        if shortage.lots_due_at.is_some_and(|at| at <= now.as_millisecond()) {
            let name = StockName { location_id: location_id.to_owned(), sku: shortage.sku.clone() };
            keep_aside(ports, scope, &name, now).await?;
            all.any = true;
        }
        if shortage.earliest_expiry.is_some_and(|at| at <= now.as_millisecond()) {
            let available = shortage.found.map_or(0, |found| found.available);
            let needed = shortage.needed().thousandths() - available;
            let what = (location_id, shortage.sku.as_str());
            let freed = free_enough(ports, scope, what, needed, reads, now).await?;
            all = FreedHolds { any: all.any | freed.any, left: all.left | freed.left };
        }
    }
    Ok(all)
}

/// The refusal: 409 `insufficient_stock`, naming per line what is available, and what is to come when. Only who is
/// refused pays for looking.
///
/// # Errors
/// Those of the database.
pub async fn insufficient_stock(
    ports: &Ports,
    scope: &TenantScope,
    cart: &Cart,
    shortages: &[Shortage],
) -> Result<Refusal> {
    let detail = match shortages {
        [one] => format!("{}: {} wanted, {} available", one.sku, one.requested, one.available),
        many => format!("{} products are short; see lines", many.len()),
    };
    let mut refusal = Refusal::conflict("insufficient_stock", detail);
    let placed = Lane::is_virtual(&cart.register_id);
    let unit_of =
        |short: &Shortage| cart.lines_taking(&short.sku).next().map_or(Unit::Piece, |(.., unit)| unit);
    let names: Vec<_> =
        shortages.iter().map(|short| (cart.store_id.as_str(), short.sku.as_str(), unit_of(short))).collect();
    let coming = coming(ports, scope, &names).await?;
    let mut lines = Vec::new();
    for (short, coming) in shortages.iter().zip(coming) {
        let mut taking = cart.lines_taking(&short.sku);
        let line = taking.next();
        let unit = line.map_or(Unit::Piece, |(.., unit)| unit);
        let kits: BTreeSet<&str> = line
            .into_iter()
            .chain(taking)
            .filter(|(_, line, _)| cart.is_kit(line))
            .map(|(_, line, _)| line.sku.as_str())
            .take(KITS_NAMED_MAX)
            .collect();
        let wanted = format!("{} wanted, {} available", short.requested, short.available);
        // Of a kit it is a component that is short.
        let message = if kits.is_empty() { wanted } else { format!("{}: {wanted}", short.sku) };
        // A till names lines by their ids; who places an order has only their positions.
        let field = match line {
            Some((position, ..)) if placed => format!("lines[{position}].quantity"),
            Some((_, line, _)) => format!("lines.{}", line.id()),
            None => short.sku.clone(),
        };
        refusal = refusal.with_error(field, "insufficient_stock", message);
        let mut of_line = serde_json::json!({
            "sku": short.sku,
            "location_id": cart.store_id,
            "requested": short.requested.display(unit),
            "available": short.available.display(unit),
            "incoming": coming.incoming.display(unit),
            "expected": coming.expected,
        });
        if let (false, Some(members)) = (kits.is_empty(), of_line.as_object_mut()) {
            members.insert("kits".to_owned(), serde_json::json!(kits));
        }
        lines.push(of_line);
    }
    Ok(refusal.with_extra("lines", lines))
}
