//! What a request wants held: lines checked, quantities understood, lines of the same stock item added up.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use tillstream_contracts::inventory::{self as wire, ReserveRequest};
use tillstream_domain::quantity::{Quantity, Unit};

use crate::error::{Refusal, Result};
use crate::fields::typed_id;
use crate::ports::Ports;
use crate::stock::references::{check_location_id, check_sku_form, location_required, resolve};
use crate::stock::sourcing::check_sourcing;
use crate::tenancy::Caller;

/// Most lines in a request, before they are added up.
pub const REQUEST_LINES_MAX: usize = 1_000;
/// Most different location and SKU pairs in one reservation.
pub const PAIRS_MAX: usize = 1_000;

/// One line to hold, lines of the request added up.
pub(super) struct Wanted {
    /// Position of its first line in the request.
    pub position: usize,
    /// Where.
    pub location_id: String,
    /// What.
    pub sku: String,
    /// How many.
    pub quantity: Quantity,
    /// How the product is sold.
    pub unit: Unit,
}

/// Checks what needs no reading.
///
/// # Errors
/// 403 where a location is out of reach; 422 for lines or ids that are not valid.
pub(super) fn check(caller: &Caller, request: &ReserveRequest) -> Result<()> {
    if request.lines.is_empty() || request.lines.len() > REQUEST_LINES_MAX {
        let message = format!("a reservation has 1 to {REQUEST_LINES_MAX} lines");
        return Err(Refusal::field("lines", "lines_out_of_range", message).into());
    }
    for (position, line) in request.lines.iter().enumerate() {
        let field = || format!("lines[{position}].location_id");
        match (&line.location_id, &request.sourcing) {
            (Some(location_id), None) => check_location_id(&field(), location_id)?,
            (None, Some(_)) => {}
            (None, None) => return Err(location_required(position).into()),
            (Some(_), Some(_)) => {
                let message = "sourcing chooses the location: leave it out of all lines, or send no sourcing";
                return Err(Refusal::field(field(), "location_not_allowed", message).into());
            }
        }
        check_sku_form(&format!("lines[{position}].sku"), &line.sku)?;
        if let Some(location_id) = &line.location_id {
            caller.require_store(location_id)?;
        }
    }
    if let Some(sourcing) = &request.sourcing {
        check_sourcing(caller, request, sourcing)?;
    }
    for (field, id) in [("reservation_id", &request.reservation_id), ("order_id", &request.order_id)] {
        if let Some(id) = id {
            typed_id(field, id)?;
        }
    }
    Ok(())
}

/// Where a line is wanted. That it says so was checked.
fn place_of(line: &wire::ReserveLine) -> &str {
    line.location_id.as_deref().unwrap_or_default()
}

/// How the products of a request are sold, if this process knows it of all of them.
fn remembered_units(
    ports: &Ports,
    caller: &Caller,
    request: &ReserveRequest,
    now: Timestamp,
) -> Option<BTreeMap<String, Unit>> {
    let hot = ports.environment.hot_stock()?;
    let unit = |line: &wire::ReserveLine| {
        let unit = hot.unit(&caller.scope, place_of(line), &line.sku, now)?;
        Some((line.sku.clone(), unit))
    };
    request.lines.iter().map(unit).collect()
}

/// Reads the products, gives each quantity its meaning and adds up lines of the same location and SKU.
/// Answers too whether the catalogue was read for it.
///
/// # Errors
/// 404 `location_not_found`; 422 `sku_unknown`, `sku_not_stocked`, `quantity_invalid`, `too_many_lines`.
pub(super) async fn add_up(
    ports: &Ports,
    caller: &Caller,
    request: &ReserveRequest,
    now: Timestamp,
) -> Result<(Vec<Wanted>, bool)> {
    let distinct = |of: fn(&wire::ReserveLine) -> &str| -> Vec<&str> {
        request.lines.iter().map(of).collect::<BTreeSet<_>>().into_iter().collect()
    };
    let (units, were_read) = match remembered_units(ports, caller, request, now) {
        Some(units) => (units, false),
        None => {
            let locations = distinct(place_of);
            let skus = distinct(|line| &line.sku);
            let products =
                resolve(ports, &caller.scope, &locations, &skus, |sku| sku_field(request, sku)).await?;
            (products.into_iter().map(|(sku, product)| (sku, product.unit)).collect(), true)
        }
    };
    let mut wanted: BTreeMap<(&str, &str), Wanted> = BTreeMap::new();
    for (position, line) in request.lines.iter().enumerate() {
        let unit = units.get(&line.sku).copied().unwrap_or_default();
        let location_id = place_of(line);
        let entry = wanted.entry((location_id, &line.sku)).or_insert_with(|| Wanted {
            position,
            location_id: location_id.to_owned(),
            sku: line.sku.clone(),
            quantity: Quantity::ZERO,
            unit,
        });
        entry.quantity = with_more(entry.quantity, position, line, unit)?;
    }
    check_pairs(wanted.len())?;
    Ok((wanted.into_values().collect(), were_read))
}

/// The field of the first line of a SKU.
pub(super) fn sku_field(request: &ReserveRequest, sku: &str) -> String {
    let position = request.lines.iter().position(|line| line.sku == sku).unwrap_or(0);
    format!("lines[{position}].sku")
}

/// A quantity with that of a line, by its position, added.
///
/// # Errors
/// 422 `quantity_invalid`.
pub(super) fn with_more(
    so_far: Quantity,
    position: usize,
    line: &wire::ReserveLine,
    unit: Unit,
) -> Result<Quantity> {
    let quantity = line.quantity.resolve(unit).and_then(Quantity::positive);
    let sum = quantity.and_then(|quantity| Quantity::from_thousandths(so_far.plus(quantity).thousandths()));
    Ok(sum.map_err(|error| {
        Refusal::field(format!("lines[{position}].quantity"), "quantity_invalid", error.to_string())
    })?)
}

/// Refuses more pairs of location and SKU than one reservation holds.
///
/// # Errors
/// 422 `too_many_lines`.
pub(super) fn check_pairs(pairs: usize) -> Result<()> {
    if pairs <= PAIRS_MAX {
        return Ok(());
    }
    let message = format!(
        "a reservation holds at most {PAIRS_MAX} different location and SKU pairs, this one {pairs}; make several \
         reservations"
    );
    Err(Refusal::field("lines", "too_many_lines", message).into())
}
