//! Alerts: stock that gets low, or out, is told once each time it does.
//!
//! How low each stock item with a reorder point stood since its alert was written last is followed in the changes of the
//! stock table. An alert may say only what was so since then: so nothing is told twice that happened once. It may say
//! less, since a dip that was over before anybody looked is not told (`infra/decisions/alerts.md`); but at rest each
//! says how its stock stands, and what got low and stayed so was told. Each time that it is told is one message, in the
//! same transaction, which HQ accepts once, or which is a dead letter.

use std::collections::{BTreeMap, BTreeSet};

use tillstream_app::database::{Item, Table};
use tillstream_app::dispatch::subject;
use tillstream_app::stock::alerts::StoredAlert;
use tillstream_app::tenancy::Caller;
use tillstream_domain::stock_alert::StockLow;

use super::super::books::Of;
use super::super::world::{Tenant, World};
use super::at_hq::{Told, each_told};
use super::at_rest::{Checked, broken};
use super::stock_watch::{Fault, Where, number, text};
use crate::memory_database::StreamChange;

const ONCE: &str = "stock that gets low is told once each time";
const TRUE: &str = "an alert says how low stock stood since the one before";
const AT_REST: &str = "an alert stands where its stock stands";

/// A stock item with a reorder point.
#[derive(Debug, Default)]
struct Place {
    /// What is available, by part.
    available: BTreeMap<i64, i64>,
    reorder_point: i64,
    /// Whether it ever was split: whoever adds up its parts may see what stood at no moment.
    was_split: bool,
    /// How low it is.
    level: StockLow,
    /// How low it was since its alert was written, or ever.
    stood: BTreeSet<StockLow>,
    /// Whether it ever got lower than it had been.
    has_got_lower: bool,
    /// What its alert says.
    alert: Option<StockLow>,
}

/// What was seen of alerts, and of the stock that they are about.
#[derive(Debug, Default)]
pub struct AlertWatch {
    places: BTreeMap<Of<Where>, Place>,
    /// How many alerts were raised more than were told, by tenant and subject: those of which it is another number.
    untold: BTreeMap<Of<String>, i64>,
}

impl AlertWatch {
    /// Looks at a change of a stock item, or of a part of one.
    pub fn stock(&mut self, change: &StreamChange, place: &Of<Where>) {
        let Some(item) = change.new.as_ref().or(change.old.as_ref()) else { return };
        let now = change.new.as_ref();
        if !self.places.contains_key(place) && number(now, "reorder_point") <= 0 {
            return;
        }
        let seen = self.places.entry(place.clone()).or_default();
        let is_first_look = seen.available.is_empty();
        match (item.opt_number("part"), now) {
            (None, _) => {
                seen.reorder_point = number(now, "reorder_point");
                seen.available.insert(0, number(now, "available"));
            }
            (Some(part), Some(_)) => {
                seen.was_split = true;
                seen.available.insert(part, number(now, "available"));
            }
            (Some(part), None) => {
                seen.available.remove(&part);
            }
        }
        let level = StockLow::of(seen.available.values().sum(), seen.reorder_point);
        seen.has_got_lower |= !is_first_look && level > seen.level;
        seen.level = level;
        seen.stood.insert(level);
    }

    /// Looks at a change of an alert.
    pub fn alert(&mut self, change: &StreamChange, place: Of<Where>) -> Result<(), Fault> {
        let (old, new) = (change.old.as_ref(), change.new.as_ref());
        let seen = || format!("{old:?} became {new:?}");
        let level_of = |item: Option<&Item>| {
            item.and_then(|item| item.opt_text("level")).and_then(StockLow::parse).unwrap_or_default()
        };
        let (was, is) = (level_of(old), level_of(new));
        let follows = |name: &str, by: i64| number(new, name) == number(old, name) + by;
        if was == is || !follows("version", 1) || !follows("told", i64::from(is > was)) {
            return Err((ONCE, seen()));
        }
        if is > was {
            let id = new.map(|new| text(new, "alert_id")).unwrap_or_default();
            self.count(&place.0, &subject::of_alert(&id), 1);
        }
        let of_stock = self.places.entry(place).or_default();
        if !of_stock.was_split && !of_stock.stood.contains(&is) {
            return Err((TRUE, format!("{}; since then it stood at {:?}", seen(), of_stock.stood)));
        }
        of_stock.stood = BTreeSet::from([of_stock.level]);
        of_stock.alert = Some(is);
        Ok(())
    }

    /// Looks at a change of what is to be told.
    pub fn told(&mut self, change: &StreamChange) {
        let Some(new) = change.new.as_ref().filter(|_| change.old.is_none()) else { return };
        let about = text(new, "subject");
        if subject::stock_in(&about).is_some_and(|id| about == subject::of_alert(id)) {
            self.count(&text(new, "tenant_id"), &about, -1);
        }
    }

    fn count(&mut self, tenant: &str, about: &str, by: i64) {
        let key = (tenant.to_owned(), about.to_owned());
        let untold = self.untold.entry(key.clone()).or_default();
        *untold += by;
        if *untold == 0 {
            self.untold.remove(&key);
        }
    }

    /// What must hold between items, now that all changes there are were seen.
    pub fn settled(&self) -> Result<(), Fault> {
        match self.untold.first_key_value() {
            Some((about, by)) => Err((ONCE, format!("{about:?}: {by} more are raised than told"))),
            None => Ok(()),
        }
    }

    fn at_rest(&self, tenant: &str) -> Result<(), Fault> {
        for ((_, place), seen) in self.places.iter().filter(|((of, _), _)| of == tenant) {
            // What began low crossed nothing, and what is split tells by none of its parts whether it did.
            let stands = match seen.alert {
                Some(alert) => alert == seen.level,
                None => seen.level == StockLow::No || seen.was_split || !seen.has_got_lower,
            };
            if !stands {
                return Err((AT_REST, format!("{tenant} {place:?}: {seen:?}")));
            }
        }
        Ok(())
    }
}

/// All of it, at rest.
pub async fn check(world: &World, tenant: &Tenant, caller: &Caller) -> Checked {
    world.stock_watch.borrow().alerts.at_rest(&tenant.id)?;
    let accepted = world.hq.accepted_stock();
    let items = world.memory.items(Table::Stock);
    let stored = items.iter().filter(|item| {
        item.opt_text("sk") == Some("alert") && item.opt_text("tenant_id") == Some(&tenant.id)
    });
    for item in stored {
        let alert = StoredAlert::of(item).map_err(broken)?;
        let mine =
            accepted.iter().filter(|told| told.tenant_id == tenant.id && told.alert.alert_id == alert.id);
        let told = Told {
            subject: subject::of_alert(&alert.id),
            accepted: mine.map(|told| told.event_version).collect(),
            count: alert.told,
            once: "HQ accepts an alert once",
            all: "every alert is accepted by HQ, or a dead letter",
        };
        each_told(world, caller, told).await?;
    }
    Ok(())
}
