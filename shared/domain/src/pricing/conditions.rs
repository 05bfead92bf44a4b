//! When a promotion holds: who, where, when, and how much is in the basket.

use std::collections::BTreeSet;

use jiff::Timestamp;
use jiff::civil::{DateTime, Time, Weekday};
use serde::{Deserialize, Serialize};

use super::basket::Basket;
use super::error::RuleError;
use super::explanation::Reason;
use super::promotion::check_text;
use super::selection::{SELECTED_MAX, Selector};
use crate::identifier::check_id;
use crate::money::{AMOUNT_MAX, Currency};
use crate::quantity::{QUANTITY_MAX_THOUSANDTHS, Quantity};

/// A day of the week.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum DayOfWeek {
    /// Monday.
    Monday,
    /// Tuesday.
    Tuesday,
    /// Wednesday.
    Wednesday,
    /// Thursday.
    Thursday,
    /// Friday.
    Friday,
    /// Saturday.
    Saturday,
    /// Sunday.
    Sunday,
}

impl From<Weekday> for DayOfWeek {
    fn from(day: Weekday) -> Self {
        match day {
            Weekday::Monday => DayOfWeek::Monday,
            Weekday::Tuesday => DayOfWeek::Tuesday,
            Weekday::Wednesday => DayOfWeek::Wednesday,
            Weekday::Thursday => DayOfWeek::Thursday,
            Weekday::Friday => DayOfWeek::Friday,
            Weekday::Saturday => DayOfWeek::Saturday,
            Weekday::Sunday => DayOfWeek::Sunday,
        }
    }
}

/// A part of the day on the store's clock, from `from` until before `to`. Where `to` is not after `from`
/// it goes over midnight, and its small hours belong to the day on which it began: Friday 22:00 to 02:00
/// holds on Saturday at 01:00 and not on Friday at 01:00.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TimeOfDay {
    /// First moment in it.
    pub from: Time,
    /// First moment no longer in it; `00:00:00` is the end of the day.
    pub to: Time,
}

/// What must be so for a promotion to apply. An empty list, and what is absent, asks for nothing.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Conditions {
    /// First instant it is valid.
    #[serde(default)]
    pub valid_from: Option<Timestamp>,
    /// First instant it is no longer valid.
    #[serde(default)]
    pub valid_to: Option<Timestamp>,
    /// Days of the week, on the store's clock.
    #[serde(default)]
    pub days: BTreeSet<DayOfWeek>,
    /// Part of the day, on the store's clock.
    #[serde(default)]
    pub time_of_day: Option<TimeOfDay>,
    /// The customer is in one of these segments.
    #[serde(default)]
    pub segments: BTreeSet<String>,
    /// It is sold at one of these stores.
    #[serde(default)]
    pub stores: BTreeSet<String>,
    /// It is sold on one of these channels.
    #[serde(default)]
    pub channels: BTreeSet<String>,
    /// What is discountable in the whole basket is worth at least this before any discount, in minor
    /// units. Before, so that no other promotion can take it away.
    #[serde(default)]
    pub minimum_subtotal: Option<i64>,
    /// There is at least this quantity of what is discountable in the whole basket, pieces and measures
    /// added as they are.
    #[serde(default)]
    pub minimum_quantity: Option<Quantity>,
    /// The basket holds this, whatever the promotion is for.
    #[serde(default)]
    pub contains: Option<Contains>,
}

/// So much of some products that is in a basket.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Contains {
    /// Which products.
    pub of: Selector,
    /// At least this quantity of them together, pieces and measures added as they are.
    pub quantity: Quantity,
}

impl Conditions {
    /// Checks bounds and contradictions.
    ///
    /// # Errors
    /// [`RuleError`] naming the first that is wrong.
    pub fn check(&self) -> Result<(), RuleError> {
        check_validity(self.valid_from, self.valid_to)?;
        if self.time_of_day.is_some_and(|time| time.from == time.to) {
            return Err(RuleError::EmptyTimeOfDay);
        }
        check_places(&self.stores, &self.channels)?;
        check_names("a segment", &self.segments)?;
        if self.minimum_subtotal.is_some_and(|least| !(1..=AMOUNT_MAX).contains(&least)) {
            return Err(RuleError::Amount("minimum_subtotal"));
        }
        if let Some(contains) = &self.contains {
            contains.of.check()?;
        }
        let quantities = [self.minimum_quantity, self.contains.as_ref().map(|contains| contains.quantity)];
        let in_range = |least: &Quantity| (1..=QUANTITY_MAX_THOUSANDTHS).contains(&least.thousandths());
        if quantities.iter().flatten().all(in_range) { Ok(()) } else { Err(RuleError::MinimumQuantity) }
    }

    /// Whether it is within its validity.
    pub fn is_valid(&self, at: Timestamp) -> bool {
        is_valid_at(self.valid_from, self.valid_to, at)
    }

    /// The first condition that does not hold, if one does not. `quantity_of`: how much of some products is in
    /// the basket.
    pub(super) fn unmet(
        &self,
        basket: &Basket,
        measures: &Measures,
        quantity_of: impl Fn(&Selector) -> Quantity,
    ) -> Option<Reason> {
        if !is_valid_at(self.valid_from, self.valid_to, basket.at) {
            return Some(Reason::NotValidNow);
        }
        if !self.holds_at(basket.local) {
            return Some(Reason::WrongTime);
        }
        if !is_one_of(&self.stores, Some(&basket.store_id)) {
            return Some(Reason::WrongStore);
        }
        if !is_one_of(&self.channels, Some(&basket.channel)) {
            return Some(Reason::WrongChannel);
        }
        if !self.segments.is_empty() && self.segments.is_disjoint(&basket.customer.segments) {
            return Some(Reason::WrongSegment);
        }
        if let Some(needed) = self.minimum_subtotal.filter(|needed| measures.subtotal < *needed) {
            return Some(Reason::BelowMinimum { needed, is: measures.subtotal });
        }
        if let Some(needed) = self.minimum_quantity.filter(|needed| measures.quantity < *needed) {
            return Some(Reason::BelowMinimumQuantity { needed, is: measures.quantity });
        }
        let contains = self.contains.as_ref()?;
        let is = quantity_of(&contains.of);
        (is < contains.quantity).then_some(Reason::NotInBasket { needed: contains.quantity, is })
    }

    /// Whether days and time of day admit a local time.
    fn holds_at(&self, local: DateTime) -> bool {
        let Some(TimeOfDay { from, to }) = self.time_of_day else {
            return self.on_day(local.weekday());
        };
        let now = local.time();
        if from < to {
            return from <= now && now < to && self.on_day(local.weekday());
        }
        (from <= now && self.on_day(local.weekday())) || (now < to && self.on_day(local.weekday().previous()))
    }

    fn on_day(&self, day: Weekday) -> bool {
        self.days.is_empty() || self.days.contains(&DayOfWeek::from(day))
    }
}

/// What a whole basket amounts to, as far as it is discountable.
#[derive(Debug, Clone, Copy)]
pub(super) struct Measures {
    /// Before any discount, in minor units.
    pub subtotal: i64,
    /// Of all units together.
    pub quantity: Quantity,
}

/// Whether something that is valid from an instant until before another is valid at `at`.
pub(super) fn is_valid_at(from: Option<Timestamp>, to: Option<Timestamp>, at: Timestamp) -> bool {
    from.is_none_or(|from| from <= at) && to.is_none_or(|to| at < to)
}

/// Whether `list` is empty or has `name`.
pub(super) fn is_one_of(list: &BTreeSet<String>, name: Option<&str>) -> bool {
    list.is_empty() || name.is_some_and(|name| list.contains(name))
}

/// Checks that something is valid for some time.
pub(super) fn check_validity(from: Option<Timestamp>, to: Option<Timestamp>) -> Result<(), RuleError> {
    match (from, to) {
        (Some(from), Some(to)) if from >= to => Err(RuleError::ValidityReversed),
        _ => Ok(()),
    }
}

/// Checks lists of stores and channels.
pub(super) fn check_places(stores: &BTreeSet<String>, channels: &BTreeSet<String>) -> Result<(), RuleError> {
    if stores.len() > SELECTED_MAX {
        return Err(RuleError::ListTooLong);
    }
    for store in stores {
        check_id(store)?;
    }
    check_names("a channel", channels)
}

/// Checks a list of names.
pub(super) fn check_names(what: &'static str, names: &BTreeSet<String>) -> Result<(), RuleError> {
    if names.len() > SELECTED_MAX {
        return Err(RuleError::ListTooLong);
    }
    names.iter().try_for_each(|name| check_text(what, name))
}

/// Checks that a currency is named exactly where there are amounts.
pub(super) fn check_currency(currency: Option<Currency>, has_amounts: bool) -> Result<(), RuleError> {
    match (currency, has_amounts) {
        (None, true) => Err(RuleError::CurrencyMissing),
        (Some(currency), false) => Err(RuleError::CurrencyUnused(currency)),
        _ => Ok(()),
    }
}
