//! Undoing a whole order: a return of all its lines, with a number of its own. The order itself keeps its
//! number, its lines and its payments for ever.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::order_status::OrderStatus;
use super::{
    Cart, CartError, CartKind, Disposition, Line, OriginalSale, Payment, ReturnHead, ReturnLine, Returned,
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
        self.charges.lines.clone_from(&sale.charges.lines);
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
        Ok(())
    }

    /// What the tenders of an order get back when all of it is undone. What was owed on account and
    /// settled meanwhile goes back to what settled it.
    pub fn refunds_of_all(&self) -> Vec<Refund> {
        let settled = self.course.history.iter().flat_map(|change| &change.settled);
        let is_settled = self.course.history.iter().any(|change| !change.settled.is_empty());
        let mut refunds = Vec::new();
        for paid in &self.payments {
            // A tip stays with the payment that it was given with.
            let settled_elsewhere = is_settled && paid.tender == "account";
            let amount = if settled_elsewhere { 0 } else { paid.amount - paid.change };
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
