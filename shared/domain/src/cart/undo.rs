//! Undoing a whole order: a return of all its lines, with a number of its own. The order itself keeps its
//! number, its lines and its payments for ever.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::order_status::{ACCOUNT, OrderStatus};
use super::{
    Cart, CartError, CartKind, Disposition, Kits, Line, Lots, OriginalSale, Payment, ReturnHead, ReturnLine,
    Returned,
};
use crate::quantity::Quantity;

/// As what an order is undone.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Undoing {
    /// A till's sale, on the day it was made.
    Void,
    /// An order from elsewhere, before it was shipped.
    Cancellation,
}

impl Undoing {
    /// Where the order stands afterwards.
    pub fn status(self) -> OrderStatus {
        match self {
            Undoing::Void => OrderStatus::Voided,
            Undoing::Cancellation => OrderStatus::Cancelled,
        }
    }
}

/// What a tender gets back. Minor units.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refund {
    /// Tender.
    pub tender: String,
    /// What was paid for the goods.
    pub amount: i64,
    /// What was given on top.
    pub tip: i64,
    /// The reference of the payment that is given back.
    pub external_reference: Option<String>,
}

impl Cart {
    /// Makes a new return bring back all of `sale`: every line whole and back on the shelf, every payment
    /// to its tender, tips too.
    ///
    /// # Errors
    /// [`CartError::WrongKind`] where this is no return or `sale` no sale.
    pub fn take_all_back(&mut self, sale: &Cart, undoing: Undoing, reason: String) -> Result<(), CartError> {
        self.require(CartKind::Return)?;
        sale.require(CartKind::Sale)?;
        // What comes back whole is worth what it was charged, so nothing needs to be shared out: lines and
        // charges are the sale's own, under the same numbers.
        self.lines = sale.lines.iter().map(brought_back).collect();
        self.charges.discounts.clone_from(&sale.charges.discounts);
        self.charges.taxes.clone_from(&sale.charges.taxes);
        self.charges.lines.clone_from(&sale.charges.lines);
        self.terms.customer.clone_from(&sale.terms.customer);
        self.terms.lines.clone_from(&sale.terms.lines);
        self.kits = Kits::all_of(&sale.kits);
        self.lots = Lots::all_of(&sale.lots);
        self.terms.cash_rounding.clone_from(&sale.terms.cash_rounding);
        self.payments = sale
            .payments
            .iter()
            .map(|paid| Payment { amount: paid.amount - paid.change, change: 0, ..paid.clone() })
            .collect();
        self.numbers_used = sale.numbers_used;
        let original =
            OriginalSale { order_id: sale.id.clone(), lines: Vec::new(), tenders: BTreeMap::new() };
        self.return_of = Some(ReturnHead { reason, original: Some(original) });
        self.channel.clone_from(&sale.channel);
        self.customer_id.clone_from(&sale.customer_id);
        self.course.undoes = Some(undoing);
        self.course.stored_value.clone_from(&sale.course.stored_value);
        Ok(())
    }

    /// What the tenders of an order get back when all of it is undone. What was owed on account and
    /// settled meanwhile goes back to what settled it; what had come back before is the account's still.
    pub fn refunds_of_all(&self) -> Vec<Refund> {
        let settled = self.course.history.iter().flat_map(|change| &change.settled);
        let mut left_on_account = self.left_on_account();
        let mut refunds = Vec::new();
        for paid in &self.payments {
            // A tip stays with the payment that it was given with.
            let mut amount = paid.amount - paid.change;
            if let Some(left) = &mut left_on_account
                && paid.tender == ACCOUNT
                && !self.is_stored_value(paid)
            {
                amount = amount.min(*left);
                *left -= amount;
            }
            if amount > 0 || paid.tip > 0 {
                refunds.push(refund_of(paid, amount));
            }
        }
        refunds.extend(settled.map(|paid| refund_of(paid, paid.amount)));
        refunds
    }
}

fn refund_of(paid: &Payment, amount: i64) -> Refund {
    Refund {
        tender: paid.tender.clone(),
        amount,
        tip: paid.tip,
        external_reference: paid.external_reference.clone(),
    }
}

fn brought_back(line: &Line) -> Line {
    let returned = ReturnLine {
        disposition: Disposition::Restock,
        original_line: Some(line.number),
        returned_before: Quantity::ZERO,
    };
    Line { returned: Some(returned), notes: None, ..line.clone() }
}

impl Returned {
    /// What came back of a sale that is undone: all of it.
    pub fn all_of(sale: &Cart) -> Self {
        let mut refunded = BTreeMap::<String, i64>::new();
        for paid in &sale.payments {
            let sum = refunded.entry(paid.tender.clone()).or_default();
            *sum = sum.saturating_add(paid.amount - paid.change);
        }
        Returned { lines: sale.lines.iter().map(|line| (line.number, line.quantity)).collect(), refunded }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::order_status::{NewStatus, StatusError};
    use super::super::tests::{by, cart, line, pay};
    use super::super::{Finalized, OriginalLine, PaymentInput};
    use super::*;
    use crate::lane::{Lane, LaneNumber};
    use crate::money::{Currency, Money};
    use crate::pricing::ManualDiscountKind;
    use jiff::Timestamp;

    fn made_final(mut sale: Cart, status: &str) -> Cart {
        let at = Timestamp::UNIX_EPOCH;
        sale.finalize(Finalized {
            number: LaneNumber { lane: Lane::new("s-1", "r-1"), number: 1 },
            order_version: 1,
            status: status.into(),
            at,
            recorded_at: at,
            business_day: "1970-01-01".parse().unwrap(),
            hour_start: at,
            offset_seconds: 0,
        });
        sale
    }

    fn to(to: OrderStatus, payments: Vec<PaymentInput>) -> NewStatus {
        let by = "e-1".to_owned();
        NewStatus {
            to,
            at: Timestamp::UNIX_EPOCH,
            by,
            reason: None,
            tracking: None,
            payments,
            refunded_to_account: 0,
            undone_by: None,
        }
    }

    fn tip(tender: &str, amount: i64, tip: i64) -> PaymentInput {
        PaymentInput { tip: Some(Money { amount: tip, currency: Currency::GBP }), ..pay(tender, amount) }
    }

    fn owed(pounds: &str) -> Cart {
        let mut sale = cart(CartKind::Sale);
        sale.add_line(line("A", 1, pounds)).unwrap();
        sale.set_tendering(&by()).unwrap();
        let due = sale.totals().unwrap().due;
        sale.add_payment(pay("account", due)).unwrap();
        made_final(sale, "placed")
    }

    #[test]
    fn an_account_is_settled_to_the_penny_by_other_tenders() {
        for (payments, refused) in [
            (vec![pay("card", 999)], Err(StatusError::Payment(CartError::Underpaid { due: 1 }))),
            (vec![pay("card", 1_001)], Err(StatusError::Payment(CartError::Overpaid { due: 1_000 }))),
            (
                vec![pay("card", 600), pay("cash", 401)],
                Err(StatusError::Payment(CartError::Overpaid { due: 400 })),
            ),
            (vec![pay("account", 1_000)], Err(StatusError::NotSettling)),
            (vec![pay("card", 600), pay("cash", 400)], Ok(())),
            (vec![], Ok(())),
        ] {
            let mut order = owed("10");
            let before = order.clone();
            let result = order.change_status(to(OrderStatus::Paid, payments.clone()));
            assert_eq!(result, refused, "{payments:?}");
            if refused.is_err() {
                assert_eq!(order, before);
            }
        }
        let mut order = owed("10");
        order.change_status(to(OrderStatus::Paid, vec![])).unwrap();
        let late = order.change_status(to(OrderStatus::Allocated, vec![pay("card", 1)]));
        assert_eq!(late, Err(StatusError::NotSettling));
        assert_eq!(
            (order.first_status(), order.order_status()),
            (Some(OrderStatus::Placed), Some(OrderStatus::Paid))
        );
    }

    #[test]
    fn no_order_is_undone_by_a_word() {
        for (status, word) in [
            ("completed", OrderStatus::Voided),
            ("placed", OrderStatus::Cancelled),
            ("paid", OrderStatus::Cancelled),
        ] {
            let mut order = owed("10");
            if let Some(done) = &mut order.finalized {
                status.clone_into(&mut done.status);
            }
            let before = order.clone();
            assert!(
                matches!(order.change_status(to(word, vec![])), Err(StatusError::NoWay { .. })),
                "{status}"
            );
            assert_eq!(order, before);
            order.change_status(NewStatus { undone_by: Some("u-1".into()), ..to(word, vec![]) }).unwrap();
            assert_eq!(order.order_status(), Some(word));
        }
    }

    #[test]
    fn refunds_go_to_what_was_paid_by() {
        let refunds = |order: &Cart| {
            let refunds = order.refunds_of_all().into_iter();
            refunds.map(|refund| (refund.tender, refund.amount, refund.tip)).collect::<Vec<_>>()
        };
        let mut order = owed("10");
        assert_eq!(refunds(&order), [("account".to_owned(), 1_000, 0)]);
        order.change_status(to(OrderStatus::Paid, vec![pay("card", 600), pay("voucher", 400)])).unwrap();
        assert_eq!(refunds(&order), [("card".to_owned(), 600, 0), ("voucher".to_owned(), 400, 0)]);
        let mut sale = cart(CartKind::Sale);
        sale.add_line(line("A", 1, "10")).unwrap();
        sale.set_tendering(&by()).unwrap();
        sale.add_payment(tip("card", 300, 50)).unwrap();
        sale.add_payment(pay("cash", 1_000)).unwrap();
        assert_eq!(refunds(&sale), [("card".to_owned(), 300, 50), ("cash".to_owned(), 700, 0)]);
    }

    proptest! {
        /// Whatever was sold and however paid: its undoing is worth the same line by line, tender by tender,
        /// and puts the same back on the shelf; and nothing can come back after it.
        #[test]
        fn what_is_undone_is_the_sale_turned_round(
            lines in prop::collection::vec((0_u8..4, 1_i64..20, 1_i64..5_000), 1..8),
            off in prop::option::of(1_u32..10_000),
            shares in prop::collection::vec((0_usize..3, 1_i64..3_000, 0_i64..100), 0..4),
        ) {
            let mut sale = cart(CartKind::Sale);
            for (sku, pieces, price) in &lines {
                let price = format!("{}.{:02}", price / 100, price % 100);
                sale.add_line(line(&format!("S-{sku}"), *pieces, &price)).unwrap();
            }
            if let Some(bps) = off {
                // What rounds to nothing is refused, and changes nothing.
                let _ = sale.give_discount(ManualDiscountKind::PercentCart { bps }, "x".into(), &by());
            }
            sale.set_tendering(&by()).unwrap();
            for (tender, amount, more) in shares {
                let tender = ["card", "voucher", "gift_card"][tender];
                let amount = amount.min(sale.totals().unwrap().due);
                if amount > 0 {
                    sale.add_payment(tip(tender, amount, more)).unwrap();
                }
            }
            let due = sale.totals().unwrap().due;
            if due > 0 {
                sale.add_payment(pay("cash", due + 37)).unwrap();
            }
            let sale = made_final(sale, "completed");
            let mut back = cart(CartKind::Return);
            back.take_all_back(&sale, Undoing::Void, "x".into()).unwrap();
            let (were, are) = (sale.totals().unwrap(), back.totals().unwrap());
            prop_assert_eq!((are.total, are.subtotal, are.discount, are.tips, are.due), (were.total, were.subtotal, were.discount, were.tips, 0));
            prop_assert_eq!(back.stock_moves(), sale.stock_moves());
            for (was, is) in sale.lines.iter().zip(&back.lines) {
                prop_assert_eq!(sale.line_amounts(was).unwrap(), back.line_amounts(is).unwrap());
            }
            let mut all = Returned::all_of(&sale);
            let refunded: i64 = all.refunded.values().sum();
            prop_assert_eq!(refunded, were.total);
            // One piece more of any line is too much.
            let sold = &sale.lines[0];
            let original = OriginalSale {
                order_id: sale.id.clone(),
                lines: vec![OriginalLine {
                    number: sold.number,
                    sku: sold.sku.clone(),
                    name: sold.name.clone(),
                    category: None,
                    sold: sold.quantity,
                    returned: Quantity::ZERO,
                    unit: sold.unit,
                    stocked: true,
                    unit_price: sold.unit_price,
                }],
                tenders: BTreeMap::new(),
            };
            let mut late = cart(CartKind::Return);
            late.return_of = Some(ReturnHead { reason: "x".into(), original: Some(original.clone()) });
            late.return_known_line(&sold.id(), Quantity::from_pieces(1).unwrap(), Disposition::Restock).unwrap();
            let above = all.add(&late, &original);
            prop_assert!(matches!(above, Err(CartError::AboveSold { .. })), "{:?}", above);
        }
    }
}
