//! The client request token of a transaction: a hash of all its parameters, so that it covers exactly
//! this request's retries.
//!
//! DynamoDB remembers a token for ten minutes. The same transaction sent again within them succeeds
//! without effect: two requests that must both take effect must differ in something (a time, an id, a
//! version).

use crate::database::{Change, Condition, Item, Key, Table, Value, Write};
use sha2::{Digest, Sha256};

/// The token of these writes: 32 hexadecimal digits (DynamoDB takes up to 36 characters). `table_name`
/// says what a table is called in this deployment.
pub fn request_token(writes: &[Write], table_name: impl Fn(Table) -> String) -> String {
    let mut token = Token(Sha256::new());
    for write in writes {
        token.write(write, &table_name);
    }
    token.0.finalize().iter().take(16).map(|byte| format!("{byte:02x}")).collect()
}

/// Feeds the hash so that no two different requests feed the same bytes: a tag before each thing, a
/// length before everything of variable length.
struct Token(Sha256);

impl Token {
    fn tag(&mut self, tag: u8) {
        self.0.update([tag]);
    }

    fn length(&mut self, length: usize) {
        self.0.update(u64::try_from(length).unwrap_or(u64::MAX).to_be_bytes());
    }

    fn bytes(&mut self, bytes: &[u8]) {
        self.length(bytes.len());
        self.0.update(bytes);
    }

    fn text(&mut self, text: &str) {
        self.bytes(text.as_bytes());
    }

    fn write(&mut self, write: &Write, table_name: &impl Fn(Table) -> String) {
        let (tag, table, condition) = match write {
            Write::Put { table, condition, .. } => (1, table, condition.as_ref()),
            Write::Update { table, condition, .. } => (2, table, condition.as_ref()),
            Write::Delete { table, condition, .. } => (3, table, condition.as_ref()),
            Write::Check { table, condition, .. } => (4, table, Some(condition)),
        };
        self.tag(tag);
        self.text(&table_name(*table));
        match write {
            Write::Put { item, .. } => self.item(item),
            Write::Update { key, changes, .. } => {
                self.key(key);
                self.length(changes.len());
                changes.iter().for_each(|change| self.change(change));
            }
            Write::Delete { key, .. } | Write::Check { key, .. } => self.key(key),
        }
        match condition {
            None => self.tag(0),
            Some(condition) => self.condition(condition),
        }
    }

    fn key(&mut self, key: &Key) {
        self.text(key.pk());
        self.text(key.sk());
    }

    fn item(&mut self, item: &Item) {
        self.length(item.0.len());
        for (name, value) in item.0.iter() {
            self.text(name);
            self.value(value);
        }
    }

    fn value(&mut self, value: &Value) {
        match value {
            Value::S(text) => {
                self.tag(1);
                self.text(text);
            }
            Value::N(number) => {
                self.tag(2);
                self.0.update(number.to_be_bytes());
            }
            Value::B(bytes) => {
                self.tag(3);
                self.bytes(bytes);
            }
            Value::Bool(yes) => {
                self.tag(4);
                self.tag(u8::from(*yes));
            }
            Value::L(values) => {
                self.tag(5);
                self.length(values.len());
                values.iter().for_each(|value| self.value(value));
            }
            Value::M(values) => {
                self.tag(6);
                self.length(values.len());
                for (name, value) in values {
                    self.text(name);
                    self.value(value);
                }
            }
        }
    }

    fn change(&mut self, change: &Change) {
        match change {
            Change::Set(name, value) => {
                self.tag(1);
                self.text(name);
                self.value(value);
            }
            Change::SetIfAbsent(name, value) => {
                self.tag(2);
                self.text(name);
                self.value(value);
            }
            Change::Add(name, number) => {
                self.tag(3);
                self.text(name);
                self.0.update(number.to_be_bytes());
            }
            Change::Remove(name) => {
                self.tag(4);
                self.text(name);
            }
        }
    }

    fn condition(&mut self, condition: &Condition) {
        let mut compared = |tag, name: &str, value| {
            self.tag(tag);
            self.text(name);
            self.value(value);
        };
        match condition {
            Condition::Eq(name, value) => compared(1, name, value),
            Condition::Ne(name, value) => compared(2, name, value),
            Condition::Lt(name, value) => compared(3, name, value),
            Condition::Le(name, value) => compared(4, name, value),
            Condition::Gt(name, value) => compared(5, name, value),
            Condition::Ge(name, value) => compared(6, name, value),
            Condition::Exists => self.tag(7),
            Condition::NotExists => self.tag(8),
            Condition::Has(name) => {
                self.tag(9);
                self.text(name);
            }
            Condition::Lacks(name) => {
                self.tag(10);
                self.text(name);
            }
            Condition::All(parts) | Condition::Any(parts) => {
                self.tag(if matches!(condition, Condition::All(_)) { 11 } else { 12 });
                self.length(parts.len());
                parts.iter().for_each(|part| self.condition(part));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn put(item: Item) -> Vec<Write> {
        vec![Write::Put { table: Table::Orders, item, condition: Some(Condition::NotExists) }]
    }

    #[test]
    fn any_difference_makes_another_token() {
        let name = |table: Table| format!("{table:?}");
        let token = |writes: &[Write]| request_token(writes, name);
        let a = put(Item::default().with("pk", "a").with("n", 1));
        assert_eq!(token(&a), token(&a.clone()));
        assert_eq!(token(&a).len(), 32);
        assert_ne!(token(&a), token(&put(Item::default().with("pk", "a").with("n", 2))));
        assert_ne!(token(&a), token(&put(Item::default().with("pk", "an").with("", 1))));
        let unconditional = a
            .iter()
            .map(|write| match write {
                Write::Put { table, item, .. } => {
                    Write::Put { table: *table, item: item.clone(), condition: None }
                }
                other => other.clone(),
            })
            .collect::<Vec<_>>();
        assert_ne!(token(&a), token(&unconditional));
    }

    /// Where one thing ends and the next begins makes a difference, and so does each part of a condition.
    #[test]
    fn no_two_requests_feed_the_same_bytes() {
        let token = |writes: &[Write]| request_token(writes, |table: Table| format!("{table:?}"));
        let item = |members: &[(&'static str, &str)]| {
            members.iter().fold(Item::default(), |item, (name, value)| item.with(name, *value))
        };
        let put = |item: Item, condition: Condition| {
            vec![Write::Put { table: Table::Orders, item, condition: Some(condition) }]
        };
        let of_item = |members| put(item(members), Condition::Exists);
        let of_condition = |condition| put(item(&[("pk", "a")]), condition);
        let eq = |n: i64| Condition::Eq("n", n.into());
        let requests = [
            of_item(&[("a", "bc")]),
            of_item(&[("ab", "c")]),
            of_item(&[("a", "b"), ("c", "")]),
            of_item(&[("a", "b")]),
            of_condition(Condition::Exists),
            of_condition(Condition::NotExists),
            of_condition(Condition::Has("n")),
            of_condition(Condition::Lacks("n")),
            of_condition(eq(1)),
            of_condition(eq(2)),
            of_condition(Condition::Ne("n", 1.into())),
            of_condition(Condition::Lt("n", 1.into())),
            of_condition(Condition::Le("n", 1.into())),
            of_condition(Condition::Gt("n", 1.into())),
            of_condition(Condition::Ge("n", 1.into())),
            of_condition(Condition::All(vec![eq(1)])),
            of_condition(Condition::Any(vec![eq(1)])),
            of_condition(Condition::All(vec![eq(1), Condition::All(vec![])])),
            of_condition(Condition::All(vec![Condition::All(vec![eq(1)])])),
            of_condition(Condition::All(vec![Condition::All(vec![]), eq(1)])),
        ];
        let tokens: std::collections::BTreeSet<String> =
            requests.iter().map(|writes| token(writes)).collect();
        assert_eq!(tokens.len(), requests.len());
    }
}
