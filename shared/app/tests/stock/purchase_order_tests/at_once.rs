//! Purchase orders of many lines and of many at once, and what dies on the way.

use super::*;

/// So many SKUs.
async fn many(fixture: &Fixture, count: usize) -> Vec<String> {
    let skus: Vec<String> = (0..count).map(|n| format!("M{n:04}")).collect();
    for sku in &skus {
        let item = product_item(fixture.scope(), &product(sku)).unwrap();
        fixture.memory.write(Write::Put { table: Table::Catalog, item, condition: None }).await.unwrap();
    }
    skus
}

fn all_of(skus: &[String], pieces: i64) -> PurchaseOrderRequest {
    let lines: Vec<(&str, i64)> = skus.iter().map(|sku| (sku.as_str(), pieces)).collect();
    request(&lines)
}

#[tokio::test]
async fn a_thousand_lines_are_ordered_and_received_by_twenty_at_once() {
    let fixture = Arc::new(fixture(8).await);
    let skus = many(&fixture, 1_000).await;
    let ordering = all_of(&skus, 7);
    let answers = join_all((0..20).map(|_| fixture.order("k-1", &ordering))).await;
    for answer in &answers {
        let answer = answer.as_ref().unwrap();
        assert_eq!(answer.order, answers[0].as_ref().unwrap().order);
        assert_eq!(answer.order.lines.len(), 1_000);
    }
    assert_eq!(answers.iter().flatten().filter(|answer| !answer.replayed).count(), 1);
    assert_eq!(fixture.look().on_order.values().sum::<i64>(), 7_000_000);
    let all = ReceivePurchaseRequest::default();
    let answers = join_all((0..20).map(|n| {
        let (fixture, all) = (fixture.clone(), all.clone());
        async move { fixture.ask_of(&format!("r-{}", n % 2), "po-1", Asked::Receive(&all)).await }
    }))
    .await;
    let (received, refused): (Vec<_>, Vec<_>) = answers.iter().partition(|answer| answer.is_ok());
    assert_eq!(received.len(), 10, "one of two keys");
    assert!(refused.into_iter().all(|answer| code(answer) == "purchase_order_closed"));
    for sku in &skus {
        assert_eq!(fixture.counts_of(sku).await, (7, 0, 0));
    }
    fixture.look();
}

#[tokio::test]
async fn of_deliveries_at_once_no_more_is_taken_than_was_ordered() {
    let fixture = Arc::new(fixture(9).await);
    fixture.order("k", &request(&[(A, 10), (B, 1)])).await.unwrap();
    let answers = join_all((0..40).map(|n| {
        let fixture = fixture.clone();
        // Each is sent twice.
        tokio::spawn(async move { fixture.receive(&format!("r-{}", n / 2), &[(A, 1, 0)]).await })
    }))
    .await;
    let answers: Vec<_> = answers.into_iter().map(Result::unwrap).collect();
    assert_eq!(answers.iter().filter(|answer| answer.is_ok()).count(), 20, "ten of twenty, each twice");
    assert!(answers.iter().all(|answer| answer.is_ok() || code(answer) == "over_delivery"));
    assert_eq!(fixture.counts_of(A).await, (10, 0, 0));
    fixture.look();
}

#[tokio::test]
async fn a_long_order_survives_a_crash_at_any_step() {
    for lost_after in [false, true] {
        for crash in 0..16 {
            let fixture = fixture(10 + crash).await;
            let skus = many(&fixture, 200).await;
            let start = fixture.faulty.writes.load(Ordering::SeqCst);
            // From one write on, nothing gets through any more: the process is gone.
            fixture.inject(move |write| match write - start {
                n if n == crash && lost_after => Fault::LostAfter,
                n if n >= crash => Fault::LostBefore,
                _ => Fault::None,
            });
            let all = ReceivePurchaseRequest::default();
            let ended = ended();
            let (half, close) = (arrived(&[(&skus[0], 1, 1), (&skus[199], 2, 0)]), Asked::Close(&ended));
            let placed = fixture.order("k-1", &all_of(&skus, 7)).await;
            if placed.is_ok() {
                let _ = fixture.ask_of("k-2", "po-1", Asked::Receive(&half)).await;
                let _ = fixture.ask_of("k-3", "po-1", Asked::Receive(&all)).await;
            }
            fixture.heal();
            fixture.look();
            fixture.pass(60);
            let (now, deadline) = later(&fixture.ports);
            purchases::recover(&fixture.ports, now, 100, deadline).await.unwrap();
            let due = fixture.memory.items(Table::Stock);
            assert!(due.iter().all(|item| item.opt_text("due_pk").is_none()), "crash at write {crash}");
            fixture.look();
            fixture.order("k-1", &all_of(&skus, 7)).await.unwrap();
            fixture.ask_of("k-2", "po-1", Asked::Receive(&half)).await.unwrap();
            fixture.ask_of("k-3", "po-1", Asked::Receive(&all)).await.unwrap();
            assert_eq!(code(&fixture.ask_of("k-4", "po-1", close).await), "purchase_order_closed");
            for sku in &skus[1..] {
                assert_eq!(fixture.counts_of(sku).await, (7, 0, 0));
            }
            assert_eq!(fixture.counts_of(&skus[0]).await, (6, 1, 0));
        }
    }
}

fn later(ports: &Ports) -> (Timestamp, Timestamp) {
    let now = ports.environment.now();
    (now, now + Duration::from_secs(60))
}

/// Ten thousand orders by chance for two locations, of a few lines and of many, by four at once, with lost answers,
/// conflicts, and processes that are gone at any step. Whoever looks at any moment finds on order what is open of
/// orders, and on the shelves what was there before and what arrived.
#[tokio::test]
async fn of_ten_thousand_orders_what_is_open_is_on_order_at_any_moment() {
    let mut orders = 0;
    for seed in 0..10_u64 {
        let fixture = Arc::new(fixture(100 + seed).await);
        let locations = ["s-leeds", HERE];
        let skus = many(&fixture, 120).await;
        let before =
            |location: &str, n: usize| if location == HERE { i64::try_from(n % 3).unwrap() } else { 0 };
        for (n, sku) in skus.iter().enumerate().filter(|(n, _)| before(HERE, *n) > 0) {
            fixture.count(HERE, sku, before(HERE, n)).await;
        }
        let opening = fixture.look().on_hand;
        fixture
            .inject_by_chance(40, [Fault::LostAfter, Fault::LostBefore, Fault::Conflict, Fault::Throttled]);
        let look = |fixture: &Fixture| {
            let books = fixture.look();
            let (received, damaged) = fixture.arrived();
            let mut shelves = opening.clone();
            for (name, quantity) in received {
                *shelves.entry(name).or_default() += quantity;
            }
            let there = |book: &Book| -> Book {
                book.iter().filter(|(_, n)| **n != 0).map(|(name, n)| (name.clone(), *n)).collect()
            };
            assert_eq!(there(&books.on_hand), there(&shelves), "on hand grows by what was received");
            assert_eq!(there(&books.damaged), there(&damaged));
        };
        let clients = (0..4_u64).map(|client| {
            let (fixture, skus, look) = (fixture.clone(), skus.clone(), &look);
            async move {
                let mut made = 0;
                for n in 0..250 {
                    let dice = |sides: u64| fixture.environment.random() % sides;
                    let at = |sides: usize| usize::try_from(dice(sides as u64)).unwrap();
                    let id = format!("po-{client}-{n}");
                    let count = if dice(50) == 0 { 50 + at(61) } else { 1 + at(3) };
                    let first = at(120);
                    let lines: Vec<(&str, i64)> = (0..count)
                        .map(|at| {
                            (skus[(first + at) % skus.len()].as_str(), 1 + i64::try_from(dice(9)).unwrap())
                        })
                        .collect();
                    let mut order = request(&lines);
                    order.purchase_order_id = Some(id.clone());
                    order.location_id = locations[at(2)].into();
                    order.supplier_id = ["sup-1", "sup-2"][at(2)].into();
                    // One that dies is asked for again, by somebody who knows nothing of it, or by nobody.
                    for _ in 0..1 + dice(2) {
                        let turns = if dice(8) == 0 { dice(40) } else { u64::MAX };
                        let placed = dies_after(turns, fixture.order(&format!("k-{id}"), &order)).await;
                        if let Some(Err(error)) = &placed {
                            assert_eq!(error.code().unwrap_or("none"), "none", "{error:?}");
                        }
                    }
                    made += 1;
                    for step in 0..3 {
                        let (sku, pieces) = lines[at(lines.len())];
                        let some = arrived(&[(
                            sku,
                            1 + i64::try_from(dice(4)).unwrap(),
                            i64::try_from(dice(2)).unwrap(),
                        )]);
                        let most = arrived(&[(sku, pieces + i64::try_from(dice(4)).unwrap(), 0)]);
                        let (all, ended) = (ReceivePurchaseRequest::default(), ended());
                        let asked = match dice(8) {
                            0 | 1 => Asked::Receive(&all),
                            2 | 3 => Asked::Receive(&some),
                            4 | 5 => Asked::Receive(&most),
                            6 => Asked::Close(&ended),
                            _ => Asked::Cancel(&ended),
                        };
                        let key = format!("{step}-{id}");
                        let turns = if dice(8) == 0 { dice(40) } else { u64::MAX };
                        let done = dies_after(turns, fixture.ask_of(&key, &id, asked)).await;
                        if let Some(Err(error)) = done {
                            let known = [
                                "none",
                                "purchase_order_not_found",
                                "purchase_order_closed",
                                "over_delivery",
                                "purchase_order_not_cancellable",
                            ];
                            assert!(known.contains(&error.code().unwrap_or("none")), "{error:?}");
                        }
                        // To look takes longer than to order.
                        if dice(20) == 0 {
                            look(&fixture);
                        }
                    }
                }
                made
            }
        });
        orders += join_all(clients).await.into_iter().sum::<u64>();
        fixture.heal();
        look(&fixture);
        fixture.pass(600);
        let (now, deadline) = later(&fixture.ports);
        purchases::recover(&fixture.ports, now, 1_000, deadline).await.unwrap();
        look(&fixture);
        let items = fixture.memory.items(Table::Stock);
        assert!(
            items.iter().all(|item| item.opt_text("due_pk").is_none()),
            "every step that began has ended"
        );
        let orders_left = items.iter().filter(|item| item.get("body").is_some());
        let statuses: BTreeSet<_> = orders_left.filter_map(|item| item.opt_text("status")).collect();
        let all = ["cancelled", "closed", "ordered", "partly_received", "received"];
        assert_eq!(statuses.into_iter().collect::<Vec<_>>(), all, "orders of all kinds are left");
        // To relay every change takes longer than all else.
        if seed == 0 {
            fixture.relay(|_| true).await;
            for sku in &skus {
                fixture.proved(HERE, sku).await;
            }
        }
        fixture.check_invariants();
    }
    assert_eq!(orders, 10_000);
}
