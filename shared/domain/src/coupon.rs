//! Coupons as a tenant issues them: what one is good for, and how often it may be redeemed.

use serde::{Deserialize, Serialize};

use crate::pricing::{Coupon, RuleError};

/// A coupon with its limits. Redemptions are counted where a sale is made final.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CouponDefinition {
    /// What it is good for.
    pub coupon: Coupon,
    /// Times it may be redeemed by all together; any number where absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub total_limit: Option<u32>,
    /// Times one customer may redeem it; any number where absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub per_customer_limit: Option<u32>,
    /// Counts its changes.
    pub version: u64,
}

impl CouponDefinition {
    /// Checks every bound and contradiction, as it is taken in.
    ///
    /// # Errors
    /// [`RuleError`] naming the first that is wrong.
    pub fn check(&self) -> Result<(), RuleError> {
        self.coupon.check()?;
        if self.total_limit == Some(0) || self.per_customer_limit == Some(0) {
            return Err(RuleError::LimitZero);
        }
        match (self.per_customer_limit, self.total_limit) {
            (Some(customer), Some(total)) if customer > total => Err(RuleError::LimitsReversed),
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pricing::{CouponBenefit, Selector};

    #[test]
    fn limits_are_checked_beside_the_coupon() {
        let definition = |total: Option<u32>, customer: Option<u32>, bps: u32| CouponDefinition {
            coupon: Coupon {
                code: "SUMMER-10".into(),
                benefit: CouponBenefit::Percentage { bps },
                currency: None,
                minimum_spend: None,
                valid_from: None,
                valid_to: None,
                target: Selector::default(),
            },
            total_limit: total,
            per_customer_limit: customer,
            version: 1,
        };
        for (total, customer) in [(None, None), (Some(1), Some(1)), (None, Some(5)), (Some(9), None)] {
            assert_eq!(definition(total, customer, 1_000).check(), Ok(()));
        }
        assert_eq!(definition(Some(0), None, 1_000).check(), Err(RuleError::LimitZero));
        assert_eq!(definition(None, Some(0), 1_000).check(), Err(RuleError::LimitZero));
        assert_eq!(definition(Some(1), Some(2), 1_000).check(), Err(RuleError::LimitsReversed));
        assert_eq!(definition(None, None, 0).check(), Err(RuleError::Percentage));
    }
}
