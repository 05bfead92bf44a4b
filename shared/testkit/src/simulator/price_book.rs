//! What a product costs whom by the price book, worked out without the system's code.

use std::collections::BTreeMap;

use jiff::Timestamp;

use super::books::Books;

/// Segments that customers may be in, and prices be for.
pub const SEGMENTS: [&str; 3] = ["gold", "staff", "trade"];

/// A price that somebody set, in ten-thousandths, and for whom, where and when it holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PriceSet {
    /// The price.
    pub price: i64,
    /// The only store that it is for.
    pub location: Option<String>,
    /// The only customers that it is for.
    pub segment: Option<String>,
    /// The first instant.
    pub from: Option<Timestamp>,
    /// The first instant after it.
    pub to: Option<Timestamp>,
}

impl PriceSet {
    /// A price that holds for everybody, everywhere and always.
    pub fn of(price: i64) -> Self {
        PriceSet { price, location: None, segment: None, from: None, to: None }
    }

    fn holds(&self, store: &str, at: Timestamp) -> bool {
        self.location.as_ref().is_none_or(|location| location == store)
            && self.from.is_none_or(|from| from <= at)
            && self.to.is_none_or(|to| at < to)
    }

    fn is_for(&self, segments: &[String]) -> bool {
        self.segment.as_ref().is_none_or(|segment| segments.contains(segment))
    }
}

/// What a product costs at a store and an instant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Costs {
    /// Those in no segment that has a price of its own.
    pub list: i64,
    /// By segment.
    pub by_segment: BTreeMap<String, i64>,
}

impl Costs {
    /// What it costs a customer of these segments: the least of their own prices, however it compares with the list.
    pub fn of(&self, segments: &[String]) -> i64 {
        segments.iter().filter_map(|own| self.by_segment.get(own)).min().copied().unwrap_or(self.list)
    }
}

/// How many changes of a tenant's prices were begun, and how many are over.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct PriceTraffic {
    begun: u64,
    over: u64,
}

impl Books {
    /// Somebody begins to change prices.
    pub fn price_change_begins(&mut self, tenant: &str) {
        self.price_traffic.entry(tenant.to_owned()).or_default().begun += 1;
    }

    /// It is known what came of it, and entered.
    pub fn price_change_is_over(&mut self, tenant: &str) {
        self.price_traffic.entry(tenant.to_owned()).or_default().over += 1;
    }

    /// A number that is the same for as long as nobody changes prices; none while somebody does.
    pub fn price_quiet(&self, tenant: &str) -> Option<u64> {
        let traffic = self.price_traffic.get(tenant).copied().unwrap_or_default();
        (traffic.begun == traffic.over).then_some(traffic.begun)
    }

    /// Enters a price that may hold from now on.
    pub fn price_may_be(&mut self, tenant: &str, sku: &str, set: PriceSet) {
        self.prices_ever.entry((tenant.to_owned(), sku.to_owned())).or_default().push(set);
    }

    /// Whether somebody set this price for a store, an instant and customers of these segments.
    pub fn may_cost(
        &self,
        (tenant, sku): (&str, &str),
        price: i64,
        (store, at): (&str, Timestamp),
        segments: &[String],
    ) -> bool {
        let prices = self.prices_ever.get(&(tenant.to_owned(), sku.to_owned()));
        let is_it = |set: &PriceSet| set.price == price && set.holds(store, at) && set.is_for(segments);
        prices.is_some_and(|all| all.iter().any(is_it))
    }

    /// What a product costs by what was accepted, where nobody changes it meanwhile: a store's own price before a
    /// general one, among those the one that began last, among those the last id; else the product's.
    pub fn costs(&self, tenant: &str, sku: &str, (store, at): (&str, Timestamp)) -> Option<Costs> {
        let key = (tenant.to_owned(), sku.to_owned());
        let by_hand = self.product_changes.get(&key).and_then(|changes| changes.last_key_value());
        let own = by_hand.map(|(_, price)| *price).or_else(|| Some(self.products.get(&key)?.1))?;
        let mut chosen = BTreeMap::<Option<&String>, (&String, &PriceSet)>::new();
        let mine = self.price_entries.iter().filter(|((of, _), _)| of == tenant);
        for ((_, id), (_, entry)) in mine {
            let Some(set) = Self::of_sku(entry.as_ref(), sku).filter(|set| set.holds(store, at)) else {
                continue;
            };
            let rank = |id: &str, set: &PriceSet| (set.location.is_some(), set.from, id.to_owned());
            let best = chosen.entry(set.segment.as_ref()).or_insert((id, set));
            if rank(id, set) > rank(best.0, best.1) {
                *best = (id, set);
            }
        }
        let list = chosen.get(&None).map_or(own, |(_, set)| set.price);
        let by_segment =
            chosen.into_iter().filter_map(|(segment, (_, set))| Some((segment?.clone(), set.price)));
        Some(Costs { list, by_segment: by_segment.collect() })
    }

    fn of_sku<'b>(entry: Option<&'b (String, PriceSet)>, sku: &str) -> Option<&'b PriceSet> {
        entry.filter(|(of, _)| of == sku).map(|(_, set)| set)
    }
}
