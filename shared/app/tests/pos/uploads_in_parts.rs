//! Uploads that come to no end at once: what was refused of a cart is not forgotten by whoever goes on.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};
use tillstream_app::capacity::Operation;
use tillstream_app::database::{Item, Table};
use tillstream_app::environment::Environment;
use tillstream_app::pos::batch;
use tillstream_app::tenancy::Role;
use tillstream_testkit::faults::FaultyDatabase;
use tillstream_testkit::heard_database::{HeardDatabase, Listener};
use tillstream_testkit::memory_database::MemoryDatabase;
use tillstream_testkit::shop::{STORE, Shop, caller, envelope};
use tillstream_testkit::test_environment::TestEnvironment;

use crate::uploaded_sale::sale;

async fn shop() -> (Shop, Arc<MemoryDatabase>, Arc<TestEnvironment>) {
    let environment = Arc::new(TestEnvironment::new(1));
    let database = Arc::new(MemoryDatabase::with_environment(environment.clone()));
    let shop = Shop::open(database.clone(), environment.clone()).await.unwrap();
    shop.product(STORE, "A", "1.00", 100).await.unwrap();
    (shop, database, environment)
}

/// A sale of `A` and of what nobody knows here, paid with 15.00 in cash.
fn sale_of_unknown(cart: &str) -> (Vec<Value>, Vec<Value>) {
    let at = |key: &str, action: &str, more: Value| {
        let mut payload = json!({"cart_id": cart});
        payload.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        envelope(STORE, "r-1", &format!("{cart}-{key}"), action, payload)
    };
    let cash = json!({"tender": "cash", "amount": {"amount": 1_500, "currency": "GBP"}});
    let begun = vec![
        at("open", "create_cart", json!({})),
        at("a", "add_line_item", json!({"sku": "A", "quantity": 1})),
        at("new", "add_line_item", json!({"sku": "NEW", "quantity": 1})),
    ];
    let ended = vec![
        at("tender", "set_tendering", json!({})),
        at("pay", "add_payment", cash),
        at("final", "finalize_order", json!({})),
    ];
    (begun, ended)
}

fn code(outcome: &batch::Outcome) -> &str {
    outcome.as_ref().map_or_else(|error| error.code().unwrap(), |_| "done")
}

fn finals(database: &MemoryDatabase) -> Vec<String> {
    let orders = database.items(Table::Orders);
    let mut ids: Vec<String> = orders
        .iter()
        .filter(|item: &&Item| item.opt_number("lane_number").is_some())
        .map(|item| item.text("cart_id").unwrap().to_owned())
        .collect();
    ids.sort();
    ids
}

/// The finalising of another sale, between two commands of a cart, finds the database busy.
#[tokio::test]
async fn an_upload_is_gone_on_with_before_what_was_refused() {
    let (shop, database, environment) = shop().await;
    let who = caller("demo", &[Role::Operator]);
    let (begun, ended) = sale_of_unknown("c-1");
    let other = sale("r-1", "busy", &[("A", 1)]);
    let commands = [begun, other, ended].concat();
    let (busy, faulty) = FaultyDatabase::ports_over(database.clone(), environment);
    faulty.keep_busy("busy");
    let (outcomes, go_on) = batch::run(&busy, &who, commands.clone(), Timestamp::MAX).await;
    // Seven commands were come to; the third of them was refused, on a cart that goes on.
    assert_eq!((outcomes.len(), go_on), (2, Some(2)));
    assert!(outcomes.iter().all(|(_, outcome)| outcome.is_ok()));
    assert!(finals(&database).is_empty());

    let (outcomes, go_on) = batch::run(&shop.ports, &who, commands[2..].to_vec(), Timestamp::MAX).await;
    assert_eq!(go_on, None);
    let codes: Vec<&str> = outcomes.iter().map(|(_, outcome)| code(outcome)).collect();
    let mut expected = vec!["done"; codes.len()];
    expected[0] = "sku_not_found";
    *expected.last_mut().unwrap() = "earlier_command_failed";
    assert_eq!(codes, expected);
    assert_eq!(finals(&database), ["busy"]);
    // That the product is known by now makes no other sale of it: the cart is being paid already.
    shop.product(STORE, "NEW", "4.00", 5).await.unwrap();
    let (outcomes, _) = batch::run(&shop.ports, &who, commands[2..].to_vec(), Timestamp::MAX).await;
    let told = [&outcomes[0], outcomes.last().unwrap()].map(|(_, outcome)| code(outcome));
    assert_eq!(told, ["wrong_cart_state", "earlier_command_failed"]);
    assert_eq!(finals(&database), ["busy"]);
}

/// Each call of the database takes a millisecond.
struct Ticking(Arc<TestEnvironment>);

#[async_trait]
impl Listener for Ticking {
    async fn called(&self, _: Operation) {
        self.0.advance(Duration::from_millis(1));
    }
}

/// Time runs out after every number of calls, again and again: the register goes on where it is told to, and no sale
/// of which something was refused is final, whatever it was cut into. The others are.
#[tokio::test]
async fn wherever_an_upload_is_cut_no_refusal_is_forgotten() {
    let (begun, ended) = sale_of_unknown("c-1");
    let (begun_too, ended_too) = sale_of_unknown("c-2");
    // One is within the other, so that going back for one leads behind a refusal of the other.
    let plain = |cart: &str| sale("r-2", cart, &[("A", 1)]);
    let commands = [begun, plain("p-1"), begun_too, plain("p-2"), ended, plain("p-3"), ended_too].concat();
    let who = caller("demo", &[Role::Operator]);
    let mut in_parts = 0;
    for calls in (1..160).step_by(2) {
        let (shop, database, environment) = shop().await;
        let ticking = Arc::new(Ticking(environment.clone()));
        let heard = Arc::new(HeardDatabase::new(database.clone(), ticking));
        let ports = tillstream_app::Ports { database: heard, environment: shop.ports.environment.clone() };
        let mut left = commands.clone();
        let mut refused = 0;
        for part in 1..30 {
            let stop_at = environment.now() + SignedDuration::from_millis(calls);
            let (outcomes, go_on) = batch::run(&ports, &who, left.clone(), stop_at).await;
            assert_eq!(
                outcomes.len(),
                go_on.unwrap_or(left.len()),
                "an outcome for all before where to go on"
            );
            refused +=
                outcomes.iter().filter(|(_, outcome)| code(outcome) == "earlier_command_failed").count();
            let Some(go_on) = go_on else {
                in_parts += usize::from(part > 1);
                assert_eq!(finals(&database), ["p-1", "p-2", "p-3"], "cut after {calls}");
                assert_eq!(refused, 2, "cut after {calls}: each is told once");
                break;
            };
            left.drain(..go_on);
        }
        assert!(finals(&database).iter().all(|id| id.starts_with('p')), "cut after {calls}");
    }
    assert!(in_parts >= 5, "{in_parts} came in parts and to an end");
}
