//! Pricing a cart: what is given depends on all of its lines, so all of them are priced anew after each change
//! until the lines are fixed.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::tz::TimeZone;

use super::charges::LimitedUse;
use super::sale_terms::{AppliedCoupon, CustomerTerms};
use super::{Cart, CartError, CartKind, CartState};
use crate::category::CategoryTree;
use crate::pricing::{
    Basket, BasketLine, COUPONS_MAX, CustomerFacts, FallsOn, MANUAL_DISCOUNTS_MAX, ManualDiscount,
    ManualDiscountKind, Outcome, PriceRules, Priced, PricingError, Promotion, REQUESTED_PROMOTIONS_MAX,
    Source, price, taken_of,
};
use crate::use_counting::Counting;

/// Most counters of uses that one sale takes from: they stand beside its stock in one transaction of a hundred
/// actions, and when it is undone beside all that comes back.
pub const COUNTERS_MAX: usize = 36;

/// What a cart is priced by now.
#[derive(Debug, Clone, Copy)]
pub struct PricedBy<'a> {
    /// The tenant's rules.
    pub rules: &'a PriceRules,
    /// The tenant's categories: a rule for one holds for all below it.
    pub categories: &'a CategoryTree,
    /// The instant that decides what is valid.
    pub at: Timestamp,
}

impl PricedBy<'_> {
    /// The same, but not as of an instant before the cart was opened: nothing of it happened before it.
    #[must_use]
    pub fn for_cart(&self, cart: &Cart) -> Self {
        PricedBy { at: self.at.max(cart.opened_at), ..*self }
    }
}

/// How uses of promotions are counted, where that is not as ever.
fn countings_of(uses: &[LimitedUse], rules: &PriceRules) -> BTreeMap<String, Counting> {
    let counting = |limited: &LimitedUse| {
        let Source::Promotion { id, .. } = &limited.source else { return None };
        let promotion = rules.promotions.iter().find(|promotion| promotion.id == *id)?;
        let counting = promotion.limits.counting;
        (counting != Counting::default()).then(|| (id.clone(), counting))
    };
    uses.iter().filter_map(counting).collect()
}

impl Cart {
    /// Prices the lines anew: of a sale all, of a blind return their tax. Those of a return of a known sale are
    /// worth what they were sold for.
    ///
    /// # Errors
    /// [`CartError::Pricing`]; [`CartError::Money`] where a total leaves the accepted range.
    pub fn reprice(&mut self, by: &PricedBy<'_>) -> Result<(), CartError> {
        if self.kind == CartKind::Return && self.return_of.as_ref().is_some_and(|r| r.original.is_some()) {
            return Ok(());
        }
        self.set_customer_prices();
        if self.is_plain(by.rules) {
            self.charges.clear_lines();
            self.terms.countings.promotions.clear();
        } else {
            let priced = self.priced(by)?;
            self.keep(&priced, by.rules);
        }
        self.round_refunds_anew()?;
        let totals = self.totals()?;
        self.check_refund_limit(&totals)
    }

    fn keep(&mut self, priced: &Priced, rules: &PriceRules) {
        let uses = self.limited_uses(priced, rules);
        self.terms.countings.promotions = countings_of(&uses, rules);
        let lines = &self.terms.lines;
        let modified = |number| lines.get(&number).is_some_and(|terms| !terms.modifiers.is_empty());
        self.charges.set_lines(priced, (&self.terms.requested, modified), uses);
    }

    /// Whether every line is charged its price and nothing else.
    fn is_plain(&self, rules: &PriceRules) -> bool {
        let terms = &self.terms;
        rules.tax_rules.is_empty()
            && (rules.promotions.is_empty() || self.kind == CartKind::Return)
            && self.charges.manual.is_empty()
            && terms.coupons.is_empty()
            && terms.requested.is_empty()
            && terms.lines.values().all(|line| line.modifiers.is_empty())
    }

    /// Customers of a segment may have prices of their own; a price set by hand stands.
    fn set_customer_prices(&mut self) {
        for line in self.lines.iter_mut().filter(|line| !line.price_overridden) {
            let Some(terms) = self.terms.lines.get(&line.number) else { continue };
            let Some(list) = terms.list_price else { continue };
            line.unit_price = self.terms.customer.price_among(&terms.segment_prices).unwrap_or(list);
        }
    }

    fn local_time(&self, at: Timestamp) -> DateTime {
        let zone = self.terms.time_zone.as_deref().and_then(|name| TimeZone::get(name).ok());
        zone.unwrap_or(TimeZone::UTC).to_datetime(at)
    }

    fn basket(&self, by: &PricedBy<'_>) -> Basket {
        let terms = &self.terms;
        let lines = self.lines.iter().map(|line| {
            let own = terms.lines.get(&line.number);
            BasketLine {
                number: line.number,
                sku: line.sku.clone(),
                categories: line.category.as_deref().map(|own| by.categories.path(own)).unwrap_or_default(),
                tax_category: own.and_then(|own| own.tax_category.clone()),
                tax_exempt: own.is_some_and(|own| own.tax_exempt),
                quantity: line.quantity,
                unit: line.unit,
                unit_price: line.unit_price,
                modifiers: own.map(|own| own.modifiers.clone()).unwrap_or_default(),
                price_overridden: line.price_overridden,
                discountable: !own.is_some_and(|own| own.undiscountable),
            }
        });
        let uses_left = |promotion: &Promotion| {
            let limits = promotion.limits;
            let of_all = [limits.total, terms.uses_left.get(&promotion.id).copied()];
            let of_customer = match &self.customer_id {
                Some(_) => [limits.per_customer, terms.uses_left_by_customer.get(&promotion.id).copied()],
                // Uses by a customer cannot be counted of nobody.
                None => [limits.per_customer.map(|_| 0), None],
            };
            let left = of_all.into_iter().chain(of_customer).flatten().min()?;
            Some((promotion.id.clone(), left))
        };
        Basket {
            currency: self.currency,
            lines: lines.collect(),
            customer: CustomerFacts {
                segments: terms.customer.segments.iter().cloned().collect(),
                tax_exempt: terms.customer.tax_exempt,
            },
            store_id: self.store_id.clone(),
            region: self.region.clone(),
            channel: self.channel.clone(),
            at: by.at,
            local: self.local_time(by.at),
            requested_promotions: terms.requested.clone(),
            uses_left: by.rules.promotions.iter().filter_map(uses_left).collect(),
            manual_discounts: self.charges.manual.clone(),
            coupons: terms.coupons.iter().map(|applied| applied.coupon.clone()).collect(),
        }
    }

    fn priced(&self, by: &PricedBy<'_>) -> Result<Priced, CartError> {
        let mut basket = self.basket(by);
        let of_return = self.kind == CartKind::Return;
        let mut rules = std::borrow::Cow::Borrowed(by.rules);
        if of_return || !self.terms.excluded.is_empty() {
            let given = |promotion: &Promotion| !of_return && !self.terms.excluded.contains(&promotion.id);
            rules.to_mut().promotions.retain(given);
        }
        let priced = price(&basket, &rules)?;
        let Some(kept) = self.counted_at_once(&priced, &rules) else { return Ok(priced) };
        let beyond = rules.promotions.iter().filter(|promotion| {
            let limits = promotion.limits;
            (limits.total.is_some() || limits.per_customer.is_some()) && !kept.contains(&promotion.id)
        });
        basket.uses_left.extend(beyond.map(|promotion| (promotion.id.clone(), 0)));
        Ok(price(&basket, &rules)?)
    }

    /// On which lines each manual discount falls that takes something off, of a sale whose lines are priced by `by`.
    ///
    /// # Errors
    /// [`CartError::Pricing`].
    pub fn falls_on(&self, by: &PricedBy<'_>) -> Result<FallsOn, CartError> {
        Ok(self.priced(by)?.falls_on)
    }

    /// What is left to pay of the goods that a share would fall on if it were given now, in minor units: what it would be
    /// taken of. Nothing where it would take nothing off, or its line is not there.
    ///
    /// # Errors
    /// [`CartError::TooManyDiscounts`] where no other can be given; [`CartError::Pricing`].
    pub fn goods_for(&self, share: ManualDiscountKind, by: &PricedBy<'_>) -> Result<i64, CartError> {
        let is_gone = |number: u32| self.lines.iter().all(|line| line.number != number);
        if share.line().is_some_and(is_gone) {
            return Ok(0);
        }
        if self.charges.manual.len() >= MANUAL_DISCOUNTS_MAX {
            return Err(CartError::TooManyDiscounts);
        }
        let mut with = self.clone();
        let number = self.charges.manual_used.saturating_add(1);
        with.charges.manual.push(ManualDiscount { number, kind: share, reason: "asked for".to_owned() });
        Ok(taken_of(&with.falls_on(by)?, number))
    }

    /// Where more is counted than one transaction takes: the promotions that are, the first of them by the order
    /// in which they apply, beside all coupons, which somebody asked for. The others are not given: the sale goes
    /// on without them.
    fn counted_at_once(&self, priced: &Priced, rules: &PriceRules) -> Option<BTreeSet<String>> {
        let uses = self.limited_uses(priced, rules);
        let counters = |limited: &LimitedUse| {
            usize::from(limited.total.is_some()) + usize::from(limited.per_customer.is_some())
        };
        if uses.iter().map(counters).sum::<usize>() <= COUNTERS_MAX {
            return None;
        }
        let is_coupon = |limited: &&LimitedUse| matches!(limited.source, Source::Coupon { .. });
        let mut left = COUNTERS_MAX.saturating_sub(uses.iter().filter(is_coupon).map(counters).sum());
        let mut kept = BTreeSet::new();
        for limited in &uses {
            if let Source::Promotion { id, .. } = &limited.source
                && let Some(rest) = left.checked_sub(counters(limited))
            {
                left = rest;
                kept.insert(id.clone());
            }
        }
        Some(kept)
    }

    /// Of what applied, what may be used so often only.
    fn limited_uses(&self, priced: &Priced, rules: &PriceRules) -> Vec<LimitedUse> {
        let mut uses = Vec::new();
        for found in &priced.explanations {
            let (times, total, per_customer) = match (&found.source, &found.outcome) {
                (Source::Promotion { id, .. }, Outcome::Applied { uses, .. }) => {
                    let promotion = rules.promotions.iter().find(|promotion| promotion.id == *id);
                    let limits = promotion.map(|promotion| promotion.limits).unwrap_or_default();
                    (*uses, limits.total, limits.per_customer)
                }
                (Source::Coupon { code }, Outcome::Applied { .. } | Outcome::Unlocked { .. }) => {
                    let unlocked = match &found.outcome {
                        Outcome::Unlocked { promotion_id } => {
                            priced.promotion_uses.contains_key(promotion_id)
                        }
                        _ => true,
                    };
                    let applied = self.terms.coupons.iter().find(|applied| applied.coupon.code == *code);
                    match applied.filter(|_| unlocked) {
                        Some(applied) => (1, applied.total_limit, applied.per_customer_limit),
                        None => continue,
                    }
                }
                _ => continue,
            };
            if total.is_some() || per_customer.is_some() {
                uses.push(LimitedUse { source: found.source.clone(), uses: times, total, per_customer });
            }
        }
        uses
    }

    /// Takes something off, by an employee's decision; answers the discount's number.
    ///
    /// # Errors
    /// [`CartError::WrongState`]; [`CartError::UnknownLine`]; [`CartError::TooManyDiscounts`];
    /// [`CartError::DiscountAboveTotal`] for an amount above what is left to pay, [`CartError::NothingOff`]
    /// for what takes nothing off; [`CartError::Pricing`] for a value or reason out of bounds.
    pub fn give_discount(
        &mut self,
        kind: ManualDiscountKind,
        reason: String,
        by: &PricedBy<'_>,
    ) -> Result<u32, CartError> {
        self.give_discounts(vec![(kind, reason)], by).map_err(|(_, error)| error)?;
        Ok(self.charges.manual_used)
    }

    /// Takes several things off at once, each beside all others; answers the discounts' numbers.
    ///
    /// # Errors
    /// Those of [`Self::give_discount`], with the position of the discount that it is about. Then none is given.
    pub fn give_discounts(
        &mut self,
        given: Vec<(ManualDiscountKind, String)>,
        by: &PricedBy<'_>,
    ) -> Result<Vec<u32>, (usize, CartError)> {
        if given.is_empty() {
            return Ok(Vec::new());
        }
        self.require(CartKind::Sale).and_then(|()| self.require_open()).map_err(|error| (0, error))?;
        let room = MANUAL_DISCOUNTS_MAX.saturating_sub(self.charges.manual.len());
        if given.len() > room {
            return Err((room, CartError::TooManyDiscounts));
        }
        let before = self.charges.clone();
        let mut numbers = Vec::new();
        for (kind, reason) in given {
            let number = self.charges.manual_used + 1;
            self.charges.manual_used = number;
            self.charges.manual.push(ManualDiscount { number, kind, reason });
            numbers.push(number);
        }
        match self.priced_with(&numbers, by) {
            Ok(priced) => {
                self.keep(&priced, by.rules);
                Ok(numbers)
            }
            Err(error) => {
                self.charges = before;
                Err(error)
            }
        }
    }

    /// Prices the cart, and checks that its new discounts take off what they say.
    fn priced_with(&self, numbers: &[u32], by: &PricedBy<'_>) -> Result<Priced, (usize, CartError)> {
        let priced = self.priced(by).map_err(|error| {
            let named = match &error {
                CartError::Pricing(PricingError::ManualDiscount(number)) => Some(number),
                _ => None,
            };
            let position = named.and_then(|named| numbers.iter().position(|number| number == named));
            (position.unwrap_or(0), error)
        })?;
        for (position, number) in numbers.iter().enumerate() {
            let source = Source::ManualDiscount { number: *number };
            let found = priced.explanations.iter().find(|found| found.source == source);
            let off = match found.map(|found| &found.outcome) {
                Some(Outcome::Applied { amount, .. }) => *amount,
                _ => return Err((position, CartError::NothingOff)),
            };
            let given = self.charges.manual.iter().find(|given| given.number == *number);
            match given.map(|given| given.kind) {
                Some(
                    ManualDiscountKind::FixedLine { amount, .. } | ManualDiscountKind::FixedCart { amount },
                ) if off < amount => return Err((position, CartError::DiscountAboveTotal { left: off })),
                _ => {}
            }
        }
        Ok(priced)
    }

    /// Takes a discount back; answers its number. The lines are to be priced anew.
    ///
    /// # Errors
    /// [`CartError::WrongState`], [`CartError::UnknownDiscount`].
    pub fn take_discount_back(&mut self, discount_id: &str) -> Result<u32, CartError> {
        self.require(CartKind::Sale)?;
        self.require_open()?;
        let at = discount_id
            .strip_prefix("d-")
            .and_then(|n| n.parse::<u32>().ok())
            .and_then(|number| self.charges.manual.iter().position(|given| given.number == number))
            .ok_or_else(|| CartError::UnknownDiscount(discount_id.to_owned()))?;
        Ok(self.charges.manual.remove(at).number)
    }

    /// Applies a coupon. The lines are to be priced anew.
    ///
    /// # Errors
    /// [`CartError::WrongState`], [`CartError::CouponTwice`], [`CartError::TooManyCoupons`].
    pub fn apply_coupon(&mut self, coupon: AppliedCoupon) -> Result<(), CartError> {
        self.require(CartKind::Sale)?;
        self.require_open()?;
        if self.terms.coupons.iter().any(|applied| applied.coupon.code == coupon.coupon.code) {
            return Err(CartError::CouponTwice(coupon.coupon.code));
        }
        if self.terms.coupons.len() >= COUPONS_MAX {
            return Err(CartError::TooManyCoupons);
        }
        self.terms.coupons.push(coupon);
        Ok(())
    }

    /// Takes a coupon off, also while payments are taken: one that cannot be redeemed must not hold up the
    /// sale.
    ///
    /// # Errors
    /// [`CartError::WrongState`], [`CartError::UnknownCoupon`]; those of [`Self::reprice_paid`].
    pub fn remove_coupon(&mut self, code: &str, by: &PricedBy<'_>) -> Result<(), CartError> {
        self.require(CartKind::Sale)?;
        let at = self.terms.coupons.iter().position(|applied| applied.coupon.code == code);
        self.require_not_final()?;
        self.terms.coupons.remove(at.ok_or_else(|| CartError::UnknownCoupon(code.to_owned()))?);
        self.terms.countings.coupons.remove(code);
        self.reprice_paid(by)
    }

    /// Applies a promotion by hand, or one that was taken off again. The lines are to be priced anew.
    ///
    /// # Errors
    /// [`CartError::WrongState`], [`CartError::TooManyPromotions`].
    pub fn apply_promotion(&mut self, id: &str, automatic: bool) -> Result<(), CartError> {
        self.require(CartKind::Sale)?;
        self.require_open()?;
        self.terms.excluded.remove(id);
        if !automatic {
            self.terms.requested.insert(id.to_owned());
        }
        self.check_promotions()
    }

    /// Takes a promotion off, by hand given or not, also while payments are taken.
    ///
    /// # Errors
    /// [`CartError::WrongState`], [`CartError::UnknownPromotion`] where the cart has none of that id;
    /// [`CartError::TooManyPromotions`]; those of [`Self::reprice_paid`].
    pub fn remove_promotion(&mut self, id: &str, by: &PricedBy<'_>) -> Result<(), CartError> {
        self.require(CartKind::Sale)?;
        self.require_not_final()?;
        let gives = |source: &Source| matches!(source, Source::Promotion { id: given, .. } if given == id);
        let given = self.charges.discounts.iter().any(|head| gives(&head.source));
        if !self.terms.requested.remove(id) && !given {
            return Err(CartError::UnknownPromotion(id.to_owned()));
        }
        self.terms.excluded.insert(id.to_owned());
        self.check_promotions()?;
        self.reprice_paid(by)
    }

    fn check_promotions(&self) -> Result<(), CartError> {
        let most = self.terms.requested.len().max(self.terms.excluded.len());
        if most > REQUESTED_PROMOTIONS_MAX { Err(CartError::TooManyPromotions) } else { Ok(()) }
    }

    fn require_not_final(&self) -> Result<(), CartError> {
        match self.state {
            CartState::Open | CartState::Tendering | CartState::Paid => Ok(()),
            other => Err(CartError::WrongState { is: other.name(), needs: "a cart that is not final" }),
        }
    }

    /// Sets or clears the customer of a sale that is not final, with the uses that are left to them of promotions
    /// that they used. What the sale comes to may depend on it.
    ///
    /// # Errors
    /// [`CartError::WrongState`]; [`CartError::AccountPays`]; those of [`Self::reprice_paid`].
    pub fn set_customer(
        &mut self,
        customer_id: Option<String>,
        (customer, uses_left): (CustomerTerms, BTreeMap<String, u32>),
        by: &PricedBy<'_>,
    ) -> Result<(), CartError> {
        self.require(CartKind::Sale)?;
        self.require_not_final()?;
        if self.customer_id != customer_id && self.is_paid_by_account() {
            return Err(CartError::AccountPays);
        }
        let counted = self.charges.uses.iter().any(|limited| limited.per_customer.is_some());
        let same_terms =
            self.terms.customer == customer && self.terms.uses_left_by_customer == uses_left && !counted;
        let same_presence = self.customer_id.is_some() == customer_id.is_some();
        self.customer_id = customer_id;
        self.terms.customer = customer;
        self.terms.uses_left_by_customer = uses_left;
        // What was fixed for tendering stays as it is where the customer makes no difference.
        if self.state != CartState::Open && same_terms && (same_presence || by.rules.promotions.is_empty()) {
            return Ok(());
        }
        self.reprice_paid(by)
    }

    /// Prices a sale anew that may have payments already: it may come to more, which is then due, but not to
    /// less than was paid.
    ///
    /// # Errors
    /// [`CartError::PaymentsPresent`]; those of [`Self::reprice`].
    fn reprice_paid(&mut self, by: &PricedBy<'_>) -> Result<(), CartError> {
        self.reprice(by)?;
        if self.state == CartState::Open {
            return Ok(());
        }
        // Cash was rounded because it paid all there was; now it may not.
        if self.totals()?.due > 0 {
            self.terms.cash_rounding.clear();
        }
        match self.totals()?.due {
            due if due < 0 => Err(CartError::PaymentsPresent),
            0 if !self.payments.is_empty() => {
                self.state = CartState::Paid;
                Ok(())
            }
            _ => {
                self.state = CartState::Tendering;
                Ok(())
            }
        }
    }
}
