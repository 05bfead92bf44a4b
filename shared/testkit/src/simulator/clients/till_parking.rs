//! Carts that are put aside, and brought back by two registers at once.

use std::rc::Rc;

use serde_json::json;
use tillstream_app::pos::execute::Answered;

use super::Stopped;
use super::till::{Cart, Till};

/// What the register is refused for that was not the first.
const LATE: [&str; 2] = ["wrong_cart_state", "cart_of_another_register"];

/// Parks a cart; two registers of the store, often one and the same, bring it back at once, and the sale goes
/// on where it was brought back first.
pub async fn park_and_recall(till: &mut Till, cart: &mut Cart) -> Result<(), Stopped> {
    let own = till.register.clone();
    let answered = till.must("park_cart", json!({ "cart_id": cart.id, "note": "fetches the purse" })).await?;
    till.compare(cart, &answered);
    list(till, cart).await?;
    let payload = json!({ "cart_id": cart.id });
    let at = till.now();
    let first = till.request("recall_cart", payload.clone(), at)?;
    till.register = till.other_register();
    let second = till.request("recall_cart", payload, at);
    let other = std::mem::replace(&mut till.register, own);
    let second = match second {
        Ok(second) => second,
        Err(stopped) => {
            // What was begun is done, so that it is known where the cart is.
            let _ = till.send(first).await;
            return Err(stopped);
        }
    };
    let (first, second) = futures::join!(till.send(first), till.send(second));
    match (first, second) {
        (Ok(answered), Err(late)) => {
            till.line.expect_refusal(&late, &LATE);
            till.compare(cart, &answered);
        }
        (Err(late), Ok(answered)) => {
            till.line.expect_refusal(&late, &LATE);
            till.register = other;
            till.compare(cart, &answered);
        }
        (Ok(_), Ok(_)) => till.world().fail("a parked cart is brought back once", cart.id.clone()),
        (Err(one), Err(_)) => {
            till.line.expect_refusal(&one, &[]);
            return Err(Stopped);
        }
    }
    Ok(())
}

/// The list of the store's parked carts has it.
async fn list(till: &mut Till, cart: &Cart) -> Result<(), Stopped> {
    let at = till.now();
    let request = till.request("list_parked_carts", json!({ "limit": 200 }), at)?;
    // What others park and bring back meanwhile changes the answer.
    match till.line.send(Rc::clone(&request), |_: &Answered| String::new()).await {
        Ok(answered) => {
            till.world().note_use(&answered.reply.action);
            let result = &answered.reply.result;
            let found = result.parked_carts.iter().flatten().find(|parked| parked.cart_id == cart.id);
            let whole = result.next_cursor.is_none();
            let is_it = found.map(|parked| (parked.line_count, parked.total.amount));
            if (whole || found.is_some()) && is_it != Some((cart.lines.len(), cart.total())) {
                let seen =
                    format!("{}: {found:?}, of {} lines and {}", cart.id, cart.lines.len(), cart.total());
                till.world().fail("a parked cart is in the list", seen);
            }
        }
        Err(refusal) => till.line.expect_refusal(&refusal, &[]),
    }
    Ok(())
}
