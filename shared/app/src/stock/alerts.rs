//! Alerts: a stock item with a reorder point got low, or is out.
//!
//! One item for each location and SKU says how low it is as somebody was told. What a change of stock shows is only a hint
//! that it may be otherwise: what counts is the stock item as it stands when it is looked at. So a hint that comes late,
//! twice or out of order changes nothing, and of many who look at once one writes. Who wrote looks again: what it wrote
//! may have been overtaken by who looked later and had nothing to write.

use jiff::Timestamp;
use tillstream_contracts::hq::{HQ_MESSAGE_VERSION, HqMessage, HqStockEvent, HqStockMessage};
use tillstream_contracts::replenishment::{
    StockAlert, StockAlertLevel, StockAlertPage, StockAlertQuery, StockAlertState,
};
use tillstream_domain::quantity::Unit;
use tillstream_domain::stock_alert::StockLow;

use crate::cursor::{PagedQuery, limit};
use crate::database::{Cancellation, Condition, Consistency, DatabaseError, Get, Index, Item, Table, Write};
use crate::dispatch::subject;
use crate::error::{Error, Result};
use crate::ports::Ports;
use crate::pos::identity::derived_id;
use crate::stock::attempts::Attempts;
use crate::stock::counters::{Counters, shown};
use crate::stock::index_page::IndexList;
use crate::stock::layout::LAYOUT_WHOLE;
use crate::stock::references::check_location_id;
use crate::stock::standing::standing;
use crate::stock::stock_facts::StockFact;
use crate::tenancy::{Caller, TenantScope};

/// An alert as it is stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredAlert {
    /// Its id.
    pub id: String,
    /// Where.
    pub location_id: String,
    /// What.
    pub sku: String,
    /// How the product is sold, where it is known.
    pub unit: Option<Unit>,
    /// How low it is.
    pub level: StockLow,
    /// What was available when that changed, in thousandths.
    pub available: i64,
    /// The reorder point then, in thousandths.
    pub reorder_point: i64,
    /// Since when it is low, or was, in epoch milliseconds.
    pub raised_at: i64,
    /// When the level changed, in epoch milliseconds.
    pub changed_at: i64,
    /// Version of the stock item that it was seen of: an older one says nothing any more.
    pub stock_version: i64,
    /// How often something was told of it.
    pub told: u32,
    /// Count of its changes.
    pub version: i64,
}

/// Id of the alert of a stock item.
fn alert_id(scope: &TenantScope, location_id: &str, sku: &str) -> String {
    derived_id("al", &[scope.tenant_id(), location_id, sku])
}

impl StoredAlert {
    /// Reads one.
    ///
    /// # Errors
    /// A bug if the item is not one.
    pub fn of(item: &Item) -> Result<Self> {
        let level = item.text("level")?;
        Ok(StoredAlert {
            id: item.text("alert_id")?.to_owned(),
            location_id: item.text("location_id")?.to_owned(),
            sku: item.text("sku")?.to_owned(),
            unit: item.opt_text("unit").and_then(Unit::parse),
            level: StockLow::parse(level)
                .ok_or_else(|| Error::Bug(format!("unknown level of an alert {level}")))?,
            available: item.number("available")?,
            reorder_point: item.number("reorder_point")?,
            raised_at: item.number("raised_at")?,
            changed_at: item.number("changed_at")?,
            stock_version: item.number("stock_version")?,
            told: u32::try_from(item.number("told")?).map_err(Error::bug)?,
            version: item.number("version")?,
        })
    }

    fn item(&self, scope: &TenantScope) -> Item {
        let list = if self.level == StockLow::No { "closed" } else { "open" };
        Item::new(&scope.stock_alert(&self.location_id, &self.sku))
            .with("tenant_id", scope.tenant_id())
            .with("alert_id", self.id.as_str())
            .with("location_id", self.location_id.as_str())
            .with("sku", self.sku.as_str())
            .with_some("unit", self.unit.map(Unit::name))
            .with("level", self.level.name())
            .with("available", self.available)
            .with("reorder_point", self.reorder_point)
            .with("raised_at", self.raised_at)
            .with("changed_at", self.changed_at)
            .with("stock_version", self.stock_version)
            .with("told", i64::from(self.told))
            .with("version", self.version)
            .with("location_pk", scope.stock_alerts(&self.location_id, list).value())
            .with("location_sk", format!("{:015}#{}", self.raised_at.max(0), self.sku))
    }

    /// What follows it where a stock item was seen so; `before` is nothing where none was ever raised.
    fn next(
        scope: &TenantScope,
        (location_id, sku): (&str, &str),
        before: Option<&StoredAlert>,
        (level, stock): (StockLow, &Counters),
        now: Timestamp,
    ) -> Self {
        let known = before.map_or(StockLow::No, |alert| alert.level);
        let now = now.as_millisecond();
        let raised_at = match before {
            // It goes on, or has just ended.
            Some(before) if known != StockLow::No => before.raised_at,
            _ => now,
        };
        StoredAlert {
            id: alert_id(scope, location_id, sku),
            location_id: location_id.to_owned(),
            sku: sku.to_owned(),
            unit: stock.unit,
            level,
            available: stock.available,
            reorder_point: stock.reorder_point,
            raised_at,
            changed_at: now,
            stock_version: stock.version(),
            told: before.map_or(0, |alert| alert.told) + u32::from(level > known),
            version: before.map_or(0, |alert| alert.version) + 1,
        }
    }

    /// As a client reads it.
    pub fn shown(&self) -> StockAlert {
        let time = |millis: i64| Timestamp::from_millisecond(millis).unwrap_or_default();
        StockAlert {
            alert_id: self.id.clone(),
            location_id: self.location_id.clone(),
            sku: self.sku.clone(),
            level: match self.level {
                StockLow::No => StockAlertLevel::Ok,
                StockLow::Low => StockAlertLevel::Low,
                StockLow::Out => StockAlertLevel::Out,
            },
            available: shown(self.available, self.unit),
            reorder_point: shown(self.reorder_point, self.unit),
            raised_at: time(self.raised_at),
            changed_at: time(self.changed_at),
            stock_version: self.stock_version,
        }
    }

    /// What is told of its being raised.
    fn fact(&self, scope: &TenantScope, event: HqStockEvent) -> Result<Write> {
        let message = HqStockMessage {
            version: HQ_MESSAGE_VERSION,
            event,
            tenant_id: scope.tenant_id().to_owned(),
            event_version: self.told,
            alert: self.shown(),
        };
        let fact = StockFact {
            subject: subject::of_alert(&self.id),
            version: self.told,
            status: self.level.name(),
            location_id: &self.location_id,
            at: Timestamp::from_millisecond(self.changed_at).map_err(Error::bug)?,
            message: HqMessage::Stock(Box::new(message)),
        };
        fact.write(scope)
    }
}

/// Why an alert is looked at where none was ever raised: what begins low got there by no crossing, and is not told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Hint {
    /// A change was seen, or must have been, by which it got lower.
    Crossed,
    /// Nothing is known.
    Unknown,
}

/// Brings the alert of a stock item to where its stock stands; answers whether one was raised, by this or by
/// one that wrote the same at the same moment. Harmless at any time, by anybody, in parallel.
///
/// # Errors
/// As the database; look again.
pub async fn settle(
    ports: &Ports,
    scope: &TenantScope,
    (location_id, sku): (&str, &str),
    hint: Hint,
    now: Timestamp,
) -> Result<bool> {
    let get = Get {
        table: Table::Stock,
        key: scope.stock_alert(location_id, sku),
        consistency: Consistency::Strong,
    };
    let mut attempts = Attempts::new(ports.environment.as_ref());
    let mut is_raised = false;
    loop {
        // The alert first: a stock item that was read before it may be older than what the alert rests on.
        let alert = ports.database.get(get.clone()).await?.as_ref().map(StoredAlert::of).transpose()?;
        let database = ports.database.as_ref();
        let Some(found) = standing(database, scope, location_id, sku, LAYOUT_WHOLE).await? else {
            return Ok(is_raised);
        };
        let stock = found.total();
        let level = StockLow::of(stock.available, stock.reorder_point);
        let known = alert.as_ref().map_or(StockLow::No, |alert| alert.level);
        let is_older = alert.as_ref().is_some_and(|alert| alert.stock_version >= stock.version());
        if level == known || is_older || (alert.is_none() && hint == Hint::Unknown) {
            return Ok(is_raised);
        }
        let next = StoredAlert::next(scope, (location_id, sku), alert.as_ref(), (level, &stock), now);
        let condition = Some(match &alert {
            None => Condition::NotExists,
            Some(alert) => Condition::Eq("version", alert.version.into()),
        });
        let mut writes = vec![Write::Put { table: Table::Stock, item: next.item(scope), condition }];
        let event = match level {
            _ if level < known => None,
            StockLow::No => None,
            StockLow::Low => Some(HqStockEvent::StockLow),
            StockLow::Out => Some(HqStockEvent::StockOut),
        };
        if let Some(event) = event {
            writes.push(next.fact(scope, event)?);
        }
        match ports.database.transact(writes).await {
            Ok(()) => {
                is_raised |= event.is_some();
                attempts.at_once("an alert was written")?;
            }
            Err(DatabaseError::Cancelled(reasons))
                if reasons.iter().any(|r| matches!(r, Cancellation::ConditionFailed(_))) =>
            {
                attempts.at_once("another looked at the alert")?;
            }
            Err(error) if error.is_transient() => attempts.after_a_wait("writing an alert").await?,
            Err(error) => return Err(error.into()),
        }
    }
}

/// `GET /v1/inventory/alerts`: those of a location, the oldest first. A moment behind; what is shown is as of now.
///
/// # Errors
/// 400 `cursor_malformed`; 403 `store_out_of_reach`; 422 for a malformed location or a limit out of range.
pub async fn list(ports: &Ports, caller: &Caller, query: &StockAlertQuery) -> Result<StockAlertPage> {
    let location_id = query.location_id.as_str();
    check_location_id("location_id", location_id)?;
    caller.require_store(location_id)?;
    let scope = &caller.scope;
    let limit = limit(query.limit)?;
    let state = match query.state.unwrap_or_default() {
        StockAlertState::Open => "open",
        StockAlertState::Closed => "closed",
    };
    let list = IndexList {
        paged: PagedQuery::new(scope, "stock-alerts", [location_id, state]),
        index: Index::ByLocation,
        names: ("location_pk", "location_sk"),
        partition: scope.stock_alerts(location_id, state),
        key_of: &|sku| scope.stock_alert(location_id, sku),
    };
    let page = list.page(ports, limit, query.cursor.as_deref()).await?;
    let items = page.items.iter().map(|item| StoredAlert::of(item).map(|alert| alert.shown()));
    Ok(StockAlertPage { items: items.collect::<Result<_>>()?, next_cursor: page.next_cursor })
}
