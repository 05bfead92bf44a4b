//! The reservation's header: what it holds in all, where it stands, and the idempotency keys that took
//! effect on it.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use tillstream_contracts::inventory::{self as wire, ReservationStatus};
use tillstream_domain::quantity::{Quantity, Unit};

use crate::database::{Condition, Item, Table, Write};
use crate::error::{Error, Result};
use crate::stock::holds::Hold;
use crate::stock::layout::LAYOUT_WHOLE;
use crate::tenancy::TenantScope;

/// Most extensions of one reservation: with them its keys stay within a few kilobytes.
pub const EXTENSIONS_MAX: usize = 100;

/// One held line.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HeldLine {
    /// Where.
    pub location_id: String,
    /// What.
    pub sku: String,
    /// How many.
    pub quantity: Quantity,
    /// How the product is sold.
    pub unit: Unit,
    /// From which parts of split stock; empty where the stock was whole.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub parts: Vec<HeldPart>,
}

/// What one part of split stock holds of a line.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct HeldPart {
    /// Which part.
    #[serde(rename = "k")]
    pub part: u32,
    /// In which layout.
    #[serde(rename = "l")]
    pub layout: i64,
    /// How many.
    #[serde(rename = "q")]
    pub quantity: Quantity,
}

/// Where a reservation stands as it is written; that it expired is known from the clock alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum State {
    /// Holding.
    Active,
    /// Sold.
    Committed,
    /// Given back.
    Released,
}

impl State {
    fn name(self) -> &'static str {
        match self {
            State::Active => "active",
            State::Committed => "committed",
            State::Released => "released",
        }
    }
}

/// A request that took effect on a reservation, with what it answered.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AppliedKey {
    /// Idempotency key.
    pub key: String,
    /// Fingerprint of action and payload.
    pub fingerprint: String,
    /// Number of the request, to know its own write by.
    pub request: i64,
    /// State it left.
    pub state: State,
    /// End it left.
    pub expires_at: Timestamp,
    /// Order that was named by then.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub order_id: Option<String>,
}

/// A request that changes a reservation.
#[derive(Debug, Clone, Copy)]
pub struct KeyedRequest<'a> {
    /// Idempotency key.
    pub key: &'a str,
    /// Fingerprint of action and payload.
    pub fingerprint: &'a str,
    /// A number of this one request.
    pub number: i64,
}

/// A reservation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reservation {
    /// Its id.
    pub id: String,
    /// Where it stands.
    pub state: State,
    /// Count of its changes.
    pub version: i64,
    /// What it holds, one line per location and SKU.
    pub lines: Vec<HeldLine>,
    /// When it ends.
    pub expires_at: Timestamp,
    /// When it was made.
    pub created_at: Timestamp,
    /// Who made it.
    pub created_by: String,
    /// The order it is for.
    pub order_id: Option<String>,
    /// Requests that took effect.
    pub keys: Vec<AppliedKey>,
}

impl Reservation {
    /// Reads a header.
    ///
    /// # Errors
    /// A bug if the item is not one.
    pub fn of(item: &Item) -> Result<Self> {
        let state = item.text("state")?;
        Ok(Reservation {
            id: item.text("reservation_id")?.to_owned(),
            state: [State::Active, State::Committed, State::Released]
                .into_iter()
                .find(|known| known.name() == state)
                .ok_or_else(|| Error::Bug(format!("unknown reservation state {state}")))?,
            version: item.number("version")?,
            lines: item.json("lines")?,
            expires_at: Timestamp::from_millisecond(item.number("expires_at")?).map_err(Error::bug)?,
            created_at: Timestamp::from_millisecond(item.number("created_at")?).map_err(Error::bug)?,
            created_by: item.text("created_by")?.to_owned(),
            order_id: item.opt_text("order_id").map(Into::into),
            keys: item.json("keys")?,
        })
    }

    fn item(&self, scope: &TenantScope) -> Result<Item> {
        Item::new(&scope.reservation(&self.id))
            .with("tenant_id", scope.tenant_id())
            .with("reservation_id", self.id.as_str())
            .with("state", self.state.name())
            .with("version", self.version)
            .with("expires_at", self.expires_at.as_millisecond())
            .with("created_at", self.created_at.as_millisecond())
            .with("created_by", self.created_by.as_str())
            .with_some("order_id", self.order_id.as_deref())
            .with_json("lines", &self.lines)?
            .with_json("keys", &self.keys)
    }

    /// Writes it for the first time.
    ///
    /// # Errors
    /// A bug if it cannot be JSON.
    pub fn create(&self, scope: &TenantScope) -> Result<Write> {
        let item = self.item(scope)?;
        Ok(Write::Put { table: Table::Stock, item, condition: Some(Condition::NotExists) })
    }

    /// Writes it over the version before it.
    ///
    /// # Errors
    /// A bug if it cannot be JSON.
    pub fn overwrite(&self, scope: &TenantScope) -> Result<Write> {
        let condition = Condition::All(vec![
            Condition::Eq("version", (self.version - 1).into()),
            Condition::Eq("state", State::Active.name().into()),
        ]);
        Ok(Write::Put { table: Table::Stock, item: self.item(scope)?, condition: Some(condition) })
    }

    /// The next version of it, with a request recorded.
    #[must_use]
    pub fn next(
        &self,
        state: State,
        expires_at: Timestamp,
        order_id: Option<&str>,
        request: &KeyedRequest<'_>,
    ) -> Self {
        let order_id = order_id.map(str::to_owned).or_else(|| self.order_id.clone());
        let mut next = self.clone();
        next.version += 1;
        next.state = state;
        next.expires_at = expires_at;
        next.order_id.clone_from(&order_id);
        next.keys.push(AppliedKey {
            key: request.key.to_owned(),
            fingerprint: request.fingerprint.to_owned(),
            request: request.number,
            state,
            expires_at,
            order_id,
        });
        next
    }

    /// Its hold lines: one per line, of split stock one per line and part.
    pub fn holds(&self) -> Vec<Hold> {
        let hold = |line: &HeldLine, of: &HeldPart| Hold {
            location_id: line.location_id.clone(),
            sku: line.sku.clone(),
            reservation_id: self.id.clone(),
            part: of.part,
            layout: of.layout,
            quantity: of.quantity,
            expires_at: self.expires_at.as_millisecond(),
        };
        let mut holds = Vec::with_capacity(self.lines.len());
        for line in &self.lines {
            if line.parts.is_empty() {
                let whole = HeldPart { part: 0, layout: LAYOUT_WHOLE, quantity: line.quantity };
                holds.push(hold(line, &whole));
            }
            holds.extend(line.parts.iter().map(|of| hold(line, of)));
        }
        holds
    }

    /// What it holds by location and SKU, for whoever compares it with an order.
    pub fn quantities(&self) -> BTreeMap<(String, String), Quantity> {
        self.lines.iter().map(|line| ((line.location_id.clone(), line.sku.clone()), line.quantity)).collect()
    }

    /// Whether it no longer holds although nothing ended it.
    pub fn has_expired(&self, now: Timestamp) -> bool {
        self.state == State::Active && self.expires_at <= now
    }

    /// As a client reads it now.
    pub fn shown(&self, now: Timestamp) -> wire::Reservation {
        let status = match self.state {
            State::Active if self.has_expired(now) => ReservationStatus::Expired,
            state => status_of(state),
        };
        self.wire(status, self.expires_at, self.order_id.clone())
    }

    /// As the request that `applied` records left it.
    pub fn as_of(&self, applied: &AppliedKey) -> wire::Reservation {
        self.wire(status_of(applied.state), applied.expires_at, applied.order_id.clone())
    }

    fn wire(
        &self,
        status: ReservationStatus,
        expires_at: Timestamp,
        order_id: Option<String>,
    ) -> wire::Reservation {
        wire::Reservation {
            reservation_id: self.id.clone(),
            status,
            lines: self
                .lines
                .iter()
                .map(|line| wire::ReservationLine {
                    location_id: line.location_id.clone(),
                    sku: line.sku.clone(),
                    quantity: line.quantity.display(line.unit),
                })
                .collect(),
            expires_at,
            created_at: self.created_at,
            order_id,
        }
    }
}

fn status_of(state: State) -> ReservationStatus {
    match state {
        State::Active => ReservationStatus::Active,
        State::Committed => ReservationStatus::Committed,
        State::Released => ReservationStatus::Released,
    }
}
