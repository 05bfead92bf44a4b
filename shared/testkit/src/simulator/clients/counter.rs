//! Whoever counts what lies on the shelf: opens sheets, counts while things are sold, counts anew, and closes or cancels.
//! Two of them are often at the same sheet.

use std::collections::BTreeMap;
use std::rc::Rc;
use std::time::Duration;

use serde_json::{Value, json};
use tillstream_app::stock::counts::{self, Answer as Counted};
use tillstream_app::tenancy::{Caller, Role};
use tillstream_contracts::counts::{
    CancelCountRequest, CloseCountRequest, CountRecorded, CountSheet, CountStatus, OpenCountRequest,
    RecordCountRequest,
};
use tillstream_domain::quantity::{QuantityInput, Unit};

use super::super::books::Of;
use super::super::set_up;
use super::super::supply_books::{Sheet, SheetEnd, of_tenant};
use super::super::world::{Tenant, World};
use super::{Answer, Line, Request, Stopped};
use crate::shop::caller;

/// For what is refused that comes too late.
const LATE: [&str; 2] = ["count_closed", "count_cancelled"];

struct Counter<'a> {
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
    let mut counter = Counter { line: Line::of(&world, &owner.id), owner, caller, number, count: 0 };
    loop {
        counter.line.rest(Duration::from_secs(140)).await;
        counter.line.meet_others(60).await;
        let drawn = world.chance.below(20);
        let done = match counter.pick() {
            Some((id, sheet)) if drawn < 14 => match drawn {
                0 => counter.cancel(&id).await,
                1..7 if !sheet.counted.is_empty() => counter.close(&id).await,
                _ => counter.record(&id, &sheet).await,
            },
            _ => counter.open().await,
        };
        if done.is_err() {
            return Some(Stopped);
        }
    }
}

impl Counter<'_> {
    fn world(&self) -> &World {
        &self.line.world
    }

    fn next(&mut self, kind: &str) -> String {
        self.count += 1;
        format!("{kind}-{}-{}", self.number, self.count)
    }

    fn thousandths(&self, sku: &str, quantity: &QuantityInput) -> i64 {
        let is_weighed = self.owner.goods_of(sku).is_some_and(|goods| goods.is_weighed);
        let unit = if is_weighed { Unit::Kg } else { Unit::Piece };
        quantity.resolve(unit).map_or(i64::MIN, |quantity| quantity.thousandths())
    }

    /// A sheet that is not known to have ended; mostly the one that the other looks at, too.
    fn pick(&self) -> Option<(String, Sheet)> {
        let books = self.world().books.borrow();
        let all = of_tenant(&books.supply.sheets, &self.owner.id);
        let open: Vec<_> = all.filter(|(_, sheet)| sheet.end.is_none()).collect();
        let chance = &self.world().chance;
        let (id, sheet) = if chance.percent(70) { open.last()? } else { chance.one_of(&open)? };
        Some(((*id).clone(), (*sheet).clone()))
    }

    async fn open(&mut self) -> Result<(), Stopped> {
        let chance = &self.world().chance;
        let Some(shop) = chance.one_of(&self.owner.shops) else { return Err(Stopped) };
        let stocked: Vec<_> = self.owner.goods.iter().filter(|goods| goods.is_stocked).collect();
        let mut body = json!({ "location_id": shop.id, "blind": chance.percent(40) });
        match chance.below(10) {
            0 => body["all"] = json!(true),
            1 => {
                let category = chance.one_of(&self.owner.goods).map(|goods| goods.category);
                body["category"] = json!(category);
            }
            _ => {
                let some = (0..1 + chance.below(4)).filter_map(|_| chance.one_of(&stocked));
                body["skus"] = some.map(|goods| json!(goods.sku)).collect();
            }
        }
        let id = self.next("cs");
        body["count_id"] = json!(id);
        self.line.begin(|| format!("{} opens {body}", self.owner.id))?;
        let location = shop.id.clone();
        let request: Request<Counted> = {
            let (caller, key) = (self.caller.clone(), format!("open-{id}"));
            Rc::new(move |ports| {
                let (caller, key, body) = (caller.clone(), key.clone(), body.clone());
                Box::pin(async move {
                    let request: OpenCountRequest = read(body)?;
                    counts::open(&ports, &caller, &key, &request).await
                })
            })
        };
        match self.line.send_to("POST /v1/inventory/counts", request, told).await {
            Ok(answer) => {
                let skus = answer.sheet.lines.iter().map(|line| line.sku.clone()).collect();
                let sheet = Sheet { location, skus, ..Sheet::default() };
                let mut books = self.world().books.borrow_mut();
                books.supply.sheets.insert((self.owner.id.clone(), id), sheet);
            }
            // A shop may have nothing of a category.
            Err(refusal) => self.line.expect_refusal(&refusal, &["nothing_to_count"]),
        }
        Ok(())
    }

    /// Some of what is on it: what the clients think lies there, and now and then a few more or less.
    fn found(&self, sheet: &Sheet) -> BTreeMap<String, i64> {
        let chance = &self.world().chance;
        let books = self.world().books.borrow();
        let mut found = BTreeMap::new();
        for sku in &sheet.skus {
            if found.len() < 40 && chance.percent(65) {
                let key = (self.owner.id.clone(), (sheet.location.clone(), sku.clone()));
                let known = books.shelves.get(&key).map_or(0, |shelf| shelf.on_hand) / 1_000;
                let off = if chance.percent(50) { 0 } else { chance.between(-3, 3) };
                found.insert(sku.clone(), 1_000 * (known + off).max(0));
            }
        }
        found
    }

    async fn record(&mut self, id: &str, sheet: &Sheet) -> Result<(), Stopped> {
        let found = self.found(sheet);
        if found.is_empty() {
            return if self.line.is_over() { Err(Stopped) } else { Ok(()) };
        }
        let line = |(sku, counted): (&String, &i64)| {
            let counted = set_up::quantity(self.owner, sku, *counted);
            json!({ "sku": sku, "counted": counted, "reason": "so it lies there" })
        };
        let body = json!({ "lines": found.iter().map(line).collect::<Vec<_>>() });
        let key = self.next("record");
        self.line.begin(|| format!("{} {key}: {body} on {id}", self.owner.id))?;
        let request: Request<CountRecorded> = {
            let (caller, id) = (self.caller.clone(), id.to_owned());
            Rc::new(move |ports| {
                let (caller, id, key) = (caller.clone(), id.clone(), key.clone());
                let body = body.clone();
                Box::pin(async move {
                    let request: RecordCountRequest = read(body)?;
                    let answer = counts::record(&ports, &caller, &key, &id, &request, |_| Ok(())).await?;
                    Ok(answer.recorded)
                })
            })
        };
        let told = |recorded: &CountRecorded| format!("{recorded:?}");
        match self.line.send_to("POST /v1/inventory/counts/{id}/lines", request, told).await {
            Ok(recorded) => {
                let said: BTreeMap<String, i64> = recorded
                    .lines
                    .iter()
                    .filter_map(|line| {
                        Some((line.sku.clone(), self.thousandths(&line.sku, line.counted.as_ref()?)))
                    })
                    .collect();
                if said != found {
                    self.world()
                        .fail("what is counted is written down", format!("{id}: {said:?}, not {found:?}"));
                }
                let mut books = self.world().books.borrow_mut();
                let key = (self.owner.id.clone(), id.to_owned());
                if let Some(known) = books.supply.sheets.get_mut(&key) {
                    for (sku, quantity) in found {
                        // Who wrote it down last, whoever is told first.
                        let last = known.counted.entry(sku).or_insert((recorded.version, quantity));
                        *last = (*last).max((recorded.version, quantity));
                    }
                }
            }
            Err(refusal) => self.line.expect_refusal(&refusal, &LATE),
        }
        Ok(())
    }

    async fn close(&mut self, id: &str) -> Result<(), Stopped> {
        let key = self.next("close");
        self.line.begin(|| format!("{} {key}: {id}", self.owner.id))?;
        let request: Request<Counted> = {
            let (caller, id) = (self.caller.clone(), id.to_owned());
            Rc::new(move |ports| {
                let (caller, id, key) = (caller.clone(), id.clone(), key.clone());
                Box::pin(async move {
                    let request = CloseCountRequest::default();
                    counts::close(&ports, &caller, &key, &id, &request, |_| Ok(())).await
                })
            })
        };
        let route = "POST /v1/inventory/counts/{id}/close";
        // Often by somebody who cannot wait: the same request twice at once.
        if self.world().chance.percent(50) {
            let twin = Rc::clone(&request);
            let (one, other) =
                futures::join!(self.line.send_to(route, request, told), self.line.send_to(route, twin, told));
            match (one, other) {
                (Ok(one), Ok(other)) if one.sheet != other.sheet => {
                    let seen = format!("{:?} and {:?}", one.sheet, other.sheet);
                    self.world().fail("one command, one result", seen);
                }
                (Ok(done), Ok(_)) => self.enter_closed(id, &done.sheet),
                (Ok(done), Err(refusal)) | (Err(refusal), Ok(done)) => {
                    self.line.expect_refusal(&refusal, &[]);
                    self.enter_closed(id, &done.sheet);
                }
                (Err(refusal), Err(_)) => self.line.expect_refusal(&refusal, &LATE),
            }
            return Ok(());
        }
        let answer = self.line.send_to(route, request, told).await;
        match answer {
            Ok(done) => self.enter_closed(id, &done.sheet),
            Err(refusal) => self.line.expect_refusal(&refusal, &LATE),
        }
        Ok(())
    }

    fn enter_closed(&self, id: &str, sheet: &CountSheet) {
        if sheet.status != CountStatus::Closed {
            return self.world().fail("a sheet that is closed is closed", format!("{sheet:?}"));
        }
        let corrected = sheet.lines.iter().filter_map(|line| {
            let by = self.thousandths(&line.sku, line.corrected.as_ref()?);
            Some((line.sku.clone(), by))
        });
        let corrected: BTreeMap<String, i64> = corrected.collect();
        let mut books = self.world().books.borrow_mut();
        for (sku, by) in &corrected {
            books.shelf(&self.owner.id, &sheet.location_id, sku).on_hand += by;
        }
        self.end(&mut books.supply.sheets, id, SheetEnd::Closed(corrected));
    }

    fn end(&self, sheets: &mut BTreeMap<Of<String>, Sheet>, id: &str, end: SheetEnd) {
        let known = sheets.get_mut(&(self.owner.id.clone(), id.to_owned()));
        let before = known.and_then(|sheet| sheet.end.replace(end));
        if let Some(before) = before {
            self.world().fail("a count sheet ends once", format!("{id}: {before:?}"));
        }
    }

    async fn cancel(&mut self, id: &str) -> Result<(), Stopped> {
        let key = self.next("cancel");
        self.line.begin(|| format!("{} {key}: {id}", self.owner.id))?;
        let request: Request<Counted> = {
            let (caller, id) = (self.caller.clone(), id.to_owned());
            Rc::new(move |ports| {
                let (caller, id, key) = (caller.clone(), id.clone(), key.clone());
                Box::pin(async move {
                    let request = CancelCountRequest { reason: "somebody else counts it".to_owned() };
                    counts::cancel(&ports, &caller, &key, &id, &request, |_| Ok(())).await
                })
            })
        };
        let answer: Answer<Counted> =
            self.line.send_to("POST /v1/inventory/counts/{id}/cancel", request, told).await;
        match answer {
            Ok(_) => {
                let mut books = self.world().books.borrow_mut();
                self.end(&mut books.supply.sheets, id, SheetEnd::Cancelled);
            }
            Err(refusal) => self.line.expect_refusal(&refusal, &LATE),
        }
        Ok(())
    }
}

/// What all answers of one command say.
fn told(answer: &Counted) -> String {
    format!("{:?}", answer.sheet)
}

fn read<T: serde::de::DeserializeOwned>(body: Value) -> tillstream_app::Result<T> {
    serde_json::from_value(body).map_err(tillstream_app::Error::bug)
}
