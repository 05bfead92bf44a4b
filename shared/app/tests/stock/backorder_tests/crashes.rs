//! A death at any step of what is done with backorders.

use super::*;

/// What may die on its way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Doing {
    Place,
    Serve,
    CancelWaiting,
    CancelReserved,
    Follow,
}

async fn act(doing: Doing, ports: &Ports, who: &Caller) -> Result<(), Error> {
    let now = ports.environment.now();
    match doing {
        Doing::Place => backorders::place(ports, who, "b-3", &wants("b-3", 1)).await.map(|_| ()),
        Doing::Serve => backorders::serve(ports, &who.scope, (HERE, A), now).await.map(|_| ()),
        Doing::Follow => backorders::follow(ports, &who.scope, "b-0", now).await.map(|_| ()),
        Doing::CancelWaiting | Doing::CancelReserved => {
            let id = if doing == Doing::CancelWaiting { "b-1" } else { "b-0" };
            let request = CancelBackorderRequest::default();
            backorders::cancel(ports, who, "c", id, &request, |_| Ok(())).await.map(|_| ())
        }
    }
}

/// b-0 is reserved, b-1 and b-2 wait, and there is enough for b-1; b-0's reservation was sold where it is to follow it.
async fn before(doing: Doing, seed: u64) -> World {
    let world = World::new(seed).await;
    world.wait_for("b-0", 2).await;
    world.deliver(HERE, A, 2).await.unwrap();
    world.relay_all().await;
    world.wait_for("b-1", 2).await;
    world.wait_for("b-2", 2).await;
    world.deliver(HERE, A, 3).await.unwrap();
    if doing == Doing::Follow {
        world.commit("b-0").await.unwrap();
    }
    world
}

#[tokio::test]
async fn a_death_at_any_step_leaves_all_or_nothing() {
    use faults::Fault::{DiesAfter, DiesBefore};
    let all = [Doing::Place, Doing::Serve, Doing::CancelWaiting, Doing::CancelReserved, Doing::Follow];
    for doing in all {
        for fault in [DiesBefore, DiesAfter] {
            let mut deaths = 0;
            for step in 0..10 {
                let world = before(doing, 20).await;
                let mortal = Arc::new(FaultyDatabase::new(world.memory.clone()));
                mortal.script(Operation::Transact, std::iter::repeat_n(None, step).chain([Some(fault)]));
                let who = world.caller.clone();
                let died =
                    world.dying(mortal, |ports| async move { act(doing, &ports, &who).await.unwrap() }).await;
                world.check();
                if !died {
                    break;
                }
                deaths += 1;
                // Somebody does it again, and everybody else what they do.
                act(doing, &world.ports, &world.caller).await.unwrap();
                world.relay_all().await;
                world.check();
                let expected = match doing {
                    Doing::Place | Doing::Serve => {
                        [BackorderState::Reserved, BackorderState::Reserved, BackorderState::Waiting]
                    }
                    Doing::CancelWaiting => {
                        [BackorderState::Reserved, BackorderState::Cancelled, BackorderState::Reserved]
                    }
                    // Three and the two that came back are for two and two.
                    Doing::CancelReserved => {
                        [BackorderState::Cancelled, BackorderState::Reserved, BackorderState::Reserved]
                    }
                    Doing::Follow => {
                        [BackorderState::Fulfilled, BackorderState::Reserved, BackorderState::Waiting]
                    }
                };
                assert_eq!(
                    world.states(&["b-0", "b-1", "b-2"]).await,
                    expected,
                    "{doing:?} {fault:?} {step}"
                );
                if doing == Doing::Place {
                    assert_eq!(world.status("b-3").await, BackorderState::Waiting);
                    assert_eq!(world.stored("b-3").await.number, 4);
                }
            }
            assert!(deaths > 0, "{doing:?} {fault:?} never died");
        }
    }
}
