//! Counters that somebody changes by hand, and what the simulator knows of them until they are corrected.

use jiff::Timestamp;
use tillstream_app::database::{Item, Table};
use tillstream_testkit::memory_database::StreamChange;
use tillstream_testkit::simulator::parts::{
    ASIDE, AsideItem, ByHand, Edit, RIGHT, Sums, console_of, look_aside,
};

#[test]
fn some_runs_have_a_console_and_some_have_none() {
    let with = (1..=20).filter(|seed| console_of(*seed).is_some()).count();
    assert!((4..=16).contains(&with), "{with} of 20");
}

#[test]
fn what_is_announced_is_not_off_before_it_is_seen() {
    let by = Sums { on_hand: 2_000, damaged: 0 };
    let announced = AsideItem { edit: Some(Edit { by, after_seq: None }), ..AsideItem::default() };
    assert_eq!(announced.off(), Sums::default());
    let seen = AsideItem { edit: Some(Edit { by, after_seq: Some(4) }), ..AsideItem::default() };
    assert_eq!(seen.off(), by);
}

fn stock(seq: i64, (on_hand, moved): (i64, i64), kind: &str) -> Item {
    Item::default()
        .with("tenant_id", "acme")
        .with("location_id", ASIDE)
        .with("sku", "aside-1")
        .with("seq", seq)
        .with("on_hand", on_hand)
        .with("available", on_hand)
        .with("last_kind", kind)
        .with("last_on_hand", moved)
}

fn change(old: Option<&Item>, new: &Item) -> StreamChange {
    StreamChange {
        table: Table::Stock,
        sequence: 1,
        shard: 0,
        at: Timestamp::UNIX_EPOCH,
        old: old.cloned(),
        new: Some(new.clone()),
    }
}

#[test]
fn only_what_was_announced_is_off_and_only_until_it_is_corrected() {
    let mut by_hand = ByHand::default();
    let (first, edited) = (stock(1, (10, 10), "sync"), stock(1, (12, 10), "sync"));
    look_aside(&mut by_hand, &change(None, &first)).unwrap();
    let unannounced = look_aside(&mut by_hand.clone(), &change(Some(&first), &edited));
    assert_eq!(unannounced.unwrap_err().0, "every movement is counted");
    let by = Sums { on_hand: 2, damaged: 0 };
    by_hand.item_mut("acme", "aside-1").edit = Some(Edit { by, after_seq: None });
    look_aside(&mut by_hand, &change(Some(&first), &edited)).unwrap();
    let moved = stock(2, (15, 3), "adjustment");
    look_aside(&mut by_hand, &change(Some(&edited), &moved)).unwrap();
    assert_eq!(by_hand.item("acme", "aside-1").off(), by);
    let corrected = |by_hand: &mut ByHand, on_hand, told| {
        let to = stock(3, (on_hand, told), "reconciliation");
        look_aside(by_hand, &change(Some(&moved), &to))
    };
    assert_eq!(corrected(&mut by_hand.clone(), 15, 0).unwrap_err().0, RIGHT);
    corrected(&mut by_hand, 13, -2).unwrap();
    let right = stock(3, (13, -2), "reconciliation");
    let twice = look_aside(&mut by_hand, &change(Some(&right), &stock(4, (11, -2), "reconciliation")));
    assert_eq!(twice.unwrap_err().0, "a difference is corrected once");
}
