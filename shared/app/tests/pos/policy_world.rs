//! A store whose tenant decides about stock: what the tests of those policies begin with.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use serde_json::json;
use tillstream_app::database::{Database, Table, Write};
use tillstream_app::environment::Environment;
use tillstream_app::stock::standing::standing;
use tillstream_app::stock::{exceptions, update};
use tillstream_app::tenancy::{Caller, Role};
use tillstream_app::tenant_rules::settings_item;
use tillstream_app::{Error, Refusal, Result};
use tillstream_contracts::inventory::{ExceptionQuery, StockException};
use tillstream_domain::stock_policies::{CartStock, StockPolicies, UnsyncedStock};
use tillstream_domain::tenant_settings::TenantSettings;
use tillstream_testkit::memory_database::MemoryDatabase;
use tillstream_testkit::shop::{STORE, Shop, caller};
use tillstream_testkit::test_environment::TestEnvironment;

pub const A: &str = "SKU-A";
/// Nobody has told its stock at the store.
pub const NEW: &str = "NEW";
/// How long carts hold, where they do.
pub const MINUTES: u32 = 30;

#[derive(Clone)]
pub struct World {
    pub shop: Shop,
    pub database: Arc<MemoryDatabase>,
    pub environment: Arc<TestEnvironment>,
}

impl World {
    /// A store with so many of each of `skus`, and none told of `NEW`.
    pub async fn new(seed: u64, skus: &[&str], pieces: i64) -> Self {
        let environment = Arc::new(TestEnvironment::new(seed));
        let database = Arc::new(MemoryDatabase::with_environment(environment.clone()));
        let shop = Shop::open(database.clone(), environment.clone()).await.unwrap();
        for sku in skus {
            shop.product(STORE, sku, "1.00", pieces).await.unwrap();
        }
        shop.product("s-other", NEW, "1.00", 9).await.unwrap();
        World { shop, database, environment }
    }

    /// What the tenant decides.
    pub async fn decide(&self, at_cart: CartStock, unsynced: UnsyncedStock) {
        let stock = StockPolicies { unsynced, at_cart, hold_minutes: MINUTES };
        let settings = TenantSettings { stock, ..TenantSettings::default() };
        let item = settings_item(&self.shop.scope, &settings).unwrap();
        self.database.write(Write::Put { table: Table::Catalog, item, condition: None }).await.unwrap();
        self.forget();
    }

    /// Longer than a process remembers rules.
    pub fn forget(&self) {
        self.environment.advance(Duration::from_secs(16));
    }

    pub async fn count(&self, sku: &str, pieces: i64) {
        let request =
            json!({"location_id": STORE, "sku": sku, "kind": "set", "quantity": pieces, "reason": "c"});
        let request = serde_json::from_value(request).unwrap();
        let key = format!("count-{}", self.environment.random());
        update::update(&self.shop.ports, &manager(), &key, &request, |_| Ok(())).await.unwrap();
    }

    pub async fn tasks(&self) -> Vec<StockException> {
        let query =
            ExceptionQuery { location_id: STORE.into(), status: None, limit: Some(200), cursor: None };
        exceptions::list(&self.shop.ports, &manager(), &query).await.unwrap().items
    }

    /// Hold lines, in pieces by SKU.
    pub fn lines(&self) -> BTreeMap<String, i64> {
        let mut sums = BTreeMap::new();
        for item in self.database.items(Table::Stock) {
            if let (Some(sku), Some(_)) = (item.opt_text("sku"), item.opt_text("reservation_id")) {
                *sums.entry(sku.to_owned()).or_insert(0) += item.number("quantity").unwrap() / 1_000;
            }
        }
        sums
    }

    /// On hand, reserved and available over all parts, in pieces. What is reserved is what is held, and each part is
    /// in order.
    pub async fn pieces(&self, sku: &str) -> (i64, i64, i64) {
        let found = standing(self.database.as_ref(), &self.shop.scope, STORE, sku, 0).await.unwrap();
        let Some(found) = found else { return (0, 0, 0) };
        for part in found.parts() {
            assert_eq!(part.available, part.on_hand - part.reserved - part.safety_stock, "{found:?}");
            assert!(part.reserved >= 0, "{found:?}");
        }
        let total = found.total();
        let held = self.lines().get(sku).copied().unwrap_or(0);
        assert_eq!(total.reserved / 1_000, held, "what is reserved of {sku} is what is held");
        (total.on_hand / 1_000, total.reserved / 1_000, total.available / 1_000)
    }
}

pub fn manager() -> Caller {
    caller("demo", &[Role::StoreManager])
}

pub fn refused<T: std::fmt::Debug>(result: Result<T>) -> Refusal {
    match result {
        Err(Error::Rejected(refusal)) => *refusal,
        other => panic!("not refused: {other:?}"),
    }
}
