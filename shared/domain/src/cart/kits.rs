//! Which lines of a cart are kits, and what each takes from stock: as of when the line was added, so that a
//! return or a void gives back what went, whatever became of the kit.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use super::{Cart, Disposition, Line, StockMove};
use crate::kit::KitPart;
use crate::quantity::{Quantity, Unit};

/// What kits of a cart are made of. Lines of the same kit share one entry.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Kits {
    /// What kits are made of.
    made_of: Vec<Vec<KitPart>>,
    /// By number of the line: which of `made_of`.
    lines: BTreeMap<u32, u32>,
    /// Of a return of a known sale, by number of the sale's line.
    sold: BTreeMap<u32, u32>,
}

impl Kits {
    /// Whether no line is a kit.
    pub fn is_empty(&self) -> bool {
        self.made_of.is_empty()
    }

    /// What one kit of a line takes from stock; `None` where the line is none.
    pub fn of_line(&self, number: u32) -> Option<&[KitPart]> {
        self.lines.get(&number).map(|at| self.made_of(*at))
    }

    fn made_of(&self, at: u32) -> &[KitPart] {
        usize::try_from(at).ok().and_then(|at| self.made_of.get(at)).map_or(&[], Vec::as_slice)
    }

    fn put(&mut self, number: u32, parts: Vec<KitPart>) {
        let at = self.made_of.iter().position(|known| *known == parts).unwrap_or_else(|| {
            self.made_of.push(parts);
            self.made_of.len() - 1
        });
        // A cart has few thousand lines.
        self.lines.insert(number, u32::try_from(at).unwrap_or(u32::MAX));
    }

    /// Forgets a line, and what no line is made of any more.
    pub(super) fn remove(&mut self, number: u32) {
        let Some(at) = self.lines.remove(&number) else { return };
        let used: BTreeSet<u32> = self.lines.values().chain(self.sold.values()).copied().collect();
        if used.contains(&at) {
            return;
        }
        if let Some(place) = usize::try_from(at).ok().filter(|place| *place < self.made_of.len()) {
            self.made_of.remove(place);
            for behind in self.lines.values_mut().chain(self.sold.values_mut()).filter(|other| **other > at) {
                *behind -= 1;
            }
        }
    }

    /// Those of a sale, for a return of some of its lines.
    pub fn sold_in(sale: &Kits) -> Self {
        Kits { made_of: sale.made_of.clone(), lines: BTreeMap::new(), sold: sale.lines.clone() }
    }

    /// Makes a line of a return what a line of its sale was.
    pub(super) fn bring_back(&mut self, number: u32, sold: u32) {
        if let Some(at) = self.sold.get(&sold).copied() {
            self.lines.insert(number, at);
        }
    }

    /// Those of a sale of which every line comes back under its own number.
    pub(super) fn all_of(sale: &Kits) -> Self {
        Kits { sold: BTreeMap::new(), ..sale.clone() }
    }
}

impl Cart {
    /// Says what one kit of a line takes from stock.
    pub fn set_kit(&mut self, number: u32, parts: Vec<KitPart>) {
        self.kits.put(number, parts);
    }

    /// What a line takes from stock, or brings back, by SKU: itself, or its components. Nothing where no stock
    /// of it is kept.
    pub fn stock_of<'a>(&'a self, line: &'a Line) -> impl Iterator<Item = (&'a str, Quantity, Unit)> {
        let parts = self.kits.of_line(line.number);
        let itself =
            (parts.is_none() && line.stocked).then_some((line.sku.as_str(), line.quantity, line.unit));
        let of_kit = parts.unwrap_or(&[]).iter();
        let of_kit = of_kit.map(|part| (part.sku.as_str(), part.of_kits(line.quantity), part.unit));
        itself.into_iter().chain(of_kit)
    }

    /// The lines, with their places, that take `sku` from stock, and how it is sold.
    pub fn lines_taking<'a>(&'a self, sku: &'a str) -> impl Iterator<Item = (usize, &'a Line, Unit)> {
        self.lines.iter().enumerate().filter_map(move |(place, line)| {
            let (_, _, unit) = self.stock_of(line).find(|(taken, ..)| *taken == sku)?;
            Some((place, line, unit))
        })
    }

    /// Whether a line is a kit.
    pub fn is_kit(&self, line: &Line) -> bool {
        self.kits.of_line(line.number).is_some()
    }

    /// Stock that the cart moves, per SKU, merged and sorted, since one transaction may not touch an
    /// item twice: of kits their components. For a return only what comes back into stock.
    pub fn stock_moves(&self) -> Vec<StockMove> {
        let mut merged = BTreeMap::<&str, (Quantity, Quantity)>::new();
        for line in &self.lines {
            let disposition = line.returned.as_ref().map(|returned| returned.disposition);
            if disposition == Some(Disposition::None) {
                continue;
            }
            for (sku, quantity, _) in self.stock_of(line) {
                let (sellable, damaged) = merged.entry(sku).or_default();
                let sum = if disposition == Some(Disposition::Damaged) { damaged } else { sellable };
                *sum = sum.plus(quantity);
            }
        }
        let moves = merged.into_iter();
        moves.map(|(sku, (sellable, damaged))| StockMove { sku: sku.to_owned(), sellable, damaged }).collect()
    }

    /// What kits of a sale or return hold of each component, for whoever lists it beside a line.
    pub fn components_of<'a>(&'a self, line: &'a Line) -> impl Iterator<Item = (&'a str, Quantity, Unit)> {
        self.stock_of(line).filter(|_| self.is_kit(line))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::tests::{by, cart, line, original_of};
    use super::super::undo::Undoing;
    use super::super::{CartKind, ReturnHead};
    use super::*;

    fn part(sku: &str, thousandths: i64) -> KitPart {
        let unit = if thousandths % 1_000 == 0 { Unit::Piece } else { Unit::Kg };
        KitPart { sku: sku.into(), quantity: Quantity::of_counter(thousandths), unit }
    }

    fn add_kit(cart: &mut Cart, sku: &str, pieces: i64, parts: &[KitPart]) -> u32 {
        let number = cart.add_line(line(sku, pieces, "10")).unwrap();
        cart.set_kit(number, parts.to_vec());
        number
    }

    fn moved(cart: &Cart) -> Vec<(String, i64, i64)> {
        let moves = cart.stock_moves().into_iter();
        moves.map(|m| (m.sku, m.sellable.thousandths(), m.damaged.thousandths())).collect()
    }

    fn is(expected: &[(&str, i64, i64)]) -> Vec<(String, i64, i64)> {
        expected.iter().map(|(sku, sellable, damaged)| ((*sku).to_owned(), *sellable, *damaged)).collect()
    }

    #[test]
    fn kits_take_their_components_merged_with_what_is_sold_by_itself() {
        let mut sale = cart(CartKind::Sale);
        let (tea, gift) = ([part("MUG", 1_000), part("TEA", 125)], [part("MUG", 2_000), part("BOX", 1_000)]);
        add_kit(&mut sale, "TEA SET", 3, &tea);
        sale.add_line(line("MUG", 4, "2")).unwrap();
        add_kit(&mut sale, "GIFT", 2, &gift);
        add_kit(&mut sale, "TEA SET", 1, &tea);
        assert_eq!(moved(&sale), is(&[("BOX", 2_000, 0), ("MUG", 12_000, 0), ("TEA", 500, 0)]));
        assert_eq!(sale.kits.made_of.len(), 2, "lines of the same kit share what it is made of");
        let taking: Vec<u32> = sale.lines_taking("MUG").map(|(_, line, _)| line.number).collect();
        assert_eq!(taking, [1, 2, 3, 4]);
        assert_eq!(
            sale.lines_taking("TEA").next().map(|(place, _, unit)| (place, unit)),
            Some((0, Unit::Kg))
        );
        assert_eq!(sale.lines_taking("TEA SET").count(), 0, "a kit has no stock of its own");
    }

    #[test]
    fn what_no_line_is_made_of_is_forgotten() {
        let mut sale = cart(CartKind::Sale);
        let kits = ["A", "B", "C"].map(|sku| [part(sku, 1_000)]);
        let numbers: Vec<u32> = kits.iter().map(|kit| add_kit(&mut sale, "KIT", 1, kit)).collect();
        let again = add_kit(&mut sale, "KIT", 1, &kits[0]);
        sale.remove_line(&format!("l-{}", numbers[0])).unwrap();
        assert_eq!(sale.kits.made_of.len(), 3);
        sale.remove_line(&format!("l-{again}")).unwrap();
        assert_eq!(sale.kits.made_of.len(), 2);
        assert_eq!(moved(&sale), is(&[("B", 1_000, 0), ("C", 1_000, 0)]));
        sale.remove_line(&format!("l-{}", numbers[2])).unwrap();
        sale.remove_line(&format!("l-{}", numbers[1])).unwrap();
        assert!(sale.kits.is_empty() && sale.kits == Kits::default(), "{:?}", sale.kits);
    }

    #[test]
    fn a_return_gives_back_what_went() {
        let mut sale = cart(CartKind::Sale);
        sale.add_line(line("MUG", 4, "2")).unwrap();
        let number = add_kit(&mut sale, "GIFT", 5, &[part("MUG", 2_000), part("TEA", 125)]);
        sale.set_tendering(&by()).unwrap();
        let mut back = cart(CartKind::Return);
        back.return_of = Some(ReturnHead { reason: "x".into(), original: Some(original_of(&sale)) });
        back.kits = Kits::sold_in(&sale.kits);
        let pieces = |n| Quantity::from_pieces(n).unwrap();
        let id = format!("l-{number}");
        back.return_known_line("l-1", pieces(1), Disposition::Restock).unwrap();
        back.return_known_line(&id, pieces(1), Disposition::Restock).unwrap();
        back.return_known_line(&id, pieces(2), Disposition::Damaged).unwrap();
        back.return_known_line(&id, pieces(1), Disposition::None).unwrap();
        assert_eq!(moved(&back), is(&[("MUG", 3_000, 4_000), ("TEA", 125, 250)]));
    }

    proptest! {
        /// Any sale of kits and others: what it takes is what its lines take, each by itself; and undone it
        /// gives back the same.
        #[test]
        fn what_is_taken_is_what_the_lines_take(
            kits in prop::collection::vec(prop::collection::vec((0_u8..6, 1_i64..9_999), 1..6), 1..5),
            lines in prop::collection::vec((0_usize..8, 1_i64..40), 1..25),
            removed in prop::collection::vec(0_u32..25, 0..6),
        ) {
            let mut sale = cart(CartKind::Sale);
            let mut taken = BTreeMap::<u32, Vec<(String, i64)>>::new();
            for (which, pieces) in lines {
                let number = match kits.get(which) {
                    Some(parts) => {
                        let mut distinct: BTreeMap<u8, i64> = BTreeMap::new();
                        distinct.extend(parts.iter().copied());
                        let parts: Vec<KitPart> =
                            distinct.into_iter().map(|(sku, n)| part(&format!("S-{sku}"), n)).collect();
                        let number = add_kit(&mut sale, &format!("KIT-{which}"), pieces, &parts);
                        let of_parts = parts.iter().map(|p| (p.sku.clone(), p.quantity.thousandths() * pieces));
                        taken.insert(number, of_parts.collect());
                        number
                    }
                    None => {
                        let sku = format!("S-{}", which % 6);
                        let number = sale.add_line(line(&sku, pieces, "1")).unwrap();
                        taken.insert(number, vec![(sku, pieces * 1_000)]);
                        number
                    }
                };
                if removed.contains(&number) {
                    sale.remove_line(&format!("l-{number}")).unwrap();
                    taken.remove(&number);
                }
            }
            let mut sums = BTreeMap::<String, i64>::new();
            for (sku, n) in taken.into_values().flatten() {
                *sums.entry(sku).or_default() += n;
            }
            let sums: Vec<_> = sums.into_iter().map(|(sku, n)| (sku, n, 0)).collect();
            prop_assert_eq!(moved(&sale), sums.clone());
            let mut back = cart(CartKind::Return);
            back.take_all_back(&sale, Undoing::Void, "x".into()).unwrap();
            prop_assert_eq!(moved(&back), sums);
        }
    }
}
