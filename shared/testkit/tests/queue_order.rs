//! The queue in memory gives groups in any order, each group in its own, and shows messages too early.
#![allow(clippy::unwrap_used, missing_docs, reason = "a test that cannot go on fails")]

use std::collections::BTreeSet;
use std::sync::Arc;

use tillstream_app::ports::{WakeUp, WakeUpQueue};
use tillstream_testkit::memory_messaging::{MemoryQueue, ReceivedMessage};
use tillstream_testkit::partition_limits::Chance;
use tillstream_testkit::test_environment::TestEnvironment;

async fn queue_of(seed: u64) -> MemoryQueue {
    let queue = MemoryQueue::new(Arc::new(TestEnvironment::new(1))).in_any_order(Chance::new(seed));
    let of = |number: u32| WakeUp {
        group: format!("g{}", number % 4),
        deduplication: format!("g{}-{}", number % 4, number / 4),
        body: "{}".into(),
    };
    let all: Vec<WakeUp> = (0..12).map(of).collect();
    assert!(queue.send(&all).await.unwrap().is_empty());
    queue
}

fn ids(messages: &[ReceivedMessage]) -> Vec<String> {
    messages.iter().map(|message| message.deduplication.clone()).collect()
}

#[tokio::test]
async fn groups_come_in_any_order_and_messages_of_one_in_theirs() {
    let mut first = BTreeSet::new();
    for seed in 1..=20 {
        let given = ids(&queue_of(seed).await.receive(12));
        assert_eq!(given.len(), 12);
        for group in 0..4 {
            let name = format!("g{group}-");
            let of_group: Vec<&String> = given.iter().filter(|id| id.starts_with(&name)).collect();
            assert_eq!(of_group, [&format!("{name}0"), &format!("{name}1"), &format!("{name}2")]);
        }
        first.insert(given.first().unwrap().clone());
    }
    assert!(first.len() > 1, "always {first:?} first");
}

#[tokio::test]
async fn what_is_shown_early_is_received_again_and_stays_when_its_first_receiver_deletes_it() {
    let queue = queue_of(1).await;
    let given = queue.receive(1);
    queue.show_early(7);
    let group = given.first().unwrap().group.clone();
    let again: Vec<ReceivedMessage> =
        queue.receive(12).into_iter().filter(|message| message.group == group).collect();
    assert_eq!(again.first().unwrap().deduplication, given.first().unwrap().deduplication);
    assert_eq!(again.first().unwrap().receive_count, 2);
    assert!(!queue.delete(&given.first().unwrap().receipt), "an old receipt");
    assert!(queue.delete(&again.first().unwrap().receipt));
    // Nothing is hidden: nothing to show.
    let empty = MemoryQueue::new(Arc::new(TestEnvironment::new(1)));
    empty.show_early(3);
    assert!(empty.receive(10).is_empty());
}
