mod at_once;
mod expected;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use futures::future::join_all;
use jiff::Timestamp;
use serde_json::{Value, json};
use tillstream_app::catalog::items::product_item;
use tillstream_app::catalog::suppliers::supplier_item;
use tillstream_app::database::{Database, Item, Table, Write};
use tillstream_app::environment::Environment;
use tillstream_app::stock::counters::Counters;
use tillstream_app::stock::ledger_gaps::{LATE_MILLIS_MAX, Ledger, close_gaps};
use tillstream_app::stock::listing::StockName;
use tillstream_app::stock::purchases::settle::{Asked, change};
use tillstream_app::stock::purchases::{self, Answer, StoredPurchase, list, place};
use tillstream_app::stock::split::{merge, split};
use tillstream_app::stock::{conservation, read};
use tillstream_app::tenancy::{Role, Stores};
use tillstream_app::{Error, Ports};
use tillstream_contracts::inventory::{MovementCounters, StockLevel};
use tillstream_contracts::purchase_orders::{
    EndPurchaseRequest, PurchaseLineRequest, PurchaseOrderQuery, PurchaseOrderRequest, PurchaseReceivedLine,
    PurchaseState, PurchaseStatusView, ReceivePurchaseRequest,
};
use tillstream_domain::money::Currency;
use tillstream_domain::purchase_order::{self, PurchaseAction};
use tillstream_domain::quantity::QuantityInput;
use tillstream_domain::supplier::{SuppliedSku, Supplier};

use crate::fixture::{
    self, BY_WEIGHT, Fault, Fixture, SKUS, caller, dies_after, named, product, put, refusal,
};

const HERE: &str = "w-hull";
const A: &str = SKUS[0];
const B: &str = SKUS[1];

pub(crate) fn supplier(id: &str, over_delivery_percent: u32) -> Supplier {
    let supplied = |sku: &str, lead_time_days| SuppliedSku {
        sku: sku.into(),
        lead_time_days,
        pack_size: None,
        unit_cost: Some("1.10".parse().unwrap()),
    };
    Supplier {
        id: id.into(),
        name: "Candles Ltd".into(),
        lead_time_days: 7,
        currency: Some(Currency::GBP),
        over_delivery_percent,
        contact_name: None,
        email: None,
        phone: None,
        address: None,
        supplies: vec![supplied(A, None), supplied(B, Some(21))],
        version: 1,
    }
}

/// A fixture with the suppliers `sup-1`, who delivers what was ordered, and `sup-2`, who may deliver a fifth more.
async fn fixture(seed: u64) -> Fixture {
    let fixture = Fixture::new(seed).await;
    for supplier in [supplier("sup-1", 0), supplier("sup-2", 20)] {
        fixture.supply(&supplier).await;
    }
    fixture
}

fn request(lines: &[(&str, i64)]) -> PurchaseOrderRequest {
    PurchaseOrderRequest {
        purchase_order_id: Some("po-1".into()),
        supplier_id: "sup-1".into(),
        location_id: HERE.into(),
        lines: lines
            .iter()
            .map(|(sku, pieces)| PurchaseLineRequest {
                sku: (*sku).into(),
                quantity: QuantityInput::Whole(*pieces),
                unit_cost: None,
            })
            .collect(),
        expected_at: None,
        note: Some("ring at the gate".into()),
    }
}

fn arrived(lines: &[(&str, i64, i64)]) -> ReceivePurchaseRequest {
    let line = |(sku, quantity, damaged): &(&str, i64, i64)| PurchaseReceivedLine {
        sku: (*sku).into(),
        quantity: QuantityInput::Whole(*quantity),
        damaged: Some(QuantityInput::Whole(*damaged)),
        lot: None,
        expires_on: None,
    };
    ReceivePurchaseRequest { lines: Some(lines.iter().map(line).collect()) }
}

fn ended() -> EndPurchaseRequest {
    EndPurchaseRequest { reason: "sold out for good".into() }
}

/// What stands in the books of some location and SKU, in thousandths.
type Book = BTreeMap<(String, String), i64>;

/// What one look at everything shows.
#[derive(Debug, Default, PartialEq, Eq)]
struct Books {
    /// By stock items.
    on_order: Book,
    on_hand: Book,
    damaged: Book,
}

impl Fixture {
    async fn supply(&self, supplier: &Supplier) {
        put(&self.memory, Table::Catalog, supplier_item(self.scope(), supplier).unwrap()).await;
    }

    async fn order(&self, key: &str, request: &PurchaseOrderRequest) -> Result<Answer, Error> {
        place::place(&self.ports, &self.caller, key, request).await
    }

    async fn ask_of(&self, key: &str, id: &str, asked: Asked<'_>) -> Result<Answer, Error> {
        change(&self.ports, &self.caller, key, id, &asked, |_| Ok(())).await
    }

    async fn receive(&self, key: &str, lines: &[(&str, i64, i64)]) -> Result<Answer, Error> {
        self.ask_of(key, "po-1", Asked::Receive(&arrived(lines))).await
    }

    async fn level_at(&self, location_id: &str, sku: &str) -> StockLevel {
        read::one(&self.ports, &self.caller, location_id, sku).await.unwrap()
    }

    /// On hand, damaged and on order, in pieces.
    async fn counts_of(&self, sku: &str) -> (i64, i64, i64) {
        let stock = self.stock(HERE, sku).await;
        (stock.on_hand / 1_000, stock.damaged / 1_000, stock.on_order / 1_000)
    }

    async fn proved(&self, location_id: &str, sku: &str) -> MovementCounters {
        let proof = conservation::prove(&self.ports, &self.caller, location_id, sku).await.unwrap();
        assert!(proof.holds && proof.seq_reached == proof.seq_current, "{proof:?}");
        proof.counters
    }

    /// Looks at everything at one moment: what stock items say is on order is what orders say is open, line by line,
    /// also in the middle of a long step, and so do the items that tell when it comes. Answers what stock items have.
    fn look(&self) -> Books {
        let (mut books, mut open, mut told) = (Books::default(), Book::new(), Book::new());
        let name = |item: &Item| {
            (item.text("location_id").unwrap().to_owned(), item.text("sku").unwrap().to_owned())
        };
        for item in self.memory.items(Table::Stock) {
            if item.opt_number("seq").is_some() {
                let stock = Counters::of(&item).unwrap();
                assert!(stock.on_order >= 0 && stock.on_hand >= 0 && stock.damaged >= 0, "{item:?}");
                *books.on_order.entry(name(&item)).or_default() += stock.on_order;
                *books.on_hand.entry(name(&item)).or_default() += stock.on_hand;
                *books.damaged.entry(name(&item)).or_default() += stock.damaged;
            } else if item.text("pk").unwrap().contains("#on-order#") {
                let quantity = item.number("open").unwrap();
                assert!(quantity > 0, "{item:?}");
                *told.entry(name(&item)).or_default() += quantity;
            } else if item.get("purchase_order_id").is_some() {
                let order = StoredPurchase::of(&item).unwrap();
                for (sku, quantity) in done(&order).1 {
                    *open.entry((order.location_id.clone(), sku)).or_default() += quantity;
                }
            }
        }
        for book in [&mut books.on_order, &mut open, &mut told] {
            book.retain(|_, quantity| *quantity != 0);
        }
        assert_eq!(books.on_order, open, "on order is what is open of orders");
        assert_eq!(told, open, "what tells when it comes is what is open of orders");
        books
    }

    /// What arrived by all orders, damaged or not, in thousandths.
    fn arrived(&self) -> (Book, Book) {
        let (mut received, mut damaged) = (Book::new(), Book::new());
        for item in self.memory.items(Table::Stock) {
            if item.get("purchase_order_id").is_some() && item.get("body").is_some() {
                let order = StoredPurchase::of(&item).unwrap();
                for line in done(&order).0 {
                    let name = (order.location_id.clone(), line.sku);
                    *received.entry(name.clone()).or_default() += line.received.thousandths();
                    *damaged.entry(name).or_default() += line.damaged.thousandths();
                }
            }
        }
        (received, damaged)
    }
}

/// The lines of an order as the chunks that are done left them, and what is open of each.
fn done(order: &StoredPurchase) -> (Vec<purchase_order::PurchaseLine>, Vec<(String, i64)>) {
    let mut lines = order.body.lines.clone();
    if let Some(pending) = &order.body.pending {
        let chunks = usize::try_from(pending.done).unwrap();
        match pending.step.action {
            PurchaseAction::Place => lines.truncate(chunks),
            _ => purchase_order::apply(&mut lines, &pending.step.settled[..chunks]),
        }
    }
    let open = lines.iter().map(|line| (line.sku.clone(), line.outstanding().thousandths())).collect();
    (lines, open)
}

fn code<T>(refused: &Result<T, Error>) -> &str {
    refused.as_ref().err().and_then(Error::code).unwrap_or("none")
}

fn whole(pieces: i64) -> QuantityInput {
    QuantityInput::Whole(pieces)
}

#[tokio::test]
async fn an_order_is_received_in_parts_and_what_does_not_come_is_written_off() {
    let fixture = fixture(1).await;
    fixture.count(HERE, A, 10).await;
    let placed = fixture.order("k-1", &request(&[(A, 4), (B, 5), (A, 2)])).await.unwrap();
    assert_eq!((placed.order.status, placed.order.version), (PurchaseStatusView::Ordered, 1));
    assert_eq!((fixture.counts_of(A).await, fixture.counts_of(B).await), ((10, 0, 6), (0, 0, 5)));
    let level = fixture.level_at(HERE, A).await;
    assert_eq!((level.incoming, level.available), (whole(6), whole(10)), "what is to come is not for sale");
    fixture.look();

    let partly = fixture.receive("k-2", &[(A, 3, 1)]).await.unwrap();
    assert_eq!(partly.order.status, PurchaseStatusView::PartlyReceived);
    assert_eq!(fixture.counts_of(A).await, (13, 1, 2));
    assert_eq!(fixture.level_at(HERE, A).await.available, whole(13), "what arrived is for sale");
    fixture.receive("k-3", &[(B, 5, 0)]).await.unwrap();
    assert_eq!(fixture.counts_of(B).await, (5, 0, 0));
    let closed = fixture.ask_of("k-4", "po-1", Asked::Close(&ended())).await.unwrap();
    assert_eq!((closed.order.status, closed.order.version), (PurchaseStatusView::Closed, 4));
    let line = &closed.order.lines[1];
    assert_eq!((line.sku.as_str(), &line.written_off, &line.outstanding), (A, &whole(2), &whole(0)));
    assert_eq!(fixture.counts_of(A).await, (13, 1, 0));
    let told: Vec<_> =
        closed.order.steps.iter().map(|step| (step.action.as_str(), step.lines.len())).collect();
    assert_eq!(told, [("place", 0), ("receive", 1), ("receive", 1), ("close", 1)]);
    assert_eq!(closed.order.steps[3].reason.as_deref(), Some("sold out for good"));
    assert_eq!(closed.order.steps[1].lines[0].damaged, whole(1));

    // Each request again says what it said, also what was ordered before anything arrived.
    let again = fixture.order("k-1", &request(&[(A, 4), (B, 5), (A, 2)])).await.unwrap();
    assert_eq!((again.order, again.replayed), (placed.order, true));
    let again = fixture.receive("k-2", &[(A, 3, 1)]).await.unwrap();
    assert_eq!((again.order, again.replayed), (partly.order, true));
    assert_eq!(code(&fixture.receive("k-2", &[(A, 3, 2)]).await), "idempotency_key_reused");
    assert_eq!(fixture.look().on_order, Book::new());

    fixture.relay(|_| true).await;
    let after = fixture.proved(HERE, A).await;
    assert_eq!((after.on_hand, after.damaged, after.on_order), (whole(13), whole(1), whole(0)));
    let rows = fixture.memory.items(Table::Ledger);
    let kinds: Vec<_> = rows
        .iter()
        .filter(|row| row.opt_text("sku") == Some(A))
        .filter_map(|row| Some((row.opt_text("kind")?, row.opt_number("delta_on_order").unwrap_or(0))))
        .collect();
    assert_eq!(
        kinds,
        [("count", 0), ("purchase_place", 6_000), ("purchase_receive", -4_000), ("purchase_close", -2_000)]
    );
    fixture.check_invariants();
}

#[tokio::test]
async fn what_is_refused_changes_nothing() {
    let fixture = fixture(2).await;
    fixture.count(HERE, A, 10).await;
    let mut nameless = supplier("sup-3", 0);
    (nameless.currency, nameless.supplies) = (None, vec![]);
    fixture.supply(&nameless).await;
    let untouched = fixture.memory.items(Table::Stock);
    let with = |change: &dyn Fn(&mut PurchaseOrderRequest)| {
        let mut changed = request(&[(A, 1), (B, 1)]);
        change(&mut changed);
        changed
    };
    let in_days = |days: i64| {
        let at = fixture.environment.now().as_second() + days * 86_400;
        with(&|r| r.expected_at = Some(Timestamp::from_second(at).unwrap()))
    };
    for (request, expected) in [
        (with(&|r| r.supplier_id = "nobody".into()), "supplier_unknown"),
        (with(&|r| r.supplier_id = "a#b".into()), "id_malformed"),
        (with(&|r| r.location_id = "s-nowhere".into()), "location_not_found"),
        (with(&|r| r.location_id = "a/b".into()), "location_id_malformed"),
        (with(&|r| r.purchase_order_id = Some("4111111111111111".into())), "card_number_refused"),
        (with(&|r| r.purchase_order_id = Some("a b".into())), "id_malformed"),
        (with(&|r| r.note = Some("4111 1111 1111 1111".into())), "card_number_refused"),
        (with(&|r| r.note = Some("x".repeat(201))), "text_too_long"),
        (in_days(-367), "expected_at_out_of_range"),
        (in_days(3_661), "expected_at_out_of_range"),
        (request(&[]), "lines_out_of_range"),
        (request(&[(A, 1); 1_001]), "lines_out_of_range"),
        (request(&[(A, 0)]), "quantity_invalid"),
        (request(&[(A, -1)]), "quantity_invalid"),
        (request(&[(A, 1_000_001)]), "quantity_invalid"),
        (request(&[(A, i64::MAX)]), "quantity_invalid"),
        (request(&[(A, 1_000_000), (A, 1)]), "quantity_invalid"),
        (request(&[("unknown", 1)]), "sku_unknown"),
        (request(&[(" ", 1)]), "sku_malformed"),
        (request(&[("SERVICE", 1)]), "sku_not_stocked"),
        (request(&[(BY_WEIGHT, 1)]), "quantity_invalid"),
        (
            with(&|r| {
                r.lines[1].sku = A.into();
                r.lines[1].unit_cost = Some("2".parse().unwrap());
            }),
            "unit_cost_differs",
        ),
        (
            with(&|r| {
                r.supplier_id = "sup-3".into();
                r.lines[0].unit_cost = Some("2".parse().unwrap());
            }),
            "currency_unknown",
        ),
    ] {
        assert_eq!(code(&fixture.order("k", &request).await), expected, "{request:?}");
    }
    assert_eq!(fixture.memory.items(Table::Stock), untouched);

    fixture.order("k-1", &request(&[(A, 6)])).await.unwrap();
    let ordered = fixture.memory.items(Table::Stock);
    assert_eq!(code(&fixture.order("k-2", &request(&[(A, 1)])).await), "purchase_order_exists");
    assert_eq!(code(&fixture.order("k-1", &request(&[(A, 1)])).await), "idempotency_key_reused");
    for (lines, expected) in [
        (&[(A, 7, 0)][..], "over_delivery"),
        (&[(A, 6, 1)], "over_delivery"),
        (&[(A, 4, 0), (A, 3, 0)], "over_delivery"),
        (&[(A, 0, 0)], "nothing_counted"),
        (&[(A, -1, 2)], "quantity_invalid"),
        (&[(A, 2, -1)], "quantity_invalid"),
        (&[(A, 1_000_001, 0)], "quantity_invalid"),
        (&[(B, 1, 0)], "sku_not_in_purchase_order"),
        (&[("\n", 1, 0)], "sku_malformed"),
        (&[], "lines_out_of_range"),
        (&[(A, 0, 0); 1_001], "lines_out_of_range"),
    ] {
        assert_eq!(code(&fixture.receive("k-3", lines).await), expected, "{lines:?}");
    }
    let ended = ended();
    for reason in [" ", "", "4111 1111 1111 1111", &"x".repeat(201)] {
        let asked = EndPurchaseRequest { reason: reason.into() };
        let expected = if reason.starts_with('4') { "card_number_refused" } else { "reason_invalid" };
        for asked in [Asked::Close(&asked), Asked::Cancel(&asked)] {
            assert_eq!(code(&fixture.ask_of("k-3", "po-1", asked).await), expected, "{reason:?}");
        }
    }
    for (id, key) in [("po-2", "k-3"), ("a/b", "k-3")] {
        let refused = fixture.ask_of(key, id, Asked::Cancel(&ended)).await;
        assert_eq!(code(&refused), "purchase_order_not_found");
    }
    let cancel = Asked::Cancel(&ended);
    let stale = change(&fixture.ports, &fixture.caller, "k-3", "po-1", &cancel, |version| {
        assert_eq!(version, Some(1));
        Err(tillstream_app::Refusal::conflict("version_mismatch", "another version"))
    });
    assert_eq!(code(&stale.await), "version_mismatch");
    assert_eq!(fixture.memory.items(Table::Stock), ordered);

    fixture.receive("k-4", &[(A, 1, 0)]).await.unwrap();
    let late = fixture.ask_of("k-5", "po-1", Asked::Cancel(&ended)).await;
    assert_eq!(code(&late), "purchase_order_not_cancellable");
    fixture.ask_of("k-6", "po-1", Asked::Receive(&ReceivePurchaseRequest::default())).await.unwrap();
    for asked in [Asked::Receive(&arrived(&[(A, 1, 0)])), Asked::Close(&ended), Asked::Cancel(&ended)] {
        let refused = fixture.ask_of("k-7", "po-1", asked).await;
        assert_eq!(refusal(refused.unwrap_err()).extra["purchase_order_status"], "received");
    }
    assert_eq!(fixture.counts_of(A).await, (16, 0, 0));
}

#[tokio::test]
async fn who_runs_a_location_orders_for_it_and_others_do_not() {
    let fixture = fixture(3).await;
    fixture.order("k-1", &request(&[(A, 6)])).await.unwrap();
    let ended = ended();
    let mine = || named(&[HERE]);
    for (role, stores, may_change, may_look) in [
        (Role::WarehouseStaff, mine(), "none", "none"),
        (Role::StoreManager, mine(), "none", "none"),
        (Role::Operator, Stores::All, "none", "none"),
        (Role::StoreManager, named(&["s-leeds"]), "store_out_of_reach", "store_out_of_reach"),
        (Role::Cashier, mine(), "role_required", "role_required"),
        (Role::FranchiseOwner, mine(), "role_required", "none"),
        (Role::Analyst, mine(), "role_required", "none"),
        (Role::Integration, mine(), "role_required", "none"),
    ] {
        let who = caller("demo", role, stores);
        let seen = purchases::get(&fixture.ports, &who, "po-1").await;
        assert_eq!(code(&seen), may_look, "{role:?}");
        let query = PurchaseOrderQuery { location_id: Some(HERE.into()), ..Default::default() };
        assert_eq!(code(&list::list(&fixture.ports, &who, &query).await), may_look, "{role:?}");
        let mut other = request(&[(A, 1)]);
        other.purchase_order_id = None;
        let key = format!("k-{role:?}");
        assert_eq!(code(&place::place(&fixture.ports, &who, &key, &other).await), may_change, "{role:?}");
        for asked in [Asked::Receive(&arrived(&[(A, 0, 0)])), Asked::Close(&ended)] {
            let refused = change(&fixture.ports, &who, &key, "po-1", &asked, |_| {
                Err(tillstream_app::Refusal::conflict("stop", "nothing is to happen"))
            });
            let expected = if may_change == "none" { "stop" } else { may_change };
            assert_eq!(code(&refused.await), expected, "{role:?}");
        }
    }
    let stranger = caller("other", Role::Operator, Stores::All);
    assert_eq!(code(&purchases::get(&fixture.ports, &stranger, "po-1").await), "purchase_order_not_found");
    assert_eq!(
        code(&place::place(&fixture.ports, &stranger, "k", &request(&[(A, 1)])).await),
        "supplier_unknown"
    );
}

#[tokio::test]
async fn an_order_keeps_the_terms_it_was_placed_on() {
    let fixture = fixture(4).await;
    let now = fixture.environment.now();
    let after = |days: u64| {
        let at = now.checked_add(Duration::from_secs(days * 86_400)).unwrap();
        Timestamp::from_millisecond(at.as_millisecond()).unwrap()
    };
    let mut dated = request(&[(A, 10)]);
    dated.expected_at = Some(after(3));
    for (lines, days) in [
        (request(&[(A, 10)]), 7),
        (request(&[("BANK CHARGES", 1)]), 7),
        // Its own lead time is longer than that of the others.
        (request(&[(A, 10), (B, 1)]), 21),
        (dated, 3),
    ] {
        let lines = PurchaseOrderRequest { purchase_order_id: None, ..lines };
        let placed = fixture.order(&format!("k-{days}-{}", lines.lines[0].sku), &lines).await.unwrap();
        assert_eq!(placed.order.expected_at, after(days), "{lines:?}");
    }
    let mut priced = request(&[(A, 10), ("BANK CHARGES", 5)]);
    (priced.supplier_id, priced.purchase_order_id) = ("sup-2".into(), Some("po-1".into()));
    priced.lines[1].unit_cost = Some("0.25".parse().unwrap());
    let placed = fixture.order("priced", &priced).await.unwrap().order;
    let costs: Vec<_> = placed.lines.iter().map(|line| line.unit_cost.unwrap().to_string()).collect();
    assert_eq!((costs, placed.currency), (vec!["1.10".into(), "0.25".to_owned()], Some(Currency::GBP)));

    // The supplier may deliver no more than was ordered from now on, and is gone at last.
    fixture.supply(&supplier("sup-2", 0)).await;
    let refused = fixture.receive("r-1", &[(A, 13, 0)]).await.unwrap_err();
    let refused = refusal(refused);
    assert_eq!(refused.code, "over_delivery");
    assert_eq!(
        [&refused.extra["sku"], &refused.extra["bound"], &refused.extra["over_delivery_percent"]],
        [&json!(A), &json!(12), &json!(20)]
    );
    let before = fixture.counts_of(A).await;
    fixture.receive("r-2", &[(A, 8, 1)]).await.unwrap();
    let refused = refusal(fixture.receive("r-3", &[(A, 4, 0)]).await.unwrap_err());
    assert_eq!(refused.extra["bound"], json!(3));
    fixture.receive("r-4", &[(A, 2, 1)]).await.unwrap();
    // Twelve arrived of ten: ten are no longer on order, and no more than that.
    assert_eq!(fixture.counts_of(A).await, (before.0 + 10, before.1 + 2, before.2 - 10));
    let late = refusal(fixture.receive("r-5", &[(A, 1, 0)]).await.unwrap_err());
    assert_eq!((late.code, &late.extra["bound"]), ("over_delivery", &json!(0)));
    let all = fixture.receive("r-6", &[("BANK CHARGES", 5, 0)]).await.unwrap();
    assert_eq!(all.order.status, PurchaseStatusView::Received);
    assert_eq!(code(&fixture.receive("r-7", &[("BANK CHARGES", 1, 0)]).await), "purchase_order_closed");
    // A replay does not ask for the supplier.
    let gone = fixture.memory.items(Table::Catalog);
    let gone = gone.iter().find(|item| item.opt_text("list_sk") == Some("sup-2")).unwrap();
    let mut mark = Item::default().with("kind", "deleted").with("version", 2);
    for name in ["pk", "sk"] {
        mark = mark.with(name, gone.text(name).unwrap());
    }
    put(&fixture.memory, Table::Catalog, mark).await;
    assert!(fixture.order("priced", &priced).await.unwrap().replayed);
    let mut another = priced.clone();
    another.purchase_order_id = None;
    assert_eq!(code(&fixture.order("another", &another).await), "supplier_unknown");
    fixture.look();
}

#[tokio::test]
async fn goods_sold_by_weight_are_ordered_and_received_by_weight() {
    let fixture = fixture(5).await;
    let decimal = |text: &str| QuantityInput::Decimal(text.into());
    let mut cheese = request(&[(BY_WEIGHT, 1)]);
    cheese.lines[0].quantity = decimal("12.5");
    cheese.supplier_id = "sup-2".into();
    fixture.order("k", &cheese).await.unwrap();
    let mut some = arrived(&[(BY_WEIGHT, 1, 0)]);
    let lines = some.lines.as_mut().unwrap();
    (lines[0].quantity, lines[0].damaged) = (decimal("15.001"), None);
    let refused = refusal(fixture.ask_of("r", "po-1", Asked::Receive(&some)).await.unwrap_err());
    assert_eq!(refused.extra["bound"], json!("15"));
    some.lines.as_mut().unwrap()[0].quantity = decimal("0.482");
    fixture.ask_of("r", "po-1", Asked::Receive(&some)).await.unwrap();
    let level = fixture.level_at(HERE, BY_WEIGHT).await;
    assert_eq!((level.on_hand, level.incoming), (decimal("0.482"), decimal("12.018")));
}

#[tokio::test]
async fn lists_tell_what_is_to_come_to_whom_and_from_whom() {
    let fixture = fixture(6).await;
    let mut ids = Vec::new();
    for (location_id, supplier_id) in
        [(HERE, "sup-1"), (HERE, "sup-2"), ("s-leeds", "sup-1"), (HERE, "sup-1"), ("s-leeds", "sup-2")]
    {
        let mut request = request(&[(A, 1)]);
        request.purchase_order_id = None;
        (request.location_id, request.supplier_id) = (location_id.into(), supplier_id.into());
        let placed = fixture.order(&format!("k-{}", ids.len()), &request).await.unwrap();
        ids.push(placed.order.purchase_order_id);
        fixture.pass(1);
    }
    fixture.ask_of("c", &ids[3], Asked::Cancel(&ended())).await.unwrap();
    let listed = async |who: Stores, location_id: Option<&str>, supplier_id: Option<&str>, state| {
        let who = caller("demo", Role::StoreManager, who);
        let (mut found, mut cursor) = (Vec::new(), None);
        loop {
            let query = PurchaseOrderQuery {
                location_id: location_id.map(Into::into),
                supplier_id: supplier_id.map(Into::into),
                state: Some(state),
                limit: Some(1),
                cursor: cursor.take(),
            };
            let page = list::list(&fixture.ports, &who, &query).await.unwrap();
            found.extend(
                page.items
                    .into_iter()
                    .map(|item| ids.iter().position(|id| *id == item.purchase_order_id).unwrap()),
            );
            cursor = page.next_cursor;
            if cursor.is_none() {
                return found;
            }
        }
    };
    let (open, closed) = (PurchaseState::Open, PurchaseState::Closed);
    assert_eq!(listed(Stores::All, Some(HERE), None, open).await, [0, 1]);
    assert_eq!(listed(Stores::All, Some(HERE), None, closed).await, [3]);
    assert_eq!(listed(Stores::All, None, Some("sup-1"), open).await, [0, 2]);
    assert_eq!(listed(Stores::All, None, Some("sup-1"), closed).await, [3]);
    assert_eq!(listed(Stores::All, Some("s-leeds"), Some("sup-2"), open).await, [4]);
    assert_eq!(listed(named(&["s-leeds"]), None, Some("sup-1"), open).await, [2]);
    assert_eq!(listed(named(&["s-leeds"]), None, Some("nobody"), open).await, [0; 0]);
    let asked = async |query: PurchaseOrderQuery| {
        let refused = list::list(&fixture.ports, &fixture.caller, &query).await;
        code(&refused).to_owned()
    };
    assert_eq!(asked(PurchaseOrderQuery::default()).await, "location_or_supplier_missing");
    let here = PurchaseOrderQuery { location_id: Some(HERE.into()), ..Default::default() };
    assert_eq!(asked(PurchaseOrderQuery { limit: Some(201), ..here.clone() }).await, "limit_out_of_range");
    assert_eq!(asked(PurchaseOrderQuery { cursor: Some("abc".into()), ..here }).await, "cursor_malformed");
}

#[tokio::test]
async fn split_stock_is_ordered_and_received_too_and_lost_rows_are_made_up_for() {
    let fixture = fixture(7).await;
    fixture.count(HERE, A, 64).await;
    split(&fixture.ports, fixture.scope(), HERE, A, 16).await.unwrap();
    fixture.order("k-1", &request(&[(A, 30)])).await.unwrap();
    fixture.receive("k-2", &[(A, 8, 2)]).await.unwrap();
    let level = fixture.level_at(HERE, A).await;
    assert_eq!((level.on_hand, level.damaged, level.incoming), (whole(72), whole(2), whole(20)));
    fixture.look();
    merge(&fixture.ports, fixture.scope(), HERE, A).await.unwrap();
    fixture.receive("k-3", &[(A, 5, 0)]).await.unwrap();
    split(&fixture.ports, fixture.scope(), HERE, A, 4).await.unwrap();
    fixture.ask_of("k-4", "po-1", Asked::Close(&ended())).await.unwrap();
    let level = fixture.level_at(HERE, A).await;
    assert_eq!((level.on_hand, level.damaged, level.incoming), (whole(77), whole(2), whole(0)));
    fixture.relay(|_| true).await;
    let after = fixture.proved(HERE, A).await;
    assert_eq!((after.on_hand, after.on_order), (whole(77), whole(0)));

    // Of another SKU all rows but the first and the last are lost: one row stands for them, to the piece.
    let mut order = request(&[(B, 9)]);
    order.purchase_order_id = Some("po-2".into());
    fixture.order("k-5", &order).await.unwrap();
    for n in 0..2 {
        let some = arrived(&[(B, 2, 1)]);
        fixture.ask_of(&format!("r-{n}"), "po-2", Asked::Receive(&some)).await.unwrap();
    }
    fixture.relay(|seq| seq == 1 || seq == 3).await;
    let name = StockName { location_id: HERE.into(), sku: B.into() };
    let ledger = Ledger { name: &name, part: 0 };
    let stock = fixture.stock(HERE, B).await;
    let now = fixture.environment.now();
    close_gaps(&fixture.ports, fixture.scope(), &ledger, &stock, now).await.unwrap();
    let later = now + Duration::from_millis(LATE_MILLIS_MAX.unsigned_abs());
    assert_eq!(close_gaps(&fixture.ports, fixture.scope(), &ledger, &stock, later).await.unwrap(), 1);
    let after = fixture.proved(HERE, B).await;
    assert_eq!((after.on_hand, after.damaged, after.on_order), (whole(4), whole(2), whole(3)));
    let gap = fixture.memory.items(Table::Ledger);
    let gap = gap.iter().find(|row| row.opt_text("kind") == Some("gap_closed")).unwrap();
    assert_eq!((gap.number("delta_on_order").unwrap(), gap.number("on_order").unwrap()), (-3_000, 6_000));
}

/// However often some of it was received, all that is left can be.
#[tokio::test]
async fn what_ends_an_order_is_never_too_much() {
    for close in [false, true] {
        let fixture = fixture(21).await;
        fixture.order("k", &request(&[(A, 300)])).await.unwrap();
        for n in 0..200 {
            fixture.receive(&format!("r-{n}"), &[(A, 1, 0)]).await.unwrap();
        }
        assert_eq!(code(&fixture.receive("more", &[(A, 1, 0)]).await), "too_many_steps");
        let (all, ended) = (ReceivePurchaseRequest::default(), ended());
        let asked = if close { Asked::Close(&ended) } else { Asked::Receive(&all) };
        fixture.ask_of("all", "po-1", asked).await.unwrap();
        assert_eq!(fixture.counts_of(A).await, (if close { 200 } else { 300 }, 0, 0));
    }
}
