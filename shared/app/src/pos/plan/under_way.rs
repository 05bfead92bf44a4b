//! What plans that are under way hold, for whoever compares stock with its holds.

use super::*;

/// Plans that are looked at for what they hold.
const HOLDING_PLANS_MAX: u32 = 500;

/// How much of a stock item the plans of long orders under way hold, in thousandths: by the records of their chunks,
/// since they have no hold lines. `None` where there are too many plans to look at. The index that leads to them is a
/// moment behind: a plan that began just now may be missed.
///
/// # Errors
/// As the database.
pub async fn held_by_plans(
    ports: &Ports,
    scope: &TenantScope,
    location_id: &str,
    sku: &str,
) -> Result<Option<i64>> {
    let (mut held, mut looked_at) = (0, 0);
    for shard in 0..keys::DUE_SHARDS {
        // However late a plan is due: it holds until it has ended.
        let query = Query {
            limit: HOLDING_PLANS_MAX,
            ..Query::index(Table::Orders, Index::Due, keys::due("plan", shard))
        };
        let page = ports.database.query(query).await?;
        looked_at += page.items.len();
        if page.next.is_some() || looked_at > usize::try_from(HOLDING_PLANS_MAX).unwrap_or(usize::MAX) {
            return Ok(None);
        }
        let keys = page.items.iter().map(Key::of).collect::<Result<Vec<_>>>()?;
        let own = keys.into_iter().filter(|key| keys::tenant_in(key) == scope.tenant_id());
        let get = |key| Get { table: Table::Orders, key, consistency: Consistency::Strong };
        let gets: Vec<Get> = own.map(get).collect();
        if gets.is_empty() {
            continue;
        }
        for item in ports.database.get_many(gets).await?.into_iter().flatten() {
            let plan = Plan::of(&item)?;
            if plan.kind != CartKind::Sale || plan.store_id != location_id {
                continue;
            }
            let of_it =
                |moves: &[StockMove]| moves.iter().find(|m| m.sku == sku).map(|m| m.sellable.thousandths());
            let Some((chunk, quantity)) =
                plan.chunks().find_map(|(chunk, moves)| Some((chunk, of_it(moves)?)))
            else {
                continue;
            };
            let get = get(scope.chunk(&plan.cart_id, plan.attempt, chunk));
            let state = ports.database.get(get).await?;
            if state.as_ref().and_then(|record| record.opt_text("state")) == Some("held") {
                held += quantity;
            }
        }
    }
    Ok(Some(held))
}

/// Whether the stock of an order may still be moving: a plan of it has not ended.
///
/// # Errors
/// As the database.
pub async fn is_under_way(ports: &Ports, scope: &TenantScope, cart_id: &str) -> Result<bool> {
    let get = Get { table: Table::Orders, key: scope.plan(cart_id), consistency: Consistency::Strong };
    let plan = ports.database.get(get).await?.as_ref().map(Plan::of).transpose()?;
    Ok(plan.is_some_and(|plan| !matches!(plan.state, PlanState::Settled | PlanState::Released)))
}
