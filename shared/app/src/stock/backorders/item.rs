//! The item of a backorder, its place in the queue, and what is told of it.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use tillstream_contracts::backorders::{self as wire, BackorderStatus};
use tillstream_contracts::hq::{HQ_MESSAGE_VERSION, HqBackorderEvent, HqBackorderMessage, HqMessage};
use tillstream_domain::backorder::BackorderState;
use tillstream_domain::quantity::{Quantity, Unit};

use crate::database::{Change, Condition, Item, Table, Write};
use crate::dispatch::subject;
use crate::error::{Error, Result};
use crate::keys;
use crate::pos::identity::spread;
use crate::stock::counters::{Delta, Movement, stock_update_at, unit_change, unsynced_change};
use crate::stock::layout::Place;
use crate::stock::reservation_item::{HeldLine, KeyedRequest, Reservation, State};
use crate::stock::stock_facts::StockFact;
use crate::tenancy::TenantScope;

/// Counts on a stock item what is waited for.
pub(super) const BACKORDERED: &str = "backordered";

/// A request that took effect on a backorder.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Applied {
    /// Idempotency key.
    pub key: String,
    /// Fingerprint of action and payload.
    pub fingerprint: String,
    /// Number of the request, to know its own write by.
    pub request: i64,
}

impl Applied {
    pub(super) fn of(request: &KeyedRequest<'_>) -> Self {
        Applied {
            key: request.key.to_owned(),
            fingerprint: request.fingerprint.to_owned(),
            request: request.number,
        }
    }

    /// Whether it was this request, and if so whether by another sending of it; nothing where it was another.
    pub(super) fn seen(&self, request: &KeyedRequest<'_>) -> Result<Option<bool>> {
        if self.key != request.key {
            return Ok(None);
        }
        request.is_replay(&self.fingerprint, self.request).map(Some)
    }
}

/// A backorder as it is stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredBackorder {
    /// Its id.
    pub id: String,
    /// Where it stands.
    pub state: BackorderState,
    /// Where it is to be had.
    pub location_id: String,
    /// What.
    pub sku: String,
    /// How the product is sold.
    pub unit: Unit,
    /// How many.
    pub quantity: Quantity,
    /// Its number in the queue.
    pub number: u64,
    /// How long what is reserved for it is held, in seconds: what was set when it was made.
    pub hold_seconds: u32,
    /// For whom.
    pub customer_id: Option<String>,
    /// For which order.
    pub order_id: Option<String>,
    /// Until when it is of any use, in epoch milliseconds.
    pub needed_by: Option<i64>,
    /// For whoever hands it out.
    pub note: Option<String>,
    /// When it was asked for, in epoch milliseconds.
    pub created_at: i64,
    /// Who asked for it.
    pub created_by: String,
    /// What holds it, or held it.
    pub reservation_id: Option<String>,
    /// When it was reserved, in epoch milliseconds.
    pub reserved_at: Option<i64>,
    /// Until when it is held, in epoch milliseconds, as far as is known.
    pub expires_at: Option<i64>,
    /// How many were sold.
    pub fulfilled: Quantity,
    /// When it ended, in epoch milliseconds.
    pub ended_at: Option<i64>,
    /// Who cancelled it.
    pub ended_by: Option<String>,
    /// Why it ended.
    pub reason: Option<String>,
    /// The request that made it.
    pub placed: Applied,
    /// The request that cancelled it.
    pub cancelled: Option<Applied>,
    /// How often something was told of it.
    pub told: u32,
    /// Count of its changes.
    pub version: i64,
}

/// How a backorder ends.
#[derive(Debug, Clone)]
pub(super) struct End {
    pub state: BackorderState,
    pub at: Timestamp,
    pub fulfilled: Quantity,
    pub by: Option<String>,
    pub reason: Option<String>,
}

impl StoredBackorder {
    /// Reads one.
    ///
    /// # Errors
    /// A bug if the item is not one.
    pub fn of(item: &Item) -> Result<Self> {
        let owned = |name: &str| item.opt_text(name).map(str::to_owned);
        let state = item.text("state")?;
        let unit = item.text("unit")?;
        let quantity = |name: &str| Quantity::from_thousandths(item.number(name)?).map_err(Error::bug);
        let count = |name: &str| u32::try_from(item.number(name)?).map_err(Error::bug);
        Ok(StoredBackorder {
            id: item.text("backorder_id")?.to_owned(),
            state: BackorderState::parse(state)
                .ok_or_else(|| Error::Bug(format!("unknown state of a backorder {state}")))?,
            location_id: item.text("location_id")?.to_owned(),
            sku: item.text("sku")?.to_owned(),
            unit: Unit::parse(unit).ok_or_else(|| Error::Bug(format!("unknown unit {unit}")))?,
            quantity: quantity("quantity")?,
            number: u64::try_from(item.number("number")?).map_err(Error::bug)?,
            hold_seconds: count("hold_seconds")?,
            customer_id: owned("customer_id"),
            order_id: owned("order_id"),
            needed_by: item.opt_number("needed_by"),
            note: owned("note"),
            created_at: item.number("created_at")?,
            created_by: item.text("created_by")?.to_owned(),
            reservation_id: owned("reservation_id"),
            reserved_at: item.opt_number("reserved_at"),
            expires_at: item.opt_number("expires_at"),
            fulfilled: quantity("fulfilled")?,
            ended_at: item.opt_number("ended_at"),
            ended_by: owned("ended_by"),
            reason: owned("reason"),
            placed: item.json("placed")?,
            cancelled: item.opt_text("cancelled").map(|_| item.json("cancelled")).transpose()?,
            told: count("told")?,
            version: item.number("version")?,
        })
    }

    /// When the keeper is to look at it: where what it is held by ends, or where it is of no use any more.
    fn due_at(&self) -> Option<i64> {
        match self.state {
            BackorderState::Waiting => self.needed_by,
            BackorderState::Reserved => self.expires_at,
            _ => None,
        }
    }

    pub(super) fn item(&self, scope: &TenantScope) -> Result<Item> {
        let list = if self.state.is_over() { "closed" } else { "open" };
        let number = i64::try_from(self.number).map_err(Error::bug)?;
        let item = Item::new(&scope.backorder(&self.id))
            .with("tenant_id", scope.tenant_id())
            .with("backorder_id", self.id.as_str())
            .with("state", self.state.name())
            .with("location_id", self.location_id.as_str())
            .with("sku", self.sku.as_str())
            .with("unit", self.unit.name())
            .with("quantity", self.quantity.thousandths())
            .with("number", number)
            .with("hold_seconds", i64::from(self.hold_seconds))
            .with_some("customer_id", self.customer_id.as_deref())
            .with_some("order_id", self.order_id.as_deref())
            .with_some("needed_by", self.needed_by)
            .with_some("note", self.note.as_deref())
            .with("created_at", self.created_at)
            .with("created_by", self.created_by.as_str())
            .with_some("reservation_id", self.reservation_id.as_deref())
            .with_some("reserved_at", self.reserved_at)
            .with_some("expires_at", self.expires_at)
            .with("fulfilled", self.fulfilled.thousandths())
            .with_some("ended_at", self.ended_at)
            .with_some("ended_by", self.ended_by.as_deref())
            .with_some("reason", self.reason.as_deref())
            .with_json("placed", &self.placed)?
            .with("told", i64::from(self.told))
            .with("version", self.version)
            .with("location_pk", scope.location_backorders(&self.location_id, list).value())
            .with("location_sk", format!("{:015}#{}", self.created_at.max(0), self.id))
            .with("sku_pk", scope.sku_backorders(&self.location_id, &self.sku, list).value())
            .with("sku_sk", format!("{:012}#{}", self.number, self.id));
        let item = match &self.cancelled {
            Some(cancelled) => item.with_json("cancelled", cancelled)?,
            None => item,
        };
        Ok(match self.due_at() {
            Some(due_at) => {
                item.with("due_pk", keys::due("backorder", spread(&self.id)).value()).with("due_at", due_at)
            }
            None => item,
        })
    }

    /// Writes it for the first time.
    ///
    /// # Errors
    /// A bug if it cannot be JSON.
    pub(super) fn create(&self, scope: &TenantScope) -> Result<Write> {
        Ok(Write::Put { table: Table::Stock, item: self.item(scope)?, condition: Some(Condition::NotExists) })
    }

    /// Writes `next` over it. A backorder is never taken away, so its version alone tells which was read.
    ///
    /// # Errors
    /// A bug if it cannot be JSON, or does not stand so that it may become `next`.
    pub(super) fn replace(&self, scope: &TenantScope, next: &StoredBackorder) -> Result<Write> {
        if next.state != self.state && !self.state.may_become(next.state) {
            let (from, to) = (self.state.name(), next.state.name());
            return Err(Error::Bug(format!("backorder {} is {from} and cannot become {to}", self.id)));
        }
        let condition = Some(Condition::Eq("version", self.version.into()));
        Ok(Write::Put { table: Table::Stock, item: next.item(scope)?, condition })
    }

    /// Its place in the queue, where it waits.
    pub(super) fn place(&self, scope: &TenantScope) -> Write {
        let item = Item::new(&scope.backorder_place(&self.location_id, &self.sku, self.number))
            .with("tenant_id", scope.tenant_id())
            .with("backorder_id", self.id.as_str());
        Write::Put { table: Table::Stock, item, condition: Some(Condition::NotExists) }
    }

    /// Takes it out of the queue.
    pub(super) fn leave(&self, scope: &TenantScope) -> Write {
        let key = scope.backorder_place(&self.location_id, &self.sku, self.number);
        Write::Delete { table: Table::Stock, key, condition: Some(Condition::Exists) }
    }

    /// Counts it as waited for where there is no stock item of it yet. That says nothing of what lies there: nobody has
    /// told its stock by it.
    pub(super) fn count_first(&self, scope: &TenantScope, movement: &Movement) -> Write {
        let what = (self.location_id.as_str(), self.sku.as_str(), Place::First);
        let waited_for = Change::Add(BACKORDERED, self.quantity.thousandths());
        let changes = vec![unit_change(self.unit), unsynced_change(), waited_for];
        stock_update_at(scope, what, Delta::default(), movement, vec![Condition::NotExists], changes)
    }

    /// Counts it as waited for, or no more, at its stock item, whatever the layout.
    pub(super) fn count(&self, scope: &TenantScope, thousandths: i64, movement: &Movement) -> Write {
        let what = (self.location_id.as_str(), self.sku.as_str(), Place::First);
        let changes = vec![unit_change(self.unit), Change::Add(BACKORDERED, thousandths)];
        stock_update_at(scope, what, Delta::default(), movement, Vec::new(), changes)
    }

    /// What the ledger says of a step of it that moves nothing.
    pub(super) fn movement(&self, kind: &'static str, actor: &str, at: Timestamp) -> Movement {
        Movement { kind, reference: self.id.clone(), actor: actor.to_owned(), at, reason: None }
    }

    /// Whether it is of no use any more, and nobody has said so yet.
    pub(super) fn is_too_late(&self, now: Timestamp) -> bool {
        self.state == BackorderState::Waiting
            && self.needed_by.is_some_and(|needed_by| needed_by <= now.as_millisecond())
    }

    /// Held by a reservation.
    #[must_use]
    pub(super) fn reserved(&self, reservation: &Reservation) -> Self {
        StoredBackorder {
            state: BackorderState::Reserved,
            reservation_id: Some(reservation.id.clone()),
            reserved_at: Some(reservation.created_at.as_millisecond()),
            expires_at: Some(reservation.expires_at.as_millisecond()),
            told: self.told.saturating_add(1),
            version: self.version + 1,
            ..self.clone()
        }
    }

    /// As its reservation stands, which goes on holding.
    #[must_use]
    pub(super) fn held_as(&self, reservation: &Reservation) -> Self {
        StoredBackorder {
            expires_at: Some(reservation.expires_at.as_millisecond()),
            fulfilled: sold_of(reservation),
            version: self.version + 1,
            ..self.clone()
        }
    }

    /// At its end.
    #[must_use]
    pub(super) fn ended(&self, end: End) -> Self {
        StoredBackorder {
            state: end.state,
            fulfilled: end.fulfilled,
            ended_at: Some(end.at.as_millisecond()),
            ended_by: end.by,
            reason: end.reason,
            told: self.told.saturating_add(1),
            version: self.version + 1,
            ..self.clone()
        }
    }

    /// What is told of the step that left it so.
    ///
    /// # Errors
    /// A bug if it cannot be JSON, or is nothing to be told.
    pub(super) fn fact(&self, scope: &TenantScope, at: Timestamp) -> Result<Write> {
        let event = match self.state {
            BackorderState::Waiting => return Err(Error::bug("that one waits is not told")),
            BackorderState::Reserved => HqBackorderEvent::BackorderReserved,
            BackorderState::Fulfilled => HqBackorderEvent::BackorderFulfilled,
            BackorderState::Expired => HqBackorderEvent::BackorderExpired,
            BackorderState::Cancelled => HqBackorderEvent::BackorderCancelled,
        };
        let message = HqBackorderMessage {
            version: HQ_MESSAGE_VERSION,
            event,
            tenant_id: scope.tenant_id().to_owned(),
            event_version: self.told,
            backorder: self.shown(),
        };
        let fact = StockFact {
            subject: subject::of_backorder(&self.id),
            version: self.told,
            status: self.state.name(),
            location_id: &self.location_id,
            at,
            message: HqMessage::Backorder(Box::new(message)),
        };
        fact.write(scope)
    }

    /// As the request that made it left it.
    pub fn as_placed(&self) -> wire::Backorder {
        StoredBackorder {
            state: BackorderState::Waiting,
            reservation_id: None,
            reserved_at: None,
            expires_at: None,
            fulfilled: Quantity::ZERO,
            ended_at: None,
            ended_by: None,
            reason: None,
            version: 1,
            ..self.clone()
        }
        .shown()
    }

    /// As a client reads it.
    pub fn shown(&self) -> wire::Backorder {
        let time = |millis: i64| Timestamp::from_millisecond(millis).unwrap_or_default();
        wire::Backorder {
            backorder_id: self.id.clone(),
            status: match self.state {
                BackorderState::Waiting => BackorderStatus::Waiting,
                BackorderState::Reserved => BackorderStatus::Reserved,
                BackorderState::Fulfilled => BackorderStatus::Fulfilled,
                BackorderState::Expired => BackorderStatus::Expired,
                BackorderState::Cancelled => BackorderStatus::Cancelled,
            },
            location_id: self.location_id.clone(),
            sku: self.sku.clone(),
            quantity: self.quantity.display(self.unit),
            number: self.number,
            customer_id: self.customer_id.clone(),
            order_id: self.order_id.clone(),
            needed_by: self.needed_by.map(time),
            note: self.note.clone(),
            created_at: time(self.created_at),
            created_by: self.created_by.clone(),
            reservation_id: self.reservation_id.clone(),
            reserved_at: self.reserved_at.map(time),
            expires_at: self.expires_at.map(time),
            fulfilled: self.fulfilled.display(self.unit),
            ended_at: self.ended_at.map(time),
            ended_by: self.ended_by.clone(),
            reason: self.reason.clone(),
            version: self.version,
        }
    }
}

/// How many of a reservation were sold.
pub(super) fn sold_of(reservation: &Reservation) -> Quantity {
    let of_line = |line: &HeldLine| match reservation.state {
        State::Committed => line.quantity,
        _ => line.committed,
    };
    reservation.lines.iter().map(of_line).fold(Quantity::ZERO, Quantity::plus)
}
