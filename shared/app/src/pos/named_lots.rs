//! The goods of a cart of which lots are named.

use std::collections::BTreeMap;

use jiff::Timestamp;
use tillstream_domain::cart::{Cart, CartKind, StockMove};
use tillstream_domain::lane::Lane;
use tillstream_domain::quantity::Quantity;

use super::context::CommandContext;
use super::shortage::Shortage;
use crate::stock::counters::Movement;
use crate::stock::lots::leaving::{Leaves, Leaving, Misfit, Terms};
use crate::stock::taken_beyond::{Beyond, Taker};

/// What of the `moves` of a sale is of lots that its lines name.
pub(crate) fn leaving_of<'a>(cart: &Cart, moves: &[StockMove], movement: &'a Movement) -> Vec<Leaving<'a>> {
    if cart.kind != CartKind::Sale || cart.lots.is_empty() {
        return Vec::new();
    }
    let of_skus = cart.lots_moved();
    let goods = moves.iter().filter_map(|one| {
        let lots = of_skus.get(one.sku.as_str())?;
        Some(Leaving {
            sku: one.sku.clone(),
            quantity: one.sellable.thousandths(),
            held: 0,
            lots: owned(lots),
            back: None,
            movement,
        })
    });
    goods.collect()
}

/// So much of each lot.
pub(super) fn owned(lots: &BTreeMap<&str, i64>) -> BTreeMap<String, i64> {
    lots.iter().map(|(lot_id, quantity)| ((*lot_id).to_owned(), *quantity)).collect()
}

/// On what terms the goods of a cart leave.
pub(crate) fn lot_terms<'a>(context: &'a CommandContext, cart: &'a Cart) -> Terms<'a> {
    Terms {
        location_id: &cart.store_id,
        good_at: context.good_at(),
        now: context.now,
        gone: context.offline.then(|| {
            taker(cart, (&context.register_id, &context.employee_id), context.occurred_at, context.now)
        }),
        left: None,
    }
}

/// Who took the goods of a sale that has happened.
pub(super) fn taker<'a>(
    cart: &'a Cart,
    (register_id, employee_id): (&'a str, &'a str),
    at: Timestamp,
    now: Timestamp,
) -> Taker<'a> {
    Taker {
        beyond: Beyond::Offline,
        reference: &cart.id,
        order_id: Some(&cart.id),
        register_id: Some(register_id),
        employee_id,
        at,
        now,
    }
}

/// The field that names a lot: a till names lines by their ids; who places an order has only their positions.
pub(crate) fn lot_field(cart: &Cart, misfit: &Misfit) -> String {
    let line = cart.lines_of_lot(&misfit.sku, &misfit.lot_id).next();
    match line {
        Some((position, _)) if Lane::is_virtual(&cart.register_id) => format!("lines[{position}].lot"),
        Some((_, line)) => format!("lines.{}.lot", line.id()),
        None => misfit.lot_id.clone(),
    }
}

/// What goods are short of.
pub(super) fn shortage_of((one, leaves): (&Leaving<'_>, &Leaves)) -> Option<Shortage> {
    let Leaves::Short(needed, seen) = leaves else { return None };
    let wanted = StockMove {
        sku: one.sku.clone(),
        // What the cart holds of it by itself is told apart.
        sellable: Quantity::of_counter(*needed + one.held),
        damaged: Quantity::ZERO,
    };
    Some(Shortage::over_all_parts(&wanted, seen.as_deref()))
}
