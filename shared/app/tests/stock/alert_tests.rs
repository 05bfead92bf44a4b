use std::ops::Deref;
use std::sync::Arc;

use jiff::Timestamp;
use tillstream_app::capacity::Operation;
use tillstream_app::database::{Consistency, Database, Get, Table};
use tillstream_app::environment::Environment;
use tillstream_app::stock::alerts::{self, Hint, StoredAlert};
use tillstream_app::stock::counters::{StockTarget, stock_set};
use tillstream_app::stock::ledger_gaps::walk_ledger_gaps;
use tillstream_app::stock::split::split;
use tillstream_app::stock::{stock_facts, update};
use tillstream_app::tenancy::Role;
use tillstream_contracts::inventory::{StockUpdateKind, StockUpdateRequest};
use tillstream_contracts::replenishment::{StockAlert, StockAlertLevel, StockAlertQuery, StockAlertState};
use tillstream_domain::quantity::QuantityInput;
use tillstream_domain::stock_alert::StockLow;
use tillstream_testkit::faults::{Fault, FaultyDatabase};

use crate::fixture::{SKUS, caller, named, request};
use crate::streamed::{Change, Streamed};

const HERE: &str = "s-leeds";
const A: &str = SKUS[0];

struct World(Streamed);

impl Deref for World {
    type Target = Streamed;
    fn deref(&self) -> &Streamed {
        &self.0
    }
}

fn target(on_hand: Option<i64>, reorder_point: Option<i64>) -> StockTarget {
    let thousandths = |pieces: i64| pieces * 1_000;
    StockTarget {
        on_hand: on_hand.map(thousandths),
        reorder_point: reorder_point.map(thousandths),
        ..StockTarget::default()
    }
}

impl World {
    /// A stock item of so many pieces with a reorder point of five, its making relayed.
    async fn of(seed: u64, on_hand: i64) -> Self {
        let world = World(Streamed::new(seed).await);
        world.stocked(HERE, A, target(Some(on_hand), Some(5))).await;
        world.relay_all().await;
        world
    }

    /// Sets the stock item as a feed does.
    async fn set(&self, target: StockTarget) {
        let seen = self.stock(HERE, A).await;
        let movement = self.movement();
        let (write, _) = stock_set(self.scope(), HERE, A, Some(&seen), target, &movement, Vec::new());
        self.memory.write(write).await.unwrap();
    }

    /// Moves so many pieces, and the stream tells.
    async fn moves(&self, pieces: i64) {
        self.deliver(HERE, A, pieces).await.unwrap();
        self.relay_all().await;
    }

    async fn stored(&self) -> Option<StoredAlert> {
        let get = Get {
            table: Table::Stock,
            key: self.scope().stock_alert(HERE, A),
            consistency: Consistency::Strong,
        };
        self.memory.get(get).await.unwrap().as_ref().map(|item| StoredAlert::of(item).unwrap())
    }

    async fn list(&self, state: StockAlertState) -> Vec<StockAlert> {
        let query =
            StockAlertQuery { location_id: HERE.into(), state: Some(state), limit: None, cursor: None };
        alerts::list(&self.ports, &self.caller, &query).await.unwrap().items
    }

    /// How it was told, in order.
    fn statuses(&self) -> Vec<String> {
        self.told("_alert:").into_iter().map(|(_, _, status)| status).collect()
    }

    /// What an alert says is how its stock stands, and what it says it told is what is to be told, numbered.
    async fn check(&self) {
        let stock = self.stock(HERE, A).await;
        let level = StockLow::of(stock.available, stock.reorder_point);
        let stored = self.stored().await;
        assert_eq!(stored.as_ref().map_or(StockLow::No, |alert| alert.level), level, "{stored:?} {stock:?}");
        let items = self.memory.items(Table::Stock);
        let facts = items.iter().filter(|item| item.opt_text("pk").unwrap().contains("#stock-fact#_alert:"));
        let numbers: Vec<i64> = facts.map(|item| item.number("fact_version").unwrap()).collect();
        let told = stored.map_or(0, |alert| i64::from(alert.told));
        assert_eq!(numbers, (1..=told).collect::<Vec<_>>());
    }
}

#[tokio::test]
async fn each_crossing_is_told_once_and_again_only_after_it_was_above() {
    let world = World::of(1, 10).await;
    let told = async |pieces: i64, expected: &[&str]| {
        world.moves(pieces).await;
        world.check().await;
        assert_eq!(world.statuses(), expected, "after {pieces}");
    };
    told(-4, &[]).await;
    told(-1, &["low"]).await;
    told(-1, &["low"]).await;
    told(-4, &["low", "out"]).await;
    told(1, &["low", "out"]).await;
    told(-1, &["low", "out", "out"]).await;
    let raised_at = world.stored().await.unwrap().raised_at;
    let open = world.list(StockAlertState::Open).await;
    assert_eq!(open.len(), 1);
    assert_eq!((open[0].level, &open[0].available), (StockAlertLevel::Out, &QuantityInput::Whole(0)));
    assert_eq!(&open[0].reorder_point, &QuantityInput::Whole(5));
    world.pass(60);
    told(30, &["low", "out", "out"]).await;
    assert!(world.list(StockAlertState::Open).await.is_empty());
    let closed = world.list(StockAlertState::Closed).await;
    assert_eq!((closed[0].level, &closed[0].sku), (StockAlertLevel::Ok, &A.to_owned()));
    assert_eq!(closed[0].raised_at.as_millisecond(), raised_at);
    // From plenty to nothing at once is told as what it is.
    told(-30, &["low", "out", "out", "out"]).await;
    // What is held is not available either.
    told(20, &["low", "out", "out", "out"]).await;
    world.reserve("v", &request(&[(HERE, A, 16)], 60)).await.unwrap();
    world.relay_all().await;
    assert_eq!(world.statuses().last().unwrap(), "low");
    assert_eq!(world.statuses().len(), 5);
    world.check().await;

    // All of the stream once more, forwards and backwards, says nothing new.
    let before = (world.memory.items(Table::Stock), world.statuses());
    let all = world.all_changes();
    world.hand_over(&all).await;
    for change in all.iter().rev() {
        world.hand_over(std::slice::from_ref(change)).await;
    }
    assert_eq!((world.memory.items(Table::Stock), world.statuses()), before);
}

#[tokio::test]
async fn late_and_reordered_records_leave_what_is_true() {
    // What is available after each change, from ten; the records come in every order.
    for (steps, told) in [([-6, 5, -6], 1), ([-6, 5, 3], 0), ([-10, 4, -3], 1), ([-6, -4, 20], 0)] {
        for order in [[0, 1, 2], [0, 2, 1], [1, 0, 2], [1, 2, 0], [2, 0, 1], [2, 1, 0]] {
            let world = World::of(2, 10).await;
            for pieces in steps {
                world.deliver(HERE, A, pieces).await.unwrap();
            }
            let changes = world.changes();
            assert_eq!(changes.len(), 3);
            for at in order {
                let twice: [Change; 2] = [changes[at].clone(), changes[at].clone()];
                world.hand_over(&twice).await;
            }
            world.relay_all().await;
            world.check().await;
            assert_eq!(world.statuses().len(), told, "{steps:?} {order:?}");
        }
    }
}

/// One that read the stock while it was low writes after it was not, and after another found nothing to write.
#[tokio::test]
async fn who_writes_late_looks_again() {
    let world = World::of(3, 10).await;
    world.deliver(HERE, A, -6).await.unwrap();
    world.fixture.meanwhile(|ports, caller| async move {
        let delivery = StockUpdateRequest {
            location_id: HERE.into(),
            sku: A.into(),
            kind: StockUpdateKind::Delta,
            quantity: QuantityInput::Whole(20),
            reason: "delivery".into(),
            expected_version: None,
            lot: None,
            expires_on: None,
        };
        update::update(&ports, &caller, "d", &delivery, |_| Ok(())).await.unwrap();
        let now = ports.environment.now();
        let raised = alerts::settle(&ports, &caller.scope, (HERE, A), Hint::Crossed, now).await.unwrap();
        assert!(!raised, "there is plenty");
    });
    let now = world.environment.now();
    let raised = alerts::settle(&world.ports, world.scope(), (HERE, A), Hint::Crossed, now).await.unwrap();
    assert!(raised, "it was low when it was looked at");
    world.check().await;
    assert_eq!(world.stored().await.unwrap().level, StockLow::No);
}

#[tokio::test]
async fn of_sixteen_who_look_one_tells() {
    for seed in 0..8 {
        let world = World::of(10 + seed, 10).await;
        world.deliver(HERE, A, -6).await.unwrap();
        let mut tasks = Vec::new();
        for n in 0..16 {
            let fixture = world.fixture.clone();
            tasks.push(tokio::spawn(async move {
                for _ in 0..n % 5 {
                    tokio::task::yield_now().await;
                }
                let now = fixture.environment.now();
                alerts::settle(&fixture.ports, fixture.scope(), (HERE, A), Hint::Crossed, now).await
            }));
        }
        let mut raised = 0;
        for task in tasks {
            raised += usize::from(task.await.unwrap().unwrap());
        }
        // Those that wrote the same at the same moment are one to DynamoDB (its client request token), and are told
        // the same.
        assert!(raised >= 1);
        assert_eq!(world.stored().await.unwrap().version, 1);
        world.relay_all().await;
        world.check().await;
        assert_eq!(world.statuses(), ["low"]);
    }
}

#[tokio::test]
async fn stock_that_moves_while_many_look_ends_as_it_is() {
    for seed in 0..12 {
        let world = World::of(40 + seed, 8).await;
        let mut tasks = Vec::new();
        for n in 0..24_i64 {
            let fixture = world.fixture.clone();
            tasks.push(tokio::spawn(async move {
                let moved = if n % 2 == 0 { 4 } else { -4 };
                let delivery = StockUpdateRequest {
                    location_id: HERE.into(),
                    sku: A.into(),
                    kind: StockUpdateKind::Delta,
                    quantity: QuantityInput::Whole(moved),
                    reason: "delivery".into(),
                    expected_version: None,
                    lot: None,
                    expires_on: None,
                };
                let key = format!("d-{n}");
                let _ = update::update(&fixture.ports, &fixture.caller, &key, &delivery, |_| Ok(())).await;
                let now = fixture.environment.now();
                let _ = alerts::settle(&fixture.ports, fixture.scope(), (HERE, A), Hint::Crossed, now).await;
            }));
        }
        for task in tasks {
            task.await.unwrap();
        }
        world.relay_all().await;
        world.check().await;
        assert_eq!(world.statuses().len(), world.stored().await.map_or(0, |alert| alert.told as usize));
    }
}

#[tokio::test]
async fn what_begins_low_crossed_nothing() {
    let world = World::of(4, 3).await;
    assert_eq!((world.stored().await, world.statuses()), (None, vec![]));
    world.moves(-1).await;
    assert_eq!(world.statuses(), Vec::<String>::new(), "low before and after");
    world.moves(-2).await;
    assert_eq!(world.statuses(), ["out"], "but nothing is less than little");
    world.moves(9).await;
    world.moves(-5).await;
    assert_eq!(world.statuses(), ["out", "low"]);
    world.check().await;
}

#[tokio::test]
async fn who_sets_no_reorder_point_is_told_nothing() {
    let world = World::of(5, 10).await;
    world.set(target(None, Some(0))).await;
    world.moves(-10).await;
    assert_eq!((world.stored().await, world.statuses()), (None, vec![]));
    // One that is set above what is there is crossed by that.
    world.set(target(Some(4), None)).await;
    world.set(target(None, Some(6))).await;
    world.relay_all().await;
    assert_eq!(world.statuses(), ["low"]);
    world.check().await;
    world.set(target(None, Some(0))).await;
    world.relay_all().await;
    assert!(world.list(StockAlertState::Open).await.is_empty(), "nobody wants to hear of it any more");
    world.check().await;
}

#[tokio::test]
async fn what_the_stream_lost_the_keeper_tells() {
    let world = World::of(6, 10).await;
    world.deliver(HERE, A, -8).await.unwrap();
    world.lose();
    let walk = async || {
        walk_ledger_gaps(&world.ports, world.scope(), 100, Timestamp::MAX).await.unwrap().gaps_closed
    };
    assert_eq!(walk().await, 0, "its row may be on its way");
    assert_eq!(world.stored().await, None);
    world.pass(121);
    assert_eq!(walk().await, 1);
    world.check().await;
    assert_eq!(world.stored().await.unwrap().level, StockLow::Low);
    // That it is to be told was lost as well.
    world.lose();
    assert!(world.statuses().is_empty());
    world.pass(60);
    let now = world.environment.now();
    stock_facts::announce_due(&world.ports, &world.queue, now, 100, Timestamp::MAX).await.unwrap();
    assert_eq!(world.statuses(), ["low"]);
}

#[tokio::test]
async fn a_death_while_it_is_raised_leaves_it_to_the_next() {
    for fault in [Fault::DiesBefore, Fault::DiesAfter] {
        let world = World::of(7, 10).await;
        world.deliver(HERE, A, -6).await.unwrap();
        let changes = world.changes();
        let mortal = Arc::new(FaultyDatabase::new(world.memory.clone()));
        mortal.script(Operation::Transact, [Some(fault)]);
        let scope = world.scope().clone();
        let died = world
            .dying(mortal, |ports| async move {
                let now = ports.environment.now();
                alerts::settle(&ports, &scope, (HERE, A), Hint::Crossed, now).await.unwrap();
            })
            .await;
        assert!(died);
        // The record was not acknowledged.
        world.hand_over(&changes).await;
        world.relay_all().await;
        world.check().await;
        assert_eq!(world.statuses(), ["low"], "{fault:?}");
    }
}

/// A record whose alert could not be looked at comes again.
#[tokio::test]
async fn a_look_that_fails_fails_its_record() {
    let world = World::of(8, 10).await;
    world.deliver(HERE, A, -6).await.unwrap();
    let changes = world.changes();
    let (ports, database) = world.troubled();
    // The alert itself cannot be read, and its stock item can.
    database.fail_next(Operation::Get, Fault::Throttled);
    let images: Vec<_> = changes.iter().map(|(old, new)| (old.as_ref(), new.as_ref())).collect();
    let failures = tillstream_app::relay::handle(&ports, &world.stream, &world.queue, &images).await;
    assert_eq!(failures.into_keys().collect::<Vec<_>>(), [0]);
    world.hand_over(&changes).await;
    world.relay_all().await;
    assert_eq!(world.statuses(), ["low"]);
    world.check().await;
}

/// Parts cross nothing by themselves: what they have together does.
#[tokio::test]
async fn split_stock_is_low_where_all_of_it_is() {
    let world = World::of(9, 64).await;
    split(&world.ports, world.scope(), HERE, A, 8).await.unwrap();
    world.relay_all().await;
    let mut held = 0;
    let available = async || {
        let level = tillstream_app::stock::read::one(&world.ports, &world.caller, HERE, A).await.unwrap();
        match level.available {
            QuantityInput::Whole(pieces) => pieces,
            other => panic!("{other:?}"),
        }
    };
    while available().await > 0 {
        held += 1;
        world.reserve(&format!("v-{held}"), &request(&[(HERE, A, 1)], 600)).await.unwrap();
        world.relay_all().await;
        let expected: &[&str] = match available().await {
            6.. => &[],
            1..=5 => &["low"],
            _ => &["low", "out"],
        };
        assert_eq!(world.statuses(), expected, "{held} held");
    }
    assert_eq!(held, 64);
}

#[tokio::test]
async fn alerts_are_seen_by_who_reaches_their_location() {
    let world = World::of(11, 6).await;
    world.moves(-1).await;
    let query = |location_id: &str| StockAlertQuery {
        location_id: location_id.into(),
        state: None,
        limit: None,
        cursor: None,
    };
    let far = caller("demo", Role::StoreManager, named(&["s-york"]));
    let refused = alerts::list(&world.ports, &far, &query(HERE)).await.unwrap_err();
    assert_eq!(refused.code(), Some("store_out_of_reach"));
    let refused = alerts::list(&world.ports, &world.caller, &query("s/1")).await.unwrap_err();
    assert_eq!(refused.code(), Some("location_id_malformed"));
    let many = StockAlertQuery { limit: Some(201), ..query(HERE) };
    let refused = alerts::list(&world.ports, &world.caller, &many).await.unwrap_err();
    assert_eq!(refused.code(), Some("limit_out_of_range"));
    let other = StockAlertQuery { cursor: Some("abc".into()), ..query(HERE) };
    let refused = alerts::list(&world.ports, &world.caller, &other).await.unwrap_err();
    assert_eq!(refused.code(), Some("cursor_malformed"));
    assert_eq!(alerts::list(&world.ports, &world.caller, &query(HERE)).await.unwrap().items.len(), 1);
    assert!(alerts::list(&world.ports, &world.caller, &query("s-york")).await.unwrap().items.is_empty());
}
