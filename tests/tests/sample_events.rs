//! Every function has sample events, and every sample event is what Lambda would send it, with a body
//! that its function reads. `make events` runs them all.
#![allow(clippy::unwrap_used, clippy::panic, missing_docs)]

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use jiff::Timestamp;
use serde_json::Value;
use tillstream_app::pos::envelope;
use tillstream_contracts::approvals::{AskForApproval, DecideApproval};
use tillstream_contracts::orders::PlaceOrder;
use tillstream_contracts::pos::CommandBatch;
use tillstream_contracts::stored_value::{IssueStoredValue, MoveStoredValue};
use tillstream_contracts::strict_json;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

fn files(folder: &Path) -> Vec<PathBuf> {
    let mut files: Vec<PathBuf> = std::fs::read_dir(folder).unwrap().map(|f| f.unwrap().path()).collect();
    files.sort();
    files
}

#[test]
fn every_function_has_samples_that_lambda_could_send() {
    for function in files(&root().join("functions")) {
        let name = function.file_name().unwrap().to_str().unwrap();
        let samples = files(&root().join("events").join(name));
        assert!(!samples.is_empty(), "{name} has no sample event");
        for sample in samples {
            let shown = sample.display();
            let text = std::fs::read_to_string(&sample).unwrap();
            let event: Value = serde_json::from_str(&text).unwrap_or_else(|e| panic!("{shown}: {e}"));
            if event["version"] == "2.0" {
                let request = lambda_http::request::from_str(&text);
                let request = request.unwrap_or_else(|e| panic!("{shown} is no HTTP API event: {e}"));
                assert_eq!(request.method().as_str(), event["requestContext"]["http"]["method"], "{shown}");
            } else if let Some(records) = event["Records"].as_array() {
                assert!(!records.is_empty(), "{shown} has no records");
            } else if name == "stock-keeper" && event.get("detail-type").is_none() {
                // What an operator invokes it with.
                let asked = ["restore", "compare_lanes"].iter().filter(|asked| event.get(asked).is_some());
                assert_eq!(asked.count(), 1, "{shown} asks for nothing known");
            } else {
                assert_eq!(event["detail-type"], "Scheduled Event", "{shown} is of no known trigger");
            }
        }
    }
}

/// The bodies of a function's HTTP samples, by the sample's name.
fn bodies(function: &str) -> Vec<(String, Value)> {
    let mut bodies = Vec::new();
    for sample in files(&root().join("events").join(function)) {
        let event: Value = serde_json::from_str(&std::fs::read_to_string(&sample).unwrap()).unwrap();
        let name = sample.file_stem().unwrap().to_str().unwrap().to_owned();
        if let Some(body) = event["body"].as_str().filter(|_| name != "poison") {
            bodies.push((name, strict_json::parse(body.as_bytes()).unwrap()));
        }
    }
    bodies
}

/// A field that was renamed, or a value that is refused, would show here.
#[test]
fn sample_commands_and_orders_are_read_as_they_stand() {
    let mut actions = BTreeSet::new();
    let (stored_value, others): (Vec<_>, Vec<_>) =
        bodies("pos-commands").into_iter().partition(|(name, _)| name.ends_with("stored-value"));
    assert!(stored_value.len() >= 2);
    for (name, body) in stored_value {
        if name.starts_with("issue") {
            let _: IssueStoredValue = strict_json::typed(body).unwrap_or_else(|e| panic!("{name}: {e:?}"));
        } else {
            let _: MoveStoredValue = strict_json::typed(body).unwrap_or_else(|e| panic!("{name}: {e:?}"));
        }
    }
    let (approvals, commands): (Vec<_>, Vec<_>) =
        others.into_iter().partition(|(name, _)| name.ends_with("approval"));
    assert!(approvals.len() >= 2);
    for (name, body) in approvals {
        if name.starts_with("ask") {
            let _: AskForApproval = strict_json::typed(body).unwrap_or_else(|e| panic!("{name}: {e:?}"));
        } else {
            let _: DecideApproval = strict_json::typed(body).unwrap_or_else(|e| panic!("{name}: {e:?}"));
        }
    }
    for (name, body) in commands {
        let batch: Option<CommandBatch> = strict_json::typed(body.clone()).ok();
        for sent in batch.map_or_else(|| vec![body], |batch| batch.commands) {
            let read = envelope::envelope(sent, Timestamp::now()).unwrap_or_else(|e| panic!("{name}: {e}"));
            envelope::command(&read.action, read.payload).unwrap_or_else(|e| panic!("{name}: {e}"));
            actions.insert(read.action);
        }
    }
    assert!(actions.len() >= 3, "{actions:?}");
    let orders = bodies("orders");
    assert!(!orders.is_empty());
    for (name, body) in orders {
        let order: PlaceOrder = strict_json::typed(body).unwrap_or_else(|e| panic!("{name}: {e:?}"));
        assert!(!order.lines.is_empty(), "{name}");
    }
}
