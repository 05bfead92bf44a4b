//! Which lots the lines of a cart were taken from, where whoever sold them named one.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{Cart, Disposition, Line};

/// So much of each lot, in thousandths, by SKU.
pub type LotsOfSkus<'c> = BTreeMap<&'c str, BTreeMap<&'c str, i64>>;

/// The lots that lines name.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Lots {
    /// By number of the line.
    lines: BTreeMap<u32, String>,
    /// Of a return of a known sale, by number of the sale's line.
    sold: BTreeMap<u32, String>,
}

impl Lots {
    /// Whether nobody named any.
    pub fn is_empty(&self) -> bool {
        self.lines.is_empty() && self.sold.is_empty()
    }

    /// The lot that a line names.
    pub fn of_line(&self, number: u32) -> Option<&str> {
        self.lines.get(&number).map(String::as_str)
    }

    /// Forgets a line.
    pub(super) fn remove(&mut self, number: u32) {
        self.lines.remove(&number);
    }

    /// Those of a sale, for a return of some of its lines.
    pub fn sold_in(sale: &Lots) -> Self {
        Lots { lines: BTreeMap::new(), sold: sale.lines.clone() }
    }

    /// Makes a line of a return of the lot that a line of its sale was of.
    pub(super) fn bring_back(&mut self, number: u32, sold: u32) {
        if let Some(lot) = self.sold.get(&sold) {
            self.lines.insert(number, lot.clone());
        }
    }

    /// Those of a sale of which every line comes back under its own number.
    pub(super) fn all_of(sale: &Lots) -> Self {
        Lots { lines: sale.lines.clone(), sold: BTreeMap::new() }
    }
}

impl Cart {
    /// Says which lot a line is taken from.
    pub fn set_lot(&mut self, number: u32, lot: String) {
        self.lots.lines.insert(number, lot);
    }

    /// How much of each lot that is named leaves for sale; of a return how much comes back on the shelf.
    pub fn lots_moved(&self) -> LotsOfSkus<'_> {
        let is_on_the_shelf = |line: &&Line| {
            line.returned.as_ref().is_none_or(|returned| returned.disposition == Disposition::Restock)
        };
        let mut moved = LotsOfSkus::new();
        for line in self.lines.iter().filter(is_on_the_shelf) {
            if let Some(lot) = self.lot_of(line) {
                let of_sku = moved.entry(line.sku.as_str()).or_default();
                *of_sku.entry(lot).or_default() += line.quantity.thousandths();
            }
        }
        moved
    }

    /// Of a return of a known sale: how much of each lot the sale's lines named in all.
    pub fn lots_sold(&self) -> LotsOfSkus<'_> {
        if self.course.undoes.is_some() {
            // All of it comes back, line by line.
            return self.lots_moved();
        }
        let mut sold = LotsOfSkus::new();
        let original = self.return_of.as_ref().and_then(|head| head.original.as_ref());
        for line in original.into_iter().flat_map(|original| &original.lines) {
            if let Some(lot) = self.lots.sold.get(&line.number).filter(|_| line.stocked) {
                let of_sku = sold.entry(line.sku.as_str()).or_default();
                *of_sku.entry(lot.as_str()).or_default() += line.sold.thousandths();
            }
        }
        sold
    }

    /// The lines, with their places, that name a lot of a SKU.
    pub fn lines_of_lot<'a>(
        &'a self,
        sku: &'a str,
        lot: &'a str,
    ) -> impl Iterator<Item = (usize, &'a Line)> + 'a {
        let lines = self.lines.iter().enumerate();
        lines.filter(move |(_, line)| line.sku == sku && self.lot_of(line) == Some(lot))
    }

    /// The lot that a line takes stock of. A kit takes its components, of which nobody names a lot.
    fn lot_of(&self, line: &Line) -> Option<&str> {
        self.lots.of_line(line.number).filter(|_| line.stocked && !self.is_kit(line))
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::{by, cart, line, original_of};
    use super::super::undo::Undoing;
    use super::super::{CartKind, ReturnHead};
    use super::*;
    use crate::quantity::Quantity;

    fn moved(cart: &Cart) -> Vec<(String, String, i64)> {
        let of_sku = |(sku, lots): (&str, BTreeMap<&str, i64>)| {
            let sku = sku.to_owned();
            lots.into_iter().map(move |(lot, n)| (sku.clone(), lot.to_owned(), n)).collect::<Vec<_>>()
        };
        cart.lots_moved().into_iter().flat_map(of_sku).collect()
    }

    fn is(expected: &[(&str, &str, i64)]) -> Vec<(String, String, i64)> {
        expected.iter().map(|(sku, lot, n)| ((*sku).to_owned(), (*lot).to_owned(), *n)).collect()
    }

    fn add(cart: &mut Cart, sku: &str, pieces: i64, lot: Option<&str>) -> u32 {
        let number = cart.add_line(line(sku, pieces, "1")).unwrap();
        if let Some(lot) = lot {
            cart.set_lot(number, lot.into());
        }
        number
    }

    #[test]
    fn lines_of_one_sku_and_different_lots_stay_apart() {
        let mut sale = cart(CartKind::Sale);
        add(&mut sale, "MILK", 2, Some("L1"));
        add(&mut sale, "MILK", 3, Some("L2"));
        add(&mut sale, "MILK", 4, None);
        let again = add(&mut sale, "MILK", 5, Some("L1"));
        assert_eq!(sale.lines.len(), 4);
        assert_eq!(moved(&sale), is(&[("MILK", "L1", 7_000), ("MILK", "L2", 3_000)]));
        let places: Vec<usize> = sale.lines_of_lot("MILK", "L1").map(|(place, _)| place).collect();
        assert_eq!(places, [0, 3]);
        // A lot goes with its line.
        sale.remove_line(&format!("l-{again}")).unwrap();
        assert_eq!(moved(&sale), is(&[("MILK", "L1", 2_000), ("MILK", "L2", 3_000)]));
        assert_eq!(sale.lots.of_line(again), None);
    }

    #[test]
    fn what_no_stock_is_kept_of_takes_no_lot() {
        let mut sale = cart(CartKind::Sale);
        let number = add(&mut sale, "BAG", 1, Some("L1"));
        sale.lines[0].stocked = false;
        assert_eq!((moved(&sale), sale.lots.of_line(number)), (Vec::new(), Some("L1")));
    }

    #[test]
    fn a_return_is_of_the_lots_of_its_sale() {
        let mut sale = cart(CartKind::Sale);
        add(&mut sale, "MILK", 4, Some("L1"));
        add(&mut sale, "MILK", 3, None);
        add(&mut sale, "MILK", 2, Some("L2"));
        sale.set_tendering(&by()).unwrap();
        let mut back = cart(CartKind::Return);
        back.return_of = Some(ReturnHead { reason: "x".into(), original: Some(original_of(&sale)) });
        back.lots = Lots::sold_in(&sale.lots);
        let pieces = |n| Quantity::from_pieces(n).unwrap();
        back.return_known_line("l-1", pieces(1), Disposition::Restock).unwrap();
        back.return_known_line("l-1", pieces(1), Disposition::Damaged).unwrap();
        back.return_known_line("l-2", pieces(1), Disposition::Restock).unwrap();
        // What is damaged is on no shelf; what the sale named is known in all.
        assert_eq!(moved(&back), is(&[("MILK", "L1", 1_000)]));
        let sold: Vec<_> = back.lots_sold().into_values().flatten().collect();
        assert_eq!(sold, [("L1", 4_000), ("L2", 2_000)]);
        assert_eq!((back.lots.of_line(2), back.lots.of_line(3)), (Some("L1"), None));
        let mut undone = cart(CartKind::Return);
        undone.take_all_back(&sale, Undoing::Void, "x".into()).unwrap();
        assert_eq!(moved(&undone), is(&[("MILK", "L1", 4_000), ("MILK", "L2", 2_000)]));
        assert_eq!(undone.lots_sold(), undone.lots_moved());
    }
}
