//! The stock item: how every change of stock is written.
//!
//! On hand, reserved, available, `seq` and the last movement change in one expression, so that the
//! table's stream carries a complete ledger row for every change and the sale pays nothing for it.
//! All numbers are thousandths of the product's unit.

use jiff::Timestamp;
use tillstream_domain::quantity::{Quantity, QuantityInput, Unit};

use crate::database::{Change, Condition, Item, Table, Write};
use crate::error::Result;
use crate::stock::layout::{LAYOUT_WHOLE, Place};
use crate::tenancy::TenantScope;

/// Attribute: all that ever came in on hand.
pub(super) const CAME_IN: &str = "came_in";
/// Attribute: how often the lots were written.
pub(super) const LOTS_VERSION: &str = "lots_version";
/// Attribute: when a lot that is for sale is so no more, in epoch milliseconds.
pub(super) const LOTS_DUE_AT: &str = "lots_due_at";
/// Attribute: when what lies there was counted, of the count that came into the books last, in epoch milliseconds.
pub(crate) const COUNTED_AT: &str = "counted_at";
/// Attribute: the count sheet, or the update, that this was by.
pub(crate) const COUNTED_IN: &str = "counted_in";
/// Attribute: number of the look at the hold lines that is open.
pub(super) const LOOK: &str = "look";
/// Attribute: the earliest end of the holds made since that look was opened.
pub(super) const PLACED_EARLIEST: &str = "placed_earliest";
/// Attribute: that it is remembered how far the hold lines were read.
pub(super) const HOLDS_READ: &str = "holds_read";
/// Attribute of a stock item of which nobody has told yet how many lie there.
const UNSYNCED: &str = "unsynced";

/// Why stock moved: one ledger row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Movement {
    /// `sale`, `return`, `adjustment`, `count`, `hold`, `release`, `commit`, `sync`, ….
    pub kind: &'static str,
    /// Order, reservation or update that caused it.
    pub reference: String,
    /// Who: employee, or the token's subject.
    pub actor: String,
    /// When, as the cause tells it.
    pub at: Timestamp,
    /// Reason in words, if one was given.
    pub reason: Option<String>,
}

/// By how much each counter changes, in thousandths.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Delta {
    /// On hand.
    pub on_hand: i64,
    /// Reserved.
    pub reserved: i64,
    /// Kept aside as damaged (not part of on hand).
    pub damaged: i64,
    /// On its way here from another location (not part of on hand).
    pub in_transit: i64,
    /// Ordered from suppliers and not here yet (not part of on hand).
    pub on_order: i64,
    /// Kept aside with its lot: recalled, or past its day (not part of on hand).
    pub quarantined: i64,
}

impl Delta {
    /// A sale: on hand falls.
    pub fn sale(quantity: Quantity) -> Self {
        Delta { on_hand: -quantity.thousandths(), ..Delta::default() }
    }

    /// A return to the shelf: on hand grows.
    pub fn restock(quantity: Quantity) -> Self {
        Delta { on_hand: quantity.thousandths(), ..Delta::default() }
    }

    /// A hold: reserved grows.
    pub fn hold(quantity: Quantity) -> Self {
        Delta { reserved: quantity.thousandths(), ..Delta::default() }
    }

    /// A hold given back: reserved falls.
    pub fn release(quantity: Quantity) -> Self {
        Delta { reserved: -quantity.thousandths(), ..Delta::default() }
    }

    /// A hold that became a sale: on hand and reserved fall.
    pub fn commit(quantity: Quantity) -> Self {
        Delta { on_hand: -quantity.thousandths(), reserved: -quantity.thousandths(), ..Delta::default() }
    }

    /// What it does to `available`.
    pub fn available(&self) -> i64 {
        self.on_hand - self.reserved
    }
}

impl std::ops::AddAssign for Delta {
    fn add_assign(&mut self, other: Self) {
        self.on_hand += other.on_hand;
        self.reserved += other.reserved;
        self.damaged += other.damaged;
        self.in_transit += other.in_transit;
        self.on_order += other.on_order;
        self.quarantined += other.quarantined;
    }
}

impl std::ops::Neg for Delta {
    type Output = Self;

    fn neg(self) -> Self {
        Delta {
            on_hand: -self.on_hand,
            reserved: -self.reserved,
            damaged: -self.damaged,
            in_transit: -self.in_transit,
            on_order: -self.on_order,
            quarantined: -self.quarantined,
        }
    }
}

impl std::ops::Sub for Delta {
    type Output = Self;

    fn sub(mut self, other: Self) -> Self {
        self += -other;
        self
    }
}

/// The update of one stock item. Where it takes from `available`, the item must be whole
/// ([`Place::Whole`]); else it goes to the first part whatever the layout ([`Place::First`]).
pub fn stock_update(
    scope: &TenantScope,
    location_id: &str,
    sku: &str,
    delta: Delta,
    movement: &Movement,
    more: Vec<Condition>,
    changes: Vec<Change>,
) -> Write {
    let place = if delta.available() < 0 { Place::Whole } else { Place::First };
    stock_update_at(scope, (location_id, sku, place), delta, movement, more, changes)
}

/// The update of one part of a stock item. Where it takes from `available`, it is conditional on enough
/// being there, and with it on the item's existence; where it does not, it makes the first part if need
/// be. What takes from stock that is available names the layout, since under another one there is more or
/// less of it elsewhere. `more` are further conditions (a version, an expiry), `changes` further changes. What is taken
/// has no lot past its day when the movement happened, or when `more` says.
pub fn stock_update_at(
    scope: &TenantScope,
    (location_id, sku, place): (&str, &str, Place),
    delta: Delta,
    movement: &Movement,
    more: Vec<Condition>,
    mut changes: Vec<Change>,
) -> Write {
    let mut conditions = more;
    let taken = -delta.available();
    if taken > 0 {
        conditions.push(Condition::Ge("available", taken.into()));
        if !conditions.iter().any(is_of_lots_due) {
            conditions.push(no_lot_is_due(movement.at));
        }
    } else if place == Place::First {
        changes.extend(identity_changes(scope, location_id, sku));
    }
    match place {
        Place::Whole => conditions.push(Condition::Eq("layout", LAYOUT_WHOLE.into())),
        Place::First => {}
        Place::Part { layout, .. } => conditions.push(Condition::Eq("layout", layout.into())),
    }
    if delta.reserved < 0 {
        // A hold that is not there cannot be given back, whatever the caller believes.
        conditions.push(Condition::Ge("reserved", (-delta.reserved).into()));
    }
    if delta.in_transit < 0 {
        // Nor can arrive what was not sent.
        conditions.push(Condition::Ge("in_transit", (-delta.in_transit).into()));
    }
    if delta.on_order < 0 {
        // Nor what was not ordered.
        conditions.push(Condition::Ge("on_order", (-delta.on_order).into()));
    }
    changes.extend(counter_changes(delta, delta.available()));
    changes.extend(movement_changes(movement, delta));
    Write::Update {
        table: Table::Stock,
        key: place.key(scope, location_id, sku),
        changes,
        condition: (!conditions.is_empty()).then_some(Condition::All(conditions)),
    }
}

/// That no lot of a stock item is past its day at `at` and counted as available nevertheless. What is not kept by
/// lots lacks the attribute.
pub(crate) fn no_lot_is_due(at: Timestamp) -> Condition {
    Condition::Any(vec![
        Condition::Lacks(LOTS_DUE_AT),
        Condition::Gt(LOTS_DUE_AT, at.as_millisecond().into()),
    ])
}

/// Whether a condition is [`no_lot_is_due`], at whatever time.
fn is_of_lots_due(condition: &Condition) -> bool {
    matches!(condition, Condition::Any(any) if any.first() == Some(&Condition::Lacks(LOTS_DUE_AT)))
}

/// What a count or a feed line says that a stock item is; `None` says nothing about it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct StockTarget {
    /// On hand, in thousandths.
    pub on_hand: Option<i64>,
    /// Safety stock, in thousandths.
    pub safety_stock: Option<i64>,
    /// Reorder point, in thousandths.
    pub reorder_point: Option<i64>,
    /// Ordered elsewhere than by purchase orders, in thousandths.
    pub incoming: Option<i64>,
    /// How the product is sold.
    pub unit: Option<Unit>,
}

/// Sets a stock item to what was counted or said, and answers by how much that moves it. Conditional
/// on the item being as `seen` (`None`: not there), so an older word never overwrites a newer one, and on
/// its being whole: whoever counts merges first.
/// The only write that may leave `available` below zero: what lies on the shelf is a fact.
/// `changes` are further changes (a feed's version), to other attributes than those of the target.
pub fn stock_set(
    scope: &TenantScope,
    location_id: &str,
    sku: &str,
    seen: Option<&Counters>,
    target: StockTarget,
    movement: &Movement,
    mut changes: Vec<Change>,
) -> (Write, Delta) {
    let before = seen.copied().unwrap_or_default();
    let safety_stock = target.safety_stock.unwrap_or(before.safety_stock);
    let delta =
        Delta { on_hand: target.on_hand.unwrap_or(before.on_hand) - before.on_hand, ..Delta::default() };
    let condition = match seen {
        None => Condition::NotExists,
        Some(counters) => Condition::All(vec![
            Condition::Eq("seq", counters.seq.into()),
            Condition::Eq("layout", LAYOUT_WHOLE.into()),
        ]),
    };
    changes.extend(
        identity_changes(scope, location_id, sku)
            .into_iter()
            .filter(|change| !matches!(change, Change::SetIfAbsent("safety_stock", _))),
    );
    changes.push(Change::Set("safety_stock", safety_stock.into()));
    changes.extend(target.reorder_point.map(|point| Change::Set("reorder_point", point.into())));
    changes.extend(target.incoming.map(|incoming| Change::Set("incoming", incoming.into())));
    changes.extend(target.unit.map(unit_change));
    changes.extend(synced_change(seen.filter(|_| target.on_hand.is_some())));
    changes.extend(counter_changes(delta, delta.available() - (safety_stock - before.safety_stock)));
    changes.extend(movement_changes(movement, delta));
    let write = Write::Update {
        table: Table::Stock,
        key: scope.stock(location_id, sku),
        changes,
        condition: Some(condition),
    };
    (write, delta)
}

/// Changes the first part of a stock item by so much and its `available` by so much, whatever that leaves; what the
/// ledger is told is said apart, since a correction may put right what the ledger never had wrong. The caller says on
/// what condition.
pub fn stock_correction(
    scope: &TenantScope,
    (location_id, sku): (&str, &str),
    (delta, available): (Delta, i64),
    (movement, told): (&Movement, Delta),
    condition: Condition,
    mut changes: Vec<Change>,
) -> Write {
    changes.extend(identity_changes(scope, location_id, sku));
    changes.extend(counter_changes(delta, available));
    changes.extend(movement_changes(movement, told));
    Write::Update {
        table: Table::Stock,
        key: scope.stock(location_id, sku),
        changes,
        condition: Some(condition),
    }
}

/// Notes how the product is sold, so that lists need not read it to show quantities in its form.
pub fn unit_change(unit: Unit) -> Change {
    Change::Set("unit", unit.name().into())
}

/// Notes when what lies there was counted, in epoch milliseconds, and by what.
pub(super) fn counted_changes(at: i64, reference: &str) -> [Change; 2] {
    [Change::Set(COUNTED_AT, at.into()), Change::Set(COUNTED_IN, reference.into())]
}

/// That nobody counted what lies there after `at`, in epoch milliseconds, so that the books have it.
pub(crate) fn not_counted_after(at: i64) -> Condition {
    Condition::Any(vec![Condition::Lacks(COUNTED_AT), Condition::Le(COUNTED_AT, at.into())])
}

/// Notes that nobody has told yet how many lie there.
pub(super) fn unsynced_change() -> Change {
    Change::Set(UNSYNCED, 1.into())
}

/// Notes that somebody has told how many lie there, where nobody had before.
pub(super) fn synced_change(seen: Option<&Counters>) -> Option<Change> {
    seen.filter(|seen| seen.unsynced).map(|_| Change::Remove(UNSYNCED))
}

/// The counters of a movement, and its number.
pub(super) fn counter_changes(delta: Delta, available: i64) -> Vec<Change> {
    let mut changes = vec![
        Change::Add("on_hand", delta.on_hand),
        Change::Add("reserved", delta.reserved),
        Change::Add("damaged", delta.damaged),
        Change::Add("available", available),
        Change::Add("seq", 1),
    ];
    // Most stock is never on its way anywhere: its item says nothing of it.
    changes.extend((delta.in_transit != 0).then_some(Change::Add("in_transit", delta.in_transit)));
    changes.extend((delta.on_order != 0).then_some(Change::Add("on_order", delta.on_order)));
    changes.extend((delta.quarantined != 0).then_some(Change::Add("quarantined", delta.quarantined)));
    // What a sale does not touch: whose lots what is on hand is of follows from it and from what came in ever.
    changes.extend((delta.on_hand > 0).then_some(Change::Add(CAME_IN, delta.on_hand)));
    changes
}

/// What makes a stock item findable; the same whenever it is written, so an existing item's indexes
/// are not touched.
pub fn identity_changes(scope: &TenantScope, location_id: &str, sku: &str) -> Vec<Change> {
    vec![
        Change::Set("tenant_id", scope.tenant_id().into()),
        Change::Set("location_id", location_id.into()),
        Change::Set("sku", sku.into()),
        Change::SetIfAbsent("layout", LAYOUT_WHOLE.into()),
        Change::SetIfAbsent("safety_stock", 0.into()),
        Change::Set("location_pk", scope.location_stock(location_id).value().into()),
        Change::Set("location_sk", sku.into()),
        Change::Set("sku_pk", scope.sku_stock(sku).value().into()),
        Change::Set("sku_sk", location_id.into()),
    ]
}

/// The last movement, as attributes of the stock item.
pub fn movement_changes(movement: &Movement, delta: Delta) -> Vec<Change> {
    let mut changes = vec![
        Change::Set("last_kind", movement.kind.into()),
        Change::Set("last_ref", movement.reference.as_str().into()),
        Change::Set("last_actor", movement.actor.as_str().into()),
        Change::Set("last_at", movement.at.as_millisecond().into()),
        Change::Set("last_on_hand", delta.on_hand.into()),
        Change::Set("last_reserved", delta.reserved.into()),
        Change::Set("last_damaged", delta.damaged.into()),
        match delta.in_transit {
            0 => Change::Remove("last_in_transit"),
            moved => Change::Set("last_in_transit", moved.into()),
        },
        match delta.on_order {
            0 => Change::Remove("last_on_order"),
            moved => Change::Set("last_on_order", moved.into()),
        },
        match delta.quarantined {
            0 => Change::Remove("last_quarantined"),
            moved => Change::Set("last_quarantined", moved.into()),
        },
    ];
    changes.push(match &movement.reason {
        Some(reason) => Change::Set("last_reason", reason.as_str().into()),
        None => Change::Remove("last_reason"),
    });
    changes
}

/// The counters of one stock item, of one part of it, or of all its parts together, in thousandths.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Counters {
    /// Physically there.
    pub on_hand: i64,
    /// Held.
    pub reserved: i64,
    /// on hand − reserved − safety stock.
    pub available: i64,
    /// Kept aside as damaged.
    pub damaged: i64,
    /// Not to be sold online.
    pub safety_stock: i64,
    /// Where to order again; 0 where none is set.
    pub reorder_point: i64,
    /// Ordered from suppliers elsewhere than by purchase orders, as a feed told it.
    pub incoming: i64,
    /// On its way here from another location.
    pub in_transit: i64,
    /// Ordered from suppliers by purchase orders, and not here yet.
    pub on_order: i64,
    /// What customers wait for; the first part alone counts it.
    pub backordered: i64,
    /// Kept aside with its lot.
    pub quarantined: i64,
    /// All that ever came in on hand; only what is kept by lots asks.
    pub came_in: i64,
    /// How often its lots were written; 0: it is not kept by lots.
    pub lots_version: i64,
    /// Epoch milliseconds at which a lot that is for sale is so no more.
    pub lots_due_at: Option<i64>,
    /// Count of changes: the sequence of the ledger.
    pub seq: i64,
    /// Number of the layout that stands ([`crate::stock::layout`]).
    pub layout: i64,
    /// What the first part remembers of its layouts.
    pub past: Layouts,
    /// Epoch milliseconds before which no hold on it expires; `None` without holds.
    pub earliest_expiry: Option<i64>,
    /// Number of the look at its hold lines that was begun and has not ended ([`crate::stock::earliest`]).
    pub look: Option<i64>,
    /// Since then: epoch milliseconds before which no hold expires that was made since.
    pub placed_earliest: Option<i64>,
    /// Whether it is remembered how far its hold lines were read; the first part alone says so
    /// ([`crate::stock::hold_runs`]).
    pub holds_read: bool,
    /// Version of the feed line that set it last.
    pub sync_version: Option<i64>,
    /// How the product is sold, where it is known.
    pub unit: Option<Unit>,
    /// Whether nobody has told yet how many lie there: what stands here was entered for whoever took it
    /// ([`crate::stock::unsynced`]).
    pub unsynced: bool,
}

/// What the first part of a stock item remembers of the layouts it had; all 0 where it was never split.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Layouts {
    /// Number of the last layout, the one that stands included.
    pub last: i64,
    /// Most parts it ever had: so many have a ledger.
    pub parts: u32,
    /// So many parts may have hold lines of layouts that are past.
    pub hold_parts: u32,
    /// What makes the version go on over splits and merges, which change nothing that a client sees: added
    /// to the sum of `seq` over the parts of the layout that stands.
    pub version_offset: i64,
}

impl Counters {
    /// The version that clients know: it counts the changes of a stock item over all its parts.
    pub fn version(&self) -> i64 {
        self.seq + self.past.version_offset
    }

    /// What movements change of it, from nothing.
    pub fn sums(&self) -> Delta {
        Delta {
            on_hand: self.on_hand,
            reserved: self.reserved,
            damaged: self.damaged,
            in_transit: self.in_transit,
            on_order: self.on_order,
            quarantined: self.quarantined,
        }
    }

    /// Ordered from suppliers and not here yet, wherever it was ordered.
    pub fn coming(&self) -> i64 {
        self.incoming + self.on_order
    }

    /// With those of another part added.
    #[must_use]
    pub fn with_part(self, part: &Counters) -> Self {
        Counters {
            on_hand: self.on_hand + part.on_hand,
            reserved: self.reserved + part.reserved,
            available: self.available + part.available,
            damaged: self.damaged + part.damaged,
            in_transit: self.in_transit + part.in_transit,
            on_order: self.on_order + part.on_order,
            quarantined: self.quarantined + part.quarantined,
            seq: self.seq + part.seq,
            earliest_expiry: match (self.earliest_expiry, part.earliest_expiry) {
                (Some(one), Some(other)) => Some(one.min(other)),
                (one, other) => one.or(other),
            },
            ..self
        }
    }

    /// Reads a stock item.
    ///
    /// # Errors
    /// A bug if `seq` is missing: it is not a stock item.
    pub fn of(item: &Item) -> Result<Self> {
        let number = |name| item.opt_number(name).unwrap_or(0);
        let parts = |name| u32::try_from(number(name)).unwrap_or(0);
        Ok(Counters {
            on_hand: number("on_hand"),
            reserved: number("reserved"),
            available: number("available"),
            damaged: number("damaged"),
            safety_stock: number("safety_stock"),
            reorder_point: number("reorder_point"),
            incoming: number("incoming"),
            in_transit: number("in_transit"),
            on_order: number("on_order"),
            backordered: number("backordered"),
            quarantined: number("quarantined"),
            came_in: number(CAME_IN),
            lots_version: number(LOTS_VERSION),
            lots_due_at: item.opt_number(LOTS_DUE_AT),
            seq: item.number("seq")?,
            layout: number("layout"),
            past: Layouts {
                last: number("last_layout"),
                parts: parts("parts"),
                hold_parts: parts("hold_parts"),
                version_offset: number("version_offset"),
            },
            earliest_expiry: item.opt_number("earliest_expiry"),
            look: item.opt_number(LOOK),
            placed_earliest: item.opt_number(PLACED_EARLIEST),
            holds_read: item.opt_number(HOLDS_READ).is_some(),
            sync_version: item.opt_number("sync_version"),
            unit: item.opt_text("unit").and_then(Unit::parse),
            unsynced: item.opt_number(UNSYNCED).is_some(),
        })
    }

    /// Whether a hold on it may have expired by `now`.
    pub fn may_have_expired_holds(&self, now: Timestamp) -> bool {
        self.earliest_expiry.is_some_and(|earliest| earliest <= now.as_millisecond())
    }

    /// Whether a lot of it is past its day at `now`, and counted as available nevertheless.
    pub fn has_lots_due(&self, now: Timestamp) -> bool {
        self.lots_due_at.is_some_and(|due| due <= now.as_millisecond())
    }

    /// A number of this stock item as a client reads it.
    pub fn shown(&self, thousandths: i64) -> QuantityInput {
        shown(thousandths, self.unit)
    }
}

/// Thousandths as a client reads them: by the product's unit; where it is not known, whole if it is.
pub fn shown(thousandths: i64, unit: Option<Unit>) -> QuantityInput {
    Quantity::of_counter(thousandths).display(unit.unwrap_or_default())
}
