//! The simulator: what holds on every seed, and that it finds what does not.
#![allow(clippy::unwrap_used, clippy::panic, missing_docs, reason = "a test that cannot go on fails")]

use std::collections::{BTreeMap, BTreeSet};

use tillstream_allocator as _;
use tillstream_app::sync::entities::Entity;
use tillstream_contracts::pos::ACTIONS;
use tillstream_testkit::simulator::{
    Bug, LOOKS_BACK, Settings, Violation, first_that_fails, run, shortest_prefix,
};

/// Commands of a run.
const COMMANDS: u64 = 1_000;

fn settings(seed: u64) -> Settings {
    Settings { seed, commands: COMMANDS, planned: COMMANDS, bug: None, tells: false }
}

/// Seeds that are run twice.
const TWICE: [u64; 5] = [2, 7, 13, 21, 34];

#[test]
fn a_seed_is_a_run() {
    let fingerprints: BTreeSet<u64> = TWICE.into_iter().map(fingerprint_of_a_run).collect();
    assert_eq!(fingerprints.len(), TWICE.len(), "each is another");
}

/// The fingerprint of a seed, which is the same each time.
fn fingerprint_of_a_run(seed: u64) -> u64 {
    let first = run(settings(seed));
    assert_eq!(first.violation, None);
    let of = |outcome: &tillstream_testkit::simulator::Outcome| {
        (outcome.fingerprint, outcome.steps, outcome.batches, outcome.commands, outcome.orders)
    };
    // To write down what happens changes nothing of it.
    let tells = Settings { tells: true, ..settings(seed) };
    let (told, again) = (run(tells), run(tells));
    assert_eq!(of(&first), of(&told), "seed {seed}");
    assert_eq!(of(&told), of(&again), "seed {seed}");
    assert!(told.events.len() > 1_000);
    assert!(told.events == again.events, "seed {seed}, word for word");
    first.fingerprint
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
const SEEDS: u64 = 400;
/// A line for each bug: its name, the seed that found it last, and the invariant that it broke there. That seed is asked
/// first, since most of this test would be seeds that find nothing. Where it no longer breaks that invariant (any change
/// of the clients makes other runs of all seeds), every seed is asked for one that does, and the line to write here is
/// printed: `cargo test --test simulator -- --nocapture every_deliberate_bug`. Without an invariant in its line a bug may
/// break any: so is found which one is to be written there.
const FOUND_BY: &str = include_str!("found_by.txt");

/// By bug: the seed that found it, and the invariant that it broke there; empty where that is not known.
fn found_by() -> BTreeMap<&'static str, (u64, &'static str)> {
    let line = |line: &'static str| {
        let (bug, rest) = line.split_once(' ').unwrap();
        let (seed, invariant) = rest.split_once(' ').unwrap_or((rest, ""));
        (bug, (seed.parse::<u64>().unwrap(), invariant))
    };
    let known: BTreeMap<_, _> = FOUND_BY.lines().map(line).collect();
    assert!(known.values().all(|(seed, _)| (1..=SEEDS).contains(seed)));
    let strangers: Vec<_> = known.keys().filter(|name| Bug::named(name).is_none()).collect();
    assert!(strangers.is_empty(), "there are no such bugs: {strangers:?}");
    known
}

/// The invariant that a bug breaks in a seed. The simulator's own mistakes are no finds, nor is what does not hold
/// without the bug: another test says so of the first hundred.
fn broken_by(bug: Bug, seed: u64) -> Option<&'static str> {
    let violation = run(Settings { bug: Some(bug), ..settings(seed) }).violation?;
    let holds_without = || seed <= HOLDING || run(settings(seed)).violation.is_none();
    (violation.invariant != "the simulator works" && holds_without()).then_some(violation.invariant)
}

/// The line that says by what a bug was found; what it broke instead, where it broke only that.
fn found(bug: Bug, last: Option<(u64, &'static str)>) -> Result<(u64, &'static str), BTreeSet<&'static str>> {
    let meant = last.map_or("", |(_, invariant)| invariant);
    let mut others = BTreeSet::new();
    let first = last.map(|(seed, _)| seed);
    let seeds = first.into_iter().chain((1..=SEEDS).filter(|seed| Some(*seed) != first));
    for seed in seeds {
        match broken_by(bug, seed) {
            Some(invariant) if meant.is_empty() || meant == invariant => return Ok((seed, invariant)),
            other => others.extend(other),
        }
    }
    Err(others)
}

#[test]
fn every_deliberate_bug_is_found() {
    let sought = Bug::ALL;
    assert!(sought.len() >= 20);
    let known = found_by();
    let next = std::sync::atomic::AtomicUsize::new(0);
    let missed = std::sync::Mutex::new(Vec::new());
    let look = || {
        while let Some(bug) = sought.get(next.fetch_add(1, std::sync::atomic::Ordering::Relaxed)) {
            let name = bug.name();
            let last = known.get(name.as_str()).copied();
            match found(*bug, last) {
                Ok(line) if last == Some(line) => {}
                Ok((seed, invariant)) => println!("{name} {seed} {invariant}"),
                Err(others) => {
                    let meant = last.map_or("any", |(_, invariant)| invariant);
                    missed.lock().unwrap().push(format!("{name}: not {meant}, but {others:?}"));
                }
            }
        }
    };
    std::thread::scope(|scope| {
        scope.spawn(look);
        scope.spawn(look);
    });
    let missed = missed.into_inner().unwrap();
    assert!(missed.is_empty(), "not found within {SEEDS} seeds: {missed:#?}");
}

#[test]
fn a_failure_is_cut_to_its_shortest_prefix() {
    let failed = Settings { bug: Some(Bug::AvailableForgotten), ..settings(3) };
    let whole = run(failed);
    let (cut, shortest) = shortest_prefix(failed, &whole);
    let violation = shortest.violation.unwrap();
    assert_eq!(violation.invariant, "available = on hand - reserved - safety stock");
    assert!(shortest.commands <= whole.commands);
    let without_last = run(Settings { commands: cut.commands - 1, ..failed });
    assert_eq!(without_last.violation, None, "its last command is needed");
}

/// The place of the event with which a command was begun.
fn begin_of(events: &[String], command: u64) -> usize {
    let begins = format!("#{command} ");
    let is_it = |event: &String| event.split_once(' ').is_some_and(|(_, what)| what.starts_with(&begins));
    events.iter().position(is_it).unwrap()
}

/// A seed whose orders are restored from a backup, what happens in it, and how many commands were begun before.
fn with_a_restore() -> (u64, Vec<String>, u64) {
    let told = |seed| (seed, run(Settings { tells: true, ..settings(seed) }).events);
    let place = |events: &[String]| events.iter().position(|event| event.contains(" restored to backup 1"));
    let (seed, events, place) = (1..=HOLDING)
        .map(told)
        .find_map(|(seed, events)| place(&events).map(|place| (seed, events, place)))
        .unwrap();
    let begun = (1..=COMMANDS).take_while(|command| begin_of(&events, *command) < place).count();
    (seed, events, u64::try_from(begun).unwrap())
}

#[test]
fn a_shorter_run_is_the_beginning_of_the_longer_one() {
    let (seed, whole, begun) = with_a_restore();
    // Where the time of the restore were a part of what the short run has, its backup were another.
    let commands = begun + 20;
    let short = run(Settings { commands, tells: true, ..settings(seed) }).events;
    let (of_short, of_whole) = (begin_of(&short, commands), begin_of(&whole, commands));
    assert!(short.get(..=of_short).unwrap() == whole.get(..=of_whole).unwrap(), "word for word");
    // Of a day with fewer commands it would be a run of its own.
    let other = run(Settings { commands, planned: commands, tells: true, ..settings(seed) }).events;
    assert!(other.get(..=of_whole) != whole.get(..=of_whole));
}

#[test]
fn a_failure_after_a_restore_is_cut_to_a_run_with_that_restore() {
    // Numbers are given out again that were given out before.
    let bug = Some(Bug::EpochForgotten);
    let failed = |seed| Settings { bug, ..settings(seed) };
    let (failed, whole) = (1..=SEEDS)
        .map(|seed| (failed(seed), run(failed(seed))))
        .find(|(_, outcome)| outcome.violation.is_some())
        .unwrap();
    let (_, shortest) = shortest_prefix(failed, &whole);
    let (broken, cut) = (whole.violation.unwrap(), shortest.violation.unwrap());
    assert_eq!(cut.invariant, broken.invariant);
    assert!(shortest.events.iter().any(|event| event.contains(" restored to backup 1")));
    assert!(shortest.commands < COMMANDS);
    let told = run(Settings { tells: true, ..failed }).events;
    let (of_short, of_whole) =
        (begin_of(&shortest.events, shortest.commands), begin_of(&told, shortest.commands));
    assert!(shortest.events.get(..=of_short).unwrap() == told.get(..=of_whole).unwrap());
}

#[test]
fn the_first_that_fails_is_found_where_failing_grows_with_the_commands() {
    for first in 1..=40 {
        assert_eq!(first_that_fails(40, |commands| commands >= first), first);
    }
}

#[test]
fn an_earlier_one_is_found_where_a_few_after_it_hold() {
    // Bisecting comes to 40; 30 is ten before that.
    assert_eq!(first_that_fails(100, |commands| commands == 30 || (40..=50).contains(&commands)), 30);
    // What is further back than is looked stays unknown.
    let back = 60 - LOOKS_BACK - 1;
    assert_eq!(first_that_fails(100, |commands| commands >= 60 || commands == back), 60);
    assert_eq!(first_that_fails(100, |commands| commands >= 60 || commands == back + 1), back + 1);
}

/// The routers of the functions.
const ROUTERS: [&str; 8] = [
    include_str!("../../../functions/analytics-api/src/lib.rs"),
    include_str!("../../../functions/catalog/src/lib.rs"),
    include_str!("../../../functions/dispatch-admin/src/lib.rs"),
    include_str!("../../../functions/hq-sync/src/lib.rs"),
    include_str!("../../../functions/identity/src/lib.rs"),
    include_str!("../../../functions/inventory/src/lib.rs"),
    include_str!("../../../functions/orders/src/lib.rs"),
    include_str!("../../../functions/pos-commands/src/lib.rs"),
];

/// Routes that no client sends, and why not.
const NOT_SENT: [(&str, &str); 3] = [
    ("GET /.well-known/jwks.json", "clients of the simulator are who they are, without tokens"),
    ("GET /v1/health", "it says the same always"),
    ("GET /v1/openapi.json", "it says the same always"),
];

/// The routes of all functions, as their routers have them.
fn routes() -> BTreeSet<String> {
    let mut routes = BTreeSet::new();
    for line in ROUTERS.iter().flat_map(|source| source.lines()) {
        let Some(route) = line.trim().strip_prefix(".route(\"") else { continue };
        let (path, handlers) = route.split_once("\", ").unwrap();
        for method in ["get", "post", "put", "patch", "delete"] {
            if handlers.starts_with(&format!("{method}(")) || handlers.contains(&format!(").{method}(")) {
                routes.insert(format!("{} {path}", method.to_uppercase()));
            }
        }
    }
    assert!(routes.len() > 90, "{routes:?}");
    routes
}

#[test]
fn clients_send_every_command_every_feed_and_every_action_of_tills() {
    let used = &runs().used;
    let routes = routes();
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
    let feeds = Entity::ALL.map(|entity| format!("feed {}", entity.name()));
    let not_fed: Vec<&String> = feeds.iter().filter(|feed| !used.contains(*feed)).collect();
    assert!(not_fed.is_empty(), "nobody fed these: {not_fed:?}");
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
