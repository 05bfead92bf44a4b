//! Refunds of cash, where the smallest coins are gone.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::super::tests::{by, cart, line, lines_of, pay};
use super::super::{ApprovedPart, Disposition, OriginalSale, ReturnHead, Returned, UsedApproval};
use super::*;
use crate::quantity::Quantity;
use crate::till::LaneTotals;

fn pounds(pence: i64) -> String {
    format!("{}.{:02}", pence / 100, pence % 100)
}

/// A return without its sale that is worth so much.
fn blind(worth: i64, coin: u32) -> Cart {
    let mut back = cart(CartKind::Return);
    back.terms.cash_increment = coin;
    back.return_of = Some(ReturnHead { reason: "x".into(), original: None });
    back.return_blind_line(line("A", 1, &pounds(worth)), Disposition::Restock).unwrap();
    back
}

/// A return that is worth so much, of a sale of which so much was paid and refunded by tender.
fn known(worth: i64, coin: u32, tenders: &[(&str, i64, i64)]) -> Cart {
    let tenders = tenders.iter().map(|(tender, paid, refunded)| ((*tender).to_owned(), (*paid, *refunded)));
    let mut back = blind(worth, coin);
    let original = OriginalSale { order_id: "o".into(), lines: vec![], tenders: tenders.collect() };
    back.return_of = Some(ReturnHead { reason: "x".into(), original: Some(original) });
    back
}

/// What came of each refund: its code, or what is due after it.
fn told(back: &mut Cart, refunds: &[(&str, i64)]) -> Vec<Result<i64, &'static str>> {
    refunds
        .iter()
        .map(|(tender, amount)| {
            let before = back.clone();
            let done = back.refund(pay(tender, *amount));
            if done.is_err() {
                assert_eq!(*back, before, "what is refused changes nothing");
            }
            done.map(|_| back.totals().unwrap().due).map_err(|error| error.code())
        })
        .collect()
}

fn rounding(back: &Cart) -> i64 {
    back.totals().unwrap().cash_rounding
}

#[test]
fn cash_is_given_back_in_coins() {
    type Case<'a> = (i64, u32, &'a [(&'a str, i64)], &'a [Result<i64, &'static str>], i64);
    let cases: [Case; 13] = [
        (1_002, 5, &[("cash", 1_002), ("cash", 1_000)], &[Err("cash_not_in_coins"), Ok(0)], -2),
        (1_003, 5, &[("cash", 1_003), ("cash", 1_005)], &[Err("cash_not_in_coins"), Ok(0)], 2),
        (1_002, 5, &[("cash", 1_005), ("cash", 1_001)], &[Err("overpaid"), Err("cash_not_in_coins")], 0),
        // A part in coins, and the rest by what else there is.
        (1_003, 5, &[("cash", 1_000), ("card", 3)], &[Ok(3), Ok(0)], 0),
        (1_003, 5, &[("cash", 1_000), ("cash", 5)], &[Ok(3), Ok(0)], 2),
        (1_003, 5, &[("cash", 995), ("cash", 10)], &[Ok(8), Ok(0)], 2),
        (1_003, 5, &[("card", 3), ("cash", 1_000)], &[Ok(1_000), Ok(0)], 0),
        // What comes to no coin is settled by none.
        (2, 5, &[("cash", 1), ("cash", 2), ("cash", 0)], &[Err("cash_not_in_coins"); 2], 0),
        (2, 5, &[("card", 0), ("cash", 0), ("cash", 0)], &[Err("amount_not_positive"), Ok(0)], -2),
        (
            1_002,
            5,
            &[("cash", 0), ("card", 1_000), ("cash", 0)],
            &[Err("amount_not_positive"), Ok(2), Ok(0)],
            -2,
        ),
        (3, 5, &[("cash", 0), ("cash", 5)], &[Err("amount_not_positive"), Ok(0)], 2),
        (5, 10, &[("cash", 0), ("cash", 10)], &[Err("amount_not_positive"), Ok(0)], 5),
        // Where every coin is there, nothing is rounded.
        (1_002, 1, &[("cash", 0), ("cash", 1_002)], &[Err("amount_not_positive"), Ok(0)], 0),
    ];
    for (worth, coin, refunds, expected, rounded) in cases {
        let mut back = blind(worth, coin);
        let told = told(&mut back, refunds);
        assert_eq!(told.get(..expected.len()), Some(expected), "{worth} in {coin}: {refunds:?}");
        if expected.len() == refunds.len() {
            assert_eq!(rounding(&back), rounded, "{worth} in {coin}: {refunds:?}");
        }
        let paid: i64 = back.payments.iter().map(|refund| refund.amount).sum();
        let totals = back.totals().unwrap();
        assert_eq!(paid, totals.total + totals.cash_rounding - totals.due);
    }
    let refused = blind(1_003, 5).refund(pay("cash", 1_003));
    assert_eq!(refused, Err(CartError::NotInCoins { payable: 1_005 }), "it says what would be right");
}

/// Rounding is of all that comes back: what came back after a refund is rounded together with what was before.
#[test]
fn what_comes_back_after_a_refund_is_rounded_with_what_came_before() {
    // In coins of 5: what comes back first and what is given for it; what comes back then, and what is due and rounded
    // after it; what is given then, and rounded in all.
    for (first, given, then, due, kept, rest, rounded) in [
        (102, 100, 102, 104, 0, 105, 1),
        (103, 105, 103, 101, 0, 100, -1),
        (102, 100, 1, 3, 0, 5, 2),
        (103, 105, 3, 1, 0, 0, -1),
        // The coin that was given above pays for it, in part or wholly.
        (103, 105, 1, 0, 1, 0, 1),
        (103, 105, 2, 0, 0, 0, 0),
        (105, 105, 102, 102, 0, 100, -2),
        // A penny of no price changes nothing.
        (102, 100, 0, 0, -2, 0, -2),
    ] {
        let label = format!("{first} and {then}");
        let mut back = blind(first, 5);
        back.refund(pay("cash", given)).unwrap();
        back.return_blind_line(line("B", 1, &pounds(then)), Disposition::Restock).unwrap();
        assert_eq!((back.totals().unwrap().due, rounding(&back)), (due, kept), "{label}");
        if due > 0 {
            back.refund(pay("cash", rest)).unwrap();
        }
        let totals =
            back.check_finalizable(CartKind::Return).unwrap_or_else(|error| panic!("{label}: {error}"));
        assert_eq!((totals.cash_rounding, totals.paid), (rounded, first + then + rounded), "{label}");
    }
}

/// What a register gave back while it was cut off is kept as it gave it, rounded one by one, together, or not at all; where
/// it is more than coins explain, somebody is told.
#[test]
fn what_was_given_back_while_a_register_was_cut_off_is_kept() {
    // The coin; of each thing that came back its worth, and what was given for it then; what is rounded, what is told.
    type Case<'a> = (u32, &'a [(i64, i64)], i64, Option<(i64, i64)>);
    let cases: [Case; 11] = [
        (5, &[(102, 100), (102, 100)], -4, None),
        (5, &[(103, 105), (103, 105)], 4, None),
        (5, &[(103, 105), (103, 105), (103, 105)], 6, None),
        (10, &[(104, 100), (104, 100), (104, 100)], -12, None),
        (5, &[(2, 0), (2, 0)], -4, None),
        (5, &[(102, 100), (102, 105)], 1, None),
        (5, &[(102, 102), (102, 102)], 0, None),
        // A coin less a penny for each refund, and a penny more.
        (5, &[(102, 100), (102, 112)], 8, None),
        (5, &[(102, 100), (102, 113)], 9, Some((204, 213))),
        (5, &[(102, 102), (102, 202)], 100, Some((204, 304))),
        (0, &[(102, 105)], 3, Some((102, 105))),
    ];
    for (coin, given, rounded, told) in cases {
        let mut back = blind(0, coin);
        for (worth, amount) in given {
            back.return_blind_line(line("B", 1, &pounds(*worth)), Disposition::Restock).unwrap();
            back.refund_given(pay("cash", *amount)).unwrap();
        }
        // Once more changes nothing.
        for _ in 0..2 {
            back.keep_as_given().unwrap();
            let totals = back.check_finalizable(CartKind::Return).unwrap();
            assert_eq!((totals.cash_rounding, totals.change), (rounded, 0), "{coin} {given:?}");
            assert_eq!(totals.paid, given.iter().map(|(_, amount)| amount).sum::<i64>());
            assert_eq!(back.asked_beyond_rounding().unwrap(), told, "{coin} {given:?}");
        }
    }
}

/// What did not leave a drawer, or could not have, is refused as ever.
#[test]
fn what_no_register_can_have_given_back_is_refused() {
    let refused = |back: &mut Cart, tender: &str, amount: i64| {
        let before = back.clone();
        let error = back.refund_given(pay(tender, amount)).unwrap_err();
        assert_eq!(*back, before, "what is refused changes nothing");
        error.code()
    };
    let mut back = blind(1_002, 5);
    assert_eq!(refused(&mut back, "card", 1_003), "overpaid");
    assert_eq!(refused(&mut back, "cash", -5), "amount_not_positive");
    assert_eq!(refused(&mut blind(1_002, 0), "cash", 0), "amount_not_positive");
    // A refund that lacks can still be told.
    back.refund_given(pay("cash", 900)).unwrap();
    back.keep_as_given().unwrap();
    assert_eq!(back.check_finalizable(CartKind::Return), Err(CartError::Underpaid { due: 102 }));
    back.refund_given(pay("cash", 100)).unwrap();
    back.keep_as_given().unwrap();
    assert_eq!((back.totals().unwrap().due, rounding(&back)), (0, -2));

    // More than the sale's cash goes back by coins alone, here and where the return becomes final.
    let mut back = known(206, 5, &[("cash", 205, 0)]);
    for _ in 0..2 {
        back.refund_given(pay("cash", 105)).unwrap();
    }
    assert_eq!(refused(&mut back, "cash", 105), "refund_above_paid");
    assert_eq!(refused(&mut known(206, 5, &[("cash", 200, 0)]), "cash", 205), "refund_above_paid");
    back.keep_as_given().unwrap();
    assert_eq!((back.totals().unwrap().due, rounding(&back)), (0, 4));
    let original = back.return_of.as_ref().and_then(|head| head.original.clone()).unwrap();
    let mut returned = Returned::default();
    returned.add(&back, &original).unwrap();
    assert_eq!(returned.refunded["cash"], 210);
    back.course.asked_total = None;
    let online = Returned::default().add(&back, &original);
    assert_eq!(online, Err(CartError::AbovePaid { tender: "cash".into(), left: 100 }));

    // No more goes out than was approved.
    let mut back = blind(206, 5);
    let part = ApprovedPart::Return { most: 206 };
    let used = UsedApproval { approval_id: "ap".into(), approved_by: "m".into(), part };
    back.approvals.record(used).unwrap();
    back.refund_given(pay("cash", 105)).unwrap();
    assert_eq!(refused(&mut back, "cash", 105), "approval_does_not_match");
}

/// What another tender leaves of a sale may come to no coin: it is paid by none.
#[test]
fn what_is_left_of_a_sale_without_a_coin_is_paid_by_none() {
    let refused = Err("amount_not_positive");
    for (total, coin, by_card, tender, expected) in [
        (1_002, 5, 1_000, "cash", Ok(-2)),
        (2, 5, 0, "cash", Ok(-2)),
        (1_004, 10, 1_000, "cash", Ok(-4)),
        // What comes to a coin is not.
        (1_003, 5, 1_000, "cash", refused),
        (1_005, 5, 1_000, "cash", refused),
        // Where every coin is there, and by what needs none.
        (1_002, 1, 1_000, "cash", refused),
        (1_002, 0, 1_000, "cash", refused),
        (1_002, 5, 1_000, "card", refused),
        (1_002, 5, 0, "cash", refused),
    ] {
        let label = format!("{total} in {coin}, {by_card} by card, nothing by {tender}");
        let mut sale = cart(CartKind::Sale);
        sale.add_line(line("A", 1, &pounds(total))).unwrap();
        sale.set_tendering(&by()).unwrap();
        sale.terms.cash_increment = coin;
        if by_card > 0 {
            sale.add_payment(pay("card", by_card)).unwrap();
        }
        let before = sale.clone();
        let paid = sale.add_payment(pay(tender, 0));
        assert_eq!(paid.as_ref().map(|_| rounding(&sale)).map_err(CartError::code), expected, "{label}");
        let Ok((number, change)) = paid else {
            assert_eq!(sale, before, "what is refused changes nothing: {label}");
            continue;
        };
        assert_eq!((sale.state, change, sale.totals().unwrap().due), (CartState::Paid, 0, 0), "{label}");
        // Nothing is due any more, so nothing is paid with nothing.
        assert!(sale.clone().add_payment(pay("cash", 0)).is_err(), "{label}");
        sale.remove_payment(&format!("p-{number}")).unwrap();
        assert_eq!((sale.totals().unwrap().due, sale.state), (total - by_card, CartState::Tendering));
        assert_eq!(rounding(&sale), 0, "{label}");
    }
}

/// A register that was cut off may have settled by no coin what is more here by now: it is settled as it was there.
#[test]
fn no_coin_of_a_register_that_was_cut_off_is_taken() {
    let mut sale = cart(CartKind::Sale);
    sale.add_line(line("A", 1, "10.52")).unwrap();
    sale.set_tendering(&by()).unwrap();
    sale.terms.cash_increment = 5;
    sale.add_payment_taken(pay("card", 1_000)).unwrap();
    assert_eq!(sale.add_payment(pay("cash", 0)), Err(CartError::NotPositive));
    for (tender, amount) in [("card", 0), ("cash", -1)] {
        assert_eq!(sale.add_payment_taken(pay(tender, amount)), Err(CartError::NotPositive));
    }
    assert_eq!(sale.add_payment_taken(pay("cash", 0)), Ok((2, 0)));
    assert_eq!((sale.state, sale.totals().unwrap().due), (CartState::Tendering, 52));
    sale.keep_at_asked_total(Money { amount: 1_002, currency: sale.currency }).unwrap();
    assert_eq!((rounding(&sale), sale.totals().unwrap().due), (-50 - 2, 0));
}

/// An approval is of what is handed over: where the nearest coin is above it, the one below settles what is due.
#[test]
fn no_coin_above_what_was_approved_is_given_back() {
    type Case<'a> = (i64, &'a [(&'a str, i64)], &'a [Result<i64, &'static str>], i64);
    let above = Err("approval_does_not_match");
    let cases: [Case; 6] = [
        (1_003, &[("cash", 1_005), ("cash", 1_000)], &[above, Ok(0)], -3),
        (1_004, &[("cash", 1_005), ("cash", 1_000)], &[above, Ok(0)], -3),
        (1_005, &[("cash", 1_005)], &[Ok(0)], 2),
        (1_003, &[("cash", 995), ("cash", 10), ("cash", 5)], &[Ok(8), above, Ok(0)], -3),
        (1_003, &[("card", 1_003)], &[Ok(0)], 0),
        (1_003, &[("card", 1_000), ("cash", 5), ("cash", 0)], &[Ok(3), above, Ok(0)], -3),
    ];
    for (most, refunds, expected, rounded) in cases {
        let mut back = blind(1_003, 5);
        let part = ApprovedPart::Return { most };
        let used = UsedApproval { approval_id: "ap".into(), approved_by: "m".into(), part };
        back.approvals.record(used).unwrap();
        assert_eq!(told(&mut back, refunds), expected, "at most {most}: {refunds:?}");
        let totals = back.check_finalizable(CartKind::Return).unwrap();
        assert_eq!(totals.cash_rounding, rounded, "at most {most}: {refunds:?}");
        assert!(totals.paid <= most);
    }
}

#[test]
fn no_more_cash_goes_back_than_came_in_and_nothing_gets_stuck() {
    // Parts before were rounded up: what is left is less than the nearest.
    let mut last = known(49, 5, &[("cash", 100, 55)]);
    assert_eq!(
        told(&mut last, &[("cash", 50), ("cash", 49), ("cash", 45)])[..2],
        [Err("refund_above_paid"); 2]
    );
    assert_eq!((last.totals().unwrap().due, rounding(&last)), (0, -4));
    // Nothing is left of it at all.
    let mut last = known(3, 5, &[("cash", 1_000, 1_000)]);
    assert_eq!(told(&mut last, &[("cash", 5), ("cash", 0)]), [Err("refund_above_paid"), Ok(0)]);
    assert_eq!(rounding(&last), -3);
    // Nor where cash is not rounded, and of whatever tender.
    for (tender, coin) in [("cash", 0), ("cash", 1), ("card", 0), ("card", 5)] {
        let mut last = known(1_000, coin, &[(tender, 2_000, 2_000)]);
        assert_eq!(
            told(&mut last, &[(tender, 1), (tender, 0)]),
            [Err("refund_above_paid"), Ok(0)],
            "{tender}"
        );
        assert_eq!(rounding(&last), -1_000, "{tender}");
        let mut more = known(1_000, coin, &[(tender, 2_000, 1_999)]);
        assert_eq!(told(&mut more, &[(tender, 0)]), [Err("amount_not_positive")], "{tender}");
    }
    let mut last = known(53, 5, &[("cash", 530, 495)]);
    assert_eq!(told(&mut last, &[("cash", 35)]), [Ok(0)], "nine parts of 0.53 were 0.55 each");
    assert_eq!(rounding(&last), -18);
    // Cash that was paid to the penny goes back in coins.
    let mut odd = known(1_002, 5, &[("cash", 1_002, 0)]);
    assert_eq!(told(&mut odd, &[("cash", 1_002), ("cash", 1_000)]), [Err("cash_not_in_coins"), Ok(0)]);
    let mut odd = known(1_003, 5, &[("cash", 1_003, 0)]);
    assert_eq!(told(&mut odd, &[("cash", 1_005), ("cash", 1_000)]), [Err("refund_above_paid"), Ok(0)]);
    assert_eq!(rounding(&odd), -3);
    // Of 10.00 card paid 4.98, and cash 5.00 in place of 5.02. In whatever order they go back.
    let paid: &[_] = &[("card", 498, 0), ("cash", 500, 0)];
    let mut back = known(1_000, 5, paid);
    assert_eq!(told(&mut back, &[("card", 498), ("cash", 500)]), [Ok(502), Ok(0)]);
    assert_eq!(rounding(&back), -2);
    let mut back = known(1_000, 5, paid);
    let other_way = [("cash", 500), ("cash", 0), ("card", 498), ("cash", 0)];
    assert_eq!(told(&mut back, &other_way), [Ok(500), Err("amount_not_positive"), Ok(2), Ok(0)]);
    assert_eq!(rounding(&back), -2);
    // Pennies that another tender is good for are not rounded away.
    let mut back = known(2, 5, &[("card", 1_002, 0)]);
    assert_eq!(told(&mut back, &[("cash", 0), ("card", 2)]), [Err("amount_not_positive"), Ok(0)]);
    assert_eq!(rounding(&back), 0);
}

/// Gives a return back as a till does: by tenders in any order, as much as each takes, cash in coins; what is
/// left then and comes to no coin, by none.
fn give_back(back: &mut Cart, tenders: &[&str], coin: i64) {
    for round in 0..2 {
        for tender in tenders {
            let due = back.totals().unwrap().due;
            let original = back.return_of.as_ref().and_then(|head| head.original.as_ref()).unwrap();
            let left = original.refundable_beside(tender, &back.payments);
            let amount = match *tender {
                "cash" if coin > 1 => ((2 * due + coin) / (2 * coin) * coin).min(left / coin * coin),
                _ => due.min(left),
            };
            if due > 0 && (amount > 0 || round == 1 && *tender == "cash" && coin > 1) {
                back.refund(pay(tender, amount)).unwrap();
            }
        }
    }
}

proptest! {
    /// Whatever was sold, however it was paid and in whatever parts it comes back: every part can be given
    /// back, cash in coins, no tender more than it paid; lines, tenders and rounding add up to the penny.
    #[test]
    fn every_part_of_a_sale_comes_back(
        coin in prop::sample::select(vec![1_i64, 5, 10, 20]),
        prices in prop::collection::vec((1_i64..400, 1_i64..4), 1..8),
        by_card in 0_i64..300,
        cash_first in any::<bool>(),
        at_once in 1_usize..4,
    ) {
        let increment = u32::try_from(coin).unwrap();
        let mut sale = cart(CartKind::Sale);
        for (price, pieces) in &prices {
            sale.add_line(line("A", *pieces, &pounds(*price))).unwrap();
        }
        sale.set_tendering(&by()).unwrap();
        sale.terms.cash_increment = increment;
        let total = sale.totals().unwrap().total;
        if (1..total).contains(&by_card) {
            sale.add_payment(pay("card", by_card)).unwrap();
        }
        // A note of a hundred, with change.
        sale.add_payment(pay("cash", 10_000)).unwrap();
        prop_assert_eq!(sale.totals().unwrap().due, 0);
        let mut paid: BTreeMap<String, i64> = BTreeMap::new();
        for payment in &sale.payments {
            *paid.entry(payment.tender.clone()).or_default() += payment.amount - payment.change;
        }
        let mut tenders: Vec<&str> = paid.keys().map(String::as_str).collect();
        tenders.sort_by_key(|tender| (*tender == "cash") != cash_first);
        let mut returned = Returned::default();
        let mut lane = LaneTotals::of_cart(&sale).unwrap();
        // Piece by piece, so many in one return.
        let pieces: Vec<String> = sale
            .lines
            .iter()
            .flat_map(|line| (0..line.quantity.thousandths() / 1_000).map(|_| line.id()))
            .collect();
        for some in pieces.chunks(at_once) {
            let original = OriginalSale {
                order_id: "c-1".into(),
                lines: lines_of(&sale, &returned),
                tenders: paid
                    .iter()
                    .map(|(name, paid)| {
                        (name.clone(), (*paid, returned.refunded.get(name).copied().unwrap_or(0)))
                    })
                    .collect(),
            };
            let mut back = cart(CartKind::Return);
            back.terms.cash_increment = increment;
            back.charges.sold.clone_from(&sale.charges.lines);
            back.return_of = Some(ReturnHead { reason: "x".into(), original: Some(original.clone()) });
            for line in some {
                back.return_known_line(line, Quantity::from_pieces(1).unwrap(), Disposition::Restock).unwrap();
            }
            give_back(&mut back, &tenders, coin);
            let totals = back.check_finalizable(CartKind::Return);
            prop_assert!(totals.is_ok(), "{:?} of {:?} by {:?}: {:?}", totals, back.payments, paid, returned);
            let totals = totals.unwrap();
            let given: i64 = back.payments.iter().map(|refund| refund.amount).sum();
            prop_assert_eq!(given, totals.total + totals.cash_rounding);
            for refund in back.payments.iter().filter(|refund| refund.tender == "cash") {
                prop_assert_eq!(refund.amount % coin, 0);
            }
            returned.add(&back, &original).unwrap();
            lane = lane.plus(&LaneTotals::of_cart(&back).unwrap());
        }
        prop_assert_eq!(lane.sales_total, lane.returns_total);
        let in_tills: i64 = paid.keys().map(|t| lane.tender(t).paid - lane.tender(t).refunded).sum();
        prop_assert_eq!(lane.cash_rounding, in_tills);
        prop_assert!(in_tills >= 0, "no tender gave more than it took");
        prop_assert_eq!(lane.drawer() % coin, 0);
    }
}

/// A sale that is worth so much, ready to be paid.
fn to_be_paid(worth: i64, coin: u32) -> Cart {
    let mut sale = cart(CartKind::Sale);
    sale.add_line(line("A", 1, &pounds(worth))).unwrap();
    sale.set_tendering(&by()).unwrap();
    // As the rules of pricing would have it.
    sale.terms.cash_increment = coin;
    sale
}

/// Payments taken back and made again are no way to have a sale rounded down to nothing.
#[test]
fn rounding_goes_with_what_settled_the_sale() {
    let mut sale = to_be_paid(102, 5);
    sale.add_payment(pay("card", 100)).unwrap();
    sale.add_payment(pay("cash", 1)).unwrap();
    assert_eq!((sale.totals().unwrap().cash_rounding, sale.totals().unwrap().due), (-2, 0));
    sale.remove_payment("p-1").unwrap();
    // All of it is due again: the coin went back as change.
    assert_eq!((sale.totals().unwrap().cash_rounding, sale.totals().unwrap().due), (0, 102));
}

/// What comes back may be worth less by then, as where a tax ended meanwhile: what was given above that is no coin.
#[test]
fn more_given_back_than_goods_are_worth_is_no_rounding() {
    for (worth, expected) in
        [("120.01", (0, 1)), ("119.98", (2, 0)), ("119.95", (0, -5)), ("110", (0, -1_000))]
    {
        let mut back = blind(0, 5);
        back.return_blind_line(line("B", 1, "120.02"), Disposition::Restock).unwrap();
        back.refund(pay("cash", 12_000)).unwrap();
        assert_eq!((rounding(&back), back.totals().unwrap().due), (-2, 0));
        back.lines.last_mut().unwrap().unit_price = worth.parse().unwrap();
        back.round_refunds_anew().unwrap();
        let due = back.totals().unwrap().due;
        assert_eq!((rounding(&back), due), expected, "{worth}");
        assert!(due >= 0 || back.check_finalizable(CartKind::Return).is_err(), "{worth}");
    }
}

proptest! {
    /// Whatever is paid and taken back, in whatever order: what coins round is less than a coin.
    #[test]
    fn coins_round_by_less_than_one(
        worth in 1_i64..3_000,
        coin in prop::sample::select(vec![5_u32, 10, 100]),
        steps in prop::collection::vec((0_u8..5, 1_i64..3_000), 1..30),
    ) {
        let mut sale = to_be_paid(worth, coin);
        for (step, amount) in steps {
            let there: Vec<String> = sale.payments.iter().map(Payment::id).collect();
            let due = sale.totals().unwrap().due;
            let done = match step {
                0 => sale.add_payment(pay("cash", amount)).map(drop),
                1 => sale.add_payment(pay("card", amount)).map(drop),
                2 => sale.add_payment(pay("cash", (due + i64::from(coin)).max(1))).map(drop),
                _ => match there.get(usize::try_from(amount).unwrap() % there.len().max(1)) {
                    Some(id) => sale.remove_payment(id).map(drop),
                    None => Ok(()),
                },
            };
            drop(done);
            let totals = sale.totals().unwrap();
            prop_assert!(totals.cash_rounding.abs() < i64::from(coin), "{totals:?}");
            prop_assert!(totals.cash_rounding == 0 || totals.due == 0, "{totals:?}");
        }
    }

    /// However what comes back is parted by refunds, it is given back for the nearest coin of all of it.
    #[test]
    fn parts_are_given_back_for_what_they_are_together(
        worths in prop::collection::vec((0_i64..300, any::<bool>()), 1..12),
        coin in prop::sample::select(vec![5_u32, 10, 20]),
    ) {
        let mut back = blind(0, coin);
        let mut total = 0;
        for (worth, is_refunded) in worths {
            back.return_blind_line(line("B", 1, &pounds(worth)), Disposition::Restock).unwrap();
            total += worth;
            let due = back.totals().unwrap().due;
            prop_assert!(due >= 0 && (rounding(&back) == 0 || due == 0));
            if due > 0 && is_refunded {
                back.refund(pay("cash", due + cash_rounding(due, coin))).unwrap();
            }
        }
        let due = back.totals().unwrap().due;
        if due > 0 {
            back.refund(pay("cash", due + cash_rounding(due, coin))).unwrap();
        }
        let totals = back.check_finalizable(CartKind::Return).unwrap();
        prop_assert_eq!(totals.paid, total + cash_rounding(total, coin));
    }

    /// A register that was cut off and rounded each refund by itself: whatever came back, it is final for what was given,
    /// and nobody has to look.
    #[test]
    fn whatever_was_rounded_one_by_one_is_kept(
        worths in prop::collection::vec(0_i64..300, 1..12),
        coin in prop::sample::select(vec![5_u32, 10, 20]),
    ) {
        let mut back = blind(0, coin);
        let mut given = 0;
        for worth in worths {
            back.return_blind_line(line("B", 1, &pounds(worth)), Disposition::Restock).unwrap();
            let amount = worth + cash_rounding(worth, coin);
            back.refund_given(pay("cash", amount)).unwrap();
            given += amount;
        }
        back.keep_as_given().unwrap();
        let totals = back.check_finalizable(CartKind::Return).unwrap();
        prop_assert_eq!(totals.paid, given);
        prop_assert_eq!(back.asked_beyond_rounding().unwrap(), None);
    }
}
