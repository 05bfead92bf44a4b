//! Reservations whose lines leave open from where: the locations are chosen by a policy, then the ordinary reservation is
//! made of the plan, all lines or none.
//!
//! The plan is a pure function of what was read ([`tillstream_domain::sourcing`]). Where the stock went while it was
//! planned, all is read and planned again, within the time of one request. What was made is what a repetition finds: no
//! plan is made twice for one request.

use std::collections::{BTreeMap, BTreeSet};

use futures::future::try_join_all;
use jiff::Timestamp;
use tillstream_contracts::inventory::{
    ReserveRequest, SourceStock, Sourcing, SourcingNear, SourcingPolicy, UnsourcedLine,
};
use tillstream_domain::coordinates::{Coordinates, Distance};
use tillstream_domain::location::Location;
use tillstream_domain::quantity::{Quantity, Unit};
use tillstream_domain::sourcing::{Choice, Delivered, Missing, Question};

use crate::catalog::items::{catalog_get, location_if_any};
use crate::catalog::location_rules::named_in;
use crate::database::Consistency;
use crate::error::{Error, Refusal, Result};
use crate::ports::Ports;
use crate::stock::attempts::Attempts;
use crate::stock::listing::StockName;
use crate::stock::long_reservations;
use crate::stock::on_order::coming;
use crate::stock::read::read_many;
use crate::stock::references::{check_location_id, resolve_both};
use crate::stock::reservation_item::{KeyedRequest, Reservation};
use crate::stock::reserve::{Answer, Made, Making, answer_of_standing, header_of};
use crate::stock::shortage::locations_of;
use crate::stock::wanted::{Wanted, check_pairs, sku_field, with_more};
use crate::tenancy::Caller;

/// Most locations that a request names.
const LOCATIONS_MAX: usize = 50;
/// Most pairs of a named location and a SKU: each is read at least once.
const LOOKED_AT_MAX: usize = 2_000;
/// Most different SKUs of a request that names no locations: for each of them they are looked for.
const SKUS_WITHOUT_LOCATIONS_MAX: usize = 10;
/// So many of the lines that are short are told with where there is some.
const TOLD_LINES_MAX: usize = 50;
/// At so many locations each.
const TOLD_LOCATIONS_MAX: usize = 20;

fn refused(field: impl Into<String>, code: &'static str, message: impl Into<String>) -> Error {
    Refusal::field(field, code, message).into()
}

/// Checks what needs no reading.
///
/// # Errors
/// 403 where a location is out of reach; 422 for what does not go together or is not valid.
pub(super) fn check_sourcing(caller: &Caller, request: &ReserveRequest, sourcing: &Sourcing) -> Result<()> {
    let skus = request.lines.iter().map(|line| &line.sku).collect::<BTreeSet<_>>().len();
    match &sourcing.locations {
        Some(locations) => check_locations(caller, locations, skus)?,
        None if sourcing.policy == SourcingPolicy::Priority => {
            let message = "say in which order the locations come";
            return Err(refused("sourcing.locations", "locations_required", message));
        }
        None if skus > SKUS_WITHOUT_LOCATIONS_MAX => {
            let message = format!(
                "more than {SKUS_WITHOUT_LOCATIONS_MAX} different SKUs: say which locations may be chosen"
            );
            return Err(refused("sourcing.locations", "locations_required", message));
        }
        None => {}
    }
    match (&sourcing.near, sourcing.policy) {
        (None, SourcingPolicy::Nearest) => {
            let message = "say from where: a location, or latitude and longitude";
            Err(refused("sourcing.near", "near_required", message))
        }
        (Some(_), SourcingPolicy::Priority) => {
            let message = "a priority list knows no distances: leave it out";
            Err(refused("sourcing.near", "near_not_allowed", message))
        }
        (Some(near), _) => match Near::of(near)? {
            Near::Location(location_id) => caller.require_store(location_id),
            Near::Point(_) => Ok(()),
        },
        (None, _) => Ok(()),
    }
}

fn check_locations(caller: &Caller, locations: &[String], skus: usize) -> Result<()> {
    if locations.is_empty() || locations.len() > LOCATIONS_MAX {
        let message = format!("name 1 to {LOCATIONS_MAX} locations");
        return Err(refused("sourcing.locations", "locations_out_of_range", message));
    }
    let mut seen = BTreeSet::new();
    for (position, location_id) in locations.iter().enumerate() {
        let field = format!("sourcing.locations[{position}]");
        check_location_id(&field, location_id)?;
        if !seen.insert(location_id) {
            let message = format!("{location_id} stands there twice");
            return Err(refused(field, "location_repeated", message));
        }
        caller.require_store(location_id)?;
    }
    if locations.len() * skus > LOOKED_AT_MAX {
        let message = format!(
            "{} locations and {skus} different SKUs are more than {LOOKED_AT_MAX} stock items to look at: name fewer \
             locations",
            locations.len()
        );
        return Err(refused("sourcing.locations", "sourcing_too_large", message));
    }
    Ok(())
}

/// From where distances are reckoned.
#[derive(Clone, Copy)]
enum Near<'a> {
    Location(&'a str),
    Point(Coordinates),
}

impl<'a> Near<'a> {
    fn of(near: &'a SourcingNear) -> Result<Self> {
        match (&near.location_id, near.latitude, near.longitude) {
            (Some(location_id), None, None) => {
                check_location_id("sourcing.near.location_id", location_id)?;
                Ok(Near::Location(location_id))
            }
            (None, Some(latitude), Some(longitude)) => {
                let point = Coordinates::new(latitude, longitude).map_err(|error| {
                    let (field, code) = named_in(error);
                    refused(format!("sourcing.near.{field}"), code, error.to_string())
                })?;
                Ok(Near::Point(point))
            }
            _ => {
                let message = "send a location_id, or latitude and longitude";
                Err(refused("sourcing.near", "near_malformed", message))
            }
        }
    }
}

/// What is wanted of one SKU, the lines of the request added up.
struct Need {
    /// Position of its first line.
    position: usize,
    sku: String,
    quantity: Quantity,
    unit: Unit,
}

/// What is asked for, as the catalogue understands it.
struct Asked {
    needs: Vec<Need>,
    /// In order of preference.
    places: Vec<String>,
    choice: Choice,
    split_lines: bool,
}

/// What was read of the places, and planned of it.
struct Planned {
    /// By place: what is available of each need.
    stock: Vec<Vec<Quantity>>,
    plan: std::result::Result<Vec<Delivered>, Missing>,
}

/// Reserves from where the policy says, all lines or none. `reservation`: what it is to be, but for its lines.
///
/// # Errors
/// 404 `location_not_found`; 409 `insufficient_stock`, `reservation_exists`; 422 `sku_unknown`, `sku_not_stocked`,
/// `quantity_invalid`, `too_many_lines`, `location_without_coordinates`, `idempotency_key_reused`.
pub(super) async fn reserve(
    ports: &Ports,
    caller: &Caller,
    request: &ReserveRequest,
    sourcing: &Sourcing,
    reservation: &Reservation,
    keyed: &KeyedRequest<'_>,
) -> Result<Answer> {
    let asked = asked(ports, caller, request, sourcing).await?;
    let now = reservation.created_at;
    let mut making = Making {
        ports,
        caller,
        reservation,
        keyed,
        attempts: Attempts::new(ports.environment.as_ref()),
        catalogue_was_read: true,
        // Stock that nobody has told is nothing to plan with.
        may_enter: false,
    };
    loop {
        let planned = plan(ports, caller, &asked, now).await?;
        let plan = match &planned.plan {
            Ok(plan) => plan,
            Err(missing) => {
                // A batch is not read at one moment: what is short may have gone to this very request.
                if let Some(header) = header_of(ports, &caller.scope, &reservation.id).await? {
                    if let Some(standing) =
                        long_reservations::at_rest(ports, &caller.scope, header, now).await?
                    {
                        return answer_of_standing(&standing, keyed);
                    }
                    making.attempts.at_once("a reservation of this id was given up")?;
                    continue;
                }
                return Err(unsourced(ports, caller, &asked, &planned.stock, missing).await?);
            }
        };
        let wanted = wanted(&asked, plan);
        check_pairs(wanted.len())?;
        match making.make(&wanted).await? {
            Made::Answer(answer) => return Ok(answer),
            Made::Short(_) => making.attempts.at_once("the stock went while it was planned")?,
        }
    }
}

/// Reads the catalogue: products, and the places in order of preference.
async fn asked(
    ports: &Ports,
    caller: &Caller,
    request: &ReserveRequest,
    sourcing: &Sourcing,
) -> Result<Asked> {
    let skus: Vec<&str> =
        request.lines.iter().map(|line| line.sku.as_str()).collect::<BTreeSet<_>>().into_iter().collect();
    let near = sourcing.near.as_ref().map(Near::of).transpose()?;
    let mut locations: Vec<&str> = sourcing.locations.iter().flatten().map(String::as_str).collect();
    let named = locations.len();
    if let Some(Near::Location(location_id)) = near {
        locations.push(location_id);
    }
    let (mut places, products) =
        resolve_both(ports, &caller.scope, &locations, &skus, |sku| sku_field(request, sku)).await?;
    let of_near = places.split_off(named);
    let from = match near {
        None => None,
        Some(Near::Point(point)) => Some(point),
        Some(Near::Location(location_id)) => {
            let point = of_near.first().and_then(|location| location.coordinates);
            Some(point.ok_or_else(|| nowhere("sourcing.near.location_id".to_owned(), location_id))?)
        }
    };
    if let (Some(_), Some(position)) = (from, places.iter().position(|place| place.coordinates.is_none())) {
        let location_id = locations.get(position).copied().unwrap_or_default();
        return Err(nowhere(format!("sourcing.locations[{position}]"), location_id));
    }
    let mut needs: BTreeMap<&str, Need> = BTreeMap::new();
    for (position, line) in request.lines.iter().enumerate() {
        let unit = products.get(&line.sku).map(|product| product.unit).unwrap_or_default();
        let none = || Need { position, sku: line.sku.clone(), quantity: Quantity::ZERO, unit };
        let need = needs.entry(&line.sku).or_insert_with(none);
        need.quantity = with_more(need.quantity, position, line, unit)?;
    }
    if sourcing.locations.is_none() {
        places = found(ports, caller, &skus).await?;
    }
    if let Some(from) = from {
        by_distance(&mut places, from);
    }
    Ok(Asked {
        needs: needs.into_values().collect(),
        places: places.into_iter().map(|place| place.id).collect(),
        choice: match sourcing.policy {
            SourcingPolicy::Priority | SourcingPolicy::Nearest => Choice::InOrder,
            SourcingPolicy::FewestShipments => Choice::Fewest,
        },
        split_lines: sourcing.split_lines,
    })
}

fn nowhere(field: String, location_id: &str) -> Error {
    let message = format!("nobody has told where {location_id} is: give the location latitude and longitude");
    refused(field, "location_without_coordinates", message)
}

/// The locations in reach that have a stock item of any of these, by id.
async fn found(ports: &Ports, caller: &Caller, skus: &[&str]) -> Result<Vec<Location>> {
    let looked = try_join_all(skus.iter().map(|sku| locations_of(ports, caller, sku))).await?;
    let ids: BTreeSet<String> = looked.into_iter().flatten().collect();
    let gets = ids.iter().map(|id| catalog_get(caller.scope.location(id))).collect();
    let mut places = Vec::with_capacity(ids.len());
    for item in ports.database.get_many(gets).await? {
        places.extend(location_if_any(item.as_ref())?);
    }
    Ok(places)
}

/// The nearest first; of those as near, and of those of which nobody knows where they are, by id. These come last.
fn by_distance(places: &mut [Location], from: Coordinates) {
    let distance = |place: &Location| place.coordinates.map(|at| from.distance_to(at));
    let key = |place: &Location| -> (bool, Option<Distance>, String) {
        let distance = distance(place);
        (distance.is_none(), distance, place.id.clone())
    };
    places.sort_by_cached_key(key);
}

/// Reads all places, expired holds counted as free, and plans.
async fn plan(ports: &Ports, caller: &Caller, asked: &Asked, now: Timestamp) -> Result<Planned> {
    let name = |place: &String, need: &Need| StockName { location_id: place.clone(), sku: need.sku.clone() };
    let names =
        asked.places.iter().flat_map(|place| asked.needs.iter().map(move |need| name(place, need))).collect();
    let read = read_many(ports, &caller.scope, names, Consistency::Strong, now).await?;
    let available: BTreeMap<(String, String), i64> =
        read.into_iter().map(|(name, counters)| ((name.location_id, name.sku), counters.available)).collect();
    let of = |place: &String, need: &Need| {
        let found = available.get(&(place.clone(), need.sku.clone()));
        Quantity::of_counter(found.map_or(0, |available| (*available).max(0)))
    };
    let stock: Vec<Vec<Quantity>> =
        asked.places.iter().map(|place| asked.needs.iter().map(|need| of(place, need)).collect()).collect();
    let wanted: Vec<Quantity> = asked.needs.iter().map(|need| need.quantity).collect();
    let question =
        Question { wanted: &wanted, places: &stock, choice: asked.choice, split_lines: asked.split_lines };
    let plan = question.plan();
    Ok(Planned { stock, plan })
}

/// The plan as lines that say from where, in the order in which stock is held.
fn wanted(asked: &Asked, plan: &[Delivered]) -> Vec<Wanted> {
    let line = |delivered: &Delivered| {
        let need = asked.needs.get(delivered.line)?;
        Some(Wanted {
            position: need.position,
            location_id: asked.places.get(delivered.place)?.clone(),
            sku: need.sku.clone(),
            quantity: delivered.quantity,
            unit: need.unit,
        })
    };
    let mut wanted: Vec<Wanted> = plan.iter().filter_map(line).collect();
    wanted.sort_by(|a, b| (&a.location_id, &a.sku).cmp(&(&b.location_id, &b.sku)));
    wanted
}

/// 409 `insufficient_stock` for the needs that no plan covers: of each what there is in all, and where.
async fn unsourced(
    ports: &Ports,
    caller: &Caller,
    asked: &Asked,
    stock: &[Vec<Quantity>],
    missing: &Missing,
) -> Result<Error> {
    let needs: Vec<(usize, &Need)> =
        missing.0.iter().filter_map(|at| Some((*at, asked.needs.get(*at)?))).collect();
    let has = |place: &Vec<Quantity>, need: usize| place.get(need).copied().unwrap_or_default();
    // By need: the places that are told, the most first, in order of preference where it is the same.
    let told: Vec<Vec<(&str, Quantity)>> = needs
        .iter()
        .take(TOLD_LINES_MAX)
        .map(|(at, _)| {
            let mut places: Vec<_> = asked
                .places
                .iter()
                .zip(stock)
                .map(|(place, stock)| (place.as_str(), has(stock, *at)))
                .collect();
            places.sort_by_key(|(_, available)| std::cmp::Reverse(*available));
            places.truncate(TOLD_LOCATIONS_MAX);
            places
        })
        .collect();
    let names: Vec<(&str, &str, Unit)> = needs
        .iter()
        .zip(&told)
        .flat_map(|((_, need), places)| {
            places.iter().map(move |(place, _)| (*place, need.sku.as_str(), need.unit))
        })
        .collect();
    let mut coming = coming(ports, &caller.scope, &names).await?.into_iter();
    let mut told = told.into_iter();
    let mut lines = Vec::with_capacity(needs.len());
    let mut refusal = Refusal::conflict(
        "insufficient_stock",
        "not enough is available where it may come from; `lines` says what is left where, and what is coming when",
    );
    for (at, need) in &needs {
        let together = stock.iter().fold(Quantity::ZERO, |sum, place| sum.plus(has(place, *at)));
        let mut locations = Vec::new();
        for (place, available) in told.next().unwrap_or_default() {
            let coming = coming.next().unwrap_or_default();
            locations.push(SourceStock {
                location_id: place.to_owned(),
                available: available.display(need.unit),
                incoming: coming.incoming.display(need.unit),
                expected: coming.expected,
            });
        }
        let message = match asked.split_lines {
            true => format!("{} of {} available in all", together, need.sku),
            false => {
                format!("no location has {} of {}; {} available in all", need.quantity, need.sku, together)
            }
        };
        refusal =
            refusal.with_error(format!("lines[{}].quantity", need.position), "insufficient_stock", message);
        lines.push(UnsourcedLine {
            sku: need.sku.clone(),
            requested: need.quantity.display(need.unit),
            available: together.display(need.unit),
            locations,
        });
    }
    Ok(refusal.with_extra("lines", serde_json::to_value(&lines).map_err(Error::bug)?).into())
}
