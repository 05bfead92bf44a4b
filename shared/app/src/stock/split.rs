//! Splitting the stock of a SKU over parts, and merging it again: each one transaction over all of them.

use jiff::{SignedDuration, Timestamp};

use crate::database::{
    Change, Condition, Consistency, DatabaseError, Get, Item, Query, TRANSACTION_ACTIONS_MAX, Table, Write,
};
use crate::error::{Error, Result};
use crate::ports::Ports;
use crate::stock::attempts::Attempts;
use crate::stock::counters::{Counters, Delta, LOTS_VERSION, Movement, counter_changes, movement_changes};
use crate::stock::earliest::no_look;
use crate::stock::layout::{LAYOUT_WHOLE, PARTS_MAX, layout_of, next_layout};
use crate::stock::standing::{Standing, standing};
use crate::tenancy::TenantScope;

/// A whole unit, in thousandths: parts get whole ones.
const UNIT: i64 = 1_000;
/// Fewest units that a part begins with where stock splits by itself: with fewer it is soon short, and to
/// look at all parts costs more than they spare.
const UNITS_PER_PART: i64 = 8;
/// How long a split item must have been quiet before it is merged.
const QUIET_FOR: SignedDuration = SignedDuration::from_mins(10);
/// Changes a second up to which an item is quiet: at one in a hundred milliseconds, few meet another.
const QUIET_PER_SECOND: i64 = 10;

// The list of split items is one action more.
const _: () = assert!(PARTS_MAX as usize + 1 < TRANSACTION_ACTIONS_MAX);

/// What an attempt to lay stock out anew came to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LaidOut {
    /// This layout stands now, by this attempt.
    Now(i64),
    /// There was nothing to do: it is so already, or there is too little to split.
    Not,
    /// Others were first, for this reason.
    Again(String),
}

/// Into how many parts stock of which so much is available splits by itself; fewer than 2: not at all.
pub fn parts_for(available: i64) -> u32 {
    let most = available / (UNIT * UNITS_PER_PART);
    u32::try_from(most.max(0)).unwrap_or(PARTS_MAX).min(PARTS_MAX)
}

fn movement(kind: &'static str, layout: i64, now: Timestamp) -> Movement {
    Movement {
        kind,
        reference: format!("layout {layout}"),
        actor: "stock layout".to_owned(),
        at: now,
        reason: None,
    }
}

fn laid_out(result: std::result::Result<(), DatabaseError>, layout: i64) -> Result<LaidOut> {
    match result {
        Ok(()) => Ok(LaidOut::Now(layout)),
        Err(DatabaseError::Invalid(what)) => Err(Error::Bug(what)),
        // A lost race, or a lost answer: whoever needs to know reads again.
        Err(error) => Ok(LaidOut::Again(error.to_string())),
    }
}

/// Splits a whole stock item into `parts` parts, once tried. The first part keeps what is reserved, and its
/// share of what is available; it gives the rest away on the condition that so much is there, not on its
/// `seq`, which a busy item changes faster than anybody reads it.
///
/// # Errors
/// As the database; a bug where `parts` is not 2 to [`PARTS_MAX`].
pub async fn split(
    ports: &Ports,
    scope: &TenantScope,
    location_id: &str,
    sku: &str,
    parts: u32,
) -> Result<LaidOut> {
    if !(2..=PARTS_MAX).contains(&parts) {
        return Err(Error::Bug(format!("stock is not split into {parts} parts")));
    }
    let get = |part| Get {
        table: Table::Stock,
        key: scope.stock_part(location_id, sku, part),
        consistency: Consistency::Strong,
    };
    let mut items = ports.database.get_many((0..parts).map(get).collect()).await?.into_iter();
    let Some(item) = items.next().flatten() else { return Ok(LaidOut::Not) };
    let first = Counters::of(&item)?;
    let share = first.available / i64::from(parts) / UNIT * UNIT;
    // Lots go one after another, whoever sells them: what is kept by lots stays one item.
    if first.layout != LAYOUT_WHOLE || share < UNIT || first.lots_version > 0 {
        return Ok(LaidOut::Not);
    }
    let layout = next_layout(first.past.last, parts);
    let movement = movement("split", layout, ports.environment.now());
    let mut writes = Vec::new();
    // Changes of the parts counted so far: what the version does not count.
    let mut uncounted = 1;
    for (part, item) in (1..parts).zip(items) {
        let seq = item.as_ref().map(|item| item.number("seq")).transpose()?;
        uncounted += seq.unwrap_or(0) + 1;
        let as_seen = match seq {
            None => Condition::NotExists,
            Some(seq) => Condition::All(vec![
                Condition::Eq("layout", LAYOUT_WHOLE.into()),
                Condition::Eq("seq", seq.into()),
            ]),
        };
        let gets = Delta { on_hand: share, ..Delta::default() };
        let mut changes = vec![
            Change::Set("tenant_id", scope.tenant_id().into()),
            Change::Set("location_id", location_id.into()),
            Change::Set("sku", sku.into()),
            Change::Set("part", i64::from(part).into()),
            Change::Set("layout", layout.into()),
            Change::Set("safety_stock", 0.into()),
        ];
        changes.extend(first.unit.map(crate::stock::counters::unit_change));
        changes.extend(counter_changes(gets, gets.available()));
        changes.extend(movement_changes(&movement, gets));
        writes.push(Write::Update {
            table: Table::Stock,
            key: scope.stock_part(location_id, sku, part),
            changes,
            condition: Some(as_seen),
        });
    }
    let given = share * i64::from(parts - 1);
    let gives = Delta { on_hand: -given, ..Delta::default() };
    let mut changes = vec![
        Change::Set("layout", layout.into()),
        Change::Set("last_layout", layout.into()),
        Change::Set("parts", i64::from(first.past.parts.max(parts)).into()),
        Change::Add("version_offset", -uncounted),
    ];
    changes.extend(counter_changes(gives, gives.available()));
    changes.extend(movement_changes(&movement, gives));
    let last = match first.past.last {
        0 => Condition::Lacks("last_layout"),
        last => Condition::Eq("last_layout", last.into()),
    };
    let condition = vec![
        Condition::Eq("layout", LAYOUT_WHOLE.into()),
        Condition::Ge("available", given.into()),
        Condition::Lacks(LOTS_VERSION),
        last,
    ];
    writes.push(Write::Update {
        table: Table::Stock,
        key: scope.stock(location_id, sku),
        changes,
        condition: Some(Condition::All(condition)),
    });
    let listed = Item::new(&scope.split_stock_item(location_id, sku))
        .with("tenant_id", scope.tenant_id())
        .with("location_id", location_id)
        .with("sku", sku)
        .with("layout", layout);
    writes.push(Write::Put { table: Table::Stock, item: listed, condition: None });
    laid_out(ports.database.transact(writes).await, layout)
}

/// Merges a split stock item, once tried: all that the parts have goes to the first, each on its `seq`.
/// Their items stay, empty, so that their ledgers have no gap. Hold lines stay where they are.
///
/// # Errors
/// As the database.
pub async fn merge(ports: &Ports, scope: &TenantScope, location_id: &str, sku: &str) -> Result<LaidOut> {
    let found = standing(ports.database.as_ref(), scope, location_id, sku, LAYOUT_WHOLE).await?;
    match found {
        Some(found) if found.layout() != LAYOUT_WHOLE => {
            merge_as_seen(ports, scope, location_id, sku, &found).await
        }
        _ => Ok(LaidOut::Not),
    }
}

async fn merge_as_seen(
    ports: &Ports,
    scope: &TenantScope,
    location_id: &str,
    sku: &str,
    found: &Standing,
) -> Result<LaidOut> {
    let layout = found.layout();
    let movement = movement("merge", layout, ports.environment.now());
    let as_seen = |seen: &Counters| {
        Condition::All(vec![Condition::Eq("layout", layout.into()), Condition::Eq("seq", seen.seq.into())])
    };
    let mut writes = Vec::new();
    let (mut comes, mut uncounted, mut hold_parts) = (Delta::default(), -1, found.first().past.hold_parts);
    for (part, seen) in found.numbered().skip(1) {
        let goes = -seen.sums();
        comes += seen.sums();
        uncounted += seen.seq;
        if seen.reserved > 0 {
            // Its hold lines count in the first part from now on, whose expiry must find them.
            hold_parts = hold_parts.max(part + 1);
        }
        let mut changes = vec![Change::Set("layout", LAYOUT_WHOLE.into()), Change::Remove("earliest_expiry")];
        changes.extend(no_look());
        changes.extend(counter_changes(goes, goes.available()));
        changes.extend(movement_changes(&movement, goes));
        writes.push(Write::Update {
            table: Table::Stock,
            key: scope.stock_part(location_id, sku, part),
            changes,
            condition: Some(as_seen(seen)),
        });
    }
    let mut changes =
        vec![Change::Set("layout", LAYOUT_WHOLE.into()), Change::Add("version_offset", uncounted)];
    if hold_parts > 0 {
        changes.push(Change::Set("hold_parts", i64::from(hold_parts).into()));
    }
    changes.extend(found.total().earliest_expiry.map(|at| Change::Set("earliest_expiry", at.into())));
    // Hold lines of the parts count here from now on, of which a look that is open knows nothing.
    changes.extend(no_look());
    changes.extend(counter_changes(comes, comes.available()));
    changes.extend(movement_changes(&movement, comes));
    writes.push(Write::Update {
        table: Table::Stock,
        key: scope.stock(location_id, sku),
        changes,
        condition: Some(as_seen(&found.first())),
    });
    writes.push(Write::Delete {
        table: Table::Stock,
        key: scope.split_stock_item(location_id, sku),
        condition: None,
    });
    laid_out(ports.database.transact(writes).await, LAYOUT_WHOLE)
}

/// Merges, however often others are first, until the item is whole or the time is up. What must be exact
/// about the whole (a count, a feed's line) does this first.
///
/// # Errors
/// [`Error::Retryable`] when the time is up: while an item is busy on all parts, no transaction over all of
/// them gets through.
pub async fn make_whole(ports: &Ports, scope: &TenantScope, location_id: &str, sku: &str) -> Result<()> {
    let mut attempts = Attempts::new(ports.environment.as_ref());
    loop {
        match merge(ports, scope, location_id, sku).await? {
            LaidOut::Now(_) | LaidOut::Not => return Ok(()),
            LaidOut::Again(why) => attempts.after_a_wait(&why).await?,
        }
    }
}

/// What a run over split stock did.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct QuietMerged {
    /// Stock items merged.
    pub merged: usize,
    /// Stock items that could not be looked at or merged; the others were.
    pub failed: usize,
}

/// Merges what has been quiet for long enough; begins with no stock item after `deadline`.
///
/// # Errors
/// Where the list of split stock cannot be read; what was merged stays merged.
pub async fn merge_quiet(ports: &Ports, scope: &TenantScope, deadline: Timestamp) -> Result<QuietMerged> {
    let now = ports.environment.now();
    let mut done = QuietMerged::default();
    let mut query = Query::partition(Table::Stock, scope.split_stock());
    loop {
        let page = ports.database.query(query.clone()).await?;
        for listed in &page.items {
            if ports.environment.now() >= deadline {
                return Ok(done);
            }
            match merge_if_quiet(ports, scope, listed, now).await {
                Ok(is_merged) => done.merged += usize::from(is_merged),
                Err(error) => {
                    let sku = listed.opt_text("sku").unwrap_or_default();
                    tracing::warn!(sku, %error, "split stock was not merged");
                    done.failed += 1;
                }
            }
        }
        match page.next {
            Some(next) => query.start = Some(next),
            None => return Ok(done),
        }
    }
}

async fn merge_if_quiet(ports: &Ports, scope: &TenantScope, listed: &Item, now: Timestamp) -> Result<bool> {
    if !is_quiet(ports, scope, listed, now).await? {
        return Ok(false);
    }
    let outcome = merge(ports, scope, listed.text("location_id")?, listed.text("sku")?).await?;
    Ok(matches!(outcome, LaidOut::Now(_)))
}

/// Whether a split item has had few changes for long enough. Notes where it stands, to compare with later.
async fn is_quiet(ports: &Ports, scope: &TenantScope, listed: &Item, now: Timestamp) -> Result<bool> {
    let (location_id, sku) = (listed.text("location_id")?, listed.text("sku")?);
    let layout = layout_of(Some(listed));
    let database = ports.database.as_ref();
    let Some(found) = standing(database, scope, location_id, sku, layout).await? else { return Ok(false) };
    let version = found.total().version();
    let noted = listed.opt_number("noted_version").zip(listed.opt_number("noted_at"));
    if let Some((noted_version, noted_at)) = noted {
        let millis = now.as_millisecond().saturating_sub(noted_at);
        if i128::from(millis) < QUIET_FOR.as_millis() {
            return Ok(false);
        }
        let changes = version.saturating_sub(noted_version);
        if changes.saturating_mul(1_000) <= millis.saturating_mul(QUIET_PER_SECOND) {
            return Ok(true);
        }
    }
    let note = Write::Update {
        table: Table::Stock,
        key: scope.split_stock_item(location_id, sku),
        changes: vec![
            Change::Set("noted_version", version.into()),
            Change::Set("noted_at", now.as_millisecond().into()),
        ],
        condition: Some(Condition::Eq("layout", layout.into())),
    };
    match database.write(note).await {
        // Merged meanwhile, or busy: the next run looks again.
        Ok(()) | Err(DatabaseError::ConditionFailed(_)) => Ok(false),
        Err(error) if error.is_transient() => Ok(false),
        Err(error) => Err(error.into()),
    }
}
