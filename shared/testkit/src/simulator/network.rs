//! What lies between: tables that take their time, in which transactions meet, and HQ's line, which fails
//! in every way that a line can.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use tillstream_app::database::{
    Cancellation, Database, DatabaseError, Get, Item, Query, QueryPage, Table, Write,
};
use tillstream_app::dispatch::transport::{HqAnswer, HqRequest, HqTransport, HqTransportError};
use tillstream_app::environment::Environment;

use super::chance::Chance;
use super::clock::Clock;
use super::tenancy::Tenancy;
use crate::hq_stand_in::HqStandIn;
use crate::item_name::{ItemName, item_name};

/// The line to HQ.
pub struct HqLine {
    /// Who is at its end.
    pub hq: Arc<HqStandIn>,
    /// The run's clock.
    pub clock: Arc<Clock>,
    /// The run's chance.
    pub chance: Arc<Chance>,
    /// Of requests, in thousandths: each fault of the line.
    pub faults: AtomicU64,
    /// What crosses from one tenant to another.
    pub tenancy: Arc<Tenancy>,
}

#[async_trait]
impl HqTransport for HqLine {
    async fn post(&self, request: HqRequest) -> Result<HqAnswer, HqTransportError> {
        self.tenancy.sent(&request.body);
        let faults = self.faults.load(Ordering::Relaxed);
        self.clock.sleep(self.chance.up_to(Duration::from_millis(80))).await;
        if self.chance.per_mille(faults) {
            return Err(HqTransportError::Connection("injected: the name does not resolve".to_owned()));
        }
        if self.chance.per_mille(faults) {
            return Err(HqTransportError::Connection("injected: reset before it arrived".to_owned()));
        }
        let timeout = request.timeout;
        let answer = self.hq.post(request).await;
        if self.chance.per_mille(faults) {
            self.clock.sleep(timeout).await;
            return Err(HqTransportError::Timeout);
        }
        if self.chance.per_mille(faults) {
            return Err(HqTransportError::Connection("injected: reset before the answer".to_owned()));
        }
        answer
    }
}

/// Tables that answer at once, later, or so late that all else has moved on: a process may be frozen
/// between any two calls.
pub struct SlowTables {
    /// The tables.
    pub inner: Arc<dyn Database>,
    /// The run's clock.
    pub clock: Arc<Clock>,
    /// The run's chance.
    pub chance: Arc<Chance>,
    /// Of calls, in thousandths: those before which the process is frozen.
    pub freezes: u64,
    /// What transactions are at, of every process.
    pub under_way: Arc<UnderWay>,
}

/// Items that a transaction is at: whoever comes meanwhile is refused, as DynamoDB does (developer guide,
/// "Transaction conflict handling").
#[derive(Default)]
pub struct UnderWay(Mutex<BTreeSet<ItemName>>);

/// A transaction that is under way; it ends when this is dropped, also with its process.
struct Transaction<'a> {
    under_way: &'a UnderWay,
    items: Vec<ItemName>,
}

impl UnderWay {
    fn lock(&self) -> MutexGuard<'_, BTreeSet<ItemName>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Begins a transaction; or which of its items another one is at.
    fn begin(&self, items: Vec<ItemName>) -> Result<Transaction<'_>, Vec<bool>> {
        let mut taken = self.lock();
        let meets: Vec<bool> = items.iter().map(|item| taken.contains(item)).collect();
        if meets.contains(&true) {
            return Err(meets);
        }
        taken.extend(items.iter().cloned());
        drop(taken);
        Ok(Transaction { under_way: self, items })
    }

    fn meets(&self, item: &ItemName) -> bool {
        self.lock().contains(item)
    }
}

impl Drop for Transaction<'_> {
    fn drop(&mut self) {
        let mut taken = self.under_way.lock();
        for item in &self.items {
            taken.remove(item);
        }
    }
}

/// Longest that a process is frozen.
const FREEZE_MAX: Duration = Duration::from_secs(8);

impl SlowTables {
    async fn wait(&self) {
        if self.chance.per_mille(self.freezes) {
            self.clock.sleep(self.chance.up_to(FREEZE_MAX)).await;
        } else if self.chance.percent(60) {
            self.clock.sleep(self.chance.up_to(Duration::from_millis(12))).await;
        }
    }
}

#[async_trait]
impl Database for SlowTables {
    async fn get(&self, get: Get) -> Result<Option<Item>, DatabaseError> {
        self.wait().await;
        self.inner.get(get).await
    }

    async fn get_many(&self, gets: Vec<Get>) -> Result<Vec<Option<Item>>, DatabaseError> {
        self.wait().await;
        self.inner.get_many(gets).await
    }

    async fn get_together(&self, gets: Vec<Get>) -> Result<Vec<Option<Item>>, DatabaseError> {
        self.wait().await;
        let name = |get: &Get| (get.table, get.key.pk().to_owned(), get.key.sk().to_owned());
        if gets.iter().any(|get| self.under_way.meets(&name(get))) {
            return Err(DatabaseError::Conflict("a transaction is at an item".to_owned()));
        }
        self.inner.get_together(gets).await
    }

    async fn query(&self, query: Query) -> Result<QueryPage, DatabaseError> {
        self.wait().await;
        self.inner.query(query).await
    }

    async fn write(&self, write: Write) -> Result<(), DatabaseError> {
        self.wait().await;
        if self.under_way.meets(&item_name(&write)) {
            return Err(DatabaseError::Conflict("a transaction is at the item".to_owned()));
        }
        self.inner.write(write).await
    }

    async fn transact(&self, writes: Vec<Write>) -> Result<(), DatabaseError> {
        self.wait().await;
        let begun = self.under_way.begin(writes.iter().map(item_name).collect());
        let _until_its_end = begun.map_err(|meets| {
            let reason = |meets| if meets { Cancellation::Conflict } else { Cancellation::None };
            DatabaseError::Cancelled(meets.into_iter().map(reason).collect())
        })?;
        if self.chance.percent(50) {
            self.clock.sleep(self.chance.up_to(Duration::from_millis(4))).await;
        }
        self.inner.transact(writes).await
    }

    async fn put_many(&self, table: Table, items: Vec<Item>) -> Result<(), DatabaseError> {
        self.wait().await;
        self.inner.put_many(table, items).await
    }
}
