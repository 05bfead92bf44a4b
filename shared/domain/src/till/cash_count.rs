//! Counting what is in a drawer.

use serde::{Deserialize, Serialize};

use super::TillError;
use crate::money::{Currency, Money};

/// Most kinds of coins and notes in one count. No currency has more than some twenty; rolls and bundles
/// are counted apart from them.
pub const DENOMINATIONS_MAX: usize = 40;
/// Most coins or notes of one kind: a lorry's load.
pub const DENOMINATION_COUNT_MAX: u32 = 1_000_000;

/// Coins or notes of one value.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Denomination {
    /// The value of one, in minor units.
    pub value: i64,
    /// How many.
    pub count: u32,
}

impl Denomination {
    /// What they come to. A counted one is within the accepted range.
    pub fn amount(&self) -> i64 {
        self.value.saturating_mul(i64::from(self.count))
    }
}

/// An amount as it was sent: of the store's currency and within the range.
pub(super) fn amount_of(money: Money, currency: Currency) -> Result<i64, TillError> {
    if money.currency != currency {
        return Err(TillError::CurrencyMismatch(currency));
    }
    Ok(Money::new(money.amount, money.currency)?.amount)
}

/// What a drawer was counted to: the amount said, or what the coins and notes come to; both agree where
/// both are given. Minor units, and the coins and notes.
///
/// # Errors
/// [`TillError::CountRequired`] for neither, [`TillError::DenominationsDoNotSum`] for a contradiction,
/// [`TillError::Negative`], [`TillError::CurrencyMismatch`], [`TillError::TooManyDenominations`],
/// [`TillError::DenominationInvalid`], [`TillError::DenominationRepeated`], [`TillError::Money`].
pub fn count_cash(
    counted: Option<Money>,
    denominations: Option<&[(Money, u32)]>,
    currency: Currency,
) -> Result<(i64, Vec<Denomination>), TillError> {
    let counted = counted.map(|money| amount_of(money, currency)).transpose()?;
    if counted.is_some_and(|amount| amount < 0) {
        return Err(TillError::Negative);
    }
    let Some(denominations) = denominations else {
        return Ok((counted.ok_or(TillError::CountRequired)?, Vec::new()));
    };
    if denominations.len() > DENOMINATIONS_MAX {
        return Err(TillError::TooManyDenominations);
    }
    let mut kinds: Vec<Denomination> = Vec::with_capacity(denominations.len());
    let mut sum = 0_i128;
    for (value, count) in denominations {
        let value = amount_of(*value, currency)?;
        if value <= 0 || *count > DENOMINATION_COUNT_MAX {
            return Err(TillError::DenominationInvalid);
        }
        if kinds.iter().any(|kind| kind.value == value) {
            return Err(TillError::DenominationRepeated { value });
        }
        sum += i128::from(value) * i128::from(*count);
        kinds.push(Denomination { value, count: *count });
    }
    let sum = i64::try_from(sum).map_err(|_| crate::money::MoneyError::OutOfRange)?;
    let sum = Money::new(sum, currency)?.amount;
    match counted {
        Some(counted) if counted != sum => Err(TillError::DenominationsDoNotSum { sum, counted }),
        _ => Ok((sum, kinds)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::money::{AMOUNT_MAX, MoneyError};

    fn gbp(amount: i64) -> Money {
        Money { amount, currency: Currency::GBP }
    }

    fn count(counted: Option<i64>, kinds: Option<&[(i64, u32)]>) -> Result<i64, TillError> {
        let kinds: Option<Vec<(Money, u32)>> =
            kinds.map(|kinds| kinds.iter().map(|(value, count)| (gbp(*value), *count)).collect());
        let (sum, told) = count_cash(counted.map(gbp), kinds.as_deref(), Currency::GBP)?;
        assert!(told.is_empty() || told.iter().map(Denomination::amount).sum::<i64>() == sum);
        Ok(sum)
    }

    #[test]
    fn coins_and_notes_come_to_what_was_counted() {
        assert_eq!(count(Some(4_525), Some(&[(2_000, 2), (500, 1), (5, 5)])), Ok(4_525));
        assert_eq!(count(None, Some(&[(2_000, 2), (500, 1), (5, 0)])), Ok(4_500));
        assert_eq!(count(Some(0), None), Ok(0));
        assert_eq!(count(Some(0), Some(&[])), Ok(0));
        let wrong = TillError::DenominationsDoNotSum { sum: 4_500, counted: 4_525 };
        assert_eq!(count(Some(4_525), Some(&[(2_000, 2), (500, 1)])), Err(wrong));
    }

    #[test]
    fn what_is_no_count_is_refused() {
        let many: Vec<(i64, u32)> = (1..=41).map(|value| (value, 1)).collect();
        let dear: Vec<(i64, u32)> = (0..40).map(|n| (AMOUNT_MAX - n, DENOMINATION_COUNT_MAX)).collect();
        let out_of_range = TillError::Money(MoneyError::OutOfRange);
        for (counted, kinds, refused) in [
            (None, None, TillError::CountRequired),
            (Some(-1), None, TillError::Negative),
            (Some(AMOUNT_MAX + 1), None, out_of_range.clone()),
            (None, Some(&[(0, 1)][..]), TillError::DenominationInvalid),
            (None, Some(&[(-5, 1)]), TillError::DenominationInvalid),
            (None, Some(&[(5, DENOMINATION_COUNT_MAX + 1)]), TillError::DenominationInvalid),
            (None, Some(&[(5, 1), (10, 1), (5, 2)]), TillError::DenominationRepeated { value: 5 }),
            (None, Some(&[(AMOUNT_MAX, 2)]), out_of_range.clone()),
            (None, Some(&dear), out_of_range),
            (None, Some(&many), TillError::TooManyDenominations),
        ] {
            assert_eq!(count(counted, kinds), Err(refused));
        }
        let euro = Money { amount: 5, currency: "EUR".parse().unwrap() };
        let mismatch = Err(TillError::CurrencyMismatch(Currency::GBP));
        assert_eq!(count_cash(Some(euro), None, Currency::GBP), mismatch);
        assert_eq!(count_cash(None, Some(&[(euro, 1)]), Currency::GBP), mismatch);
    }
}
