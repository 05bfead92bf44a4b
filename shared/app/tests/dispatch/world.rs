//! A shop, a relay, a queue, a dispatcher, a sweeper and HQ, driven through virtual time.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use jiff::Timestamp;
use tillstream_app::Ports;
use tillstream_app::database::{Change, Database, Table, Write};
use tillstream_app::dispatch::announce::{Fact, announce};
use tillstream_app::dispatch::delivery::{Delivery, load};
use tillstream_app::dispatch::dispatcher::{Dispatcher, Fate, Policy, Received};
use tillstream_app::dispatch::signature::SigningSecret;
use tillstream_app::dispatch::sweeper::{Budget, Swept, sweep};
use tillstream_app::environment::Environment;
use tillstream_app::pos::cart_item::cart_of;
use tillstream_app::tenancy::TenantScope;
use tillstream_contracts::dispatch::DeliveryStatus;
use tillstream_testkit::faults::FaultyDatabase;
use tillstream_testkit::hq_stand_in::{AcceptedOrder, Control, HqStandIn};
use tillstream_testkit::memory_database::MemoryDatabase;
use tillstream_testkit::shop::{STORE, Shop};
use tillstream_testkit::test_environment::TestEnvironment;

use crate::troubled_database::TroubledDatabase;
use crate::troubled_queue::TroubledQueue;

pub const SECRET: &str = "a secret between tillstream and hq";

pub const MINUTE: Duration = Duration::from_secs(60);

pub struct World {
    pub environment: Arc<TestEnvironment>,
    pub memory: Arc<MemoryDatabase>,
    pub database: Arc<TroubledDatabase>,
    pub ports: Ports,
    pub queue: Arc<TroubledQueue>,
    pub hq: Arc<HqStandIn>,
    pub dispatcher: Dispatcher,
    pub shop: Shop,
    next_sweep: std::sync::Mutex<Timestamp>,
}

impl World {
    pub async fn new(seed: u64) -> World {
        let environment = Arc::new(TestEnvironment::new(seed));
        let memory = Arc::new(MemoryDatabase::with_environment(environment.clone()));
        let shop = Shop::open(memory.clone(), environment.clone()).await.unwrap();
        shop.product(STORE, "A", "2.55", 1_000_000).await.unwrap();
        let database = Arc::new(TroubledDatabase::new(memory.clone(), seed));
        let ports = Ports { database: database.clone(), environment: environment.clone() };
        let secret = SigningSecret::parse(SECRET).unwrap();
        let hq = Arc::new(HqStandIn::new(secret.clone(), environment.clone()));
        let queue = Arc::new(TroubledQueue::new(environment.clone()));
        let dispatcher = Dispatcher {
            ports: ports.clone(),
            queue: queue.clone(),
            transport: hq.clone(),
            secret,
            policy: Policy::default(),
        };
        let next_sweep = std::sync::Mutex::new(environment.now());
        World { environment, memory, database, ports, queue, hq, dispatcher, shop, next_sweep }
    }

    /// A finalised sale, not yet announced.
    pub async fn sale(&self, cart: &str) -> Fact {
        self.shop.ready("r-1", cart, &[("A", 2)]).await.unwrap();
        self.shop.finalize("r-1", cart).await.unwrap();
        self.fact_of("demo", cart).await
    }

    /// What the relay makes of an order as it stands.
    pub async fn fact_of(&self, tenant: &str, order: &str) -> Fact {
        let scope = TenantScope::from_own_record(tenant);
        let get = tillstream_app::database::Get {
            table: Table::Orders,
            key: scope.cart(order),
            consistency: tillstream_app::database::Consistency::Strong,
        };
        let cart = cart_of(&self.memory.get(get).await.unwrap().unwrap()).unwrap();
        let done = cart.finalized.unwrap();
        Fact {
            scope,
            order_id: order.to_owned(),
            order_version: done.order_version,
            status: done.status,
            lane_number: done.number,
            at: done.at,
            payload: None,
        }
    }

    /// Copies an order to another tenant.
    pub async fn sale_of(&self, tenant: &str, cart: &str) -> Fact {
        let mut fact = self.sale(cart).await;
        let other = TenantScope::from_own_record(tenant);
        let items = self.memory.items(Table::Orders);
        let key = fact.scope.cart(cart);
        let mut item = items.into_iter().find(|i| i.text("pk").unwrap() == key.pk()).unwrap();
        item = item.with("pk", other.cart(cart).pk()).with("tenant_id", tenant);
        self.memory.write(Write::Put { table: Table::Orders, item, condition: None }).await.unwrap();
        fact.scope = other;
        fact
    }

    /// Raises the version of an order, as a change of its status does.
    pub async fn next_version(&self, order: &str, status: &str) -> Fact {
        let changes = vec![Change::Add("order_version", 1), Change::Set("status", status.into())];
        let key = TenantScope::from_own_record("demo").cart(order);
        let write = Write::Update { table: Table::Orders, key, changes, condition: None };
        self.memory.write(write).await.unwrap();
        self.fact_of("demo", order).await
    }

    /// The relay: announces until all is taken.
    pub async fn announce(&self, mut facts: Vec<Fact>) {
        while !facts.is_empty() {
            facts = match announce(&self.ports, self.queue.as_ref(), facts.clone()).await {
                Ok(failed) => failed.into_iter().map(|at| facts[at].clone()).collect(),
                Err(_) => facts,
            };
            self.environment.advance(Duration::from_millis(100));
        }
    }

    pub async fn sell(&self, cart: &str) {
        let fact = self.sale(cart).await;
        self.announce(vec![fact]).await;
    }

    /// One batch through the dispatcher; answers whether there was one.
    pub async fn batch(&self) -> bool {
        let batch = self.queue.receive(10);
        self.handle(&batch).await;
        !batch.is_empty()
    }

    pub async fn handle(&self, batch: &[Received]) -> Vec<Fate> {
        let fates = self.dispatcher.handle_batch(batch).await;
        assert_eq!(fates.len(), batch.len());
        for (message, fate) in batch.iter().zip(&fates) {
            if !matches!(fate, Fate::Again(_)) {
                self.queue.delete(&message.receipt);
            }
        }
        fates
    }

    pub async fn sweep(&self) -> Swept {
        let now = self.environment.now();
        sweep(&self.ports, self.queue.as_ref(), now, Budget::default()).await.unwrap_or_default()
    }

    /// Everything runs for so long.
    pub async fn run(&self, time: Duration) {
        let end = self.environment.now() + time;
        while self.environment.now() < end {
            let due = {
                let mut next = self.next_sweep.lock().unwrap();
                let due = *next <= self.environment.now();
                if due {
                    *next = self.environment.now() + Duration::from_secs(60);
                }
                due
            };
            if due {
                self.sweep().await;
            }
            if self.batch().await {
                self.environment.advance(Duration::from_millis(200));
                continue;
            }
            // Nothing to do until something is due.
            let now = self.environment.now();
            let next_sweep = *self.next_sweep.lock().unwrap();
            let next = self.queue.next_visible().map_or(next_sweep, |at| at.min(next_sweep)).min(end);
            let least = Duration::from_millis(100);
            let wait = Duration::try_from(next.duration_since(now)).unwrap_or(least);
            self.environment.advance(wait.max(least));
        }
    }

    /// Runs until every delivery is at an end; fails after `most`.
    pub async fn run_until_settled(&self, most: Duration) -> Duration {
        let begun = self.environment.now();
        loop {
            self.run(Duration::from_secs(1)).await;
            let spent = Duration::try_from(self.environment.now().duration_since(begun)).unwrap();
            let open: Vec<_> = self.deliveries().into_iter().filter(Delivery::is_open).collect();
            if open.is_empty() {
                return spent;
            }
            assert!(spent < most, "{} still open after {spent:?}: {:?}", open.len(), open[0]);
        }
    }

    pub fn deliveries(&self) -> Vec<Delivery> {
        let items = self.memory.items(Table::Dispatch);
        let records = items.iter().filter(|item| item.text("sk").unwrap() == "delivery");
        records.map(|item| Delivery::of(item).unwrap()).collect()
    }

    /// A world with as many dead letters, one a second, each of the store that `store_of` says: `bad-0` and on.
    pub async fn with_dead_letters(count: u64, store_of: impl Fn(u64) -> &'static str) -> World {
        let world = World::new(1).await;
        world.sell("o").await;
        let like = world.delivery("o.1").await;
        for n in 0..count {
            world
                .put_like(&like, |delivery| {
                    delivery.order_id = format!("bad-{n}");
                    delivery.lane_number.lane.store_id = store_of(n).to_owned();
                    delivery.status = DeliveryStatus::Dead;
                    delivery.updated_at += Duration::from_secs(n);
                })
                .await;
        }
        world.environment.advance(Duration::from_secs(count));
        world
    }

    /// Stores a delivery that none announced: `like`, but changed.
    pub async fn put_like(&self, like: &Delivery, change: impl FnOnce(&mut Delivery)) {
        let mut delivery = Delivery { rev: 0, ..like.clone() };
        change(&mut delivery);
        self.memory.write(delivery.write().unwrap()).await.unwrap();
    }

    /// The ports over a database that fails as told.
    pub fn troubled(&self) -> (Ports, Arc<FaultyDatabase>) {
        FaultyDatabase::ports_over(self.memory.clone(), self.environment.clone())
    }

    pub fn count(&self, status: DeliveryStatus) -> usize {
        self.deliveries().iter().filter(|delivery| delivery.status == status).count()
    }

    pub async fn delivery(&self, id: &str) -> Delivery {
        let scope = TenantScope::from_own_record("demo");
        let steady = Ports { database: self.memory.clone(), environment: self.environment.clone() };
        load(&steady, scope.delivery(id)).await.unwrap().unwrap()
    }

    pub fn attempts_written(&self) -> usize {
        let items = self.memory.items(Table::Dispatch);
        items.iter().filter(|item| item.text("sk").unwrap().starts_with("attempt#")).count()
    }

    pub fn accepted(&self, order: &str) -> Option<AcceptedOrder> {
        self.hq.accepted().into_iter().find(|accepted| accepted.order_id == order)
    }

    /// HQ has every one of `orders` exactly once, and nothing is a dead letter.
    pub fn assert_all_accepted_once(&self, orders: &[String]) {
        for order in orders {
            let accepted = self.accepted(order).unwrap_or_else(|| panic!("HQ never got {order}"));
            assert_eq!((accepted.accepted, accepted.versions), (1, vec![1]), "{order}");
        }
        assert_eq!(self.hq.accepted().len(), orders.len());
        assert_eq!(self.count(DeliveryStatus::Delivered), orders.len());
    }

    pub fn fail_database(&self, percent: u64) {
        self.database.fail_percent.store(percent, Ordering::SeqCst);
    }

    pub fn refuse(&self, orders: &[&str]) {
        let refuse_orders = Some(orders.iter().map(|order| (*order).to_owned()).collect());
        self.hq.control(Control { refuse_orders, ..Control::default() });
    }

    pub fn fail(&self, orders: &[&str]) {
        let fail_orders = Some(orders.iter().map(|order| (*order).to_owned()).collect());
        self.hq.control(Control { fail_orders, ..Control::default() });
    }
}
