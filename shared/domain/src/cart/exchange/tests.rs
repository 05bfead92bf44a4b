use proptest::prelude::*;

use super::super::tests::{by, cart, line, pay};
use super::super::{ApprovedPart, CartState, Disposition, PaymentInput, ReturnHead, Returned, UsedApproval};
use super::*;
use crate::money::Currency;
use crate::till::LaneTotals;

fn pounds(pence: i64) -> String {
    format!("{}.{:02}", pence / 100, pence % 100)
}

/// A blind return of one piece that is worth so much, with refunds.
fn back(worth: i64, refunds: &[(&str, i64)], increment: u32) -> Cart {
    let mut c = cart(CartKind::Return);
    c.id = "back".into();
    c.terms.cash_increment = increment;
    c.return_of = Some(ReturnHead { reason: "too small".into(), original: None });
    c.return_blind_line(line("A", 1, &pounds(worth)), Disposition::Restock).unwrap();
    for (tender, amount) in refunds {
        c.refund(pay(tender, *amount)).unwrap();
    }
    c
}

/// A sale of one piece at so much, with payments.
fn sale(price: i64, payments: &[(&str, i64)], increment: u32) -> Cart {
    let mut c = cart(CartKind::Sale);
    c.id = "sale".into();
    c.add_line(line("B", 1, &pounds(price))).unwrap();
    c.set_tendering(&by()).unwrap();
    c.terms.cash_increment = increment;
    for (tender, amount) in payments {
        c.add_payment(pay(tender, *amount)).unwrap();
    }
    c
}

type Paid<'a> = &'a [(&'a str, i64)];

/// What is to be paid or refunded is the difference, to the penny or in coins; else it is told how much is.
#[test]
fn only_the_difference_is_paid_or_refunded() {
    type Told = Result<(i64, i64, i64, i64), (&'static str, i64)>;
    // Worth, price, payments, refunds, smallest coin: credit, change, rounding of the sale and of the return.
    let cases: [(i64, i64, Paid, Paid, u32, Told); 38] = [
        (2_000, 2_000, &[], &[], 1, Ok((2_000, 0, 0, 0))),
        (2_000, 3_000, &[("card", 1_000)], &[], 1, Ok((2_000, 0, 0, 0))),
        (2_000, 3_000, &[("card", 400), ("voucher", 600)], &[], 1, Ok((2_000, 0, 0, 0))),
        (2_000, 3_000, &[], &[], 1, Err(("underpaid", 1_000))),
        (2_000, 3_000, &[("card", 999)], &[], 1, Err(("underpaid", 1))),
        (2_000, 3_000, &[("card", 1_001)], &[], 1, Err(("overpaid", 1_000))),
        (2_000, 3_000, &[("card", 3_000)], &[], 1, Err(("overpaid", 1_000))),
        (2_000, 3_000, &[("card", 1_000), ("cash", 1)], &[], 1, Err(("overpaid", 0))),
        // Cash gives change: first what add_payment told, then the credit.
        (2_000, 3_000, &[("cash", 2_500)], &[], 1, Ok((2_000, 1_500, 0, 0))),
        (2_000, 3_000, &[("cash", 5_000)], &[], 1, Ok((2_000, 2_000, 0, 0))),
        (2_000, 3_000, &[("cash", 999), ("cash", 500)], &[], 1, Ok((2_000, 499, 0, 0))),
        (2_000, 3_000, &[("cash", 1_000), ("cash", 500)], &[], 1, Err(("overpaid", 0))),
        (2_000, 2_000, &[("cash", 500)], &[], 1, Err(("overpaid", 0))),
        (2_000, 1_500, &[("cash", 500)], &[("cash", 500)], 1, Err(("overpaid", 0))),
        // More comes back than goes out.
        (2_000, 1_500, &[], &[("cash", 500)], 1, Ok((1_500, 0, 0, 0))),
        (2_000, 1_500, &[], &[("card", 200), ("cash", 300)], 1, Ok((1_500, 0, 0, 0))),
        (2_000, 1_500, &[], &[], 1, Err(("exchange_not_settled", 500))),
        (2_000, 1_500, &[], &[("card", 499)], 1, Err(("exchange_not_settled", 1))),
        (2_000, 1_500, &[], &[("card", 501)], 1, Err(("exchange_not_settled", 500))),
        (2_000, 1_500, &[], &[("card", 500), ("cash", 1)], 1, Err(("exchange_not_settled", 0))),
        (2_000, 2_000, &[], &[("cash", 2_000)], 1, Err(("exchange_not_settled", 0))),
        (2_000, 3_000, &[("card", 1_000)], &[("cash", 1)], 1, Err(("exchange_not_settled", 0))),
        // Only the difference is rounded, and only where it is paid in cash.
        (1_001, 2_004, &[("cash", 1_005)], &[], 5, Ok((1_001, 0, 2, 0))),
        (1_001, 2_003, &[("cash", 1_000)], &[], 5, Ok((1_001, 0, -2, 0))),
        (1_001, 2_004, &[("card", 1_003)], &[], 5, Ok((1_001, 0, 0, 0))),
        (1_001, 2_004, &[("cash", 2_000)], &[], 5, Ok((1_001, 995, 2, 0))),
        (1_001, 2_004, &[("cash", 5_000)], &[], 5, Ok((1_001, 1_000, 2, 0))),
        (1_001, 2_004, &[("card", 3), ("cash", 1_000)], &[], 5, Ok((1_001, 0, 0, 0))),
        (1_001, 2_004, &[("cash", 1_000)], &[], 5, Err(("underpaid", 3))),
        (1_001, 2_004, &[("cash", 1_004)], &[], 5, Err(("overpaid", 0))),
        (2_004, 1_001, &[], &[("cash", 1_005)], 5, Ok((1_001, 0, 0, 2))),
        (2_004, 1_001, &[], &[("cash", 1_000)], 5, Err(("exchange_not_settled", 3))),
        (2_004, 1_001, &[], &[("card", 1_003)], 5, Ok((1_001, 0, 0, 0))),
        // What is left of the return and comes to no coin is given back in none.
        (1_002, 1_000, &[], &[], 5, Ok((1_000, 0, 0, -2))),
        (1_002, 1_000, &[], &[("card", 2)], 5, Ok((1_000, 0, 0, 0))),
        (1_003, 1_000, &[], &[], 5, Err(("exchange_not_settled", 3))),
        (1_003, 1_000, &[], &[("cash", 5)], 5, Ok((1_000, 0, 0, 2))),
        // Nothing is worth nothing: both are as they would be alone.
        (0, 1_003, &[("cash", 1_005)], &[], 5, Ok((0, 0, 2, 0))),
    ];
    for (worth, price, payments, refunds, increment, expected) in cases {
        let case = format!("{worth} for {price}, {payments:?} {refunds:?} in {increment}");
        let (before, sold) = (back(worth, refunds, increment), sale(price, payments, increment));
        let told = Exchange::of(&before, &sold);
        let told = match &told {
            Ok(done) => {
                let rounding = |cart: &Cart| cart.totals().unwrap().cash_rounding;
                let change = done.sale.course.exchange.as_ref().unwrap().change;
                Ok((done.credit, change, rounding(&done.sale), rounding(&done.back)))
            }
            Err(ExchangeError::ToPay { due, .. } | ExchangeError::PaidTooMuch { due, .. }) => {
                Err((told.as_ref().unwrap_err().code(), *due))
            }
            Err(ExchangeError::ToRefund { due, .. } | ExchangeError::RefundedTooMuch { due, .. }) => {
                Err((told.as_ref().unwrap_err().code(), *due))
            }
            Err(error) => panic!("{case}: {error}"),
        };
        assert_eq!(told, expected, "{case}");
    }
}

/// What a register asked is the sale less the return, paid or not; to give back is below zero.
#[test]
fn what_it_comes_to_is_what_was_asked() {
    for (worth, price, total) in [(2_000, 3_000, 1_000), (3_000, 2_000, -1_000), (2_000, 2_000, 0)] {
        let (back, sale) = (back(worth, &[], 5), sale(price, &[], 5));
        let comes_to = Exchange::total_of(&back, &sale).unwrap();
        assert_eq!((comes_to.amount, comes_to.currency), (total, sale.currency));
        let check = |amount| Exchange::check_asked_total(comes_to, Money { amount, ..comes_to });
        assert_eq!(check(total), Ok(()));
        for asked in [total + 1, total - 1] {
            let error = check(asked).unwrap_err();
            assert_eq!(error, ExchangeError::TotalDiffers { total, asked });
            assert_eq!(error.code(), "total_differs");
        }
        for beyond in [1_000_000_000_001, -1_000_000_000_001] {
            assert_eq!(check(beyond).unwrap_err().code(), "amount_out_of_range");
        }
        let euros = Money { currency: "EUR".parse().unwrap(), ..comes_to };
        let error = Exchange::check_asked_total(comes_to, euros).unwrap_err();
        assert_eq!(error.code(), "currency_mismatch");
    }
    let wrong = Exchange::total_of(&sale(100, &[], 1), &sale(100, &[], 1)).unwrap_err();
    assert_eq!(wrong.code(), "wrong_cart_kind");
}

/// A sale of one piece at so much, with payments that were taken while its register was cut off.
fn sale_taken(price: i64, payments: &[(&str, i64)], increment: u32) -> Cart {
    let mut taken = sale(price, &[], increment);
    for (tender, amount) in payments {
        taken.add_payment_taken(pay(tender, *amount)).unwrap();
    }
    taken
}

fn gbp(amount: i64) -> Money {
    Money { amount, currency: Currency::GBP }
}

/// Price, payments, smallest coin; change and rounding of the sale; the asked total where it is beyond rounding.
type Case<'a> = (i64, Paid<'a>, u32, (i64, i64), Option<i64>);

/// What comes back is worth 8.00 and the register sold for 12.02: it asked 4.02, whatever the sale comes to here.
#[test]
fn an_exchange_is_kept_at_what_its_register_asked() {
    let cases: [Case; 14] = [
        (1_202, &[("cash", 1_000)], 1, (598, 0), None),
        (1_000, &[("cash", 1_000)], 1, (598, 202), Some(1_202)),
        (1_400, &[("cash", 1_000)], 1, (598, -198), Some(1_202)),
        (1_203, &[("card", 402)], 1, (0, -1), None),
        (1_000, &[("card", 402)], 1, (0, 202), Some(1_202)),
        (1_000, &[("card", 300), ("cash", 200)], 1, (98, 202), Some(1_202)),
        // What was told as change counts no more: 10.00 of 20.00.
        (1_000, &[("cash", 2_000)], 1, (1_598, 202), Some(1_202)),
        // Less here than what comes back, or nothing at all.
        (600, &[("cash", 1_000)], 1, (598, 602), Some(1_202)),
        (0, &[("card", 402)], 1, (0, 1_202), Some(1_202)),
        // Coins are of what was asked, unless it was paid to the unit.
        (1_400, &[("cash", 1_000)], 5, (600, -200), Some(1_202)),
        (1_400, &[("cash", 402)], 5, (0, -198), Some(1_202)),
        (1_202, &[("cash", 402)], 5, (0, 0), None),
        (1_400, &[("cash", 1_202)], 5, (802, -200), Some(1_202)),
        (1_202, &[("cash", 1_202)], 5, (802, -2), None),
    ];
    for (price, payments, increment, expected, asked) in cases {
        let case = format!("{price} {payments:?} in {increment}");
        let (back, mut sale) = (back(800, &[], increment), sale_taken(price, payments, increment));
        let total = Exchange::total_of(&back, &sale).unwrap();
        assert_eq!(total, gbp(price - 800));
        // Once more changes nothing.
        for _ in 0..2 {
            Exchange::keep_at_asked_total(total, &mut sale, gbp(402)).unwrap();
        }
        let done = Exchange::of(&back, &sale).unwrap();
        let totals = done.sale.totals().unwrap();
        assert_eq!((totals.total, totals.due, done.credit), (price, 0, 800), "{case}");
        assert_eq!((totals.change, totals.cash_rounding), expected, "{case}");
        assert_eq!(done.sale.course.exchange.as_ref().unwrap().change, totals.change, "{case}");
        let told = done.sale.asked_beyond_rounding().unwrap();
        assert_eq!(told, asked.map(|asked| (price, asked)), "{case}");
        assert_eq!(done.back.totals().unwrap().cash_rounding, 0, "{case}");
    }
}

/// What was asked must have been paid or given back, and no more than the return is worth.
#[test]
fn what_no_price_of_the_sale_explains_is_refused() {
    let kept = |price: i64, payments: Paid, refunds: Paid, asked: i64| {
        let (back, mut sale) = (back(800, refunds, 1), sale_taken(price, payments, 1));
        let (total, before) = (Exchange::total_of(&back, &sale).unwrap(), sale.clone());
        let kept = Exchange::keep_at_asked_total(total, &mut sale, gbp(asked));
        if kept.is_err() {
            assert_eq!(sale, before, "{asked}");
        }
        kept.and_then(|()| Exchange::of(&back, &sale)).map(|done| done.credit)
    };
    let code = |refused: Result<i64, ExchangeError>| refused.unwrap_err().code();
    assert_eq!(kept(1_400, &[], &[("cash", 800)], -800), Ok(0));
    assert_eq!(kept(1_400, &[], &[("cash", 300)], -300), Ok(500));
    let above = ExchangeError::TotalDiffers { total: 600, asked: -801 };
    assert_eq!(kept(1_400, &[], &[("cash", 800)], -801), Err(above));
    assert_eq!(code(kept(1_400, &[], &[], 400)), "underpaid");
    assert_eq!(code(kept(1_400, &[("card", 399)], &[], 400)), "underpaid");
    assert_eq!(code(kept(1_000, &[("card", 401)], &[], 400)), "overpaid");
    assert_eq!(code(kept(1_400, &[], &[], -300)), "exchange_not_settled");
    assert_eq!(code(kept(1_400, &[], &[("cash", 301)], -300)), "exchange_not_settled");
    // The sale alone would be out of range.
    assert_eq!(code(kept(1_400, &[], &[], 1_000_000_000_000)), "amount_out_of_range");
    assert_eq!(code(kept(1_400, &[], &[], -1_000_000_000_001)), "amount_out_of_range");
    let mut francs = sale_taken(1_000, &[], 1);
    let total = Exchange::total_of(&back(800, &[], 1), &francs).unwrap();
    let stated = Money { currency: "CHF".parse().unwrap(), ..total };
    let refused = Exchange::keep_at_asked_total(total, &mut francs, stated).unwrap_err();
    assert_eq!(refused.code(), "currency_mismatch");
    // As online, where less is refused; a unit for the one line is rounding.
    let sale = sale_taken(1_400, &[], 1);
    for (asked, is_refused) in [(600, false), (599, false), (598, true), (-801, true), (2_000, false)] {
        let checked = Exchange::check_asked_not_below(gbp(600), &sale, gbp(asked));
        let differs = Err(ExchangeError::TotalDiffers { total: 600, asked });
        assert_eq!(checked, if is_refused { differs } else { Ok(()) });
    }
}

/// Where nobody says what was asked, the change that no payment told of is no more than a guess.
#[test]
fn what_was_brought_is_told_where_change_went_back_untold() {
    let cases: [(i64, i64, Paid, u32, Option<i64>); 6] = [
        (800, 1_200, &[("cash", 400)], 1, None),
        (800, 1_200, &[("card", 400)], 1, None),
        (800, 1_200, &[("cash", 1_000)], 1, Some(1_800)),
        (800, 1_000, &[("cash", 1_000)], 1, Some(1_800)),
        // 10.00 were told.
        (800, 1_000, &[("cash", 2_000)], 1, Some(1_800)),
        (1_001, 2_004, &[("cash", 2_000)], 5, Some(3_001)),
    ];
    for (worth, price, payments, increment, brought) in cases {
        let done = Exchange::of(&back(worth, &[], increment), &sale(price, payments, increment)).unwrap();
        assert_eq!(done.change_untold().unwrap(), brought.map(|brought| (price, brought)), "{payments:?}");
    }
}

/// What each cart refuses alone it refuses here.
#[test]
fn both_carts_hold_their_own_rules() {
    let (good_back, good_sale) = (back(100, &[], 1), sale(100, &[], 1));
    let of = |back: &Cart, sale: &Cart| Exchange::of(back, sale).unwrap_err().code();
    assert_eq!(of(&good_sale, &good_sale), "wrong_cart_kind");
    assert_eq!(of(&good_back, &good_back), "wrong_cart_kind");
    let mut open = good_sale.clone();
    open.resume_editing().unwrap();
    assert_eq!(of(&good_back, &open), "wrong_cart_state");
    for state in [CartState::Voided, CartState::Finalized, CartState::Tendering] {
        assert_eq!(of(&Cart { state, ..good_back.clone() }, &good_sale), "wrong_cart_state");
    }
    assert_eq!(of(&Cart { lines: vec![], ..good_back.clone() }, &good_sale), "cart_empty");
    assert_eq!(
        of(&good_back, &Cart { currency: "EUR".parse().unwrap(), ..good_sale.clone() }),
        "currency_mismatch"
    );
    let mut approved = good_back.clone();
    let (approval_id, approved_by) = ("a".to_owned(), "m".to_owned());
    let part = ApprovedPart::Return { most: 99 };
    approved.approvals.record(UsedApproval { approval_id, approved_by, part }).unwrap();
    assert_eq!(of(&approved, &good_sale), "approval_does_not_match");
    let mut full = back(100, &[], 1);
    let one = |number| Payment { number, amount: 1, ..good_payment() };
    full.payments = (1..=50).map(one).collect();
    assert_eq!(of(&full, &sale(50, &[], 1)), "too_many_payments");
    Exchange::of(&good_back, &good_sale).unwrap();
}

fn good_payment() -> Payment {
    Payment {
        number: 1,
        tender: "card".into(),
        amount: 1,
        change: 0,
        tip: 0,
        external_reference: None,
        entry_method: None,
    }
}

#[test]
fn no_client_pays_or_refunds_by_an_exchange() {
    let mut c = sale(100, &[], 1);
    assert_eq!(c.add_payment(pay(EXCHANGE, 100)), Err(CartError::UnknownTender));
    assert_eq!(back(100, &[], 1).refund(pay(EXCHANGE, 100)), Err(CartError::UnknownTender));
}

/// What comes back and goes out is one change of stock.
#[test]
fn what_comes_back_may_go_out_again() {
    let mut b = back(100, &[], 1);
    b.return_blind_line(line("B", 3, "0"), Disposition::Restock).unwrap();
    b.return_blind_line(line("C", 1, "0"), Disposition::Damaged).unwrap();
    b.return_blind_line(line("D", 1, "0"), Disposition::None).unwrap();
    let mut s = cart(CartKind::Sale);
    for (sku, pieces, price) in [("B", 1, "1.00"), ("B", 1, "0"), ("C", 1, "0"), ("D", 1, "0"), ("E", 2, "0")]
    {
        s.add_line(line(sku, pieces, price)).unwrap();
    }
    s.set_tendering(&by()).unwrap();
    let moves = Exchange::of(&b, &s).unwrap().moves();
    let told: Vec<_> = moves.iter().map(|one| (one.sku.as_str(), one.taken(), one.ways())).collect();
    let expected = [
        ("A", -1_000, (false, true)),
        ("B", -1_000, (true, true)),
        ("C", 1_000, (true, true)),
        ("D", 1_000, (true, false)),
        ("E", 2_000, (true, false)),
    ];
    assert_eq!(told, expected);
    let damaged: Vec<_> = moves.iter().map(|one| one.damaged.thousandths()).collect();
    assert_eq!(damaged, [0, 0, 1_000, 0, 0]);
}

/// What an exchange paid goes to any tender, once; and a further exchange takes what the goods are worth.
#[test]
fn what_an_exchange_paid_goes_to_any_tender_once() {
    let paid = [("card", 300), (EXCHANGE, 700)];
    let paid = |tender: &str| paid.iter().find(|(name, _)| *name == tender).map_or(0, |(_, paid)| *paid);
    let left = |refunded: &[(&str, i64)], tender| {
        let refunded = refunded.iter().map(|(tender, amount)| ((*tender).to_owned(), *amount));
        refundable(paid, &refunded.collect(), tender)
    };
    for (refunded, expected) in [
        (&[][..], [1_000, 700, 700]),
        (&[("card", 200)][..], [800, 700, 700]),
        (&[("card", 500)][..], [500, 500, 500]),
        (&[("cash", 700)][..], [300, 0, 0]),
        (&[("cash", 600), ("voucher", 50)][..], [350, 50, 50]),
        (&[("card", 1_000)][..], [0, 0, 0]),
        (&[(EXCHANGE, 900)][..], [1_000, 700, 700]),
    ] {
        assert_eq!(
            ["card", "cash", "voucher"].map(|tender| left(refunded, tender)),
            expected,
            "{refunded:?}"
        );
    }
}

/// The transaction checks again what came back of the new sale, as of any.
#[test]
fn what_came_back_of_an_exchanged_sale_is_counted() {
    let original = super::super::OriginalSale {
        order_id: "o".into(),
        lines: vec![],
        tenders: [("card".to_owned(), (300, 0)), (EXCHANGE.to_owned(), (700, 0))].into(),
    };
    let mut returned = Returned::default();
    let refunds = |refunds: &[(&str, i64)]| {
        let mut c = cart(CartKind::Return);
        c.payments = refunds
            .iter()
            .map(|(tender, amount)| Payment { tender: (*tender).into(), amount: *amount, ..good_payment() })
            .collect();
        c
    };
    returned.add(&refunds(&[("cash", 600), ("card", 350)]), &original).unwrap();
    let above = returned.clone().add(&refunds(&[("cash", 51)]), &original);
    assert_eq!(above, Err(CartError::AbovePaid { tender: "cash".into(), left: 50 }));
    returned.add(&refunds(&[("cash", 50), (EXCHANGE, 400)]), &original).unwrap();
    assert!(returned.add(&refunds(&[("card", 1)]), &original).is_err());
}

fn tipped(tender: &str, amount: i64, tip: i64) -> PaymentInput {
    PaymentInput { tip: Some(Money { amount: tip, currency: Currency::GBP }), ..pay(tender, amount) }
}

proptest! {
    /// Whatever the price is by now: an exchange is kept at what was asked, and the drawer has what its register put into
    /// it, or less by what that took out.
    #[test]
    fn a_drawer_has_what_was_asked_for_an_exchange(
        worth in 0_i64..3_000, price_there in 0_i64..3_000, price_here in 0_i64..3_000,
        by_card in 0_i64..3_000, above in 0_i64..2_000,
    ) {
        let asked = price_there - worth;
        let card = by_card.min(asked).max(0);
        let cash = (asked - card).max(0);
        let (mut b, mut s) = (back(worth, &[], 1), sale(price_here, &[], 1));
        if card > 0 {
            s.add_payment_taken(pay("card", card)).unwrap();
        }
        if cash > 0 {
            s.add_payment_taken(pay("cash", cash + above)).unwrap();
        }
        if asked < 0 {
            b.refund(pay("cash", -asked)).unwrap();
        }
        let total = Exchange::total_of(&b, &s).unwrap();
        Exchange::keep_at_asked_total(total, &mut s, gbp(asked)).unwrap();
        let done = Exchange::of(&b, &s).unwrap();
        let lane = LaneTotals::of_cart(&done.back).unwrap().plus(&LaneTotals::of_cart(&done.sale).unwrap());
        prop_assert_eq!(lane.drawer(), asked - card);
        prop_assert_eq!(done.credit, worth.min(price_there));
        let totals = done.sale.totals().unwrap();
        prop_assert_eq!((totals.total, totals.due), (price_here, 0));
        prop_assert_eq!(totals.cash_rounding, price_there - price_here);
        prop_assert_eq!(totals.change, if cash > 0 { above } else { 0 });
        let differs = (price_there - price_here).abs() > 1;
        let told = differs.then_some((price_here, price_there));
        prop_assert_eq!(done.sale.asked_beyond_rounding().unwrap(), told);
    }

    /// However an exchange is paid: it is refused, or both halves are paid to the penny and the drawer has
    /// what was handed over less what went back; no payment that was told is lost.
    #[test]
    fn an_exchange_balances_or_is_refused(
        worth in 0_i64..3_000, price in 0_i64..3_000, increment in prop::sample::select(vec![1_u32, 5, 10]),
        payments in prop::collection::vec((0_usize..3, 1_i64..3_000, 0_i64..50), 0..4),
        refunds in prop::collection::vec((0_usize..3, 1_i64..3_000), 0..3),
        exactly in any::<bool>(),
    ) {
        let tenders = ["cash", "card", "voucher"];
        let (mut b, mut s) = (back(worth, &[], increment), sale(price, &[], increment));
        for (tender, amount, tip) in payments {
            // What is refused is not paid.
            let _ = s.add_payment(tipped(tenders[tender], amount, tip));
        }
        for (tender, amount) in refunds {
            let _ = b.refund(pay(tenders[tender], amount));
        }
        let net = |cart: &Cart| cart.payments.iter().map(|p| p.amount - p.change).sum::<i64>();
        let credit = worth.min(price);
        if exactly && price - credit > net(&s) {
            let _ = s.add_payment(pay("card", price - credit - net(&s)));
        }
        if exactly && worth - credit > net(&b) {
            let _ = b.refund(pay("card", worth - credit - net(&b)));
        }
        let settled = Exchange::of(&b, &s);
        if exactly && net(&b) == worth - credit && net(&s) == price - credit && increment == 1 {
            prop_assert!(settled.is_ok(), "{:?}", settled);
        }
        if let Ok(Exchange { back: b2, sale: s2, credit: paid }) = settled {
            prop_assert_eq!(paid, credit);
            for cart in [&b2, &s2] {
                let totals = cart.totals().unwrap();
                prop_assert_eq!(totals.due, 0);
                prop_assert_eq!(net(cart), totals.total + totals.cash_rounding);
                prop_assert!(totals.cash_rounding.abs() * 2 <= i64::from(increment));
                prop_assert!(cart.payments.iter().all(|p| p.change >= 0 && p.change <= p.amount));
                let by_exchange: i64 =
                    cart.payments.iter().filter(|p| p.tender == EXCHANGE).map(|p| p.amount).sum();
                prop_assert_eq!(by_exchange, credit);
            }
            let given = s2.course.exchange.as_ref().unwrap().change;
            let change = |cart: &Cart| cart.totals().unwrap().change;
            prop_assert_eq!(change(&s2), change(&s) + given);
            prop_assert!(given >= 0);
            prop_assert_eq!(s2.totals().unwrap().tips, s.totals().unwrap().tips);
            let lane = LaneTotals::of_cart(&b2).unwrap().plus(&LaneTotals::of_cart(&s2).unwrap());
            let cash = |cart: &Cart| {
                let cash = cart.payments.iter().filter(|p| p.tender == "cash");
                cash.map(|p| p.amount - p.change + p.tip).sum::<i64>()
            };
            prop_assert_eq!(lane.drawer(), cash(&s2) - cash(&b2));
            let exchanged = lane.tender(EXCHANGE);
            prop_assert_eq!((exchanged.paid, exchanged.refunded), (credit, credit));
        }
    }
}
