//! Kits of more components than one transaction takes: held chunk by chunk, remembered as they were asked for, sold
//! and given back whole.

use std::sync::Arc;

use tillstream_app::capacity::Operation;
use tillstream_app::catalog::items::product_item;
use tillstream_app::database::{Database, Item, Table};
use tillstream_app::stock::reserve::{Answer, reserve};
use tillstream_app::stock::{long_reservations, reservations};
use tillstream_app::{Error, Ports};
use tillstream_contracts::inventory::{CommitRequest, ExtendRequest, ReservationStatus, ReserveRequest};
use tillstream_domain::kit::KitComponent;
use tillstream_domain::product::Product;
use tillstream_domain::quantity::QuantityInput;
use tillstream_testkit::faults::{Fault, FaultyDatabase};
use tillstream_testkit::memory_database::{MemoryDatabase, item_size};

use crate::fixture::{Fixture, product, put, refusal, request};
use crate::long_reservation_tests::{SHOP, sku};

/// Five kits of twenty each, none in two of them: three chunks.
const KITS: usize = 5;
const PER_KIT: usize = 20;
const MANY: usize = KITS * PER_KIT;

fn kit_name(n: usize) -> String {
    format!("KIT-{n:04}")
}

async fn put_kit(fixture: &Fixture, name: &str, of: impl IntoIterator<Item = usize>, pieces: i64) {
    let part = |n: usize| KitComponent { sku: sku(n), quantity: QuantityInput::Whole(pieces) };
    let kit = Product { components: of.into_iter().map(part).collect(), ..product(name) };
    put(&fixture.memory, Table::Catalog, product_item(fixture.scope(), &kit).unwrap()).await;
}

/// A shop with ten of each component.
async fn shop(seed: u64) -> Fixture {
    let fixture = Fixture::with_shelf(seed, MANY, 10).await;
    for n in 0..KITS {
        put_kit(&fixture, &kit_name(n), n * PER_KIT..(n + 1) * PER_KIT, 2).await;
    }
    fixture
}

/// So many of each kit.
fn of_kits(pieces: i64) -> ReserveRequest {
    let names: Vec<String> = (0..KITS).map(kit_name).collect();
    let lines: Vec<_> = names.iter().map(|name| (SHOP, name.as_str(), pieces)).collect();
    ReserveRequest { reservation_id: Some("v".to_owned()), ..request(&lines, 600) }
}

fn part(lines: &[(&str, i64)]) -> CommitRequest {
    let lines: Vec<_> = lines.iter().map(|(sku, pieces)| (SHOP, *sku, *pieces)).collect();
    CommitRequest::from(request(&lines, 1).lines)
}

fn whole(pieces: i64) -> QuantityInput {
    QuantityInput::Whole(pieces)
}

/// Of each kit how many were committed.
fn committed(answer: &Answer) -> Vec<QuantityInput> {
    answer.reservation.kits.iter().map(|kit| kit.committed.clone()).collect()
}

fn items_of_reservations(memory: &MemoryDatabase) -> Vec<Item> {
    let is_of = |item: &Item| item.opt_text("pk").is_some_and(|pk| pk.contains("#reservation#"));
    memory.items(Table::Stock).into_iter().filter(is_of).collect()
}

#[tokio::test]
async fn long_kits_are_held_sold_in_part_and_whole_and_told_as_they_were() {
    let fixture = shop(401).await;
    let (ports, who) = (&fixture.ports, &fixture.caller);
    let wanted = ReserveRequest {
        lines: of_kits(3).lines.into_iter().chain(request(&[(SHOP, &sku(0), 1)], 1).lines).collect(),
        ..of_kits(3)
    };
    let made = fixture.reserve("k", &wanted).await.unwrap();
    assert_eq!((made.reservation.lines.len(), made.reservation.kits.len()), (MANY, KITS));
    assert_eq!(made.reservation.kits[0].components.len(), PER_KIT);
    assert_eq!(fixture.stock(SHOP, &sku(0)).await.reserved, 7_000);
    assert_eq!(fixture.stock(SHOP, &sku(99)).await.reserved, 6_000);
    fixture.check_invariants();
    assert_eq!(reservations::get(ports, who, "v").await.unwrap(), made.reservation);
    let header = items_of_reservations(&fixture.memory);
    let header = header.iter().find(|item| item.opt_text("state").is_some_and(|state| state == "active"));
    let bytes = item_size(header.unwrap());
    assert!(bytes < 1_024, "{bytes}: each chunk checks it");

    // Redefined, and gone: what is held is what was asked for.
    for n in 0..KITS {
        put_kit(&fixture, &kit_name(n), [0], 9).await;
    }
    let commit = async |key: &str, lines: &[(&str, i64)]| {
        reservations::commit(ports, who, key, "v", &part(lines)).await
    };
    let above = refusal(commit("c", &[(&sku(0), 2)]).await.unwrap_err());
    assert_eq!((above.code, &above.extra["lines"][0]["held"]), ("commit_above_held", &1.into()));
    let above = refusal(commit("c", &[("KIT-0001", 4)]).await.unwrap_err());
    assert_eq!((above.code, &above.extra["lines"][0]["held"]), ("commit_above_held", &3.into()));
    assert_eq!(refusal(commit("c", &[("KIT-9", 1)]).await.unwrap_err()).code, "line_not_reserved");

    let first = commit("c1", &[("KIT-0001", 2), (&sku(0), 1)]).await.unwrap();
    assert_eq!(first.reservation.status, ReservationStatus::Active);
    assert_eq!(committed(&first), [0, 2, 0, 0, 0].map(whole));
    let stock = fixture.stock(SHOP, &sku(20)).await;
    assert_eq!((stock.on_hand, stock.reserved), (6_000, 2_000));
    let stock = fixture.stock(SHOP, &sku(0)).await;
    assert_eq!((stock.on_hand, stock.reserved), (9_000, 6_000));
    let longer = ExtendRequest { ttl_seconds: 900 };
    let extended = reservations::extend(ports, who, "x", "v", &longer).await.unwrap();
    assert_eq!(committed(&extended), committed(&first));
    let second = commit("c2", &[("KIT-0001", 1), ("KIT-0004", 3)]).await.unwrap();
    assert_eq!(committed(&second), [0, 3, 0, 0, 3].map(whole));
    let all = reservations::commit(ports, who, "c3", "v", &CommitRequest::default()).await.unwrap();
    assert_eq!(all.reservation.status, ReservationStatus::Committed);
    assert_eq!(committed(&all), [3; KITS].map(whole));
    for n in 0..MANY {
        let stock = fixture.stock(SHOP, &sku(n)).await;
        assert_eq!((stock.on_hand, stock.reserved), (if n == 0 { 3_000 } else { 4_000 }, 0), "{n}");
    }
    // Each answers again what it answered.
    assert_eq!(fixture.reserve("k", &wanted).await.unwrap().reservation, made.reservation);
    for (key, lines, answer) in [
        ("c1", vec![("KIT-0001", 2), (&*sku(0), 1)], &first),
        ("c2", vec![("KIT-0001", 1), ("KIT-0004", 3)], &second),
    ] {
        let again = commit(key, &lines).await.unwrap();
        assert!(again.replayed && again.reservation == answer.reservation, "{key}");
    }
    fixture.at_rest("sold").await;
}

#[tokio::test]
async fn long_kits_are_refused_by_name_and_nothing_is_left_of_them() {
    let fixture = shop(402).await;
    put_kit(&fixture, "MORE", [95, 96], 1).await;
    fixture.count(SHOP, &sku(95), 9).await;
    let lines = of_kits(4).lines.into_iter().chain(request(&[(SHOP, "MORE", 2)], 1).lines).collect();
    let wanted = ReserveRequest { lines, ..of_kits(4) };
    let refused = refusal(fixture.reserve("k", &wanted).await.unwrap_err());
    assert_eq!((refused.code, refused.errors.len()), ("insufficient_stock", 1));
    let line = &refused.extra["lines"][0];
    assert_eq!(
        (&line["sku"], &line["requested"], &line["available"]),
        (&sku(95).into(), &10.into(), &9.into())
    );
    assert_eq!(line["kits"], serde_json::json!(["KIT-0004", "MORE"]));
    assert_eq!(fixture.stock(SHOP, &sku(0)).await.reserved, 0);
    assert!(items_of_reservations(&fixture.memory).is_empty(), "as if it had never been asked for");
    fixture.count(SHOP, &sku(95), 10).await;
    let made = fixture.reserve("k", &wanted).await.unwrap();
    assert_eq!(made.reservation.kits.len(), KITS + 1);
    let released = reservations::release(&fixture.ports, &fixture.caller, "r", "v").await.unwrap();
    assert_eq!(
        (released.reservation.status, committed(&released)),
        (ReservationStatus::Released, vec![whole(0); 6])
    );
    fixture.at_rest("given back").await;
    assert_eq!(fixture.stock(SHOP, &sku(95)).await.reserved, 0);
}

#[tokio::test]
async fn what_is_remembered_of_kits_is_bounded() {
    let fixture = Fixture::with_shelf(403, 1_020, 100).await;
    for n in 0..51 {
        put_kit(&fixture, &kit_name(n), n * PER_KIT..(n + 1) * PER_KIT, 1).await;
    }
    let names: Vec<String> = (0..51).map(kit_name).collect();
    let of = |count: usize| {
        let lines: Vec<_> = names[..count].iter().map(|name| (SHOP, name.as_str(), 1)).collect();
        request(&lines, 600)
    };
    let refused = refusal(fixture.reserve("k", &of(51)).await.unwrap_err());
    assert_eq!(refused.code, "too_many_lines");
    assert_eq!(fixture.reserve("k", &of(50)).await.unwrap().reservation.lines.len(), 1_000);
    // A hundred kits, all of the same two.
    let small: Vec<String> = (0..101).map(|n| format!("SMALL-{n:03}")).collect();
    for name in &small {
        put_kit(&fixture, name, [0, 1], 1).await;
    }
    let of = |count: usize| {
        // Twice the same kit is one.
        let lines: Vec<_> =
            small[..count].iter().chain(&small[..1]).map(|name| (SHOP, name.as_str(), 1)).collect();
        request(&lines, 600)
    };
    let before = fixture.memory.items(Table::Stock);
    let refused = refusal(fixture.reserve("s", &of(101)).await.unwrap_err());
    assert_eq!((refused.code, refused.errors[0].field.as_str()), ("too_many_kits", "lines"));
    assert_eq!(fixture.memory.items(Table::Stock), before);
    let fixture = Fixture::with_shelf(404, 2, 1_000).await;
    for name in &small {
        put_kit(&fixture, name, [0, 1], 1).await;
    }
    let id = fixture.reserve("s", &of(100)).await.unwrap().reservation.reservation_id;
    // Changed as often as it may be, by all of them, it is still some kilobytes.
    let lines: Vec<_> = small[..100].iter().map(|name| (name.as_str(), 1)).collect();
    reservations::commit(&fixture.ports, &fixture.caller, "c0", &id, &part(&lines[..1])).await.unwrap();
    for n in 0..90 {
        let key = format!("c{}", n + 1);
        let one = &lines[n + 1..n + 2];
        reservations::commit(&fixture.ports, &fixture.caller, &key, &id, &part(one)).await.unwrap();
    }
    let bytes = items_of_reservations(&fixture.memory).iter().map(item_size).max().unwrap();
    assert!(bytes < 40_000, "{bytes}");
}

/// Every call of making, selling in part and giving back, with every fault: all components follow or none, and the
/// same request again has its one effect.
#[tokio::test]
async fn long_kits_are_all_or_none_whatever_fails() {
    type Asked = fn(Ports, Arc<Fixture>) -> futures::future::BoxFuture<'static, Result<Answer, Error>>;
    let asked: [(&str, bool, Asked); 3] = [
        ("reserve", false, |ports, fixture| {
            Box::pin(async move { reserve(&ports, &fixture.caller, "k", &of_kits(3)).await })
        }),
        ("commit", true, |ports, fixture| {
            Box::pin(async move {
                reservations::commit(&ports, &fixture.caller, "c", "v", &part(&[("KIT-0002", 2)])).await
            })
        }),
        ("release", true, |ports, fixture| {
            Box::pin(async move { reservations::release(&ports, &fixture.caller, "r", "v").await })
        }),
    ];
    let mut faults = 0;
    for (label, is_held, ask) in asked {
        let world = async || {
            let fixture = Arc::new(shop(405).await);
            if is_held {
                fixture.reserve("k", &of_kits(3)).await.unwrap();
            }
            fixture
        };
        let figures = async |fixture: &Fixture| {
            let mut all = Vec::new();
            for n in 0..MANY {
                let stock = fixture.stock(SHOP, &sku(n)).await;
                all.push((stock.on_hand, stock.reserved));
            }
            all
        };
        let fixture = world().await;
        let expected = ask(fixture.ports.clone(), fixture.clone()).await.unwrap().reservation;
        let after = figures(&fixture).await;
        for operation in [Operation::Transact, Operation::Write, Operation::GetMany] {
            for fault in [Fault::Throttled, Fault::Conflict, Fault::TimedOutBefore, Fault::AnswerLost] {
                for call in 0.. {
                    let fixture = world().await;
                    let faulty = Arc::new(FaultyDatabase::new(fixture.memory.clone()));
                    faulty.script(operation, std::iter::repeat_n(None, call).chain([Some(fault)]));
                    let database: Arc<dyn Database> = faulty.clone();
                    let ports = Ports { database, environment: fixture.environment.clone() };
                    let answer = ask(ports, fixture.clone()).await;
                    if faulty.injected().is_empty() {
                        break;
                    }
                    faults += 1;
                    let label = format!("{label}: {fault:?} at {operation:?} {call}");
                    match answer {
                        Ok(answer) => assert_eq!(answer.reservation.kits, expected.kits, "{label}"),
                        Err(Error::Retryable { .. } | Error::Conflict(_)) => {}
                        Err(error) => panic!("{label}: {error}"),
                    }
                    let again = ask(fixture.ports.clone(), fixture.clone()).await.unwrap();
                    assert_eq!(again.reservation.kits, expected.kits, "{label}");
                    assert_eq!(figures(&fixture).await, after, "{label}");
                    let now = tillstream_app::environment::Environment::now(fixture.environment.as_ref());
                    let left =
                        long_reservations::recover(&fixture.ports, now, 10, jiff::Timestamp::MAX).await;
                    assert_eq!(left.unwrap(), 0, "{label}: something is under way");
                    fixture.check_invariants();
                }
            }
        }
    }
    assert!(faults >= 40, "{faults}");
}

/// Sixty long reservations of kits at once, over stock for five: as many as there is for, none in half.
#[tokio::test]
async fn of_many_who_want_long_kits_at_once_as_many_get_them_as_there_is() {
    let fixture = Arc::new(shop(406).await);
    let tasks: Vec<_> = (0..60)
        .map(|n| {
            let fixture = fixture.clone();
            tokio::spawn(async move {
                let wanted = ReserveRequest { reservation_id: Some(format!("v-{n}")), ..of_kits(1) };
                loop {
                    match fixture.reserve(&format!("k-{n}"), &wanted).await {
                        Err(Error::Retryable { .. } | Error::Conflict(_)) => {}
                        answer => return answer.map(|_| ()),
                    }
                }
            })
        })
        .collect();
    let mut held = 0;
    for task in tasks {
        match task.await.unwrap() {
            Ok(()) => held += 1,
            Err(error) => assert_eq!(refusal(error).code, "insufficient_stock"),
        }
    }
    // Ten of each, of which a kit takes two.
    assert_eq!(held, 5);
    assert_eq!(fixture.shelf(MANY, "held").await, (10, 10));
    fixture.check_invariants();
}
