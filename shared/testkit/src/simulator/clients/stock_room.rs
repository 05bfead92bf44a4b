//! The stock room: goods come, are counted, are lost.

use std::rc::Rc;
use std::time::Duration;

use serde_json::json;
use tillstream_app::stock::update::{Answer, update};
use tillstream_app::tenancy::Role;
use tillstream_contracts::inventory::StockUpdateRequest;
use tillstream_domain::quantity::Unit;

use super::super::set_up;
use super::super::world::World;
use super::{Line, Request, Stopped};
use crate::shop::caller;

/// Works until the day is over.
pub async fn work(world: Rc<World>, tenant: usize, shop: usize) -> Option<Stopped> {
    let owner = world.tenants.get(tenant)?;
    let shop = owner.shops.get(shop)?.id.clone();
    let caller = caller(&owner.id, &[Role::Operator]);
    let line = Line::of(&world, &owner.id);
    for number in 1_u64.. {
        line.rest(Duration::from_secs(50)).await;
        let stocked: Vec<_> = owner.goods.iter().filter(|goods| goods.is_stocked).collect();
        let goods = world.chance.one_of(&stocked)?;
        let unit = if goods.is_weighed { Unit::Kg } else { Unit::Piece };
        let counts = world.chance.percent(15);
        let quantity = match (counts, world.chance.percent(30)) {
            (true, _) => world.chance.between(0, 60),
            (false, true) => -world.chance.between(1, 4),
            (false, false) => world.chance.between(1, 40),
        };
        let mut body = json!({
            "location_id": shop, "sku": goods.sku, "kind": if counts { "set" } else { "delta" },
            "quantity": set_up::quantity(owner, &goods.sku, 1_000 * quantity), "reason": "the stock room said so",
        });
        if world.chance.percent(10) {
            body["expected_version"] = json!(world.chance.below(40));
        }
        let request: StockUpdateRequest = serde_json::from_value(body.clone()).ok()?;
        if line.begin(|| format!("{} {body}", caller.scope.tenant_id())).is_err() {
            return Some(Stopped);
        }
        let (sender, key) = (caller.clone(), format!("u-{shop}-{number}"));
        let request: Request<Answer> = Rc::new(move |ports| {
            let (sender, key, request) = (sender.clone(), key.clone(), request.clone());
            Box::pin(async move { update(&ports, &sender, &key, &request, |_| Ok(())).await })
        });
        let told = |answer: &Answer| format!("{:?}", answer.updated);
        match line.send_to("POST /v1/inventory/update", request, told).await {
            Ok(answer) => {
                let change = answer.updated.change.resolve(unit).map_or(0, |change| change.thousandths());
                let key = (owner.id.clone(), (shop.clone(), goods.sku.clone()));
                world.books.borrow_mut().shelves.entry(key).or_default().on_hand += change;
                if !counts && change != 1_000 * quantity {
                    world.fail("an update does what it says", format!("{change}, not {quantity} pieces"));
                }
            }
            Err(refusal) => line.expect_refusal(&refusal, &["insufficient_stock", "version_conflict"]),
        }
    }
    None
}
