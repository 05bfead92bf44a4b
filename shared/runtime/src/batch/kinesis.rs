//! Records of a Kinesis stream.

use aws_lambda_events::kinesis::KinesisEventRecord;
use jiff::Timestamp;
use serde_json::Value;

use super::{Source, seconds_to_millis};

/// A Kinesis stream as event source.
#[derive(Debug, Clone, Copy)]
pub struct Kinesis;

/// A record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KinesisRecord {
    /// Its place in its shard.
    pub sequence_number: String,
    /// What chose its shard.
    pub partition_key: String,
    /// When the stream took it, roughly.
    pub arrived_at: Timestamp,
    /// Its bytes.
    pub data: Vec<u8>,
}

impl Source for Kinesis {
    type Record = KinesisRecord;
    const NAME: &'static str = "kinesis";
    const ORDERED: bool = true;

    fn read(raw: &str) -> Result<KinesisRecord, String> {
        let record: KinesisEventRecord = serde_json::from_str(raw).map_err(|error| error.to_string())?;
        let arrived_at = record.kinesis.approximate_arrival_timestamp.timestamp_millis();
        Ok(KinesisRecord {
            sequence_number: record.kinesis.sequence_number,
            partition_key: record.kinesis.partition_key,
            arrived_at: Timestamp::from_millisecond(arrived_at).map_err(|error| error.to_string())?,
            data: record.kinesis.data.0,
        })
    }

    fn arrived_millis(raw: &Value) -> Option<i64> {
        seconds_to_millis(raw.pointer("/kinesis/approximateArrivalTimestamp")?)
    }

    fn identifier(raw: &Value) -> Option<String> {
        raw.pointer("/kinesis/sequenceNumber")?.as_str().map(str::to_owned)
    }
}
