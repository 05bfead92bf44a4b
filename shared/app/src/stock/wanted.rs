//! What a request wants held: lines checked, quantities understood, lines of the same stock item added up.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use tillstream_contracts::inventory::{self as wire, ReserveRequest};
use tillstream_domain::product::Product;
use tillstream_domain::quantity::{Quantity, QuantityError, Unit};

use crate::error::{Refusal, Result};
use crate::fields::typed_id;
use crate::ports::Ports;
use crate::stock::kits::{Goods, KITS_MAX, KitLine};
use crate::stock::references::{check_location_id, check_sku_form, location_required, resolve_kits_too};
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
    /// Whether it was asked for by itself, and not for kits alone.
    pub is_named: bool,
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

/// Refuses more kits than a reservation remembers, before their components are read.
///
/// # Errors
/// 422 `too_many_kits`.
pub(super) fn check_kits(request: &ReserveRequest, products: &BTreeMap<String, Product>) -> Result<()> {
    let is_kit = |line: &&wire::ReserveLine| products.get(&line.sku).is_some_and(Product::is_kit);
    let kits = request.lines.iter().filter(is_kit).map(|line| (&line.location_id, &line.sku));
    check_kit_pairs(kits.collect::<BTreeSet<_>>().len())
}

/// Refuses more pairs of location and kit than one reservation remembers.
///
/// # Errors
/// 422 `too_many_kits`.
pub(super) fn check_kit_pairs(kits: usize) -> Result<()> {
    if kits <= KITS_MAX {
        return Ok(());
    }
    let message = format!(
        "a reservation has at most {KITS_MAX} different pairs of location and kit, this one {kits}; make several \
         reservations"
    );
    Err(Refusal::field("lines", "too_many_kits", message).into())
}

/// Reads the products, gives each quantity its meaning and adds up lines of the same location and SKU, those of
/// kits as their components. Answers too the kits, and whether the catalogue was read for it.
///
/// # Errors
/// 404 `location_not_found`; 422 `sku_unknown`, `sku_not_stocked`, `variant_required`, `quantity_invalid`,
/// `too_many_lines`, `too_many_kits`, and for a kit that cannot be made of its components.
pub(super) async fn add_up(
    ports: &Ports,
    caller: &Caller,
    request: &ReserveRequest,
    now: Timestamp,
) -> Result<(Vec<Wanted>, Vec<KitLine>, bool)> {
    let distinct = |of: fn(&wire::ReserveLine) -> &str| -> Vec<&str> {
        request.lines.iter().map(of).collect::<BTreeSet<_>>().into_iter().collect()
    };
    let (goods, were_read) = match remembered_units(ports, caller, request, now) {
        Some(units) => (Goods::plain(units), false),
        None => {
            let locations = distinct(place_of);
            let skus = distinct(|line| &line.sku);
            let field = |sku: &str| sku_field(request, sku);
            let products = resolve_kits_too(ports, &caller.scope, &locations, &skus, field).await?;
            check_kits(request, &products)?;
            (Goods::of(ports, &caller.scope, &products, field).await?, true)
        }
    };
    let mut quantities = Vec::with_capacity(request.lines.len());
    let mut wanted: BTreeMap<(&str, &str), Wanted> = BTreeMap::new();
    for (position, line) in request.lines.iter().enumerate() {
        let unit = goods.unit(&line.sku);
        let quantity = quantity_of(position, line, unit)?;
        let location_id = place_of(line);
        for (sku, quantity, unit) in goods.taken_by_line(position, &line.sku, quantity)? {
            let entry = wanted.entry((location_id, sku)).or_insert_with(|| Wanted {
                position,
                location_id: location_id.to_owned(),
                sku: sku.to_owned(),
                quantity: Quantity::ZERO,
                unit,
                is_named: false,
            });
            entry.quantity = with_more(entry.quantity, position, quantity)?;
            entry.is_named |= sku == line.sku;
        }
        quantities.push(quantity);
    }
    check_pairs(wanted.len())?;
    let named = request.lines.iter().zip(quantities);
    let kits = goods.kit_lines(named.map(|(line, quantity)| (place_of(line), line.sku.as_str(), quantity)));
    Ok((wanted.into_values().collect(), kits, were_read))
}

/// The field of the first line of a SKU.
pub(super) fn sku_field(request: &ReserveRequest, sku: &str) -> String {
    let position = request.lines.iter().position(|line| line.sku == sku).unwrap_or(0);
    format!("lines[{position}].sku")
}

fn quantity_invalid(position: usize, error: QuantityError) -> Refusal {
    Refusal::field(format!("lines[{position}].quantity"), "quantity_invalid", error.to_string())
}

/// How many a line is of, by its position.
///
/// # Errors
/// 422 `quantity_invalid`.
pub(super) fn quantity_of(position: usize, line: &wire::ReserveLine, unit: Unit) -> Result<Quantity> {
    let quantity = line.quantity.resolve(unit).and_then(Quantity::positive);
    Ok(quantity.map_err(|error| quantity_invalid(position, error))?)
}

/// A quantity with what the line at a position takes added.
///
/// # Errors
/// 422 `quantity_invalid`.
pub(super) fn with_more(so_far: Quantity, position: usize, quantity: Quantity) -> Result<Quantity> {
    let sum = Quantity::from_thousandths(so_far.plus(quantity).thousandths());
    Ok(sum.map_err(|error| quantity_invalid(position, error))?)
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
