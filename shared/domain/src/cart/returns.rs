//! Returns: what came back, against which sale.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::exchange::{EXCHANGE, refundable};
use super::{CASH, Cart, CartError, CartKind, Line, LineTerms, NewLine, Payment};
use crate::money::UnitPrice;
use crate::quantity::{Quantity, Unit};

/// What happens to goods that come back.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Disposition {
    /// Back on the shelf: on hand grows.
    Restock,
    /// Kept aside as damaged.
    Damaged,
    /// Nothing came back into stock.
    None,
}

/// What a line of a return adds to a line.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReturnLine {
    /// What happens to the goods.
    pub disposition: Disposition,
    /// The line of the original sale; `None` in a blind return.
    pub original_line: Option<u32>,
    /// How much of that line had come back before: what comes back now is worth what is worth all of it
    /// so far, rounded, less what was worth this. So the pieces of a line are worth the line together.
    pub returned_before: Quantity,
}

/// A line of the original sale, as far as a return needs it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OriginalLine {
    /// Its number in the sale.
    pub number: u32,
    /// SKU.
    pub sku: String,
    /// Name as sold.
    pub name: String,
    /// Category as sold.
    pub category: Option<String>,
    /// Sold.
    pub sold: Quantity,
    /// Returned before this return was begun; the transaction that finalises checks again.
    pub returned: Quantity,
    /// How it is sold.
    pub unit: Unit,
    /// Whether stock of it is kept.
    pub stocked: bool,
    /// Price as sold.
    pub unit_price: UnitPrice,
}

/// The original sale, as far as a return needs it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OriginalSale {
    /// Its order id.
    pub order_id: String,
    /// Its lines.
    pub lines: Vec<OriginalLine>,
    /// Per tender: paid less change, and refunded before, in minor units.
    pub tenders: BTreeMap<String, (i64, i64)>,
}

impl OriginalSale {
    pub(super) fn paid_by(&self, tender: &str) -> i64 {
        self.tenders.get(tender).map_or(0, |(paid, _)| *paid)
    }

    /// What can still be refunded to `tender` beside `refunds`, in minor units.
    pub fn refundable_beside(&self, tender: &str, refunds: &[Payment]) -> i64 {
        let before = self.tenders.iter().map(|(tender, (_, refunded))| (tender.clone(), *refunded));
        let mut refunded: BTreeMap<String, i64> = before.collect();
        for refund in refunds {
            *refunded.entry(refund.tender.clone()).or_default() += refund.amount;
        }
        refundable(|tender| self.paid_by(tender), &refunded, tender)
    }

    /// What can still be refunded to all tenders together, in minor units.
    pub fn refundable_in_all(&self) -> i64 {
        self.tenders.values().fold(0, |sum, (paid, refunded)| sum.saturating_add(paid - refunded))
    }

    /// Whether something can still be refunded beside `refunds` to another tender than cash.
    pub(super) fn is_left_beside_cash(&self, refunds: &[Payment]) -> bool {
        let mut others = self.tenders.keys().filter(|tender| !["cash", EXCHANGE].contains(&tender.as_str()));
        others.any(|tender| self.refundable_beside(tender, refunds) > 0)
    }
}

/// How much of one line came back so far.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReturnedLine {
    /// Line number in the sale.
    pub line: u32,
    /// Came back.
    pub quantity: Quantity,
}

/// What came back of a sale so far: a small item of its own beside the order, which never changes.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Returned {
    /// Per line of the sale.
    pub lines: BTreeMap<u32, Quantity>,
    /// Refunded per tender, in minor units.
    pub refunded: BTreeMap<String, i64>,
}

impl Returned {
    /// Whether all of `sale` came back.
    pub fn is_all_of(&self, sale: &Cart) -> bool {
        let is_back = |line: &Line| self.lines.get(&line.number).is_some_and(|back| *back >= line.quantity);
        sale.lines.iter().all(is_back)
    }

    /// Adds a return to what came back before.
    ///
    /// # Errors
    /// [`CartError::AboveSold`] or [`CartError::AbovePaid`] if, with this return, more would have come
    /// back than was sold, or more been refunded than was paid; [`CartError::ReturnOutdated`] if what
    /// came back meanwhile makes its lines worth another amount.
    pub fn add(&mut self, cart: &Cart, original: &OriginalSale) -> Result<(), CartError> {
        for line in &cart.lines {
            let Some(number) = line.returned.as_ref().and_then(|r| r.original_line) else {
                continue;
            };
            let Some(sold) = original.lines.iter().find(|l| l.number == number) else {
                return Err(CartError::UnknownLine(format!("l-{number}")));
            };
            let before = self.lines.entry(number).or_default();
            let after = before.plus(line.quantity);
            if after > sold.sold {
                let left =
                    Quantity::from_thousandths(sold.sold.thousandths().saturating_sub(before.thousandths()));
                return Err(CartError::AboveSold {
                    line: format!("l-{number}"),
                    left: left.unwrap_or_default(),
                });
            }
            let same = match cart.charge_returned(sold, *before, line.quantity) {
                Some(charged) => cart.charges.lines.get(&line.number) == Some(&charged),
                None => {
                    let gross = line.unit_price.of_next(*before, line.quantity, cart.currency)?;
                    cart.line_amounts(line)?.gross == gross
                }
            };
            if !same {
                return Err(CartError::ReturnOutdated { line: format!("l-{number}") });
            }
            *before = after;
        }
        // Cash of a register that was cut off, and rounded each refund by itself, is gone.
        let mut coins = cart.rounding_of_given();
        for refund in &cart.payments {
            // What an exchange takes is what the goods are worth: no tender gives it.
            if refund.tender != EXCHANGE {
                let left = refundable(|tender| original.paid_by(tender), &self.refunded, &refund.tender);
                let beyond = refund.amount.saturating_sub(left).max(0);
                let most = if refund.tender == CASH { coins } else { 0 };
                if beyond > most {
                    return Err(CartError::AbovePaid { tender: refund.tender.clone(), left });
                }
                coins = coins.saturating_sub(beyond);
            }
            let sum = self.refunded.entry(refund.tender.clone()).or_default();
            *sum = sum.saturating_add(refund.amount);
        }
        Ok(())
    }
}

impl Cart {
    /// Adds a line of the known sale to a return, at the price it was sold at.
    ///
    /// # Errors
    /// [`CartError::AboveSold`], [`CartError::UnknownLine`], [`CartError::NeedsSkuAndPrice`] on a blind
    /// return, [`CartError::WrongState`].
    pub fn return_known_line(
        &mut self,
        line_id: &str,
        quantity: Quantity,
        disposition: Disposition,
    ) -> Result<u32, CartError> {
        self.require(CartKind::Return)?;
        self.require_open()?;
        let original = self
            .return_of
            .as_ref()
            .and_then(|r| r.original.as_ref())
            .ok_or(CartError::NeedsSkuAndPrice)?
            .line(line_id)?
            .clone();
        let before = self
            .lines
            .iter()
            .filter(|l| l.returned.as_ref().and_then(|r| r.original_line) == Some(original.number))
            .fold(original.returned, |sum, l| sum.plus(l.quantity));
        if before.plus(quantity) > original.sold {
            let left =
                Quantity::from_thousandths(original.sold.thousandths().saturating_sub(before.thousandths()));
            return Err(CartError::AboveSold { line: line_id.to_owned(), left: left.unwrap_or_default() });
        }
        let charged = self.charge_returned(&original, before, quantity);
        let line = NewLine {
            sku: original.sku,
            name: original.name,
            category: original.category,
            quantity,
            unit: original.unit,
            stocked: original.stocked,
            unit_price: original.unit_price,
            price_overridden: false,
            notes: None,
            terms: LineTerms::default(),
        };
        let original_line = Some(original.number);
        let number =
            self.push_line(line, Some(ReturnLine { disposition, original_line, returned_before: before }))?;
        if let Some(charged) = charged {
            self.charges.lines.insert(number, charged);
        }
        if let Some(sold) = original_line {
            self.kits.bring_back(number, sold);
            self.lots.bring_back(number, sold);
        }
        self.round_refunds_anew()?;
        Ok(number)
    }

    /// Adds a line to a blind return.
    ///
    /// # Errors
    /// [`CartError::NeedsOriginalLine`] where the sale is known, [`CartError::WrongState`].
    pub fn return_blind_line(&mut self, line: NewLine, disposition: Disposition) -> Result<u32, CartError> {
        self.require(CartKind::Return)?;
        self.require_open()?;
        if self.return_of.as_ref().is_some_and(|r| r.original.is_some()) {
            return Err(CartError::NeedsOriginalLine);
        }
        let returned = ReturnLine { disposition, original_line: None, returned_before: Quantity::default() };
        let number = self.push_line(line, Some(returned))?;
        self.round_refunds_anew()?;
        Ok(number)
    }
}

impl OriginalSale {
    /// The line called `line_id`.
    ///
    /// # Errors
    /// [`CartError::UnknownLine`].
    pub fn line(&self, line_id: &str) -> Result<&OriginalLine, CartError> {
        line_id
            .strip_prefix("l-")
            .and_then(|n| n.parse::<u32>().ok())
            .and_then(|number| self.lines.iter().find(|l| l.number == number))
            .ok_or_else(|| CartError::UnknownLine(line_id.to_owned()))
    }
}
