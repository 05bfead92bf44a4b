//! The sample events of the till, of orders, of stock and of the catalogue, one after the other in the order of a day,
//! which is that of `events/order.txt`: each finds what the ones before have left and does its work, and sent again does
//! nothing more.
#![allow(clippy::unwrap_used, clippy::panic, missing_docs, reason = "a test that cannot go on fails")]

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::to_bytes;
use serde_json::{Value, json};
use tillstream_app::Ports;
use tillstream_app::catalog::items::{coupon_item, location_item};
use tillstream_app::database::{Database, Item, Table, Write};
use tillstream_app::environment::Environment;
use tillstream_app::tenant_rules::settings_item;
use tillstream_domain::coupon::CouponDefinition;
use tillstream_domain::location::Location;
use tillstream_domain::product::Product;
use tillstream_domain::quantity::Unit;
use tillstream_domain::tenant_settings::{BackorderSettings, StoredValueSettings, TenantSettings};
use tillstream_runtime::auth::Authenticator;
use tillstream_runtime::http::request_of;
use tillstream_testkit::memory_database::MemoryDatabase;
use tillstream_testkit::shop::Shop;
use tillstream_testkit::test_environment::TestEnvironment;
use tillstream_testkit::tokens::{AUDIENCE, Claims, ISSUER, TokenIssuer};
use tower::ServiceExt;

/// The store of the samples.
const STORE: &str = "s-uk-1";
/// What is sold in them.
const SKU: &str = "85123A";

const FUNCTIONS: [&str; 4] = ["pos-commands", "orders", "inventory", "catalog"];

/// The status of a sample's answer, and what stands where in its body.
type Scene = (u16, &'static str, fn() -> Value);

/// The day, in any order. Amounts: 6 at 2.55 and 6 at 1.99 are 27.24, of which a gift card pays 15.00 and cash the
/// rest.
fn story() -> BTreeMap<&'static str, Scene> {
    let scenes: Vec<(&'static str, Scene)> = vec![
        ("inventory/update", (200, "/on_hand", || json!(60))),
        ("inventory/get", (200, "/available", || json!(60))),
        ("pos-commands/open-till", (200, "/result/shift/opening_float/amount", || json!(10_000))),
        ("pos-commands/issue-stored-value", (201, "/balance/amount", || json!(5_000))),
        ("pos-commands/top-up-stored-value", (200, "/balance/amount", || json!(6_000))),
        ("pos-commands/create-cart", (200, "/result/cart_id", || json!("c-1"))),
        ("pos-commands/add-line-item", (200, "/result/line_id", || json!("l-1"))),
        ("pos-commands/duplicate", (200, "/result/line_id", || json!("l-1"))),
        ("pos-commands/poison", (400, "/code", || json!("json_malformed"))),
        ("pos-commands/park-cart", (200, "/cart/state", || json!("parked"))),
        ("pos-commands/list-parked-carts", (200, "/result/parked_carts/0/cart_id", || json!("c-1"))),
        ("pos-commands/recall-cart", (200, "/cart/state", || json!("open"))),
        ("pos-commands/ask-for-approval", (201, "/status", || json!("pending"))),
        ("pos-commands/list-approvals", (200, "/items/0/approval_id", || json!("ap-1"))),
        ("pos-commands/grant-approval", (200, "/status", || json!("granted"))),
        ("pos-commands/use-approval", (200, "/result/line_id", || json!("l-2"))),
        ("pos-commands/set-tendering", (200, "/cart/totals/due/amount", || json!(2_724))),
        ("pos-commands/pay-by-gift-card", (200, "/cart/totals/due/amount", || json!(1_224))),
        ("pos-commands/pay-in-cash", (200, "/result/change/amount", || json!(776))),
        ("pos-commands/finalize-order", (200, "/result/receipt_number", || json!(1))),
        ("pos-commands/get-stored-value", (200, "/balance/amount", || json!(4_500))),
        ("pos-commands/list-stored-value-movements", (200, "/items/0/order_id", || json!("c-1"))),
        ("pos-commands/block-stored-value", (200, "/status", || json!("blocked"))),
        ("orders/get", (200, "/id", || json!("c-1"))),
        ("orders/documents", (200, "/items/0/document_id", || json!("c-1.receipt"))),
        ("orders/document", (200, "", || Value::Null)),
        // Of two carts: one is sold, the other rung up.
        ("pos-commands/offline-batch", (200, "/outcomes/4/body/result/receipt_number", || json!(2))),
        ("pos-commands/start-return", (200, "/result/return_id", || json!("ret-1"))),
        ("pos-commands/return-line-item", (200, "/cart/totals/total/amount", || json!(255))),
        ("pos-commands/finalize-exchange", (200, "/result/receipt_number", || json!(4))),
        ("pos-commands/void-order", (200, "/result/receipt_number", || json!(5))),
        ("pos-commands/paid-out", (200, "/result/shift/cash_expected/amount", || json!(9_974))),
        ("pos-commands/x-report", (200, "/result/shift/report/sales_count", || json!(3))),
        ("pos-commands/close-till", (200, "/result/shift/report/cash_difference/amount", || json!(1))),
        ("orders/shift", (200, "/report/returns_count", || json!(2))),
        ("orders/place", (201, "/order/status", || json!("paid"))),
        ("orders/update", (200, "/order/status", || json!("allocated"))),
        ("orders/record-sale", (201, "/order/status", || json!("completed"))),
        ("orders/list", (200, "/items/2/store_id", || json!(STORE))),
        ("inventory/reserve", (201, "/reservation_id", || json!("v-1"))),
        ("inventory/commit-part", (200, "/lines/0/committed", || json!(4))),
        ("inventory/ship-transfer", (201, "/status", || json!("in_transit"))),
        ("inventory/receive-transfer", (200, "/status", || json!("partly_received"))),
        ("inventory/get-transfer", (200, "/lines/0/damaged", || json!(1))),
        // The warehouse comes first, and has what came back to it.
        (
            "inventory/reserve-sourced",
            (
                201,
                "/lines",
                || json!([{"location_id": "w-midlands", "sku": SKU, "quantity": 2, "committed": 0}]),
            ),
        ),
        // A reader that says nothing is told where to begin.
        ("inventory/changes", (200, "/items", || json!([]))),
        // Two at 2.55 with ten per cent off.
        ("orders/place-with-coupon", (201, "/order/totals/total/amount", || json!(459))),
        // The same less a tenth, and less 0.59.
        ("orders/place-with-discounts", (201, "/order/totals/total/amount", || json!(400))),
        ("inventory/count-open", (201, "/uncounted_lines", || json!(1))),
        ("inventory/count-record", (200, "/lines/0/counted", || json!(58))),
        ("inventory/create-supplier", (201, "/lead_time_days", || json!(7))),
        ("inventory/order-goods", (201, "/status", || json!("ordered"))),
        ("inventory/receive-goods", (200, "/status", || json!("partly_received"))),
        ("inventory/restock", (200, "/change", || json!(6))),
        ("catalog/put-settings", (200, "/command_age_max_seconds", || json!(604_800))),
        ("catalog/get-settings", (200, "/approvals/no_sale", || json!(true))),
        ("catalog/put", (200, "/barcodes/0", || json!("4006381333931"))),
        ("catalog/get", (200, "/sku", || json!("BANK CHARGES"))),
        ("catalog/list", (200, "/items/0/sku", || json!(SKU))),
        // Two of the light holders and an eighth of the kilogram of tea.
        ("catalog/put-kit", (201, "/components/1/quantity", || json!("0.125"))),
        ("inventory/get-kit", (200, "/available", || json!(8))),
        ("orders/place-kit", (201, "/order/lines/0/components/1/quantity", || json!("0.25"))),
        // More than there is: it waits, and is to be ordered.
        ("inventory/place-backorder", (201, "/status", || json!("waiting"))),
        ("inventory/list-backorders", (200, "/items/0/number", || json!(1))),
        ("inventory/suggestions", (200, "/items/0/backordered", || json!(200))),
        // Nothing of it was on a day that is closed, and no stream brings the ledger anything here.
        ("inventory/turnover", (200, "/items/0/sold", || json!(0))),
        ("inventory/cancel-backorder", (200, "/status", || json!("cancelled"))),
        // Nothing has a reorder point, so nobody is told that it is low.
        ("inventory/alerts", (200, "/items", || json!([]))),
        // Nothing is kept by lots.
        ("inventory/lots", (200, "/items", || json!([]))),
        ("inventory/quarantine-here", (404, "/code", || json!("lot_not_found"))),
    ];
    scenes.into_iter().collect()
}

fn events() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../events")
}

/// The samples of all functions, in their order.
fn in_order() -> Vec<String> {
    let told = std::fs::read_to_string(events().join("order.txt")).unwrap();
    let lines = told.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#'));
    lines.map(str::to_owned).collect()
}

struct World {
    routers: BTreeMap<&'static str, Router>,
    issuer: TokenIssuer,
    environment: Arc<TestEnvironment>,
    database: Arc<MemoryDatabase>,
}

impl World {
    async fn new() -> World {
        let environment = Arc::new(TestEnvironment::new(1));
        let database = Arc::new(MemoryDatabase::with_environment(environment.clone()));
        let issuer = TokenIssuer::new("k").unwrap();
        database.write(TokenIssuer::publish(&[&issuer])).await.unwrap();
        let shop = Shop::open(database.clone(), environment.clone()).await.unwrap();
        shop.store(STORE).await.unwrap();
        shop.product(STORE, SKU, "2.55", 10).await.unwrap();
        shop.product(STORE, "ASSAM LOOSE", "40", 1).await.unwrap();
        shop.put_product(&Product { unit: Unit::Kg, ..Shop::plain("ASSAM LOOSE", "40").unwrap() })
            .await
            .unwrap();
        shop.put_product(&Shop::plain("BANK CHARGES", "15").unwrap()).await.unwrap();
        let warehouse: Location = serde_json::from_value(json!({"id": "w-midlands", "kind": "warehouse",
            "name": "Midlands", "time_zone": "Europe/London", "currency": "GBP", "business_day_start": "00:00",
            "region": null, "address": null, "capacity": null, "hours": null, "registers": [], "version": 1}))
        .unwrap();
        let stored_value = StoredValueSettings { gift_card: true, account: true };
        let backorders = BackorderSettings { allowed: true, ..BackorderSettings::default() };
        let settings = TenantSettings { stored_value, backorders, ..TenantSettings::default() };
        let coupon: CouponDefinition = serde_json::from_value(json!({"version": 1,
            "coupon": {"code": "ONLINE-10", "benefit": {"percentage": {"bps": 1_000}}}}))
        .unwrap();
        for item in [
            location_item(&shop.scope, &warehouse).unwrap(),
            settings_item(&shop.scope, &settings).unwrap().with("version", 1),
            coupon_item(&shop.scope, &coupon).unwrap(),
        ] {
            database.write(Write::Put { table: Table::Catalog, item, condition: None }).await.unwrap();
        }
        let ports = || Ports { database: database.clone(), environment: environment.clone() };
        let auth = Arc::new(Authenticator::new(database.clone(), environment.clone(), ISSUER, AUDIENCE));
        let routers = BTreeMap::from([
            ("pos-commands", pos_commands::router(pos_commands::Services { ports: ports() }, auth.clone())),
            ("orders", orders::router(orders::Services { ports: ports() }, auth.clone())),
            ("inventory", inventory::router(inventory::Services { ports: ports() }, auth.clone())),
            ("catalog", catalog::router(catalog::Services { ports: ports() }, auth)),
        ]);
        World { routers, issuer, environment, database }
    }

    /// Sends a sample as who it says: status, whether it repeats what was done before, and body.
    async fn send(&self, sample: &str) -> (u16, bool, Value) {
        let (function, _) = sample.split_once('/').unwrap();
        let event = std::fs::read_to_string(events().join(format!("{sample}.json"))).unwrap();
        let mut request = request_of(lambda_http::request::from_str(&event).unwrap());
        let wanted = request.headers()["authorization"].to_str().unwrap();
        let role = wanted.split("ROLE=").nth(1).and_then(|rest| rest.split('>').next()).unwrap();
        let claims = Claims::new("demo", &[role], self.environment.now()).with("sub", role);
        let token = format!("Bearer {}", self.issuer.token(&claims).unwrap());
        request.headers_mut().insert("authorization", token.parse().unwrap());
        let (parts, body) = self.routers[function].clone().oneshot(request).await.unwrap().into_parts();
        let bytes = to_bytes(body, usize::MAX).await.unwrap();
        let replayed = parts.headers.contains_key("idempotent-replayed");
        (parts.status.as_u16(), replayed, serde_json::from_slice(&bytes).unwrap_or_default())
    }

    fn held(&self) -> Vec<(Table, Vec<Item>)> {
        Table::ALL.into_iter().map(|table| (table, self.database.items(table))).collect()
    }
}

#[tokio::test]
async fn every_sample_finds_what_it_needs_and_takes_effect_once() {
    let world = World::new().await;
    let story = story();
    for sample in in_order() {
        let sample = sample.as_str();
        let Some((status, place, expected)) = story.get(sample).copied() else { continue };
        world.environment.advance(Duration::from_secs(1));
        let before = world.held();
        let (got, replayed, body) = world.send(sample).await;
        assert_eq!(got, status, "{sample}: {body}");
        // The first of the two that are the same took effect.
        assert_eq!(replayed, sample == "pos-commands/duplicate", "{sample}");
        let found = body.pointer(place).unwrap_or(&Value::Null);
        assert_eq!(*found, expected(), "{sample} at {place}: {body}");
        let after = world.held();
        let (again, replayed, _) = world.send(sample).await;
        assert_eq!(again, status, "{sample}, sent again");
        assert_eq!(world.held(), after, "{sample} had an effect twice");
        // What changed something says so when it is repeated; of a batch its outcomes do, and what is only read has no
        // key.
        if !["pos-commands/offline-batch", "inventory/changes"].contains(&sample) {
            assert_eq!(replayed, after != before || sample == "pos-commands/duplicate", "{sample}");
        }
    }
}

/// A sample that nobody told a place would be one that nobody knows to work; one that is told twice, or is not there,
/// ends `make events`.
#[test]
fn every_sample_has_its_place() {
    let mut there = BTreeSet::new();
    for function in std::fs::read_dir(events()).unwrap().map(|entry| entry.unwrap().path()) {
        if !function.is_dir() {
            continue;
        }
        for file in std::fs::read_dir(&function).unwrap() {
            let path = file.unwrap().path();
            let name = |path: &Path| path.file_stem().unwrap().to_str().unwrap().to_owned();
            there.insert(format!("{}/{}", name(&function), name(&path)));
        }
    }
    let in_order = in_order();
    assert_eq!(in_order.iter().cloned().collect::<BTreeSet<_>>(), there);
    assert_eq!(in_order.len(), there.len(), "each once");
    let is_told = |sample: &&String| FUNCTIONS.iter().any(|own| sample.split('/').next() == Some(own));
    let of_the_day: BTreeSet<&str> = in_order.iter().filter(is_told).map(String::as_str).collect();
    assert_eq!(story().into_keys().collect::<BTreeSet<_>>(), of_the_day);
}
