//! Stored value beside what else decides a sale: exchanges, reservations, stock that is not there, payments that
//! were owed.

use jiff::Timestamp;
use serde_json::{Value, json};
use tillstream_app::database::Table;
use tillstream_app::orders::{place, read, record};
use tillstream_app::pos::batch;
use tillstream_app::stock::reserve;
use tillstream_app::tenancy::Role;
use tillstream_app::{Error, Result};
use tillstream_testkit::shop::{STORE, caller, envelope};

use super::fixture::{
    ADA, CARD, OTHER, World, bring_back, gbp, pay, payment, refund, refused, tendering, world,
};

async fn exchange(world: &World, back: &str, sale: &str) -> Result<tillstream_app::pos::execute::Answered> {
    let payload = json!({"return_id": back, "cart_id": sale});
    world.shop.at("r-1", &format!("{back}-{sale}"), "finalize_exchange", payload).await
}

/// Sells ten dimes by card.
async fn sold(world: &World, id: &str) {
    tendering(&world.shop, "r-1", id, 10).await;
    let paid = payment(id, "card", 100, None);
    world.shop.at("r-1", &format!("{id}-card"), "add_payment", paid).await.unwrap();
    world.shop.finalize("r-1", id).await.unwrap();
}

fn code<T: std::fmt::Debug>(result: Result<T>) -> &'static str {
    match result {
        Err(Error::Rejected(refusal)) => refusal.code,
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn the_difference_of_an_exchange_is_taken_from_a_gift_card_or_nothing_happens() {
    let world = world().await;
    world.issue(CARD, 100).await;
    sold(&world, "first").await;
    bring_back(&world.shop, "r-1", "back", "first", 4).await;
    tendering(&world.shop, "r-1", "new", 10).await;
    pay(&world.shop, "r-1", "new", 60, CARD).await.unwrap();
    // Somebody else spends it meanwhile.
    world.change("debit", "d", CARD, 50).await.unwrap();
    assert_eq!(refused(exchange(&world, "back", "new").await), ("insufficient_balance", Some(50)));
    assert_eq!((world.balance(CARD), world.movements(CARD).len()), (50, 2));
    world.change("credit", "c", CARD, 10).await.unwrap();
    for replayed in [false, true] {
        assert_eq!(exchange(&world, "back", "new").await.unwrap().replayed, replayed);
    }
    assert_eq!(world.balance(CARD), 0);
}

#[tokio::test]
async fn what_an_exchange_leaves_is_refunded_to_a_gift_card_once() {
    let world = world().await;
    world.issue(CARD, 100).await;
    super::fixture::sell(&world.shop, "r-1", "first", 10, CARD).await.unwrap();
    bring_back(&world.shop, "r-1", "back", "first", 10).await;
    tendering(&world.shop, "r-1", "new", 3).await;
    let rest = refund("back", "gift_card", 70, None);
    world.shop.at("r-1", "rest", "refund_tender", rest).await.unwrap();
    assert_eq!(world.balance(CARD), 0);
    for replayed in [false, true] {
        assert_eq!(exchange(&world, "back", "new").await.unwrap().replayed, replayed);
    }
    assert_eq!(world.balance(CARD), 70);
}

/// What other goods paid may go back to any tender; to an account it is money, and has to find its place.
#[tokio::test]
async fn a_refund_to_an_account_of_what_other_goods_paid_reaches_it() {
    let world = world().await;
    world.issue(ADA, 0).await;
    sold(&world, "first").await;
    bring_back(&world.shop, "r-1", "back", "first", 10).await;
    tendering(&world.shop, "r-1", "new", 10).await;
    exchange(&world, "back", "new").await.unwrap();
    bring_back(&world.shop, "r-1", "again", "new", 10).await;
    let unnamed = refund("again", "account", 100, None);
    assert_eq!(code(world.shop.at("r-1", "u", "refund_tender", unnamed).await), "stored_value_required");
    let named = refund("again", "account", 100, Some(ADA));
    world.shop.at("r-1", "n", "refund_tender", named).await.unwrap();
    world.shop.command("f", "finalize_return", json!({"return_id": "again"})).await.unwrap();
    assert_eq!(world.balance(ADA), 100);
}

/// Nobody has paid for it: exchanged, it would count as paid, and could come back for cash.
#[tokio::test]
async fn what_is_owed_on_account_is_not_exchanged() {
    let world = world().await;
    let who = caller("demo", &[Role::Integration]);
    let order = json!({"order_id": "web", "store_id": STORE, "channel": "web",
        "lines": [{"sku": "DIME", "quantity": 10}]});
    place::place(&world.shop.ports, &who, "web", serde_json::from_value(order).unwrap()).await.unwrap();
    bring_back(&world.shop, "r-1", "back", "web", 10).await;
    tendering(&world.shop, "r-1", "new", 10).await;
    let before = world.orders();
    let refused = exchange(&world, "back", "new").await.unwrap_err();
    let Error::Rejected(refusal) = refused else { panic!("{refused:?}") };
    assert_eq!((refusal.code, refusal.extra.get("due")), ("order_owed", Some(&json!(100))));
    assert_eq!(world.orders(), before, "nothing has changed");
}

/// A refund by a tender cannot tell what was taken from what is owed.
#[tokio::test]
async fn a_tender_is_taken_from_balances_or_not_at_all() {
    let world = world().await;
    world.issue(ADA, 500).await;
    let who = caller("demo", &[Role::Integration]);
    let account = |amount: i64, reference: Option<&str>| json!({"tender": "account", "amount": gbp(amount), "external_reference": reference});
    let sale = |id: &str, payments: Value| {
        json!({"order_id": id, "store_id": STORE, "channel": "market", "payments": payments, "customer_id": ADA,
            "lines": [{"sku": "DIME", "quantity": 10}], "occurred_at": world.shop.ports.environment.now().to_string()})
    };
    let record = |key: &'static str, sale: Value| {
        let (ports, who) = (world.shop.ports.clone(), who.clone());
        async move { record::record(&ports, &who, key, serde_json::from_value(sale).unwrap()).await }
    };
    let mixed = sale("m", json!([account(50, Some(ADA)), account(50, None)]));
    assert_eq!(code(record("m", mixed).await), "stored_value_in_part");
    record("n", sale("n", json!([account(50, Some(ADA)), account(50, Some(ADA))]))).await.unwrap();
    assert_eq!(world.balance(ADA), 400);
    // At a till the setting may change between two payments.
    world.issue(CARD, 500).await;
    tendering(&world.shop, "r-1", "c", 10).await;
    pay(&world.shop, "r-1", "c", 50, CARD).await.unwrap();
    super::fixture::switch(&world.shop, false).await;
    world.environment.advance(std::time::Duration::from_secs(60));
    world.shop.command("other", "add_payment", payment("c", "gift_card", 50, None)).await.unwrap();
    assert_eq!(code(world.shop.finalize("r-1", "c").await), "stored_value_in_part");
    world.shop.command("off", "remove_payment", json!({"cart_id": "c", "payment_id": "p-2"})).await.unwrap();
    world.shop.command("card", "add_payment", payment("c", "card", 50, None)).await.unwrap();
    world.shop.finalize("r-1", "c").await.unwrap();
    assert_eq!(world.balance(CARD), 450);
}

/// A plan takes what is free, and a reservation holds what is not: together they are too much at once, and refused.
#[tokio::test]
async fn an_order_on_a_long_reservation_is_never_final_without_its_stock() {
    let world = world().await;
    world.issue(CARD, 10_000).await;
    let sku = |n: usize| format!("H-{n:02}");
    let mut lines = Vec::new();
    let mut held = Vec::new();
    for n in 0..reserve::LINES_MAX {
        world.shop.product(STORE, &sku(n), "1.00", 10).await.unwrap();
        lines.push(json!({"sku": sku(n), "quantity": 1}));
        held.push(json!({"location_id": STORE, "sku": sku(n), "quantity": 1}));
    }
    let operator = caller("demo", &[Role::Operator]);
    let hold = json!({"reservation_id": "hold", "ttl_seconds": 600, "lines": held});
    let hold = serde_json::from_value(hold).unwrap();
    reserve::reserve(&world.shop.ports, &operator, "hold", &hold).await.unwrap();
    let total = 100 * i64::try_from(reserve::LINES_MAX).unwrap();
    let order = |payments: Value| {
        let order = json!({"order_id": "web", "store_id": STORE, "channel": "web", "lines": lines,
            "payments": payments, "reservation_id": "hold"});
        let (ports, who) = (world.shop.ports.clone(), caller("demo", &[Role::Integration]));
        async move { place::place(&ports, &who, "web", serde_json::from_value(order).unwrap()).await }
    };
    let by_card = json!([{"tender": "gift_card", "amount": gbp(total), "external_reference": CARD}]);
    assert_eq!(code(order(by_card).await), "order_too_long");
    let counters = world.shop.counters(STORE, &sku(0)).await.unwrap();
    assert_eq!((counters.on_hand, counters.reserved, world.balance(CARD)), (10_000, 1_000, 10_000));
    order(json!([{"tender": "card", "amount": gbp(total)}])).await.unwrap();
    let counters = world.shop.counters(STORE, &sku(0)).await.unwrap();
    assert_eq!((counters.on_hand, counters.reserved), (9_000, 0));
}

/// A refusal leaves nothing behind: goods that are not sold are not covered.
#[tokio::test]
async fn an_upload_that_is_refused_for_its_gift_card_covers_no_stock() {
    let world = world().await;
    world.shop.product(STORE, "GONE", "1.00", 0).await.unwrap();
    world.issue(CARD, 100).await;
    let at = |key: &str, action: &str, payload: Value| envelope(STORE, "r-1", key, action, payload);
    let commands = vec![
        at("0", "create_cart", json!({"cart_id": "c"})),
        at("1", "add_line_item", json!({"cart_id": "c", "sku": "GONE", "quantity": 1})),
        at("2", "set_tendering", json!({"cart_id": "c"})),
        at("3", "add_payment", payment("c", "gift_card", 100, Some(CARD))),
    ];
    let upload = |commands: Vec<Value>| async {
        let who = caller("demo", &[Role::Cashier]);
        let (outcomes, _) = batch::run(&world.shop.ports, &who, commands, Timestamp::MAX).await;
        let code = |(_, outcome): (Value, batch::Outcome)| outcome.err().and_then(|error| error.code());
        outcomes.into_iter().map(code).collect::<Vec<_>>()
    };
    assert_eq!(upload(commands).await, [None; 4]);
    world.change("debit", "d", CARD, 100).await.unwrap();
    let before = world.database.items(Table::Stock);
    let finalize = || vec![at("4", "finalize_order", json!({"cart_id": "c"}))];
    assert_eq!(upload(finalize()).await, [Some("insufficient_balance")]);
    assert_eq!(world.database.items(Table::Stock), before);
    world.change("credit", "c", CARD, 100).await.unwrap();
    let again = vec![at("5", "finalize_order", json!({"cart_id": "c"}))];
    assert_eq!(upload(again).await, [None], "the goods have left the shop");
    let exceptions = world.database.items(Table::Stock);
    let entered = exceptions.iter().filter(|item| item.opt_text("sk") == Some("exception"));
    assert_eq!(entered.map(|item| item.number("quantity").unwrap()).collect::<Vec<_>>(), [1_000]);
}

/// Many read orders who may not spend what paid them.
#[tokio::test]
async fn an_order_shows_the_last_four_of_a_gift_card() {
    let world = world().await;
    world.issue(OTHER, 100).await;
    super::fixture::sell(&world.shop, "r-1", "c", 5, OTHER).await.unwrap();
    let analyst = caller("demo", &[Role::Analyst]);
    let order = read::get(&world.shop.ports, &analyst, "c").await.unwrap();
    let shown = serde_json::to_string(&order).unwrap();
    assert!(shown.contains(r#""external_reference":"*2222""#), "{shown}");
    assert!(!shown.contains(OTHER), "{shown}");
}
