//! What coarse pages hold: figures of closed days, dense, without sets of facts.
//!
//! A page is written from owned maps and read, thousands of entries at a time, as slices of its bytes:
//! [`SalesPageRead`] and [`ProductBlockRead`] decode the same bytes without copying a name.

use std::collections::{BTreeMap, BTreeSet};

use jiff::civil::Date;
use serde::{Deserialize, Serialize};

use super::hour_page::{Dimension, Figures, Groups};
use super::metrics::Metrics;
use super::product_page::Products;
use crate::money::Currency;

/// One way to look at sales: as a whole, or grouped. A coarse page of sales holds one of them.
pub type Facet = Option<Dimension>;

/// All of them.
pub const FACETS: [Facet; 7] = [
    None,
    Some(Dimension::Register),
    Some(Dimension::Employee),
    Some(Dimension::Category),
    Some(Dimension::PaymentMethod),
    Some(Dimension::Channel),
    Some(Dimension::Segment),
];

/// Those whose groups are the same thing in every store, so that sums over stores are worth keeping.
/// The registers and the employees of twenty stores are as many groups, summed or not.
pub const SHARED_FACETS: [Facet; 5] = [
    None,
    Some(Dimension::Category),
    Some(Dimension::PaymentMethod),
    Some(Dimension::Channel),
    Some(Dimension::Segment),
];

/// Its name in keys. Part of the stored format.
pub fn facet_name(facet: Facet) -> &'static str {
    match facet {
        None => "total",
        Some(Dimension::Register) => "register",
        Some(Dimension::Employee) => "employee",
        Some(Dimension::Category) => "category",
        Some(Dimension::PaymentMethod) => "payment-method",
        Some(Dimension::Channel) => "channel",
        Some(Dimension::Segment) => "segment",
    }
}

/// A day's or an hour's figures of one facet. The whole stands under the empty name.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Slot {
    /// Start of the last hour in it, in epoch seconds; of an hour, its own.
    pub last_start: i64,
    /// Offset from UTC of an hour, in seconds; of a day that of its last hour.
    pub offset_seconds: i32,
    /// By currency, then by group.
    pub figures: BTreeMap<Currency, Groups>,
}

/// Figures of one facet over some days, by day or by hour.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct SalesPage {
    /// Of a page over several stores: by day, the stores that are in it.
    pub members: BTreeMap<Date, BTreeSet<String>>,
    /// By business day, and start of the (first) hour in epoch seconds.
    pub slots: BTreeMap<(Date, i64), Slot>,
}

impl SalesPage {
    /// Takes a day out, to be put in anew.
    pub fn clear_day(&mut self, day: Date) {
        self.members.remove(&day);
        self.slots.retain(|(of, _), _| *of != day);
    }

    /// Adds an hour's figures of `facet` to the slot of a day or hour that begins at `slot_start`.
    pub fn add_hour(
        &mut self,
        day: Date,
        slot_start: i64,
        start: i64,
        offset_seconds: i32,
        facet: Facet,
        figures: &BTreeMap<Currency, Figures>,
    ) {
        for (currency, figures) in figures {
            let whole;
            let groups = match facet {
                Some(dimension) => figures.groups(dimension),
                None => {
                    whole = Groups::from([(String::new(), figures.total)]);
                    &whole
                }
            };
            if !groups.is_empty() {
                self.add_groups(day, slot_start, start, offset_seconds, *currency, groups);
            }
        }
    }

    /// Adds a day's slots of another page, such as those of one store to those of all.
    pub fn add_day(&mut self, day: Date, of: &str, page: &SalesPage) {
        let mut is_in = false;
        for ((_, start), slot) in page.slots.range((day, i64::MIN)..=(day, i64::MAX)) {
            is_in = true;
            for (currency, groups) in &slot.figures {
                self.add_groups(day, *start, slot.last_start, slot.offset_seconds, *currency, groups);
            }
        }
        if is_in {
            self.members.entry(day).or_default().insert(of.to_owned());
        }
    }

    fn add_groups(
        &mut self,
        day: Date,
        slot_start: i64,
        last_start: i64,
        offset_seconds: i32,
        currency: Currency,
        groups: &Groups,
    ) {
        let slot = self.slots.entry((day, slot_start)).or_default();
        if slot.figures.is_empty() || last_start >= slot.last_start {
            slot.offset_seconds = offset_seconds;
        }
        slot.last_start = if slot.figures.is_empty() { last_start } else { slot.last_start.max(last_start) };
        let into = slot.figures.entry(currency).or_default();
        for (name, metrics) in groups {
            match into.get_mut(name) {
                Some(sum) => sum.add(metrics),
                None => {
                    into.insert(name.clone(), *metrics);
                }
            }
        }
    }
}

/// Products over a block of days.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct ProductBlock {
    /// Of a block over several stores: which are in it.
    pub members: BTreeSet<String>,
    /// The sums.
    pub products: Products,
}

/// A map as its bytes hold it.
pub type Pairs<K, V> = Vec<(K, V)>;

/// A [`Slot`] as it is read.
#[derive(Debug, PartialEq, Eq, Deserialize)]
pub struct SlotRead<'a> {
    /// As of the slot.
    pub last_start: i64,
    /// As of the slot.
    pub offset_seconds: i32,
    /// By currency, then by group.
    #[serde(borrow)]
    pub figures: Pairs<Currency, Pairs<&'a str, Metrics>>,
}

/// A [`SalesPage`] as it is read.
#[derive(Debug, PartialEq, Eq, Deserialize)]
pub struct SalesPageRead<'a> {
    /// By day.
    #[serde(borrow)]
    pub members: Pairs<Date, Vec<&'a str>>,
    /// By day and start.
    #[serde(borrow)]
    pub slots: Pairs<(Date, i64), SlotRead<'a>>,
}

/// A [`ProductBlock`] as it is read.
#[derive(Debug, PartialEq, Eq, Deserialize)]
pub struct ProductBlockRead<'a> {
    /// Stores.
    #[serde(borrow)]
    pub members: Vec<&'a str>,
    /// By currency, then by SKU.
    #[serde(borrow)]
    pub products: Pairs<Currency, Pairs<&'a str, Metrics>>,
}

#[cfg(test)]
mod tests {
    use jiff::civil::date;

    use super::*;
    use crate::compact;

    fn metrics(gross: i64) -> Metrics {
        Metrics { gross, orders: 1, ..Metrics::default() }
    }

    #[test]
    fn what_is_written_is_what_is_read() {
        let day = date(2011, 10, 30);
        let mut page = SalesPage::default();
        let groups = Groups::from([("mugs".to_owned(), metrics(-5)), (String::new(), metrics(7))]);
        page.add_groups(day, 3_600, 7_200, 60, Currency::GBP, &groups);
        let mut sum = SalesPage::default();
        sum.add_day(day, "s-1", &page);
        sum.add_day(day, "s-2", &page);
        sum.add_day(date(2011, 10, 31), "s-3", &page);
        let plain = compact::plain(&compact::encode(&sum).unwrap()).unwrap().into_owned();
        let read: SalesPageRead<'_> = compact::of_plain(&plain).unwrap();
        assert_eq!(read.members, [(day, vec!["s-1", "s-2"])]);
        let [((of, 3_600), slot)] = read.slots.as_slice() else { panic!("{read:?}") };
        assert_eq!((*of, slot.last_start, slot.offset_seconds), (day, 7_200, 60));
        let mut expected = metrics(7);
        expected.add(&metrics(7));
        assert_eq!(slot.figures[0].1[0], ("", expected));

        let block = ProductBlock {
            members: BTreeSet::from(["s-1".to_owned()]),
            products: Products::from([(
                Currency::GBP,
                BTreeMap::from([("85123A".to_owned(), metrics(i64::MAX))]),
            )]),
        };
        let plain = compact::plain(&compact::encode(&block).unwrap()).unwrap().into_owned();
        let read: ProductBlockRead<'_> = compact::of_plain(&plain).unwrap();
        assert_eq!(read.members, ["s-1"]);
        assert_eq!(read.products, [(Currency::GBP, vec![("85123A", metrics(i64::MAX))])]);
        assert!(compact::of_plain::<ProductBlockRead<'_>>(&plain[..plain.len() - 1]).is_err());
    }

    #[test]
    fn a_day_spans_its_hours() {
        let day = date(2011, 1, 1);
        let mut page = SalesPage::default();
        for (start, offset) in [(36_000, 0), (43_200, 3_600), (39_600, 0)] {
            let groups = Groups::from([(String::new(), metrics(1))]);
            page.add_groups(day, 36_000, start, offset, Currency::GBP, &groups);
        }
        let slot = &page.slots[&(day, 36_000)];
        assert_eq!((slot.last_start, slot.offset_seconds), (43_200, 3_600));
        page.clear_day(day);
        assert_eq!(page, SalesPage::default());
    }
}
