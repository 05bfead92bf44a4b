//! How promotions, tax rules and categories stand in the catalogue table, and how they are read: one that is
//! unreadable, or too many, never keep a till from selling.

use jiff::{SignedDuration, Timestamp};
use serde::de::DeserializeOwned;
use tillstream_domain::category::Category;
use tillstream_domain::pricing::{PROMOTIONS_MAX, Promotion, TAX_RULES_MAX, TaxRule};
use tillstream_domain::stock_policies::StockOverrides;

use crate::catalog::location_stock::LOCATION_STOCK;
use crate::catalog::use_counting::counting_of;
use crate::database::{Item, Query, Range, Table};
use crate::error::{Error, Result};
use crate::ports::Ports;
use crate::tenancy::TenantScope;

/// Promotions among the rules.
pub(crate) const PROMOTIONS: &str = "promotion#";
/// Tax rules among them.
pub(crate) const TAX_RULES: &str = "tax_rule#";
/// Categories among them.
pub(crate) const CATEGORIES: &str = "category#";

/// How long after its end a promotion is still read and counted: longer than commands are under way, so that
/// a sale made before the end is priced as it was.
pub(crate) const PROMOTIONS_KEPT: SignedDuration = SignedDuration::from_hours(7 * 24);
/// The same of a tax, of which there are few: as long as sales made elsewhere may be recorded late.
pub(crate) const TAXES_KEPT: SignedDuration = SignedDuration::from_hours(731 * 24);

/// Item of a promotion.
///
/// # Errors
/// A bug if it cannot be JSON.
pub fn promotion_item(scope: &TenantScope, promotion: &Promotion) -> Result<Item> {
    Item::new(&scope.promotion(&promotion.id))
        .with("kind", "promotion")
        .with("version", i64::try_from(promotion.version).unwrap_or(i64::MAX))
        .with_json("data", promotion)
}

/// Item of a tax rule.
///
/// # Errors
/// A bug if it cannot be JSON.
pub fn tax_rule_item(scope: &TenantScope, rule: &TaxRule) -> Result<Item> {
    Item::new(&scope.tax_rule(&rule.id))
        .with("kind", "tax_rule")
        .with("version", i64::try_from(rule.version).unwrap_or(i64::MAX))
        .with_json("data", rule)
}

/// Item of a category.
///
/// # Errors
/// A bug if it cannot be JSON.
pub fn category_item(scope: &TenantScope, category: &Category) -> Result<Item> {
    Item::new(&scope.category_rule(&category.id))
        .with("kind", "category")
        .with("version", i64::try_from(category.version).unwrap_or(i64::MAX))
        .with_json("data", category)
}

/// Whether something that ends at `valid_to` ended so long ago that it does not count any more.
pub(crate) fn is_past(valid_to: Option<Timestamp>, now: Timestamp, kept: SignedDuration) -> bool {
    valid_to.is_some_and(|end| now.duration_since(end) > kept)
}

/// Rules as they were read.
#[derive(Debug, Default)]
pub(crate) struct StoredRules {
    /// Promotions that are not past.
    pub promotions: Vec<Promotion>,
    /// Tax rules that are not past.
    pub tax_rules: Vec<TaxRule>,
    /// Categories, each with the one it stands below.
    pub parents: Vec<(String, Option<String>)>,
    /// What single locations decide about their stock.
    pub stock_overrides: Vec<(String, StockOverrides)>,
}

/// All items that a query finds.
///
/// # Errors
/// Those of the database.
pub(super) async fn items_of(ports: &Ports, mut query: Query) -> Result<Vec<Item>> {
    let mut items = Vec::new();
    loop {
        let page = ports.database.query(query.clone()).await.map_err(Error::from)?;
        items.extend(page.items);
        match page.next {
            Some(next) => query.start = Some(next),
            None => return Ok(items),
        }
    }
}

/// The rules whose sort keys begin with `prefix`, as they are now.
///
/// # Errors
/// Those of the database.
pub(crate) async fn read_rules(
    ports: &Ports,
    scope: &TenantScope,
    prefix: &str,
    now: Timestamp,
) -> Result<StoredRules> {
    let range = Range::BeginsWith(prefix.to_owned());
    let query = Query { range, ..Query::partition(Table::Catalog, scope.tenant_rules()) };
    let mut rules = StoredRules::default();
    for item in items_of(ports, query).await? {
        rules.add(&item, now);
    }
    Ok(rules)
}

impl StoredRules {
    /// Adds what an item says, unless it is past, deleted, of a kind that this build does not know, or not
    /// what intake lets in.
    pub fn add(&mut self, item: &Item, now: Timestamp) {
        match item.opt_text("kind") {
            Some("promotion") => {
                let read = read(item, |promotion: &Promotion| promotion.check());
                let counts =
                    read.filter(|promotion| !is_past(promotion.conditions.valid_to, now, PROMOTIONS_KEPT));
                self.promotions.extend(counts.map(|mut promotion| {
                    promotion.limits.counting = counting_of(Some(item));
                    promotion
                }));
            }
            Some("tax_rule") => {
                let read = read(item, |rule: &TaxRule| rule.check());
                self.tax_rules.extend(read.filter(|rule| !is_past(rule.valid_to, now, TAXES_KEPT)));
            }
            Some("category") => {
                let read = read(item, |category: &Category| category.check());
                self.parents.extend(read.map(|category| (category.id, category.parent)));
            }
            Some(LOCATION_STOCK) => {
                let read = read(item, |_: &StockOverrides| Ok::<_, Error>(()));
                let of = item.opt_text("location_id").map(str::to_owned);
                self.stock_overrides.extend(of.zip(read));
            }
            _ => {}
        }
    }

    /// Leaves out what pricing would refuse as too many: those that begin last, which intake let in only
    /// where several uploads met.
    pub fn bound(&mut self, scope: &TenantScope) {
        let too_many = self.promotions.len() > PROMOTIONS_MAX || self.tax_rules.len() > TAX_RULES_MAX;
        if too_many {
            tracing::error!(
                tenant_id = scope.tenant_id(),
                promotions = self.promotions.len(),
                tax_rules = self.tax_rules.len(),
                "rules that begin last are left out: there are more than are priced with"
            );
        }
        let promotions = &mut self.promotions;
        promotions.sort_by(|a, b| (a.conditions.valid_from, &a.id).cmp(&(b.conditions.valid_from, &b.id)));
        promotions.truncate(PROMOTIONS_MAX);
        self.tax_rules.sort_by(|a, b| (a.valid_from, &a.id).cmp(&(b.valid_from, &b.id)));
        self.tax_rules.truncate(TAX_RULES_MAX);
    }
}

/// Reads a rule from its item; nothing, and an error in the log, where it cannot be read or would have been
/// refused at intake.
fn read<T: DeserializeOwned, E: std::fmt::Display>(
    item: &Item,
    check: impl Fn(&T) -> std::result::Result<(), E>,
) -> Option<T> {
    let failed = |what: String| {
        let (pk, sk) = (item.opt_text("pk"), item.opt_text("sk"));
        tracing::error!(pk, sk, what, "a rule is left out: it cannot be read");
    };
    match item.json::<T>("data") {
        Err(error) => {
            failed(error.to_string());
            None
        }
        Ok(rule) => match check(&rule) {
            Err(error) => {
                failed(error.to_string());
                None
            }
            Ok(()) => Some(rule),
        },
    }
}
