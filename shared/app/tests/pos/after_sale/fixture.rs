//! A shop, and what its tables hold.

use std::sync::Arc;

use serde_json::{Value, json};
use tillstream_app::Result;
use tillstream_app::database::{Item, Table};
use tillstream_app::environment::Environment;
use tillstream_app::orders::place::place;
use tillstream_app::orders::read;
use tillstream_app::orders::status::{Changed, change};
use tillstream_app::pos::cart_write::Executed;
use tillstream_app::pos::execute::{Answered, execute};
use tillstream_app::relay::relayed;
use tillstream_app::tenancy::Role;
use tillstream_testkit::memory_database::MemoryDatabase;
use tillstream_testkit::shop::{STORE, Shop, caller, envelope};
use tillstream_testkit::test_environment::TestEnvironment;

pub fn gbp(amount: i64) -> Value {
    json!({"amount": amount, "currency": "GBP"})
}

/// Of A (2.55) and B (1.00) a hundred pieces, on the machine's clock: for real concurrency.
pub async fn busy_shop() -> (Shop, Arc<MemoryDatabase>) {
    stocked(Arc::new(TestEnvironment::real(7))).await
}

/// The same on a clock that stands still.
pub async fn shop() -> (Shop, Arc<MemoryDatabase>) {
    stocked(Arc::new(TestEnvironment::new(7))).await
}

pub async fn stocked(environment: Arc<dyn Environment>) -> (Shop, Arc<MemoryDatabase>) {
    let database = Arc::new(MemoryDatabase::with_environment(environment.clone()));
    let shop = Shop::open(database.clone(), environment).await.unwrap();
    for (sku, price) in [("A", "2.55"), ("B", "1")] {
        shop.product(STORE, sku, price, 100).await.unwrap();
    }
    (shop, database)
}

/// Sends a command as a member of staff, at a time.
pub async fn sent(
    shop: &Shop,
    role: Role,
    (register, key): (&str, &str),
    (action, payload): (&str, Value),
    at: &str,
) -> Result<Answered> {
    let mut sent = envelope(STORE, register, key, action, payload);
    sent["occurred_at"] = at.into();
    execute(&shop.ports, &caller("demo", &[role]), sent).await
}

pub fn result(answered: &Answered) -> Value {
    serde_json::to_value(&answered.reply.result).unwrap()
}

pub fn code<T>(answer: Result<T>) -> &'static str {
    match answer {
        Ok(_) => "done",
        Err(error) => error.code().unwrap_or_else(|| panic!("{error}")),
    }
}

/// Everything that is stored, to tell whether a refusal changed something.
pub fn snapshot(database: &MemoryDatabase) -> Vec<(Table, Vec<Item>)> {
    Table::ALL.into_iter().map(|table| (table, database.items(table))).collect()
}

/// An order of `lines` (SKU, pieces) from elsewhere, paid as `payments` say.
pub async fn placed(shop: &Shop, id: &str, lines: &[(&str, i64)], payments: Value) -> Result<Executed> {
    let lines: Vec<Value> =
        lines.iter().map(|(sku, pieces)| json!({"sku": sku, "quantity": pieces})).collect();
    let order =
        json!({"order_id": id, "store_id": STORE, "channel": "web", "lines": lines, "payments": payments});
    let order = serde_json::from_value(order).unwrap();
    place(&shop.ports, &caller("demo", &[Role::Integration]), &format!("{id}-place"), order).await
}

/// Changes the status of an order as an integration.
pub async fn moved(shop: &Shop, key: &str, id: &str, body: Value) -> Result<Changed> {
    let body = serde_json::from_value(body).unwrap();
    change(&shop.ports, &caller("demo", &[Role::Integration]), key, id, body, |_| Ok(())).await
}

/// An order as it is read.
pub async fn order(shop: &Shop, id: &str) -> Value {
    let read = read::get(&shop.ports, &caller("demo", &[Role::Analyst]), id).await.unwrap();
    serde_json::to_value(read).unwrap()
}

/// The numbers that a lane has given, as orders hold them.
pub fn numbers(database: &MemoryDatabase, lane: &str) -> Vec<i64> {
    let orders = database.items(Table::Orders);
    let of_lane = orders.iter().filter(|item| item.opt_text("lane") == Some(lane));
    let mut numbers: Vec<i64> = of_lane.map(|item| item.number("lane_number").unwrap()).collect();
    numbers.sort_unstable();
    numbers
}

pub fn cart_item(database: &MemoryDatabase, id: &str) -> Item {
    let found = database
        .items(Table::Orders)
        .into_iter()
        .find(|item| item.opt_text("sk") == Some("cart") && item.opt_text("cart_id") == Some(id));
    found.unwrap()
}

/// What a change of an order tells: whether figures are told of it, and which version headquarters are.
pub fn told(old: &Item, new: &Item) -> (bool, Option<u32>) {
    let relayed = relayed(Some(old), Some(new)).unwrap();
    (relayed.event.is_some(), relayed.fact.map(|fact| fact.order_version))
}
