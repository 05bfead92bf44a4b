//! Documents of orders: what they show of the order, by which template they are made, when they are
//! reprints, and who may see them.

mod payments;

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use serde_json::{Value, json};
use tillstream_app::capacity::Operation;
use tillstream_app::catalog::items::location_item;
use tillstream_app::database::{Consistency, Database, Get, Item, Table, Write};
use tillstream_app::documents::{Format, read};
use tillstream_app::environment::Environment;
use tillstream_app::orders::place::place;
use tillstream_app::pos::cart_item::{cart_item, cart_of};
use tillstream_app::pos::execute::{Answered, execute};
use tillstream_app::sync::entities::Entity;
use tillstream_app::sync::upload::{Upload, upload};
use tillstream_app::tenancy::{Caller, Role, Stores};
use tillstream_app::{Error, Result};
use tillstream_domain::location::{Location, LocationKind};
use tillstream_domain::money::Currency;
use tillstream_testkit::faults::{Fault, FaultyDatabase};
use tillstream_testkit::memory_database::MemoryDatabase;
use tillstream_testkit::shop::{STORE, Shop, caller, envelope};
use tillstream_testkit::test_environment::TestEnvironment;

struct World {
    shop: Shop,
    database: Arc<MemoryDatabase>,
    environment: Arc<TestEnvironment>,
}

fn gbp(amount: i64) -> Value {
    json!({"amount": amount, "currency": "GBP"})
}

async fn world() -> World {
    let environment = Arc::new(TestEnvironment::new(7));
    let database = Arc::new(MemoryDatabase::with_environment(environment.clone()));
    let shop = Shop::open(database.clone(), environment.clone()).await.unwrap();
    for (sku, price) in [("TEA", "2.55"), ("MUG", "7.05")] {
        shop.named_product(STORE, sku, &format!("Fine {sku}"), price, 1_000).await.unwrap();
    }
    World { shop, database, environment }
}

impl World {
    async fn sent(&self, key: &str, action: &str, payload: Value) -> Answered {
        self.shop.command(key, action, payload).await.unwrap_or_else(|e| panic!("{action}: {e}"))
    }

    /// 3 × 2.55 and 1 × 7.05, a tenth off the first line, 1.00 off all: 12.93; 20.00 in cash and a tip of 0.50.
    async fn sale(&self, id: &str) -> Answered {
        let key = |name: &str| format!("{id}-{name}");
        self.sent(&key("open"), "create_cart", json!({"cart_id": id, "customer_id": "k-77"})).await;
        let tea = json!({"cart_id": id, "sku": "TEA", "quantity": 3, "notes": "mind the lid"});
        self.sent(&key("tea"), "add_line_item", tea).await;
        let mug = json!({"cart_id": id, "sku": "MUG", "quantity": 1});
        self.sent(&key("mug"), "add_line_item", mug).await;
        let tenth = json!({"cart_id": id, "kind": "percent_line", "line_id": "l-1", "value": 1_000, "reason": "Regular"});
        self.sent(&key("d1"), "apply_manual_discount", tenth).await;
        let pound = json!({"cart_id": id, "kind": "fixed_cart", "value": gbp(100), "reason": "Dented box"});
        self.sent(&key("d2"), "apply_manual_discount", pound).await;
        self.sent(&key("tender"), "set_tendering", json!({"cart_id": id})).await;
        let card = json!({"cart_id": id, "tender": "card", "amount": gbp(500), "tip": gbp(50),
            "external_reference": "auth 4711", "entry_method": "contactless"});
        self.sent(&key("card"), "add_payment", card).await;
        let cash = json!({"cart_id": id, "tender": "cash", "amount": gbp(2_000)});
        self.sent(&key("cash"), "add_payment", cash).await;
        self.sent(&key("final"), "finalize_order", json!({"cart_id": id})).await
    }

    /// Two of the sale's three come back.
    async fn returned(&self, id: &str, sale: &str) -> Answered {
        let key = |name: &str| format!("{id}-{name}");
        let start = json!({"return_id": id, "original_order_id": sale, "reason": "Too strong"});
        self.sent(&key("start"), "start_return", start).await;
        let line = json!({"return_id": id, "line_id": "l-1", "quantity": 2, "disposition": "restock"});
        let line = self.sent(&key("line"), "return_line_item", line).await;
        let total = line.reply.cart.unwrap().totals.total.amount;
        let refund = json!({"return_id": id, "tender": "cash", "amount": gbp(total)});
        self.sent(&key("refund"), "refund_tender", refund).await;
        self.sent(&key("final"), "finalize_return", json!({"return_id": id})).await
    }

    fn who(&self) -> Caller {
        caller("demo", &[Role::Cashier])
    }

    async fn fetch(&self, id: &str, format: Format, reprint: bool) -> Result<Vec<u8>> {
        let rendered = read::get(&self.shop.ports, &self.who(), id, format, reprint).await?;
        assert_eq!(rendered.document.media_type, format.media_type());
        Ok(rendered.document.bytes)
    }

    async fn text(&self, id: &str) -> String {
        String::from_utf8(self.fetch(id, Format::Text, false).await.unwrap()).unwrap()
    }

    async fn feed(&self, lines: &[Value]) {
        let body: String = lines.iter().map(|line| format!("{line}\n")).collect();
        let call = Upload {
            entity: Entity::PrintTemplates,
            body: body.as_bytes(),
            from: 1,
            deadline: Timestamp::MAX,
        };
        let hq = caller("demo", &[Role::Integration]);
        let reply = upload(&self.shop.ports, &hq, call).await.unwrap();
        assert_eq!(reply.applied, reply.lines, "{:?}", reply.errors);
    }

    fn pass(&self, seconds: u64) {
        self.environment.advance(Duration::from_secs(seconds));
    }

    async fn order_item(&self, id: &str) -> Item {
        let get =
            Get { table: Table::Orders, key: self.shop.scope.cart(id), consistency: Consistency::Strong };
        self.database.get(get).await.unwrap().unwrap()
    }

    async fn put_location(&self, name: &str, address: Option<&str>) {
        let location = Location {
            id: STORE.to_owned(),
            kind: LocationKind::Store,
            name: name.to_owned(),
            time_zone: "Europe/London".to_owned(),
            currency: Currency::GBP,
            business_day_start: "00:00".to_owned(),
            region: None,
            address: address.map(str::to_owned),
            tax_number: None,
            capacity: None,
            hours: None,
            coordinates: None,
            stock: Default::default(),
            registers: vec!["r-1".to_owned()],
            version: 2,
        };
        let item = location_item(&self.shop.scope, &location).unwrap();
        self.database.write(Write::Put { table: Table::Catalog, item, condition: None }).await.unwrap();
    }
}

fn template(version: u64, source: &str) -> Value {
    let source = format!("{{% if order.reprint %}}REPRINT {{% endif %}}{source}");
    json!({"id": "receipt", "version": version, "op": "upsert",
        "data": {"kind": "receipt", "format": "paper", "source": source}})
}

fn code<T>(answer: Result<T>) -> Option<&'static str> {
    answer.err().and_then(|error| error.code())
}

#[tokio::test]
async fn a_receipt_tells_what_was_sold_and_how_it_was_paid() {
    let world = world().await;
    world.put_location("The Corner Shop", Some(" 12 High Street\n\nOxford OX1 4DB ")).await;
    let done = world.sale("o-1").await;
    let ids = ["o-1.receipt", "o-1.gift_receipt", "o-1.merchant_copy", "o-1.kitchen_chit"];
    assert_eq!(done.reply.result.document_ids.unwrap(), ids);
    let listed = read::list(&world.shop.ports, &world.who(), "o-1").await.unwrap();
    let entries: Vec<_> = listed.items.iter().map(|entry| entry.document_id.as_str()).collect();
    assert_eq!((entries, listed.next_cursor), (ids.to_vec(), None));
    let formats = ["text/html", "text/plain", "application/vnd.escpos"];
    assert!(listed.items.iter().all(|entry| entry.formats == formats));

    let text = world.text("o-1.receipt").await;
    for part in [
        "The Corner Shop",
        "12 High Street\n",
        "Oxford OX1 4DB\n",
        "2010-12-01 08:26",
        "r-1, e-7",
        "Customer k-77",
        "3 Fine TEA",
        "at 2.55",
        "mind the lid",
        "Fine MUG",
        "Regular",
        "-0.77",
        "Dented box",
        "TOTAL",
        "GBP 12.93",
        "Contactless auth 4711",
        "20.00",
        "Change",
    ] {
        assert!(text.contains(part), "{part:?} is not in\n{text}");
    }
    // What is paid less what is given back is the total and the tip.
    let totals = done.reply.cart.unwrap().totals;
    assert_eq!((totals.total.amount, totals.tips.amount), (1_293, 50));
    assert_eq!(totals.paid.amount - totals.change.amount, 1_293);
    assert!(text.contains(&format!("{}.{:02}", totals.change.amount / 100, totals.change.amount % 100)));

    let chit = world.text("o-1.kitchen_chit").await;
    assert!(chit.contains("mind the lid") && chit.contains("Fine TEA"), "{chit}");
    let copy = world.text("o-1.merchant_copy").await;
    assert!(copy.contains("auth 4711"), "{copy}");
}

#[tokio::test]
async fn kinds_without_prices_have_none_in_any_format() {
    let world = world().await;
    world.sale("o-1").await;
    for kind in ["gift_receipt", "kitchen_chit"] {
        for format in Format::ALL {
            let bytes = world.fetch(&format!("o-1.{kind}"), format, false).await.unwrap();
            let text = String::from_utf8_lossy(&bytes);
            assert!(text.contains("Fine TEA"), "{text}");
            for price in
                ["2.55", "7.65", "7.05", "12.93", "14.70", "0.77", "1.00", "20.00", "5.00", "GBP", "auth"]
            {
                assert!(!text.contains(price), "{kind} as {format} tells {price}: {text}");
            }
        }
    }
}

#[tokio::test]
async fn the_receipt_of_a_return_names_its_sale_and_what_was_paid_back() {
    let world = world().await;
    world.sale("o-1").await;
    let done = world.returned("back", "o-1").await;
    assert_eq!(done.reply.result.document_ids.unwrap(), ["back.return_receipt", "back.merchant_copy"]);
    let text = world.text("back.return_receipt").await;
    let total = done.reply.cart.unwrap().totals.total.amount;
    let refund = format!("GBP {}.{:02}", total / 100, total % 100);
    for part in
        ["RETURN", "Receipt 2", "Of receipt 1", "Of order o-1", "Too strong", "2 Fine TEA", "REFUND", &refund]
    {
        assert!(text.contains(part), "{part:?} is not in\n{text}");
    }
    assert!(text.contains("Cash"), "{text}");
    for (id, has) in [("back.receipt", false), ("back.merchant_copy", true), ("o-1.return_receipt", false)] {
        let fetched = world.fetch(id, Format::Text, false).await;
        assert_eq!(fetched.is_ok(), has, "{id}");
        assert!(has || code(fetched) == Some("document_not_found"), "{id}");
    }
    let copy = world.text("back.merchant_copy").await;
    assert!(copy.contains("RETURN") && copy.contains("Refund, Cash"), "{copy}");
    assert!(!world.text("o-1.merchant_copy").await.contains("RETURN"));
    // A blind return names no sale.
    world.sent("b1", "start_return", json!({"return_id": "blind", "reason": "found at home"})).await;
    let line = json!({"return_id": "blind", "sku": "MUG", "quantity": 1, "unit_price": "7.05", "disposition": "damaged"});
    world.sent("b2", "return_line_item", line).await;
    let refund = json!({"return_id": "blind", "tender": "cash", "amount": gbp(705)});
    world.sent("b3", "refund_tender", refund).await;
    world.sent("b4", "finalize_return", json!({"return_id": "blind"})).await;
    let text = world.text("blind.return_receipt").await;
    assert!(text.contains("found at home") && !text.contains("Of receipt"), "{text}");
}

#[tokio::test]
async fn every_kind_and_format_is_the_same_each_time() {
    let world = world().await;
    world.sale("o-1").await;
    world.returned("back", "o-1").await;
    let mut seen = BTreeSet::new();
    for order in ["o-1", "back"] {
        for entry in read::list(&world.shop.ports, &world.who(), order).await.unwrap().items {
            for format in Format::ALL {
                for reprint in [false, true] {
                    let id = entry.document_id.as_str();
                    let first = world.fetch(id, format, reprint).await.unwrap();
                    world.pass(1);
                    assert_eq!(world.fetch(id, format, reprint).await.unwrap(), first, "{id} as {format}");
                    assert!(
                        !first.is_empty() && seen.insert(first),
                        "{id} as {format}, {reprint}: seen before"
                    );
                }
            }
        }
    }
    assert_eq!(seen.len(), 6 * 3 * 2);
}

#[tokio::test]
async fn a_reprint_says_so_when_asked_for_and_from_a_quarter_of_an_hour_on() {
    let world = world().await;
    world.sale("o-1").await;
    let is_reprint = async |reprint| {
        let bytes = world.fetch("o-1.receipt", Format::Text, reprint).await.unwrap();
        String::from_utf8(bytes).unwrap().contains("REPRINT")
    };
    // The register said 2010: our clock counts.
    assert_eq!((is_reprint(false).await, is_reprint(true).await), (false, true));
    world.pass(15 * 60 - 1);
    assert_eq!((is_reprint(false).await, is_reprint(true).await), (false, true));
    let late = world.fetch("o-1.receipt", Format::Html, true).await.unwrap();
    world.pass(1);
    assert_eq!((is_reprint(false).await, is_reprint(true).await), (true, true));
    let later = world.fetch("o-1.receipt", Format::Html, false).await.unwrap();
    assert_eq!(later, late, "a reprint is a reprint, however it came to be one");
}

/// A receipt of a sale that does not stand any more says so, also where a tenant's template does not.
#[tokio::test]
async fn documents_of_a_voided_sale_say_so() {
    let world = world().await;
    world.sale("o").await;
    world.pass(1);
    world.feed(&[template(1, "MINE {{ order.receipt_number }}")]).await;
    world.sale("own").await;
    let told = async |id: &str, format: Format| {
        let bytes = world.fetch(id, format, false).await.unwrap();
        String::from_utf8_lossy(&bytes).contains("VOIDED")
    };
    let kinds = ["receipt", "gift_receipt", "merchant_copy", "kitchen_chit"];
    for voided in [false, true] {
        for kind in kinds {
            for format in Format::ALL {
                assert_eq!(told(&format!("o.{kind}"), format).await, voided, "{kind} as {format}");
            }
        }
        assert_eq!(told("own.receipt", Format::Text).await, voided, "a template that says nothing of it");
        if !voided {
            for id in ["o", "own"] {
                let void = json!({"order_id": id, "reason": "Mistake"});
                world.sent(&format!("{id}-void"), "void_order", void).await;
            }
        }
    }
    assert_eq!(
        world.fetch("o.receipt", Format::Html, false).await.unwrap(),
        world.fetch("o.receipt", Format::Html, false).await.unwrap()
    );
    world.pass(1);
    let tells = "MINE {{ order.receipt_number }}{% if order.undone %} ({{ order.undone }}){% endif +%}";
    world.feed(&[template(2, tells)]).await;
    world.sale("later").await;
    assert_eq!(world.text("later.receipt").await.trim(), "MINE 5");
    world.sent("later-void", "void_order", json!({"order_id": "later", "reason": "Mistake"})).await;
    assert_eq!(world.text("later.receipt").await.trim(), "MINE 5 (voided)");
}

#[tokio::test]
async fn a_document_keeps_the_template_of_its_sale() {
    let world = world().await;
    let looks = async |id: &str| world.text(&format!("{id}.receipt")).await;
    world.sale("o-0").await;
    let built_in = looks("o-0").await;
    world.pass(1);
    world.feed(&[template(1, "FIRST {{ order.receipt_number }}")]).await;
    assert_eq!(looks("o-0").await, built_in, "sold before there was one");
    world.sale("o-1").await;
    assert_eq!(looks("o-1").await.trim(), "FIRST 2");
    world.pass(1);
    world.feed(&[template(3, "THIRD {{ order.receipt_number }}")]).await;
    world
        .feed(&[
            json!({"id": "html", "version": 1, "op": "upsert", "data": {"kind": "receipt", "format": "html",
        "source": "{% if order.reprint %}R{% endif %}<b>{{ order.order_id }}</b>"}}),
        ])
        .await;
    world.sale("o-3").await;
    world.pass(1);
    world.feed(&[json!({"id": "receipt", "version": 4, "op": "delete"})]).await;
    world.sale("o-4").await;
    world.pass(1);
    world.feed(&[template(9, "NINTH")]).await;
    for (id, shown) in [("o-1", "FIRST 2"), ("o-3", "THIRD 3")] {
        assert_eq!(looks(id).await.trim(), shown);
    }
    assert_eq!(looks("o-0").await, built_in);
    assert!(looks("o-4").await.contains("RECEIPT"), "deleted: the built-in one again");
    let html = world.fetch("o-3.receipt", Format::Html, false).await.unwrap();
    assert_eq!(html, b"<b>o-3</b>");
    let html = world.fetch("o-1.receipt", Format::Html, false).await.unwrap();
    assert!(html.starts_with(b"<!DOCTYPE html>"), "there was none for HTML then");
    let escpos = world.fetch("o-3.receipt", Format::Escpos, false).await.unwrap();
    assert!(escpos.starts_with(b"\x1b@") && escpos.windows(7).any(|part| part == b"THIRD 3"), "{escpos:?}");
    // The gift receipt has a template of its own, or none.
    assert!(!world.text("o-3.gift_receipt").await.contains("THIRD"));
}

#[tokio::test]
async fn what_is_written_to_an_order_later_does_not_change_its_documents() {
    let world = world().await;
    world.sale("o-1").await;
    let item = world.order_item("o-1").await;
    assert!(item.get("recorded_at").is_none(), "a sale does not pay for it");
    let sold_at = world.environment.now();
    let first = world.text("o-1.receipt").await;
    world.pass(60);
    world.feed(&[template(1, "NEW")]).await;
    world.pass(60);
    let mut cart = cart_of(&item).unwrap();
    assert_eq!(cart.finalized.as_ref().unwrap().recorded_at, sold_at);
    (cart.version, cart.written_at) = (cart.version + 1, world.environment.now());
    let item = cart_item(&world.shop.scope, &cart).unwrap();
    assert_eq!(cart_of(&item).unwrap(), cart);
    world.database.write(Write::Put { table: Table::Orders, item, condition: None }).await.unwrap();
    assert_eq!(world.text("o-1.receipt").await, first, "the template of its sale, and an original still");
    world.pass(15 * 60 - 120);
    assert!(world.text("o-1.receipt").await.contains("REPRINT"), "by the time of the sale");
}

#[tokio::test]
async fn the_store_is_told_as_it_is_now_also_when_it_was_closed() {
    let world = world().await;
    world.sale("o-1").await;
    world.put_location("New Name", None).await;
    assert!(world.text("o-1.receipt").await.contains("New Name"));
    let hq = caller("demo", &[Role::Integration]);
    let body = format!("{}\n", json!({"id": STORE, "version": 9, "op": "delete"}));
    let call = Upload { entity: Entity::Locations, body: body.as_bytes(), from: 1, deadline: Timestamp::MAX };
    assert_eq!(upload(&world.shop.ports, &hq, call).await.unwrap().applied, 1);
    assert!(world.text("o-1.receipt").await.contains("New Name"));
}

/// As its name is: a number that a store gets, corrects or gives up is on what is printed from then on.
#[tokio::test]
async fn receipts_show_the_tax_number_of_a_store_that_has_one() {
    let world = world().await;
    world.sale("o-1").await;
    world.returned("back", "o-1").await;
    let with_number = ["o-1.receipt", "o-1.merchant_copy", "back.return_receipt", "back.merchant_copy"];
    let all = async || {
        let mut made = Vec::new();
        for id in with_number.into_iter().chain(["o-1.gift_receipt"]) {
            for format in Format::ALL {
                made.push((id, format, world.fetch(id, format, false).await.unwrap()));
            }
        }
        made
    };
    let tell = async |version: u64, number: Option<&str>| {
        let mut line = json!({"id": STORE, "version": version, "op": "upsert", "data": {"kind": "store",
            "name": "Leeds", "time_zone": "Europe/London", "currency": "GBP", "registers": ["r-1"]}});
        if let Some(number) = number {
            line["data"]["tax_number"] = json!(number);
        }
        let body = format!("{line}\n");
        let call =
            Upload { entity: Entity::Locations, body: body.as_bytes(), from: 1, deadline: Timestamp::MAX };
        let hq = caller("demo", &[Role::Integration]);
        assert_eq!(upload(&world.shop.ports, &hq, call).await.unwrap().applied, 1);
    };
    tell(10, None).await;
    let without = all().await;
    tell(11, Some("GB 999 9999 73")).await;
    for ((id, format, plain), (.., numbered)) in without.iter().zip(all().await) {
        let [plain, text] = [plain, &numbered].map(|bytes| String::from_utf8_lossy(bytes).into_owned());
        let told = text.contains("Tax no. GB 999 9999 73");
        assert_eq!(told, with_number.contains(id), "{id} as {format}: {text}");
        assert!(!plain.contains("Tax no."), "{id} as {format}");
        if *format == Format::Text {
            let rest: String = text.split_inclusive('\n').filter(|row| !row.contains("Tax no.")).collect();
            assert_eq!(rest, plain, "{id}: nothing else is another");
        }
    }
    tell(12, Some("GB 123 4567 82")).await;
    assert!(world.text("o-1.receipt").await.contains("Tax no. GB 123 4567 82"), "a correction is seen");
    tell(13, None).await;
    assert!(all().await == without, "to the byte as before");
}

#[tokio::test]
async fn who_may_not_see_the_order_sees_no_document_of_it() {
    let world = world().await;
    world.sale("o-1").await;
    world.sent("open", "create_cart", json!({"cart_id": "open"})).await;
    let ports = &world.shop.ports;
    let of = async |who: &Caller, id: &str| {
        let document = read::get(ports, who, &format!("{id}.receipt"), Format::Text, false).await;
        (code(document), code(read::list(ports, who, id).await))
    };
    let cashier = world.who();
    assert_eq!(of(&cashier, "o-1").await, (None, None));
    let hidden = (Some("document_not_found"), Some("order_not_found"));
    assert_eq!(of(&cashier, "open").await, hidden, "not final");
    assert_eq!(of(&cashier, "none").await, hidden);
    assert_eq!(of(&caller("other", &[Role::Operator]), "o-1").await, hidden, "another tenant");
    let elsewhere = Caller { stores: Stores::Named(["s-9".to_owned()].into()), ..cashier.clone() };
    assert_eq!(of(&elsewhere, "o-1").await, hidden, "another store's");
    let here = Caller { stores: Stores::Named([STORE.to_owned()].into()), ..cashier };
    assert_eq!(of(&here, "o-1").await, (None, None));
    let nobody = caller("demo", &[Role::WarehouseStaff]);
    assert_eq!(of(&nobody, "o-1").await, (Some("role_required"), Some("role_required")));
    assert_eq!(code(read::list(ports, &world.who(), "a#b").await), Some("id_malformed"));
}

#[tokio::test]
async fn a_template_that_fails_on_an_order_costs_nobody_the_receipt() {
    let world = world().await;
    let loops = "{% for a in order.lines %}{% for b in order.lines %}{% for c in order.lines %}{% endfor %}{% endfor %}{% endfor %}";
    world.feed(&[template(1, &format!("{loops}COSTLY {{{{ order.lines|length }}}}"))]).await;
    let order = |id: &str, lines: usize| {
        let lines = vec![json!({"sku": "TEA", "quantity": 1}); lines];
        serde_json::from_value(json!({"order_id": id, "store_id": STORE, "channel": "web", "lines": lines}))
            .unwrap()
    };
    let shop = caller("demo", &[Role::Integration]);
    for (id, lines) in [("few", 3), ("many", 200)] {
        place(&world.shop.ports, &shop, id, order(id, lines)).await.unwrap();
    }
    assert_eq!(world.text("few.receipt").await.trim(), "COSTLY 3");
    let many = world.text("many.receipt").await;
    assert!(many.contains("RECEIPT") && many.contains("510.00"), "the built-in one");
    assert_eq!(world.text("many.receipt").await, many);
}

#[tokio::test]
async fn a_template_of_another_build_is_as_none() {
    let world = world().await;
    world.feed(&[template(1, "MINE")]).await;
    let items = world.database.items(Table::Catalog);
    let version = items.iter().find(|item| item.get("source").is_some()).unwrap().clone();
    let item = version.with("source", "{% include 'x' %}");
    world.database.write(Write::Put { table: Table::Catalog, item, condition: None }).await.unwrap();
    world.sale("o-1").await;
    assert!(world.text("o-1.receipt").await.contains("RECEIPT"));
}

#[tokio::test]
async fn a_database_that_fails_once_is_told_as_safe_to_repeat() {
    let world = world().await;
    world.sale("o-1").await;
    world.returned("back", "o-1").await;
    let mut faults = 0;
    for operation in [Operation::Get, Operation::Query] {
        for call in 0.. {
            let (ports, database) =
                FaultyDatabase::ports_over(world.database.clone(), world.environment.clone());
            database.script(operation, std::iter::repeat_n(None, call).chain([Some(Fault::Throttled)]));
            let id = "back.return_receipt";
            let answer = read::get(&ports, &world.who(), id, Format::Text, false).await;
            if database.injected().is_empty() {
                assert!(answer.is_ok());
                break;
            }
            faults += 1;
            assert!(matches!(answer, Err(Error::Retryable { .. })), "{operation:?} {call}: {answer:?}");
        }
    }
    assert_eq!(faults, 4, "the return, its store, its sale, and its template");
}

#[tokio::test]
async fn a_sale_of_a_register_that_was_cut_off_is_told_by_when_it_came() {
    let world = world().await;
    world.feed(&[template(1, "{{ order.date }} {{ order.time }}")]).await;
    world.pass(1);
    let who = caller("demo", &[Role::Operator]);
    for (key, action, payload) in [
        ("a", "create_cart", json!({"cart_id": "o"})),
        (
            "b",
            "add_line_item",
            json!({"cart_id": "o", "sku": "TEA", "quantity": 1, "unit_price_override": "0"}),
        ),
        ("c", "set_tendering", json!({"cart_id": "o"})),
        ("d", "finalize_order", json!({"cart_id": "o"})),
    ] {
        let mut sent = envelope(STORE, "r-1", key, action, payload);
        // A register whose clock began anew.
        sent["occurred_at"] = "1970-01-01T00:05:00Z".into();
        execute(&world.shop.ports, &who, sent).await.unwrap();
    }
    // In 1970 London kept summer time all year round.
    assert_eq!(world.text("o.receipt").await.trim(), "1970-01-01 01:05");
}
