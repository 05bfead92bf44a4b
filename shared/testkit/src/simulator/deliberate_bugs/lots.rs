//! Bugs of lots.

use tillstream_app::database::{Change, Condition, Item, Query, Range, Table, Value, Write};
use tillstream_app::keys::LOT_PLACES;

use super::{
    Bug, BuggyDatabase, forget_changes, forget_condition, forget_part_of_condition, is_movement, item_name,
};

/// A day, in milliseconds.
const DAY_MILLIS: i64 = 86_400_000;

impl BuggyDatabase {
    /// What the bug makes of a write; `false` where it forgets it altogether.
    pub(super) fn distort_lots(&self, write: &mut Write, is_stock: bool) -> bool {
        if !is_stock {
            return !(self.bug == Bug::TransferForgetsLots && notes_lots(write));
        }
        match self.bug {
            Bug::LotsDueUnchecked => forget_part_of_condition(write, is_of_due_lots),
            Bug::LotOrderReversed => changes_of(write).for_each(reverse_lots),
            Bug::LotKeptAsideAndStillThere if is_movement(write, "lot_quarantine") => {
                changes_of(write).for_each(leave_on_hand);
            }
            Bug::LotDueADayLate => changes_of(write).for_each(|change| {
                if let Change::Set("lots_due_at", Value::N(at)) = change {
                    *at += DAY_MILLIS;
                }
            }),
            Bug::ArrivalNotCounted => forget_changes(write, &["came_in"]),
            Bug::LotsVersionUnchecked if names_lots(write) => forget_condition(write),
            Bug::LotHereUnmarked if is_movement(write, "lot_quarantine") => {
                changes_of(write).for_each(unmark_lots);
            }
            Bug::LotHereUnchecked if is_movement(write, "lot_quarantine") && marks_lots(write) => {
                forget_condition(write);
            }
            Bug::NamedLotIgnored if is_movement(write, "sale") && names_lots(write) => forget_lots(write),
            Bug::CommittedLotIgnored if is_movement(write, "commit") && names_lots(write) => {
                forget_lots(write);
            }
            _ => {}
        }
        true
    }

    /// Lets goods come in whatever became of their lot.
    pub(super) fn forget_recalls(&self, writes: &mut Vec<Write>) {
        let comes = |write: &Write| is_movement(write, "restock");
        if self.bug == Bug::LotRecallUnchecked && writes.iter().any(comes) {
            writes.retain(|write| !(matches!(write, Write::Check { .. }) && item_name(write).2 == "lot"));
        }
    }

    /// Forgets the last of what is noted of lots beside rows of the ledger.
    pub(super) fn forget_traces(&self, table: Table, items: &mut Vec<Item>) {
        if self.bug == Bug::LotTraceForgotten
            && table == Table::Ledger
            && let Some(last) = items.iter().rposition(|item| item.opt_text("lot_id").is_some())
        {
            items.remove(last);
        }
    }
}

/// Whether it asks where there is, or was, of a lot.
pub(super) fn is_of_places(query: &Query) -> bool {
    matches!(&query.range, Range::BeginsWith(start) if start == LOT_PLACES)
}

/// Whether the lots of a stock item are written.
fn names_lots(write: &Write) -> bool {
    let is_of_lots = |change: &Change| matches!(change, Change::Set("lots", _));
    matches!(write, Write::Update { changes, .. } if changes.iter().any(is_of_lots))
}

/// Whether it notes which lots leave with a line of a transfer.
fn notes_lots(write: &Write) -> bool {
    matches!(write, Write::Put { item, .. } if item.get("of_line").is_some())
}

/// Whether it leaves a lot quarantined at its location.
fn marks_lots(write: &Write) -> bool {
    let marks = |change: &Change| matches!(change, Change::Set("lots", Value::S(text)) if text.contains("\"h\":true"));
    matches!(write, Write::Update { changes, .. } if changes.iter().any(marks))
}

fn forget_lots(write: &mut Write) {
    const OF_LOTS: [&str; 5] = ["lots", "lots_version", "lots_due_at", "due_pk", "due_at"];
    forget_changes(write, &OF_LOTS);
    if let Write::Update { changes, .. } = write {
        changes.retain(|change| !matches!(change, Change::Remove(name) if OF_LOTS.contains(name)));
    }
}

fn unmark_lots(change: &mut Change) {
    if let Change::Set("lots", Value::S(text)) = change
        && let Ok(mut book) = serde_json::from_str::<serde_json::Value>(text)
        && let Some(lots) = book.get_mut("l").and_then(serde_json::Value::as_array_mut)
    {
        for lot in lots.iter_mut().filter_map(serde_json::Value::as_object_mut) {
            lot.remove("h");
        }
        *text = book.to_string();
    }
}

fn changes_of(write: &mut Write) -> impl Iterator<Item = &mut Change> {
    let changes: &mut [Change] = match write {
        Write::Update { changes, .. } => changes.as_mut_slice(),
        _ => &mut [],
    };
    changes.iter_mut()
}

fn is_of_due_lots(condition: &Condition) -> bool {
    matches!(condition, Condition::Any(any) if any.contains(&Condition::Lacks("lots_due_at")))
}

fn reverse_lots(change: &mut Change) {
    if let Change::Set("lots", Value::S(text)) = change
        && let Ok(mut book) = serde_json::from_str::<serde_json::Value>(text)
        && let Some(lots) = book.get_mut("l").and_then(serde_json::Value::as_array_mut)
    {
        lots.reverse();
        *text = book.to_string();
    }
}

fn leave_on_hand(change: &mut Change) {
    match change {
        Change::Add("on_hand" | "available", by) => *by = 0,
        Change::Set("last_on_hand", value) => *value = Value::N(0),
        _ => {}
    }
}
