//! What a sale comes to at the till: promotions, coupons, taxes, customers' prices, modifiers and coins.

mod asked_totals;
mod changed_limits;
mod left_the_shop;
mod limited_uses;
mod orders_from_elsewhere;
mod orders_with_discounts;
mod two_pools;
mod uses_above_limit;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};
use tillstream_app::catalog::items::{coupon_item, customer_item, product_item};
use tillstream_app::database::{Database, Item, Table, Write};
use tillstream_app::dispatch::delivery::Delivery;
use tillstream_app::dispatch::message::order_message;
use tillstream_app::facts::sale_event;
use tillstream_app::pos::batch;
use tillstream_app::pos::cart_item::cart_of;
use tillstream_app::pos::execute::Answered;
use tillstream_app::relay::handle;
use tillstream_app::tenancy::Role;
use tillstream_app::tenant_rules::settings_item;
use tillstream_app::tenant_rules::stored_rules::{promotion_item, tax_rule_item};
use tillstream_app::{Error, Ports, Result};
use tillstream_domain::coupon::CouponDefinition;
use tillstream_domain::customer::Customer;
use tillstream_domain::pricing::{PricingSettings, Promotion, TaxMode, TaxRounding, TaxRule};
use tillstream_domain::product::Product;
use tillstream_domain::tenant_settings::TenantSettings;
use tillstream_testkit::faults::FaultyDatabase;
use tillstream_testkit::memory_database::MemoryDatabase;
use tillstream_testkit::memory_messaging::{MemoryQueue, MemoryStream};
use tillstream_testkit::shop::{STORE, Shop, caller, envelope};
use tillstream_testkit::test_environment::TestEnvironment;

pub fn gbp(amount: i64) -> Value {
    json!({"amount": amount, "currency": "GBP"})
}

pub struct World {
    pub shop: Shop,
    pub environment: Arc<TestEnvironment>,
    pub database: Arc<MemoryDatabase>,
}

impl World {
    /// A shop that sells A at 2.55, B at 1.00 and FOOD at 4.00.
    pub async fn open() -> World {
        let environment = Arc::new(TestEnvironment::new(7));
        // A little after what the registers tell.
        environment.set("2010-12-01T08:30:00Z".parse().unwrap());
        let database = Arc::new(MemoryDatabase::with_environment(environment.clone()));
        let shop = Shop::open(database.clone(), environment.clone()).await.unwrap();
        for (sku, price) in [("A", "2.55"), ("B", "1")] {
            shop.product(STORE, sku, price, 1_000).await.unwrap();
        }
        shop.product(STORE, "FOOD", "4", 1_000).await.unwrap();
        let world = World { shop, environment, database };
        let food: Product = serde_json::from_value(json!({
            "sku": "FOOD", "name": "Food", "unit_price": "4", "currency": "GBP", "stocked": true,
            "unit": "piece", "category": "pies", "tax_category": "food",
            "modifiers": [{"id": "large", "name": "Large", "unit_price": "0.505"},
                          {"id": "bare", "name": "No sauce", "unit_price": "-0.25"}],
        }))
        .unwrap();
        world.put(product_item(&world.shop.scope, &food).unwrap()).await;
        world
    }

    pub async fn put(&self, item: Item) {
        let write = Write::Put { table: Table::Catalog, item, condition: None };
        self.database.write(write).await.unwrap();
    }

    pub async fn promotion(&self, id: &str, more: Value) {
        let mut data = json!({"id": id, "version": 1, "name": id, "priority": 1, "automatic": true});
        data.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        let promotion: Promotion = serde_json::from_value(data).unwrap();
        promotion.check().unwrap();
        self.put(promotion_item(&self.shop.scope, &promotion).unwrap()).await;
    }

    pub async fn tax(&self, id: &str, rate_bps: u32, categories: &[&str]) {
        let data =
            json!({"id": id, "version": 3, "name": id, "rate_bps": rate_bps, "tax_categories": categories});
        let rule: TaxRule = serde_json::from_value(data).unwrap();
        self.put(tax_rule_item(&self.shop.scope, &rule).unwrap()).await;
    }

    pub async fn settings(&self, tax_mode: TaxMode, tax_rounding: TaxRounding, cash_increment: u32) {
        let pricing =
            PricingSettings { tax_mode, tax_rounding, cash_increment, cash_increments: BTreeMap::new() };
        let settings = TenantSettings { pricing, ..TenantSettings::default() };
        self.put(settings_item(&self.shop.scope, &settings).unwrap()).await;
    }

    pub async fn coupon(&self, code: &str, benefit: Value, more: Value, limits: (Option<u32>, Option<u32>)) {
        let mut coupon = json!({"code": code, "benefit": benefit});
        coupon.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        let coupon = serde_json::from_value(coupon).unwrap();
        let definition =
            CouponDefinition { coupon, total_limit: limits.0, per_customer_limit: limits.1, version: 1 };
        definition.check().unwrap();
        self.put(coupon_item(&self.shop.scope, &definition).unwrap()).await;
    }

    pub async fn customer(&self, id: &str, segments: &[&str], tax_exempt: bool) {
        let segments = segments.iter().map(|s| (*s).to_owned()).collect();
        let customer = Customer { id: id.into(), segments, tax_exempt, name: None, version: 1 };
        self.put(customer_item(&self.shop.scope, &customer).unwrap()).await;
    }

    /// Lets what processes remember of the rules become old.
    pub fn later(&self) {
        self.environment.advance(Duration::from_secs(16));
    }

    pub async fn at(&self, register: &str, cart: &str, action: &str, payload: Value) -> Result<Answered> {
        let mut all = json!({"cart_id": cart});
        all.as_object_mut().unwrap().extend(payload.as_object().unwrap().clone());
        let key = format!("{cart}-{action}-{payload}");
        // Keys are short: what does not fit is hashed by nobody, so it is cut.
        let key: String = key.chars().filter(char::is_ascii).take(120).collect();
        self.shop.at(register, &key, action, all).await
    }

    pub async fn send(&self, cart: &str, action: &str, payload: Value) -> Value {
        view(&self.at("r-1", cart, action, payload).await.unwrap())
    }

    pub async fn refused(&self, cart: &str, action: &str, payload: Value) -> String {
        let error = self.at("r-1", cart, action, payload).await.unwrap_err();
        error.code().unwrap_or("none").to_owned()
    }

    pub async fn cart(&self, cart: &str, lines: &[(&str, u32)]) -> Value {
        self.cart_at("r-1", cart, lines).await
    }

    pub async fn cart_at(&self, register: &str, cart: &str, lines: &[(&str, u32)]) -> Value {
        let mut last = self.at(register, cart, "create_cart", json!({})).await.unwrap();
        for (sku, quantity) in lines {
            let line = json!({"sku": sku, "quantity": quantity});
            last = self.at(register, cart, "add_line_item", line).await.unwrap();
        }
        view(&last)
    }

    pub async fn sell(&self, cart: &str, tender: &str) -> Value {
        let due = self.send(cart, "set_tendering", json!({})).await["totals"]["due"].clone();
        if due["amount"] != json!(0) {
            self.send(cart, "add_payment", json!({"tender": tender, "amount": due})).await;
        }
        self.send(cart, "finalize_order", json!({})).await
    }

    pub async fn order(&self, id: &str) -> tillstream_domain::cart::Cart {
        let key = self.shop.scope.cart(id);
        let items = self.database.items(Table::Orders);
        let item = items
            .into_iter()
            .find(|item| item.opt_text("pk") == Some(key.pk()) && item.opt_text("sk") == Some("cart"));
        cart_of(&item.unwrap()).unwrap()
    }

    fn used(&self, id: &str) -> i64 {
        let items = self.database.items(Table::Orders);
        let counters =
            items.iter().filter(|item| item.opt_text("pk").unwrap().contains(&format!("uses#coupon#{id}#")));
        counters.map(|item| item.number("used").unwrap()).sum()
    }
}

fn view(answered: &Answered) -> Value {
    serde_json::to_value(answered.reply.cart.as_ref().unwrap()).unwrap()
}

pub fn amount(value: &Value) -> i64 {
    value["amount"].as_i64().unwrap()
}

/// Subtotal, discount, tax, total; checked against the lines.
fn totals(cart: &Value) -> [i64; 4] {
    let of = |name: &str| amount(&cart["totals"][name]);
    let found = [of("subtotal"), of("discount"), of("tax"), of("total")];
    let lines = cart["lines"].as_array().unwrap();
    let sum = |name: &str| lines.iter().map(|line| amount(&line[name])).sum::<i64>();
    let tax: i64 =
        lines.iter().flat_map(|line| line["tax"].as_array().unwrap()).map(|tax| amount(&tax["amount"])).sum();
    assert_eq!([sum("subtotal"), tax, sum("total")], [found[0], found[2], found[3]], "{cart}");
    assert_eq!(found[0] - found[1] + found[2], found[3], "{cart}");
    found
}

#[tokio::test]
async fn prices_that_contain_tax() {
    let world = World::open().await;
    world.settings(TaxMode::Inclusive, TaxRounding::PerLine, 0).await;
    world.tax("VAT", 2_000, &[]).await;
    world.promotion("tenth", json!({"benefit": {"percentage": {"bps": 1_000}}})).await;
    let cart = world.cart("c", &[("A", 3), ("B", 2)]).await;
    // 7.65 and 2.00 with a tenth off: 6.88 and 1.80 (0.965 of 9.65 rounds up; 0.77 and 0.20 of it).
    // VAT in them: 1.15 (6.88/6 = 1.1467) and 0.30; without tax 5.73 and 1.50.
    assert_eq!(amount(&cart["totals"]["total"]), 688 + 180);
    assert_eq!(amount(&cart["totals"]["tax"]), 115 + 30);
    let [subtotal, discount, tax, total] = totals(&cart);
    assert_eq!(subtotal - discount, 573 + 150);
    assert_eq!((tax, total), (145, 868));
    assert_eq!(
        cart["lines"][0]["tax"],
        json!([{"id": "VAT", "name": "VAT", "rate_bps": 2_000, "included": true, "base": gbp(573), "amount": gbp(115)}])
    );
    assert_eq!(cart["taxes"][0]["amount"], gbp(145));
    assert_eq!(
        cart["lines"][0]["discounts"],
        json!([{"kind": "promotion", "id": "tenth", "name": "tenth", "amount": gbp(77)}]),
        "as the customer sees it"
    );
    world.sell("c", "card").await;
    let order = world.order("c").await;
    let event = sale_event(&world.shop.scope, &order).unwrap();
    let detail = event.detail.unwrap();
    let line = &detail.lines[0];
    assert_eq!((line.gross - line.discount, line.tax), (573, 115));
    let key = world.shop.scope.cart("c");
    let item =
        world.database.items(Table::Orders).into_iter().find(|item| item.opt_text("pk") == Some(key.pk()));
    let (stream, queue) =
        (MemoryStream::new(1, world.environment.clone()), MemoryQueue::new(world.environment.clone()));
    assert!(handle(&world.shop.ports, &stream, &queue, &[(None, item.as_ref())]).await.is_empty());
    let items = world.database.items(Table::Dispatch);
    let delivery = items.iter().find_map(|item| Delivery::of(item).ok()).unwrap();
    let message = order_message(&delivery, &order).unwrap();
    assert_eq!(message.lines[0].taxes[0].amount.amount, 115);
    assert_eq!((message.lines[0].taxes[0].version, message.totals.tax.amount), (3, 145));
}

#[tokio::test]
async fn tax_on_top_by_category_and_by_order() {
    let world = World::open().await;
    world.tax("state", 625, &[]).await;
    world.tax("meals", 75, &["food"]).await;
    let cart = world.cart("c", &[("A", 1), ("FOOD", 1)]).await;
    // 2.55: 0.159375; 4.00: 0.25 and 0.03.
    assert_eq!(totals(&cart), [655, 0, 16 + 25 + 3, 699]);
    assert_eq!(cart["lines"][1]["tax"][0]["id"], json!("meals"));
    world.settings(TaxMode::Exclusive, TaxRounding::PerOrder, 0).await;
    world.later();
    let cart = world.send("c", "add_line_item", json!({"sku": "A", "quantity": 1, "notes": "x"})).await;
    // State tax on 9.10 is 0.56875, meals on 4.00 0.03: rounded once each.
    assert_eq!(totals(&cart), [910, 0, 57 + 3, 970]);
    let exempt = json!({"customer_id": "embassy"});
    world.customer("embassy", &["diplomats"], true).await;
    let cart = world.send("c", "set_customer", exempt).await;
    assert_eq!(totals(&cart), [910, 0, 0, 910]);
    world.sell("c", "card").await;
    assert_eq!(
        sale_event(&world.shop.scope, &world.order("c").await).unwrap().segment.as_deref(),
        Some("diplomats")
    );
}

/// Piece by piece, a taxed and discounted sale is worth what was paid for it, tax and net each.
#[tokio::test]
async fn a_return_brings_back_its_part_of_the_tax() {
    let world = World::open().await;
    world.settings(TaxMode::Inclusive, TaxRounding::PerOrder, 0).await;
    world.tax("VAT", 2_000, &[]).await;
    world.promotion("third", json!({"benefit": {"percentage": {"bps": 3_333}}})).await;
    world.cart("c", &[("A", 3), ("B", 2)]).await;
    let sold = world.sell("c", "card").await;
    let (mut back, mut tax) = (0, 0);
    for (n, line) in ["l-1", "l-2", "l-1", "l-2", "l-1"].into_iter().enumerate() {
        let id = format!("back-{n}");
        let shop = &world.shop;
        let start = json!({"return_id": id, "original_order_id": "c", "reason": "x"});
        shop.command(&format!("s{n}"), "start_return", start).await.unwrap();
        let payload = json!({"return_id": id, "line_id": line, "quantity": 1, "disposition": "restock"});
        let cart = view(&shop.command(&format!("l{n}"), "return_line_item", payload).await.unwrap());
        let [.., returned_tax, worth] = totals(&cart);
        let refund = json!({"return_id": id, "tender": "card", "amount": gbp(worth)});
        shop.command(&format!("r{n}"), "refund_tender", refund).await.unwrap();
        shop.command(&format!("f{n}"), "finalize_return", json!({"return_id": id})).await.unwrap();
        back += worth;
        tax += returned_tax;
    }
    assert_eq!((back, tax), (amount(&sold["totals"]["total"]), amount(&sold["totals"]["tax"])));
    // A blind return bears the tax of its day.
    world.shop.command("bs", "start_return", json!({"return_id": "blind", "reason": "x"})).await.unwrap();
    let line =
        json!({"return_id": "blind", "sku": "A", "quantity": 2, "disposition": "none", "unit_price": "6"});
    let blind = view(&world.shop.command("bl", "return_line_item", line).await.unwrap());
    assert_eq!(totals(&blind), [1_000, 0, 200, 1_200]);
}

#[tokio::test]
async fn promotions_are_applied_and_taken_off_by_hand() {
    let world = World::open().await;
    let half_a = json!({"benefit": {"percentage": {"bps": 5_000}}, "target": {"skus": ["A"]}});
    world.promotion("auto", half_a).await;
    let staff = json!({"benefit": {"percentage": {"bps": 1_000}}, "automatic": false, "priority": 2});
    world.promotion("staff", staff).await;
    let past = json!({"benefit": {"percentage": {"bps": 1_000}}, "conditions": {"valid_to": "2010-12-01T08:26:00Z"}});
    world.promotion("past", past).await;
    let future = json!({"benefit": {"percentage": {"bps": 1_000}}, "conditions": {"valid_from": "2010-12-01T08:26:01Z"}});
    world.promotion("future", future).await;
    let cart = world.cart("c", &[("A", 2)]).await;
    assert_eq!(totals(&cart), [510, 255, 0, 255]);
    for (promo, code) in
        [("nosuch", "promotion_not_found"), ("past", "promotion_expired"), ("future", "promotion_not_valid")]
    {
        assert_eq!(world.refused("c", "apply_promo", json!({"promo_id": promo})).await, code);
        assert_eq!(
            world.refused("c", "remove_promo", json!({"promo_id": promo})).await,
            "promotion_not_applied"
        );
    }
    let both = world.send("c", "apply_promo", json!({"promo_id": "staff"})).await;
    assert_eq!(totals(&both), [510, 255 + 26, 0, 229]);
    let one = world.send("c", "remove_promo", json!({"promo_id": "auto"})).await;
    assert_eq!(totals(&one), [510, 51, 0, 459]);
    let none = world.send("c", "remove_promo", json!({"promo_id": "staff"})).await;
    assert_eq!(totals(&none), [510, 0, 0, 510]);
    let again = world.send("c", "apply_promo", json!({"promo_id": "auto", })).await;
    assert_eq!(totals(&again), [510, 255, 0, 255]);
    // Fixed once tendering; what changes then holds for what is priced later.
    world.send("c", "set_tendering", json!({})).await;
    world.promotion("auto", json!({"benefit": {"percentage": {"bps": 100}}})).await;
    world.later();
    let same = world.send("c", "set_customer", json!({"customer_id": "somebody"})).await;
    assert_eq!(totals(&same), [510, 3 + 2, 0, 505], "who buys may matter to a promotion");
    world.send("c", "resume_editing", json!({})).await;
    let now = world.send("c", "update_line_item", json!({"line_id": "l-1", "quantity": 1})).await;
    assert_eq!(totals(&now), [255, 3, 0, 252]);
}

#[tokio::test]
async fn a_coupon_waits_until_the_cart_is_right_for_it() {
    let world = World::open().await;
    let off = json!({"fixed_amount": {"amount": 200}});
    let from = json!({"currency": "GBP", "minimum_spend": 500});
    world.coupon("TWO-OFF", off.clone(), from, (None, None)).await;
    world
        .coupon(
            "OLD",
            off.clone(),
            json!({"currency": "GBP", "valid_to": "2010-01-01T00:00:00Z"}),
            (None, None),
        )
        .await;
    world
        .coupon(
            "SOON",
            off.clone(),
            json!({"currency": "GBP", "valid_from": "2010-12-01T08:26:01Z"}),
            (None, None),
        )
        .await;
    world.coupon("EURO", off.clone(), json!({"currency": "EUR"}), (None, None)).await;
    world.coupon("MINE", off, json!({"currency": "GBP"}), (None, Some(1))).await;
    world.cart("c", &[("A", 1)]).await;
    for (code, refusal) in [
        ("NOSUCH", "coupon_not_found"),
        ("OLD", "coupon_expired"),
        ("SOON", "coupon_not_valid"),
        ("EURO", "coupon_not_valid"),
        ("MINE", "coupon_needs_customer"),
        ("x y\u{1}", "id_malformed"),
    ] {
        assert_eq!(world.refused("c", "apply_coupon", json!({"coupon_code": code})).await, refusal, "{code}");
    }
    let cart = world.send("c", "apply_coupon", json!({"coupon_code": "TWO-OFF"})).await;
    assert_eq!(totals(&cart), [255, 0, 0, 255]);
    assert_eq!(cart["discounts"][0]["not_applied"], json!("below_minimum"));
    let more = json!({"sku": "A", "quantity": 1, "notes": "another"});
    let cart = world.send("c", "add_line_item", more).await;
    assert_eq!(totals(&cart), [510, 200, 0, 310]);
    assert_eq!(cart["discounts"][0].get("not_applied"), None);
    let twice =
        world.shop.command("again", "apply_coupon", json!({"cart_id": "c", "coupon_code": "TWO-OFF"})).await;
    assert_eq!(twice.unwrap_err().code(), Some("coupon_already_applied"));
    assert_eq!(
        world.refused("c", "remove_coupon", json!({"coupon_code": "MINE"})).await,
        "coupon_not_applied"
    );
    world.sell("c", "card").await;
    assert_eq!(world.used("TWO-OFF"), 0, "what has no limit has no counter");
    assert_eq!(
        world.refused("c", "remove_coupon", json!({"coupon_code": "TWO-OFF"})).await,
        "wrong_cart_state"
    );
}

#[tokio::test]
async fn what_is_chosen_with_a_product_changes_its_price() {
    let world = World::open().await;
    world.cart("c", &[]).await;
    let line = |modifiers: Value| json!({"sku": "FOOD", "quantity": 3, "modifiers": modifiers});
    let cart = world
        .send("c", "add_line_item", line(json!([{"modifier_id": "large"}, {"name": "well done"}])))
        .await;
    // 3 × 4.505 = 13.515.
    assert_eq!(totals(&cart), [1_352, 0, 0, 1_352]);
    assert_eq!(
        cart["lines"][0]["modifiers"],
        json!([{"name": "Large", "unit_price": "0.505"}, {"name": "well done", "unit_price": "0.00"}])
    );
    let cart = world.send("c", "add_line_item", line(json!([{"modifier_id": "bare"}]))).await;
    assert_eq!(totals(&cart), [1_352 + 1_125, 0, 0, 2_477]);
    for (modifiers, code) in [
        (json!([{"modifier_id": "huge"}]), "modifier_not_found"),
        (json!([{}]), "modifier_invalid"),
        (json!([{"name": " "}]), "modifier_invalid"),
        (json!([{"name": "x", "modifier_id": "bare"}]), "modifier_invalid"),
        (json!([{"name": "x", "price": "1"}]), "field_invalid"),
        (Value::Array(vec![json!({"name": "x"}); 51]), "too_many_modifiers"),
    ] {
        assert_eq!(world.refused("c", "add_line_item", line(modifiers)).await, code);
    }
    world.sell("c", "card").await;
    let start = json!({"return_id": "b", "original_order_id": "c", "reason": "cold"});
    world.shop.command("s", "start_return", start).await.unwrap();
    let back = json!({"return_id": "b", "line_id": "l-1", "quantity": 3, "disposition": "none"});
    let back = view(&world.shop.command("l", "return_line_item", back).await.unwrap());
    assert_eq!(totals(&back), [1_352, 0, 0, 1_352], "worth what was paid, with what was chosen");
}

/// What takes off the price is chosen once, or a product left out of often enough costs nothing.
#[tokio::test]
async fn what_takes_off_is_chosen_once_and_what_adds_as_often_as_wanted() {
    let world = World::open().await;
    world.cart("c", &[]).await;
    let line =
        |modifiers: Value| json!({"cart_id": "c", "sku": "FOOD", "quantity": 1, "modifiers": modifiers});
    let bare = || json!({"modifier_id": "bare"});
    let before = world.database.items(Table::Orders);
    for (modifiers, field) in [
        (json!([bare(), {"name": "well done"}, bare()]), "payload.modifiers[2].modifier_id"),
        (Value::Array(vec![bare(); 16]), "payload.modifiers[1].modifier_id"),
    ] {
        let Err(Error::Rejected(refusal)) = world.shop.command("l", "add_line_item", line(modifiers)).await
        else {
            panic!("{field}")
        };
        assert_eq!((refusal.code, refusal.errors[0].field.as_str()), ("modifier_repeated", field));
    }
    assert_eq!(world.database.items(Table::Orders), before, "a refusal changed something");
    let large = || json!({"modifier_id": "large"});
    let both = json!([bare(), large(), large(), {"name": "hot"}, {"name": "hot"}]);
    let cart = view(&world.shop.command("l", "add_line_item", line(both)).await.unwrap());
    // 4.00 - 0.25 + 2 x 0.505.
    assert_eq!(totals(&cart), [476, 0, 0, 476]);
    // Another line is another product.
    let cart = view(&world.shop.command("l2", "add_line_item", line(json!([bare()]))).await.unwrap());
    assert_eq!(totals(&cart), [476 + 375, 0, 0, 851]);
}

#[tokio::test]
async fn a_customer_of_a_segment_has_prices_of_their_own() {
    let world = World::open().await;
    let entries = json!([
        {"id": "p1", "version": 1, "unit_price": "2", "currency": "GBP", "segment": "trade"},
        {"id": "p2", "version": 1, "unit_price": "1.80", "currency": "GBP", "segment": "staff"},
    ]);
    let key = world.shop.scope.prices("A");
    world
        .put(Item::new(&key).with("kind", "prices").with("version", 1).with("data", entries.to_string()))
        .await;
    world.customer("ann", &["trade"], false).await;
    world.customer("bob", &["trade", "staff"], false).await;
    world.cart("c", &[("A", 2), ("B", 1)]).await;
    let dear = json!({"sku": "A", "quantity": 1, "unit_price_override": "9"});
    let cart = world.send("c", "add_line_item", dear).await;
    assert_eq!(totals(&cart)[3], 510 + 100 + 900);
    for (customer, two) in
        [(json!("ann"), 400), (json!("bob"), 360), (json!("nobody"), 510), (Value::Null, 510)]
    {
        let cart = world.send("c", "set_customer", json!({"customer_id": customer})).await;
        assert_eq!(totals(&cart)[3], two + 100 + 900, "{customer}");
        // The line says what others pay, where that is another price.
        let list = if two == 510 { Value::Null } else { json!("2.55") };
        assert_eq!(cart["lines"][0]["list_price"], list, "{customer}");
        assert_eq!(
            (&cart["lines"][1]["list_price"], &cart["lines"][2]["list_price"]),
            (&Value::Null, &Value::Null)
        );
    }
    world.send("c", "set_tendering", json!({})).await;
    let cart = world.send("c", "set_customer", json!({"customer_id": "ann", "cart_id": "c"})).await;
    assert_eq!(totals(&cart)[3], 400 + 100 + 900, "until it is paid, who buys decides");
    world.send("c", "add_payment", json!({"tender": "card", "amount": gbp(1_400)})).await;
    let late =
        world.shop.command("late", "set_customer", json!({"cart_id": "c", "customer_id": "bob"})).await;
    assert_eq!(late.unwrap_err().code(), Some("payments_present"));
}

#[tokio::test]
async fn cash_is_paid_in_coins_that_there_are() {
    let world = World::open().await;
    world.settings(TaxMode::Exclusive, TaxRounding::PerLine, 5).await;
    world.shop.product(STORE, "ODD", "10.02", 100).await.unwrap();
    let cart = |id: &'static str| {
        let world = &world;
        async move {
            world.cart(id, &[("ODD", 1)]).await;
            world.send(id, "set_tendering", json!({})).await
        }
    };
    cart("cash").await;
    let paid = world
        .at("r-1", "cash", "add_payment", json!({"tender": "cash", "amount": gbp(2_000)}))
        .await
        .unwrap();
    assert_eq!(paid.reply.result.change.unwrap().amount, 1_000);
    let done = world.send("cash", "finalize_order", json!({})).await;
    assert_eq!(
        ["total", "cash_rounding", "paid", "change", "due"].map(|name| amount(&done["totals"][name])),
        [1_002, -2, 2_000, 1_000, 0]
    );
    // By card to the penny; what is left of it in cash in coins; a payment taken back takes its rounding.
    cart("card").await;
    world.send("card", "add_payment", json!({"tender": "card", "amount": gbp(499)})).await;
    let paid = world.send("card", "add_payment", json!({"tender": "cash", "amount": gbp(505)})).await;
    assert_eq!((&paid["state"], amount(&paid["totals"]["cash_rounding"])), (&json!("paid"), 2));
    let back = world.send("card", "remove_payment", json!({"payment_id": "p-2"})).await;
    assert_eq!((amount(&back["totals"]["cash_rounding"]), amount(&back["totals"]["due"])), (0, 503));
    let paid = world.send("card", "add_payment", json!({"tender": "card", "amount": gbp(503)})).await;
    assert_eq!(amount(&paid["totals"]["cash_rounding"]), 0);
    // What comes back in cash is what was paid in cash.
    let start = json!({"return_id": "b", "original_order_id": "cash", "reason": "x"});
    world.shop.command("s", "start_return", start).await.unwrap();
    let line = json!({"return_id": "b", "line_id": "l-1", "quantity": 1, "disposition": "none"});
    world.shop.command("l", "return_line_item", line).await.unwrap();
    let refund = |amount: i64| json!({"return_id": "b", "tender": "cash", "amount": gbp(amount)});
    let above = world.shop.command("f1", "refund_tender", refund(1_002)).await.unwrap_err();
    assert_eq!(above.code(), Some("refund_above_paid"));
    world.shop.command("f2", "refund_tender", refund(1_000)).await.unwrap();
    world.shop.command("f3", "finalize_return", json!({"return_id": "b"})).await.unwrap();
}

/// Independent commands in another order come to the same total.
#[tokio::test]
async fn the_order_of_commands_changes_no_total() {
    let world = World::open().await;
    world.settings(TaxMode::Inclusive, TaxRounding::PerLine, 0).await;
    world.tax("VAT", 1_900, &[]).await;
    world.customer("ann", &["trade"], false).await;
    world
        .promotion(
            "trade",
            json!({"benefit": {"percentage": {"bps": 700}}, "conditions": {"segments": ["trade"]}}),
        )
        .await;
    world
        .promotion(
            "third-free",
            json!({"benefit": {"buy_get": {"buy": 2, "get": 1, "bps": 10_000}}, "priority": 2}),
        )
        .await;
    let off = json!({"percentage": {"bps": 333}});
    world.coupon("C", off, json!({}), (None, None)).await;
    let commands = [
        ("set_customer", json!({"customer_id": "ann"})),
        ("add_line_item", json!({"sku": "A", "quantity": 2})),
        ("add_line_item", json!({"sku": "B", "quantity": 2})),
        ("add_line_item", json!({"sku": "FOOD", "quantity": 1})),
        ("apply_coupon", json!({"coupon_code": "C"})),
    ];
    let mut seen = Vec::new();
    for turn in 0..commands.len() {
        for reversed in [false, true] {
            let cart = format!("c{turn}{reversed}");
            world.cart(&cart, &[]).await;
            let mut order = commands.clone();
            order.rotate_left(turn);
            if reversed {
                order.reverse();
            }
            for (action, payload) in order {
                world.send(&cart, action, payload).await;
            }
            seen.push(totals(&world.send(&cart, "set_tendering", json!({})).await));
        }
    }
    seen.dedup();
    assert_eq!(seen.len(), 1, "{seen:?}");
}

/// Each part of a return is rounded to coins by itself; the last one takes what is left.
#[tokio::test]
async fn a_sale_rounded_to_coins_comes_back_in_parts() {
    let world = World::open().await;
    world.settings(TaxMode::Exclusive, TaxRounding::PerLine, 5).await;
    world.shop.product(STORE, "P53", "0.53", 100).await.unwrap();
    world.shop.product(STORE, "P49", "0.49", 100).await.unwrap();
    world.cart("c", &[("P53", 1), ("P49", 1)]).await;
    world.send("c", "set_tendering", json!({})).await;
    world.send("c", "add_payment", json!({"tender": "cash", "amount": gbp(100)})).await;
    world.send("c", "finalize_order", json!({})).await;
    for (id, line, refunded) in [("b1", "l-1", 55), ("b2", "l-2", 45)] {
        let start = json!({"return_id": id, "original_order_id": "c", "reason": "x"});
        world.shop.command(&format!("{id}s"), "start_return", start).await.unwrap();
        let back = json!({"return_id": id, "line_id": line, "quantity": 1, "disposition": "none"});
        world.shop.command(&format!("{id}l"), "return_line_item", back).await.unwrap();
        let refund = json!({"return_id": id, "tender": "cash", "amount": gbp(refunded)});
        world.shop.command(&format!("{id}r"), "refund_tender", refund).await.unwrap();
        world.shop.command(&format!("{id}f"), "finalize_return", json!({"return_id": id})).await.unwrap();
    }
}
