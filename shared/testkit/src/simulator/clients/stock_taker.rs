//! Whoever looks after what does not add up: finds where goods came from that were sold offline, and says so.
//! Two of them often look at the same.

use std::rc::Rc;
use std::time::Duration;

use tillstream_app::stock::exceptions::{Resolved, list, resolve};
use tillstream_app::tenancy::Role;
use tillstream_contracts::inventory::{
    ExceptionQuery, ResolveExceptionRequest, StockException, StockExceptionPage,
};

use super::super::world::World;
use super::{Line, Request, Stopped};
use crate::shop::caller;

/// Works until the day is over.
pub async fn work(world: Rc<World>, tenant: usize, number: u64) -> Option<Stopped> {
    let owner = world.tenants.get(tenant)?;
    let caller = caller(&owner.id, &[Role::Operator]);
    let line = Line { world: world.clone() };
    for count in 1_u64.. {
        line.think(Duration::from_secs(200)).await;
        line.meet_others(90).await;
        let shop = world.chance.one_of(&owner.shops)?.id.clone();
        if line.begin(|| format!("{} stock taker {number} looks at {shop}", owner.id)).is_err() {
            return Some(Stopped);
        }
        let (sender, location) = (caller.clone(), shop.clone());
        let request: Request<StockExceptionPage> = Rc::new(move |ports| {
            let (caller, location_id) = (sender.clone(), location.clone());
            Box::pin(async move {
                let query = ExceptionQuery { location_id, status: None, limit: Some(50), cursor: None };
                list(&ports, &caller, &query).await
            })
        });
        let page = match line.send(request, |_: &StockExceptionPage| String::new()).await {
            Ok(page) => page,
            Err(refusal) => {
                line.expect_refusal(&refusal, &[]);
                return Some(Stopped);
            }
        };
        let Some(open) = page.items.first() else { continue };
        let id = open.exception_id.clone();
        if line.begin(|| format!("{} stock taker {number} resolves {id}", owner.id)).is_err() {
            return Some(Stopped);
        }
        let (sender, named) = (caller.clone(), id.clone());
        let request: Request<Resolved> = Rc::new(move |ports| {
            let (caller, id, key) = (sender.clone(), named.clone(), format!("resolve-{number}-{count}"));
            Box::pin(async move {
                let said = ResolveExceptionRequest { reason: format!("found by {number}"), note: None };
                resolve(&ports, &caller, &key, &id, &said).await
            })
        });
        // It may be opened again between two answers.
        let essence = |done: &Resolved| done.exception.exception_id.clone();
        match line.send(request, essence).await {
            Ok(done) => {
                // Another sale may have opened it again since.
                let said = reason_of(&done.exception);
                if !said.is_empty() && said != format!("found by {number}") {
                    world.fail("an exception is resolved once", format!("{id}: {said}, by {number} too"));
                }
                world.books.borrow_mut().resolved.insert((owner.id.clone(), id));
            }
            Err(refusal) => line.expect_refusal(&refusal, &["exception_resolved"]),
        }
    }
    None
}

fn reason_of(exception: &StockException) -> String {
    exception.resolution.as_ref().map(|resolution| resolution.reason.clone()).unwrap_or_default()
}
