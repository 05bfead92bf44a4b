//! Lots: first expired first out, kept aside when recalled or past their day, and known to whom they went.

mod arrivals;
mod assigned;
mod commits;
mod held;
mod long_ledger;
mod random_days;
mod recalls;
mod transfers;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use jiff::civil::Date;
use jiff::tz::TimeZone;
use jiff::{Span, Timestamp};
use serde_json::json;
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
use tillstream_app::sync::entities::Entity;
use tillstream_app::sync::upload::{Upload, upload};
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

    /// HQ closes a location.
    async fn close_location(&self, location_id: &str) {
        let body = format!("{}\n", json!({"id": location_id, "version": 9, "op": "delete"}));
        let call =
            Upload { entity: Entity::Locations, body: body.as_bytes(), from: 1, deadline: Timestamp::MAX };
        assert_eq!(upload(&self.ports, &self.caller, call).await.unwrap().applied, 1);
    }

    /// The day so many days from now, at the locations of the fixture.
    pub(crate) fn local_day(&self, days: i64) -> Date {
        let local = self.environment.now().to_zoned(TimeZone::get("Europe/London").unwrap());
        local.date().checked_add(Span::new().days(days)).unwrap()
    }

    pub(crate) async fn lot_in(
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

    pub(crate) async fn change_lot(
        &self,
        key: &str,
        lot: &str,
        change: Change,
    ) -> Result<recall::Answer, Error> {
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

    pub(crate) async fn lots(&self) -> Vec<Line> {
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
