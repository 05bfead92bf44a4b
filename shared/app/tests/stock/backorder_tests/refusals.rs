//! Who may not wait, and for what nobody can.

use super::*;

#[tokio::test]
async fn nobody_waits_where_it_is_not_allowed() {
    let world = World::new(10).await;
    world.allow(false, &[]).await;
    assert_eq!(code(&world.place("k", &wants("b-1", 1)).await), "backorders_not_allowed");
    world.allow(false, &[(HERE, true)]).await;
    world.wait_for("b-1", 1).await;
    let there = BackorderRequest { location_id: THERE.into(), ..wants("b-2", 1) };
    assert_eq!(code(&world.place("k", &there).await), "backorders_not_allowed");
    world.allow(true, &[(HERE, false)]).await;
    assert_eq!(code(&world.place("k", &wants("b-3", 1)).await), "backorders_not_allowed");
    world.place("k", &there).await.unwrap();
    // Who waits goes on waiting, and a replay is not refused.
    assert!(world.place("b-1", &wants("b-1", 1)).await.unwrap().replayed);
    world.deliver(HERE, A, 1).await.unwrap();
    world.relay_all().await;
    assert_eq!(world.status("b-1").await, BackorderState::Reserved);
}

#[tokio::test]
async fn what_is_not_valid_is_refused_and_changes_nothing() {
    let world = World::new(11).await;
    world.wait_for("b-1", 1).await;
    let component = KitComponent { sku: A.into(), quantity: QuantityInput::Whole(2) };
    let kit = Product { components: vec![component], ..product("SET") };
    let parent = Product { sellable: false, ..product("MUGS") };
    for product in [kit, parent] {
        put(&world.memory, Table::Catalog, product_item(world.scope(), &product).unwrap()).await;
    }
    let before = world.memory.items(Table::Stock);
    let now = world.environment.now();
    let good = || wants("b-2", 1);
    let whole = QuantityInput::Whole;
    let cases: Vec<(BackorderRequest, &str)> = vec![
        (BackorderRequest { quantity: whole(0), ..good() }, "quantity_invalid"),
        (BackorderRequest { quantity: whole(-1), ..good() }, "quantity_invalid"),
        (BackorderRequest { quantity: whole(1_000_001), ..good() }, "quantity_invalid"),
        (BackorderRequest { quantity: QuantityInput::Decimal("1.5".into()), ..good() }, "quantity_invalid"),
        (BackorderRequest { sku: BY_WEIGHT.into(), ..good() }, "quantity_invalid"),
        (BackorderRequest { sku: "NONE".into(), ..good() }, "sku_unknown"),
        (BackorderRequest { sku: " X".into(), ..good() }, "sku_malformed"),
        (BackorderRequest { sku: "SERVICE".into(), ..good() }, "sku_not_stocked"),
        (BackorderRequest { sku: "SET".into(), ..good() }, "sku_is_a_kit"),
        (BackorderRequest { sku: "MUGS".into(), ..good() }, "variant_required"),
        (BackorderRequest { location_id: "s/1".into(), ..good() }, "location_id_malformed"),
        (BackorderRequest { location_id: "s-bath".into(), ..good() }, "location_not_found"),
        (BackorderRequest { backorder_id: Some("b/2".into()), ..good() }, "id_malformed"),
        (BackorderRequest { customer_id: Some("".into()), ..good() }, "id_malformed"),
        (BackorderRequest { order_id: Some("4111111111111111".into()), ..good() }, "card_number_refused"),
        (BackorderRequest { note: Some("x".repeat(201)), ..good() }, "text_too_long"),
        (BackorderRequest { note: Some("a\u{7}".into()), ..good() }, "text_malformed"),
        (BackorderRequest { note: Some("4111 1111 1111 1111".into()), ..good() }, "card_number_refused"),
        (BackorderRequest { needed_by: Some(now), ..good() }, "needed_by_out_of_range"),
        (BackorderRequest { needed_by: Some(Timestamp::MAX), ..good() }, "needed_by_out_of_range"),
    ];
    for (asked, expected) in &cases {
        assert_eq!(code(&world.place("k", asked).await), *expected, "{asked:?}");
    }
    for reason in ["", "  "] {
        let request = CancelBackorderRequest { reason: Some(reason.into()) };
        let refused = backorders::cancel(&world.ports, &world.caller, "c", "b-1", &request, |_| Ok(())).await;
        assert_eq!(code(&refused), "reason_invalid");
    }
    let long = CancelBackorderRequest { reason: Some("x".repeat(201)) };
    let refused = backorders::cancel(&world.ports, &world.caller, "c", "b-1", &long, |_| Ok(())).await;
    assert_eq!(code(&refused), "reason_invalid");
    for id in ["none", "b/1", ""] {
        assert_eq!(code(&world.cancel("c", id).await), "backorder_not_found");
        let seen = backorders::get(&world.ports, &world.caller, id).await;
        assert_eq!(code(&seen), "backorder_not_found");
    }
    let stale = |version: Option<u64>| match version {
        Some(7) => Ok(()),
        _ => Err(tillstream_app::Refusal::conflict("version_mismatch", "it is another")),
    };
    let cancelled = CancelBackorderRequest::default();
    let refused = backorders::cancel(&world.ports, &world.caller, "c", "b-1", &cancelled, stale).await;
    assert_eq!(refusal(refused.unwrap_err()).code, "version_mismatch");
    let far = caller("demo", Role::Cashier, named(&["s-york"]));
    assert_eq!(code(&backorders::place(&world.ports, &far, "k", &good()).await), "store_out_of_reach");
    assert_eq!(code(&backorders::get(&world.ports, &far, "b-1").await), "store_out_of_reach");
    let refused = backorders::cancel(&world.ports, &far, "c", "b-1", &cancelled, |_| Ok(())).await;
    assert_eq!(code(&refused), "store_out_of_reach");
    let other = caller("other", Role::Operator, Stores::All);
    assert_eq!(code(&backorders::get(&world.ports, &other, "b-1").await), "backorder_not_found");
    assert_eq!(world.memory.items(Table::Stock), before);
}
