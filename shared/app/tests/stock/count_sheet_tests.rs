//! Count sheets: what is counted against the books, and how the books are brought there.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use futures::future::join_all;
use tillstream_app::approvals::ask::ask;
use tillstream_app::approvals::decide::decide;
use tillstream_app::catalog::items::product_item;
use tillstream_app::database::{Database, Item, Table, Write};
use tillstream_app::environment::Environment;
use tillstream_app::stock::counts::{self, Answer};
use tillstream_app::stock::layout::LAYOUT_WHOLE;
use tillstream_app::stock::{conservation, exceptions, update};
use tillstream_app::tenancy::{Caller, Role, Stores};
use tillstream_app::tenant_rules::settings_item;
use tillstream_app::{Error, Ports, Result};
use tillstream_contracts::approvals::{ApprovalActionInput, AskForApproval, DecideApproval};
use tillstream_contracts::counts::{
    CancelCountRequest, CloseCountRequest, CountLineStatus, CountLineView, CountQuery, CountRecorded,
    CountSheet, CountStatus, CountedLineRequest, OpenCountRequest, RecordCountRequest,
};
use tillstream_contracts::inventory::{ExceptionKind, ExceptionQuery, StockUpdateKind, StockUpdateRequest};
use tillstream_domain::approval::CashRule;
use tillstream_domain::product::Product;
use tillstream_domain::quantity::QuantityInput;
use tillstream_domain::tenant_settings::TenantSettings;

use crate::fixture::{BY_WEIGHT, Fault, Fixture, SKUS, caller, named, product, refusal};

const SHOP: &str = "s-leeds";
const A: &str = SKUS[0];
const B: &str = SKUS[1];
const C: &str = SKUS[2];

fn of_skus(skus: &[&str]) -> OpenCountRequest {
    OpenCountRequest {
        count_id: Some("n-1".into()),
        location_id: SHOP.into(),
        skus: Some(skus.iter().map(|sku| (*sku).to_owned()).collect()),
        category: None,
        all: None,
        limit: None,
        cursor: None,
        blind: false,
    }
}

fn of_all() -> OpenCountRequest {
    OpenCountRequest { skus: None, all: Some(true), ..of_skus(&[]) }
}

fn counted(lines: &[(&str, i64)]) -> RecordCountRequest {
    let line = |(sku, pieces): &(&str, i64)| CountedLineRequest {
        sku: (*sku).into(),
        counted: QuantityInput::Whole(*pieces),
        lots: Vec::new(),
        reason: None,
    };
    RecordCountRequest { lines: lines.iter().map(line).collect() }
}

fn cancelled() -> CancelCountRequest {
    CancelCountRequest { reason: "wrong shelf".into() }
}

fn whole(quantity: Option<&QuantityInput>) -> Option<i64> {
    quantity.map(|quantity| match quantity {
        QuantityInput::Whole(pieces) => *pieces,
        QuantityInput::Decimal(text) => panic!("{text}"),
    })
}

/// Book, counted, variance, corrected.
fn numbers(line: &CountLineView) -> [Option<i64>; 4] {
    [&line.book, &line.counted, &line.variance, &line.corrected].map(|number| whole(number.as_ref()))
}

impl Fixture {
    async fn open(&self, key: &str, request: &OpenCountRequest) -> Result<Answer> {
        counts::open(&self.ports, &self.caller, key, request).await
    }

    async fn record(&self, key: &str, lines: &[(&str, i64)]) -> Result<(CountRecorded, bool)> {
        let answer =
            counts::record(&self.ports, &self.caller, key, "n-1", &counted(lines), |_| Ok(())).await?;
        Ok((answer.recorded, answer.replayed))
    }

    async fn close(&self, key: &str) -> Result<Answer> {
        self.close_as(&self.caller, key, CloseCountRequest::default()).await
    }

    async fn close_as(&self, who: &Caller, key: &str, request: CloseCountRequest) -> Result<Answer> {
        counts::close(&self.ports, who, key, "n-1", &request, |_| Ok(())).await
    }

    async fn sheet(&self) -> CountSheet {
        counts::get(&self.ports, &self.caller, "n-1").await.unwrap()
    }

    async fn sells(&self, ports: &Ports, key: &str, sku: &str, pieces: i64) -> Result<()> {
        let request = StockUpdateRequest {
            location_id: SHOP.into(),
            sku: sku.into(),
            kind: StockUpdateKind::Delta,
            quantity: QuantityInput::Whole(-pieces),
            reason: "sold".into(),
            expected_version: None,
            lot: None,
            expires_on: None,
        };
        update::update(ports, &self.caller, key, &request, |_| Ok(())).await.map(drop)
    }

    async fn on_hand(&self, sku: &str) -> i64 {
        self.stock(SHOP, sku).await.on_hand / 1_000
    }

    /// Rows of the ledger that name the sheet, by SKU: what they moved and why.
    async fn moved_by_sheet(&self) -> BTreeMap<String, Vec<(i64, Option<String>)>> {
        self.relay(|_| true).await;
        let mut moved: BTreeMap<String, Vec<(i64, Option<String>)>> = BTreeMap::new();
        for row in self.memory.items(Table::Ledger) {
            if row.opt_text("reference") == Some("n-1") {
                assert_eq!(row.text("kind").unwrap(), "count");
                let by = row.number("delta_on_hand").unwrap() / 1_000;
                let reason = row.opt_text("reason").map(str::to_owned);
                moved.entry(row.text("sku").unwrap().to_owned()).or_default().push((by, reason));
            }
        }
        moved
    }

    async fn proves(&self, sku: &str) {
        let proof = conservation::prove(&self.ports, &self.caller, SHOP, sku).await.unwrap();
        assert!(proof.holds && proof.seq_reached == proof.seq_current, "{proof:?}");
    }

    async fn rules(&self, count_variance: CashRule) {
        let mut settings = TenantSettings::default();
        settings.approvals.count_variance = count_variance;
        let item = settings_item(self.scope(), &settings).unwrap().with("version", 1);
        crate::fixture::put(&self.memory, Table::Catalog, item).await;
    }

    async fn product(&self, product: &Product) {
        crate::fixture::put(&self.memory, Table::Catalog, product_item(self.scope(), product).unwrap()).await;
    }

    /// An approval of closing the sheet as it stands, asked for by warehouse staff and granted by a manager.
    async fn approval(&self, id: &str) -> Result<String> {
        let sent = AskForApproval {
            count_id: Some("n-1".into()),
            ..serde_json::from_value(serde_json::json!({
                "store_id": SHOP, "action": "close_count", "reason": "far off", "approval_id": id
            }))
            .unwrap()
        };
        ask(&self.ports, &staff(), &format!("ask-{id}"), sent).await?;
        let manager = manager();
        let none = DecideApproval::default();
        let granted = decide(&self.ports, &manager, &format!("grant-{id}"), id, true, none).await?;
        assert_eq!(granted.approval.action, ApprovalActionInput::CloseCount);
        Ok(id.to_owned())
    }
}

fn staff() -> Caller {
    Caller { subject: "staff".into(), ..caller("demo", Role::WarehouseStaff, Stores::All) }
}

fn manager() -> Caller {
    Caller { subject: "boss".into(), ..caller("demo", Role::StoreManager, Stores::All) }
}

fn code<T>(refused: &Result<T>) -> &str {
    refused.as_ref().err().and_then(Error::code).unwrap_or("none")
}

/// What is sold between the counting of a line and the closing is no variance; who was not counted is left alone.
#[tokio::test]
async fn a_sheet_brings_the_books_to_what_was_counted() {
    let fixture = Fixture::new(1).await;
    fixture.count(SHOP, A, 10).await;
    fixture.count(SHOP, B, 5).await;
    // C has no stock item.
    let opened = fixture.open("o", &of_skus(&[B, A, C, A])).await.unwrap();
    assert_eq!(
        opened.sheet.lines.iter().map(numbers).collect::<Vec<_>>(),
        [[Some(5), None, None, None], [Some(10), None, None, None], [Some(0), None, None, None]]
    );
    let skus: Vec<&str> = opened.sheet.lines.iter().map(|line| line.sku.as_str()).collect();
    assert_eq!(skus, [B, A, C]);
    // One is sold after the sheet was opened, and is not there to be counted.
    fixture.sells(&fixture.ports, "s-1", A, 1).await.unwrap();
    let (recorded, _) = fixture.record("r-1", &[(A, 7), (C, 3)]).await.unwrap();
    assert_eq!(
        recorded.lines.iter().map(numbers).collect::<Vec<_>>(),
        [[Some(9), Some(7), Some(-2), None], [Some(0), Some(3), Some(3), None]]
    );
    assert_eq!((recorded.counted_lines, recorded.uncounted_lines, recorded.version), (2, 1, 2));
    fixture.sells(&fixture.ports, "s-2", A, 4).await.unwrap();
    let closed = fixture.close("c").await.unwrap();
    assert_eq!((fixture.on_hand(A).await, fixture.on_hand(B).await, fixture.on_hand(C).await), (3, 5, 3));
    let sheet = &closed.sheet;
    assert_eq!((sheet.status, sheet.counted_lines, sheet.uncounted_lines), (CountStatus::Closed, 2, 1));
    assert_eq!(
        sheet.lines.iter().map(numbers).collect::<Vec<_>>(),
        [
            [Some(5), None, None, None],
            [Some(9), Some(7), Some(-2), Some(-2)],
            [Some(0), Some(3), Some(3), Some(3)]
        ]
    );
    let uncounted: Vec<_> =
        sheet.lines.iter().map(|line| line.status == CountLineStatus::Uncounted).collect();
    assert_eq!(uncounted, [true, false, false]);
    let variance = sheet.variance.as_ref().unwrap();
    assert_eq!((variance.lines, variance.value.amount, variance.unpriced_lines), (2, 5 * 255, 0));
    assert_eq!(
        fixture.moved_by_sheet().await,
        BTreeMap::from([(A.to_owned(), vec![(-2, None)]), (C.to_owned(), vec![(3, None)])])
    );
    for sku in [A, B, C] {
        fixture.proves(sku).await;
    }
    fixture.check_invariants();

    // Each request again says what it said, and does nothing.
    let before = fixture.memory.items(Table::Stock);
    let again = fixture.open("o", &of_skus(&[B, A, C, A])).await.unwrap();
    assert_eq!((again.sheet, again.replayed), (opened.sheet, true));
    let again = fixture.record("r-1", &[(A, 7), (C, 3)]).await.unwrap();
    assert_eq!(again, (recorded, true));
    let again = fixture.close("c").await.unwrap();
    assert_eq!((again.sheet, again.replayed), (closed.sheet, true));
    // And no other does anything more.
    assert_eq!(code(&fixture.close("c-2").await), "count_closed");
    assert_eq!(code(&fixture.record("r-2", &[(A, 7)]).await), "count_closed");
    let cancel = counts::cancel(&fixture.ports, &fixture.caller, "x", "n-1", &cancelled(), |_| Ok(())).await;
    assert_eq!(code(&cancel), "count_closed");
    assert_eq!(fixture.memory.items(Table::Stock), before);
}

#[tokio::test]
async fn a_line_is_counted_anew_as_of_then() {
    let fixture = Fixture::new(2).await;
    fixture.count(SHOP, A, 10).await;
    fixture.open("o", &of_skus(&[A])).await.unwrap();
    fixture.record("r-1", &[(A, 2)]).await.unwrap();
    fixture.sells(&fixture.ports, "s", A, 3).await.unwrap();
    let mut why = counted(&[(A, 8)]);
    why.lines[0].reason = Some("behind the door".into());
    let answer = counts::record(&fixture.ports, &staff(), "r-2", "n-1", &why, |_| Ok(())).await.unwrap();
    assert_eq!(numbers(&answer.recorded.lines[0]), [Some(7), Some(8), Some(1), None]);
    assert_eq!((answer.recorded.counted_lines, answer.recorded.version), (1, 3));
    let request = CloseCountRequest { reason: Some("cycle count".into()), approval_id: None };
    let closed = fixture.close_as(&manager(), "c", request).await.unwrap().sheet;
    let (line, ended) = (&closed.lines[0], closed.ended.as_ref().unwrap());
    assert_eq!(
        (line.counted_by.as_deref(), line.reason.as_deref()),
        (Some("staff"), Some("behind the door"))
    );
    assert_eq!((ended.by.as_str(), ended.reason.as_deref()), ("boss", Some("cycle count")));
    assert_eq!(fixture.on_hand(A).await, 8);
    let moved = fixture.moved_by_sheet().await;
    assert_eq!(moved[A], [(1, Some("behind the door".to_owned()))]);
    // The first recording is answered as it was.
    let (first, replayed) = fixture.record("r-1", &[(A, 2)]).await.unwrap();
    assert_eq!(
        (numbers(&first.lines[0]), first.version, replayed),
        ([Some(10), Some(2), Some(-8), None], 2, true)
    );
}

#[tokio::test]
async fn a_blind_sheet_tells_the_books_once_it_is_closed() {
    let fixture = Fixture::new(3).await;
    fixture.count(SHOP, A, 10).await;
    let opened =
        fixture.open("o", &OpenCountRequest { blind: true, ..of_skus(&[A, B]) }).await.unwrap().sheet;
    assert_eq!((numbers(&opened.lines[1]), opened.variance.is_none()), ([None; 4], true));
    let (recorded, _) = fixture.record("r", &[(A, 9)]).await.unwrap();
    assert_eq!(numbers(&recorded.lines[0]), [None, Some(9), None, None]);
    assert_eq!(numbers(&fixture.sheet().await.lines[1]), [None, Some(9), None, None]);
    let closed = fixture.close("c").await.unwrap().sheet;
    assert_eq!(numbers(&closed.lines[1]), [Some(10), Some(9), Some(-1), Some(-1)]);
    assert_eq!(closed.variance.unwrap().lines, 1);
    // What recording said then, it says again.
    assert_eq!(fixture.record("r", &[(A, 9)]).await.unwrap(), (recorded, true));
}

#[tokio::test]
async fn what_is_refused_changes_nothing() {
    let fixture = Fixture::new(4).await;
    fixture.count(SHOP, A, 10).await;
    let untouched = fixture.memory.items(Table::Stock);
    let base = || of_skus(&[A]);
    let many: Vec<String> = (0..1_001).map(|n| format!("N{n}")).collect();
    for (request, expected) in [
        (OpenCountRequest { skus: None, ..base() }, "selection_invalid"),
        (OpenCountRequest { all: Some(true), ..base() }, "selection_invalid"),
        (OpenCountRequest { skus: None, all: Some(false), ..base() }, "selection_invalid"),
        (OpenCountRequest { category: Some("Mugs".into()), ..base() }, "selection_invalid"),
        (OpenCountRequest { skus: None, category: Some(String::new()), ..base() }, "category_invalid"),
        (OpenCountRequest { skus: Some(vec![]), ..base() }, "lines_out_of_range"),
        (OpenCountRequest { skus: Some(many), ..base() }, "lines_out_of_range"),
        (OpenCountRequest { limit: Some(5), ..base() }, "field_not_expected"),
        (OpenCountRequest { cursor: Some("x".into()), ..base() }, "field_not_expected"),
        (OpenCountRequest { limit: Some(0), ..of_all() }, "limit_out_of_range"),
        (OpenCountRequest { limit: Some(1_001), ..of_all() }, "limit_out_of_range"),
        (OpenCountRequest { cursor: Some("x".into()), ..of_all() }, "cursor_malformed"),
        (OpenCountRequest { count_id: Some("a b".into()), ..base() }, "id_malformed"),
        (OpenCountRequest { count_id: Some("4111111111111111".into()), ..base() }, "card_number_refused"),
        (OpenCountRequest { location_id: "a b".into(), ..base() }, "location_id_malformed"),
        (OpenCountRequest { location_id: "s-nowhere".into(), ..base() }, "location_not_found"),
        (of_skus(&["unknown"]), "sku_unknown"),
        (of_skus(&["SERVICE"]), "sku_not_stocked"),
        (OpenCountRequest { location_id: "s-york".into(), ..of_all() }, "nothing_to_count"),
        (OpenCountRequest { skus: None, category: Some("Mugs".into()), ..base() }, "nothing_to_count"),
    ] {
        assert_eq!(code(&fixture.open("k", &request).await), expected, "{request:?}");
    }
    assert_eq!(fixture.memory.items(Table::Stock), untouched);

    fixture.open("k", &of_skus(&[A, BY_WEIGHT])).await.unwrap();
    let opened = fixture.memory.items(Table::Stock);
    assert_eq!(code(&fixture.open("k", &base()).await), "idempotency_key_reused");
    assert_eq!(code(&fixture.open("l", &base()).await), "count_exists");
    let mut no_reason = counted(&[(A, 1)]);
    no_reason.lines[0].reason = Some(" ".into());
    let mut card = counted(&[(A, 1)]);
    card.lines[0].reason = Some("4111 1111 1111 1111".into());
    for (request, expected) in [
        (counted(&[]), "lines_out_of_range"),
        (counted(&[(A, 1), (A, 2)]), "sku_twice"),
        (counted(&[(A, 1), (B, 2)]), "sku_not_in_count"),
        (counted(&[(A, -1)]), "quantity_invalid"),
        (counted(&[(BY_WEIGHT, 1)]), "quantity_invalid"),
        (counted(&[(A, 1_000_001)]), "quantity_invalid"),
        (no_reason, "reason_invalid"),
        (card, "card_number_refused"),
    ] {
        let refused = counts::record(&fixture.ports, &fixture.caller, "r", "n-1", &request, |_| Ok(())).await;
        assert_eq!(code(&refused), expected, "{request:?}");
    }
    let elsewhere =
        counts::record(&fixture.ports, &fixture.caller, "r", "n-2", &counted(&[(A, 1)]), |_| Ok(())).await;
    assert_eq!(code(&elsewhere), "count_not_found");
    assert_eq!(code(&fixture.close("c").await), "nothing_counted");
    let blank = CloseCountRequest { reason: Some(" ".into()), approval_id: None };
    assert_eq!(code(&fixture.close_as(&fixture.caller, "c", blank).await), "reason_invalid");
    let mismatch = |_| Err(tillstream_app::Refusal::conflict("version_mismatch", "another version"));
    let one = counted(&[(A, 1)]);
    let refused = counts::record(&fixture.ports, &fixture.caller, "r", "n-1", &one, mismatch).await;
    assert_eq!(code(&refused), "version_mismatch");
    let far = caller("demo", Role::StoreManager, named(&["s-york"]));
    assert_eq!(code(&counts::get(&fixture.ports, &far, "n-1").await), "store_out_of_reach");
    assert_eq!(
        code(&counts::record(&fixture.ports, &far, "r", "n-1", &one, |_| Ok(())).await),
        "store_out_of_reach"
    );
    assert_eq!(code(&fixture.close_as(&far, "c", CloseCountRequest::default()).await), "store_out_of_reach");
    let stranger = caller("other", Role::Operator, Stores::All);
    assert_eq!(code(&counts::get(&fixture.ports, &stranger, "n-1").await), "count_not_found");
    assert_eq!(fixture.memory.items(Table::Stock), opened);

    // Cancelled, nothing of it comes into the books.
    fixture.record("r", &[(A, 1)]).await.unwrap();
    assert_eq!(code(&fixture.record("r", &[(A, 2)]).await), "idempotency_key_reused");
    let cancel = async |key: &str| {
        counts::cancel(&fixture.ports, &fixture.caller, key, "n-1", &cancelled(), |_| Ok(())).await
    };
    let done = cancel("x").await.unwrap();
    assert_eq!((done.sheet.status, done.replayed), (CountStatus::Cancelled, false));
    assert!(cancel("x").await.unwrap().replayed);
    assert_eq!(code(&cancel("y").await), "count_cancelled");
    assert_eq!(code(&fixture.close("c").await), "count_cancelled");
    assert_eq!(fixture.on_hand(A).await, 10);
    let listed = async |state| {
        let query = CountQuery { location_id: SHOP.into(), state, limit: None, cursor: None };
        counts::list::list(&fixture.ports, &fixture.caller, &query).await.unwrap().items.len()
    };
    assert_eq!(listed(None).await, 0);
    assert_eq!(listed(Some(CountStatus::Cancelled)).await, 1);
}

#[tokio::test]
async fn sheets_of_a_location_or_a_category_lead_on_to_all_of_it() {
    let fixture = Fixture::new(5).await;
    let skus: Vec<String> = (0..23).map(|n| format!("M{n:02}")).collect();
    for (n, sku) in skus.iter().enumerate() {
        let category = Some(if n % 2 == 0 { "Even" } else { "Odd" }.to_owned());
        fixture.product(&Product { category, ..product(sku) }).await;
        // Not all have stock here.
        if n % 3 != 0 {
            fixture.count(SHOP, sku, 1).await;
        }
    }
    for (request, wanted) in [
        (
            of_all(),
            skus.iter().enumerate().filter(|(n, _)| n % 3 != 0).map(|(_, sku)| sku).collect::<Vec<_>>(),
        ),
        (
            OpenCountRequest { all: None, category: Some("Even".into()), ..of_all() },
            skus.iter().enumerate().filter(|(n, _)| n % 3 != 0 && n % 2 == 0).map(|(_, sku)| sku).collect(),
        ),
    ] {
        for limit in [None, Some(1), Some(3), Some(7)] {
            let (mut found, mut cursor) = (Vec::new(), None);
            for n in 0.. {
                let request =
                    OpenCountRequest { count_id: None, limit, cursor: cursor.take(), ..request.clone() };
                let key = format!("{:?}-{limit:?}-{n}", request.category);
                let sheet = match fixture.open(&key, &request).await {
                    Err(error) => {
                        // Nothing was left of the last page.
                        let refused = refusal(error);
                        assert_eq!(refused.code, "nothing_to_count");
                        assert!(refused.extra["next_cursor"].is_null());
                        break;
                    }
                    Ok(answer) => answer.sheet,
                };
                assert!(limit.is_none_or(|limit| sheet.lines.len() <= usize::try_from(limit).unwrap()));
                let again = fixture.open(&key, &request).await.unwrap();
                assert!(again.replayed && again.sheet == sheet);
                found.extend(sheet.lines.iter().map(|line| line.sku.clone()));
                cursor = sheet.next_cursor;
                if cursor.is_none() {
                    break;
                }
            }
            assert_eq!(found.iter().collect::<Vec<_>>(), wanted, "{request:?} {limit:?}");
        }
    }
}

/// Split stock is counted as of one moment and merged to be corrected; less than is promised opens an exception, as
/// any count does.
#[tokio::test]
async fn split_stock_is_counted_and_corrected() {
    let fixture = Fixture::new(6).await;
    fixture.count(SHOP, A, 40).await;
    fixture.split(4).await;
    fixture.hold("held", 9, 900).await;
    fixture.open("o", &of_skus(&[A])).await.unwrap();
    let (recorded, _) = fixture.record("r", &[(A, 6)]).await.unwrap();
    assert_eq!(numbers(&recorded.lines[0]), [Some(40), Some(6), Some(-34), None]);
    fixture.close("c").await.unwrap();
    let stock = fixture.stock(SHOP, A).await;
    assert_eq!((stock.layout, stock.on_hand, stock.available), (LAYOUT_WHOLE, 6_000, -3_000));
    let query = ExceptionQuery { location_id: SHOP.into(), status: None, limit: None, cursor: None };
    let listed = exceptions::list(&fixture.ports, &fixture.caller, &query).await.unwrap().items;
    let told = (listed[0].kind, &listed[0].quantity, listed[0].reference.as_str());
    assert_eq!(told, (ExceptionKind::BelowPromised, &QuantityInput::Whole(3), "n-1"));
    fixture.relay(|_| true).await;
    fixture.proves(A).await;
    // A later sheet that finds enough closes it.
    let next = OpenCountRequest { count_id: Some("n-2".into()), ..of_skus(&[A]) };
    fixture.open("o-2", &next).await.unwrap();
    let found = counted(&[(A, 9)]);
    counts::record(&fixture.ports, &fixture.caller, "r-2", "n-2", &found, |_| Ok(())).await.unwrap();
    let close = CloseCountRequest::default();
    counts::close(&fixture.ports, &fixture.caller, "c-2", "n-2", &close, |_| Ok(())).await.unwrap();
    assert!(exceptions::list(&fixture.ports, &fixture.caller, &query).await.unwrap().items.is_empty());
    fixture.check().await;
}

/// More was sold since the counting than was counted: nothing is what is left, and the sheet says so.
#[tokio::test]
async fn no_correction_leaves_less_than_nothing() {
    let fixture = Fixture::new(7).await;
    fixture.count(SHOP, A, 10).await;
    fixture.count(SHOP, B, 10).await;
    fixture.open("o", &of_skus(&[A, B])).await.unwrap();
    fixture.record("r", &[(A, 3), (B, 3)]).await.unwrap();
    fixture.sells(&fixture.ports, "s-a", A, 5).await.unwrap();
    fixture.sells(&fixture.ports, "s-b", B, 10).await.unwrap();
    let closed = fixture.close("c").await.unwrap().sheet;
    let of = |sku: &str| numbers(closed.lines.iter().find(|line| line.sku == sku).unwrap());
    assert_eq!(of(A), [Some(10), Some(3), Some(-7), Some(-5)]);
    assert_eq!(of(B), [Some(10), Some(3), Some(-7), Some(0)]);
    assert_eq!((fixture.on_hand(A).await, fixture.on_hand(B).await), (0, 0));
    fixture.check_invariants();
}

/// So many SKUs with ten pieces each.
async fn many(fixture: &Fixture, count: usize) -> Vec<String> {
    let skus: Vec<String> = (0..count).map(|n| format!("M{n:04}")).collect();
    for sku in &skus {
        fixture.product(&product(sku)).await;
        fixture.count(SHOP, sku, 10).await;
    }
    skus
}

fn lines(skus: &[String], pieces: impl Fn(usize) -> i64) -> Vec<(&str, i64)> {
    skus.iter().enumerate().map(|(n, sku)| (sku.as_str(), pieces(n))).collect()
}

#[tokio::test]
async fn a_thousand_lines_are_closed_by_twenty_at_once() {
    let fixture = Arc::new(Fixture::new(8).await);
    let skus = many(&fixture, 1_000).await;
    fixture.open("o", &OpenCountRequest { count_id: Some("n-1".into()), ..of_all() }).await.unwrap();
    // Every seventh is as the books say, every tenth is not counted.
    let counted = lines(&skus, |n| if n % 7 == 0 { 10 } else { 8 });
    let counted: Vec<_> =
        counted.into_iter().enumerate().filter(|(n, _)| n % 10 != 0).map(|(_, line)| line).collect();
    fixture.record("r", &counted).await.unwrap();
    let answers = join_all((0..20).map(|n| {
        let fixture = fixture.clone();
        async move { fixture.close(&format!("c-{}", n % 2)).await }
    }))
    .await;
    let (closed, refused): (Vec<_>, Vec<_>) = answers.iter().partition(|answer| answer.is_ok());
    assert_eq!((closed.len(), refused.len()), (10, 10), "one of two keys");
    assert!(refused.into_iter().all(|answer| code(answer) == "count_closed"));
    assert_eq!(closed.iter().filter(|answer| !answer.as_ref().unwrap().replayed).count(), 1);
    let moved = fixture.moved_by_sheet().await;
    for (n, sku) in skus.iter().enumerate() {
        let is_corrected = n % 7 != 0 && n % 10 != 0;
        assert_eq!(fixture.on_hand(sku).await, if is_corrected { 8 } else { 10 }, "{sku}");
        assert_eq!(moved.get(sku).map_or(0, Vec::len), usize::from(is_corrected), "{sku}");
    }
    let sheet = fixture.sheet().await;
    assert_eq!((sheet.counted_lines, sheet.uncounted_lines), (900, 100));
}

#[tokio::test]
async fn a_close_that_has_begun_ends_after_a_crash_at_any_step() {
    let mut seen = std::collections::BTreeSet::new();
    for lost_after in [false, true] {
        for crash in 0..6 {
            let fixture = Fixture::new(20 + crash).await;
            let skus = many(&fixture, 120).await;
            fixture.open("o", &of_all()).await.unwrap();
            fixture.record("r", &lines(&skus, |n| 10 + i64::try_from(n).unwrap() % 3 - 1)).await.unwrap();
            let start = fixture.faulty.writes.load(std::sync::atomic::Ordering::SeqCst);
            // From one write on, nothing gets through any more: the process is gone.
            fixture.inject(move |write| match write - start {
                n if n == crash && lost_after => Fault::LostAfter,
                n if n >= crash => Fault::LostBefore,
                _ => Fault::None,
            });
            let _ = fixture.close("c").await;
            fixture.heal();
            let left = fixture.sheet().await.status;
            fixture.pass(29);
            let now = fixture.environment.now();
            let deadline = now + Duration::from_secs(60);
            let early = counts::recover(&fixture.ports, now, 100, deadline).await.unwrap();
            assert_eq!(early, 0, "whoever began it has half a minute");
            fixture.pass(1);
            let now = fixture.environment.now();
            let looked_at = counts::recover(&fixture.ports, now, 100, deadline).await.unwrap();
            let due = fixture.memory.items(Table::Stock);
            assert!(due.iter().all(|item| item.opt_text("due_pk").is_none()), "crash at write {crash}");
            assert_eq!(looked_at, usize::from(left == CountStatus::Closing), "crash at write {crash}");
            let ends = if left == CountStatus::Open { CountStatus::Open } else { CountStatus::Closed };
            assert_eq!(fixture.sheet().await.status, ends, "crash at write {crash}");
            seen.insert(format!("{left:?}"));
            // Who began it is answered, and nothing is corrected twice.
            let closed = fixture.close("c").await.unwrap();
            assert_eq!(closed.sheet.status, CountStatus::Closed);
            let moved = fixture.moved_by_sheet().await;
            for (n, sku) in skus.iter().enumerate() {
                let by = i64::try_from(n).unwrap() % 3 - 1;
                assert_eq!(fixture.on_hand(sku).await, 10 + by, "{sku}");
                assert_eq!(moved.get(sku).map_or(0, Vec::len), usize::from(by != 0), "{sku}");
            }
        }
    }
    assert_eq!(seen.len(), 3, "it was left open, closing and closed: {seen:?}");
}

/// Sixteen sell while others count and close, with lost answers and conflicts: on hand is what it was, less what was
/// sold, and the variance of each line, once.
#[tokio::test]
async fn counting_beside_sixteen_sellers_is_exact() {
    for seed in 0..6_u64 {
        let fixture = Arc::new(Fixture::new(40 + seed).await);
        for sku in [A, B, C] {
            fixture.count(SHOP, sku, 4_000).await;
        }
        if seed % 2 == 0 {
            fixture.split(8).await;
        }
        fixture.open("o", &of_skus(&[A, B, C])).await.unwrap();
        fixture.inject_by_chance(30, [Fault::LostAfter, Fault::LostBefore, Fault::Throttled]);
        let again = async |what: &str, act: &dyn Fn() -> futures::future::BoxFuture<'static, Result<()>>| {
            for _ in 0..500 {
                match act().await {
                    Ok(()) => return,
                    Err(Error::Retryable { .. } | Error::Conflict(_)) => {}
                    Err(error) => panic!("{what}: {error}"),
                }
            }
            panic!("{what}: never");
        };
        let sold = std::sync::Mutex::new(BTreeMap::<&str, i64>::new());
        let sellers = (0..16).map(|seller| {
            let (fixture, sold, again) = (fixture.clone(), &sold, &again);
            async move {
                for n in 0..20_u64 {
                    let sku = [A, B, C][usize::try_from(fixture.environment.random() % 3).unwrap()];
                    let pieces = i64::try_from(1 + fixture.environment.random() % 3).unwrap();
                    let key = format!("s-{seller}-{n}");
                    let fixture = fixture.clone();
                    again("sell", &move || {
                        let (fixture, key) = (fixture.clone(), key.clone());
                        Box::pin(async move { fixture.sells(&fixture.ports, &key, sku, pieces).await })
                    })
                    .await;
                    *sold.lock().unwrap().entry(sku).or_default() += pieces;
                }
            }
        });
        let counters = (0..3).map(|counter| {
            let (fixture, again) = (fixture.clone(), &again);
            async move {
                for n in 0..4 {
                    let sku = [A, B, C][(counter + n) % 3];
                    let key = format!("r-{counter}-{n}");
                    let fixture = fixture.clone();
                    // Enough for all that is sold.
                    let pieces = i64::try_from(1_000 + fixture.environment.random() % 4_000).unwrap();
                    again("count", &move || {
                        let (fixture, key) = (fixture.clone(), key.clone());
                        Box::pin(async move { fixture.record(&key, &[(sku, pieces)]).await.map(drop) })
                    })
                    .await;
                }
            }
        });
        let count_and_close = async {
            join_all(counters).await;
            let fixture = fixture.clone();
            again("close", &move || {
                let fixture = fixture.clone();
                Box::pin(async move { fixture.close("c").await.map(drop) })
            })
            .await;
        };
        futures::join!(join_all(sellers), count_and_close);
        fixture.heal();
        let sheet = fixture.sheet().await;
        let moved = fixture.moved_by_sheet().await;
        for line in &sheet.lines {
            let [_, counted, variance, corrected] = numbers(line).map(Option::unwrap);
            let sold = sold.lock().unwrap().get(line.sku.as_str()).copied().unwrap_or(0);
            let stock = fixture.total(&line.sku).await;
            assert_eq!(stock, 4_000 - sold + corrected, "seed {seed}: {line:?}");
            assert!(corrected == variance || stock == 0 || counted < 60, "seed {seed}: {line:?}");
            let moves: Vec<i64> = moved.get(&line.sku).into_iter().flatten().map(|(by, _)| *by).collect();
            assert_eq!(moves, if corrected == 0 { vec![] } else { vec![corrected] }, "seed {seed}");
            fixture.proves(&line.sku).await;
        }
    }
}

impl Fixture {
    /// On hand over all parts.
    async fn total(&self, sku: &str) -> i64 {
        let level = tillstream_app::stock::read::one(&self.ports, &self.caller, SHOP, sku).await.unwrap();
        whole(Some(&level.on_hand)).unwrap()
    }
}

/// Above the tenant's limit it takes a manager, or an approval of exactly this sheet, once.
#[tokio::test]
async fn a_sheet_far_from_the_books_needs_an_approval() {
    let above = |amount| CashRule { required: true, above_amount: amount };
    let off_by_five = 5 * 255;
    for (rule, expected) in [
        (CashRule::default(), "none"),
        (CashRule { required: false, above_amount: Some(0) }, "none"),
        (above(Some(off_by_five)), "none"),
        (above(Some(off_by_five - 1)), "approval_required"),
        (above(None), "approval_required"),
    ] {
        let fixture = Fixture::new(60).await;
        fixture.rules(rule).await;
        fixture.count(SHOP, A, 10).await;
        fixture.count(SHOP, B, 10).await;
        fixture.open("o", &of_skus(&[A, B])).await.unwrap();
        // Surplus and shortage do not make up for each other.
        fixture.record("r", &[(A, 7), (B, 12)]).await.unwrap();
        let before = fixture.memory.items(Table::Stock);
        let closed = fixture.close_as(&staff(), "c", CloseCountRequest::default()).await;
        assert_eq!(code(&closed), expected, "{rule:?}");
        if expected == "none" {
            continue;
        }
        assert_eq!(fixture.memory.items(Table::Stock), before);
        fixture.close_as(&manager(), "m", CloseCountRequest::default()).await.unwrap();
    }

    let fixture = Fixture::new(61).await;
    fixture.rules(above(Some(100))).await;
    fixture.count(SHOP, A, 10).await;
    fixture.open("o", &of_skus(&[A])).await.unwrap();
    fixture.record("r-1", &[(A, 7)]).await.unwrap();
    let with = |id: &str| CloseCountRequest { reason: None, approval_id: Some(id.to_owned()) };
    assert_eq!(code(&fixture.close_as(&staff(), "c", with("none")).await), "approval_not_found");
    let first = fixture.approval("a-1").await.unwrap();
    // The same is counted once more: it is another sheet than was approved.
    fixture.record("r-2", &[(A, 7)]).await.unwrap();
    assert_eq!(code(&fixture.close_as(&staff(), "c", with(&first)).await), "approval_does_not_match");
    // A manager who names one is held to it.
    assert_eq!(code(&fixture.close_as(&manager(), "c", with(&first)).await), "approval_does_not_match");
    let second = fixture.approval("a-2").await.unwrap();
    let stock = fixture.on_hand(A).await;
    let answers = join_all((0..6).map(|n| {
        let (fixture, second) = (&fixture, &second);
        async move { fixture.close_as(&staff(), &format!("c-{}", n % 2), with(second)).await }
    }))
    .await;
    assert_eq!(answers.iter().filter(|answer| answer.is_ok()).count(), 3);
    assert!(answers.iter().all(|answer| ["none", "count_closed"].contains(&code(answer))));
    assert_eq!((stock, fixture.on_hand(A).await), (10, 7));
    let ended = fixture.sheet().await.ended.unwrap();
    assert_eq!((ended.approval_id.as_deref(), ended.approved_by.as_deref()), (Some("a-2"), Some("boss")));
    let used: Vec<Item> = fixture.memory.items(Table::Orders);
    let used = used.iter().find(|item| item.opt_text("approval_id") == Some("a-2")).unwrap();
    assert_eq!(used.text("state").unwrap(), "used");
    // It is good for nothing more: not even for a sheet just like it.
    assert_eq!(code(&fixture.approval("a-3").await), "count_closed");
}

/// What has no price in the location's currency is above any limit.
#[tokio::test]
async fn a_line_without_a_price_is_above_every_limit() {
    let fixture = Fixture::new(62).await;
    let mut foreign = product("FOREIGN");
    foreign.currency = "USD".parse().unwrap();
    fixture.product(&foreign).await;
    fixture.count(SHOP, "FOREIGN", 10).await;
    fixture.rules(CashRule { required: true, above_amount: Some(1_000_000) }).await;
    fixture.open("o", &of_skus(&["FOREIGN"])).await.unwrap();
    fixture.record("r-1", &[("FOREIGN", 9)]).await.unwrap();
    let variance = fixture.sheet().await.variance.unwrap();
    assert_eq!((variance.lines, variance.value.amount, variance.unpriced_lines), (1, 0, 1));
    let refused = fixture.close_as(&staff(), "c", CloseCountRequest::default()).await;
    assert_eq!(code(&refused), "approval_required");
    // As the books say, there is nothing to approve.
    fixture.record("r-2", &[("FOREIGN", 10)]).await.unwrap();
    fixture.close_as(&staff(), "c", CloseCountRequest::default()).await.unwrap();
}

/// A sheet with as much text as it takes still fits into an item.
#[tokio::test]
async fn the_fullest_sheet_fits() {
    let fixture = Fixture::new(63).await;
    let skus: Vec<String> = (0..1_000).map(|n| format!("{:0<60}{n:04}", "é".repeat(0))).collect();
    for sku in &skus {
        fixture.product(&product(sku)).await;
    }
    let named: Vec<&str> = skus.iter().map(String::as_str).collect();
    fixture.open("o", &of_skus(&named)).await.unwrap();
    let reason = |n: usize| -> String {
        // Of four bytes each, and no two alike, so that deflating saves little.
        let at = |k: usize| 0x1_0000 + u32::try_from((n * 7_919 + k * 104_729) % 0xFFFF).unwrap();
        (0..200).map(|k| char::from_u32(at(k)).unwrap()).collect()
    };
    let mut request = counted(&[]);
    for (n, sku) in skus.iter().enumerate() {
        request.lines.push(CountedLineRequest {
            sku: sku.clone(),
            counted: QuantityInput::Whole(999_999),
            lots: Vec::new(),
            reason: (n < 199).then(|| reason(n)),
        });
    }
    counts::record(&fixture.ports, &fixture.caller, "r", "n-1", &request, |_| Ok(())).await.unwrap();
    let mut more = counted(&[(skus[0].as_str(), 1)]);
    more.lines[0].reason = Some("one too many".into());
    let refused = counts::record(&fixture.ports, &fixture.caller, "r-2", "n-1", &more, |_| Ok(())).await;
    assert_eq!(code(&refused), "too_many_reasons");
    fixture.close("c").await.unwrap();
    let largest =
        fixture.memory.items(Table::Stock).iter().map(tillstream_testkit::memory_database::item_size).max();
    assert!(largest.unwrap() < 390_000, "{largest:?}");
    let write =
        Write::Delete { table: Table::Stock, key: fixture.scope().count_sheet("n-1"), condition: None };
    fixture.memory.write(write).await.unwrap();
}
