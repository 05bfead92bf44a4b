//! Exchanges of a register that was cut off.

use jiff::Timestamp;
use tillstream_app::pos::batch;
use tillstream_app::stock::exceptions;
use tillstream_contracts::inventory::{ExceptionQuery, ExceptionStatus};
use tillstream_testkit::shop::envelope;

use super::*;

/// What went out of the shop is sold, also where it was not there; what came back first is taken off what was
/// missing. In a batch the exchange comes after all that was sent before it on both carts.
#[tokio::test]
async fn an_exchange_of_more_than_there_was_is_told() {
    let (shop, database) = shop().await;
    shop.product(STORE, "FEW", "10", 2).await.unwrap();
    let send = |key: &str, action: &str, payload: Value| envelope(STORE, "r-1", key, action, payload);
    let commands = vec![
        send("1", "create_cart", json!({"cart_id": "first"})),
        send("2", "add_line_item", json!({"cart_id": "first", "sku": "FEW", "quantity": 1})),
        send("3", "set_tendering", json!({"cart_id": "first"})),
        send("4", "add_payment", json!({"cart_id": "first", "tender": "cash", "amount": gbp(1_000)})),
        send("5", "finalize_order", json!({"cart_id": "first"})),
        send("6", "create_cart", json!({"cart_id": "new"})),
        send("7", "add_line_item", json!({"cart_id": "new", "sku": "FEW", "quantity": 5})),
        send("8", "start_return", json!({"return_id": "back", "original_order_id": "first", "reason": "x"})),
        send(
            "9",
            "return_line_item",
            json!({"return_id": "back", "line_id": "l-1", "quantity": 1, "disposition": "restock"}),
        ),
        send("10", "set_tendering", json!({"cart_id": "new"})),
        send("11", "add_payment", json!({"cart_id": "new", "tender": "cash", "amount": gbp(4_000)})),
        send("12", "finalize_exchange", json!({"return_id": "back", "cart_id": "new"})),
    ];
    let mut told = Vec::new();
    for _ in 0..3 {
        let who = caller("demo", &[Role::StoreManager]);
        let (outcomes, go_on) = batch::run(&shop.ports, &who, commands.clone(), Timestamp::MAX).await;
        assert_eq!(go_on, None);
        let results = outcomes.into_iter().map(|(_, outcome)| result(&outcome.unwrap()));
        told.push(results.collect::<Vec<_>>());
    }
    assert_eq!(told[0], told[1]);
    assert_eq!(told[0], told[2]);
    let last = told[0].last().unwrap();
    assert_eq!((&last["return_receipt_number"], &last["receipt_number"]), (&json!(2), &json!(3)));
    // One was left after the first sale, one came back, and five went out.
    let query = ExceptionQuery {
        location_id: STORE.into(),
        status: Some(ExceptionStatus::Open),
        limit: None,
        cursor: None,
    };
    let who = caller("demo", &[Role::StoreManager]);
    let tasks = exceptions::list(&shop.ports, &who, &query).await.unwrap().items;
    let tasks: Vec<_> = tasks
        .into_iter()
        .map(|task| (task.order_id.unwrap(), task.sku.unwrap(), serde_json::to_value(task.quantity).unwrap()))
        .collect();
    assert_eq!(tasks, [("new".to_owned(), "FEW".to_owned(), json!(3))]);
    let few = shop.counters(STORE, "FEW").await.unwrap();
    assert_eq!((few.on_hand, few.available), (0, 0));
    let changes = database.changes(Table::Stock, 0);
    for row in changes.iter().filter_map(|c| ledger::ledger_rows(c.old.as_ref(), c.new.as_ref()).unwrap()) {
        let row = LedgerRow::of(&row).unwrap();
        assert!(row.after.on_hand >= 0 && row.after.available >= 0, "{row:?}");
    }
}

/// Nobody could tell which of the two carts a register that was cut off asked another price for: such an exchange is
/// refused, and settled by what both come to.
#[tokio::test]
async fn an_uploaded_exchange_of_another_total_is_refused() {
    let (shop, database) = shop().await;
    returning_blind(&shop, "r-1", "back", &[("A", 1)]).await;
    tendering(&shop, "r-1", "new", &[("B", 1)]).await;
    pay(&shop, "r-1", "new", "card", 500).await.unwrap();
    let before = snapshot(&database);
    for (total, expected) in [(499, Some("total_differs")), (501, Some("total_differs")), (500, None)] {
        let payload = json!({"return_id": "back", "cart_id": "new", "total": gbp(total)});
        let command = envelope(STORE, "r-1", &format!("x-{total}"), "finalize_exchange", payload);
        let who = caller("demo", &[Role::StoreManager]);
        let (outcomes, go_on) = batch::run(&shop.ports, &who, vec![command], Timestamp::MAX).await;
        assert_eq!(go_on, None);
        let codes: Vec<_> =
            outcomes.into_iter().map(|(_, outcome)| outcome.err().and_then(|error| error.code())).collect();
        assert_eq!(codes, [expected], "{total}");
        assert_eq!(snapshot(&database) == before, expected.is_some(), "{total}");
    }
    assert_eq!(paid(&order(&shop, "new").await), [("exchange", 1_000, 0), ("card", 500, 0)]);
}
