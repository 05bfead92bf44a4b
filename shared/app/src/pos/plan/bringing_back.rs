//! How the chunks of a return settle.
//!
//! A chunk has as many moves as one transaction takes where each is one action. What comes back as lots takes more:
//! the stock item, and each lot. So a chunk settles in parts, each a transaction; its record is written with each, and
//! says how many of its moves are settled. Whoever goes on begins there, and of any number at once one writes each part.

use super::*;
use crate::pos::finalize::delta_of;

/// Attribute of a chunk that is held: how many of its moves are settled, from the first on.
pub(super) const SETTLED_MOVES: &str = "settled_moves";

/// Settles what is not settled yet of a chunk of a return.
pub(super) async fn bring_back(
    ports: &Ports,
    scope: &TenantScope,
    (plan, origins): (&Plan, &Origins),
    (chunk, moves, mut settled): (u32, &[StockMove], usize),
    now: Timestamp,
) -> Result<Step> {
    let movement = plan.movement("return");
    // Nothing of it is taken.
    let takable = Takable { good_at: movement.at, left: None };
    // The chunk's record.
    let room = TRANSACTION_ACTIONS_MAX - 1;
    while settled < moves.len() {
        let left = moves.get(settled..).unwrap_or_default();
        let what = (plan.store_id.as_str(), origins);
        let parts = match parts_of(ports, scope, what, left, (&movement, now), room).await {
            Err(Error::Retryable { reason, .. }) => return Ok(Step::Again(reason)),
            parts => parts?,
        };
        for part in parts {
            let until = settled + part.moves;
            let delta = |m: &StockMove| delta_of(CartKind::Return, m);
            let others =
                StockWrites::of_whole(scope, &plan.store_id, &part.others, delta, &movement, &takable);
            let mut writes = vec![advance_part(scope, plan, chunk, (settled, until), until == moves.len())?];
            writes.extend(part.writes);
            writes.extend(others.writes);
            match ports.database.transact(writes).await {
                Ok(()) => settled = until,
                Err(error) => return lost_race(error).map(Step::Again),
            }
        }
    }
    Ok(Step::Done)
}

/// The record of a chunk of which so many moves were settled, and are now.
fn advance_part(
    scope: &TenantScope,
    plan: &Plan,
    chunk: u32,
    (from, until): (usize, usize),
    is_last: bool,
) -> Result<Write> {
    let number = |moves: usize| i64::try_from(moves).map_err(Error::bug);
    let as_read = match from {
        0 => Condition::Lacks(SETTLED_MOVES),
        from => Condition::Eq(SETTLED_MOVES, number(from)?.into()),
    };
    let change = match is_last {
        true => Change::Set("state", "settled".into()),
        false => Change::Set(SETTLED_MOVES, number(until)?.into()),
    };
    Ok(Write::Update {
        table: Table::Orders,
        key: scope.chunk(&plan.cart_id, plan.attempt, chunk),
        changes: vec![change],
        condition: Some(Condition::All(vec![Condition::Eq("state", "held".into()), as_read])),
    })
}
