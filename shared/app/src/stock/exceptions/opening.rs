//! What every write that opens an exception sets.

use jiff::Timestamp;
use tillstream_domain::quantity::Unit;

use crate::database::Change;
use crate::stock::taken_beyond::Taker;
use crate::tenancy::TenantScope;

/// What every write of an exception sets: it is open, and listed so from when it was first opened.
pub(super) fn opened(
    scope: &TenantScope,
    id: &str,
    kind: &'static str,
    location_id: &str,
    now: Timestamp,
) -> Vec<Change> {
    vec![
        Change::Set("tenant_id", scope.tenant_id().into()),
        Change::Set("exception_id", id.into()),
        Change::Set("kind", kind.into()),
        Change::Set("state", "open".into()),
        Change::Set("location_id", location_id.into()),
        Change::SetIfAbsent("opened_at", now.as_millisecond().into()),
        Change::Set("location_pk", scope.stock_exceptions(location_id, "open").value().into()),
        Change::SetIfAbsent("location_sk", listed_at(id, now).into()),
    ]
}

/// Where an exception stands among those of its location that was opened so.
pub(super) fn listed_at(id: &str, now: Timestamp) -> String {
    format!("{:015}#{id}", now.as_millisecond().max(0))
}

/// Of which goods it is.
pub(super) fn of_goods(sku: &str, unit: Option<Unit>) -> impl Iterator<Item = Change> {
    let unit = unit.map(|unit| Change::Set("unit", unit.name().into()));
    std::iter::once(Change::Set("sku", sku.into())).chain(unit)
}

/// Of which order it is, who sold it at which register, and when.
pub(super) fn of_sale(
    order_id: &str,
    (register_id, employee_id): (&str, &str),
    at: Timestamp,
) -> [Change; 5] {
    [
        Change::Set("reference", order_id.into()),
        Change::Set("order_id", order_id.into()),
        Change::Set("register_id", register_id.into()),
        Change::Set("employee_id", employee_id.into()),
        Change::Set("occurred_at", at.as_millisecond().into()),
    ]
}

/// Who took goods, with which order or reservation, and when.
pub(super) fn of_taker(taker: &Taker<'_>) -> impl Iterator<Item = Change> {
    let order_id = taker.order_id.map(|order_id| Change::Set("order_id", order_id.into()));
    let register_id = taker.register_id.map(|register_id| Change::Set("register_id", register_id.into()));
    let always = [
        Change::Set("reference", taker.reference.into()),
        Change::Set("employee_id", taker.employee_id.into()),
        Change::Set("occurred_at", taker.at.as_millisecond().into()),
    ];
    always.into_iter().chain(order_id).chain(register_id)
}
