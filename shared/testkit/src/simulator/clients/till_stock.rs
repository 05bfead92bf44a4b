//! What a till is told of stock as it adds to a cart, where its shop asks for it: what goes into a cart is there at some
//! moment of the asking, and what is refused is short at some.

use std::collections::BTreeMap;

use tillstream_app::Refusal;

use super::super::books::{Line as Sold, Of};
use super::super::world::World;
use super::till::{Cart, Till};

const ENOUGH: &str = "no cart is given what is not there";
const SHORT: &str = "no cart is refused what is there";

/// What a cart would have of something, in thousandths, and under which number it is asked for.
struct Wanted {
    place: Of<(String, String)>,
    quantity: i64,
    number: u64,
    /// Whether how much there is for sale can be told from its counters: the end of a lot's day is in none of them.
    is_told: bool,
}

/// What is asked for, of all that a line takes.
#[derive(Default)]
pub struct Asked(Vec<Wanted>);

/// What more of something may be refused for: of a shop that asks what is there, that it is not.
pub fn refused(till: &Till) -> &'static [&'static str] {
    let asks = till.shop().is_some_and(|shop| shop.checks_at_cart || shop.hold_minutes.is_some());
    if asks { &["insufficient_stock"] } else { &[] }
}

/// What all lines of a cart, and one more or as it would be, take of what that one takes.
fn taken(till: &Till, cart: &Cart, line: (Option<u32>, &str, i64)) -> BTreeMap<String, i64> {
    let (number, sku, quantity) = line;
    let Some(owner) = till.owner() else { return BTreeMap::new() };
    let mut taken: BTreeMap<String, i64> = BTreeMap::new();
    for (sku, quantity) in owner.taken(sku, quantity) {
        *taken.entry(sku).or_default() += quantity;
    }
    let others = cart.lines.values().filter(|line| Some(line.number) != number);
    for (sku, quantity) in others.flat_map(|line: &Sold| owner.taken(&line.sku, line.quantity)) {
        if let Some(sum) = taken.get_mut(&sku) {
            *sum += quantity;
        }
    }
    taken
}

/// A line is about to be asked for: a new one of so much of a SKU, or one of that number as it would be.
pub fn ask(till: &Till, cart: &Cart, line: (Option<u32>, &str, i64)) -> Asked {
    let (Some(owner), Some(shop)) = (till.owner(), till.shop()) else { return Asked::default() };
    if !shop.checks_at_cart {
        return Asked::default();
    }
    // What nobody told the stock of is let through, whatever its counters say.
    let told = taken(till, cart, line).into_iter().filter(|(sku, _)| !shop.unsynced.contains(sku));
    let mut watch = till.world().stock_watch.borrow_mut();
    let wanted = told.map(|(sku, quantity)| {
        let is_told = owner.goods_of(&sku).is_some_and(|goods| !goods.by_lots);
        let place = (owner.id.clone(), (shop.id.clone(), sku));
        let number = watch.sums.ask(&place);
        Wanted { place, quantity, number, is_told }
    });
    Asked(wanted.collect())
}

impl Asked {
    /// What was answered is held against what there was meanwhile. `is_more`: whether more was asked for.
    pub fn answered(self, world: &World, refusal: Option<&Refusal>, is_more: bool) {
        let now = world.now().as_millisecond();
        let (mut is_short, mut seen_all) = (self.0.is_empty(), Vec::new());
        for Wanted { place, quantity, number, is_told } in self.0 {
            let seen = world.stock_watch.borrow_mut().sums.answered(&place, number, now);
            let Some(seen) = seen else { continue };
            if refusal.is_none() && is_more && !seen.is_split && quantity > seen.most {
                world.fail(ENOUGH, format!("{place:?}: {quantity}, of {seen:?}"));
            }
            is_short |= seen.is_split || !is_told || quantity > seen.least;
            seen_all.push((place, quantity, seen));
        }
        if !is_short && refusal.is_some_and(|refusal| refusal.code == "insufficient_stock") {
            world.fail(SHORT, format!("{seen_all:?}"));
        }
    }
}
