//! Many commands in one call: a register that was cut off uploads what it did.

use std::collections::BTreeMap;

use futures::StreamExt;
use jiff::Timestamp;
use serde_json::Value;

use super::execute::{Answered, execute_uploaded};
use crate::error::{Error, Refusal, Result};
use crate::ports::Ports;
use crate::tenancy::Caller;

/// How many carts are worked on at once.
const CARTS_AT_ONCE: usize = 8;

/// What became of one command.
pub type Outcome = Result<Answered>;

/// Runs `commands` until `stop_at`: in order per cart, several carts at once. Commands that name no
/// cart run in the order sent among themselves. Answers an outcome for each command of the longest
/// prefix that was come to, and where to go on. What they sold is sold, also where more was sold than there
/// was ([`super::offline_oversell`]).
pub async fn run(
    ports: &Ports,
    caller: &Caller,
    commands: Vec<Value>,
    stop_at: Timestamp,
) -> (Vec<(Value, Outcome)>, Option<usize>) {
    let mut groups: BTreeMap<String, Vec<(usize, Value)>> = BTreeMap::new();
    let mut group_names = Groups { sale_of_return: BTreeMap::new() };
    let count = commands.len();
    for (position, command) in commands.into_iter().enumerate() {
        groups.entry(group_names.group_of(&command)).or_default().push((position, command));
    }
    let results = futures::stream::iter(groups.into_values())
        .map(|group| async move {
            let mut done = Vec::new();
            let mut rest = group.into_iter();
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
    let mut slots: Vec<Option<(Value, Outcome)>> = (0..count).map(|_| None).collect();
    for (position, command, outcome) in results.into_iter().flatten() {
        if let Some(slot) = slots.get_mut(position) {
            *slot = Some((command, outcome));
        }
    }
    // What could not be decided was not come to either: going on behind it would leave it out.
    let come_to =
        slots.iter().position(|slot| slot.as_ref().is_none_or(|(_, outcome)| is_undecided(outcome)));
    let outcomes = slots.into_iter().take(come_to.unwrap_or(count)).flatten().collect();
    (outcomes, come_to)
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
}

impl Groups {
    fn group_of(&mut self, command: &Value) -> String {
        let named = |name: &str| command.get("payload").and_then(|p| p.get(name)).and_then(Value::as_str);
        let own = named("cart_id").or_else(|| named("return_id")).unwrap_or("");
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
        let mut groups = Groups { sale_of_return: BTreeMap::new() };
        let sale = json!({"payload": {"cart_id": "c-1"}});
        let start = json!({"payload": {"return_id": "r-1", "original_order_id": "c-1"}});
        let line = json!({"payload": {"return_id": "r-1"}});
        assert_eq!(groups.group_of(&sale), "c-1");
        assert_eq!(groups.group_of(&start), "c-1");
        assert_eq!(groups.group_of(&line), "c-1");
        assert_eq!(groups.group_of(&json!({"payload": {"cart_id": "c-2"}})), "c-2");
        assert_eq!(groups.group_of(&json!(7)), "");
    }
}
