//! What plans promise: worked by hand, and compared with all that could be chosen.

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
    let twice =
        [Line { takes: Takes::Goods(0), ..kits(2, &[]) }, Line { takes: Takes::Goods(0), ..kits(2, &[]) }];
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
