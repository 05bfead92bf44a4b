//! What a database does now and then, at every call of every command of a cart that holds: each takes effect once or
//! not at all, and so does its hold.

use tillstream_app::Ports;
use tillstream_app::database::Database;
use tillstream_testkit::faults::{Fault, FaultyDatabase, Rates};

use super::long::until_it_dies;
use super::*;

/// What is done to a cart that holds three of one product, and how many it holds of it afterwards.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Done {
    Added,
    More,
    Less,
    Removed,
    Voided,
    Sold,
}

const ALL: [(Done, i64); 6] = [
    (Done::Added, 5),
    (Done::More, 4),
    (Done::Less, 1),
    (Done::Removed, 0),
    (Done::Voided, 0),
    (Done::Sold, 0),
];

impl World {
    /// A cart that holds three, ready for what is to be done to it.
    async fn holding(seed: u64, done: Done, is_split: bool) -> World {
        let world = World::that_holds(seed, 9).await;
        if is_split {
            split(&world.shop.ports, &world.shop.scope, STORE, A, 3).await.unwrap();
        }
        world.open("c").await;
        world.add("k-1", "c", A, 3).await.unwrap();
        if done == Done::Sold {
            world.shop.command("k-2", "set_tendering", json!({"cart_id": "c"})).await.unwrap();
            let amount = json!({"amount": 300, "currency": "GBP"});
            let paid = json!({"cart_id": "c", "tender": "card", "amount": amount});
            world.shop.command("k-3", "add_payment", paid).await.unwrap();
        }
        world
    }

    async fn run(&self, done: Done) -> tillstream_app::Result<Answered> {
        match done {
            Done::Added => self.add("k", "c", A, 2).await,
            Done::More => self.change("k", "c", "l-1", 4).await,
            Done::Less => self.change("k", "c", "l-1", 1).await,
            Done::Removed => self.remove("k", "c", "l-1").await,
            Done::Voided => self.void("c").await,
            Done::Sold => self.shop.finalize("r-1", "c").await,
        }
    }

    fn over(&self, database: Arc<dyn Database>) -> World {
        let ports = Ports { database, environment: self.environment.clone() };
        World { shop: Shop { ports, scope: self.shop.scope.clone() }, ..self.clone() }
    }

    /// Sends a command until it is answered.
    async fn insist(&self, cart: &str, action: &str, payload: Value) -> tillstream_app::Result<Answered> {
        let key = format!("{cart}-{action}-{payload}");
        let key: String = key.chars().filter(char::is_ascii_alphanumeric).take(100).collect();
        loop {
            match self.shop.command(&key, action, payload.clone()).await {
                Err(Error::Conflict(_) | Error::Retryable { .. }) => {}
                answered => return answered,
            }
        }
    }

    async fn came_out(&self, done: Done, held: i64, label: &str) {
        let on_hand = if done == Done::Sold { 6 } else { 9 };
        assert_eq!(self.pieces(A).await, (on_hand, held, on_hand - held), "{label}");
    }
}

#[tokio::test]
async fn a_fault_at_any_call_of_any_command_is_outlived() {
    let mut injected = 0;
    for (done, held) in ALL {
        for is_split in [false, true] {
            for operation in [Operation::GetMany, Operation::Transact] {
                for fault in [Fault::Throttled, Fault::Conflict, Fault::TimedOutBefore, Fault::AnswerLost] {
                    for step in 0..8 {
                        let world = World::holding(30, done, is_split).await;
                        let faulty = Arc::new(FaultyDatabase::new(world.database.clone()));
                        faulty.script(operation, std::iter::repeat_n(None, step).chain([Some(fault)]));
                        let label = format!("{done:?} {is_split} {operation:?} {fault:?} at {step}");
                        match world.over(faulty.clone()).run(done).await {
                            Ok(_) => world.came_out(done, held, &label).await,
                            Err(Error::Retryable { .. }) => {}
                            Err(error) => panic!("{label}: {error}"),
                        }
                        if faulty.injected().is_empty() {
                            break;
                        }
                        injected += 1;
                        world.run(done).await.unwrap_or_else(|error| panic!("{label}: {error}"));
                        assert!(world.run(done).await.unwrap().replayed, "{label}");
                        world.came_out(done, held, &label).await;
                    }
                }
            }
        }
    }
    assert!(injected >= 80, "only {injected} faults");
}

/// A process dies before or after its one transaction: what it did it did whole.
#[tokio::test]
async fn a_death_leaves_a_command_and_its_hold_done_or_not_done() {
    for (done, held) in ALL {
        for fault in [Fault::DiesBefore, Fault::DiesAfter] {
            for repeats in [true, false] {
                let world = World::holding(31, done, false).await;
                let faulty = Arc::new(FaultyDatabase::new(world.database.clone()));
                faulty.fail_next(Operation::Transact, fault);
                let dying = world.over(faulty.clone());
                until_it_dies(async move { dying.run(done).await }).await;
                let label = format!("{done:?} {fault:?} {repeats}");
                assert!(!faulty.injected().is_empty(), "{label}");
                match fault {
                    Fault::DiesBefore => assert_eq!(world.pieces(A).await, (9, 3, 6), "{label}"),
                    _ => world.came_out(done, held, &label).await,
                }
                if repeats {
                    let answer = world.run(done).await.unwrap_or_else(|error| panic!("{label}: {error}"));
                    assert_eq!(answer.replayed, fault == Fault::DiesAfter, "{label}");
                    world.came_out(done, held, &label).await;
                }
                // And nothing of it is held for ever.
                world.wait();
                world.sweep().await;
                let (on_hand, reserved, available) = world.pieces(A).await;
                assert_eq!((reserved, available), (0, on_hand), "{label}");
            }
        }
    }
}

/// Of a sale and the end of its hold at once one wins: the cart is sold its own, and nothing is given back of that.
#[tokio::test]
async fn a_sale_and_the_end_of_its_hold_at_once() {
    for seed in 32..72 {
        let world = World::holding(seed, Done::Sold, seed % 2 == 0).await;
        world.environment.advance(Duration::from_secs(u64::from(MINUTES) * 60 - 1));
        let (selling, sweeping) = (world.clone(), world.clone());
        // The one reads its clock before the end, the other after it.
        let sale = tokio::spawn(async move { selling.run(Done::Sold).await });
        let sweep = tokio::spawn(async move {
            for _ in 0..seed % 8 {
                tokio::task::yield_now().await;
            }
            sweeping.environment.advance(Duration::from_secs(1));
            sweeping.sweep().await;
        });
        sweep.await.unwrap();
        sale.await.unwrap().unwrap();
        world.sweep().await;
        assert_eq!((world.pieces(A).await, world.lines().len()), ((6, 0, 6), 0), "{seed}");
    }
}

/// The same cart by many at once: each command once, and the cart holds what it sells.
#[tokio::test]
async fn twins_of_every_command_have_one_effect() {
    for seed in 60..70 {
        for (done, held) in ALL {
            let world = World::holding(seed, done, seed % 2 == 0).await;
            let twins = (0..4).map(|_| {
                let world = world.clone();
                tokio::spawn(async move {
                    loop {
                        match world.run(done).await {
                            Err(Error::Conflict(_) | Error::Retryable { .. }) => {}
                            answered => return answered,
                        }
                    }
                })
            });
            let twins: Vec<_> = twins.collect();
            let mut first = 0;
            for twin in join_all(twins).await {
                first += usize::from(!twin.unwrap().unwrap().replayed);
            }
            // Twins of one moment are one transaction for the database, and each is told that it went through.
            assert!(first > 0, "{seed} {done:?}");
            world.came_out(done, held, &format!("{seed} {done:?}")).await;
        }
    }
}

/// Several carts at once under everything that a database does now and then.
#[tokio::test]
async fn carts_at_once_under_faults_hold_what_they_sell() {
    for seed in 80..88 {
        let world = World::that_holds(seed, 20).await;
        if seed % 2 == 0 {
            split(&world.shop.ports, &world.shop.scope, STORE, A, 4).await.unwrap();
        }
        let faulty = Arc::new(FaultyDatabase::random(world.database.clone(), seed, Rates::each(30)));
        let carts = (0..8).map(|n| {
            let world = world.over(faulty.clone());
            tokio::spawn(async move {
                let cart = format!("c-{n}");
                world.insist(&cart, "create_cart", json!({"cart_id": cart})).await.unwrap();
                let mut has = 0;
                for pieces in [1, 2, 1] {
                    let line = json!({"cart_id": cart, "sku": A, "quantity": pieces});
                    // The second of one is another line than the first: of another note.
                    let line = match pieces {
                        2 => line,
                        _ => json!({"cart_id": cart, "sku": A, "quantity": 1, "notes": format!("n-{has}")}),
                    };
                    match world.insist(&cart, "add_line_item", line).await {
                        Ok(_) => has += pieces,
                        Err(error) => assert_eq!(error.code(), Some("insufficient_stock"), "{error}"),
                    }
                }
                if n % 3 == 0 || has == 0 {
                    world.insist(&cart, "void_cart", json!({"cart_id": cart})).await.unwrap();
                    return 0;
                }
                world.insist(&cart, "set_tendering", json!({"cart_id": cart})).await.unwrap();
                let amount = json!({"amount": has * 100, "currency": "GBP"});
                let paid = json!({"cart_id": cart, "tender": "card", "amount": amount});
                world.insist(&cart, "add_payment", paid).await.unwrap();
                world.insist(&cart, "finalize_order", json!({"cart_id": cart})).await.unwrap();
                has
            })
        });
        let carts: Vec<_> = carts.collect();
        let mut sold = 0;
        for cart in join_all(carts).await {
            sold += cart.unwrap();
        }
        assert_eq!((world.pieces(A).await, world.lines().len()), ((20 - sold, 0, 20 - sold), 0), "{seed}");
    }
}

/// What a cart held was counted after it had left the shop, and is told of after: the sale stands, what less was found
/// than is held is entered, and somebody is told of both.
#[tokio::test]
async fn what_was_held_and_sold_before_a_count_is_a_task() {
    let world = World::that_holds(41, 5).await;
    world.open("c").await;
    world.add("k-1", "c", A, 3).await.unwrap();
    world.count(A, 2).await;
    assert_eq!(world.pieces(A).await, (2, 3, -1));
    let at = |key: &str, action: &str, payload: Value| envelope(STORE, "r-1", key, action, payload);
    let paid = json!({"cart_id": "c", "tender": "card", "amount": {"amount": 300, "currency": "GBP"}});
    let commands = vec![
        at("k-2", "set_tendering", json!({"cart_id": "c"})),
        at("k-3", "add_payment", paid),
        at("k-4", "finalize_order", json!({"cart_id": "c"})),
    ];
    let who = caller("demo", &[Role::Cashier, Role::StoreManager]);
    for _ in 0..2 {
        let (outcomes, _) = batch::run(&world.shop.ports, &who, commands.clone(), Timestamp::MAX).await;
        assert!(outcomes.iter().all(|(_, outcome)| outcome.is_ok()), "{outcomes:?}");
        assert_eq!(world.pieces(A).await, (0, 0, 0));
        let tasks = world.tasks().await;
        let told: Vec<_> = tasks.iter().map(|task| (task.kind, task.quantity.clone())).collect();
        let expected = [
            (ExceptionKind::BelowPromised, 1),
            (ExceptionKind::SoldBeforeCount, 3),
            (ExceptionKind::OversoldOffline, 1),
        ];
        assert_eq!(told.len(), expected.len(), "{told:?}");
        for (kind, pieces) in expected {
            assert!(told.contains(&(kind, QuantityInput::Whole(pieces))), "{kind:?} of {told:?}");
        }
    }
}
