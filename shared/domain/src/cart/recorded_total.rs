//! What another system asked for a sale that it made, where that is not what the lines come to here.
//!
//! Every line is rounded to the minor unit, and so is the tax on it. A system that rounds otherwise (half to even,
//! down, once an order) or shares out a discount otherwise is less than one unit away on a line, so a sale may
//! differ by as many units as it has lines; more is no rounding, but another price, tax or discount. Lines, tax
//! and discounts stay those of the rules here, so that figures are reckoned one way; what was asked beyond them is
//! booked as rounding, as coins are: total + rounding = payments − change.
//!
//! A register that was cut off is such a system: what it asked was paid, and its goods are gone. Its sale is kept at
//! what it asked, however far that is from what the lines come to here; beyond what rounding explains, somebody looks.

use super::{CASH, Cart, CartError, CartKind, PaymentInput};
use crate::money::{Money, MoneyError};

/// Where among roundings the difference stands: payments are numbered from 1.
pub(super) const OF_THE_SALE: u32 = 0;

impl Cart {
    /// Books what another system asked for this sale beyond what its lines come to, before `payments` are taken.
    /// It asked what is `stated`, or what was paid. Where that is not stated and the payments cover what the lines
    /// come to as they would at a till (cash gives change, and is rounded to coins), it asked nothing else.
    ///
    /// # Errors
    /// [`CartError::TotalDiffers`] where it is more than a unit for each line; [`CartError::CurrencyMismatch`],
    /// [`CartError::Money`] for what is stated; [`CartError::WrongState`].
    pub fn book_recorded_total(
        &mut self,
        payments: &[PaymentInput],
        stated: Option<Money>,
    ) -> Result<(), CartError> {
        self.require(CartKind::Sale)?;
        self.require_tendering()?;
        let total = self.totals()?.total;
        let paid = payments.iter().fold(0_i64, |sum, payment| sum.saturating_add(payment.amount.amount));
        let asked = match stated {
            Some(stated) => self.amount_of(stated)?,
            None if payments.is_empty() || !self.is_another_total(payments) => total,
            None => paid,
        };
        let most = self.rounding_max();
        let difference = asked.saturating_sub(total);
        if difference.abs() > most {
            return Err(CartError::TotalDiffers { total, asked, most });
        }
        if paid == asked {
            // It was paid to the unit, whatever coins there are here.
            self.terms.cash_increment = 0;
        }
        if difference != 0 {
            self.terms.cash_rounding.insert(OF_THE_SALE, difference);
        }
        Ok(())
    }

    /// A total that somebody states, in minor units.
    fn amount_of(&self, stated: Money) -> Result<i64, CartError> {
        if stated.currency != self.currency {
            return Err(CartError::CurrencyMismatch(self.currency));
        }
        if stated.amount < 0 {
            return Err(MoneyError::OutOfRange.into());
        }
        Ok(Money::new(stated.amount, stated.currency)?.amount)
    }

    /// By how much another system's total may differ for its rounding, in minor units.
    pub(super) fn rounding_max(&self) -> i64 {
        i64::try_from(self.lines.len()).unwrap_or(i64::MAX)
    }

    /// Checks that a sale comes to what its register asked for it.
    ///
    /// # Errors
    /// [`CartError::AskedTotalDiffers`]; [`CartError::CurrencyMismatch`], [`CartError::Money`] for what is stated.
    pub fn check_asked_total(&self, stated: Money) -> Result<(), CartError> {
        let (total, asked) = (self.totals()?.total, self.amount_of(stated)?);
        if asked == total { Ok(()) } else { Err(CartError::AskedTotalDiffers { total, asked }) }
    }

    /// Checks that a register asked no less for a sale than its lines come to here, but for rounding.
    ///
    /// # Errors
    /// [`CartError::AskedTotalDiffers`]; [`CartError::CurrencyMismatch`], [`CartError::Money`] for what is stated.
    pub fn check_asked_not_below(&self, stated: Money) -> Result<(), CartError> {
        let (total, asked) = (self.totals()?.total, self.amount_of(stated)?);
        let is_below = total.saturating_sub(asked) > self.rounding_max();
        if is_below { Err(CartError::AskedTotalDiffers { total, asked }) } else { Ok(()) }
    }

    /// Keeps a sale that is paid at what its register asked for it while it was cut off, whatever its lines come to
    /// here: change and coins are those of that total.
    ///
    /// # Errors
    /// [`CartError::CurrencyMismatch`], [`CartError::Money`] for what is stated.
    pub fn keep_at_asked_total(&mut self, stated: Money) -> Result<(), CartError> {
        let asked = self.amount_of(stated)?;
        if !self.book_asked_total(asked)? {
            return Ok(());
        }
        let payments = std::mem::take(&mut self.payments);
        if payments.iter().fold(0_i64, |sum, paid| sum.saturating_add(paid.amount)) == asked {
            // It was paid to the unit, whatever coins there are here.
            self.terms.cash_increment = 0;
        }
        for mut payment in payments {
            let due = self.totals()?.due;
            let rounding = self.rounding_of(&payment.tender, due);
            let payable = due.saturating_add(rounding);
            if payment.tender == CASH {
                payment.change = payment.amount.saturating_sub(payable.max(0)).max(0);
            }
            if payment.amount >= payable && rounding != 0 {
                self.terms.cash_rounding.insert(payment.number, rounding);
            }
            self.payments.push(payment);
        }
        Ok(())
    }

    /// Books what a register asked for this sale beyond what its lines come to, in the place of all rounding; answers
    /// whether that is anything. Its payments are to be settled anew.
    ///
    /// # Errors
    /// [`CartError::Money`].
    pub(super) fn book_asked_total(&mut self, asked: i64) -> Result<bool, CartError> {
        let difference = asked.saturating_sub(self.totals()?.total);
        if difference == 0 {
            return Ok(false);
        }
        self.course.asked_total = Some(asked);
        self.terms.cash_rounding.clear();
        self.terms.cash_rounding.insert(OF_THE_SALE, difference);
        Ok(true)
    }

    /// What the lines of a sale come to here and what its register asked, or those of a return and what it gave back, where
    /// that is more than rounding explains: minor units.
    ///
    /// # Errors
    /// [`CartError::Money`].
    pub fn asked_beyond_rounding(&self) -> Result<Option<(i64, i64)>, CartError> {
        let Some(asked) = self.course.asked_total else { return Ok(None) };
        let most = match self.kind {
            CartKind::Sale => self.rounding_max(),
            CartKind::Return => self.rounding_of_given(),
        };
        let total = self.totals()?.total;
        Ok((asked.saturating_sub(total).abs() > most).then_some((total, asked)))
    }

    /// Whether payments that are right by themselves are for another total. What is wrong with one of them is told
    /// when it is taken.
    fn is_another_total(&self, payments: &[PaymentInput]) -> bool {
        let mut tried = self.clone();
        for payment in payments {
            match tried.add_payment(payment.clone()) {
                Ok(_) => {}
                Err(CartError::Overpaid { .. } | CartError::BelowCoins { .. }) => return true,
                Err(_) => return false,
            }
        }
        tried.totals().is_ok_and(|totals| totals.due != 0)
    }

    /// Of a return of a known sale: by how much less was paid for it than its lines come to, because another system
    /// asked for less, or coins allowed no more.
    pub(super) fn paid_below_worth(&self) -> Result<i64, CartError> {
        let Some(original) = self.return_of.as_ref().and_then(|head| head.original.as_ref()) else {
            return Ok(0);
        };
        let mut worth = 0_i64;
        for line in &original.lines {
            let charged = self.charges.sold.get(&line.number);
            worth = worth.saturating_add(match charged {
                Some(charged) => charged.net.saturating_add(charged.tax()),
                None => line.unit_price.times(line.sold, self.currency)?,
            });
        }
        let paid = original.tenders.values().fold(0_i64, |sum, (paid, _)| sum.saturating_add(*paid));
        Ok(worth.saturating_sub(paid).max(0))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::tests::{by, cart, line, lines_of, pay};
    use super::super::undo::Undoing;
    use super::super::{Disposition, OriginalSale, ReturnHead, Returned};
    use super::*;
    use crate::money::Currency;
    use crate::quantity::Quantity;

    fn gbp(amount: i64) -> Option<Money> {
        Some(Money { amount, currency: Currency::GBP })
    }

    /// A sale of `lines` lines of 2.00 in a place with coins of `coin`.
    fn sale(lines: usize, coin: u32) -> Cart {
        let mut sale = cart(CartKind::Sale);
        for _ in 0..lines {
            sale.add_line(line("A", 1, "2")).unwrap();
        }
        sale.set_tendering(&by()).unwrap();
        sale.terms.cash_increment = coin;
        sale
    }

    /// Rounding, change and what is due once it was recorded so.
    fn recorded(
        mut sale: Cart,
        payments: &[PaymentInput],
        stated: Option<Money>,
    ) -> Result<(i64, i64, i64), CartError> {
        sale.book_recorded_total(payments, stated)?;
        for payment in payments {
            sale.add_payment(payment.clone())?;
        }
        let totals = sale.totals()?;
        assert_eq!(totals.total + totals.cash_rounding, totals.due + totals.paid - totals.change);
        Ok((totals.cash_rounding, totals.change, totals.due))
    }

    #[test]
    fn a_unit_for_each_line_is_rounding_and_more_is_another_total() {
        let differs = |asked: i64| Err(CartError::TotalDiffers { total: 600, asked, most: 3 });
        for (payments, stated, expected) in [
            (vec![pay("card", 600)], None, Ok((0, 0, 0))),
            (vec![pay("card", 603)], None, Ok((3, 0, 0))),
            (vec![pay("card", 597)], None, Ok((-3, 0, 0))),
            (vec![pay("card", 604)], None, differs(604)),
            (vec![pay("card", 596)], None, differs(596)),
            (vec![pay("card", 300), pay("voucher", 298)], None, Ok((-2, 0, 0))),
            // Cash above it gives change, as far as nothing else is stated.
            (vec![pay("cash", 601)], None, Ok((0, 1, 0))),
            (vec![pay("cash", 601)], gbp(601), Ok((1, 0, 0))),
            (vec![pay("cash", 1_000)], gbp(598), Ok((-2, 402, 0))),
            (vec![pay("cash", 598)], None, Ok((-2, 0, 0))),
            (vec![pay("card", 603)], gbp(603), Ok((3, 0, 0))),
            (vec![], gbp(597), Ok((-3, 0, 597))),
            (vec![], None, Ok((0, 0, 600))),
            (vec![pay("card", 604)], gbp(604), differs(604)),
            (vec![pay("card", 600)], gbp(596), differs(596)),
            // What it says of itself must agree.
            (vec![pay("card", 600)], gbp(601), Ok((1, 0, 1))),
            (vec![pay("card", 602)], gbp(601), Err(CartError::Overpaid { due: 601 })),
            (vec![], gbp(-1), Err(CartError::Money(MoneyError::OutOfRange))),
            (vec![pay("shells", 600)], None, Err(CartError::UnknownTender)),
        ] {
            assert_eq!(recorded(sale(3, 0), &payments, stated), expected, "{payments:?} {stated:?}");
        }
        let francs = Money { amount: 600, currency: "CHF".parse().unwrap() };
        let refused = Err(CartError::CurrencyMismatch(Currency::GBP));
        assert_eq!(recorded(sale(3, 0), &[], Some(francs)), refused);
    }

    /// Coins are those of here only where what was paid is not what was asked.
    #[test]
    fn what_was_paid_to_the_unit_is_not_rounded_to_coins() {
        for (paid, stated, expected) in [
            (600, None, (0, 0, 0)),
            (602, gbp(602), (2, 0, 0)),
            // 6.02 in coins of five are 6.00, and 10.00 give 4.00 back.
            (600, gbp(602), (0, 0, 0)),
            (1_000, gbp(602), (0, 400, 0)),
        ] {
            assert_eq!(recorded(sale(3, 5), &[pay("cash", paid)], stated), Ok(expected), "{paid} {stated:?}");
        }
    }

    /// A register that was cut off took what it asked, whatever is due here; online it asks what is due.
    #[test]
    fn a_sale_is_kept_at_what_its_register_asked() {
        let taken = |coin: u32, payments: &[PaymentInput]| {
            let mut sale = sale(3, coin);
            for payment in payments {
                sale.add_payment_taken(payment.clone()).unwrap();
            }
            sale
        };
        // Rounding, change and what is due; whether it is more than rounding explains.
        for (coin, payments, asked, expected, beyond) in [
            (0, vec![pay("cash", 1_000)], 600, (0, 400, 0), false),
            (0, vec![pay("cash", 1_000)], 603, (3, 397, 0), false),
            (0, vec![pay("cash", 1_000)], 597, (-3, 403, 0), false),
            (0, vec![pay("cash", 1_000)], 604, (4, 396, 0), true),
            (0, vec![pay("cash", 1_000)], 200, (-400, 800, 0), true),
            (0, vec![pay("card", 900)], 900, (300, 0, 0), true),
            (0, vec![pay("card", 700), pay("cash", 300)], 900, (300, 100, 0), true),
            (0, vec![pay("cash", 700), pay("card", 200)], 900, (300, 0, 0), true),
            (0, vec![pay("card", 500)], 500, (-100, 0, 0), true),
            (5, vec![pay("cash", 1_000)], 902, (300, 100, 0), true),
            (5, vec![pay("cash", 902)], 902, (302, 0, 0), true),
            (0, vec![], 0, (-600, 0, 0), true),
            // It must have been paid.
            (0, vec![pay("card", 500)], 700, (100, 0, 200), true),
            (0, vec![pay("card", 900)], 700, (100, 0, -200), true),
        ] {
            let mut sale = taken(coin, &payments);
            // Once more changes nothing.
            for _ in 0..2 {
                sale.keep_at_asked_total(gbp(asked).unwrap()).unwrap();
                let totals = sale.totals().unwrap();
                let seen = (totals.cash_rounding, totals.change, totals.due);
                assert_eq!(seen, expected, "{asked} {payments:?}");
                assert_eq!(totals.total + totals.cash_rounding, totals.due + totals.paid - totals.change);
            }
            let told = sale.asked_beyond_rounding().unwrap();
            assert_eq!(told, beyond.then_some((600, asked)), "{asked} {payments:?}");
        }
        let mut paid = taken(0, &[pay("card", 600)]);
        for (asked, refused) in [
            (601, Err(CartError::AskedTotalDiffers { total: 600, asked: 601 })),
            (600, Ok(())),
            (-1, Err(CartError::Money(MoneyError::OutOfRange))),
        ] {
            assert_eq!(paid.check_asked_total(gbp(asked).unwrap()), refused);
        }
        let before = paid.clone();
        let francs = Money { amount: 600, currency: "CHF".parse().unwrap() };
        assert_eq!(paid.keep_at_asked_total(francs), Err(CartError::CurrencyMismatch(Currency::GBP)));
        assert_eq!(paid, before);
        // Without a total it is held to what is due.
        let overpaid = taken(0, &[pay("card", 601), pay("cash", 5)]).check_finalizable(CartKind::Sale);
        assert_eq!(overpaid, Err(CartError::Overpaid { due: -6 }));
    }

    /// The sale as a return of it knows it.
    fn original(sale: &Cart, returned: &Returned) -> OriginalSale {
        let mut tenders = std::collections::BTreeMap::<String, (i64, i64)>::new();
        for paid in &sale.payments {
            tenders.entry(paid.tender.clone()).or_default().0 += paid.amount - paid.change;
        }
        for (tender, amount) in &returned.refunded {
            tenders.entry(tender.clone()).or_default().1 += amount;
        }
        OriginalSale { order_id: sale.id.clone(), lines: lines_of(sale, returned), tenders }
    }

    proptest! {
        /// Whatever was asked for within a unit a line: lines sum to the total, payments to what was asked; undone,
        /// all of it goes back; and returned line by line, no more and, but for what was asked above the lines, no
        /// less than was paid.
        #[test]
        fn what_was_asked_is_paid_and_comes_back(
            // So dear that the last line alone bears what was asked below them.
            prices in prop::collection::vec(7_i64..5_000, 1..7),
            off in -6_i64..=6, tender in 0_usize..3, stated in any::<bool>(),
        ) {
            let tender = ["card", "cash", "voucher"][tender];
            let mut sale = cart(CartKind::Sale);
            for price in &prices {
                let price = format!("{}.{:02}", price / 100, price % 100);
                sale.add_line(line("A", 1, &price)).unwrap();
            }
            sale.set_tendering(&by()).unwrap();
            let total: i64 = prices.iter().sum();
            let most = i64::try_from(prices.len()).unwrap();
            let off = off.clamp(-most, most);
            // What cash gives change for is stated, or it is change.
            let stated = gbp(total + off).filter(|_| stated || tender == "cash");
            let payments = [pay(tender, total + off)];
            sale.book_recorded_total(&payments, stated).unwrap();
            sale.add_payment(payments[0].clone()).unwrap();
            let totals = sale.check_finalizable(CartKind::Sale).unwrap();
            prop_assert_eq!((totals.total, totals.cash_rounding), (total, off));
            prop_assert_eq!(totals.paid - totals.change, total + off);

            let mut undone = cart(CartKind::Return);
            undone.take_all_back(&sale, Undoing::Void, "x".into()).unwrap();
            prop_assert_eq!(undone.totals().unwrap().due, 0);

            let mut returned = Returned::default();
            let mut given = 0;
            for sold in &sale.lines {
                let original = original(&sale, &returned);
                let left = original.refundable_in_all();
                let mut back = cart(CartKind::Return);
                back.return_of = Some(ReturnHead { reason: "x".into(), original: Some(original.clone()) });
                back.return_known_line(&sold.id(), Quantity::from_pieces(1).unwrap(), Disposition::Restock).unwrap();
                let due = back.totals().unwrap().due;
                back.refund(pay(tender, due.min(left))).unwrap();
                let done = back.check_finalizable(CartKind::Return).unwrap();
                prop_assert_eq!(done.total + done.cash_rounding, done.paid);
                given += done.paid;
                returned.add(&back, &original).unwrap();
            }
            prop_assert_eq!(given, total + off.min(0));
        }
    }
}
