//! Business days and local hours of a store, with real time zones.

use jiff::civil::{Date, Time};
use jiff::tz::{Offset, TimeZone};
use jiff::{Span, Timestamp};
use serde::{Deserialize, Serialize};

/// Why a store's calendar could not be made.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CalendarError {
    /// Not in the IANA time zone database.
    #[error("a time zone is an IANA name such as \"Europe/London\"")]
    UnknownZone,
    /// Not `HH:MM`.
    #[error("a business day starts at a local time such as \"00:00\" or \"04:30\"")]
    MalformedStart,
    /// Outside the calendar's range.
    #[error("the time is outside the calendar's range")]
    OutOfRange,
}

/// How a store tells days: its zone, and the local time at which its business day begins.
#[derive(Debug, Clone)]
pub struct StoreCalendar {
    zone: TimeZone,
    day_start: Time,
}

/// Where an instant falls in a store's books.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct StoreHour {
    /// The business day.
    pub business_day: Date,
    /// The instant at which the local hour began.
    pub hour_start: Timestamp,
    /// Seconds east of UTC at that hour, so that the local time can be written.
    pub offset_seconds: i32,
}

impl StoreCalendar {
    /// The calendar of a zone and a day start (`HH:MM`).
    ///
    /// # Errors
    /// [`CalendarError`] naming which of the two is wrong.
    pub fn new(zone: &str, day_start: &str) -> Result<Self, CalendarError> {
        let zone = TimeZone::get(zone).map_err(|_| CalendarError::UnknownZone)?;
        let day_start = parse_day_start(day_start).ok_or(CalendarError::MalformedStart)?;
        Ok(StoreCalendar { zone, day_start })
    }

    /// The business day and local hour of `instant`. An hour that a day start divides belongs to two
    /// business days; its two halves have the same `hour_start` and differ by `business_day`.
    ///
    /// # Errors
    /// [`CalendarError::OutOfRange`] at the ends of the calendar (years −9999 and 9999).
    pub fn locate(&self, instant: Timestamp) -> Result<StoreHour, CalendarError> {
        let local = instant.to_zoned(self.zone.clone());
        let into_hour = i64::from(local.minute()) * 60 + i64::from(local.second());
        let hour_start = instant
            .checked_sub(Span::new().seconds(into_hour).nanoseconds(i64::from(local.subsec_nanosecond())))
            .map_err(|_| CalendarError::OutOfRange)?;
        let business_day = self.day_around(local.date(), instant)?;
        Ok(StoreHour { business_day, hour_start, offset_seconds: local.offset().seconds() })
    }

    /// The business day of `instant`, which is at local date `date`. The time on the clock does not tell: in
    /// autumn it shows what is before the day's start once more after it.
    fn day_around(&self, date: Date, instant: Timestamp) -> Result<Date, CalendarError> {
        let out_of_range = |_| CalendarError::OutOfRange;
        let mut day = date.tomorrow().map_err(out_of_range)?;
        while instant < self.day_begin(day)? {
            day = day.yesterday().map_err(out_of_range)?;
        }
        Ok(day)
    }

    /// The business day of `instant`.
    ///
    /// # Errors
    /// [`CalendarError::OutOfRange`] at the ends of the calendar.
    pub fn business_day(&self, instant: Timestamp) -> Result<Date, CalendarError> {
        self.locate(instant).map(|hour| hour.business_day)
    }

    /// The instant at which `day` begins (the later side of a gap, the earlier of a fold).
    ///
    /// # Errors
    /// [`CalendarError::OutOfRange`] at the ends of the calendar.
    pub fn day_begin(&self, day: Date) -> Result<Timestamp, CalendarError> {
        day.to_datetime(self.day_start)
            .to_zoned(self.zone.clone())
            .map(|zoned| zoned.timestamp())
            .map_err(|_| CalendarError::OutOfRange)
    }
}

impl StoreHour {
    /// The hour's start as RFC 3339 with the store's offset at that hour.
    pub fn local_text(&self) -> String {
        local_text(self.hour_start, self.offset_seconds)
    }
}

/// `instant` as RFC 3339 with the given offset (`2010-12-01T08:00:00+00:00`).
pub fn local_text(instant: Timestamp, offset_seconds: i32) -> String {
    let offset = Offset::from_seconds(offset_seconds).unwrap_or(Offset::UTC);
    instant.display_with_offset(offset).to_string()
}

fn parse_day_start(text: &str) -> Option<Time> {
    let (hours, minutes) = text.split_once(':')?;
    let two_digits = |text: &str| text.len() == 2 && text.bytes().all(|b| b.is_ascii_digit());
    if !two_digits(hours) || !two_digits(minutes) {
        return None;
    }
    Time::new(hours.parse().ok()?, minutes.parse().ok()?, 0, 0).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    #[test]
    fn an_hour_is_local_and_written_with_its_offset() {
        let london = StoreCalendar::new("Europe/London", "00:00").unwrap();
        let winter = london.locate(at("2010-12-01T08:26:00Z")).unwrap();
        assert_eq!(winter.local_text(), "2010-12-01T08:00:00+00:00");
        let summer = london.locate(at("2011-07-01T23:30:00Z")).unwrap();
        assert_eq!(summer.local_text(), "2011-07-02T00:00:00+01:00");
        assert_eq!(summer.business_day, "2011-07-02".parse().unwrap());
        let kolkata = StoreCalendar::new("Asia/Kolkata", "00:00").unwrap();
        assert_eq!(
            kolkata.locate(at("2011-01-01T00:10:00Z")).unwrap().local_text(),
            "2011-01-01T05:00:00+05:30"
        );
    }

    #[test]
    fn the_repeated_hour_of_autumn_is_two_hours() {
        let london = StoreCalendar::new("Europe/London", "00:00").unwrap();
        let first = london.locate(at("2011-10-30T00:30:00Z")).unwrap();
        let second = london.locate(at("2011-10-30T01:30:00Z")).unwrap();
        assert_eq!(first.local_text(), "2011-10-30T01:00:00+01:00");
        assert_eq!(second.local_text(), "2011-10-30T01:00:00+00:00");
        assert_ne!(first.hour_start, second.hour_start);
    }

    #[test]
    fn a_late_day_start_moves_the_night_to_the_day_before() {
        let bar = StoreCalendar::new("Europe/London", "04:30").unwrap();
        assert_eq!(bar.business_day(at("2010-12-02T04:29:59Z")).unwrap(), "2010-12-01".parse().unwrap());
        assert_eq!(bar.business_day(at("2010-12-02T04:30:00Z")).unwrap(), "2010-12-02".parse().unwrap());
        assert_eq!(bar.day_begin("2010-12-02".parse().unwrap()).unwrap(), at("2010-12-02T04:30:00Z"));
    }

    #[test]
    fn business_days_follow_one_another_where_clocks_are_changed() {
        // Their clocks go back over the start of the day, or forward over it; Samoa left out a whole day.
        for (zone, from, to) in [
            ("America/New_York", "2025-11-01T00:00:00Z", "2025-11-05T00:00:00Z"),
            ("America/New_York", "2025-03-08T00:00:00Z", "2025-03-11T00:00:00Z"),
            ("Europe/London", "2011-10-29T00:00:00Z", "2011-11-01T00:00:00Z"),
            ("America/Havana", "2025-11-01T00:00:00Z", "2025-11-04T00:00:00Z"),
            ("Pacific/Apia", "2011-12-28T00:00:00Z", "2012-01-02T00:00:00Z"),
        ] {
            for start in ["00:00", "00:30", "01:30", "02:30", "04:00"] {
                let calendar = StoreCalendar::new(zone, start).unwrap();
                let (mut now, end) = (at(from), at(to));
                let mut before = calendar.business_day(now).unwrap();
                while now < end {
                    let day = calendar.business_day(now).unwrap();
                    assert!(before <= day, "{zone}, {start}: {now} is on {day}, after {before}");
                    let next = calendar.day_begin(day.tomorrow().unwrap()).unwrap();
                    let begun = calendar.day_begin(day).unwrap();
                    assert!(begun <= now && now < next, "{zone}, {start}: {now} is not within {day}");
                    before = day;
                    now += Span::new().minutes(5);
                }
            }
        }
    }

    #[test]
    fn wrong_calendars_are_refused() {
        assert_eq!(StoreCalendar::new("Europe/Londin", "00:00").err(), Some(CalendarError::UnknownZone));
        for bad in ["24:00", "4:30", "04:60", "+4:30", "04:+3", "", "0430"] {
            assert_eq!(StoreCalendar::new("UTC", bad).err(), Some(CalendarError::MalformedStart));
        }
    }

    #[test]
    fn an_hour_begins_on_its_hour() {
        let london = StoreCalendar::new("Europe/London", "00:00").unwrap();
        for text in ["2010-12-01T08:00:00Z", "2010-12-01T08:10:30.5Z", "2010-12-01T08:59:59.999999999Z"] {
            assert_eq!(london.locate(at(text)).unwrap().hour_start, at("2010-12-01T08:00:00Z"), "{text}");
        }
    }
}
