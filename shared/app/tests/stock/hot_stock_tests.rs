//! What a process remembers of split stock: hints, for moments.

use std::sync::Arc;

use tillstream_app::Ports;
use tillstream_app::catalog::items::product_item;
use tillstream_app::database::{Database, Table, Write};
use tillstream_app::environment::Environment;
use tillstream_app::stock::hot_stock::HotStock;
use tillstream_app::stock::reservations;
use tillstream_app::stock::reserve::reserve;
use tillstream_domain::kit::KitComponent;
use tillstream_domain::product::Product;
use tillstream_domain::quantity::QuantityInput;
use tillstream_testkit::test_environment::TestEnvironment;

use crate::fixture::{Fixture, SKUS, product, put, refusal, request};

const SHOP: &str = "s-leeds";
const A: &str = SKUS[0];

/// A process that remembers split stock.
struct Remembering {
    clock: Arc<TestEnvironment>,
    hot_stock: HotStock,
}

#[async_trait::async_trait]
impl Environment for Remembering {
    fn now(&self) -> jiff::Timestamp {
        self.clock.now()
    }
    fn random(&self) -> u64 {
        self.clock.random()
    }
    async fn sleep(&self, time: std::time::Duration) {
        self.clock.sleep(time).await;
    }
    fn hot_stock(&self) -> Option<&HotStock> {
        Some(&self.hot_stock)
    }
}

#[tokio::test]
async fn what_a_process_remembers_is_a_hint() {
    let fixture = Fixture::new(50).await;
    fixture.count(SHOP, A, 48).await;
    let environment =
        Arc::new(Remembering { clock: fixture.environment.clone(), hot_stock: HotStock::default() });
    let ports = Ports { database: fixture.memory.clone(), environment: environment.clone() };
    let remembered = || environment.hot_stock.layout(fixture.scope(), SHOP, A);
    let hold = |key: &'static str, pieces| {
        let (ports, caller) = (&ports, &fixture.caller);
        async move { reserve(ports, caller, key, &request(&[(SHOP, A, pieces)], 900)).await }
    };
    hold("a", 1).await.unwrap();
    assert_eq!(remembered(), 0, "nothing of whole stock");
    fixture.split(8).await;
    hold("b", 1).await.unwrap();
    assert_eq!(remembered(), 108);
    // Another layout with as many parts, one with fewer, and none.
    fixture.merge().await;
    fixture.split(8).await;
    hold("c", 1).await.unwrap();
    fixture.merge().await;
    fixture.split(2).await;
    for key in ["d", "e", "f", "g", "h", "i"] {
        hold(key, 1).await.unwrap();
    }
    assert_eq!(remembered(), 302);
    fixture.check().await;
    fixture.merge().await;
    hold("j", 1).await.unwrap();
    assert_eq!(remembered(), 0);
    // Parts that were empty are left alone while others have any, and found again when they have.
    fixture.split(8).await;
    let most = hold("k", 36).await.unwrap().reservation.reservation_id;
    assert!(environment.hot_stock.empty_parts(fixture.scope(), SHOP, A) == 0, "they had some when seen");
    for key in ["l", "m"] {
        hold(key, 1).await.unwrap();
    }
    assert_eq!(refusal(hold("n", 1).await.unwrap_err()).code, "insufficient_stock");
    reservations::release(&ports, &fixture.caller, "r", &most).await.unwrap();
    hold("o", 36).await.unwrap();
    assert_eq!(fixture.pieces().await, (48, 48, 0));
    fixture.check().await;
}

#[tokio::test]
async fn of_the_catalogue_only_moments_are_remembered_and_only_of_split_stock() {
    let fixture = Fixture::new(51).await;
    let environment =
        Arc::new(Remembering { clock: fixture.environment.clone(), hot_stock: HotStock::default() });
    let ports = Ports { database: fixture.memory.clone(), environment };
    for sku in [A, SKUS[1]] {
        fixture.count(SHOP, sku, 48).await;
    }
    fixture.split(8).await;
    let hold = |key: &'static str, sku| {
        let (ports, caller) = (&ports, &fixture.caller);
        async move { reserve(ports, caller, key, &request(&[(SHOP, sku, 1)], 900)).await }
    };
    hold("a", A).await.unwrap();
    hold("b", SKUS[1]).await.unwrap();
    // Both products go.
    for sku in [A, SKUS[1]] {
        let key = fixture.scope().product(sku);
        let delete = Write::Delete { table: Table::Catalog, key, condition: None };
        fixture.memory.write(delete).await.unwrap();
    }
    assert_eq!(refusal(hold("c", SKUS[1]).await.unwrap_err()).errors[0].code, "sku_unknown");
    fixture.pass(4);
    hold("d", A).await.unwrap();
    fixture.pass(1);
    assert_eq!(refusal(hold("e", A).await.unwrap_err()).errors[0].code, "sku_unknown");
}

/// A process that has just held a component for a kit has not asked whether that is sold by itself.
#[tokio::test]
async fn what_is_held_for_kits_says_nothing_of_the_component_by_itself() {
    let fixture = Fixture::new(51).await;
    let component = Product { sellable: false, ..product(A) };
    let parts = vec![KitComponent { sku: A.into(), quantity: QuantityInput::Whole(1) }];
    let kit = Product { components: parts, ..product("KIT") };
    for product in [component, kit] {
        put(&fixture.memory, Table::Catalog, product_item(fixture.scope(), &product).unwrap()).await;
    }
    fixture.count(SHOP, A, 40).await;
    fixture.split(4).await;
    let environment =
        Arc::new(Remembering { clock: fixture.environment.clone(), hot_stock: HotStock::default() });
    let ports = Ports { database: fixture.memory.clone(), environment: environment.clone() };
    for key in ["a", "b"] {
        reserve(&ports, &fixture.caller, key, &request(&[(SHOP, "KIT", 1)], 900)).await.unwrap();
        let alone = reserve(&ports, &fixture.caller, "alone", &request(&[(SHOP, A, 1)], 900)).await;
        assert_eq!(refusal(alone.unwrap_err()).code, "variant_required");
    }
    assert_ne!(environment.hot_stock.layout(fixture.scope(), SHOP, A), 0, "its parts are remembered");
}
