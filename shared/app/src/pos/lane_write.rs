//! Taking the next numbers of a lane, and what a lane knows of its register's shifts.
//!
//! A lane's item has its last number and epoch, running totals of all that took a number
//! ([`super::lane_totals`]), the shift that is open (`shift_id`) and the number of the last Z report
//! (`z_number`), which counts within the epoch as the last number does. Whatever changes one of them does so on the last number and the open shift as it read
//! them, so that a sale and a closing at the same time come one after the other, and no sale falls
//! between two shifts.
//!
//! After a restore from backup the epoch is raised ([`crate::restore`]): numbers begin anew, and the item keeps
//! where each epoch before ended (`earlier_epochs`). Running totals and the open shift go on.

use tillstream_domain::cart::Cart;
use tillstream_domain::lane::{EpochEnd, Lane, LaneNumber};
use tillstream_domain::till::{LaneMark, LaneTotals};

use super::lane_totals;
use crate::database::{Change, Condition, Consistency, Get, Item, Table, Write};
use crate::error::{Error, Refusal, Result};
use crate::tenancy::TenantScope;

/// Attribute with where the epochs before ended.
const EARLIER_EPOCHS: &str = "earlier_epochs";

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
    /// Where the epochs before ended, the first first.
    pub earlier: Vec<EpochEnd>,
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
            earlier: match item.filter(|item| item.get(EARLIER_EPOCHS).is_some()) {
                Some(item) => item.json(EARLIER_EPOCHS)?,
                None => Vec::new(),
            },
            exists: item.is_some(),
            within_shift: false,
        })
    }

    /// All its epochs with their last numbers, the current one last.
    pub fn epochs(&self) -> impl Iterator<Item = EpochEnd> {
        let current = EpochEnd { epoch: self.epoch, last: self.last, z_number: self.z_number };
        self.earlier.iter().copied().chain([current])
    }

    /// The next number of the lane.
    pub fn next(&self, store_id: &str, register_id: &str) -> LaneNumber {
        let lane = Lane { epoch: self.epoch, ..Lane::new(store_id, register_id) };
        LaneNumber { lane, number: self.last + 1 }
    }

    /// The same lane with one number more given: the second of two that are taken at once follows it.
    #[must_use]
    pub fn with_next_given(&self) -> Self {
        LaneState { last: self.last + 1, ..self.clone() }
    }

    /// The lane as a shift remembers it.
    pub fn mark(&self) -> LaneMark {
        LaneMark {
            epoch: self.epoch,
            last: self.last,
            totals: self.totals.clone(),
            earlier: self.earlier.clone(),
        }
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

    /// The write that begins `epoch`, provided that the lane is as it was read: numbers of receipts and Z
    /// reports begin anew. An open shift goes on, as do the running totals that its figures are made of.
    ///
    /// # Errors
    /// A bug if a number is out of range.
    pub fn raise(
        &self,
        scope: &TenantScope,
        (store_id, register_id): (&str, &str),
        epoch: u32,
        restore_id: &str,
    ) -> Result<Write> {
        let mut earlier = self.earlier.clone();
        earlier.push(EpochEnd { epoch: self.epoch, last: self.last, z_number: self.z_number });
        let ended = serde_json::to_string(&earlier).map_err(Error::bug)?;
        Ok(Write::Update {
            table: Table::Orders,
            key: scope.lane(store_id, register_id),
            changes: vec![
                Change::Set("epoch", i64::from(epoch).into()),
                Change::Set("last", 0.into()),
                Change::Set("z_number", 0.into()),
                Change::Set("store_id", store_id.into()),
                Change::Set("register_id", register_id.into()),
                Change::Set(EARLIER_EPOCHS, ended.into()),
                Change::Set("restore_id", restore_id.into()),
            ],
            // A closing changes the open shift with the Z number.
            condition: Some(self.unchanged(true)?),
        })
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

/// Takes the next numbers, provided that nobody else did, and adds the carts that have them to the lane's
/// running totals (minor units), from which the reports of a shift are made.
///
/// # Errors
/// A bug if a stored cart's sums leave the accepted range, or the carts have not the next numbers in order.
pub fn take_numbers(scope: &TenantScope, state: &LaneState, carts: &[&Cart]) -> Result<Write> {
    let (mut last, mut totals) = (state.last, LaneTotals::default());
    for cart in carts {
        let number = cart.finalized.as_ref().map(|done| done.number.number);
        if number != Some(last + 1) {
            return Err(Error::Bug(format!("cart {} has number {number:?} after {last}", cart.id)));
        }
        last += 1;
        totals = totals.plus(&LaneTotals::of_cart(cart).map_err(Error::bug)?);
    }
    let lane = carts.last().and_then(|cart| cart.finalized.as_ref()).map(|done| &done.number.lane);
    let Lane { store_id, register_id, .. } = lane.ok_or_else(|| Error::bug("a number is a cart's"))?;
    let mut changes = vec![
        Change::Set("last", i64::try_from(last).map_err(Error::bug)?.into()),
        Change::Set("epoch", i64::from(state.epoch).into()),
        Change::Set("store_id", store_id.as_str().into()),
        Change::Set("register_id", register_id.as_str().into()),
    ];
    changes.extend(lane_totals::additions(&totals));
    Ok(Write::Update {
        table: Table::Orders,
        key: scope.lane(store_id, register_id),
        changes,
        condition: Some(state.unchanged(state.within_shift)?),
    })
}
