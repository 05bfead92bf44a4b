//! A store's completeness record: which facts are in all of their pages.
//!
//! A number enters it after the last page of its order, so whoever reads the record and then the pages
//! finds every number of the record in them. In the same write a late fact marks its day as changed
//! since the coarse pages were made, if they were; so whoever finds the number also finds the mark.

use std::collections::BTreeMap;

use jiff::civil::Date;
use serde::{Deserialize, Serialize};
use tillstream_domain::aggregates::{Folded, SaleFact};
use tillstream_domain::lane::LaneNumber;

use super::stored::{self, Stored, analytics_get};
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
}

impl Completeness {
    /// Whether the token's number is in all of its pages.
    pub fn contains(&self, token: &LaneNumber) -> bool {
        self.folded.contains(&token.lane, token.number)
    }

    /// Whether coarse pages stand for `day`.
    pub fn is_settled(&self, day: Date) -> bool {
        self.closed_through.is_some_and(|closed| day <= closed) && !self.changed.contains_key(&day)
    }

    /// Marks a closed day as changed.
    pub fn mark(&mut self, day: Date) {
        self.stamp += 1;
        self.changed.insert(day, self.stamp);
    }

    /// Enters a fact that is in all of its pages; says whether it was new.
    pub fn complete(&mut self, fact: &SaleFact) -> bool {
        let new = self.folded.insert(&fact.lane, fact.number);
        if new && self.closed_through.is_some_and(|closed| fact.business_day <= closed) {
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
