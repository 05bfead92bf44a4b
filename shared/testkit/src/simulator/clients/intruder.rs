//! Somebody with a good token of another tenant, who tries the names that exist.

use std::rc::Rc;
use std::time::Duration;

use serde_json::json;
use tillstream_app::catalog::products;
use tillstream_app::orders::read;
use tillstream_app::pos::execute::execute;
use tillstream_app::stock::read::one;
use tillstream_app::tenancy::Role;
use tillstream_app::{Error, RefusalKind};

use super::super::set_up::INTRUDER;
use super::super::world::World;
use super::{Line, Stopped};
use crate::shop::{caller, envelope};

/// Works until the day is over.
pub async fn work(world: Rc<World>, tenant: usize) -> Option<Stopped> {
    let owner = world.tenants.get(tenant)?;
    let caller = caller(INTRUDER, &[Role::Operator]);
    let line = Line::of(&world, INTRUDER);
    for number in 1_u64.. {
        line.rest(Duration::from_secs(200)).await;
        if line.is_over() {
            return Some(Stopped);
        }
        let known = {
            let books = world.books.borrow();
            let all: Vec<_> = books.orders.iter().filter(|((of, _), _)| *of == owner.id).collect();
            world.chance.one_of(&all).map(|((_, id), order)| (id.clone(), order.store.clone()))
        };
        let (Some((id, store)), Some(goods)) = (known, world.chance.one_of(&owner.goods)) else { continue };
        if line.begin(|| format!("mallory tries {id}")).is_err() {
            return Some(Stopped);
        }
        let ports = world.ports();
        let tried = async {
            match world.chance.below(4) {
                0 => read::get(&ports, &caller, &id).await.map(|order| format!("{order:?}")),
                1 => products::get(&ports, &caller.scope, &goods.sku).await.map(|found| format!("{found:?}")),
                2 => one(&ports, &caller, &store, &goods.sku).await.map(|stock| format!("{stock:?}")),
                _ => {
                    let key = format!("m-{number}");
                    let sent = envelope(&store, "r-1", &key, "void_cart", json!({ "cart_id": id }));
                    execute(&ports, &caller, sent).await.map(|reply| format!("{reply:?}"))
                }
            }
        };
        let found = world.acting(INTRUDER, tried).await;
        if let Err(error) = &found {
            world.answered(INTRUDER, error);
        }
        match found {
            Ok(seen) => world.fail("no answer crosses tenants", seen),
            Err(Error::Rejected(refusal)) if refusal.kind == RefusalKind::NotFound => {}
            Err(Error::Rejected(refusal)) => {
                world.fail(
                    "another tenant's names are unknown",
                    format!("{}: {}", refusal.code, refusal.detail),
                );
            }
            Err(Error::Bug(why)) => world.fail("a request meets no bug", why),
            Err(Error::Conflict(_) | Error::Retryable { .. }) => {}
        }
    }
    None
}
