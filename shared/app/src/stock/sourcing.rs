//! Reservations whose lines leave open from where: the locations are chosen by a policy, then the ordinary reservation is
//! made of the plan, all lines or none.
//!
//! The plan is a pure function of what was read ([`tillstream_domain::sourcing`]). Where the stock went while it was
//! planned, all is read and planned again, within the time of one request. What was made is what a repetition finds: no
//! plan is made twice for one request.
//!
//! A kit is planned with by what it is made of: a location has as many as its components there make, and all components
//! of one kit come from the same location. What is held, and where the kit stands in the reservation, is then as if the
//! request had named the location.

use std::collections::{BTreeMap, BTreeSet};

use futures::future::try_join_all;
use jiff::Timestamp;
use tillstream_contracts::inventory::{
    ReserveRequest, SourceStock, Sourcing, SourcingNear, SourcingPolicy, UnsourcedLine,
};
use tillstream_domain::coordinates::{Coordinates, Distance};
use tillstream_domain::location::Location;
use tillstream_domain::quantity::{Quantity, Unit};
use tillstream_domain::sourcing::{Choice, Delivered, Line, Missing, Question, Takes};

use crate::catalog::items::{catalog_get, location_if_any};
use crate::catalog::location_rules::named_in;
use crate::database::Consistency;
use crate::error::{Error, Refusal, Result};
use crate::ports::Ports;
use crate::stock::attempts::Attempts;
use crate::stock::counters::Counters;
use crate::stock::expiry::HoldReads;
use crate::stock::kits::{Goods, KitLine};
use crate::stock::listing::StockName;
use crate::stock::long_reservations;
use crate::stock::on_order::coming;
use crate::stock::read::read_many;
use crate::stock::references::{check_location_id, resolve_both};
use crate::stock::reservation_item::{KeyedRequest, Reservation};
use crate::stock::reserve::{Answer, Made, Making, answer_of_standing, header_of};
use crate::stock::standing::standings;
use crate::stock::wanted::{
    Wanted, check_kit_pairs, check_kits, check_pairs, quantity_of, sku_field, with_more,
};
use crate::stock::whereabouts::keepers_of;
use crate::tenancy::{Caller, Stores};

/// Most locations that a request names.
const LOCATIONS_MAX: usize = 50;
/// Most pairs of a location and a SKU that are planned with: each is read at least once.
const LOOKED_AT_MAX: usize = 2_000;
/// Most pairs of a location that is found, not named, and a SKU: among them those are looked for that are planned with.
const FOUND_MAX: usize = 5_000;
/// Most different SKUs of a request that names no locations, the components of kits counted: for each of them they are
/// looked for.
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
        Some(locations) => check_locations(caller, locations)?,
        None if sourcing.policy == SourcingPolicy::Priority => {
            let message = "say in which order the locations come";
            return Err(refused("sourcing.locations", "locations_required", message));
        }
        None => {}
    }
    check_size(sourcing, skus)?;
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

/// Refuses more stock items than are looked at for one plan. `skus`: so many have stock that is to be looked at.
fn check_size(sourcing: &Sourcing, skus: usize) -> Result<()> {
    match &sourcing.locations {
        Some(locations) if locations.len() * skus > LOOKED_AT_MAX => {
            let message = format!(
                "{} locations and {skus} different SKUs, components of kits counted, are more than {LOOKED_AT_MAX} \
                 stock items to look at: name fewer locations",
                locations.len()
            );
            Err(refused("sourcing.locations", "sourcing_too_large", message))
        }
        None if skus > SKUS_WITHOUT_LOCATIONS_MAX => {
            let message = format!(
                "more than {SKUS_WITHOUT_LOCATIONS_MAX} different SKUs, components of kits counted: say which \
                 locations may be chosen"
            );
            Err(refused("sourcing.locations", "locations_required", message))
        }
        _ => Ok(()),
    }
}

fn check_locations(caller: &Caller, locations: &[String]) -> Result<()> {
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
    /// By need: what it takes of `stocked`.
    lines: Vec<Line>,
    /// The SKUs whose stock is looked at, in their order: of kits those of their components.
    stocked: Vec<String>,
    /// What the kits are made of.
    goods: Goods,
    /// In order of preference.
    places: Vec<String>,
    choice: Choice,
    split_lines: bool,
}

/// What was read of the places, and planned of it.
struct Planned {
    /// By place: what is available of each SKU whose stock is looked at.
    stock: Vec<Vec<Quantity>>,
    plan: std::result::Result<Vec<Delivered>, Missing>,
}

/// Reserves from where the policy says, all lines or none. `reservation`: what it is to be, but for its lines.
///
/// # Errors
/// 404 `location_not_found`; 409 `insufficient_stock`, `reservation_exists`; 422 `sku_unknown`, `sku_not_stocked`,
/// `variant_required`, `quantity_invalid`, `too_many_lines`, `too_many_kits`, `locations_required`, `sourcing_too_large`,
/// `location_without_coordinates`, `idempotency_key_reused`, and for a kit that cannot be made of its components.
pub(super) async fn reserve(
    ports: &Ports,
    caller: &Caller,
    request: &ReserveRequest,
    sourcing: &Sourcing,
    reservation: &Reservation,
    keyed: &KeyedRequest<'_>,
) -> Result<Answer> {
    let now = reservation.created_at;
    let asked = asked(ports, caller, request, sourcing, now).await?;
    let mut making = Making {
        ports,
        caller,
        reservation,
        keyed,
        attempts: Attempts::new(ports.environment.as_ref()),
        catalogue_was_read: true,
        // Stock that nobody has told is nothing to plan with.
        may_enter: false,
        hold_reads: HoldReads::default(),
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
        let (wanted, kits) = wanted(&asked, plan);
        check_pairs(wanted.len())?;
        check_kit_pairs(kits.len())?;
        match making.make((&wanted, &kits)).await? {
            Made::Answer(answer) => return Ok(answer),
            // The plan counts on what has expired behind what this request may read to free it.
            Made::Short(_) if making.hold_reads.any_is_spent() => {
                return Err(Error::retryable("more holds have expired than one request frees"));
            }
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
    now: Timestamp,
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
    check_kits(request, &products)?;
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
    let goods = Goods::of(ports, &caller.scope, &products, |sku| sku_field(request, sku)).await?;
    let needs = needs(request, &goods)?;
    let mut stocked: BTreeMap<&str, Quantity> = BTreeMap::new();
    for need in &needs {
        for (sku, quantity, _) in goods.taken_by_line(need.position, &need.sku, need.quantity)? {
            let so_far = stocked.entry(sku).or_default();
            *so_far = with_more(*so_far, need.position, quantity)?;
        }
    }
    let stocked: Vec<String> = stocked.into_keys().map(str::to_owned).collect();
    check_size(sourcing, stocked.len())?;
    let lines = needs.iter().map(|need| line_of(need, &goods, &stocked)).collect();
    if sourcing.locations.is_none() {
        places = found(ports, caller, &stocked, now).await?;
    }
    if let Some(from) = from {
        by_distance(&mut places, from);
    }
    Ok(Asked {
        needs,
        lines,
        stocked,
        goods,
        places: places.into_iter().map(|place| place.id).collect(),
        choice: match sourcing.policy {
            SourcingPolicy::Priority | SourcingPolicy::Nearest => Choice::InOrder,
            SourcingPolicy::FewestShipments => Choice::Fewest,
        },
        split_lines: sourcing.split_lines,
    })
}

/// The lines of the request, those of the same SKU added up, by SKU.
fn needs(request: &ReserveRequest, goods: &Goods) -> Result<Vec<Need>> {
    let mut needs: BTreeMap<&str, Need> = BTreeMap::new();
    for (position, line) in request.lines.iter().enumerate() {
        let unit = goods.unit(&line.sku);
        let none = || Need { position, sku: line.sku.clone(), quantity: Quantity::ZERO, unit };
        let need = needs.entry(&line.sku).or_insert_with(none);
        need.quantity = with_more(need.quantity, position, quantity_of(position, line, unit)?)?;
    }
    Ok(needs.into_values().collect())
}

/// What a need takes of the SKUs in `stocked`, among which all that it takes are.
fn line_of(need: &Need, goods: &Goods, stocked: &[String]) -> Line {
    let position = |sku: &str| stocked.partition_point(|other| other.as_str() < sku);
    let takes = match goods.parts(&need.sku) {
        None => Takes::Goods(position(&need.sku)),
        Some(parts) => Takes::Kit(parts.iter().map(|part| (position(&part.sku), part.quantity)).collect()),
    };
    Line { quantity: need.quantity, takes }
}

fn nowhere(field: String, location_id: &str) -> Error {
    let message = format!("nobody has told where {location_id} is: give the location latitude and longitude");
    refused(field, "location_without_coordinates", message)
}

/// The locations in reach that have a stock item of any of these, by id; where these are more than are planned with,
/// those that have stock. A moment behind.
///
/// # Errors
/// 422 `locations_required` where they are more than are looked at: a plan of some of them may be the wrong one.
async fn found(ports: &Ports, caller: &Caller, skus: &[String], now: Timestamp) -> Result<Vec<Location>> {
    let most = FOUND_MAX.checked_div(skus.len()).unwrap_or(FOUND_MAX);
    let looked = try_join_all(skus.iter().map(|sku| keepers_of(ports, caller, sku, most))).await?;
    if looked.iter().any(|keepers| !keepers.is_all) {
        return Err(too_many_found());
    }
    let mut names = Vec::new();
    for (sku, keepers) in skus.iter().zip(looked) {
        let name = |location_id| StockName { location_id, sku: sku.clone() };
        names.extend(keepers.locations.into_iter().map(name));
    }
    let most = LOOKED_AT_MAX.checked_div(skus.len()).unwrap_or(LOOKED_AT_MAX);
    let mut ids: BTreeSet<String> = names.iter().map(|name| name.location_id.clone()).collect();
    let is_named = matches!(caller.stores, Stores::Named(_));
    if is_named || ids.len() > most {
        let scope = &caller.scope;
        let standings = standings(ports.database.as_ref(), scope, &names, Consistency::Eventual).await?;
        let kept = names.into_iter().zip(standings).filter_map(|(name, found)| Some((name, found?.total())));
        let kept: Vec<(StockName, Counters)> = kept.collect();
        ids = kept.iter().map(|(name, _)| name.location_id.clone()).collect();
        if ids.len() > most {
            let has_stock = |stock: &Counters| stock.available > 0 || stock.may_have_expired_holds(now);
            let with_stock = kept.into_iter().filter(|(_, stock)| has_stock(stock));
            ids = with_stock.map(|(name, _)| name.location_id).collect();
        }
    }
    if ids.len() > most {
        return Err(too_many_found());
    }
    let gets = ids.iter().map(|id| catalog_get(caller.scope.location(id))).collect();
    let mut places = Vec::with_capacity(ids.len());
    for item in ports.database.get_many(gets).await? {
        places.extend(location_if_any(item.as_ref())?);
    }
    Ok(places)
}

fn too_many_found() -> Error {
    let message = "more locations in reach have these than are looked at: say which of them may be chosen";
    refused("sourcing.locations", "locations_required", message)
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
    let name = |place: &String, sku: &String| StockName { location_id: place.clone(), sku: sku.clone() };
    let names =
        asked.places.iter().flat_map(|place| asked.stocked.iter().map(move |sku| name(place, sku))).collect();
    let read = read_many(ports, &caller.scope, names, Consistency::Strong, now).await?;
    let available: BTreeMap<(&str, &str), i64> = read
        .iter()
        .map(|(name, counters)| ((name.location_id.as_str(), name.sku.as_str()), counters.available))
        .collect();
    let of = |place: &String, sku: &String| {
        let found = available.get(&(place.as_str(), sku.as_str()));
        Quantity::of_counter(found.map_or(0, |available| (*available).max(0)))
    };
    let stock: Vec<Vec<Quantity>> =
        asked.places.iter().map(|place| asked.stocked.iter().map(|sku| of(place, sku)).collect()).collect();
    let question = Question {
        lines: &asked.lines,
        places: &stock,
        choice: asked.choice,
        split_lines: asked.split_lines,
    };
    let plan = question.plan();
    Ok(Planned { stock, plan })
}

/// The plan as lines that say from where, in the order in which stock is held, and the kits among what was asked for.
fn wanted(asked: &Asked, plan: &[Delivered]) -> (Vec<Wanted>, Vec<KitLine>) {
    let of = |delivered: &Delivered| {
        let (need, place) = (asked.needs.get(delivered.line)?, asked.places.get(delivered.place)?);
        Some((need, place.as_str(), delivered.quantity))
    };
    let from: Vec<(&Need, &str, Quantity)> = plan.iter().filter_map(of).collect();
    let mut wanted: BTreeMap<(&str, &str), Wanted> = BTreeMap::new();
    for (need, location_id, quantity) in &from {
        for (sku, quantity, unit) in asked.goods.taken(&need.sku, *quantity) {
            let entry = wanted.entry((*location_id, sku)).or_insert_with(|| Wanted {
                position: need.position,
                location_id: (*location_id).to_owned(),
                sku: sku.to_owned(),
                quantity: Quantity::ZERO,
                unit,
                is_named: false,
            });
            entry.quantity = entry.quantity.plus(quantity);
            entry.is_named |= sku == need.sku;
        }
    }
    let named = from.iter().map(|(need, location_id, quantity)| (*location_id, need.sku.as_str(), *quantity));
    let kits = asked.goods.kit_lines(named);
    (wanted.into_values().collect(), kits)
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
    // Of a kit as many as can be made there, the other lines aside.
    let has = |place: &Vec<Quantity>, need: usize| -> Quantity {
        asked.lines.get(need).map(|line| line.made_of(place)).unwrap_or_default()
    };
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
        let alone = stock.iter().any(|place| has(place, *at) >= need.quantity);
        let message = if alone || (asked.split_lines && together >= need.quantity) {
            format!("there is not enough of {} beside what other lines take of the same goods", need.sku)
        } else if asked.split_lines {
            format!("{} of {} available in all", together, need.sku)
        } else {
            format!("no location has {} of {}; {} available in all", need.quantity, need.sku, together)
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
