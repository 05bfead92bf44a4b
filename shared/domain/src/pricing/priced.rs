//! What a basket comes to, and why.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::error::PricingError;
use super::explanation::{Explanation, Outcome, Source};
use super::remaining::RemainingLine;
use super::tax::{LineTaxes, TaxMode};
use crate::money::{AMOUNT_MAX, Currency, UnitPrice};

/// Something taken off a line.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Adjustment {
    /// Who took it off.
    pub source: Source,
    /// What that is called.
    pub name: String,
    /// Minor units off, above zero.
    pub amount: i64,
    /// How many times the benefit was given in the whole order: the same on each line of it, so not to be
    /// summed.
    pub uses: u32,
}

/// A tax on a line, or on an order.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LineTax {
    /// Id of the rule.
    pub id: String,
    /// Version of the rule.
    pub version: u64,
    /// What it is called.
    pub name: String,
    /// Its rate, in basis points.
    pub rate_bps: u32,
    /// What it is on: the net, without any tax.
    pub base: i64,
    /// How much it is.
    pub amount: i64,
    /// Whether prices contain it; else it comes on top.
    pub included: bool,
}

/// Why something bears no tax. In inclusive mode its price stays what it is, and contains none.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Exemption {
    /// The product is exempt.
    Product,
    /// The customer is exempt, and the product is not.
    Customer,
}

/// Amounts of a line or of an order, in minor units, none negative.
///
/// As the customer sees them, `gross − discount_shown = net`: with tax in inclusive mode, without in
/// exclusive mode. Without tax in either mode, for reports, `subtotal − discount + tax = total`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Amounts {
    /// Prices × quantities.
    pub gross: i64,
    /// What was taken off.
    pub discount_shown: i64,
    /// What is left.
    pub net: i64,
    /// Gross without tax.
    pub subtotal: i64,
    /// What was taken off, without tax.
    pub discount: i64,
    /// Tax on what is left.
    pub tax: i64,
    /// What is to be paid.
    pub total: i64,
}

impl Amounts {
    fn of(line: &RemainingLine, taxes: &LineTaxes, mode: TaxMode) -> Self {
        let (gross, net, tax) = (line.gross, line.left, taxes.tax);
        let shown = gross - net;
        match mode {
            TaxMode::Exclusive => Amounts {
                gross,
                discount_shown: shown,
                net,
                subtotal: gross,
                discount: shown,
                tax,
                total: net + tax,
            },
            TaxMode::Inclusive => Amounts {
                gross,
                discount_shown: shown,
                net,
                subtotal: gross - tax - taxes.tax_in_discount,
                discount: shown - taxes.tax_in_discount,
                tax,
                total: net,
            },
        }
    }

    fn add(&mut self, other: &Amounts) {
        self.gross += other.gross;
        self.discount_shown += other.discount_shown;
        self.net += other.net;
        self.subtotal += other.subtotal;
        self.discount += other.discount;
        self.tax += other.tax;
        self.total += other.total;
    }
}

/// A line with what it comes to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PricedLine {
    /// Its number in the basket.
    pub number: u32,
    /// Price per unit, with modifiers.
    pub unit_price: UnitPrice,
    /// What was taken off, in the order in which it was.
    pub adjustments: Vec<Adjustment>,
    /// Taxes on it, by id.
    pub taxes: Vec<LineTax>,
    /// Why it bears no tax, where it is exempt.
    pub exemption: Option<Exemption>,
    /// What it comes to.
    pub amounts: Amounts,
}

/// A line that a manual discount falls on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TouchedLine {
    /// Its number in the basket.
    pub number: u32,
    /// What was left to pay of it when the discount's turn came, in minor units: after promotions and the discounts
    /// before it.
    pub left: i64,
}

/// Of each manual discount that takes something off, by its number: the lines that it falls on. Those that may be
/// discounted, that no exclusive promotion keeps, and of which something was left to pay when its turn came; also where
/// none of it is left for one of them when it is rounded.
pub type FallsOn = BTreeMap<u32, Vec<TouchedLine>>;

/// What the manual discount `number` is taken of, in minor units: what was left to pay of the lines that it falls on when
/// its turn came. Nothing where it takes nothing off.
pub fn taken_of(falls_on: &FallsOn, number: u32) -> i64 {
    falls_on.get(&number).into_iter().flatten().map(|line| line.left).sum()
}

/// A basket with what it comes to, and why.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Priced {
    /// Currency of every amount in it.
    pub currency: Currency,
    /// Lines, in the order of the basket.
    pub lines: Vec<PricedLine>,
    /// Sums of the lines.
    pub amounts: Amounts,
    /// Sums of the taxes of the lines, by id.
    pub taxes: Vec<LineTax>,
    /// Uses of the promotions that applied, by id.
    pub promotion_uses: BTreeMap<String, u32>,
    /// All that was considered, in the order in which it was decided.
    pub explanations: Vec<Explanation>,
    /// On which lines manual discounts fall.
    #[serde(default)]
    pub falls_on: FallsOn,
}

impl Priced {
    /// Puts together what the steps found out. `lines` and `taxes` are in the canonical order.
    ///
    /// # Errors
    /// [`PricingError::OutOfRange`].
    pub(super) fn put_together(
        currency: Currency,
        mode: TaxMode,
        lines: Vec<RemainingLine>,
        taxes: Vec<LineTaxes>,
        (explanations, falls_on): (Vec<Explanation>, FallsOn),
    ) -> Result<Self, PricingError> {
        let mut by_position = Vec::with_capacity(lines.len());
        let mut amounts = Amounts::default();
        let mut by_tax: BTreeMap<String, LineTax> = BTreeMap::new();
        for (line, line_taxes) in lines.into_iter().zip(taxes) {
            let line_amounts = Amounts::of(&line, &line_taxes, mode);
            amounts.add(&line_amounts);
            for tax in &line_taxes.taxes {
                match by_tax.get_mut(&tax.id) {
                    Some(sum) => {
                        sum.base += tax.base;
                        sum.amount += tax.amount;
                    }
                    None => {
                        by_tax.insert(tax.id.clone(), tax.clone());
                    }
                }
            }
            let priced = PricedLine {
                number: line.line.number,
                unit_price: line.unit_price,
                adjustments: line.adjustments,
                taxes: line_taxes.taxes,
                exemption: line_taxes.exemption,
                amounts: line_amounts,
            };
            by_position.push((line.position, priced));
        }
        // The total may leave the range by tax on top, and nothing else is larger.
        if amounts.total > AMOUNT_MAX {
            return Err(PricingError::OutOfRange);
        }
        by_position.sort_unstable_by_key(|(position, _)| *position);
        let mut promotion_uses = BTreeMap::new();
        for explanation in &explanations {
            if let (Source::Promotion { id, .. }, Outcome::Applied { uses, .. }) =
                (&explanation.source, &explanation.outcome)
            {
                promotion_uses.insert(id.clone(), *uses);
            }
        }
        Ok(Priced {
            currency,
            lines: by_position.into_iter().map(|(_, line)| line).collect(),
            amounts,
            taxes: by_tax.into_values().collect(),
            promotion_uses,
            explanations,
            falls_on,
        })
    }
}
