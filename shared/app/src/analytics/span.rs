//! The time a query covers.

use jiff::civil::Date;
use jiff::{Span as Length, Timestamp, ToSpan};
use tillstream_contracts::analytics::Granularity;
use tillstream_domain::business_day::StoreCalendar;

use crate::error::{Error, Refusal, Result};
use crate::time_bound::TimeBound;

/// Most days of a span by hour.
const DAYS_BY_HOUR_MAX: i64 = 31;
/// Most days of any other span.
const DAYS_MAX: i64 = 400;
/// Most days times stores of a span: a bound on what one request reads.
const STORE_DAYS_MAX: i64 = 40_000;

/// The time a query covers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Span {
    /// The business day so many days before each store's current one; 0 is today.
    DaysAgo(u16),
    /// Business days, both included.
    Days(Date, Date),
    /// The local hours that lie between the instants or overlap that time.
    Instants(Timestamp, Timestamp),
}

/// A span in one store's books.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StoreSpan {
    /// First business day.
    pub first: Date,
    /// Last business day, included.
    pub last: Date,
    /// Of these days only the hours that overlap this time.
    pub between: Option<(Timestamp, Timestamp)>,
}

/// Reads a business day.
///
/// # Errors
/// 422 `time_malformed`, `time_out_of_range`.
pub fn day(field: &str, text: &str) -> Result<Date> {
    match TimeBound::parse(field, text)? {
        TimeBound::Day(day) => Ok(day),
        TimeBound::Instant(_) => {
            Err(Refusal::field(field, "time_malformed", "a business day such as 2010-12-01").into())
        }
    }
}

impl Span {
    /// Reads `from` and `to`.
    ///
    /// # Errors
    /// 422 `time_malformed`, `time_out_of_range`, `range_incomplete`, `range_reversed`.
    pub fn of(from: Option<&str>, to: Option<&str>) -> Result<Span> {
        let (from, to) = match (from, to) {
            (None, None) => return Ok(Span::DaysAgo(0)),
            (Some(from), Some(to)) => (TimeBound::parse("from", from)?, TimeBound::parse("to", to)?),
            (None, Some(_)) => {
                return Err(Refusal::field("from", "range_incomplete", "give from and to, or neither").into());
            }
            (Some(_), None) => {
                return Err(Refusal::field("to", "range_incomplete", "give from and to, or neither").into());
            }
        };
        let (span, reversed) = match (from, to) {
            (TimeBound::Day(from), TimeBound::Day(to)) => (Span::Days(from, to), to < from),
            (TimeBound::Instant(from), TimeBound::Instant(to)) => (Span::Instants(from, to), to < from),
            _ => {
                let message = "from and to are both business days or both instants";
                return Err(Refusal::field("to", "range_mixed", message).into());
            }
        };
        if reversed {
            return Err(Refusal::field("to", "range_reversed", "to is not before from").into());
        }
        Ok(span)
    }

    /// Refuses a span that is too long.
    ///
    /// # Errors
    /// 422 `range_too_long`.
    pub fn check(self, granularity: Granularity, stores: usize) -> Result<()> {
        let days = self.days()?;
        let most = if granularity == Granularity::Hour { DAYS_BY_HOUR_MAX } else { DAYS_MAX };
        if days > most {
            let message = format!("{days} days; by this granularity a span has at most {most}");
            return Err(Refusal::field("to", "range_too_long", message).into());
        }
        if days.saturating_mul(i64::try_from(stores).map_err(Error::bug)?) > STORE_DAYS_MAX {
            let message = format!(
                "{days} days of {stores} stores; days times stores are at most {STORE_DAYS_MAX}: \
                 ask for one store, or a shorter span"
            );
            return Err(Refusal::field("to", "range_too_long", message).into());
        }
        Ok(())
    }

    /// How many days it touches, at most.
    fn days(self) -> Result<i64> {
        let days = |from: Date, to: Date| {
            from.until(to).map(|length| i64::from(length.get_days()) + 1).map_err(Error::bug)
        };
        match self {
            Span::DaysAgo(_) => Ok(1),
            Span::Days(from, to) => days(from, to),
            Span::Instants(from, to) => Ok(to.duration_since(from).as_hours() / 24 + 1),
        }
    }

    /// The span in a store's books.
    ///
    /// # Errors
    /// 422 `time_out_of_range` at the ends of the calendar.
    pub fn of_store(self, calendar: &StoreCalendar, now: Timestamp) -> Result<StoreSpan> {
        let day = |at| {
            calendar.business_day(at).map_err(|e| Refusal::field("from", "time_out_of_range", e.to_string()))
        };
        Ok(match self {
            Span::DaysAgo(days) => {
                let day = day(now)?.checked_sub(i64::from(days).days()).map_err(out_of_range)?;
                StoreSpan { first: day, last: day, between: None }
            }
            Span::Days(first, last) => StoreSpan { first, last, between: None },
            Span::Instants(from, to) => {
                // An hour that a day's start divides is stored under two days: the begin of the hour
                // of `from` may belong to the day before.
                let begin = calendar.locate(from).map_or(from, |hour| hour.hour_start);
                StoreSpan { first: day(begin)?, last: day(to)?, between: Some((from, to)) }
            }
        })
    }

    /// The span of the same length just before.
    ///
    /// # Errors
    /// 422 `time_out_of_range` at the ends of the calendar.
    pub fn previous(self) -> Result<Span> {
        let days: Length = self.days()?.days();
        Ok(match self {
            Span::DaysAgo(days) => Span::DaysAgo(days.saturating_add(1)),
            Span::Days(first, last) => Span::Days(
                first.checked_sub(days).map_err(out_of_range)?,
                last.checked_sub(days).map_err(out_of_range)?,
            ),
            Span::Instants(from, to) => {
                Span::Instants(from.checked_sub(to.duration_since(from)).map_err(out_of_range)?, from)
            }
        })
    }
}

fn out_of_range(_: jiff::Error) -> Refusal {
    Refusal::field("from", "time_out_of_range", "the time is outside the calendar's range")
}

impl StoreSpan {
    /// Whether the hour that begins at `start` is in it.
    pub fn has_hour(&self, start: Timestamp) -> bool {
        self.between.is_none_or(|(from, to)| {
            let end = start.saturating_add(1.hour()).unwrap_or(Timestamp::MAX);
            // A span of no length is the hour that contains its instant.
            end > from && (start < to || (from == to && start <= to))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn instants_take_the_hours_they_touch() {
        let at = |text: &str| text.parse::<Timestamp>().unwrap();
        let span =
            |from, to| StoreSpan { first: Date::ZERO, last: Date::ZERO, between: Some((at(from), at(to))) };
        let day = span("2010-12-01T08:00:00Z", "2010-12-01T18:00:00Z");
        assert!(!day.has_hour(at("2010-12-01T07:00:00Z")));
        assert!(day.has_hour(at("2010-12-01T08:00:00Z")) && day.has_hour(at("2010-12-01T17:00:00Z")));
        assert!(!day.has_hour(at("2010-12-01T18:00:00Z")), "the hour that begins at the end");
        assert!(span("2010-12-01T08:30:00Z", "2010-12-01T08:31:00Z").has_hour(at("2010-12-01T08:00:00Z")));
        assert!(span("2010-12-01T08:00:00Z", "2010-12-01T08:00:00Z").has_hour(at("2010-12-01T08:00:00Z")));
    }

    #[test]
    fn spans_are_bounded_and_whole() {
        let code = |from, to| Span::of(from, to).unwrap_err().code().unwrap();
        assert_eq!(code(Some("2010-12-01"), None), "range_incomplete");
        assert_eq!(code(Some("2010-12-02"), Some("2010-12-01")), "range_reversed");
        assert_eq!(code(Some("2010-12-01"), Some("2010-12-01T00:00:00Z")), "range_mixed");
        assert_eq!(code(Some("2010-12-01"), Some("yesterday")), "time_malformed");
        let year = Span::of(Some("2010-01-01"), Some("2010-12-31")).unwrap();
        assert!(year.check(Granularity::Day, 100).is_ok());
        assert_eq!(year.check(Granularity::Day, 200).unwrap_err().code(), Some("range_too_long"));
        assert_eq!(year.check(Granularity::Hour, 1).unwrap_err().code(), Some("range_too_long"));
        let week = Span::of(Some("2010-12-06"), Some("2010-12-12")).unwrap();
        let before = Span::of(Some("2010-11-29"), Some("2010-12-05")).unwrap();
        assert_eq!(week.previous().unwrap(), before);
    }

    #[test]
    fn a_span_is_as_long_as_it_may_be_and_no_longer() {
        let days = |count: i64| {
            let first: Date = "2010-01-01".parse().unwrap();
            Span::Days(first, first.checked_add((count - 1).days()).unwrap())
        };
        for (granularity, stores, most) in [
            (Granularity::Hour, 1, 31),
            (Granularity::Day, 1, 400),
            (Granularity::Month, 100, 400),
            (Granularity::Week, 200, 200),
        ] {
            days(most).check(granularity, stores).unwrap();
            let refused = days(most + 1).check(granularity, stores).unwrap_err();
            assert_eq!(refused.code(), Some("range_too_long"), "{granularity:?} of {stores} stores");
        }
        let instants = |hours: i64| {
            let from: Timestamp = "2010-01-01T12:00:00Z".parse().unwrap();
            Span::Instants(from, from.checked_add(hours.hours()).unwrap())
        };
        assert_eq!([0, 23, 24, 47, 48].map(|hours| instants(hours).days().unwrap()), [1, 1, 2, 2, 3]);
        instants(31 * 24 - 1).check(Granularity::Hour, 1).unwrap();
        assert!(instants(31 * 24).check(Granularity::Hour, 1).is_err());
    }

    #[test]
    fn the_span_before_is_as_long_and_ends_where_this_begins() {
        let of = |from, to| Span::of(Some(from), Some(to)).unwrap();
        assert_eq!(Span::of(None, None).unwrap(), Span::DaysAgo(0));
        assert_eq!(Span::DaysAgo(3).previous().unwrap(), Span::DaysAgo(4));
        let hours = of("2010-12-01T08:00:00Z", "2010-12-01T10:00:00Z");
        assert_eq!(hours.previous().unwrap(), of("2010-12-01T06:00:00Z", "2010-12-01T08:00:00Z"));
        let one = of("2010-12-01", "2010-12-01");
        assert_eq!(one.previous().unwrap(), of("2010-11-30", "2010-11-30"));
        let code = |from, to| Span::of(from, to).unwrap_err().code().unwrap();
        assert_eq!(code(None, Some("2010-12-01")), "range_incomplete");
        assert_eq!(code(Some("2010-12-01T08:00:01Z"), Some("2010-12-01T08:00:00Z")), "range_reversed");
        assert_eq!(day("date", "2010-12-01T08:00:00Z").unwrap_err().code(), Some("time_malformed"));
    }

    #[test]
    fn a_span_lies_in_a_stores_own_days() {
        let bar = StoreCalendar::new("Europe/London", "04:30").unwrap();
        let now: Timestamp = "2010-12-02T03:00:00Z".parse().unwrap();
        let days = |first: &str, last: &str| (first.parse::<Date>().unwrap(), last.parse::<Date>().unwrap());
        let of = |span: Span| span.of_store(&bar, now).map(|span| (span.first, span.last)).unwrap();
        assert_eq!(
            of(Span::DaysAgo(0)),
            days("2010-12-01", "2010-12-01"),
            "three at night is of the day before"
        );
        assert_eq!(of(Span::DaysAgo(1)), days("2010-11-30", "2010-11-30"));
        let instants = Span::of(Some("2010-12-01T04:40:00Z"), Some("2010-12-02T04:29:00Z")).unwrap();
        assert_eq!(of(instants), days("2010-11-30", "2010-12-01"), "the hour of 04:40 began the day before");
    }
}
