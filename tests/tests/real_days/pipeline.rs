//! What runs beside the tills and after them: event sources, the keeper, and the clock.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock};
use std::time::Duration;

use tillstream_app::database::Table;
use tillstream_app::environment::Environment;
use tillstream_testkit::memory_database::MemoryDatabase;
use tillstream_testkit::memory_messaging::SendFault;
use tillstream_testkit::poller::{
    PolledRecord, QueuePoller, RecordSource, StreamPoller, StreamSettings, TableChanges,
};

use crate::day::Day;
use crate::functions::Functions;
use crate::tills::{Tills, Told};

/// A table's stream that can stop being read, and be lost: what was not read by then never is.
struct Losable {
    changes: TableChanges,
    is_out: AtomicBool,
    begins_after: AtomicU64,
}

impl RecordSource for Losable {
    fn shards(&self) -> usize {
        self.changes.shards()
    }

    fn records(&self, shard: usize, after: u64, most: usize) -> Vec<PolledRecord> {
        if self.is_out.load(Ordering::SeqCst) {
            return Vec::new();
        }
        self.changes.records(shard, after.max(self.begins_after.load(Ordering::SeqCst)), most)
    }

    fn sequence_text(&self, sequence: u64) -> String {
        self.changes.sequence_text(sequence)
    }

    fn lets_through(&self, record: &PolledRecord) -> bool {
        self.changes.lets_through(record)
    }

    fn address(&self) -> (&'static str, String) {
        self.changes.address()
    }
}

impl Losable {
    fn new(database: Arc<MemoryDatabase>, table: Table, filter: &'static str) -> Arc<Self> {
        let changes = TableChanges { database, table, new_image_has: Some(filter) };
        Arc::new(Losable { changes, is_out: AtomicBool::new(false), begins_after: AtomicU64::new(0) })
    }

    fn last(&self) -> u64 {
        self.changes.database.last_change(self.changes.table)
    }

    /// Makes the stream anew after it was out; answers how many records after `unread_after`, of those
    /// that the filter lets through, nobody will read.
    fn lose(&self, unread_after: u64) -> usize {
        let last = self.last();
        self.begins_after.store(last, Ordering::SeqCst);
        self.is_out.store(false, Ordering::SeqCst);
        let all = usize::try_from(last).unwrap();
        let unread = (0..self.shards()).flat_map(|shard| self.changes.records(shard, unread_after, all));
        unread.filter(|record| record.sequence <= last && self.lets_through(record)).count()
    }
}

/// In hundredths of the day's invoices: from when to when an outage lasts.
const OUTAGE: std::ops::Range<usize> = 35..60;

/// The loss of both tables' streams with what came on them during an outage.
pub struct StreamLoss {
    orders: Arc<Losable>,
    stock: Arc<Losable>,
    /// The last changes of orders and stock before the outage.
    before: Mutex<Option<(u64, u64)>>,
    lost: OnceLock<(usize, usize)>,
}

impl StreamLoss {
    /// To be told how far the day is.
    pub fn at(&self, percent_done: usize) {
        if percent_done >= OUTAGE.start {
            let mut before = self.before.lock().unwrap();
            let (orders, stock) = *before.get_or_insert_with(|| {
                self.orders.is_out.store(true, Ordering::SeqCst);
                self.stock.is_out.store(true, Ordering::SeqCst);
                (self.orders.last(), self.stock.last())
            });
            if percent_done >= OUTAGE.end {
                self.lost.get_or_init(|| (self.orders.lose(orders), self.stock.lose(stock)));
            }
        }
    }

    /// How many final orders and movements of stock were lost.
    pub fn lost(&self) -> (usize, usize) {
        self.lost.get().copied().unwrap_or_default()
    }
}

/// Streams of the tables and the relay's two event sources.
struct TableStreams {
    orders: Arc<Losable>,
    stock: Arc<Losable>,
    orders_poller: StreamPoller,
    stock_poller: StreamPoller,
}

/// Event sources, keeper and clock.
pub struct Pipeline {
    functions: Arc<Functions>,
    /// None where the tables have no streams: then all is the keeper's work.
    tables: Option<TableStreams>,
    sales: StreamPoller,
    hq: QueuePoller,
    /// Stock whose ledger does not yet add up to it.
    unproven: BTreeSet<(String, String)>,
}

impl Pipeline {
    /// With the streams of `memory`, if the tables have some.
    pub fn new(functions: Arc<Functions>, memory: Option<Arc<MemoryDatabase>>, day: &Day) -> Self {
        // As the template, but for smaller batches: there are more ways to cut a day.
        let settings = |batch_size: usize, parallelization_factor: usize| StreamSettings {
            batch_size,
            parallelization_factor,
            maximum_retry_attempts: Some(1_000),
            bisect_batch_on_function_error: true,
            report_batch_item_failures: true,
            goes_back: 50,
            seed: functions.environment.random(),
        };
        let size = || 3 + usize::try_from(functions.environment.random() % 20).unwrap();
        let tables = memory.map(|memory| {
            let orders = Losable::new(memory.clone(), Table::Orders, "lane_number");
            let stock = Losable::new(memory, Table::Stock, "seq");
            let orders_poller = StreamPoller::new(orders.clone(), settings(size(), 4));
            let stock_poller = StreamPoller::new(stock.clone(), settings(size(), 4));
            TableStreams { orders, stock, orders_poller, stock_poller }
        });
        let sales = StreamPoller::new(functions.stream.clone(), settings(size(), 2));
        let hq =
            QueuePoller::new(functions.queue.clone(), 10).losing_deletes(20, functions.environment.random());
        let unproven = day.stock().into_keys().collect();
        Pipeline { functions, tables, sales, hq, unproven }
    }

    /// Everything that there is to do once; answers how many batches there were.
    async fn round(&mut self) -> usize {
        let functions = &*self.functions;
        if functions.trouble.batches > 0 && functions.happens(10) {
            let refused =
                (0..3).map(|_| usize::try_from(functions.environment.random() % 8).unwrap()).collect();
            let fault = match functions.environment.random() % 3 {
                0 => SendFault::CallFails,
                1 => SendFault::AnswerLost,
                _ => SendFault::Refuses(refused),
            };
            if functions.happens(50) {
                functions.stream.fail_next(fault);
            } else {
                functions.queue.fail_next(fault);
            }
        }
        let relay = async |event: String| functions.relay(event).await;
        let aggregate = async |event: String| functions.aggregate(event).await;
        let dispatch = async |event: String| functions.dispatch(event).await;
        let tables = self.tables.as_mut();
        let relayed = async {
            let Some(tables) = tables else { return 0 };
            let (orders, stock) =
                tokio::join!(tables.orders_poller.poll(&relay), tables.stock_poller.poll(&relay));
            orders + stock
        };
        let (relayed, folded, dispatched) =
            tokio::join!(relayed, self.sales.poll(&aggregate), self.hq.poll(&dispatch));
        relayed + folded + usize::from(dispatched)
    }

    /// Until nothing is left to do without waiting.
    async fn drain(&mut self) {
        for _ in 0..20_000 {
            if self.round().await == 0 {
                return;
            }
        }
        panic!("the event sources have no end");
    }

    /// The keeper's next run, after that much time.
    async fn keep_after(&self, time: Duration) {
        self.functions.environment.advance(time);
        // Its failures are among the troubles; the next run goes on.
        let _ = self.functions.keep().await;
    }

    /// A loss of the tables' streams that is still to come.
    pub fn stream_loss(&self) -> Option<Arc<StreamLoss>> {
        let TableStreams { orders, stock, .. } = self.tables.as_ref()?;
        let (before, lost) = (Mutex::default(), OnceLock::new());
        Some(Arc::new(StreamLoss { orders: orders.clone(), stock: stock.clone(), before, lost }))
    }

    /// All of it while the tills work. Answers what the tills were told.
    pub async fn run_beside(&mut self, tills: Arc<Tills>) -> Told {
        let work = tokio::spawn(tills.work());
        let mut rounds = 0_u64;
        while !work.is_finished() {
            let sent = self.round().await;
            rounds += 1;
            if rounds.is_multiple_of(25) {
                self.keep_after(Duration::from_secs(7)).await;
            }
            if sent == 0 {
                tokio::time::sleep(Duration::from_millis(2)).await;
            }
        }
        work.await.unwrap()
    }

    /// All of it until everything has arrived everywhere, and some more, for what comes late.
    pub async fn settle(&mut self, day: &Day) {
        let mut behind = String::new();
        for _ in 0..400 {
            self.drain().await;
            match self.whats_behind(day).await {
                None => {
                    for _ in 0..3 {
                        self.keep_after(Duration::from_secs(400)).await;
                        self.drain().await;
                    }
                    return;
                }
                Some(what) => behind = what,
            }
            self.keep_after(Duration::from_secs(21)).await;
        }
        panic!("not complete, and never will be: {behind}");
    }

    async fn whats_behind(&mut self, day: &Day) -> Option<String> {
        let functions = &self.functions;
        if !functions.queue.is_empty() {
            return Some(format!("{} wake-ups", functions.queue.len()));
        }
        let accepted = functions.hq.accepted().len();
        if accepted < day.invoices.len() {
            return Some(format!("HQ has {accepted} orders of {}", day.invoices.len()));
        }
        let open = functions.pages("/v1/dispatch/deliveries", "items", 200, &[]).await;
        if let Some(open) = open.iter().find(|delivery| delivery["status"] != "delivered") {
            return Some(open.to_string());
        }
        let query = [("date", day.date.as_str())];
        let reached = functions.get("/v1/analytics/dashboard", &query).await["watermark"]["lanes"].take();
        for (lane, last) in day.lanes() {
            if reached[&lane]["through"] != last
                || reached[&lane]["gaps"].as_array().is_none_or(|gaps| !gaps.is_empty())
            {
                return Some(format!("{lane} of {last}: {}", reached[&lane]));
            }
        }
        while let Some((store, sku)) = self.unproven.pop_first() {
            let query = [("location_id", store.as_str()), ("sku", sku.as_str())];
            let proof = self.functions.get("/v1/inventory/conservation", &query).await;
            // Of which lots rows were that came after their gap was closed is not always known; and where nothing but
            // returns of no known lot ever came, there are none.
            let may_miss_lots = proof["ranges"].as_array().is_some_and(|ranges| !ranges.is_empty())
                || proof["lots"].is_null();
            let lots_hold = !day.lots.contains(&sku) || may_miss_lots || proof["lots"]["holds"] == true;
            if proof["holds"] != true || !lots_hold || proof["seq_reached"] != proof["seq_current"] {
                let behind = format!("ledger of {sku} in {store}: {proof}");
                self.unproven.insert((store, sku));
                return Some(behind);
            }
        }
        None
    }

    /// How often functions were invoked with batches: relay, aggregator, dispatcher.
    pub fn invocations(&self) -> (u64, u64, u64) {
        let tables = self.tables.as_ref();
        let relay = tables.map_or(0, |t| t.orders_poller.invocations() + t.stock_poller.invocations());
        (relay, self.sales.invocations(), self.hq.invocations())
    }

    /// Batches that were given up: none may be.
    pub fn given_up(&self) -> usize {
        let tables = self.tables.as_ref();
        let relay = tables.map_or(0, |t| t.orders_poller.given_up().len() + t.stock_poller.given_up().len());
        relay + self.sales.given_up().len()
    }
}
