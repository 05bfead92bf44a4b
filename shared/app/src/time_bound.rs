//! Days and instants that requests give.

use jiff::Timestamp;
use jiff::civil::Date;
use tillstream_contracts::date_time;

use crate::error::{Refusal, Result};

/// First and last year that are taken: calendars reckon a day and an hour beyond what they are asked for.
const YEARS: std::ops::RangeInclusive<i16> = 1970..=9998;

/// One end of a span.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TimeBound {
    /// A business day.
    Day(Date),
    /// An instant.
    Instant(Timestamp),
}

impl TimeBound {
    /// Reads the field `field`.
    ///
    /// # Errors
    /// 422 `time_malformed`, `time_out_of_range`.
    pub fn parse(field: &str, text: &str) -> Result<TimeBound> {
        let day = text.parse::<Date>().ok().filter(|_| text.len() == 10).map(TimeBound::Day);
        let bound = day.or_else(|| date_time::parse(text).map(TimeBound::Instant)).ok_or_else(|| {
            let message =
                "expected a business day such as 2010-12-01, or an instant such as 2010-12-01T08:00:00Z";
            Refusal::field(field, "time_malformed", message)
        })?;
        let year = match bound {
            TimeBound::Day(day) => day.year(),
            TimeBound::Instant(at) => at.to_zoned(jiff::tz::TimeZone::UTC).year(),
        };
        if !YEARS.contains(&year) {
            let message = format!("years go from {} to {}", YEARS.start(), YEARS.end());
            return Err(Refusal::field(field, "time_out_of_range", message).into());
        }
        Ok(bound)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_calendars_can_reckon_with_is_taken() {
        let code = |text| TimeBound::parse("to", text).unwrap_err().code().map(str::to_owned);
        assert!(matches!(TimeBound::parse("to", "2010-12-01"), Ok(TimeBound::Day(_))));
        assert!(matches!(TimeBound::parse("to", "9998-12-31T23:59:59Z"), Ok(TimeBound::Instant(_))));
        for text in ["9999-12-31", "1969-12-31", "9999-01-01T00:00:00Z"] {
            assert_eq!(code(text).as_deref(), Some("time_out_of_range"), "{text}");
        }
        for text in [
            "",
            "2010-13-01",
            "2010-12-1",
            "20101201",
            "yesterday",
            "2010-12-01T00Z",
            "-000001-01-01T00:00:00Z",
        ] {
            assert_eq!(code(text).as_deref(), Some("time_malformed"), "{text}");
        }
    }
}
