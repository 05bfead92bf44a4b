//! What a shift may be at most, what may be taken out of it, and what was altered behind it.

use super::*;

/// What a count found more may be taken out, and nothing above; the refusal says how much there is.
#[tokio::test]
async fn no_more_is_taken_out_than_there_is() {
    let (shop, _) = shop().await;
    send(&shop, "o", "open_till", json!({"shift_id": "sh", "amount": gbp(1_000)})).await;
    sell(&shop, "c-1", 2, &[("cash", 600, 90)]).await;
    let out = |amount: i64| json!({"shift_id": "sh", "amount": gbp(amount), "reason": "safe"});
    let Err(Error::Rejected(refusal)) = shop.command("p", "paid_out", out(1_601)).await else { panic!() };
    assert_eq!((refusal.code, &refusal.extra["most"]), ("drawer_short", &json!(1_600)));
    send(&shop, "c", "cash_count", json!({"shift_id": "sh", "counted": gbp(1_620)})).await;
    let left = send(&shop, "p", "paid_out", out(1_620)).await.cash_expected.unwrap().amount;
    assert_eq!(left, -20);
    assert_eq!(shop.command("q", "paid_out", out(1)).await.unwrap_err().code(), Some("drawer_short"));
}

/// Of what a register uploads, a sale may be refused. What was taken out of the drawer with its cash is taken out.
#[tokio::test]
async fn cash_that_left_the_drawer_offline_is_recorded_though_its_sale_was_refused() {
    let (shop, _) = shop().await;
    let cart = |more: Value| with_members(json!({"cart_id": "c"}), &more);
    let out = |amount: i64| json!({"shift_id": "sh", "amount": gbp(amount), "reason": "safe"});
    let script = [
        ("open_till", json!({"shift_id": "sh", "amount": gbp(100)}), None),
        ("create_cart", cart(json!({})), None),
        ("add_line_item", cart(json!({"sku": "NONE", "quantity": 1})), Some("sku_not_found")),
        ("set_tendering", cart(json!({})), Some("cart_empty")),
        ("paid_out", out(500), None),
        ("paid_out", out(0), Some("amount_not_positive")),
    ];
    let commands = || -> Vec<Value> {
        let sent = |(n, (action, payload, _)): (usize, &(&str, Value, Option<&str>))| {
            envelope(STORE, "r-1", &format!("k{n}"), action, payload.clone())
        };
        script.iter().enumerate().map(sent).collect()
    };
    // Sent twice it is recorded once.
    for _ in 0..2 {
        let (outcomes, _) = batch::run(&shop.ports, &operator(), commands(), jiff::Timestamp::MAX).await;
        for ((action, _, expected), (_, outcome)) in script.iter().zip(&outcomes) {
            let code = outcome.as_ref().err().and_then(Error::code);
            assert_eq!(code, *expected, "{action}");
        }
    }
    let now = send(&shop, "x", "get_x_report", json!({"shift_id": "sh"})).await.report.unwrap();
    assert_eq!((now.cash_expected.amount, now.paid_out.amount), (-400, 500));
    // Who is asked now can still say no.
    let online = shop.command("online", "paid_out", out(1)).await.unwrap_err();
    assert_eq!(online.code(), Some("drawer_short"));
    let z = send(&shop, "z", "close_till", json!({"shift_id": "sh", "counted": gbp(30)})).await;
    let z = z.report.unwrap();
    assert_eq!((z.cash_expected.amount, z.paid_out.amount), (-400, 500));
    assert_eq!(z.cash_difference.unwrap().amount, 430, "as much as the sale brought that is not there");
}

#[tokio::test]
async fn a_full_shift_can_still_be_closed() {
    let (shop, _) = shop().await;
    send(&shop, "o", "open_till", json!({"shift_id": "sh"})).await;
    for n in 0..MOVEMENTS_MAX {
        send(&shop, &format!("n{n}"), "no_sale", json!({"shift_id": "sh"})).await;
    }
    let one_more = shop.command("n", "no_sale", json!({"shift_id": "sh"})).await.unwrap_err();
    assert_eq!(one_more.code(), Some("too_many_movements"));
    assert!(shop.command("n7", "no_sale", json!({"shift_id": "sh"})).await.unwrap().replayed);
    send(&shop, "z", "close_till", json!({"shift_id": "sh", "counted": gbp(0)})).await;
}

/// The longest of everything, in characters of four bytes that do not deflate.
#[tokio::test]
async fn the_largest_shift_fits_an_item() {
    let (shop, _) = shop().await;
    send(&shop, "o", "open_till", json!({"shift_id": "sh"})).await;
    let mut state = 1_u32;
    let mut text = || -> String {
        let next = |_| {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            char::from_u32(0x1_0000 + (state >> 8) % 0x8_0000).unwrap_or('x')
        };
        (0..200).map(next).collect()
    };
    for n in 0..MOVEMENTS_MAX {
        let value = |k: usize| gbp(100_000 + i64::try_from(n * 40 + k).unwrap() * 101);
        let kinds: Vec<Value> = (0..40).map(|k| json!({"value": value(k), "count": 1_000 + k})).collect();
        let count = json!({"shift_id": "sh", "reason": text(), "denominations": kinds});
        send(&shop, &format!("n{n}"), "cash_count", count).await;
    }
    let end = json!({"shift_id": "sh", "reason": text(), "counted": gbp(0)});
    send(&shop, "z", "close_till", end).await;
    let item = shift_item(&shop.scope, &stored(&shop, "sh").await).unwrap();
    let bytes = item.bytes("movements").unwrap().len() + item.bytes("keys").unwrap().len();
    assert!((150_000..380_000).contains(&bytes), "{bytes} bytes");
}

/// A lane from before shifts were known has none of their figures.
#[tokio::test]
async fn a_lane_from_before_shifts_begins_to_count() {
    let (shop, _) = shop().await;
    let old = Item::new(&shop.scope.lane(STORE, "r-1"))
        .with("last", 41)
        .with("epoch", 0)
        .with("store_id", STORE)
        .with("register_id", "r-1")
        .with("sales", 40)
        .with("sales_total", 123_456)
        .with("returns", 1)
        .with("returns_total", 500)
        .with("cash_total", 77_000);
    let put = Write::Put { table: Table::Orders, item: old, condition: None };
    shop.ports.database.write(put).await.unwrap();
    send(&shop, "o", "open_till", json!({"shift_id": "sh", "amount": gbp(100)})).await;
    sell(&shop, "c-1", 1, &[("cash", 300, 5)]).await;
    let z = send(&shop, "z", "close_till", json!({"shift_id": "sh", "counted": gbp(360)})).await;
    let report = z.report.unwrap();
    assert_eq!((report.first_receipt, report.last_receipt), (Some(42), Some(42)));
    assert_eq!((report.sales_count, report.sales_total.amount), (1, 255));
    assert_eq!((report.cash_expected.amount, report.cash_difference.unwrap().amount), (360, 0));
    assert_eq!(lane(&shop, "r-1").await.number("cash_total").unwrap(), 77_255);
}

/// Whatever was altered behind a report, the orders tell.
#[tokio::test]
async fn a_report_that_is_not_the_sum_of_its_orders_is_found() {
    let (shop, database) = shop().await;
    send(&shop, "o", "open_till", json!({"shift_id": "sh"})).await;
    sell(&shop, "c-1", 1, &[("cash", 300, 5)]).await;
    sell(&shop, "c-2", 2, &[("card", 510, 0)]).await;
    let proved = proof::of_shift(&shop.ports, &operator(), "sh").await.unwrap();
    assert!(proved.proved && proved.orders == 2, "{proved:?}");
    let key = shop.scope.lane(STORE, "r-1");
    let changes = vec![Change::Add("card_paid", 1), Change::Add("tips", -5)];
    database.write(Write::Update { table: Table::Orders, key, changes, condition: None }).await.unwrap();
    // Nothing of it is in the way of closing.
    send(&shop, "z", "close_till", json!({"shift_id": "sh", "counted": gbp(0)})).await;
    let wrong = proof::of_shift(&shop.ports, &operator(), "sh").await.unwrap();
    let named: Vec<_> = wrong.differences.iter().map(|d| (d.figure.as_str(), d.shift, d.orders)).collect();
    assert_eq!(named, [("tips", 0, 5), ("tenders.card.payments", 511, 510)]);
    assert!(!wrong.proved && wrong.missing.is_empty());
    let delete = Write::Delete { table: Table::Orders, key: shop.scope.cart("c-1"), condition: None };
    database.write(delete).await.unwrap();
    let lost = proof::of_shift(&shop.ports, &operator(), "sh").await.unwrap();
    assert_eq!((lost.missing, lost.orders, lost.proved), (vec![1], 1, false));
}
