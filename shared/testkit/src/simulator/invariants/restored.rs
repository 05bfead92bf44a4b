//! After a restore of the orders: figures have what the restored table has and what they had before, each number
//! once; and what was lost is told.

use std::collections::{BTreeMap, BTreeSet};

use tillstream_app::aggregation::completeness;
use tillstream_app::restore::compare;
use tillstream_app::tenancy::TenantScope;
use tillstream_domain::lane::LaneNumber;

use super::super::books::{Books, Of, Order};
use super::super::world::{Tenant, World};
use super::at_rest::{Checked, broken, ports};

/// Whether numbers of a lane come into the figures without the keeper: of the epochs before the last restore the
/// new table's stream knows nothing.
pub fn arrives_by_itself(world: &World, lane: &str) -> bool {
    let epoch = lane.rsplit_once('~').map_or(Ok(0), |(_, epoch)| epoch.parse::<u32>());
    epoch == Ok(world.restores.count.get())
}

/// Orders by tenant that were lost and that figures have.
pub async fn counted(world: &World) -> Result<Vec<Of<Order>>, (&'static str, String)> {
    let lost = world.restores.lost.borrow().clone();
    let mut folded = BTreeMap::new();
    let mut seen = BTreeSet::new();
    let mut counted = Vec::new();
    for (key, order) in lost {
        let stands = |books: &Books| {
            books.orders.get(&key).is_some_and(|now| (&now.lane, now.number) == (&order.lane, order.number))
        };
        let token = format!("{}:{}", order.lane, order.number);
        if stands(&world.books.borrow()) || !seen.insert((key.0.clone(), token.clone())) {
            continue;
        }
        let store = (key.0.clone(), order.store.clone());
        if !folded.contains_key(&store) {
            let scope = TenantScope::from_own_record(&key.0);
            let read = completeness::read(&ports(world), &scope, &order.store).await.map_err(broken)?;
            folded.insert(store.clone(), read.content);
        }
        let number: LaneNumber = token.parse().map_err(broken)?;
        if folded.get(&store).is_some_and(|content| content.contains(&number)) {
            counted.push((key.0, order));
        }
    }
    Ok(counted)
}

/// All of it.
pub async fn check(world: &World, books: &Books, tenant: &Tenant) -> Checked {
    if world.restores.count.get() == 0 {
        return Ok(());
    }
    let scope = TenantScope::from_own_record(&tenant.id);
    let compared = compare(&ports(world), &scope).await.map_err(broken)?;
    let printed: BTreeSet<(String, u64)> = {
        let lost = world.restores.lost.borrow();
        let mine = lost.iter().filter(|((of, _), _)| *of == tenant.id);
        mine.map(|(_, order)| (order.lane.clone(), order.number)).collect()
    };
    let besides = books.counted_besides.iter().filter(|(of, _)| *of == tenant.id);
    let counted: BTreeSet<(String, u64)> =
        besides.map(|(_, order)| (order.lane.clone(), order.number)).collect();
    let mut beyond = BTreeSet::new();
    for difference in compared.differences {
        let seen = format!("{}: {difference:?}", tenant.id);
        let numbers = |intervals: &[(u64, u64)]| {
            let lane = difference.lane.clone();
            let all: Vec<u64> = intervals.iter().flat_map(|(from, to)| *from..=*to).collect();
            all.into_iter().map(move |number| (lane.clone(), number))
        };
        if !difference.figures_lack.is_empty() {
            return Err(("figures have what the restored orders have", seen));
        }
        if numbers(&difference.told_beyond).any(|number| !printed.contains(&number)) {
            return Err(("what is told of a restore is what was lost", seen));
        }
        beyond.extend(numbers(&difference.figures_beyond));
    }
    if beyond != counted {
        let seen = format!("{}: {beyond:?} are told, {counted:?} are counted", tenant.id);
        return Err(("what is told of a restore is what was lost", seen));
    }
    Ok(())
}
