//! JSON as clients send it, and the bodies that are read from it.

use proptest::prelude::*;
use serde::de::DeserializeOwned;
use serde_json::Value;
use tillstream_contracts::catalog::{LocationBody, ProductBody};
use tillstream_contracts::dispatch::{DiscardRequest, ReplayManyRequest};
use tillstream_contracts::inventory::{ExtendRequest, ReserveRequest, StockUpdateRequest};
use tillstream_contracts::orders::PlaceOrder;
use tillstream_contracts::pos::CommandBatch;
use tillstream_contracts::strict_json::{self, Fault};

use crate::alterations::json_input;
use crate::{guarded, samples};

fn bodies() -> Vec<Value> {
    ["pos-commands", "orders", "inventory", "catalog", "dispatch-admin"]
        .into_iter()
        .flat_map(samples::json_bodies)
        .collect()
}

fn typed<T: DeserializeOwned>(value: &Value) {
    if let Err(fault) = strict_json::typed::<T>(value.clone()) {
        assert!(!fault.message.is_empty());
    }
}

fn has_fraction(value: &Value) -> bool {
    match value {
        Value::Number(number) => number.is_f64(),
        Value::Array(items) => items.iter().any(has_fraction),
        Value::Object(members) => members.values().any(has_fraction),
        _ => false,
    }
}

proptest! {
    /// Nothing is read that the common reader refuses, and what is read is the same.
    #[test]
    fn a_document_is_what_it_says(bytes in json_input(bodies())) {
        let read = guarded(bytes.len(), 200, || strict_json::parse(&bytes));
        let usual = serde_json::from_slice::<Value>(&bytes);
        match read {
            Ok(value) => {
                prop_assert_eq!(&value, &usual.unwrap());
                // The common reader is one unit in the last place off for some fractions, and no body has any.
                if !has_fraction(&value) {
                    let again = strict_json::parse(value.to_string().as_bytes());
                    prop_assert_eq!(again, Ok(value));
                }
            }
            // Refused for a member that comes twice: said once, it is read.
            Err(fault) => if let Ok(usual) = usual {
                let twice = matches!(&fault, Fault::Field(fault) if fault.message.starts_with("duplicate field"));
                prop_assert!(twice, "{:?}", fault);
                prop_assert!(strict_json::parse(usual.to_string().as_bytes()).is_ok());
            }
        }
    }

    #[test]
    fn a_body_is_of_its_type_or_refused(bytes in json_input(bodies())) {
        guarded(bytes.len(), 400, || {
            if let Ok(value) = strict_json::parse(&bytes) {
                typed::<PlaceOrder>(&value);
                typed::<CommandBatch>(&value);
                typed::<ReserveRequest>(&value);
                typed::<StockUpdateRequest>(&value);
                typed::<ExtendRequest>(&value);
                typed::<ProductBody>(&value);
                typed::<LocationBody>(&value);
                typed::<DiscardRequest>(&value);
                typed::<ReplayManyRequest>(&value);
            }
        });
    }
}

#[test]
fn depth_is_bounded() {
    for text in ["[".repeat(1_000_000), "{\"a\":".repeat(1_000_000)] {
        assert!(guarded(text.len(), 2, || strict_json::parse(text.as_bytes())).is_err());
    }
}
