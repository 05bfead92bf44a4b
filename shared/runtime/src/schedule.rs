//! Functions that a schedule starts.

use std::sync::Arc;

use async_trait::async_trait;
use jiff::Timestamp;
use serde_json::Value;
use tillstream_app::Error;

use crate::caught::caught;
use crate::wide_event::{Outcome, Work};

/// Work that a schedule starts. Two runs may overlap, and one may be left out.
#[async_trait]
pub trait Job: Send + Sync {
    /// Runs until done, or until shortly before `deadline`.
    async fn run(&self, deadline: Timestamp) -> Result<(), Error>;

    /// Answers an event that is a request of a person to the function itself; nothing where it is the
    /// schedule's, which only has to come.
    async fn asked(&self, _event: &Value, _deadline: Timestamp) -> Result<Option<Value>, Error> {
        Ok(None)
    }
}

/// Runs a job once, as a unit of work.
///
/// # Errors
/// The job's, or its panic as a bug.
pub async fn run(work: &Arc<Work>, job: &dyn Job, deadline: Timestamp) -> Result<(), Error> {
    handle(work, job, &Value::Null, deadline).await.map(|_| ())
}

/// Handles an event, as a unit of work: a request is answered, any other event starts the job.
///
/// # Errors
/// The job's, or its panic as a bug.
pub async fn handle(
    work: &Arc<Work>,
    job: &dyn Job,
    event: &Value,
    deadline: Timestamp,
) -> Result<Value, Error> {
    let handled = async {
        match job.asked(event, deadline).await? {
            Some(answer) => Ok(answer),
            None => job.run(deadline).await.map(|()| Value::Null),
        }
    };
    let result =
        work.scope(caught(handled)).await.unwrap_or_else(|panic| Err(Error::Bug(format!("panic: {panic}"))));
    work.name("schedule");
    let (outcome, code) = match &result {
        Ok(_) => (Outcome::Ok, None),
        Err(Error::Rejected(refusal)) => (Outcome::Refused, Some(refusal.code)),
        Err(Error::Conflict(_)) => (Outcome::Retryable, Some("contended")),
        Err(Error::Retryable { .. }) => (Outcome::Retryable, Some("unavailable")),
        Err(Error::Bug(_)) => (Outcome::Failed, Some("internal")),
    };
    if let Err(error) = &result {
        tracing::error!(request_id = work.request_id(), %error, "scheduled run failed");
    }
    work.end(outcome, None, code);
    result
}

/// Runs a function that a schedule starts, until the environment ends. A failed run fails its
/// invocation, so that it is repeated and at last reported.
///
/// # Errors
/// What the runtime's own calls answer.
pub async fn serve<J: Job>(function: &'static str, job: J) -> Result<(), lambda_runtime::Error> {
    let job = Arc::new(job);
    let service = |event: lambda_runtime::LambdaEvent<Value>| {
        let job = Arc::clone(&job);
        async move {
            let deadline = i64::try_from(event.context.deadline)
                .ok()
                .and_then(|millis| Timestamp::from_millisecond(millis).ok())
                .unwrap_or(Timestamp::MAX);
            let work = Work::begin(function, event.context.request_id);
            handle(&work, &*job, &event.payload, deadline).await.map_err(lambda_runtime::Error::from)
        }
    };
    lambda_runtime::run(lambda_runtime::service_fn(service)).await
}
