//! Recording what was counted: each line with what the books say at that moment.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use tillstream_contracts::counts::{CountRecorded, RecordCountRequest};
use tillstream_domain::compact;
use tillstream_domain::count_sheet::{CountLine, Counted, LINES_MAX};
use tillstream_domain::lot_book::LotBook;
use tillstream_domain::money::UnitPrice;
use tillstream_domain::quantity::Quantity;

use super::item::{CountedLots, RecordedLine, StoredCount, lots_of, with_lots};
use super::lots::{self, LotsWanted};
use super::{not_found, sheet_get};
use crate::catalog::items::{catalog_get, product_if_any};
use crate::database::{Cancellation, Condition, Consistency, DatabaseError, Get, Item, Table, Write};
use crate::error::{Error, Refusal, Result};
use crate::fields::text;
use crate::ports::Ports;
use crate::pos::identity::derived_id;
use crate::pos::lines::price_of;
use crate::stock::attempts::Attempts;
use crate::stock::counted::counted_quantity;
use crate::stock::counters::Counters;
use crate::stock::layout::LAYOUT_WHOLE;
use crate::stock::lots::LotStock;
use crate::stock::lots::due::keep_aside_if_due;
use crate::stock::references::check_sku_form;
use crate::stock::request_identity::{fingerprint, is_replay, request_number};
use crate::stock::reserve::now_kept;
use crate::stock::standing::standing_together;
use crate::stock::update::REASON_CHARS_MAX;
use crate::tenancy::{Caller, TenantScope};
use tillstream_domain::identifier::check_id;

/// What recording answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RecordAnswer {
    /// The lines.
    pub recorded: CountRecorded,
    /// Whether the request took effect before, and this is its answer again.
    pub replayed: bool,
}

/// Checks what needs no reading.
fn check(request: &RecordCountRequest) -> Result<()> {
    if request.lines.is_empty() || request.lines.len() > LINES_MAX {
        let message = format!("record 1 to {LINES_MAX} lines");
        return Err(Refusal::field("lines", "lines_out_of_range", message).into());
    }
    let mut named = BTreeSet::new();
    for (at, line) in request.lines.iter().enumerate() {
        let field = |name: &str| format!("lines[{at}].{name}");
        check_sku_form(&field("sku"), &line.sku)?;
        if !named.insert(line.sku.as_str()) {
            let message = format!("{} stands there twice: say once what was counted of it", line.sku);
            return Err(Refusal::field(field("sku"), "sku_twice", message).into());
        }
        lots::check(at, line)?;
        if let Some(reason) = &line.reason {
            text(&field("reason"), reason, REASON_CHARS_MAX)?;
            if reason.trim().is_empty() {
                let message = "a reason says something; leave it out where there is none";
                return Err(Refusal::field(field("reason"), "reason_invalid", message).into());
            }
        }
    }
    Ok(())
}

/// A line of the request: where it is on the sheet, and what was counted.
struct Wanted<'a> {
    /// Its position in the request.
    position: usize,
    line: usize,
    sku: &'a str,
    quantity: Quantity,
    /// The same lot by lot, where it was counted so.
    lots: Vec<(Option<&'a str>, Quantity)>,
    reason: Option<&'a str>,
}

impl Wanted<'_> {
    fn of_lots(&self) -> Option<LotsWanted<'_>> {
        let lots = self.lots.as_slice();
        (!lots.is_empty()).then_some(LotsWanted { position: self.position, sku: self.sku, lots })
    }
}

fn wanted<'a>(stored: &StoredCount, request: &'a RecordCountRequest) -> Result<Vec<Wanted<'a>>> {
    let lines: BTreeMap<&str, usize> =
        stored.body.lines.iter().enumerate().map(|(at, line)| (line.sku.as_str(), at)).collect();
    let mut wanted = Vec::with_capacity(request.lines.len());
    for (at, sent) in request.lines.iter().enumerate() {
        let found =
            lines.get(sent.sku.as_str()).and_then(|line| Some((*line, stored.body.lines.get(*line)?)));
        let Some((line, of_sheet)) = found else {
            let message = format!("count sheet {} has no {}; open another for it", stored.id, sent.sku);
            return Err(Refusal::field(format!("lines[{at}].sku"), "sku_not_in_count", message).into());
        };
        let quantity = counted_quantity(|| format!("lines[{at}].counted"), &sent.counted, of_sheet.unit)?;
        let lots = lots::quantities(at, (sent.lots.as_slice(), quantity), of_sheet.unit)?;
        let reason = sent.reason.as_deref();
        wanted.push(Wanted { position: at, line, sku: &sent.sku, quantity, lots, reason });
    }
    Ok(wanted)
}

/// A stock item as the books have it, with its lots.
struct Book {
    counters: Counters,
    lots: LotBook,
}

/// On hand, version and lots of stock items, by position; each as of one moment, also where it is split: a sale that
/// takes from two parts must not be seen by half. Lots past their day at `now` are kept aside before: they are not on
/// hand.
async fn books(
    ports: &Ports,
    scope: &TenantScope,
    location_id: &str,
    wanted: &[Wanted<'_>],
    now: Timestamp,
) -> Result<Vec<Book>> {
    let get = |one: &Wanted<'_>| Get {
        table: Table::Stock,
        key: scope.stock(location_id, one.sku),
        consistency: Consistency::Strong,
    };
    let items = ports.database.get_many(wanted.iter().map(get).collect()).await?;
    let mut books = Vec::with_capacity(wanted.len());
    for (one, item) in wanted.iter().zip(items) {
        let mut stock = LotStock::of(item.as_ref())?;
        let mut seen = stock.counters.unwrap_or_default();
        let mut attempts = Attempts::new(ports.environment.as_ref());
        while keep_aside_if_due(ports, scope, (location_id, one.sku), Some(&seen), now).await? {
            attempts.at_once("lots past their day were kept aside")?;
            let item = ports.database.get(get(one)).await?;
            stock = LotStock::of(item.as_ref())?;
            seen = stock.counters.unwrap_or_default();
        }
        while seen.layout != LAYOUT_WHOLE {
            let database = ports.database.as_ref();
            match standing_together(database, scope, location_id, one.sku, seen.layout).await {
                Ok(together) => match together? {
                    Some(together) => {
                        seen = Counters { layout: LAYOUT_WHOLE, ..together.total() };
                    }
                    None => {
                        // It was laid out anew.
                        attempts.at_once("the stock was laid out anew")?;
                        let item = ports.database.get(get(one)).await?;
                        stock = LotStock::of(item.as_ref())?;
                        seen = stock.counters.unwrap_or_default();
                    }
                },
                // A read of one moment does not get through beside transactions on any of its items.
                Err(error) if error.is_transient() => attempts.after_a_wait(&error.to_string()).await?,
                Err(error) => return Err(error.into()),
            }
        }
        // What is split is not kept by lots.
        let is_split = stock.counters.is_some_and(|stock| stock.layout != LAYOUT_WHOLE);
        let lots = if is_split { LotBook::of_unknown(seen.on_hand, seen.came_in) } else { stock.book };
        books.push(Book { counters: seen, lots });
    }
    Ok(books)
}

/// Prices of products in the location's currency, by position; none where a product has none, or is gone.
async fn prices(
    ports: &Ports,
    scope: &TenantScope,
    stored: &StoredCount,
    wanted: &[Wanted<'_>],
    now: Timestamp,
) -> Result<Vec<Option<UnitPrice>>> {
    let gets = wanted
        .iter()
        .flat_map(|one| [catalog_get(scope.product(one.sku)), catalog_get(scope.prices(one.sku))]);
    let items = ports.database.get_many(gets.collect()).await?;
    let mut found = Vec::with_capacity(wanted.len());
    for pair in items.chunks(2) {
        let product = product_if_any(pair.first().and_then(Option::as_ref))?;
        let entries = pair.get(1).and_then(Option::as_ref);
        let price =
            product.map(|product| price_of(&product, entries, &stored.location_id, stored.currency, now));
        found.push(match price {
            None | Some(Err(Error::Rejected(_))) => None,
            Some(price) => Some(price?),
        });
    }
    Ok(found)
}

/// The record of a request, as it stands beside its sheet.
struct Record {
    fingerprint: String,
    number: i64,
    version: i64,
    counted: i64,
    lines: Vec<RecordedLine>,
    /// What was counted lot by lot.
    lots: CountedLots,
    at: i64,
    by: String,
}

impl Record {
    fn of(item: &Item) -> Result<Self> {
        Ok(Record {
            fingerprint: item.text("fingerprint")?.to_owned(),
            number: item.number("request")?,
            version: item.number("version")?,
            counted: item.number("counted")?,
            lines: compact::decode(item.bytes("lines")?).map_err(Error::bug)?,
            lots: lots_of(item)?,
            at: item.number("at")?,
            by: item.text("by")?.to_owned(),
        })
    }

    fn write(&self, scope: &TenantScope, sheet: &StoredCount, request: &str) -> Result<Write> {
        let item = Item::new(&scope.count_request(&sheet.id, request))
            .with("tenant_id", scope.tenant_id())
            .with("fingerprint", self.fingerprint.as_str())
            .with("request", self.number)
            .with("version", self.version)
            .with("counted", self.counted)
            .with("at", self.at)
            .with("by", self.by.as_str())
            .with("lines", compact::encode(&self.lines).map_err(Error::bug)?);
        let item = with_lots(item, &self.lots)?;
        Ok(Write::Put { table: Table::Stock, item, condition: Some(Condition::NotExists) })
    }

    /// What the request answered, and answers.
    fn answer(&self, sheet: &StoredCount) -> Result<CountRecorded> {
        let mut lines = Vec::with_capacity(self.lines.len());
        // As the sheet was then: open.
        let mut as_then = sheet.as_opened();
        as_then.body.texts.clone_from(&sheet.body.texts);
        let by = as_then.body.texts.iter().position(|text| *text == self.by).unwrap_or(0);
        for recorded in &self.lines {
            let line = usize::try_from(recorded.line).ok().and_then(|at| as_then.body.lines.get(at));
            let line: Option<&CountLine> = line;
            let mut line = line.cloned().ok_or_else(|| Error::bug("a recorded line is one of the sheet"))?;
            line.counted = Some(Counted {
                quantity: recorded.quantity,
                book: recorded.book,
                stock_version: 0,
                unit_price: None,
                at: self.at,
                by: u32::try_from(by).map_err(Error::bug)?,
                reason: recorded.reason,
            });
            let lots = self.lots.get(&recorded.line).map(Vec::as_slice).unwrap_or_default();
            lines.push(as_then.shown_line(&line, lots));
        }
        let counted_lines = usize::try_from(self.counted).map_err(Error::bug)?;
        Ok(CountRecorded {
            count_id: sheet.id.clone(),
            lines,
            counted_lines,
            uncounted_lines: sheet.body.lines.len().saturating_sub(counted_lines),
            version: self.version,
        })
    }
}

/// Records what was counted. `precondition` is asked about the version that stands; a repetition of what took
/// effect is not asked.
///
/// # Errors
/// What `precondition` refuses; 403 `store_out_of_reach`; 404 `count_not_found`; 409 `count_closed`,
/// `count_cancelled`, `too_many_reasons`, `too_many_counted_lots`, `lot_not_for_sale`; 422 `lines_out_of_range`,
/// `sku_twice`, `sku_not_in_count`, `quantity_invalid`, `reason_invalid`, `lots_out_of_range`, `lot_twice`,
/// `lots_sum_differs`, `lots_missing`, `lot_unknown`, `lot_of_another_sku`, `sku_without_lots`, malformed texts and
/// SKUs, `idempotency_key_reused`.
pub async fn record(
    ports: &Ports,
    caller: &Caller,
    idempotency_key: &str,
    id: &str,
    request: &RecordCountRequest,
    precondition: impl Fn(Option<u64>) -> std::result::Result<(), Refusal> + Send + Sync,
) -> Result<RecordAnswer> {
    let now = now_kept(ports)?;
    check(request)?;
    check_id(id).map_err(|_| not_found(id))?;
    let scope = &caller.scope;
    let fingerprint = fingerprint("record-count", request)?;
    let number = request_number(ports.environment.as_ref());
    let own = derived_id("r", &[idempotency_key]);
    let record_get =
        Get { table: Table::Stock, key: scope.count_request(id, &own), consistency: Consistency::Strong };
    let (mut known_prices, mut known_lots) = (None, None);
    let mut attempts = Attempts::new(ports.environment.as_ref());
    'attempts: loop {
        let mut read =
            ports.database.get_many(vec![record_get.clone(), sheet_get(scope, id)]).await?.into_iter();
        let (record, sheet) = (read.next().flatten(), read.next().flatten());
        let stored = sheet.as_ref().map(StoredCount::of).transpose()?.ok_or_else(|| not_found(id))?;
        caller.require_store(&stored.location_id)?;
        if let Some(record) = record.as_ref().map(Record::of).transpose()? {
            let done = (record.fingerprint.as_str(), record.number);
            let replayed = is_replay((fingerprint.as_str(), number), done)?;
            return Ok(RecordAnswer { recorded: record.answer(&stored)?, replayed });
        }
        let may_go_on = stored
            .require_open()
            .and_then(|()| precondition(Some(stored.version.unsigned_abs())).map_err(Error::from));
        if let Err(refused) = may_go_on {
            // Not read at one moment: it may be this very request that the sheet changed by.
            if ports.database.get(record_get.clone()).await?.is_some() {
                attempts.at_once("the request took effect meanwhile")?;
                continue;
            }
            return Err(refused);
        }
        let wanted = wanted(&stored, request)?;
        let prices = match &known_prices {
            Some(known) => known,
            None => known_prices.insert(prices(ports, scope, &stored, &wanted, now).await?),
        };
        let of_lots: Vec<LotsWanted<'_>> = wanted.iter().filter_map(Wanted::of_lots).collect();
        let known = match &known_lots {
            Some(known) => known,
            None => known_lots.insert(lots::known_lots(ports, scope, &of_lots).await?),
        };
        let books = books(ports, scope, &stored.location_id, &wanted, now).await?;
        let mut next = stored.clone();
        let by = next.place_of(&caller.subject)?;
        let mut lines = Vec::with_capacity(wanted.len());
        let mut lots = CountedLots::new();
        for ((one, book), unit_price) in wanted.iter().zip(&books).zip(prices) {
            let line = u32::try_from(one.line).map_err(Error::bug)?;
            next.lots.remove(&line);
            if let Some(of_lots) = one.of_lots() {
                let counted = match lots::counted(&of_lots, &book.lots, known, now) {
                    Err(refused) => {
                        // Not read at one moment: it may be this very request that took effect and was closed upon.
                        if ports.database.get(record_get.clone()).await?.is_some() {
                            attempts.at_once("the request took effect meanwhile")?;
                            continue 'attempts;
                        }
                        return Err(refused);
                    }
                    Ok(counted) => counted,
                };
                next.lots.insert(line, counted.clone());
                lots.insert(line, counted);
            }
            let book = &book.counters;
            let reason = one.reason.map(|reason| next.place_of(reason)).transpose()?;
            let counted = Counted {
                quantity: one.quantity,
                book: book.on_hand,
                stock_version: book.version(),
                unit_price: *unit_price,
                at: now.as_millisecond(),
                by,
                reason,
            };
            if let Some(line) = next.body.lines.get_mut(one.line) {
                line.counted = Some(counted);
            }
            lines.push(RecordedLine { line, quantity: one.quantity, book: book.on_hand, reason });
        }
        lots::check_sum(&next.lots)?;
        let record = Record {
            fingerprint: fingerprint.clone(),
            number,
            version: stored.version + 1,
            counted: i64::try_from(next.counted()).map_err(Error::bug)?,
            lines,
            lots,
            at: now.as_millisecond(),
            by: caller.subject.clone(),
        };
        let writes = vec![stored.replace(scope, &next)?, record.write(scope, &stored, &own)?];
        match ports.database.transact(writes).await {
            Ok(()) => return Ok(RecordAnswer { recorded: record.answer(&next)?, replayed: false }),
            // Somebody else counted, or it was our own write: what is read next tells which.
            Err(DatabaseError::Cancelled(reasons))
                if reasons.iter().any(|r| matches!(r, Cancellation::ConditionFailed(_))) =>
            {
                attempts.after_a_wait("the sheet changed meanwhile").await?;
            }
            Err(error) if error.is_transient() => attempts.after_a_wait("recording a count").await?,
            Err(error) => return Err(error.into()),
        }
    }
}
