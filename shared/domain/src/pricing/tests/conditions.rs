//! When a promotion holds.

use super::super::*;
use super::fixtures::*;
use crate::money::Currency;

/// What came of a tenth off under `conditions`.
fn under(conditions: Conditions, basket: &Basket) -> Option<Reason> {
    let currency = conditions.minimum_subtotal.is_some().then_some(Currency::GBP);
    let promotion = Promotion { conditions, currency, ..percentage("p", 1_000) };
    promotion.check().unwrap();
    let priced = price(basket, &rules([promotion])).unwrap();
    match outcome(&priced, "p") {
        Outcome::Applied { .. } => None,
        _ => Some(reason(&priced, "p")),
    }
}

fn one_line() -> Basket {
    basket([line(1, "a", "10", 2)])
}

#[test]
fn validity_ends_before_its_end() {
    let between = |from: Option<&str>, to: Option<&str>| {
        let at = |text: Option<&str>| text.map(|text| text.parse().unwrap());
        under(Conditions { valid_from: at(from), valid_to: at(to), ..Conditions::default() }, &one_line())
    };
    let now = "2026-06-10T11:00:00Z";
    assert_eq!(between(None, None), None);
    assert_eq!(between(Some(now), None), None);
    assert_eq!(between(Some("2026-06-10T11:00:01Z"), None), Some(Reason::NotValidNow));
    assert_eq!(between(None, Some(now)), Some(Reason::NotValidNow));
    assert_eq!(between(None, Some("2026-06-10T11:00:01Z")), None);
}

#[test]
fn days_and_times_are_those_of_the_store() {
    let at = |local: &str, days: &[DayOfWeek], times: Option<(&str, &str)>| {
        let time_of_day =
            times.map(|(from, to)| TimeOfDay { from: from.parse().unwrap(), to: to.parse().unwrap() });
        let days = days.iter().copied().collect();
        let basket = Basket { local: local.parse().unwrap(), ..one_line() };
        let reason = under(Conditions { days, time_of_day, ..Conditions::default() }, &basket);
        assert!(matches!(reason, None | Some(Reason::WrongTime)), "{reason:?}");
        reason.is_none()
    };
    let happy_hour = Some(("17:00:00", "19:00:00"));
    assert!(at("2026-06-10T17:00:00", &[], happy_hour));
    assert!(at("2026-06-10T18:59:59", &[], happy_hour));
    assert!(!at("2026-06-10T19:00:00", &[], happy_hour));
    assert!(!at("2026-06-10T16:59:59", &[], happy_hour));
    assert!(at("2026-06-10T12:00:00", &[DayOfWeek::Wednesday], None));
    assert!(!at("2026-06-10T12:00:00", &[DayOfWeek::Tuesday, DayOfWeek::Thursday], None));
    assert!(!at("2026-06-11T17:30:00", &[DayOfWeek::Wednesday], happy_hour));
    // Friday night, which ends on Saturday.
    let night = Some(("22:00:00", "02:00:00"));
    assert!(at("2026-06-12T22:00:00", &[DayOfWeek::Friday], night));
    assert!(at("2026-06-13T01:59:59", &[DayOfWeek::Friday], night));
    assert!(!at("2026-06-13T02:00:00", &[DayOfWeek::Friday], night));
    assert!(!at("2026-06-12T01:00:00", &[DayOfWeek::Friday], night), "that is Thursday night");
    assert!(!at("2026-06-13T22:00:00", &[DayOfWeek::Friday], night));
    let evening = Some(("18:00:00", "00:00:00"));
    assert!(at("2026-06-12T23:59:59", &[DayOfWeek::Friday], evening));
    assert!(!at("2026-06-13T00:00:00", &[DayOfWeek::Friday], evening));
    let every_day = [
        ("2026-06-08", DayOfWeek::Monday),
        ("2026-06-09", DayOfWeek::Tuesday),
        ("2026-06-10", DayOfWeek::Wednesday),
        ("2026-06-11", DayOfWeek::Thursday),
        ("2026-06-12", DayOfWeek::Friday),
        ("2026-06-13", DayOfWeek::Saturday),
        ("2026-06-14", DayOfWeek::Sunday),
    ];
    for (date, day) in every_day {
        for (_, other) in every_day {
            assert_eq!(at(&format!("{date}T12:00:00"), &[other], None), day == other, "{date}");
        }
    }
}

#[test]
fn places_and_people() {
    let stores = |list: &[&str]| Conditions { stores: names(list), ..Conditions::default() };
    assert_eq!(under(stores(&["s-leeds", "s-york"]), &one_line()), None);
    assert_eq!(under(stores(&["s-york"]), &one_line()), Some(Reason::WrongStore));
    let channels = |list: &[&str]| Conditions { channels: names(list), ..Conditions::default() };
    assert_eq!(under(channels(&["pos"]), &one_line()), None);
    assert_eq!(under(channels(&["web"]), &one_line()), Some(Reason::WrongChannel));
    let segments = |list: &[&str]| Conditions { segments: names(list), ..Conditions::default() };
    let known = Basket {
        customer: CustomerFacts { segments: names(&["staff", "club"]), tax_exempt: false },
        ..one_line()
    };
    assert_eq!(under(segments(&["club", "trade"]), &known), None);
    assert_eq!(under(segments(&["trade"]), &known), Some(Reason::WrongSegment));
    assert_eq!(under(segments(&["club"]), &one_line()), Some(Reason::WrongSegment));
}

#[test]
fn minimums_are_of_the_whole_basket_before_discounts() {
    let least = |amount| Conditions { minimum_subtotal: Some(amount), ..Conditions::default() };
    assert_eq!(under(least(2_000), &one_line()), None);
    assert_eq!(under(least(2_001), &one_line()), Some(Reason::BelowMinimum { needed: 2_001, is: 2_000 }));
    let with_card = basket([line(1, "a", "10", 2), gift_card(2, "50")]);
    assert_eq!(under(least(2_001), &with_card), Some(Reason::BelowMinimum { needed: 2_001, is: 2_000 }));
    let pieces = |thousandths| Quantity::from_thousandths(thousandths).unwrap();
    let count =
        |thousandths| Conditions { minimum_quantity: Some(pieces(thousandths)), ..Conditions::default() };
    let mixed = basket([line(1, "a", "10", 2), weighed(2, "b", "1", 500), gift_card(3, "50")]);
    assert_eq!(under(count(2_500), &mixed), None);
    let needed = pieces(2_501);
    assert_eq!(under(count(2_501), &mixed), Some(Reason::BelowMinimumQuantity { needed, is: pieces(2_500) }));
    // An earlier promotion does not take it away.
    let conditions = least(2_000);
    let second = Promotion { conditions, currency: Some(Currency::GBP), ..percentage("second", 1_000) };
    let first = Promotion { priority: 1, ..amount_off("first", 1_000) };
    let priced = price_with([line(1, "a", "10", 2)], [second, first]);
    assert_eq!(off(&priced), [1_100]);
}

#[test]
fn what_the_basket_holds_may_be_other_than_what_is_discounted() {
    let pieces = |thousandths| Quantity::from_thousandths(thousandths).unwrap();
    let kettle = Selector { skus: names(&["kettle"]), ..Selector::default() };
    let tea =
        Selector { categories: names(&["tea"]), excluded_skus: names(&["sample"]), ..Selector::default() };
    let holds = |of: &Selector, thousandths| Conditions {
        contains: Some(Contains { of: of.clone(), quantity: pieces(thousandths) }),
        ..Conditions::default()
    };
    let mugs_off = |conditions, lines: Vec<BasketLine>| {
        let target = Selector { skus: names(&["mug"]), ..Selector::default() };
        let promotion = Promotion { conditions, target, ..percentage("p", 1_000) };
        promotion.check().unwrap();
        let priced = price_with(lines, [promotion]);
        match outcome(&priced, "p") {
            Outcome::Applied { amount, .. } => Ok(*amount),
            _ => Err(reason(&priced, "p")),
        }
    };
    let tea_line = |number, sku: &str, thousandths| BasketLine {
        categories: vec!["drinks".to_owned(), "tea".to_owned()],
        ..weighed(number, sku, "1", thousandths)
    };
    let missing = |needed, is| Err(Reason::NotInBasket { needed: pieces(needed), is: pieces(is) });
    let mugs = || line(1, "mug", "10", 2);
    assert_eq!(mugs_off(holds(&kettle, 1_000), vec![mugs()]), missing(1_000, 0));
    assert_eq!(mugs_off(holds(&kettle, 1_000), vec![mugs(), line(2, "kettle", "30", 1)]), Ok(200));
    let two = vec![mugs(), line(2, "kettle", "30", 1), line(3, "kettle", "30", 1)];
    assert_eq!(mugs_off(holds(&kettle, 2_000), two.clone()), Ok(200), "lines are added up");
    assert_eq!(mugs_off(holds(&kettle, 2_001), two), missing(2_001, 2_000));
    let teas = vec![mugs(), tea_line(2, "green", 250), tea_line(3, "sample", 900)];
    assert_eq!(mugs_off(holds(&tea, 250), teas.clone()), Ok(200));
    assert_eq!(mugs_off(holds(&tea, 251), teas), missing(251, 250));
    // A gift card is bought, but nothing may depend on it.
    let card = Selector { skus: names(&["card"]), ..Selector::default() };
    let with_card = vec![mugs(), BasketLine { sku: "card".to_owned(), ..gift_card(2, "50") }];
    assert_eq!(mugs_off(holds(&card, 1_000), with_card), missing(1_000, 0));
    let nothing = Conditions {
        contains: Some(Contains { of: kettle, quantity: Quantity::ZERO }),
        ..Conditions::default()
    };
    let refused = Promotion { conditions: nothing, ..percentage("p", 1_000) }.check().unwrap_err();
    assert_eq!(refused.code(), "minimum_quantity_out_of_range");
}
