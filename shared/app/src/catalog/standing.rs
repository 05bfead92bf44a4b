//! How a product or location stands before it is written: there, deleted, or never heard of.
//!
//! A deleted one leaves its item behind as a tombstone: key and versions, outside of all lists. So an
//! older line of the feed that arrives later meets the version that took it away, and every write is one
//! condition on one item.

use crate::database::{Condition, Item, Key};

/// Kind of a tombstone.
const DELETED: &str = "deleted";

/// Largest version of a feed line: the largest integer that every JSON reader keeps (RFC 8259,
/// section 6).
pub const FEED_VERSION_MAX: u64 = 9_007_199_254_740_991;

/// What an item says about its versions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Standing {
    exists: bool,
    deleted: bool,
    version: i64,
    feed_version: Option<i64>,
}

impl Standing {
    /// Of an item that was read, or of none.
    pub fn of(item: Option<&Item>) -> Self {
        match item {
            None => Standing { exists: false, deleted: false, version: 0, feed_version: None },
            Some(item) => Standing {
                exists: true,
                deleted: is_deleted(item),
                version: item.opt_number("version").unwrap_or(0),
                feed_version: item.opt_number("feed_version"),
            },
        }
    }

    /// Whether there is something to show.
    pub fn is_there(&self) -> bool {
        self.exists && !self.deleted
    }

    /// Its version; 0 where there never was one.
    pub fn version(&self) -> i64 {
        self.version
    }

    /// Version of the feed line that wrote or deleted it last.
    pub fn feed_version(&self) -> Option<i64> {
        self.feed_version
    }

    /// Whether a feed line of `version` is newer. Changes by API do not count: they raise the item's
    /// own version only, so that they never hide HQ's next change.
    pub fn is_older_than(&self, version: i64) -> bool {
        self.feed_version.is_none_or(|last| last < version)
    }

    /// The version after a change: one more, or the feed line's if that is higher, so that it grows
    /// with every change whoever made it.
    pub fn next_version(&self, feed: Option<i64>) -> i64 {
        self.version.saturating_add(1).max(feed.unwrap_or(0))
    }

    /// That the item is still as it was read.
    pub fn unchanged(&self) -> Condition {
        if self.exists { Condition::Eq("version", self.version.into()) } else { Condition::NotExists }
    }

    /// What stays of it when a line of `feed_version` deletes it.
    pub fn tombstone(&self, key: &Key, feed_version: i64) -> Item {
        Item::new(key)
            .with("kind", DELETED)
            .with("version", self.next_version(Some(feed_version)))
            .with("feed_version", feed_version)
    }
}

/// Whether an item is a tombstone.
pub fn is_deleted(item: &Item) -> bool {
    item.opt_text("kind") == Some(DELETED)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tenancy::TenantScope;

    #[test]
    fn versions_grow_and_the_api_never_hides_a_feed_line() {
        let key = TenantScope::from_own_record("t").product("A");
        let item = Item::new(&key).with("version", 9_i64).with("feed_version", 3_i64);
        let standing = Standing::of(Some(&item));
        assert!(standing.is_older_than(4) && !standing.is_older_than(3));
        assert_eq!((standing.next_version(Some(4)), standing.next_version(Some(40))), (10, 40));
        let grave = Standing::of(Some(&standing.tombstone(&key, 4)));
        assert!(!grave.is_there() && !grave.is_older_than(4) && grave.is_older_than(5));
        assert_eq!(Standing::of(None).next_version(Some(0)), 1);
    }
}
