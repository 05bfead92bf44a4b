//! Carts that are put aside.

use serde_json::{Value, json};
use tillstream_app::database::Table;
use tillstream_testkit::shop::Shop;

use super::fixture::{busy_shop, code, shop, snapshot};

async fn parked(shop: &Shop, register: &str, id: &str, note: &str) {
    for (n, (action, payload)) in [
        ("create_cart", json!({"cart_id": id, "customer_id": "17850"})),
        ("add_line_item", json!({"cart_id": id, "sku": "A", "quantity": 2, "notes": "gift"})),
        (
            "apply_manual_discount",
            json!({"cart_id": id, "kind": "percent_cart", "value": 1_000, "reason": "x"}),
        ),
        ("park_cart", json!({"cart_id": id, "note": note})),
    ]
    .into_iter()
    .enumerate()
    {
        shop.at(register, &format!("{id}-{n}"), action, payload).await.unwrap();
    }
}

async fn listed(shop: &Shop, register: &str, payload: Value) -> (Vec<String>, Option<String>) {
    let answered = shop.at(register, "list", "list_parked_carts", payload).await.unwrap();
    assert!(answered.reply.cart.is_none() && !answered.replayed);
    let result = answered.reply.result;
    (result.parked_carts.unwrap().into_iter().map(|cart| cart.cart_id).collect(), result.next_cursor)
}

#[tokio::test]
async fn a_parked_cart_keeps_everything_and_is_sold_at_another_register() {
    let (shop, database) = shop().await;
    parked(&shop, "r-1", "c", "the lady with the hat").await;
    let answered = shop.at("r-2", "l", "list_parked_carts", json!({})).await.unwrap();
    let expected = json!([{"cart_id": "c", "note": "the lady with the hat", "parked_at": "2010-12-01T08:26:00Z",
        "register_id": "r-1", "employee_id": "e-7", "customer_id": "17850", "line_count": 1,
        "total": {"amount": 459, "currency": "GBP"}}]);
    assert_eq!(serde_json::to_value(answered.reply.result.parked_carts).unwrap(), expected);

    let back = shop.at("r-2", "back", "recall_cart", json!({"cart_id": "c"})).await.unwrap();
    let cart = serde_json::to_value(back.reply.cart).unwrap();
    assert_eq!((cart["state"].as_str(), cart["register_id"].as_str()), (Some("open"), Some("r-2")));
    assert_eq!((&cart["customer_id"], &cart["lines"][0]["notes"]), (&json!("17850"), &json!("gift")));
    assert_eq!(cart["totals"]["total"]["amount"], 459);
    assert_eq!(listed(&shop, "r-1", json!({})).await, (vec![], None));

    // Who parked it may ask again, though it is another's by now; and no more than that.
    let again = shop.at("r-1", "c-3", "park_cart", json!({"cart_id": "c", "note": "the lady with the hat"}));
    let again = again.await.unwrap();
    assert!(again.replayed);
    assert_eq!(again.reply.cart.unwrap().state, "open");
    let line = json!({"cart_id": "c", "sku": "B", "quantity": 1});
    assert_eq!(code(shop.at("r-1", "x", "add_line_item", line.clone()).await), "cart_of_another_register");
    shop.at("r-2", "x", "add_line_item", line).await.unwrap();
    shop.at("r-2", "t", "set_tendering", json!({"cart_id": "c"})).await.unwrap();
    let pay = json!({"cart_id": "c", "tender": "cash", "amount": {"amount": 1_000, "currency": "GBP"}});
    shop.at("r-2", "p", "add_payment", pay).await.unwrap();
    let done = shop.finalize("r-2", "c").await.unwrap();
    assert_eq!(done.reply.consistency_token.as_deref(), Some("s-1/r-2:1"));
    let back = shop.at("r-2", "back", "recall_cart", json!({"cart_id": "c"})).await.unwrap();
    assert!(back.replayed, "what took effect is answered for ever");
    assert!(!database.items(Table::Orders).iter().any(|item| item.opt_text("parked_at").is_some()));
}

#[tokio::test]
async fn a_parked_cart_takes_no_command_but_recall_and_void() {
    let (shop, database) = shop().await;
    parked(&shop, "r-1", "c", "x").await;
    shop.ready("r-1", "paid", &[("A", 1)]).await.unwrap();
    shop.ready("r-1", "final", &[("A", 1)]).await.unwrap();
    shop.finalize("r-1", "final").await.unwrap();
    shop.command("v1", "create_cart", json!({"cart_id": "void"})).await.unwrap();
    shop.command("v2", "void_cart", json!({"cart_id": "void"})).await.unwrap();
    shop.command("r1", "start_return", json!({"return_id": "back", "reason": "x"})).await.unwrap();
    shop.store("s-2").await.unwrap();
    let before = snapshot(&database);
    let of = |cart: &str| json!({"cart_id": cart});
    let money = json!({"amount": 1, "currency": "GBP"});
    let long = "x".repeat(201);
    for (register, action, payload, refused) in [
        ("r-1", "add_line_item", json!({"cart_id": "c", "sku": "B", "quantity": 1}), "wrong_cart_state"),
        (
            "r-1",
            "update_line_item",
            json!({"cart_id": "c", "line_id": "l-1", "quantity": 1}),
            "wrong_cart_state",
        ),
        ("r-1", "remove_line_item", json!({"cart_id": "c", "line_id": "l-1"}), "wrong_cart_state"),
        ("r-1", "set_customer", json!({"cart_id": "c", "customer_id": null}), "wrong_cart_state"),
        ("r-1", "remove_manual_discount", json!({"cart_id": "c", "discount_id": "d-1"}), "wrong_cart_state"),
        ("r-1", "set_tendering", of("c"), "wrong_cart_state"),
        ("r-1", "resume_editing", of("c"), "wrong_cart_state"),
        (
            "r-1",
            "add_payment",
            json!({"cart_id": "c", "tender": "cash", "amount": money}),
            "wrong_cart_state",
        ),
        ("r-1", "remove_payment", json!({"cart_id": "c", "payment_id": "p-1"}), "wrong_cart_state"),
        ("r-1", "finalize_order", of("c"), "wrong_cart_state"),
        ("r-1", "park_cart", of("c"), "wrong_cart_state"),
        ("r-2", "park_cart", of("paid"), "cart_of_another_register"),
        ("r-1", "park_cart", of("paid"), "wrong_cart_state"),
        ("r-1", "park_cart", of("final"), "wrong_cart_state"),
        ("r-1", "park_cart", of("void"), "wrong_cart_state"),
        ("r-1", "park_cart", of("back"), "wrong_cart_kind"),
        ("r-1", "park_cart", of("none"), "cart_not_found"),
        ("r-1", "park_cart", json!({"cart_id": "c", "note": long}), "text_too_long"),
        ("r-1", "park_cart", json!({"cart_id": "c", "note": "4111111111111111"}), "card_number_refused"),
        ("r-1", "recall_cart", of("paid"), "wrong_cart_state"),
        ("r-1", "recall_cart", of("final"), "wrong_cart_state"),
        ("r-1", "recall_cart", of("void"), "wrong_cart_state"),
        ("r-1", "recall_cart", of("back"), "wrong_cart_kind"),
        ("r-9", "recall_cart", of("c"), "register_not_found"),
        ("r-9", "void_cart", of("c"), "register_not_found"),
        ("r-9", "list_parked_carts", json!({}), "register_not_found"),
        ("r-1", "list_parked_carts", json!({"limit": 0}), "limit_out_of_range"),
        ("r-1", "list_parked_carts", json!({"cursor": "x"}), "cursor_malformed"),
        ("r-1", "list_parked_carts", json!({"cart_id": "c"}), "field_invalid"),
    ] {
        let shown = format!("{register} {action} {payload}");
        assert_eq!(code(shop.at(register, "bad", action, payload).await), refused, "{shown}");
    }
    let refused = shop.at("r-1", "bad", "list_parked_carts", json!({"limit": 201})).await.unwrap_err();
    let tillstream_app::Error::Rejected(refused) = refused else { panic!("{refused}") };
    assert_eq!(refused.errors[0].field, "payload.limit");
    let elsewhere = tillstream_testkit::shop::envelope("s-2", "r-1", "bad", "recall_cart", of("c"));
    let operator = tillstream_testkit::shop::caller("demo", &[tillstream_app::tenancy::Role::Operator]);
    let refused = tillstream_app::pos::execute::execute(&shop.ports, &operator, elsewhere).await;
    assert_eq!(code(refused), "cart_of_another_store");
    assert_eq!(snapshot(&database), before, "a refusal changed something");

    shop.at("r-3", "clear", "void_cart", json!({"cart_id": "c", "reason": "never came back"})).await.unwrap();
    assert_eq!(listed(&shop, "r-1", json!({})).await, (vec![], None));
    assert_eq!(code(shop.at("r-3", "bad", "recall_cart", of("c")).await), "cart_of_another_register");
    assert_eq!(code(shop.at("r-1", "bad", "recall_cart", of("c")).await), "wrong_cart_state");
}

#[tokio::test]
async fn a_list_is_paged_the_last_parked_first() {
    let (shop, _) = shop().await;
    for n in 0..7 {
        parked(&shop, "r-1", &format!("c-{n}"), "x").await;
    }
    let (first, cursor) = listed(&shop, "r-2", json!({"limit": 3})).await;
    assert_eq!(first, ["c-6", "c-5", "c-4"]);
    // What the page ended with is gone meanwhile: the next page goes on all the same.
    shop.at("r-2", "back", "recall_cart", json!({"cart_id": "c-4"})).await.unwrap();
    let (second, cursor) = listed(&shop, "r-2", json!({"limit": 3, "cursor": cursor.unwrap()})).await;
    assert_eq!(second, ["c-3", "c-2", "c-1"]);
    assert_eq!(
        listed(&shop, "r-2", json!({"limit": 3, "cursor": cursor.unwrap()})).await,
        (vec!["c-0".to_owned()], None)
    );
    assert_eq!(listed(&shop, "r-2", json!({"limit": 6})).await.1, None, "six are left, and no page after");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn of_registers_that_recall_a_cart_at_once_one_has_it() {
    let (shop, _) = busy_shop().await;
    for round in 0..10 {
        let id = format!("c-{round}");
        parked(&shop, "r-1", &id, "x").await;
        let tasks: Vec<_> = (0..8)
            .map(|n| {
                let (shop, id) = (shop.clone(), id.clone());
                tokio::spawn(async move {
                    let action = if n % 4 == 3 { "void_cart" } else { "recall_cart" };
                    let key = format!("{id}-take-{n}");
                    code(shop.at(&format!("r-{}", n % 4 + 1), &key, action, json!({"cart_id": id})).await)
                })
            })
            .collect();
        let mut done = 0;
        for task in tasks {
            match task.await.unwrap() {
                "done" => done += 1,
                refused => {
                    assert!(["wrong_cart_state", "cart_of_another_register"].contains(&refused), "{refused}")
                }
            }
        }
        // A register that recalled it may be the one whose other command then finds it open.
        assert_eq!(done, 1, "round {round}");
        assert_eq!(listed(&shop, "r-1", json!({})).await.0, Vec::<String>::new(), "round {round}");
    }
}
