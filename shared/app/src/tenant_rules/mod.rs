//! What a tenant sells by: settings, promotions, taxes. Few and small, they stand in one partition that is
//! read whole, and remembered by the process for moments: a command of a till cannot afford to read them
//! each time. A change is in force everywhere once [`RULES_AGE_MAX`] has passed.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use jiff::{SignedDuration, Timestamp};
use tillstream_domain::tenant_settings::TenantSettings;

use crate::database::{Consistency, Item, Query, Table};
use crate::error::{Error, Result};
use crate::ports::Ports;
use crate::tenancy::TenantScope;

/// How old what a process remembers of a tenant's rules may be.
pub const RULES_AGE_MAX: SignedDuration = SignedDuration::from_secs(15);
/// Most tenants remembered; a process beyond that begins anew.
const TENANTS_MAX: usize = 200;

/// A tenant's rules as they stood at one moment.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct TenantRules {
    /// Settings.
    pub settings: TenantSettings,
}

impl TenantRules {
    fn add(&mut self, item: &Item) -> Result<()> {
        if item.text("kind")? == "settings" {
            self.settings = item.json("data")?;
        }
        Ok(())
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

    fn recall(&self, scope: &TenantScope, now: Timestamp) -> Option<Arc<TenantRules>> {
        let tenants = self.tenants();
        let (rules, read_at) = tenants.get(scope.tenant_id())?;
        (now.duration_since(*read_at).abs() <= RULES_AGE_MAX).then(|| rules.clone())
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
/// Those of the database; a bug where a rule that was checked at intake cannot be read.
pub async fn tenant_rules(ports: &Ports, scope: &TenantScope, now: Timestamp) -> Result<Arc<TenantRules>> {
    let memory = ports.environment.rules_memory();
    if let Some(rules) = memory.and_then(|memory| memory.recall(scope, now)) {
        return Ok(rules);
    }
    let mut rules = TenantRules::default();
    let mut query = Query {
        consistency: Consistency::Eventual,
        ..Query::partition(Table::Catalog, scope.tenant_rules())
    };
    loop {
        let page = ports.database.query(query.clone()).await.map_err(Error::from)?;
        for item in &page.items {
            rules.add(item)?;
        }
        match page.next {
            Some(next) => query.start = Some(next),
            None => break,
        }
    }
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
