//! Reading orders: one, or lists by store, newest first.

use std::collections::VecDeque;

use jiff::Timestamp;
use jiff::civil::Date;
use tillstream_contracts::orders::{
    ExchangeView, OrderFilter, OrderPage, OrderView, RecordedView, RefundView, SettlementPayment, StatusView,
    TrackingInput,
};
use tillstream_contracts::pos::PaymentView;
use tillstream_domain::cart::order_status::OrderStatus;
use tillstream_domain::cart::{Cart, CartKind, Returned};
use tillstream_domain::location::Location;
use tillstream_domain::money::Money;

use crate::catalog::reach::stores_in_reach;
use crate::cursor::{self, PagedQuery};
use crate::database::{Consistency, Get, Index, Item, Key, Query, Range, StartKey, Table};
use crate::error::{Error, Refusal, Result};
use crate::fields::id;
use crate::ports::Ports;
use crate::pos::cart_item::{cart_of, store_sort_key};
use crate::pos::returns::{returned_get, returned_of};
use crate::pos::view::cart_view;
use crate::tenancy::{Caller, Role, TenantScope};
use crate::time_bound::TimeBound;

/// Roles that may read orders.
pub const READERS: [Role; 5] =
    [Role::Cashier, Role::StoreManager, Role::FranchiseOwner, Role::Analyst, Role::Integration];

/// Most stores one list goes over; above, name one.
const STORES_MAX: usize = 200;
/// Index entries looked at for one page; a rare filter goes on at the cursor.
const SCAN_MAX: usize = 4_000;
/// Index entries per query.
const SCAN_PAGE: u32 = 200;

/// The refusal of an unknown order, and of one that is out of reach.
pub fn order_not_found(order_id: &str) -> Refusal {
    Refusal::not_found("order_not_found", format!("there is no order {order_id}"))
}

/// One order with its lines.
///
/// # Errors
/// 404 `order_not_found` also where it is not final or out of the caller's reach.
pub async fn get(ports: &Ports, caller: &Caller, order_id: &str) -> Result<OrderView> {
    caller.require_role(&READERS)?;
    id("id", order_id)?;
    let key = caller.scope.cart(order_id);
    let get = Get { table: Table::Orders, key, consistency: Consistency::Strong };
    let read = ports.database.get_many(vec![get, returned_get(&caller.scope, order_id)]).await?;
    let at = |position: usize| read.get(position).and_then(Option::as_ref);
    let cart = cart_of(at(0).ok_or_else(|| order_not_found(order_id))?)?;
    if cart.finalized.is_none() || !caller.reaches(&cart.store_id) {
        return Err(order_not_found(order_id).into());
    }
    let mut order = order_view(&cart, true)?;
    if order.refunds.is_empty() {
        order.refunds = refunds_of_returns(&cart, &returned_of(at(1))?);
    }
    Ok(order)
}

/// What tenders got back by returns, so far.
fn refunds_of_returns(cart: &Cart, returned: &Returned) -> Vec<RefundView> {
    let money = |amount| Money { amount, currency: cart.currency };
    let refunded = returned.refunded.iter().filter(|(_, amount)| **amount > 0);
    refunded
        .map(|(tender, amount)| RefundView {
            tender: tender.clone(),
            amount: money(*amount),
            tip: money(0),
            external_reference: None,
        })
        .collect()
}

/// A final cart as an order.
///
/// # Errors
/// A bug if it is not final.
pub fn order_view(cart: &Cart, with_lines: bool) -> Result<OrderView> {
    let done = cart.finalized.as_ref().ok_or_else(|| Error::bug("an order is final"))?;
    let view = cart_view(cart, with_lines)?;
    let payments: Vec<PaymentView> = view.payments;
    let undone = cart.course.history.iter().find(|change| change.to.is_undone());
    Ok(OrderView {
        id: view.id,
        kind: match cart.kind {
            CartKind::Sale => "sale",
            CartKind::Return => "return",
        },
        status: done.status.clone(),
        order_version: done.order_version,
        store_id: view.store_id,
        register_id: done.number.lane.register_id.clone(),
        employee_id: cart.employee_id.clone(),
        channel: view.channel,
        customer_id: view.customer_id,
        receipt_number: done.number.number,
        receipt_epoch: done.number.raised_epoch(),
        lane: done.number.lane.to_string(),
        finalized_at: done.at,
        business_day: done.business_day,
        lines: view.lines,
        line_count: view.line_count,
        discounts: view.discounts,
        payments,
        totals: view.totals,
        original_order_id: view.original_order_id,
        undoes: cart.course.undoes.map(|undoing| undoing.status().name()),
        exchange: exchange_view(cart),
        history: if with_lines { history_views(cart) } else { Vec::new() },
        refunds: if with_lines { refund_views(cart) } else { Vec::new() },
        cancelled_by: undone.map(|change| change.by.clone()),
        undone_by: undone.and_then(|change| change.undone_by.clone()),
        recorded: cart.course.recorded.as_ref().map(|recorded| RecordedView {
            register_id: recorded.register_id.clone(),
            receipt_reference: recorded.receipt_reference.clone(),
        }),
        approval: view.approval,
    })
}

fn exchange_view(cart: &Cart) -> Option<ExchangeView> {
    let with = cart.course.exchange.as_ref().map(|exchange| exchange.with.clone())?;
    Some(match cart.kind {
        CartKind::Sale => ExchangeView { return_order_id: Some(with), sale_order_id: None },
        CartKind::Return => ExchangeView { return_order_id: None, sale_order_id: Some(with) },
    })
}

/// Where the order stood and since when, from its first status on. Empty for a return.
fn history_views(cart: &Cart) -> Vec<StatusView> {
    let (Some(done), Some(first)) = (&cart.finalized, cart.first_status()) else { return Vec::new() };
    if cart.kind == CartKind::Return {
        return Vec::new();
    }
    let money = |amount| Money { amount, currency: cart.currency };
    let first = StatusView {
        status: first.name(),
        order_version: 1,
        at: done.at,
        by: cart.employee_id.clone(),
        ..StatusView::default()
    };
    let changes = cart.course.history.iter().map(|change| StatusView {
        status: change.to.name(),
        order_version: change.order_version,
        at: change.at,
        by: change.by.clone(),
        reason: change.reason.clone(),
        tracking: change
            .tracking
            .clone()
            .map(|tracking| TrackingInput { carrier: tracking.carrier, number: tracking.number }),
        payments: change
            .settled
            .iter()
            .map(|paid| SettlementPayment {
                tender: paid.tender.clone(),
                amount: money(paid.amount),
                external_reference: paid.external_reference.clone(),
            })
            .collect(),
    });
    std::iter::once(first).chain(changes).collect()
}

/// What the tenders of an order got back that is undone.
fn refund_views(cart: &Cart) -> Vec<RefundView> {
    if !cart.order_status().is_some_and(OrderStatus::is_undone) {
        return Vec::new();
    }
    let money = |amount| Money { amount, currency: cart.currency };
    cart.refunds_of_all()
        .into_iter()
        .map(|refund| RefundView {
            tender: refund.tender,
            amount: money(refund.amount),
            tip: money(refund.tip),
            external_reference: refund.external_reference,
        })
        .collect()
}

/// A page of orders, newest first, without their lines.
///
/// # Errors
/// 400 `cursor_malformed`; 403 for a store out of reach; 404 `store_not_found`; 422 for filters.
pub async fn list(ports: &Ports, caller: &Caller, filter: OrderFilter) -> Result<OrderPage> {
    list_kinds(ports, caller, filter, Kinds::All).await
}

/// A page of sales, newest first, without their lines: as [`list`], returns left out.
///
/// # Errors
/// As [`list`].
pub async fn list_sales(ports: &Ports, caller: &Caller, filter: OrderFilter) -> Result<OrderPage> {
    list_kinds(ports, caller, filter, Kinds::Sales).await
}

/// Which kinds of order a list has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kinds {
    All,
    Sales,
}

async fn list_kinds(ports: &Ports, caller: &Caller, filter: OrderFilter, kinds: Kinds) -> Result<OrderPage> {
    caller.require_role(&READERS)?;
    let limit = usize::try_from(cursor::limit(filter.limit)?).unwrap_or(1);
    let fields =
        [&filter.store_id, &filter.status, &filter.from, &filter.to, &filter.channel, &filter.customer_id];
    for (name, value) in ["store_id", "status", "from", "to", "channel", "customer_id"].iter().zip(fields) {
        if !matches!(*name, "from" | "to")
            && let Some(value) = value
        {
            id(name, value)?;
        }
    }
    let texts: Vec<&str> = fields.iter().map(|field| field.as_deref().unwrap_or("\u{0}")).collect();
    let name = if kinds == Kinds::Sales { "sales" } else { "orders" };
    let paged = PagedQuery::new(&caller.scope, name, texts);
    let after = filter.cursor.as_deref().map(|cursor| paged.position(cursor)).transpose()?;
    let from = filter.from.as_deref().map(|text| TimeBound::parse("from", text)).transpose()?;
    let to = filter.to.as_deref().map(|text| TimeBound::parse("to", text)).transpose()?;
    if let (Some(from), Some(to)) = (from, to) {
        check_order(from, to)?;
    }
    let mut walks = Vec::new();
    let Some(stores) = stores_in_reach(ports, caller, filter.store_id.as_deref(), STORES_MAX).await? else {
        let message = format!("there are more than {STORES_MAX} stores; name one");
        return Err(Refusal::field("store_id", "store_required", message).into());
    };
    for location in stores {
        let range = sort_range(&location, from, to, after.as_deref())?;
        walks.extend(range.map(|range| StoreWalk::new(&caller.scope, &location.id, range)));
    }
    let (keys, position) = merge(ports, &mut walks, (&filter, kinds), after.as_deref(), limit).await?;
    let gets = keys
        .into_iter()
        .map(|key| Get { table: Table::Orders, key, consistency: Consistency::Eventual })
        .collect();
    let mut items = Vec::new();
    for item in ports.database.get_many(gets).await?.into_iter().flatten() {
        let cart = cart_of(&item)?;
        // An index may be a moment behind its table.
        if cart.finalized.is_some() {
            items.push(order_view(&cart, false)?);
        }
    }
    Ok(OrderPage { items, next_cursor: position.map(|position| paged.cursor(&position)) })
}

/// A day and an instant compare only in a store's zone; there an empty range is no mistake to tell.
fn check_order(from: TimeBound, to: TimeBound) -> Result<()> {
    let reversed = match (from, to) {
        (TimeBound::Day(from), TimeBound::Day(to)) => from > to,
        (TimeBound::Instant(from), TimeBound::Instant(to)) => from > to,
        _ => false,
    };
    if reversed {
        return Err(Refusal::field("to", "range_reversed", "to is not before from").into());
    }
    Ok(())
}

/// The sort keys of a store between two bounds and below the cursor; `None` where there are none.
fn sort_range(
    location: &Location,
    from: Option<TimeBound>,
    to: Option<TimeBound>,
    after: Option<&str>,
) -> Result<Option<(String, String)>> {
    let calendar = location.calendar().map_err(Error::bug)?;
    let begin = |day: Date| calendar.day_begin(day).map_err(Error::bug);
    let first = match from {
        None => store_sort_key(Timestamp::UNIX_EPOCH, ""),
        Some(TimeBound::Instant(at)) => store_sort_key(at, ""),
        Some(TimeBound::Day(day)) => store_sort_key(begin(day)?, ""),
    };
    // A tilde sorts after every character of an id but none of a time.
    let mut last = match to {
        None => "9".to_owned(),
        Some(TimeBound::Instant(at)) => store_sort_key(at, "~"),
        Some(TimeBound::Day(day)) => {
            let next = begin(day.tomorrow().map_err(Error::bug)?)?;
            store_sort_key(next, "")
        }
    };
    if let Some(after) = after {
        last = last.min(after.to_owned());
    }
    Ok((first <= last).then_some((first, last)))
}

/// One store's orders, newest first, fetched as they are needed.
struct StoreWalk {
    query: Query,
    buffer: VecDeque<Item>,
    ended: bool,
}

impl StoreWalk {
    fn new(scope: &TenantScope, store_id: &str, (first, last): (String, String)) -> Self {
        let query = Query {
            range: Range::Between(first, last),
            ascending: false,
            limit: SCAN_PAGE,
            ..Query::index(Table::Orders, Index::ByStore, scope.store_orders(store_id))
        };
        StoreWalk { query, buffer: VecDeque::new(), ended: false }
    }

    async fn head(&mut self, ports: &Ports) -> Result<Option<&Item>> {
        while self.buffer.is_empty() && !self.ended {
            let page = ports.database.query(self.query.clone()).await?;
            self.buffer.extend(page.items);
            let next: Option<StartKey> = page.next;
            self.ended = next.is_none();
            self.query.start = next;
        }
        Ok(self.buffer.front())
    }
}

/// The newest orders of all walks that pass the filter: their keys, and where to go on.
async fn merge(
    ports: &Ports,
    walks: &mut [StoreWalk],
    (filter, kinds): (&OrderFilter, Kinds),
    after: Option<&str>,
    limit: usize,
) -> Result<(Vec<Key>, Option<String>)> {
    let mut keys = Vec::new();
    let mut last = None;
    for _ in 0..SCAN_MAX {
        let mut newest: Option<(usize, String)> = None;
        for (position, walk) in walks.iter_mut().enumerate() {
            if let Some(item) = walk.head(ports).await? {
                let sort = item.text("store_sk")?;
                if newest.as_ref().is_none_or(|(_, best)| sort > best.as_str()) {
                    newest = Some((position, sort.to_owned()));
                }
            }
        }
        let Some((position, sort)) = newest else { return Ok((keys, None)) };
        if keys.len() == limit {
            return Ok((keys, last));
        }
        let Some(item) = walks.get_mut(position).and_then(|walk| walk.buffer.pop_front()) else { continue };
        // The cursor's own order was on the page before.
        if after == Some(sort.as_str()) {
            continue;
        }
        let passes = |wanted: &Option<String>, name: &str| {
            wanted.as_deref().is_none_or(|wanted| item.opt_text(name) == Some(wanted))
        };
        // A return is told by its status, which no sale ever has: the index carries it.
        let is_return = item.opt_text("status") == Some(OrderStatus::Returned.name());
        if !(is_return && kinds == Kinds::Sales)
            && passes(&filter.status, "status")
            && passes(&filter.channel, "channel")
            && passes(&filter.customer_id, "customer_id")
        {
            keys.push(Key::of(&item)?);
        }
        last = Some(sort);
    }
    Ok((keys, last))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_range_does_not_run_backwards() {
        let day = |text: &str| TimeBound::Day(text.parse().unwrap());
        let instant = |text: &str| TimeBound::Instant(text.parse().unwrap());
        let (early, late) = (day("2011-01-01"), day("2011-01-02"));
        let (before, after) = (instant("2011-01-01T10:00:00Z"), instant("2011-01-01T10:00:01Z"));
        for (from, to) in [(early, late), (early, early), (before, after), (before, before), (late, before)] {
            check_order(from, to).unwrap();
        }
        for (from, to) in [(late, early), (after, before)] {
            assert_eq!(check_order(from, to).unwrap_err().code(), Some("range_reversed"));
        }
    }
}
