//! Recall: a lot is quarantined or released, at all locations.
//!
//! The lot itself is written first. From then on nothing of a recalled lot comes in for sale anywhere, since whatever
//! comes in is on condition that the lot is as it was read. Then each location that ever had of it is seen to, in a
//! transaction of its own that is on condition of the lot too; whoever began goes on until all are, and else the
//! keeper.

use jiff::Timestamp;
use tillstream_contracts::lots::{ChangeLotRequest, Lot};
use tillstream_domain::identifier::check_id;

use super::header::{self, Header, SETTLING};
use super::stock::{LotStock, Taking};
use crate::database::{Cancellation, Condition, Consistency, DatabaseError, Get, Query, Range, Table};
use crate::error::{Error, Refusal, RefusalKind, Result};
use crate::fields::text;
use crate::keeper::due::{DueWork, postpone, walk_due};
use crate::keys::LOT_PLACES;
use crate::ports::Ports;
use crate::stock::attempts::Attempts;
use crate::stock::counters::{Delta, Movement};
use crate::stock::exceptions::{below_promised, exception_write};
use crate::stock::listing::StockName;
use crate::stock::request_identity::{fingerprint, record_write, recorded, request_number, sender};
use crate::stock::reserve::now_kept;
use crate::stock::update::REASON_CHARS_MAX;
use crate::tenancy::{Caller, Stores, TenantScope};

/// For how long the keeper leaves a lot alone that it could not go on with.
const POSTPONED_MILLIS: i64 = 300_000;

/// What is done with a lot.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Change {
    /// It is kept from sale.
    Quarantine,
    /// It may be sold again.
    Release,
}

impl Change {
    pub(super) fn name(self) -> &'static str {
        match self {
            Change::Quarantine => "quarantine",
            Change::Release => "release",
        }
    }

    fn of(header: &Header) -> Self {
        if header.is_recalled { Change::Quarantine } else { Change::Release }
    }
}

/// What a request on a lot answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// The lot as the request left it.
    pub lot: Lot,
    /// Whether it took effect before, and this is its answer again.
    pub replayed: bool,
}

pub(super) fn not_found(lot_id: &str) -> Refusal {
    Refusal::not_found("lot_not_found", format!("there is no lot {lot_id}"))
}

/// Checks that a request says why.
///
/// # Errors
/// 422 `reason_invalid`, and what a text is refused for.
pub(super) fn check_reason(request: &ChangeLotRequest) -> Result<()> {
    if request.reason.trim().is_empty() {
        let message = format!("a reason is 1 to {REASON_CHARS_MAX} characters that say why");
        return Err(Refusal::field("reason", "reason_invalid", message).into());
    }
    text("reason", &request.reason, REASON_CHARS_MAX)
}

/// Quarantines or releases a lot, everywhere.
///
/// # Errors
/// 403 `all_stores_required` for a token that does not reach all stores; 404 `lot_not_found`; 409 `lot_status_same`
/// where it is so already; 422 `reason_invalid`, `idempotency_key_reused`.
pub async fn change(
    ports: &Ports,
    caller: &Caller,
    idempotency_key: &str,
    lot_id: &str,
    change: Change,
    request: &ChangeLotRequest,
) -> Result<Answer> {
    let now = now_kept(ports)?;
    if caller.stores != Stores::All {
        let detail = "a lot is recalled everywhere; the token does not reach all stores";
        return Err(Refusal::forbidden("all_stores_required", detail).into());
    }
    check_reason(request)?;
    check_id(lot_id).map_err(|_| not_found(lot_id))?;
    let scope = &caller.scope;
    let fingerprint = fingerprint(change.name(), &(lot_id, request))?;
    let number = request_number(ports.environment.as_ref());
    let id = crate::pos::identity::derived_id("lr", &[&sender(caller), idempotency_key]);
    let record_key = scope.lot_request(lot_id, &id);
    let record_get = Get { table: Table::Stock, key: record_key.clone(), consistency: Consistency::Strong };
    let mut attempts = Attempts::new(ports.environment.as_ref());
    loop {
        let mut read =
            ports.database.get_many(vec![record_get.clone(), header::get(scope, lot_id)]).await?.into_iter();
        let record = read.next().flatten();
        let found = read.next().flatten().as_ref().map(Header::of).transpose()?;
        let header = found.ok_or_else(|| not_found(lot_id))?;
        if let Some(record) = record {
            let (lot, replayed) = recorded(&record, &fingerprint, number)?;
            // The answer comes once stock is as it says, unless the lot was changed again since.
            settle(ports, scope, lot_id, now).await?;
            return Ok(Answer { lot, replayed });
        }
        if Change::of(&header) == change {
            let state = if header.is_recalled { "quarantined" } else { "sellable" };
            // Not all was read at one moment: it may be so by this very request.
            if ports.database.get(record_get.clone()).await?.is_some() {
                attempts.at_once("the lot was changed by this request")?;
                continue;
            }
            let detail = format!("lot {lot_id} is {state} already");
            return Err(Refusal::conflict("lot_status_same", detail).with_extra("lot_status", state).into());
        }
        let next = Header {
            is_recalled: change == Change::Quarantine,
            version: header.version + 1,
            is_settling: true,
            changed_at: Some(now.as_millisecond()),
            changed_by: Some(caller.subject.clone()),
            reason: Some(request.reason.clone()),
            ..header.clone()
        };
        let record = record_write(scope, &record_key, (fingerprint.as_str(), number), now, &next.shown()?)?;
        match ports.database.transact(vec![record, next.replace(scope, &header)]).await {
            // What is read next is its record.
            Ok(()) => attempts.at_once("the lot was changed")?,
            Err(DatabaseError::Cancelled(reasons))
                if reasons.iter().any(|r| matches!(r, Cancellation::ConditionFailed(_))) =>
            {
                attempts.at_once("the lot changed meanwhile")?;
            }
            Err(error) if error.is_transient() => attempts.after_a_wait("changing a lot").await?,
            Err(error) => return Err(error.into()),
        }
    }
}

/// Brings the stock of a lot to what the lot says, at every location that ever had of it.
///
/// # Errors
/// As the database; what was done stays done.
pub(super) async fn settle(ports: &Ports, scope: &TenantScope, lot_id: &str, now: Timestamp) -> Result<()> {
    let Some(header) = header::find(ports, scope, lot_id).await?.filter(|header| header.is_settling) else {
        return Ok(());
    };
    let mut query = Query {
        range: Range::BeginsWith(LOT_PLACES.to_owned()),
        ..Query::partition(Table::Stock, scope.lot_parts(lot_id))
    };
    loop {
        let page = ports.database.query(query.clone()).await?;
        for place in &page.items {
            let name =
                StockName { location_id: place.text("location_id")?.to_owned(), sku: header.sku.clone() };
            if !settle_at(ports, scope, &name, &header, now).await? {
                // It was changed again: whoever did that sees to it.
                return Ok(());
            }
        }
        match page.next {
            Some(next) => query.start = Some(next),
            None => break,
        }
    }
    let done = Header { is_settling: false, ..header.clone() };
    match ports.database.write(done.replace(scope, &header)).await {
        // Changed again meanwhile.
        Ok(()) | Err(DatabaseError::ConditionFailed(_)) => Ok(()),
        // All stock is as the lot says: that it is not noted costs the keeper a look.
        Err(error) if error.is_transient() => Ok(()),
        Err(error) => Err(error.into()),
    }
}

/// Brings the stock at one location to what the lot says; answers whether the lot was still so.
async fn settle_at(
    ports: &Ports,
    scope: &TenantScope,
    name: &StockName,
    header: &Header,
    now: Timestamp,
) -> Result<bool> {
    let mut attempts = Attempts::new(ports.environment.as_ref());
    loop {
        let key = scope.stock(&name.location_id, &name.sku);
        let get = Get { table: Table::Stock, key, consistency: Consistency::Strong };
        let Some(item) = ports.database.get(get).await? else { return Ok(true) };
        let stock = LotStock::of(Some(&item))?;
        let counters = stock.counters.unwrap_or_default();
        let mut book = stock.book.clone();
        let (kind, taken) = if header.is_recalled {
            ("lot_quarantine", book.quarantine(&header.lot_id))
        } else {
            ("lot_release", -book.release(&header.lot_id, now.as_millisecond()))
        };
        if taken == 0 {
            return Ok(true);
        }
        let movement = Movement {
            kind,
            reference: header.lot_id.clone(),
            actor: header.changed_by.clone().unwrap_or_default(),
            at: header.changed_at.and_then(|at| Timestamp::from_millisecond(at).ok()).unwrap_or(now),
            reason: header.reason.clone(),
        };
        let what = (&book, Delta::default());
        let how = (&movement, Taking::Whatever);
        // Where more is promised than is there, it is told how much.
        let is_below = counters.available < 0;
        let also = is_below.then(|| Condition::Eq("available", counters.available.into()));
        let write = stock.write(scope, name, what, how, None, also.into_iter().collect())?;
        let mut writes = vec![header.check(scope), write];
        let after = counters.available - taken;
        if after < 0 || is_below {
            let of = (name.location_id.as_str(), name.sku.as_str());
            let standing = below_promised(ports.database.as_ref(), scope, of).await?;
            let (unit, id) = (counters.unit, header.lot_id.as_str());
            writes.extend(exception_write(scope, of, unit, after, id, now, standing.as_ref())?);
        }
        match ports.database.transact(writes).await {
            // What is read next tells that it is done.
            Ok(()) => attempts.at_once("a lot was seen to")?,
            Err(DatabaseError::Cancelled(reasons))
                if matches!(reasons.first(), Some(Cancellation::ConditionFailed(_))) =>
            {
                return Ok(false);
            }
            Err(DatabaseError::Cancelled(_)) => {
                attempts.after_a_wait("the stock changed while a lot was seen to").await?;
            }
            Err(error) if error.is_transient() => attempts.after_a_wait("seeing to a lot").await?,
            Err(error) => return Err(error.into()),
        }
    }
}

/// Goes on with recalls and releases that nobody went on with, over all tenants, at most so many and none begun after
/// `deadline`; answers how many were looked at.
///
/// # Errors
/// [`Error::Retryable`] where the index cannot be read.
pub async fn recover(ports: &Ports, now: Timestamp, most: usize, deadline: Timestamp) -> Result<usize> {
    let work = DueWork { table: Table::Stock, kind: SETTLING, now, most, deadline };
    walk_due(ports, work, async |item| {
        let scope = TenantScope::from_own_record(item.text("tenant_id")?);
        let lot_id = item.text("lot_id")?;
        if let Err(error) = settle(ports, &scope, lot_id, now).await {
            tracing::warn!(lot_id, %error, "a recall could not be continued");
            postpone(ports, Table::Stock, &item, now.as_millisecond().saturating_add(POSTPONED_MILLIS)).await;
        }
        Ok::<_, Error>(())
    })
    .await
}

/// 422 for what asks for neither a SKU nor a location.
pub(super) fn nothing_named() -> Refusal {
    let detail = "name a SKU, a location, or both";
    Refusal::new(RefusalKind::Invalid, "query_invalid", detail)
}
