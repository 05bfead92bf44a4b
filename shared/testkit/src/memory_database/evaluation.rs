//! Conditions and changes as DynamoDB evaluates them.
//!
//! Source: DynamoDB Developer Guide, "Comparison operator and function reference" and "Update
//! expressions".

use std::collections::BTreeSet;

use tillstream_app::database::{Change, Condition, DatabaseError, Item, Value};

/// Whether `condition` holds on `item` (absent where there is none).
pub(super) fn holds(condition: &Condition, item: Option<&Item>) -> bool {
    let attribute = |name: &str| item.and_then(|item| item.get(name));
    // A comparison with an absent attribute, or one of another type, is false.
    let compares = |name: &str, value: &Value, wanted: fn(std::cmp::Ordering) -> bool| {
        attribute(name).is_some_and(|actual| same_type(actual, value) && wanted(actual.cmp(value)))
    };
    match condition {
        Condition::Exists => item.is_some(),
        Condition::NotExists => item.is_none(),
        Condition::Has(name) => attribute(name).is_some(),
        Condition::Lacks(name) => attribute(name).is_none(),
        Condition::Eq(name, value) => attribute(name) == Some(value),
        // True where the attribute is absent: the one comparison that is.
        Condition::Ne(name, value) => attribute(name) != Some(value),
        Condition::Lt(name, value) => compares(name, value, std::cmp::Ordering::is_lt),
        Condition::Le(name, value) => compares(name, value, std::cmp::Ordering::is_le),
        Condition::Gt(name, value) => compares(name, value, std::cmp::Ordering::is_gt),
        Condition::Ge(name, value) => compares(name, value, std::cmp::Ordering::is_ge),
        Condition::All(all) => all.iter().all(|one| holds(one, item)),
        Condition::Any(any) => any.iter().any(|one| holds(one, item)),
    }
}

fn same_type(a: &Value, b: &Value) -> bool {
    std::mem::discriminant(a) == std::mem::discriminant(b)
}

/// Refuses what DynamoDB's expression parser would refuse.
pub(super) fn check_condition(condition: &Condition) -> Result<(), DatabaseError> {
    match condition {
        Condition::All(parts) | Condition::Any(parts) => {
            if parts.is_empty() {
                return Err(DatabaseError::Invalid("an empty list of conditions".into()));
            }
            parts.iter().try_for_each(check_condition)
        }
        Condition::Lt(name, value)
        | Condition::Le(name, value)
        | Condition::Gt(name, value)
        | Condition::Ge(name, value) => match value {
            Value::S(_) | Value::N(_) | Value::B(_) => Ok(()),
            Value::Bool(_) | Value::L(_) | Value::M(_) => {
                Err(DatabaseError::Invalid(format!("incorrect operand type of the comparison with {name}")))
            }
        },
        Condition::Exists
        | Condition::NotExists
        | Condition::Has(_)
        | Condition::Lacks(_)
        | Condition::Eq(..)
        | Condition::Ne(..) => Ok(()),
    }
}

/// Refuses a list of changes that no item could take: none at all, an attribute twice, a key attribute.
pub(super) fn check_changes(changes: &[Change]) -> Result<(), DatabaseError> {
    if changes.is_empty() {
        return Err(DatabaseError::Invalid("an update without changes".into()));
    }
    let mut seen = BTreeSet::new();
    for change in changes {
        let name = name_of(change);
        if name == "pk" || name == "sk" {
            return Err(DatabaseError::Invalid(format!("{name} is part of the key and cannot be updated")));
        }
        if !seen.insert(name) {
            return Err(DatabaseError::Invalid(format!("two document paths overlap: {name}")));
        }
    }
    Ok(())
}

fn name_of(change: &Change) -> &'static str {
    match change {
        Change::Set(name, _) | Change::SetIfAbsent(name, _) | Change::Add(name, _) | Change::Remove(name) => {
            name
        }
    }
}

/// Applies changes to an item that is there, or to one of nothing but its key. `Err` says why the item
/// cannot take them.
pub(super) fn apply(changes: &[Change], item: &mut Item) -> Result<(), String> {
    for change in changes {
        match change {
            Change::Set(name, value) => {
                item.0.insert((*name).to_owned(), value.clone());
            }
            Change::SetIfAbsent(name, value) => {
                item.0.entry((*name).to_owned()).or_insert_with(|| value.clone());
            }
            Change::Add(name, number) => {
                let before = match item.get(name) {
                    None => 0,
                    Some(Value::N(before)) => *before,
                    Some(_) => return Err(format!("{name}: an operand has an incorrect data type")),
                };
                // DynamoDB's numbers have 38 digits and would go on; the port's would not.
                let after = before.checked_add(*number).ok_or_else(|| format!("{name}: out of range"))?;
                item.0.insert((*name).to_owned(), Value::N(after));
            }
            Change::Remove(name) => {
                item.0.remove(*name);
            }
        }
    }
    Ok(())
}
