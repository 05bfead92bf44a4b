//! How fast stock moves is what the rows of its ledger say, whenever they were told.

use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};
use tillstream_app::database::*;
use tillstream_app::environment::Environment;
use tillstream_app::pos::execute::{execute, execute_uploaded};
use tillstream_app::stock::counters::{Counters, Delta, Movement, stock_update};
use tillstream_app::stock::ledger::{self, LedgerRow};
use tillstream_app::stock::split::{self, LaidOut};
use tillstream_app::stock::{movements, turnover};
use tillstream_app::tenancy::{Caller, Role, Stores};
use tillstream_app::{Error, Result};
use tillstream_contracts::inventory::MovementQuery;
use tillstream_contracts::turnover::{StockTurnoverPage, StockTurnoverQuery};
use tillstream_domain::quantity::QuantityInput;
use tillstream_testkit::memory_database::MemoryDatabase;
use tillstream_testkit::shop::{STORE, Shop, caller, envelope};
use tillstream_testkit::test_environment::TestEnvironment;

use crate::fixture::{run, set_store};
use crate::suggestion_tests::manager;

const PIECE: i64 = 1_000;

fn moment(at: &str) -> Timestamp {
    at.parse().unwrap()
}

fn query(days: u32) -> StockTurnoverQuery {
    StockTurnoverQuery { location_id: STORE.into(), sku: None, days: Some(days), limit: None, cursor: None }
}

fn code(refused: Result<StockTurnoverPage>) -> &'static str {
    refused.err().and_then(|error: Error| error.code()).unwrap_or("none")
}

/// A row of the ledger of a SKU, made by hand: by how many pieces it changed on hand, and to how many.
fn row(sku: &str, seq: i64, at: Timestamp, kind: &str, (pieces, after): (i64, i64)) -> LedgerRow {
    LedgerRow {
        location_id: STORE.into(),
        sku: sku.into(),
        part: 0,
        seq,
        from_seq: None,
        kind: kind.into(),
        reference: format!("o-{seq}"),
        actor: "e-7".into(),
        at,
        reason: None,
        delta: Delta { on_hand: pieces * PIECE, ..Delta::default() },
        after: Counters { seq, on_hand: after * PIECE, available: after * PIECE, ..Counters::default() },
    }
}

struct World {
    shop: Shop,
    database: Arc<MemoryDatabase>,
    environment: Arc<TestEnvironment>,
}

impl World {
    /// A shop on the first of December, at eight.
    async fn new() -> World {
        let environment = Arc::new(TestEnvironment::new(5));
        let database = Arc::new(MemoryDatabase::with_environment(environment.clone()));
        let shop = Shop::open(database.clone(), environment.clone()).await.unwrap();
        let world = World { shop, database, environment };
        world.clock("2010-12-01T08:00:00Z");
        world
    }

    fn clock(&self, at: &str) {
        self.environment.set(moment(at));
    }

    /// Movements of A, told one after the other: what each was, when it happened, by how many pieces it changed what is
    /// on hand and what is damaged.
    async fn moved(&self, all: &[(&'static str, &str, i64, i64)]) {
        for (kind, at, on_hand, damaged) in all {
            let movement = Movement {
                kind,
                reference: format!("{kind} {at}"),
                actor: "e-7".into(),
                at: moment(at),
                reason: None,
            };
            let delta = Delta { on_hand: on_hand * PIECE, damaged: damaged * PIECE, ..Delta::default() };
            let write = stock_update(&self.shop.scope, STORE, "A", delta, &movement, vec![], vec![]);
            self.database.write(write).await.unwrap();
        }
    }

    /// Brings the ledger all that the stock table streamed.
    async fn relay(&self) {
        let changes = self.database.changes(Table::Stock, 0);
        let rows = changes
            .iter()
            .filter_map(|change| ledger::ledger_rows(change.old.as_ref(), change.new.as_ref()).unwrap());
        ledger::record(&self.shop.ports, rows.collect()).await.unwrap();
    }

    /// Puts rows into the ledger as they are.
    async fn put(&self, rows: Vec<LedgerRow>) {
        let items = rows.iter().map(|row| row.item(&self.shop.scope).unwrap()).collect();
        self.database.put_many(Table::Ledger, items).await.unwrap();
    }

    /// Sells so many pieces of a SKU, at 1.00 a piece, by commands that say when they happened; uploaded by a register
    /// that was cut off, or now.
    async fn sell(&self, cart: &str, (sku, pieces): (&str, i64), cut_off_at: Option<&str>) {
        let paid = json!({"amount": pieces * 100, "currency": "GBP"});
        for (action, payload) in [
            ("create_cart", json!({"cart_id": cart})),
            ("add_line_item", json!({"cart_id": cart, "sku": sku, "quantity": pieces})),
            ("set_tendering", json!({"cart_id": cart})),
            ("add_payment", json!({"cart_id": cart, "tender": "card", "amount": paid})),
            ("finalize_order", json!({"cart_id": cart})),
        ] {
            self.said(cart, action, payload, cut_off_at).await;
        }
    }

    /// One command.
    async fn said(&self, cart: &str, action: &str, payload: Value, cut_off_at: Option<&str>) {
        let mut sent = envelope(STORE, "r-1", &format!("{cart}-{action}"), action, payload);
        let now = self.environment.now().to_string();
        sent["occurred_at"] = cut_off_at.unwrap_or(&now).into();
        let who = caller("demo", &[Role::Operator]);
        let answered = match cut_off_at {
            Some(_) => execute_uploaded(&self.shop.ports, &who, sent, None).await,
            None => execute(&self.shop.ports, &who, sent).await,
        };
        answered.unwrap_or_else(|error| panic!("{cart} {action}: {error}"));
    }

    async fn ask(&self, query: &StockTurnoverQuery) -> Result<StockTurnoverPage> {
        turnover::list(&self.shop.ports, &manager(), query).await
    }

    /// The figures as JSON.
    async fn shown(&self, days: u32) -> Value {
        serde_json::to_value(self.ask(&query(days)).await.unwrap().items).unwrap()
    }

    /// Of A: sold, received, other, opening, closing, in pieces.
    async fn of_a(&self, days: u32) -> [i64; 5] {
        let asked = StockTurnoverQuery { sku: Some("A".into()), ..query(days) };
        let items = serde_json::to_value(self.ask(&asked).await.unwrap().items).unwrap();
        ["sold", "received", "other", "opening", "closing"].map(|figure| items[0][figure].as_i64().unwrap())
    }
}

/// By hand, of the 13th and 14th: 20 to begin with, 16 from six o'clock on, 22 from noon on, 27 from midnight on and 25 from
/// the second evening on, which is 1116 ÷ 48 = 23.25. Of what came one was damaged, and so was what came back.
#[test]
fn two_days_can_be_reckoned_by_hand() {
    run(async {
        let world = World::new().await;
        world.clock("2010-12-15T12:00:00Z");
        world
            .moved(&[
                ("sync", "2010-12-10T10:00:00Z", 20, 0),
                ("sale", "2010-12-13T06:00:00Z", -4, 0),
                ("restock", "2010-12-13T12:00:00Z", 6, 0),
                ("purchase_receive", "2010-12-14T00:00:00Z", 5, 1),
                ("return", "2010-12-14T12:00:00Z", 0, 1),
                ("adjustment", "2010-12-14T18:00:00Z", -2, 0),
                ("sale", "2010-12-15T09:00:00Z", -5, 0),
            ])
            .await;
        world.relay().await;
        let mut expected = json!([{
            "sku": "A", "sold": 3, "received": 12, "other": -4, "opening": 20, "closing": 25,
            "average_on_hand": "23.25", "sold_per_day": "1.5", "on_hand": 20, "available": 20, "coming": 0,
            "cover_days": "13.3", "sell_through": "0.094", "turns": "0.13",
        }]);
        let page = world.ask(&query(2)).await.unwrap();
        let days = (page.from.to_string(), page.to.to_string());
        assert_eq!(days, ("2010-12-13".to_owned(), "2010-12-14".to_owned()));
        assert_eq!((page.location_id.as_str(), &page.next_cursor), (STORE, &None));
        assert_eq!(serde_json::to_value(page.items).unwrap(), expected);
        // What is still on its way into the ledger is of the present alone.
        world.moved(&[("sale", "2010-12-14T20:00:00Z", -3, 0)]).await;
        for (figure, now) in [("on_hand", json!(17)), ("available", json!(17)), ("cover_days", json!("11.3"))]
        {
            expected[0][figure] = now;
        }
        assert_eq!(world.shown(2).await, expected);
        world.relay().await;
        assert_eq!(world.of_a(2).await, [6, 12, -4, 20, 22]);
        // Ordered and on its way, and kept back from sale, more than there is.
        let changes = vec![
            Change::Set("incoming", (3 * PIECE).into()),
            Change::Set("on_order", (2 * PIECE).into()),
            Change::Set("in_transit", PIECE.into()),
            Change::Set("available", (-PIECE).into()),
        ];
        let key = world.shop.scope.stock(STORE, "A");
        world
            .database
            .write(Write::Update { table: Table::Stock, key, changes, condition: None })
            .await
            .unwrap();
        let shown = world.shown(2).await;
        assert_eq!((&shown[0]["coming"], &shown[0]["cover_days"]), (&json!(6), &json!("0.0")));
    });
}

/// By hand, of the 12th to the 14th: 20 for 34 hours and 17 for 38, which is 1326 ÷ 72. Of B two were there and five are
/// sold: three more had come from somewhere.
#[test]
fn what_a_register_tells_days_later_is_of_the_day_it_happened() {
    run(async {
        let world = World::new().await;
        for (sku, pieces) in [("A", 20), ("B", 2)] {
            world.shop.product(STORE, sku, "1.00", pieces).await.unwrap();
        }
        world.clock("2010-12-15T12:00:00Z");
        world.sell("now", ("A", 5), None).await;
        world.sell("late", ("A", 3), Some("2010-12-13T10:00:00Z")).await;
        world.sell("beyond", ("B", 5), Some("2010-12-13T10:00:00Z")).await;
        world.relay().await;
        assert_eq!(world.of_a(3).await, [3, 0, 0, 20, 17]);
        assert_eq!(world.of_a(1).await, [0, 0, 0, 17, 17]);
        let shown = world.shown(3).await;
        assert_eq!((&shown[0]["average_on_hand"], &shown[0]["on_hand"]), (&json!("18.417"), &json!(12)));
        let of_b = ["sku", "sold", "other", "opening", "closing"].map(|figure| shown[1][figure].clone());
        assert_eq!(of_b, [json!("B"), json!(5), json!(3), json!(2), json!(0)]);
    });
}

/// Each figure is what the listed movements add up to.
#[test]
fn what_comes_back_damaged_is_sold_no_more() {
    run(async {
        let world = World::new().await;
        world.shop.product(STORE, "A", "1.00", 20).await.unwrap();
        world.clock("2010-12-13T09:00:00Z");
        world.sell("c", ("A", 3), None).await;
        world.clock("2010-12-14T10:00:00Z");
        let refund = json!({"amount": 100, "currency": "GBP"});
        for (action, payload) in [
            ("start_return", json!({"return_id": "back", "original_order_id": "c", "reason": "broken"})),
            (
                "return_line_item",
                json!({"return_id": "back", "line_id": "l-1", "quantity": 1, "disposition": "damaged"}),
            ),
            ("refund_tender", json!({"return_id": "back", "tender": "card", "amount": refund})),
            ("finalize_return", json!({"return_id": "back"})),
        ] {
            world.said("back", action, payload, None).await;
        }
        world.clock("2010-12-15T12:00:00Z");
        world.relay().await;
        assert_eq!(world.of_a(2).await, [2, 0, -1, 20, 17]);
        assert_eq!(world.of_a(1).await, [-1, 0, -1, 17, 17], "of the day on which it came back");
        let listed = MovementQuery { sku: "A".into(), location_id: STORE.into(), limit: None, cursor: None };
        let listed = movements::list(&world.shop.ports, &manager(), &listed).await.unwrap().items;
        let whole = |quantity: &QuantityInput| match quantity {
            QuantityInput::Whole(pieces) => *pieces,
            QuantityInput::Decimal(text) => panic!("{text}"),
        };
        let of_orders = listed.iter().filter(|row| ["sale", "return"].contains(&row.kind.as_str()));
        let sold: i64 = of_orders.map(|row| -whole(&row.delta.on_hand) - whole(&row.delta.damaged)).sum();
        assert_eq!(sold, 2);
    });
}

/// By hand, of the 13th and 14th: 40 for eight and a half hours, 31 until nine the next day, then 28: 1519.5 ÷ 48.
#[test]
fn split_stock_is_one() {
    run(async {
        let world = World::new().await;
        let (ports, scope) = (&world.shop.ports, &world.shop.scope);
        world.shop.product(STORE, "A", "1.00", 40).await.unwrap();
        world.clock("2010-12-13T08:00:00Z");
        let laid_out = split::split(ports, scope, STORE, "A", 4).await.unwrap();
        assert!(matches!(laid_out, LaidOut::Now(_)));
        world.clock("2010-12-13T08:30:00Z");
        world.sell("c-1", ("A", 9), None).await;
        world.clock("2010-12-14T08:00:00Z");
        assert!(matches!(split::merge(ports, scope, STORE, "A").await.unwrap(), LaidOut::Now(_)));
        world.clock("2010-12-14T09:00:00Z");
        world.sell("c-2", ("A", 3), None).await;
        world.clock("2010-12-15T12:00:00Z");
        let laid_out = split::split(ports, scope, STORE, "A", 8).await.unwrap();
        assert!(matches!(laid_out, LaidOut::Now(_)));
        world.relay().await;
        assert_eq!(world.of_a(2).await, [12, 0, 0, 40, 28]);
        let shown = world.shown(2).await;
        assert_eq!((&shown[0]["average_on_hand"], &shown[0]["on_hand"]), (&json!("31.656"), &json!(28)));
    });
}

#[test]
fn what_a_kit_takes_is_sold_of_its_components() {
    run(async {
        let world = World::new().await;
        for sku in ["A", "IDLE"] {
            world.shop.product(STORE, sku, "1.00", 20).await.unwrap();
        }
        world.shop.kit("SET", "1.00", &[("A", 2)]).await.unwrap();
        world.clock("2010-12-14T10:00:00Z");
        world.sell("c", ("SET", 3), None).await;
        world.clock("2010-12-15T12:00:00Z");
        world.relay().await;
        assert_eq!(world.of_a(1).await, [6, 0, 0, 20, 14]);
        let shown = world.shown(1).await;
        assert_eq!(shown.as_array().unwrap().len(), 2, "a kit has no stock: {shown}");
        // 14 ÷ 6; of what nobody bought nobody knows how long it lasts.
        assert_eq!((&shown[0]["cover_days"], &shown[0]["sell_through"]), (&json!("2.3"), &json!("0.300")));
        let idle = json!({
            "sku": "IDLE", "sold": 0, "received": 0, "other": 0, "opening": 20, "closing": 20,
            "average_on_hand": 20, "sold_per_day": 0, "on_hand": 20, "available": 20, "coming": 0,
            "cover_days": null, "sell_through": "0.000", "turns": "0.00",
        });
        assert_eq!(shown[1], idle);
        let kit = StockTurnoverQuery { sku: Some("SET".into()), ..query(1) };
        assert!(world.ask(&kit).await.unwrap().items.is_empty());
    });
}

#[test]
fn days_are_those_of_the_location() {
    run(async {
        let world = World::new().await;
        world.clock("2010-12-15T12:00:00Z");
        world
            .moved(&[
                ("sync", "2010-12-01T09:00:00Z", 20, 0),
                ("sale", "2010-12-13T23:59:59.999Z", -8, 0),
                ("sale", "2010-12-14T00:00:00Z", -1, 0),
                ("sale", "2010-12-14T23:59:59.999Z", -2, 0),
                ("sale", "2010-12-15T00:00:00Z", -4, 0),
            ])
            .await;
        world.relay().await;
        assert_eq!(world.of_a(1).await, [3, 0, 0, 12, 9]);
        // Where the business day begins in the night, what is sold before is of the day before.
        set_store(&world.shop.ports, STORE, |store| store.business_day_start = "04:30".into()).await;
        assert_eq!(world.of_a(1).await, [6, 0, 0, 11, 5]);
        world.clock("2010-12-15T04:29:59Z");
        assert_eq!(world.of_a(1).await, [9, 0, 0, 20, 11]);
        assert_eq!(world.ask(&query(1)).await.unwrap().to.to_string(), "2010-12-13");
    });
}

/// Sales of one piece, every five minutes up to the end of the 14th; 10,000 pieces to begin with.
fn many(sku: &str, rows: i64) -> Vec<LedgerRow> {
    let last = moment("2010-12-14T23:55:00Z");
    let at = |seq: i64| last - SignedDuration::from_mins((rows - seq) * 5);
    (1..=rows).map(|seq| row(sku, seq, at(seq), "sale", (-1, 10_000 - seq))).collect()
}

/// Of the busiest 5,000 rows are read, of which those after the latest of the last 200 are all there are: the 4,800 newest.
/// 4,800 in 16 days, 16 hours and 5 minutes are 287.94 a day.
#[test]
fn of_what_moves_too_often_the_figures_are_of_the_time_that_was_looked_at() {
    run(async {
        let world = World::new().await;
        for n in 1..=5 {
            let sku = format!("S{n}");
            world.shop.product(STORE, &sku, "1.00", 10).await.unwrap();
            world.put(many(&sku, if n == 1 { 5_300 } else { 3_400 })).await;
        }
        world.clock("2010-12-15T12:00:00Z");
        let page = world.ask(&query(28)).await.unwrap();
        let shown = serde_json::to_value(&page.items).unwrap();
        let figures = ["since", "sold", "opening", "closing", "sold_per_day"];
        assert_eq!(
            figures.map(|figure| shown[0][figure].clone()),
            [json!("2010-11-28T07:55:00.001Z"), json!(4_800), json!(9_500), json!(4_700), json!("287.94")]
        );
        assert_eq!(
            figures.map(|figure| shown[1][figure].clone()),
            [Value::Null, json!(3_400), json!(10_000), json!(6_600), json!("121.428")]
        );
        // A page reads so many rows: the last one is on the next.
        assert_eq!(page.items.len(), 4);
        let next = StockTurnoverQuery { cursor: page.next_cursor, ..query(28) };
        let next = world.ask(&next).await.unwrap();
        assert_eq!((next.items[0].sku.as_str(), next.items.len(), next.next_cursor), ("S5", 1, None));
        // Days that ended before anything is known: nothing is said of them.
        world.clock("2010-11-25T12:00:00Z");
        let before = StockTurnoverQuery { sku: Some("S1".into()), ..query(7) };
        let shown = serde_json::to_value(world.ask(&before).await.unwrap().items).unwrap();
        assert_eq!(
            figures.map(|figure| shown[0][figure].clone()),
            [json!("2010-11-28T07:55:00.001Z"), json!(0), json!(9_500), json!(9_500), json!(0)]
        );
        for figure in ["average_on_hand", "cover_days", "sell_through", "turns"] {
            assert_eq!(shown[0][figure], Value::Null, "{figure}");
        }
    });
}

/// Rows that are older than the days end the reading, and rows that a closed gap stands for count once.
#[test]
fn rows_are_read_as_far_as_they_may_be_of_the_days_and_each_change_counts_once() {
    run(async {
        for (older, sold) in [(199, 1), (200, 0)] {
            let world = World::new().await;
            world.shop.product(STORE, "A", "1.00", 10).await.unwrap();
            let in_the_days = moment("2010-12-14T10:00:00Z");
            let mut rows = vec![row("A", 1, in_the_days, "sale", (-1, 4))];
            let before = moment("2010-12-02T10:00:00Z");
            rows.extend((2..2 + older).map(|seq| row("A", seq, before, "hold", (0, 4))));
            world.put(rows).await;
            world.clock("2010-12-15T12:00:00Z");
            assert_eq!(world.of_a(7).await, [sold, 0, 0, 4 + sold, 4], "behind {older} rows");
        }
        let world = World::new().await;
        world.shop.product(STORE, "A", "1.00", 10).await.unwrap();
        let noon = moment("2010-12-14T12:00:00Z");
        let mut gap = row("A", 3, noon, "gap_closed", (-5, 15));
        gap.from_seq = Some(2);
        let late = row("A", 2, moment("2010-12-14T08:00:00Z"), "sale", (-4, 16));
        let first = row("A", 1, moment("2010-12-01T08:00:00Z"), "sync", (20, 20));
        world.put(vec![first, late, gap]).await;
        world.clock("2010-12-15T12:00:00Z");
        assert_eq!(world.of_a(1).await, [4, 0, -1, 20, 15]);
    });
}

#[test]
fn pages_lead_through_all_and_what_is_wrong_is_named() {
    run(async {
        let world = World::new().await;
        for (sku, pieces) in [("A", 6), ("B", 100), ("C", 2)] {
            world.shop.product(STORE, sku, "1.00", pieces).await.unwrap();
        }
        world.relay().await;
        world.clock("2010-12-15T12:00:00Z");
        let all = world.ask(&StockTurnoverQuery { days: None, ..query(1) }).await.unwrap();
        assert_eq!((all.from.to_string(), all.items.len()), ("2010-11-17".to_owned(), 3));
        let (mut paged, mut cursor) = (Vec::new(), None);
        loop {
            let next = StockTurnoverQuery { limit: Some(1), days: None, cursor, ..query(1) };
            let one = world.ask(&next).await.unwrap();
            assert!(one.items.len() <= 1);
            paged.extend(one.items);
            cursor = one.next_cursor;
            let Some(next) = cursor.clone() else { break };
            let of_other_days = StockTurnoverQuery { cursor: Some(next), ..query(1) };
            assert_eq!(code(world.ask(&of_other_days).await), "cursor_malformed");
        }
        assert_eq!(paged, all.items);
        for (wrong, expected) in [
            (query(0), "days_out_of_range"),
            (query(91), "days_out_of_range"),
            (StockTurnoverQuery { limit: Some(0), ..query(1) }, "limit_out_of_range"),
            (StockTurnoverQuery { limit: Some(51), ..query(1) }, "limit_out_of_range"),
            (StockTurnoverQuery { sku: Some(" A".into()), ..query(1) }, "sku_malformed"),
            (StockTurnoverQuery { sku: Some("NONE".into()), ..query(1) }, "sku_unknown"),
            (StockTurnoverQuery { location_id: "s-9".into(), ..query(1) }, "location_not_found"),
            (StockTurnoverQuery { location_id: "s/9".into(), ..query(1) }, "location_id_malformed"),
            (StockTurnoverQuery { cursor: Some("x".into()), ..query(1) }, "cursor_malformed"),
        ] {
            assert_eq!(code(world.ask(&wrong).await), expected, "{wrong:?}");
        }
        let ports = &world.shop.ports;
        let cashier = caller("demo", &[Role::Cashier]);
        assert_eq!(code(turnover::list(ports, &cashier, &query(1)).await), "role_required");
        let far = Caller { stores: Stores::Named(["s-2".to_owned()].into()), ..manager() };
        assert_eq!(code(turnover::list(ports, &far, &query(1)).await), "store_out_of_reach");
        let other = caller("other", &[Role::StoreManager]);
        assert_eq!(code(turnover::list(ports, &other, &query(1)).await), "location_not_found");
    });
}
