//! What a tenant sells by beside its prices, as HQ sends it before the doors open: taxes, promotions, coupons and
//! customers, which stay for the day; and the settings of the morning, which may not.

use serde_json::{Value, json};
use tillstream_app::sync::entities::Entity;

use super::books::part;
use super::chance::Chance;
use super::day_settings::DaySettings;
use super::price_book::SEGMENTS;

/// Of tenants, in hundredths: those that have none of it.
const PLAIN: u64 = 45;

/// A tax on the goods of a category.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Tax {
    /// Which goods.
    pub category: &'static str,
    /// Basis points.
    pub bps: i64,
}

/// How a tenant taxes.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Taxes {
    /// Whether prices contain it.
    pub included: bool,
    /// One for each category that bears any.
    pub rates: Vec<Tax>,
}

/// A coupon.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Coupon {
    /// What stands on it.
    pub code: String,
    /// What it is good for, as the feed says it.
    benefit: Value,
    /// How often all together may redeem it.
    pub total_limit: Option<i64>,
    /// How often a customer may.
    pub per_customer_limit: Option<i64>,
}

/// A customer of whom HQ told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Customer {
    /// Its id.
    pub id: String,
    /// The first is the one that reports count its sales under.
    pub segments: Vec<String>,
}

/// What a tenant sells by.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Rules {
    /// Taxes; no rates, no tax.
    pub taxes: Taxes,
    /// Promotions: id, and what the feed says.
    promotions: Vec<(String, Value)>,
    /// Coupons.
    pub coupons: Vec<Coupon>,
    /// Customers of whom HQ told.
    pub customers: Vec<Customer>,
    /// Settings as they are in the morning.
    pub morning: DaySettings,
    /// Whether they change in the course of the day.
    pub settings_change: bool,
    /// Whether its tills have shifts.
    pub has_shifts: bool,
    /// Whether what gift cards hold is kept here.
    pub has_gift_cards: bool,
}

fn money(amount: i64) -> Value {
    json!({ "amount": amount, "currency": "GBP" })
}

impl Rules {
    /// Those of a tenant; of many there are none.
    pub fn drawn(chance: &Chance, categories: &[&'static str]) -> Self {
        let has_shifts = chance.percent(60);
        let morning = DaySettings {
            coin: 1,
            needs_shift: has_shifts && chance.percent(50),
            discount_needs_approval: true,
            blind_return_needs_approval: true,
            ..DaySettings::default()
        };
        let shifts = Rules {
            customers: customers(chance),
            morning,
            settings_change: chance.percent(45),
            has_shifts,
            has_gift_cards: chance.percent(50),
            ..Rules::default()
        };
        if chance.percent(PLAIN) {
            return shifts;
        }
        let mut rates = Vec::new();
        if chance.percent(65) {
            let known = [2_000, 500, 0, 875];
            let taxed = categories.iter().filter(|_| chance.percent(70));
            rates.extend(
                taxed.map(|category| Tax { category, bps: chance.one_of(&known).copied().unwrap_or(0) }),
            );
        }
        Rules {
            taxes: Taxes { included: chance.percent(50), rates },
            promotions: promotions(chance, categories),
            coupons: coupons(chance),
            morning: DaySettings {
                per_order: chance.percent(40),
                coin: if chance.percent(35) { 5 } else { 1 },
                ..morning
            },
            ..shifts
        }
    }

    /// Whether every line costs its price × quantity less what is taken off it by hand, and cash is paid to
    /// the penny: what a till can reckon by itself.
    pub fn is_plain(&self) -> bool {
        self.taxes.rates.is_empty()
            && self.promotions.is_empty()
            && self.coupons.is_empty()
            && self.morning.coin == 1
    }

    /// The tax on goods of a category, in basis points.
    pub fn tax_on(&self, category: &str) -> Option<i64> {
        self.taxes.rates.iter().find(|tax| tax.category == category).map(|tax| tax.bps)
    }

    /// A coupon by its code.
    pub fn coupon(&self, code: &str) -> Option<&Coupon> {
        self.coupons.iter().find(|coupon| coupon.code == code)
    }

    /// Promotions that an employee applies by hand.
    pub fn by_hand(&self) -> impl Iterator<Item = &str> {
        let is_by_hand = |data: &Value| data.get("automatic") == Some(&Value::Bool(false));
        self.promotions.iter().filter(move |(_, data)| is_by_hand(data)).map(|(id, _)| id.as_str())
    }

    /// How often all together may use a promotion.
    pub fn promotion_limit(&self, id: &str) -> Option<i64> {
        let promotion = self.promotions.iter().find(|(known, _)| known == id);
        promotion.and_then(|(_, data)| data.pointer("/limits/total")?.as_i64())
    }

    /// Whether promotions may be used up.
    pub fn has_limited_promotions(&self) -> bool {
        self.promotions.iter().any(|(id, _)| self.promotion_limit(id).is_some())
    }

    /// The segments of a customer; none of one that nobody told of.
    pub fn segments_of(&self, customer: &str) -> Vec<String> {
        let known = self.customers.iter().find(|known| known.id == customer);
        known.map(|known| known.segments.clone()).unwrap_or_default()
    }

    /// The tax in, or on, what goods cost after every discount.
    pub fn tax_of(&self, amount: i64, bps: i64) -> i64 {
        if self.taxes.included { part(amount, bps, 10_000 + bps) } else { part(amount, bps, 10_000) }
    }

    /// The lines of its feeds.
    pub fn feeds(&self) -> Vec<(Entity, String)> {
        let line = |id: &str, data: &Value| {
            let line = json!({ "id": id, "version": 1, "op": "upsert", "data": data });
            format!("{line}\n")
        };
        let taxes = self.taxes.rates.iter().map(|tax| {
            let target = json!({ "categories": [tax.category] });
            line(
                &format!("tax-{}", tax.category),
                &json!({ "name": "Tax", "rate_bps": tax.bps, "target": target }),
            )
        });
        let coupons = self.coupons.iter().map(|coupon| {
            let mut data = json!({ "benefit": coupon.benefit });
            if let Some(limit) = coupon.total_limit {
                data["total_limit"] = json!(limit);
            }
            if let Some(limit) = coupon.per_customer_limit {
                data["per_customer_limit"] = json!(limit);
            }
            line(&coupon.code, &data)
        });
        let customers = self
            .customers
            .iter()
            .map(|customer| line(&customer.id, &json!({ "segments": customer.segments })));
        let mut feeds = vec![
            (Entity::TaxRules, taxes.collect::<String>()),
            (Entity::Promotions, self.promotions.iter().map(|(id, data)| line(id, data)).collect()),
            (Entity::Coupons, coupons.collect()),
            (Entity::Customers, customers.collect()),
        ];
        feeds.retain(|(_, lines)| !lines.is_empty());
        feeds
    }
}

/// Nine, of whom HQ told of seven; each in up to two segments.
fn customers(chance: &Chance) -> Vec<Customer> {
    (0..7)
        .map(|number| {
            let mut segments: Vec<String> = SEGMENTS.iter().map(|segment| (*segment).to_owned()).collect();
            segments.rotate_left(chance.index(SEGMENTS.len()));
            segments.truncate(chance.index(3));
            Customer { id: format!("k-{number}"), segments }
        })
        .collect()
}

fn promotions(chance: &Chance, categories: &[&'static str]) -> Vec<(String, Value)> {
    let mut promotions = Vec::new();
    if chance.percent(50) {
        let category = chance.one_of(categories).copied().unwrap_or_default();
        let data = json!({
            "name": "Part off", "benefit": { "percentage": { "bps": chance.between(100, 5_000) } },
            "target": { "categories": [category] },
        });
        promotions.push(("part-off".to_owned(), data));
    }
    if chance.percent(40) {
        // The goods that everybody wants, and often only a few times.
        let limits = if chance.percent(60) { json!({ "total": chance.between(1, 6) }) } else { json!({}) };
        let data = json!({
            "name": "Three for two", "benefit": { "buy_get": { "buy": 2, "get": 1 } },
            "target": { "skus": ["sku-1", "sku-2"] }, "limits": limits,
        });
        promotions.push(("three-for-two".to_owned(), data));
    }
    if chance.percent(40) {
        let data = json!({
            "name": "By hand", "automatic": false,
            "benefit": { "fixed_amount": { "amount": money(chance.between(1, 300)), "per": "order" } },
        });
        promotions.push(("by-hand".to_owned(), data));
    }
    promotions
}

fn coupons(chance: &Chance) -> Vec<Coupon> {
    if chance.percent(30) {
        return Vec::new();
    }
    (1..=1 + chance.below(3))
        .map(|number| {
            let benefit = if chance.percent(50) {
                json!({ "percentage": { "bps": chance.between(100, 4_000) } })
            } else {
                json!({ "fixed_amount": { "amount": money(chance.between(1, 400)) } })
            };
            // From 200 on its counter is split; most are fought over.
            let total_limit = match chance.below(20) {
                0 => Some(200),
                1..4 => None,
                _ => Some(chance.between(1, 5)),
            };
            let per_customer_limit = (chance.percent(20) && total_limit != Some(1)).then_some(1);
            Coupon { code: format!("coupon-{number}"), benefit, total_limit, per_customer_limit }
        })
        .collect()
}
