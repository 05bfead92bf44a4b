//! The OpenAPI document by itself: tests of the whole compare it with routes and answers.

use std::collections::BTreeSet;

use serde_json::Value;
use tillstream_contracts::openapi::document;

fn json() -> Value {
    serde_json::to_value(document()).unwrap()
}

fn references(value: &Value, found: &mut BTreeSet<String>) {
    match value {
        Value::Object(members) => {
            for (name, member) in members {
                match member {
                    Value::String(target) if name == "$ref" => {
                        found.insert(target.clone());
                    }
                    other => references(other, found),
                }
            }
        }
        Value::Array(items) => items.iter().for_each(|item| references(item, found)),
        _ => {}
    }
}

#[test]
fn it_is_openapi_3_1_and_every_reference_leads_somewhere() {
    let document = json();
    assert!(document["openapi"].as_str().unwrap().starts_with("3.1"));
    let mut found = BTreeSet::new();
    references(&document, &mut found);
    assert!(found.contains("#/components/schemas/Problem"));
    for reference in found {
        let pointer = reference.strip_prefix('#').unwrap();
        assert!(document.pointer(pointer).is_some(), "{reference} leads nowhere");
    }
}

#[test]
fn every_refusal_is_a_problem_document_and_every_operation_has_a_name_of_its_own() {
    let document = json();
    let mut ids = BTreeSet::new();
    for (path, item) in document["paths"].as_object().unwrap() {
        for (method, operation) in item.as_object().unwrap() {
            let id = operation["operationId"].as_str().unwrap();
            assert!(ids.insert(id.to_owned()), "operation id {id} is used twice");
            assert!(operation["summary"].is_string(), "{method} {path} has no summary");
            let responses = operation["responses"].as_object().unwrap();
            assert!(responses.keys().any(|status| status.starts_with(['2', '3'])), "{method} {path}");
            for (status, response) in responses.iter().filter(|(status, _)| status.starts_with(['4', '5'])) {
                let schema = response.pointer("/content/application~1problem+json/schema/$ref");
                assert!(schema.is_some(), "{method} {path} {status} is no problem document");
            }
            let open = operation.get("security").is_some();
            assert_eq!(responses.contains_key("401"), !open, "{method} {path}");
        }
    }
}

#[test]
fn open_routes_are_those_that_are_meant_to_be() {
    let document = json();
    assert_eq!(document["security"], serde_json::json!([{"bearer": []}]));
    let open: BTreeSet<&String> = document["paths"]
        .as_object()
        .unwrap()
        .iter()
        .filter(|(_, item)| item.as_object().unwrap().values().any(|op| op.get("security").is_some()))
        .map(|(path, _)| path)
        .collect();
    let expected = ["/.well-known/jwks.json", "/v1/health", "/v1/openapi.json"];
    assert_eq!(open.into_iter().map(String::as_str).collect::<Vec<_>>(), expected);
}
