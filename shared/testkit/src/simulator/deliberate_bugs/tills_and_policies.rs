//! Bugs of drawers, of what shops decide about their stock, and of keys.

use tillstream_app::database::{Change, Item, Query, Table, Value, Write};
use tillstream_app::tenancy::TenantScope;
use tillstream_domain::compact;
use tillstream_domain::till::{Movement, MovementKind};

use super::super::set_up::TENANTS;
use super::{Bug, BuggyDatabase, is_movement, is_put_by_hand, sets};
use crate::item_name::item_name;

impl BuggyDatabase {
    /// What the bug makes of a write; `false` where it forgets it altogether.
    pub(super) fn distort_policies(&self, write: &mut Write, sk: &str) -> bool {
        match self.bug {
            Bug::PaidInWrittenDownShort if sk == "shift" && self.chance.percent(10) => pay_in_less(write),
            Bug::UnsyncedStockNotTold if sk == "exception" => {
                return !sets(write, &Change::Set("kind", "unsynced_stock".into()));
            }
            Bug::SafetyStockForgotten if is_movement(write, "sync") => forget_safety_stock(write),
            Bug::PutUnderAnotherTenant if sk == "product" && is_put_by_hand(write) => {
                put_under_another(write);
            }
            _ => {}
        }
        true
    }

    /// Whether the bug forgets what shops decide of what a query finds.
    pub(super) fn forgets_policies(&self, query: &Query) -> bool {
        let is_of = |tenant: &&str| TenantScope::from_own_record(tenant).tenant_rules() == query.partition;
        self.bug == Bug::PoliciesOfShopsForgotten && TENANTS.iter().any(is_of)
    }
}

/// Whether it says what a shop decides about its stock.
pub(super) fn is_policy(item: &Item) -> bool {
    item.opt_text("sk").is_some_and(|sk| sk.starts_with("location#"))
}

fn paid_in_less(shift: &Item) -> Option<Vec<u8>> {
    let mut movements: Vec<Movement> = compact::decode(shift.bytes("movements").ok()?).ok()?;
    let last = movements.last_mut().filter(|last| last.kind == MovementKind::PaidIn)?;
    last.amount -= 1;
    compact::encode(&movements).ok()
}

/// Of what was put into a drawer a penny is missing, as long as nothing came after it.
fn pay_in_less(write: &mut Write) {
    if let Write::Put { item, .. } = write
        && item.opt_text("status") == Some("open")
        && let Some(movements) = paid_in_less(item)
    {
        item.0.insert("movements".to_owned(), Value::B(movements));
    }
}

/// What is to be kept back is for sale.
fn forget_safety_stock(write: &mut Write) {
    let Write::Update { changes, .. } = write else { return };
    let mut kept = 0;
    for change in changes.iter_mut() {
        if let Change::Set("safety_stock", Value::N(back)) = change {
            kept = std::mem::take(back);
        }
    }
    for change in changes.iter_mut() {
        if let Change::Add("available", by) = change {
            *by += kept;
        }
    }
}

/// It comes to stand below the keys of the first tenant.
fn put_under_another(write: &mut Write) {
    let (table, pk, _) = item_name(write);
    if let Write::Put { item, .. } = write
        && table == Table::Catalog
    {
        let other = pk.replacen("globex#", "acme#", 1);
        item.0.insert("pk".to_owned(), Value::S(other));
    }
}
