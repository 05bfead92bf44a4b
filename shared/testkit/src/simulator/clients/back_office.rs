//! The back office: fetches receipts, which say what their sales came to, asks for what nobody else asks for, and uploads
//! the feeds that nobody else does.

use std::rc::Rc;
use std::time::Duration;

use serde_json::{Value, json};
use tillstream_app::dispatch::listing;
use tillstream_app::documents::{Format, read as documents};
use tillstream_app::orders::read as orders;
use tillstream_app::pos::till::read as shifts;
use tillstream_app::sync::entities::Entity;
use tillstream_app::sync::status;
use tillstream_app::tenancy::{Caller, Role};
use tillstream_app::{Ports, Result, approvals};
use tillstream_contracts::approvals::ApprovalFilter;
use tillstream_contracts::dispatch::DeliveryFilter;
use tillstream_contracts::orders::OrderFilter;
use tillstream_contracts::sync::UploadReply;
use tillstream_contracts::till::ShiftFilter;

use super::super::chance::Chance;
use super::super::world::{Tenant, World};
use super::headquarters::{fed, feed};
use super::{Line, Request, Stopped};
use crate::shop::caller;

const DOCUMENT: &str = "GET /v1/documents/{id}";

/// What is asked for, besides receipts.
const ROUTES: [&str; 9] = [
    "GET /v1/orders/{id}/documents",
    "GET /v1/sales",
    "GET /v1/shifts",
    "GET /v1/shifts/{id}",
    "GET /v1/approvals",
    "GET /v1/approvals/{id}",
    "GET /v1/dispatch/deliveries",
    "GET /v1/dispatch/deliveries/{id}",
    "GET /v1/sync/status",
];

/// Feeds that nobody else uploads after the doors opened.
const FEEDS: [Entity; 3] = [Entity::PrintTemplates, Entity::Categories, Entity::Suppliers];

/// What orders may be too large for.
const TOO_LARGE: [&str; 3] = ["document_too_large", "document_too_many_entries", "template_too_costly"];

/// What is asked about.
#[derive(Debug, Clone)]
struct About {
    shop: String,
    /// An order, a shift, an approval or a delivery, as the route has it.
    id: String,
    /// What the order comes to.
    total: i64,
}

struct Office<'a> {
    line: Line,
    owner: &'a Tenant,
    caller: Caller,
    chance: Chance,
    version: u64,
}

/// Works until the day is over.
pub async fn work(world: Rc<World>, tenant: usize) -> Option<Stopped> {
    let owner = world.tenants.get(tenant)?;
    let caller = caller(&owner.id, &[Role::Operator, Role::Integration]);
    let chance = Chance::apart(world.settings.seed, &format!("the back office of {}", owner.id));
    let mut office = Office { line: Line::of(&world, &owner.id), owner, caller, chance, version: 0 };
    loop {
        office.line.rest(Duration::from_secs(150)).await;
        if office.line.is_over() {
            return Some(Stopped);
        }
        let done = match office.chance.below(10) {
            0..4 => office.ask_for(DOCUMENT).await,
            4..8 => {
                let route = office.chance.one_of(&ROUTES).copied().unwrap_or(DOCUMENT);
                office.ask_for(route).await
            }
            _ => office.upload().await,
        };
        if done.is_err() {
            return Some(Stopped);
        }
    }
}

impl Office<'_> {
    /// What to ask a route about; nothing where there is none yet.
    fn about(&self, route: &str) -> Option<About> {
        let (chance, owner) = (&self.chance, &self.owner.id);
        let books = self.line.world.books.borrow();
        let shop = chance.one_of(&self.owner.shops)?.id.clone();
        let (id, total) = match route {
            DOCUMENT | "GET /v1/orders/{id}/documents" => {
                let mine = books.orders.iter().filter(|((of, _), order)| of == owner && !order.is_return);
                let mine: Vec<_> = mine.map(|((_, id), order)| (id, order)).collect();
                chance.one_of(&mine).map(|(id, order)| ((*id).clone(), order.total()))?
            }
            "GET /v1/shifts/{id}" => {
                let mine = books.shifts.keys().filter(|(of, _)| of == owner);
                let mine: Vec<_> = mine.map(|(_, id)| id).collect();
                (chance.one_of(&mine).map(|id| (*id).clone())?, 0)
            }
            "GET /v1/approvals/{id}" => {
                let mine = books.approvals.keys().filter(|(of, _)| of == owner);
                let mine: Vec<_> = mine.map(|(_, id)| id).collect();
                (chance.one_of(&mine).map(|id| (*id).clone())?, 0)
            }
            _ => (String::new(), 0),
        };
        Some(About { shop, id, total })
    }

    async fn ask_for(&self, route: &'static str) -> std::result::Result<(), Stopped> {
        let Some(about) = self.about(route) else { return Ok(()) };
        self.line.begin(|| format!("{} asks {route} of {about:?}", self.owner.id))?;
        let (caller, asked) = (self.caller.clone(), about.clone());
        let request: Request<Option<String>> = Rc::new(move |ports| {
            let (caller, about) = (caller.clone(), asked.clone());
            Box::pin(async move { ask(&ports, &caller, route, &about).await })
        });
        match self.line.send_to(route, request, |_: &Option<String>| String::new()).await {
            Ok(None) => {}
            Ok(Some(seen)) => {
                self.line.world.fail("an answer says what is so", format!("{route} {about:?}: {seen}"));
            }
            Err(refusal) => self.line.expect_refusal(&refusal, &TOO_LARGE),
        }
        Ok(())
    }

    async fn upload(&mut self) -> std::result::Result<(), Stopped> {
        let Some(entity) = self.chance.one_of(&FEEDS).copied() else { return Ok(()) };
        self.version += 1;
        let number = self.chance.below(3);
        let (id, data) = match entity {
            Entity::PrintTemplates => ("till-receipt".to_owned(), template(self.version)),
            // Nothing that is sold stands below it: that no price changes by it is to be seen.
            Entity::Categories => (format!("shelf-{number}"), json!({ "parent": "upstairs" })),
            _ => {
                let id = format!("hq-supplier-{number}");
                let data = json!({ "id": id, "name": "Sold by HQ", "lead_time_days": number });
                (id, data)
            }
        };
        let line = json!({ "id": id, "version": self.version, "op": "upsert", "data": data });
        let body = format!("{line}\n");
        self.line.begin(|| format!("{} feeds {} {body}", self.owner.id, entity.name()))?;
        let request = feed(&self.caller, entity, body.into());
        match self.line.send(request, |reply: &UploadReply| format!("{} failed", reply.failed)).await {
            Ok(reply) if reply.failed == 0 => fed(&self.line.world, entity),
            Ok(reply) => self.line.world.fail("a good line is taken", format!("{reply:?}")),
            Err(refusal) => self.line.expect_refusal(&refusal, &[]),
        }
        Ok(())
    }
}

/// A short receipt.
fn template(version: u64) -> Value {
    let source = format!(
        "@center {{{{ order.store.name }}}}\nLayout {version}{{% if order.reprint %}} again{{% endif %}}\n\
         @columns TOTAL | {{{{ order.totals.total|money }}}}\n@cut\n"
    );
    json!({ "kind": "receipt", "format": "paper", "source": source })
}

/// Asks; answers what is wrong with the answer.
async fn ask(ports: &Ports, caller: &Caller, route: &str, about: &About) -> Result<Option<String>> {
    let (store_id, id) = (Some(about.shop.clone()), about.id.as_str());
    match route {
        DOCUMENT => {
            let receipt = format!("{id}.receipt");
            let rendered = documents::get(ports, caller, &receipt, Format::Text, false).await?;
            let text = String::from_utf8_lossy(&rendered.document.bytes).into_owned();
            let total = format!("GBP {}.{:02}", about.total / 100, about.total % 100);
            Ok((!text.contains(&total)).then(|| format!("no {total} in {text}")))
        }
        "GET /v1/orders/{id}/documents" => {
            let list = documents::list(ports, caller, id).await?;
            let receipt = format!("{id}.receipt");
            let has_it = list.items.iter().any(|entry| entry.document_id == receipt);
            Ok((!has_it).then(|| format!("no {receipt} in {list:?}")))
        }
        "GET /v1/sales" => {
            let page = orders::list_sales(ports, caller, OrderFilter { store_id, ..OrderFilter::default() });
            let other = page.await?.items.into_iter().find(|order| order.kind != "sale");
            Ok(other.map(|order| format!("{} is a {}", order.id, order.kind)))
        }
        "GET /v1/shifts" => {
            let filter = ShiftFilter { store_id, ..ShiftFilter::default() };
            shifts::list(ports, caller, filter).await.map(|_| None)
        }
        "GET /v1/shifts/{id}" => {
            let (shift, _) = shifts::get(ports, caller, id).await?;
            Ok((shift.id != id).then(|| format!("{shift:?}")))
        }
        "GET /v1/approvals" => {
            let filter = ApprovalFilter { store_id, ..ApprovalFilter::default() };
            approvals::read::list(ports, caller, filter).await.map(|_| None)
        }
        "GET /v1/approvals/{id}" => {
            let approval = approvals::read::get(ports, caller, id).await?;
            Ok((approval.approval_id != id).then(|| format!("{approval:?}")))
        }
        "GET /v1/dispatch/deliveries" => {
            listing::list(ports, caller, DeliveryFilter::default()).await.map(|_| None)
        }
        "GET /v1/dispatch/deliveries/{id}" => {
            let page = listing::list(ports, caller, DeliveryFilter::default()).await?;
            let Some(delivery) = page.items.first() else { return Ok(None) };
            listing::get(ports, caller, &delivery.id).await.map(|_| None)
        }
        "GET /v1/sync/status" => {
            let feeds = status::status(ports, caller).await?.items;
            let parked = feeds.iter().find(|feed| feed.parked != 0 || feed.last_error.is_some());
            let is_all = feeds.len() == Entity::ALL.len();
            Ok((parked.is_some() || !is_all).then(|| format!("{} feeds, {parked:?}", feeds.len())))
        }
        other => Err(tillstream_app::Error::bug(format!("nobody asks {other}"))),
    }
}
