//! How far the hold lines of a stock item were read by looks that stop before their end.
//!
//! A request reads so many pages of hold lines and no more. Where there are more, it remembers how far it came, in a
//! small item beside the stock item, and the stock item says that it did. Whoever looks next begins there, so that looks
//! one after another, whoever makes them, come to every line: together they make a run. A look that comes to the end
//! goes on with the first lines, up to where it began. Once one look has read all of them, nothing is remembered any more.
//!
//! What is remembered is a hint. Lines are read as they are, and whoever begins elsewhere misses none but for this one
//! look. It is written, and taken away, on condition that it is as it was read: of several who look at once one takes
//! the run on, and none takes it back. Where the stock item says nothing, what lies there nevertheless (after a crash
//! between the two writes) is not read, and is overwritten.
//!
//! An item with no more lines than one request reads costs nothing for it: neither a read nor a write.

use crate::database::{
    Change, Condition, Consistency, Database, DatabaseError, Get, Item, Key, Query, StartKey, Table, Value,
    Write,
};
use crate::error::{Error, Result};
use crate::ports::Ports;
use crate::stock::counters::{Counters, HOLDS_READ};
use crate::stock::request_identity::request_number;
use crate::tenancy::TenantScope;

/// Where a look stopped.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Stopped {
    /// In which partition of hold lines.
    partition: u32,
    /// Behind which line; `None`: before the first.
    line: Option<String>,
    /// Of this writing and of no other.
    number: i64,
}

impl Stopped {
    fn of(item: &Item) -> Result<Self> {
        Ok(Stopped {
            partition: u32::try_from(item.number("partition")?).map_err(Error::bug)?,
            line: item.opt_text("line").map(str::to_owned),
            number: item.number("number")?,
        })
    }

    fn item(&self, scope: &TenantScope, key: &Key) -> Item {
        Item::new(key)
            .with("tenant_id", scope.tenant_id())
            .with("partition", i64::from(self.partition))
            .with_some("line", self.line.as_deref())
            .with("number", self.number)
    }

    fn as_read(&self) -> Condition {
        Condition::Eq("number", self.number.into())
    }
}

/// Hold lines that are read one after another: all of a partition, or those behind a line, or those up to one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Stretch {
    /// Of which partition.
    pub(super) partition: u32,
    after: Option<String>,
    until: Option<String>,
    /// Whether they lie before where the look began.
    pub(super) is_again: bool,
}

impl Stretch {
    /// The query of its first page.
    pub(super) fn query(&self, scope: &TenantScope, (location_id, sku): (&str, &str)) -> Query {
        let lines = scope.holds_on_part(location_id, sku, self.partition);
        let behind = |line: &String| {
            let key = scope.hold_on_part(location_id, sku, self.partition, line);
            StartKey(Item::new(&key).0.into())
        };
        Query { start: self.after.as_ref().map(behind), ..Query::partition(Table::Stock, lines) }
    }

    /// Where it goes on after a page, of which the database says where the `next` begins; `None` at its end.
    pub(super) fn goes_on(&self, next: Option<StartKey>) -> Option<StartKey> {
        let next = next?;
        let is_at_the_end = match (&self.until, line_of(&next)) {
            (Some(until), Some(line)) => line >= until.as_str(),
            _ => false,
        };
        (!is_at_the_end).then_some(next)
    }

    /// Whether all lines of its partition are read once these are.
    pub(super) fn completes_partition(&self) -> bool {
        self.after.is_none()
    }
}

/// The line behind which a query goes on.
fn line_of(start: &StartKey) -> Option<&str> {
    match start.0.get("sk") {
        Some(Value::S(line)) => Some(line),
        _ => None,
    }
}

/// One look at the hold lines of a stock item.
#[derive(Debug)]
pub(super) struct HoldRun<'a> {
    scope: &'a TenantScope,
    /// Location and SKU.
    what: (&'a str, &'a str),
    /// Whether the stock item says that something is remembered.
    is_noted: bool,
    /// What is.
    stopped: Option<Stopped>,
}

impl<'a> HoldRun<'a> {
    /// Of one who reads all, however many there are.
    pub(super) fn of_all(scope: &'a TenantScope, what: (&'a str, &'a str)) -> Self {
        HoldRun { scope, what, is_noted: false, stopped: None }
    }

    /// Of one who may stop before the end, over a stock item whose first part was read.
    ///
    /// # Errors
    /// As the database.
    pub(super) async fn of_request(
        database: &dyn Database,
        scope: &'a TenantScope,
        what: (&'a str, &'a str),
        first: &Counters,
    ) -> Result<Self> {
        let mut run = HoldRun { is_noted: first.holds_read, ..HoldRun::of_all(scope, what) };
        if run.is_noted {
            let get = Get { table: Table::Stock, key: run.key(), consistency: Consistency::Strong };
            run.stopped = database.get(get).await?.as_ref().map(Stopped::of).transpose()?;
        }
        Ok(run)
    }

    fn key(&self) -> Key {
        self.scope.read_holds(self.what.0, self.what.1)
    }

    /// All lines of so many partitions, in the order in which they are read.
    pub(super) fn stretches(&self, partitions: u32) -> Vec<Stretch> {
        let whole = |partition, is_again| Stretch { partition, after: None, until: None, is_again };
        // There were more partitions when that was remembered, perhaps.
        let Some(stopped) = self.stopped.as_ref().filter(|stopped| stopped.partition < partitions) else {
            return (0..partitions).map(|partition| whole(partition, false)).collect();
        };
        let at = stopped.partition;
        let first = Stretch { after: stopped.line.clone(), ..whole(at, false) };
        let last = stopped.line.clone().map(|line| Stretch { until: Some(line), ..whole(at, true) });
        std::iter::once(first)
            .chain((at + 1..partitions).map(|partition| whole(partition, false)))
            .chain((0..at).map(|partition| whole(partition, true)))
            .chain(last)
            .collect()
    }

    /// Remembers that the look stopped in a partition, where the query of its `next` page begins.
    ///
    /// # Errors
    /// As the database, but for lost races and what repeating may help.
    pub(super) async fn stops(&self, ports: &Ports, partition: u32, next: Option<&StartKey>) -> Result<()> {
        let stopped = Stopped {
            partition,
            line: next.and_then(line_of).map(str::to_owned),
            number: request_number(ports.environment.as_ref()),
        };
        let condition = match (&self.stopped, self.is_noted) {
            (Some(before), _) => Some(before.as_read()),
            (None, true) => Some(Condition::NotExists),
            (None, false) => None,
        };
        let item = stopped.item(self.scope, &self.key());
        if took_effect(ports.database.write(Write::Put { table: Table::Stock, item, condition }).await)?
            && !self.is_noted
        {
            let said = Change::Set(HOLDS_READ, 1.into());
            took_effect(ports.database.write(self.stock_write(said, Condition::Exists)).await)?;
        }
        Ok(())
    }

    /// Forgets what was remembered: all lines were read.
    ///
    /// # Errors
    /// As [`Self::stops`].
    pub(super) async fn ends(&self, ports: &Ports) -> Result<()> {
        if !self.is_noted {
            return Ok(());
        }
        if let Some(before) = &self.stopped {
            let condition = Some(before.as_read());
            let forgotten = Write::Delete { table: Table::Stock, key: self.key(), condition };
            if !took_effect(ports.database.write(forgotten).await)? {
                // Somebody else took the run on meanwhile.
                return Ok(());
            }
        }
        let said = Change::Remove(HOLDS_READ);
        took_effect(ports.database.write(self.stock_write(said, Condition::Has(HOLDS_READ))).await)?;
        Ok(())
    }

    /// A write of what the stock item says of it, which is no movement.
    fn stock_write(&self, change: Change, condition: Condition) -> Write {
        let key = self.scope.stock(self.what.0, self.what.1);
        Write::Update { table: Table::Stock, key, changes: vec![change], condition: Some(condition) }
    }
}

/// Whether a write took effect, as far as is known: none of these is worth a second try.
fn took_effect(written: std::result::Result<(), DatabaseError>) -> Result<bool> {
    match written {
        Ok(()) => Ok(true),
        Err(DatabaseError::ConditionFailed(_)) => Ok(false),
        Err(error) if error.is_transient() => Ok(false),
        Err(error) => Err(error.into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(scope: &TenantScope, stopped: Option<(u32, Option<&str>)>) -> Vec<(u32, bool, bool, bool)> {
        let stopped =
            stopped.map(|(partition, line)| Stopped { partition, line: line.map(str::to_owned), number: 7 });
        let run = HoldRun { is_noted: true, stopped, ..HoldRun::of_all(scope, ("s", "A")) };
        let all = run.stretches(3).into_iter();
        all.map(|one| (one.partition, one.after.is_some(), one.until.is_some(), one.is_again)).collect()
    }

    #[test]
    fn a_look_reads_every_line_wherever_it_begins() {
        let scope = TenantScope::from_own_record("t");
        let all = |partition, is_again| (partition, false, false, is_again);
        assert_eq!(run(&scope, None), [all(0, false), all(1, false), all(2, false)]);
        assert_eq!(
            run(&scope, Some((1, Some("r")))),
            [(1, true, false, false), all(2, false), all(0, true), (1, false, true, true)]
        );
        assert_eq!(run(&scope, Some((2, None))), [all(2, false), all(0, true), all(1, true)]);
        // There are fewer partitions than there were.
        assert_eq!(run(&scope, Some((3, Some("r")))), run(&scope, None));
    }

    #[test]
    fn the_lines_before_the_beginning_end_with_it() {
        let scope = TenantScope::from_own_record("t");
        let next = |line: &str| StartKey(Item::new(&scope.hold("s", "A", line)).0.into());
        let whole = Stretch { partition: 0, after: None, until: None, is_again: false };
        let until = Stretch { until: Some("m".to_owned()), is_again: true, ..whole.clone() };
        for (stretch, line, goes_on) in
            [(&whole, "z", true), (&until, "l", true), (&until, "m", false), (&until, "n", false)]
        {
            assert_eq!(stretch.goes_on(Some(next(line))).is_some(), goes_on, "{line}");
            assert_eq!(stretch.goes_on(None), None);
        }
        let behind = Stretch { after: Some("m".to_owned()), ..whole.clone() };
        assert_eq!(behind.query(&scope, ("s", "A")).start, Some(next("m")));
        assert_eq!(whole.query(&scope, ("s", "A")).start, None);
        assert!(whole.completes_partition() && until.completes_partition() && !behind.completes_partition());
    }
}
