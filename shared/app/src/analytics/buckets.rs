//! Where figures fall in an answer's time.

use jiff::civil::{Date, Weekday};
use jiff::{Timestamp, ToSpan};
use tillstream_contracts::analytics::Granularity;
use tillstream_domain::business_day::{StoreCalendar, local_text};

use crate::error::{Error, Result};

/// The begin of a bucket: the instant, and the text with the store's offset.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Bucket {
    /// The instant.
    pub begin: Timestamp,
    /// RFC 3339 with the store's offset.
    pub text: String,
}

impl Bucket {
    /// An hour.
    pub fn of_hour(start: Timestamp, offset_seconds: i32) -> Self {
        Bucket { begin: start, text: local_text(start, offset_seconds) }
    }

    /// The day, week or month of a business day. A week or month begins with its first business day,
    /// wherever the query's span begins.
    ///
    /// # Errors
    /// A bug at the ends of the calendar.
    pub fn of_day(day: Date, granularity: Granularity, calendar: &StoreCalendar) -> Result<Self> {
        let first = match granularity {
            Granularity::Hour | Granularity::Day => day,
            Granularity::Week => {
                let since_monday = i64::from(day.weekday().since(Weekday::Monday));
                day.checked_sub(since_monday.days()).map_err(Error::bug)?
            }
            Granularity::Month => day.first_of_month(),
        };
        let begin = calendar.day_begin(first).map_err(Error::bug)?;
        let offset = calendar.locate(begin).map_err(Error::bug)?.offset_seconds;
        Ok(Bucket { begin, text: local_text(begin, offset) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn days_weeks_and_months_begin_with_their_first_business_day() {
        let london = StoreCalendar::new("Europe/London", "00:00").unwrap();
        let text =
            |day: &str, granularity| Bucket::of_day(day.parse().unwrap(), granularity, &london).unwrap().text;
        assert_eq!(text("2011-10-30", Granularity::Day), "2011-10-30T00:00:00+01:00");
        assert_eq!(text("2011-10-31", Granularity::Day), "2011-10-31T00:00:00+00:00");
        assert_eq!(text("2011-10-30", Granularity::Week), "2011-10-24T00:00:00+01:00");
        assert_eq!(text("2011-10-30", Granularity::Month), "2011-10-01T00:00:00+01:00");
        let bar = StoreCalendar::new("Europe/London", "04:30").unwrap();
        let day = Bucket::of_day("2010-12-01".parse().unwrap(), Granularity::Day, &bar).unwrap();
        assert_eq!(day.text, "2010-12-01T04:30:00+00:00");
    }
}
