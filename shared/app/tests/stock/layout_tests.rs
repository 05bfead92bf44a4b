//! Split stock: what each part has, holds of layouts that are past, when a split is worth it.

use std::collections::BTreeSet;

use tillstream_app::database::{Database, Table};
use tillstream_app::environment::Environment;
use tillstream_app::stock::counters::{Counters, Delta, StockTarget, stock_update_at};
use tillstream_app::stock::layout::{LAYOUT_WHOLE, Place, parts_in};
use tillstream_app::stock::take::{EmptyParts, Taken, take};
use tillstream_app::stock::{expiry, read, reserve, split};
use tillstream_app::tenancy::Stores;
use tillstream_contracts::inventory::{MovementQuery, StockListQuery};
use tillstream_domain::quantity::{Quantity, QuantityInput};
use tillstream_testkit::faults;

use crate::fixture::{Fault, Fixture, SKUS, refusal, request};

const SHOP: &str = "s-leeds";
const A: &str = SKUS[0];
const B: &str = SKUS[1];

impl Fixture {
    fn part(&self, part: u32) -> Counters {
        let key = self.scope().stock_part(SHOP, A, part);
        let items = self.memory.items(Table::Stock);
        Counters::of(items.iter().find(|item| item.opt_text("pk") == Some(key.pk())).unwrap()).unwrap()
    }

    /// Leaves so many pieces available in one part, and nothing in the others.
    async fn leave_only(&self, part: u32, pieces: i64) {
        let layout = self.part(0).layout;
        for other in 0..parts_in(layout) {
            let wanted = if other == part { pieces * 1_000 } else { 0 };
            let delta = Delta { on_hand: wanted - self.part(other).available, ..Delta::default() };
            if delta == Delta::default() {
                continue;
            }
            let (what, movement) = ((SHOP, A, Place::Part { part: other, layout }), self.movement());
            let write = stock_update_at(self.scope(), what, delta, &movement, vec![], vec![]);
            self.memory.write(write).await.unwrap();
        }
    }

    /// Pieces reserved and available, as a list of the location shows them.
    async fn listed(&self) -> (QuantityInput, QuantityInput) {
        let query = StockListQuery { location_id: Some(SHOP.into()), ..StockListQuery::default() };
        let mut page = read::list(&self.ports, &self.caller, &query).await.unwrap();
        let level = page.items.remove(0);
        (level.reserved, level.available)
    }
}

fn whole(reserved: i64, available: i64) -> (QuantityInput, QuantityInput) {
    (QuantityInput::Whole(reserved), QuantityInput::Whole(available))
}

#[tokio::test]
async fn a_hold_on_any_part_expires_there_and_no_other_with_it() {
    let fixture = Fixture::new(1).await;
    fixture.count(SHOP, A, 40).await;
    fixture.split(4).await;
    fixture.leave_only(1, 5).await;
    fixture.hold("short", 2, 60).await;
    fixture.leave_only(2, 5).await;
    fixture.hold("long", 3, 9_000).await;
    fixture.leave_only(3, 10).await;
    fixture.pass(60);
    // The first part knows of no hold.
    assert_eq!(fixture.part(0).earliest_expiry, None);
    assert_eq!(fixture.listed().await, whole(3, 12));
    assert_eq!(fixture.pieces().await, (15, 3, 12));
    assert_eq!((fixture.part(1).reserved, fixture.part(2).reserved), (0, 3_000));
    fixture.check().await;
    fixture.pass(9_000);
    assert_eq!(fixture.pieces().await, (15, 0, 15));
    fixture.check().await;
}

#[tokio::test]
async fn holds_of_a_past_layout_are_found_until_the_last_has_expired() {
    let fixture = Fixture::new(2).await;
    fixture.count(SHOP, A, 40).await;
    fixture.split(4).await;
    for (part, key, seconds) in [(1, "short", 60), (2, "also short", 60), (3, "long", 9_000)] {
        fixture.leave_only(part, 10).await;
        fixture.hold(key, 1, seconds).await;
    }
    fixture.merge().await;
    assert_eq!(fixture.stock(SHOP, A).await.past.hold_parts, 4);
    fixture.pass(60);
    assert_eq!(fixture.listed().await, whole(1, 11), "those of two parts are over");
    assert_eq!(fixture.pieces().await, (12, 1, 11));
    assert_eq!(fixture.stock(SHOP, A).await.past.hold_parts, 4, "there is one more");
    fixture.pass(9_000);
    assert_eq!(fixture.pieces().await, (12, 0, 12));
    fixture.check().await;
    expiry::free_expired(&fixture.ports, fixture.scope(), SHOP, A, fixture.environment.now()).await.unwrap();
    assert_eq!(fixture.stock(SHOP, A).await.past.hold_parts, 0);
}

#[tokio::test]
async fn a_merge_of_parts_that_hold_nothing_leaves_nothing_to_look_for() {
    let fixture = Fixture::new(3).await;
    fixture.count(SHOP, A, 40).await;
    fixture.split(4).await;
    fixture.merge().await;
    let items = fixture.memory.items(Table::Stock);
    assert!(items.iter().all(|item| item.get("hold_parts").is_none()));
}

#[tokio::test]
async fn parts_that_are_empty_are_known_and_left_alone() {
    let fixture = Fixture::new(4).await;
    fixture.count(SHOP, A, 40).await;
    fixture.split(4).await;
    let layout = fixture.part(0).layout;
    for part in [1, 3] {
        let sold = Delta { on_hand: -10_000, ..Delta::default() };
        let (what, movement) = ((SHOP, A, Place::Part { part, layout }), fixture.movement());
        let write = stock_update_at(fixture.scope(), what, sold, &movement, vec![], vec![]);
        fixture.memory.write(write).await.unwrap();
    }
    let one = Quantity::from_pieces(1).unwrap();
    let taken = take(&fixture.ports, fixture.scope(), (SHOP, A), one, layout).await.unwrap();
    let Taken::Shares(shares, empty) = taken else { panic!("{taken:?}") };
    assert!([0, 2].contains(&shares[0].part) && shares.len() == 1, "{shares:?}");
    assert_eq!(empty, EmptyParts(0b1010));
    let chosen = |empty: EmptyParts| -> BTreeSet<u32> {
        (0..200).map(|_| empty.other(4, fixture.environment.as_ref())).collect()
    };
    assert_eq!(chosen(empty), BTreeSet::from([0, 2]));
    assert_eq!(chosen(EmptyParts(0)), BTreeSet::from([0, 1, 2, 3]));
    assert_eq!(chosen(EmptyParts(0b1111)), BTreeSet::from([0, 1, 2, 3]), "any may have some again");
}

#[tokio::test]
async fn as_many_parts_as_a_transaction_takes_stay_parts() {
    let fixture = Fixture::new(5).await;
    for (sku, pieces, parts) in [(A, 64, 32), (B, 32, 16)] {
        fixture.count(SHOP, sku, pieces).await;
        split::split(&fixture.ports, fixture.scope(), SHOP, sku, parts).await.unwrap();
    }
    // All of both: 32 shares and 16.
    fixture.reserve("k", &request(&[(SHOP, A, 64), (SHOP, B, 32)], 900)).await.unwrap();
    for sku in [A, B] {
        assert_ne!(fixture.stock(SHOP, sku).await.layout, LAYOUT_WHOLE, "{sku}");
    }
    fixture.check().await;
}

#[tokio::test]
async fn the_third_loss_of_one_stock_item_splits_it_where_there_is_enough() {
    // In the transaction are the header, the hold line, and the stock.
    for (pieces, losses, position, layout) in [
        (400, 1, 2, LAYOUT_WHOLE),
        (400, 2, 2, LAYOUT_WHOLE),
        (400, 3, 2, 132),
        (16, 3, 2, 102),
        (15, 6, 2, LAYOUT_WHOLE),
        // What stands in the way is not the stock.
        (400, 6, 0, LAYOUT_WHOLE),
        (400, 6, 1, LAYOUT_WHOLE),
    ] {
        let fixture = Fixture::new(6).await;
        fixture.count(SHOP, A, pieces).await;
        let begun = fixture.faulty.writes.load(std::sync::atomic::Ordering::SeqCst);
        fixture.inject(move |n| if n < begun + losses { Fault::ConflictAt(position) } else { Fault::None });
        fixture.hold("k", 1, 900).await;
        let case = format!("{pieces} pieces, {losses} losses at {position}");
        assert_eq!(fixture.stock(SHOP, A).await.layout, layout, "{case}");
        fixture.check().await;
    }
}

#[tokio::test]
async fn pages_of_movements_are_full_across_parts() {
    let fixture = Fixture::new(7).await;
    fixture.count(SHOP, A, 40).await;
    fixture.split(4).await;
    fixture.merge().await;
    fixture.relay(|_| true).await;
    // Three of the first part, two of each other.
    for (limit, sizes) in [(3, vec![3, 3, 3]), (2, vec![2, 2, 2, 2, 1]), (4, vec![4, 4, 1]), (9, vec![9])] {
        let mut query =
            MovementQuery { sku: A.into(), location_id: SHOP.into(), limit: Some(limit), cursor: None };
        let (mut found, mut rows) = (Vec::new(), Vec::new());
        loop {
            let page = tillstream_app::stock::movements::list(&fixture.ports, &fixture.caller, &query);
            let page = page.await.unwrap();
            found.push(page.items.len());
            rows.extend(page.items.into_iter().map(|row| (row.part, row.seq)));
            query.cursor = page.next_cursor;
            if query.cursor.is_none() {
                break;
            }
        }
        // The last may be empty: what a full page leaves is known only when it is asked for.
        let whole = found.strip_suffix(&[0]).unwrap_or(&found);
        assert_eq!(whole, sizes, "limit {limit}");
        let of = |part, seqs: [i64; 2]| seqs.map(|seq| (Some(part), seq));
        let others = [of(1, [2, 1]), of(2, [2, 1]), of(3, [2, 1])].concat();
        assert_eq!(rows, [vec![(None, 3), (None, 2), (None, 1)], others].concat(), "limit {limit}");
    }
}

#[tokio::test]
async fn a_refusal_names_twenty_other_locations_that_have_most_of_the_first_two_hundred() {
    let fixture = Fixture::new(8).await;
    for n in 0..=200 {
        let target = StockTarget { on_hand: Some(n * 1_000), ..StockTarget::default() };
        fixture.stocked(&format!("x-{n:03}"), A, target).await;
    }
    let elsewhere = async |stores| {
        let caller = tillstream_app::tenancy::Caller { stores, ..fixture.caller.clone() };
        let wanted = request(&[(SHOP, A, 1)], 60);
        let refused = reserve::reserve(&fixture.ports, &caller, "k", &wanted).await.unwrap_err();
        let lines = refusal(refused).extra["lines"].clone();
        let places = lines[0]["elsewhere"].as_array().unwrap().clone();
        places.iter().map(|place| place["location_id"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    let most: Vec<_> = (180..200).rev().map(|n| format!("x-{n:03}")).collect();
    assert_eq!(elsewhere(Stores::All).await, most);
    let reach = [SHOP, "x-000", "x-002", "x-001"];
    let found = elsewhere(crate::fixture::named(&reach)).await;
    assert_eq!(found, ["x-002", "x-001"], "where there is none is nowhere to go");
}

#[tokio::test]
async fn what_was_noted_of_split_stock_may_wait_but_a_refused_call_is_told() {
    let fixture = Fixture::new(9).await;
    fixture.count(SHOP, A, 400).await;
    fixture.split(8).await;
    let (ports, database) = fixture.troubled();
    for (fault, failed) in
        [(faults::Fault::Throttled, 0), (faults::Fault::TimedOutBefore, 0), (faults::Fault::Refused, 1)]
    {
        database.fail_next(tillstream_app::capacity::Operation::Write, fault);
        let done = split::merge_quiet(&ports, fixture.scope(), jiff::Timestamp::MAX).await.unwrap();
        assert_eq!(done, split::QuietMerged { merged: 0, failed }, "{fault:?}");
    }
}
