//! Exchanges: what comes back pays for what goes out, both become final at once, and only the difference is
//! paid or refunded.

mod asked_totals;
mod many;
mod offline;
mod refusals;

use std::sync::Arc;

use serde_json::{Value, json};
use tillstream_app::aggregation::event::fact_of;
use tillstream_app::capacity::{CapacityMeter, Operation};
use tillstream_app::database::{Consistency, Get, Item, Table, Write};
use tillstream_app::documents::{Format, read as documents};
use tillstream_app::environment::Environment;
use tillstream_app::facts::sale_event;
use tillstream_app::orders::read;
use tillstream_app::pos::cart_item::cart_of;
use tillstream_app::pos::execute::Answered;
use tillstream_app::pos::till::proof;
use tillstream_app::stock::ledger::{self, LedgerRow};
use tillstream_app::stock::split::{make_whole, split};
use tillstream_app::tenancy::Role;
use tillstream_app::tenant_rules::settings_item;
use tillstream_app::{Error, Result};
use tillstream_contracts::orders::OrderView;
use tillstream_domain::aggregates::{Dimension, HourPage, Metrics};
use tillstream_domain::money::Currency;
use tillstream_domain::tenant_settings::TenantSettings;
use tillstream_testkit::memory_database::MemoryDatabase;
use tillstream_testkit::shop::{STORE, Shop, caller};
use tillstream_testkit::test_environment::TestEnvironment;

/// What is sold here, and for how many pence.
const GOODS: [(&str, i64); 5] = [("A", 1_000), ("B", 1_500), ("C", 400), ("D", 1_000), ("ODD", 333)];

fn gbp(amount: i64) -> Value {
    json!({"amount": amount, "currency": "GBP"})
}

fn price(sku: &str) -> i64 {
    GOODS.iter().find(|(known, _)| *known == sku).unwrap().1
}

async fn shop_in(environment: Arc<dyn Environment>) -> (Shop, Arc<MemoryDatabase>) {
    let database = Arc::new(MemoryDatabase::with_environment(environment.clone()));
    let shop = Shop::open(database.clone(), environment).await.unwrap();
    for (sku, pence) in GOODS {
        shop.product(STORE, sku, &format!("{}.{:02}", pence / 100, pence % 100), 100).await.unwrap();
    }
    (shop, database)
}

async fn shop() -> (Shop, Arc<MemoryDatabase>) {
    shop_in(Arc::new(TestEnvironment::new(7))).await
}

/// With real concurrency.
async fn busy_shop(seed: u64) -> (Shop, Arc<MemoryDatabase>) {
    shop_in(Arc::new(TestEnvironment::real(seed))).await
}

async fn set(shop: &Shop, settings: TenantSettings) {
    let item = settings_item(&shop.scope, &settings).unwrap();
    shop.ports.database.write(Write::Put { table: Table::Catalog, item, condition: None }).await.unwrap();
}

async fn in_coins_of_five(shop: &Shop) {
    let mut settings = TenantSettings::default();
    settings.pricing.cash_increment = 5;
    set(shop, settings).await;
}

/// A final sale, paid by card.
async fn sold(shop: &Shop, id: &str, lines: &[(&str, i64)]) {
    shop.ready("r-1", id, lines).await.unwrap();
    shop.finalize("r-1", id).await.unwrap();
}

/// An open return of lines of a sale (line, pieces, disposition).
async fn returning(shop: &Shop, register: &str, id: &str, sale: &str, lines: &[(&str, i64, &str)]) -> i64 {
    let start = json!({"return_id": id, "original_order_id": sale, "reason": "too small"});
    shop.at(register, &format!("{id}-start"), "start_return", start).await.unwrap();
    let mut worth = 0;
    for (n, (line, pieces, disposition)) in lines.iter().enumerate() {
        let line = json!({"return_id": id, "line_id": line, "quantity": pieces, "disposition": disposition});
        let done = shop.at(register, &format!("{id}-line-{n}"), "return_line_item", line).await.unwrap();
        worth = done.reply.cart.unwrap().totals.total.amount;
    }
    worth
}

/// A blind return (SKU, pieces).
async fn returning_blind(shop: &Shop, register: &str, id: &str, lines: &[(&str, i64)]) {
    let start = json!({"return_id": id, "reason": "no receipt"});
    shop.at(register, &format!("{id}-start"), "start_return", start).await.unwrap();
    for (n, (sku, pieces)) in lines.iter().enumerate() {
        let pence = price(sku);
        let unit_price = format!("{}.{:02}", pence / 100, pence % 100);
        let line = json!({"return_id": id, "sku": sku, "quantity": pieces, "unit_price": unit_price,
            "disposition": "restock"});
        shop.at(register, &format!("{id}-line-{n}"), "return_line_item", line).await.unwrap();
    }
}

/// A sale that is tendering and not paid.
async fn tendering(shop: &Shop, register: &str, id: &str, lines: &[(&str, i64)]) {
    shop.at(register, &format!("{id}-open"), "create_cart", json!({"cart_id": id})).await.unwrap();
    for (n, (sku, pieces)) in lines.iter().enumerate() {
        let line = json!({"cart_id": id, "sku": sku, "quantity": pieces});
        shop.at(register, &format!("{id}-line-{n}"), "add_line_item", line).await.unwrap();
    }
    shop.at(register, &format!("{id}-tender"), "set_tendering", json!({"cart_id": id})).await.unwrap();
}

async fn pay(shop: &Shop, register: &str, id: &str, tender: &str, amount: i64) -> Result<Answered> {
    let payment = json!({"cart_id": id, "tender": tender, "amount": gbp(amount)});
    shop.at(register, &format!("{id}-pay-{tender}-{amount}"), "add_payment", payment).await
}

async fn refund(shop: &Shop, register: &str, id: &str, tender: &str, amount: i64) -> Result<Answered> {
    let refund = json!({"return_id": id, "tender": tender, "amount": gbp(amount)});
    shop.at(register, &format!("{id}-refund-{tender}-{amount}"), "refund_tender", refund).await
}

async fn exchange(shop: &Shop, register: &str, back: &str, sale: &str) -> Result<Answered> {
    let payload = json!({"return_id": back, "cart_id": sale});
    shop.at(register, &format!("{back}-for-{sale}"), "finalize_exchange", payload).await
}

fn result(answered: &Answered) -> Value {
    serde_json::to_value(&answered.reply.result).unwrap()
}

/// Tender, amount and change of each payment.
fn paid(order: &OrderView) -> Vec<(&str, i64, i64)> {
    order.payments.iter().map(|p| (p.tender.as_str(), p.amount.amount, p.change.amount)).collect()
}

async fn order(shop: &Shop, id: &str) -> OrderView {
    read::get(&shop.ports, &caller("demo", &[Role::Operator]), id).await.unwrap()
}

async fn item(shop: &Shop, id: &str) -> Item {
    let get = Get { table: Table::Orders, key: shop.scope.cart(id), consistency: Consistency::Strong };
    shop.ports.database.get(get).await.unwrap().unwrap()
}

/// Pieces on hand, by SKU.
async fn on_hand<const N: usize>(shop: &Shop, skus: [&str; N]) -> [i64; N] {
    let mut pieces = [0; N];
    for (at, sku) in skus.into_iter().enumerate() {
        pieces[at] = shop.counters(STORE, sku).await.unwrap().on_hand / 1_000;
    }
    pieces
}

fn lane(database: &MemoryDatabase) -> Item {
    let items = database.items(Table::Orders);
    items.into_iter().find(|item| item.opt_text("sk") == Some("lane")).unwrap()
}

fn snapshot(database: &MemoryDatabase) -> Vec<Item> {
    Table::ALL.into_iter().flat_map(|table| database.items(table)).collect()
}

#[tokio::test]
async fn a_dearer_thing_costs_the_difference() {
    let meter = Arc::new(CapacityMeter::default());
    let environment = Arc::new(TestEnvironment::new(7));
    let database = MemoryDatabase::with_environment(environment.clone()).observed_by(meter.clone());
    let database = Arc::new(database);
    let shop = Shop::open(database.clone(), environment).await.unwrap();
    shop.product(STORE, "A", "10", 100).await.unwrap();
    shop.product(STORE, "B", "15", 100).await.unwrap();
    sold(&shop, "first", &[("A", 2)]).await;
    returning(&shop, "r-1", "back", "first", &[("l-1", 1, "restock")]).await;
    tendering(&shop, "r-1", "new", &[("B", 1)]).await;
    pay(&shop, "r-1", "new", "card", 500).await.unwrap();
    meter.take();
    let answered = exchange(&shop, "r-1", "back", "new").await.unwrap();
    let calls = meter.take().calls;
    let expected =
        [(Operation::GetMany, 1), (Operation::Get, 1), (Operation::Query, 1), (Operation::Transact, 1)];
    assert_eq!(calls, expected.into(), "carts and lane, what came back, of which lots, and one transaction");
    let documents = [
        "new.receipt",
        "new.gift_receipt",
        "new.merchant_copy",
        "new.kitchen_chit",
        "back.return_receipt",
        "back.merchant_copy",
    ];
    assert_eq!(
        result(&answered),
        json!({"order_id": "new", "receipt_number": 3, "return_order_id": "back",
            "return_receipt_number": 2, "change": gbp(0), "document_ids": documents})
    );
    assert_eq!(answered.reply.consistency_token.as_deref(), Some("s-1/r-1:3"));
    assert_eq!(answered.reply.cart.as_ref().unwrap().state, "finalized");
    assert_eq!(on_hand(&shop, ["A", "B"]).await, [99, 99]);

    let (new, back, first) =
        (order(&shop, "new").await, order(&shop, "back").await, order(&shop, "first").await);
    assert_eq!(paid(&new), [("exchange", 1_000, 0), ("card", 500, 0)]);
    assert_eq!(paid(&back), [("exchange", 1_000, 0)]);
    assert_eq!((new.receipt_number, back.receipt_number), (3, 2));
    assert_eq!((new.status.as_str(), back.status.as_str()), ("completed", "returned"));
    assert_eq!(new.exchange.unwrap().return_order_id.as_deref(), Some("back"));
    assert_eq!(back.exchange.unwrap().sale_order_id.as_deref(), Some("new"));
    assert_eq!(first.exchange, None);
    let refunds: Vec<_> = first.refunds.iter().map(|r| (r.tender.as_str(), r.amount.amount)).collect();
    assert_eq!(refunds, [("exchange", 1_000)]);

    let lane = lane(&database);
    let names = ["last", "sales", "sales_total", "returns", "returns_total", "cash_total"];
    assert_eq!(names.map(|name| lane.number(name).unwrap()), [3, 2, 3_500, 1, 1_000, 0]);
    let names = ["exchange_payments", "exchange_paid", "exchange_refunds", "exchange_refunded"];
    assert_eq!(names.map(|name| lane.number(name).unwrap()), [1, 1_000, 1, 1_000]);

    // Receipts print what the return paid.
    let who = caller("demo", &[Role::Cashier]);
    for (id, part) in [("new.receipt", "Exchange"), ("back.return_receipt", "Exchange")] {
        let rendered = documents::get(&shop.ports, &who, id, Format::Text, false).await.unwrap();
        let text = String::from_utf8(rendered.document.bytes).unwrap();
        let line = text.lines().find(|line| line.contains(part)).unwrap_or_else(|| panic!("{id}:\n{text}"));
        assert!(line.contains("10.00"), "{line}");
    }
}

/// Analysts see a sale and a return; as a payment method an exchange comes to nothing over both.
#[tokio::test]
async fn an_exchange_is_a_sale_and_a_return_to_analysts() {
    let (shop, _) = shop().await;
    sold(&shop, "first", &[("B", 1)]).await;
    returning(&shop, "r-1", "back", "first", &[("l-1", 1, "restock")]).await;
    tendering(&shop, "r-1", "new", &[("A", 1)]).await;
    refund(&shop, "r-1", "back", "card", 500).await.unwrap();
    exchange(&shop, "r-1", "back", "new").await.unwrap();
    let mut page = HourPage::default();
    for id in ["back", "new"] {
        let event = sale_event(&shop.scope, &cart_of(&item(&shop, id).await).unwrap()).unwrap();
        assert!(page.fold(&fact_of(event).unwrap()));
    }
    let figures = &page.figures[&Currency::GBP];
    let net = |metrics: &Metrics| metrics.gross - metrics.discounts - metrics.returns;
    let methods = figures.groups(Dimension::PaymentMethod);
    let of = |name: &str| methods.get(name).map(net);
    assert_eq!((of("exchange"), of("card")), (Some(0), Some(-500)));
    let of_exchange = &methods["exchange"];
    assert_eq!((of_exchange.gross, of_exchange.returns), (1_000, 1_000));
}

#[tokio::test]
async fn a_thing_of_the_same_worth_costs_nothing() {
    let (shop, database) = shop().await;
    returning_blind(&shop, "r-1", "back", &[("A", 1)]).await;
    tendering(&shop, "r-1", "new", &[("D", 1)]).await;
    exchange(&shop, "r-1", "back", "new").await.unwrap();
    assert_eq!(paid(&order(&shop, "new").await), [("exchange", 1_000, 0)]);
    assert_eq!(on_hand(&shop, ["A", "D"]).await, [101, 99]);
    // The first numbers of a register.
    assert_eq!(lane(&database).number("last").unwrap(), 2);
}

#[tokio::test]
async fn a_cheaper_thing_gives_the_rest_back() {
    let (shop, _) = shop().await;
    sold(&shop, "first", &[("B", 1)]).await;
    returning(&shop, "r-1", "back", "first", &[("l-1", 1, "damaged")]).await;
    tendering(&shop, "r-1", "new", &[("C", 2)]).await;
    // The sale was paid by card: the rest of it goes there.
    assert_eq!(
        refund(&shop, "r-1", "back", "cash", 700).await.unwrap_err().code(),
        Some("refund_above_paid")
    );
    refund(&shop, "r-1", "back", "card", 700).await.unwrap();
    exchange(&shop, "r-1", "back", "new").await.unwrap();
    assert_eq!(paid(&order(&shop, "back").await), [("exchange", 800, 0), ("card", 700, 0)]);
    assert_eq!(paid(&order(&shop, "new").await), [("exchange", 800, 0)]);
    let b = shop.counters(STORE, "B").await.unwrap();
    assert_eq!((b.on_hand, b.damaged), (99_000, 1_000));
    // All of it came back: no more does.
    let again = json!({"return_id": "more", "original_order_id": "first", "reason": "x"});
    shop.command("more", "start_return", again).await.unwrap();
    let line = json!({"return_id": "more", "line_id": "l-1", "quantity": 1, "disposition": "none"});
    let above = shop.command("more-line", "return_line_item", line).await.unwrap_err();
    assert_eq!(above.code(), Some("return_above_sold"));
}

/// One product of which some comes back and some goes out is one change of stock, and what just came back
/// may be sold.
#[tokio::test]
async fn what_comes_back_and_goes_out_is_one_movement() {
    let (shop, database) = shop().await;
    shop.product(STORE, "LAST", "10", 3).await.unwrap();
    sold(&shop, "first", &[("LAST", 3), ("A", 2)]).await;
    let before = shop.counters(STORE, "LAST").await.unwrap();
    assert_eq!((before.on_hand, before.seq), (0, 2));
    // (pieces back on the shelf, damaged, out): on hand, damaged, kind of the movement
    for (n, (back, damaged, out, on_hand, aside)) in
        [(1, 0, 1, 0, 0), (1, 1, 1, 0, 1)].into_iter().enumerate()
    {
        let (id, new) = (format!("back-{n}"), format!("new-{n}"));
        let mut lines = vec![("l-1", back, "restock")];
        lines.extend((damaged > 0).then_some(("l-1", damaged, "damaged")));
        let worth = returning(&shop, "r-1", &id, "first", &lines).await;
        tendering(&shop, "r-1", &new, &[("LAST", out)]).await;
        if worth > 1_000 {
            refund(&shop, "r-1", &id, "card", worth - 1_000).await.unwrap();
        }
        exchange(&shop, "r-1", &id, &new).await.unwrap();
        let after = shop.counters(STORE, "LAST").await.unwrap();
        let seq = 3 + i64::try_from(n).unwrap();
        assert_eq!((after.on_hand, after.damaged, after.seq), (on_hand * 1_000, aside * 1_000, seq), "{n}");
    }
    let changes = database.changes(Table::Stock, 0);
    let rows = changes.iter().filter_map(|c| ledger::ledger_rows(c.old.as_ref(), c.new.as_ref()).unwrap());
    let rows: Vec<LedgerRow> = rows.map(|row| LedgerRow::of(&row).unwrap()).collect();
    let told: Vec<_> =
        rows.iter().filter(|row| row.kind == "exchange").map(|row| row.reference.as_str()).collect();
    assert_eq!(told, ["new-0", "new-1"]);
}

/// Split stock: what only goes out is taken from a part, what does both is merged first.
#[tokio::test]
async fn split_stock_is_exchanged_too() {
    let (shop, _) = shop().await;
    sold(&shop, "first", &[("A", 4), ("B", 1)]).await;
    for sku in ["A", "B", "C"] {
        split(&shop.ports, &shop.scope, STORE, sku, 8).await.unwrap();
    }
    returning(
        &shop,
        "r-1",
        "back",
        "first",
        &[("l-1", 2, "restock"), ("l-1", 1, "damaged"), ("l-2", 1, "restock")],
    )
    .await;
    tendering(&shop, "r-1", "new", &[("A", 3), ("C", 2)]).await;
    refund(&shop, "r-1", "back", "card", 700).await.unwrap();
    exchange(&shop, "r-1", "back", "new").await.unwrap();
    // A was merged to take one more than came back and put one aside in one action.
    let a = shop.counters(STORE, "A").await.unwrap();
    assert_eq!((a.on_hand, a.damaged, a.layout), (95_000, 1_000, 0));
    for sku in ["B", "C"] {
        assert_ne!(shop.counters(STORE, sku).await.unwrap().layout, 0, "{sku} is split still");
        make_whole(&shop.ports, &shop.scope, STORE, sku).await.unwrap();
    }
    assert_eq!(on_hand(&shop, ["B", "C"]).await, [100, 98]);
}

/// Only the difference is rounded to coins, and only where it is cash.
#[tokio::test]
async fn the_difference_is_rounded_where_it_is_cash() {
    let (shop, database) = shop().await;
    in_coins_of_five(&shop).await;
    returning_blind(&shop, "r-1", "back-1", &[("ODD", 1)]).await;
    tendering(&shop, "r-1", "new-1", &[("A", 1)]).await;
    // 6.67 are due: 6.65 in coins; 10.00 are handed over.
    let paying = pay(&shop, "r-1", "new-1", "cash", 1_000).await.unwrap();
    assert_eq!(paying.reply.result.change.unwrap().amount, 0, "nobody told of the exchange yet");
    let done = exchange(&shop, "r-1", "back-1", "new-1").await.unwrap();
    assert_eq!(done.reply.result.change.unwrap().amount, 335);
    let new = order(&shop, "new-1").await;
    assert_eq!(paid(&new), [("exchange", 333, 0), ("cash", 1_000, 335)]);
    assert_eq!((new.totals.cash_rounding.amount, new.totals.due.amount), (-2, 0));
    assert_eq!(lane(&database).number("cash_total").unwrap(), 665);

    returning_blind(&shop, "r-1", "back-2", &[("A", 1)]).await;
    tendering(&shop, "r-1", "new-2", &[("ODD", 1)]).await;
    refund(&shop, "r-1", "back-2", "cash", 665).await.unwrap();
    exchange(&shop, "r-1", "back-2", "new-2").await.unwrap();
    let back = order(&shop, "back-2").await;
    assert_eq!((back.totals.cash_rounding.amount, back.totals.due.amount), (-2, 0));
    assert_eq!(lane(&database).number("cash_total").unwrap(), 0);
}

#[tokio::test]
async fn a_shift_with_exchanges_is_proved() {
    let (shop, _) = shop().await;
    sold(&shop, "first", &[("A", 3)]).await;
    shop.command("open", "open_till", json!({"shift_id": "sh", "amount": gbp(5_000)})).await.unwrap();
    returning(&shop, "r-1", "back-1", "first", &[("l-1", 1, "restock")]).await;
    tendering(&shop, "r-1", "new-1", &[("B", 1)]).await;
    pay(&shop, "r-1", "new-1", "cash", 2_000).await.unwrap();
    let done = exchange(&shop, "r-1", "back-1", "new-1").await.unwrap();
    assert_eq!(done.reply.result.change.unwrap().amount, 1_000, "500 were told when it was paid");
    returning_blind(&shop, "r-1", "back-2", &[("B", 1)]).await;
    tendering(&shop, "r-1", "new-2", &[("C", 1)]).await;
    refund(&shop, "r-1", "back-2", "cash", 1_100).await.unwrap();
    exchange(&shop, "r-1", "back-2", "new-2").await.unwrap();
    let x = shop.command("x", "get_x_report", json!({"shift_id": "sh"})).await.unwrap();
    let x = x.reply.result.shift.unwrap().report.unwrap();
    assert_eq!(x.cash_expected.amount, 5_000 + 500 - 1_100);
    assert_eq!((x.first_receipt, x.last_receipt), (Some(2), Some(5)));
    assert_eq!((x.sales_count, x.sales_total.amount), (2, 1_900));
    assert_eq!((x.returns_count, x.returns_total.amount), (2, 2_500));
    let by = x.tenders.iter().find(|by| by.tender == "exchange").unwrap();
    assert_eq!((by.payments_count, by.payments.amount), (2, 1_400));
    assert_eq!((by.refunds_count, by.refunds.amount), (2, 1_400));
    let closed = json!({"shift_id": "sh", "counted": gbp(4_400)});
    let z = shop.command("z", "close_till", closed).await.unwrap().reply.result.shift.unwrap();
    assert_eq!(z.report.unwrap().cash_difference.unwrap().amount, 0);
    let proved = proof::of_shift(&shop.ports, &caller("demo", &[Role::Operator]), "sh").await.unwrap();
    assert!(proved.proved && proved.orders == 4, "{proved:?}");
}

/// What an exchange paid has no tender to go back to: it goes to any, once.
#[tokio::test]
async fn what_was_exchanged_comes_back_for_money() {
    let (shop, _) = shop().await;
    returning_blind(&shop, "r-1", "back", &[("A", 1)]).await;
    tendering(&shop, "r-1", "new", &[("B", 2)]).await;
    pay(&shop, "r-1", "new", "card", 2_000).await.unwrap();
    exchange(&shop, "r-1", "back", "new").await.unwrap();
    // 10.00 of the 30.00 were paid by the exchange.
    returning(&shop, "r-1", "again", "new", &[("l-1", 1, "restock")]).await;
    let above = refund(&shop, "r-1", "again", "cash", 1_001).await.unwrap_err();
    assert_eq!(above.code(), Some("refund_above_paid"));
    refund(&shop, "r-1", "again", "cash", 600).await.unwrap();
    refund(&shop, "r-1", "again", "voucher", 400).await.unwrap();
    let above = refund(&shop, "r-1", "again", "cash", 1).await.unwrap_err();
    assert_eq!(above.code(), Some("refund_above_paid"));
    refund(&shop, "r-1", "again", "card", 500).await.unwrap();
    shop.command("again-final", "finalize_return", json!({"return_id": "again"})).await.unwrap();
    // Another register begins with what is left: 15.00 on the card.
    returning(&shop, "r-2", "rest", "new", &[("l-1", 1, "restock")]).await;
    let above = refund(&shop, "r-2", "rest", "cash", 1).await.unwrap_err();
    assert_eq!(above.code(), Some("refund_above_paid"));
    refund(&shop, "r-2", "rest", "card", 1_500).await.unwrap();
    shop.at("r-2", "rest-final", "finalize_return", json!({"return_id": "rest"})).await.unwrap();
    assert_eq!(on_hand(&shop, ["A", "B"]).await, [101, 100]);
}

/// An exchange of what was exchanged: the goods pay with what they are worth.
#[tokio::test]
async fn what_was_exchanged_is_exchanged_again() {
    let (shop, _) = shop().await;
    sold(&shop, "first", &[("A", 1)]).await;
    for n in 1..=5 {
        let (back, new) = (format!("back-{n}"), format!("new-{n}"));
        let sale = if n == 1 { "first".to_owned() } else { format!("new-{}", n - 1) };
        returning(&shop, "r-1", &back, &sale, &[("l-1", 1, "restock")]).await;
        tendering(&shop, "r-1", &new, &[(["A", "D"][n % 2], 1)]).await;
        exchange(&shop, "r-1", &back, &new).await.unwrap();
    }
    returning(&shop, "r-1", "end", "new-5", &[("l-1", 1, "restock")]).await;
    refund(&shop, "r-1", "end", "cash", 1_000).await.unwrap();
    shop.command("end", "finalize_return", json!({"return_id": "end"})).await.unwrap();
    assert_eq!(on_hand(&shop, ["A", "D"]).await, [100, 100]);
}

fn refusal(answer: Result<Answered>) -> tillstream_app::Refusal {
    match answer {
        Err(Error::Rejected(refusal)) => *refusal,
        Err(error) => panic!("{error}"),
        Ok(answered) => panic!("{:?}", answered.reply),
    }
}
