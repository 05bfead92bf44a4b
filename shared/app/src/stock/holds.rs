//! Hold lines: what a reservation holds of one stock item.
//!
//! They lie in a partition of their own per stock item, and of a split one per part, since the database
//! limits partitions. The stock item keeps `earliest_expiry`, never later than the truth, so that most
//! reads know without looking that no hold has expired.
//!
//! Hold lines do not move when stock is split or merged. One on part 0 counts in part 0's `reserved` for
//! good. One on another part counts in that part's while the layout stands in which it was made, and in
//! part 0's for good afterwards: numbers of layouts do not return, so to find another one is proof.

use std::collections::BTreeMap;

use jiff::Timestamp;
use tillstream_domain::quantity::Quantity;

use crate::database::{Change, Condition, Consistency, Database, Get, Item, Key, Table, Write};
use crate::error::{Error, Result};
use crate::keys;
use crate::ports::Ports;
use crate::stock::counters::{Counters, Delta, Movement, no_lot_is_due, stock_update_at};
use crate::stock::earliest::noted_for_look;
use crate::stock::layout::{LAYOUT_WHOLE, Place, layout_of};
use crate::stock::lots::due::keep_aside_if_due;
use crate::tenancy::TenantScope;

/// One hold line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hold {
    /// Where.
    pub location_id: String,
    /// What.
    pub sku: String,
    /// Whose.
    pub reservation_id: String,
    /// On which part.
    pub part: u32,
    /// In which layout it was made.
    pub layout: i64,
    /// How many.
    pub quantity: Quantity,
    /// Until when, in epoch milliseconds. Of a long reservation: at least until then, its header knows better.
    pub expires_at: i64,
    /// Of a long reservation: by which of its attempts.
    pub attempt: Option<i64>,
}

/// Spreads due holds evenly; the same for a reservation whenever it is written.
fn shard(reservation_id: &str) -> u64 {
    // FNV-1a, its halves folded: alone, the upper half of similar ids is much the same.
    let hash = reservation_id
        .bytes()
        .fold(0xcbf2_9ce4_8422_2325, |hash: u64, b| (hash ^ u64::from(b)).wrapping_mul(0x0100_0000_01b3));
    hash ^ (hash >> 32)
}

impl Hold {
    /// Its item.
    pub fn item(&self, scope: &TenantScope) -> Item {
        let item = Item::new(&self.key(scope))
            .with("tenant_id", scope.tenant_id())
            .with("location_id", self.location_id.as_str())
            .with("sku", self.sku.as_str())
            .with("reservation_id", self.reservation_id.as_str())
            .with("quantity", self.quantity.thousandths())
            .with("expires_at", self.expires_at)
            .with("due_pk", keys::due_holds(shard(&self.reservation_id)).value())
            .with("due_at", self.expires_at)
            .with_some("attempt", self.attempt);
        match self.part {
            0 => item,
            part => item.with("part", i64::from(part)).with("layout", self.layout),
        }
    }

    /// Its key.
    pub fn key(&self, scope: &TenantScope) -> Key {
        scope.hold_on_part(&self.location_id, &self.sku, self.part, &self.reservation_id)
    }

    /// Reads a hold line.
    ///
    /// # Errors
    /// A bug if the item is not one.
    pub fn of(item: &Item) -> Result<Self> {
        Ok(Hold {
            location_id: item.text("location_id")?.to_owned(),
            sku: item.text("sku")?.to_owned(),
            reservation_id: item.text("reservation_id")?.to_owned(),
            part: item.opt_number("part").map_or(Ok(0), u32::try_from).map_err(Error::bug)?,
            layout: layout_of(Some(item)),
            quantity: Quantity::from_thousandths(item.number("quantity")?).map_err(Error::bug)?,
            expires_at: item.number("expires_at")?,
            attempt: item.opt_number("attempt"),
        })
    }

    /// Whether its own time is over. One of a long reservation may go on holding: its header tells.
    pub fn has_expired(&self, now: Timestamp) -> bool {
        self.expires_at <= now.as_millisecond()
    }

    /// Makes it: the line, and its share in the stock item or part, which `seen` was read from.
    pub fn place(&self, scope: &TenantScope, seen: &Counters, movement: &Movement) -> [Write; 2] {
        // Never later than the truth: either what stands there is early enough and stays so, or this
        // hold is the earliest. Which of both is a guess until the condition confirms it.
        let is_early = seen.earliest_expiry.is_some_and(|earliest| earliest <= self.expires_at);
        let (condition, mut changes) = if is_early {
            (Condition::Le("earliest_expiry", self.expires_at.into()), Vec::new())
        } else {
            (
                Condition::Any(vec![
                    Condition::Lacks("earliest_expiry"),
                    Condition::Gt("earliest_expiry", self.expires_at.into()),
                ]),
                vec![Change::Set("earliest_expiry", self.expires_at.into())],
            )
        };
        let line =
            Write::Put { table: Table::Stock, item: self.item(scope), condition: Some(Condition::NotExists) };
        let (not_unseen, lowered) = noted_for_look(seen, self.expires_at);
        changes.extend(lowered);
        let place = match self.layout {
            LAYOUT_WHOLE => Place::Whole,
            layout => Place::Part { part: self.part, layout },
        };
        let what = (self.location_id.as_str(), self.sku.as_str(), place);
        let conditions = vec![condition, not_unseen];
        let stock = stock_update_at(scope, what, Delta::hold(self.quantity), movement, conditions, changes);
        [line, stock]
    }

    /// Moves its end; refused once it has expired. The stock item's `earliest_expiry` stays, too early.
    pub fn extend(&self, scope: &TenantScope, now: Timestamp, expires_at: i64) -> Write {
        Write::Update {
            table: Table::Stock,
            key: self.key(scope),
            changes: vec![
                Change::Set("expires_at", expires_at.into()),
                Change::Set("due_at", expires_at.into()),
            ],
            condition: Some(Condition::Gt("expires_at", now.as_millisecond().into())),
        }
    }

    /// Moves its end to where the header of its long reservation has it, if it is as it was read.
    pub fn follow(&self, scope: &TenantScope, expires_at: i64) -> Write {
        let as_read = vec![
            Condition::Eq("expires_at", self.expires_at.into()),
            Condition::Eq("attempt", self.attempt.unwrap_or_default().into()),
        ];
        Write::Update {
            table: Table::Stock,
            key: self.key(scope),
            changes: vec![
                Change::Set("expires_at", expires_at.into()),
                Change::Set("due_at", expires_at.into()),
            ],
            condition: Some(Condition::All(as_read)),
        }
    }

    /// Makes it hold so many until then, if it is as it was read: of a cart that holds more or less by now.
    pub fn amend(&self, scope: &TenantScope, quantity: Quantity, expires_at: i64) -> Write {
        let as_read = vec![
            Condition::Eq("quantity", self.quantity.thousandths().into()),
            Condition::Eq("expires_at", self.expires_at.into()),
        ];
        Write::Update {
            table: Table::Stock,
            key: self.key(scope),
            changes: vec![
                Change::Set("quantity", quantity.thousandths().into()),
                Change::Set("expires_at", expires_at.into()),
                Change::Set("due_at", expires_at.into()),
            ],
            condition: Some(Condition::All(as_read)),
        }
    }

    /// Ends it, or all of it but what is left. Refused where some of it was committed since it was read: that is
    /// not there to be given back or sold again.
    pub(crate) fn end(&self, scope: &TenantScope, left: Quantity, condition: Condition) -> Write {
        let as_read = Condition::Eq("quantity", self.quantity.thousandths().into());
        let condition = Some(Condition::All(vec![as_read, condition]));
        let (table, key) = (Table::Stock, self.key(scope));
        if left == Quantity::ZERO {
            return Write::Delete { table, key, condition };
        }
        Write::Update {
            table,
            key,
            changes: vec![Change::Set("quantity", left.thousandths().into())],
            condition,
        }
    }
}

/// A hold line, and where its share of `reserved` is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Located {
    /// It.
    pub hold: Hold,
    /// Where its share is.
    pub place: Place,
    /// What goes on being held when it is ended; none of it but where a part is committed.
    pub left: Quantity,
}

/// Finds where holds that were read count now. Reads nothing where all are on first parts.
///
/// # Errors
/// As the database.
pub async fn locate(database: &dyn Database, scope: &TenantScope, holds: Vec<Hold>) -> Result<Vec<Located>> {
    let gets: Vec<Get> = holds
        .iter()
        .filter(|hold| hold.part > 0)
        .map(|hold| Get {
            table: Table::Stock,
            key: scope.stock_part(&hold.location_id, &hold.sku, hold.part),
            consistency: Consistency::Strong,
        })
        .collect();
    let mut parts = if gets.is_empty() { Vec::new() } else { database.get_many(gets).await? }.into_iter();
    let place = |hold: &Hold, parts: &mut dyn Iterator<Item = Option<Item>>| {
        if hold.part == 0 || layout_of(parts.next().flatten().as_ref()) != hold.layout {
            Place::First
        } else {
            Place::Part { part: hold.part, layout: hold.layout }
        }
    };
    let whole = |hold| Located { place: place(&hold, &mut parts), hold, left: Quantity::ZERO };
    Ok(holds.into_iter().map(whole).collect())
}

/// Those of some hold lines whose items are still there: those that expired may have been freed. Strongly
/// consistent.
///
/// # Errors
/// As the database.
pub async fn standing_lines(
    database: &dyn Database,
    scope: &TenantScope,
    holds: &[Hold],
) -> Result<Vec<Hold>> {
    let gets = holds
        .iter()
        .map(|hold| Get { table: Table::Stock, key: hold.key(scope), consistency: Consistency::Strong })
        .collect();
    database.get_many(gets).await?.iter().flatten().map(Hold::of).collect()
}

/// How holds end.
#[derive(Debug, Clone)]
pub enum Ending {
    /// By a sale, at this time: refused once they have expired, where less is there than is held since a count found
    /// so, or while a lot that is past its day then is not kept aside.
    Commit(Timestamp),
    /// By a sale that was decided at this time: refused as [`Ending::Commit`], but never since they expired.
    Settle(Timestamp),
    /// They are given back, on this condition on each line.
    GiveBack(Condition),
}

/// What one of the writes that end holds is about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum EndingWrite {
    /// A hold line.
    Line,
    /// What was held in one place. A failed condition on a part says nothing but that the layout is past.
    Stock {
        /// Where.
        location_id: String,
        /// What.
        sku: String,
        /// In which place.
        place: Place,
        /// How many.
        quantity: Quantity,
    },
}

/// The writes that end holds: each line, and after the lines of one place its stock, as a transaction
/// takes one action per item. At most two per hold.
pub fn end_holds(
    scope: &TenantScope,
    located: &[Located],
    ending: &Ending,
    movement: &Movement,
) -> Vec<(Write, EndingWrite)> {
    let mut places: BTreeMap<(&str, &str, Place), Vec<&Located>> = BTreeMap::new();
    for one in located {
        places.entry((&one.hold.location_id, &one.hold.sku, one.place)).or_default().push(one);
    }
    let line_condition = match ending {
        Ending::Commit(now) => Condition::Gt("expires_at", now.as_millisecond().into()),
        Ending::Settle(_) => Condition::Exists,
        Ending::GiveBack(only_if) => only_if.clone(),
    };
    let mut writes = Vec::new();
    for ((location_id, sku, place), holds) in places {
        let mut quantity = Quantity::ZERO;
        for Located { hold, left, .. } in holds {
            writes.push((hold.end(scope, *left, line_condition.clone()), EndingWrite::Line));
            quantity = quantity.plus(hold.quantity.minus(*left));
        }
        let (delta, more) = match ending {
            Ending::Commit(at) | Ending::Settle(at) => (
                Delta::commit(quantity),
                vec![Condition::Ge("on_hand", quantity.thousandths().into()), no_lot_is_due(*at)],
            ),
            Ending::GiveBack(_) => (Delta::release(quantity), Vec::new()),
        };
        let stock = stock_update_at(scope, (location_id, sku, place), delta, movement, more, Vec::new());
        let about =
            EndingWrite::Stock { location_id: location_id.to_owned(), sku: sku.to_owned(), place, quantity };
        writes.push((stock, about));
    }
    writes
}

/// Whether the layout is past in which a part was to be written.
pub(super) fn has_moved(about: &EndingWrite, item: Option<&Item>) -> bool {
    match about {
        EndingWrite::Stock { place: Place::Part { layout, .. }, .. } => layout_of(item) != *layout,
        _ => false,
    }
}

/// Keeps aside what is past its day at `at` of the stock that was found in the places of these writes; answers whether
/// anything was, so that what was found is to be read again.
///
/// # Errors
/// As the database.
pub(super) async fn keep_due_aside(
    ports: &Ports,
    scope: &TenantScope,
    found: &[(&EndingWrite, Option<&Item>)],
    at: Timestamp,
) -> Result<bool> {
    let mut any = false;
    for &(about, item) in found {
        let EndingWrite::Stock { location_id, sku, .. } = about else { continue };
        let seen = item.map(Counters::of).transpose()?;
        any |= keep_aside_if_due(ports, scope, (location_id, sku), seen.as_ref(), at).await?;
    }
    Ok(any)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::keys::DUE_HOLD_SHARDS;

    #[test]
    fn holds_spread_evenly_over_the_due_index() {
        let mut holds = std::collections::BTreeMap::<String, u32>::new();
        for n in 0..32_000 {
            *holds.entry(keys::due_holds(shard(&format!("reserve-{n}"))).value().to_owned()).or_default() +=
                1;
        }
        assert_eq!(u64::try_from(holds.len()).unwrap(), DUE_HOLD_SHARDS);
        assert!(holds.values().all(|count| (700..=1_300).contains(count)), "{holds:?}");
    }
}
