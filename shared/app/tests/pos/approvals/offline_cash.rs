//! What a register did with its drawer while it was cut off, and needed an approval for: it is recorded, and somebody is
//! asked to look into it.

use jiff::Timestamp;
use tillstream_app::pos::batch;
use tillstream_app::stock::exceptions;
use tillstream_contracts::inventory::{ExceptionKind, ExceptionQuery};

use super::*;

fn asked(approval: &str, action: &str, amount: i64) -> (String, Value) {
    let request = json!({"store_id": STORE, "register_id": "r-1", "action": action, "reason": "x",
        "shift_id": "sh", "amount": gbp(amount)});
    (approval.to_owned(), request)
}

/// A cashier's shift, of which some movements lack the approval that the tenant wants.
fn shift() -> Vec<Value> {
    let moved = |amount: i64, approval: Option<&str>| {
        let mut payload = json!({"shift_id": "sh", "amount": gbp(amount), "reason": "x"});
        if let Some(approval) = approval {
            payload["approval_id"] = approval.into();
        }
        payload
    };
    let script = [
        ("open_till", json!({"shift_id": "sh", "amount": gbp(10_000)})),
        ("paid_out", moved(500, None)),
        ("paid_out", moved(2_000, None)),
        ("paid_in", moved(70, Some("late"))),
        ("paid_out", moved(3_000, Some("good"))),
        ("paid_out", moved(3_000, Some("good"))),
        ("no_sale", json!({"shift_id": "sh", "reason": "x"})),
        ("close_till", json!({"shift_id": "sh", "counted": gbp(1_570)})),
    ];
    let sent = script.into_iter().enumerate();
    sent.map(|(n, (action, payload))| envelope(STORE, "r-1", &format!("k-{n}"), action, payload)).collect()
}

/// Of each task: movement, amount, what it would have been refused with.
async fn tasks(world: &World) -> Vec<(String, Option<i64>, String)> {
    let query = ExceptionQuery { location_id: STORE.into(), status: None, limit: Some(200), cursor: None };
    let found = exceptions::list(&world.shop.ports, &manager(), &query).await.unwrap();
    let mut tasks = Vec::new();
    for task in found.items {
        assert_eq!(task.kind, ExceptionKind::CashNotApproved);
        assert_eq!((task.reference.as_str(), task.shift_id.as_deref()), ("sh", Some("sh")));
        assert_eq!((task.register_id.as_deref(), task.employee_id.as_deref()), (Some("r-1"), Some("e-7")));
        assert_eq!(task.occurred_at, "2010-12-01T08:26:00Z".parse().unwrap());
        let amount = task.amount.map(|money| money.amount);
        tasks.push((task.movement.unwrap(), amount, task.approval_problem.unwrap()));
    }
    tasks.sort();
    tasks
}

async fn strict() -> World {
    let world = World::new().await;
    let always = json!({"required": true});
    let above = json!({"required": true, "above_amount": 1_000});
    let settings = json!({"approvals": {"paid_in": always, "paid_out": above, "no_sale": true}});
    world.settings("strict", settings).await;
    for (approval, request) in [asked("late", "paid_in", 70), asked("good", "paid_out", 3_000)] {
        if approval == "good" {
            world.environment.advance(Duration::from_secs(301));
        }
        world.granted(&approval, request).await;
    }
    world
}

#[tokio::test]
async fn cash_that_was_moved_without_an_approval_is_recorded_and_told() {
    let world = strict().await;
    let told = |movement: &str, amount: Option<i64>, problem: &str| {
        (movement.to_owned(), amount, problem.to_owned())
    };
    let expected = [
        told("no_sale", None, "approval_required"),
        told("paid_in", Some(70), "approval_expired"),
        told("paid_out", Some(2_000), "approval_required"),
        told("paid_out", Some(3_000), "approval_used"),
    ];
    // Sent twice it is recorded once, and told once.
    for _ in 0..2 {
        let (outcomes, go_on) = batch::run(&world.shop.ports, &cashier(), shift(), Timestamp::MAX).await;
        assert_eq!(go_on, None);
        let mut last = None;
        for (sent, outcome) in outcomes {
            last = outcome.unwrap_or_else(|error| panic!("{error}: {sent}")).reply.result.shift;
        }
        let closed = serde_json::to_value(last.unwrap()).unwrap();
        // 100.00 - 5.00 - 20.00 + 0.70 - 30.00 - 30.00.
        assert_eq!(closed["report"]["cash_expected"], gbp(1_570));
        assert_eq!(closed["report"]["cash_difference"], gbp(0));
        let movements = closed["movements"].as_array().unwrap().iter();
        let named: Vec<&Value> = movements.map(|movement| &movement["approval_id"]).collect();
        let none = &Value::Null;
        assert_eq!(named, [none, none, none, &json!("good"), none, none], "a word of a supervisor is one");
        assert_eq!(tasks(&world).await, expected);
    }
    assert_eq!((world.status("good").await, world.status("late").await), (json!("used"), json!("expired")));
}

/// Who is asked now can still say no.
#[tokio::test]
async fn online_it_is_refused_and_nobody_is_told() {
    let world = strict().await;
    let before = [Table::Orders, Table::Stock].map(|table| world.database.items(table));
    let mut codes = Vec::new();
    for sent in shift().into_iter().skip(1).take(6) {
        codes.push(code(execute(&world.shop.ports, &cashier(), sent).await));
    }
    assert_eq!(codes, [Some("shift_not_found"); 6]);
    assert_eq!([Table::Orders, Table::Stock].map(|table| world.database.items(table)), before);
    let mut sent = shift().into_iter();
    execute(&world.shop.ports, &cashier(), sent.next().unwrap()).await.unwrap();
    let mut codes = Vec::new();
    for sent in sent.take(6) {
        codes.push(code(execute(&world.shop.ports, &cashier(), sent).await));
    }
    let required = Some("approval_required");
    assert_eq!(codes, [None, required, Some("approval_expired"), None, Some("approval_used"), required]);
    assert!(tasks(&world).await.is_empty());
}
