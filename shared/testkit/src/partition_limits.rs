//! The database in memory with what AWS limits by partition key and what two transactions on one item do to
//! each other, on virtual time: to see how much a layout of data can take.
//!
//! - A partition key takes 1,000 write units and 3,000 read units a second, of the table and of each index
//!   (DynamoDB Developer Guide, "Best practices for designing and using partition keys"); what is above is
//!   throttled. Unused capacity is kept for a tenth of a second only: no burst helps a steady load.
//! - A transaction has its items from when they are prepared until it is committed. Another transaction, a
//!   write, or a transactional read of one of them is refused meanwhile ("Managing complex workflows with
//!   DynamoDB transactions", "Transaction conflict handling").
//! - A transaction pays for each item twice: once to prepare it, once to commit it (the same, "Capacity
//!   management for transactions"). One that is cancelled pays the first.
//! - Each call takes its time on the way there and back. Items that are updated are at most 1 KB: whoever
//!   measures checks that.

use std::collections::{HashMap, HashSet};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Wake, Waker};
use std::time::Duration;

use async_trait::async_trait;
use futures::future::BoxFuture;
use futures::stream::{FuturesUnordered, StreamExt};
use tillstream_app::database::{
    Cancellation, Consistency, Database, DatabaseError, Get, Item, Query, QueryPage, Table, Write,
};
use tillstream_app::environment::Environment;

use crate::item_name::item_name;
use crate::memory_database::{MemoryDatabase, item_size};
pub use crate::simulator::chance::Chance;
pub use crate::simulator::clock::Clock;

/// How often a batch asks again for what was left out of it, as the adapter does.
const BATCH_ROUNDS: u32 = 10;
/// How long it waits before.
const BATCH_PAUSE: Duration = Duration::from_millis(10);

/// What is limited, and how long things take.
#[derive(Debug, Clone, Copy)]
pub struct Terms {
    /// Write units a second and partition key.
    pub write_units: u64,
    /// Read units a second and partition key.
    pub read_units: u64,
    /// The shortest and the longest way of a call, there or back, in microseconds.
    pub way_micros: (u64, u64),
    /// How long a transaction has its items, in microseconds.
    pub held_micros: u64,
}

/// What was refused.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Refused {
    /// For another transaction.
    pub conflicts: u64,
    /// For a partition's limit.
    pub throttled: u64,
    /// Transactions that took effect.
    pub committed: u64,
}

struct Bucket {
    /// Millionths of a unit.
    left: u64,
    /// When it was filled last, in nanoseconds.
    at: i128,
}

#[derive(Default)]
struct State {
    buckets: HashMap<(Table, String, bool), Bucket>,
    held: HashSet<(Table, String, String)>,
    refused: Refused,
}

/// The database with limits.
pub struct PartitionLimits {
    memory: Arc<MemoryDatabase>,
    environment: Arc<dyn Environment>,
    terms: Terms,
    state: Mutex<State>,
}

const MILLION: u64 = 1_000_000;

impl PartitionLimits {
    /// Over `memory`, on the time of `environment`.
    pub fn new(memory: Arc<MemoryDatabase>, environment: Arc<dyn Environment>, terms: Terms) -> Self {
        PartitionLimits { memory, environment, terms, state: Mutex::default() }
    }

    /// What was refused so far.
    pub fn refused(&self) -> Refused {
        self.state().refused
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn way(&self) {
        let (least, most) = self.terms.way_micros;
        let span = most.saturating_sub(least).saturating_add(1);
        self.environment.sleep(Duration::from_micros(least + self.environment.random() % span)).await;
    }

    /// Takes units (in thousandths) from partitions, all or none; answers which have not enough.
    fn admit(&self, state: &mut State, wanted: &[(Table, String, bool, u64)]) -> Vec<bool> {
        let now = self.environment.now().as_nanosecond();
        let mut lacks = Vec::with_capacity(wanted.len());
        for (table, partition, is_write, thousandths) in wanted {
            let rate = if *is_write { self.terms.write_units } else { self.terms.read_units };
            let most = rate.saturating_mul(MILLION) / 10;
            let bucket = state
                .buckets
                .entry((*table, partition.clone(), *is_write))
                .or_insert(Bucket { left: most, at: now });
            let passed = u64::try_from((now - bucket.at).max(0)).unwrap_or(u64::MAX);
            // Units a second are millionths a microsecond.
            bucket.left = bucket.left.saturating_add(passed.saturating_mul(rate) / 1_000).min(most);
            bucket.at = now;
            lacks.push(bucket.left < thousandths.saturating_mul(1_000));
        }
        if lacks.contains(&true) {
            state.refused.throttled += 1;
            return lacks;
        }
        for (table, partition, is_write, thousandths) in wanted {
            if let Some(bucket) = state.buckets.get_mut(&(*table, partition.clone(), *is_write)) {
                bucket.left = bucket.left.saturating_sub(thousandths.saturating_mul(1_000));
            }
        }
        lacks
    }

    /// What was taken for a commit that does not come.
    fn give_back_half(state: &mut State, taken: &[(Table, String, bool, u64)]) {
        for (table, partition, is_write, thousandths) in taken {
            if let Some(bucket) = state.buckets.get_mut(&(*table, partition.clone(), *is_write)) {
                bucket.left = bucket.left.saturating_add(thousandths.saturating_mul(1_000) / 2);
            }
        }
    }

    /// Takes what can be taken, and leaves the rest.
    fn admit_some(&self, left: &mut Vec<(Table, String, bool, u64)>) {
        let mut state = self.state();
        let before = state.refused.throttled;
        left.retain(|cost| self.admit(&mut state, std::slice::from_ref(cost)).contains(&true));
        // A call that waits counts once a round, not once an item.
        state.refused.throttled = before + u64::from(!left.is_empty());
    }

    fn write_cost(write: &Write, factor: u64) -> Vec<(Table, String, bool, u64)> {
        let (table, partition, _) = item_name(write);
        let kilobytes = match write {
            Write::Put { item, .. } => u64::try_from(item_size(item).div_ceil(1024).max(1)).unwrap_or(1),
            _ => 1,
        };
        let mut costs = vec![(table, partition, true, kilobytes * factor * 1_000)];
        if let Write::Put { item, .. } = write
            && let Some(due) = item.opt_text("due_pk")
        {
            costs.push((table, format!("index {due}"), true, 1_000));
        }
        costs
    }
}

fn throttled() -> DatabaseError {
    DatabaseError::Throttled("the partition's limit".to_owned())
}

#[async_trait]
impl Database for PartitionLimits {
    async fn get(&self, get: Get) -> Result<Option<Item>, DatabaseError> {
        self.get_many(vec![get]).await.map(|items| items.into_iter().next().flatten())
    }

    async fn get_many(&self, gets: Vec<Get>) -> Result<Vec<Option<Item>>, DatabaseError> {
        self.way().await;
        let mut left: Vec<(Table, String, bool, u64)> = gets
            .iter()
            .map(|get| {
                let cost = if get.consistency == Consistency::Strong { 1_000 } else { 500 };
                (get.table, get.key.pk().to_owned(), false, cost)
            })
            .collect();
        for round in 0.. {
            self.admit_some(&mut left);
            if left.is_empty() {
                break;
            }
            if round >= BATCH_ROUNDS {
                return Err(throttled());
            }
            self.environment.sleep(BATCH_PAUSE).await;
        }
        let items = self.memory.get_many(gets).await;
        self.way().await;
        items
    }

    async fn get_together(&self, gets: Vec<Get>) -> Result<Vec<Option<Item>>, DatabaseError> {
        self.way().await;
        let costs: Vec<_> =
            gets.iter().map(|get| (get.table, get.key.pk().to_owned(), false, 2_000)).collect();
        let refused = {
            let mut state = self.state();
            let name = |get: &Get| (get.table, get.key.pk().to_owned(), get.key.sk().to_owned());
            if self.admit(&mut state, &costs).contains(&true) {
                Some(throttled())
            } else if gets.iter().any(|get| state.held.contains(&name(get))) {
                state.refused.conflicts += 1;
                Some(DatabaseError::Conflict("a transaction has an item".to_owned()))
            } else {
                None
            }
        };
        let items = match refused {
            Some(error) => Err(error),
            None => self.memory.get_together(gets).await,
        };
        self.way().await;
        items
    }

    async fn query(&self, query: Query) -> Result<QueryPage, DatabaseError> {
        self.way().await;
        let partition = match query.index {
            Some(_) => format!("index {}", query.partition.value()),
            None => query.partition.value().to_owned(),
        };
        let lacks = self.admit(&mut self.state(), &[(query.table, partition, false, 1_000)]);
        let page = if lacks.contains(&true) { Err(throttled()) } else { self.memory.query(query).await };
        self.way().await;
        page
    }

    async fn write(&self, write: Write) -> Result<(), DatabaseError> {
        self.way().await;
        let refused = {
            let mut state = self.state();
            if self.admit(&mut state, &PartitionLimits::write_cost(&write, 1)).contains(&true) {
                Some(throttled())
            } else if state.held.contains(&item_name(&write)) {
                state.refused.conflicts += 1;
                Some(DatabaseError::Conflict("a transaction has the item".to_owned()))
            } else {
                None
            }
        };
        let done = match refused {
            Some(error) => Err(error),
            None => self.memory.write(write).await,
        };
        self.way().await;
        done
    }

    async fn transact(&self, writes: Vec<Write>) -> Result<(), DatabaseError> {
        self.way().await;
        let names: Vec<_> = writes.iter().map(item_name).collect();
        let by_action: Vec<_> = writes.iter().map(|write| PartitionLimits::write_cost(write, 2)).collect();
        let costs = by_action.concat();
        let refused = {
            let mut state = self.state();
            // All or none, and by action: an action lacks what its table or its index lacks.
            let lacks = self.admit(&mut state, &costs);
            let mut lacks = lacks.into_iter();
            let lacking: Vec<bool> = by_action
                .iter()
                .map(|cost| lacks.by_ref().take(cost.len()).fold(false, |a, b| a | b))
                .collect();
            let has = |yes: bool, what: &Cancellation| if yes { what.clone() } else { Cancellation::None };
            if lacking.contains(&true) {
                Some(lacking.into_iter().map(|lacks| has(lacks, &Cancellation::Throttled)).collect())
            } else if names.iter().any(|name| state.held.contains(name)) {
                state.refused.conflicts += 1;
                PartitionLimits::give_back_half(&mut state, &costs);
                let conflict = Cancellation::Conflict;
                Some(names.iter().map(|name| has(state.held.contains(name), &conflict)).collect::<Vec<_>>())
            } else {
                state.held.extend(names.iter().cloned());
                None
            }
        };
        let done = match refused {
            Some(reasons) => Err(DatabaseError::Cancelled(reasons)),
            None => {
                self.environment.sleep(Duration::from_micros(self.terms.held_micros)).await;
                let done = self.memory.transact(writes).await;
                let mut state = self.state();
                names.iter().for_each(|name| {
                    state.held.remove(name);
                });
                state.refused.committed += u64::from(done.is_ok());
                if done.is_err() {
                    PartitionLimits::give_back_half(&mut state, &costs);
                }
                done
            }
        };
        self.way().await;
        done
    }

    async fn put_many(&self, table: Table, items: Vec<Item>) -> Result<(), DatabaseError> {
        self.way().await;
        let done = self.memory.put_many(table, items).await;
        self.way().await;
        done
    }
}

struct Flag(AtomicBool);

impl Wake for Flag {
    fn wake(self: Arc<Self>) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// Runs tasks in one thread on virtual time, which goes on when none of them can; hands each outcome to
/// `ended`. Answers `false` if they wait for something that never comes.
pub fn run_on<T>(clock: &Clock, tasks: Vec<BoxFuture<'_, T>>, mut ended: impl FnMut(T)) -> bool {
    let mut tasks: FuturesUnordered<_> = tasks.into_iter().collect();
    let flag = Arc::new(Flag(AtomicBool::new(true)));
    let waker = Waker::from(flag.clone());
    let mut context = Context::from_waker(&waker);
    loop {
        match tasks.poll_next_unpin(&mut context) {
            Poll::Ready(Some(outcome)) => ended(outcome),
            Poll::Ready(None) => return true,
            Poll::Pending if flag.0.swap(false, Ordering::Relaxed) => {}
            Poll::Pending if clock.go_on() => {}
            Poll::Pending => return false,
        }
    }
}
