//! The feeds of promotions and tax rules. They are few, as a till prices each basket with all of them: a
//! line that would make them too many is refused. Two uploads at once may both take the last place; what
//! reads them bounds them once more.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use serde::Serialize;
use tillstream_contracts::sync::LineOperation;
use tillstream_domain::pricing::{PROMOTIONS_MAX, Promotion, TAX_RULES_MAX, TaxRule};

use super::batch::{Feed, LineOutcome};
use super::line::{BadLine, Line};
use super::record_feed::{self, Admission, RecordFeed};
use super::rule_lines::{promotion_of, tax_rule_of};
use super::use_limits::{LimitChange, remembering};
use crate::database::{Item, Key};
use crate::error::{Error, Result};
use crate::tenancy::TenantScope;
use crate::tenant_rules::stored_rules::{
    PROMOTIONS, PROMOTIONS_KEPT, StoredRules, TAX_RULES, TAXES_KEPT, is_past, promotion_item, read_rules,
    tax_rule_item,
};

/// Most bytes of all rules of one kind together: 4 KB of each of 500 promotions. A process of a till
/// remembers the rules of many tenants.
const RULES_BYTES_MAX: usize = 2 * 1024 * 1024;

/// The rules of a kind that count: how large each is, by id.
struct Counted {
    /// What people call them.
    what: &'static str,
    /// Code of a refusal for their number.
    too_many: &'static str,
    /// How many there may be.
    most: usize,
    sizes: Mutex<BTreeMap<String, usize>>,
}

impl Counted {
    fn new(what: &'static str, too_many: &'static str, most: usize) -> Self {
        Counted { what, too_many, most, sizes: Mutex::new(BTreeMap::new()) }
    }

    fn with(self, id: &str, rule: &impl Serialize) -> Result<Self> {
        let size = size_of(rule)?;
        self.sizes().insert(id.to_owned(), size);
        Ok(self)
    }

    fn sizes(&self) -> MutexGuard<'_, BTreeMap<String, usize>> {
        self.sizes.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Counts a rule, or no longer where it is deleted or past; refuses it where there is no room for it.
    fn admit<R: Serialize>(&self, id: &str, counts: Option<&R>) -> Result<Admission> {
        let Some(size) = counts.map(size_of).transpose()? else {
            self.sizes().remove(id);
            return Ok(Ok(Vec::new()));
        };
        let mut sizes = self.sizes();
        let before = sizes.get(id).copied();
        if before.is_none() && sizes.len() >= self.most {
            let message = format!(
                "there are {} {} that have not ended; delete one, or let it end, first",
                self.most, self.what
            );
            return Ok(Err(BadLine::new(self.too_many, message)));
        }
        // One that gets no larger is let in whatever the others are.
        let others: usize = sizes.iter().filter(|(other, _)| *other != id).map(|(_, size)| size).sum();
        if others + size > RULES_BYTES_MAX && before.is_none_or(|before| size > before) {
            let message = format!(
                "all {} together have at most 2 MB; use categories in place of long lists of SKUs",
                self.what
            );
            return Ok(Err(BadLine::new("rules_too_large", message)));
        }
        sizes.insert(id.to_owned(), size);
        Ok(Ok(Vec::new()))
    }
}

/// Bytes of a rule as it is stored.
fn size_of(rule: &impl Serialize) -> Result<usize> {
    Ok(serde_json::to_vec(rule).map_err(Error::bug)?.len())
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

    fn record_of(&self, line: &Line) -> Result<Promotion, BadLine> {
        promotion_of(line)
    }

    fn key(&self, scope: &TenantScope, id: &str) -> Key {
        scope.promotion(id)
    }

    fn item(&self, scope: &TenantScope, record: &Promotion, version: u64) -> Result<Item> {
        promotion_item(scope, &Promotion { version, ..record.clone() })
    }

    async fn remembering(
        &self,
        feed: Feed<'_>,
        id: &str,
        record: Option<&Promotion>,
        item: Item,
        old: Option<&Item>,
    ) -> Result<Item> {
        // One that cannot be read, or is deleted, says nothing of a limit.
        let standing = old.and_then(|item| item.json::<Promotion>("data").ok());
        let before = standing.and_then(|promotion| promotion.limits.total);
        let limit = record.and_then(|promotion| promotion.limits.total);
        remembering(feed, LimitChange { kind: "promotion", id, before, limit }, item, old).await
    }

    async fn admit(
        &self,
        feed: Feed<'_>,
        id: &str,
        record: Option<&Promotion>,
        _old: Option<&Item>,
    ) -> Result<Admission> {
        let in_force =
            |promotion: &&Promotion| !is_past(promotion.conditions.valid_to, feed.now, PROMOTIONS_KEPT);
        self.0.admit(id, record.filter(in_force))
    }
}

/// Applies a batch of promotions.
///
/// # Errors
/// [`crate::Error::Retryable`] where the database does not keep up.
pub(super) async fn apply_promotions(feed: Feed<'_>, lines: &[Line]) -> Result<Vec<LineOutcome>> {
    let standing = standing(feed, PROMOTIONS, lines).await?;
    let none = Counted::new("promotions", "too_many_promotions", PROMOTIONS_MAX);
    let counted = standing.promotions.iter().try_fold(none, |counted, rule| counted.with(&rule.id, rule))?;
    record_feed::apply(feed, &Promotions(counted), lines).await
}

struct TaxRules(Counted);

#[async_trait]
impl RecordFeed for TaxRules {
    type Record = TaxRule;
    const WHAT: &'static str = "tax rule";
    const IN_ORDER: bool = true;

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
        self.0.admit(id, record.filter(|rule| !is_past(rule.valid_to, feed.now, TAXES_KEPT)))
    }
}

/// Applies a batch of tax rules.
///
/// # Errors
/// [`crate::Error::Retryable`] where the database does not keep up.
pub(super) async fn apply_tax_rules(feed: Feed<'_>, lines: &[Line]) -> Result<Vec<LineOutcome>> {
    let standing = standing(feed, TAX_RULES, lines).await?;
    let none = Counted::new("tax rules", "too_many_tax_rules", TAX_RULES_MAX);
    let counted = standing.tax_rules.iter().try_fold(none, |counted, rule| counted.with(&rule.id, rule))?;
    record_feed::apply(feed, &TaxRules(counted), lines).await
}
