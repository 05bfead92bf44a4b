//! Gift cards: what they hold is what was paid in and given back, less what was taken.

use tillstream_app::stored_value::read;
use tillstream_app::tenancy::Caller;
use tillstream_contracts::stored_value::StoredValueMovementFilter;

use super::super::books::Books;
use super::super::world::{Tenant, World};
use super::at_rest::{Checked, broken, ports};

const SUM: &str = "what a gift card holds is the sum of its movements";

/// All of it.
pub async fn check(world: &World, books: &Books, tenant: &Tenant, caller: &Caller) -> Checked {
    let ports = ports(world);
    for ((_, id), card) in books.gift_cards.iter().filter(|((of, _), _)| *of == tenant.id) {
        let held = read::get(&ports, caller, id).await.map_err(broken)?.balance.amount;
        world.note_use("GET /v1/stored-value/{id}");
        if held != card.balance || held < 0 {
            return Err((SUM, format!("{} {id} holds {held}, not {card:?}", tenant.id)));
        }
        let (mut sum, mut cursor) = (0, None);
        loop {
            let filter = StoredValueMovementFilter { limit: Some(50), cursor };
            let page = read::movements(&ports, caller, id, filter).await.map_err(broken)?;
            world.note_use("GET /v1/stored-value/{id}/movements");
            sum += page.items.iter().map(|movement| movement.amount.amount).sum::<i64>();
            cursor = page.next_cursor;
            if cursor.is_none() {
                break;
            }
        }
        if sum != held {
            return Err((SUM, format!("{} {id} holds {held}, and {sum} was moved", tenant.id)));
        }
    }
    Ok(())
}
