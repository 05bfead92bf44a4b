//! Transfers: all lines or none are shipped, each is settled once, and nothing is lost on the way.

mod random_transfers;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use futures::future::join_all;
use tillstream_app::catalog::items::product_item;
use tillstream_app::database::{Database, Table, Write};
use tillstream_app::stock::counters::Counters;
use tillstream_app::stock::split::split;
use tillstream_app::stock::transfers::settle::{Asked, change};
use tillstream_app::stock::transfers::{self, Answer, list, ship};
use tillstream_app::stock::{conservation, reserve};
use tillstream_app::tenancy::{Role, Stores};
use tillstream_app::{Error, Ports};
use tillstream_contracts::inventory::{ReserveLine, ReserveRequest};
use tillstream_contracts::transfers::{
    CancelTransferRequest, ReceiveTransferRequest, ReceivedLine, RejectTransferRequest, RejectedLine,
    RejectedTo, TransferDirection, TransferLineRequest, TransferQuery, TransferRequest, TransferStatusView,
};
use tillstream_domain::quantity::QuantityInput;

use crate::fixture::{BY_WEIGHT, Fault, Fixture, SKUS, caller, named, product};

const FROM: &str = "w-hull";
const TO: &str = "s-leeds";
const A: &str = SKUS[0];
const B: &str = SKUS[1];

fn request(lines: &[(&str, i64)]) -> TransferRequest {
    TransferRequest {
        transfer_id: Some("t-1".into()),
        from_location_id: FROM.into(),
        to_location_id: TO.into(),
        lines: lines
            .iter()
            .map(|(sku, pieces)| TransferLineRequest {
                sku: (*sku).into(),
                quantity: QuantityInput::Whole(*pieces),
            })
            .collect(),
        note: Some("pallet 7".into()),
    }
}

fn received(lines: &[(&str, i64, i64)]) -> ReceiveTransferRequest {
    let line = |(sku, quantity, damaged): &(&str, i64, i64)| ReceivedLine {
        sku: (*sku).into(),
        quantity: QuantityInput::Whole(*quantity),
        damaged: Some(QuantityInput::Whole(*damaged)),
        lot: None,
    };
    ReceiveTransferRequest { lines: Some(lines.iter().map(line).collect()) }
}

fn rejected(lines: Option<&[(&str, i64)]>, to: RejectedTo) -> RejectTransferRequest {
    let line = |(sku, quantity): &(&str, i64)| RejectedLine {
        sku: (*sku).into(),
        quantity: QuantityInput::Whole(*quantity),
        lot: None,
    };
    let lines = lines.map(|lines| lines.iter().map(line).collect());
    RejectTransferRequest { lines, to, reason: "wet".into() }
}

fn cancelled() -> CancelTransferRequest {
    CancelTransferRequest { reason: "not wanted".into() }
}

impl Fixture {
    async fn ship(&self, key: &str, request: &TransferRequest) -> Result<Answer, Error> {
        ship::ship(&self.ports, &self.caller, key, request).await
    }

    async fn ask(&self, key: &str, asked: Asked<'_>) -> Result<Answer, Error> {
        change(&self.ports, &self.caller, key, "t-1", &asked, |_| Ok(())).await
    }

    /// On hand, damaged and on its way of a SKU, in pieces.
    async fn at(&self, location_id: &str, sku: &str) -> (i64, i64, i64) {
        let stock = self.stock(location_id, sku).await;
        (stock.on_hand / 1_000, stock.damaged / 1_000, stock.in_transit / 1_000)
    }

    /// Everything of a SKU, wherever it is, by SKU.
    fn everything(&self) -> BTreeMap<String, i64> {
        let mut sums = BTreeMap::new();
        for item in self.memory.items(Table::Stock) {
            if item.opt_number("seq").is_some() {
                let stock = Counters::of(&item).unwrap();
                let sku = item.text("sku").or_else(|_| item.text("pk")).unwrap().to_owned();
                assert!(stock.in_transit >= 0 && stock.on_hand >= 0, "{item:?}");
                *sums.entry(sku).or_default() += stock.on_hand + stock.damaged + stock.in_transit;
            }
        }
        sums
    }
}

fn code(refused: &Result<Answer, Error>) -> &str {
    refused.as_ref().err().and_then(Error::code).unwrap_or("none")
}

#[tokio::test]
async fn a_transfer_is_shipped_and_settled_line_by_line() {
    let fixture = Fixture::new(1).await;
    fixture.count(FROM, A, 10).await;
    fixture.count(FROM, B, 5).await;
    let shipped = fixture.ship("k-1", &request(&[(A, 4), (B, 5), (A, 2)])).await.unwrap();
    assert_eq!(shipped.transfer.status, TransferStatusView::InTransit);
    assert_eq!((fixture.at(FROM, A).await, fixture.at(TO, A).await), ((4, 0, 0), (0, 0, 6)));
    assert_eq!(fixture.stock(TO, A).await.available, 0, "what is on its way is not for sale");

    let partly = fixture.ask("k-2", Asked::Receive(&received(&[(A, 3, 1)]))).await.unwrap();
    assert_eq!(partly.transfer.status, TransferStatusView::PartlyReceived);
    assert_eq!(fixture.at(TO, A).await, (3, 1, 2));
    let refused = rejected(Some(&[(B, 2)]), RejectedTo::Damaged);
    fixture.ask("k-3", Asked::Reject(&refused)).await.unwrap();
    assert_eq!(fixture.at(TO, B).await, (0, 2, 3));
    let back = rejected(Some(&[(B, 3)]), RejectedTo::Source);
    fixture.ask("k-4", Asked::Reject(&back)).await.unwrap();
    assert_eq!((fixture.at(FROM, B).await, fixture.at(TO, B).await), ((3, 0, 0), (0, 2, 0)));
    let all = fixture.ask("k-5", Asked::Receive(&ReceiveTransferRequest::default())).await.unwrap();
    assert_eq!((all.transfer.status, all.transfer.version), (TransferStatusView::Received, 5));
    assert_eq!(fixture.at(TO, A).await, (5, 1, 0));

    // Each request again says what it said, also what was shipped before anything arrived.
    let again = fixture.ship("k-1", &request(&[(A, 4), (B, 5), (A, 2)])).await.unwrap();
    assert_eq!((again.transfer, again.replayed), (shipped.transfer, true));
    let again = fixture.ask("k-2", Asked::Receive(&received(&[(A, 3, 1)]))).await.unwrap();
    assert_eq!((again.transfer, again.replayed), (partly.transfer, true));
    let other = fixture.ask("k-2", Asked::Receive(&received(&[(A, 3, 2)]))).await;
    assert_eq!(code(&other), "idempotency_key_reused");

    fixture.relay(|_| true).await;
    for (location, sku) in [(FROM, A), (TO, A), (FROM, B), (TO, B)] {
        let proof = conservation::prove(&fixture.ports, &fixture.caller, location, sku).await.unwrap();
        assert!(proof.holds && proof.seq_reached == proof.seq_current, "{proof:?}");
        assert_eq!(proof.sums.in_transit, QuantityInput::Whole(0));
    }
    fixture.check_invariants();
}

#[tokio::test]
async fn what_is_refused_changes_nothing() {
    let fixture = Fixture::new(2).await;
    fixture.count(FROM, A, 10).await;
    let untouched = fixture.memory.items(Table::Stock);
    let (cancelled, everything) = (cancelled(), ReceiveTransferRequest::default());
    let mut itself = request(&[(A, 1)]);
    itself.to_location_id = FROM.into();
    let mut nowhere = request(&[(A, 1)]);
    nowhere.to_location_id = "s-nowhere".into();
    let mut note = request(&[(A, 1)]);
    note.note = Some("4111 1111 1111 1111".into());
    for (request, expected) in [
        (itself, "transfer_to_itself"),
        (nowhere, "location_not_found"),
        (note, "card_number_refused"),
        (request(&[]), "lines_out_of_range"),
        (request(&[(A, 1); 1_001]), "lines_out_of_range"),
        (request(&[(A, 0)]), "quantity_invalid"),
        (request(&[(A, -1)]), "quantity_invalid"),
        (request(&[(A, 1_000_000), (A, 1_000_000)]), "quantity_invalid"),
        (request(&[("unknown", 1)]), "sku_unknown"),
        (request(&[("SERVICE", 1)]), "sku_not_stocked"),
        (request(&[(BY_WEIGHT, 1)]), "quantity_invalid"),
        (request(&[(A, 11)]), "insufficient_stock"),
        (request(&[(A, 6), (B, 1), (A, 5)]), "insufficient_stock"),
    ] {
        assert_eq!(code(&fixture.ship("k", &request).await), expected, "{request:?}");
    }
    assert_eq!(fixture.memory.items(Table::Stock), untouched);

    fixture.ship("k-1", &request(&[(A, 6)])).await.unwrap();
    let shipped = fixture.memory.items(Table::Stock);
    assert_eq!(code(&fixture.ship("k-2", &request(&[(A, 1)])).await), "transfer_exists");
    assert_eq!(code(&fixture.ship("k-1", &request(&[(A, 1)])).await), "idempotency_key_reused");
    for (lines, expected) in [
        (received(&[(A, 7, 0)]), "above_shipped"),
        (received(&[(A, 6, 1)]), "above_shipped"),
        (received(&[(A, 4, 0), (A, 3, 0)]), "above_shipped"),
        (received(&[(A, 0, 0)]), "nothing_counted"),
        (received(&[(A, -1, 2)]), "quantity_invalid"),
        (received(&[(A, 2, -1)]), "quantity_invalid"),
        (received(&[(B, 1, 0)]), "sku_not_in_transfer"),
        (received(&[]), "lines_out_of_range"),
    ] {
        assert_eq!(code(&fixture.ask("k-3", Asked::Receive(&lines)).await), expected, "{lines:?}");
    }
    let no_reason = CancelTransferRequest { reason: " ".into() };
    assert_eq!(code(&fixture.ask("k-3", Asked::Cancel(&no_reason)).await), "reason_invalid");
    let refused =
        change(&fixture.ports, &fixture.caller, "k-3", "t-2", &Asked::Cancel(&cancelled), |_| Ok(())).await;
    assert_eq!(code(&refused), "transfer_not_found");
    // The source ships and takes back, the destination settles; both may look.
    let (here, there) = (named(&[FROM]), named(&[TO]));
    for (stores, may_look, may_ship, may_receive, may_cancel) in [
        (here, true, true, false, true),
        (there, true, false, true, false),
        (named(&["s-york"]), false, false, false, false),
    ] {
        let who = caller("demo", Role::StoreManager, stores);
        let seen = transfers::get(&fixture.ports, &who, "t-1").await;
        assert_eq!(seen.is_ok(), may_look);
        let refused = |answer: Result<Answer, Error>| code(&answer) == "store_out_of_reach";
        let mut other = request(&[(A, 11)]);
        other.transfer_id = None;
        assert_eq!(!refused(ship::ship(&fixture.ports, &who, "k-9", &other).await), may_ship);
        let none = received(&[(B, 1, 0)]);
        let receive = change(&fixture.ports, &who, "k-9", "t-1", &Asked::Receive(&none), |_| Ok(())).await;
        assert_eq!(!refused(receive), may_receive);
        let mismatch = || Err(tillstream_app::Refusal::conflict("version_mismatch", "another version"));
        let cancel =
            change(&fixture.ports, &who, "k-9", "t-1", &Asked::Cancel(&cancelled), |_| mismatch()).await;
        assert_eq!(!refused(cancel), may_cancel);
    }
    let stranger = caller("other", Role::Operator, Stores::All);
    let seen = transfers::get(&fixture.ports, &stranger, "t-1").await;
    assert_eq!(seen.err().and_then(|e| e.code()), Some("transfer_not_found"));
    assert_eq!(fixture.memory.items(Table::Stock), shipped);

    fixture.ask("k-4", Asked::Receive(&received(&[(A, 1, 0)]))).await.unwrap();
    assert_eq!(code(&fixture.ask("k-5", Asked::Cancel(&cancelled)).await), "transfer_not_cancellable");
    fixture.ask("k-6", Asked::Reject(&rejected(None, RejectedTo::Source))).await.unwrap();
    let damaged = rejected(None, RejectedTo::Damaged);
    for asked in [Asked::Receive(&everything), Asked::Reject(&damaged), Asked::Cancel(&cancelled)] {
        assert_eq!(code(&fixture.ask("k-7", asked).await), "transfer_closed");
    }
    assert_eq!(fixture.at(FROM, A).await, (9, 0, 0));
}

#[tokio::test]
async fn a_cancelled_transfer_is_back_and_lists_tell_what_is_on_its_way() {
    let fixture = Fixture::new(3).await;
    fixture.count(FROM, A, 10).await;
    let mut ids = Vec::new();
    for n in 0..5 {
        let mut request = request(&[(A, 1)]);
        request.transfer_id = None;
        ids.push(fixture.ship(&format!("k-{n}"), &request).await.unwrap().transfer.transfer_id);
        fixture.pass(1);
    }
    let asked = cancelled();
    let asked = Asked::Cancel(&asked);
    let back = change(&fixture.ports, &fixture.caller, "c", &ids[1], &asked, |_| Ok(())).await.unwrap();
    assert_eq!(back.transfer.status, TransferStatusView::Cancelled);
    assert_eq!((fixture.at(FROM, A).await, fixture.at(TO, A).await), ((6, 0, 0), (0, 0, 4)));
    let listed = async |location_id: &str, direction, open| {
        let (mut found, mut cursor) = (Vec::new(), None);
        loop {
            let query = TransferQuery {
                location_id: location_id.into(),
                direction: Some(direction),
                open: Some(open),
                limit: Some(2),
                cursor: cursor.take(),
            };
            let page = list::list(&fixture.ports, &fixture.caller, &query).await.unwrap();
            found.extend(page.items.into_iter().map(|item| item.transfer_id));
            cursor = page.next_cursor;
            if cursor.is_none() {
                return found;
            }
        }
    };
    let open: Vec<String> = ids.iter().filter(|id| **id != ids[1]).cloned().collect();
    assert_eq!(listed(TO, TransferDirection::In, true).await, open);
    assert_eq!(listed(FROM, TransferDirection::Out, true).await, open);
    assert_eq!(listed(TO, TransferDirection::In, false).await, [ids[1].clone()]);
    assert_eq!(listed(FROM, TransferDirection::In, true).await, Vec::<String>::new());
}

#[tokio::test]
async fn expired_holds_and_split_stock_are_shipped_too() {
    let fixture = Fixture::new(4).await;
    fixture.count(FROM, A, 64).await;
    split(&fixture.ports, fixture.scope(), FROM, A, 16).await.unwrap();
    let hold = ReserveRequest {
        reservation_id: None,
        lines: vec![ReserveLine {
            location_id: Some(FROM.into()),
            sku: A.into(),
            quantity: QuantityInput::Whole(30),
        }],
        sourcing: None,
        ttl_seconds: 60,
        order_id: None,
    };
    reserve::reserve(&fixture.ports, &fixture.caller, "hold", &hold).await.unwrap();
    let too_many = fixture.ship("k-1", &request(&[(A, 64)])).await;
    assert_eq!(code(&too_many), "insufficient_stock");
    fixture.pass(61);
    fixture.ship("k-1", &request(&[(A, 64)])).await.unwrap();
    assert_eq!(fixture.at(TO, A).await, (0, 0, 64));
    let back = rejected(None, RejectedTo::Source);
    fixture.ask("k-2", Asked::Reject(&back)).await.unwrap();
    assert_eq!(fixture.everything()[A], 64_000);
    assert_eq!(fixture.at(TO, A).await, (0, 0, 0));
}

/// So many SKUs with ten pieces each at the source.
async fn many(fixture: &Fixture, count: usize) -> Vec<String> {
    let skus: Vec<String> = (0..count).map(|n| format!("M{n:04}")).collect();
    for sku in &skus {
        let item = product_item(fixture.scope(), &product(sku)).unwrap();
        fixture.memory.write(Write::Put { table: Table::Catalog, item, condition: None }).await.unwrap();
        fixture.count(FROM, sku, 10).await;
    }
    skus
}

fn all_of(skus: &[String], pieces: i64) -> TransferRequest {
    let lines: Vec<(&str, i64)> = skus.iter().map(|sku| (sku.as_str(), pieces)).collect();
    request(&lines)
}

#[tokio::test]
async fn a_thousand_lines_are_shipped_and_received_by_twenty_at_once() {
    let fixture = Arc::new(Fixture::new(5).await);
    let skus = many(&fixture, 1_000).await;
    let shipping = all_of(&skus, 7);
    let answers = join_all((0..20).map(|_| fixture.ship("k-1", &shipping))).await;
    for answer in &answers {
        let answer = answer.as_ref().unwrap();
        assert_eq!(answer.transfer, answers[0].as_ref().unwrap().transfer);
        assert_eq!(answer.transfer.lines.len(), 1_000);
    }
    assert_eq!(answers.iter().flatten().filter(|answer| !answer.replayed).count(), 1);
    let receipt = ReceiveTransferRequest::default();
    let answers = join_all((0..20).map(|n| {
        let fixture = fixture.clone();
        let receipt = receipt.clone();
        async move { fixture.ask(&format!("r-{}", n % 2), Asked::Receive(&receipt)).await }
    }))
    .await;
    let (received, refused): (Vec<_>, Vec<_>) = answers.iter().partition(|answer| answer.is_ok());
    assert_eq!(received.len(), 10, "one of two keys");
    assert!(refused.into_iter().all(|answer| code(answer) == "transfer_closed"));
    for sku in &skus {
        assert_eq!(fixture.at(FROM, sku).await, (3, 0, 0));
        assert_eq!(fixture.at(TO, sku).await, (7, 0, 0));
    }
}

#[tokio::test]
async fn a_long_transfer_that_is_short_is_taken_back_whole() {
    let fixture = Fixture::new(6).await;
    let skus = many(&fixture, 300).await;
    fixture.count(FROM, &skus[299], 6).await;
    let before = fixture.everything();
    // It looked as if there were enough when it began.
    let shipping = all_of(&skus, 7);
    let refused = fixture.ship("k-1", &shipping).await;
    assert_eq!(code(&refused), "insufficient_stock");
    fixture.count(FROM, &skus[299], 7).await;
    let last = skus[299].clone();
    fixture.meanwhile(move |ports, caller| async move {
        let mut other = request(&[(last.as_str(), 1)]);
        other.transfer_id = Some("t-2".into());
        ship::ship(&ports, &caller, "other", &other).await.unwrap();
    });
    let refused = fixture.ship("k-1", &shipping).await;
    assert_eq!(code(&refused), "insufficient_stock");
    let gone = transfers::get(&fixture.ports, &fixture.caller, "t-1").await;
    assert_eq!(gone.err().and_then(|e| e.code()), Some("transfer_not_found"));
    for sku in &skus[..299] {
        assert_eq!(fixture.at(FROM, sku).await, (10, 0, 0));
    }
    assert_eq!(fixture.at(FROM, &skus[299]).await, (6, 0, 0));
    let mut expected = before;
    expected.insert(skus[299].clone(), 7_000);
    assert_eq!(fixture.everything(), expected);
    // The same key may succeed later.
    fixture.count(FROM, &skus[299], 7).await;
    fixture.ship("k-1", &shipping).await.unwrap();
    fixture.check_invariants();
}

#[tokio::test]
async fn a_long_transfer_survives_a_crash_at_any_step() {
    for lost_after in [false, true] {
        for crash in 0..14 {
            let fixture = Fixture::new(7 + crash).await;
            let skus = many(&fixture, 200).await;
            let before = fixture.everything();
            let start = fixture.faulty.writes.load(std::sync::atomic::Ordering::SeqCst);
            // From one write on, nothing gets through any more: the process is gone.
            fixture.inject(move |write| match write - start {
                n if n == crash && lost_after => Fault::LostAfter,
                n if n >= crash => Fault::LostBefore,
                _ => Fault::None,
            });
            let receipt = ReceiveTransferRequest::default();
            let shipped = fixture.ship("k-1", &all_of(&skus, 7)).await;
            if shipped.is_ok() {
                let _ = fixture.ask("k-2", Asked::Receive(&receipt)).await;
            }
            fixture.heal();
            assert_eq!(fixture.everything(), before, "crash at write {crash}");
            fixture.pass(60);
            let (now, deadline) = later(&fixture.ports);
            transfers::recover(&fixture.ports, now, 100, deadline).await.unwrap();
            let due = fixture.memory.items(Table::Stock);
            assert!(due.iter().all(|item| item.opt_text("due_pk").is_none()), "crash at write {crash}");
            assert_eq!(fixture.everything(), before);
            fixture.ship("k-1", &all_of(&skus, 7)).await.unwrap();
            fixture.ask("k-2", Asked::Receive(&receipt)).await.unwrap();
            for sku in &skus {
                assert_eq!(fixture.at(TO, sku).await, (7, 0, 0));
            }
        }
    }
}

fn later(ports: &Ports) -> (jiff::Timestamp, jiff::Timestamp) {
    let now = ports.environment.now();
    (now, now + Duration::from_secs(60))
}

/// However often some of it was settled, all that is left can be.
#[tokio::test]
async fn what_settles_all_that_is_left_is_never_too_much() {
    let fixture = Fixture::new(21).await;
    fixture.count(FROM, A, 300).await;
    fixture.ship("k", &request(&[(A, 300)])).await.unwrap();
    for n in 0..200 {
        fixture.ask(&format!("r-{n}"), Asked::Receive(&received(&[(A, 1, 0)]))).await.unwrap();
    }
    let refused = fixture.ask("more", Asked::Receive(&received(&[(A, 1, 0)]))).await;
    assert_eq!(code(&refused), "too_many_steps");
    let all = fixture.ask("all", Asked::Receive(&ReceiveTransferRequest::default())).await.unwrap();
    assert_eq!(all.transfer.status, TransferStatusView::Received);
    assert_eq!(fixture.at(TO, A).await, (300, 0, 0));
}

/// A long shipment that is short of its first line is taken back each time that it is asked for: what takes it back
/// is not taken by the database for what took the one before back.
#[tokio::test]
async fn a_shipment_may_be_short_again_and_again() {
    let fixture = Fixture::new(22).await;
    let skus = many(&fixture, 120).await;
    let before = fixture.everything();
    for turn in 0..3 {
        let first = skus[0].clone();
        fixture.meanwhile(move |ports, caller| async move {
            let line = ReserveLine {
                location_id: Some(FROM.into()),
                sku: first,
                quantity: QuantityInput::Whole(10),
            };
            let held = ReserveRequest {
                reservation_id: Some(format!("v-{turn}")),
                lines: vec![line],
                sourcing: None,
                ttl_seconds: 1,
                order_id: None,
            };
            reserve::reserve(&ports, &caller, &format!("v-{turn}"), &held).await.unwrap();
        });
        let short = fixture.ship("k", &all_of(&skus, 10)).await;
        assert_eq!(code(&short), "insufficient_stock");
        let found = transfers::get(&fixture.ports, &fixture.caller, "t-1").await;
        assert_eq!(found.err().and_then(|error| error.code()), Some("transfer_not_found"));
        assert_eq!(fixture.everything(), before);
        fixture.pass(2);
    }
    // Nothing is in its way any more.
    fixture.ship("k", &all_of(&skus, 10)).await.unwrap();
}

/// Of what is short of a thousand lines it is told where else there is some of fifty.
#[tokio::test]
async fn a_long_refusal_looks_for_some_lines_only() {
    let fixture = Fixture::new(23).await;
    let skus = many(&fixture, 70).await;
    for sku in &skus {
        fixture.count("s-york", sku, 3).await;
    }
    let Err(Error::Rejected(refusal)) = fixture.ship("k", &all_of(&skus, 11)).await else {
        panic!("shipped")
    };
    let lines = refusal.extra["lines"].as_array().unwrap();
    let told = lines.iter().filter(|line| !line["elsewhere"].as_array().unwrap().is_empty()).count();
    assert_eq!((lines.len(), told), (70, 50));
}
