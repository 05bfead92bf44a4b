//! What the tests of catalogue and feeds share: a tenant with an empty database in memory, whose calls
//! interleave and whose answers get lost from time to time.

#![allow(dead_code, reason = "each test binary uses its part")]

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use async_trait::async_trait;
use jiff::Timestamp;
use serde_json::{Value, json};
use tillstream_app::database::{
    Consistency, Database, DatabaseError, Get, Item, Key, Query, QueryPage, Table, Write,
};
use tillstream_app::documents::{Kind, TemplateFormat};
use tillstream_app::environment::Environment;
use tillstream_app::sync::entities::Entity;
use tillstream_app::sync::upload::{Upload, upload};
use tillstream_app::tenancy::{Caller, Role, Stores, TenantScope};
use tillstream_app::{Ports, Result};
use tillstream_contracts::sync::UploadReply;
use tillstream_testkit::faults::FaultyDatabase;
use tillstream_testkit::memory_database::MemoryDatabase;
use tillstream_testkit::test_environment::TestEnvironment;

/// The database in memory, with other tasks running between any two calls, writes whose answers get
/// lost, and an end at which nothing is taken any more.
pub struct Shaky {
    pub inner: Arc<MemoryDatabase>,
    environment: Arc<TestEnvironment>,
    /// One of so many writes takes effect without an answer; 0: none.
    pub lost_answers: AtomicU64,
    /// Writes left until the database is gone.
    pub writes_left: AtomicU64,
}

impl Shaky {
    async fn others_run(&self) {
        for _ in 0..self.environment.random() % 4 {
            tokio::task::yield_now().await;
        }
    }

    async fn written(
        &self,
        done: impl Future<Output = Result<(), DatabaseError>>,
    ) -> Result<(), DatabaseError> {
        self.others_run().await;
        let left = self.writes_left.load(Ordering::SeqCst);
        if left == 0 {
            return Err(DatabaseError::Unavailable("gone".into()));
        }
        self.writes_left.store(left - 1, Ordering::SeqCst);
        let answer = done.await;
        self.others_run().await;
        let one_of = self.lost_answers.load(Ordering::SeqCst);
        if one_of > 0 && self.environment.random().is_multiple_of(one_of) {
            return Err(DatabaseError::Unavailable("the answer got lost".into()));
        }
        answer
    }
}

#[async_trait]
impl Database for Shaky {
    async fn get(&self, get: Get) -> Result<Option<Item>, DatabaseError> {
        self.others_run().await;
        self.inner.get(get).await
    }

    async fn get_many(&self, gets: Vec<Get>) -> Result<Vec<Option<Item>>, DatabaseError> {
        self.others_run().await;
        self.inner.get_many(gets).await
    }

    async fn get_together(&self, gets: Vec<Get>) -> Result<Vec<Option<Item>>, DatabaseError> {
        self.others_run().await;
        self.inner.get_together(gets).await
    }

    async fn query(&self, query: Query) -> Result<QueryPage, DatabaseError> {
        self.others_run().await;
        self.inner.query(query).await
    }

    async fn write(&self, write: Write) -> Result<(), DatabaseError> {
        self.written(self.inner.write(write)).await
    }

    async fn transact(&self, writes: Vec<Write>) -> Result<(), DatabaseError> {
        self.written(self.inner.transact(writes)).await
    }

    async fn put_many(&self, table: Table, items: Vec<Item>) -> Result<(), DatabaseError> {
        self.written(self.inner.put_many(table, items)).await
    }
}

/// A tenant and its database.
#[derive(Clone)]
pub struct World {
    pub ports: Ports,
    pub shaky: Arc<Shaky>,
    pub memory: Arc<MemoryDatabase>,
    pub environment: Arc<TestEnvironment>,
    pub caller: Caller,
}

pub fn caller(tenant: &str, roles: &[Role]) -> Caller {
    Caller {
        scope: TenantScope::from_own_record(tenant),
        subject: "hq".into(),
        roles: roles.iter().copied().collect(),
        stores: Stores::All,
        register_id: None,
    }
}

pub fn reaching(caller: &Caller, stores: &[&str]) -> Caller {
    let stores: BTreeSet<String> = stores.iter().map(ToString::to_string).collect();
    Caller { stores: Stores::Named(stores), ..caller.clone() }
}

pub fn world(seed: u64) -> World {
    let environment = Arc::new(TestEnvironment::new(seed));
    let memory = Arc::new(MemoryDatabase::with_environment(environment.clone()));
    let shaky = Arc::new(Shaky {
        inner: memory.clone(),
        environment: environment.clone(),
        lost_answers: AtomicU64::new(0),
        writes_left: AtomicU64::new(u64::MAX),
    });
    World {
        ports: Ports { database: shaky.clone(), environment: environment.clone() },
        shaky,
        memory,
        environment,
        caller: caller("t", &[Role::Integration]),
    }
}

impl World {
    pub fn scope(&self) -> &TenantScope {
        &self.caller.scope
    }

    /// The same tenant on a database whose calls fail as a script says.
    pub fn troubled(&self) -> (World, Arc<FaultyDatabase>) {
        let (ports, database) = FaultyDatabase::ports_over(self.memory.clone(), self.environment.clone());
        (World { ports, ..self.clone() }, database)
    }

    pub async fn send_from(&self, entity: Entity, body: &[u8], from: u64) -> Result<UploadReply> {
        let call = Upload { entity, body, from, deadline: Timestamp::MAX };
        upload(&self.ports, &self.caller, call).await
    }

    pub async fn send(&self, entity: Entity, lines: &[Value]) -> UploadReply {
        self.send_from(entity, ndjson(lines).as_bytes(), 1).await.unwrap()
    }

    /// Writes past everything.
    pub async fn memory_write(&self, write: Write) {
        self.memory.write(write).await.unwrap();
    }

    pub async fn item(&self, table: Table, key: Key) -> Option<Item> {
        self.memory.get(Get { table, key, consistency: Consistency::Strong }).await.unwrap()
    }
}

pub fn ndjson(lines: &[Value]) -> String {
    lines.iter().map(|line| format!("{line}\n")).collect()
}

pub fn product(sku: &str, version: u64, more: &Value) -> Value {
    let mut data = json!({"name": format!("{sku} v{version}"), "unit_price": "2.55", "currency": "GBP"});
    for (name, value) in more.as_object().unwrap() {
        data[name] = value.clone();
    }
    json!({"id": sku, "version": version, "op": "upsert", "data": data})
}

pub fn location(id: &str, version: u64) -> Value {
    json!({"id": id, "version": version, "op": "upsert", "data": {"kind": "store",
        "name": format!("{id} v{version}"), "time_zone": "Europe/London", "currency": "GBP",
        "registers": ["r-1"]}})
}

pub fn price(id: &str, version: u64, sku: &str, unit_price: &str) -> Value {
    json!({"id": id, "version": version, "op": "upsert",
        "data": {"sku": sku, "unit_price": unit_price, "currency": "GBP"}})
}

pub fn stock(location: &str, sku: &str, version: u64, on_hand: u64) -> Value {
    json!({"id": format!("{location}/{sku}"), "version": version, "op": "upsert",
        "data": {"location_id": location, "sku": sku, "on_hand": on_hand}})
}

/// A template that shows its version; places are those of the kinds of documents, as HTML, then on paper.
pub fn template(place: u64, version: u64) -> Value {
    let place = usize::try_from(place).unwrap();
    let kind = Kind::ALL[place % Kind::ALL.len()];
    let format = TemplateFormat::ALL[place / Kind::ALL.len()];
    template_of(&format!("{kind}-{format}"), version, kind, format, &format!("v{version}"))
}

/// A template that shows `text`, and whether it is a reprint.
pub fn template_of(id: &str, version: u64, kind: Kind, format: TemplateFormat, text: &str) -> Value {
    let root = if kind.is_of_shift() { "shift" } else { "order" };
    let source = format!("{{% if {root}.reprint %}}REPRINT {{% endif %}}{text}");
    json!({"id": id, "version": version, "op": "upsert",
        "data": {"kind": kind.name(), "format": format.name(), "source": source}})
}

/// A line of a feed of rules, customers or suppliers, of which a text with the version can be found in the item.
pub fn rule(entity: Entity, id: &str, version: u64) -> Value {
    let name = format!("v{version}");
    let data = match entity {
        Entity::Promotions => json!({"name": name, "benefit": {"percentage": {"bps": 1_000}}}),
        Entity::TaxRules => json!({"name": name, "rate_bps": 2_000}),
        Entity::Categories => json!({"name": name, "parent": "all"}),
        Entity::Coupons => {
            json!({"benefit": {"percentage": {"bps": 500}}, "target": {"categories": [name]}})
        }
        Entity::Customers => json!({"name": name, "segments": ["gold"]}),
        Entity::Suppliers => json!({"name": name, "lead_time_days": 7, "supplies": [{"sku": "S"}]}),
        other => panic!("{other:?} is no feed of rules"),
    };
    json!({"id": id, "version": version, "op": "upsert", "data": data})
}

/// Where such a line's thing stands.
pub fn rule_key(scope: &TenantScope, entity: Entity, id: &str) -> Key {
    match entity {
        Entity::Promotions => scope.promotion(id),
        Entity::TaxRules => scope.tax_rule(id),
        Entity::Categories => scope.category_rule(id),
        Entity::Coupons => scope.coupon(id),
        Entity::Customers => scope.customer(id),
        Entity::Suppliers => scope.supplier(id),
        other => panic!("{other:?} is no feed of rules"),
    }
}

pub fn delete(id: &str, version: u64) -> Value {
    json!({"id": id, "version": version, "op": "delete"})
}

/// Puts a list in an order that the seed decides.
pub fn shuffled<T>(mut list: Vec<T>, environment: &TestEnvironment) -> Vec<T> {
    for last in (1..list.len()).rev() {
        let other = usize::try_from(environment.random() % (u64::try_from(last).unwrap() + 1)).unwrap();
        list.swap(last, other);
    }
    list
}

/// Applied, skipped, failed.
pub fn counts(reply: &UploadReply) -> (u64, u64, u64) {
    assert_eq!(reply.lines, reply.applied + reply.skipped + reply.failed);
    (reply.applied, reply.skipped, reply.failed)
}
