//! Whoever looks after what does not add up: finds where goods came from that were sold offline, and says so.
//! Two of them often look at the same.

use std::rc::Rc;
use std::time::Duration;

use tillstream_app::stock::exceptions::{Resolved, list, resolve};
use tillstream_app::tenancy::{Caller, Role};
use tillstream_contracts::inventory::{
    ExceptionQuery, ResolveExceptionRequest, StockException, StockExceptionPage,
};

use super::super::world::World;
use super::{Answer, Line, REOPENED, Request, Stopped};
use crate::shop::caller;

/// Who resolves at the same moment as a stock taker.
const COLLEAGUE: u64 = 100;

/// Works until the day is over.
pub async fn work(world: Rc<World>, tenant: usize, number: u64) -> Option<Stopped> {
    let owner = world.tenants.get(tenant)?;
    let caller = caller(&owner.id, &[Role::Operator]);
    let line = Line::of(&world, &owner.id);
    for count in 1_u64.. {
        line.rest(Duration::from_secs(200)).await;
        line.meet_others(90).await;
        let shop = world.chance.one_of(&owner.shops)?.id.clone();
        if line.begin(|| format!("{} stock taker {number} looks at {shop}", owner.id)).is_err() {
            return Some(Stopped);
        }
        let (sender, location) = (caller.clone(), shop.clone());
        let request: Request<StockExceptionPage> = Rc::new(move |ports| {
            let (caller, location_id) = (sender.clone(), location.clone());
            Box::pin(async move {
                let query = ExceptionQuery { location_id, status: None, limit: Some(50), cursor: None };
                list(&ports, &caller, &query).await
            })
        });
        let page = match line.send(request, |_: &StockExceptionPage| String::new()).await {
            Ok(page) => page,
            Err(refusal) => {
                line.expect_refusal(&refusal, &[]);
                return Some(Stopped);
            }
        };
        let Some(open) = page.items.first() else { continue };
        let id = open.exception_id.clone();
        if line.begin(|| format!("{} stock taker {number} resolves {id}", owner.id)).is_err() {
            return Some(Stopped);
        }
        let first = resolving(&caller, &id, format!("resolve-{number}-{count}"), &found_by(number));
        // Now and then a colleague has it open, too, and both say so at the same moment.
        if !world.chance.percent(40) {
            let answer = line.send_to("POST /v1/inventory/exceptions/{id}/resolve", first, named).await;
            finish(&line, &owner.id, &id, number, answer);
            continue;
        }
        let second = resolving(&caller, &id, format!("resolve-{number}-{count}-too"), &found_by(COLLEAGUE));
        let (one, other) = futures::join!(line.send(first, named), line.send(second, named));
        finish(&line, &owner.id, &id, number, one);
        finish(&line, &owner.id, &id, COLLEAGUE, other);
    }
    None
}

/// What all answers of one command say: the exception may be opened again between two of them.
fn named(done: &Resolved) -> String {
    done.exception.exception_id.clone()
}

fn found_by(number: u64) -> String {
    format!("found by {number}")
}

fn resolving(caller: &Caller, id: &str, key: String, reason: &str) -> Request<Resolved> {
    let (caller, id) = (caller.clone(), id.to_owned());
    let said = ResolveExceptionRequest { reason: reason.to_owned(), note: None };
    Rc::new(move |ports| {
        let (caller, id, key, said) = (caller.clone(), id.clone(), key.clone(), said.clone());
        Box::pin(async move { resolve(&ports, &caller, &key, &id, &said).await })
    })
}

fn finish(line: &Line, tenant: &str, id: &str, by: u64, answer: Answer<Resolved>) {
    match answer {
        Ok(done) => {
            // Another sale may have opened it again since.
            let said = reason_of(&done.exception);
            if !said.is_empty() && said != found_by(by) {
                line.world.fail("an exception is resolved once", format!("{id}: {said}, by {by} too"));
            }
            line.world.books.borrow_mut().resolved.insert((tenant.to_owned(), id.to_owned()));
        }
        // It was resolved, and another sale has opened it again since.
        Err(refusal) if refusal.code == REOPENED => {
            line.world.books.borrow_mut().resolved.insert((tenant.to_owned(), id.to_owned()));
        }
        // A count that finds enough closes what another count opened.
        Err(refusal) => line.expect_refusal(&refusal, &["exception_resolved", "exception_not_found"]),
    }
}

fn reason_of(exception: &StockException) -> String {
    exception.resolution.as_ref().map(|resolution| resolution.reason.clone()).unwrap_or_default()
}
