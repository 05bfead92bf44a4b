//! An approval is used once, whatever happens at once and whatever fails.

use super::*;

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn of_twenty_commands_at_once_one_uses_the_approval() {
    let world = Arc::new(World::in_time(TestEnvironment::real(5)).await);
    world.cart("c").await;
    world.granted("line", override_of("c")).await;
    world.granted("back", blind(500)).await;
    type Sent = (&'static str, &'static str, fn(usize) -> Value);
    let kinds: [Sent; 2] = [
        ("line", "add_line_item", |_| line("c", "line")),
        (
            "back",
            "start_return",
            |n| json!({"return_id": format!("b-{n}"), "reason": "x", "approval_id": "back"}),
        ),
    ];
    for (id, action, payload) in kinds {
        let tasks: Vec<_> = (0..20)
            .map(|n| {
                let world = world.clone();
                tokio::spawn(async move { world.till(&format!("{action}-{n}"), action, payload(n)).await })
            })
            .collect();
        let mut done = 0;
        for task in tasks {
            match task.await.unwrap() {
                Ok(_) => done += 1,
                Err(error) => assert_eq!(error.code(), Some("approval_used"), "{error}"),
            }
        }
        assert_eq!(done, 1, "{action}");
        assert_eq!(world.status(id).await, "used");
    }
    let carts = world.items().into_iter().filter(|item| item.opt_text("sk") == Some("cart"));
    let lines: i64 = carts.clone().map(|cart| cart.number("lines").unwrap()).sum();
    assert_eq!((carts.count(), lines), (2, 1), "the cart with its line, and one return");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn of_twenty_decisions_at_once_one_stands() {
    let world = Arc::new(World::in_time(TestEnvironment::real(6)).await);
    let mut request = override_of("c");
    request["approval_id"] = "ap".into();
    let asks: Vec<_> = (0..20)
        .map(|_| {
            let (world, request) = (world.clone(), request.clone());
            tokio::spawn(async move { world.ask("same", request).await.unwrap().replayed })
        })
        .collect();
    let mut made = 0;
    for one in asks {
        made += usize::from(!one.await.unwrap());
    }
    assert_eq!(made, 1, "one made it, the others say that it was made");
    let tasks: Vec<_> = (0..20)
        .map(|n| {
            let world = world.clone();
            tokio::spawn(async move { world.decide(&manager(), &format!("d-{n}"), "ap", n % 2 == 0).await })
        })
        .collect();
    let mut done = Vec::new();
    for task in tasks {
        match task.await.unwrap() {
            Ok(answer) => done.push(answer.approval.decision.unwrap().granted),
            Err(error) => assert_eq!(error.code(), Some("approval_decided"), "{error}"),
        }
    }
    assert_eq!(done.len(), 1);
    assert_eq!(world.status("ap").await, if done[0] { "granted" } else { "denied" });
}

/// Whichever call fails, the approval is used exactly where the command took effect, and a repetition brings
/// it to its end.
#[tokio::test]
async fn an_approval_is_used_exactly_where_the_command_took_effect() {
    const FAULTS: [Fault; 5] =
        [Fault::Throttled, Fault::Conflict, Fault::TimedOutBefore, Fault::AnswerLost, Fault::Refused];
    let kinds: [(&str, Value, Value); 3] = [
        ("add_line_item", override_of("c"), line("c", "ap")),
        (
            "apply_manual_discount",
            discount_of("c", json!({"kind": "percent_cart", "value": 1_000})),
            json!({"cart_id": "c", "kind": "percent_cart", "value": 1_000, "reason": "x", "approval_id": "ap"}),
        ),
        ("start_return", blind(500), json!({"return_id": "b", "reason": "x", "approval_id": "ap"})),
    ];
    for (action, request, payload) in kinds {
        let mut faults = 0;
        for operation in Operation::ALL {
            for fault in FAULTS {
                for call in 0.. {
                    let world = World::new().await;
                    world.cart("c").await;
                    let plain = json!({"cart_id": "c", "sku": "B", "quantity": 9});
                    world.till("b", "add_line_item", plain).await.unwrap();
                    world.granted("ap", request.clone()).await;
                    let before = world.items();
                    let faulty = Arc::new(FaultyDatabase::new(world.database.clone()));
                    faulty.script(operation, std::iter::repeat_n(None, call).chain([Some(fault)]));
                    let ports =
                        Ports { database: faulty.clone(), environment: world.shop.ports.environment.clone() };
                    let answer = run(&ports, "r-1", "k", action, payload.clone()).await;
                    if faulty.injected().is_empty() {
                        break;
                    }
                    faults += 1;
                    let label = format!("{action}: {fault:?} at {operation:?} {call}");
                    let took_effect = world.items() != before;
                    assert!(answer.is_err() || took_effect, "{label}");
                    let used = world.status("ap").await == "used";
                    assert_eq!(used, took_effect, "{label}: {answer:?}");
                    if let Err(error) = answer {
                        assert!(error.code().is_none(), "{label}: {error}");
                    }
                    world.till("k", action, payload.clone()).await.unwrap_or_else(|e| panic!("{label}: {e}"));
                    assert_eq!(world.status("ap").await, "used", "{label}");
                    let other = match action {
                        "start_return" => json!({"return_id": "b2", "reason": "x", "approval_id": "ap"}),
                        _ => payload.clone(),
                    };
                    assert_eq!(code(world.till("k2", action, other).await), Some("approval_used"), "{label}");
                }
            }
        }
        assert!(faults >= 10, "{action}: {faults} faults");
    }
}

#[tokio::test]
async fn asking_and_deciding_outlive_one_fault() {
    for operation in Operation::ALL {
        for fault in [Fault::Throttled, Fault::Conflict, Fault::TimedOutBefore, Fault::AnswerLost] {
            for call in 0.. {
                let world = World::new().await;
                let faulty = Arc::new(FaultyDatabase::new(world.database.clone()));
                faulty.script(operation, std::iter::repeat_n(None, call).chain([Some(fault)]));
                let ports =
                    Ports { database: faulty.clone(), environment: world.shop.ports.environment.clone() };
                let mut request = override_of("c");
                request["approval_id"] = "ap".into();
                let label = format!("{fault:?} at {operation:?} {call}");
                let sent = || serde_json::from_value(request.clone()).unwrap();
                let asked = ask(&ports, &cashier(), "k", sent()).await;
                match asked {
                    // Its own write, whose answer was lost, is no repetition.
                    Ok(answer) => assert!(!answer.replayed, "{label}"),
                    Err(Error::Retryable { .. }) => {}
                    Err(error) => panic!("{label}: {error}"),
                }
                ask(&ports, &cashier(), "k", sent()).await.unwrap_or_else(|e| panic!("{label}: {e}"));
                let none = || serde_json::from_value(json!({})).unwrap();
                match decide(&ports, &manager(), "g", "ap", true, none()).await {
                    Ok(answer) => assert!(!answer.replayed, "{label}"),
                    Err(Error::Retryable { .. }) => {}
                    Err(error) => panic!("{label}: {error}"),
                }
                let ended = faulty.injected().is_empty();
                let again = decide(&ports, &manager(), "g", "ap", true, none()).await;
                assert_eq!(again.unwrap_or_else(|e| panic!("{label}: {e}")).approval.version, 2, "{label}");
                if ended {
                    break;
                }
            }
        }
    }
}
