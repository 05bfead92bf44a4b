//! All orders in which the database calls of some requests can follow one another.
//!
//! Requests meet only at their calls of the database, so these orders are all that can happen where nothing
//! fails. Each is tried once, in a world of its own: as many runs as there are orders.

use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use async_trait::async_trait;
use jiff::Timestamp;
use tillstream_app::database::{Database, DatabaseError, Get, Item, Query, QueryPage, Table, Write};
use tillstream_app::environment::Environment;
use tillstream_app::ports::Ports;

use crate::memory_database::MemoryDatabase;
use crate::test_environment::TestEnvironment;

/// A request that is being tried.
pub type Request<T> = Pin<Box<dyn Future<Output = T>>>;

/// One step ends here: others may take theirs before the next.
async fn step() {
    let mut taken = false;
    std::future::poll_fn(|context| {
        if std::mem::replace(&mut taken, true) {
            return Poll::Ready(());
        }
        // Who asks us to wait may only look again when told to.
        context.waker().wake_by_ref();
        Poll::Pending
    })
    .await;
}

/// A database each of whose calls is a step.
struct Stepwise(Arc<MemoryDatabase>);

#[async_trait]
impl Database for Stepwise {
    async fn get(&self, get: Get) -> Result<Option<Item>, DatabaseError> {
        step().await;
        self.0.get(get).await
    }

    async fn get_many(&self, gets: Vec<Get>) -> Result<Vec<Option<Item>>, DatabaseError> {
        step().await;
        self.0.get_many(gets).await
    }

    async fn get_together(&self, gets: Vec<Get>) -> Result<Vec<Option<Item>>, DatabaseError> {
        step().await;
        self.0.get_together(gets).await
    }

    async fn query(&self, query: Query) -> Result<QueryPage, DatabaseError> {
        step().await;
        self.0.query(query).await
    }

    async fn write(&self, write: Write) -> Result<(), DatabaseError> {
        step().await;
        self.0.write(write).await
    }

    async fn transact(&self, writes: Vec<Write>) -> Result<(), DatabaseError> {
        step().await;
        self.0.transact(writes).await
    }

    async fn put_many(&self, table: Table, items: Vec<Item>) -> Result<(), DatabaseError> {
        step().await;
        self.0.put_many(table, items).await
    }
}

/// Time stands still; who waits, waits for a step of somebody else.
struct Waiting {
    chance: TestEnvironment,
    waits: Arc<AtomicBool>,
}

#[async_trait]
impl Environment for Waiting {
    fn now(&self) -> Timestamp {
        self.chance.now()
    }

    fn random(&self) -> u64 {
        self.chance.random()
    }

    async fn sleep(&self, _: Duration) {
        self.waits.store(true, Ordering::SeqCst);
        step().await;
    }
}

/// Where the orders have got to.
#[derive(Debug, Default)]
struct Path {
    /// Of the steps at which there was a choice: what was chosen, of how many.
    choices: Vec<(usize, usize)>,
    begun: bool,
}

/// All orders of the steps of some requests, one after the other.
#[derive(Debug, Default)]
pub struct Interleavings {
    path: Mutex<Path>,
    runs: Mutex<u32>,
    waits: Arc<AtomicBool>,
    /// How often a request that could go on may be interrupted; `None`: as often as can be.
    interruptions: Option<usize>,
}

impl Interleavings {
    /// Before the first order.
    pub fn new() -> Self {
        Interleavings::default()
    }

    /// Before the first order of those in which a request that could go on is interrupted at most so often: of
    /// long requests there are too many orders else, and nearly all faults need few interruptions (Musuvathi and
    /// Qadeer, Iterative Context Bounding for Systematic Testing of Multithreaded Programs, PLDI 2007).
    pub fn interrupted(at_most: usize) -> Self {
        Interleavings { interruptions: Some(at_most), ..Interleavings::default() }
    }

    /// Ports whose calls are steps.
    pub fn ports(&self, database: Arc<MemoryDatabase>, seed: u64) -> Ports {
        let environment = Waiting { chance: TestEnvironment::new(seed), waits: self.waits.clone() };
        Ports { database: Arc::new(Stepwise(database)), environment: Arc::new(environment) }
    }

    /// Whether there is another order to try: to be asked before each run.
    pub fn again(&self) -> bool {
        let mut path = self.path.lock().unwrap_or_else(PoisonError::into_inner);
        if !std::mem::replace(&mut path.begun, true) {
            return true;
        }
        while let Some((chosen, of)) = path.choices.pop() {
            if chosen + 1 < of {
                path.choices.push((chosen + 1, of));
                return true;
            }
        }
        false
    }

    /// How many orders were tried.
    pub fn runs(&self) -> u32 {
        *self.runs.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Runs requests to their ends in the order that is to be tried, and answers what each answered. They must
    /// do nothing but what a request does: call the database, and wait.
    ///
    /// # Panics
    /// Where two runs of the same requests do not take the same steps.
    pub fn run<T>(&self, mut requests: Vec<Request<T>>) -> Vec<T> {
        *self.runs.lock().unwrap_or_else(PoisonError::into_inner) += 1;
        let mut path = self.path.lock().unwrap_or_else(PoisonError::into_inner);
        let mut answers: Vec<Option<T>> = requests.iter().map(|_| None).collect();
        let mut waiting = vec![false; requests.len()];
        let mut context = Context::from_waker(Waker::noop());
        // Each to its first call: what comes before it nobody sees.
        for (request, answer) in requests.iter_mut().zip(&mut answers) {
            if let Poll::Ready(early) = request.as_mut().poll(&mut context) {
                *answer = Some(early);
            }
        }
        let mut at = 0;
        let (mut last, mut interrupted) = (None, 0);
        loop {
            let unfinished: Vec<usize> =
                answers.iter().enumerate().filter(|(_, answer)| answer.is_none()).map(|(n, _)| n).collect();
            let mut able: Vec<usize> = unfinished.iter().copied().filter(|n| !waiting[*n]).collect();
            if able.is_empty() {
                able = unfinished;
            }
            let goes_on = last.filter(|last| able.contains(last));
            if let Some(last) = goes_on
                && self.interruptions.is_some_and(|most| interrupted >= most)
            {
                able = vec![last];
            }
            let chosen = match able.as_slice() {
                [] => break,
                [only] => *only,
                several => {
                    if at == path.choices.len() {
                        path.choices.push((0, several.len()));
                    }
                    let (chosen, of) = path.choices[at];
                    assert_eq!(of, several.len(), "the same requests took other steps");
                    at += 1;
                    several[chosen]
                }
            };
            interrupted += usize::from(goes_on.is_some_and(|last| last != chosen));
            last = Some(chosen);
            self.waits.store(false, Ordering::SeqCst);
            let polled = requests[chosen].as_mut().poll(&mut context);
            waiting.fill(false);
            match polled {
                Poll::Ready(answer) => answers[chosen] = Some(answer),
                Poll::Pending => waiting[chosen] = self.waits.load(Ordering::SeqCst),
            }
        }
        answers.into_iter().flatten().collect()
    }
}
