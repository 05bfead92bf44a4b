//! Lists of orders: newest first over all stores in reach, the same in pages of any size, by every filter.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use serde_json::json;
use tillstream_app::database::{Database, Table};
use tillstream_app::environment::Environment;
use tillstream_app::orders::place::place;
use tillstream_app::orders::read::{get, list};
use tillstream_app::pos::cart_item::{cart_item, cart_of};
use tillstream_app::tenancy::{Caller, Role, Stores};
use tillstream_app::{Ports, Result};
use tillstream_contracts::orders::{OrderFilter, OrderPage};
use tillstream_domain::cart::Cart;
use tillstream_testkit::memory_database::MemoryDatabase;
use tillstream_testkit::shop::{STORE, Shop, caller};
use tillstream_testkit::test_environment::TestEnvironment;

struct World {
    shop: Shop,
    database: Arc<MemoryDatabase>,
    environment: Arc<TestEnvironment>,
}

async fn world() -> World {
    let environment = Arc::new(TestEnvironment::new(9));
    let database = Arc::new(MemoryDatabase::with_environment(environment.clone()));
    let shop = Shop::open(database.clone(), environment.clone()).await.unwrap();
    for store in ["s-2", "s-3"] {
        shop.store(store).await.unwrap();
    }
    for store in [STORE, "s-2", "s-3"] {
        shop.product(store, "A", "2.50", 1_000).await.unwrap();
    }
    World { shop, database, environment }
}

impl World {
    /// Places an order a minute after the one before; answers its id.
    async fn place(
        &self,
        n: usize,
        store: &str,
        channel: &str,
        customer: Option<&str>,
        paid: bool,
    ) -> String {
        self.environment.advance(Duration::from_secs(60));
        let mut order = json!({"order_id": format!("o-{n:03}"), "store_id": store, "channel": channel,
            "lines": [{"sku": "A", "quantity": 1}]});
        if let Some(customer) = customer {
            order["customer_id"] = customer.into();
        }
        if paid {
            order["payments"] = json!([{"tender": "card", "amount": {"amount": 250, "currency": "GBP"}}]);
        }
        let order = serde_json::from_value(order).unwrap();
        place(&self.shop.ports, &caller("demo", &[Role::Integration]), &format!("k-{n}"), order)
            .await
            .unwrap()
            .cart
            .id
    }

    async fn ask(&self, filter: OrderFilter) -> Result<OrderPage> {
        list(&self.shop.ports, &analyst(), filter).await
    }

    /// Ids of all that pass the filter, in pages of so many.
    async fn pages(&self, filter: &OrderFilter, limit: u32) -> Vec<String> {
        let mut filter = OrderFilter { limit: Some(limit), ..filter.clone() };
        let mut ids = Vec::new();
        loop {
            let page = self.ask(filter.clone()).await.unwrap();
            assert!(page.items.len() <= limit as usize);
            ids.extend(page.items.into_iter().map(|order| order.id));
            match page.next_cursor {
                Some(cursor) => filter.cursor = Some(cursor),
                None => return ids,
            }
        }
    }
}

fn analyst() -> Caller {
    caller("demo", &[Role::Analyst])
}

#[tokio::test]
async fn the_newest_come_first_whatever_the_page_and_the_filter() {
    let w = world().await;
    // What each order is of, in the order of time.
    let mut placed = Vec::new();
    for n in 0..30 {
        let store = [STORE, "s-2", "s-3", STORE][n % 4];
        let channel = ["web", "mobile", "wholesale"][n % 3];
        let customer = (n % 5 == 0).then_some("17850");
        let paid = n % 2 == 0;
        let id = w.place(n, store, channel, customer, paid).await;
        placed.push((id, store, channel, customer, if paid { "paid" } else { "placed" }));
    }
    let text = |value: &str| Some(value.to_owned());
    let filters = [
        OrderFilter::default(),
        OrderFilter { store_id: text("s-2"), ..OrderFilter::default() },
        OrderFilter { channel: text("mobile"), ..OrderFilter::default() },
        OrderFilter { customer_id: text("17850"), ..OrderFilter::default() },
        OrderFilter { status: text("placed"), ..OrderFilter::default() },
        OrderFilter {
            status: text("paid"),
            channel: text("web"),
            store_id: text(STORE),
            ..OrderFilter::default()
        },
        OrderFilter { customer_id: text("nobody"), ..OrderFilter::default() },
    ];
    for filter in filters {
        let is =
            |wanted: &Option<String>, value: Option<&str>| wanted.is_none() || wanted.as_deref() == value;
        let expected: Vec<&str> = placed
            .iter()
            .rev()
            .filter(|(_, store, channel, customer, status)| {
                is(&filter.store_id, Some(store))
                    && is(&filter.channel, Some(channel))
                    && is(&filter.customer_id, *customer)
                    && is(&filter.status, Some(status))
            })
            .map(|(id, ..)| id.as_str())
            .collect();
        for limit in [1, 2, 7, 29, 30, 31, 200] {
            assert_eq!(w.pages(&filter, limit).await, expected, "{filter:?} in pages of {limit}");
        }
    }
    // A page that holds all there is names no next one.
    let filter = OrderFilter { limit: Some(30), ..OrderFilter::default() };
    assert_eq!(w.ask(filter).await.unwrap().next_cursor, None);
}

#[tokio::test]
async fn bounds_of_time_are_included() {
    let w = world().await;
    let began = w.environment.now();
    for n in 0..5 {
        w.place(n, [STORE, "s-2"][n % 2], "web", None, false).await;
    }
    let minute = |n: i64| (began + Duration::from_secs(u64::try_from(60 * n).unwrap())).to_string();
    let ids = async |from: Option<String>, to: Option<String>| {
        w.pages(&OrderFilter { from, to, ..OrderFilter::default() }, 2).await
    };
    assert_eq!(ids(Some(minute(2)), Some(minute(4))).await, ["o-003", "o-002", "o-001"]);
    assert_eq!(ids(Some(minute(4)), None).await, ["o-004", "o-003"]);
    assert_eq!(ids(None, Some(minute(1))).await, ["o-000"]);
    assert_eq!(ids(Some(minute(3)), Some(minute(3))).await, ["o-002"]);
    // 2026-03-02 is the day of all of them.
    for (from, to, count) in [
        ("2026-03-02", "2026-03-02", 5),
        ("2026-03-01", "2026-03-02", 5),
        ("2026-03-01", "2026-03-01", 0),
        ("2026-03-03", "2026-03-04", 0),
    ] {
        assert_eq!(ids(Some(from.to_owned()), Some(to.to_owned())).await.len(), count, "{from} to {to}");
    }
    let reversed = OrderFilter { from: Some(minute(2)), to: Some(minute(1)), ..OrderFilter::default() };
    assert_eq!(w.ask(reversed).await.unwrap_err().code(), Some("range_reversed"));
}

#[tokio::test]
async fn a_list_and_an_order_are_of_the_callers_stores() {
    let w = world().await;
    for n in 0..6 {
        w.place(n, [STORE, "s-2", "s-3"][n % 3], "web", None, false).await;
    }
    let mut owner = caller("demo", &[Role::FranchiseOwner]);
    owner.stores = Stores::Named(BTreeSet::from(["s-2".to_owned(), "s-3".to_owned()]));
    let page = list(&w.shop.ports, &owner, OrderFilter::default()).await.unwrap();
    let ids: Vec<_> = page.items.iter().map(|order| order.id.as_str()).collect();
    assert_eq!(ids, ["o-005", "o-004", "o-002", "o-001"]);
    let of = |store: &str| OrderFilter { store_id: Some(store.to_owned()), ..OrderFilter::default() };
    let code = |error: tillstream_app::Error| error.code();
    assert_eq!(code(list(&w.shop.ports, &owner, of(STORE)).await.unwrap_err()), Some("store_out_of_reach"));
    assert_eq!(code(w.ask(of("s-9")).await.unwrap_err()), Some("store_not_found"));
    assert_eq!(code(get(&w.shop.ports, &owner, "o-000").await.unwrap_err()), Some("order_not_found"));
    assert_eq!(get(&w.shop.ports, &owner, "o-001").await.unwrap().id, "o-001");
    // A cart is no order until it is final.
    w.shop.ready("r-1", "cart", &[("A", 1)]).await.unwrap();
    assert_eq!(code(get(&w.shop.ports, &analyst(), "cart").await.unwrap_err()), Some("order_not_found"));
    w.shop.finalize("r-1", "cart").await.unwrap();
    let order = get(&w.shop.ports, &analyst(), "cart").await.unwrap();
    assert_eq!((order.kind, order.status.as_str(), order.register_id.as_str()), ("sale", "completed", "r-1"));
    assert_eq!(order.lines.map(|lines| lines.len()), Some(1));
    let listed = w.ask(of(STORE)).await.unwrap().items;
    assert!(listed.iter().all(|order| order.lines.is_none() && order.line_count == 1));
    let who = caller("demo", &[Role::WarehouseStaff]);
    assert_eq!(code(list(&w.shop.ports, &who, of(STORE)).await.unwrap_err()), Some("role_required"));
    for bad in ["a/b", ""] {
        for filter in [
            OrderFilter { channel: Some(bad.to_owned()), ..OrderFilter::default() },
            OrderFilter { customer_id: Some(bad.to_owned()), ..OrderFilter::default() },
            OrderFilter { status: Some(bad.to_owned()), ..OrderFilter::default() },
        ] {
            assert_eq!(code(w.ask(filter).await.unwrap_err()), Some("id_malformed"), "{bad:?}");
        }
    }
}

/// Of four thousand orders and more one is a customer's, the oldest: a page ends before it is found, with a
/// cursor to go on at.
#[tokio::test]
async fn a_rare_order_is_found_at_a_cursor() {
    let w = world().await;
    let rare = w.place(0, STORE, "web", Some("17850"), false).await;
    w.place(1, STORE, "web", None, false).await;
    let template =
        w.database.items(Table::Orders).into_iter().find(|item| item.opt_text("cart_id") == Some("o-001"));
    let template: Cart = cart_of(&template.unwrap()).unwrap();
    let begin = template.finalized.as_ref().unwrap().at;
    let mut items = Vec::new();
    for n in 0..4_300_u64 {
        let mut cart = template.clone();
        cart.id = format!("many-{n:04}");
        let done = cart.finalized.as_mut().unwrap();
        done.number.number = 10 + n;
        done.at = begin.checked_add(Duration::from_secs(n + 1)).unwrap_or(Timestamp::MAX);
        items.push(cart_item(&w.shop.scope, &cart).unwrap());
    }
    let database: &dyn Database = w.database.as_ref();
    database.put_many(Table::Orders, items).await.unwrap();
    let filter = OrderFilter { customer_id: Some("17850".to_owned()), ..OrderFilter::default() };
    let first = w.ask(filter.clone()).await.unwrap();
    assert!(first.items.is_empty() && first.next_cursor.is_some(), "{} found at once", first.items.len());
    assert_eq!(w.pages(&filter, 50).await, [rare]);
    // Pages go on through more index entries than one query answers.
    let all = w.pages(&OrderFilter::default(), 200).await;
    assert_eq!(all.len(), 4_302);
    assert!(all.iter().rev().skip(2).is_sorted());
}

/// A list goes over two hundred stores; of more, one is to be named.
#[tokio::test]
async fn a_list_goes_over_two_hundred_stores() {
    let w = world().await;
    for n in 4..=200 {
        w.shop.store(&format!("s-{n}")).await.unwrap();
    }
    w.shop.product("s-200", "A", "2.50", 1).await.unwrap();
    w.place(0, "s-200", "web", None, false).await;
    assert_eq!(w.pages(&OrderFilter::default(), 50).await, ["o-000"]);
    w.shop.store("s-201").await.unwrap();
    assert_eq!(w.ask(OrderFilter::default()).await.unwrap_err().code(), Some("store_required"));
    let named = OrderFilter { store_id: Some("s-200".to_owned()), ..OrderFilter::default() };
    assert_eq!(w.pages(&named, 50).await, ["o-000"]);
    let ports: &Ports = &w.shop.ports;
    let mut owner = caller("demo", &[Role::FranchiseOwner]);
    owner.stores = Stores::Named((1..=200).map(|n| format!("s-{n}")).collect());
    assert_eq!(list(ports, &owner, OrderFilter::default()).await.unwrap().items.len(), 1);
}
