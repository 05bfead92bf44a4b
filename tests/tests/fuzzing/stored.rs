//! What is stored compactly: pages, records, carts.

mod carts;

use std::collections::BTreeMap;
use std::fmt::Debug;
use std::io::Write;

use flate2::Compression;
use flate2::write::DeflateEncoder;
use jiff::Timestamp;
use jiff::civil::Date;
use proptest::collection::{btree_map, btree_set, vec};
use proptest::option::of;
use proptest::prelude::*;
use proptest::sample::select;
use serde::Serialize;
use serde::de::DeserializeOwned;
use tillstream_app::aggregation::completeness::Completeness;
use tillstream_app::database::{Item, Value};
use tillstream_app::pos::cart_item::{cart_item, cart_of};
use tillstream_app::stock::alerts::StoredAlert;
use tillstream_app::stock::backorders::StoredBackorder;
use tillstream_app::stock::long_reservations::chunk::Chunk;
use tillstream_app::stock::purchases::{self, StoredPurchase};
use tillstream_app::stock::reservation_item::Reservation;
use tillstream_app::stock::stock_facts::fact_of;
use tillstream_app::stock::transfers::{Body, Pending, Step, StoredTransfer};
use tillstream_app::tenancy::TenantScope;
use tillstream_domain::aggregates::{
    FactKind, FactLine, FactPayment, Folded, HourPage, Metrics, ProductPage, Products, SaleFact,
};
use tillstream_domain::approval::DiscountRule;
use tillstream_domain::cart::applied::CommandIdentity;
use tillstream_domain::cart::{
    Applied, AppliedCoupon, Approvals, ApprovedPart, Cart, CartKind, CartState, Charges, Course,
    CustomerTerms, DiscountHead, Disposition, Exchanged, Finalized, Kits, LimitedUse, Line, LineCharges,
    LineDiscount, LineTerms, Lots, NumbersUsed, OriginalLine, OriginalSale, Outcome, Payment, ReturnHead,
    ReturnLine, Returned, SaleTerms, StockMove, TaxHead, Unapplied, UsedApproval,
};
use tillstream_domain::compact::{self, CompactError};
use tillstream_domain::interval_set::IntervalSet;
use tillstream_domain::kit::KitPart;
use tillstream_domain::lane::{Lane, LaneNumber};
use tillstream_domain::money::{Currency, UNIT_PRICE_MAX, UnitPrice};
use tillstream_domain::pricing::{
    Coupon, CouponBenefit, ManualDiscount, ManualDiscountKind, Modifier, Reason, Selector, Source,
};
use tillstream_domain::purchase_order::{self, PurchaseAction, PurchaseLine};
use tillstream_domain::quantity::{Quantity, Unit};
use tillstream_domain::transfer::{Settled, TransferAction, TransferLine};
use tillstream_domain::use_counting::{Counting, Countings};

use self::carts::cart;
use crate::alterations::{altered_bytes, any_bytes, any_text, json_input};
use crate::guarded;

/// Times its input that reading may take: a line of a cart is eleven bytes at least, and takes 200.
const FACTOR: u64 = 60;

fn day() -> impl Strategy<Value = Date> {
    (1970..9998_i16, 1..=12_i8, 1..=28_i8).prop_map(|(year, month, day)| Date::new(year, month, day).unwrap())
}

fn instant() -> impl Strategy<Value = Timestamp> {
    (0..253_000_000_000_i64, 0..1_000_000_000_i32).prop_map(|(s, n)| Timestamp::new(s, n).unwrap())
}

fn id() -> impl Strategy<Value = String> {
    "[a-zA-Z0-9][a-zA-Z0-9._~:-]{0,10}"
}

fn quantity() -> impl Strategy<Value = Quantity> {
    (-1_000_000_000..=1_000_000_000_i64).prop_map(|n| Quantity::from_thousandths(n).unwrap())
}

fn price() -> impl Strategy<Value = UnitPrice> {
    (0..=UNIT_PRICE_MAX).prop_map(|n| UnitPrice::from_ten_thousandths(n).unwrap())
}

fn unit() -> impl Strategy<Value = Unit> {
    select(vec![Unit::Piece, Unit::Kg, Unit::M, Unit::L])
}

fn intervals() -> impl Strategy<Value = IntervalSet> {
    vec((any::<u64>(), 1..40_u64), 0..12).prop_map(|runs| {
        runs.into_iter().flat_map(|(start, length)| start..start.saturating_add(length)).collect()
    })
}

fn amount() -> impl Strategy<Value = i64> {
    prop_oneof![4 => -1_000_000_000_000..=1_000_000_000_000_i64, 1 => any::<i64>()]
}

fn fact() -> impl Strategy<Value = SaleFact> {
    let lines = (any_text(), of(any_text()), quantity(), amount(), amount(), amount()).prop_map(
        |(sku, category, quantity, gross, discount, tax)| FactLine {
            sku,
            category,
            quantity,
            gross,
            discount,
            tax,
        },
    );
    let payments = (select(vec!["cash", "card", "voucher"]), amount(), amount())
        .prop_map(|(tender, amount, tip)| FactPayment { tender: tender.to_owned(), amount, tip });
    let dimensions = (id(), 0..3_u32, any::<u64>(), day(), instant(), any::<i32>());
    (any::<bool>(), dimensions, any_text(), of(any_text()), vec(lines, 0..5), vec(payments, 0..4)).prop_map(
        |(
            sale,
            (register, epoch, number, business_day, hour_start, offset_seconds),
            channel,
            segment,
            lines,
            payments,
        )| SaleFact {
            kind: if sale { FactKind::Sale } else { FactKind::Return },
            lane: Lane { store_id: "s".into(), register_id: register.clone(), epoch },
            number,
            business_day,
            hour_start,
            offset_seconds,
            register_id: register,
            employee_id: "e".into(),
            channel,
            segment,
            currency: Currency::GBP,
            lines,
            payments,
        },
    )
}

/// Reads bytes of any quality; what can be read is written and read again as it is.
#[track_caller]
fn reads<T: Serialize + DeserializeOwned + PartialEq + Debug>(bytes: &[u8]) {
    if let Ok(value) = guarded(bytes.len(), FACTOR, || compact::decode::<T>(bytes)) {
        assert_eq!(compact::decode::<T>(&compact::encode(&value).unwrap()), Ok(value));
    }
}

fn scope() -> TenantScope {
    TenantScope::from_own_record("demo")
}

fn deflated(plain: &[u8]) -> Vec<u8> {
    let mut encoder = DeflateEncoder::new(vec![2], Compression::best());
    encoder.write_all(plain).unwrap();
    encoder.finish().unwrap()
}

/// Valid encodings of everything that is stored so.
fn encodings() -> Vec<Vec<u8>> {
    let line = |number| Line {
        number,
        sku: format!("8512{number}A"),
        name: "WHITE HANGING HEART".into(),
        category: None,
        quantity: Quantity::from_thousandths(6_000).unwrap(),
        unit: Unit::Piece,
        stocked: true,
        unit_price: "2.55".parse().unwrap(),
        price_overridden: false,
        notes: None,
        returned: None,
    };
    let lines: Vec<Line> = (1..9).map(line).collect();
    let many: Vec<Line> = (1..200).map(line).collect();
    let mut folded = Folded::default();
    for number in [1, 2, 3, 7, 9] {
        folded.insert(&Lane::new("s", "r-1"), number);
    }
    let metrics = Metrics { gross: 1_099, orders: 3, units: 6_000, ..Metrics::default() };
    let skus = BTreeMap::from([("85123A".to_owned(), metrics), ("22423".to_owned(), metrics)]);
    let page = ProductPage { folded: folded.clone(), products: BTreeMap::from([(Currency::GBP, skus)]) };
    let set: IntervalSet = [1, 2, 3, 9, 11].into_iter().collect();
    vec![
        compact::encode(&lines).unwrap(),
        compact::encode(&many).unwrap(),
        compact::encode(&page).unwrap(),
        compact::encode(&set).unwrap(),
        compact::encode(&Completeness { folded, ..Completeness::default() }).unwrap(),
        compact::encode(&page.products).unwrap(),
        compact::encode(&transfer_body()).unwrap(),
        compact::encode(&purchase_body()).unwrap(),
    ]
}

fn backorder_item(numbers: &[i64], state: &str, placed: &str) -> Item {
    let names =
        ["quantity", "number", "hold_seconds", "created_at", "expires_at", "fulfilled", "told", "version"];
    let item = Item::new(&scope().backorder("b-1"))
        .with("backorder_id", "b-1")
        .with("state", state)
        .with("location_id", "a")
        .with("sku", "85123A")
        .with("unit", "piece")
        .with("created_by", "e-7")
        .with("placed", placed);
    names.into_iter().zip(numbers).fold(item, |item, (name, number)| item.with(name, *number))
}

fn alert_item(numbers: &[i64], level: &str) -> Item {
    let names = ["available", "reorder_point", "raised_at", "changed_at", "stock_version", "told", "version"];
    let item = Item::new(&scope().stock_alert("a", "85123A"))
        .with("alert_id", "al-1")
        .with("location_id", "a")
        .with("sku", "85123A")
        .with("level", level);
    names.into_iter().zip(numbers).fold(item, |item, (name, number)| item.with(name, *number))
}

fn purchase_body() -> purchases::Body {
    let six = Quantity::from_thousandths(6_000).unwrap();
    let cost = Some("1.10".parse().unwrap());
    let lines = ["85123A", "22423"].map(|sku| PurchaseLine::ordered(sku.into(), Unit::Piece, cost, six));
    let none = Quantity::ZERO;
    let settled =
        purchase_order::Settled { line: 0, received: six, damaged: none, written_off: none, taken: six };
    let step = |action, settled| purchases::Step {
        action,
        key: "k".into(),
        fingerprint: "f".into(),
        request: 7,
        at: 1_291_190_760_000,
        by: "e-7".into(),
        reason: Some("bankrupt".into()),
        settled,
        version: 1,
    };
    let pending = purchases::Pending { step: step(PurchaseAction::Close, vec![settled]), done: 0 };
    let steps = vec![step(PurchaseAction::Place, vec![]), step(PurchaseAction::Receive, vec![settled])];
    purchases::Body { lines: lines.into(), steps, pending: Some(pending) }
}

fn transfer_body() -> Body {
    let shipped = Quantity::from_thousandths(6_000).unwrap();
    let lines = ["85123A", "22423"].map(|sku| TransferLine::shipped(sku.into(), Unit::Piece, shipped));
    let none = Quantity::ZERO;
    let settled = Settled { line: 0, received: shipped, damaged: none, returned: none };
    let step = |action, settled| Step {
        action,
        key: "k".into(),
        fingerprint: "f".into(),
        request: 7,
        at: 1_291_190_760_000,
        by: "e-7".into(),
        reason: Some("wet".into()),
        settled,
        version: 1,
    };
    let pending = Pending { step: step(TransferAction::Return, vec![settled]), done: 0, undoing: false };
    let steps = vec![step(TransferAction::Ship, vec![]), step(TransferAction::Receive, vec![settled])];
    Body { lines: lines.into(), steps, pending: Some(pending) }
}

/// Bytes that are no encoding, or hardly one.
fn garbage() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        4 => altered_bytes(encodings()),
        2 => (1..=2_u8, any_bytes()).prop_map(|(format, rest)| [vec![format], rest].concat()),
        1 => any_bytes(),
        1 => any_bytes().prop_map(|plain| deflated(&plain)),
        // A length that is claimed, with little behind it.
        2 => (any::<u64>(), any_bytes()).prop_map(|(length, rest)| {
            [vec![1], postcard::to_stdvec(&length).unwrap(), rest].concat()
        }),
    ]
}

proptest! {
    #[test]
    fn garbage_is_an_error_and_takes_little(bytes in garbage()) {
        reads::<IntervalSet>(&bytes);
        reads::<HourPage>(&bytes);
        reads::<ProductPage>(&bytes);
        reads::<Products>(&bytes);
        reads::<Completeness>(&bytes);
        reads::<Vec<Line>>(&bytes);
        reads::<Vec<Payment>>(&bytes);
        reads::<Vec<StockMove>>(&bytes);
        reads::<Applied>(&bytes);
        reads::<Charges>(&bytes);
        reads::<SaleTerms>(&bytes);
        reads::<Kits>(&bytes);
        reads::<Lots>(&bytes);
        reads::<Returned>(&bytes);
        reads::<Option<ReturnHead>>(&bytes);
        reads::<Body>(&bytes);
        reads::<String>(&bytes);
    }

    #[test]
    fn interval_sets_round_trip(set in intervals(), probe in any::<u64>()) {
        prop_assert_eq!(compact::decode::<IntervalSet>(&compact::encode(&set).unwrap()), Ok(set.clone()));
        let gaps = set.gaps_up_to(probe);
        prop_assert!(gaps.iter().all(|(first, last)| !set.contains(*first) && !set.contains(*last)));
        prop_assert!(set.through() <= set.last() && set.len() <= set.last().saturating_add(1));
    }

    /// Facts with amounts at the ends of their type, too: sums stay at the limit.
    #[test]
    fn pages_round_trip(facts in vec(fact(), 0..8)) {
        let (mut hour, mut products) = (HourPage::default(), ProductPage::default());
        guarded(10_000, FACTOR, || {
            for fact in &facts {
                hour.fold(fact);
                products.fold(fact, 0, 1);
            }
        });
        prop_assert_eq!(compact::decode::<HourPage>(&compact::encode(&hour).unwrap()), Ok(hour));
        prop_assert_eq!(compact::decode::<ProductPage>(&compact::encode(&products).unwrap()), Ok(products));
    }

    #[test]
    fn carts_round_trip(cart in cart()) {
        let item = guarded(10_000, FACTOR, || cart_item(&scope(), &cart));
        if let Ok(item) = item {
            prop_assert_eq!(cart_of(&item).unwrap(), cart);
        }
    }

    #[test]
    fn an_altered_cart_is_read_or_refused(cart in cart(), body in garbage(), keys in garbage(), which in 0..7) {
        let Ok(item) = cart_item(&scope(), &cart) else { return Ok(()) };
        let item = match which {
            0 => item.with("body", body),
            1 => item.with("keys", keys),
            2 => item.with("charged", keys),
            3 => item.with("terms", keys),
            4 => {
                let mut item = item;
                item.0.remove("charged");
                item.with("charges", keys)
            }
            5 => item.with("kits", keys),
            _ => item.with("body", body).with("keys", keys),
        };
        guarded(1_000, FACTOR, || {
            if let Ok(cart) = cart_of(&item) {
                let _ = (cart.totals(), cart.stock_moves());
            }
        });
    }

    #[test]
    fn an_altered_attribute_is_read_or_refused(
        cart in cart(), at in any::<proptest::sample::Index>(), text in any_text(), number in any::<i64>(), which in 0..3,
    ) {
        let Ok(Item(mut attributes)) = cart_item(&scope(), &cart) else { return Ok(()) };
        let name = attributes.keys().nth(at.index(attributes.len())).unwrap().clone();
        match which {
            0 => attributes.insert(name, Value::S(text)),
            1 => attributes.insert(name, Value::N(number)),
            _ => attributes.remove(&name),
        };
        guarded(10_000, FACTOR, || {
            if let Ok(cart) = cart_of(&Item(attributes)) {
                let _ = (cart.totals(), cart.stock_moves());
            }
        });
    }

    #[test]
    fn an_altered_transfer_is_read_or_refused(body in garbage(), version in any::<i64>()) {
        let item = Item::new(&scope().transfer("t-1"))
            .with("transfer_id", "t-1").with("from_location_id", "a").with("to_location_id", "b")
            .with("created_at", version).with("born", version).with("version", version).with("body", body);
        guarded(1_000, FACTOR, || {
            if let Ok(read) = StoredTransfer::of(&item) {
                let _ = (read.shown(), read.summary());
            }
        });
    }

    #[test]
    fn an_altered_chunk_of_a_reservation_is_read_or_refused(lines in garbage(), number in any::<i64>()) {
        let item = Item::new(&scope().reservation_chunk("r-1", 0))
            .with("attempt", number).with("version", number).with("state", "held")
            .with("unsettled", number).with("lines", lines);
        guarded(1_000, FACTOR, || {
            if let Ok(read) = Chunk::of(0, &item) {
                let _ = read.lines.iter().map(|line| line.held_before(u32::MAX)).collect::<Vec<_>>();
            }
        });
    }

    #[test]
    fn an_altered_purchase_order_is_read_or_refused(
        body in garbage(), version in any::<i64>(), percent in any::<i64>(), currency in "[A-Z]{2,4}",
    ) {
        let item = Item::new(&scope().purchase_order("po-1"))
            .with("purchase_order_id", "po-1").with("supplier_id", "sup-1").with("location_id", "a")
            .with("currency", currency).with("over_delivery_percent", percent).with("expected_at", version)
            .with("created_at", version).with("version", version).with("body", body);
        guarded(1_000, FACTOR, || {
            if let Ok(read) = StoredPurchase::of(&item) {
                let _ = (read.shown(), read.summary(), read.status());
            }
        });
    }

    #[test]
    fn an_altered_backorder_is_read_or_refused(
        placed in json_input(vec![serde_json::json!({"key": "k", "fingerprint": "f", "request": 1})]),
        numbers in vec(prop_oneof![3 => 0..5_000_i64, 1 => any::<i64>()], 8),
        state in prop_oneof![select(vec!["waiting", "reserved", "expired"]).prop_map(str::to_owned), any_text()],
    ) {
        let placed = String::from_utf8_lossy(&placed).into_owned();
        let item = backorder_item(&numbers, &state, &placed);
        guarded(placed.len() + state.len(), 100, || {
            if let Ok(read) = StoredBackorder::of(&item) {
                let _ = (read.shown(), read.as_placed());
            }
        });
    }

    #[test]
    fn an_altered_alert_is_read_or_refused(
        numbers in vec(prop_oneof![3 => 0..5_000_i64, 1 => any::<i64>()], 7),
        level in prop_oneof![select(vec!["ok", "low", "out"]).prop_map(str::to_owned), any_text()],
    ) {
        let item = alert_item(&numbers, &level);
        guarded(1_000, 100, || {
            if let Ok(read) = StoredAlert::of(&item) {
                let _ = read.shown();
            }
        });
    }

    #[test]
    fn an_altered_fact_of_stock_is_read_or_refused(
        message in any_text(), subject in any_text(), version in any::<i64>(), at in any::<i64>(),
    ) {
        let item = Item::new(&scope().stock_fact("_alert:al-1", 1))
            .with("tenant_id", "t").with("subject", subject.as_str()).with("fact_version", version)
            .with("status", "low").with("location_id", "a").with("at", at).with("message", message.as_str());
        guarded(message.len() + subject.len(), 100, || {
            let _ = fact_of(None, Some(&item));
        });
    }

    #[test]
    fn an_altered_reservation_is_read_or_refused(
        lines in json_input(vec![serde_json::json!([{"location_id": "s-1", "sku": "X", "quantity": 6_000, "unit": "Piece"}])]),
        keys in json_input(vec![serde_json::json!([{"key": "k", "fingerprint": "f", "request": 1, "state": "active", "expires_at": "2026-11-21T10:00:00Z"}])]),
        kits in of(garbage()),
        expires_at in any::<i64>(),
    ) {
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let item = Item::new(&scope().reservation("r-1")).with_some("kits", kits)
            .with("reservation_id", "r-1").with("state", "active").with("version", 1)
            .with("created_at", 0).with("created_by", "u").with("expires_at", expires_at)
            .with("lines", text(&lines).as_str()).with("keys", text(&keys).as_str());
        guarded(1_000 + lines.len() + keys.len(), 100, || {
            if let Ok(read) = Reservation::of(&item) {
                let _ = (read.shown(Timestamp::UNIX_EPOCH), read.holds(), read.quantities());
            }
        });
    }
}

/// Lengths from one more than there is to the end of the type, for lists, texts and maps, plain and
/// deflated: no room is made for what is not there.
#[test]
fn a_claimed_length_beyond_the_input_is_refused() {
    for length in [2, 255, 1 << 16, 1 << 31, 1 << 32, 1 << 62, u64::MAX] {
        let claim = [postcard::to_stdvec(&length).unwrap(), vec![0]].concat();
        for bytes in [[vec![1], claim.clone()].concat(), deflated(&claim)] {
            let refused = guarded(bytes.len(), FACTOR, || {
                [
                    compact::decode::<String>(&bytes).is_err(),
                    compact::decode::<Vec<Line>>(&bytes).is_err(),
                    compact::decode::<Vec<u8>>(&bytes).is_err(),
                    compact::decode::<BTreeMap<String, Metrics>>(&bytes).is_err(),
                    compact::decode::<IntervalSet>(&bytes).is_err(),
                    compact::decode::<Applied>(&bytes).is_err(),
                ]
            });
            assert_eq!(refused, [true; 6], "length {length}");
        }
    }
}

/// A few kilobytes that inflate to many megabytes, as text and as lines.
#[test]
fn what_inflates_beyond_the_bound_is_refused() {
    let bomb = deflated(&vec![0; 64 * 1024 * 1024]);
    assert!(bomb.len() < 100_000);
    let refused = guarded(9 * 1024 * 1024, 3, || compact::decode::<String>(&bomb));
    assert_eq!(refused, Err(CompactError::TooLarge));
}

#[test]
fn what_is_left_over_is_refused() {
    for bytes in encodings() {
        let mut longer = bytes.clone();
        longer.push(0);
        for bytes in [longer, [bytes.clone(), bytes].concat()] {
            assert!(compact::decode::<Vec<Line>>(&bytes).is_err());
            assert!(compact::decode::<ProductPage>(&bytes).is_err());
            assert!(compact::decode::<IntervalSet>(&bytes).is_err());
        }
    }
}

/// What is written can be read: a cart whose lines inflate beyond the bound is refused when written.
#[test]
fn nothing_is_written_that_cannot_be_read() {
    let note = "\u{1F389}".repeat(500);
    let line = |number| Line {
        number,
        sku: "85123A".into(),
        name: "WHITE HANGING HEART".into(),
        category: None,
        quantity: Quantity::from_thousandths(1_000).unwrap(),
        unit: Unit::Piece,
        stocked: true,
        unit_price: "0.01".parse().unwrap(),
        price_overridden: false,
        notes: Some(note.clone()),
        returned: None,
    };
    let at = Timestamp::UNIX_EPOCH;
    let cart = Cart {
        id: "c-1".into(),
        kind: CartKind::Sale,
        version: 1,
        state: CartState::Open,
        store_id: "s-1".into(),
        register_id: "r-1".into(),
        channel: "pos".into(),
        customer_id: None,
        region: None,
        employee_id: "e-1".into(),
        currency: Currency::GBP,
        opened_at: at,
        written_at: at,
        lines: (1..=5_000).map(line).collect(),
        payments: vec![],
        charges: Charges::default(),
        terms: SaleTerms::default(),
        kits: Kits::default(),
        holds: tillstream_domain::cart::CartHolds::default(),
        lots: Lots::default(),
        approvals: Approvals::default(),
        numbers_used: NumbersUsed::default(),
        applied: Applied::default(),
        plan_attempt: None,
        return_of: None,
        void_reason: None,
        course: tillstream_domain::cart::Course::default(),
        finalized: None,
    };
    assert_eq!(cart_item(&scope(), &cart).unwrap_err().code(), Some("cart_too_large"));
    let fewer = Cart { lines: cart.lines[..4_000].to_vec(), ..cart };
    assert_eq!(cart_of(&cart_item(&scope(), &fewer).unwrap()).unwrap(), fewer);
}

/// The items that are altered above are ones that are read where nothing is altered.
#[test]
fn what_is_altered_can_be_read_as_it_stands() {
    let transfer = Item::new(&scope().transfer("t-1"))
        .with("transfer_id", "t-1")
        .with("from_location_id", "a")
        .with("to_location_id", "b")
        .with("created_at", 1)
        .with("born", 1)
        .with("version", 1)
        .with("body", compact::encode(&transfer_body()).unwrap());
    assert_eq!(StoredTransfer::of(&transfer).unwrap().shown().lines.len(), 2);
    let order = Item::new(&scope().purchase_order("po-1"))
        .with("purchase_order_id", "po-1")
        .with("supplier_id", "sup-1")
        .with("location_id", "a")
        .with("currency", "GBP")
        .with("over_delivery_percent", 5)
        .with("expected_at", 1)
        .with("created_at", 1)
        .with("version", 1)
        .with("body", compact::encode(&purchase_body()).unwrap());
    assert_eq!(StoredPurchase::of(&order).unwrap().shown().lines.len(), 2);
    let backorder = backorder_item(&[1; 8], "reserved", r#"{"key":"k","fingerprint":"f","request":1}"#);
    assert_eq!(StoredBackorder::of(&backorder).unwrap().shown().number, 1);
    let alert = alert_item(&[1; 7], "low");
    assert_eq!(StoredAlert::of(&alert).unwrap().shown().alert_id, "al-1");
}
