//! Rows: sums by bucket, group and currency.

use std::collections::HashMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use tillstream_contracts::analytics::{GroupBy, MetricsBody, Row};
use tillstream_domain::aggregates::coarse_page::Facet;
use tillstream_domain::aggregates::{Dimension, Metrics};
use tillstream_domain::money::{Currency, Money};

use super::buckets::Bucket;

/// Name and value of each part of a group.
pub type Group = Vec<(&'static str, Option<String>)>;

/// What is summed for rows grouped so.
pub fn facet_of(group_by: Option<GroupBy>) -> Facet {
    match group_by {
        None | Some(GroupBy::Store) => None,
        Some(GroupBy::Register) => Some(Dimension::Register),
        Some(GroupBy::Employee) => Some(Dimension::Employee),
        Some(GroupBy::Category) => Some(Dimension::Category),
        Some(GroupBy::PaymentMethod) => Some(Dimension::PaymentMethod),
        Some(GroupBy::Channel) => Some(Dimension::Channel),
        Some(GroupBy::Segment) => Some(Dimension::Segment),
    }
}

/// Whether rows grouped so are of one store each.
pub fn is_by_store(group_by: Option<GroupBy>) -> bool {
    matches!(group_by, Some(GroupBy::Store | GroupBy::Register))
}

/// The place of a row, after which a page goes on.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct RowPlace {
    begin: Timestamp,
    bucket: String,
    group: Vec<Option<String>>,
    currency: Currency,
}

/// By group's number.
type Sums = HashMap<(usize, Currency), Metrics>;

/// Sums on their way to rows. Buckets and groups are numbers until the end: a year of many groups is many
/// sums, and far fewer names.
#[derive(Debug)]
pub struct Rows {
    group_by: Option<GroupBy>,
    buckets: Vec<(Bucket, Sums)>,
    bucket_numbers: HashMap<Bucket, usize>,
    groups: Vec<Group>,
    /// By store, where rows are of one store each, and by name.
    group_numbers: HashMap<Option<String>, HashMap<String, usize>>,
}

impl Rows {
    /// No rows yet.
    pub fn new(group_by: Option<GroupBy>) -> Self {
        Rows {
            group_by,
            buckets: Vec::new(),
            bucket_numbers: HashMap::new(),
            groups: Vec::new(),
            group_numbers: HashMap::new(),
        }
    }

    /// The number of a bucket.
    pub fn bucket(&mut self, bucket: &Bucket) -> usize {
        if let Some(number) = self.bucket_numbers.get(bucket) {
            return *number;
        }
        let number = self.buckets.len();
        self.buckets.push((bucket.clone(), HashMap::new()));
        self.bucket_numbers.insert(bucket.clone(), number);
        number
    }

    /// Adds figures of a store, by the names of their groups, to a bucket.
    pub fn add<'a>(
        &mut self,
        bucket: usize,
        store_id: &str,
        currency: Currency,
        groups: impl IntoIterator<Item = (&'a str, &'a Metrics)>,
    ) {
        let Rows { group_by, buckets, groups: known, group_numbers, .. } = self;
        let Some((_, sums)) = buckets.get_mut(bucket) else { return };
        let store = is_by_store(*group_by).then(|| store_id.to_owned());
        let numbers = group_numbers.entry(store).or_default();
        for (name, metrics) in groups {
            let number = match numbers.get(name) {
                Some(number) => *number,
                None => {
                    let number = known.len();
                    known.push(group(*group_by, store_id, name));
                    numbers.insert(name.to_owned(), number);
                    number
                }
            };
            sums.entry((number, currency)).or_default().add(metrics);
        }
    }

    /// Makes sure of a row, of zeros if nothing is added to it.
    pub fn touch(&mut self, bucket: &Bucket, currency: Currency) {
        let bucket = self.bucket(bucket);
        self.add(bucket, "", currency, [("", &Metrics::default())]);
    }

    /// Up to `limit` rows after `after`, in the order of bucket, group and currency; and whether there are
    /// more.
    pub fn page(self, after: Option<&RowPlace>, limit: usize) -> (Vec<Row>, Option<RowPlace>) {
        let mut ranks: Vec<usize> = (0..self.groups.len()).collect();
        ranks.sort_by(|a, b| self.groups.get(*a).cmp(&self.groups.get(*b)));
        let mut rank_of = vec![0; ranks.len()];
        for (rank, group) in ranks.iter().enumerate() {
            if let Some(of) = rank_of.get_mut(*group) {
                *of = rank;
            }
        }
        let mut buckets = self.buckets;
        buckets.sort_by(|a, b| a.0.cmp(&b.0));
        let (mut rows, mut last) = (Vec::new(), None);
        for (bucket, sums) in &buckets {
            let is_before =
                |after: &RowPlace| (bucket.begin, bucket.text.as_str()) < (after.begin, &after.bucket);
            if after.is_some_and(is_before) {
                continue;
            }
            let mut sums: Vec<_> = sums.iter().collect();
            sums.sort_by_key(|((group, currency), _)| (rank_of.get(*group).copied(), *currency));
            for ((number, currency), metrics) in sums {
                let group = self.groups.get(*number).cloned().unwrap_or_default();
                let place = RowPlace {
                    begin: bucket.begin,
                    bucket: bucket.text.clone(),
                    group: group.iter().map(|(_, value)| value.clone()).collect(),
                    currency: *currency,
                };
                if after.is_some_and(|after| place <= *after) {
                    continue;
                }
                if rows.len() == limit {
                    return (rows, last);
                }
                rows.push(row(bucket, group, *currency, metrics));
                last = Some(place);
            }
        }
        (rows, None)
    }

    /// The rows, in the order of bucket, group and currency.
    pub fn into_rows(self) -> Vec<Row> {
        self.page(None, usize::MAX).0
    }

    /// The rows, those with the largest net sales first.
    pub fn into_rows_by_net(self) -> Vec<Row> {
        let mut rows = self.into_rows();
        rows.sort_by_key(|row| std::cmp::Reverse(row.metrics.net_sales.amount));
        rows
    }
}

fn group(group_by: Option<GroupBy>, store_id: &str, name: &str) -> Group {
    let label = match group_by {
        None => return Vec::new(),
        Some(GroupBy::Store) => return vec![("store", Some(store_id.to_owned()))],
        // Registers of two stores may have the same name and are two registers all the same.
        Some(GroupBy::Register) => {
            return vec![("store", Some(store_id.to_owned())), ("register", Some(name.to_owned()))];
        }
        Some(GroupBy::Employee) => "employee",
        Some(GroupBy::Category) => "category",
        Some(GroupBy::PaymentMethod) => "payment_method",
        Some(GroupBy::Channel) => "channel",
        Some(GroupBy::Segment) => "segment",
    };
    vec![(label, Some(name.to_owned()).filter(|name| !name.is_empty()))]
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
