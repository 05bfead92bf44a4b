//! Lots on their way from one location to another.

mod closed;

use std::sync::atomic::{AtomicU64, Ordering};

use async_trait::async_trait;
use futures::future::join_all;
use tillstream_app::capacity::Operation;
use tillstream_app::stock::transfers::{self, Answer};
use tillstream_contracts::transfers::{
    CancelTransferRequest, ReceivedLine, RejectTransferRequest, RejectedLine, RejectedTo,
};
use tillstream_domain::lot_book::LOTS_MAX;
use tillstream_domain::transfer_lots::ShippedLot;
use tillstream_testkit::heard_database::{HeardDatabase, Listener};
use tillstream_testkit::interleavings::{Interleavings, Request};

use super::*;

const THERE: &str = "w-hull";

fn shipment(id: &str, (from, to): (&str, &str), lines: &[(&str, i64)]) -> TransferRequest {
    let line = |(sku, many): &(&str, i64)| TransferLineRequest { sku: (*sku).into(), quantity: whole(*many) };
    TransferRequest {
        transfer_id: Some(id.into()),
        from_location_id: from.into(),
        to_location_id: to.into(),
        lines: lines.iter().map(line).collect(),
        note: None,
    }
}

/// Ships from here to there.
async fn send(fixture: &Fixture, key: &str, lines: &[(&str, i64)]) -> Result<Answer, Error> {
    ship::ship(&fixture.ports, &fixture.caller, key, &shipment("t-1", (HERE, THERE), lines)).await
}

async fn ask(fixture: &Fixture, key: &str, asked: Asked<'_>) -> Result<Answer, Error> {
    change(&fixture.ports, &fixture.caller, key, "t-1", &asked, |_| Ok(())).await
}

/// So many of a SKU each, of these lots.
type Said<'a> = Option<&'a [(i64, Option<&'a str>)]>;

fn received(sku: &str, said: Said<'_>) -> ReceiveTransferRequest {
    let line = |(many, lot): &(i64, Option<&str>)| ReceivedLine {
        sku: sku.into(),
        quantity: whole(*many),
        damaged: None,
        lot: lot.map(Into::into),
    };
    ReceiveTransferRequest { lines: said.map(|lines| lines.iter().map(line).collect()) }
}

fn refused(sku: &str, to: RejectedTo, said: Said<'_>) -> RejectTransferRequest {
    let line = |(many, lot): &(i64, Option<&str>)| RejectedLine {
        sku: sku.into(),
        quantity: whole(*many),
        lot: lot.map(Into::into),
    };
    let lines = said.map(|lines| lines.iter().map(line).collect());
    RejectTransferRequest { lines, to, reason: "wet".into() }
}

async fn receive(fixture: &Fixture, key: &str, said: Said<'_>) -> Result<Answer, Error> {
    ask(fixture, key, Asked::Receive(&received(A, said))).await
}

async fn reject(fixture: &Fixture, key: &str, to: RejectedTo, said: Said<'_>) -> Result<Answer, Error> {
    ask(fixture, key, Asked::Reject(&refused(A, to, said))).await
}

/// Three pieces of a lot that expires soon, and nine of one that does later.
async fn two_lots(seed: u64) -> Fixture {
    let fixture = Fixture::new(seed).await;
    fixture.keep_by_lots(A).await;
    fixture.lot_in("k-1", Some("L-1"), Some(fixture.local_day(2)), 3).await.unwrap();
    fixture.lot_in("k-2", Some("L-2"), Some(fixture.local_day(4)), 9).await.unwrap();
    fixture
}

/// So many SKUs that are kept by lots, of each three pieces of its first lot and nine of its second.
async fn many(fixture: &Fixture, count: usize) -> Vec<String> {
    let skus: Vec<String> = (0..count).map(|n| format!("M{n:03}")).collect();
    for sku in &skus {
        fixture.keep_by_lots(sku).await;
        for (lot, days, many) in [("1", 2, 3), ("2", 4, 9)] {
            let lot = format!("{sku}-{lot}");
            let delivery = delivery(Some(&lot), Some(fixture.local_day(days)), many);
            let delivery = RestockRequest { sku: sku.clone(), ..delivery };
            restock(&fixture.ports, &fixture.caller, &lot, &delivery).await.unwrap();
        }
    }
    skus
}

async fn lots_of(fixture: &Fixture, location_id: &str, sku: &str) -> Vec<Line> {
    let query =
        LotQuery { sku: Some(sku.into()), location_id: Some(location_id.into()), ..LotQuery::default() };
    let found = list::list(&fixture.ports, &fixture.caller, &query).await.unwrap();
    let line = |level: tillstream_contracts::lots::LotLevel| {
        (level.lot_id, pieces(&level.on_hand), pieces(&level.quarantined))
    };
    found.items.into_iter().map(line).collect()
}

async fn prove(fixture: &Fixture, location_id: &str, sku: &str) {
    let proof = conservation::prove(&fixture.ports, &fixture.caller, location_id, sku).await.unwrap();
    assert!(proof.holds && proof.lots.as_ref().is_some_and(|lots| lots.holds), "{proof:?}");
}

#[tokio::test]
async fn what_arrives_in_parts_is_of_the_lots_in_their_order() {
    let fixture = two_lots(21).await;
    send(&fixture, "s", &[(A, 7)]).await.unwrap();
    let two: Said<'_> = Some(&[(2, None)]);
    receive(&fixture, "r-1", two).await.unwrap();
    assert_eq!(fixture.lots_at(THERE).await, [line("L-1", 2, 0)]);
    reject(&fixture, "b-1", RejectedTo::Source, two).await.unwrap();
    assert_eq!(fixture.lots().await, [line("L-1", 1, 0), line("L-2", 6, 0)]);
    reject(&fixture, "d-1", RejectedTo::Damaged, Some(&[(1, None)])).await.unwrap();
    assert!(receive(&fixture, "r-1", two).await.unwrap().replayed);
    receive(&fixture, "r-2", None).await.unwrap();
    assert_eq!(fixture.lots_at(THERE).await, [line("L-1", 2, 0), line("L-2", 2, 0)]);
    assert_eq!(fixture.lots().await, [line("L-1", 1, 0), line("L-2", 6, 0)]);
    let stock = fixture.stock(THERE, A).await;
    assert_eq!((stock.on_hand, stock.damaged, stock.in_transit), (4_000, 1_000, 0));
    fixture.check_lots().await;
    fixture.relay(|_| true).await;
    prove(&fixture, HERE, A).await;
    prove(&fixture, THERE, A).await;
    fixture.change_lot("q", "L-2", Change::Quarantine).await.unwrap();
    assert_eq!(fixture.lots_at(THERE).await, [line("L-1", 2, 0), line("L-2", 0, 2)]);
}

/// All of it goes back as the lots that left, whoever calls it off.
#[tokio::test]
async fn what_is_cancelled_is_back_as_its_lots() {
    let fixture = two_lots(22).await;
    send(&fixture, "s", &[(A, 7)]).await.unwrap();
    fixture.sell_at_till(A, "o-1", 2).await.unwrap();
    let asked = CancelTransferRequest { reason: "late".into() };
    ask(&fixture, "c", Asked::Cancel(&asked)).await.unwrap();
    assert_eq!(fixture.lots().await, [line("L-1", 3, 0), line("L-2", 7, 0)]);
    assert_eq!(fixture.stock(THERE, A).await.in_transit, 0);
    fixture.relay(|_| true).await;
    prove(&fixture, HERE, A).await;
}

#[tokio::test]
async fn who_says_which_lot_it_is_gets_that() {
    let fixture = two_lots(23).await;
    fixture.count(HERE, B, 5).await;
    send(&fixture, "s", &[(A, 7), (B, 2)]).await.unwrap();
    // One that is there, and did not leave.
    fixture.lot_in("k-3", Some("L-3"), None, 1).await.unwrap();
    let untouched = fixture.memory.items(Table::Stock);
    type Parts<'a> = &'a [(i64, Option<&'a str>)];
    let wrong: [(Parts<'_>, &str); 6] = [
        (&[(1, Some("L-3"))], "lot_not_in_transfer"),
        (&[(1, Some("L-1")), (0, Some("L-9"))], "lot_not_in_transfer"),
        (&[(5, Some("L-2"))], "above_shipped"),
        (&[(2, Some("L-2")), (1, None), (3, Some("L-2"))], "above_shipped"),
        (&[(1, Some("a/b"))], "id_malformed"),
        (&[(1, Some("4111111111111111"))], "card_number_refused"),
    ];
    for (said, expected) in wrong {
        assert_eq!(code(&receive(&fixture, "r", Some(said)).await), expected, "{said:?}");
        for to in [RejectedTo::Source, RejectedTo::Damaged] {
            assert_eq!(code(&reject(&fixture, "r", to, Some(said)).await), expected, "{said:?}");
        }
    }
    let of_b = received(B, Some(&[(1, Some("L-1"))]));
    assert_eq!(code(&ask(&fixture, "r", Asked::Receive(&of_b)).await), "lot_not_in_transfer");
    let above = refusal(receive(&fixture, "r", Some(&[(5, Some("L-2"))])).await);
    assert_eq!((above.extra["lot"].as_str(), above.extra["sku"].as_str()), (Some("L-2"), Some(A)));
    assert_eq!(above.extra["outstanding"], 4);
    let strange = refusal(receive(&fixture, "r", Some(&[(1, None), (1, Some("L-3"))])).await);
    assert_eq!(strange.errors[0].field, "lines[1].lot");
    assert_eq!(fixture.memory.items(Table::Stock), untouched);

    let said: Said<'_> = Some(&[(2, Some("L-2")), (1, None), (1, Some("L-2"))]);
    fixture.inject(|number| if number % 2 == 0 { Fault::LostAfter } else { Fault::None });
    receive(&fixture, "r-1", said).await.unwrap();
    fixture.heal();
    assert!(receive(&fixture, "r-1", said).await.unwrap().replayed);
    assert_eq!(fixture.lots_at(THERE).await, [line("L-1", 1, 0), line("L-2", 3, 0)]);
    // Of it there is one left on its way.
    assert_eq!(code(&receive(&fixture, "r-2", Some(&[(2, Some("L-2"))])).await), "above_shipped");
    reject(&fixture, "b-1", RejectedTo::Source, Some(&[(2, Some("L-1"))])).await.unwrap();
    assert_eq!(fixture.lots().await, [line("L-1", 2, 0), line("L-2", 5, 0), line("L-3", 1, 0)]);
    receive(&fixture, "r-3", None).await.unwrap();
    assert_eq!(fixture.lots_at(THERE).await, [line("L-1", 1, 0), line("L-2", 4, 0)]);
    fixture.check_lots().await;
    fixture.relay(|_| true).await;
    prove(&fixture, HERE, A).await;
    prove(&fixture, THERE, A).await;
}

/// Nobody says which lot arrived, and one on its way is recalled: it is taken for that one.
#[tokio::test]
async fn what_may_be_recalled_is_kept_aside_first() {
    let fixture = two_lots(24).await;
    send(&fixture, "s", &[(A, 7)]).await.unwrap();
    fixture.change_lot("q", "L-2", Change::Quarantine).await.unwrap();
    receive(&fixture, "r-1", Some(&[(3, None)])).await.unwrap();
    assert_eq!(fixture.lots_at(THERE).await, [line("L-2", 0, 3)]);
    receive(&fixture, "r-2", None).await.unwrap();
    assert_eq!(fixture.lots_at(THERE).await, [line("L-1", 3, 0), line("L-2", 0, 4)]);
    fixture.check_lots().await;
}

/// A line of as many lots as there may be arrives as all of them, and each is found there by a recall.
#[tokio::test]
async fn a_line_brings_all_its_lots() {
    let fixture = Fixture::new(25).await;
    fixture.keep_by_lots(A).await;
    let lot = |n: usize| format!("L-{n:02}");
    for n in 0..LOTS_MAX {
        fixture.lot_in(&format!("k-{n}"), Some(&lot(n)), None, 1).await.unwrap();
    }
    send(&fixture, "s", &[(A, i64::try_from(LOTS_MAX).unwrap())]).await.unwrap();
    fixture.change_lot("q", &lot(37), Change::Quarantine).await.unwrap();
    receive(&fixture, "r", None).await.unwrap();
    fixture.change_lot("q", &lot(5), Change::Quarantine).await.unwrap();
    let expected: Vec<Line> = (0..LOTS_MAX)
        .map(|n| if [5, 37].contains(&n) { line(&lot(n), 0, 1) } else { line(&lot(n), 1, 0) })
        .collect();
    assert_eq!(fixture.lots_at(THERE).await, expected);
    assert_eq!(fixture.lots().await, []);
    fixture.check_lots().await;
    fixture.relay(|_| true).await;
    prove(&fixture, THERE, A).await;
}

#[tokio::test]
async fn lots_arrive_also_where_the_stock_was_split() {
    let fixture = two_lots(26).await;
    fixture.count(THERE, A, 100).await;
    let laid_out = split(&fixture.ports, fixture.scope(), THERE, A, 4).await.unwrap();
    assert!(matches!(laid_out, LaidOut::Now(_)));
    send(&fixture, "s", &[(A, 7)]).await.unwrap();
    fixture.change_lot("q", "L-1", Change::Quarantine).await.unwrap();
    receive(&fixture, "r", None).await.unwrap();
    assert_eq!(fixture.lots_at(THERE).await, [line("L-1", 0, 3), line("L-2", 4, 0), unknown(100)]);
    assert_eq!(fixture.stock(THERE, A).await.layout, 0);
}

/// Where there are as many lots as may be, what is recalled is kept aside nevertheless.
#[tokio::test]
async fn what_is_recalled_has_room_everywhere() {
    let fixture = two_lots(27).await;
    for n in 0..LOTS_MAX {
        let there =
            RestockRequest { location_id: THERE.into(), ..delivery(Some(&format!("T-{n}")), None, 1) };
        restock(&fixture.ports, &fixture.caller, &format!("t-{n}"), &there).await.unwrap();
    }
    send(&fixture, "s", &[(A, 7)]).await.unwrap();
    fixture.change_lot("q", "L-1", Change::Quarantine).await.unwrap();
    receive(&fixture, "r", None).await.unwrap();
    let there = fixture.lots_at(THERE).await;
    assert_eq!(there.len(), LOTS_MAX + 2);
    assert!(there.contains(&line("L-1", 0, 3)) && there.contains(&unknown(4)), "{there:?}");
    let stock = fixture.stock(THERE, A).await;
    assert_eq!((stock.on_hand, stock.quarantined, stock.damaged), (54_000, 3_000, 0));
    fixture.check_lots().await;
    fixture.relay(|_| true).await;
    prove(&fixture, THERE, A).await;
}

/// A long shipment is cut off, a lot on its way is recalled, and then it is short: what is taken back is of the lots
/// that left, and nothing of them is remembered. The same key may succeed later, and brings the lots of that time.
#[tokio::test]
async fn a_long_shipment_that_is_taken_back_brings_its_lots_back() {
    let fixture = Fixture::new(28).await;
    let skus = many(&fixture, 60).await;
    let lines: Vec<(&str, i64)> = skus.iter().map(|sku| (sku.as_str(), 5)).collect();
    let of = |sku: &str, first: (i64, i64), second: (i64, i64)| {
        let lots = [(format!("{sku}-1"), first), (format!("{sku}-2"), second)];
        let there = lots.into_iter().filter(|(_, many)| *many != (0, 0));
        there.map(|(lot, (on_hand, aside))| line(&lot, on_hand, aside)).collect::<Vec<Line>>()
    };
    let cut_off = fixture.faulty.writes.load(Ordering::SeqCst) + 2;
    fixture.inject(move |number| if number >= cut_off { Fault::LostBefore } else { Fault::None });
    assert!(send(&fixture, "s", &lines).await.is_err());
    fixture.heal();
    assert_eq!(lots_of(&fixture, HERE, &skus[0]).await, of(&skus[0], (0, 0), (7, 0)));
    fixture.change_lot("q", "M000-1", Change::Quarantine).await.unwrap();
    fixture.sell_at_till(&skus[59], "o-1", 8).await.unwrap();
    fixture.pass(60);
    let now = fixture.environment.now();
    transfers::recover(&fixture.ports, now, 10, Timestamp::MAX).await.unwrap();
    assert_eq!(lots_of(&fixture, HERE, &skus[0]).await, of(&skus[0], (0, 3), (9, 0)));
    for sku in &skus[1..59] {
        assert_eq!(lots_of(&fixture, HERE, sku).await, of(sku, (3, 0), (9, 0)));
    }
    let left = fixture.memory.items(Table::Stock);
    assert!(left.iter().all(|item| !item.text("pk").unwrap().contains("#transfer")));
    fixture.relay(|_| true).await;
    for sku in [&skus[0], &skus[1], &skus[59]] {
        prove(&fixture, HERE, sku).await;
    }
    let more = RestockRequest { sku: skus[59].clone(), ..delivery(Some("M059-2"), None, 10) };
    restock(&fixture.ports, &fixture.caller, "more", &more).await.unwrap();
    send(&fixture, "s", &lines).await.unwrap();
    receive(&fixture, "r", None).await.unwrap();
    assert_eq!(lots_of(&fixture, THERE, &skus[0]).await, of(&skus[0], (0, 0), (5, 0)));
    for sku in &skus[1..59] {
        assert_eq!(lots_of(&fixture, THERE, sku).await, of(sku, (3, 0), (2, 0)));
    }
    assert_eq!(lots_of(&fixture, THERE, &skus[59]).await, of(&skus[59], (0, 0), (5, 0)));
    fixture.check_invariants();
}

/// How often the database was asked.
#[derive(Default)]
struct Counting {
    reads: AtomicU64,
    transactions: AtomicU64,
    reads_before_any: AtomicU64,
}

#[async_trait]
impl Listener for Counting {
    async fn called(&self, operation: Operation) {
        match operation {
            Operation::Get | Operation::GetMany | Operation::GetTogether | Operation::Query => {
                self.reads.fetch_add(1, Ordering::SeqCst);
            }
            Operation::Transact => {
                if self.transactions.fetch_add(1, Ordering::SeqCst) == 0 {
                    self.reads_before_any.store(self.reads.load(Ordering::SeqCst), Ordering::SeqCst);
                }
            }
            Operation::Write | Operation::PutMany => {}
        }
    }
}

/// The same receipt of all of a lot comes twice at once, in every order: whichever reads what the other has left is told
/// that it took effect, not that too much is received.
#[tokio::test]
async fn a_receipt_that_comes_twice_at_once_has_one_effect() {
    let orders = Interleavings::interrupted(2);
    while orders.again() {
        let fixture = two_lots(38).await;
        send(&fixture, "s", &[(A, 5)]).await.unwrap();
        let ports = orders.ports(fixture.memory.clone(), 38);
        let once = || {
            let (ports, who) = (ports.clone(), fixture.caller.clone());
            Box::pin(async move {
                let said = received(A, Some(&[(3, Some("L-1"))]));
                change(&ports, &who, "r", "t-1", &Asked::Receive(&said), |_| Ok(())).await
            }) as Request<Result<Answer, Error>>
        };
        let answers = orders.run(vec![once(), once()]);
        for answer in &answers {
            assert_eq!(code(answer), "none", "{answers:?}");
        }
        let replayed = answers.iter().flatten().filter(|answer| answer.replayed).count();
        assert_eq!(replayed, 1);
        assert_eq!(fixture.lots_at(THERE).await, [line("L-1", 3, 0)]);
    }
    assert!(orders.runs() > 50, "{}", orders.runs());
}

/// A long receipt is written down before any lot of it is looked at, and looks at many lines at once: it does not
/// take longer than a request has, and whoever is cut off is gone on with.
#[tokio::test]
async fn a_long_receipt_is_written_down_first_and_reads_many_lines_at_once() {
    let fixture = Fixture::new(29).await;
    let skus = many(&fixture, 120).await;
    let lines: Vec<(&str, i64)> = skus.iter().map(|sku| (sku.as_str(), 5)).collect();
    send(&fixture, "s", &lines).await.unwrap();
    let counting = Arc::new(Counting::default());
    let ports =
        HeardDatabase::ports_over(fixture.memory.clone(), fixture.environment.clone(), counting.clone());
    // One line says its lot: it is remembered until its turn comes.
    let mut said = received("M000", Some(&[(5, None)]));
    let named = received("M119", Some(&[(2, Some("M119-2")), (3, None)]));
    let others = skus[1..119].iter().flat_map(|sku| received(sku, Some(&[(5, None)])).lines.unwrap());
    said.lines.as_mut().unwrap().extend(others.chain(named.lines.unwrap()));
    let asked = Asked::Receive(&said);
    change(&ports, &fixture.caller, "r", "t-1", &asked, |_| Ok(())).await.unwrap();
    let [reads, transactions, before] = [&counting.reads, &counting.transactions, &counting.reads_before_any]
        .map(|count| count.load(Ordering::SeqCst));
    assert!(before <= 3, "{before}");
    assert!(transactions > 5 && reads <= transactions * 6, "{reads} reads, {transactions} transactions");
    for sku in &skus {
        let expected = [line(&format!("{sku}-1"), 3, 0), line(&format!("{sku}-2"), 2, 0)];
        assert_eq!(lots_of(&fixture, THERE, sku).await, expected);
    }
}

/// A step that names lots is cut off at any write, and the keeper goes on: of the lots that were named.
#[tokio::test]
async fn a_long_receipt_that_is_cut_off_is_of_the_lots_that_were_named() {
    for crash in 1..6 {
        let fixture = Fixture::new(30 + crash).await;
        let skus = many(&fixture, 60).await;
        let lines: Vec<(&str, i64)> = skus.iter().map(|sku| (sku.as_str(), 5)).collect();
        send(&fixture, "s", &lines).await.unwrap();
        let mut said = ReceiveTransferRequest { lines: Some(Vec::new()) };
        for sku in &skus {
            let lot = format!("{sku}-2");
            said.lines
                .as_mut()
                .unwrap()
                .extend(received(sku, Some(&[(1, Some(lot.as_str()))])).lines.unwrap());
        }
        let cut_off = fixture.faulty.writes.load(Ordering::SeqCst) + crash;
        fixture.inject(move |number| if number >= cut_off { Fault::LostBefore } else { Fault::None });
        let answer = ask(&fixture, "r", Asked::Receive(&said)).await;
        fixture.heal();
        fixture.pass(60);
        let now = fixture.environment.now();
        let taken_on = transfers::recover(&fixture.ports, now, 10, Timestamp::MAX).await.unwrap();
        assert_eq!(taken_on > 0, answer.is_err(), "crash {crash}");
        for sku in &skus {
            assert_eq!(lots_of(&fixture, THERE, sku).await, [line(&format!("{sku}-2"), 1, 0)]);
        }
        receive(&fixture, "rest", None).await.unwrap();
        let both = [line("M007-1", 3, 0), line("M007-2", 2, 0)];
        assert_eq!(lots_of(&fixture, THERE, "M007").await, both);
    }
}

/// An order, a reservation and a transfer of one name: each is noted by itself.
#[tokio::test]
async fn ids_of_several_kinds_may_be_the_same() {
    let fixture = two_lots(36).await;
    fixture.sell_at_till(A, "1001", 2).await.unwrap();
    let mut wanted = fixture::request(&[(HERE, A, 2)], 60);
    wanted.reservation_id = Some("1001".into());
    fixture.reserve("r", &wanted).await.unwrap();
    let all = CommitRequest::default();
    reservations::commit(&fixture.ports, &fixture.caller, "c", "1001", &all).await.unwrap();
    let request = shipment("1001", (HERE, THERE), &[(A, 4)]);
    ship::ship(&fixture.ports, &fixture.caller, "s", &request).await.unwrap();
    fixture.relay(|_| true).await;
    let taken = |of: &str| -> BTreeMap<Option<String>, i64> {
        let partition = fixture.scope().lots_of_reference(of, "1001");
        let items = fixture.memory.items(Table::Stock).into_iter();
        let items = items.filter(|item| item.opt_text("pk") == Some(partition.value()));
        items.map(|item| (item.opt_text("lot_id").map(Into::into), item.number("on_hand").unwrap())).collect()
    };
    let lot = |lot: &str| Some(lot.to_owned());
    assert_eq!(taken("order"), BTreeMap::from([(lot("L-1"), -2_000)]));
    assert_eq!(taken("reservation"), BTreeMap::from([(lot("L-1"), -1_000), (lot("L-2"), -1_000)]));
    let noted = fixture.memory.items(Table::Stock).into_iter();
    let noted = noted.filter(|item| item.text("pk").unwrap().contains("#lots-of#")).count();
    assert_eq!(noted, 3);
    let asked = ReceiveTransferRequest::default();
    let asked = Asked::Receive(&asked);
    change(&fixture.ports, &fixture.caller, "r", "1001", &asked, |_| Ok(())).await.unwrap();
    assert_eq!(fixture.lots_at(THERE).await, [line("L-2", 4, 0)]);
}

/// Transfers back and forth by three at once, received in parts and refused, while lots are recalled and released and
/// answers are lost: of each lot there is as much as came in, here, there and on its way.
#[tokio::test]
async fn no_lot_is_lost_on_its_way() {
    let (mut shipped, mut settled) = (0, 0);
    for seed in 0..20 {
        let fixture = Arc::new(Fixture::new(300 + seed).await);
        fixture.keep_by_lots(A).await;
        let lots = ["L-0", "L-1", "L-2", "L-3"];
        for (n, lot) in (0_i64..).zip(lots) {
            let day = Some(fixture.local_day(30 + n));
            fixture.lot_in(lot, Some(lot), day, 20).await.unwrap();
        }
        fixture.inject_by_chance(20, [Fault::LostBefore, Fault::LostAfter, Fault::Conflict]);
        let clients = (0..3).map(|client| {
            let fixture = fixture.clone();
            tokio::spawn(async move {
                let dice = |sides: u64| i64::try_from(fixture.environment.random() % sides).unwrap();
                let (mut shipped, mut settled) = (0, 0);
                for n in 0..12 {
                    let id = format!("t-{client}-{n}");
                    let ways = if dice(2) == 0 { (HERE, THERE) } else { (THERE, HERE) };
                    let request = shipment(&id, ways, &[(A, 1 + dice(9))]);
                    let key = format!("s-{id}");
                    let sent = ship::ship(&fixture.ports, &fixture.caller, &key, &request).await;
                    assert!(["none", "insufficient_stock"].contains(&code(&sent)), "{sent:?}");
                    shipped += i32::from(sent.is_ok());
                    for step in 0..3 {
                        let lot = lots[usize::try_from(dice(4)).unwrap()];
                        let said = [(1 + dice(3), (dice(2) == 0).then_some(lot))];
                        let said: Said<'_> = (dice(3) > 0).then_some(&said);
                        let (some, back) = (received(A, said), refused(A, RejectedTo::Source, said));
                        let asked = if dice(3) > 0 { Asked::Receive(&some) } else { Asked::Reject(&back) };
                        let key = format!("{step}-{id}");
                        let done =
                            change(&fixture.ports, &fixture.caller, &key, &id, &asked, |_| Ok(())).await;
                        let known = [
                            "none",
                            "transfer_not_found",
                            "transfer_closed",
                            "above_shipped",
                            "lot_not_in_transfer",
                        ];
                        assert!(known.contains(&code(&done)), "{done:?}");
                        settled += i32::from(done.is_ok());
                        if dice(6) == 0 {
                            let change = if dice(2) == 0 { Change::Quarantine } else { Change::Release };
                            let done = fixture.change_lot(&format!("q-{key}"), lot, change).await;
                            assert!(["none", "lot_status_same"].contains(&code(&done)), "{done:?}");
                        }
                    }
                }
                (shipped, settled)
            })
        });
        for done in join_all(clients).await {
            let (one, other) = done.unwrap();
            shipped += one;
            settled += other;
        }
        fixture.heal();
        fixture.pass(600);
        let now = fixture.environment.now();
        transfers::recover(&fixture.ports, now, 100, Timestamp::MAX).await.unwrap();
        recall::recover(&fixture.ports, now, 100, Timestamp::MAX).await.unwrap();
        let mut there_is: BTreeMap<Option<String>, i64> = BTreeMap::new();
        for location_id in [HERE, THERE] {
            if fixture
                .memory
                .items(Table::Stock)
                .iter()
                .any(|item| item.opt_text("pk") == Some(fixture.scope().stock(location_id, A).pk()))
            {
                for (lot, on_hand, aside) in fixture.lots_at(location_id).await {
                    *there_is.entry(lot).or_default() += on_hand + aside;
                }
            }
        }
        let items = fixture.memory.items(Table::Stock).into_iter();
        for item in items.filter(|item| item.text("pk").unwrap().contains("#transfer-lots#")) {
            for lot in item.json::<Vec<ShippedLot>>("of_line").unwrap() {
                *there_is.entry(lot.lot_id.clone()).or_default() += lot.outstanding() / 1_000;
            }
        }
        there_is.retain(|_, many| *many != 0);
        let expected: BTreeMap<_, _> = lots.map(|lot| (Some(lot.to_owned()), 20)).into();
        assert_eq!(there_is, expected, "seed {seed}");
        fixture.check_lots().await;
        fixture.relay(|_| true).await;
        prove(&fixture, HERE, A).await;
    }
    assert!(shipped > 100 && settled > 100, "{shipped} {settled}");
}
