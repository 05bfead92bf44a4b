//! Lots: first expired first out, kept aside when recalled or past their day, and known to whom they went.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use jiff::civil::Date;
use jiff::tz::TimeZone;
use jiff::{Span, Timestamp};
use tillstream_app::Error;
use tillstream_app::catalog::items::{location_item, location_of, product_item};
use tillstream_app::catalog::suppliers::supplier_item;
use tillstream_app::database::{Consistency, Database, DatabaseError, Get, Item, Table};
use tillstream_app::environment::Environment;
use tillstream_app::error::Refusal;
use tillstream_app::stock::counters::{Counters, Delta, Movement, stock_update};
use tillstream_app::stock::ledger_gaps::walk_ledger_gaps;
use tillstream_app::stock::lots::recall::{self, Change};
use tillstream_app::stock::lots::{due, list, sold};
use tillstream_app::stock::purchases::{self, place};
use tillstream_app::stock::restock::{self, restock};
use tillstream_app::stock::split::{LaidOut, split};
use tillstream_app::stock::transfers::settle::{Asked, change};
use tillstream_app::stock::transfers::ship;
use tillstream_app::stock::{conservation, read, reservations, update};
use tillstream_app::tenancy::Role;
use tillstream_contracts::inventory::{
    CommitRequest, RestockRequest, StockListQuery, StockUpdateKind, StockUpdateRequest,
};
use tillstream_contracts::lots::{ChangeLotRequest, LotQuery, LotSale, LotStatus};
use tillstream_contracts::purchase_orders::{
    PurchaseLineRequest, PurchaseOrderRequest, PurchaseReceivedLine, ReceivePurchaseRequest,
};
use tillstream_contracts::transfers::{ReceiveTransferRequest, TransferLineRequest, TransferRequest};
use tillstream_domain::lot_book::LotChange;
use tillstream_domain::product::Product;
use tillstream_domain::quantity::{Quantity, QuantityInput};

use crate::fixture::{self, Fault, Fixture, LOCATIONS, SKUS, caller, named, product, put};
use crate::long_reservation_tests::{of_each, sku};
use crate::purchase_order_tests::supplier;

const A: &str = SKUS[0];
const B: &str = SKUS[1];
const HERE: &str = "s-leeds";
const DAY_SECONDS: u64 = 24 * 3_600;

fn whole(pieces: i64) -> QuantityInput {
    QuantityInput::Whole(pieces)
}

fn pieces(quantity: &QuantityInput) -> i64 {
    match quantity {
        QuantityInput::Whole(pieces) => *pieces,
        QuantityInput::Decimal(text) => panic!("{text} is not whole"),
    }
}

fn code<T>(refused: &Result<T, Error>) -> &str {
    refused.as_ref().err().and_then(Error::code).unwrap_or("none")
}

fn refusal<T: std::fmt::Debug>(refused: Result<T, Error>) -> Refusal {
    match refused.unwrap_err() {
        Error::Rejected(refusal) => *refusal,
        other => panic!("not a refusal: {other}"),
    }
}

fn delivery(lot: Option<&str>, expires_on: Option<Date>, many: i64) -> RestockRequest {
    RestockRequest {
        location_id: HERE.into(),
        sku: A.into(),
        quantity: whole(many),
        supplier_id: None,
        reference: None,
        reason: None,
        lot: lot.map(Into::into),
        expires_on,
    }
}

fn adjustment(kind: StockUpdateKind, lot: Option<&str>, many: i64) -> StockUpdateRequest {
    StockUpdateRequest {
        location_id: HERE.into(),
        sku: A.into(),
        kind,
        quantity: whole(many),
        reason: "looked".into(),
        expected_version: None,
        lot: lot.map(Into::into),
        expires_on: None,
    }
}

/// Lot, on hand and quarantined of one line of a list.
pub(crate) type Line = (Option<String>, i64, i64);

impl Fixture {
    /// Keeps the stock of `sku` by lots from now on.
    pub(crate) async fn keep_by_lots(&self, sku: &str) {
        let product = Product { lots: true, ..product(sku) };
        put(&self.memory, Table::Catalog, product_item(self.scope(), &product).unwrap()).await;
    }

    /// The day so many days from now, at the locations of the fixture.
    pub(crate) fn local_day(&self, days: i64) -> Date {
        let local = self.environment.now().to_zoned(TimeZone::get("Europe/London").unwrap());
        local.date().checked_add(Span::new().days(days)).unwrap()
    }

    async fn lot_in(
        &self,
        key: &str,
        lot: Option<&str>,
        expires_on: Option<Date>,
        many: i64,
    ) -> Result<restock::Answer, Error> {
        restock(&self.ports, &self.caller, key, &delivery(lot, expires_on, many)).await
    }

    async fn adjust_lot(&self, key: &str, request: &StockUpdateRequest) -> Result<update::Answer, Error> {
        update::update(&self.ports, &self.caller, key, request, |_| Ok(())).await
    }

    async fn change_lot(&self, key: &str, lot: &str, change: Change) -> Result<recall::Answer, Error> {
        let request = ChangeLotRequest { reason: "glass in it".into() };
        recall::change(&self.ports, &self.caller, key, lot, change, &request).await
    }

    /// A sale as a till writes it, which knows of no lots.
    async fn sell_at_till(&self, sku: &str, order: &str, many: i64) -> Result<(), DatabaseError> {
        let movement = Movement {
            kind: "sale",
            reference: order.into(),
            actor: "e-7".into(),
            at: self.environment.now(),
            reason: None,
        };
        let sold = Delta::sale(Quantity::from_pieces(many).unwrap());
        let write = stock_update(self.scope(), HERE, sku, sold, &movement, Vec::new(), Vec::new());
        self.memory.write(write).await
    }

    pub(crate) async fn lots_at(&self, location_id: &str) -> Vec<Line> {
        let query =
            LotQuery { sku: Some(A.into()), location_id: Some(location_id.into()), ..LotQuery::default() };
        let found = list::list(&self.ports, &self.caller, &query).await.unwrap();
        assert_eq!(found.next_cursor, None);
        let line = |level: tillstream_contracts::lots::LotLevel| {
            (level.lot_id, pieces(&level.on_hand), pieces(&level.quarantined))
        };
        found.items.into_iter().map(line).collect()
    }

    async fn lots(&self) -> Vec<Line> {
        self.lots_at(HERE).await
    }

    /// Who got of a lot: kind, order and pieces.
    pub(crate) async fn who_got(&self, lot: &str) -> Vec<(String, Option<String>, i64)> {
        let mut all = Vec::new();
        let mut cursor: Option<String> = None;
        loop {
            let page =
                sold::orders(&self.ports, &self.caller, lot, Some(2), cursor.as_deref()).await.unwrap();
            all.extend(
                page.items
                    .iter()
                    .map(|sale: &LotSale| (sale.kind.clone(), sale.order_id.clone(), pieces(&sale.quantity))),
            );
            cursor = page.next_cursor;
            if cursor.is_none() {
                return all;
            }
        }
    }

    /// Rows of the ledger of a stock item, in their order.
    fn rows_of_ledger(&self, sku: &str) -> Vec<Item> {
        let partition = self.scope().ledger_of_part(HERE, sku, 0);
        let is_row = |item: &Item| {
            item.opt_text("pk") == Some(partition.value()) && item.opt_number("delta_on_hand").is_some()
        };
        let mut rows: Vec<Item> = self.memory.items(Table::Ledger).into_iter().filter(is_row).collect();
        rows.sort_by_key(|row| row.number("seq").unwrap());
        rows
    }

    /// Checks that at this moment the lots of every stock item are what is there, and all else is in order.
    pub(crate) async fn check_lots(&self) {
        self.check_invariants();
        for location_id in LOCATIONS {
            let key = self.scope().stock(location_id, A);
            let items = self.memory.items(Table::Stock);
            let Some(item) = items.iter().find(|item| item.opt_text("pk") == Some(key.pk())) else {
                continue;
            };
            if item.opt_text("lots").is_none() {
                continue;
            }
            // As the counters count, before what is due is kept aside.
            let counters = Counters::of(item).unwrap();
            let lots = self.lots_at(location_id).await;
            let sum = lots.iter().fold((0, 0), |sum, lot| (sum.0 + lot.1, sum.1 + lot.2));
            let all = counters.on_hand + counters.quarantined;
            assert_eq!((sum.0 + sum.1) * 1_000, all, "{lots:?} {counters:?}");
            if !counters.has_lots_due(self.environment.now()) {
                assert_eq!(sum.0 * 1_000, counters.on_hand, "{lots:?} {counters:?}");
            }
            assert!(lots.iter().all(|lot| lot.1 >= 0 && lot.2 >= 0), "{lots:?}");
        }
    }
}

fn line(lot: &str, on_hand: i64, quarantined: i64) -> Line {
    (Some(lot.to_owned()), on_hand, quarantined)
}

fn unknown(on_hand: i64) -> Line {
    (None, on_hand, 0)
}

#[tokio::test]
async fn what_expires_first_is_sold_first_and_each_sale_is_known() {
    let fixture = Fixture::new(1).await;
    fixture.keep_by_lots(A).await;
    fixture.lot_in("k-0", None, None, 2).await.unwrap();
    fixture.lot_in("k-1", Some("NEVER"), None, 2).await.unwrap();
    fixture.lot_in("k-2", Some("LATE"), Some(fixture.local_day(9)), 2).await.unwrap();
    fixture.lot_in("k-3", Some("SOON"), Some(fixture.local_day(2)), 2).await.unwrap();
    let again = fixture.lot_in("k-3", Some("SOON"), Some(fixture.local_day(2)), 2).await.unwrap();
    assert!(again.replayed && pieces(&again.restocked.stock.on_hand) == 8);
    let all = [line("SOON", 2, 0), line("LATE", 2, 0), line("NEVER", 2, 0), unknown(2)];
    assert_eq!(fixture.lots().await, all);
    fixture.sell_at_till(A, "o-1", 1).await.unwrap();
    fixture.sell_at_till(A, "o-2", 2).await.unwrap();
    assert_eq!(fixture.lots().await, [line("LATE", 1, 0), line("NEVER", 2, 0), unknown(2)]);
    let held = fixture.reserve("r-1", &fixture::request(&[(HERE, A, 2)], 60)).await.unwrap().reservation;
    assert_eq!(fixture.lots().await[0], line("LATE", 1, 0), "a reservation is of no lot");
    // What came in without a lot meanwhile is of none, though less is left than the lots had.
    fixture.lot_in("k-4", None, None, 1).await.unwrap();
    let all_of_it = CommitRequest::default();
    let id = held.reservation_id.as_str();
    reservations::commit(&fixture.ports, &fixture.caller, "c-1", id, &all_of_it).await.unwrap();
    assert_eq!(fixture.lots().await, [line("NEVER", 1, 0), unknown(3)]);
    // Whoever names a lot gets it, whatever would go first.
    fixture.lot_in("k-5", Some("SOON"), None, 3).await.unwrap();
    fixture.adjust_lot("a-1", &adjustment(StockUpdateKind::Delta, Some("NEVER"), -1)).await.unwrap();
    fixture.adjust_lot("a-2", &adjustment(StockUpdateKind::Set, Some("SOON"), 1)).await.unwrap();
    assert_eq!(fixture.lots().await, [line("SOON", 1, 0), unknown(3)]);
    fixture.sell_at_till(A, "o-3", 4).await.unwrap();
    assert_eq!(fixture.lots().await, []);
    fixture.relay(|_| true).await;
    // Twice is once.
    let traces = || -> Vec<Item> {
        let items = fixture.memory.items(Table::Ledger).into_iter();
        items.filter(|item| item.text("pk").unwrap().contains("#lot")).collect()
    };
    let noted = traces();
    let sale = |order: &str, many| ("sale".to_owned(), Some(order.to_owned()), many);
    assert_eq!(fixture.who_got("SOON").await, [sale("o-1", 1), sale("o-2", 1), sale("o-3", 1)]);
    assert_eq!(fixture.who_got("LATE").await, [sale("o-2", 1), ("commit".to_owned(), None, 1)]);
    assert_eq!(fixture.who_got("NEVER").await, [("commit".to_owned(), None, 1)]);
    let proof = conservation::prove(&fixture.ports, &fixture.caller, HERE, A).await.unwrap();
    assert!(
        proof.holds && proof.lots.as_ref().is_some_and(|lots| lots.holds && lots.lots.is_empty()),
        "{proof:?}"
    );
    let rows: Vec<Item> = fixture.rows_of_ledger(A);
    tillstream_app::stock::ledger::record(&fixture.ports, rows).await.unwrap();
    assert!(!noted.is_empty() && traces() == noted);
}

/// Every refusal has its code, and nothing is changed by it.
#[tokio::test]
async fn what_is_wrong_with_a_lot_is_told_and_changes_nothing() {
    let fixture = Fixture::new(2).await;
    fixture.keep_by_lots(A).await;
    fixture.keep_by_lots(B).await;
    let day = fixture.local_day(3);
    fixture.lot_in("k-1", Some("L-1"), Some(day), 5).await.unwrap();
    fixture.lot_in("k-2", Some("L-2"), None, 1).await.unwrap();
    fixture.count(HERE, B, 5).await;
    fixture.count(HERE, SKUS[2], 5).await;
    let untouched = fixture.memory.items(Table::Stock);
    let of_b = |lot: &str| RestockRequest { sku: B.into(), ..delivery(Some(lot), None, 1) };
    let take = |lot: &str, many: i64| adjustment(StockUpdateKind::Delta, Some(lot), -many);
    let restocks = [
        (of_b("L-1"), "lot_of_another_sku"),
        (RestockRequest { sku: SKUS[2].into(), ..delivery(Some("L-9"), None, 1) }, "sku_without_lots"),
        (delivery(None, Some(day), 1), "expires_on_without_lot"),
        (delivery(Some("a/b"), None, 1), "id_malformed"),
        (delivery(Some("4111111111111111"), None, 1), "card_number_refused"),
        (delivery(Some("L-1"), Some(fixture.local_day(4)), 1), "lot_expires_otherwise"),
        (delivery(Some("L-2"), Some(day), 1), "lot_expires_otherwise"),
        (delivery(Some("L-9"), Some("1999-12-31".parse().unwrap()), 1), "expires_on_invalid"),
        (delivery(Some("L-9"), None, -1), "quantity_invalid"),
        (delivery(Some("L-9"), None, 0), "quantity_invalid"),
    ];
    for (request, expected) in restocks {
        let refused = restock(&fixture.ports, &fixture.caller, "k-9", &request).await;
        assert_eq!(code(&refused), expected, "{request:?}");
    }
    let adjustments = [
        (StockUpdateRequest { sku: B.into(), ..take("L-1", 1) }, "lot_of_another_sku"),
        (
            StockUpdateRequest { sku: B.into(), ..adjustment(StockUpdateKind::Set, Some("L-1"), 1) },
            "lot_of_another_sku",
        ),
        (take("L-9", 1), "lot_unknown"),
        (take("L-1", 6), "insufficient_stock"),
        (take("L-2", 2), "insufficient_stock"),
        (take("L-1", 7), "insufficient_stock"),
        (StockUpdateRequest { expires_on: Some(day), ..take("L-2", 1) }, "lot_expires_otherwise"),
        (StockUpdateRequest { expected_version: Some(1), ..take("L-1", 1) }, "version_conflict"),
    ];
    for (request, expected) in adjustments {
        let refused = fixture.adjust_lot("k-9", &request).await;
        assert_eq!(code(&refused), expected, "{request:?}");
    }
    let told = refusal(restock(&fixture.ports, &fixture.caller, "k-9", &of_b("L-1")).await);
    assert_eq!((told.extra["lot_sku"].as_str(), told.errors[0].field.as_str()), (Some(A), "lot"));
    let short = refusal(fixture.adjust_lot("k-9", &take("L-2", 2)).await);
    assert_eq!(short.extra["lot"], "L-2");
    assert_eq!(code(&fixture.change_lot("k-9", "L-9", Change::Quarantine).await), "lot_not_found");
    assert_eq!(code(&fixture.change_lot("k-9", "a/b", Change::Quarantine).await), "lot_not_found");
    let same = refusal(fixture.change_lot("k-9", "L-1", Change::Release).await);
    assert_eq!((same.code, same.extra["lot_status"].as_str()), ("lot_status_same", Some("sellable")));
    let unsaid = ChangeLotRequest { reason: "  ".into() };
    let refused =
        recall::change(&fixture.ports, &fixture.caller, "k-9", "L-1", Change::Quarantine, &unsaid).await;
    assert_eq!(code(&refused), "reason_invalid");
    let manager = caller("demo", Role::StoreManager, named(&[HERE]));
    let request = ChangeLotRequest { reason: "why".into() };
    let refused = recall::change(&fixture.ports, &manager, "k-9", "L-1", Change::Quarantine, &request).await;
    assert_eq!(code(&refused), "all_stores_required");
    let stranger = caller("other", Role::Operator, tillstream_app::tenancy::Stores::All);
    assert_eq!(code(&list::one(&fixture.ports, &stranger, "L-1", None, None).await), "lot_not_found");
    assert_eq!(code(&sold::orders(&fixture.ports, &stranger, "L-1", None, None).await), "lot_not_found");
    let refused = list::list(&fixture.ports, &fixture.caller, &LotQuery::default()).await;
    assert_eq!(code(&refused), "query_invalid");
    let away = LotQuery { location_id: Some("s-york".into()), ..LotQuery::default() };
    assert_eq!(code(&list::list(&fixture.ports, &manager, &away).await), "store_out_of_reach");
    assert_eq!(fixture.memory.items(Table::Stock), untouched);
}

#[tokio::test]
async fn a_recalled_lot_is_sold_nowhere_until_it_is_released() {
    let fixture = Fixture::new(3).await;
    fixture.keep_by_lots(A).await;
    for (n, location_id) in LOCATIONS.into_iter().enumerate() {
        let there = |lot: &str, many| RestockRequest {
            location_id: location_id.into(),
            ..delivery(Some(lot), None, many)
        };
        let (bad, good) = (format!("bad-{n}"), format!("good-{n}"));
        restock(&fixture.ports, &fixture.caller, &bad, &there("BAD", 5)).await.unwrap();
        restock(&fixture.ports, &fixture.caller, &good, &there("GOOD", 2)).await.unwrap();
    }
    let held = fixture.reserve("r-1", &fixture::request(&[(HERE, A, 4)], 60)).await.unwrap().reservation;
    fixture.sell_at_till(A, "o-1", 1).await.unwrap();
    let recalled = fixture.change_lot("q", "BAD", Change::Quarantine).await.unwrap();
    assert_eq!(
        (recalled.lot.status, recalled.lot.version, recalled.replayed),
        (LotStatus::Quarantined, 2, false)
    );
    assert_eq!(fixture.lots().await, [line("BAD", 0, 4), line("GOOD", 2, 0)]);
    assert_eq!(fixture.lots_at("w-hull").await, [line("BAD", 0, 5), line("GOOD", 2, 0)]);
    let stock = fixture.stock(HERE, A).await;
    assert_eq!(
        (stock.on_hand, stock.reserved, stock.available, stock.quarantined),
        (2_000, 4_000, -2_000, 4_000)
    );
    let level = read::one(&fixture.ports, &fixture.caller, HERE, A).await.unwrap();
    assert_eq!(level.quarantined, Some(whole(4)));
    let query = tillstream_contracts::inventory::ExceptionQuery {
        location_id: HERE.into(),
        status: None,
        limit: None,
        cursor: None,
    };
    let opened =
        tillstream_app::stock::exceptions::list(&fixture.ports, &fixture.caller, &query).await.unwrap();
    assert_eq!(opened.items.iter().map(|one| pieces(&one.quantity)).collect::<Vec<_>>(), [2]);
    // What is promised beyond what is left is not handed out.
    let all = CommitRequest::default();
    let refused =
        reservations::commit(&fixture.ports, &fixture.caller, "c-1", &held.reservation_id, &all).await;
    assert_eq!(code(&refused), "insufficient_stock");
    assert!(fixture.sell_at_till(A, "o-2", 1).await.is_err());
    // A replay answers the same, and what comes in of it is kept aside.
    let again = fixture.change_lot("q", "BAD", Change::Quarantine).await.unwrap();
    assert_eq!((&again.lot, again.replayed), (&recalled.lot, true));
    assert_eq!(code(&fixture.change_lot("q-2", "BAD", Change::Quarantine).await), "lot_status_same");
    let other = ChangeLotRequest { reason: "another".into() };
    let reused =
        recall::change(&fixture.ports, &fixture.caller, "q", "BAD", Change::Quarantine, &other).await;
    assert_eq!(code(&reused), "idempotency_key_reused");
    let came = fixture.lot_in("k-7", Some("BAD"), None, 3).await.unwrap().restocked;
    assert_eq!((pieces(&came.stock.on_hand), came.stock.quarantined), (2, Some(whole(7))));
    fixture.adjust_lot("a-1", &adjustment(StockUpdateKind::Delta, Some("BAD"), -2)).await.unwrap();
    assert_eq!(fixture.lots().await, [line("BAD", 0, 5), line("GOOD", 2, 0)]);
    let short = fixture.adjust_lot("a-2", &adjustment(StockUpdateKind::Delta, Some("BAD"), -6)).await;
    assert_eq!(code(&short), "insufficient_stock");
    fixture.check_lots().await;
    let released = fixture.change_lot("f", "BAD", Change::Release).await.unwrap();
    assert_eq!((released.lot.status, released.lot.version), (LotStatus::Sellable, 3));
    assert_eq!(fixture.lots().await, [line("BAD", 5, 0), line("GOOD", 2, 0)]);
    let opened =
        tillstream_app::stock::exceptions::list(&fixture.ports, &fixture.caller, &query).await.unwrap();
    assert!(opened.items.is_empty(), "as much is there as is promised: {opened:?}");
    // The key of the recall does not recall it again.
    let old = fixture.change_lot("q", "BAD", Change::Quarantine).await.unwrap();
    assert_eq!((&old.lot, old.replayed), (&recalled.lot, true));
    assert_eq!(fixture.stock(HERE, A).await.quarantined, 0);
    let one = list::one(&fixture.ports, &fixture.caller, "BAD", Some(2), None).await.unwrap();
    assert_eq!((one.lot.status, one.locations.len()), (LotStatus::Sellable, 2));
    let rest = list::one(&fixture.ports, &fixture.caller, "BAD", Some(2), one.next_cursor.as_deref()).await;
    assert_eq!(rest.unwrap().locations.len(), 1);
    reservations::commit(&fixture.ports, &fixture.caller, "c-2", &held.reservation_id, &all).await.unwrap();
    fixture.check_lots().await;
    fixture.relay(|_| true).await;
    let proof = conservation::prove(&fixture.ports, &fixture.caller, HERE, A).await.unwrap();
    assert!(proof.holds && proof.lots.is_some_and(|lots| lots.holds));
}

/// From the first moment after its last day a lot is not sold, whoever looks first.
#[tokio::test]
async fn a_lot_past_its_day_is_not_sold() {
    for looks in ["reserve", "till", "read", "update", "keeper"] {
        let fixture = Fixture::new(4).await;
        fixture.keep_by_lots(A).await;
        fixture.lot_in("k-1", Some("OLD"), Some(fixture.local_day(1)), 3).await.unwrap();
        fixture.lot_in("k-2", Some("NEW"), Some(fixture.local_day(5)), 2).await.unwrap();
        let midnight =
            fixture.local_day(2).to_zoned(TimeZone::get("Europe/London").unwrap()).unwrap().timestamp();
        let before = midnight.checked_sub(Span::new().milliseconds(1)).unwrap();
        fixture.environment.set(before);
        fixture.sell_at_till(A, "o-1", 1).await.unwrap();
        let held = fixture.reserve("r-1", &fixture::request(&[(HERE, A, 1)], 60)).await.unwrap();
        fixture.environment.set(midnight);
        // Nobody wrote anything, and nothing of it is sold any more, nor shown as for sale.
        assert!(fixture.sell_at_till(A, "o-2", 2).await.is_err(), "{looks}");
        let query = StockListQuery { location_id: Some(HERE.into()), ..StockListQuery::default() };
        let shown = read::list(&fixture.ports, &fixture.caller, &query).await.unwrap().items.remove(0);
        assert_eq!((pieces(&shown.on_hand), pieces(&shown.available)), (2, 1), "{looks}");
        assert_eq!(shown.quarantined, Some(whole(2)), "{looks}");
        assert_eq!(fixture.lots().await, [line("OLD", 0, 2), line("NEW", 2, 0)], "{looks}");
        let untouched = fixture.stock(HERE, A).await;
        assert_eq!((untouched.on_hand, untouched.quarantined), (4_000, 0), "a list writes nothing");
        match looks {
            "reserve" => {
                let refused = fixture.reserve("r-2", &fixture::request(&[(HERE, A, 2)], 60)).await;
                assert_eq!(refusal(refused).extra["lines"][0]["available"], 1);
            }
            "till" => {
                let scope = fixture.scope().clone();
                let name =
                    tillstream_app::stock::listing::StockName { location_id: HERE.into(), sku: A.into() };
                due::keep_aside(&fixture.ports, &scope, &name, midnight).await.unwrap();
            }
            "read" => {
                let level = read::one(&fixture.ports, &fixture.caller, HERE, A).await.unwrap();
                assert_eq!((pieces(&level.available), level.quarantined), (1, Some(whole(2))));
            }
            "update" => {
                let take = adjustment(StockUpdateKind::Delta, None, -2);
                assert_eq!(code(&fixture.adjust_lot("a-1", &take).await), "insufficient_stock");
            }
            _ => {
                let seen = due::sweep(&fixture.ports, midnight, 10, Timestamp::MAX).await.unwrap();
                assert_eq!(seen, 1);
                assert_eq!(due::sweep(&fixture.ports, midnight, 10, Timestamp::MAX).await.unwrap(), 0);
            }
        }
        let stock = fixture.stock(HERE, A).await;
        assert_eq!((stock.on_hand, stock.available, stock.quarantined), (2_000, 1_000, 2_000), "{looks}");
        fixture.sell_at_till(A, "o-3", 1).await.unwrap();
        let id = &held.reservation.reservation_id;
        reservations::commit(&fixture.ports, &fixture.caller, "c", id, &CommitRequest::default())
            .await
            .unwrap();
        assert_eq!(fixture.lots().await, [line("OLD", 0, 2)], "{looks}");
        // What comes in too late is kept aside, and a release gives nothing back that is past its day.
        fixture.lot_in("k-3", Some("OLD"), None, 1).await.unwrap();
        fixture.change_lot("q", "OLD", Change::Quarantine).await.unwrap();
        fixture.change_lot("f", "OLD", Change::Release).await.unwrap();
        assert_eq!(fixture.lots().await, [line("OLD", 0, 3)], "{looks}");
        fixture.check_lots().await;
        fixture.relay(|_| true).await;
        let sales: BTreeSet<_> = fixture.who_got("OLD").await.into_iter().map(|sale| sale.1).collect();
        assert_eq!(sales, BTreeSet::from([Some("o-1".to_owned())]), "{looks}");
        let proof = conservation::prove(&fixture.ports, &fixture.caller, HERE, A).await.unwrap();
        assert!(proof.holds && proof.lots.is_some_and(|lots| lots.holds), "{looks}");
    }
}

#[tokio::test]
async fn what_is_kept_by_lots_is_never_split() {
    let fixture = Fixture::new(5).await;
    fixture.keep_by_lots(A).await;
    fixture.count(HERE, A, 100).await;
    let laid_out = split(&fixture.ports, fixture.scope(), HERE, A, 4).await.unwrap();
    assert!(matches!(laid_out, LaidOut::Now(_)));
    // The first lot merges it.
    fixture.lot_in("k-1", Some("L-1"), None, 50).await.unwrap();
    assert_eq!(fixture.lots().await, [line("L-1", 50, 0), unknown(100)]);
    assert_eq!(split(&fixture.ports, fixture.scope(), HERE, A, 4).await.unwrap(), LaidOut::Not);
    assert_eq!(fixture.stock(HERE, A).await.layout, 0);
    fixture.count(HERE, B, 100).await;
    fixture.keep_by_lots(B).await;
    split(&fixture.ports, fixture.scope(), HERE, B, 4).await.unwrap();
    let counted = StockUpdateRequest { sku: B.into(), ..adjustment(StockUpdateKind::Set, Some("L-2"), 7) };
    let after = fixture.adjust_lot("a-1", &counted).await.unwrap().updated.stock;
    assert_eq!(pieces(&after.on_hand), 107);
}

/// A thousand want one of ten pieces of three lots, over many orders of events: ten get one, and each piece that is
/// then sold is of exactly one lot, the first to expire first.
#[tokio::test]
async fn of_a_thousand_who_reserve_ten_pieces_in_three_lots_ten_get_one() {
    for seed in 0..12 {
        let fixture = Arc::new(Fixture::new(seed).await);
        fixture.keep_by_lots(A).await;
        for (n, (lot, days, many)) in [("C", 30, 3), ("A", 10, 3), ("B", 20, 4)].into_iter().enumerate() {
            let day = Some(fixture.local_day(days));
            fixture.lot_in(&format!("k-{n}"), Some(lot), day, many).await.unwrap();
        }
        let tasks: Vec<_> = (0..1_000)
            .map(|n| {
                let fixture = fixture.clone();
                tokio::spawn(async move {
                    let request = fixture::request(&[(HERE, A, 1)], 600);
                    loop {
                        match fixture.reserve(&format!("r-{n}"), &request).await {
                            Err(Error::Retryable { .. } | Error::Conflict(_)) => {}
                            Ok(answer) => return Some(answer.reservation.reservation_id),
                            Err(refused) => {
                                assert_eq!(refused.code(), Some("insufficient_stock"));
                                return None;
                            }
                        }
                    }
                })
            })
            .collect();
        let mut got = Vec::new();
        for task in tasks {
            got.extend(task.await.unwrap());
        }
        assert_eq!(got.len(), 10, "seed {seed}");
        let commits = got.iter().map(|id| {
            let fixture = fixture.clone();
            async move {
                let key = format!("c-{id}");
                reservations::commit(&fixture.ports, &fixture.caller, &key, id, &CommitRequest::default())
                    .await
            }
        });
        for committed in futures::future::join_all(commits).await {
            committed.unwrap();
        }
        assert_eq!(fixture.lots().await, []);
        fixture.relay(|_| true).await;
        for (lot, many) in [("A", 3), ("B", 4), ("C", 3)] {
            let sold: i64 = fixture.who_got(lot).await.iter().map(|sale| sale.2).sum();
            assert_eq!(sold, many, "seed {seed}");
        }
        follow(&fixture, A);
    }
}

/// A lot as it is known piece by piece: last moment of sale, arrival, id; for sale, kept aside.
#[derive(Debug, Default, Clone)]
struct Pieces {
    lots: BTreeMap<(bool, i64, i64, String), (i64, i64)>,
    unknown: i64,
}

impl Pieces {
    /// Which lot the next piece is of.
    fn next(&mut self) -> Option<String> {
        match self.lots.iter_mut().find(|(_, lot)| lot.0 > 0) {
            Some((key, lot)) => {
                lot.0 -= 1_000;
                Some(key.3.clone())
            }
            None => {
                self.unknown -= 1_000;
                None
            }
        }
    }
}

/// Follows the ledger of a stock item row by row, piece by piece: each row's lots add up to its counters, a sale took
/// the first piece each time, and nothing was taken of a lot while it was kept aside.
fn follow(fixture: &Fixture, sku: &str) {
    let mut known = Pieces::default();
    let mut ranks: BTreeMap<String, (bool, i64, i64)> = BTreeMap::new();
    let stock = fixture.memory.changes(Table::Stock, 0);
    for change in stock.iter().filter_map(|change| change.new.as_ref()) {
        let is_it = change.opt_text("sku") == Some(sku) && change.opt_text("location_id") == Some(HERE);
        if let Some(book) = change.opt_text("lots").filter(|_| is_it) {
            let book: serde_json::Value = serde_json::from_str(book).unwrap();
            for lot in book["l"].as_array().unwrap() {
                let until = lot["u"].as_i64();
                let rank = (until.is_none(), until.unwrap_or(0), lot["r"].as_i64().unwrap());
                ranks.insert(lot["i"].as_str().unwrap().to_owned(), rank);
            }
        }
    }
    for (row, seq) in fixture.rows_of_ledger(sku).into_iter().zip(1..) {
        assert_eq!(row.number("seq").unwrap(), seq);
        let delta = row.number("delta_on_hand").unwrap();
        let aside = row.opt_number("delta_quarantined").unwrap_or(0);
        if row.opt_text("lots").is_none() {
            known.unknown += delta;
            continue;
        }
        let changes: Vec<LotChange> = row.json("lots").unwrap();
        assert_eq!(changes.iter().map(|change| change.on_hand).sum::<i64>(), delta, "{row:?}");
        assert_eq!(changes.iter().map(|change| change.quarantined).sum::<i64>(), aside, "{row:?}");
        let kind = row.text("kind").unwrap();
        if matches!(kind, "sale" | "commit") {
            let mut expected: BTreeMap<Option<String>, i64> = BTreeMap::new();
            for _ in 0..-delta / 1_000 {
                *expected.entry(known.next()).or_default() -= 1_000;
            }
            let told: BTreeMap<_, _> =
                changes.iter().map(|change| (change.lot_id.clone(), change.on_hand)).collect();
            assert_eq!(told, expected, "{row:?}");
            continue;
        }
        for change in &changes {
            match &change.lot_id {
                None => known.unknown += change.on_hand,
                Some(lot_id) => {
                    let (never, until, received) = ranks[lot_id];
                    let key = (never, until, received, lot_id.clone());
                    let lot = known.lots.entry(key).or_default();
                    lot.0 += change.on_hand;
                    lot.1 += change.quarantined;
                    assert!(lot.0 >= 0 && lot.1 >= 0, "{row:?}");
                }
            }
        }
    }
}

/// Days of deliveries, sales, reservations, counts, recalls and turns of the day, with lost answers and crashes: the
/// lots are what is there after every step, and every piece that was sold is of one lot, in order.
#[tokio::test]
async fn random_days_leave_the_lots_that_are_there() {
    let (mut sales, mut recalls, mut expired) = (0, 0, 0);
    for seed in 0..60 {
        let fixture = Fixture::new(seed).await;
        fixture.keep_by_lots(A).await;
        fixture.count(HERE, A, 3).await;
        let random = |below: u64| i64::try_from(fixture.environment.random() % below).unwrap();
        let mut held: Vec<String> = Vec::new();
        for step in 0..80 {
            let chance = fixture.environment.random();
            // Every fifth write is lost, before or after it takes effect.
            fixture.inject(move |number| match (number.wrapping_mul(31).wrapping_add(chance)) % 10 {
                0 => Fault::LostBefore,
                1 => Fault::LostAfter,
                _ => Fault::None,
            });
            let key = format!("k-{step}");
            let lot = format!("L-{}", random(6));
            match random(12) {
                0 | 1 => {
                    // A lot has the day that its number says, from the first on.
                    let days = lot.bytes().last().map_or(0, |digit| i64::from(digit - b'0'));
                    let first: Date = "2011-01-01".parse().unwrap();
                    let known = list::one(&fixture.ports, &fixture.caller, &lot, None, None).await;
                    let day = match known {
                        Ok(known) => known.lot.expires_on,
                        Err(_) if days == 5 => None,
                        Err(_) => Some(fixture.local_day(days).max(first)),
                    };
                    fixture.lot_in(&key, Some(&lot), day, random(6) + 1).await.unwrap();
                }
                2 => drop(fixture.lot_in(&key, None, None, random(3) + 1).await.unwrap()),
                3..=5 => {
                    let now = fixture.environment.now();
                    let name =
                        tillstream_app::stock::listing::StockName { location_id: HERE.into(), sku: A.into() };
                    due::keep_aside(&fixture.ports, fixture.scope(), &name, now).await.unwrap();
                    sales += i32::from(fixture.sell_at_till(A, &key, random(3) + 1).await.is_ok());
                }
                6 => {
                    let wanted = fixture::request(&[(HERE, A, random(3) + 1)], 3_600);
                    match fixture.reserve(&key, &wanted).await {
                        Ok(answer) => held.push(answer.reservation.reservation_id),
                        Err(refused) => assert_eq!(refused.code(), Some("insufficient_stock")),
                    }
                }
                7 => {
                    if let Some(id) = held.pop() {
                        let all = CommitRequest::default();
                        let done =
                            reservations::commit(&fixture.ports, &fixture.caller, &key, &id, &all).await;
                        let expected = ["none", "insufficient_stock", "reservation_expired"];
                        assert!(expected.contains(&code(&done)), "{done:?}");
                    }
                }
                8 => {
                    let change = if random(2) == 0 { Change::Quarantine } else { Change::Release };
                    let done = fixture.change_lot(&key, &lot, change).await;
                    assert!(["none", "lot_not_found", "lot_status_same"].contains(&code(&done)), "{done:?}");
                    recalls += i32::from(done.is_ok());
                }
                9 => {
                    let named = adjustment(StockUpdateKind::Delta, Some(&lot), -1 - random(2));
                    let done = fixture.adjust_lot(&key, &named).await;
                    assert!(["none", "lot_unknown", "insufficient_stock"].contains(&code(&done)), "{done:?}");
                }
                10 => {
                    let counted = adjustment(StockUpdateKind::Set, None, random(12));
                    fixture.adjust_lot(&key, &counted).await.unwrap();
                }
                _ => {
                    fixture.pass(DAY_SECONDS / 2);
                    let before = fixture.stock(HERE, A).await.quarantined;
                    let now = fixture.environment.now();
                    due::sweep(&fixture.ports, now, 10, Timestamp::MAX).await.unwrap();
                    expired += i32::from(fixture.stock(HERE, A).await.quarantined > before);
                }
            }
            fixture.heal();
            let seen = fixture.stock(HERE, A).await;
            assert!(seen.on_hand >= 0 && seen.quarantined >= 0, "seed {seed} step {step}: {seen:?}");
            fixture.check_lots().await;
        }
        fixture.relay(|_| true).await;
        follow(&fixture, A);
        let proof = conservation::prove(&fixture.ports, &fixture.caller, HERE, A).await.unwrap();
        assert!(proof.holds && proof.lots.is_none_or(|lots| lots.holds), "seed {seed}");
    }
    assert!(sales > 200 && recalls > 50 && expired >= 15, "{sales} {recalls} {expired}");
}

/// Wherever a recall is cut off, it is done by whoever repeats it, or by the keeper, once.
#[tokio::test]
async fn a_recall_that_was_cut_off_is_finished() {
    let mut cut_off = 0;
    for repeats in [true, false] {
        for step in 0..8 {
            for fault in [Fault::LostBefore, Fault::LostAfter] {
                let fixture = Fixture::new(7).await;
                fixture.keep_by_lots(A).await;
                for (n, location_id) in LOCATIONS.into_iter().enumerate() {
                    let request =
                        RestockRequest { location_id: location_id.into(), ..delivery(Some("BAD"), None, 5) };
                    let key = format!("k-{n}");
                    restock(&fixture.ports, &fixture.caller, &key, &request).await.unwrap();
                }
                let first = fixture.faulty.writes.load(std::sync::atomic::Ordering::SeqCst) + step;
                // From there on nothing gets through: the process is gone, but for what it wrote last.
                fixture.inject(move |number| match number {
                    number if number == first => fault,
                    number if number > first => Fault::LostBefore,
                    _ => Fault::None,
                });
                let answer = fixture.change_lot("q", "BAD", Change::Quarantine).await;
                fixture.heal();
                cut_off += i32::from(answer.is_err());
                fixture.check_lots().await;
                fixture.pass(60);
                let now = fixture.environment.now();
                if repeats {
                    let again = fixture.change_lot("q", "BAD", Change::Quarantine).await.unwrap();
                    assert_eq!(again.lot.version, 2);
                } else {
                    recall::recover(&fixture.ports, now, 10, Timestamp::MAX).await.unwrap();
                    let one = list::one(&fixture.ports, &fixture.caller, "BAD", None, None).await.unwrap();
                    if one.lot.status == LotStatus::Sellable {
                        assert!(step == 0 && fault == Fault::LostBefore, "step {step}");
                        continue;
                    }
                }
                for location_id in LOCATIONS {
                    assert_eq!(fixture.lots_at(location_id).await, [line("BAD", 0, 5)], "step {step}");
                    let stock = fixture.stock(location_id, A).await;
                    assert_eq!((stock.on_hand, stock.quarantined, stock.seq), (0, 5_000, 2), "step {step}");
                }
                let left = recall::recover(&fixture.ports, now, 10, Timestamp::MAX).await.unwrap();
                assert_eq!(left, 0, "nothing is left to do");
            }
        }
    }
    assert!(cut_off >= 14, "{cut_off}");
}

/// Goods of a lot come in while it is recalled: whichever comes first, none of it is for sale afterwards.
#[tokio::test]
async fn nothing_of_a_lot_slips_in_while_it_is_recalled() {
    for seed in 0..40 {
        let fixture = Arc::new(Fixture::new(seed).await);
        fixture.keep_by_lots(A).await;
        fixture.lot_in("k-0", Some("BAD"), None, 1).await.unwrap();
        let deliveries = (0..12).map(|n| {
            let fixture = fixture.clone();
            let location_id = LOCATIONS[n % LOCATIONS.len()];
            tokio::spawn(async move {
                let request =
                    RestockRequest { location_id: location_id.into(), ..delivery(Some("BAD"), None, 1) };
                restock(&fixture.ports, &fixture.caller, &format!("d-{n}"), &request).await.map(drop)
            })
        });
        let mut tasks: Vec<_> = deliveries.collect();
        let recalling = fixture.clone();
        let at = usize::try_from(fixture.environment.random() % 12).unwrap();
        tasks.insert(
            at,
            tokio::spawn(async move { recalling.change_lot("q", "BAD", Change::Quarantine).await.map(drop) }),
        );
        for task in tasks {
            task.await.unwrap().unwrap();
        }
        let mut all = 0;
        for location_id in LOCATIONS {
            for (lot, on_hand, quarantined) in fixture.lots_at(location_id).await {
                assert_eq!((lot.as_deref(), on_hand), (Some("BAD"), 0), "seed {seed}");
                all += quarantined;
            }
        }
        assert_eq!(all, 13, "seed {seed}");
        fixture.check_lots().await;
    }
}

/// What of a lot went while rows were lost is told as what it is: so much, by some of these movements.
#[tokio::test]
async fn a_closed_gap_says_what_went_of_each_lot() {
    for lost in [BTreeSet::from([4, 5]), BTreeSet::from([5, 6, 7]), BTreeSet::from([2, 7])] {
        let fixture = Fixture::new(8).await;
        fixture.keep_by_lots(A).await;
        fixture.lot_in("k-1", Some("L-1"), Some(fixture.local_day(3)), 4).await.unwrap();
        fixture.lot_in("k-2", Some("L-2"), Some(fixture.local_day(5)), 9).await.unwrap();
        for n in 3..=7 {
            fixture.sell_at_till(A, &format!("o-{n}"), 2).await.unwrap();
        }
        let dropped = lost.clone();
        fixture.relay(move |seq| !dropped.contains(&seq)).await;
        for _ in 0..2 {
            walk_ledger_gaps(&fixture.ports, fixture.scope(), 100, Timestamp::MAX).await.unwrap();
            fixture.pass(600);
        }
        walk_ledger_gaps(&fixture.ports, fixture.scope(), 100, Timestamp::MAX).await.unwrap();
        let proof = conservation::prove(&fixture.ports, &fixture.caller, HERE, A).await.unwrap();
        let lots = proof.lots.unwrap();
        assert!(proof.holds && lots.holds, "{lost:?} {lots:?}");
        assert_eq!(lots.lots.iter().map(|lot| pieces(&lot.on_hand)).collect::<Vec<_>>(), [3]);
        let mut net = 0;
        for lot in ["L-1", "L-2"] {
            net += fixture.who_got(lot).await.iter().map(|sale| sale.2).sum::<i64>();
        }
        // A gap over a delivery tells that, too.
        assert_eq!(net, if lost.contains(&2) { 10 - 9 } else { 10 }, "{lost:?}");
    }
}

/// The answer of a delivery that was lost is the answer of its repetition, and its goods came in once.
#[tokio::test]
async fn a_delivery_of_a_lot_comes_in_once_whatever_is_lost() {
    for step in 0..4 {
        for fault in [Fault::LostBefore, Fault::LostAfter, Fault::Conflict] {
            let fixture = Fixture::new(9).await;
            fixture.keep_by_lots(A).await;
            fixture.inject(move |number| if number == step { fault } else { Fault::None });
            let day = Some(fixture.local_day(3));
            fixture.lot_in("k-1", Some("L-1"), day, 4).await.unwrap();
            fixture.lot_in("k-1", Some("L-1"), day, 4).await.unwrap();
            fixture.lot_in("k-2", Some("L-1"), day, 1).await.unwrap();
            fixture.heal();
            assert_eq!(fixture.lots().await, [line("L-1", 5, 0)]);
            fixture.check_lots().await;
        }
    }
}

/// So many lots a stock item has room for; one more is refused, and none is lost.
#[tokio::test]
async fn a_stock_item_has_room_for_so_many_lots() {
    let fixture = Fixture::new(10).await;
    fixture.keep_by_lots(A).await;
    for n in 0..tillstream_domain::lot_book::LOTS_MAX {
        fixture.lot_in(&format!("k-{n}"), Some(&format!("L-{n}")), None, 1).await.unwrap();
    }
    let untouched = fixture.memory.items(Table::Stock);
    assert_eq!(code(&fixture.lot_in("k", Some("MORE"), None, 1).await), "too_many_lots");
    assert_eq!(fixture.memory.items(Table::Stock), untouched);
    fixture.sell_at_till(A, "o-1", 1).await.unwrap();
    fixture.lot_in("k", Some("MORE"), None, 1).await.unwrap();
    fixture.check_lots().await;
}

/// Goods that are sent elsewhere arrive as the lots that left; what was recalled on the way is kept aside there.
#[tokio::test]
async fn a_transfer_brings_the_lots_that_left() {
    for (recalls, relays) in [(false, true), (true, true), (false, false)] {
        let fixture = Fixture::new(11).await;
        fixture.keep_by_lots(A).await;
        fixture.lot_in("k-1", Some("L-1"), Some(fixture.local_day(2)), 3).await.unwrap();
        fixture.lot_in("k-2", Some("L-2"), Some(fixture.local_day(4)), 9).await.unwrap();
        let request = TransferRequest {
            transfer_id: Some("t-1".into()),
            from_location_id: HERE.into(),
            to_location_id: "w-hull".into(),
            lines: vec![TransferLineRequest { sku: A.into(), quantity: whole(7) }],
            note: None,
        };
        ship::ship(&fixture.ports, &fixture.caller, "s", &request).await.unwrap();
        assert_eq!(fixture.lots().await, [line("L-2", 5, 0)]);
        if relays {
            fixture.relay(|_| true).await;
        }
        if recalls {
            fixture.change_lot("q", "L-1", Change::Quarantine).await.unwrap();
        }
        let asked = ReceiveTransferRequest { lines: None };
        let received = Asked::Receive(&asked);
        change(&fixture.ports, &fixture.caller, "r", "t-1", &received, |_| Ok(())).await.unwrap();
        let there = fixture.lots_at("w-hull").await;
        let expected = match (recalls, relays) {
            (true, _) => vec![line("L-1", 0, 3), line("L-2", 4, 0)],
            (false, true) => vec![line("L-1", 3, 0), line("L-2", 4, 0)],
            // Which left is not noted yet: nobody knows, and nobody makes it up.
            (false, false) => vec![],
        };
        assert_eq!(there, expected);
        let stock = fixture.stock("w-hull", A).await;
        assert_eq!((stock.on_hand + stock.quarantined, stock.in_transit), (7_000, 0));
        fixture.check_lots().await;
        fixture.relay(|_| true).await;
        let proof = conservation::prove(&fixture.ports, &fixture.caller, "w-hull", A).await.unwrap();
        assert!(proof.holds && proof.lots.is_none_or(|lots| lots.holds));
        // It was found where it went to: a recall reaches it there.
        if relays && !recalls {
            fixture.change_lot("q-2", "L-2", Change::Quarantine).await.unwrap();
            assert_eq!(fixture.lots_at("w-hull").await, [line("L-1", 3, 0), line("L-2", 0, 4)]);
        }
    }
}

/// A receipt of a purchase order may name lots: each line of it one, and what is left is of no known lot.
#[tokio::test]
async fn a_purchase_order_is_received_lot_by_lot() {
    let fixture = Fixture::new(12).await;
    fixture.keep_by_lots(A).await;
    let supplier = supplier_item(fixture.scope(), &supplier("sup-1", 0)).unwrap();
    put(&fixture.memory, Table::Catalog, supplier).await;
    let line_of =
        |sku: &str, many| PurchaseLineRequest { sku: sku.into(), quantity: whole(many), unit_cost: None };
    let order = PurchaseOrderRequest {
        purchase_order_id: Some("po-1".into()),
        supplier_id: "sup-1".into(),
        location_id: HERE.into(),
        lines: vec![line_of(A, 20), line_of(B, 5)],
        expected_at: None,
        note: None,
    };
    place::place(&fixture.ports, &fixture.caller, "p", &order).await.unwrap();
    let day = fixture.local_day(3);
    let got = |sku: &str, many, lot: Option<&str>, expires_on| PurchaseReceivedLine {
        sku: sku.into(),
        quantity: whole(many),
        damaged: None,
        lot: lot.map(Into::into),
        expires_on,
    };
    let receive = async |key: &str, lines: Vec<PurchaseReceivedLine>| {
        let request = ReceivePurchaseRequest { lines: Some(lines) };
        let asked = purchases::settle::Asked::Receive(&request);
        purchases::settle::change(&fixture.ports, &fixture.caller, key, "po-1", &asked, |_| Ok(())).await
    };
    let untouched = fixture.memory.items(Table::Stock);
    for (lines, expected) in [
        (vec![got(B, 1, Some("L-1"), None)], "sku_without_lots"),
        (vec![got(A, 1, None, Some(day))], "expires_on_without_lot"),
        (vec![got(A, 1, Some("L-1"), None), got(A, 1, Some("L-1"), None)], "lot_twice"),
        (vec![got(A, 21, Some("L-1"), None)], "over_delivery"),
    ] {
        assert_eq!(code(&receive("r-0", lines).await), expected);
    }
    assert_eq!(fixture.memory.items(Table::Stock), untouched);
    let lines = vec![
        got(A, 4, Some("L-2"), None),
        got(A, 3, Some("L-1"), Some(day)),
        got(A, 2, None, None),
        got(B, 5, None, None),
    ];
    // Whatever of the answer is lost, it came in once.
    fixture.inject(|number| if number % 3 == 0 { Fault::LostAfter } else { Fault::None });
    receive("r-1", lines.clone()).await.unwrap();
    fixture.heal();
    assert!(receive("r-1", lines).await.unwrap().replayed);
    assert_eq!(fixture.lots().await, [line("L-1", 3, 0), line("L-2", 4, 0), unknown(2)]);
    let (a, b) = (fixture.stock(HERE, A).await, fixture.stock(HERE, B).await);
    assert_eq!((a.on_hand, a.on_order, b.on_hand, b.on_order), (9_000, 11_000, 5_000, 0));
    // What is recalled before it comes is kept aside.
    fixture.change_lot("q", "L-1", Change::Quarantine).await.unwrap();
    receive("r-2", vec![got(A, 11, Some("L-1"), None)]).await.unwrap();
    assert_eq!(fixture.lots().await, [line("L-1", 0, 14), line("L-2", 4, 0), unknown(2)]);
    assert_eq!(fixture.stock(HERE, A).await.on_order, 0);
    fixture.check_lots().await;
    fixture.relay(|_| true).await;
    let proof = conservation::prove(&fixture.ports, &fixture.caller, HERE, A).await.unwrap();
    assert!(proof.holds && proof.lots.is_some_and(|lots| lots.holds));
}

/// A recall is cut off before it came here, and somebody counts the lot: it is kept aside first, and counted once.
#[tokio::test]
async fn a_lot_is_counted_as_the_recall_says_also_before_it_came_there() {
    for (change, on_hand, aside) in [(Change::Quarantine, 0, 4), (Change::Release, 4, 0)] {
        let fixture = Fixture::new(13).await;
        fixture.keep_by_lots(A).await;
        fixture.lot_in("k-1", Some("L-1"), None, 5).await.unwrap();
        if change == Change::Release {
            fixture.change_lot("q", "L-1", Change::Quarantine).await.unwrap();
        }
        let first = fixture.faulty.writes.load(std::sync::atomic::Ordering::SeqCst);
        fixture.inject(move |number| if number > first { Fault::LostBefore } else { Fault::None });
        assert!(fixture.change_lot("c", "L-1", change).await.is_err());
        fixture.heal();
        let counted = adjustment(StockUpdateKind::Set, Some("L-1"), 4);
        let updated = fixture.adjust_lot("a", &counted).await.unwrap().updated;
        assert_eq!(fixture.lots().await, [line("L-1", on_hand, aside)]);
        assert_eq!(pieces(&updated.stock.on_hand), on_hand);
        fixture.check_lots().await;
    }
}

/// What is held is committed of goods that are good at that moment, also where nobody has looked since the day of a lot
/// was over: else that one would go first.
#[tokio::test]
async fn what_is_held_is_committed_of_goods_that_are_good() {
    for (good, wanted) in [(2, 2), (2, 1), (1, 2), (0, 1)] {
        let fixture = Fixture::new(14).await;
        fixture.keep_by_lots(A).await;
        fixture.lot_in("k-1", Some("OLD"), Some(fixture.local_day(1)), 3).await.unwrap();
        if good > 0 {
            fixture.lot_in("k-2", Some("NEW"), Some(fixture.local_day(5)), good).await.unwrap();
        }
        let midnight =
            fixture.local_day(2).to_zoned(TimeZone::get("Europe/London").unwrap()).unwrap().timestamp();
        fixture.environment.set(midnight.checked_sub(Span::new().milliseconds(1)).unwrap());
        let held = fixture.reserve("r", &fixture::request(&[(HERE, A, 2)], 60)).await.unwrap().reservation;
        fixture.environment.set(midnight);
        let lines = (wanted < 2).then(|| fixture::request(&[(HERE, A, wanted)], 60).lines);
        let request = CommitRequest { lines };
        let id = held.reservation_id.as_str();
        let done = reservations::commit(&fixture.ports, &fixture.caller, "c", id, &request).await;
        let is_enough = good >= wanted;
        assert_eq!(code(&done), if is_enough { "none" } else { "insufficient_stock" }, "{good} {wanted}");
        let left = if is_enough { good - wanted } else { good };
        let mut expected = vec![line("OLD", 0, 3)];
        expected.extend((left > 0).then(|| line("NEW", left, 0)));
        assert_eq!(fixture.lots().await, expected, "{good} {wanted}");
        fixture.check_lots().await;
        fixture.relay(|_| true).await;
        assert_eq!(fixture.who_got("OLD").await, [], "{good} {wanted}");
    }
}

/// The same of a reservation whose stock follows after it is decided.
#[tokio::test]
async fn a_long_reservation_is_committed_of_goods_that_are_good() {
    for wanted in [2, 3] {
        let fixture = Fixture::with_shelf(15, 60, 3).await;
        let first = sku(0);
        fixture.keep_by_lots(&first).await;
        let old =
            RestockRequest { sku: first.clone(), ..delivery(Some("OLD"), Some(fixture.local_day(1)), 2) };
        restock(&fixture.ports, &fixture.caller, "k", &old).await.unwrap();
        let midnight =
            fixture.local_day(2).to_zoned(TimeZone::get("Europe/London").unwrap()).unwrap().timestamp();
        fixture.environment.set(midnight.checked_sub(Span::new().milliseconds(1)).unwrap());
        let held = fixture.reserve("r", &of_each(0..60, wanted, 60)).await.unwrap().reservation;
        fixture.environment.set(midnight);
        let all = CommitRequest::default();
        let id = held.reservation_id.as_str();
        reservations::commit(&fixture.ports, &fixture.caller, "c", id, &all).await.unwrap();
        let stock = fixture.stock(HERE, &first).await;
        let left = (3 - wanted) * 1_000;
        assert_eq!((stock.on_hand, stock.reserved, stock.quarantined), (left, 0, 2_000), "{wanted}");
        fixture.relay(|_| true).await;
        assert_eq!(fixture.who_got("OLD").await, [], "{wanted}");
        // What is kept aside is among the counters that the ledger proves.
        let proof = conservation::prove(&fixture.ports, &fixture.caller, HERE, &first).await.unwrap();
        assert!(proof.holds && proof.lots.is_some_and(|lots| lots.holds), "{wanted}");
        assert_eq!(proof.counters.quarantined, Some(whole(2)), "{wanted}");
    }
}

/// A location that was made a moment ago has its business days, also where a read is behind.
#[tokio::test]
async fn a_lot_comes_to_a_location_that_was_made_a_moment_ago() {
    let fixture = Fixture::new(16).await;
    fixture.keep_by_lots(A).await;
    let key = fixture.scope().location(HERE);
    let get = Get { table: Table::Catalog, key, consistency: Consistency::Strong };
    let here = location_of(&fixture.memory.get(get).await.unwrap().unwrap()).unwrap();
    let made = tillstream_domain::location::Location { id: "w-new".into(), ..here };
    fixture.memory.set_lag(50);
    put(&fixture.memory, Table::Catalog, location_item(fixture.scope(), &made).unwrap()).await;
    let coming = delivery(Some("L-1"), Some(fixture.local_day(3)), 4);
    let request = RestockRequest { location_id: "w-new".into(), ..coming };
    restock(&fixture.ports, &fixture.caller, "k", &request).await.unwrap();
    assert_eq!(fixture.lots_at("w-new").await, [line("L-1", 4, 0)]);
}
