//! DynamoDB in memory: the same answers, refusals, limits and prices, without a network. Deterministic,
//! and usable from many tasks: each call takes a while, and in it the items change at one moment, as those
//! of a transaction do on AWS.
//!
//! What it does not do is fail: see [`crate::faults`].

mod evaluation;
mod limits;
mod querying;
mod storage;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::future::poll_fn;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::Poll;

use async_trait::async_trait;
use jiff::{SignedDuration, Timestamp};
use tillstream_app::capacity::{CapacityKind, CapacityObserver, Consumed, Operation};
use tillstream_app::database::{
    Cancellation, Condition, Consistency, Database, DatabaseError, Get, Item, Query, QueryPage,
    TRANSACTION_ACTIONS_MAX, Table, Write,
};
use tillstream_app::environment::Environment;
use tillstream_app::request_token::request_token;

use crate::database_contract::streams::{TableStreams, ToldChange};
use crate::test_environment::{SPLIT_MIX_STEP, TestEnvironment, split_mix};
pub use limits::item_size;
pub use storage::StreamChange;
use storage::{Lag, TableState};
pub(crate) use storage::{STREAM_SHARDS, shard_of};

/// How long a client request token is remembered (API reference of TransactWriteItems).
const TOKEN_LIFE: SignedDuration = SignedDuration::from_mins(10);

#[derive(Default)]
struct State {
    tables: BTreeMap<Table, TableState>,
    /// Tokens of transactions that took effect, for as long as they are remembered.
    tokens: BTreeSet<String>,
    /// The same, by when they took effect.
    token_times: VecDeque<(Timestamp, String)>,
    lag: Lag,
}

impl State {
    fn table(&mut self, table: Table) -> &mut TableState {
        self.tables.entry(table).or_default()
    }

    fn forget_tokens(&mut self, now: Timestamp) {
        while self.token_times.front().is_some_and(|(at, _)| now.duration_since(*at) >= TOKEN_LIFE) {
            if let Some((_, token)) = self.token_times.pop_front() {
                self.tokens.remove(&token);
            }
        }
    }

    fn item(&self, table: Table, pk: &str, sk: &str) -> Option<&Item> {
        self.tables.get(&table)?.item(pk, sk)
    }
}

/// The database in memory.
pub struct MemoryDatabase {
    state: Mutex<State>,
    environment: Arc<dyn Environment>,
    observer: Option<Arc<dyn CapacityObserver>>,
    /// What turns are drawn from.
    drawn: AtomicU64,
}

impl Default for MemoryDatabase {
    fn default() -> Self {
        MemoryDatabase::new()
    }
}

/// What a table held at one moment: a point in time to go back to.
#[derive(Debug, Clone)]
pub struct Snapshot {
    table: Table,
    items: BTreeMap<String, BTreeMap<String, Item>>,
}

/// A write looked up: where it goes, and what would be there after it.
struct Planned {
    table: Table,
    pk: String,
    sk: String,
    /// What is there after; `None` deletes. Absent altogether for a check.
    outcome: Option<Option<Item>>,
}

/// Why a write cannot be done.
enum Fault {
    Condition(Option<Item>),
    Invalid(String),
}

impl MemoryDatabase {
    /// An empty database with all tables; its clock stands still.
    pub fn new() -> Self {
        MemoryDatabase::with_environment(Arc::new(TestEnvironment::new(0)))
    }

    /// An empty database with all tables, on this clock.
    pub fn with_environment(environment: Arc<dyn Environment>) -> Self {
        let drawn = AtomicU64::new(environment.random());
        MemoryDatabase { state: Mutex::default(), environment, observer: None, drawn }
    }

    /// Tells `observer` what each call cost.
    #[must_use]
    pub fn observed_by(mut self, observer: Arc<dyn CapacityObserver>) -> Self {
        self.observer = Some(observer);
        self
    }

    /// From now on eventual reads and index queries are `writes` writes (of the same table) behind.
    pub fn set_lag(&self, writes: usize) {
        let mut state = self.lock();
        state.lag = Lag { writes };
        let lag = state.lag;
        state.tables.values_mut().for_each(|table| table.catch_up(lag));
    }

    /// Whether eventual reads and index queries see every write.
    pub fn is_settled(&self) -> bool {
        self.lock().lag.writes == 0
    }

    /// Lets eventual reads and indexes catch up once, without changing the lag.
    pub fn settle(&self) {
        self.lock().tables.values_mut().for_each(|table| table.catch_up(Lag::default()));
    }

    /// The changes of a streamed table (orders, stock) after sequence number `after`, in order.
    pub fn changes(&self, table: Table, after: u64) -> Vec<StreamChange> {
        let state = self.lock();
        state.tables.get(&table).map_or_else(Vec::new, |table| table.changes(after).cloned().collect())
    }

    /// Shows `look` the changes of a streamed table after sequence number `after`, in order, without a copy
    /// of them.
    pub(crate) fn look_at_changes(&self, table: Table, after: u64, look: impl FnMut(&StreamChange)) {
        if let Some(table) = self.lock().tables.get(&table) {
            table.changes(after).for_each(look);
        }
    }

    /// Sequence number of the last change of a streamed table; 0 before the first.
    pub fn last_change(&self, table: Table) -> u64 {
        self.lock().tables.get(&table).map_or(0, TableState::last_change)
    }

    /// What `read` makes of up to `most` changes of one shard of a streamed table after sequence number
    /// `after`, in order. A change holds two whole items, so whoever needs less of it copies less.
    pub(crate) fn shard_changes<T>(
        &self,
        table: Table,
        shard: usize,
        after: u64,
        most: usize,
        read: impl Fn(&StreamChange) -> T,
    ) -> Vec<T> {
        let state = self.lock();
        state.tables.get(&table).map_or_else(Vec::new, |table| {
            table.changes(after).filter(|change| change.shard == shard).take(most).map(read).collect()
        })
    }

    /// Every item of a table, by key.
    pub fn items(&self, table: Table) -> Vec<Item> {
        let state = self.lock();
        state.tables.get(&table).map_or_else(Vec::new, |table| {
            table.items.values().flat_map(|partition| partition.values().cloned()).collect()
        })
    }

    /// What a table holds now.
    pub fn snapshot(&self, table: Table) -> Snapshot {
        let state = self.lock();
        let items = state.tables.get(&table).map(|table| table.items.clone()).unwrap_or_default();
        Snapshot { table, items }
    }

    /// Puts a table of that moment in the place of the one there is: whatever was written since is gone, in its
    /// indexes too, and no stream tells of it.
    pub fn restore(&self, snapshot: Snapshot) {
        let Snapshot { table, items } = snapshot;
        self.lock().table(table).restore(items, table);
    }

    /// Deletes what time to live has run out (`expires_at`, epoch seconds) in the tables that have one.
    pub fn expire(&self) {
        let mut state = self.lock();
        let (now, lag) = (self.environment.now(), state.lag);
        for table in [Table::Catalog, Table::Dispatch] {
            let expired: Vec<(String, String)> = state
                .table(table)
                .items
                .iter()
                .flat_map(|(pk, partition)| partition.iter().map(move |(sk, item)| (pk, sk, item)))
                .filter(|(_, _, item)| item.opt_number("expires_at").is_some_and(|at| at <= now.as_second()))
                .map(|(pk, sk, _)| (pk.clone(), sk.clone()))
                .collect();
            for (pk, sk) in expired {
                state.table(table).replace((table, &pk, &sk), None, now, lag, 1);
            }
        }
    }

    /// Lets others have up to three turns. A call takes time, so between any two of one task the calls of
    /// others come; without this, tasks on one thread would run one after the other.
    async fn turns(&self) {
        let mut left = self.draw() % 4;
        poll_fn(|context| {
            if left == 0 {
                return Poll::Ready(());
            }
            left -= 1;
            context.waker().wake_by_ref();
            Poll::Pending
        })
        .await;
    }

    fn draw(&self) -> usize {
        let drawn = split_mix(self.drawn.fetch_add(SPLIT_MIX_STEP, Ordering::Relaxed));
        usize::try_from(drawn >> 32).unwrap_or(0)
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn tell(&self, operation: Operation, consumed: &[Consumed]) {
        if let Some(observer) = &self.observer {
            observer.consumed(operation, consumed);
        }
    }
}

impl TableStreams for MemoryDatabase {
    fn told(&self, table: Table) -> Vec<ToldChange> {
        self.changes(table, 0)
            .into_iter()
            .map(|StreamChange { old, new, .. }| ToldChange { old, new })
            .collect()
    }
}

/// Table, key and condition of a write.
fn target(write: &Write) -> Result<(Table, String, String, Option<&Condition>), DatabaseError> {
    let (table, pk, sk, condition) = match write {
        Write::Put { table, item, condition } => {
            let key = |name| {
                item.opt_text(name)
                    .ok_or_else(|| DatabaseError::Invalid(format!("the item lacks {name} or it is not text")))
            };
            (*table, key("pk")?, key("sk")?, condition.as_ref())
        }
        Write::Update { table, key, condition, .. } | Write::Delete { table, key, condition } => {
            (*table, key.pk(), key.sk(), condition.as_ref())
        }
        Write::Check { table, key, condition } => (*table, key.pk(), key.sk(), Some(condition)),
    };
    match limits::primary_key_fault(pk, sk) {
        Some(fault) => Err(DatabaseError::Invalid(fault)),
        None => Ok((table, pk.to_owned(), sk.to_owned(), condition)),
    }
}

/// Refuses what DynamoDB refuses before it looks at any item.
fn check_request(write: &Write) -> Result<(), DatabaseError> {
    let (_, _, _, condition) = target(write)?;
    condition.map_or(Ok(()), evaluation::check_condition)?;
    match write {
        Write::Put { table, item, .. } => match limits::item_fault(*table, item) {
            Some(fault) => Err(DatabaseError::Invalid(fault)),
            None => Ok(()),
        },
        Write::Update { changes, .. } => evaluation::check_changes(changes),
        Write::Delete { .. } | Write::Check { .. } => Ok(()),
    }
}

/// Looks up a write that [`check_request`] let through.
fn plan(state: &State, write: &Write) -> Result<Result<Planned, Fault>, DatabaseError> {
    let (table, pk, sk, condition) = target(write)?;
    let old = state.item(table, &pk, &sk);
    if condition.is_some_and(|condition| !evaluation::holds(condition, old)) {
        return Ok(Err(Fault::Condition(old.cloned())));
    }
    let outcome = match write {
        Write::Put { item, .. } => Some(Some(item.clone())),
        Write::Update { key, changes, .. } => {
            let mut item = old.cloned().unwrap_or_else(|| Item::new(key));
            let fault = evaluation::apply(changes, &mut item).err();
            if let Some(fault) = fault.or_else(|| limits::item_fault(table, &item)) {
                return Ok(Err(Fault::Invalid(fault)));
            }
            Some(Some(item))
        }
        Write::Delete { .. } => Some(None),
        Write::Check { .. } => None,
    };
    Ok(Ok(Planned { table, pk, sk, outcome }))
}

fn commit(state: &mut State, planned: Planned, at: Timestamp, factor: u64) -> Vec<Consumed> {
    let lag = state.lag;
    match planned.outcome {
        Some(new) => state.table(planned.table).replace(
            (planned.table, &planned.pk, &planned.sk),
            new,
            at,
            lag,
            factor,
        ),
        None => {
            let bytes = state.item(planned.table, &planned.pk, &planned.sk).map_or(0, limits::item_size);
            let thousandths = limits::write_units(bytes).saturating_mul(factor);
            vec![Consumed { table: planned.table, index: None, kind: CapacityKind::Write, thousandths }]
        }
    }
}

fn read_one(state: &State, get: &Get, strong: bool) -> Option<Item> {
    let table = state.tables.get(&get.table)?;
    let (pk, sk) = (get.key.pk(), get.key.sk());
    if strong { table.item(pk, sk) } else { table.stale_item(pk, sk) }.cloned()
}

fn read_cost(get: &Get, item: Option<&Item>, factor: u64) -> Consumed {
    let thousandths = limits::eventual_read_units(item.map_or(0, limits::item_size)).saturating_mul(factor);
    Consumed { table: get.table, index: None, kind: CapacityKind::Read, thousandths }
}

fn check_gets(gets: &[Get]) -> Result<(), DatabaseError> {
    let fault = gets.iter().find_map(|get| limits::primary_key_fault(get.key.pk(), get.key.sk()));
    fault.map_or(Ok(()), |fault| Err(DatabaseError::Invalid(fault)))
}

#[async_trait]
impl Database for MemoryDatabase {
    async fn get(&self, get: Get) -> Result<Option<Item>, DatabaseError> {
        self.turns().await;
        check_gets(std::slice::from_ref(&get))?;
        let strong = get.consistency == Consistency::Strong;
        let item = read_one(&self.lock(), &get, strong);
        self.tell(Operation::Get, &[read_cost(&get, item.as_ref(), 1 + u64::from(strong))]);
        Ok(item)
    }

    async fn get_many(&self, gets: Vec<Get>) -> Result<Vec<Option<Item>>, DatabaseError> {
        check_gets(&gets)?;
        let strong: BTreeSet<Table> =
            gets.iter().filter(|get| get.consistency == Consistency::Strong).map(|get| get.table).collect();
        let mut all = Vec::with_capacity(gets.len());
        for round in gets.chunks(100) {
            let mut paid = BTreeSet::new();
            let mut consumed = Vec::new();
            self.turns().await;
            // A batch is read item by item: something may be written in between.
            let torn_at = self.draw() % round.len();
            for (position, get) in round.iter().enumerate() {
                if position == torn_at {
                    self.turns().await;
                }
                let is_strong = strong.contains(&get.table);
                let item = read_one(&self.lock(), get, is_strong);
                // An item asked for twice is read once.
                if paid.insert((get.table, &get.key)) {
                    consumed.push(read_cost(get, item.as_ref(), 1 + u64::from(is_strong)));
                }
                all.push(item);
            }
            self.tell(Operation::GetMany, &consumed);
        }
        Ok(all)
    }

    async fn get_together(&self, gets: Vec<Get>) -> Result<Vec<Option<Item>>, DatabaseError> {
        self.turns().await;
        check_gets(&gets)?;
        if gets.len() > TRANSACTION_ACTIONS_MAX {
            return Err(DatabaseError::Invalid(format!("{} reads in one transaction", gets.len())));
        }
        let distinct: BTreeSet<_> = gets.iter().map(|get| (get.table, &get.key)).collect();
        if distinct.len() < gets.len() {
            return Err(DatabaseError::Invalid("several reads of one item in a transaction".into()));
        }
        if gets.is_empty() {
            return Ok(Vec::new());
        }
        let items: Vec<Option<Item>> = {
            let state = self.lock();
            gets.iter().map(|get| read_one(&state, get, true)).collect()
        };
        let consumed: Vec<Consumed> =
            gets.iter().zip(&items).map(|(get, item)| read_cost(get, item.as_ref(), 4)).collect();
        self.tell(Operation::GetTogether, &consumed);
        Ok(items)
    }

    async fn query(&self, query: Query) -> Result<QueryPage, DatabaseError> {
        self.turns().await;
        let (page, consumed) = querying::run(self.lock().tables.get(&query.table), &query)?;
        self.tell(Operation::Query, &[consumed]);
        Ok(page)
    }

    async fn write(&self, write: Write) -> Result<(), DatabaseError> {
        self.turns().await;
        if matches!(write, Write::Check { .. }) {
            return Err(DatabaseError::Invalid("a check by itself writes nothing".into()));
        }
        check_request(&write)?;
        let consumed = {
            let mut state = self.lock();
            match plan(&state, &write)? {
                Ok(planned) => commit(&mut state, planned, self.environment.now(), 1),
                Err(Fault::Condition(item)) => return Err(DatabaseError::ConditionFailed(item)),
                Err(Fault::Invalid(why)) => return Err(DatabaseError::Invalid(why)),
            }
        };
        self.tell(Operation::Write, &consumed);
        Ok(())
    }

    async fn transact(&self, writes: Vec<Write>) -> Result<(), DatabaseError> {
        self.turns().await;
        if writes.is_empty() || writes.len() > TRANSACTION_ACTIONS_MAX {
            return Err(DatabaseError::Invalid(format!(
                "{} actions in a transaction; it takes 1 to {TRANSACTION_ACTIONS_MAX}",
                writes.len()
            )));
        }
        let mut seen = BTreeSet::new();
        let mut bytes = 0;
        for write in &writes {
            check_request(write)?;
            let (table, pk, sk, _) = target(write)?;
            if !seen.insert((table, pk, sk)) {
                return Err(DatabaseError::Invalid("several actions on one item in a transaction".into()));
            }
            if let Write::Put { item, .. } = write {
                bytes += limits::item_size(item);
            }
        }
        if bytes > limits::TRANSACTION_BYTES_MAX {
            return Err(DatabaseError::Invalid(format!("{bytes} bytes in a transaction, above 4 MB")));
        }
        let now = self.environment.now();
        let mut state = self.lock();
        state.forget_tokens(now);
        // The same request again, within ten minutes of having taken effect, succeeds without effect.
        let restored = |table| state.tables.get(&table).map_or(0, |known| known.restored);
        // A restored table is another one, and has another name.
        let token = request_token(&writes, |table| format!("{table:?} {}", restored(table)));
        if state.tokens.contains(&token) {
            return Ok(());
        }
        let mut planned = Vec::with_capacity(writes.len());
        let mut reasons = Vec::with_capacity(writes.len());
        for write in &writes {
            match plan(&state, write)? {
                Ok(one) => {
                    planned.push(one);
                    reasons.push(Cancellation::None);
                }
                Err(Fault::Condition(item)) => reasons.push(Cancellation::ConditionFailed(item)),
                Err(Fault::Invalid(why)) => reasons.push(Cancellation::Invalid(why)),
            }
        }
        if planned.len() < writes.len() {
            return Err(DatabaseError::Cancelled(reasons));
        }
        let mut consumed = Vec::new();
        for one in planned {
            consumed.extend(commit(&mut state, one, now, 2));
        }
        state.tokens.insert(token.clone());
        state.token_times.push_back((now, token));
        drop(state);
        self.tell(Operation::Transact, &consumed);
        Ok(())
    }

    async fn put_many(&self, table: Table, items: Vec<Item>) -> Result<(), DatabaseError> {
        self.turns().await;
        let writes: Vec<Write> =
            items.into_iter().map(|item| Write::Put { table, item, condition: None }).collect();
        let mut seen = BTreeSet::new();
        for write in &writes {
            check_request(write)?;
            let (_, pk, sk, _) = target(write)?;
            if !seen.insert((pk, sk)) {
                return Err(DatabaseError::Invalid("several puts of one item in a batch".into()));
            }
        }
        for round in writes.chunks(25) {
            let mut consumed = Vec::new();
            {
                let mut state = self.lock();
                for write in round {
                    if let Ok(planned) = plan(&state, write)? {
                        consumed.extend(commit(&mut state, planned, self.environment.now(), 1));
                    }
                }
            }
            self.tell(Operation::PutMany, &consumed);
        }
        Ok(())
    }
}
