//! Shifts as they are stored.

use jiff::Timestamp;
use jiff::civil::Date;
use proptest::collection::{btree_map, vec};
use proptest::option::of;
use proptest::prelude::*;
use proptest::sample::{Index, select};
use tillstream_app::database::{Item, Value};
use tillstream_app::pos::till::shift_item::{register_in, shift_item, shift_of, shift_sort_key};
use tillstream_app::tenancy::TenantScope;
use tillstream_domain::cart::applied::CommandIdentity;
use tillstream_domain::compact;
use tillstream_domain::lane::EpochEnd;
use tillstream_domain::money::Currency;
use tillstream_domain::till::{
    Closing, Denomination, Entry, LaneMark, LaneTotals, Movement, MovementKind, Opening, Shift, ShiftKeys,
    TenderTotals,
};

use crate::alterations::{altered_bytes, any_bytes, any_text};
use crate::guarded;

/// Times its input that reading may take: a movement is a dozen bytes at least, and takes 250.
const FACTOR: u64 = 60;

fn id() -> impl Strategy<Value = String> {
    "[a-zA-Z0-9][a-zA-Z0-9._~:-]{0,10}"
}

fn instant() -> impl Strategy<Value = Timestamp> {
    (0..253_000_000_000_i64, 0..1_000_000_000_i32).prop_map(|(s, n)| Timestamp::new(s, n).unwrap())
}

fn kinds() -> impl Strategy<Value = Vec<Denomination>> {
    vec(any::<(i64, u32)>().prop_map(|(value, count)| Denomination { value, count }), 0..5)
}

fn ends() -> impl Strategy<Value = Vec<EpochEnd>> {
    let end = any::<(u32, u64, u64)>().prop_map(|(epoch, last, z_number)| EpochEnd { epoch, last, z_number });
    vec(end, 0..3)
}

fn mark() -> impl Strategy<Value = LaneMark> {
    let by = any::<[i64; 4]>().prop_map(|[payments, paid, refunds, refunded]| TenderTotals {
        payments,
        paid,
        refunds,
        refunded,
    });
    (any::<u32>(), any::<u64>(), any::<[i64; 10]>(), btree_map("[a-z]{1,5}", by, 0..3), ends()).prop_map(
        |(epoch, last, [a, b, c, d, e, f, g, h, i, j], tenders, earlier)| LaneMark {
            epoch,
            last,
            totals: LaneTotals {
                sales: a,
                sales_total: b,
                returns: c,
                returns_total: d,
                discounts: e,
                tax: f,
                returns_tax: g,
                tips: h,
                cash_tips: i,
                cash_rounding: j,
                tenders,
            },
            earlier,
        },
    )
}

fn movement() -> impl Strategy<Value = Movement> {
    use MovementKind::{CashCount, NoSale, PaidIn, PaidOut};
    let kind = select(vec![PaidIn, PaidOut, NoSale, CashCount]);
    (kind, any::<(i64, i64)>(), kinds(), of(any_text()), of(id()), instant(), id()).prop_map(
        |(kind, (amount, expected), denominations, reason, approval_id, at, by)| Movement {
            kind,
            amount,
            expected,
            denominations,
            reason,
            approval_id,
            at,
            by,
        },
    )
}

fn shift() -> impl Strategy<Value = Shift> {
    let closing = (instant(), id(), 1..=i64::MAX as u64, any::<i64>(), kinds(), of(any_text()), mark())
        .prop_map(|(at, by, z_number, counted, denominations, reason, lane)| Closing {
            at,
            by,
            z_number,
            counted,
            denominations,
            reason,
            lane,
        });
    let opening = (instant(), id(), 1..=28_i8, any::<i64>(), kinds(), mark()).prop_map(
        |(at, by, day, float, denominations, lane)| Opening {
            at,
            by,
            business_day: Date::new(2010, 12, day).unwrap(),
            float,
            denominations,
            lane,
        },
    );
    let key = any::<([u8; 10], [u8; 6])>();
    (id(), 0..=i64::MAX as u64, id(), opening, vec(movement(), 0..6), key, of(closing)).prop_map(
        |(id, version, register_id, opening, movements, (key, fingerprint), closing)| Shift {
            id,
            version,
            store_id: "s-1".into(),
            register_id,
            currency: Currency::GBP,
            opening,
            movements,
            keys: ShiftKeys::opened_by(&CommandIdentity { key, fingerprint }),
            closing,
        },
    )
}

fn scope() -> TenantScope {
    TenantScope::from_own_record("demo")
}

/// Encodings of movements and keys, altered, and bytes of any kind.
fn garbage() -> impl Strategy<Value = Vec<u8>> {
    let movement = Movement {
        kind: MovementKind::CashCount,
        amount: 12_325,
        expected: 12_330,
        denominations: vec![Denomination { value: 2_000, count: 6 }, Denomination { value: 5, count: 65 }],
        reason: Some("5p short".into()),
        approval_id: None,
        at: Timestamp::UNIX_EPOCH,
        by: "e-7".into(),
    };
    let identity = CommandIdentity { key: [7; 10], fingerprint: [9; 6] };
    let valid = vec![
        compact::encode(&vec![movement.clone()]).unwrap(),
        compact::encode(&vec![movement; 90]).unwrap(),
        compact::encode(&ShiftKeys::opened_by(&identity)).unwrap(),
    ];
    prop_oneof![3 => altered_bytes(valid), 1 => any_bytes()]
}

/// All that is made of a shift.
fn use_it(shift: &Shift) {
    let figures = shift.figures(&LaneMark::default());
    let _ = (figures.totals.drawer(), shift.last_expected(), shift.as_of(Entry::Opening));
    let identity = CommandIdentity { key: [7; 10], fingerprint: [9; 6] };
    let _ = (shift.seen(&identity), shift_sort_key(shift));
}

proptest! {
    #[test]
    fn shifts_round_trip(shift in shift()) {
        let item = guarded(10_000, FACTOR, || shift_item(&scope(), &shift)).unwrap();
        prop_assert_eq!(item.opt_number("lane_number").is_some(), shift.closing.is_some());
        prop_assert_eq!(register_in(item.text("store_sk").unwrap()), Some(shift.register_id.as_str()));
        let read = shift_of(&item).unwrap();
        guarded(10_000, FACTOR, || use_it(&read));
        prop_assert_eq!(read, shift);
    }

    #[test]
    fn an_altered_shift_is_read_or_refused(
        shift in shift(), movements in garbage(), keys in garbage(), which in 0..5, at in any::<Index>(),
        text in any_text(), number in any::<i64>(),
    ) {
        let mut item = shift_item(&scope(), &shift).unwrap();
        let name = item.0.keys().nth(at.index(item.0.len())).unwrap().clone();
        match which {
            0 => item = item.with("movements", movements),
            1 => item = item.with("keys", keys),
            2 => item = item.with(&name, Value::S(text)),
            3 => item = item.with(&name, Value::N(number)),
            _ => { item.0.remove(&name); }
        }
        guarded(10_000, FACTOR, || {
            if let Ok(shift) = shift_of(&Item(item.0)) {
                use_it(&shift);
            }
        });
    }
}
