//! What a final cart tells the stream.
#![allow(clippy::unwrap_used, missing_docs, reason = "a test that cannot go on fails")]

use tillstream_app::facts::stream_record;
use tillstream_contracts::events::{EVENT_BYTES_MAX, SaleEvent};
use tillstream_testkit::made_up_sales::sale;

/// A record of the stream has a bound; a fact beyond it goes without its detail, and no other does.
#[test]
fn only_what_is_too_large_goes_without_its_detail() {
    let mut event = sale("r-1", 1);
    let length = |event: &SaleEvent| serde_json::to_vec(event).unwrap().len();
    event.order_id = "o".repeat(EVENT_BYTES_MAX - length(&event) + event.order_id.len());
    assert_eq!(length(&event), EVENT_BYTES_MAX);
    for (more, has_detail) in [(0, true), (1, false)] {
        let mut event = event.clone();
        event.order_id.push_str(&"o".repeat(more));
        let record = stream_record(event.clone()).unwrap();
        let sent: SaleEvent = serde_json::from_slice(&record.data).unwrap();
        assert_eq!(sent.detail.is_some(), has_detail);
        assert_eq!(SaleEvent { detail: None, ..sent }, SaleEvent { detail: None, ..event.clone() });
        assert_eq!(record.partition_key, event.partition_key());
    }
    let small = sale("r-1", 1);
    let record = stream_record(small.clone()).unwrap();
    assert_eq!(serde_json::from_slice::<SaleEvent>(&record.data).unwrap(), small);
}
