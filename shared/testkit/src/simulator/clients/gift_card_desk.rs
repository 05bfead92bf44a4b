//! Whoever looks after gift cards: issues them, pays in and out, blocks them and lets them be spent again. Two of
//! them, and all tills, are at the same few.

use std::rc::Rc;
use std::time::Duration;

use serde_json::json;
use tillstream_app::stored_value::administer::{
    Answer as Administered, block, credit, debit, issue, unblock,
};
use tillstream_app::tenancy::Role;

use super::super::world::World;
use super::{Line, Request, Stopped};
use crate::shop::caller;

/// Gift cards of a tenant that has any.
const CARDS: u64 = 4;

/// What is done to a gift card.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Step {
    Issue(i64),
    Credit(i64),
    Debit(i64),
    Block,
    Unblock,
}

impl Step {
    fn route(self) -> &'static str {
        match self {
            Step::Issue(_) => "POST /v1/stored-value",
            Step::Credit(_) => "POST /v1/stored-value/{id}/credit",
            Step::Debit(_) => "POST /v1/stored-value/{id}/debit",
            Step::Block => "POST /v1/stored-value/{id}/block",
            Step::Unblock => "POST /v1/stored-value/{id}/unblock",
        }
    }
}

/// The number of one of a tenant's gift cards.
pub fn number(of: u64) -> String {
    format!("GC-{:05}", of % CARDS)
}

/// Works until the day is over.
pub async fn work(world: Rc<World>, tenant: usize, employee: u64) -> Option<Stopped> {
    let owner = world.tenants.get(tenant)?;
    if !owner.rules.has_gift_cards {
        return None;
    }
    let line = Line::of(&world, &owner.id);
    for count in 1_u64.. {
        line.rest(Duration::from_secs(90)).await;
        line.meet_others(60).await;
        // Often both are at the same card.
        let moment = u64::try_from(world.now().as_second() / 60).unwrap_or(0);
        let id = number(if world.chance.percent(60) { moment } else { world.chance.next() });
        let is_issued = world.books.borrow().gift_cards.contains_key(&(owner.id.clone(), id.clone()));
        let step = match world.chance.below(10) {
            _ if !is_issued => Step::Issue(world.chance.between(0, 60_000)),
            0..5 => Step::Credit(world.chance.between(1, 30_000)),
            5..8 => Step::Debit(taken(&world, &owner.id, &id)),
            8 => Step::Block,
            _ => Step::Unblock,
        };
        let key = format!("gift-card-{employee}-{count}");
        if line.begin(|| format!("{} {key}: {step:?} {id}", owner.id)).is_err() {
            return Some(Stopped);
        }
        let caller = caller(&owner.id, &[Role::Operator]);
        let named = id.clone();
        let request: Request<Administered> = Rc::new(move |ports| {
            let (caller, key, id) = (caller.clone(), key.clone(), named.clone());
            Box::pin(async move {
                let reason = json!({ "reason": "asked for" });
                let any = |_| Ok(());
                let moved = |amount: i64| json!({ "amount": amount, "reason": "asked for" });
                match step {
                    Step::Issue(amount) => {
                        let body = json!({
                            "id": id, "kind": "gift_card", "currency": "GBP", "amount": amount,
                            "reason": "asked for",
                        });
                        issue(&ports, &caller, &key, read(body)?).await
                    }
                    Step::Credit(amount) => {
                        credit(&ports, &caller, &key, &id, read(moved(amount))?, any).await
                    }
                    Step::Debit(amount) => debit(&ports, &caller, &key, &id, read(moved(amount))?, any).await,
                    Step::Block => block(&ports, &caller, &key, &id, read(reason)?, any).await,
                    Step::Unblock => unblock(&ports, &caller, &key, &id, read(reason)?, any).await,
                }
            })
        });
        // What it holds now may be told by every answer anew.
        let named = |done: &Administered| done.stored_value.id.clone();
        match line.send_to(step.route(), request, named).await {
            Ok(_) => enter(&world, &(owner.id.clone(), id), step),
            Err(refusal) => {
                let expected: &[&str] = match step {
                    Step::Issue(_) => &["stored_value_exists"],
                    Step::Debit(_) => &["insufficient_balance"],
                    Step::Unblock => &["stored_value_not_blocked"],
                    Step::Block => &["stored_value_blocked"],
                    Step::Credit(_) => &[],
                };
                line.expect_refusal(&refusal, expected);
            }
        }
    }
    None
}

/// What is taken of a card: often more than half of what it holds, so that it does not bear two of these.
fn taken(world: &World, tenant: &str, card: &str) -> i64 {
    let books = world.books.borrow();
    let held = books.gift_cards.get(&(tenant.to_owned(), card.to_owned())).map_or(0, |card| card.balance);
    match held > 1 && world.chance.percent(60) {
        true => world.chance.between(held / 2 + 1, held),
        false => world.chance.between(1, 20_000),
    }
}

fn read<T: serde::de::DeserializeOwned>(body: serde_json::Value) -> tillstream_app::Result<T> {
    serde_json::from_value(body).map_err(tillstream_app::Error::bug)
}

fn enter(world: &World, card: &(String, String), step: Step) {
    let mut books = world.books.borrow_mut();
    let mut entered = Ok(());
    match step {
        Step::Issue(amount) => entered = books.issue_gift_card(card, amount),
        Step::Credit(amount) => books.move_gift_card(card, amount),
        Step::Debit(amount) => books.move_gift_card(card, -amount),
        Step::Block | Step::Unblock => {}
    }
    drop(books);
    if let Err(seen) = entered {
        world.fail("a gift card is issued once", seen);
    }
}
