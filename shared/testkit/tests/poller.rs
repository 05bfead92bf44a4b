//! The pollers do as Lambda's event sources do.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test that cannot go on fails")]

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value as Json, json};
use tillstream_app::database::{Change, Database, Item, Table, Write};
use tillstream_app::ports::{EventStream, StreamRecord, WakeUp, WakeUpQueue};
use tillstream_app::tenancy::TenantScope;
use tillstream_testkit::memory_database::MemoryDatabase;
use tillstream_testkit::memory_messaging::{MemoryQueue, MemoryStream};
use tillstream_testkit::poller::{QueuePoller, StreamPoller, StreamSettings, TableChanges};
use tillstream_testkit::test_environment::TestEnvironment;

async fn stream_of(shards: usize, count: u8, keys: u8) -> Arc<MemoryStream> {
    let stream = MemoryStream::new(shards, Arc::new(TestEnvironment::new(1)));
    let record = |n: u8| StreamRecord { partition_key: format!("k{}", n % keys), data: vec![n] };
    let records: Vec<StreamRecord> = (0..count).map(record).collect();
    assert!(stream.publish(&records).await.unwrap().is_empty());
    Arc::new(stream)
}

/// What is in a Kinesis event: number and sequence number of each record.
fn numbers(event: &str) -> Vec<(u8, String)> {
    let event: Json = serde_json::from_str(event).unwrap();
    let records = event["Records"].as_array().unwrap();
    let number = |record: &Json| STANDARD.decode(record["kinesis"]["data"].as_str().unwrap()).unwrap()[0];
    let sequence = |record: &Json| record["kinesis"]["sequenceNumber"].as_str().unwrap().to_owned();
    records.iter().map(|record| (number(record), sequence(record))).collect()
}

fn failing_from(identifier: &str) -> Json {
    json!({ "batchItemFailures": [{ "itemIdentifier": identifier }] })
}

#[tokio::test]
async fn a_failed_record_comes_again_with_all_after_it() {
    let mut poller = StreamPoller::new(stream_of(1, 10, 1).await, StreamSettings::default());
    let (seen, failures) = (RefCell::new(Vec::new()), RefCell::new(2));
    let handler = async |event: String| {
        let batch = numbers(&event);
        seen.borrow_mut().push(batch.iter().map(|(number, _)| *number).collect::<Vec<u8>>());
        let bad = batch.iter().find(|(number, _)| *number == 4 && *failures.borrow() > 0);
        match bad {
            Some((_, sequence)) => {
                *failures.borrow_mut() -= 1;
                Ok(failing_from(sequence))
            }
            None => Ok(json!({ "batchItemFailures": [] })),
        }
    };
    poller.run(10, &handler).await.unwrap();
    let all: Vec<u8> = (0..10).collect();
    assert_eq!(*seen.borrow(), [all.clone(), all[4..].to_vec(), all[4..].to_vec()]);
}

#[tokio::test]
async fn without_reporting_any_answer_is_success() {
    let settings = StreamSettings { report_batch_item_failures: false, ..StreamSettings::default() };
    let mut poller = StreamPoller::new(stream_of(1, 3, 1).await, settings);
    let handler = async |event: String| Ok(failing_from(&numbers(&event)[0].1));
    poller.run(5, &handler).await.unwrap();
    assert_eq!(poller.invocations(), 1);
}

#[tokio::test]
async fn malformed_answers_fail_the_batch() {
    for answer in [
        failing_from("no such record"),
        failing_from(""),
        json!({ "batchItemFailures": [{ "identifier": "x" }] }),
        json!({ "batchItemFailures": "none" }),
        json!("done"),
    ] {
        let mut poller = StreamPoller::new(stream_of(1, 3, 1).await, StreamSettings::default());
        let handler = async |_| Ok(answer.clone());
        assert!(poller.run(4, &handler).await.is_err(), "{answer}");
    }
    for answer in [Json::Null, json!({}), json!({ "batchItemFailures": null })] {
        let mut poller = StreamPoller::new(stream_of(1, 3, 1).await, StreamSettings::default());
        let handler = async |_| Ok(answer.clone());
        assert_eq!(poller.run(4, &handler).await, Ok(()), "{answer}");
    }
}

#[tokio::test]
async fn bisecting_leaves_one_bad_record_whose_address_alone_is_kept() {
    let settings = StreamSettings {
        maximum_retry_attempts: Some(2),
        bisect_batch_on_function_error: true,
        ..StreamSettings::default()
    };
    let mut poller = StreamPoller::new(stream_of(1, 8, 1).await, settings);
    let (done, bad_alone) = (RefCell::new(BTreeSet::new()), RefCell::new(0));
    let handler = async |event: String| {
        let batch = numbers(&event);
        if batch.iter().any(|(number, _)| *number == 5) {
            *bad_alone.borrow_mut() += u32::from(batch.len() == 1);
            return Err("panic".to_owned());
        }
        done.borrow_mut().extend(batch.into_iter().map(|(number, _)| number));
        Ok(Json::Null)
    };
    poller.run(50, &handler).await.unwrap();
    assert_eq!(*done.borrow(), [0, 1, 2, 3, 4, 6, 7].into());
    assert_eq!(*bad_alone.borrow(), 3, "once and two retries");
    let [address] = poller.given_up() else { panic!("{:?}", poller.given_up()) };
    let info = &address["KinesisBatchInfo"];
    assert_eq!((&info["batchSize"], &info["shardId"]), (&json!(1), &json!("shardId-000000000000")));
    assert_eq!(info["startSequenceNumber"], info["endSequenceNumber"]);
    assert!(!address.to_string().contains("data"));
}

#[tokio::test]
async fn a_batch_that_always_fails_holds_up_its_shard_only() {
    let stream = stream_of(3, 60, 12).await;
    let held_up: Vec<u8> = stream.records(0, 0, 60).iter().map(|record| record.data[0]).collect();
    assert!(!held_up.is_empty() && held_up.len() < 60);
    let mut poller = StreamPoller::new(stream, StreamSettings::default());
    let done = RefCell::new(BTreeSet::new());
    let handler = async |event: String| {
        let batch: Vec<u8> = numbers(&event).into_iter().map(|(number, _)| number).collect();
        if batch.contains(&held_up[0]) {
            return Err("down".to_owned());
        }
        done.borrow_mut().extend(batch);
        Ok(Json::Null)
    };
    assert!(poller.run(5, &handler).await.is_err());
    assert_eq!(done.borrow().len(), 60 - held_up.len());
}

#[tokio::test]
async fn parallel_batches_keep_the_order_of_each_key() {
    let settings = StreamSettings {
        batch_size: 7,
        parallelization_factor: 4,
        goes_back: 300,
        seed: 3,
        ..StreamSettings::default()
    };
    let mut poller = StreamPoller::new(stream_of(2, 200, 20).await, settings);
    let (by_key, deliveries, at_once, most) =
        (RefCell::new(BTreeMap::<u8, Vec<u8>>::new()), RefCell::new(0), RefCell::new(0), RefCell::new(0));
    let handler = async |event: String| {
        let batch = numbers(&event);
        let now = {
            *at_once.borrow_mut() += 1;
            *at_once.borrow()
        };
        most.replace_with(|most| now.max(*most));
        tokio::task::yield_now().await;
        *at_once.borrow_mut() -= 1;
        for (number, _) in batch {
            *deliveries.borrow_mut() += 1;
            let mut by_key = by_key.borrow_mut();
            let seen = by_key.entry(number % 20).or_default();
            if !seen.contains(&number) {
                seen.push(number);
            }
        }
        Ok(Json::Null)
    };
    poller.run(500, &handler).await.unwrap();
    let by_key = by_key.into_inner();
    assert_eq!(by_key.values().map(Vec::len).sum::<usize>(), 200);
    assert!(by_key.values().all(|seen| seen.is_sorted()), "first deliveries of a key in order");
    assert!(*deliveries.borrow() > 200, "some came again");
    assert!(*most.borrow() > 2, "batches were under way at once");
}

#[tokio::test]
async fn table_changes_pass_the_filter_with_both_images() {
    let database = Arc::new(MemoryDatabase::new());
    let scope = TenantScope::from_own_record("t");
    let key = scope.cart("1");
    let open = Item::new(&key).with("version", 1).with("body", vec![1_u8, 2]);
    let put = |item: Item| Write::Put { table: Table::Orders, item, condition: None };
    database.write(put(open.clone())).await.unwrap();
    database.write(put(open.clone())).await.unwrap(); // Changes nothing: no record.
    let number = vec![Change::Set("lane_number", 9.into())];
    let finalised =
        Write::Update { table: Table::Orders, key: key.clone(), changes: number, condition: None };
    database.write(finalised).await.unwrap();
    database.write(Write::Delete { table: Table::Orders, key, condition: None }).await.unwrap();
    let poll = async |new_image_has| {
        let source = TableChanges { database: database.clone(), table: Table::Orders, new_image_has };
        let mut poller = StreamPoller::new(Arc::new(source), StreamSettings::default());
        let records = RefCell::new(Vec::new());
        let handler = async |event: String| {
            let event: Json = serde_json::from_str(&event).unwrap();
            records.borrow_mut().extend(event["Records"].as_array().unwrap().clone());
            Ok(Json::Null)
        };
        poller.run(10, &handler).await.unwrap();
        records.into_inner()
    };
    let all = poll(None).await;
    let names: Vec<&str> = all.iter().map(|record| record["eventName"].as_str().unwrap()).collect();
    assert_eq!(names, ["INSERT", "MODIFY", "REMOVE"]);
    let filtered = poll(Some("lane_number")).await;
    assert_eq!(filtered, [all[1].clone()]);
    let images = &filtered[0]["dynamodb"];
    let old = json!({
        "pk": { "S": "t#cart#1" }, "sk": { "S": "cart" }, "version": { "N": "1" }, "body": { "B": "AQI=" },
    });
    assert_eq!(images["OldImage"], old);
    assert_eq!(images["NewImage"]["lane_number"], json!({ "N": "9" }));
    assert_eq!(images["Keys"], json!({ "pk": { "S": "t#cart#1" }, "sk": { "S": "cart" } }));
}

#[tokio::test]
async fn a_queue_brings_back_what_failed_and_what_was_not_deleted() {
    let environment = Arc::new(TestEnvironment::new(1));
    let queue = Arc::new(MemoryQueue::new(environment.clone()));
    let wake_up =
        |n: u32| WakeUp { group: format!("g{n}"), deduplication: format!("d{n}"), body: n.to_string() };
    queue.send(&(0..20).map(wake_up).collect::<Vec<_>>()).await.unwrap();
    let mut poller = QueuePoller::new(queue.clone(), 2).losing_deletes(300, 5);
    let (seen, failures) = (RefCell::new(BTreeMap::<String, u32>::new()), RefCell::new(0));
    let handler = async |event: String| {
        let event: Json = serde_json::from_str(&event).unwrap();
        let mut failed = Vec::new();
        for record in event["Records"].as_array().unwrap() {
            let body = record["body"].as_str().unwrap().to_owned();
            let count = *seen.borrow_mut().entry(body.clone()).and_modify(|n| *n += 1).or_insert(1);
            assert_eq!(record["attributes"]["ApproximateReceiveCount"], json!(count.to_string()));
            if body == "7" && count < 3 {
                *failures.borrow_mut() += 1;
                failed.push(json!({ "itemIdentifier": record["messageId"] }));
            }
        }
        Ok(json!({ "batchItemFailures": failed }))
    };
    for _ in 0..100 {
        if !poller.poll(&handler).await {
            if queue.is_empty() {
                break;
            }
            environment.advance(Duration::from_secs(150));
        }
    }
    assert!(queue.is_empty());
    assert_eq!((seen.borrow().len(), *failures.borrow()), (20, 2));
    assert!(seen.borrow().values().sum::<u32>() > 22, "some were not deleted and came again");
}

#[tokio::test]
async fn an_unknown_identifier_brings_back_the_whole_batch_of_a_queue() {
    let queue = Arc::new(MemoryQueue::new(Arc::new(TestEnvironment::new(1))));
    let wake_up = WakeUp { group: "g".into(), deduplication: "d".into(), body: "b".into() };
    queue.send(&[wake_up]).await.unwrap();
    let mut poller = QueuePoller::new(queue.clone(), 10);
    assert!(poller.poll(&async |_| Ok(failing_from("unknown"))).await);
    assert_eq!((queue.len(), poller.invocations()), (1, 1));
}
