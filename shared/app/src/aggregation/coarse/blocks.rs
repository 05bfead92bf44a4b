//! Days in blocks of 1, 2, 4 … 256, aligned to their length: any stretch of days is few of them.

use jiff::ToSpan;
use jiff::civil::Date;

/// Highest level: blocks of 256 days.
pub const LEVEL_MAX: u32 = 8;

/// A block of 2^`level` days, the `number`-th of its level since 1970-01-01. Part of the stored format.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Block {
    /// Power of two of its days.
    pub level: u32,
    /// Its place.
    pub number: i32,
}

const ORIGIN: Date = Date::constant(1970, 1, 1);

fn day_number(day: Date) -> i32 {
    ORIGIN.until(day).map_or(0, |length| length.get_days())
}

impl Block {
    /// The block of `level` that `day` is in.
    pub fn of(level: u32, day: Date) -> Block {
        Block { level, number: day_number(day) >> level }
    }

    /// Its first day.
    pub fn first(self) -> Date {
        ORIGIN.saturating_add((i64::from(self.number) << self.level).days())
    }

    /// Its last day.
    pub fn last(self) -> Date {
        self.first().saturating_add(((1_i64 << self.level) - 1).days())
    }

    /// The two blocks it is the sum of; none of a day.
    pub fn halves(self) -> Vec<Block> {
        match self.level.checked_sub(1) {
            None => Vec::new(),
            Some(level) => (0..2).map(|half| Block { level, number: (self.number << 1) + half }).collect(),
        }
    }
}

/// The blocks that `days` are in, of all levels, in order.
pub fn around(days: &[Date]) -> Vec<Block> {
    let mut blocks: Vec<Block> =
        (0..=LEVEL_MAX).flat_map(|level| days.iter().map(move |day| Block::of(level, *day))).collect();
    blocks.sort_unstable();
    blocks.dedup();
    blocks
}

/// `first` to `last` in as few blocks as can be made of days that are `usable`; and the other days.
pub fn cover(first: Date, last: Date, usable: impl Fn(Date) -> bool) -> (Vec<Block>, Vec<Date>) {
    let (mut blocks, mut others) = (Vec::new(), Vec::new());
    let mut run: Option<(Date, Date)> = None;
    let mut next = Some(first).filter(|first| first <= &last);
    while let Some(day) = next {
        if usable(day) {
            run = Some((run.map_or(day, |(begin, _)| begin), day));
        } else {
            others.push(day);
            if let Some((begin, end)) = run.take() {
                cover_whole(begin, end, &mut blocks);
            }
        }
        next = day.tomorrow().ok().filter(|day| day <= &last);
    }
    if let Some((begin, end)) = run {
        cover_whole(begin, end, &mut blocks);
    }
    (blocks, others)
}

fn cover_whole(first: Date, last: Date, blocks: &mut Vec<Block>) {
    let mut next = Some(first).filter(|first| first <= &last);
    while let Some(day) = next {
        let fits = |block: &Block| block.first() == day && block.last() <= last;
        let block = (0..=LEVEL_MAX).rev().map(|level| Block::of(level, day)).find(fits);
        // A day is a block of its own.
        let block = block.unwrap_or(Block::of(0, day));
        blocks.push(block);
        next = block.last().tomorrow().ok().filter(|day| day <= &last);
    }
}

#[cfg(test)]
mod tests {
    use jiff::civil::date;

    use super::*;

    #[test]
    fn blocks_are_part_of_the_format() {
        let block = Block::of(8, date(2011, 12, 9));
        assert_eq!((block.number, block.first(), block.last()), (59, date(2011, 5, 10), date(2012, 1, 20)));
        assert_eq!(block.halves()[1].first(), date(2011, 9, 15));
        assert_eq!(Block::of(0, date(1969, 12, 31)), Block { level: 0, number: -1 });
        assert_eq!(Block::of(3, date(1969, 12, 31)).last(), date(1969, 12, 31));
        assert!(Block::of(0, date(2011, 1, 1)).halves().is_empty());
    }

    #[test]
    fn any_stretch_is_few_blocks_and_each_day_is_in_one() {
        let begin = date(2025, 1, 1);
        for from in 0..300_i64 {
            for length in [1_i64, 14, 31, 363, 400] {
                let first = begin.saturating_add(from.days());
                let last = first.saturating_add((length - 1).days());
                let not = first.saturating_add((length / 3).days());
                let (blocks, others) = cover(first, last, |day| length < 3 || day != not);
                assert!(blocks.len() <= 24, "{blocks:?}");
                let mut days: Vec<Date> = others.clone();
                for block in &blocks {
                    days.extend(block.first().series(1.day()).take_while(|day| *day <= block.last()));
                }
                days.sort_unstable();
                let all: Vec<Date> = first.series(1.day()).take_while(|day| *day <= last).collect();
                assert_eq!(days, all);
            }
        }
        assert_eq!(cover(begin, begin.yesterday().unwrap(), |_| true), (vec![], vec![]));
    }
}
