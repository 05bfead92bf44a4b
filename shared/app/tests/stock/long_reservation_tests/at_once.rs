//! Long reservations of many at once.

use super::*;

/// Sixteen clients, two hundred lines each, of four hundred products of which there are two or three: each gets
/// all or nothing, and somebody gets something.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn many_long_ones_over_scarce_stock_are_never_half_nor_too_many() {
    for seed in 0..6 {
        let pieces = 2 + i64::try_from(seed % 2).unwrap();
        let fixture = Arc::new(Fixture::with_shelf(110 + seed, 400, pieces).await);
        let faults = Arc::new(FaultyDatabase::random(fixture.memory.clone(), seed, Rates::each(8)));
        let mut tasks = Vec::new();
        for client in 0..16_usize {
            let (caller, environment) = (fixture.caller.clone(), fixture.environment.clone());
            let ports = Ports { database: faults.clone(), environment };
            tasks.push(tokio::spawn(async move {
                // Steps that share no factor with the number of products: no two want the same.
                let step = [1, 3, 7, 9, 11, 13, 17, 19][client % 8];
                let wanted: Vec<usize> = (0..200).map(|n| (client * 25 + n * step) % 400).collect();
                let request = of_each(wanted.iter().copied(), 1, 900);
                loop {
                    match reserve(&ports, &caller, &format!("k{client}"), &request).await {
                        Ok(answer) => {
                            assert_eq!(answer.reservation.lines.len(), 200);
                            return Some(wanted);
                        }
                        Err(Error::Retryable { .. } | Error::Conflict(_)) => {}
                        Err(error) => {
                            assert_eq!(error.code(), Some("insufficient_stock"), "{error}");
                            return None;
                        }
                    }
                }
            }));
        }
        let mut held = vec![0_i64; 400];
        let mut made = 0;
        for task in tasks {
            if let Some(wanted) = task.await.unwrap() {
                made += 1;
                wanted.into_iter().for_each(|n| held[n] += 1);
            }
        }
        assert!(made >= 1, "seed {seed}: all gave up for one another");
        for (n, held) in held.iter().enumerate() {
            let stock = fixture.stock(SHOP, &sku(n)).await;
            assert_eq!(stock.reserved, held * 1_000, "seed {seed} {n}");
            assert!(*held <= pieces, "seed {seed} {n}: {held} held of {pieces}");
        }
        fixture.check_invariants();
        fixture.pass(60);
        assert_eq!(fixture.keep().await, 0, "seed {seed}");
        let headers = fixture.items_of_reservations();
        let headers = headers.iter().filter(|item| item.opt_text("sk") == Some("reservation")).count();
        assert_eq!(headers, made, "seed {seed}");
    }
}

/// Those who want the same, all of it and at once: exactly as many get it as there is of it.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn of_those_who_want_the_same_as_many_get_it_as_there_is() {
    for seed in 0..4 {
        let fixture = Arc::new(Fixture::with_shelf(120 + seed, MANY, 3).await);
        let mut tasks = Vec::new();
        for client in 0..12_usize {
            let fixture = fixture.clone();
            tasks.push(tokio::spawn(async move {
                // In any order: it is theirs, not the request's, that counts.
                let wanted: Vec<usize> = (0..MANY).map(|n| (n * 7 + client * 13) % MANY).collect();
                loop {
                    match fixture
                        .reserve(&format!("k{client}"), &of_each(wanted.iter().copied(), 1, 900))
                        .await
                    {
                        Ok(_) => return 1,
                        Err(Error::Retryable { .. } | Error::Conflict(_)) => {}
                        Err(error) => {
                            assert_eq!(error.code(), Some("insufficient_stock"), "{error}");
                            return 0;
                        }
                    }
                }
            }));
        }
        let mut made = 0;
        for task in tasks {
            made += task.await.unwrap();
        }
        assert_eq!(made, 3, "seed {seed}");
        assert_eq!(fixture.shelf(MANY, "held").await, (3, 3));
        fixture.check_invariants();
    }
}

/// The same request from many, under everything that AWS does now and then, beside the keeper: one effect.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn many_of_the_same_request_have_one_effect() {
    for seed in 0..10 {
        // Of every other one all that is on the shelf is held: who comes second finds nothing left to sell.
        let pieces = 3 + 2 * i64::try_from(seed % 2).unwrap();
        let fixture = Arc::new(Fixture::with_shelf(130 + seed, MANY, pieces).await);
        let faults = Arc::new(FaultyDatabase::random(fixture.memory.clone(), seed, Rates::each(30)));
        for asked in [Asked::Reserve, Asked::Part, Asked::Extend, Asked::Commit] {
            let mut tasks = Vec::new();
            for _ in 0..6 {
                let (caller, environment) = (fixture.caller.clone(), fixture.environment.clone());
                let ports = Ports { database: faults.clone(), environment };
                tasks.push(tokio::spawn(async move {
                    loop {
                        match asked.ask(&ports, &caller).await {
                            Err(Error::Retryable { .. } | Error::Conflict(_)) => {}
                            answer => return answer.unwrap().reservation,
                        }
                    }
                }));
            }
            let mut answers = Vec::new();
            for task in tasks {
                answers.push(task.await.unwrap());
            }
            assert!(answers.iter().all(|answer| *answer == answers[0]), "seed {seed} {asked:?}: {answers:?}");
            fixture.check_invariants();
        }
        assert_eq!(fixture.shelf(MANY, "sold").await, (pieces - 3, 0), "seed {seed}");
        fixture.at_rest("sold").await;
    }
}
