//! Carts at their bounds: what was taken into one can be tendered, paid and made final.

use std::sync::Arc;

use serde_json::{Value, json};
use tillstream_app::database::{Consistency, Get, Item, Table, Write};
use tillstream_app::environment::Environment;
use tillstream_app::orders::place::place;
use tillstream_app::orders::record::record;
use tillstream_app::pos::cart_item::{cart_item, cart_of};
use tillstream_app::pos::cart_write::Executed;
use tillstream_app::pos::identity::command_identity;
use tillstream_app::tenancy::Role;
use tillstream_app::{Error, Result};
use tillstream_domain::cart::{
    COMMANDS_MAX, Cart, CartState, ENCODED_BYTES_MAX, LineTerms, Outcome, PAYMENTS_MAX,
};
use tillstream_domain::pricing::{MODIFIERS_PER_LINE_MAX, Modifier};
use tillstream_testkit::memory_database::MemoryDatabase;
use tillstream_testkit::shop::{STORE, Shop, caller};
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

/// Most lines with which a cart can be stored, of fewer than `too_many`.
fn most_lines(shop: &Shop, mut too_many: usize, of_lines: impl Fn(usize) -> Cart) -> usize {
    let mut fits = 1;
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
    fits
}

/// Notes that do not deflate, and notes that deflate to nothing: the one cart is as large as an item may be, the
/// other as what is inflated from it.
#[tokio::test]
async fn what_was_taken_into_a_cart_can_be_paid_and_made_final() {
    let chance = TestEnvironment::new(8);
    let noise: Vec<String> = (0..1_500).map(|_| noise(&chance, 500)).collect();
    let bytes = pay_the_largest(&noise).await;
    assert!((ENCODED_BYTES_MAX - 1_000..=ENCODED_BYTES_MAX).contains(&bytes), "{bytes} bytes");
    let bytes = pay_the_largest(&vec!["\u{1f6d2}".repeat(500); 4_900]).await;
    assert!(bytes < ENCODED_BYTES_MAX / 2, "{bytes} bytes");
}

/// Takes as many lines with these notes into a cart as it takes, pays it with as many payments as it takes and
/// makes it final. Answers the bytes that it had before.
async fn pay_the_largest(notes: &[String]) -> usize {
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
    let fits = most_lines(&shop, notes.len(), of_lines);
    let item = cart_item(&shop.scope, &of_lines(fits)).unwrap();
    let bytes = bytes_of(&item);
    shop.ports.database.write(Write::Put { table: Table::Orders, item, condition: None }).await.unwrap();

    let refused = shop.command("more", "add_line_item", line(&notes[fits])).await.unwrap_err();
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
    assert!(bytes_of(&item) < ITEM_BYTES_MAX);
    assert_eq!(cart_of(&item).unwrap().lines.len(), fits + 1);
    bytes
}

/// The longest wish in words, of characters that take the most bytes.
fn wish() -> String {
    "\u{1f6d2}".repeat(100)
}

/// The wishes of a line that has as many as a line takes: 20 KB that deflate to nothing.
fn wishes() -> Vec<Value> {
    vec![json!({"name": wish()}); MODIFIERS_PER_LINE_MAX]
}

/// What lines are sold with inflates to no more than is read again, as their notes do.
#[tokio::test]
async fn a_line_with_many_wishes_is_refused_where_there_is_no_room_for_them() {
    let environment = Arc::new(TestEnvironment::new(7));
    let database = Arc::new(MemoryDatabase::with_environment(environment.clone()));
    let shop = Shop::open(database, environment).await.unwrap();
    shop.product(STORE, "A", "1.00", 10_000).await.unwrap();
    shop.command("open", "create_cart", json!({"cart_id": "c"})).await.unwrap();
    let line = json!({"cart_id": "c", "sku": "A", "quantity": 1, "modifiers": wishes()});
    shop.command("first", "add_line_item", line.clone()).await.unwrap();
    let get = Get { table: Table::Orders, key: shop.scope.cart("c"), consistency: Consistency::Strong };
    let small: Cart = cart_of(&shop.ports.database.get(get.clone()).await.unwrap().unwrap()).unwrap();
    let of_lines = |count: usize| {
        let mut cart = small.clone();
        let modifiers = vec![Modifier { name: wish(), ten_thousandths: 0 }; MODIFIERS_PER_LINE_MAX];
        for number in 2..=u32::try_from(count).unwrap() {
            let mut line = small.lines[0].clone();
            line.number = number;
            cart.lines.push(line);
            cart.numbers_used.lines = number;
            let terms = LineTerms { modifiers: modifiers.clone(), ..LineTerms::default() };
            cart.terms.lines.insert(number, terms);
        }
        cart
    };
    let fits = most_lines(&shop, 500, of_lines);
    assert!((400..420).contains(&fits), "{fits} lines");
    let item = cart_item(&shop.scope, &of_lines(fits)).unwrap();
    shop.ports.database.write(Write::Put { table: Table::Orders, item, condition: None }).await.unwrap();
    let refused = shop.command("more", "add_line_item", line).await.unwrap_err();
    assert_eq!(refused.code(), Some("cart_too_large"));
    let plain = json!({"cart_id": "c", "sku": "A", "quantity": 1});
    shop.command("plain", "add_line_item", plain).await.unwrap();
    let stored = cart_of(&shop.ports.database.get(get).await.unwrap().unwrap()).unwrap();
    assert_eq!(stored.lines.len(), fits + 1);
}

/// The two ways by which a whole sale comes from elsewhere.
#[derive(Debug, Clone, Copy)]
enum Way {
    Placed,
    Recorded,
}

impl Way {
    async fn send(self, shop: &Shop, lines: &[Value]) -> Result<Executed> {
        let mut order = json!({"order_id": "o", "store_id": STORE, "channel": "web", "lines": lines});
        let who = caller("demo", &[Role::Integration]);
        match self {
            Way::Placed => place(&shop.ports, &who, "k", serde_json::from_value(order).unwrap()).await,
            Way::Recorded => {
                order["occurred_at"] = shop.ports.environment.now().to_string().into();
                record(&shop.ports, &who, "k", serde_json::from_value(order).unwrap()).await
            }
        }
    }
}

/// An order is written when it is tendering or final, never while it is open: it is bounded as a till's cart all the
/// same, of one product or of more than one transaction takes.
#[tokio::test]
async fn an_order_from_elsewhere_is_as_large_as_a_cart_may_be_and_no_larger() {
    let chance = TestEnvironment::new(9);
    let notes: Vec<String> = (0..2_000).map(|_| noise(&chance, 500)).collect();
    for (way, skus) in [(Way::Placed, 1), (Way::Placed, 110), (Way::Recorded, 1), (Way::Recorded, 110)] {
        let environment = Arc::new(TestEnvironment::new(7));
        let database = Arc::new(MemoryDatabase::with_environment(environment.clone()));
        let shop = Shop::open(database.clone(), environment).await.unwrap();
        for n in 0..skus {
            shop.product(STORE, &format!("A{n}"), "1.00", 10_000).await.unwrap();
        }
        let lines: Vec<Value> = notes
            .iter()
            .enumerate()
            .map(|(n, notes)| json!({"sku": format!("A{}", n % skus), "quantity": 1, "notes": notes}))
            .collect();
        let before = Table::ALL.map(|table| database.items(table));
        // More than an item takes; what an item takes, but no cart; and wishes that are more than is read again.
        let wished = vec![json!({"sku": "A0", "quantity": 1, "modifiers": wishes()}); 430];
        for refused in [&lines[..], &lines[..1_300], &wished[..]] {
            match way.send(&shop, refused).await {
                Err(Error::Rejected(refusal)) => assert_eq!(refusal.code, "cart_too_large"),
                other => panic!("{way:?} of {} lines: {other:?}", refused.len()),
            }
            assert_eq!(Table::ALL.map(|table| database.items(table)), before, "{way:?}");
        }
        let sold = way.send(&shop, &lines[..500]).await.unwrap();
        assert_eq!((sold.cart.lines.len(), sold.cart.state), (500, CartState::Finalized), "{way:?}");
    }
}

/// A cart that has taken all the commands it takes is tendered and paid, or voided, all the same.
#[tokio::test]
async fn a_cart_full_of_commands_can_be_ended() {
    let environment = Arc::new(TestEnvironment::new(7));
    let database = Arc::new(MemoryDatabase::with_environment(environment.clone()));
    let shop = Shop::open(database, environment).await.unwrap();
    shop.product(STORE, "A", "1.00", 10).await.unwrap();
    for id in ["paid", "voided"] {
        shop.command(&format!("{id}-open"), "create_cart", json!({"cart_id": id})).await.unwrap();
        let line = |key: &str| (format!("{id}-{key}"), json!({"cart_id": id, "sku": "A", "quantity": 1}));
        let (key, first) = line("first");
        shop.command(&key, "add_line_item", first).await.unwrap();
        let get = Get { table: Table::Orders, key: shop.scope.cart(id), consistency: Consistency::Strong };
        let mut cart = cart_of(&shop.ports.database.get(get).await.unwrap().unwrap()).unwrap();
        for n in 2..COMMANDS_MAX {
            let identity = command_identity(&format!("other-{n}"), &[], &json!({}));
            cart.applied.record(&identity, Outcome::Done, 0).unwrap();
        }
        let item = cart_item(&shop.scope, &cart).unwrap();
        shop.ports.database.write(Write::Put { table: Table::Orders, item, condition: None }).await.unwrap();
        let (key, more) = line("more");
        let refused = shop.command(&key, "add_line_item", more).await.unwrap_err();
        assert_eq!(refused.code(), Some("too_many_commands"));
        if id == "voided" {
            shop.command("void", "void_cart", json!({"cart_id": id})).await.unwrap();
            continue;
        }
        shop.command("tender", "set_tendering", json!({"cart_id": id})).await.unwrap();
        let payment = json!({"cart_id": id, "tender": "card", "amount": {"amount": 100, "currency": "GBP"}});
        shop.command("pay", "add_payment", payment).await.unwrap();
        shop.command("end", "finalize_order", json!({"cart_id": id})).await.unwrap();
    }
}
