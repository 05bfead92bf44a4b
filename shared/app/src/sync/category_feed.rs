//! The feed of categories. None may become its own ancestor: each line that puts one below another than before
//! counts up one item in its own transaction, so that two uploads at once cannot close a circle between
//! them.

use std::collections::BTreeSet;
use std::sync::{Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use tillstream_domain::category::{CATEGORIES_MAX, Category, CategoryTree, is_category};

use super::batch::{Feed, LineOutcome};
use super::line::{BadLine, Line};
use super::record_feed::{self, Admission, RecordFeed};
use super::rule_lines::category_of;
use crate::catalog::attempt::Attempt;
use crate::database::{Change, Condition, Consistency, Get, Item, Key, Table, Write};
use crate::error::Result;
use crate::tenancy::TenantScope;
use crate::tenant_rules::stored_rules::{CATEGORIES, category_item, read_rules};

/// All categories as they stood when the tree had a version.
#[derive(Debug, Clone)]
struct KnownCategories {
    version: Option<i64>,
    known: BTreeSet<String>,
    tree: CategoryTree,
}

impl KnownCategories {
    /// The version is read before what it is the version of: a change in between makes the next write fail,
    /// and is read then.
    async fn read(feed: Feed<'_>) -> Result<KnownCategories> {
        let scope = &feed.caller.scope;
        let get = Get { table: Table::Catalog, key: scope.category_tree(), consistency: Consistency::Strong };
        let head = feed.ports.database.get(get).await?;
        let stored = read_rules(feed.ports, scope, CATEGORIES, feed.now).await?;
        Ok(KnownCategories {
            version: head.and_then(|head| head.opt_number("version")),
            known: stored.parents.iter().map(|(id, _)| id.clone()).collect(),
            tree: stored.parents.into_iter().collect(),
        })
    }

    /// The write that counts the change, which must be the next.
    fn counted(&self, scope: &TenantScope) -> Write {
        let condition = match self.version {
            Some(version) => Condition::Eq("version", version.into()),
            None => Condition::NotExists,
        };
        Write::Update {
            table: Table::Catalog,
            key: scope.category_tree(),
            changes: vec![
                Change::Set("kind", "category_tree".into()),
                Change::Set("version", self.version.unwrap_or(0).saturating_add(1).into()),
            ],
            condition: Some(condition),
        }
    }
}

/// The categories as this batch leaves them; nothing where they must be read again.
#[derive(Default)]
struct Categories(Mutex<Option<KnownCategories>>);

impl Categories {
    fn standing(&self) -> MutexGuard<'_, Option<KnownCategories>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[async_trait]
impl RecordFeed for Categories {
    type Record = Category;
    const WHAT: &'static str = "category";
    const IN_ORDER: bool = true;

    fn check_id(&self, _feed: Feed<'_>, id: &str) -> Result<(), BadLine> {
        if is_category(id) {
            return Ok(());
        }
        let message = "id: a category is 1 to 64 printable characters without leading or trailing spaces";
        Err(BadLine::new("category_malformed", message))
    }

    fn record_of(&self, line: &Line) -> Result<Category, BadLine> {
        category_of(line)
    }

    fn key(&self, scope: &TenantScope, id: &str) -> Key {
        scope.category_rule(id)
    }

    fn item(&self, scope: &TenantScope, record: &Category, version: u64) -> Result<Item> {
        category_item(scope, &Category { version, ..record.clone() })
    }

    async fn admit(
        &self,
        feed: Feed<'_>,
        id: &str,
        record: Option<&Category>,
        _old: Option<&Item>,
    ) -> Result<Admission> {
        let known = self.standing().clone();
        let mut standing = match known {
            Some(standing) => standing,
            None => KnownCategories::read(feed).await?,
        };
        let parent = record.and_then(|category| category.parent.as_deref());
        let moves = parent.is_some() && parent != standing.tree.parent(id);
        if let Err(error) = standing.tree.admit(id, parent) {
            return Ok(Err(BadLine::new(error.code(), format!("data.{error}"))));
        }
        if record.is_none() {
            standing.known.remove(id);
        } else if standing.known.insert(id.to_owned()) && standing.known.len() > CATEGORIES_MAX {
            let message = format!("there are {CATEGORIES_MAX} categories; delete one first");
            return Ok(Err(BadLine::new("too_many_categories", message)));
        }
        // What stays where it is, or no longer stands below another, cannot close a circle.
        let with = moves.then(|| standing.counted(&feed.caller.scope));
        if with.is_some() {
            standing.version = Some(standing.version.unwrap_or(0).saturating_add(1));
        }
        *self.standing() = Some(standing);
        Ok(Ok(with.into_iter().collect()))
    }

    fn tried(&self, attempt: &Attempt) {
        // What was put there in advance did not come to be, or not for sure.
        if !matches!(attempt, Attempt::Done) {
            *self.standing() = None;
        }
    }
}

/// Applies a batch.
///
/// # Errors
/// [`crate::Error::Retryable`] where the database does not keep up.
pub(super) async fn apply(feed: Feed<'_>, lines: &[Line]) -> Result<Vec<LineOutcome>> {
    record_feed::apply(feed, &Categories::default(), lines).await
}
