//! Many commands in one call: a register that was cut off uploads what it did.

use std::collections::BTreeMap;

use futures::StreamExt;
use jiff::Timestamp;
use serde_json::Value;

use super::execute::{Answered, execute_uploaded, known_action};
use crate::error::{Error, Refusal, Result};
use crate::ports::Ports;
use crate::tenancy::Caller;

/// How many carts are worked on at once.
const CARTS_AT_ONCE: usize = 8;

/// What became of one command.
pub type Outcome = Result<Answered>;

/// Commands of a shift. What was sold before one is part of what it counts, and what comes after it is not.
const SHIFT_ACTIONS: [&str; 7] =
    ["open_till", "paid_in", "paid_out", "no_sale", "cash_count", "get_x_report", "close_till"];

fn is_of_a_shift(command: &Value) -> bool {
    known_action(command).is_some_and(|action| SHIFT_ACTIONS.contains(&action))
}

/// Runs `commands` until `stop_at`: in order per cart, several carts at once. Commands that name no
/// cart run in the order sent among themselves; a command of a shift after all that were sent before it and
/// before all that were sent after it. Answers an outcome for each command of the longest
/// prefix that was come to, and where to go on. What they sold is sold, also where more was sold than there
/// was ([`super::offline_oversell`]).
pub async fn run(
    ports: &Ports,
    caller: &Caller,
    commands: Vec<Value>,
    stop_at: Timestamp,
) -> (Vec<(Value, Outcome)>, Option<usize>) {
    let count = commands.len();
    let mut sections: Vec<Vec<(usize, Value)>> = Vec::new();
    let mut after_shift = true;
    for (position, command) in commands.into_iter().enumerate() {
        let of_shift = is_of_a_shift(&command);
        match sections.last_mut() {
            Some(section) if !of_shift && !after_shift => section.push((position, command)),
            _ => sections.push(vec![(position, command)]),
        }
        after_shift = of_shift;
    }
    let mut slots: Vec<Option<(Value, Outcome)>> = (0..count).map(|_| None).collect();
    let mut groups = Groups { sale_of_return: BTreeMap::new(), failed: BTreeMap::new() };
    for section in sections {
        let to_come: Vec<usize> = section.iter().map(|(position, _)| *position).collect();
        for (position, command, outcome) in run_section(ports, caller, section, stop_at, &mut groups).await {
            groups.note(position, &command, &outcome);
            if let Some(slot) = slots.get_mut(position) {
                *slot = Some((command, outcome));
            }
        }
        let stopped = |slot: Option<&Option<(Value, Outcome)>>| {
            slot.is_none_or(|slot| slot.as_ref().is_none_or(|(_, outcome)| is_undecided(outcome)))
        };
        if to_come.into_iter().any(|position| stopped(slots.get(position))) {
            break;
        }
    }
    // What could not be decided was not come to either: going on behind it would leave it out.
    let come_to =
        slots.iter().position(|slot| slot.as_ref().is_none_or(|(_, outcome)| is_undecided(outcome)));
    let outcomes = slots.into_iter().take(come_to.unwrap_or(count)).flatten().collect();
    (outcomes, come_to)
}

/// Runs commands of carts, or one command of a shift.
async fn run_section(
    ports: &Ports,
    caller: &Caller,
    commands: Vec<(usize, Value)>,
    stop_at: Timestamp,
    groups: &mut Groups,
) -> Vec<(usize, Value, Outcome)> {
    let mut by_group: BTreeMap<String, Vec<(usize, Value)>> = BTreeMap::new();
    for (position, command) in commands {
        by_group.entry(groups.group_of(&command)).or_default().push((position, command));
    }
    let groups = by_group.into_iter().map(|(name, group)| (groups.failed.get(&name).copied(), group));
    let groups: Vec<_> = groups.collect();
    let results = futures::stream::iter(groups)
        .map(|(failed_at, group)| async move {
            let mut done = Vec::new();
            let mut rest = group.into_iter();
            if let Some(failed_at) = failed_at {
                done.extend(rest.map(|(at, command)| (at, command, Err(behind(failed_at)))));
                return done;
            }
            while let Some((position, command)) = rest.next() {
                if ports.environment.now() >= stop_at {
                    break;
                }
                let outcome = execute_uploaded(ports, caller, command.clone()).await;
                // What could not be decided now must not be overtaken by what follows on its cart.
                let undecided = is_undecided(&outcome);
                let failed = matches!(outcome, Err(Error::Bug(_)));
                done.push((position, command, outcome));
                if undecided {
                    break;
                }
                if failed {
                    // Nor must what met an error of ours; but it must not hold up other carts for good.
                    done.extend(rest.map(|(at, command)| (at, command, Err(behind(position)))));
                    break;
                }
            }
            done
        })
        .buffer_unordered(CARTS_AT_ONCE)
        .collect::<Vec<_>>()
        .await;
    results.into_iter().flatten().collect()
}

/// The refusal of a command whose cart met an error of ours before.
fn behind(position: usize) -> Error {
    let detail = format!(
        "command {position} of this upload, on the same cart, met an error of ours; send that and this again \
         under their keys"
    );
    Refusal::conflict("earlier_command_failed", detail).into()
}

fn is_undecided(outcome: &Outcome) -> bool {
    matches!(outcome, Err(Error::Conflict(_) | Error::Retryable { .. }))
}

/// Which commands stay in order among themselves: those of one cart, and with them the returns of it.
struct Groups {
    sale_of_return: BTreeMap<String, String>,
    /// Where a group met an error of ours.
    failed: BTreeMap<String, usize>,
}

impl Groups {
    /// Remembers that a cart met an error of ours, for what follows on it behind a command of a shift.
    fn note(&mut self, position: usize, command: &Value, outcome: &Outcome) {
        if matches!(outcome, Err(Error::Bug(_))) && !is_of_a_shift(command) {
            let group = self.group_of(command);
            self.failed.entry(group).or_insert(position);
        }
    }

    fn group_of(&mut self, command: &Value) -> String {
        let named = |name: &str| command.get("payload").and_then(|p| p.get(name)).and_then(Value::as_str);
        let own = named("cart_id").or_else(|| named("return_id")).or_else(|| named("order_id")).unwrap_or("");
        if let Some(sale) = named("original_order_id") {
            let sale = self.sale_of_return.get(sale).cloned().unwrap_or_else(|| sale.to_owned());
            self.sale_of_return.insert(own.to_owned(), sale.clone());
            return sale;
        }
        self.sale_of_return.get(own).cloned().unwrap_or_else(|| own.to_owned())
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_return_waits_for_its_sale() {
        let mut groups = Groups { sale_of_return: BTreeMap::new(), failed: BTreeMap::new() };
        let sale = json!({"payload": {"cart_id": "c-1"}});
        let start = json!({"payload": {"return_id": "r-1", "original_order_id": "c-1"}});
        let line = json!({"payload": {"return_id": "r-1"}});
        assert_eq!(groups.group_of(&sale), "c-1");
        assert_eq!(groups.group_of(&start), "c-1");
        assert_eq!(groups.group_of(&line), "c-1");
        assert_eq!(groups.group_of(&json!({"payload": {"cart_id": "c-2"}})), "c-2");
        assert_eq!(groups.group_of(&json!({"payload": {"order_id": "c-1"}})), "c-1");
        assert_eq!(groups.group_of(&json!(7)), "");
    }
}
