//! What a tenant sells by: settings, promotions, taxes. Few and small, they stand in one partition that is
//! read whole, and remembered by the process for moments: a command of a till cannot afford to read them
//! each time. A change is in force everywhere once [`RULES_AGE_MAX`] has passed.

pub mod stored_rules;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use jiff::{SignedDuration, Timestamp};
use tillstream_domain::cart::PricedBy;
use tillstream_domain::category::CategoryTree;
use tillstream_domain::pricing::PriceRules;
use tillstream_domain::stock_policies::{StockOverrides, StockPolicies};
use tillstream_domain::tenant_settings::TenantSettings;

use self::stored_rules::{StoredRules, items_of};
use crate::database::{Consistency, Item, Query, Table};
use crate::environment::Retries;
use crate::error::{Error, Result};
use crate::ports::Ports;
use crate::tenancy::TenantScope;

/// How old what a process remembers of a tenant's rules may be.
pub const RULES_AGE_MAX: SignedDuration = SignedDuration::from_secs(15);
/// Most tenants remembered; a process beyond that begins anew.
const TENANTS_MAX: usize = 200;

/// A tenant's rules as they stood at one moment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TenantRules {
    /// Settings.
    pub settings: TenantSettings,
    /// What baskets are priced by: promotions and taxes that have not ended, and the settings' pricing.
    pub prices: PriceRules,
    /// Which category stands below which.
    pub categories: CategoryTree,
    /// What single locations decide about their stock.
    pub stock_overrides: BTreeMap<String, StockOverrides>,
}

impl Default for TenantRules {
    fn default() -> Self {
        TenantRules::of(TenantSettings::default(), StoredRules::default())
    }
}

impl TenantRules {
    fn of(settings: TenantSettings, rules: StoredRules) -> Self {
        let prices = PriceRules {
            promotions: rules.promotions,
            tax_rules: rules.tax_rules,
            settings: settings.pricing.clone(),
        };
        TenantRules {
            settings,
            prices,
            categories: rules.parents.into_iter().collect(),
            stock_overrides: rules.stock_overrides.into_iter().collect(),
        }
    }

    /// What a sale or reservation makes of the stock of a location.
    pub fn stock_policies(&self, location_id: &str) -> StockPolicies {
        let own = self.stock_overrides.get(location_id).copied().unwrap_or_default();
        self.settings.stock.overridden_by(own)
    }

    /// What a sale is priced by at `at`.
    pub fn priced_by(&self, at: Timestamp) -> PricedBy<'_> {
        PricedBy { rules: &self.prices, categories: &self.categories, at }
    }
}

/// What one process remembers of tenants' rules.
#[derive(Debug, Default)]
pub struct RulesMemory {
    tenants: Mutex<BTreeMap<String, (Arc<TenantRules>, Timestamp)>>,
}

impl RulesMemory {
    fn tenants(&self) -> MutexGuard<'_, BTreeMap<String, (Arc<TenantRules>, Timestamp)>> {
        self.tenants.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What is remembered, and whether it is young enough.
    fn recall(&self, scope: &TenantScope, now: Timestamp) -> Option<(Arc<TenantRules>, bool)> {
        let tenants = self.tenants();
        let (rules, read_at) = tenants.get(scope.tenant_id())?;
        Some((rules.clone(), now.duration_since(*read_at).abs() <= RULES_AGE_MAX))
    }

    fn remember(&self, scope: &TenantScope, rules: Arc<TenantRules>, now: Timestamp) {
        let mut tenants = self.tenants();
        if tenants.len() >= TENANTS_MAX && !tenants.contains_key(scope.tenant_id()) {
            tenants.clear();
        }
        tenants.insert(scope.tenant_id().to_owned(), (rules, now));
    }
}

/// The tenant's rules, at most [`RULES_AGE_MAX`] old.
///
/// # Errors
/// Those of the database; a bug where the settings cannot be read. A rule that cannot be read is left out.
pub async fn tenant_rules(ports: &Ports, scope: &TenantScope, now: Timestamp) -> Result<Arc<TenantRules>> {
    let memory = ports.environment.rules_memory();
    let remembered = memory.and_then(|memory| memory.recall(scope, now));
    if let Some((rules, true)) = &remembered {
        return Ok(rules.clone());
    }
    let mut retries = Retries::new(ports.environment.as_ref(), now);
    let (mut settings, mut rules) = (TenantSettings::default(), StoredRules::default());
    let query = Query {
        consistency: Consistency::Eventual,
        ..Query::partition(Table::Catalog, scope.tenant_rules())
    };
    let items = loop {
        match items_of(ports, query.clone()).await {
            Ok(items) => break items,
            // A till goes on with the rules it had, rather than not at all.
            Err(error @ Error::Retryable { .. }) => match &remembered {
                Some((rules, _)) => return Ok(rules.clone()),
                None => retries.again(&error.to_string()).await?,
            },
            Err(error) => return Err(error),
        }
    };
    for item in &items {
        if item.opt_text("kind") == Some("settings") {
            settings = item.json("data")?;
        } else {
            rules.add(item, now);
        }
    }
    rules.bound(scope);
    let rules = TenantRules::of(settings, rules);
    let rules = Arc::new(rules);
    if let Some(memory) = memory {
        memory.remember(scope, rules.clone(), now);
    }
    Ok(rules)
}

/// The item of a tenant's settings.
///
/// # Errors
/// A bug if they cannot be JSON.
pub fn settings_item(scope: &TenantScope, settings: &TenantSettings) -> Result<Item> {
    Item::new(&scope.settings()).with("kind", "settings").with_json("data", settings)
}
