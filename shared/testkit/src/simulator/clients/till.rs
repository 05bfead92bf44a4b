//! A register of a store: sales, returns, and everything that goes wrong with them.

use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};
use tillstream_app::Refusal;
use tillstream_app::pos::execute::{Answered, execute};
use tillstream_app::tenancy::{Caller, Role};

use super::super::books::{Line as Sold, Order, Paid, Shop, part};
use super::super::day_settings::DaySettings;
use super::super::price_book::Costs;
use super::super::rules::Rules;
use super::super::set_up;
use super::super::trouble::Kind;
use super::super::world::{Tenant, World};
use super::till_rules::{self, Without};
use super::{Answer, Line, Request, Stopped};
use super::{shift_lead, till_exchange, till_offline, till_parking, till_stock, till_undo};
use crate::shop::caller;

/// For what whoever names a lot may be refused: others were quicker, or it is kept aside.
pub const OF_LOTS: [&str; 4] = ["lot_short", "lot_expired", "lot_quarantined", "lot_recalled"];

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
    /// When the last command was begun.
    asked_at: Timestamp,
}

/// When a line was asked for, and what its price may be.
#[derive(Debug, Clone)]
pub struct Asked {
    at: Timestamp,
    /// Whether somebody set it by hand.
    by_hand: bool,
    /// What it costs whom, where nobody was at the prices meanwhile.
    costs: Option<Costs>,
}

/// A cart as the till knows it.
#[derive(Default, Clone)]
pub struct Cart {
    pub id: String,
    /// When its first command was begun.
    pub opened_at: Timestamp,
    /// Segments of its customer, the one that reports count first.
    pub segments: Vec<String>,
    /// By number of the line.
    pub asked: BTreeMap<u32, Asked>,
    /// Whether its register was cut off.
    pub offline: bool,
    /// Who opened it: whose sale it is.
    pub employee: String,
    pub lines: BTreeMap<u32, Sold>,
    pub payments: BTreeMap<String, Paid>,
    /// What was added so that it can be paid in coins.
    pub rounding: i64,
    /// Whether it is a return.
    pub is_return: bool,
    /// Coupons that it has.
    pub coupons: BTreeSet<String>,
    /// Those of them that take something off.
    pub redeemed: Vec<String>,
}

impl Cart {
    /// For what more it may be refused if its lines name lots.
    pub fn refused_for_lots(&self) -> &'static [&'static str] {
        let names_lots = self.lines.values().any(|line| line.lot.is_some());
        if names_lots { &OF_LOTS } else { &[] }
    }

    pub fn total(&self) -> i64 {
        self.lines.values().map(Sold::paid).sum()
    }

    pub fn due(&self) -> i64 {
        self.total() + self.rounding - self.payments.values().map(|paid| paid.amount).sum::<i64>()
    }
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
    let line = Line::of(&world, &owner.id);
    let clock_error = SignedDuration::from_secs(if world.trouble.has(Kind::WrongClocks) { wrong } else { 0 });
    let name = format!("{}-{register}", owner.shops.get(shop)?.id);
    let own = Till::staffed_by(line, (tenant, shop), register, name, caller);
    let mut till = Till { clock_error, ..own };
    let home = till.register.clone();
    loop {
        till.line.rest(Duration::from_secs(20)).await;
        if till.learn_the_time().await.is_err() {
            return Some(Stopped);
        }
        let chance = &world.chance;
        let done = match chance.below(100) {
            0..2 => till.late_command().await,
            2..70 => till.sale().await,
            70..82 => till.bring_back().await,
            82..87 => till_exchange::exchange(&mut till).await,
            87..94 => till_undo::void_order(&mut till).await,
            _ => till_offline::sell(&mut till).await,
        };
        if done.is_err() {
            return Some(Stopped);
        }
        // A sale goes on where a parked cart was brought back; the next begins at home.
        till.register.clone_from(&home);
    }
}

impl Till {
    /// Somebody else at a register, by a clock that is right, with names of their own.
    pub fn staffed_by(
        line: Line,
        (tenant, shop): (usize, usize),
        register: String,
        name: String,
        caller: Caller,
    ) -> Self {
        let clock_error = SignedDuration::ZERO;
        let asked_at = line.world.now();
        Till { line, tenant, shop, register, name, clock_error, carts: 0, keys: 0, caller, asked_at }
    }

    pub fn world(&self) -> &World {
        &self.line.world
    }

    pub fn owner(&self) -> Option<&Tenant> {
        self.line.world.tenants.get(self.tenant)
    }

    pub fn rules(&self) -> Option<&Rules> {
        self.owner().map(|owner| &owner.rules)
    }

    /// In the names of what it makes.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Settings by which may be gone what was begun at `since` or later.
    pub fn may_have_stood(&self, since: Timestamp) -> Vec<DaySettings> {
        self.world().may_have_stood(self.caller.scope.tenant_id(), since)
    }

    /// Whether a command may be refused because its register has no shift. It was begun a while before the last one
    /// where two were sent at once.
    pub fn may_lack_a_shift(&self, refusal: &Refusal) -> bool {
        let since = self.asked_at - SignedDuration::from_mins(10);
        refusal.code == "no_open_shift"
            && self.may_have_stood(since).iter().any(|settings| settings.needs_shift)
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

    /// A cart that is about to be opened, under a name of its own.
    pub fn begin_cart(&mut self, kind: char) -> Cart {
        Cart { id: self.next_cart(kind), opened_at: self.world().now(), ..Cart::default() }
    }

    /// When the last command was begun.
    pub fn asked_at(&self) -> Timestamp {
        self.asked_at
    }

    /// Who stands at it: somebody else after a while.
    pub fn employee(&self) -> String {
        // Whose it is stands in it: so it is seen where another tenant is told of it.
        format!("e-{}-of-{}", self.keys / 40, self.caller.scope.tenant_id())
    }

    /// A command's envelope, under a key of its own.
    pub fn envelope(&mut self, action: &str, payload: &Value, at: Timestamp) -> Value {
        self.keys += 1;
        self.asked_at = self.world().now();
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
    pub async fn command(
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

    /// A command comes days late, which the tenant may not take.
    async fn late_command(&mut self) -> Result<(), Stopped> {
        let cart = self.begin_cart('c');
        let at = self.now() - SignedDuration::from_hours(24 * 3 + self.world().chance.between(24, 72));
        let answer = self.command("create_cart", json!({ "cart_id": cart.id }), at).await?;
        let stood = self.may_have_stood(cart.opened_at);
        let is_too_old = |now: Timestamp| {
            let age = now.duration_since(at).as_secs();
            move |settings: &DaySettings| settings.age_max.is_some_and(|most| age > i64::from(most))
        };
        let is_known = if stood.iter().all(is_too_old(cart.opened_at)) {
            answer.is_err()
        } else {
            answer.is_ok() || stood.iter().any(is_too_old(self.world().now()))
        };
        if !is_known {
            let seen = format!("{} of {at}: {:?}, {stood:?}", cart.id, answer.as_ref().err());
            self.world().fail("a command is as old as settings let it be", seen);
        }
        match answer {
            Ok(_) => self.void(&cart).await,
            Err(refusal) => {
                self.line.expect_refusal(&refusal, &["occurred_at_too_old"]);
                Ok(())
            }
        }
    }

    /// A command that is begun, and not sent yet.
    pub fn request(
        &mut self,
        action: &str,
        payload: Value,
        at: Timestamp,
    ) -> Result<Request<Answered>, Stopped> {
        let envelope = self.envelope(action, &payload, at);
        let (tenant, register) = (self.caller.scope.tenant_id().to_owned(), self.register.clone());
        self.line.begin(|| format!("{tenant} {register} {action} {payload}"))?;
        let caller = self.caller.clone();
        Ok(Rc::new(move |ports| {
            let (caller, envelope) = (caller.clone(), envelope.clone());
            Box::pin(async move { execute(&ports, &caller, envelope).await })
        }))
    }

    pub async fn send(&self, request: Request<Answered>) -> Answer<Answered> {
        let essence = |answered: &Answered| {
            let reply = &answered.reply;
            format!("{} {:?} {:?}", reply.action, reply.result, reply.consistency_token)
        };
        let answer = self.line.send(request, essence).await;
        if let Ok(answered) = &answer {
            self.world().note_use("POST /v1/pos/command");
            self.world().note_use(&answered.reply.action);
        }
        answer
    }

    /// A command that is to succeed; `None` where the run is over.
    pub async fn must(&mut self, action: &str, payload: Value) -> Result<Answered, Stopped> {
        let at = self.now();
        match self.command(action, payload, at).await? {
            Ok(answered) => Ok(answered),
            Err(refusal) => {
                self.line.expect_refusal(&refusal, &[]);
                Err(Stopped)
            }
        }
    }

    /// The cart that came back is the cart that the till knows; what its lines were charged is news to the
    /// till where the tenant has rules to price by.
    pub fn compare(&self, cart: &mut Cart, answered: &Answered) {
        let Some(view) = &answered.reply.cart else { return };
        if !self.rules().is_some_and(Rules::is_plain) {
            till_rules::learn(self, cart, view);
        }
        let expected = (cart.lines.len(), cart.total(), cart.due());
        let seen = (view.line_count, view.totals.total.amount, view.totals.due.amount);
        if expected != seen {
            let seen = format!("{}: lines, total and due are {seen:?}, the till has {expected:?}", cart.id);
            self.world().fail("a cart is what its commands made of it", seen);
        }
    }

    pub async fn sale(&mut self) -> Result<(), Stopped> {
        let mut cart = self.begin_cart('c');
        let channel = if self.world().chance.percent(10) { "kiosk" } else { "pos" };
        self.must("create_cart", json!({ "cart_id": cart.id, "channel": channel })).await?;
        cart.employee = self.employee();
        if self.world().chance.percent(20) {
            self.name_customer(&mut cart).await?;
        }
        for number in 0..self.cart_size() {
            self.add_line(&mut cart, number).await?;
            match self.world().chance.below(100) {
                0..6 => self.update_line(&mut cart).await?,
                6..10 => self.remove_line(&mut cart).await?,
                _ => {}
            }
        }
        if self.world().chance.percent(12) {
            self.name_customer(&mut cart).await?;
        }
        if self.world().chance.percent(15) {
            self.give_discount(&mut cart).await?;
        }
        till_rules::present(self, &mut cart).await?;
        if self.world().chance.percent(7) {
            till_parking::park_and_recall(self, &mut cart).await?;
        }
        if cart.lines.is_empty() || self.world().chance.percent(4) {
            return self.void(&cart).await;
        }
        self.tender(&mut cart).await?;
        if self.world().chance.percent(4) {
            self.must("resume_editing", json!({ "cart_id": cart.id })).await?;
            self.add_line(&mut cart, 0).await?;
            self.tender(&mut cart).await?;
        }
        self.pay(&mut cart).await?;
        self.finalize(cart, channel).await
    }

    pub async fn tender(&mut self, cart: &mut Cart) -> Result<(), Stopped> {
        let answered = self.must("set_tendering", json!({ "cart_id": cart.id })).await?;
        self.compare(cart, &answered);
        Ok(())
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

    /// The lot that so much of something is of, as somebody reads it on the goods now and then; some read it wrongly.
    pub fn lot_of(&self, sku: &str, quantity: i64) -> Option<String> {
        self.world().lot_read(self.owner()?, &self.shop_id(), (sku, quantity))
    }

    /// Adds a line; none where its shop asks what is there, and that is too little, or others hold it.
    pub async fn add_line(&mut self, cart: &mut Cart, number: u64) -> Result<(), Stopped> {
        let Some((mut sku, mut quantity)) = self.pick() else { return Err(Stopped) };
        // A long cart has as many products as lines: more than one transaction takes.
        let next = usize::try_from(number).ok().filter(|number| *number > 4);
        if let Some(goods) = next.and_then(|number| self.owner()?.goods.get(number)) {
            sku = goods.sku.clone();
            quantity = if goods.is_weighed { quantity } else { 1_000 };
        }
        let mut payload =
            json!({ "cart_id": cart.id, "sku": sku, "quantity": self.quantity(&sku, quantity) });
        let chance = &self.world().chance;
        let known = self.owner().and_then(|owner| owner.goods_of(&sku)?.extra);
        let extra = known.filter(|_| chance.percent(40));
        if extra.is_some() {
            payload["modifiers"] = json!([{ "modifier_id": "extra" }, { "name": "as a present" }]);
        }
        // A cashier would need an approval.
        let may_set = self.caller.roles.contains(&Role::Operator) && chance.percent(4);
        let set_by_hand = may_set.then(|| chance.between(1, 120_000));
        let lot = self.lot_of(&sku, quantity);
        if let Some(lot) = &lot {
            payload["lot"] = json!(lot);
        }
        if let Some(price) = set_by_hand {
            payload["unit_price_override"] = json!(set_up::decimal(price));
        }
        let at = self.now();
        let tenant = self.caller.scope.tenant_id().to_owned();
        let quiet = self.world().price_quiet(&tenant);
        self.line.think(Duration::from_secs(4)).await;
        let request = self.request("add_line_item", payload, at)?;
        let asked = till_stock::ask(self, cart, (None, &sku, quantity));
        let answer = self.send(request).await;
        asked.answered(self.world(), answer.as_ref().err().map(AsRef::as_ref), true);
        let answered = match answer {
            Ok(answered) => answered,
            Err(refusal) => {
                self.line.expect_refusal(&refusal, till_stock::refused(self));
                return Ok(());
            }
        };
        let Some(id) = answered.reply.result.line_id.clone() else {
            self.world().fail("a cart is what its commands made of it", "a line without an id");
            return Err(Stopped);
        };
        let lines = answered.reply.cart.as_ref().and_then(|view| view.lines.as_ref());
        let shown = lines.and_then(|lines| lines.iter().find(|line| line.line_id == id));
        let price = shown.map_or(0, |line| line.unit_price.ten_thousandths());
        let is_quiet = quiet.is_some() && quiet == self.world().price_quiet(&tenant);
        let costs = self.world().books.borrow().costs(&tenant, &sku, (&self.shop_id(), at));
        let asked = Asked { at, by_hand: set_by_hand.is_some(), costs: costs.filter(|_| is_quiet) };
        match set_by_hand {
            Some(by_hand) if price != by_hand => {
                self.world()
                    .fail("a price that is set by hand stands", format!("{sku}: {price}, not {by_hand}"));
            }
            Some(_) => {}
            None => self.check_price(&sku, price, &asked, &cart.segments),
        }
        cart.asked.insert(line_number(&id), asked);
        let number = line_number(&id);
        let mut line = Sold::of(number, sku.clone(), quantity, price).with_extra(extra.unwrap_or(0));
        line.is_charged = extra.is_some();
        line.lot = lot;
        cart.lines.insert(number, line);
        self.compare(cart, &answered);
        Ok(())
    }

    /// A price is one that somebody set for such a customer; and where nobody was at the prices, the one that stands.
    fn check_price(&self, sku: &str, price: i64, asked: &Asked, segments: &[String]) {
        let (world, tenant, store) = (self.world(), self.caller.scope.tenant_id(), self.shop_id());
        if !world.books.borrow().may_cost((tenant, sku), price, (&store, asked.at), segments) {
            let seen = format!("{sku}: {price} for {segments:?} at {}", asked.at);
            world.fail("nothing is sold at a price that nobody set", seen);
        }
        if let Some(costs) = &asked.costs
            && costs.of(segments) != price
        {
            let seen =
                format!("{sku} at {store}: {price} for {segments:?} at {}, not by {costs:?}", asked.at);
            world.fail("a line costs what the price book says", seen);
        }
    }

    /// Sets the cart's customer, or another one, or none again: what its lines cost may follow.
    async fn name_customer(&mut self, cart: &mut Cart) -> Result<(), Stopped> {
        let chance = &self.world().chance;
        let is_nobody = !cart.segments.is_empty() && chance.percent(30);
        let customer = (!is_nobody).then(|| format!("k-{}", chance.below(9)));
        let answered =
            self.must("set_customer", json!({ "cart_id": cart.id, "customer_id": customer })).await?;
        let segments = |rules: &Rules| customer.as_deref().map(|customer| rules.segments_of(customer));
        cart.segments = self.rules().and_then(segments).unwrap_or_default();
        let view = answered.reply.cart.as_ref();
        for shown in view.and_then(|view| view.lines.as_ref()).into_iter().flatten() {
            let number = line_number(&shown.line_id);
            let (Some(line), Some(asked)) = (cart.lines.get_mut(&number), cart.asked.get(&number)) else {
                continue;
            };
            let price = shown.unit_price.ten_thousandths();
            match asked.by_hand {
                true if price != line.price => {
                    let seen = format!("{}: {price}, not {}", line.sku, line.price);
                    self.world().fail("a price that is set by hand stands", seen);
                }
                true => {}
                false => self.check_price(&line.sku, price, asked, &cart.segments),
            }
            *line = Sold { price, ..line.clone() }.of_quantity(line.quantity);
        }
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
        let at = self.now();
        self.line.think(Duration::from_secs(4)).await;
        let request = self.request("update_line_item", payload, at)?;
        let asked = till_stock::ask(self, cart, (Some(number), &sku, quantity));
        let is_more = cart.lines.get(&number).is_none_or(|line| quantity > line.quantity);
        let answer = self.send(request).await;
        asked.answered(self.world(), answer.as_ref().err().map(AsRef::as_ref), is_more);
        let answered = match answer {
            Ok(answered) => answered,
            Err(refusal) => {
                self.line.expect_refusal(&refusal, till_stock::refused(self));
                return Ok(());
            }
        };
        if let Some(line) = cart.lines.get_mut(&number) {
            *line = line.clone().of_quantity(quantity);
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
        let at = self.now();
        let answered = match self.command("apply_manual_discount", payload, at).await? {
            Ok(answered) => answered,
            Err(refusal) => {
                // Promotions may have left less than that, or nothing.
                let taken: &[&str] = &["discount_above_total", "discount_takes_nothing_off"];
                let is_plain = self.rules().is_some_and(Rules::is_plain);
                self.line.expect_refusal(&refusal, if is_plain { &[] } else { taken });
                return Ok(());
            }
        };
        if let Some(line) = cart.lines.get_mut(&number) {
            line.take_off(off);
        }
        self.compare(cart, &answered);
        if self.world().chance.percent(20)
            && let Some(id) = answered.reply.result.discount_id
        {
            let payload = json!({ "cart_id": cart.id, "discount_id": id });
            let answered = self.must("remove_manual_discount", payload).await?;
            if let Some(line) = cart.lines.get_mut(&number) {
                line.take_off(0);
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

    pub async fn void(&mut self, cart: &Cart) -> Result<(), Stopped> {
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

    pub async fn finalize(&mut self, mut cart: Cart, channel: &str) -> Result<(), Stopped> {
        // Twice as often as there are coupons and promotions to be refused for.
        for _ in 0..8 {
            // Where shifts end, or others spend from the same gift card, more often at the same moment.
            let is_contested = self.rules().is_some_and(|rules| rules.has_shifts)
                || cart.payments.values().any(|paid| paid.gift_card.is_some());
            self.line.meet_others(if is_contested { 45 } else { 25 }).await;
            let at = self.now();
            match self.command("finalize_order", json!({ "cart_id": cart.id }), at).await? {
                Ok(answered) => {
                    self.compare(&mut cart, &answered);
                    self.enter(&cart, None, &[], &answered, at, channel);
                    return Ok(());
                }
                Err(refusal) => match till_rules::do_without(self, &mut cart, &refusal).await? {
                    Without::GoesOn => self.pay(&mut cart).await?,
                    Without::Over => return self.void(&cart).await,
                    Without::Else if self.may_lack_a_shift(&refusal) => {
                        shift_lead::open_for(self).await?;
                    }
                    Without::Else => {
                        let of_lots = cart.refused_for_lots().iter().copied();
                        let known: Vec<&str> = std::iter::once("insufficient_stock").chain(of_lots).collect();
                        self.line.expect_refusal(&refusal, &known);
                        return self.void(&cart).await;
                    }
                },
            }
        }
        self.void(&cart).await
    }

    /// The lane of a final order's number: after a restore its epoch is named.
    pub fn lane_of(&self, answered: &Answered) -> String {
        let epoch = answered.reply.result.receipt_epoch.map(|epoch| format!("~{epoch}"));
        format!("{}/{}{}", self.shop_id(), self.register, epoch.unwrap_or_default())
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
        let lane = self.lane_of(answered);
        let number = answered.reply.result.receipt_number.unwrap_or(0);
        let token = Some(format!("{lane}:{number}"));
        if answered.reply.consistency_token != token {
            let seen = format!("{:?}, not {token:?}", answered.reply.consistency_token);
            world.fail("a final order tells its number", seen);
        }
        let segment = match sale {
            // Returns count for whom their sales counted.
            Some(sale) => {
                let key = (owner.id.clone(), sale.to_owned());
                world.books.borrow().orders.get(&key).and_then(|sale| sale.segment.clone())
            }
            None => cart.segments.first().cloned(),
        };
        let order = Order {
            segment,
            stood: self.may_have_stood(cart.opened_at),
            offline: cart.offline,
            is_return: sale.is_some() || cart.is_return,
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
            rounding: cart.rounding,
            coupons: cart.redeemed.clone(),
            settled: Vec::new(),
            statuses: vec![
                if sale.is_some() || cart.is_return { "returned" } else { "completed" }.to_owned(),
            ],
        };
        let taken = |sku: &str, quantity: i64| owner.taken(sku, quantity);
        let all = vec![true; order.lines.len()];
        let restocked = if restocked.is_empty() { &all } else { restocked };
        let entered = world.books.borrow_mut().enter(&owner.id, &cart.id, order, restocked, taken);
        if let Err(seen) = entered {
            world.fail("one command, one effect", seen);
        }
        if world.chance.percent(2) {
            world.books.borrow_mut().refused_by_hq.insert(cart.id.clone());
            world.books.borrow_mut().ever_refused.insert(cart.id.clone());
            world.refuse_at_hq();
        }
    }
}
