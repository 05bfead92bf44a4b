//! Approvals of what happens at the drawer and after the sale, and how old such a command may be.

use super::*;

pub(super) fn cash(action: &str, amount: i64) -> Value {
    json!({"store_id": STORE, "register_id": "r-1", "action": action, "reason": "x", "shift_id": "sh",
        "amount": gbp(amount)})
}

pub(super) fn no_sale() -> Value {
    json!({"store_id": STORE, "register_id": "r-1", "action": "no_sale", "reason": "x", "shift_id": "sh"})
}

pub(super) fn void_of(order: &str) -> Value {
    json!({"store_id": STORE, "register_id": "r-1", "action": "void_order", "reason": "x", "order_id": order})
}

async fn sold(world: &World, cart: &str) {
    world.shop.ready("r-1", cart, &[("A", 1)]).await.unwrap();
    world.shop.finalize("r-1", cart).await.unwrap();
}

/// A tenant that wants an approval for all of it, an open shift, and three sales.
async fn with_shift() -> World {
    let world = World::strict().await;
    world.till("open", "open_till", json!({"shift_id": "sh", "amount": gbp(9_000)})).await.unwrap();
    for order in ["o-1", "o-2", "o-3"] {
        sold(&world, order).await;
    }
    world
}

/// What is approved, the command that is, one that is not the same, and what of it differs.
fn kinds() -> [(&'static str, Value, Value, Value, &'static str); 4] {
    let with = |mut payload: Value, more: Value| {
        payload.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        payload
    };
    let shift = || json!({"shift_id": "sh", "reason": "x"});
    let order = |id: &str| json!({"order_id": id, "reason": "x"});
    [
        (
            "paid_in",
            cash("paid_in", 50),
            with(shift(), json!({"amount": gbp(50)})),
            with(shift(), json!({"amount": gbp(51)})),
            "amount",
        ),
        (
            "paid_out",
            cash("paid_out", 1_001),
            with(shift(), json!({"amount": gbp(1_001)})),
            with(shift(), json!({"amount": gbp(1_002)})),
            "amount",
        ),
        ("no_sale", no_sale(), shift(), shift(), "action"),
        ("void_order", void_of("o-1"), order("o-1"), order("o-2"), "order_id"),
    ]
}

fn naming(payload: &Value, approval: &str) -> Value {
    let mut payload = payload.clone();
    payload["approval_id"] = approval.into();
    payload
}

#[tokio::test]
async fn what_happens_at_the_drawer_is_approved_once_and_exactly() {
    for (action, request, payload, another, field) in kinds() {
        let world = with_shift().await;
        let refused = world.till("bare", action, payload.clone()).await;
        assert_eq!(code(refused), Some("approval_required"), "{action}");
        let none = world.till("none", action, naming(&payload, "nothing")).await;
        assert_eq!(code(none), Some("approval_not_found"), "{action}");
        world.ask("ask-slow", naming(&request, "slow")).await.unwrap();
        let pending = world.till("slow", action, naming(&payload, "slow")).await;
        assert_eq!(code(pending), Some("approval_pending"), "{action}");
        world.decide(&manager(), "deny", "slow", false).await.unwrap();
        let denied = world.till("slow", action, naming(&payload, "slow")).await;
        assert_eq!(code(denied), Some("approval_denied"), "{action}");

        // Of another action, or of the same with something else in it.
        let other = if field == "action" { void_of("o-3") } else { request.clone() };
        world.granted("other", other).await;
        let before = world.items();
        let differs = refusal(world.till("differs", action, naming(&another, "other")).await);
        assert_eq!(differing(&differs), [field], "{action}");
        assert_eq!(world.items(), before, "{action}");

        world.granted("ap", request.clone()).await;
        let done = world.till("done", action, naming(&payload, "ap")).await.unwrap();
        assert_eq!(world.status("ap").await, "used", "{action}");
        if let Some(shift) = &done.reply.result.shift {
            let shift = serde_json::to_value(shift).unwrap();
            assert_eq!(shift["movements"][0]["approval_id"], "ap", "{shift}");
        }
        assert!(world.till("done", action, naming(&payload, "ap")).await.unwrap().replayed, "{action}");
        let twice = naming(if action == "void_order" { &payload } else { &another }, "ap");
        let again = world.till("again", action, twice).await;
        let wanted = match action {
            // The order is undone by then, which is told first.
            "void_order" => "order_already_voided",
            "no_sale" => "approval_used",
            _ => "approval_does_not_match",
        };
        assert_eq!(code(again), Some(wanted), "{action}");
        if field == "amount" {
            let exactly = world.till("exactly", action, naming(&payload, "ap")).await;
            assert_eq!(code(exactly), Some("approval_used"), "{action}");
        }
    }
}

#[tokio::test]
async fn an_approval_of_the_drawer_ends() {
    for (action, request, payload, ..) in kinds() {
        let world = with_shift().await;
        world.granted("ap", request).await;
        world.environment.advance(Duration::from_secs(301));
        let late = world.till("late", action, naming(&payload, "ap")).await;
        assert_eq!(code(late), Some("approval_expired"), "{action}");
    }
}

/// What is kept beside a movement as a supervisor's word is one: also where the role needs none.
#[tokio::test]
async fn no_approval_is_made_up() {
    let world = with_shift().await;
    for (action, _, payload, ..) in kinds() {
        let sent = envelope(STORE, "r-1", "m", action, naming(&payload, "made-up"));
        let refused = execute(&world.shop.ports, &manager(), sent).await;
        assert_eq!(code(refused), Some("approval_not_found"), "{action}");
    }
    for action in ["cash_count", "close_till"] {
        let counted = json!({"shift_id": "sh", "counted": gbp(1), "approval_id": "made-up"});
        for who in [manager(), cashier()] {
            let sent = envelope(STORE, "r-1", "count", action, counted.clone());
            let refused = execute(&world.shop.ports, &who, sent).await;
            assert_eq!(code(refused), Some("approval_not_expected"), "{action}");
        }
    }
    // A manager may use what a cashier was granted.
    world.granted("ap", cash("paid_in", 50)).await;
    let payload = json!({"shift_id": "sh", "amount": gbp(50), "reason": "x", "approval_id": "ap"});
    execute(&world.shop.ports, &manager(), envelope(STORE, "r-1", "in", "paid_in", payload)).await.unwrap();
    assert_eq!(world.status("ap").await, "used");
}

/// The tenant's bound on the age of commands is for all of them.
#[tokio::test]
async fn a_command_of_the_drawer_may_be_too_old() {
    let world = World::new().await;
    let old = "2010-12-01T08:26:00Z";
    let send = |key: &str, action: &str, payload: Value, at: &str| {
        let mut sent = envelope(STORE, "r-1", key, action, payload);
        sent["occurred_at"] = at.into();
        execute_as_cashier(&world.shop.ports, sent)
    };
    let open = json!({"shift_id": "sh", "amount": gbp(500)});
    send("open", "open_till", open.clone(), old).await.unwrap();
    let put = json!({"shift_id": "sh", "amount": gbp(70), "reason": "x"});
    send("in", "paid_in", put.clone(), old).await.unwrap();
    world.settings("s", json!({"command_age_max_seconds": 7_200})).await;
    let before = world.items();
    let of_shift = json!({"shift_id": "sh", "reason": "x"});
    let counted = json!({"shift_id": "sh", "counted": gbp(570)});
    for (action, payload) in [
        ("open_till", json!({"amount": gbp(1)})),
        ("open_till", json!({"shift_id": "other"})),
        ("paid_in", put.clone()),
        ("paid_out", put.clone()),
        ("no_sale", of_shift),
        ("cash_count", counted.clone()),
        ("close_till", counted.clone()),
    ] {
        let refused = send("new", action, payload, old).await;
        assert_eq!(code(refused), Some("occurred_at_too_old"), "{action}");
    }
    assert_eq!(world.items(), before);
    // What took effect before is answered, however old; not so another under its key.
    assert!(send("open", "open_till", open, old).await.unwrap().replayed);
    assert!(send("in", "paid_in", put, old).await.unwrap().replayed);
    let reused = json!({"shift_id": "sh", "amount": gbp(71), "reason": "x"});
    assert_eq!(code(send("in", "paid_in", reused, old).await), Some("idempotency_key_reused"));
    send("close", "close_till", counted, "2026-03-02T09:00:00Z").await.unwrap();
}
