//! The functions in one process: those that answer requests behind their routers, and those that get
//! events behind the batch adapters, as under Lambda.

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::http::Request;
use jiff::{SignedDuration, Timestamp};
use serde_json::Value;
use tillstream_app::Ports;
use tillstream_app::database::Database;
use tillstream_app::dispatch::dispatcher::{Dispatcher, Policy};
use tillstream_app::dispatch::signature::SigningSecret;
use tillstream_app::environment::Environment;
use tillstream_runtime::auth::Authenticator;
use tillstream_runtime::batch::dynamodb::Changes;
use tillstream_runtime::batch::kinesis::Kinesis;
use tillstream_runtime::batch::sqs::Sqs;
use tillstream_runtime::batch::{BatchFailed, BatchResponse, Batches, Failures, run_whole};
use tillstream_runtime::schedule::Job;
use tillstream_testkit::faults::{FaultyDatabase, Rates};
use tillstream_testkit::hq_stand_in::{Control, HqStandIn};
use tillstream_testkit::memory_messaging::{MemoryQueue, MemoryStream};
use tillstream_testkit::test_environment::TestEnvironment;
use tillstream_testkit::tokens::{AUDIENCE, Claims, ISSUER, TokenIssuer};
use tower::ServiceExt;

use crate::process::{Death, Process};

pub const TENANT: &str = "demo";
const SECRET: &str = "a secret between tillstream and hq";
/// Of HQ's answers, so many in a hundred are failures.
const HQ_FAILS_PERCENT: u8 = 30;
/// Shards of the sales stream.
const SHARDS: usize = 3;
/// How often a request is sent before a test gives up; by chance it takes a handful.
const ATTEMPTS_MAX: u32 = 200;

/// How much goes wrong.
#[derive(Clone, Copy)]
pub struct Trouble {
    /// Of calls of a till's requests to the tables: each fault, in thousandths.
    pub tills: u64,
    /// Of calls of a batch's handling to the tables: each fault, in thousandths.
    pub batches: u64,
    /// Of invocations with a batch, in hundredths: those whose process dies.
    pub deaths: u64,
    /// Of invocations with a batch, in hundredths: those that did all and whose answer was lost.
    pub answers_lost: u64,
}

/// All goes well.
const NO_TROUBLE: Trouble = Trouble { tills: 0, batches: 0, deaths: 0, answers_lost: 0 };

/// Answer to a request.
pub struct Reply {
    pub body: Value,
    /// It says that it repeats what took effect before.
    pub is_replay: bool,
    /// How often the request was sent.
    pub attempts: u32,
}

/// All of it.
pub struct Functions {
    pub environment: Arc<TestEnvironment>,
    /// The tables, without trouble.
    pub database: Arc<dyn Database>,
    pub stream: Arc<MemoryStream>,
    pub queue: Arc<MemoryQueue>,
    pub hq: Arc<HqStandIn>,
    pub trouble: Trouble,
    issuer: TokenIssuer,
    /// What tills and HQ's feeds talk to.
    routers: Vec<(&'static str, Router)>,
}

impl Functions {
    /// All of it on these tables.
    pub async fn new(
        database: Arc<dyn Database>,
        environment: Arc<TestEnvironment>,
        trouble: Trouble,
    ) -> Self {
        let issuer = TokenIssuer::new("key-1").unwrap();
        database.write(TokenIssuer::publish(&[&issuer])).await.unwrap();
        let queue = Arc::new(MemoryQueue::new(environment.clone()));
        let rates = Rates::each(trouble.tills);
        let troubled = FaultyDatabase::random(database.clone(), environment.random(), rates);
        let tills = Ports {
            database: Arc::new(Process::new(Arc::new(troubled), None)),
            environment: environment.clone(),
        };
        let ports = Ports { database: database.clone(), environment: environment.clone() };
        let authenticator =
            Arc::new(Authenticator::new(database.clone(), environment.clone(), ISSUER, AUDIENCE));
        let auth = || authenticator.clone();
        let routers = vec![
            ("/v1/pos/", pos_commands::router(pos_commands::Services { ports: tills.clone() }, auth())),
            ("/v1/inventory/update", inventory::router(inventory::Services { ports: tills }, auth())),
            ("/v1/inventory/", inventory::router(inventory::Services { ports: ports.clone() }, auth())),
            ("/v1/locations", inventory::router(inventory::Services { ports: ports.clone() }, auth())),
            ("/v1/sync/", hq_sync::router(hq_sync::Services { ports: ports.clone() }, auth())),
            ("/v1/orders", orders::router(orders::Services { ports: ports.clone() }, auth())),
            (
                "/v1/analytics/",
                analytics_api::router(analytics_api::Services { ports: ports.clone() }, auth()),
            ),
            (
                "/v1/dispatch/",
                dispatch_admin::router(dispatch_admin::Services { ports, queue: queue.clone() }, auth()),
            ),
        ];
        let hq = Arc::new(HqStandIn::new(SigningSecret::parse(SECRET).unwrap(), environment.clone()));
        hq.control(Control { fail_percent: Some(HQ_FAILS_PERCENT), ..Control::default() });
        let stream = Arc::new(MemoryStream::new(SHARDS, environment.clone()));
        Functions { environment, database, stream, queue, hq, trouble, issuer, routers }
    }

    /// Sends a request until it has an answer that counts, as every client must: the idempotency key in
    /// it makes the repetition safe. Fails the test on a refusal.
    pub async fn request(&self, method: &str, path: &str, key: Option<&str>, body: &str) -> Reply {
        let (_, router) = self.routers.iter().find(|(start, _)| path.starts_with(start)).unwrap();
        for attempts in 1..=ATTEMPTS_MAX {
            let claims = Claims::new(TENANT, &["operator", "integration"], self.environment.now());
            let token = self.issuer.token(&claims).unwrap();
            let mut request = Request::builder()
                .method(method)
                .uri(path)
                .header("authorization", format!("Bearer {token}"))
                .header("content-type", "application/json");
            if let Some(key) = key {
                request = request.header("idempotency-key", key);
            }
            let request = request.body(Body::from(body.to_owned())).unwrap();
            let (parts, answer) = router.clone().oneshot(request).await.unwrap().into_parts();
            let bytes = to_bytes(answer, usize::MAX).await.unwrap();
            let answer: Value = serde_json::from_slice(&bytes).unwrap();
            let status = parts.status.as_u16();
            if status < 300 {
                let is_replay = parts.headers.contains_key("idempotent-replayed");
                return Reply { body: answer, is_replay, attempts };
            }
            let again = matches!(status, 429 | 503) || parts.headers.contains_key("retry-after");
            assert!(again, "{method} {path} {body}: {status} {answer}");
            self.environment.sleep(Duration::from_millis(50)).await;
        }
        panic!("{method} {path} {body}: no answer that counts");
    }

    /// Reads.
    pub async fn get(&self, path: &str, query: &[(&str, &str)]) -> Value {
        let mut text = form_urlencoded::Serializer::new(String::new());
        let query = text.extend_pairs(query).finish();
        self.request("GET", &format!("{path}?{query}"), None, "").await.body
    }

    /// Reads every item of a list, page by page.
    pub async fn pages(&self, path: &str, items: &str, limit: u32, query: &[(&str, &str)]) -> Vec<Value> {
        let (mut all, mut cursor) = (Vec::new(), None::<String>);
        loop {
            let limit = limit.to_string();
            let mut query = query.to_vec();
            query.push(("limit", &limit));
            if let Some(cursor) = &cursor {
                query.push(("cursor", cursor));
            }
            let mut page = self.get(path, &query).await;
            all.append(page[items].as_array_mut().unwrap());
            match page["next_cursor"].as_str() {
                Some(next) => cursor = Some(next.to_owned()),
                None => return all,
            }
        }
    }

    /// Whether something that happens to so many in a hundred happens now.
    pub fn happens(&self, hundredths: u64) -> bool {
        self.environment.random() % 100 < hundredths
    }

    /// One invocation in a process of its own, which has its troubles.
    async fn invoke<T>(
        &self,
        trouble: Trouble,
        work: impl AsyncFnOnce(Ports) -> Result<T, String>,
    ) -> Result<T, String> {
        let environment = &self.environment;
        let rates = Rates::each(trouble.batches);
        let troubled = FaultyDatabase::random(self.database.clone(), environment.random(), rates);
        let death = self.happens(trouble.deaths).then(|| Death {
            at: 1 + environment.random() % 40,
            after: environment.random().is_multiple_of(2),
        });
        let process = Arc::new(Process::new(Arc::new(troubled), death));
        let ports = Ports { database: process.clone(), environment: environment.clone() };
        let answer = tokio::select! {
            biased;
            answer = work(ports) => answer,
            () = process.died() => return Err("killed".to_owned()),
        };
        if self.happens(trouble.answers_lost) { Err("the answer was lost".to_owned()) } else { answer }
    }

    /// The relay on an event of a table's stream.
    pub async fn relay(&self, event: String) -> Result<Value, String> {
        self.invoke(self.trouble, async |ports: Ports| {
            let batches = Batches::telling(event_relay::FUNCTION, &ports, Failures::Report);
            let (stream, queue) = (self.stream.clone(), self.queue.clone());
            let relay = event_relay::Relay { ports, stream, queue };
            answer(run_whole::<Changes, _>(&batches, &relay, &event).await)
        })
        .await
    }

    /// The aggregator on an event of the sales stream.
    pub async fn aggregate(&self, event: String) -> Result<Value, String> {
        self.invoke(self.trouble, async |ports: Ports| {
            let batches = Batches::telling(sales_aggregator::FUNCTION, &ports, Failures::Report);
            answer(run_whole::<Kinesis, _>(&batches, &sales_aggregator::Aggregator { ports }, &event).await)
        })
        .await
    }

    /// The dispatcher on an event of HQ's queue.
    pub async fn dispatch(&self, event: String) -> Result<Value, String> {
        self.invoke(self.trouble, async |ports: Ports| {
            let batches = Batches::telling(hq_dispatcher::FUNCTION, &ports, Failures::Report);
            let dispatcher = Dispatcher {
                ports,
                queue: self.queue.clone(),
                transport: self.hq.clone(),
                secret: SigningSecret::parse(SECRET).unwrap(),
                policy: Policy::default(),
            };
            answer(run_whole::<Sqs, _>(&batches, &hq_dispatcher::WakeUps(dispatcher), &event).await)
        })
        .await
    }

    /// A scheduled run of the keeper. It may fail or die: what it leaves undone is the next one's.
    pub async fn keep(&self) -> Result<(), String> {
        let deadline =
            self.environment.now().checked_add(SignedDuration::from_secs(60)).unwrap_or(Timestamp::MAX);
        // A run makes thousands of calls: every other one is spared, or none would come to its end.
        let trouble = if self.happens(50) { self.trouble } else { NO_TROUBLE };
        self.invoke(trouble, async |ports: Ports| {
            let (stream, queue) = (self.stream.clone(), self.queue.clone());
            let keeper = stock_keeper::Keeper { ports, stream, queue };
            keeper.run(deadline).await.map_err(|error| error.to_string())
        })
        .await
    }
}

/// What Lambda makes of a handler's answer.
fn answer(answer: Result<BatchResponse, BatchFailed>) -> Result<Value, String> {
    let answer = answer.map_err(|failed| failed.to_string())?;
    serde_json::to_value(answer).map_err(|error| error.to_string())
}
