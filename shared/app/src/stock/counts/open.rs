//! Opening a sheet: of SKUs that are named, of a category, or of all stock of a location.

use std::collections::BTreeSet;

use tillstream_contracts::counts::{CountStatus, OpenCountRequest};
use tillstream_domain::count_sheet::{CountLine, LINES_MAX};
use tillstream_domain::location::Location;
use tillstream_domain::quantity::Unit;

use super::item::{Body, CountedLots, RequestMark, StoredCount, sheets_of};
use super::{Answer, find};
use crate::catalog::items::{catalog_get, location_if_any};
use crate::catalog::product_list::{self, ProductFilter};
use crate::catalog::product_rules::CATEGORY_CHARACTERS_MAX;
use crate::cursor::LIMIT_MAX;
use crate::database::{Consistency, DatabaseError, Get};
use crate::error::{Error, Refusal, Result};
use crate::fields::typed_id;
use crate::ports::Ports;
use crate::stock::attempts::Attempts;
use crate::stock::listing::{Among, Position, StockName, stock_names};
use crate::stock::references::{check_location_id, check_sku_form, location_not_found, resolve};
use crate::stock::request_identity::{derived_id, fingerprint, request_number};
use crate::stock::reservation_item::KeyedRequest;
use crate::stock::reserve::now_kept;
use crate::stock::standing::standings;
use crate::tenancy::{Caller, TenantScope};

/// Products of a category that one request looks at: a location may have none of most of them.
const PRODUCTS_LOOKED_AT_MAX: usize = 5_000;

/// What a sheet is made of.
enum Selection<'a> {
    Skus(BTreeSet<&'a str>),
    Category(&'a str),
    All,
}

impl Selection<'_> {
    /// Its name among the lists that cursors lead through.
    fn list(&self) -> String {
        match self {
            Selection::Skus(_) => "skus".to_owned(),
            Selection::Category(category) => format!("category {category}"),
            Selection::All => "all".to_owned(),
        }
    }
}

/// Checks what needs no reading.
fn selection_of(request: &OpenCountRequest) -> Result<Selection<'_>> {
    let of_list = [("limit", request.limit.is_some()), ("cursor", request.cursor.is_some())];
    let named = [request.skus.is_some(), request.category.is_some(), request.all == Some(true)];
    if named.iter().filter(|is_there| **is_there).count() != 1 {
        let message = "a sheet is of exactly one of skus, category and all (true)";
        return Err(Refusal::field("skus", "selection_invalid", message).into());
    }
    if !request.limit.is_none_or(|limit| (1..=LINES_MAX).contains(&usize::try_from(limit).unwrap_or(0))) {
        let message = format!("a sheet has 1 to {LINES_MAX} lines");
        return Err(Refusal::field("limit", "limit_out_of_range", message).into());
    }
    if let Some(skus) = &request.skus {
        if let Some((field, _)) = of_list.into_iter().find(|(_, is_there)| *is_there) {
            let message = "goes with category or all; named SKUs are all on the sheet";
            return Err(Refusal::field(field, "field_not_expected", message).into());
        }
        if skus.is_empty() || skus.len() > LINES_MAX {
            let message = format!("a sheet has 1 to {LINES_MAX} lines");
            return Err(Refusal::field("skus", "lines_out_of_range", message).into());
        }
        for (at, sku) in skus.iter().enumerate() {
            check_sku_form(&format!("skus[{at}]"), sku)?;
        }
        return Ok(Selection::Skus(skus.iter().map(String::as_str).collect()));
    }
    match &request.category {
        Some(category) if !(1..=CATEGORY_CHARACTERS_MAX).contains(&category.chars().count()) => {
            let message = format!("a category is 1 to {CATEGORY_CHARACTERS_MAX} characters");
            Err(Refusal::field("category", "category_invalid", message).into())
        }
        Some(category) => Ok(Selection::Category(category)),
        None => Ok(Selection::All),
    }
}

/// On hand by the books, in thousandths, and how the product is sold.
type Booked = (i64, Option<Unit>);

/// The lines of a sheet, and where the next one begins.
struct Found {
    lines: Vec<CountLine>,
    next: Option<String>,
}

async fn find_lines(
    ports: &Ports,
    caller: &Caller,
    request: &OpenCountRequest,
    selection: &Selection<'_>,
    position: Option<&str>,
) -> Result<Found> {
    let (scope, location_id) = (&caller.scope, request.location_id.as_str());
    let wanted = request.limit.map_or(LINES_MAX, |limit| usize::try_from(limit).unwrap_or(LINES_MAX));
    match selection {
        Selection::Skus(skus) => {
            let skus: Vec<&str> = skus.iter().copied().collect();
            let named = |sku: &str| {
                let at = request.skus.iter().flatten().position(|named| named == sku).unwrap_or(0);
                format!("skus[{at}]")
            };
            let products = resolve(ports, scope, &[location_id], &skus, named).await?;
            let units: Vec<Unit> = skus
                .iter()
                .map(|sku| products.get(*sku).map(|product| product.unit).unwrap_or_default())
                .collect();
            let names = names_of(location_id, skus.iter().copied());
            let stock = on_hand(ports, scope, &names).await?;
            let line = |((name, unit), stock): ((StockName, Unit), Option<Booked>)| {
                CountLine::uncounted(name.sku, unit, stock.map_or(0, |(on_hand, _)| on_hand))
            };
            let lines = names.into_iter().zip(units).zip(stock).map(line).collect();
            Ok(Found { lines, next: None })
        }
        Selection::All => {
            let position = position
                .map(|sku| Position { location_id: location_id.to_owned(), sku: Some(sku.to_owned()) });
            let among = Among::Location(location_id.to_owned());
            let limit = u32::try_from(wanted).unwrap_or(u32::MAX);
            let mut found = stock_names(ports.database.as_ref(), scope, &among, position, limit).await?;
            while let Some(next) = found.next.take() {
                let left = wanted - found.names.len();
                if left == 0 {
                    found.next = Some(next);
                    break;
                }
                let limit = u32::try_from(left).unwrap_or(u32::MAX);
                let more = stock_names(ports.database.as_ref(), scope, &among, Some(next), limit).await?;
                found.names.extend(more.names);
                found.next = more.next;
            }
            let lines = stocked_lines(ports, scope, found.names, &[]).await?;
            Ok(Found { lines, next: found.next.and_then(|next| next.sku) })
        }
        Selection::Category(category) => {
            let filter = ProductFilter { category: Some((*category).to_owned()), ..ProductFilter::default() };
            let (mut lines, mut looked_at) = (Vec::new(), 0);
            let mut cursor = position.map(str::to_owned);
            loop {
                let left = u32::try_from(wanted - lines.len()).unwrap_or(LIMIT_MAX).min(LIMIT_MAX);
                let (products, next) =
                    product_list::list(ports, scope, &filter, Some(left), cursor.as_deref()).await?;
                looked_at += products.len().max(1);
                let units: Vec<Unit> = products.iter().map(|product| product.unit).collect();
                let names = names_of(location_id, products.iter().map(|product| product.sku.as_str()));
                lines.extend(stocked_lines(ports, scope, names, &units).await?);
                cursor = next;
                if cursor.is_none() || lines.len() >= wanted || looked_at >= PRODUCTS_LOOKED_AT_MAX {
                    return Ok(Found { lines, next: cursor });
                }
            }
        }
    }
}

fn names_of<'a>(location_id: &str, skus: impl Iterator<Item = &'a str>) -> Vec<StockName> {
    skus.map(|sku| StockName { location_id: location_id.to_owned(), sku: sku.to_owned() }).collect()
}

/// On hand and unit of stock items, by position; of those that are there.
async fn on_hand(ports: &Ports, scope: &TenantScope, names: &[StockName]) -> Result<Vec<Option<Booked>>> {
    let found = standings(ports.database.as_ref(), scope, names, Consistency::Eventual).await?;
    let read = |standing: crate::stock::standing::Standing| {
        let total = standing.total();
        (total.on_hand, total.unit)
    };
    Ok(found.into_iter().map(|standing| standing.map(read)).collect())
}

/// Lines of the stock items among `names`; what has none is left out. `units`: by position, where the catalogue was
/// asked.
async fn stocked_lines(
    ports: &Ports,
    scope: &TenantScope,
    names: Vec<StockName>,
    units: &[Unit],
) -> Result<Vec<CountLine>> {
    let stock = on_hand(ports, scope, &names).await?;
    let line = |(at, (name, stock)): (usize, (StockName, Option<Booked>))| {
        let (on_hand, unit) = stock?;
        let unit = units.get(at).copied().or(unit).unwrap_or_default();
        Some(CountLine::uncounted(name.sku, unit, on_hand))
    };
    Ok(names.into_iter().zip(stock).enumerate().filter_map(line).collect())
}

async fn location(ports: &Ports, scope: &TenantScope, id: &str) -> Result<Location> {
    let get = Get { consistency: Consistency::Strong, ..catalog_get(scope.location(id)) };
    let item = ports.database.get(get).await?;
    Ok(location_if_any(item.as_ref())?.ok_or_else(|| location_not_found(id))?)
}

/// The answer of a request where a sheet of its id is there.
fn answer_of_standing(scope: &TenantScope, stored: &StoredCount, keyed: &KeyedRequest<'_>) -> Result<Answer> {
    match stored.body.opened.is_again(keyed)? {
        Some(replayed) => Ok(Answer { sheet: stored.as_opened().shown(scope), replayed }),
        None => {
            let detail = format!("there is a count sheet {} already; choose another id or none", stored.id);
            Err(Refusal::conflict("count_exists", detail).into())
        }
    }
}

/// Opens a sheet.
///
/// # Errors
/// 400 `cursor_malformed`; 403 `store_out_of_reach`; 404 `location_not_found`; 409 `count_exists`,
/// `nothing_to_count` (with `next_cursor` where there is more to look at); 422 `selection_invalid`,
/// `field_not_expected`, `limit_out_of_range`, `lines_out_of_range`, `category_invalid`, malformed ids and SKUs,
/// `sku_unknown`, `sku_not_stocked`, `idempotency_key_reused`.
pub async fn open(
    ports: &Ports,
    caller: &Caller,
    idempotency_key: &str,
    request: &OpenCountRequest,
) -> Result<Answer> {
    let now = now_kept(ports)?;
    check_location_id("location_id", &request.location_id)?;
    if let Some(id) = &request.count_id {
        typed_id("count_id", id)?;
    }
    let selection = selection_of(request)?;
    caller.require_store(&request.location_id)?;
    let scope = &caller.scope;
    let list = selection.list();
    let sheets = sheets_of(scope, &request.location_id, &list);
    let position = request.cursor.as_deref().map(|cursor| sheets.position(cursor)).transpose()?;
    let id = match &request.count_id {
        Some(id) => id.clone(),
        None => derived_id(caller, "count", idempotency_key),
    };
    let keyed = KeyedRequest {
        key: idempotency_key,
        fingerprint: &fingerprint("open-count", request)?,
        number: request_number(ports.environment.as_ref()),
    };
    // Before the catalogue is asked: a replay must not depend on what became of a product.
    if let Some(stored) = find(ports, scope, &id).await? {
        return answer_of_standing(scope, &stored, &keyed);
    }
    let location = location(ports, scope, &request.location_id).await?;
    let Found { lines, next } = find_lines(ports, caller, request, &selection, position.as_deref()).await?;
    if lines.is_empty() {
        let detail = format!("{} has no stock of what the sheet would be of", request.location_id);
        let next_cursor = next.map(|next| sheets.cursor(&next));
        return Err(Refusal::conflict("nothing_to_count", detail)
            .with_extra("next_cursor", next_cursor)
            .into());
    }
    let stored = StoredCount {
        id: id.clone(),
        location_id: request.location_id.clone(),
        currency: location.currency,
        status: CountStatus::Open,
        blind: request.blind,
        created_at: now.as_millisecond(),
        created_by: caller.subject.clone(),
        next: next.map(|next| (list, next)),
        version: 1,
        body: Body { lines, texts: Vec::new(), opened: RequestMark::of(&keyed), ending: None },
        lots: CountedLots::new(),
    };
    let create = stored.create(scope)?;
    let mut attempts = Attempts::new(ports.environment.as_ref());
    loop {
        match ports.database.write(create.clone()).await {
            Ok(()) => return Ok(Answer { sheet: stored.shown(scope), replayed: false }),
            Err(DatabaseError::ConditionFailed(_)) => {
                // Our own write, whose answer was lost, or a twin's.
                let stored = find(ports, scope, &id).await?;
                let stored = stored.ok_or_else(|| Error::retryable("the sheet was there and is gone"))?;
                return answer_of_standing(scope, &stored, &keyed);
            }
            Err(error) if error.is_transient() => attempts.after_a_wait("opening a count sheet").await?,
            Err(error) => return Err(error.into()),
        }
    }
}
