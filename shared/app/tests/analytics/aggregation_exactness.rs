//! Pages = fold of the orders, whatever happens on the way.

use std::collections::BTreeSet;
use std::sync::Arc;

use proptest::prelude::*;
use tillstream_app::Ports;
use tillstream_app::aggregation::completeness::Completeness;
use tillstream_app::aggregation::fold::{fold_batch, fold_records};
use tillstream_app::aggregation::pages::{hour_of, products_of};
use tillstream_app::aggregation::stored::Stored;
use tillstream_app::capacity::Operation;
use tillstream_app::database::{Database, Table};
use tillstream_app::environment::Environment;
use tillstream_app::facts::sale_event;
use tillstream_app::pos::cart_item::cart_of;
use tillstream_app::record_failure::Failure;
use tillstream_app::tenancy::TenantScope;
use tillstream_contracts::events::SaleEvent;
use tillstream_domain::aggregates::{Dimension, Metrics, page_of};
use tillstream_domain::money::AMOUNT_MAX;
use tillstream_testkit::faults::{Fault, FaultyDatabase};
use tillstream_testkit::made_up_sales::*;
use tillstream_testkit::memory_database::MemoryDatabase;
use tillstream_testkit::shop::Shop;
use tillstream_testkit::test_environment::TestEnvironment;

fn run<F: Future>(future: F) -> F::Output {
    tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap().block_on(future)
}

fn record(database: &MemoryDatabase, store: &str) -> Completeness {
    let key = TenantScope::from_own_record(TENANT).completeness(store);
    let items = database.items(Table::Analytics);
    let item = items.iter().find(|i| i.text("pk").unwrap() == key.pk() && i.text("sk").unwrap() == key.sk());
    Stored::of(item).unwrap().content
}

/// Every number that the record claims is in all of its pages.
fn claims_are_true(database: &MemoryDatabase, events: &[SaleEvent]) -> Result<(), TestCaseError> {
    let (record, content) = (record(database, STORE), content(database));
    let scope = TenantScope::from_own_record(TENANT);
    for event in events.iter().filter(|e| record.folded.contains(&e.lane, e.number)) {
        let key = scope.hour_page(STORE, event.business_day, event.hour_start.as_second());
        let item = content.get(&(key.pk().to_owned(), key.sk().to_owned()));
        prop_assert!(item.is_some(), "claimed without its hour");
        let hour = hour_of(&item.unwrap().clone().with("version", 1)).unwrap();
        prop_assert!(hour.page.folded.contains(&event.lane, event.number));
        for line in &event.detail.as_ref().unwrap().lines {
            let key = scope.product_page(STORE, event.business_day, page_of(&line.sku, 64));
            let item = content.get(&(key.pk().to_owned(), key.sk().to_owned()));
            prop_assert!(item.is_some(), "claimed without its products");
            let page = products_of(&item.unwrap().clone().with("version", 1)).unwrap();
            prop_assert!(page.folded.contains(&event.lane, event.number));
        }
    }
    Ok(())
}

/// Counts every hour and product day the plain way and compares.
fn figures_are_right(database: &MemoryDatabase, events: &[SaleEvent]) -> Result<(), TestCaseError> {
    let mut hours_seen = BTreeSet::new();
    let mut skus_seen = BTreeSet::new();
    for item in database.items(Table::Analytics) {
        let sk = item.text("sk").unwrap().to_owned();
        if sk.starts_with("hour#") {
            let hour = hour_of(&item).unwrap();
            for (currency, figures) in &hour.page.figures {
                let mine: Vec<&SaleEvent> = events
                    .iter()
                    .filter(|e| {
                        e.business_day == hour.day && e.hour_start == hour.start && e.currency == *currency
                    })
                    .collect();
                hours_seen.extend(mine.iter().map(|e| e.lane_number()));
                prop_assert_eq!(figures.total, plain(&mine, |_, _| true, true));
                for (name, metrics) in figures.groups(Dimension::Register) {
                    prop_assert_eq!(*metrics, plain(&mine, |e, _| e.register_id == *name, true));
                }
                for (name, metrics) in figures.groups(Dimension::Employee) {
                    prop_assert_eq!(*metrics, plain(&mine, |e, _| e.employee_id == *name, true));
                }
                for (name, metrics) in figures.groups(Dimension::Channel) {
                    prop_assert_eq!(*metrics, plain(&mine, |e, _| e.channel == *name, true));
                }
                for (name, metrics) in figures.groups(Dimension::Segment) {
                    let of = |e: &SaleEvent, _: &_| e.segment.as_deref().unwrap_or("") == name;
                    prop_assert_eq!(*metrics, plain(&mine, of, true));
                }
                for (name, metrics) in figures.groups(Dimension::Category) {
                    let of = |_: &SaleEvent, l: &tillstream_contracts::events::SaleLine| {
                        l.category.as_deref().unwrap_or("") == name
                    };
                    prop_assert_eq!(*metrics, plain(&mine, of, false));
                }
                let mut tenders = Metrics::default();
                figures.groups(Dimension::PaymentMethod).values().for_each(|m| tenders.add(m));
                let uses: u64 =
                    mine.iter().map(|e| (e.detail.as_ref().unwrap().payments.len() as u64).max(1)).sum();
                prop_assert_eq!(tenders.orders + tenders.return_orders, uses);
                let total = figures.total;
                tenders.orders = total.orders;
                tenders.return_orders = total.return_orders;
                prop_assert_eq!(tenders, total, "shares of tenders do not sum to the whole");
            }
        } else if sk.starts_with("products#") {
            let page = products_of(&item).unwrap();
            for (currency, products) in &page.products {
                for (sku, metrics) in products {
                    let mine: Vec<&SaleEvent> = events
                        .iter()
                        .filter(|e| sk.contains(&e.business_day.to_string()) && e.currency == *currency)
                        .collect();
                    prop_assert_eq!(*metrics, plain(&mine, |_, l| l.sku == *sku, false));
                    skus_seen.insert((sk.split('#').nth(1).unwrap().to_owned(), *currency, sku.clone()));
                }
            }
        }
    }
    prop_assert_eq!(hours_seen.len(), events.len());
    let expected: BTreeSet<_> = events
        .iter()
        .flat_map(|e| {
            e.detail
                .as_ref()
                .unwrap()
                .lines
                .iter()
                .map(|l| (e.business_day.to_string(), e.currency, l.sku.clone()))
        })
        .collect();
    prop_assert_eq!(skus_seen, expected);
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn any_way_to_deliver_the_events_gives_the_same_pages(seed in any::<u64>(), count in 1_u64..60) {
        run(async {
            let events = sales(seed, count);
            let mut dice = Dice(seed | 1);

            let clean = Arc::new(MemoryDatabase::new());
            fold_all(&ports(clean.clone()), &events).await;
            figures_are_right(&clean, &events)?;

            // Every event at least once, some again, in any order, in batches of any size.
            let mut queue = events.clone();
            for event in &events {
                (0..dice.below(3)).for_each(|_| queue.push(event.clone()));
            }
            dice.shuffle(&mut queue);
            let live = Arc::new(MemoryDatabase::new());
            while !queue.is_empty() {
                let size = usize::try_from(1 + dice.below(20)).unwrap().min(queue.len());
                let batch: Vec<SaleEvent> = queue.drain(..size).collect();
                let process = Process::new(&live, u32::try_from(dice.below(30)).unwrap(), dice.below(2) == 0);
                let failures = fold_batch(&ports(process), batch.clone()).await;
                claims_are_true(&live, &events)?;
                // What failed comes again, sometimes with all of its batch, at any later time.
                let whole_batch = dice.below(2) == 0 && !failures.is_empty();
                for (position, event) in batch.into_iter().enumerate() {
                    if whole_batch || failures.iter().any(|f| f.position == position) {
                        let place = usize::try_from(dice.below(queue.len() as u64 + 1)).unwrap();
                        queue.insert(place, event);
                    }
                }
            }
            prop_assert_eq!(content(&live), content(&clean));
            let record = record(&live, STORE);
            for event in &events {
                prop_assert!(record.contains(&event.lane_number()));
            }
            prop_assert_eq!(
                record.folded.lanes().map(|(_, _, set)| set.len()).sum::<u64>(),
                events.len() as u64
            );
            Ok(())
        })?;
    }

    #[test]
    fn several_aggregators_at_one_store_lose_nothing(seed in any::<u64>()) {
        run(async {
            let events = sales(seed, 40);
            let clean = Arc::new(MemoryDatabase::new());
            fold_all(&ports(clean.clone()), &events).await;

            let live = Arc::new(MemoryDatabase::new());
            let mut dice = Dice(seed | 1);
            let tasks: Vec<_> = (0..4)
                .map(|mine| {
                    // Overlapping shares: every event at one aggregator, some at several at once.
                    let share: Vec<SaleEvent> = events
                        .iter()
                        .enumerate()
                        .filter(|(at, _)| at % 4 == mine || dice.below(3) == 0)
                        .map(|(_, event)| event.clone())
                        .collect();
                    let process = ports(Process::new(&live, u32::MAX, false) as Arc<dyn Database>);
                    tokio::spawn(async move {
                        let mut left = share;
                        while !left.is_empty() {
                            let failures = fold_batch(&process, left.clone()).await;
                            left = failures.iter().map(|f| left[f.position].clone()).collect();
                        }
                    })
                })
                .collect();
            for task in tasks {
                task.await.unwrap();
            }
            prop_assert_eq!(content(&live), content(&clean));
            Ok(())
        })?;
    }
}

#[test]
fn a_crash_at_every_single_write_loses_nothing() {
    run(async {
        let events = sales(3, 8);
        let clean = Arc::new(MemoryDatabase::new());
        fold_all(&ports(clean.clone()), &events).await;
        for effect in [false, true] {
            let mut at = 0;
            loop {
                let live = Arc::new(MemoryDatabase::new());
                let process = Process::new(&live, at, effect);
                let failures = fold_batch(&ports(process.clone()), events.clone()).await;
                claims_are_true(&live, &events).unwrap();
                if failures.is_empty() && !process.dead.load(std::sync::atomic::Ordering::SeqCst) {
                    break;
                }
                fold_all(&ports(live.clone()), &events).await;
                assert_eq!(content(&live), content(&clean), "crash at write {at}");
                at += 1;
            }
            assert!(at > 20, "the crashes did not reach every write: {at}");
        }
    });
}

#[test]
fn a_late_number_below_the_mark_is_not_lost() {
    run(async {
        let live = Arc::new(MemoryDatabase::new());
        let ports = ports(live.clone());
        fold_all(&ports, &[sale("r-1", 1), sale("r-1", 3)]).await;
        let gaps = record(&live, STORE).folded.of("r-1", 0).unwrap().gaps_up_to(4);
        assert_eq!(gaps, [(2, 2), (4, 4)]);
        fold_all(&ports, &[sale("r-1", 2), sale("r-1", 3)]).await;
        assert_eq!(record(&live, STORE).folded.of("r-1", 0).unwrap().through(), 3);
        figures_are_right(&live, &[sale("r-1", 1), sale("r-1", 2), sale("r-1", 3)]).unwrap();
    });
}

#[test]
fn poison_is_told_from_what_may_be_repeated() {
    run(async {
        let mut foreign = sale("r-1", 2);
        foreign.version = 99;
        let mut stray = sale("r-1", 3);
        stray.lane.store_id = "s-2".into();
        let mut bare = sale("r-1", 4);
        bare.detail = None;
        let database = Arc::new(MemoryDatabase::new());
        let mut huge = sale("r-1", 5);
        huge.detail.as_mut().unwrap().payments[0].amount = AMOUNT_MAX + 1;
        let events = vec![foreign, sale("r-1", 1), stray, bare, huge];
        let failures = fold_batch(&ports(database.clone()), events).await;
        let kinds: Vec<_> =
            failures.iter().map(|f| (f.position, matches!(f.error, tillstream_app::Error::Bug(_)))).collect();
        assert_eq!(kinds, [(0, true), (2, true), (3, false), (4, true)]);
        figures_are_right(&database, &[sale("r-1", 1)]).unwrap();
    });
}

/// An event that contradicts its order is parked; one whose order cannot be read now comes again.
#[test]
fn an_event_that_contradicts_its_order_is_poison() {
    run(async {
        let database = Arc::new(MemoryDatabase::new());
        let environment = Arc::new(TestEnvironment::new(3));
        let shop = Shop::open(database.clone(), environment.clone()).await.unwrap();
        shop.product(STORE, "A", "1.00", 9).await.unwrap();
        shop.ready("r-1", "c-1", &[("A", 1)]).await.unwrap();
        shop.finalize("r-1", "c-1").await.unwrap();
        let mut bare = sale("r-1", 2);
        bare.order_id = "c-1".into();
        bare.detail = None;
        let record = serde_json::to_vec(&bare).unwrap();
        let faulty = Arc::new(FaultyDatabase::new(database));
        faulty.fail_next(Operation::GetMany, Fault::Refused);
        let ports = Ports { database: faulty, environment };
        let failed = fold_records(&ports, &[&record]).await;
        assert!(matches!(failed[&0], Failure::Transient(_)), "{failed:?}");
        let failed = fold_records(&ports, &[&record]).await;
        let Failure::Poison(why) = &failed[&0] else { panic!("{failed:?}") };
        assert!(why.contains("another lane number"), "{why}");
    });
}

/// An event too large for the stream comes without its lines.
#[test]
fn an_event_without_lines_is_counted_by_those_of_its_order() {
    run(async {
        let database = Arc::new(MemoryDatabase::new());
        let shop = Shop::open(database.clone(), Arc::new(TestEnvironment::new(3))).await.unwrap();
        for sku in ["A", "B"] {
            shop.product(STORE, sku, "1.00", 9).await.unwrap();
        }
        shop.ready("r-1", "c-1", &[("A", 1), ("B", 2)]).await.unwrap();
        shop.finalize("r-1", "c-1").await.unwrap();
        let orders = database.items(Table::Orders);
        let order = orders.iter().find(|item| item.opt_number("lane_number").is_some()).unwrap();
        let whole = sale_event(&shop.scope, &cart_of(order).unwrap()).unwrap();
        let elsewhere = Arc::new(MemoryDatabase::new());
        fold_all(&ports(elsewhere.clone()), std::slice::from_ref(&whole)).await;
        fold_all(&shop.ports, &[SaleEvent { detail: None, ..whole }]).await;
        assert_eq!(content(&database), content(&elsewhere));
    });
}

#[test]
fn a_page_that_is_busy_is_written_after_a_wait() {
    run(async {
        let database = Arc::new(MemoryDatabase::new());
        let environment = Arc::new(TestEnvironment::new(3));
        let faulty = Arc::new(FaultyDatabase::new(database.clone()));
        // How the day is paged is fixed; its first page is throttled.
        faulty.script(Operation::Write, [None, Some(Fault::Throttled)]);
        let begun = environment.now();
        fold_all(&Ports { database: faulty, environment: environment.clone() }, &[sale("r-1", 1)]).await;
        assert!(environment.now() > begun);
        figures_are_right(&database, &[sale("r-1", 1)]).unwrap();
    });
}
