//! Kits at the till and by REST: sold as one product, taken from stock as several; what comes back is what
//! went, whatever became of the kit.

mod elsewhere;
mod many;
mod one_fault;

use std::sync::Arc;

use jiff::Timestamp;
use serde_json::{Value, json};
use tillstream_app::Result;
use tillstream_app::capacity::{CapacityKind, CapacityMeter};
use tillstream_app::database::{Database, Item, Table};
use tillstream_app::dispatch::delivery::Delivery;
use tillstream_app::dispatch::message::order_message;
use tillstream_app::environment::Environment;
use tillstream_app::facts::sale_event;
use tillstream_app::orders::place::place;
use tillstream_app::orders::read;
use tillstream_app::pos::batch;
use tillstream_app::pos::cart_item::cart_of;
use tillstream_app::pos::cart_write::Executed;
use tillstream_app::relay::handle;
use tillstream_app::stock::reserve::reserve;
use tillstream_app::tenancy::Role;
use tillstream_contracts::inventory::{ReserveLine, ReserveRequest};
use tillstream_domain::kit::KitComponent;
use tillstream_domain::product::Product;
use tillstream_domain::quantity::{QuantityInput, Unit};
use tillstream_testkit::memory_database::MemoryDatabase;
use tillstream_testkit::memory_messaging::{MemoryQueue, MemoryStream};
use tillstream_testkit::shop::{STORE, Shop, caller, envelope};
use tillstream_testkit::test_environment::TestEnvironment;

use crate::policy_world::refused;

/// Two mugs, a box, and 0.125 kg of tea; a wrapping of which no stock is kept.
const SET: &str = "TEA SET";
/// A mug and a box.
const GIFT: &str = "GIFT";

fn gbp(amount: i64) -> Value {
    json!({"amount": amount, "currency": "GBP"})
}

fn tea_set() -> Product {
    let part = |sku: &str, quantity| KitComponent { sku: sku.into(), quantity };
    let components = vec![
        part("MUG", QuantityInput::Whole(2)),
        part("BOX", QuantityInput::Whole(1)),
        part("TEA", QuantityInput::Decimal("0.125".into())),
        part("WRAP", QuantityInput::Whole(1)),
    ];
    Product { components, ..Shop::plain(SET, "20").unwrap() }
}

/// A hundred mugs, boxes and kilograms of tea.
async fn shop_on(database: Arc<dyn Database>, environment: Arc<dyn Environment>) -> Shop {
    let shop = Shop::open(database, environment).await.unwrap();
    for sku in ["MUG", "BOX", "TEA"] {
        shop.product(STORE, sku, "5", 100).await.unwrap();
    }
    shop.put_product(&Product { unit: Unit::Kg, ..Shop::plain("TEA", "40").unwrap() }).await.unwrap();
    shop.put_product(&Product { stocked: false, ..Shop::plain("WRAP", "1").unwrap() }).await.unwrap();
    shop.put_product(&tea_set()).await.unwrap();
    shop.kit(GIFT, "8", &[("MUG", 1), ("BOX", 1)]).await.unwrap();
    shop
}

async fn shop() -> (Shop, Arc<MemoryDatabase>) {
    let environment = Arc::new(TestEnvironment::new(5));
    let database = Arc::new(MemoryDatabase::with_environment(environment.clone()));
    (shop_on(database.clone(), environment).await, database)
}

/// On hand and damaged of mugs, boxes and tea, in thousandths. Nothing may be reserved or below zero.
async fn stock(shop: &Shop) -> [(i64, i64); 3] {
    let mut found = [(0, 0); 3];
    for (sku, found) in ["MUG", "BOX", "TEA"].into_iter().zip(&mut found) {
        let counters = shop.counters(STORE, sku).await.unwrap();
        assert_eq!((counters.reserved, counters.available), (0, counters.on_hand), "{sku}");
        assert!(counters.on_hand >= 0, "{sku}");
        *found = (counters.on_hand, counters.damaged);
    }
    found
}

async fn sold(shop: &Shop, cart: &str, lines: &[(&str, i64)]) {
    shop.ready("r-1", cart, lines).await.unwrap();
    shop.finalize("r-1", cart).await.unwrap();
}

fn item_of(database: &MemoryDatabase, cart: &str) -> Item {
    let is_it = |item: &Item| item.opt_text("sk") == Some("cart") && item.opt_text("cart_id") == Some(cart);
    database.items(Table::Orders).into_iter().find(is_it).unwrap()
}

async fn placed(shop: &Shop, id: &str, lines: &[(&str, i64)], reservation: Option<&str>) -> Result<Executed> {
    let lines: Vec<Value> = lines.iter().map(|(sku, n)| json!({"sku": sku, "quantity": n})).collect();
    let mut order = json!({"order_id": id, "store_id": STORE, "channel": "web", "lines": lines});
    if let Some(reservation) = reservation {
        order["reservation_id"] = reservation.into();
    }
    let order = serde_json::from_value(order).unwrap();
    place(&shop.ports, &caller("demo", &[Role::Integration]), &format!("{id}-place"), order).await
}

async fn read_order(shop: &Shop, id: &str) -> Value {
    let read = read::get(&shop.ports, &caller("demo", &[Role::Analyst]), id).await.unwrap();
    serde_json::to_value(read).unwrap()
}

#[tokio::test]
async fn a_kit_is_one_line_and_takes_its_components() {
    let (shop, database) = shop().await;
    shop.ready("r-1", "c", &[(SET, 3), ("MUG", 1), (GIFT, 2)]).await.unwrap();
    let answered = shop.finalize("r-1", "c").await.unwrap();
    let cart = serde_json::to_value(answered.reply.cart.unwrap()).unwrap();
    assert_eq!(cart["totals"]["total"], gbp(3 * 2_000 + 500 + 2 * 800), "the kits' own prices");
    let line = &cart["lines"][0];
    assert_eq!(
        (&line["sku"], &line["quantity"], &line["name"]),
        (&json!(SET), &json!(3), &json!("Product TEA SET"))
    );
    let of_set = json!([
        {"sku": "MUG", "quantity": 6}, {"sku": "BOX", "quantity": 3}, {"sku": "TEA", "quantity": "0.375"}
    ]);
    assert_eq!(line["components"], of_set);
    assert!(cart["lines"][1].get("components").is_none(), "a mug is no kit");
    assert_eq!(read_order(&shop, "c").await["lines"][0]["components"], of_set);
    // 6 + 1 + 2 mugs, 3 + 2 boxes.
    assert_eq!(stock(&shop).await, [(91_000, 0), (95_000, 0), (99_625, 0)]);
    let moved = database.changes(Table::Stock, 0);
    let by_sale = moved
        .iter()
        .filter(|change| change.new.as_ref().is_some_and(|item| item.opt_text("last_ref") == Some("c")));
    assert_eq!(by_sale.count(), 3, "one change for each component, none for a kit");

    let item = item_of(&database, "c");
    let order = cart_of(&item).unwrap();
    let detail = sale_event(&shop.scope, &order).unwrap().detail.unwrap();
    let counted: Vec<_> = detail.lines.iter().map(|line| (line.sku.as_str(), line.gross)).collect();
    assert_eq!(counted, [(SET, 6_000), ("MUG", 500), (GIFT, 1_600)], "figures are of kits");
    let environment = shop.ports.environment.clone();
    let (stream, queue) = (MemoryStream::new(1, environment.clone()), MemoryQueue::new(environment));
    assert!(handle(&shop.ports, &stream, &queue, &[(None, Some(&item))]).await.is_empty());
    let delivery = database.items(Table::Dispatch).iter().find_map(|item| Delivery::of(item).ok()).unwrap();
    let message = serde_json::to_value(order_message(&delivery, &order).unwrap()).unwrap();
    assert_eq!(message["lines"][0]["sku"], SET);
    assert_eq!(
        message["lines"][0]["components"],
        json!([
            {"sku": "MUG", "quantity": 6, "unit": "piece"},
            {"sku": "BOX", "quantity": 3, "unit": "piece"},
            {"sku": "TEA", "quantity": "0.375", "unit": "kg"},
        ])
    );
    assert!(message["lines"][1].get("components").is_none());
}

#[tokio::test]
async fn a_kit_is_what_it_was_when_it_was_added() {
    let (shop, _) = shop().await;
    shop.ready("r-1", "c", &[(SET, 4)]).await.unwrap();
    // Redefined before it is paid for, and again after: what was put into the bag is in the bag.
    shop.kit(SET, "20", &[("BOX", 9)]).await.unwrap();
    shop.finalize("r-1", "c").await.unwrap();
    assert_eq!(stock(&shop).await, [(92_000, 0), (96_000, 0), (99_500, 0)]);
    shop.kit(SET, "20", &[("NOBODY KNOWS", 1)]).await.unwrap();
    let start = json!({"return_id": "r", "original_order_id": "c", "reason": "broken"});
    shop.command("r-start", "start_return", start).await.unwrap();
    for (n, disposition) in ["restock", "damaged", "none"].into_iter().enumerate() {
        let line = json!({"return_id": "r", "line_id": "l-1", "quantity": 1, "disposition": disposition});
        let answered = shop.command(&format!("r-{n}"), "return_line_item", line).await.unwrap();
        let cart = serde_json::to_value(answered.reply.cart.unwrap()).unwrap();
        assert_eq!(cart["lines"][n]["components"][0], json!({"sku": "MUG", "quantity": 2}));
    }
    let refund = json!({"return_id": "r", "tender": "card", "amount": gbp(6_000)});
    shop.command("r-refund", "refund_tender", refund).await.unwrap();
    shop.command("r-final", "finalize_return", json!({"return_id": "r"})).await.unwrap();
    assert_eq!(stock(&shop).await, [(94_000, 2_000), (97_000, 1_000), (99_625, 125)]);
}

#[tokio::test]
async fn a_void_gives_back_what_went() {
    let (shop, _) = shop().await;
    let before = stock(&shop).await;
    sold(&shop, "c", &[(SET, 2), (GIFT, 3), ("MUG", 1)]).await;
    shop.kit(SET, "20", &[("BOX", 9)]).await.unwrap();
    shop.kit(GIFT, "8", &[("GIFT", 1)]).await.unwrap();
    let void = json!({"order_id": "c", "reason": "wrong customer"});
    let first = shop.command("v", "void_order", void.clone()).await.unwrap();
    let again = shop.command("v", "void_order", void).await.unwrap();
    assert_eq!((again.replayed, again.reply.result), (true, first.reply.result));
    assert_eq!(stock(&shop).await, before);
}

#[tokio::test]
async fn a_blind_return_of_a_kit_brings_back_what_it_is_made_of_now() {
    let (shop, _) = shop().await;
    shop.command("s", "start_return", json!({"return_id": "r", "reason": "no receipt"})).await.unwrap();
    let line = |sku: &str, disposition: &str| json!({"return_id": "r", "sku": sku, "quantity": 2, "unit_price": "1", "disposition": disposition});
    shop.command("a", "return_line_item", line(SET, "restock")).await.unwrap();
    shop.command("b", "return_line_item", line(GIFT, "damaged")).await.unwrap();
    shop.kit("NESTED", "1", &[(GIFT, 1)]).await.unwrap();
    let nested = refused(shop.command("n", "return_line_item", line("NESTED", "restock")).await);
    assert_eq!(nested.code, "kit_component_is_a_kit");
    let refund = json!({"return_id": "r", "tender": "card", "amount": gbp(400)});
    shop.command("p", "refund_tender", refund).await.unwrap();
    shop.command("f", "finalize_return", json!({"return_id": "r"})).await.unwrap();
    assert_eq!(stock(&shop).await, [(104_000, 2_000), (102_000, 2_000), (100_250, 0)]);
}

#[tokio::test]
async fn of_an_exchange_of_kits_the_components_are_netted() {
    let (shop, _) = shop().await;
    shop.product(STORE, "RARE", "3", 1).await.unwrap();
    shop.kit("RARE SET", "10", &[("RARE", 1), ("MUG", 1)]).await.unwrap();
    shop.kit("OTHER RARE SET", "10", &[("RARE", 1), ("BOX", 1)]).await.unwrap();
    sold(&shop, "old", &[("RARE SET", 1)]).await;
    assert_eq!(shop.counters(STORE, "RARE").await.unwrap().on_hand, 0);
    let start = json!({"return_id": "back", "original_order_id": "old", "reason": "other one"});
    shop.command("b1", "start_return", start).await.unwrap();
    let line = json!({"return_id": "back", "line_id": "l-1", "quantity": 1, "disposition": "restock"});
    shop.command("b2", "return_line_item", line).await.unwrap();
    shop.command("n1", "create_cart", json!({"cart_id": "new"})).await.unwrap();
    let line = json!({"cart_id": "new", "sku": "OTHER RARE SET", "quantity": 1});
    shop.command("n2", "add_line_item", line).await.unwrap();
    shop.command("n3", "set_tendering", json!({"cart_id": "new"})).await.unwrap();
    // The rare thing that comes back in one kit goes out in the other, though the shelf is empty.
    let both = json!({"return_id": "back", "cart_id": "new"});
    shop.command("x", "finalize_exchange", both).await.unwrap();
    assert_eq!(shop.counters(STORE, "RARE").await.unwrap().on_hand, 0);
    assert_eq!(stock(&shop).await, [(100_000, 0), (99_000, 0), (100_000, 0)]);
}

#[tokio::test]
async fn a_shortage_names_the_line_of_the_kit_and_its_component() {
    let (shop, database) = shop().await;
    shop.product(STORE, "FEW", "1", 5).await.unwrap();
    shop.kit("FEW SET", "10", &[("FEW", 3), ("MUG", 1)]).await.unwrap();
    let lines = [("MUG", 1), ("FEW SET", 1), ("FEW", 3)];
    shop.ready("r-1", "c", &lines).await.unwrap();
    let before = database.items(Table::Stock);
    let refusal = refused(shop.finalize("r-1", "c").await);
    assert_eq!((refusal.code, refusal.errors.len()), ("insufficient_stock", 1));
    let error = &refusal.errors[0];
    assert_eq!((error.field.as_str(), error.message.as_str()), ("lines.l-2", "FEW: 6 wanted, 5 available"));
    let short = json!([{"sku": "FEW", "location_id": STORE, "requested": 6, "available": 5, "incoming": 0, "expected": [],
            "kits": ["FEW SET"]}]);
    assert_eq!(refusal.extra["lines"], short);
    let refusal = refused(placed(&shop, "o", &lines, None).await);
    assert_eq!(refusal.errors[0].field, "lines[1].quantity");
    assert_eq!(refusal.extra["lines"], short);
    assert_eq!(database.items(Table::Stock), before, "all or nothing");
}

#[tokio::test]
async fn what_cannot_be_made_or_is_not_sold_by_itself_is_refused_and_changes_nothing() {
    let (shop, database) = shop().await;
    shop.kit("GONE", "1", &[("MUG", 1), ("NOBODY KNOWS", 1)]).await.unwrap();
    shop.kit("NESTED", "1", &[(GIFT, 1)]).await.unwrap();
    shop.kit("SELF", "1", &[("SELF", 1)]).await.unwrap();
    shop.kit("UNFIT", "1", &[("TEA", 1)]).await.unwrap();
    shop.put_product(&Product { sellable: false, ..Shop::plain("SHIRT", "9").unwrap() }).await.unwrap();
    shop.command("o", "create_cart", json!({"cart_id": "c"})).await.unwrap();
    let before = Table::ALL.map(|table| database.items(table));
    for (sku, code) in [
        ("GONE", "kit_component_unknown"),
        ("NESTED", "kit_component_is_a_kit"),
        ("SELF", "kit_component_is_a_kit"),
        ("UNFIT", "kit_component_quantity"),
        ("SHIRT", "variant_required"),
    ] {
        let line = json!({"cart_id": "c", "sku": sku, "quantity": 1});
        let refusal = refused(shop.command("k", "add_line_item", line).await);
        assert_eq!((refusal.code, refusal.errors[0].field.as_str()), (code, "payload.sku"), "{sku}");
        let refusal = refused(placed(&shop, "o", &[("MUG", 1), (sku, 1)], None).await);
        assert_eq!((refusal.code, refusal.errors[0].field.as_str()), (code, "lines[1].sku"), "{sku}");
    }
    assert_eq!(Table::ALL.map(|table| database.items(table)), before);
    // The component comes, the parent may be sold: the same command goes through.
    shop.product(STORE, "NOBODY KNOWS", "1", 1).await.unwrap();
    let line = json!({"cart_id": "c", "sku": "GONE", "quantity": 1});
    shop.command("k", "add_line_item", line).await.unwrap();
    // What a register sold while it was cut off has left the shop.
    let line = json!({"cart_id": "c", "sku": "SHIRT", "quantity": 1});
    let sent = vec![envelope(STORE, "r-1", "off", "add_line_item", line)];
    let who = caller("demo", &[Role::Cashier, Role::StoreManager]);
    let (outcomes, _) = batch::run(&shop.ports, &who, sent, Timestamp::MAX).await;
    assert!(outcomes[0].1.is_ok(), "{:?}", outcomes[0].1);
}

/// The kit has less in the shop than was sold; each component by itself is entered, and told.
#[tokio::test]
async fn kits_sold_offline_are_covered_component_by_component() {
    let (shop, database) = shop().await;
    shop.product(STORE, "FEW", "1", 5).await.unwrap();
    shop.kit("FEW SET", "10", &[("FEW", 3), ("MUG", 30), ("BOX", 1)]).await.unwrap();
    let at = |key: &str, action: &str, payload: Value| envelope(STORE, "r-1", key, action, payload);
    let sent = vec![
        at("1", "create_cart", json!({"cart_id": "c"})),
        at("2", "add_line_item", json!({"cart_id": "c", "sku": "FEW SET", "quantity": 4})),
        at("3", "set_tendering", json!({"cart_id": "c"})),
        at("4", "add_payment", json!({"cart_id": "c", "tender": "card", "amount": gbp(4_000)})),
        at("5", "finalize_order", json!({"cart_id": "c"})),
    ];
    let who = caller("demo", &[Role::Cashier, Role::StoreManager]);
    for _ in 0..3 {
        let (outcomes, open) = batch::run(&shop.ports, &who, sent.clone(), Timestamp::MAX).await;
        assert!(open.is_none() && outcomes.iter().all(|(_, outcome)| outcome.is_ok()), "{outcomes:?}");
    }
    assert_eq!(stock(&shop).await, [(0, 0), (96_000, 0), (100_000, 0)]);
    assert_eq!(shop.counters(STORE, "FEW").await.unwrap().on_hand, 0);
    let tasks: Vec<_> = database
        .items(Table::Stock)
        .iter()
        .filter(|item| item.opt_text("exception_id").is_some())
        .map(|item| (item.text("sku").unwrap().to_owned(), item.opt_number("quantity")))
        .collect();
    assert_eq!(tasks.len(), 2, "{tasks:?}");
    for (sku, quantity) in [("FEW", 7_000), ("MUG", 20_000)] {
        assert!(tasks.contains(&(sku.to_owned(), Some(quantity))), "{tasks:?}");
    }
}

/// Few lines whose components are more than a transaction takes: sold, short, and undone as any long order.
#[tokio::test]
async fn kits_of_more_components_than_a_transaction_takes_are_sold_by_a_plan() {
    const COMPONENTS: usize = 130;
    let (shop, database) = shop().await;
    let names: Vec<String> = (0..COMPONENTS).map(|n| format!("C-{n:03}")).collect();
    for sku in &names {
        shop.product(STORE, sku, "1", 5).await.unwrap();
    }
    let kits: Vec<String> = (0..13).map(|n| format!("KIT-{n:02}")).collect();
    for (sku, components) in kits.iter().zip(names.chunks(10)) {
        let components: Vec<_> = components.iter().map(|sku| (sku.as_str(), 2)).collect();
        shop.kit(sku, "10", &components).await.unwrap();
    }
    let lines: Vec<(&str, i64)> = kits.iter().map(|sku| (sku.as_str(), 1)).collect();
    let all = async || {
        let mut all = Vec::new();
        for sku in &names {
            let counters = shop.counters(STORE, sku).await.unwrap();
            all.push((counters.on_hand, counters.reserved, counters.available));
        }
        all
    };
    sold(&shop, "long", &lines).await;
    assert_eq!(all().await, vec![(3_000, 0, 3_000); COMPONENTS]);
    placed(&shop, "web", &lines, None).await.unwrap();
    assert_eq!(all().await, vec![(1_000, 0, 1_000); COMPONENTS]);
    shop.ready("r-2", "short", &lines).await.unwrap();
    let refusal = refused(shop.finalize("r-2", "short").await);
    assert_eq!((refusal.code, refusal.errors[0].field.as_str()), ("insufficient_stock", "lines.l-1"));
    assert_eq!(refusal.extra["lines"][0]["kits"], json!(["KIT-00"]));
    assert_eq!(all().await, vec![(1_000, 0, 1_000); COMPONENTS], "all is given back");
    shop.command("v", "void_order", json!({"order_id": "long", "reason": "x"})).await.unwrap();
    assert_eq!(all().await, vec![(3_000, 0, 3_000); COMPONENTS]);
    // Held first, and redefined before the order comes: the order takes what is held.
    let held: Vec<Value> =
        kits.iter().map(|sku| json!({"location_id": STORE, "sku": sku, "quantity": 1})).collect();
    let held = json!({"reservation_id": "v", "ttl_seconds": 600, "lines": held});
    let held = serde_json::from_value(held).unwrap();
    let made = reserve(&shop.ports, &caller("demo", &[Role::Integration]), "k", &held).await.unwrap();
    assert_eq!((made.reservation.lines.len(), made.reservation.kits.len()), (COMPONENTS, 13));
    assert_eq!(all().await, vec![(3_000, 2_000, 1_000); COMPONENTS]);
    for sku in &kits {
        shop.kit(sku, "10", &[("MUG", 1)]).await.unwrap();
    }
    for replayed in [false, true] {
        assert_eq!(placed(&shop, "held", &lines, Some("v")).await.unwrap().replayed, replayed);
        assert_eq!(all().await, vec![(1_000, 0, 1_000); COMPONENTS]);
    }
    drop(database);
}

/// Of what many kits are made of an order reads no more than it may have lines, and what no item takes is refused as at
/// a till.
#[tokio::test]
async fn an_order_of_kits_is_bounded() {
    let (shop, database) = shop().await;
    let mut seed = 7_u64;
    let mut text = |length: usize| -> String {
        let next = |_| {
            seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            char::from(b'0' + u8::try_from((seed >> 33) % 75).unwrap())
        };
        (0..length).map(next).collect()
    };
    let kits: Vec<String> = (0..251).map(|n| format!("KIT-{n:03}")).collect();
    for sku in &kits {
        let names: Vec<String> = (0..20).map(|_| text(64)).collect();
        for component in &names {
            shop.put_product(&Shop::plain(component, "1").unwrap()).await.unwrap();
        }
        let components: Vec<(&str, i64)> = names.iter().map(|sku| (sku.as_str(), 1)).collect();
        shop.kit(sku, "10", &components).await.unwrap();
    }
    let before = Table::ALL.map(|table| database.items(table));
    let many: Vec<(&str, i64)> = kits.iter().map(|sku| (sku.as_str(), 1)).collect();
    let refusal = refused(placed(&shop, "o", &many, None).await);
    assert_eq!((refusal.code, refusal.errors[0].field.as_str()), ("too_many_components", "lines"));
    let lines: Vec<Value> =
        kits[..250].iter().map(|sku| json!({"sku": sku, "quantity": 1, "notes": text(400)})).collect();
    let order = json!({"order_id": "o", "store_id": STORE, "channel": "web", "lines": lines});
    let order = serde_json::from_value(order).unwrap();
    let refusal = refused(place(&shop.ports, &caller("demo", &[Role::Integration]), "k", order).await);
    assert_eq!(refusal.code, "cart_too_large");
    assert_eq!(Table::ALL.map(|table| database.items(table)), before);
}

#[tokio::test]
async fn an_order_takes_the_kits_that_were_reserved_for_it_as_they_were_then() {
    let (shop, _) = shop().await;
    let line = |sku: &str, n| ReserveLine {
        location_id: Some(STORE.into()),
        sku: sku.into(),
        quantity: QuantityInput::Whole(n),
    };
    let request = ReserveRequest {
        reservation_id: Some("v-1".into()),
        lines: vec![line(SET, 3), line("MUG", 2)],
        sourcing: None,
        ttl_seconds: 600,
        order_id: None,
    };
    let who = caller("demo", &[Role::Integration]);
    reserve(&shop.ports, &who, "k", &request).await.unwrap();
    shop.kit(SET, "20", &[("NOBODY KNOWS", 1)]).await.unwrap();
    let wrong = refused(placed(&shop, "o", &[(SET, 2), ("MUG", 2)], Some("v-1")).await);
    assert_eq!(wrong.code, "reservation_mismatch");
    let lines = [(SET, 3), ("MUG", 2)];
    placed(&shop, "o", &lines, Some("v-1")).await.unwrap();
    assert_eq!(stock(&shop).await, [(92_000, 0), (97_000, 0), (99_625, 0)]);
    assert!(placed(&shop, "o", &lines, Some("v-1")).await.unwrap().replayed);
    // What was held by itself is sold by itself, though it became a kit meanwhile.
    let request =
        ReserveRequest { reservation_id: Some("v-2".into()), lines: vec![line("BOX", 4)], ..request };
    reserve(&shop.ports, &who, "k2", &request).await.unwrap();
    shop.kit("BOX", "5", &[("MUG", 9)]).await.unwrap();
    placed(&shop, "boxes", &[("BOX", 4)], Some("v-2")).await.unwrap();
    assert_eq!(stock(&shop).await, [(92_000, 0), (93_000, 0), (99_625, 0)]);
    // Without the reservation the kit is what it is by now.
    assert_eq!(refused(placed(&shop, "p", &[(SET, 1)], None).await).code, "kit_component_unknown");
}

/// A kit costs its components, and what is no kit costs what it did.
#[tokio::test]
async fn a_cart_without_kits_holds_nothing_of_kits_and_one_with_them_pays_for_their_components() {
    let meter = Arc::new(CapacityMeter::default());
    let database = Arc::new(MemoryDatabase::new().observed_by(meter.clone()));
    let shop = shop_on(database.clone(), Arc::new(TestEnvironment::new(9))).await;
    // The first sale makes the lane.
    sold(&shop, "first", &[("MUG", 1)]).await;
    let finalized = async |cart: &str, lines: &[(&str, i64)]| {
        shop.ready("r-1", cart, lines).await.unwrap();
        meter.take();
        shop.finalize("r-1", cart).await.unwrap();
        let sums = meter.take();
        let of_stock = |((table, _, kind), units): (&(Table, _, CapacityKind), &u64)| {
            (*table == Table::Stock && *kind == CapacityKind::Write).then_some(*units)
        };
        (sums.calls.clone(), sums.thousandths.iter().filter_map(of_stock).sum::<u64>())
    };
    let plain = finalized("plain", &[("MUG", 3), ("BOX", 2)]).await;
    let kits = finalized("kits", &[(GIFT, 2), ("MUG", 1)]).await;
    assert_eq!(plain, kits, "the same two SKUs: the same calls, and the same units of stock");
    assert!(item_of(&database, "plain").get("kits").is_none());
    assert!(item_of(&database, "kits").get("kits").is_some());
    // Adding a line that is no kit is one read, as ever.
    shop.command("o", "create_cart", json!({"cart_id": "c"})).await.unwrap();
    let add = async |key: &str, sku: &str| {
        meter.take();
        shop.command(key, "add_line_item", json!({"cart_id": "c", "sku": sku, "quantity": 1})).await.unwrap();
        meter.take().calls.values().sum::<u64>()
    };
    assert_eq!((add("1", "MUG").await, add("2", GIFT).await), (2, 4));
    // Taken off again, nothing of the kit is left.
    shop.command("3", "remove_line_item", json!({"cart_id": "c", "line_id": "l-2"})).await.unwrap();
    assert!(item_of(&database, "c").get("kits").is_none());
}
