//! Rounding of what is paid in cash, where the smallest coins are gone.

use crate::money::divide_rounding;

/// Largest increment, in minor units: a whole major unit of two decimals, a hundred times over.
pub const INCREMENT_MAX: u32 = 10_000;

/// What to add to `amount` (minor units, either sign) so that it can be paid in coins of `increment`:
/// to the nearest multiple, half away from zero. Zero where `increment` is 0 or 1.
///
/// Only what is paid in cash is rounded: pass what is left after every other tender. It changes neither
/// tax nor totals, as it is a matter of the payment and not of the price.
pub fn cash_rounding(amount: i64, increment: u32) -> i64 {
    if increment <= 1 {
        return 0;
    }
    let increment = i128::from(increment);
    let rounded = divide_rounding(i128::from(amount), increment) * increment;
    // The difference is at most half an increment.
    i64::try_from(rounded - i128::from(amount)).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cash_goes_to_the_nearest_coin() {
        // Five cents, as in Canada since 2013: 1, 2 down, 3, 4 up.
        let to_five: Vec<i64> = (1_000..1_010).map(|amount| amount + cash_rounding(amount, 5)).collect();
        assert_eq!(to_five, [1_000, 1_000, 1_000, 1_005, 1_005, 1_005, 1_005, 1_005, 1_010, 1_010]);
        assert_eq!(cash_rounding(1_005, 10), 5, "half goes away from zero");
        assert_eq!(cash_rounding(-1_005, 10), -5, "money back as money in");
        assert_eq!((cash_rounding(1_003, 0), cash_rounding(1_003, 1)), (0, 0));
        assert_eq!(cash_rounding(2, 5), -2, "too little for a coin is nothing");
    }
}
