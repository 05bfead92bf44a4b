//! The sales stream on Kinesis.

use async_trait::async_trait;
use aws_config::SdkConfig;
use aws_sdk_kinesis::Client;
use aws_sdk_kinesis::primitives::Blob;
use aws_sdk_kinesis::types::PutRecordsRequestEntry;
use tillstream_app::ports::{EventStream, StreamRecord};
use tillstream_app::{Error, Result};

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

/// Cuts positions `0..sizes.len()` into runs of at most `most` that sum to at most `bytes_max`.
pub(crate) fn runs(sizes: &[usize], most: usize, bytes_max: usize) -> Vec<std::ops::Range<usize>> {
    let (mut runs, mut start, mut bytes) = (Vec::new(), 0, 0_usize);
    for (position, size) in sizes.iter().enumerate() {
        let full = position - start >= most || bytes.saturating_add(*size) > bytes_max;
        if full && position > start {
            runs.push(start..position);
            (start, bytes) = (position, 0);
        }
        bytes = bytes.saturating_add(*size);
    }
    if start < sizes.len() {
        runs.push(start..sizes.len());
    }
    runs
}

#[async_trait]
impl EventStream for KinesisStream {
    async fn publish(&self, records: &[StreamRecord]) -> Result<Vec<usize>> {
        let sizes: Vec<usize> = records.iter().map(size).collect();
        if let Some(position) = sizes.iter().position(|size| *size > RECORD_BYTES_MAX) {
            return Err(Error::Bug(format!("record {position} is above {RECORD_BYTES_MAX} bytes")));
        }
        let calls = runs(&sizes, RECORDS_MAX, CALL_BYTES_MAX);
        let (mut failed, mut failure, mut answered) = (Vec::new(), None, false);
        for call in calls {
            match self.put(records.get(call.clone()).unwrap_or_default()).await {
                Ok(positions) => {
                    answered = true;
                    failed.extend(positions.into_iter().map(|position| call.start + position));
                }
                Err(error @ Error::Retryable { .. }) => {
                    failed.extend(call);
                    failure = Some(error);
                }
                Err(error) => return Err(error),
            }
        }
        match failure {
            Some(error) if !answered => Err(error),
            _ => Ok(failed),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::runs;

    #[test]
    fn calls_stay_within_count_and_bytes() {
        assert_eq!(runs(&[], 2, 10), Vec::<std::ops::Range<usize>>::new());
        assert_eq!(runs(&[1, 1, 1], 2, 10), vec![0..2, 2..3]);
        assert_eq!(runs(&[6, 6, 4], 9, 10), vec![0..1, 1..3]);
        assert_eq!(runs(&[20], 9, 10), vec![0..1]);
    }
}
