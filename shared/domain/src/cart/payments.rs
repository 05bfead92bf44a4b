//! Payments on a sale, refunds on a return.

use serde::{Deserialize, Serialize};

use super::{Cart, CartError, CartKind, CartState, PAYMENTS_MAX, TAKEN_BACK_MAX};
use crate::money::Money;
use crate::pricing::cash_rounding;

/// The tender that gives change and is paid in coins.
pub const CASH: &str = "cash";
/// The tenders. Only cash gives change.
pub const TENDERS: [&str; 5] = [CASH, "card", "gift_card", "voucher", "account"];

/// A payment, or for a return a refund. Amounts in minor units of the cart's currency.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Payment {
    /// Number within the cart, never used again.
    pub number: u32,
    /// One of [`TENDERS`].
    pub tender: String,
    /// Handed over, or for a refund handed back.
    pub amount: i64,
    /// Given back out of `amount`; cash only.
    pub change: i64,
    /// On top of `amount`.
    pub tip: i64,
    /// The terminal's or provider's reference.
    pub external_reference: Option<String>,
    /// `chip`, `contactless`, `manual`, ….
    pub entry_method: Option<String>,
}

impl Payment {
    /// The name on the wire (`p-1`).
    pub fn id(&self) -> String {
        format!("p-{}", self.number)
    }
}

/// What a payment says.
#[derive(Debug, Clone)]
pub struct PaymentInput {
    /// One of [`TENDERS`].
    pub tender: String,
    /// Handed over.
    pub amount: Money,
    /// On top.
    pub tip: Option<Money>,
    /// The terminal's or provider's reference.
    pub external_reference: Option<String>,
    /// `chip`, `contactless`, `manual`, ….
    pub entry_method: Option<String>,
}

impl Cart {
    /// Checks what a payment or a refund of at least so much says by itself; answers its tip.
    fn check_payment(&self, input: &PaymentInput, least: i64) -> Result<i64, CartError> {
        if !TENDERS.contains(&input.tender.as_str()) {
            return Err(CartError::UnknownTender);
        }
        let tip = match input.tip {
            Some(tip) if tip.currency != self.currency => {
                return Err(CartError::CurrencyMismatch(self.currency));
            }
            Some(tip) if tip.amount < 0 => return Err(CartError::NotPositive),
            Some(tip) => Money::new(tip.amount, tip.currency)?.amount,
            None => 0,
        };
        if input.amount.currency != self.currency {
            return Err(CartError::CurrencyMismatch(self.currency));
        }
        if input.amount.amount < least {
            return Err(CartError::NotPositive);
        }
        Money::new(input.amount.amount, input.amount.currency)?;
        if self.payments.len() >= PAYMENTS_MAX {
            return Err(CartError::TooManyPayments);
        }
        Ok(tip)
    }

    fn push_payment(&mut self, input: PaymentInput, change: i64, tip: i64) -> u32 {
        let number = self.numbers_used.payments + 1;
        self.numbers_used.payments = number;
        self.payments.push(Payment {
            number,
            tender: input.tender,
            amount: input.amount.amount,
            change,
            tip,
            external_reference: input.external_reference,
            entry_method: input.entry_method,
        });
        number
    }

    /// What to add to what is due, so that it can be paid in coins; nothing for other tenders.
    pub(super) fn rounding_of(&self, tender: &str, due: i64) -> i64 {
        if tender == CASH { cash_rounding(due, self.terms.cash_increment) } else { 0 }
    }

    /// Takes a payment; answers its number and the change to give. A payment of no cash settles what comes to no coin.
    ///
    /// # Errors
    /// [`CartError::Overpaid`] where a tender that gives no change is above what is due; [`CartError::BelowCoins`];
    /// [`CartError::WrongState`], [`CartError::UnknownTender`], [`CartError::CurrencyMismatch`],
    /// [`CartError::NotPositive`], [`CartError::TooManyPayments`].
    pub fn add_payment(&mut self, input: PaymentInput) -> Result<(u32, i64), CartError> {
        self.require(CartKind::Sale)?;
        self.require_tendering()?;
        let due = self.totals()?.due;
        let rounding = self.rounding_of(&input.tender, due);
        let payable = due.saturating_add(rounding);
        // What comes to no coin is settled by none.
        let least = if due > 0 && payable == 0 { 0 } else { 1 };
        let tip = self.check_payment(&input, least)?;
        let amount = input.amount.amount;
        let above = amount.saturating_sub(payable).max(0);
        if above > 0 && input.tender != CASH {
            return Err(CartError::Overpaid { due });
        }
        if due <= 0 {
            return Err(CartError::Overpaid { due });
        }
        if due < amount && amount < payable {
            return Err(CartError::BelowCoins { payable });
        }
        let number = self.push_payment(input, above, tip);
        if amount >= payable && rounding != 0 {
            self.terms.cash_rounding.insert(number, rounding);
        }
        self.state = if self.totals()?.due == 0 { CartState::Paid } else { CartState::Tendering };
        Ok((number, above))
    }

    /// Takes a payment that a register took while it was cut off: also where it is more than is due here. Whether it is
    /// what the register asked is told when the sale becomes final. So is whether no cash settled what came to no coin.
    ///
    /// # Errors
    /// Those of [`Self::add_payment`], except [`CartError::Overpaid`].
    pub fn add_payment_taken(&mut self, input: PaymentInput) -> Result<(u32, i64), CartError> {
        let has_coins = input.tender == CASH && self.terms.cash_increment > 1;
        let (least, state) = match self.add_payment(input.clone()) {
            Err(CartError::Overpaid { .. }) => (1, CartState::Paid),
            // It settled what came to no coin of what the register asked.
            Err(CartError::NotPositive) if has_coins => (0, self.state),
            taken => return taken,
        };
        let tip = self.check_payment(&input, least)?;
        let number = self.push_payment(input, 0, tip);
        self.state = state;
        Ok((number, 0))
    }

    /// Takes a payment back. It is kept that it was there, unless it was to be taken from stored value.
    ///
    /// # Errors
    /// [`CartError::UnknownPayment`], [`CartError::WrongState`], [`CartError::Money`];
    /// [`CartError::TooManyTakenBack`].
    pub fn remove_payment(&mut self, payment_id: &str) -> Result<u32, CartError> {
        self.require(CartKind::Sale)?;
        self.require_tendering()?;
        let at = payment_id
            .strip_prefix("p-")
            .and_then(|n| n.parse::<u32>().ok())
            .and_then(|number| self.payments.iter().position(|p| p.number == number))
            .ok_or_else(|| CartError::UnknownPayment(payment_id.to_owned()))?;
        if self.course.taken_back.len() >= TAKEN_BACK_MAX {
            return Err(CartError::TooManyTakenBack);
        }
        let removed = self.payments.remove(at);
        let number = removed.number;
        self.terms.cash_rounding.remove(&number);
        if self.is_stored_value(&removed) {
            self.course.stored_value.retain(|part| part.payment != removed.id());
        } else {
            self.course.taken_back.push(removed);
        }
        // Rounding belongs to what settles a sale. Kept, each payment taken back and made again would add to it.
        if self.totals()?.due != 0 {
            self.terms.cash_rounding.clear();
        }
        self.state = CartState::Tendering;
        Ok(number)
    }

    /// The payments of this cart that changed hands: given back where a sale is given up, taken back where a return is.
    /// What is taken from stored value changes hands when the cart becomes final, and not before.
    pub fn handed_over(&self) -> impl Iterator<Item = &Payment> {
        self.payments.iter().filter(|paid| !self.is_stored_value(paid))
    }

    /// Records a refund of a return, by a tender, up to what the return is worth and, where the sale
    /// is known, up to what was paid by that tender and not yet refunded; what an exchange paid goes to any.
    /// Cash is given back in coins: to the nearest, as a sale is paid, or as much as is left of the sale's cash.
    /// A refund of no cash settles what comes to no coin; and one of nothing, by any tender, what comes back of a sale
    /// that was asked less for than it is worth, once all that was paid went back.
    ///
    /// # Errors
    /// [`CartError::Overpaid`], [`CartError::AbovePaid`], [`CartError::AboveApproved`], [`CartError::NotInCoins`], and
    /// those of a payment.
    pub fn refund(&mut self, input: PaymentInput) -> Result<u32, CartError> {
        self.require(CartKind::Return)?;
        self.require_open()?;
        let has_coins = input.tender == CASH && self.terms.cash_increment > 1;
        let least = if has_coins || self.is_all_refunded() { 0 } else { 1 };
        self.check_payment(&input, least)?;
        let rounded = self.refund_rounding(&input.tender, input.amount.amount)?;
        Ok(self.push_refund(input, rounded))
    }

    /// Records a refund that a register gave while it was cut off. Cash has left its drawer, whatever is due here, in
    /// coins or not: it is kept as it was given, as far as the sale's cash goes and what rounding to coins may have added
    /// to it. By what that differs from what comes back is told when the return becomes final
    /// ([`Self::keep_as_given`]).
    ///
    /// # Errors
    /// Those of [`Self::refund`]; of cash not [`CartError::Overpaid`] and [`CartError::NotInCoins`].
    pub fn refund_given(&mut self, input: PaymentInput) -> Result<u32, CartError> {
        match self.refund(input.clone()) {
            Err(
                CartError::Overpaid { .. }
                | CartError::NotInCoins { .. }
                | CartError::AbovePaid { .. }
                | CartError::NotPositive,
            ) if input.tender == CASH => {}
            done => return done,
        }
        // None is given for what comes to no coin.
        let least = if self.terms.cash_increment > 1 { 0 } else { 1 };
        self.check_payment(&input, least)?;
        let amount = input.amount.amount;
        let given: i64 = self.payments.iter().map(|p| p.amount).sum();
        if let Some(most) = self.approvals.refund_limit().filter(|most| given.saturating_add(amount) > *most)
        {
            return Err(CartError::AboveApproved { most });
        }
        if let Some(original) = self.return_of.as_ref().and_then(|head| head.original.as_ref()) {
            let left = original.refundable_beside(CASH, &self.payments);
            let of_cash = self.payments.iter().filter(|p| p.tender == CASH);
            let before = of_cash.map(|p| p.amount).sum::<i64>();
            let beyond_before = before.saturating_sub(original.refundable_beside(CASH, &[])).max(0);
            let beyond = amount.saturating_sub(left).max(0);
            if beyond > 0 && beyond.saturating_add(beyond_before) > self.coins_of_refunds(1) {
                return Err(CartError::AbovePaid { tender: CASH.to_owned(), left });
            }
        }
        Ok(self.push_refund(input, 0))
    }

    /// By how much the cash that a return gave back may differ from what it is worth where each refund of it was rounded
    /// by itself: less than a coin for each, and for so many `more`. Refunds of nothing are one, however many are told.
    fn coins_of_refunds(&self, more: i64) -> i64 {
        let of_cash = || self.payments.iter().filter(|p| p.tender == CASH);
        let refunds =
            of_cash().filter(|p| p.amount != 0).count() + usize::from(of_cash().any(|p| p.amount == 0));
        let refunds = i64::try_from(refunds).unwrap_or(i64::MAX).saturating_add(more);
        (i64::from(self.terms.cash_increment) - 1).max(0).saturating_mul(refunds)
    }

    /// Most that the refunds of this return were rounded by, where it is kept as its register gave them while it was cut
    /// off; nothing where they come to what it is worth.
    pub(super) fn rounding_of_given(&self) -> i64 {
        if self.course.asked_total.is_some() { self.coins_of_refunds(0) } else { 0 }
    }

    /// Keeps a return at what its register gave back for it while it was cut off, where that is not what it comes to here:
    /// the cash is gone. Where coins do not explain that more was given, somebody looks
    /// ([`Self::asked_beyond_rounding`]). Where less was given than coins explain, it is held to what is due: the refund
    /// that lacks can still be told.
    ///
    /// # Errors
    /// [`CartError::Money`].
    pub fn keep_as_given(&mut self) -> Result<(), CartError> {
        let totals = self.totals()?;
        let of_cash = self.payments.iter().rev().find(|p| p.tender == CASH).map(|p| p.number);
        let Some(last) = of_cash.filter(|_| self.kind == CartKind::Return && totals.due != 0) else {
            return Ok(());
        };
        let beyond = totals.paid.saturating_sub(totals.total);
        if beyond < self.coins_of_refunds(0).saturating_neg() {
            return Ok(());
        }
        self.course.asked_total = Some(totals.paid);
        self.terms.cash_rounding.clear();
        if beyond != 0 {
            self.terms.cash_rounding.insert(last, beyond);
        }
        Ok(())
    }

    /// Whether all that was paid for the sale that this returns went back, with what this return gives back.
    fn is_all_refunded(&self) -> bool {
        let original = self.return_of.as_ref().and_then(|head| head.original.as_ref());
        let given: i64 = self.payments.iter().map(|p| p.amount).sum();
        original.is_some_and(|original| original.refundable_in_all() <= given)
    }

    fn push_refund(&mut self, input: PaymentInput, rounded: i64) -> u32 {
        let number = self.push_payment(input, 0, 0);
        if rounded != 0 {
            self.terms.cash_rounding.insert(number, rounded);
        }
        number
    }

    /// Checks one more refund of `amount`; answers what is added to what is due, so that it can be given in
    /// coins.
    ///
    /// # Errors
    /// [`CartError::Overpaid`], [`CartError::AbovePaid`], [`CartError::AboveApproved`]; of cash
    /// [`CartError::NotInCoins`]; [`CartError::NotPositive`] of nothing that settles nothing.
    pub(super) fn refund_rounding(&self, tender: &str, amount: i64) -> Result<i64, CartError> {
        let due = self.totals()?.due;
        let nearest = due.saturating_add(self.rounding_of(tender, due));
        if amount > due && amount != nearest {
            return Err(CartError::Overpaid { due });
        }
        let original = self.return_of.as_ref().and_then(|head| head.original.as_ref());
        let given: i64 = self.payments.iter().map(|p| p.amount).sum();
        let left = original.map(|original| original.refundable_beside(tender, &self.payments));
        if let Some(left) = left.filter(|left| amount > *left) {
            return Err(CartError::AbovePaid { tender: tender.to_owned(), left });
        }
        // What was approved is what is handed over: a coin up to the nearest is not.
        let approved = self.approvals.refund_limit();
        if let Some(most) = approved.filter(|most| given.saturating_add(amount) > *most) {
            return Err(CartError::AboveApproved { most });
        }
        let left = left.or_else(|| approved.map(|most| most.saturating_sub(given)));
        // Another system may have asked for less than the sale is worth by our rules: the last refund takes what is
        // left to refund.
        let short = due.saturating_sub(amount);
        // And where nothing is left of it at all, as more came back of an earlier part than that was worth, nothing
        // settles the rest.
        let ends_below_worth = match original
            .map(|original| original.refundable_in_all().saturating_sub(given))
        {
            Some(left) if short > 0 && amount == left => amount == 0 || short <= self.paid_below_worth()?,
            _ => false,
        };
        let coin = i64::from(self.terms.cash_increment);
        if tender != CASH || coin <= 1 {
            return match ends_below_worth {
                true => Ok(-short),
                false if amount == 0 => Err(CartError::NotPositive),
                false => Ok(0),
            };
        }
        // Returns of parts were rounded each by itself: there may be less left of the cash than the nearest.
        let payable = left.map_or(nearest, |left| nearest.min(left - left % coin));
        if amount % coin != 0 {
            return Err(CartError::NotInCoins { payable });
        }
        let is_left_elsewhere = original.is_some_and(|original| original.is_left_beside_cash(&self.payments));
        let settles = amount == payable && due > 0 && !is_left_elsewhere;
        if amount == nearest && amount > 0 || settles || ends_below_worth {
            Ok(amount - due)
        } else if amount == 0 {
            Err(CartError::NotPositive)
        } else {
            Ok(0)
        }
    }

    /// Rounds anew what a return gave back in coins, where more comes back since: rounding is of all of it. Kept, each
    /// refund would add to it, and parts would be given back for less, or more, than they are together.
    ///
    /// # Errors
    /// [`CartError::Money`].
    pub(super) fn round_refunds_anew(&mut self) -> Result<(), CartError> {
        let last = self.terms.cash_rounding.keys().next_back().copied();
        let Some(last) = last.filter(|_| self.kind == CartKind::Return) else { return Ok(()) };
        if self.totals()?.due == 0 {
            return Ok(());
        }
        self.terms.cash_rounding.clear();
        let due = self.totals()?.due;
        if due < 0 && due.saturating_neg() < i64::from(self.terms.cash_increment) {
            // The coin that was given above what was due is the nearest of what is due now, too. More is no coin:
            // it was given back above what the goods are worth now.
            self.terms.cash_rounding.insert(last, due.saturating_neg());
        }
        Ok(())
    }

    /// Settles what is due of a return and comes to no coin by a refund of no cash; answers whether it did.
    pub(super) fn settle_by_no_coin(&mut self) -> bool {
        let rounded = self.refund_rounding(CASH, 0).ok().filter(|rounded| *rounded != 0);
        let Some(rounded) = rounded.filter(|_| self.payments.len() < PAYMENTS_MAX) else { return false };
        let nothing = PaymentInput {
            tender: CASH.to_owned(),
            amount: Money { amount: 0, currency: self.currency },
            tip: None,
            external_reference: None,
            entry_method: None,
        };
        self.push_refund(nothing, rounded);
        true
    }
}

#[cfg(test)]
mod tests;
