//! Reconciliation, which the keeper runs all day: it finds no difference where nobody made one, and nothing is held any
//! more, by no line. What somebody changed by hand is the affair of [`super::corrected`].

use tillstream_app::database::{Item, Table};

use super::super::by_hand::ASIDE;
use super::super::world::{Tenant, World};
use super::at_rest::Checked;

/// Exceptions of differences that are open.
pub fn differences(world: &World) -> Vec<Item> {
    let mut items = world.memory.items(Table::Stock);
    items
        .retain(|item| item.opt_text("kind") == Some("difference") && item.opt_text("state") == Some("open"));
    items
}

/// Those that nobody made by hand.
pub fn open_differences(world: &World) -> Vec<Item> {
    let mut items = differences(world);
    items.retain(|item| item.opt_text("location_id") != Some(ASIDE));
    items
}

/// All of it.
pub fn check(world: &World, tenant: &Tenant) -> Checked {
    if let Some(reservation) = world.stock_watch.borrow().holding(&tenant.id).next() {
        return Err(("nothing is held for ever", format!("{}: {reservation} holds something", tenant.id)));
    }
    // Goods of orders that a restore lost are gone, and their orders too: to be told is what reconciliation is for.
    let lost = world.restores.lost.borrow();
    let is_lost = |order_id: &str| lost.iter().any(|((of, id), _)| *of == tenant.id && id == order_id);
    let mut open = open_differences(world);
    open.retain(|item| item.opt_text("tenant_id") == Some(&tenant.id));
    match open.iter().find(|item| !item.opt_text("order_id").is_some_and(is_lost)) {
        Some(difference) => {
            let of = |name: &str| difference.opt_text(name).unwrap_or_default().to_owned();
            let seen = [of("tenant_id"), of("location_id"), of("sku"), of("order_id"), of("findings")];
            Err(("stock is what it says of itself", seen.join(" ")))
        }
        None => Ok(()),
    }
}
