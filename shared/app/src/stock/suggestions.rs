//! What to order for a location: from what it sold, what is there and under way, and what customers wait for.
//!
//! Sales come from the analytics pages, the terms from the suppliers that name a SKU, the rest from the stock items. All
//! that a suggestion is reckoned from is in the answer, so that it can be reckoned again by hand.

use std::collections::{BTreeMap, HashMap};

use jiff::ToSpan;
use jiff::civil::Date;
use tillstream_contracts::replenishment::{OrderSuggestion, OrderSuggestionPage, OrderSuggestionQuery};
use tillstream_domain::location::{Location, LocationKind};
use tillstream_domain::quantity::{Quantity, QuantityInput, Unit};
use tillstream_domain::replenishment::{
    Position as StockPosition, REVIEW_DAYS_MAX, SALES_DAYS_MAX, Terms, reckon,
};
use tillstream_domain::supplier::{LEAD_TIME_DAYS_MAX, Supplier};

use crate::analytics::products::units_sold;
use crate::catalog::items::location_if_any;
use crate::catalog::suppliers::{self, SUPPLIER_READERS};
use crate::cursor::{LIMIT_MAX, PagedQuery, limit};
use crate::database::{Consistency, Get, Table};
use crate::error::{Error, Refusal, RefusalKind, Result};
use crate::ports::Ports;
use crate::stock::counters::Counters;
use crate::stock::listing::{Among, Position, stock_names};
use crate::stock::read::read_many;
use crate::stock::references::{check_location_id, location_not_found};
use crate::tenancy::Caller;

/// Stock items that one page looks at before it answers with what it has.
const LOOKED_AT_MAX: usize = 1_000;
/// Days of sales that are looked at where none are asked for.
pub(super) const SALES_DAYS: u32 = 28;
/// Days until somebody looks again, where none are asked for.
const REVIEW_DAYS: u32 = 7;
/// Lead time of what no supplier names, in days, where none is asked for.
const LEAD_TIME_DAYS: u32 = 7;

/// A number of days that was asked for, or `usual`.
pub(super) fn days(field: &str, asked: Option<u32>, usual: u32, (least, most): (u32, u32)) -> Result<u32> {
    match asked {
        None => Ok(usual),
        Some(days) if (least..=most).contains(&days) => Ok(days),
        Some(_) => {
            let message = format!("{field} goes from {least} to {most}");
            Err(Refusal::field(field, "days_out_of_range", message).into())
        }
    }
}

/// The terms on which a SKU is ordered.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Supplied {
    supplier_id: String,
    lead_time_days: u32,
    pack_size: Option<QuantityInput>,
}

/// By SKU: of the suppliers that name it the one that delivers soonest; of several of them the first by id.
fn terms_by_sku(suppliers: &[Supplier]) -> BTreeMap<&str, Supplied> {
    let mut terms = BTreeMap::<&str, Supplied>::new();
    for supplier in suppliers {
        for supplied in &supplier.supplies {
            let of_this = Supplied {
                supplier_id: supplier.id.clone(),
                lead_time_days: supplier.lead_time_days_of(&supplied.sku),
                pack_size: supplied.pack_size.clone(),
            };
            let place = |terms: &Supplied| (terms.lead_time_days, terms.supplier_id.clone());
            match terms.get(supplied.sku.as_str()) {
                Some(known) if place(known) <= place(&of_this) => {}
                _ => {
                    terms.insert(&supplied.sku, of_this);
                }
            }
        }
    }
    terms
}

/// The suppliers whose terms count.
async fn suppliers_of(ports: &Ports, caller: &Caller, named: Option<&str>) -> Result<Vec<Supplier>> {
    if let Some(id) = named {
        return Ok(vec![suppliers::named(ports, &caller.scope, "supplier_id", id).await?]);
    }
    let (found, next) = suppliers::list(ports, caller, Some(LIMIT_MAX), None).await?;
    if next.is_some() {
        let detail = format!("there are more than {LIMIT_MAX} suppliers: ask for one by supplier_id");
        return Err(Refusal::new(RefusalKind::Invalid, "too_many_suppliers", detail).into());
    }
    Ok(found)
}

/// The days whose sales are looked at: the last closed ones by the location's own calendar.
///
/// # Errors
/// A bug if the location has no calendar.
pub(super) fn sales_days(ports: &Ports, location: &Location, days: u32) -> Result<(Date, Date)> {
    let calendar = location.calendar().map_err(Error::bug)?;
    let today = calendar.business_day(ports.environment.now()).map_err(Error::bug)?;
    let first = today.checked_sub(i64::from(days).days()).map_err(Error::bug)?;
    Ok((first, today.yesterday().map_err(Error::bug)?))
}

/// What one page is reckoned with.
struct Reckoning<'a> {
    terms: BTreeMap<&'a str, Supplied>,
    /// Whether only SKUs of these suppliers count.
    only_named: bool,
    sold: HashMap<String, i64>,
    days: u32,
    review_days: u32,
    lead_time_days: u32,
}

impl Reckoning<'_> {
    /// What to order of a stock item; `None` where nothing is.
    fn of(&self, location_id: &str, sku: &str, stock: &Counters) -> Option<OrderSuggestion> {
        let supplied = self.terms.get(sku);
        if supplied.is_none() && self.only_named {
            return None;
        }
        let unit = stock.unit.unwrap_or_default();
        let loose = if unit == Unit::Piece { 1_000 } else { 1 };
        // A pack whose size does not fit how the product is sold today is none.
        let pack = supplied.and_then(|supplied| supplied.pack_size.as_ref()?.resolve(unit).ok());
        let terms = Terms {
            sold: self.sold.get(sku).copied().unwrap_or(0),
            days: self.days,
            lead_time_days: supplied.map_or(self.lead_time_days, |supplied| supplied.lead_time_days),
            review_days: self.review_days,
            pack_size: pack.map(Quantity::thousandths).filter(|size| *size > 0).unwrap_or(loose),
        };
        let position = StockPosition {
            on_hand: stock.on_hand,
            reserved: stock.reserved,
            safety_stock: stock.safety_stock,
            reorder_point: stock.reorder_point,
            incoming: stock.coming(),
            in_transit: stock.in_transit,
            backordered: stock.backordered,
        };
        let reckoned = reckon(&position, &terms);
        if reckoned.quantity <= 0 {
            return None;
        }
        let shown = |thousandths: i64| Quantity::of_counter(thousandths).display(unit);
        Some(OrderSuggestion {
            location_id: location_id.to_owned(),
            sku: sku.to_owned(),
            quantity: shown(reckoned.quantity),
            supplier_id: supplied.map(|supplied| supplied.supplier_id.clone()),
            pack_size: shown(terms.pack_size),
            lead_time_days: terms.lead_time_days,
            sold: shown(terms.sold),
            sold_per_day: shown(terms.sold / i64::from(terms.days.max(1))),
            lead_time_demand: shown(reckoned.lead_time_demand),
            demand: shown(reckoned.demand),
            on_hand: shown(stock.on_hand),
            reserved: shown(stock.reserved),
            safety_stock: shown(stock.safety_stock),
            available: shown(reckoned.available),
            incoming: shown(position.incoming),
            in_transit: shown(stock.in_transit),
            backordered: shown(stock.backordered),
            position: shown(reckoned.position),
            reorder_point: shown(stock.reorder_point),
            target: shown(reckoned.target),
        })
    }
}

/// `GET /v1/inventory/suggestions`. A warehouse sells nothing: what it should have goes by its reorder points and by what
/// is waited for there.
///
/// # Errors
/// 400 `cursor_malformed`; 403 `role_required`, `store_out_of_reach`; 404 `location_not_found`; 422 for a malformed
/// location or supplier, `supplier_unknown`, `days_out_of_range`, `limit_out_of_range`, `too_many_suppliers`.
pub async fn list(
    ports: &Ports,
    caller: &Caller,
    query: &OrderSuggestionQuery,
) -> Result<OrderSuggestionPage> {
    caller.require_role(SUPPLIER_READERS)?;
    let location_id = query.location_id.as_str();
    check_location_id("location_id", location_id)?;
    if let Some(supplier_id) = &query.supplier_id {
        crate::fields::id("supplier_id", supplier_id)?;
    }
    caller.require_store(location_id)?;
    let scope = &caller.scope;
    let limit = limit(query.limit)?;
    let days_of_sales = days("days", query.days, SALES_DAYS, (1, SALES_DAYS_MAX))?;
    let review_days = days("review_days", query.review_days, REVIEW_DAYS, (0, REVIEW_DAYS_MAX))?;
    let lead_time_days =
        days("lead_time_days", query.lead_time_days, LEAD_TIME_DAYS, (0, LEAD_TIME_DAYS_MAX))?;
    let all_days = format!("{days_of_sales}-{review_days}-{lead_time_days}");
    let filters = [location_id, query.supplier_id.as_deref().unwrap_or_default(), all_days.as_str()];
    let paged = PagedQuery::new(scope, "order-suggestions", filters);
    let mut position: Option<Position> =
        query.cursor.as_deref().map(|cursor| paged.typed_position(cursor)).transpose()?;
    let key = scope.location(location_id);
    let get = Get { table: Table::Catalog, key, consistency: Consistency::Strong };
    let location = location_if_any(ports.database.get(get).await?.as_ref())?
        .ok_or_else(|| location_not_found(location_id))?;
    let suppliers = suppliers_of(ports, caller, query.supplier_id.as_deref()).await?;
    let (sales_from, sales_to) = sales_days(ports, &location, days_of_sales)?;
    let sold = match location.kind {
        LocationKind::Store => units_sold(ports, caller, &location, (sales_from, sales_to)).await?,
        LocationKind::Warehouse => HashMap::new(),
    };
    let reckoning = Reckoning {
        terms: terms_by_sku(&suppliers),
        only_named: query.supplier_id.is_some(),
        sold,
        days: days_of_sales,
        review_days,
        lead_time_days,
    };
    let page = |items, next_cursor| OrderSuggestionPage {
        sales_from,
        sales_to,
        days: days_of_sales,
        review_days,
        items,
        next_cursor,
    };
    let now = ports.environment.now();
    let among = Among::Location(location_id.to_owned());
    let wanted = usize::try_from(limit).unwrap_or(usize::MAX);
    let (mut items, mut looked_at) = (Vec::new(), 0);
    loop {
        let left = u32::try_from(wanted.saturating_sub(items.len())).unwrap_or(limit);
        let found = stock_names(ports.database.as_ref(), scope, &among, position, left).await?;
        looked_at += found.names.len().max(1);
        for (name, counters) in read_many(ports, scope, found.names, Consistency::Eventual, now).await? {
            items.extend(reckoning.of(&name.location_id, &name.sku, &counters));
        }
        position = found.next;
        let Some(next) = &position else { return Ok(page(items, None)) };
        if items.len() >= wanted || looked_at >= LOOKED_AT_MAX {
            let next = serde_json::to_string(next).map_err(Error::bug)?;
            return Ok(page(items, Some(paged.cursor(&next))));
        }
    }
}

#[cfg(test)]
mod tests {
    use tillstream_domain::supplier::SuppliedSku;

    use super::*;

    fn supplier(id: &str, lead_time_days: u32, skus: &[(&str, Option<u32>)]) -> Supplier {
        let supplied = |(sku, lead_time_days): &(&str, Option<u32>)| SuppliedSku {
            sku: (*sku).to_owned(),
            lead_time_days: *lead_time_days,
            pack_size: None,
            unit_cost: None,
        };
        Supplier {
            id: id.to_owned(),
            name: id.to_owned(),
            lead_time_days,
            currency: None,
            over_delivery_percent: 0,
            contact_name: None,
            email: None,
            phone: None,
            address: None,
            supplies: skus.iter().map(supplied).collect(),
            version: 1,
        }
    }

    #[test]
    fn a_sku_is_ordered_where_it_comes_from_soonest() {
        let suppliers = [
            supplier("sup-b", 7, &[("A", None), ("B", Some(2))]),
            supplier("sup-a", 7, &[("A", None), ("B", None)]),
            supplier("sup-c", 3, &[("C", Some(30)), ("A", Some(7))]),
        ];
        let terms = terms_by_sku(&suppliers);
        let of = |sku: &str| terms.get(sku).map(|of| (of.supplier_id.as_str(), of.lead_time_days));
        assert_eq!(of("A"), Some(("sup-a", 7)));
        assert_eq!((of("B"), of("C")), (Some(("sup-b", 2)), Some(("sup-c", 30))));
        assert_eq!(of("D"), None);
    }

    #[test]
    fn days_are_bounded() {
        let of = |asked| days("days", asked, 28, (1, 90)).map_err(|error| error.code());
        assert_eq!([of(None), of(Some(1)), of(Some(90))], [Ok(28), Ok(1), Ok(90)]);
        for wrong in [0, 91, u32::MAX] {
            assert_eq!(of(Some(wrong)), Err(Some("days_out_of_range")));
        }
    }
}
