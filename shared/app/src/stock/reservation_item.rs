//! The reservation's header: what it holds in all, where it stands, and the idempotency keys that took
//! effect on it. The lines of a long one stand in chunks beside it ([`crate::stock::long_reservations`]).

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use tillstream_contracts::inventory::{self as wire, ReservationStatus};
use tillstream_domain::kit::KitPart;
use tillstream_domain::quantity::{Quantity, Unit};

use crate::database::{Condition, Item, Table, Write};
use crate::error::{Error, Result};
use crate::stock::holds::Hold;
use crate::stock::kits::{self, KitLine};
use crate::stock::layout::LAYOUT_WHOLE;
use crate::stock::long_reservations::header::{Long, last_ordinal};
use crate::stock::request_identity::is_replay;
use crate::tenancy::TenantScope;

/// How often one reservation is extended or committed in part: so its keys stay within some kilobytes.
pub const CHANGES_MAX: usize = 100;

/// Attribute that headers of backorders' reservations have, and no other item: a filter lets them through.
pub(crate) const FOR_BACKORDER: &str = "for_backorder";

/// One held line.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HeldLine {
    /// Where.
    pub location_id: String,
    /// What.
    pub sku: String,
    /// How many were reserved.
    pub quantity: Quantity,
    /// How the product is sold.
    pub unit: Unit,
    /// How many of them were committed while the others went on being held.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub committed: Quantity,
    /// Which parts of split stock hold it; empty where the stock was whole.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub parts: Vec<HeldPart>,
}

fn is_zero(quantity: &Quantity) -> bool {
    *quantity == Quantity::ZERO
}

impl HeldLine {
    /// How many are held while the reservation is active.
    pub fn held(&self) -> Quantity {
        self.quantity.minus(self.committed)
    }

    /// Its parts, each with what `sold` of the line leaves of it; stock that was whole is one part.
    fn parts_after(&self, sold: Quantity) -> Vec<(HeldPart, Quantity)> {
        if self.parts.is_empty() {
            let whole = HeldPart { part: 0, layout: LAYOUT_WHOLE, quantity: self.held() };
            return vec![(whole, self.held().minus(sold))];
        }
        let mut due = sold;
        let after = |of: &HeldPart| {
            let taken = of.quantity.min(due);
            due = due.minus(taken);
            (*of, of.quantity.minus(taken))
        };
        self.parts.iter().map(after).collect()
    }

    /// Notes that so many of it were committed.
    pub(super) fn commit(&mut self, sold: Quantity) {
        if !self.parts.is_empty() {
            let left = self.parts_after(sold).into_iter().filter(|(_, left)| !is_zero(left));
            self.parts = left.map(|(of, left)| HeldPart { quantity: left, ..of }).collect();
        }
        self.committed = self.committed.plus(sold);
    }
}

/// How many of which lines, by position.
pub type OfLines = Vec<(usize, Quantity)>;

/// What of a reservation is committed while the rest goes on being held.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SoldInPart {
    /// Of its lines; what is taken for kits included.
    pub lines: OfLines,
    /// Of its kits.
    pub kits: OfLines,
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

/// Where a reservation stands as it is written. That a short one expired is known from the clock alone, and it
/// is never between two of these: only a long one is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum State {
    /// Holding.
    Active,
    /// Sold.
    Committed,
    /// Given back.
    Released,
    /// Long: being made; it is not there yet.
    Reserving,
    /// Long: could not be made, and is being taken away.
    GivingUp,
    /// Long: sold, in part or whole; the stock follows.
    Committing,
    /// Long: given back; the stock follows.
    Releasing,
    /// Long: its time was over when somebody wanted what it held.
    Expired,
}

impl State {
    const ALL: [State; 8] = [
        State::Active,
        State::Committed,
        State::Released,
        State::Reserving,
        State::GivingUp,
        State::Committing,
        State::Releasing,
        State::Expired,
    ];

    pub(super) fn name(self) -> &'static str {
        match self {
            State::Active => "active",
            State::Committed => "committed",
            State::Released => "released",
            State::Reserving => "reserving",
            State::GivingUp => "giving_up",
            State::Committing => "committing",
            State::Releasing => "releasing",
            State::Expired => "expired",
        }
    }

    /// Whether something is left to be done before it stands still.
    pub fn is_under_way(self) -> bool {
        matches!(self, State::Reserving | State::GivingUp | State::Committing | State::Releasing)
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
    /// What it committed while the rest went on being held.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub committed: OfLines,
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

impl KeyedRequest<'_> {
    /// Whether it is a replay to what was done under its key, by a request of this fingerprint and number.
    ///
    /// # Errors
    /// 422 `idempotency_key_reused`.
    pub(super) fn is_replay(&self, fingerprint: &str, number: i64) -> Result<bool> {
        is_replay((self.fingerprint, self.number), (fingerprint, number))
    }
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
    /// What it holds, one line per location and SKU. Of a long one nothing until its chunks are read.
    pub lines: Vec<HeldLine>,
    /// The kits among what was asked for; what is held for them is among the lines. Read with these.
    pub kits: Vec<KitLine>,
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
    /// What only a long one has.
    pub long: Option<Long>,
    /// The backorder that it was made for: the relay brings each change of it there.
    pub backorder_id: Option<String>,
}

impl Reservation {
    /// Reads a header.
    ///
    /// # Errors
    /// A bug if the item is not one.
    pub fn of(item: &Item) -> Result<Self> {
        let state = item.text("state")?;
        let long = Long::of(item)?;
        let lines: Vec<HeldLine> = if long.is_some() { Vec::new() } else { item.json("lines")? };
        let kits = item.opt_bytes("kits").map(|bytes| kits::read(bytes, &lines)).transpose()?;
        Ok(Reservation {
            id: item.text("reservation_id")?.to_owned(),
            state: State::ALL
                .into_iter()
                .find(|known| known.name() == state)
                .ok_or_else(|| Error::Bug(format!("unknown reservation state {state}")))?,
            version: item.number("version")?,
            lines,
            kits: kits.unwrap_or_default(),
            expires_at: Timestamp::from_millisecond(item.number("expires_at")?).map_err(Error::bug)?,
            created_at: Timestamp::from_millisecond(item.number("created_at")?).map_err(Error::bug)?,
            created_by: item.text("created_by")?.to_owned(),
            order_id: item.opt_text("order_id").map(Into::into),
            keys: item.json("keys")?,
            long,
            backorder_id: item.opt_text(FOR_BACKORDER).map(Into::into),
        })
    }

    pub(super) fn item(&self, scope: &TenantScope) -> Result<Item> {
        let item = Item::new(&scope.reservation(&self.id))
            .with("tenant_id", scope.tenant_id())
            .with("reservation_id", self.id.as_str())
            .with("state", self.state.name())
            .with("version", self.version)
            .with("expires_at", self.expires_at.as_millisecond())
            .with("created_at", self.created_at.as_millisecond())
            .with("created_by", self.created_by.as_str())
            .with_some("order_id", self.order_id.as_deref())
            .with_some(FOR_BACKORDER, self.backorder_id.as_deref())
            .with_json("keys", &self.keys)?;
        match &self.long {
            Some(long) => long.attributes(item, self),
            None if self.kits.is_empty() => item.with_json("lines", &self.lines),
            None => item.with("kits", kits::stored(&self.kits, &self.lines)?).with_json("lines", &self.lines),
        }
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
            committed: Vec::new(),
        });
        next
    }

    /// The next version of it, still active, where so many of its lines were committed.
    #[must_use]
    pub fn committed_in_part(&self, sold: &SoldInPart, request: &KeyedRequest<'_>) -> Self {
        let mut next = self.next(State::Active, self.expires_at, None, request);
        for (at, quantity) in &sold.lines {
            if let Some(line) = next.lines.get_mut(*at) {
                line.commit(*quantity);
            }
        }
        next.commit_kits(&sold.kits);
        if let Some(applied) = next.keys.last_mut() {
            applied.committed.clone_from(&sold.lines);
        }
        next
    }

    /// Notes that the last request committed so many of which kits.
    pub(super) fn commit_kits(&mut self, sold: &OfLines) {
        let ordinal = last_ordinal(self);
        for (at, quantity) in sold {
            if let Some(kit) = self.kits.get_mut(*at) {
                kit.commits.push((ordinal, *quantity));
            }
        }
    }

    /// Its hold lines: one per line, of split stock one per line and part. None of what was committed already.
    pub fn holds(&self) -> Vec<Hold> {
        let all = self.lines.iter().map(|line| (line, Quantity::ZERO));
        self.holds_of(all).map(|(hold, _)| hold).filter(|hold| hold.quantity != Quantity::ZERO).collect()
    }

    /// The hold lines that `sold` takes from, each with what it leaves.
    pub fn holds_lessened_by(&self, sold: &OfLines) -> Vec<(Hold, Quantity)> {
        let lines = sold.iter().filter_map(|(at, quantity)| Some((self.lines.get(*at)?, *quantity)));
        self.holds_of(lines).filter(|(hold, left)| hold.quantity != *left).collect()
    }

    /// Hold lines of such lines, each with what is left of it when so many are sold.
    pub(super) fn holds_of<'a>(
        &'a self,
        lines: impl Iterator<Item = (&'a HeldLine, Quantity)>,
    ) -> impl Iterator<Item = (Hold, Quantity)> {
        let hold = move |line: &HeldLine, of: &HeldPart| Hold {
            location_id: line.location_id.clone(),
            sku: line.sku.clone(),
            reservation_id: self.id.clone(),
            part: of.part,
            layout: of.layout,
            quantity: of.quantity,
            expires_at: self.expires_at.as_millisecond(),
            attempt: self.long.as_ref().map(|long| long.attempt),
        };
        lines.flat_map(move |(line, sold)| {
            line.parts_after(sold).into_iter().map(move |(of, left)| (hold(line, &of), left))
        })
    }

    /// What is held at a location, by SKU: of kits what they are made of, `None` for what is none.
    pub fn goods_at(&self, location_id: &str) -> Vec<(String, Option<Vec<KitPart>>)> {
        let lines = self.lines.iter().filter(|line| line.location_id == location_id);
        let kits = self.kits.iter().filter(|kit| kit.location_id == location_id);
        let kits = kits.map(|kit| (kit.sku.clone(), Some(kit.parts.clone())));
        lines.map(|line| (line.sku.clone(), None)).chain(kits).collect()
    }

    /// What it holds by location and SKU, for whoever compares it with an order.
    pub fn quantities(&self) -> BTreeMap<(String, String), Quantity> {
        let held = self.lines.iter().filter(|line| line.held() != Quantity::ZERO);
        held.map(|line| ((line.location_id.clone(), line.sku.clone()), line.held())).collect()
    }

    /// Whether it no longer holds although nothing ended it.
    pub fn has_expired(&self, now: Timestamp) -> bool {
        self.state == State::Expired || (self.state == State::Active && self.expires_at <= now)
    }

    /// As a client reads it now.
    pub fn shown(&self, now: Timestamp) -> wire::Reservation {
        let status = match self.state {
            State::Active if self.has_expired(now) => ReservationStatus::Expired,
            // It is decided, whatever of its stock is left to follow.
            State::Committing => status_of(self.keys.last().map_or(State::Active, |last| last.state)),
            state => status_of(state),
        };
        let committed = self.lines.iter().map(|line| line.committed).collect();
        let kits = self.kits.iter().map(KitLine::committed).collect();
        self.wire(status, self.expires_at, self.order_id.clone(), (committed, kits))
    }

    /// As the request that `applied` records left it.
    pub fn as_of(&self, applied: &AppliedKey) -> wire::Reservation {
        let later = self.keys.iter().position(|one| one.key == applied.key).map_or(0, |at| at + 1);
        let ordinal = u32::try_from(later).unwrap_or(u32::MAX);
        let kits = self.kits.iter().map(|kit| kit.committed_before(ordinal)).collect();
        let committed = match &self.long {
            Some(long) => long.committed_before(ordinal),
            None => {
                let mut committed = vec![Quantity::ZERO; self.lines.len()];
                for (at, quantity) in self.keys.iter().take(later).flat_map(|one| &one.committed) {
                    if let Some(sum) = committed.get_mut(*at) {
                        *sum = sum.plus(*quantity);
                    }
                }
                committed
            }
        };
        self.wire(status_of(applied.state), applied.expires_at, applied.order_id.clone(), (committed, kits))
    }

    fn wire(
        &self,
        status: ReservationStatus,
        expires_at: Timestamp,
        order_id: Option<String>,
        (committed, kits_committed): (Vec<Quantity>, Vec<Quantity>),
    ) -> wire::Reservation {
        // What was left is committed with the reservation itself.
        let all = status == ReservationStatus::Committed;
        wire::Reservation {
            reservation_id: self.id.clone(),
            status,
            lines: self
                .lines
                .iter()
                .zip(committed)
                .map(|(line, committed)| wire::ReservationLine {
                    location_id: line.location_id.clone(),
                    sku: line.sku.clone(),
                    quantity: line.quantity.display(line.unit),
                    committed: if all { line.quantity } else { committed }.display(line.unit),
                })
                .collect(),
            kits: self
                .kits
                .iter()
                .zip(kits_committed)
                .map(|(kit, committed)| kit.shown(if all { kit.quantity } else { committed }))
                .collect(),
            expires_at,
            created_at: self.created_at,
            order_id,
        }
    }
}

fn status_of(state: State) -> ReservationStatus {
    match state {
        // One that is being made is shown to nobody.
        State::Active | State::Reserving => ReservationStatus::Active,
        State::Committed | State::Committing => ReservationStatus::Committed,
        State::Released | State::Releasing | State::GivingUp => ReservationStatus::Released,
        State::Expired => ReservationStatus::Expired,
    }
}
