//! Reconciliation: where nothing is broken, nothing differs, whatever was sold, brought back, counted and moved.

use tillstream_app::database::{Item, Table};

use super::super::world::{Tenant, World};
use super::at_rest::Checked;

/// No difference is open, but of orders that a restore took away and whose stock stays moved.
pub fn check(world: &World, tenant: &Tenant) -> Checked {
    // What a deliberate bug does to stock is a difference, too: which invariant it breaks is for the others to say.
    if world.settings.bug.is_some() {
        return Ok(());
    }
    let lost = world.restores.lost.borrow();
    let is_lost = |order_id: &str| lost.iter().any(|((of, id), _)| *of == tenant.id && id == order_id);
    let is_open = |item: &&Item| {
        let stands = |name: &str| item.opt_text(name).unwrap_or_default();
        (stands("kind"), stands("state"), stands("tenant_id")) == ("difference", "open", tenant.id.as_str())
    };
    let items = world.memory.items(Table::Stock);
    let mut open = items.iter().filter(is_open);
    match open.find(|item| !item.opt_text("order_id").is_some_and(is_lost)) {
        None => Ok(()),
        Some(item) => Err(("stock that nobody broke does not differ", format!("{item:?}"))),
    }
}
