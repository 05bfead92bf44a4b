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
//! gives what it has. A line of kits takes several goods, for each kit all of them from the same place, and is split by
//! whole kits only.
//!
//! Where lines want the same goods (kits of a component that is wanted by itself too, or two kits that share one), the
//! first place of one may leave nothing for another. Then the kits choose first, in the order of the lines, and where
//! that leaves too little, the next place is tried, the last kit's first: the first choice that covers all lines is
//! taken, of at most [`TRIES_AT_ONCE`] for the same places. Before nothing is planned, a kit may be split although one
//! place has all of it. With splitting not every way to split is tried.
//!
//! The smallest set is looked for among all sets of one place, then of two, and so on, as long as there are at most
//! [`SETS_MAX`] to look at: so it is the smallest wherever there are 14 places with anything to give, or two of 200
//! suffice. Beyond that the place is added, again and again, that gives most of what is left (lines without splitting,
//! thousandths with it), then every place is left out again that the others can do without. Such a set is at most
//! 1 + ln(n) times as large as the smallest, where n is the most that any one place gives by that count (Chvátal, "A
//! Greedy Heuristic for the Set-Covering Problem", 1979; Wolsey, 1982, for quantities). Both hold where no two lines want
//! the same goods.

use std::cell::Cell;
use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;

use crate::quantity::Quantity;

/// Most sets of places that are looked at for the smallest.
pub const SETS_MAX: u64 = 25_000;
/// Most second choices that are tried with the same places, where lines want the same goods.
pub const TRIES_AT_ONCE: u32 = 500;
/// Most of them in all for one question.
const TRIES_MAX: u32 = 20_000;
/// One piece, in thousandths.
const PIECE: i64 = 1_000;

/// How places are chosen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Choice {
    /// In their order.
    InOrder,
    /// As few as can be; their order decides between sets of the same size.
    Fewest,
}

/// What a line takes from stock. Goods are named by their position in what a place has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Takes {
    /// As much of one of the goods as the line is of.
    Goods(usize),
    /// For each whole kit so much of each of these; something of at least one.
    Kit(Vec<(usize, Quantity)>),
}

/// What is wanted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Line {
    /// How many, above zero; whole ones of kits.
    pub quantity: Quantity,
    /// What they take from stock.
    pub takes: Takes,
}

impl Line {
    /// How many of it so much of each of the goods makes; what is missing or below zero is nothing.
    pub fn made_of(&self, stock: &[Quantity]) -> Quantity {
        let left = |goods: usize| stock.get(goods).map_or(0, |quantity| quantity.thousandths());
        Quantity::of_counter(self.makes(left))
    }

    fn makes(&self, left: impl Fn(usize) -> i64) -> i64 {
        match &self.takes {
            Takes::Goods(goods) => left(*goods).max(0),
            Takes::Kit(parts) => {
                let kits = |(goods, each): &(usize, Quantity)| {
                    left(*goods).max(0).checked_div(each.thousandths()).unwrap_or(0)
                };
                parts.iter().map(kits).min().unwrap_or(0).max(0).saturating_mul(PIECE)
            }
        }
    }

    /// What so many of it take, in thousandths.
    fn taken(&self, thousandths: i64) -> Vec<(usize, i64)> {
        match &self.takes {
            Takes::Goods(goods) => vec![(*goods, thousandths)],
            Takes::Kit(parts) => {
                let kits = thousandths / PIECE;
                let of_part =
                    |(goods, each): &(usize, Quantity)| (*goods, each.thousandths().saturating_mul(kits));
                parts.iter().map(of_part).collect()
            }
        }
    }

    fn goods(&self) -> Vec<usize> {
        self.taken(0).into_iter().map(|(goods, _)| goods).collect()
    }
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

/// The lines that the places cannot deliver, by position: those of which too little is there, or if there are none
/// those that want the same goods and cannot all have them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Missing(pub Vec<usize>);

/// What is wanted, and what there is of it.
#[derive(Debug, Clone, Copy)]
pub struct Question<'a> {
    /// What is wanted.
    pub lines: &'a [Line],
    /// By place, in order of preference: what it has of each of the goods. What is missing or below zero is nothing.
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
        let missing: Vec<usize> = self.positions().filter(|line| !self.is_covered(*line, &all)).collect();
        if !missing.is_empty() {
            return Err(Missing(missing));
        }
        let search = Search { question: self, groups: self.groups(), tries: Cell::new(TRIES_MAX) };
        let plan = search.plan_from(&all).map_err(Missing)?;
        Ok(match self.choice {
            Choice::InOrder => plan,
            Choice::Fewest => search.fewest().unwrap_or(plan),
        })
    }

    fn positions(&self) -> Range<usize> {
        0..self.lines.len()
    }

    /// What is wanted of a line, in thousandths.
    fn wanted(&self, line: usize) -> i64 {
        self.lines.get(line).map_or(0, |line| line.quantity.thousandths())
    }

    /// What a place has of one of the goods, in thousandths.
    fn stock(&self, place: usize, goods: usize) -> i64 {
        let stock = self.places.get(place).and_then(|stock| stock.get(goods));
        stock.map_or(0, |quantity| quantity.thousandths().max(0))
    }

    /// What a place has of a line, the other lines aside, in thousandths.
    fn has(&self, place: usize, line: usize) -> i64 {
        self.lines.get(line).map_or(0, |line| line.makes(|goods| self.stock(place, goods)))
    }

    fn is_covered(&self, line: usize, places: &[usize]) -> bool {
        let wanted = self.wanted(line);
        let alone = places.iter().any(|place| self.has(*place, line) >= wanted);
        alone || (self.split_lines && self.together(line, places) >= wanted)
    }

    fn together(&self, line: usize, places: &[usize]) -> i64 {
        places.iter().fold(0, |sum: i64, place| sum.saturating_add(self.has(*place, line)))
    }

    /// Whether a place can give anything of a line.
    fn gives(&self, place: usize, line: usize) -> bool {
        let has = self.has(place, line);
        has >= self.wanted(line) || (self.split_lines && has > 0)
    }

    /// The lines, together with those that want the same goods.
    fn groups(&self) -> Vec<Group> {
        let mut groups: Vec<Vec<usize>> = Vec::new();
        let mut group_of: BTreeMap<usize, usize> = BTreeMap::new();
        for (position, line) in self.lines.iter().enumerate() {
            let goods = line.goods();
            let met: BTreeSet<usize> =
                goods.iter().filter_map(|goods| group_of.get(goods).copied()).collect();
            let mut group = vec![position];
            for other in &met {
                group.extend(groups.get_mut(*other).map(std::mem::take).unwrap_or_default());
            }
            let into = groups.len();
            for of in group_of.values_mut() {
                if met.contains(&*of) {
                    *of = into;
                }
            }
            group_of.extend(goods.into_iter().map(|goods| (goods, into)));
            groups.push(group);
        }
        let is_kit = |line: &usize| matches!(self.lines.get(*line), Some(Line { takes: Takes::Kit(_), .. }));
        let group = |mut lines: Vec<usize>| {
            lines.sort_unstable();
            let (kits, plain): (Vec<usize>, Vec<usize>) = lines.into_iter().partition(is_kit);
            Group { kits, plain }
        };
        let mut groups: Vec<Group> =
            groups.into_iter().filter(|lines| !lines.is_empty()).map(group).collect();
        // Where a set of places fails, it mostly is because of these.
        groups.sort_by_key(|group| Reverse(group.is_shared()));
        groups
    }
}

/// Lines that want the same goods, by position, each in order; mostly it is one.
struct Group {
    kits: Vec<usize>,
    plain: Vec<usize>,
}

impl Group {
    fn is_shared(&self) -> bool {
        self.kits.len() + self.plain.len() > 1
    }

    fn lines(&self) -> impl Iterator<Item = usize> {
        self.kits.iter().chain(&self.plain).copied()
    }
}

/// So much of a line from so many places: positions among those of the shelves, and thousandths.
type Given = Vec<(usize, i64)>;

/// What is left at some places of the goods that a group wants.
struct Shelves<'a> {
    places: &'a [usize],
    /// The goods, in order.
    goods: Vec<usize>,
    /// By position of the place and of the goods.
    left: Vec<Vec<i64>>,
}

impl Shelves<'_> {
    fn makes(&self, at: usize, line: &Line) -> i64 {
        let shelf = self.left.get(at);
        line.makes(|goods| {
            let position = self.goods.binary_search(&goods).ok();
            shelf.zip(position).and_then(|(shelf, position)| shelf.get(position)).copied().unwrap_or(0)
        })
    }

    /// Takes what is given, or puts it back.
    fn take(&mut self, line: &Line, given: &[(usize, i64)], is_back: bool) {
        for (at, thousandths) in given {
            for (goods, taken) in line.taken(*thousandths) {
                let Ok(position) = self.goods.binary_search(&goods) else { continue };
                if let Some(left) = self.left.get_mut(*at).and_then(|shelf| shelf.get_mut(position)) {
                    *left = if is_back { left.saturating_add(taken) } else { left.saturating_sub(taken) };
                }
            }
        }
    }

    /// The places, in order, that have all of a line.
    fn alone(&self, line: &Line) -> Vec<Given> {
        let wanted = line.quantity.thousandths();
        let has_all = |at: &usize| self.makes(*at, line) >= wanted;
        (0..self.places.len()).filter(has_all).map(|at| vec![(at, wanted)]).collect()
    }

    /// What each place in turn has of a line, until it is all; `None` where it never is, or the first has all.
    fn drained(&self, line: &Line) -> Option<Given> {
        let mut due = line.quantity.thousandths();
        let mut given = Given::new();
        for at in 0..self.places.len() {
            let some = self.makes(at, line).min(due);
            if some > 0 {
                given.push((at, some));
                due -= some;
            }
        }
        (due == 0 && given.len() > 1).then_some(given)
    }
}

/// The search for one plan.
struct Search<'a> {
    question: &'a Question<'a>,
    groups: Vec<Group>,
    /// So many second choices are left.
    tries: Cell<u32>,
}

impl Search<'_> {
    /// What these places give of each line.
    ///
    /// # Errors
    /// The lines of the groups that they cannot cover.
    fn plan_from(&self, places: &[usize]) -> Result<Vec<Delivered>, Vec<usize>> {
        let (mut plan, mut missing) = (Vec::with_capacity(self.question.lines.len()), Vec::new());
        for group in &self.groups {
            match self.of_group(group, places) {
                Some(of_group) => plan.extend(of_group),
                None => missing.extend(group.lines()),
            }
        }
        if missing.is_empty() {
            plan.sort_by_key(|delivered| (delivered.line, delivered.place));
            return Ok(plan);
        }
        missing.sort_unstable();
        Err(missing)
    }

    /// The same, if they cover all.
    fn plan_if_any(&self, places: &[usize]) -> Option<Vec<Delivered>> {
        if !self.cover_each(places) {
            return None;
        }
        let mut plan = Vec::with_capacity(self.question.lines.len());
        for group in &self.groups {
            plan.extend(self.of_group(group, places)?);
        }
        plan.sort_by_key(|delivered| (delivered.line, delivered.place));
        Some(plan)
    }

    /// Whether they do.
    fn cover(&self, places: &[usize]) -> bool {
        let mut shared = self.groups.iter().filter(|group| group.is_shared());
        self.cover_each(places) && shared.all(|group| self.of_group(group, places).is_some())
    }

    /// Whether they have enough of each line, the others aside.
    fn cover_each(&self, places: &[usize]) -> bool {
        self.question.positions().all(|line| self.question.is_covered(line, places))
    }

    fn of_group(&self, group: &Group, places: &[usize]) -> Option<Vec<Delivered>> {
        let line = |position: usize| self.question.lines.get(position);
        let goods: BTreeSet<usize> = group.lines().filter_map(line).flat_map(Line::goods).collect();
        let goods: Vec<usize> = goods.into_iter().collect();
        let shelf = |place: &usize| goods.iter().map(|goods| self.question.stock(*place, *goods)).collect();
        let left: Vec<Vec<i64>> = places.iter().map(shelf).collect();
        let mut shelves = Shelves { places, goods, left };
        let before = self.tries.get().min(TRIES_AT_ONCE);
        let mut tries = before;
        let mut plan = Vec::new();
        let covered = self.choose(&group.kits, &group.plain, &mut shelves, &mut plan, &mut tries);
        self.tries.set(self.tries.get().saturating_sub(before - tries));
        covered.then_some(plan)
    }

    /// Chooses where `kits` come from, then the others, which leave each other what they want. Where that fails, all is
    /// as it was.
    fn choose(
        &self,
        kits: &[usize],
        plain: &[usize],
        shelves: &mut Shelves<'_>,
        plan: &mut Vec<Delivered>,
        tries: &mut u32,
    ) -> bool {
        let Some((position, kits)) = kits.split_first() else {
            return self.choose_plain(plain, shelves, plan);
        };
        let Some(line) = self.question.lines.get(*position) else { return false };
        let mut ways = shelves.alone(line);
        ways.extend(self.question.split_lines.then(|| shelves.drained(line)).flatten());
        for (nth, way) in ways.iter().enumerate() {
            if nth > 0 {
                if *tries == 0 {
                    return false;
                }
                *tries -= 1;
            }
            let before = plan.len();
            shelves.take(line, way, false);
            plan.extend(delivered(*position, way, shelves.places));
            if self.choose(kits, plain, shelves, plan, tries) {
                return true;
            }
            plan.truncate(before);
            shelves.take(line, way, true);
        }
        false
    }

    fn choose_plain(&self, plain: &[usize], shelves: &mut Shelves<'_>, plan: &mut Vec<Delivered>) -> bool {
        let before = plan.len();
        let mut taken: Vec<(&Line, Given)> = Vec::with_capacity(plain.len());
        for position in plain {
            let Some(line) = self.question.lines.get(*position) else { return false };
            let alone = shelves.alone(line).into_iter().next();
            let way = alone.or_else(|| self.question.split_lines.then(|| shelves.drained(line)).flatten());
            let Some(way) = way else {
                plan.truncate(before);
                for (line, way) in &taken {
                    shelves.take(line, way, true);
                }
                return false;
            };
            shelves.take(line, &way, false);
            plan.extend(delivered(*position, &way, shelves.places));
            taken.push((line, way));
        }
        true
    }

    /// A plan from the smallest set of places that covers all lines; beyond what is looked at, from a small one.
    fn fewest(&self) -> Option<Vec<Delivered>> {
        let question = self.question;
        let gives = |place: &usize| question.positions().any(|line| question.gives(*place, line));
        let useful: Vec<usize> = (0..question.places.len()).filter(gives).collect();
        let mut looked_at = 0_u64;
        for size in 1..=useful.len() {
            looked_at = looked_at.saturating_add(sets_of(useful.len(), size));
            if looked_at > SETS_MAX {
                break;
            }
            if let Some(plan) = sets(&useful, size).find_map(|set| self.plan_if_any(&set)) {
                return Some(plan);
            }
        }
        self.plan_if_any(&self.few(&useful))
    }

    /// A small set: always the place that gives most of what is left, then without those that are not needed.
    fn few(&self, useful: &[usize]) -> Vec<usize> {
        let question = self.question;
        let mut left: Vec<i64> = question.positions().map(|line| question.wanted(line)).collect();
        let mut chosen: Vec<usize> = Vec::new();
        while left.iter().any(|left| *left > 0) {
            let gives = |place: usize| -> i64 {
                let of_line = |(line, left): (usize, &i64)| {
                    let has = question.has(place, line);
                    match question.split_lines {
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
                let has = question.has(place, line);
                if has >= *left {
                    *left = 0;
                } else if question.split_lines {
                    *left -= has;
                }
            }
            chosen.push(place);
        }
        chosen.sort_unstable();
        if !self.cover(&chosen) {
            // Each line could be had from them, and not all that want the same goods.
            chosen = useful.to_vec();
        }
        // The least preferred first.
        for place in chosen.clone().into_iter().rev() {
            let without: Vec<usize> = chosen.iter().copied().filter(|other| *other != place).collect();
            if self.cover(&without) {
                chosen = without;
            }
        }
        chosen
    }
}

fn delivered<'a>(
    line: usize,
    given: &'a [(usize, i64)],
    places: &'a [usize],
) -> impl Iterator<Item = Delivered> + 'a {
    given.iter().filter_map(move |(at, thousandths)| {
        let place = places.get(*at).copied()?;
        Some(Delivered { line, place, quantity: Quantity::of_counter(*thousandths) })
    })
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
        let lines = plain(wanted);
        let places: Vec<_> = places.iter().map(|stock| pieces(stock)).collect();
        answer(&Question { lines: &lines, places: &places, choice, split_lines })
    }

    /// Lines of goods that no other line wants.
    fn plain(wanted: &[i64]) -> Vec<Line> {
        let line = |(goods, n): (usize, &i64)| Line {
            quantity: Quantity::of_counter(n * 1_000),
            takes: Takes::Goods(goods),
        };
        wanted.iter().enumerate().map(line).collect()
    }

    /// So many kits of so many of each of the goods.
    fn kits(wanted: i64, takes: &[(usize, i64)]) -> Line {
        let parts = takes.iter().map(|(goods, each)| (*goods, Quantity::of_counter(each * 1_000)));
        Line { quantity: Quantity::of_counter(wanted * 1_000), takes: Takes::Kit(parts.collect()) }
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
        let wanted = plain(&[1]);
        for places in [vec![], vec![vec![]], vec![pieces(&[0])], vec![pieces(&[-5])]] {
            for choice in [InOrder, Fewest] {
                for split_lines in [false, true] {
                    let question = Question { lines: &wanted, places: &places, choice, split_lines };
                    assert_eq!(answer(&question), Err(vec![0]), "{places:?}");
                }
            }
        }
        // What is short elsewhere takes nothing from another place.
        let places = vec![pieces(&[-5]), pieces(&[1])];
        let question = Question { lines: &wanted, places: &places, choice: Fewest, split_lines: true };
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
        let wanted = plain(&[1; 40]);
        let only = |line: usize| pieces(&(0..40).map(|n| i64::from(n == line)).collect::<Vec<_>>());
        let ten = |n: usize| pieces(&(0..40).map(|line| i64::from(line / 10 == n)).collect::<Vec<_>>());
        let places: Vec<_> = (0..40).map(only).chain((0..4).map(ten)).collect();
        let question = Question { lines: &wanted, places: &places, choice: Fewest, split_lines: false };
        let used: BTreeSet<usize> = question.plan().unwrap().iter().map(|d| d.place).collect();
        assert_eq!(used, BTreeSet::from([40, 41, 42, 43]));
    }

    #[test]
    fn a_kit_comes_wholly_from_one_place_and_is_split_by_whole_kits() {
        // Two mugs and one tin for each; here two and a half by mugs, three by tins.
        let wanted = |n: i64| [kits(n, &[(0, 2), (1, 1)])];
        let stock = |all: &[&[i64]]| all.iter().map(|stock| pieces(stock)).collect::<Vec<_>>();
        let of = |n: i64, places: &[Vec<Quantity>], choice, split_lines| {
            answer(&Question { lines: &wanted(n), places, choice, split_lines })
        };
        let places = stock(&[&[5, 3], &[9, 0], &[4, 1], &[8, 9]]);
        for choice in [InOrder, Fewest] {
            assert_eq!(of(2, &places, choice, false), Ok(vec![(0, 0, 2)]), "{choice:?}");
            assert_eq!(of(3, &places, choice, false), Ok(vec![(0, 3, 3)]), "{choice:?}");
            // Mugs here and tins there make none.
            assert_eq!(of(1, &stock(&[&[9, 0], &[0, 9]]), choice, true), Err(vec![0]), "{choice:?}");
            assert_eq!(of(8, &places, choice, true), Err(vec![0]), "{choice:?}");
        }
        assert_eq!(of(7, &places, InOrder, true), Ok(vec![(0, 0, 2), (0, 2, 1), (0, 3, 4)]));
        assert_eq!(of(6, &places, Fewest, true), Ok(vec![(0, 0, 2), (0, 3, 4)]));
    }

    #[test]
    fn what_several_lines_want_is_taken_once() {
        let stock = |all: &[&[i64]]| all.iter().map(|stock| pieces(stock)).collect::<Vec<_>>();
        // A kit of a mug and a tin, and a mug by itself.
        let lines = [Line { takes: Takes::Goods(0), ..kits(1, &[]) }, kits(1, &[(0, 1), (1, 1)])];
        let of = |places: &[Vec<Quantity>], choice| {
            answer(&Question { lines: &lines, places, choice, split_lines: false })
        };
        for choice in [InOrder, Fewest] {
            // Each alone could be had from the first place, and not both.
            assert_eq!(of(&stock(&[&[1, 1]]), choice), Err(vec![0, 1]), "{choice:?}");
            assert_eq!(of(&stock(&[&[1, 1], &[1, 0]]), choice), Ok(vec![(0, 1, 1), (1, 0, 1)]), "{choice:?}");
            assert_eq!(of(&stock(&[&[2, 1], &[1, 0]]), choice), Ok(vec![(0, 0, 1), (1, 0, 1)]), "{choice:?}");
        }
        // Two kits that share a component: the first gives way, since the other can be made in one place only.
        let lines = [kits(1, &[(0, 1)]), kits(1, &[(0, 1), (1, 1)])];
        let places = stock(&[&[1, 1], &[1, 0]]);
        let question = Question { lines: &lines, places: &places, choice: InOrder, split_lines: false };
        assert_eq!(answer(&question), Ok(vec![(0, 1, 1), (1, 0, 1)]));
        // Twice the same goods, by themselves.
        let twice = [
            Line { takes: Takes::Goods(0), ..kits(2, &[]) },
            Line { takes: Takes::Goods(0), ..kits(2, &[]) },
        ];
        let places = stock(&[&[3], &[2]]);
        let question = Question { lines: &twice, places: &places, choice: InOrder, split_lines: false };
        assert_eq!(answer(&question), Ok(vec![(0, 0, 2), (1, 1, 2)]));
    }

    /// Many kits that share what they are made of: it ends, with a plan where the first choices do, and with none where
    /// there is one too few of what all of them want, although each could be had.
    #[test]
    fn the_search_among_shared_goods_ends() {
        let ring: Vec<Line> = (0..60).map(|n| kits(1, &[(n, 1), ((n + 1) % 60, 1)])).collect();
        let ring_places: Vec<Vec<Quantity>> = (0..30).map(|_| pieces(&[1; 60])).collect();
        let star: Vec<Line> = (1..21).map(|n| kits(1, &[(0, 1), (n, 1)])).collect();
        let with = |of_first: i64| {
            let stock: Vec<i64> = [of_first].into_iter().chain([1; 20]).collect();
            pieces(&stock)
        };
        for choice in [InOrder, Fewest] {
            for split_lines in [false, true] {
                let of = |lines: &[Line], places: &[Vec<Quantity>]| {
                    Question { lines, places, choice, split_lines }.plan()
                };
                assert_eq!(of(&ring, &ring_places).unwrap().len(), 60);
                assert_eq!(of(&ring, &ring_places[..1]), Err(Missing((0..60).collect())));
                assert_eq!(of(&star, &[with(10), with(10)]).unwrap().len(), 20);
                assert_eq!(of(&star, &[with(10), with(9)]), Err(Missing((0..20).collect())));
            }
        }
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

    /// So many of each, and of which of three goods so many.
    type Shared = Vec<(i64, Vec<i64>)>;

    fn shared_questions() -> impl Strategy<Value = (Shared, Vec<Vec<i64>>, bool)> {
        let line = (1..=2_i64, prop::collection::vec(0..=2_i64, 3));
        let made_of_something = line.prop_filter("nothing", |(_, each)| each.iter().any(|each| *each > 0));
        (
            prop::collection::vec(made_of_something, 1..=3),
            prop::collection::vec(prop::collection::vec(0..=5_i64, 3), 1..=3),
            any::<bool>(),
        )
    }

    fn lines_of(shared: &Shared) -> Vec<Line> {
        let line = |(wanted, each): &(i64, Vec<i64>)| {
            let takes: Vec<(usize, i64)> =
                each.iter().copied().enumerate().filter(|(_, each)| *each > 0).collect();
            kits(*wanted, &takes)
        };
        shared.iter().map(line).collect()
    }

    /// The choices of one place for each line that the stock allows, the first places first.
    fn choices(shared: &Shared, places: &[Vec<i64>]) -> Vec<Vec<usize>> {
        let mut all = vec![Vec::new()];
        for _ in shared {
            all = all
                .into_iter()
                .flat_map(|so_far: Vec<usize>| {
                    (0..places.len())
                        .map(move |place| so_far.iter().copied().chain([place]).collect::<Vec<usize>>())
                })
                .collect();
        }
        all.retain(|choice: &Vec<usize>| {
            let mut left = places.to_vec();
            for ((wanted, each), place) in shared.iter().zip(choice) {
                for (left, each) in left[*place].iter_mut().zip(each) {
                    *left -= wanted * each;
                }
            }
            left.iter().flatten().all(|left| *left >= 0)
        });
        all
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
            let (lines, stock) = (plain(&wanted), places.iter().map(|s| pieces(s)).collect::<Vec<_>>());
            let question = Question { lines: &lines, places: &stock, choice: Fewest, split_lines };
            let Some(least) = smallest(&wanted, &places, split_lines) else { return Ok(()) };
            let search = Search { question: &question, groups: question.groups(), tries: Cell::new(0) };
            let useful: Vec<usize> = (0..places.len()).collect();
            let few = search.few(&useful);
            prop_assert!(search.cover(&few));
            for place in &few {
                let without: Vec<usize> = few.iter().copied().filter(|other| other != place).collect();
                prop_assert!(!search.cover(&without), "{} is not needed", place);
            }
            // 1 + ln(n) for n up to 4 lines, or 24 pieces of which each counts a thousand: never above 12 times.
            let times = if split_lines { 12 } else { 3 };
            prop_assert!(u32::try_from(few.len()).unwrap() <= least * times);
        }

        /// Lines of kits that share what they are made of: the first choice that the stock allows is found, or there is
        /// none; of the fewest, none is smaller.
        #[test]
        fn shared_goods_are_chosen_from_as_trying_all_would((shared, places, _) in shared_questions()) {
            let (lines, stock) = (lines_of(&shared), places.iter().map(|s| pieces(s)).collect::<Vec<_>>());
            let all = choices(&shared, &places);
            let ask = |choice| answer(&Question { lines: &lines, places: &stock, choice, split_lines: false });
            let first: Option<Vec<(usize, usize, i64)>> = all.first().map(|choice| {
                choice.iter().zip(&shared).enumerate().map(|(line, (place, of))| (line, *place, of.0)).collect()
            });
            prop_assert_eq!(ask(InOrder).ok(), first);
            let used = |choice: &Vec<usize>| choice.iter().collect::<BTreeSet<_>>().len();
            let few = ask(Fewest).ok();
            let few = few.map(|plan| plan.iter().map(|(_, place, _)| *place).collect::<BTreeSet<_>>().len());
            prop_assert_eq!(few, all.iter().map(used).min());
        }

        /// However it is asked: what is planned is all that is wanted, whole kits of it, and no more than is there; and
        /// what can be had without splitting can be had.
        #[test]
        fn a_plan_of_shared_goods_takes_what_is_there(
            (shared, places, split_lines) in shared_questions(),
            fewest in any::<bool>(),
        ) {
            let (lines, stock) = (lines_of(&shared), places.iter().map(|s| pieces(s)).collect::<Vec<_>>());
            let choice = if fewest { Fewest } else { InOrder };
            let question = Question { lines: &lines, places: &stock, choice, split_lines };
            let Ok(plan) = question.plan() else {
                prop_assert!(choices(&shared, &places).is_empty());
                return Ok(());
            };
            let mut left = places.clone();
            for delivered in &plan {
                let kits = delivered.quantity.thousandths();
                prop_assert!(kits > 0 && kits % 1_000 == 0);
                for (left, each) in left[delivered.place].iter_mut().zip(&shared[delivered.line].1) {
                    *left -= kits / 1_000 * each;
                }
            }
            prop_assert!(left.iter().flatten().all(|left| *left >= 0), "{:?}", left);
            for (line, (wanted, _)) in shared.iter().enumerate() {
                let of_line: Vec<_> = plan.iter().filter(|delivered| delivered.line == line).collect();
                let sum: i64 = of_line.iter().map(|delivered| delivered.quantity.thousandths()).sum();
                prop_assert_eq!(sum, wanted * 1_000);
                prop_assert!(split_lines || of_line.len() == 1);
            }
        }
    }
}
