//! Whoever reserves goods to be sent from wherever they are, only SKUs and quantities named, or a hundred and more SKUs
//! at once; holds them longer, sells some, now and then of a lot that is named, and then the rest or nothing.

use std::collections::BTreeMap;
use std::rc::Rc;
use std::time::Duration;

use serde_json::{Value, json};
use tillstream_app::stock::reservations::{commit, extend, release};
use tillstream_app::stock::reserve::{Answer as Reserved, reserve};
use tillstream_app::tenancy::{Caller, Role};
use tillstream_contracts::inventory::{
    CommitRequest, ExtendRequest, Reservation, ReservationStatus, ReserveRequest,
};
use tillstream_contracts::lots::CommitLine;
use tillstream_domain::quantity::{QuantityInput, Unit};

use super::super::set_up;
use super::super::world::{Tenant, World};
use super::commits::Taken;
use super::{Answer, Line, Request, Stopped};
use crate::shop::caller;

/// Which stock items hold how much, in thousandths, by location and SKU.
type Held = BTreeMap<(String, String), i64>;

/// For so long before a reservation ends nothing is said of what it holds: clocks differ.
const NEARLY_OVER: jiff::SignedDuration = jiff::SignedDuration::from_secs(2);

#[derive(Debug, Clone)]
enum Step {
    /// All of it, or these lines.
    Commit(Option<Vec<CommitLine>>),
    Release,
    Extend,
}

impl Step {
    fn route(&self) -> &'static str {
        match self {
            Step::Commit(_) => "POST /v1/inventory/reservations/{id}/commit",
            Step::Release => "POST /v1/inventory/reservations/{id}/release",
            Step::Extend => "POST /v1/inventory/reservations/{id}/extend",
        }
    }
}

struct Sourcer<'a> {
    line: Line,
    owner: &'a Tenant,
    caller: Caller,
    count: u64,
}

/// Works until the day is over.
pub async fn work(world: Rc<World>, tenant: usize) -> Option<Stopped> {
    let owner = world.tenants.get(tenant)?;
    let caller = caller(&owner.id, &[Role::Operator, Role::Integration]);
    let mut sourcer = Sourcer { line: Line::of(&world, &owner.id), owner, caller, count: 0 };
    loop {
        sourcer.line.rest(Duration::from_secs(90)).await;
        if sourcer.reserve().await.is_err() {
            return Some(Stopped);
        }
    }
}

impl Sourcer<'_> {
    fn world(&self) -> &World {
        &self.line.world
    }

    fn next(&mut self, kind: &str) -> String {
        self.count += 1;
        format!("{kind}-{}", self.count)
    }

    fn thousandths(&self, sku: &str, quantity: &QuantityInput) -> i64 {
        let is_weighed = self.owner.goods_of(sku).is_some_and(|goods| goods.is_weighed);
        let unit = if is_weighed { Unit::Kg } else { Unit::Piece };
        quantity.resolve(unit).map_or(i64::MIN, |quantity| quantity.thousandths())
    }

    /// SKUs, and how much of each: a few, kits among them, or more than a transaction takes.
    fn wanted(&self) -> BTreeMap<String, i64> {
        let chance = &self.world().chance;
        let stocked: Vec<_> = self.owner.goods.iter().filter(|goods| goods.is_stocked).collect();
        if stocked.len() > 100 && chance.percent(60) {
            let some = stocked.iter().skip(chance.index(stocked.len() - 100));
            return some.map(|goods| (goods.sku.clone(), 1_000)).collect();
        }
        let has_stock: Vec<_> =
            self.owner.goods.iter().filter(|goods| goods.is_stocked || !goods.parts.is_empty()).collect();
        let mut wanted = BTreeMap::new();
        for _ in 0..1 + chance.below(3) {
            if let Some(goods) = chance.one_of(&has_stock) {
                let quantity =
                    if goods.is_weighed { chance.between(1, 3_000) } else { 1_000 * chance.between(1, 3) };
                wanted.insert(goods.sku.clone(), quantity);
            }
        }
        wanted
    }

    /// From where it may be sent, in any order.
    fn locations(&self) -> Vec<String> {
        let chance = &self.world().chance;
        let books = self.world().books.borrow();
        let warehouses = books.warehouses.keys().filter(|(of, _)| *of == self.owner.id).map(|(_, id)| id);
        let shops = self.owner.shops.iter().map(|shop| &shop.id);
        let mut all: Vec<String> = shops.chain(warehouses.take(8)).cloned().collect();
        let first = chance.index(all.len());
        all.rotate_left(first);
        all
    }

    /// The request for it: where nothing is said of locations, by a policy.
    fn body(&self, id: &str, wanted: &BTreeMap<String, i64>) -> Option<Value> {
        let chance = &self.world().chance;
        let is_long = wanted.len() > 48;
        let names_shop = is_long && chance.percent(60);
        let shop = chance.one_of(&self.owner.shops)?;
        let line = |(sku, quantity): (&String, &i64)| {
            let mut line = json!({ "sku": sku, "quantity": set_up::quantity(self.owner, sku, *quantity) });
            if names_shop {
                line["location_id"] = json!(shop.id);
            }
            line
        };
        // What is held for moments only ends while it is sold.
        let ttl = match chance.below(10) {
            0 | 1 if !is_long => chance.between(2, 40),
            _ => chance.between(600, 7_200),
        };
        let lines: Vec<Value> = wanted.iter().map(line).collect();
        let mut body = json!({ "reservation_id": id, "lines": lines, "ttl_seconds": ttl });
        if !names_shop {
            let is_priority = chance.percent(50);
            let policy = if is_priority { "priority" } else { "fewest_shipments" };
            body["sourcing"] = json!({ "policy": policy, "split_lines": chance.percent(50) });
            if is_priority || is_long || chance.percent(50) {
                body["sourcing"]["locations"] = json!(self.locations());
            }
        }
        Some(body)
    }

    async fn reserve(&mut self) -> Result<(), Stopped> {
        let id = self.next("v-any");
        let wanted = self.wanted();
        let Some(body) = self.body(&id, &wanted) else { return Err(Stopped) };
        let Ok(asked) = serde_json::from_value::<ReserveRequest>(body.clone()) else {
            self.world().fail("the simulator works", "a reservation that is none");
            return Err(Stopped);
        };
        self.line.begin(|| format!("{} reserves {body}", self.owner.id))?;
        let request: Request<Reserved> = {
            let (caller, key) = (self.caller.clone(), id.clone());
            Rc::new(move |ports| {
                let (caller, key, asked) = (caller.clone(), key.clone(), asked.clone());
                Box::pin(async move { reserve(&ports, &caller, &key, &asked).await })
            })
        };
        let made = match self.line.send_to("POST /v1/inventory/reserve", request, told).await {
            Ok(answer) => answer.reservation,
            Err(refusal) => {
                self.line.expect_refusal(&refusal, &["insufficient_stock"]);
                self.check_held(&id, &Held::new()).await;
                return Ok(());
            }
        };
        {
            let mut books = self.world().books.borrow_mut();
            books.supply.reservations.insert((self.owner.id.clone(), id.clone()));
        }
        self.check_asked(&id, &wanted, &made);
        self.check_holds(&made).await;
        self.go_on(&id, made).await
    }

    /// All that was asked for is among its lines, from wherever.
    fn check_asked(&self, id: &str, wanted: &BTreeMap<String, i64>, made: &Reservation) {
        let mut asked = BTreeMap::<String, i64>::new();
        for (sku, quantity) in wanted.iter().flat_map(|(sku, quantity)| self.owner.taken(sku, *quantity)) {
            *asked.entry(sku).or_default() += quantity;
        }
        let mut found = BTreeMap::<String, i64>::new();
        for line in &made.lines {
            *found.entry(line.sku.clone()).or_default() += self.thousandths(&line.sku, &line.quantity);
        }
        if asked != found {
            self.world().fail(
                "a reservation is for all that was asked for",
                format!("{id}: {found:?}, not {asked:?}"),
            );
        }
    }

    /// What it is to hold by its lines: what is not sold of each.
    fn left(&self, reservation: &Reservation) -> Held {
        let mut left = Held::new();
        for line in &reservation.lines {
            let of = |quantity: &QuantityInput| self.thousandths(&line.sku, quantity);
            left.insert(
                (line.location_id.clone(), line.sku.clone()),
                of(&line.quantity) - of(&line.committed),
            );
        }
        left.retain(|_, quantity| *quantity != 0);
        left
    }

    /// All of its lines hold what is left of them, if it has not ended.
    async fn check_holds(&self, reservation: &Reservation) {
        if reservation.status != ReservationStatus::Active {
            return;
        }
        let left = self.left(reservation);
        // What was written by now is seen a moment later.
        self.world().sleep(Duration::from_millis(1)).await;
        if self.world().now() + NEARLY_OVER < reservation.expires_at {
            self.compare(&reservation.reservation_id, &left);
        }
    }

    async fn check_held(&self, id: &str, left: &Held) {
        self.world().sleep(Duration::from_millis(1)).await;
        self.compare(id, left);
    }

    fn compare(&self, id: &str, left: &Held) {
        let held = self.world().stock_watch.borrow().held_by(&self.owner.id, id);
        if held != *left {
            let seen = format!("{} {id}: {held:?}, not {left:?}", self.owner.id);
            self.world().fail("a reservation holds all of its lines, or nothing", seen);
        }
    }

    async fn go_on(&mut self, id: &str, mut made: Reservation) -> Result<(), Stopped> {
        if self.world().chance.percent(35) {
            self.line.think(Duration::from_secs(20)).await;
            made = match self.change(id, Step::Extend).await? {
                Ok(answer) => answer.reservation,
                Err(refusal) => {
                    self.line.expect_refusal(&refusal, &["reservation_expired"]);
                    return Ok(());
                }
            };
            self.check_holds(&made).await;
        }
        self.line.think(Duration::from_secs(40)).await;
        // Of kits a component cannot be sold by itself.
        if made.kits.is_empty() && self.world().chance.percent(45) {
            match self.sell_some(id, &made).await? {
                Some(next) => made = next,
                None => return Ok(()),
            }
        }
        let left = self.left(&made);
        if left.is_empty() {
            return Ok(());
        }
        self.line.think(Duration::from_secs(20)).await;
        match self.world().chance.below(10) {
            0..5 => {
                // Of kits a component cannot be sold by itself, of whatever lot.
                let taken = if made.kits.is_empty() { self.read(&left) } else { self.read(&Held::new()) };
                if self.commit(id, taken, true).await?.is_some() {
                    self.sold(left);
                }
            }
            5..8 => match self.change(id, Step::Release).await? {
                Ok(_) => self.check_held(id, &Held::new()).await,
                Err(refusal) => self.line.expect_refusal(&refusal, &["reservation_expired"]),
            },
            // Forgotten: it ends by itself.
            _ => {}
        }
        Ok(())
    }

    /// Some lines, and of some only a part. Answers what it is after it, if it still is.
    async fn sell_some(&mut self, id: &str, made: &Reservation) -> Result<Option<Reservation>, Stopped> {
        let mut some = Held::new();
        for ((location, sku), quantity) in self.left(made) {
            let chance = &self.world().chance;
            if chance.percent(50) {
                let is_part = quantity >= 2_000 && chance.percent(50);
                some.insert((location, sku), if is_part { 1_000 } else { quantity });
            }
        }
        if some.is_empty() {
            return Ok(Some(made.clone()));
        }
        let Some(next) = self.commit(id, self.read(&some), false).await? else { return Ok(None) };
        self.sold(some);
        self.check_holds(&next).await;
        Ok(Some(next))
    }

    /// The lots of goods, as they are read on them.
    fn read(&self, goods: &Held) -> Taken {
        let of = |((location, sku), quantity): (&(String, String), &i64)| {
            (location.clone(), sku.clone(), *quantity)
        };
        Taken::read(self.world(), self.owner, goods.iter().map(of))
    }

    /// Commits goods of a reservation, or all that it holds; some of them of a lot that is named. Where that is refused,
    /// they are taken as they come. Answers what is left of it, if they are committed.
    async fn commit(
        &mut self,
        id: &str,
        mut taken: Taken,
        is_all: bool,
    ) -> Result<Option<Reservation>, Stopped> {
        let world = self.line.world.clone();
        loop {
            taken.announce(&world, self.owner, id).await;
            let is_whole = is_all && !taken.names_lots();
            let lines = if is_whole { None } else { taken.lines(self.owner) };
            if lines.is_none() && !is_whole {
                world.fail("the simulator works", "a quantity that is none");
                return Err(Stopped);
            }
            let refusal = match self.change(id, Step::Commit(lines)).await? {
                Ok(answer) => return Ok(Some(answer.reservation)),
                Err(refusal) => refusal,
            };
            let of_lots = taken.refusals();
            let known =
                ["reservation_expired", "insufficient_stock"].into_iter().chain(of_lots.iter().copied());
            self.line.expect_refusal(&refusal, &known.collect::<Vec<_>>());
            if !of_lots.contains(&refusal.code) {
                return Ok(None);
            }
            taken = taken.without_lots();
        }
    }

    fn sold(&self, sold: Held) {
        let mut books = self.world().books.borrow_mut();
        for ((location, sku), quantity) in sold {
            books.shelf(&self.owner.id, &location, &sku).on_hand -= quantity;
        }
    }

    async fn change(&mut self, id: &str, step: Step) -> Result<Answer<Reserved>, Stopped> {
        let key = self.next("k-any");
        self.line.begin(|| format!("{} {key}: {step:?} {id}", self.owner.id))?;
        let route = step.route();
        let (caller, id) = (self.caller.clone(), id.to_owned());
        let request: Request<Reserved> = Rc::new(move |ports| {
            let (caller, key, id, step) = (caller.clone(), key.clone(), id.clone(), step.clone());
            Box::pin(async move {
                match step {
                    Step::Commit(lines) => {
                        let request = CommitRequest { lines };
                        commit(&ports, &caller, &key, &id, &request).await
                    }
                    Step::Release => release(&ports, &caller, &key, &id).await,
                    Step::Extend => {
                        let request = ExtendRequest { ttl_seconds: 1_200 };
                        extend(&ports, &caller, &key, &id, &request).await
                    }
                }
            })
        });
        Ok(self.line.send_to(route, request, told).await)
    }
}

/// What all answers of one command say.
fn told(answer: &Reserved) -> String {
    format!("{} {:?}", answer.reservation.reservation_id, answer.reservation.lines)
}
