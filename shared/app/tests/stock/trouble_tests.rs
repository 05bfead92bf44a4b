//! A database in trouble: what passes by itself is waited for, within bounds, and all else is told.

use jiff::SignedDuration;
use tillstream_app::Error;
use tillstream_app::capacity::Operation;
use tillstream_app::database::{Change, Database, Table, Write};
use tillstream_app::environment::Environment;
use tillstream_app::stock::reserve::reserve;
use tillstream_app::stock::{conservation, expiry, read, reservations, update};
use tillstream_contracts::inventory::{
    CommitRequest, ExtendRequest, StockListQuery, StockUpdateKind, StockUpdateRequest,
};
use tillstream_domain::quantity::QuantityInput;
use tillstream_testkit::faults::Fault as Trouble;

use crate::fixture::{Fault, Fixture, SKUS, refusal, request};

const SHOP: &str = "s-leeds";
const A: &str = SKUS[0];

const PASSING: [Trouble; 3] = [Trouble::Throttled, Trouble::Conflict, Trouble::TimedOutBefore];

#[tokio::test]
async fn a_request_gives_up_within_its_time_and_its_attempts() {
    let fixture = Fixture::new(1).await;
    fixture.count(SHOP, A, 10).await;
    let wanted = request(&[(SHOP, A, 1)], 60);
    // Each wait takes time.
    let (ports, database) = fixture.troubled();
    database.keep_busy("");
    let begun = fixture.environment.now();
    let gave_up = reserve(&ports, &fixture.caller, "k", &wanted).await.unwrap_err();
    assert!(matches!(gave_up, Error::Retryable { .. }), "{gave_up}");
    let took = fixture.environment.now().duration_since(begun);
    assert!((SignedDuration::from_secs(8)..SignedDuration::from_secs(9)).contains(&took), "{took}");
    // The clock stands still.
    fixture.inject(|_| Fault::Conflict);
    let before = fixture.faulty.writes.load(std::sync::atomic::Ordering::SeqCst);
    let gave_up = fixture.reserve("k", &wanted).await.unwrap_err();
    assert!(matches!(gave_up, Error::Retryable { .. }), "{gave_up}");
    assert_eq!(fixture.faulty.writes.load(std::sync::atomic::Ordering::SeqCst) - before, 200);
}

#[tokio::test]
async fn every_change_repeats_what_passes_by_itself_and_tells_what_does_not() {
    // On hand, reserved and available once it is done.
    for (what, done) in [
        ("reserve", (10, 3, 7)),
        ("commit", (8, 0, 8)),
        ("release", (10, 0, 10)),
        ("extend", (10, 2, 8)),
        ("update", (11, 2, 9)),
        ("read", (10, 0, 10)),
    ] {
        for trouble in PASSING.into_iter().chain([Trouble::Refused]) {
            let fixture = Fixture::new(2).await;
            fixture.count(SHOP, A, 10).await;
            let id = fixture.hold("held", 2, 60).await;
            if what == "read" {
                // Which frees what has expired.
                fixture.pass(60);
            }
            let before = fixture.stock(SHOP, A).await;
            let (ports, database) = fixture.troubled();
            database.fail_next(Operation::Transact, trouble);
            let (ports, who) = (&ports, &fixture.caller);
            let answer = match what {
                "reserve" => reserve(ports, who, "k", &request(&[(SHOP, A, 1)], 60)).await.map(drop),
                "commit" => {
                    reservations::commit(ports, who, "k", &id, &CommitRequest::default()).await.map(drop)
                }
                "release" => reservations::release(ports, who, "k", &id).await.map(drop),
                "extend" => {
                    let longer = ExtendRequest { ttl_seconds: 600 };
                    reservations::extend(ports, who, "k", &id, &longer).await.map(drop)
                }
                "update" => {
                    let request = StockUpdateRequest {
                        location_id: SHOP.into(),
                        sku: A.into(),
                        kind: StockUpdateKind::Delta,
                        quantity: QuantityInput::Whole(1),
                        reason: "found".into(),
                        expected_version: None,
                        lot: None,
                        expires_on: None,
                    };
                    update::update(ports, who, "k", &request, |_| Ok(())).await.map(drop)
                }
                _ => read::one(ports, who, SHOP, A).await.map(drop),
            };
            if trouble == Trouble::Refused {
                assert!(matches!(answer, Err(Error::Bug(_))), "{what}: {answer:?}");
                assert_eq!(fixture.stock(SHOP, A).await, before, "{what}");
            } else {
                answer.unwrap_or_else(|error| panic!("{what} {trouble:?}: {error}"));
                assert_eq!(fixture.pieces().await, done, "{what} {trouble:?}");
            }
        }
    }
}

#[tokio::test]
async fn an_expiry_that_is_left_too_early_harms_nobody() {
    for (trouble, is_told) in
        [(Trouble::Throttled, false), (Trouble::Conflict, false), (Trouble::Refused, true)]
    {
        let fixture = Fixture::new(3).await;
        fixture.count(SHOP, A, 10).await;
        fixture.hold("held", 2, 60).await;
        fixture.pass(60);
        let (ports, database) = fixture.troubled();
        // The hold is freed in a transaction; the write after it notes when the next one ends.
        database.fail_next(Operation::Write, trouble);
        let level = read::one(&ports, &fixture.caller, SHOP, A).await;
        assert_eq!(level.is_err(), is_told, "{trouble:?}");
        assert_eq!(fixture.stock(SHOP, A).await.reserved, 0, "{trouble:?}");
        assert_eq!(fixture.pieces().await, (10, 0, 10));
    }
}

#[tokio::test]
async fn stock_of_which_less_is_reserved_than_is_held_can_still_be_read() {
    let fixture = Fixture::new(4).await;
    fixture.count(SHOP, A, 10).await;
    fixture.hold("held", 2, 60).await;
    let tamper = Write::Update {
        table: Table::Stock,
        key: fixture.scope().stock(SHOP, A),
        changes: vec![Change::Add("reserved", -1_000)],
        condition: None,
    };
    fixture.memory.write(tamper).await.unwrap();
    fixture.pass(60);
    let begun = fixture.environment.now();
    let (ports, _) = fixture.troubled();
    let level = read::one(&ports, &fixture.caller, SHOP, A).await.unwrap();
    assert_eq!(level.reserved, QuantityInput::Whole(1), "what the counter says");
    assert_eq!(fixture.environment.now(), begun, "waiting would not help");
    // A list never shows less than nothing reserved.
    let list = read::list(&ports, &fixture.caller, &StockListQuery::default()).await.unwrap();
    assert_eq!(list.items[0].reserved, QuantityInput::Whole(0));
}

#[tokio::test]
async fn a_sweep_counts_what_it_could_not_free() {
    let fixture = Fixture::new(5).await;
    fixture.count(SHOP, A, 10).await;
    fixture.hold("held", 2, 60).await;
    fixture.pass(60);
    let (ports, database) = fixture.troubled();
    let sweep = || {
        let now = fixture.environment.now();
        expiry::sweep_expired(&ports, now, jiff::Timestamp::MAX)
    };
    database.fail_next(Operation::Transact, Trouble::Refused);
    assert_eq!(sweep().await.unwrap(), expiry::Swept { items: 1, failed: 1 });
    assert_eq!(sweep().await.unwrap(), expiry::Swept { items: 1, failed: 0 });
    assert_eq!(fixture.stock(SHOP, A).await.reserved, 0);
}

#[tokio::test]
async fn a_look_at_all_parts_waits_for_transactions_on_them_and_tells_what_is_refused() {
    let fixture = Fixture::new(6).await;
    fixture.count(SHOP, A, 32).await;
    fixture.split(4).await;
    fixture.relay(|_| true).await;
    let (ports, database) = fixture.troubled();
    let short = || async { reserve(&ports, &fixture.caller, "k", &request(&[(SHOP, A, 33)], 60)).await };
    let proved = || async { conservation::prove(&ports, &fixture.caller, SHOP, A).await };
    for trouble in PASSING {
        database.fail_next(Operation::GetTogether, trouble);
        assert_eq!(refusal(short().await.unwrap_err()).code, "insufficient_stock", "{trouble:?}");
        database.fail_next(Operation::GetTogether, trouble);
        assert!(proved().await.unwrap().holds, "{trouble:?}");
    }
    database.fail_next(Operation::GetTogether, Trouble::Refused);
    assert!(matches!(short().await.unwrap_err(), Error::Bug(_)));
    database.fail_next(Operation::GetTogether, Trouble::Refused);
    assert!(matches!(proved().await.unwrap_err(), Error::Bug(_)));
    // Whole stock was never anything but one item: no transaction on it stands in the way.
    fixture.count("s-york", A, 3).await;
    database.fail_next(Operation::GetTogether, Trouble::Conflict);
    assert!(conservation::prove(&ports, &fixture.caller, "s-york", A).await.unwrap().holds);
}

#[tokio::test]
async fn whole_stock_is_read_at_once_and_its_holds_only_where_they_matter() {
    let fixture = Fixture::new(7).await;
    for sku in SKUS {
        fixture.count(SHOP, sku, 10).await;
    }
    fixture.hold("held", 2, 60).await;
    let (ports, database) = fixture.troubled();
    // The list asks an index, then for all items together.
    database.script(Operation::GetMany, [None, Some(Trouble::Refused)]);
    database.script(Operation::Query, [None, Some(Trouble::Refused)]);
    let query = StockListQuery { location_id: Some(SHOP.into()), ..StockListQuery::default() };
    assert_eq!(read::list(&ports, &fixture.caller, &query).await.unwrap().items.len(), 3);
    let (ports, database) = fixture.troubled();
    database.fail_next(Operation::Query, Trouble::Refused);
    let level = read::one(&ports, &fixture.caller, SHOP, A).await.unwrap();
    assert_eq!(level.reserved, QuantityInput::Whole(2));
    // One is over; who brings stock needs none of it.
    fixture.pass(60);
    let (ports, database) = fixture.troubled();
    database.fail_next(Operation::Query, Trouble::Refused);
    let found = StockUpdateRequest {
        location_id: SHOP.into(),
        sku: A.into(),
        kind: StockUpdateKind::Delta,
        quantity: QuantityInput::Whole(1),
        reason: "found".into(),
        expected_version: None,
        lot: None,
        expires_on: None,
    };
    let updated = update::update(&ports, &fixture.caller, "k", &found, |_| Ok(())).await.unwrap().updated;
    assert_eq!(updated.stock.on_hand, QuantityInput::Whole(11));
}
