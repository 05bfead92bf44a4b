//! The exception of a stock item of which less is there than is promised: the system settles what is open, and what
//! somebody settled stays settled as they said.

use std::sync::Arc;

use tillstream_app::database::Write;
use tillstream_app::environment::Environment;
use tillstream_app::stock::{exceptions, reservations, update};
use tillstream_app::{Error, Result};
use tillstream_contracts::inventory::{
    ExceptionKind, ExceptionQuery, ExceptionStatus, ResolveExceptionRequest, StockException, StockUpdateKind,
    StockUpdateRequest,
};
use tillstream_domain::quantity::QuantityInput;

use crate::fixture::{Fault, Fixture, SKUS, request};

const SHOP: &str = "s-leeds";
const A: &str = SKUS[0];

fn because(reason: &str) -> ResolveExceptionRequest {
    ResolveExceptionRequest { reason: reason.into(), note: None }
}

fn code<T>(refused: &Result<T>) -> &str {
    refused.as_ref().err().and_then(Error::code).unwrap_or("none")
}

/// Ten pieces, eight of them held.
async fn promised(seed: u64) -> Fixture {
    let fixture = Fixture::new(seed).await;
    fixture.count(SHOP, A, 10).await;
    fixture.reserve("r", &request(&[(SHOP, A, 8)], 600)).await.unwrap();
    fixture
}

impl Fixture {
    async fn adjust(&self, key: &str, pieces: i64) {
        let request = StockUpdateRequest {
            location_id: SHOP.into(),
            sku: A.into(),
            kind: StockUpdateKind::Delta,
            quantity: QuantityInput::Whole(pieces),
            reason: "looked".into(),
            expected_version: None,
            lot: None,
            expires_on: None,
        };
        update::update(&self.ports, &self.caller, key, &request, |_| Ok(())).await.unwrap();
    }

    async fn below_promised(&self, status: ExceptionStatus) -> Vec<StockException> {
        let query =
            ExceptionQuery { location_id: SHOP.into(), status: Some(status), limit: None, cursor: None };
        let mut found = exceptions::list(&self.ports, &self.caller, &query).await.unwrap().items;
        found.retain(|one| one.kind == ExceptionKind::BelowPromised);
        found
    }

    async fn the_open_one(&self) -> StockException {
        let mut open = self.below_promised(ExceptionStatus::Open).await;
        assert_eq!(open.len(), 1, "{open:?}");
        open.remove(0)
    }

    async fn settle(&self, key: &str, id: &str, reason: &str) -> Result<exceptions::Resolved> {
        exceptions::resolve(&self.ports, &self.caller, key, id, &because(reason)).await
    }
}

#[tokio::test]
async fn what_is_open_is_resolved_by_the_system_once_enough_is_found() {
    let fixture = promised(1).await;
    fixture.count(SHOP, A, 5).await;
    let open = fixture.the_open_one().await;
    fixture.adjust("a", 2).await;
    assert_eq!(fixture.the_open_one().await.quantity, QuantityInput::Whole(1), "it is still too little");
    fixture.pass(60);
    fixture.adjust("b", 1).await;
    assert!(fixture.below_promised(ExceptionStatus::Open).await.is_empty());
    let resolved = fixture.below_promised(ExceptionStatus::Resolved).await;
    assert_eq!((resolved.len(), &resolved[0].exception_id), (1, &open.exception_id));
    let resolution = resolved[0].resolution.clone().unwrap();
    assert_eq!((resolution.reason.as_str(), resolution.resolved_by.as_str()), ("enough was found", "system"));
    assert!(resolution.note.is_some_and(|note| note.starts_with("found by ")));
    assert_eq!(resolution.resolved_at, fixture.environment.now());
    assert_eq!(code(&fixture.settle("k", &open.exception_id, "found").await), "exception_resolved");
}

/// Who settled it and why is told whatever is adjusted later, and the request that did is answered the same.
#[tokio::test]
async fn what_somebody_resolved_stays_as_they_said() {
    let fixture = promised(2).await;
    fixture.count(SHOP, A, 5).await;
    let id = fixture.the_open_one().await.exception_id;
    let first = fixture.settle("k", &id, "two are in the window").await.unwrap();
    assert!(!first.replayed);
    for (n, pieces) in [4, 1, -1].into_iter().enumerate() {
        fixture.adjust(&format!("a-{n}"), pieces).await;
        let again = fixture.settle("k", &id, "two are in the window").await.unwrap();
        assert!(again.replayed);
        assert_eq!(again.exception, first.exception, "{n}");
    }
    assert_eq!(fixture.below_promised(ExceptionStatus::Resolved).await, [first.exception]);
    assert!(fixture.below_promised(ExceptionStatus::Open).await.is_empty());
}

/// It opens anew where less is found again, and what settled it before says nothing of that: neither is it told, nor
/// does the old request settle the new one.
#[tokio::test]
async fn what_opens_anew_is_settled_anew() {
    let fixture = promised(3).await;
    fixture.count(SHOP, A, 5).await;
    let first = fixture.the_open_one().await;
    let id = first.exception_id.as_str();
    fixture.settle("k-1", id, "in the window").await.unwrap();
    fixture.pass(60);
    fixture.count(SHOP, A, 4).await;
    let second = fixture.the_open_one().await;
    assert_eq!((second.exception_id.as_str(), &second.quantity), (id, &QuantityInput::Whole(4)));
    assert!(second.opened_at > first.opened_at && second.resolution.is_none());
    assert_eq!(code(&fixture.settle("k-1", id, "in the window").await), "exception_reopened");
    assert_eq!(code(&fixture.settle("k-1", id, "another").await), "idempotency_key_reused");
    assert_eq!(fixture.the_open_one().await, second, "it is still to be settled");
    // Nor once the system, or somebody else, settled that.
    fixture.adjust("a", 9).await;
    assert_eq!(code(&fixture.settle("k-1", id, "in the window").await), "exception_reopened");
    fixture.count(SHOP, A, 3).await;
    let settled = fixture.settle("k-2", id, "stolen").await.unwrap();
    assert!(!settled.replayed);
    assert_eq!(settled.exception.resolution.as_ref().unwrap().reason, "stolen");
    for key in ["k-1", "k-1"] {
        assert_eq!(code(&fixture.settle(key, id, "in the window").await), "exception_reopened");
    }
    let again = fixture.settle("k-2", id, "stolen").await.unwrap();
    assert!(again.replayed && again.exception == settled.exception);
    fixture.count(SHOP, A, 2).await;
    for (key, reason) in [("k-1", "in the window"), ("k-2", "stolen")] {
        assert_eq!(code(&fixture.settle(key, id, reason).await), "exception_reopened", "{key}");
    }
    assert!(!fixture.settle("k-3", id, "found").await.unwrap().replayed);
}

/// Nothing is written where nothing is open: most adjustments are of stock that nobody has to look at.
#[tokio::test]
async fn where_nothing_is_open_nothing_is_written() {
    let fixture = promised(4).await;
    let now = fixture.environment.now();
    let write = async |available| {
        let what = (SHOP, A);
        let standing = exceptions::below_promised(&*fixture.memory, fixture.scope(), what).await.unwrap();
        let standing = standing.as_ref();
        exceptions::exception_write(fixture.scope(), what, None, available, "x", now, standing).unwrap()
    };
    assert_eq!(write(0).await, None);
    fixture.count(SHOP, A, 5).await;
    assert!(matches!(write(0).await, Some(Write::Update { .. })));
    let id = fixture.the_open_one().await.exception_id;
    fixture.settle("k", &id, "in the window").await.unwrap();
    assert_eq!(write(0).await, None);
    assert!(matches!(write(-1).await, Some(Write::Update { .. })));
}

/// Somebody settles it between our read and our write, or our answer is lost: their word stands.
#[tokio::test]
async fn whoever_is_first_settles_it() {
    for after in [9, 4] {
        let fixture = promised(5).await;
        fixture.count(SHOP, A, 5).await;
        let id = fixture.the_open_one().await.exception_id;
        let theirs = id.clone();
        fixture.meanwhile(move |ports, caller| async move {
            exceptions::resolve(&ports, &caller, "k", &theirs, &because("in the window")).await.unwrap();
        });
        fixture.count(SHOP, A, after).await;
        let again = fixture.settle("k", &id, "in the window").await;
        if after == 9 {
            let again = again.unwrap();
            assert!(again.replayed);
            assert_eq!(again.exception.resolution.unwrap().reason, "in the window");
        } else {
            assert_eq!(code(&again), "exception_reopened");
            assert_eq!(fixture.the_open_one().await.quantity, QuantityInput::Whole(4));
        }
    }
    for fault in [Fault::LostBefore, Fault::LostAfter, Fault::Conflict, Fault::Throttled] {
        let fixture = promised(6).await;
        fixture.count(SHOP, A, 5).await;
        let next = fixture.faulty.writes.load(std::sync::atomic::Ordering::SeqCst);
        fixture.inject(move |number| if number == next { fault } else { Fault::None });
        fixture.adjust("a", 3).await;
        fixture.heal();
        assert_eq!(fixture.below_promised(ExceptionStatus::Resolved).await.len(), 1);
        assert_eq!(fixture.stock(SHOP, A).await.on_hand, 8_000);
    }
}

/// Many count at once and lose answers: afterwards one is open exactly where less is there than is promised.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn one_is_open_where_too_little_is_there_whoever_was_last() {
    for seed in 0..12 {
        let fixture = Arc::new(promised(100 + seed).await);
        fixture.inject(|number| match number % 7 {
            2 => Fault::LostAfter,
            4 => Fault::LostBefore,
            _ => Fault::None,
        });
        let tasks: Vec<_> = (0..12)
            .map(|n| {
                let fixture = fixture.clone();
                tokio::spawn(async move { fixture.count(SHOP, A, 3 + (n * 5) % 9).await })
            })
            .collect();
        for task in tasks {
            task.await.unwrap();
        }
        fixture.heal();
        let available = fixture.stock(SHOP, A).await.available;
        let open = fixture.below_promised(ExceptionStatus::Open).await;
        assert_eq!(open.len(), usize::from(available < 0), "{available}: {open:?}");
        if let Some(open) = open.first() {
            assert_eq!(open.quantity, QuantityInput::Whole(-available / 1_000));
        }
    }
}

/// Goods that are free again settle nothing by themselves, and the next count does.
#[tokio::test]
async fn what_is_given_back_is_seen_by_the_next_count() {
    let fixture = Fixture::new(7).await;
    fixture.count(SHOP, A, 10).await;
    let held = fixture.reserve("r", &request(&[(SHOP, A, 8)], 600)).await.unwrap().reservation;
    fixture.count(SHOP, A, 5).await;
    reservations::release(&fixture.ports, &fixture.caller, "x", &held.reservation_id).await.unwrap();
    assert_eq!(fixture.below_promised(ExceptionStatus::Open).await.len(), 1);
    fixture.adjust("a", -1).await;
    assert!(fixture.below_promised(ExceptionStatus::Open).await.is_empty());
}
