//! Carts at their bounds: what was taken into one can be tendered, paid and made final.
#![allow(clippy::unwrap_used, missing_docs, reason = "a test that cannot go on fails")]

use std::sync::Arc;

use serde_json::json;
use tillstream_app::database::{Consistency, Get, Item, Table, Write};
use tillstream_app::environment::Environment;
use tillstream_app::pos::cart_item::{cart_item, cart_of};
use tillstream_domain::cart::{Cart, ENCODED_BYTES_MAX, PAYMENTS_MAX};
use tillstream_testkit::memory_database::MemoryDatabase;
use tillstream_testkit::shop::{STORE, Shop};
use tillstream_testkit::test_environment::TestEnvironment;

/// An item of DynamoDB has at most 400 KB.
const ITEM_BYTES_MAX: usize = 400 * 1024;

/// So many letters of sixteen, which hardly deflate to less than half.
fn noise(environment: &TestEnvironment, chars: usize) -> String {
    let letter = |_| char::from(b'a' + u8::try_from(environment.random() % 16).unwrap());
    (0..chars).map(letter).collect()
}

fn bytes_of(item: &Item) -> usize {
    ["body", "keys"].map(|name| item.bytes(name).unwrap().len()).iter().sum()
}

#[tokio::test]
async fn what_was_taken_into_a_cart_can_be_paid_and_made_final() {
    let environment = Arc::new(TestEnvironment::new(7));
    let database = Arc::new(MemoryDatabase::with_environment(environment.clone()));
    let shop = Shop::open(database, environment.clone()).await.unwrap();
    shop.product(STORE, "A", "0.01", 10_000).await.unwrap();
    let line = |notes: &str| json!({"cart_id": "c", "sku": "A", "quantity": 1, "notes": notes});
    shop.command("open", "create_cart", json!({"cart_id": "c"})).await.unwrap();
    shop.command("first", "add_line_item", line("first")).await.unwrap();

    // As large as a cart gets.
    let key = shop.scope.cart("c");
    let get = Get { table: Table::Orders, key, consistency: Consistency::Strong };
    let small: Cart = cart_of(&shop.ports.database.get(get.clone()).await.unwrap().unwrap()).unwrap();
    let notes: Vec<String> = (0..1_500).map(|_| noise(&environment, 500)).collect();
    let of_lines = |count: usize| {
        let mut cart = small.clone();
        for (notes, number) in notes.iter().take(count).zip(2..) {
            let mut line = small.lines[0].clone();
            line.number = number;
            line.notes = Some(notes.clone());
            cart.lines.push(line);
            cart.numbers_used.lines = number;
        }
        cart
    };
    let (mut fits, mut too_many) = (1, notes.len());
    while too_many - fits > 1 {
        let half = usize::midpoint(fits, too_many);
        match cart_item(&shop.scope, &of_lines(half)) {
            Ok(_) => fits = half,
            Err(error) => {
                assert_eq!(error.code(), Some("cart_too_large"));
                too_many = half;
            }
        }
    }
    let item = cart_item(&shop.scope, &of_lines(fits)).unwrap();
    let bytes = bytes_of(&item);
    assert!((ENCODED_BYTES_MAX - 1_000..=ENCODED_BYTES_MAX).contains(&bytes), "{bytes} bytes, {fits} lines");
    shop.ports.database.write(Write::Put { table: Table::Orders, item, condition: None }).await.unwrap();

    let refused = shop.command("more", "add_line_item", line(&noise(&environment, 500))).await.unwrap_err();
    assert_eq!(refused.code(), Some("cart_too_large"));
    shop.command("tender", "set_tendering", json!({"cart_id": "c"})).await.unwrap();
    let total = i64::try_from(fits + 1).unwrap();
    let last = i64::try_from(PAYMENTS_MAX).unwrap() - 1;
    for n in 0..=last {
        let amount = if n == last { total - last } else { 1 };
        let payment = json!({"cart_id": "c", "tender": "card", "external_reference": noise(&environment, 128),
            "amount": {"amount": amount, "currency": "GBP"}});
        shop.command(&noise(&environment, 64), "add_payment", payment).await.unwrap();
    }
    let done = shop.command("end", "finalize_order", json!({"cart_id": "c"})).await.unwrap();
    assert_eq!(done.reply.result.receipt_number, Some(1));
    let item = shop.ports.database.get(get).await.unwrap().unwrap();
    let bytes = bytes_of(&item);
    assert!((ENCODED_BYTES_MAX..ITEM_BYTES_MAX).contains(&bytes), "{bytes} bytes");
    assert_eq!(cart_of(&item).unwrap().lines.len(), fits + 1);
}
