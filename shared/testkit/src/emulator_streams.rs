//! What the streams of an emulator tell, read over its wire: the project has no client of DynamoDB Streams,
//! since on AWS Lambda reads them.
#![allow(clippy::unwrap_used, clippy::panic, reason = "what a test reads with fails with it")]

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value as Json, json};
use tillstream_app::database::{Item, Key, Table, Value};

use crate::database_contract::streams::{TableStreams, ToldChange};
use crate::emulator::DynamoFixture;

const ANSWER_MAX: Duration = Duration::from_secs(30);
/// No emulator looks at the signature, but some look whether there is one, and of which account.
const SIGNED: &str = "AWS4-HMAC-SHA256 Credential=test/20260101/us-east-1/dynamodb/aws4_request, \
                      SignedHeaders=host;x-amz-date, Signature=0";

impl TableStreams for DynamoFixture {
    fn told(&self, table: Table) -> Vec<ToldChange> {
        let name = self.tables.of(table).unwrap();
        let described = ask(&self.endpoint, "DynamoDB_20120810.DescribeTable", &json!({"TableName": name}));
        match described["Table"]["LatestStreamArn"].as_str() {
            Some(stream) => told_by(&self.endpoint, stream),
            None => Vec::new(),
        }
    }
}

fn told_by(endpoint: &str, stream: &str) -> Vec<ToldChange> {
    let ask =
        |operation: &str, body: &Json| ask(endpoint, &format!("DynamoDBStreams_20120810.{operation}"), body);
    let described = ask("DescribeStream", &json!({"StreamArn": stream}));
    let description = &described["StreamDescription"];
    assert_eq!(description["StreamViewType"].as_str(), Some("NEW_AND_OLD_IMAGES"), "{described}");
    let mut told = Vec::new();
    for shard in description["Shards"].as_array().unwrap() {
        let from =
            json!({"StreamArn": stream, "ShardId": shard["ShardId"], "ShardIteratorType": "TRIM_HORIZON"});
        let mut iterator = ask("GetShardIterator", &from)["ShardIterator"].clone();
        let mut last = String::new();
        loop {
            let page = ask("GetRecords", &json!({"ShardIterator": iterator}));
            let records = page["Records"].as_array().unwrap();
            for record in records {
                let sequence = record["dynamodb"]["SequenceNumber"].as_str().unwrap();
                assert!((sequence.len(), sequence) > (last.len(), last.as_str()), "after {last}: {record}");
                sequence.clone_into(&mut last);
                told.push(change(record));
            }
            iterator = page["NextShardIterator"].clone();
            if records.is_empty() || iterator.is_null() {
                break;
            }
        }
    }
    told
}

/// A record; its name and its keys are of its images.
fn change(record: &Json) -> ToldChange {
    let of = &record["dynamodb"];
    let image = |name: &str| of.get(name).filter(|image| !image.is_null()).map(item);
    let (old, new) = (image("OldImage"), image("NewImage"));
    let (event, whole) = match (&old, &new) {
        (None, Some(new)) => ("INSERT", new),
        (Some(_), Some(new)) => ("MODIFY", new),
        (Some(old), None) => ("REMOVE", old),
        (None, None) => panic!("a change of nothing: {record}"),
    };
    assert_eq!(record["eventName"].as_str(), Some(event), "{record}");
    assert_eq!(item(&of["Keys"]), Item::new(&Key::of(whole).unwrap()), "{record}");
    ToldChange { old, new }
}

fn item(attributes: &Json) -> Item {
    let attributes = attributes.as_object().unwrap().iter();
    Item(attributes.map(|(name, value)| (name.clone(), attribute(value))).collect())
}

fn attribute(typed: &Json) -> Value {
    let (kind, value) = typed.as_object().unwrap().iter().next().unwrap();
    match kind.as_str() {
        "S" => Value::S(value.as_str().unwrap().to_owned()),
        "N" => Value::N(value.as_str().unwrap().parse().unwrap()),
        "B" => Value::B(STANDARD.decode(value.as_str().unwrap()).unwrap()),
        "BOOL" => Value::Bool(value.as_bool().unwrap()),
        "L" => Value::L(value.as_array().unwrap().iter().map(attribute).collect()),
        "M" => Value::M(item(value).0.into()),
        other => panic!("{other} is no type of the port: {typed}"),
    }
}

/// One request on a connection of its own.
fn ask(endpoint: &str, operation: &str, body: &Json) -> Json {
    let address = endpoint.strip_prefix("http://").unwrap().trim_end_matches('/');
    let body = body.to_string();
    let request = format!(
        "POST / HTTP/1.1\r\nHost: {address}\r\nContent-Type: application/x-amz-json-1.0\r\n\
         X-Amz-Target: {operation}\r\nX-Amz-Date: 20260101T000000Z\r\nAuthorization: {SIGNED}\r\n\
         Content-Length: {}\r\nConnection: close\r\n\r\n{body}",
        body.len()
    );
    let mut connection = TcpStream::connect(address).unwrap();
    connection.set_read_timeout(Some(ANSWER_MAX)).unwrap();
    connection.write_all(request.as_bytes()).unwrap();
    let mut answer = String::new();
    connection.read_to_string(&mut answer).unwrap();
    let (head, content) = answer.split_once("\r\n\r\n").unwrap();
    assert!(head.starts_with("HTTP/1.1 200"), "{operation}: {answer}");
    serde_json::from_str(content).unwrap_or_else(|error| panic!("{operation}: {error}: {answer}"))
}
