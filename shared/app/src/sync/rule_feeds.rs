//! The feeds of promotions and tax rules. They are few, as a till prices each basket with all of them: a
//! line that would make them too many is refused. Two uploads at once may both take the last place; what
//! reads them bounds them once more.

use std::collections::BTreeSet;
use std::sync::{Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use tillstream_contracts::sync::LineOperation;
use tillstream_domain::identifier::check_id;
use tillstream_domain::pricing::{PROMOTIONS_MAX, Promotion, TAX_RULES_MAX, TaxRule};

use super::batch::{Feed, LineOutcome};
use super::line::{BadLine, Line};
use super::record_feed::{self, Admission, RecordFeed};
use super::rule_lines::{promotion_of, tax_rule_of};
use crate::database::{Item, Key};
use crate::error::Result;
use crate::tenancy::TenantScope;
use crate::tenant_rules::stored_rules::{
    PROMOTIONS, StoredRules, TAX_RULES, is_past, promotion_item, read_rules, tax_rule_item,
};

/// Rules that count, by id.
#[derive(Debug, Default)]
struct Counted(Mutex<BTreeSet<String>>);

impl Counted {
    fn of(ids: impl IntoIterator<Item = String>) -> Self {
        Counted(Mutex::new(ids.into_iter().collect()))
    }

    fn ids(&self) -> MutexGuard<'_, BTreeSet<String>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Counts a rule, or no longer, and says whether there is room for it.
    fn has_room(&self, id: &str, counts: bool, most: usize) -> bool {
        let mut ids = self.ids();
        if !counts {
            ids.remove(id);
            return true;
        }
        if ids.len() >= most && !ids.contains(id) {
            return false;
        }
        ids.insert(id.to_owned());
        true
    }
}

fn check_rule_id(id: &str) -> Result<(), BadLine> {
    check_id(id).map_err(|error| BadLine::new("id_malformed", format!("id: {error}")))
}

/// Rules as they stand, where a line may need a place among them.
async fn standing(feed: Feed<'_>, prefix: &str, lines: &[Line]) -> Result<StoredRules> {
    if lines.iter().any(|line| line.operation == LineOperation::Upsert) {
        read_rules(feed.ports, &feed.caller.scope, prefix, feed.now).await
    } else {
        Ok(StoredRules::default())
    }
}

struct Promotions(Counted);

#[async_trait]
impl RecordFeed for Promotions {
    type Record = Promotion;
    const WHAT: &'static str = "promotion";
    const IN_ORDER: bool = true;

    fn check_id(&self, _feed: Feed<'_>, id: &str) -> Result<(), BadLine> {
        check_rule_id(id)
    }

    fn record_of(&self, line: &Line) -> Result<Promotion, BadLine> {
        promotion_of(line)
    }

    fn key(&self, scope: &TenantScope, id: &str) -> Key {
        scope.promotion(id)
    }

    fn item(&self, scope: &TenantScope, record: &Promotion, version: u64) -> Result<Item> {
        promotion_item(scope, &Promotion { version, ..record.clone() })
    }

    async fn admit(
        &self,
        feed: Feed<'_>,
        id: &str,
        record: Option<&Promotion>,
        _old: Option<&Item>,
    ) -> Result<Admission> {
        let counts = record.is_some_and(|promotion| !is_past(promotion.conditions.valid_to, feed.now));
        if self.0.has_room(id, counts, PROMOTIONS_MAX) {
            return Ok(Ok(Vec::new()));
        }
        let message = format!(
            "there are {PROMOTIONS_MAX} promotions that have not ended; delete one, or let it end, first"
        );
        Ok(Err(BadLine::new("too_many_promotions", message)))
    }
}

/// Applies a batch of promotions.
///
/// # Errors
/// [`crate::Error::Retryable`] where the database does not keep up.
pub(super) async fn apply_promotions(feed: Feed<'_>, lines: &[Line]) -> Result<Vec<LineOutcome>> {
    let standing = standing(feed, PROMOTIONS, lines).await?;
    let ids = standing.promotions.into_iter().map(|promotion| promotion.id);
    record_feed::apply(feed, &Promotions(Counted::of(ids)), lines).await
}

struct TaxRules(Counted);

#[async_trait]
impl RecordFeed for TaxRules {
    type Record = TaxRule;
    const WHAT: &'static str = "tax rule";
    const IN_ORDER: bool = true;

    fn check_id(&self, _feed: Feed<'_>, id: &str) -> Result<(), BadLine> {
        check_rule_id(id)
    }

    fn record_of(&self, line: &Line) -> Result<TaxRule, BadLine> {
        tax_rule_of(line)
    }

    fn key(&self, scope: &TenantScope, id: &str) -> Key {
        scope.tax_rule(id)
    }

    fn item(&self, scope: &TenantScope, record: &TaxRule, version: u64) -> Result<Item> {
        tax_rule_item(scope, &TaxRule { version, ..record.clone() })
    }

    async fn admit(
        &self,
        feed: Feed<'_>,
        id: &str,
        record: Option<&TaxRule>,
        _old: Option<&Item>,
    ) -> Result<Admission> {
        let counts = record.is_some_and(|rule| !is_past(rule.valid_to, feed.now));
        if self.0.has_room(id, counts, TAX_RULES_MAX) {
            return Ok(Ok(Vec::new()));
        }
        let message = format!(
            "there are {TAX_RULES_MAX} tax rules that have not ended; delete one, or let it end, first"
        );
        Ok(Err(BadLine::new("too_many_tax_rules", message)))
    }
}

/// Applies a batch of tax rules.
///
/// # Errors
/// [`crate::Error::Retryable`] where the database does not keep up.
pub(super) async fn apply_tax_rules(feed: Feed<'_>, lines: &[Line]) -> Result<Vec<LineOutcome>> {
    let standing = standing(feed, TAX_RULES, lines).await?;
    let ids = standing.tax_rules.into_iter().map(|rule| rule.id);
    record_feed::apply(feed, &TaxRules(Counted::of(ids)), lines).await
}
