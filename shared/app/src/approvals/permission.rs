//! Whether a command may do what needs an approval, and the approval that it uses up for it.
//!
//! A command finds out before it reads its cart whether it could need one ([`Permission::of`]), reads the
//! approval in the same round trip as its cart ([`Permission::get`]), holds it against what it is about to do
//! ([`Permission::permit`]), and uses it in the same transaction as its effect ([`Grant::claim`]).

use std::sync::Arc;

use jiff::Timestamp;
use tillstream_domain::approval::{
    ApprovalAction, ApprovalError, ApprovalSettings, Binding, Bound, Person, Use,
};
use tillstream_domain::cart::{ApprovedPart, UsedApproval};
use tillstream_domain::lane::Lane;

use super::item::{StoredApproval, approval_get};
use crate::database::{Get, Item, Write};
use crate::error::{Error, Refusal, Result};
use crate::fields::typed_id;
use crate::ports::Ports;
use crate::pos::claims::Claim;
use crate::pos::context::{CommandContext, approval_required};
use crate::tenancy::{Caller, TenantScope};
use crate::tenant_rules::tenant_rules;

/// On what a command's leave rests.
#[derive(Debug, Clone, PartialEq)]
pub enum Permission {
    /// The caller's role. The command named no approval.
    Role,
    /// The tenant's settings: this action needs no approval, or not always. The command named none.
    Settings(ApprovalSettings),
    /// This approval, if it allows it.
    Approval(String),
    /// Nothing: it is refused, unless it took effect before.
    Denied,
    /// Nothing: what it names while its register was cut off is no approval's id. It is refused with this, unless it took
    /// effect before, or is recorded whoever allowed it.
    Malformed(Box<Refusal>),
}

/// An approval that allows what a command does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Grant {
    stored: StoredApproval,
    approved_by: String,
}

/// The refusal of an approval that a command named and that is not there for it. As what it is refused for is
/// that nobody allowed it, it is a 403.
fn not_there() -> Error {
    Refusal::forbidden("approval_not_found", "there is no such approval").into()
}

/// Refuses an approval that a command names although nothing in it could need one: it would seem to be used.
///
/// # Errors
/// 422 `approval_not_expected`.
pub fn expect_none(approval_id: Option<&str>) -> Result<()> {
    if approval_id.is_none() {
        return Ok(());
    }
    let message = "nothing in this command needs an approval; leave it out";
    Err(Refusal::field("payload.approval_id", "approval_not_expected", message).into())
}

impl Permission {
    /// What a command that is about `action` rests on. `amount`: of a movement of cash, in minor units.
    ///
    /// # Errors
    /// 422 `id_malformed`, `card_number_refused`, not of what happened while the register was cut off: of that
    /// [`Self::permit`] refuses it, so that whoever records it all the same can; those of reading the tenant's settings.
    pub async fn of(
        ports: &Ports,
        context: &CommandContext,
        action: ApprovalAction,
        amount: i64,
        approval_id: Option<&str>,
    ) -> Result<Permission> {
        // Also of a role that needs none: an approval that is named is kept beside what was done, and read there
        // as a supervisor's word.
        if let Some(approval_id) = approval_id {
            return match typed_id("payload.approval_id", approval_id) {
                Ok(()) => Ok(Permission::Approval(approval_id.to_owned())),
                Err(Error::Rejected(refusal)) if context.offline => Ok(Permission::Malformed(refusal)),
                Err(error) => Err(error),
            };
        }
        if context.needs_no_approval() {
            return Ok(Permission::Role);
        }
        let settings = tenant_rules(ports, &context.caller.scope, context.now).await?.settings.approvals;
        let may_do_without = match action {
            ApprovalAction::ManualDiscount => !settings.manual_discount.is_always(),
            action => !settings.needs(action, amount),
        };
        Ok(if may_do_without { Permission::Settings(settings) } else { Permission::Denied })
    }

    /// Whether it rests on the approval of this id.
    pub fn is_of(&self, approval_id: &str) -> bool {
        matches!(self, Permission::Approval(id) if id == approval_id)
    }

    /// The read of the approval, if there is one to read.
    pub fn get(&self, context: &CommandContext) -> Option<Get> {
        match self {
            Permission::Approval(id) => Some(approval_get(&context.caller.scope, id)),
            Permission::Role | Permission::Settings(_) | Permission::Denied | Permission::Malformed(_) => {
                None
            }
        }
    }

    /// The approval's leave for exactly `binding`, from its item; nothing where none is needed.
    ///
    /// # Errors
    /// 403 `approval_required` where the caller needs one and names none, `approval_not_found`, `approval_does_not_match`, `approval_denied`; 409 `approval_pending`,
    /// `approval_expired`, `approval_used`; 422 `id_malformed`, `card_number_refused`.
    pub fn permit(
        &self,
        context: &CommandContext,
        item: Option<&Item>,
        binding: Binding,
    ) -> Result<Option<Grant>> {
        match self {
            Permission::Approval(_) => {}
            Permission::Denied => return Err(approval_required()),
            Permission::Malformed(refusal) => return Err(Error::Rejected(refusal.clone())),
            Permission::Role | Permission::Settings(_) => return Ok(None),
        }
        // An order from elsewhere is at no register: it was asked for at any of the store's.
        let register_id = match Lane::is_virtual(&context.register_id) {
            true => item.map(StoredApproval::of).transpose()?.and_then(|one| one.approval.bound.register_id),
            false => Some(context.register_id.clone()),
        };
        let asked = Bound { store_id: context.store_id.clone(), register_id, binding };
        Grant::of(&context.caller, item, &asked, context.now).map(Some)
    }

    /// As [`Self::permit`], of what moves money: while the register was cut off it was done whoever allowed it. Beside the
    /// leave, what it would have been refused with: that is to be told.
    ///
    /// # Errors
    /// Those of [`Self::permit`], of a register that is not cut off.
    pub fn permit_or_tell(
        &self,
        context: &CommandContext,
        item: Option<&Item>,
        binding: Binding,
    ) -> Result<(Option<Grant>, Option<&'static str>)> {
        match self.permit(context, item, binding) {
            Err(Error::Rejected(refusal)) if context.offline => Ok((None, Some(refusal.code))),
            permitted => Ok((permitted?, None)),
        }
    }
}

/// The command's idempotency key, as an approval names it.
pub fn command_name(context: &CommandContext) -> String {
    context.identity.key.iter().map(|byte| format!("{byte:02x}")).collect()
}

impl Grant {
    /// The leave of an approval for exactly `asked`, from its item.
    ///
    /// # Errors
    /// 403 `approval_not_found`, `approval_does_not_match`, `approval_denied`; 409 `approval_pending`,
    /// `approval_expired`, `approval_used`.
    pub(super) fn of(caller: &Caller, item: Option<&Item>, asked: &Bound, now: Timestamp) -> Result<Grant> {
        let stored = StoredApproval::of(item.ok_or_else(not_there)?)?;
        // Of a store out of reach not even what it was for is told.
        if !caller.reaches(&stored.approval.bound.store_id) {
            return Err(not_there());
        }
        let approved_by = stored.approval.allow(asked, now)?.by.subject.clone();
        Ok(Grant { stored, approved_by })
    }

    /// Its id.
    pub(super) fn approval_id(&self) -> &str {
        &self.stored.approval.id
    }

    /// Who gave it.
    pub(super) fn approved_by(&self) -> &str {
        &self.approved_by
    }

    /// The put of it as used, which holds only where it is as it was read.
    ///
    /// # Errors
    /// A bug if it cannot be encoded.
    pub(super) fn put_used(mut self, scope: &TenantScope, used: Use) -> Result<Write> {
        self.stored.approval.used = Some(used);
        self.stored.next(scope)
    }

    /// Most that may be refunded, in minor units; for a blind return.
    pub fn maximum_refund(&self) -> Option<i64> {
        match &self.stored.approval.bound.binding {
            Binding::BlindReturn { maximum_refund } => Some(maximum_refund.amount),
            _ => None,
        }
    }

    /// Most that may be left to pay of the goods, in minor units; for a share of them.
    pub fn maximum_goods(&self) -> Option<i64> {
        match &self.stored.approval.bound.binding {
            Binding::ManualDiscount { goods: Some(goods), .. } => Some(goods.worth.amount),
            _ => None,
        }
    }

    /// What a cart keeps of it.
    pub fn used_for(&self, part: ApprovedPart) -> UsedApproval {
        UsedApproval {
            approval_id: self.stored.approval.id.clone(),
            approved_by: self.approved_by.clone(),
            part,
        }
    }

    /// Its use by this command: a write beside the command's own that holds only where nobody used it yet.
    ///
    /// # Errors
    /// A bug if it cannot be encoded.
    pub fn claim(
        self,
        context: &CommandContext,
        resource_id: &str,
        part_id: Option<String>,
    ) -> Result<Claim> {
        let command = command_name(context);
        let used = Use {
            at: context.now,
            by: Person { subject: context.caller.subject.clone(), employee_id: context.employee_id.clone() },
            command: command.clone(),
            resource_id: resource_id.to_owned(),
            part_id,
        };
        let write = self.put_used(&context.caller.scope, used)?;
        let refused = Arc::new(move |item: Option<&Item>| match item.map(StoredApproval::of) {
            None => not_there(),
            Some(Err(error)) => error,
            Some(Ok(stored)) => match stored.approval.used {
                // Our own use of it, whose answer was lost: what came of the command is with its cart.
                Some(used) if used.command == command => {
                    Error::Conflict("the command's own write took effect meanwhile".to_owned())
                }
                Some(_) => ApprovalError::Used.into(),
                None => Error::Conflict("the approval changed meanwhile".to_owned()),
            },
        });
        Ok(Claim { write, refused, unavailable: None })
    }
}
