//! Somebody who keeps a table of the stock elsewhere: lists it once, and then follows the change feed page by page.
//! What it ends up with is the stock, item by item.

use std::collections::BTreeMap;
use std::rc::Rc;
use std::time::Duration;

use tillstream_app::stock::change_feed::changes;
use tillstream_app::stock::read::list;
use tillstream_app::tenancy::{Caller, Role};
use tillstream_contracts::inventory::{
    StockChanges, StockChangesQuery, StockLevel, StockLevelPage, StockListQuery,
};

use super::super::world::{Tenant, World};
use super::{Answer, Line, Request, Stopped};
use crate::shop::caller;

/// What somebody knows who follows the stock.
#[derive(Debug, Clone, Default)]
pub struct Follower {
    /// From where the feed goes on.
    since: Option<String>,
    /// By location and SKU.
    pub table: BTreeMap<(String, String), StockLevel>,
}

/// Works until the day is over.
pub async fn work(world: Rc<World>, tenant: usize) -> Option<Stopped> {
    let owner = world.tenants.get(tenant)?;
    let line = Line::of(&world, &owner.id);
    loop {
        line.rest(Duration::from_secs(150)).await;
        if line.is_over() {
            return Some(Stopped);
        }
        let known = world.followers.borrow().get(&owner.id).cloned();
        let limit = 1 + world.chance.below(40);
        let is_there = match known {
            None => begin(&line, owner).await,
            // A page at a time, and often not all there are.
            Some(known) => follow(&line, owner, known, limit, 1 + world.chance.below(4)).await,
        };
        if let Err(refusal) = is_there {
            line.expect_refusal(&refusal, &[]);
            return Some(Stopped);
        }
    }
}

/// Everybody who follows reads to the end of the feed.
pub async fn all_catch_up(world: &Rc<World>) {
    for owner in &world.tenants {
        let line = Line::of(world, &owner.id);
        let known = world.followers.borrow().get(&owner.id).cloned();
        let caught_up = match known {
            None => begin(&line, owner).await,
            Some(known) => follow(&line, owner, known, 25, u64::MAX).await,
        };
        if let Err(refusal) = caught_up {
            line.expect_refusal(&refusal, &[]);
        }
    }
}

fn changes_since(caller: &Caller, since: Option<String>, limit: u64) -> Request<StockChanges> {
    let caller = caller.clone();
    let limit = u32::try_from(limit).ok();
    Rc::new(move |ports| {
        let (caller, since) = (caller.clone(), since.clone());
        Box::pin(async move {
            let query = StockChangesQuery { since, limit, ..StockChangesQuery::default() };
            changes(&ports, &caller, &query).await
        })
    })
}

/// Asks where the feed is, and then lists the stock: what changes meanwhile is told again. Not where reads are
/// behind, as they are here for as long as they like: what they lack may stand in the feed before that.
async fn begin(line: &Line, owner: &Tenant) -> Answer<()> {
    let world = &line.world;
    let quiet = world.memory.is_settled().then(|| world.weather_changes.get());
    let caller = caller(&owner.id, &[Role::Operator]);
    let begun = line.send(changes_since(&caller, None, 1), |_| String::new()).await?;
    let (mut table, mut cursor) = (BTreeMap::new(), None);
    loop {
        let (sender, from) = (caller.clone(), cursor.take());
        let request: Request<StockLevelPage> = Rc::new(move |ports| {
            let (caller, cursor) = (sender.clone(), from.clone());
            Box::pin(async move {
                let query = StockListQuery { limit: Some(100), cursor, ..StockListQuery::default() };
                list(&ports, &caller, &query).await
            })
        });
        let page = line.send(request, |_| String::new()).await?;
        table.extend(page.items.into_iter().map(named));
        match page.next_cursor {
            Some(next) => cursor = Some(next),
            None => break,
        }
    }
    if quiet == Some(world.weather_changes.get()) {
        let follower = Follower { since: Some(begun.next_since), table };
        world.followers.borrow_mut().insert(owner.id.clone(), follower);
    }
    Ok(())
}

/// Reads up to so many pages and puts them over what is known.
async fn follow(line: &Line, owner: &Tenant, mut known: Follower, limit: u64, pages: u64) -> Answer<()> {
    let caller = caller(&owner.id, &[Role::Operator]);
    for _ in 0..pages {
        let request = changes_since(&caller, known.since.take(), limit);
        let page = line.send(request, |_| String::new()).await?;
        known.table.extend(page.items.into_iter().map(named));
        known.since = Some(page.next_since);
        if !page.has_more {
            break;
        }
    }
    line.world.followers.borrow_mut().insert(owner.id.clone(), known);
    Ok(())
}

fn named(level: StockLevel) -> ((String, String), StockLevel) {
    ((level.location_id.clone(), level.sku.clone()), level)
}
