//! How an approval stands in the orders table: what a person looks for as plain attributes, the rest as
//! JSON.

use tillstream_domain::approval::{Approval, ApprovalStatus, Bound, Decision, Person, Use};
use tillstream_domain::cart::applied::{CommandIdentity, FINGERPRINT_BYTES, KEY_HASH_BYTES};
use tillstream_domain::quantity::Unit;

use crate::database::{Condition, Consistency, Get, Item, Table, Write};
use crate::error::{Error, Result};
use crate::tenancy::TenantScope;

/// An approval with what only its requests need.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredApproval {
    /// The approval.
    pub approval: Approval,
    /// How the product is sold whose price it is about: quantities are shown by it.
    pub unit: Unit,
    /// The request that asked for it.
    pub asked: CommandIdentity,
    /// The request that decided on it.
    pub decided: Option<CommandIdentity>,
    /// Number of the request that wrote it last: it tells our own write from a twin's.
    pub request: i64,
}

/// The read of an approval: what is decided on it is written on its version, so it must be current.
pub fn approval_get(scope: &TenantScope, id: &str) -> Get {
    Get { table: Table::Orders, key: scope.approval(id), consistency: Consistency::Strong }
}

fn bytes_of(identity: &CommandIdentity) -> Vec<u8> {
    [identity.key.as_slice(), identity.fingerprint.as_slice()].concat()
}

fn identity_of(bytes: &[u8]) -> Result<CommandIdentity> {
    let (key, fingerprint) =
        bytes.split_at_checked(KEY_HASH_BYTES).ok_or_else(|| Error::bug("a short key"))?;
    Ok(CommandIdentity {
        key: key.try_into().map_err(Error::bug)?,
        fingerprint: <[u8; FINGERPRINT_BYTES]>::try_from(fingerprint).map_err(Error::bug)?,
    })
}

impl StoredApproval {
    /// Reads an approval.
    ///
    /// # Errors
    /// A bug if the item is not one.
    pub fn of(item: &Item) -> Result<Self> {
        let optional = |name: &str| item.opt_text(name).is_some();
        let decision: Option<Decision> = optional("decision").then(|| item.json("decision")).transpose()?;
        let used: Option<Use> = optional("used").then(|| item.json("used")).transpose()?;
        let bound: Bound = item.json("bound")?;
        let asked_by = Person {
            subject: item.text("asked_by")?.to_owned(),
            employee_id: item.text("employee_id")?.to_owned(),
        };
        Ok(StoredApproval {
            approval: Approval {
                id: item.text("approval_id")?.to_owned(),
                version: u64::try_from(item.number("version")?).map_err(Error::bug)?,
                bound,
                reason: item.text("reason")?.to_owned(),
                asked_by,
                asked_at: item.text("asked_at")?.parse().map_err(Error::bug)?,
                pending_until: item.text("pending_until")?.parse().map_err(Error::bug)?,
                decision,
                used,
            },
            unit: Unit::parse(item.text("unit")?)
                .ok_or_else(|| Error::bug("an approval of no known unit"))?,
            asked: identity_of(item.bytes("asked_key")?)?,
            decided: item.opt_bytes("decided_key").map(identity_of).transpose()?,
            request: item.number("request")?,
        })
    }

    /// Its item.
    ///
    /// # Errors
    /// A bug if it cannot be JSON.
    pub fn item(&self, scope: &TenantScope) -> Result<Item> {
        let approval = &self.approval;
        let state = match (&approval.used, &approval.decision) {
            (Some(_), _) => ApprovalStatus::Used,
            (None, Some(decision)) if decision.granted => ApprovalStatus::Granted,
            (None, Some(_)) => ApprovalStatus::Denied,
            (None, None) => ApprovalStatus::Pending,
        };
        let mut item = Item::new(&scope.approval(&approval.id))
            .with("kind", "approval")
            .with("tenant_id", scope.tenant_id())
            .with("approval_id", approval.id.as_str())
            .with("version", i64::try_from(approval.version).map_err(Error::bug)?)
            .with("state", state.name())
            .with("store_id", approval.bound.store_id.as_str())
            .with_some("register_id", approval.bound.register_id.as_deref())
            .with("action", approval.bound.binding.action().name())
            .with_json("bound", &approval.bound)?
            .with("reason", approval.reason.as_str())
            .with("asked_by", approval.asked_by.subject.as_str())
            .with("employee_id", approval.asked_by.employee_id.as_str())
            .with("asked_at", approval.asked_at.to_string())
            .with("pending_until", approval.pending_until.to_string())
            .with("unit", self.unit.name())
            .with("asked_key", bytes_of(&self.asked))
            .with_some("decided_key", self.decided.as_ref().map(bytes_of))
            .with("request", self.request);
        if let Some(decision) = &approval.decision {
            item = item.with_json("decision", decision)?;
        }
        if let Some(used) = &approval.used {
            item = item.with_json("used", used)?;
        }
        Ok(item)
    }

    /// The put of the next version of an approval that was read at the version it has now.
    ///
    /// # Errors
    /// A bug if it cannot be JSON.
    pub fn next(mut self, scope: &TenantScope) -> Result<Write> {
        let stored = i64::try_from(self.approval.version).map_err(Error::bug)?;
        self.approval.version += 1;
        let condition = Some(Condition::Eq("version", stored.into()));
        Ok(Write::Put { table: Table::Orders, item: self.item(scope)?, condition })
    }
}
