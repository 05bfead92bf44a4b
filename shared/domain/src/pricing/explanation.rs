//! Why a promotion, a manual discount or a coupon took off what it did, or nothing.

use serde::{Deserialize, Serialize};

use crate::quantity::Quantity;

/// What an adjustment or an explanation is about.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Source {
    /// A promotion.
    Promotion {
        /// Its id.
        id: String,
        /// Its version; 0 for one that is not known.
        version: u64,
    },
    /// A discount given by an employee.
    ManualDiscount {
        /// Its number in the cart.
        number: u32,
    },
    /// A coupon.
    Coupon {
        /// Its code.
        code: String,
    },
}

/// Why something took nothing off. The first reason that holds, in the order in which they are asked.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Reason {
    /// It was applied by hand or unlocked by a coupon, and there is no such promotion.
    Unknown,
    /// It is not automatic, and nobody applied it.
    NotRequested,
    /// Its amounts are of another currency.
    WrongCurrency,
    /// Outside its validity.
    NotValidNow,
    /// Not on this day of the week, or not at this time of day.
    WrongTime,
    /// Not at this store.
    WrongStore,
    /// Not on this channel.
    WrongChannel,
    /// Not for this customer.
    WrongSegment,
    /// The basket, or what it is for, is worth less.
    BelowMinimum {
        /// What it takes, in minor units.
        needed: i64,
        /// What there is.
        is: i64,
    },
    /// The basket holds less.
    BelowMinimumQuantity {
        /// What it takes.
        needed: Quantity,
        /// What there is.
        is: Quantity,
    },
    /// No uses are left.
    LimitReached,
    /// Nothing in the basket that it is for and that may be discounted.
    NoMatchingLine,
    /// What it is for is taken by an exclusive promotion; or it is exclusive itself, and something else
    /// was there before.
    Exclusive,
    /// Too few units for one whole group or bundle.
    TooFewUnits,
    /// It would take nothing off: all is free already, no price is above its own, or it rounds to nothing.
    NothingToTakeOff,
    /// Another one of its group takes more off.
    NotBestOfGroup {
        /// Id of the one that was taken.
        best: String,
    },
    /// The basket holds less of what has to be in it.
    NotInBasket {
        /// What it takes.
        needed: Quantity,
        /// What there is.
        is: Quantity,
    },
}

impl Reason {
    /// Its stable name on the wire.
    pub fn code(&self) -> &'static str {
        match self {
            Reason::Unknown => "unknown",
            Reason::NotRequested => "not_requested",
            Reason::WrongCurrency => "wrong_currency",
            Reason::NotValidNow => "not_valid_now",
            Reason::WrongTime => "wrong_time",
            Reason::WrongStore => "wrong_store",
            Reason::WrongChannel => "wrong_channel",
            Reason::WrongSegment => "wrong_segment",
            Reason::BelowMinimum { .. } => "below_minimum",
            Reason::BelowMinimumQuantity { .. } => "below_minimum_quantity",
            Reason::NotInBasket { .. } => "not_in_basket",
            Reason::LimitReached => "limit_reached",
            Reason::NoMatchingLine => "no_matching_line",
            Reason::Exclusive => "exclusive",
            Reason::TooFewUnits => "too_few_units",
            Reason::NothingToTakeOff => "nothing_to_take_off",
            Reason::NotBestOfGroup { .. } => "not_best_of_group",
        }
    }
}

/// What came of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Outcome {
    /// It took something off.
    Applied {
        /// How many times its benefit was given.
        uses: u32,
        /// What it took off in the order, in minor units.
        amount: i64,
    },
    /// A coupon that lets a promotion be considered; what came of that is told of the promotion.
    Unlocked {
        /// Id of the promotion.
        promotion_id: String,
    },
    /// It took nothing off.
    NotApplied {
        /// Why.
        reason: Reason,
    },
}

/// What was considered, and what came of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Explanation {
    /// What was considered.
    pub source: Source,
    /// What people call it.
    pub name: String,
    /// What came of it.
    pub outcome: Outcome,
}
