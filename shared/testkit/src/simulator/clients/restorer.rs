//! Whoever restores the orders from a backup in the middle of a day, as `infra/decisions/restore.md` says: stops
//! everybody who writes, puts the backup in place, raises the epoch of every lane, and lets them go on.

use std::rc::Rc;
use std::time::Duration;

use serde_json::json;
use tillstream_app::Error;
use tillstream_app::restore::raise_epochs;
use tillstream_app::tenancy::Role;
use tillstream_contracts::restore::{RaisedEpochs, RestoreRequest};

use super::super::restore::Backup;
use super::super::trouble::Kind;
use super::super::world::{Tenant, World};
use super::till::{Cart, Till};
use super::{Line, Stopped};
use crate::shop::caller;

/// Tenants with more goods have orders that take several transactions: one that is half done at the backup takes its
/// stock twice, and a person has to mend it.
const GOODS_MAX: usize = 100;
/// After so long nothing is under way any more of what was begun by those who stopped.
const STILL: Duration = Duration::from_secs(180);

/// Works until the day is over.
pub async fn work(world: Rc<World>) -> Option<Stopped> {
    // Who sells for a tenant has a line of the tenant's.
    let line = Line::of(&world, "");
    if !world.trouble.has(Kind::Restores) || world.tenants.iter().any(|tenant| tenant.goods.len() > GOODS_MAX)
    {
        return None;
    }
    // Of the whole day's: a run that is cut goes back where the whole one does.
    let (all, mut at) = (world.settings.planned, 0);
    for number in 1..=1 + world.chance.below(2) {
        at += all * (8 + world.chance.below(30)) / 100;
        let until = at + all * (3 + world.chance.below(18)) / 100;
        if restore(&line, number, at, until).await.is_err() {
            return Some(Stopped);
        }
        at = until;
    }
    None
}

/// Waits until so many commands were begun.
async fn commands(line: &Line, many: u64) -> Result<(), Stopped> {
    while line.world.commands.get() < many {
        if line.is_over() {
            return Err(Stopped);
        }
        line.think(Duration::from_secs(5)).await;
    }
    Ok(())
}

/// Takes a backup when `at` commands were begun, and goes back to it when `until` were.
async fn restore(line: &Line, number: u64, at: u64, until: u64) -> Result<(), Stopped> {
    let world = &line.world;
    commands(line, at).await?;
    let mut ready = Vec::new();
    for tenant in 0..world.tenants.len() {
        ready.extend(ready_to_be_final(line, tenant, number).await?);
    }
    world.restores.close(world).await;
    world.tell(|| format!("backup {number}"));
    let backup = Backup::of(world);
    world.restores.open();
    for (till, cart) in &mut ready {
        till.finalize(cart.clone(), "pos").await?;
    }
    commands(line, until).await?;
    world.restores.close(world).await;
    let kept = world.keeper_runs.replace(false);
    world.restores.relay_stands.set(true);
    world.sleep(STILL).await;
    backup.restore(world);
    world.tell(|| format!("restored to backup {number}"));
    for tenant in &world.tenants {
        raise(world, tenant, &format!("restore-{number}")).await;
    }
    world.restores.relay_stands.set(false);
    world.keeper_runs.set(kept);
    world.restores.open();
    // What was final is open again, and is sold once more.
    for (till, cart) in &mut ready {
        till.finalize(cart.clone(), "pos").await?;
    }
    Ok(())
}

/// A sale that needs nothing any more but to be made final.
async fn ready_to_be_final(line: &Line, tenant: usize, number: u64) -> Result<Option<(Till, Cart)>, Stopped> {
    let world = &line.world;
    let Some(owner) = world.tenants.get(tenant).filter(|_| world.chance.percent(60)) else { return Ok(None) };
    let shop = world.chance.index(owner.shops.len());
    let Some((place, register)) =
        owner.shops.get(shop).and_then(|place| Some((place, world.chance.one_of(&place.registers)?.clone())))
    else {
        return Ok(None);
    };
    let name = format!("again-{}-{number}", place.id);
    let seller = caller(&owner.id, &[Role::Operator]);
    let own = Line::of(world, &owner.id);
    let mut till = Till::staffed_by(own, (tenant, shop), register, name, seller);
    let mut cart = till.begin_cart('c');
    till.must("create_cart", json!({ "cart_id": cart.id })).await?;
    cart.employee = till.employee();
    till.add_line(&mut cart, 0).await?;
    if cart.lines.is_empty() {
        till.void(&cart).await?;
        return Ok(None);
    }
    till.tender(&mut cart).await?;
    till.pay(&mut cart).await?;
    Ok(Some((till, cart)))
}

/// Begins a new epoch on every lane: asked for until it is done, and at times twice at once.
async fn raise(world: &World, tenant: &Tenant, id: &str) {
    let scope = caller(&tenant.id, &[Role::Operator]).scope;
    let request = RestoreRequest { id: id.to_owned(), tenants: None, least_epoch: None };
    let run = async || {
        let deadline = world.now() + jiff::SignedDuration::from_secs(45);
        let (ports, tenant) = (world.ports(), scope.tenant_id());
        world.invoke(world.acting(tenant, raise_epochs(&ports, &scope, &request, deadline))).await
    };
    let mut is_done = false;
    while !world.has_failed() {
        let answer = match world.chance.percent(40) {
            true => futures::join!(run(), run()).0,
            false => run().await,
        };
        match answer {
            // Once more, since one that was read before the other was done tells of lanes that are below.
            Some(Ok(RaisedEpochs { finished: true, below, .. })) if is_done => {
                if !below.is_empty() {
                    world.fail("a restore raises every lane", format!("{} {id}: {below:?}", tenant.id));
                }
                return;
            }
            Some(Ok(raised)) => is_done = raised.finished,
            Some(Err(Error::Conflict(_) | Error::Retryable { .. })) | None => {
                world.sleep_up_to(Duration::from_secs(2)).await;
            }
            Some(Err(error)) => world.fail("a restore raises every lane", error.to_string()),
        }
    }
}
