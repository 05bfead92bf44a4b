//! The dashboard: one business day at a glance.

use jiff::Timestamp;
use tillstream_contracts::analytics::{DashboardQuery, DashboardReply, Granularity, GroupBy, LastSale};
use tillstream_domain::aggregates::Dimension;
use tillstream_domain::business_day::local_text;
use tillstream_domain::lane::LaneNumber;
use tillstream_domain::money::Money;

use super::Answer;
use super::buckets::Bucket;
use super::rows::Rows;
use super::sales::Reader;
use super::span::{Span, day};
use super::stores::{Store, stores};
use super::watermark::see;
use crate::database::{Consistency, Get, Index, Item, Key, Query, Table};
use crate::error::{Error, Result};
use crate::ports::Ports;
use crate::tenancy::Caller;

/// How many last sales are shown.
const LAST_SALES: u32 = 10;

/// The dashboard of a business day.
///
/// # Errors
/// Refusals of role, reach and date; [`Error::Retryable`].
pub async fn dashboard(
    ports: &Ports,
    caller: &Caller,
    query: &DashboardQuery,
    token: Option<&LaneNumber>,
) -> Result<Answer<DashboardReply>> {
    let span = match &query.date {
        None => Span::DaysAgo(0),
        Some(date) => day("date", date).map(|day| Span::Days(day, day))?,
    };
    let stores = stores(ports, caller, query.store_id.as_deref()).await?;
    let seen = see(ports, caller, &stores, token).await?;
    let reader = Reader::new(ports, caller, query.store_id.as_deref(), &stores, &seen);
    let (mut rows, mut hours) = (Rows::new(None), Rows::new(None));
    let mut registers = Rows::new(Some(GroupBy::Register));
    for store in &stores {
        rows.touch(&reader.begin(store, span)?, store.location.currency);
    }
    for read in reader.hours(span).await? {
        let (store, day, hour) = (read.store, &read.hour.day, &read.hour);
        let id = store.location.id.as_str();
        let of_day = Bucket::of_day(*day, Granularity::Day, &store.calendar)?;
        let of_hour = Bucket::of_hour(hour.start, hour.page.offset_seconds);
        for (currency, figures) in &hour.page.figures {
            for (into, bucket) in [(&mut rows, &of_day), (&mut hours, &of_hour)] {
                let bucket = into.bucket(bucket);
                into.add(bucket, id, *currency, [("", &figures.total)]);
            }
            let bucket = registers.bucket(&of_day);
            let of_registers = figures.groups(Dimension::Register).iter();
            registers.add(bucket, id, *currency, of_registers.map(|(name, m)| (name.as_str(), m)));
        }
    }
    let last_sales = match (stores.as_slice(), &query.store_id, &query.date) {
        ([store], Some(_), None) => last_sales(ports, caller, store).await?,
        _ => Vec::new(),
    };
    let satisfied = seen.satisfied;
    let reply = DashboardReply {
        rows: rows.into_rows(),
        hours: hours.into_rows(),
        registers: registers.into_rows(),
        last_sales,
        watermark: seen.watermark,
    };
    Ok(Answer { reply, satisfied })
}

/// The store's last sales and returns, by the time the register told.
async fn last_sales(ports: &Ports, caller: &Caller, store: &Store) -> Result<Vec<LastSale>> {
    let partition = caller.scope.store_orders(&store.location.id);
    let query = Query {
        ascending: false,
        limit: LAST_SALES,
        ..Query::index(Table::Orders, Index::ByStore, partition)
    };
    let mut gets = Vec::new();
    for item in ports.database.query(query).await?.items {
        gets.push(Get { table: Table::Orders, key: Key::of(&item)?, consistency: Consistency::Eventual });
    }
    let orders = ports.database.get_many(gets).await?;
    orders.iter().flatten().map(|order| last_sale(store, order)).collect()
}

fn last_sale(store: &Store, order: &Item) -> Result<LastSale> {
    let at: Timestamp = order.text("finalized_at")?.parse().map_err(Error::bug)?;
    let offset = i32::try_from(order.number("offset_seconds")?).map_err(Error::bug)?;
    let number = LaneNumber {
        lane: order.text("lane")?.parse().map_err(Error::bug)?,
        number: u64::try_from(order.number("lane_number")?).map_err(Error::bug)?,
    };
    let currency = order.opt_text("currency").map_or(Ok(store.location.currency), str::parse);
    Ok(LastSale {
        order_id: order.text("cart_id")?.to_owned(),
        kind: order.text("kind")?.to_owned(),
        receipt_number: number.to_string(),
        register_id: number.lane.register_id,
        at: local_text(at, offset),
        total: Money { amount: order.number("total")?, currency: currency.map_err(Error::bug)? },
    })
}
