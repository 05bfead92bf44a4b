//! Whoever moves orders from elsewhere on: paid, put aside, sent, delivered; or gives them up.

use std::rc::Rc;
use std::time::Duration;

use serde_json::json;
use tillstream_app::orders::status::{Changed, change};
use tillstream_app::tenancy::{Caller, Role};
use tillstream_contracts::orders::UpdateOrder;
use tillstream_domain::cart::Cart;

use super::super::books::{Order, Paid};
use super::super::world::{Tenant, World};
use super::till::pounds;
use super::till_undo::turned_round;
use super::{Answer, Line, Request, Stopped};
use crate::shop::caller;

/// The ways of an order.
fn next(status: &str) -> &'static [&'static str] {
    match status {
        "placed" => &["paid", "cancelled"],
        "paid" => &["allocated", "cancelled"],
        "allocated" => &["shipped", "cancelled"],
        "shipped" => &["delivered"],
        _ => &[],
    }
}

/// Where an order may be told to go.
const ALL: [&str; 5] = ["paid", "allocated", "shipped", "delivered", "cancelled"];

struct Desk<'a> {
    line: Line,
    owner: &'a Tenant,
    caller: Caller,
    name: String,
    keys: u64,
}

/// Works until the day is over.
pub async fn work(world: Rc<World>, tenant: usize, number: u64) -> Option<Stopped> {
    let owner = world.tenants.get(tenant)?;
    let line = Line::of(&world, &owner.id);
    let caller = caller(&owner.id, &[Role::Integration]);
    let mut desk = Desk { line, owner, caller, name: format!("desk-{number}"), keys: 0 };
    loop {
        desk.line.rest(Duration::from_secs(50)).await;
        desk.line.meet_others(60).await;
        if desk.move_on().await.is_err() {
            return Some(Stopped);
        }
    }
}

impl Desk<'_> {
    /// An order from elsewhere; often one that others look at, too.
    fn pick(&self) -> Option<(String, Order)> {
        let world = &self.line.world;
        let books = world.books.borrow();
        let is_open = |order: &Order| order.statuses.last().is_some_and(|status| !next(status).is_empty());
        let all =
            books.orders.iter().filter(|((of, _), order)| *of == self.owner.id && order.channel == "web");
        let mut some: Vec<_> = all.filter(|(_, order)| !order.is_return).collect();
        if world.chance.percent(90) {
            some.retain(|(_, order)| is_open(order));
        }
        let minute = usize::try_from(world.now().as_second() / 60).unwrap_or(0);
        let at = if world.chance.percent(60) {
            minute % some.len().max(1)
        } else {
            world.chance.index(some.len())
        };
        some.get(at).map(|((_, id), order)| (id.clone(), (*order).clone()))
    }

    async fn move_on(&mut self) -> Result<(), Stopped> {
        let Some((id, order)) = self.pick() else {
            return if self.line.is_over() { Err(Stopped) } else { Ok(()) };
        };
        let first = self.request(&id, &order)?;
        if !self.line.world.chance.percent(30) {
            let answer = self.send(&first).await;
            self.finish(&id, first.0, answer);
            return Ok(());
        }
        let second = self.request(&id, &order)?;
        let (one, other) = futures::join!(self.send(&first), self.send(&second));
        self.finish(&id, first.0, one);
        self.finish(&id, second.0, other);
        Ok(())
    }

    fn request(&mut self, id: &str, order: &Order) -> Result<(&'static str, Request<Changed>), Stopped> {
        let chance = &self.line.world.chance;
        let ways = next(order.statuses.last().map_or("", String::as_str));
        let to = match chance.one_of(ways).copied() {
            Some(to) if chance.percent(85) => to,
            _ => chance.one_of(&ALL).copied().unwrap_or("paid"),
        };
        let owed: i64 =
            order.payments.iter().filter(|paid| paid.tender == "account").map(|paid| paid.amount).sum();
        let mut body = json!({ "status": to });
        if to == "paid" && owed > 0 && chance.percent(60) {
            body["payments"] = json!([{ "tender": "card", "amount": pounds(owed) }]);
        }
        if to == "shipped" && chance.percent(50) {
            body["tracking"] = json!({ "carrier": "post", "number": "GB 1" });
        }
        self.keys += 1;
        let key = format!("{}-{}", self.name, self.keys);
        self.line.begin(|| format!("{} {} tells {id} {body}", self.owner.id, self.name))?;
        let Ok(update) = serde_json::from_value::<UpdateOrder>(body) else {
            self.line.world.fail("the simulator works", "a change that is none");
            return Err(Stopped);
        };
        let (caller, id) = (self.caller.clone(), id.to_owned());
        let request: Request<Changed> = Rc::new(move |ports| {
            let (caller, key, id, update) = (caller.clone(), key.clone(), id.clone(), update.clone());
            Box::pin(async move { change(&ports, &caller, &key, &id, update, |_| Ok(())).await })
        });
        Ok((to, request))
    }

    async fn send(&self, (to, request): &(&'static str, Request<Changed>)) -> Answer<Changed> {
        let essence = |changed: &Changed| {
            let counted = changed.counted.as_ref().and_then(|cart| cart.finalized.as_ref());
            let number = counted.map(|done| done.number.to_string());
            format!("{to} is version {:?}, {number:?}", version_of(&changed.order, to))
        };
        self.line.send_to("PUT /v1/orders/{id}", request.clone(), essence).await
    }

    fn finish(&self, id: &str, to: &'static str, answer: Answer<Changed>) {
        let world = &self.line.world;
        let changed = match answer {
            Ok(changed) => changed,
            Err(refusal) => {
                // What was settled before is not settled again, and what came back meanwhile is not owed.
                let known =
                    ["order_status_conflict", "order_already_returned", "settlement_invalid", "overpaid"];
                return self.line.expect_refusal(&refusal, &known);
            }
        };
        let key = (self.owner.id.clone(), id.to_owned());
        let version = version_of(&changed.order, to).and_then(|version| usize::try_from(version).ok());
        if (to == "cancelled") != changed.counted.is_some() {
            world.fail("a cancellation is counted, and nothing else is", format!("{id} {to}"));
        }
        let Some(version) = version else {
            return world.fail("an order stands where its commands put it", format!("{id} was never {to}"));
        };
        if let Some(counted) = &changed.counted {
            self.enter(id, counted);
            let undone = world.books.borrow_mut().undo(&key, to, version);
            if let Err(seen) = undone {
                world.fail("an order is undone once", seen);
            }
            return;
        }
        let settled = changed.order.course.history.iter().flat_map(|change| &change.settled);
        let settled: Vec<Paid> = settled.map(|paid| Paid::by("card", paid.amount)).collect();
        let mut books = world.books.borrow_mut();
        let Some(order) = books.orders.get_mut(&key) else { return };
        if order.settled.is_empty() {
            order.settled = settled;
        }
        let stands = order.stands(to, version);
        drop(books);
        if let Err(seen) = stands {
            world.fail("an order stands where its commands put it", format!("{id}: {seen}"));
        }
    }

    /// Writes the return that a cancellation is counted as into the books.
    fn enter(&self, sale: &str, counted: &Cart) {
        let world = &self.line.world;
        let key = (self.owner.id.clone(), sale.to_owned());
        let order = world.books.borrow().orders.get(&key).cloned();
        let (Some(order), Some(is)) = (order, &counted.finalized) else {
            return world.fail("a final order tells its number", sale);
        };
        let shop = self.owner.shops.iter().find(|shop| shop.id == order.store);
        let Some(Ok((day, hour))) = shop.map(|shop| shop.day_and_hour(is.at)) else {
            return world.fail("the simulator works", "no such day");
        };
        let back = Order {
            lane: is.number.lane.to_string(),
            number: is.number.number,
            employee: self.caller.subject.clone(),
            day,
            hour,
            ..turned_round(&order, sale)
        };
        let all = vec![true; back.lines.len()];
        let taken = |sku: &str, quantity: i64| self.owner.taken(sku, quantity);
        let entered = world.books.borrow_mut().enter(&self.owner.id, &counted.id, back, &all, taken);
        if let Err(seen) = entered {
            world.fail("one command, one effect", seen);
        }
    }
}

/// The version of an order with which it first stood somewhere: no way leads back there.
fn version_of(order: &Cart, status: &str) -> Option<u32> {
    let changes = &order.course.history;
    changes.iter().find(|change| change.to.name() == status).map(|change| change.order_version)
}
