use super::applied::{CommandIdentity, Seen};
use super::*;
use crate::category::CategoryTree;
use crate::money::Money;
use crate::pricing::{ManualDiscount, ManualDiscountKind, Modifier, PriceRules, taken_of};

/// No rules at all.
static PLAIN: std::sync::LazyLock<(PriceRules, CategoryTree)> = std::sync::LazyLock::new(|| {
    let settings = crate::tenant_settings::TenantSettings::default().pricing;
    (PriceRules { promotions: vec![], tax_rules: vec![], settings }, CategoryTree::default())
});

pub(super) fn by() -> PricedBy<'static> {
    PricedBy { rules: &PLAIN.0, categories: &PLAIN.1, at: Timestamp::UNIX_EPOCH }
}

pub(super) fn cart(kind: CartKind) -> Cart {
    Cart {
        id: "c-1".into(),
        kind,
        version: 1,
        state: CartState::Open,
        store_id: "s-1".into(),
        register_id: "r-1".into(),
        channel: "pos".into(),
        customer_id: None,
        region: None,
        employee_id: "e-1".into(),
        currency: Currency::GBP,
        opened_at: Timestamp::UNIX_EPOCH,
        written_at: Timestamp::UNIX_EPOCH,
        lines: vec![],
        payments: vec![],
        charges: Charges::default(),
        terms: SaleTerms::default(),
        kits: Kits::default(),
        holds: CartHolds::default(),
        lots: Lots::default(),
        approvals: Approvals::default(),
        numbers_used: NumbersUsed::default(),
        applied: Applied::default(),
        plan_attempt: None,
        return_of: None,
        void_reason: None,
        course: Course::default(),
        finalized: None,
    }
}

pub(super) fn line(sku: &str, pieces: i64, price: &str) -> NewLine {
    NewLine {
        sku: sku.into(),
        name: sku.into(),
        category: None,
        quantity: Quantity::from_pieces(pieces).unwrap(),
        unit: Unit::Piece,
        stocked: true,
        unit_price: price.parse().unwrap(),
        price_overridden: false,
        notes: None,
        terms: LineTerms::default(),
    }
}

pub(super) fn pay(tender: &str, amount: i64) -> PaymentInput {
    PaymentInput {
        tender: tender.into(),
        amount: Money { amount, currency: Currency::GBP },
        tip: None,
        external_reference: None,
        entry_method: None,
    }
}

/// Lines of a sale as a return knows them after what came back before.
pub(super) fn lines_of(sale: &Cart, returned: &Returned) -> Vec<OriginalLine> {
    let known = |line: &Line| OriginalLine {
        number: line.number,
        sku: line.sku.clone(),
        name: line.name.clone(),
        category: None,
        sold: line.quantity,
        returned: returned.lines.get(&line.number).copied().unwrap_or_default(),
        unit: line.unit,
        stocked: line.stocked,
        unit_price: line.unit_price,
    };
    sale.lines.iter().map(known).collect()
}

/// A sale of which nothing was paid yet, nor came back, as a return knows it.
pub(super) fn original_of(sale: &Cart) -> OriginalSale {
    let lines = lines_of(sale, &Returned::default());
    OriginalSale { order_id: sale.id.clone(), lines, tenders: std::collections::BTreeMap::new() }
}

#[test]
fn a_sale_from_its_first_line_to_paid() {
    let mut c = cart(CartKind::Sale);
    assert_eq!(c.set_tendering(&by()), Err(CartError::Empty));
    assert_eq!(c.add_line(line("A", 2, "2.55")), Ok(1));
    assert_eq!(c.add_line(line("A", 1, "2.55")), Ok(2));
    assert_eq!(c.add_line(line("B", 3, "1")), Ok(3));
    assert_eq!(c.remove_line("l-2"), Ok(2));
    assert_eq!(c.add_line(line("A", 1, "2.50")), Ok(4), "a number is never used twice");
    c.set_tendering(&by()).unwrap();
    assert!(matches!(c.add_line(line("A", 1, "1")), Err(CartError::WrongState { .. })));
    assert_eq!(c.check_finalizable(CartKind::Sale), Err(CartError::Underpaid { due: 1_060 }));
    assert_eq!(c.add_payment(pay("card", 1_061)), Err(CartError::Overpaid { due: 1_060 }));
    assert_eq!(c.add_payment(pay("card", 60)), Ok((1, 0)));
    assert_eq!(c.resume_editing(), Err(CartError::PaymentsPresent));
    assert_eq!(c.add_payment(pay("cash", 2_000)), Ok((2, 1_000)));
    assert_eq!(c.state, CartState::Paid);
    assert_eq!(c.add_payment(pay("cash", 1)), Err(CartError::Overpaid { due: 0 }));
    let totals = c.check_finalizable(CartKind::Sale).unwrap();
    assert_eq!(totals.paid - totals.change, totals.total);
    assert_eq!(c.remove_payment("p-2"), Ok(2));
    assert_eq!(c.state, CartState::Tendering);
    let quantities: Vec<_> = c.stock_moves().into_iter().map(|m| (m.sku, m.sellable.thousandths())).collect();
    assert_eq!(quantities, [("A".to_owned(), 3_000), ("B".to_owned(), 3_000)]);
}

#[test]
fn a_zero_total_needs_no_payment() {
    let mut c = cart(CartKind::Sale);
    c.add_line(line("A", 2, "0")).unwrap();
    c.set_tendering(&by()).unwrap();
    assert_eq!(c.check_finalizable(CartKind::Sale).unwrap().total, 0);
}

/// Nothing that is accepted comes near, but what is stored may be damaged.
#[test]
fn sums_stay_at_the_limit() {
    for (amount, change) in [(i64::MIN, i64::MAX), (i64::MAX, i64::MIN), (i64::MIN, 0)] {
        let mut cart = cart(CartKind::Sale);
        cart.payments.push(Payment {
            number: 1,
            tender: "cash".into(),
            amount,
            change,
            tip: 0,
            external_reference: None,
            entry_method: None,
        });
        let due = cart.totals().unwrap().due;
        assert_eq!(due, if amount > 0 { -i64::MAX } else { i64::MAX });
    }
}

#[test]
fn the_line_limit_holds() {
    let mut c = cart(CartKind::Sale);
    for _ in 0..LINES_MAX {
        c.add_line(line("A", 1, "0")).unwrap();
    }
    assert_eq!(c.add_line(line("A", 1, "0")), Err(CartError::TooManyLines));
}

#[test]
fn a_return_never_exceeds_the_sale() {
    let mut original = sold("2", 3, 600);
    original.lines[0].returned = Quantity::from_pieces(1).unwrap();
    original.tenders.insert("card".into(), (600, 200));
    let mut c = cart(CartKind::Return);
    c.return_of = Some(ReturnHead { reason: "too small".into(), original: Some(original.clone()) });
    let two = Quantity::from_pieces(2).unwrap();
    assert_eq!(c.return_known_line("l-1", two, Disposition::Restock), Ok(1));
    let one = Quantity::from_pieces(1).unwrap();
    assert_eq!(
        c.return_known_line("l-1", one, Disposition::Restock),
        Err(CartError::AboveSold { line: "l-1".into(), left: Quantity::ZERO })
    );
    assert_eq!(c.return_blind_line(line("A", 1, "2"), Disposition::None), Err(CartError::NeedsOriginalLine));
    assert_eq!(c.refund(pay("cash", 400)), Err(CartError::AbovePaid { tender: "cash".into(), left: 0 }));
    assert_eq!(c.refund(pay("card", 401)), Err(CartError::Overpaid { due: 400 }));
    assert_eq!(c.refund(pay("card", 400)), Ok(1));
    c.check_finalizable(CartKind::Return).unwrap();

    let mut returned = Returned::default();
    returned.lines.insert(1, one);
    returned.refunded.insert("card".into(), 200);
    returned.add(&c, &original).unwrap();
    assert_eq!(
        returned.add(&c, &original),
        Err(CartError::AboveSold { line: "l-1".into(), left: Quantity::ZERO }),
        "another return that began before this one was final"
    );
}

fn sold(unit_price: &str, pieces: i64, paid: i64) -> OriginalSale {
    OriginalSale {
        order_id: "c-0".into(),
        lines: vec![OriginalLine {
            number: 1,
            sku: "A".into(),
            name: "A".into(),
            category: None,
            sold: Quantity::from_pieces(pieces).unwrap(),
            returned: Quantity::ZERO,
            unit: Unit::Piece,
            stocked: true,
            unit_price: unit_price.parse().unwrap(),
        }],
        tenders: [("card".to_owned(), (paid, 0))].into(),
    }
}

#[test]
fn a_line_that_comes_back_piece_by_piece_is_worth_the_line() {
    for (unit_price, sold_for) in
        [("0.665", 200), ("0.335", 101), ("0.3333", 100), ("0.005", 2), ("2.5", 750)]
    {
        // Three returns of one piece each, and one return of three lines.
        for returns in [[1, 1, 1].as_slice(), &[3]] {
            let mut original = sold(unit_price, 3, sold_for);
            let mut returned = Returned::default();
            for lines in returns {
                let mut c = cart(CartKind::Return);
                c.return_of = Some(ReturnHead { reason: "no".into(), original: Some(original.clone()) });
                for _ in 0..*lines {
                    let one = Quantity::from_pieces(1).unwrap();
                    c.return_known_line("l-1", one, Disposition::Restock).unwrap();
                }
                let total = c.totals().unwrap().total;
                if total > 0 {
                    c.refund(pay("card", total)).unwrap();
                }
                c.check_finalizable(CartKind::Return).unwrap();
                returned.add(&c, &original).unwrap();
                original.lines[0].returned = returned.lines[&1];
                original.tenders.insert("card".into(), (sold_for, returned.refunded["card"]));
            }
            assert_eq!(returned.refunded["card"], sold_for, "3 at {unit_price}, {returns:?}");
        }
    }
}

#[test]
fn a_return_worth_another_amount_by_now_is_begun_again() {
    let original = sold("0.665", 3, 200);
    let began_together = || {
        let mut c = cart(CartKind::Return);
        c.return_of = Some(ReturnHead { reason: "no".into(), original: Some(original.clone()) });
        c.return_known_line("l-1", Quantity::from_pieces(1).unwrap(), Disposition::Restock).unwrap();
        c.refund(pay("card", 67)).unwrap();
        c
    };
    let mut returned = Returned::default();
    returned.add(&began_together(), &original).unwrap();
    // The second piece is worth 66: 133 for two, less 67.
    let outdated = CartError::ReturnOutdated { line: "l-1".into() };
    assert_eq!(returned.add(&began_together(), &original), Err(outdated));
}

#[test]
fn a_key_answers_the_same_or_says_it_was_reused() {
    let mut applied = Applied::default();
    let identity = CommandIdentity { key: [1; 10], fingerprint: [2; 6] };
    assert_eq!(applied.seen(&identity), Seen::Never);
    applied.record(&identity, Outcome::Line(7), 0).unwrap();
    assert_eq!(applied.seen(&identity), Seen::Same(Outcome::Line(7)));
    assert_eq!(applied.seen(&CommandIdentity { fingerprint: [3; 6], ..identity }), Seen::Reused);
}

#[test]
fn a_tip_is_money_of_the_cart_and_not_below_zero() {
    let mut c = cart(CartKind::Sale);
    c.add_line(line("A", 1, "5")).unwrap();
    c.set_tendering(&by()).unwrap();
    let tip = |amount: i64, currency: &str| {
        let tip = Money { amount, currency: currency.parse().unwrap() };
        PaymentInput { tip: Some(tip), ..pay("card", 100) }
    };
    assert_eq!(c.add_payment(tip(10, "EUR")), Err(CartError::CurrencyMismatch(Currency::GBP)));
    assert_eq!(c.add_payment(tip(-1, "GBP")), Err(CartError::NotPositive));
    assert_eq!(c.add_payment(tip(0, "GBP")), Ok((1, 0)));
    assert_eq!(c.add_payment(tip(7, "GBP")), Ok((2, 0)));
    assert_eq!((c.totals().unwrap().tips, c.totals().unwrap().due), (7, 300));
    assert_eq!(c.payments[1].id(), "p-2");
    assert_eq!(c.lines[0].id(), "l-1");
}

#[test]
fn a_total_has_a_limit() {
    let mut c = cart(CartKind::Sale);
    c.add_line(line("A", 1_000_000, "10000")).unwrap();
    assert_eq!(c.totals().unwrap().total, crate::money::AMOUNT_MAX);
    assert_eq!(c.add_line(line("A", 1, "0.01")), Err(MoneyError::OutOfRange.into()));
    assert_eq!(c.lines.len(), 1);
}

#[test]
fn a_customer_may_come_and_go_until_the_sale_has_ended() {
    let mut c = cart(CartKind::Sale);
    c.set_customer(Some("17850".into()), Default::default(), &by()).unwrap();
    assert_eq!(c.customer_id.as_deref(), Some("17850"));
    c.set_customer(None, Default::default(), &by()).unwrap();
    assert_eq!(c.customer_id, None);
    c.void(CartKind::Sale, None).unwrap();
    assert!(matches!(
        c.set_customer(Some("17850".into()), Default::default(), &by()),
        Err(CartError::WrongState { .. })
    ));
    let kinds = CartError::WrongKind { is: "return", needs: "sale" };
    assert_eq!(cart(CartKind::Return).set_customer(None, Default::default(), &by()), Err(kinds));
}

/// A cart that has taken all the commands it takes has room for those of tendering, and always for its last.
#[test]
fn commands_have_a_limit_with_room_to_end() {
    let mut applied = Applied::default();
    let identity = |n: usize| {
        let mut key = [0; 10];
        key[..8].copy_from_slice(&n.to_le_bytes());
        CommandIdentity { key, fingerprint: [0; 6] }
    };
    for n in 0..COMMANDS_MAX {
        applied.record(&identity(n), Outcome::Done, 0).unwrap();
    }
    let next = COMMANDS_MAX;
    assert_eq!(applied.record(&identity(next), Outcome::Done, 0), Err(CartError::TooManyCommands));
    for n in 0..3 {
        applied.record(&identity(next + n), Outcome::Done, 3).unwrap();
    }
    assert_eq!(applied.record(&identity(next + 3), Outcome::Done, 3), Err(CartError::TooManyCommands));
    applied.record_last(&identity(next + 3), Outcome::Finalized);
    assert_eq!(applied.seen(&identity(next + 3)), Seen::Same(Outcome::Finalized));
}

/// Refunds of one tender add up, and what is left of it is told.
#[test]
fn a_tender_is_refunded_up_to_what_it_paid() {
    let mut original = sold("2", 3, 600);
    original.tenders = [("card".to_owned(), (400, 100)), ("cash".to_owned(), (200, 0))].into();
    assert_eq!(
        ["card", "cash", "voucher"].map(|tender| original.refundable_beside(tender, &[])),
        [300, 200, 0]
    );
    let mut c = cart(CartKind::Return);
    c.return_of = Some(ReturnHead { reason: "broken".into(), original: Some(original.clone()) });
    c.return_known_line("l-1", Quantity::from_pieces(3).unwrap(), Disposition::Restock).unwrap();
    assert_eq!(c.refund(pay("card", 200)), Ok(1));
    assert_eq!(c.refund(pay("card", 101)), Err(CartError::AbovePaid { tender: "card".into(), left: 100 }));
    assert_eq!(c.refund(pay("cash", 200)), Ok(2));
    assert_eq!(c.refund(pay("card", 100)), Ok(3));
    assert_eq!(c.refund(pay("card", 1)), Err(CartError::AbovePaid { tender: "card".into(), left: 0 }));

    let mut returned = Returned::default();
    returned.refunded.insert("card".into(), 150);
    assert_eq!(returned.add(&c, &original), Err(CartError::AbovePaid { tender: "card".into(), left: 50 }));
}

fn approved(part: ApprovedPart) -> UsedApproval {
    UsedApproval { approval_id: "ap-1".into(), approved_by: "m-1".into(), part }
}

/// The last guard stands by itself: not only where a line is added.
#[test]
fn a_return_above_its_approval_cannot_become_final() {
    for (most, expected) in [(400, Ok(())), (399, Err(CartError::AboveApproved { most: 399 }))] {
        let mut c = cart(CartKind::Return);
        c.return_of = Some(ReturnHead { reason: "no receipt".into(), original: None });
        c.return_blind_line(line("A", 2, "2"), Disposition::None).unwrap();
        c.refund(pay("cash", 400)).unwrap();
        c.approvals.record(approved(ApprovedPart::Return { most })).unwrap();
        assert_eq!(c.check_finalizable(CartKind::Return).map(|_| ()), expected);
    }
}

#[test]
fn approvals_are_found_by_what_they_are_for_and_bounded() {
    let mut c = cart(CartKind::Sale);
    c.add_line(line("A", 2, "2")).unwrap();
    let two = Quantity::from_pieces(2).unwrap();
    let five = Quantity::from_pieces(5).unwrap();
    assert_eq!(c.approved_quantity("l-1"), Ok(two));
    c.approvals.record(approved(ApprovedPart::Line { number: 1, most: five })).unwrap();
    assert_eq!(c.approved_quantity("l-1"), Ok(five));
    assert!(c.approvals.of_line(1).is_some() && c.approvals.of_line(2).is_none());
    assert!(c.approvals.of_discount(1).is_none() && c.approvals.of_whole().is_none());
    c.approvals.record(approved(ApprovedPart::Discount(1))).unwrap();
    c.approvals.record(approved(ApprovedPart::Whole)).unwrap();
    assert!(c.approvals.of_discount(1).is_some() && c.approvals.of_whole().is_some());
    assert_eq!(c.approvals.refund_limit(), None);
    while c.approvals.used.len() < APPROVALS_MAX {
        c.approvals.record(approved(ApprovedPart::Whole)).unwrap();
    }
    assert_eq!(c.approvals.record(approved(ApprovedPart::Whole)), Err(CartError::TooManyApprovals));
}

/// What is chosen with goods is part of what they come to: a share that was approved of them is not of more of it.
#[test]
fn goods_come_to_what_is_chosen_with_them() {
    let mut c = cart(CartKind::Sale);
    c.add_line(line("A", 2, "1")).unwrap();
    let kind = ManualDiscountKind::PercentCart { bps: 5_000 };
    c.charges.manual.push(ManualDiscount { number: 1, kind, reason: "regular".into() });
    c.charges.manual_used = 1;
    c.approvals.record(approved(ApprovedPart::ShareOf { number: 1, goods: 1_000 })).unwrap();
    shares_checked(&c).unwrap();
    let modifier = |ten_thousandths: i64| Modifier { name: "chosen".into(), ten_thousandths };
    let mut more = line("B", 2, "1");
    more.terms.modifiers = vec![modifier(95_000), modifier(-5_000)];
    c.add_line(more).unwrap();
    // 2 × 1.00, and 2 × (1.00 + 9.50 − 0.50).
    let of = |line: u32| c.goods_for(ManualDiscountKind::PercentLine { line, bps: 5_000 }, &by()).unwrap();
    assert_eq!([of(1), of(2), of(3)], [200, 2_000, 0]);
    assert_eq!(taken_of(&c.falls_on(&by()).unwrap(), 1), 2_200);
    let of_more = CartError::ShareOfMore { discount: "d-1".into(), goods: 1_000 };
    assert_eq!(shares_checked(&c), Err(of_more));
}

fn shares_checked(c: &Cart) -> Result<(), CartError> {
    c.check_approved_discounts(&c.falls_on(&by())?)
}

/// What it cannot be taken off is none of the goods that a share is of, whoever looks at it.
#[test]
fn a_share_is_of_what_may_be_discounted() {
    let mut c = cart(CartKind::Sale);
    let mut gift = line("GIFT", 1, "500");
    gift.terms.undiscountable = true;
    c.add_line(gift).unwrap();
    c.add_line(line("B", 1, "1")).unwrap();
    let half = ManualDiscountKind::PercentCart { bps: 5_000 };
    let of_line = |line: u32| ManualDiscountKind::PercentLine { line, bps: 5_000 };
    let asked = [half, of_line(1), of_line(2), of_line(3)].map(|share| c.goods_for(share, &by()).unwrap());
    assert_eq!(asked, [100, 0, 100, 0], "of the cart, its lines, and one that is not there");
    assert!(c.charges.manual.is_empty() && c.charges.manual_used == 0, "who asks gives nothing");
    let number = c.give_discount(half, "regular".into(), &by()).unwrap();
    let falls_on = c.falls_on(&by()).unwrap();
    c.bind_share(number, &falls_on);
    assert_eq!(c.approvals.own_shares, std::collections::BTreeMap::from([(1, 100)]));
    c.remove_line("l-1").unwrap();
    shares_checked(&c).unwrap();
    c.add_line(line("TV", 1, "500")).unwrap();
    assert_eq!(shares_checked(&c), Err(CartError::ShareOfMore { discount: "d-1".into(), goods: 100 }));
    // What was kept when all goods counted is still the most that there may be.
    c.approvals.own_shares.insert(1, 50_100);
    shares_checked(&c).unwrap();
    while c.charges.manual.len() < crate::pricing::MANUAL_DISCOUNTS_MAX {
        c.give_discount(ManualDiscountKind::FixedCart { amount: 1 }, "x".into(), &by()).unwrap();
    }
    assert_eq!(c.goods_for(half, &by()), Err(CartError::TooManyDiscounts));
}

/// Who needs no approval spoke of the goods that there were, too.
#[test]
fn a_share_that_was_given_is_of_the_goods_that_there_were() {
    let mut c = cart(CartKind::Sale);
    c.add_line(line("A", 2, "1")).unwrap();
    let kinds = [
        ManualDiscountKind::PercentLine { line: 1, bps: 5_000 },
        ManualDiscountKind::FixedCart { amount: 9 },
    ];
    for (number, kind) in (1..).zip(kinds) {
        c.charges.manual.push(ManualDiscount { number, kind, reason: "regular".into() });
        let falls_on = c.falls_on(&by()).unwrap();
        c.bind_share(number, &falls_on);
    }
    assert_eq!(c.approvals.own_shares, std::collections::BTreeMap::from([(1, 200)]));
    c.add_line(line("B", 9, "1")).unwrap();
    shares_checked(&c).unwrap();
    c.update_line("l-1", Some(Quantity::from_pieces(3).unwrap()), None).unwrap();
    let of_more = CartError::ShareOfMore { discount: "d-1".into(), goods: 200 };
    assert_eq!(shares_checked(&c), Err(of_more));
    // What was taken back is no matter.
    c.charges.manual.clear();
    shares_checked(&c).unwrap();
}
