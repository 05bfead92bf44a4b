//! Approvals: each is used at most once, for what it was granted for, and none that was denied or has expired.

use tillstream_app::approvals::item::StoredApproval;
use tillstream_app::database::Table;

use super::super::books::Books;
use super::super::world::{Tenant, World};
use super::at_rest::{Checked, broken};

/// All of it.
pub fn check(world: &World, books: &Books, tenant: &Tenant) -> Checked {
    let mut count = 0;
    for item in world.memory.items(Table::Orders) {
        if item.opt_text("kind") != Some("approval") || item.opt_text("tenant_id") != Some(&tenant.id) {
            continue;
        }
        count += 1;
        let approval = StoredApproval::of(&item).map_err(broken)?.approval;
        let decision = approval.decision.as_ref();
        let used_for = approval.used.as_ref().map(|used| used.resource_id.clone());
        let seen = (decision.map(|decision| decision.granted), used_for);
        let known = books.approvals.get(&(tenant.id.clone(), approval.id.clone()));
        if known.is_none_or(|known| (known.granted, known.used_for.clone()) != seen) {
            let seen = format!("{} {}: {seen:?}, not {known:?}", tenant.id, approval.id);
            return Err(("an approval is what its commands made of it", seen));
        }
        let in_time = match (&approval.used, decision) {
            // A command that was begun before the decision, and lost a race to it, is of when it was begun.
            (Some(used), Some(decision)) => decision.granted && used.at < decision.good_until,
            (Some(_), None) => false,
            (None, _) => true,
        };
        if !in_time {
            return Err(("only what is granted, and has not expired, is used", format!("{approval:?}")));
        }
    }
    let known = books.approvals.keys().filter(|(of, _)| *of == tenant.id).count();
    if count != known {
        let seen = format!("{}: {count} of {known} are there", tenant.id);
        return Err(("an approval is what its commands made of it", seen));
    }
    Ok(())
}
