//! A store's hour: totals and six ways to group them.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::NO_TENDER;
use super::fact::SaleFact;
use super::folded::Folded;
use super::metrics::Metrics;
use crate::apportion::apportion;
use crate::money::Currency;

/// Metrics by the name of a register, an employee, ….
pub type Groups = BTreeMap<String, Metrics>;

/// A way to group an hour.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Dimension {
    /// Register, or virtual lane.
    Register,
    /// Employee.
    Employee,
    /// Product category as of the sale.
    Category,
    /// Tender.
    PaymentMethod,
    /// Channel.
    Channel,
    /// Customer segment as of the sale.
    Segment,
}

/// Totals and groups, in one currency.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Figures {
    /// All of it.
    pub total: Metrics,
    register: Groups,
    employee: Groups,
    category: Groups,
    payment_method: Groups,
    channel: Groups,
    segment: Groups,
}

impl Figures {
    /// The groups of a dimension.
    pub fn groups(&self, dimension: Dimension) -> &Groups {
        match dimension {
            Dimension::Register => &self.register,
            Dimension::Employee => &self.employee,
            Dimension::Category => &self.category,
            Dimension::PaymentMethod => &self.payment_method,
            Dimension::Channel => &self.channel,
            Dimension::Segment => &self.segment,
        }
    }

    fn fold(&mut self, fact: &SaleFact) {
        let mut order = fact.count();
        let mut categories = BTreeMap::<&str, Metrics>::new();
        for line in &fact.lines {
            let metrics = fact.line_metrics(line);
            order.add(&metrics);
            categories
                .entry(line.category.as_deref().unwrap_or_default())
                .or_insert_with(|| fact.count())
                .add(&metrics);
        }
        for payment in &fact.payments {
            order.tips = order.tips.saturating_add(fact.tip(payment));
        }
        self.total.add(&order);
        add_to(&mut self.register, &fact.register_id, &order);
        add_to(&mut self.employee, &fact.employee_id, &order);
        add_to(&mut self.channel, &fact.channel, &order);
        add_to(&mut self.segment, fact.segment.as_deref().unwrap_or_default(), &order);
        for (category, metrics) in &categories {
            add_to(&mut self.category, category, metrics);
        }
        fold_tenders(&mut self.payment_method, fact, &order);
    }
}

/// Shares an order out to the tenders that paid it.
fn fold_tenders(into: &mut Groups, fact: &SaleFact, order: &Metrics) {
    // Tender → amount and tip, in the order of their names, so that the odd penny goes the same way
    // whatever the order of payments.
    let mut tenders = BTreeMap::<&str, (i64, i64)>::new();
    for payment in fact.payments.iter().filter(|p| p.amount > 0) {
        let (amount, tip) = tenders.entry(&payment.tender).or_default();
        *amount = amount.saturating_add(payment.amount);
        *tip = tip.saturating_add(fact.tip(payment));
    }
    match tenders.first_key_value() {
        None => add_to(into, NO_TENDER, order),
        Some((tender, _)) if tenders.len() == 1 => add_to(into, tender, order),
        Some(_) => {
            let weights: Vec<i64> = tenders.values().map(|(amount, _)| *amount).collect();
            let gross = apportion(order.gross, &weights);
            let discounts = apportion(order.discounts, &weights);
            let returns = apportion(order.returns, &weights);
            let tax = apportion(order.tax, &weights);
            let units = apportion(order.units, &weights);
            let own = tenders.values().fold(0_i64, |sum, (_, tip)| sum.saturating_add(*tip));
            let stray = order.tips.saturating_sub(own);
            let shares = gross.into_iter().zip(discounts).zip(returns).zip(tax).zip(units);
            for (at, ((tender, (_, tip)), ((((gross, discounts), returns), tax), units))) in
                tenders.iter().zip(shares).enumerate()
            {
                // A tip on a payment whose whole amount went back as change is no tender's own: it
                // goes to the first, so that tips sum to the order's.
                let tips = if at == 0 { tip.saturating_add(stray) } else { *tip };
                let share = Metrics { gross, discounts, returns, tax, tips, units, ..fact.count() };
                add_to(into, tender, &share);
            }
        }
    }
}

fn add_to(groups: &mut Groups, name: &str, metrics: &Metrics) {
    // Looked up before entering it, so that a name is copied only the first time it is seen.
    match groups.get_mut(name) {
        Some(sum) => sum.add(metrics),
        None => {
            groups.insert(name.to_owned(), *metrics);
        }
    }
}

/// The page of a store's hour.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct HourPage {
    /// The facts in it.
    pub folded: Folded,
    /// The store's offset from UTC at that hour, in seconds: the largest that a fact told, should a
    /// store's zone have been changed within the hour.
    pub offset_seconds: i32,
    /// By currency: a store sells in one, but a change of it must not add pounds to euros.
    pub figures: BTreeMap<Currency, Figures>,
}

impl HourPage {
    /// Folds a fact of this hour; says whether it was new.
    pub fn fold(&mut self, fact: &SaleFact) -> bool {
        if self.folded.contains(&fact.lane, fact.number) {
            return false;
        }
        self.offset_seconds = if self.figures.is_empty() {
            fact.offset_seconds
        } else {
            self.offset_seconds.max(fact.offset_seconds)
        };
        self.folded.insert(&fact.lane, fact.number);
        self.figures.entry(fact.currency).or_default().fold(fact);
        true
    }
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;
    use jiff::civil::date;

    use super::*;
    use crate::aggregates::fact::{FactKind, FactLine, FactPayment};
    use crate::lane::Lane;
    use crate::quantity::Quantity;

    fn fact_of(kind: FactKind) -> SaleFact {
        SaleFact {
            kind,
            lane: Lane::new("s", "r"),
            number: 1,
            business_day: date(2010, 12, 1),
            hour_start: Timestamp::UNIX_EPOCH,
            offset_seconds: 0,
            register_id: "r".into(),
            employee_id: "e".into(),
            channel: "pos".into(),
            segment: None,
            currency: Currency::GBP,
            lines: vec![],
            payments: vec![],
        }
    }

    /// No accepted sale comes near, but a sum of any numbers is a sum.
    #[test]
    fn tips_stay_at_the_limit() {
        let payment = |tender: &str, amount, tip| FactPayment { tender: tender.to_owned(), amount, tip };
        for payments in [
            vec![payment("card", 1, i64::MAX), payment("cash", 1, i64::MAX)],
            vec![payment("card", 1, i64::MIN), payment("cash", 1, i64::MIN), payment("cash", 0, 1)],
            vec![payment("card", 1, 1), payment("cash", 1, 1), payment("card", 0, i64::MAX)],
        ] {
            let mut page = HourPage::default();
            let fact = SaleFact { payments, ..fact_of(FactKind::Return) };
            assert!(page.fold(&fact));
            assert_eq!(page.figures[&Currency::GBP].groups(Dimension::PaymentMethod).len(), 2);
        }
    }

    /// Of 10.00 less 1.00, 0.50 of tax in it: 6.00 by card with a tip, 3.00 in cash, and a voucher that was
    /// given back whole: its tip goes to the first tender.
    #[test]
    fn an_order_is_shared_out_to_its_tenders() {
        let payment = |tender: &str, amount, tip| FactPayment { tender: tender.to_owned(), amount, tip };
        let payments = vec![payment("card", 600, 20), payment("cash", 300, 0), payment("voucher", 0, 5)];
        let line = FactLine {
            sku: "A".into(),
            category: None,
            quantity: Quantity::from_pieces(3).unwrap(),
            gross: 1_000,
            discount: 100,
            tax: 50,
        };
        let mut fact = SaleFact { lines: vec![line], payments, ..fact_of(FactKind::Sale) };
        let of_tenders = |fact: &SaleFact| {
            let mut page = HourPage::default();
            page.fold(fact);
            page.figures[&Currency::GBP].groups(Dimension::PaymentMethod).clone()
        };
        let sale = Metrics { orders: 1, ..Metrics::default() };
        let card = Metrics { gross: 667, discounts: 67, tax: 33, tips: 25, units: 2_000, ..sale };
        let cash = Metrics { gross: 333, discounts: 33, tax: 17, tips: 0, units: 1_000, ..sale };
        assert_eq!(of_tenders(&fact), Groups::from([("card".into(), card), ("cash".into(), cash)]));

        fact.kind = FactKind::Return;
        let back = Metrics { return_orders: 1, ..Metrics::default() };
        let card = Metrics { returns: 600, tax: -33, tips: -25, ..back };
        let cash = Metrics { returns: 300, tax: -17, ..back };
        assert_eq!(of_tenders(&fact), Groups::from([("card".into(), card), ("cash".into(), cash)]));

        fact.kind = FactKind::Sale;
        let whole = Metrics { gross: 1_000, discounts: 100, tax: 50, tips: 25, units: 3_000, ..sale };
        fact.payments.remove(1);
        assert_eq!(of_tenders(&fact), Groups::from([("card".into(), whole)]));
        fact.payments.clear();
        assert_eq!(of_tenders(&fact), Groups::from([(NO_TENDER.into(), Metrics { tips: 0, ..whole })]));
    }
}
