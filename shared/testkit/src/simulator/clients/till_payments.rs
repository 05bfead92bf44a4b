//! How a sale is paid: by several tenders, with tips, in coins, and from gift cards.

use serde_json::json;
use tillstream_app::Refusal;

use super::super::books::Paid;
use super::super::day_settings::DaySettings;
use super::till::{Cart, Till, pounds};
use super::{Stopped, gift_card_desk};

/// For what a payment by gift card is refused.
pub const NOT_SPENT: [&str; 3] = ["insufficient_balance", "stored_value_blocked", "stored_value_not_found"];

/// A payment that is tried.
struct Payment {
    tender: &'static str,
    given: i64,
    tip: i64,
    gift_card: Option<String>,
}

impl Till {
    pub async fn pay(&mut self, cart: &mut Cart) -> Result<(), Stopped> {
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
                    let due = cart.due();
                    let stood = self.may_have_stood(cart.opened_at);
                    let payable = stood.iter().map(|settings| due + settings.rounding(due)).max();
                    let given = (payable.unwrap_or(due).max(1) + 99) / 100 * 100;
                    self.pay_by(cart, "cash", given, 0).await?;
                }
                1 if self.rules().is_some_and(|rules| rules.has_gift_cards) => {
                    self.pay_from_gift_cards(cart).await?;
                    if cart.due() > 0 {
                        self.pay_by(cart, "card", cart.due(), tip).await?;
                    }
                }
                1 => self.pay_by(cart, "gift_card", cart.due(), 0).await?,
                _ => self.pay_by(cart, "card", cart.due(), tip).await?,
            }
        }
        Ok(())
    }

    /// As much as a gift card or two will give.
    async fn pay_from_gift_cards(&mut self, cart: &mut Cart) -> Result<(), Stopped> {
        for _ in 0..1 + self.world().chance.below(2) {
            let due = cart.due();
            if due <= 0 {
                return Ok(());
            }
            // Often the one that everybody spends from at the time.
            let minute = u64::try_from(self.world().now().as_second() / 60).unwrap_or(0);
            let popular = self.world().chance.percent(60);
            let card = gift_card_desk::number(if popular { minute } else { self.world().chance.next() });
            let given =
                if self.world().chance.percent(70) { due } else { self.world().chance.between(1, due) };
            let Some(refusal) = self.try_to_pay(cart, from_gift_card(&card, given)).await? else { continue };
            self.line.expect_refusal(&refusal, &NOT_SPENT);
            // What is left on it is told, and often spent.
            let left = refusal.extra.get("left").and_then(|left| left.as_i64()).unwrap_or(0);
            if left > 0
                && self.world().chance.percent(60)
                && let Some(refusal) = self.try_to_pay(cart, from_gift_card(&card, left.min(due))).await?
            {
                self.line.expect_refusal(&refusal, &NOT_SPENT);
            }
        }
        Ok(())
    }

    /// Pays so much, from a gift card if there is any that has it.
    pub async fn pay_difference(&mut self, cart: &mut Cart, amount: i64) -> Result<(), Stopped> {
        if self.rules().is_some_and(|rules| rules.has_gift_cards) && self.world().chance.percent(60) {
            let card = gift_card_desk::number(self.world().chance.next());
            match self.try_to_pay(cart, from_gift_card(&card, amount)).await? {
                None => return Ok(()),
                Some(refusal) => self.line.expect_refusal(&refusal, &NOT_SPENT),
            }
        }
        self.pay_by(cart, "card", amount, 0).await
    }

    /// Takes back what gift cards were to pay, so that it is paid otherwise.
    pub async fn do_without_gift_cards(&mut self, cart: &mut Cart) -> Result<(), Stopped> {
        let from_cards = cart.payments.iter().filter(|(_, paid)| paid.gift_card.is_some());
        let ids: Vec<String> = from_cards.map(|(id, _)| id.clone()).collect();
        for id in ids {
            let payload = json!({ "cart_id": cart.id, "payment_id": id });
            let answered = self.must("remove_payment", payload).await?;
            cart.payments.remove(&id);
            self.compare(cart, &answered);
        }
        Ok(())
    }

    pub async fn pay_by(
        &mut self,
        cart: &mut Cart,
        tender: &'static str,
        given: i64,
        tip: i64,
    ) -> Result<(), Stopped> {
        match self.try_to_pay(cart, Payment { tender, given, tip, gift_card: None }).await? {
            None => Ok(()),
            Some(refusal) => {
                self.line.expect_refusal(&refusal, &[]);
                Err(Stopped)
            }
        }
    }

    /// Why a payment was refused; `None` where it was taken.
    async fn try_to_pay(
        &mut self,
        cart: &mut Cart,
        payment: Payment,
    ) -> Result<Option<Box<Refusal>>, Stopped> {
        let Payment { tender, given, tip, gift_card } = payment;
        let mut payload = json!({ "cart_id": cart.id, "tender": tender, "amount": pounds(given) });
        if tip > 0 {
            payload["tip"] = pounds(tip);
        }
        if let Some(card) = &gift_card {
            payload["external_reference"] = json!(card);
        }
        let due = cart.due();
        let at = self.now();
        let answered = match self.command("add_payment", payload, at).await? {
            Ok(answered) => answered,
            Err(refusal) => return Ok(Some(refusal)),
        };
        let result = &answered.reply.result;
        let told = result.change.as_ref().map(|change| change.amount);
        // What it comes to in the coins that there were when it was tendering.
        let settled = |settings: &DaySettings| {
            let rounding = if tender == "cash" { settings.rounding(due) } else { 0 };
            let payable = due + rounding;
            let change = (given - payable).max(0);
            (told == Some(change)).then_some((change, if given >= payable { rounding } else { 0 }))
        };
        let stood = self.may_have_stood(cart.opened_at);
        let Some((change, rounding)) = stood.iter().find_map(settled) else {
            let seen = format!("{}: of {given} for {due} told {told:?}, {stood:?}", cart.id);
            self.world().fail("payments less change are the total", seen);
            return Err(Stopped);
        };
        cart.rounding += rounding;
        let Some(id) = result.payment_id.clone() else { return Err(Stopped) };
        cart.payments.insert(id, Paid { tip, gift_card, ..Paid::by(tender, given - change) });
        self.compare(cart, &answered);
        Ok(None)
    }
}

fn from_gift_card(card: &str, given: i64) -> Payment {
    Payment { tender: "gift_card", given, tip: 0, gift_card: Some(card.to_owned()) }
}
