//! Carts that are put aside, and brought back at any register of the store.
//!
//! A parked cart has a marker in its store's partition, written and deleted with the cart's own write: a
//! list of parked carts is one query of a table, so that it shows what was parked a moment ago, which an
//! index may not.

use jiff::Timestamp;
use tillstream_contracts::pos::{CartReference, ListParkedCarts, ParkCart, ParkedCartView};
use tillstream_domain::cart::{Cart, Outcome, Parked};
use tillstream_domain::money::Money;

use super::cart_item::store_sort_key;
use super::cart_write::{Executed, Reach, change_cart, change_cart_in_reach};
use super::context::CommandContext;
use crate::cursor::{self, PagedQuery};
use crate::database::{Condition, Item, Query, Range, Table, Write};
use crate::error::{Error, Result};
use crate::fields::text;
use crate::ports::Ports;
use crate::tenancy::TenantScope;

/// Longest note, in characters: a name and what the customer looks like.
const NOTE_CHARS_MAX: usize = 200;

/// `park_cart`.
///
/// # Errors
/// 409 `wrong_cart_state` unless it is open; 422 for the note; the cart's own refusals.
pub async fn park(ports: &Ports, context: &CommandContext, payload: ParkCart) -> Result<Executed> {
    if let Some(note) = &payload.note {
        text("payload.note", note, NOTE_CHARS_MAX)?;
    }
    let parked = Parked {
        at: context.occurred_at,
        employee_id: context.employee_id.clone(),
        note: payload.note.filter(|note| !note.trim().is_empty()),
    };
    change_cart(ports, context, &payload.cart_id, Vec::new(), |cart, _| {
        cart.park(parked.clone())?;
        Ok(Outcome::Done)
    })
    .await
}

/// `recall_cart`: the cart then belongs to the register that recalls it.
///
/// # Errors
/// 409 `wrong_cart_state` where it is not parked, `cart_of_another_register` where another register has
/// recalled it; the cart's own refusals.
pub async fn recall(ports: &Ports, context: &CommandContext, payload: CartReference) -> Result<Executed> {
    let reach = Reach::StoreWhileParked;
    change_cart_in_reach(ports, context, &payload.cart_id, reach, Vec::new(), |cart, _| {
        cart.recall(&context.register_id)?;
        Ok(Outcome::Done)
    })
    .await
}

/// What a change does to the marker of a cart that was parked as `before` says, if it does anything.
///
/// # Errors
/// A bug if the cart's sums leave the accepted range.
pub fn marker_write(scope: &TenantScope, before: Option<&Parked>, after: &Cart) -> Result<Option<Write>> {
    match (before, &after.course.parked) {
        (None, Some(parked)) => {
            let item = marker(scope, after, parked)?;
            Ok(Some(Write::Put { table: Table::Orders, item, condition: Some(Condition::NotExists) }))
        }
        (Some(parked), None) => {
            let key = scope.parked_cart(&after.store_id, &store_sort_key(parked.at, &after.id));
            Ok(Some(Write::Delete { table: Table::Orders, key, condition: None }))
        }
        _ => Ok(None),
    }
}

fn marker(scope: &TenantScope, cart: &Cart, parked: &Parked) -> Result<Item> {
    let totals = cart.totals().map_err(Error::bug)?;
    Ok(Item::new(&scope.parked_cart(&cart.store_id, &store_sort_key(parked.at, &cart.id)))
        .with("cart_id", cart.id.as_str())
        .with("register_id", cart.register_id.as_str())
        .with("employee_id", parked.employee_id.as_str())
        .with("parked_at", parked.at.to_string())
        .with("lines", i64::try_from(cart.lines.len()).map_err(Error::bug)?)
        .with("total", totals.total)
        .with("currency", cart.currency.code())
        .with_some("customer_id", cart.customer_id.as_deref())
        .with_some("note", parked.note.as_deref()))
}

fn view(marker: &Item) -> Result<ParkedCartView> {
    let parked_at: Timestamp = marker.text("parked_at")?.parse().map_err(Error::bug)?;
    Ok(ParkedCartView {
        cart_id: marker.text("cart_id")?.to_owned(),
        note: marker.opt_text("note").map(str::to_owned),
        parked_at,
        register_id: marker.text("register_id")?.to_owned(),
        employee_id: marker.text("employee_id")?.to_owned(),
        customer_id: marker.opt_text("customer_id").map(str::to_owned),
        line_count: usize::try_from(marker.number("lines")?).map_err(Error::bug)?,
        total: Money {
            amount: marker.number("total")?,
            currency: marker.text("currency")?.parse().map_err(Error::bug)?,
        },
    })
}

/// `list_parked_carts`: those of the store, the last parked first, and where the next page begins.
///
/// # Errors
/// 400 `cursor_malformed`; 404 `store_not_found`, `register_not_found`; 422 `limit_out_of_range`.
pub async fn list(
    ports: &Ports,
    context: &CommandContext,
    payload: ListParkedCarts,
) -> Result<(Vec<ParkedCartView>, Option<String>)> {
    let limit = usize::try_from(cursor::limit_at("payload.limit", payload.limit)?).unwrap_or(1);
    let scope = &context.caller.scope;
    let paged = PagedQuery::new(scope, "parked-carts", [context.store_id.as_str()]);
    let after = payload.cursor.as_deref().map(|cursor| paged.position(cursor)).transpose()?;
    context.require_till(ports).await?;
    let mut query = Query {
        range: match &after {
            None => Range::All,
            // Sort keys begin with digits of a time.
            Some(after) => Range::Between("0".to_owned(), after.clone()),
        },
        ascending: false,
        // The cart that the cursor names, if it is still parked, and the one that tells of a next page.
        limit: u32::try_from(limit + 2).unwrap_or(u32::MAX),
        ..Query::partition(Table::Orders, scope.parked_carts(&context.store_id))
    };
    let mut markers = Vec::new();
    loop {
        let page = ports.database.query(query.clone()).await?;
        let shown_before = |item: &Item| after.is_some() && item.opt_text("sk") == after.as_deref();
        markers.extend(page.items.into_iter().filter(|item| !shown_before(item)));
        query.start = page.next;
        if query.start.is_none() || markers.len() > limit {
            break;
        }
    }
    let more = markers.len() > limit;
    markers.truncate(limit);
    let last = markers.last().map(|item| item.text("sk").map(str::to_owned)).transpose()?;
    let next = last.filter(|_| more).map(|position| paged.cursor(&position));
    Ok((markers.iter().map(view).collect::<Result<_>>()?, next))
}
