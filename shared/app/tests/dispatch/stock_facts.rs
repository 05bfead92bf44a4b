//! What happens to backorders and alerts reaches headquarters once each, as it was when it happened.

use tillstream_app::database::{Database, Table, Write};
use tillstream_app::dispatch::dispatcher::{Fate, Received};
use tillstream_app::dispatch::listing;
use tillstream_app::environment::Environment;
use tillstream_app::relay::handle;
use tillstream_app::stock::backorders;
use tillstream_app::stock::counters::{StockTarget, stock_set};
use tillstream_app::tenancy::Role;
use tillstream_app::tenant_rules::settings_item;
use tillstream_contracts::backorders::{BackorderRequest, BackorderStatus};
use tillstream_contracts::dispatch::{DeliveryFilter, DeliveryStatus};
use tillstream_contracts::hq::{HqBackorderEvent, HqMessage, HqStockEvent};
use tillstream_contracts::replenishment::StockAlertLevel;
use tillstream_domain::quantity::QuantityInput;
use tillstream_domain::tenant_settings::{BackorderSettings, TenantSettings};
use tillstream_testkit::memory_messaging::{MemoryQueue, MemoryStream};
use tillstream_testkit::shop::{STORE, caller};

use crate::world::World;

/// Relays the stock table's changes from the first, again and again, until nothing follows from them.
async fn relay_all(world: &World, queue: &MemoryQueue) {
    let stream = MemoryStream::new(1, world.environment.clone());
    loop {
        let changes = world.memory.changes(Table::Stock, 0);
        let images: Vec<_> =
            changes.iter().map(|change| (change.old.as_ref(), change.new.as_ref())).collect();
        let failures = handle(&world.shop.ports, &stream, queue, &images).await;
        assert!(failures.is_empty(), "{failures:?}");
        if world.memory.changes(Table::Stock, 0).len() == changes.len() {
            return;
        }
    }
}

async fn wake(world: &World, subject: &str, version: u32) -> Fate {
    let body =
        serde_json::json!({"version": 1, "tenant_id": "demo", "order_id": subject, "order_version": version});
    let message =
        Received { group: format!("demo/{subject}"), receipt: "r".to_owned(), body: body.to_string() };
    world.dispatcher.handle_batch(&[message]).await.remove(0)
}

#[tokio::test]
async fn headquarters_are_told_of_each_step_once() {
    let world = World::new(61).await;
    let (ports, scope) = (&world.shop.ports, &world.shop.scope);
    let queue = MemoryQueue::new(world.environment.clone());
    let backorders = BackorderSettings { allowed: true, ..BackorderSettings::default() };
    let settings = TenantSettings { backorders, ..TenantSettings::default() };
    let item = settings_item(scope, &settings).unwrap();
    world.memory.write(Write::Put { table: Table::Catalog, item, condition: None }).await.unwrap();
    let who = caller("demo", &[Role::Operator]);
    world.shop.product(STORE, "B", "1.00", 8).await.unwrap();
    let seen = world.shop.counters(STORE, "B").await.unwrap();
    let movement = tillstream_app::stock::counters::Movement {
        kind: "sync",
        reference: "feed".to_owned(),
        actor: "hq".to_owned(),
        at: world.environment.now(),
        reason: None,
    };
    let target = StockTarget { reorder_point: Some(5_000), ..StockTarget::default() };
    let (write, _) = stock_set(scope, STORE, "B", Some(&seen), target, &movement, Vec::new());
    world.memory.write(write).await.unwrap();
    let request = BackorderRequest {
        // An order may be called so, and is another.
        backorder_id: Some("c-1".into()),
        location_id: STORE.into(),
        sku: "B".into(),
        quantity: QuantityInput::Whole(6),
        customer_id: Some("cu-1".into()),
        order_id: None,
        needed_by: None,
        note: None,
    };
    backorders::place(ports, &who, "k", &request).await.unwrap();
    relay_all(&world, &queue).await;

    // It was served at once, and so the stock got low.
    let manager = caller("demo", &[Role::StoreManager]);
    let listed = listing::list(ports, &manager, DeliveryFilter::default()).await.unwrap().items;
    let mut subjects: Vec<&str> = listed.iter().map(|delivery| delivery.order_id.as_str()).collect();
    subjects.sort_unstable();
    assert_eq!((subjects.len(), subjects[1]), (2, "_backorder:c-1"));
    let alert = subjects[0].to_owned();
    assert!(alert.starts_with("_alert:al-"), "{alert}");
    let detail = listing::get(ports, &manager, "_backorder:c-1.1").await.unwrap();
    assert_eq!((detail.delivery.lane.as_str(), detail.delivery.store_id.as_str()), ("s-1/stock", STORE));
    let Some(HqMessage::Backorder(told)) = detail.payload else { panic!("{:?}", detail.payload_error) };
    assert_eq!((told.event, told.event_version), (HqBackorderEvent::BackorderReserved, 1));
    assert_eq!(
        (told.backorder.status, told.backorder.customer_id.as_deref()),
        (BackorderStatus::Reserved, Some("cu-1"))
    );

    // It is cancelled before it is sent: what was told first stays what it was.
    let none = Default::default();
    backorders::cancel(ports, &who, "c", "c-1", &none, |_| Ok(())).await.unwrap();
    relay_all(&world, &queue).await;
    for (subject, version) in [("_backorder:c-1", 1), ("_backorder:c-1", 2), (alert.as_str(), 1)] {
        assert_eq!(wake(&world, subject, version).await, Fate::Done);
        assert_eq!(wake(&world, subject, version).await, Fate::Done);
    }
    assert_eq!(world.hq.requests(), 3, "each was accepted once");
    let accepted = world.hq.accepted_backorders();
    let events: Vec<_> = accepted.iter().map(|told| (told.event, told.event_version)).collect();
    assert_eq!(events, [(HqBackorderEvent::BackorderReserved, 1), (HqBackorderEvent::BackorderCancelled, 2)]);
    assert_eq!(accepted[0].backorder, told.backorder);
    let stock = world.hq.accepted_stock();
    assert_eq!(
        (stock.len(), stock[0].event, stock[0].alert.level),
        (1, HqStockEvent::StockLow, StockAlertLevel::Low)
    );
    assert_eq!(stock[0].alert.available, QuantityInput::Whole(2));
    let filter = DeliveryFilter { order_id: Some("_backorder:c-1".to_owned()), ..DeliveryFilter::default() };
    let of_it = listing::list(ports, &manager, filter).await.unwrap().items;
    assert!(of_it.len() == 2 && of_it.iter().all(|one| one.status == DeliveryStatus::Delivered));
    let filter = DeliveryFilter { order_id: Some("c-1".to_owned()), ..DeliveryFilter::default() };
    assert!(listing::list(ports, &manager, filter).await.unwrap().items.is_empty());
    let far = tillstream_app::tenancy::Caller {
        stores: tillstream_app::tenancy::Stores::Named(["s-9".to_owned()].into()),
        ..manager
    };
    assert!(listing::list(ports, &far, DeliveryFilter::default()).await.unwrap().items.is_empty());
}
