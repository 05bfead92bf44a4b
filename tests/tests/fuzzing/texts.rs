//! Texts with a meaning: instants, days, money, quantities, lanes, ids.

use jiff::Timestamp;
use jiff::tz::Offset;
use proptest::prelude::*;
use tillstream_app::time_bound::TimeBound;
use tillstream_contracts::date_time;
use tillstream_domain::business_day::StoreCalendar;
use tillstream_domain::card_number::contains_card_number;
use tillstream_domain::identifier::{check_gtin, check_id, check_sku};
use tillstream_domain::lane::{Lane, LaneNumber};
use tillstream_domain::money::{Currency, Money, UNIT_PRICE_MAX, UnitPrice};
use tillstream_domain::quantity::{QUANTITY_MAX_THOUSANDTHS, Quantity, QuantityInput, Unit};

use crate::alterations::{altered_json, altered_text, any_text};
use crate::guarded;

fn texts(valid: &[&str]) -> impl Strategy<Value = String> {
    let valid = valid.iter().map(|text| (*text).to_owned()).collect();
    prop_oneof![3 => altered_text(valid), 1 => any_text()]
}

fn instants() -> impl Strategy<Value = Timestamp> {
    // Years 1 to 9999: what four digits can write at every offset.
    (-62_135_510_400_i64..253_402_214_400, 0..1_000_000_000_i32)
        .prop_map(|(seconds, nanos)| Timestamp::new(seconds, nanos).unwrap())
}

proptest! {
    #[test]
    fn instants_round_trip(at in instants(), minutes in -1_439..=1_439_i32) {
        prop_assert_eq!(date_time::parse(&at.to_string()), Some(at));
        let offset = Offset::from_seconds(minutes * 60).unwrap();
        prop_assert_eq!(date_time::parse(&at.display_with_offset(offset).to_string()), Some(at));
    }

    #[test]
    fn what_is_read_as_an_instant_looks_like_one(
        text in texts(&["2010-12-01T08:26:00Z", "2010-12-01T08:26:00.250+01:00", "2016-12-31T23:59:60Z"]),
    ) {
        let read = guarded(text.len(), 10, || date_time::parse(&text));
        if let Some(at) = read {
            prop_assert!(text.is_ascii() && text.len() >= 20);
            prop_assert_eq!(date_time::parse(&at.to_string()), Some(at));
        }
    }

    #[test]
    fn what_is_read_as_a_day_looks_like_one(
        text in texts(&["2010-12-01", "2012-02-29", "2010-12-01T08:26:00Z"]),
    ) {
        if let Ok(TimeBound::Day(day)) = guarded(text.len(), 10, || TimeBound::parse("from", &text)) {
            prop_assert_eq!(day.to_string(), text);
        }
    }

    #[test]
    fn unit_prices_round_trip(price in 0..=UNIT_PRICE_MAX, thousandths in 0..=QUANTITY_MAX_THOUSANDTHS) {
        let price = UnitPrice::from_ten_thousandths(price).unwrap();
        prop_assert_eq!(price.to_string().parse::<UnitPrice>(), Ok(price));
        let quantity = Quantity::from_thousandths(thousandths).unwrap();
        for code in ["GBP", "JPY", "KWD"] {
            if let Ok(total) = price.times(quantity, code.parse().unwrap()) {
                prop_assert!((0..=1_000_000_000_000).contains(&total));
            }
        }
    }

    #[test]
    fn what_is_read_as_a_price_is_a_plain_decimal(text in texts(&["2.55", "0.0075", "999999.9999", "0"])) {
        if let Ok(price) = guarded(text.len(), 10, || text.parse::<UnitPrice>()) {
            prop_assert!(text.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.'));
            prop_assert_eq!(price.to_string().parse::<UnitPrice>(), Ok(price));
        }
    }

    #[test]
    fn quantities_round_trip(thousandths in -QUANTITY_MAX_THOUSANDTHS..=QUANTITY_MAX_THOUSANDTHS) {
        let quantity = Quantity::from_thousandths(thousandths).unwrap();
        prop_assert_eq!(quantity.display(Unit::Kg).resolve(Unit::Kg), Ok(quantity));
        if thousandths % 1_000 == 0 {
            prop_assert_eq!(quantity.display(Unit::Piece).resolve(Unit::Piece), Ok(quantity));
        }
    }

    #[test]
    fn odd_quantities_and_money_are_refused_or_in_range(
        quantity in altered_json(vec!["0.482".into(), 6.into(), "-1000000".into(), i64::MAX.into()]),
        money in altered_json(vec![serde_json::json!({"amount": 1_099, "currency": "GBP"})]),
    ) {
        guarded(quantity.len() + money.len(), 60, || {
            if let Ok(read) = serde_json::from_str::<QuantityInput>(&quantity) {
                for unit in [Unit::Piece, Unit::Kg] {
                    if let Ok(resolved) = read.resolve(unit) {
                        assert!(resolved.thousandths().abs() <= QUANTITY_MAX_THOUSANDTHS);
                    }
                }
            }
            if let Ok(read) = serde_json::from_str::<Money>(&money) {
                assert_eq!(Money::new(read.amount, read.currency).is_ok(), read.amount.unsigned_abs() <= 1_000_000_000_000);
            }
        });
    }

    #[test]
    fn currencies_are_three_capitals(text in texts(&["GBP", "EUR"])) {
        match text.parse::<Currency>() {
            Ok(currency) => prop_assert_eq!(currency.code(), text.as_str()),
            Err(_) => prop_assert!(text.len() != 3 || !text.bytes().all(|byte| byte.is_ascii_uppercase())),
        }
    }

    #[test]
    fn lanes_and_tokens_round_trip(
        store in "[a-zA-Z0-9][a-zA-Z0-9._~:-]{0,12}",
        register in "[a-zA-Z0-9][a-zA-Z0-9._~:-]{0,12}(~[0-9]{1,4})?",
        epoch in prop_oneof![3 => Just(0), 1 => any::<u32>()],
        number in 1..u64::MAX,
    ) {
        let lane = Lane { store_id: store, register_id: register, epoch };
        prop_assert_eq!(lane.to_string().parse::<Lane>(), Ok(lane.clone()));
        let token = LaneNumber { lane, number };
        prop_assert_eq!(token.to_string().parse::<LaneNumber>(), Ok(token));
    }

    #[test]
    fn what_is_read_as_a_token_says_so(text in texts(&["s-uk-1/r-1:42", "s-uk-1/r-1~3:7", "s:1/r~x:2:9"])) {
        if let Ok(token) = guarded(text.len(), 10, || text.parse::<LaneNumber>()) {
            prop_assert!(check_id(&token.lane.store_id).is_ok() && check_id(&token.lane.register_id).is_ok());
            prop_assert_eq!(token.to_string().parse::<LaneNumber>(), Ok(token.clone()));
            let plain = |text: &str| text.chars().all(|c| c.is_ascii_alphanumeric() || "._~:-/".contains(c));
            prop_assert!(plain(&text), "{}", text);
        }
    }

    #[test]
    fn calendars_are_of_a_zone_and_a_time(
        zone in texts(&["Europe/London", "Asia/Kolkata", "UTC", "America/Argentina/Ushuaia"]),
        start in texts(&["00:00", "04:30", "23:59"]),
        at in instants(),
    ) {
        guarded(zone.len() + start.len(), 100, || {
            for zone in [zone.as_str(), "Europe/London"] {
                if let Ok(calendar) = StoreCalendar::new(zone, &start) {
                    assert!(start.len() == 5 && start.replace(':', "").bytes().all(|b| b.is_ascii_digit()));
                    let _ = calendar.locate(at);
                }
            }
        });
    }

    #[test]
    fn ids_are_looked_at_without_panic(text in any_text()) {
        guarded(text.len(), 10, || {
            let _ = (check_id(&text), check_sku(&text), check_gtin(&text), contains_card_number(&text));
        });
    }
}
