//! Coarse pages of a store: they never show, whatever comes while they are made.

use std::sync::Arc;

use proptest::prelude::*;
use tillstream_app::aggregation::coarse;
use tillstream_app::database::*;
use tillstream_contracts::events::SaleEvent;
use tillstream_testkit::made_up_sales::*;

use crate::fixture::*;

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn coarse_pages_never_show(seed in any::<u64>()) {
        run(async {
            let events = sales(seed, 40);
            let mut dice = Dice(seed | 1);
            let (fine, _) = shop().await;
            let (live, database) = shop().await;
            let mut at = 0;
            while at < events.len() {
                let next = (at + 1 + usize::try_from(dice.below(12)).unwrap()).min(events.len());
                fold_all(&fine.ports, &events[at..next]).await;
                fold_all(&live.ports, &events[at..next]).await;
                at = next;
                // A refresh that may die anywhere, may close more days, may get through only some.
                let process = Process::new(&database, u32::try_from(dice.below(40)).unwrap(), dice.below(2) == 0);
                let through = [day(0), day(1), "2010-12-31".parse().unwrap()][usize::try_from(dice.below(3)).unwrap()];
                let days = 1 + usize::try_from(dice.below(3)).unwrap();
                let _cut_off = coarse::refresh(&ports(process), &live.scope, STORE, through, days).await;
                prop_assert_eq!(answers(&live.ports).await, answers(&fine.ports).await);
            }
            let through = "2010-12-31".parse().unwrap();
            prop_assert_eq!(coarse::refresh(&live.ports, &live.scope, STORE, through, 50).await.unwrap(), 0);
            prop_assert_eq!(answers(&live.ports).await, answers(&fine.ports).await);
            let record = tillstream_app::aggregation::completeness::read(&live.ports, &live.scope, STORE).await.unwrap();
            prop_assert!(record.content.changed.is_empty());
            // Settled days are read from coarse pages: without the fine ones the answers by day stay.
            for item in database.items(Table::Analytics) {
                if item.text("sk").unwrap().starts_with("products#") {
                    let key = Key::of(&item).unwrap();
                    live.ports.database.write(Write::Delete { table: Table::Analytics, key, condition: None }).await.unwrap();
                }
            }
            prop_assert_eq!(answers(&live.ports).await, answers(&fine.ports).await);
            Ok(())
        })?;
    }

    #[test]
    fn a_refresh_beside_late_facts_loses_none(seed in any::<u64>()) {
        run(async {
            let events = sales(seed, 30);
            let (fine, _) = shop().await;
            fold_all(&fine.ports, &events).await;
            let (live, database) = shop().await;
            let through = "2010-12-31".parse().unwrap();
            let mut dice = Dice(seed | 1);
            let mut tasks = Vec::new();
            for share in events.chunks(6).map(<[SaleEvent]>::to_vec) {
                let process = ports(Process::new(&database, u32::MAX, false));
                let pause = dice.below(60);
                tasks.push(tokio::spawn(async move {
                    for _ in 0..pause {
                        tokio::task::yield_now().await;
                    }
                    let mut left = share;
                    while !left.is_empty() {
                        let failures = tillstream_app::aggregation::fold::fold_batch(&process, left.clone()).await;
                        left = failures.iter().map(|f| left[f.position].clone()).collect();
                    }
                }));
            }
            for _ in 0..2 {
                let (process, scope) = (ports(Process::new(&database, u32::MAX, false)), live.scope.clone());
                tasks.push(tokio::spawn(async move {
                    for _ in 0..6 {
                        let _lost_race = coarse::refresh(&process, &scope, STORE, through, 9).await;
                    }
                }));
            }
            for task in tasks {
                task.await.unwrap();
            }
            prop_assert_eq!(answers(&live.ports).await, answers(&fine.ports).await);
            coarse::refresh(&live.ports, &live.scope, STORE, through, 9).await.unwrap();
            prop_assert_eq!(answers(&live.ports).await, answers(&fine.ports).await);
            Ok(())
        })?;
    }
}

#[test]
fn a_month_that_ends_without_sales_is_settled_too() {
    run(async {
        let events = sales(2, 30);
        let (fine, _) = shop().await;
        let (live, database) = shop().await;
        fold_all(&fine.ports, &events).await;
        fold_all(&live.ports, &events).await;
        for through in [day(1), "2010-12-30".parse().unwrap(), "2010-12-31".parse().unwrap()] {
            assert_eq!(coarse::refresh(&live.ports, &live.scope, STORE, through, 9).await.unwrap(), 0);
            assert_eq!(answers(&live.ports).await, answers(&fine.ports).await);
        }
        // Sixteen days of which the last has no sales.
        let is_block = |item: &Item| item.text("sk").unwrap().starts_with("coarse-products#4#2010-12-01#");
        assert!(database.items(Table::Analytics).iter().any(is_block), "the block was made");
    });
}

#[test]
fn a_fact_that_comes_at_any_step_of_a_refresh_is_not_lost() {
    run(async {
        let events = sales(8, 12);
        let (fine, _) = shop().await;
        fold_all(&fine.ports, &events).await;
        let expected = answers(&fine.ports).await;
        let through = "2010-12-31".parse().unwrap();
        // The refresh closes the days, or they are closed and one was changed.
        for closed_before in [false, true] {
            let mut step = 0;
            loop {
                let (live, database) = shop().await;
                fold_all(&live.ports, &events[..5]).await;
                if closed_before {
                    coarse::refresh(&live.ports, &live.scope, STORE, through, 9).await.unwrap();
                    fold_all(&live.ports, &events[5..8]).await;
                }
                let late = if closed_before { &events[8..] } else { &events[5..] };
                let interposed = Arc::new(Interposed {
                    process: Process::new(&database, u32::MAX, false),
                    calls: 0.into(),
                    before_call: step,
                    late: late.to_vec(),
                    keeps: false,
                    expected: expected.clone(),
                });
                let _lost_race =
                    coarse::refresh(&ports(interposed.clone()), &live.scope, STORE, through, 9).await;
                if interposed.calls.load(std::sync::atomic::Ordering::SeqCst) <= step {
                    break;
                }
                assert!(answers(&live.ports).await == expected, "late facts before step {step} are lost");
                step += 1;
            }
            assert!(step > 20, "{step} steps");
        }
    });
}
