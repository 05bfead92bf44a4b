//! The lots of one stock item: which there are, how much of each, and which goes first.
//!
//! A book is written whenever somebody names a lot, and says what was there then. What nobody named since leaves and
//! comes without the book being written: sales take the lots that expire first (first expired, first out), and what
//! comes in without a lot is of the lot nobody knows, which goes last. So the lots at any moment follow from the book
//! and two counters of the stock item alone, on hand and all that ever came in ([`LotBook::as_of`]): no matter in how
//! many movements, and in which order of sales and arrivals, it came there.
//!
//! All quantities are thousandths of the product's unit.

use jiff::civil::Date;
use serde::{Deserialize, Serialize};

/// Most lots of one stock item that have anything left.
pub const LOTS_MAX: usize = 50;
/// Most lots of one stock item where the last of them came to be kept aside: nothing that is recalled is put for sale
/// for want of room. All of them still fit a transaction beside the item.
pub const LOTS_WITH_ASIDE_MAX: usize = 90;

/// A lot of one stock item.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Lot {
    /// Its id.
    #[serde(rename = "i")]
    pub id: String,
    /// The last day on which it is fit for sale, if it has one.
    #[serde(rename = "e", default, skip_serializing_if = "Option::is_none")]
    pub expires_on: Option<Date>,
    /// The first instant at which it is fit for sale no more here, in epoch milliseconds.
    #[serde(rename = "u", default, skip_serializing_if = "Option::is_none")]
    pub sell_until: Option<i64>,
    /// When any of it came first, in epoch milliseconds.
    #[serde(rename = "r")]
    pub received_at: i64,
    /// Fit for sale: part of on hand.
    #[serde(rename = "q", default, skip_serializing_if = "is_zero")]
    pub quantity: i64,
    /// Kept aside: quarantined, or past its day. Not part of on hand.
    #[serde(rename = "k", default, skip_serializing_if = "is_zero")]
    pub quarantined: i64,
    /// Whether it is quarantined here, whatever holds elsewhere: what comes in of it is kept aside too.
    #[serde(rename = "h", default, skip_serializing_if = "std::ops::Not::not")]
    pub is_held: bool,
}

fn is_zero(quantity: &i64) -> bool {
    *quantity == 0
}

impl Lot {
    /// Whether its day is over.
    pub fn has_expired(&self, now_millis: i64) -> bool {
        self.sell_until.is_some_and(|until| until <= now_millis)
    }

    /// Whether there is anything to be known of it.
    fn is_there(&self) -> bool {
        self.quantity != 0 || self.quarantined != 0 || self.is_held
    }

    /// What goes first: what expires first, of that what came first; what never expires goes last.
    fn rank(&self) -> (bool, i64, i64, &str) {
        (self.sell_until.is_none(), self.sell_until.unwrap_or(0), self.received_at, &self.id)
    }
}

/// By how much a movement changed one lot.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LotChange {
    /// Which; `None` is the lot that nobody knows.
    #[serde(rename = "i", default, skip_serializing_if = "Option::is_none")]
    pub lot_id: Option<String>,
    /// By how much what is fit for sale changed.
    #[serde(rename = "q", default, skip_serializing_if = "is_zero")]
    pub on_hand: i64,
    /// By how much what is kept aside changed.
    #[serde(rename = "k", default, skip_serializing_if = "is_zero")]
    pub quarantined: i64,
}

/// Why a book was not changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum LotError {
    /// There is less of the lot than is to be taken.
    #[error("there is less of the lot than that")]
    Short,
    /// There are [`LOTS_MAX`] lots already.
    #[error("a stock item has at most {LOTS_MAX} lots")]
    TooMany,
}

/// The lots of one stock item.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct LotBook {
    /// In the order in which they go.
    #[serde(rename = "l")]
    lots: Vec<Lot>,
    /// Of what is on hand: what is of no known lot. Below zero only where more left than there was.
    #[serde(rename = "x", default, skip_serializing_if = "is_zero")]
    unknown: i64,
    /// All that had come in on hand when the book was written.
    #[serde(rename = "c", default, skip_serializing_if = "is_zero")]
    came_in: i64,
}

impl LotBook {
    /// The book of stock of which no lot was ever named.
    pub fn of_unknown(on_hand: i64, came_in: i64) -> Self {
        LotBook { lots: Vec::new(), unknown: on_hand, came_in }
    }

    /// The lots in the order in which they go.
    pub fn lots(&self) -> &[Lot] {
        &self.lots
    }

    /// A lot.
    pub fn lot(&self, id: &str) -> Option<&Lot> {
        self.lots.iter().find(|lot| lot.id == id)
    }

    /// Of what is on hand: what is of no known lot.
    pub fn unknown(&self) -> i64 {
        self.unknown
    }

    /// All lots together: what is on hand.
    pub fn on_hand(&self) -> i64 {
        self.unknown + self.lots.iter().map(|lot| lot.quantity).sum::<i64>()
    }

    /// All that is kept aside.
    pub fn quarantined(&self) -> i64 {
        self.lots.iter().map(|lot| lot.quarantined).sum()
    }

    /// The first instant at which a lot that is for sale is so no more.
    pub fn sell_until(&self) -> Option<i64> {
        self.lots.iter().filter(|lot| lot.quantity > 0).filter_map(|lot| lot.sell_until).min()
    }

    /// The book as it is where so much is on hand, and so much came in ever: arrivals since it was written are of the
    /// lot that nobody knows; what left since left in the order of the lots, that one last.
    #[must_use]
    pub fn as_of(&self, on_hand: i64, came_in: i64) -> Self {
        let mut book = self.clone();
        let arrived = came_in - book.came_in;
        book.came_in = came_in;
        book.unknown += arrived;
        let mut left = book.on_hand() - on_hand;
        if left < 0 {
            // Nobody said that it came in: whose it is nobody knows.
            book.unknown -= left;
            left = 0;
        }
        book.take_any(left);
        book
    }

    /// Adds to a lot, for sale or kept aside; `new` says what it is if it is not there yet.
    ///
    /// # Errors
    /// [`LotError::TooMany`].
    pub fn add(&mut self, new: Lot, quantity: i64, aside: bool) -> Result<(), LotError> {
        let lot = self.entry(new)?;
        if aside || lot.is_held {
            lot.quarantined += quantity;
        } else {
            lot.quantity += quantity;
            self.settle();
        }
        Ok(())
    }

    /// The lot that `new` names; as `new` says, and nothing of it, if it is not there yet.
    fn entry(&mut self, new: Lot) -> Result<&mut Lot, LotError> {
        let at = match self.lots.iter().position(|lot| lot.id == new.id) {
            Some(at) => at,
            None => {
                self.lots.retain(Lot::is_there);
                if self.lots.len() >= LOTS_MAX {
                    return Err(LotError::TooMany);
                }
                let rank = new.rank();
                let at = self.lots.partition_point(|lot| lot.rank() < rank);
                self.lots.insert(at, Lot { quantity: 0, quarantined: 0, is_held: false, ..new });
                at
            }
        };
        self.lots.get_mut(at).ok_or(LotError::TooMany)
    }

    /// Adds what is to be kept aside of a lot, also where there are [`LOTS_MAX`] already.
    ///
    /// # Errors
    /// [`LotError::TooMany`] where there are [`LOTS_WITH_ASIDE_MAX`].
    pub fn add_aside(&mut self, new: Lot, quantity: i64) -> Result<(), LotError> {
        if let Some(lot) = self.lots.iter_mut().find(|lot| lot.id == new.id) {
            lot.quarantined += quantity;
            return Ok(());
        }
        if self.lots.len() >= LOTS_WITH_ASIDE_MAX {
            return Err(LotError::TooMany);
        }
        let rank = new.rank();
        let at = self.lots.partition_point(|lot| lot.rank() < rank);
        self.lots.insert(at, Lot { quantity: 0, quarantined: quantity, is_held: false, ..new });
        Ok(())
    }

    /// Says of which lot some is that was of no known lot; `aside`: it is kept aside with it.
    ///
    /// # Errors
    /// [`LotError::Short`] where less is of no known lot; [`LotError::TooMany`].
    pub fn assign(&mut self, new: Lot, quantity: i64, aside: bool) -> Result<(), LotError> {
        if self.unknown < quantity {
            return Err(LotError::Short);
        }
        self.add(new, quantity, aside)?;
        self.unknown -= quantity;
        Ok(())
    }

    /// Adds what is of no known lot.
    pub fn add_unknown(&mut self, quantity: i64) {
        self.unknown += quantity;
    }

    /// Takes from a lot that is named, for sale or kept aside.
    ///
    /// # Errors
    /// [`LotError::Short`].
    pub fn take(&mut self, id: &str, quantity: i64, aside: bool) -> Result<(), LotError> {
        let lot = self.lots.iter_mut().find(|lot| lot.id == id).ok_or(LotError::Short)?;
        let from = if aside { &mut lot.quarantined } else { &mut lot.quantity };
        if *from < quantity {
            return Err(LotError::Short);
        }
        *from -= quantity;
        Ok(())
    }

    /// Takes so much without naming a lot: in the order in which they go, what is of no known lot last. Where there
    /// is less, what is of no known lot falls below zero.
    pub fn take_any(&mut self, quantity: i64) {
        let mut left = quantity;
        for lot in &mut self.lots {
            let taken = lot.quantity.min(left);
            lot.quantity -= taken;
            left -= taken;
        }
        self.unknown -= left;
    }

    /// Takes what is for sale, but of one lot: what is of no known lot first, since that may have been of any, then
    /// in the order in which they go. Answers how much that was, at most `quantity`.
    pub fn take_but(&mut self, id: &str, quantity: i64) -> i64 {
        let mut left = quantity;
        let of_unknown = self.unknown.min(left).max(0);
        self.unknown -= of_unknown;
        left -= of_unknown;
        for lot in self.lots.iter_mut().filter(|lot| lot.id != id) {
            let taken = lot.quantity.min(left);
            lot.quantity -= taken;
            left -= taken;
        }
        quantity - left
    }

    /// Quarantines a lot here: what is for sale of it is kept aside, and so is what comes in. `new` says what it is if
    /// it is not there yet. Answers how much was for sale.
    ///
    /// # Errors
    /// [`LotError::TooMany`].
    pub fn hold(&mut self, new: Lot) -> Result<i64, LotError> {
        let lot = self.entry(new)?;
        lot.is_held = true;
        Ok(keep_aside(lot))
    }

    /// Ends what [`Self::hold`] began; what is kept aside stays so until it is released.
    pub fn let_go(&mut self, id: &str) {
        for lot in self.lots.iter_mut().filter(|lot| lot.id == id) {
            lot.is_held = false;
        }
    }

    /// Keeps aside what is for sale of a lot; answers how much that was.
    pub fn quarantine(&mut self, id: &str) -> i64 {
        self.lots.iter_mut().filter(|lot| lot.id == id).map(keep_aside).sum()
    }

    /// Gives back for sale what is kept aside of a lot, unless its day is over or it is quarantined here; answers how
    /// much that was.
    pub fn release(&mut self, id: &str, now_millis: i64) -> i64 {
        let mut released = 0;
        let may_be_sold = |lot: &&mut Lot| lot.id == id && !lot.is_held && !lot.has_expired(now_millis);
        for lot in self.lots.iter_mut().filter(may_be_sold) {
            released += lot.quarantined;
            lot.quantity += lot.quarantined;
            lot.quarantined = 0;
        }
        self.settle();
        released
    }

    /// Keeps aside what is for sale of lots whose day is over; answers how much that was.
    pub fn expire(&mut self, now_millis: i64) -> i64 {
        self.lots.iter_mut().filter(|lot| lot.has_expired(now_millis)).map(keep_aside).sum()
    }

    /// The book as it is kept: without lots of which nothing is left, and knowing what has come in.
    #[must_use]
    pub fn kept(mut self, came_in: i64) -> Self {
        self.lots.retain(Lot::is_there);
        self.came_in = came_in;
        self
    }

    /// What left before it was known to be there is taken off what is there.
    fn settle(&mut self) {
        for lot in &mut self.lots {
            let taken = lot.quantity.min(-self.unknown).max(0);
            lot.quantity -= taken;
            self.unknown += taken;
        }
    }

    /// By how much each lot differs from what it was before, in the order in which they go.
    pub fn changes_since(&self, before: &LotBook) -> Vec<LotChange> {
        let gone = before.lots.iter().filter(|lot| self.lot(&lot.id).is_none());
        let of =
            |book: &LotBook, id: &str| book.lot(id).map_or((0, 0), |lot| (lot.quantity, lot.quarantined));
        let known = gone.chain(&self.lots).map(|lot| {
            let (was, is) = (of(before, &lot.id), of(self, &lot.id));
            LotChange { lot_id: Some(lot.id.clone()), on_hand: is.0 - was.0, quarantined: is.1 - was.1 }
        });
        let unknown = LotChange { lot_id: None, on_hand: self.unknown - before.unknown, quarantined: 0 };
        known.chain([unknown]).filter(|change| change.on_hand != 0 || change.quarantined != 0).collect()
    }
}

fn keep_aside(lot: &mut Lot) -> i64 {
    let moved = lot.quantity;
    lot.quarantined += moved;
    lot.quantity = 0;
    moved
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn lot(id: &str, sell_until: Option<i64>, received_at: i64) -> Lot {
        Lot {
            id: id.into(),
            expires_on: None,
            sell_until,
            received_at,
            quantity: 0,
            quarantined: 0,
            is_held: false,
        }
    }

    fn book(lots: &[(&str, Option<i64>, i64, i64)], unknown: i64) -> LotBook {
        let mut book = LotBook::of_unknown(unknown, 0);
        for (id, until, received, quantity) in lots {
            book.add(lot(id, *until, *received), *quantity, false).unwrap();
        }
        let came_in = book.on_hand();
        book.kept(came_in)
    }

    fn quantities(book: &LotBook) -> Vec<(&str, i64)> {
        book.lots().iter().map(|lot| (lot.id.as_str(), lot.quantity)).collect()
    }

    #[test]
    fn what_expires_first_goes_first_and_what_nobody_knows_last() {
        let book = book(&[("never", None, 1, 3), ("late", Some(90), 2, 3), ("soon", Some(50), 9, 3)], 3);
        assert_eq!(quantities(&book), [("soon", 3), ("late", 3), ("never", 3)]);
        let after = |on_hand: i64| book.as_of(on_hand, 12);
        assert_eq!(quantities(&after(8)), [("soon", 0), ("late", 2), ("never", 3)]);
        assert_eq!((after(2).unknown(), after(3).unknown()), (2, 3));
        // What came in meanwhile is of no known lot, whenever in between it came.
        let busy = book.as_of(8, 17);
        assert_eq!((quantities(&busy), busy.unknown()), (vec![("soon", 0), ("late", 0), ("never", 0)], 8));
        // Of one day what came first goes first, then by id.
        let same = self::book(&[("b", Some(5), 1, 1), ("a", Some(5), 1, 1), ("c", Some(5), 0, 1)], 0);
        assert_eq!(quantities(&same), [("c", 1), ("a", 1), ("b", 1)]);
    }

    #[test]
    fn a_lot_is_kept_aside_and_given_back_unless_its_day_is_over() {
        let mut book = book(&[("a", Some(50), 1, 4), ("b", Some(90), 2, 5)], 1);
        assert_eq!((book.quarantine("a"), book.quarantine("a"), book.quarantine("none")), (4, 0, 0));
        assert_eq!((book.on_hand(), book.quarantined(), book.sell_until()), (6, 4, Some(90)));
        // Nothing of it is sold meanwhile.
        assert_eq!(book.as_of(0, 10).lot("a").map(|lot| lot.quarantined), Some(4));
        assert_eq!((book.release("a", 50), book.release("a", 49)), (0, 4));
        assert_eq!((book.expire(49), book.expire(50), book.expire(50)), (0, 4, 0));
        assert_eq!((book.on_hand(), book.quarantined()), (6, 4));
        assert_eq!(book.take("a", 5, true), Err(LotError::Short));
        assert_eq!((book.take("a", 4, true), book.quarantined()), (Ok(()), 0));
        assert_eq!(book.take("b", 6, false), Err(LotError::Short));
        assert_eq!(book.take("c", 1, false), Err(LotError::Short));
    }

    #[test]
    fn a_lot_that_is_quarantined_here_stays_aside_until_it_is_let_go() {
        let mut book = book(&[("a", Some(50), 1, 4), ("b", Some(90), 2, 5)], 1);
        assert_eq!((book.hold(lot("a", Some(50), 1)), book.hold(lot("new", None, 3))), (Ok(4), Ok(0)));
        // What comes in of it is kept aside, also where none of it was there.
        book.add(lot("a", Some(50), 1), 2, false).unwrap();
        book.add(lot("new", None, 3), 3, false).unwrap();
        assert_eq!((book.on_hand(), book.quarantined()), (6, 9));
        // A release everywhere is none here, and nothing of it is forgotten when all of it has gone.
        assert_eq!(book.release("a", 1), 0);
        book.take("a", 6, true).unwrap();
        book = book.kept(12);
        assert_eq!(book.lot("a").map(|lot| (lot.quantity, lot.quarantined, lot.is_held)), Some((0, 0, true)));
        book.let_go("new");
        assert_eq!((book.release("new", 1), book.on_hand()), (3, 9));
        book.let_go("a");
        assert!(book.kept(12).lot("a").is_none());
    }

    #[test]
    fn what_is_taken_without_a_name_leaves_one_lot_alone() {
        let before = book(&[("a", Some(50), 1, 4), ("b", Some(90), 2, 5)], 2);
        let taken = |quantity: i64| {
            let mut book = before.clone();
            let got = book.take_but("a", quantity);
            (got, book.lot("b").map(|lot| lot.quantity), book.unknown())
        };
        assert_eq!(taken(1), (1, Some(5), 1));
        assert_eq!(taken(4), (4, Some(3), 0));
        assert_eq!(taken(9), (7, Some(0), 0));
        let mut all = before.clone();
        all.take_any(12);
        assert_eq!((all.on_hand(), all.unknown()), (-1, -1));
        // Nothing is taken of what is below zero.
        let mut owing = LotBook::of_unknown(-3, 0);
        assert_eq!((owing.take_but("a", 2), owing.unknown()), (0, -3));
    }

    #[test]
    fn a_book_has_so_many_lots_with_something_left() {
        let mut book = LotBook::default();
        for n in 0..LOTS_MAX {
            book.add(lot(&format!("l{n}"), None, 0), 1, false).unwrap();
        }
        assert_eq!(book.add(lot("more", None, 0), 1, false), Err(LotError::TooMany));
        book.add(lot("l7", None, 0), 1, false).unwrap();
        book.take("l0", 1, false).unwrap();
        book.add(lot("more", None, 0), 1, false).unwrap();
        assert!(book.lot("l0").is_none() && book.lot("more").is_some());
    }

    #[test]
    fn what_is_kept_aside_has_room_where_nothing_else_has() {
        let mut book = LotBook::default();
        for n in 0..LOTS_MAX {
            book.add(lot(&format!("l{n}"), None, 0), 1, false).unwrap();
        }
        for n in LOTS_MAX..LOTS_WITH_ASIDE_MAX {
            let id = format!("l{n}");
            assert_eq!(book.add(lot(&id, None, 0), 1, true), Err(LotError::TooMany));
            book.add_aside(lot(&id, None, 0), 1).unwrap();
            book.add_aside(lot(&id, None, 0), 1).unwrap();
        }
        assert_eq!(book.add_aside(lot("more", None, 0), 1), Err(LotError::TooMany));
        assert_eq!((book.on_hand(), book.quarantined()), (50, 80));
    }

    #[test]
    fn what_was_of_no_known_lot_is_said_to_be_of_one() {
        let mut book = book(&[("a", Some(50), 1, 4)], 5);
        assert_eq!(book.assign(lot("b", Some(90), 2), 6, false), Err(LotError::Short));
        book.assign(lot("b", Some(90), 2), 2, false).unwrap();
        assert_eq!((quantities(&book), book.unknown(), book.on_hand()), (vec![("a", 4), ("b", 2)], 3, 9));
        book.assign(lot("c", None, 3), 3, true).unwrap();
        assert_eq!((book.unknown(), book.on_hand(), book.quarantined()), (0, 6, 3));
    }

    #[test]
    fn books_are_read_as_they_were_written() {
        let book = book(&[("a", Some(50), 1, 4)], 2);
        let text = serde_json::to_string(&book).unwrap();
        assert_eq!(text, r#"{"l":[{"i":"a","u":50,"r":1,"q":4}],"x":2,"c":6}"#);
        assert_eq!(serde_json::from_str::<LotBook>(&text).unwrap(), book);
        // Only what is quarantined here says so.
        let mut held = book.clone();
        held.hold(lot("a", Some(50), 1)).unwrap();
        let text = serde_json::to_string(&held).unwrap();
        assert_eq!(text, r#"{"l":[{"i":"a","u":50,"r":1,"k":4,"h":true}],"x":2,"c":6}"#);
        assert_eq!(serde_json::from_str::<LotBook>(&text).unwrap(), held);
    }

    proptest! {
        /// Whatever left and came in, one after another or all at once: the lots are the same, add up to what is on
        /// hand, and what changed in each step adds up to the step.
        #[test]
        fn the_lots_follow_from_two_counters(
            steps in proptest::collection::vec(-6_i64..6, 0..40),
            held in proptest::collection::vec((proptest::option::of(0_i64..4), 0_i64..9), 0..6),
        ) {
            let named: Vec<_> = (0_i64..).zip(&held).map(|(n, (until, q))| (format!("l{n}"), *until, n, *q)).collect();
            let named: Vec<_> = named.iter().map(|(id, until, n, q)| (id.as_str(), *until, *n, *q)).collect();
            let written = book(&named, 3);
            let (mut on_hand, mut came_in) = (written.on_hand(), written.on_hand());
            let mut stepwise = written.clone();
            for step in steps {
                let step = step.max(-on_hand);
                on_hand += step;
                came_in += step.max(0);
                let next = stepwise.as_of(on_hand, came_in);
                let changed = next.changes_since(&stepwise);
                prop_assert_eq!(changed.iter().map(|change| change.on_hand).sum::<i64>(), step);
                prop_assert!(next.unknown() >= 0 && next.lots().iter().all(|lot| lot.quantity >= 0));
                stepwise = next;
            }
            prop_assert_eq!(stepwise.on_hand(), on_hand);
            prop_assert_eq!(written.as_of(on_hand, came_in), stepwise);
        }
    }
}
