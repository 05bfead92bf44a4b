//! Of which goods a share is that somebody gave or approved: of those that it fell on, and of no others in their place.

use jiff::Timestamp;
use tillstream_app::orders::place::place;
use tillstream_app::sync::entities::Entity;
use tillstream_app::sync::upload::{Upload, upload};

use super::allowed::by_manager;
use super::*;

/// One line of a feed; without data a deletion.
pub(super) async fn feed(world: &World, entity: Entity, id: &str, version: u64, data: Option<Value>) {
    let mut line =
        json!({"id": id, "version": version, "op": if data.is_some() { "upsert" } else { "delete" }});
    if let Some(data) = data {
        line["data"] = data;
    }
    let body = format!("{line}\n");
    let call = Upload { entity, body: body.as_bytes(), from: 1, deadline: Timestamp::MAX };
    let reply = upload(&world.shop.ports, &named("hq", &[Role::Integration]), call).await.unwrap();
    assert_eq!((reply.applied, reply.lines), (1, 1), "{:?}", reply.errors);
    // What the process remembers of rules is forgotten by then.
    world.environment.advance(Duration::from_secs(16));
}

/// A shop that sells televisions and laptops at 500.00, and gift cards of as much, that may not be discounted.
pub(super) async fn dear_world() -> World {
    let world = World::new().await;
    for sku in ["TV", "LAPTOP", "GIFT"] {
        world.shop.product(STORE, sku, "500", 10).await.unwrap();
    }
    let gift = json!({"name": "Gift card", "unit_price": "500", "currency": "GBP", "discountable": false});
    feed(&world, Entity::Catalog, "GIFT", 2, Some(gift)).await;
    world
}

/// A promotion that takes 5 % off televisions and keeps them for itself, unless something else is said.
pub(super) fn promotion(more: Value) -> Option<Value> {
    let mut data = json!({"name": "Kept", "stacking": "exclusive", "benefit": {"percentage": {"bps": 500}},
        "target": {"skus": ["TV"]}});
    data.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    Some(data)
}

type Step = (&'static str, Value);

fn add(sku: &str) -> Step {
    ("add_line_item", json!({"sku": sku, "quantity": 1}))
}

fn without(line: &str) -> Step {
    ("remove_line_item", json!({"line_id": line}))
}

async fn steps(world: &World, cart: &str, name: &str, steps: &[Step]) {
    for (n, (action, payload)) in steps.iter().enumerate() {
        let mut payload = payload.clone();
        payload["cart_id"] = cart.into();
        world.till(&format!("{cart}-{name}-{n}"), action, payload).await.unwrap();
    }
}

/// How a share comes to fall on what it was not given of.
struct Way {
    what: &'static str,
    promotion: Option<Value>,
    coupon: Option<Value>,
    first: Vec<Step>,
    then: Vec<Step>,
    ends: bool,
}

fn ways() -> Vec<Way> {
    let way = |what, promotion, first, then| Way { what, promotion, coupon: None, first, then, ends: false };
    let piece = |sku: &str| json!({"target": {"skus": [sku]}, "quantity": 1});
    let bundle = json!({"bundle": {"components": [piece("TV"), piece("A")], "price": gbp(49_500)}});
    let coupon = || json!({"coupon_code": "OPEN"});
    vec![
        way(
            "a promotion that is taken off",
            promotion(json!({})),
            vec![add("TV"), add("B")],
            vec![("remove_promo", json!({"promo_id": "p"}))],
        ),
        Way {
            coupon: Some(json!({"benefit": {"promotion": {"promotion_id": "p"}}})),
            ..way(
                "a coupon that is taken off",
                promotion(json!({"automatic": false})),
                vec![add("TV"), add("B"), ("apply_coupon", coupon())],
                vec![("remove_coupon", coupon())],
            )
        },
        way(
            "the other piece of a bundle",
            promotion(json!({"benefit": bundle, "target": {}})),
            vec![add("TV"), add("A"), add("B")],
            vec![without("l-2")],
        ),
        way(
            "a gift card for a television",
            None,
            vec![add("GIFT"), add("B")],
            vec![without("l-1"), add("TV")],
        ),
        way(
            "a laptop for what was given free",
            promotion(json!({"stacking": "stackable", "benefit": {"percentage": {"bps": 10_000}}})),
            vec![add("TV"), add("B")],
            vec![without("l-1"), add("LAPTOP")],
        ),
        Way {
            ends: true,
            ..way(
                "a promotion that ends by itself",
                promotion(json!({})),
                vec![add("TV"), add("B")],
                Vec::new(),
            )
        },
    ]
}

fn half_of_cart() -> Value {
    json!({"kind": "percent_cart", "value": 5_000})
}

/// A share of goods of which so much is left to pay, as its approval is asked for and granted. Answers the command that
/// uses it.
async fn approved(world: &World, cart: &str, share: &Value, left: i64) -> Value {
    let id = format!("ap-{cart}");
    world.granted(&id, discount_of(cart, share.clone())).await;
    let shown = read::get(&world.shop.ports, &manager(), &id).await.unwrap();
    let shown = serde_json::to_value(shown).unwrap();
    assert_eq!(shown["maximum_goods"], gbp(left), "what the supervisor is shown");
    let mut give = json!({"cart_id": cart, "reason": "x", "approval_id": id});
    give.as_object_mut().unwrap().extend(share.as_object().unwrap().clone());
    give
}

/// A share of goods of which so much is left to pay: given by a manager, or approved by one.
async fn given(world: &World, cart: &str, word: &str, (share, left): (&Value, i64)) -> Answered {
    let key = format!("{cart}-share");
    if word == "manager" {
        let mut give = json!({"cart_id": cart, "reason": "x"});
        give.as_object_mut().unwrap().extend(share.as_object().unwrap().clone());
        return by_manager(world, &key, "apply_manual_discount", give).await.unwrap();
    }
    let give = approved(world, cart, share, left).await;
    world.till(&key, "apply_manual_discount", give).await.unwrap()
}

/// Half off a cart in which it falls on goods for 1.00.
async fn half(world: &World, cart: &str, word: &str) -> Answered {
    given(world, cart, word, (&half_of_cart(), 100)).await
}

fn taken_off(answered: &Answered, id: &str) -> Value {
    let cart = view(answered);
    let shown = cart["discounts"].as_array().unwrap();
    shown.iter().find(|one| one["id"] == id).map(|one| one["amount"].clone()).unwrap()
}

pub(super) async fn tender(world: &World, key: &str, cart: &str) -> Result<Answered> {
    world.till(key, "set_tendering", json!({"cart_id": cart})).await
}

/// A manager who sees 0.50 off is nobody's word for 250.50.
#[tokio::test]
async fn a_share_is_of_the_goods_that_it_fell_on() {
    for way in ways() {
        for word in ["manager", "approval"] {
            let label = format!("{}, by {word}", way.what);
            let world = dear_world().await;
            if way.promotion.is_some() {
                feed(&world, Entity::Promotions, "p", 1, way.promotion.clone()).await;
            }
            if way.coupon.is_some() {
                feed(&world, Entity::Coupons, "OPEN", 1, way.coupon.clone()).await;
            }
            for cart in ["honest", "c"] {
                world.cart(cart).await;
                steps(&world, cart, "first", &way.first).await;
                let given = half(&world, cart, word).await;
                assert_eq!(taken_off(&given, "d-1"), gbp(50), "{label}");
            }
            tender(&world, "honest-t", "honest").await.unwrap_or_else(|error| panic!("{label}: {error}"));
            steps(&world, "c", "then", &way.then).await;
            if way.ends {
                feed(&world, Entity::Promotions, "p", 2, None).await;
            }
            let items = world.items();
            assert_eq!(code(tender(&world, "t", "c").await), Some("approval_does_not_match"), "{label}");
            assert_eq!(world.items(), items, "{label}: a refusal changed something");
            // What to do is told: it is taken back, and the cart is sold.
            let back = json!({"cart_id": "c", "discount_id": "d-1"});
            world.till("back", "remove_manual_discount", back).await.unwrap();
            tender(&world, "t", "c").await.unwrap_or_else(|error| panic!("{label}: {error}"));
        }
    }
}

/// A promotion that goes with others takes all but 50.00 off televisions.
fn cheap() -> Option<Value> {
    promotion(json!({"stacking": "stackable", "benefit": {"percentage": {"bps": 9_000}}}))
}

fn half_of_line(line: &str) -> Value {
    json!({"kind": "percent_line", "value": 5_000, "line_id": line})
}

/// What a promotion left of goods is what a share of them is of: neither of others of the same price in the book, nor of
/// the same without the promotion.
#[tokio::test]
async fn a_share_of_what_is_cheap_by_a_promotion_is_of_what_is_left_of_it() {
    let laptop = || vec![without("l-1"), add("LAPTOP")];
    let off = || vec![("remove_promo", json!({"promo_id": "p"}))];
    let others: Vec<Step> = vec![without("l-1"), add("A"), add("A"), add("TV")];
    let (cart, line) = (half_of_cart(), half_of_line("l-1"));
    for (what, share, then, ends, refused) in [
        ("another for it", &cart, laptop(), false, true),
        ("the promotion taken off", &cart, off(), false, true),
        ("the promotion taken off a line", &line, off(), false, true),
        ("the promotion ends", &cart, vec![], true, true),
        ("the promotion of a line ends", &line, vec![], true, true),
        ("more of the same", &cart, others, false, true),
        ("the same again", &cart, vec![without("l-1"), add("TV")], false, false),
        ("less", &cart, vec![without("l-1"), add("A")], false, false),
    ] {
        for word in ["manager", "approval"] {
            let label = format!("{what}, by {word}");
            let world = dear_world().await;
            feed(&world, Entity::Promotions, "p", 1, cheap()).await;
            world.cart("c").await;
            steps(&world, "c", "first", &[add("TV")]).await;
            let shown = given(&world, "c", word, (share, 5_000)).await;
            assert_eq!(taken_off(&shown, "d-1"), gbp(2_500), "{label}");
            steps(&world, "c", "then", &then).await;
            if ends {
                feed(&world, Entity::Promotions, "p", 2, None).await;
            }
            let items = world.items();
            let tendered = tender(&world, "t", "c").await;
            if !refused {
                tendered.unwrap_or_else(|error| panic!("{label}: {error}"));
                continue;
            }
            assert_eq!(code(tendered), Some("approval_does_not_match"), "{label}");
            assert_eq!(world.items(), items, "{label}: a refusal changed something");
        }
    }
}

/// Nor while it is paid, nor between the grant and its use.
#[tokio::test]
async fn what_is_left_of_goods_is_looked_at_whenever_it_may_be_more() {
    let world = dear_world().await;
    feed(&world, Entity::Promotions, "p", 1, cheap()).await;
    for cart in ["c", "d"] {
        world.cart(cart).await;
        steps(&world, cart, "first", &[add("TV")]).await;
    }
    given(&world, "c", "approval", (&half_of_cart(), 5_000)).await;
    tender(&world, "t", "c").await.unwrap();
    let give = approved(&world, "d", &half_of_cart(), 5_000).await;
    steps(&world, "d", "then", &[without("l-1"), add("LAPTOP")]).await;
    let items = world.items();
    let off = json!({"cart_id": "c", "promo_id": "p"});
    assert_eq!(code(world.till("off", "remove_promo", off).await), Some("approval_does_not_match"));
    let refused = refusal(world.till("give", "apply_manual_discount", give).await);
    let told = json!([{"field": "maximum_goods", "approved": "5000 GBP", "asked": "50000 GBP"}]);
    assert_eq!((refused.code, &refused.extra["differences"]), ("approval_does_not_match", &told));
    assert_eq!(world.items(), items, "a refusal changed something");
}

/// A discount that comes before a share leaves it less to be taken of: taken back, it leaves it more.
#[tokio::test]
async fn a_share_beside_another_is_of_what_that_left() {
    let world = dear_world().await;
    world.cart("c").await;
    steps(&world, "c", "first", &[add("TV")]).await;
    let nearly =
        json!({"cart_id": "c", "kind": "percent_line", "line_id": "l-1", "value": 9_000, "reason": "x"});
    by_manager(&world, "nearly", "apply_manual_discount", nearly).await.unwrap();
    let shown = given(&world, "c", "approval", (&half_of_cart(), 5_000)).await;
    assert_eq!(taken_off(&shown, "d-2"), gbp(2_500));
    let back = json!({"cart_id": "c", "discount_id": "d-1"});
    world.till("back", "remove_manual_discount", back).await.unwrap();
    let items = world.items();
    assert_eq!(code(tender(&world, "t", "c").await), Some("approval_does_not_match"));
    assert_eq!(world.items(), items, "a refusal changed something");
    by_manager(&world, "m", "set_tendering", json!({"cart_id": "c"})).await.unwrap();
}

/// What comes to be kept from a share, and goods that go, make it of less: nobody need look at that again.
#[tokio::test]
async fn a_share_of_fewer_goods_is_still_what_was_given() {
    let world = dear_world().await;
    let piece = |sku: &str| json!({"target": {"skus": [sku]}, "quantity": 1});
    let bundle = json!({"bundle": {"components": [piece("TV"), piece("A")], "price": gbp(49_500)}});
    world.cart("c").await;
    feed(&world, Entity::Promotions, "p", 1, promotion(json!({"benefit": bundle, "target": {}}))).await;
    steps(&world, "c", "first", &[add("TV"), add("B")]).await;
    let half = json!({"cart_id": "c", "kind": "percent_cart", "value": 5_000, "reason": "x"});
    let given = by_manager(&world, "half", "apply_manual_discount", half).await.unwrap();
    assert_eq!(taken_off(&given, "d-1"), gbp(25_050));
    // A line that is added makes a bundle of the television.
    steps(&world, "c", "then", &[add("A")]).await;
    let tendered = tender(&world, "t", "c").await.unwrap();
    assert_eq!(taken_off(&tendered, "d-1"), gbp(50));
    assert_eq!(view(&tendered)["totals"]["total"], gbp(49_500 + 50));
}

/// Also while it is paid: what keeps goods from a share is not taken off beside it, but by a manager.
#[tokio::test]
async fn what_keeps_goods_from_a_share_stays_while_it_is_paid() {
    let world = dear_world().await;
    feed(&world, Entity::Promotions, "p", 1, promotion(json!({}))).await;
    world.cart("c").await;
    steps(&world, "c", "first", &[add("TV"), add("B")]).await;
    half(&world, "c", "manager").await;
    tender(&world, "t", "c").await.unwrap();
    let off = || json!({"cart_id": "c", "promo_id": "p"});
    let items = world.items();
    assert_eq!(code(world.till("off", "remove_promo", off()).await), Some("approval_does_not_match"));
    assert_eq!(world.items(), items, "a refusal changed something");
    let by_hand = by_manager(&world, "off", "remove_promo", off()).await.unwrap();
    assert_eq!(view(&by_hand)["totals"]["total"], gbp(25_050));
    // What a manager fixed so is not looked at again where it stays as it is.
    let ann = json!({"cart_id": "c", "customer_id": "ann"});
    let named = world.till("ann", "set_customer", ann).await.unwrap();
    assert_eq!(view(&named)["totals"]["total"], gbp(25_050));
}

/// A share that would be taken off nothing is of no goods that are there: whoever asks says of how much it is to be.
#[tokio::test]
async fn an_approval_is_asked_for_of_goods_that_it_could_be_taken_off() {
    let world = dear_world().await;
    feed(&world, Entity::Promotions, "p", 1, promotion(json!({}))).await;
    world.cart("c").await;
    steps(&world, "c", "first", &[add("TV"), add("GIFT")]).await;
    let line = |line: &str| json!({"kind": "percent_line", "value": 5_000, "line_id": line});
    let cart = json!({"kind": "percent_cart", "value": 5_000});
    for (n, share) in [cart.clone(), line("l-1"), line("l-2")].into_iter().enumerate() {
        let refused = refusal(world.ask(&format!("a-{n}"), discount_of("c", share.clone())).await);
        assert_eq!(
            (refused.code, refused.errors[0].field.as_str()),
            ("maximum_goods_required", "maximum_goods")
        );
        let mut said = discount_of("c", share);
        said["maximum_goods"] = gbp(50_000);
        world.ask(&format!("b-{n}"), said).await.unwrap();
    }
    steps(&world, "c", "bun", &[add("B")]).await;
    for (n, share) in [cart.clone(), line("l-3")].into_iter().enumerate() {
        let asked = world.ask(&format!("c-{n}"), discount_of("c", share)).await.unwrap();
        assert_eq!(serde_json::to_value(asked.approval).unwrap()["maximum_goods"], gbp(100));
    }
    // Where no other discount can be given, none is approved.
    for n in 0..20 {
        let penny = json!({"cart_id": "c", "kind": "fixed_cart", "value": gbp(1), "reason": "x"});
        by_manager(&world, &format!("d-{n}"), "apply_manual_discount", penny).await.unwrap();
    }
    let before = world.items();
    assert_eq!(code(world.ask("full", discount_of("c", cart)).await), Some("too_many_discounts"));
    assert_eq!(world.items(), before, "a refusal changed something");
}

/// An order's share is of no more goods than was said, of those that it falls on.
#[tokio::test]
async fn a_share_of_an_order_is_of_the_goods_that_it_falls_on() {
    let world = dear_world().await;
    let share = json!({"kind": "percent_cart", "value": 5_000, "maximum_goods": gbp(100)});
    world.granted("ap", discount_of("o", share)).await;
    let order = |dear: &str| {
        json!({"order_id": "o", "store_id": STORE, "channel": "phone",
            "lines": [{"sku": dear, "quantity": 1}, {"sku": "B", "quantity": 1}],
            "discounts": [{"value": 5_000, "reason": "regular", "approval_id": "ap"}]})
    };
    let send = async |dear: &str| {
        place(&world.shop.ports, &cashier(), "k", serde_json::from_value(order(dear)).unwrap()).await
    };
    let before = world.items();
    let refused = refusal(send("TV").await);
    assert_eq!(differing(&refused), ["maximum_goods"]);
    assert_eq!(refused.errors[0].field, "discounts[0].approval_id");
    assert_eq!(world.items(), before, "a refusal changed something");
    let placed = send("GIFT").await.unwrap();
    assert_eq!(placed.cart.totals().unwrap().total, 50_050);
    assert_eq!(world.status("ap").await, "used");
}

/// What is said of an order that is placed whole is what promotions may leave of it.
#[tokio::test]
async fn a_share_of_an_order_is_of_what_promotions_leave_of_it() {
    let world = dear_world().await;
    feed(&world, Entity::Promotions, "p", 1, cheap()).await;
    let share = json!({"kind": "percent_cart", "value": 5_000, "maximum_goods": gbp(5_000)});
    world.granted("ap", discount_of("o", share)).await;
    let send = async |sku: &str| {
        let order = json!({"order_id": "o", "store_id": STORE, "channel": "phone",
            "lines": [{"sku": sku, "quantity": 1}],
            "discounts": [{"value": 5_000, "reason": "regular", "approval_id": "ap"}]});
        place(&world.shop.ports, &cashier(), "k", serde_json::from_value(order).unwrap()).await
    };
    let before = world.items();
    assert_eq!(differing(&refusal(send("LAPTOP").await)), ["maximum_goods"]);
    assert_eq!(world.items(), before, "a refusal changed something");
    assert_eq!(send("TV").await.unwrap().cart.totals().unwrap().total, 2_500);
}
