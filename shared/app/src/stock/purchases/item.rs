//! The item of a purchase order.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use tillstream_contracts::purchase_orders::{self as wire, PurchaseStatusView};
use tillstream_domain::compact;
use tillstream_domain::money::Currency;
use tillstream_domain::purchase_order::{self, PurchaseAction, PurchaseLine, PurchaseStatus, Settled};
use tillstream_domain::quantity::Quantity;

use crate::database::{Condition, Item, Table, Write};
use crate::error::{Error, Result};
use crate::keys;
use crate::pos::identity::spread;
use crate::stock::counters::Movement;
use crate::stock::on_order::OrderedLine;
use crate::stock::purchases::Answer;
use crate::stock::request_identity::key_reused;
use crate::stock::reservation_item::KeyedRequest;
use crate::tenancy::TenantScope;

/// How long a pending step is left to whoever began it, before the keeper goes on with it.
const PENDING_MILLIS: i64 = 30_000;

/// What only the code reads of an order, as it is encoded: positional, so nothing may be put between.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Body {
    /// What, and what became of it by the steps that are done.
    pub lines: Vec<PurchaseLine>,
    /// What was done, in order.
    pub steps: Vec<Step>,
    /// What is being done.
    pub pending: Option<Pending>,
}

/// A step that was asked for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Step {
    /// What is done.
    pub action: PurchaseAction,
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
    /// What it does to lines; nothing where it places the order.
    pub settled: Vec<Settled>,
    /// Version of the order that it left.
    pub version: i64,
}

/// A step that takes several transactions.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pending {
    /// It.
    pub step: Step,
    /// How many of its lines are done.
    pub done: u32,
}

impl Step {
    /// What the ledger says of it.
    pub fn movement(&self, order_id: &str) -> Result<Movement> {
        let kind = match self.action {
            PurchaseAction::Place => "purchase_place",
            PurchaseAction::Receive => "purchase_receive",
            PurchaseAction::Close => "purchase_close",
            PurchaseAction::Cancel => "purchase_cancel",
        };
        Ok(Movement {
            kind,
            reference: order_id.to_owned(),
            actor: self.by.clone(),
            at: Timestamp::from_millisecond(self.at).map_err(Error::bug)?,
            reason: self.reason.clone(),
        })
    }
}

/// A purchase order as it is stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredPurchase {
    /// Its id.
    pub id: String,
    /// From whom.
    pub supplier_id: String,
    /// To where.
    pub location_id: String,
    /// The currency of its costs.
    pub currency: Option<Currency>,
    /// How much more than was ordered is taken, in per cent: what was agreed when it was placed.
    pub over_delivery_percent: u32,
    /// When it is expected, in epoch milliseconds.
    pub expected_at: i64,
    /// For whoever receives it.
    pub note: Option<String>,
    /// When it was asked for, in epoch milliseconds.
    pub created_at: i64,
    /// Count of its changes.
    pub version: i64,
    /// The rest.
    pub body: Body,
}

impl StoredPurchase {
    /// Reads one.
    ///
    /// # Errors
    /// A bug if the item is not one.
    pub fn of(item: &Item) -> Result<Self> {
        let currency = item.opt_text("currency").map(|code| code.parse::<Currency>().map_err(Error::bug));
        Ok(StoredPurchase {
            id: item.text("purchase_order_id")?.to_owned(),
            supplier_id: item.text("supplier_id")?.to_owned(),
            location_id: item.text("location_id")?.to_owned(),
            currency: currency.transpose()?,
            over_delivery_percent: u32::try_from(item.number("over_delivery_percent")?)
                .map_err(Error::bug)?,
            expected_at: item.number("expected_at")?,
            note: item.opt_text("note").map(str::to_owned),
            created_at: item.number("created_at")?,
            version: item.number("version")?,
            body: compact::decode(item.bytes("body")?).map_err(Error::bug)?,
        })
    }

    /// Where it stands by the steps that are done.
    pub fn status(&self) -> PurchaseStatus {
        purchase_order::status(&self.body.lines, self.body.steps.iter().map(|step| step.action))
    }

    fn status_view(&self) -> PurchaseStatusView {
        if self.body.steps.is_empty() { PurchaseStatusView::Placing } else { view(self.status()) }
    }

    /// One of its lines, for whoever asks when more comes.
    pub(super) fn ordered_line<'a>(&'a self, line: &'a PurchaseLine) -> OrderedLine<'a> {
        OrderedLine {
            order_id: &self.id,
            location_id: &self.location_id,
            sku: &line.sku,
            expected_at: self.expected_at,
        }
    }

    fn item(&self, scope: &TenantScope) -> Result<Item> {
        let is_open = self.body.pending.is_some() || !self.status().is_closed();
        let state = if is_open { "open" } else { "closed" };
        let sort = format!("{:015}#{}", self.created_at.max(0), self.id);
        let mut item = Item::new(&scope.purchase_order(&self.id))
            .with("tenant_id", scope.tenant_id())
            .with("purchase_order_id", self.id.as_str())
            .with("status", name(self.status_view()))
            .with("supplier_id", self.supplier_id.as_str())
            .with("location_id", self.location_id.as_str())
            .with_some("currency", self.currency.as_ref().map(Currency::code))
            .with("over_delivery_percent", i64::from(self.over_delivery_percent))
            .with("expected_at", self.expected_at)
            .with_some("note", self.note.as_deref())
            .with("created_at", self.created_at)
            .with("version", self.version)
            .with("location_pk", scope.purchase_orders("to", &self.location_id, state).value())
            .with("location_sk", sort.as_str())
            .with("sku_pk", scope.purchase_orders("from", &self.supplier_id, state).value())
            .with("sku_sk", sort.as_str())
            .with("body", compact::encode(&self.body).map_err(Error::bug)?);
        if let Some(pending) = &self.body.pending {
            item = item
                .with("due_pk", keys::due("purchase", spread(&self.id)).value())
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

    /// Writes `next` over it. An order is never taken away, so its version alone tells which was read.
    ///
    /// # Errors
    /// A bug if it cannot be encoded.
    pub fn replace(&self, scope: &TenantScope, next: &StoredPurchase) -> Result<Write> {
        let condition = Some(Condition::Eq("version", self.version.into()));
        Ok(Write::Put { table: Table::Stock, item: next.item(scope)?, condition })
    }

    /// Adds a step that is done to what it is made of.
    pub fn conclude(&mut self, mut step: Step) {
        step.version = self.version;
        purchase_order::apply(&mut self.body.lines, &step.settled);
        self.body.pending = None;
        self.body.steps.push(step);
    }

    /// The answer to a request that took effect before.
    pub fn answer_again(&self, request: &KeyedRequest<'_>) -> Option<Result<Answer>> {
        let at = self.body.steps.iter().position(|step| step.key == request.key)?;
        let step = self.body.steps.get(at)?;
        let replayed = request.is_replay(&step.fingerprint, step.request);
        Some(replayed.map(|replayed| Answer { order: self.as_of(at + 1), replayed }))
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
    pub fn shown(&self) -> wire::PurchaseOrder {
        let wire = self.as_of(self.body.steps.len());
        wire::PurchaseOrder { status: self.status_view(), version: self.version, ..wire }
    }

    /// As a client reads it in a list.
    pub fn summary(&self) -> wire::PurchaseOrderSummary {
        wire::PurchaseOrderSummary {
            purchase_order_id: self.id.clone(),
            status: self.status_view(),
            supplier_id: self.supplier_id.clone(),
            location_id: self.location_id.clone(),
            line_count: self.body.lines.len(),
            expected_at: time(self.expected_at),
            created_at: time(self.created_at),
        }
    }

    /// As the first `steps` steps left it.
    fn as_of(&self, steps: usize) -> wire::PurchaseOrder {
        let done = self.body.steps.get(..steps).unwrap_or_default();
        let ordered = |line: &PurchaseLine| {
            PurchaseLine::ordered(line.sku.clone(), line.unit, line.unit_cost, line.ordered)
        };
        let mut lines: Vec<PurchaseLine> = self.body.lines.iter().map(ordered).collect();
        for step in done {
            purchase_order::apply(&mut lines, &step.settled);
        }
        let status = purchase_order::status(&lines, done.iter().map(|step| step.action));
        wire::PurchaseOrder {
            purchase_order_id: self.id.clone(),
            status: view(status),
            supplier_id: self.supplier_id.clone(),
            location_id: self.location_id.clone(),
            currency: self.currency,
            over_delivery_percent: self.over_delivery_percent,
            lines: lines.iter().map(shown_line).collect(),
            expected_at: time(self.expected_at),
            note: self.note.clone(),
            created_at: time(self.created_at),
            steps: done.iter().map(|step| shown_step(step, &lines)).collect(),
            version: done.last().map_or(self.version, |step| step.version),
        }
    }
}

fn shown_line(line: &PurchaseLine) -> wire::PurchaseLineView {
    let shown = |quantity: Quantity| quantity.display(line.unit);
    wire::PurchaseLineView {
        sku: line.sku.clone(),
        unit_cost: line.unit_cost,
        ordered: shown(line.ordered),
        received: shown(line.received),
        damaged: shown(line.damaged),
        written_off: shown(line.written_off),
        outstanding: shown(line.outstanding()),
    }
}

fn shown_step(step: &Step, lines: &[PurchaseLine]) -> wire::PurchaseStep {
    let of = |settled: &Settled| {
        let line = usize::try_from(settled.line).ok().and_then(|at| lines.get(at))?;
        let shown = |quantity: Quantity| quantity.display(line.unit);
        Some(wire::PurchaseStepLine {
            sku: line.sku.clone(),
            received: shown(settled.received),
            damaged: shown(settled.damaged),
            written_off: shown(settled.written_off),
        })
    };
    wire::PurchaseStep {
        action: step.action.name().to_owned(),
        at: time(step.at),
        by: step.by.clone(),
        reason: step.reason.clone(),
        lines: step.settled.iter().filter_map(of).collect(),
    }
}

/// A time that was one when it was written.
fn time(millis: i64) -> Timestamp {
    Timestamp::from_millisecond(millis).unwrap_or_default()
}

fn view(status: PurchaseStatus) -> PurchaseStatusView {
    match status {
        PurchaseStatus::Ordered => PurchaseStatusView::Ordered,
        PurchaseStatus::PartlyReceived => PurchaseStatusView::PartlyReceived,
        PurchaseStatus::Received => PurchaseStatusView::Received,
        PurchaseStatus::Closed => PurchaseStatusView::Closed,
        PurchaseStatus::Cancelled => PurchaseStatusView::Cancelled,
    }
}

fn name(status: PurchaseStatusView) -> &'static str {
    match status {
        PurchaseStatusView::Placing => "placing",
        PurchaseStatusView::Ordered => PurchaseStatus::Ordered.name(),
        PurchaseStatusView::PartlyReceived => PurchaseStatus::PartlyReceived.name(),
        PurchaseStatusView::Received => PurchaseStatus::Received.name(),
        PurchaseStatusView::Closed => PurchaseStatus::Closed.name(),
        PurchaseStatusView::Cancelled => PurchaseStatus::Cancelled.name(),
    }
}
