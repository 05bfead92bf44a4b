//! Where a final sale stands as an order, and where it may go from there.
//!
//! `placed → paid → allocated → shipped → delivered`, and until it is shipped `cancelled`. A till's sale is
//! `completed` and can only be `voided`; a return is `returned`. No way leads back, so that the history of
//! an order is as short as the longest way.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::{Cart, CartError, PAYMENTS_MAX, Payment, PaymentInput, TENDERS};
use crate::money::Money;

/// The tender of what is owed.
pub const ACCOUNT: &str = "account";

/// Where an order stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OrderStatus {
    /// On account: not paid yet.
    Placed,
    /// Paid.
    Paid,
    /// Its goods are put aside for it.
    Allocated,
    /// Its goods are on their way.
    Shipped,
    /// Its goods have arrived.
    Delivered,
    /// Given up before it was shipped.
    Cancelled,
    /// Sold over the counter, or elsewhere.
    Completed,
    /// Undone on the day it was sold.
    Voided,
    /// A return.
    Returned,
}

impl OrderStatus {
    /// All of them.
    pub const ALL: [OrderStatus; 9] = [
        OrderStatus::Placed,
        OrderStatus::Paid,
        OrderStatus::Allocated,
        OrderStatus::Shipped,
        OrderStatus::Delivered,
        OrderStatus::Cancelled,
        OrderStatus::Completed,
        OrderStatus::Voided,
        OrderStatus::Returned,
    ];

    /// The name on the wire.
    pub fn name(self) -> &'static str {
        match self {
            OrderStatus::Placed => "placed",
            OrderStatus::Paid => "paid",
            OrderStatus::Allocated => "allocated",
            OrderStatus::Shipped => "shipped",
            OrderStatus::Delivered => "delivered",
            OrderStatus::Cancelled => "cancelled",
            OrderStatus::Completed => "completed",
            OrderStatus::Voided => "voided",
            OrderStatus::Returned => "returned",
        }
    }

    /// The status of that name.
    pub fn parse(name: &str) -> Option<OrderStatus> {
        Self::ALL.into_iter().find(|status| status.name() == name)
    }

    /// Where an order may go from here.
    pub fn next(self) -> &'static [OrderStatus] {
        match self {
            OrderStatus::Placed => &[OrderStatus::Paid, OrderStatus::Cancelled],
            OrderStatus::Paid => &[OrderStatus::Allocated, OrderStatus::Cancelled],
            OrderStatus::Allocated => &[OrderStatus::Shipped, OrderStatus::Cancelled],
            OrderStatus::Shipped => &[OrderStatus::Delivered],
            OrderStatus::Completed => &[OrderStatus::Voided],
            OrderStatus::Delivered | OrderStatus::Cancelled | OrderStatus::Voided | OrderStatus::Returned => {
                &[]
            }
        }
    }

    /// Whether all of an order that stands here went back.
    pub fn is_undone(self) -> bool {
        matches!(self, OrderStatus::Cancelled | OrderStatus::Voided)
    }
}

/// Where goods on their way are found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tracking {
    /// Who carries them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub carrier: Option<String>,
    /// The carrier's number.
    pub number: String,
}

/// One change of an order's status.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StatusChange {
    /// Where it stood.
    pub from: OrderStatus,
    /// Where it stands since.
    pub to: OrderStatus,
    /// The version of the order that this made.
    pub order_version: u32,
    /// When.
    pub at: Timestamp,
    /// Who changed it.
    pub by: String,
    /// Why.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// Where the goods are found.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tracking: Option<Tracking>,
    /// What settled the amount that was owed on account, where it is known.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub settled: Vec<Payment>,
    /// The return that brought all of it back.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub undone_by: Option<String>,
}

/// What a change of status says; the order tells the rest.
#[derive(Debug, Clone)]
pub struct NewStatus {
    /// Where the order goes.
    pub to: OrderStatus,
    /// When.
    pub at: Timestamp,
    /// Who changes it.
    pub by: String,
    /// Why.
    pub reason: Option<String>,
    /// Where the goods are found.
    pub tracking: Option<Tracking>,
    /// What settles the amount that is owed; nothing where that is not told here.
    pub payments: Vec<PaymentInput>,
    /// Refunded to the account by returns before, in minor units: so much less is owed.
    pub refunded_to_account: i64,
    /// The return that brings all of it back.
    pub undone_by: Option<String>,
}

/// Why a status was not changed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum StatusError {
    /// It is no order yet.
    #[error("it is not final yet")]
    NotFinal,
    /// There is no way from here to there.
    #[error("the order is {is} and cannot become {wanted}; from here: {}", names(allowed))]
    NoWay {
        /// Where it stands.
        is: String,
        /// Where it was to go.
        wanted: &'static str,
        /// Where it may go.
        allowed: Vec<&'static str>,
    },
    /// Payments where nothing is owed, or by the tender that is owed.
    #[error("payments settle what is owed on account when the order is paid, by another tender than account")]
    NotSettling,
    /// A payment that is not as payments are, or not the amount that is owed.
    #[error(transparent)]
    Payment(#[from] CartError),
}

fn names(allowed: &[&'static str]) -> String {
    if allowed.is_empty() { "nowhere".to_owned() } else { allowed.join(", ") }
}

impl StatusError {
    /// The stable code on the wire.
    pub fn code(&self) -> &'static str {
        match self {
            StatusError::NotFinal => "order_not_final",
            StatusError::NoWay { .. } => "order_status_conflict",
            StatusError::NotSettling => "settlement_invalid",
            StatusError::Payment(error) => error.code(),
        }
    }
}

impl Cart {
    /// Where it stands as an order, if it is final.
    pub fn order_status(&self) -> Option<OrderStatus> {
        self.finalized.as_ref().and_then(|done| OrderStatus::parse(&done.status))
    }

    /// Where it stood when it became final.
    pub fn first_status(&self) -> Option<OrderStatus> {
        self.course.history.first().map(|change| change.from).or_else(|| self.order_status())
    }

    /// Moves an order to another status: one more version of it, and one more entry of its history.
    ///
    /// # Errors
    /// [`StatusError`]; nothing is changed then.
    pub fn change_status(&mut self, new: NewStatus) -> Result<(), StatusError> {
        let Some(done) = &self.finalized else { return Err(StatusError::NotFinal) };
        // An order is not undone by a word, but by the return that brings all of it back.
        let is_undone_by_word = new.to.is_undone() != new.undone_by.is_some();
        let from =
            OrderStatus::parse(&done.status).filter(|is| is.next().contains(&new.to) && !is_undone_by_word);
        let Some(from) = from else {
            let next = OrderStatus::parse(&done.status).map_or(&[][..], OrderStatus::next);
            return Err(StatusError::NoWay {
                is: done.status.clone(),
                wanted: new.to.name(),
                // Voiding has a command of its own.
                allowed: next.iter().filter(|to| **to != OrderStatus::Voided).map(|to| to.name()).collect(),
            });
        };
        let order_version = done.order_version + 1;
        let settled = match (from, new.to) {
            _ if new.payments.is_empty() => Vec::new(),
            (OrderStatus::Placed, OrderStatus::Paid) => {
                self.settlement(new.payments, new.refunded_to_account)?
            }
            _ => return Err(StatusError::NotSettling),
        };
        if let Some(done) = &mut self.finalized {
            done.order_version = order_version;
            new.to.name().clone_into(&mut done.status);
        }
        self.course.history.push(StatusChange {
            from,
            to: new.to,
            order_version,
            at: new.at,
            by: new.by,
            reason: new.reason,
            tracking: new.tracking,
            settled,
            undone_by: new.undone_by,
        });
        self.version += 1;
        Ok(())
    }

    /// What is owed on account, in minor units. What was taken from a customer's account is paid.
    pub fn owed_on_account(&self) -> i64 {
        let owed = self.payments.iter().filter(|paid| paid.tender == ACCOUNT && !self.is_stored_value(paid));
        owed.fold(0, |sum, payment| sum.saturating_add(payment.amount - payment.change))
    }

    /// What of the amount that was owed on account was not settled by other tenders, as it came back before: in minor
    /// units. `None` where nothing was settled.
    pub fn left_on_account(&self) -> Option<i64> {
        let mut settled = self.course.history.iter().flat_map(|change| &change.settled).peekable();
        settled.peek()?;
        let settled = settled.fold(0_i64, |sum, paid| sum.saturating_add(paid.amount));
        Some(self.owed_on_account().saturating_sub(settled).max(0))
    }

    /// Payments of what is owed and has not come back, to the minor unit.
    fn settlement(&self, payments: Vec<PaymentInput>, refunded: i64) -> Result<Vec<Payment>, StatusError> {
        if payments.len() > PAYMENTS_MAX {
            return Err(CartError::TooManyPayments.into());
        }
        let mut due = self.owed_on_account().saturating_sub(refunded).max(0);
        let mut settled = Vec::with_capacity(payments.len());
        for (number, payment) in (1_u32..).zip(payments) {
            if payment.tender == ACCOUNT {
                return Err(StatusError::NotSettling);
            }
            if !TENDERS.contains(&payment.tender.as_str()) {
                return Err(CartError::UnknownTender.into());
            }
            if payment.amount.currency != self.currency {
                return Err(CartError::CurrencyMismatch(self.currency).into());
            }
            if payment.amount.amount <= 0 {
                return Err(CartError::NotPositive.into());
            }
            let amount = Money::new(payment.amount.amount, self.currency).map_err(CartError::Money)?.amount;
            // Nobody stands at a till here: what is too much cannot be given back.
            if amount > due {
                return Err(CartError::Overpaid { due }.into());
            }
            due -= amount;
            settled.push(Payment {
                number,
                tender: payment.tender,
                amount,
                change: 0,
                tip: 0,
                external_reference: payment.external_reference,
                entry_method: payment.entry_method,
            });
        }
        if due > 0 { Err(CartError::Underpaid { due }.into()) } else { Ok(settled) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Which ways there are, written down a second time; and none leads back.
    #[test]
    fn the_ways_of_an_order() {
        let ways: Vec<String> = OrderStatus::ALL
            .iter()
            .map(|from| {
                let next: Vec<&str> = from.next().iter().map(|to| to.name()).collect();
                format!("{}: {}", from.name(), next.join(" "))
            })
            .collect();
        let expected = "placed: paid cancelled|paid: allocated cancelled|allocated: shipped cancelled|\
                        shipped: delivered|delivered: |cancelled: |completed: voided|voided: |returned: ";
        assert_eq!(ways.join("|"), expected);
        fn longest(from: OrderStatus, steps: usize) -> usize {
            assert!(steps < OrderStatus::ALL.len(), "a way leads back");
            from.next().iter().map(|to| longest(*to, steps + 1)).max().unwrap_or(steps)
        }
        assert_eq!(OrderStatus::ALL.map(|from| longest(from, 0)).into_iter().max(), Some(4));
        for status in OrderStatus::ALL {
            assert_eq!(OrderStatus::parse(status.name()), Some(status));
            assert_eq!(serde_json::to_value(status).unwrap(), status.name());
        }
        assert_eq!(OrderStatus::parse("lost"), None);
    }
}
