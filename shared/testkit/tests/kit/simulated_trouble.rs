//! What goes wrong in the runs of the simulator, of all that can.

use std::collections::{BTreeMap, BTreeSet};

use tillstream_testkit::faults::Rates;
use tillstream_testkit::simulator::parts::{Trouble, TroubleKind, Weather};

/// The seeds that must hold before a change lands.
const SEEDS: std::ops::RangeInclusive<u64> = 1..=100;

#[test]
fn a_hundred_seeds_have_every_kind_of_fault_and_lack_it_in_many_combinations() {
    let mut combinations = BTreeSet::new();
    let mut runs = BTreeMap::<TroubleKind, u64>::new();
    let mut doubled = BTreeSet::new();
    for trouble in SEEDS.map(Trouble::drawn) {
        combinations.insert(trouble.kinds().collect::<Vec<_>>());
        for kind in trouble.kinds() {
            *runs.entry(kind).or_default() += 1;
            doubled.extend((trouble.times(kind) > 1).then_some(kind));
        }
    }
    assert!(combinations.len() >= 60, "{} combinations", combinations.len());
    for kind in TroubleKind::ALL {
        let with = runs.get(&kind).copied().unwrap_or(0);
        assert!((20..=80).contains(&with), "{kind:?} in {with} of {SEEDS:?}");
        assert!(doubled.contains(&kind), "{kind:?} never comes more often");
    }
}

#[test]
fn a_seed_has_its_trouble() {
    assert_eq!(Trouble::drawn(7), Trouble::drawn(7));
    assert_ne!(Trouble::drawn(7), Trouble::drawn(8));
}

#[test]
fn what_a_run_does_not_have_never_befalls_it() {
    let nothing = Trouble::default();
    assert_eq!(nothing.weather(Weather::STORM), Weather::CALM);
    assert_eq!(nothing.rates(25), Rates::default());
    let all = Trouble::of(TroubleKind::ALL);
    assert_eq!(all.weather(Weather::STORM), Weather::STORM);
    assert_eq!(all.rates(25), Rates::each(25));
    let storm = Weather::STORM;
    let of = |kind| Trouble::of([kind]).weather(storm);
    for (kind, is) in [
        (TroubleKind::Throttling, Weather { tables: storm.tables, ..Weather::CALM }),
        (TroubleKind::Freezes, Weather { freezes: storm.freezes, ..Weather::CALM }),
        (TroubleKind::Deaths, Weather { deaths: storm.deaths, ..Weather::CALM }),
        (TroubleKind::Hangs, Weather { hangs: storm.hangs, ..Weather::CALM }),
        (TroubleKind::Repeats, Weather { repeats: storm.repeats, ..Weather::CALM }),
        (TroubleKind::LostAnswers, Weather { answers_lost: storm.answers_lost, ..Weather::CALM }),
        (TroubleKind::Sends, Weather { sends: storm.sends, ..Weather::CALM }),
        (TroubleKind::Line, Weather { line: storm.line, ..Weather::CALM }),
        (TroubleKind::Impatience, Weather { impatience: storm.impatience, ..Weather::CALM }),
        (TroubleKind::Lag, Weather::CALM),
    ] {
        assert_eq!(of(kind), is, "{kind:?}");
    }
    assert_eq!(Trouble::of([TroubleKind::LostWrites]).rates(4), Rates { answer_lost: 4, ..Rates::default() });
}
