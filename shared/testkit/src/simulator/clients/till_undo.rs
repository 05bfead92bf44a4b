//! Whole orders that are undone at a till, now and then while a return of the same order is on its way.

use jiff::Timestamp;
use serde_json::json;
use tillstream_app::pos::execute::Answered;

use super::super::books::Order;
use super::till::{Cart, Till};
use super::till_returns::Settles;
use super::{Answer, Stopped};

/// For what else than a role a void may be refused.
const REFUSALS: [&str; 6] = [
    "order_of_exchange",
    "order_of_another_day",
    "order_of_another_store",
    "order_already_returned",
    "order_already_voided",
    "order_status_conflict",
];

/// Undoes a sale; or tries to.
pub async fn void_order(till: &mut Till) -> Result<(), Stopped> {
    let Some((sale, lines)) = till.pick_sale(true) else { return till.sale().await };
    let own = till.register.clone();
    // At another register, if there is one: two commands of one lane wait for each other anyway.
    let other = till.other_register();
    let rival = if till.world().chance.percent(40) {
        till.register.clone_from(&other);
        let rival = till.prepare_return(&sale, lines, Settles::ByRefund).await;
        till.register.clone_from(&own);
        rival?
    } else {
        till.line.meet_others(60).await;
        None
    };
    let at = till.now();
    let payload = json!({ "order_id": sale, "reason": "rung up wrongly" });
    let request = till.request("void_order", payload, at)?;
    let employee = till.employee();
    let Some(back) = rival else {
        let answer = till.send(request).await;
        finish(till, &sale, answer, at, &employee);
        return Ok(());
    };
    till.register.clone_from(&other);
    let returning = till.finalize_return(&back, at);
    till.register.clone_from(&own);
    let (voided, returned) = futures::join!(till.send(request), till.send(returning?));
    finish(till, &sale, voided, at, &employee);
    till.register = other;
    let done = till.finish_return(&sale, back, returned, at).await;
    till.register = own;
    done
}

fn finish(till: &Till, sale: &str, answer: Answer<Answered>, at: Timestamp, employee: &str) {
    let answered = match answer {
        Ok(answered) => answered,
        Err(refusal) => {
            if !till.may_lack_a_shift(&refusal) {
                till.line.expect_refusal(&refusal, &REFUSALS);
            }
            return;
        }
    };
    let key = (till.caller.scope.tenant_id().to_owned(), sale.to_owned());
    let Some(order) = till.world().books.borrow().orders.get(&key).cloned() else { return };
    let Some(id) = answered.reply.result.order_id.clone() else {
        return till.world().fail("a final order tells its number", "a void without a return");
    };
    let cart = Cart {
        id,
        opened_at: till.asked_at(),
        employee: employee.to_owned(),
        lines: order.lines.iter().map(|line| (line.number, line.clone())).collect(),
        payments: (1..).zip(&order.payments).map(|(n, paid)| (format!("p-{n:09}"), paid.clone())).collect(),
        rounding: order.rounding,
        ..Cart::default()
    };
    till.enter(&cart, Some(sale), &[], &answered, at, &order.channel);
    let mut books = till.world().books.borrow_mut();
    let undone = books.undo(&key, "voided", 2);
    drop(books);
    if let Err(seen) = undone {
        till.world().fail("an order is undone once", seen);
    }
}

/// The return that undoes an order: all of it, by the same tenders.
pub fn turned_round(order: &Order, sale: &str) -> Order {
    Order {
        is_return: true,
        sale: Some(sale.to_owned()),
        offline: false,
        statuses: vec!["returned".to_owned()],
        coupons: Vec::new(),
        settled: Vec::new(),
        ..order.clone()
    }
}
