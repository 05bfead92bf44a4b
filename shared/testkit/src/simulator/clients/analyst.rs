//! Somebody who reads figures while they change, and holds answers to their word.

use std::rc::Rc;
use std::time::Duration;

use tillstream_app::analytics::dashboard::dashboard;
use tillstream_app::analytics::{Answer, consistency_token};
use tillstream_app::tenancy::Role;
use tillstream_contracts::analytics::{DashboardQuery, DashboardReply};

use super::super::world::World;
use super::{Line, Request, Stopped};
use crate::shop::caller;

/// Works until the day is over.
pub async fn work(world: Rc<World>, tenant: usize) -> Option<Stopped> {
    let owner = world.tenants.get(tenant)?;
    let caller = caller(&owner.id, &[Role::Analyst]);
    let line = Line { world: world.clone() };
    loop {
        line.think(Duration::from_secs(60)).await;
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
        match line.send(request, |_: &Answer<DashboardReply>| String::new()).await {
            Ok(answer) => {
                let claimed = answer.reply.watermark.lanes.get(&order.lane);
                let is_in = claimed.is_some_and(|mark| {
                    let is_missing = |(from, to): &(u64, u64)| (*from..=*to).contains(&order.number);
                    // Past the last gap nothing is named: there what the token says must do.
                    let reaches = |(_, to): &(u64, u64)| *to < order.number;
                    let known = order.number <= mark.through || mark.gaps.iter().any(reaches);
                    known && !mark.gaps.iter().any(is_missing)
                });
                if answer.satisfied == Some(true) && !is_in {
                    world.fail(
                        "a token that is satisfied is in the watermark",
                        format!("{token}: {claimed:?}"),
                    );
                }
                let shown: u64 =
                    answer.reply.rows.iter().map(|row| row.metrics.orders + row.metrics.return_orders).sum();
                if answer.satisfied == Some(true) && shown == 0 {
                    world.fail("what the watermark claims is in the figures", token);
                }
            }
            Err(refusal) => line.expect_refusal(&refusal, &[]),
        }
    }
}
