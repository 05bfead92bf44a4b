//! What lines of promotions, tax rules, coupons, customers and categories say, checked in full.

use std::collections::BTreeSet;

use jiff::civil::Time;
use tillstream_contracts::price_rules::{
    BenefitData, BundleComponentData, CategoryData, ConditionsData, ContainsData, CouponBenefitData,
    CouponData, CustomerData, LimitsData, PoolData, PromotionData, RewardData, TargetData, TaxRuleData,
    TimeOfDayData,
};
use tillstream_domain::category::Category;
use tillstream_domain::coupon::CouponDefinition;
use tillstream_domain::customer::Customer;
use tillstream_domain::money::{Currency, Money};
use tillstream_domain::pricing::{
    Benefit, BundleComponent, Conditions, Contains, Coupon, CouponBenefit, Limits, Pool, Promotion, Reward,
    RuleError, Selector, TaxRule, TimeOfDay,
};
use tillstream_domain::quantity::{Quantity, QuantityInput, Unit};

use super::line::{BadLine, Line, check_same_id};

/// The currency of all money in a rule: there is one, or none where there is no money.
#[derive(Default)]
struct OneCurrency {
    currency: Option<Currency>,
    mixed: bool,
}

impl OneCurrency {
    fn is(&mut self, currency: Currency) {
        self.mixed |= self.currency.is_some_and(|known| known != currency);
        self.currency = Some(currency);
    }

    fn of(&mut self, money: Money) -> i64 {
        self.is(money.currency);
        money.amount
    }

    fn one(self) -> Result<Option<Currency>, BadLine> {
        if self.mixed {
            let message = "data: all money of one rule is of one currency; make a rule per currency";
            return Err(BadLine::new("currency_mixed", message));
        }
        Ok(self.currency)
    }
}

fn rule_error(error: &RuleError) -> BadLine {
    BadLine::new(error.code(), format!("data: {error}"))
}

fn set(list: Vec<String>) -> BTreeSet<String> {
    list.into_iter().collect()
}

fn selector(target: TargetData) -> Selector {
    Selector {
        skus: set(target.skus),
        categories: set(target.categories),
        excluded_skus: set(target.excluded_skus),
    }
}

fn reward(reward: &RewardData, money: &mut OneCurrency) -> Reward {
    match *reward {
        RewardData::Percentage { bps } => Reward::Percentage { bps },
        RewardData::FixedAmount { amount } => Reward::FixedAmount { amount: money.of(amount) },
    }
}

fn benefit(benefit: BenefitData, money: &mut OneCurrency) -> Benefit {
    match benefit {
        BenefitData::Percentage { bps } => Benefit::Percentage { bps },
        BenefitData::FixedAmount { amount, per } => Benefit::FixedAmount { amount: money.of(amount), per },
        BenefitData::BuyGet { buy, get, bps } => Benefit::BuyGet { buy, get, bps },
        BenefitData::PriceOverride { unit_price, currency } => {
            money.is(currency);
            Benefit::PriceOverride { unit_price }
        }
        BenefitData::Bundle { components, price } => {
            let component = |part: BundleComponentData| BundleComponent {
                selector: selector(part.target),
                quantity: part.quantity,
            };
            let components = components.into_iter().map(component).collect();
            Benefit::Bundle { components, price: money.of(price) }
        }
        BenefitData::SpendThreshold { minimum, reward: given } => {
            Benefit::SpendThreshold { minimum: money.of(minimum), reward: reward(&given, money) }
        }
        BenefitData::BuyGetOther { buy, get, bps } => {
            let pool = |data: PoolData| Pool { selector: selector(data.target), quantity: data.quantity };
            Benefit::BuyGetOther { buy: pool(buy), get: pool(get), bps }
        }
    }
}

/// A local time of the form `17:30`.
fn minute(field: &str, text: &str) -> Result<Time, BadLine> {
    let read = || {
        let (hour, minute) = text.split_once(':')?;
        let two_digits = |part: &str| part.len() == 2 && part.bytes().all(|b| b.is_ascii_digit());
        if !two_digits(hour) || !two_digits(minute) {
            return None;
        }
        Time::new(hour.parse().ok()?, minute.parse().ok()?, 0, 0).ok()
    };
    read().ok_or_else(|| {
        let message =
            format!("data.conditions.time_of_day.{field}: a local time is written \"00:00\" to \"23:59\"");
        BadLine::new("time_of_day_malformed", message)
    })
}

fn time_of_day(data: &TimeOfDayData) -> Result<TimeOfDay, BadLine> {
    Ok(TimeOfDay { from: minute("from", &data.from)?, to: minute("to", &data.to)? })
}

/// A quantity of whatever is in the basket: whole or with decimals.
fn quantity(field: &str, input: &QuantityInput) -> Result<Quantity, BadLine> {
    let unit = match input {
        QuantityInput::Whole(_) => Unit::Piece,
        QuantityInput::Decimal(_) => Unit::Kg,
    };
    input
        .resolve(unit)
        .map_err(|error| BadLine::new("quantity_invalid", format!("data.conditions.{field}: {error}")))
}

fn conditions(data: ConditionsData, money: &mut OneCurrency) -> Result<Conditions, BadLine> {
    Ok(Conditions {
        valid_from: data.valid_from,
        valid_to: data.valid_to,
        days: data.days.into_iter().collect(),
        time_of_day: data.time_of_day.as_ref().map(time_of_day).transpose()?,
        segments: set(data.segments),
        stores: set(data.stores),
        channels: set(data.channels),
        minimum_subtotal: data.minimum_subtotal.map(|least| money.of(least)),
        minimum_quantity: data
            .minimum_quantity
            .as_ref()
            .map(|least| quantity("minimum_quantity", least))
            .transpose()?,
        contains: data.contains.map(contains).transpose()?,
    })
}

fn contains(data: ContainsData) -> Result<Contains, BadLine> {
    let one = QuantityInput::Whole(1);
    let quantity = quantity("contains.quantity", data.quantity.as_ref().unwrap_or(&one))?;
    Ok(Contains { of: selector(data.target), quantity })
}

fn limits(data: LimitsData) -> Limits {
    let LimitsData { per_order, per_customer, total } = data;
    Limits { per_order, per_customer, total, ..Limits::default() }
}

/// The promotion that a line tells of. Its version is set when it is written.
pub(super) fn promotion_of(line: &Line) -> Result<Promotion, BadLine> {
    let data: PromotionData = line.data(None)?;
    check_same_id("id", data.id.as_deref(), line)?;
    let mut money = OneCurrency::default();
    let promotion = Promotion {
        id: line.id.clone(),
        version: 0,
        name: data.name,
        priority: data.priority,
        automatic: data.automatic,
        benefit: benefit(data.benefit, &mut money),
        target: selector(data.target),
        conditions: conditions(data.conditions, &mut money)?,
        limits: limits(data.limits),
        stacking: data.stacking,
        group: data.group,
        currency: money.one()?,
    };
    promotion.check().map_err(|error| rule_error(&error))?;
    Ok(promotion)
}

/// The tax rule that a line tells of. Its version is set when it is written.
pub(super) fn tax_rule_of(line: &Line) -> Result<TaxRule, BadLine> {
    let data: TaxRuleData = line.data(None)?;
    check_same_id("id", data.id.as_deref(), line)?;
    let rule = TaxRule {
        id: line.id.clone(),
        version: 0,
        name: data.name,
        rate_bps: data.rate_bps,
        valid_from: data.valid_from,
        valid_to: data.valid_to,
        tax_categories: set(data.tax_categories),
        target: selector(data.target),
        stores: set(data.stores),
        regions: set(data.regions),
        channels: set(data.channels),
    };
    rule.check().map_err(|error| rule_error(&error))?;
    Ok(rule)
}

/// The coupon that a line tells of. Its version is set when it is written.
pub(super) fn coupon_of_line(line: &Line) -> Result<CouponDefinition, BadLine> {
    let data: CouponData = line.data(None)?;
    check_same_id("code", data.code.as_deref(), line)?;
    let mut money = OneCurrency::default();
    let benefit = match data.benefit {
        CouponBenefitData::Percentage { bps } => CouponBenefit::Percentage { bps },
        CouponBenefitData::FixedAmount { amount } => CouponBenefit::FixedAmount { amount: money.of(amount) },
        CouponBenefitData::Promotion { promotion_id } => CouponBenefit::Promotion { promotion_id },
    };
    let definition = CouponDefinition {
        coupon: Coupon {
            code: line.id.clone(),
            benefit,
            minimum_spend: data.minimum_spend.map(|least| money.of(least)),
            valid_from: data.valid_from,
            valid_to: data.valid_to,
            target: selector(data.target),
            currency: money.one()?,
        },
        total_limit: data.total_limit,
        per_customer_limit: data.per_customer_limit,
        version: 0,
    };
    definition.check().map_err(|error| rule_error(&error))?;
    Ok(definition)
}

/// The customer that a line tells of. The version is set when it is written.
pub(super) fn customer_of_line(line: &Line) -> Result<Customer, BadLine> {
    let data: CustomerData = line.data(None)?;
    check_same_id("id", data.id.as_deref(), line)?;
    let customer = Customer {
        id: line.id.clone(),
        segments: data.segments,
        tax_exempt: data.tax_exempt,
        name: data.name,
        version: 0,
    };
    customer.check().map_err(|error| BadLine::new(error.code(), format!("data: {error}")))?;
    Ok(customer)
}

/// The category that a line tells of. Its version is set when it is written.
pub(super) fn category_of(line: &Line) -> Result<Category, BadLine> {
    let data: CategoryData = line.data(None)?;
    check_same_id("id", data.id.as_deref(), line)?;
    let category = Category { id: line.id.clone(), parent: data.parent, name: data.name, version: 0 };
    category.check().map_err(|error| BadLine::new(error.code(), format!("data.{error}")))?;
    Ok(category)
}
