//! What the adapters do when AWS fails: no emulator does, so a server answers what AWS would.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test that cannot go on fails")]

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use serde_json::{Value as Json, json};
use tillstream_app::Error;
use tillstream_app::capacity::{CapacityKind, CapacityMeter};
use tillstream_app::database::{
    Cancellation, Change, Condition, Consistency, Database, DatabaseError, Get, Index, Item, Query, Table,
    Write,
};
use tillstream_app::ports::{EventStream, StreamRecord, WakeUp, WakeUpQueue};
use tillstream_app::tenancy::TenantScope;
use tillstream_aws::clients::{TableNames, emulator};
use tillstream_aws::dynamodb::DynamoDb;
use tillstream_aws::kinesis::KinesisStream;
use tillstream_aws::sqs::SqsQueue;
use tillstream_testkit::test_environment::TestEnvironment;

/// Answers in order, the last one again and again; keeps what it was asked.
#[derive(Default)]
struct Aws {
    answers: Mutex<VecDeque<(u16, Json)>>,
    requests: Mutex<Vec<(String, Json)>>,
}

impl Aws {
    /// A server that answers so, and where it listens.
    async fn answering(answers: impl IntoIterator<Item = (u16, Json)>) -> (Arc<Aws>, String) {
        let aws = Arc::new(Aws { answers: Mutex::new(answers.into_iter().collect()), ..Aws::default() });
        let app = Router::new().fallback(answer).with_state(aws.clone());
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let endpoint = format!("http://{}", listener.local_addr().unwrap());
        tokio::spawn(async move { axum::serve(listener, app).await.unwrap() });
        (aws, endpoint)
    }

    /// Names of the operations asked for.
    fn operations(&self) -> Vec<String> {
        self.requests.lock().unwrap().iter().map(|(operation, _)| operation.clone()).collect()
    }

    fn request(&self, number: usize) -> Json {
        self.requests.lock().unwrap()[number].1.clone()
    }
}

async fn answer(State(aws): State<Arc<Aws>>, headers: HeaderMap, body: String) -> (StatusCode, String) {
    let target = headers.get("x-amz-target").unwrap().to_str().unwrap();
    let operation = target.rsplit('.').next().unwrap().to_owned();
    aws.requests.lock().unwrap().push((operation, serde_json::from_str(&body).unwrap()));
    let mut answers = aws.answers.lock().unwrap();
    let (status, body) =
        if answers.len() > 1 { answers.pop_front() } else { answers.front().cloned() }.unwrap();
    (StatusCode::from_u16(status).unwrap(), body.to_string())
}

fn failure(status: u16, code: &str) -> (u16, Json) {
    (status, json!({ "__type": format!("com.amazonaws#{code}"), "message": "as told" }))
}

fn dynamodb(endpoint: &str) -> DynamoDb {
    let environment = Arc::new(TestEnvironment::new(1));
    DynamoDb::new(&emulator(endpoint), TableNames::with_prefix("t-"), environment)
}

fn scope() -> TenantScope {
    TenantScope::from_own_record("t")
}

fn get(id: &str) -> Get {
    Get { table: Table::Orders, key: scope().cart(id), consistency: Consistency::Strong }
}

fn add(id: &str) -> Write {
    let condition = Some(Condition::Exists);
    Write::Update {
        table: Table::Orders,
        key: scope().cart(id),
        changes: vec![Change::Add("n", 1)],
        condition,
    }
}

#[tokio::test]
async fn a_conditional_write_is_sent_once_whatever_happens() {
    for (status, code) in [(500, "InternalServerError"), (503, "ServiceUnavailable")] {
        let (aws, endpoint) = Aws::answering([failure(status, code)]).await;
        let result = dynamodb(&endpoint).write(add("1")).await;
        assert!(matches!(result, Err(DatabaseError::Unavailable(_))), "{result:?}");
        assert_eq!(aws.operations(), ["UpdateItem"]);
    }
    let (aws, endpoint) = Aws::answering([failure(400, "ThrottlingException")]).await;
    let result = dynamodb(&endpoint).write(add("1")).await;
    assert!(matches!(result, Err(DatabaseError::Throttled(_))), "{result:?}");
    assert_eq!(aws.operations(), ["UpdateItem"]);
    let (_, endpoint) = Aws::answering([failure(400, "TransactionConflictException")]).await;
    let result = dynamodb(&endpoint).write(add("1")).await;
    assert!(matches!(result, Err(DatabaseError::Conflict(_))), "{result:?}");
    // Nobody there.
    let result = dynamodb("http://127.0.0.1:1").write(add("1")).await;
    assert!(matches!(result, Err(DatabaseError::Unavailable(_))), "{result:?}");
}

#[tokio::test]
async fn reads_and_transactions_are_repeated_and_transactions_under_one_token() {
    let found = json!({ "Item": { "pk": { "S": "p" }, "sk": { "S": "s" } } });
    let (aws, endpoint) = Aws::answering([failure(500, "InternalServerError"), (200, found)]).await;
    let item = dynamodb(&endpoint).get(get("1")).await.unwrap();
    assert_eq!(item, Some(Item::default().with("pk", "p").with("sk", "s")));
    assert_eq!(aws.operations(), ["GetItem", "GetItem"]);

    let (aws, endpoint) = Aws::answering([failure(500, "InternalServerError"), (200, json!({}))]).await;
    dynamodb(&endpoint).transact(vec![add("1"), add("2")]).await.unwrap();
    let token = |number| aws.request(number)["ClientRequestToken"].as_str().unwrap().to_owned();
    assert_eq!(aws.operations().len(), 2);
    assert_eq!(token(0), token(1));
    dynamodb(&endpoint).transact(vec![add("1"), add("3")]).await.unwrap();
    assert_ne!(token(0), token(2));
}

#[tokio::test]
async fn cancellations_come_by_position() {
    let reasons = json!([
        { "Code": "None" },
        { "Code": "ConditionalCheckFailed", "Item": { "available": { "N": "3" } } },
        { "Code": "TransactionConflict" },
        { "Code": "ThrottlingError" },
        { "Code": "ValidationError", "Message": "too large" },
    ]);
    let body = json!({ "__type": "x#TransactionCanceledException", "CancellationReasons": reasons });
    let (_, endpoint) = Aws::answering([(400, body)]).await;
    let result = dynamodb(&endpoint).transact((0..5).map(|n| add(&n.to_string())).collect()).await;
    let expected = vec![
        Cancellation::None,
        Cancellation::ConditionFailed(Some(Item::default().with("available", 3))),
        Cancellation::Conflict,
        Cancellation::Throttled,
        Cancellation::Invalid("ValidationError: too large".into()),
    ];
    assert_eq!(result, Err(DatabaseError::Cancelled(expected)));
}

#[tokio::test]
async fn what_a_batch_left_out_is_asked_for_again() {
    let item = |id: &str| json!({ "pk": { "S": scope().cart(id).pk() }, "sk": { "S": "cart" } });
    let first = json!({
        "Responses": { "t-orders": [item("1")] },
        "UnprocessedKeys": { "t-orders": { "Keys": [item("2")], "ConsistentRead": true } },
    });
    let second = json!({ "Responses": { "t-orders": [item("2")] }, "UnprocessedKeys": {} });
    let (aws, endpoint) = Aws::answering([(200, first), (200, second)]).await;
    let found = dynamodb(&endpoint).get_many(vec![get("2"), get("3"), get("1")]).await.unwrap();
    let ids: Vec<Option<&str>> = found.iter().map(|item| item.as_ref()?.opt_text("pk")).collect();
    assert_eq!(ids, [Some("t#cart#2"), None, Some("t#cart#1")]);
    assert_eq!(aws.request(1)["RequestItems"]["t-orders"]["Keys"], json!([item("2")]));
    assert_eq!(aws.request(1)["RequestItems"]["t-orders"]["ConsistentRead"], json!(true));

    let put = json!({ "PutRequest": { "Item": item("2") } });
    let (aws, endpoint) = Aws::answering([(200, json!({ "UnprocessedItems": { "t-orders": [put] } }))]).await;
    let result = dynamodb(&endpoint).put_many(Table::Orders, vec![Item::new(&scope().cart("2"))]).await;
    assert!(matches!(result, Err(DatabaseError::Unavailable(_))), "it gives up: {result:?}");
    assert_eq!(aws.operations().len(), 8);
}

#[tokio::test]
async fn a_table_that_was_not_given_is_named() {
    let environment = Arc::new(TestEnvironment::new(1));
    let none = DynamoDb::new(&emulator("http://127.0.0.1:1"), TableNames::default(), environment);
    for result in [none.get(get("1")).await.map(|_| ()), none.transact(vec![add("1")]).await] {
        let Err(DatabaseError::Invalid(why)) = result else { panic!("{result:?}") };
        assert!(why.contains("ORDERS_TABLE"), "{why}");
    }
}

#[tokio::test]
async fn a_number_that_is_no_integer_is_refused() {
    let item = json!({ "Item": { "pk": { "S": "p" }, "n": { "N": "1.5" } } });
    let (_, endpoint) = Aws::answering([(200, item)]).await;
    let result = dynamodb(&endpoint).get(get("1")).await;
    assert!(matches!(&result, Err(DatabaseError::Invalid(why)) if why.contains('n')), "{result:?}");
}

#[tokio::test]
async fn the_cost_is_told_by_table_and_index() {
    let consumed = json!({ "Items": [], "ConsumedCapacity": {
        "TableName": "t-orders", "CapacityUnits": 3.5, "Table": { "CapacityUnits": 2.0 },
        "GlobalSecondaryIndexes": { "by-lane": { "CapacityUnits": 1.5 } },
    } });
    let (aws, endpoint) = Aws::answering([(200, consumed)]).await;
    let meter = Arc::new(CapacityMeter::default());
    let database = dynamodb(&endpoint).observed_by(meter.clone());
    let lane = scope().lane_orders("s", "r", 0);
    database.query(Query::index(Table::Orders, Index::ByLane, lane)).await.unwrap();
    assert_eq!(aws.request(0)["ReturnConsumedCapacity"], json!("INDEXES"));
    let sums = meter.sums();
    assert_eq!(sums.at(Table::Orders, None, CapacityKind::Read), 2_000);
    assert_eq!(sums.at(Table::Orders, Some(Index::ByLane), CapacityKind::Read), 1_500);
    assert_eq!((sums.read(), sums.write()), (3_500, 0));
}

fn record(n: usize) -> StreamRecord {
    StreamRecord { partition_key: format!("k{n}"), data: vec![1] }
}

/// What Kinesis answers to `count` records of which it refuses some.
fn taken(count: usize, refused: &[usize]) -> (u16, Json) {
    let one = |n: usize| {
        if refused.contains(&n) {
            json!({ "ErrorCode": "ProvisionedThroughputExceededException", "ErrorMessage": "slow down" })
        } else {
            json!({ "SequenceNumber": n.to_string(), "ShardId": "shardId-000000000000" })
        }
    };
    let records: Vec<Json> = (0..count).map(one).collect();
    (200, json!({ "FailedRecordCount": refused.len(), "Records": records }))
}

#[tokio::test]
async fn records_that_the_stream_refused_are_told_by_position() {
    let (aws, endpoint) = Aws::answering([taken(500, &[3]), taken(3, &[0, 2])]).await;
    let stream = KinesisStream::new(&emulator(&endpoint), "sales");
    let records: Vec<StreamRecord> = (0..503).map(record).collect();
    assert_eq!(stream.publish(&records).await.unwrap(), [3, 500, 502]);
    assert_eq!(aws.operations(), ["PutRecords", "PutRecords"]);
    assert_eq!(aws.request(1)["Records"].as_array().unwrap().len(), 3);
    assert_eq!(aws.request(0)["StreamName"], json!("sales"));
    assert_eq!(stream.publish(&[]).await.unwrap(), Vec::<usize>::new());
    // The second call fails whole: its records were not taken, those of the first were.
    let (_, endpoint) = Aws::answering([taken(500, &[]), failure(400, "LimitExceededException")]).await;
    let stream = KinesisStream::new(&emulator(&endpoint), "sales");
    assert_eq!(stream.publish(&records).await.unwrap(), [500, 501, 502]);
    let (_, endpoint) = Aws::answering([failure(500, "InternalFailure")]).await;
    let result = KinesisStream::new(&emulator(&endpoint), "sales").publish(&records[..1]).await;
    assert!(matches!(result, Err(Error::Retryable { .. })), "{result:?}");
    let (_, endpoint) = Aws::answering([failure(400, "ResourceNotFoundException")]).await;
    let stream = KinesisStream::new(&emulator(&endpoint), "sales");
    assert!(matches!(stream.publish(&records[..1]).await, Err(Error::Bug(_))));
    let large = StreamRecord { partition_key: "k".into(), data: vec![0; 1024 * 1024] };
    assert!(matches!(stream.publish(&[large]).await, Err(Error::Bug(_))));
}

#[tokio::test]
async fn messages_that_the_queue_refused_are_told_by_position() {
    let wake_up =
        |n: usize| WakeUp { group: "order 1".into(), deduplication: format!("d{n}"), body: "{}".into() };
    let failed = json!({
        "Successful": [],
        "Failed": [{ "Id": "1", "SenderFault": false, "Code": "InternalError" }],
    });
    let (aws, endpoint) =
        Aws::answering([(200, json!({ "Successful": [], "Failed": [] })), (200, failed)]).await;
    let queue = SqsQueue::new(&emulator(&endpoint), format!("{endpoint}/1/hq.fifo"));
    let wake_ups: Vec<WakeUp> = (0..12).map(wake_up).collect();
    assert_eq!(queue.send(&wake_ups).await.unwrap(), [11]);
    let entries = aws.request(0)["Entries"].clone();
    assert_eq!(entries.as_array().unwrap().len(), 10);
    assert_eq!(entries[9]["MessageDeduplicationId"], json!("d9"));
    let group = entries[0]["MessageGroupId"].as_str().unwrap();
    assert!(!group.contains(' '), "a space is not taken in a group: {group}");

    let (aws, endpoint) = Aws::answering([(200, json!({}))]).await;
    let queue = SqsQueue::new(&emulator(&endpoint), format!("{endpoint}/1/hq.fifo"));
    queue.postpone("receipt", Duration::from_millis(1_500)).await.unwrap();
    assert_eq!(aws.request(0)["VisibilityTimeout"], json!(2));
    let (_, endpoint) = Aws::answering([failure(400, "QueueDoesNotExist")]).await;
    let queue = SqsQueue::new(&emulator(&endpoint), format!("{endpoint}/1/hq.fifo"));
    assert!(matches!(queue.send(&wake_ups[..1]).await, Err(Error::Bug(_))));
    let (_, endpoint) = Aws::answering([failure(503, "ServiceUnavailable")]).await;
    let queue = SqsQueue::new(&emulator(&endpoint), format!("{endpoint}/1/hq.fifo"));
    assert!(matches!(queue.send(&wake_ups[..1]).await, Err(Error::Retryable { .. })));
}
