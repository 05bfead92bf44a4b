//! A stand-in for HQ, to be tried, tested and troubled: it checks signatures and idempotency keys as HQ
//! does, remembers what it accepted, and fails as it is told.
//!
//! In a test it is the [`HqTransport`] itself, in the test's own time; as the program `hq-stand-in` it
//! is a server ([`server`]).

pub mod server;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use tillstream_app::dispatch::signature::SigningSecret;
use tillstream_app::dispatch::transport::{HqAnswer, HqRequest, HqTransport, HqTransportError};
use tillstream_app::environment::Environment;
use tillstream_contracts::hq::{
    HqBackorderMessage, HqMessage, HqOrderMessage, HqShiftMessage, HqStockMessage,
};

/// How it behaves to orders.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Mode {
    /// Accepts what is right.
    #[default]
    Accept,
    /// Refuses everything: 422.
    Refuse,
    /// Fails on everything: 500.
    Fail,
    /// Never answers.
    Hang,
    /// Closes the connection without an answer.
    Down,
}

/// Its behaviour. What a change leaves out stays as it is.
#[derive(Debug, Clone, PartialEq, Eq, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Control {
    /// How it behaves.
    #[serde(default)]
    pub mode: Option<Mode>,
    /// Of what it would accept, so many in a hundred fail with 503. Half of these it has accepted
    /// nevertheless: the answer was lost on the way.
    #[serde(default)]
    pub fail_percent: Option<u8>,
    /// Orders it refuses: 422.
    #[serde(default)]
    pub refuse_orders: Option<BTreeSet<String>>,
    /// Orders it fails on: 500.
    #[serde(default)]
    pub fail_orders: Option<BTreeSet<String>>,
}

/// What it accepted of one order.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct AcceptedOrder {
    /// Whose.
    pub tenant_id: String,
    /// The order.
    pub order_id: String,
    /// Messages it accepted, repetitions not counted: one for each version if all is well.
    pub accepted: u32,
    /// Repetitions that it recognised.
    pub repeated: u32,
    /// Versions in the order they were accepted.
    pub versions: Vec<u32>,
    /// What it was told last of those that it accepted.
    #[serde(skip)]
    pub last: Option<HqOrderMessage>,
}

#[derive(Default)]
struct State {
    mode: Mode,
    fail_percent: u8,
    refuse_orders: BTreeSet<String>,
    fail_orders: BTreeSet<String>,
    /// Hash of the body that came with an idempotency key.
    keys: BTreeMap<String, [u8; 32]>,
    orders: BTreeMap<(String, String), AcceptedOrder>,
    shifts: Vec<HqShiftMessage>,
    backorders: Vec<HqBackorderMessage>,
    stock: Vec<HqStockMessage>,
    requests: u64,
}

/// The stand-in.
pub struct HqStandIn {
    secret: Mutex<SigningSecret>,
    environment: Arc<dyn Environment>,
    state: Mutex<State>,
}

/// What it does with a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reaction {
    /// Answers.
    Answer(u16, Value),
    /// Never does.
    Hang,
    /// Closes the connection.
    Close,
}

fn problem(status: u16, code: &str, detail: impl Into<String>) -> Reaction {
    Reaction::Answer(status, json!({ "code": code, "detail": detail.into() }))
}

impl HqStandIn {
    /// One that accepts everything signed with `secret`.
    pub fn new(secret: SigningSecret, environment: Arc<dyn Environment>) -> Self {
        HqStandIn { secret: Mutex::new(secret), environment, state: Mutex::default() }
    }

    /// From now on accepts only what is signed with this secret.
    pub fn rotate_secret(&self, secret: SigningSecret) {
        *self.secret.lock().unwrap_or_else(PoisonError::into_inner) = secret;
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Changes its behaviour.
    pub fn control(&self, control: Control) {
        let mut state = self.lock();
        if let Some(mode) = control.mode {
            state.mode = mode;
        }
        if let Some(percent) = control.fail_percent {
            state.fail_percent = percent.min(100);
        }
        if let Some(orders) = control.refuse_orders {
            state.refuse_orders = orders;
        }
        if let Some(orders) = control.fail_orders {
            state.fail_orders = orders;
        }
    }

    /// Changes only how it behaves to all orders.
    pub fn set_mode(&self, mode: Mode) {
        self.control(Control { mode: Some(mode), ..Control::default() });
    }

    /// Its behaviour, as it is.
    pub fn behaviour(&self) -> Value {
        let state = self.lock();
        json!({
            "mode": state.mode,
            "fail_percent": state.fail_percent,
            "refuse_orders": state.refuse_orders,
            "fail_orders": state.fail_orders,
        })
    }

    /// What it accepted, by tenant and order.
    pub fn accepted(&self) -> Vec<AcceptedOrder> {
        self.lock().orders.values().cloned().collect()
    }

    /// Closed shifts that it accepted, repetitions not counted.
    pub fn accepted_shifts(&self) -> Vec<HqShiftMessage> {
        self.lock().shifts.clone()
    }

    /// Steps of backorders that it accepted, repetitions not counted.
    pub fn accepted_backorders(&self) -> Vec<HqBackorderMessage> {
        self.lock().backorders.clone()
    }

    /// Times stock got low that it accepted, repetitions not counted.
    pub fn accepted_stock(&self) -> Vec<HqStockMessage> {
        self.lock().stock.clone()
    }

    /// Requests so far, whatever became of them.
    pub fn requests(&self) -> u64 {
        self.lock().requests
    }

    /// Forgets everything, and accepts again.
    pub fn reset(&self) {
        *self.lock() = State::default();
    }

    /// What it does with an order. `header` finds a header by its name in lower case.
    pub fn receive(&self, header: impl Fn(&str) -> Option<String>, body: &[u8]) -> Reaction {
        let mut state = self.lock();
        state.requests += 1;
        match state.mode {
            Mode::Down => return Reaction::Close,
            Mode::Hang => return Reaction::Hang,
            Mode::Fail => return problem(500, "failing", "told to fail"),
            Mode::Accept | Mode::Refuse => {}
        }
        let need = |name: &str| header(name).ok_or_else(|| problem(400, "header_missing", name));
        let headers = (|| {
            Ok((
                need("webhook-id")?,
                need("webhook-timestamp")?,
                need("webhook-signature")?,
                need("idempotency-key")?,
            ))
        })();
        let (id, timestamp, signature, key) = match headers {
            Ok(headers) => headers,
            Err(reaction) => return reaction,
        };
        let now = self.environment.now();
        let secret = self.secret.lock().unwrap_or_else(PoisonError::into_inner).clone();
        if let Err(error) = secret.verify(&id, &timestamp, &signature, body, now) {
            return problem(401, "signature_wrong", error.to_string());
        }
        let message: HqMessage = match serde_json::from_slice(body) {
            Ok(message) => message,
            Err(error) => return problem(400, "json_malformed", error.to_string()),
        };
        let about = match &message {
            HqMessage::Order(message) => message.order_id.clone(),
            HqMessage::Shift(message) => message.shift.id.clone(),
            HqMessage::Backorder(message) => message.backorder.backorder_id.clone(),
            HqMessage::Stock(message) => message.alert.alert_id.clone(),
        };
        if state.mode == Mode::Refuse || state.refuse_orders.contains(&about) {
            return problem(422, "order_refused", "told to refuse it");
        }
        if state.fail_orders.contains(&about) {
            return problem(500, "order_indigestible", "told to fail on it");
        }
        let fails = self.environment.random() % 100 < u64::from(state.fail_percent);
        if fails && self.environment.random().is_multiple_of(2) {
            return problem(503, "failing", "told to fail now and then");
        }
        let reaction = match message {
            HqMessage::Order(message) => state.accept(key, body, *message),
            HqMessage::Shift(message) => state.accept_once(key, body, |state| state.shifts.push(*message)),
            HqMessage::Backorder(message) => {
                state.accept_once(key, body, |state| state.backorders.push(*message))
            }
            HqMessage::Stock(message) => state.accept_once(key, body, |state| state.stock.push(*message)),
        };
        if fails { problem(503, "failing", "told to fail now and then") } else { reaction }
    }
}

impl State {
    fn accept_once(&mut self, key: String, body: &[u8], keep: impl FnOnce(&mut Self)) -> Reaction {
        let hash: [u8; 32] = Sha256::digest(body).into();
        match self.keys.get(&key) {
            Some(known) if *known == hash => {
                Reaction::Answer(200, json!({ "accepted": true, "repeated": true }))
            }
            Some(_) => problem(409, "idempotency_key_reused", "this key came with another body"),
            None => {
                self.keys.insert(key, hash);
                keep(self);
                Reaction::Answer(200, json!({ "accepted": true, "repeated": false }))
            }
        }
    }

    fn accept(&mut self, key: String, body: &[u8], message: HqOrderMessage) -> Reaction {
        let hash: [u8; 32] = Sha256::digest(body).into();
        let id = (message.tenant_id.clone(), message.order_id.clone());
        let order = self.orders.entry(id).or_insert_with(|| AcceptedOrder {
            tenant_id: message.tenant_id.clone(),
            order_id: message.order_id.clone(),
            ..AcceptedOrder::default()
        });
        match self.keys.get(&key) {
            Some(known) if *known == hash => {
                order.repeated += 1;
                Reaction::Answer(200, json!({ "accepted": true, "repeated": true }))
            }
            Some(_) => problem(409, "idempotency_key_reused", "this key came with another body"),
            None => {
                self.keys.insert(key, hash);
                order.accepted += 1;
                order.versions.push(message.order_version);
                order.last = Some(message);
                Reaction::Answer(200, json!({ "accepted": true, "repeated": false }))
            }
        }
    }
}

#[async_trait]
impl HqTransport for HqStandIn {
    async fn post(&self, request: HqRequest) -> Result<HqAnswer, HqTransportError> {
        let header = |name: &str| {
            request.headers.iter().find(|(known, _)| *known == name).map(|(_, value)| value.clone())
        };
        match self.receive(header, &request.body) {
            Reaction::Answer(status, body) => {
                Ok(HqAnswer { status, body: body.to_string().into_bytes(), retry_after: None })
            }
            Reaction::Hang => {
                self.environment.sleep(request.timeout).await;
                Err(HqTransportError::Timeout)
            }
            Reaction::Close => Err(HqTransportError::Connection("closed".to_owned())),
        }
    }
}
