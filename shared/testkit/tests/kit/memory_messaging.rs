//! The stream and the queue in memory behave as Kinesis and SQS do.

use std::sync::Arc;
use std::time::Duration;

use tillstream_app::ports::{EventStream, StreamRecord, WakeUp, WakeUpQueue};
use tillstream_testkit::memory_messaging::{MemoryQueue, MemoryStream, ReceivedMessage, SendFault};
use tillstream_testkit::test_environment::TestEnvironment;

fn wake_up(group: &str, deduplication: &str) -> WakeUp {
    WakeUp { group: group.into(), deduplication: deduplication.into(), body: "{}".into() }
}

fn ids(messages: &[ReceivedMessage]) -> Vec<&str> {
    messages.iter().map(|message| message.deduplication.as_str()).collect()
}

#[tokio::test]
async fn queue_keeps_groups_in_order() {
    let environment = Arc::new(TestEnvironment::new(1));
    let queue = MemoryQueue::new(environment.clone());
    let all = [wake_up("a", "a1"), wake_up("a", "a2"), wake_up("b", "b1"), wake_up("a", "a1")];
    assert_eq!(queue.send(&all).await.unwrap(), Vec::<usize>::new());
    let first = queue.receive(1);
    assert_eq!(ids(&first), ["a1"]);
    assert_eq!(ids(&queue.receive(10)), ["b1"], "group a waits for its first");
    assert!(queue.delete(&first[0].receipt));
    let second = queue.receive(10);
    assert_eq!(ids(&second), ["a2"]);
    queue.postpone(&second[0].receipt, Duration::from_secs(10)).await.unwrap();
    environment.advance(Duration::from_secs(9));
    assert!(queue.receive(10).is_empty());
    environment.advance(Duration::from_secs(1));
    let again = queue.receive(10);
    assert_eq!((ids(&again), again[0].receive_count), (vec!["a2"], 2));
    assert!(!queue.delete(&second[0].receipt), "an old receipt");
    assert!(queue.postpone(&second[0].receipt, Duration::ZERO).await.is_err());
    // Five minutes later the same id is another message.
    environment.advance(Duration::from_secs(300));
    queue.send(&[wake_up("c", "a1")]).await.unwrap();
    assert_eq!(queue.len(), 3);
}

#[tokio::test]
async fn queue_puts_aside_what_is_received_too_often() {
    let environment = Arc::new(TestEnvironment::new(1));
    let queue = MemoryQueue::new(environment.clone());
    queue.send(&[wake_up("a", "a1")]).await.unwrap();
    for _ in 0..100 {
        assert_eq!(queue.receive(10).len(), 1);
        environment.advance(Duration::from_secs(150));
    }
    assert!(queue.receive(10).is_empty());
    assert_eq!((ids(&queue.backstop()), queue.len()), (vec!["a1"], 0));
}

#[tokio::test]
async fn stream_refuses_by_position() {
    let stream = MemoryStream::new(3, Arc::new(TestEnvironment::new(1)));
    let records: Vec<StreamRecord> =
        (0..9_u8).map(|n| StreamRecord { partition_key: format!("k{}", n % 3), data: vec![n] }).collect();
    stream.fail_next(SendFault::Refuses([1, 5].into()));
    assert_eq!(stream.publish(&records).await.unwrap(), [1, 5]);
    assert_eq!(stream.all().len(), 7);
    stream.fail_next(SendFault::CallFails);
    stream.fail_next(SendFault::AnswerLost);
    assert!(stream.publish(&records[..1]).await.is_err());
    assert_eq!(stream.all().len(), 7);
    assert!(stream.publish(&records[..1]).await.is_err());
    assert_eq!(stream.all().len(), 8);
    let shards_of_k0 = (0..3)
        .filter(|shard| stream.records(*shard, 0, 9).iter().any(|record| record.partition_key == "k0"))
        .count();
    assert_eq!(shards_of_k0, 1);
}
