//! Taking the next number of a lane.

use tillstream_domain::cart::{Cart, CartKind};
use tillstream_domain::lane::{Lane, LaneNumber};

use crate::database::{Change, Condition, Consistency, Get, Item, Table, Write};
use crate::error::{Error, Result};
use crate::tenancy::TenantScope;

/// A lane as it was read: a transaction returns no values, so the number is read, then asserted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LaneState {
    /// Last number given; 0 before the first.
    pub last: u64,
    /// Raised after a restore from backup.
    pub epoch: u32,
    exists: bool,
}

impl LaneState {
    /// Reads a lane's item; a lane without one has given no number yet.
    ///
    /// # Errors
    /// A bug if the item is not a lane.
    pub fn of(item: Option<&Item>) -> Result<Self> {
        let Some(item) = item else { return Ok(LaneState { last: 0, epoch: 0, exists: false }) };
        Ok(LaneState {
            last: u64::try_from(item.number("last")?).map_err(Error::bug)?,
            epoch: u32::try_from(item.number("epoch")?).map_err(Error::bug)?,
            exists: true,
        })
    }

    /// The next number of the lane.
    pub fn next(&self, store_id: &str, register_id: &str) -> LaneNumber {
        let lane = Lane { epoch: self.epoch, ..Lane::new(store_id, register_id) };
        LaneNumber { lane, number: self.last + 1 }
    }
}

/// The read of a lane: a stale number would only lose the race.
pub fn lane_get(scope: &TenantScope, store_id: &str, register_id: &str) -> Get {
    Get { table: Table::Orders, key: scope.lane(store_id, register_id), consistency: Consistency::Strong }
}

/// Takes the next number, provided that nobody else did, and adds the cart to the lane's running
/// totals (minor units), which a Z report is checked against.
///
/// # Errors
/// A bug if a stored cart's sums leave the accepted range.
pub fn take_number(scope: &TenantScope, state: LaneState, number: &LaneNumber, cart: &Cart) -> Result<Write> {
    let (store_id, register_id) = (&number.lane.store_id, &number.lane.register_id);
    let totals = cart.totals().map_err(Error::bug)?;
    let cash: i64 = cart.payments.iter().filter(|p| p.tender == "cash").map(|p| p.amount - p.change).sum();
    let (count, sum, cash) = match cart.kind {
        CartKind::Sale => ("sales", "sales_total", cash),
        CartKind::Return => ("returns", "returns_total", -cash),
    };
    let condition = if state.exists {
        Condition::All(vec![
            Condition::Eq("last", i64::try_from(state.last).map_err(Error::bug)?.into()),
            Condition::Eq("epoch", i64::from(state.epoch).into()),
        ])
    } else {
        Condition::NotExists
    };
    Ok(Write::Update {
        table: Table::Orders,
        key: scope.lane(store_id, register_id),
        changes: vec![
            Change::Set("last", i64::try_from(number.number).map_err(Error::bug)?.into()),
            Change::Set("epoch", i64::from(state.epoch).into()),
            Change::Set("store_id", store_id.as_str().into()),
            Change::Set("register_id", register_id.as_str().into()),
            Change::Add(count, 1),
            Change::Add(sum, totals.total),
            Change::Add("cash_total", cash),
        ],
        condition: Some(condition),
    })
}
