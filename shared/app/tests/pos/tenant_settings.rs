//! A tenant's settings: written whole, checked, versioned, each tenant's its own.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::{Value, json};
use tillstream_app::capacity::Operation;
use tillstream_app::catalog::products::PutOutcome;
use tillstream_app::catalog::settings;
use tillstream_app::database::Table;
use tillstream_app::tenancy::Role;
use tillstream_app::tenant_rules::tenant_rules;
use tillstream_app::{Error, Ports, Refusal, RefusalKind, Result};
use tillstream_contracts::settings::SettingsReply;
use tillstream_domain::stock_policies::{CartStock, StockPolicies, UnsyncedStock};
use tillstream_domain::tenant_settings::{OfflineTotals, OfflineUses, TenantSettings};
use tillstream_testkit::faults::{Fault, FaultyDatabase};
use tillstream_testkit::memory_database::MemoryDatabase;
use tillstream_testkit::shop::caller;
use tillstream_testkit::test_environment::TestEnvironment;

fn world() -> (Ports, Arc<MemoryDatabase>) {
    let environment = Arc::new(TestEnvironment::new(3));
    let database = Arc::new(MemoryDatabase::with_environment(environment.clone()));
    (Ports { database: database.clone(), environment }, database)
}

async fn put(ports: &Ports, tenant: &str, key: &str, body: Value) -> Result<PutOutcome<SettingsReply>> {
    let body = serde_json::from_value(body).unwrap();
    settings::put(ports, &caller(tenant, &[Role::Operator]), body, key, |_| Ok(())).await
}

async fn shown(ports: &Ports, tenant: &str) -> Value {
    serde_json::to_value(settings::get(ports, &caller(tenant, &[Role::StoreManager])).await.unwrap()).unwrap()
}

fn rich() -> Value {
    json!({
        "pricing": {"tax_mode": "inclusive", "tax_rounding": "per_order", "cash_increment": 5,
            "cash_increments": {"CHF": 10}},
        "approvals": {
            "price_override": false,
            "manual_discount": {"required": true, "above_bps": 1_000, "above_amount": 500},
            "blind_return": false,
            "void_order": false,
            "paid_in": {"required": true, "above_amount": null},
            "paid_out": {"required": true, "above_amount": 5_000},
            "no_sale": true,
            "count_variance": {"required": true, "above_amount": 2_500},
            "pending_seconds": 60,
            "granted_seconds": 30,
        },
        "command_age_max_seconds": 86_400,
        "stored_value": {"gift_card": true, "account": true},
        "sale_needs_open_shift": true,
        "offline_uses_above_limit": "refuse",
        "offline_total_below_lines": "refuse",
        "backorders": {"allowed": true, "hold_seconds": 3_600, "locations": {"w-hull": false}},
        "stock": {"unsynced": "allow", "at_cart": "hold", "hold_minutes": 45},
    })
}

#[tokio::test]
async fn what_is_written_is_in_force_and_what_is_left_out_is_as_before() {
    let (ports, _) = world();
    let without = shown(&ports, "demo").await;
    assert_eq!((&without["version"], &without["approvals"]["price_override"]), (&json!(0), &json!(true)));
    assert_eq!(
        without["approvals"]["manual_discount"],
        json!({"required": true, "above_bps": null, "above_amount": null})
    );
    let written = put(&ports, "demo", "k", rich()).await.unwrap();
    assert!(!written.replayed && !written.created);
    let mut expected = rich();
    expected["version"] = 1.into();
    assert_eq!(shown(&ports, "demo").await, expected);
    assert_eq!(shown(&ports, "other").await, without, "another tenant's are its own");
    let now = ports.environment.now();
    let rules = tenant_rules(&ports, &caller("demo", &[]).scope, now).await.unwrap();
    assert_eq!(rules.settings.command_age_max_seconds, Some(86_400));
    assert!(rules.settings.sale_needs_open_shift && rules.settings.approvals.no_sale);
    assert_eq!(without["offline_uses_above_limit"], json!("allow"));
    assert_eq!(rules.settings.offline_uses_above_limit, OfflineUses::Refuse);
    assert_eq!(without["offline_total_below_lines"], json!("accept"));
    assert_eq!(rules.settings.offline_total_below_lines, OfflineTotals::Refuse);
    assert_eq!(without["stock"], json!({"unsynced": "refuse", "at_cart": "none", "hold_minutes": 30}));
    let policies =
        StockPolicies { unsynced: UnsyncedStock::Allow, at_cart: CartStock::Hold, hold_minutes: 45 };
    assert_eq!((rules.settings.stock, rules.stock_policies("s-1")), (policies, policies));
    assert!(rules.settings.stored_value.gift_card && rules.settings.stored_value.account);
    assert_eq!(rules.settings.approvals.paid_out.above_amount, Some(5_000));
    assert_eq!(rules.settings.approvals.count_variance.above_amount, Some(2_500));
    assert_eq!(without["backorders"], json!({"allowed": false, "hold_seconds": 259_200}));
    let backorders = &rules.settings.backorders;
    assert_eq!((backorders.allows("s-york"), backorders.allows("w-hull")), (true, false));
    assert_eq!(backorders.hold_seconds, 3_600);

    let again = put(&ports, "demo", "k", rich()).await.unwrap();
    assert!(again.replayed);
    let reused = put(&ports, "demo", "k", json!({})).await;
    assert_eq!(reused.unwrap_err().code(), Some("idempotency_key_reused"));
    let back = put(&ports, "demo", "k2", json!({})).await.unwrap();
    let mut expected = without;
    expected["version"] = 2.into();
    assert_eq!(serde_json::to_value(back.now).unwrap(), expected);
    assert!(put(&ports, "demo", "k", rich()).await.unwrap().replayed, "an older key is known still");
}

#[tokio::test]
async fn every_bound_is_checked_and_told() {
    let (ports, database) = world();
    let discount = |rule: Value| json!({"approvals": {"manual_discount": rule}});
    for (body, field) in [
        (discount(json!({"required": true, "above_bps": 10_001})), "approvals.manual_discount.above_bps"),
        (discount(json!({"required": true, "above_amount": -1})), "approvals.manual_discount.above_amount"),
        (
            discount(json!({"required": true, "above_amount": 1_000_000_000_001_i64})),
            "approvals.manual_discount.above_amount",
        ),
        (
            json!({"approvals": {"paid_in": {"required": true, "above_amount": -1}}}),
            "approvals.paid_in.above_amount",
        ),
        (
            json!({"approvals": {"paid_out": {"required": true, "above_amount": -1}}}),
            "approvals.paid_out.above_amount",
        ),
        (
            json!({"approvals": {"count_variance": {"required": true, "above_amount": -1}}}),
            "approvals.count_variance.above_amount",
        ),
        (json!({"approvals": {"pending_seconds": 29}}), "approvals.pending_seconds"),
        (json!({"approvals": {"pending_seconds": 86_401}}), "approvals.pending_seconds"),
        (json!({"approvals": {"granted_seconds": 29}}), "approvals.granted_seconds"),
        (json!({"approvals": {"granted_seconds": 86_401}}), "approvals.granted_seconds"),
        (json!({"command_age_max_seconds": 59}), "command_age_max_seconds"),
        (json!({"command_age_max_seconds": 63_072_001}), "command_age_max_seconds"),
        (
            json!({"pricing": {"tax_mode": "exclusive", "tax_rounding": "per_line", "cash_increment": 10_001}}),
            "pricing.cash_increment",
        ),
        (
            json!({"pricing": {"tax_mode": "exclusive", "tax_rounding": "per_line",
                "cash_increments": {"CHF": 5, "GBP": 10_001}}}),
            "pricing.cash_increments.GBP",
        ),
        (json!({"stock": {"hold_minutes": 0}}), "stock.hold_minutes"),
        (json!({"stock": {"hold_minutes": 1_441}}), "stock.hold_minutes"),
        (json!({"backorders": {"hold_seconds": 59}}), "backorders.hold_seconds"),
        (json!({"backorders": {"hold_seconds": 2_592_001}}), "backorders.hold_seconds"),
        (json!({"backorders": {"locations": {"w/hull": true}}}), "backorders.locations"),
        (
            json!({"backorders": {"locations": (0..501).map(|n| (format!("w-{n}"), true)).collect::<BTreeMap<_, _>>()}}),
            "backorders.locations",
        ),
    ] {
        match put(&ports, "demo", "k", body).await {
            Err(Error::Rejected(refusal)) => {
                assert_eq!(refusal.code, "field_invalid");
                assert_eq!(refusal.errors.iter().map(|e| e.field.as_str()).collect::<Vec<_>>(), [field]);
            }
            other => panic!("{field}: {other:?}"),
        }
    }
    assert!(database.items(Table::Catalog).is_empty());
    for (n, body) in [
        discount(json!({"required": true, "above_bps": 10_000, "above_amount": 1_000_000_000_000_i64})),
        json!({"approvals": {"pending_seconds": 30, "granted_seconds": 86_400}}),
        json!({"command_age_max_seconds": 60}),
        json!({"command_age_max_seconds": 63_072_000}),
        json!({"backorders": {"hold_seconds": 60}}),
        json!({"backorders": {"hold_seconds": 2_592_000, "locations": {"w-hull": true}}}),
    ]
    .into_iter()
    .enumerate()
    {
        put(&ports, "demo", &format!("ok-{n}"), body.clone()).await.unwrap_or_else(|e| panic!("{body}: {e}"));
    }
}

#[tokio::test]
async fn only_who_may_reads_and_writes_and_only_the_version_they_read() {
    let (ports, _) = world();
    for role in [Role::Cashier, Role::StoreManager, Role::Integration, Role::Analyst, Role::WarehouseStaff] {
        let body = serde_json::from_value(json!({})).unwrap();
        let refused = settings::put(&ports, &caller("demo", &[role]), body, "k", |_| Ok(())).await;
        assert_eq!(refused.unwrap_err().code(), Some("role_required"), "{role:?}");
        let read = settings::get(&ports, &caller("demo", &[role])).await;
        let expected = (role != Role::StoreManager).then_some("role_required");
        assert_eq!(read.err().and_then(|error| error.code()), expected, "{role:?}");
    }
    let operator = caller("demo", &[Role::Operator]);
    settings::get(&ports, &operator).await.unwrap();
    let only = |wanted: u64| {
        move |current: u64| match current == wanted {
            true => Ok(()),
            false => Err(Refusal::new(RefusalKind::PreconditionFailed, "version_mismatch", "another")),
        }
    };
    let body = || serde_json::from_value(json!({})).unwrap();
    settings::put(&ports, &operator, body(), "a", only(0)).await.unwrap();
    let stale = settings::put(&ports, &operator, body(), "b", only(0)).await;
    assert_eq!(stale.unwrap_err().code(), Some("version_mismatch"));
    settings::put(&ports, &operator, body(), "b", only(1)).await.unwrap();
    // A repetition is answered whatever the version is by now.
    assert!(settings::put(&ports, &operator, body(), "a", only(0)).await.unwrap().replayed);
}

#[tokio::test]
async fn one_fault_is_outlived() {
    for operation in [Operation::Get, Operation::Write] {
        for fault in [Fault::Throttled, Fault::Conflict, Fault::TimedOutBefore, Fault::AnswerLost] {
            let (ports, database) = world();
            let faulty = Arc::new(FaultyDatabase::new(database));
            faulty.script(operation, [Some(fault)]);
            let broken = Ports { database: faulty.clone(), environment: ports.environment.clone() };
            match put(&broken, "demo", "k", rich()).await {
                Ok(outcome) => assert!(!outcome.replayed, "{fault:?} at {operation:?}"),
                Err(Error::Retryable { .. }) => {}
                Err(error) => panic!("{fault:?} at {operation:?}: {error}"),
            }
            assert!(!faulty.injected().is_empty());
            assert_eq!(put(&ports, "demo", "k", rich()).await.unwrap().now.version, 1);
        }
    }
}

/// Settings that were stored before a field was known are read as without it.
#[test]
fn older_settings_are_read() {
    let older: TenantSettings = serde_json::from_value(json!({"sale_needs_open_shift": true})).unwrap();
    assert_eq!(older, TenantSettings { sale_needs_open_shift: true, ..TenantSettings::default() });
}
