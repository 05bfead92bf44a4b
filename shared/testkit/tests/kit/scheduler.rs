//! The order in which the simulator's tasks take their steps.

use std::cell::RefCell;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use tillstream_app::environment::Environment;
use tillstream_testkit::partition_limits::{Chance, Clock};
use tillstream_testkit::simulator::parts::Scheduler;

fn order_of(seed: u64) -> Vec<(usize, usize)> {
    let chance = Arc::new(Chance::new(seed));
    let clock = Arc::new(Clock::new(Timestamp::UNIX_EPOCH, chance.clone()));
    let scheduler = Scheduler::new(chance, clock.clone());
    let log = Rc::new(RefCell::new(Vec::new()));
    for task in 0..4 {
        let (log, clock) = (log.clone(), clock.clone());
        scheduler.spawn(async move {
            for step in 0..5 {
                log.borrow_mut().push((task, step));
                clock.sleep(Duration::from_micros(clock.random() % 50)).await;
            }
        });
    }
    while scheduler.step() {}
    log.take()
}

#[test]
fn a_seed_is_an_order() {
    assert_eq!(order_of(7), order_of(7));
    assert_ne!(order_of(7), order_of(8));
    let mut all = order_of(7);
    all.sort_unstable();
    assert_eq!(all, (0..4).flat_map(|task| (0..5).map(move |step| (task, step))).collect::<Vec<_>>());
}
