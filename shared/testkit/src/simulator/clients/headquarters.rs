//! HQ's feeds: products and stock in versions, which arrive twice, late, in any order, and two at once.

use std::rc::Rc;
use std::time::Duration;

use tillstream_app::sync::entities::Entity;
use tillstream_app::sync::upload::{Upload, upload};
use tillstream_app::tenancy::{Caller, Role};
use tillstream_contracts::sync::UploadReply;

use super::super::price_book::PriceSet;
use super::super::set_up::{product_line, stock_line};
use super::super::world::{FED_GOODS, Tenant, World};
use super::{Line, Request, Stopped};
use crate::shop::caller;

/// Position of a product, its version and price.
type Change = (usize, u64, i64);

/// Works until the day is over.
pub async fn work(world: Rc<World>, tenant: usize, feeder: u64) -> Option<Stopped> {
    let owner = world.tenants.get(tenant)?;
    let caller = caller(&owner.id, &[Role::Integration]);
    let line = Line::of(&world, &owner.id);
    // What was sent before comes again: the version says which is newer, not the arrival.
    let mut sent: Vec<Change> = Vec::new();
    // Two feeders, each with versions of its own.
    let mut version = feeder;
    loop {
        line.rest(Duration::from_secs(100)).await;
        line.meet_others(70).await;
        if world.chance.percent(25) {
            version += 2;
            if feed_stock(&line, owner, &caller, version).await.is_err() {
                return Some(Stopped);
            }
            continue;
        }
        let mut uploads = Vec::new();
        for _ in 0..if world.chance.percent(40) { 2 } else { 1 } {
            version += 2;
            let lines = changes(&world, owner, version, &mut sent);
            for (at, _, price) in &lines {
                if let Some(goods) = owner.goods.get(*at) {
                    world.books.borrow_mut().price_may_be(&owner.id, &goods.sku, PriceSet::of(*price));
                }
            }
            let of = |(at, version, price): &Change| {
                let goods = owner.goods.get(*at);
                goods.map(|goods| product_line(&owner.id, goods, *version, *price)).unwrap_or_default()
            };
            let body: Rc<str> = lines.iter().map(of).collect::<String>().into();
            if line.begin(|| format!("{} feeds {body}", owner.id)).is_err() {
                return Some(Stopped);
            }
            world.books.borrow_mut().price_change_begins(&owner.id);
            uploads.push((lines, feed(&caller, Entity::Catalog, body)));
        }
        let sending = uploads.into_iter().map(|(lines, request)| {
            let line = line.clone();
            async move {
                let told = |reply: &UploadReply| format!("{} failed", reply.failed);
                (lines, line.send(request, told).await)
            }
        });
        for (lines, answer) in futures::future::join_all(sending).await {
            match answer {
                Ok(reply) if reply.failed == 0 => {
                    fed(&world, Entity::Catalog);
                    let mut books = world.books.borrow_mut();
                    for (at, version, price) in lines {
                        let Some(goods) = owner.goods.get(at) else { continue };
                        let key = (owner.id.clone(), goods.sku.clone());
                        let known = books.products.entry(key).or_default();
                        if version > known.0 {
                            *known = (version, price);
                        }
                    }
                    books.price_change_is_over(&owner.id);
                }
                Ok(reply) => world.fail("a good line is taken", format!("{reply:?}")),
                Err(refusal) => line.expect_refusal(&refusal, &[]),
            }
        }
    }
}

/// Some products at a version, and now and then what was sent before.
fn changes(world: &World, owner: &Tenant, version: u64, sent: &mut Vec<Change>) -> Vec<Change> {
    let mut lines = Vec::new();
    for _ in 0..1 + world.chance.below(3) {
        let at = world.chance.index(owner.goods.len().min(FED_GOODS));
        lines.push((at, version, world.chance.between(1, 200_000)));
    }
    if world.chance.percent(50)
        && let Some(old) = world.chance.one_of(sent)
    {
        lines.push(*old);
    }
    // Within one upload, each product once: two lines of one version would be a contradiction.
    lines.sort_unstable();
    lines.dedup_by_key(|(at, version, _)| (*at, *version));
    if world.chance.percent(50) {
        lines.reverse();
    }
    sent.extend(&lines);
    lines
}

/// HQ says what is on hand of one product, which is left to it; some say an older version once more.
async fn feed_stock(line: &Line, owner: &Tenant, caller: &Caller, version: u64) -> Result<(), Stopped> {
    let world = &line.world;
    let (Some(shop), Some(goods)) =
        (world.chance.one_of(&owner.shops), owner.goods.iter().rev().find(|goods| goods.is_stocked))
    else {
        return Ok(());
    };
    let old = version.saturating_sub(2 * world.chance.below(4)).max(2);
    let body: String = [old, version]
        .iter()
        .skip(usize::from(old == version))
        .map(|version| {
            // A version says the same whenever it is sent.
            let on_hand = 1_000 * (i64::try_from(version * 37 % 90).unwrap_or(0) + 10);
            stock_line(owner, &shop.id, &goods.sku, *version, on_hand)
        })
        .collect();
    // When it takes effect among the sales nobody can tell.
    let key = (owner.id.clone(), (shop.id.clone(), goods.sku.clone()));
    world.books.borrow_mut().shelves.entry(key).or_default().was_fed = true;
    line.begin(|| format!("{} feeds {body}", owner.id))?;
    let request = feed(caller, Entity::Inventory, body.into());
    match line.send(request, |reply: &UploadReply| format!("{} failed", reply.failed)).await {
        Ok(reply) if reply.failed == 0 => fed(world, Entity::Inventory),
        Ok(reply) => world.fail("a good line is taken", format!("{reply:?}")),
        Err(refusal) => line.expect_refusal(&refusal, &[]),
    }
    Ok(())
}

/// Notes that lines of a feed were taken.
pub(super) fn fed(world: &World, entity: Entity) {
    world.note_use("POST /v1/sync/{entity}");
    world.note_use(&format!("feed {}", entity.name()));
}

/// A request with a feed's lines.
pub(super) fn feed(caller: &Caller, entity: Entity, body: Rc<str>) -> Request<UploadReply> {
    let caller = caller.clone();
    Rc::new(move |ports| {
        let (caller, body) = (caller.clone(), body.clone());
        Box::pin(async move {
            let deadline = ports.environment.now() + jiff::SignedDuration::from_secs(60);
            let feed = Upload { entity, body: body.as_bytes(), from: 1, deadline };
            upload(&ports, &caller, feed).await
        })
    })
}
