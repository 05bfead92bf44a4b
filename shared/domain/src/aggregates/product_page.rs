//! A store's day of products, hashed over pages.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::fact::SaleFact;
use super::folded::Folded;
use super::metrics::Metrics;
use crate::money::Currency;

/// Pages of a day, unless its descriptor says otherwise: 4,000 products make pages near 1 KB, the size
/// of a write unit.
pub const PAGES_DEFAULT: u32 = 64;

/// Metrics by SKU, by currency.
pub type Products = BTreeMap<Currency, BTreeMap<String, Metrics>>;

/// The page of `sku` among `pages`. Part of the stored format: it must never change.
///
/// FNV-1a, 64 bits (Fowler, Noll, Vo; draft-eastlake-fnv), its halves folded together since the low
/// bits alone spread short texts less evenly.
pub fn page_of(sku: &str, pages: u32) -> u32 {
    let hash = sku.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3)
    });
    let mixed = (hash ^ (hash >> 32)) % u64::from(pages.max(1));
    u32::try_from(mixed).unwrap_or(0)
}

/// One page of a store's day of products.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct ProductPage {
    /// The facts in it: those with at least one SKU of this page.
    pub folded: Folded,
    /// The figures.
    pub products: Products,
}

impl ProductPage {
    /// Folds what belongs to page `page` of `pages` of a fact of this day; says whether anything was
    /// new.
    pub fn fold(&mut self, fact: &SaleFact, page: u32, pages: u32) -> bool {
        if self.folded.contains(&fact.lane, fact.number) {
            return false;
        }
        let mut mine = BTreeMap::<&str, Metrics>::new();
        for line in fact.lines.iter().filter(|line| page_of(&line.sku, pages) == page) {
            mine.entry(&line.sku).or_insert_with(|| fact.count()).add(&fact.line_metrics(line));
        }
        if mine.is_empty() {
            return false;
        }
        self.folded.insert(&fact.lane, fact.number);
        let products = self.products.entry(fact.currency).or_default();
        for (sku, metrics) in mine {
            match products.get_mut(sku) {
                Some(sum) => sum.add(&metrics),
                None => {
                    products.insert(sku.to_owned(), metrics);
                }
            }
        }
        true
    }
}

/// Adds `from` to `into`.
pub fn add_products(into: &mut Products, from: &Products) {
    for (currency, skus) in from {
        let sums = into.entry(*currency).or_default();
        for (sku, metrics) in skus {
            match sums.get_mut(sku) {
                Some(sum) => sum.add(metrics),
                None => {
                    sums.insert(sku.clone(), *metrics);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_hash_is_part_of_the_format() {
        let pages: Vec<u32> =
            ["85123A", "22423", "POST", "BANK CHARGES"].iter().map(|s| page_of(s, 64)).collect();
        assert_eq!(pages, [52, 13, 30, 25], "stored pages would no longer be found");
        assert_eq!(page_of("x", 0), 0);
    }

    #[test]
    fn skus_spread_evenly() {
        let mut counts = [0_u32; 64];
        for n in 20_000..24_000 {
            counts[page_of(&n.to_string(), 64) as usize] += 1;
        }
        assert!(counts.iter().all(|c| (35..=95).contains(c)), "{counts:?}");
    }
}
