//! POS commands: one envelope, or a batch of them from a register that was offline. And the approvals that
//! commands use, and gift cards and accounts that payments are taken from.

mod approvals;
mod stored_value;

use std::sync::Arc;

use axum::Router;
use axum::extract::State;
use axum::response::IntoResponse;
use axum::routing::{get, post};
use jiff::{SignedDuration, Timestamp};
use serde_json::Value;
use tillstream_app::pos::{batch, execute};
use tillstream_app::{Error, Ports, Refusal};
use tillstream_contracts::pos::{BATCH_COMMANDS_MAX, BatchReply, CommandBatch, CommandOutcome};
use tillstream_runtime::auth::Authenticator;
use tillstream_runtime::config::{self, Variable};
use tillstream_runtime::http::{self, Authenticated, Deadline, JsonBody, Replayed};
use tillstream_runtime::{Problem, wide_event};

/// Name in logs and metrics.
pub const FUNCTION: &str = "pos-commands";

/// What it reads from its environment, beside what every function reads.
pub const VARIABLES: &[Variable] = &[
    config::ORDERS_TABLE,
    config::STOCK_TABLE,
    config::CATALOG_TABLE,
    config::IDENTITY_TABLE,
    config::TOKEN_ISSUER,
    config::TOKEN_AUDIENCE,
];

/// Left of the function's time when a batch stops taking further commands: one command's retries.
const BATCH_RESERVE: SignedDuration = SignedDuration::from_secs(12);
/// A batch's time where the runtime tells no deadline.
const BATCH_TIME: SignedDuration = SignedDuration::from_secs(13);

/// What its handlers need.
#[derive(Clone)]
pub struct Services {
    /// Tables, time and chance.
    pub ports: Ports,
}

/// Its routes.
pub fn router(services: Services, authenticator: Arc<Authenticator>) -> Router {
    let routes = Router::new()
        .route("/v1/pos/command", post(command))
        .route("/v1/pos/commands", post(commands))
        .route("/v1/approvals", get(approvals::list).post(approvals::ask))
        .route("/v1/approvals/{id}", get(approvals::approval))
        .route("/v1/approvals/{id}/grant", post(approvals::grant))
        .route("/v1/approvals/{id}/deny", post(approvals::deny))
        .route("/v1/stored-value", post(stored_value::issue))
        .route("/v1/stored-value/{id}", get(stored_value::stored_value))
        .route("/v1/stored-value/{id}/credit", post(stored_value::credit))
        .route("/v1/stored-value/{id}/debit", post(stored_value::debit))
        .route("/v1/stored-value/{id}/block", post(stored_value::block))
        .route("/v1/stored-value/{id}/unblock", post(stored_value::unblock))
        .route("/v1/stored-value/{id}/movements", get(stored_value::movements));
    http::router(FUNCTION, routes, services, authenticator)
}

async fn command(
    State(services): State<Services>,
    Authenticated(caller): Authenticated,
    JsonBody(sent): JsonBody<Value>,
) -> Result<impl IntoResponse, Problem> {
    if let Some(action) = execute::known_action(&sent) {
        wide_event::note("pos_action", action);
    }
    let answered = execute::execute(&services.ports, &caller, sent).await?;
    Ok((Replayed(answered.replayed), axum::Json(answered.reply)))
}

async fn commands(
    State(services): State<Services>,
    Authenticated(caller): Authenticated,
    Deadline(deadline): Deadline,
    JsonBody(sent): JsonBody<CommandBatch>,
) -> Result<impl IntoResponse, Problem> {
    if sent.commands.is_empty() || sent.commands.len() > BATCH_COMMANDS_MAX {
        let message = format!("a batch has 1 to {BATCH_COMMANDS_MAX} commands; send more in another");
        return Err(Error::from(Refusal::field("commands", "batch_size", message)).into());
    }
    let now = services.ports.environment.now();
    let stop_at = match deadline {
        Some(deadline) => deadline.checked_sub(BATCH_RESERVE),
        None => now.checked_add(BATCH_TIME),
    };
    let stop_at = stop_at.unwrap_or(Timestamp::MAX);
    let (outcomes, resume_from) = batch::run(&services.ports, &caller, sent.commands, stop_at).await;
    let outcomes = outcomes.into_iter().map(|(command, outcome)| outcome_of(&command, outcome)).collect();
    Ok(axum::Json(BatchReply { outcomes, resume_from }))
}

fn outcome_of(command: &Value, outcome: batch::Outcome) -> CommandOutcome {
    let key = command.get("idempotency_key").and_then(Value::as_str);
    let idempotency_key = key.map(|key| key.chars().take(128).collect());
    let (status, body) = match outcome {
        Ok(mut answered) => {
            answered.reply.cart = None;
            match serde_json::to_value(&answered.reply) {
                Ok(body) => (200, body),
                Err(error) => told(Problem::internal(error.to_string())),
            }
        }
        Err(error) => told(Problem::from(error)),
    };
    CommandOutcome { idempotency_key, status, body }
}

fn told(problem: Problem) -> (u16, Value) {
    problem.log();
    (problem.status().as_u16(), problem.document())
}

#[cfg(test)]
mod tests;
