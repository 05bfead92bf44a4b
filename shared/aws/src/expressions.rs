//! DynamoDB's expressions out of conditions and changes. Every name and value goes through a
//! placeholder, so that no attribute can collide with a reserved word and no value can be syntax.

use std::collections::HashMap;

use aws_sdk_dynamodb::types::AttributeValue;
use tillstream_app::database::{Change, Condition, DatabaseError, Value};

use crate::attribute_values::to_attribute;

/// Placeholders of one request, shared by all its expressions.
#[derive(Debug, Default)]
pub(crate) struct Placeholders {
    names: HashMap<String, String>,
    values: HashMap<String, AttributeValue>,
}

impl Placeholders {
    /// The placeholder of an attribute name.
    pub(crate) fn name(&mut self, name: &str) -> String {
        if let Some((placeholder, _)) = self.names.iter().find(|(_, known)| *known == name) {
            return placeholder.clone();
        }
        let placeholder = format!("#n{}", self.names.len());
        self.names.insert(placeholder.clone(), name.to_owned());
        placeholder
    }

    /// The placeholder of a value.
    pub(crate) fn value(&mut self, value: AttributeValue) -> String {
        let placeholder = format!(":v{}", self.values.len());
        self.values.insert(placeholder.clone(), value);
        placeholder
    }

    /// Names, if any: DynamoDB refuses an empty map.
    pub(crate) fn names(&self) -> Option<HashMap<String, String>> {
        (!self.names.is_empty()).then(|| self.names.clone())
    }

    /// Values, if any: DynamoDB refuses an empty map.
    pub(crate) fn values(&self) -> Option<HashMap<String, AttributeValue>> {
        (!self.values.is_empty()).then(|| self.values.clone())
    }

    /// A condition expression.
    ///
    /// # Errors
    /// [`DatabaseError::Invalid`] for an empty list of conditions, and for an order of what has none.
    pub(crate) fn condition(&mut self, condition: &Condition) -> Result<String, DatabaseError> {
        if let Condition::Lt(name, value)
        | Condition::Le(name, value)
        | Condition::Gt(name, value)
        | Condition::Ge(name, value) = condition
            && matches!(value, Value::Bool(_) | Value::L(_) | Value::M(_))
        {
            return Err(DatabaseError::Invalid(format!(
                "incorrect operand type of the comparison with {name}"
            )));
        }
        let mut compare = |name: &str, operator: &str, value| {
            let name = self.name(name);
            let value = self.value(to_attribute(value));
            format!("{name} {operator} {value}")
        };
        Ok(match condition {
            Condition::Eq(name, value) => compare(name, "=", value),
            Condition::Ne(name, value) => compare(name, "<>", value),
            Condition::Lt(name, value) => compare(name, "<", value),
            Condition::Le(name, value) => compare(name, "<=", value),
            Condition::Gt(name, value) => compare(name, ">", value),
            Condition::Ge(name, value) => compare(name, ">=", value),
            Condition::Exists => format!("attribute_exists({})", self.name("pk")),
            Condition::NotExists => format!("attribute_not_exists({})", self.name("pk")),
            Condition::Has(name) => format!("attribute_exists({})", self.name(name)),
            Condition::Lacks(name) => format!("attribute_not_exists({})", self.name(name)),
            Condition::All(parts) => self.joined(parts, " AND ")?,
            Condition::Any(parts) => self.joined(parts, " OR ")?,
        })
    }

    fn joined(&mut self, parts: &[Condition], with: &str) -> Result<String, DatabaseError> {
        match parts {
            [] => Err(DatabaseError::Invalid("an empty list of conditions".into())),
            // DynamoDB refuses redundant parentheses around one condition only in key conditions, but
            // a reader of a log is helped by none at all.
            [one] => self.condition(one),
            parts => {
                let parts: Vec<String> = parts
                    .iter()
                    .map(|part| {
                        let text = self.condition(part)?;
                        Ok(match part {
                            Condition::All(_) | Condition::Any(_) => format!("({text})"),
                            _ => text,
                        })
                    })
                    .collect::<Result<_, DatabaseError>>()?;
                Ok(parts.join(with))
            }
        }
    }

    /// An update expression.
    ///
    /// # Errors
    /// [`DatabaseError::Invalid`] where nothing would change.
    pub(crate) fn update(&mut self, changes: &[Change]) -> Result<String, DatabaseError> {
        let (mut set, mut add, mut remove) = (Vec::new(), Vec::new(), Vec::new());
        for change in changes {
            match change {
                Change::Set(name, value) => {
                    set.push(format!("{} = {}", self.name(name), self.value(to_attribute(value))));
                }
                Change::SetIfAbsent(name, value) => {
                    let name = self.name(name);
                    set.push(format!("{name} = if_not_exists({name}, {})", self.value(to_attribute(value))));
                }
                Change::Add(name, number) => {
                    let value = AttributeValue::N(number.to_string());
                    add.push(format!("{} {}", self.name(name), self.value(value)));
                }
                Change::Remove(name) => remove.push(self.name(name)),
            }
        }
        let section = |word: &str, parts: Vec<String>| {
            (!parts.is_empty()).then(|| format!("{word} {}", parts.join(", ")))
        };
        let sections: Vec<String> = [section("SET", set), section("ADD", add), section("REMOVE", remove)]
            .into_iter()
            .flatten()
            .collect();
        if sections.is_empty() {
            return Err(DatabaseError::Invalid("an update without changes".into()));
        }
        Ok(sections.join(" "))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn expressions_nest_and_share_names() {
        let mut placeholders = Placeholders::default();
        let condition = Condition::All(vec![
            Condition::Exists,
            Condition::Any(vec![Condition::Lacks("version"), Condition::Eq("version", 3.into())]),
        ]);
        assert_eq!(
            placeholders.condition(&condition),
            Ok("attribute_exists(#n0) AND (attribute_not_exists(#n1) OR #n1 = :v0)".into())
        );
        let changes = [
            Change::Set("version", 4.into()),
            Change::Add("seq", 1),
            Change::SetIfAbsent("made", 9.into()),
            Change::Remove("hold"),
        ];
        assert_eq!(
            placeholders.update(&changes),
            Ok("SET #n1 = :v1, #n3 = if_not_exists(#n3, :v3) ADD #n2 :v2 REMOVE #n4".into())
        );
    }
}
