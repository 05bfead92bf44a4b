//! Around every request: a request id, a wide event at the end, and a problem document where the code
//! panicked.

use axum::extract::{MatchedPath, Request};
use axum::http::{HeaderName, HeaderValue, StatusCode};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};

use crate::caught::caught;
use crate::problem::{Problem, Report};
use crate::wide_event::{self, Outcome, Work};

/// The request's id: under Lambda its invocation's.
#[derive(Debug, Clone)]
pub(crate) struct RequestId(pub(crate) String);

/// Answers the request's id to the client.
const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// Calls the unit of work by its method and route, unless the handler names its own action.
pub(crate) async fn name_action(request: Request, next: Next) -> Response {
    if let Some(route) = request.extensions().get::<MatchedPath>() {
        wide_event::action(&format!("{} {}", request.method(), route.as_str()));
    }
    next.run(request).await
}

/// Runs a request as a unit of work.
pub(crate) async fn observe(function: &'static str, request: Request, next: Next) -> Response {
    let id = match request.extensions().get::<RequestId>() {
        Some(RequestId(id)) => id.clone(),
        None => "none".to_owned(),
    };
    let work = Work::begin(function, id);
    let mut response = work
        .scope(async {
            match caught(next.run(request)).await {
                Ok(response) => response,
                Err(cause) => Problem::internal(format!("panic: {cause}")).into_response(),
            }
        })
        .await;
    let report = response.extensions_mut().remove::<Report>();
    let (code, internal) = report.map_or((None, None), |report| (Some(report.code), report.internal));
    let status = response.status();
    let outcome = outcome(status);
    if let Some(cause) = internal {
        let (request_id, code) = (work.request_id(), code.as_deref().unwrap_or_default());
        match outcome {
            Outcome::Failed => tracing::error!(request_id, code, cause, "request failed"),
            _ => tracing::warn!(request_id, code, cause, "request can be repeated"),
        }
    }
    work.end(outcome, Some(status.as_u16()), code.as_deref());
    if let Ok(id) = HeaderValue::from_str(work.request_id()) {
        response.headers_mut().insert(REQUEST_ID, id);
    }
    response
}

fn outcome(status: StatusCode) -> Outcome {
    match status {
        StatusCode::SERVICE_UNAVAILABLE | StatusCode::TOO_MANY_REQUESTS => Outcome::Retryable,
        status if status.is_server_error() => Outcome::Failed,
        status if status.is_client_error() => Outcome::Refused,
        _ => Outcome::Ok,
    }
}
