//! The queue of a location and SKU: its last number, and who waits in it.

use jiff::Timestamp;

use crate::database::{
    Change, Condition, Consistency, DatabaseError, Get, Item, Key, Query, Range, Table, Write,
};
use crate::error::{Error, Result};
use crate::keys::{self, BACKORDER_PLACES};
use crate::ports::Ports;
use crate::pos::identity::spread;
use crate::tenancy::TenantScope;

/// How often the keeper looks at a queue in which somebody waits. The stream tells what happens to its stock at once.
pub(super) const LOOKED_AT_EVERY_MILLIS: i64 = 120_000;

/// The last number that a queue gave.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct LastNumber(Option<i64>);

impl LastNumber {
    /// Reads it, and whether there is a stock item of what is waited for.
    ///
    /// # Errors
    /// As the database.
    pub(super) async fn read(
        ports: &Ports,
        scope: &TenantScope,
        (location_id, sku): (&str, &str),
    ) -> Result<(Self, bool)> {
        let get = |key| Get { table: Table::Stock, key, consistency: Consistency::Strong };
        let keys = [scope.backorder_queue(location_id, sku), scope.stock(location_id, sku)];
        let mut found = ports.database.get_many(Vec::from(keys.map(get))).await?.into_iter();
        let last = found.next().flatten().map(|item| item.number("last")).transpose()?;
        Ok((LastNumber(last), found.next().flatten().is_some()))
    }

    /// The number after it.
    pub(super) fn next(self) -> Result<u64> {
        u64::try_from(self.0.unwrap_or(0) + 1).map_err(Error::bug)
    }

    /// Gives that number out: refused where another request did meanwhile. Numbers so have the order in which they were
    /// given, and none comes before one that was seen.
    pub(super) fn give_next(
        self,
        scope: &TenantScope,
        (location_id, sku): (&str, &str),
        now: Timestamp,
    ) -> Write {
        let key = scope.backorder_queue(location_id, sku);
        let due = keys::due("backorder-queue", spread(key.pk()));
        Write::Update {
            table: Table::Stock,
            key,
            changes: vec![
                Change::Set("tenant_id", scope.tenant_id().into()),
                Change::Set("location_id", location_id.into()),
                Change::Set("sku", sku.into()),
                Change::Set("last", (self.0.unwrap_or(0) + 1).into()),
                // Kept where it is due already: who comes late must not put off those before.
                Change::SetIfAbsent("due_pk", due.value().into()),
                Change::SetIfAbsent(
                    "due_at",
                    now.as_millisecond().saturating_add(LOOKED_AT_EVERY_MILLIS).into(),
                ),
            ],
            condition: Some(match self.0 {
                None => Condition::NotExists,
                Some(last) => Condition::Eq("last", last.into()),
            }),
        }
    }
}

/// The id of the first who waits, strongly consistent.
pub(super) async fn first(
    ports: &Ports,
    scope: &TenantScope,
    (location_id, sku): (&str, &str),
) -> Result<Option<String>> {
    let query = Query {
        range: Range::BeginsWith(BACKORDER_PLACES.to_owned()),
        limit: 1,
        ..Query::partition(Table::Stock, scope.backorder_places(location_id, sku))
    };
    let page = ports.database.query(query).await?;
    page.items.first().map(|item| Ok(item.text("backorder_id")?.to_owned())).transpose()
}

/// Lets the keeper look at a queue that it saw again later, or no more where nobody waits in it and nobody came since.
pub(super) async fn looked_at(
    ports: &Ports,
    seen: &Item,
    somebody_waits: bool,
    now: Timestamp,
) -> Result<()> {
    let (Some(due), last) = (seen.opt_number("due_at"), seen.number("last")?) else { return Ok(()) };
    let changes = if somebody_waits {
        let next = now.as_millisecond().saturating_add(LOOKED_AT_EVERY_MILLIS);
        vec![Change::Set("due_at", next.into())]
    } else {
        vec![Change::Remove("due_pk"), Change::Remove("due_at")]
    };
    let as_seen = vec![Condition::Eq("due_at", due.into()), Condition::Eq("last", last.into())];
    let write = Write::Update {
        table: Table::Stock,
        key: Key::of(seen)?,
        changes,
        condition: Some(Condition::All(as_seen)),
    };
    match ports.database.write(write).await {
        // Somebody came meanwhile: it is due still.
        Ok(()) | Err(DatabaseError::ConditionFailed(_)) => Ok(()),
        Err(error) => Err(error.into()),
    }
}
