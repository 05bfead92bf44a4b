//! How what a plan holds ends, chunk by chunk: taken from the stock, or given back.

use super::bringing_back::bring_back;
use super::*;

/// Settles or releases every chunk that is held, then ends the plan.
pub(super) async fn end_chunks(
    ports: &Ports,
    scope: &TenantScope,
    plan: &Plan,
    (end, now): (PlanState, Timestamp),
) -> Result<Step> {
    let settle = end == PlanState::Settled;
    let chunks = chunks_of(ports, scope, plan).await?;
    let is_of_lots = plan.names_lots || plan.brings_lots;
    let cart = if settle && is_of_lots { Some(cart_of_plan(ports, scope, plan).await?) } else { None };
    let origins = match cart.as_ref().filter(|_| plan.kind == CartKind::Return) {
        Some(cart) => match origins(ports, scope, cart).await {
            Err(Error::Retryable { reason, .. }) => return Ok(Step::Again(reason)),
            origins => origins?,
        },
        None => Origins::new(),
    };
    for (chunk, moves) in plan.chunks() {
        let position = usize::try_from(chunk).unwrap_or(usize::MAX);
        let record = chunks.get(position).and_then(Option::as_ref);
        let Some(record) = record.filter(|record| record.state == "held") else { continue };
        if settle && plan.kind == CartKind::Return {
            let of_chunk = (chunk, moves, record.settled_moves);
            match bring_back(ports, scope, (plan, &origins), of_chunk, now).await? {
                Step::Done => continue,
                step => return Ok(step),
            }
        }
        let mut writes = vec![plan.advance_chunk(scope, chunk, if settle { "settled" } else { "released" })];
        let mut of_lots = NamedGoods::default();
        if let Some(cart) = &cart {
            of_lots = match settle_lots(ports, scope, (plan, cart), (chunk, moves), now).await {
                Ok(Some(of_lots)) => of_lots,
                Ok(None) => return Ok(Step::Covered),
                Err(Error::Retryable { reason, .. }) => return Ok(Step::Again(reason)),
                Err(error) => return Err(error),
            };
        }
        let moves = of_lots.rest.as_deref().unwrap_or(moves);
        writes.extend(of_lots.writes);
        let first_move = writes.len();
        let stock = end_moves(scope, plan, moves, settle);
        writes.extend(stock.writes);
        match ports.database.transact(writes).await {
            Ok(()) => {}
            Err(DatabaseError::Cancelled(reasons))
                if matches!(reasons.first(), Some(Cancellation::ConditionFailed(_))) => {}
            Err(DatabaseError::Cancelled(reasons)) => {
                let of_chunk = (chunk, first_move, moves);
                if settle && let Some(step) = cover_found_less(ports, scope, plan, of_chunk, &reasons).await?
                {
                    return Ok(step);
                }
                if let Attempt::Short(shortages) = read_reasons(&reasons, first_move, moves, &stock.of)? {
                    // What this plan holds can not be short: somebody took what was not theirs.
                    let skus: Vec<&str> = shortages.iter().map(|s| s.sku.as_str()).collect();
                    return Err(Error::Bug(format!("plan of {} lost its hold on {skus:?}", plan.cart_id)));
                }
                return Ok(Step::Again("another transaction was first".to_owned()));
            }
            Err(DatabaseError::Invalid(what)) => return Err(Error::Bug(what)),
            Err(error) => return Ok(Step::Again(error.to_string())),
        }
    }
    let from = if settle { PlanState::Committed } else { PlanState::Releasing };
    let mut writes = vec![plan.advance(scope, from, end, Vec::new())];
    if !settle {
        let version = i64::try_from(plan.cart_version).map_err(Error::bug)?;
        writes.push(Write::Update {
            table: Table::Orders,
            key: scope.cart(&plan.cart_id),
            changes: vec![Change::Remove("plan_attempt"), Change::Set("version", (version + 1).into())],
            condition: Some(Condition::Eq("version", version.into())),
        });
    }
    match ports.database.transact(writes).await {
        Ok(()) => Ok(Step::Done),
        Err(error) => lost_race(error).map(Step::Again),
    }
}

/// That a chunk is held still.
fn is_held(scope: &TenantScope, plan: &Plan, chunk: u32) -> Write {
    Write::Check {
        table: Table::Orders,
        key: scope.chunk(&plan.cart_id, plan.attempt, chunk),
        condition: Condition::Eq("state", "held".into()),
    }
}

/// Less was found than a chunk holds, after its order was final: what is missing is entered as a discrepancy, as for a
/// long reservation. Lots that were past their day when it was sold are kept aside first. `None`: neither was in the way.
async fn cover_found_less(
    ports: &Ports,
    scope: &TenantScope,
    plan: &Plan,
    (chunk, first_move, moves): (u32, usize, &[StockMove]),
    reasons: &[Cancellation],
) -> Result<Option<Step>> {
    if plan.kind != CartKind::Sale {
        return Ok(None);
    }
    let sale = plan.movement("sale");
    let mut writes = vec![is_held(scope, plan, chunk)];
    let mut is_aside = false;
    for (reason, wanted) in reasons.iter().skip(first_move).zip(moves) {
        let Cancellation::ConditionFailed(Some(item)) = reason else { continue };
        let seen = Counters::of(item)?;
        let name = (plan.store_id.as_str(), wanted.sku.as_str());
        is_aside |= keep_aside_if_due(ports, scope, name, Some(&seen), plan.sold_at()).await?;
        let missing = wanted.sellable.thousandths() - seen.on_hand;
        if missing > 0 && seen.reserved >= wanted.sellable.thousandths() {
            writes.push(found_less_write(scope, name, &seen, missing, &sale));
        }
    }
    if is_aside {
        return Ok(Some(Step::Again("lots past their day were kept aside".to_owned())));
    }
    if writes.len() == 1 {
        return Ok(None);
    }
    match ports.database.transact(writes).await {
        Ok(()) => Ok(Some(Step::Covered)),
        Err(error) => lost_race(error).map(|why| Some(Step::Again(why))),
    }
}

/// What settles a chunk of a sale: it leaves the shelf, where it lies, and was good when it was sold.
fn settle_moves(scope: &TenantScope, plan: &Plan, moves: &[StockMove]) -> StockWrites {
    let movement = plan.movement("sale");
    let mut stock = StockWrites::default();
    for (at, wanted) in moves.iter().enumerate() {
        let is_there = Condition::Ge("on_hand", wanted.sellable.thousandths().into());
        let conditions = vec![is_there, no_lot_is_due(plan.sold_at())];
        let delta = Delta::commit(wanted.sellable);
        let (store_id, sku) = (plan.store_id.as_str(), wanted.sku.as_str());
        stock.writes.push(stock_update(scope, store_id, sku, delta, &movement, conditions, Vec::new()));
        stock.of.push((at, None));
    }
    stock
}

/// What a chunk settles of goods of which lots are named.
#[derive(Default)]
struct NamedGoods {
    /// Conditions on what was read: a failure is a lost race.
    writes: Vec<Write>,
    /// The moves of all other goods; `None`: all of them.
    rest: Option<Vec<StockMove>>,
}

/// What a chunk of a cart that is final settles of goods of which lots are named: they have left, whatever was sold of
/// these lots since they were held, so what does not fit is made to. `None`: something was entered, look again.
///
/// # Errors
/// As the database.
async fn settle_lots(
    ports: &Ports,
    scope: &TenantScope,
    (plan, cart): (&Plan, &Cart),
    (chunk, moves): (u32, &[StockMove]),
    now: Timestamp,
) -> Result<Option<NamedGoods>> {
    let movement = plan.movement("sale");
    let mut goods = leaving_of(cart, moves, &movement);
    for one in &mut goods {
        one.held = one.quantity;
    }
    let sold_by = (plan.register_id.as_str(), plan.terms.employee_id.as_str());
    let terms = leaving::Terms {
        location_id: &plan.store_id,
        good_at: plan.sold_at(),
        now,
        gone: Some(taker(cart, sold_by, plan.terms.occurred_at, now)),
        // What was counted since it left was told when the chunk was held.
        left: None,
    };
    let looked = leaving::look(ports, scope, &terms, &goods).await?;
    leaving::tell(ports, scope, &terms, &looked.misfits).await?;
    let mut entries = looked.entries;
    for (one, leaves) in goods.iter().zip(&looked.goods) {
        // Less was found than the chunk holds: what is missing is entered, as of goods of which no lot is named.
        let Leaves::Short(needed, Some(seen)) = leaves else { continue };
        let missing = needed + one.held - seen.on_hand;
        if missing > 0 {
            let name = (plan.store_id.as_str(), one.sku.as_str());
            entries.push(vec![found_less_write(scope, name, seen, missing, &movement)]);
        }
    }
    if !entries.is_empty() {
        leaving::enter(ports, entries, &[is_held(scope, plan, chunk)]).await?;
        return Ok(None);
    }
    let mut named = NamedGoods::default();
    let mut rest = moves.to_vec();
    for (one, leaves) in goods.iter().zip(looked.goods) {
        if let Leaves::So(writes) = leaves {
            named.writes.extend(writes);
            rest.retain(|other| other.sku != one.sku);
        }
    }
    named.rest = Some(rest);
    Ok(Some(named))
}

fn end_moves(scope: &TenantScope, plan: &Plan, moves: &[StockMove], settle: bool) -> StockWrites {
    let (kind, delta): (&'static str, fn(&StockMove) -> Delta) = match (plan.kind, settle) {
        (CartKind::Sale, true) => return settle_moves(scope, plan, moves),
        (CartKind::Sale, false) => ("release", |m| Delta::release(m.sellable)),
        // What comes back is settled part by part, and was never held.
        (CartKind::Return, _) => return StockWrites::default(),
    };
    let movement = plan.movement(kind);
    // Nothing of it is taken.
    let takable = Takable { good_at: movement.at, left: None };
    StockWrites::of_whole(scope, &plan.store_id, moves, delta, &movement, &takable)
}
