//! A death at every step of a long reservation, and a process that goes on long after.

use super::*;

/// Every database call is a place to die, before and after it took effect. What is left is finished by the same
/// request again, by the keeper alone, or by another request on the reservation; never is it half done.
#[tokio::test]
async fn a_death_at_every_step_leaves_all_or_nothing() {
    let mut deaths = 0;
    for asked in [Asked::Reserve, Asked::Part, Asked::Commit, Asked::Release, Asked::Extend] {
        for operation in [Operation::Transact, Operation::GetMany, Operation::Get, Operation::Write] {
            for fault in [Fault::DiesBefore, Fault::DiesAfter] {
                for finished_by in ["repetition", "keeper", "other"] {
                    for step in 0..60 {
                        let fixture = Fixture::with_shelf(5, MANY, 5).await;
                        if asked != Asked::Reserve {
                            Asked::Reserve.ask(&fixture.ports, &fixture.caller).await.unwrap();
                        }
                        let database = fixture.killed_at(operation, step, fault);
                        let who = fixture.caller.clone();
                        let died = fixture
                            .dying(database, |ports| async move { asked.ask(&ports, &who).await.unwrap() })
                            .await;
                        if !died {
                            break;
                        }
                        deaths += 1;
                        let label =
                            format!("{asked:?} {operation:?} {fault:?} at call {step}, {finished_by}");
                        after_a_death(&fixture, asked, finished_by, &label).await;
                    }
                }
            }
        }
    }
    assert!(deaths >= 150, "only {deaths} deaths: the test no longer reaches the steps");
}

async fn after_a_death(fixture: &Fixture, asked: Asked, finished_by: &str, label: &str) {
    let (ports, who) = (&fixture.ports, &fixture.caller);
    let [before, after] = asked.states();
    match finished_by {
        "repetition" => {
            let answer = asked.ask(ports, who).await.unwrap_or_else(|error| panic!("{label}: {error}"));
            assert_eq!(fixture.shelf(MANY, label).await, after, "{label}");
            assert_eq!(asked.ask(ports, who).await.unwrap().reservation, answer.reservation, "{label}");
        }
        "keeper" => {
            fixture.pass(60);
            fixture.keep().await;
            let stands = fixture.shelf(MANY, label).await;
            assert!([before, after].contains(&stands), "{label}: {stands:?}");
            if asked == Asked::Reserve && stands == before {
                assert!(fixture.items_of_reservations().is_empty(), "{label}");
            }
        }
        _ => {
            // Whoever comes next finds it done, or not begun.
            let read =
                reservations::extend(ports, who, "next", "v", &ExtendRequest { ttl_seconds: 2_000 }).await;
            let code = read.as_ref().err().map(|error| error.code());
            let known = match asked {
                Asked::Reserve => [None, Some(Some("reservation_not_found"))],
                Asked::Commit | Asked::Release => [None, Some(Some("reservation_not_active"))],
                Asked::Part | Asked::Extend => [None, None],
            };
            assert!(known.contains(&code), "{label}: {read:?}");
            let stands = fixture.shelf(MANY, label).await;
            let expected = match (asked, code) {
                (Asked::Part | Asked::Extend, None) => vec![before, after],
                (Asked::Reserve, Some(_)) | (Asked::Commit | Asked::Release, None) => vec![before],
                _ => vec![after],
            };
            assert!(expected.contains(&stands), "{label}: {stands:?}, {read:?}");
        }
    }
    fixture.at_rest(label).await;
    // However it ended, once all time has passed nothing is held.
    fixture.pass(200_000);
    fixture.keep().await;
    assert_eq!(fixture.shelf(MANY, label).await.1, 0, "{label}");
    fixture.check_invariants();
}

/// Who is frozen before a write and goes on much later, when others have finished or undone it and begun anew,
/// changes nothing.
#[tokio::test]
async fn who_wakes_late_does_nothing_twice() {
    let mut frozen = 0;
    for asked in [Asked::Reserve, Asked::Part, Asked::Commit, Asked::Release] {
        for operation in [Operation::Transact, Operation::Write] {
            for step in 0..12 {
                for anew in [false, true] {
                    let fixture = Fixture::with_shelf(6, MANY, 5).await;
                    let (ports, who) = (&fixture.ports, &fixture.caller);
                    if asked != Asked::Reserve {
                        Asked::Reserve.ask(ports, who).await.unwrap();
                    }
                    let database = fixture.killed_at(operation, step, Fault::Freezes);
                    let theirs =
                        Ports { database: database.clone(), environment: fixture.environment.clone() };
                    let caller = who.clone();
                    let task = tokio::spawn(async move { asked.ask(&theirs, &caller).await });
                    while database.injected().is_empty() && !task.is_finished() {
                        tokio::task::yield_now().await;
                    }
                    if database.injected().is_empty() {
                        break;
                    }
                    frozen += 1;
                    let label = format!("{asked:?} frozen in {operation:?} {step}, anew: {anew}");
                    fixture.pass(660);
                    if anew {
                        // The keeper finishes or undoes it, and the same id is used again for the same.
                        fixture.keep().await;
                        let _ = Asked::Reserve.ask(ports, who).await;
                    }
                    let ended =
                        asked.ask(ports, who).await.unwrap_or_else(|error| panic!("{label}: {error}"));
                    let stands = fixture.shelf(MANY, &label).await;
                    assert_eq!(stands, asked.states()[1], "{label}");
                    database.thaw();
                    let late = task.await.unwrap();
                    if let Ok(late) = late {
                        assert_eq!(late.reservation, ended.reservation, "{label}");
                    } else {
                        assert!(!matches!(late, Err(Error::Bug(_))), "{label}: {late:?}");
                    }
                    assert_eq!(fixture.shelf(MANY, &label).await, stands, "{label}");
                    fixture.check_invariants();
                }
            }
        }
    }
    assert!(frozen >= 20, "{frozen}");
}
