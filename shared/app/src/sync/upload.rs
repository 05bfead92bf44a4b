//! An upload: lines in batches, a checkpoint after each.

use jiff::Timestamp;
use tillstream_contracts::sync::{LastError, LineError, UploadReply};

use super::batch::{Feed, LineOutcome};
use super::checkpoint::{AppliedBatch, BatchCounts, advance};
use super::coupon_feed::Coupons;
use super::customer_feed::Customers;
use super::entities::Entity;
use super::line::{BadLine, Line, Lines};
use super::parking::{hex_digest, park};
use super::supplier_feed::Suppliers;
use super::template_feed::Templates;
use super::{catalog_feed, category_feed, location_feed, price_feed, record_feed, rule_feeds, stock_feed};
use crate::error::{Error, Refusal, RefusalKind, Result};
use crate::ports::Ports;
use crate::tenancy::{Caller, Role};

/// Largest body of one call, in bytes.
pub const BODY_BYTES_MAX: usize = 4 * 1024 * 1024;
/// Most bad lines the reply names.
const ERRORS_NAMED_MAX: usize = 100;

/// Who may send feeds.
pub const FEED_WRITERS: &[Role] = &[Role::Integration, Role::Operator];

/// One call.
#[derive(Debug, Clone, Copy)]
pub struct Upload<'a> {
    /// Which feed.
    pub entity: Entity,
    /// NDJSON.
    pub body: &'a [u8],
    /// The line to begin with, from 1.
    pub from: u64,
    /// When to stop and say how far it came; a first batch is applied in any case.
    pub deadline: Timestamp,
}

/// Applies an upload as far as its time reaches. Bad lines are parked and named, and the rest goes on.
/// Sending it again is harmless: what is applied is not newer any more.
///
/// # Errors
/// 403 `role_required`; 413 `body_too_large`; 422 `from_out_of_range`; [`Error::Retryable`] where the
/// database does not keep up: the checkpoint says how far it came.
pub async fn upload(ports: &Ports, caller: &Caller, upload: Upload<'_>) -> Result<UploadReply> {
    caller.require_role(FEED_WRITERS)?;
    if upload.body.len() > BODY_BYTES_MAX {
        let detail = "an upload has at most 4 MB; send the feed in several";
        return Err(Refusal::new(RefusalKind::TooLarge, "body_too_large", detail).into());
    }
    if upload.from == 0 {
        return Err(Refusal::field("from", "from_out_of_range", "lines are counted from 1").into());
    }
    let feed = Feed { ports, caller, now: ports.environment.now() };
    let hash = hex_digest(upload.body);
    let mut reply = UploadReply {
        entity: upload.entity.name().to_owned(),
        lines: 0,
        applied: 0,
        skipped: 0,
        failed: 0,
        unknown_fields: 0,
        errors: Vec::new(),
        next_from: None,
    };
    let mut lines = Lines::of(upload.body);
    loop {
        let wanted = lines.by_ref().filter(|(number, _)| *number >= upload.from);
        let batch: Vec<_> = wanted.take(upload.entity.batch_lines()).collect();
        let Some((number, _)) = batch.first() else { break };
        if reply.lines > 0 && ports.environment.now() >= upload.deadline {
            reply.next_from = Some(*number);
            break;
        }
        let done = apply_batch(feed, upload.entity, &hash, &batch).await?;
        reply.lines += done.counts.lines;
        reply.applied += done.counts.applied;
        reply.skipped += done.counts.skipped;
        reply.failed += done.counts.failed;
        reply.unknown_fields += done.counts.unknown_fields;
        let room = ERRORS_NAMED_MAX.saturating_sub(reply.errors.len());
        reply.errors.extend(done.errors.into_iter().take(room));
    }
    Ok(reply)
}

struct Done {
    counts: BatchCounts,
    errors: Vec<LineError>,
}

async fn apply_batch(feed: Feed<'_>, entity: Entity, hash: &str, batch: &[(u64, &[u8])]) -> Result<Done> {
    let mut counts = BatchCounts::default();
    let mut good = Vec::with_capacity(batch.len());
    let mut read: Vec<Result<usize, BadLine>> = Vec::with_capacity(batch.len());
    for (_, bytes) in batch {
        read.push(Line::read(bytes, entity.fields(), entity.line_bytes_max()).map(|line| {
            counts.unknown_fields += line.unknown_fields;
            good.push(line);
            good.len() - 1
        }));
    }
    let outcomes = match entity {
        Entity::Catalog => catalog_feed::apply(feed, &good).await?,
        Entity::Locations => location_feed::apply(feed, &good).await?,
        Entity::Inventory => stock_feed::apply(feed, &good).await?,
        Entity::PriceBook => price_feed::apply(feed, &good).await?,
        Entity::PrintTemplates => record_feed::apply(feed, &Templates, &good).await?,
        Entity::Categories => category_feed::apply(feed, &good).await?,
        Entity::TaxRules => rule_feeds::apply_tax_rules(feed, &good).await?,
        Entity::Promotions => rule_feeds::apply_promotions(feed, &good).await?,
        Entity::Coupons => record_feed::apply(feed, &Coupons, &good).await?,
        Entity::Customers => record_feed::apply(feed, &Customers, &good).await?,
        Entity::Suppliers => record_feed::apply(feed, &Suppliers, &good).await?,
    };
    let (mut errors, mut bad) = (Vec::new(), Vec::new());
    let mut last_applied_version = None;
    for ((number, bytes), read) in batch.iter().zip(read) {
        counts.lines += 1;
        let failure = match read {
            Err(failure) => failure,
            Ok(place) => match outcomes.get(place) {
                Some(LineOutcome::Applied) => {
                    counts.applied += 1;
                    last_applied_version = good.get(place).map(|line| line.version);
                    continue;
                }
                Some(LineOutcome::Skipped) => {
                    counts.skipped += 1;
                    continue;
                }
                Some(LineOutcome::Failed(failure)) => failure.clone(),
                None => return Err(Error::bug("a line without an outcome")),
            },
        };
        counts.failed += 1;
        errors.push(LineError { line: *number, code: failure.code, message: failure.message });
        bad.push(*bytes);
    }
    let parked: Vec<_> = bad.into_iter().zip(&errors).collect();
    park(feed.ports, &feed.caller.scope, entity, &parked, feed.now).await?;
    let last_error = errors.last().map(|error| LastError {
        line: error.line,
        code: error.code.clone(),
        message: error.message.clone(),
        at: feed.now,
    });
    let line = batch.last().map_or(0, |(number, _)| *number);
    let applied = AppliedBatch { upload: hash, line, counts: &counts, last_applied_version, last_error };
    advance(feed.ports, &feed.caller.scope, entity, applied, feed.ports.environment.now()).await?;
    Ok(Done { counts, errors })
}
