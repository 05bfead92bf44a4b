//! Approvals: asked for, granted or denied, used once by exactly the command that they are for.

mod allowed;
mod at_once;
mod at_the_till;
mod blind_cash;
mod bound_shares;
mod cashiers_limit;
mod of_orders;
mod offline_cash;
mod offline_voids;

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use serde_json::{Value, json};
use tillstream_app::approvals::ask::ask;
use tillstream_app::approvals::decide::decide;
use tillstream_app::approvals::{Answer, read};
use tillstream_app::capacity::Operation;
use tillstream_app::catalog::settings;
use tillstream_app::database::{Database, Item, Table, Write};
use tillstream_app::pos::batch;
use tillstream_app::pos::execute::{Answered, execute};
use tillstream_app::tenancy::{Caller, Role, Stores};
use tillstream_app::tenant_rules::stored_rules::tax_rule_item;
use tillstream_app::{Error, Ports, Refusal, Result};
use tillstream_domain::pricing::TaxRule;
use tillstream_testkit::faults::{Fault, FaultyDatabase};
use tillstream_testkit::memory_database::MemoryDatabase;
use tillstream_testkit::shop::{STORE, Shop, caller, envelope};
use tillstream_testkit::test_environment::TestEnvironment;

fn gbp(amount: i64) -> Value {
    json!({"amount": amount, "currency": "GBP"})
}

fn named(subject: &str, roles: &[Role]) -> Caller {
    Caller { subject: subject.to_owned(), ..caller("demo", roles) }
}

fn cashier() -> Caller {
    named("till-1", &[Role::Cashier])
}

fn manager() -> Caller {
    named("m-1", &[Role::StoreManager])
}

struct World {
    shop: Shop,
    database: Arc<MemoryDatabase>,
    environment: Arc<TestEnvironment>,
}

impl World {
    async fn new() -> World {
        World::in_time(TestEnvironment::new(11)).await
    }

    /// Of a tenant that wants an approval for all that is done with a drawer.
    async fn strict() -> World {
        let world = World::new().await;
        let always = json!({"required": true});
        let above = json!({"required": true, "above_amount": 1_000});
        let settings = json!({"approvals": {"paid_in": always, "paid_out": above, "no_sale": true}});
        world.settings("strict", settings).await;
        world
    }

    async fn in_time(environment: TestEnvironment) -> World {
        let environment = Arc::new(environment);
        let database = Arc::new(MemoryDatabase::with_environment(environment.clone()));
        let shop = Shop::open(database.clone(), environment.clone()).await.unwrap();
        shop.store("s-2").await.unwrap();
        for (sku, price) in [("A", "2.55"), ("B", "1")] {
            shop.product(STORE, sku, price, 100).await.unwrap();
        }
        World { shop, database, environment }
    }

    /// A command of a cashier at a register of [`STORE`].
    async fn at(&self, register: &str, key: &str, action: &str, payload: Value) -> Result<Answered> {
        run(&self.shop.ports, register, key, action, payload).await
    }

    async fn till(&self, key: &str, action: &str, payload: Value) -> Result<Answered> {
        self.at("r-1", key, action, payload).await
    }

    async fn cart(&self, id: &str) {
        self.till(&format!("{id}-open"), "create_cart", json!({"cart_id": id})).await.unwrap();
    }

    async fn ask(&self, key: &str, request: Value) -> Result<Answer> {
        ask(&self.shop.ports, &cashier(), key, serde_json::from_value(request).unwrap()).await
    }

    async fn decide(&self, who: &Caller, key: &str, id: &str, granted: bool) -> Result<Answer> {
        decide(&self.shop.ports, who, key, id, granted, serde_json::from_value(json!({})).unwrap()).await
    }

    /// Asks for it and has it granted.
    async fn granted(&self, id: &str, mut request: Value) {
        request["approval_id"] = id.into();
        self.ask(&format!("ask-{id}"), request).await.unwrap();
        self.decide(&manager(), &format!("grant-{id}"), id, true).await.unwrap();
    }

    /// Has it granted with another tenant, which has a store of the same name.
    async fn granted_elsewhere(&self, id: &str, mut request: Value) {
        request["approval_id"] = id.into();
        let stranger = Caller { subject: "x".to_owned(), ..caller("other", &[Role::Operator]) };
        let foreign = Shop { ports: self.shop.ports.clone(), scope: stranger.scope.clone() };
        foreign.store(STORE).await.unwrap();
        foreign.product(STORE, "A", "1", 5).await.unwrap();
        ask(&foreign.ports, &stranger, "k", serde_json::from_value(request).unwrap()).await.unwrap();
        let manager = Caller { subject: "m-9".to_owned(), ..caller("other", &[Role::StoreManager]) };
        let body = serde_json::from_value(json!({})).unwrap();
        decide(&foreign.ports, &manager, "g", id, true, body).await.unwrap();
    }

    async fn status(&self, id: &str) -> Value {
        let view = read::get(&self.shop.ports, &manager(), id).await.unwrap();
        serde_json::to_value(view).unwrap()["status"].clone()
    }

    async fn listed(&self, who: &Caller, query: Value) -> Result<(Vec<String>, Option<String>)> {
        let page = read::list(&self.shop.ports, who, serde_json::from_value(query).unwrap()).await?;
        Ok((page.items.into_iter().map(|one| one.approval_id).collect(), page.next_cursor))
    }

    fn items(&self) -> Vec<Item> {
        self.database.items(Table::Orders)
    }

    async fn settings(&self, key: &str, body: Value) {
        let operator = named("o-1", &[Role::Operator]);
        let body = serde_json::from_value(body).unwrap();
        settings::put(&self.shop.ports, &operator, body, key, |_| Ok(())).await.unwrap();
        // What the process remembers of settings is forgotten by then.
        self.environment.advance(Duration::from_secs(16));
    }
}

async fn run(ports: &Ports, register: &str, key: &str, action: &str, payload: Value) -> Result<Answered> {
    execute(ports, &cashier(), envelope(STORE, register, key, action, payload)).await
}

fn override_of(cart: &str) -> Value {
    json!({"store_id": STORE, "register_id": "r-1", "employee_id": "e-7", "action": "price_override",
        "reason": "dented", "cart_id": cart, "sku": "A", "unit_price_override": "1.00", "quantity": 2})
}

fn line(cart: &str, approval: &str) -> Value {
    json!({"cart_id": cart, "sku": "A", "quantity": 2, "unit_price_override": "1.00", "approval_id": approval})
}

fn discount_of(cart: &str, more: Value) -> Value {
    let mut request = json!({"store_id": STORE, "register_id": "r-1", "action": "manual_discount",
        "reason": "regular", "cart_id": cart});
    request.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    request
}

fn blind(most: i64) -> Value {
    json!({"store_id": STORE, "register_id": "r-1", "action": "blind_return", "reason": "no receipt",
        "maximum_refund": gbp(most)})
}

fn code<T>(answer: Result<T>) -> Option<&'static str> {
    answer.err().map(|error| error.code().unwrap_or_else(|| panic!("{error}")))
}

fn refusal<T: std::fmt::Debug>(answer: Result<T>) -> Refusal {
    match answer {
        Err(Error::Rejected(refusal)) => *refusal,
        other => panic!("{other:?}"),
    }
}

fn view(answered: &Answered) -> Value {
    serde_json::to_value(answered.reply.cart.as_ref().unwrap()).unwrap()
}

fn differing(refusal: &Refusal) -> Vec<&str> {
    assert_eq!(refusal.code, "approval_does_not_match");
    let differences = refusal.extra["differences"].as_array().unwrap();
    differences.iter().map(|one| one["field"].as_str().unwrap()).collect()
}

#[tokio::test]
async fn a_price_is_asked_for_granted_and_used_once() {
    let world = World::new().await;
    world.cart("c").await;
    let mut request = override_of("c");
    request["approval_id"] = "ap-1".into();
    let asked = world.ask("k", request.clone()).await.unwrap();
    let shown = serde_json::to_value(&asked.approval).unwrap();
    for (name, value) in [
        ("status", json!("pending")),
        ("asked_by", json!("till-1")),
        ("employee_id", json!("e-7")),
        ("unit_price_override", json!("1.00")),
        ("quantity", json!(2)),
        ("expires_at", json!("2026-03-02T09:15:00Z")),
    ] {
        assert_eq!(shown[name], value, "{name} of {shown}");
    }
    assert_eq!(code(world.till("l", "add_line_item", line("c", "ap-1")).await), Some("approval_pending"));
    let again = world.ask("k", request).await.unwrap();
    assert_eq!((again.replayed, &again.approval), (true, &asked.approval));
    let pending = json!({"store_id": STORE, "status": "pending"});
    assert_eq!(world.listed(&manager(), pending.clone()).await.unwrap().0, ["ap-1"]);

    let granted = world.decide(&manager(), "g", "ap-1", true).await.unwrap();
    assert!(!granted.replayed);
    let repeated = world.decide(&manager(), "g", "ap-1", true).await.unwrap();
    assert_eq!((repeated.replayed, &repeated.approval), (true, &granted.approval));
    assert_eq!(world.listed(&manager(), pending).await.unwrap().0, Vec::<String>::new());

    let sold = world.till("l", "add_line_item", line("c", "ap-1")).await.unwrap();
    let approval = json!({"approval_id": "ap-1", "approved_by": "m-1"});
    assert_eq!(view(&sold)["lines"][0]["approval"], approval);
    assert_eq!(view(&sold)["totals"]["total"], gbp(200));
    let used = read::get(&world.shop.ports, &cashier(), "ap-1").await.unwrap();
    let used = serde_json::to_value(used).unwrap();
    assert_eq!(used["status"], "used");
    assert_eq!(
        (&used["used"]["resource_id"], &used["used"]["part_id"], &used["used"]["employee_id"]),
        (&json!("c"), &json!("l-1"), &json!("e-7"))
    );
    assert_eq!(used["decision"]["by"], "m-1");

    // The same command again is answered again; another with the same approval is not.
    let items = world.items();
    let repeated = world.till("l", "add_line_item", line("c", "ap-1")).await.unwrap();
    assert!(repeated.replayed);
    assert_eq!(code(world.till("l2", "add_line_item", line("c", "ap-1")).await), Some("approval_used"));
    assert_eq!(world.items(), items);
    // A repeated grant answers, long after, and shows the approval as it is by now.
    world.environment.advance(Duration::from_secs(100_000));
    let repeated = world.decide(&manager(), "g", "ap-1", true).await.unwrap();
    assert!(repeated.replayed);
    assert_eq!(serde_json::to_value(&repeated.approval).unwrap()["status"], "used");

    world.till("t", "set_tendering", json!({"cart_id": "c"})).await.unwrap();
    let cash = json!({"cart_id": "c", "tender": "cash", "amount": gbp(200)});
    world.till("p", "add_payment", cash).await.unwrap();
    world.till("f", "finalize_order", json!({"cart_id": "c"})).await.unwrap();
    let order = tillstream_app::orders::read::get(&world.shop.ports, &manager(), "c").await.unwrap();
    assert_eq!(serde_json::to_value(order).unwrap()["lines"][0]["approval"], approval);
}

#[tokio::test]
async fn without_an_id_the_request_itself_names_the_approval() {
    let world = World::new().await;
    let one = world.ask("k", override_of("c")).await.unwrap();
    let again = world.ask("k", override_of("c")).await.unwrap();
    let other = world.ask("k2", override_of("c")).await.unwrap();
    assert_eq!(again.approval.approval_id, one.approval.approval_id);
    assert!(again.replayed && !other.replayed);
    assert_ne!(other.approval.approval_id, one.approval.approval_id);
    assert_eq!(code(world.ask("k", override_of("d")).await), Some("idempotency_key_reused"));
    let mut taken = override_of("c");
    taken["approval_id"] = one.approval.approval_id.clone().into();
    assert_eq!(code(world.ask("k3", taken).await), Some("approval_exists"));
}

#[tokio::test]
async fn a_command_that_is_not_what_was_approved_is_refused_and_told_why() {
    let world = World::new().await;
    for cart in ["c", "other"] {
        world.cart(cart).await;
        world
            .till(&format!("{cart}-b"), "add_line_item", json!({"cart_id": cart, "sku": "B", "quantity": 9}))
            .await
            .unwrap();
        world
            .till(&format!("{cart}-a"), "add_line_item", json!({"cart_id": cart, "sku": "A", "quantity": 9}))
            .await
            .unwrap();
    }
    world.granted("price", override_of("c")).await;
    world.granted("share", discount_of("c", json!({"kind": "percent_cart", "value": 1_000}))).await;
    world
        .granted("off", discount_of("c", json!({"kind": "fixed_line", "value": gbp(50), "line_id": "l-1"})))
        .await;
    world.granted("blind", blind(500)).await;
    let mut elsewhere = override_of("c");
    elsewhere["register_id"] = "r-2".into();
    world.granted("elsewhere", elsewhere).await;
    let before = world.items();
    let mut n = 0;
    let add = |changed: Value| {
        let mut payload = line("c", "price");
        payload.as_object_mut().unwrap().extend(changed.as_object().unwrap().clone());
        ("add_line_item", payload)
    };
    let give = |changed: Value| {
        let mut payload = json!({"cart_id": "c", "kind": "percent_cart", "value": 1_000, "reason": "x",
            "approval_id": "share"});
        payload.as_object_mut().unwrap().extend(changed.as_object().unwrap().clone());
        ("apply_manual_discount", payload)
    };
    let off = |changed: Value| {
        let (action, mut payload) =
            give(json!({"kind": "fixed_line", "value": gbp(50), "line_id": "l-1", "approval_id": "off"}));
        payload.as_object_mut().unwrap().extend(changed.as_object().unwrap().clone());
        (action, payload)
    };
    for ((action, payload), fields) in [
        (add(json!({"cart_id": "other"})), vec!["cart_id"]),
        (add(json!({"sku": "B"})), vec!["sku"]),
        (add(json!({"unit_price_override": "0.99"})), vec!["unit_price"]),
        (add(json!({"quantity": 3})), vec!["quantity"]),
        (add(json!({"quantity": 1, "unit_price_override": "2"})), vec!["unit_price", "quantity"]),
        (add(json!({"approval_id": "share"})), vec!["action"]),
        (add(json!({"approval_id": "elsewhere"})), vec!["register_id"]),
        (give(json!({"cart_id": "other"})), vec!["cart_id"]),
        (give(json!({"value": 1_001})), vec!["value"]),
        (give(json!({"kind": "percent_line", "line_id": "l-1"})), vec!["line_id"]),
        (give(json!({"kind": "fixed_cart", "value": gbp(10)})), vec!["value"]),
        (give(json!({"approval_id": "blind"})), vec!["action"]),
        (off(json!({"line_id": "l-2"})), vec!["line_id"]),
        (off(json!({"value": gbp(51)})), vec!["value"]),
        (off(json!({"kind": "fixed_cart", "line_id": null})), vec!["line_id"]),
        (("start_return", json!({"reason": "x", "approval_id": "price"})), vec!["action"]),
    ] {
        n += 1;
        let shown = payload.to_string();
        let refused = refusal(world.till(&format!("n-{n}"), action, payload).await);
        assert_eq!(differing(&refused), fields, "{shown}");
    }
    // From another register: the return, which belongs to no cart yet.
    let other = world.at("r-2", "n", "start_return", json!({"reason": "x", "approval_id": "blind"})).await;
    assert_eq!(differing(&refusal(other)), ["register_id"]);
    assert_eq!(world.items(), before, "a refusal changes nothing");
    // The share first: what comes after it is no part of the goods that it was asked for.
    for ((action, payload), id) in
        [(give(json!({})), "share"), (add(json!({})), "price"), (off(json!({})), "off")]
    {
        world.till(&format!("do-{id}"), action, payload).await.unwrap();
        assert_eq!(world.status(id).await, "used");
    }
}

#[tokio::test]
async fn what_is_not_there_or_not_for_this_caller_is_refused() {
    let world = World::new().await;
    world.cart("c").await;
    // Of the same name with another tenant, and of a store out of reach.
    world.granted_elsewhere("theirs", override_of("c")).await;
    let ports = &world.shop.ports;
    assert_eq!(code(world.till("l", "add_line_item", line("c", "theirs")).await), Some("approval_not_found"));
    assert_eq!(code(world.decide(&manager(), "g", "theirs", false).await), Some("approval_not_found"));
    assert_eq!(code(read::get(ports, &manager(), "theirs").await), Some("approval_not_found"));
    assert!(world.listed(&manager(), json!({"store_id": STORE})).await.unwrap().0.is_empty());

    world.granted("ours", override_of("c")).await;
    assert_eq!(
        code(world.till("l", "add_line_item", line("c", "never-asked")).await),
        Some("approval_not_found")
    );
    assert_eq!(code(world.till("l", "add_line_item", line("c", "a#b")).await), Some("id_malformed"));
    let far = Caller { stores: Stores::Named(BTreeSet::from(["s-2".to_owned()])), ..manager() };
    assert_eq!(code(read::get(ports, &far, "ours").await), Some("approval_not_found"));
    assert_eq!(code(world.decide(&far, "g", "ours", true).await), Some("approval_not_found"));
    assert_eq!(code(world.listed(&far, json!({"store_id": STORE})).await), Some("store_out_of_reach"));
    let there = Caller { subject: "till-9".to_owned(), stores: far.stores.clone(), ..cashier() };
    let sent = envelope("s-2", "r-1", "k", "start_return", json!({"reason": "x", "approval_id": "ours"}));
    assert_eq!(code(execute(ports, &there, sent).await), Some("approval_not_found"));
    // Where nothing could need an approval, one would only seem to be used.
    let plain = json!({"cart_id": "c", "sku": "A", "quantity": 2, "approval_id": "ours"});
    assert_eq!(code(world.till("l", "add_line_item", plain.clone()).await), Some("approval_not_expected"));
    assert_eq!(world.status("ours").await, "granted");
    // A role that needs none may name one, which is then used as by any other.
    let sent = envelope(STORE, "r-1", "by-manager", "add_line_item", line("c", "ours"));
    let by_manager = execute(ports, &manager(), sent).await.unwrap();
    assert_eq!(view(&by_manager)["lines"][0]["approval"]["approval_id"], "ours");
    assert_eq!(world.status("ours").await, "used");
}

#[tokio::test]
async fn only_another_supervisor_decides_and_only_once() {
    let world = World::new().await;
    for id in ["ap-1", "ap-2"] {
        let mut request = override_of("c");
        request["approval_id"] = id.into();
        world.ask(id, request).await.unwrap();
    }
    let before = world.items();
    for (who, expected) in [
        (named("till-2", &[Role::Cashier]), "role_required"),
        (named("a", &[Role::Analyst]), "role_required"),
        // The same token with more roles, and the employee under their own token.
        (named("till-1", &[Role::Cashier, Role::StoreManager]), "approval_of_own_request"),
        (named("e-7", &[Role::StoreManager]), "approval_of_own_request"),
        (named("till-1", &[Role::Operator]), "approval_of_own_request"),
    ] {
        for granted in [true, false] {
            assert_eq!(code(world.decide(&who, "g", "ap-1", granted).await), Some(expected), "{who:?}");
        }
    }
    assert_eq!(world.items(), before);
    world.decide(&manager(), "d1", "ap-1", true).await.unwrap();
    world.decide(&named("o-1", &[Role::Operator]), "d2", "ap-2", false).await.unwrap();
    let before = world.items();
    for (id, status) in [("ap-1", "granted"), ("ap-2", "denied")] {
        for granted in [true, false] {
            for who in [manager(), named("m-2", &[Role::StoreManager])] {
                let refused = refusal(world.decide(&who, "other", id, granted).await);
                assert_eq!(
                    (refused.code, &refused.extra["approval_status"]),
                    ("approval_decided", &json!(status))
                );
            }
        }
    }
    // Under a key that took effect with something else, or for somebody else.
    assert_eq!(code(world.decide(&manager(), "d1", "ap-1", false).await), Some("idempotency_key_reused"));
    let other = named("m-2", &[Role::StoreManager]);
    assert_eq!(code(world.decide(&other, "d1", "ap-1", true).await), Some("idempotency_key_reused"));
    assert_eq!(code(world.decide(&manager(), "g", "none", true).await), Some("approval_not_found"));
    assert_eq!(world.items(), before);
    world.cart("c").await;
    let denied = refusal(world.till("l", "add_line_item", line("c", "ap-2")).await);
    assert_eq!(denied.code, "approval_denied");
}

#[tokio::test]
async fn what_waits_too_long_is_over() {
    let world = World::new().await;
    world.cart("c").await;
    for id in ["early", "late"] {
        let mut request = override_of("c");
        request["approval_id"] = id.into();
        world.ask(id, request).await.unwrap();
    }
    world.environment.advance(Duration::from_secs(899));
    world.decide(&manager(), "g", "early", true).await.unwrap();
    world.environment.advance(Duration::from_secs(1));
    assert_eq!(world.status("late").await, "expired");
    assert_eq!(code(world.decide(&manager(), "g", "late", true).await), Some("approval_expired"));
    assert_eq!(code(world.till("l", "add_line_item", line("c", "late")).await), Some("approval_expired"));
    world.environment.advance(Duration::from_secs(299));
    assert_eq!(world.status("early").await, "expired");
    assert_eq!(code(world.till("l", "add_line_item", line("c", "early")).await), Some("approval_expired"));
    let expired = json!({"store_id": STORE, "status": "expired"});
    assert_eq!(world.listed(&manager(), expired).await.unwrap().0.len(), 2);
    // Until the last moment it is good.
    world.granted("last", override_of("c")).await;
    world.environment.advance(Duration::from_secs(299));
    world.till("l", "add_line_item", line("c", "last")).await.unwrap();

    world.settings("s", json!({"approvals": {"pending_seconds": 60, "granted_seconds": 30}})).await;
    let mut request = override_of("c");
    request["approval_id"] = "short".into();
    world.ask("short", request).await.unwrap();
    world.environment.advance(Duration::from_secs(59));
    world.decide(&manager(), "g", "short", true).await.unwrap();
    world.environment.advance(Duration::from_secs(30));
    assert_eq!(code(world.till("l2", "add_line_item", line("c", "short")).await), Some("approval_expired"));
}

#[tokio::test]
async fn a_blind_return_stays_within_what_was_approved() {
    let world = World::new().await;
    world.granted("ap", blind(500)).await;
    let start = json!({"return_id": "b", "reason": "no receipt", "approval_id": "ap"});
    let begun = world.till("s", "start_return", start.clone()).await.unwrap();
    assert_eq!(view(&begun)["approval"], json!({"approval_id": "ap", "approved_by": "m-1"}));
    assert!(world.till("s", "start_return", start).await.unwrap().replayed);
    let second = json!({"return_id": "b2", "reason": "no receipt", "approval_id": "ap"});
    assert_eq!(code(world.till("s2", "start_return", second).await), Some("approval_used"));
    let back = |quantity, price: &str| json!({"return_id": "b", "sku": "A", "quantity": quantity, "unit_price": price, "disposition": "restock"});
    let above = refusal(world.till("l", "return_line_item", back(1, "5.01")).await);
    assert_eq!((above.code, &above.extra["maximum_refund"]), ("approval_does_not_match", &json!(500)));
    world.till("l1", "return_line_item", back(1, "3.00")).await.unwrap();
    let above = world.till("l2", "return_line_item", back(1, "2.01")).await;
    assert_eq!(code(above), Some("approval_does_not_match"));
    world.till("l3", "return_line_item", back(1, "2.00")).await.unwrap();
    let refund = json!({"return_id": "b", "tender": "cash", "amount": gbp(500)});
    world.till("r", "refund_tender", refund).await.unwrap();
    world.till("f", "finalize_return", json!({"return_id": "b"})).await.unwrap();
    let order = tillstream_app::orders::read::get(&world.shop.ports, &manager(), "b").await.unwrap();
    assert_eq!(order.approval.unwrap().approval_id, "ap");
    // A manager's own return has no limit, so no cashier goes on with it; and one with a sale takes no approval.
    let sent = envelope(STORE, "r-1", "m", "start_return", json!({"return_id": "mb", "reason": "x"}));
    execute(&world.shop.ports, &manager(), sent).await.unwrap();
    let many =
        json!({"return_id": "mb", "sku": "A", "quantity": 9, "unit_price": "99", "disposition": "none"});
    assert_eq!(code(world.till("ml", "return_line_item", many.clone()).await), Some("approval_required"));
    let sent = envelope(STORE, "r-1", "uploaded", "return_line_item", many.clone());
    let (outcomes, _) = batch::run(&world.shop.ports, &cashier(), vec![sent], Timestamp::MAX).await;
    let uploaded = outcomes.into_iter().map(|(_, outcome)| outcome.err().and_then(|error| error.code()));
    assert_eq!(uploaded.collect::<Vec<_>>(), [Some("approval_required")]);
    let own = envelope(STORE, "r-1", "own", "return_line_item", many.clone());
    execute(&world.shop.ports, &manager(), own).await.unwrap();
    // Where nobody needs one, anybody goes on with it.
    world.settings("blind", json!({"approvals": {"blind_return": false}})).await;
    world.till("allowed", "return_line_item", many).await.unwrap();
    let known = json!({"original_order_id": "b", "reason": "x", "approval_id": "ap"});
    assert_eq!(code(world.till("k", "start_return", known).await), Some("approval_not_expected"));
}

#[tokio::test]
async fn a_list_is_walked_page_by_page_newest_first() {
    let world = World::new().await;
    for n in 0..7 {
        let mut request = override_of("c");
        request["approval_id"] = format!("ap-{n}").into();
        world.ask(&format!("k-{n}"), request).await.unwrap();
        world.environment.advance(Duration::from_secs(1));
    }
    world.decide(&manager(), "g", "ap-3", true).await.unwrap();
    for (status, expected) in [
        (json!(null), vec!["ap-6", "ap-5", "ap-4", "ap-3", "ap-2", "ap-1", "ap-0"]),
        (json!("pending"), vec!["ap-6", "ap-5", "ap-4", "ap-2", "ap-1", "ap-0"]),
        (json!("granted"), vec!["ap-3"]),
        (json!("used"), vec![]),
    ] {
        for limit in [1, 2, 3, 7, 50] {
            let (mut seen, mut cursor) = (Vec::new(), Value::Null);
            for _ in 0..10 {
                let query = json!({"store_id": STORE, "status": status, "limit": limit, "cursor": cursor});
                let (page, next) = world.listed(&cashier(), query).await.unwrap();
                assert!(page.len() <= limit);
                seen.extend(page);
                match next {
                    Some(next) => cursor = next.into(),
                    None => break,
                }
            }
            assert_eq!(seen, expected, "{status} by {limit}");
        }
    }
    let (_, next) = world.listed(&manager(), json!({"store_id": STORE, "limit": 1})).await.unwrap();
    for (query, expected) in [
        (json!({}), "store_required"),
        (json!({"store_id": "a b"}), "id_malformed"),
        (json!({"store_id": STORE, "status": "open"}), "status_unknown"),
        (json!({"store_id": STORE, "limit": 0}), "limit_out_of_range"),
        (json!({"store_id": STORE, "cursor": "x"}), "cursor_malformed"),
        (json!({"store_id": STORE, "status": "used", "cursor": next}), "cursor_malformed"),
        (json!({"store_id": "s-2", "cursor": next}), "cursor_malformed"),
    ] {
        assert_eq!(code(world.listed(&manager(), query.clone()).await), Some(expected), "{query}");
    }
    let analyst = named("a", &[Role::Analyst]);
    assert_eq!(code(world.listed(&analyst, json!({"store_id": STORE})).await), Some("role_required"));
}

#[tokio::test]
async fn what_cannot_be_approved_is_refused_when_it_is_asked_for() {
    let world = World::new().await;
    let change = |mut request: Value, changed: Value| {
        request.as_object_mut().unwrap().extend(changed.as_object().unwrap().clone());
        request
    };
    let price = |changed| change(override_of("c"), changed);
    let percent = |changed| change(discount_of("c", json!({"kind": "percent_cart", "value": 500})), changed);
    let cash = |action: &str, changed| {
        let request = json!({"store_id": STORE, "register_id": "r-1", "action": action, "reason": "x",
            "shift_id": "sh-1", "amount": gbp(100)});
        change(request, changed)
    };
    let before = world.items();
    for (request, expected) in [
        (price(json!({"reason": " "})), "reason_required"),
        (price(json!({"reason": "x".repeat(201)})), "text_too_long"),
        (price(json!({"reason": "4111111111111111"})), "card_number_refused"),
        (price(json!({"approval_id": "a#b"})), "id_malformed"),
        (price(json!({"employee_id": "a b"})), "id_malformed"),
        (price(json!({"store_id": "none"})), "store_not_found"),
        (price(json!({"register_id": "r-9"})), "register_not_found"),
        (price(json!({"register_id": "virtual-1"})), "register_virtual"),
        (price(json!({"cart_id": null})), "field_required"),
        (price(json!({"cart_id": "a/b"})), "id_malformed"),
        (price(json!({"sku": null})), "field_required"),
        (price(json!({"sku": "NONE"})), "sku_not_found"),
        (price(json!({"sku": ""})), "sku_malformed"),
        (price(json!({"quantity": null})), "field_required"),
        (price(json!({"quantity": 0})), "quantity_invalid"),
        (price(json!({"quantity": "0.5"})), "quantity_invalid"),
        (price(json!({"unit_price_override": null})), "field_required"),
        (price(json!({"amount": gbp(1)})), "field_not_expected"),
        (price(json!({"shift_id": "sh-1"})), "field_not_expected"),
        (percent(json!({"value": 0})), "discount_value_invalid"),
        (percent(json!({"value": 10_001})), "discount_value_invalid"),
        (percent(json!({"value": gbp(1)})), "discount_value_invalid"),
        (percent(json!({"kind": null})), "field_required"),
        (percent(json!({"line_id": "l-1"})), "field_not_expected"),
        (percent(json!({})), "maximum_goods_required"),
        (percent(json!({"kind": "percent_line", "line_id": "l-1"})), "maximum_goods_required"),
        (percent(json!({"maximum_goods": gbp(0)})), "amount_not_positive"),
        (percent(json!({"maximum_goods": gbp(1_000_000_000_001)})), "amount_out_of_range"),
        (percent(json!({"maximum_goods": {"amount": 1, "currency": "EUR"}})), "currency_mismatch"),
        (
            percent(json!({"kind": "fixed_cart", "value": gbp(1), "maximum_goods": gbp(1)})),
            "field_not_expected",
        ),
        (price(json!({"maximum_goods": gbp(1)})), "field_not_expected"),
        (percent(json!({"kind": "percent_line"})), "field_required"),
        (percent(json!({"kind": "percent_line", "line_id": "l-01"})), "line_malformed"),
        (percent(json!({"kind": "fixed_cart"})), "discount_value_invalid"),
        (percent(json!({"kind": "fixed_cart", "value": gbp(0)})), "amount_not_positive"),
        (
            percent(json!({"kind": "fixed_cart", "value": {"amount": 1, "currency": "EUR"}})),
            "currency_mismatch",
        ),
        (blind(0), "amount_not_positive"),
        (blind(1_000_000_000_001), "amount_out_of_range"),
        (change(blind(1), json!({"maximum_refund": {"amount": 1, "currency": "EUR"}})), "currency_mismatch"),
        (change(blind(1), json!({"maximum_refund": null})), "field_required"),
        (cash("paid_out", json!({"amount": null})), "field_required"),
        (cash("paid_in", json!({"amount": gbp(-1)})), "amount_not_positive"),
        (cash("paid_in", json!({"shift_id": null})), "field_required"),
        (cash("no_sale", json!({})), "field_not_expected"),
        (cash("paid_in", json!({"register_id": null})), "field_required"),
        (cash("void_order", json!({})), "field_required"),
    ] {
        assert_eq!(code(world.ask("k", request.clone()).await), Some(expected), "{request}");
    }
    let ports = &world.shop.ports;
    let sent = || serde_json::from_value(override_of("c")).unwrap();
    for (who, expected) in [
        (named("a", &[Role::Analyst]), "role_required"),
        (Caller { stores: Stores::Named(BTreeSet::new()), ..cashier() }, "store_out_of_reach"),
        (Caller { register_id: Some("r-2".to_owned()), ..cashier() }, "register_out_of_reach"),
    ] {
        assert_eq!(code(ask(ports, &who, "k", sent()).await), Some(expected));
    }
    assert_eq!(world.items(), before);
    // What is right is taken, of every action.
    for (n, request) in [
        price(json!({"unit_price_override": "0"})),
        percent(json!({"kind": "fixed_line", "line_id": "l-1", "value": gbp(5)})),
        percent(json!({"maximum_goods": gbp(900)})),
        percent(json!({"kind": "percent_line", "line_id": "l-1", "maximum_goods": gbp(1_000_000_000_000)})),
        blind(1_000_000_000_000),
        json!({"store_id": STORE, "register_id": "r-1", "action": "void_order", "reason": "x", "order_id": "o"}),
        cash("paid_in", json!({})),
        cash("paid_out", json!({})),
        json!({"store_id": STORE, "register_id": "r-1", "action": "no_sale", "reason": "x", "shift_id": "s"}),
    ]
    .into_iter()
    .enumerate()
    {
        let asked = world.ask(&format!("ok-{n}"), request.clone()).await.unwrap();
        let shown = serde_json::to_value(asked.approval).unwrap();
        for (name, value) in request.as_object().unwrap() {
            if name != "unit_price_override" {
                assert_eq!(&shown[name], value, "{name} of {shown}");
            }
        }
    }
}

/// What a command without an approval costs: no call more than it did.
#[tokio::test]
async fn a_command_without_an_approval_reads_and_writes_once() {
    let world = World::new().await;
    world.cart("c").await;
    world.granted("ap", override_of("c")).await;
    let counted = Arc::new(FaultyDatabase::new(world.database.clone()));
    for operation in [Operation::Query, Operation::Get, Operation::Transact] {
        counted.script(operation, std::iter::repeat_n(Some(Fault::Refused), 100));
    }
    let ports = Ports { database: counted.clone(), environment: world.shop.ports.environment.clone() };
    let line_of = json!({"cart_id": "c", "sku": "A", "quantity": 1});
    let plain = envelope(STORE, "r-1", "l", "add_line_item", line_of);
    execute(&ports, &cashier(), plain).await.unwrap();
    let by_hand = json!({"cart_id": "c", "sku": "A", "quantity": 1, "unit_price_override": "1"});
    let by_hand = envelope(STORE, "r-1", "m", "add_line_item", by_hand);
    execute(&ports, &manager(), by_hand).await.unwrap();
    assert!(counted.injected().is_empty());
}

#[tokio::test]
async fn a_tenant_may_say_how_old_a_command_may_be() {
    let world = World::new().await;
    world.cart("c").await;
    let line = |at: &str, key: &str| {
        let payload = json!({"cart_id": "c", "sku": "A", "quantity": 1});
        let mut sent = envelope(STORE, "r-1", key, "add_line_item", payload);
        sent["occurred_at"] = at.into();
        execute_as_cashier(&world.shop.ports, sent)
    };
    line("2010-12-01T08:26:00Z", "old").await.unwrap();
    world.settings("s", json!({"command_age_max_seconds": 7_200})).await;
    // It is 09:00:16 by now.
    assert_eq!(code(line("2026-03-02T07:00:15Z", "a").await), Some("occurred_at_too_old"));
    line("2026-03-02T07:00:16Z", "b").await.unwrap();
    line("2026-03-02T08:59:00Z", "now").await.unwrap();
    // What took effect before is answered, however old; not so another under its key.
    assert!(line("2010-12-01T08:26:00Z", "old").await.unwrap().replayed);
    world.environment.advance(Duration::from_secs(100_000));
    assert!(line("2026-03-02T08:59:00Z", "now").await.unwrap().replayed);
    let opened = |key: &str, payload: Value| envelope(STORE, "r-1", key, "create_cart", payload);
    let again = opened("c-open", json!({"cart_id": "c"}));
    assert!(execute_as_cashier(&world.shop.ports, again).await.unwrap().replayed);
    let new = execute_as_cashier(&world.shop.ports, opened("n", json!({}))).await;
    assert_eq!(code(new), Some("occurred_at_too_old"));
    let reused = envelope(STORE, "r-1", "old", "void_cart", json!({"cart_id": "c"}));
    assert_eq!(code(execute_as_cashier(&world.shop.ports, reused).await), Some("idempotency_key_reused"));
}

async fn execute_as_cashier(ports: &Ports, sent: Value) -> Result<Answered> {
    execute(ports, &cashier(), sent).await
}
