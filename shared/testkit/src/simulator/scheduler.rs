//! Runs tasks in one thread, one step at a time, in an order drawn by chance.
//!
//! A task is whatever goes on by itself: a till, a function's event source, a request that nobody waits
//! for any more. Between two steps of one task, others take theirs; only at these points can they meet,
//! and every order of them can be drawn.

use std::cell::RefCell;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Wake, Waker};
use std::time::Duration;

use super::chance::Chance;
use super::clock::Clock;

type Work = Pin<Box<dyn Future<Output = ()>>>;

/// How much time one step takes at most.
const STEP_MICROS_MAX: u64 = 200;

#[derive(Default)]
struct Ready(Mutex<Vec<usize>>);

impl Ready {
    fn push(&self, task: usize) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push(task);
    }

    fn draw(&self, chance: &Chance) -> Option<usize> {
        let mut ready = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if ready.is_empty() {
            return None;
        }
        let drawn = chance.index(ready.len());
        Some(ready.swap_remove(drawn))
    }
}

struct TaskWaker {
    task: usize,
    is_ready: AtomicBool,
    ready: Arc<Ready>,
}

impl Wake for TaskWaker {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        if !self.is_ready.swap(true, Ordering::Relaxed) {
            self.ready.push(self.task);
        }
    }
}

struct Task {
    work: Work,
    state: Arc<TaskWaker>,
    waker: Waker,
}

/// The tasks of a run.
pub struct Scheduler {
    tasks: RefCell<Vec<Option<Task>>>,
    free: RefCell<Vec<usize>>,
    ready: Arc<Ready>,
    chance: Arc<Chance>,
    clock: Arc<Clock>,
}

impl Scheduler {
    /// One without tasks.
    pub fn new(chance: Arc<Chance>, clock: Arc<Clock>) -> Self {
        Scheduler {
            tasks: RefCell::default(),
            free: RefCell::default(),
            ready: Arc::default(),
            chance,
            clock,
        }
    }

    /// Lets something go on by itself.
    pub fn spawn(&self, work: impl Future<Output = ()> + 'static) {
        let mut tasks = self.tasks.borrow_mut();
        let task = self.free.borrow_mut().pop().unwrap_or(tasks.len());
        let state = Arc::new(TaskWaker { task, is_ready: AtomicBool::new(true), ready: self.ready.clone() });
        let waker = Waker::from(state.clone());
        let spawned = Some(Task { work: Box::pin(work), state, waker });
        match tasks.get_mut(task) {
            Some(slot) => *slot = spawned,
            None => tasks.push(spawned),
        }
        self.ready.push(task);
    }

    /// Ends all tasks where they stand: a task holds its world, which holds the tasks.
    pub fn end(&self) {
        let tasks = self.tasks.take();
        drop(tasks);
    }

    /// One step of one task; where none can take any, time goes on. `false` where nothing ever will.
    pub fn step(&self) -> bool {
        let Some(number) = self.ready.draw(&self.chance) else { return self.clock.go_on() };
        // It is taken out while it runs: it may spawn others.
        let taken = self.tasks.borrow_mut().get_mut(number).and_then(Option::take);
        let Some(mut task) = taken else { return true };
        task.state.is_ready.store(false, Ordering::Relaxed);
        let is_over = task.work.as_mut().poll(&mut Context::from_waker(&task.waker)).is_ready();
        if is_over {
            // A waker that is left somewhere may still name this number: whoever gets it next is then woken
            // for nothing, which does no harm.
            self.free.borrow_mut().push(number);
        } else if let Some(slot) = self.tasks.borrow_mut().get_mut(number) {
            *slot = Some(task);
        }
        self.clock.advance(Duration::from_micros(self.chance.below(STEP_MICROS_MAX)));
        true
    }
}
