//! The simulator: what holds on every seed, and that it finds what does not.
#![allow(clippy::unwrap_used, clippy::panic, missing_docs, reason = "a test that cannot go on fails")]

use std::collections::BTreeSet;

use tillstream_contracts::pos::ACTIONS;
use tillstream_testkit::simulator::{Bug, Settings, Violation, run, shortest_prefix};

fn settings(seed: u64) -> Settings {
    Settings { seed, commands: 1_000, bug: None, tells: false }
}

#[test]
fn a_seed_is_a_run() {
    let (first, again) = (run(settings(7)), run(settings(7)));
    assert_eq!(first.violation, None);
    let of = |outcome: &tillstream_testkit::simulator::Outcome| {
        (outcome.fingerprint, outcome.steps, outcome.batches, outcome.commands, outcome.orders)
    };
    assert_eq!(of(&first), of(&again));
    assert_ne!(first.fingerprint, run(settings(8)).fingerprint);
    // To write down what happens changes nothing of it.
    let told = run(Settings { tells: true, ..settings(7) });
    assert_eq!(of(&first), of(&told));
    assert!(told.events.len() > 1_000);
    assert!(told.events == run(Settings { tells: true, ..settings(7) }).events, "word for word");
}

/// Seeds that are known to hold, if the first of the tests below passes.
const HOLDING: u64 = 100;
/// Of these the ones over which every command is sent and answered.
const USING: u64 = 20;

/// What came of the seeds of [`HOLDING`].
#[derive(Default)]
struct Runs {
    /// What does not hold, and in which seed.
    broken: Vec<(u64, Violation)>,
    /// Routes, and actions of tills, that clients were answered in those of [`USING`].
    used: BTreeSet<String>,
}

/// Runs these seeds on two cores, once for all tests that ask: whoever asks meanwhile waits.
fn runs() -> &'static Runs {
    static RUNS: std::sync::OnceLock<Runs> = std::sync::OnceLock::new();
    RUNS.get_or_init(|| {
        let next = std::sync::atomic::AtomicU64::new(1);
        let runs = std::sync::Mutex::new(Runs::default());
        let look = || {
            loop {
                let seed = next.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
                if seed > HOLDING {
                    return;
                }
                let outcome = run(settings(seed));
                let mut runs = runs.lock().unwrap();
                runs.broken.extend(outcome.violation.map(|violation| (seed, violation)));
                if seed <= USING {
                    runs.used.extend(outcome.used);
                }
            }
        };
        std::thread::scope(|scope| {
            scope.spawn(look);
            scope.spawn(look);
        });
        runs.into_inner().unwrap()
    })
}

#[test]
fn a_hundred_seeds_hold() {
    let broken = &runs().broken;
    assert!(broken.is_empty(), "`make simulate` tells more: {broken:#?}");
}

/// Seeds in which a bug must be found.
const SEEDS: u64 = 200;
/// The seed that found each bug last: asked first, since most of this test would be seeds that find nothing. Where it
/// no longer does (any change of the clients makes other runs of all seeds), every seed is asked, and the line to
/// write here is printed: `cargo test --test simulator -- --nocapture every_deliberate_bug`.
const FOUND_BY: &str = include_str!("found_by.txt");

#[test]
fn every_deliberate_bug_is_found() {
    let sought = Bug::ALL;
    assert!(sought.len() >= 20);
    let found_by: std::collections::HashMap<&str, u64> = FOUND_BY
        .lines()
        .filter_map(|line| line.split_once(' '))
        .map(|(bug, seed)| (bug, seed.parse().unwrap()))
        .collect();
    assert!(found_by.values().all(|seed| (1..=SEEDS).contains(seed)));
    let next = std::sync::atomic::AtomicUsize::new(0);
    let missed = std::sync::Mutex::new(Vec::new());
    let look = || {
        while let Some(bug) = sought.get(next.fetch_add(1, std::sync::atomic::Ordering::Relaxed)) {
            let of = |seed| Settings { bug: Some(*bug), ..settings(seed) };
            let is_found = |seed: &u64| {
                let violation = run(of(*seed)).violation;
                // The simulator's own mistakes are no finds, nor is what does not hold without the bug: the test above
                // says so of the first hundred.
                violation.is_some_and(|violation| violation.invariant != "the simulator works")
                    && (*seed <= HOLDING || run(settings(*seed)).violation.is_none())
            };
            let last = found_by.get(bug.name().as_str()).copied();
            match last.filter(is_found).or_else(|| (1..=SEEDS).find(is_found)) {
                Some(seed) if last == Some(seed) => {}
                Some(seed) => println!("{} {seed}", bug.name()),
                None => missed.lock().unwrap().push(bug.name()),
            }
        }
    };
    std::thread::scope(|scope| {
        scope.spawn(look);
        scope.spawn(look);
    });
    let missed = missed.into_inner().unwrap();
    assert!(missed.is_empty(), "not found within {SEEDS} seeds: {missed:?}");
}

#[test]
fn a_failure_is_cut_to_its_shortest_prefix() {
    let failed = Settings { bug: Some(Bug::AvailableForgotten), ..settings(3) };
    let whole = run(failed);
    let shortest = shortest_prefix(failed, whole.commands);
    let violation = shortest.violation.unwrap();
    assert_eq!(violation.invariant, "available = on hand - reserved - safety stock");
    assert!(shortest.commands <= whole.commands);
    let without_last = run(Settings { commands: shortest.commands - 1, ..failed });
    assert_eq!(without_last.violation, None, "its last command is needed");
}

/// Routes of `functions/inventory` that no client sends, and why not.
const NOT_SENT: [(&str, &str); 0] = [];

/// The routes of the function, as its router has them.
fn routes_of_stock() -> BTreeSet<String> {
    let source = include_str!("../../../functions/inventory/src/lib.rs");
    let mut routes = BTreeSet::new();
    for line in source.lines() {
        let Some(route) = line.trim().strip_prefix(".route(\"") else { continue };
        let (path, handlers) = route.split_once("\", ").unwrap();
        for method in ["get", "post", "put", "patch", "delete"] {
            if handlers.starts_with(&format!("{method}(")) || handlers.contains(&format!(").{method}(")) {
                routes.insert(format!("{} {path}", method.to_uppercase()));
            }
        }
    }
    assert!(routes.len() > 50, "{routes:?}");
    routes
}

#[test]
fn clients_send_every_command_of_stock_and_every_action_of_tills() {
    let used = &runs().used;
    let routes = routes_of_stock();
    let not_sent: BTreeSet<String> = NOT_SENT.iter().map(|(route, _)| (*route).to_owned()).collect();
    let missing: Vec<&String> =
        routes.iter().filter(|route| !used.contains(*route) && !not_sent.contains(*route)).collect();
    assert!(missing.is_empty(), "no client was answered in {USING} seeds: {missing:?}");
    // What is sent after all, or is no route any more, needs no reason.
    let stale: Vec<&String> =
        not_sent.iter().filter(|route| used.contains(*route) || !routes.contains(*route)).collect();
    assert!(stale.is_empty(), "{stale:?}");
    let unknown: Vec<&String> =
        used.iter().filter(|used| used.contains(" /v1/") && !routes.contains(*used)).collect();
    assert!(unknown.is_empty(), "no such routes: {unknown:?}");
    let silent: Vec<&&str> = ACTIONS.iter().filter(|action| !used.contains(**action)).collect();
    assert!(silent.is_empty(), "no till sent these in {USING} seeds: {silent:?}");
}

#[test]
fn reconciliation_opens_a_difference_where_a_bug_made_one() {
    let of = |seed| run(Settings { bug: Some(Bug::SaleNamesAnotherOrder), ..settings(seed) });
    let told = (1..=USING).map(of).find(|outcome| outcome.differences > 0).unwrap();
    assert_eq!(told.violation.unwrap().invariant, "stock is what it says of itself");
    assert_eq!(run(settings(1)).differences, 0);
}
