//! How fast stock moves: how long it lasts, how much of it is sold, how often it turns. Whole numbers throughout: all
//! quantities are thousandths of the product's unit, all times are epoch milliseconds.
//!
//! The names are the trade's. *Stock cover* (days of supply): for how many days what is available lasts, if it sells on
//! as it did. *Sell-through*: what share of the goods that there were to sell, opening stock and receipts, was sold.
//! *Stock turn* (inventory turnover, in units): how often the average stock was sold in the period, which is not made a
//! year's. The average is weighted by time, so that a delivery on the last day counts for the one day that it was there.

use crate::money::{divide_rounding, format_decimal};

/// What a movement of stock was for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Flow {
    /// Customers took it, or brought it back.
    Sold,
    /// It was delivered.
    Received,
    /// Anything else.
    Other,
}

/// One movement of stock.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Moved {
    /// When, as its cause told it.
    pub at: i64,
    /// By how much on hand changed.
    pub on_hand: i64,
    /// By how much the goods changed, in whatever state they are: on hand, damaged or kept aside.
    pub goods: i64,
    /// What it was for.
    pub flow: Flow,
}

/// The days that are looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Period {
    /// When the first of them begins.
    pub from: i64,
    /// When the last of them is over, which is after `from`.
    pub until: i64,
    /// How many they are, at least one.
    pub days: u32,
}

/// Stock as it is now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Present {
    /// On hand after all movements.
    pub on_hand: i64,
    /// To be sold.
    pub available: i64,
}

/// What is reckoned of a SKU at a location. Always opening + received − sold + other = closing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Turnover {
    /// What customers took, less what they brought back in whatever state; below zero where they brought more.
    pub sold: i64,
    /// What was delivered, in whatever state.
    pub received: i64,
    /// All else that changed on hand.
    pub other: i64,
    /// On hand at the beginning.
    pub opening: i64,
    /// On hand at the end.
    pub closing: i64,
    /// On hand on average over the time, rounded half away from zero; `None` of no time at all.
    pub average_on_hand: Option<i64>,
    /// Sold a day, cut to thousandths.
    pub sold_per_day: i64,
    /// How many days what is available lasts, with one decimal; `None` where nothing was sold.
    pub cover_days: Option<String>,
    /// Sold of what there was to sell, with three decimals; `None` where there was nothing to sell.
    pub sell_through: Option<String>,
    /// Sold over the average on hand, with two decimals; `None` where that is not above zero.
    pub turns: Option<String>,
}

/// Reckons the figures of a period from the movements since it began, in whatever order they are told. `since`: what is
/// before it is not known, so that the figures are of the time from then on; where even that is after the period, they
/// are of no time at all, and what is opening and closing was on hand at that moment.
pub fn reckon(period: &Period, since: Option<i64>, present: Present, rows: &[Moved]) -> Turnover {
    let wide = i128::from;
    let start = since.map_or(period.from, |since| since.max(period.from));
    let end = period.until.max(start);
    let mut closing = wide(present.on_hand);
    let (mut sold, mut received, mut moved, mut moved_late) = (0_i128, 0_i128, 0_i128, 0_i128);
    for row in rows {
        if row.at >= end {
            closing -= wide(row.on_hand);
        } else if row.at >= start {
            moved += wide(row.on_hand);
            // What came in later was not there before.
            moved_late += wide(row.on_hand) * (wide(row.at) - wide(start));
            match row.flow {
                Flow::Sold => sold -= wide(row.goods),
                Flow::Received => received += wide(row.goods),
                Flow::Other => {}
            }
        }
    }
    let opening = closing - moved;
    let elapsed = wide(end) - wide(start);
    // The sum of what was on hand over all moments: what stands at the end, all along, but for what was not there yet.
    let over_time = closing * elapsed - moved_late;
    // A day is as long as the period's are on average: where clocks are changed they are not equally long.
    let whole = (wide(period.until) - wide(period.from)).max(1);
    let in_days = i128::from(period.days) * elapsed;
    let to_sell = opening + received;
    Turnover {
        sold: narrow(sold),
        received: narrow(received),
        other: narrow(moved - received + sold),
        opening: narrow(opening),
        closing: narrow(closing),
        average_on_hand: (elapsed > 0).then(|| narrow(divide_rounding(over_time, elapsed))),
        sold_per_day: if in_days > 0 { narrow(sold * whole / in_days) } else { 0 },
        cover_days: (sold > 0).then(|| decimal(wide(present.available.max(0)) * in_days, sold * whole, 1)),
        sell_through: (elapsed > 0 && to_sell > 0).then(|| decimal(sold, to_sell, 3)),
        turns: (over_time > 0).then(|| decimal(sold * elapsed, over_time, 2)),
    }
}

/// A quotient with so many decimals, rounded half away from zero. `divisor` is positive.
fn decimal(value: i128, divisor: i128, digits: u32) -> String {
    let scaled = divide_rounding(value * 10_i128.pow(digits), divisor);
    format_decimal(narrow(scaled), digits, usize::try_from(digits).unwrap_or(0))
}

fn narrow(number: i128) -> i64 {
    i64::try_from(number).unwrap_or(if number < 0 { i64::MIN } else { i64::MAX })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const PIECE: i64 = 1_000;
    const HOUR: i64 = 3_600_000;
    const DAY: i64 = 24 * HOUR;

    /// So many pieces on hand, at an hour.
    fn moved(hour: i64, pieces: i64, flow: Flow) -> Moved {
        Moved { at: hour * HOUR, on_hand: pieces * PIECE, goods: pieces * PIECE, flow }
    }

    fn present(on_hand: i64, available: i64) -> Present {
        Present { on_hand: on_hand * PIECE, available: available * PIECE }
    }

    fn days(days: u32) -> Period {
        Period { from: 0, until: i64::from(days) * DAY, days }
    }

    fn text(text: &str) -> Option<String> {
        Some(text.to_owned())
    }

    /// By hand: 10 to begin with. At 6 o'clock 4 are sold; at 12 come 6, one of them damaged; at 18 one comes back, and is
    /// damaged. On hand 6 hours 10, 6 hours 6, 12 hours 11: 228 ÷ 24 = 9.5 on average. The day after 2 are sold: 9 are left.
    #[test]
    fn a_day_can_be_reckoned_by_hand() {
        let rows = [
            moved(30, -2, Flow::Sold),
            Moved { at: 18 * HOUR, on_hand: 0, goods: PIECE, flow: Flow::Sold },
            Moved { at: 12 * HOUR, on_hand: 5 * PIECE, goods: 6 * PIECE, flow: Flow::Received },
            moved(6, -4, Flow::Sold),
            moved(-1, 10, Flow::Other),
        ];
        let expected = Turnover {
            sold: 3 * PIECE,
            received: 6 * PIECE,
            // Of what came one was not fit for sale, and what came back is not on hand.
            other: -2 * PIECE,
            opening: 10 * PIECE,
            closing: 11 * PIECE,
            average_on_hand: Some(9_500),
            sold_per_day: 3 * PIECE,
            // 8 ÷ 3, 3 ÷ 16, 3 ÷ 9.5.
            cover_days: text("2.7"),
            sell_through: text("0.188"),
            turns: text("0.32"),
        };
        assert_eq!(reckon(&days(1), None, present(9, 8), &rows), expected);
        let mut otherwise = rows;
        otherwise.reverse();
        assert_eq!(reckon(&days(1), None, present(9, 8), &otherwise), expected, "in whatever order");
    }

    #[test]
    fn a_movement_belongs_to_the_days_from_their_first_moment_to_before_their_last() {
        let of = |at| {
            let row = Moved { at, ..moved(0, -2, Flow::Sold) };
            let reckoned = reckon(&days(1), None, present(5, 5), &[row]);
            (reckoned.sold / PIECE, reckoned.opening / PIECE, reckoned.closing / PIECE)
        };
        assert_eq!([of(-1), of(0), of(DAY - 1), of(DAY)], [(0, 5, 5), (2, 7, 5), (2, 7, 5), (0, 7, 7)]);
    }

    #[test]
    fn where_nothing_is_sold_nothing_is_said_of_how_long_it_lasts() {
        let idle = reckon(&days(7), None, present(5, 5), &[]);
        assert_eq!((idle.sold_per_day, idle.cover_days, idle.average_on_hand), (0, None, Some(5 * PIECE)));
        assert_eq!((idle.sell_through, idle.turns), (text("0.000"), text("0.00")));
        let brought_back = reckon(&days(2), None, present(8, 8), &[moved(5, 3, Flow::Sold)]);
        assert_eq!((brought_back.sold, brought_back.cover_days), (-3 * PIECE, None));
        assert_eq!((brought_back.sold_per_day, brought_back.sell_through), (-1_500, text("-0.600")));
        // Nothing there to sell, nor on average.
        let none = reckon(&days(7), None, present(0, 0), &[]);
        assert_eq!((none.sell_through, none.turns, none.average_on_hand), (None, None, Some(0)));
        // All that came was sold at once: there was something to sell, and it was there for no time.
        let through =
            reckon(&days(1), None, present(0, -3), &[moved(4, 4, Flow::Received), moved(4, -4, Flow::Sold)]);
        assert_eq!((through.sell_through, through.turns), (text("1.000"), None));
        assert_eq!(through.cover_days, text("0.0"), "what is available below zero lasts for no time");
    }

    #[test]
    fn what_is_known_since_later_is_of_the_time_since() {
        let rows = [moved(30, -4, Flow::Sold), moved(20, -9, Flow::Sold), moved(50, -1, Flow::Sold)];
        let of = |since| reckon(&days(2), since, present(10, 12), &rows);
        let all = of(None);
        assert_eq!((all.sold / PIECE, all.opening / PIECE, all.sold_per_day), (13, 24, 6_500));
        assert_eq!(of(Some(-5)), all, "since before they began");
        // Of the second day alone: 15 for 6 hours, 11 for 18.
        let later = of(Some(24 * HOUR));
        assert_eq!((later.sold / PIECE, later.opening / PIECE, later.closing / PIECE), (4, 15, 11));
        assert_eq!((later.sold_per_day, later.average_on_hand), (4 * PIECE, Some(12 * PIECE)));
        assert_eq!((later.cover_days, later.turns), (text("3.0"), text("0.33")));
        // Nothing of them is known: what was on hand then.
        let after = of(Some(49 * HOUR));
        assert_eq!((after.sold, after.opening / PIECE, after.closing / PIECE), (0, 11, 11));
        assert_eq!((after.average_on_hand, after.cover_days, after.sell_through), (None, None, None));
        assert_eq!((after.turns, after.sold_per_day), (None, 0));
    }

    #[test]
    fn the_largest_numbers_end_at_the_limit() {
        let most = Present { on_hand: i64::MAX, available: i64::MAX };
        let row = Moved { at: DAY, on_hand: i64::MIN, goods: i64::MIN, flow: Flow::Sold };
        let reckoned = reckon(&days(90), None, most, &[row, row]);
        assert_eq!((reckoned.sold, reckoned.closing), (i64::MAX, i64::MAX));
        assert_eq!((reckoned.cover_days, reckoned.opening), (text("45.0"), i64::MAX));
    }

    proptest! {
        /// Moment by moment it is the same, and the figures add up.
        #[test]
        fn on_hand_is_what_it_is_at_each_moment(
            told in prop::collection::vec((0_i64..300, -9_i64..9, -9_i64..9, 0_u8..3), 0..20),
            on_hand in -50_i64..50,
        ) {
            let rows: Vec<Moved> = told.into_iter().map(|(at, on_hand, goods, flow)| {
                let flow = match flow { 0 => Flow::Sold, 1 => Flow::Received, _ => Flow::Other };
                Moved { at, on_hand, goods, flow }
            }).collect();
            let period = Period { from: 100, until: 200, days: 1 };
            let reckoned = reckon(&period, None, Present { on_hand, available: on_hand }, &rows);
            let after = |moment: i64| -> i64 {
                on_hand - rows.iter().filter(|row| row.at > moment).map(|row| row.on_hand).sum::<i64>()
            };
            let over_time: i64 = (100..200).map(after).sum();
            prop_assert_eq!(reckoned.average_on_hand, Some(narrow(divide_rounding(over_time.into(), 100))));
            prop_assert_eq!((reckoned.opening, reckoned.closing), (after(99), after(199)));
            let made = reckoned.opening + reckoned.received - reckoned.sold + reckoned.other;
            prop_assert_eq!(made, reckoned.closing);
        }
    }
}
