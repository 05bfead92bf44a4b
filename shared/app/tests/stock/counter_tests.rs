//! Counters: what each movement does to them, and where it goes.

use tillstream_app::database::Database;
use tillstream_app::stock::counters::{Delta, StockTarget, stock_update, stock_update_at};
use tillstream_app::stock::layout::Place;
use tillstream_app::stock::{conservation, exceptions, ledger, read};
use tillstream_contracts::inventory::ExceptionQuery;
use tillstream_domain::quantity::{Quantity, QuantityInput};

use crate::fixture::{Fixture, SKUS};

const SHOP: &str = "s-leeds";
const A: &str = SKUS[0];

/// Goods that turn out damaged: no longer on hand, kept aside.
fn damaged(pieces: i64) -> Delta {
    Delta { on_hand: -pieces * 1_000, damaged: pieces * 1_000, ..Delta::default() }
}

#[test]
fn each_kind_of_movement_moves_its_counters() {
    let quantity = Quantity::from_pieces(3).unwrap();
    for (delta, on_hand, reserved, available) in [
        (Delta::sale(quantity), -3_000, 0, -3_000),
        (Delta::restock(quantity), 3_000, 0, 3_000),
        (Delta::hold(quantity), 0, 3_000, -3_000),
        (Delta::release(quantity), 0, -3_000, 3_000),
        (Delta::commit(quantity), -3_000, -3_000, 0),
    ] {
        assert_eq!((delta.on_hand, delta.reserved, delta.damaged), (on_hand, reserved, 0), "{delta:?}");
        assert_eq!(delta.available(), available, "{delta:?}");
    }
}

#[tokio::test]
async fn what_takes_nothing_away_needs_no_stock_item_and_no_layout() {
    let fixture = Fixture::new(1).await;
    let returned = Delta { damaged: 2_000, ..Delta::default() };
    let write = |delta| {
        let movement = fixture.movement();
        let write = stock_update(fixture.scope(), SHOP, A, delta, &movement, Vec::new(), Vec::new());
        fixture.memory.write(write)
    };
    // Damaged goods come back of which there never was a stock item.
    write(returned).await.unwrap();
    let stock = fixture.stock(SHOP, A).await;
    assert_eq!((stock.on_hand, stock.damaged, stock.available), (0, 2_000, 0));
    // They come back while the stock is split too, and while less is there than is promised.
    write(Delta::restock(Quantity::from_pieces(40).unwrap())).await.unwrap();
    fixture.split(4).await;
    write(returned).await.unwrap();
    assert_eq!(fixture.stock(SHOP, A).await.damaged, 4_000);
    assert!(write(damaged(1)).await.is_err(), "what takes from the shelf takes it from the whole");
    fixture.merge().await;
    let counted = StockTarget { on_hand: Some(5_000), safety_stock: Some(6_000), ..StockTarget::default() };
    fixture.stocked("s-york", A, counted).await;
    let below = stock_update(fixture.scope(), "s-york", A, returned, &fixture.movement(), vec![], vec![]);
    fixture.memory.write(below).await.unwrap();
    let stock = fixture.stock("s-york", A).await;
    assert_eq!((stock.available, stock.damaged), (-1_000, 2_000));
}

#[tokio::test]
async fn damaged_goods_and_safety_stock_are_counted_over_all_parts_and_proved() {
    let fixture = Fixture::new(2).await;
    let target = StockTarget { on_hand: Some(43_000), safety_stock: Some(3_000), ..StockTarget::default() };
    fixture.stocked(SHOP, A, target).await;
    fixture.split(4).await;
    let layout = fixture.stock(SHOP, A).await.layout;
    for (part, pieces) in [(0, 1), (1, 2), (3, 4)] {
        let what = (SHOP, A, Place::Part { part, layout });
        let movement = fixture.movement();
        let write = stock_update_at(fixture.scope(), what, damaged(pieces), &movement, vec![], vec![]);
        fixture.memory.write(write).await.unwrap();
    }
    // The ledger of the first part has three rows, those of the others two or one.
    fixture.relay(|_| true).await;
    for merged in [false, true] {
        if merged {
            fixture.merge().await;
            fixture.relay(|_| true).await;
            assert_eq!(fixture.stock(SHOP, A).await.damaged, 7_000);
        }
        let level = read::one(&fixture.ports, &fixture.caller, SHOP, A).await.unwrap();
        let proof = conservation::prove(&fixture.ports, &fixture.caller, SHOP, A).await.unwrap();
        assert!(proof.holds, "{proof:?}");
        assert_eq!((proof.seq_reached, proof.seq_current), (level.version, level.version));
        let whole = QuantityInput::Whole;
        assert_eq!((&level.on_hand, &level.damaged, &level.available), (&whole(36), &whole(7), &whole(33)));
        assert_eq!((&proof.sums.on_hand, &proof.sums.damaged), (&whole(36), &whole(7)));
        assert_eq!(
            (&proof.counters.damaged, &proof.counters.safety_stock, &proof.counters.available),
            (&whole(7), &whole(3), &whole(33))
        );
    }
}

#[tokio::test]
async fn a_proof_is_of_the_moment_it_asks_about() {
    let fixture = Fixture::new(3).await;
    fixture.count(SHOP, A, 5).await;
    let before = fixture.stock(SHOP, A).await;
    fixture.count(SHOP, A, 9).await;
    fixture.relay(|_| true).await;
    // The ledger is ahead of the counters that were read.
    let name = (SHOP, A, 0);
    let summed = conservation::sum_ledger(&fixture.ports, fixture.scope(), name, &before).await.unwrap();
    assert_eq!((summed.seq_reached, summed.sums.on_hand, summed.holds), (1, 5_000, true));
    // Rows are of the whole: nothing in them tells of parts.
    let rows = fixture.memory.items(tillstream_app::database::Table::Ledger);
    let rows: Vec<_> = rows.into_iter().filter(|row| row.get("seq").is_some()).collect();
    assert!(rows.iter().all(|row| row.get("part").is_none() && ledger::LedgerRow::of(row).is_ok()));
}

#[tokio::test]
async fn so_many_exceptions_are_told_as_are_asked_for() {
    let fixture = Fixture::new(4).await;
    let now = fixture.movement().at;
    let write = async |sku: &str, available| {
        let what = (SHOP, sku);
        let standing = exceptions::below_promised(&*fixture.memory, fixture.scope(), what).await.unwrap();
        let (scope, standing) = (fixture.scope(), standing.as_ref());
        let write = exceptions::exception_write(scope, what, None, available, "count", now, standing);
        fixture.memory.write(write.unwrap().unwrap()).await.unwrap();
    };
    for sku in SKUS {
        write(sku, -1).await;
    }
    let open = async |limit| {
        let query =
            ExceptionQuery { location_id: SHOP.into(), status: None, limit: Some(limit), cursor: None };
        exceptions::list(&fixture.ports, &fixture.caller, &query).await.unwrap()
    };
    let (two, three) = (open(2).await, open(3).await);
    assert_eq!((two.items.len(), three.items.len()), (2, 3));
    assert_eq!((two.next_cursor.is_some(), three.next_cursor.is_some()), (true, false));
    let query =
        ExceptionQuery { location_id: SHOP.into(), status: None, limit: None, cursor: two.next_cursor };
    let rest = exceptions::list(&fixture.ports, &fixture.caller, &query).await.unwrap();
    assert_eq!(rest.items, three.items[2..]);
    write(A, 0).await;
    assert_eq!(open(9).await.items.len(), 2, "just enough is enough");
}
