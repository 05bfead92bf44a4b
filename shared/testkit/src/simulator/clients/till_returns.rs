//! What comes back to a till: returns of known sales, two registers often at the same one.

use jiff::Timestamp;
use serde_json::json;
use tillstream_app::Refusal;
use tillstream_app::pos::execute::Answered;

use super::super::books::{Line as Sold, Paid};
use super::till::{Cart, Till, line_number, pounds};
use super::till_rules::charge;
use super::{Answer, Request, Stopped, gift_card_desk, shift_lead};

/// How what came back is settled.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Settles {
    /// By refunds.
    ByRefund,
    /// By other goods.
    ByExchange,
}

/// A return that is ready to be final.
pub struct Back {
    pub cart: Cart,
    /// Of each line, whether it goes back on the shelf.
    restocked: Vec<bool>,
    /// Of each line, the sale's line, quantity in thousandths and worth in minor units.
    origins: Vec<(u32, i64, i64)>,
}

impl Till {
    /// Something of an earlier sale of the tenant comes back, now and then at two registers at the same moment.
    pub async fn bring_back(&mut self) -> Result<(), Stopped> {
        let Some((sale, lines)) = self.pick_sale(false) else { return self.sale().await };
        let Some(first) = self.prepare_return(&sale, lines.clone(), Settles::ByRefund).await? else {
            return Ok(());
        };
        let own = self.register.clone();
        let other = self.other_register();
        let rival = if self.world().chance.percent(35) {
            self.register.clone_from(&other);
            let rival = self.prepare_return(&sale, lines, Settles::ByRefund).await;
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
    pub fn other_register(&self) -> String {
        let others: Vec<&String> = self
            .shop()
            .map(|shop| shop.registers.iter().filter(|register| **register != self.register).collect())
            .unwrap_or_default();
        self.world().chance.one_of(&others).map_or_else(|| self.register.clone(), |other| (*other).clone())
    }

    pub fn finalize_return(&mut self, back: &Back, at: Timestamp) -> Result<Request<Answered>, Stopped> {
        self.request("finalize_return", json!({ "return_id": back.cart.id }), at)
    }

    /// A return that is to be finalised; `None` where nothing is left to bring back.
    pub async fn prepare_return(
        &mut self,
        sale: &str,
        lines: Vec<Sold>,
        settles: Settles,
    ) -> Result<Option<Back>, Stopped> {
        let mut cart = self.begin_cart('r');
        let at = self.now();
        let payload =
            json!({ "return_id": cart.id, "original_order_id": sale, "reason": "changed their mind" });
        if let Err(refusal) = self.command("start_return", payload, at).await? {
            // All of it went back at once, meanwhile or before.
            self.line.expect_refusal(&refusal, &["order_undone"]);
            return Ok(None);
        }
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
            let number = line_number(&id);
            let mut line = Sold::of(number, line.sku, quantity, line.price).with_extra(line.extra);
            if let Some(shown) = shown {
                charge(&mut line, shown);
            }
            restocked.push(back);
            origins.push((origin, quantity, line.paid()));
            cart.lines.insert(number, line);
        }
        if !cart.lines.is_empty() && settles == Settles::ByRefund {
            self.refund(&mut cart, sale).await?;
        }
        if cart.lines.is_empty() || (settles == Settles::ByRefund && cart.due() != 0) {
            self.must("void_return", json!({ "return_id": cart.id })).await?;
            return Ok(None);
        }
        Ok(Some(Back { cart, restocked, origins }))
    }

    /// What came of a return.
    pub async fn finish_return(
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
                if self.may_lack_a_shift(&refusal) {
                    shift_lead::open_for(self).await?;
                } else {
                    self.expect_lost_return(&refusal);
                }
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

    /// A sale of the tenant, and its lines. The latest are what tills fight over. `to_void`: mostly one of this
    /// store and day.
    pub fn pick_sale(&self, to_void: bool) -> Option<(String, Vec<Sold>)> {
        let tenant = self.caller.scope.tenant_id();
        let world = self.world();
        let books = world.books.borrow();
        let mut sales: Vec<_> =
            books.orders.iter().filter(|((owner, _), order)| owner == tenant && !order.is_return).collect();
        if to_void && world.chance.percent(92) {
            let shop = self.shop()?;
            let (day, _) = shop.day_and_hour(self.now()).ok()?;
            sales.retain(|(_, order)| (order.day, &order.store) == (day, &shop.id) && order.channel != "web");
        }
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
            let order = books.orders.get(&key);
            let paid = order.map(|order| match order.settled.as_slice() {
                [] => order.payments.clone(),
                // What was owed and settled goes back to what settled it.
                settled => settled.to_vec(),
            });
            paid.unwrap_or_default()
        };
        let by_cash_alone = tenders.iter().all(|paid| paid.tender == "cash");
        for paid in tenders {
            let due = cart.due();
            // The coins that there were when the return was begun, as far as anybody knows.
            let stood = self.may_have_stood(cart.opened_at);
            let is_sure = paid.tender != "cash"
                || stood.iter().all(|one| Some(one.coin) == stood.last().map(|last| last.coin));
            let (in_coins, paid_in_coins) = match (paid.tender, stood.last()) {
                ("cash", Some(settings)) => {
                    (due + settings.rounding(due), paid.amount / settings.coin * settings.coin)
                }
                _ => (due, paid.amount),
            };
            let amount = in_coins.min(paid_in_coins);
            // Too little for a coin is given back by none, unless something else was paid by.
            let comes_to_nothing = due > 0 && in_coins == 0 && by_cash_alone;
            if amount <= 0 && !comes_to_nothing {
                continue;
            }
            // What other goods paid may go back by any tender.
            let tender = if paid.tender == "exchange" { "card" } else { paid.tender };
            let mut payload = json!({ "return_id": cart.id, "tender": tender, "amount": pounds(amount) });
            let another = gift_card_desk::number(self.world().chance.next());
            let known = self.owner().map(|owner| owner.id.clone()).unwrap_or_default();
            let is_there = self.world().books.borrow().gift_cards.contains_key(&(known, another.clone()));
            let is_changed = is_there && self.world().chance.percent(20);
            let gift_card = paid.gift_card.map(|own| if is_changed { another } else { own });
            if let Some(card) = &gift_card {
                payload["external_reference"] = json!(card);
            }
            let at = self.now();
            match self.command("refund_tender", payload, at).await? {
                Ok(answered) => {
                    let Some(id) = answered.reply.result.payment_id else { return Err(Stopped) };
                    cart.rounding = answered.reply.cart.map_or(0, |view| view.totals.cash_rounding.amount);
                    cart.payments.insert(id, Paid { gift_card, ..Paid::by(tender, amount) });
                }
                Err(refusal) => {
                    let known: &[&str] = match is_sure {
                        true => &["refund_above_paid", "stored_value_blocked"],
                        false => {
                            &["refund_above_paid", "overpaid", "cash_not_in_coins", "amount_not_positive"]
                        }
                    };
                    self.line.expect_refusal(&refusal, known);
                }
            }
        }
        Ok(())
    }
}
