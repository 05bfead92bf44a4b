//! Issuing, crediting, debiting and blocking by hand: once each, by whoever may.

use std::collections::BTreeSet;
use std::time::Duration;

use serde_json::{Value, json};
use tillstream_app::stored_value::{administer, read};
use tillstream_app::tenancy::{Caller, Role, Stores};
use tillstream_app::{Error, Refusal, RefusalKind, Result};
use tillstream_contracts::stored_value::StoredValueMovementFilter;
use tillstream_domain::card_number::contains_card_number;
use tillstream_domain::stored_value::check_number;
use tillstream_testkit::shop::caller;

use super::fixture::{ADA, CARD, World, manager, refused, world};

async fn issue(world: &World, key: &str, sent: Value) -> Result<administer::Answer> {
    let sent = serde_json::from_value(sent).unwrap();
    administer::issue(&world.shop.ports, &manager(), key, sent).await
}

fn card(id: Option<&str>, amount: i64) -> Value {
    json!({"id": id, "kind": "gift_card", "currency": "GBP", "amount": amount, "reason": "sold"})
}

#[tokio::test]
async fn each_change_is_made_once_and_told_again_as_it_stands_now() {
    let world = world().await;
    let issued = world.issue(CARD, 500).await;
    let view = serde_json::to_value(&issued.stored_value).unwrap();
    let expected = json!({"id": CARD, "kind": "gift_card", "status": "active", "customer_id": null,
        "balance": {"amount": 500, "currency": "GBP"}, "expires_at": null, "blocked_reason": null,
        "issued_at": "2026-03-02T09:00:00Z", "version": 1});
    assert_eq!((view, issued.replayed), (expected, false));
    let script = [("credit", 250, 750), ("debit", 700, 50), ("block", 0, 50), ("unblock", 0, 50)];
    for (n, (what, amount, balance)) in (2..).zip(script) {
        for replayed in [false, true] {
            let answer = world.change(what, what, CARD, amount).await.unwrap();
            let told = (answer.stored_value.balance.amount, answer.stored_value.version, answer.replayed);
            assert_eq!(told, (balance, n, replayed), "{what}");
        }
        assert_eq!(world.balance(CARD), balance);
        let reused = match what {
            "credit" | "debit" => world.change(what, what, CARD, amount + 1).await,
            _ => continue,
        };
        assert_eq!(refused(reused).0, "idempotency_key_reused");
    }
    let again = issue(&world, &format!("issue-{CARD}"), card(Some(CARD), 500)).await.unwrap();
    assert_eq!(
        (again.replayed, again.stored_value.balance.amount, again.stored_value.version),
        (true, 50, 5)
    );
    let kinds: Vec<String> = world.movements(CARD).into_iter().map(|(kind, _)| kind).collect();
    assert_eq!(kinds.len(), 5);
}

#[tokio::test]
async fn every_refusal_changes_nothing() {
    let world = world().await;
    world.issue(CARD, 100).await;
    let before = world.orders();
    let past = json!({"kind": "gift_card", "currency": "GBP", "amount": 1, "reason": "x",
        "expires_at": "2026-03-02T09:00:00Z"});
    let account =
        |id: &str| json!({"id": id, "kind": "account", "currency": "GBP", "amount": 1, "reason": "x"});
    let mut no_reason = card(None, 1);
    no_reason["reason"] = json!("  ");
    for (sent, code) in [
        (card(Some("12345"), 1), "gift_card_number_malformed"),
        (card(Some(&"x".repeat(41)), 1), "gift_card_number_malformed"),
        (card(Some("GC_12345"), 1), "gift_card_number_malformed"),
        (card(Some("GC 12345"), 1), "id_malformed"),
        (card(Some("4111111111111111"), 1), "card_number_refused"),
        (card(Some("4111-1111-1111-1111"), 1), "card_number_refused"),
        (account("a#b"), "id_malformed"),
        (card(None, -1), "amount_out_of_range"),
        (card(None, 1_000_000_000_001), "amount_out_of_range"),
        (past, "expires_at_past"),
        (no_reason, "reason_required"),
        (json!({"kind": "account", "currency": "GBP", "amount": 1, "reason": "x"}), "customer_required"),
        (card(Some(CARD), 1), "stored_value_exists"),
        (account(CARD), "stored_value_exists"),
    ] {
        assert_eq!(refused(issue(&world, "new", sent.clone()).await).0, code, "{sent}");
        assert_eq!(world.orders(), before, "{sent}");
    }
    for (what, id, amount, code, left) in [
        ("credit", CARD, 0, "amount_not_positive", None),
        ("credit", CARD, -5, "amount_not_positive", None),
        ("credit", CARD, i64::MAX, "amount_out_of_range", None),
        ("credit", CARD, 1_000_000_000_000, "amount_out_of_range", None),
        ("debit", CARD, 101, "insufficient_balance", Some(100)),
        ("debit", CARD, i64::MIN, "amount_not_positive", None),
        ("unblock", CARD, 0, "stored_value_not_blocked", None),
        ("credit", "GC-NONE", 1, "stored_value_not_found", None),
        ("block", "GC-NONE", 0, "stored_value_not_found", None),
        ("debit", "4111111111111111", 1, "card_number_refused", None),
    ] {
        assert_eq!(refused(world.change(what, "k", id, amount).await), (code, left), "{what} {amount}");
        assert_eq!(world.orders(), before, "{what} {amount}");
    }
    world.change("block", "b", CARD, 0).await.unwrap();
    assert_eq!(refused(world.change("block", "c", CARD, 0).await).0, "stored_value_blocked");
    world.change("debit", "move it", CARD, 100).await.unwrap();
}

/// Two who looked at the same balance: who comes second is told, and repeats of the first are answered.
#[tokio::test]
async fn a_change_is_held_to_the_version_that_it_names() {
    let world = world().await;
    world.issue(CARD, 100).await;
    let ports = &world.shop.ports;
    let moved = || serde_json::from_value(json!({"amount": 5, "reason": "x"})).unwrap();
    let why = || serde_json::from_value(json!({"reason": "x"})).unwrap();
    let of = |wanted: u64| {
        move |version: u64| {
            let stale = || Refusal::new(RefusalKind::PreconditionFailed, "version_mismatch", "stale");
            if version == wanted { Ok(()) } else { Err(stale()) }
        }
    };
    let who = manager();
    for version in 1..=4 {
        let before = world.orders();
        for stale in [version - 1, version + 1] {
            let refusals = [
                administer::credit(ports, &who, "s", CARD, moved(), of(stale)).await,
                administer::debit(ports, &who, "s", CARD, moved(), of(stale)).await,
                administer::block(ports, &who, "s", CARD, why(), of(stale)).await,
                administer::unblock(ports, &who, "s", CARD, why(), of(stale)).await,
            ];
            for refusal in refusals {
                assert_eq!(refused(refusal).0, "version_mismatch");
            }
        }
        assert_eq!(world.orders(), before, "version {version}");
        // Told again, it is not held to a version that it has changed itself.
        for replayed in [false, true] {
            let done = match version {
                1 => administer::credit(ports, &who, "k1", CARD, moved(), of(1)).await,
                2 => administer::debit(ports, &who, "k2", CARD, moved(), of(2)).await,
                3 => administer::block(ports, &who, "k3", CARD, why(), of(3)).await,
                _ => administer::unblock(ports, &who, "k4", CARD, why(), of(4)).await,
            };
            let done = done.unwrap();
            assert_eq!((done.stored_value.version, done.replayed), (version + 1, replayed));
        }
    }
}

/// Whoever does it, the movement says who and why: any manager of the tenant may change any card.
#[tokio::test]
async fn every_change_names_who_made_it() {
    let world = world().await;
    let far = Caller {
        subject: "manager-2".to_owned(),
        stores: Stores::Named(BTreeSet::from(["s-2".to_owned()])),
        ..manager()
    };
    world.issue(CARD, 100).await;
    world.environment.advance(Duration::from_secs(1));
    let sent = serde_json::from_value(json!({"amount": 5, "reason": "torn box"})).unwrap();
    administer::credit(&world.shop.ports, &far, "k", CARD, sent, |_| Ok(())).await.unwrap();
    let filter = StoredValueMovementFilter::default();
    let listed = read::movements(&world.shop.ports, &far, CARD, filter).await.unwrap().items;
    let told: Vec<_> = listed.iter().map(|one| (one.by.as_str(), one.reason.as_deref())).collect();
    assert_eq!(told, [("manager-2", Some("torn box")), ("e-1", Some("sold"))]);
}

#[tokio::test]
async fn only_who_may_changes_it_and_no_other_tenant_sees_it() {
    let world = world().await;
    world.issue(CARD, 100).await;
    let ports = &world.shop.ports;
    for role in [Role::Cashier, Role::Analyst, Role::WarehouseStaff, Role::FranchiseOwner] {
        let who = caller("demo", &[role]);
        let sent = || serde_json::from_value(json!({"amount": 1, "reason": "x"})).unwrap();
        let why = || serde_json::from_value(json!({"reason": "x"})).unwrap();
        let new = serde_json::from_value(card(None, 1)).unwrap();
        let filter = StoredValueMovementFilter::default();
        let refusals = [
            administer::issue(ports, &who, "k", new).await.err(),
            administer::credit(ports, &who, "k1", CARD, sent(), |_| Ok(())).await.err(),
            administer::debit(ports, &who, "k2", CARD, sent(), |_| Ok(())).await.err(),
            administer::block(ports, &who, "k3", CARD, why(), |_| Ok(())).await.err(),
            administer::unblock(ports, &who, "k4", CARD, why(), |_| Ok(())).await.err(),
            read::movements(ports, &who, CARD, filter).await.err(),
        ];
        for refusal in refusals {
            assert_eq!(refusal.and_then(|error| error.code()), Some("role_required"), "{role:?}");
        }
        let seen = read::get(ports, &who, CARD).await.map(|view| view.balance.amount);
        match role {
            Role::Cashier => assert_eq!(seen.unwrap(), 100),
            _ => assert_eq!(refused(seen).0, "role_required"),
        }
    }
    for role in [Role::StoreManager, Role::Integration, Role::Operator] {
        let who = caller("other", &[role]);
        assert_eq!(refused(read::get(ports, &who, CARD).await).0, "stored_value_not_found");
    }
}

#[tokio::test]
async fn who_names_none_gets_a_number_or_the_customers_account() {
    let world = world().await;
    let mut numbers = BTreeSet::new();
    for n in 0..50 {
        let first = issue(&world, &format!("k{n}"), card(None, 10)).await.unwrap().stored_value.id;
        let again = issue(&world, &format!("k{n}"), card(None, 10)).await.unwrap();
        assert_eq!((&again.stored_value.id, again.replayed), (&first, true));
        check_number(&first).unwrap();
        assert!(!contains_card_number(&first) && first.len() == 19, "{first}");
        numbers.insert(first);
    }
    assert_eq!(numbers.len(), 50);
    let sent =
        json!({"kind": "account", "currency": "GBP", "amount": 0, "customer_id": ADA, "reason": "new"});
    let account = issue(&world, "a", sent.clone()).await.unwrap().stored_value;
    assert_eq!((account.id.as_str(), account.customer_id.as_deref()), (ADA, Some(ADA)));
    assert_eq!(refused(issue(&world, "b", sent).await).0, "stored_value_exists");
    let called = json!({"id": "k-7", "kind": "account", "currency": "GBP", "amount": 0, "reason": "new"});
    let called = issue(&world, "c", called).await.unwrap().stored_value;
    assert_eq!(called.customer_id.as_deref(), Some("k-7"), "it is called after whose it is");
    let reused = issue(&world, "k1", card(None, 11)).await;
    assert_eq!(refused(reused).0, "idempotency_key_reused");
}

#[tokio::test]
async fn movements_are_listed_newest_first_and_sum_to_the_balance() {
    let world = world().await;
    world.issue(CARD, 1_000).await;
    for n in 0..24 {
        world.environment.advance(Duration::from_secs(1));
        let what = if n % 3 == 0 { "debit" } else { "credit" };
        world.change(what, &format!("k{n}"), CARD, n + 1).await.unwrap();
    }
    let mut seen = Vec::new();
    for limit in [1, 7, 25, 200] {
        let mut cursor = None;
        let mut items = Vec::new();
        loop {
            let filter = StoredValueMovementFilter { limit: Some(limit), cursor };
            let page = read::movements(&world.shop.ports, &manager(), CARD, filter).await.unwrap();
            assert!(page.items.len() <= usize::try_from(limit).unwrap());
            items.extend(page.items);
            cursor = page.next_cursor;
            if cursor.is_none() {
                break;
            }
        }
        assert_eq!(items.len(), 25, "pages of {limit}");
        assert!(items.windows(2).all(|two| two[0].at >= two[1].at));
        let sum: i64 = items.iter().map(|item| item.amount.amount).sum();
        assert_eq!(sum, world.balance(CARD));
        seen.push(items);
    }
    assert!(seen.windows(2).all(|two| two[0] == two[1]), "pages of any length tell the same");
    let other = StoredValueMovementFilter { limit: Some(0), cursor: None };
    let answer = read::movements(&world.shop.ports, &manager(), CARD, other).await;
    assert_eq!(refused(answer).0, "limit_out_of_range");
    let bad = StoredValueMovementFilter { limit: None, cursor: Some("x".to_owned()) };
    match read::movements(&world.shop.ports, &manager(), CARD, bad).await {
        Err(Error::Rejected(refusal)) => assert_eq!(refusal.code, "cursor_malformed"),
        other => panic!("{other:?}"),
    }
}
