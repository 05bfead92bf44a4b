//! Whoever buys goods: keeps a supplier, orders from it, receives what comes, in parts, damaged, more than was ordered,
//! writes off what does not come, and takes in deliveries that nobody ordered. Two of them are often at the same order.

use std::collections::BTreeMap;
use std::rc::Rc;
use std::time::Duration;

use jiff::SignedDuration;
use serde_json::{Value, json};
use tillstream_app::catalog::products::PutOutcome;
use tillstream_app::catalog::suppliers;
use tillstream_app::stock::purchases::settle::{Asked, change};
use tillstream_app::stock::purchases::{Answer as Purchased, place};
use tillstream_app::stock::restock::{Answer as Restocked, restock};
use tillstream_app::tenancy::{Caller, Role};
use tillstream_contracts::purchase_orders::PurchaseOrder;
use tillstream_domain::quantity::{QuantityInput, Unit};
use tillstream_domain::supplier::Supplier as Stored;

use super::super::set_up;
use super::super::supply_books::{Purchase, PurchaseLine, Supplier, of_tenant};
use super::super::world::{Tenant, World};
use super::{Line, Request, Stopped};
use crate::shop::caller;

/// For what a step is refused that comes too late, or brings too much.
const LATE: [&str; 3] = ["purchase_order_closed", "purchase_order_not_cancellable", "over_delivery"];

/// What is done to a purchase order.
#[derive(Debug, Clone)]
enum Step {
    /// By SKU: what is fit for sale, and what is damaged, in thousandths; all that is open where none is said.
    Receive(Option<BTreeMap<String, (i64, i64)>>),
    Close,
    Cancel,
}

impl Step {
    fn name(&self) -> &'static str {
        match self {
            Step::Receive(_) => "receive",
            Step::Close => "close",
            Step::Cancel => "cancel",
        }
    }

    fn route(&self) -> &'static str {
        match self {
            Step::Receive(_) => "POST /v1/purchase-orders/{id}/receive",
            Step::Close => "POST /v1/purchase-orders/{id}/close",
            Step::Cancel => "POST /v1/purchase-orders/{id}/cancel",
        }
    }
}

struct Buyer<'a> {
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
    let mut buyer = Buyer { line: Line::of(&world, &owner.id), owner, caller, number, count: 0 };
    buyer.line.rest(Duration::from_secs(60)).await;
    if buyer.put_supplier(true).await.is_err() {
        return Some(Stopped);
    }
    loop {
        buyer.line.rest(Duration::from_secs(140)).await;
        buyer.line.meet_others(60).await;
        let drawn = world.chance.below(20);
        let done = match buyer.pick() {
            Some((id, purchase)) if drawn < 11 => buyer.settle(&id, &purchase).await,
            _ if drawn == 11 => buyer.put_supplier(false).await,
            _ if drawn < 15 => buyer.restock().await,
            _ => buyer.place().await,
        };
        if done.is_err() {
            return Some(Stopped);
        }
    }
}

impl Buyer<'_> {
    fn world(&self) -> &World {
        &self.line.world
    }

    fn supplier_id(&self) -> String {
        format!("sup-{}", self.number)
    }

    fn next(&mut self, kind: &str) -> String {
        self.count += 1;
        format!("{kind}-{}-{}", self.number, self.count)
    }

    fn unit(&self, sku: &str) -> Unit {
        let is_weighed = self.owner.goods_of(sku).is_some_and(|goods| goods.is_weighed);
        if is_weighed { Unit::Kg } else { Unit::Piece }
    }

    /// A shop, or a warehouse.
    fn location(&self) -> Option<String> {
        let chance = &self.world().chance;
        let books = self.world().books.borrow();
        let warehouses = books.warehouses.keys().filter(|(of, _)| *of == self.owner.id).map(|(_, id)| id);
        let warehouses: Vec<&String> = warehouses.collect();
        match chance.one_of(&warehouses) {
            Some(warehouse) if chance.percent(25) => Some((*warehouse).clone()),
            _ => chance.one_of(&self.owner.shops).map(|shop| shop.id.clone()),
        }
    }

    /// An order of which something is to come; mostly the one that the other buyer looks at, too.
    fn pick(&self) -> Option<(String, Purchase)> {
        let books = self.world().books.borrow();
        let all = of_tenant(&books.supply.purchases, &self.owner.id);
        let open: Vec<_> = all.filter(|(_, purchase)| purchase.is_open()).collect();
        let (id, purchase) =
            if self.world().chance.percent(70) { open.last()? } else { self.world().chance.one_of(&open)? };
        Some(((*id).clone(), (*purchase).clone()))
    }

    /// Makes its supplier, or changes what was agreed with it: orders that were placed keep what they were placed on.
    async fn put_supplier(&mut self, is_new: bool) -> Result<(), Stopped> {
        let chance = &self.world().chance;
        let agreed = Supplier {
            over_delivery_percent: *chance.one_of(&[0, 10, 25, 50]).unwrap_or(&0),
            lead_time_days: u32::try_from(chance.below(15)).unwrap_or(0),
        };
        let (id, key) = (self.supplier_id(), self.next("supplier"));
        let body = json!({
            "id": id, "name": format!("Supplier {}", self.number), "lead_time_days": agreed.lead_time_days,
            "currency": "GBP", "over_delivery_percent": agreed.over_delivery_percent,
        });
        self.line.begin(|| format!("{} {key}: {body}", self.owner.id))?;
        let request: Request<PutOutcome<Stored>> = {
            let (caller, id) = (self.caller.clone(), id.clone());
            Rc::new(move |ports| {
                let (caller, id, key, body) = (caller.clone(), id.clone(), key.clone(), body.clone());
                Box::pin(async move {
                    let body = read(body)?;
                    if is_new {
                        suppliers::create(&ports, &caller, body, &key).await
                    } else {
                        suppliers::put(&ports, &caller, &id, body, &key, |_| Ok(())).await
                    }
                })
            })
        };
        let route = if is_new { "POST /v1/suppliers" } else { "PUT /v1/suppliers/{id}" };
        match self.line.send_to(route, request, |outcome| format!("created: {}", outcome.created)).await {
            Ok(_) => {
                let mut books = self.world().books.borrow_mut();
                books.supply.suppliers.insert((self.owner.id.clone(), id), agreed);
            }
            Err(refusal) => self.line.expect_refusal(&refusal, &[]),
        }
        Ok(())
    }

    async fn place(&mut self) -> Result<(), Stopped> {
        let Some(location) = self.location() else { return Err(Stopped) };
        let chance = &self.world().chance;
        let stocked: Vec<_> = self.owner.goods.iter().filter(|goods| goods.is_stocked).collect();
        // Some are longer than a transaction takes.
        let is_long = stocked.len() > 100 && chance.percent(30);
        let mut wanted = BTreeMap::new();
        for goods in &stocked {
            if is_long || chance.percent(if stocked.len() > 100 { 3 } else { 25 }) {
                let most = if goods.is_weighed { 9_500 } else { 12_000 };
                let quantity = chance.between(1_000, most);
                let quantity = if goods.is_weighed { quantity } else { quantity / 1_000 * 1_000 };
                wanted.insert(goods.sku.clone(), quantity);
            }
        }
        if wanted.is_empty() {
            return if self.line.is_over() { Err(Stopped) } else { Ok(()) };
        }
        let expected_at = self.world().now() + SignedDuration::from_hours(chance.between(1, 100));
        let is_dated = chance.percent(40);
        let id = self.next("po");
        let lines: Vec<Value> = wanted.iter().map(|(sku, quantity)| self.line_of(sku, *quantity)).collect();
        let mut body = json!({
            "purchase_order_id": id, "supplier_id": self.supplier_id(), "location_id": location, "lines": lines,
        });
        if is_dated {
            body["expected_at"] = json!(expected_at.to_string());
        }
        self.line.begin(|| format!("{} orders {body}", self.owner.id))?;
        let request: Request<Purchased> = {
            let (caller, key) = (self.caller.clone(), format!("place-{id}"));
            Rc::new(move |ports| {
                let (caller, key, body) = (caller.clone(), key.clone(), body.clone());
                Box::pin(async move { place::place(&ports, &caller, &key, &read(body)?).await })
            })
        };
        match self.line.send_to("POST /v1/purchase-orders", request, told).await {
            Ok(answer) => {
                let supplier = self.supplier_id();
                let mut books = self.world().books.borrow_mut();
                let agreed = books.supply.suppliers.get(&(self.owner.id.clone(), supplier.clone())).copied();
                let percent = answer.order.over_delivery_percent;
                if agreed.map(|agreed| agreed.over_delivery_percent) != Some(percent) {
                    let seen = format!("{id}: {percent} per cent, {agreed:?}");
                    self.world().fail("an order is on the terms of its supplier", seen);
                }
                let of = |(sku, ordered): (String, i64)| {
                    (sku, PurchaseLine { ordered, ..PurchaseLine::default() })
                };
                let purchase = Purchase {
                    supplier,
                    location,
                    over_delivery_percent: percent,
                    lines: wanted.into_iter().map(of).collect(),
                    steps: vec!["place"],
                };
                books.supply.purchases.insert((self.owner.id.clone(), id), purchase);
            }
            Err(refusal) => self.line.expect_refusal(&refusal, &[]),
        }
        Ok(())
    }

    fn line_of(&self, sku: &str, quantity: i64) -> Value {
        json!({ "sku": sku, "quantity": set_up::quantity(self.owner, sku, quantity) })
    }

    /// Some of what is to come, now and then more of it than was ordered, and some of it damaged.
    fn delivery(&self, purchase: &Purchase) -> BTreeMap<String, (i64, i64)> {
        let chance = &self.world().chance;
        let mut delivered = BTreeMap::new();
        for (sku, line) in &purchase.lines {
            let open = line.outstanding();
            if open == 0 || chance.percent(35) {
                continue;
            }
            let quantity = match chance.below(10) {
                0..5 => open,
                5..8 => (open / 2_000 * 1_000).max(open.min(1_000)),
                // Perhaps more than may come.
                _ => open + 1_000 * chance.between(1, 4),
            };
            let damaged = if chance.percent(20) { quantity.min(1_000) } else { 0 };
            delivered.insert(sku.clone(), (quantity - damaged, damaged));
        }
        delivered
    }

    async fn settle(&mut self, id: &str, purchase: &Purchase) -> Result<(), Stopped> {
        let chance = &self.world().chance;
        let step = match chance.below(20) {
            0..2 => Step::Receive(None),
            2..15 => Step::Receive(Some(self.delivery(purchase)).filter(|delivered| !delivered.is_empty())),
            15..18 => Step::Close,
            _ => Step::Cancel,
        };
        let key = self.next("settle");
        self.line.begin(|| format!("{} {key}: {step:?} {id}", self.owner.id))?;
        let body = match &step {
            Step::Receive(None) => json!({}),
            Step::Receive(Some(lines)) => {
                let line = |(sku, (fit, damaged)): (&String, &(i64, i64))| {
                    let mut line = self.line_of(sku, *fit);
                    line["damaged"] = set_up::quantity(self.owner, sku, *damaged);
                    line
                };
                json!({ "lines": lines.iter().map(line).collect::<Vec<_>>() })
            }
            Step::Close | Step::Cancel => json!({ "reason": "it does not come" }),
        };
        let request: Request<Purchased> = {
            let (caller, id, step) = (self.caller.clone(), id.to_owned(), step.clone());
            Rc::new(move |ports| {
                let (caller, id, key) = (caller.clone(), id.clone(), key.clone());
                let (step, body) = (step.clone(), body.clone());
                Box::pin(async move {
                    let free = |_| Ok(());
                    match step {
                        Step::Receive(_) => {
                            change(&ports, &caller, &key, &id, &Asked::Receive(&read(body)?), free).await
                        }
                        Step::Close => {
                            change(&ports, &caller, &key, &id, &Asked::Close(&read(body)?), free).await
                        }
                        Step::Cancel => {
                            change(&ports, &caller, &key, &id, &Asked::Cancel(&read(body)?), free).await
                        }
                    }
                })
            })
        };
        match self.line.send_to(step.route(), request, told).await {
            Ok(answer) => {
                if let Err(seen) = self.enter(id, &step, &answer.order) {
                    self.world().fail("a step of a purchase order does what it says", seen);
                }
            }
            Err(refusal) => self.line.expect_refusal(&refusal, &LATE),
        }
        Ok(())
    }

    /// Writes a step into the books: what its answer says it did, which is what was said to have come.
    fn enter(&self, id: &str, step: &Step, order: &PurchaseOrder) -> Result<(), String> {
        let key = (self.owner.id.clone(), id.to_owned());
        let done = order.steps.last().filter(|done| done.action == step.name());
        let done = done.ok_or_else(|| format!("{id}: {step:?}, and {:?}", order.steps))?;
        let mut did = BTreeMap::new();
        for line in &done.lines {
            let of = |quantity: &QuantityInput| {
                quantity.resolve(self.unit(&line.sku)).map_or(i64::MIN, |quantity| quantity.thousandths())
            };
            did.insert(line.sku.clone(), (of(&line.received), of(&line.damaged), of(&line.written_off)));
        }
        let arrived: BTreeMap<String, (i64, i64)> =
            did.iter().map(|(sku, (fit, damaged, _))| (sku.clone(), (*fit, *damaged))).collect();
        if let Step::Receive(Some(said)) = step
            && *said != arrived
        {
            return Err(format!("{id}: {said:?} came, and {arrived:?} is entered"));
        }
        let mut books = self.world().books.borrow_mut();
        let purchase = books.supply.purchases.get_mut(&key);
        let purchase = purchase.ok_or_else(|| format!("{id} was never placed"))?;
        purchase.steps.push(step.name());
        let location = purchase.location.clone();
        for (sku, (fit, damaged, written_off)) in &did {
            let line = purchase.lines.get_mut(sku).ok_or_else(|| format!("{id} is of no {sku}"))?;
            line.received += fit;
            line.damaged += damaged;
            line.written_off += written_off;
        }
        for (sku, (fit, damaged, _)) in did {
            let shelf = books.shelf(&key.0, &location, &sku);
            shelf.on_hand += fit;
            shelf.damaged += damaged;
        }
        Ok(())
    }

    /// A delivery that nobody ordered.
    async fn restock(&mut self) -> Result<(), Stopped> {
        let chance = &self.world().chance;
        let stocked: Vec<_> = self.owner.goods.iter().filter(|goods| goods.is_stocked).collect();
        let (Some(location), Some(goods)) = (self.location(), chance.one_of(&stocked)) else {
            return if self.line.is_over() { Err(Stopped) } else { Ok(()) };
        };
        let quantity = 1_000 * chance.between(1, 9);
        let sku = goods.sku.clone();
        let mut body = json!({
            "location_id": location, "sku": sku, "quantity": set_up::quantity(self.owner, &sku, quantity),
            "reason": "nobody ordered it",
        });
        if chance.percent(50) {
            body["supplier_id"] = json!(self.supplier_id());
        }
        let key = self.next("restock");
        self.line.begin(|| format!("{} {key}: {body}", self.owner.id))?;
        let request: Request<Restocked> = {
            let caller = self.caller.clone();
            Rc::new(move |ports| {
                let (caller, key, body) = (caller.clone(), key.clone(), body.clone());
                Box::pin(async move { restock(&ports, &caller, &key, &read(body)?).await })
            })
        };
        let told = |answer: &Restocked| format!("{:?}", answer.restocked);
        match self.line.send_to("POST /v1/inventory/restock", request, told).await {
            Ok(answer) => {
                let done = answer.restocked;
                let came = done.change.resolve(self.unit(&sku)).map_or(i64::MIN, |came| came.thousandths());
                if came != quantity {
                    self.world().fail("a delivery is what came", format!("{sku}: {came}, not {quantity}"));
                }
                let mut books = self.world().books.borrow_mut();
                books.shelf(&self.owner.id, &location, &sku).on_hand += quantity;
                let key = (self.owner.id.clone(), done.restock_id.clone());
                let other = books.supply.restocks.insert(key, (location, sku, quantity));
                drop(books);
                if let Some(other) = other {
                    self.world().fail("two deliveries are two", format!("{}: {other:?}", done.restock_id));
                }
            }
            Err(refusal) => self.line.expect_refusal(&refusal, &[]),
        }
        Ok(())
    }
}

/// What all answers of one command say: the order as this step left it, whatever others did since.
fn told(answer: &Purchased) -> String {
    format!("{:?}", answer.order)
}

fn read<T: serde::de::DeserializeOwned>(body: Value) -> tillstream_app::Result<T> {
    serde_json::from_value(body).map_err(tillstream_app::Error::bug)
}
