//! Many holds that expire at once: they are freed together, and who needs stock waits for no more of it than it needs.

use std::sync::atomic::Ordering;

use jiff::Timestamp;
use tillstream_app::database::{Change, Database, Table, Write};
use tillstream_app::environment::Environment;
use tillstream_app::stock::expiry::{self, FreedHolds, HoldReads, Swept};
use tillstream_app::stock::{conservation, read, reservations};
use tillstream_contracts::inventory::ExtendRequest;
use tillstream_domain::quantity::QuantityInput;

use crate::fixture::{Fault, Fixture, SKUS, refusal, request};

const SHOP: &str = "s-leeds";
const A: &str = SKUS[0];

impl Fixture {
    /// So many holds of one piece each, as they would stand, which have all expired a minute from now.
    async fn holds(&self, count: i64) {
        self.many_holds((SHOP, A), count, 60, 60).await;
    }

    /// Writes and transactions that `act` takes.
    async fn writes_of<T>(&self, act: impl Future<Output = T>) -> (T, u64) {
        let before = self.faulty.writes.load(Ordering::SeqCst);
        let done = act.await;
        (done, self.faulty.writes.load(Ordering::SeqCst) - before)
    }

    async fn sweep(&self) -> Swept {
        expiry::sweep_expired(&self.ports, self.environment.now(), Timestamp::MAX).await.unwrap()
    }
}

#[tokio::test]
async fn five_thousand_expired_holds_keep_nobody_waiting() {
    let fixture = Fixture::new(1).await;
    fixture.count(SHOP, A, 5_000).await;
    fixture.holds(5_000).await;
    fixture.pass(60);
    // One transaction frees 99 of them, one takes what was asked for.
    let (got, writes) = fixture.writes_of(fixture.reserve("one", &request(&[(SHOP, A, 1)], 900))).await;
    got.unwrap();
    assert_eq!(writes, 2);
    assert_eq!(fixture.stock(SHOP, A).await.reserved, 4_902_000);
    // As much as is wanted and no more: 98 are free, 402 are missing.
    let (got, writes) = fixture.writes_of(fixture.reserve("some", &request(&[(SHOP, A, 500)], 900))).await;
    got.unwrap();
    assert_eq!(writes, 5 + 1);
    fixture.check_invariants();
    // A reader waits for one transaction, and sees all that is free.
    let (level, writes) = fixture.writes_of(read::one(&fixture.ports, &fixture.caller, SHOP, A)).await;
    let level = level.unwrap();
    assert_eq!((level.reserved, level.available), (QuantityInput::Whole(501), QuantityInput::Whole(4_499)));
    assert_eq!(writes, 1);
    // More than one request frees at once is got all the same.
    let (got, writes) = fixture.writes_of(fixture.reserve("most", &request(&[(SHOP, A, 4_000)], 900))).await;
    got.unwrap();
    assert!((35..45).contains(&writes), "{writes}");
    // What there is not is refused, once all has been freed.
    let refused = refusal(fixture.reserve("more", &request(&[(SHOP, A, 500)], 900)).await.unwrap_err());
    assert_eq!(refused.code, "insufficient_stock");
    fixture.sweep().await;
    assert_eq!(fixture.stock(SHOP, A).await.reserved, 4_501_000);
    fixture.check_invariants();
    fixture.relay(|_| true).await;
    let proof = conservation::prove(&fixture.ports, &fixture.caller, SHOP, A).await.unwrap();
    assert!(proof.holds && proof.seq_reached == proof.seq_current, "{proof:?}");
}

#[tokio::test]
async fn the_schedule_frees_thousands_in_few_transactions() {
    let fixture = Fixture::new(2).await;
    fixture.count(SHOP, A, 5_000).await;
    fixture.holds(5_000).await;
    fixture.pass(60);
    let (swept, writes) = fixture.writes_of(fixture.sweep()).await;
    assert_eq!(swept, Swept { items: 1, failed: 0 });
    let stock = fixture.stock(SHOP, A).await;
    assert_eq!((stock.reserved, stock.earliest_expiry), (0, None));
    // 51 groups, some cut by pages, and the earliest expiry.
    assert!((52..=58).contains(&writes), "{writes}");
    fixture.check_invariants();
}

/// Of a group some were extended, released or lost their answer meanwhile: those that are over are freed all the same,
/// and no other.
#[tokio::test]
async fn a_group_is_freed_but_for_those_that_are_not_over() {
    for lost in [false, true] {
        let fixture = Fixture::new(3).await;
        fixture.count(SHOP, A, 40).await;
        let mut ids = Vec::new();
        for n in 0..20 {
            ids.push(fixture.hold(&format!("k-{n}"), 1, 60).await);
        }
        let ahead = fixture.environment.now() + std::time::Duration::from_secs(60);
        let (extended, released) = (ids[7].clone(), ids[9].clone());
        fixture.meanwhile(|ports, caller| async move {
            let longer = ExtendRequest { ttl_seconds: 600 };
            reservations::extend(&ports, &caller, "x", &extended, &longer).await.unwrap();
            reservations::release(&ports, &caller, "r", &released).await.unwrap();
        });
        let begun = fixture.faulty.writes.load(Ordering::SeqCst);
        fixture.inject(move |n| if lost && n == begun + 1 { Fault::LostAfter } else { Fault::None });
        assert!(expiry::free_expired(&fixture.ports, fixture.scope(), SHOP, A, ahead).await.unwrap());
        assert_eq!(fixture.stock(SHOP, A).await.reserved, 1_000, "lost: {lost}");
        fixture.check_invariants();
    }
}

/// Where less is reserved than lines say, as much is freed as is reserved, and nobody tries for ever.
#[tokio::test]
async fn holds_that_are_more_than_is_reserved_keep_nobody_from_the_rest() {
    let fixture = Fixture::new(4).await;
    fixture.count(SHOP, A, 300).await;
    fixture.holds(250).await;
    let tamper = Write::Update {
        table: Table::Stock,
        key: fixture.scope().stock(SHOP, A),
        changes: vec![Change::Add("reserved", -130_000), Change::Add("available", 130_000)],
        condition: None,
    };
    fixture.memory.write(tamper).await.unwrap();
    fixture.pass(60);
    let (freed, writes) = fixture
        .writes_of(expiry::free_enough(
            &fixture.ports,
            fixture.scope(),
            (SHOP, A),
            500_000,
            &mut HoldReads::default(),
            fixture.environment.now(),
        ))
        .await;
    // 99, then 21 of the next 99, of which all fail first; and of the last nothing is left to be freed.
    assert_eq!(freed.unwrap(), FreedHolds { any: true, left: false });
    assert_eq!(fixture.stock(SHOP, A).await.reserved, 0);
    assert!(writes <= 5, "{writes}");
    let refused = refusal(fixture.reserve("k", &request(&[(SHOP, A, 301)], 900)).await.unwrap_err());
    assert_eq!(refused.code, "insufficient_stock");
    fixture.reserve("k", &request(&[(SHOP, A, 300)], 900)).await.unwrap();
}
