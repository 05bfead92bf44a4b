//! Commands of a shift, and sales, at once: each is there once, and no sale falls between two shifts.

use super::*;

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn twenty_openings_at_once_open_one_shift() {
    let (shop, _) = busy_shop(3).await;
    for round in 0..5 {
        let tasks: Vec<_> = (0..20)
            .map(|n| {
                let shop = shop.clone();
                let payload = json!({"shift_id": format!("sh-{round}-{n}"), "amount": gbp(n)});
                tokio::spawn(
                    async move { shop.command(&format!("k-{round}-{n}"), "open_till", payload).await },
                )
            })
            .collect();
        let (mut opened, mut refused) = (Vec::new(), Vec::new());
        for task in tasks {
            match task.await.unwrap() {
                Ok(answered) => opened.push(shift(&answered).id),
                Err(Error::Rejected(refusal)) => {
                    assert_eq!((refusal.kind, refusal.code), (RefusalKind::Conflict, "shift_open"));
                    refused.push(refusal.extra["shift_id"].clone());
                }
                Err(other) => panic!("{other}"),
            }
        }
        assert_eq!((opened.len(), refused.len()), (1, 19));
        assert!(refused.iter().all(|named| *named == json!(opened[0])), "{refused:?}");
        let end = json!({"shift_id": opened[0], "counted": gbp(0)});
        let z = send(&shop, &format!("z-{round}"), "close_till", end).await;
        assert_eq!(z.z_number, Some(round + 1));
    }
}

/// Movements, counts and closings at once: each is there once, or refused since the shift was closed.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn movements_at_once_are_all_kept() {
    let (shop, _) = busy_shop(5).await;
    send(&shop, "o", "open_till", json!({"shift_id": "sh", "amount": gbp(0)})).await;
    let tasks: Vec<_> = (0..20)
        .map(|n| {
            let shop = shop.clone();
            tokio::spawn(async move {
                let (action, payload) = match n {
                    19 => ("close_till", json!({"shift_id": "sh", "counted": gbp(0)})),
                    _ => ("paid_in", json!({"shift_id": "sh", "amount": gbp(1 << n), "reason": "x"})),
                };
                // A second task sends the very same.
                let key = format!("k{n}");
                let (first, second) = tokio::join!(
                    shop.command(&key, action, payload.clone()),
                    shop.command(&key, action, payload.clone())
                );
                (n, first, second)
            })
        })
        .collect();
    let mut sum = 0;
    for task in tasks {
        let (n, first, second) = task.await.unwrap();
        match (first, second) {
            (Ok(first), Ok(second)) => {
                assert_eq!(result(&first), result(&second));
                assert_ne!(first.replayed, second.replayed);
                sum += if n < 19 { 1 << n } else { 0 };
            }
            (Err(first), Err(second)) => {
                assert_eq!([first.code(), second.code()], [Some("shift_closed"); 2]);
            }
            other => panic!("{other:?}"),
        }
    }
    let (closed, _) = read::get(&shop.ports, &operator(), "sh").await.unwrap();
    assert_eq!(closed.report.unwrap().paid_in.amount, sum);
}

/// Sales and closings at once, on one register: with the setting every receipt is of one shift, and all
/// shifts add up to the lane.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn no_sale_falls_between_two_shifts() {
    for (seed, setting) in [(1, true), (2, false)] {
        let (shop, _) = busy_shop(seed).await;
        if setting {
            needs_open_shift(&shop).await;
        }
        const CARTS: usize = 40;
        for n in 0..CARTS {
            shop.ready("r-1", &format!("c-{n}"), &[("A", 1)]).await.unwrap();
        }
        send(&shop, "o-0", "open_till", json!({"shift_id": "sh-0"})).await;
        let closer = {
            let shop = shop.clone();
            tokio::spawn(async move {
                let mut last = 0;
                for n in 0..8 {
                    tokio::time::sleep(std::time::Duration::from_millis(4)).await;
                    let end = json!({"shift_id": format!("sh-{n}"), "counted": gbp(0)});
                    send(&shop, &format!("z-{n}"), "close_till", end).await;
                    tokio::task::yield_now().await;
                    last = n + 1;
                    send(&shop, &format!("o-{last}"), "open_till", json!({"shift_id": format!("sh-{last}")}))
                        .await;
                }
                last
            })
        };
        let tasks: Vec<_> = (0..CARTS)
            .map(|n| {
                let shop = shop.clone();
                tokio::spawn(async move {
                    tokio::time::sleep(std::time::Duration::from_millis(n as u64)).await;
                    // A register that has no shift at this moment asks again.
                    loop {
                        match shop.finalize("r-1", &format!("c-{n}")).await {
                            Ok(done) => return done.reply.result.receipt_number.unwrap(),
                            Err(error) if error.code() == Some("no_open_shift") => {
                                assert!(setting);
                                tokio::task::yield_now().await;
                            }
                            Err(error) => panic!("{error}"),
                        }
                    }
                })
            })
            .collect();
        let mut numbers = Vec::new();
        for task in tasks {
            numbers.push(task.await.unwrap());
        }
        let last = closer.await.unwrap();
        send(&shop, "end", "close_till", json!({"shift_id": format!("sh-{last}"), "counted": gbp(0)})).await;
        numbers.sort_unstable();
        assert_eq!(numbers, (1..=CARTS as u64).collect::<Vec<_>>());
        let (mut next, mut outside, mut sold) = (1, 0, 0);
        for n in 0..=last {
            let (view, _) = read::get(&shop.ports, &operator(), &format!("sh-{n}")).await.unwrap();
            assert_eq!(view.z_number, Some(n + 1), "Z numbers have no gap");
            let report = view.report.unwrap();
            if let (Some(first), Some(end)) = (report.first_receipt, report.last_receipt) {
                outside += first - next;
                next = end + 1;
            }
            sold += report.sales_count;
            let proved = proof::of_shift(&shop.ports, &operator(), &format!("sh-{n}")).await.unwrap();
            assert!(proved.proved, "{proved:?}");
        }
        outside += CARTS as u64 + 1 - next;
        assert_eq!(sold + outside, CARTS as u64);
        assert!(!setting || outside == 0, "{outside} receipts are of no shift");
    }
}
