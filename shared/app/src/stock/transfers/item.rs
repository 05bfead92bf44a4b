//! The item of a transfer.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use tillstream_contracts::transfers::{self as wire, TransferStatusView};
use tillstream_domain::compact;
use tillstream_domain::quantity::Quantity;
use tillstream_domain::transfer::{self, Settled, TransferAction, TransferLine, TransferStatus};
use tillstream_domain::transfer_lots::NamedLot;

use crate::database::{Condition, Item, Table, Write};
use crate::error::{Error, Result};
use crate::keys;
use crate::pos::identity::spread;
use crate::stock::counters::Movement;
use crate::stock::request_identity::key_reused;
use crate::stock::reservation_item::KeyedRequest;
use crate::stock::transfers::Answer;
use crate::tenancy::TenantScope;

/// How long a pending step is left to whoever began it, before the keeper goes on with it.
const PENDING_MILLIS: i64 = 30_000;

/// What only the code reads of a transfer, as it is encoded: positional, so nothing may be put between.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Body {
    /// What, and what became of it by the steps that are done.
    pub lines: Vec<TransferLine>,
    /// What was done, in order.
    pub steps: Vec<Step>,
    /// What is being done.
    pub pending: Option<Pending>,
}

/// A step that was asked for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Step {
    /// What is done.
    pub action: TransferAction,
    /// Idempotency key.
    pub key: String,
    /// Fingerprint of action and payload.
    pub fingerprint: String,
    /// Number of the request, to know its own write by.
    pub request: i64,
    /// When, in epoch milliseconds.
    pub at: i64,
    /// Who.
    pub by: String,
    /// Why.
    pub reason: Option<String>,
    /// What it settles; nothing where it ships.
    pub settled: Vec<Settled>,
    /// Version of the transfer that it left.
    pub version: i64,
}

/// A step that takes several transactions.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pending {
    /// It.
    pub step: Step,
    /// How many of its lines are done.
    pub done: u32,
    /// Whether it is taken back, since something is short that it would ship.
    pub undoing: bool,
}

impl Step {
    /// What the ledger says of it.
    pub fn movement(&self, transfer_id: &str) -> Result<Movement> {
        let kind = match self.action {
            TransferAction::Ship => "transfer_ship",
            TransferAction::Receive => "transfer_receive",
            TransferAction::Return => "transfer_return",
            TransferAction::Damage => "transfer_damage",
            TransferAction::Cancel => "transfer_cancel",
        };
        Ok(Movement {
            kind,
            reference: transfer_id.to_owned(),
            actor: self.by.clone(),
            at: Timestamp::from_millisecond(self.at).map_err(Error::bug)?,
            reason: self.reason.clone(),
        })
    }
}

/// A transfer as it is stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredTransfer {
    /// Its id.
    pub id: String,
    /// From where.
    pub from: String,
    /// To where.
    pub to: String,
    /// For whoever receives it.
    pub note: Option<String>,
    /// When it was asked for, in epoch milliseconds.
    pub created_at: i64,
    /// Number of the request that made it: where a shipment was taken back, another transfer of the same id may
    /// stand at the same version.
    pub born: i64,
    /// Count of its changes.
    pub version: i64,
    /// Whether it is noted of any of its lines which lots left.
    pub has_lots: bool,
    /// Lots that the pending step names.
    pub named: Vec<NamedLot>,
    /// The rest.
    pub body: Body,
}

impl StoredTransfer {
    /// Reads one.
    ///
    /// # Errors
    /// A bug if the item is not one.
    pub fn of(item: &Item) -> Result<Self> {
        Ok(StoredTransfer {
            id: item.text("transfer_id")?.to_owned(),
            from: item.text("from_location_id")?.to_owned(),
            to: item.text("to_location_id")?.to_owned(),
            note: item.opt_text("note").map(str::to_owned),
            created_at: item.number("created_at")?,
            born: item.number("born")?,
            version: item.number("version")?,
            has_lots: item.opt_number("has_lots").is_some(),
            named: match item.opt_bytes("named") {
                Some(named) => compact::decode(named).map_err(Error::bug)?,
                None => Vec::new(),
            },
            body: compact::decode(item.bytes("body")?).map_err(Error::bug)?,
        })
    }

    /// Where it stands by the steps that are done.
    pub fn status(&self) -> TransferStatus {
        transfer::status(&self.body.lines, self.body.steps.iter().map(|step| step.action))
    }

    fn status_view(&self) -> TransferStatusView {
        if self.body.steps.is_empty() { TransferStatusView::Shipping } else { view(self.status()) }
    }

    fn item(&self, scope: &TenantScope) -> Result<Item> {
        let status = self.status_view();
        let is_open = self.body.pending.is_some() || !self.status().is_closed();
        let state = if is_open { "open" } else { "closed" };
        let sort = format!("{:015}#{}", self.created_at.max(0), self.id);
        let mut item = Item::new(&scope.transfer(&self.id))
            .with("tenant_id", scope.tenant_id())
            .with("transfer_id", self.id.as_str())
            .with("status", name(status))
            .with("from_location_id", self.from.as_str())
            .with("to_location_id", self.to.as_str())
            .with_some("note", self.note.as_deref())
            .with("created_at", self.created_at)
            .with("born", self.born)
            .with("version", self.version)
            .with_some("has_lots", self.has_lots.then_some(1_i64))
            .with("location_pk", scope.transfers(&self.to, "in", state).value())
            .with("location_sk", sort.as_str())
            .with("sku_pk", scope.transfers(&self.from, "out", state).value())
            .with("sku_sk", sort.as_str())
            .with("body", compact::encode(&self.body).map_err(Error::bug)?);
        if !self.named.is_empty() {
            item = item.with("named", compact::encode(&self.named).map_err(Error::bug)?);
        }
        if let Some(pending) = &self.body.pending {
            item = item
                .with("due_pk", keys::due("transfer", spread(&self.id)).value())
                .with("due_at", pending.step.at.saturating_add(PENDING_MILLIS));
        }
        Ok(item)
    }

    /// Writes it for the first time.
    ///
    /// # Errors
    /// A bug if it cannot be encoded.
    pub fn create(&self, scope: &TenantScope) -> Result<Write> {
        Ok(Write::Put { table: Table::Stock, item: self.item(scope)?, condition: Some(Condition::NotExists) })
    }

    fn as_read(&self) -> Option<Condition> {
        let as_read = [("version", self.version), ("born", self.born)];
        Some(Condition::All(as_read.map(|(name, value)| Condition::Eq(name, value.into())).to_vec()))
    }

    /// Whether nobody wrote it between this read of it and that.
    pub fn is_as_in(&self, that: &StoredTransfer) -> bool {
        (self.version, self.born) == (that.version, that.born)
    }

    /// Writes `next` over it.
    ///
    /// # Errors
    /// A bug if it cannot be encoded.
    pub fn replace(&self, scope: &TenantScope, next: &StoredTransfer) -> Result<Write> {
        Ok(Write::Put { table: Table::Stock, item: next.item(scope)?, condition: self.as_read() })
    }

    /// Takes it away, as if it had never been asked for.
    pub fn remove(&self, scope: &TenantScope) -> Write {
        Write::Delete { table: Table::Stock, key: scope.transfer(&self.id), condition: self.as_read() }
    }

    /// Adds a step that is done to what it is made of.
    pub fn conclude(&mut self, mut step: Step) {
        step.version = self.version;
        transfer::apply(&mut self.body.lines, &step.settled);
        self.body.pending = None;
        self.named.clear();
        self.body.steps.push(step);
    }

    /// The answer to a request that took effect before.
    pub fn answer_again(&self, request: &KeyedRequest<'_>) -> Option<Result<Answer>> {
        let at = self.body.steps.iter().position(|step| step.key == request.key)?;
        let step = self.body.steps.get(at)?;
        let replayed = request.is_replay(&step.fingerprint, step.request);
        Some(replayed.map(|replayed| Answer { transfer: self.as_of(at + 1), replayed }))
    }

    /// The step that is pending, if the request asked for it.
    ///
    /// # Errors
    /// 422 `idempotency_key_reused`.
    pub fn pending_of(&self, request: &KeyedRequest<'_>) -> Result<Option<&Pending>> {
        match self.body.pending.as_ref().filter(|pending| pending.step.key == request.key) {
            Some(pending) if pending.step.fingerprint != request.fingerprint => Err(key_reused()),
            ours => Ok(ours),
        }
    }

    /// As a client reads it.
    pub fn shown(&self) -> wire::Transfer {
        let wire = self.as_of(self.body.steps.len());
        wire::Transfer { status: self.status_view(), version: self.version, ..wire }
    }

    /// As a client reads it in a list.
    pub fn summary(&self) -> wire::TransferSummary {
        wire::TransferSummary {
            transfer_id: self.id.clone(),
            status: self.status_view(),
            from_location_id: self.from.clone(),
            to_location_id: self.to.clone(),
            line_count: self.body.lines.len(),
            created_at: time(self.created_at),
        }
    }

    /// As the first `steps` steps left it.
    fn as_of(&self, steps: usize) -> wire::Transfer {
        let done = self.body.steps.get(..steps).unwrap_or_default();
        let shipped = |line: &TransferLine| TransferLine::shipped(line.sku.clone(), line.unit, line.shipped);
        let mut lines: Vec<TransferLine> = self.body.lines.iter().map(shipped).collect();
        for step in done {
            transfer::apply(&mut lines, &step.settled);
        }
        let status = transfer::status(&lines, done.iter().map(|step| step.action));
        wire::Transfer {
            transfer_id: self.id.clone(),
            status: view(status),
            from_location_id: self.from.clone(),
            to_location_id: self.to.clone(),
            lines: lines.iter().map(shown_line).collect(),
            note: self.note.clone(),
            created_at: time(self.created_at),
            steps: done.iter().map(shown_step).collect(),
            version: done.last().map_or(self.version, |step| step.version),
        }
    }
}

fn shown_line(line: &TransferLine) -> wire::TransferLineView {
    let shown = |quantity: Quantity| quantity.display(line.unit);
    wire::TransferLineView {
        sku: line.sku.clone(),
        shipped: shown(line.shipped),
        received: shown(line.received),
        damaged: shown(line.damaged),
        returned: shown(line.returned),
        outstanding: shown(line.outstanding()),
    }
}

fn shown_step(step: &Step) -> wire::TransferStep {
    wire::TransferStep {
        action: step.action.name().to_owned(),
        at: time(step.at),
        by: step.by.clone(),
        reason: step.reason.clone(),
    }
}

/// A time that was one when it was written.
fn time(millis: i64) -> Timestamp {
    Timestamp::from_millisecond(millis).unwrap_or_default()
}

fn view(status: TransferStatus) -> TransferStatusView {
    match status {
        TransferStatus::InTransit => TransferStatusView::InTransit,
        TransferStatus::PartlyReceived => TransferStatusView::PartlyReceived,
        TransferStatus::Received => TransferStatusView::Received,
        TransferStatus::Rejected => TransferStatusView::Rejected,
        TransferStatus::Cancelled => TransferStatusView::Cancelled,
    }
}

fn name(status: TransferStatusView) -> &'static str {
    match status {
        TransferStatusView::Shipping => "shipping",
        TransferStatusView::InTransit => TransferStatus::InTransit.name(),
        TransferStatusView::PartlyReceived => TransferStatus::PartlyReceived.name(),
        TransferStatusView::Received => TransferStatus::Received.name(),
        TransferStatusView::Rejected => TransferStatus::Rejected.name(),
        TransferStatusView::Cancelled => TransferStatus::Cancelled.name(),
    }
}

#[cfg(test)]
mod tests {
    use tillstream_domain::transfer_lots::Parts;

    use super::*;

    /// A step that was read of one transfer is not written over another of its id, nor does it take that away, though
    /// both are at the same version: a shipment that was taken back may be asked for again.
    #[test]
    fn a_write_names_the_transfer_that_was_read() {
        let scope = TenantScope::from_own_record("demo");
        let read = StoredTransfer {
            id: "t-1".to_owned(),
            from: "a".to_owned(),
            to: "b".to_owned(),
            note: None,
            created_at: 0,
            born: 77,
            version: 2,
            has_lots: true,
            named: vec![NamedLot { line: 0, lot_id: "L-1".to_owned(), parts: Parts::default() }],
            body: Body { lines: Vec::new(), steps: Vec::new(), pending: None },
        };
        let next = StoredTransfer { version: 3, ..read.clone() };
        for write in [read.replace(&scope, &next).unwrap(), read.remove(&scope)] {
            let (Write::Put { condition, .. } | Write::Delete { condition, .. }) = &write else {
                panic!("{write:?}")
            };
            let Some(Condition::All(conditions)) = condition else { panic!("{condition:?}") };
            for asked in [Condition::Eq("version", 2.into()), Condition::Eq("born", 77.into())] {
                assert!(conditions.contains(&asked), "{asked:?} of {conditions:?}");
            }
        }
        assert_eq!(StoredTransfer::of(&read.item(&scope).unwrap()).unwrap(), read);
    }
}
