//! Sales that another system made.

use serde_json::{Value, json};
use tillstream_app::Result;
use tillstream_app::database::Table;
use tillstream_app::dispatch::delivery::Delivery;
use tillstream_app::dispatch::message::order_message;
use tillstream_app::orders::read::{list, list_sales};
use tillstream_app::orders::record::record;
use tillstream_app::pos::cart_item::cart_of;
use tillstream_app::pos::cart_write::Executed;
use tillstream_app::relay::handle;
use tillstream_app::tenancy::Role;
use tillstream_contracts::orders::OrderFilter;
use tillstream_testkit::memory_database::MemoryDatabase;
use tillstream_testkit::memory_messaging::{MemoryQueue, MemoryStream};
use tillstream_testkit::shop::{STORE, Shop, caller};

use super::fixture::{busy_shop, cart_item, code, gbp, numbers, order, placed, sent, shop, snapshot};

fn sale(id: &str, changed: &Value) -> Value {
    let mut sale = json!({"order_id": id, "store_id": STORE, "channel": "pos",
        "occurred_at": "2026-02-28T23:30:00Z", "register_id": "kiosk-7", "receipt_reference": "K7/000123",
        "lines": [{"sku": "A", "quantity": 2, "unit_price": "2.00"}],
        "payments": [{"tender": "cash", "amount": gbp(500)}]});
    for (name, value) in changed.as_object().unwrap() {
        sale[name] = value.clone();
    }
    sale
}

async fn recorded(shop: &Shop, role: Role, key: &str, sale: Value) -> Result<Executed> {
    let sale = tillstream_contracts::strict_json::typed(sale).unwrap();
    record(&shop.ports, &caller("demo", &[role]), key, sale).await
}

#[tokio::test]
async fn a_sale_made_elsewhere_counts_on_its_own_day() {
    let (shop, database) = shop().await;
    let executed = recorded(&shop, Role::Integration, "k", sale("s", &json!({}))).await.unwrap();
    let done = executed.cart.finalized.clone().unwrap();
    assert_eq!((done.business_day.to_string().as_str(), done.status.as_str()), ("2026-02-28", "completed"));
    assert!(done.number.lane.register_id.starts_with("virtual-"));
    let read = order(&shop, "s").await;
    assert_eq!(read["recorded"], json!({"register_id": "kiosk-7", "receipt_reference": "K7/000123"}));
    assert_eq!((&read["totals"]["total"], &read["totals"]["change"]), (&gbp(400), &gbp(100)));
    assert_eq!(shop.counters(STORE, "A").await.unwrap().on_hand, 98_000);
    let again = recorded(&shop, Role::Integration, "k", sale("s", &json!({}))).await.unwrap();
    assert!(again.replayed);
    assert_eq!(again.cart.finalized.unwrap().number, done.number);

    let item = cart_item(&database, "s");
    let environment = shop.ports.environment.clone();
    let (stream, queue) = (MemoryStream::new(1, environment.clone()), MemoryQueue::new(environment));
    assert!(handle(&shop.ports, &stream, &queue, &[(None, Some(&item))]).await.is_empty());
    let delivery = database.items(Table::Dispatch).iter().find_map(|item| Delivery::of(item).ok()).unwrap();
    let message = serde_json::to_value(order_message(&delivery, &cart_of(&item).unwrap()).unwrap()).unwrap();
    let known = json!({"register_id": "kiosk-7", "receipt_reference": "K7/000123"});
    assert_eq!(message["recorded"], known, "HQ finds it by what the other system calls it");

    // Its goods left before; and a price that is not told is the price book's.
    let moved = json!({"stock_already_moved": true, "lines": [{"sku": "A", "quantity": 2}], "payments": [], "register_id": null});
    let executed = recorded(&shop, Role::Integration, "m", sale("moved", &moved)).await.unwrap();
    assert_eq!(executed.cart.totals().unwrap().total, 510);
    assert_eq!(executed.cart.finalized.unwrap().status, "completed", "on account, and over all the same");
    assert_eq!(shop.counters(STORE, "A").await.unwrap().on_hand, 98_000);
    // What comes back of it is on the shelf then.
    let void = json!({"order_id": "moved", "reason": "x"});
    let operator = Role::Operator;
    sent(&shop, operator, ("r-1", "v"), ("void_order", void), "2026-02-28T12:00:00Z").await.unwrap();
    assert_eq!(shop.counters(STORE, "A").await.unwrap().on_hand, 100_000);

    let filter = OrderFilter { store_id: Some(STORE.to_owned()), ..OrderFilter::default() };
    let who = caller("demo", &[Role::Analyst]);
    let ids = |page: tillstream_contracts::orders::OrderPage| {
        page.items.into_iter().map(|order| (order.kind, order.status)).collect::<Vec<_>>()
    };
    let mut sales = ids(list_sales(&shop.ports, &who, filter.clone()).await.unwrap());
    sales.sort();
    assert_eq!(sales, [("sale", "completed".to_owned()), ("sale", "voided".to_owned())]);
    assert_eq!(list(&shop.ports, &who, filter.clone()).await.unwrap().items.len(), 3);
    // A page of sales is full though returns lie between, and its cursor is good for sales only.
    let one = OrderFilter { limit: Some(1), ..filter };
    let page = list_sales(&shop.ports, &who, one.clone()).await.unwrap();
    assert_eq!(page.items.len(), 1);
    let next = OrderFilter { cursor: page.next_cursor, ..one };
    assert_eq!(list_sales(&shop.ports, &who, next.clone()).await.unwrap().items.len(), 1);
    assert_eq!(code(list(&shop.ports, &who, next).await), "cursor_malformed");
    assert!(numbers(&database, "s-1/r-1") == [1], "only the void is the till's");
}

/// What was sold is sold, also where the books know of less: that is entered, and somebody is asked.
#[tokio::test]
async fn a_recorded_sale_of_more_than_there_was_stands() {
    let (shop, database) = shop().await;
    let more = json!({"lines": [{"sku": "A", "quantity": 103, "unit_price": "0"}], "payments": []});
    for turn in 0..2 {
        let executed = recorded(&shop, Role::Integration, "k", sale("s", &more)).await.unwrap();
        assert_eq!(executed.replayed, turn == 1);
    }
    assert_eq!(shop.counters(STORE, "A").await.unwrap().on_hand, 0);
    let exceptions = |database: &MemoryDatabase| {
        let mut items = database.items(Table::Stock);
        items.retain(|item| item.opt_text("kind") == Some("oversold_offline"));
        items.iter().map(|item| item.number("quantity").unwrap()).collect::<Vec<_>>()
    };
    assert_eq!(exceptions(&database), [3_000]);
    // Where the goods had left the stock before, nothing is missing.
    let moved = json!({"stock_already_moved": true, "lines": more["lines"].clone(), "payments": []});
    recorded(&shop, Role::Integration, "m", sale("m", &moved)).await.unwrap();
    assert_eq!(exceptions(&database), [3_000]);
}

#[tokio::test]
async fn what_is_no_sale_of_elsewhere_is_refused() {
    let (shop, database) = shop().await;
    recorded(&shop, Role::Integration, "k", sale("s", &json!({}))).await.unwrap();
    placed(&shop, "o", &[("B", 1)], json!([])).await.unwrap();
    let before = snapshot(&database);
    let integration = Role::Integration;
    for (role, key, id, changed, refused) in [
        (Role::StoreManager, "x", "n", json!({}), "role_required"),
        (Role::Cashier, "x", "n", json!({}), "role_required"),
        (integration, "x", "n", json!({"occurred_at": "2026-03-02T09:05:01Z"}), "occurred_at_in_future"),
        (integration, "x", "n", json!({"occurred_at": "2024-03-01T08:59:59Z"}), "occurred_at_too_old"),
        (integration, "x", "n", json!({"receipt_reference": "4111111111111111"}), "card_number_refused"),
        (integration, "x", "n", json!({"receipt_reference": "x".repeat(129)}), "text_too_long"),
        (integration, "x", "n", json!({"register_id": "a b"}), "id_malformed"),
        (integration, "x", "n", json!({"store_id": "s-9"}), "store_not_found"),
        (integration, "x", "n", json!({"lines": []}), "lines_required"),
        (integration, "x", "n", json!({"lines": [{"sku": "C", "quantity": 1}]}), "sku_not_found"),
        (
            integration,
            "x",
            "n",
            json!({"payments": [{"tender": "card", "amount": gbp(398)}]}),
            "recorded_total_differs",
        ),
        (
            integration,
            "x",
            "n",
            json!({"payments": [{"tender": "card", "amount": gbp(402)}]}),
            "recorded_total_differs",
        ),
        (integration, "x", "n", json!({"coupons": ["NONE"]}), "coupon_not_found"),
        (integration, "x", "n", json!({"promotions": ["none"]}), "promotion_not_found"),
        (integration, "x", "s", json!({}), "order_exists"),
        (integration, "x", "o", json!({}), "order_exists"),
        (integration, "k", "s", json!({"channel": "web"}), "idempotency_key_reused"),
    ] {
        let shown = format!("{role:?} {id} {changed}");
        assert_eq!(code(recorded(&shop, role, key, sale(id, &changed)).await), refused, "{shown}");
    }
    assert_eq!(snapshot(&database), before, "a refusal changed something");
    for at in ["2026-03-02T09:05:00Z", "2024-03-01T09:00:00Z"] {
        recorded(&shop, integration, at, sale(&at[..4], &json!({"occurred_at": at}))).await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn twenty_of_the_same_sale_at_once_are_one() {
    let (shop, _) = busy_shop().await;
    let at = shop.ports.environment.now().to_string();
    let tasks: Vec<_> = (0..20)
        .map(|_| {
            let (shop, changed) = (shop.clone(), json!({"occurred_at": at}));
            tokio::spawn(async move { recorded(&shop, Role::Integration, "k", sale("s", &changed)).await })
        })
        .collect();
    let (mut effects, mut numbers) = (0, std::collections::BTreeSet::new());
    for task in tasks {
        let executed = task.await.unwrap().unwrap();
        effects += usize::from(!executed.replayed);
        numbers.insert(executed.cart.finalized.unwrap().number);
    }
    assert_eq!((effects, numbers.len()), (1, 1));
    assert_eq!(shop.counters(STORE, "A").await.unwrap().on_hand, 98_000);
}
