//! The envelope of a till's command, and its payload.

use jiff::Timestamp;
use proptest::prelude::*;
use proptest::sample::select;
use serde_json::{Value, json};
use tillstream_app::error::Error;
use tillstream_app::pos::envelope::{command, envelope};
use tillstream_contracts::pos::{ACTIONS, CommandBatch};
use tillstream_contracts::strict_json;
use tillstream_domain::identifier::check_id;

use crate::alterations::{altered_json, any_json, json_input};
use crate::{guarded, samples};

fn now() -> Timestamp {
    "2026-11-21T10:00:00Z".parse().unwrap()
}

fn envelopes() -> Vec<Value> {
    let mut all = Vec::new();
    for body in samples::json_bodies("pos-commands") {
        match strict_json::typed::<CommandBatch>(body.clone()) {
            Ok(batch) => all.extend(batch.commands),
            Err(_) => all.push(body),
        }
    }
    all
}

/// A payload for each action, with every field it takes.
fn payloads() -> Vec<Value> {
    let money = json!({"amount": 1_099, "currency": "GBP"});
    vec![
        json!({"cart_id": "c-1", "channel": "pos", "customer_id": "k-1"}),
        json!({"cart_id": "c-1", "sku": "85123A", "quantity": 6, "notes": "x", "unit_price_override": "2.55"}),
        json!({"cart_id": "c-1", "line_id": "l-1", "quantity": "0.482", "notes": null}),
        json!({"cart_id": "c-1", "tender": "cash", "amount": money, "tip": money, "entry_method": "chip"}),
        json!({"return_id": "r-1", "original_order_id": "c-1", "reason": "x"}),
        json!({"return_id": "r-1", "line_id": "l-1", "quantity": 1, "disposition": "restock", "unit_price": "1"}),
        json!({"return_id": "r-1", "tender": "cash", "amount": money}),
        json!({"cart_id": "c-1", "payment_id": "p-1"}),
        json!({"cart_id": "c-1", "reason": "x"}),
        json!({"cart_id": "c-1"}),
        json!({"cart_id": "c-1", "total": money}),
        json!({"return_id": "r-1"}),
        json!({"return_id": "r-1", "cart_id": "c-1"}),
        json!({"cart_id": "c-1", "note": "the lady with the hat"}),
        json!({"limit": 10, "cursor": "AAAA"}),
        json!({"order_id": "c-1", "reason": "x", "approval_id": "a-1"}),
        json!({"shift_id": "sh-1", "amount": money, "denominations": [{"value": money, "count": 7}]}),
        json!({"shift_id": "sh-1", "amount": money, "reason": "x", "approval_id": "a-1"}),
        json!({"shift_id": "sh-1", "counted": money, "denominations": [{"value": money, "count": 7}], "reason": "x"}),
        json!({"shift_id": "sh-1"}),
    ]
}

/// A refusal says what was wrong; nothing else may come of what was sent.
fn refused(error: &Error) -> bool {
    matches!(error, Error::Rejected(refusal) if !refusal.code.is_empty() && !refusal.detail.is_empty())
}

proptest! {
    #[test]
    fn an_envelope_is_read_or_refused(bytes in json_input(envelopes())) {
        let now = now();
        guarded(bytes.len(), 200, || {
            let Ok(value) = strict_json::parse(&bytes) else { return };
            match envelope(value, now) {
                Ok(read) => {
                    assert!((1..=128).contains(&read.idempotency_key.len()));
                    assert!(check_id(&read.store_id).is_ok() && check_id(&read.register_id).is_ok());
                    assert!(read.occurred_at.is_none_or(|at| at >= Timestamp::UNIX_EPOCH));
                    if let Err(error) = command(&read.action, read.payload) {
                        assert!(refused(&error), "{error}");
                    }
                }
                Err(error) => assert!(refused(&error), "{error}"),
            }
        });
    }

    #[test]
    fn a_payload_is_read_or_refused(
        action in prop_oneof![9 => select(ACTIONS.to_vec()).prop_map(str::to_owned), 1 => "\\PC{0,20}"],
        text in prop_oneof![
            4 => altered_json(payloads()),
            1 => any_json().prop_map(|value| value.to_string()),
        ],
    ) {
        guarded(text.len(), 200, || {
            if let Ok(value) = strict_json::parse(text.as_bytes())
                && let Err(error) = command(&action, value)
            {
                assert!(refused(&error), "{error}");
            }
        });
    }
}

#[test]
fn every_payload_is_good_for_an_action() {
    for payload in payloads() {
        assert!(ACTIONS.iter().any(|action| command(action, payload.clone()).is_ok()), "{payload}");
    }
}
