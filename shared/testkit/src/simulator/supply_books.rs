//! What the clients know of goods that come, are counted, waited for and reserved.

use std::collections::{BTreeMap, BTreeSet};

use super::books::Of;

/// A supplier, as it was put last.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Supplier {
    /// How much more than was ordered it may deliver, in per cent.
    pub over_delivery_percent: u32,
    /// Days from an order to its delivery.
    pub lead_time_days: u32,
}

/// What became of one SKU of a purchase order; thousandths.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct PurchaseLine {
    /// What was ordered.
    pub ordered: i64,
    /// What arrived fit for sale.
    pub received: i64,
    /// What arrived damaged.
    pub damaged: i64,
    /// What does not come any more.
    pub written_off: i64,
}

impl PurchaseLine {
    /// What is to come of it.
    pub fn outstanding(&self) -> i64 {
        (self.ordered - self.received - self.damaged - self.written_off).max(0)
    }

    /// How much of it may arrive in all.
    pub fn most(&self, over_delivery_percent: u32, is_weighed: bool) -> i64 {
        let beyond = self.ordered * i64::from(over_delivery_percent) / 100;
        self.ordered + if is_weighed { beyond } else { beyond / 1_000 * 1_000 }
    }
}

/// A purchase order.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Purchase {
    /// From whom.
    pub supplier: String,
    /// To where.
    pub location: String,
    /// What its supplier might deliver beyond it when it was placed, in per cent.
    pub over_delivery_percent: u32,
    /// By SKU.
    pub lines: BTreeMap<String, PurchaseLine>,
    /// What was done to it, in any order.
    pub steps: Vec<&'static str>,
}

impl Purchase {
    /// Whether something of it is to come.
    pub fn is_open(&self) -> bool {
        self.lines.values().any(|line| line.outstanding() > 0)
    }
}

/// A delivery without an order: where, what, and how much in thousandths.
pub type Restock = (String, String, i64);

/// Somebody who waits, or waited.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Waited {
    /// Where.
    pub location: String,
    /// What.
    pub sku: String,
    /// How much, in thousandths.
    pub quantity: i64,
    /// The number in its queue.
    pub number: u64,
    /// What was sold of it.
    pub sold: i64,
    /// Whether it was called off.
    pub is_cancelled: bool,
}

/// How a count sheet ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SheetEnd {
    /// By SKU, by how much on hand was corrected, in thousandths.
    Closed(BTreeMap<String, i64>),
    /// Nothing of it counts.
    Cancelled,
}

/// A count sheet.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Sheet {
    /// Where.
    pub location: String,
    /// What.
    pub skus: Vec<String>,
    /// By SKU, the version of the sheet that recorded it last, and what was counted, in thousandths.
    pub counted: BTreeMap<String, (i64, i64)>,
    /// How it ended.
    pub end: Option<SheetEnd>,
}

/// All of it, by tenant and id.
#[derive(Debug, Clone, Default)]
pub struct SupplyBooks {
    /// Suppliers.
    pub suppliers: BTreeMap<Of<String>, Supplier>,
    /// Purchase orders.
    pub purchases: BTreeMap<Of<String>, Purchase>,
    /// Deliveries without an order.
    pub restocks: BTreeMap<Of<String>, Restock>,
    /// Backorders.
    pub backorders: BTreeMap<Of<String>, Waited>,
    /// Count sheets.
    pub sheets: BTreeMap<Of<String>, Sheet>,
    /// Reservations that were made to be sent from wherever the goods are, and long ones.
    pub reservations: BTreeSet<Of<String>>,
}

/// Those of a tenant, by id.
pub fn of_tenant<'a, T>(
    all: &'a BTreeMap<Of<String>, T>,
    tenant: &'a str,
) -> impl DoubleEndedIterator<Item = (&'a String, &'a T)> {
    all.iter().filter(move |((of, _), _)| of == tenant).map(|((_, id), one)| (id, one))
}
