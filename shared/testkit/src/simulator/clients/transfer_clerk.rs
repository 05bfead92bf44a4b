//! Whoever moves stock between locations: ships it, receives it in parts, some of it damaged, refuses it, and calls
//! it back. Of goods that are kept by lots they name the lot now and then. Two of them are often at the same transfer.

use std::collections::BTreeMap;
use std::rc::Rc;
use std::time::Duration;

use serde_json::{Value, json};
use tillstream_app::stock::transfers::settle::{Asked, change};
use tillstream_app::stock::transfers::{Answer as Transferred, ship};
use tillstream_app::tenancy::{Caller, Role};

use super::super::books::{Of, Transfer};
use super::super::set_up;
use super::super::world::{Tenant, World};
use super::{Line, Request, Stopped};
use crate::shop::caller;

/// For what a step is refused that comes too late.
const LATE: [&str; 3] = ["transfer_closed", "transfer_not_cancellable", "above_shipped"];

/// What is done to a transfer.
#[derive(Debug, Clone)]
enum Step {
    /// By SKU: what is fit for sale, and what is damaged, in thousandths.
    Receive(BTreeMap<String, (i64, i64)>),
    /// By SKU, and whether it goes back.
    Reject(BTreeMap<String, i64>, bool),
    Cancel,
}

impl Step {
    fn route(&self) -> &'static str {
        match self {
            Step::Receive(_) => "POST /v1/stock-movements/transfer/{id}/receive",
            Step::Reject(..) => "POST /v1/stock-movements/transfer/{id}/reject",
            Step::Cancel => "POST /v1/stock-movements/transfer/{id}/cancel",
        }
    }
}

struct Clerk<'a> {
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
    let mut clerk = Clerk { line: Line::of(&world, &owner.id), owner, caller, number, count: 0 };
    loop {
        clerk.line.rest(Duration::from_secs(120)).await;
        clerk.line.meet_others(60).await;
        let done = match clerk.pick() {
            Some((id, transfer)) if world.chance.percent(60) => clerk.settle(&id, &transfer).await,
            _ => clerk.ship().await,
        };
        if done.is_err() {
            return Some(Stopped);
        }
    }
}

impl Clerk<'_> {
    fn world(&self) -> &World {
        &self.line.world
    }

    /// A transfer of which something is on its way; mostly the one that the other clerk looks at, too.
    fn pick(&self) -> Option<(String, Transfer)> {
        let books = self.world().books.borrow();
        let open: Vec<_> = books
            .transfers
            .iter()
            .filter(|((of, _), transfer)| *of == self.owner.id && !transfer.outstanding.is_empty())
            .collect();
        let ((_, id), transfer) =
            if self.world().chance.percent(70) { open.last()? } else { self.world().chance.one_of(&open)? };
        Some((id.clone(), (*transfer).clone()))
    }

    /// From a shop to another, or to a warehouse.
    fn route(&self) -> Option<(String, String)> {
        let chance = &self.world().chance;
        let from = chance.one_of(&self.owner.shops)?.id.clone();
        let books = self.world().books.borrow();
        let warehouses = books.warehouses.keys().filter(|(of, _)| *of == self.owner.id).map(|(_, id)| id);
        let all: Vec<String> =
            self.owner.shops.iter().map(|shop| &shop.id).chain(warehouses).cloned().collect();
        let others: Vec<&String> = all.iter().filter(|id| **id != from).collect();
        Some((from, (*chance.one_of(&others)?).clone()))
    }

    async fn ship(&mut self) -> Result<(), Stopped> {
        let Some((from, to)) = self.route() else {
            return if self.line.is_over() { Err(Stopped) } else { Ok(()) };
        };
        let chance = &self.world().chance;
        let stocked: Vec<_> = self.owner.goods.iter().filter(|goods| goods.is_stocked).collect();
        // Some are longer than a transaction takes.
        let is_long = stocked.len() > 100 && chance.percent(30);
        let mut wanted = BTreeMap::new();
        for goods in &stocked {
            if is_long || chance.percent(20) {
                let most = if is_long { 1 } else { 4 };
                wanted.insert(goods.sku.clone(), 1_000 * chance.between(1, most));
            }
        }
        if wanted.is_empty() {
            return Ok(());
        }
        self.count += 1;
        let (id, key) =
            (format!("t-{}-{}", self.number, self.count), format!("ship-{}-{}", self.number, self.count));
        let lines: Vec<Value> = wanted.iter().map(|(sku, quantity)| self.line_of(sku, *quantity)).collect();
        let body =
            json!({ "transfer_id": id, "from_location_id": from, "to_location_id": to, "lines": lines });
        self.line.begin(|| format!("{} ships {body}", self.owner.id))?;
        let request: Request<Transferred> = {
            let caller = self.caller.clone();
            Rc::new(move |ports| {
                let (caller, key, body) = (caller.clone(), key.clone(), body.clone());
                Box::pin(async move { ship::ship(&ports, &caller, &key, &read(body)?).await })
            })
        };
        match self.line.send_to("POST /v1/stock-movements/transfer", request, told).await {
            Ok(_) => {
                let mut books = self.world().books.borrow_mut();
                let tenant = &self.owner.id;
                for (sku, quantity) in &wanted {
                    books.shelf(tenant, &from, sku).on_hand -= quantity;
                    books.shelf(tenant, &to, sku).in_transit += quantity;
                }
                let transfer = Transfer {
                    from,
                    to,
                    shipped: wanted.clone(),
                    outstanding: wanted,
                    steps: vec!["ship"],
                    ..Transfer::default()
                };
                books.transfers.insert((tenant.clone(), id), transfer);
            }
            Err(refusal) => self.line.expect_refusal(&refusal, &["insufficient_stock"]),
        }
        Ok(())
    }

    fn line_of(&self, sku: &str, quantity: i64) -> Value {
        json!({ "sku": sku, "quantity": set_up::quantity(self.owner, sku, quantity) })
    }

    /// Some of what is on its way, whole pieces of it.
    fn part(&self, transfer: &Transfer) -> BTreeMap<String, i64> {
        let chance = &self.world().chance;
        let all = chance.percent(40);
        let some = transfer.outstanding.iter().filter(|_| all || chance.percent(60));
        let of =
            |quantity: i64| if all { quantity } else { 1_000 * chance.between(1, (quantity / 1_000).max(1)) };
        some.map(|(sku, quantity)| (sku.clone(), of(*quantity))).collect()
    }

    /// Lots that some of it is of, by SKU, as it stands on the goods: of which there may be enough on the way.
    fn lots_of(&self, id: &str, part: &BTreeMap<String, i64>) -> BTreeMap<String, String> {
        let (owner, chance) = (self.owner, &self.world().chance);
        let trips = self.world().lot_trips.borrow();
        let Some(trips) = trips.get(&(owner.id.clone(), id.to_owned())) else { return BTreeMap::new() };
        let mut lots = BTreeMap::new();
        for (sku, quantity) in part {
            let Some(trip) = trips.get(sku).filter(|_| chance.percent(40)) else { continue };
            let are_enough = |lot: &&Option<String>| trip.rest_of(lot) >= *quantity;
            let known: Vec<&String> = trip.left.keys().filter(are_enough).flatten().collect();
            lots.extend(chance.one_of(&known).map(|lot| (sku.clone(), (*lot).clone())));
        }
        lots
    }

    async fn settle(&mut self, id: &str, transfer: &Transfer) -> Result<(), Stopped> {
        let chance = &self.world().chance;
        let part = self.part(transfer);
        let lots = self.lots_of(id, &part);
        let step = match chance.below(10) {
            _ if part.is_empty() => Step::Cancel,
            0..6 => {
                let split = |quantity: i64| {
                    let damaged = if chance.percent(20) { 1_000.min(quantity) } else { 0 };
                    (quantity - damaged, damaged)
                };
                Step::Receive(part.into_iter().map(|(sku, quantity)| (sku, split(quantity))).collect())
            }
            6..9 => Step::Reject(part, chance.percent(50)),
            _ => Step::Cancel,
        };
        self.count += 1;
        let key = format!("settle-{}-{}", self.number, self.count);
        self.line.begin(|| format!("{} {key}: {step:?} {id}", self.owner.id))?;
        let body = self.body(&step, &lots);
        let request: Request<Transferred> = {
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
                        Step::Reject(..) => {
                            change(&ports, &caller, &key, &id, &Asked::Reject(&read(body)?), free).await
                        }
                        Step::Cancel => {
                            change(&ports, &caller, &key, &id, &Asked::Cancel(&read(body)?), free).await
                        }
                    }
                })
            })
        };
        match self.line.send_to(step.route(), request, told).await {
            Ok(_) => {
                let key = (self.owner.id.clone(), id.to_owned());
                let settled = enter(&mut self.world().books.borrow_mut(), &key, &step, &lots);
                if let Err(seen) = settled {
                    self.world().fail("of a transfer no more arrives than was shipped", seen);
                }
            }
            Err(refusal) => self.line.expect_refusal(&refusal, &LATE),
        }
        Ok(())
    }

    fn body(&self, step: &Step, lots: &BTreeMap<String, String>) -> Value {
        let line_of = |sku: &String, quantity: i64| {
            let mut line = self.line_of(sku, quantity);
            if let Some(lot) = lots.get(sku) {
                line["lot"] = json!(lot);
            }
            line
        };
        match step {
            Step::Receive(lines) => {
                let line = |(sku, (fit, damaged)): (&String, &(i64, i64))| {
                    let mut line = line_of(sku, *fit);
                    line["damaged"] = set_up::quantity(self.owner, sku, *damaged);
                    line
                };
                json!({ "lines": lines.iter().map(line).collect::<Vec<_>>() })
            }
            Step::Reject(lines, is_back) => {
                let lines: Vec<Value> = lines.iter().map(|(sku, quantity)| line_of(sku, *quantity)).collect();
                let to = if *is_back { "source" } else { "damaged" };
                json!({ "lines": lines, "to": to, "reason": "not ordered" })
            }
            Step::Cancel => json!({ "reason": "called back" }),
        }
    }
}

/// What all answers of one command say: the transfer as this step left it, whatever others settled since.
fn told(answer: &Transferred) -> String {
    format!("{:?}", answer.transfer)
}

fn read<T: serde::de::DeserializeOwned>(body: Value) -> tillstream_app::Result<T> {
    serde_json::from_value(body).map_err(tillstream_app::Error::bug)
}

/// Writes a step into the books.
fn enter(
    books: &mut super::super::books::Books,
    key: &Of<String>,
    step: &Step,
    lots: &BTreeMap<String, String>,
) -> Result<(), String> {
    let transfer = books.transfers.get(key).cloned().ok_or_else(|| format!("{key:?} was never shipped"))?;
    let settled: BTreeMap<String, (i64, i64, i64)> = match step {
        Step::Receive(lines) => {
            lines.iter().map(|(sku, (fit, bad))| (sku.clone(), (*fit, *bad, 0))).collect()
        }
        Step::Reject(lines, true) => lines.iter().map(|(sku, back)| (sku.clone(), (0, 0, *back))).collect(),
        Step::Reject(lines, false) => lines.iter().map(|(sku, bad)| (sku.clone(), (0, *bad, 0))).collect(),
        Step::Cancel if transfer.outstanding != transfer.shipped => {
            return Err(format!("{key:?} was called back when some of it had arrived: {transfer:?}"));
        }
        Step::Cancel => transfer.shipped.iter().map(|(sku, back)| (sku.clone(), (0, 0, *back))).collect(),
    };
    for (sku, (fit, damaged, back)) in settled {
        let there = books.shelf(&key.0, &transfer.to, &sku);
        (there.on_hand, there.damaged) = (there.on_hand + fit, there.damaged + damaged);
        there.in_transit -= fit + damaged + back;
        books.shelf(&key.0, &transfer.from, &sku).on_hand += back;
        let Some(known) = books.transfers.get_mut(key) else { continue };
        let all = known.settled.entry(sku.clone()).or_default();
        *all = (all.0 + fit, all.1 + damaged, all.2 + back);
        if let Some(lot) = lots.get(&sku).filter(|_| !matches!(step, Step::Cancel)) {
            let of_lot = known.named.entry((sku.clone(), lot.clone())).or_default();
            *of_lot = (of_lot.0 + fit, of_lot.1 + damaged, of_lot.2 + back);
        }
        let left = known.outstanding.entry(sku.clone()).or_default();
        *left -= fit + damaged + back;
        if *left < 0 {
            return Err(format!("{key:?} {sku}: {left} too many"));
        }
    }
    if let Some(known) = books.transfers.get_mut(key) {
        known.steps.push(match step {
            Step::Receive(_) => "receive",
            Step::Reject(_, true) => "return",
            Step::Reject(_, false) => "damage",
            Step::Cancel => "cancel",
        });
        known.outstanding.retain(|_, left| *left > 0);
    }
    Ok(())
}
