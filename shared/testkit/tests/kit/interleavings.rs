//! Every order of the steps of some requests is tried, each once.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};

use tillstream_testkit::interleavings::{Interleavings, Request};
use tillstream_testkit::memory_database::MemoryDatabase;

/// The requests of the names take so many steps each, in the order that is to be tried: who took which, in order.
fn trace_of(orders: &Interleavings, requests: &[(char, usize)]) -> String {
    let ports = orders.ports(Arc::new(MemoryDatabase::new()), 1);
    let trace = Arc::new(Mutex::new(String::new()));
    let request = |(name, steps): (char, usize)| -> Request<()> {
        let (database, trace) = (ports.database.clone(), trace.clone());
        Box::pin(async move {
            for _ in 0..steps {
                // Each call is a step, and one that asks for nothing is no more than that.
                database.get_many(Vec::new()).await.unwrap();
                trace.lock().unwrap().push(name);
            }
        })
    };
    orders.run(requests.iter().copied().map(request).collect());
    trace.lock().unwrap().clone()
}

#[test]
fn every_order_is_tried_once() {
    let orders = Interleavings::new();
    let mut seen = BTreeSet::new();
    while orders.again() {
        seen.insert(trace_of(&orders, &[('a', 3), ('b', 2), ('c', 1)]));
    }
    // 6! / (3! 2! 1!)
    assert_eq!((seen.len(), orders.runs()), (60, 60));
}

#[test]
fn of_few_interruptions_every_order_is_tried_once() {
    let mut seen = BTreeSet::new();
    let orders = Interleavings::interrupted(1);
    while orders.again() {
        seen.insert(trace_of(&orders, &[('a', 3), ('b', 3)]));
    }
    let expected = ["aaabbb", "aabbba", "abbbaa", "bbbaaa", "bbaaab", "baaabb"].map(str::to_owned);
    assert_eq!(seen, BTreeSet::from(expected));
}
