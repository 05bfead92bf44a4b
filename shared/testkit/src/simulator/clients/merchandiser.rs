//! Merchandisers: they change products by hand, each only what it has read; send price book entries in
//! versions, late and twice; rename stores, and open warehouses. Two of them, at the same few things.

use std::rc::Rc;
use std::time::Duration;

use serde_json::json;
use tillstream_app::catalog::locations;
use tillstream_app::catalog::products::{self, PutOutcome, PutProduct};
use tillstream_app::sync::entities::Entity;
use tillstream_app::tenancy::{Caller, Role};
use tillstream_app::{Refusal, RefusalKind};
use tillstream_contracts::catalog::{LocationBody, ProductBody};
use tillstream_contracts::sync::UploadReply;
use tillstream_domain::location::Location;
use tillstream_domain::product::{PriceEntry, Product};

use super::super::books::Goods;
use super::super::price_book::{PriceSet, SEGMENTS};
use super::super::set_up::{self, decimal, location_line};
use super::super::world::{FED_GOODS, Tenant, World};
use super::headquarters::{fed, feed};
use super::{Line, Request, Stopped};
use crate::shop::caller;

/// Between two moments at which both are at work.
const MEETS_EVERY_MILLIS: i64 = 120_000;
/// Entries of a price book.
const ENTRIES: u64 = 7;
/// Products that both change.
const CONTESTED: usize = 3;

struct Merchandiser<'a> {
    line: Line,
    owner: &'a Tenant,
    caller: Caller,
    number: u64,
    /// Of the line that was sent last: its own, whose parity is its number's.
    version: u64,
    /// Requests that were made.
    keys: u64,
    /// Price lines that were sent.
    sent: Vec<PriceLine>,
}

/// A line of the price book's feed.
#[derive(Clone)]
struct PriceLine {
    id: String,
    version: u64,
    /// The SKU and the price; nothing where the entry is deleted.
    entry: Option<(String, PriceSet)>,
}

impl PriceLine {
    fn text(&self) -> String {
        let line = match &self.entry {
            None => json!({ "id": self.id, "version": self.version, "op": "delete" }),
            Some((sku, set)) => json!({
                "id": self.id, "version": self.version, "op": "upsert",
                "data": {
                    "sku": sku, "unit_price": decimal(set.price), "currency": "GBP",
                    "location_id": set.location, "segment": set.segment,
                    "valid_from": set.from.map(|at| at.to_string()),
                    "valid_to": set.to.map(|at| at.to_string()),
                },
            }),
        };
        format!("{line}\n")
    }
}

/// Works until the day is over.
pub async fn work(world: Rc<World>, tenant: usize, number: u64) -> Option<Stopped> {
    let owner = world.tenants.get(tenant)?;
    let caller = caller(&owner.id, &[Role::Integration]);
    let line = Line::of(&world, &owner.id);
    // The feeds' first versions are those of the morning.
    let version = 2 + number;
    let mut one = Merchandiser { line, owner, caller, number, version, keys: 0, sent: Vec::new() };
    loop {
        one.line.rest(Duration::from_secs(120)).await;
        one.line.meet(60, MEETS_EVERY_MILLIS).await;
        // Often both do the same at the same time.
        let moment = one.moment();
        let what = if world.chance.percent(50) { moment % 10 } else { world.chance.below(10) };
        let done = match what {
            0..3 => one.change_product().await,
            3..6 => one.set_prices().await,
            6 => one.rename_store().await,
            _ => one.open_warehouse().await,
        };
        if done.is_err() {
            return Some(Stopped);
        }
    }
}

impl Merchandiser<'_> {
    fn world(&self) -> &World {
        &self.line.world
    }

    /// A number that is the same for both for a minute.
    fn moment(&self) -> u64 {
        let minute = self.world().now().as_second() / 60;
        u64::try_from(minute).unwrap_or(0).wrapping_mul(0x9e37_79b9) >> 8
    }

    /// One of those that no feed of products changes.
    fn goods(&self) -> Option<&Goods> {
        let own: Vec<&Goods> = self.owner.goods.iter().skip(FED_GOODS).take(CONTESTED).collect();
        self.world().chance.one_of(&own).copied()
    }

    fn key(&mut self) -> String {
        self.keys += 1;
        format!("merchandiser-{}-{}", self.number, self.keys)
    }

    fn next_version(&mut self) -> u64 {
        self.version += 2;
        self.version
    }

    /// Reads a product and changes its price, if nobody else has changed it meanwhile.
    async fn change_product(&mut self) -> Result<(), Stopped> {
        let Some(goods) = self.goods().cloned() else { return Err(Stopped) };
        self.line.begin(|| format!("merchandiser {} reads {}", self.number, goods.sku))?;
        let (scope, sku) = (self.caller.scope.clone(), goods.sku.clone());
        let read: Request<(Product, Vec<PriceEntry>)> = Rc::new(move |ports| {
            let (scope, sku) = (scope.clone(), sku.clone());
            Box::pin(async move { products::get(&ports, &scope, &sku).await })
        });
        // What others do to it meanwhile changes the answer: it is no command.
        let base = match self.line.send_to("GET /v1/products/{sku}", read, |_| String::new()).await {
            Ok((product, _)) => product.version,
            Err(refusal) => {
                self.line.expect_refusal(&refusal, &[]);
                return Err(Stopped);
            }
        };
        let price = self.world().chance.between(1, 250_000);
        self.price_may_be(&goods.sku, PriceSet::of(price));
        let body: ProductBody = serde_json::from_value(json!({
            "sku": goods.sku, "name": set_up::name_of(&self.owner.id, &goods), "unit_price": decimal(price),
            "currency": "GBP", "stocked": goods.is_stocked || !goods.parts.is_empty(),
            "category": goods.category, "modifiers": set_up::modifiers(&goods),
            "components": set_up::components(&goods),
            "unit": if goods.is_weighed { "kg" } else { "piece" }, "lots": goods.by_lots,
        }))
        .map_err(|error| self.world().fail("the simulator works", error.to_string()))
        .map_err(|()| Stopped)?;
        let (caller, key, sku) = (self.caller.clone(), self.key(), goods.sku.clone());
        self.line.begin(|| format!("merchandiser {} puts {sku} at {price} over {base}", self.number))?;
        let put: Request<PutOutcome<Product>> = Rc::new(move |ports| {
            let (caller, body) = (caller.clone(), body.clone());
            let request = PutProduct { sku: sku.clone(), body, idempotency_key: key.clone() };
            let unchanged = move |there: Option<u64>| match there {
                Some(version) if version == base => Ok(()),
                _ => Err(Refusal::new(RefusalKind::PreconditionFailed, "version_changed", "read again")),
            };
            Box::pin(async move { products::put(&ports, &caller, request, unchanged).await })
        });
        self.world().books.borrow_mut().price_change_begins(&self.owner.id);
        let route = "PUT /v1/products/{sku}";
        let answer = self.line.send_to(route, put, |outcome| format!("created: {}", outcome.created)).await;
        match answer {
            Ok(_) => {
                let key = (self.owner.id.clone(), goods.sku.clone());
                let mut books = self.world().books.borrow_mut();
                let changes = books.product_changes.entry(key).or_default();
                if let Some(other) = changes.insert(base, price) {
                    let seen = format!("{} over version {base}: {other} and {price}", goods.sku);
                    self.world().fail("a change is made over what was read", seen);
                }
            }
            Err(refusal) => self.line.expect_refusal(&refusal, &["version_changed"]),
        }
        self.world().books.borrow_mut().price_change_is_over(&self.owner.id);
        Ok(())
    }

    /// That a till may be told this price from now on.
    fn price_may_be(&self, sku: &str, set: PriceSet) {
        self.world().books.borrow_mut().price_may_be(&self.owner.id, sku, set);
    }

    async fn set_prices(&mut self) -> Result<(), Stopped> {
        let version = self.next_version();
        let mut lines = Vec::new();
        for _ in 0..1 + self.world().chance.below(2) {
            let Some(sku) = self.goods().map(|goods| goods.sku.clone()) else { return Err(Stopped) };
            let chance = &self.world().chance;
            let id = format!("price-{}", chance.below(ENTRIES));
            let entry = (!chance.percent(20)).then(|| (sku, self.price_set()));
            lines.push(PriceLine { id, version, entry });
        }
        if self.world().chance.percent(50)
            && let Some(old) = self.world().chance.one_of(&self.sent)
        {
            lines.push(old.clone());
        }
        // Within one upload, each entry once at a version: two lines of one would be a contradiction.
        lines.sort_by(|a, b| (&a.id, a.version).cmp(&(&b.id, b.version)));
        lines.dedup_by(|a, b| (&a.id, a.version) == (&b.id, b.version));
        for (sku, set) in lines.iter().filter_map(|line| line.entry.as_ref()) {
            self.price_may_be(sku, set.clone());
        }
        self.sent.extend(lines.iter().cloned());
        let body: Rc<str> = lines.iter().map(PriceLine::text).collect::<String>().into();
        self.world().books.borrow_mut().price_change_begins(&self.owner.id);
        if self.upload(Entity::PriceBook, body).await? {
            let mut books = self.world().books.borrow_mut();
            for line in lines {
                let known = books.price_entries.entry((self.owner.id.clone(), line.id)).or_default();
                if line.version > known.0 {
                    *known = (line.version, line.entry);
                }
            }
            books.price_change_is_over(&self.owner.id);
        }
        Ok(())
    }

    fn price_set(&self) -> PriceSet {
        let (world, chance) = (self.world(), &self.world().chance);
        let location = chance.percent(40).then(|| chance.one_of(&self.owner.shops));
        let segment = chance.one_of(&SEGMENTS).filter(|_| chance.percent(45));
        let around = |from: i64, to: i64| {
            let seconds = jiff::SignedDuration::from_secs(chance.between(from, to));
            chance.percent(40).then(|| world.now().checked_add(seconds).ok()).flatten()
        };
        PriceSet {
            price: chance.between(1, 250_000),
            location: location.flatten().map(|shop| shop.id.clone()),
            segment: segment.map(|segment| (*segment).to_owned()),
            from: around(-7_200, 1_800),
            to: around(1_801, 7_200),
        }
    }

    async fn rename_store(&mut self) -> Result<(), Stopped> {
        let Some(shop) = self.world().chance.one_of(&self.owner.shops).cloned() else { return Err(Stopped) };
        let version = self.next_version();
        // Now and then what was said before comes once more: a version says the same whenever it is sent.
        let versions = [Some(version), (version > 4 && self.world().chance.percent(40)).then(|| version - 2)];
        let of = |version: u64| location_line(&shop, version, &format!("{} of {version}", shop.id));
        let body: Rc<str> = versions.iter().flatten().map(|version| of(*version)).collect::<String>().into();
        if self.upload(Entity::Locations, body).await? {
            let mut books = self.world().books.borrow_mut();
            let known = books.store_names.entry((self.owner.id.clone(), shop.id.clone())).or_default();
            *known = version.max(*known);
        }
        Ok(())
    }

    /// Whether HQ's lines were taken, as all of ours are.
    async fn upload(&mut self, entity: Entity, body: Rc<str>) -> Result<bool, Stopped> {
        self.line.begin(|| format!("merchandiser {} feeds {body}", self.number))?;
        let request = feed(&self.caller, entity, body);
        match self.line.send(request, |reply: &UploadReply| format!("{} failed", reply.failed)).await {
            Ok(reply) if reply.failed == 0 => {
                fed(self.world(), entity);
                return Ok(true);
            }
            Ok(reply) => self.world().fail("a good line is taken", format!("{reply:?}")),
            Err(refusal) => self.line.expect_refusal(&refusal, &[]),
        }
        Ok(false)
    }

    /// Makes a location that the other may be making too.
    async fn open_warehouse(&mut self) -> Result<(), Stopped> {
        let id = format!("w-{}", self.moment() % 1_000);
        let name = format!("warehouse of {}", self.number);
        let body: LocationBody = serde_json::from_value(json!({
            "id": id, "kind": "warehouse", "name": name, "time_zone": "Europe/London", "currency": "GBP",
        }))
        .map_err(|error| self.world().fail("the simulator works", error.to_string()))
        .map_err(|()| Stopped)?;
        let (caller, key) = (self.caller.clone(), self.key());
        self.line.begin(|| format!("merchandiser {} opens {id}", self.number))?;
        let create: Request<PutOutcome<Location>> = Rc::new(move |ports| {
            let (caller, body, key) = (caller.clone(), body.clone(), key.clone());
            Box::pin(async move { locations::create(&ports, &caller, body, &key).await })
        });
        match self.line.send_to("POST /v1/locations", create, |outcome| outcome.now.name.clone()).await {
            Ok(_) => {
                let made = (self.owner.id.clone(), id.clone());
                if let Some(other) = self.world().books.borrow_mut().warehouses.insert(made, name.clone()) {
                    self.world().fail("a location is made once", format!("{id}: {other} and {name}"));
                }
            }
            Err(refusal) => self.line.expect_refusal(&refusal, &["location_exists"]),
        }
        Ok(())
    }
}
