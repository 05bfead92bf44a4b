//! Items to and from DynamoDB's attribute values.

use std::collections::HashMap;

use aws_sdk_dynamodb::types::AttributeValue;
use aws_smithy_types::Blob;
use tillstream_app::database::{DatabaseError, Item, Key, Value};

/// A value for DynamoDB.
pub(crate) fn to_attribute(value: &Value) -> AttributeValue {
    match value {
        Value::S(text) => AttributeValue::S(text.clone()),
        Value::N(number) => AttributeValue::N(number.to_string()),
        Value::B(bytes) => AttributeValue::B(Blob::new(bytes.clone())),
        Value::Bool(yes) => AttributeValue::Bool(*yes),
        Value::L(values) => AttributeValue::L(values.iter().map(to_attribute).collect()),
        Value::M(values) => AttributeValue::M(
            values.iter().map(|(name, value)| (name.clone(), to_attribute(value))).collect(),
        ),
    }
}

/// An item for DynamoDB.
pub(crate) fn to_attributes(item: &Item) -> HashMap<String, AttributeValue> {
    item.0.iter().map(|(name, value)| (name.clone(), to_attribute(value))).collect()
}

/// A primary key for DynamoDB.
pub(crate) fn key_attributes(key: &Key) -> HashMap<String, AttributeValue> {
    HashMap::from([
        ("pk".to_owned(), AttributeValue::S(key.pk().to_owned())),
        ("sk".to_owned(), AttributeValue::S(key.sk().to_owned())),
    ])
}

/// An item that DynamoDB answered.
///
/// # Errors
/// [`DatabaseError::Invalid`] for a type that the port does not have, or a number that is not a whole
/// one of 64 bits.
pub(crate) fn to_item(attributes: HashMap<String, AttributeValue>) -> Result<Item, DatabaseError> {
    let mut item = Item::default();
    for (name, value) in attributes {
        let value = to_value(&name, value)?;
        item.0.insert(name, value);
    }
    Ok(item)
}

fn to_value(name: &str, value: AttributeValue) -> Result<Value, DatabaseError> {
    Ok(match value {
        AttributeValue::S(text) => Value::S(text),
        AttributeValue::N(number) => Value::N(number.parse().map_err(|_| {
            DatabaseError::Invalid(format!("attribute {name} is not a whole number of 64 bits"))
        })?),
        AttributeValue::B(bytes) => Value::B(bytes.into_inner()),
        AttributeValue::Bool(yes) => Value::Bool(yes),
        AttributeValue::L(values) => {
            Value::L(values.into_iter().map(|value| to_value(name, value)).collect::<Result<_, _>>()?)
        }
        AttributeValue::M(values) => Value::M(
            values
                .into_iter()
                .map(|(key, value)| to_value(name, value).map(|value| (key, value)))
                .collect::<Result<_, _>>()?,
        ),
        _ => {
            return Err(DatabaseError::Invalid(format!(
                "attribute {name} is of a type that is not used here"
            )));
        }
    })
}
