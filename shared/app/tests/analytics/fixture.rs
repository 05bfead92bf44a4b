//! A shop or three, what analysts ask of them, and a database in which something else happens.

use std::sync::Arc;

use jiff::ToSpan;
use tillstream_app::aggregation::coarse;
use tillstream_app::aggregation::completeness::{self, Completeness};
use tillstream_app::analytics::{products, sales as queries};
use tillstream_app::catalog::items::{location_item, location_of};
use tillstream_app::database::*;
use tillstream_app::facts::sale_event;
use tillstream_app::pos::cart_item::cart_of;
use tillstream_app::tenancy::{Caller, Role, TenantScope};
use tillstream_app::{Ports, Result};
use tillstream_contracts::analytics::*;
use tillstream_contracts::events::SaleEvent;
use tillstream_domain::location::Location;
use tillstream_testkit::made_up_sales::*;
use tillstream_testkit::memory_database::MemoryDatabase;
use tillstream_testkit::shop::{Shop, caller};
use tillstream_testkit::test_environment::TestEnvironment;

pub fn run<F: Future>(future: F) -> F::Output {
    tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap().block_on(future)
}

pub fn analyst() -> Caller {
    caller(TENANT, &[Role::Analyst])
}

pub async fn shop() -> (Shop, Arc<MemoryDatabase>) {
    let database = Arc::new(MemoryDatabase::new());
    let shop = Shop::open(database.clone(), Arc::new(TestEnvironment::new(5))).await.unwrap();
    (shop, database)
}

pub async fn store(ports: &Ports, id: &str) -> Location {
    let key = TenantScope::from_own_record(TENANT).location(id);
    let get = Get { table: Table::Catalog, key, consistency: Consistency::Strong };
    location_of(&ports.database.get(get).await.unwrap().unwrap()).unwrap()
}

pub async fn set_store(ports: &Ports, id: &str, change: impl FnOnce(&mut Location)) {
    let mut location = store(ports, id).await;
    change(&mut location);
    let item = location_item(&TenantScope::from_own_record(TENANT), &location).unwrap();
    ports.database.write(Write::Put { table: Table::Catalog, item, condition: None }).await.unwrap();
}

pub fn span(from: &str, to: &str) -> SalesQuery {
    SalesQuery { from: Some(from.into()), to: Some(to.into()), ..SalesQuery::default() }
}

pub async fn ask(ports: &Ports, query: SalesQuery) -> Result<SalesReply> {
    queries::sales(ports, &analyst(), &query, None).await.map(|answer| answer.reply)
}

/// All answers about the two days of [`sales`].
pub async fn answers(ports: &Ports) -> Vec<Vec<Row>> {
    let mut all = Vec::new();
    for granularity in [Granularity::Hour, Granularity::Day, Granularity::Week, Granularity::Month] {
        for group_by in [None, Some(GroupBy::Register), Some(GroupBy::PaymentMethod), Some(GroupBy::Category)]
        {
            let query = SalesQuery { granularity, group_by, ..span("2010-11-25", "2010-12-04") };
            all.push(ask(ports, query).await.unwrap().rows);
        }
    }
    // Of both days, their ends are cut; so is, of the second, everything but one hour.
    for (from, to) in [
        ("2010-11-20T00:00:00Z", "2010-12-02T09:30:00Z"),
        ("2010-12-01T09:10:00Z", "2010-12-10T00:00:00Z"),
        ("2010-12-02T09:10:00Z", "2010-12-02T09:20:00Z"),
    ] {
        for group_by in [None, Some(GroupBy::Store), Some(GroupBy::Category)] {
            all.push(ask(ports, SalesQuery { group_by, ..span(from, to) }).await.unwrap().rows);
        }
        let query = CategoriesQuery { from: Some(from.into()), to: Some(to.into()), store_id: None };
        all.push(queries::categories(ports, &analyst(), &query, None).await.unwrap().reply.rows);
    }
    for (from, to) in
        [("2010-12-01", "2010-12-31"), ("2010-12-02", "2010-12-02"), ("2010-12-01", "2010-12-01")]
    {
        let query = ProductsQuery {
            from: Some(from.into()),
            to: Some(to.into()),
            limit: Some(200),
            ..ProductsQuery::default()
        };
        all.push(products::products(ports, &analyst(), &query, None).await.unwrap().reply.rows);
    }
    all
}

/// A database in which something else happens before the call of a number.
pub struct Interposed {
    pub process: Arc<Process>,
    pub calls: std::sync::atomic::AtomicU32,
    pub before_call: u32,
    pub late: Vec<SaleEvent>,
    /// Whether a keeper then does a day's work.
    pub keeps: bool,
    /// What somebody reads who asks after that, all the while.
    pub expected: Vec<Vec<Row>>,
}

impl Interposed {
    async fn step(&self) {
        if self.calls.fetch_add(1, std::sync::atomic::Ordering::SeqCst) == self.before_call {
            let live = ports(self.process.database.clone());
            fold_all(&live, &self.late).await;
            if self.keeps {
                let _lost_race = keep(&live, "2010-12-31", 1).await;
            }
            assert!(answers(&live).await == self.expected, "a reader before step {}", self.before_call);
        }
    }
}

#[async_trait::async_trait]
impl Database for Interposed {
    async fn get(&self, get: Get) -> std::result::Result<Option<Item>, DatabaseError> {
        self.step().await;
        self.process.get(get).await
    }
    async fn get_many(&self, gets: Vec<Get>) -> std::result::Result<Vec<Option<Item>>, DatabaseError> {
        self.step().await;
        self.process.get_many(gets).await
    }
    async fn get_together(&self, gets: Vec<Get>) -> std::result::Result<Vec<Option<Item>>, DatabaseError> {
        self.process.get_together(gets).await
    }
    async fn query(&self, query: Query) -> std::result::Result<QueryPage, DatabaseError> {
        self.step().await;
        self.process.query(query).await
    }
    async fn write(&self, write: Write) -> std::result::Result<(), DatabaseError> {
        self.step().await;
        self.process.write(write).await
    }
    async fn transact(&self, writes: Vec<Write>) -> std::result::Result<(), DatabaseError> {
        self.process.transact(writes).await
    }
    async fn put_many(&self, table: Table, items: Vec<Item>) -> std::result::Result<(), DatabaseError> {
        self.process.put_many(table, items).await
    }
}

/// The same sales, at another store.
pub fn at_store(id: &str, events: Vec<SaleEvent>) -> Vec<SaleEvent> {
    let mut events = events;
    for event in &mut events {
        event.store_id = id.into();
        event.lane.store_id = id.into();
        event.order_id = format!("{id}-{}", event.order_id);
    }
    events
}

/// Sales of three stores, mixed.
pub fn sales_of_stores(seed: u64, count: u64) -> Vec<SaleEvent> {
    let mut events = sales(seed, count);
    events.extend(at_store("s-2", sales(seed ^ 7, count)));
    events.extend(at_store("s-3", sales(seed ^ 11, count)));
    Dice(seed | 1).shuffle(&mut events);
    events
}

/// A shop of three stores; the third tells days as Lisbon does, at the same offset by another name.
pub async fn stores() -> (Shop, Arc<MemoryDatabase>) {
    let (shop, database) = shop().await;
    shop.store("s-2").await.unwrap();
    shop.store("s-3").await.unwrap();
    set_store(&shop.ports, "s-3", |store| store.time_zone = "Europe/Lisbon".into()).await;
    (shop, database)
}

/// One run of the keeper over all stores; answers what remains to be merged.
pub async fn keep(ports: &Ports, through: &str, days: usize) -> Result<usize> {
    let scope = TenantScope::from_own_record(TENANT);
    let mut locations = Vec::new();
    for id in [STORE, "s-2", "s-3"] {
        locations.push(store(ports, id).await);
        coarse::refresh(ports, &scope, id, through.parse().unwrap(), days).await?;
    }
    coarse::merge(ports, &scope, &locations, days).await
}

/// Takes away what `is_it` of a store's pages, by its sort key.
pub async fn take_away(
    ports: &Ports,
    database: &MemoryDatabase,
    is_it: impl Fn(&str, &str) -> bool,
) -> usize {
    let mut count = 0;
    for item in database.items(Table::Analytics) {
        if is_it(item.text("pk").unwrap(), item.text("sk").unwrap()) {
            let key = Key::of(&item).unwrap();
            let delete = Write::Delete { table: Table::Analytics, key, condition: None };
            ports.database.write(delete).await.unwrap();
            count += 1;
        }
    }
    count
}

/// A sale of one line on a day.
pub fn sale_on(id: &str, register: &str, number: u64, n_day: u64) -> SaleEvent {
    let mut event = sale(register, number);
    event.business_day = day(n_day);
    event.hour_start = event.hour_start.checked_add((i64::try_from(n_day).unwrap() * 24).hours()).unwrap();
    at_store(id, vec![event]).remove(0)
}

/// The events of all final orders, as the relay would send them.
pub fn events_of(database: &MemoryDatabase) -> Vec<SaleEvent> {
    let scope = TenantScope::from_own_record(TENANT);
    let orders = database.items(Table::Orders);
    let last = orders.iter().filter(|item| item.opt_number("lane_number").is_some());
    last.map(|item| sale_event(&scope, &cart_of(item).unwrap()).unwrap()).collect()
}

/// A store's completeness record.
pub async fn record(ports: &Ports, id: &str) -> Completeness {
    let scope = TenantScope::from_own_record(TENANT);
    completeness::read(ports, &scope, id).await.unwrap().content
}
