//! Lots at the till: what expires first is sold, nothing past its day, and what comes back goes where it was.

use std::sync::Arc;

use jiff::civil::Date;
use jiff::{Span, Timestamp};
use serde_json::json;
use tillstream_app::database::Table;
use tillstream_app::environment::Environment;
use tillstream_app::pos::execute::execute;
use tillstream_app::relay::{Images, handle};
use tillstream_app::stock::lots::recall::{self, Change};
use tillstream_app::stock::lots::{list, sold};
use tillstream_app::stock::restock::restock;
use tillstream_app::tenancy::Role;
use tillstream_contracts::inventory::RestockRequest;
use tillstream_contracts::lots::{ChangeLotRequest, LotQuery};
use tillstream_domain::product::Product;
use tillstream_domain::quantity::QuantityInput;
use tillstream_testkit::memory_database::MemoryDatabase;
use tillstream_testkit::memory_messaging::{MemoryQueue, MemoryStream};
use tillstream_testkit::shop::{STORE, Shop, caller, envelope};
use tillstream_testkit::test_environment::TestEnvironment;

pub(super) const MILK: &str = "MILK";
const DAY_SECONDS: i64 = 24 * 3_600;

pub(super) struct Dairy {
    pub(super) shop: Shop,
    pub(super) database: Arc<MemoryDatabase>,
    pub(super) environment: Arc<TestEnvironment>,
}

/// Gives the relay what changed of the stock after the change `since`.
pub(super) async fn relay_stock(
    shop: &Shop,
    database: &MemoryDatabase,
    environment: Arc<TestEnvironment>,
    since: u64,
) {
    let changes = database.changes(Table::Stock, since);
    let images: Vec<Images<'_>> =
        changes.iter().map(|change| (change.old.as_ref(), change.new.as_ref())).collect();
    let (stream, queue) = (MemoryStream::new(1, environment.clone()), MemoryQueue::new(environment));
    let failures = handle(&shop.ports, &stream, &queue, &images).await;
    assert!(failures.is_empty(), "{failures:?}");
}

impl Dairy {
    pub(super) async fn new() -> Self {
        Self::within(TestEnvironment::new(3)).await
    }

    pub(super) async fn within(environment: TestEnvironment) -> Self {
        let environment = Arc::new(environment);
        let database = Arc::new(MemoryDatabase::with_environment(environment.clone()));
        let shop = Shop::open(database.clone(), environment.clone()).await.unwrap();
        shop.put_product(&Product { lots: true, ..Shop::plain(MILK, "1.00").unwrap() }).await.unwrap();
        shop.product(STORE, "BREAD", "1.00", 10).await.unwrap();
        Dairy { shop, database, environment }
    }

    /// A day so many days from now, in universal time: the store's is the same but for some hours.
    fn day(&self, days: i64) -> Date {
        let today = self.environment.now().to_zoned(jiff::tz::TimeZone::UTC).date();
        today.checked_add(Span::new().days(days)).unwrap()
    }

    pub(super) async fn receive(&self, lot: &str, days: i64, pieces: i64) {
        let request = RestockRequest {
            location_id: STORE.into(),
            sku: MILK.into(),
            quantity: QuantityInput::Whole(pieces),
            supplier_id: None,
            reference: None,
            reason: None,
            lot: Some(lot.into()),
            expires_on: Some(self.day(days)),
        };
        let who = caller("demo", &[Role::Operator]);
        restock(&self.shop.ports, &who, &format!("in-{lot}"), &request).await.unwrap();
    }

    async fn sell(&self, cart: &str, pieces: i64) -> tillstream_app::Result<()> {
        self.shop.ready("r-1", cart, &[(MILK, pieces), ("BREAD", 1)]).await.unwrap();
        self.shop.finalize("r-1", cart).await.map(drop)
    }

    async fn bring_back(&self, id: &str, order: &str, pieces: i64) {
        self.bring_back_line(id, order, "l-1", pieces).await;
    }

    pub(super) async fn bring_back_line(&self, id: &str, order: &str, line_id: &str, pieces: i64) {
        self.bring_back_line_to(STORE, id, (order, line_id), pieces).await;
    }

    async fn bring_back_to(&self, store: &str, id: &str, order: &str, pieces: i64) {
        self.bring_back_line_to(store, id, (order, "l-1"), pieces).await;
    }

    async fn bring_back_line_to(&self, store: &str, id: &str, (order, line_id): (&str, &str), pieces: i64) {
        let who = caller("demo", &[Role::Operator]);
        let send = async |action: &'static str, payload: serde_json::Value| {
            let sent = envelope(store, "r-1", &format!("{id}-{action}"), action, payload);
            execute(&self.shop.ports, &who, sent).await.unwrap();
        };
        send("start_return", json!({"return_id": id, "original_order_id": order, "reason": "sour"})).await;
        let line = json!({"return_id": id, "line_id": line_id, "quantity": pieces, "disposition": "restock"});
        send("return_line_item", line).await;
        let amount = json!({"amount": pieces * 100, "currency": "GBP"});
        send("refund_tender", json!({"return_id": id, "tender": "card", "amount": amount})).await;
        send("finalize_return", json!({"return_id": id})).await;
    }

    /// Gives the relay all changes of stock there ever were.
    pub(super) async fn relay(&self) {
        relay_stock(&self.shop, &self.database, self.environment.clone(), 0).await;
    }

    pub(super) async fn lots(&self) -> Vec<(Option<String>, QuantityInput, QuantityInput)> {
        let query =
            LotQuery { sku: Some(MILK.into()), location_id: Some(STORE.into()), ..LotQuery::default() };
        let found = list::list(&self.shop.ports, &caller("demo", &[Role::Operator]), &query).await.unwrap();
        found.items.into_iter().map(|lot| (lot.lot_id, lot.on_hand, lot.quarantined)).collect()
    }

    pub(super) async fn recall(&self, lot: &str) {
        let request = ChangeLotRequest { reason: "not pasteurised".into() };
        let who = caller("demo", &[Role::Operator]);
        recall::change(&self.shop.ports, &who, "recall", lot, Change::Quarantine, &request).await.unwrap();
    }
}

pub(super) fn lot(
    id: &str,
    on_hand: i64,
    quarantined: i64,
) -> (Option<String>, QuantityInput, QuantityInput) {
    (Some(id.to_owned()), QuantityInput::Whole(on_hand), QuantityInput::Whole(quarantined))
}

#[tokio::test]
async fn a_till_sells_what_expires_first_and_a_recall_names_its_orders() {
    let dairy = Dairy::new().await;
    dairy.receive("LATE", 9, 5).await;
    dairy.receive("SOON", 2, 3).await;
    dairy.sell("c-1", 2).await.unwrap();
    dairy.sell("c-2", 2).await.unwrap();
    assert_eq!(dairy.lots().await, [lot("LATE", 4, 0)]);
    dairy.relay().await;
    let who = caller("demo", &[Role::Analyst]);
    let page = sold::orders(&dairy.shop.ports, &who, "SOON", None, None).await.unwrap();
    let got: Vec<_> = page.items.iter().map(|sale| (sale.order_id.as_deref(), &sale.quantity)).collect();
    assert_eq!(got, [(Some("c-1"), &QuantityInput::Whole(2)), (Some("c-2"), &QuantityInput::Whole(1))]);
}

#[tokio::test]
async fn a_till_sells_nothing_that_is_past_its_day() {
    let dairy = Dairy::new().await;
    dairy.receive("OLD", 1, 5).await;
    dairy.receive("NEW", 9, 2).await;
    let later = dairy.environment.now().as_second() + 3 * DAY_SECONDS;
    dairy.environment.set(Timestamp::from_second(later).unwrap());
    // Nobody has looked since: the first till that does finds two, whatever the books said.
    let refused = dairy.sell("c-1", 3).await.unwrap_err();
    assert_eq!(refused.code(), Some("insufficient_stock"));
    let tillstream_app::Error::Rejected(refusal) = refused else { panic!("not a refusal") };
    assert_eq!(refusal.extra["lines"][0]["available"], 2);
    assert_eq!(dairy.lots().await, [lot("OLD", 0, 5), lot("NEW", 2, 0)]);
    dairy.sell("c-2", 2).await.unwrap();
    assert_eq!(dairy.lots().await, [lot("OLD", 0, 5)]);
    let stock = dairy.shop.counters(STORE, MILK).await.unwrap();
    assert_eq!((stock.on_hand, stock.available, stock.quarantined), (0, 0, 5_000));
}

#[tokio::test]
async fn what_comes_back_is_of_the_lot_that_was_sold() {
    let dairy = Dairy::new().await;
    dairy.receive("A", 2, 4).await;
    dairy.receive("B", 3, 4).await;
    dairy.sell("one", 2).await.unwrap();
    dairy.sell("both", 4).await.unwrap();
    assert_eq!(dairy.lots().await, [lot("B", 2, 0)]);
    dairy.relay().await;
    // All of it was of one lot.
    dairy.bring_back("back-1", "one", 1).await;
    assert_eq!(dairy.lots().await, [lot("A", 1, 0), lot("B", 2, 0)]);
    // Some of it, of two: nobody knows which.
    dairy.bring_back("back-2", "both", 1).await;
    let unknown = (None, QuantityInput::Whole(1), QuantityInput::Whole(0));
    assert_eq!(dairy.lots().await, [lot("A", 1, 0), lot("B", 2, 0), unknown.clone()]);
    // One of the two is recalled: what may be of it is not sold again.
    dairy.recall("B").await;
    dairy.bring_back("back-3", "both", 2).await;
    assert_eq!(dairy.lots().await, [lot("A", 1, 0), lot("B", 0, 4), unknown]);
    let stock = dairy.shop.counters(STORE, MILK).await.unwrap();
    assert_eq!((stock.on_hand, stock.available, stock.quarantined), (2_000, 2_000, 4_000));
    dairy.relay().await;
    let who = caller("demo", &[Role::Operator]);
    let page = sold::orders(&dairy.shop.ports, &who, "B", None, None).await.unwrap();
    let told: Vec<_> = page
        .items
        .iter()
        .map(|sale| (sale.kind.as_str(), sale.order_id.as_deref(), &sale.quantity))
        .collect();
    let (two, back) = (QuantityInput::Whole(2), QuantityInput::Whole(-2));
    assert_eq!(told, [("sale", Some("both"), &two), ("return", Some("back-3"), &back)]);
}

/// What is brought to another store than the one that sold it is of the lot that was sold, whatever became of it.
#[tokio::test]
async fn what_comes_back_to_another_store_is_of_the_lot_that_was_sold() {
    let dairy = Dairy::new().await;
    dairy.receive("A", 2, 4).await;
    dairy.receive("B", 3, 4).await;
    dairy.sell("one", 2).await.unwrap();
    dairy.sell("two", 2).await.unwrap();
    dairy.relay().await;
    let far = "s-2";
    dairy.shop.store(far).await.unwrap();
    let who = caller("demo", &[Role::Operator]);
    let there = async || {
        let query = LotQuery { sku: Some(MILK.into()), location_id: Some(far.into()), ..LotQuery::default() };
        let found = list::list(&dairy.shop.ports, &who, &query).await.unwrap().items.into_iter();
        found.map(|lot| (lot.lot_id, lot.on_hand, lot.quarantined)).collect::<Vec<_>>()
    };
    dairy.bring_back_to(far, "back-1", "one", 1).await;
    assert_eq!(there().await, [lot("A", 1, 0)]);
    dairy.recall("A").await;
    assert_eq!(there().await, [lot("A", 0, 1)]);
    dairy.bring_back_to(far, "back-2", "two", 2).await;
    assert_eq!(there().await, [lot("A", 0, 3)]);
    let stock = dairy.shop.counters(far, MILK).await.unwrap();
    assert_eq!((stock.on_hand, stock.available, stock.quarantined), (0, 0, 3_000));
    dairy.relay().await;
    let found = list::one(&dairy.shop.ports, &who, "A", None, None).await.unwrap();
    assert!(found.locations.iter().any(|place| place.location_id == far), "{found:?}");
}

/// A sale that is undone brings all of it back, each lot what it gave.
#[tokio::test]
async fn a_sale_that_is_voided_gives_each_lot_back_what_it_took() {
    let dairy = Dairy::new().await;
    dairy.receive("A", 2, 1).await;
    dairy.receive("B", 3, 4).await;
    dairy.sell("c-1", 3).await.unwrap();
    dairy.relay().await;
    let void = json!({"order_id": "c-1", "reason": "wrong till"});
    dairy.shop.command("void", "void_order", void).await.unwrap();
    assert_eq!(dairy.lots().await, [lot("A", 1, 0), lot("B", 4, 0)]);
    assert_eq!(dairy.shop.counters(STORE, "BREAD").await.unwrap().on_hand, 10_000);
}
