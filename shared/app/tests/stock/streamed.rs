//! A fixture whose stock table streams: to the relay, as the template's filters let it through.

use std::ops::Deref;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use tillstream_app::database::{Item, Table};
use tillstream_app::relay::{self, Images};
use tillstream_contracts::inventory::{StockUpdateKind, StockUpdateRequest};
use tillstream_domain::quantity::QuantityInput;
use tillstream_testkit::memory_messaging::{MemoryQueue, MemoryStream};

use crate::fixture::Fixture;
use tillstream_app::Error;
use tillstream_app::stock::update;

/// A change of the stock table: its item before and after.
pub type Change = (Option<Item>, Option<Item>);

pub struct Streamed {
    pub fixture: Arc<Fixture>,
    pub stream: MemoryStream,
    pub queue: MemoryQueue,
    relayed: AtomicU64,
}

impl Deref for Streamed {
    type Target = Fixture;
    fn deref(&self) -> &Fixture {
        &self.fixture
    }
}

impl Streamed {
    pub async fn new(seed: u64) -> Self {
        let fixture = Arc::new(Fixture::new(seed).await);
        let stream = MemoryStream::new(1, fixture.environment.clone());
        let queue = MemoryQueue::new(fixture.environment.clone());
        Streamed { fixture, stream, queue, relayed: AtomicU64::new(0) }
    }

    /// What the event source hands over since it was asked last.
    pub fn changes(&self) -> Vec<Change> {
        let changes = self.memory.changes(Table::Stock, self.relayed.load(Ordering::SeqCst));
        if let Some(last) = changes.last() {
            self.relayed.store(last.sequence, Ordering::SeqCst);
        }
        let passes = |item: &Item| {
            item.opt_number("seq").is_some()
                || item.opt_number("fact_version").is_some()
                || item.opt_text("for_backorder").is_some()
        };
        let passing = changes.into_iter().filter(|change| change.new.as_ref().is_some_and(passes));
        passing.map(|change| (change.old, change.new)).collect()
    }

    /// All that there ever were.
    pub fn all_changes(&self) -> Vec<Change> {
        self.relayed.store(0, Ordering::SeqCst);
        self.changes()
    }

    /// Gives the relay some changes as one batch.
    pub async fn hand_over(&self, changes: &[Change]) {
        let images: Vec<Images<'_>> = changes.iter().map(|(old, new)| (old.as_ref(), new.as_ref())).collect();
        let failures = relay::handle(&self.ports, &self.stream, &self.queue, &images).await;
        assert!(failures.is_empty(), "{failures:?}");
    }

    /// Relays whatever changes, and what that changes, until nothing does.
    pub async fn relay_all(&self) {
        loop {
            let changes = self.changes();
            if changes.is_empty() {
                return;
            }
            self.hand_over(&changes).await;
        }
    }

    /// The stream loses what has not been relayed yet.
    pub fn lose(&self) {
        self.changes();
    }

    /// Changes on hand by so many pieces.
    pub async fn deliver(&self, location_id: &str, sku: &str, pieces: i64) -> Result<(), Error> {
        let request = StockUpdateRequest {
            location_id: location_id.into(),
            sku: sku.into(),
            kind: StockUpdateKind::Delta,
            quantity: QuantityInput::Whole(pieces),
            reason: "delivery".into(),
            expected_version: None,
            lot: None,
            expires_on: None,
        };
        let key = format!("delta-{}", tillstream_app::environment::Environment::random(&*self.environment));
        update::update(&self.ports, &self.caller, &key, &request, |_| Ok(())).await.map(|_| ())
    }

    /// What was given to HQ's dispatcher of a kind (`_backorder:`, `_alert:`): subject, number and status.
    pub fn told(&self, kind: &str) -> Vec<(String, i64, String)> {
        let items = self.memory.items(Table::Dispatch);
        let deliveries = items.iter().filter(|item| item.opt_text("sk") == Some("delivery"));
        let of_kind = deliveries.filter(|item| item.text("order_id").unwrap().starts_with(kind));
        let told = |item: &Item| {
            let subject = item.text("order_id").unwrap().trim_start_matches(kind).to_owned();
            let status = item.text("order_status").unwrap().to_owned();
            (subject, item.number("order_version").unwrap(), status)
        };
        let mut all: Vec<_> = of_kind.map(told).collect();
        all.sort();
        all
    }
}
