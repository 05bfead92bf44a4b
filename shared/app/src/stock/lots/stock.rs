//! A stock item with its lots: how it is read, and the one way in which counters and lots are written together.

use tillstream_domain::lot_book::{LotBook, LotChange};
use tillstream_domain::quantity::Unit;
use tillstream_domain::transfer_lots::ShippedLot;

use crate::database::{Change, Condition, Item, Table, Write};
use crate::error::{Error, Result};
use crate::keys;
use crate::pos::identity::spread;
use crate::stock::counters::{
    CAME_IN, Counters, Delta, LOTS_DUE_AT, LOTS_VERSION, Movement, counter_changes, identity_changes,
    movement_changes, no_lot_is_due, unit_change,
};
use crate::stock::layout::LAYOUT_WHOLE;
use crate::stock::listing::StockName;
use crate::tenancy::TenantScope;

/// Attribute with the book.
const LOTS: &str = "lots";
/// Kind of work that is due where a lot is past its day.
pub(super) const DUE: &str = "lots";

/// What a write takes from what is available.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::stock) enum Taking {
    /// No more than is there: whoever takes it wants it.
    Available,
    /// The same, of lots that were looked at one by one: whether they are fit for sale was asked of them.
    Chosen,
    /// Whatever that leaves: it is a fact.
    Whatever,
}

/// A stock item with its lots, as it was read.
#[derive(Debug, Clone)]
pub(in crate::stock) struct LotStock {
    /// Its counters; `None`: there is no such item.
    pub(in crate::stock) counters: Option<Counters>,
    /// Its lots as they are by its counters.
    pub(in crate::stock) book: LotBook,
}

/// The lots of a stock item as they are by its counters; `None` where it is not kept by lots.
///
/// # Errors
/// A bug if the item is no stock item.
pub(super) fn book_of(item: &Item) -> Result<Option<LotBook>> {
    if item.opt_text(LOTS).is_none() {
        return Ok(None);
    }
    let counters = Counters::of(item)?;
    Ok(Some(item.json::<LotBook>(LOTS)?.as_of(counters.on_hand, counters.came_in)))
}

/// The lots of any stock item: what was never kept by lots is of no known lot.
///
/// # Errors
/// A bug if the item is no stock item.
pub(super) fn any_book_of(item: &Item) -> Result<LotBook> {
    let counters = Counters::of(item)?;
    Ok(book_of(item)?.unwrap_or_else(|| LotBook::of_unknown(counters.on_hand, counters.came_in)))
}

/// Attribute = number; an item that lacks it has 0.
fn same(name: &'static str, number: i64) -> Condition {
    match number {
        0 => Condition::Any(vec![Condition::Lacks(name), Condition::Eq(name, 0.into())]),
        number => Condition::Eq(name, number.into()),
    }
}

impl LotStock {
    /// From a stock item, if there is one.
    ///
    /// # Errors
    /// A bug if the item is no stock item.
    pub(in crate::stock) fn of(item: Option<&Item>) -> Result<Self> {
        let Some(item) = item else {
            return Ok(LotStock { counters: None, book: LotBook::default() });
        };
        Ok(LotStock { counters: Some(Counters::of(item)?), book: any_book_of(item)? })
    }

    /// By how much on hand and what is kept aside differ once its lots are those of `book`.
    pub(in crate::stock) fn delta_to(&self, book: &LotBook) -> Delta {
        Delta {
            on_hand: book.on_hand() - self.book.on_hand(),
            quarantined: book.quarantined() - self.book.quarantined(),
            ..Delta::default()
        }
    }

    /// That what the lots follow from is as it was read: reservations may come and go meanwhile.
    fn as_read(&self) -> Vec<Condition> {
        match &self.counters {
            None => vec![Condition::NotExists],
            Some(counters) => vec![
                Condition::Eq("layout", LAYOUT_WHOLE.into()),
                same("on_hand", counters.on_hand),
                same(CAME_IN, counters.came_in),
                same(LOTS_VERSION, counters.lots_version),
            ],
        }
    }

    /// The lots that so much is of that leaves without a name, in the order in which they go; nothing where none of it
    /// is of a known lot.
    pub(in crate::stock) fn leaving(&self, quantity: i64) -> Vec<ShippedLot> {
        let after =
            self.book.as_of(self.book.on_hand() - quantity, self.counters.unwrap_or_default().came_in);
        let left = |change: LotChange| ShippedLot {
            lot_id: change.lot_id,
            shipped: -(change.on_hand + change.quarantined),
            settled: 0,
        };
        let lots: Vec<ShippedLot> = after.changes_since(&self.book).into_iter().map(left).collect();
        if lots.iter().any(|lot| lot.lot_id.is_some()) { lots } else { Vec::new() }
    }

    /// That what leaves without a name is of the lots that it was read to be of.
    pub(in crate::stock) fn lots_as_read(&self) -> Vec<Condition> {
        match &self.counters {
            Some(counters) if counters.lots_version > 0 => self.as_read(),
            _ => vec![same(LOTS_VERSION, 0)],
        }
    }

    /// When a lot of `book` is past its day first, and that the keeper is to look then.
    fn due_changes(name: &StockName, book: &LotBook) -> Vec<Change> {
        let due_pk = keys::due(DUE, spread(&format!("{}#{}", name.location_id, name.sku)));
        match book.sell_until() {
            Some(at) => vec![
                Change::Set(LOTS_DUE_AT, at.into()),
                Change::Set("due_pk", due_pk.value().into()),
                Change::Set("due_at", at.max(0).into()),
            ],
            None => {
                vec![Change::Remove(LOTS_DUE_AT), Change::Remove("due_pk"), Change::Remove("due_at")]
            }
        }
    }

    /// Writes the lots of `book`, and with them what they change of the counters, and `more` of them besides. It is
    /// conditional on what the lots follow from, and on the conditions `also`.
    ///
    /// # Errors
    /// A bug if the book cannot be written.
    pub(in crate::stock) fn write(
        &self,
        scope: &TenantScope,
        name: &StockName,
        (book, more): (&LotBook, Delta),
        (movement, taking): (&Movement, Taking),
        unit: Option<Unit>,
        also: Vec<Condition>,
    ) -> Result<Write> {
        let (location_id, sku) = (name.location_id.as_str(), name.sku.as_str());
        let before = self.counters.unwrap_or_default();
        let mut delta = self.delta_to(book);
        delta += more;
        let mut conditions = self.as_read();
        conditions.extend(also);
        let taken = -delta.available();
        match taking {
            Taking::Available if taken > 0 => {
                conditions.push(Condition::Ge("available", taken.into()));
                conditions.push(no_lot_is_due(movement.at));
            }
            Taking::Chosen if taken > 0 => conditions.push(Condition::Ge("available", taken.into())),
            // Whether less is left than is promised is told with it, so that must be so.
            Taking::Whatever if before.available < taken && self.counters.is_some() => {
                conditions.push(Condition::Eq("available", before.available.into()));
            }
            Taking::Whatever if taken > 0 => conditions.push(Condition::Ge("available", taken.into())),
            _ => {}
        }
        if delta.reserved < 0 {
            conditions.push(Condition::Ge("reserved", (-delta.reserved).into()));
        }
        if delta.on_order < 0 {
            conditions.push(Condition::Ge("on_order", (-delta.on_order).into()));
        }
        if delta.in_transit < 0 {
            conditions.push(Condition::Ge("in_transit", (-delta.in_transit).into()));
        }
        let kept = book.clone().kept(before.came_in + delta.on_hand.max(0));
        let mut changes = identity_changes(scope, location_id, sku);
        changes.extend(unit.map(unit_change));
        changes.extend(counter_changes(delta, delta.available()));
        changes.extend(movement_changes(movement, delta));
        changes.push(Change::Set(LOTS, serde_json::to_string(&kept).map_err(Error::bug)?.into()));
        changes.push(Change::Set(LOTS_VERSION, (before.lots_version + 1).into()));
        changes.extend(Self::due_changes(name, &kept));
        Ok(Write::Update {
            table: Table::Stock,
            key: scope.stock(location_id, sku),
            changes,
            condition: Some(Condition::All(conditions)),
        })
    }

    /// Writes nothing but when a lot is past its day first: what was to be sold until then is sold.
    pub(super) fn write_due(&self, scope: &TenantScope, name: &StockName) -> Write {
        Write::Update {
            table: Table::Stock,
            key: scope.stock(&name.location_id, &name.sku),
            changes: Self::due_changes(name, &self.book),
            condition: Some(Condition::All(self.as_read())),
        }
    }
}
