//! Sharing an amount out by weights, without a remainder.

/// Shares of `amount` by `weights` (none negative), by largest remainder: each share is the exact
/// share rounded down or up, and they sum to `amount`. Equal remainders go to the earlier weight. With
/// no weight above zero, all shares are zero but the first, which is everything.
pub fn apportion(amount: i64, weights: &[i64]) -> Vec<i64> {
    let sum: i128 = weights.iter().map(|w| i128::from((*w).max(0))).sum();
    if sum == 0 {
        return weights.iter().enumerate().map(|(at, _)| if at == 0 { amount } else { 0 }).collect();
    }
    let (sign, size) = (i128::from(amount.signum()), i128::from(amount).abs());
    let exact = |weight: &i64| size * i128::from((*weight).max(0));
    let mut shares: Vec<i128> = weights.iter().map(|weight| exact(weight) / sum).collect();
    let mut by_remainder: Vec<(i128, usize)> =
        weights.iter().enumerate().map(|(at, weight)| (-(exact(weight) % sum), at)).collect();
    by_remainder.sort_unstable();
    let mut left = size - shares.iter().sum::<i128>();
    for (_, at) in by_remainder {
        if left == 0 {
            break;
        }
        if let Some(share) = shares.get_mut(at) {
            *share += 1;
            left -= 1;
        }
    }
    // Every share is between zero and the amount, so it fits.
    shares.into_iter().map(|share| i64::try_from(share * sign).unwrap_or(0)).collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_largest_remainder_takes_the_odd_penny() {
        assert_eq!(apportion(100, &[1, 1, 1]), [34, 33, 33]);
        assert_eq!(apportion(-100, &[1, 1, 1]), [-34, -33, -33]);
        assert_eq!(apportion(10, &[1, 2]), [3, 7]);
        assert_eq!(apportion(11, &[3, 1]), [8, 3], "the remainder decides, not the weight");
        assert_eq!(apportion(7, &[0, 0]), [7, 0]);
        assert_eq!(apportion(7, &[0, 5]), [0, 7]);
    }

    proptest! {
        #[test]
        fn shares_sum_and_are_near(amount in -1_000_000_000_000_i64..1_000_000_000_000, weights in prop::collection::vec(0_i64..1_000_000_000_000, 1..6)) {
            let shares = apportion(amount, &weights);
            prop_assert_eq!(shares.iter().sum::<i64>(), amount);
            let sum: i128 = weights.iter().map(|w| i128::from(*w)).sum();
            if sum > 0 {
                for (share, weight) in shares.iter().zip(&weights) {
                    let off = i128::from(*share) * sum - i128::from(amount) * i128::from(*weight);
                    prop_assert!(off.abs() < sum);
                }
            }
        }
    }
}
