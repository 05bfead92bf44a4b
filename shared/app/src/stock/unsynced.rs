//! Reservations at locations whose stock nobody has told yet, where their policy allows it: what is missing is entered
//! first, then held as any stock is. Sales do the same as they become final.

use jiff::Timestamp;
use tillstream_domain::stock_policies::UnsyncedStock;

use crate::database::{Condition, Table, Write};
use crate::error::Result;
use crate::ports::Ports;
use crate::pos::cart_write::lost_race;
use crate::stock::counters::Counters;
use crate::stock::layout::LAYOUT_WHOLE;
use crate::stock::request_identity::request_number;
use crate::stock::reservation_item::Reservation;
use crate::stock::split::make_whole;
use crate::stock::taken_beyond::{Beyond, MissingStock, Taker, entry_writes};
use crate::stock::wanted::Wanted;
use crate::tenancy::TenantScope;
use crate::tenant_rules::tenant_rules;

/// Most SKUs entered in one transaction: two actions each, beside the check of the header.
const ENTERED_AT_ONCE: usize = 45;

/// Enters what a reservation, of which nothing is there yet, is `short` of, by position, where nobody has told the
/// stock of any of it and all locations allow that. Answers whether it is worth another look.
///
/// # Errors
/// As the database.
pub(super) async fn enter(
    ports: &Ports,
    scope: &TenantScope,
    wanted: &[Wanted],
    short: &[(usize, Option<Counters>)],
    reservation: &Reservation,
    now: Timestamp,
) -> Result<bool> {
    let is_unsynced = |stock: &Option<Counters>| stock.is_none_or(|stock| stock.unsynced);
    if short.is_empty() || !short.iter().all(|(_, stock)| is_unsynced(stock)) {
        return Ok(false);
    }
    let rules = tenant_rules(ports, scope, now).await?;
    let lines: Vec<(&Wanted, Option<Counters>)> =
        short.iter().filter_map(|(at, stock)| Some((wanted.get(*at)?, *stock))).collect();
    let is_allowed = |line: &Wanted| rules.stock_policies(&line.location_id).unsynced == UnsyncedStock::Allow;
    if !lines.iter().all(|(line, _)| is_allowed(line)) {
        return Ok(false);
    }
    for (line, stock) in &lines {
        if stock.is_some_and(|stock| stock.layout != LAYOUT_WHOLE) {
            // Only of the whole can be said in one condition what is missing.
            make_whole(ports, scope, &line.location_id, &line.sku).await?;
            return Ok(true);
        }
    }
    let taker = Taker {
        beyond: Beyond::Unsynced,
        reference: &reservation.id,
        order_id: reservation.order_id.as_deref(),
        register_id: None,
        employee_id: &reservation.created_by,
        at: now,
        now,
    };
    for lines in lines.chunks(ENTERED_AT_ONCE) {
        let number = request_number(ports.environment.as_ref());
        // What was reserved meanwhile by a twin of this request needs nothing any more.
        let key = scope.reservation(&reservation.id);
        let mut writes = vec![Write::Check { table: Table::Stock, key, condition: Condition::NotExists }];
        for (line, stock) in lines {
            let missing = MissingStock {
                location_id: &line.location_id,
                sku: &line.sku,
                unit: line.unit,
                requested: line.quantity.thousandths(),
                available: stock.map(|stock| stock.available),
                unsynced: true,
            };
            writes.extend(entry_writes(scope, &taker, &missing, number));
        }
        if let Err(error) = ports.database.transact(writes).await {
            // Others were first, or the answer was lost: what is read next tells.
            lost_race(error)?;
            return Ok(true);
        }
    }
    Ok(true)
}
