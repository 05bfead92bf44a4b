use proptest::prelude::*;

use super::*;
use crate::money::{Currency, Money, UnitPrice};
use crate::quantity::Quantity;

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(second).unwrap()
}

fn person(subject: &str, employee_id: &str) -> Person {
    Person { subject: subject.to_owned(), employee_id: employee_id.to_owned() }
}

fn gbp(amount: i64) -> Money {
    Money { amount, currency: Currency::GBP }
}

fn bound() -> Bound {
    Bound {
        store_id: "s-1".to_owned(),
        register_id: Some("r-1".to_owned()),
        binding: Binding::VoidOrder { order_id: "o-1".to_owned() },
    }
}

fn approval() -> Approval {
    Approval {
        id: "a-1".to_owned(),
        version: 1,
        bound: bound(),
        reason: "typed wrong".to_owned(),
        asked_by: person("till", "e-7"),
        asked_at: at(0),
        pending_until: at(900),
        decision: None,
        used: None,
    }
}

fn decided(granted: bool) -> Approval {
    let mut approval = approval();
    approval.decide(granted, person("m-1", "m-1"), at(100), None, 300).unwrap();
    approval
}

#[test]
fn who_asks_does_not_decide_under_any_of_their_names() {
    for by in [person("till", "m-1"), person("m-1", "e-7"), person("e-7", "e-7"), person("till", "till")] {
        let mut approval = approval();
        assert_eq!(
            approval.decide(true, by.clone(), at(1), None, 300),
            Err(ApprovalError::OwnRequest),
            "{by:?}"
        );
        assert_eq!(approval.decision, None);
    }
}

#[test]
fn it_is_decided_once_and_in_time() {
    for granted in [true, false] {
        let mut approval = decided(granted);
        let before = approval.clone();
        for again in [true, false] {
            let error = approval.decide(again, person("m-2", "m-2"), at(101), None, 300).unwrap_err();
            assert_eq!(error.code(), "approval_decided");
            assert_eq!(approval, before);
        }
    }
    let (mut last, mut late) = (approval(), approval());
    last.decide(true, person("m-1", "m-1"), at(899), None, 300).unwrap();
    let error = late.decide(false, person("m-1", "m-1"), at(900), None, 300);
    assert_eq!(error, Err(ApprovalError::Expired(at(900))));
}

#[test]
fn it_is_good_while_it_is_granted_and_not_before_or_after() {
    let code = |approval: &Approval, now| approval.allow(&bound(), at(now)).err().map(|e| e.code());
    assert_eq!(
        (code(&approval(), 0), code(&approval(), 899)),
        (Some("approval_pending"), Some("approval_pending"))
    );
    assert_eq!(code(&approval(), 900), Some("approval_expired"));
    assert_eq!((code(&decided(true), 100), code(&decided(true), 399)), (None, None));
    assert_eq!(code(&decided(true), 400), Some("approval_expired"));
    assert_eq!(
        (code(&decided(false), 100), code(&decided(false), 9_000)),
        (Some("approval_denied"), Some("approval_denied"))
    );
    let mut used = decided(true);
    used.used = Some(Use {
        at: at(110),
        by: person("till", "e-7"),
        command: "00".to_owned(),
        resource_id: "o-1".to_owned(),
        part_id: None,
    });
    assert_eq!((code(&used, 111), code(&used, 9_000)), (Some("approval_used"), Some("approval_used")));
    // What it is for comes before how it stands.
    let other = Bound { register_id: Some("r-2".to_owned()), ..bound() };
    assert_eq!(used.allow(&other, at(111)).unwrap_err().code(), "approval_does_not_match");
}

#[test]
fn it_stands_where_its_times_say() {
    let mut used = decided(true);
    used.used = Some(Use {
        at: at(110),
        by: person("till", "e-7"),
        command: String::new(),
        resource_id: String::new(),
        part_id: None,
    });
    for (approval, now, status, expires) in [
        (approval(), 899, "pending", 900),
        (approval(), 900, "expired", 900),
        (decided(true), 399, "granted", 400),
        (decided(true), 400, "expired", 400),
        (decided(false), 9_000, "denied", 900),
        (used, 9_000, "used", 400),
    ] {
        assert_eq!(approval.status(at(now)).name(), status);
        assert_eq!(approval.expires_at(), at(expires));
    }
}

#[test]
fn without_settings_it_is_as_it_was() {
    let settings = ApprovalSettings::default();
    let needed: Vec<&str> = ApprovalAction::ALL
        .into_iter()
        .filter(|action| settings.needs(*action, 1_000_000))
        .map(|a| a.name())
        .collect();
    assert_eq!(
        needed,
        ["price_override", "manual_discount", "blind_return", "void_order", "correct_difference"]
    );
    assert!(settings.manual_discount.is_always() && settings.manual_discount.needs(1, 1_000));
    assert_eq!(settings, serde_json::from_str("{}").unwrap());
}

#[test]
fn thresholds_are_what_still_goes() {
    let share = DiscountRule { required: true, above_bps: Some(1_000), above_amount: None };
    assert!(!share.needs(100, 1_000) && share.needs(101, 1_000) && !share.is_always());
    assert!(!share.needs(97, 965) && share.needs(98, 965));
    let amount = DiscountRule { required: true, above_bps: None, above_amount: Some(500) };
    assert!(!amount.needs(500, 501) && amount.needs(501, 1_000_000));
    let both = DiscountRule { above_amount: Some(500), ..share };
    assert!(both.needs(501, 1_000_000) && both.needs(200, 1_000) && !both.needs(100, 1_000));
    let never = DiscountRule { required: false, ..both };
    assert!(!never.needs(1_000, 1_000));
    let cash = |required, above_amount| CashRule { required, above_amount };
    assert!(cash(true, None).needs(1) && !cash(false, None).needs(1));
    assert!(!cash(true, Some(100)).needs(100) && cash(true, Some(100)).needs(101));
    assert!(!cash(false, Some(100)).needs(101));
}

/// Of no more goods than were looked at, and of no others: fewer may be left of them.
#[test]
fn a_share_is_of_the_goods_that_were_looked_at() {
    let share = |goods: Option<Goods>| Bound {
        binding: Binding::ManualDiscount {
            cart_id: "c".to_owned(),
            line: Some(1),
            off: Off::BasisPoints(5_000),
            goods,
        },
        ..bound()
    };
    let goods = |amount, sku: Option<&str>| Some(Goods { worth: gbp(amount), sku: sku.map(str::to_owned) });
    let differing = |approved: Option<Goods>, asked: Option<Goods>| -> Vec<&'static str> {
        share(approved).differences(&share(asked)).iter().map(|one| one.field).collect()
    };
    for (asked, fields) in [
        (goods(200, Some("A")), vec![]),
        (goods(1, Some("A")), vec![]),
        (goods(201, Some("A")), vec!["maximum_goods"]),
        (goods(200, Some("B")), vec!["sku"]),
        (goods(201, None), vec!["sku", "maximum_goods"]),
    ] {
        assert_eq!(differing(goods(200, Some("A")), asked.clone()), fields, "{asked:?}");
    }
    // Where no line was there yet when it was asked for, the line may be of anything.
    assert!(differing(goods(200, None), goods(200, Some("B"))).is_empty());
    let euros = Goods { worth: Money { amount: 1, currency: "EUR".parse().unwrap() }, sku: None };
    assert_eq!(differing(goods(200, None), Some(euros)), ["maximum_goods"]);
}

/// Approvals that were asked for before a share was bound to its goods are still read.
#[test]
fn a_share_of_no_goods_is_read() {
    let stored = r#"{"action":"manual_discount","cart_id":"c","line":null,"off":{"basis_points":500}}"#;
    let read: Binding = serde_json::from_str(stored).unwrap();
    let off = Off::BasisPoints(500);
    assert_eq!(read, Binding::ManualDiscount { cart_id: "c".to_owned(), line: None, off, goods: None });
    assert_eq!(serde_json::to_string(&read).unwrap(), stored);
}

fn id() -> impl Strategy<Value = String> {
    "[a-z]{1,3}"
}

fn amount() -> impl Strategy<Value = Money> {
    (1..5_i64, prop_oneof!["GBP", "EUR"])
        .prop_map(|(amount, currency)| Money { amount, currency: currency.parse().unwrap() })
}

fn off() -> impl Strategy<Value = Off> {
    prop_oneof![(1..4_u32).prop_map(Off::BasisPoints), amount().prop_map(Off::Amount)]
}

fn binding() -> impl Strategy<Value = Binding> {
    prop_oneof![
        (id(), id(), 0..3_i64, 1..3_i64).prop_map(|(cart_id, sku, price, pieces)| Binding::PriceOverride {
            cart_id,
            sku,
            unit_price: UnitPrice::from_ten_thousandths(price).unwrap(),
            quantity: Quantity::from_pieces(pieces).unwrap(),
        }),
        (id(), proptest::option::of(1..3_u32), off())
            .prop_map(|(cart_id, line, off)| Binding::ManualDiscount { cart_id, line, off, goods: None }),
        amount().prop_map(|maximum_refund| Binding::BlindReturn { maximum_refund }),
        id().prop_map(|order_id| Binding::VoidOrder { order_id }),
        (id(), amount()).prop_map(|(shift_id, amount)| Binding::PaidIn { shift_id, amount }),
        (id(), amount()).prop_map(|(shift_id, amount)| Binding::PaidOut { shift_id, amount }),
        id().prop_map(|shift_id| Binding::NoSale { shift_id }),
        (id(), 1..3_u64, amount()).prop_map(|(count_id, version, variance)| Binding::CloseCount {
            count_id,
            version,
            variance
        }),
        (id(), 1..3_i64)
            .prop_map(|(exception_id, version)| Binding::CorrectDifference { exception_id, version }),
    ]
}

fn place() -> impl Strategy<Value = Bound> {
    (id(), proptest::option::of(id()), binding()).prop_map(|(store_id, register_id, binding)| Bound {
        store_id,
        register_id,
        binding,
    })
}

/// Every value of JSON's leaves, by its path: what a binding says, told by another's code.
fn leaves(value: &serde_json::Value, path: &str, into: &mut Vec<(String, serde_json::Value)>) {
    match value {
        serde_json::Value::Object(members) => {
            members.iter().for_each(|(name, value)| leaves(value, &format!("{path}/{name}"), into));
        }
        other => into.push((path.to_owned(), other.clone())),
    }
}

proptest! {
    /// An approval allows what it was asked for and nothing that differs in anything; only the amount of a
    /// blind return is no part of the command.
    #[test]
    fn any_difference_refuses(approved in place(), asked in place()) {
        let told = |of: &Bound| {
            let mut found = Vec::new();
            leaves(&serde_json::to_value(of).unwrap(), "", &mut found);
            found.retain(|(path, _)| path != "/binding/maximum_refund/amount");
            found
        };
        let same = told(&approved) == told(&asked);
        let differences = approved.differences(&asked);
        prop_assert_eq!(differences.is_empty(), same, "{:?}", differences);
        prop_assert!(approved.differences(&approved).is_empty());
        let back = asked.differences(&approved);
        prop_assert_eq!(back.len(), differences.len());
    }

    /// Each field by itself refuses, and is the one that is named.
    #[test]
    fn each_field_by_itself_refuses(approved in place(), n in 0..8_usize) {
        let mut asked = approved.clone();
        let changed = match (n, &mut asked.binding) {
            (0, _) => { asked.store_id.push('x'); "store_id" }
            (1, _) => {
                asked.register_id = Some(format!("{}x", asked.register_id.unwrap_or_default()));
                "register_id"
            }
            (2, Binding::PriceOverride { cart_id, .. } | Binding::ManualDiscount { cart_id, .. }) => {
                cart_id.push('x');
                "cart_id"
            }
            (3, Binding::PriceOverride { sku, .. }) => { sku.push('x'); "sku" }
            (4, Binding::PriceOverride { unit_price, .. }) => {
                *unit_price = UnitPrice::from_ten_thousandths(unit_price.ten_thousandths() + 1).unwrap();
                "unit_price"
            }
            (5, Binding::PriceOverride { quantity, .. }) => {
                *quantity = Quantity::from_thousandths(quantity.thousandths() + 1).unwrap();
                "quantity"
            }
            (3, Binding::ManualDiscount { line, .. }) => {
                *line = line.map_or(Some(1), |n| Some(n + 1));
                "line_id"
            }
            (4, Binding::ManualDiscount { off, .. }) => {
                *off = match *off {
                    Off::BasisPoints(bps) => Off::BasisPoints(bps + 1),
                    Off::Amount(money) => Off::Amount(gbp(money.amount + 1)),
                };
                "value"
            }
            (2, Binding::BlindReturn { maximum_refund }) => {
                maximum_refund.currency = "USD".parse().unwrap();
                "currency"
            }
            (2, Binding::VoidOrder { order_id }) => { order_id.push('x'); "order_id" }
            (2, Binding::PaidIn { shift_id, .. } | Binding::PaidOut { shift_id, .. } | Binding::NoSale { shift_id }) => {
                shift_id.push('x');
                "shift_id"
            }
            (3, Binding::PaidIn { amount, .. } | Binding::PaidOut { amount, .. }) => {
                amount.amount += 1;
                "amount"
            }
            (2, Binding::CloseCount { count_id, .. }) => { count_id.push('x'); "count_id" }
            (3, Binding::CloseCount { version, .. }) => { *version += 1; "version" }
            (4, Binding::CloseCount { variance, .. }) => { variance.amount += 1; "variance" }
            (2, Binding::CorrectDifference { exception_id, .. }) => {
                exception_id.push('x');
                "exception_id"
            }
            (3, Binding::CorrectDifference { version, .. }) => { *version += 1; "version" }
            (4, Binding::PaidIn { shift_id, amount }) => {
                asked.binding = Binding::PaidOut { shift_id: shift_id.clone(), amount: *amount };
                "action"
            }
            _ => return Ok(()),
        };
        let fields: Vec<_> = approved.differences(&asked).iter().map(|d| d.field).collect();
        prop_assert_eq!(fields, vec![changed]);
    }

    #[test]
    fn a_stored_binding_is_read_as_it_was(bound in place()) {
        let text = serde_json::to_string(&bound).unwrap();
        prop_assert_eq!(serde_json::from_str::<Bound>(&text).unwrap(), bound);
    }
}
