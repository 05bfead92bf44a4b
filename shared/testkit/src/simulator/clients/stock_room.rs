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
        let (kind, pieces) = what_happened(&world);
        let mut body = json!({
            "location_id": shop, "sku": goods.sku, "kind": kind,
            "quantity": set_up::quantity(owner, &goods.sku, 1_000 * pieces), "reason": "the stock room said so",
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
                let mut books = world.books.borrow_mut();
                let shelf = books.shelves.entry(key).or_default();
                let [on_hand, damaged] = match kind {
                    "set" => [change, 0],
                    "delta" => [pieces, 0],
                    "damage" => [-pieces, pieces],
                    "repair" => [pieces, -pieces],
                    _ => [0, -pieces],
                }
                .map(|by| if kind == "set" { by } else { 1_000 * by });
                shelf.on_hand += on_hand;
                shelf.damaged += damaged;
                drop(books);
                if change != on_hand {
                    world
                        .fail("an update does what it says", format!("{change}, not {kind} {pieces} pieces"));
                }
            }
            Err(refusal) => {
                // Nobody is told of which lot it is that is mended.
                let of_lots =
                    if goods.by_lots && kind == "repair" { "lot_required" } else { "insufficient_stock" };
                line.expect_refusal(&refusal, &["insufficient_stock", "version_conflict", of_lots]);
            }
        }
    }
    None
}

/// The kind of a stock update, and of how many pieces it is.
fn what_happened(world: &World) -> (&'static str, i64) {
    let chance = &world.chance;
    if chance.percent(15) {
        return ("set", chance.between(0, 60));
    }
    if chance.percent(15) {
        return (
            *chance.one_of(&["damage", "damage", "repair", "write_off"]).unwrap_or(&"damage"),
            chance.between(1, 3),
        );
    }
    if chance.percent(30) {
        return ("delta", -chance.between(1, 4));
    }
    ("delta", chance.between(1, 40))
}
