//! A shop whose gift cards and accounts are kept here.

use std::sync::Arc;

use serde_json::{Value, json};
use tillstream_app::database::{Item, Table, Write};
use tillstream_app::pos::execute::Answered;
use tillstream_app::stored_value::administer::{self, Answer};
use tillstream_app::tenancy::Role;
use tillstream_app::tenant_rules::settings_item;
use tillstream_app::{Error, Result};
use tillstream_domain::tenant_settings::{StoredValueSettings, TenantSettings};
use tillstream_testkit::memory_database::MemoryDatabase;
use tillstream_testkit::shop::{STORE, Shop, caller};
use tillstream_testkit::test_environment::TestEnvironment;

pub const CARD: &str = "GC-AAAA-1111";
pub const OTHER: &str = "GC-BBBB-2222";
/// A customer, and the id of the customer's account.
pub const ADA: &str = "k-1";

pub fn gbp(amount: i64) -> Value {
    json!({"amount": amount, "currency": "GBP"})
}

pub struct World {
    pub shop: Shop,
    pub database: Arc<MemoryDatabase>,
    pub environment: Arc<TestEnvironment>,
}

/// Both tenders are taken from balances, or none.
pub async fn switch(shop: &Shop, on: bool) {
    let stored_value = StoredValueSettings { gift_card: on, account: on };
    let settings = TenantSettings { stored_value, ..TenantSettings::default() };
    let item = settings_item(&shop.scope, &settings).unwrap();
    let put = Write::Put { table: Table::Catalog, item, condition: None };
    shop.ports.database.write(put).await.unwrap();
}

pub async fn world_in(environment: TestEnvironment) -> World {
    let environment = Arc::new(environment);
    let database = Arc::new(MemoryDatabase::with_environment(environment.clone()));
    let shop = Shop::open(database.clone(), environment.clone()).await.unwrap();
    shop.product(STORE, "A", "1.00", 1_000_000).await.unwrap();
    shop.product(STORE, "DIME", "0.10", 1_000_000).await.unwrap();
    switch(&shop, true).await;
    World { shop, database, environment }
}

/// Its clock moves by sleeping.
pub async fn world() -> World {
    world_in(TestEnvironment::new(7)).await
}

/// With real concurrency.
pub async fn busy_world(seed: u64) -> World {
    world_in(TestEnvironment::real(seed)).await
}

pub fn manager() -> tillstream_app::tenancy::Caller {
    caller("demo", &[Role::StoreManager])
}

impl World {
    /// Issues a gift card, or an account of that customer.
    pub async fn issue(&self, id: &str, amount: i64) -> Answer {
        let kind = if id.starts_with("GC") { "gift_card" } else { "account" };
        let sent = json!({"id": id, "kind": kind, "currency": "GBP", "amount": amount, "reason": "sold"});
        let sent = serde_json::from_value(sent).unwrap();
        administer::issue(&self.shop.ports, &manager(), &format!("issue-{id}"), sent).await.unwrap()
    }

    pub async fn change(&self, what: &str, key: &str, id: &str, amount: i64) -> Result<Answer> {
        change(&self.shop, what, key, id, amount).await
    }

    pub fn stored(&self, id: &str) -> Option<Item> {
        let key = self.shop.scope.stored_value(id);
        let items = self.database.items(Table::Orders).into_iter();
        items
            .filter(|item| item.opt_text("pk") == Some(key.pk()))
            .find(|i| i.opt_text("sk") == Some("balance"))
    }

    /// The balance, once it is proved by the movements.
    pub fn balance(&self, id: &str) -> i64 {
        let balance = self.stored(id).unwrap().number("balance").unwrap();
        let moved: i64 = self.movements(id).iter().map(|(_, amount)| amount).sum();
        assert_eq!(balance, moved, "the balance is the sum of its movements: {:?}", self.movements(id));
        assert!(balance >= 0, "{balance}");
        balance
    }

    /// Kinds and amounts, oldest first.
    pub fn movements(&self, id: &str) -> Vec<(String, i64)> {
        let pk = self.shop.scope.stored_value(id).pk().to_owned();
        let mut items = self.database.items(Table::Orders);
        items.retain(|item| {
            item.opt_text("pk") == Some(pk.as_str()) && item.opt_text("kind") == Some("stored_value_movement")
        });
        items.sort_by_key(|item| item.text("sk").unwrap().to_owned());
        let told = |item: &Item| (item.text("movement").unwrap().to_owned(), item.number("amount").unwrap());
        items.iter().map(told).collect()
    }

    pub fn orders(&self) -> Vec<Item> {
        self.database.items(Table::Orders)
    }
}

pub async fn change(shop: &Shop, what: &str, key: &str, id: &str, amount: i64) -> Result<Answer> {
    let (ports, who) = (&shop.ports, manager());
    let moved = || serde_json::from_value(json!({"amount": amount, "reason": "by hand"})).unwrap();
    let blocked = || serde_json::from_value(json!({"reason": "by hand"})).unwrap();
    match what {
        "credit" => administer::credit(ports, &who, key, id, moved(), |_| Ok(())).await,
        "debit" => administer::debit(ports, &who, key, id, moved(), |_| Ok(())).await,
        "block" => administer::block(ports, &who, key, id, blocked(), |_| Ok(())).await,
        "unblock" => administer::unblock(ports, &who, key, id, blocked(), |_| Ok(())).await,
        other => panic!("{other}"),
    }
}

pub fn payment(cart: &str, tender: &str, amount: i64, reference: Option<&str>) -> Value {
    json!({"cart_id": cart, "tender": tender, "amount": gbp(amount), "external_reference": reference})
}

/// Opens a cart of `pieces` of DIME and brings it to tendering.
pub async fn tendering(shop: &Shop, register: &str, cart: &str, pieces: i64) {
    for (n, (action, payload)) in [
        ("create_cart", json!({"cart_id": cart})),
        ("add_line_item", json!({"cart_id": cart, "sku": "DIME", "quantity": pieces})),
        ("set_tendering", json!({"cart_id": cart})),
    ]
    .into_iter()
    .enumerate()
    {
        shop.at(register, &format!("{cart}-{n}"), action, payload).await.unwrap();
    }
}

pub async fn pay(shop: &Shop, register: &str, cart: &str, amount: i64, card: &str) -> Result<Answered> {
    let paid = payment(cart, "gift_card", amount, Some(card));
    let key = format!("{cart}-pay-{}-{amount}", card.trim_start_matches("GC-"));
    shop.at(register, &key, "add_payment", paid).await
}

/// Sells `pieces` of DIME, all of it paid by `card`.
pub async fn sell(shop: &Shop, register: &str, cart: &str, pieces: i64, card: &str) -> Result<Answered> {
    tendering(shop, register, cart, pieces).await;
    pay(shop, register, cart, pieces * 10, card).await?;
    shop.finalize(register, cart).await
}

/// Begins the return of `pieces` of a sale of DIME.
pub async fn bring_back(shop: &Shop, register: &str, id: &str, order: &str, pieces: i64) {
    let start = json!({"return_id": id, "original_order_id": order, "reason": "broken"});
    shop.at(register, &format!("{id}-start"), "start_return", start).await.unwrap();
    let line = json!({"return_id": id, "line_id": "l-1", "quantity": pieces, "disposition": "restock"});
    shop.at(register, &format!("{id}-line"), "return_line_item", line).await.unwrap();
}

pub fn refund(id: &str, tender: &str, amount: i64, reference: Option<&str>) -> Value {
    json!({"return_id": id, "tender": tender, "amount": gbp(amount), "external_reference": reference})
}

/// The code of a refusal, and what it says is left.
pub fn refused<T: std::fmt::Debug>(result: Result<T>) -> (&'static str, Option<i64>) {
    match result {
        Err(Error::Rejected(refusal)) => {
            let told = format!("{refusal:?}");
            assert!(!told.contains("GC-"), "no refusal names a gift card: {told}");
            (refusal.code, refusal.extra.get("left").and_then(Value::as_i64))
        }
        other => panic!("{other:?}"),
    }
}
