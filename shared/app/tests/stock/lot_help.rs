//! What tests of lots do again and again.

use jiff::Span;
use jiff::civil::Date;
use jiff::tz::TimeZone;
use tillstream_app::catalog::items::product_item;
use tillstream_app::database::Table;
use tillstream_app::environment::Environment;
use tillstream_app::error::Refusal;
use tillstream_app::stock::lots::recall::{self, Change};
use tillstream_app::stock::lots::{here, list, sold};
use tillstream_app::stock::restock::{self, restock};
use tillstream_app::stock::{conservation, update};
use tillstream_app::{Error, Result};
use tillstream_contracts::inventory::{RestockRequest, StockUpdateKind, StockUpdateRequest};
use tillstream_contracts::lots::{ChangeLotRequest, LotQuery};
use tillstream_domain::product::Product;
use tillstream_domain::quantity::QuantityInput;

use crate::fixture::{Fixture, SKUS, product, put};

pub const A: &str = SKUS[0];
pub const B: &str = SKUS[1];
pub const HERE: &str = "s-leeds";
pub const THERE: &str = "s-york";

/// Lot, on hand and quarantined of one line of a list.
pub type Line = (Option<String>, i64, i64);

pub fn line(lot: &str, on_hand: i64, quarantined: i64) -> Line {
    (Some(lot.to_owned()), on_hand, quarantined)
}

pub fn unknown(on_hand: i64) -> Line {
    (None, on_hand, 0)
}

pub fn whole(quantity: &QuantityInput) -> i64 {
    match quantity {
        QuantityInput::Whole(pieces) => *pieces,
        QuantityInput::Decimal(text) => panic!("{text} is not whole"),
    }
}

pub fn refused<T: std::fmt::Debug>(result: Result<T>) -> Refusal {
    match result.unwrap_err() {
        Error::Rejected(refusal) => *refusal,
        other => panic!("not a refusal: {other}"),
    }
}

/// Code and first field.
pub fn told(refusal: &Refusal) -> (&'static str, &str) {
    (refusal.code, refusal.errors.first().map_or("", |error| error.field.as_str()))
}

/// A fixture that keeps the stock of A by lots.
pub async fn fixture(seed: u64) -> Fixture {
    let fixture = Fixture::new(seed).await;
    by_lots(&fixture, A).await;
    fixture
}

pub async fn by_lots(fixture: &Fixture, sku: &str) {
    let product = Product { lots: true, ..product(sku) };
    put(&fixture.memory, Table::Catalog, product_item(fixture.scope(), &product).unwrap()).await;
}

/// The day so many days from now.
pub fn day(fixture: &Fixture, days: i64) -> Date {
    let local = fixture.environment.now().to_zoned(TimeZone::get("Europe/London").unwrap());
    local.date().checked_add(Span::new().days(days)).unwrap()
}

/// So many of a lot of A come to a location; its last day is so many days from now.
pub async fn comes(
    fixture: &Fixture,
    location_id: &str,
    lot: Option<&str>,
    days: Option<i64>,
    many: i64,
) -> restock::Answer {
    let request = RestockRequest {
        location_id: location_id.into(),
        sku: A.into(),
        quantity: QuantityInput::Whole(many),
        supplier_id: None,
        reference: None,
        reason: None,
        lot: lot.map(Into::into),
        expires_on: days.map(|days| day(fixture, days)),
    };
    let key = format!("in-{location_id}-{lot:?}-{many}");
    restock(&fixture.ports, &fixture.caller, &key, &request).await.unwrap()
}

/// So many of A go without a lot, or come where the number is above zero.
pub async fn moves(fixture: &Fixture, key: &str, lot: Option<&str>, many: i64) {
    let request = StockUpdateRequest {
        location_id: HERE.into(),
        sku: A.into(),
        kind: StockUpdateKind::Delta,
        quantity: QuantityInput::Whole(many),
        reason: "looked".into(),
        expected_version: None,
        lot: lot.map(Into::into),
        expires_on: None,
    };
    update::update(&fixture.ports, &fixture.caller, key, &request, |_| Ok(())).await.unwrap();
}

pub fn why() -> ChangeLotRequest {
    ChangeLotRequest { reason: "a leak".into() }
}

pub async fn change_here(fixture: &Fixture, key: &str, lot: &str, change: Change) -> Result<here::Answer> {
    here::change(&fixture.ports, &fixture.caller, key, (lot, HERE), change, &why()).await
}

pub async fn everywhere(fixture: &Fixture, key: &str, lot: &str, change: Change) {
    recall::change(&fixture.ports, &fixture.caller, key, lot, change, &why()).await.unwrap();
}

/// The lots of A at a location.
pub async fn lots(fixture: &Fixture, location_id: &str) -> Vec<Line> {
    let query =
        LotQuery { sku: Some(A.into()), location_id: Some(location_id.into()), ..LotQuery::default() };
    let found = list::list(&fixture.ports, &fixture.caller, &query).await.unwrap();
    found.items.iter().map(|lot| (lot.lot_id.clone(), whole(&lot.on_hand), whole(&lot.quarantined))).collect()
}

/// Who got of a lot: kind and pieces.
pub async fn who_got(fixture: &Fixture, lot: &str) -> Vec<(String, i64)> {
    let page = sold::orders(&fixture.ports, &fixture.caller, lot, None, None).await.unwrap();
    page.items.into_iter().map(|one| (one.kind, whole(&one.quantity))).collect()
}

/// The ledger and the lots of A add up at every moment.
pub async fn check(fixture: &Fixture) {
    fixture.check_invariants();
    fixture.relay(|_| true).await;
    let proof = conservation::prove(&fixture.ports, &fixture.caller, HERE, A).await.unwrap();
    assert!(proof.holds && proof.lots.as_ref().is_some_and(|lots| lots.holds), "{proof:?}");
}
