//! Which locations deliver what somebody wants who does not mind from where.
//!
//! A plan covers all lines or there is none. The places stand in an order of preference (a priority list, or the
//! nearest first), and every tie is decided by it, so that the same question has one answer.
//!
//! - In order: each line comes from the first place that has all of it.
//! - Fewest shipments: as few places as can be, of such sets the one whose places stand first in the order of
//!   preference; then each line from the first of them that has all of it.
//!
//! A line is split over places only where that is allowed and no one place has all of it: then each place in turn
//! gives what it has.
//!
//! The smallest set is looked for among all sets of one place, then of two, and so on, as long as there are at most
//! [`SETS_MAX`] to look at: so it is the smallest wherever there are 14 places with anything to give, or two of 200
//! suffice. Beyond that the place is added, again and again, that gives most of what is left (lines without splitting,
//! thousandths with it), then every place is left out again that the others can do without. Such a set is at most
//! 1 + ln(n) times as large as the smallest, where n is the most that any one place gives by that count (Chvátal, "A
//! Greedy Heuristic for the Set-Covering Problem", 1979; Wolsey, 1982, for quantities).

use std::cmp::Reverse;
use std::ops::Range;

use crate::quantity::Quantity;

/// Most sets of places that are looked at for the smallest.
pub const SETS_MAX: u64 = 25_000;

/// How places are chosen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Choice {
    /// In their order.
    InOrder,
    /// As few as can be; their order decides between sets of the same size.
    Fewest,
}

/// What one place delivers of one line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Delivered {
    /// Position of the line.
    pub line: usize,
    /// Position of the place.
    pub place: usize,
    /// How many.
    pub quantity: Quantity,
}

/// The lines that the places cannot deliver, by position.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Missing(pub Vec<usize>);

/// What is wanted, and what there is of it.
#[derive(Debug, Clone, Copy)]
pub struct Question<'a> {
    /// Each line's quantity, above zero.
    pub wanted: &'a [Quantity],
    /// By place, in order of preference: what it has of each line. What is missing or below zero is nothing.
    pub places: &'a [Vec<Quantity>],
    /// How places are chosen.
    pub choice: Choice,
    /// Whether one line may come from several places.
    pub split_lines: bool,
}

impl Question<'_> {
    /// The plan, by line and in order of preference.
    ///
    /// # Errors
    /// [`Missing`] with every line that the places cannot deliver.
    pub fn plan(&self) -> Result<Vec<Delivered>, Missing> {
        let all: Vec<usize> = (0..self.places.len()).collect();
        let missing: Vec<usize> = self.lines().filter(|line| !self.is_covered(*line, &all)).collect();
        if !missing.is_empty() {
            return Err(Missing(missing));
        }
        Ok(match self.choice {
            Choice::InOrder => self.taken_from(&all),
            Choice::Fewest => self.taken_from(&self.fewest()),
        })
    }

    fn lines(&self) -> Range<usize> {
        0..self.wanted.len()
    }

    /// What is wanted of a line, in thousandths.
    fn wanted(&self, line: usize) -> i64 {
        self.wanted.get(line).map_or(0, |quantity| quantity.thousandths())
    }

    /// What a place has of a line, in thousandths.
    fn has(&self, place: usize, line: usize) -> i64 {
        let stock = self.places.get(place).and_then(|stock| stock.get(line));
        stock.map_or(0, |quantity| quantity.thousandths().max(0))
    }

    fn is_covered(&self, line: usize, places: &[usize]) -> bool {
        let wanted = self.wanted(line);
        let alone = places.iter().any(|place| self.has(*place, line) >= wanted);
        alone || (self.split_lines && self.together(line, places) >= wanted)
    }

    fn together(&self, line: usize, places: &[usize]) -> i64 {
        places.iter().fold(0, |sum: i64, place| sum.saturating_add(self.has(*place, line)))
    }

    fn cover(&self, places: &[usize]) -> bool {
        self.lines().all(|line| self.is_covered(line, places))
    }

    /// What these places give of each line, where they cover all of them.
    fn taken_from(&self, places: &[usize]) -> Vec<Delivered> {
        let mut plan = Vec::with_capacity(self.wanted.len());
        for line in self.lines() {
            let mut left = self.wanted(line);
            let alone = places.iter().find(|place| self.has(**place, line) >= left);
            let from = alone.map_or(places, std::slice::from_ref);
            for place in from {
                let given = self.has(*place, line).min(left);
                if given > 0 {
                    plan.push(Delivered { line, place: *place, quantity: Quantity::of_counter(given) });
                    left -= given;
                }
            }
        }
        plan
    }

    /// The smallest set of places that covers all lines, where all places do; beyond what is looked at, a small one.
    fn fewest(&self) -> Vec<usize> {
        let gives = |place: &usize| self.lines().any(|line| self.gives(*place, line));
        let useful: Vec<usize> = (0..self.places.len()).filter(gives).collect();
        let mut looked_at = 0_u64;
        for size in 1..=useful.len() {
            looked_at = looked_at.saturating_add(sets_of(useful.len(), size));
            if looked_at > SETS_MAX {
                break;
            }
            if let Some(set) = sets(&useful, size).find(|set| self.cover(set)) {
                return set;
            }
        }
        self.few(&useful)
    }

    /// Whether a place can give anything of a line.
    fn gives(&self, place: usize, line: usize) -> bool {
        let has = self.has(place, line);
        has >= self.wanted(line) || (self.split_lines && has > 0)
    }

    /// A small set: always the place that gives most of what is left, then without those that are not needed.
    fn few(&self, useful: &[usize]) -> Vec<usize> {
        let mut left: Vec<i64> = self.lines().map(|line| self.wanted(line)).collect();
        let mut chosen: Vec<usize> = Vec::new();
        while left.iter().any(|left| *left > 0) {
            let gives = |place: usize| -> i64 {
                let of_line = |(line, left): (usize, &i64)| {
                    let has = self.has(place, line);
                    match self.split_lines {
                        true => has.min(*left),
                        false => i64::from(*left > 0 && has >= *left),
                    }
                };
                left.iter().enumerate().map(of_line).fold(0, i64::saturating_add)
            };
            let others = useful.iter().copied().filter(|place| !chosen.contains(place));
            // Of those that give as much, the first.
            let given = others.map(|place| (gives(place), place));
            let most = given.max_by_key(|(given, place)| (*given, Reverse(*place)));
            let Some((_, place)) = most.filter(|(given, _)| *given > 0) else { break };
            for (line, left) in left.iter_mut().enumerate() {
                let has = self.has(place, line);
                if has >= *left {
                    *left = 0;
                } else if self.split_lines {
                    *left -= has;
                }
            }
            chosen.push(place);
        }
        // The least preferred first.
        chosen.sort_unstable();
        for place in chosen.clone().into_iter().rev() {
            let without: Vec<usize> = chosen.iter().copied().filter(|other| *other != place).collect();
            if self.cover(&without) {
                chosen = without;
            }
        }
        chosen
    }
}

/// How many sets of so many there are among so many places.
fn sets_of(places: usize, size: usize) -> u64 {
    let of = |n: usize| u64::try_from(n).unwrap_or(u64::MAX);
    // Each step is a whole number: the sets of one less, times what they may be joined by, over how often each is met.
    (1..=size).fold(1_u64, |sets, n| sets.saturating_mul(of(places + 1 - n)) / of(n))
}

/// All sets of so many of these places, in the order of the places.
fn sets(places: &[usize], size: usize) -> impl Iterator<Item = Vec<usize>> {
    let first = (size <= places.len()).then(|| (0..size).collect::<Vec<usize>>());
    let positions = std::iter::successors(first, move |last| next_set(last, places.len()));
    positions.map(move |positions| positions.iter().filter_map(|at| places.get(*at).copied()).collect())
}

/// The positions that follow these in the order of all sets of as many among `count`.
fn next_set(last: &[usize], count: usize) -> Option<Vec<usize>> {
    let size = last.len();
    let moves =
        (0..size).rev().find(|at| last.get(*at).is_some_and(|position| position + size < count + at))?;
    let moved = last.get(moves)? + 1;
    let mut next = last.get(..moves)?.to_vec();
    next.extend((moved..).take(size - moves));
    Some(next)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    fn pieces(stock: &[i64]) -> Vec<Quantity> {
        stock.iter().map(|n| Quantity::of_counter(n * 1_000)).collect()
    }

    fn ask(wanted: &[i64], places: &[&[i64]], choice: Choice, split_lines: bool) -> Answer {
        let wanted = pieces(wanted);
        let places: Vec<_> = places.iter().map(|stock| pieces(stock)).collect();
        answer(&Question { wanted: &wanted, places: &places, choice, split_lines })
    }

    /// Line, place and pieces; or the lines that are missing.
    type Answer = Result<Vec<(usize, usize, i64)>, Vec<usize>>;

    fn answer(question: &Question<'_>) -> Answer {
        let plain = |plan: Vec<Delivered>| {
            plan.iter().map(|d| (d.line, d.place, d.quantity.thousandths() / 1_000)).collect()
        };
        question.plan().map(plain).map_err(|missing| missing.0)
    }

    use Choice::{Fewest, InOrder};

    #[test]
    fn in_order_each_line_comes_from_the_first_that_has_all_of_it() {
        let places: &[&[i64]] = &[&[1, 9], &[5, 9], &[9, 9]];
        assert_eq!(ask(&[5, 2], places, InOrder, false), Ok(vec![(0, 1, 5), (1, 0, 2)]));
        // Splitting is no aim: only what no place has alone is split, and in order.
        assert_eq!(ask(&[5, 2], places, InOrder, true), Ok(vec![(0, 1, 5), (1, 0, 2)]));
        assert_eq!(ask(&[12], places, InOrder, true), Ok(vec![(0, 0, 1), (0, 1, 5), (0, 2, 6)]));
        assert_eq!(ask(&[12, 10], places, InOrder, false), Err(vec![0, 1]));
        assert_eq!(ask(&[16, 1], places, InOrder, true), Err(vec![0]));
    }

    #[test]
    fn the_fewest_are_chosen_and_of_as_many_the_first() {
        // One place of the last has all; the first two together too.
        let places: &[&[i64]] = &[&[5, 0], &[0, 5], &[5, 5]];
        assert_eq!(ask(&[5, 5], places, Fewest, false), Ok(vec![(0, 2, 5), (1, 2, 5)]));
        let places: &[&[i64]] = &[&[5, 0], &[0, 5], &[5, 0], &[0, 5]];
        assert_eq!(ask(&[5, 5], places, Fewest, false), Ok(vec![(0, 0, 5), (1, 1, 5)]));
        // Two suffice by splitting: the first two do not, the first and third do.
        let places: &[&[i64]] = &[&[3], &[3], &[4], &[4]];
        assert_eq!(ask(&[7], places, Fewest, true), Ok(vec![(0, 0, 3), (0, 2, 4)]));
        assert_eq!(ask(&[7], places, Fewest, false), Err(vec![0]));
    }

    #[test]
    fn nobody_has_anything_of_what_is_not_said() {
        let wanted = pieces(&[1]);
        for places in [vec![], vec![vec![]], vec![pieces(&[0])], vec![pieces(&[-5])]] {
            for choice in [InOrder, Fewest] {
                for split_lines in [false, true] {
                    let question = Question { wanted: &wanted, places: &places, choice, split_lines };
                    assert_eq!(answer(&question), Err(vec![0]), "{places:?}");
                }
            }
        }
        // What is short elsewhere takes nothing from another place.
        let places = vec![pieces(&[-5]), pieces(&[1])];
        let question = Question { wanted: &wanted, places: &places, choice: Fewest, split_lines: true };
        assert_eq!(answer(&question), Ok(vec![(0, 1, 1)]));
    }

    #[test]
    fn sets_are_counted_and_named_in_order() {
        let named: Vec<_> = sets(&[7, 8, 9], 2).collect();
        assert_eq!(named, [[7, 8], [7, 9], [8, 9]]);
        for (places, size) in [(5, 1), (5, 3), (5, 5), (6, 2), (14, 7), (1, 1)] {
            let all: Vec<usize> = (0..places).collect();
            let named: Vec<_> = sets(&all, size).collect();
            assert_eq!(u64::try_from(named.len()).unwrap(), sets_of(places, size));
            assert!(named.is_sorted() && named.iter().collect::<BTreeSet<_>>().len() == named.len());
        }
        assert_eq!(sets(&[1], 2).count(), 0);
        // What the bound is said to reach.
        let up_to = |places: usize, size: usize| (1..=size).map(|size| sets_of(places, size)).sum::<u64>();
        assert!(up_to(14, 14) <= SETS_MAX && up_to(50, 3) <= SETS_MAX && up_to(200, 2) <= SETS_MAX);
        assert!(up_to(15, 15) > SETS_MAX && up_to(200, 3) > SETS_MAX);
        assert!(sets_of(1_000, 500) > SETS_MAX, "it is counted, however many there are");
    }

    /// Forty places with one line each, and four that have ten each: greedy finds them.
    #[test]
    fn beyond_what_is_looked_at_the_most_useful_come_first() {
        let wanted = pieces(&[1; 40]);
        let only = |line: usize| pieces(&(0..40).map(|n| i64::from(n == line)).collect::<Vec<_>>());
        let ten = |n: usize| pieces(&(0..40).map(|line| i64::from(line / 10 == n)).collect::<Vec<_>>());
        let places: Vec<_> = (0..40).map(only).chain((0..4).map(ten)).collect();
        let question = Question { wanted: &wanted, places: &places, choice: Fewest, split_lines: false };
        let used: BTreeSet<usize> = question.plan().unwrap().iter().map(|d| d.place).collect();
        assert_eq!(used, BTreeSet::from([40, 41, 42, 43]));
    }

    fn questions(most_places: usize) -> impl Strategy<Value = (Vec<i64>, Vec<Vec<i64>>, bool)> {
        (1..=4_usize).prop_flat_map(move |lines| {
            (
                prop::collection::vec(1..=6_i64, lines),
                prop::collection::vec(prop::collection::vec(-1..=6_i64, lines), 1..=most_places),
                any::<bool>(),
            )
        })
    }

    /// What is asked for here, by trying all sets of places: the size of the smallest that covers.
    fn smallest(wanted: &[i64], places: &[Vec<i64>], split_lines: bool) -> Option<u32> {
        let covers = |set: u32| {
            let inside = |place: &usize| set & (1_u32 << *place) != 0;
            wanted.iter().enumerate().all(|(line, wanted)| {
                let has = (0..places.len()).filter(inside).map(|place| places[place][line].max(0));
                if split_lines { has.sum::<i64>() >= *wanted } else { has.max().unwrap_or(0) >= *wanted }
            })
        };
        (0..1_u32 << places.len()).filter(|set| covers(*set)).map(u32::count_ones).min()
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(1_500))]

        /// Whatever is planned is there, is all that is wanted, and is split only where that is allowed and needed.
        #[test]
        fn a_plan_takes_what_is_there((wanted, places, split_lines) in questions(6), fewest in any::<bool>()) {
            let choice = if fewest { Fewest } else { InOrder };
            let slices: Vec<&[i64]> = places.iter().map(Vec::as_slice).collect();
            let found = ask(&wanted, &slices, choice, split_lines);
            prop_assert_eq!(&found, &ask(&wanted, &slices, choice, split_lines), "the same question again");
            let there_is_one = smallest(&wanted, &places, split_lines).is_some();
            let Ok(plan) = found else {
                prop_assert!(!there_is_one);
                return Ok(());
            };
            prop_assert!(there_is_one);
            for (line, wanted) in wanted.iter().enumerate() {
                let of_line: Vec<_> = plan.iter().copied().filter(|(of, ..)| *of == line).collect();
                prop_assert_eq!(of_line.iter().map(|(.., n)| n).sum::<i64>(), *wanted);
                prop_assert!(of_line.iter().all(|(_, place, n)| *n > 0 && *n <= places[*place][line]));
                prop_assert!(of_line.windows(2).all(|two| two[0].1 < two[1].1), "each place once, in order");
                prop_assert!(split_lines || of_line.len() == 1);
                let used: BTreeSet<usize> = plan.iter().map(|(_, place, _)| *place).collect();
                let may = |place: &usize| !fewest || used.contains(place);
                let alone = (0..places.len()).filter(may).find(|place| places[*place][line] >= *wanted);
                match alone {
                    // No place that stands before it could have given all of it.
                    Some(first) => prop_assert_eq!(of_line, vec![(line, first, *wanted)]),
                    // Each place gives all it has before the next is asked.
                    None => {
                        let drained = |(_, place, n): &(usize, usize, i64)| *n == places[*place][line];
                        prop_assert!(of_line[..of_line.len() - 1].iter().all(drained));
                    }
                }
            }
        }

        #[test]
        fn the_fewest_are_the_fewest((wanted, places, split_lines) in questions(6)) {
            let slices: Vec<&[i64]> = places.iter().map(Vec::as_slice).collect();
            let found = ask(&wanted, &slices, Fewest, split_lines);
            let used = found.map(|plan| plan.iter().map(|(_, place, _)| *place).collect::<BTreeSet<_>>().len());
            let least = smallest(&wanted, &places, split_lines);
            prop_assert_eq!(used.ok().map(|n| u32::try_from(n).unwrap()), least);
        }

        /// Beyond what is looked at: it covers, nothing in it is needless, and it is as small as is promised.
        #[test]
        fn few_are_few_enough((wanted, places, split_lines) in questions(10)) {
            let (in_pieces, stock) = (pieces(&wanted), places.iter().map(|s| pieces(s)).collect::<Vec<_>>());
            let question = Question { wanted: &in_pieces, places: &stock, choice: Fewest, split_lines };
            let Some(least) = smallest(&wanted, &places, split_lines) else { return Ok(()) };
            let useful: Vec<usize> = (0..places.len()).collect();
            let few = question.few(&useful);
            prop_assert!(question.cover(&few));
            for place in &few {
                let without: Vec<usize> = few.iter().copied().filter(|other| other != place).collect();
                prop_assert!(!question.cover(&without), "{} is not needed", place);
            }
            // 1 + ln(n) for n up to 4 lines, or 24 pieces of which each counts a thousand: never above 12 times.
            prop_assert!(u32::try_from(few.len()).unwrap() <= least * if split_lines { 12 } else { 3 });
        }
    }
}
