//! What a cart holds of the stock of its store until it becomes final, where the store's policy says so.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::quantity::Quantity;

/// Most parts of split stock that hold the same SKU for one cart.
pub const HOLDS_PER_SKU_MAX: usize = 3;

/// What one part of a stock item holds for a cart.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct CartHold {
    /// Which part; 0 is also the whole.
    pub part: u32,
    /// In which layout it was made; 0 where it counts at the first part for good.
    pub layout: i64,
    /// How many.
    pub quantity: Quantity,
    /// Until when, in epoch milliseconds.
    pub expires_at: i64,
}

impl CartHold {
    /// Whether its time is over at a moment in epoch milliseconds: then others may have what it held.
    pub fn has_expired(&self, at_millis: i64) -> bool {
        self.expires_at <= at_millis
    }
}

/// What a cart holds, by SKU. Hold lines may be gone of what is over; none stands that is not named here.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct CartHolds {
    by_sku: BTreeMap<String, Vec<CartHold>>,
}

impl CartHolds {
    /// Whether it holds nothing.
    pub fn is_empty(&self) -> bool {
        self.by_sku.is_empty()
    }

    /// How many holds there are.
    pub fn len(&self) -> usize {
        self.by_sku.values().map(Vec::len).sum()
    }

    /// The holds of a SKU.
    pub fn of(&self, sku: &str) -> &[CartHold] {
        self.by_sku.get(sku).map_or(&[], Vec::as_slice)
    }

    /// All holds, each with its SKU.
    pub fn all(&self) -> impl Iterator<Item = (&str, &CartHold)> {
        self.by_sku.iter().flat_map(|(sku, holds)| holds.iter().map(move |hold| (sku.as_str(), hold)))
    }

    /// The SKUs that are held.
    pub fn skus(&self) -> impl Iterator<Item = &str> {
        self.by_sku.keys().map(String::as_str)
    }

    /// Says what is held of a SKU; nothing where there are none.
    pub fn set(&mut self, sku: &str, holds: Vec<CartHold>) {
        if holds.is_empty() {
            self.by_sku.remove(sku);
        } else {
            self.by_sku.insert(sku.to_owned(), holds);
        }
    }

    /// How many of a SKU were held when it was written, also such whose time is over.
    pub fn named(&self, sku: &str) -> Quantity {
        sum(self.of(sku).iter())
    }

    /// How many of a SKU are held at a moment in epoch milliseconds.
    pub fn held(&self, sku: &str, at_millis: i64) -> Quantity {
        sum(self.of(sku).iter().filter(|hold| !hold.has_expired(at_millis)))
    }
}

fn sum<'a>(holds: impl Iterator<Item = &'a CartHold>) -> Quantity {
    holds.fold(Quantity::ZERO, |sum, hold| sum.plus(hold.quantity))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hold(part: u32, pieces: i64, expires_at: i64) -> CartHold {
        let quantity = Quantity::from_pieces(pieces).unwrap();
        CartHold { part, layout: i64::from(part) * 108, quantity, expires_at }
    }

    #[test]
    fn what_is_over_is_named_and_not_held() {
        let mut holds = CartHolds::default();
        assert!(holds.is_empty());
        holds.set("A", vec![hold(0, 2, 10), hold(1, 3, 20)]);
        holds.set("B", vec![hold(0, 1, 10)]);
        let pieces = |quantity: Quantity| quantity.thousandths() / 1_000;
        assert_eq!((holds.len(), pieces(holds.named("A")), pieces(holds.named("C"))), (3, 5, 0));
        assert_eq!([9, 10, 19, 20].map(|at| pieces(holds.held("A", at))), [5, 3, 3, 0]);
        assert_eq!(holds.skus().collect::<Vec<_>>(), ["A", "B"]);
        holds.set("A", Vec::new());
        assert_eq!(holds.all().map(|(sku, hold)| (sku, hold.part)).collect::<Vec<_>>(), [("B", 0)]);
        holds.set("B", Vec::new());
        assert!(holds.is_empty());
    }

    #[test]
    fn it_is_read_as_it_was_written() {
        let mut holds = CartHolds::default();
        holds.set("A", vec![hold(0, 2, 10), hold(1, 3, 20)]);
        let bytes = crate::compact::encode(&holds).unwrap();
        assert_eq!(crate::compact::decode::<CartHolds>(&bytes).unwrap(), holds);
    }
}
