//! The ledger: one append-only row per change of a stock item, made from the stock table's stream.

use std::collections::BTreeMap;

use jiff::Timestamp;
use tillstream_domain::quantity::Unit;

use crate::database::{Item, Key, Range, Table, Write};
use crate::error::{Error, Result};
use crate::ports::Ports;
use crate::stock::change_feed;
use crate::stock::counters::{Counters, Delta};
use crate::stock::lots::trace;
use crate::tenancy::TenantScope;

/// Kind of the row that stands for movements whose own rows were lost.
pub const GAP_CLOSED: &str = "gap_closed";

/// The numbers of a row, in the order of [`Delta`].
const ROW_DELTA: [&str; 6] = [
    "delta_on_hand",
    "delta_reserved",
    "delta_damaged",
    "delta_in_transit",
    "delta_on_order",
    "delta_quarantined",
];
/// What a stock item says of its last movement, in the same order.
const LAST_DELTA: [&str; 6] =
    ["last_on_hand", "last_reserved", "last_damaged", "last_in_transit", "last_on_order", "last_quarantined"];
/// The sums after a movement, in the same order.
const SUMS: [&str; 6] = ["on_hand", "reserved", "damaged", "in_transit", "on_order", "quarantined"];

/// One ledger row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LedgerRow {
    /// Where.
    pub location_id: String,
    /// What.
    pub sku: String,
    /// Which part of a split stock item; 0 is also the whole.
    pub part: u32,
    /// Number of the movement, counted by part; of a closed gap the last one.
    pub seq: i64,
    /// Of a closed gap: the first movement it stands for.
    pub from_seq: Option<i64>,
    /// What kind of movement.
    pub kind: String,
    /// Order, reservation or update that caused it.
    pub reference: String,
    /// Who.
    pub actor: String,
    /// When, as its cause told it.
    pub at: Timestamp,
    /// Why.
    pub reason: Option<String>,
    /// By how much.
    pub delta: Delta,
    /// Counters after it. Only what a row keeps: on hand, reserved, available, damaged, in
    /// transit, on order, safety stock, seq.
    pub after: Counters,
}

impl LedgerRow {
    /// Its item.
    ///
    /// # Errors
    /// A bug if `seq` is not a number of a movement.
    pub fn item(&self, scope: &TenantScope) -> Result<Item> {
        let seq = |seq: i64| u64::try_from(seq).map_err(Error::bug);
        let key = match self.from_seq {
            None => scope.ledger_row_of_part(&self.location_id, &self.sku, self.part, seq(self.seq)?),
            Some(from) => scope.ledger_gap(&self.location_id, &self.sku, self.part, seq(from)?),
        };
        let item = Item::new(&key)
            .with("tenant_id", scope.tenant_id())
            .with("location_id", self.location_id.as_str())
            .with("sku", self.sku.as_str())
            .with_some("part", (self.part > 0).then_some(i64::from(self.part)))
            .with("seq", self.seq)
            .with_some("from_seq", self.from_seq)
            .with("kind", self.kind.as_str())
            .with("reference", self.reference.as_str())
            .with("actor", self.actor.as_str())
            .with("at", self.at.as_millisecond())
            .with_some("reason", self.reason.as_deref())
            .with("delta_on_hand", self.delta.on_hand)
            .with("delta_reserved", self.delta.reserved)
            .with("delta_damaged", self.delta.damaged)
            .with_some("delta_in_transit", some(self.delta.in_transit))
            .with_some("delta_on_order", some(self.delta.on_order))
            .with_some("delta_quarantined", some(self.delta.quarantined));
        Ok(with_sums(item, self.after.sums())
            .with("available", self.after.available)
            .with("safety_stock", self.after.safety_stock)
            .with_some("unit", self.after.unit.map(|unit| unit.name())))
    }

    /// Reads a row.
    ///
    /// # Errors
    /// A bug if the item is not one.
    pub fn of(item: &Item) -> Result<Self> {
        Ok(LedgerRow {
            location_id: item.text("location_id")?.to_owned(),
            sku: item.text("sku")?.to_owned(),
            part: part_of(item)?,
            seq: item.number("seq")?,
            from_seq: item.opt_number("from_seq"),
            kind: item.text("kind")?.to_owned(),
            reference: item.text("reference")?.to_owned(),
            actor: item.text("actor")?.to_owned(),
            at: Timestamp::from_millisecond(item.number("at")?).map_err(Error::bug)?,
            reason: item.opt_text("reason").map(Into::into),
            delta: delta_of(item, ROW_DELTA)?,
            after: after_of(item)?,
        })
    }

    /// Counters before it: known from the row alone, also where the row before it is lost. Safety stock
    /// and `available` are not reckoned back: a row does not say by how much safety stock moved.
    pub fn before(&self) -> Delta {
        self.after.sums() - self.delta
    }
}

/// What rows leave out where it is nothing.
fn some(number: i64) -> Option<i64> {
    (number != 0).then_some(number)
}

/// The item with the sums that stand after a movement, as rows, heads and checkpoints keep them.
pub(super) fn with_sums(item: Item, sums: Delta) -> Item {
    item.with("on_hand", sums.on_hand)
        .with("reserved", sums.reserved)
        .with("damaged", sums.damaged)
        .with_some("in_transit", some(sums.in_transit))
        .with_some("on_order", some(sums.on_order))
        .with_some("quarantined", some(sums.quarantined))
}

/// Reads what [`with_sums`] put.
///
/// # Errors
/// A bug if one of those that always stand there is missing.
pub(super) fn sums_of(item: &Item) -> Result<Delta> {
    delta_of(item, SUMS)
}

/// Reads six numbers, of which the last three are left out where they are nothing.
fn delta_of(item: &Item, names: [&str; 6]) -> Result<Delta> {
    let [on_hand, reserved, damaged, in_transit, on_order, quarantined] = names;
    let or_nothing = |name: &str| item.opt_number(name).unwrap_or(0);
    Ok(Delta {
        on_hand: item.number(on_hand)?,
        reserved: item.number(reserved)?,
        damaged: item.number(damaged)?,
        in_transit: or_nothing(in_transit),
        on_order: or_nothing(on_order),
        quarantined: or_nothing(quarantined),
    })
}

/// What a row keeps of the counters. Rows are read by the thousand, and a stock item has three times as many.
fn after_of(item: &Item) -> Result<Counters> {
    let Delta { on_hand, reserved, damaged, in_transit, on_order, quarantined } = sums_of(item)?;
    Ok(Counters {
        on_hand,
        reserved,
        available: item.number("available")?,
        damaged,
        safety_stock: item.number("safety_stock")?,
        in_transit,
        on_order,
        quarantined,
        seq: item.number("seq")?,
        unit: item.opt_text("unit").and_then(Unit::parse),
        ..Counters::default()
    })
}

fn part_of(item: &Item) -> Result<u32> {
    item.opt_number("part").map_or(Ok(0), u32::try_from).map_err(Error::bug)
}

/// The sort keys of rows and closed gaps: they begin with digits, the head does not.
pub(super) fn rows() -> Range {
    Range::Between("0".to_owned(), ":".to_owned())
}

/// The row of one change of the stock table: its item before and after. `None` where the change moved
/// nothing: it was no stock item, or only its earliest expiry was raised.
///
/// # Errors
/// A bug if a stock item lacks what every movement writes.
pub fn ledger_rows(old: Option<&Item>, new: Option<&Item>) -> Result<Option<Item>> {
    let Some(new) = new.filter(|new| new.opt_number("seq").is_some()) else {
        return Ok(None);
    };
    let after = Counters::of(new)?;
    if old.and_then(|old| old.opt_number("seq")) == Some(after.seq) {
        return Ok(None);
    }
    let row = LedgerRow {
        location_id: new.text("location_id")?.to_owned(),
        sku: new.text("sku")?.to_owned(),
        part: part_of(new)?,
        seq: after.seq,
        from_seq: None,
        kind: new.text("last_kind")?.to_owned(),
        reference: new.text("last_ref")?.to_owned(),
        actor: new.text("last_actor")?.to_owned(),
        at: Timestamp::from_millisecond(new.number("last_at")?).map_err(Error::bug)?,
        reason: new.opt_text("last_reason").map(Into::into),
        delta: delta_of(new, LAST_DELTA)?,
        after,
    };
    let scope = TenantScope::from_own_record(new.text("tenant_id")?);
    trace::with_lots(row.item(&scope)?, old, new).map(Some)
}

/// Records rows, each as [`ledger_rows`] made it, and notes for the change feed whose they are. A row that was recorded before is written again as it was.
///
/// # Errors
/// As the database: record the whole batch again.
pub async fn record(ports: &Ports, rows: Vec<Item>) -> Result<()> {
    if rows.is_empty() {
        return Ok(());
    }
    // A batch must not name a key twice; a record that was delivered twice makes the same row.
    let by_key =
        rows.into_iter().map(|row| Ok((Key::of(&row)?, row))).collect::<Result<BTreeMap<Key, Item>>>()?;
    let rows: Vec<Item> = by_key.into_values().collect();
    let (mut all, mut of_stock) = (rows.clone(), Vec::new());
    for row in &rows {
        let traces = trace::traces(row)?;
        all.extend(traces.of_lots);
        of_stock.extend(traces.of_reference);
    }
    ports.database.put_many(Table::Ledger, all).await?;
    for item in of_stock {
        ports.database.write(Write::Put { table: Table::Stock, item, condition: None }).await?;
    }
    change_feed::note_rows(ports, &rows).await
}
