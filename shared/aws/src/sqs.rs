//! The dispatcher's queue on SQS FIFO.

use std::time::Duration;

use async_trait::async_trait;
use aws_sdk_sqs::Client;
use aws_sdk_sqs::types::SendMessageBatchRequestEntry;
use aws_types::SdkConfig;
use sha2::{Digest, Sha256};
use tillstream_app::ports::{WakeUp, WakeUpQueue};
use tillstream_app::{Error, Result};

use crate::calls::send_in_calls;
use crate::errors::sending_error;

/// Most messages of one SendMessageBatch (API reference).
const MESSAGES_MAX: usize = 10;
/// Most bytes of one SendMessageBatch. SQS takes more since August 2025; wake-ups need far less.
const CALL_BYTES_MAX: usize = 256 * 1024;
/// Longest time a message can be hidden, from when it was received (12 hours).
const HIDDEN_SECONDS_MAX: u64 = 43_200;

/// The queue.
#[derive(Clone)]
pub struct SqsQueue {
    client: Client,
    queue_url: String,
}

impl SqsQueue {
    /// The FIFO queue at this URL.
    pub fn new(config: &SdkConfig, queue_url: impl Into<String>) -> Self {
        SqsQueue { client: Client::new(config), queue_url: queue_url.into() }
    }

    /// Sends one call's worth; answers which of them were not taken.
    async fn send_batch(&self, wake_ups: &[WakeUp]) -> Result<Vec<usize>> {
        let mut entries = Vec::with_capacity(wake_ups.len());
        for (position, wake_up) in wake_ups.iter().enumerate() {
            let entry = SendMessageBatchRequestEntry::builder()
                .id(position.to_string())
                .message_group_id(fifo_id(&wake_up.group))
                .message_deduplication_id(fifo_id(&wake_up.deduplication))
                .message_body(&wake_up.body);
            entries.push(entry.build().map_err(Error::bug)?);
        }
        let answer = self
            .client
            .send_message_batch()
            .queue_url(&self.queue_url)
            .set_entries(Some(entries))
            .send()
            .await
            .map_err(|error| sending_error("sqs", &error))?;
        if let Some(fault) = answer.failed().iter().find(|failed| failed.sender_fault()) {
            return Err(Error::Bug(format!("sqs refused a message: {}", fault.code())));
        }
        answer.failed().iter().map(|failed| failed.id().parse().map_err(Error::bug)).collect()
    }
}

/// An id as SQS takes it: up to 128 printable ASCII characters without space; another is hashed.
fn fifo_id(id: &str) -> String {
    if (1..=128).contains(&id.len()) && id.bytes().all(|byte| byte.is_ascii_graphic()) {
        return id.to_owned();
    }
    Sha256::digest(id.as_bytes()).iter().map(|byte| format!("{byte:02x}")).collect()
}

#[async_trait]
impl WakeUpQueue for SqsQueue {
    async fn send(&self, wake_ups: &[WakeUp]) -> Result<Vec<usize>> {
        let sizes: Vec<usize> = wake_ups.iter().map(|wake_up| wake_up.body.len()).collect();
        send_in_calls(wake_ups, &sizes, MESSAGES_MAX, CALL_BYTES_MAX, |call| Box::pin(self.send_batch(call)))
            .await
    }

    async fn postpone(&self, receipt: &str, delay: Duration) -> Result<()> {
        // Up to the next second: a message must not come back before its time.
        let seconds = (delay.as_secs() + u64::from(delay.subsec_nanos() > 0)).min(HIDDEN_SECONDS_MAX);
        self.client
            .change_message_visibility()
            .queue_url(&self.queue_url)
            .receipt_handle(receipt)
            .visibility_timeout(i32::try_from(seconds).map_err(Error::bug)?)
            .send()
            .await
            .map_err(|error| sending_error("sqs", &error))?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::fifo_id;

    #[test]
    fn ids_that_the_queue_would_refuse_are_hashed() {
        assert_eq!(fifo_id("order-1.2"), "order-1.2");
        assert_eq!(fifo_id("").len(), 64);
        assert_ne!(fifo_id("a b"), fifo_id("a  b"));
        assert_eq!(fifo_id(&"x".repeat(129)).len(), 64);
    }
}
