//! Stock on DynamoDB's own semantics (an emulator behind the real adapter): no oversell, whole lives.

#![allow(clippy::unwrap_used, clippy::panic, reason = "in a test the panic is the report")]

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use serde_json::json;
use tillstream_app::catalog::items::{location_item, product_item, product_of};
use tillstream_app::database::{Consistency, Get, Item, Table, Write};
use tillstream_app::stock::{read, reservations, reserve, update};
use tillstream_app::tenancy::{Caller, Role, Stores, TenantScope};
use tillstream_app::{Error, Ports};
use tillstream_contracts::inventory::{
    CommitRequest, ExtendRequest, ReserveLine, ReserveRequest, StockListQuery, StockUpdateKind,
    StockUpdateRequest,
};
use tillstream_domain::kit::KitComponent;
use tillstream_domain::location::{Location, LocationKind};
use tillstream_domain::money::Currency;
use tillstream_domain::product::Product;
use tillstream_domain::quantity::{QuantityInput, Unit};
use tillstream_testkit::emulator::DynamoFixture;

const SKU: &str = "85123A";

async fn put(ports: &Ports, item: Item) {
    ports.database.write(Write::Put { table: Table::Catalog, item, condition: None }).await.unwrap();
}

/// A tenant with two locations and a product.
async fn shop(ports: &Ports) -> Caller {
    let scope = TenantScope::from_own_record("demo");
    for id in ["s-leeds", "w-hull"] {
        let location = Location {
            id: id.into(),
            kind: LocationKind::Store,
            name: id.into(),
            time_zone: "Europe/London".into(),
            currency: Currency::GBP,
            business_day_start: "00:00".into(),
            region: None,
            address: None,
            tax_number: None,
            capacity: None,
            hours: None,
            coordinates: None,
            stock: Default::default(),
            registers: vec![],
            version: 1,
        };
        put(ports, location_item(&scope, &location).unwrap()).await;
    }
    let product = Product {
        sku: SKU.into(),
        name: "WHITE HANGING HEART T-LIGHT HOLDER".into(),
        unit_price: "2.55".parse().unwrap(),
        currency: Currency::GBP,
        stocked: true,
        unit: Unit::Piece,
        category: None,
        barcodes: vec![],
        attributes: BTreeMap::new(),
        tax_category: None,
        tax_exempt: false,
        discountable: true,
        modifiers: vec![],
        components: vec![],
        variant_of: None,
        sellable: true,
        lots: false,
        version: 1,
    };
    put(ports, product_item(&scope, &product).unwrap()).await;
    Caller {
        scope,
        subject: "e-7".into(),
        roles: BTreeSet::from([Role::Operator]),
        stores: Stores::All,
        register_id: None,
    }
}

async fn count(ports: &Ports, caller: &Caller, location_id: &str, pieces: i64) {
    let request = StockUpdateRequest {
        location_id: location_id.into(),
        sku: SKU.into(),
        kind: StockUpdateKind::Set,
        quantity: QuantityInput::Whole(pieces),
        reason: "opening stock".into(),
        expected_version: None,
        lot: None,
        expires_on: None,
    };
    update::update(ports, caller, &format!("count-{location_id}"), &request, |_| Ok(())).await.unwrap();
}

fn hold(pieces: i64, ttl_seconds: i64) -> ReserveRequest {
    ReserveRequest {
        reservation_id: None,
        lines: vec![ReserveLine {
            location_id: Some("s-leeds".into()),
            sku: SKU.into(),
            quantity: QuantityInput::Whole(pieces),
        }],
        sourcing: None,
        ttl_seconds,
        order_id: None,
    }
}

#[tokio::test]
async fn a_thousand_reservations_of_ten_units_are_ten_and_990_refusals() {
    let fixture = DynamoFixture::dynoxide().await.unwrap();
    let ports = fixture.ports();
    let caller = Arc::new(shop(&ports).await);
    count(&ports, &caller, "s-leeds", 10).await;
    count(&ports, &caller, "w-hull", 4).await;
    let mut tasks = Vec::new();
    for n in 0..1_000 {
        let (ports, caller) = (ports.clone(), caller.clone());
        tasks.push(tokio::spawn(async move {
            // As a client does: what is safe to repeat is repeated.
            loop {
                match reserve::reserve(&ports, &caller, &format!("key-{n}"), &hold(1, 900)).await {
                    Err(Error::Retryable { .. } | Error::Conflict(_)) => {}
                    answer => return answer,
                }
            }
        }));
    }
    let (mut made, mut refused) = (0, 0);
    for task in tasks {
        match task.await.unwrap() {
            Ok(_) => made += 1,
            Err(Error::Rejected(refusal)) => {
                assert_eq!(refusal.code, "insufficient_stock");
                let line = &refusal.extra["lines"][0];
                assert_eq!(line["available"], 0);
                assert_eq!(line["elsewhere"], json!([{"location_id": "w-hull", "available": 4}]));
                refused += 1;
            }
            Err(other) => panic!("{other}"),
        }
    }
    assert_eq!((made, refused), (10, 990));
    let level = read::one(&ports, &caller, "s-leeds", SKU).await.unwrap();
    assert_eq!(level.reserved, QuantityInput::Whole(10));
    assert_eq!(level.available, QuantityInput::Whole(0));
}

/// Three kits of one to three of a component of which there are ten, and the component itself: a thousand at
/// once. What is held is what those got who were told so; who was refused could not have had it.
#[tokio::test]
async fn a_thousand_kits_of_a_component_of_ten_hold_what_there_is() {
    let fixture = DynamoFixture::dynoxide().await.unwrap();
    let ports = fixture.ports();
    let caller = Arc::new(shop(&ports).await);
    count(&ports, &caller, "s-leeds", 10).await;
    for takes in 1..=3 {
        let item = ports
            .database
            .get(Get {
                table: Table::Catalog,
                key: caller.scope.product(SKU),
                consistency: Consistency::Strong,
            })
            .await
            .unwrap()
            .unwrap();
        let components = vec![KitComponent { sku: SKU.into(), quantity: QuantityInput::Whole(takes) }];
        let kit = Product { sku: format!("KIT-{takes}"), components, ..product_of(&item).unwrap() };
        put(&ports, product_item(&caller.scope, &kit).unwrap()).await;
    }
    let mut tasks = Vec::new();
    for n in 0..1_000 {
        let (ports, caller) = (ports.clone(), caller.clone());
        tasks.push(tokio::spawn(async move {
            let takes = n % 4;
            let mut request = hold(1, 900);
            if takes > 0 {
                request.lines[0].sku = format!("KIT-{takes}");
            }
            loop {
                match reserve::reserve(&ports, &caller, &format!("key-{n}"), &request).await {
                    Err(Error::Retryable { .. } | Error::Conflict(_)) => {}
                    answer => return (takes.max(1), answer),
                }
            }
        }));
    }
    let mut held = 0;
    for task in tasks {
        let (takes, answer) = task.await.unwrap();
        match answer {
            Ok(_) => held += takes,
            Err(Error::Rejected(refusal)) => assert_eq!(refusal.code, "insufficient_stock"),
            Err(other) => panic!("{other}"),
        }
    }
    assert_eq!(held, 10);
    let level = read::one(&ports, &caller, "s-leeds", SKU).await.unwrap();
    assert_eq!((level.reserved, level.available), (QuantityInput::Whole(10), QuantityInput::Whole(0)));
    let kits = read::of_sku(&ports, &caller, "KIT-2", None, None).await.unwrap().items;
    let kits: Vec<_> = kits.iter().map(|level| (level.kit, &level.on_hand, &level.available)).collect();
    assert_eq!(kits, [(true, &QuantityInput::Whole(5), &QuantityInput::Whole(0))]);
}

#[tokio::test]
async fn a_reservation_lives_and_ends_on_the_real_adapter() {
    let fixture = DynamoFixture::dynoxide().await.unwrap();
    let ports = fixture.ports();
    let caller = shop(&ports).await;
    count(&ports, &caller, "s-leeds", 10).await;
    let id = |answer: reserve::Answer| answer.reservation.reservation_id;
    let sold = id(reserve::reserve(&ports, &caller, "a", &hold(3, 900)).await.unwrap());
    let longer = ExtendRequest { ttl_seconds: 1_800 };
    reservations::extend(&ports, &caller, "x", &sold, &longer).await.unwrap();
    reservations::commit(&ports, &caller, "c", &sold, &CommitRequest::default()).await.unwrap();
    assert!(
        reservations::commit(&ports, &caller, "c", &sold, &CommitRequest::default()).await.unwrap().replayed
    );
    let given_back = id(reserve::reserve(&ports, &caller, "b", &hold(2, 900)).await.unwrap());
    reservations::release(&ports, &caller, "r", &given_back).await.unwrap();
    reserve::reserve(&ports, &caller, "e", &hold(7, 1)).await.unwrap();
    assert!(reserve::reserve(&ports, &caller, "f", &hold(7, 900)).await.is_err());
    tokio::time::sleep(std::time::Duration::from_millis(1_100)).await;
    // The expired hold is free at the next reservation.
    reserve::reserve(&ports, &caller, "f", &hold(6, 900)).await.unwrap();
    let query = StockListQuery { limit: Some(1), ..StockListQuery::default() };
    let level = read::list(&ports, &caller, &query).await.unwrap().items.remove(0);
    assert_eq!(level.on_hand, QuantityInput::Whole(7));
    assert_eq!((level.reserved, level.available), (QuantityInput::Whole(6), QuantityInput::Whole(1)));
}
