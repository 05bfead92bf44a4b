//! What of a cart's payments is taken from stored value when it becomes final, and of a return's refunds goes
//! back to it.
//!
//! The cart itself says so, payment by payment: what a tenant's settings say may change between a payment and
//! its refund.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::order_status::ACCOUNT;
use super::{Cart, CartError, Payment};

/// Most payments of a cart that are taken from stored value: each is up to two actions of the transaction that
/// makes it final, of a hundred.
pub const STORED_VALUE_PAYMENTS_MAX: usize = 10;

/// A payment that is taken from stored value, or a refund that goes to it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StoredValuePart {
    /// The payment (`p-1`).
    pub payment: String,
    /// Its tender.
    pub tender: String,
    /// Gift card number, or id of the account.
    pub account: String,
    /// In minor units, with its tip; above zero.
    pub amount: i64,
    /// When the payment was added, by our clock: in milliseconds of the epoch. It never changes, so that what
    /// is named by it is named the same by everybody who makes the cart final.
    pub at_millis: i64,
}

impl Cart {
    /// The part of payment `number`, if it is taken from stored value.
    fn part_of(&self, payment: &Payment) -> Option<&StoredValuePart> {
        self.course.stored_value.iter().find(|part| part.payment == payment.id())
    }

    /// Whether a payment of this cart is taken from stored value, or a refund goes to it.
    pub fn is_stored_value(&self, payment: &Payment) -> bool {
        self.part_of(payment).is_some()
    }

    /// Whether a customer's account pays for some of it: then whose purchase it is stays as it is.
    pub fn is_paid_by_account(&self) -> bool {
        self.course.stored_value.iter().any(|part| part.tender == ACCOUNT)
    }

    /// What this cart takes from `account` already, or gives it, in minor units.
    pub fn stored_value_of(&self, account: &str) -> i64 {
        let parts = self.course.stored_value.iter().filter(|part| part.account == account);
        parts.fold(0, |sum, part| sum.saturating_add(part.amount))
    }

    /// Says that payment `number` is taken from `account`, or, of a return, that the refund goes to it.
    ///
    /// # Errors
    /// [`CartError::UnknownPayment`]; [`CartError::TooManyStoredValues`].
    pub fn mark_stored_value(&mut self, number: u32, account: &str, at: Timestamp) -> Result<(), CartError> {
        if self.course.stored_value.len() >= STORED_VALUE_PAYMENTS_MAX {
            return Err(CartError::TooManyStoredValues);
        }
        let payment = self.payments.iter_mut().find(|payment| payment.number == number);
        let payment = payment.ok_or_else(|| CartError::UnknownPayment(format!("p-{number}")))?;
        payment.external_reference = Some(account.to_owned());
        self.course.stored_value.push(StoredValuePart {
            payment: payment.id(),
            tender: payment.tender.clone(),
            account: account.to_owned(),
            amount: (payment.amount - payment.change).saturating_add(payment.tip),
            at_millis: at.as_millisecond(),
        });
        Ok(())
    }

    /// Says that all of what this return gives back to stored value, it gives back at `at`.
    pub fn stamp_stored_value(&mut self, at: Timestamp) {
        for part in &mut self.course.stored_value {
            part.at_millis = at.as_millisecond();
        }
    }

    /// Whether every payment by a tender is taken from stored value, or none is: a refund cannot tell them apart.
    ///
    /// # Errors
    /// [`CartError::StoredValueInPart`].
    pub fn check_stored_value(&self) -> Result<(), CartError> {
        let is_in_part = |part: &StoredValuePart| {
            self.payments.iter().any(|paid| paid.tender == part.tender && !self.is_stored_value(paid))
        };
        match self.course.stored_value.iter().find(|part| is_in_part(part)) {
            Some(part) => Err(CartError::StoredValueInPart { tender: part.tender.clone() }),
            None => Ok(()),
        }
    }

    /// What of the sale that this returns is owed on account, in minor units: nobody has paid it, so no refund of
    /// it is money.
    pub fn owed_by_original(&self) -> i64 {
        let original = self.return_of.as_ref().and_then(|head| head.original.as_ref());
        // What came back before is owed no longer.
        let on_account = original.and_then(|original| original.tenders.get(ACCOUNT));
        let on_account = on_account.map_or(0, |(paid, refunded)| paid.saturating_sub(*refunded));
        let parts = self.course.paid_from.iter().filter(|part| part.tender == ACCOUNT);
        let taken = parts.fold(0_i64, |sum, part| sum.saturating_add(part.amount));
        on_account.saturating_sub(taken).max(0)
    }

    /// From which accounts the sale that this returns took what was paid by `tender`, each once.
    pub fn paid_from(&self, tender: &str) -> Vec<&str> {
        let parts = self.course.paid_from.iter().filter(|part| part.tender == tender);
        let mut accounts: Vec<&str> = parts.map(|part| part.account.as_str()).collect();
        accounts.sort_unstable();
        accounts.dedup();
        accounts
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::{by, cart, line, pay};
    use super::super::undo::Undoing;
    use super::super::{CartKind, PaymentInput};
    use super::*;
    use crate::money::{Currency, Money};

    const NOW: Timestamp = Timestamp::UNIX_EPOCH;

    fn sale() -> Cart {
        let mut sale = cart(CartKind::Sale);
        sale.add_line(line("A", 1, "10")).unwrap();
        sale.set_tendering(&by()).unwrap();
        sale
    }

    #[test]
    fn parts_follow_their_payments() {
        let mut sale = sale();
        let tip = Some(Money { amount: 50, currency: Currency::GBP });
        let with_tip = PaymentInput { tip, ..pay("gift_card", 300) };
        let (first, _) = sale.add_payment(with_tip).unwrap();
        sale.mark_stored_value(first, "GC-AAAA", NOW).unwrap();
        let (second, _) = sale.add_payment(pay("gift_card", 200)).unwrap();
        sale.mark_stored_value(second, "GC-AAAA", NOW).unwrap();
        let (third, _) = sale.add_payment(pay("card", 500)).unwrap();
        assert_eq!((sale.stored_value_of("GC-AAAA"), sale.stored_value_of("GC-BBBB")), (550, 0));
        let is_stored: Vec<bool> = sale.payments.iter().map(|paid| sale.is_stored_value(paid)).collect();
        assert_eq!(is_stored, [true, true, false]);
        assert_eq!(sale.payments[1].external_reference.as_deref(), Some("GC-AAAA"));
        assert!(matches!(sale.mark_stored_value(9, "x", NOW), Err(CartError::UnknownPayment(_))));
        sale.remove_payment("p-1").unwrap();
        assert_eq!(sale.stored_value_of("GC-AAAA"), 200);
        sale.remove_payment(&format!("p-{third}")).unwrap();
        sale.remove_payment("p-2").unwrap();
        assert_eq!(sale.course.stored_value, []);
    }

    #[test]
    fn what_is_undone_goes_back_to_where_it_came_from() {
        let mut sale = sale();
        let (number, _) = sale.add_payment(pay("account", 1_000)).unwrap();
        assert_eq!(sale.owed_on_account(), 1_000, "as long as it is not taken from anywhere, it is owed");
        sale.mark_stored_value(number, "k-1", NOW).unwrap();
        assert_eq!(sale.owed_on_account(), 0);
        let mut back = cart(CartKind::Return);
        back.take_all_back(&sale, Undoing::Void, "x".into()).unwrap();
        let later = Timestamp::from_second(1).unwrap();
        back.stamp_stored_value(later);
        assert_eq!((back.stored_value_of("k-1"), back.course.stored_value[0].at_millis), (1_000, 1_000));
        back.course.paid_from.clone_from(&sale.course.stored_value);
        assert_eq!((back.paid_from("account"), back.paid_from("gift_card")), (vec!["k-1"], vec![]));
    }

    #[test]
    fn no_cart_takes_from_more_than_fits_a_transaction() {
        let mut sale = sale();
        for n in 0..=STORED_VALUE_PAYMENTS_MAX {
            let (number, _) = sale.add_payment(pay("gift_card", 1)).unwrap();
            let marked = sale.mark_stored_value(number, "GC-AAAA", NOW);
            assert_eq!(marked.is_ok(), n < STORED_VALUE_PAYMENTS_MAX, "{n}");
        }
    }
}
