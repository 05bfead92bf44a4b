//! What may be used so often only: coupons and promotions, by all together and by each customer.

use super::*;

/// Sells B with a coupon at a register, as many carts as there are numbers, at once; answers who could.
pub(super) async fn redeem_at_once(
    world: &World,
    code: &'static str,
    carts: std::ops::Range<usize>,
) -> Vec<usize> {
    let register = |n: usize| format!("r-{}", n % 4 + 1);
    for n in carts.clone() {
        let cart = format!("{code}-{n}");
        world.cart_at(&register(n), &cart, &[("B", 2)]).await;
        let coupon = json!({"coupon_code": code});
        let applied = world.at(&register(n), &cart, "apply_coupon", coupon).await;
        if applied.is_err() {
            continue;
        }
        world.at(&register(n), &cart, "set_tendering", json!({})).await.unwrap();
        let pay = json!({"tender": "card", "amount": gbp(100)});
        world.at(&register(n), &cart, "add_payment", pay).await.unwrap();
    }
    let tasks: Vec<_> = carts
        .map(|n| {
            let (shop, register, cart) = (world.shop.clone(), register(n), format!("{code}-{n}"));
            tokio::spawn(async move {
                let done = shop.at(&register, "done", "finalize_order", json!({"cart_id": cart})).await;
                (n, done)
            })
        })
        .collect();
    let mut redeemed = Vec::new();
    for task in tasks {
        match task.await.unwrap() {
            (n, Ok(_)) => redeemed.push(n),
            (_, Err(error)) => {
                assert!(
                    matches!(error.code(), Some("coupon_limit_reached" | "coupon_unavailable")),
                    "{error:?}"
                );
            }
        }
    }
    redeemed
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn of_64_who_redeem_the_last_coupon_at_once_one_can() {
    let world = World::open().await;
    let off = json!({"fixed_amount": {"amount": 100}});
    world.coupon("LAST", off, json!({"currency": "GBP"}), (Some(1), None)).await;
    let redeemed = redeem_at_once(&world, "LAST", 0..64).await;
    assert_eq!(redeemed.len(), 1);
    assert_eq!(world.used("LAST"), 1);
    // The others sell without it: a payment that was taken stays, and the rest is due.
    let other = (0..64).find(|n| !redeemed.contains(n)).unwrap();
    let (register, cart) = (format!("r-{}", other % 4 + 1), format!("LAST-{other}"));
    let code = json!({"coupon_code": "LAST"});
    let without = view(&world.at(&register, &cart, "remove_coupon", code.clone()).await.unwrap());
    assert_eq!((&without["state"], &without["totals"]["due"]), (&json!("tendering"), &gbp(100)));
    let rest = json!({"tender": "cash", "amount": gbp(100)});
    world.at(&register, &cart, "add_payment", rest).await.unwrap();
    world.at(&register, &cart, "finalize_order", json!({"x": null})).await.unwrap_err();
    let done = world.shop.at(&register, "without", "finalize_order", json!({"cart_id": cart})).await.unwrap();
    assert_eq!(view(&done)["state"], json!("finalized"));
    // Whoever asks now is told at once.
    world.cart("new", &[("B", 1)]).await;
    assert_eq!(world.refused("new", "apply_coupon", code).await, "coupon_limit_reached");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_split_counter_gives_its_limit_to_the_last_use_and_no_more() {
    let world = World::open().await;
    let off = json!({"fixed_amount": {"amount": 100}});
    world.coupon("MANY", off, json!({"currency": "GBP"}), (Some(200), None)).await;
    let mut redeemed = 0;
    for round in 0..4 {
        redeemed += redeem_at_once(&world, "MANY", round * 60..(round + 1) * 60).await.len();
    }
    // What met too many others at once was told to go on without; nobody else goes without.
    for n in 240..440 {
        redeemed += redeem_at_once(&world, "MANY", n..n + 1).await.len();
    }
    assert_eq!((redeemed, world.used("MANY")), (200, 200));
}

#[tokio::test]
async fn a_customer_has_uses_of_their_own() {
    let world = World::open().await;
    let off = json!({"fixed_amount": {"amount": 10}});
    world.coupon("ONCE", off, json!({"currency": "GBP"}), (Some(3), Some(1))).await;
    for (n, (customer, expected)) in [
        ("ann", None),
        ("ann", Some("coupon_limit_reached")),
        ("bob", None),
        ("cy", None),
        ("di", Some("coupon_limit_reached")),
    ]
    .into_iter()
    .enumerate()
    {
        let cart = format!("c{n}");
        world.cart(&cart, &[("B", 1)]).await;
        world.send(&cart, "set_customer", json!({"customer_id": customer})).await;
        let applied = world.at("r-1", &cart, "apply_coupon", json!({"coupon_code": "ONCE"})).await;
        if let Err(refused) = applied {
            assert_eq!((customer, refused.code()), ("di", expected));
            continue;
        }
        world.send(&cart, "set_tendering", json!({})).await;
        world.send(&cart, "add_payment", json!({"tender": "card", "amount": gbp(90)})).await;
        let done = world.at("r-1", &cart, "finalize_order", json!({})).await;
        assert_eq!(done.as_ref().err().and_then(tillstream_app::Error::code), expected, "{customer}");
        if let Err(tillstream_app::Error::Rejected(refusal)) = done {
            assert_eq!(refusal.extra["coupon"], json!("ONCE"));
        }
    }
    assert_eq!(world.used("ONCE"), 3);
}

/// Others are at the counter all the time: the coupon is refused, and the sale goes on without it.
#[tokio::test]
async fn trouble_with_a_counter_refuses_the_coupon_and_never_the_sale() {
    let world = World::open().await;
    let off = json!({"fixed_amount": {"amount": 100}});
    world.coupon("BUSY", off, json!({"currency": "GBP"}), (Some(5), None)).await;
    world.cart("c", &[("B", 2)]).await;
    world.send("c", "apply_coupon", json!({"coupon_code": "BUSY"})).await;
    world.send("c", "set_tendering", json!({})).await;
    world.send("c", "add_payment", json!({"tender": "card", "amount": gbp(100)})).await;
    let busy = Arc::new(FaultyDatabase::new(world.database.clone()));
    busy.keep_busy("uses#coupon");
    let ports = Ports { database: busy, environment: world.environment.clone() };
    let shop = Shop { ports, scope: world.shop.scope.clone() };
    let finalize = json!({"cart_id": "c"});
    let refused = shop.command("f", "finalize_order", finalize.clone()).await.unwrap_err();
    assert_eq!(refused.code(), Some("coupon_unavailable"));
    shop.command("x", "remove_coupon", json!({"cart_id": "c", "coupon_code": "BUSY"})).await.unwrap();
    let pay = json!({"cart_id": "c", "tender": "card", "amount": gbp(100)});
    shop.command("p", "add_payment", pay).await.unwrap();
    let done = view(&shop.command("f", "finalize_order", finalize).await.unwrap());
    assert_eq!(totals(&done), [200, 0, 0, 200]);
}

#[tokio::test]
async fn a_long_sale_redeems_its_coupon_by_its_plan() {
    let world = World::open().await;
    let off = json!({"fixed_amount": {"amount": 100}});
    world.coupon("LAST", off, json!({"currency": "GBP"}), (Some(1), None)).await;
    for n in 0..120 {
        world.shop.product(STORE, &format!("P{n}"), "1", 10).await.unwrap();
    }
    for cart in ["one", "two"] {
        world.cart(cart, &[]).await;
        for n in 0..120 {
            world.send(cart, "add_line_item", json!({"sku": format!("P{n}"), "quantity": 1})).await;
        }
        world.send(cart, "apply_coupon", json!({"coupon_code": "LAST"})).await;
        world.send(cart, "set_tendering", json!({})).await;
        world.send(cart, "add_payment", json!({"tender": "card", "amount": gbp(11_900)})).await;
    }
    world.send("one", "finalize_order", json!({})).await;
    assert_eq!(world.used("LAST"), 1);
    assert_eq!(world.refused("two", "finalize_order", json!({})).await, "coupon_limit_reached");
    let p7 = world.shop.counters(STORE, "P7").await.unwrap();
    assert_eq!((p7.on_hand, p7.reserved, p7.available), (9_000, 0, 9_000), "nothing is held for the other");
    let without = world.send("two", "remove_coupon", json!({"coupon_code": "LAST"})).await;
    assert_eq!(without["totals"]["due"], gbp(100));
}

/// What is used up is not given first and refused when the customer has paid.
#[tokio::test]
async fn a_promotion_that_is_used_up_is_not_given() {
    let world = World::open().await;
    let half = json!({"percentage": {"bps": 5_000}});
    world
        .promotion(
            "first",
            json!({"benefit": half, "target": {"skus": ["A"]}, "limits": {"per_customer": 1}}),
        )
        .await;
    world.promotion("few", json!({"benefit": half, "target": {"skus": ["B"]}, "limits": {"total": 1}})).await;
    for (cart, total) in [("one", 127), ("two", 255)] {
        world.cart(cart, &[("A", 1)]).await;
        world.send(cart, "set_customer", json!({"customer_id": "ann"})).await;
        assert_eq!(totals(&world.sell(cart, "cash").await)[3], total, "{cart}");
    }
    let nobody = world.cart("nobody", &[("A", 1)]).await;
    assert_eq!(totals(&nobody)[3], 255, "uses cannot be counted of nobody");
    // Two are paid before either is final: one of them is told, and sold without it.
    for cart in ["x", "y"] {
        world.cart(cart, &[("B", 2)]).await;
        world.send(cart, "set_tendering", json!({})).await;
        world.send(cart, "add_payment", json!({"tender": "cash", "amount": gbp(100)})).await;
    }
    world.send("x", "finalize_order", json!({})).await;
    assert_eq!(world.refused("y", "finalize_order", json!({})).await, "promotion_limit_reached");
    let without = world.send("y", "remove_promo", json!({"promo_id": "few"})).await;
    assert_eq!((&without["state"], &without["totals"]["due"]), (&json!("tendering"), &gbp(100)));
    world.send("y", "add_payment", json!({"tender": "card", "amount": gbp(100)})).await;
    let done = world.shop.command("y-again", "finalize_order", json!({"cart_id": "y"})).await.unwrap();
    assert_eq!(totals(&view(&done)), [200, 0, 0, 200]);
    world.cart("late", &[("B", 2)]).await;
    let late = world.sell("late", "cash").await;
    assert_eq!(totals(&late)[3], 200, "whoever tenders later is not given it");
}

/// What a sale used that is voided may be used again, by all and by its customer.
#[tokio::test]
async fn what_is_voided_gives_its_uses_back() {
    let world = World::open().await;
    let off = json!({"fixed_amount": {"amount": 50}});
    world.coupon("LAST", off, json!({"currency": "GBP"}), (Some(1), Some(1))).await;
    let half = json!({"percentage": {"bps": 5_000}});
    let limits = json!({"total": 1, "per_customer": 1});
    world.promotion("few", json!({"benefit": half, "target": {"skus": ["B"]}, "limits": limits})).await;
    let used = || {
        let items = world.database.items(Table::Orders);
        items.iter().filter_map(|item| item.opt_number("used")).collect::<Vec<_>>()
    };
    for (cart, again) in [("c", "order_again"), ("d", "order_again_2")] {
        world.cart(cart, &[("A", 1), ("B", 2)]).await;
        world.send(cart, "set_customer", json!({"customer_id": "ann"})).await;
        world.send(cart, "apply_coupon", json!({"coupon_code": "LAST"})).await;
        assert_eq!(totals(&world.sell(cart, "cash").await)[3], 305, "{cart}");
        assert_eq!(used(), [1, 1, 1, 1], "of each limit one");
        let void = json!({"order_id": cart, "reason": "x"});
        world.shop.command(again, "void_order", void).await.unwrap();
        assert_eq!(used(), [0, 0, 0, 0]);
    }
}

/// A register that was cut off gave what it knew of, and was paid for the rest: the sale stands, the uses are counted
/// above the limit, and whoever asks next is refused.
#[tokio::test]
async fn what_was_given_offline_is_counted_whatever_the_limit_says() {
    let world = World::open().await;
    let off = json!({"fixed_amount": {"amount": 50}});
    world.coupon("LAST", off, json!({"currency": "GBP"}), (Some(1), None)).await;
    let half = json!({"percentage": {"bps": 5_000}});
    world.promotion("few", json!({"benefit": half, "target": {"skus": ["B"]}, "limits": {"total": 1}})).await;
    world.cart("online", &[("A", 1), ("B", 2)]).await;
    world.send("online", "apply_coupon", json!({"coupon_code": "LAST"})).await;
    assert_eq!(totals(&world.sell("online", "cash").await)[3], 305);

    let at =
        |n: usize, action: &str, payload: Value| envelope(STORE, "r-1", &format!("off-{n}"), action, payload);
    let of = |more: Value| {
        let mut payload = json!({"cart_id": "offline"});
        payload.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        payload
    };
    let commands: Vec<Value> = [
        ("create_cart", of(json!({}))),
        ("add_line_item", of(json!({"sku": "A", "quantity": 1}))),
        ("add_line_item", of(json!({"sku": "B", "quantity": 2}))),
        ("apply_coupon", of(json!({"coupon_code": "LAST"}))),
        ("set_tendering", of(json!({}))),
        ("add_payment", of(json!({"tender": "card", "amount": gbp(305)}))),
        ("finalize_order", of(json!({}))),
    ]
    .into_iter()
    .enumerate()
    .map(|(n, (action, payload))| at(n, action, payload))
    .collect();
    for replayed in [false, true] {
        let who = caller("demo", &[Role::Cashier]);
        let (outcomes, go_on) =
            batch::run(&world.shop.ports, &who, commands.clone(), jiff::Timestamp::MAX).await;
        assert!(go_on.is_none());
        for (command, outcome) in outcomes {
            assert_eq!(outcome.unwrap_or_else(|error| panic!("{error}: {command}")).replayed, replayed);
        }
    }
    let mut used: Vec<i64> =
        world.database.items(Table::Orders).iter().filter_map(|i| i.opt_number("used")).collect();
    used.sort_unstable();
    assert_eq!(used, [2, 2]);
    world.cart("next", &[("A", 1)]).await;
    assert_eq!(
        world.refused("next", "apply_coupon", json!({"coupon_code": "LAST"})).await,
        "coupon_limit_reached"
    );
}

/// Where fewer uses are left than the basket is good for, so many are given: neither none, nor a sale that is
/// refused when it is paid.
#[tokio::test]
async fn what_is_left_of_a_promotion_is_given() {
    let world = World::open().await;
    let one_free = json!({"buy_get": {"buy": 1, "get": 1, "bps": 10_000}});
    let a_penny = json!({"fixed_amount": {"amount": 1, "per": "unit"}});
    world
        .promotion(
            "once",
            json!({"benefit": one_free, "target": {"skus": ["A"]}, "limits": {"per_customer": 1}}),
        )
        .await;
    world
        .promotion(
            "five",
            json!({"benefit": a_penny, "currency": "GBP", "target": {"skus": ["B"]}, "limits": {"total": 5}}),
        )
        .await;
    // Four pieces would be two uses, and a new customer has one.
    world.cart("new", &[("A", 4)]).await;
    world.send("new", "set_customer", json!({"customer_id": "ann"})).await;
    assert_eq!(totals(&world.sell("new", "cash").await), [1_020, 255, 0, 765]);
    world.cart("again", &[("A", 4)]).await;
    world.send("again", "set_customer", json!({"customer_id": "ann"})).await;
    assert_eq!(totals(&world.sell("again", "cash").await)[1], 0);
    // Three of five uses, the two that are left, and none.
    for (cart, off) in [("x", 3), ("y", 2), ("z", 0)] {
        world.cart(cart, &[("B", 3)]).await;
        assert_eq!(totals(&world.sell(cart, "cash").await), [300, off, 0, 300 - off], "{cart}");
    }
}

/// What parts of a promotion's counter say is used.
pub(super) fn used_of_promotion(world: &World, id: &str) -> Vec<i64> {
    let items = world.database.items(Table::Orders);
    let is_part = |item: &&Item| item.opt_text("pk").unwrap().contains(&format!("uses#promotion#{id}#"));
    items.iter().filter(is_part).map(|item| item.number("used").unwrap()).collect()
}

/// Pays so many carts, then makes all of them final at once; whoever is refused the promotion goes on without it.
/// Answers how often it was given, over all.
pub(super) async fn sell_at_once(
    world: &World,
    promotion: &'static str,
    name: &str,
    carts: usize,
    pieces: u32,
) -> i64 {
    let named = |n: usize| (format!("r-{}", n % 4 + 1), format!("{name}-{n}"));
    for (register, cart) in (0..carts).map(named) {
        world.cart_at(&register, &cart, &[("B", pieces)]).await;
        let tendering = view(&world.at(&register, &cart, "set_tendering", json!({})).await.unwrap());
        let pay = json!({"tender": "card", "amount": tendering["totals"]["due"]});
        world.at(&register, &cart, "add_payment", pay).await.unwrap();
    }
    let tasks: Vec<_> = (0..carts)
        .map(named)
        .map(|(register, cart)| {
            let shop = world.shop.clone();
            tokio::spawn(async move {
                let send = async |key: &str, action: &str, more: Value| {
                    let mut payload = json!({"cart_id": cart});
                    payload.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
                    shop.at(&register, &format!("{cart}-{key}"), action, payload).await
                };
                let refused = match send("done", "finalize_order", json!({})).await {
                    Ok(done) => return view(&done),
                    Err(refused) => refused,
                };
                let known = ["promotion_limit_reached", "promotion_unavailable"];
                assert!(known.contains(&refused.code().unwrap_or_default()), "{refused:?}");
                let without = send("off", "remove_promo", json!({"promo_id": promotion})).await.unwrap();
                let due = view(&without)["totals"]["due"].clone();
                send("rest", "add_payment", json!({"tender": "card", "amount": due})).await.unwrap();
                view(&send("again", "finalize_order", json!({})).await.unwrap())
            })
        })
        .collect();
    let mut given = 0;
    for task in tasks {
        let sold = task.await.unwrap();
        assert_eq!(sold["state"], json!("finalized"));
        given += totals(&sold)[1];
    }
    given
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn of_64_sales_at_once_ten_have_the_promotion_and_all_are_sold() {
    let world = World::open().await;
    let penny = json!({"fixed_amount": {"amount": 1, "per": "unit"}});
    let ten =
        json!({"benefit": penny, "currency": "GBP", "target": {"skus": ["B"]}, "limits": {"total": 10}});
    world.promotion("ten", ten).await;
    let given = sell_at_once(&world, "ten", "c", 64, 1).await;
    assert_eq!((given, used_of_promotion(&world, "ten")), (10, vec![10]));
    assert_eq!(world.shop.counters(STORE, "B").await.unwrap().on_hand, 936_000);
    // What is voided is there again, and no more.
    let mut voided = 0;
    for cart in (0..64).map(|n| format!("c-{n}")) {
        let order = world.order(&cart).await;
        if voided < 3 && order.totals().unwrap().discount > 0 {
            let void = json!({"order_id": cart, "reason": "x"});
            world.shop.at(&order.register_id, &format!("void-{cart}"), "void_order", void).await.unwrap();
            voided += 1;
        }
    }
    assert_eq!((voided, used_of_promotion(&world, "ten")), (3, vec![7]));
    let given = sell_at_once(&world, "ten", "d", 16, 1).await;
    assert_eq!((given, used_of_promotion(&world, "ten")), (3, vec![10]));
}

/// Nobody is there to take it off: the others are placed without.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn of_64_orders_at_once_ten_have_the_promotion_and_all_are_placed() {
    let world = World::open().await;
    let half = json!({"percentage": {"bps": 5_000}});
    world
        .promotion("ten", json!({"benefit": half, "target": {"skus": ["B"]}, "limits": {"total": 10}}))
        .await;
    let tasks: Vec<_> = (0..64)
        .map(|n| {
            let shop = world.shop.clone();
            let wanted = json!({"order_id": format!("o-{n}"), "store_id": STORE, "channel": "web",
                "lines": [{"sku": "B", "quantity": 2}]});
            let wanted = serde_json::from_value(wanted).unwrap();
            tokio::spawn(async move {
                let who = caller("demo", &[Role::Integration]);
                tillstream_app::orders::place::place(&shop.ports, &who, &format!("k-{n}"), wanted).await
            })
        })
        .collect();
    let mut given = 0;
    for task in tasks {
        let placed = task.await.unwrap().unwrap();
        given += placed.cart.totals().unwrap().discount;
    }
    assert_eq!((given, used_of_promotion(&world, "ten")), (10 * 100, vec![10]));
}

/// Sales of three uses each, over sixteen parts of twelve or thirteen: to the last use, wherever it is left.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_split_counter_of_a_promotion_gives_its_limit_to_the_last_use_and_no_more() {
    let world = World::open().await;
    let penny = json!({"fixed_amount": {"amount": 1, "per": "unit"}});
    let many =
        json!({"benefit": penny, "currency": "GBP", "target": {"skus": ["B"]}, "limits": {"total": 200}});
    world.promotion("many", many).await;
    let mut given = sell_at_once(&world, "many", "a", 60, 3).await;
    given += sell_at_once(&world, "many", "b", 30, 3).await;
    for n in 0..40 {
        given += sell_at_once(&world, "many", &format!("c{n}"), 1, 3).await;
    }
    let used = used_of_promotion(&world, "many");
    assert_eq!((given, used.iter().sum::<i64>(), used.len()), (200, 200, 16), "{used:?}");
    assert!(used.iter().all(|used| (12..=13).contains(used)), "each its share: {used:?}");
    // Whoever tenders later is not given it, until a sale is undone.
    let late = world.cart("late", &[("B", 3)]).await;
    assert_eq!(totals(&late)[1], 3, "nobody has looked yet");
    assert_eq!(totals(&world.sell("late", "card").await), [300, 0, 0, 300]);
    let mut undone = None;
    for cart in (0..60).map(|n| format!("a-{n}")) {
        let order = world.order(&cart).await;
        undone = undone.or_else(|| (order.totals().unwrap().discount == 3).then_some(order));
    }
    let undone = undone.unwrap();
    let void = json!({"order_id": undone.id, "reason": "x"});
    world.shop.at(&undone.register_id, "void", "void_order", void).await.unwrap();
    let given = sell_at_once(&world, "many", "d", 3, 3).await;
    assert_eq!((given, used_of_promotion(&world, "many").iter().sum::<i64>()), (3, 200));
}

/// Others are at the counter all the time: the promotion is refused, and the sale goes on without it.
#[tokio::test]
async fn trouble_with_a_counter_refuses_the_promotion_and_never_the_sale() {
    for limit in [5, 500] {
        let world = World::open().await;
        let half = json!({"percentage": {"bps": 5_000}});
        let limits = json!({"benefit": half, "target": {"skus": ["B"]}, "limits": {"total": limit}});
        world.promotion("busy", limits).await;
        world.cart("c", &[("B", 2)]).await;
        world.send("c", "set_tendering", json!({})).await;
        world.send("c", "add_payment", json!({"tender": "card", "amount": gbp(100)})).await;
        let busy = Arc::new(FaultyDatabase::new(world.database.clone()));
        busy.keep_busy("uses#promotion");
        let ports = Ports { database: busy, environment: world.environment.clone() };
        let shop = Shop { ports, scope: world.shop.scope.clone() };
        let finalize = json!({"cart_id": "c"});
        let refused = shop.command("f", "finalize_order", finalize.clone()).await.unwrap_err();
        assert_eq!(refused.code(), Some("promotion_unavailable"));
        shop.command("x", "remove_promo", json!({"cart_id": "c", "promo_id": "busy"})).await.unwrap();
        let pay = json!({"cart_id": "c", "tender": "card", "amount": gbp(100)});
        shop.command("p", "add_payment", pay).await.unwrap();
        let done = view(&shop.command("f", "finalize_order", finalize).await.unwrap());
        assert_eq!(totals(&done), [200, 0, 0, 200]);
        // An order is placed without it at once.
        let wanted = json!({"order_id": "o", "store_id": STORE, "channel": "web",
            "lines": [{"sku": "B", "quantity": 2}]});
        let who = caller("demo", &[Role::Integration]);
        let wanted = serde_json::from_value(wanted).unwrap();
        let placed = tillstream_app::orders::place::place(&shop.ports, &who, "k", wanted).await.unwrap();
        assert_eq!(placed.cart.totals().unwrap().total, 200);
        assert!(used_of_promotion(&world, "busy").is_empty());
    }
}
