//! What pricing is bound by: coins of a currency, counters of what may be used so often, and taxes of a line.

use std::collections::BTreeMap;

use serde_json::{Value, json};
use tillstream_app::Error;
use tillstream_app::catalog::items::product_item;
use tillstream_app::documents::{Format, read};
use tillstream_app::pos::till::proof;
use tillstream_app::tenancy::Role;
use tillstream_app::tenant_rules::settings_item;
use tillstream_domain::cart::COUNTERS_MAX;
use tillstream_domain::money::Currency;
use tillstream_domain::pricing::{PricingSettings, TaxMode, TaxRounding};
use tillstream_domain::tenant_settings::TenantSettings;
use tillstream_testkit::shop::{STORE, caller};

use crate::pricing::{World, amount, gbp};

/// What a voucher leaves may come to no coin: the sale is final without one, and its report says what was let go.
#[tokio::test]
async fn what_comes_to_no_coin_is_paid_by_none() {
    let world = World::open().await;
    world.settings(TaxMode::Exclusive, TaxRounding::PerLine, 5).await;
    world.shop.product(STORE, "ODD", "10.02", 100).await.unwrap();
    let open = json!({"shift_id": "sh", "amount": gbp(0)});
    world.shop.command("o", "open_till", open).await.unwrap();
    world.cart("c", &[("ODD", 1)]).await;
    world.send("c", "set_tendering", json!({})).await;
    let nothing = || json!({"tender": "cash", "amount": gbp(0)});
    assert_eq!(world.refused("c", "add_payment", nothing()).await, "amount_not_positive", "10.00 is due");
    world.send("c", "add_payment", json!({"tender": "voucher", "amount": gbp(1_000)})).await;
    let by_card = json!({"tender": "card", "amount": gbp(0)});
    assert_eq!(world.refused("c", "add_payment", by_card).await, "amount_not_positive");
    let paid = world.send("c", "add_payment", nothing()).await;
    assert_eq!(paid["state"], json!("paid"));
    let totals = ["total", "due", "cash_rounding"].map(|name| amount(&paid["totals"][name]));
    assert_eq!(totals, [1_002, 0, -2]);
    world.send("c", "finalize_order", json!({})).await;
    let asked = world.shop.command("x", "get_x_report", json!({"shift_id": "sh"})).await.unwrap();
    let report = serde_json::to_value(asked.reply.result.shift.unwrap().report.unwrap()).unwrap();
    let seen = ["sales_total", "cash_rounding", "cash_expected"].map(|name| amount(&report[name]));
    assert_eq!(seen, [1_002, -2, 0]);
}

/// A report names what rounding to coins added and took off: sales with it come to what tenders took in.
#[tokio::test]
async fn a_shift_names_the_rounding_of_its_cash() {
    let world = World::open().await;
    world.settings(TaxMode::Exclusive, TaxRounding::PerLine, 5).await;
    world.shop.product(STORE, "ODD", "10.02", 100).await.unwrap();
    world.shop.product(STORE, "EVEN", "10.04", 100).await.unwrap();
    let open = json!({"shift_id": "sh", "amount": gbp(0)});
    world.shop.command("o", "open_till", open).await.unwrap();
    let report = async |key: &str| {
        let asked = world.shop.command(key, "get_x_report", json!({"shift_id": "sh"})).await.unwrap();
        serde_json::to_value(asked.reply.result.shift.unwrap().report.unwrap()).unwrap()
    };
    assert_eq!(report("x-0").await.get("cash_rounding"), None, "nothing was rounded");
    for (cart, sku, paid) in [("down", "ODD", 1_000), ("up", "EVEN", 1_005), ("down-2", "ODD", 1_000)] {
        world.cart(cart, &[(sku, 1)]).await;
        world.send(cart, "set_tendering", json!({})).await;
        world.send(cart, "add_payment", json!({"tender": "cash", "amount": gbp(paid)})).await;
        world.send(cart, "finalize_order", json!({})).await;
    }
    let rounded = |report: &Value, sales: i64, returns: i64| {
        assert_eq!((amount(&report["sales_total"]), amount(&report["returns_total"])), (sales, returns));
        let cash = &report["tenders"][0];
        let tenders = amount(&cash["payments"]) - amount(&cash["refunds"]);
        assert_eq!(sales - returns + amount(&report["cash_rounding"]), tenders, "{report}");
        amount(&report["cash_rounding"])
    };
    assert_eq!(rounded(&report("x-1").await, 3_008, 0), -3);
    // What was rounded on the way in is rounded on the way back.
    world.shop.command("v", "void_order", json!({"order_id": "up", "reason": "x"})).await.unwrap();
    assert_eq!(rounded(&report("x-2").await, 3_008, 1_004), -4);
    let close = json!({"shift_id": "sh", "counted": gbp(2_000)});
    let closed = world.shop.command("z", "close_till", close).await.unwrap().reply.result.shift.unwrap();
    let closed = serde_json::to_value(closed.report.unwrap()).unwrap();
    assert_eq!((rounded(&closed, 3_008, 1_004), amount(&closed["cash_difference"])), (-4, 0));
    // The Z report names it too, or its sums would not come to what it says was taken.
    for format in Format::ALL {
        let who = caller("demo", &[Role::Operator]);
        let printed = read::get(&world.shop.ports, &who, "sh.z_report", format, false).await.unwrap();
        let printed = String::from_utf8_lossy(&printed.document.bytes).replace("</td><td>", " ");
        let row = printed.lines().find(|row| row.contains("Rounding")).unwrap_or("none");
        assert!(row.contains("-0.04"), "{format}: {row}");
    }
    let proof = proof::of_shift(&world.shop.ports, &caller("demo", &[Role::Operator]), "sh").await.unwrap();
    assert!(proof.proved, "{proof:?}");
}

/// What comes back after a refund is rounded together with what was given back before: in parts or at once, for the same.
#[tokio::test]
async fn what_comes_back_in_parts_is_given_back_for_what_it_is_together() {
    let world = World::open().await;
    world.settings(TaxMode::Exclusive, TaxRounding::PerLine, 5).await;
    world.tax("VAT", 2_000, &["taxed"]).await;
    let taxed = json!({"sku": "TAXED", "name": "Taxed", "unit_price": "0.85", "currency": "GBP", "stocked": false,
        "unit": "piece", "tax_category": "taxed"});
    world.put(product_item(&world.shop.scope, &serde_json::from_value(taxed).unwrap()).unwrap()).await;
    for sku in ["ODD", "ODD-2"] {
        world.shop.product(STORE, sku, "1.02", 100).await.unwrap();
    }
    let shop = &world.shop;
    shop.command("o", "open_till", json!({"shift_id": "sh", "amount": gbp(5_000)})).await.unwrap();
    world.cart("sale", &[("ODD", 1), ("ODD-2", 1)]).await;
    world.send("sale", "set_tendering", json!({})).await;
    world.send("sale", "add_payment", json!({"tender": "cash", "amount": gbp(205)})).await;
    world.send("sale", "finalize_order", json!({})).await;
    let known = |line: &str| json!({"line_id": line, "quantity": 1, "disposition": "none"});
    // Of 0.85 with the tax that comes on top.
    let blind = || json!({"sku": "TAXED", "quantity": 1, "disposition": "none", "unit_price": "0.85"});
    for (id, start, lines) in [
        ("known", json!({"original_order_id": "sale"}), [known("l-1"), known("l-2")]),
        ("blind", json!({}), [blind(), blind()]),
    ] {
        let send = async |step: &str, action: &str, mut payload: Value| {
            payload["return_id"] = id.into();
            let done = shop.command(&format!("{id}-{step}"), action, payload).await.unwrap();
            serde_json::to_value(done.reply.cart.unwrap()).unwrap()["totals"].clone()
        };
        let told = |totals: &Value| ["total", "cash_rounding", "due"].map(|name| amount(&totals[name]));
        let [first, second] = lines;
        let mut begin = start;
        begin["reason"] = "x".into();
        send("start", "start_return", begin).await;
        send("first", "return_line_item", first).await;
        let refund = |pence: i64| json!({"tender": "cash", "amount": gbp(pence)});
        let given = send("some", "refund_tender", refund(100)).await;
        assert_eq!(told(&given), [102, -2, 0], "{id}");
        let more = send("second", "return_line_item", second).await;
        assert_eq!(told(&more), [204, 0, 104], "{id}");
        let given = send("rest", "refund_tender", refund(105)).await;
        assert_eq!(told(&given), [204, 1, 0], "{id}");
        send("final", "finalize_return", json!({})).await;
    }
    let close = json!({"shift_id": "sh", "counted": gbp(5_000 + 205 - 2 * 205)});
    let closed = shop.command("z", "close_till", close).await.unwrap().reply.result.shift.unwrap();
    let closed = serde_json::to_value(closed.report.unwrap()).unwrap();
    assert_eq!(amount(&closed["cash_difference"]), 0);
    let proof = proof::of_shift(&shop.ports, &caller("demo", &[Role::Operator]), "sh").await.unwrap();
    assert!(proof.proved, "{proof:?}");
}

/// Cash goes back as it comes in: in coins, the difference is told, and the drawer has what was counted.
#[tokio::test]
async fn cash_goes_back_in_coins() {
    let world = World::open().await;
    world.settings(TaxMode::Inclusive, TaxRounding::PerLine, 5).await;
    world.tax("VAT", 2_000, &[]).await;
    world.shop.product(STORE, "ODD", "10.02", 100).await.unwrap();
    let shop = &world.shop;
    shop.command("o", "open_till", json!({"shift_id": "sh", "amount": gbp(5_000)})).await.unwrap();
    // Without a receipt: 10.02 in all, and a thing of two pence.
    for (id, price, wrong, payable, given) in [
        ("b-1", "10.02", 1_002, 1_000, 1_000),
        ("b-2", "10.03", 1_000, 1_005, 1_005),
        ("b-3", "0.02", 2, 0, 0),
    ] {
        shop.command(&format!("{id}s"), "start_return", json!({"return_id": id, "reason": "x"}))
            .await
            .unwrap();
        let line =
            json!({"return_id": id, "sku": "ODD", "quantity": 1, "disposition": "none", "unit_price": price});
        shop.command(&format!("{id}l"), "return_line_item", line).await.unwrap();
        let refund = |amount: i64| json!({"return_id": id, "tender": "cash", "amount": gbp(amount)});
        if wrong % 5 != 0 {
            let refused = shop.command(&format!("{id}w"), "refund_tender", refund(wrong)).await.unwrap_err();
            assert_eq!(refused.code(), Some("cash_not_in_coins"), "{id}");
            let Error::Rejected(refused) = refused else { panic!("no refusal") };
            assert_eq!(refused.extra["payable"], json!(payable), "{id}");
        }
        let early = shop.command(&format!("{id}e"), "finalize_return", json!({"return_id": id})).await;
        assert_eq!(early.unwrap_err().code(), Some("underpaid"), "{id}");
        shop.command(&format!("{id}r"), "refund_tender", refund(given)).await.unwrap();
        // Sent again it is what it was.
        shop.command(&format!("{id}r"), "refund_tender", refund(given)).await.unwrap();
        let done =
            shop.command(&format!("{id}f"), "finalize_return", json!({"return_id": id})).await.unwrap();
        let done = serde_json::to_value(done.reply.cart.unwrap()).unwrap();
        let totals = |name: &str| amount(&done["totals"][name]);
        assert_eq!(
            (totals("total") + totals("cash_rounding"), totals("paid"), totals("due")),
            (given, given, 0)
        );
        assert_eq!(done["payments"].as_array().unwrap().len(), 1);
        let [line] = done["lines"].as_array().unwrap().as_slice() else { panic!("{done}") };
        assert_eq!(amount(&line["total"]), totals("total"), "lines are what they were sold for");
    }
    // A sale that paid to the penny by card, and in coins, is voided as it was paid.
    world.cart("sale", &[("ODD", 2)]).await;
    world.send("sale", "set_tendering", json!({})).await;
    world.send("sale", "add_payment", json!({"tender": "card", "amount": gbp(1_001)})).await;
    let paid = world.send("sale", "add_payment", json!({"tender": "cash", "amount": gbp(1_005)})).await;
    assert_eq!(amount(&paid["totals"]["cash_rounding"]), 2);
    world.send("sale", "finalize_order", json!({})).await;
    let void = shop.command("v", "void_order", json!({"order_id": "sale", "reason": "x"})).await.unwrap();
    let back = world.order(void.reply.result.order_id.as_deref().unwrap()).await;
    let refunds: Vec<_> = back.payments.iter().map(|p| (p.tender.as_str(), p.amount)).collect();
    assert_eq!((refunds, back.totals().unwrap().cash_rounding), (vec![("card", 1_001), ("cash", 1_005)], 2));
    // What an exchange leaves of a return, and comes to no coin, is given back in none.
    shop.command("xs", "start_return", json!({"return_id": "x", "reason": "x"})).await.unwrap();
    let line =
        json!({"return_id": "x", "sku": "ODD", "quantity": 1, "disposition": "none", "unit_price": "4.02"});
    shop.command("xl", "return_line_item", line).await.unwrap();
    world.cart("new", &[("FOOD", 1)]).await;
    world.send("new", "set_tendering", json!({})).await;
    shop.command("xf", "finalize_exchange", json!({"return_id": "x", "cart_id": "new"})).await.unwrap();
    let back = world.order("x").await;
    let refunds: Vec<_> = back.payments.iter().map(|p| (p.tender.as_str(), p.amount)).collect();
    assert_eq!((refunds, back.totals().unwrap().cash_rounding), (vec![("exchange", 400), ("cash", 0)], -2));
    // 50.00 at the beginning less 20.05: the drawer is exact, and the figures say why.
    let close = json!({"shift_id": "sh", "counted": gbp(5_000 - 1_000 - 1_005)});
    let closed = shop.command("z", "close_till", close).await.unwrap().reply.result.shift.unwrap();
    let report = serde_json::to_value(closed.report.unwrap()).unwrap();
    assert_eq!(amount(&report["cash_difference"]), 0, "{report}");
    let of = |name: &str| amount(&report[name]);
    let tenders = report["tenders"].as_array().unwrap().iter();
    let taken: i64 = tenders.map(|by| amount(&by["payments"]) - amount(&by["refunds"])).sum();
    assert_eq!(of("sales_total") - of("returns_total") + of("cash_rounding"), taken, "{report}");
    let proof = proof::of_shift(&shop.ports, &caller("demo", &[Role::Operator]), "sh").await.unwrap();
    assert!(proof.proved, "{proof:?}");
}

/// A currency has its own coins; where it has none of its own, the tenant's.
#[tokio::test]
async fn coins_are_those_of_the_currency() {
    for (own, due) in
        [(None, 1_000), (Some(("CHF", 10)), 1_000), (Some(("GBP", 0)), 1_002), (Some(("GBP", 50)), 1_000)]
    {
        let world = World::open().await;
        let own = own.map(|(code, coin): (&str, u32)| (code.parse::<Currency>().unwrap(), coin));
        let pricing = PricingSettings {
            tax_mode: TaxMode::Exclusive,
            tax_rounding: TaxRounding::PerLine,
            cash_increment: 5,
            cash_increments: own.into_iter().collect::<BTreeMap<_, _>>(),
        };
        let stored = serde_json::to_value(&pricing).unwrap();
        assert_eq!(stored.get("cash_increments").is_some(), own.is_some());
        let settings = TenantSettings { pricing, ..TenantSettings::default() };
        world.put(settings_item(&world.shop.scope, &settings).unwrap()).await;
        world.shop.product(STORE, "ODD", "10.02", 100).await.unwrap();
        world.cart("c", &[("ODD", 1)]).await;
        world.send("c", "set_tendering", json!({})).await;
        let paid = world.send("c", "add_payment", json!({"tender": "cash", "amount": gbp(due)})).await;
        assert_eq!(paid["state"], json!("paid"), "{own:?}: {paid}");
        let less = world.cart("d", &[("ODD", 1)]).await;
        assert_eq!(amount(&less["totals"]["total"]), 1_002);
    }
}

/// Settings of before currencies had coins of their own are read as they were meant.
#[test]
fn settings_of_before_are_read() {
    let stored =
        json!({"pricing": {"tax_mode": "inclusive", "tax_rounding": "per_line", "cash_increment": 5}});
    let settings: TenantSettings = serde_json::from_value(stored).unwrap();
    for code in ["GBP", "CHF"] {
        assert_eq!(settings.pricing.cash_increment_of(code.parse().unwrap()), 5);
    }
}

/// More promotions of so many uses apply than a transaction can count: the first are given and counted, the sale
/// goes on, and it can be undone.
#[tokio::test]
async fn promotions_that_cannot_be_counted_are_not_given() {
    let world = World::open().await;
    let pennies = 60;
    for n in 0..pennies {
        let penny = json!({"benefit": {"fixed_amount": {"amount": 1, "per": "order"}}, "stacking": "stackable",
            "limits": {"total": 100}, "priority": pennies - n, "currency": "GBP"});
        world.promotion(&format!("p-{n:02}"), penny).await;
    }
    world.coupon("ONE", json!({"percentage": {"bps": 100}}), json!({}), (Some(9), None)).await;
    world.cart("c", &[("FOOD", 5)]).await;
    let with_coupon = world.send("c", "apply_coupon", json!({"coupon_code": "ONE"})).await;
    let given = with_coupon["discounts"].as_array().unwrap();
    let of = |kind: &str| given.iter().filter(|one| one["kind"] == json!(kind)).count();
    assert_eq!((of("promotion"), of("coupon")), (COUNTERS_MAX - 1, 1), "{with_coupon}");
    let done = world.sell("c", "card").await;
    assert_eq!(done["state"], json!("finalized"));
    assert_eq!(world.order("c").await.charges.uses.len(), COUNTERS_MAX);
    world.shop.command("v", "void_order", json!({"order_id": "c", "reason": "x"})).await.unwrap();
}
