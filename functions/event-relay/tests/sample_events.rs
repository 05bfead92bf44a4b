//! The sample events of this function, through its handler. They are what the tables stream:
//! `UPDATE_EVENTS=1 cargo test -p event-relay` writes them anew.
#![allow(clippy::unwrap_used, clippy::panic, missing_docs, reason = "a test that cannot go on fails")]

use std::path::PathBuf;
use std::sync::Arc;

use event_relay::{FUNCTION, Relay};
use serde_json::{Value, json};
use tillstream_app::Ports;
use tillstream_app::database::Table;
use tillstream_runtime::batch::dynamodb::Changes;
use tillstream_runtime::batch::{BatchResponse, Batches, Failures, run_whole};
use tillstream_testkit::event_payloads::{change_record, event};
use tillstream_testkit::memory_database::MemoryDatabase;
use tillstream_testkit::memory_messaging::{MemoryQueue, MemoryStream};
use tillstream_testkit::shop::{STORE, Shop};
use tillstream_testkit::test_environment::TestEnvironment;

fn sample(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../events/event-relay").join(name)
}

struct World {
    database: Arc<MemoryDatabase>,
    stream: Arc<MemoryStream>,
    queue: Arc<MemoryQueue>,
    ports: Ports,
}

fn world() -> World {
    let environment = Arc::new(TestEnvironment::new(1));
    let database = Arc::new(MemoryDatabase::with_environment(environment.clone()));
    World {
        stream: Arc::new(MemoryStream::new(1, environment.clone())),
        queue: Arc::new(MemoryQueue::new(environment.clone())),
        ports: Ports { database: database.clone(), environment },
        database,
    }
}

impl World {
    async fn run(&self, event: &str) -> BatchResponse {
        let relay =
            Relay { ports: self.ports.clone(), stream: self.stream.clone(), queue: self.queue.clone() };
        let batches = Batches::telling(FUNCTION, &self.ports, Failures::Report);
        run_whole::<Changes, _>(&batches, &relay, event).await.unwrap()
    }

    /// Events, wake-ups, ledger rows, parked records.
    fn counts(&self) -> [usize; 4] {
        let parked = self.database.items(Table::Dispatch);
        let parked = parked.iter().filter(|item| item.opt_text("pk") == Some("parked")).count();
        [self.stream.all().len(), self.queue.len(), self.database.items(Table::Ledger).len(), parked]
    }
}

/// What the tables stream for one sale.
async fn streamed() -> (Value, Value) {
    let w = world();
    let shop = Shop::open(w.database.clone(), w.ports.environment.clone()).await.unwrap();
    shop.product(STORE, "85123A", "2.55", 100).await.unwrap();
    shop.ready("r-1", "c-1", &[("85123A", 6)]).await.unwrap();
    shop.finalize("r-1", "c-1").await.unwrap();
    let last = |table| change_record(w.database.changes(table, 0).last().unwrap());
    let order = w.database.changes(Table::Orders, 0);
    let order = order
        .iter()
        .rev()
        .find(|change| change.new.as_ref().is_some_and(|item| item.opt_text("sk") == Some("cart")));
    (change_record(order.unwrap()), last(Table::Stock))
}

#[tokio::test]
async fn samples_are_what_the_tables_stream() {
    let (order, stock) = streamed().await;
    let mut broken = order.clone();
    broken["dynamodb"]["NewImage"]["body"] = json!({"B": "AAECAw=="});
    let foreign = json!({"eventSource": "somebody:else", "body": "not ours"});
    let samples = [
        ("order.json", vec![order.clone()]),
        ("stock.json", vec![stock]),
        ("duplicate.json", vec![order.clone(), order.clone()]),
        ("poison.json", vec![broken, foreign, order]),
    ];
    for (name, records) in samples {
        let text = format!("{}\n", serde_json::to_string_pretty(&event(&records)).unwrap());
        if std::env::var_os("UPDATE_EVENTS").is_some() {
            std::fs::write(sample(name), &text).unwrap();
        }
        assert_eq!(std::fs::read_to_string(sample(name)).unwrap(), text, "{name} is out of date");
    }
}

#[tokio::test]
async fn every_sample_is_handled() {
    for (name, expected) in [
        ("order.json", [1, 1, 0, 0]),
        // A row of the ledger, a page of the change feed, and where that begins.
        ("stock.json", [0, 0, 3, 0]),
        // Twice on the stream, where the number makes it one; one delivery.
        ("duplicate.json", [2, 1, 0, 0]),
        ("poison.json", [1, 1, 0, 2]),
    ] {
        let w = world();
        let event = std::fs::read_to_string(sample(name)).unwrap();
        assert!(w.run(&event).await.batch_item_failures.is_empty(), "{name}");
        assert_eq!(w.counts(), expected, "{name}");
    }
}
