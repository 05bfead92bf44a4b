//! The till: shifts of a register, the cash in its drawer, and what its reports say.
//!
//! A lane keeps running totals that are never reset ([`LaneTotals`]). A shift remembers them as they were
//! when it opened and when it closed; what it took is the difference, so that closing reads no order and
//! no bad sale can block it. That the orders of its numbers add up to the same is proved beside it.

mod cash_count;
mod lane_totals;
mod shift;

pub use cash_count::{DENOMINATION_COUNT_MAX, DENOMINATIONS_MAX, Denomination, count_cash};
pub use lane_totals::{LaneTotals, OTHER_TENDER, TenderTotals};
pub use shift::{
    Closing, Entry, LaneMark, MOVEMENTS_MAX, Movement, MovementKind, NewMovement, Opening, ReceiptRange,
    Seen, Shift, ShiftFigures, ShiftKeys, Tally,
};

use crate::money::{Currency, MoneyError};

/// Why the till refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TillError {
    /// The shift is closed; its report stands.
    #[error("the shift is closed; open another")]
    Closed,
    /// A movement of nothing, or of less.
    #[error("an amount that is put in or taken out is above zero")]
    NotPositive,
    /// Less than nothing in a drawer.
    #[error("an amount in a drawer is zero or above")]
    Negative,
    /// Money of another currency.
    #[error("the store's currency is {0}")]
    CurrencyMismatch(Currency),
    /// [`MOVEMENTS_MAX`].
    #[error("a shift takes at most {MOVEMENTS_MAX} movements; close it and open another")]
    TooManyMovements,
    /// More is taken out than can be in the drawer.
    #[error("at most {most} minor units can be in the drawer; count it first if there is more")]
    DrawerShort {
        /// What is expected, corrected by the last count.
        most: i64,
    },
    /// Neither an amount nor coins and notes.
    #[error("say what was counted: `counted`, `denominations`, or both")]
    CountRequired,
    /// Coins and notes come to something else than was said.
    #[error("the denominations come to {sum} minor units, not to {counted}")]
    DenominationsDoNotSum {
        /// What they come to.
        sum: i64,
        /// What was said.
        counted: i64,
    },
    /// [`DENOMINATIONS_MAX`].
    #[error("at most {DENOMINATIONS_MAX} denominations")]
    TooManyDenominations,
    /// Not a coin or note, or too many of it.
    #[error("a denomination has a value above zero, and there are 0 to {DENOMINATION_COUNT_MAX} of it")]
    DenominationInvalid,
    /// One value twice.
    #[error("{value} minor units stand twice among the denominations")]
    DenominationRepeated {
        /// Its value.
        value: i64,
    },
    /// An amount left the accepted range.
    #[error(transparent)]
    Money(#[from] MoneyError),
}

impl TillError {
    /// The stable code on the wire.
    pub fn code(&self) -> &'static str {
        match self {
            TillError::Closed => "shift_closed",
            TillError::NotPositive => "amount_not_positive",
            TillError::Negative => "amount_negative",
            TillError::CurrencyMismatch(_) => "currency_mismatch",
            TillError::TooManyMovements => "too_many_movements",
            TillError::DrawerShort { .. } => "drawer_short",
            TillError::CountRequired => "count_required",
            TillError::DenominationsDoNotSum { .. } => "denominations_do_not_sum",
            TillError::TooManyDenominations => "too_many_denominations",
            TillError::DenominationInvalid => "denomination_invalid",
            TillError::DenominationRepeated { .. } => "denomination_repeated",
            TillError::Money(_) => "amount_out_of_range",
        }
    }
}
