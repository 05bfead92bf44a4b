//! What was sold before it was counted, and is told after: the sale stands, and an exception says that the count had it
//! already. What was sold after the count, or online, is no task.

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use serde_json::{Value, json};
use tillstream_app::capacity::Operation;
use tillstream_app::database::{Item, Table};
use tillstream_app::environment::Environment;
use tillstream_app::orders::record::record;
use tillstream_app::pos::batch;
use tillstream_app::pos::execute::execute;
use tillstream_app::stock::split::{self, LaidOut};
use tillstream_app::stock::{conservation, counts, exceptions, ledger, update};
use tillstream_app::tenancy::{Caller, Role};
use tillstream_app::{Ports, Result};
use tillstream_contracts::counts::{
    CloseCountRequest, CountedLineRequest, OpenCountRequest, RecordCountRequest,
};
use tillstream_contracts::inventory::{
    ExceptionKind, ExceptionQuery, ExceptionStatus, ResolveExceptionRequest, StockException, StockUpdateKind,
    StockUpdateRequest,
};
use tillstream_domain::quantity::QuantityInput;
use tillstream_testkit::faults::{Fault, FaultyDatabase};
use tillstream_testkit::memory_database::MemoryDatabase;
use tillstream_testkit::shop::{STORE, Shop, caller};
use tillstream_testkit::test_environment::TestEnvironment;

use crate::uploaded_sale;

const A: &str = "SKU-A";
const MINUTE: u64 = 60;

struct World {
    shop: Shop,
    database: Arc<MemoryDatabase>,
    environment: Arc<TestEnvironment>,
}

fn operator() -> Caller {
    caller("demo", &[Role::Operator])
}

/// A whole sale as a register remembers it that sold then.
fn sale(cart: &str, at: Timestamp, lines: &[(&str, i64)]) -> Vec<Value> {
    let mut commands = uploaded_sale::sale("r-1", cart, lines);
    for command in &mut commands {
        command["occurred_at"] = at.to_string().into();
    }
    commands
}

impl World {
    async fn new(pieces: i64) -> Self {
        let environment = Arc::new(TestEnvironment::new(23));
        let database = Arc::new(MemoryDatabase::with_environment(environment.clone()));
        let shop = Shop::open(database.clone(), environment.clone()).await.unwrap();
        shop.product(STORE, A, "1.00", pieces).await.unwrap();
        World { shop, database, environment }
    }

    /// An hour passes; answers the time that it begins at.
    fn hour(&self) -> Timestamp {
        let now = self.environment.now();
        self.environment.advance(Duration::from_secs(60 * MINUTE));
        now
    }

    /// Counts some goods on a sheet, minutes before it is closed. Answers when they were counted.
    async fn count(&self, sheet: &str, found: &[(&str, i64)]) -> Timestamp {
        let (ports, who) = (&self.shop.ports, &operator());
        let opened = OpenCountRequest {
            count_id: Some(sheet.to_owned()),
            location_id: STORE.into(),
            skus: Some(found.iter().map(|(sku, _)| (*sku).to_owned()).collect()),
            category: None,
            all: None,
            limit: None,
            cursor: None,
            blind: false,
        };
        counts::open(ports, who, &format!("{sheet}-open"), &opened).await.unwrap();
        let line = |(sku, pieces): &(&str, i64)| CountedLineRequest {
            sku: (*sku).to_owned(),
            counted: QuantityInput::Whole(*pieces),
            lots: Vec::new(),
            reason: None,
        };
        let lines = RecordCountRequest { lines: found.iter().map(line).collect() };
        let at = self.environment.now();
        counts::record(ports, who, &format!("{sheet}-lines"), sheet, &lines, |_| Ok(())).await.unwrap();
        self.environment.advance(Duration::from_secs(5 * MINUTE));
        let close = CloseCountRequest::default();
        counts::close(ports, who, &format!("{sheet}-close"), sheet, &close, |_| Ok(())).await.unwrap();
        at
    }

    async fn adjust(&self, key: &str, kind: StockUpdateKind, pieces: i64) {
        let request = StockUpdateRequest {
            location_id: STORE.into(),
            sku: A.into(),
            kind,
            quantity: QuantityInput::Whole(pieces),
            reason: "looked".into(),
            expected_version: None,
            lot: None,
            expires_on: None,
        };
        update::update(&self.shop.ports, &operator(), key, &request, |_| Ok(())).await.unwrap();
    }

    /// Uploads until it has come to its end. Nothing may be refused.
    async fn upload(&self, ports: &Ports, commands: &[Value]) {
        let who = caller("demo", &[Role::Cashier, Role::StoreManager]);
        let (outcomes, go_on) = batch::run(ports, &who, commands.to_vec(), Timestamp::MAX).await;
        assert!(go_on.is_none() && outcomes.iter().all(|(_, outcome)| outcome.is_ok()), "{outcomes:?}");
    }

    async fn tasks(&self) -> Vec<StockException> {
        let status = Some(ExceptionStatus::Open);
        let query = ExceptionQuery { location_id: STORE.into(), status, limit: Some(200), cursor: None };
        exceptions::list(&self.shop.ports, &operator(), &query).await.unwrap().items
    }

    /// Kind, SKU and pieces of each task.
    async fn told(&self) -> Vec<(ExceptionKind, String, QuantityInput)> {
        let mut told: Vec<_> = self
            .tasks()
            .await
            .into_iter()
            .map(|task| (task.kind, task.sku.unwrap(), task.quantity))
            .collect();
        told.sort_by(|a, b| a.1.cmp(&b.1));
        told
    }

    /// On hand, in pieces, which is what the ledger adds up to.
    async fn on_hand(&self, sku: &str) -> i64 {
        let changes = self.database.changes(Table::Stock, 0);
        let rows: Vec<Item> = changes
            .iter()
            .filter_map(|change| ledger::ledger_rows(change.old.as_ref(), change.new.as_ref()).unwrap())
            .filter(|row| row.opt_text("sku") == Some(sku))
            .collect();
        ledger::record(&self.shop.ports, rows).await.unwrap();
        let proof = conservation::prove(&self.shop.ports, &operator(), STORE, sku).await.unwrap();
        assert!(proof.holds, "{proof:?}");
        self.shop.counters(STORE, sku).await.unwrap().on_hand / 1_000
    }
}

fn before_count(sku: &str, pieces: i64) -> (ExceptionKind, String, QuantityInput) {
    (ExceptionKind::SoldBeforeCount, sku.to_owned(), QuantityInput::Whole(pieces))
}

#[tokio::test]
async fn a_sale_before_a_count_that_is_told_after_it_is_a_task() {
    let world = World::new(10).await;
    let sold_at = world.hour();
    let counted_at = world.count("n-1", &[(A, 7)]).await;
    let commands = sale("c-1", sold_at, &[(A, 3)]);
    for _ in 0..2 {
        world.upload(&world.shop.ports, &commands).await;
        assert_eq!(world.told().await, [before_count(A, 3)]);
        assert_eq!(world.on_hand(A).await, 4);
    }
    let task = world.tasks().await.remove(0);
    assert_eq!((task.reference.as_str(), task.order_id.as_deref()), ("c-1", Some("c-1")));
    assert_eq!((task.counted_in.as_deref(), task.counted_at), (Some("n-1"), Some(counted_at)));
    assert_eq!((task.occurred_at, task.register_id.as_deref()), (sold_at, Some("r-1")));
    // Whoever looks finds seven, says so, and has done the task.
    world.adjust("found", StockUpdateKind::Delta, 3).await;
    let settled = ResolveExceptionRequest { reason: "the count had it".into(), note: None };
    let (ports, id) = (&world.shop.ports, task.exception_id.as_str());
    exceptions::resolve(ports, &operator(), "resolved", id, &settled).await.unwrap();
    assert_eq!((world.told().await, world.on_hand(A).await), (vec![], 7));
    // Told once more, it is no task again.
    world.upload(&world.shop.ports, &commands).await;
    assert_eq!((world.told().await, world.on_hand(A).await), (vec![], 7));
}

#[tokio::test]
async fn what_a_count_could_not_miss_is_no_task() {
    let world = World::new(10).await;
    let before = world.hour();
    let counted_at = world.count("n-1", &[(A, 9)]).await;
    // To the millisecond: what is sold when it is counted is sold after.
    world.upload(&world.shop.ports, &sale("c-1", counted_at, &[(A, 1)])).await;
    world.upload(&world.shop.ports, &sale("c-2", world.environment.now(), &[(A, 1)])).await;
    // A till online is in the books as it sells, whatever its clock says.
    for command in sale("c-3", before, &[(A, 1)]) {
        execute(&world.shop.ports, &operator(), command).await.unwrap();
    }
    assert_eq!((world.told().await, world.on_hand(A).await), (vec![], 6));
    let moment_before = counted_at.checked_sub(jiff::SignedDuration::from_millis(1)).unwrap();
    world.upload(&world.shop.ports, &sale("c-4", moment_before, &[(A, 1)])).await;
    assert_eq!((world.told().await, world.on_hand(A).await), (vec![before_count(A, 1)], 5));
}

#[tokio::test]
async fn a_count_by_an_update_counts_too_and_what_another_system_sold() {
    let world = World::new(10).await;
    let sold_at = world.hour();
    world.adjust("more", StockUpdateKind::Delta, 1).await;
    let sold = |id: &str, pieces: i64| {
        serde_json::from_value(json!({
            "order_id": id, "store_id": STORE, "channel": "pos", "occurred_at": sold_at.to_string(),
            "lines": [{"sku": A, "quantity": pieces}],
            "payments": [{"tender": "card", "amount": {"amount": pieces * 100, "currency": "GBP"}}],
        }))
        .unwrap()
    };
    let who = caller("demo", &[Role::Integration]);
    record(&world.shop.ports, &who, "k-1", sold("e-1", 1)).await.unwrap();
    assert_eq!((world.told().await, world.on_hand(A).await), (vec![], 10), "an adjustment is no count");
    world.adjust("counted", StockUpdateKind::Set, 8).await;
    record(&world.shop.ports, &who, "k-2", sold("e-2", 2)).await.unwrap();
    assert_eq!((world.told().await, world.on_hand(A).await), (vec![before_count(A, 2)], 6));
}

/// What it was short of is entered, as ever; both are told.
#[tokio::test]
async fn what_is_not_there_either_is_told_beside() {
    let world = World::new(10).await;
    let sold_at = world.hour();
    world.count("n-1", &[(A, 1)]).await;
    world.upload(&world.shop.ports, &sale("c-1", sold_at, &[(A, 3)])).await;
    let mut told = world.told().await;
    told.sort_by_key(|task| task.0 == ExceptionKind::OversoldOffline);
    let short = (ExceptionKind::OversoldOffline, A.to_owned(), QuantityInput::Whole(2));
    assert_eq!((told, world.on_hand(A).await), (vec![before_count(A, 3), short], 0));
}

/// Parts do not know of a count; the first part does.
#[tokio::test]
async fn stock_that_was_split_since_was_counted_before() {
    let world = World::new(100).await;
    let sold_at = world.hour();
    world.count("n-1", &[(A, 90)]).await;
    for n in 0..6 {
        let laid_out = split::split(&world.shop.ports, &world.shop.scope, STORE, A, 4).await.unwrap();
        assert!(n > 0 || matches!(laid_out, LaidOut::Now(_)));
        world.upload(&world.shop.ports, &sale(&format!("c-{n}"), sold_at, &[(A, 1)])).await;
        assert_eq!(world.told().await, vec![before_count(A, 1); n + 1]);
    }
}

/// At once, twice, and with a fault at each transaction: one sale, one task.
#[tokio::test]
async fn a_task_is_one_however_often_it_is_told() {
    for fault in [Fault::AnswerLost, Fault::Conflict, Fault::TimedOutBefore] {
        for step in 0..9 {
            let world = World::new(10).await;
            let sold_at = world.hour();
            world.count("n-1", &[(A, 7)]).await;
            let commands = sale("c-1", sold_at, &[(A, 3)]);
            let faulty = Arc::new(FaultyDatabase::new(world.database.clone()));
            faulty.script(Operation::Transact, std::iter::repeat_n(None, step).chain([Some(fault)]));
            let ports = Ports { database: faulty, environment: world.environment.clone() };
            let (one, other) = (world.upload(&ports, &commands), world.upload(&world.shop.ports, &commands));
            futures::join!(one, other);
            let label = format!("{fault:?} at {step}");
            assert_eq!(world.told().await, [before_count(A, 3)], "{label}");
            assert_eq!(world.on_hand(A).await, 4, "{label}");
        }
    }
}

#[tokio::test]
async fn a_long_order_tells_of_each_that_was_counted_since() -> Result<()> {
    const LONG: usize = 105;
    let world = World::new(1).await;
    let skus: Vec<String> = (0..LONG).map(|n| format!("L-{n:03}")).collect();
    for sku in &skus {
        world.shop.product(STORE, sku, "1.00", 5).await?;
    }
    let sold_at = world.hour();
    world.count("n-1", &[("L-000", 4), ("L-050", 5), ("L-104", 3)]).await;
    let lines: Vec<(&str, i64)> = skus.iter().map(|sku| (sku.as_str(), 2)).collect();
    let commands = sale("c-1", sold_at, &lines);
    for _ in 0..2 {
        world.upload(&world.shop.ports, &commands).await;
        // What was counted as the books said left no trace in them.
        assert_eq!(world.told().await, [before_count("L-000", 2), before_count("L-104", 2)]);
    }
    for (sku, left) in [("L-000", 2), ("L-001", 3), ("L-050", 3), ("L-104", 1)] {
        assert_eq!(world.on_hand(sku).await, left, "{sku}");
    }
    Ok(())
}
