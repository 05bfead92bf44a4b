//! Times that a client makes up: none buys at yesterday's prices, or undoes what a day that is over has counted.

use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};
use tillstream_app::Result;
use tillstream_app::catalog::items::coupon_item;
use tillstream_app::catalog::settings;
use tillstream_app::database::{Database, Item, Table, Write};
use tillstream_app::environment::Environment;
use tillstream_app::pos::execute::{Answered, execute};
use tillstream_app::tenancy::Role;
use tillstream_app::tenant_rules::stored_rules::promotion_item;
use tillstream_testkit::memory_database::MemoryDatabase;
use tillstream_testkit::shop::{STORE, Shop, caller, envelope};
use tillstream_testkit::test_environment::TestEnvironment;

struct World {
    shop: Shop,
    database: Arc<MemoryDatabase>,
    environment: Arc<TestEnvironment>,
}

impl World {
    async fn new() -> World {
        let environment = Arc::new(TestEnvironment::new(5));
        let database = Arc::new(MemoryDatabase::with_environment(environment.clone()));
        let shop = Shop::open(database.clone(), environment.clone()).await.unwrap();
        shop.product(STORE, "A", "2.55", 100).await.unwrap();
        World { shop, database, environment }
    }

    /// A manager's command that says that it happened so many seconds ago.
    async fn said(&self, ago: i64, key: &str, action: &str, payload: Value) -> Result<Answered> {
        let mut sent = envelope(STORE, "r-1", key, action, payload);
        let at = self.environment.now() - jiff::SignedDuration::from_secs(ago);
        sent["occurred_at"] = at.to_string().into();
        execute(&self.shop.ports, &caller("demo", &[Role::StoreManager]), sent).await
    }
}

fn code(answer: Result<Answered>) -> Option<&'static str> {
    answer.err().and_then(|error| error.code())
}

#[tokio::test]
async fn nothing_of_a_cart_is_priced_as_of_before_it_was_opened() {
    let world = World::new().await;
    let hour_ago = world.environment.now() - jiff::SignedDuration::from_hours(1);
    let coupon = serde_json::from_value(json!({"version": 1, "coupon": {"code": "HALF",
        "benefit": {"percentage": {"bps": 5_000}}, "valid_to": hour_ago}}))
    .unwrap();
    let promotion = serde_json::from_value(json!({"id": "over", "version": 1, "name": "over", "priority": 1,
        "automatic": true, "benefit": {"percentage": {"bps": 5_000}}, "conditions": {"valid_to": hour_ago}}))
    .unwrap();
    for item in [
        coupon_item(&world.shop.scope, &coupon).unwrap(),
        promotion_item(&world.shop.scope, &promotion).unwrap(),
    ] {
        world.database.write(Write::Put { table: Table::Catalog, item, condition: None }).await.unwrap();
    }
    world.said(0, "1", "create_cart", json!({"cart_id": "c"})).await.unwrap();
    let line = json!({"cart_id": "c", "sku": "A", "quantity": 2});
    world.said(7_200, "2", "add_line_item", line).await.unwrap();
    let use_it = json!({"cart_id": "c", "coupon_code": "HALF"});
    assert_eq!(code(world.said(7_200, "3", "apply_coupon", use_it).await), Some("coupon_expired"));
    let promo = json!({"cart_id": "c", "promo_id": "over"});
    assert_eq!(code(world.said(7_200, "4", "apply_promo", promo).await), Some("promotion_expired"));
    let ready = world.said(7_200, "5", "set_tendering", json!({"cart_id": "c"})).await.unwrap();
    assert_eq!(ready.reply.cart.unwrap().totals.total.amount, 510);
    // Of a sale that was made then, all of it was.
    world.said(7_200, "6", "create_cart", json!({"cart_id": "d"})).await.unwrap();
    let line = json!({"cart_id": "d", "sku": "A", "quantity": 2});
    world.said(7_190, "7", "add_line_item", line).await.unwrap();
    let ready = world.said(7_180, "8", "set_tendering", json!({"cart_id": "d"})).await.unwrap();
    assert_eq!(ready.reply.cart.unwrap().totals.total.amount, 255);
}

/// By the register's time an old price and a coupon that is over are given, as far back as the tenant allows.
#[tokio::test]
async fn what_has_ended_is_given_within_the_age_that_is_allowed() {
    let world = World::new().await;
    let hour_ago = world.environment.now() - jiff::SignedDuration::from_hours(1);
    let coupon = json!({"version": 1, "coupon": {"code": "HAPPY", "benefit": {"percentage": {"bps": 5_000}},
        "valid_to": hour_ago}});
    let coupon = coupon_item(&world.shop.scope, &serde_json::from_value(coupon).unwrap()).unwrap();
    let dearer =
        json!([{"id": "p", "version": 1, "unit_price": "3", "currency": "GBP", "valid_from": hour_ago}]);
    let prices = Item::new(&world.shop.scope.prices("A"))
        .with("kind", "prices")
        .with("version", 1)
        .with("data", dearer.to_string());
    for item in [coupon, prices] {
        world.database.write(Write::Put { table: Table::Catalog, item, condition: None }).await.unwrap();
    }
    let line = |cart: &str| json!({"cart_id": cart, "sku": "A", "quantity": 2});
    let happy = |cart: &str| json!({"cart_id": cart, "coupon_code": "HAPPY"});
    let total = |answer: Result<Answered>| answer.unwrap().reply.cart.unwrap().totals.total.amount;
    // Any age is allowed at first.
    world.said(7_200, "1", "create_cart", json!({"cart_id": "old"})).await.unwrap();
    assert_eq!(total(world.said(7_200, "2", "add_line_item", line("old")).await), 510);
    assert_eq!(total(world.said(7_200, "3", "apply_coupon", happy("old")).await), 255);

    let minute = serde_json::from_value(json!({"command_age_max_seconds": 60})).unwrap();
    let operator = caller("demo", &[Role::Operator]);
    settings::put(&world.shop.ports, &operator, minute, "s", |_| Ok(())).await.unwrap();
    world.environment.advance(Duration::from_secs(16));
    let before = world.database.items(Table::Orders);
    for (ago, key, action, payload) in [
        (7_200, "4", "create_cart", json!({"cart_id": "new"})),
        (61, "5", "create_cart", json!({"cart_id": "new"})),
        (7_200, "6", "set_tendering", json!({"cart_id": "old"})),
    ] {
        let answer = world.said(ago, key, action, payload).await;
        assert_eq!(code(answer), Some("occurred_at_too_old"), "{action} of {ago} s ago");
    }
    assert_eq!(world.database.items(Table::Orders), before, "what is refused changes nothing");
    world.said(60, "7", "create_cart", json!({"cart_id": "new"})).await.unwrap();
    assert_eq!(total(world.said(60, "8", "add_line_item", line("new")).await), 600);
    assert_eq!(code(world.said(60, "9", "apply_coupon", happy("new")).await), Some("coupon_expired"));
}

#[tokio::test]
async fn a_day_that_is_over_is_not_voided_by_a_made_up_time() {
    let world = World::new().await;
    world.shop.ready("r-1", "c", &[("A", 1)]).await.unwrap();
    world.shop.finalize("r-1", "c").await.unwrap();
    world.environment.advance(Duration::from_secs(86_400));
    let void = json!({"order_id": "c", "reason": "x"});
    assert_eq!(code(world.said(86_400, "v", "void_order", void).await), Some("order_of_another_day"));
}

#[tokio::test]
async fn a_shift_that_is_closed_by_a_clock_that_was_set_back_ends_where_it_began() {
    let world = World::new().await;
    let float = json!({"amount": 100, "currency": "GBP"});
    world.said(60, "1", "open_till", json!({"shift_id": "sh", "amount": float})).await.unwrap();
    let close = json!({"shift_id": "sh", "counted": float});
    let closed = world.said(86_400, "2", "close_till", close).await.unwrap();
    let shift = serde_json::to_value(&closed.reply.result.shift).unwrap();
    assert_eq!(shift["closed_at"], shift["opened_at"]);
    assert!(shift["closed_at"].is_string());
}
