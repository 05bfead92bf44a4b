//! Exchanges: goods come back and goods go out at once. What the return is worth pays for the sale, and only
//! the difference is paid or refunded.
//!
//! What is called the credit here, the smaller of what both are worth, stands on both as the tender
//! [`EXCHANGE`]: a payment of the sale and a refund of the return. It is counted before every other payment
//! and refund, as if it had been there first: so change and the rounding to coins are those of the
//! difference. No money of it moves, so it is never rounded and never changes a drawer.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{Cart, CartError, CartKind, PAYMENTS_MAX, Payment};
use crate::money::Money;
use crate::quantity::Quantity;

/// The tender of what goods pay that come back. No client pays or refunds by it: it is not among
/// [`super::TENDERS`].
pub const EXCHANGE: &str = "exchange";
/// By so many minor units a sale may have been rounded down to a coin that is out of use since.
const COIN_OF_ANY_TIME: i64 = 100;

/// That a sale or a return was made final with another.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Exchanged {
    /// For a sale the return, for a return the sale.
    pub with: String,
    /// For a sale: what of the cash that was handed over went back because of the exchange, in minor units.
    /// What was told when it was paid is not in it.
    #[serde(default, skip_serializing_if = "is_nothing")]
    pub change: i64,
}

fn is_nothing(amount: &i64) -> bool {
    *amount == 0
}

/// Why two carts are no exchange.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ExchangeError {
    /// What each cart refuses by itself.
    #[error(transparent)]
    Cart(#[from] CartError),
    /// What the register asked for the exchange is not what it comes to.
    #[error(
        "the register asked {asked} minor units for the exchange, and the sale less the return comes to {total} here: \
         nothing was made final; look at both carts, and settle the difference anew"
    )]
    TotalDiffers {
        /// What it comes to here; below zero: to give back.
        total: i64,
        /// What the register asked.
        asked: i64,
    },
    /// The return and the payments do not cover the sale.
    #[error("the return pays {credit} minor units of the sale, and {due} are still to be paid")]
    ToPay {
        /// What the return pays.
        credit: i64,
        /// What is still to be paid.
        due: i64,
    },
    /// A payment of the sale is above what the return leaves to pay.
    #[error(
        "the return pays {credit} minor units of the sale; of payment {payment} only {due} are due: take it \
         back by remove_payment"
    )]
    PaidTooMuch {
        /// What the return pays.
        credit: i64,
        /// The payment.
        payment: String,
        /// What was due when its turn came.
        due: i64,
    },
    /// Nobody has paid yet for what came back.
    #[error(
        "{due} minor units of order {order_id} are owed on account: refund the return to the account, and sell the \
         other goods by themselves"
    )]
    Owed {
        /// The first sale.
        order_id: String,
        /// What is owed of it.
        due: i64,
    },
    /// What came back was sold for less than it is worth here: in exchange it would be worth more than was paid.
    #[error(
        "order {order_id} was sold for {below} minor units less than its lines come to: refund the return, and sell \
         the other goods by themselves"
    )]
    SoldBelowWorth {
        /// The first sale.
        order_id: String,
        /// By how much.
        below: i64,
    },
    /// The return is worth more than the sale, and the difference is not refunded.
    #[error("the sale takes {credit} minor units of the return, and {due} are still to be refunded")]
    ToRefund {
        /// What the sale takes.
        credit: i64,
        /// What is still to be refunded.
        due: i64,
    },
    /// More is refunded than the sale leaves of the return.
    #[error(
        "the sale takes {credit} minor units of the return; of refund {refund} only {due} are due: void the \
         return and begin again"
    )]
    RefundedTooMuch {
        /// What the sale takes.
        credit: i64,
        /// The refund.
        refund: String,
        /// What was due when its turn came.
        due: i64,
    },
}

impl ExchangeError {
    /// The stable code on the wire.
    pub fn code(&self) -> &'static str {
        match self {
            ExchangeError::Cart(error) => error.code(),
            ExchangeError::TotalDiffers { .. } => "total_differs",
            ExchangeError::ToPay { .. } => "underpaid",
            ExchangeError::PaidTooMuch { .. } => "overpaid",
            ExchangeError::Owed { .. } => "order_owed",
            ExchangeError::SoldBelowWorth { .. } => "order_below_worth",
            ExchangeError::ToRefund { .. } | ExchangeError::RefundedTooMuch { .. } => "exchange_not_settled",
        }
    }
}

/// What an exchange does to the stock of one SKU.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ExchangeMove {
    /// SKU.
    pub sku: String,
    /// Sold.
    pub out: Quantity,
    /// Back on the shelf.
    pub back: Quantity,
    /// Came back damaged.
    pub damaged: Quantity,
}

impl ExchangeMove {
    /// Whether it goes out, and whether it comes back.
    pub fn ways(&self) -> (bool, bool) {
        (self.out != Quantity::ZERO, self.back != Quantity::ZERO || self.damaged != Quantity::ZERO)
    }

    /// What it takes off the shelf in all, in thousandths; below zero where more comes back.
    pub fn taken(&self) -> i64 {
        self.out.thousandths() - self.back.thousandths()
    }
}

/// A return and a sale that settle each other, ready to be made final together.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Exchange {
    /// The return, with the credit among its refunds.
    pub back: Cart,
    /// The sale, with the credit among its payments.
    pub sale: Cart,
    /// What of the one pays for the other, in minor units; nothing where one of them is worth nothing.
    pub credit: i64,
}

impl Exchange {
    /// Settles `back` and `sale` with each other.
    ///
    /// # Errors
    /// [`ExchangeError`]: what each refuses by itself, or what is to be paid or refunded still.
    pub fn of(back: &Cart, sale: &Cart) -> Result<Self, ExchangeError> {
        let (mut back, mut sale) = (back.clone(), sale.clone());
        let worth = back.check_ready(CartKind::Return)?.total;
        let price = sale.check_ready(CartKind::Sale)?.total;
        if back.currency != sale.currency {
            return Err(CartError::CurrencyMismatch(sale.currency).into());
        }
        let original = back.return_of.as_ref().and_then(|head| head.original.as_ref());
        if let (Some(original), due @ 1..) = (original, back.owed_by_original()) {
            return Err(ExchangeError::Owed { order_id: original.order_id.clone(), due });
        }
        back.check_paid_its_worth()?;
        let credit = worth.min(price);
        let change = sale.pay_by_return(credit)?;
        back.refund_by_sale(credit)?;
        sale.course.exchange = Some(Exchanged { with: back.id.clone(), change });
        back.course.exchange = Some(Exchanged { with: sale.id.clone(), change: 0 });
        Ok(Exchange { back, sale, credit })
    }

    /// What `back` and `sale` come to before coins, in minor units: what the sale costs less what the return is worth.
    /// Above zero it is to be paid, below zero to be given back.
    ///
    /// # Errors
    /// [`ExchangeError::Cart`]: what each refuses by itself; [`CartError::CurrencyMismatch`].
    pub fn total_of(back: &Cart, sale: &Cart) -> Result<Money, ExchangeError> {
        let worth = back.check_ready(CartKind::Return)?.total;
        let price = sale.check_ready(CartKind::Sale)?.total;
        if back.currency != sale.currency {
            return Err(CartError::CurrencyMismatch(sale.currency).into());
        }
        Ok(Money { amount: price.saturating_sub(worth), currency: sale.currency })
    }

    /// Checks that an exchange that comes to `total` is what its register asked for it.
    ///
    /// # Errors
    /// [`ExchangeError::TotalDiffers`]; [`CartError::CurrencyMismatch`], [`CartError::Money`] for what is stated.
    pub fn check_asked_total(total: Money, stated: Money) -> Result<(), ExchangeError> {
        if stated.currency != total.currency {
            return Err(CartError::CurrencyMismatch(total.currency).into());
        }
        let asked = Money::new(stated.amount, stated.currency).map_err(CartError::from)?.amount;
        let total = total.amount;
        if asked == total { Ok(()) } else { Err(ExchangeError::TotalDiffers { total, asked }) }
    }

    /// Stock that both move, per SKU, merged and sorted: what comes back may go out again.
    pub fn moves(&self) -> Vec<ExchangeMove> {
        let mut merged = BTreeMap::<String, ExchangeMove>::new();
        let mut of = |sku: String, out: Quantity, back: Quantity, damaged: Quantity| {
            let nothing = ExchangeMove {
                sku: sku.clone(),
                out: Quantity::ZERO,
                back: Quantity::ZERO,
                damaged: Quantity::ZERO,
            };
            let of = merged.entry(sku).or_insert(nothing);
            (of.out, of.back, of.damaged) = (of.out.plus(out), of.back.plus(back), of.damaged.plus(damaged));
        };
        for one in self.sale.stock_moves() {
            of(one.sku, one.sellable, Quantity::ZERO, Quantity::ZERO);
        }
        for one in self.back.stock_moves() {
            of(one.sku, Quantity::ZERO, one.sellable, one.damaged);
        }
        merged.into_values().collect()
    }
}

impl Cart {
    /// Checks that what this returns was paid for at what it is worth, but for what rounding takes off: a unit a line,
    /// and coins.
    fn check_paid_its_worth(&self) -> Result<(), ExchangeError> {
        let original = self.return_of.as_ref().and_then(|head| head.original.as_ref());
        let Some(original) = original else { return Ok(()) };
        // The coin may be another one than when it was sold.
        let coin = i64::from(self.terms.cash_increment).max(COIN_OF_ANY_TIME);
        let rounded = i64::try_from(original.lines.len()).unwrap_or(i64::MAX).saturating_add(coin);
        match self.paid_below_worth()? {
            below if below > rounded => {
                Err(ExchangeError::SoldBelowWorth { order_id: original.order_id.clone(), below })
            }
            _ => Ok(()),
        }
    }

    fn push_credit(&mut self, credit: i64, others: usize) -> Result<(), CartError> {
        if credit == 0 {
            return Ok(());
        }
        if others >= PAYMENTS_MAX {
            return Err(CartError::TooManyPayments);
        }
        let number = self.numbers_used.payments + 1;
        self.numbers_used.payments = number;
        self.payments.push(Payment {
            number,
            tender: EXCHANGE.to_owned(),
            amount: credit,
            change: 0,
            tip: 0,
            external_reference: None,
            entry_method: None,
        });
        Ok(())
    }

    /// Counts `credit` before the payments of a sale; answers what more goes back of the cash that was
    /// handed over. What was told as change stays given.
    fn pay_by_return(&mut self, credit: i64) -> Result<i64, ExchangeError> {
        let paid = std::mem::take(&mut self.payments);
        self.terms.cash_rounding.clear();
        self.push_credit(credit, paid.len())?;
        let mut more = 0_i64;
        for mut payment in paid {
            let due = self.totals()?.due;
            let rounding = self.rounding_of(&payment.tender, due);
            let payable = due.saturating_add(rounding);
            let kept = payment.amount.saturating_sub(payment.change);
            let above = kept.saturating_sub(payable).max(0);
            if kept > 0 && (due <= 0 || above > 0 && payment.tender != "cash") {
                return Err(ExchangeError::PaidTooMuch { credit, payment: payment.id(), due: due.max(0) });
            }
            if kept >= payable && rounding != 0 {
                self.terms.cash_rounding.insert(payment.number, rounding);
            }
            payment.change = payment.change.saturating_add(above);
            more = more.saturating_add(above);
            self.payments.push(payment);
        }
        match (self.totals()?.due, self.payments.last()) {
            (0, _) => Ok(more),
            // Cash between what is due and what coins can pay of it.
            (..0, Some(last)) => Err(ExchangeError::PaidTooMuch { credit, payment: last.id(), due: 0 }),
            (due, _) => Err(ExchangeError::ToPay { credit, due }),
        }
    }

    /// Counts `credit` before the refunds of a return.
    fn refund_by_sale(&mut self, credit: i64) -> Result<(), ExchangeError> {
        let refunded = std::mem::take(&mut self.payments);
        self.terms.cash_rounding.clear();
        self.push_credit(credit, refunded.len())?;
        for refund in refunded {
            let due = self.totals()?.due;
            if due <= 0 {
                return Err(ExchangeError::RefundedTooMuch { credit, refund: refund.id(), due: 0 });
            }
            let rounded =
                self.refund_rounding(&refund.tender, refund.amount).map_err(|error| match error {
                    CartError::Overpaid { due } => {
                        ExchangeError::RefundedTooMuch { credit, refund: refund.id(), due }
                    }
                    error => error.into(),
                })?;
            if rounded != 0 {
                self.terms.cash_rounding.insert(refund.number, rounded);
            }
            self.payments.push(refund);
        }
        match self.totals()?.due {
            0 => Ok(()),
            // What comes to no coin could not be refunded before: then more was due.
            1.. if self.settle_by_no_coin() => Ok(()),
            due => Err(ExchangeError::ToRefund { credit, due }),
        }
    }
}

/// What can still be refunded to `tender`, in minor units, where so much was `paid` by tender and so much is
/// `refunded`. What an exchange paid may go to any tender: who paid the goods by what, of which it was the
/// worth, is another sale's story. It goes out once, whatever it goes to.
pub(super) fn refundable(paid: impl Fn(&str) -> i64, refunded: &BTreeMap<String, i64>, tender: &str) -> i64 {
    let done = |tender: &str| refunded.get(tender).copied().unwrap_or(0);
    let own = paid(tender).saturating_sub(done(tender)).max(0);
    // What of the exchange's part went to other tenders. A further exchange takes nothing of it: what goods
    // are worth is bounded by the goods.
    let others = refunded.keys().filter(|other| *other != EXCHANGE);
    let drawn =
        others.fold(0_i64, |sum, other| sum.saturating_add(done(other).saturating_sub(paid(other)).max(0)));
    own.saturating_add(paid(EXCHANGE).saturating_sub(drawn).max(0))
}

#[cfg(test)]
mod tests;
