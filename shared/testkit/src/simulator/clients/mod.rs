//! Who uses the system: tills, a web shop, a stock room, buyers, HQ's feeds, merchandisers, readers, analysts, an
//! administrator, a back office, somebody with a console, and somebody who should not.

mod administrator;
mod analyst;
mod auditor;
mod back_office;
mod buyer;
mod cashier;
mod commits;
mod console;
mod counter;
mod desk;
mod director;
mod follower;
mod gift_card_desk;
mod headquarters;
mod intruder;
mod layouts;
mod merchandiser;
mod quality_keeper;
mod reader;
mod recorder;
mod restorer;
mod shift_lead;
mod sourcer;
mod stock_room;
mod stock_taker;
mod till;
mod till_exchange;
mod till_offline;
mod till_parking;
mod till_payments;
mod till_returns;
mod till_rules;
mod till_stock;
mod till_undo;
mod transfer_clerk;
mod waiter;
mod web_shop;

use std::cell::Cell;
use std::fmt::Debug;
use std::pin::Pin;
use std::rc::Rc;
use std::time::Duration;

use tillstream_app::{Error, Ports, Refusal, Result};

use super::world::World;
pub use commits::NamedCommits;
pub use console::all_correct;
pub use follower::{Follower, all_catch_up};
pub use till_offline::OFFLINE;

/// Between two moments at which clients meet.
const MEETS_EVERY_MILLIS: i64 = 5_000;
/// What a request is told by which an exception was settled, once that opened anew: it took effect nevertheless.
const REOPENED: &str = "exception_reopened";

/// Begins all of them.
pub fn begin(world: &Rc<World>) {
    for tenant in 0..world.tenants.len() {
        let Some(owner) = world.tenants.get(tenant) else { continue };
        for shop in 0..owner.shops.len() {
            let registers = owner.shops.get(shop).map_or(0, |shop| shop.registers.len());
            for register in 0..registers {
                spawn(world, till::work(world.clone(), tenant, shop, register));
            }
            spawn(world, web_shop::work(world.clone(), tenant, shop));
            spawn(world, stock_room::work(world.clone(), tenant, shop));
            spawn(world, cashier::work(world.clone(), tenant, shop));
            for number in 0..if owner.rules.has_shifts { 2 } else { 0 } {
                spawn(world, shift_lead::work(world.clone(), tenant, shop, number));
            }
        }
        for feeder in 0..2 {
            spawn(world, headquarters::work(world.clone(), tenant, feeder));
            spawn(world, merchandiser::work(world.clone(), tenant, feeder));
            spawn(world, desk::work(world.clone(), tenant, feeder));
        }
        for number in 0..2 {
            spawn(world, stock_taker::work(world.clone(), tenant, number));
            spawn(world, gift_card_desk::work(world.clone(), tenant, number));
            spawn(world, transfer_clerk::work(world.clone(), tenant, number));
            spawn(world, quality_keeper::work(world.clone(), tenant, number));
        }
        spawn(world, recorder::work(world.clone(), tenant));
        spawn(world, analyst::work(world.clone(), tenant));
        spawn(world, administrator::work(world.clone(), tenant));
        spawn(world, intruder::work(world.clone(), tenant));
        spawn(world, layouts::work(world.clone(), tenant));
        spawn(world, reader::work(world.clone(), tenant));
        spawn(world, director::work(world.clone(), tenant));
        spawn(world, follower::work(world.clone(), tenant));
        for number in 0..2 {
            spawn(world, buyer::work(world.clone(), tenant, number));
            spawn(world, counter::work(world.clone(), tenant, number));
            spawn(world, waiter::work(world.clone(), tenant, number));
        }
        spawn(world, sourcer::work(world.clone(), tenant));
        spawn(world, auditor::work(world.clone(), tenant));
        spawn(world, back_office::work(world.clone(), tenant));
        if world.console.is_some() {
            spawn(world, console::work(world.clone(), tenant));
        }
    }
    spawn(world, restorer::work(world.clone()));
}

fn spawn(world: &Rc<World>, work: impl Future<Output = Option<Stopped>> + 'static) {
    world.clients.set(world.clients.get() + 1);
    let owner = world.clone();
    world.scheduler.spawn(async move {
        let _ = work.await;
        owner.clients.set(owner.clients.get() - 1);
    });
}

/// The day is over: nobody begins another command.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stopped;

/// A request that can be sent again and again.
pub type Request<T> = Rc<dyn Fn(Ports) -> Pin<Box<dyn Future<Output = Result<T>>>>>;

/// What a client was told.
pub type Answer<T> = std::result::Result<T, Box<Refusal>>;

/// A client's end of the line.
#[derive(Clone)]
pub struct Line {
    /// The world.
    pub world: Rc<World>,
    /// Whose it is.
    tenant: Rc<str>,
}

impl Line {
    /// That of a client of a tenant.
    pub fn of(world: &Rc<World>, tenant: &str) -> Self {
        Line { world: world.clone(), tenant: tenant.into() }
    }

    /// The answer of a request that a client of the tenant sends; none where its process dies, or the answer is lost.
    pub async fn invoke<T: Debug>(&self, request: impl Future<Output = Result<T>>) -> Option<Result<T>> {
        let world = &self.world;
        let answer = world.invoke(world.acting(&self.tenant, request)).await?;
        match &answer {
            Ok(told) => world.answered(&self.tenant, told),
            Err(error) => world.answered(&self.tenant, error),
        }
        Some(answer)
    }

    /// Whether nobody begins another command.
    pub fn is_over(&self) -> bool {
        self.world.has_failed() || self.world.commands.get() >= self.world.settings.commands
    }

    /// Begins a command, if there is another to begin.
    ///
    /// # Errors
    /// [`Stopped`].
    pub fn begin(&self, what: impl FnOnce() -> String) -> std::result::Result<(), Stopped> {
        if self.is_over() {
            return Err(Stopped);
        }
        let world = &self.world;
        let number = world.commands.get() + 1;
        world.commands.set(number);
        world.mark(number);
        world.tell(|| format!("#{number} {}", what()));
        Ok(())
    }

    /// Sends a request until it has an answer that counts: again where none comes, twice at once where the
    /// client is impatient, and now and then once more after the answer. `essence` is what every answer of
    /// one command must have in common.
    pub async fn send<T: Debug + 'static>(
        &self,
        request: Request<T>,
        essence: impl Fn(&T) -> String,
    ) -> Answer<T> {
        let world = &self.world;
        let under_way = Rc::new(Cell::new(0_usize));
        let mut known: Option<String> = None;
        loop {
            if world.has_failed() {
                return Err(Box::new(Refusal::conflict("simulation_over", "an invariant does not hold")));
            }
            if world.chance.percent(world.weather.get().impatience) {
                self.send_aside(&request, &under_way);
                // A double tap, or a second try a little later.
                let later = if world.chance.percent(60) { 4 } else { 400 };
                world.sleep_up_to(Duration::from_millis(later)).await;
            }
            if world.chance.percent(world.weather.get().answers_lost) {
                // Lost on the way there.
                world.sleep_up_to(Duration::from_secs(4)).await;
                continue;
            }
            // Mostly near by, so that what is sent at once arrives at once.
            let way = if world.chance.percent(70) { 3 } else { 60 };
            world.sleep_up_to(Duration::from_millis(way)).await;
            match self.invoke(request(world.ports())).await {
                None => world.sleep_up_to(Duration::from_secs(4)).await,
                Some(Err(Error::Conflict(_) | Error::Retryable { .. })) => {
                    world.sleep_up_to(Duration::from_secs(2)).await;
                }
                Some(Err(Error::Bug(why))) => world.fail("a request meets no bug", why),
                Some(Err(Error::Rejected(refusal))) => {
                    if let Some(known) = known.as_ref().filter(|_| refusal.code != REOPENED) {
                        let seen = format!("{known}, then {}: {}", refusal.code, refusal.detail);
                        world.fail("one command, one result", seen);
                        return Err(refusal);
                    }
                    if under_way.get() == 0 {
                        world.tell(|| format!("  refused: {} {}", refusal.code, refusal.detail));
                        world.mark(2);
                        return Err(refusal);
                    }
                    // An earlier one of the same command may yet take effect: whoever asks again learns it.
                    world.sleep_up_to(Duration::from_secs(2)).await;
                }
                Some(Ok(answer)) => {
                    let told = essence(&answer);
                    if known.as_ref().is_some_and(|known| *known != told) {
                        let seen = format!("{}, then {told}", known.unwrap_or_default());
                        world.fail("one command, one result", seen);
                        return Ok(answer);
                    }
                    if world.chance.percent(world.weather.get().impatience) && known.is_none() {
                        known = Some(told);
                        world.sleep_up_to(Duration::from_secs(30)).await;
                        continue;
                    }
                    world.tell(|| format!("  {told}"));
                    world.mark(told.bytes().fold(3, |sum, byte| sum.rotate_left(5) ^ u64::from(byte)));
                    return Ok(answer);
                }
            }
        }
    }

    /// Sends a request to a route, and notes that the route was answered.
    pub async fn send_to<T: Debug + 'static>(
        &self,
        route: &str,
        request: Request<T>,
        essence: impl Fn(&T) -> String,
    ) -> Answer<T> {
        let answer = self.send(request, essence).await;
        if answer.is_ok() {
            self.world.note_use(route);
        }
        answer
    }

    /// A request that nobody waits for: it may be late.
    fn send_aside<T: Debug + 'static>(&self, request: &Request<T>, under_way: &Rc<Cell<usize>>) {
        let (line, request, under_way) = (self.clone(), request.clone(), under_way.clone());
        under_way.set(under_way.get() + 1);
        self.world.scheduler.spawn(async move {
            let world = &line.world;
            let most = match world.chance.below(10) {
                0..2 => 60_000,
                2..5 => 500,
                _ => 4,
            };
            world.sleep_up_to(Duration::from_millis(most)).await;
            if let Some(Err(Error::Bug(why))) = line.invoke(request(world.ports())).await {
                world.fail("a request meets no bug", why);
            }
            under_way.set(under_way.get() - 1);
        });
    }

    /// Ends the run where a command was refused for something that is none of `expected`.
    pub fn expect_refusal(&self, refusal: &Refusal, expected: &[&str]) {
        if !expected.contains(&refusal.code) && refusal.code != "simulation_over" {
            let seen = format!("{}: {}", refusal.code, refusal.detail);
            self.world.fail("nothing is refused without reason", seen);
        }
    }

    /// Waits for a moment that others wait for too: what meets seldom by chance meets so.
    pub async fn meet_others(&self, hundredths: u64) {
        self.meet(hundredths, MEETS_EVERY_MILLIS).await;
    }

    /// Waits for one of the moments that are some milliseconds apart.
    pub async fn meet(&self, hundredths: u64, every_millis: i64) {
        if self.world.chance.percent(hundredths) {
            let every = every_millis / i64::from(self.world.haste);
            let into = self.world.now().as_millisecond().rem_euclid(every);
            let left = u64::try_from(every - into).unwrap_or(0);
            self.world.sleep(Duration::from_millis(left)).await;
        }
    }

    /// A pause after which nothing is half done: whoever restores the tables waits until everybody is here.
    pub async fn rest(&self, most: Duration) {
        self.think(most).await;
        self.world.restores.rest(self).await;
    }

    /// A pause between two commands.
    pub async fn think(&self, most: Duration) {
        self.world.sleep_up_to(most / self.world.haste).await;
    }
}
