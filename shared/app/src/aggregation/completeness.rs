//! A store's completeness record: which facts are in all of their pages.
//!
//! A number enters it after the last page of its order, so whoever reads the record and then the pages
//! finds every number of the record in them. In the same write a late fact marks its day as changed
//! since the coarse pages were made, if they were; so whoever finds the number also finds the mark.
//! What the marks are good for stands with [`super::coarse`].

use std::collections::BTreeMap;

use jiff::civil::Date;
use serde::{Deserialize, Serialize};
use tillstream_domain::aggregates::{Folded, SaleFact};
use tillstream_domain::compact::{self, CompactError};
use tillstream_domain::lane::LaneNumber;

use super::stored::{self, Stored, StoredContent, analytics_get};
use crate::database::Item;
use crate::error::Result;
use crate::ports::Ports;
use crate::tenancy::TenantScope;

/// What the record says.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Completeness {
    /// Per lane the numbers that are in all of their pages.
    pub folded: Folded,
    /// The last day that is closed: up to it coarse pages stand for the fine ones. `None` before any is.
    pub closed_through: Option<Date>,
    /// Closed days whose coarse pages do not (yet) hold all of the fine ones, each with the stamp of
    /// its last mark, so that whoever clears a mark cannot clear a later one.
    pub changed: BTreeMap<Date, u64>,
    /// The last stamp given.
    pub stamp: u64,
    /// The calendar with whose other stores its days are merged; `None` while it stands alone.
    pub calendar: Option<String>,
    /// Closed days of which the calendar's pages do not (yet) hold all, each with the stamp of its last
    /// mark; all of `changed` are among them. Empty without a calendar.
    pub unmerged: BTreeMap<Date, u64>,
}

/// The record before stores were merged.
#[derive(Deserialize)]
struct Alone {
    folded: Folded,
    _closed_through: Option<Date>,
    _changed: BTreeMap<Date, u64>,
    stamp: u64,
}

impl StoredContent for Completeness {
    fn of_bytes(bytes: &[u8]) -> std::result::Result<Self, CompactError> {
        // The older form is the beginning of the newer one: neither reads as the other, since nothing may
        // be missing and nothing may stand behind.
        compact::decode(bytes).or_else(|error| {
            let Ok(Alone { folded, stamp, .. }) = compact::decode(bytes) else {
                return Err(error);
            };
            // The coarse pages of that time are not read any more: as if no day had been closed yet, all are
            // made anew.
            Ok(Completeness { folded, stamp, ..Completeness::default() })
        })
    }
}

impl Completeness {
    /// Whether the token's number is in all of its pages.
    pub fn contains(&self, token: &LaneNumber) -> bool {
        self.folded.contains(&token.lane, token.number)
    }

    /// Whether `day` is closed.
    pub fn is_closed(&self, day: Date) -> bool {
        self.closed_through.is_some_and(|closed| day <= closed)
    }

    /// Whether the store's coarse pages stand for `day`.
    pub fn is_settled(&self, day: Date) -> bool {
        self.is_closed(day) && !self.changed.contains_key(&day)
    }

    /// Whether the coarse pages of `calendar` stand for the store's `day`.
    pub fn is_merged(&self, calendar: &str, day: Date) -> bool {
        self.calendar.as_deref() == Some(calendar) && self.is_closed(day) && !self.unmerged.contains_key(&day)
    }

    /// Marks a closed day as changed.
    pub fn mark(&mut self, day: Date) {
        self.stamp += 1;
        self.changed.insert(day, self.stamp);
        if self.calendar.is_some() {
            self.unmerged.insert(day, self.stamp);
        }
    }

    /// Marks a closed day as one that the calendar's pages lack, though the store's own hold it.
    pub fn mark_unmerged(&mut self, day: Date) {
        if self.calendar.is_some() {
            self.stamp += 1;
            self.unmerged.insert(day, self.stamp);
        }
    }

    /// Enters a fact that is in all of its pages; says whether it was new.
    pub fn complete(&mut self, fact: &SaleFact) -> bool {
        let new = self.folded.insert(&fact.lane, fact.number);
        if new && self.is_closed(fact.business_day) {
            self.mark(fact.business_day);
        }
        new
    }
}

/// The record's item without its content.
pub fn head(scope: &TenantScope, store_id: &str) -> Item {
    Item::new(&scope.completeness(store_id))
}

/// Reads the record of a store, strongly consistent.
///
/// # Errors
/// [`crate::Error::Retryable`], [`crate::Error::Bug`].
pub async fn read(ports: &Ports, scope: &TenantScope, store_id: &str) -> Result<Stored<Completeness>> {
    let item = ports.database.get(analytics_get(scope.completeness(store_id))).await?;
    Stored::of(item.as_ref())
}

/// Enters facts that are in all of their pages.
///
/// # Errors
/// As [`stored::change`].
pub async fn enter(
    ports: &Ports,
    scope: &TenantScope,
    store_id: &str,
    read: Option<Stored<Completeness>>,
    facts: &[&SaleFact],
) -> Result<()> {
    stored::change(ports, &head(scope, store_id), read, |record: &mut Completeness| {
        let mut new = false;
        for fact in facts {
            new |= record.complete(fact);
        }
        new
    })
    .await?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use tillstream_domain::lane::Lane;

    use super::*;

    #[test]
    fn a_record_of_before_stores_were_merged_is_read() {
        #[derive(Serialize)]
        struct Old {
            folded: Folded,
            closed_through: Option<Date>,
            changed: BTreeMap<Date, u64>,
            stamp: u64,
        }
        let mut new =
            Completeness { closed_through: Some(Date::constant(2010, 12, 1)), ..Default::default() };
        new.folded.insert(&Lane::new("s-1", "r-1"), 7);
        new.mark(Date::constant(2010, 11, 30));
        let Completeness { folded, closed_through, changed, stamp, .. } = new.clone();
        let old = compact::encode(&Old { folded, closed_through, changed, stamp }).unwrap();
        // Its coarse pages are of another form: all its days are to be closed anew.
        let anew = Completeness { closed_through: None, changed: BTreeMap::new(), ..new.clone() };
        assert_eq!(Completeness::of_bytes(&old).unwrap(), anew);
        let mut bytes = compact::encode(&new).unwrap();
        assert_eq!(Completeness::of_bytes(&bytes).unwrap(), new);
        bytes.push(0);
        assert!(Completeness::of_bytes(&bytes).is_err());
        assert!(new.unmerged.is_empty(), "a store alone is merged with none");
    }

    /// Whoever clears a mark must not clear a later one of the same day.
    #[test]
    fn each_mark_has_a_stamp_of_its_own() {
        let (first, second) = (Date::constant(2010, 11, 30), Date::constant(2010, 12, 1));
        let mut record = Completeness {
            closed_through: Some(second),
            calendar: Some("Europe/London 00:00".to_owned()),
            ..Completeness::default()
        };
        let mut stamps = Vec::new();
        for _ in 0..2 {
            record.mark(first);
            assert_eq!(record.unmerged[&first], record.changed[&first]);
            stamps.push(record.changed[&first]);
            record.mark_unmerged(second);
            stamps.push(record.unmerged[&second]);
        }
        assert!(stamps.is_sorted_by(|before, after| before < after), "{stamps:?}");
        assert!(!record.changed.contains_key(&second), "the store's own pages hold it");
    }
}
