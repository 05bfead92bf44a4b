//! A sale that becomes final of a cart that holds what it sells: what is held becomes the sale in the transaction that
//! takes stock, one change of each stock item, and its hold lines end there. What the cart does not hold, or holds no
//! more, is taken anew, as from any cart.

use std::collections::BTreeMap;

use jiff::Timestamp;
use tillstream_domain::cart::{Cart, CartHolds, StockMove};
use tillstream_domain::quantity::Quantity;

use super::cart_holds::{line_of, lines_of};
use super::context::CommandContext;
use super::final_transaction::{Attempt, StockWrites, Takable};
use super::finalize_rounds::Rounds;
use super::shortage::Shortage;
use crate::database::{Condition, TRANSACTION_ACTIONS_MAX, Write};
use crate::error::Result;
use crate::ports::Ports;
use crate::stock::counters::{Delta, Movement, stock_update, stock_update_at};
use crate::stock::holds::{Hold, Located, locate, standing_lines};
use crate::stock::layout::{LAYOUT_WHOLE, Place};
use crate::stock::split::make_whole;
use crate::stock::take::{Taken, take};
use crate::tenancy::TenantScope;

/// What a cart holds at `now`, and where it counts: as the cart names it, or, once that was found wrong, as its lines are
/// (`looks`). That one trusts what the cart names costs the sale no read.
///
/// # Errors
/// Those of the database.
pub(super) async fn usable(
    ports: &Ports,
    scope: &TenantScope,
    cart: &Cart,
    looks: bool,
    now: Timestamp,
) -> Result<Vec<Located>> {
    let mut lines = lines_of(cart);
    let database = ports.database.as_ref();
    if looks && !lines.is_empty() {
        lines = standing_lines(database, scope, &lines).await?;
    }
    // What is over others may have by now.
    lines.retain(|line| !line.has_expired(now));
    if looks {
        return locate(database, scope, lines).await;
    }
    let place = |part, layout| if part == 0 { Place::First } else { Place::Part { part, layout } };
    let located = |hold: Hold| Located { place: place(hold.part, hold.layout), hold, left: Quantity::ZERO };
    Ok(lines.into_iter().map(located).collect())
}

/// How many of a SKU these hold.
pub(super) fn held_of(holds: &[Located], sku: &str) -> Quantity {
    let of_it = holds.iter().filter(|one| one.hold.sku == sku);
    of_it.fold(Quantity::ZERO, |sum, one| sum.plus(one.hold.quantity))
}

/// The ends of what a cart holds of some SKUs, in the transaction that sells it: a failure is a lost race.
pub(super) fn ends_of(
    context: &CommandContext,
    holds: &[Located],
    is_of: impl Fn(&str) -> bool,
) -> Vec<Write> {
    let of_it = holds.iter().filter(|one| is_of(&one.hold.sku));
    of_it.map(|one| one.hold.end(&context.caller.scope, Quantity::ZERO, is_not_over(context.now))).collect()
}

/// That a hold's time is not over yet.
pub(super) fn is_not_over(now: Timestamp) -> Condition {
    Condition::Gt("expires_at", now.as_millisecond().into())
}

/// What one part of a stock item gives.
struct Piece {
    place: Place,
    /// Held there, and held no more.
    released: Quantity,
    /// Sold.
    sold: Quantity,
}

/// The updates of stock of a sale of a cart that holds some of it, beside `others` actions, and the ends of its holds.
/// `layouts`: of the SKUs that were met split. `Err`: how the attempt ended already.
///
/// # Errors
/// Those of the database.
pub(super) async fn stock_writes(
    ports: &Ports,
    rounds: &Rounds<'_>,
    (cart, holds, layouts): (&Cart, &[Located], &BTreeMap<String, i64>),
    (moves, movement): (&[StockMove], &Movement),
    others: usize,
) -> Result<std::result::Result<StockWrites, Attempt>> {
    let context = rounds.context();
    let scope = &context.caller.scope;
    let mut stock = StockWrites::default();
    let mut short = Vec::new();
    let mut most_parts: Option<(usize, &str)> = None;
    for (at, wanted) in moves.iter().enumerate() {
        let name = (cart.store_id.as_str(), wanted.sku.as_str());
        let mut pieces: BTreeMap<u32, Piece> = BTreeMap::new();
        let mut left = wanted.sellable;
        let mut layout = layouts.get(&wanted.sku).copied();
        for one in holds.iter().filter(|one| one.hold.sku == wanted.sku) {
            stock.lines.push(one.hold.end(scope, Quantity::ZERO, is_not_over(context.now)));
            let sold = one.hold.quantity.min(left);
            left = left.minus(sold);
            if let Place::Part { layout: of_part, .. } = one.place {
                layout = layout.or(Some(of_part));
            }
            let piece = pieces.entry(one.place.part()).or_insert_with(|| Piece::none(one.place));
            piece.released = piece.released.plus(one.hold.quantity);
            piece.sold = piece.sold.plus(sold);
        }
        if left > Quantity::ZERO {
            let shares = match layout {
                None => vec![(Place::Whole, left)],
                Some(layout) => match take(ports, scope, name, left, layout).await? {
                    Taken::Shares(shares, _) => {
                        shares.iter().map(|share| (share.place(), share.quantity)).collect()
                    }
                    Taken::Short(seen) => {
                        short.push(Shortage::over_all_parts(wanted, seen.as_ref()));
                        continue;
                    }
                    Taken::Again(why) => return Ok(Err(Attempt::LostRace(why))),
                },
            };
            for (place, quantity) in shares {
                let piece = pieces.entry(place.part()).or_insert_with(|| Piece::none(place));
                // What takes what is available names the layout.
                piece.place = place;
                piece.sold = piece.sold.plus(quantity);
            }
        }
        if pieces.values().any(|piece| matches!(piece.place, Place::Part { .. }))
            && let Some(counted) = rounds.counted_before_its_split(name.0, wanted).await?
        {
            short.push(counted);
            continue;
        }
        if pieces.len() > most_parts.map_or(1, |(most, _)| most) {
            most_parts = Some((pieces.len(), &wanted.sku));
        }
        for piece in pieces.into_values() {
            let (write, layout) = piece.write(scope, name, movement, &rounds.takable());
            stock.writes.push(write);
            stock.of.push((at, layout));
        }
    }
    if !short.is_empty() {
        return Ok(Err(Attempt::Short(short)));
    }
    match most_parts {
        Some((_, sku)) if others + stock.lines.len() + stock.writes.len() > TRANSACTION_ACTIONS_MAX => {
            make_whole(ports, scope, &cart.store_id, sku).await?;
            Ok(Err(Attempt::LostRace("stock was held and split over too many parts".to_owned())))
        }
        _ => Ok(Ok(stock)),
    }
}

impl Piece {
    fn none(place: Place) -> Self {
        Piece { place, released: Quantity::ZERO, sold: Quantity::ZERO }
    }

    /// Its update, and the layout that this names.
    fn write(
        self,
        scope: &TenantScope,
        (location_id, sku): (&str, &str),
        movement: &Movement,
        takable: &Takable<'_>,
    ) -> (Write, Option<i64>) {
        let Piece { place, released, sold } = self;
        let delta =
            Delta { on_hand: -sold.thousandths(), reserved: -released.thousandths(), ..Delta::default() };
        let mut more = takable.conditions(sku);
        if sold <= released {
            // A count may have found less than is held.
            more.push(Condition::Ge("on_hand", sold.thousandths().into()));
        }
        let layout = match place {
            Place::Part { layout, .. } => Some(layout),
            Place::Whole => Some(LAYOUT_WHOLE),
            Place::First => None,
        };
        let what = (location_id, sku, place);
        (stock_update_at(scope, what, delta, movement, more, Vec::new()), layout)
    }
}

/// The updates of stock by which a chunk of a plan holds its moves, where the cart holds some of them: that ends its
/// lines, and the plan holds it. With what the cart held; `Err`: why it is to be tried again.
///
/// # Errors
/// Those of the database.
pub(super) async fn chunk_writes(
    ports: &Ports,
    scope: &TenantScope,
    (cart_id, store_id, holds): (&str, &str, &CartHolds),
    (moves, movement, takable): (&[StockMove], &Movement, &Takable<'_>),
    now: Timestamp,
) -> Result<std::result::Result<(StockWrites, Vec<Located>), String>> {
    let database = ports.database.as_ref();
    let of_move = |one: &StockMove| {
        let of_it = holds.of(&one.sku).iter();
        of_it.map(|hold| line_of(cart_id, store_id, &one.sku, hold)).collect::<Vec<_>>()
    };
    let lines: Vec<_> = moves.iter().flat_map(of_move).collect();
    let mut standing = match lines.is_empty() {
        true => lines,
        false => standing_lines(database, scope, &lines).await?,
    };
    standing.retain(|line| !line.has_expired(now));
    let located = locate(database, scope, standing).await?;
    let mut merged = false;
    for one in located.iter().filter(|one| matches!(one.place, Place::Part { .. })) {
        // What a chunk holds it holds of the first part, whatever the layout by its end.
        make_whole(ports, scope, store_id, &one.hold.sku).await?;
        merged = true;
    }
    if merged {
        return Ok(Err("split stock was merged".to_owned()));
    }
    let mut stock = StockWrites::default();
    for (at, wanted) in moves.iter().enumerate() {
        let of_it = located.iter().filter(|one| one.hold.sku == wanted.sku);
        stock.lines.extend(of_it.map(|one| one.hold.end(scope, Quantity::ZERO, is_not_over(now))));
        let more = wanted.sellable.minus(held_of(&located, &wanted.sku));
        // Also where nothing more is held: whoever holds it has changed, and that is a movement.
        let delta = Delta::hold(more);
        let is_taken = more > Quantity::ZERO;
        // What the cart held already is sold like the rest: of good lots, and not counted since it left the shop.
        let conditions = takable.conditions(&wanted.sku);
        stock.writes.push(stock_update(
            scope,
            store_id,
            &wanted.sku,
            delta,
            movement,
            conditions,
            Vec::new(),
        ));
        stock.of.push((at, is_taken.then_some(LAYOUT_WHOLE)));
    }
    Ok(Ok((stock, located)))
}
