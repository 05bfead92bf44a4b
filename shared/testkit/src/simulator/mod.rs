//! The simulator: tenants, tills and HQ over the real use cases, relay, aggregator, dispatcher and
//! keeper, with every fault that AWS and clients have, on virtual time and one thread. A seed is a run,
//! byte for byte, and one of fewer commands is its beginning.
//!
//! What must hold is checked after every step where that is cheap ([`invariants`]), and all of it when
//! everything has arrived. A run that fails is cut to commands of which the last is needed for it.

mod books;
mod by_hand;
pub(crate) mod chance;
mod clients;
pub(crate) mod clock;
mod day_settings;
mod deliberate_bugs;
mod event_sources;
mod invariants;
mod network;
pub mod parts;
mod price_book;
mod restore;
mod rules;
mod scheduler;
mod set_up;
mod supply_books;
mod tenancy;
mod trouble;
mod world;

use std::cell::Cell;
use std::collections::BTreeSet;
use std::rc::Rc;
use std::time::Duration;

pub use deliberate_bugs::Bug;
use trouble::Kind;
pub use world::Violation;
use world::{Weather, World};

use crate::hq_stand_in::Mode;
use event_sources::Progress;
use invariants::always::Watch;
use invariants::at_rest;
use invariants::log_lines::LogLines;
use invariants::reconciled::open_differences;

/// Of runs, in hundredths: those at whose end HQ is away for a day.
const OUTAGES: u64 = 5;
/// For so long it is, at least and at most, in hours.
const OUTAGE_HOURS: (u64, u64) = (24, 30);

/// How long the keeper rests between two runs.
const KEEPER_RESTS: Duration = Duration::from_secs(60);
/// And while HQ is away and the shops are closed: little happens in so many hours, and each run looks at all there is.
const KEEPER_RESTS_WHILE_AWAY: Duration = Duration::from_secs(600);

/// A run that takes more steps than this does not end: where HQ hangs for a day after it, some take three million.
const STEPS_MAX: u64 = 10_000_000;

/// So many runs, each shorter by one more command, are asked before one is taken for the shortest that fails.
pub const LOOKS_BACK: u64 = 12;

/// What a run is.
#[derive(Debug, Clone, Copy)]
pub struct Settings {
    /// Decides everything.
    pub seed: u64,
    /// Commands that clients begin.
    pub commands: u64,
    /// Commands of the whole day, by which it is decided when in it something happens. A run with fewer `commands` is
    /// the beginning of the run that has all of them.
    pub planned: u64,
    /// A bug that is switched on.
    pub bug: Option<Bug>,
    /// Whether what happens is written down in words.
    pub tells: bool,
}

/// What came of a run.
#[derive(Debug, Clone, Default)]
pub struct Outcome {
    /// What does not hold.
    pub violation: Option<Violation>,
    /// Commands that clients began.
    pub commands: u64,
    /// Batches that functions handled.
    pub batches: u64,
    /// Orders that became final.
    pub orders: usize,
    /// Steps of tasks.
    pub steps: u64,
    /// The same for the same run: what happened in it, all lines of its log, and all items that it left.
    pub fingerprint: u64,
    /// What happened, in words.
    pub events: Vec<String>,
    /// Routes, and actions of tills, that clients were answered.
    pub used: BTreeSet<String>,
    /// How many differences reconciliation has open in the end.
    pub differences: usize,
}

/// Runs a seed.
pub fn run(settings: Settings) -> Outcome {
    let world = match World::new(settings) {
        Ok(world) => world,
        Err(seen) => {
            let violation = Some(Violation { invariant: "the simulator works", seen });
            return Outcome { violation, ..Outcome::default() };
        }
    };
    let log = LogLines::default();
    let mut run = Run { world: world.clone(), watch: Watch::default(), log: log.clone(), steps: 0 };
    tracing::subscriber::with_default(log.clone(), || run.all());
    let world = run.world;
    world.mark(log.sum());
    world.mark_items();
    world.scheduler.end();
    Outcome {
        violation: world.violation.borrow().clone(),
        commands: world.commands.get(),
        batches: world.batches.get(),
        orders: world.books.borrow().orders.len(),
        steps: run.steps,
        fingerprint: world.fingerprint.get(),
        events: world.events.take(),
        used: world.used.take(),
        differences: open_differences(&world).len(),
    }
}

/// The first so many commands of a run that failed with which it still breaks the same invariant: what that run is, and what
/// came of it, in words.
///
/// A shorter run is the beginning of the longer one, up to its last command; then everything comes to rest, which goes
/// another way after each number of commands. So an invariant that is broken on the way is broken in every longer run,
/// too, and bisecting finds the first that is. One that is asked at rest need not be: it may be broken after 40 commands,
/// hold after 50 and be broken after 60. Therefore runs of up to [`LOOKS_BACK`] commands less are asked, too: none of
/// them breaks it. Whether one that is shorter still does is not known.
pub fn shortest_prefix(failed: Settings, outcome: &Outcome) -> (Settings, Outcome) {
    let Some(invariant) = outcome.violation.as_ref().map(|violation| violation.invariant) else {
        return (failed, outcome.clone());
    };
    let fails = |commands| {
        let violation = run(Settings { commands, tells: false, ..failed }).violation;
        violation.is_some_and(|violation| violation.invariant == invariant)
    };
    // Where the day ends with the command that was begun last, it may not: the longer run went on.
    let last = if fails(outcome.commands) { outcome.commands } else { failed.commands };
    let cut = Settings { commands: first_that_fails(last, fails), tells: true, ..failed };
    (cut, run(cut))
}

/// The least number of commands that is found to fail, up to `last`, which does: none of the [`LOOKS_BACK`] before it
/// fails.
pub fn first_that_fails(last: u64, fails: impl Fn(u64) -> bool) -> u64 {
    let (mut passes, mut first) = (0, last);
    while passes + 1 < first {
        let middle = passes.midpoint(first);
        if fails(middle) { first = middle } else { passes = middle }
    }
    // The one right before it is known to pass, here and after each turn.
    let before = |found: u64| found.saturating_sub(LOOKS_BACK).max(1)..found.saturating_sub(1);
    while let Some(earlier) = before(first).rev().find(|commands| fails(*commands)) {
        first = earlier;
        while first > 1 && fails(first - 1) {
            first -= 1;
        }
    }
    first
}

struct Run {
    world: Rc<World>,
    watch: Watch,
    log: LogLines,
    steps: u64,
}

impl Run {
    /// Steps until `is_done`, or something is wrong.
    fn until(&mut self, what: &str, is_done: impl Fn(&World) -> bool) {
        while !self.world.has_failed() && !is_done(&self.world) {
            self.steps += 1;
            if self.steps > STEPS_MAX || !self.world.scheduler.step() {
                let seen = format!("{what}: {} steps, {} commands", self.steps, self.world.commands.get());
                self.world.fail("everything comes to its end", seen);
            }
            self.watch.look(&self.world);
            if let Some(line) = self.log.crossed() {
                self.world.fail("no line of the log names two tenants", line);
            }
            if let Some((invariant, seen)) = self.world.tenancy.crossed() {
                self.world.fail(invariant, seen);
            }
        }
    }

    /// Runs something to its end, with everything else going on beside it.
    fn do_now(&mut self, what: &str, work: impl Future<Output = ()> + 'static) {
        let done = Rc::new(Cell::new(false));
        let tell = done.clone();
        self.world.scheduler.spawn(async move {
            work.await;
            tell.set(true);
        });
        self.until(what, |_| done.get());
    }

    fn wait(&mut self, time: Duration) {
        let world = self.world.clone();
        self.do_now("waiting", async move { world.sleep(time).await });
    }

    /// Until the event sources have nothing to do, some time on end.
    fn drain(&mut self, sources: &Progress) {
        for _ in 0..400 {
            self.until("draining", |_| sources.is_idle());
            let batches = self.world.batches.get();
            self.wait(Duration::from_secs(4));
            if self.world.has_failed() || (sources.is_idle() && self.world.batches.get() == batches) {
                return;
            }
        }
        self.world.fail("everything comes to its end", "the event sources never rest");
    }

    /// HQ is away for a day or more after the tills have closed, now and then; everything else goes on.
    fn outage(&mut self) {
        let world = self.world.clone();
        if !world.chance.percent(OUTAGES) {
            return;
        }
        let mode = world.chance.one_of(&[Mode::Down, Mode::Hang, Mode::Fail]).copied().unwrap_or_default();
        let (least, most) = OUTAGE_HOURS;
        let time = Duration::from_secs(3_600 * least + world.chance.below(3_600 * (most - least)));
        world.tell(|| format!("HQ is away for {} min: {mode:?}", time.as_secs() / 60));
        world.set_weather(Weather::BREEZE);
        world.control_hq(mode, 0);
        world.keeper_runs.set(true);
        world.keeper_rests.set(KEEPER_RESTS_WHILE_AWAY);
        self.wait(time);
        world.keeper_rests.set(KEEPER_RESTS);
    }

    fn all(&mut self) {
        let world = self.world.clone();
        world.tell(|| format!("what goes wrong: {:?}", world.trouble));
        world.clients.set(1);
        world.scheduler.spawn(set_up::load(world.clone()));
        self.until("setting up", |world| world.clients.get() == 0);
        let sources = event_sources::begin(&world);
        clients::begin(&world);
        let climate = Rc::new(Cell::new(true));
        world.scheduler.spawn(weather(world.clone(), climate.clone()));
        self.until("the day", |world| world.clients.get() == 0);
        climate.set(false);
        self.outage();
        // Nothing goes wrong any more, and what is under way arrives.
        world.set_weather(Weather::CALM);
        world.stream.fail_no_more();
        world.queue.fail_no_more();
        world.control_hq(Mode::Accept, 0);
        world.keeper_runs.set(false);
        self.drain(&sources);
        world.clock.advance(Duration::from_secs(160));
        self.drain(&sources);
        let checked = world.clone();
        self.do_now("checking what arrived", async move { at_rest::check_arrived(&checked).await });
        // Then the keeper mends what is left, and every hold ends.
        for _ in 0..8 {
            let kept = world.clone();
            self.do_now("keeping", async move { event_sources::run_keeper(&kept).await });
            self.drain(&sources);
            world.clock.advance(Duration::from_secs(310));
            self.drain(&sources);
        }
        if world.console.is_some() {
            let mended = world.clone();
            self.do_now("correcting", async move { clients::all_correct(&mended).await });
            self.drain(&sources);
        }
        world.clock.advance(Duration::from_secs(26 * 3_600));
        for _ in 0..3 {
            let kept = world.clone();
            self.do_now("keeping", async move { event_sources::run_keeper(&kept).await });
            self.drain(&sources);
        }
        let read = world.clone();
        self.do_now("following to the end", async move { clients::all_catch_up(&read).await });
        let checked = world.clone();
        self.do_now("checking what is at rest", async move { at_rest::check(&checked).await });
    }
}

/// The weather, HQ's moods, nights, and streams that are cut anew.
async fn weather(world: Rc<World>, goes_on: Rc<Cell<bool>>) {
    while goes_on.get() {
        let (chance, trouble) = (&world.chance, &world.trouble);
        let next = match chance.below(10) {
            0..4 => Weather::CALM,
            4..8 => Weather::BREEZE,
            _ => Weather::STORM,
        };
        world.tell(|| format!("weather: {next:?}"));
        world.set_weather(next);
        // Drawn whether HQ has moods or not.
        match (chance.below(10), trouble.has(Kind::Moods)) {
            (0, true) => world.control_hq(Mode::Down, 0),
            (1, true) => world.control_hq(Mode::Hang, 0),
            (2, true) => world.control_hq(Mode::Fail, 0),
            (3..5, true) => world.control_hq(Mode::Accept, 30),
            _ => world.control_hq(Mode::Accept, 0),
        }
        if chance.percent(6 * trouble.times(Kind::Resharding)) {
            world.stream.reshard(1 + chance.index(4));
        }
        // Eventual reads are behind, more or less.
        world.set_lag(if chance.percent(40 * trouble.times(Kind::Lag)) { chance.index(8) } else { 0 });
        if chance.percent(5 * trouble.times(Kind::Rotations)) {
            let next = world.rotate_hq_secret();
            world.sleep_up_to(Duration::from_secs(120)).await;
            world.secret.set(next);
        }
        world.sleep_up_to(Duration::from_secs(90) / world.haste).await;
        if world.chance.percent(2 * trouble.times(Kind::Nights)) && goes_on.get() {
            let night = Duration::from_secs(3_600 + world.chance.below(12 * 3_600));
            world.tell(|| format!("{} h pass", night.as_secs() / 3_600));
            world.clock.advance(night);
        }
    }
    world.set_lag(0);
    world.memory.settle();
}
