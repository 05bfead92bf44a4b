//! A cashier, who may not give discounts nor take goods back of which no sale is known without a manager's
//! approval; and the managers, who grant it, deny it, or let it wait, and at times both decide at once.

use std::rc::Rc;
use std::time::Duration;

use serde_json::{Value, json};
use tillstream_app::approvals::Answer as Approved;
use tillstream_app::approvals::ask::ask;
use tillstream_app::approvals::decide::decide;
use tillstream_app::pos::execute::Answered;
use tillstream_app::tenancy::{Caller, Role};
use tillstream_contracts::approvals::{AskForApproval, DecideApproval};

use super::super::books::{Approval, Line as Sold, Paid, part};
use super::super::day_settings::DaySettings;
use super::super::rules::Rules;
use super::super::world::World;
use super::till::{Cart, Till, line_number, pounds};
use super::till_rules::charge;
use super::{Answer, Line, Request, Stopped, shift_lead};
use crate::shop::caller;

struct Cashier {
    till: Till,
    managers: [Caller; 2],
    asked: u64,
}

/// Works until the day is over.
pub async fn work(world: Rc<World>, tenant: usize, shop: usize) -> Option<Stopped> {
    let owner = world.tenants.get(tenant)?;
    let place = owner.shops.get(shop)?;
    let somebody = |subject: &str, role| Caller { subject: subject.to_owned(), ..caller(&owner.id, &[role]) };
    let till = Till::staffed_by(
        Line::of(&world, &owner.id),
        (tenant, shop),
        place.registers.first()?.clone(),
        format!("ca-{}", place.id),
        somebody("cashier", Role::Cashier),
    );
    let managers = ["manager-1", "manager-2"].map(|subject| somebody(subject, Role::StoreManager));
    let mut cashier = Cashier { till, managers, asked: 0 };
    loop {
        cashier.till.line.rest(Duration::from_secs(150)).await;
        let done = match world.chance.below(11) {
            0..6 => cashier.discounted_sale().await,
            6 => cashier.unapproved_return().await,
            _ => cashier.blind_return().await,
        };
        if done.is_err() {
            return Some(Stopped);
        }
    }
}

impl Cashier {
    fn world(&self) -> &World {
        self.till.world()
    }

    fn key(&self, id: &str) -> (String, String) {
        (self.till.caller.scope.tenant_id().to_owned(), id.to_owned())
    }

    /// Asks for an approval, and what the managers say to it.
    async fn approval(&mut self, mut body: Value) -> Result<String, Stopped> {
        self.asked += 1;
        let mut id = format!("ap-{}-{}", self.till.name(), self.asked);
        body["store_id"] = json!(self.till.shop_id());
        body["register_id"] = json!(self.till.register);
        body["reason"] = json!("the customer insists");
        let mut answer = self.ask(&id, &body).await?;
        let is_plain = self.till.rules().is_some_and(Rules::is_plain);
        if answer.as_ref().is_err_and(|refusal| refusal.code == "maximum_goods_required") && !is_plain {
            // Promotions leave nothing of the goods that a share could be taken off, as yet.
            id.push_str("-of-more");
            body["maximum_goods"] = pounds(1_000_000_000);
            answer = self.ask(&id, &body).await?;
        }
        if let Err(refusal) = answer {
            self.till.line.expect_refusal(&refusal, &[]);
            return Err(Stopped);
        }
        self.world().books.borrow_mut().approvals.insert(self.key(&id), Approval::default());
        self.till.line.think(Duration::from_secs(60)).await;
        let granted = self.world().chance.percent(72);
        match self.world().chance.below(10) {
            0 => {}
            1..4 => {
                let one = self.decision(0, &id, granted)?;
                let other = self.decision(1, &id, !granted)?;
                let (one, other) = futures::join!(self.send(one), self.send(other));
                self.decided(&id, granted, one);
                self.decided(&id, !granted, other);
            }
            _ => {
                let one = self.decision(0, &id, granted)?;
                let one = self.send(one).await;
                self.decided(&id, granted, one);
            }
        }
        let longest = if self.world().chance.percent(15) { 500 } else { 20 };
        self.till.line.think(Duration::from_secs(longest)).await;
        Ok(id)
    }

    async fn ask(&self, id: &str, body: &Value) -> Result<Answer<Approved>, Stopped> {
        let mut body = body.clone();
        body["approval_id"] = json!(id);
        self.till.line.begin(|| format!("the cashier asks {body}"))?;
        let Ok(sent) = serde_json::from_value::<AskForApproval>(body) else {
            self.world().fail("the simulator works", "a request for approval that is none");
            return Err(Stopped);
        };
        let (caller, key) = (self.till.caller.clone(), id.to_owned());
        let request: Request<Approved> = Rc::new(move |ports| {
            let (caller, key, sent) = (caller.clone(), key.clone(), sent.clone());
            Box::pin(async move { ask(&ports, &caller, &key, sent).await })
        });
        let essence = |answer: &Approved| answer.approval.approval_id.clone();
        Ok(self.till.line.send_to("POST /v1/approvals", request, essence).await)
    }

    fn decision(&self, manager: usize, id: &str, granted: bool) -> Result<Request<Approved>, Stopped> {
        let manager = self.managers.get(manager).cloned().ok_or(Stopped)?;
        self.till.line.begin(|| format!("{} decides on {id}: {granted}", manager.subject))?;
        let (id, key) = (id.to_owned(), format!("{id}-{}", manager.subject));
        Ok(Rc::new(move |ports| {
            let (manager, id, key) = (manager.clone(), id.clone(), key.clone());
            Box::pin(
                async move { decide(&ports, &manager, &key, &id, granted, DecideApproval::default()).await },
            )
        }))
    }

    async fn send(&self, request: Request<Approved>) -> Answer<Approved> {
        let essence = |answer: &Approved| {
            let decision = answer.approval.decision.as_ref();
            format!("{:?}", decision.map(|decision| (decision.granted, decision.by.clone())))
        };
        self.till.line.send(request, essence).await
    }

    fn decided(&self, id: &str, granted: bool, answer: Answer<Approved>) {
        if let Err(refusal) = answer {
            return self.till.line.expect_refusal(&refusal, &["approval_decided", "approval_expired"]);
        }
        let said = if granted { "grant" } else { "deny" };
        self.world().note_use(&format!("POST /v1/approvals/{{id}}/{said}"));
        let mut books = self.world().books.borrow_mut();
        let approval = books.approvals.entry(self.key(id)).or_default();
        let other = approval.granted.replace(granted);
        drop(books);
        if let Some(other) = other {
            self.world().fail("an approval is decided once", format!("{id}: {other}, then {granted}"));
        }
    }

    /// What came of a command that used an approval for `resource`; `wrong`: for something else than was asked.
    fn used(&self, id: &str, resource: &str, wrong: bool, answer: Answer<Answered>) -> Option<Answered> {
        let mut books = self.world().books.borrow_mut();
        let approval = books.approvals.entry(self.key(id)).or_default();
        let granted = approval.granted;
        let refusal = match answer {
            Ok(answered) => {
                let before = approval.used_for.replace(resource.to_owned());
                drop(books);
                if before.is_some() || wrong || granted != Some(true) {
                    let seen =
                        format!("{id} ({granted:?}) for {resource}, wrong: {wrong}, before {before:?}");
                    self.world().fail("an approval is used once, for what was granted", seen);
                }
                return Some(answered);
            }
            Err(refusal) => refusal,
        };
        let was_used = approval.used_for.is_some();
        drop(books);
        let expected: &[&str] = match granted {
            _ if wrong => &["approval_does_not_match"],
            Some(true) if was_used => &["approval_used", "approval_expired"],
            // Promotions may have left nothing to take off.
            Some(true) => &["approval_expired", "discount_takes_nothing_off"],
            Some(false) => &["approval_denied"],
            None => &["approval_pending", "approval_expired"],
        };
        self.till.line.expect_refusal(&refusal, expected);
        None
    }

    async fn discounted_sale(&mut self) -> Result<(), Stopped> {
        let mut cart = self.till.begin_cart('c');
        self.till.must("create_cart", json!({ "cart_id": cart.id })).await?;
        cart.employee = self.till.employee();
        self.till.add_line(&mut cart, 0).await?;
        if cart.lines.is_empty() {
            return self.till.void(&cart).await;
        }
        let Some((number, worth)) = cart.lines.values().next().map(|line| (line.number, line.worth)) else {
            return Err(Stopped);
        };
        let bps = self.world().chance.between(500, 9_000);
        if part(worth, bps, 10_000) > 0 {
            let line_id = format!("l-{number}");
            if self.world().chance.percent(35) {
                return self.without_approval(cart, (number, bps)).await;
            }
            let asked = json!({
                "action": "manual_discount", "cart_id": cart.id, "kind": "percent_line", "value": bps,
                "line_id": line_id,
            });
            let id = self.approval(asked).await?;
            let wrong = self.world().chance.percent(15);
            let given = if wrong { bps + 1 } else { bps };
            let payload = json!({
                "cart_id": cart.id, "kind": "percent_line", "value": given, "line_id": line_id,
                "reason": "dented", "approval_id": id,
            });
            let at = self.till.now();
            let answer = self.till.command("apply_manual_discount", payload, at).await?;
            if let Some(answered) = self.used(&id, &cart.id, wrong, answer) {
                if let Some(line) = cart.lines.get_mut(&number) {
                    line.take_off(part(worth, bps, 10_000));
                }
                self.till.compare(&mut cart, &answered);
            }
        }
        if !self.tender(&mut cart).await? {
            return self.till.void(&cart).await;
        }
        self.till.pay(&mut cart).await?;
        self.till.finalize(cart, "pos").await
    }

    /// Begins to take payment for what has a discount that was approved. Not where a promotion is used up by now that left
    /// less of the goods when it was asked for: then the share would be taken of more.
    async fn tender(&mut self, cart: &mut Cart) -> Result<bool, Stopped> {
        let at = self.till.now();
        match self.till.command("set_tendering", json!({ "cart_id": cart.id }), at).await? {
            Ok(answered) => {
                self.till.compare(cart, &answered);
                Ok(true)
            }
            Err(refusal) if refusal.code == "approval_does_not_match" && self.has_limited_promotions() => {
                Ok(false)
            }
            Err(refusal) => {
                self.till.line.expect_refusal(&refusal, &[]);
                Err(Stopped)
            }
        }
    }

    fn has_limited_promotions(&self) -> bool {
        self.till.rules().is_some_and(Rules::has_limited_promotions)
    }

    /// A discount without anybody's leave: it is given where settings let it be, and only there.
    async fn without_approval(&mut self, mut cart: Cart, (number, bps): (u32, i64)) -> Result<(), Stopped> {
        let payload = json!({
            "cart_id": cart.id, "kind": "percent_line", "value": bps, "line_id": format!("l-{number}"),
            "reason": "dented",
        });
        let at = self.till.now();
        let answer = self.till.command("apply_manual_discount", payload, at).await?;
        let code = answer.as_ref().err().map(|refusal| refusal.code);
        if code == Some("discount_takes_nothing_off") && !self.till.rules().is_some_and(Rules::is_plain) {
            // Promotions left nothing to take off.
            return self.till.void(&cart).await;
        }
        self.is_as_settings_say("a discount", code, |settings| settings.discount_needs_approval);
        if let Ok(answered) = answer {
            if let Some(line) = cart.lines.get_mut(&number) {
                line.take_off(part(line.worth, bps, 10_000));
            }
            self.till.compare(&mut cart, &answered);
        }
        self.till.tender(&mut cart).await?;
        self.till.pay(&mut cart).await?;
        self.till.finalize(cart, "pos").await
    }

    /// What was refused with `code` for lack of an approval, or not refused, had to be by settings that may have stood.
    fn is_as_settings_say(
        &self,
        what: &str,
        code: Option<&'static str>,
        needs_approval: impl Fn(&DaySettings) -> bool,
    ) {
        let stood = self.till.may_have_stood(self.till.asked_at());
        let is_refused = match code {
            None => false,
            Some("approval_required") => true,
            Some("simulation_over") => return,
            Some(other) => return self.world().fail("nothing is refused without reason", other),
        };
        if !stood.iter().any(|settings| needs_approval(settings) == is_refused) {
            let seen = format!("{what} was refused: {is_refused}, by {stood:?}");
            self.world().fail("what needs an approval is what settings say", seen);
        }
    }

    /// Goods come back without a receipt and without anybody's leave.
    async fn unapproved_return(&mut self) -> Result<(), Stopped> {
        let cart = Cart { is_return: true, ..self.till.begin_cart('b') };
        let payload = json!({ "return_id": cart.id, "reason": "no receipt" });
        let at = self.till.now();
        let answer = self.till.command("start_return", payload, at).await?;
        let code = answer.as_ref().err().map(|refusal| refusal.code);
        self.is_as_settings_say("a return without a sale", code, |settings| {
            settings.blind_return_needs_approval
        });
        if answer.is_ok() {
            self.till.must("void_return", json!({ "return_id": cart.id })).await?;
        }
        Ok(())
    }

    /// Goods come back without a receipt; now and then two such returns use one approval at once.
    async fn blind_return(&mut self) -> Result<(), Stopped> {
        let most = self.world().chance.between(100, 90_000);
        let asked = json!({ "action": "blind_return", "maximum_refund": pounds(most) });
        let id = self.approval(asked).await?;
        let at = self.till.now();
        let mut begun = Vec::new();
        for _ in 0..if self.world().chance.percent(50) { 2 } else { 1 } {
            let cart = Cart { is_return: true, ..self.till.begin_cart('b') };
            let payload = json!({ "return_id": cart.id, "reason": "no receipt", "approval_id": id });
            let request = self.till.request("start_return", payload, at);
            let employee = self.till.employee();
            match request {
                Ok(request) => begun.push((Cart { employee, ..cart }, request)),
                // What was begun is sent, so that it is known what became of it.
                Err(_) => break,
            }
        }
        let till = &self.till;
        let sending =
            begun.into_iter().map(|(cart, request)| async move { (cart, till.send(request).await) });
        let answers = futures::future::join_all(sending).await;
        let mut accepted = Vec::new();
        // Whoever was refused may have come second.
        let (fine, refused): (Vec<_>, Vec<_>) = answers.into_iter().partition(|(_, answer)| answer.is_ok());
        for (cart, answer) in fine.into_iter().chain(refused) {
            if self.used(&id, &cart.id, false, answer).is_some() {
                accepted.push(cart);
            }
        }
        for cart in accepted {
            self.bring_back(cart, most).await?;
        }
        Ok(())
    }

    async fn bring_back(&mut self, mut cart: Cart, most: i64) -> Result<(), Stopped> {
        let Some((sku, quantity)) = self.till.pick() else { return Err(Stopped) };
        let price = self.world().chance.between(1, 90_000);
        let back = self.world().chance.percent(60);
        let payload = json!({
            "return_id": cart.id, "sku": sku, "quantity": self.till.quantity(&sku, quantity),
            "unit_price": super::super::set_up::decimal(price),
            "disposition": if back { "restock" } else { "damaged" },
        });
        let at = self.till.now();
        match self.till.command("return_line_item", payload, at).await? {
            Ok(answered) => {
                let view = answered.reply.cart.as_ref().and_then(|view| view.lines.as_ref());
                let shown = view.and_then(|lines| lines.first());
                let number = line_number(answered.reply.result.line_id.as_deref().unwrap_or_default());
                let mut line = Sold::of(number, sku, quantity, price);
                if let Some(shown) = shown {
                    charge(&mut line, shown);
                }
                let total = line.paid();
                cart.lines.insert(number, line);
                if total > most {
                    let seen = format!("{}: {total} of at most {most}", cart.id);
                    self.world().fail("no more is refunded than was approved", seen);
                }
            }
            Err(refusal) => self.till.line.expect_refusal(&refusal, &["approval_does_not_match"]),
        }
        let due = cart.due();
        // What comes to no coin is settled by none. The coins are those that there were when the return was begun, as
        // far as anybody knows.
        let stood = self.till.may_have_stood(cart.opened_at);
        let coin = stood.last().map_or(1, |settings| settings.coin);
        let nearest = due + stood.last().map_or(0, |settings| settings.rounding(due));
        // The nearest coin may be above what was approved.
        let refund = if nearest > most { most - most % coin } else { nearest };
        if cart.lines.is_empty() || (due == 0 && !self.till.rules().is_some_and(Rules::is_plain)) {
            self.till.must("void_return", json!({ "return_id": cart.id })).await?;
            return Ok(());
        }
        if due > 0 {
            let payload = json!({ "return_id": cart.id, "tender": "cash", "amount": pounds(refund) });
            let at = self.till.now();
            match self.till.command("refund_tender", payload, at).await? {
                Ok(answered) => {
                    cart.rounding = answered.reply.cart.map_or(0, |view| view.totals.cash_rounding.amount);
                    cart.payments.insert("p-1".to_owned(), Paid::by("cash", refund));
                }
                Err(refusal) => {
                    let is_sure = stood.windows(2).all(|two| matches!(two, [a, b] if a.coin == b.coin));
                    let known: &[&str] = match is_sure {
                        true => &[],
                        false => &[
                            "overpaid",
                            "cash_not_in_coins",
                            "amount_not_positive",
                            "approval_does_not_match",
                        ],
                    };
                    self.till.line.expect_refusal(&refusal, known);
                }
            }
        }
        if cart.due() != 0 {
            self.till.must("void_return", json!({ "return_id": cart.id })).await?;
            return Ok(());
        }
        let at = self.till.now();
        match self.till.command("finalize_return", json!({ "return_id": cart.id }), at).await? {
            Ok(answered) => self.till.enter(&cart, None, &[back], &answered, at, "pos"),
            Err(refusal) => {
                if self.till.may_lack_a_shift(&refusal) {
                    shift_lead::open_for(&mut self.till).await?;
                } else {
                    self.till.line.expect_refusal(&refusal, &[]);
                }
                self.till.must("void_return", json!({ "return_id": cart.id })).await?;
            }
        }
        Ok(())
    }
}
