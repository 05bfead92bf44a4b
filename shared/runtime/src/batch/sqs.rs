//! Messages of an SQS queue, standard or FIFO.

use aws_lambda_events::sqs::SqsMessage;
use serde_json::Value;

use super::Source;

/// An SQS queue as event source.
#[derive(Debug, Clone, Copy)]
pub struct Sqs;

/// A message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SqsRecord {
    /// Its id.
    pub message_id: String,
    /// What it is postponed or deleted by.
    pub receipt_handle: String,
    /// Its message group, of a FIFO queue.
    pub group: Option<String>,
    /// How often it has been received, this time included.
    pub receive_count: u32,
    /// Its body.
    pub body: String,
}

impl Source for Sqs {
    type Record = SqsRecord;
    const NAME: &'static str = "sqs";
    const ORDERED: bool = false;

    fn read(raw: &str) -> Result<SqsRecord, String> {
        let message: SqsMessage = serde_json::from_str(raw).map_err(|error| error.to_string())?;
        let lacks = |what: &str| format!("the message lacks {what}");
        let mut attributes = message.attributes;
        Ok(SqsRecord {
            message_id: message.message_id.ok_or_else(|| lacks("messageId"))?,
            receipt_handle: message.receipt_handle.ok_or_else(|| lacks("receiptHandle"))?,
            group: attributes.remove("MessageGroupId"),
            receive_count: attributes
                .get("ApproximateReceiveCount")
                .and_then(|count| count.parse().ok())
                .unwrap_or(1),
            body: message.body.unwrap_or_default(),
        })
    }

    fn arrived_millis(raw: &Value) -> Option<i64> {
        raw.pointer("/attributes/SentTimestamp")?.as_str()?.parse().ok()
    }

    fn identifier(raw: &Value) -> Option<String> {
        raw.get("messageId")?.as_str().map(str::to_owned)
    }

    fn group(record: &SqsRecord) -> Option<&str> {
        record.group.as_deref()
    }
}
