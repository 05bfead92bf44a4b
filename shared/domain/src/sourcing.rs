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
mod tests;
