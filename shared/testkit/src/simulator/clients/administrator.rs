//! Somebody who looks after dead letters: asks HQ to mend what it refuses, and sends them again.

use std::rc::Rc;
use std::time::Duration;

use tillstream_app::dispatch::dead_letters::replay;
use tillstream_app::dispatch::dispatcher::Policy;
use tillstream_app::dispatch::listing::list;
use tillstream_app::tenancy::Role;
use tillstream_contracts::dispatch::{DeliveryFilter, DeliveryPage, DeliveryStatus};

use super::super::world::World;
use super::{Line, Request, Stopped};
use crate::shop::caller;

/// Works until the day is over.
pub async fn work(world: Rc<World>, tenant: usize) -> Option<Stopped> {
    let owner = world.tenants.get(tenant)?;
    let caller = caller(&owner.id, &[Role::Operator]);
    let line = Line { world: world.clone() };
    for number in 1_u64.. {
        line.rest(Duration::from_secs(300)).await;
        if line.begin(|| format!("{} lists dead letters", owner.id)).is_err() {
            return Some(Stopped);
        }
        let sender = caller.clone();
        let request: Request<DeliveryPage> = Rc::new(move |ports| {
            let caller = sender.clone();
            let filter = DeliveryFilter { status: Some(DeliveryStatus::Dead), ..DeliveryFilter::default() };
            Box::pin(async move { list(&ports, &caller, filter).await })
        });
        let page = match line.send(request, |_: &DeliveryPage| String::new()).await {
            Ok(page) => page,
            Err(refusal) => {
                line.expect_refusal(&refusal, &[]);
                return Some(Stopped);
            }
        };
        let Some(dead) = world.chance.one_of(&page.items) else { continue };
        if !world.books.borrow().ever_refused.contains(&dead.order_id)
            && dead.suspected_failures < Policy::default().suspected_max
            && !world.restores.may_miss(&owner.id, &dead.order_id)
        {
            world.fail("only what HQ refuses is a dead letter", format!("{dead:?}"));
        }
        world.books.borrow_mut().refused_by_hq.remove(&dead.order_id);
        world.refuse_at_hq();
        if line.begin(|| format!("{} replays {}", owner.id, dead.id)).is_err() {
            return Some(Stopped);
        }
        let (sender, id, queue) = (caller.clone(), dead.id.clone(), world.waking());
        let request: Request<()> = Rc::new(move |ports| {
            let (caller, id, queue) = (sender.clone(), id.clone(), queue.clone());
            let key = format!("replay-{number}");
            Box::pin(async move { replay(&ports, queue.as_ref(), &caller, &id, &key).await.map(|_| ()) })
        });
        if let Err(refusal) = line.send(request, |(): &()| String::new()).await {
            line.expect_refusal(&refusal, &["not_dead", "delivery_not_dead", "already_replayed"]);
        }
    }
    None
}
