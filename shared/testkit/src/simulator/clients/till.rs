//! A register of a store: sales, returns, and everything that goes wrong with them.

use std::collections::BTreeMap;
use std::rc::Rc;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};
use tillstream_app::Refusal;
use tillstream_app::pos::execute::{Answered, execute};
use tillstream_app::tenancy::{Caller, Role};

use super::super::books::{Line as Sold, Order, Paid, Shop, part, worth};
use super::super::set_up;
use super::super::world::{Tenant, World};
use super::till_offline;
use super::{Answer, Line, Request, Stopped};
use crate::shop::caller;

/// A till.
pub struct Till {
    pub line: Line,
    tenant: usize,
    shop: usize,
    pub register: String,
    /// In the names of what it makes: its store and register.
    name: String,
    /// How far its clock is from ours.
    clock_error: SignedDuration,
    carts: u64,
    pub keys: u64,
    pub caller: Caller,
}

/// A cart as the till knows it.
#[derive(Default)]
pub struct Cart {
    pub id: String,
    /// Who opened it: whose sale it is.
    pub employee: String,
    pub lines: BTreeMap<u32, Sold>,
    pub payments: BTreeMap<String, Paid>,
}

impl Cart {
    pub fn total(&self) -> i64 {
        self.lines.values().map(Sold::paid).sum()
    }

    pub fn due(&self) -> i64 {
        self.total() - self.payments.values().map(|paid| paid.amount).sum::<i64>()
    }
}

/// A return that is ready to be final.
struct Back {
    cart: Cart,
    /// Of each line, whether it goes back on the shelf.
    restocked: Vec<bool>,
    /// Of each line, the sale's line, quantity in thousandths and worth in minor units.
    origins: Vec<(u32, i64, i64)>,
}

/// The number in a line's id (`l-12`).
pub fn line_number(id: &str) -> u32 {
    id.strip_prefix("l-").and_then(|number| number.parse().ok()).unwrap_or(0)
}

pub fn pounds(pence: i64) -> Value {
    json!({ "amount": pence, "currency": "GBP" })
}

/// Works until the day is over.
pub async fn work(world: Rc<World>, tenant: usize, shop: usize, register: usize) -> Option<Stopped> {
    let owner = world.tenants.get(tenant)?;
    let register = owner.shops.get(shop)?.registers.get(register)?.clone();
    let caller = caller(&owner.id, &[Role::Operator]);
    // Most clocks are right; some are minutes or hours behind, or further ahead than is taken.
    let wrong = match world.chance.below(20) {
        0 | 1 => world.chance.between(-4 * 3_600, 0),
        2 | 3 => world.chance.between(-200, 200),
        4 => world.chance.between(420, 24 * 3_600),
        _ => 0,
    };
    let line = Line { world: world.clone() };
    let clock_error = SignedDuration::from_secs(wrong);
    let name = format!("{}-{register}", owner.shops.get(shop)?.id);
    let mut till = Till { line, tenant, shop, register, name, clock_error, carts: 0, keys: 0, caller };
    loop {
        till.line.think(Duration::from_secs(20)).await;
        if till.learn_the_time().await.is_err() {
            return Some(Stopped);
        }
        let chance = &world.chance;
        let done = match chance.below(100) {
            0..74 => till.sale().await,
            74..93 => till.bring_back().await,
            _ => till_offline::sell(&mut till).await,
        };
        if done.is_err() {
            return Some(Stopped);
        }
    }
}

impl Till {
    pub fn world(&self) -> &World {
        &self.line.world
    }

    pub fn owner(&self) -> Option<&Tenant> {
        self.line.world.tenants.get(self.tenant)
    }

    pub fn shop(&self) -> Option<&Shop> {
        self.owner()?.shops.get(self.shop)
    }

    pub fn shop_id(&self) -> String {
        self.shop().map(|shop| shop.id.clone()).unwrap_or_default()
    }

    pub fn quantity(&self, sku: &str, thousandths: i64) -> Value {
        self.owner().map_or(Value::Null, |owner| set_up::quantity(owner, sku, thousandths))
    }

    pub fn now(&self) -> Timestamp {
        let now = self.world().now();
        now.checked_add(self.clock_error).unwrap_or(now)
    }

    pub fn next_cart(&mut self, kind: char) -> String {
        self.carts += 1;
        format!("{kind}-{}-{}", self.name, self.carts)
    }

    /// Who stands at it: somebody else after a while.
    pub fn employee(&self) -> String {
        format!("e-{}", self.keys / 40)
    }

    /// A command's envelope, under a key of its own.
    pub fn envelope(&mut self, action: &str, payload: &Value, at: Timestamp) -> Value {
        self.keys += 1;
        json!({
            "version": "1",
            "idempotency_key": format!("{}-{}", self.name, self.keys),
            "store_id": self.shop_id(),
            "register_id": self.register,
            "employee_id": self.employee(),
            "occurred_at": at.to_string(),
            "action": action,
            "payload": payload,
        })
    }

    /// Sends a command.
    async fn command(
        &mut self,
        action: &str,
        payload: Value,
        at: Timestamp,
    ) -> Result<Answer<Answered>, Stopped> {
        if !action.starts_with("finalize") {
            self.line.think(Duration::from_secs(4)).await;
        }
        let request = self.request(action, payload, at)?;
        Ok(self.send(request).await)
    }

    /// A clock that is further ahead than is taken is told so at its first command, and set.
    async fn learn_the_time(&mut self) -> Result<(), Stopped> {
        if self.clock_error <= SignedDuration::from_mins(6) {
            return Ok(());
        }
        let (cart, at) = (self.next_cart('c'), self.now());
        match self.command("create_cart", json!({ "cart_id": cart }), at).await? {
            Err(refusal) => self.line.expect_refusal(&refusal, &["occurred_at_in_future"]),
            Ok(_) => self.world().fail("no time to come is taken", at.to_string()),
        }
        self.clock_error = SignedDuration::ZERO;
        Ok(())
    }

    /// A command that is begun, and not sent yet.
    fn request(&mut self, action: &str, payload: Value, at: Timestamp) -> Result<Request<Answered>, Stopped> {
        let envelope = self.envelope(action, &payload, at);
        let (tenant, register) = (self.caller.scope.tenant_id().to_owned(), self.register.clone());
        self.line.begin(|| format!("{tenant} {register} {action} {payload}"))?;
        let caller = self.caller.clone();
        Ok(Rc::new(move |ports| {
            let (caller, envelope) = (caller.clone(), envelope.clone());
            Box::pin(async move { execute(&ports, &caller, envelope).await })
        }))
    }

    async fn send(&self, request: Request<Answered>) -> Answer<Answered> {
        let essence = |answered: &Answered| {
            let reply = &answered.reply;
            format!("{} {:?} {:?}", reply.action, reply.result, reply.consistency_token)
        };
        self.line.send(request, essence).await
    }

    /// A command that is to succeed; `None` where the run is over.
    async fn must(&mut self, action: &str, payload: Value) -> Result<Answered, Stopped> {
        let at = self.now();
        match self.command(action, payload, at).await? {
            Ok(answered) => Ok(answered),
            Err(refusal) => {
                self.line.expect_refusal(&refusal, &[]);
                Err(Stopped)
            }
        }
    }

    /// The cart that came back is the cart that the till knows.
    fn compare(&self, cart: &Cart, answered: &Answered) {
        let Some(view) = &answered.reply.cart else { return };
        let expected = (cart.lines.len(), cart.total(), cart.due());
        let seen = (view.line_count, view.totals.total.amount, view.totals.due.amount);
        if expected != seen {
            let seen = format!("{}: lines, total and due are {seen:?}, the till has {expected:?}", cart.id);
            self.world().fail("a cart is what its commands made of it", seen);
        }
    }

    async fn sale(&mut self) -> Result<(), Stopped> {
        let mut cart = Cart { id: self.next_cart('c'), ..Cart::default() };
        let channel = if self.world().chance.percent(10) { "kiosk" } else { "pos" };
        self.must("create_cart", json!({ "cart_id": cart.id, "channel": channel })).await?;
        cart.employee = self.employee();
        if self.world().chance.percent(12) {
            let customer = format!("k-{}", self.world().chance.below(9));
            let answered =
                self.must("set_customer", json!({ "cart_id": cart.id, "customer_id": customer })).await?;
            self.compare(&cart, &answered);
        }
        for number in 0..self.cart_size() {
            self.add_line(&mut cart, number).await?;
            match self.world().chance.below(100) {
                0..6 => self.update_line(&mut cart).await?,
                6..10 => self.remove_line(&mut cart).await?,
                _ => {}
            }
        }
        if self.world().chance.percent(15) {
            self.give_discount(&mut cart).await?;
        }
        if cart.lines.is_empty() || self.world().chance.percent(4) {
            return self.void(&cart).await;
        }
        self.must("set_tendering", json!({ "cart_id": cart.id })).await?;
        if self.world().chance.percent(4) {
            self.must("resume_editing", json!({ "cart_id": cart.id })).await?;
            self.add_line(&mut cart, 0).await?;
            self.must("set_tendering", json!({ "cart_id": cart.id })).await?;
        }
        self.pay(&mut cart).await?;
        self.finalize(cart, channel).await
    }

    fn cart_size(&self) -> u64 {
        let chance = &self.world().chance;
        let many = self.owner().is_some_and(|owner| owner.goods.len() > 100);
        match chance.below(100) {
            0..3 if many => 120 + chance.below(10),
            0..6 => 12 + chance.below(20),
            _ => 1 + chance.below(4),
        }
    }

    /// Something on sale, and how much of it; now and then a lot.
    pub fn pick(&self) -> Option<(String, i64)> {
        let chance = &self.world().chance;
        let goods = &self.owner()?.goods;
        // The first few are what everybody wants.
        let hot = goods.get(..3).unwrap_or(goods);
        let goods = if chance.percent(30) { chance.one_of(hot)? } else { chance.one_of(goods)? };
        let quantity = if goods.is_weighed { chance.between(1, 3_500) } else { 1_000 * chance.between(1, 3) };
        Some((goods.sku.clone(), quantity))
    }

    async fn add_line(&mut self, cart: &mut Cart, number: u64) -> Result<(), Stopped> {
        let Some((mut sku, mut quantity)) = self.pick() else { return Err(Stopped) };
        // A long cart has as many products as lines: more than one transaction takes.
        let next = usize::try_from(number).ok().filter(|number| *number > 4);
        if let Some(goods) = next.and_then(|number| self.owner()?.goods.get(number)) {
            sku = goods.sku.clone();
            quantity = if goods.is_weighed { quantity } else { 1_000 };
        }
        let payload = json!({ "cart_id": cart.id, "sku": sku, "quantity": self.quantity(&sku, quantity) });
        let at = self.now();
        let answered = self.must("add_line_item", payload).await?;
        let Some(id) = answered.reply.result.line_id.clone() else {
            self.world().fail("a cart is what its commands made of it", "a line without an id");
            return Err(Stopped);
        };
        let lines = answered.reply.cart.as_ref().and_then(|view| view.lines.as_ref());
        let shown = lines.and_then(|lines| lines.iter().find(|line| line.line_id == id));
        let price = shown.map_or(0, |line| line.unit_price.ten_thousandths());
        let tenant = self.caller.scope.tenant_id();
        if !self.world().books.borrow().may_cost(tenant, &sku, price, &self.shop_id(), at) {
            self.world()
                .fail("nothing is sold at a price that nobody set", format!("{sku}: {price} at {at}"));
        }
        let number = line_number(&id);
        cart.lines
            .insert(number, Sold { number, sku, quantity, price, worth: worth(quantity, price), off: 0 });
        self.compare(cart, &answered);
        Ok(())
    }

    async fn update_line(&mut self, cart: &mut Cart) -> Result<(), Stopped> {
        let numbers: Vec<u32> = cart.lines.keys().copied().collect();
        let (Some(number), Some((_, pieces))) = (self.world().chance.one_of(&numbers).copied(), self.pick())
        else {
            return Ok(());
        };
        let quantity = (pieces / 1_000).max(1) * 1_000;
        let id = format!("l-{number}");
        let sku = cart.lines.get(&number).map(|line| line.sku.clone()).unwrap_or_default();
        let payload = json!({ "cart_id": cart.id, "line_id": id, "quantity": self.quantity(&sku, quantity) });
        let answered = self.must("update_line_item", payload).await?;
        if let Some(line) = cart.lines.get_mut(&number) {
            (line.quantity, line.worth) = (quantity, worth(quantity, line.price));
        }
        self.compare(cart, &answered);
        Ok(())
    }

    /// Takes something off a line by hand; now and then takes it back, or gives another one.
    async fn give_discount(&mut self, cart: &mut Cart) -> Result<(), Stopped> {
        let numbers: Vec<u32> = cart.lines.keys().copied().collect();
        let Some(number) = self.world().chance.one_of(&numbers).copied() else { return Ok(()) };
        let worth = cart.lines.get(&number).map_or(0, |line| line.worth);
        let (kind, value, off) = if self.world().chance.percent(50) {
            let points = self.world().chance.between(1, 10_000);
            ("percent_line", json!(points), part(worth, points, 10_000))
        } else {
            let off = self.world().chance.between(1, worth.max(1));
            ("fixed_line", pounds(off), off)
        };
        // What takes nothing off is refused, and tested elsewhere.
        if off == 0 || off > worth {
            return Ok(());
        }
        let line_id = format!("l-{number}");
        let payload = json!({
            "cart_id": cart.id, "kind": kind, "value": value, "line_id": line_id, "reason": "dented",
        });
        let answered = self.must("apply_manual_discount", payload).await?;
        if let Some(line) = cart.lines.get_mut(&number) {
            line.off = off;
        }
        self.compare(cart, &answered);
        if self.world().chance.percent(20)
            && let Some(id) = answered.reply.result.discount_id
        {
            let payload = json!({ "cart_id": cart.id, "discount_id": id });
            let answered = self.must("remove_manual_discount", payload).await?;
            if let Some(line) = cart.lines.get_mut(&number) {
                line.off = 0;
            }
            self.compare(cart, &answered);
        }
        Ok(())
    }

    async fn remove_line(&mut self, cart: &mut Cart) -> Result<(), Stopped> {
        let numbers: Vec<u32> = cart.lines.keys().copied().collect();
        let Some(number) = self.world().chance.one_of(&numbers).copied() else { return Ok(()) };
        let payload = json!({ "cart_id": cart.id, "line_id": format!("l-{number}") });
        let answered = self.must("remove_line_item", payload).await?;
        cart.lines.remove(&number);
        self.compare(cart, &answered);
        Ok(())
    }

    async fn void(&mut self, cart: &Cart) -> Result<(), Stopped> {
        for _ in 0..200 {
            let (payload, at) = (json!({ "cart_id": cart.id, "reason": "gave up" }), self.now());
            match self.command("void_cart", payload, at).await? {
                Ok(_) => return Ok(()),
                // A plan that was short is still giving back what it held.
                Err(refusal) => self.line.expect_refusal(&refusal, &["finalize_in_progress"]),
            }
        }
        self.world().fail("a plan ends", format!("{} is being finalised for ever", cart.id));
        Err(Stopped)
    }

    async fn pay(&mut self, cart: &mut Cart) -> Result<(), Stopped> {
        if self.world().chance.percent(25) && cart.due() > 1 {
            let part = self.world().chance.between(1, cart.due() - 1);
            self.pay_by(cart, "card", part, 0).await?;
            if self.world().chance.percent(20)
                && let Some(id) = cart.payments.keys().next().cloned()
            {
                let payload = json!({ "cart_id": cart.id, "payment_id": id });
                let answered = self.must("remove_payment", payload).await?;
                cart.payments.remove(&id);
                self.compare(cart, &answered);
            }
        }
        if cart.due() > 0 {
            let tip = if self.world().chance.percent(6) { self.world().chance.between(1, 500) } else { 0 };
            match self.world().chance.below(3) {
                0 => {
                    // Cash by the pound: there is change.
                    let given = (cart.due() + 99) / 100 * 100;
                    self.pay_by(cart, "cash", given, 0).await?;
                }
                1 => self.pay_by(cart, "gift_card", cart.due(), 0).await?,
                _ => self.pay_by(cart, "card", cart.due(), tip).await?,
            }
        }
        Ok(())
    }

    async fn pay_by(
        &mut self,
        cart: &mut Cart,
        tender: &'static str,
        given: i64,
        tip: i64,
    ) -> Result<(), Stopped> {
        let mut payload = json!({ "cart_id": cart.id, "tender": tender, "amount": pounds(given) });
        if tip > 0 {
            payload["tip"] = pounds(tip);
        }
        let due = cart.due();
        let answered = self.must("add_payment", payload).await?;
        let result = &answered.reply.result;
        let change = (given - due).max(0);
        if result.change.as_ref().map(|change| change.amount) != Some(change) {
            let seen = format!("{}: {change} of {given} is change, told {:?}", cart.id, result.change);
            self.world().fail("payments less change are the total", seen);
        }
        let Some(id) = result.payment_id.clone() else { return Err(Stopped) };
        cart.payments.insert(id, Paid { tender, amount: given - change, tip });
        self.compare(cart, &answered);
        Ok(())
    }

    async fn finalize(&mut self, cart: Cart, channel: &str) -> Result<(), Stopped> {
        self.line.meet_others(25).await;
        let at = self.now();
        let answered = self.command("finalize_order", json!({ "cart_id": cart.id }), at).await?;
        match answered {
            Ok(answered) => {
                self.enter(&cart, None, &[], &answered, at, channel);
                Ok(())
            }
            Err(refusal) => {
                self.line.expect_refusal(&refusal, &["insufficient_stock"]);
                self.void(&cart).await
            }
        }
    }

    /// Writes a final order into the books.
    pub fn enter(
        &self,
        cart: &Cart,
        sale: Option<&str>,
        restocked: &[bool],
        answered: &Answered,
        at: Timestamp,
        channel: &str,
    ) {
        let (world, Some(shop), Some(owner)) = (self.world(), self.shop(), self.owner()) else { return };
        let (day, hour) = match shop.day_and_hour(at) {
            Ok(found) => found,
            Err(error) => return world.fail("the simulator works", error.to_string()),
        };
        let lane = format!("{}/{}", shop.id, self.register);
        let number = answered.reply.result.receipt_number.unwrap_or(0);
        let token = Some(format!("{lane}:{number}"));
        if answered.reply.consistency_token != token {
            let seen = format!("{:?}, not {token:?}", answered.reply.consistency_token);
            world.fail("a final order tells its number", seen);
        }
        let order = Order {
            is_return: sale.is_some(),
            store: shop.id.clone(),
            lane,
            number,
            employee: cart.employee.clone(),
            channel: channel.to_owned(),
            lines: cart.lines.values().cloned().collect(),
            payments: cart.payments.values().cloned().collect(),
            day,
            hour,
            sale: sale.map(str::to_owned),
        };
        let stocked = |sku: &str| owner.goods_of(sku).is_some_and(|goods| goods.is_stocked);
        let all = vec![true; order.lines.len()];
        let restocked = if restocked.is_empty() { &all } else { restocked };
        let entered = world.books.borrow_mut().enter(&owner.id, &cart.id, order, restocked, stocked);
        if let Err(seen) = entered {
            world.fail("one command, one effect", seen);
        }
        if world.chance.percent(2) {
            world.books.borrow_mut().refused_by_hq.insert(cart.id.clone());
            world.books.borrow_mut().ever_refused.insert(cart.id.clone());
            world.refuse_at_hq();
        }
    }

    /// Something of an earlier sale of the tenant comes back, now and then at two registers at the same moment.
    async fn bring_back(&mut self) -> Result<(), Stopped> {
        let Some((sale, lines)) = self.pick_sale() else { return self.sale().await };
        let Some(first) = self.prepare_return(&sale, lines.clone()).await? else { return Ok(()) };
        let own = self.register.clone();
        let other = self.other_register();
        let rival = if self.world().chance.percent(35) {
            self.register.clone_from(&other);
            let rival = self.prepare_return(&sale, lines).await;
            self.register.clone_from(&own);
            rival?
        } else {
            self.line.meet_others(70).await;
            None
        };
        let at = self.now();
        let first_request = self.finalize_return(&first, at)?;
        let Some(second) = rival else {
            let answer = self.send(first_request).await;
            return self.finish_return(&sale, first, answer, at).await;
        };
        self.register.clone_from(&other);
        let second_request = self.finalize_return(&second, at);
        self.register.clone_from(&own);
        let (one, rival) = futures::join!(self.send(first_request), self.send(second_request?));
        // Also where the day ends with the first: what took effect is to be in the books.
        let first_done = self.finish_return(&sale, first, one, at).await;
        self.register = other;
        let second_done = self.finish_return(&sale, second, rival, at).await;
        self.register = own;
        first_done.and(second_done)
    }

    /// Another register of the store, if it has one.
    fn other_register(&self) -> String {
        let others: Vec<&String> = self
            .shop()
            .map(|shop| shop.registers.iter().filter(|register| **register != self.register).collect())
            .unwrap_or_default();
        self.world().chance.one_of(&others).map_or_else(|| self.register.clone(), |other| (*other).clone())
    }

    fn finalize_return(&mut self, back: &Back, at: Timestamp) -> Result<Request<Answered>, Stopped> {
        self.request("finalize_return", json!({ "return_id": back.cart.id }), at)
    }

    /// A return that is to be finalised; `None` where nothing is left to bring back.
    async fn prepare_return(&mut self, sale: &str, lines: Vec<Sold>) -> Result<Option<Back>, Stopped> {
        let mut cart = Cart { id: self.next_cart('r'), ..Cart::default() };
        let at = self.now();
        let payload =
            json!({ "return_id": cart.id, "original_order_id": sale, "reason": "changed their mind" });
        self.must("start_return", payload).await?;
        cart.employee = self.employee();
        let mut restocked = Vec::new();
        let mut origins = Vec::new();
        for line in lines {
            let origin = line.number;
            if !cart.lines.is_empty() && self.world().chance.percent(50) {
                continue;
            }
            let whole = line.quantity / 1_000;
            let quantity = if whole > 1 && line.quantity % 1_000 == 0 && self.world().chance.percent(50) {
                1_000 * self.world().chance.between(1, whole)
            } else {
                line.quantity
            };
            let back = self.world().chance.percent(70);
            let payload = json!({
                "return_id": cart.id,
                "line_id": format!("l-{origin}"),
                "quantity": self.quantity(&line.sku, quantity),
                "disposition": if back { "restock" } else { "damaged" },
            });
            let answered = self.command("return_line_item", payload, at).await?;
            let answered = match answered {
                Ok(answered) => answered,
                Err(refusal) => {
                    self.line.expect_refusal(&refusal, &["return_above_sold"]);
                    continue;
                }
            };
            let view = answered.reply.cart.as_ref().and_then(|view| view.lines.as_ref());
            let id = answered.reply.result.line_id.clone().unwrap_or_default();
            let shown = view.and_then(|lines| lines.iter().find(|line| line.line_id == id));
            let worth = shown.map_or(0, |line| line.subtotal.amount);
            let paid = shown.map_or(0, |line| line.total.amount);
            let number = line_number(&id);
            cart.lines.insert(number, Sold { number, quantity, worth, off: worth - paid, ..line });
            restocked.push(back);
            origins.push((origin, quantity, paid));
        }
        if !cart.lines.is_empty() {
            self.refund(&mut cart, sale).await?;
        }
        if cart.lines.is_empty() || cart.due() > 0 {
            self.must("void_return", json!({ "return_id": cart.id })).await?;
            return Ok(None);
        }
        Ok(Some(Back { cart, restocked, origins }))
    }

    /// What came of a return.
    async fn finish_return(
        &mut self,
        sale: &str,
        back: Back,
        answer: Answer<Answered>,
        at: Timestamp,
    ) -> Result<(), Stopped> {
        let Back { cart, restocked, origins } = back;
        match answer {
            Ok(answered) => {
                self.enter(&cart, Some(sale), &restocked, &answered, at, "pos");
                let tenant = self.caller.scope.tenant_id().to_owned();
                for (line, quantity, worth) in origins {
                    let key = (tenant.clone(), (sale.to_owned(), line));
                    let mut books = self.world().books.borrow_mut();
                    let back = books.returned.entry(key).or_default();
                    *back = (back.0 + quantity, back.1 + worth);
                }
            }
            Err(refusal) => {
                self.expect_lost_return(&refusal);
                for _ in 0..200 {
                    let at = self.now();
                    match self.command("void_return", json!({ "return_id": cart.id }), at).await? {
                        Ok(_) => return Ok(()),
                        Err(refusal) => self.line.expect_refusal(&refusal, &["finalize_in_progress"]),
                    }
                }
            }
        }
        Ok(())
    }

    /// Another return of the same sale was quicker.
    fn expect_lost_return(&self, refusal: &Refusal) {
        self.line.expect_refusal(refusal, &["return_above_sold", "refund_above_paid", "return_outdated"]);
    }

    /// A sale of the tenant, and its lines. The latest are what tills fight over.
    fn pick_sale(&self) -> Option<(String, Vec<Sold>)> {
        let tenant = self.caller.scope.tenant_id();
        let world = self.world();
        let books = world.books.borrow();
        let sales: Vec<_> =
            books.orders.iter().filter(|((owner, _), order)| owner == tenant && !order.is_return).collect();
        // All of them at the same few, for a minute or so.
        let popular = usize::try_from(world.now().as_second() / 60).unwrap_or(0) % sales.len().max(1);
        let at = if world.chance.percent(60) { popular } else { world.chance.index(sales.len()) };
        let ((_, id), order) = sales.get(at)?;
        Some((id.clone(), order.lines.clone()))
    }

    /// Refunds by the tenders of the sale, as far as they reach.
    async fn refund(&mut self, cart: &mut Cart, sale: &str) -> Result<(), Stopped> {
        let tenant = self.caller.scope.tenant_id().to_owned();
        let key = (tenant, sale.to_owned());
        let tenders: Vec<Paid> = {
            let books = self.world().books.borrow();
            books.orders.get(&key).map(|order| order.payments.clone()).unwrap_or_default()
        };
        for paid in tenders {
            let amount = cart.due().min(paid.amount);
            if amount <= 0 {
                continue;
            }
            let payload = json!({ "return_id": cart.id, "tender": paid.tender, "amount": pounds(amount) });
            let at = self.now();
            match self.command("refund_tender", payload, at).await? {
                Ok(answered) => {
                    let Some(id) = answered.reply.result.payment_id else { return Err(Stopped) };
                    cart.payments.insert(id, Paid { tender: paid.tender, amount, tip: 0 });
                }
                Err(refusal) => self.line.expect_refusal(&refusal, &["refund_above_paid"]),
            }
        }
        Ok(())
    }
}
