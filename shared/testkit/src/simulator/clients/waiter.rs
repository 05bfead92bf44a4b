//! Customers who wait for what is not there: ask for it, look whether it is their turn, fetch it, some of it, or not in
//! time, and call it off. Two of them are often at the same backorder.

use std::rc::Rc;
use std::time::Duration;

use jiff::SignedDuration;
use serde_json::json;
use tillstream_app::stock::backorders::{self, Answer as Waiting};
use tillstream_app::stock::reservations::commit;
use tillstream_app::stock::reserve::Answer as Reserved;
use tillstream_app::tenancy::{Caller, Role};
use tillstream_contracts::backorders::{
    Backorder, BackorderRequest, BackorderStatus, CancelBackorderRequest,
};
use tillstream_contracts::inventory::{CommitRequest, ReserveLine};

use super::super::set_up;
use super::super::supply_books::{Waited, of_tenant};
use super::super::world::{Tenant, World};
use super::{Line, Request, Stopped};
use crate::shop::caller;

struct Waiter<'a> {
    line: Line,
    owner: &'a Tenant,
    caller: Caller,
    number: u64,
    count: u64,
}

/// Works until the day is over.
pub async fn work(world: Rc<World>, tenant: usize, number: u64) -> Option<Stopped> {
    let owner = world.tenants.get(tenant)?;
    let caller = caller(&owner.id, &[Role::Operator]);
    let mut waiter = Waiter { line: Line::of(&world, &owner.id), owner, caller, number, count: 0 };
    loop {
        waiter.line.rest(Duration::from_secs(110)).await;
        waiter.line.meet_others(50).await;
        let done = match waiter.pick() {
            Some((id, waited)) if world.chance.percent(60) => waiter.look(&id, &waited).await,
            _ => waiter.ask().await,
        };
        if done.is_err() {
            return Some(Stopped);
        }
    }
}

impl Waiter<'_> {
    fn world(&self) -> &World {
        &self.line.world
    }

    fn next(&mut self, kind: &str) -> String {
        self.count += 1;
        format!("{kind}-{}-{}", self.number, self.count)
    }

    /// One that is not known to be over: mostly the one that the other looks at, too.
    fn pick(&self) -> Option<(String, Waited)> {
        let books = self.world().books.borrow();
        let all = of_tenant(&books.supply.backorders, &self.owner.id);
        let open: Vec<_> =
            all.filter(|(_, waited)| !waited.is_cancelled && waited.sold < waited.quantity).collect();
        let newest = open.iter().rev().take(4).copied().collect::<Vec<_>>();
        let chance = &self.world().chance;
        let (id, waited) = if chance.percent(75) { chance.one_of(&newest)? } else { chance.one_of(&open)? };
        Some(((*id).clone(), (*waited).clone()))
    }

    /// Where, and what: mostly of what there is little.
    fn wanted(&self) -> Option<(String, String, i64)> {
        let chance = &self.world().chance;
        let shop = chance.one_of(&self.owner.shops)?;
        let stocked: Vec<_> = self.owner.goods.iter().filter(|goods| goods.is_stocked).collect();
        let books = self.world().books.borrow();
        let is_scarce = |sku: &str| {
            let key = (self.owner.id.clone(), (shop.id.clone(), sku.to_owned()));
            books.shelves.get(&key).is_none_or(|shelf| shelf.on_hand < 4_000)
        };
        let scarce: Vec<_> = stocked.iter().filter(|goods| is_scarce(&goods.sku)).copied().collect();
        let goods = match chance.one_of(&scarce) {
            Some(goods) if chance.percent(80) => goods,
            _ => chance.one_of(&stocked)?,
        };
        let quantity = if goods.is_weighed { chance.between(1, 2_500) } else { 1_000 * chance.between(1, 3) };
        // Often what somebody waits for already.
        let newest = of_tenant(&books.supply.backorders, &self.owner.id).next_back();
        match newest.filter(|(_, waited)| waited.sold == 0 && chance.percent(50)) {
            Some((_, other)) => Some((other.location.clone(), other.sku.clone(), other.quantity)),
            None => Some((shop.id.clone(), goods.sku.clone(), quantity)),
        }
    }

    async fn ask(&mut self) -> Result<(), Stopped> {
        let Some((location, sku, quantity)) = self.wanted() else { return Err(Stopped) };
        // Of no use for ever: who is not served in time is not at the end of the day either.
        let chance = &self.world().chance;
        let patience =
            if chance.percent(30) { chance.between(120, 900) } else { chance.between(900, 72_000) };
        let needed_by = self.world().now() + SignedDuration::from_secs(patience);
        let id = self.next("bo");
        let body = json!({
            "backorder_id": id, "location_id": location, "sku": sku,
            "quantity": set_up::quantity(self.owner, &sku, quantity), "needed_by": needed_by.to_string(),
        });
        let Ok(request) = serde_json::from_value::<BackorderRequest>(body.clone()) else {
            self.world().fail("the simulator works", "a backorder that is none");
            return Err(Stopped);
        };
        self.line.begin(|| format!("{} waits: {body}", self.owner.id))?;
        let request: Request<Waiting> = {
            let (caller, key) = (self.caller.clone(), format!("ask-{id}"));
            Rc::new(move |ports| {
                let (caller, key, request) = (caller.clone(), key.clone(), request.clone());
                Box::pin(async move { backorders::place(&ports, &caller, &key, &request).await })
            })
        };
        let told = |answer: &Waiting| format!("{:?}", answer.backorder);
        match self.line.send_to("POST /v1/inventory/backorders", request, told).await {
            Ok(answer) => {
                let number = answer.backorder.number;
                let waited = Waited { location, sku, quantity, number, sold: 0, is_cancelled: false };
                let mut books = self.world().books.borrow_mut();
                books.supply.backorders.insert((self.owner.id.clone(), id), waited);
            }
            // It took so long to get through that nobody needs it any more.
            Err(refusal) => self.line.expect_refusal(&refusal, &["needed_by_out_of_range"]),
        }
        Ok(())
    }

    /// Whether it is their turn, and what they do about it.
    async fn look(&mut self, id: &str, waited: &Waited) -> Result<(), Stopped> {
        self.line.begin(|| format!("{} waiter {} looks at {id}", self.owner.id, self.number))?;
        let request: Request<Backorder> = {
            let (caller, id) = (self.caller.clone(), id.to_owned());
            Rc::new(move |ports| {
                let (caller, id) = (caller.clone(), id.clone());
                Box::pin(async move { backorders::get(&ports, &caller, &id).await })
            })
        };
        let route = "GET /v1/inventory/backorders/{id}";
        let seen = match self.line.send_to(route, request, |_: &Backorder| String::new()).await {
            Ok(seen) => seen,
            Err(refusal) => {
                self.line.expect_refusal(&refusal, &[]);
                return Err(Stopped);
            }
        };
        let drawn = self.world().chance.below(10);
        match (seen.status, seen.reservation_id) {
            (BackorderStatus::Reserved, Some(reservation)) if drawn < 7 => {
                self.fetch(id, waited, &reservation).await
            }
            (BackorderStatus::Waiting, _) if drawn < 2 => self.call_off(id).await,
            (BackorderStatus::Reserved, _) if drawn < 8 => self.call_off(id).await,
            _ => Ok(()),
        }
    }

    /// All that is known to be left of it is fetched, or the first piece.
    async fn fetch(&mut self, id: &str, waited: &Waited, reservation: &str) -> Result<(), Stopped> {
        let left = waited.quantity - waited.sold;
        let sold = if self.world().chance.percent(20) { left.min(1_000) } else { left };
        let quantity = serde_json::from_value(set_up::quantity(self.owner, &waited.sku, sold));
        let Ok(quantity) = quantity else {
            self.world().fail("the simulator works", "a quantity that is none");
            return Err(Stopped);
        };
        let (location_id, sku) = (Some(waited.location.clone()), waited.sku.clone());
        let lines = CommitRequest::from(vec![ReserveLine { location_id, sku, quantity }]);
        let key = self.next("fetch");
        self.line.begin(|| format!("{} {key}: {sold} of {id} by {reservation}", self.owner.id))?;
        let request: Request<Reserved> = {
            let (caller, reservation) = (self.caller.clone(), reservation.to_owned());
            Rc::new(move |ports| {
                let (caller, key) = (caller.clone(), key.clone());
                let (reservation, lines) = (reservation.clone(), lines.clone());
                Box::pin(async move { commit(&ports, &caller, &key, &reservation, &lines).await })
            })
        };
        let told = |answer: &Reserved| {
            format!("{} {:?}", answer.reservation.reservation_id, answer.reservation.lines)
        };
        match self.line.send_to("POST /v1/inventory/reservations/{id}/commit", request, told).await {
            Ok(_) => {
                let mut books = self.world().books.borrow_mut();
                books.shelf(&self.owner.id, &waited.location, &waited.sku).on_hand -= sold;
                let key = (self.owner.id.clone(), id.to_owned());
                if let Some(known) = books.supply.backorders.get_mut(&key) {
                    known.sold += sold;
                }
            }
            Err(refusal) => {
                let lost = [
                    "reservation_expired",
                    "reservation_not_active",
                    "insufficient_stock",
                    "commit_above_held",
                ];
                self.line.expect_refusal(&refusal, &lost);
            }
        }
        Ok(())
    }

    async fn call_off(&mut self, id: &str) -> Result<(), Stopped> {
        let key = self.next("call-off");
        self.line.begin(|| format!("{} {key}: {id}", self.owner.id))?;
        let request: Request<Waiting> = {
            let (caller, id) = (self.caller.clone(), id.to_owned());
            Rc::new(move |ports| {
                let (caller, id, key) = (caller.clone(), id.clone(), key.clone());
                Box::pin(async move {
                    let request = CancelBackorderRequest { reason: Some("found elsewhere".to_owned()) };
                    backorders::cancel(&ports, &caller, &key, &id, &request, |_| Ok(())).await
                })
            })
        };
        let told = |answer: &Waiting| format!("{:?}", answer.backorder);
        match self.line.send_to("POST /v1/inventory/backorders/{id}/cancel", request, told).await {
            Ok(answer) => {
                if answer.backorder.status != BackorderStatus::Cancelled {
                    self.world().fail("what is called off is called off", format!("{:?}", answer.backorder));
                }
                let key = (self.owner.id.clone(), id.to_owned());
                if let Some(known) = self.world().books.borrow_mut().supply.backorders.get_mut(&key) {
                    known.is_cancelled = true;
                }
            }
            Err(refusal) => self.line.expect_refusal(&refusal, &["backorder_over"]),
        }
        Ok(())
    }
}
