//! Count sheets: what somebody counted of some SKUs, and how far that is from the books.
//!
//! A line remembers what the books said when it was counted, so that what is sold or received between the counting
//! and the closing of the sheet is no variance: closing changes on hand by the variance, whatever it is by then.

use serde::{Deserialize, Serialize};

use crate::lot_book::LOTS_WITH_ASIDE_MAX;
use crate::money::{AMOUNT_MAX, Currency, UnitPrice};
use crate::quantity::{Quantity, Unit};

/// Most lines of a sheet: its item stays well below DynamoDB's 400 KB.
pub const LINES_MAX: usize = 1_000;
/// Most different reasons and names of those who count on one sheet, for the same reason.
pub const TEXTS_MAX: usize = 200;

/// Most lots that are counted of one SKU: all that a stock item may have, and what is of no known lot. Closing corrects
/// them in one transaction.
pub const LOTS_OF_LINE_MAX: usize = LOTS_WITH_ASIDE_MAX + 1;
/// Most lots that are counted on one sheet.
pub const LOTS_MAX: usize = 1_000;

/// What was counted of one lot of a SKU.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CountedLot {
    /// Which; none for what is of no known lot.
    pub lot: Option<String>,
    /// How many.
    pub quantity: Quantity,
    /// For sale of it by the books at that moment, in thousandths.
    pub book: i64,
    /// By how much closing changed it, in thousandths; `None`: not yet.
    pub corrected: Option<i64>,
}

impl CountedLot {
    /// Counted less what the books said when it was counted, in thousandths.
    pub fn variance(&self) -> i64 {
        self.quantity.thousandths().saturating_sub(self.book)
    }
}

/// What was counted of one SKU.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counted {
    /// How many.
    pub quantity: Quantity,
    /// On hand by the books at that moment, in thousandths.
    pub book: i64,
    /// Version of the stock item at that moment; 0 where there was none.
    pub stock_version: i64,
    /// Price of the product at that moment, in the location's currency, if it had one.
    pub unit_price: Option<UnitPrice>,
    /// When, in epoch milliseconds.
    pub at: i64,
    /// Who, among the sheet's texts.
    pub by: u32,
    /// Why it is not what the books say, among the sheet's texts.
    pub reason: Option<u32>,
}

/// One SKU of a sheet.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CountLine {
    /// What.
    pub sku: String,
    /// How it is sold.
    pub unit: Unit,
    /// On hand by the books when the sheet was opened, in thousandths.
    pub opening_book: i64,
    /// What was counted.
    pub counted: Option<Counted>,
    /// By how much closing changed on hand, in thousandths; `None`: not yet, or not at all.
    pub corrected: Option<i64>,
}

impl CountLine {
    /// A line that nobody has counted.
    pub fn uncounted(sku: String, unit: Unit, opening_book: i64) -> Self {
        CountLine { sku, unit, opening_book, counted: None, corrected: None }
    }

    /// Counted less what the books said when it was counted, in thousandths; `None` where nobody has counted it.
    pub fn variance(&self) -> Option<i64> {
        self.counted.as_ref().map(|counted| counted.quantity.thousandths().saturating_sub(counted.book))
    }
}

/// How far a sheet is from the books.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct SheetVariance {
    /// Lines that are not as the books say.
    pub lines: usize,
    /// What they are off by, surplus and shortage added up, in minor units.
    pub value: i64,
    /// Lines among them of no known price.
    pub unpriced: usize,
}

/// How far the counted lines are from the books, each at its price when it was counted.
pub fn variance_of(lines: &[CountLine], currency: Currency) -> SheetVariance {
    let mut sum = SheetVariance::default();
    for line in lines {
        let variance = line.variance().unwrap_or(0);
        if variance == 0 {
            continue;
        }
        sum.lines += 1;
        match line.counted.as_ref().and_then(|counted| counted.unit_price) {
            Some(price) => {
                let off = Quantity::of_counter(variance.saturating_abs());
                let value = price.times(off, currency).unwrap_or(AMOUNT_MAX);
                sum.value = sum.value.saturating_add(value).min(AMOUNT_MAX);
            }
            None => sum.unpriced += 1,
        }
    }
    sum
}

/// By how much on hand, which is so many now, changes for a variance: not to below zero. Where more was sold since
/// the counting than was counted, the count cannot have been right, and nothing is what is known to be left.
pub fn correction(variance: i64, on_hand: i64) -> i64 {
    variance.max(on_hand.max(0).saturating_neg())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(counted: i64, book: i64, price: Option<&str>) -> CountLine {
        let counted = Counted {
            quantity: Quantity::of_counter(counted),
            book,
            stock_version: 7,
            unit_price: price.map(|price| price.parse().unwrap()),
            at: 0,
            by: 0,
            reason: None,
        };
        CountLine { counted: Some(counted), ..CountLine::uncounted("A".to_owned(), Unit::Piece, 99_000) }
    }

    #[test]
    fn surplus_and_shortage_add_up_at_each_price() {
        let lines = [
            line(8_000, 10_000, Some("2.50")),
            line(11_000, 10_000, Some("0.999")),
            line(10_000, 10_000, None),
            CountLine::uncounted("B".to_owned(), Unit::Piece, 5_000),
            line(0, 482, None),
        ];
        let variances: Vec<_> = lines.iter().map(CountLine::variance).collect();
        assert_eq!(variances, [Some(-2_000), Some(1_000), Some(0), None, Some(-482)]);
        let sum = variance_of(&lines, Currency::GBP);
        assert_eq!(sum, SheetVariance { lines: 3, value: 600, unpriced: 1 });
        assert_eq!(variance_of(&[], Currency::GBP), SheetVariance::default());
    }

    #[test]
    fn a_value_beyond_all_bounds_stays_one() {
        let lines = vec![line(1_000_000_000, 0, Some("999999")); 3];
        assert_eq!(variance_of(&lines, Currency::GBP).value, AMOUNT_MAX);
    }

    #[test]
    fn a_correction_leaves_no_less_than_nothing() {
        assert_eq!(correction(-3_000, 10_000), -3_000);
        assert_eq!(correction(-3_000, 3_000), -3_000);
        assert_eq!(correction(-3_000, 2_000), -2_000);
        assert_eq!(correction(-3_000, 0), 0);
        assert_eq!(correction(4_000, 0), 4_000);
        assert_eq!(correction(0, 5_000), 0);
    }
}
