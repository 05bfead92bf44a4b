//! Somebody who reads figures while they change, and holds answers to their word.

use std::rc::Rc;
use std::time::Duration;

use tillstream_app::analytics::dashboard::dashboard;
use tillstream_app::analytics::{Answer, consistency_token};
use tillstream_app::tenancy::Role;
use tillstream_contracts::analytics::{DashboardQuery, DashboardReply, LaneMark};

use super::super::books::Order;
use super::super::world::World;
use super::{Line, Request, Stopped};
use crate::shop::caller;

/// Works until the day is over.
pub async fn work(world: Rc<World>, tenant: usize) -> Option<Stopped> {
    let owner = world.tenants.get(tenant)?;
    let caller = caller(&owner.id, &[Role::Analyst]);
    let line = Line::of(&world, &owner.id);
    loop {
        line.rest(Duration::from_secs(60)).await;
        if line.is_over() {
            return Some(Stopped);
        }
        let picked = {
            let books = world.books.borrow();
            let mine: Vec<_> = books.orders.iter().filter(|((of, _), _)| *of == owner.id).collect();
            world.chance.one_of(&mine).map(|(_, order)| (*order).clone())
        };
        let Some(order) = picked else { continue };
        let token = format!("{}:{}", order.lane, order.number);
        if line.begin(|| format!("{} reads {} with {token}", owner.id, order.day)).is_err() {
            return Some(Stopped);
        }
        let Ok(number) = consistency_token(&token) else {
            world.fail("a token can be read", token);
            return Some(Stopped);
        };
        let sender = caller.clone();
        let (store, day) = (order.store.clone(), order.day.to_string());
        let request: Request<Answer<DashboardReply>> = Rc::new(move |ports| {
            let (caller, number) = (sender.clone(), number.clone());
            let query = DashboardQuery { store_id: Some(store.clone()), date: Some(day.clone()) };
            Box::pin(async move { dashboard(&ports, &caller, &query, Some(&number)).await })
        });
        let route = "GET /v1/analytics/dashboard";
        match line.send_to(route, request, |_: &Answer<DashboardReply>| String::new()).await {
            Ok(answer) => {
                let lanes = &answer.reply.watermark.lanes;
                let claimed = |of: &Order| lanes.get(&of.lane).is_some_and(|mark| claims(mark, of.number));
                let mark = lanes.get(&order.lane);
                if answer.satisfied == Some(true) && !mark.is_some_and(|mark| may_hold(mark, order.number)) {
                    world.fail("a token that is satisfied is in the watermark", format!("{token}: {mark:?}"));
                }
                let shown: u64 =
                    answer.reply.rows.iter().map(|row| row.metrics.orders + row.metrics.return_orders).sum();
                let books = world.books.borrow();
                let of_day = |(of, _): &(String, String), other: &Order| {
                    *of == owner.id && other.store == order.store && other.day == order.day
                };
                let least =
                    books.orders.iter().filter(|(id, other)| of_day(id, other) && claimed(other)).count();
                if shown < u64::try_from(least).unwrap_or(u64::MAX) {
                    let seen =
                        format!("{}, {}: {shown} orders of {least}: {lanes:?}", order.store, order.day);
                    drop(books);
                    world.fail("what the watermark claims is in the figures", seen);
                }
            }
            Err(refusal) => line.expect_refusal(&refusal, &[]),
        }
    }
}

/// Whether a lane's mark says that a number is counted; past the last gap no number is named.
fn claims(mark: &LaneMark, number: u64) -> bool {
    let ends_behind = |(_, to): &(u64, u64)| *to >= number;
    let named = number <= mark.through || mark.gaps.iter().any(ends_behind);
    named && !is_missing(mark, number)
}

/// Whether a lane's mark may hold a number: what is past the last gap is the token's affair.
fn may_hold(mark: &LaneMark, number: u64) -> bool {
    let reaches = |(_, to): &(u64, u64)| *to < number;
    (number <= mark.through || mark.gaps.iter().any(reaches)) && !is_missing(mark, number)
}

fn is_missing(mark: &LaneMark, number: u64) -> bool {
    mark.gaps.iter().any(|(from, to)| (*from..=*to).contains(&number))
}
