//! What is there of kits: how many whole ones their components make, location by location. Nothing of it is
//! stored, so nothing of it can be wrong for longer than its components are.

use futures::future::try_join_all;
use jiff::Timestamp;
use tillstream_contracts::inventory::{StockLevel, StockLevelPage};
use tillstream_domain::kit::KitPart;
use tillstream_domain::product::Product;
use tillstream_domain::quantity::{Quantity, QuantityInput, Unit};

use crate::catalog::items::{catalog_get, product_if_any};
use crate::catalog::kits::Components;
use crate::cursor::PagedQuery;
use crate::database::Consistency;
use crate::error::{Error, Result};
use crate::ports::Ports;
use crate::stock::counters::Counters;
use crate::stock::listing::{Among, Position, StockName, stock_names};
use crate::stock::read::{fresh_counters, read_many};
use crate::tenancy::{Caller, TenantScope};

/// Most stock items that one page reads: of so many fewer locations it tells, the more components the kit has.
const READ_AT_ONCE: usize = 1_000;

/// The product of a SKU, if it is a kit.
///
/// # Errors
/// As the database.
pub(super) async fn kit_of(ports: &Ports, scope: &TenantScope, sku: &str) -> Result<Option<Product>> {
    let item = ports.database.get(catalog_get(scope.product(sku))).await?;
    Ok(product_if_any(item.as_ref())?.filter(Product::is_kit))
}

/// What a kit is made of, and whether it can be made at all: with a component that is not in the catalogue, or
/// is a kit itself, there is none of it anywhere.
struct Recipe {
    parts: Vec<KitPart>,
    can_be_made: bool,
}

async fn recipe(ports: &Ports, scope: &TenantScope, kit: &Product) -> Result<Recipe> {
    match Components::read(ports, scope, [kit]).await?.parts(kit, "sku") {
        Ok(parts) => Ok(Recipe { parts: parts.unwrap_or_default(), can_be_made: true }),
        // What can be said of its places is where the components lie that have stock.
        Err(Error::Rejected(_)) => {
            let part =
                |sku: &String| KitPart { sku: sku.clone(), quantity: Quantity::ZERO, unit: Unit::Piece };
            let parts = Components::skus([kit]).iter().map(part).collect();
            Ok(Recipe { parts, can_be_made: false })
        }
        Err(error) => Err(error),
    }
}

impl Recipe {
    /// How many kits stock makes, of which `counters` are of its parts, by position.
    fn level(&self, kit: &Product, location_id: &str, counters: &[Option<Counters>]) -> StockLevel {
        let fewest = |of: fn(&Counters) -> i64| {
            let stock = counters.iter().map(|counters| counters.as_ref().map_or(0, of));
            let kits = self.parts.iter().zip(stock).map(|(part, stock)| part.kits_in(stock)).min();
            kits.filter(|_| self.can_be_made).unwrap_or(0)
        };
        let (on_hand, available) = (fewest(|stock| stock.on_hand), fewest(|stock| stock.available));
        let pieces = |kits: i64| Quantity::of_counter(kits).display(Unit::Piece);
        let none = QuantityInput::Whole(0);
        let changes = counters.iter().flatten().map(Counters::version);
        let version = changes.fold(i64::try_from(kit.version).unwrap_or(i64::MAX), i64::saturating_add);
        StockLevel {
            location_id: location_id.to_owned(),
            sku: kit.sku.clone(),
            on_hand: pieces(on_hand),
            reserved: pieces(on_hand - available),
            available: pieces(available),
            incoming: none.clone(),
            in_transit: none.clone(),
            damaged: none.clone(),
            quarantined: None,
            safety_stock: none.clone(),
            reorder_point: none,
            // A kit is waited for by its components.
            backordered: None,
            version,
            kit: true,
        }
    }
}

/// How many of a kit there are at a location, its components' expired holds freed first; `None` where none of
/// them has stock there.
///
/// # Errors
/// As the database.
pub(super) async fn one(
    ports: &Ports,
    caller: &Caller,
    kit: &Product,
    location_id: &str,
) -> Result<Option<StockLevel>> {
    let recipe = recipe(ports, &caller.scope, kit).await?;
    let reads = recipe.parts.iter().map(|part| fresh_counters(ports, caller, location_id, &part.sku));
    let counters = try_join_all(reads).await?;
    let is_there = counters.iter().any(Option::is_some);
    Ok(is_there.then(|| recipe.level(kit, location_id, &counters)))
}

/// A page of the locations where the first of a kit's components has stock: elsewhere there is no kit.
///
/// # Errors
/// 400 `cursor_malformed`; as the database.
pub(super) async fn page(
    ports: &Ports,
    caller: &Caller,
    kit: &Product,
    (limit, cursor): (u32, Option<&str>),
    now: Timestamp,
) -> Result<StockLevelPage> {
    let scope = &caller.scope;
    let paged = PagedQuery::new(scope, "inventory-kit", [kit.sku.as_str()]);
    let position: Option<Position> = cursor.map(|cursor| paged.typed_position(cursor)).transpose()?;
    let recipe = recipe(ports, scope, kit).await?;
    let Some(first) = recipe.parts.first() else {
        return Ok(StockLevelPage { items: Vec::new(), next_cursor: None });
    };
    let most = u32::try_from(READ_AT_ONCE.checked_div(recipe.parts.len()).unwrap_or(1)).unwrap_or(limit);
    let among = Among::Sku(first.sku.clone());
    let found = stock_names(ports.database.as_ref(), scope, &among, position, limit.min(most.max(1))).await?;
    let mut places = found.names.into_iter().map(|name| name.location_id).collect::<Vec<_>>();
    places.retain(|location_id| caller.reaches(location_id));
    let name = |location_id: &String, part: &KitPart| StockName {
        location_id: location_id.clone(),
        sku: part.sku.clone(),
    };
    let names = places.iter().flat_map(|place| recipe.parts.iter().map(move |part| name(place, part)));
    let read = read_many(ports, scope, names.collect(), Consistency::Eventual, now).await?;
    let read: std::collections::BTreeMap<StockName, Counters> = read.into_iter().collect();
    let of_place = |location_id: &String| {
        let counters: Vec<Option<Counters>> =
            recipe.parts.iter().map(|part| read.get(&name(location_id, part)).copied()).collect();
        recipe.level(kit, location_id, &counters)
    };
    let next_cursor = match &found.next {
        Some(next) => Some(paged.cursor(&serde_json::to_string(next).map_err(Error::bug)?)),
        None => None,
    };
    Ok(StockLevelPage { items: places.iter().map(of_place).collect(), next_cursor })
}
