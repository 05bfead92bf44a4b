//! Paying by stored value at a till, and getting it back.

use std::time::Duration;

use serde_json::json;
use tillstream_app::stored_value::administer;

use super::fixture::{
    ADA, CARD, OTHER, World, bring_back, gbp, manager, pay, payment, refund, refused, sell, switch,
    tendering, world,
};

#[tokio::test]
async fn a_sale_takes_with_its_tip_and_a_return_gives_back() {
    let world = world().await;
    let shop = &world.shop;
    world.issue(CARD, 1_000).await;
    tendering(shop, "r-1", "c", 30).await;
    let mut paid = payment("c", "gift_card", 300, Some(CARD));
    paid["tip"] = gbp(20);
    let answered = shop.command("pay", "add_payment", paid.clone()).await.unwrap();
    assert_eq!(world.balance(CARD), 1_000, "a payment is a promise until the sale is final");
    assert!(shop.command("pay", "add_payment", paid).await.unwrap().replayed);
    let view = serde_json::to_value(answered.reply.cart.unwrap()).unwrap();
    assert_eq!(view["payments"][0]["external_reference"], "*1111");
    shop.finalize("r-1", "c").await.unwrap();
    assert!(shop.finalize("r-1", "c").await.unwrap().replayed);
    assert_eq!(world.balance(CARD), 680);
    bring_back(shop, "r-1", "back", "c", 10).await;
    shop.command("refund", "refund_tender", refund("back", "gift_card", 100, None)).await.unwrap();
    assert_eq!(world.balance(CARD), 680);
    for replayed in [false, true] {
        let done = shop.command("back", "finalize_return", json!({"return_id": "back"})).await.unwrap();
        assert_eq!(done.replayed, replayed);
    }
    assert_eq!(world.balance(CARD), 780);
    // To another card, where that is named.
    world.issue(OTHER, 0).await;
    bring_back(shop, "r-1", "more", "c", 20).await;
    shop.command("r2", "refund_tender", refund("more", "gift_card", 150, Some(OTHER))).await.unwrap();
    shop.command("r3", "refund_tender", refund("more", "gift_card", 50, None)).await.unwrap();
    shop.command("more", "finalize_return", json!({"return_id": "more"})).await.unwrap();
    assert_eq!((world.balance(CARD), world.balance(OTHER)), (830, 150));
    let mut kinds: Vec<String> = world.movements(CARD).into_iter().map(|(kind, _)| kind).collect();
    // All at one moment: which is first, nobody can say.
    kinds.sort_unstable();
    assert_eq!(kinds, ["issue", "refund", "refund", "sale"]);
}

#[tokio::test]
async fn a_void_gives_all_of_it_back_also_to_a_card_that_is_blocked_and_after_the_setting_is_off() {
    let world = world().await;
    let shop = &world.shop;
    world.issue(CARD, 500).await;
    tendering(shop, "r-1", "c", 30).await;
    // Two payments from one card are one action on it.
    pay(shop, "r-1", "c", 100, CARD).await.unwrap();
    let mut paid = payment("c", "gift_card", 200, Some(CARD));
    paid["tip"] = gbp(7);
    shop.command("tip", "add_payment", paid).await.unwrap();
    shop.finalize("r-1", "c").await.unwrap();
    assert_eq!(world.balance(CARD), 193);
    world.change("block", "b", CARD, 0).await.unwrap();
    switch(shop, false).await;
    world.environment.advance(Duration::from_secs(60));
    let void = json!({"order_id": "c", "reason": "rung up twice"});
    for replayed in [false, true] {
        assert_eq!(shop.command("v", "void_order", void.clone()).await.unwrap().replayed, replayed);
    }
    let again = shop.command("again", "void_order", void).await;
    assert_eq!(refused(again).0, "order_already_voided");
    assert_eq!(world.balance(CARD), 500);
    let voids = world.movements(CARD).into_iter().filter(|(kind, _)| kind == "void").count();
    assert_eq!(voids, 2, "one for each payment");
}

#[tokio::test]
async fn every_refusal_of_a_payment_changes_nothing() {
    let world = world().await;
    let shop = &world.shop;
    world.issue(CARD, 100).await;
    world.issue(ADA, 100).await;
    for (id, body) in [
        ("GC-EURO", json!({"currency": "EUR"})),
        ("GC-OVER", json!({"expires_at": "2026-03-02T09:00:30Z"})),
        ("GC-BLOCKED", json!({})),
    ] {
        let mut sent =
            json!({"id": id, "kind": "gift_card", "currency": "GBP", "amount": 100, "reason": "sold"});
        sent.as_object_mut().unwrap().extend(body.as_object().unwrap().clone());
        let sent = serde_json::from_value(sent).unwrap();
        administer::issue(&shop.ports, &manager(), id, sent).await.unwrap();
    }
    world.change("block", "b", "GC-BLOCKED", 0).await.unwrap();
    world.environment.advance(Duration::from_secs(31));
    tendering(shop, "r-1", "c", 20).await;
    pay(shop, "r-1", "c", 60, CARD).await.unwrap();
    let before = world.orders();
    let mut tipped = payment("c", "gift_card", 40, Some(CARD));
    tipped["tip"] = gbp(1);
    for (payload, expected) in [
        (payment("c", "gift_card", 10, None), ("stored_value_required", None)),
        (payment("c", "account", 10, None), ("stored_value_required", None)),
        (payment("c", "gift_card", 10, Some("GC-NONE")), ("stored_value_not_found", None)),
        (payment("c", "gift_card", 10, Some("a#b / c")), ("stored_value_not_found", None)),
        (payment("c", "gift_card", 10, Some(ADA)), ("stored_value_not_found", None)),
        (payment("c", "account", 10, Some(CARD)), ("stored_value_not_found", None)),
        (payment("c", "gift_card", 10, Some("GC-BLOCKED")), ("stored_value_blocked", None)),
        (payment("c", "gift_card", 10, Some("GC-OVER")), ("stored_value_expired", None)),
        (payment("c", "gift_card", 10, Some("GC-EURO")), ("currency_mismatch", None)),
        (payment("c", "gift_card", 41, Some(CARD)), ("insufficient_balance", Some(40))),
        (tipped, ("insufficient_balance", Some(40))),
        (payment("c", "account", 10, Some(ADA)), ("account_of_another_customer", None)),
        (payment("c", "gift_card", 141, Some(CARD)), ("overpaid", None)),
        (payment("c", "gift_card", 0, Some(CARD)), ("amount_not_positive", None)),
        (payment("c", "gift_card", 10, Some("4111111111111111")), ("card_number_refused", None)),
    ] {
        let answer = shop.command("no", "add_payment", payload.clone()).await;
        assert_eq!(refused(answer), expected, "{payload}");
        assert_eq!(world.orders(), before, "{payload}");
    }
    pay(shop, "r-1", "c", 40, CARD).await.unwrap();
    shop.command("ada", "set_customer", json!({"cart_id": "c", "customer_id": ADA})).await.unwrap();
    let mut tipped = payment("c", "account", 100, Some(ADA));
    tipped["tip"] = gbp(1);
    let too_much = shop.command("no", "add_payment", tipped).await;
    assert_eq!(refused(too_much), ("insufficient_balance", Some(100)));
    for n in 0..8 {
        let paid = payment("c", "account", 1, Some(ADA));
        shop.command(&format!("p{n}"), "add_payment", paid).await.unwrap();
    }
    let more = shop.command("p8", "add_payment", payment("c", "account", 1, Some(ADA))).await;
    assert_eq!(refused(more).0, "too_many_payments");
}

#[tokio::test]
async fn what_is_gone_by_the_end_is_refused_there_and_the_till_settles_otherwise() {
    for (what, amount, code, left) in
        [("debit", 250, "insufficient_balance", Some(50)), ("block", 0, "stored_value_blocked", None)]
    {
        let world = world().await;
        let shop = &world.shop;
        world.issue(CARD, 300).await;
        tendering(shop, "r-1", "c", 10).await;
        pay(shop, "r-1", "c", 100, CARD).await.unwrap();
        world.change(what, "k", CARD, amount).await.unwrap();
        let before = world.orders();
        assert_eq!(refused(shop.finalize("r-1", "c").await), (code, left));
        assert_eq!(world.orders(), before, "{what}");
        let balance = world.balance(CARD);
        let payment_id = json!({"cart_id": "c", "payment_id": "p-1"});
        shop.command("off", "remove_payment", payment_id).await.unwrap();
        shop.command("card", "add_payment", payment("c", "card", 100, None)).await.unwrap();
        // The key under which it was refused is free still.
        assert!(!shop.finalize("r-1", "c").await.unwrap().replayed);
        assert_eq!(world.balance(CARD), balance);
    }
}

#[tokio::test]
async fn an_account_pays_what_its_own_customer_buys() {
    let world = world().await;
    let shop = &world.shop;
    world.issue(ADA, 400).await;
    world.issue("k-2", 100).await;
    // Another account of the same customer, under a name of its own.
    let second = json!({"id": "savings-7", "kind": "account", "currency": "GBP", "amount": 100,
        "customer_id": ADA, "reason": "new"});
    let second = serde_json::from_value(second).unwrap();
    administer::issue(&shop.ports, &manager(), "second", second).await.unwrap();
    for (n, (action, payload)) in [
        ("create_cart", json!({"cart_id": "c", "customer_id": ADA})),
        ("add_line_item", json!({"cart_id": "c", "sku": "DIME", "quantity": 40})),
        ("set_tendering", json!({"cart_id": "c"})),
        ("add_payment", payment("c", "account", 300, None)),
    ]
    .into_iter()
    .enumerate()
    {
        shop.command(&format!("k{n}"), action, payload).await.unwrap();
    }
    let before = world.orders();
    let customer = |id: Option<&str>| json!({"cart_id": "c", "customer_id": id});
    for (action, payload, code) in [
        ("add_payment", payment("c", "account", 100, Some("k-2")), "account_of_another_customer"),
        // Nor by way of another customer, once it has paid.
        ("set_customer", customer(Some("k-2")), "payments_present"),
        ("set_customer", customer(None), "payments_present"),
    ] {
        assert_eq!(refused(shop.command("no", action, payload.clone()).await), (code, None), "{payload}");
        assert_eq!(world.orders(), before, "{payload}");
    }
    shop.command("same", "set_customer", customer(Some(ADA))).await.unwrap();
    shop.command("rest", "add_payment", payment("c", "account", 100, Some("savings-7"))).await.unwrap();
    shop.finalize("r-1", "c").await.unwrap();
    assert_eq!((world.balance(ADA), world.balance("savings-7"), world.balance("k-2")), (100, 0, 100));
    bring_back(shop, "r-1", "back", "c", 5).await;
    let before = world.orders();
    for (to, expected) in [
        (None, "stored_value_required"),
        (Some("k-9"), "stored_value_not_found"),
        (Some(CARD), "stored_value_not_found"),
    ] {
        let answer = shop.command("no", "refund_tender", refund("back", "account", 50, to)).await;
        assert_eq!(refused(answer).0, expected);
    }
    assert_eq!(world.orders(), before);
    world.change("block", "b", "savings-7", 0).await.unwrap();
    let blocked = shop.command("no", "refund_tender", refund("back", "account", 50, Some("savings-7"))).await;
    assert_eq!(refused(blocked).0, "stored_value_blocked");
    shop.command("yes", "refund_tender", refund("back", "account", 30, Some(ADA))).await.unwrap();
    // Money may be given to anybody: whom a present did not fit brings it back.
    shop.command("gift", "refund_tender", refund("back", "account", 20, Some("k-2"))).await.unwrap();
    shop.command("end", "finalize_return", json!({"return_id": "back"})).await.unwrap();
    assert_eq!((world.balance(ADA), world.balance("savings-7"), world.balance("k-2")), (130, 0, 120));
}

/// A payment that is taken back leaves the customer free again.
#[tokio::test]
async fn the_customer_may_change_once_no_account_pays() {
    let world = world().await;
    let shop = &world.shop;
    world.issue(ADA, 400).await;
    world.issue(CARD, 400).await;
    tendering(shop, "r-1", "c", 40).await;
    let customer = |id: Option<&str>| json!({"cart_id": "c", "customer_id": id});
    shop.command("ada", "set_customer", customer(Some(ADA))).await.unwrap();
    shop.command("p", "add_payment", payment("c", "account", 100, None)).await.unwrap();
    let refusal = shop.command("k-2", "set_customer", customer(Some("k-2"))).await;
    assert_eq!(refused(refusal).0, "payments_present");
    shop.command("off", "remove_payment", json!({"cart_id": "c", "payment_id": "p-1"})).await.unwrap();
    // A gift card is whoever's that has its number.
    pay(shop, "r-1", "c", 100, CARD).await.unwrap();
    shop.command("k-2", "set_customer", customer(Some("k-2"))).await.unwrap();
}

/// Without the setting both tenders are recorded, as ever: with a reference that names nothing, or none.
#[tokio::test]
async fn without_the_setting_nothing_is_taken() {
    let world = world().await;
    let shop = &world.shop;
    world.issue(CARD, 100).await;
    switch(shop, false).await;
    for (n, (tender, reference)) in
        [("gift_card", None), ("gift_card", Some(CARD)), ("gift_card", Some("terminal 7")), ("account", None)]
            .into_iter()
            .enumerate()
    {
        let (cart, back) = (format!("c{n}"), format!("b{n}"));
        tendering(shop, "r-1", &cart, 30).await;
        shop.command(&format!("p{n}"), "add_payment", payment(&cart, tender, 300, reference)).await.unwrap();
        shop.finalize("r-1", &cart).await.unwrap();
        if n == 3 {
            // What was owed before the setting is on becomes nobody's money by a refund.
            switch(shop, true).await;
            world.environment.advance(Duration::from_secs(60));
        }
        bring_back(shop, "r-1", &back, &cart, 10).await;
        shop.command(&format!("r{n}"), "refund_tender", refund(&back, tender, 100, None)).await.unwrap();
        shop.command(&format!("e{n}"), "finalize_return", json!({"return_id": back})).await.unwrap();
    }
    assert_eq!(world.balance(CARD), 100);
    assert_eq!(world.movements(CARD).len(), 1);
    // What a card paid that was recorded only is put on one that is named.
    bring_back(shop, "r-1", "late", "c0", 10).await;
    let unnamed = shop.command("u", "refund_tender", refund("late", "gift_card", 100, None)).await;
    assert_eq!(refused(unnamed).0, "stored_value_required");
    shop.command("n", "refund_tender", refund("late", "gift_card", 100, Some(CARD))).await.unwrap();
    shop.command("l", "finalize_return", json!({"return_id": "late"})).await.unwrap();
    assert_eq!(world.balance(CARD), 200);
}

#[tokio::test]
async fn a_receipt_shows_the_last_four_only() {
    let world = world().await;
    world.issue(CARD, 100).await;
    sell(&world.shop, "r-1", "c", 10, CARD).await.unwrap();
    let text = receipt(&world).await;
    assert!(text.contains("**** 1111") && !text.contains("AAAA"), "{text}");
}

async fn receipt(world: &World) -> String {
    use tillstream_app::documents::read;
    use tillstream_documents::Format;
    let rendered = read::get(&world.shop.ports, &manager(), "c.receipt", Format::Text, false).await.unwrap();
    String::from_utf8(rendered.document.bytes).unwrap()
}
