//! Reservations of one SKU that everybody wants, by the real use case, on a store with AWS's limits by
//! partition key, in virtual time: whole, and split. Counted until the last unit is sold.
//!
//! `cargo bench -p tillstream-tests --bench hot_sku`; the figures are the same in every build.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::float_arithmetic,
    clippy::cast_precision_loss,
    missing_docs,
    reason = "a benchmark that cannot go on stops"
)]

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use futures::future::BoxFuture;
use jiff::Timestamp;
use tillstream_app::catalog::items::{location_item, product_item};
use tillstream_app::database::{Database, DatabaseError, Get, Item, Query, QueryPage, Table, Write};
use tillstream_app::environment::Environment;
use tillstream_app::stock::hot_stock::HotStock;
use tillstream_app::stock::reserve::reserve;
use tillstream_app::stock::split::{LaidOut, split};
use tillstream_app::stock::standing::standing;
use tillstream_app::stock::update::update;
use tillstream_app::tenancy::{Caller, Role, Stores, TenantScope};
use tillstream_app::{Error, Ports};
use tillstream_contracts::inventory::{ReserveLine, ReserveRequest, StockUpdateKind, StockUpdateRequest};
use tillstream_domain::location::{Location, LocationKind};
use tillstream_domain::money::Currency;
use tillstream_domain::product::Product;
use tillstream_domain::quantity::{QuantityInput, Unit};
use tillstream_testkit::memory_database::{MemoryDatabase, item_size};
use tillstream_testkit::partition_limits::{Chance, Clock, PartitionLimits, Refused, Terms, run_on};
use tillstream_tests::bench_report::{Report, Target};

const LOCATION: &str = "w-hull";
const SKU: &str = "85123A";
/// Processes, each with one request at a time, as Lambda has them.
const CLIENTS: usize = 400;
/// The way to the database and back takes 2 to 4 ms; a transaction has its items for 2 ms of its time.
const TERMS: Terms =
    Terms { write_units: 1_000, read_units: 3_000, way_micros: (1_000, 2_000), held_micros: 2_000 };

/// One process: the time of all, and a memory of its own.
struct Process {
    clock: Arc<Clock>,
    hot_stock: HotStock,
}

#[async_trait]
impl Environment for Process {
    fn now(&self) -> Timestamp {
        self.clock.now()
    }
    fn random(&self) -> u64 {
        self.clock.random()
    }
    async fn sleep(&self, time: Duration) {
        self.clock.sleep(time).await;
    }
    fn hot_stock(&self) -> Option<&HotStock> {
        Some(&self.hot_stock)
    }
}

/// The store where stock stays whole: what is there to compare with.
struct NeverSplit(Arc<PartitionLimits>);

#[async_trait]
impl Database for NeverSplit {
    async fn get(&self, get: Get) -> Result<Option<Item>, DatabaseError> {
        self.0.get(get).await
    }
    async fn get_many(&self, gets: Vec<Get>) -> Result<Vec<Option<Item>>, DatabaseError> {
        self.0.get_many(gets).await
    }
    async fn get_together(&self, gets: Vec<Get>) -> Result<Vec<Option<Item>>, DatabaseError> {
        self.0.get_together(gets).await
    }
    async fn query(&self, query: Query) -> Result<QueryPage, DatabaseError> {
        self.0.query(query).await
    }
    async fn write(&self, write: Write) -> Result<(), DatabaseError> {
        self.0.write(write).await
    }
    async fn transact(&self, writes: Vec<Write>) -> Result<(), DatabaseError> {
        let splits = |write: &Write| match write {
            Write::Put { item, .. } => item.opt_text("pk").is_some_and(|pk| pk.ends_with("#split")),
            _ => false,
        };
        if writes.iter().any(splits) {
            return Err(DatabaseError::Conflict("it is not split here".to_owned()));
        }
        self.0.transact(writes).await
    }
    async fn put_many(&self, table: Table, items: Vec<Item>) -> Result<(), DatabaseError> {
        self.0.put_many(table, items).await
    }
}

/// How stock is laid out in a run.
#[derive(Clone, Copy, PartialEq)]
enum Layout {
    /// Whole, and it stays so.
    One,
    /// Split into so many parts before.
    Parts(u32),
    /// Whole, and left to itself.
    ByItself,
}

/// What decides by chance: which part is tried, how long a way takes, how long a client waits. Of each layout that is
/// held to a target all are run, and the worst counts.
const SEEDS: [u64; 5] = [7, 11, 23, 42, 101];
/// Where one run is enough.
const SEED: u64 = SEEDS[0];

struct Outcome {
    /// Seconds until the last unit was sold.
    seconds: f64,
    made: u64,
    units: u64,
    refused: Refused,
    /// Seconds until half, nine tenths and 99 of a hundred were sold.
    until: [f64; 3],
    /// How long reservations took, in milliseconds, ascending.
    millis: Vec<f64>,
}

impl Outcome {
    fn per_second(&self) -> f64 {
        (self.made as f64 / self.seconds).round()
    }
}

async fn put(memory: &MemoryDatabase, item: Item) {
    memory.write(Write::Put { table: Table::Catalog, item, condition: None }).await.unwrap();
}

/// A location, a product and `units` of it.
async fn stocked(ports: &Ports, memory: &MemoryDatabase, caller: &Caller, units: u64) {
    let location = Location {
        id: LOCATION.into(),
        kind: LocationKind::Warehouse,
        name: LOCATION.into(),
        time_zone: "Europe/London".into(),
        currency: Currency::GBP,
        business_day_start: "00:00".into(),
        region: None,
        address: None,
        tax_number: None,
        capacity: None,
        hours: None,
        coordinates: None,
        stock: Default::default(),
        registers: vec![],
        version: 1,
    };
    put(memory, location_item(&caller.scope, &location).unwrap()).await;
    let product = Product {
        sku: SKU.into(),
        name: "WHITE HANGING HEART T-LIGHT HOLDER".into(),
        unit_price: "2.55".parse().unwrap(),
        currency: Currency::GBP,
        stocked: true,
        unit: Unit::Piece,
        category: None,
        barcodes: vec![],
        attributes: BTreeMap::new(),
        tax_category: None,
        tax_exempt: false,
        discountable: true,
        modifiers: vec![],
        components: vec![],
        variant_of: None,
        sellable: true,
        lots: false,
        version: 1,
    };
    put(memory, product_item(&caller.scope, &product).unwrap()).await;
    let count = StockUpdateRequest {
        location_id: LOCATION.into(),
        sku: SKU.into(),
        kind: StockUpdateKind::Set,
        quantity: QuantityInput::Whole(i64::try_from(units).unwrap()),
        reason: "opening stock".into(),
        expected_version: None,
        lot: None,
        expires_on: None,
    };
    update(ports, caller, "count", &count, |_| Ok(())).await.unwrap();
}

/// Reserves one unit after the other until there is none; answers when each was made and how long it took.
async fn client(ports: Ports, caller: &Caller, number: usize) -> Vec<(Timestamp, f64)> {
    let request = ReserveRequest {
        reservation_id: None,
        lines: vec![ReserveLine {
            location_id: Some(LOCATION.into()),
            sku: SKU.into(),
            quantity: QuantityInput::Whole(1),
        }],
        sourcing: None,
        ttl_seconds: 900,
        order_id: None,
    };
    let mut made = Vec::new();
    for n in 0.. {
        let began = ports.environment.now();
        let key = format!("{number}-{n}");
        loop {
            match reserve(&ports, caller, &key, &request).await {
                Ok(_) => break,
                // Safe to repeat, as the answer says.
                Err(Error::Retryable { .. } | Error::Conflict(_)) => {}
                Err(Error::Rejected(refusal)) => {
                    assert_eq!(refusal.code, "insufficient_stock");
                    return made;
                }
                Err(other) => panic!("{other}"),
            }
        }
        let now = ports.environment.now();
        made.push((now, now.duration_since(began).as_secs_f64() * 1_000.0));
    }
    made
}

fn run(seed: u64, layout: Layout, units: u64, terms: Terms) -> Outcome {
    let clock = Arc::new(Clock::new("2026-11-27T08:00:00Z".parse().unwrap(), Arc::new(Chance::new(seed))));
    let memory = Arc::new(MemoryDatabase::with_environment(clock.clone()));
    let caller = Caller {
        scope: TenantScope::from_own_record("demo"),
        subject: "web".into(),
        roles: BTreeSet::from([Role::Operator]),
        stores: Stores::All,
        register_id: None,
    };
    let direct = Ports { database: memory.clone(), environment: clock.clone() };
    let before = async {
        stocked(&direct, &memory, &caller, units).await;
        if let Layout::Parts(parts) = layout {
            let laid_out = split(&direct, &caller.scope, LOCATION, SKU, parts).await.unwrap();
            assert!(matches!(laid_out, LaidOut::Now(_)));
        }
    };
    assert!(run_on(&clock, vec![Box::pin(before)], |()| {}));
    let store = Arc::new(PartitionLimits::new(memory.clone(), clock.clone(), terms));
    let began = clock.now();
    let tasks = (0..CLIENTS)
        .map(|number| {
            let database: Arc<dyn Database> = match layout {
                Layout::One => Arc::new(NeverSplit(store.clone())),
                _ => store.clone(),
            };
            let process = Process { clock: clock.clone(), hot_stock: HotStock::default() };
            let ports = Ports { database, environment: Arc::new(process) };
            Box::pin(client(ports, &caller, number)) as BoxFuture<'_, _>
        })
        .collect();
    let mut made: Vec<(Timestamp, f64)> = Vec::new();
    assert!(run_on(&clock, tasks, |of_one| made.extend(of_one)));
    let last = made.iter().map(|(at, _)| *at).max().unwrap();
    // What is told of costs holds only of items of 1 KB.
    assert!(memory.items(Table::Stock).iter().all(|item| item_size(item) <= 1_024));
    let after = async {
        let found = standing(memory.as_ref(), &caller.scope, LOCATION, SKU, 0).await.unwrap().unwrap();
        assert!(found.parts().iter().all(|part| part.available >= 0));
        let total = found.total();
        assert_eq!(total.on_hand, i64::try_from(units).unwrap() * 1_000);
        assert_eq!(total.reserved, i64::try_from(made.len()).unwrap() * 1_000);
    };
    assert!(run_on(&clock, vec![Box::pin(after)], |()| {}));
    let mut times: Vec<Timestamp> = made.iter().map(|(at, _)| *at).collect();
    times.sort();
    let until = [50, 90, 99].map(|of| times[times.len() * of / 100].duration_since(began).as_secs_f64());
    let mut millis: Vec<f64> = made.iter().map(|(_, millis)| *millis).collect();
    millis.sort_by(f64::total_cmp);
    Outcome {
        seconds: last.duration_since(began).as_secs_f64(),
        made: u64::try_from(made.len()).unwrap(),
        units,
        until,
        refused: store.refused(),
        millis,
    }
}

/// What was sold in all runs beyond what there was, and what was left.
#[derive(Default)]
struct Amiss {
    oversold: u64,
    unsold: u64,
}

impl Amiss {
    /// Tells what came of the runs of a layout; the figure is that of the slowest.
    fn tell(&mut self, report: &mut Report, name: &str, outcomes: &[Outcome], target: Target) {
        let slowest = outcomes.iter().map(Outcome::per_second).min_by(f64::total_cmp).unwrap();
        report.figure(name, slowest, "reservations/s", target);
        for outcome in outcomes {
            let quantile = |of: usize| outcome.millis[(outcome.millis.len() - 1) * of / 100];
            println!(
                "  {}/s: {} units in {:.2} s (half, 90%, 99% by {:.2?}); half took {:.0} ms, 99% at most {:.0} ms; {:?}",
                outcome.per_second(),
                outcome.made,
                outcome.seconds,
                outcome.until,
                quantile(50),
                quantile(99),
                outcome.refused
            );
            self.oversold += outcome.made.saturating_sub(outcome.units);
            self.unsold += outcome.units.saturating_sub(outcome.made);
        }
    }
}

fn main() {
    let mut report = Report::of_counts("hot_sku");
    let mut amiss = Amiss::default();
    let of_each_seed = |layout, units| SEEDS.map(|seed| run(seed, layout, units, TERMS));
    amiss.tell(&mut report, "hot_sku_one_item", &[run(SEED, Layout::One, 1_000, TERMS)], Target::None);
    let target = Target::AtLeast(5_000.0);
    amiss.tell(&mut report, "hot_sku_16_splits", &of_each_seed(Layout::Parts(16), 12_000), target);
    let target = Target::AtLeast(8_000.0);
    amiss.tell(&mut report, "hot_sku_32_splits", &of_each_seed(Layout::Parts(32), 20_000), target);
    let by_itself = [run(SEED, Layout::ByItself, 20_000, TERMS)];
    amiss.tell(&mut report, "hot_sku_left_to_itself", &by_itself, Target::None);
    // How long a transaction has its items is AWS's to say: what else it might be.
    let others = [(16, 12_000, 1), (16, 12_000, 3), (32, 8_000, 1), (32, 8_000, 3), (32, 8_000, 5)];
    for (parts, units, millis) in others {
        let terms = Terms { held_micros: millis * 1_000, ..TERMS };
        let outcomes = [run(SEED, Layout::Parts(parts), units, terms)];
        let name = format!("hot_sku_{parts}_splits_held_{millis}_ms");
        amiss.tell(&mut report, &name, &outcomes, Target::None);
    }
    report.figure("hot_sku_oversold", amiss.oversold as f64, "units", Target::AtMost(0.0));
    report.figure("hot_sku_left_unsold", amiss.unsold as f64, "units", Target::AtMost(0.0));
    report.write().unwrap();
}
