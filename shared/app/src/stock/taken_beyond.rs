//! Goods that are taken although they are not there, where that is let be: what is missing is entered by a movement of
//! kind `discrepancy`, and in the same transaction an exception grows by as much. On hand stays at or above zero, the
//! ledger adds up, and somebody is asked where the goods came from.

use jiff::Timestamp;
use tillstream_domain::quantity::Unit;

use crate::database::{Condition, Write};
use crate::stock::counters::{Counters, Delta, Movement, stock_update_at, unit_change, unsynced_change};
use crate::stock::exceptions::{Oversold, below_promised_id, oversold_id, oversold_write};
use crate::stock::layout::{LAYOUT_WHOLE, Place};
use crate::tenancy::TenantScope;

/// Kind of the movement that enters what was missing.
pub const DISCREPANCY: &str = "discrepancy";

/// Why it is let be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Beyond {
    /// They were sold while a register was cut off, or by another system: they have left the shop.
    Offline,
    /// Nobody has told yet how many there are, and the policy of the location allows it.
    Unsynced,
}

impl Beyond {
    /// Name of the kind of its exception.
    pub(super) fn name(self) -> &'static str {
        match self {
            Beyond::Offline => "oversold_offline",
            Beyond::Unsynced => "unsynced_stock",
        }
    }

    fn reason(self, reference: &str) -> String {
        match self {
            Beyond::Offline => format!("sold offline by {reference}"),
            Beyond::Unsynced => format!("taken by {reference} before its stock was told"),
        }
    }
}

/// Who takes them.
#[derive(Debug, Clone, Copy)]
pub struct Taker<'a> {
    /// Why that is let be.
    pub beyond: Beyond,
    /// The order or reservation.
    pub reference: &'a str,
    /// The order, if one is known.
    pub order_id: Option<&'a str>,
    /// Register that sold them, if one did.
    pub register_id: Option<&'a str>,
    /// Who sold or reserved them.
    pub employee_id: &'a str,
    /// When, as whoever took them tells it.
    pub at: Timestamp,
    /// Our time.
    pub now: Timestamp,
}

/// What is not there of one SKU.
#[derive(Debug, Clone, Copy)]
pub struct MissingStock<'a> {
    /// Where.
    pub location_id: &'a str,
    /// What.
    pub sku: &'a str,
    /// How it is sold.
    pub unit: Unit,
    /// How many are taken, in thousandths.
    pub requested: i64,
    /// How many are available, as they were found whole; `None` where there is no such item.
    pub available: Option<i64>,
    /// Whether nobody has told yet how many there are.
    pub unsynced: bool,
}

/// The movement that enters what is missing, and the exception that says so. It stands on exactly so much being
/// available as was found. `number`: of this write, so that no other is like it.
pub fn entry_writes(
    scope: &TenantScope,
    taker: &Taker<'_>,
    missing: &MissingStock<'_>,
    number: i64,
) -> [Write; 2] {
    let entered = missing.requested - missing.available.unwrap_or(0);
    let movement = Movement {
        kind: DISCREPANCY,
        reference: oversold_id(taker.beyond, taker.reference, missing.sku),
        actor: taker.employee_id.to_owned(),
        at: taker.at,
        reason: Some(taker.beyond.reason(taker.reference)),
    };
    let as_found = match missing.available {
        None => vec![Condition::NotExists],
        Some(available) => {
            vec![Condition::Eq("available", available.into()), Condition::Eq("layout", LAYOUT_WHOLE.into())]
        }
    };
    let delta = Delta { on_hand: entered, ..Delta::default() };
    let what = (missing.location_id, missing.sku, Place::First);
    let mut changes = vec![unit_change(missing.unit)];
    if missing.unsynced {
        // What is entered for one taker tells nothing of what lies there.
        changes.push(unsynced_change());
    }
    let stock = stock_update_at(scope, what, delta, &movement, as_found, changes);
    let oversold = Oversold {
        taker: *taker,
        location_id: missing.location_id,
        sku: missing.sku,
        unit: missing.unit,
        quantity: entered,
        number,
    };
    [stock, oversold_write(scope, &oversold)]
}

/// The movement that enters what is `missing` of goods that were held and then sold, before less of them was found than
/// is held: by a count, a recall or the end of a lot's day, which opened an exception for as much. It stands on the
/// stock item being as it was `seen`, and so is like no other write.
pub(crate) fn found_less_write(
    scope: &TenantScope,
    (location_id, sku): (&str, &str),
    seen: &Counters,
    missing: i64,
    sale: &Movement,
) -> Write {
    let movement = Movement {
        kind: DISCREPANCY,
        reference: below_promised_id(location_id, sku),
        reason: Some(format!("sold by {} before less was found", sale.reference)),
        ..sale.clone()
    };
    let as_seen = vec![Condition::Eq("seq", seen.seq.into())];
    let delta = Delta { on_hand: missing, ..Delta::default() };
    let what = (location_id, sku, Place::First);
    let unit = seen.unit.map(unit_change);
    stock_update_at(scope, what, delta, &movement, as_seen, unit.into_iter().collect())
}
