//! One call of the database fails, whichever it is: repeated, every request has its one effect.

use futures::FutureExt;
use serde_json::{Value, json};

use super::fixture::{ADA, CARD, OTHER, change, gbp, manager, payment, refund, world};
use crate::one_fault::{
    Moment, READS, READS_TOGETHER, Request, command, fail_each_call, placed, shop_on, sum, told,
};
use tillstream_app::stored_value::administer;

fn changed(what: &'static str, amount: i64) -> Request {
    Box::new(move |shop| {
        async move {
            let answer = change(&shop, what, what, CARD, amount).await?;
            Ok(serde_json::to_value(answer.stored_value).unwrap())
        }
        .boxed()
    })
}

fn issued(id: Option<&'static str>) -> Request {
    Box::new(move |shop| {
        async move {
            let sent =
                json!({"id": id, "kind": "gift_card", "currency": "GBP", "amount": 9, "reason": "sold"});
            let sent = serde_json::from_value(sent).unwrap();
            let answer = administer::issue(&shop.ports, &manager(), "new", sent).await?;
            Ok(serde_json::to_value(answer.stored_value.balance).unwrap())
        }
        .boxed()
    })
}

#[tokio::test]
async fn every_request_outlives_one_fault_and_moves_each_balance_once() {
    let world = world().await;
    world.issue(CARD, 500).await;
    world.issue(ADA, 500).await;
    let (shop, database, environment) = (&world.shop, &world.database, &world.environment);
    let of = |cart: &str| json!({"cart_id": cart});
    let mut tipped = payment("c", "gift_card", 100, Some(CARD));
    tipped["tip"] = gbp(5);
    let line = |id: &str| json!({"return_id": id, "line_id": "l-1", "quantity": 1, "disposition": "restock"});
    let web = json!({"order_id": "o", "store_id": "s-1", "channel": "web", "customer_id": ADA,
        "lines": [{"sku": "A", "quantity": 1}],
        "payments": [{"tender": "account", "amount": gbp(60)},
            {"tender": "gift_card", "amount": gbp(40), "external_reference": CARD}]});
    let at = |key: &str, action: &'static str, payload: Value| command("r-1", key, action, payload);
    // The request, what it is refused for, and what the card and the account hold afterwards.
    type Step = (&'static str, Request, Option<&'static str>, (i64, i64));
    let script: Vec<Step> = vec![
        ("create", at("1", "create_cart", json!({"cart_id": "c", "customer_id": ADA})), None, (500, 500)),
        (
            "line",
            at("2", "add_line_item", json!({"cart_id": "c", "sku": "A", "quantity": 3})),
            None,
            (500, 500),
        ),
        ("tender", at("3", "set_tendering", of("c")), None, (500, 500)),
        ("pay by card", at("4", "add_payment", tipped), None, (500, 500)),
        ("pay by account", at("5", "add_payment", payment("c", "account", 150, None)), None, (500, 500)),
        (
            "pay too much",
            at("6", "add_payment", {
                let mut more = payment("c", "gift_card", 50, Some(CARD));
                more["tip"] = gbp(400);
                more
            }),
            Some("insufficient_balance"),
            (500, 500),
        ),
        ("pay the rest", at("7", "add_payment", payment("c", "gift_card", 50, Some(CARD))), None, (500, 500)),
        ("sell", at("8", "finalize_order", of("c")), None, (345, 350)),
        (
            "begin a return",
            at("9", "start_return", json!({"return_id": "b", "original_order_id": "c", "reason": "x"})),
            None,
            (345, 350),
        ),
        ("bring back", at("10", "return_line_item", line("b")), None, (345, 350)),
        ("refund", at("11", "refund_tender", refund("b", "gift_card", 70, None)), None, (345, 350)),
        ("refund more", at("12", "refund_tender", refund("b", "account", 30, None)), None, (345, 350)),
        ("return", at("13", "finalize_return", json!({"return_id": "b"})), None, (415, 380)),
        ("order", placed(web), None, (375, 320)),
        (
            "void",
            at("14", "void_order", json!({"order_id": "c", "reason": "x"})),
            Some("order_already_returned"),
            (375, 320),
        ),
        ("issue", issued(Some(OTHER)), None, (375, 320)),
        ("credit", changed("credit", 25), None, (400, 320)),
        ("debit", changed("debit", 100), None, (300, 320)),
        ("block", changed("block", 0), None, (300, 320)),
        ("unblock", changed("unblock", 0), None, (300, 320)),
    ];
    let mut faults = 0;
    for (label, request, refused, (card, account)) in script {
        let moment = Moment::of(database, environment);
        let client_repeats = match label {
            "create" | "begin a return" | "order" => READS,
            _ => READS_TOGETHER,
        };
        faults += sum(&fail_each_call(label, &moment, client_repeats, &request).await);
        // Sent again after a lost answer, on a copy: its effect is one.
        let (copy, clock) = moment.copied().await;
        for _ in 0..2 {
            let answer = told(request(shop_on(copy.clone(), clock.clone())).await).unwrap();
            assert_eq!(answer.err(), refused, "{label}");
        }
        assert_eq!(told(request(shop.clone()).await).unwrap().err(), refused, "{label}");
        assert_eq!((world.balance(CARD), world.balance(ADA)), (card, account), "{label}");
    }
    assert!(faults >= 150, "{faults} faults");
}

#[tokio::test]
async fn a_void_outlives_one_fault_and_gives_back_once() {
    let world = world().await;
    world.issue(CARD, 100).await;
    super::fixture::sell(&world.shop, "r-1", "c", 10, CARD).await.unwrap();
    let moment = Moment::of(&world.database, &world.environment);
    let void = command("r-1", "v", "void_order", json!({"order_id": "c", "reason": "x"}));
    assert!(sum(&fail_each_call("void", &moment, READS, &void).await) >= 15);
    told(void(world.shop.clone()).await).unwrap().unwrap();
    told(void(world.shop.clone()).await).unwrap().unwrap();
    assert_eq!(world.balance(CARD), 100);
}

/// The number that was made is told again, whatever became of the first answer.
#[tokio::test]
async fn a_number_that_is_made_is_made_once() {
    let world = world().await;
    let moment = Moment::of(&world.database, &world.environment);
    assert!(sum(&fail_each_call("issue", &moment, READS, &issued(None)).await) >= 8);
}
