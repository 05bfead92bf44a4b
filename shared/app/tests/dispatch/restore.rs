//! After a restore of the orders from a backup no number is given out twice, figures keep what they had and get
//! what is new, HQ is told of each order once, and what was lost is told.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use jiff::Timestamp;
use serde_json::{Value, json};
use tillstream_app::Error;
use tillstream_app::aggregation::completeness;
use tillstream_app::aggregation::event::parse_event;
use tillstream_app::aggregation::fold::fold_batch;
use tillstream_app::analytics::consistency_token;
use tillstream_app::analytics::dashboard::dashboard;
use tillstream_app::capacity::Operation;
use tillstream_app::database::{Consistency, Database, Get, Item, Key, Table, Write};
use tillstream_app::dispatch::dispatcher::{Dispatcher, Fate, Policy, Received};
use tillstream_app::dispatch::signature::SigningSecret;
use tillstream_app::environment::Environment;
use tillstream_app::keeper::{self, lanes};
use tillstream_app::orders::read;
use tillstream_app::pos::till::proof;
use tillstream_app::relay::handle;
use tillstream_app::restore::{compare, raise_epochs};
use tillstream_app::tenancy::Role;
use tillstream_contracts::analytics::{DashboardQuery, LaneMark};
use tillstream_contracts::restore::{LaneDifference, RaisedEpochs, RestoreRequest};
use tillstream_contracts::till::ReceiptRangeView;
use tillstream_testkit::faults::{Fault, FaultyDatabase};
use tillstream_testkit::hq_stand_in::HqStandIn;
use tillstream_testkit::memory_database::MemoryDatabase;
use tillstream_testkit::memory_messaging::{MemoryQueue, MemoryStream};
use tillstream_testkit::shop::{STORE, Shop, caller};
use tillstream_testkit::test_environment::TestEnvironment;

/// The lanes of the shop: four registers and four lanes of the web.
const LANES: usize = 8;

struct World {
    shop: Shop,
    memory: Arc<MemoryDatabase>,
    environment: Arc<TestEnvironment>,
    stream: MemoryStream,
    queue: Arc<MemoryQueue>,
    hq: Arc<HqStandIn>,
    dispatcher: Dispatcher,
    /// Up to which change of the orders the relay has come.
    relayed: AtomicU64,
    /// Every number that was printed, with its order.
    printed: Mutex<BTreeMap<String, String>>,
}

impl World {
    async fn new() -> World {
        let environment = Arc::new(TestEnvironment::new(7));
        let memory = Arc::new(MemoryDatabase::with_environment(environment.clone()));
        let shop = Shop::open(memory.clone(), environment.clone()).await.unwrap();
        shop.product(STORE, "A", "1.00", 10_000).await.unwrap();
        let secret = SigningSecret::parse("a secret between tillstream and hq").unwrap();
        let hq = Arc::new(HqStandIn::new(secret.clone(), environment.clone()));
        let queue = Arc::new(MemoryQueue::new(environment.clone()));
        let dispatcher = Dispatcher {
            ports: shop.ports.clone(),
            queue: queue.clone(),
            transport: hq.clone(),
            secret,
            policy: Policy::default(),
        };
        let stream = MemoryStream::new(1, environment.clone());
        let (relayed, printed) = (AtomicU64::new(0), Mutex::default());
        World { shop, memory, environment, stream, queue, hq, dispatcher, relayed, printed }
    }

    /// Makes a cart final that is ready, and looks that its number was never printed.
    async fn finalize(&self, register: &str, cart: &str) -> String {
        let done = self.shop.finalize(register, cart).await.unwrap();
        let token = done.reply.consistency_token.unwrap();
        let twin = self.printed.lock().unwrap().insert(token.clone(), cart.to_owned());
        assert_eq!(twin, None, "{token} was printed for two orders, {cart} is the second");
        token
    }

    async fn sell(&self, register: &str, cart: &str) -> String {
        self.shop.ready(register, cart, &[("A", 1)]).await.unwrap();
        self.finalize(register, cart).await
    }

    /// Relays and folds what changed, and tells HQ.
    async fn relay(&self) {
        let changes = self.memory.changes(Table::Orders, self.relayed.load(Ordering::SeqCst));
        let images: Vec<_> =
            changes.iter().map(|change| (change.old.as_ref(), change.new.as_ref())).collect();
        let failures = handle(&self.shop.ports, &self.stream, self.queue.as_ref(), &images).await;
        assert!(failures.is_empty(), "{failures:?}");
        self.lose_changes();
        self.settle().await;
    }

    /// What changed until now is never relayed.
    fn lose_changes(&self) {
        self.relayed.store(self.memory.last_change(Table::Orders), Ordering::SeqCst);
    }

    /// What is on the stream comes into the figures, and what is in the queue to HQ.
    async fn settle(&self) {
        let events = self.stream.all().iter().map(|record| parse_event(&record.data).unwrap()).collect();
        assert!(fold_batch(&self.shop.ports, events).await.is_empty());
        loop {
            let batch = self.queue.receive(10).into_iter();
            let batch: Vec<Received> =
                batch.map(|m| Received { group: m.group, receipt: m.receipt, body: m.body }).collect();
            if batch.is_empty() {
                return;
            }
            let fates = self.dispatcher.handle_batch(&batch).await;
            for (message, fate) in batch.iter().zip(fates) {
                assert!(!matches!(fate, Fate::Again(_)), "{message:?}");
                self.queue.delete(&message.receipt);
            }
        }
    }

    fn backup(&self) -> Vec<Item> {
        self.memory.items(Table::Orders)
    }

    /// The orders table becomes what it was at the backup. Its stream tells nobody.
    async fn restore(&self, backup: &[Item]) {
        let key = |item: &Item| Key::of(item).unwrap();
        let kept: BTreeSet<Key> = backup.iter().map(key).collect();
        for item in self.memory.items(Table::Orders) {
            let key = key(&item);
            if !kept.contains(&key) {
                let delete = Write::Delete { table: Table::Orders, key, condition: None };
                self.memory.write(delete).await.unwrap();
            }
        }
        self.memory.put_many(Table::Orders, backup.to_vec()).await.unwrap();
        self.lose_changes();
    }

    async fn raise(&self, id: &str) -> RaisedEpochs {
        raise_epochs(&self.shop.ports, &self.shop.scope, &request(id), Timestamp::MAX).await.unwrap()
    }

    async fn lane(&self, register: &str) -> Item {
        let key = self.shop.scope.lane(STORE, register);
        let get = Get { table: Table::Orders, key, consistency: Consistency::Strong };
        self.memory.get(get).await.unwrap().unwrap()
    }

    /// The lanes' items, by register.
    fn lanes(&self) -> BTreeMap<String, Item> {
        let all = self.memory.items(Table::Orders).into_iter();
        let lanes = all.filter(|item| item.text("sk").unwrap() == "lane");
        lanes.map(|item| (item.text("register_id").unwrap().to_owned(), item)).collect()
    }

    /// One check of the keeper, a minute later.
    async fn check(&self) -> tillstream_app::Result<usize> {
        self.environment.advance(Duration::from_secs(60));
        let Shop { ports, scope } = &self.shop;
        let store = keeper::locations(ports, scope).await.unwrap().remove(0);
        let now = self.environment.now();
        lanes::check(ports, &self.stream, self.queue.as_ref(), scope, &store, now).await
    }

    /// Checks until nothing is missing; answers how much was sent again.
    async fn mend(&self) -> usize {
        let mut sent = 0;
        for _ in 0..4 {
            sent += self.check().await.unwrap();
            self.settle().await;
        }
        sent
    }

    async fn marks(&self) -> BTreeMap<String, LaneMark> {
        let query = DashboardQuery { store_id: Some(STORE.into()), date: Some("2010-12-01".into()) };
        let who = caller("demo", &[Role::Analyst]);
        dashboard(&self.shop.ports, &who, &query, None).await.unwrap().reply.watermark.lanes
    }

    /// Every number that was printed is in the figures, but for those of these orders.
    async fn assert_counted_but(&self, without: &[&str]) {
        let record = completeness::read(&self.shop.ports, &self.shop.scope, STORE).await.unwrap().content;
        let printed = self.printed.lock().unwrap();
        for (token, order) in printed.iter() {
            let counted = record.contains(&token.parse().unwrap());
            assert_eq!(counted, !without.contains(&order.as_str()), "{token} of {order}");
        }
        let counted: u64 = record.folded.lanes().map(|(_, _, numbers)| numbers.len()).sum();
        assert_eq!(counted, u64::try_from(printed.len() - without.len()).unwrap(), "and no other");
    }

    fn assert_told_once(&self, orders: usize) {
        let told = self.hq.accepted();
        for order in &told {
            assert_eq!(
                (order.accepted, order.versions.as_slice()),
                (1, [1].as_slice()),
                "{}",
                order.order_id
            );
        }
        assert_eq!(told.len(), orders);
    }
}

fn request(id: &str) -> RestoreRequest {
    RestoreRequest { id: id.to_owned(), tenants: None, least_epoch: None }
}

/// What makes a lane of two.
fn epoch_of(lane: &Item) -> (i64, i64) {
    (lane.number("epoch").unwrap(), lane.number("last").unwrap())
}

#[tokio::test]
async fn no_number_is_printed_twice_and_what_was_lost_is_told() {
    let world = World::new().await;
    for cart in ["a-1", "a-2", "a-3"] {
        world.sell("r-1", cart).await;
    }
    world.sell("r-2", "b-1").await;
    world.relay().await;
    // Restored, but never relayed.
    world.sell("r-1", "a-4").await;
    world.lose_changes();
    let backup = world.backup();

    world.sell("r-1", "a-5").await;
    world.sell("r-1", "a-6").await;
    world.sell("r-2", "b-2").await;
    world.sell("r-3", "c-1").await;
    world.relay().await;
    // Printed, and lost without a trace: it was neither relayed nor is it in the backup.
    world.sell("r-2", "b-3").await;
    world.restore(&backup).await;

    let raised = world.raise("restore-1").await;
    assert_eq!((raised.epoch, raised.lanes, raised.raised, raised.finished), (1, LANES, LANES, true));
    assert!(raised.below.is_empty());
    for lane in world.lanes().values() {
        assert_eq!(epoch_of(lane), (1, 0));
        assert_eq!(lane.text("restore_id").unwrap(), "restore-1");
    }
    for (register, cart) in [("r-1", "d-1"), ("r-1", "d-2"), ("r-2", "d-3"), ("r-3", "d-4"), ("r-4", "d-5")] {
        world.sell(register, cart).await;
    }
    world.relay().await;

    // What is missing of the old epoch is told, and sent again.
    let mark =
        |through, gaps: &[(u64, u64)], unaccounted| LaneMark { through, gaps: gaps.to_vec(), unaccounted };
    assert_eq!(world.marks().await["s-1/r-1"], mark(3, &[(4, 4)], Some((5, 6))));
    assert_eq!(world.mend().await, 1, "a-4, and nothing else");
    world.assert_counted_but(&["b-3"]).await;
    world.assert_told_once(4 + 1 + 4 + 5);

    let marks = world.marks().await;
    assert_eq!(marks["s-1/r-1"], mark(6, &[], Some((5, 6))));
    assert_eq!(marks["s-1/r-2"], mark(2, &[], Some((2, 2))));
    assert_eq!(marks["s-1/r-3"], mark(1, &[], Some((1, 1))));
    assert_eq!(marks["s-1/r-1~1"], mark(2, &[], None));
    assert_eq!(marks["s-1/r-4~1"], mark(1, &[], None));

    let compared = compare(&world.shop.ports, &world.shop.scope).await.unwrap();
    let beyond = |register: &str, last, from, to| LaneDifference {
        lane: format!("s-1/{register}"),
        last,
        figures_beyond: vec![(from, to)],
        told_beyond: vec![(from, to)],
        ..LaneDifference::default()
    };
    let expected = [beyond("r-1", 4, 5, 6), beyond("r-2", 1, 2, 2), beyond("r-3", 0, 1, 1)];
    assert_eq!((compared.differences, compared.left_out, compared.lanes), (expected.into(), 0, 2 * LANES));
}

#[tokio::test]
async fn numbers_of_a_later_epoch_name_it_wherever_they_are_told() {
    let world = World::new().await;
    world.sell("r-1", "old").await;
    world.relay().await;
    world.raise("restore-1").await;
    world.shop.ready("r-1", "new", &[("A", 1)]).await.unwrap();
    let done = world.shop.finalize("r-1", "new").await.unwrap().reply;
    assert_eq!((done.result.receipt_number, done.result.receipt_epoch), (Some(1), Some(1)));
    let token = done.consistency_token.unwrap();
    assert_eq!(token, "s-1/r-1~1:1");
    world.relay().await;

    let who = caller("demo", &[Role::Operator]);
    let epochs = ["old", "new"].map(|order| {
        let (world, who) = (&world, &who);
        async move {
            let order = read::get(&world.shop.ports, who, order).await.unwrap();
            (order.receipt_number, order.receipt_epoch, order.lane)
        }
    });
    let [old, new] = epochs;
    assert_eq!(old.await, (1, None, "s-1/r-1".to_owned()));
    assert_eq!(new.await, (1, Some(1), "s-1/r-1~1".to_owned()));
    let told = world.hq.accepted();
    let of = |order: &str| told.iter().find(|told| told.order_id == order).unwrap().last.clone().unwrap();
    assert_eq!((of("old").receipt_epoch, of("old").lane.as_str()), (None, "s-1/r-1"));
    assert_eq!((of("new").receipt_epoch, of("new").lane.as_str()), (Some(1), "s-1/r-1~1"));
    let message = serde_json::to_value(of("old")).unwrap();
    assert!(message.get("receipt_epoch").is_none(), "messages of before read as they did");

    // Read your writes: the token of the new epoch is not answered by the number of the old one.
    let query = DashboardQuery { store_id: Some(STORE.into()), date: Some("2010-12-01".into()) };
    for (token, satisfied) in [(token.as_str(), true), ("s-1/r-1:1", true), ("s-1/r-1~1:2", false)] {
        let number = consistency_token(token).unwrap();
        let answer = dashboard(&world.shop.ports, &who, &query, Some(&number)).await.unwrap();
        assert_eq!(answer.satisfied, Some(satisfied), "{token}");
        assert_eq!(number.to_string(), token);
    }
}

/// A shift that a restore falls into closes with what it sold before and after, and its proof has both.
#[tokio::test]
async fn an_open_shift_goes_on_over_a_restore() {
    let world = World::new().await;
    let gbp = |amount: i64| json!({"amount": amount, "currency": "GBP"});
    let till = async |key: &str, action: &str, payload: Value| {
        *world.shop.command(key, action, payload).await.unwrap().reply.result.shift.unwrap()
    };
    // A shift before it, so that Z numbers begin anew too.
    till("o-0", "open_till", json!({"shift_id": "sh-0", "amount": gbp(0)})).await;
    world.sell("r-1", "zero").await;
    till("z-0", "close_till", json!({"shift_id": "sh-0", "counted": gbp(0)})).await;

    till("o-1", "open_till", json!({"shift_id": "sh-1", "amount": gbp(500)})).await;
    world.sell("r-1", "a-1").await;
    world.sell("r-1", "a-2").await;
    let backup = world.backup();
    world.sell("r-1", "lost").await;
    till("z-1", "close_till", json!({"shift_id": "sh-1", "counted": gbp(500)})).await;
    world.relay().await;
    world.restore(&backup).await;
    world.raise("restore-1").await;

    world.sell("r-1", "a-3").await;
    let closed = till("z-2", "close_till", json!({"shift_id": "sh-1", "counted": gbp(500)})).await;
    assert_eq!((closed.z_number, closed.z_epoch), (Some(1), Some(1)));
    let report = closed.report.unwrap();
    let range = |epoch, first, last| ReceiptRangeView { epoch, first, last };
    assert_eq!(report.receipts, [range(0, 2, 3), range(1, 1, 1)]);
    assert_eq!((report.first_receipt, report.sales_count, report.sales_total.amount), (None, 3, 300));
    let proof = proof::of_shift(&world.shop.ports, &caller("demo", &[Role::Operator]), "sh-1").await.unwrap();
    assert!(proof.proved, "{proof:?}");
    assert_eq!((proof.orders, proof.receipts, proof.missing), (3, report.receipts, vec![]));

    // The next one is of the new epoch alone.
    till("o-3", "open_till", json!({"shift_id": "sh-2", "amount": gbp(0)})).await;
    world.sell("r-1", "a-4").await;
    let next = till("z-3", "close_till", json!({"shift_id": "sh-2", "counted": gbp(0)})).await;
    let report = next.report.unwrap();
    assert_eq!((next.z_number, report.first_receipt, report.last_receipt), (Some(2), Some(2), Some(2)));
    assert_eq!(report.receipts, [range(1, 2, 2)]);

    // Each is told once: of the second HQ heard before the restore.
    world.relay().await;
    let told = || world.hq.accepted_shifts().into_iter().map(|told| told.shift.id).collect::<Vec<_>>();
    assert_eq!(told(), ["sh-0", "sh-1", "sh-2"]);
    assert_eq!(world.mend().await, 0, "nothing is looked for in vain");
    assert_eq!(told().len(), 3);
    let compared = compare(&world.shop.ports, &world.shop.scope).await.unwrap();
    let [lost] = compared.differences.as_slice() else { panic!("{compared:?}") };
    assert_eq!(
        (lost.lane.as_str(), lost.last, lost.figures_beyond.as_slice()),
        ("s-1/r-1", 3, [(4, 4)].as_slice())
    );
}

/// A cart that was final, and is open again after the restore, may be made final once more: HQ has it already.
#[tokio::test]
async fn a_cart_that_is_sold_again_is_told_once() {
    let world = World::new().await;
    world.shop.ready("r-1", "twice", &[("A", 1)]).await.unwrap();
    let backup = world.backup();
    world.finalize("r-1", "twice").await;
    world.relay().await;
    world.restore(&backup).await;
    world.raise("restore-1").await;
    assert_eq!(world.finalize("r-1", "twice").await, "s-1/r-1~1:1");
    world.relay().await;
    world.assert_told_once(1);
    assert_eq!(world.mend().await, 0, "its delivery goes by the number that stands");
    let compared = compare(&world.shop.ports, &world.shop.scope).await.unwrap();
    // That the figures have it twice is what has to be mended by hand: it is told.
    let [lost] = compared.differences.as_slice() else { panic!("{compared:?}") };
    assert_eq!((lost.last, lost.figures_beyond.as_slice()), (0, [(1, 1)].as_slice()));
}

#[tokio::test]
async fn a_restore_without_raised_epochs_is_an_alarm() {
    let world = World::new().await;
    world.sell("r-1", "a-1").await;
    let backup = world.backup();
    world.sell("r-1", "a-2").await;
    world.relay().await;
    assert_eq!(world.check().await.unwrap(), 0);
    world.restore(&backup).await;
    let error = world.check().await.unwrap_err();
    assert!(
        matches!(&error, Error::Bug(what) if what.contains("lane s-1/r-1 stands below number 2")),
        "{error}"
    );
    world.raise("restore-1").await;
    assert_eq!(world.check().await.unwrap(), 0);
}

#[tokio::test]
async fn a_restore_is_done_once_and_each_restore_raises_anew() {
    let world = World::new().await;
    world.sell("r-1", "a-1").await;
    let backup = world.backup();
    world.relay().await;
    assert_eq!(world.raise("restore-1").await.raised, LANES);
    world.sell("r-1", "a-2").await;
    world.relay().await;
    let before = world.lanes();
    let again = world.raise("restore-1").await;
    assert_eq!((again.epoch, again.raised, again.below.len()), (1, 0, 0));
    assert_eq!(world.lanes(), before);

    // The same backup once more: lanes are of epoch 0 again, and numbers of epoch 1 were printed.
    world.restore(&backup).await;
    let same = world.raise("restore-1").await;
    assert_eq!((same.epoch, same.raised, same.below.len()), (1, 0, LANES), "an id of before raises nothing");
    assert_eq!(world.raise("restore-2").await.epoch, 2);
    assert_eq!(world.sell("r-1", "a-3").await, "s-1/r-1~2:1");
    assert_eq!(world.sell("r-1", "a-4").await, "s-1/r-1~2:2");
    world.raise("restore-3").await;
    assert_eq!(world.sell("r-1", "a-5").await, "s-1/r-1~3:1");
    let lane = world.lane("r-1").await;
    let earlier: Value = lane.json("earlier_epochs").unwrap();
    let ended = |epoch: u32, last: u64| json!({"epoch": epoch, "last": last, "z_number": 0});
    assert_eq!(earlier, json!([ended(0, 1), ended(2, 2)]));
}

/// Also where the catalogue was restored, so that no restore is known: figures and deliveries tell what epochs
/// there were, and a person may.
#[tokio::test]
async fn an_epoch_that_anybody_knows_of_is_never_taken_again() {
    for (known_by, epoch) in [("figures", 2), ("hq", 2), ("paper", 7)] {
        let world = World::new().await;
        let (orders, catalogue) = (world.backup(), world.memory.items(Table::Catalog));
        world.raise("restore-1").await;
        world.sell("r-1", "a-1").await;
        world.relay().await;
        world.restore(&orders).await;
        for item in world.memory.items(Table::Catalog) {
            let key = Key::of(&item).unwrap();
            world.memory.write(Write::Delete { table: Table::Catalog, key, condition: None }).await.unwrap();
        }
        world.memory.put_many(Table::Catalog, catalogue).await.unwrap();
        for table in match known_by {
            "figures" => &[Table::Dispatch][..],
            "hq" => &[Table::Analytics],
            _ => &[Table::Dispatch, Table::Analytics],
        } {
            for item in world.memory.items(*table) {
                let (table, key) = (*table, Key::of(&item).unwrap());
                world.memory.write(Write::Delete { table, key, condition: None }).await.unwrap();
            }
        }
        let least_epoch = (known_by == "paper").then_some(7);
        let asked = RestoreRequest { least_epoch, ..request("restore-2") };
        let Shop { ports, scope } = &world.shop;
        let raised = raise_epochs(ports, scope, &asked, Timestamp::MAX).await.unwrap();
        assert_eq!(raised.epoch, epoch, "{known_by}");
    }
}

#[tokio::test]
async fn twenty_at_once_raise_once() {
    let world = World::new().await;
    world.sell("r-1", "a-1").await;
    let runs: Vec<_> = (0..20)
        .map(|_| {
            let shop = world.shop.clone();
            tokio::spawn(async move {
                raise_epochs(&shop.ports, &shop.scope, &request("restore-1"), Timestamp::MAX).await.unwrap()
            })
        })
        .collect();
    let mut raised = 0;
    for run in runs {
        let run = run.await.unwrap();
        assert_eq!((run.epoch, run.finished), (1, true));
        raised += run.raised;
    }
    assert_eq!(raised, LANES);
    assert_eq!(world.sell("r-1", "a-2").await, "s-1/r-1~1:1");
}

/// Whatever call of the run fails, or is the last before it dies: repeated, every lane is raised once.
#[tokio::test]
async fn a_run_that_is_cut_off_is_finished_by_the_next() {
    let mut cut_off = 0;
    for operation in [Operation::Get, Operation::GetMany, Operation::Query, Operation::Write] {
        for fault in
            [Fault::Throttled, Fault::TimedOutBefore, Fault::AnswerLost, Fault::DiesBefore, Fault::DiesAfter]
        {
            for call in 0.. {
                let world = World::new().await;
                world.sell("r-1", "a-1").await;
                let (ports, faulty) =
                    FaultyDatabase::ports_over(world.memory.clone(), world.environment.clone());
                faulty.script(operation, std::iter::repeat_n(None, call).chain([Some(fault)]));
                let scope = world.shop.scope.clone();
                let run = tokio::spawn(async move {
                    raise_epochs(&ports, &scope, &request("restore-1"), Timestamp::MAX).await
                });
                // Nothing in memory waits for anything: after so many turns a run is over, or dead.
                for _ in 0..20_000 {
                    if run.is_finished() {
                        break;
                    }
                    tokio::task::yield_now().await;
                }
                run.abort();
                let _ = run.await;
                if faulty.injected().is_empty() {
                    break;
                }
                cut_off += 1;
                let label = format!("{fault:?} at {operation:?} {call}");
                let again = world.raise("restore-1").await;
                assert_eq!((again.epoch, again.finished), (1, true), "{label}");
                assert_eq!(world.lanes().len(), LANES, "{label}");
                for (register, lane) in world.lanes() {
                    let last = u64::from(register == "r-1");
                    let earlier: Value = lane.json("earlier_epochs").unwrap();
                    assert_eq!(
                        earlier,
                        json!([{"epoch": 0, "last": last, "z_number": 0}]),
                        "{label}: {register}"
                    );
                    assert_eq!(epoch_of(&lane), (1, 0), "{label}: {register}");
                }
            }
        }
    }
    assert!(cut_off > 60, "{cut_off}");
}

/// A till that is in the middle of a sale has the number of before, or one of after, wherever the raise met it.
#[tokio::test]
async fn a_sale_during_the_raise_is_before_or_after_it() {
    let mut met = BTreeSet::new();
    for operation in [Operation::GetMany, Operation::Transact] {
        for call in 0.. {
            let world = World::new().await;
            world.sell("r-1", "a-1").await;
            world.shop.ready("r-1", "a-2", &[("A", 1)]).await.unwrap();
            let (ports, faulty) = FaultyDatabase::ports_over(world.memory.clone(), world.environment.clone());
            faulty.script(operation, std::iter::repeat_n(None, call).chain([Some(Fault::Freezes)]));
            let till = Shop { ports, scope: world.shop.scope.clone() };
            let sale = tokio::spawn(async move { till.finalize("r-1", "a-2").await });
            while faulty.injected().is_empty() && !sale.is_finished() {
                tokio::task::yield_now().await;
            }
            if faulty.injected().is_empty() {
                sale.await.unwrap().unwrap();
                break;
            }
            world.raise("restore-1").await;
            faulty.thaw();
            let token = sale.await.unwrap().unwrap().reply.consistency_token.unwrap();
            let (_, last) = epoch_of(&world.lane("r-1").await);
            match token.as_str() {
                "s-1/r-1:2" => assert_eq!(last, 0),
                "s-1/r-1~1:1" => assert_eq!(last, 1),
                other => panic!("{other}"),
            }
            met.insert(token);
        }
    }
    assert!(met.contains("s-1/r-1~1:1"), "{met:?}");
}

/// Four tills sell while the epochs are raised, and each number of each epoch is given out once.
#[tokio::test]
async fn numbers_are_gapless_on_both_sides_of_a_raise() {
    let world = World::new().await;
    for till in 1..=4 {
        for n in 0..6 {
            world.shop.ready(&format!("r-{till}"), &format!("c-{till}-{n}"), &[("A", 1)]).await.unwrap();
        }
    }
    let sales: Vec<_> = (1..=4)
        .map(|till| {
            let shop = world.shop.clone();
            tokio::spawn(async move {
                let mut tokens = Vec::new();
                for n in 0..6 {
                    let done = shop.finalize(&format!("r-{till}"), &format!("c-{till}-{n}")).await.unwrap();
                    tokens.push(done.reply.consistency_token.unwrap());
                }
                tokens
            })
        })
        .collect();
    let shop = world.shop.clone();
    let raise = tokio::spawn(async move {
        raise_epochs(&shop.ports, &shop.scope, &request("restore-1"), Timestamp::MAX).await.unwrap()
    });
    let mut tokens = BTreeSet::new();
    for sale in sales {
        for token in sale.await.unwrap() {
            assert!(tokens.insert(token.clone()), "{token} was given out twice");
        }
    }
    raise.await.unwrap();
    for (register, lane) in world.lanes().iter().filter(|(register, _)| register.starts_with("r-")) {
        let earlier: Value = lane.json("earlier_epochs").unwrap();
        let before = earlier[0]["last"].as_i64().unwrap();
        let (_, after) = epoch_of(lane);
        assert_eq!(before + after, 6, "{register}");
        let old = (1..=before).map(|n| format!("s-1/{register}:{n}"));
        let new = (1..=after).map(|n| format!("s-1/{register}~1:{n}"));
        assert!(old.chain(new).all(|token| tokens.contains(&token)), "{register}: {tokens:?}");
    }
}

#[tokio::test]
async fn an_id_is_an_id() {
    let world = World::new().await;
    for id in ["", "a b", "é", &"x".repeat(65)] {
        let Shop { ports, scope } = &world.shop;
        let refused = raise_epochs(ports, scope, &request(id), Timestamp::MAX).await.unwrap_err();
        assert_eq!(refused.code(), Some("restore_id_malformed"), "{id}");
    }
    assert!(world.lanes().is_empty());
}

/// What there was no time for is done by asking again.
#[tokio::test]
async fn a_run_without_time_says_so() {
    let world = World::new().await;
    let Shop { ports, scope } = &world.shop;
    let raised = raise_epochs(ports, scope, &request("restore-1"), Timestamp::UNIX_EPOCH).await.unwrap();
    assert_eq!((raised.raised, raised.finished), (0, false));
    assert_eq!(world.raise("restore-1").await.raised, LANES);
}
