//! The refusal that names what is left, what is coming and where else it is.

use futures::future::try_join_all;
use tillstream_contracts::inventory::{Elsewhere, ShortLine};
use tillstream_domain::quantity::{Quantity, Unit};

use crate::database::{Consistency, Index, Query, Table};
use crate::error::{Error, Refusal, Result};
use crate::ports::Ports;
use crate::stock::counters::{Counters, shown};
use crate::stock::listing::StockName;
use crate::stock::on_order::coming;
use crate::stock::standing::standings;
use crate::tenancy::Caller;

/// Of so many lines a refusal says where else there is some: each is a query, and reads over all locations.
const LOOKED_FOR_MAX: usize = 50;
/// So many of them are looked for at once.
const LOOKED_FOR_AT_ONCE: usize = 8;
/// Most other locations that a refusal names.
const ELSEWHERE_MAX: usize = 20;
/// Most locations that are looked at for them.
const LOCATIONS_MAX: u32 = 200;

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
    let mut found = Vec::with_capacity(looked_for.len());
    for some in looked_for.chunks(LOOKED_FOR_AT_ONCE) {
        let looked = some.iter().map(|shortage| elsewhere(ports, caller, shortage));
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

/// The locations in reach that have a stock item of a SKU, by id, of those that are looked at. A moment behind.
///
/// # Errors
/// As the database.
pub(super) async fn locations_of(ports: &Ports, caller: &Caller, sku: &str) -> Result<Vec<String>> {
    let query = Query {
        limit: LOCATIONS_MAX,
        ..Query::index(Table::Stock, Index::BySku, caller.scope.sku_stock(sku))
    };
    let mut locations = Vec::new();
    for item in &ports.database.query(query).await?.items {
        let location_id = item.text("sku_sk")?;
        if caller.reaches(location_id) {
            locations.push(location_id.to_owned());
        }
    }
    Ok(locations)
}

async fn elsewhere(ports: &Ports, caller: &Caller, shortage: &Shortage<'_>) -> Result<Vec<Elsewhere>> {
    let scope = &caller.scope;
    let mut locations = locations_of(ports, caller, shortage.sku).await?;
    locations.retain(|location_id| location_id != shortage.location_id);
    let names: Vec<StockName> = locations
        .iter()
        .map(|location_id| StockName { location_id: location_id.clone(), sku: shortage.sku.to_owned() })
        .collect();
    let standings = standings(ports.database.as_ref(), scope, &names, Consistency::Eventual).await?;
    let mut found = Vec::new();
    for (location_id, standing) in locations.into_iter().zip(standings) {
        let available = standing.map_or(0, |standing| standing.total().available);
        if available > 0 {
            found.push((available, location_id));
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
