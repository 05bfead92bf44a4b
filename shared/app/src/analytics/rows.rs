//! Rows: sums by bucket, group and currency.

use std::collections::BTreeMap;

use tillstream_contracts::analytics::{GroupBy, MetricsBody, Row};
use tillstream_domain::aggregates::{Dimension, Figures, Metrics};
use tillstream_domain::money::{Currency, Money};

use super::buckets::Bucket;

/// Name and value of each part of a group.
pub type Group = Vec<(&'static str, Option<String>)>;

/// Sums on their way to rows.
#[derive(Debug, Default)]
pub struct Rows(BTreeMap<(Bucket, Group, Currency), Metrics>);

impl Rows {
    /// Adds figures of a store to a bucket.
    pub fn add(
        &mut self,
        bucket: &Bucket,
        store_id: &str,
        group_by: Option<GroupBy>,
        currency: Currency,
        figures: &Figures,
    ) {
        let dimension = match group_by {
            None => return self.sum(bucket, Vec::new(), currency, &figures.total),
            Some(GroupBy::Store) => {
                let group = vec![("store", Some(store_id.to_owned()))];
                return self.sum(bucket, group, currency, &figures.total);
            }
            Some(GroupBy::Register) => {
                for (register, metrics) in figures.groups(Dimension::Register) {
                    // Registers of two stores may have the same name and are two registers all the same.
                    let group =
                        vec![("store", Some(store_id.to_owned())), ("register", Some(register.clone()))];
                    self.sum(bucket, group, currency, metrics);
                }
                return;
            }
            Some(GroupBy::Employee) => ("employee", Dimension::Employee),
            Some(GroupBy::Category) => ("category", Dimension::Category),
            Some(GroupBy::PaymentMethod) => ("payment_method", Dimension::PaymentMethod),
            Some(GroupBy::Channel) => ("channel", Dimension::Channel),
            Some(GroupBy::Segment) => ("segment", Dimension::Segment),
        };
        let (label, dimension) = dimension;
        for (name, metrics) in figures.groups(dimension) {
            let value = Some(name.clone()).filter(|name| !name.is_empty());
            self.sum(bucket, vec![(label, value)], currency, metrics);
        }
    }

    /// Makes sure of a row, of zeros if nothing is added to it.
    pub fn touch(&mut self, bucket: &Bucket, currency: Currency) {
        self.sum(bucket, Vec::new(), currency, &Metrics::default());
    }

    fn sum(&mut self, bucket: &Bucket, group: Group, currency: Currency, metrics: &Metrics) {
        self.0.entry((bucket.clone(), group, currency)).or_default().add(metrics);
    }

    /// The rows, in the order of bucket, group and currency.
    pub fn into_rows(self) -> Vec<Row> {
        self.0
            .into_iter()
            .map(|((bucket, group, currency), metrics)| row(&bucket, group, currency, &metrics))
            .collect()
    }

    /// The rows, those with the largest net sales first.
    pub fn into_rows_by_net(self) -> Vec<Row> {
        let mut rows = self.into_rows();
        rows.sort_by_key(|row| std::cmp::Reverse(row.metrics.net_sales.amount));
        rows
    }
}

/// One row.
pub fn row(bucket: &Bucket, group: Group, currency: Currency, metrics: &Metrics) -> Row {
    Row {
        bucket: bucket.text.clone(),
        group: group.into_iter().map(|(name, value)| (name.to_owned(), value)).collect(),
        metrics: body(currency, metrics),
    }
}

/// The figures as they stand in a reply.
fn body(currency: Currency, metrics: &Metrics) -> MetricsBody {
    let money = |amount| Money { amount, currency };
    MetricsBody {
        gross_sales: money(metrics.gross),
        discounts: money(metrics.discounts),
        returns: money(metrics.returns),
        net_sales: money(metrics.net()),
        tax: money(metrics.tax),
        tips: money(metrics.tips),
        orders: metrics.orders,
        return_orders: metrics.return_orders,
        units: metrics.units_shown(),
        average_order_value: metrics.average_order_value().map(money),
        units_per_order: metrics.units_per_order(),
    }
}
