//! Stock that is split and merged while it is sold, at any moment and not only where it is busy: so all else
//! meets every layout, and every change of it.

use std::rc::Rc;
use std::time::Duration;

use tillstream_app::stock::split::{merge, split};
use tillstream_app::tenancy::Role;
use tillstream_app::{Error, Result};

use super::super::world::World;
use super::{Line, Stopped};
use crate::shop::caller;

/// Works until the day is over.
pub async fn work(world: Rc<World>, tenant: usize) -> Option<Stopped> {
    let owner = world.tenants.get(tenant)?;
    let scope = caller(&owner.id, &[Role::Operator]).scope;
    let line = Line::of(&world, &owner.id);
    // What everybody wants; some days nothing is split.
    let stocked: Vec<_> = owner.goods.iter().filter(|goods| goods.is_stocked).take(5).collect();
    if world.chance.percent(35) {
        return None;
    }
    loop {
        line.rest(Duration::from_secs(60)).await;
        let (goods, shop) = (world.chance.one_of(&stocked)?, world.chance.one_of(&owner.shops)?);
        let parts = u32::try_from(2 + world.chance.below(4)).ok()?;
        let splits = world.chance.percent(60);
        let what = if splits { "splits" } else { "merges" };
        if line.begin(|| format!("{} {what} {} of {}", owner.id, goods.sku, shop.id)).is_err() {
            return Some(Stopped);
        }
        let ports = world.ports();
        let laid_out = async {
            if splits {
                split(&ports, &scope, &shop.id, &goods.sku, parts).await
            } else {
                merge(&ports, &scope, &shop.id, &goods.sku).await
            }
        };
        let laid_out: Option<Result<_>> = line.invoke(laid_out).await;
        world.tell(|| format!("  {laid_out:?}"));
        if let Some(Err(Error::Bug(why))) = laid_out {
            world.fail("a request meets no bug", why);
        }
    }
}
