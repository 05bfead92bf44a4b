//! What registers that were cut off asked for sales: where rounding does not explain it, somebody is told of both totals,
//! and of no other sale.

use std::collections::BTreeMap;

use tillstream_app::database::Table;

use super::super::books::Books;
use super::super::world::{Tenant, World};
use super::at_rest::Checked;

const TOLD: &str = "of every total that differs somebody is told";

/// Of all sales of a tenant. What a restore lost was told before it.
pub fn check(world: &World, books: &Books, tenant: &Tenant) -> Checked {
    let items = world.memory.items(Table::Stock);
    let told: BTreeMap<String, (i64, i64)> = items
        .iter()
        .filter(|item| item.opt_text("kind") == Some("total_differs"))
        .filter(|item| item.opt_text("tenant_id") == Some(&tenant.id))
        .map(|item| {
            let amount = |name: &str| item.opt_number(name).unwrap_or(-1);
            (item.opt_text("order_id").unwrap_or_default().to_owned(), (amount("total"), amount("asked")))
        })
        .collect();
    let asked = world.asked_totals.borrow();
    for (sale, totals) in &told {
        let known = asked.get(&(tenant.id.clone(), sale.clone()));
        let known = known.filter(|asked| asked.is_beyond_rounding()).map(|asked| (asked.total, asked.asked));
        if known != Some(*totals) {
            return Err((TOLD, format!("{} {sale}: {totals:?}, the register {known:?}", tenant.id)));
        }
    }
    for ((of, sale), asked) in asked.iter().filter(|(_, asked)| asked.is_beyond_rounding()) {
        let is_sold = books.orders.contains_key(&(of.clone(), sale.clone()));
        if *of == tenant.id && is_sold && !told.contains_key(sale) {
            return Err((TOLD, format!("{} {sale}: {asked:?}, and of it nobody", tenant.id)));
        }
    }
    Ok(())
}
