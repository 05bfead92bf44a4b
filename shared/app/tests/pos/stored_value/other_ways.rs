//! Orders from elsewhere, sales made elsewhere, long ones, and those of a register that was cut off.

use jiff::Timestamp;
use serde_json::{Value, json};
use tillstream_app::orders::{place, record, status};
use tillstream_app::pos::batch;
use tillstream_app::pos::cart_write::Executed;
use tillstream_app::tenancy::Role;
use tillstream_app::{Error, Result};
use tillstream_domain::cart::Cart;
use tillstream_testkit::shop::{STORE, Shop, caller, envelope};

use super::fixture::{
    ADA, CARD, OTHER, World, bring_back, gbp, manager, pay, payment, refund, refused, tendering, world,
};

/// Of more SKUs than a transaction takes.
const LONG: usize = 105;

fn who() -> tillstream_app::tenancy::Caller {
    caller("demo", &[Role::Integration])
}

fn order(id: &str, customer: Option<&str>, payments: Value) -> Value {
    json!({"order_id": id, "store_id": STORE, "channel": "web", "customer_id": customer,
        "lines": [{"sku": "A", "quantity": 3}], "payments": payments})
}

async fn send(shop: &Shop, key: &str, order: Value) -> Result<Executed> {
    place::place(&shop.ports, &who(), key, serde_json::from_value(order).unwrap()).await
}

async fn move_to(shop: &Shop, key: &str, id: &str, update: Value) -> Result<Cart> {
    let update = serde_json::from_value(update).unwrap();
    status::change(&shop.ports, &who(), key, id, update, |_| Ok(())).await.map(|changed| changed.order)
}

fn fields<T: std::fmt::Debug>(result: Result<T>) -> (&'static str, Vec<String>) {
    match result {
        Err(Error::Rejected(refusal)) => {
            (refusal.code, refusal.errors.into_iter().map(|error| error.field).collect())
        }
        other => panic!("{other:?}"),
    }
}

fn status_of(cart: &Cart) -> &str {
    &cart.finalized.as_ref().unwrap().status
}

#[tokio::test]
async fn an_order_takes_what_it_names_and_a_cancellation_gives_it_back() {
    let world = world().await;
    let shop = &world.shop;
    world.issue(CARD, 250).await;
    world.issue(ADA, 1_000).await;
    let payments = json!([
        {"tender": "gift_card", "amount": gbp(100), "external_reference": CARD},
        {"tender": "account", "amount": gbp(150)},
        {"tender": "gift_card", "amount": gbp(50), "external_reference": CARD},
    ]);
    for replayed in [false, true] {
        let placed = send(shop, "k", order("o", Some(ADA), payments.clone())).await.unwrap();
        assert_eq!((status_of(&placed.cart), placed.replayed), ("paid", replayed), "nothing is owed");
    }
    assert_eq!((world.balance(CARD), world.balance(ADA)), (100, 850));
    for _ in 0..2 {
        move_to(shop, "cancel", "o", json!({"status": "cancelled"})).await.unwrap();
    }
    assert_eq!((world.balance(CARD), world.balance(ADA)), (250, 1_000));
    // What is owed on account is no balance of anybody's.
    let owed = send(shop, "owed", order("p", Some(ADA), json!([]))).await.unwrap();
    assert_eq!((status_of(&owed.cart), world.balance(ADA)), ("placed", 1_000));
    let by_card = json!({"status": "paid", "payments": [{"tender": "gift_card", "amount": gbp(300), "external_reference": CARD}]});
    let settled = move_to(shop, "settle", "p", by_card).await;
    assert_eq!(fields(settled), ("settlement_invalid", vec!["payments[0].tender".to_owned()]));
    let paid = json!({"status": "paid", "payments": [{"tender": "card", "amount": gbp(300)}]});
    move_to(shop, "settle", "p", paid).await.unwrap();
    move_to(shop, "undo", "p", json!({"status": "cancelled"})).await.unwrap();
    assert_eq!((world.balance(CARD), world.balance(ADA)), (250, 1_000));
}

#[tokio::test]
async fn an_order_that_is_refused_leaves_nothing_behind() {
    let world = world().await;
    let shop = &world.shop;
    world.issue(CARD, 250).await;
    world.issue(ADA, 300).await;
    let before = world.orders();
    let by = |amount, reference: Option<&str>| {
        json!([{"tender": "card", "amount": gbp(300 - amount)},
            {"tender": "gift_card", "amount": gbp(amount), "external_reference": reference}])
    };
    for (payments, code) in [
        (by(100, None), "stored_value_required"),
        (by(100, Some("GC-NONE")), "stored_value_not_found"),
        (by(251, Some(CARD)), "insufficient_balance"),
        (json!([{"tender": "account", "amount": gbp(300)}]), "stored_value_required"),
        (
            json!([{"tender": "account", "amount": gbp(300), "external_reference": ADA}]),
            "account_of_another_customer",
        ),
    ] {
        let (is, fields) = fields(send(shop, "k", order("o", None, payments.clone())).await);
        assert_eq!(is, code, "{payments}");
        assert!(fields[0].starts_with("payments["), "{fields:?}");
        assert_eq!(world.orders(), before, "{payments}");
    }
    send(shop, "k", order("o", None, by(250, Some(CARD)))).await.unwrap();
    assert_eq!(world.balance(CARD), 0);
}

/// Money that another system took is only told; what names a card of ours is taken from it.
#[tokio::test]
async fn a_recorded_sale_takes_only_what_it_names() {
    let world = world().await;
    let shop = &world.shop;
    world.issue(CARD, 400).await;
    let sale = |id: &str, reference: Option<&str>| {
        let payment = json!([{"tender": "gift_card", "amount": gbp(300), "external_reference": reference}]);
        let mut sale = order(id, None, payment);
        sale["occurred_at"] = json!("2026-03-01T12:00:00Z");
        serde_json::from_value(sale).unwrap()
    };
    let ports = &shop.ports;
    record::record(ports, &who(), "1", sale("s1", None)).await.unwrap();
    assert_eq!(world.balance(CARD), 400);
    record::record(ports, &who(), "2", sale("s2", Some(CARD))).await.unwrap();
    record::record(ports, &who(), "2", sale("s2", Some(CARD))).await.unwrap();
    assert_eq!(world.balance(CARD), 100);
    let more = record::record(ports, &who(), "3", sale("s3", Some(CARD))).await;
    assert_eq!(refused(more), ("insufficient_balance", Some(100)));
    // Whose account it is holds for money that is taken here, whoever made the sale.
    world.issue(ADA, 400).await;
    let by_account = |customer: Option<&str>| {
        let payment = json!([{"tender": "account", "amount": gbp(300), "external_reference": ADA}]);
        let mut sale = order("s4", customer, payment);
        sale["occurred_at"] = json!("2026-03-01T12:00:00Z");
        serde_json::from_value(sale).unwrap()
    };
    for customer in [None, Some("k-2")] {
        let anothers = record::record(ports, &who(), "4", by_account(customer)).await;
        assert_eq!(refused(anothers).0, "account_of_another_customer");
    }
    record::record(ports, &who(), "4", by_account(Some(ADA))).await.unwrap();
    assert_eq!(world.balance(ADA), 100);
}

async fn long_cart(world: &World, id: &str, paid: i64) {
    let shop = &world.shop;
    for n in 0..LONG {
        let sku = format!("SKU-{n:03}");
        if shop.counters(STORE, &sku).await.unwrap().on_hand == 0 {
            shop.product(STORE, &sku, "1.00", 100).await.unwrap();
        }
    }
    shop.command(&format!("{id}-open"), "create_cart", json!({"cart_id": id})).await.unwrap();
    for n in 0..LONG {
        let line = json!({"cart_id": id, "sku": format!("SKU-{n:03}"), "quantity": 1});
        shop.command(&format!("{id}-{n}"), "add_line_item", line).await.unwrap();
    }
    shop.command(&format!("{id}-tender"), "set_tendering", json!({"cart_id": id})).await.unwrap();
    pay(shop, "r-1", id, paid, CARD).await.unwrap();
    let rest = i64::try_from(LONG).unwrap() * 100 - paid;
    if rest > 0 {
        shop.command(&format!("{id}-rest"), "add_payment", payment(id, "card", rest, None)).await.unwrap();
    }
}

#[tokio::test]
async fn a_long_sale_takes_once_and_its_void_gives_back_once() {
    let world = world().await;
    let shop = &world.shop;
    world.issue(CARD, 20_000).await;
    long_cart(&world, "c", 10_500).await;
    for replayed in [false, true] {
        assert_eq!(shop.finalize("r-1", "c").await.unwrap().replayed, replayed);
    }
    assert_eq!(world.balance(CARD), 9_500);
    let void = json!({"order_id": "c", "reason": "x"});
    for replayed in [false, true] {
        assert_eq!(shop.command("v", "void_order", void.clone()).await.unwrap().replayed, replayed);
    }
    assert_eq!(world.balance(CARD), 20_000);
    assert_eq!(world.movements(CARD).len(), 3);
}

#[tokio::test]
async fn a_long_sale_whose_card_is_spent_meanwhile_is_refused_and_holds_nothing() {
    let world = world().await;
    let shop = &world.shop;
    world.issue(CARD, 10_000).await;
    long_cart(&world, "c", 10_000).await;
    world.change("debit", "d", CARD, 1).await.unwrap();
    assert_eq!(refused(shop.finalize("r-1", "c").await), ("insufficient_balance", Some(9_999)));
    assert_eq!(world.balance(CARD), 9_999);
    let counters = shop.counters(STORE, "SKU-000").await.unwrap();
    assert_eq!((counters.on_hand, counters.reserved), (100_000, 0));
    shop.command("off", "remove_payment", json!({"cart_id": "c", "payment_id": "p-1"})).await.unwrap();
    shop.command("card", "add_payment", payment("c", "card", 10_000, None)).await.unwrap();
    shop.finalize("r-1", "c").await.unwrap();
}

/// What a register did while it was cut off: goods that are gone are sold, but no balance goes below zero. The cart
/// waits for another tender.
#[tokio::test]
async fn an_upload_is_refused_what_is_not_there_and_goes_on_with_another_tender() {
    let world = world().await;
    world.issue(CARD, 100).await;
    let at = |key: &str, action: &str, payload: Value| envelope(STORE, "r-1", key, action, payload);
    let sale = |cart: &str| {
        vec![
            at(&format!("{cart}0"), "create_cart", json!({"cart_id": cart})),
            at(&format!("{cart}1"), "add_line_item", json!({"cart_id": cart, "sku": "DIME", "quantity": 6})),
            at(&format!("{cart}2"), "set_tendering", json!({"cart_id": cart})),
            at(&format!("{cart}3"), "add_payment", payment(cart, "gift_card", 60, Some(CARD))),
            at(&format!("{cart}4"), "finalize_order", json!({"cart_id": cart})),
        ]
    };
    let ports = &world.shop.ports;
    let upload = |commands: Vec<Value>| async move {
        let who = caller("demo", &[Role::Cashier]);
        let (outcomes, resume) = batch::run(ports, &who, commands, Timestamp::MAX).await;
        assert_eq!(resume, None);
        let code = |(_, outcome): (Value, batch::Outcome)| outcome.err().and_then(|error| error.code());
        outcomes.into_iter().map(code).collect::<Vec<_>>()
    };
    assert_eq!(upload(sale("a")).await, [None; 5]);
    let not_paid = [None, None, None, Some("insufficient_balance"), Some("earlier_command_failed")];
    for _ in 0..2 {
        assert_eq!(upload(sale("b")).await, not_paid);
        assert_eq!(upload(sale("a")).await, [None; 5]);
    }
    assert_eq!(world.balance(CARD), 40);
    let otherwise = vec![
        at("b5", "add_payment", payment("b", "gift_card", 40, Some(CARD))),
        at("b6", "add_payment", payment("b", "cash", 20, None)),
        at("b7", "finalize_order", json!({"cart_id": "b"})),
    ];
    assert_eq!(upload(otherwise).await, [None; 3]);
    assert_eq!(world.balance(CARD), 0);
}

/// A return and a sale that both name one card are one action on it, and only the difference must be there.
#[tokio::test]
async fn a_return_and_a_sale_in_one_transaction_need_the_difference_only() {
    use tillstream_app::pos::cart_item::cart_of;
    use tillstream_app::stored_value::claims::stored_value_writes;
    let world = world().await;
    let shop = &world.shop;
    world.issue(CARD, 100).await;
    world.issue(OTHER, 100).await;
    super::fixture::sell(shop, "r-1", "first", 6, CARD).await.unwrap();
    bring_back(shop, "r-1", "back", "first", 5).await;
    shop.command("r", "refund_tender", refund("back", "gift_card", 50, None)).await.unwrap();
    tendering(shop, "r-1", "sale", 10).await;
    pay(shop, "r-1", "sale", 40, CARD).await.unwrap();
    pay(shop, "r-1", "sale", 60, OTHER).await.unwrap();
    // Others take of it what the return has not brought yet.
    world.change("debit", "d", CARD, 40).await.unwrap();
    let cart = |id: &str| {
        let key = shop.scope.cart(id);
        let is_it = |item: &&tillstream_app::database::Item| {
            item.opt_text("pk") == Some(key.pk()) && item.opt_text("sk") == Some("cart")
        };
        cart_of(world.orders().iter().find(is_it).unwrap()).unwrap()
    };
    let (back, sale) = (cart("back"), cart("sale"));
    let now = shop.ports.environment.now();
    let alone = stored_value_writes(&shop.scope, &[&sale], now).unwrap();
    let both = stored_value_writes(&shop.scope, &[&back, &sale], now).unwrap();
    assert_eq!((alone.movements.len(), alone.claims.len()), (2, 2));
    assert_eq!((both.movements.len(), both.claims.len()), (3, 2));
    let transact = |writes: tillstream_app::stored_value::claims::StoredValueWrites| {
        let claims = writes.claims.into_iter().map(|claim| claim.write);
        shop.ports.database.transact(writes.movements.into_iter().chain(claims).collect())
    };
    assert!(transact(alone).await.is_err(), "the card has nothing");
    transact(both).await.unwrap();
    assert_eq!((world.balance(CARD), world.balance(OTHER)), (10, 40));
}

/// Cash that went back while a register was cut off is gone, and is recorded whoever allowed it. What we credit is not:
/// it takes who may, however it is sent.
#[tokio::test]
async fn a_void_that_nobody_approved_credits_no_card() {
    let world = world().await;
    world.issue(CARD, 100).await;
    tendering(&world.shop, "r-1", "c", 5).await;
    pay(&world.shop, "r-1", "c", 50, CARD).await.unwrap();
    world.shop.finalize("r-1", "c").await.unwrap();
    let void = envelope(STORE, "r-1", "v", "void_order", json!({"order_id": "c", "reason": "x"}));
    let start = envelope(STORE, "r-1", "b", "start_return", json!({"return_id": "b", "reason": "x"}));
    let cashier = caller("demo", &[Role::Cashier]);
    for sent in [&void, &start] {
        let one = vec![sent.clone()];
        let (mut outcomes, _) = batch::run(&world.shop.ports, &cashier, one, Timestamp::MAX).await;
        assert_eq!(refused(outcomes.pop().unwrap().1).0, "approval_required", "{sent}");
    }
    assert_eq!(world.balance(CARD), 50);
    let (mut outcomes, _) = batch::run(&world.shop.ports, &manager(), vec![void], Timestamp::MAX).await;
    outcomes.pop().unwrap().1.unwrap();
    assert_eq!(world.balance(CARD), 100);
}
