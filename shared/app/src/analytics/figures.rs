//! Figures of a store over business days: coarse pages where days are settled, fine ones where not.

use std::collections::BTreeMap;

use jiff::civil::Date;
use tillstream_domain::aggregates::Products;
use tillstream_domain::aggregates::product_page::add_products;

use crate::aggregation::coarse::{DayFigures, MonthPage, day_parts, is_month_settled, month_parts};
use crate::aggregation::completeness::Completeness;
use crate::aggregation::reading;
use crate::aggregation::stored::{Stored, analytics_get};
use crate::error::Result;
use crate::ports::Ports;
use crate::tenancy::TenantScope;

/// A store whose completeness record was read before.
#[derive(Clone, Copy)]
pub struct StoreFigures<'a> {
    /// Tables.
    pub ports: &'a Ports,
    /// Whose.
    pub scope: &'a TenantScope,
    /// Which store.
    pub store_id: &'a str,
    /// What it said.
    pub record: &'a Completeness,
}

/// What to read.
#[derive(Debug, Default, PartialEq, Eq)]
struct Plan {
    /// Months that are settled as a whole.
    months: Vec<Date>,
    /// Other settled days.
    days: Vec<Date>,
    /// Stretches of days that are not settled.
    fine: Vec<(Date, Date)>,
}

fn plan(record: &Completeness, first: Date, last: Date) -> Plan {
    let mut plan = Plan::default();
    let mut next = Some(first);
    while let Some(day) = next.filter(|day| *day <= last) {
        let month_end = day.last_of_month();
        if day == day.first_of_month() && month_end <= last && is_month_settled(record, day) {
            plan.months.push(day);
            next = month_end.tomorrow().ok();
            continue;
        }
        if record.is_settled(day) {
            plan.days.push(day);
        } else {
            match plan.fine.last_mut() {
                Some((_, end)) if end.tomorrow().is_ok_and(|after| after == day) => *end = day,
                _ => plan.fine.push((day, day)),
            }
        }
        next = day.tomorrow().ok();
    }
    plan
}

impl StoreFigures<'_> {
    /// Figures by business day, `first` and `last` included; days without sales are absent.
    ///
    /// # Errors
    /// [`crate::Error::Retryable`], [`crate::Error::Bug`].
    pub async fn by_day(&self, first: Date, last: Date) -> Result<BTreeMap<Date, DayFigures>> {
        let plan = plan(self.record, first, last);
        let mut months: Vec<Date> =
            plan.months.iter().chain(&plan.days).map(|day| day.first_of_month()).collect();
        months.dedup();
        months.sort_unstable();
        months.dedup();
        let gets = months
            .iter()
            .map(|month| analytics_get(self.scope.sales_of_month(self.store_id, *month)))
            .collect();
        let mut figures = BTreeMap::<Date, DayFigures>::new();
        for item in self.ports.database.get_many(gets).await?.into_iter().flatten() {
            let month = Stored::<MonthPage>::of(Some(&item))?.content;
            let settled = month
                .days
                .into_iter()
                .filter(|(day, _)| (first..=last).contains(day) && self.record.is_settled(*day));
            figures.extend(settled);
        }
        for (first, last) in plan.fine {
            for hour in reading::hours(self.ports, self.scope, self.store_id, first, last).await? {
                let day = figures.entry(hour.day).or_default();
                for (currency, hour) in &hour.page.figures {
                    day.entry(*currency).or_default().add(hour);
                }
            }
        }
        Ok(figures)
    }

    /// Sums by product over business days, `first` and `last` included.
    ///
    /// # Errors
    /// [`crate::Error::Retryable`], [`crate::Error::Bug`].
    pub async fn products(&self, first: Date, last: Date) -> Result<Products> {
        let plan = plan(self.record, first, last);
        let of_months = plan.months.iter().flat_map(|m| month_parts(self.scope, self.store_id, *m));
        let of_days = plan.days.iter().flat_map(|d| day_parts(self.scope, self.store_id, *d));
        let gets = of_months.chain(of_days).map(analytics_get).collect();
        let mut sum = Products::new();
        for item in self.ports.database.get_many(gets).await?.into_iter().flatten() {
            add_products(&mut sum, &Stored::<Products>::of(Some(&item))?.content);
        }
        for (first, last) in plan.fine {
            let fine = reading::fine_products(self.ports, self.scope, self.store_id, first, last).await?;
            add_products(&mut sum, &fine);
        }
        Ok(sum)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settled_months_settled_days_and_the_rest() {
        let date = |text: &str| text.parse::<Date>().unwrap();
        let mut record = Completeness { closed_through: Some(date("2011-03-04")), ..Completeness::default() };
        record.mark(date("2011-02-10"));
        let plan = plan(&record, date("2010-12-30"), date("2011-03-06"));
        assert_eq!(plan.months, [date("2011-01-01")]);
        assert_eq!(plan.days.len(), 2 + 27 + 4);
        assert_eq!(
            plan.fine,
            [(date("2011-02-10"), date("2011-02-10")), (date("2011-03-05"), date("2011-03-06"))]
        );
    }
}
