//! How a cart stands in the orders table. The order is the cart's own item, under the same key, and
//! with its number it is the outbox.
//!
//! Headlines are plain attributes, so that a person can read them in the console; lines, payments and
//! keys are compact binary ([`tillstream_domain::compact`]).

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use tillstream_domain::cart::{
    Applied, Approvals, Cart, CartError, CartHolds, CartKind, CartState, Charges, DiscountHead,
    ENCODED_BYTES_MAX, Finalized, Kits, Line, LineCharges, LineDiscount, Lots, NumbersUsed, Payment,
    ReturnHead, SaleTerms,
};
use tillstream_domain::compact::{self, CompactError};
use tillstream_domain::lane::LaneNumber;
use tillstream_domain::pricing::ManualDiscount;

use super::course_item::{course_of, with_course};
use crate::database::Item;
use crate::error::{Error, Refusal, Result};
use crate::tenancy::TenantScope;

/// What is inside `body`. A change of shape is a new attribute name, so that old items stay readable.
#[derive(Serialize, Deserialize)]
struct Body {
    lines: Vec<Line>,
    payments: Vec<Payment>,
    numbers_used: NumbersUsed,
    return_of: Option<ReturnHead>,
    void_reason: Option<String>,
    opened_at: Timestamp,
}

/// What was inside `charges`, before there were taxes: discounts by hand.
#[derive(Serialize, Deserialize)]
struct UntaxedCharges {
    manual: Vec<ManualDiscount>,
    manual_used: u32,
    discounts: Vec<DiscountHead>,
    lines: BTreeMap<u32, UntaxedLine>,
    sold: BTreeMap<u32, UntaxedLine>,
}

#[derive(Serialize, Deserialize)]
struct UntaxedLine {
    gross: i64,
    discounts: Vec<(u16, i64)>,
}

impl From<UntaxedLine> for LineCharges {
    fn from(line: UntaxedLine) -> Self {
        let discounts =
            line.discounts.into_iter().map(|(head, amount)| LineDiscount { head, amount, tax: 0 });
        let discounts: Vec<_> = discounts.collect();
        let off = discounts.iter().fold(0_i64, |sum, one| sum.saturating_add(one.amount));
        LineCharges { net: line.gross.saturating_sub(off), discounts, taxes: Vec::new() }
    }
}

impl From<UntaxedCharges> for Charges {
    fn from(old: UntaxedCharges) -> Self {
        let lines = |lines: BTreeMap<u32, UntaxedLine>| {
            lines.into_iter().map(|(number, line)| (number, line.into())).collect()
        };
        Charges {
            manual: old.manual,
            manual_used: old.manual_used,
            discounts: old.discounts,
            lines: lines(old.lines),
            sold: lines(old.sold),
            ..Charges::default()
        }
    }
}

fn state_of(name: &str) -> Result<CartState> {
    [
        CartState::Open,
        CartState::Tendering,
        CartState::Paid,
        CartState::Finalized,
        CartState::Voided,
        CartState::Parked,
    ]
    .into_iter()
    .find(|state| state.name() == name)
    .ok_or_else(|| Error::Bug(format!("unknown cart state {name}")))
}

/// Bytes by which an open cart can grow until it is final, before they are deflated: payments, and the
/// reason of a void. As much as [`ENCODED_BYTES_MAX`] leaves of an item.
const ROOM_BYTES: usize = 100 * 1024;

fn too_large() -> Error {
    let error = CartError::TooLarge;
    Refusal::new(crate::RefusalKind::Invalid, error.code(), error.to_string()).into()
}

/// Encodes a part of a cart so that it stays readable when it has grown by `room` bytes.
///
/// # Errors
/// 422 `cart_too_large` where that is more than is read again; a bug if it cannot be encoded.
fn encoded<T: Serialize>(part: &T, room: usize) -> Result<Vec<u8>> {
    compact::encode_with_room(part, room).map_err(|error| match error {
        CompactError::TooLarge => too_large(),
        other => Error::bug(other),
    })
}

/// As [`encoded`], of a part that most carts do not have.
fn encoded_unless<T: Serialize>(is_empty: bool, part: &T) -> Result<Option<Vec<u8>>> {
    if is_empty { Ok(None) } else { encoded(part, 0).map(Some) }
}

/// Refuses a cart that is more than one item takes when it is tendered and final, whatever its state is: the lines
/// of an order from elsewhere are never stored while it is open.
///
/// # Errors
/// 422 `cart_too_large`.
pub fn check_size(scope: &TenantScope, cart: &Cart) -> Result<()> {
    item_of(scope, cart, true).map(drop)
}

/// The item of a cart.
///
/// # Errors
/// 422 `cart_too_large` where its encoding leaves no room to tender and finalise, or could not be read
/// again; a bug if it cannot
/// be encoded.
pub fn cart_item(scope: &TenantScope, cart: &Cart) -> Result<Item> {
    item_of(scope, cart, cart.state == CartState::Open)
}

/// The item of a cart that `grows` until it is final, or does not any more.
fn item_of(scope: &TenantScope, cart: &Cart, grows: bool) -> Result<Item> {
    let room = if grows { ROOM_BYTES } else { 0 };
    let body = Body {
        lines: cart.lines.clone(),
        payments: cart.payments.clone(),
        numbers_used: cart.numbers_used,
        return_of: cart.return_of.clone(),
        void_reason: cart.void_reason.clone(),
        opened_at: cart.opened_at,
    };
    let body = encoded(&body, room)?;
    let keys = encoded(&cart.applied, 0)?;
    let charges = encoded_unless(cart.charges.is_empty(), &cart.charges)?;
    let terms = encoded_unless(cart.terms.is_empty(), &cart.terms)?;
    let kits = encoded_unless(cart.kits.is_empty(), &cart.kits)?;
    let holds = encoded_unless(cart.holds.is_empty(), &cart.holds)?;
    let lots = encoded_unless(cart.lots.is_empty(), &cart.lots)?;
    let approvals = encoded_unless(cart.approvals.is_empty(), &cart.approvals)?;
    let own_shares = encoded_unless(cart.approvals.own_shares.is_empty(), &cart.approvals.own_shares)?;
    let countings = encoded_unless(cart.terms.countings.is_empty(), &cart.terms.countings)?;
    let length = |part: &Option<Vec<u8>>| part.as_ref().map_or(0, Vec::len);
    let bytes = body.len() + keys.len() + length(&charges) + length(&terms) + length(&approvals);
    let bytes = bytes + length(&kits) + length(&holds) + length(&lots) + length(&own_shares);
    let bytes = bytes + length(&countings);
    if grows && bytes > ENCODED_BYTES_MAX {
        return Err(too_large());
    }
    let totals = cart.totals().map_err(Error::bug)?;
    let item = Item::new(&scope.cart(&cart.id))
        .with("tenant_id", scope.tenant_id())
        .with("cart_id", cart.id.as_str())
        .with(
            "kind",
            match cart.kind {
                CartKind::Sale => "sale",
                CartKind::Return => "return",
            },
        )
        .with("version", i64::try_from(cart.version).map_err(Error::bug)?)
        .with("state", cart.state.name())
        .with("store_id", cart.store_id.as_str())
        .with("register_id", cart.register_id.as_str())
        .with("channel", cart.channel.as_str())
        .with("employee_id", cart.employee_id.as_str())
        .with("currency", cart.currency.code())
        .with("written_at", cart.written_at.to_string())
        .with("lines", i64::try_from(cart.lines.len()).map_err(Error::bug)?)
        .with("total", totals.total)
        .with_some("customer_id", cart.customer_id.as_deref())
        .with_some("region", cart.region.as_deref())
        .with_some("plan_attempt", cart.plan_attempt.map(i64::from))
        .with("body", body)
        .with_some("charged", charges)
        .with_some("terms", terms)
        .with_some("kits", kits)
        .with_some("holds", holds)
        .with_some("lots", lots)
        .with_some("approvals", approvals)
        .with_some("own_shares", own_shares)
        .with_some("countings", countings)
        .with("keys", keys);
    let item = with_course(item, &cart.course)?;
    let Some(done) = &cart.finalized else {
        return Ok(item);
    };
    let lane = &done.number.lane;
    let number = i64::try_from(done.number.number).map_err(Error::bug)?;
    // As long as nothing was written since, `written_at` says the same: a sale does not pay for it.
    let recorded_at = (done.recorded_at != cart.written_at).then(|| done.recorded_at.to_string());
    Ok(item
        .with_some("recorded_at", recorded_at.as_deref())
        .with("lane", lane.to_string())
        .with("lane_pk", scope.lane_orders(&lane.store_id, &lane.register_id, lane.epoch).value())
        .with("lane_number", number)
        .with("order_version", i64::from(done.order_version))
        .with("status", done.status.as_str())
        .with("finalized_at", done.at.to_string())
        .with("business_day", done.business_day.to_string())
        .with("hour_start", done.hour_start.as_second())
        .with("offset_seconds", i64::from(done.offset_seconds))
        .with("store_pk", scope.store_orders(&cart.store_id).value())
        .with("store_sk", store_sort_key(done.at, &cart.id)))
}

/// Sort key of an order among its store's: by time, then id. Milliseconds, biased so that times before
/// 1970 sort too.
pub fn store_sort_key(at: Timestamp, order_id: &str) -> String {
    format!("{:016}#{order_id}", at.as_millisecond().saturating_add(1_000_000_000_000_000))
}

/// Reads a cart.
///
/// # Errors
/// A bug if the item is not a cart.
pub fn cart_of(item: &Item) -> Result<Cart> {
    let body: Body = compact::decode(item.bytes("body")?).map_err(Error::bug)?;
    let applied: Applied = compact::decode(item.bytes("keys")?).map_err(Error::bug)?;
    let charges = match (item.opt_bytes("charged"), item.opt_bytes("charges")) {
        (Some(bytes), _) => compact::decode(bytes).map_err(Error::bug)?,
        (None, Some(bytes)) => compact::decode::<UntaxedCharges>(bytes).map_err(Error::bug)?.into(),
        (None, None) => Charges::default(),
    };
    let mut terms = match item.opt_bytes("terms") {
        None => SaleTerms::default(),
        Some(bytes) => compact::decode(bytes).map_err(Error::bug)?,
    };
    if let Some(bytes) = item.opt_bytes("countings") {
        terms.countings = compact::decode(bytes).map_err(Error::bug)?;
    }
    let kits = match item.opt_bytes("kits") {
        None => Kits::default(),
        Some(bytes) => compact::decode(bytes).map_err(Error::bug)?,
    };
    let holds = match item.opt_bytes("holds") {
        None => CartHolds::default(),
        Some(bytes) => compact::decode(bytes).map_err(Error::bug)?,
    };
    let lots = match item.opt_bytes("lots") {
        None => Lots::default(),
        Some(bytes) => compact::decode(bytes).map_err(Error::bug)?,
    };
    let written_at: Timestamp = item.text("written_at")?.parse().map_err(Error::bug)?;
    let mut approvals = match item.opt_bytes("approvals") {
        None => Approvals::default(),
        Some(bytes) => compact::decode(bytes).map_err(Error::bug)?,
    };
    if let Some(bytes) = item.opt_bytes("own_shares") {
        approvals.own_shares = compact::decode(bytes).map_err(Error::bug)?;
    }
    let finalized = match item.opt_number("lane_number") {
        None => None,
        Some(number) => Some(Finalized {
            number: LaneNumber {
                lane: item.text("lane")?.parse().map_err(Error::bug)?,
                number: u64::try_from(number).map_err(Error::bug)?,
            },
            order_version: u32::try_from(item.number("order_version")?).map_err(Error::bug)?,
            status: item.text("status")?.to_owned(),
            at: item.text("finalized_at")?.parse().map_err(Error::bug)?,
            recorded_at: match item.opt_text("recorded_at") {
                Some(recorded_at) => recorded_at.parse().map_err(Error::bug)?,
                None => written_at,
            },
            business_day: item.text("business_day")?.parse().map_err(Error::bug)?,
            hour_start: Timestamp::from_second(item.number("hour_start")?).map_err(Error::bug)?,
            offset_seconds: i32::try_from(item.number("offset_seconds")?).map_err(Error::bug)?,
        }),
    };
    Ok(Cart {
        id: item.text("cart_id")?.to_owned(),
        kind: if item.text("kind")? == "return" { CartKind::Return } else { CartKind::Sale },
        version: u64::try_from(item.number("version")?).map_err(Error::bug)?,
        state: state_of(item.text("state")?)?,
        store_id: item.text("store_id")?.to_owned(),
        register_id: item.text("register_id")?.to_owned(),
        channel: item.text("channel")?.to_owned(),
        customer_id: item.opt_text("customer_id").map(Into::into),
        region: item.opt_text("region").map(Into::into),
        employee_id: item.text("employee_id")?.to_owned(),
        currency: item.text("currency")?.parse().map_err(Error::bug)?,
        opened_at: body.opened_at,
        written_at,
        lines: body.lines,
        payments: body.payments,
        charges,
        terms,
        kits,
        holds,
        lots,
        approvals,
        numbers_used: body.numbers_used,
        applied,
        plan_attempt: item.opt_number("plan_attempt").map(u32::try_from).transpose().map_err(Error::bug)?,
        return_of: body.return_of,
        void_reason: body.void_reason,
        course: course_of(item)?,
        finalized,
    })
}
