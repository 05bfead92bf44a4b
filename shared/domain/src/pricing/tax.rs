//! Tax: which rates a line bears, and how much that is.
//!
//! Tax is on what is left after every discount. **Exclusive**, it comes on top: amount × rate.
//! **Inclusive**, it is contained in what is left: amount × R ÷ (1 + R), with R the sum of all rates of
//! the line, shared among the rates in proportion.
//!
//! What is rounded together is rounded once, half away from zero, and then dealt out so that lines sum to
//! it. Per line that is each line (exclusive: and rate) for itself. Per order, exclusive, it is each rule
//! over all lines that bear it: BR-CO-17 of EN 16931. Per order, inclusive, it is all lines that bear the
//! same set of rules, since what is contained depends on all rates together; of several such sets a rule
//! has the sum. What is contained is rounded once already, so base × rate, rounded again as BR-CO-17 asks
//! for, may differ from it by a unit.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::basket::Basket;
use super::conditions::{check_names, check_places, check_validity, is_one_of, is_valid_at};
use super::error::{PricingError, RuleError};
use super::priced::{Exemption, LineTax};
use super::promotion::check_text;
use super::remaining::RemainingLine;
use super::selection::{LineIndex, Selector};
use crate::apportion::apportion;
use crate::identifier::check_id;
use crate::money::{AMOUNT_MAX, divide_rounding};

/// Most tax rules that one basket is priced with.
pub const TAX_RULES_MAX: usize = 200;
/// Most tax rules that one line bears (state, county, city, district …). Of more those with the highest rates.
pub const TAXES_PER_LINE_MAX: usize = 10;
/// Largest rate, in basis points: ten times the amount.
pub const RATE_MAX: u32 = 100_000;

/// Whether prices contain tax.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TaxMode {
    /// Prices contain it, as European consumers see them.
    Inclusive,
    /// It comes on top, as in North America and between businesses.
    Exclusive,
}

/// What is rounded to the minor unit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TaxRounding {
    /// The tax of each line.
    PerLine,
    /// The tax of the whole order, by rule.
    PerOrder,
}

/// A tax.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TaxRule {
    /// Its id, unique in the tenant. A rate that changes on a day is two rules, one after the other.
    pub id: String,
    /// Counts its changes.
    pub version: u64,
    /// What it is called on a receipt.
    pub name: String,
    /// Basis points of what it is on. A rate of zero is told with the line, as zero-rated is not exempt.
    pub rate_bps: u32,
    /// First instant it is valid.
    #[serde(default)]
    pub valid_from: Option<Timestamp>,
    /// First instant it is no longer valid.
    #[serde(default)]
    pub valid_to: Option<Timestamp>,
    /// Tax categories that bear it, together with what `target` chooses; everything where neither says
    /// anything.
    #[serde(default)]
    pub tax_categories: BTreeSet<String>,
    /// Products that bear it.
    #[serde(default)]
    pub target: Selector,
    /// Stores at which it is due; all where empty.
    #[serde(default)]
    pub stores: BTreeSet<String>,
    /// Regions in which it is due; all where empty.
    #[serde(default)]
    pub regions: BTreeSet<String>,
    /// Channels on which it is due; all where empty.
    #[serde(default)]
    pub channels: BTreeSet<String>,
}

impl TaxRule {
    /// Checks every bound and contradiction, as it is taken in.
    ///
    /// # Errors
    /// [`RuleError`] naming the first that is wrong.
    pub fn check(&self) -> Result<(), RuleError> {
        check_id(&self.id)?;
        check_text("a name", &self.name)?;
        self.check_rate()?;
        check_validity(self.valid_from, self.valid_to)?;
        check_names("a tax category", &self.tax_categories)?;
        self.target.check()?;
        check_places(&self.stores, &self.channels)?;
        check_names("a region", &self.regions)
    }

    pub(super) fn check_rate(&self) -> Result<(), RuleError> {
        if self.rate_bps <= RATE_MAX { Ok(()) } else { Err(RuleError::Rate) }
    }

    fn is_due(&self, basket: &Basket) -> bool {
        is_valid_at(self.valid_from, self.valid_to, basket.at)
            && is_one_of(&self.stores, Some(&basket.store_id))
            && is_one_of(&self.regions, basket.region.as_deref())
            && is_one_of(&self.channels, Some(&basket.channel))
    }

    fn on(&self, base: i64) -> Result<i64, PricingError> {
        let tax = divide_rounding(i128::from(base) * i128::from(self.rate_bps), 10_000);
        i64::try_from(tax).ok().filter(|tax| *tax <= AMOUNT_MAX).ok_or(PricingError::OutOfRange)
    }
}

/// What tax does to one line.
#[derive(Debug, Clone, Default)]
pub(super) struct LineTaxes {
    /// Each tax on it, by the order of ids.
    pub taxes: Vec<LineTax>,
    /// Why it bears none.
    pub exemption: Option<Exemption>,
    /// Tax on its net.
    pub tax: i64,
    /// Tax that would be contained in its discounts; none where tax comes on top.
    pub tax_in_discount: i64,
}

/// A tax that a line bears.
struct Borne<'r> {
    /// Position of the rule among those that are due, by id.
    number: usize,
    rule: &'r TaxRule,
    amount: i64,
}

/// A line with the taxes it bears.
struct Bearing<'r> {
    gross: i64,
    net: i64,
    taxes: Vec<Borne<'r>>,
    tax_in_discount: i64,
}

impl Bearing<'_> {
    /// Keeps [`TAXES_PER_LINE_MAX`] taxes, those of the highest rates, of equal ones the first by id. Rules that
    /// are each well formed may meet on a line, which nobody can know where they are taken in; the shop is to
    /// sell all the same, and to lose as little tax as may be.
    fn bear_no_more(&mut self) {
        if self.taxes.len() > TAXES_PER_LINE_MAX {
            self.taxes.sort_by_key(|tax| (std::cmp::Reverse(tax.rule.rate_bps), tax.number));
            self.taxes.truncate(TAXES_PER_LINE_MAX);
            self.taxes.sort_by_key(|tax| tax.number);
        }
    }
}

/// The taxes of each line, in the order of `lines`.
///
/// # Errors
/// [`PricingError::OutOfRange`].
pub(super) fn tax_lines(
    basket: &Basket,
    rules: &[TaxRule],
    (mode, rounding): (TaxMode, TaxRounding),
    index: &LineIndex,
    lines: &[RemainingLine],
) -> Result<Vec<LineTaxes>, PricingError> {
    let exemptions: Vec<Option<Exemption>> = lines.iter().map(|line| exemption(basket, line)).collect();
    let mut due: Vec<&TaxRule> = rules.iter().filter(|rule| rule.is_due(basket)).collect();
    due.sort_by(|a, b| a.id.cmp(&b.id));
    let mut bearing: Vec<Bearing> = lines
        .iter()
        .map(|line| Bearing { gross: line.gross, net: line.left, taxes: Vec::new(), tax_in_discount: 0 })
        .collect();
    for (number, rule) in due.into_iter().enumerate() {
        let chosen = index.taxed(&rule.target, &rule.tax_categories);
        for ((line, chosen), exemption) in bearing.iter_mut().zip(chosen).zip(&exemptions) {
            if chosen && exemption.is_none() {
                line.taxes.push(Borne { number, rule, amount: 0 });
            }
        }
    }
    bearing.iter_mut().for_each(Bearing::bear_no_more);
    match (mode, rounding) {
        (TaxMode::Exclusive, TaxRounding::PerLine) => {
            for line in &mut bearing {
                for tax in &mut line.taxes {
                    tax.amount = tax.rule.on(line.net)?;
                }
            }
        }
        (TaxMode::Exclusive, TaxRounding::PerOrder) => add_per_order(&mut bearing)?,
        (TaxMode::Inclusive, TaxRounding::PerLine) => {
            bearing.iter_mut().for_each(|line| contain(&mut [line]));
        }
        (TaxMode::Inclusive, TaxRounding::PerOrder) => {
            let mut sets: BTreeMap<Vec<usize>, Vec<&mut Bearing>> = BTreeMap::new();
            for line in &mut bearing {
                let set = line.taxes.iter().map(|tax| tax.number).collect();
                sets.entry(set).or_default().push(line);
            }
            sets.values_mut().for_each(|lines| contain(lines));
        }
    }
    Ok(bearing.into_iter().zip(exemptions).map(|(line, exemption)| line.told(mode, exemption)).collect())
}

fn exemption(basket: &Basket, line: &RemainingLine) -> Option<Exemption> {
    if line.line.tax_exempt {
        Some(Exemption::Product)
    } else if basket.customer.tax_exempt {
        Some(Exemption::Customer)
    } else {
        None
    }
}

/// Tax on top, each rule rounded once over all lines that bear it.
fn add_per_order(bearing: &mut [Bearing]) -> Result<(), PricingError> {
    let mut by_rule: BTreeMap<usize, Vec<(i64, &mut Borne)>> = BTreeMap::new();
    for line in bearing {
        for tax in &mut line.taxes {
            by_rule.entry(tax.number).or_default().push((line.net, tax));
        }
    }
    for lines in by_rule.values_mut() {
        let weights: Vec<i64> = lines.iter().map(|(net, _)| *net).collect();
        let Some((_, tax)) = lines.first() else { continue };
        let shares = apportion(tax.rule.on(weights.iter().sum())?, &weights);
        lines.iter_mut().zip(shares).for_each(|((_, tax), share)| tax.amount = share);
    }
    Ok(())
}

/// Tax contained in lines that bear the same rules, rounded once.
///
/// The tax in what was taken off is what the gross amounts would have contained more; it is dealt out by
/// what was taken off, so that a line without a discount has none without tax either.
fn contain(lines: &mut [&mut Bearing]) {
    let rates: Vec<i64> = lines
        .first()
        .map(|line| line.taxes.iter().map(|tax| i64::from(tax.rule.rate_bps)).collect())
        .unwrap_or_default();
    let rate: i64 = rates.iter().sum();
    let contained = |amount: i64| {
        let tax = divide_rounding(i128::from(amount) * i128::from(rate), 10_000 + i128::from(rate));
        // It is contained in the amount, so it fits.
        i64::try_from(tax).unwrap_or(0)
    };
    let nets: Vec<i64> = lines.iter().map(|line| line.net).collect();
    let off: Vec<i64> = lines.iter().map(|line| line.gross - line.net).collect();
    let tax = contained(nets.iter().sum());
    let tax_in_gross = contained(lines.iter().map(|line| line.gross).sum());
    let by_line = apportion(tax, &nets);
    let in_discounts = apportion(tax_in_gross - tax, &off);
    let amounts = deal_out(&by_line, &apportion(tax, &rates), &rates);
    for ((line, amounts), tax_in_discount) in lines.iter_mut().zip(amounts).zip(in_discounts) {
        line.taxes.iter_mut().zip(amounts).for_each(|(tax, amount)| tax.amount = amount);
        line.tax_in_discount = tax_in_discount;
    }
}

/// Deals amounts out to lines and rates at once: each line gets its sum and each rate its own. Each starts
/// with its exact share rounded down; what is missing in a line goes to the rates that miss most.
fn deal_out(by_line: &[i64], by_rate: &[i64], rates: &[i64]) -> Vec<Vec<i64>> {
    let rate: i128 = rates.iter().map(|rate| i128::from(*rate)).sum();
    if rate == 0 {
        return by_line.iter().map(|_| vec![0; rates.len()]).collect();
    }
    // Never more than the amount itself.
    let down = |amount: i64, of: i64| i64::try_from(i128::from(amount) * i128::from(of) / rate).unwrap_or(0);
    let mut dealt: Vec<Vec<i64>> =
        by_line.iter().map(|amount| rates.iter().map(|of| down(*amount, *of)).collect()).collect();
    let mut missing: Vec<i64> = by_rate.to_vec();
    for line in &dealt {
        missing.iter_mut().zip(line).for_each(|(missing, amount)| *missing -= amount);
    }
    for (line, amount) in dealt.iter_mut().zip(by_line) {
        // Fewer than there are rates.
        for _ in line.iter().sum::<i64>()..*amount {
            let cells = missing.iter_mut().zip(line.iter_mut());
            if let Some((missing, cell)) = cells.rev().max_by_key(|(missing, _)| **missing) {
                *missing -= 1;
                *cell += 1;
            }
        }
    }
    dealt
}

impl Bearing<'_> {
    fn told(self, mode: TaxMode, exemption: Option<Exemption>) -> LineTaxes {
        let tax = self.taxes.iter().map(|tax| tax.amount).sum();
        let included = mode == TaxMode::Inclusive;
        let base = if included { self.net - tax } else { self.net };
        let taxes = self.taxes.into_iter().map(|Borne { rule, amount, .. }| LineTax {
            id: rule.id.clone(),
            version: rule.version,
            name: rule.name.clone(),
            rate_bps: rule.rate_bps,
            base,
            amount,
            included,
        });
        LineTaxes { taxes: taxes.collect(), exemption, tax, tax_in_discount: self.tax_in_discount }
    }
}
