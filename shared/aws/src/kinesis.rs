//! The sales stream on Kinesis.

use async_trait::async_trait;
use aws_sdk_kinesis::Client;
use aws_sdk_kinesis::primitives::Blob;
use aws_sdk_kinesis::types::PutRecordsRequestEntry;
use aws_types::SdkConfig;
use tillstream_app::ports::{EventStream, StreamRecord};
use tillstream_app::{Error, Result};

use crate::calls::send_in_calls;
use crate::errors::sending_error;

/// Most records of one PutRecords (API reference).
const RECORDS_MAX: usize = 500;
/// Most bytes of one PutRecords, partition keys included.
const CALL_BYTES_MAX: usize = 5 * 1024 * 1024;
/// Most bytes of one record, its partition key included.
const RECORD_BYTES_MAX: usize = 1024 * 1024;

/// The stream.
#[derive(Clone)]
pub struct KinesisStream {
    client: Client,
    stream_name: String,
}

impl KinesisStream {
    /// The stream of this name.
    pub fn new(config: &SdkConfig, stream_name: impl Into<String>) -> Self {
        KinesisStream { client: Client::new(config), stream_name: stream_name.into() }
    }

    /// Sends one call's worth; answers which of them were not taken.
    async fn put(&self, records: &[StreamRecord]) -> Result<Vec<usize>> {
        let mut entries = Vec::with_capacity(records.len());
        for record in records {
            let entry = PutRecordsRequestEntry::builder()
                .partition_key(&record.partition_key)
                .data(Blob::new(record.data.clone()));
            entries.push(entry.build().map_err(Error::bug)?);
        }
        let answer = self
            .client
            .put_records()
            .stream_name(&self.stream_name)
            .set_records(Some(entries))
            .send()
            .await
            .map_err(|error| sending_error("kinesis", &error))?;
        let failed: Vec<usize> = answer
            .records()
            .iter()
            .enumerate()
            .filter(|(_, record)| record.error_code().is_some())
            .map(|(position, _)| position)
            .collect();
        if let Some(code) = answer.records().iter().find_map(|record| record.error_code()) {
            tracing::warn!(code, failed = failed.len(), "the stream did not take all records");
        }
        Ok(failed)
    }
}

fn size(record: &StreamRecord) -> usize {
    record.partition_key.len().saturating_add(record.data.len())
}

#[async_trait]
impl EventStream for KinesisStream {
    async fn publish(&self, records: &[StreamRecord]) -> Result<Vec<usize>> {
        let sizes: Vec<usize> = records.iter().map(size).collect();
        if let Some(position) = sizes.iter().position(|size| *size > RECORD_BYTES_MAX) {
            return Err(Error::Bug(format!("record {position} is above {RECORD_BYTES_MAX} bytes")));
        }
        send_in_calls(records, &sizes, RECORDS_MAX, CALL_BYTES_MAX, |call| Box::pin(self.put(call))).await
    }
}
