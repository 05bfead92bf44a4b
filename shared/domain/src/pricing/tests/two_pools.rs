//! Buy some of one choice of products, get some of another for less.

use super::super::*;
use super::fixtures::*;

const RAZOR: &[&str] = &["razor"];
const BLADES: &[&str] = &["blades-a", "blades-b"];

/// With every two razors a pack of blades.
fn blades_free(id: &str) -> Promotion {
    buy_get_other(id, (RAZOR, 2), (BLADES, 1), 10_000)
}

fn applied(uses: u32, amount: i64) -> Outcome {
    Outcome::Applied { uses, amount }
}

fn limited(per_order: u32, promotion: Promotion) -> Promotion {
    Promotion { limits: Limits { per_order: Some(per_order), ..Limits::default() }, ..promotion }
}

#[test]
fn for_every_two_razors_a_pack_of_blades() {
    let given = |razors: i64, packs: i64| {
        let lines = [line(1, "razor", "12.50", razors), line(2, "blades-a", "7.99", packs)];
        price_with(lines, [blades_free("p")])
    };
    for (razors, packs, free) in [(2, 1, 1), (3, 1, 1), (4, 2, 2), (4, 1, 1), (4, 5, 2), (7, 9, 3)] {
        let priced = given(razors, packs);
        assert_eq!(off(&priced), [0, 799 * free], "{razors} razors and {packs} packs");
        assert_eq!(outcome(&priced, "p"), &applied(u32::try_from(free).unwrap(), 799 * free));
        assert_eq!(priced.promotion_uses, [("p".to_owned(), u32::try_from(free).unwrap())].into());
    }
    assert_eq!(reason(&given(1, 9), "p"), Reason::TooFewUnits);
    let only_razors = price_with([line(1, "razor", "12.50", 9)], [blades_free("p")]);
    assert_eq!(reason(&only_razors, "p"), Reason::TooFewUnits);
    let only_blades = price_with([line(1, "blades-a", "7.99", 9)], [blades_free("p")]);
    assert_eq!(reason(&only_blades, "p"), Reason::TooFewUnits);
    let neither = price_with([line(1, "soap", "1", 9)], [blades_free("p")]);
    assert_eq!(reason(&neither, "p"), Reason::NoMatchingLine);
}

#[test]
fn a_gift_may_cost_a_part() {
    let half = buy_get_other("p", (RAZOR, 1), (BLADES, 1), 5_000);
    let priced = price_with([line(1, "razor", "12.50", 3), line(2, "blades-a", "3.33", 2)], [half]);
    // Half of 6.66; the third razor earns nothing, as there is no third pack.
    assert_eq!(off(&priced), [0, 333]);
    assert_eq!(outcome(&priced, "p"), &applied(2, 333));
}

#[test]
fn several_may_be_given_for_several() {
    let two_for_three = buy_get_other("p", (&["a"], 3), (&["b"], 2), 10_000);
    let priced = price_with([line(1, "a", "5", 7), line(2, "b", "1", 5)], [two_for_three]);
    assert_eq!(off(&priced), [0, 400], "7 hold 3 twice, and 5 hold 2 twice");
    assert_eq!(outcome(&priced, "p"), &applied(2, 400));
}

#[test]
fn of_categories_the_cheapest_is_given() {
    let of = |number, sku: &str, price: &str, pieces, category: &str| BasketLine {
        categories: vec![category.to_owned()],
        ..line(number, sku, price, pieces)
    };
    let pool = |category: &str, quantity| Pool {
        selector: Selector { categories: names(&[category]), ..Selector::default() },
        quantity,
    };
    let benefit = Benefit::BuyGetOther { buy: pool("A", 3), get: pool("B", 1), bps: 10_000 };
    let lines = [
        of(1, "a1", "20", 2, "A"),
        of(2, "a2", "1", 4, "A"),
        of(3, "b1", "9", 1, "B"),
        of(4, "b2", "4", 1, "B"),
        of(5, "b3", "6", 1, "B"),
    ];
    let priced = price_with(lines, [promotion("p", benefit)]);
    assert_eq!(off(&priced), [0, 0, 0, 400, 600], "six of A: the two cheapest of B");
}

#[test]
fn what_is_limited_is_given_as_often_as_is_left() {
    let lines = || [line(1, "razor", "12.50", 8), line(2, "blades-a", "8", 2), line(3, "blades-b", "6", 2)];
    let priced = price_with(lines(), [limited(3, blades_free("p"))]);
    assert_eq!(off(&priced), [0, 800, 1_200]);
    let left = |uses| {
        let basket = Basket { uses_left: [("p".to_owned(), uses)].into(), ..basket(lines()) };
        price(&basket, &rules([limited(3, blades_free("p"))])).unwrap()
    };
    let priced = left(1);
    assert_eq!((off(&priced), outcome(&priced, "p")), (vec![0, 0, 600], &applied(1, 600)));
    assert_eq!(reason(&left(0), "p"), Reason::LimitReached);
}

#[test]
fn what_earned_one_gift_earns_no_other() {
    // The first takes two of the razors and one pack; for the second two razors and a pack are left.
    let first = Promotion { priority: 1, ..limited(1, blades_free("x")) };
    let blades_a = || line(2, "blades-a", "8", 5);
    let with = |razors| {
        let lines = [line(1, "razor", "12.50", razors), blades_a()];
        price_with(lines, [first.clone(), blades_free("y")])
    };
    assert_eq!(off(&with(4)), [0, 1_600]);
    let priced = with(3);
    assert_eq!(off(&priced), [0, 800]);
    assert_eq!(reason(&priced, "y"), Reason::TooFewUnits, "one razor is left");
    // Nor does it take part in a buy-get of one pool or in a bundle.
    let lines = || [line(1, "razor", "12.50", 2), line(2, "blades-a", "8", 1)];
    let others = [buy_get("y", 1, 1), bundle("z", &[(RAZOR, 1), (BLADES, 1)], 100)];
    let priced = price_with(lines(), [vec![first], others.to_vec()].concat());
    assert_eq!(off(&priced), [0, 800]);
    assert_eq!(reason(&priced, "y"), Reason::TooFewUnits);
    assert_eq!(reason(&priced, "z"), Reason::TooFewUnits);
    // But percentages still fall on what is left to pay.
    let tenth = Promotion { priority: 99, ..percentage("t", 1_000) };
    assert_eq!(off(&price_with(lines(), [blades_free("x"), tenth])), [250, 800]);
}

#[test]
fn a_piece_of_both_pools_is_bought_or_given() {
    let of_both = || buy_get_other("p", (&["a", "both"], 2), (&["both", "b"], 1), 10_000);
    let with = |a, both, b| {
        let lines = [line(1, "a", "10", a), line(2, "both", "2", both), line(3, "b", "3", b)];
        let lines = lines.into_iter().filter(|line| line.quantity.thousandths() > 0);
        let priced = price_with(lines, [of_both()]);
        let uses = priced.promotion_uses.get("p").copied().unwrap_or(0);
        (uses, priced.amounts.discount_shown)
    };
    assert_eq!(with(0, 2, 0), (0, 0), "two are no three");
    assert_eq!(with(0, 3, 0), (1, 200));
    assert_eq!(with(2, 1, 0), (1, 200));
    // One of the two is needed as a bought one, so that the other pool gives the dearer.
    assert_eq!(with(0, 2, 1), (1, 300));
    assert_eq!(with(1, 2, 1), (1, 200), "of three that may be bought one may be given");
    assert_eq!(with(2, 2, 2), (2, 600), "all are needed as bought ones");
    assert_eq!(with(3, 2, 2), (2, 500));
    assert_eq!(with(4, 2, 2), (2, 400));
}

#[test]
fn the_dearest_are_left_to_what_comes_later() {
    // One razor of each price is bought: the cheaper counts, and the dearer is still free for a pair.
    let first = Promotion { priority: 1, ..buy_get_other("x", (&["razor", "gold"], 1), (BLADES, 1), 10_000) };
    let pair = bundle("y", &[(&["gold"], 1), (&["soap"], 1)], 3_000);
    let lines = [
        line(1, "gold", "40", 1),
        line(2, "razor", "12.50", 1),
        line(3, "blades-a", "8", 1),
        line(4, "soap", "2", 1),
    ];
    let priced = price_with(lines, [first, pair]);
    assert_eq!(outcome(&priced, "x"), &applied(1, 800));
    assert_eq!(outcome(&priced, "y"), &applied(1, 1_200));
}

#[test]
fn an_exclusive_one_keeps_what_was_bought_too() {
    let alone = Promotion { priority: 1, stacking: Stacking::Exclusive, ..blades_free("x") };
    let lines = || [line(1, "razor", "12.50", 2), line(2, "blades-a", "8", 1), line(3, "soap", "2", 1)];
    let priced = price_with(lines(), [alone.clone(), percentage("y", 1_000)]);
    assert_eq!(off(&priced), [0, 800, 20], "a tenth of the soap alone");
    let first = Promotion { priority: 0, target: only(RAZOR), ..percentage("y", 1_000) };
    let priced = price_with(lines(), [alone, first]);
    assert_eq!(reason(&priced, "x"), Reason::TooFewUnits, "the razors were touched before");
}

#[test]
fn what_takes_part_in_no_promotion_earns_nothing() {
    let agreed = BasketLine { price_overridden: true, ..line(1, "razor", "10", 2) };
    let blades = || line(2, "blades-a", "8", 1);
    assert_eq!(reason(&price_with([agreed, blades()], [blades_free("p")]), "p"), Reason::TooFewUnits);
    let deposit = BasketLine { discountable: false, ..line(1, "razor", "10", 2) };
    assert_eq!(reason(&price_with([deposit, blades()], [blades_free("p")]), "p"), Reason::TooFewUnits);
    let free = price_with([line(1, "razor", "0", 2), blades()], [blades_free("p")]);
    assert_eq!(reason(&free, "p"), Reason::TooFewUnits, "nothing was bought");
    let kilos = price_with([weighed(1, "razor", "10", 2_000), blades()], [blades_free("p")]);
    assert_eq!(reason(&kilos, "p"), Reason::TooFewUnits);
}

#[test]
fn it_does_not_look_at_single_pieces() {
    let lines = [line(1, "razor", "12.50", 80_995), line(2, "blades-a", "0.55", 80_995)];
    let priced = price_with(lines, [blades_free("p")]);
    assert_eq!(outcome(&priced, "p"), &applied(40_497, 40_497 * 55));
}

#[test]
fn of_a_group_the_best_applies() {
    let grouped = |promotion| Promotion { group: Some("g".into()), ..promotion };
    let lines = || [line(1, "razor", "12.50", 2), line(2, "blades-a", "8", 1)];
    let both = |bps| [grouped(blades_free("x")), grouped(percentage("y", bps))];
    assert_eq!(reason(&price_with(lines(), both(2_400)), "y"), Reason::NotBestOfGroup { best: "x".into() });
    assert_eq!(reason(&price_with(lines(), both(2_500)), "x"), Reason::NotBestOfGroup { best: "y".into() });
}
