//! What AWS does now and then and no emulator ever does: throttling, conflicts, answers that never
//! come. Chosen by a seed, or by a script.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use tillstream_app::capacity::Operation;
use tillstream_app::database::{
    Cancellation, Database, DatabaseError, Get, Item, Query, QueryPage, Table, Write,
};
use tillstream_app::environment::Environment;
use tillstream_app::ports::Ports;
use tokio::sync::Notify;

use crate::item_name::item_name;
use crate::test_environment::{SPLIT_MIX_STEP, split_mix};

/// What goes wrong with one call.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Fault {
    /// Throttled; nothing was done. In a transaction: one of its items was.
    Throttled,
    /// Another transaction has the item; nothing was done. In a transaction: one of its items was. A
    /// read or a batch of single writes meets no conflict: it is throttled instead.
    Conflict,
    /// The call itself is refused, as for a role without the permission; nothing was done. Repeating does
    /// not help until somebody mends it.
    Refused,
    /// No answer in time, and nothing was done.
    TimedOutBefore,
    /// It took effect, and the answer was lost.
    AnswerLost,
    /// The process dies before the call arrives: the call never returns. The test drops the task.
    DiesBefore,
    /// The process dies after it took effect: the call never returns. The test drops the task.
    DiesAfter,
    /// The process is frozen before the call, as Lambda may do with one: it goes on at
    /// [`FaultyDatabase::thaw`], however late. A batch of reads is frozen after its first item: it is not
    /// read at one moment.
    Freezes,
}

/// How often, in thousandths of calls, each fault happens by chance.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Rates {
    /// [`Fault::Throttled`].
    pub throttled: u64,
    /// [`Fault::Conflict`].
    pub conflict: u64,
    /// [`Fault::Refused`].
    pub refused: u64,
    /// [`Fault::TimedOutBefore`].
    pub timed_out_before: u64,
    /// [`Fault::AnswerLost`].
    pub answer_lost: u64,
}

impl Rates {
    /// Each fault that passes by itself, at this rate.
    pub fn each(thousandths: u64) -> Self {
        Rates {
            throttled: thousandths,
            conflict: thousandths,
            refused: 0,
            timed_out_before: thousandths,
            answer_lost: thousandths,
        }
    }

    fn pick(&self, draw: u64) -> Option<Fault> {
        let mut left = draw % 1000;
        for (rate, fault) in [
            (self.throttled, Fault::Throttled),
            (self.conflict, Fault::Conflict),
            (self.refused, Fault::Refused),
            (self.timed_out_before, Fault::TimedOutBefore),
            (self.answer_lost, Fault::AnswerLost),
        ] {
            if left < rate {
                return Some(fault);
            }
            left -= rate;
        }
        None
    }
}

#[derive(Default)]
struct Plan {
    script: BTreeMap<Operation, VecDeque<Option<Fault>>>,
    rates: Rates,
    random: u64,
    /// Part of the keys of items that others are at all the time.
    busy: Option<String>,
    injected: BTreeMap<(Operation, Fault), u64>,
}

/// A database that fails as told.
pub struct FaultyDatabase {
    inner: Arc<dyn Database>,
    plan: Mutex<Plan>,
    thaw: Notify,
}

impl FaultyDatabase {
    /// Fails never, until told to.
    pub fn new(inner: Arc<dyn Database>) -> Self {
        FaultyDatabase { inner, plan: Mutex::default(), thaw: Notify::new() }
    }

    /// Ports on a database that fails never, until told to.
    pub fn ports_over(
        inner: Arc<dyn Database>,
        environment: Arc<dyn Environment>,
    ) -> (Ports, Arc<FaultyDatabase>) {
        let database = Arc::new(FaultyDatabase::new(inner));
        (Ports { database: database.clone(), environment }, database)
    }

    /// Fails by chance.
    pub fn random(inner: Arc<dyn Database>, seed: u64, rates: Rates) -> Self {
        let faulty = FaultyDatabase::new(inner);
        faulty.lock().random = seed;
        faulty.set_rates(rates);
        faulty
    }

    /// From now on fails by chance at these rates.
    pub fn set_rates(&self, rates: Rates) {
        self.lock().rates = rates;
    }

    /// The next calls of `operation` go as `script` says, one after the other; `None` goes well. After
    /// the script, chance decides again.
    pub fn script(&self, operation: Operation, script: impl IntoIterator<Item = Option<Fault>>) {
        self.lock().script.entry(operation).or_default().extend(script);
    }

    /// The next call of `operation` fails so.
    pub fn fail_next(&self, operation: Operation, fault: Fault) {
        self.script(operation, [Some(fault)]);
    }

    /// From now on every transaction on an item whose key contains `part` meets another at it.
    pub fn keep_busy(&self, part: &str) {
        self.lock().busy = Some(part.to_owned());
    }

    /// Which of some writes meet another transaction at their item, if any.
    fn conflicts(&self, writes: &[Write]) -> Option<Vec<Cancellation>> {
        let plan = self.lock();
        let busy = plan.busy.as_deref()?;
        let reasons: Vec<Cancellation> =
            writes
                .iter()
                .map(|write| {
                    if item_name(write).1.contains(busy) {
                        Cancellation::Conflict
                    } else {
                        Cancellation::None
                    }
                })
                .collect();
        reasons.contains(&Cancellation::Conflict).then_some(reasons)
    }

    /// How often which fault was injected: a test that needs faults asserts that there were some.
    pub fn injected(&self) -> BTreeMap<(Operation, Fault), u64> {
        self.lock().injected.clone()
    }

    fn lock(&self) -> MutexGuard<'_, Plan> {
        self.plan.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Lets a call that is frozen, or the next that would be, go on.
    pub fn thaw(&self) {
        self.thaw.notify_one();
    }

    /// The fault of this call, and a number to choose a position by.
    async fn next(&self, operation: Operation) -> (Option<Fault>, u64) {
        let (fault, draw) = self.draw(operation);
        if fault == Some(Fault::Freezes) {
            self.thaw.notified().await;
            return (None, draw);
        }
        (fault, draw)
    }

    fn draw(&self, operation: Operation) -> (Option<Fault>, u64) {
        let mut plan = self.lock();
        plan.random = plan.random.wrapping_add(SPLIT_MIX_STEP);
        let draw = split_mix(plan.random);
        let scripted = plan.script.get_mut(&operation).and_then(VecDeque::pop_front);
        let fault = scripted.unwrap_or_else(|| plan.rates.pick(draw));
        if let Some(fault) = fault {
            *plan.injected.entry((operation, fault)).or_default() += 1;
        }
        (fault, draw / 1000)
    }
}

/// Goes through with a call as the fault says. `refusal` is what throttling or a conflict looks like.
async fn go_through<T>(
    fault: Option<Fault>,
    call: impl Future<Output = Result<T, DatabaseError>>,
    refusal: impl FnOnce(Fault) -> DatabaseError,
) -> Result<T, DatabaseError> {
    let unanswered = || DatabaseError::Unavailable("injected: no answer in time".into());
    match fault {
        None | Some(Fault::Freezes) => call.await,
        Some(fault @ (Fault::Throttled | Fault::Conflict)) => Err(refusal(fault)),
        Some(Fault::Refused) => Err(DatabaseError::Invalid("injected: not authorised".into())),
        Some(Fault::TimedOutBefore) => Err(unanswered()),
        Some(Fault::AnswerLost) => {
            // Whatever it was, success or refusal: the caller does not learn it.
            let _ = call.await;
            Err(unanswered())
        }
        Some(Fault::DiesBefore) => std::future::pending().await,
        Some(Fault::DiesAfter) => {
            let _ = call.await;
            std::future::pending().await
        }
    }
}

fn throttled() -> DatabaseError {
    DatabaseError::Throttled("injected: throttled".into())
}

#[async_trait]
impl Database for FaultyDatabase {
    async fn get(&self, get: Get) -> Result<Option<Item>, DatabaseError> {
        let (fault, _) = self.next(Operation::Get).await;
        go_through(fault, self.inner.get(get), |_| throttled()).await
    }

    async fn get_many(&self, gets: Vec<Get>) -> Result<Vec<Option<Item>>, DatabaseError> {
        let (fault, _) = self.draw(Operation::GetMany);
        if fault == Some(Fault::Freezes) {
            let (first, rest) = gets.split_at(gets.len().min(1));
            let mut items = self.inner.get_many(first.to_vec()).await?;
            self.thaw.notified().await;
            items.extend(self.inner.get_many(rest.to_vec()).await?);
            return Ok(items);
        }
        go_through(fault, self.inner.get_many(gets), |_| throttled()).await
    }

    async fn get_together(&self, gets: Vec<Get>) -> Result<Vec<Option<Item>>, DatabaseError> {
        let (fault, _) = self.next(Operation::GetTogether).await;
        go_through(fault, self.inner.get_together(gets), |fault| match fault {
            Fault::Conflict => DatabaseError::Conflict("injected: an item is being written".into()),
            _ => throttled(),
        })
        .await
    }

    async fn query(&self, query: Query) -> Result<QueryPage, DatabaseError> {
        let (fault, _) = self.next(Operation::Query).await;
        go_through(fault, self.inner.query(query), |_| throttled()).await
    }

    async fn write(&self, write: Write) -> Result<(), DatabaseError> {
        let (fault, _) = self.next(Operation::Write).await;
        go_through(fault, self.inner.write(write), |fault| match fault {
            Fault::Conflict => DatabaseError::Conflict("injected: a transaction has the item".into()),
            _ => throttled(),
        })
        .await
    }

    async fn transact(&self, writes: Vec<Write>) -> Result<(), DatabaseError> {
        let (fault, draw) = self.next(Operation::Transact).await;
        if let Some(reasons) = self.conflicts(&writes) {
            return Err(DatabaseError::Cancelled(reasons));
        }
        let actions = writes.len();
        go_through(fault, self.inner.transact(writes), |fault| {
            let at = usize::try_from(draw).unwrap_or(0) % actions.max(1);
            let reason = |position| match (position == at, fault) {
                (true, Fault::Conflict) => Cancellation::Conflict,
                (true, _) => Cancellation::Throttled,
                (false, _) => Cancellation::None,
            };
            DatabaseError::Cancelled((0..actions).map(reason).collect())
        })
        .await
    }

    async fn put_many(&self, table: Table, items: Vec<Item>) -> Result<(), DatabaseError> {
        let (fault, draw) = self.next(Operation::PutMany).await;
        if fault == Some(Fault::AnswerLost) && !items.is_empty() {
            // Some were put and some were not: that is what a batch is.
            let count = 1 + usize::try_from(draw).unwrap_or(0) % items.len();
            let some = items.into_iter().take(count).collect();
            let put = self.inner.put_many(table, some);
            return go_through(fault, put, |_| throttled()).await;
        }
        go_through(fault, self.inner.put_many(table, items), |_| throttled()).await
    }
}
