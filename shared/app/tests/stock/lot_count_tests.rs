//! Count sheets of SKUs that are kept by lots.

use serde_json::{Value, json};
use tillstream_app::Result;
use tillstream_app::database::Table;
use tillstream_app::stock::counts;
use tillstream_app::stock::lots::recall::Change;
use tillstream_app::stock::transfers::settle::{Asked, change};
use tillstream_app::stock::transfers::ship::ship;
use tillstream_contracts::counts::{
    CloseCountRequest, CountLineView, CountRecorded, CountSheet, CountStatus, OpenCountRequest,
    RecordCountRequest,
};
use tillstream_contracts::openapi;
use tillstream_contracts::transfers::ReceiveTransferRequest;
use tillstream_domain::count_sheet::LOTS_OF_LINE_MAX;
use tillstream_domain::lot_book::{LOTS_MAX, LOTS_WITH_ASIDE_MAX};
use tillstream_domain::quantity::QuantityInput;

use crate::fixture::{Fault, Fixture, SKUS};
use crate::lot_help::{
    A, B, HERE, Line, THERE, by_lots, change_here, check, comes, everywhere, fixture, line, lots, moves,
    refused, told, unknown, whole,
};

async fn open(fixture: &Fixture, skus: &[&str], blind: bool) {
    let request = json!({"count_id": "n-1", "location_id": HERE, "skus": skus, "blind": blind});
    let request: OpenCountRequest = serde_json::from_value(request).unwrap();
    counts::open(&fixture.ports, &fixture.caller, "o", &request).await.unwrap();
}

/// A line of A: all that was counted, and lot by lot.
fn by_lot(counted: i64, lots: &[(Option<&str>, i64)]) -> RecordCountRequest {
    let lot = |(lot, counted): &(Option<&str>, i64)| json!({"lot": lot, "counted": counted});
    let lots: Vec<Value> = lots.iter().map(lot).collect();
    serde_json::from_value(json!({"lines": [{"sku": A, "counted": counted, "lots": lots}]})).unwrap()
}

async fn record(fixture: &Fixture, key: &str, request: &RecordCountRequest) -> Result<CountRecorded> {
    let answer = counts::record(&fixture.ports, &fixture.caller, key, "n-1", request, |_| Ok(())).await?;
    Ok(answer.recorded)
}

async fn close(fixture: &Fixture) -> CountSheet {
    let request = CloseCountRequest::default();
    counts::close(&fixture.ports, &fixture.caller, "e", "n-1", &request, |_| Ok(())).await.unwrap().sheet
}

fn number(quantity: Option<&QuantityInput>) -> Option<i64> {
    quantity.map(whole)
}

/// Of each lot: book, counted, variance, corrected.
fn of_lots(line: &CountLineView) -> Vec<(Option<&str>, [Option<i64>; 4])> {
    let of_lot = |lot: &tillstream_contracts::counts::CountedLotView| {
        let numbers = [&lot.book, &Some(lot.counted.clone()), &lot.variance, &lot.corrected];
        numbers.map(|one| number(one.as_ref()))
    };
    line.lots.iter().map(|lot| (lot.lot_id.as_deref(), of_lot(lot))).collect()
}

#[tokio::test]
async fn each_lot_has_its_variance_and_closing_corrects_each() {
    let fixture = fixture(1).await;
    comes(&fixture, HERE, Some("SOON"), Some(2), 5).await;
    comes(&fixture, HERE, Some("LATE"), Some(9), 5).await;
    comes(&fixture, HERE, Some("ELSE"), None, 2).await;
    moves(&fixture, "w", Some("ELSE"), -2).await;
    comes(&fixture, HERE, None, None, 3).await;
    open(&fixture, &[A], false).await;
    // Two of the one were taken for the other, one nobody knows is missing, and one lies there of a lot that was gone.
    let request = by_lot(13, &[(Some("SOON"), 3), (Some("LATE"), 7), (Some("ELSE"), 1), (None, 2)]);
    let recorded = record(&fixture, "r", &request).await.unwrap();
    let expected = vec![
        (Some("SOON"), [Some(5), Some(3), Some(-2), None]),
        (Some("LATE"), [Some(5), Some(7), Some(2), None]),
        (Some("ELSE"), [Some(0), Some(1), Some(1), None]),
        (None, [Some(3), Some(2), Some(-1), None]),
    ];
    assert_eq!(of_lots(&recorded.lines[0]), expected);
    assert_eq!(number(recorded.lines[0].variance.as_ref()), Some(0));
    assert_eq!(record(&fixture, "r", &request).await.unwrap(), recorded);
    // What is sold between the counting and the closing is no variance.
    moves(&fixture, "sold", None, -1).await;
    let sheet = close(&fixture).await;
    assert_eq!(sheet.status, CountStatus::Closed);
    let corrected: Vec<_> = of_lots(&sheet.lines[0]).into_iter().map(|(_, numbers)| numbers[3]).collect();
    assert_eq!(corrected, [Some(-2), Some(2), Some(1), Some(-1)]);
    assert_eq!(number(sheet.lines[0].corrected.as_ref()), Some(0));
    let after = [line("SOON", 2, 0), line("LATE", 7, 0), line("ELSE", 1, 0), unknown(2)];
    assert_eq!(lots(&fixture, HERE).await, after);
    assert_eq!(close(&fixture).await, sheet, "once");
    assert_eq!(lots(&fixture, HERE).await, after);
    check(&fixture).await;
}

/// A lot that was kept aside, or sold, since it was counted.
#[tokio::test]
async fn a_correction_finds_a_lot_where_it_is_by_then() {
    let fixture = fixture(2).await;
    for (lot, many) in [("A", 5), ("B", 5), ("C", 5)] {
        comes(&fixture, HERE, Some(lot), Some(9), many).await;
    }
    open(&fixture, &[A], false).await;
    let request = by_lot(11, &[(Some("A"), 3), (Some("B"), 6), (Some("C"), 2)]);
    record(&fixture, "r", &request).await.unwrap();
    everywhere(&fixture, "q", "A", Change::Quarantine).await;
    change_here(&fixture, "h", "B", Change::Quarantine).await.unwrap();
    moves(&fixture, "w", Some("C"), -4).await;
    let sheet = close(&fixture).await;
    assert_eq!(lots(&fixture, HERE).await, [line("A", 0, 3), line("B", 0, 6)], "not to below zero");
    let corrected: Vec<_> = of_lots(&sheet.lines[0]).into_iter().map(|(_, numbers)| numbers[3]).collect();
    assert_eq!(corrected, [Some(-2), Some(1), Some(-1)]);
    assert_eq!(number(sheet.lines[0].corrected.as_ref()), Some(-1), "of what is for sale");
    check(&fixture).await;
}

/// Counted as a whole: what is missing is of the lots that go first, what is too much of none that is known.
#[tokio::test]
async fn a_sku_with_lots_may_be_counted_as_a_whole() {
    for (counted, expected) in [
        (6, vec![line("SOON", 1, 0), line("LATE", 5, 0)]),
        (12, vec![line("SOON", 5, 0), line("LATE", 5, 0), unknown(2)]),
    ] {
        let fixture = fixture(3).await;
        comes(&fixture, HERE, Some("SOON"), Some(2), 5).await;
        comes(&fixture, HERE, Some("LATE"), Some(9), 5).await;
        open(&fixture, &[A], false).await;
        // What was counted lot by lot before is counted anew.
        let before = by_lot(10, &[(Some("SOON"), 6), (Some("LATE"), 4)]);
        record(&fixture, "r-1", &before).await.unwrap();
        let recorded = record(&fixture, "r-2", &by_lot(counted, &[])).await.unwrap();
        assert!(recorded.lines[0].lots.is_empty());
        close(&fixture).await;
        assert_eq!(lots(&fixture, HERE).await, expected);
        check(&fixture).await;
    }
}

#[tokio::test]
async fn a_blind_sheet_tells_what_lots_there_are_and_not_how_much() {
    let fixture = fixture(4).await;
    comes(&fixture, HERE, Some("SOON"), Some(2), 5).await;
    open(&fixture, &[A], true).await;
    let recorded = record(&fixture, "r", &by_lot(4, &[(Some("SOON"), 4)])).await.unwrap();
    assert_eq!(of_lots(&recorded.lines[0]), [(Some("SOON"), [None, Some(4), None, None])]);
    let sheet = close(&fixture).await;
    assert_eq!(of_lots(&sheet.lines[0]), [(Some("SOON"), [Some(5), Some(4), Some(-1), Some(-1)])]);
}

#[tokio::test]
async fn a_wrong_count_of_lots_is_refused_and_changes_nothing() {
    let fixture = fixture(5).await;
    by_lots(&fixture, B).await;
    for (lot, days) in [("SOON", 2), ("OLD", 1), ("BAD", 9), ("LEAKY", 9)] {
        comes(&fixture, HERE, Some(lot), Some(days), 5).await;
    }
    comes(&fixture, HERE, None, None, 1).await;
    everywhere(&fixture, "q", "BAD", Change::Quarantine).await;
    change_here(&fixture, "h", "LEAKY", Change::Quarantine).await.unwrap();
    fixture.count(HERE, B, 5).await;
    fixture.count(HERE, SKUS[2], 5).await;
    open(&fixture, &[A, B, SKUS[2]], false).await;
    fixture.pass(40 * 3_600);
    // Whoever counts first keeps aside what is past its day.
    let few = refused(record(&fixture, "k", &by_lot(5, &[(Some("SOON"), 5)])).await);
    assert_eq!(told(&few), ("lots_missing", "lines[0].lots"));
    assert_eq!(few.extra["lots"], json!([null]));
    let before = fixture.memory.items(Table::Stock);
    let many: Vec<(Option<String>, i64)> =
        (0..=LOTS_OF_LINE_MAX).map(|n| (Some(format!("M-{n}")), 0)).collect();
    let many: Vec<(Option<&str>, i64)> = many.iter().map(|(lot, n)| (lot.as_deref(), *n)).collect();
    let of = |sku: &str, lot: &str| -> RecordCountRequest {
        let line = json!({"sku": sku, "counted": 1, "lots": [{"lot": lot, "counted": 1}]});
        serde_json::from_value(json!({"lines": [line]})).unwrap()
    };
    for (request, code, field) in [
        (by_lot(5, &[(None, 5)]), "lots_missing", "lines[0].lots"),
        (by_lot(7, &[(Some("SOON"), 5), (None, 1)]), "lots_sum_differs", "lines[0].counted"),
        (by_lot(4, &[(Some("SOON"), 5), (None, -1)]), "quantity_invalid", "lines[0].lots[1].counted"),
        (by_lot(6, &[(Some("SOON"), 5), (Some("SOON"), 1)]), "lot_twice", "lines[0].lots[1].lot"),
        (by_lot(2, &[(None, 1), (None, 1)]), "lot_twice", "lines[0].lots[1].lot"),
        (by_lot(6, &[(Some("a/b"), 6)]), "id_malformed", "lines[0].lots[0].lot"),
        (by_lot(6, &[(Some("SOON"), 5), (Some("NONE"), 1)]), "lot_unknown", "lines[0].lots[1].lot"),
        (by_lot(6, &[(Some("SOON"), 5), (Some("OLD"), 1)]), "lot_not_for_sale", "lines[0].lots[1].lot"),
        (by_lot(6, &[(Some("SOON"), 5), (Some("BAD"), 1)]), "lot_not_for_sale", "lines[0].lots[1].lot"),
        (by_lot(6, &[(Some("SOON"), 5), (Some("LEAKY"), 1)]), "lot_not_for_sale", "lines[0].lots[1].lot"),
        (by_lot(0, &many), "lots_out_of_range", "lines[0].lots"),
        (of(B, "SOON"), "lot_of_another_sku", "lines[0].lots[0].lot"),
        (of(SKUS[2], "SOON"), "sku_without_lots", "lines[0].lots"),
    ] {
        let refusal = refused(record(&fixture, "k", &request).await);
        assert_eq!(told(&refusal), (code, field), "{refusal:?}");
    }
    assert_eq!(fixture.memory.items(Table::Stock), before);
    let old = refused(record(&fixture, "k", &by_lot(6, &[(Some("SOON"), 5), (Some("OLD"), 1)])).await);
    assert_eq!(old.extra["lot_status"], "expired");
    record(&fixture, "k", &by_lot(6, &[(Some("SOON"), 5), (None, 1)])).await.unwrap();
}

/// Whatever answer is lost, and whoever sells meanwhile: each lot is corrected once.
#[tokio::test]
async fn closing_corrects_each_lot_once_whatever_is_lost() {
    for fault in [Fault::LostBefore, Fault::LostAfter, Fault::Conflict] {
        for at in 0..3 {
            let fixture = fixture(6).await;
            comes(&fixture, HERE, Some("SOON"), Some(2), 5).await;
            comes(&fixture, HERE, Some("LATE"), Some(9), 5).await;
            open(&fixture, &[A], false).await;
            record(&fixture, "r", &by_lot(10, &[(Some("SOON"), 3), (Some("LATE"), 7)])).await.unwrap();
            let first = fixture.faulty.writes.load(std::sync::atomic::Ordering::SeqCst);
            fixture.inject(move |number| if number == first + at { fault } else { Fault::None });
            fixture.meanwhile(|ports, caller| async move {
                let request = json!({"location_id": HERE, "sku": A, "kind": "delta", "quantity": -1,
                    "reason": "broken"});
                let request = serde_json::from_value(request).unwrap();
                let update = tillstream_app::stock::update::update;
                update(&ports, &caller, "u", &request, |_| Ok(())).await.unwrap();
            });
            close(&fixture).await;
            assert_eq!(lots(&fixture, HERE).await, [line("SOON", 2, 0), line("LATE", 7, 0)], "write {at}");
            check(&fixture).await;
        }
    }
}

fn pieces(many: usize) -> i64 {
    i64::try_from(many).unwrap()
}

fn ids(letter: char, count: usize) -> Vec<String> {
    (0..count).map(|n| format!("{letter}-{n:02}")).collect()
}

/// So many lots of A for sale, of each two pieces. More than come in by themselves were recalled when they arrived, and
/// are for sale since.
async fn many_lots(fixture: &Fixture, count: usize) -> Vec<String> {
    let all = ids('L', count);
    let (first, others) = all.split_at(count.min(LOTS_MAX));
    for lot in first {
        comes(fixture, HERE, Some(lot), Some(9), 2).await;
    }
    if others.is_empty() {
        return all;
    }
    for lot in others {
        comes(fixture, THERE, Some(lot), Some(9), 2).await;
    }
    let shipment = json!({"transfer_id": "t-1", "from_location_id": THERE, "to_location_id": HERE,
        "lines": [{"sku": A, "quantity": 2 * others.len()}]});
    let shipment = serde_json::from_value(shipment).unwrap();
    ship(&fixture.ports, &fixture.caller, "s", &shipment).await.unwrap();
    for lot in others {
        everywhere(fixture, &format!("q-{lot}"), lot, Change::Quarantine).await;
    }
    let arrived = ReceiveTransferRequest::default();
    let arrived = Asked::Receive(&arrived);
    change(&fixture.ports, &fixture.caller, "v", "t-1", &arrived, |_| Ok(())).await.unwrap();
    for lot in others {
        everywhere(fixture, &format!("r-{lot}"), lot, Change::Release).await;
    }
    all
}

/// As many lots as a stock item may have, and what is of no known lot: each is counted, and each is corrected.
#[tokio::test]
async fn all_lots_that_there_can_be_are_counted_lot_by_lot() {
    for count in [41, LOTS_MAX, LOTS_WITH_ASIDE_MAX] {
        let fixture = fixture(7).await;
        let all = many_lots(&fixture, count).await;
        comes(&fixture, HERE, None, None, 2).await;
        open(&fixture, &[A], false).await;
        let mut counted: Vec<(Option<&str>, i64)> = all.iter().map(|lot| (Some(lot.as_str()), 3)).collect();
        counted.push((None, 1));
        let request = by_lot(3 * pieces(count) + 1, &counted);
        let recorded = record(&fixture, "r", &request).await.unwrap();
        assert_eq!(of_lots(&recorded.lines[0]).len(), count + 1);
        let sheet = close(&fixture).await;
        let corrected = number(sheet.lines[0].corrected.as_ref());
        assert_eq!((sheet.status, corrected), (CountStatus::Closed, Some(pieces(count) - 1)));
        let expected: Vec<Line> =
            all.iter().map(|lot| line(lot, 3, 0)).chain(std::iter::once(unknown(1))).collect();
        assert_eq!(lots(&fixture, HERE).await, expected, "{count}");
        check(&fixture).await;
    }
}

/// Of as many lots as a line takes many are gone, and others lie there that the books know elsewhere: all of that is one
/// correction, and a recall finds them here.
#[tokio::test]
async fn lots_that_lie_there_instead_of_others_are_corrected_together() {
    let fixture = fixture(8).await;
    let gone = ids('G', LOTS_OF_LINE_MAX - LOTS_MAX);
    let instead = ids('I', LOTS_MAX);
    for lot in &gone {
        comes(&fixture, HERE, Some(lot), Some(9), 1).await;
    }
    for lot in &instead {
        comes(&fixture, THERE, Some(lot), Some(9), 1).await;
    }
    open(&fixture, &[A], false).await;
    let gone = gone.iter().map(|lot| (Some(lot.as_str()), 0));
    let there = instead.iter().map(|lot| (Some(lot.as_str()), 1));
    let counted: Vec<(Option<&str>, i64)> = gone.chain(there).collect();
    assert_eq!(counted.len(), LOTS_OF_LINE_MAX);
    record(&fixture, "r", &by_lot(pieces(LOTS_MAX), &counted)).await.unwrap();
    close(&fixture).await;
    let expected: Vec<Line> = instead.iter().map(|lot| line(lot, 1, 0)).collect();
    assert_eq!(lots(&fixture, HERE).await, expected);
    everywhere(&fixture, "q", "I-07", Change::Quarantine).await;
    assert!(lots(&fixture, HERE).await.contains(&line("I-07", 0, 1)));
    check(&fixture).await;
}

#[test]
fn the_contract_says_how_many_lots_a_line_takes() {
    let document: Value = serde_json::from_str(&openapi::document().to_json().unwrap()).unwrap();
    let most = document.pointer("/components/schemas/CountedLineRequest/properties/lots/maxItems");
    assert_eq!(most, Some(&json!(LOTS_OF_LINE_MAX)));
}
