//! What a final cart tells the stream.

use std::sync::Arc;

use serde_json::json;
use tillstream_app::database::{Item, Table};
use tillstream_app::facts::stream_record;
use tillstream_app::relay::{handle, relayed};
use tillstream_contracts::events::{EVENT_BYTES_MAX, SaleEvent};
use tillstream_testkit::made_up_sales::sale;
use tillstream_testkit::memory_database::MemoryDatabase;
use tillstream_testkit::memory_messaging::{MemoryQueue, MemoryStream};
use tillstream_testkit::shop::{STORE, Shop};
use tillstream_testkit::test_environment::TestEnvironment;

/// A record of the stream has a bound; a fact beyond it goes without its detail, and no other does.
#[test]
fn only_what_is_too_large_goes_without_its_detail() {
    let mut event = sale("r-1", 1);
    let length = |event: &SaleEvent| serde_json::to_vec(event).unwrap().len();
    event.order_id = "o".repeat(EVENT_BYTES_MAX - length(&event) + event.order_id.len());
    assert_eq!(length(&event), EVENT_BYTES_MAX);
    for (more, has_detail) in [(0, true), (1, false)] {
        let mut event = event.clone();
        event.order_id.push_str(&"o".repeat(more));
        let record = stream_record(event.clone()).unwrap();
        let sent: SaleEvent = serde_json::from_slice(&record.data).unwrap();
        assert_eq!(sent.detail.is_some(), has_detail);
        assert_eq!(SaleEvent { detail: None, ..sent }, SaleEvent { detail: None, ..event.clone() });
        assert_eq!(record.partition_key, event.partition_key());
    }
    let small = sale("r-1", 1);
    let record = stream_record(small.clone()).unwrap();
    assert_eq!(serde_json::from_slice::<SaleEvent>(&record.data).unwrap(), small);
}

/// A number that is new is for the sales stream, a version that is new for HQ; a change of neither is for
/// nobody.
#[tokio::test]
async fn what_is_new_of_an_order_is_told_once_to_each() {
    let environment = Arc::new(TestEnvironment::new(4));
    let database = Arc::new(MemoryDatabase::with_environment(environment.clone()));
    let shop = Shop::open(database.clone(), environment.clone()).await.unwrap();
    shop.product(STORE, "A", "1.00", 10).await.unwrap();
    shop.ready("r-1", "c", &[("A", 1)]).await.unwrap();
    let cart = || {
        let is_cart = |item: &Item| item.opt_text("sk") == Some("cart");
        database.items(Table::Orders).into_iter().find(is_cart).unwrap()
    };
    let open = cart();
    // 8.00 are handed over for 1.00: what the stream hears is what stayed in the till.
    let amount = |amount: i64| json!({"amount": amount, "currency": "GBP"});
    shop.command("back", "remove_payment", json!({"cart_id": "c", "payment_id": "p-1"})).await.unwrap();
    let cash = json!({"cart_id": "c", "tender": "cash", "amount": amount(800), "tip": amount(30)});
    shop.command("cash", "add_payment", cash).await.unwrap();
    shop.finalize("r-1", "c").await.unwrap();
    let order = cart();
    let later = order.clone().with("order_version", 2);
    let other = order.clone().with("sk", "plan");
    for (label, old, new, to_stream, to_hq) in [
        ("an open cart", None, Some(&open), false, false),
        ("a cart that becomes an order", Some(&open), Some(&order), true, true),
        ("an order that is seen first", None, Some(&order), true, true),
        ("an order that stays", Some(&order), Some(&order), false, false),
        ("a later version", Some(&order), Some(&later), false, true),
        ("an order that goes", Some(&order), None, false, false),
        ("what is beside an order", None, Some(&other), false, false),
    ] {
        let told = relayed(old, new).unwrap();
        assert_eq!((told.event.is_some(), told.fact.is_some()), (to_stream, to_hq), "{label}");
        let (stream, queue) =
            (MemoryStream::new(1, environment.clone()), MemoryQueue::new(environment.clone()));
        let failures = handle(&shop.ports, &stream, &queue, &[(old, new)]).await;
        assert!(failures.is_empty(), "{label}: {failures:?}");
        assert_eq!(
            (stream.all().len(), queue.len()),
            (usize::from(to_stream), usize::from(to_hq)),
            "{label}"
        );
        if let Some(event) = told.event {
            let event: SaleEvent = serde_json::from_slice(&event.data).unwrap();
            let paid = event.detail.unwrap().payments;
            assert_eq!((paid[0].amount, paid[0].tip), (100, 30));
        }
    }
}
