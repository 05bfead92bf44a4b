//! Limits of uses that are changed while they are in use: what was used counts under the new limit, to the last use,
//! wherever it was counted.

use tillstream_app::sync::entities::Entity;
use tillstream_app::sync::upload::{Upload, upload};

use super::limited_uses::{redeem_at_once, sell_at_once, used_of_promotion};
use super::*;

const COUPON: &str = "MANY";
const PROMOTION: &str = "many";

/// Feeds a limit as a line of a version. Tills know of it then.
async fn fed(world: &World, entity: Entity, id: &str, version: u64, data: Value) {
    let line = json!({"id": id, "version": version, "op": "upsert", "data": data}).to_string();
    let call = Upload { entity, body: line.as_bytes(), from: 1, deadline: jiff::Timestamp::MAX };
    let reply = upload(&world.shop.ports, &caller("demo", &[Role::Integration]), call).await.unwrap();
    assert_eq!((reply.applied, reply.errors.len()), (1, 0));
    world.later();
}

/// Feeds a coupon of 1.00 off.
async fn coupon_of(world: &World, version: u64, limit: u32) {
    let data = json!({"benefit": {"fixed_amount": {"amount": gbp(100)}}, "total_limit": limit});
    fed(world, Entity::Coupons, COUPON, version, data).await;
}

/// Feeds a promotion of 0.01 off each piece of B, each a use.
async fn promotion_of(world: &World, version: u64, limit: u32) {
    let benefit = json!({"fixed_amount": {"amount": gbp(1), "per": "unit"}});
    let data =
        json!({"name": "Many", "benefit": benefit, "target": {"skus": ["B"]}, "limits": {"total": limit}});
    fed(world, Entity::Promotions, PROMOTION, version, data).await;
}

/// Lets so much be used of each part of a counter.
async fn use_parts(world: &World, kind: &str, id: &str, used: &[i64]) {
    for (part, used) in (0..).zip(used) {
        let item = Item::new(&world.shop.scope.uses(kind, id, part)).with("used", *used);
        let write = Write::Put { table: Table::Orders, item, condition: None };
        world.database.write(write).await.unwrap();
    }
}

/// Sells with the coupon: so many at once, and one after the other until one is refused. Answers who could, of carts
/// that are numbered from `from` on.
async fn redeem_all(world: &World, from: usize, at_once: usize) -> Vec<usize> {
    let mut redeemed = redeem_at_once(world, COUPON, from..from + at_once).await;
    // What met too many others at once was told to go on without; nobody else goes without.
    for n in from + at_once..from + 500 {
        let one = redeem_at_once(world, COUPON, n..n + 1).await;
        if one.is_empty() {
            break;
        }
        redeemed.extend(one);
    }
    redeemed
}

/// Sells with the promotion: so many at once of so many pieces, and one after the other until it is given to none.
/// Answers how often it was given.
async fn sell_all(world: &World, name: &str, at_once: usize, pieces: u32) -> i64 {
    let mut given = sell_at_once(world, PROMOTION, name, at_once, pieces).await;
    for n in 0..500 {
        match sell_at_once(world, PROMOTION, &format!("{name}-then-{n}"), 1, 5).await {
            0 => break,
            more => given += more,
        }
    }
    given
}

/// A cart that knows the coupon by the limit that stands, and is paid.
async fn paid_cart(world: &World, cart: &str) {
    world.cart(cart, &[("B", 2)]).await;
    world.send(cart, "apply_coupon", json!({"coupon_code": COUPON})).await;
    world.send(cart, "set_tendering", json!({})).await;
    world.send(cart, "add_payment", json!({"tender": "card", "amount": gbp(100)})).await;
}

async fn void(world: &World, order: &str) {
    let register = world.order(order).await.register_id;
    let void = json!({"order_id": order, "reason": "x"});
    world.shop.at(&register, &format!("void-{order}"), "void_order", void).await.unwrap();
}

/// From one part to sixteen: the first has used nearly all of the old limit, the others nothing.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_coupon_that_is_raised_to_many_parts_is_redeemed_to_the_new_limit_and_no_more() {
    let world = World::open().await;
    coupon_of(&world, 1, 150).await;
    use_parts(&world, "coupon", COUPON, &[140]).await;
    for cart in ["before-1", "before-2"] {
        paid_cart(&world, cart).await;
    }
    coupon_of(&world, 2, 300).await;
    // Who knows the old limit only takes what that leaves, and it counts under the new one.
    world.send("before-1", "finalize_order", json!({})).await;
    assert_eq!(world.used(COUPON), 141);
    let redeemed = redeem_all(&world, 0, 64).await;
    assert_eq!((redeemed.len(), world.used(COUPON)), (159, 300));
    assert_eq!(world.refused("before-2", "finalize_order", json!({})).await, "coupon_limit_reached");
    // What is given back is there once.
    for n in redeemed.iter().take(3) {
        void(&world, &format!("{COUPON}-{n}")).await;
    }
    assert_eq!(world.used(COUPON), 297);
    assert_eq!((redeem_all(&world, 1_000, 16).await.len(), world.used(COUPON)), (3, 300));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_promotion_that_is_raised_to_many_parts_is_given_to_the_new_limit_and_no_more() {
    let world = World::open().await;
    promotion_of(&world, 1, 150).await;
    use_parts(&world, "promotion", PROMOTION, &[140]).await;
    promotion_of(&world, 2, 300).await;
    let given = sell_all(&world, "a", 64, 2).await;
    let sum = || used_of_promotion(&world, PROMOTION).iter().sum::<i64>();
    assert_eq!((given, sum()), (160, 300));
    let mut back = 0;
    for cart in (0..64).map(|n| format!("a-{n}")) {
        let order = world.order(&cart).await;
        if back < 4 && order.totals().unwrap().discount == 2 {
            void(&world, &cart).await;
            back += 2;
        }
    }
    assert_eq!((back, sum()), (4, 296));
    assert_eq!((sell_all(&world, "b", 16, 1).await, sum()), (4, 300));
}

/// All of 199 are used, and one more is allowed: one of 64 gets it.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn one_more_is_one_more() {
    let world = World::open().await;
    coupon_of(&world, 1, 199).await;
    use_parts(&world, "coupon", COUPON, &[199]).await;
    coupon_of(&world, 2, 200).await;
    assert_eq!((redeem_all(&world, 0, 64).await.len(), world.used(COUPON)), (1, 200));
    promotion_of(&world, 1, 199).await;
    use_parts(&world, "promotion", PROMOTION, &[199]).await;
    promotion_of(&world, 2, 200).await;
    assert_eq!(sell_all(&world, "p", 64, 1).await, 1);
    assert_eq!(used_of_promotion(&world, PROMOTION).iter().sum::<i64>(), 200);
}

/// Raised again and again, while parts are used unevenly: 150 in one part, then 250, then 1,000.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_limit_that_is_raised_twice_is_used_to_its_last_use_wherever_that_is() {
    // As 250 allows it: 150 of the first part, and seven or six of each other, of which some used none.
    let uneven: &[i64] = &[150, 7, 7, 7, 0, 0, 7, 0, 7, 7, 7, 0, 6, 6, 6, 6];
    let used: i64 = uneven.iter().sum();
    let world = World::open().await;
    for (version, limit) in (1..).zip([150, 250]) {
        coupon_of(&world, version, limit).await;
    }
    use_parts(&world, "coupon", COUPON, uneven).await;
    coupon_of(&world, 3, 270).await;
    let more = redeem_all(&world, 0, 64).await.len();
    assert_eq!((i64::try_from(more).unwrap(), world.used(COUPON)), (270 - used, 270));
    world.shop.product(STORE, "B", "1", 2_000).await.unwrap();
    for (version, limit) in (1..).zip([150, 250]) {
        promotion_of(&world, version, limit).await;
    }
    use_parts(&world, "promotion", PROMOTION, uneven).await;
    promotion_of(&world, 3, 1_000).await;
    let more = sell_all(&world, "p", 24, 25).await;
    let sum = used_of_promotion(&world, PROMOTION).iter().sum::<i64>();
    assert_eq!((more, sum), (1_000 - used, 1_000));
}

/// What was given above a limit, as a register was cut off, is part of what the new limit allows.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn what_was_given_above_a_limit_counts_when_it_is_raised() {
    let in_one: &[i64] = &[180];
    let in_parts: &[i64] = &[43, 13, 13, 13, 13, 13, 13, 13, 12, 12, 12, 12, 12, 12, 12, 12];
    for (before, used, after, more) in [(150, in_one, 300, 120), (200, in_parts, 300, 70)] {
        let world = World::open().await;
        promotion_of(&world, 1, before).await;
        use_parts(&world, "promotion", PROMOTION, used).await;
        promotion_of(&world, 2, after).await;
        let given = sell_all(&world, "p", 16, 3).await;
        let sum = used_of_promotion(&world, PROMOTION).iter().sum::<i64>();
        assert_eq!((given, sum), (more, i64::from(after)), "from {before} to {after}");
    }
}

/// More was given of the first part than it has, while others have used all that they had and others nothing: raised, the
/// limit is used to its last use and no more, though by shares the others would have more than is left.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn what_the_first_part_has_beyond_its_share_is_not_given_once_more() {
    let half: &[i64] = &[125, 25, 25, 25, 25, 25, 25, 25, 25, 0, 0, 0, 0, 0, 0, 0];
    // By shares the others have 12 each of 210: eight of them would make 96 of the 89 that are left.
    let uneven: &[i64] = &[30, 13, 13, 13, 13, 13, 13, 13, 0, 0, 0, 0, 0, 0, 0, 0];
    for (before, used, after, more) in [(400, half, 450, 125), (200, uneven, 210, 89)] {
        let world = World::open().await;
        promotion_of(&world, 1, before).await;
        use_parts(&world, "promotion", PROMOTION, used).await;
        promotion_of(&world, 2, after).await;
        let given = sell_all(&world, "p", 64, 3).await;
        let sum = used_of_promotion(&world, PROMOTION).iter().sum::<i64>();
        assert_eq!((given, sum), (more, i64::from(after)), "from {before} to {after}");
    }
}

/// Half of the parts have used all that 400 allows them, the others nothing: 200 uses. A lower limit leaves what it
/// leaves of those, also below where there are parts; and so does one that is raised again.
const USED_200: &[i64] = &[25, 25, 25, 25, 25, 25, 25, 25, 0, 0, 0, 0, 0, 0, 0, 0];

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_coupon_that_is_lowered_is_redeemed_to_the_new_limit_and_no_more() {
    let world = World::open().await;
    coupon_of(&world, 1, 400).await;
    use_parts(&world, "coupon", COUPON, USED_200).await;
    coupon_of(&world, 2, 250).await;
    let redeemed = redeem_all(&world, 0, 64).await;
    assert_eq!((redeemed.len(), world.used(COUPON)), (50, 250));
    for n in redeemed.iter().take(2) {
        void(&world, &format!("{COUPON}-{n}")).await;
    }
    assert_eq!((redeem_all(&world, 600, 4).await.len(), world.used(COUPON)), (2, 250));
    for (version, (limit, more)) in (3..).zip([(150, 0), (260, 10), (420, 160), (419, 0)]) {
        coupon_of(&world, version, limit).await;
        let from = usize::try_from(version).unwrap() * 1_000;
        let used = world.used(COUPON);
        let now = redeem_all(&world, from, 32).await.len();
        assert_eq!((now, world.used(COUPON) - used), (more, i64::try_from(more).unwrap()), "{limit}");
    }
    assert_eq!(world.used(COUPON), 420);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_promotion_that_is_lowered_is_given_to_the_new_limit_and_no_more() {
    let world = World::open().await;
    promotion_of(&world, 1, 400).await;
    use_parts(&world, "promotion", PROMOTION, USED_200).await;
    for (version, (limit, more)) in (2..).zip([(250, 50), (150, 0), (260, 10), (420, 160)]) {
        promotion_of(&world, version, limit).await;
        assert_eq!(sell_all(&world, &format!("v{version}"), 16, 3).await, more, "{limit}");
        let sum = used_of_promotion(&world, PROMOTION).iter().sum::<i64>();
        assert_eq!(sum, i64::from(limit).max(250), "{limit}");
    }
}

/// A register that was cut off gave what it knew of. Of a limit that was lowered that is above it only where no part
/// leaves any.
#[tokio::test]
async fn what_was_given_offline_is_above_a_lowered_limit_only_where_that_leaves_none() {
    let world = World::open().await;
    coupon_of(&world, 1, 400).await;
    use_parts(&world, "coupon", COUPON, USED_200).await;
    coupon_of(&world, 2, 201).await;
    let tasks = || {
        let items = world.database.items(Table::Stock);
        items.iter().filter(|item| item.opt_text("kind") == Some("uses_above_limit")).count()
    };
    for (cart, above) in [("off-1", 0), ("off-2", 1)] {
        let commands: Vec<Value> = [
            ("create_cart", json!({"cart_id": cart})),
            ("add_line_item", json!({"cart_id": cart, "sku": "B", "quantity": 2})),
            ("apply_coupon", json!({"cart_id": cart, "coupon_code": COUPON})),
            ("set_tendering", json!({"cart_id": cart})),
            ("add_payment", json!({"cart_id": cart, "tender": "card", "amount": gbp(100)})),
            ("finalize_order", json!({"cart_id": cart})),
        ]
        .into_iter()
        .map(|(action, payload)| envelope(STORE, "r-1", &format!("{cart}-{action}"), action, payload))
        .collect();
        let who = caller("demo", &[Role::Cashier]);
        let (outcomes, _) = batch::run(&world.shop.ports, &who, commands, jiff::Timestamp::MAX).await;
        for (command, outcome) in outcomes {
            assert!(!outcome.unwrap_or_else(|error| panic!("{error}: {command}")).replayed);
        }
        assert_eq!((world.used(COUPON), tasks()), (201 + i64::try_from(above).unwrap(), above), "{cart}");
    }
    // Whoever is online is refused.
    assert!(redeem_at_once(&world, COUPON, 0..1).await.is_empty());
}
