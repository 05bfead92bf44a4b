//! Coarse pages over stores: they never show, whatever comes while they are made.

use std::collections::BTreeSet;
use std::sync::Arc;

use proptest::prelude::*;
use tillstream_app::Ports;
use tillstream_app::aggregation::{coarse, stored};
use tillstream_app::analytics::{products, sales as queries};
use tillstream_app::tenancy::{Role, Stores};
use tillstream_contracts::analytics::*;
use tillstream_contracts::events::SaleEvent;
use tillstream_testkit::made_up_sales::*;
use tillstream_testkit::shop::caller;

use crate::fixture::*;

/// What is summed over stores: answers that merged pages alone can give.
async fn merged_answers(ports: &Ports) -> Vec<Vec<Row>> {
    let mut all = Vec::new();
    for granularity in [Granularity::Hour, Granularity::Day, Granularity::Month] {
        for group_by in [None, Some(GroupBy::Category), Some(GroupBy::Segment)] {
            let query = SalesQuery { granularity, group_by, ..span("2010-11-25", "2010-12-04") };
            all.push(ask(ports, query).await.unwrap().rows);
        }
    }
    let query = ProductsQuery {
        from: Some("2010-11-28".into()),
        to: Some("2010-12-31".into()),
        limit: Some(200),
        ..ProductsQuery::default()
    };
    all.push(products::products(ports, &analyst(), &query, None).await.unwrap().reply.rows);
    all
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(16))]

    #[test]
    fn merged_pages_never_show(seed in any::<u64>()) {
        run(async {
            let events = sales_of_stores(seed, 16);
            let mut dice = Dice(seed | 1);
            let (fine, _) = stores().await;
            let (live, database) = stores().await;
            // The third store goes to the calendar of the others, and away again, while there are figures.
            for ports in [&fine.ports, &live.ports] {
                set_store(ports, "s-3", |store| store.time_zone = "Europe/London".into()).await;
            }
            let mut at = 0;
            while at < events.len() {
                let next = (at + 1 + usize::try_from(dice.below(12)).unwrap()).min(events.len());
                fold_all(&fine.ports, &events[at..next]).await;
                fold_all(&live.ports, &events[at..next]).await;
                at = next;
                if dice.below(4) == 0 {
                    let zone = ["Europe/London", "Europe/Lisbon"][usize::try_from(dice.below(2)).unwrap()];
                    for ports in [&fine.ports, &live.ports] {
                        set_store(ports, "s-3", |store| store.time_zone = zone.into()).await;
                    }
                    prop_assert_eq!(answers(&live.ports).await, answers(&fine.ports).await);
                }
                // A run that may die anywhere, may close more days, may get through only some.
                let process = Process::new(&database, u32::try_from(dice.below(200)).unwrap(), dice.below(2) == 0);
                let through = ["2010-12-01", "2010-12-02", "2010-12-31"][usize::try_from(dice.below(3)).unwrap()];
                let days = 1 + usize::try_from(dice.below(6)).unwrap();
                let _cut_off = keep(&ports(process), through, days).await;
                prop_assert_eq!(answers(&live.ports).await, answers(&fine.ports).await);
            }
            for ports in [&fine.ports, &live.ports] {
                set_store(ports, "s-3", |store| store.time_zone = "Europe/London".into()).await;
            }
            prop_assert_eq!(answers(&live.ports).await, answers(&fine.ports).await);
            keep(&live.ports, "2010-12-31", 50).await.unwrap();
            prop_assert_eq!(keep(&live.ports, "2010-12-31", 50).await.unwrap(), 0);
            prop_assert_eq!(answers(&live.ports).await, answers(&fine.ports).await);
            // Merged days need no store's own pages.
            let taken = take_away(&live.ports, &database, |pk, sk| pk.contains("#store#") && sk != "complete").await;
            prop_assert!(taken > 0);
            prop_assert_eq!(merged_answers(&live.ports).await, merged_answers(&fine.ports).await);
            Ok(())
        })?;
    }
}

#[test]
fn a_late_order_into_a_merged_month() {
    run(async {
        let events = sales_of_stores(3, 30);
        let (fine, _) = stores().await;
        let (live, database) = stores().await;
        fold_all(&fine.ports, &events).await;
        fold_all(&live.ports, &events).await;
        assert_eq!(keep(&live.ports, "2010-12-31", 50).await.unwrap(), 0);
        let mut late = at_store("s-2", vec![sale("r-8", 1)]);
        late[0].detail.as_mut().unwrap().lines[0].gross = 77_777;
        for shop in [&fine, &live] {
            fold_all(&shop.ports, &late).await;
        }
        let expected = answers(&fine.ports).await;
        assert_eq!(answers(&live.ports).await, expected, "from the moment that it is counted");
        coarse::refresh(&live.ports, &live.scope, "s-2", "2010-12-31".parse().unwrap(), 9).await.unwrap();
        assert_eq!(answers(&live.ports).await, expected, "settled, and not merged");
        assert_eq!(keep(&live.ports, "2010-12-31", 9).await.unwrap(), 0);
        assert_eq!(answers(&live.ports).await, expected, "merged");

        // Rebuilt from nothing, coarse pages are what they were, but for how often they were written.
        let is_coarse = |key: &(String, String)| key.1.starts_with("coarse-");
        let kept: Vec<_> = content(&database).into_iter().filter(|(key, _)| is_coarse(key)).collect();
        let taken = take_away(&live.ports, &database, |_, sk| sk.starts_with("coarse-")).await;
        assert_eq!(taken, kept.len());
        for id in [STORE, "s-2", "s-3"] {
            let head = tillstream_app::aggregation::completeness::head(&live.scope, id);
            stored::change(
                &live.ports,
                &head,
                None,
                |record: &mut tillstream_app::aggregation::completeness::Completeness| {
                    record.closed_through = None;
                    record.calendar = None;
                    record.changed.clear();
                    record.unmerged.clear();
                    true
                },
            )
            .await
            .unwrap();
        }
        assert_eq!(keep(&live.ports, "2010-12-31", 50).await.unwrap(), 0);
        let again: Vec<_> = content(&database).into_iter().filter(|(key, _)| is_coarse(key)).collect();
        assert_eq!(again, kept);
    });
}

#[test]
fn a_fact_that_comes_at_any_step_of_a_merge_is_not_lost() {
    run(async {
        let events = sales_of_stores(8, 6);
        let (fine, _) = stores().await;
        fold_all(&fine.ports, &events).await;
        let expected = answers(&fine.ports).await;
        let locations = [store(&fine.ports, STORE).await, store(&fine.ports, "s-2").await];
        for merged_before in [false, true] {
            let mut step = 0;
            loop {
                let (live, database) = stores().await;
                fold_all(&live.ports, &events[..9]).await;
                if merged_before {
                    keep(&live.ports, "2010-12-31", 50).await.unwrap();
                }
                fold_all(&live.ports, &events[9..13]).await;
                for id in [STORE, "s-2"] {
                    coarse::refresh(&live.ports, &live.scope, id, "2010-12-31".parse().unwrap(), 50)
                        .await
                        .unwrap();
                }
                let interposed = Arc::new(Interposed {
                    process: Process::new(&database, u32::MAX, false),
                    calls: 0.into(),
                    before_call: step,
                    late: events[13..].to_vec(),
                    keeps: false,
                    expected: expected.clone(),
                });
                let _lost_race = coarse::merge(&ports(interposed.clone()), &live.scope, &locations, 50).await;
                if interposed.calls.load(std::sync::atomic::Ordering::SeqCst) <= step {
                    break;
                }
                assert!(answers(&live.ports).await == expected, "late facts before step {step} are lost");
                // Every ninth step is followed to the end.
                if step % 9 == 0 {
                    while keep(&live.ports, "2010-12-31", 50).await.unwrap() > 0 {}
                    assert!(answers(&live.ports).await == expected, "after step {step}");
                }
                step += 1;
            }
            assert!(step > 20, "{step} steps");
        }
    });
}

#[test]
fn two_keepers_and_late_facts_lose_none() {
    run(async {
        for seed in 0..6 {
            let events = sales_of_stores(seed, 20);
            let (fine, _) = stores().await;
            fold_all(&fine.ports, &events).await;
            let (live, database) = stores().await;
            let mut dice = Dice(seed | 1);
            let mut tasks = Vec::new();
            for share in events.chunks(9).map(<[SaleEvent]>::to_vec) {
                let process = ports(Process::new(&database, u32::MAX, false));
                let pause = dice.below(400);
                tasks.push(tokio::spawn(async move {
                    for _ in 0..pause {
                        tokio::task::yield_now().await;
                    }
                    let mut left = share;
                    while !left.is_empty() {
                        let failures =
                            tillstream_app::aggregation::fold::fold_batch(&process, left.clone()).await;
                        left = failures.iter().map(|f| left[f.position].clone()).collect();
                    }
                }));
            }
            for days in [2, 50] {
                let process = ports(Process::new(&database, u32::MAX, false));
                tasks.push(tokio::spawn(async move {
                    for _ in 0..6 {
                        let _lost_race = keep(&process, "2010-12-31", days).await;
                    }
                }));
            }
            for task in tasks {
                task.await.unwrap();
            }
            let expected = answers(&fine.ports).await;
            assert_eq!(answers(&live.ports).await, expected);
            keep(&live.ports, "2010-12-31", 50).await.unwrap();
            assert_eq!(keep(&live.ports, "2010-12-31", 50).await.unwrap(), 0);
            assert_eq!(answers(&live.ports).await, expected);
        }
    });
}

#[test]
fn stores_that_come_go_and_change_their_calendar() {
    run(async {
        let events = sales_of_stores(5, 20);
        let (fine, _) = stores().await;
        let (live, database) = stores().await;
        let (third, others): (Vec<SaleEvent>, Vec<SaleEvent>) =
            events.into_iter().partition(|event| event.store_id == "s-3");
        for shop in [&fine, &live] {
            fold_all(&shop.ports, &others).await;
        }
        assert_eq!(keep(&live.ports, "2010-12-31", 50).await.unwrap(), 0);
        // A store opens, with sales on closed days; then it tells days as the others do, and not any more.
        for shop in [&fine, &live] {
            fold_all(&shop.ports, &third).await;
        }
        assert_eq!(answers(&live.ports).await, answers(&fine.ports).await);
        for zone in ["Europe/London", "Europe/Lisbon", "Europe/London"] {
            for ports in [&fine.ports, &live.ports] {
                set_store(ports, "s-3", |store| store.time_zone = zone.into()).await;
            }
            assert_eq!(answers(&live.ports).await, answers(&fine.ports).await, "before the keeper: {zone}");
            keep(&live.ports, "2010-12-31", 50).await.unwrap();
            assert_eq!(keep(&live.ports, "2010-12-31", 50).await.unwrap(), 0);
            assert_eq!(answers(&live.ports).await, answers(&fine.ports).await, "after it: {zone}");
        }
        // Who reaches one store sees one, though there are sums of all.
        let mut owner = caller(TENANT, &[Role::FranchiseOwner]);
        owner.stores = Stores::Named(BTreeSet::from(["s-2".to_owned(), "s-3".to_owned()]));
        let query = SalesQuery { granularity: Granularity::Month, ..span("2010-12-01", "2010-12-31") };
        for ports in [&fine.ports, &live.ports] {
            let reply = queries::sales(ports, &owner, &query, None).await.unwrap().reply;
            assert_eq!(
                reply.rows.iter().map(|r| r.metrics.orders + r.metrics.return_orders).sum::<u64>(),
                40
            );
        }
        // A location that is no store any more is in no answer, though it is in the sums.
        for ports in [&fine.ports, &live.ports] {
            set_store(ports, "s-3", |store| {
                store.kind = tillstream_domain::location::LocationKind::Warehouse;
            })
            .await;
        }
        assert_eq!(answers(&live.ports).await, answers(&fine.ports).await);
        assert!(take_away(&live.ports, &database, |pk, _| pk.contains("#stores#")).await > 0);
    });
}

#[test]
fn runs_at_two_days_of_a_page_do_not_undo_each_other() {
    run(async {
        let events = sales_of_stores(4, 8);
        let (second, first) = (sale_on("s-2", "r-8", 1, 1), sale_on("s-2", "r-8", 2, 0));
        let (fine, _) = stores().await;
        fold_all(&fine.ports, &events).await;
        fold_all(&fine.ports, &[second.clone(), first.clone()]).await;
        let expected = answers(&fine.ports).await;
        let locations = [store(&fine.ports, STORE).await, store(&fine.ports, "s-2").await];
        let through = "2010-12-31".parse().unwrap();
        // One run is at the second day when another does the first: of a store, of a calendar.
        for merges in [false, true] {
            let mut step = 0;
            loop {
                let (live, database) = stores().await;
                fold_all(&live.ports, &events).await;
                keep(&live.ports, "2010-12-31", 50).await.unwrap();
                fold_all(&live.ports, std::slice::from_ref(&second)).await;
                if merges {
                    coarse::refresh(&live.ports, &live.scope, "s-2", through, 50).await.unwrap();
                }
                let interposed = Arc::new(Interposed {
                    process: Process::new(&database, u32::MAX, false),
                    calls: 0.into(),
                    before_call: step,
                    late: vec![first.clone()],
                    keeps: true,
                    expected: expected.clone(),
                });
                let other = ports(interposed.clone());
                let _lost_race = match merges {
                    false => coarse::refresh(&other, &live.scope, "s-2", through, 50).await,
                    true => coarse::merge(&other, &live.scope, &locations, 50).await,
                };
                if interposed.calls.load(std::sync::atomic::Ordering::SeqCst) <= step {
                    break;
                }
                assert!(answers(&live.ports).await == expected, "before step {step}, merges: {merges}");
                step += 1;
            }
            assert!(step > 10, "{step} steps");
        }
    });
}

#[test]
fn merged_days_between_others_are_counted_once() {
    run(async {
        let (fine, _) = stores().await;
        let (live, _) = stores().await;
        let of_days = |number: u64, days: &[u64]| -> Vec<SaleEvent> {
            days.iter().map(|n| sale_on("s-2", "r-8", number + n, *n)).collect()
        };
        for shop in [&fine, &live] {
            fold_all(&shop.ports, &of_days(1, &[0, 1, 2, 3, 4])).await;
            fold_all(&shop.ports, &[sale_on(STORE, "r-1", 1, 2)]).await;
        }
        assert_eq!(keep(&live.ports, "2010-12-31", 50).await.unwrap(), 0);
        for shop in [&fine, &live] {
            fold_all(&shop.ports, &of_days(11, &[0, 3])).await;
        }
        assert_eq!(answers(&live.ports).await, answers(&fine.ports).await, "two days changed");
        coarse::refresh(&live.ports, &live.scope, "s-2", "2010-12-31".parse().unwrap(), 50).await.unwrap();
        assert_eq!(answers(&live.ports).await, answers(&fine.ports).await, "two days settled, not merged");
    });
}

/// The keeper's list of stores is read a while before, from an index: it may lack one.
#[test]
fn a_keeper_whose_list_lacks_a_store_does_not_take_it_out_of_merged_days() {
    run(async {
        let (fine, _) = stores().await;
        let (live, _) = stores().await;
        let both = |number: u64| -> Vec<SaleEvent> {
            [0, 1, 2]
                .iter()
                .flat_map(|n| [sale_on(STORE, "r-1", number + n, *n), sale_on("s-2", "r-8", number + n, *n)])
                .collect()
        };
        for shop in [&fine, &live] {
            fold_all(&shop.ports, &both(1)).await;
            fold_all(&shop.ports, &at_store("s-3", both(1).into_iter().step_by(2).collect())).await;
        }
        assert_eq!(keep(&live.ports, "2010-12-31", 50).await.unwrap(), 0);
        set_store(&live.ports, "s-3", |store| store.time_zone = "Europe/London".into()).await;
        set_store(&fine.ports, "s-3", |store| store.time_zone = "Europe/London".into()).await;
        assert_eq!(keep(&live.ports, "2010-12-31", 50).await.unwrap(), 0);
        // A late sale of one store, and a run that knows of two.
        for shop in [&fine, &live] {
            fold_all(&shop.ports, &[sale_on(STORE, "r-1", 11, 1)]).await;
        }
        let mut locations = Vec::new();
        for id in [STORE, "s-2"] {
            coarse::refresh(&live.ports, &live.scope, id, "2010-12-31".parse().unwrap(), 50).await.unwrap();
            locations.push(store(&live.ports, id).await);
        }
        let merged = coarse::merge(&live.ports, &live.scope, &locations, 50).await;
        assert!(matches!(merged, Err(tillstream_app::Error::Conflict(_))), "{merged:?}");
        assert_eq!(answers(&live.ports).await, answers(&fine.ports).await, "two of three stores listed");
        assert_eq!(keep(&live.ports, "2010-12-31", 50).await.unwrap(), 0);
        assert_eq!(answers(&live.ports).await, answers(&fine.ports).await, "all listed");
    });
}
