//! Somebody who looks after dead letters: asks HQ to mend what it refuses and sends them again, one or all there are, or
//! gives them up.

use std::rc::Rc;
use std::time::Duration;

use tillstream_app::dispatch::dead_letters::{discard, replay, replay_many};
use tillstream_app::dispatch::dispatcher::Policy;
use tillstream_app::dispatch::listing::{get_dead_letter, list};
use tillstream_app::tenancy::{Caller, Role};
use tillstream_contracts::dispatch::{
    DeliveryFilter, DeliveryPage, DeliveryStatus, DeliveryView, DiscardRequest, ReplayManyReply,
    ReplayManyRequest,
};

use super::super::chance::Chance;
use super::super::world::{Tenant, World};
use super::{Line, Request, Stopped};
use crate::shop::caller;

/// A list may be a moment old, and what it names replayed or given up since.
const NOT_DEAD: [&str; 1] = ["dead_letter_not_found"];

struct Administrator<'a> {
    line: Line,
    owner: &'a Tenant,
    caller: Caller,
    /// What is done with a letter is drawn apart from all else.
    chance: Chance,
}

/// Works until the day is over.
pub async fn work(world: Rc<World>, tenant: usize) -> Option<Stopped> {
    let owner = world.tenants.get(tenant)?;
    let caller = caller(&owner.id, &[Role::Operator]);
    let chance = Chance::apart(world.settings.seed, &format!("the administrator of {}", owner.id));
    let one = Administrator { line: Line::of(&world, &owner.id), owner, caller, chance };
    for number in 1_u64.. {
        one.line.rest(Duration::from_secs(300)).await;
        if one.look(number).await.is_err() {
            return Some(Stopped);
        }
    }
    None
}

impl Administrator<'_> {
    async fn look(&self, number: u64) -> Result<(), Stopped> {
        let world = &self.line.world;
        self.line.begin(|| format!("{} lists dead letters", self.owner.id))?;
        let sender = self.caller.clone();
        let request: Request<DeliveryPage> = Rc::new(move |ports| {
            let caller = sender.clone();
            let filter = DeliveryFilter { status: Some(DeliveryStatus::Dead), ..DeliveryFilter::default() };
            Box::pin(async move { list(&ports, &caller, filter).await })
        });
        let route = "GET /v1/dispatch/dead-letters";
        let page = match self.line.send_to(route, request, |_: &DeliveryPage| String::new()).await {
            Ok(page) => page,
            Err(refusal) => {
                self.line.expect_refusal(&refusal, &[]);
                return Err(Stopped);
            }
        };
        let Some(dead) = world.chance.one_of(&page.items) else { return Ok(()) };
        if !world.books.borrow().ever_refused.contains(&dead.order_id)
            && dead.suspected_failures < Policy::default().suspected_max
            && !world.restores.may_miss(&self.owner.id, &dead.order_id)
        {
            world.fail("only what HQ refuses is a dead letter", format!("{dead:?}"));
        }
        match self.chance.below(10) {
            0..3 => self.discard(dead, number).await,
            3..6 => self.replay_all(&page, number).await,
            _ => self.replay(dead, number).await,
        }
    }

    /// HQ will have these from now on.
    fn mend(&self, letters: &[&DeliveryView]) {
        let world = &self.line.world;
        for dead in letters {
            world.books.borrow_mut().refused_by_hq.remove(&dead.order_id);
        }
        world.refuse_at_hq();
    }

    async fn replay(&self, dead: &DeliveryView, number: u64) -> Result<(), Stopped> {
        self.mend(&[dead]);
        self.line.begin(|| format!("{} replays {}", self.owner.id, dead.id))?;
        let (sender, id, queue) = (self.caller.clone(), dead.id.clone(), self.line.world.waking());
        let request: Request<()> = Rc::new(move |ports| {
            let (caller, id, queue) = (sender.clone(), id.clone(), queue.clone());
            let key = format!("replay-{number}");
            Box::pin(async move { replay(&ports, queue.as_ref(), &caller, &id, &key).await.map(|_| ()) })
        });
        let route = "POST /v1/dispatch/dead-letters/{id}/replay";
        if let Err(refusal) = self.line.send_to(route, request, |(): &()| String::new()).await {
            self.line.expect_refusal(&refusal, &NOT_DEAD);
        }
        Ok(())
    }

    async fn replay_all(&self, page: &DeliveryPage, number: u64) -> Result<(), Stopped> {
        // Some of them HQ refuses once more.
        let mended: Vec<&DeliveryView> = page.items.iter().filter(|_| self.chance.percent(60)).collect();
        self.mend(&mended);
        self.line.begin(|| format!("{} replays all dead letters", self.owner.id))?;
        let (sender, queue) = (self.caller.clone(), self.line.world.waking());
        let request: Request<ReplayManyReply> = Rc::new(move |ports| {
            let (caller, queue) = (sender.clone(), queue.clone());
            let key = format!("replay-many-{number}");
            let all = ReplayManyRequest {
                destination: None,
                order_id: None,
                store_id: None,
                limit: Some(50),
                cursor: None,
            };
            Box::pin(async move {
                replay_many(&ports, queue.as_ref(), &caller, &key, &all).await.map(|done| done.reply)
            })
        });
        let route = "POST /v1/dispatch/dead-letters/replay";
        let essence = |reply: &ReplayManyReply| format!("{} and {}", reply.replayed, reply.skipped);
        if let Err(refusal) = self.line.send_to(route, request, essence).await {
            self.line.expect_refusal(&refusal, &[]);
        }
        Ok(())
    }

    /// Looks at a letter once more, and gives it up: HQ is never told what it says.
    async fn discard(&self, dead: &DeliveryView, number: u64) -> Result<(), Stopped> {
        self.line.begin(|| format!("{} gives {} up", self.owner.id, dead.id))?;
        let (sender, id) = (self.caller.clone(), dead.id.clone());
        let read: Request<()> = Rc::new(move |ports| {
            let (caller, id) = (sender.clone(), id.clone());
            Box::pin(async move { get_dead_letter(&ports, &caller, &id).await.map(|_| ()) })
        });
        let route = "GET /v1/dispatch/dead-letters/{id}";
        if let Err(refusal) = self.line.send_to(route, read, |(): &()| String::new()).await {
            self.line.expect_refusal(&refusal, &NOT_DEAD);
            return Ok(());
        }
        // Before it is so: a request may take effect whose answer never comes.
        let given_up = (self.owner.id.clone(), dead.id.clone());
        self.line.world.books.borrow_mut().given_up.insert(given_up);
        let (sender, id) = (self.caller.clone(), dead.id.clone());
        let request: Request<()> = Rc::new(move |ports| {
            let (caller, id, key) = (sender.clone(), id.clone(), format!("discard-{number}"));
            let why = DiscardRequest { reason: "HQ knows of it".to_owned() };
            Box::pin(async move { discard(&ports, &caller, &id, &key, &why).await.map(|_| ()) })
        });
        let route = "POST /v1/dispatch/dead-letters/{id}/discard";
        if let Err(refusal) = self.line.send_to(route, request, |(): &()| String::new()).await {
            self.line.expect_refusal(&refusal, &NOT_DEAD);
        }
        Ok(())
    }
}
