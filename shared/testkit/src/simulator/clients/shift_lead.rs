//! Floor managers: open and close the shifts of a store's registers while sales go on there, often two of them
//! at the same register.

use std::rc::Rc;
use std::time::Duration;

use serde_json::{Value, json};
use tillstream_app::Error;
use tillstream_app::pos::execute::{Answered, execute};
use tillstream_app::tenancy::{Caller, Role};
use tillstream_contracts::till::ShiftView;

use super::super::books::{Shift, ZReport};
use super::super::world::{Tenant, World};
use super::till::{Till, pounds};
use super::{Answer, Line, Request, Stopped};
use crate::shop::caller;

struct ShiftLead<'a> {
    line: Line,
    owner: &'a Tenant,
    store: String,
    caller: Caller,
    name: String,
    keys: u64,
}

/// Works until the day is over.
pub async fn work(world: Rc<World>, tenant: usize, shop: usize, number: u64) -> Option<Stopped> {
    let owner = world.tenants.get(tenant)?;
    let shop = owner.shops.get(shop)?;
    let caller = caller(&owner.id, &[Role::StoreManager]);
    let line = Line::of(&world, &owner.id);
    let name = format!("fm-{}-{number}", shop.id);
    let mut one = ShiftLead { line, owner, store: shop.id.clone(), caller, name, keys: 0 };
    loop {
        one.line.rest(Duration::from_secs(45)).await;
        one.line.meet_others(50).await;
        let register = world.chance.one_of(&shop.registers)?;
        if one.work_at(register).await.is_err() {
            return Some(Stopped);
        }
    }
}

/// A till that may not sell opens a shift of its own.
pub async fn open_for(till: &mut Till) -> Result<(), Stopped> {
    let register = till.register.clone();
    till.keys += 1;
    let id = format!("sh-{}-{}", till.name(), till.keys);
    let float = till.world().chance.between(0, 20_000);
    let payload = json!({ "shift_id": id, "amount": pounds(float) });
    let at = till.now();
    match till.command("open_till", payload, at).await? {
        Ok(_) => {
            let key = (till.caller.scope.tenant_id().to_owned(), id);
            let shift = Shift { store: till.shop_id(), register, float, ..Shift::default() };
            till.world().books.borrow_mut().shifts.insert(key, shift);
        }
        Err(refusal) => till.line.expect_refusal(&refusal, &["shift_open"]),
    }
    Ok(())
}

impl ShiftLead<'_> {
    async fn work_at(&mut self, register: &str) -> Result<(), Stopped> {
        let world = self.line.world.clone();
        let open = {
            let books = world.books.borrow();
            let of_register = |shift: &&Shift| shift.store == self.store && shift.register == register;
            let mine = books.shifts.iter().filter(|((of, _), _)| *of == self.owner.id);
            let mut open = mine.filter(|(_, shift)| shift.z.is_none() && of_register(shift));
            open.next().map(|((_, id), _)| id.clone())
        };
        let Some(id) = open else { return self.open(register).await };
        let amount = world.chance.between(1, 9_000);
        let (action, payload, sign) = match world.chance.below(20) {
            0..4 => ("paid_in", json!({ "amount": pounds(amount), "reason": "coins" }), 1),
            4..8 => ("paid_out", json!({ "amount": pounds(amount), "reason": "to the safe" }), -1),
            8 => ("no_sale", json!({ "reason": "the drawer stuck" }), 0),
            9..11 => ("cash_count", json!({ "counted": pounds(amount) }), 0),
            11..13 => ("get_x_report", json!({}), 0),
            _ => ("close_till", json!({ "counted": pounds(amount) }), 0),
        };
        let mut payload = payload;
        payload["shift_id"] = json!(id);
        let request = self.request(register, action, &payload)?;
        let refused: &[&str] =
            if action == "paid_out" { &["shift_closed", "drawer_short"] } else { &["shift_closed"] };
        if action == "get_x_report" {
            return self.look(request).await;
        }
        match self.send(request).await {
            Ok(answered) => {
                let Some(view) = answered.reply.result.shift else {
                    world.fail("a command of a shift tells it", action);
                    return Err(Stopped);
                };
                let mut books = world.books.borrow_mut();
                if let Some(shift) = books.shifts.get_mut(&(self.owner.id.clone(), id)) {
                    shift.moved += sign * amount;
                    if action == "close_till" {
                        shift.z = Some(z_report(&view, amount));
                    }
                }
            }
            Err(refusal) => self.line.expect_refusal(&refusal, refused),
        }
        Ok(())
    }

    async fn open(&mut self, register: &str) -> Result<(), Stopped> {
        let float = self.line.world.chance.between(0, 20_000);
        let id = format!("sh-{}-{}", self.name, self.keys + 1);
        let payload = json!({ "shift_id": id, "amount": pounds(float) });
        let request = self.request(register, "open_till", &payload)?;
        match self.send(request).await {
            Ok(_) => {
                let (store, register) = (self.store.clone(), register.to_owned());
                let shift = Shift { store, register, float, ..Shift::default() };
                self.line.world.books.borrow_mut().shifts.insert((self.owner.id.clone(), id), shift);
            }
            Err(refusal) => self.line.expect_refusal(&refusal, &["shift_open"]),
        }
        Ok(())
    }

    fn request(
        &mut self,
        register: &str,
        action: &str,
        payload: &Value,
    ) -> Result<Request<Answered>, Stopped> {
        self.keys += 1;
        let envelope = json!({
            "version": "1",
            "idempotency_key": format!("{}-{}", self.name, self.keys),
            "store_id": self.store,
            "register_id": register,
            "employee_id": "e-manager",
            "action": action,
            "payload": payload,
        });
        self.line.begin(|| format!("{} {} {register} {action} {payload}", self.owner.id, self.name))?;
        let caller = self.caller.clone();
        Ok(Rc::new(move |ports| {
            let (caller, envelope) = (caller.clone(), envelope.clone());
            Box::pin(async move { execute(&ports, &caller, envelope).await })
        }))
    }

    async fn send(&self, request: Request<Answered>) -> Answer<Answered> {
        let essence = |answered: &Answered| format!("{:?}", answered.reply.result);
        let answer = self.line.send(request, essence).await;
        if let Ok(answered) = &answer {
            self.line.world.note_use(&answered.reply.action);
        }
        answer
    }

    /// Looks at a shift as it is now, once: a moment later it may be another, or closed.
    async fn look(&self, request: Request<Answered>) -> Result<(), Stopped> {
        let world = &self.line.world;
        match self.line.invoke(request(world.ports())).await {
            Some(Ok(answered)) => {
                world.note_use(&answered.reply.action);
                let shift = answered.reply.result.shift;
                if shift.is_none_or(|shift| shift.report.is_none()) {
                    world.fail("an X report has figures", "none");
                }
            }
            Some(Err(Error::Rejected(refusal))) => self.line.expect_refusal(&refusal, &["shift_closed"]),
            Some(Err(Error::Bug(why))) => world.fail("a request meets no bug", why),
            Some(Err(_)) | None => {}
        }
        Ok(())
    }
}

fn z_report(view: &ShiftView, counted: i64) -> ZReport {
    let report = view.report.as_ref();
    let ranges =
        report.map(|report| report.receipts.iter().map(|range| (range.epoch, range.first, range.last)));
    let mut receipts: Vec<(u32, u64, u64)> = ranges.into_iter().flatten().collect();
    if receipts.is_empty() {
        // Before any restore there is one epoch.
        receipts.extend(report.and_then(|report| Some((0, report.first_receipt?, report.last_receipt?))));
    }
    ZReport {
        number: (view.z_epoch.unwrap_or(0), view.z_number.unwrap_or(0)),
        counted,
        told: report.and_then(|report| report.cash_counted.as_ref()).map_or(-1, |money| money.amount),
        receipts,
        expected: report.map_or(-1, |report| report.cash_expected.amount),
        sales: report.map_or((0, 0), |report| (report.sales_count, report.sales_total.amount)),
        returns: report.map_or((0, 0), |report| (report.returns_count, report.returns_total.amount)),
        discounts: report.map_or(-1, |report| report.discounts.amount),
        tax: report.map_or((0, 0), |report| (report.tax.amount, report.returns_tax.amount)),
        tips: report.map_or(-1, |report| report.tips.amount),
    }
}
