//! Approvals of what is done to stock, by requests that come from no register: the closing of a count sheet, the
//! correction of a difference.

use jiff::Timestamp;
use serde_json::Value;
use tillstream_domain::approval::{Bound, Person, Use};

use super::item::approval_get;
use super::permission::Grant;
use crate::database::Write;
use crate::error::Result;
use crate::fields::typed_id;
use crate::ports::Ports;
use crate::pos::context::approval_required;
use crate::pos::identity::command_identity;
use crate::tenancy::{Caller, Role};

/// Roles that need no approval for what they do to stock.
pub const NEED_NONE: [Role; 1] = [Role::StoreManager];

/// The request that uses an approval.
#[derive(Debug, Clone, Copy)]
pub struct StockUse<'a> {
    /// Who sends it.
    pub caller: &'a Caller,
    /// When.
    pub at: Timestamp,
    /// Its idempotency key.
    pub key: &'a str,
    /// What it is about.
    pub resource_id: &'a str,
}

/// An approval that allows what a request does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StockGrant(Grant);

/// The leave to do exactly `bound`; nothing where none is needed and none was named. One that is named is held to,
/// whoever sends it.
///
/// # Errors
/// 403 `approval_required`, `approval_not_found`, `approval_does_not_match`, `approval_denied`; 409
/// `approval_pending`, `approval_expired`, `approval_used`; 422 `id_malformed`, `card_number_refused`.
pub async fn permit(
    ports: &Ports,
    caller: &Caller,
    approval_id: Option<&str>,
    is_needed: bool,
    bound: &Bound,
    now: Timestamp,
) -> Result<Option<StockGrant>> {
    let Some(approval_id) = approval_id else {
        return if is_needed && !caller.has(&NEED_NONE) { Err(approval_required()) } else { Ok(None) };
    };
    typed_id("approval_id", approval_id)?;
    let item = ports.database.get(approval_get(&caller.scope, approval_id)).await?;
    Grant::of(caller, item.as_ref(), bound, now).map(|grant| Some(StockGrant(grant)))
}

impl StockGrant {
    /// Its id.
    pub fn approval_id(&self) -> &str {
        self.0.approval_id()
    }

    /// Who gave it.
    pub fn approved_by(&self) -> &str {
        self.0.approved_by()
    }

    /// Its use by a request: a write beside the request's own that holds only where nobody used it yet.
    ///
    /// # Errors
    /// A bug if it cannot be encoded.
    pub fn used_by(self, used: &StockUse<'_>) -> Result<Write> {
        let StockUse { caller, at, key, resource_id } = *used;
        let place = [caller.scope.tenant_id(), resource_id];
        let identity = command_identity(key, &place, &Value::Null);
        self.0.put_used(
            &caller.scope,
            Use {
                at,
                by: Person { subject: caller.subject.clone(), employee_id: caller.subject.clone() },
                command: identity.key.iter().map(|byte| format!("{byte:02x}")).collect(),
                resource_id: resource_id.to_owned(),
                part_id: None,
            },
        )
    }
}
