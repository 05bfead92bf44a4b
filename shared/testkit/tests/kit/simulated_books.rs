//! What the simulator works out without the system's code, worked out by hand.

use std::collections::BTreeSet;

use jiff::Timestamp;
use tillstream_testkit::simulator::parts::{
    Books, Course, DaySettings, PriceSet, PurchaseLine, Rules, Shop, part, worth,
};

#[test]
fn worth_is_rounded_half_away_from_zero() {
    // 3 × 0.335 = 1.005; 0.125 kg × 1.00 = 0.125.
    assert_eq!((worth(3_000, 3_350), worth(125, 10_000), worth(2_000, 25_500)), (101, 13, 510));
    assert_eq!((part(965, 1_000, 10_000), part(100, 1, 3), part(5, 1, 2), part(0, 1, 2)), (97, 33, 3, 0));
}

#[test]
fn a_day_begins_when_the_store_says() {
    let shop = Shop {
        id: "s".into(),
        zone: "Asia/Kolkata",
        day_begins: 4,
        registers: Vec::new(),
        hold_minutes: None,
        checks_at_cart: false,
        unsynced: BTreeSet::new(),
    };
    // 03:40 there: still the day before, in the hour that began at 03:00.
    let (day, hour) = shop.day_and_hour("2026-03-27T22:10:05Z".parse().unwrap()).unwrap();
    assert_eq!((day.to_string(), hour.to_string()), ("2026-03-27".into(), "2026-03-27T21:30:00Z".into()));
}

#[test]
fn the_hour_that_comes_twice_is_two_hours_of_one_day() {
    let of = [("Europe/London", "2026-10-25T00:00:00Z"), ("America/New_York", "2026-11-01T05:00:00Z")];
    for (zone, begins) in of {
        let (id, registers) = ("s".into(), Vec::new());
        let (hold_minutes, checks_at_cart, unsynced) = (None, false, BTreeSet::new());
        let shop = Shop { id, zone, day_begins: 4, registers, hold_minutes, checks_at_cart, unsynced };
        let first: Timestamp = begins.parse().unwrap();
        let second = first + jiff::SignedDuration::from_hours(1);
        let half = jiff::SignedDuration::from_mins(30);
        let [one, other] = [first, second].map(|hour| shop.day_and_hour(hour + half).unwrap());
        assert_eq!((one.1, other.1), (first, second));
        assert_eq!(one.0, other.0);
    }
}

#[test]
fn what_is_beyond_an_order_by_the_piece_is_whole_pieces() {
    let line = PurchaseLine { ordered: 12_000, ..PurchaseLine::default() };
    assert_eq!((line.most(20, false), line.most(20, true), line.most(0, false)), (14_000, 14_400, 12_000));
    let arrived = PurchaseLine { received: 13_000, damaged: 1_000, ..line };
    assert_eq!((line.outstanding(), arrived.outstanding()), (12_000, 0));
}

#[test]
fn taxes_are_worked_by_hand() {
    let rules = |included| {
        let mut rules = Rules::default();
        rules.taxes.included = included;
        rules
    };
    // A fifth on top of 9.99; a sixth of it within.
    assert_eq!((rules(false).tax_of(999, 2_000), rules(true).tax_of(999, 2_000)), (200, 167));
}

#[test]
fn the_least_of_the_own_prices_is_charged_and_the_most_particular_counts() {
    let at: Timestamp = "2026-03-27T12:00:00Z".parse().unwrap();
    let mut books = Books::default();
    books.products.insert(("acme".into(), "A".into()), (1, 100));
    let entry = |price, segment: Option<&str>, location: Option<&str>, from: Option<&str>| PriceSet {
        location: location.map(Into::into),
        segment: segment.map(Into::into),
        from: from.map(|from| from.parse().unwrap()),
        ..PriceSet::of(price)
    };
    for (id, set) in [
        ("1", entry(90, None, None, None)),
        ("2", entry(95, None, Some("s-1"), None)),
        ("3", entry(70, Some("gold"), None, None)),
        ("4", entry(120, Some("gold"), None, Some("2026-03-01T00:00:00Z"))),
        ("5", entry(80, Some("trade"), Some("s-2"), None)),
        ("6", entry(1, Some("staff"), None, Some("2026-04-01T00:00:00Z"))),
    ] {
        books.price_entries.insert(("acme".into(), id.into()), (1, Some(("A".into(), set))));
    }
    let costs = |store: &str| books.costs("acme", "A", (store, at)).unwrap();
    let of = |store: &str, segments: &[&str]| {
        costs(store).of(&segments.iter().map(|segment| (*segment).to_owned()).collect::<Vec<_>>())
    };
    assert_eq!((of("s-1", &[]), of("s-2", &[]), of("s-2", &["staff"])), (95, 90, 90));
    // Of two for the same customers the one that began last; dearer than the list, too.
    assert_eq!((of("s-1", &["gold"]), of("s-1", &["trade"])), (120, 95));
    assert_eq!(of("s-2", &["gold", "trade"]), 80);
}

#[test]
fn coins_are_worked_by_hand() {
    let settings = DaySettings { coin: 5, ..DaySettings::default() };
    let to_five: Vec<i64> = (10..16).map(|due| due + settings.rounding(due)).collect();
    assert_eq!(to_five, [10, 10, 10, 15, 15, 15]);
}

#[test]
fn what_stood_before_is_remembered_for_moments_in_fair_weather_and_for_ever_in_bad() {
    let at = |second: i64| Timestamp::from_second(second).unwrap();
    let one = |coin| DaySettings { coin, ..DaySettings::default() };
    let mut course = Course::default();
    course.weather(true, at(0));
    course.begin("acme", one(1));
    course.stands("acme", at(0));
    course.begin("acme", one(5));
    assert_eq!(course.may_have_stood("acme", at(90)), [one(1), one(5)]);
    course.stands("acme", at(100));
    assert_eq!(course.may_have_stood("acme", at(117)), [one(1), one(5)]);
    assert_eq!(course.may_have_stood("acme", at(118)), [one(5)]);
    course.weather(false, at(200));
    course.weather(true, at(300));
    assert_eq!(course.may_have_stood("acme", at(339)), [one(1), one(5)]);
    assert_eq!(course.may_have_stood("acme", at(340)), [one(5)]);
}
