//! Every function has sample events, and every sample event is what Lambda would send it, with a body
//! that its function reads. `make events` runs them all.
#![allow(clippy::unwrap_used, clippy::panic, missing_docs)]

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use jiff::Timestamp;
use serde::de::DeserializeOwned;
use serde_json::Value;
use tillstream_app::pos::envelope;
use tillstream_contracts::approvals::{AskForApproval, DecideApproval};
use tillstream_contracts::backorders::{BackorderRequest, CancelBackorderRequest};
use tillstream_contracts::catalog::ProductBody;
use tillstream_contracts::counts::{OpenCountRequest, RecordCountRequest};
use tillstream_contracts::inventory::{CommitRequest, ReserveRequest, RestockRequest, StockUpdateRequest};
use tillstream_contracts::lots::ChangeLotRequest;
use tillstream_contracts::orders::{PlaceOrder, RecordSale, UpdateOrder};
use tillstream_contracts::pos::CommandBatch;
use tillstream_contracts::purchase_orders::{PurchaseOrderRequest, ReceivePurchaseRequest};
use tillstream_contracts::settings::SettingsBody;
use tillstream_contracts::stored_value::{BlockStoredValue, IssueStoredValue, MoveStoredValue};
use tillstream_contracts::strict_json;
use tillstream_contracts::suppliers::SupplierBody;
use tillstream_contracts::transfers::{ReceiveTransferRequest, TransferRequest};

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

/// The bodies of a function's HTTP samples: the sample's name, its route, the body.
fn bodies(function: &str) -> Vec<(String, String, Value)> {
    let mut bodies = Vec::new();
    for sample in files(&root().join("events").join(function)) {
        let event: Value = serde_json::from_str(&std::fs::read_to_string(&sample).unwrap()).unwrap();
        let name = sample.file_stem().unwrap().to_str().unwrap().to_owned();
        if let Some(body) = event["body"].as_str().filter(|_| name != "poison") {
            let route = event["routeKey"].as_str().unwrap().to_owned();
            bodies.push((name, route, strict_json::parse(body.as_bytes()).unwrap()));
        }
    }
    bodies
}

/// The body is one of `T`, without a field that it does not know.
fn is_a<T: DeserializeOwned>(body: Value) -> Result<(), String> {
    strict_json::typed::<T>(body).map(|_| ()).map_err(|fault| format!("{fault:?}"))
}

/// Reads a command as the till does; its action.
fn action(sent: Value) -> Result<String, String> {
    let read = envelope::envelope(sent, Timestamp::now()).map_err(|error| error.to_string())?;
    envelope::command(&read.action, read.payload).map_err(|error| error.to_string())?;
    Ok(read.action)
}

/// Reads a body as its route does. Answers the actions of commands.
fn read(route: &str, body: Value) -> Result<Vec<String>, String> {
    let read = match route {
        "POST /v1/pos/command" => return action(body).map(|action| vec![action]),
        "POST /v1/pos/commands" => {
            let batch: CommandBatch = strict_json::typed(body).map_err(|fault| format!("{fault:?}"))?;
            return batch.commands.into_iter().map(action).collect();
        }
        "POST /v1/approvals" => is_a::<AskForApproval>(body),
        "POST /v1/approvals/{id}/grant" | "POST /v1/approvals/{id}/deny" => is_a::<DecideApproval>(body),
        "POST /v1/stored-value" => is_a::<IssueStoredValue>(body),
        "POST /v1/stored-value/{id}/credit" | "POST /v1/stored-value/{id}/debit" => {
            is_a::<MoveStoredValue>(body)
        }
        "POST /v1/stored-value/{id}/block" | "POST /v1/stored-value/{id}/unblock" => {
            is_a::<BlockStoredValue>(body)
        }
        "PUT /v1/products/{sku}" => is_a::<ProductBody>(body),
        "PUT /v1/settings" => is_a::<SettingsBody>(body),
        "POST /v1/orders" => is_a::<PlaceOrder>(body),
        "PUT /v1/orders/{id}" => is_a::<UpdateOrder>(body),
        "POST /v1/sales/record" => is_a::<RecordSale>(body),
        "POST /v1/inventory/update" => is_a::<StockUpdateRequest>(body),
        "POST /v1/inventory/reserve" => is_a::<ReserveRequest>(body),
        "POST /v1/inventory/reservations/{id}/commit" => is_a::<CommitRequest>(body),
        "POST /v1/stock-movements/transfer" => is_a::<TransferRequest>(body),
        "POST /v1/stock-movements/transfer/{id}/receive" => is_a::<ReceiveTransferRequest>(body),
        "POST /v1/inventory/counts" => is_a::<OpenCountRequest>(body),
        "POST /v1/inventory/counts/{id}/lines" => is_a::<RecordCountRequest>(body),
        "POST /v1/inventory/lots/{lot}/locations/{location_id}/{action}" => is_a::<ChangeLotRequest>(body),
        "POST /v1/inventory/restock" => is_a::<RestockRequest>(body),
        "POST /v1/suppliers" => is_a::<SupplierBody>(body),
        "POST /v1/purchase-orders" => is_a::<PurchaseOrderRequest>(body),
        "POST /v1/purchase-orders/{id}/receive" => is_a::<ReceivePurchaseRequest>(body),
        "POST /v1/inventory/backorders" => is_a::<BackorderRequest>(body),
        "POST /v1/inventory/backorders/{id}/cancel" => is_a::<CancelBackorderRequest>(body),
        other => Err(format!("what is a body of {other}?")),
    };
    read.map(|()| Vec::new())
}

/// A field that was renamed, or a value that is refused, would show here.
#[test]
fn sample_requests_are_read_as_they_stand() {
    let mut actions = BTreeSet::new();
    let mut routes = BTreeSet::new();
    for function in ["pos-commands", "orders", "inventory", "catalog"] {
        for (name, route, body) in bodies(function) {
            actions.extend(read(&route, body).unwrap_or_else(|e| panic!("{function}/{name}: {e}")));
            routes.insert(route);
        }
    }
    // A day at the till: opened, sold, parked, brought back, undone, closed.
    for action in ["open_till", "park_cart", "recall_cart", "finalize_exchange", "void_order", "close_till"] {
        assert!(actions.contains(action), "{action} is in no sample: {actions:?}");
    }
    assert!(routes.len() >= 12, "{routes:?}");
}
