//! Bugs of goods that come, are counted, corrected, waited for and reserved.

use tillstream_app::database::{Change, Query, Table, Value, Write};
use tillstream_app::dispatch::subject::{of_alert, stock_in};
use tillstream_app::stock::ledger::GAP_CLOSED;

use super::{Bug, BuggyDatabase, forget_changes, forget_condition, is_movement};
use crate::item_name::item_name;

impl BuggyDatabase {
    /// What the bug makes of a write; `false` where it forgets it altogether.
    pub(super) fn distort_supplies(&self, write: &mut Write, (table, sk): (Table, &str)) -> bool {
        if table != Table::Stock {
            return !(self.bug == Bug::CorrectionLeavesRows && is_closing_row(write));
        }
        match self.bug {
            Bug::CorrectionUnchecked if is_movement(write, "reconciliation") || is_corrected(write) => {
                forget_condition(write);
            }
            Bug::CorrectionMovesNothing if is_movement(write, "reconciliation") => return false,
            Bug::AlertNotTold if is_told_of_alert(write) => return false,
            Bug::AlertForgetsItsLevel if sk == "alert" => {
                if let Write::Put { item, .. } = write {
                    item.0.insert("level".to_owned(), Value::S("ok".to_owned()));
                }
            }
            Bug::PurchaseVersionUnchecked if sk == "purchase-order" => forget_condition(write),
            Bug::DeliveredAndStillOnOrder if is_movement(write, "purchase_receive") => {
                forget_changes(write, &["on_order", "last_on_order"]);
                if let Write::Update { changes, .. } = write
                    && !changes.contains(&Change::Remove("last_on_order"))
                {
                    changes.push(Change::Remove("last_on_order"));
                }
            }
            Bug::RestockRecordForgotten if sk == "restock" => return false,
            Bug::CountSheetVersionUnchecked if sk == "count" => forget_condition(write),
            Bug::WaitedForNotTakenOff if sk == "stock" => {
                if let Write::Update { changes, .. } = write {
                    changes.retain(|change| !matches!(change, Change::Add("backordered", by) if *by < 0));
                }
            }
            Bug::SaleNamesAnotherOrder if sk == "stock" && is_movement(write, "sale") => {
                if let Write::Update { changes, .. } = write {
                    for change in changes.iter_mut() {
                        if let Change::Set("last_ref", Value::S(order)) = change
                            && self.chance.percent(10)
                        {
                            order.push_str("-and-another");
                        }
                    }
                }
            }
            _ => {}
        }
        true
    }

    /// What the bug forgets of a transaction.
    pub(super) fn forget_supplies(&self, writes: &mut Vec<Write>) {
        match self.bug {
            Bug::DeliveryOfOneLineForgotten => {
                let lines = writes.iter().filter(|write| is_movement(write, "purchase_receive")).count();
                if lines > 1
                    && let Some(at) = writes.iter().position(|write| is_movement(write, "purchase_receive"))
                {
                    writes.remove(at);
                }
            }
            Bug::CountedLineForgotten => {
                let is_of_sheet = writes.iter().any(|write| item_name(write).2 == "count");
                if is_of_sheet && let Some(at) = writes.iter().position(|write| is_movement(write, "count")) {
                    writes.remove(at);
                }
            }
            Bug::HoldLineForgotten => {
                let lines = writes.iter().filter(|write| is_hold_line(write)).count();
                if lines > 1
                    && let Some(at) = writes.iter().position(is_hold_line)
                {
                    writes.remove(at);
                }
            }
            // The chunk says that it is held, and nothing of it is.
            Bug::ChunkNotHeld => {
                let is_chunk = |write: &Write| item_name(write).2.starts_with("chunk#");
                if writes.iter().any(is_chunk) && writes.iter().any(is_hold_line) {
                    writes.retain(|write| !is_hold_line(write) && !is_movement(write, "hold"));
                }
            }
            _ => {}
        }
    }

    /// What the bug forgets of what a cart holds that ends.
    pub(super) fn forget_cart_holds(&self, writes: &mut Vec<Write>) {
        let ends = |state: &str| {
            let is_it = |write: &Write| {
                matches!(write, Write::Put { table: Table::Orders, item, .. }
                    if item.opt_text("state") == Some(state))
            };
            writes.iter().any(is_it)
        };
        let is_line = |write: &Write| matches!(write, Write::Delete { table: Table::Stock, key, .. } if key.sk().starts_with("cart#"));
        match self.bug {
            Bug::VoidedCartHoldsOn if ends("voided") => {
                writes.retain(|write| !is_line(write) && !is_movement(write, "release"));
            }
            Bug::CartSoldBesideItsHold if ends("finalized") && writes.iter().any(is_line) => {
                writes.retain(|write| !is_line(write));
                writes.iter_mut().filter(|write| is_movement(write, "sale")).for_each(sell_beside_hold);
            }
            _ => {}
        }
    }

    /// What the bug asks in the place of a question.
    pub(super) fn ask_wrongly(&self, mut query: Query) -> Query {
        // Who came last is taken for who came first.
        if self.bug == Bug::QueueServedFromItsEnd
            && query.limit == 1
            && query.partition.value().contains("#backorder-queue#")
        {
            query.ascending = false;
        }
        query
    }
}

/// What is held stays so, and all that is sold is taken from what is available.
fn sell_beside_hold(write: &mut Write) {
    let Write::Update { changes, .. } = write else { return };
    let reserved = changes.iter().find_map(|change| match change {
        Change::Add("reserved", by) => Some(*by),
        _ => None,
    });
    for change in changes.iter_mut() {
        match change {
            Change::Add("reserved", by) => *by = 0,
            Change::Add("available", by) => *by += reserved.unwrap_or(0),
            Change::Set("last_reserved", value) => *value = Value::N(0),
            _ => {}
        }
    }
}

/// What is to be told of an alert.
fn is_told_of_alert(write: &Write) -> bool {
    let about = match write {
        Write::Put { item, .. } => item.opt_text("subject").unwrap_or_default(),
        _ => "",
    };
    stock_in(about).is_some_and(|id| about == of_alert(id))
}

/// An exception that says that its difference is corrected.
fn is_corrected(write: &Write) -> bool {
    matches!(write, Write::Put { item, .. } if item.get("correct_key").is_some())
}

/// The row of a correction over rows between which a counter changed; the keeper's are none.
fn is_closing_row(write: &Write) -> bool {
    matches!(write, Write::Put { table: Table::Ledger, item, .. }
        if item.opt_text("kind") == Some(GAP_CLOSED) && item.opt_text("actor") != Some("stock-keeper"))
}

/// A hold line that is made.
fn is_hold_line(write: &Write) -> bool {
    let (table, pk, _) = item_name(write);
    let kind = pk.split('#').nth(1).unwrap_or_default();
    table == Table::Stock && matches!(write, Write::Put { .. }) && matches!(kind, "holds" | "holds-part")
}
