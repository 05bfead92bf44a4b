//! What is to be told of stock: a step of a backorder, an alert.
//!
//! Each is an item of its own, written in the transaction that makes it true, with the whole message in it: what the
//! backorder or the alert is later changes nothing of what was told. The table's stream brings it to the relay, which
//! makes its delivery, as it does of an order. Until the keeper has seen that it has one it is due to be looked after.

use jiff::{Timestamp, ToSpan};
use tillstream_contracts::hq::HqMessage;
use tillstream_domain::lane::{Lane, LaneNumber};

use crate::database::{Condition, Item, Table, Write};
use crate::dispatch::announce::Fact;
use crate::error::{Error, Result};
use crate::keeper::announcements::{self, DUE_AFTER_SECONDS};
use crate::keeper::due::DueWork;
use crate::keys;
use crate::ports::{Ports, WakeUpQueue};
use crate::pos::identity::spread;
use crate::tenancy::TenantScope;

/// What stands for the register where deliveries name a lane.
const REGISTER: &str = "stock";
/// Attribute that only these items have: what the filter of the relay's event source lets through.
const VERSION: &str = "fact_version";

/// Something to be told.
#[derive(Debug)]
pub(crate) struct StockFact<'a> {
    /// Of what: [`crate::dispatch::subject`].
    pub(crate) subject: String,
    /// Counts what is told of it, from 1.
    pub(crate) version: u32,
    /// How it stands, in a word.
    pub(crate) status: &'static str,
    /// Where.
    pub(crate) location_id: &'a str,
    /// When it happened.
    pub(crate) at: Timestamp,
    /// What is sent.
    pub(crate) message: HqMessage,
}

impl StockFact<'_> {
    /// The write of it, which no other of its number may have made before.
    ///
    /// # Errors
    /// A bug if the message cannot be JSON.
    pub(crate) fn write(&self, scope: &TenantScope) -> Result<Write> {
        let due_at = self.at.checked_add(DUE_AFTER_SECONDS.seconds()).map_err(Error::bug)?;
        let item = Item::new(&scope.stock_fact(&self.subject, self.version))
            .with("tenant_id", scope.tenant_id())
            .with("subject", self.subject.as_str())
            .with(VERSION, i64::from(self.version))
            .with("status", self.status)
            .with("location_id", self.location_id)
            .with("at", self.at.as_millisecond())
            .with_json("message", &self.message)?
            .with("due_pk", keys::due("stock-fact", spread(&self.subject)).value())
            .with("due_at", due_at.as_millisecond());
        Ok(Write::Put { table: Table::Stock, item, condition: Some(Condition::NotExists) })
    }
}

fn of_item(item: &Item) -> Result<Fact> {
    let version = u32::try_from(item.number(VERSION)?).map_err(Error::bug)?;
    Ok(Fact {
        scope: TenantScope::from_own_record(item.text("tenant_id")?),
        order_id: item.text("subject")?.to_owned(),
        order_version: version,
        status: item.text("status")?.to_owned(),
        lane_number: LaneNumber {
            lane: Lane::new(item.text("location_id")?, REGISTER),
            number: u64::from(version),
        },
        at: Timestamp::from_millisecond(item.number("at")?).map_err(Error::bug)?,
        payload: Some(item.text("message")?.to_owned()),
    })
}

/// What a change of the stock table says that is to be told: nothing but where it made such an item.
///
/// # Errors
/// A bug if the item lacks what every such item has.
pub fn fact_of(old: Option<&Item>, new: Option<&Item>) -> Result<Option<Fact>> {
    let is_one = |item: &&Item| item.opt_number(VERSION).is_some();
    if old.as_ref().is_some_and(is_one) {
        return Ok(None);
    }
    new.filter(is_one).map(of_item).transpose()
}

/// Sees to it that everything that is due has its delivery, over all tenants; answers how many were looked at. Begins
/// with none after `deadline`. One that cannot be read holds up no other.
///
/// # Errors
/// [`Error::Retryable`] where the index cannot be read, or wake-ups cannot be sent.
pub async fn announce_due(
    ports: &Ports,
    queue: &dyn WakeUpQueue,
    now: Timestamp,
    most: usize,
    deadline: Timestamp,
) -> Result<usize> {
    let work = DueWork { table: Table::Stock, kind: "stock-fact", now, most, deadline };
    announcements::announce_due(ports, queue, work, |item| Ok(vec![of_item(item)?])).await
}

#[cfg(test)]
mod tests {
    use tillstream_contracts::hq::{HQ_MESSAGE_VERSION, HqStockEvent, HqStockMessage};
    use tillstream_contracts::replenishment::{StockAlert, StockAlertLevel};
    use tillstream_domain::quantity::QuantityInput;

    use super::*;

    #[test]
    fn it_is_told_once_and_as_it_was() {
        let at = Timestamp::from_second(1_000).unwrap();
        let message = HqStockMessage {
            version: HQ_MESSAGE_VERSION,
            event: HqStockEvent::StockLow,
            tenant_id: "t".to_owned(),
            event_version: 3,
            alert: StockAlert {
                alert_id: "al-1".to_owned(),
                location_id: "s-1".to_owned(),
                sku: "A".to_owned(),
                level: StockAlertLevel::Low,
                available: QuantityInput::Whole(2),
                reorder_point: QuantityInput::Whole(5),
                raised_at: at,
                changed_at: at,
                stock_version: 7,
            },
        };
        let message = HqMessage::Stock(Box::new(message));
        let told = StockFact {
            subject: "_alert:al-1".to_owned(),
            version: 3,
            status: "low",
            location_id: "s-1",
            at,
            message: message.clone(),
        };
        let Write::Put { item, .. } = told.write(&TenantScope::from_own_record("t")).unwrap() else {
            unreachable!("a fact is put")
        };
        let fact = fact_of(None, Some(&item)).unwrap().unwrap();
        assert_eq!((fact.order_id.as_str(), fact.order_version, fact.at), ("_alert:al-1", 3, at));
        assert_eq!(fact.lane_number.to_string(), "s-1/stock:3");
        assert_eq!(serde_json::from_str::<HqMessage>(&fact.payload.unwrap()).unwrap(), message);
        // The keeper takes its mark away: that is no news.
        assert_eq!(fact_of(Some(&item), Some(&item)).unwrap(), None);
        assert_eq!(fact_of(Some(&item), None).unwrap(), None);
        assert_eq!(fact_of(None, Some(&Item::default())).unwrap(), None);
    }
}
