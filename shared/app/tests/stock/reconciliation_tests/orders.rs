//! Movements of stock compared with the orders that they are of.

use tillstream_app::orders::record::record;
use tillstream_app::pos::execute::execute;
use tillstream_app::stock::counters::{Delta, Movement, stock_update};
use tillstream_app::stock::lots::recall;
use tillstream_app::stock::restock::restock;
use tillstream_contracts::inventory::RestockRequest;
use tillstream_contracts::lots::ChangeLotRequest;
use tillstream_domain::lot_book::LOTS_WITH_ASIDE_MAX;
use tillstream_domain::product::Product;
use tillstream_testkit::shop::envelope;

use super::*;

/// A shop whose stock the orders move.
struct Shopping {
    shop: Shop,
    memory: Arc<MemoryDatabase>,
    environment: Arc<TestEnvironment>,
    relayed: u64,
}

impl Shopping {
    async fn new() -> Self {
        let environment = Arc::new(TestEnvironment::new(77));
        let memory = Arc::new(MemoryDatabase::with_environment(environment.clone()));
        let shop = Shop::open(memory.clone(), environment.clone()).await.unwrap();
        shop.product(STORE, "A", "1.00", 20).await.unwrap();
        shop.product(STORE, "B", "1.00", 20).await.unwrap();
        Shopping { shop, memory, environment, relayed: 0 }
    }

    async fn sell(&self, cart: &str, lines: &[(&str, i64)]) {
        self.shop.ready("r-1", cart, lines).await.unwrap();
        self.shop.finalize("r-1", cart).await.unwrap();
    }

    async fn relay(&mut self) {
        let changes = self.memory.changes(Table::Stock, self.relayed);
        for change in changes {
            if let Some(row) = ledger::ledger_rows(change.old.as_ref(), change.new.as_ref()).unwrap() {
                ledger::record(&self.shop.ports, vec![row]).await.unwrap();
            }
            self.relayed = change.sequence;
        }
    }

    async fn run(&self) {
        run(&self.shop.ports, &self.shop.scope).await;
    }

    async fn is_compared(&self) {
        self.run().await;
        self.environment.advance(CONFIRMED);
        self.run().await;
    }

    async fn open(&self) -> Vec<StockException> {
        let who = any_caller("demo", &[Role::Operator]);
        listed(&self.shop.ports, &who, STORE, ExceptionStatus::Open).await
    }

    async fn item(&self, table: Table, key: Key) -> Option<Item> {
        let get = Get { table, key, consistency: Consistency::Strong };
        self.memory.get(get).await.unwrap()
    }

    async fn put(&self, table: Table, item: Item) {
        self.memory.write(Write::Put { table, item, condition: None }).await.unwrap();
    }

    async fn correct(&self, id: &str) -> Result<reconciliation::Corrected> {
        let who = any_caller("demo", &[Role::StoreManager]);
        reconciliation::correct(
            &self.shop.ports,
            &who,
            &format!("c-{id}"),
            id,
            &because("tables were restored"),
        )
        .await
    }

    async fn on_hand(&self, sku: &str) -> i64 {
        self.shop.counters(STORE, sku).await.unwrap().on_hand / 1_000
    }
}

/// Tables that were restored to different moments: a sale whose order is gone, and an order whose stock did not move.
#[tokio::test]
async fn orders_and_their_movements_are_compared() {
    let mut shopping = Shopping::new().await;
    shopping.sell("before", &[("A", 1), ("B", 1)]).await;
    shopping.relay().await;
    let scope = shopping.shop.scope.clone();
    let stock_before = [
        shopping.item(Table::Stock, scope.stock(STORE, "A")).await.unwrap(),
        shopping.item(Table::Stock, scope.stock(STORE, "B")).await.unwrap(),
    ];
    shopping.sell("gone", &[("A", 3)]).await;
    shopping.sell("kept", &[("B", 2)]).await;
    shopping.relay().await;
    shopping.environment.advance(Duration::from_secs(3_600));
    shopping.is_compared().await;
    assert!(shopping.open().await.is_empty(), "all is well");

    // The order is gone, its movement is there. Of the other it is the other way round.
    let gone = shopping.item(Table::Orders, scope.cart("gone")).await.unwrap();
    shopping
        .memory
        .write(Write::Delete { table: Table::Orders, key: scope.cart("gone"), condition: None })
        .await
        .unwrap();
    shopping.put(Table::Stock, stock_before[1].clone()).await;
    let seq = u64::try_from(Counters::of(&stock_before[1]).unwrap().seq).unwrap();
    let row = scope.ledger_row(STORE, "B", seq + 1);
    shopping.memory.write(Write::Delete { table: Table::Ledger, key: row, condition: None }).await.unwrap();
    // The orders' walk has passed over it already: as after a restore it begins anew.
    let walk = scope.walk(&format!("orders-stock#{STORE}"));
    shopping.memory.write(Write::Delete { table: Table::Catalog, key: walk, condition: None }).await.unwrap();
    shopping.is_compared().await;
    let mut open = shopping.open().await;
    open.sort_by(|one, other| one.sku.cmp(&other.sku));
    let told: Vec<_> = open
        .iter()
        .map(|one| {
            let [difference] = one.differences.as_slice() else { panic!("{one:?}") };
            (
                one.sku.as_deref().unwrap_or_default(),
                one.order_id.as_deref(),
                difference.cause,
                &difference.expected,
                &difference.found,
            )
        })
        .collect();
    let whole = QuantityInput::Whole;
    assert_eq!(
        told,
        [
            ("A", Some("gone"), DifferenceCause::MovementWithoutOrder, &whole(0), &whole(-3)),
            ("B", Some("kept"), DifferenceCause::OrderWithoutMovement, &whole(-2), &whole(0)),
        ]
    );
    assert_eq!((shopping.on_hand("A").await, shopping.on_hand("B").await), (16, 19));
    for one in &open {
        shopping.correct(&one.exception_id).await.unwrap();
    }
    assert_eq!((shopping.on_hand("A").await, shopping.on_hand("B").await), (19, 17));
    shopping.relay().await;
    let rows = shopping.memory.items(Table::Ledger);
    let told = |order: &str| {
        let of = rows.iter().find(|row| {
            row.opt_text("kind") == Some("reconciliation") && row.opt_text("reference") == Some(order)
        });
        of.unwrap().number("delta_on_hand").unwrap()
    };
    assert_eq!((told("gone"), told("kept")), (3_000, -2_000));
    shopping.environment.advance(Duration::from_secs(3_600));
    let walk = scope.walk(&format!("orders-stock#{STORE}"));
    shopping.memory.write(Write::Delete { table: Table::Catalog, key: walk, condition: None }).await.unwrap();
    shopping.is_compared().await;
    assert!(shopping.open().await.is_empty(), "both are put right");
    // Comes the order back after all, its movement and its correction are told again.
    shopping.put(Table::Orders, gone).await;
    let walk = scope.walk(&format!("orders-stock#{STORE}"));
    shopping.memory.write(Write::Delete { table: Table::Catalog, key: walk, condition: None }).await.unwrap();
    shopping.is_compared().await;
    let back = shopping.open().await;
    assert_eq!((back.len(), back[0].order_id.as_deref()), (1, Some("gone")));
}

/// What is sold offline beyond what there was, returned, or void is no difference; nor is an order that the ledger does
/// not know of yet.
#[tokio::test]
async fn orders_of_every_kind_agree_with_their_movements() {
    let mut shopping = Shopping::new().await;
    shopping.sell("sold", &[("A", 2), ("B", 1)]).await;
    let command = async |key: &str, action: &str, payload| {
        shopping.shop.command(key, action, payload).await.unwrap();
    };
    command("rs", "start_return", json!({"return_id": "back", "original_order_id": "sold", "reason": "x"}))
        .await;
    command(
        "rl",
        "return_line_item",
        json!({"return_id": "back", "line_id": "l-1", "quantity": 1, "disposition": "restock"}),
    )
    .await;
    command(
        "rd",
        "return_line_item",
        json!({"return_id": "back", "line_id": "l-2", "quantity": 1, "disposition": "damaged"}),
    )
    .await;
    command(
        "rt",
        "refund_tender",
        json!({"return_id": "back", "tender": "card", "amount": {"amount": 200, "currency": "GBP"}}),
    )
    .await;
    command("rf", "finalize_return", json!({"return_id": "back"})).await;
    // Nothing of it is in the ledger yet, for long.
    shopping.environment.advance(Duration::from_secs(1_200));
    shopping.is_compared().await;
    assert!(shopping.open().await.is_empty());
    shopping.relay().await;
    shopping.environment.advance(Duration::from_secs(1_200));
    let walk = shopping.shop.scope.walk(&format!("orders-stock#{STORE}"));
    shopping.memory.write(Write::Delete { table: Table::Catalog, key: walk, condition: None }).await.unwrap();
    let stores = keeper::locations(&shopping.shop.ports, &shopping.shop.scope).await.unwrap();
    let ports = &shopping.shop.ports;
    let walked =
        reconciliation::walk(ports, &shopping.shop.scope, &stores, Budget::default(), Timestamp::MAX)
            .await
            .unwrap();
    assert_eq!(walked.orders, 2, "both were looked at");
    shopping.environment.advance(CONFIRMED);
    shopping.run().await;
    let items = shopping.memory.items(Table::Stock);
    assert!(items.iter().all(|item| item.opt_text("kind") != Some("difference")));
}

/// A long order under way holds by its chunks: reserved without a hold line, and no difference.
#[tokio::test]
async fn what_a_long_order_holds_is_no_difference() {
    let mut shopping = Shopping::new().await;
    let skus: Vec<String> = (0..120).map(|n| format!("L-{n:03}")).collect();
    for sku in &skus {
        shopping.shop.product(STORE, sku, "1.00", 5).await.unwrap();
    }
    let lines: Vec<(&str, i64)> = skus.iter().map(|sku| (sku.as_str(), 1)).collect();
    shopping.shop.ready("r-1", "long", &lines).await.unwrap();
    // The process dies after the first chunk is held.
    let faulty = Arc::new(faults::FaultyDatabase::new(shopping.memory.clone()));
    faulty.script(Operation::Transact, [None, None, Some(faults::Fault::DiesBefore)]);
    let dying = Shop {
        ports: Ports { database: faulty.clone(), environment: shopping.environment.clone() },
        scope: shopping.shop.scope.clone(),
    };
    let task = tokio::spawn(async move { dying.finalize("r-1", "long").await });
    while !faulty.injected().contains_key(&(Operation::Transact, faults::Fault::DiesBefore)) {
        tokio::task::yield_now().await;
    }
    task.abort();
    shopping.relay().await;
    let held = shopping.shop.counters(STORE, &skus[0]).await.unwrap();
    assert_eq!(held.reserved, 1_000, "it is held");
    shopping.is_compared().await;
    let differs = |shopping: &Shopping| {
        let items = shopping.memory.items(Table::Stock);
        items.iter().filter(|item| item.opt_text("kind") == Some("difference")).count()
    };
    assert_eq!(differs(&shopping), 0);
    // Without the plan it is one.
    let plan = shopping.shop.scope.plan("long");
    shopping.memory.write(Write::Delete { table: Table::Orders, key: plan, condition: None }).await.unwrap();
    shopping.is_compared().await;
    let open = shopping.open().await;
    assert_eq!(open.len(), 98);
    assert!(open.iter().all(|one| one.differences[0].cause == DifferenceCause::ReservedWithoutHold));
}

impl Shopping {
    /// Compares from the beginning, as after a restore, what is long settled.
    async fn is_compared_anew(&mut self) {
        self.relay().await;
        self.environment.advance(Duration::from_secs(3_600));
        let key = self.shop.scope.walk(&format!("orders-stock#{STORE}"));
        self.memory.write(Write::Delete { table: Table::Catalog, key, condition: None }).await.unwrap();
        self.is_compared().await;
    }

    /// Differences that are open, or suspected.
    fn differences(&self) -> usize {
        let items = self.memory.items(Table::Stock);
        items.iter().filter(|item| item.opt_text("kind") == Some("difference")).count()
    }
}

/// A sale that another system made and whose stock had moved before moves none, and nothing is missing of it; what comes
/// back of it, by a return or a void, lies there then.
#[tokio::test]
async fn what_had_moved_before_it_was_recorded_is_no_difference() {
    let mut shopping = Shopping::new().await;
    let now = shopping.environment.now().to_string();
    for (id, moved) in [("theirs", true), ("void", true), ("ours", false)] {
        let sale = json!({"order_id": id, "store_id": STORE, "channel": "pos", "occurred_at": now,
            "lines": [{"sku": "A", "quantity": 2, "unit_price": "1.00"}],
            "payments": [{"tender": "card", "amount": {"amount": 200, "currency": "GBP"}}],
            "stock_already_moved": moved});
        let who = any_caller("demo", &[Role::Integration]);
        record(&shopping.shop.ports, &who, id, serde_json::from_value(sale).unwrap()).await.unwrap();
    }
    assert_eq!(shopping.on_hand("A").await, 18, "one of the three moved its stock");
    shopping.is_compared_anew().await;
    assert_eq!(shopping.differences(), 0);

    let now = shopping.environment.now().to_string();
    let mut void = envelope(STORE, "r-1", "v", "void_order", json!({"order_id": "void", "reason": "x"}));
    void["occurred_at"] = now.into();
    execute(&shopping.shop.ports, &any_caller("demo", &[Role::Operator]), void).await.unwrap();
    for (key, action, payload) in [
        ("rs", "start_return", json!({"return_id": "back", "original_order_id": "theirs", "reason": "x"})),
        (
            "rl",
            "return_line_item",
            json!({"return_id": "back", "line_id": "l-1", "quantity": 1, "disposition": "restock"}),
        ),
        (
            "rt",
            "refund_tender",
            json!({"return_id": "back", "tender": "card", "amount": {"amount": 100, "currency": "GBP"}}),
        ),
        ("rf", "finalize_return", json!({"return_id": "back"})),
    ] {
        shopping.shop.command(key, action, payload).await.unwrap();
    }
    assert_eq!(shopping.on_hand("A").await, 21);
    shopping.is_compared_anew().await;
    assert_eq!(shopping.differences(), 0);

    // Of what was recorded before this was kept nobody knows.
    let key = shopping.shop.scope.cart("theirs");
    let theirs = shopping.item(Table::Orders, key).await.unwrap();
    shopping.put(Table::Orders, theirs.clone().with("recorded", "{}")).await;
    shopping.is_compared_anew().await;
    assert_eq!(shopping.differences(), 0);
    shopping.put(Table::Orders, theirs).await;

    // And if its stock moved after all, that is one too many.
    let movement = Movement {
        kind: "sale",
        reference: "theirs".into(),
        actor: "e-7".into(),
        at: shopping.environment.now(),
        reason: None,
    };
    let sold = Delta::sale(Quantity::from_pieces(2).unwrap());
    let write = stock_update(&shopping.shop.scope, STORE, "A", sold, &movement, vec![], vec![]);
    shopping.memory.write(write).await.unwrap();
    shopping.is_compared_anew().await;
    let open = shopping.open().await;
    let told: Vec<_> = open.iter().map(|one| (one.order_id.as_deref(), &one.differences[0])).collect();
    let [(Some("theirs"), difference)] = told.as_slice() else { panic!("{open:?}") };
    let whole = QuantityInput::Whole;
    assert_eq!((&difference.expected, &difference.found), (&whole(0), &whole(-2)));
}

/// What comes back of a lot that was recalled meanwhile is kept aside: it came back, and nothing is corrected by which it
/// would be for sale.
#[tokio::test]
async fn what_comes_back_and_is_kept_aside_is_no_difference() {
    let mut shopping = Shopping::new().await;
    let product = Product { lots: true, ..Shop::plain("L", "1.00").unwrap() };
    shopping.shop.put_product(&product).await.unwrap();
    let (ports, who) = (shopping.shop.ports.clone(), any_caller("demo", &[Role::Operator]));
    let delivery = RestockRequest {
        location_id: STORE.into(),
        sku: "L".into(),
        quantity: QuantityInput::Whole(10),
        supplier_id: None,
        reference: None,
        reason: None,
        lot: Some("BAD".into()),
        expires_on: None,
    };
    restock(&ports, &who, "k", &delivery).await.unwrap();
    shopping.sell("sold", &[("L", 4)]).await;
    shopping.relay().await;
    let glass = ChangeLotRequest { reason: "glass in it".into() };
    recall::change(&ports, &who, "q", "BAD", recall::Change::Quarantine, &glass).await.unwrap();
    let line = |quantity: i64, disposition: &str| json!({"return_id": "back", "line_id": "l-1", "quantity": quantity, "disposition": disposition});
    for (key, action, payload) in [
        ("rs", "start_return", json!({"return_id": "back", "original_order_id": "sold", "reason": "x"})),
        ("rl", "return_line_item", line(2, "restock")),
        ("rd", "return_line_item", line(1, "damaged")),
        (
            "rt",
            "refund_tender",
            json!({"return_id": "back", "tender": "card", "amount": {"amount": 300, "currency": "GBP"}}),
        ),
        ("rf", "finalize_return", json!({"return_id": "back"})),
    ] {
        shopping.shop.command(key, action, payload).await.unwrap();
    }
    let stock = shopping.shop.counters(STORE, "L").await.unwrap();
    assert_eq!((stock.on_hand, stock.quarantined, stock.damaged), (0, 8_000, 1_000));
    shopping.is_compared_anew().await;
    assert_eq!(shopping.differences(), 0);
}

/// Of more lots than there is room for, what is kept aside is counted as damaged when it comes back: no difference
/// either, which a correction would put on sale.
#[tokio::test]
async fn what_comes_back_and_has_no_room_aside_is_no_difference() {
    let mut shopping = Shopping::new().await;
    let product = Product { lots: true, ..Shop::plain("L", "1.00").unwrap() };
    shopping.shop.put_product(&product).await.unwrap();
    let (ports, who) = (shopping.shop.ports.clone(), any_caller("demo", &[Role::Operator]));
    let lots: Vec<String> = (0..=LOTS_WITH_ASIDE_MAX).map(|n| format!("BAD-{n}")).collect();
    for lot in &lots {
        let delivery = RestockRequest {
            location_id: STORE.into(),
            sku: "L".into(),
            quantity: QuantityInput::Whole(1),
            supplier_id: None,
            reference: None,
            reason: None,
            lot: Some(lot.clone()),
            expires_on: None,
        };
        restock(&ports, &who, lot, &delivery).await.unwrap();
        shopping.sell(lot, &[("L", 1)]).await;
    }
    shopping.relay().await;
    let glass = ChangeLotRequest { reason: "glass in it".into() };
    for lot in &lots {
        recall::change(&ports, &who, lot, lot, recall::Change::Quarantine, &glass).await.unwrap();
        let back = format!("back-{lot}");
        let send = async |action: &str, payload: serde_json::Value| {
            shopping.shop.command(&format!("{back}-{action}"), action, payload).await.unwrap();
        };
        let line = json!({"return_id": back, "line_id": "l-1", "quantity": 1, "disposition": "restock"});
        let refund =
            json!({"return_id": back, "tender": "card", "amount": {"amount": 100, "currency": "GBP"}});
        send("start_return", json!({"return_id": back, "original_order_id": lot, "reason": "x"})).await;
        send("return_line_item", line).await;
        send("refund_tender", refund).await;
        send("finalize_return", json!({"return_id": back})).await;
    }
    let stock = shopping.shop.counters(STORE, "L").await.unwrap();
    let aside = 1_000 * i64::try_from(LOTS_WITH_ASIDE_MAX).unwrap();
    assert_eq!((stock.on_hand, stock.quarantined, stock.damaged), (0, aside, 1_000));
    shopping.is_compared_anew().await;
    assert_eq!(shopping.differences(), 0);
}
