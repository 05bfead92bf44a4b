//! What is suggested to be ordered is what its parts say, whichever pages its sales are read from.

use std::sync::Arc;

use serde_json::{Value, json};
use tillstream_app::aggregation::coarse;
use tillstream_app::catalog::suppliers::supplier_item;
use tillstream_app::database::*;
use tillstream_app::stock::suggestions;
use tillstream_app::tenancy::{Caller, Role, Stores};
use tillstream_app::{Error, Ports, Result};
use tillstream_contracts::events::SaleEvent;
use tillstream_contracts::replenishment::{OrderSuggestionPage, OrderSuggestionQuery};
use tillstream_domain::location::LocationKind;
use tillstream_domain::supplier::Supplier;
use tillstream_testkit::made_up_sales::{STORE, fold_all, line};
use tillstream_testkit::memory_database::MemoryDatabase;
use tillstream_testkit::shop::{Shop, caller};
use tillstream_testkit::test_environment::TestEnvironment;

use crate::fixture::{run, sale_on, set_store};

pub fn manager() -> Caller {
    caller("demo", &[Role::StoreManager])
}

fn query(days: u32) -> OrderSuggestionQuery {
    OrderSuggestionQuery {
        location_id: STORE.into(),
        supplier_id: None,
        days: Some(days),
        review_days: None,
        lead_time_days: None,
        limit: None,
        cursor: None,
    }
}

async fn ask(ports: &Ports, query: &OrderSuggestionQuery) -> Result<OrderSuggestionPage> {
    suggestions::list(ports, &manager(), query).await
}

fn shown(page: &OrderSuggestionPage) -> Value {
    serde_json::to_value(&page.items).unwrap()
}

fn code(refused: Result<OrderSuggestionPage>) -> &'static str {
    refused.err().and_then(|error: Error| error.code()).unwrap_or("none")
}

/// A sale of so many pieces.
fn sold(sku: &str, pieces: i64, number: u64, day: u64) -> SaleEvent {
    let mut event = sale_on(STORE, "r-1", number, day);
    event.detail.as_mut().unwrap().lines = vec![line(sku, pieces, 100 * pieces)];
    event
}

/// A shop on the fifteenth of December: of A two pieces were sold on each day since the first, six are left; of B one
/// piece on the tenth, and a hundred are left; nothing of C, of which two are left.
async fn world() -> Shop {
    let database = Arc::new(MemoryDatabase::new());
    let environment = Arc::new(TestEnvironment::new(5));
    environment.set("2010-12-15T12:00:00Z".parse().unwrap());
    let shop = Shop::open(database, environment).await.unwrap();
    for (sku, pieces) in [("A", 6), ("B", 100), ("C", 2)] {
        shop.product(STORE, sku, "1.00", pieces).await.unwrap();
    }
    let suppliers = [
        json!({"id": "sup-1", "name": "Candles", "lead_time_days": 3,
            "supplies": [{"sku": "A", "pack_size": 6}, {"sku": "C"}]}),
        json!({"id": "sup-2", "name": "Late", "lead_time_days": 30, "supplies": [{"sku": "A"}]}),
    ];
    for supplier in suppliers {
        let supplier: Supplier = serde_json::from_value(supplier).unwrap();
        let item = supplier_item(&shop.scope, &supplier).unwrap();
        shop.ports.database.write(Write::Put { table: Table::Catalog, item, condition: None }).await.unwrap();
    }
    let mut events: Vec<SaleEvent> = (0..14).map(|day| sold("A", 2, day + 1, day)).collect();
    // Another currency sells the same goods; what is sold today is of a day that is not closed.
    events[3].currency = "EUR".parse().unwrap();
    events.push(sold("B", 1, 15, 9));
    events.push(sold("A", 50, 16, 14));
    fold_all(&shop.ports, &events).await;
    shop
}

/// By hand: 28 sold in 14 days. Of the next 3 days, until a delivery is here, 6: which leaves none of the 6 that are
/// there, so it is time. Of the next 10, until the delivery after it, 20; less 6 are 14, three packs of 6.
#[test]
fn a_suggestion_can_be_reckoned_by_hand() {
    run(async {
        let shop = world().await;
        let expected = json!([{
            "location_id": STORE, "sku": "A", "quantity": 18, "supplier_id": "sup-1", "pack_size": 6,
            "lead_time_days": 3, "sold": 28, "sold_per_day": 2, "lead_time_demand": 6, "demand": 20,
            "on_hand": 6, "reserved": 0, "safety_stock": 0, "available": 6, "incoming": 0, "in_transit": 0,
            "backordered": 0, "position": 6, "reorder_point": 0, "target": 20,
        }]);
        let page = ask(&shop.ports, &query(14)).await.unwrap();
        assert_eq!(
            (page.sales_from.to_string(), page.sales_to.to_string()),
            ("2010-12-01".into(), "2010-12-14".into())
        );
        assert_eq!((page.days, page.review_days, page.next_cursor.clone()), (14, 7, None));
        assert_eq!(shown(&page), expected);
        // Coarse pages say the same.
        coarse::refresh(&shop.ports, &shop.scope, STORE, "2010-12-14".parse().unwrap(), 31).await.unwrap();
        assert_eq!(shown(&ask(&shop.ports, &query(14)).await.unwrap()), expected);
        // Of the last seven days only 14 were sold: the same a day.
        let week = ask(&shop.ports, &query(7)).await.unwrap();
        assert_eq!(
            (week.sales_from.to_string(), &shown(&week)[0]["sold"]),
            ("2010-12-08".into(), &json!(14))
        );
        assert_eq!(shown(&week)[0]["quantity"], 18);
    });
}

#[test]
fn terms_are_those_of_who_delivers_soonest_or_is_asked_for() {
    run(async {
        let shop = world().await;
        let late = OrderSuggestionQuery { supplier_id: Some("sup-2".into()), ..query(14) };
        let page = shown(&ask(&shop.ports, &late).await.unwrap());
        // 2 a day for 37 days, less 6, loose.
        assert_eq!((&page[0]["quantity"], &page[0]["supplier_id"]), (&json!(68), &json!("sup-2")));
        assert_eq!(page.as_array().unwrap().len(), 1, "it names nothing else");
        // What nobody names is ordered in the time that is asked for: 100 pieces of B last for 1,400 days.
        let slow = OrderSuggestionQuery { lead_time_days: Some(730), review_days: Some(90), ..query(14) };
        assert_eq!(shown(&ask(&shop.ports, &slow).await.unwrap()).as_array().unwrap().len(), 1);
        for (wrong, expected) in [
            (OrderSuggestionQuery { days: Some(0), ..query(1) }, "days_out_of_range"),
            (OrderSuggestionQuery { days: Some(91), ..query(1) }, "days_out_of_range"),
            (OrderSuggestionQuery { review_days: Some(91), ..query(1) }, "days_out_of_range"),
            (OrderSuggestionQuery { lead_time_days: Some(731), ..query(1) }, "days_out_of_range"),
            (OrderSuggestionQuery { limit: Some(0), ..query(1) }, "limit_out_of_range"),
            (OrderSuggestionQuery { supplier_id: Some("sup-9".into()), ..query(1) }, "supplier_unknown"),
            (OrderSuggestionQuery { supplier_id: Some("s/9".into()), ..query(1) }, "id_malformed"),
            (OrderSuggestionQuery { location_id: "s-9".into(), ..query(1) }, "location_not_found"),
            (OrderSuggestionQuery { location_id: "s/9".into(), ..query(1) }, "location_id_malformed"),
            (OrderSuggestionQuery { cursor: Some("x".into()), ..query(1) }, "cursor_malformed"),
        ] {
            assert_eq!(code(ask(&shop.ports, &wrong).await), expected, "{wrong:?}");
        }
        let cashier = caller("demo", &[Role::Cashier]);
        assert_eq!(code(suggestions::list(&shop.ports, &cashier, &query(1)).await), "role_required");
        let far = Caller { stores: Stores::Named(["s-2".to_owned()].into()), ..manager() };
        assert_eq!(code(suggestions::list(&shop.ports, &far, &query(1)).await), "store_out_of_reach");
        let other = caller("other", &[Role::StoreManager]);
        assert_eq!(code(suggestions::list(&shop.ports, &other, &query(1)).await), "location_not_found");
    });
}

#[test]
fn what_is_waited_for_kept_back_and_under_way_counts() {
    run(async {
        let shop = world().await;
        let key = |sku: &str| shop.scope.stock(STORE, sku);
        let changes = vec![
            Change::Set("safety_stock", 1_000.into()),
            Change::Add("available", -1_000),
            Change::Set("reorder_point", 9_000.into()),
            Change::Set("incoming", 3_000.into()),
            Change::Set("on_order", 2_000.into()),
            Change::Set("in_transit", 1_000.into()),
            Change::Set("backordered", 4_000.into()),
        ];
        let write = Write::Update { table: Table::Stock, key: key("C"), changes, condition: None };
        shop.ports.database.write(write).await.unwrap();
        // Nothing of it is sold: to its reorder point, nine. One of two may be sold, six come, four are waited for: three.
        let page = ask(&shop.ports, &query(14)).await.unwrap();
        let of_c = &shown(&page)[1];
        for (part, expected) in [
            ("quantity", 6),
            ("target", 9),
            ("position", 3),
            ("available", 1),
            ("safety_stock", 1),
            ("incoming", 5),
            ("in_transit", 1),
            ("backordered", 4),
            ("demand", 0),
        ] {
            assert_eq!(of_c[part], expected, "{part}: {of_c}");
        }
        // Page by page it is the same.
        let mut paged = Vec::new();
        let mut cursor = None;
        loop {
            let next = OrderSuggestionQuery { limit: Some(1), cursor, ..query(14) };
            let one = ask(&shop.ports, &next).await.unwrap();
            paged.extend(one.items);
            cursor = one.next_cursor;
            if cursor.is_none() {
                break;
            }
        }
        assert_eq!(paged, page.items);
        // A warehouse sells nothing.
        set_store(&shop.ports, STORE, |location| location.kind = LocationKind::Warehouse).await;
        let skus: Vec<String> =
            ask(&shop.ports, &query(14)).await.unwrap().items.into_iter().map(|one| one.sku).collect();
        assert_eq!(skus, ["C"]);
    });
}
