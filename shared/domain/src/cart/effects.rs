//! Whether what was asked for takes something off: for those who ask once, and do not look at the cart between.

use super::{Cart, DiscountHead};
use crate::pricing::{CouponBenefit, Reason, Source};

/// What takes something off a sale, and what was asked for and does not.
#[derive(Debug, Clone)]
pub struct Effects<'a> {
    cart: &'a Cart,
    told: Vec<(&'a DiscountHead, i64, Option<&'a Reason>)>,
}

impl Cart {
    /// What takes something off it, as it was priced last.
    pub fn effects(&self) -> Effects<'_> {
        Effects { cart: self, told: self.charges.of_cart().collect() }
    }
}

impl<'a> Effects<'a> {
    /// Whether a promotion takes something off.
    ///
    /// # Errors
    /// Why not, as far as that is known: of promotions that apply by themselves it is not kept.
    pub fn promotion(&self, id: &str) -> Result<(), Option<&'a Reason>> {
        self.of(|source| matches!(source, Source::Promotion { id: own, .. } if own == id))
    }

    /// Whether a coupon takes something off, or the promotion that it unlocks does.
    ///
    /// # Errors
    /// Why not, as for a promotion.
    pub fn coupon(&self, code: &str) -> Result<(), Option<&'a Reason>> {
        let own = self.of(|source| matches!(source, Source::Coupon { code: own } if own == code));
        let applied = self.cart.terms.coupons.iter().find(|applied| applied.coupon.code == code);
        match (own, applied.map(|applied| &applied.coupon.benefit)) {
            (Err(None), Some(CouponBenefit::Promotion { promotion_id })) => self.promotion(promotion_id),
            (own, _) => own,
        }
    }

    fn of(&self, is: impl Fn(&Source) -> bool) -> Result<(), Option<&'a Reason>> {
        match self.told.iter().find(|(head, ..)| is(&head.source)) {
            Some((_, amount, _)) if *amount > 0 => Ok(()),
            Some((_, _, reason)) => Err(*reason),
            None => Err(None),
        }
    }
}
