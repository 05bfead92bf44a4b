//! Events as Lambda hands them to a function: the JSON of Kinesis, DynamoDB Streams and SQS sources.
//!
//! Source: Lambda Developer Guide, the example events of each service.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use jiff::Timestamp;
use serde_json::{Map, Value as Json, json};
use tillstream_app::database::{Item, Table, Value};

use crate::memory_database::{StreamChange, item_size};
use crate::memory_messaging::{ReceivedMessage, ShardRecord};

/// An event of these records.
pub fn event(records: &[Json]) -> Json {
    json!({ "Records": records })
}

/// An item as DynamoDB writes it in JSON.
pub fn dynamodb_json(item: &Item) -> Json {
    Json::Object(item.0.iter().map(|(name, value)| (name.clone(), attribute(value))).collect())
}

fn attribute(value: &Value) -> Json {
    match value {
        Value::S(text) => json!({ "S": text }),
        Value::N(number) => json!({ "N": number.to_string() }),
        Value::B(bytes) => json!({ "B": STANDARD.encode(bytes) }),
        Value::Bool(yes) => json!({ "BOOL": yes }),
        Value::L(values) => json!({ "L": values.iter().map(attribute).collect::<Vec<_>>() }),
        Value::M(values) => {
            let values: Map<String, Json> =
                values.iter().map(|(name, value)| (name.clone(), attribute(value))).collect();
            json!({ "M": values })
        }
    }
}

/// Sequence number of a change as the stream writes it.
pub fn change_sequence(sequence: u64) -> String {
    format!("1{sequence:023}")
}

/// Sequence number of a Kinesis record as the stream writes it.
pub fn kinesis_sequence(sequence: u64) -> String {
    format!("49{sequence:054}")
}

/// One change of a table.
pub fn change_record(change: &StreamChange) -> Json {
    let keys = |item: &Item| {
        let keys = item.0.iter().filter(|(name, _)| matches!(name.as_str(), "pk" | "sk"));
        Item(keys.map(|(name, value)| (name.clone(), value.clone())).collect())
    };
    let images = [&change.old, &change.new].into_iter().flatten();
    let size: usize = images.map(|image| item_size(&keys(image)) + item_size(image)).sum();
    let table = table_name(change.table);
    let sequence = change_sequence(change.sequence);
    let name = match (&change.old, &change.new) {
        (None, _) => "INSERT",
        (Some(_), Some(_)) => "MODIFY",
        (Some(_), None) => "REMOVE",
    };
    let mut dynamodb = json!({
        "ApproximateCreationDateTime": change.at.as_second(),
        "Keys": change.new.as_ref().or(change.old.as_ref()).map(|item| dynamodb_json(&keys(item))),
        "SequenceNumber": sequence,
        "SizeBytes": size,
        "StreamViewType": "NEW_AND_OLD_IMAGES",
    });
    if let Some(members) = dynamodb.as_object_mut() {
        for (name, image) in [("OldImage", &change.old), ("NewImage", &change.new)] {
            if let Some(image) = image {
                members.insert(name.to_owned(), dynamodb_json(image));
            }
        }
    }
    json!({
        "eventID": format!("{table}-{sequence}"),
        "eventName": name,
        "eventVersion": "1.1",
        "eventSource": "aws:dynamodb",
        "awsRegion": "us-east-1",
        "dynamodb": dynamodb,
        "eventSourceARN": format!("{}/stream/2026-01-01T00:00:00.000", table_arn(change.table)),
    })
}

/// What a table is called in event payloads.
pub fn table_name(table: Table) -> String {
    format!("tillstream-{table:?}").to_lowercase()
}

fn table_arn(table: Table) -> String {
    format!("arn:aws:dynamodb:us-east-1:123456789012:table/{}", table_name(table))
}

/// One record of the sales stream.
pub fn kinesis_record(shard: usize, record: &ShardRecord) -> Json {
    let sequence = kinesis_sequence(record.sequence);
    json!({
        "kinesis": {
            "kinesisSchemaVersion": "1.0",
            "partitionKey": record.partition_key,
            "sequenceNumber": sequence,
            "data": STANDARD.encode(&record.data),
            "approximateArrivalTimestamp": seconds(record.at),
        },
        "eventSource": "aws:kinesis",
        "eventVersion": "1.0",
        "eventID": format!("{}:{sequence}", shard_id(shard)),
        "eventName": "aws:kinesis:record",
        "invokeIdentityArn": "arn:aws:iam::123456789012:role/tillstream",
        "awsRegion": "us-east-1",
        "eventSourceARN": KINESIS_ARN,
    })
}

/// The sales stream in event payloads.
pub const KINESIS_ARN: &str = "arn:aws:kinesis:us-east-1:123456789012:stream/tillstream-sales";

/// Name of a shard.
pub fn shard_id(shard: usize) -> String {
    format!("shardId-{shard:012}")
}

/// Seconds with milliseconds, as a JSON number.
fn seconds(at: Timestamp) -> Json {
    let millis = at.as_millisecond();
    let text = format!("{}.{:03}", millis.div_euclid(1000), millis.rem_euclid(1000));
    text.parse::<f64>().ok().and_then(serde_json::Number::from_f64).map_or(Json::Null, Json::Number)
}

/// One message of the dispatcher's queue.
pub fn queue_record(message: &ReceivedMessage) -> Json {
    json!({
        "messageId": message.message_id,
        "receiptHandle": message.receipt,
        "body": message.body,
        "attributes": {
            "ApproximateReceiveCount": message.receive_count.to_string(),
            "SentTimestamp": message.sent_at.as_millisecond().to_string(),
            "SequenceNumber": format!("{:020}", message.sequence),
            "MessageGroupId": message.group,
            "SenderId": "AIDATILLSTREAM",
            "MessageDeduplicationId": message.deduplication,
            "ApproximateFirstReceiveTimestamp": message.first_received_at.as_millisecond().to_string(),
        },
        "messageAttributes": {},
        // Of no use to a function, which has the body: always the same.
        "md5OfBody": "00000000000000000000000000000000",
        "eventSource": "aws:sqs",
        "eventSourceARN": "arn:aws:sqs:us-east-1:123456789012:tillstream-hq.fifo",
        "awsRegion": "us-east-1",
    })
}
