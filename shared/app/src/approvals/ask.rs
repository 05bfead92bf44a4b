//! `POST /v1/approvals`: a register asks for an approval.

use serde_json::Value;
use tillstream_contracts::approvals::AskForApproval;
use tillstream_domain::approval::{Approval, Bound, Person, after};
use tillstream_domain::lane::Lane;
use tillstream_domain::quantity::Unit;

use super::Answer;
use super::binding::{
    action_of, binding_of, check_fields, is_of_share, of_share, of_stock, share_get, stock_get,
};
use super::item::{StoredApproval, approval_get};
use super::view::approval_view;
use crate::catalog::items::{catalog_get, location_if_any, product_if_any};
use crate::database::{Condition, DatabaseError, Item, Table, Write};
use crate::environment::Retries;
use crate::error::{Error, Refusal, Result};
use crate::fields::{id, text, typed_id};
use crate::ports::Ports;
use crate::pos::context::{SELLERS, till_of};
use crate::pos::identity::{command_identity, derived_id, reused_key};
use crate::pos::returns::REASON_CHARS_MAX;
use crate::stock::reservations::request_number;
use crate::tenancy::{Caller, Role, TenantScope};
use crate::tenant_rules::tenant_rules;

/// Who may ask for an approval of what is done to stock.
const STOCK_KEEPERS: [Role; 2] = [Role::WarehouseStaff, Role::StoreManager];

fn check(sent: &AskForApproval) -> Result<()> {
    if let Some(approval_id) = &sent.approval_id {
        typed_id("approval_id", approval_id)?;
    }
    id("store_id", &sent.store_id)?;
    if let Some(register_id) = &sent.register_id {
        id("register_id", register_id)?;
        if Lane::is_virtual(register_id) {
            let message = "no till: the orders placed by REST have it";
            return Err(Refusal::field("register_id", "register_virtual", message).into());
        }
    }
    if let Some(employee_id) = &sent.employee_id {
        typed_id("employee_id", employee_id)?;
    }
    text("reason", &sent.reason, REASON_CHARS_MAX)?;
    if sent.reason.trim().is_empty() {
        return Err(Refusal::field("reason", "reason_required", "say why").into());
    }
    check_fields(sent)
}

/// Asks for an approval, once.
///
/// # Errors
/// 403 `role_required`, `store_out_of_reach`, `register_out_of_reach`; 404 `store_not_found`,
/// `register_not_found`, `sku_not_found`, `count_not_found`, `exception_not_found`; 409 `approval_exists`,
/// `count_closed`, `count_cancelled`, `exception_resolved`, `too_many_discounts`; 422 for fields and
/// `idempotency_key_reused`;
/// [`Error::Conflict`] after too many lost races.
pub async fn ask(ports: &Ports, caller: &Caller, key: &str, sent: AskForApproval) -> Result<Answer> {
    if action_of(&sent).is_at_a_register() {
        caller.require_role(&SELLERS)?;
    } else {
        caller.require_role(&STOCK_KEEPERS)?;
    }
    check(&sent)?;
    caller.require_store(&sent.store_id)?;
    let register_id = sent.register_id.as_deref();
    register_id.map_or(Ok(()), |register_id| caller.require_register(register_id))?;
    let scope = &caller.scope;
    let now = ports.environment.now();
    let place = [scope.tenant_id(), &sent.store_id, register_id.unwrap_or_default(), "ask_for_approval"];
    let approval_id = match &sent.approval_id {
        Some(approval_id) => approval_id.clone(),
        None => derived_id("ap", &[place.as_slice(), &[key]].concat()),
    };
    let payload: Value = serde_json::to_value(&sent).map_err(Error::bug)?;
    let asked = command_identity(key, &[place.as_slice(), &[caller.subject.as_str()]].concat(), &payload);
    let request = request_number(ports.environment.as_ref());
    let rules = tenant_rules(ports, scope, now).await?;
    let mut retries = Retries::new(ports.environment.as_ref(), now);
    loop {
        let mut gets = vec![approval_get(scope, &approval_id), catalog_get(scope.location(&sent.store_id))];
        gets.extend(sent.sku.as_deref().map(|sku| catalog_get(scope.product(sku))));
        gets.extend(stock_get(scope, &sent));
        gets.extend(share_get(scope, &sent));
        let Some(read) = retries.answered(ports.database.get_many(gets).await).await? else { continue };
        let at = |position: usize| read.get(position).and_then(Option::as_ref);
        if let Some(existing) = at(0) {
            let existing = StoredApproval::of(existing)?;
            if existing.asked == asked {
                let replayed = existing.request != request;
                return Ok(Answer { approval: approval_view(&existing, now), replayed });
            }
            return Err(if existing.asked.key == asked.key {
                reused_key().into()
            } else {
                let detail = format!("there is an approval {approval_id} already");
                Refusal::conflict("approval_exists", detail).into()
            });
        }
        let location = match register_id {
            Some(register_id) => till_of(at(1), &sent.store_id, register_id)?,
            None => location_if_any(at(1))?.ok_or_else(|| {
                Refusal::not_found("store_not_found", format!("there is no location {}", sent.store_id))
            })?,
        };
        // An action is about a product, about stock, or about what is in a cart, never about two of them.
        let (binding, unit) = match of_stock(&sent, at(2))? {
            Some(binding) => (binding, Unit::Piece),
            None if is_of_share(&sent) => {
                let by = rules.priced_by(now);
                (of_share(&sent, location.currency, at(2), &by)?, Unit::Piece)
            }
            None => binding_of(&sent, location.currency, product_if_any(at(2))?.as_ref())?,
        };
        let employee_id = sent.employee_id.clone().unwrap_or_else(|| caller.subject.clone());
        let stored = StoredApproval {
            approval: Approval {
                id: approval_id.clone(),
                version: 1,
                bound: Bound {
                    store_id: sent.store_id.clone(),
                    register_id: sent.register_id.clone(),
                    binding,
                },
                reason: sent.reason.clone(),
                asked_by: Person { subject: caller.subject.clone(), employee_id },
                asked_at: now,
                pending_until: after(now, rules.settings.approvals.pending_seconds),
                decision: None,
                used: None,
            },
            unit,
            asked,
            decided: None,
            request,
        };
        match ports.database.transact(writes(scope, &stored)?).await {
            Ok(()) => return Ok(Answer { approval: approval_view(&stored, now), replayed: false }),
            Err(DatabaseError::Invalid(what)) => return Err(Error::Bug(what)),
            Err(error) => retries.again(&error.to_string()).await?,
        }
    }
}

/// The approval, and its entry in the list of its store. The list is a partition of the table and not of an
/// index: an index may be behind, and a supervisor who looks is to see what was asked for.
fn writes(scope: &TenantScope, stored: &StoredApproval) -> Result<Vec<Write>> {
    let approval = &stored.approval;
    let at = approval.asked_at.as_millisecond();
    let entry = Item::new(&scope.approval_entry(&approval.bound.store_id, at, &approval.id))
        .with("kind", "approval_entry")
        .with("tenant_id", scope.tenant_id())
        .with("approval_id", approval.id.as_str());
    Ok(vec![
        Write::Put { table: Table::Orders, item: stored.item(scope)?, condition: Some(Condition::NotExists) },
        Write::Put { table: Table::Orders, item: entry, condition: None },
    ])
}
