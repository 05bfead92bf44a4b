//! The actions of the till are listed once (`ACTIONS`), and published twice beside: in the OpenAPI document and by the
//! sample events. All three say the same.
#![allow(clippy::unwrap_used, clippy::panic, missing_docs, reason = "a test that cannot go on fails")]

use std::collections::BTreeSet;
use std::path::Path;

use serde_json::Value;
use tillstream_contracts::openapi;
use tillstream_contracts::pos::ACTIONS;

/// Actions that no sample event shows: the README or a neighbour of theirs does. A new action is shown by a sample or
/// named here.
const WITHOUT_SAMPLE: [&str; 16] = [
    "set_customer",
    "update_line_item",
    "remove_line_item",
    "apply_manual_discount",
    "remove_manual_discount",
    "apply_coupon",
    "remove_coupon",
    "apply_promo",
    "remove_promo",
    "resume_editing",
    "refund_tender",
    "finalize_return",
    "void_return",
    "paid_in",
    "no_sale",
    "cash_count",
];

/// The action that a schema of one command is of.
fn action_of(variant: &Value) -> String {
    let action = &variant["properties"]["action"];
    let named = action["enum"].as_array().and_then(|names| names.first()).unwrap_or(&action["const"]);
    named.as_str().unwrap_or_else(|| panic!("of no action: {variant}")).to_owned()
}

#[test]
fn the_document_describes_every_action_and_no_other() {
    let document = serde_json::to_value(openapi::document()).unwrap();
    let command = &document["components"]["schemas"]["Command"];
    let variants = command["oneOf"].as_array().unwrap();
    let mut described: Vec<String> = variants.iter().map(action_of).collect();
    for (variant, action) in variants.iter().zip(&described) {
        let payload = &variant["properties"]["payload"];
        let schema = payload["$ref"].as_str().unwrap_or_else(|| panic!("{action} has no payload: {variant}"));
        let name = schema.rsplit('/').next().unwrap();
        assert!(document["components"]["schemas"][name].is_object(), "{action}: {name}");
    }
    described.sort();
    let mut listed: Vec<&str> = ACTIONS.to_vec();
    listed.sort_unstable();
    assert_eq!(described, listed);
    let unique: BTreeSet<&str> = ACTIONS.iter().copied().collect();
    assert_eq!(unique.len(), ACTIONS.len(), "each once");
}

/// The actions of a sample's body: of one command or of an upload.
fn actions(body: &Value) -> Vec<String> {
    let of = |command: &Value| command["action"].as_str().map(str::to_owned);
    match body["commands"].as_array() {
        Some(commands) => commands.iter().filter_map(of).collect(),
        // An approval names what it is for as an action, too, and is no command.
        None if body.get("idempotency_key").is_some() => of(body).into_iter().collect(),
        None => Vec::new(),
    }
}

#[test]
fn samples_show_every_action_but_those_that_are_named() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../events/pos-commands");
    let mut shown = BTreeSet::new();
    for file in std::fs::read_dir(folder).unwrap() {
        let event: Value = serde_json::from_slice(&std::fs::read(file.unwrap().path()).unwrap()).unwrap();
        // What is malformed on purpose shows nothing.
        let body = event["body"].as_str().and_then(|body| serde_json::from_str::<Value>(body).ok());
        shown.extend(body.iter().flat_map(actions));
    }
    let named: BTreeSet<String> = WITHOUT_SAMPLE.iter().map(|action| (*action).to_owned()).collect();
    let both: Vec<_> = shown.intersection(&named).collect();
    assert!(both.is_empty(), "shown by a sample, and named as if not: {both:?}");
    let all: BTreeSet<String> = ACTIONS.iter().map(|action| (*action).to_owned()).collect();
    let told: BTreeSet<String> = shown.union(&named).cloned().collect();
    assert_eq!(told, all);
}
