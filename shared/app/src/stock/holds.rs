//! Hold lines: what a reservation holds of one stock item.
//!
//! They lie in a partition of their own per stock item, since the database limits items, not
//! partitions. The stock item keeps `earliest_expiry`, never later than the truth, so that most reads
//! know without looking that no hold has expired.

use jiff::Timestamp;
use tillstream_domain::quantity::Quantity;

use crate::database::{Change, Condition, Database, Item, Query, Table, Write};
use crate::error::{Error, Result};
use crate::keys;
use crate::stock::counters::{Counters, Delta, Movement, stock_update};
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
    /// How many.
    pub quantity: Quantity,
    /// Until when, in epoch milliseconds.
    pub expires_at: i64,
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
        Item::new(&scope.hold(&self.location_id, &self.sku, &self.reservation_id))
            .with("tenant_id", scope.tenant_id())
            .with("location_id", self.location_id.as_str())
            .with("sku", self.sku.as_str())
            .with("reservation_id", self.reservation_id.as_str())
            .with("quantity", self.quantity.thousandths())
            .with("expires_at", self.expires_at)
            .with("due_pk", keys::due_holds(shard(&self.reservation_id)).value())
            .with("due_at", self.expires_at)
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
            quantity: Quantity::from_thousandths(item.number("quantity")?).map_err(Error::bug)?,
            expires_at: item.number("expires_at")?,
        })
    }

    /// Whether it no longer holds.
    pub fn has_expired(&self, now: Timestamp) -> bool {
        self.expires_at <= now.as_millisecond()
    }

    /// Makes it: the line, and the stock item's share, which `seen` was read from.
    pub fn place(&self, scope: &TenantScope, seen: &Counters, movement: &Movement) -> [Write; 2] {
        // Never later than the truth: either what stands there is early enough and stays so, or this
        // hold is the earliest. Which of both is a guess until the condition confirms it.
        let (condition, changes) = if seen.earliest_expiry.is_some_and(|earliest| earliest <= self.expires_at)
        {
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
        let delta = Delta::hold(self.quantity);
        let stock =
            stock_update(scope, &self.location_id, &self.sku, delta, movement, vec![condition], changes);
        [line, stock]
    }

    /// Ends it by a sale; refused once it has expired, or where a count found less than is held.
    pub fn commit(&self, scope: &TenantScope, now: Timestamp, movement: &Movement) -> [Write; 2] {
        let still_valid = Condition::Gt("expires_at", now.as_millisecond().into());
        let enough_there = Condition::Ge("on_hand", self.quantity.thousandths().into());
        let stock = stock_update(
            scope,
            &self.location_id,
            &self.sku,
            Delta::commit(self.quantity),
            movement,
            vec![enough_there],
            Vec::new(),
        );
        [self.delete(scope, still_valid), stock]
    }

    /// Ends it and gives its stock back, on the condition `only_if`.
    pub fn give_back(&self, scope: &TenantScope, only_if: Condition, movement: &Movement) -> [Write; 2] {
        let delta = Delta::release(self.quantity);
        let stock =
            stock_update(scope, &self.location_id, &self.sku, delta, movement, Vec::new(), Vec::new());
        [self.delete(scope, only_if), stock]
    }

    /// Moves its end; refused once it has expired. The stock item's `earliest_expiry` stays, too early.
    pub fn extend(&self, scope: &TenantScope, now: Timestamp, expires_at: i64) -> Write {
        Write::Update {
            table: Table::Stock,
            key: scope.hold(&self.location_id, &self.sku, &self.reservation_id),
            changes: vec![
                Change::Set("expires_at", expires_at.into()),
                Change::Set("due_at", expires_at.into()),
            ],
            condition: Some(Condition::Gt("expires_at", now.as_millisecond().into())),
        }
    }

    fn delete(&self, scope: &TenantScope, condition: Condition) -> Write {
        Write::Delete {
            table: Table::Stock,
            key: scope.hold(&self.location_id, &self.sku, &self.reservation_id),
            condition: Some(condition),
        }
    }
}

/// All hold lines on one stock item, strongly consistent.
///
/// # Errors
/// As the database.
pub async fn holds_on(
    database: &dyn Database,
    scope: &TenantScope,
    location_id: &str,
    sku: &str,
) -> Result<Vec<Hold>> {
    let mut holds = Vec::new();
    let mut query = Query::partition(Table::Stock, scope.holds(location_id, sku));
    loop {
        let page = database.query(query.clone()).await?;
        for item in &page.items {
            holds.push(Hold::of(item)?);
        }
        match page.next {
            Some(next) => query.start = Some(next),
            None => return Ok(holds),
        }
    }
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
