//! Exchanges at a till: goods come back and others go out at once, and only the difference is paid or refunded.

use jiff::Timestamp;
use serde_json::json;
use tillstream_app::pos::execute::Answered;

use super::super::books::Paid;
use super::till::{Cart, Till, pounds};
use super::till_returns::{Back, Settles};
use super::{Stopped, shift_lead};

/// For what else than stock an exchange may be refused: others were quicker with the same sale.
const REFUSALS: [&str; 12] = [
    "promotion_limit_reached",
    "promotion_unavailable",
    "insufficient_stock",
    "return_above_sold",
    "refund_above_paid",
    "return_outdated",
    "exchange_too_long",
    "exchange_not_settled",
    "insufficient_balance",
    "stored_value_blocked",
    "order_owed",
    "order_below_worth",
];

/// Brings something back and takes something else, or the same again.
pub async fn exchange(till: &mut Till) -> Result<(), Stopped> {
    let Some((sale, lines)) = till.pick_sale(false) else { return till.sale().await };
    let Some(back) = till.prepare_return(&sale, lines, Settles::ByExchange).await? else { return Ok(()) };
    let mut cart = till.begin_cart('x');
    let own = json!({ "cart_id": cart.id });
    till.must("create_cart", own.clone()).await?;
    cart.employee = till.employee();
    for number in 0..1 + till.world().chance.below(3) {
        till.add_line(&mut cart, number).await?;
    }
    if cart.lines.is_empty() {
        return give_up(till, &back, &cart).await;
    }
    till.tender(&mut cart).await?;
    let (worth, price) = (back.cart.total(), cart.total());
    let credit = worth.min(price);
    let mut back = back;
    if price > credit {
        till.pay_difference(&mut cart, price - credit).await?;
    }
    if worth > credit {
        let payload =
            json!({ "return_id": back.cart.id, "tender": "card", "amount": pounds(worth - credit) });
        let at = till.now();
        match till.command("refund_tender", payload, at).await? {
            Ok(answered) => {
                let Some(id) = answered.reply.result.payment_id else { return Err(Stopped) };
                back.cart.payments.insert(id, Paid::by("card", worth - credit));
            }
            // It was paid by something else, or others were quicker.
            Err(refusal) => {
                till.line.expect_refusal(&refusal, &["refund_above_paid"]);
                return give_up(till, &back, &cart).await;
            }
        }
    }
    till.line.meet_others(50).await;
    for _ in 0..3 {
        let at = till.now();
        let mut payload = json!({ "return_id": back.cart.id, "cart_id": cart.id });
        // What the register asked, or gives back; half of them state it.
        if price % 2 == 0 {
            payload["total"] = pounds(price - worth);
        }
        match till.command("finalize_exchange", payload, at).await? {
            Ok(answered) => return finish(till, &sale, (back, cart), credit, answered, at).await,
            Err(refusal) if till.may_lack_a_shift(&refusal) => shift_lead::open_for(till).await?,
            Err(refusal) => {
                let of_lots = cart.refused_for_lots().iter().copied();
                let known: Vec<&str> = REFUSALS.into_iter().chain(of_lots).collect();
                till.line.expect_refusal(&refusal, &known);
                break;
            }
        }
    }
    give_up(till, &back, &cart).await
}

/// Both halves are given up.
async fn give_up(till: &mut Till, back: &Back, cart: &Cart) -> Result<(), Stopped> {
    till.void(cart).await?;
    till.must("void_return", json!({ "return_id": back.cart.id })).await?;
    Ok(())
}

/// Writes both halves into the books: the return has the number before the sale's.
async fn finish(
    till: &mut Till,
    sale: &str,
    (mut back, mut cart): (Back, Cart),
    credit: i64,
    answered: Answered,
    at: Timestamp,
) -> Result<(), Stopped> {
    let result = &answered.reply.result;
    let told = (result.return_order_id.clone(), result.return_receipt_number);
    let wanted = (Some(back.cart.id.clone()), result.receipt_number.map(|number| number.saturating_sub(1)));
    if told != wanted {
        till.world().fail("an exchange is a return and a sale", format!("{told:?}, not {wanted:?}"));
    }
    if credit > 0 {
        cart.payments.insert("exchange".to_owned(), Paid::by("exchange", credit));
        back.cart.payments.insert("exchange".to_owned(), Paid::by("exchange", credit));
    }
    till.compare(&mut cart, &answered);
    till.enter(&cart, None, &[], &answered, at, "pos");
    let mut of_return = answered;
    of_return.reply.result.receipt_number = told.1;
    of_return.reply.consistency_token = told.1.map(|number| format!("{}:{number}", till.lane_of(&of_return)));
    till.finish_return(sale, back, Ok(of_return), at).await
}
