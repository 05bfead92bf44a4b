//! Reservations at locations whose stock nobody has told yet: refused or allowed, by tenant and by location.

use std::sync::Arc;

use futures::future::join_all;
use serde_json::{Value, json};
use tillstream_app::Error;
use tillstream_app::catalog::locations;
use tillstream_app::database::Table;
use tillstream_app::stock::{conservation, counts, exceptions, reservations};
use tillstream_app::tenant_rules::settings_item;
use tillstream_contracts::counts::{
    CloseCountRequest, CountedLineRequest, OpenCountRequest, RecordCountRequest,
};
use tillstream_contracts::inventory::{ExceptionKind, ExceptionQuery, ReserveRequest, StockException};
use tillstream_domain::quantity::QuantityInput;
use tillstream_domain::stock_policies::{StockPolicies, UnsyncedStock};
use tillstream_domain::tenant_settings::TenantSettings;

use crate::fixture::{Fault, Fixture, SKUS, put, refusal, request};
use crate::long_reservation_tests::sku;

const A: &str = SKUS[0];
const B: &str = SKUS[1];
/// A store of which nobody has told any stock.
const NEW: &str = "s-new";

impl Fixture {
    async fn decide(&self, unsynced: UnsyncedStock) {
        let stock = StockPolicies { unsynced, ..StockPolicies::default() };
        let settings = TenantSettings { stock, ..TenantSettings::default() };
        put(&self.memory, Table::Catalog, settings_item(self.scope(), &settings).unwrap()).await;
    }

    /// Opens a store that decides so of its own.
    async fn open_store(&self, own: Option<&str>) {
        let mut body = json!({"id": NEW, "kind": "store", "name": NEW, "time_zone": "Europe/London",
            "currency": "GBP"});
        if let Some(own) = own {
            body["stock"] = json!({"unsynced": own});
        }
        let body = serde_json::from_value(body).unwrap();
        locations::create(&self.ports, &self.caller, body, "open").await.unwrap();
    }

    async fn tasks(&self) -> Vec<StockException> {
        let query = ExceptionQuery { location_id: NEW.into(), status: None, limit: Some(200), cursor: None };
        exceptions::list(&self.ports, &self.caller, &query).await.unwrap().items
    }

    /// On hand, reserved and available in pieces.
    async fn at_new(&self, sku: &str) -> (i64, i64, i64) {
        let stock = self.stock(NEW, sku).await;
        (stock.on_hand / 1_000, stock.reserved / 1_000, stock.available / 1_000)
    }

    /// The ledger adds up, and what was entered is what somebody was asked about.
    async fn entered_is_told(&self, sku: &str) {
        self.relay(|_| true).await;
        let proof = conservation::prove(&self.ports, &self.caller, NEW, sku).await.unwrap();
        assert!(proof.holds && proof.seq_reached == proof.seq_current, "{proof:?}");
        let rows = self.memory.items(Table::Ledger);
        let of_it = rows
            .iter()
            .filter(|row| row.opt_text("kind") == Some("discrepancy") && row.opt_text("sku") == Some(sku));
        let entered: i64 = of_it.map(|row| row.number("delta_on_hand").unwrap() / 1_000).sum();
        let tasks = self.tasks().await;
        let told =
            tasks.iter().filter(|task| task.sku.as_deref() == Some(sku)).map(|task| match task.quantity {
                QuantityInput::Whole(pieces) => pieces,
                QuantityInput::Decimal(_) => panic!("{task:?}"),
            });
        assert_eq!(entered, told.sum::<i64>());
        self.check_invariants();
    }
}

fn of(pieces: i64) -> ReserveRequest {
    request(&[(NEW, A, pieces)], 600)
}

#[tokio::test]
async fn tenant_and_location_decide_whether_it_is_held() {
    for (tenant, own, allowed) in [
        (None, None, false),
        (Some(UnsyncedStock::Refuse), None, false),
        (Some(UnsyncedStock::Allow), None, true),
        (Some(UnsyncedStock::Refuse), Some("allow"), true),
        (None, Some("allow"), true),
        (Some(UnsyncedStock::Allow), Some("refuse"), false),
        (Some(UnsyncedStock::Allow), Some("allow"), true),
        (Some(UnsyncedStock::Refuse), Some("refuse"), false),
    ] {
        let label = format!("{tenant:?} {own:?}");
        let fixture = Fixture::new(1).await;
        fixture.open_store(own).await;
        if let Some(tenant) = tenant {
            fixture.decide(tenant).await;
        }
        let made = fixture.reserve("k", &of(3)).await;
        if !allowed {
            let refused = refusal(made.unwrap_err());
            assert_eq!(
                (refused.code, &refused.extra["lines"][0]["available"]),
                ("insufficient_stock", &json!(0))
            );
            assert!(fixture.memory.items(Table::Stock).is_empty(), "{label}");
            continue;
        }
        let made = made.unwrap();
        assert!(!made.replayed, "{label}");
        assert_eq!(fixture.at_new(A).await, (3, 3, 0), "{label}");
        let task = fixture.tasks().await.remove(0);
        let id = made.reservation.reservation_id.as_str();
        assert_eq!((task.kind, task.reference.as_str()), (ExceptionKind::UnsyncedStock, id), "{label}");
        assert_eq!((task.order_id, task.register_id), (None, None));
        assert_eq!((task.quantity, task.sku.as_deref()), (QuantityInput::Whole(3), Some(A)));
        assert!(fixture.reserve("k", &of(3)).await.unwrap().replayed);
        assert_eq!((fixture.at_new(A).await, fixture.tasks().await.len()), ((3, 3, 0), 1), "{label}");
        fixture.entered_is_told(A).await;
    }
}

#[tokio::test]
async fn what_was_told_is_never_taken_for_untold() {
    let fixture = Fixture::new(2).await;
    fixture.open_store(Some("allow")).await;
    // Nothing lies there: that is something known.
    fixture.count(NEW, A, 0).await;
    let before = fixture.memory.items(Table::Stock);
    let refused = fixture.reserve("k", &of(1)).await.unwrap_err();
    assert_eq!(refused.code(), Some("insufficient_stock"));
    // One line of which nobody has told anything does not go alone.
    let both = request(&[(NEW, A, 1), (NEW, B, 1)], 60);
    assert!(fixture.reserve("k", &both).await.is_err());
    // And another location decides for itself.
    let elsewhere = request(&[(NEW, B, 1), ("s-york", B, 1)], 60);
    assert!(fixture.reserve("k", &elsewhere).await.is_err());
    assert_eq!(fixture.memory.items(Table::Stock), before, "nothing was entered for what was refused");
    fixture.count(NEW, A, 1).await;
    fixture.reserve("k", &both).await.unwrap();
    assert_eq!((fixture.at_new(A).await, fixture.at_new(B).await), ((1, 1, 0), (1, 1, 0)));
    fixture.entered_is_told(A).await;
    fixture.entered_is_told(B).await;
}

#[tokio::test]
async fn it_lasts_until_on_hand_is_set() {
    let fixture = Fixture::new(3).await;
    fixture.open_store(Some("allow")).await;
    let made = fixture.reserve("k1", &of(3)).await.unwrap();
    // Given back, it is used before more is entered.
    let id = made.reservation.reservation_id;
    reservations::release(&fixture.ports, &fixture.caller, "r", &id).await.unwrap();
    fixture.reserve("k2", &of(2)).await.unwrap();
    assert_eq!((fixture.at_new(A).await, fixture.tasks().await.len()), ((3, 2, 1), 1));
    fixture.reserve("k3", &of(4)).await.unwrap();
    assert_eq!(fixture.at_new(A).await, (6, 6, 0));
    fixture.entered_is_told(A).await;
    // A count tells.
    fixture.count(NEW, A, 7).await;
    fixture.reserve("k4", &of(1)).await.unwrap();
    assert_eq!(fixture.at_new(A).await, (7, 7, 0));
    let refused = fixture.reserve("k5", &of(1)).await.unwrap_err();
    assert_eq!(refused.code(), Some("insufficient_stock"));
    assert_eq!(fixture.at_new(A).await, (7, 7, 0));
    fixture.entered_is_told(A).await;
}

#[tokio::test]
async fn a_count_sheet_tells_too() {
    let fixture = Fixture::new(4).await;
    fixture.open_store(Some("allow")).await;
    let made = fixture.reserve("k1", &of(3)).await.unwrap();
    reservations::release(&fixture.ports, &fixture.caller, "r", &made.reservation.reservation_id)
        .await
        .unwrap();
    let open = OpenCountRequest {
        count_id: Some("n-1".into()),
        location_id: NEW.into(),
        skus: Some(vec![A.into()]),
        category: None,
        all: None,
        limit: None,
        cursor: None,
        blind: false,
    };
    let (ports, who) = (&fixture.ports, &fixture.caller);
    counts::open(ports, who, "o", &open).await.unwrap();
    let counted = CountedLineRequest {
        sku: A.into(),
        counted: QuantityInput::Whole(5),
        lots: Vec::new(),
        reason: None,
    };
    let counted = RecordCountRequest { lines: vec![counted] };
    counts::record(ports, who, "c", "n-1", &counted, |_| Ok(())).await.unwrap();
    counts::close(ports, who, "e", "n-1", &CloseCountRequest::default(), |_| Ok(())).await.unwrap();
    fixture.reserve("k2", &of(5)).await.unwrap();
    let refused = fixture.reserve("k3", &of(1)).await.unwrap_err();
    assert_eq!((refused.code(), fixture.at_new(A).await), (Some("insufficient_stock"), (5, 5, 0)));
}

/// Each at once and many times, with trouble: exactly as much is entered as is held.
#[tokio::test]
async fn many_at_once_enter_what_they_hold() {
    for seed in 10..30 {
        let fixture = Arc::new(Fixture::new(seed).await);
        fixture.open_store(Some("allow")).await;
        fixture.inject(move |n| match (n + seed) % 9 {
            1 => Fault::Conflict,
            4 => Fault::LostAfter,
            7 => Fault::LostBefore,
            _ => Fault::None,
        });
        let tasks: Vec<_> = (0..24)
            .map(|n| {
                let fixture = fixture.clone();
                // Twins of twelve requests.
                tokio::spawn(async move { fixture.reserve(&format!("k-{}", n % 12), &of(1 + n % 3)).await })
            })
            .collect();
        for task in join_all(tasks).await {
            task.unwrap().unwrap();
        }
        fixture.heal();
        let held = (0..12).map(|n| 1 + n % 3).sum::<i64>();
        assert_eq!(fixture.at_new(A).await, (held, held, 0), "{seed}");
        fixture.entered_is_told(A).await;
    }
}

#[tokio::test]
async fn one_fault_at_each_write_enters_once() {
    for fault in [Fault::Conflict, Fault::Throttled, Fault::LostBefore, Fault::LostAfter] {
        for step in 0..4 {
            let fixture = Fixture::new(40 + step).await;
            fixture.open_store(Some("allow")).await;
            fixture.faulty.writes.store(0, std::sync::atomic::Ordering::SeqCst);
            fixture.inject(move |n| if n == step { fault } else { Fault::None });
            let made = fixture.reserve("k", &of(3)).await.unwrap();
            assert!(!made.replayed, "step {step}");
            fixture.heal();
            assert!(fixture.reserve("k", &of(3)).await.unwrap().replayed);
            assert_eq!((fixture.at_new(A).await, fixture.tasks().await.len()), ((3, 3, 0), 1), "step {step}");
            fixture.entered_is_told(A).await;
        }
    }
}

#[tokio::test]
async fn more_than_one_transaction_takes_is_entered_too() {
    for (own, allowed) in [("allow", true), ("refuse", false)] {
        let fixture = Fixture::with_shelf(5, 60, 1).await;
        fixture.open_store(Some(own)).await;
        let skus: Vec<String> = (0..60).map(sku).collect();
        let lines: Vec<_> = skus.iter().map(|sku| (NEW, sku.as_str(), 2)).collect();
        let made = fixture.reserve("k", &request(&lines, 600)).await;
        assert_eq!(made.is_ok(), allowed, "{own}");
        if allowed {
            assert_eq!(fixture.tasks().await.len(), 60);
            for sku in [&skus[0], &skus[59]] {
                assert_eq!(fixture.at_new(sku).await, (2, 2, 0));
                fixture.entered_is_told(sku).await;
            }
        } else {
            assert!(fixture.tasks().await.is_empty());
        }
    }
}

/// Nothing can be planned with stock that nobody has told.
#[tokio::test]
async fn no_location_is_chosen_for_stock_that_nobody_has_told() {
    let fixture = Fixture::new(6).await;
    fixture.decide(UnsyncedStock::Allow).await;
    fixture.open_store(None).await;
    fixture.count("s-york", A, 2).await;
    let sourced = |pieces: i64| -> ReserveRequest {
        let sourcing: Value = json!({"policy": "priority", "locations": [NEW, "s-york"]});
        let lines = json!([{"sku": A, "quantity": pieces}]);
        serde_json::from_value(json!({"lines": lines, "ttl_seconds": 60, "sourcing": sourcing})).unwrap()
    };
    let made = fixture.reserve("k1", &sourced(2)).await.unwrap();
    assert_eq!(made.reservation.lines[0].location_id, "s-york");
    let refused: Error = fixture.reserve("k2", &sourced(1)).await.unwrap_err();
    assert_eq!(refused.code(), Some("insufficient_stock"));
    assert!(fixture.tasks().await.is_empty());
}

/// Of a kit it is its components that somebody has told or not.
#[tokio::test]
async fn components_of_kits_are_told_or_not_each_for_itself() {
    let fixture = Fixture::new(7).await;
    fixture.open_store(Some("allow")).await;
    fixture.kit("KIT", &[(A, 2), (B, 1)]).await;
    fixture.count(NEW, A, 10).await;
    let of_kits = |pieces: i64| request(&[(NEW, "KIT", pieces)], 600);
    let made = fixture.reserve("k", &of_kits(3)).await.unwrap();
    assert_eq!((fixture.at_new(A).await, fixture.at_new(B).await), ((10, 6, 4), (3, 3, 0)));
    let task = fixture.tasks().await.remove(0);
    let id = made.reservation.reservation_id.as_str();
    assert_eq!((task.kind, task.reference.as_str()), (ExceptionKind::UnsyncedStock, id));
    assert_eq!((task.quantity, task.sku.as_deref()), (QuantityInput::Whole(3), Some(B)));
    assert!(fixture.reserve("k", &of_kits(3)).await.unwrap().replayed);
    // Of what was told there is too little: nothing is entered for the other.
    let before = fixture.memory.items(Table::Stock);
    assert_eq!(fixture.reserve("k2", &of_kits(3)).await.unwrap_err().code(), Some("insufficient_stock"));
    assert_eq!(fixture.memory.items(Table::Stock), before);
    fixture.reserve("k2", &of_kits(2)).await.unwrap();
    assert_eq!((fixture.at_new(A).await, fixture.at_new(B).await), ((10, 10, 0), (5, 5, 0)));
    fixture.entered_is_told(B).await;
    // And where it is refused, it is refused for a kit too.
    let strict = Fixture::new(8).await;
    strict.open_store(None).await;
    strict.kit("KIT", &[(A, 2), (B, 1)]).await;
    strict.count(NEW, A, 10).await;
    let refused = refusal(strict.reserve("k", &of_kits(1)).await.unwrap_err());
    assert_eq!(
        (refused.code, &refused.extra["lines"][0]["sku"], &refused.extra["lines"][0]["kits"]),
        ("insufficient_stock", &json!(B), &json!(["KIT"]))
    );
}

/// Nor is a location chosen for a kit of which a component was not told.
#[tokio::test]
async fn no_location_is_chosen_for_a_kit_of_what_nobody_has_told() {
    let fixture = Fixture::new(9).await;
    fixture.decide(UnsyncedStock::Allow).await;
    fixture.open_store(None).await;
    fixture.kit("KIT", &[(A, 2), (B, 1)]).await;
    fixture.count(NEW, A, 10).await;
    for sku in [A, B] {
        fixture.count("s-york", sku, 2).await;
    }
    let sourcing = json!({"policy": "priority", "locations": [NEW, "s-york"], "split_lines": true});
    let lines = json!([{"sku": "KIT", "quantity": 1}]);
    let wanted = json!({"lines": lines, "ttl_seconds": 60, "sourcing": sourcing});
    let wanted: ReserveRequest = serde_json::from_value(wanted).unwrap();
    let made = fixture.reserve("k1", &wanted).await.unwrap();
    assert_eq!(made.reservation.kits[0].location_id, "s-york");
    assert_eq!(fixture.reserve("k2", &wanted).await.unwrap_err().code(), Some("insufficient_stock"));
    assert!(fixture.tasks().await.is_empty());
}
