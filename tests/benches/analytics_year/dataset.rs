//! The year in a DynamoDB: fine pages by the project's fold, coarse ones by its refresh and its merge, as
//! the aggregator and the keeper would have left them.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use futures::{StreamExt, stream};
use jiff::civil::Date;
use serde_json::json;
use tillstream_app::Ports;
use tillstream_app::aggregation::fold::fold_batch;
use tillstream_app::aggregation::pages::Page;
use tillstream_app::aggregation::{coarse, completeness, day_descriptor, stored};
use tillstream_app::catalog::items::{location_item, product_item};
use tillstream_app::database::{Database, Item, Table, Write};
use tillstream_app::pos::cart_item::store_sort_key;
use tillstream_app::tenancy::TenantScope;
use tillstream_contracts::events::{
    FactKind as EventKind, SALE_EVENT_VERSION, SaleDetail, SaleEvent, SaleLine, SalePayment,
};
use tillstream_domain::aggregates::{FactKind, HourPage, ProductPage, SaleFact, page_of};
use tillstream_domain::location::Location;
use tillstream_testkit::memory_database::MemoryDatabase;
use tillstream_testkit::test_environment::TestEnvironment;

use crate::orders::*;

/// Tenant.
pub const TENANT: &str = "year";

/// First day of which fine product pages are put.
const FINE_PRODUCTS_FROM: &str = "2026-01-10";

/// Stores made at once: there are two cores.
const STORES_AT_ONCE: usize = 2;

pub fn scope() -> TenantScope {
    TenantScope::from_own_record(TENANT)
}

/// A store's location.
pub fn location(store: usize) -> Location {
    let registers: Vec<String> = (1..=REGISTERS).map(|n| format!("r-{n}")).collect();
    serde_json::from_value(json!({
        "id": store_id(store), "kind": "store", "name": format!("Store {store}"), "region": "south",
        "time_zone": "Europe/London", "currency": "GBP", "business_day_start": "00:00",
        "registers": registers, "version": 1,
    }))
    .unwrap()
}

/// What was made, and how long it took.
pub struct Built {
    pub truth: Truth,
    pub items: usize,
    pub time: Duration,
}

/// Fills `database` with the year of all stores.
pub async fn build(
    database: &Arc<dyn Database>,
    orders_a_day: u64,
    ranges: &'static [(&'static str, &'static str, &'static str)],
) -> Built {
    let begin = Instant::now();
    put_catalog(database).await;
    let truth = Arc::new(Mutex::new(Truth::default()));
    let mut made = stream::iter(0..STORES)
        .map(|store| {
            let (database, truth) = (database.clone(), truth.clone());
            tokio::spawn(async move { build_store(&database, store, orders_a_day, ranges, &truth).await })
        })
        .buffer_unordered(STORES_AT_ONCE);
    let (mut items, mut stores) = (0, 0);
    let coarse = Arc::new(MemoryDatabase::new());
    while let Some(of_store) = made.next().await {
        let (count, of_store) = of_store.unwrap();
        coarse.put_many(Table::Analytics, of_store).await.unwrap();
        items += count;
        stores += 1;
        let seconds = begin.elapsed().as_secs();
        eprintln!("  {orders_a_day} orders a day: {stores} of {STORES} stores, {items} items, {seconds} s");
    }
    drop(made);
    let ports = Ports { database: coarse.clone(), environment: Arc::new(TestEnvironment::new(1)) };
    let stores: Vec<Location> = (0..STORES).map(location).collect();
    while coarse::merge(&ports, &scope(), &stores, 31).await.unwrap() > 0 {}
    let coarse = coarse.items(Table::Analytics);
    items += coarse.len();
    database.put_many(Table::Analytics, coarse).await.unwrap();
    eprintln!("  merged at {} s", begin.elapsed().as_secs());
    let truth = Arc::into_inner(truth).unwrap().into_inner().unwrap();
    Built { truth, items, time: begin.elapsed() }
}

async fn put_catalog(database: &Arc<dyn Database>) {
    let scope = scope();
    let mut items: Vec<Item> =
        (0..STORES).map(|store| location_item(&scope, &location(store)).unwrap()).collect();
    for product in 0..SKUS {
        let product = serde_json::from_value(json!({
            "sku": sku(product), "name": format!("Product {product}"), "unit_price": "1.00",
            "currency": "GBP", "unit": "piece", "stocked": true, "category": category(product),
            "barcodes": [], "attributes": {}, "version": 1,
        }))
        .unwrap();
        items.push(product_item(&scope, &product).unwrap());
    }
    database.put_many(Table::Catalog, items).await.unwrap();
}

/// A store's year, month by month; answers how many items were put, and the coarse ones, which are not
/// yet.
async fn build_store(
    database: &Arc<dyn Database>,
    store: usize,
    orders_a_day: u64,
    ranges: &[(&'static str, &str, &str)],
    truth: &Mutex<Truth>,
) -> (usize, Vec<Item>) {
    let scope = scope();
    let id = store_id(store);
    let ranges: Vec<_> = ranges.iter().map(|(name, from, to)| (*name, date(from), date(to))).collect();
    let mut generator = Generator::new(1 + store as u64, orders_a_day);
    let mut mine = Truth::default();
    let mut months = BTreeMap::<Date, Vec<Date>>::new();
    for day in days() {
        months.entry(day.first_of_month()).or_default().push(day);
    }
    let mut carried = Vec::new();
    let mut count = 0;
    for (_, days) in months {
        // Refreshed in memory, where it takes a tenth of the time; the pages are the same.
        let memory: Arc<dyn Database> = Arc::new(MemoryDatabase::new());
        let ports = Ports { database: memory.clone(), environment: Arc::new(TestEnvironment::new(1)) };
        memory.put_many(Table::Analytics, carried).await.unwrap();
        let read = completeness::read(&ports, &scope, &id).await.unwrap();
        let mut record = read.content;
        let mut fine = Vec::new();
        for day in &days {
            let facts = generator.day(store, *day);
            for fact in &facts {
                mine.count(store, fact, &ranges);
                record.complete(fact);
            }
            fine.extend(fine_pages(&scope, &id, *day, &facts));
        }
        let put = stored::versioned_put(completeness::head(&scope, &id), read.version, &record).unwrap();
        fine.push(item_of(put));
        memory.put_many(Table::Analytics, fine).await.unwrap();
        let last = *days.last().unwrap();
        let through = if last == date(TODAY) { coarse::last_closed(last).unwrap() } else { last };
        assert_eq!(coarse::refresh(&ports, &scope, &id, through, 31).await.unwrap(), 0);
        let items = partition(&*memory, &scope, &id).await;
        let is_kept = |item: &Item| {
            let sk = item.text("sk").unwrap();
            sk.starts_with("coarse-") || sk.starts_with("day#") || sk == "complete"
        };
        carried = items.iter().filter(|item| is_kept(item)).cloned().collect();
        let fine: Vec<Item> = items.into_iter().filter(|item| !is_kept(item) && is_ever_read(item)).collect();
        count += fine.len();
        database.put_many(Table::Analytics, fine).await.unwrap();
    }
    database.put_many(Table::Orders, lanes_and_last_orders(&scope, &generator, store)).await.unwrap();
    let mut truth = truth.lock().unwrap();
    truth.totals.extend(mine.totals);
    truth.employees.extend(mine.employees);
    truth.hours.extend(mine.hours);
    truth.orders += mine.orders;
    truth.lines += mine.lines;
    for (key, metrics) in mine.categories {
        truth.categories.entry(key).or_default().add(&metrics);
    }
    for (key, products) in mine.products {
        let sums = truth.products.entry(key).or_default();
        for (sku, metrics) in products {
            sums.entry(sku).or_default().add(&metrics);
        }
    }
    (count, carried)
}

/// Of fine product pages, four fifths of all items, only those of the last days are put: nobody reads
/// those of a settled day, and a reader that did would find its answer short.
fn is_ever_read(item: &Item) -> bool {
    let sk = item.text("sk").unwrap();
    !sk.starts_with("products#") || *sk >= *format!("products#{FINE_PRODUCTS_FROM}")
}

fn item_of(write: Write) -> Item {
    match write {
        Write::Put { item, .. } => item,
        _ => unreachable!("a page is put"),
    }
}

async fn partition(database: &dyn Database, scope: &TenantScope, store_id: &str) -> Vec<Item> {
    use tillstream_app::database::Query;
    let mut query = Query::partition(Table::Analytics, scope.store_pages(store_id));
    let mut items = Vec::new();
    loop {
        let page = database.query(query.clone()).await.unwrap();
        items.extend(page.items);
        match page.next {
            Some(next) => query.start = Some(next),
            None => return items,
        }
    }
}

/// The fine pages of a store's day, each put once; [`they_are_the_aggregators`] holds them against what
/// the aggregator writes.
fn fine_pages(scope: &TenantScope, store_id: &str, day: Date, facts: &[SaleFact]) -> Vec<Item> {
    let pages = day_descriptor::DayDescriptor::default().product_pages;
    let mut hours = BTreeMap::<Page, HourPage>::new();
    let mut products = BTreeMap::<Page, ProductPage>::new();
    for fact in facts {
        hours.entry(Page::hour_of(fact)).or_default().fold(fact);
        for page in fact.lines.iter().map(|line| page_of(&line.sku, pages)).collect::<BTreeSet<_>>() {
            products.entry(Page::Products { day, page, pages }).or_default().fold(fact, page, pages);
        }
    }
    let mut items = vec![
        Item::new(&scope.day_descriptor(store_id, day)).with("pages", i64::from(pages)).with("encoding", 1),
    ];
    for (page, content) in &hours {
        items.push(item_of(stored::versioned_put(page.head(scope, store_id), 0, content).unwrap()));
    }
    for (page, content) in &products {
        items.push(item_of(stored::versioned_put(page.head(scope, store_id), 0, content).unwrap()));
    }
    items
}

/// Lanes as the tills left them, and the last orders of the store, as far as lists show them.
fn lanes_and_last_orders(scope: &TenantScope, generator: &Generator, store: usize) -> Vec<Item> {
    let id = store_id(store);
    let mut items = Vec::new();
    for ((of, register), last) in &generator.last {
        assert_eq!(*of, store);
        items.push(
            Item::new(&scope.lane(&id, register))
                .with("last", i64::try_from(*last).unwrap())
                .with("epoch", 0)
                .with("store_id", id.as_str())
                .with("register_id", register.as_str()),
        );
        let order = format!("o-{id}-{register}-{last}");
        let at: jiff::Timestamp = format!("{TODAY}T19:30:00Z").parse().unwrap();
        items.push(
            Item::new(&scope.cart(&order))
                .with("cart_id", order.as_str())
                .with("kind", "sale")
                .with("currency", "GBP")
                .with("total", 1_000)
                .with("lane", format!("{id}/{register}"))
                .with("lane_pk", scope.lane_orders(&id, register, 0).value())
                .with("lane_number", i64::try_from(*last).unwrap())
                .with("finalized_at", at.to_string())
                .with("offset_seconds", 0)
                .with("store_pk", scope.store_orders(&id).value())
                .with("store_sk", store_sort_key(at, &order)),
        );
    }
    items
}

/// The event of a fact, as the relay would send it.
pub fn event_of(fact: &SaleFact) -> SaleEvent {
    SaleEvent {
        version: SALE_EVENT_VERSION,
        kind: match fact.kind {
            FactKind::Sale => EventKind::Sale,
            FactKind::Return => EventKind::Return,
        },
        tenant_id: TENANT.to_owned(),
        order_id: format!("o-{}-{}-{}", fact.lane.store_id, fact.register_id, fact.number),
        order_version: 1,
        lane: fact.lane.clone(),
        number: fact.number,
        occurred_at: fact.hour_start,
        business_day: fact.business_day,
        hour_start: fact.hour_start,
        offset_seconds: fact.offset_seconds,
        store_id: fact.lane.store_id.clone(),
        register_id: fact.register_id.clone(),
        employee_id: fact.employee_id.clone(),
        channel: fact.channel.clone(),
        segment: fact.segment.clone(),
        region: None,
        currency: fact.currency,
        detail: Some(SaleDetail {
            lines: fact
                .lines
                .iter()
                .map(|line| SaleLine {
                    sku: line.sku.clone(),
                    category: line.category.clone(),
                    quantity: line.quantity,
                    gross: line.gross,
                    discount: line.discount,
                    tax: line.tax,
                })
                .collect(),
            payments: fact
                .payments
                .iter()
                .map(|p| SalePayment { tender: p.tender.clone(), amount: p.amount, tip: p.tip })
                .collect(),
        }),
    }
}

/// Proves on a sample, three days of one store, that the pages put here are those that the aggregator
/// writes for the same events; answers how many were compared.
pub async fn they_are_the_aggregators(orders_a_day: u64) -> usize {
    let scope = scope();
    let id = store_id(ONE_STORE);
    let memory: Arc<dyn Database> = Arc::new(MemoryDatabase::new());
    let ports = Ports { database: memory.clone(), environment: Arc::new(TestEnvironment::new(1)) };
    let mut generator = Generator::new(1 + ONE_STORE as u64, orders_a_day);
    let mut expected = BTreeMap::new();
    for day in days().into_iter().take(3) {
        let facts = generator.day(ONE_STORE, day);
        for batch in facts.chunks(200) {
            let failures = fold_batch(&ports, batch.iter().map(event_of).collect()).await;
            assert!(failures.is_empty(), "{failures:?}");
        }
        for item in fine_pages(&scope, &id, day, &facts) {
            expected.insert(item.text("sk").unwrap().to_owned(), item);
        }
    }
    let mut compared = 0;
    for mut item in partition(&*memory, &scope, &id).await {
        let sk = item.text("sk").unwrap().to_owned();
        if sk == "complete" {
            continue;
        }
        let mut mine = expected.remove(&sk).unwrap();
        // How often a page was written is no content.
        item.0.remove("version");
        mine.0.remove("version");
        assert!(item == mine, "page {sk} is not what the aggregator writes");
        compared += 1;
    }
    assert!(expected.is_empty(), "pages that the aggregator does not write");
    compared
}
