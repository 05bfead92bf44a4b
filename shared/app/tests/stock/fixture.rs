//! A tenant with locations, products and stock, and faults to inject.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::Poll;
use std::time::Duration;

use async_trait::async_trait;
use tillstream_app::capacity::Operation;
use tillstream_app::catalog::items::{location_item, product_item};
use tillstream_app::database::{
    Cancellation, Condition, Consistency, Database, DatabaseError, Get, Item, Query, QueryPage, Table, Write,
};
use tillstream_app::environment::Environment;
use tillstream_app::stock::counters::{Counters, Movement, StockTarget, stock_set};
use tillstream_app::stock::{ledger, reserve, update};
use tillstream_app::tenancy::{Caller, Role, Stores, TenantScope};
use tillstream_app::{Error, Ports};
use tillstream_contracts::inventory::{ReserveLine, ReserveRequest, StockUpdateKind, StockUpdateRequest};
use tillstream_domain::location::{Location, LocationKind};
use tillstream_domain::money::Currency;
use tillstream_domain::product::Product;
use tillstream_domain::quantity::{QuantityInput, Unit};
use tillstream_testkit::faults;
use tillstream_testkit::memory_database::{MemoryDatabase, StreamChange};
use tillstream_testkit::test_environment::TestEnvironment;
use tokio::task::JoinHandle;

/// What a fault does to a write.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    None,
    Conflict,
    Throttled,
    /// No answer, and nothing written.
    LostBefore,
    /// No answer, but written.
    LostAfter,
    /// In a transaction: another one has the item at this position.
    ConflictAt(usize),
}

/// Decides about each write from its number.
pub type Faults = Arc<dyn Fn(u64) -> Fault + Send + Sync>;

/// What somebody else does.
pub type Meanwhile = std::pin::Pin<Box<dyn Future<Output = ()> + Send>>;

/// The database with faults on writes. Every call yields, so that tasks interleave between calls.
pub struct FaultyDatabase {
    pub memory: Arc<MemoryDatabase>,
    pub faults: std::sync::Mutex<Option<Faults>>,
    pub writes: AtomicU64,
    /// Done once, just before the next write: what somebody else did between our read and our write.
    pub meanwhile: std::sync::Mutex<Option<Meanwhile>>,
}

impl FaultyDatabase {
    fn fault(&self) -> Fault {
        let number = self.writes.fetch_add(1, Ordering::SeqCst);
        self.faults.lock().unwrap().as_ref().map_or(Fault::None, |faults| faults(number))
    }

    async fn with_fault<F: Future<Output = Result<(), DatabaseError>>>(
        &self,
        write: F,
    ) -> Result<(), DatabaseError> {
        tokio::task::yield_now().await;
        let meanwhile = self.meanwhile.lock().unwrap().take();
        if let Some(meanwhile) = meanwhile {
            meanwhile.await;
        }
        match self.fault() {
            Fault::None => write.await,
            Fault::Conflict => Err(DatabaseError::Conflict("injected".into())),
            Fault::Throttled => Err(DatabaseError::Throttled("injected".into())),
            Fault::LostBefore => Err(DatabaseError::Unavailable("injected, not written".into())),
            Fault::ConflictAt(position) => {
                let mut reasons = vec![Cancellation::None; position];
                reasons.push(Cancellation::Conflict);
                Err(DatabaseError::Cancelled(reasons))
            }
            Fault::LostAfter => match write.await {
                Ok(()) => Err(DatabaseError::Unavailable("injected, written".into())),
                other => other,
            },
        }
    }
}

#[async_trait]
impl Database for FaultyDatabase {
    async fn get(&self, get: Get) -> Result<Option<Item>, DatabaseError> {
        tokio::task::yield_now().await;
        self.memory.get(get).await
    }
    async fn get_many(&self, gets: Vec<Get>) -> Result<Vec<Option<Item>>, DatabaseError> {
        tokio::task::yield_now().await;
        self.memory.get_many(gets).await
    }
    async fn get_together(&self, gets: Vec<Get>) -> Result<Vec<Option<Item>>, DatabaseError> {
        self.memory.get_together(gets).await
    }
    async fn query(&self, query: Query) -> Result<QueryPage, DatabaseError> {
        tokio::task::yield_now().await;
        self.memory.query(query).await
    }
    async fn write(&self, write: Write) -> Result<(), DatabaseError> {
        self.with_fault(self.memory.write(write)).await
    }
    async fn transact(&self, writes: Vec<Write>) -> Result<(), DatabaseError> {
        self.with_fault(self.memory.transact(writes)).await
    }
    async fn put_many(&self, table: Table, items: Vec<Item>) -> Result<(), DatabaseError> {
        self.memory.put_many(table, items).await
    }
}

/// Many tasks share the virtual clock, so their waits must not add up: a wait only lets others run.
struct Waiting(Arc<TestEnvironment>);

#[async_trait]
impl Environment for Waiting {
    fn now(&self) -> jiff::Timestamp {
        self.0.now()
    }
    fn random(&self) -> u64 {
        self.0.random()
    }
    async fn sleep(&self, time: Duration) {
        for _ in 0..time.as_millis() {
            tokio::task::yield_now().await;
        }
    }
}

/// The locations of the fixture.
pub const LOCATIONS: [&str; 3] = ["s-leeds", "s-york", "w-hull"];
/// The piece goods of the fixture.
pub const SKUS: [&str; 3] = ["85123A", "22423", "BANK CHARGES"];
/// Sold by weight.
pub const BY_WEIGHT: &str = "CHEESE";

pub struct Fixture {
    pub ports: Ports,
    pub memory: Arc<MemoryDatabase>,
    pub faulty: Arc<FaultyDatabase>,
    pub environment: Arc<TestEnvironment>,
    pub caller: Caller,
    relayed: AtomicU64,
}

pub fn caller(tenant: &str, role: Role, stores: Stores) -> Caller {
    Caller {
        scope: TenantScope::from_own_record(tenant),
        subject: "e-7".into(),
        roles: BTreeSet::from([role]),
        stores,
        register_id: None,
    }
}

pub fn named(stores: &[&str]) -> Stores {
    Stores::Named(stores.iter().map(|s| (*s).to_owned()).collect())
}

impl Fixture {
    pub async fn new(seed: u64) -> Self {
        let environment = Arc::new(TestEnvironment::new(seed));
        let memory = Arc::new(MemoryDatabase::with_environment(environment.clone()));
        let faulty = Arc::new(FaultyDatabase {
            memory: memory.clone(),
            faults: std::sync::Mutex::new(None),
            writes: AtomicU64::new(0),
            meanwhile: std::sync::Mutex::new(None),
        });
        let caller = caller("demo", Role::Operator, Stores::All);
        for id in LOCATIONS {
            let location = Location {
                id: id.into(),
                kind: if id.starts_with('s') { LocationKind::Store } else { LocationKind::Warehouse },
                name: id.into(),
                time_zone: "Europe/London".into(),
                currency: Currency::GBP,
                business_day_start: "00:00".into(),
                region: None,
                address: None,
                tax_number: None,
                capacity: None,
                hours: None,
                coordinates: None,
                stock: Default::default(),
                registers: vec![],
                version: 1,
            };
            put(&memory, Table::Catalog, location_item(&caller.scope, &location).unwrap()).await;
        }
        for sku in SKUS.into_iter().chain([BY_WEIGHT, "SERVICE"]) {
            let product = product(sku);
            put(&memory, Table::Catalog, product_item(&caller.scope, &product).unwrap()).await;
        }
        let ports = Ports { database: faulty.clone(), environment: Arc::new(Waiting(environment.clone())) };
        Fixture { ports, memory, faulty, environment, caller, relayed: AtomicU64::new(0) }
    }

    pub fn scope(&self) -> &TenantScope {
        &self.caller.scope
    }

    /// Begins `work` on a database that is frozen in the middle of its `step`th batch of reads, and lets it
    /// run until then; `None` if it ends before.
    pub async fn frozen_in_read<T, F>(
        &self,
        step: usize,
        work: impl FnOnce(Ports) -> F,
    ) -> Option<(JoinHandle<T>, Arc<faults::FaultyDatabase>)>
    where
        T: Send + 'static,
        F: Future<Output = T> + Send + 'static,
    {
        let database = Arc::new(faults::FaultyDatabase::new(self.memory.clone()));
        let script = std::iter::repeat_n(None, step).chain([Some(faults::Fault::Freezes)]);
        database.script(Operation::GetMany, script);
        let ports = Ports { database: database.clone(), environment: self.environment.clone() };
        let task = tokio::spawn(work(ports));
        while database.injected().is_empty() && !task.is_finished() {
            tokio::task::yield_now().await;
        }
        // The first item is read in the turns that follow.
        for _ in 0..32 {
            tokio::task::yield_now().await;
        }
        (!database.injected().is_empty()).then_some((task, database))
    }

    pub fn inject(&self, faults: impl Fn(u64) -> Fault + Send + Sync + 'static) {
        *self.faulty.faults.lock().unwrap() = Some(Arc::new(faults));
    }

    /// Injects each of these into one of so many writes, by chance.
    pub fn inject_by_chance<const N: usize>(&self, one_of: u64, faults: [Fault; N]) {
        let environment = self.environment.clone();
        self.inject(move |_| {
            let drawn = usize::try_from(environment.random() % one_of).unwrap();
            faults.get(drawn).copied().unwrap_or(Fault::None)
        });
    }

    /// Lets somebody else do something just before our next write. They have ports of their own.
    pub fn meanwhile<F: Future<Output = ()> + Send + 'static>(&self, act: impl FnOnce(Ports, Caller) -> F) {
        let ports = Ports { database: self.memory.clone(), environment: self.environment.clone() };
        *self.faulty.meanwhile.lock().unwrap() = Some(Box::pin(act(ports, self.caller.clone())));
    }

    /// Ports on a database whose calls fail as a script says.
    pub fn troubled(&self) -> (Ports, Arc<faults::FaultyDatabase>) {
        faults::FaultyDatabase::ports_over(self.memory.clone(), self.environment.clone())
    }

    pub fn heal(&self) {
        *self.faulty.faults.lock().unwrap() = None;
    }

    pub fn pass(&self, seconds: u64) {
        self.environment.advance(Duration::from_secs(seconds));
    }

    /// Sets on hand by a count.
    pub async fn count(&self, location_id: &str, sku: &str, pieces: i64) {
        let request = StockUpdateRequest {
            location_id: location_id.into(),
            sku: sku.into(),
            kind: StockUpdateKind::Set,
            quantity: QuantityInput::Whole(pieces),
            reason: "opening stock".into(),
            expected_version: None,
            lot: None,
            expires_on: None,
        };
        let key = format!("count-{}", self.environment.random());
        update::update(&self.ports, &self.caller, &key, &request, |_| Ok(())).await.unwrap();
    }

    /// A movement of no matter what.
    pub fn movement(&self) -> Movement {
        Movement {
            kind: "adjustment",
            reference: "test".into(),
            actor: "e-7".into(),
            at: self.environment.now(),
            reason: None,
        }
    }

    /// Makes a stock item as a feed does, whether or not the catalogue knows product and location.
    pub async fn stocked(&self, location_id: &str, sku: &str, target: StockTarget) {
        let movement = self.movement();
        let (write, _) = stock_set(self.scope(), location_id, sku, None, target, &movement, Vec::new());
        self.memory.write(write).await.unwrap();
    }

    pub async fn reserve(&self, key: &str, request: &ReserveRequest) -> Result<reserve::Answer, Error> {
        reserve::reserve(&self.ports, &self.caller, key, request).await
    }

    /// The stock item as it stands.
    pub async fn stock(&self, location_id: &str, sku: &str) -> Counters {
        let key = self.scope().stock(location_id, sku);
        let get = Get { table: Table::Stock, key, consistency: Consistency::Strong };
        let item = self.memory.get(get).await.unwrap();
        Counters::of(&item.unwrap_or_else(|| panic!("no stock of {sku} at {location_id}"))).unwrap()
    }

    /// Relays the stock table's changes to the ledger, but for those that `keep` leaves out.
    pub async fn relay(&self, keep: impl Fn(i64) -> bool) {
        let changes = self.memory.changes(Table::Stock, self.relayed.load(Ordering::SeqCst));
        for change in changes {
            let row = ledger::ledger_rows(change.old.as_ref(), change.new.as_ref()).unwrap();
            if let Some(row) = row.filter(|row| keep(row.number("seq").unwrap())) {
                // As a stream brings a record again that failed.
                let mut brought = ledger::record(&self.ports, vec![row.clone()]).await;
                for _ in 0..9 {
                    if brought.is_err() {
                        brought = ledger::record(&self.ports, vec![row.clone()]).await;
                    }
                }
                brought.unwrap();
            }
            self.relayed.store(change.sequence, Ordering::SeqCst);
        }
    }

    /// Relays all changes, many in a batch, as streams bring them where nothing fails: many thousands one by one take
    /// longer than what made them.
    pub async fn relay_in_batches(&self) {
        let changes = self.memory.changes(Table::Stock, self.relayed.load(Ordering::SeqCst));
        let row =
            |change: &StreamChange| ledger::ledger_rows(change.old.as_ref(), change.new.as_ref()).unwrap();
        let rows: Vec<Item> = changes.iter().filter_map(row).collect();
        for batch in rows.chunks(100) {
            ledger::record(&self.ports, batch.to_vec()).await.unwrap();
        }
        if let Some(last) = changes.last() {
            self.relayed.store(last.sequence, Ordering::SeqCst);
        }
    }

    /// Checks every stock item: available = on hand − reserved − safety, nothing negative that must not
    /// be, reserved = its hold lines, and earliest expiry never later than the truth.
    pub fn check_invariants(&self) {
        let items = self.memory.items(Table::Stock);
        let holds: Vec<&Item> =
            items.iter().filter(|i| i.opt_text("pk").unwrap().contains("#holds#")).collect();
        for item in items.iter().filter(|item| item.opt_number("seq").is_some()) {
            let stock = Counters::of(item).unwrap();
            assert_eq!(stock.available, stock.on_hand - stock.reserved - stock.safety_stock, "{item:?}");
            assert!(stock.on_hand >= 0 && stock.reserved >= 0, "{item:?}");
            let own = || {
                holds.iter().filter(|hold| {
                    hold.opt_text("sku") == item.opt_text("sku")
                        && hold.opt_text("location_id") == item.opt_text("location_id")
                })
            };
            assert_eq!(stock.reserved, own().map(|h| h.number("quantity").unwrap()).sum::<i64>(), "{item:?}");
            if let Some(truth) = own().map(|hold| hold.number("expires_at").unwrap()).min() {
                assert!(stock.earliest_expiry.is_some_and(|e| e <= truth), "{truth} {item:?}");
            }
        }
    }
}

/// Lets work go on for so many turns, and then drops it where it stands: its process is gone. Each call of the
/// database is a turn at least.
pub async fn dies_after<F: Future>(turns: u64, work: F) -> Option<F::Output> {
    let mut work = std::pin::pin!(work);
    let mut left = turns;
    std::future::poll_fn(|context| match work.as_mut().poll(context) {
        Poll::Ready(done) => Poll::Ready(Some(done)),
        Poll::Pending if left == 0 => Poll::Ready(None),
        Poll::Pending => {
            left -= 1;
            Poll::Pending
        }
    })
    .await
}

pub async fn put(memory: &MemoryDatabase, table: Table, item: Item) {
    memory.write(Write::Put { table, item, condition: None::<Condition> }).await.unwrap();
}

pub fn product(sku: &str) -> Product {
    Product {
        sku: sku.into(),
        name: sku.into(),
        unit_price: "2.55".parse().unwrap(),
        currency: Currency::GBP,
        stocked: sku != "SERVICE",
        unit: if sku == BY_WEIGHT { Unit::Kg } else { Unit::Piece },
        category: None,
        barcodes: vec![],
        attributes: Default::default(),
        tax_category: None,
        tax_exempt: false,
        discountable: true,
        modifiers: vec![],
        components: vec![],
        variant_of: None,
        sellable: true,
        lots: false,
        version: 1,
    }
}

pub fn request(lines: &[(&str, &str, i64)], ttl_seconds: i64) -> ReserveRequest {
    ReserveRequest {
        reservation_id: None,
        lines: lines
            .iter()
            .map(|(location_id, sku, pieces)| ReserveLine {
                location_id: Some((*location_id).into()),
                sku: (*sku).into(),
                quantity: QuantityInput::Whole(*pieces),
            })
            .collect(),
        sourcing: None,
        ttl_seconds,
        order_id: None,
    }
}

pub fn refusal(error: Error) -> tillstream_app::Refusal {
    match error {
        Error::Rejected(refusal) => *refusal,
        other => panic!("not a refusal: {other}"),
    }
}
