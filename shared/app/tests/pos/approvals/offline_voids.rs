//! What a register voided while it was cut off, and needed an approval for: goods came in and money went out, so it is
//! recorded, and somebody is asked to look into it.

use jiff::Timestamp;
use tillstream_app::pos::batch;
use tillstream_app::stock::exceptions;
use tillstream_contracts::inventory::{ExceptionKind, ExceptionQuery};

use super::at_the_till::void_of;
use super::*;

/// A sale of 2.55 that is voided, by the approval that is named.
fn remembered(voiding: Option<&str>) -> Vec<Value> {
    let by = |approval: Option<&str>, mut payload: Value| {
        if let Some(approval) = approval {
            payload["approval_id"] = approval.into();
        }
        payload
    };
    let script = [
        ("open_till", json!({"shift_id": "sh", "amount": gbp(1_000)})),
        ("create_cart", json!({"cart_id": "o-1"})),
        ("add_line_item", json!({"cart_id": "o-1", "sku": "A", "quantity": 1})),
        ("set_tendering", json!({"cart_id": "o-1"})),
        ("add_payment", json!({"cart_id": "o-1", "tender": "cash", "amount": gbp(255)})),
        ("finalize_order", json!({"cart_id": "o-1"})),
        ("void_order", by(voiding, json!({"order_id": "o-1", "reason": "x"}))),
        ("close_till", json!({"shift_id": "sh", "counted": gbp(1_000)})),
    ];
    let sent = script.into_iter().enumerate();
    sent.map(|(n, (action, payload))| envelope(STORE, "r-1", &format!("k-{n}"), action, payload)).collect()
}

type Task = (String, String, Option<i64>, String);

fn task(movement: &str, order: &str, amount: Option<i64>, problem: &str) -> Task {
    (movement.to_owned(), order.to_owned(), amount, problem.to_owned())
}

/// Of each task: what was done, of which order, of how much, and what it would have been refused with.
async fn tasks(world: &World) -> Vec<Task> {
    let query = ExceptionQuery { location_id: STORE.into(), status: None, limit: Some(200), cursor: None };
    let found = exceptions::list(&world.shop.ports, &manager(), &query).await.unwrap();
    let mut tasks = Vec::new();
    for one in found.items {
        assert_eq!((one.kind, &one.shift_id), (ExceptionKind::CashNotApproved, &None));
        assert_eq!((one.register_id.as_deref(), one.employee_id.as_deref()), (Some("r-1"), Some("e-7")));
        let order = one.order_id.unwrap();
        assert_eq!(one.reference, order);
        let amount = one.amount.map(|money| money.amount);
        tasks.push((one.movement.unwrap(), order, amount, one.approval_problem.unwrap()));
    }
    tasks.sort();
    tasks
}

/// Uploads as a cashier; answers the last result.
async fn upload(ports: &Ports, commands: &[Value]) -> Value {
    let (outcomes, go_on) = batch::run(ports, &cashier(), commands.to_vec(), Timestamp::MAX).await;
    assert_eq!((outcomes.len(), go_on), (commands.len(), None));
    let mut last = Value::Null;
    for (sent, outcome) in outcomes {
        let done = outcome.unwrap_or_else(|error| panic!("{error}: {sent}"));
        last = serde_json::to_value(done.reply.result).unwrap();
    }
    last
}

#[tokio::test]
async fn what_was_voided_without_an_approval_is_recorded_and_told() {
    for (voiding, problem) in [
        (None, Some("approval_required")),
        (Some("late-void"), Some("approval_expired")),
        (Some("other"), Some("approval_does_not_match")),
        (Some("nothing"), Some("approval_not_found")),
        (Some("a#b"), Some("id_malformed")),
        (Some("void"), None),
    ] {
        let world = World::new().await;
        world.granted("late-void", void_of("o-1")).await;
        world.environment.advance(Duration::from_secs(301));
        world.granted("other", void_of("o-2")).await;
        world.granted("void", void_of("o-1")).await;
        let commands = remembered(voiding);
        let told = |problem| task("void_order", "o-1", Some(255), problem);
        let expected: Vec<Task> = problem.map(told).into_iter().collect();
        // Sent twice it is recorded once, and told once.
        for _ in 0..2 {
            let closed = upload(&world.shop.ports, &commands).await;
            assert_eq!(closed["shift"]["report"]["cash_difference"], gbp(0), "{voiding:?}");
            assert_eq!(tasks(&world).await, expected, "{voiding:?}");
            assert_eq!(world.shop.counters(STORE, "A").await.unwrap().on_hand, 100_000, "{voiding:?}");
        }
        let status = if problem.is_none() { "used" } else { "granted" };
        assert_eq!(world.status("void").await, status, "{voiding:?}");
    }
}

/// Of so many products that a plan undoes it.
#[tokio::test]
async fn a_long_sale_that_was_voided_without_an_approval_is_told_too() {
    let world = World::new().await;
    let skus: Vec<String> = (0..120).map(|n| format!("L-{n:03}")).collect();
    for sku in &skus {
        world.shop.product(STORE, sku, "1", 5).await.unwrap();
    }
    let lines: Vec<(&str, i64)> = skus.iter().map(|sku| (sku.as_str(), 1)).collect();
    world.shop.ready("r-1", "long", &lines).await.unwrap();
    world.shop.finalize("r-1", "long").await.unwrap();
    let sent = envelope(STORE, "r-1", "v", "void_order", json!({"order_id": "long", "reason": "x"}));
    for _ in 0..2 {
        upload(&world.shop.ports, std::slice::from_ref(&sent)).await;
        assert_eq!(tasks(&world).await, [task("void_order", "long", Some(12_000), "approval_required")]);
    }
}
