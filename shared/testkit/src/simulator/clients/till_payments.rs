//! How a sale is paid: by several tenders, with tips, and in coins.

use serde_json::json;

use super::super::books::Paid;
use super::Stopped;
use super::till::{Cart, Till, pounds};

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
                    let payable = due + self.rules().map_or(0, |rules| rules.rounding(due));
                    let given = (payable.max(1) + 99) / 100 * 100;
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
        let rounding = self.rules().filter(|_| tender == "cash").map_or(0, |rules| rules.rounding(due));
        let payable = due + rounding;
        let answered = self.must("add_payment", payload).await?;
        let result = &answered.reply.result;
        let change = (given - payable).max(0);
        if given >= payable {
            cart.rounding += rounding;
        }
        if result.change.as_ref().map(|change| change.amount) != Some(change) {
            let seen = format!("{}: {change} of {given} is change, told {:?}", cart.id, result.change);
            self.world().fail("payments less change are the total", seen);
        }
        let Some(id) = result.payment_id.clone() else { return Err(Stopped) };
        cart.payments.insert(id, Paid { tender, amount: given - change, tip });
        self.compare(cart, &answered);
        Ok(())
    }
}
