//! A run's world: tables, streams, queue and HQ, the weather over them, and what its clients know.

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Debug;
use std::pin::pin;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::Poll;
use std::time::Duration;

use jiff::Timestamp;
use tillstream_app::Ports;
use tillstream_app::database::{Database, Table, Value};
use tillstream_app::dispatch::signature::SigningSecret;
use tillstream_app::dispatch::transport::HqTransport;
use tillstream_app::environment::Environment;
use tillstream_app::ports::{EventStream, WakeUpQueue};

use super::KEEPER_RESTS;
use super::Settings;
use super::books::{AskedTotals, Books, GivenAbove, Goods, LotMoves, LotTrips, LotsOnShelves, Shop};
use super::by_hand::{ByHand, console_of};
use super::chance::Chance;
use super::clients::{Follower, NamedCommits};
use super::clock::{Clock, MachineClock, ProcessMemory};
use super::day_settings::{Course, DaySettings};
use super::deliberate_bugs::Bug;
use super::invariants::stock_watch::StockWatch;
use super::network::{HqLine, SlowTables, UnderWay};
use super::restore::Restores;
use super::rules::Rules;
use super::scheduler::Scheduler;
use super::set_up::INTRUDER;
use super::tenancy::{GuardedTables, Tenancy, names_another};
use super::trouble::{Kind, Trouble};
use crate::faults::{FaultyDatabase, Rates};
use crate::hq_stand_in::{Control, HqStandIn, Mode};
use crate::memory_database::MemoryDatabase;
use crate::memory_messaging::{MemoryQueue, MemoryStream, SendFault};

/// So many goods, from the first, are changed by HQ's feed of products; merchandisers change others.
pub const FED_GOODS: usize = 4;

/// HQ's secrets: it takes up the next when it rotates.
const SECRETS: [&str; 2] =
    ["the first secret of tillstream and hq", "the second secret of tillstream and hq"];

/// Processes that live as long as the day.
const PROCESSES: usize = 3;

/// How much goes wrong.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Weather {
    /// Of calls to tables, in thousandths: each fault.
    pub tables: u64,
    /// Of calls to tables, in thousandths: those before which the process is frozen.
    pub freezes: u64,
    /// Of invocations, in hundredths: those whose process dies.
    pub deaths: u64,
    /// Of batches, in hundredths: those whose function hangs until its event source gives it up.
    pub hangs: u64,
    /// Of batches and looks at the queue, in hundredths: those after which something is seen once more.
    pub repeats: u64,
    /// Of answers, in hundredths: those that are lost.
    pub answers_lost: u64,
    /// Of calls to the stream and the queue, in hundredths: those that fail, wholly or in part.
    pub sends: u64,
    /// Of requests to HQ, in thousandths: each fault of the line.
    pub line: u64,
    /// Of requests, in hundredths: those that an impatient client does not wait for.
    pub impatience: u64,
}

impl Weather {
    /// Nothing goes wrong.
    pub const CALM: Weather = Weather {
        tables: 0,
        freezes: 0,
        deaths: 0,
        hangs: 0,
        repeats: 0,
        answers_lost: 0,
        sends: 0,
        line: 0,
        impatience: 0,
    };
    /// What AWS does on any day.
    pub const BREEZE: Weather = Weather {
        tables: 4,
        freezes: 4,
        deaths: 2,
        hangs: 2,
        repeats: 3,
        answers_lost: 3,
        sends: 3,
        line: 10,
        impatience: 3,
    };
    /// What it does on a bad one.
    pub const STORM: Weather = Weather {
        tables: 25,
        freezes: 25,
        deaths: 12,
        hangs: 12,
        repeats: 3,
        answers_lost: 12,
        sends: 15,
        line: 120,
        impatience: 10,
    };
}

/// An invariant that does not hold.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Violation {
    /// Which.
    pub invariant: &'static str,
    /// What was seen.
    pub seen: String,
}

/// A number that depends on all numbers that were mixed into it, and on their order.
pub fn mix(sum: u64, number: u64) -> u64 {
    let mixed = (sum ^ number).wrapping_mul(0x0000_0100_0000_01b3);
    mixed ^ (mixed >> 29)
}

fn mix_bytes(sum: u64, bytes: &[u8]) -> u64 {
    // With its length, so that no byte can stand in another's field.
    let length = u64::try_from(bytes.len()).unwrap_or(u64::MAX);
    bytes.iter().fold(mix(sum, length), |sum, byte| mix(sum, u64::from(*byte)))
}

fn mix_attributes(sum: u64, attributes: &BTreeMap<String, Value>) -> u64 {
    attributes.iter().fold(sum, |sum, (name, value)| mix_value(mix_bytes(sum, name.as_bytes()), value))
}

fn mix_value(sum: u64, value: &Value) -> u64 {
    match value {
        Value::S(text) => mix_bytes(mix(sum, 1), text.as_bytes()),
        Value::N(number) => mix(mix(sum, 2), number.cast_unsigned()),
        Value::B(bytes) => mix_bytes(mix(sum, 3), bytes),
        Value::Bool(is) => mix(mix(sum, 4), u64::from(*is)),
        Value::L(all) => all.iter().fold(mix(sum, 5), mix_value),
        Value::M(all) => mix_attributes(mix(sum, 6), all),
    }
}

/// The earliest time at which the run of a seed begins, in epoch seconds: two days before clocks change, so that some
/// runs have a day of 23 hours, and some one of 25.
fn first_day(seed: u64) -> i64 {
    /// Before 29 March 2026, when summer time begins in London.
    const OF_SPRING: i64 = 1_774_598_400;
    /// Before 25 October 2026, when it ends in London, and 1 November 2026, when it ends in New York.
    const OF_AUTUMN: [i64; 2] = [1_792_742_400, 1_793_347_200];
    let chance = Chance::apart(seed, "season");
    match chance.percent(50) {
        true => OF_SPRING,
        false => chance.one_of(&OF_AUTUMN).copied().unwrap_or(OF_SPRING),
    }
}

/// Everything of a run.
pub struct World {
    pub settings: Settings,
    pub chance: Arc<Chance>,
    /// What event sources do beyond their usual course is drawn from this, apart from all else.
    pub sources: Chance,
    pub clock: Arc<Clock>,
    pub scheduler: Scheduler,
    /// The tables themselves.
    pub memory: Arc<MemoryDatabase>,
    /// The tables as functions reach them.
    pub tables: Arc<dyn Database>,
    /// What processes that live long remember.
    processes: Vec<Arc<ProcessMemory>>,
    /// What transactions are at.
    pub under_way: Arc<UnderWay>,
    /// Whose commands write what.
    pub tenancy: Arc<Tenancy>,
    pub stream: Arc<MemoryStream>,
    pub sending: Arc<dyn EventStream>,
    pub queue: Arc<MemoryQueue>,
    pub hq: Arc<HqStandIn>,
    pub line: Arc<HqLine>,
    pub transport: Arc<dyn HqTransport>,
    /// Which of [`SECRETS`] the dispatcher signs with.
    pub secret: Cell<usize>,
    pub weather: Cell<Weather>,
    pub tenants: Vec<Tenant>,
    pub books: RefCell<Books>,
    /// Which settings stood when.
    pub course: RefCell<Course>,
    /// What those who follow the stock know of it, by tenant.
    pub followers: RefCell<BTreeMap<String, Follower>>,
    /// What sales gave above limits, as the counters showed it.
    pub given_above: RefCell<GivenAbove>,
    /// What registers that were cut off asked for sales, where the lines do not come to it.
    pub asked_totals: RefCell<AskedTotals>,
    /// Who got goods of lots, as the changes of the stock showed it.
    pub lot_moves: RefCell<LotMoves>,
    /// What of each lot is for sale, as the changes of the stock showed it.
    pub lots_on_shelves: RefCell<LotsOnShelves>,
    /// Lots on their way, as the changes of the stock showed them.
    pub lot_trips: RefCell<LotTrips>,
    /// Lots that whoever commits a reservation names.
    pub named_commits: RefCell<NamedCommits>,
    /// The chances of whoever has a console, in runs in which somebody does.
    pub console: Option<Chance>,
    /// What is changed by hand.
    pub by_hand: RefCell<ByHand>,
    /// Restores of the orders.
    pub restores: Restores,
    /// What goes wrong in this run, of all that can.
    pub trouble: Trouble,
    /// How often the weather changed.
    pub weather_changes: Cell<u64>,
    /// What is wrong, once something is.
    pub violation: RefCell<Option<Violation>>,
    /// Commands that clients have begun.
    pub commands: Cell<u64>,
    /// Clients that still work.
    pub clients: Cell<usize>,
    /// How much quicker than on other days everybody is.
    pub haste: u32,
    /// Whether the schedule runs the keeper.
    pub keeper_runs: Cell<bool>,
    /// How long it rests between two runs, at least.
    pub keeper_rests: Cell<Duration>,
    /// Batches that functions handled.
    pub batches: Cell<u64>,
    /// What happened, in words, where it is wanted.
    pub events: RefCell<Vec<String>>,
    /// A number that is the same for the same run.
    pub fingerprint: Cell<u64>,
    /// What was seen of the changes of stock.
    pub stock_watch: RefCell<StockWatch>,
    /// Routes and actions of tills that were answered.
    pub used: RefCell<BTreeSet<String>>,
}

/// A tenant, and what it sells.
pub struct Tenant {
    pub id: String,
    pub shops: Vec<Shop>,
    pub goods: Vec<Goods>,
    pub rules: Rules,
}

impl Tenant {
    /// A product by its SKU.
    pub fn goods_of(&self, sku: &str) -> Option<&Goods> {
        self.goods.iter().find(|goods| goods.sku == sku)
    }

    /// What so much of a product takes from the shelves.
    pub fn taken(&self, sku: &str, quantity: i64) -> Vec<(String, i64)> {
        self.goods_of(sku).map(|goods| goods.taken(quantity)).unwrap_or_default()
    }
}

impl World {
    /// The world of a seed, still empty.
    ///
    /// # Errors
    /// Where HQ's secrets are none.
    pub fn new(settings: Settings) -> Result<Rc<World>, String> {
        let chance = Arc::new(Chance::new(settings.seed));
        let start = first_day(settings.seed) + chance.between(0, 3 * 86_400);
        let start = Timestamp::from_second(start).map_err(|error| error.to_string())?;
        let clock = Arc::new(Clock::new(start, chance.clone()));
        let memory = Arc::new(MemoryDatabase::with_environment(clock.clone()));
        let stream = Arc::new(MemoryStream::new(1 + chance.index(3), clock.clone()));
        let order = Chance::apart(settings.seed, "the queue's order");
        let queue = Arc::new(MemoryQueue::new(clock.clone()).in_any_order(order));
        let secret = SigningSecret::parse(SECRETS[0]).map_err(|error| error.to_string())?;
        let hq = Arc::new(HqStandIn::new(secret, clock.clone()));
        let tenancy = Arc::new(Tenancy::default());
        let guarded = Arc::new(GuardedTables { inner: memory.clone(), tenancy: tenancy.clone() });
        let line = Arc::new(HqLine {
            hq: hq.clone(),
            clock: clock.clone(),
            chance: chance.clone(),
            faults: 0.into(),
            tenancy: tenancy.clone(),
        });
        let bug = settings.bug;
        let trouble = Trouble::drawn(settings.seed);
        // In some runs the sources are on their own until the day is over: what they lose nobody mends.
        let keeper_runs = Cell::new(!trouble.has(Kind::KeeperAway));
        // In some everything happens within a minute or less: whoever meets seldom otherwise meets then.
        let haste = match chance.below(10) {
            0..2 => 200,
            2..5 => 12,
            _ => 1,
        };
        let world = World {
            processes: std::iter::repeat_with(Arc::default).take(PROCESSES).collect(),
            under_way: Arc::default(),
            tenancy,
            tables: Bug::database(bug, guarded, chance.clone()),
            sending: Bug::stream(bug, stream.clone()),
            transport: Bug::transport(bug, line.clone()),
            tenants: super::set_up::tenants(&chance),
            scheduler: Scheduler::new(chance.clone(), clock.clone()),
            sources: Chance::apart(settings.seed, "event sources"),
            settings,
            chance,
            clock,
            memory,
            stream,
            queue,
            hq,
            line,
            secret: Cell::new(0),
            weather: Cell::new(Weather::CALM),
            books: RefCell::default(),
            course: RefCell::default(),
            followers: RefCell::default(),
            given_above: RefCell::default(),
            asked_totals: RefCell::default(),
            lot_moves: RefCell::default(),
            lots_on_shelves: RefCell::default(),
            lot_trips: RefCell::default(),
            named_commits: RefCell::default(),
            console: console_of(settings.seed),
            by_hand: RefCell::default(),
            restores: Restores::default(),
            trouble,
            weather_changes: Cell::new(0),
            violation: RefCell::default(),
            commands: Cell::new(0),
            clients: Cell::new(0),
            haste,
            keeper_runs,
            keeper_rests: Cell::new(KEEPER_RESTS),
            batches: Cell::new(0),
            events: RefCell::default(),
            fingerprint: Cell::new(0xcbf2_9ce4_8422_2325),
            stock_watch: RefCell::default(),
            used: RefCell::default(),
        };
        world.set_lag(0);
        Ok(Rc::new(world))
    }

    /// Now.
    pub fn now(&self) -> Timestamp {
        self.clock.now()
    }

    /// Writes down what happened: into the run's fingerprint, and in words where they are wanted.
    pub fn tell(&self, what: impl FnOnce() -> String) {
        if self.settings.tells {
            let line = format!("{} {}", self.now(), what());
            self.events.borrow_mut().push(line);
        }
    }

    /// Notes that a route, or an action of tills, was answered.
    pub fn note_use(&self, what: &str) {
        let mut used = self.used.borrow_mut();
        if !used.contains(what) {
            used.insert(what.to_owned());
        }
    }

    /// Mixes a number into the run's fingerprint.
    pub fn mark(&self, number: u64) {
        self.fingerprint.set(mix(self.fingerprint.get(), number));
    }

    /// Mixes every item of every table into the run's fingerprint.
    pub fn mark_items(&self) {
        for table in Table::ALL {
            for item in self.memory.items(table) {
                let marked = mix_attributes(self.fingerprint.get(), &item.0);
                self.fingerprint.set(marked);
            }
        }
    }

    /// Ends the run: an invariant does not hold. The first stands.
    pub fn fail(&self, invariant: &'static str, seen: impl Into<String>) {
        let mut violation = self.violation.borrow_mut();
        if violation.is_none() {
            *violation = Some(Violation { invariant, seen: seen.into() });
        }
    }

    /// Whether the run is over for that.
    pub fn has_failed(&self) -> bool {
        self.violation.borrow().is_some()
    }

    /// Changes the weather, as far as it befalls this run.
    pub fn set_weather(&self, weather: Weather) {
        let weather = self.trouble.weather(weather);
        self.weather.set(weather);
        self.line.faults.store(weather.line, Ordering::Relaxed);
        self.note_weather();
    }

    /// From now on eventual reads are so many writes behind.
    pub fn set_lag(&self, writes: usize) {
        self.memory.set_lag(writes);
        self.note_weather();
    }

    fn note_weather(&self) {
        self.weather_changes.set(self.weather_changes.get() + 1);
        let Weather { tables, freezes, .. } = self.weather.get();
        let is_fair = tables == 0 && freezes == 0 && self.memory.is_settled();
        self.course.borrow_mut().weather(is_fair, self.now());
    }

    /// A number that is the same for as long as every read sees what stands and nobody changes the prices of a
    /// tenant; none where that is not so.
    pub fn price_quiet(&self, tenant: &str) -> Option<(u64, u64)> {
        let quiet = self.books.borrow().price_quiet(tenant)?;
        self.memory.is_settled().then(|| (quiet, self.weather_changes.get()))
    }

    /// The settings by which may be gone what of a tenant was begun at `since` or later.
    pub fn may_have_stood(&self, tenant: &str, since: Timestamp) -> Vec<DaySettings> {
        self.course.borrow().may_have_stood(tenant, since)
    }

    /// What one process of a function has: tables that fail as the weather is, and a clock of its own.
    pub fn ports(&self) -> Ports {
        self.ports_that_freeze(self.weather.get().freezes)
    }

    /// Those of a process that is frozen now and then: before so many in a thousand calls to tables.
    pub fn ports_that_freeze(&self, freezes: u64) -> Ports {
        let rates = self.trouble.rates(self.weather.get().tables);
        let slow = Arc::new(SlowTables {
            inner: self.tables.clone(),
            clock: self.clock.clone(),
            chance: self.chance.clone(),
            freezes,
            under_way: self.under_way.clone(),
        });
        let database: Arc<dyn Database> = if rates == Rates::default() {
            slow
        } else {
            Arc::new(FaultyDatabase::random(slow, self.chance.next(), rates))
        };
        let ahead_millis = self.chance.between(-400, 400);
        let environment = MachineClock {
            clock: self.clock.clone(),
            ahead_millis: if self.trouble.has(Kind::WrongClocks) { ahead_millis } else { 0 },
            // Most requests come to a process that has answered others before.
            memory: self.processes.get(self.chance.index(1 + PROCESSES)).cloned().unwrap_or_default(),
        };
        Ports { database, environment: Arc::new(environment) }
    }

    /// What a command of a tenant does: meanwhile everything that is written is looked at as its.
    pub async fn acting<T>(&self, tenant: &str, work: impl Future<Output = T>) -> T {
        let mut work = pin!(work);
        std::future::poll_fn(|context| {
            let before = self.tenancy.begin(tenant);
            let polled = work.as_mut().poll(context);
            self.tenancy.end(before);
            polled
        })
        .await
    }

    /// Looks at what a client of a tenant was answered.
    pub fn answered(&self, tenant: &str, answer: &impl Debug) {
        // Whoever has nothing cannot be told to anybody.
        let known = self.tenants.iter().map(|known| known.id.as_str());
        let is_known = tenant == INTRUDER || self.tenants.len() > 1;
        if let Some(seen) = is_known.then(|| names_another(tenant, known, answer)).flatten() {
            self.fail("no answer crosses tenants", seen);
        }
    }

    /// Runs what one invocation does, in a process that may die between any two steps, or whose answer may
    /// be lost.
    pub async fn invoke<T>(&self, work: impl Future<Output = T>) -> Option<T> {
        let weather = self.weather.get();
        // Mostly early, where most functions are short; some of the keeper's runs take thousands of steps.
        let most = if self.chance.percent(80) { 60 } else { 4_000 };
        let mut steps_left = self.chance.percent(weather.deaths).then(|| self.chance.below(most));
        let mut work = pin!(work);
        let done = std::future::poll_fn(|context| {
            match &mut steps_left {
                Some(0) => return Poll::Ready(None),
                Some(left) => *left -= 1,
                None => {}
            }
            work.as_mut().poll(context).map(Some)
        })
        .await;
        done.filter(|_| !self.chance.percent(weather.answers_lost))
    }

    /// Whether the source of an event gives up waiting for its function, which goes on by itself.
    pub fn gives_up_waiting(&self) -> bool {
        self.chance.percent(self.weather.get().hangs)
    }

    /// Lets the next call to the stream or the queue fail, if the weather is so.
    pub fn trouble_sends(&self) {
        if self.chance.percent(self.weather.get().sends) {
            let fault = match self.chance.below(3) {
                0 => SendFault::CallFails,
                1 => SendFault::AnswerLost,
                _ => SendFault::Refuses((0..2).map(|_| self.chance.index(6)).collect()),
            };
            if self.chance.percent(50) {
                self.stream.fail_next(fault);
            } else {
                self.queue.fail_next(fault);
            }
        }
    }

    /// The lot that so much of something at a shop is of, as somebody reads it on the goods now and then; some read it
    /// wrongly.
    pub fn lot_read(&self, owner: &Tenant, shop: &str, goods: (&str, i64)) -> Option<String> {
        self.lot_read_by(30, owner, shop, goods)
    }

    /// The same, by so many in a hundred.
    pub fn lot_read_by(
        &self,
        hundredths: u64,
        owner: &Tenant,
        shop: &str,
        (sku, quantity): (&str, i64),
    ) -> Option<String> {
        if !owner.goods_of(sku)?.by_lots || !self.chance.percent(hundredths) {
            return None;
        }
        if self.chance.percent(12) {
            let books = self.books.borrow();
            let of_it =
                books.lots.iter().filter(|((of, _), lot)| *of == owner.id && lot.sku == sku && lot.has_come);
            let known: Vec<&String> = of_it.map(|((_, id), _)| id).collect();
            return self.chance.one_of(&known).map(|id| (*id).clone());
        }
        let name = (owner.id.clone(), shop.to_owned(), sku.to_owned());
        let shelves = self.lots_on_shelves.borrow();
        let there = shelves.get(&name)?.iter().filter(|(_, there)| **there >= quantity);
        let there: Vec<&String> = there.map(|(id, _)| id).collect();
        self.chance.one_of(&there).map(|id| (*id).clone())
    }

    /// HQ takes up its other secret; the dispatcher follows when it is told.
    pub fn rotate_hq_secret(&self) -> usize {
        let next = (self.secret.get() + 1) % SECRETS.len();
        if let Some(Ok(secret)) = SECRETS.get(next).map(|secret| SigningSecret::parse(secret)) {
            self.hq.rotate_secret(secret);
        }
        next
    }

    /// What the dispatcher signs with.
    ///
    /// # Errors
    /// Where that is no secret.
    pub fn signing_secret(&self) -> Result<SigningSecret, String> {
        let secret = SECRETS.get(self.secret.get()).copied().unwrap_or_default();
        SigningSecret::parse(secret).map_err(|error| error.to_string())
    }

    /// How HQ behaves from now on.
    pub fn control_hq(&self, mode: Mode, fail_percent: u8) {
        let (mode, fail_percent) = (Some(mode), Some(fail_percent));
        self.hq.control(Control { mode, fail_percent, ..Control::default() });
    }

    /// Tells HQ which orders it refuses.
    pub fn refuse_at_hq(&self) {
        let refuse_orders = Some(self.books.borrow().refused_by_hq.clone());
        self.hq.control(Control { refuse_orders, ..Control::default() });
    }

    /// Waits.
    pub async fn sleep(&self, time: Duration) {
        self.clock.sleep(time).await;
    }

    /// Waits for up to that long.
    pub async fn sleep_up_to(&self, most: Duration) {
        self.clock.sleep(self.chance.up_to(most)).await;
    }

    /// The queue as functions reach it.
    pub fn waking(&self) -> Arc<dyn WakeUpQueue> {
        self.queue.clone()
    }
}
