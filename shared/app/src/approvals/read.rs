//! Reading approvals: one, or those of a store, newest first.

use jiff::Timestamp;
use tillstream_contracts::approvals::{ApprovalFilter, ApprovalList, ApprovalView};
use tillstream_domain::approval::{ApprovalStatus, LIFETIME_SECONDS_MAX};

use super::item::{StoredApproval, approval_get};
use super::refusals::approval_not_found;
use super::view::approval_view;
use crate::cursor::{self, PagedQuery};
use crate::database::{Query, Range, Table};
use crate::error::{Refusal, Result};
use crate::fields::id;
use crate::ports::Ports;
use crate::tenancy::{Caller, Role};

/// Who may read them: whoever may ask for one.
const READERS: [Role; 3] = [Role::Cashier, Role::StoreManager, Role::WarehouseStaff];
/// Approvals looked at for one page; a rare status goes on at the cursor.
const SCAN_MAX: usize = 1_000;
/// Approvals that are read at once (a batch of DynamoDB's).
const SCAN_PAGE: u32 = 100;

/// One approval as it stands now.
///
/// # Errors
/// 403 `role_required`; 404 `approval_not_found` also where its store is out of reach; 422 `id_malformed`.
pub async fn get(ports: &Ports, caller: &Caller, approval_id: &str) -> Result<ApprovalView> {
    caller.require_role(&READERS)?;
    id("id", approval_id)?;
    let item = ports.database.get(approval_get(&caller.scope, approval_id)).await?;
    let stored = StoredApproval::of(&item.ok_or_else(approval_not_found)?)?;
    if !caller.reaches(&stored.approval.bound.store_id) {
        return Err(approval_not_found().into());
    }
    Ok(approval_view(&stored, ports.environment.now()))
}

fn status_of(name: &str) -> Result<ApprovalStatus> {
    ApprovalStatus::ALL.into_iter().find(|status| status.name() == name).ok_or_else(|| {
        let names = ApprovalStatus::ALL.map(ApprovalStatus::name).join(", ");
        Refusal::field("status", "status_unknown", format!("a status is one of {names}")).into()
    })
}

/// The sort key below which nothing stands as `status` any more: what waits for its decision or its use does
/// so for a bounded time.
fn oldest(status: Option<ApprovalStatus>, now: Timestamp) -> String {
    let lives = match status {
        Some(ApprovalStatus::Pending) => 1,
        Some(ApprovalStatus::Granted) => 2,
        _ => return "0".to_owned(),
    };
    let at = now.as_millisecond().saturating_sub(lives * i64::from(LIFETIME_SECONDS_MAX) * 1_000);
    format!("{:015}", at.max(0))
}

/// A page of the approvals asked for at a store, newest first.
///
/// # Errors
/// 400 `cursor_malformed`; 403 `role_required`, `store_out_of_reach`; 422 for filters.
pub async fn list(ports: &Ports, caller: &Caller, filter: ApprovalFilter) -> Result<ApprovalList> {
    caller.require_role(&READERS)?;
    let limit = usize::try_from(cursor::limit(filter.limit)?).unwrap_or(1);
    let store_id = filter.store_id.ok_or_else(|| {
        Refusal::field("store_id", "store_required", "name the store whose approvals are meant")
    })?;
    id("store_id", &store_id)?;
    let status = filter.status.as_deref().map(status_of).transpose()?;
    caller.require_store(&store_id)?;
    let scope = &caller.scope;
    let named = status.map_or("any", ApprovalStatus::name);
    let paged = PagedQuery::new(scope, "approvals", [store_id.as_str(), named]);
    let after = filter.cursor.as_deref().map(|cursor| paged.position(cursor)).transpose()?;
    let now = ports.environment.now();
    // Digits of a time come before it.
    let newest = after.clone().unwrap_or_else(|| "9".to_owned());
    let oldest = oldest(status, now);
    if oldest > newest {
        return Ok(ApprovalList { items: Vec::new(), next_cursor: None });
    }
    let mut query = Query {
        range: Range::Between(oldest, newest),
        ascending: false,
        limit: SCAN_PAGE,
        ..Query::partition(Table::Orders, scope.store_approvals(&store_id))
    };
    let mut items = Vec::new();
    let mut looked_at = 0;
    loop {
        let page = ports.database.query(query.clone()).await?;
        // The cursor's own was on the page before.
        let entries: Vec<_> = page.items.iter().filter(|e| after.as_deref() != e.opt_text("sk")).collect();
        let mut gets = Vec::with_capacity(entries.len());
        for entry in &entries {
            gets.push(approval_get(scope, entry.text("approval_id")?));
        }
        let read = if gets.is_empty() { Vec::new() } else { ports.database.get_many(gets).await? };
        for (at, (entry, item)) in entries.iter().zip(read).enumerate() {
            if let Some(item) = item {
                let stored = StoredApproval::of(&item)?;
                if status.is_none_or(|status| stored.approval.status(now) == status) {
                    items.push(approval_view(&stored, now));
                }
            }
            let is_last = page.next.is_none() && at + 1 == entries.len();
            if items.len() == limit && !is_last {
                return Ok(ApprovalList { items, next_cursor: Some(paged.cursor(entry.text("sk")?)) });
            }
        }
        looked_at += entries.len();
        match (page.next, entries.last()) {
            (None, _) => return Ok(ApprovalList { items, next_cursor: None }),
            (Some(_), Some(last)) if looked_at >= SCAN_MAX => {
                return Ok(ApprovalList { items, next_cursor: Some(paged.cursor(last.text("sk")?)) });
            }
            (Some(next), _) => query.start = Some(next),
        }
    }
}
