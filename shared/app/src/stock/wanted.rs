//! What a request wants held: lines checked, quantities understood, lines of the same stock item added up.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use tillstream_contracts::inventory::{self as wire, ReserveRequest};
use tillstream_domain::product::Product;
use tillstream_domain::quantity::{Quantity, Unit};

use crate::error::{Refusal, Result};
use crate::fields::typed_id;
use crate::ports::Ports;
use crate::stock::kits::{Goods, KITS_MAX, KitLine};
use crate::stock::references::{check_location_id, check_sku_form, resolve_kits_too};
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
        check_location_id(&format!("lines[{position}].location_id"), &line.location_id)?;
        check_sku_form(&format!("lines[{position}].sku"), &line.sku)?;
        caller.require_store(&line.location_id)?;
    }
    for (field, id) in [("reservation_id", &request.reservation_id), ("order_id", &request.order_id)] {
        if let Some(id) = id {
            typed_id(field, id)?;
        }
    }
    Ok(())
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
        let unit = hot.unit(&caller.scope, &line.location_id, &line.sku, now)?;
        Some((line.sku.clone(), unit))
    };
    request.lines.iter().map(unit).collect()
}

/// Refuses more kits than a reservation remembers, before their components are read.
fn check_kits(request: &ReserveRequest, products: &BTreeMap<String, Product>) -> Result<()> {
    let is_kit = |line: &&wire::ReserveLine| products.get(&line.sku).is_some_and(Product::is_kit);
    let kits = request.lines.iter().filter(is_kit).map(|line| (&line.location_id, &line.sku));
    let kits = kits.collect::<BTreeSet<_>>().len();
    if kits > KITS_MAX {
        let message = format!(
            "a reservation has at most {KITS_MAX} different pairs of location and kit, this one {kits}; make several \
             reservations"
        );
        return Err(Refusal::field("lines", "too_many_kits", message).into());
    }
    Ok(())
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
            let locations = distinct(|line| &line.location_id);
            let skus = distinct(|line| &line.sku);
            let field = |sku: &str| {
                let position = request.lines.iter().position(|line| line.sku == sku).unwrap_or(0);
                format!("lines[{position}].sku")
            };
            let products = resolve_kits_too(ports, &caller.scope, &locations, &skus, field).await?;
            check_kits(request, &products)?;
            (Goods::of(ports, &caller.scope, &products, field).await?, true)
        }
    };
    let mut quantities = Vec::with_capacity(request.lines.len());
    let mut wanted: BTreeMap<(&str, &str), Wanted> = BTreeMap::new();
    for (position, line) in request.lines.iter().enumerate() {
        let field = format!("lines[{position}].quantity");
        let invalid = |e: tillstream_domain::quantity::QuantityError| {
            Refusal::field(field.as_str(), "quantity_invalid", e.to_string())
        };
        let unit = goods.unit(&line.sku);
        let quantity = line.quantity.resolve(unit).and_then(Quantity::positive).map_err(invalid)?;
        let taken = goods.taken(&line.sku, quantity);
        if taken.is_empty() {
            let message = format!("kit {} is made of nothing that stock is kept of", line.sku);
            let field = format!("lines[{position}].sku");
            return Err(Refusal::field(field, "sku_not_stocked", message).into());
        }
        for (sku, quantity, unit) in taken {
            let entry = wanted.entry((&line.location_id, sku)).or_insert_with(|| Wanted {
                position,
                location_id: line.location_id.clone(),
                sku: sku.to_owned(),
                quantity: Quantity::ZERO,
                unit,
                is_named: false,
            });
            let sum = entry.quantity.plus(quantity).thousandths();
            entry.quantity = Quantity::from_thousandths(sum).map_err(invalid)?;
            entry.is_named |= sku == line.sku;
        }
        quantities.push(quantity);
    }
    if wanted.len() > PAIRS_MAX {
        let message = format!(
            "a reservation holds at most {PAIRS_MAX} different location and SKU pairs, this one {}; \
             make several reservations",
            wanted.len()
        );
        return Err(Refusal::field("lines", "too_many_lines", message).into());
    }
    let kits = goods.kit_lines(request.lines.iter().zip(quantities));
    Ok((wanted.into_values().collect(), kits, were_read))
}
