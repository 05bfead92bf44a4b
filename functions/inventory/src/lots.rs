//! Routes of lots.

use axum::Json;
use axum::extract::State;
use axum::response::IntoResponse;
use axum::routing::{MethodRouter, post};
use tillstream_app::stock::lots::recall::{self, Change};
use tillstream_app::stock::lots::{here, list, sold};
use tillstream_contracts::inventory::PageQuery;
use tillstream_contracts::lots::{ChangeLotRequest, LotQuery};
use tillstream_runtime::Problem;
use tillstream_runtime::http::{Authenticated, IdempotencyKey, JsonBody, PathParams, QueryParams};

use crate::answers::{answered, found};
use crate::{READERS, Services, UPDATERS};

pub(crate) async fn all(
    State(services): State<Services>,
    Authenticated(caller): Authenticated,
    QueryParams(query): QueryParams<LotQuery>,
) -> Result<impl IntoResponse, Problem> {
    caller.require_role(&READERS)?;
    Ok(Json(list::list(&services.ports, &caller, &query).await?))
}

pub(crate) async fn one(
    State(services): State<Services>,
    Authenticated(caller): Authenticated,
    PathParams(lot): PathParams<String>,
    QueryParams(query): QueryParams<PageQuery>,
) -> Result<impl IntoResponse, Problem> {
    caller.require_role(&READERS)?;
    let places = list::one(&services.ports, &caller, &lot, query.limit, query.cursor.as_deref()).await?;
    Ok(found(places.lot.version, places))
}

pub(crate) async fn orders(
    State(services): State<Services>,
    Authenticated(caller): Authenticated,
    PathParams(lot): PathParams<String>,
    QueryParams(query): QueryParams<PageQuery>,
) -> Result<impl IntoResponse, Problem> {
    caller.require_role(&READERS)?;
    Ok(Json(sold::orders(&services.ports, &caller, &lot, query.limit, query.cursor.as_deref()).await?))
}

/// What does this with a lot.
pub(crate) fn doing(change: Change) -> MethodRouter<Services> {
    post(move |services, caller, key, lot, request| changed(change, services, caller, key, lot, request))
}

async fn changed(
    change: Change,
    State(services): State<Services>,
    Authenticated(caller): Authenticated,
    IdempotencyKey(key): IdempotencyKey,
    PathParams(lot): PathParams<String>,
    JsonBody(request): JsonBody<ChangeLotRequest>,
) -> Result<impl IntoResponse, Problem> {
    caller.require_role(&UPDATERS)?;
    let answer = recall::change(&services.ports, &caller, &key, &lot, change, &request).await?;
    Ok(answered(answer.lot.version, answer.replayed, answer.lot))
}

/// What does this with a lot at one location.
pub(crate) fn doing_here(change: Change) -> MethodRouter<Services> {
    post(move |services, caller, key, what, request| {
        changed_here(change, services, caller, key, what, request)
    })
}

async fn changed_here(
    change: Change,
    State(services): State<Services>,
    Authenticated(caller): Authenticated,
    IdempotencyKey(key): IdempotencyKey,
    PathParams((lot, location_id)): PathParams<(String, String)>,
    JsonBody(request): JsonBody<ChangeLotRequest>,
) -> Result<impl IntoResponse, Problem> {
    caller.require_role(&UPDATERS)?;
    let what = (lot.as_str(), location_id.as_str());
    let answer = here::change(&services.ports, &caller, &key, what, change, &request).await?;
    Ok(answered(answer.changed.lot.version, answer.replayed, answer.changed))
}
