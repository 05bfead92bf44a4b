//! Orders from elsewhere: placed whole, some on stock that was reserved before.

use std::rc::Rc;
use std::time::Duration;

use jiff::Timestamp;
use serde_json::{Value, json};
use tillstream_app::orders::place::place;
use tillstream_app::pos::cart_write::Executed;
use tillstream_app::stock::read::one;
use tillstream_app::stock::reservations;
use tillstream_app::stock::reserve::{Answer as Reserved, reserve};
use tillstream_app::tenancy::{Caller, Role};
use tillstream_contracts::inventory::{CommitRequest, ExtendRequest, ReserveRequest, StockLevel};
use tillstream_contracts::lots::CommitLine;
use tillstream_contracts::orders::PlaceOrder;
use tillstream_domain::cart::Cart;

use super::super::books::{Goods, Line as Sold, Order, Paid, Shop, part};
use super::super::rules::{Coupon, Rules};
use super::super::set_up::{self, decimal};
use super::super::world::{Tenant, World};
use super::commits::Taken;
use super::till::{OF_LOTS, pounds};
use super::{Answer, Line, Request, Stopped};
use crate::shop::caller;

struct WebShop {
    line: Line,
    tenant: usize,
    shop: usize,
    caller: Caller,
    shop_id: String,
    count: u64,
}

/// Works until the day is over.
pub async fn work(world: Rc<World>, tenant: usize, shop: usize) -> Option<Stopped> {
    let owner = world.tenants.get(tenant)?;
    let shop_id = owner.shops.get(shop)?.id.clone();
    let caller = caller(&owner.id, &[Role::Operator, Role::Integration]);
    let line = Line::of(&world, &owner.id);
    let mut web = WebShop { line, tenant, shop, caller, shop_id, count: 0 };
    loop {
        web.line.rest(Duration::from_secs(14)).await;
        let wanted = web.wanted();
        let done = if world.chance.percent(45) {
            web.order(&wanted, None).await
        } else {
            web.reserve(&wanted).await
        };
        if done.is_err() {
            return Some(Stopped);
        }
    }
}

impl WebShop {
    fn next(&mut self, kind: char) -> String {
        self.count += 1;
        format!("{kind}-web-{}-{}", self.shop_id, self.count)
    }

    fn rules(&self) -> Option<&Rules> {
        self.line.world.tenants.get(self.tenant).map(|owner| &owner.rules)
    }

    fn quantity(&self, sku: &str, thousandths: i64) -> Value {
        let owner = self.line.world.tenants.get(self.tenant);
        owner.map_or(Value::Null, |owner| set_up::quantity(owner, sku, thousandths))
    }

    /// SKUs, each once, with quantity and price.
    fn wanted(&self) -> Vec<(String, i64, i64)> {
        let world = &self.line.world;
        let Some(owner) = world.tenants.get(self.tenant) else { return Vec::new() };
        let has_stock = |goods: &&Goods| goods.is_stocked || !goods.parts.is_empty();
        let stocked: Vec<_> = owner.goods.iter().filter(has_stock).collect();
        let many = if stocked.len() > 100 && world.chance.percent(8) { 104 } else { 3 };
        let mut wanted = std::collections::BTreeMap::new();
        let lines = if many > 3 { many } else { 1 + world.chance.below(many) };
        for number in 0..lines {
            let next = usize::try_from(number).ok().filter(|_| many > 3).and_then(|at| stocked.get(at));
            if let Some(goods) = next.or_else(|| world.chance.one_of(&stocked)) {
                let quantity = if goods.is_weighed {
                    world.chance.between(1, 2_500)
                } else {
                    1_000 * world.chance.between(1, 2)
                };
                wanted.insert(goods.sku.clone(), (quantity, world.chance.between(1, 80_000)));
            }
        }
        wanted.into_iter().map(|(sku, (quantity, price))| (sku, quantity, price)).collect()
    }

    /// Something taken off by hand now and then: off a line, or off all where there is but one.
    fn discount(&self, lines: &[Sold]) -> Option<Discount> {
        let chance = &self.line.world.chance;
        if lines.is_empty() || !chance.percent(25) {
            return None;
        }
        let at = chance.index(lines.len());
        let worth = lines.get(at)?.worth;
        let (value, off) = if chance.percent(50) {
            let points = chance.between(1, 10_000);
            (json!(points), part(worth, points, 10_000))
        } else {
            let off = chance.between(1, worth.max(1));
            (pounds(off), off)
        };
        let of_all = lines.len() == 1 && chance.percent(50);
        // What takes nothing off is refused, and tested elsewhere.
        (0 < off && off <= worth).then_some(Discount { at, value, off, of_all })
    }

    /// A coupon that anybody may redeem, now and then.
    fn coupons(&self) -> Vec<String> {
        let chance = &self.line.world.chance;
        let of_all = |coupon: &&Coupon| coupon.per_customer_limit.is_none();
        let known: Vec<&Coupon> =
            self.rules().into_iter().flat_map(|rules| &rules.coupons).filter(of_all).collect();
        let one = chance.one_of(&known).filter(|_| chance.percent(30));
        one.map(|coupon| coupon.code.clone()).into_iter().collect()
    }

    async fn order(
        &mut self,
        wanted: &[(String, i64, i64)],
        reservation: Option<&str>,
    ) -> Result<(), Stopped> {
        let id = self.next('o');
        let mut lines: Vec<Sold> = (1_u32..)
            .zip(wanted)
            .map(|(number, (sku, quantity, price))| Sold::of(number, sku.clone(), *quantity, *price))
            .collect();
        let world = &self.line.world;
        if let Some(owner) = world.tenants.get(self.tenant).filter(|_| reservation.is_none()) {
            for line in &mut lines {
                line.lot = world.lot_read(owner, &self.shop_id, (&line.sku, line.quantity));
            }
        }
        let names_lots = lines.iter().any(|line| line.lot.is_some());
        let is_plain = self.rules().is_some_and(Rules::is_plain);
        let discount = self.discount(&lines);
        if let Some(Discount { at, off, .. }) = &discount
            && is_plain
            && let Some(line) = lines.get_mut(*at)
        {
            line.take_off(*off);
        }
        let total: i64 = lines.iter().map(Sold::paid).sum();
        // What it comes to by the tenant's rules is told by the answer: then it is settled later.
        let on_account = !is_plain || total == 0 || self.line.world.chance.percent(30);
        let mut shown: Vec<_> = lines
            .iter()
            .map(|line| {
                let mut shown = json!({
                    "sku": line.sku,
                    "quantity": self.quantity(&line.sku, line.quantity),
                    "unit_price": decimal(line.price),
                });
                if let Some(lot) = &line.lot {
                    shown["lot"] = json!(lot);
                }
                shown
            })
            .collect();
        let mut off_all = json!([]);
        if let Some(Discount { at, value, of_all, .. }) = discount {
            let given = json!([{ "value": value, "reason": "a regular" }]);
            match shown.get_mut(at) {
                Some(line) if !of_all => line["discounts"] = given,
                _ => off_all = given,
            }
        }
        let coupons = self.coupons();
        let paid = json!([{ "tender": "card", "amount": pounds(total) }]);
        let mut body = json!({
            "order_id": id, "store_id": self.shop_id, "channel": "web", "lines": shown,
            "payments": if on_account { json!([]) } else { paid },
            "discounts": off_all, "coupons": coupons,
        });
        if let Some(reservation) = reservation {
            body["reservation_id"] = json!(reservation);
        }
        let Ok(order) = serde_json::from_value::<PlaceOrder>(body) else {
            self.line.world.fail("the simulator works", "an order that is none");
            return Err(Stopped);
        };
        self.line.begin(|| format!("{} places {id} of {total}", self.caller.scope.tenant_id()))?;
        let begun_at = self.line.world.now();
        let (caller, key) = (self.caller.clone(), id.clone());
        let request: Request<Executed> = Rc::new(move |ports| {
            let (caller, key, order) = (caller.clone(), key.clone(), order.clone());
            Box::pin(async move { place(&ports, &caller, &key, order).await })
        });
        let essence = |done: &Executed| format!("{:?} {:?}", done.outcome, done.cart.finalized);
        match self.line.send_to("POST /v1/orders", request, essence).await {
            Ok(done) => {
                let (lines, total) = if is_plain { (lines, total) } else { charged(lines, &done.cart) };
                let tender = if on_account { "account" } else { "card" };
                let payments = if total == 0 { Vec::new() } else { vec![Paid::by(tender, total)] };
                let world = &self.line.world;
                let owner = world.tenants.get(self.tenant);
                let shop = owner.and_then(|owner| owner.shops.get(self.shop));
                if let (Some(owner), Some(shop)) = (owner, shop) {
                    let employee = &self.caller.subject;
                    let channel = "web";
                    let (moved, rounding) = (false, 0);
                    let place =
                        Elsewhere { owner, shop, employee, channel, moved, rounding, coupons, begun_at };
                    enter(world, &place, &id, (lines, payments), &done);
                }
                Ok(())
            }
            Err(refusal) => {
                let lost = ["insufficient_stock", "reservation_expired", "reservation_not_active"];
                // What is left of lines that promotions reduce is told by the answer, and so is who was quicker.
                let ruled = [
                    "discount_above_total",
                    "discount_takes_nothing_off",
                    "coupon_takes_nothing_off",
                    "coupon_limit_reached",
                    "coupon_unavailable",
                ];
                let known: Vec<&str> = match is_plain {
                    true => lost.to_vec(),
                    false => lost.into_iter().chain(ruled).collect(),
                };
                let of_lots = OF_LOTS.into_iter().filter(|_| names_lots);
                let known: Vec<&str> = known.into_iter().chain(of_lots).collect();
                self.line.expect_refusal(&refusal, &known);
                Ok(())
            }
        }
    }

    async fn reserve(&mut self, wanted: &[(String, i64, i64)]) -> Result<(), Stopped> {
        let wanted = wanted.get(..wanted.len().min(40)).unwrap_or_default();
        let id = self.next('v');
        let lines: Vec<_> = wanted
            .iter()
            .map(|(sku, quantity, _)| {
                json!({ "location_id": self.shop_id, "sku": sku, "quantity": self.quantity(sku, *quantity) })
            })
            .collect();
        let chance = &self.line.world.chance;
        let ttl = if chance.percent(40) { chance.between(1, 4) } else { chance.between(20, 7_200) };
        let body = json!({ "reservation_id": id, "lines": lines, "ttl_seconds": ttl });
        let Ok(body) = serde_json::from_value::<ReserveRequest>(body) else {
            self.line.world.fail("the simulator works", "a reservation that is none");
            return Err(Stopped);
        };
        self.line.begin(|| format!("{} reserves {id}", self.caller.scope.tenant_id()))?;
        let (caller, key) = (self.caller.clone(), id.clone());
        let request: Request<Reserved> = Rc::new(move |ports| {
            let (caller, key, body) = (caller.clone(), key.clone(), body.clone());
            Box::pin(async move { reserve(&ports, &caller, &key, &body).await })
        });
        if let Err(refusal) = self.line.send(request, essence).await {
            self.line.expect_refusal(&refusal, &["insufficient_stock"]);
            return Ok(());
        }
        if self.line.world.chance.percent(25) {
            self.line.think(Duration::from_secs(10)).await;
            let refused = self.change(&id, Step::Extend).await?.err();
            if let Some(refusal) = refused {
                self.line.expect_refusal(&refusal, &["reservation_expired"]);
            }
        }
        self.line.think(Duration::from_secs(20)).await;
        let wanted = &self.commit_in_part(&id, wanted).await?;
        match self.line.world.chance.below(5) {
            _ if wanted.is_empty() => Ok(()),
            0 => self.order(wanted, Some(&id)).await,
            1 => {
                if self.commit(&id, wanted, true).await? {
                    self.enter_committed(wanted);
                }
                Ok(())
            }
            2 => {
                if let Err(refusal) = self.change(&id, Step::Release).await? {
                    self.line.expect_refusal(&refusal, &["reservation_expired"]);
                }
                Ok(())
            }
            3 => self.release_at_its_end(&id, wanted, ttl).await,
            // Forgotten: it ends by itself.
            _ => Ok(()),
        }
    }

    /// Now and then some of the first SKU is sold before the rest is. Answers what is held after it.
    async fn commit_in_part(
        &mut self,
        id: &str,
        wanted: &[(String, i64, i64)],
    ) -> Result<Vec<(String, i64, i64)>, Stopped> {
        let mut left = wanted.to_vec();
        let Some((sku, held, price)) = left.first().cloned() else { return Ok(left) };
        if !self.line.world.chance.percent(20) {
            return Ok(left);
        }
        // Half of it, in whole pieces where it is sold by the piece.
        let owner = self.line.world.tenants.get(self.tenant);
        let goods = owner.and_then(|owner| owner.goods.iter().find(|goods| goods.sku == sku));
        let is_weighed = goods.is_some_and(|goods| goods.is_weighed);
        let sold = if is_weighed { (held / 2).max(1) } else { (held / 2_000).max(1) * 1_000 };
        let some = [(sku.clone(), sold, price)];
        if self.commit(id, &some, false).await? {
            self.enter_committed(&some);
            left.remove(0);
            if held > sold {
                left.insert(0, (sku, held - sold, price));
            }
        }
        Ok(left)
    }

    /// Commits goods of a reservation, all that it holds or only these; some of them of a lot that is named. Where that is
    /// refused, they are taken as they come. Answers whether they are committed.
    async fn commit(
        &mut self,
        id: &str,
        goods: &[(String, i64, i64)],
        is_all: bool,
    ) -> Result<bool, Stopped> {
        let world = self.line.world.clone();
        let Some(owner) = world.tenants.get(self.tenant) else { return Ok(false) };
        let here = |(sku, quantity, _): &(String, i64, i64)| (self.shop_id.clone(), sku.clone(), *quantity);
        let mut taken = Taken::read(&world, owner, goods.iter().map(here));
        loop {
            taken.announce(&world, owner, id).await;
            let lines = match is_all && !taken.names_lots() {
                true => None,
                false => match taken.lines(owner) {
                    Some(lines) => Some(lines),
                    None => return Ok(false),
                },
            };
            let refusal = match self.change(id, Step::Commit(lines)).await? {
                Ok(_) => return Ok(true),
                Err(refusal) => refusal,
            };
            let of_lots = taken.refusals();
            let known =
                ["reservation_expired", "insufficient_stock"].into_iter().chain(of_lots.iter().copied());
            self.line.expect_refusal(&refusal, &known.collect::<Vec<_>>());
            if !of_lots.contains(&refusal.code) {
                return Ok(false);
            }
            taken = taken.without_lots();
        }
    }

    /// Released about when it ends, while others look at the same stock, which frees it too.
    async fn release_at_its_end(
        &mut self,
        id: &str,
        wanted: &[(String, i64, i64)],
        ttl: i64,
    ) -> Result<(), Stopped> {
        if ttl > 4 {
            return Ok(());
        }
        self.line.think(Duration::from_secs(4)).await;
        let Some((sku, _, _)) = wanted.first() else { return Ok(()) };
        let release = self.begin_change(id, Step::Release)?;
        let reads = (0..2).map(|_| self.look(sku));
        let (released, _) =
            futures::join!(self.line.send(release, essence), futures::future::join_all(reads));
        if let Err(refusal) = released {
            self.line.expect_refusal(&refusal, &["reservation_expired", "reservation_not_active"]);
        }
        Ok(())
    }

    /// Reads one stock item.
    async fn look(&self, sku: &str) {
        let (caller, shop, sku) = (self.caller.clone(), self.shop_id.clone(), sku.to_owned());
        let request: Request<StockLevel> = Rc::new(move |ports| {
            let (caller, shop, sku) = (caller.clone(), shop.clone(), sku.clone());
            Box::pin(async move { one(&ports, &caller, &shop, &sku).await })
        });
        if let Err(refusal) = self.line.send(request, |_: &StockLevel| String::new()).await {
            self.line.expect_refusal(&refusal, &[]);
        }
    }

    fn enter_committed(&self, wanted: &[(String, i64, i64)]) {
        let mut books = self.line.world.books.borrow_mut();
        let Some(owner) = self.line.world.tenants.get(self.tenant) else { return };
        for (sku, quantity) in wanted.iter().flat_map(|(sku, quantity, _)| owner.taken(sku, *quantity)) {
            books.shelf(&owner.id, &self.shop_id, &sku).on_hand -= quantity;
        }
    }

    async fn change(&mut self, id: &str, step: Step) -> Result<Answer<Reserved>, Stopped> {
        let request = self.begin_change(id, step)?;
        Ok(self.line.send(request, essence).await)
    }

    fn begin_change(&mut self, id: &str, step: Step) -> Result<Request<Reserved>, Stopped> {
        let key = self.next('k');
        self.line.begin(|| format!("{} {step:?} {id}", self.caller.scope.tenant_id()))?;
        let (caller, id) = (self.caller.clone(), id.to_owned());
        Ok(Rc::new(move |ports| {
            let (caller, key, id, step) = (caller.clone(), key.clone(), id.clone(), step.clone());
            Box::pin(async move {
                match step {
                    Step::Commit(lines) => {
                        let request = CommitRequest { lines };
                        reservations::commit(&ports, &caller, &key, &id, &request).await
                    }
                    Step::Release => reservations::release(&ports, &caller, &key, &id).await,
                    Step::Extend => {
                        let request = ExtendRequest { ttl_seconds: 900 };
                        reservations::extend(&ports, &caller, &key, &id, &request).await
                    }
                }
            })
        }))
    }
}

/// Something that is taken off by hand.
struct Discount {
    /// Position of its line.
    at: usize,
    /// As the request says it.
    value: Value,
    /// What it takes off a line that costs its price × quantity.
    off: i64,
    /// Whether it is off all lines.
    of_all: bool,
}

/// Where an order from elsewhere is entered.
pub struct Elsewhere<'a> {
    /// Whose it is.
    pub owner: &'a Tenant,
    /// The store it counts for.
    pub shop: &'a Shop,
    /// Who sold.
    pub employee: &'a str,
    /// Through what.
    pub channel: &'a str,
    /// Whether its goods left another stock.
    pub moved: bool,
    /// What was asked for it beyond its lines.
    pub rounding: i64,
    /// Coupons that it redeems.
    pub coupons: Vec<String>,
    /// When it was begun.
    pub begun_at: Timestamp,
}

/// Writes an order from elsewhere into the books.
pub fn enter(
    world: &World,
    place: &Elsewhere<'_>,
    id: &str,
    (lines, payments): (Vec<Sold>, Vec<Paid>),
    done: &Executed,
) {
    let Some(is) = &done.cart.finalized else {
        return world.fail("a final order tells its number", id);
    };
    let Ok((day, hour)) = place.shop.day_and_hour(is.at) else {
        return world.fail("the simulator works", "no such day");
    };
    let order = Order {
        is_return: false,
        store: place.shop.id.clone(),
        lane: is.number.lane.to_string(),
        number: is.number.number,
        employee: place.employee.to_owned(),
        channel: place.channel.to_owned(),
        lines,
        payments,
        day,
        hour,
        sale: None,
        rounding: place.rounding,
        coupons: place.coupons.clone(),
        settled: Vec::new(),
        segment: None,
        stood: world.may_have_stood(&place.owner.id, place.begun_at),
        offline: false,
        statuses: vec![is.status.clone()],
    };
    let all = vec![true; order.lines.len()];
    let taken = |sku: &str, quantity: i64| match place.moved {
        true => Vec::new(),
        false => place.owner.taken(sku, quantity),
    };
    let entered = world.books.borrow_mut().enter(&place.owner.id, id, order, &all, taken);
    if let Err(seen) = entered {
        world.fail("one command, one effect", seen);
    }
}

/// What the lines of an order were charged, and what they come to.
pub fn charged(mut lines: Vec<Sold>, cart: &Cart) -> (Vec<Sold>, i64) {
    for line in &mut lines {
        let found = cart.lines.iter().find(|found| found.number == line.number);
        if let Some(Ok(is)) = found.map(|found| cart.line_amounts(found)) {
            (line.worth, line.off, line.tax) = (is.gross, is.discount, is.tax);
            line.shown_off = cart.charges.of_line(line.number).map(|(_, amount)| amount).sum();
            line.is_charged = cart.charges.lines.contains_key(&line.number);
        }
    }
    let total = lines.iter().map(Sold::paid).sum();
    (lines, total)
}

#[derive(Debug, Clone)]
enum Step {
    /// All that is held, or these lines.
    Commit(Option<Vec<CommitLine>>),
    Release,
    Extend,
}

fn essence(answer: &Reserved) -> String {
    format!("{} {:?}", answer.reservation.reservation_id, answer.reservation.lines)
}
