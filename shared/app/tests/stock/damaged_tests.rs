//! What is damaged: found so on the shelf, mended, or gone for good. All of it there is, and never less than nothing.

use std::sync::Arc;

use tillstream_app::stock::lots::recall::Change;
use tillstream_app::stock::{read, update};
use tillstream_app::{Error, Result};
use tillstream_contracts::inventory::{StockUpdateKind, StockUpdateRequest};
use tillstream_domain::quantity::QuantityInput;

use crate::fixture::{BY_WEIGHT, Fault, Fixture, SKUS, refusal, request};

const A: &str = SKUS[0];
const SHOP: &str = "s-leeds";

fn asked(kind: StockUpdateKind, pieces: i64) -> StockUpdateRequest {
    StockUpdateRequest {
        location_id: SHOP.into(),
        sku: A.into(),
        kind,
        quantity: QuantityInput::Whole(pieces),
        reason: "fell off the shelf".into(),
        expected_version: None,
        lot: None,
        expires_on: None,
    }
}

async fn send(fixture: &Fixture, key: &str, request: &StockUpdateRequest) -> Result<update::Answer> {
    update::update(&fixture.ports, &fixture.caller, key, request, |_| Ok(())).await
}

/// On hand, available and damaged, in pieces.
async fn pieces(fixture: &Fixture) -> (i64, i64, i64) {
    let stock = fixture.stock(SHOP, A).await;
    (stock.on_hand / 1_000, stock.available / 1_000, stock.damaged / 1_000)
}

#[tokio::test]
async fn what_is_damaged_is_mended_or_gone() {
    let fixture = Fixture::new(1).await;
    fixture.count(SHOP, A, 10).await;
    fixture.reserve("r", &request(&[(SHOP, A, 4)], 600)).await.unwrap();
    for (kind, many, change, left) in [
        (StockUpdateKind::Damage, 3, -3, (7, 3, 3)),
        (StockUpdateKind::Repair, 1, 1, (8, 4, 2)),
        (StockUpdateKind::WriteOff, 2, 0, (8, 4, 0)),
    ] {
        let key = format!("{kind:?}");
        let answer = send(&fixture, &key, &asked(kind, many)).await.unwrap();
        assert_eq!(answer.updated.change, QuantityInput::Whole(change), "{kind:?}");
        assert_eq!(answer.updated.stock.damaged, QuantityInput::Whole(left.2), "{kind:?}");
        assert_eq!(
            answer.updated.stock,
            read::one(&fixture.ports, &fixture.caller, SHOP, A).await.unwrap(),
            "the answer says what it left"
        );
        assert_eq!(pieces(&fixture).await, left, "{kind:?}");
        let again = send(&fixture, &key, &asked(kind, many)).await.unwrap();
        assert_eq!((again.replayed, again.updated), (true, answer.updated));
        assert_eq!(pieces(&fixture).await, left, "{kind:?} again");
    }
    fixture.check_invariants();
}

#[tokio::test]
async fn no_more_is_damaged_than_is_available_nor_leaves_than_is_damaged() {
    let fixture = Fixture::new(2).await;
    fixture.count(SHOP, A, 10).await;
    fixture.reserve("r", &request(&[(SHOP, A, 8)], 600)).await.unwrap();
    let short = refusal(send(&fixture, "d", &asked(StockUpdateKind::Damage, 3)).await.unwrap_err());
    assert_eq!((short.code, &short.extra["lines"][0]["available"]), ("insufficient_stock", &2.into()));
    send(&fixture, "d-2", &asked(StockUpdateKind::Damage, 2)).await.unwrap();
    for kind in [StockUpdateKind::Repair, StockUpdateKind::WriteOff] {
        let short = refusal(send(&fixture, "w", &asked(kind, 3)).await.unwrap_err());
        assert_eq!((short.code, &short.extra["damaged"]), ("insufficient_stock", &2.into()), "{kind:?}");
    }
    let kinds = [StockUpdateKind::Damage, StockUpdateKind::Repair, StockUpdateKind::WriteOff];
    for kind in kinds {
        for many in [0, -1, 1_000_001] {
            let refused = refusal(send(&fixture, "k", &asked(kind, many)).await.unwrap_err());
            assert_eq!(refused.code, "quantity_invalid", "{kind:?} {many}");
        }
        let other = StockUpdateRequest { expected_version: Some(1), ..asked(kind, 1) };
        assert_eq!(refusal(send(&fixture, "v", &other).await.unwrap_err()).code, "version_conflict");
        // Of what was never there nothing is damaged.
        let nothing = StockUpdateRequest { location_id: "s-york".into(), ..asked(kind, 1) };
        let refused = refusal(send(&fixture, "n", &nothing).await.unwrap_err());
        assert_eq!(refused.code, "insufficient_stock", "{kind:?}");
    }
    let of_lot = StockUpdateRequest { lot: Some("L-1".into()), ..asked(StockUpdateKind::WriteOff, 1) };
    assert_eq!(refusal(send(&fixture, "l", &of_lot).await.unwrap_err()).code, "lot_not_kept");
    let half = StockUpdateRequest {
        quantity: QuantityInput::Decimal("0.5".into()),
        ..asked(StockUpdateKind::WriteOff, 1)
    };
    assert_eq!(refusal(send(&fixture, "h", &half).await.unwrap_err()).code, "quantity_invalid");
    assert_eq!(pieces(&fixture).await, (8, 0, 2), "nothing changed");
}

#[tokio::test]
async fn goods_by_weight_are_damaged_by_weight() {
    let fixture = Fixture::new(3).await;
    let counted = StockUpdateRequest {
        sku: BY_WEIGHT.into(),
        quantity: QuantityInput::Decimal("2".into()),
        ..asked(StockUpdateKind::Set, 0)
    };
    send(&fixture, "c", &counted).await.unwrap();
    let some = StockUpdateRequest {
        sku: BY_WEIGHT.into(),
        quantity: QuantityInput::Decimal("0.25".into()),
        ..asked(StockUpdateKind::Damage, 0)
    };
    let stock = send(&fixture, "d", &some).await.unwrap().updated.stock;
    assert_eq!(stock.on_hand, QuantityInput::Decimal("1.75".into()));
    assert_eq!(stock.damaged, QuantityInput::Decimal("0.25".into()));
}

/// Many at once, some of their answers lost and all sent again: ten that are damaged leave once each, mended or not.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn what_is_damaged_leaves_once() {
    for seed in 0..10 {
        let fixture = Arc::new(Fixture::new(40 + seed).await);
        fixture.count(SHOP, A, 10).await;
        send(&fixture, "d", &asked(StockUpdateKind::Damage, 10)).await.unwrap();
        fixture.inject_by_chance(5, [Fault::LostBefore, Fault::LostAfter, Fault::Conflict]);
        let tasks: Vec<_> = (0..30)
            .map(|n| {
                let fixture = fixture.clone();
                let kind = if n % 2 == 0 { StockUpdateKind::Repair } else { StockUpdateKind::WriteOff };
                tokio::spawn(async move {
                    loop {
                        match send(&fixture, &format!("k{n}"), &asked(kind, 1)).await {
                            Ok(_) => return Some(kind),
                            Err(Error::Retryable { .. } | Error::Conflict(_)) => {}
                            Err(error) => {
                                assert_eq!(error.code(), Some("insufficient_stock"), "{error}");
                                return None;
                            }
                        }
                    }
                })
            })
            .collect();
        let (mut mended, mut gone) = (0, 0);
        for task in tasks {
            match task.await.unwrap() {
                Some(StockUpdateKind::Repair) => mended += 1,
                Some(_) => gone += 1,
                None => {}
            }
        }
        fixture.heal();
        assert_eq!(mended + gone, 10, "seed {seed}");
        assert_eq!(pieces(&fixture).await, (mended, mended, 0), "seed {seed}");
        fixture.check_invariants();
    }
}

/// Of a lot that is named its own goods are damaged, of no named one those that expire first; what is mended of a
/// recalled lot is kept aside, not for sale.
#[tokio::test]
async fn what_is_damaged_is_of_a_lot_and_what_is_mended_too() {
    let fixture = Fixture::new(5).await;
    fixture.keep_by_lots(A).await;
    fixture.lot_in("k-1", Some("L-1"), Some(fixture.local_day(2)), 3).await.unwrap();
    fixture.lot_in("k-2", Some("L-2"), Some(fixture.local_day(4)), 9).await.unwrap();
    let of =
        |lot: Option<&str>, kind, many| StockUpdateRequest { lot: lot.map(Into::into), ..asked(kind, many) };
    let lots = async || {
        let line = |(lot, there, aside): (Option<String>, i64, i64)| (lot.unwrap_or_default(), there, aside);
        fixture.lots().await.into_iter().map(line).collect::<Vec<_>>()
    };
    let lot = |id: &str, there: i64, aside: i64| (id.to_owned(), there, aside);
    let (damage, repair) = (StockUpdateKind::Damage, StockUpdateKind::Repair);
    send(&fixture, "a", &of(Some("L-2"), damage, 2)).await.unwrap();
    assert_eq!(lots().await, [lot("L-1", 3, 0), lot("L-2", 7, 0)]);
    send(&fixture, "b", &of(None, damage, 4)).await.unwrap();
    assert_eq!(lots().await, [lot("L-2", 6, 0)]);
    let short = send(&fixture, "c", &of(Some("L-2"), damage, 7)).await.unwrap_err();
    assert_eq!(refusal(short).code, "insufficient_stock");
    let unknown = send(&fixture, "c", &of(Some("L-9"), repair, 1)).await.unwrap_err();
    assert_eq!(refusal(unknown).code, "lot_unknown");
    fixture.change_lot("q", "L-2", Change::Quarantine).await.unwrap();
    // What is kept aside may be damaged too, and whatever was promised of it does not matter.
    let answer = send(&fixture, "d", &of(Some("L-2"), damage, 1)).await.unwrap().updated;
    assert_eq!(
        (answer.change, answer.stock.quarantined),
        (QuantityInput::Whole(0), Some(QuantityInput::Whole(5)))
    );
    let answer = send(&fixture, "e", &of(Some("L-2"), repair, 2)).await.unwrap().updated;
    assert_eq!(
        (answer.change, answer.stock.quarantined),
        (QuantityInput::Whole(0), Some(QuantityInput::Whole(7)))
    );
    let unnamed = send(&fixture, "f", &of(None, repair, 1)).await.unwrap_err();
    assert_eq!(refusal(unnamed).code, "lot_required");
    send(&fixture, "f", &of(Some("L-1"), repair, 1)).await.unwrap();
    assert_eq!(lots().await, [lot("L-1", 1, 0), lot("L-2", 0, 7)]);
    assert_eq!(pieces(&fixture).await, (1, 1, 4));
    send(&fixture, "g", &of(None, StockUpdateKind::WriteOff, 4)).await.unwrap();
    assert_eq!(lots().await, [lot("L-1", 1, 0), lot("L-2", 0, 7)]);
    assert_eq!(pieces(&fixture).await, (1, 1, 0));
    fixture.check_invariants();
}
