//! Taking the next number of a lane, and what a lane knows of its register's shifts.
//!
//! A lane's item has its last number and epoch, running totals of all that took a number
//! ([`super::lane_totals`]), the shift that is open (`shift_id`) and the number of the last Z report
//! (`z_number`), which counts within the epoch as the last number does. Whatever changes one of them does so on the last number and the open shift as it read
//! them, so that a sale and a closing at the same time come one after the other, and no sale falls
//! between two shifts.

use tillstream_domain::cart::Cart;
use tillstream_domain::lane::{Lane, LaneNumber};
use tillstream_domain::till::{LaneMark, LaneTotals};

use super::lane_totals;
use crate::database::{Change, Condition, Consistency, Get, Item, Table, Write};
use crate::error::{Error, Refusal, Result};
use crate::tenancy::TenantScope;

/// A lane as it was read: a transaction returns no values, so the number is read, then asserted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LaneState {
    /// Last number given; 0 before the first.
    pub last: u64,
    /// Raised after a restore from backup.
    pub epoch: u32,
    /// Running totals of all numbers.
    pub totals: LaneTotals,
    /// The shift that is open.
    pub shift_id: Option<String>,
    /// Number of the last Z report; 0 before the first.
    pub z_number: u64,
    exists: bool,
    /// Whether the next number is to be given within [`Self::shift_id`] only.
    within_shift: bool,
}

impl LaneState {
    /// Reads a lane's item; a lane without one has given no number yet.
    ///
    /// # Errors
    /// A bug if the item is not a lane.
    pub fn of(item: Option<&Item>) -> Result<Self> {
        let number = |name| item.map_or(Ok(0), |item| item.number(name));
        Ok(LaneState {
            last: u64::try_from(number("last")?).map_err(Error::bug)?,
            epoch: u32::try_from(number("epoch")?).map_err(Error::bug)?,
            totals: item.map(lane_totals::of_item).unwrap_or_default(),
            shift_id: item.and_then(|item| item.opt_text("shift_id")).map(str::to_owned),
            z_number: u64::try_from(item.and_then(|item| item.opt_number("z_number")).unwrap_or(0))
                .map_err(Error::bug)?,
            exists: item.is_some(),
            within_shift: false,
        })
    }

    /// The next number of the lane.
    pub fn next(&self, store_id: &str, register_id: &str) -> LaneNumber {
        let lane = Lane { epoch: self.epoch, ..Lane::new(store_id, register_id) };
        LaneNumber { lane, number: self.last + 1 }
    }

    /// The lane as a shift remembers it.
    pub fn mark(&self) -> LaneMark {
        LaneMark { epoch: self.epoch, last: self.last, totals: self.totals.clone() }
    }

    /// The same lane, whose next number is given only while the shift is open that is open now. Lanes of
    /// the web have no drawer and need no shift.
    ///
    /// # Errors
    /// 409 `no_open_shift`.
    pub fn within_open_shift(self, register_id: &str) -> Result<Self> {
        if Lane::is_virtual(register_id) {
            return Ok(self);
        }
        if self.shift_id.is_none() {
            let detail = format!("register {register_id} has no open shift; open_till begins one");
            return Err(Refusal::conflict("no_open_shift", detail).into());
        }
        Ok(LaneState { within_shift: true, ..self })
    }

    /// That nobody took a number since it was read, nor opened or closed a shift where that matters.
    fn unchanged(&self, shift_matters: bool) -> Result<Condition> {
        if !self.exists {
            return Ok(Condition::NotExists);
        }
        let mut all = vec![
            Condition::Eq("last", i64::try_from(self.last).map_err(Error::bug)?.into()),
            Condition::Eq("epoch", i64::from(self.epoch).into()),
        ];
        if shift_matters {
            all.push(match &self.shift_id {
                Some(shift_id) => Condition::Eq("shift_id", shift_id.as_str().into()),
                None => Condition::Lacks("shift_id"),
            });
        }
        Ok(Condition::All(all))
    }

    /// The write that opens a shift, provided that the lane is as it was read.
    ///
    /// # Errors
    /// A bug if a number is out of range.
    pub fn open_shift(
        &self,
        scope: &TenantScope,
        store_id: &str,
        register_id: &str,
        shift_id: &str,
    ) -> Result<Write> {
        Ok(Write::Update {
            table: Table::Orders,
            key: scope.lane(store_id, register_id),
            changes: vec![
                Change::Set("last", i64::try_from(self.last).map_err(Error::bug)?.into()),
                Change::Set("epoch", i64::from(self.epoch).into()),
                Change::Set("store_id", store_id.into()),
                Change::Set("register_id", register_id.into()),
                Change::Set("shift_id", shift_id.into()),
            ],
            condition: Some(self.unchanged(true)?),
        })
    }

    /// The write that closes the open shift and takes the number of its Z report, provided that the lane is
    /// as it was read.
    ///
    /// # Errors
    /// A bug if a number is out of range.
    pub fn close_shift(&self, scope: &TenantScope, store_id: &str, register_id: &str) -> Result<Write> {
        Ok(Write::Update {
            table: Table::Orders,
            key: scope.lane(store_id, register_id),
            changes: vec![
                Change::Set("z_number", i64::try_from(self.z_number + 1).map_err(Error::bug)?.into()),
                Change::Remove("shift_id"),
            ],
            condition: Some(self.unchanged(true)?),
        })
    }
}

/// The read of a lane: a stale number would only lose the race.
pub fn lane_get(scope: &TenantScope, store_id: &str, register_id: &str) -> Get {
    Get { table: Table::Orders, key: scope.lane(store_id, register_id), consistency: Consistency::Strong }
}

/// Takes the next number, provided that nobody else did, and adds the cart to the lane's running
/// totals (minor units), from which the reports of a shift are made.
///
/// # Errors
/// A bug if a stored cart's sums leave the accepted range.
pub fn take_number(
    scope: &TenantScope,
    state: &LaneState,
    number: &LaneNumber,
    cart: &Cart,
) -> Result<Write> {
    let (store_id, register_id) = (&number.lane.store_id, &number.lane.register_id);
    let mut changes = vec![
        Change::Set("last", i64::try_from(number.number).map_err(Error::bug)?.into()),
        Change::Set("epoch", i64::from(state.epoch).into()),
        Change::Set("store_id", store_id.as_str().into()),
        Change::Set("register_id", register_id.as_str().into()),
    ];
    changes.extend(lane_totals::additions(&LaneTotals::of_cart(cart).map_err(Error::bug)?, cart.kind));
    Ok(Write::Update {
        table: Table::Orders,
        key: scope.lane(store_id, register_id),
        changes,
        condition: Some(state.unchanged(state.within_shift)?),
    })
}
