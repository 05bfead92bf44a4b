//! Stock whose counters somebody changes by hand: it is off by exactly that, until headquarters has it corrected. A
//! correction leaves what the movements say, is one movement, and is none where nothing is wrong any more.

use tillstream_app::database::{Item, Table};
use tillstream_app::stock::ledger::{GAP_CLOSED, LedgerRow};

use super::super::by_hand::{ASIDE, ByHand, Edit, GOODS, Sums};
use super::super::world::{Tenant, World};
use super::at_rest::{Checked, broken};
use super::reconciled::differences;
use crate::memory_database::StreamChange;

/// Kind of the movement of a correction.
const CORRECTION: &str = "reconciliation";
/// Who closes gaps of ledgers.
const KEEPER: &str = "stock-keeper";

const MOVED: &str = "a counter is the sum of its movements and of what was changed by hand";
/// Also asked by whoever has it corrected.
pub const RIGHT: &str = "a correction leaves what the movements say";
const ONCE: &str = "a difference is corrected once";

type Fault = (&'static str, String);

/// Whether it is of a stock item that is set aside.
pub fn is_aside(change: &StreamChange) -> bool {
    let item = change.new.as_ref().or(change.old.as_ref());
    item.is_some_and(|item| item.opt_text("location_id") == Some(ASIDE) && item.opt_number("seq").is_some())
}

/// Looks at a change of one.
pub fn look(by_hand: &mut ByHand, change: &StreamChange) -> Result<(), Fault> {
    let (old, Some(new)) = (change.old.as_ref(), change.new.as_ref()) else {
        return Err(("a stock item stays", format!("{:?}", change.old)));
    };
    let now = |name: &str| new.opt_number(name).unwrap_or(0);
    let before = |name: &str| old.and_then(|old| old.opt_number(name)).unwrap_or(0);
    let seen = || format!("{old:?} became {new:?}");
    let text = |name: &str| new.opt_text(name).unwrap_or_default();
    if now("available") != now("on_hand") - now("reserved") - now("safety_stock") {
        return Err(("available = on hand - reserved - safety stock", seen()));
    }
    if ["reserved", "in_transit", "on_order", "quarantined"].iter().any(|name| now(name) != 0) {
        return Err(("nobody else moves what is set aside", seen()));
    }
    let item = by_hand.item_mut(text("tenant_id"), text("sku"));
    let is = Sums { on_hand: now("on_hand"), damaged: now("damaged") };
    if now("seq") == before("seq") {
        // By hand, as it was announced; or nothing of the counters changed.
        if let Some(edit) = item.edit.as_mut().filter(|edit| edit.after_seq.is_none()) {
            let was = Sums { on_hand: before("on_hand"), damaged: before("damaged") };
            if is == was.plus(edit.by) {
                edit.after_seq = Some(now("seq"));
            }
        }
        let expected = item.sound.plus(item.off());
        return if is == expected { Ok(()) } else { Err(("every movement is counted", seen())) };
    }
    if now("seq") != before("seq") + 1 {
        return Err(("movements are counted one by one", seen()));
    }
    if text("last_kind") == CORRECTION {
        item.corrections += 1;
        if item.off() == Sums::default() {
            return Err((ONCE, seen()));
        }
        item.edit = None;
        return if is == item.sound { Ok(()) } else { Err((RIGHT, format!("{item:?}: {}", seen()))) };
    }
    item.sound = item.sound.plus(Sums { on_hand: now("last_on_hand"), damaged: now("last_damaged") });
    let expected = item.sound.plus(item.off());
    if is == expected { Ok(()) } else { Err((MOVED, format!("{item:?}: {}", seen()))) }
}

/// A keeper's row over movements whose rows were late takes what was changed by hand there for theirs: then nobody can
/// tell any more that it was no movement.
fn is_closed_over(tenant: &Tenant, sku: &str, edit: &Edit, rows: &[Item]) -> Result<bool, Fault> {
    let Some(at) = edit.after_seq else { return Ok(false) };
    let is_mine = |row: &&Item| {
        row.opt_text("tenant_id") == Some(&tenant.id)
            && row.opt_text("location_id") == Some(ASIDE)
            && row.opt_text("sku") == Some(sku)
            && row.opt_text("kind") == Some(GAP_CLOSED)
    };
    for row in rows.iter().filter(is_mine) {
        let row = LedgerRow::of(row).map_err(broken)?;
        let from = row.from_seq.unwrap_or(row.seq);
        if row.actor == KEEPER && from <= at + 1 && at <= row.seq {
            return Ok(true);
        }
    }
    Ok(false)
}

/// What of a stock item is changed by hand for good, in thousandths: nothing, but for what a row of the keeper took for
/// movements.
pub fn left(world: &World, tenant: &str, (location, sku): (&str, &str)) -> Sums {
    if location == ASIDE { world.by_hand.borrow().item(tenant, sku).off() } else { Sums::default() }
}

/// All of it: what was changed by hand was corrected, once, whoever asked for it however often.
pub fn check(world: &World, tenant: &Tenant) -> Checked {
    if world.console.is_none() {
        return Ok(());
    }
    let rows = world.memory.items(Table::Ledger);
    for sku in GOODS {
        let item = world.by_hand.borrow().item(&tenant.id, sku);
        let seen = || format!("{} {sku}: {item:?}", tenant.id);
        if usize::try_from(item.corrections).ok() != Some(item.told.len()) {
            return Err((ONCE, seen()));
        }
        if let Some(edit) = &item.edit
            && !is_closed_over(tenant, sku, edit, &rows)?
        {
            return Err(("what was changed by hand is told, and corrected", seen()));
        }
    }
    let is_open = |item: &&Item| {
        item.opt_text("location_id") == Some(ASIDE) && item.opt_text("tenant_id") == Some(&tenant.id)
    };
    match differences(world).iter().find(is_open) {
        Some(open) => Err(("what was changed by hand is told, and corrected", format!("{open:?}"))),
        None => Ok(()),
    }
}
