//! The way of an order from elsewhere.

use serde_json::{Value, json};
use tillstream_app::Refusal;
use tillstream_app::RefusalKind;
use tillstream_app::database::{Change, Database, Table, Write};
use tillstream_app::dispatch::delivery::Delivery;
use tillstream_app::facts::sale_event;
use tillstream_app::keeper::versions::announce_due;
use tillstream_app::orders::status::change;
use tillstream_app::pos::cart_item::cart_of;
use tillstream_app::tenancy::{Role, Stores};
use tillstream_app::tenant_rules::stored_rules::promotion_item;
use tillstream_testkit::memory_messaging::MemoryQueue;
use tillstream_testkit::shop::{STORE, Shop, caller};

use super::fixture::{busy_shop, cart_item, code, gbp, moved, numbers, order, placed, shop, snapshot, told};

#[tokio::test]
async fn an_order_on_account_goes_all_its_way() {
    let (shop, database) = shop().await;
    placed(&shop, "o", &[("A", 2)], json!([])).await.unwrap();
    let steps = [
        json!({"status": "paid", "payments": [
            {"tender": "card", "amount": gbp(500), "external_reference": "psp-1"},
            {"tender": "voucher", "amount": gbp(10)}]}),
        json!({"status": "allocated"}),
        json!({"status": "shipped", "tracking": {"carrier": "dpd", "number": "0123 4567 8901 23"}, "reason": "on time"}),
        json!({"status": "delivered"}),
    ];
    for (n, body) in (2_u32..).zip(steps) {
        let before = cart_item(&database, "o");
        let changed = moved(&shop, &format!("k-{n}"), "o", body.clone()).await.unwrap();
        assert!(!changed.replayed && changed.counted.is_none());
        assert_eq!(changed.order.finalized.as_ref().unwrap().order_version, n);
        let after = cart_item(&database, "o");
        assert_eq!(told(&before, &after), (false, Some(n)), "told once, counted never");
        let state = snapshot(&database);
        let again = moved(&shop, &format!("k-{n}"), "o", body).await.unwrap();
        assert!(again.replayed);
        assert_eq!(snapshot(&database), state);
    }
    let read = order(&shop, "o").await;
    assert_eq!((&read["status"], &read["order_version"]), (&json!("delivered"), &json!(5)));
    let history = read["history"].as_array().unwrap();
    let ways: Vec<&str> = history.iter().map(|h| h["status"].as_str().unwrap()).collect();
    assert_eq!(ways, ["placed", "paid", "allocated", "shipped", "delivered"]);
    assert_eq!(history[1]["payments"][0]["external_reference"], "psp-1");
    assert_eq!(history[3]["tracking"], json!({"carrier": "dpd", "number": "0123 4567 8901 23"}));
    assert_eq!((&read["refunds"], &read["cancelled_by"]), (&Value::Null, &Value::Null));
    assert_eq!(read["payments"][0]["tender"], "account", "what was counted stays");
    // The message of a version says what made it, and never changes.
    let cart = cart_of(&cart_item(&database, "o")).unwrap();
    let message = |version: u32| {
        let delivery = Delivery { order_version: version, order_status: "x".into(), ..delivery(&shop) };
        tillstream_app::dispatch::message::order_message(&delivery, &cart).unwrap()
    };
    assert!(message(1).change.is_none());
    assert_eq!(message(2).change.unwrap().payments.len(), 2);
    assert_eq!(message(4).change.unwrap().tracking_number.as_deref(), Some("0123 4567 8901 23"));
}

fn delivery(shop: &Shop) -> Delivery {
    let at = shop.ports.environment.now();
    Delivery {
        payload: None,
        scope: shop.scope.clone(),
        order_id: "o".into(),
        order_version: 1,
        order_status: "placed".into(),
        lane_number: "s-1/virtual-1:1".parse().unwrap(),
        occurred_at: at,
        status: tillstream_contracts::dispatch::DeliveryStatus::Pending,
        attempts: 0,
        refusals: 0,
        suspected: 0,
        enqueue_count: 1,
        unanswered: 0,
        next_attempt_at: at,
        last_attempt_at: None,
        last_status: None,
        last_error: None,
        created_at: at,
        updated_at: at,
        due_at: at,
        discarded: None,
        actions: Vec::new(),
        rev: 0,
    }
}

#[tokio::test]
async fn a_cancellation_brings_all_of_an_order_back() {
    let (shop, database) = shop().await;
    placed(&shop, "o", &[("A", 2), ("B", 1)], json!([])).await.unwrap();
    let settled = json!([{"tender": "card", "amount": gbp(610), "external_reference": "psp-1"}]);
    moved(&shop, "k-1", "o", json!({"status": "paid", "payments": settled})).await.unwrap();
    assert_eq!(shop.counters(STORE, "A").await.unwrap().available, 98_000);
    let before = cart_item(&database, "o");
    let body = json!({"status": "cancelled", "reason": "changed their mind"});
    let changed = moved(&shop, "k-2", "o", body.clone()).await.unwrap();
    let counted = changed.counted.unwrap();
    assert_eq!(shop.counters(STORE, "A").await.unwrap().available, 100_000);
    assert_eq!(told(&before, &cart_item(&database, "o")), (false, Some(3)));
    let sale = sale_event(&shop.scope, &cart_of(&before).unwrap()).unwrap();
    let back = sale_event(&shop.scope, &counted).unwrap();
    assert_eq!(sale.detail, back.detail, "figures take back what they counted");
    assert!(back.register_id.starts_with("virtual-"));
    let read = order(&shop, "o").await;
    assert_eq!((&read["status"], &read["cancelled_by"]), (&json!("cancelled"), &json!("e-1")));
    // What settled the account is given back, not the account.
    assert_eq!(
        read["refunds"],
        json!([{"tender": "card", "amount": gbp(610), "tip": gbp(0), "external_reference": "psp-1"}])
    );
    assert_eq!(read["undone_by"], json!(counted.id));
    let again = moved(&shop, "k-2", "o", body).await.unwrap();
    assert!(again.replayed);
    assert_eq!(again.counted.unwrap().finalized, counted.finalized);
    // Unpaid, nothing but the account is owed nothing any more.
    placed(&shop, "p", &[("A", 1)], json!([])).await.unwrap();
    moved(&shop, "k-1", "p", json!({"status": "cancelled"})).await.unwrap();
    assert_eq!(
        order(&shop, "p").await["refunds"],
        json!([{"tender": "account", "amount": gbp(255), "tip": gbp(0)}])
    );
}

/// The last use of a promotion is free again when the order that took it is cancelled.
#[tokio::test]
async fn a_cancellation_gives_uses_back() {
    let (shop, database) = shop().await;
    let promotion = serde_json::from_value(json!({"id": "few", "version": 1, "name": "few", "priority": 1,
        "automatic": true, "benefit": {"percentage": {"bps": 5_000}}, "limits": {"total": 1}}))
    .unwrap();
    let item = promotion_item(&shop.scope, &promotion).unwrap();
    database.write(Write::Put { table: Table::Catalog, item, condition: None }).await.unwrap();
    let used = || {
        let items = database.items(Table::Orders);
        items.iter().filter_map(|item| item.opt_number("used")).collect::<Vec<_>>()
    };
    for id in ["o", "p"] {
        let executed = placed(&shop, id, &[("B", 2)], json!([])).await.unwrap();
        assert_eq!((executed.cart.totals().unwrap().total, used()), (100, vec![1]), "{id}");
        moved(&shop, &format!("cancel-{id}"), id, json!({"status": "cancelled"})).await.unwrap();
        assert_eq!(used(), [0]);
    }
}

#[tokio::test]
async fn what_an_order_cannot_become_it_does_not() {
    let (shop, database) = shop().await;
    let card = |amount: i64| json!([{"tender": "card", "amount": gbp(amount)}]);
    for (id, payments, steps) in [
        ("placed", json!([]), vec![]),
        ("paid", card(255), vec![]),
        ("shipped", card(255), vec!["allocated", "shipped"]),
        ("cancelled", card(255), vec!["allocated", "cancelled"]),
    ] {
        placed(&shop, id, &[("A", 1)], payments).await.unwrap();
        for status in steps {
            moved(&shop, &format!("{id}-{status}"), id, json!({"status": status})).await.unwrap();
        }
    }
    shop.ready("r-1", "till", &[("A", 1)]).await.unwrap();
    shop.ready("r-1", "open", &[("A", 1)]).await.unwrap();
    shop.finalize("r-1", "till").await.unwrap();
    placed(&shop, "part", &[("A", 2)], card(510)).await.unwrap();
    for (n, (action, payload)) in [
        ("start_return", json!({"return_id": "back", "original_order_id": "part", "reason": "x"})),
        (
            "return_line_item",
            json!({"return_id": "back", "line_id": "l-1", "quantity": 1, "disposition": "none"}),
        ),
        ("refund_tender", json!({"return_id": "back", "tender": "card", "amount": gbp(255)})),
        ("finalize_return", json!({"return_id": "back"})),
    ]
    .into_iter()
    .enumerate()
    {
        shop.command(&format!("b-{n}"), action, payload).await.unwrap();
    }
    let before = snapshot(&database);
    let to = |status: &str| json!({"status": status});
    let paid = |payments: Value| json!({"status": "paid", "payments": payments});
    let many: Vec<Value> = (0..51).map(|_| json!({"tender": "card", "amount": gbp(5)})).collect();
    for (id, body, refused, allowed) in [
        ("placed", to("allocated"), "order_status_conflict", Some(json!(["paid", "cancelled"]))),
        ("placed", to("placed"), "order_status_conflict", Some(json!(["paid", "cancelled"]))),
        ("paid", to("shipped"), "order_status_conflict", Some(json!(["allocated", "cancelled"]))),
        ("paid", to("paid"), "order_status_conflict", Some(json!(["allocated", "cancelled"]))),
        ("shipped", to("cancelled"), "order_status_conflict", Some(json!(["delivered"]))),
        ("cancelled", to("paid"), "order_status_conflict", Some(json!([]))),
        ("cancelled", to("cancelled"), "order_status_conflict", Some(json!([]))),
        ("till", to("cancelled"), "order_status_conflict", Some(json!([]))),
        ("till", to("paid"), "order_status_conflict", Some(json!([]))),
        ("back", to("cancelled"), "order_status_conflict", Some(json!([]))),
        ("part", to("cancelled"), "order_already_returned", None),
        ("open", to("paid"), "order_not_found", None),
        ("none", to("paid"), "order_not_found", None),
        ("a b", to("paid"), "id_malformed", None),
        ("paid", to("lost"), "status_unknown", None),
        ("till", to("voided"), "order_status_conflict", Some(json!([]))),
        ("placed", paid(card(254)), "underpaid", None),
        ("placed", paid(card(256)), "overpaid", None),
        ("placed", paid(json!([{"tender": "account", "amount": gbp(255)}])), "settlement_invalid", None),
        ("placed", paid(json!([{"tender": "shells", "amount": gbp(255)}])), "unknown_tender", None),
        ("placed", paid(json!([{"tender": "card", "amount": gbp(0)}])), "amount_not_positive", None),
        (
            "placed",
            paid(json!([{"tender": "card", "amount": {"amount": 255, "currency": "EUR"}}])),
            "currency_mismatch",
            None,
        ),
        ("placed", paid(json!(many)), "too_many_payments", None),
        (
            "placed",
            paid(json!([{"tender": "card", "amount": gbp(255), "external_reference": "4111111111111111"}])),
            "card_number_refused",
            None,
        ),
        ("paid", json!({"status": "allocated", "payments": card(1)}), "settlement_invalid", None),
        ("paid", json!({"status": "allocated", "tracking": {"number": "1"}}), "tracking_not_expected", None),
        ("paid", json!({"status": "shipped", "tracking": {"number": " "}}), "tracking_invalid", None),
        ("paid", json!({"status": "shipped", "tracking": {"number": "é"}}), "tracking_invalid", None),
        (
            "paid",
            json!({"status": "shipped", "tracking": {"number": "x".repeat(65)}}),
            "tracking_invalid",
            None,
        ),
        (
            "paid",
            json!({"status": "shipped", "tracking": {"carrier": "a b", "number": "1"}}),
            "id_malformed",
            None,
        ),
        ("paid", json!({"status": "allocated", "reason": "x".repeat(201)}), "text_too_long", None),
    ] {
        let shown = format!("{id} {body}");
        match moved(&shop, "bad", id, body).await {
            Err(tillstream_app::Error::Rejected(refusal)) => {
                assert_eq!(refusal.code, refused, "{shown}");
                if let Some(allowed) = allowed {
                    assert_eq!(refusal.extra["allowed"], allowed, "{shown}");
                }
            }
            other => panic!("{shown}: {other:?}"),
        }
    }
    let as_role = async |role: Role, body: Value, version: u64| {
        let body = serde_json::from_value(body).unwrap();
        let holds = move |current: Option<u64>| match current == Some(version) {
            true => Ok(()),
            false => Err(Refusal::new(RefusalKind::PreconditionFailed, "version_mismatch", "")),
        };
        code(change(&shop.ports, &caller("demo", &[role]), "bad", "paid", body, holds).await)
    };
    for (role, status, version, expected) in [
        (Role::Cashier, "allocated", 1, "role_required"),
        (Role::Analyst, "allocated", 1, "role_required"),
        (Role::WarehouseStaff, "cancelled", 1, "role_required"),
        (Role::WarehouseStaff, "paid", 1, "role_required"),
        (Role::StoreManager, "allocated", 2, "version_mismatch"),
        (Role::StoreManager, "cancelled", 2, "version_mismatch"),
    ] {
        assert_eq!(as_role(role, to(status), version).await, expected, "{role:?} {status} {version}");
    }
    let mut narrow = caller("demo", &[Role::Integration]);
    narrow.stores = Stores::Named(["s-2".to_owned()].into());
    let body = serde_json::from_value(to("allocated")).unwrap();
    assert_eq!(code(change(&shop.ports, &narrow, "bad", "paid", body, |_| Ok(())).await), "order_not_found");
    assert_eq!(snapshot(&database), before, "a refusal changed something");
    assert_eq!(as_role(Role::WarehouseStaff, to("allocated"), 1).await, "done");
    assert_eq!(code(moved(&shop, "paid-place", "paid", to("shipped")).await), "idempotency_key_reused");
}

/// One order, many who want it elsewhere: each version is one step of one of them.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn of_twenty_changes_at_once_one_is_next() {
    let mut cancelled = 0;
    for round in 0..8 {
        let (shop, database) = busy_shop().await;
        placed(&shop, "o", &[("A", 2)], json!([{"tender": "card", "amount": gbp(510)}])).await.unwrap();
        let tasks: Vec<_> = (0..20)
            .map(|n| {
                let shop = shop.clone();
                tokio::spawn(async move {
                    let status = if (n + round) % 2 == 0 { "allocated" } else { "cancelled" };
                    loop {
                        match moved(&shop, &format!("k-{n}"), "o", json!({"status": status})).await {
                            Err(tillstream_app::Error::Conflict(_)) => {}
                            answer => break (status, code(answer)),
                        }
                    }
                })
            })
            .collect();
        let mut done = Vec::new();
        for task in tasks {
            match task.await.unwrap() {
                (status, "done") => done.push(status),
                (_, refused) => assert_eq!(refused, "order_status_conflict"),
            }
        }
        done.sort_unstable();
        let read = order(&shop, "o").await;
        // Allocated can still be cancelled; cancelled is the end.
        assert!(["allocated cancelled", "cancelled"].contains(&done.join(" ").as_str()), "{done:?}");
        cancelled += 1;
        assert_eq!(
            (read["status"].as_str(), read["order_version"].as_u64()),
            (Some("cancelled"), Some(1 + done.len() as u64))
        );
        assert_eq!(shop.counters(STORE, "A").await.unwrap().on_hand, 100_000);
        let given: usize = (1..=4).map(|n| numbers(&database, &format!("s-1/virtual-{n}")).len()).sum();
        assert_eq!(given, 2, "the order and its cancellation");
    }
    assert_eq!(cancelled, 8);
}

/// The relay saw nothing of it: the keeper makes the deliveries of all versions, once.
#[tokio::test]
async fn versions_that_the_stream_lost_are_delivered_all_the_same() {
    let (shop, database) = shop().await;
    placed(&shop, "o", &[("A", 1)], json!([])).await.unwrap();
    for status in ["paid", "cancelled"] {
        moved(&shop, status, "o", json!({"status": status})).await.unwrap();
    }
    let queue = MemoryQueue::new(shop.ports.environment.clone());
    let now = shop.ports.environment.now();
    let at = |seconds: i64| now + jiff::SignedDuration::from_secs(seconds);
    assert_eq!(announce_due(&shop.ports, &queue, at(59), 10, at(600)).await.unwrap(), 0);
    assert_eq!(announce_due(&shop.ports, &queue, at(60), 10, at(600)).await.unwrap(), 1);
    let told = || {
        let deliveries = database.items(tillstream_app::database::Table::Dispatch).into_iter();
        let deliveries = deliveries.filter(|item| item.opt_text("sk") == Some("delivery"));
        let mut told: Vec<(i64, String)> = deliveries
            .map(|item| {
                (item.number("order_version").unwrap(), item.text("order_status").unwrap().to_owned())
            })
            .collect();
        told.sort();
        told
    };
    let expected = [(1, "placed"), (2, "paid"), (3, "cancelled")].map(|(n, status)| (n, status.to_owned()));
    assert_eq!(told(), expected);
    assert_eq!(announce_due(&shop.ports, &queue, at(900), 10, at(1_600)).await.unwrap(), 0);
    assert_eq!(told(), expected);
}

/// An order that cannot be read holds up no other, and is looked at again later.
#[tokio::test]
async fn an_order_that_cannot_be_read_holds_up_no_other() {
    let (shop, database) = shop().await;
    let ids: Vec<String> = (0..8).map(|n| format!("o-{n}")).collect();
    for id in &ids {
        placed(&shop, id, &[("A", 1)], json!([])).await.unwrap();
        moved(&shop, id, id, json!({"status": "paid"})).await.unwrap();
    }
    let write_body = async |id: &str, body: Vec<u8>| {
        let changes = vec![Change::Set("body", body.into())];
        let write =
            Write::Update { table: Table::Orders, key: shop.scope.cart(id), changes, condition: None };
        database.write(write).await.unwrap();
    };
    let torn = ["o-2", "o-5"];
    let whole = torn.map(|id| cart_item(&database, id).bytes("body").unwrap().to_vec());
    for id in torn {
        write_body(id, vec![255, 1]).await;
    }
    let queue = MemoryQueue::new(shop.ports.environment.clone());
    let now = shop.ports.environment.now();
    let at = |seconds: i64| now + jiff::SignedDuration::from_secs(seconds);
    let told = || {
        let deliveries = database.items(Table::Dispatch).into_iter();
        let deliveries = deliveries.filter(|item| item.opt_text("sk") == Some("delivery"));
        let mut told: Vec<(String, i64)> = deliveries
            .map(|item| (item.text("order_id").unwrap().to_owned(), item.number("order_version").unwrap()))
            .collect();
        told.sort();
        told
    };
    let of = |ids: &[&str]| -> Vec<(String, i64)> {
        ids.iter().flat_map(|id| [((*id).to_owned(), 1), ((*id).to_owned(), 2)]).collect()
    };
    assert_eq!(announce_due(&shop.ports, &queue, at(60), 10, at(600)).await.unwrap(), 8);
    assert_eq!(told(), of(&["o-0", "o-1", "o-3", "o-4", "o-6", "o-7"]));
    // Neither is in the way of what is due until then.
    assert_eq!(announce_due(&shop.ports, &queue, at(359), 10, at(600)).await.unwrap(), 0);
    for (id, body) in torn.into_iter().zip(whole) {
        write_body(id, body).await;
    }
    assert_eq!(announce_due(&shop.ports, &queue, at(360), 10, at(600)).await.unwrap(), 2);
    assert_eq!(told(), of(&["o-0", "o-1", "o-2", "o-3", "o-4", "o-5", "o-6", "o-7"]));
    assert_eq!(announce_due(&shop.ports, &queue, at(900), 10, at(1_600)).await.unwrap(), 0);
}

/// The same change twenty times at once is one change.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn twenty_of_the_same_change_are_one() {
    let (shop, _) = busy_shop().await;
    placed(&shop, "o", &[("A", 2)], json!([])).await.unwrap();
    for (n, status) in ["paid", "allocated", "cancelled"].into_iter().enumerate() {
        let tasks: Vec<_> = (0..20)
            .map(|_| {
                let shop = shop.clone();
                tokio::spawn(async move { moved(&shop, status, "o", json!({"status": status})).await })
            })
            .collect();
        let (mut effects, mut counted) = (0, std::collections::BTreeSet::new());
        for task in tasks {
            let changed = task.await.unwrap().unwrap_or_else(|e| panic!("{status}: {e}"));
            effects += usize::from(!changed.replayed);
            counted.insert(changed.counted.map(|cart| cart.finalized.unwrap().number.to_string()));
        }
        assert_eq!((effects, counted.len()), (1, 1), "{status}");
        assert_eq!(order(&shop, "o").await["order_version"], json!(n + 2));
    }
    assert_eq!(shop.counters(STORE, "A").await.unwrap().seq, 3, "opening, sold, back");
}
