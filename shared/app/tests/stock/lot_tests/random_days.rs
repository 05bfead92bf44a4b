//! Every piece of every lot, followed over many orders of events and over days on which anything happens.

use super::*;

/// A thousand want one of ten pieces of three lots, over many orders of events: ten get one, and each piece that is
/// then sold is of exactly one lot, the first to expire first.
#[tokio::test]
async fn of_a_thousand_who_reserve_ten_pieces_in_three_lots_ten_get_one() {
    for seed in 0..12 {
        let fixture = Arc::new(Fixture::new(seed).await);
        fixture.keep_by_lots(A).await;
        for (n, (lot, days, many)) in [("C", 30, 3), ("A", 10, 3), ("B", 20, 4)].into_iter().enumerate() {
            let day = Some(fixture.local_day(days));
            fixture.lot_in(&format!("k-{n}"), Some(lot), day, many).await.unwrap();
        }
        let tasks: Vec<_> = (0..1_000)
            .map(|n| {
                let fixture = fixture.clone();
                tokio::spawn(async move {
                    let request = fixture::request(&[(HERE, A, 1)], 600);
                    loop {
                        match fixture.reserve(&format!("r-{n}"), &request).await {
                            Err(Error::Retryable { .. } | Error::Conflict(_)) => {}
                            Ok(answer) => return Some(answer.reservation.reservation_id),
                            Err(refused) => {
                                assert_eq!(refused.code(), Some("insufficient_stock"));
                                return None;
                            }
                        }
                    }
                })
            })
            .collect();
        let mut got = Vec::new();
        for task in tasks {
            got.extend(task.await.unwrap());
        }
        assert_eq!(got.len(), 10, "seed {seed}");
        let commits = got.iter().map(|id| {
            let fixture = fixture.clone();
            async move {
                let key = format!("c-{id}");
                reservations::commit(&fixture.ports, &fixture.caller, &key, id, &CommitRequest::default())
                    .await
            }
        });
        for committed in futures::future::join_all(commits).await {
            committed.unwrap();
        }
        assert_eq!(fixture.lots().await, []);
        fixture.relay(|_| true).await;
        for (lot, many) in [("A", 3), ("B", 4), ("C", 3)] {
            let sold: i64 = fixture.who_got(lot).await.iter().map(|sale| sale.2).sum();
            assert_eq!(sold, many, "seed {seed}");
        }
        follow(&fixture, A);
    }
}

/// A lot as it is known piece by piece: last moment of sale, arrival, id; for sale, kept aside.
#[derive(Debug, Default, Clone)]
struct Pieces {
    lots: BTreeMap<(bool, i64, i64, String), (i64, i64)>,
    unknown: i64,
}

impl Pieces {
    /// Which lot the next piece is of.
    fn next(&mut self) -> Option<String> {
        match self.lots.iter_mut().find(|(_, lot)| lot.0 > 0) {
            Some((key, lot)) => {
                lot.0 -= 1_000;
                Some(key.3.clone())
            }
            None => {
                self.unknown -= 1_000;
                None
            }
        }
    }
}

/// Follows the ledger of a stock item row by row, piece by piece: each row's lots add up to its counters, a sale took
/// the first piece each time, and nothing was taken of a lot while it was kept aside.
fn follow(fixture: &Fixture, sku: &str) {
    let mut known = Pieces::default();
    let mut ranks: BTreeMap<String, (bool, i64, i64)> = BTreeMap::new();
    let stock = fixture.memory.changes(Table::Stock, 0);
    for change in stock.iter().filter_map(|change| change.new.as_ref()) {
        let is_it = change.opt_text("sku") == Some(sku) && change.opt_text("location_id") == Some(HERE);
        if let Some(book) = change.opt_text("lots").filter(|_| is_it) {
            let book: serde_json::Value = serde_json::from_str(book).unwrap();
            for lot in book["l"].as_array().unwrap() {
                let until = lot["u"].as_i64();
                let rank = (until.is_none(), until.unwrap_or(0), lot["r"].as_i64().unwrap());
                ranks.insert(lot["i"].as_str().unwrap().to_owned(), rank);
            }
        }
    }
    for (row, seq) in fixture.rows_of_ledger(sku).into_iter().zip(1..) {
        assert_eq!(row.number("seq").unwrap(), seq);
        let delta = row.number("delta_on_hand").unwrap();
        let aside = row.opt_number("delta_quarantined").unwrap_or(0);
        if row.opt_text("lots").is_none() {
            known.unknown += delta;
            continue;
        }
        let changes: Vec<LotChange> = row.json("lots").unwrap();
        assert_eq!(changes.iter().map(|change| change.on_hand).sum::<i64>(), delta, "{row:?}");
        assert_eq!(changes.iter().map(|change| change.quarantined).sum::<i64>(), aside, "{row:?}");
        let kind = row.text("kind").unwrap();
        if matches!(kind, "sale" | "commit") {
            let mut expected: BTreeMap<Option<String>, i64> = BTreeMap::new();
            for _ in 0..-delta / 1_000 {
                *expected.entry(known.next()).or_default() -= 1_000;
            }
            let told: BTreeMap<_, _> =
                changes.iter().map(|change| (change.lot_id.clone(), change.on_hand)).collect();
            assert_eq!(told, expected, "{row:?}");
            continue;
        }
        for change in &changes {
            match &change.lot_id {
                None => known.unknown += change.on_hand,
                Some(lot_id) => {
                    let (never, until, received) = ranks[lot_id];
                    let key = (never, until, received, lot_id.clone());
                    let lot = known.lots.entry(key).or_default();
                    lot.0 += change.on_hand;
                    lot.1 += change.quarantined;
                    assert!(lot.0 >= 0 && lot.1 >= 0, "{row:?}");
                }
            }
        }
    }
}

/// Days of deliveries, sales, reservations, counts, recalls and turns of the day, with lost answers and crashes: the
/// lots are what is there after every step, and every piece that was sold is of one lot, in order.
#[tokio::test]
async fn random_days_leave_the_lots_that_are_there() {
    let (mut sales, mut recalls, mut expired) = (0, 0, 0);
    for seed in 0..60 {
        let fixture = Fixture::new(seed).await;
        fixture.keep_by_lots(A).await;
        fixture.count(HERE, A, 3).await;
        let random = |below: u64| i64::try_from(fixture.environment.random() % below).unwrap();
        let mut held: Vec<String> = Vec::new();
        for step in 0..80 {
            let chance = fixture.environment.random();
            // Every fifth write is lost, before or after it takes effect.
            fixture.inject(move |number| match (number.wrapping_mul(31).wrapping_add(chance)) % 10 {
                0 => Fault::LostBefore,
                1 => Fault::LostAfter,
                _ => Fault::None,
            });
            let key = format!("k-{step}");
            let lot = format!("L-{}", random(6));
            match random(12) {
                0 | 1 => {
                    // A lot has the day that its number says, from the first on.
                    let days = lot.bytes().last().map_or(0, |digit| i64::from(digit - b'0'));
                    let first: Date = "2011-01-01".parse().unwrap();
                    let known = list::one(&fixture.ports, &fixture.caller, &lot, None, None).await;
                    let day = match known {
                        Ok(known) => known.lot.expires_on,
                        Err(_) if days == 5 => None,
                        Err(_) => Some(fixture.local_day(days).max(first)),
                    };
                    fixture.lot_in(&key, Some(&lot), day, random(6) + 1).await.unwrap();
                }
                2 => drop(fixture.lot_in(&key, None, None, random(3) + 1).await.unwrap()),
                3..=5 => {
                    let now = fixture.environment.now();
                    let name =
                        tillstream_app::stock::listing::StockName { location_id: HERE.into(), sku: A.into() };
                    due::keep_aside(&fixture.ports, fixture.scope(), &name, now).await.unwrap();
                    sales += i32::from(fixture.sell_at_till(A, &key, random(3) + 1).await.is_ok());
                }
                6 => {
                    let wanted = fixture::request(&[(HERE, A, random(3) + 1)], 3_600);
                    match fixture.reserve(&key, &wanted).await {
                        Ok(answer) => held.push(answer.reservation.reservation_id),
                        Err(refused) => assert_eq!(refused.code(), Some("insufficient_stock")),
                    }
                }
                7 => {
                    if let Some(id) = held.pop() {
                        let all = CommitRequest::default();
                        let done =
                            reservations::commit(&fixture.ports, &fixture.caller, &key, &id, &all).await;
                        let expected = ["none", "insufficient_stock", "reservation_expired"];
                        assert!(expected.contains(&code(&done)), "{done:?}");
                    }
                }
                8 => {
                    let change = if random(2) == 0 { Change::Quarantine } else { Change::Release };
                    let done = fixture.change_lot(&key, &lot, change).await;
                    assert!(["none", "lot_not_found", "lot_status_same"].contains(&code(&done)), "{done:?}");
                    recalls += i32::from(done.is_ok());
                }
                9 => {
                    let named = adjustment(StockUpdateKind::Delta, Some(&lot), -1 - random(2));
                    let done = fixture.adjust_lot(&key, &named).await;
                    assert!(["none", "lot_unknown", "insufficient_stock"].contains(&code(&done)), "{done:?}");
                }
                10 => {
                    let counted = adjustment(StockUpdateKind::Set, None, random(12));
                    fixture.adjust_lot(&key, &counted).await.unwrap();
                }
                _ => {
                    fixture.pass(DAY_SECONDS / 2);
                    let before = fixture.stock(HERE, A).await.quarantined;
                    let now = fixture.environment.now();
                    due::sweep(&fixture.ports, now, 10, Timestamp::MAX).await.unwrap();
                    expired += i32::from(fixture.stock(HERE, A).await.quarantined > before);
                }
            }
            fixture.heal();
            let seen = fixture.stock(HERE, A).await;
            assert!(seen.on_hand >= 0 && seen.quarantined >= 0, "seed {seed} step {step}: {seen:?}");
            fixture.check_lots().await;
        }
        fixture.relay(|_| true).await;
        follow(&fixture, A);
        let proof = conservation::prove(&fixture.ports, &fixture.caller, HERE, A).await.unwrap();
        assert!(proof.holds && proof.lots.is_none_or(|lots| lots.holds), "seed {seed}");
    }
    assert!(sales > 200 && recalls > 50 && expired >= 15, "{sales} {recalls} {expired}");
}
