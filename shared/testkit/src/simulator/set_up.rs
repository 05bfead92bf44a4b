//! Who is in the world, and what HQ uploads before the doors open.

use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;

use serde_json::{Value, json};
use tillstream_app::catalog::settings;
use tillstream_app::sync::entities::Entity;
use tillstream_app::sync::upload::{Upload, upload};
use tillstream_app::tenancy::Role;

use super::books::{Goods, Shelf, Shop};
use super::by_hand::{ASIDE, GOODS, OPENING};
use super::chance::Chance;
use super::price_book::PriceSet;
use super::rules::Rules;
use super::world::{Tenant, World};
use crate::shop::caller;

/// Zones with their offsets: whole hours, half hours, and both kinds of clock changes.
const ZONES: [&str; 4] = ["Europe/London", "America/New_York", "Asia/Kolkata", "Australia/Lord_Howe"];
/// Categories of goods.
const CATEGORIES: [&str; 3] = ["garden", "kitchen", "party"];

/// Most goods of a tenant that has kits.
const GOODS_WITH_KITS: usize = 100;
/// So many goods, from the first, are those of which some may be kept by lots.
const WANTED_GOODS: usize = 5;

/// Of what is stocked, in hundredths: what somebody wants to be told of when it gets low.
const REORDERED: u64 = 40;

/// Who may have shops.
const OWNERS: [&str; 2] = ["acme", "globex"];
/// The tenant of the intruder, who has nothing.
pub const INTRUDER: &str = "mallory";
/// Everybody whose name a line of the log may hold.
pub const TENANTS: [&str; 3] = [OWNERS[0], OWNERS[1], INTRUDER];

/// The tenants of a run: they call their stores, registers and goods the same, so that nothing but the
/// tenant tells them apart.
pub fn tenants(chance: &Chance) -> Vec<Tenant> {
    let count = 1 + chance.index(OWNERS.len());
    OWNERS.into_iter().take(count).map(|id| tenant(chance, id)).collect()
}

fn tenant(chance: &Chance, id: &str) -> Tenant {
    let mut shops: Vec<Shop> = (1..=1 + chance.index(2))
        .map(|number| Shop {
            id: format!("s-{number}"),
            zone: chance.one_of(&ZONES).copied().unwrap_or("UTC"),
            day_begins: if chance.percent(40) { 4 } else { 0 },
            registers: (1..=1 + chance.index(3)).map(|number| format!("r-{number}")).collect(),
            hold_minutes: None,
            checks_at_cart: false,
            unsynced: BTreeSet::new(),
        })
        .collect();
    // Some sell more than one transaction takes.
    let goods = if chance.percent(12) { 130 } else { 6 + chance.index(6) };
    let goods = (1..=goods)
        .map(|number| Goods {
            sku: format!("sku-{number}"),
            // Fractions of a penny, so that rounding shows.
            price: if chance.percent(3) { 0 } else { chance.between(1, 250_000) },
            is_weighed: chance.percent(25),
            is_stocked: !chance.percent(8),
            parts: Vec::new(),
            category: chance.one_of(&CATEGORIES).copied().unwrap_or_default(),
            // Never so much off that less than nothing could be left of any price.
            extra: chance.percent(30).then(|| chance.between(0, 30_000)),
            by_lots: false,
            safety_stock: 0,
        })
        .collect::<Vec<Goods>>();
    let rules = Rules::drawn(chance, &CATEGORIES);
    let kits = kits(&goods);
    let goods = some_kept_back(some_by_lots(goods));
    draw_holds(&goods, &mut shops);
    draw_policies(&goods, &kits, &mut shops);
    Tenant { id: id.to_owned(), shops, goods: goods.into_iter().chain(kits).collect(), rules }
}

/// Kits of a few of `goods`, for some tenants. They are drawn by chances of their own: a tenant without kits is the
/// one it would be.
fn kits(goods: &[Goods]) -> Vec<Goods> {
    let prices = goods.iter().fold(0_u64, |sum, goods| sum.rotate_left(7) ^ goods.price.unsigned_abs());
    let chance = Chance::new(prices);
    let stocked: Vec<&Goods> = goods.iter().filter(|goods| goods.is_stocked).collect();
    if goods.len() > GOODS_WITH_KITS || stocked.len() < 2 || !chance.percent(40) {
        return Vec::new();
    }
    let kit = |number| {
        let mut parts = BTreeMap::new();
        for _ in 0..1 + chance.below(3) {
            // The first is in every other kit, beside being what everybody wants.
            let part = if chance.percent(50) { stocked.first() } else { chance.one_of(&stocked) };
            let per = |part: &Goods| if part.is_weighed { 250 } else { 1_000 * chance.between(1, 2) };
            parts.extend(part.map(|part| (part.sku.clone(), per(part))));
        }
        Goods {
            sku: format!("kit-{number}"),
            price: chance.between(1, 250_000),
            is_weighed: false,
            is_stocked: false,
            parts: parts.into_iter().collect(),
            category: chance.one_of(&CATEGORIES).copied().unwrap_or_default(),
            extra: chance.percent(30).then(|| chance.between(0, 30_000)),
            by_lots: false,
            safety_stock: 0,
        }
    };
    (1..=3).map(kit).collect()
}

/// What everybody wants is kept by lots, some of it, by most tenants. That is drawn by chances of its own, as kits are.
fn some_by_lots(mut goods: Vec<Goods>) -> Vec<Goods> {
    let prices = goods.iter().fold(1_u64, |sum, goods| sum.rotate_left(9) ^ goods.price.unsigned_abs());
    let chance = Chance::new(prices);
    if chance.percent(75) {
        for goods in goods.iter_mut().filter(|goods| goods.is_stocked).take(WANTED_GOODS) {
            goods.by_lots = chance.percent(50);
        }
    }
    goods
}

/// Has the carts of some shops hold what is added to them, for moments or for longer than a sale takes. Drawn by chances
/// of their own, as kits are.
fn draw_holds(goods: &[Goods], shops: &mut [Shop]) {
    let prices = goods.iter().fold(1_u64, |sum, goods| sum.rotate_left(11) ^ goods.price.unsigned_abs());
    let chance = Chance::new(prices);
    for shop in shops.iter_mut().filter(|_| chance.percent(20)) {
        shop.hold_minutes = chance.one_of(&[1, 2, 30]).copied();
    }
}

/// Of some goods some is kept back, wherever they are sold. Drawn by chances of their own, as kits are.
fn some_kept_back(mut goods: Vec<Goods>) -> Vec<Goods> {
    let prices = goods.iter().fold(1_u64, |sum, goods| sum.rotate_left(13) ^ goods.price.unsigned_abs());
    let chance = Chance::new(prices);
    if goods.len() <= GOODS_WITH_KITS && chance.percent(60) {
        for goods in goods.iter_mut().filter(|goods| goods.is_stocked && chance.percent(40)) {
            goods.safety_stock = 1_000 * chance.between(1, 3);
        }
    }
    goods
}

/// Some shops ask what is there as something is added to a cart, and some sell goods of which nobody told them how many
/// there are. Drawn by chances of their own, as kits are.
fn draw_policies(goods: &[Goods], kits: &[Goods], shops: &mut [Shop]) {
    let prices = goods.iter().fold(1_u64, |sum, goods| sum.rotate_left(15) ^ goods.price.unsigned_abs());
    let chance = Chance::new(prices);
    let is_part = |sku: &str| kits.iter().flat_map(|kit| &kit.parts).any(|(part, _)| part == sku);
    for shop in shops.iter_mut() {
        let (checks, lacks) = (chance.percent(45), chance.percent(35));
        // A shop has one policy for its carts.
        shop.checks_at_cart = checks && shop.hold_minutes.is_none();
        // What is kept by lots comes with its lots, of what is kept back HQ tells, and how many kits there are is asked of
        // what they are made of.
        let may_lack = |goods: &&Goods| {
            goods.is_stocked && !goods.by_lots && goods.safety_stock == 0 && !is_part(&goods.sku)
        };
        if lacks && goods.len() <= GOODS_WITH_KITS {
            let some = goods.iter().filter(may_lack).filter(|_| chance.percent(50));
            shop.unsynced = some.map(|goods| goods.sku.clone()).collect();
        }
    }
}

/// A price as decimal text.
pub fn decimal(ten_thousandths: i64) -> String {
    format!("{}.{:04}", ten_thousandths / 10_000, ten_thousandths % 10_000)
}

/// A quantity as a client writes it: pieces as a number, weights as decimal text.
pub fn quantity(tenant: &Tenant, sku: &str, thousandths: i64) -> Value {
    if !tenant.goods_of(sku).is_some_and(|goods| goods.is_weighed) {
        return json!(thousandths / 1_000);
    }
    let sign = if thousandths < 0 { "-" } else { "" };
    let whole = thousandths.unsigned_abs();
    json!(format!("{sign}{}.{:03}", whole / 1_000, whole % 1_000))
}

/// What a product is called, whose it is among it: so it is seen where another tenant is told of it.
pub fn name_of(tenant: &str, goods: &Goods) -> String {
    format!("Product {} of {tenant}", goods.sku)
}

/// One line of the catalogue's feed.
pub fn product_line(tenant: &str, goods: &Goods, version: u64, price: i64) -> String {
    let line = json!({
        "id": goods.sku,
        "version": version,
        "op": "upsert",
        "data": {
            "sku": goods.sku,
            "name": name_of(tenant, goods),
            "unit_price": decimal(price),
            "currency": "GBP",
            "stocked": goods.is_stocked || !goods.parts.is_empty(),
            "unit": if goods.is_weighed { "kg" } else { "piece" },
            "category": goods.category,
            "modifiers": modifiers(goods),
            "components": components(goods),
            "lots": goods.by_lots,
        },
    });
    format!("{line}\n")
}

/// The modifiers of a product, as its feed and its form say them.
pub fn modifiers(goods: &Goods) -> Value {
    let of = |extra: i64| json!({ "id": "extra", "name": "Extra", "unit_price": decimal(extra) });
    goods.extra.map(of).into_iter().collect()
}

/// What a kit is made of, as its feed and its form say it; nothing for what is none.
pub fn components(goods: &Goods) -> Value {
    let of = |(sku, per): &(String, i64)| {
        let quantity = if per % 1_000 == 0 { json!(per / 1_000) } else { json!(format!("0.{per:03}")) };
        json!({ "sku": sku, "quantity": quantity })
    };
    goods.parts.iter().map(of).collect()
}

/// One line of the locations' feed.
pub fn location_line(shop: &Shop, version: u64, name: &str) -> String {
    let mut line = json!({
        "id": shop.id,
        "version": version,
        "op": "upsert",
        "data": {
            "id": shop.id, "kind": "store", "name": name, "time_zone": shop.zone,
            "currency": "GBP", "registers": shop.registers,
            "business_day_start": format!("{:02}:00", shop.day_begins),
        },
    });
    let mut policies = json!({});
    if let Some(minutes) = shop.hold_minutes {
        policies = json!({ "at_cart": "hold", "hold_minutes": minutes });
    } else if shop.checks_at_cart {
        policies = json!({ "at_cart": "check" });
    }
    if !shop.unsynced.is_empty() {
        policies["unsynced"] = json!("allow");
    }
    if policies != json!({}) {
        line["data"]["stock"] = policies;
    }
    format!("{line}\n")
}

/// One line of the stock's feed; `on_hand` in thousandths.
pub fn stock_line(tenant: &Tenant, shop: &str, sku: &str, version: u64, on_hand: i64) -> String {
    stock_line_with(tenant, (shop, sku), version, on_hand, (None, 0))
}

/// The same, with the quantity at which it is to be ordered again, and what of it is not for sale.
fn stock_line_with(
    tenant: &Tenant,
    (shop, sku): (&str, &str),
    version: u64,
    on_hand: i64,
    (reorder_point, safety_stock): (Option<i64>, i64),
) -> String {
    let mut line = json!({
        "id": format!("{shop}/{sku}"),
        "version": version,
        "op": "upsert",
        "data": { "location_id": shop, "sku": sku, "on_hand": quantity(tenant, sku, on_hand) },
    });
    if let Some(point) = reorder_point {
        line["data"]["reorder_point"] = quantity(tenant, sku, point);
    }
    if safety_stock > 0 {
        line["data"]["safety_stock"] = quantity(tenant, sku, safety_stock);
    }
    format!("{line}\n")
}

/// Uploads catalogue, locations and opening stock of every tenant.
pub async fn load(world: Rc<World>) {
    let reorder = Chance::apart(world.settings.seed, "reorder points");
    for tenant in &world.tenants {
        load_rules(&world, tenant).await;
        let line = |goods: &Goods| product_line(&tenant.id, goods, 1, goods.price);
        let products: String = tenant.goods.iter().map(line).collect();
        let mut locations = String::new();
        let mut stock = String::new();
        for shop in &tenant.shops {
            locations.push_str(&location_line(shop, 1, &shop.id));
            for goods in tenant.goods.iter().filter(|goods| goods.is_stocked) {
                // Some of it is scarce, so that it is fought over.
                // Where one order takes more than a hundred products, none of them is.
                let is_scarce = tenant.goods.len() <= 100 && world.chance.percent(40);
                let (least, most) = if is_scarce { (0, 6) } else { (20, 400) };
                let on_hand = 1_000 * world.chance.between(least, most);
                // Low enough to be crossed both ways by sales and deliveries; some begin below it.
                let point = reorder.percent(REORDERED).then(|| 1_000 * reorder.between(1, 12));
                if shop.unsynced.contains(&goods.sku) {
                    continue;
                }
                // No more is kept back in the morning than there is.
                let kept = goods.safety_stock.min(on_hand);
                let place = (shop.id.as_str(), goods.sku.as_str());
                stock.push_str(&stock_line_with(tenant, place, 1, on_hand, (point, kept)));
                let key = (tenant.id.clone(), (shop.id.clone(), goods.sku.clone()));
                world.stock_watch.borrow_mut().sums.tell(key.clone(), kept);
                let shelf = Shelf { on_hand, ..Shelf::default() };
                world.books.borrow_mut().shelves.insert(key, shelf);
            }
        }
        for goods in &tenant.goods {
            let key = (tenant.id.clone(), goods.sku.clone());
            let mut books = world.books.borrow_mut();
            books.price_may_be(&tenant.id, &goods.sku, PriceSet::of(goods.price));
            books.products.insert(key, (1, goods.price));
        }
        for (entity, body) in
            [(Entity::Catalog, products), (Entity::Locations, locations), (Entity::Inventory, stock)]
        {
            load_one(&world, &tenant.id, entity, &body).await;
        }
        if world.console.is_some() {
            load_aside(&world, tenant).await;
        }
    }
    world.clients.set(world.clients.get() - 1);
}

/// What is set aside: goods of their own, at a location of their own.
async fn load_aside(world: &World, tenant: &Tenant) {
    let (mut products, mut stock) = (String::new(), String::new());
    for sku in GOODS {
        let goods = Goods {
            sku: sku.to_owned(),
            price: 10_000,
            is_weighed: false,
            is_stocked: true,
            parts: Vec::new(),
            category: ASIDE,
            extra: None,
            by_lots: false,
            safety_stock: 0,
        };
        products.push_str(&product_line(&tenant.id, &goods, 1, goods.price));
        stock.push_str(&stock_line(tenant, ASIDE, sku, 1, OPENING));
        world.books.borrow_mut().shelf(&tenant.id, ASIDE, sku).on_hand = OPENING;
    }
    let location = json!({
        "id": ASIDE,
        "version": 1,
        "op": "upsert",
        "data": {
            "id": ASIDE, "kind": "warehouse", "name": "Set aside", "time_zone": "Europe/London", "currency": "GBP",
        },
    });
    let location = format!("{location}\n");
    for (entity, body) in
        [(Entity::Catalog, products), (Entity::Locations, location), (Entity::Inventory, stock)]
    {
        load_one(world, &tenant.id, entity, &body).await;
    }
}

/// First of all, so that no replica that is behind lacks them when the doors open.
async fn load_rules(world: &World, tenant: &Tenant) {
    let operator = caller(&tenant.id, &[Role::Operator]);
    let Ok(body) = serde_json::from_value(tenant.rules.morning.body(&tenant.rules)) else {
        return world.fail("the simulator works", "settings that are none");
    };
    world.course.borrow_mut().begin(&tenant.id, tenant.rules.morning);
    let ports = world.ports();
    let put = settings::put(&ports, &operator, body, "morning", |_| Ok(()));
    if let Err(error) = world.acting(&tenant.id, put).await {
        return world.fail("the simulator works", format!("settings: {error}"));
    }
    for (entity, body) in tenant.rules.feeds() {
        load_one(world, &tenant.id, entity, &body).await;
    }
}

async fn load_one(world: &World, tenant: &str, entity: Entity, body: &str) {
    let caller = caller(tenant, &[Role::Integration]);
    let (ports, deadline) = (world.ports(), world.now() + jiff::SignedDuration::from_secs(3_600));
    let sent = Upload { entity, body: body.as_bytes(), from: 1, deadline };
    match world.acting(tenant, upload(&ports, &caller, sent)).await {
        Ok(reply) if reply.failed == 0 && reply.next_from.is_none() => {
            world.note_use(&format!("feed {}", entity.name()));
        }
        other => world.fail("the simulator works", format!("{entity:?}: {other:?}")),
    }
}
