//! Every action there is, sent with what is not its sender's: another store's cart, another register's, a shift that
//! is over, a time that cannot be, an approval of something else or one that was used. Each is refused by its own code,
//! and changes nothing.
//!
//! The table is made from the list of actions that the code has, so that a new one cannot be forgotten.

use std::collections::BTreeSet;

use serde_json::{Value, json};
use tillstream_app::approvals::ask::ask;
use tillstream_app::approvals::decide::decide;
use tillstream_app::database::{Item, Table, Write};
use tillstream_app::pos::envelope;
use tillstream_app::pos::execute::{Answered, execute};
use tillstream_app::tenancy::{Caller, Role, Stores, TenantScope};
use tillstream_app::tenant_rules::settings_item;
use tillstream_app::{Error, Result};
use tillstream_contracts::pos::{ACTIONS, Command};
use tillstream_domain::tenant_settings::TenantSettings;
use tillstream_testkit::memory_database::MemoryDatabase;
use tillstream_testkit::shop::{STORE, Shop, caller};

use crate::one_fault::{Moment, shop_on};
use crate::pricing::{World, gbp};

const FAR: &str = "s-2";

/// What a command is about: that decides what it is refused for. A new action has to be put somewhere.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum About {
    /// A cart or return that it makes.
    NewCart,
    /// A cart or return that is there.
    Cart,
    /// A cart that any register of its store may take over.
    ParkedCart,
    /// An order of the store, whichever register sold it.
    Order,
    /// The parked carts of the store.
    Store,
    /// A shift that it opens.
    NewShift,
    /// A shift that is there.
    Shift,
}

fn about(command: &Command) -> About {
    match command {
        Command::CreateCart(_) | Command::StartReturn(_) => About::NewCart,
        Command::SetCustomer(_)
        | Command::AddLineItem(_)
        | Command::UpdateLineItem(_)
        | Command::RemoveLineItem(_)
        | Command::ApplyManualDiscount(_)
        | Command::RemoveManualDiscount(_)
        | Command::ApplyCoupon(_)
        | Command::RemoveCoupon(_)
        | Command::ApplyPromo(_)
        | Command::RemovePromo(_)
        | Command::SetTendering(_)
        | Command::ResumeEditing(_)
        | Command::AddPayment(_)
        | Command::RemovePayment(_)
        | Command::FinalizeOrder(_)
        | Command::VoidCart(_)
        | Command::ParkCart(_)
        | Command::ReturnLineItem(_)
        | Command::RefundTender(_)
        | Command::FinalizeReturn(_)
        | Command::FinalizeExchange(_)
        | Command::VoidReturn(_) => About::Cart,
        Command::RecallCart(_) => About::ParkedCart,
        Command::ListParkedCarts(_) => About::Store,
        Command::VoidOrder(_) => About::Order,
        Command::OpenTill(_) => About::NewShift,
        Command::PaidIn(_)
        | Command::PaidOut(_)
        | Command::NoSale(_)
        | Command::CashCount(_)
        | Command::GetXReport(_)
        | Command::CloseTill(_) => About::Shift,
    }
}

/// Whether it makes something final, for which a tenant may want an open shift.
fn is_final(command: &Command) -> bool {
    matches!(
        command,
        Command::FinalizeOrder(_)
            | Command::FinalizeReturn(_)
            | Command::FinalizeExchange(_)
            | Command::VoidOrder(_)
    )
}

/// Whether it only looks.
fn only_looks(command: &Command) -> bool {
    matches!(command, Command::ListParkedCarts(_) | Command::GetXReport(_))
}

/// A payload with which the action takes effect at register `r-1` of the shop of [`shop`]; `open_till` at `r-3`,
/// which has no shift.
fn good(action: &str) -> Value {
    let of_cart = |cart: &str, more: Value| {
        let mut payload = json!({"cart_id": cart});
        payload.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        payload
    };
    let of_shift = |more: Value| {
        let mut payload = json!({"shift_id": "shift"});
        payload.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        payload
    };
    let cash = || of_shift(json!({"amount": gbp(5), "reason": "x"}));
    match action {
        "create_cart" => json!({"cart_id": "new"}),
        "set_customer" => of_cart("open", json!({"customer_id": "k-1"})),
        "add_line_item" => of_cart("open", json!({"sku": "A", "quantity": 1})),
        "update_line_item" => of_cart("open", json!({"line_id": "l-1", "quantity": 5})),
        "remove_line_item" => of_cart("open", json!({"line_id": "l-1"})),
        "apply_manual_discount" => {
            of_cart("open", json!({"kind": "percent_cart", "value": 100, "reason": "x"}))
        }
        "remove_manual_discount" => of_cart("reduced", json!({"discount_id": "d-1"})),
        "apply_coupon" => of_cart("open", json!({"coupon_code": "TEN"})),
        "remove_coupon" => of_cart("reduced", json!({"coupon_code": "TEN"})),
        "apply_promo" => of_cart("open", json!({"promo_id": "HAND"})),
        "remove_promo" => of_cart("reduced", json!({"promo_id": "HAND"})),
        "set_tendering" | "park_cart" => of_cart("open", json!({})),
        "void_cart" => of_cart("open", json!({"reason": "x"})),
        "resume_editing" => of_cart("tendering", json!({})),
        "add_payment" => of_cart("tendering", json!({"tender": "cash", "amount": gbp(255)})),
        "remove_payment" => of_cart("paid", json!({"payment_id": "p-1"})),
        "finalize_order" => of_cart("paid", json!({})),
        "recall_cart" => of_cart("parked", json!({})),
        "list_parked_carts" => json!({}),
        "void_order" => json!({"order_id": "sold", "reason": "x"}),
        "start_return" => json!({"return_id": "new", "original_order_id": "came-back", "reason": "x"}),
        "return_line_item" => {
            json!({"return_id": "back", "line_id": "l-1", "quantity": 1, "disposition": "restock"})
        }
        "refund_tender" => json!({"return_id": "back", "tender": "card", "amount": gbp(255)}),
        "finalize_return" => json!({"return_id": "refunded"}),
        "finalize_exchange" => json!({"return_id": "back", "cart_id": "tendering"}),
        "void_return" => json!({"return_id": "back"}),
        "open_till" => json!({"shift_id": "new"}),
        "paid_in" | "paid_out" => cash(),
        "no_sale" | "get_x_report" => of_shift(json!({})),
        "cash_count" | "close_till" => of_shift(json!({"counted": gbp(10_000)})),
        other => panic!("what is a payload of {other}?"),
    }
}

/// The same, but for what makes something: that names what is there already, of the other store.
fn theirs(action: &str) -> Value {
    match action {
        "create_cart" => json!({"cart_id": "open"}),
        "start_return" => json!({"return_id": "back", "original_order_id": "came-back", "reason": "x"}),
        "open_till" => json!({"shift_id": "shift"}),
        action => good(action),
    }
}

/// The same of a shift that is over.
fn of_closed(action: &str) -> Value {
    let mut payload = theirs(action);
    payload["shift_id"] = "over".into();
    payload
}

fn command(action: &str, payload: Value) -> Command {
    envelope::command(action, payload).unwrap_or_else(|error| panic!("{action}: {error}"))
}

/// A shop in which every action of [`good`] may happen, and what its tables hold.
async fn shop() -> (World, Moment) {
    let world = World::open().await;
    let shop = &world.shop;
    shop.store(FAR).await.unwrap();
    for sku in ["A", "B"] {
        shop.product(FAR, sku, "2.55", 100).await.unwrap();
    }
    world.coupon("TEN", json!({"percentage": {"bps": 1_000}}), json!({}), (None, None)).await;
    let by_hand = json!({"automatic": false, "benefit": {"percentage": {"bps": 500}}});
    world.promotion("HAND", by_hand).await;
    shop.command("o", "open_till", json!({"shift_id": "over"})).await.unwrap();
    shop.command("z", "close_till", json!({"shift_id": "over", "counted": gbp(0)})).await.unwrap();
    shop.command("p", "open_till", json!({"shift_id": "shift", "amount": gbp(10_000)})).await.unwrap();
    for cart in ["open", "reduced", "parked", "tendering"] {
        world.cart(cart, &[("A", 1)]).await;
    }
    world.send("parked", "park_cart", json!({})).await;
    world.send("tendering", "set_tendering", json!({})).await;
    let tenth = json!({"kind": "percent_cart", "value": 1_000, "reason": "x"});
    world.send("reduced", "apply_manual_discount", tenth).await;
    world.send("reduced", "apply_coupon", json!({"coupon_code": "TEN"})).await;
    world.send("reduced", "apply_promo", json!({"promo_id": "HAND"})).await;
    shop.ready("r-1", "paid", &[("A", 1)]).await.unwrap();
    for (order, pieces) in [("sold", 1), ("came-back", 5)] {
        shop.ready("r-1", order, &[("A", pieces)]).await.unwrap();
        shop.finalize("r-1", order).await.unwrap();
    }
    for id in ["back", "refunded"] {
        let start = json!({"return_id": id, "original_order_id": "came-back", "reason": "x"});
        shop.command(&format!("{id}-s"), "start_return", start).await.unwrap();
        let line = json!({"return_id": id, "line_id": "l-1", "quantity": 1, "disposition": "restock"});
        shop.command(&format!("{id}-l"), "return_line_item", line).await.unwrap();
    }
    let refund = json!({"return_id": "refunded", "tender": "card", "amount": gbp(255)});
    shop.command("refund", "refund_tender", refund).await.unwrap();
    let moment = Moment::of(&world.database, &world.environment);
    (world, moment)
}

fn manager() -> Caller {
    Caller { roles: BTreeSet::from([Role::StoreManager]), ..caller("demo", &[]) }
}

/// Where a command is sent from, and when.
#[derive(Clone, Copy)]
struct Till<'a> {
    store: &'a str,
    register: &'a str,
    at: &'a str,
}

/// A moment at which every action of [`good`] may happen.
const NOW: &str = "2010-12-01T08:29:00Z";
const HERE: Till<'static> = Till { store: STORE, register: "r-1", at: NOW };

async fn send(shop: &Shop, who: &Caller, from: Till<'_>, action: &str, payload: Value) -> Result<Answered> {
    send_under(&format!("every-{action}"), shop, who, from, (action, payload)).await
}

async fn send_under(
    key: &str,
    shop: &Shop,
    who: &Caller,
    from: Till<'_>,
    (action, payload): (&str, Value),
) -> Result<Answered> {
    let envelope = json!({"version": "1", "idempotency_key": key,
        "store_id": from.store, "register_id": from.register, "occurred_at": from.at,
        "action": action, "payload": payload});
    execute(&shop.ports, who, envelope).await
}

fn held(database: &MemoryDatabase) -> Vec<(Table, Vec<Item>)> {
    Table::ALL.into_iter().map(|table| (table, database.items(table))).collect()
}

fn code<T: std::fmt::Debug>(answer: Result<T>) -> &'static str {
    match answer {
        Ok(_) => "done",
        Err(Error::Rejected(refusal)) => refusal.code,
        Err(other) => panic!("{other:?}"),
    }
}

/// Sends every action with `payload` as `who` from `from`, each on a copy of the shop; `expected`: its code, or `done`.
/// What is refused changes nothing; what is done changes something, unless it only looks.
async fn all_are(
    title: &str,
    moment: &Moment,
    (who, from): (&Caller, Till<'_>),
    payload: impl Fn(&str) -> Value,
    expected: impl Fn(&str, &Command) -> &'static str,
) -> usize {
    let mut done = 0;
    for action in ACTIONS {
        let (database, environment) = moment.copied().await;
        let before = held(&database);
        let sent = command(action, payload(action));
        // A register has one open shift at a time.
        let register = if *action == "open_till" && from.register == "r-1" { "r-3" } else { from.register };
        let shop = shop_on(database.clone(), environment);
        let answer = send(&shop, who, Till { register, ..from }, action, payload(action)).await;
        let got = code(answer);
        assert_eq!(got, expected(action, &sent), "{title}: {action}");
        let changed = held(&database) != before;
        assert_eq!(changed, got == "done" && !only_looks(&sent), "{title}: {action} was {got}");
        done += usize::from(got == "done");
    }
    done
}

/// Else the rest would show nothing.
#[tokio::test]
async fn each_takes_effect_where_it_belongs() {
    let (_, moment) = shop().await;
    let done = all_are("right", &moment, (&manager(), HERE), good, |_, _| "done").await;
    assert_eq!(done, ACTIONS.len());
}

/// The names that a command is read by are the list that all these tables are made from.
#[test]
fn the_list_of_actions_is_that_of_the_commands() {
    let unknown = serde_json::from_value::<Command>(json!({"action": "?", "payload": {}})).unwrap_err();
    let told = unknown.to_string();
    let listed = told.split_once("expected one of").unwrap().1;
    let names: Vec<&str> = listed.split('`').skip(1).step_by(2).collect();
    assert_eq!(names, ACTIONS);
    for action in ACTIONS {
        command(action, good(action));
    }
}

#[tokio::test]
async fn none_reaches_another_stores_things() {
    let (_, moment) = shop().await;
    let (who, from) = (manager(), Till { store: FAR, ..HERE });
    let done = all_are("another store's", &moment, (&who, from), theirs, |_, sent| match about(sent) {
        About::NewCart => "cart_exists",
        About::Cart | About::ParkedCart => "cart_of_another_store",
        About::Order => "order_of_another_store",
        About::NewShift => "shift_exists",
        About::Shift => "shift_of_another_store",
        About::Store => "done",
    });
    assert_eq!(done.await, 1);
    // What is listed there is not what is parked here.
    let (database, environment) = moment.copied().await;
    let shop = shop_on(database, environment);
    for (from, parked) in [(HERE, 1), (from, 0)] {
        let listed = send(&shop, &manager(), from, "list_parked_carts", json!({})).await.unwrap();
        assert_eq!(listed.reply.result.parked_carts.unwrap().len(), parked);
    }
}

#[tokio::test]
async fn none_is_for_a_store_that_the_token_does_not_reach() {
    let (_, moment) = shop().await;
    let far = Caller { stores: Stores::Named(BTreeSet::from([FAR.to_owned()])), ..manager() };
    let done = all_are("out of reach", &moment, (&far, HERE), good, |_, _| "store_out_of_reach").await;
    assert_eq!(done, 0);
}

#[tokio::test]
async fn none_is_for_another_register_than_the_tokens() {
    let (_, moment) = shop().await;
    let till = Caller { register_id: Some("r-2".to_owned()), ..manager() };
    let refused = |_: &str, _: &Command| "register_out_of_reach";
    assert_eq!(all_are("in another's name", &moment, (&till, HERE), good, refused).await, 0);
    // In its own name it reaches what is its own, and what the store's registers share.
    let from = Till { register: "r-2", ..HERE };
    let done = all_are("another register's", &moment, (&till, from), theirs, |_, sent| match about(sent) {
        About::NewCart => "cart_exists",
        About::Cart => "cart_of_another_register",
        About::NewShift => "shift_exists",
        About::Shift => "shift_of_another_register",
        About::ParkedCart | About::Order | About::Store => "done",
    });
    assert_eq!(done.await, 3);
}

#[tokio::test]
async fn none_is_for_who_does_not_sell_nor_for_another_tenant() {
    let (_, moment) = shop().await;
    for role in [Role::WarehouseStaff, Role::Analyst, Role::FranchiseOwner, Role::Integration] {
        let who = caller("demo", &[role]);
        let done = all_are("no seller", &moment, (&who, HERE), good, |_, _| "role_required").await;
        assert_eq!(done, 0, "{role:?}");
    }
    let stranger = caller("another", &[Role::Operator]);
    let done = all_are("another tenant's", &moment, (&stranger, HERE), good, |_, sent| match about(sent) {
        About::NewCart | About::Order | About::Store | About::NewShift => "store_not_found",
        About::Cart | About::ParkedCart => "cart_not_found",
        About::Shift => "shift_not_found",
    });
    assert_eq!(done.await, 0);
}

async fn put(shop: &Shop, settings: &TenantSettings) {
    let item = settings_item(&shop.scope, settings).unwrap();
    let write = Write::Put { table: Table::Catalog, item, condition: None };
    shop.ports.database.write(write).await.unwrap();
}

/// A shift that is over takes nothing; and where a tenant wants it so, nothing is made final without one.
#[tokio::test]
async fn none_is_of_a_shift_that_is_over() {
    let (world, moment) = shop().await;
    let payload = |action: &str| match about(&command(action, good(action))) {
        About::NewShift | About::Shift => of_closed(action),
        _ => good(action),
    };
    let of_over = |sent: &Command| match about(sent) {
        About::NewShift => Some("shift_exists"),
        About::Shift => Some("shift_closed"),
        _ => None,
    };
    let who = manager();
    let any = |_: &str, sent: &Command| of_over(sent).unwrap_or("done");
    let without = all_are("of a closed shift", &moment, (&who, HERE), payload, any).await;
    assert_eq!(without, ACTIONS.len() - 7);
    let needs_shift = TenantSettings { sale_needs_open_shift: true, ..TenantSettings::default() };
    put(&world.shop, &needs_shift).await;
    let end = json!({"shift_id": "shift", "counted": gbp(10_000)});
    world.shop.command("end", "close_till", end).await.unwrap();
    let closed = Moment::of(&world.database, &world.environment);
    let done = all_are("without a shift", &closed, (&who, HERE), payload, |_, sent| match of_over(sent) {
        Some(code) => code,
        None if is_final(sent) => "no_open_shift",
        None => "done",
    });
    assert_eq!(done.await, without - 4);
}

#[tokio::test]
async fn none_is_of_a_time_that_cannot_be() {
    let (world, moment) = shop().await;
    let who = manager();
    // More than a clock may be ahead of ours.
    let ahead = Till { at: "2010-12-01T08:36:00Z", ..HERE };
    let refused = |_: &str, _: &Command| "occurred_at_in_future";
    assert_eq!(all_are("to come", &moment, (&who, ahead), good, refused).await, 0);
    let old = Till { at: "2008-12-01T08:29:00Z", ..HERE };
    let year = TenantSettings { command_age_max_seconds: Some(365 * 86_400), ..TenantSettings::default() };
    put(&world.shop, &year).await;
    let aged = Moment::of(&world.database, &world.environment);
    let done = all_are("of long ago", &aged, (&who, old), good, |_, sent| {
        if only_looks(sent) { "done" } else { "occurred_at_too_old" }
    });
    assert_eq!(done.await, 2);
    // Without such a setting whatever a register was cut off with is taken, however late it comes.
    let late =
        |_: &str, sent: &Command| if about(sent) == About::Order { "order_of_another_day" } else { "done" };
    assert_eq!(all_are("late", &moment, (&who, old), good, late).await, ACTIONS.len() - 1);
}

fn named(subject: &str, tenant: &str, role: Role) -> Caller {
    Caller { subject: subject.to_owned(), ..caller(tenant, &[role]) }
}

/// Who needs approvals.
fn cashier() -> Caller {
    named("till-1", "demo", Role::Cashier)
}

/// A payload of [`good`] for which an approval is needed, if the action ever needs one.
fn approvable(action: &str) -> Value {
    let mut payload = good(action);
    match action {
        "add_line_item" => payload["unit_price_override"] = "1.00".into(),
        // Of no sale that is known.
        "start_return" => drop(payload.as_object_mut().unwrap().remove("original_order_id")),
        _ => {}
    }
    payload
}

fn naming(mut payload: Value, approval: &str) -> Value {
    payload["approval_id"] = approval.into();
    payload
}

/// The actions whose payload may name an approval, as the code reads them.
fn naming_approvals() -> Vec<&'static str> {
    let takes = |action: &str| envelope::command(action, naming(approvable(action), "ap")).is_ok();
    ACTIONS.iter().copied().filter(|action| takes(action)).collect()
}

/// What is asked for so that [`approvable`] is allowed at a register; nothing where nobody can.
fn request_for(action: &str) -> Option<Value> {
    let payload = approvable(action);
    let mut request = match action {
        "add_line_item" => json!({"action": "price_override", "cart_id": "open", "sku": "A",
            "unit_price_override": "1.00", "quantity": 1}),
        "apply_manual_discount" => json!({"action": "manual_discount", "cart_id": "open",
            "kind": "percent_cart", "value": 100, "maximum_goods": gbp(255)}),
        "start_return" => json!({"action": "blind_return", "maximum_refund": gbp(500)}),
        "void_order" => json!({"action": "void_order", "order_id": payload["order_id"]}),
        "paid_in" | "paid_out" => {
            json!({"action": action, "shift_id": payload["shift_id"], "amount": payload["amount"]})
        }
        "no_sale" => json!({"action": "no_sale", "shift_id": payload["shift_id"]}),
        "cash_count" | "close_till" => return None,
        other => panic!("what is asked for {other}?"),
    };
    request["reason"] = "x".into();
    Some(request)
}

/// Asked for at a register of a store, and granted.
async fn granted(shop: &Shop, tenant: &str, at: (&str, &str), id: &str, mut request: Value) {
    (request["store_id"], request["register_id"]) = (at.0.into(), at.1.into());
    request["approval_id"] = id.into();
    let asked = serde_json::from_value(request).unwrap();
    ask(&shop.ports, &named("till-1", tenant, Role::Cashier), id, asked).await.unwrap();
    let who = named("m-1", tenant, Role::StoreManager);
    let said = serde_json::from_value(json!({})).unwrap();
    decide(&shop.ports, &who, id, id, true, said).await.unwrap();
}

/// The shop, with approvals of every action that needs one: its own, those of another register, of another store, and of
/// another tenant.
async fn approved() -> Moment {
    let (world, _) = shop().await;
    let shop = &world.shop;
    let theirs = Shop { ports: shop.ports.clone(), scope: TenantScope::from_own_record("another") };
    theirs.store(STORE).await.unwrap();
    theirs.product(STORE, "A", "2.55", 100).await.unwrap();
    for action in naming_approvals() {
        let Some(request) = request_for(action) else { continue };
        for (name, at) in [("own", (STORE, "r-1")), ("register", (STORE, "r-2")), ("store", (FAR, "r-1"))] {
            granted(shop, "demo", at, &format!("{action}.{name}"), request.clone()).await;
        }
        granted(&theirs, "another", (STORE, "r-1"), &format!("{action}.tenant"), request).await;
    }
    Moment::of(&world.database, &world.environment)
}

/// Else some that names one would be missing here.
#[test]
fn these_name_approvals() {
    let named: BTreeSet<&str> = naming_approvals().into_iter().collect();
    let expected = [
        "add_line_item",
        "apply_manual_discount",
        "void_order",
        "start_return",
        "paid_in",
        "paid_out",
        "no_sale",
        "cash_count",
        "close_till",
    ];
    assert_eq!(named, BTreeSet::from(expected));
}

#[tokio::test]
async fn none_is_allowed_by_an_approval_that_is_not_for_it() {
    let moment = approved().await;
    let near = Caller { stores: Stores::Named(BTreeSet::from([STORE.to_owned()])), ..cashier() };
    for action in naming_approvals() {
        let needs_one = request_for(action).is_some();
        for (who, name, expected) in [
            (&cashier(), "register", "approval_does_not_match"),
            (&cashier(), "store", "approval_does_not_match"),
            // Of a store out of reach not even what it was for is told.
            (&near, "store", "approval_not_found"),
            (&cashier(), "tenant", "approval_not_found"),
            (&cashier(), "nobody's", "approval_not_found"),
        ] {
            let (database, environment) = moment.copied().await;
            let before = held(&database);
            let shop = shop_on(database.clone(), environment);
            let name = if name == "nobody's" { "nothing".to_owned() } else { format!("{action}.{name}") };
            let answer = send(&shop, who, HERE, action, naming(approvable(action), &name)).await;
            let expected = if needs_one { expected } else { "approval_not_expected" };
            assert_eq!(code(answer), expected, "{action} by {name}");
            assert_eq!(held(&database), before, "{action} by {name}");
        }
    }
}

#[tokio::test]
async fn none_is_allowed_by_an_approval_that_was_used() {
    let moment = approved().await;
    for action in naming_approvals().into_iter().filter(|action| request_for(action).is_some()) {
        let (database, environment) = moment.copied().await;
        let shop = shop_on(database.clone(), environment);
        let own = naming(approvable(action), &format!("{action}.own"));
        assert_eq!(code(send(&shop, &cashier(), HERE, action, own.clone()).await), "done", "{action}");
        let before = held(&database);
        let mut again = own;
        if action == "start_return" {
            again["return_id"] = "another".into();
        }
        let expected = match action {
            // The order is undone by then, which is told first.
            "void_order" => "order_already_voided",
            _ => "approval_used",
        };
        let answer = send_under("again", &shop, &cashier(), HERE, (action, again)).await;
        assert_eq!(code(answer), expected, "{action}");
        assert_eq!(held(&database), before, "{action}");
    }
}
