//! Parked carts: the list of a store has those that are parked, and no others.

use std::collections::BTreeSet;

use tillstream_app::database::Table;
use tillstream_app::pos::cart_item::cart_of;
use tillstream_domain::cart::CartState;

use super::super::world::{Tenant, World};
use super::at_rest::{Checked, broken};

/// All of it.
pub fn check(world: &World, tenant: &Tenant) -> Checked {
    let (mut marked, mut parked) = (BTreeSet::new(), BTreeSet::new());
    let partition = format!("{}#parked-carts#", tenant.id);
    for item in world.memory.items(Table::Orders) {
        if item.opt_text("pk").is_some_and(|pk| pk.starts_with(&partition)) {
            marked.insert(item.opt_text("cart_id").unwrap_or_default().to_owned());
        } else if item.opt_text("sk") == Some("cart") && item.opt_text("tenant_id") == Some(&tenant.id) {
            let cart = cart_of(&item).map_err(broken)?;
            if cart.state == CartState::Parked {
                parked.insert(cart.id);
            }
        }
    }
    if marked != parked {
        let seen = format!("{}: {marked:?} are listed, {parked:?} are parked", tenant.id);
        return Err(("the list of parked carts has those that are parked", seen));
    }
    Ok(())
}
