//! Reading a gift card or account, and what moved its balance.

use jiff::Timestamp;
use tillstream_contracts::stored_value::{
    StoredValueKindBody, StoredValueMovementFilter, StoredValueMovementList, StoredValueMovementView,
    StoredValueStatusView, StoredValueView,
};
use tillstream_domain::money::Money;
use tillstream_domain::stored_value::StoredValueKind;

use super::administer::ADMINISTRATORS;
use super::item::{Movement, Stored, stored_value_get};
use super::not_found;
use crate::cursor::{self, PagedQuery};
use crate::database::{Query, Range, Table};
use crate::error::{Error, Result};
use crate::fields::typed_id;
use crate::keys::STORED_VALUE_MOVEMENTS;
use crate::ports::Ports;
use crate::tenancy::{Caller, Role};

/// Who may see what a gift card or account holds: whoever sells, since customers ask.
pub const READERS: [Role; 3] = [Role::Cashier, Role::StoreManager, Role::Integration];

/// It as it stands at `now`, as a client sees it.
pub(super) fn view(stored: &Stored, now: Timestamp) -> StoredValueView {
    let value = &stored.value;
    StoredValueView {
        id: stored.id.clone(),
        kind: match value.kind {
            StoredValueKind::GiftCard => StoredValueKindBody::GiftCard,
            StoredValueKind::Account => StoredValueKindBody::Account,
        },
        status: match &value.blocked {
            Some(_) => StoredValueStatusView::Blocked,
            None if value.is_expired(now) => StoredValueStatusView::Expired,
            None => StoredValueStatusView::Active,
        },
        balance: Money { amount: value.balance, currency: value.currency },
        customer_id: stored.customer_id.clone(),
        expires_at: value.expires_at,
        blocked_reason: value.blocked.clone(),
        issued_at: stored.issued_at,
        version: stored.version,
    }
}

async fn stored(ports: &Ports, caller: &Caller, id: &str) -> Result<Stored> {
    typed_id("id", id)?;
    let item = ports.database.get(stored_value_get(&caller.scope, id)).await?;
    Stored::of(&item.ok_or_else(not_found)?)
}

/// A gift card or account as it stands now.
///
/// # Errors
/// 403 `role_required`; 404 `stored_value_not_found`; 422 `id_malformed`, `card_number_refused`.
pub async fn get(ports: &Ports, caller: &Caller, id: &str) -> Result<StoredValueView> {
    caller.require_role(&READERS)?;
    Ok(view(&stored(ports, caller, id).await?, ports.environment.now()))
}

fn movement_view(movement: Movement) -> Result<StoredValueMovementView> {
    let currency = movement.currency.parse().map_err(Error::bug)?;
    let payment = movement.payment;
    let of = |part: fn(&super::item::MovedBy) -> &String| payment.as_ref().map(|by| part(by).clone());
    Ok(StoredValueMovementView {
        kind: movement.kind,
        amount: Money { amount: movement.amount, currency },
        at: movement.at,
        by: movement.by,
        reason: movement.reason,
        order_id: of(|by| &by.order_id),
        payment_id: of(|by| &by.payment_id),
        store_id: of(|by| &by.store_id),
        register_id: of(|by| &by.register_id),
    })
}

/// A page of what moved a balance, newest first. It is read from the table and not from an index, so that what is
/// listed is the balance as soon as nobody changes it.
///
/// # Errors
/// 400 `cursor_malformed`; 403 `role_required`; 404 `stored_value_not_found`; 422 for the query.
pub async fn movements(
    ports: &Ports,
    caller: &Caller,
    id: &str,
    filter: StoredValueMovementFilter,
) -> Result<StoredValueMovementList> {
    caller.require_role(&ADMINISTRATORS)?;
    let limit = cursor::limit(filter.limit)?;
    let most = usize::try_from(limit).unwrap_or(1);
    let paged = PagedQuery::new(&caller.scope, "stored-value-movements", [id]);
    let after = filter.cursor.as_deref().map(|cursor| paged.position(cursor)).transpose()?;
    stored(ports, caller, id).await?;
    // `~` comes behind all digits.
    let newest = after.clone().unwrap_or_else(|| format!("{STORED_VALUE_MOVEMENTS}~"));
    let mut query = Query {
        range: Range::Between(STORED_VALUE_MOVEMENTS.to_owned(), newest),
        ascending: false,
        // One for the cursor's own, which was on the page before, and one that says whether there are more.
        limit: limit + 2,
        ..Query::partition(Table::Orders, caller.scope.stored_value_parts(id))
    };
    let mut items = Vec::new();
    let mut last = None;
    loop {
        let page = ports.database.query(query.clone()).await?;
        for item in page.items.iter().filter(|item| after.as_deref() != item.opt_text("sk")) {
            if items.len() == most {
                let next_cursor = last.map(|sk: String| paged.cursor(&sk));
                return Ok(StoredValueMovementList { items, next_cursor });
            }
            items.push(movement_view(Movement::of(item)?)?);
            last = Some(item.text("sk")?.to_owned());
        }
        match page.next {
            None => return Ok(StoredValueMovementList { items, next_cursor: None }),
            Some(next) => query.start = Some(next),
        }
    }
}
