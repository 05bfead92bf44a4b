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

/// Commands that make carts final.
const FINAL_ACTIONS: [&str; 3] = ["finalize_order", "finalize_return", "finalize_exchange"];

fn is_of_a_shift(command: &Value) -> bool {
    known_action(command).is_some_and(|action| SHIFT_ACTIONS.contains(&action))
}

/// Runs `commands` until `stop_at`: in order per cart, several carts at once. Commands that name no
/// cart run in the order sent among themselves; a command of a shift after all that were sent before it and
/// before all that were sent after it. A cart of which something was refused is not made final behind that: it would be
/// another sale than was made. Answers an outcome for each command of the longest
/// prefix that was come to, and where to go on: never behind a refusal of a cart that goes on there, as an upload knows
/// only of its own. What they sold is sold, also where more was sold than there was ([`super::offline_oversell`]).
pub async fn run(
    ports: &Ports,
    caller: &Caller,
    commands: Vec<Value>,
    stop_at: Timestamp,
) -> (Vec<(Value, Outcome)>, Option<usize>) {
    let count = commands.len();
    let ends = Ends::of(&commands);
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
    let mut groups = Groups::of(sections.iter().flatten().map(|(_, command)| command));
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
    let come_to = come_to.map(|come_to| not_behind_refusals(come_to, &groups, &ends));
    let outcomes = slots.into_iter().take(come_to.unwrap_or(count)).flatten().collect();
    (outcomes, come_to)
}

/// Where to go on, so that all is sent again that was refused, or met an error of ours, on a cart that goes on there:
/// the next upload must know of it, or would make the cart final without it. What took effect is answered again.
fn not_behind_refusals(come_to: usize, groups: &Groups, ends: &Ends) -> usize {
    let refused = groups.refused.iter().map(|(cart, first)| (*first, ends.cart(cart)));
    let failed = groups.failed.iter().map(|(group, first)| (*first, ends.group(group, groups)));
    let mut spans: Vec<(usize, usize)> = refused.chain(failed).collect();
    spans.sort_unstable();
    let mut go_on = come_to;
    // The latest first: what is gone back over may be behind another one's refusal.
    for (first, last) in spans.into_iter().rev() {
        if first < go_on && go_on <= last {
            go_on = first;
        }
    }
    go_on
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
    let known = by_group.into_iter().map(|(name, group)| (groups.failed.get(&name).copied(), group));
    let known: Vec<_> = known.collect();
    let refused = &groups.refused;
    let results = futures::stream::iter(known)
        .map(|(failed_at, group)| async move {
            let mut refused = refused.clone();
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
                let refused_before = carts_of(&command).find_map(|cart| refused.get(cart).copied());
                let outcome = execute_uploaded(ports, caller, command.clone(), refused_before).await;
                note_refused(&mut refused, position, &command, &outcome);
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

/// Which commands stay in order among themselves: those of one cart, with them the returns of it, and what is
/// exchanged for those.
struct Groups {
    /// By cart: another one of its group, nearer to the one that the group is called by.
    joined: BTreeMap<String, String>,
    /// Where a group met an error of ours.
    failed: BTreeMap<String, usize>,
    /// By cart: where the first of its commands was refused.
    refused: BTreeMap<String, usize>,
}

impl Groups {
    /// The groups of `commands`: known from the beginning, as an exchange joins two that went on before it.
    fn of<'c>(commands: impl Iterator<Item = &'c Value>) -> Self {
        let mut groups =
            Groups { joined: BTreeMap::new(), failed: BTreeMap::new(), refused: BTreeMap::new() };
        for command in commands {
            let own = own_cart(command);
            let others = [named(command, "original_order_id"), named(command, "return_id")];
            // What names no cart of its own joins nothing: others that name none are not of its sale.
            for other in others.into_iter().flatten().filter(|_| !own.is_empty()) {
                groups.join(own, other);
            }
        }
        groups
    }

    fn join(&mut self, one: &str, other: &str) {
        let (one, other) = (self.called(one), self.called(other));
        if one != other {
            self.joined.insert(one, other);
        }
    }

    /// What the group of a cart is called by.
    fn called(&self, cart: &str) -> String {
        let mut called = cart;
        while let Some(nearer) = self.joined.get(called) {
            called = nearer;
        }
        called.to_owned()
    }

    /// Remembers that a cart met an error of ours or a refusal, for what follows on it behind a command of a shift.
    fn note(&mut self, position: usize, command: &Value, outcome: &Outcome) {
        note_refused(&mut self.refused, position, command, outcome);
        if matches!(outcome, Err(Error::Bug(_))) && !is_of_a_shift(command) {
            let group = self.group_of(command);
            self.failed.entry(group).or_insert(position);
        }
    }

    fn group_of(&self, command: &Value) -> String {
        let own = Some(own_cart(command)).filter(|own| !own.is_empty());
        self.called(own.or_else(|| named(command, "original_order_id")).unwrap_or(""))
    }
}

/// Of the carts and returns of an upload, where the last command of each stands.
struct Ends(BTreeMap<String, usize>);

impl Ends {
    fn of(commands: &[Value]) -> Self {
        let mut ends = BTreeMap::new();
        for (position, command) in commands.iter().enumerate() {
            // Of a sale also what undoes it and begins its returns: that is of its group.
            let of_sale = named(command, "original_order_id").into_iter().chain([own_cart(command)]);
            for cart in carts_of(command).chain(of_sale) {
                ends.insert(cart.to_owned(), position);
            }
        }
        Ends(ends)
    }

    fn cart(&self, cart: &str) -> usize {
        self.0.get(cart).copied().unwrap_or_default()
    }

    /// Of all the carts of a group.
    fn group(&self, group: &str, groups: &Groups) -> usize {
        let of_group = self.0.iter().filter(|(cart, _)| groups.called(cart) == group);
        of_group.map(|(_, last)| *last).max().unwrap_or_default()
    }
}

/// Remembers that something of a cart was refused: what is made final of it behind that is not what was sold.
fn note_refused(refused: &mut BTreeMap<String, usize>, position: usize, command: &Value, outcome: &Outcome) {
    // Not to be final yet changes nothing of a sale.
    let shapes = known_action(command).is_some_and(|action| !FINAL_ACTIONS.contains(&action));
    if matches!(outcome, Err(Error::Rejected(_))) && shapes && !is_of_a_shift(command) {
        for cart in carts_of(command) {
            refused.entry(cart.to_owned()).or_insert(position);
        }
    }
}

/// The cart and the return that a command is about.
fn carts_of(command: &Value) -> impl Iterator<Item = &str> {
    ["cart_id", "return_id"].into_iter().filter_map(|name| named(command, name))
}

fn named<'c>(command: &'c Value, name: &str) -> Option<&'c str> {
    command.get("payload").and_then(|payload| payload.get(name)).and_then(Value::as_str)
}

/// The cart, return or order that a command is about; none where it names none.
fn own_cart(command: &Value) -> &str {
    ["cart_id", "return_id", "order_id"].into_iter().find_map(|name| named(command, name)).unwrap_or("")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_return_waits_for_its_sale_and_an_exchange_for_both() {
        let sale = json!({"payload": {"cart_id": "c-1"}});
        let start = json!({"payload": {"return_id": "r-1", "original_order_id": "c-1"}});
        let line = json!({"payload": {"return_id": "r-1"}});
        let new_sale = json!({"payload": {"cart_id": "c-3"}});
        let nameless = json!({"payload": {"original_order_id": "c-1"}});
        let all = [&sale, &start, &line, &new_sale, &nameless];
        let groups = Groups::of(all.into_iter());
        assert_eq!([&sale, &start, &line, &nameless].map(|command| groups.group_of(command)), ["c-1"; 4]);
        assert_eq!(groups.group_of(&json!({"payload": {"cart_id": "c-2"}})), "c-2");
        assert_eq!(groups.group_of(&new_sale), "c-3");
        assert_eq!(groups.group_of(&json!({"payload": {"order_id": "c-1"}})), "c-1");
        assert_eq!(groups.group_of(&json!(7)), "");
        // Also what was sent before it: it must see all of that.
        let exchange = json!({"payload": {"return_id": "r-1", "cart_id": "c-3"}});
        let groups = Groups::of(all.into_iter().chain([&exchange]));
        let members = [&sale, &start, &line, &new_sale, &exchange];
        assert_eq!(members.map(|command| groups.group_of(command)), ["c-1"; 5]);
        assert_eq!(groups.group_of(&json!({"payload": {"cart_id": "c-2"}})), "c-2");
    }

    /// A cart of which something was refused, or that met an error of ours, is gone on with from there, also where only
    /// going back for another leads behind its refusal.
    #[test]
    fn an_upload_is_gone_on_with_before_refusals() {
        let of = |cart: &str| json!({"payload": {"cart_id": cart}});
        let commands = ["z", "z", "y", "y", "z", "x", "u", "y", "x"].map(of);
        let ends = Ends::of(&commands);
        let mut groups = Groups::of(commands.iter());
        assert_eq!(not_behind_refusals(6, &groups, &ends), 6, "nothing was refused");
        groups.refused.insert("z".to_owned(), 1);
        assert_eq!(not_behind_refusals(6, &groups, &ends), 6, "it ended before");
        assert_eq!(not_behind_refusals(4, &groups, &ends), 1, "what is gone on with is its own");
        groups.refused.insert("y".to_owned(), 3);
        assert_eq!(not_behind_refusals(6, &groups, &ends), 1, "back for y is behind the refusal of z");
        assert_eq!(not_behind_refusals(8, &groups, &ends), 8, "both ended before");
        groups.refused.clear();
        groups.failed.insert("x".to_owned(), 5);
        assert_eq!(not_behind_refusals(8, &groups, &ends), 5);
        assert_eq!(not_behind_refusals(5, &groups, &ends), 5);
        // The return of a sale is of its group.
        let start = json!({"payload": {"return_id": "r", "original_order_id": "z"}});
        let commands = [of("z"), of("u"), start, json!({"payload": {"return_id": "r"}})];
        let mut groups = Groups::of(commands.iter());
        let group = groups.group_of(&commands[0]);
        groups.failed.insert(group, 0);
        assert_eq!(not_behind_refusals(3, &groups, &Ends::of(&commands)), 0);
    }

    /// Every order in which carts meet leads to one group, and to an end.
    #[test]
    fn exchanges_join_groups_whatever_their_order() {
        let exchange = |back: &str, sale: &str| json!({"payload": {"return_id": back, "cart_id": sale}});
        let mut commands = vec![exchange("r-1", "c-1"), exchange("r-1", "c-2"), exchange("r-2", "c-2")];
        commands.push(json!({"payload": {"return_id": "r-2", "original_order_id": "c-1"}}));
        for _ in 0..commands.len() {
            commands.rotate_left(1);
            let groups = Groups::of(commands.iter());
            let called = groups.called("c-1");
            for cart in ["c-2", "r-1", "r-2"] {
                assert_eq!(groups.called(cart), called);
            }
        }
    }
}
