//! Whoever looks after lots: takes goods of them in, that end soon, late or never, writes some off, says of which lot
//! goods are that were of no known one, recalls lots and lets them go again, everywhere or at one location, and asks who
//! got them. Two of them, often at the same lot; only the first recalls.

use std::collections::BTreeSet;
use std::rc::Rc;
use std::time::Duration;

use jiff::Span;
use jiff::civil::Date;
use serde_json::json;
use tillstream_app::stock::lots::recall::{self, Change};
use tillstream_app::stock::lots::{here, list, sold};
use tillstream_app::stock::restock::{self, restock};
use tillstream_app::stock::update::{self, update};
use tillstream_app::tenancy::{Caller, Role};
use tillstream_contracts::inventory::{RestockRequest, StockUpdateRequest};
use tillstream_contracts::lots::{ChangeLotRequest, LotDetail, LotSalePage, LotStatus};
use tillstream_domain::quantity::{QuantityInput, Unit};

use super::super::books::{Goods, KnownLot, Of, Shop};
use super::super::invariants::lots::HERE;
use super::super::invariants::lots_at_rest::is_right;
use super::super::set_up;
use super::super::world::{Tenant, World};
use super::{Answer, Line, Request, Stopped};
use crate::shop::caller;

/// After so many commands of the day other lots come.
const COMMANDS_OF_A_LOT: u64 = 250;
/// So many lots of each of the goods come at a time.
const LOTS_AT_A_TIME: u64 = 3;
/// For so long both see to the same lot, mostly.
const MOMENT_MILLIS: i64 = 20_000;

struct Keeper<'a> {
    line: Line,
    owner: &'a Tenant,
    caller: Caller,
    /// The goods that are kept by lots.
    kept: Vec<&'a Goods>,
    number: u64,
    count: u64,
}

/// Works until the day is over.
pub async fn work(world: Rc<World>, tenant: usize, number: u64) -> Option<Stopped> {
    let owner = world.tenants.get(tenant)?;
    let kept: Vec<&Goods> = owner.goods.iter().filter(|goods| goods.by_lots).collect();
    if kept.is_empty() {
        return None;
    }
    let caller = caller(&owner.id, &[Role::Operator]);
    let line = Line::of(&world, &owner.id);
    let mut keeper = Keeper { line, owner, caller, kept, number, count: 0 };
    loop {
        keeper.line.rest(Duration::from_secs(30)).await;
        keeper.line.meet_others(50).await;
        if keeper.line.is_over() {
            return Some(Stopped);
        }
        let done = match world.chance.below(32) {
            9..12 => keeper.write_off().await,
            12..17 if number == 0 => keeper.change(Change::Quarantine).await,
            17..21 if number == 0 => keeper.change(Change::Release).await,
            21..23 => keeper.ask().await,
            23..26 if number == 0 => keeper.change_here(Change::Quarantine).await,
            26..29 if number == 0 => keeper.change_here(Change::Release).await,
            29..31 => keeper.assign().await,
            _ => keeper.receive().await,
        };
        if done.is_err() {
            return Some(Stopped);
        }
    }
}

impl Keeper<'_> {
    fn world(&self) -> &World {
        &self.line.world
    }

    fn key(&mut self, what: &str) -> String {
        self.count += 1;
        format!("{what}-{}-{}", self.number, self.count)
    }

    fn of(&self, lot: &str) -> Of<String> {
        (self.owner.id.clone(), lot.to_owned())
    }

    /// A lot that may come now, and its goods: mostly the one that the other sees to, too.
    fn coming(&self) -> Option<(String, &Goods)> {
        let (world, chance) = (self.world(), &self.world().chance);
        let moment = world.now().as_millisecond() / (MOMENT_MILLIS / i64::from(world.haste));
        let drawn = match chance.percent(60) {
            true => u64::try_from(moment).unwrap_or(0).wrapping_mul(0x9e37_79b9) >> 8,
            false => chance.next() >> 8,
        };
        let of_goods = usize::try_from(drawn % 1_000).unwrap_or(0) % self.kept.len();
        let goods = *self.kept.get(of_goods)?;
        let many = world.commands.get() / COMMANDS_OF_A_LOT;
        Some((format!("L-{}-{many}-{}", goods.sku, drawn / 1_000 % LOTS_AT_A_TIME), goods))
    }

    /// A lot of which something came, and its goods.
    fn known(&self, is_it: impl Fn(&KnownLot) -> bool) -> Option<(String, KnownLot)> {
        let of_moment = self.coming().map(|(lot, _)| self.of(&lot));
        let books = self.world().books.borrow();
        let mine =
            books.lots.iter().filter(|((of, _), lot)| *of == self.owner.id && lot.has_come && is_it(lot));
        let mine: Vec<_> = mine.collect();
        let same = mine.iter().find(|(key, _)| Some(*key) == of_moment.as_ref());
        let ((_, id), lot) = same.or_else(|| self.world().chance.one_of(&mine))?;
        Some((id.clone(), (*lot).clone()))
    }

    fn shop(&self) -> Option<&Shop> {
        self.world().chance.one_of(&self.owner.shops)
    }

    /// The last day of a lot that comes to a shop now: over already, soon, late, or none.
    fn last_day(&self, shop: &Shop) -> Option<Date> {
        let (today, _) = shop.day_and_hour(self.world().now()).ok()?;
        let days = match self.world().chance.below(20) {
            0 => -1,
            1..9 => 0,
            9..14 => 1,
            14..18 => 30,
            _ => return None,
        };
        today.checked_add(Span::new().days(days)).ok()
    }

    async fn receive(&mut self) -> Result<(), Stopped> {
        let (Some((lot, goods)), Some(shop)) = (self.coming(), self.shop()) else { return Ok(()) };
        let (sku, shop_id) = (goods.sku.clone(), shop.id.clone());
        let of_lot = self.of(&lot);
        let known = self.world().books.borrow().lots.get(&of_lot).cloned();
        let known = known.unwrap_or_else(|| KnownLot {
            sku: sku.clone(),
            expires_on: self.last_day(shop),
            has_come: false,
            is_recalled: false,
            held_at: BTreeSet::new(),
        });
        // Both say the same of it, from the first on.
        self.world().books.borrow_mut().lots.insert(of_lot.clone(), known.clone());
        let chance = &self.world().chance;
        let quantity = 1_000 * chance.between(1, 12);
        let mut body = json!({
            "location_id": shop_id, "sku": sku, "lot": lot,
            "quantity": set_up::quantity(self.owner, &sku, quantity),
        });
        if let Some(day) = known.expires_on.filter(|_| !known.has_come || chance.percent(60)) {
            body["expires_on"] = json!(day);
        }
        let key = self.key("lot-in");
        self.line.begin(|| format!("{} {key}: {body}", self.owner.id))?;
        let request: RestockRequest = self.read(body)?;
        let request: Request<restock::Answer> = {
            let caller = self.caller.clone();
            Rc::new(move |ports| {
                let (caller, key, request) = (caller.clone(), key.clone(), request.clone());
                Box::pin(async move { restock(&ports, &caller, &key, &request).await })
            })
        };
        match self
            .line
            .send_to("POST /v1/inventory/restock", request, |answer: &restock::Answer| {
                format!("{:?}", answer.restocked)
            })
            .await
        {
            Ok(answer) => {
                let mut books = self.world().books.borrow_mut();
                books.shelf(&self.owner.id, &shop_id, &sku).on_hand += quantity;
                let key = (self.owner.id.clone(), answer.restocked.restock_id);
                books.supply.restocks.insert(key, (shop_id.clone(), sku.clone(), quantity));
                if let Some(known) = books.lots.get_mut(&of_lot) {
                    known.has_come = true;
                }
            }
            Err(refusal) => self.line.expect_refusal(&refusal, &["too_many_lots"]),
        }
        Ok(())
    }

    /// Some of a lot is thrown away, or found.
    async fn write_off(&mut self) -> Result<(), Stopped> {
        let (Some((lot, known)), Some(shop)) = (self.known(|_| true), self.shop()) else { return Ok(()) };
        let (sku, shop_id) = (known.sku, shop.id.clone());
        let chance = &self.world().chance;
        let quantity =
            if chance.percent(25) { 1_000 * chance.between(1, 2) } else { -1_000 * chance.between(1, 4) };
        // It is found, or gone; or mended, or damaged.
        let (kind, asked, damaged) = match chance.percent(30) {
            true if quantity > 0 => ("repair", quantity, -quantity),
            true => ("damage", -quantity, -quantity),
            false => ("delta", quantity, 0),
        };
        let body = json!({
            "location_id": shop_id, "sku": sku, "lot": lot, "kind": kind,
            "quantity": set_up::quantity(self.owner, &sku, asked), "reason": "looked at",
        });
        let request = self.updating("lot-looked-at", body)?;
        match self.send_update(request).await {
            Ok(_) => {
                let mut books = self.world().books.borrow_mut();
                let shelf = books.shelf(&self.owner.id, &shop_id, &sku);
                shelf.on_hand += quantity;
                shelf.damaged += damaged;
            }
            Err(refusal) => self.line.expect_refusal(&refusal, &["insufficient_stock"]),
        }
        Ok(())
    }

    /// A stock update that is begun, and not sent yet.
    fn updating(&mut self, what: &str, body: serde_json::Value) -> Result<Request<update::Answer>, Stopped> {
        let key = self.key(what);
        self.line.begin(|| format!("{} {key}: {body}", self.owner.id))?;
        let request: StockUpdateRequest = self.read(body)?;
        let caller = self.caller.clone();
        Ok(Rc::new(move |ports| {
            let (caller, key, request) = (caller.clone(), key.clone(), request.clone());
            Box::pin(async move { update(&ports, &caller, &key, &request, |_| Ok(())).await })
        }))
    }

    async fn send_update(&self, request: Request<update::Answer>) -> Answer<update::Answer> {
        let told = |answer: &update::Answer| format!("{:?}", answer.updated);
        self.line.send_to("POST /v1/inventory/update", request, told).await
    }

    /// Says of which lot some of the goods at a shop are that were of no known one.
    async fn assign(&mut self) -> Result<(), Stopped> {
        let (Some((lot, known)), Some(shop)) = (self.known(|_| true), self.shop()) else { return Ok(()) };
        let quantity = 1_000 * self.world().chance.between(1, 4);
        let body = json!({
            "location_id": shop.id, "sku": known.sku, "lot": lot, "kind": "assign",
            "quantity": set_up::quantity(self.owner, &known.sku, quantity), "reason": "read on the box",
        });
        let request = self.updating("lot-read", body)?;
        if let Err(refusal) = self.send_update(request).await {
            self.line.expect_refusal(&refusal, &["insufficient_stock", "too_many_lots"]);
        }
        Ok(())
    }

    /// Recalls a lot, or lets it go again. Nobody else does, so the answer is how it stands.
    async fn change(&mut self, change: Change) -> Result<(), Stopped> {
        let recalls = change == Change::Quarantine;
        let Some((lot, _)) = self.known(|known| known.is_recalled != recalls) else { return Ok(()) };
        let key = self.key("lot-status");
        self.line.begin(|| format!("{} {key}: {change:?} {lot}", self.owner.id))?;
        let request: Request<recall::Answer> = {
            let (caller, lot) = (self.caller.clone(), lot.clone());
            Rc::new(move |ports| {
                let (caller, key, lot) = (caller.clone(), key.clone(), lot.clone());
                let why = ChangeLotRequest { reason: "the maker said so".to_owned() };
                Box::pin(async move { recall::change(&ports, &caller, &key, &lot, change, &why).await })
            })
        };
        let route = match change {
            Change::Quarantine => "POST /v1/inventory/lots/{lot}/quarantine",
            Change::Release => "POST /v1/inventory/lots/{lot}/release",
        };
        match self.line.send_to(route, request, |answer: &recall::Answer| format!("{:?}", answer.lot)).await {
            Ok(_) => {
                let of_lot = self.of(&lot);
                if let Some(known) = self.world().books.borrow_mut().lots.get_mut(&of_lot) {
                    known.is_recalled = recalls;
                }
            }
            Err(refusal) => self.line.expect_refusal(&refusal, &[]),
        }
        Ok(())
    }

    /// Where a lot may be quarantined, or released: mostly where there is of it.
    fn place_of(&self, (lot, known): (&str, &KnownLot), change: Change) -> Option<String> {
        let (world, owner) = (self.world(), self.owner);
        let is_held = change == Change::Release;
        let shops = owner.shops.iter().map(|shop| &shop.id);
        let may: Vec<&String> = shops.filter(|shop| known.held_at.contains(*shop) == is_held).collect();
        let shelves = world.lots_on_shelves.borrow();
        let has = |shop: &&&String| {
            let name = (owner.id.clone(), (**shop).clone(), known.sku.clone());
            shelves.get(&name).is_some_and(|lots| lots.contains_key(lot))
        };
        let having: Vec<&String> = may.iter().filter(has).copied().collect();
        let among = if having.is_empty() || world.chance.percent(20) { &may } else { &having };
        world.chance.one_of(among).map(|shop| (*shop).clone())
    }

    /// Quarantines a lot at one location, or releases it there; now and then while some of it is found there. Nobody
    /// else does, so the answer is how it stands.
    async fn change_here(&mut self, change: Change) -> Result<(), Stopped> {
        let holds = change == Change::Quarantine;
        let Some((lot, known)) = self.known(|known| holds || !known.held_at.is_empty()) else {
            return Ok(());
        };
        let Some(place) = self.place_of((&lot, &known), change) else { return Ok(()) };
        let found = 1_000 * self.world().chance.between(1, 2);
        let rival = if self.world().chance.percent(50) {
            let body = json!({
                "location_id": place, "sku": known.sku, "lot": lot, "kind": "delta",
                "quantity": set_up::quantity(self.owner, &known.sku, found), "reason": "found",
            });
            Some(self.updating("lot-found", body)?)
        } else {
            self.line.meet_others(70).await;
            None
        };
        let key = self.key("lot-here");
        // What is found is found whether another command may begin or not.
        let is_begun =
            self.line.begin(|| format!("{} {key}: {change:?} {lot} at {place}", self.owner.id)).is_ok();
        let request: Request<here::Answer> = {
            let (caller, lot, place) = (self.caller.clone(), lot.clone(), place.clone());
            Rc::new(move |ports| {
                let (caller, key, lot, place) = (caller.clone(), key.clone(), lot.clone(), place.clone());
                let why = ChangeLotRequest { reason: "torn boxes".to_owned() };
                Box::pin(
                    async move { here::change(&ports, &caller, &key, (&lot, &place), change, &why).await },
                )
            })
        };
        let route = match change {
            Change::Quarantine => "POST /v1/inventory/lots/{lot}/locations/{location_id}/quarantine",
            Change::Release => "POST /v1/inventory/lots/{lot}/locations/{location_id}/release",
        };
        let finding = async {
            match rival {
                Some(rival) => Some(self.send_update(rival).await),
                None => None,
            }
        };
        let changing = async {
            let told = |answer: &here::Answer| format!("{:?}", answer.changed);
            if is_begun { Some(self.line.send_to(route, request, told).await) } else { None }
        };
        let (found_one, changed) = futures::join!(finding, changing);
        match found_one {
            Some(Ok(_)) => {
                let mut books = self.world().books.borrow_mut();
                books.shelf(&self.owner.id, &place, &known.sku).on_hand += found;
            }
            Some(Err(refusal)) => self.line.expect_refusal(&refusal, &["too_many_lots"]),
            None => {}
        }
        match changed {
            Some(Ok(answer)) => {
                let told = &answer.changed.here;
                if told.quarantined_here != holds || told.location_id != place {
                    self.world().fail(HERE, format!("{change:?} {lot} at {place}: {told:?}"));
                }
                let of_lot = self.of(&lot);
                if let Some(known) = self.world().books.borrow_mut().lots.get_mut(&of_lot) {
                    if holds {
                        known.held_at.insert(place);
                    } else {
                        known.held_at.remove(&place);
                    }
                }
            }
            Some(Err(refusal)) => self.line.expect_refusal(&refusal, &["too_many_lots"]),
            None => return Err(Stopped),
        }
        Ok(())
    }

    /// Asks who got goods of a lot, and whoever recalls also what there is of it.
    async fn ask(&mut self) -> Result<(), Stopped> {
        let Some((lot, known)) = self.known(|_| true) else { return Ok(()) };
        if self.number == 0 {
            self.look(&lot, &known).await?;
        }
        let limit = u32::try_from(1 + self.world().chance.below(20)).ok();
        let mut cursor = None;
        loop {
            self.line.begin(|| format!("{} asks who got {lot}", self.owner.id))?;
            let request: Request<LotSalePage> = {
                let (caller, lot, from) = (self.caller.clone(), lot.clone(), cursor.take());
                Rc::new(move |ports| {
                    let (caller, lot, from): (Caller, String, Option<String>) =
                        (caller.clone(), lot.clone(), from.clone());
                    Box::pin(async move { sold::orders(&ports, &caller, &lot, limit, from.as_deref()).await })
                })
            };
            let page = match self
                .line
                .send_to("GET /v1/inventory/lots/{lot}/orders", request, |_: &LotSalePage| String::new())
                .await
            {
                Ok(page) => page,
                Err(refusal) => {
                    self.line.expect_refusal(&refusal, &[]);
                    return Ok(());
                }
            };
            let wrong = {
                let moves = self.world().lot_moves.borrow();
                let moves = moves.get(&self.of(&lot));
                page.items.iter().find(|told| !is_right(self.owner, moves, told)).cloned()
            };
            if let Some(told) = wrong {
                self.world().fail("nobody is said to have got goods who did not", format!("{lot}: {told:?}"));
            }
            cursor = page.next_cursor;
            if cursor.is_none() {
                return Ok(());
            }
        }
    }

    async fn look(&self, lot: &str, known: &KnownLot) -> Result<(), Stopped> {
        self.line.begin(|| format!("{} looks at {lot}", self.owner.id))?;
        let request: Request<LotDetail> = {
            let (caller, lot) = (self.caller.clone(), lot.to_owned());
            Rc::new(move |ports| {
                let (caller, lot) = (caller.clone(), lot.clone());
                Box::pin(async move { list::one(&ports, &caller, &lot, Some(200), None).await })
            })
        };
        match self.line.send_to("GET /v1/inventory/lots/{lot}", request, |_: &LotDetail| String::new()).await
        {
            Ok(detail) => {
                let status = if known.is_recalled { LotStatus::Quarantined } else { LotStatus::Sellable };
                let is_weighed = self.owner.goods_of(&known.sku).is_some_and(|goods| goods.is_weighed);
                let unit = if is_weighed { Unit::Kg } else { Unit::Piece };
                let is_nothing = |quantity: &QuantityInput| {
                    quantity.resolve(unit).is_ok_and(|quantity| quantity.thousandths() == 0)
                };
                let is_for_sale = detail.locations.iter().any(|level| !is_nothing(&level.on_hand));
                if detail.lot.status != status || (known.is_recalled && is_for_sale) {
                    self.world().fail("a recalled lot is for sale nowhere", format!("{known:?}: {detail:?}"));
                }
                let mut levels = detail.locations.iter();
                if levels.any(|level| level.quarantined_here != known.held_at.contains(&level.location_id)) {
                    self.world().fail(HERE, format!("{known:?}: {detail:?}"));
                }
            }
            Err(refusal) => self.line.expect_refusal(&refusal, &[]),
        }
        Ok(())
    }

    fn read<T: serde::de::DeserializeOwned>(&self, body: serde_json::Value) -> Result<T, Stopped> {
        serde_json::from_value(body).map_err(|error| {
            self.world().fail("the simulator works", error.to_string());
            Stopped
        })
    }
}
