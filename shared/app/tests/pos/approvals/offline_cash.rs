//! What a register did with its drawer while it was cut off, and needed an approval for: it is recorded, and somebody is
//! asked to look into it.

use async_trait::async_trait;
use jiff::Timestamp;
use tillstream_app::pos::batch;
use tillstream_app::stock::exceptions;
use tillstream_contracts::inventory::{ExceptionKind, ExceptionQuery};
use tillstream_domain::approval::{Person, Use};
use tillstream_testkit::heard_database::{HeardDatabase, Listener};

use super::at_the_till::{cash, no_sale};
use super::*;

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

/// An approval that is good, and one that is not any more.
async fn with_approvals() -> World {
    let world = World::strict().await;
    world.granted("late", cash("paid_in", 70)).await;
    world.environment.advance(Duration::from_secs(301));
    world.granted("good", cash("paid_out", 3_000)).await;
    world
}

#[tokio::test]
async fn cash_that_was_moved_without_an_approval_is_recorded_and_told() {
    let world = with_approvals().await;
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
    let world = with_approvals().await;
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

/// Movements of a drawer that need an approval, and what one is asked for: in each case of 20.00, where money moves.
fn movements() -> [(&'static str, Value, Value); 3] {
    let of = |more: Value| {
        let mut payload = json!({"shift_id": "sh", "reason": "x"});
        payload.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        payload
    };
    let money = || of(json!({"amount": gbp(2_000)}));
    [
        ("paid_in", cash("paid_in", 2_000), money()),
        ("paid_out", cash("paid_out", 2_000), money()),
        ("no_sale", no_sale(), of(json!({}))),
    ]
}

/// Approvals of a movement, none of which is good for it but `used`, for once.
async fn no_good(world: &World, action: &str, request: &Value) {
    world.granted("late", request.clone()).await;
    world.environment.advance(Duration::from_secs(301));
    world.granted("used", request.clone()).await;
    for id in ["denied", "pending"] {
        let mut asked = request.clone();
        asked["approval_id"] = id.into();
        world.ask(&format!("ask-{id}"), asked).await.unwrap();
    }
    world.decide(&manager(), "deny", "denied", false).await.unwrap();
    let other = if action == "no_sale" { cash("paid_in", 2_000) } else { cash(action, 2_001) };
    world.granted("other", other).await;
    let mut elsewhere = request.clone();
    elsewhere["register_id"] = "r-2".into();
    world.granted("elsewhere", elsewhere).await;
    world.granted_elsewhere("theirs", request.clone()).await;
}

/// Whatever is wrong with the approval that it names, what was done with the drawer is recorded once, and told once.
#[tokio::test]
async fn no_approval_that_is_not_good_loses_a_movement() {
    for (action, request, payload) in movements() {
        let world = World::strict().await;
        no_good(&world, action, &request).await;
        let named = [
            (Some("used"), None),
            (Some("used"), Some("approval_used")),
            (Some("late"), Some("approval_expired")),
            (Some("denied"), Some("approval_denied")),
            (Some("pending"), Some("approval_pending")),
            (Some("other"), Some("approval_does_not_match")),
            (Some("elsewhere"), Some("approval_does_not_match")),
            (Some("theirs"), Some("approval_not_found")),
            (Some("nothing"), Some("approval_not_found")),
            (Some("a#b"), Some("id_malformed")),
            (Some(""), Some("id_malformed")),
            (Some("4111111111111111"), Some("card_number_refused")),
            (None, Some("approval_required")),
        ];
        let mut script = vec![("open_till", json!({"shift_id": "sh", "amount": gbp(30_000)}))];
        for (approval, _) in named {
            let mut payload = payload.clone();
            if let Some(approval) = approval {
                payload["approval_id"] = approval.into();
            }
            script.push((action, payload));
        }
        let moved = match action {
            "paid_in" => 13 * 2_000,
            "paid_out" => -13 * 2_000,
            _ => 0,
        };
        script.push(("close_till", json!({"shift_id": "sh", "counted": gbp(30_000 + moved)})));
        let sent = script.into_iter().enumerate();
        let commands: Vec<Value> = sent
            .map(|(n, (action, payload))| envelope(STORE, "r-1", &format!("k-{n}"), action, payload))
            .collect();
        let amount = payload.get("amount").map(|_| 2_000_i64);
        let problems = named.iter().filter_map(|(_, problem)| *problem);
        let mut expected: Vec<_> =
            problems.map(|problem| (action.to_owned(), amount, problem.to_owned())).collect();
        expected.sort();
        for _ in 0..2 {
            let (outcomes, go_on) =
                batch::run(&world.shop.ports, &cashier(), commands.clone(), Timestamp::MAX).await;
            assert_eq!((outcomes.len(), go_on), (commands.len(), None));
            let mut last = None;
            for (sent, outcome) in outcomes {
                last = outcome.unwrap_or_else(|error| panic!("{error}: {sent}")).reply.result.shift;
            }
            let closed = serde_json::to_value(last.unwrap()).unwrap();
            assert_eq!(closed["report"]["cash_difference"], gbp(0), "{action}");
            let movements = closed["movements"].as_array().unwrap();
            let kept: Vec<_> = movements.iter().filter_map(|moved| moved["approval_id"].as_str()).collect();
            assert_eq!(
                (movements.len(), kept),
                (13, vec!["used"]),
                "{action}: a card number is kept nowhere"
            );
            assert_eq!(tasks(&world).await, expected, "{action}");
        }
        for (id, status) in [("other", "granted"), ("elsewhere", "granted"), ("pending", "pending")] {
            assert_eq!(world.status(id).await, status, "{action}: what is not good is not used up");
        }
    }
}

/// Uses the approval `ap` up, by another command, right before anything is written in a transaction.
struct UsesFirst {
    database: Arc<MemoryDatabase>,
    by_another: Use,
}

#[async_trait]
impl Listener for UsesFirst {
    async fn called(&self, operation: Operation) {
        let mut stored = self.database.items(Table::Orders).into_iter();
        let is_it = |item: &Item| {
            item.opt_text("kind") == Some("approval") && item.opt_text("approval_id") == Some("ap")
        };
        let approval = stored.find(is_it).unwrap();
        if operation == Operation::Transact && approval.opt_text("used").is_none() {
            let version = approval.number("version").unwrap() + 1;
            let item = approval.with("version", version).with_json("used", &self.by_another).unwrap();
            self.database.write(Write::Put { table: Table::Orders, item, condition: None }).await.unwrap();
        }
    }
}

/// Ports on which the approval `ap` is used up by another command right before anything is written.
pub(super) fn used_first(world: &World) -> Ports {
    let by_another = Use {
        at: "2026-03-02T09:00:00Z".parse().unwrap(),
        by: Person { subject: "till-2".into(), employee_id: "e-8".into() },
        command: "another".into(),
        resource_id: "another".into(),
        part_id: None,
    };
    let first = Arc::new(UsesFirst { database: world.database.clone(), by_another });
    HeardDatabase::ports_over(world.database.clone(), world.environment.clone(), first)
}

/// The approval was good when it was read, and is another command's by the time that all is written.
#[tokio::test]
async fn an_approval_that_another_command_used_first_loses_no_movement() {
    for (action, request, mut payload) in movements() {
        payload["approval_id"] = "ap".into();
        for uploaded in [true, false] {
            let world = World::strict().await;
            world.till("open", "open_till", json!({"shift_id": "sh", "amount": gbp(9_000)})).await.unwrap();
            world.granted("ap", request.clone()).await;
            let ports = used_first(&world);
            let sent = envelope(STORE, "r-1", "k", action, payload.clone());
            if uploaded {
                let (mut outcomes, go_on) = batch::run(&ports, &cashier(), vec![sent], Timestamp::MAX).await;
                let (sent, outcome) = outcomes.remove(0);
                let done = outcome.unwrap_or_else(|error| panic!("{error}: {sent}"));
                let shift = serde_json::to_value(done.reply.result.shift.unwrap()).unwrap();
                let movements = shift["movements"].as_array().unwrap();
                assert_eq!((go_on, movements.len()), (None, 1), "{action}");
                assert_eq!(movements[0]["approval_id"], Value::Null, "{action}");
                let amount = payload.get("amount").map(|_| 2_000_i64);
                assert_eq!(tasks(&world).await, [(action.to_owned(), amount, "approval_used".to_owned())]);
            } else {
                let answer = execute(&ports, &cashier(), sent).await;
                assert_eq!(code(answer), Some("approval_used"), "{action}: who is asked now can say no");
                assert!(tasks(&world).await.is_empty());
            }
        }
    }
}
