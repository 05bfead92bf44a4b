//! Another system, which tells of what it sold: some days late, and some of it from a stock that it keeps
//! itself.

use std::rc::Rc;
use std::time::Duration;

use serde_json::json;
use tillstream_app::orders::record::record;
use tillstream_app::pos::cart_write::Executed;
use tillstream_app::tenancy::Role;
use tillstream_contracts::orders::RecordSale;

use super::super::books::{Line as Sold, Paid};
use super::super::set_up::{self, decimal};
use super::super::world::World;
use super::till::pounds;
use super::web_shop::{Elsewhere, charged, enter};
use super::{Line, Request, Stopped};
use crate::shop::caller;

/// Its channel.
pub const CHANNEL: &str = "market";

/// Works until the day is over.
pub async fn work(world: Rc<World>, tenant: usize) -> Option<Stopped> {
    let owner = world.tenants.get(tenant)?;
    let caller = caller(&owner.id, &[Role::Integration]);
    let line = Line::of(&world, &owner.id);
    for count in 1_u64.. {
        line.rest(Duration::from_secs(90)).await;
        let (chance, id) = (&world.chance, format!("o-market-{count}"));
        let shop = chance.one_of(&owner.shops)?;
        let mut lines = Vec::new();
        for number in 1..=1 + u32::try_from(chance.below(3)).unwrap_or(0) {
            let goods = chance.one_of(&owner.goods)?;
            let quantity = if goods.is_weighed { chance.between(1, 2_500) } else { 1_000 };
            lines.push(Sold::of(number, goods.sku.clone(), quantity, chance.between(1, 80_000)));
        }
        let total: i64 = lines.iter().map(|line| line.worth).sum();
        let is_plain = owner.rules.is_plain();
        let on_account = !is_plain || total == 0 || chance.percent(30);
        let moved = chance.percent(40);
        // It rounds otherwise now and then.
        let rounding = match count % 5 {
            1 if is_plain && !on_account && total > 100 => 1,
            3 if is_plain && !on_account && total > 100 => -1,
            _ => 0,
        };
        let at = world.now().checked_sub(jiff::SignedDuration::from_secs(chance.between(0, 3 * 86_400)));
        let Ok(at) = at else { continue };
        let shown: Vec<_> = lines
            .iter()
            .map(|line| {
                let quantity = set_up::quantity(owner, &line.sku, line.quantity);
                json!({ "sku": line.sku, "quantity": quantity, "unit_price": decimal(line.price) })
            })
            .collect();
        let body = json!({
            "order_id": id, "store_id": shop.id, "channel": CHANNEL, "occurred_at": at.to_string(),
            "register_id": "old-1", "receipt_reference": format!("R {count}"), "lines": shown,
            "payments": if on_account { json!([]) } else { json!([{ "tender": "card", "amount": pounds(total + rounding) }]) },
            "stock_already_moved": moved,
        });
        let Ok(sale) = serde_json::from_value::<RecordSale>(body) else {
            world.fail("the simulator works", "a sale that is none");
            return Some(Stopped);
        };
        if line.begin(|| format!("{} records {id} of {at}, moved: {moved}", owner.id)).is_err() {
            return Some(Stopped);
        }
        let begun_at = world.now();
        let (sender, key) = (caller.clone(), id.clone());
        let request: Request<Executed> = Rc::new(move |ports| {
            let (caller, key, sale) = (sender.clone(), key.clone(), sale.clone());
            Box::pin(async move { record(&ports, &caller, &key, sale).await })
        });
        let essence = |done: &Executed| format!("{:?} {:?}", done.outcome, done.cart.finalized);
        match line.send_to("POST /v1/sales/record", request, essence).await {
            Ok(done) => {
                if done.cart.finalized.as_ref().is_some_and(|is| is.at != at) {
                    world.fail("a recorded sale is of the time that it tells", format!("{id}: {at}"));
                }
                let (lines, total) = if is_plain { (lines, total) } else { charged(lines, &done.cart) };
                let tender = if on_account { "account" } else { "card" };
                let paid = if total == 0 { Vec::new() } else { vec![Paid::by(tender, total + rounding)] };
                let employee = caller.subject.as_str();
                let (channel, coupons) = (CHANNEL, Vec::new());
                let place = Elsewhere { owner, shop, employee, channel, moved, rounding, coupons, begun_at };
                enter(&world, &place, &id, (lines, paid), &done);
            }
            Err(refusal) => line.expect_refusal(&refusal, &[]),
        }
    }
    None
}
