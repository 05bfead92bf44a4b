//! Changes of a table (DynamoDB Streams).

use std::collections::BTreeMap;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::Deserialize;
use serde_json::Value as Json;
use tillstream_app::database::{Item, Value};

use super::{Source, seconds_to_millis};

/// A table's stream as event source.
#[derive(Debug, Clone, Copy)]
pub struct Changes;

/// What happened to the item.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum ChangeKind {
    /// It was made.
    Insert,
    /// It was changed.
    Modify,
    /// It was deleted.
    Remove,
}

/// A change of one item.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    /// Its id; the same when it comes again.
    pub event_id: String,
    /// Its place in its shard.
    pub sequence_number: String,
    /// The table's name, from the stream's ARN.
    pub table_name: Option<String>,
    /// What happened.
    pub kind: ChangeKind,
    /// The item before, if there was one.
    pub old: Option<Item>,
    /// The item after, if there is one.
    pub new: Option<Item>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Record {
    #[serde(rename = "eventID")]
    event_id: String,
    event_name: ChangeKind,
    #[serde(rename = "eventSourceARN")]
    source: Option<String>,
    dynamodb: Images,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Images {
    sequence_number: String,
    old_image: Option<BTreeMap<String, Attribute>>,
    new_image: Option<BTreeMap<String, Attribute>>,
}

/// An attribute as DynamoDB writes it in JSON, of the types that this system writes.
#[derive(Deserialize)]
enum Attribute {
    S(String),
    N(String),
    B(String),
    #[serde(rename = "BOOL")]
    Bool(bool),
    L(Vec<Attribute>),
    M(BTreeMap<String, Attribute>),
}

impl Attribute {
    fn value(self) -> Result<Value, String> {
        Ok(match self {
            Attribute::S(text) => Value::S(text),
            Attribute::N(number) => {
                Value::N(number.parse().map_err(|_| "a number is no 64-bit integer".to_owned())?)
            }
            Attribute::B(text) => {
                Value::B(STANDARD.decode(text).map_err(|error| format!("binary attribute: {error}"))?)
            }
            Attribute::Bool(yes) => Value::Bool(yes),
            Attribute::L(list) => Value::L(list.into_iter().map(Attribute::value).collect::<Result<_, _>>()?),
            Attribute::M(map) => Value::M(values(map)?),
        })
    }
}

fn values(map: BTreeMap<String, Attribute>) -> Result<BTreeMap<String, Value>, String> {
    map.into_iter()
        .map(|(name, attribute)| match attribute.value() {
            Ok(value) => Ok((name, value)),
            Err(error) => Err(format!("{name}: {error}")),
        })
        .collect()
}

impl Source for Changes {
    type Record = Change;
    const NAME: &'static str = "dynamodb";
    const ORDERED: bool = true;

    fn read(raw: &str) -> Result<Change, String> {
        let record: Record = serde_json::from_str(raw).map_err(|error| error.to_string())?;
        let image = |image: Option<BTreeMap<String, Attribute>>| {
            image.map(|image| values(image).map(|attributes| Item(attributes.into()))).transpose()
        };
        // arn:aws:dynamodb:<region>:<account>:table/<name>/stream/<time>
        let table_name = record.source.as_deref().and_then(|arn| arn.split('/').nth(1)).map(str::to_owned);
        Ok(Change {
            event_id: record.event_id,
            sequence_number: record.dynamodb.sequence_number,
            table_name,
            kind: record.event_name,
            old: image(record.dynamodb.old_image)?,
            new: image(record.dynamodb.new_image)?,
        })
    }

    fn arrived_millis(raw: &Json) -> Option<i64> {
        seconds_to_millis(raw.pointer("/dynamodb/ApproximateCreationDateTime")?)
    }

    fn identifier(raw: &Json) -> Option<String> {
        raw.pointer("/dynamodb/SequenceNumber")?.as_str().map(str::to_owned)
    }
}
