//! What a register did while it was cut off and nobody allowed: money has moved, so it is recorded, and somebody is asked
//! to look into it.

use tillstream_domain::money::Money;

use super::context::CommandContext;
use crate::approvals::permission::command_name;
use crate::database::Write;
use crate::stock::exceptions::{CashNotApproved, cash_not_approved_write};

/// The task of what would have been refused with `problem` for want of an approval. `of`: `shift_id` or `order_id`, and
/// which; what was done, and of how much, where that is known.
pub(super) fn not_approved_write(
    context: &CommandContext,
    of: (&'static str, &str),
    (movement, amount): (&'static str, Option<Money>),
    problem: &'static str,
) -> Write {
    let moved = CashNotApproved {
        of,
        command: &command_name(context),
        movement,
        amount,
        problem,
        register_id: &context.register_id,
        employee_id: &context.employee_id,
        location_id: &context.store_id,
        at: context.occurred_at,
        now: context.now,
    };
    cash_not_approved_write(&context.caller.scope, &moved)
}
