//! The item of a count sheet.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use tillstream_contracts::counts::{
    CountEnding, CountLineStatus, CountLineView, CountSheet, CountStatus, CountSummary, CountVariance,
    CountedLotView,
};
use tillstream_domain::compact;
use tillstream_domain::count_sheet::{CountLine, CountedLot, SheetVariance, TEXTS_MAX, variance_of};
use tillstream_domain::money::{Currency, Money};
use tillstream_domain::quantity::Quantity;

use crate::cursor::PagedQuery;
use crate::database::{Condition, Item, Table, Write};
use crate::error::{Error, Refusal, Result};
use crate::keys;
use crate::pos::identity::spread;
use crate::stock::counters::{Movement, shown};
use crate::stock::reservation_item::KeyedRequest;
use crate::tenancy::TenantScope;

/// How long a closing is left to whoever began it, before the keeper goes on with it.
const CLOSING_MILLIS: i64 = 30_000;

/// What only the code reads of a sheet, as it is encoded: positional, so nothing may be put between.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Body {
    /// Its lines, by SKU.
    pub lines: Vec<CountLine>,
    /// Reasons and names that its lines have.
    pub texts: Vec<String>,
    /// The request that opened it.
    pub opened: RequestMark,
    /// How it ends, or ended.
    pub ending: Option<Ending>,
}

/// What is kept of a request.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RequestMark {
    /// Idempotency key.
    pub key: String,
    /// Fingerprint of action and payload.
    pub fingerprint: String,
    /// Its number, to know its own write by.
    pub number: i64,
}

impl RequestMark {
    pub(super) fn of(request: &KeyedRequest<'_>) -> Self {
        RequestMark {
            key: request.key.to_owned(),
            fingerprint: request.fingerprint.to_owned(),
            number: request.number,
        }
    }

    /// Whether it is that request, once more; `None` where it is another.
    ///
    /// # Errors
    /// 422 `idempotency_key_reused`.
    pub(super) fn is_again(&self, request: &KeyedRequest<'_>) -> Result<Option<bool>> {
        if self.key != request.key {
            return Ok(None);
        }
        request.is_replay(&self.fingerprint, self.number).map(Some)
    }
}

/// How a sheet ends.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ending {
    /// The request.
    pub request: RequestMark,
    /// When, in epoch milliseconds.
    pub at: i64,
    /// Who.
    pub by: String,
    /// Why.
    pub reason: Option<String>,
    /// The approval that it used, and who gave it.
    pub approval: Option<(String, String)>,
    /// Lines before this one are done.
    pub done: u32,
}

/// A count sheet as it is stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredCount {
    /// Its id.
    pub id: String,
    /// Where.
    pub location_id: String,
    /// What its lines are valued in.
    pub currency: Currency,
    /// Where it stands.
    pub status: CountStatus,
    /// Whether it does not say what the books say.
    pub blind: bool,
    /// When it was opened, in epoch milliseconds.
    pub created_at: i64,
    /// Who opened it.
    pub created_by: String,
    /// What it was made of, and where the next one begins: the name of a list and a position in it.
    pub next: Option<(String, String)>,
    /// Count of its changes.
    pub version: i64,
    /// The rest.
    pub body: Body,
    /// What was counted lot by lot, by position of the line.
    pub lots: CountedLots,
}

/// Lots that were counted, by position of the line.
pub type CountedLots = BTreeMap<u32, Vec<CountedLot>>;

/// Lots that were counted, as an attribute of a sheet or of a request.
const LOTS: &str = "lots";

/// An item with the lots that were counted, if any were.
///
/// # Errors
/// A bug if they cannot be encoded.
pub(super) fn with_lots(item: Item, lots: &CountedLots) -> Result<Item> {
    match lots.is_empty() {
        true => Ok(item),
        false => Ok(item.with(LOTS, compact::encode(lots).map_err(Error::bug)?)),
    }
}

/// The lots that an item says were counted.
///
/// # Errors
/// A bug if the attribute is not of its shape.
pub(super) fn lots_of(item: &Item) -> Result<CountedLots> {
    match item.opt_bytes(LOTS) {
        None => Ok(CountedLots::new()),
        Some(bytes) => compact::decode(bytes).map_err(Error::bug),
    }
}

const STATUSES: [(CountStatus, &str); 4] = [
    (CountStatus::Open, "open"),
    (CountStatus::Closing, "closing"),
    (CountStatus::Closed, "closed"),
    (CountStatus::Cancelled, "cancelled"),
];

pub(super) fn status_name(status: CountStatus) -> &'static str {
    STATUSES.iter().find(|(known, _)| *known == status).map_or("open", |(_, name)| name)
}

fn status_of(name: &str) -> Result<CountStatus> {
    let known = STATUSES.iter().find(|(_, known)| *known == name).map(|(status, _)| *status);
    known.ok_or_else(|| Error::Bug(format!("unknown state of a count sheet {name}")))
}

/// The list that cursors of sheets lead through.
pub(super) fn sheets_of(scope: &TenantScope, location_id: &str, list: &str) -> PagedQuery {
    PagedQuery::new(scope, "count-sheet", [location_id, list])
}

/// A time that was one when it was written.
fn time(millis: i64) -> Timestamp {
    Timestamp::from_millisecond(millis).unwrap_or_default()
}

impl StoredCount {
    /// Reads one.
    ///
    /// # Errors
    /// A bug if the item is not one.
    pub fn of(item: &Item) -> Result<Self> {
        let owned = |name: &str| item.opt_text(name).map(str::to_owned);
        Ok(StoredCount {
            id: item.text("count_id")?.to_owned(),
            location_id: item.text("location_id")?.to_owned(),
            currency: item.text("currency")?.parse().map_err(Error::bug)?,
            status: status_of(item.text("state")?)?,
            blind: item.opt_number("blind").is_some(),
            created_at: item.number("created_at")?,
            created_by: item.text("created_by")?.to_owned(),
            next: owned("next_list").zip(owned("next_position")),
            version: item.number("version")?,
            body: compact::decode(item.bytes("body")?).map_err(Error::bug)?,
            lots: lots_of(item)?,
        })
    }

    fn item(&self, scope: &TenantScope) -> Result<Item> {
        let state = status_name(self.status);
        let (list, position) = self.next.as_ref().map(|(list, at)| (list.as_str(), at.as_str())).unzip();
        let mut item = Item::new(&scope.count_sheet(&self.id))
            .with("tenant_id", scope.tenant_id())
            .with("count_id", self.id.as_str())
            .with("location_id", self.location_id.as_str())
            .with("currency", self.currency.code())
            .with("state", state)
            .with_some("blind", self.blind.then_some(1))
            .with("created_at", self.created_at)
            .with("created_by", self.created_by.as_str())
            .with_some("next_list", list)
            .with_some("next_position", position)
            .with("version", self.version)
            .with("location_pk", scope.count_sheets(&self.location_id, state).value())
            .with("location_sk", format!("{:015}#{}", self.created_at.max(0), self.id))
            .with("body", compact::encode(&self.body).map_err(Error::bug)?);
        item = with_lots(item, &self.lots)?;
        if let (CountStatus::Closing, Some(ending)) = (self.status, &self.body.ending) {
            item = item
                .with("due_pk", keys::due("count", spread(&self.id)).value())
                .with("due_at", ending.at.saturating_add(CLOSING_MILLIS));
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

    /// Writes `next` over it, as its next version.
    ///
    /// # Errors
    /// A bug if it cannot be encoded.
    pub fn replace(&self, scope: &TenantScope, next: &StoredCount) -> Result<Write> {
        let condition = Some(Condition::Eq("version", self.version.into()));
        let next = StoredCount { version: self.version + 1, ..next.clone() };
        Ok(Write::Put { table: Table::Stock, item: next.item(scope)?, condition })
    }

    /// Why nothing more can be done with it, unless it is open.
    ///
    /// # Errors
    /// 409 `count_closed`, `count_cancelled`.
    pub fn require_open(&self) -> Result<()> {
        let ended = |code, what: &str| {
            let by = self.body.ending.as_ref().map_or("", |ending| ending.by.as_str());
            Err(Refusal::conflict(code, format!("count sheet {} was {what} by {by}", self.id)).into())
        };
        match self.status {
            CountStatus::Open => Ok(()),
            CountStatus::Closing | CountStatus::Closed => ended("count_closed", "closed"),
            CountStatus::Cancelled => ended("count_cancelled", "cancelled"),
        }
    }

    /// What the ledger says of the correction of a line.
    pub fn movement(&self, ending: &Ending, line: &CountLine) -> Result<Movement> {
        let own = line.counted.as_ref().and_then(|counted| counted.reason);
        let own = own.and_then(|at| self.text(at)).map(str::to_owned);
        Ok(Movement {
            kind: "count",
            reference: self.id.clone(),
            actor: ending.by.clone(),
            at: Timestamp::from_millisecond(ending.at).map_err(Error::bug)?,
            reason: own.or_else(|| ending.reason.clone()),
        })
    }

    fn text(&self, at: u32) -> Option<&str> {
        usize::try_from(at).ok().and_then(|at| self.body.texts.get(at)).map(String::as_str)
    }

    /// Where a text is among those of the sheet, added if it was not there.
    ///
    /// # Errors
    /// 409 `too_many_reasons`.
    pub fn place_of(&mut self, text: &str) -> Result<u32> {
        let known = self.body.texts.iter().position(|known| known == text);
        let at = match known {
            Some(at) => at,
            None if self.body.texts.len() >= TEXTS_MAX => {
                let detail =
                    format!("a sheet takes at most {TEXTS_MAX} different reasons and names; open another");
                return Err(Refusal::conflict("too_many_reasons", detail).into());
            }
            None => {
                self.body.texts.push(text.to_owned());
                self.body.texts.len() - 1
            }
        };
        u32::try_from(at).map_err(Error::bug)
    }

    /// How many of its lines were counted.
    pub fn counted(&self) -> usize {
        self.body.lines.iter().filter(|line| line.counted.is_some()).count()
    }

    /// How far it is from the books.
    pub fn variance(&self) -> SheetVariance {
        variance_of(&self.body.lines, self.currency)
    }

    /// Whether what the books say is not shown.
    fn hides_books(&self) -> bool {
        self.blind && self.status != CountStatus::Closed
    }

    /// The lots of the line at a position, as they were counted.
    pub fn lots_at(&self, at: usize) -> &[CountedLot] {
        u32::try_from(at).ok().and_then(|at| self.lots.get(&at)).map_or(&[], Vec::as_slice)
    }

    /// A line as a client reads it, with the lots that were counted of it.
    pub fn shown_line(&self, line: &CountLine, lots: &[CountedLot]) -> CountLineView {
        let counted = line.counted.as_ref();
        let of = |thousandths: i64| shown(thousandths, Some(line.unit));
        let book = counted.map_or(line.opening_book, |counted| counted.book);
        let is_shown = !self.hides_books();
        let shown_lot = |lot: &CountedLot| CountedLotView {
            lot_id: lot.lot.clone(),
            book: is_shown.then(|| of(lot.book)),
            counted: of(lot.quantity.thousandths()),
            variance: is_shown.then(|| of(lot.variance())),
            corrected: lot.corrected.filter(|_| is_shown).map(of),
        };
        CountLineView {
            sku: line.sku.clone(),
            status: match (counted, line.corrected) {
                (None, _) => CountLineStatus::Uncounted,
                (Some(_), None) => CountLineStatus::Counted,
                (Some(_), Some(_)) => CountLineStatus::Corrected,
            },
            book: is_shown.then(|| of(book)),
            counted: counted.map(|counted| of(counted.quantity.thousandths())),
            variance: line.variance().filter(|_| is_shown).map(of),
            corrected: line.corrected.filter(|_| is_shown).map(of),
            lots: lots.iter().map(shown_lot).collect(),
            counted_at: counted.map(|counted| time(counted.at)),
            counted_by: counted.and_then(|counted| self.text(counted.by)).map(str::to_owned),
            reason: counted.and_then(|counted| self.text(counted.reason?)).map(str::to_owned),
        }
    }

    /// As a client reads it.
    pub fn shown(&self, scope: &TenantScope) -> CountSheet {
        let counted_lines = self.counted();
        let variance = (!self.hides_books()).then(|| {
            let SheetVariance { lines, value, unpriced } = self.variance();
            CountVariance {
                lines,
                value: Money { amount: value, currency: self.currency },
                unpriced_lines: unpriced,
            }
        });
        CountSheet {
            count_id: self.id.clone(),
            status: self.status,
            location_id: self.location_id.clone(),
            blind: self.blind,
            lines: self
                .body
                .lines
                .iter()
                .enumerate()
                .map(|(at, line)| self.shown_line(line, self.lots_at(at)))
                .collect(),
            counted_lines,
            uncounted_lines: self.body.lines.len() - counted_lines,
            variance,
            created_at: time(self.created_at),
            created_by: self.created_by.clone(),
            ended: self.body.ending.as_ref().map(shown_ending),
            next_cursor: self
                .next
                .as_ref()
                .map(|(list, at)| sheets_of(scope, &self.location_id, list).cursor(at)),
            version: self.version,
        }
    }

    /// As it was when it was opened.
    pub fn as_opened(&self) -> StoredCount {
        let opened = |line: &CountLine| CountLine::uncounted(line.sku.clone(), line.unit, line.opening_book);
        let body = Body {
            lines: self.body.lines.iter().map(opened).collect(),
            texts: Vec::new(),
            opened: self.body.opened.clone(),
            ending: None,
        };
        StoredCount { status: CountStatus::Open, version: 1, body, lots: CountedLots::new(), ..self.clone() }
    }

    /// As a client reads it in a list.
    pub fn summary(&self) -> CountSummary {
        CountSummary {
            count_id: self.id.clone(),
            status: self.status,
            location_id: self.location_id.clone(),
            blind: self.blind,
            line_count: self.body.lines.len(),
            counted_lines: self.counted(),
            created_at: time(self.created_at),
            created_by: self.created_by.clone(),
        }
    }
}

fn shown_ending(ending: &Ending) -> CountEnding {
    let (approval_id, approved_by) = ending.approval.clone().unzip();
    CountEnding {
        at: time(ending.at),
        by: ending.by.clone(),
        reason: ending.reason.clone(),
        approval_id,
        approved_by,
    }
}

/// What was recorded of one line by one request, as it is kept to answer that request again.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RecordedLine {
    /// Position of the line.
    pub line: u32,
    /// How many.
    pub quantity: Quantity,
    /// On hand by the books, in thousandths.
    pub book: i64,
    /// Why it is not what the books say.
    pub reason: Option<u32>,
}
