//! Bugs in what is sent: to the stream, and to HQ.

use std::sync::Arc;

use async_trait::async_trait;
use jiff::civil::Date;
use tillstream_app::Result as AppResult;
use tillstream_app::dispatch::transport::{HqAnswer, HqRequest, HqTransport, HqTransportError};
use tillstream_app::ports::{EventStream, StreamRecord};

use super::super::network::HqLine;
use super::Bug;
use crate::memory_messaging::MemoryStream;

pub struct BuggyStream {
    pub bug: Bug,
    pub inner: Arc<MemoryStream>,
}

impl BuggyStream {
    fn distort(&self, record: &StreamRecord) -> StreamRecord {
        let mut record = record.clone();
        let Ok(mut event) = serde_json::from_slice::<serde_json::Value>(&record.data) else { return record };
        match self.bug {
            Bug::LineRoundedDown => {
                let lines = event.pointer_mut("/detail/lines").and_then(|lines| lines.as_array_mut());
                for line in lines.into_iter().flatten() {
                    let gross = line.get("gross").and_then(serde_json::Value::as_i64).unwrap_or(0);
                    if gross % 10 == 1 {
                        line["gross"] = (gross - 1).into();
                    }
                }
            }
            Bug::DiscountUncounted => {
                let lines = event.pointer_mut("/detail/lines").and_then(|lines| lines.as_array_mut());
                for line in lines.into_iter().flatten() {
                    line["discount"] = 0.into();
                }
            }
            Bug::TaxUncounted => {
                let lines = event.pointer_mut("/detail/lines").and_then(|lines| lines.as_array_mut());
                for line in lines.into_iter().flatten() {
                    line["tax"] = 0.into();
                }
            }
            Bug::BusinessDayInUtc => {
                let day = event.get("occurred_at").and_then(|at| at.as_str()).and_then(|at| at.get(..10));
                if let Some(day) = day.map(str::to_owned) {
                    event["business_day"] = day.into();
                }
            }
            Bug::RecordedSaleADayLate => {
                let of_elsewhere =
                    event.get("channel").and_then(|channel| channel.as_str()) == Some("market");
                let day = event.get("business_day").and_then(|day| day.as_str()).filter(|_| of_elsewhere);
                if let Some(Ok(next)) = day.map(|day| day.parse::<Date>().and_then(Date::tomorrow)) {
                    event["business_day"] = next.to_string().into();
                }
            }
            Bug::ChangeCountedAsPaid => {
                let paid = event.pointer_mut("/detail/payments").and_then(|paid| paid.as_array_mut());
                for payment in paid.into_iter().flatten() {
                    let amount = payment.get("amount").and_then(serde_json::Value::as_i64).unwrap_or(0);
                    if payment.get("tender").and_then(|tender| tender.as_str()) == Some("cash") {
                        payment["amount"] = ((amount + 99) / 100 * 100).into();
                    }
                }
            }
            Bug::EpochLostOnTheWay => {
                let lane = event.get("lane").and_then(|lane| lane.as_str());
                if let Some(lane) =
                    lane.and_then(|lane| lane.split_once('~')).map(|(lane, _)| lane.to_owned())
                {
                    event["lane"] = lane.into();
                }
            }
            _ => return record,
        }
        if let Ok(data) = serde_json::to_vec(&event) {
            record.data = data;
        }
        record
    }
}

#[async_trait]
impl EventStream for BuggyStream {
    async fn publish(&self, records: &[StreamRecord]) -> AppResult<Vec<usize>> {
        let records: Vec<StreamRecord> = records.iter().map(|record| self.distort(record)).collect();
        let refused = self.inner.publish(&records).await?;
        Ok(if self.bug == Bug::PartialSendIgnored { Vec::new() } else { refused })
    }
}

pub struct BuggyLine {
    pub bug: Bug,
    pub inner: Arc<HqLine>,
}

#[async_trait]
impl HqTransport for BuggyLine {
    async fn post(&self, mut request: HqRequest) -> Result<HqAnswer, HqTransportError> {
        if self.bug == Bug::RetryWithNewKey {
            for (name, value) in &mut request.headers {
                if *name == "idempotency-key" {
                    value.push_str(&format!("-{}", self.inner.chance.next()));
                }
            }
        }
        match self.inner.post(request).await {
            Err(_) if self.bug == Bug::FailureTakenForSuccess => {
                Ok(HqAnswer { status: 200, body: b"{}".to_vec(), retry_after: None })
            }
            other => other,
        }
    }
}
