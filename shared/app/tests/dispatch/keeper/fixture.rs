//! A shop whose relay is done by hand, so that a test chooses what is lost.

use std::sync::Arc;
use std::time::Duration;

use tillstream_app::Ports;
use tillstream_app::aggregation::event::parse_event;
use tillstream_app::aggregation::fold::fold_batch;
use tillstream_app::database::{Consistency, Database, Get, Item, Key, Table};
use tillstream_app::environment::Environment;
use tillstream_app::keeper::{self, Report, lanes};
use tillstream_app::relay::{Relayed, of_stored, send};
use tillstream_domain::location::Location;
use tillstream_testkit::memory_database::MemoryDatabase;
use tillstream_testkit::memory_messaging::{MemoryQueue, MemoryStream};
use tillstream_testkit::shop::{STORE, Shop};
use tillstream_testkit::test_environment::TestEnvironment;

use super::{feed, store};

pub const MINUTE: Duration = Duration::from_secs(60);

/// What of a sale never gets through.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Lost {
    Nothing,
    /// What the figures are made of.
    Event,
    /// What HQ is told.
    Fact,
    Both,
}

pub struct Keeping {
    pub shop: Shop,
    pub memory: Arc<MemoryDatabase>,
    pub environment: Arc<TestEnvironment>,
    pub stream: MemoryStream,
    pub queue: MemoryQueue,
}

impl Keeping {
    pub async fn new() -> Self {
        let environment = Arc::new(TestEnvironment::new(4));
        let memory = Arc::new(MemoryDatabase::with_environment(environment.clone()));
        let shop = Shop::open(memory.clone(), environment.clone()).await.unwrap();
        feed(&shop, store(STORE, 2, &["r-1", "r-2"])).await;
        shop.product(STORE, "A", "1.00", 1_000).await.unwrap();
        let stream = MemoryStream::new(1, environment.clone());
        let queue = MemoryQueue::new(environment.clone());
        Keeping { shop, memory, environment, stream, queue }
    }

    pub fn pass(&self, time: Duration) {
        self.environment.advance(time);
    }

    pub async fn item(&self, table: Table, key: Key) -> Option<Item> {
        let get = Get { table, key, consistency: Consistency::Strong };
        self.memory.get(get).await.unwrap()
    }

    /// A sale at a register of the first store.
    pub async fn sell(&self, register: &str, cart: &str, lost: Lost) {
        self.shop.ready(register, cart, &[("A", 1)]).await.unwrap();
        self.shop.finalize(register, cart).await.unwrap();
        self.relay(cart, lost).await;
    }

    pub async fn relay(&self, cart: &str, lost: Lost) {
        let order = self.item(Table::Orders, self.shop.scope.cart(cart)).await.unwrap();
        let Relayed { event, fact } = of_stored(&order).unwrap();
        let relayed = Relayed {
            event: event.filter(|_| matches!(lost, Lost::Nothing | Lost::Fact)),
            fact: fact.filter(|_| matches!(lost, Lost::Nothing | Lost::Event)),
        };
        let failed = send(&self.shop.ports, &self.stream, &self.queue, vec![relayed]).await.unwrap();
        assert!(failed.is_empty());
        self.fold().await;
    }

    /// What is on the stream comes into the figures.
    pub async fn fold(&self) {
        let events = self.stream.all().iter().map(|record| parse_event(&record.data).unwrap()).collect();
        assert!(fold_batch(&self.shop.ports, events).await.is_empty());
    }

    pub fn deliveries(&self) -> usize {
        let items = self.memory.items(Table::Dispatch);
        items.iter().filter(|item| item.text("sk").unwrap() == "delivery").count()
    }

    pub async fn location(&self, id: &str) -> Location {
        let all = keeper::locations(&self.shop.ports, &self.shop.scope).await.unwrap();
        all.into_iter().find(|location| location.id == id).unwrap()
    }

    /// One check of the first store's lanes; answers how many facts were sent again.
    pub async fn check(&self) -> usize {
        let Shop { ports, scope } = &self.shop;
        let store = self.location(STORE).await;
        let now = self.environment.now();
        lanes::check(ports, &self.stream, &self.queue, scope, &store, now).await.unwrap()
    }

    /// One run of the keeper that has `time`.
    pub async fn run_on(
        &self,
        database: Arc<dyn Database>,
        time: Duration,
    ) -> tillstream_app::Result<Report> {
        let ports = Ports { database, environment: self.environment.clone() };
        let deadline = self.environment.now() + time;
        keeper::run(&ports, &self.stream, &self.queue, deadline).await
    }

    pub async fn run(&self, time: Duration) -> Report {
        self.run_on(self.memory.clone(), time).await.unwrap()
    }
}
