//! The refusal that names what is left, what is coming and where else it is.

use futures::future::try_join_all;
use tillstream_contracts::inventory::{Elsewhere, ShortLine};
use tillstream_domain::quantity::{Quantity, Unit};

use crate::database::Consistency;
use crate::error::{Error, Refusal, Result};
use crate::ports::Ports;
use crate::stock::counters::{Counters, shown};
use crate::stock::listing::StockName;
use crate::stock::on_order::coming;
use crate::stock::standing::standings;
use crate::stock::whereabouts::keepers_of;
use crate::tenancy::Caller;

/// Of so many lines a refusal says where else there is some: each is a query, and reads over all locations.
const LOOKED_FOR_MAX: usize = 50;
/// So many of them are looked for at once.
const LOOKED_FOR_AT_ONCE: usize = 8;
/// Most other locations that a refusal names.
const ELSEWHERE_MAX: usize = 20;
/// Most locations that are looked at for one line.
const LOCATIONS_MAX: usize = 1_000;
/// Stock items that are looked at for all lines: where many are short, for each fewer.
const LOOKED_AT_MAX: usize = 10_000;
/// So many locations are looked at together, for each line at least.
const LOCATIONS_AT_ONCE: usize = 200;

/// What was asked for and is not there.
pub(super) struct Shortage<'a> {
    /// Field of the request.
    pub field: String,
    pub location_id: &'a str,
    pub sku: &'a str,
    pub requested: Quantity,
    pub unit: Unit,
    /// The stock as it was read; `None` where there is none.
    pub stock: Option<Counters>,
    /// SKUs of the kits that were asked for and take it.
    pub kits: Vec<String>,
}

/// 409 `insufficient_stock`.
///
/// # Errors
/// As the database.
pub(super) async fn insufficient_stock(
    ports: &Ports,
    caller: &Caller,
    shortages: &[Shortage<'_>],
) -> Result<Refusal> {
    let looked_for = shortages.get(..LOOKED_FOR_MAX).unwrap_or(shortages);
    let most = LOOKED_AT_MAX.checked_div(looked_for.len()).unwrap_or(LOCATIONS_MAX);
    let most = most.clamp(LOCATIONS_AT_ONCE, LOCATIONS_MAX);
    let mut found = Vec::with_capacity(looked_for.len());
    for some in looked_for.chunks(LOOKED_FOR_AT_ONCE) {
        let looked = some.iter().map(|shortage| elsewhere(ports, caller, shortage, most));
        found.extend(try_join_all(looked).await?);
    }
    let mut found = found.into_iter();
    let names: Vec<_> = shortages.iter().map(|short| (short.location_id, short.sku, short.unit)).collect();
    let mut coming = coming(ports, &caller.scope, &names).await?.into_iter();
    let line = |shortage: &Shortage<'_>| {
        let stock = shortage.stock.unwrap_or_default();
        let unit = Some(shortage.unit);
        let coming = coming.next().unwrap_or_default();
        ShortLine {
            location_id: shortage.location_id.to_owned(),
            sku: shortage.sku.to_owned(),
            requested: shortage.requested.display(shortage.unit),
            available: shown(stock.available.max(0), unit),
            incoming: coming.incoming.display(shortage.unit),
            expected: coming.expected,
            elsewhere: found.next().unwrap_or_default(),
            kits: shortage.kits.clone(),
        }
    };
    let lines: Vec<ShortLine> = shortages.iter().map(line).collect();
    let mut refusal = Refusal::conflict(
        "insufficient_stock",
        "not enough is available; `lines` says what is left, what is coming when, and where else it is",
    )
    .with_extra("lines", serde_json::to_value(&lines).map_err(Error::bug)?);
    for (shortage, line) in shortages.iter().zip(&lines) {
        let left = Quantity::of_counter(shortage.stock.map_or(0, |stock| stock.available.max(0)));
        refusal = refusal.with_error(
            shortage.field.as_str(),
            "insufficient_stock",
            format!("{} of {} at {} available", left, line.sku, line.location_id),
        );
    }
    Ok(refusal)
}

/// Where else there is some, the most first among the locations that are looked at: `most` of them at most, by id,
/// and no more once enough have some. A moment behind.
async fn elsewhere(
    ports: &Ports,
    caller: &Caller,
    shortage: &Shortage<'_>,
    most: usize,
) -> Result<Vec<Elsewhere>> {
    let scope = &caller.scope;
    let mut locations = keepers_of(ports, caller, shortage.sku, most).await?.locations;
    locations.retain(|location_id| location_id != shortage.location_id);
    let mut found = Vec::new();
    for some in locations.chunks(LOCATIONS_AT_ONCE) {
        let names: Vec<StockName> = some
            .iter()
            .map(|location_id| StockName { location_id: location_id.clone(), sku: shortage.sku.to_owned() })
            .collect();
        let standings = standings(ports.database.as_ref(), scope, &names, Consistency::Eventual).await?;
        for (name, standing) in names.into_iter().zip(standings) {
            let available = standing.map_or(0, |standing| standing.total().available);
            if available > 0 {
                found.push((available, name.location_id));
            }
        }
        if found.len() >= ELSEWHERE_MAX {
            break;
        }
    }
    found.sort_by(|a, b| b.0.cmp(&a.0).then_with(|| a.1.cmp(&b.1)));
    found.truncate(ELSEWHERE_MAX);
    Ok(found
        .into_iter()
        .map(|(available, location_id)| Elsewhere {
            location_id,
            available: shown(available, Some(shortage.unit)),
        })
        .collect())
}
