//! Routes of lots.

use axum::Json;
use axum::extract::State;
use axum::response::IntoResponse;
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

pub(crate) async fn quarantine(
    services: State<Services>,
    caller: Authenticated,
    key: IdempotencyKey,
    lot: PathParams<String>,
    request: JsonBody<ChangeLotRequest>,
) -> Result<impl IntoResponse, Problem> {
    changed(Change::Quarantine, services, caller, key, lot, request).await
}

pub(crate) async fn release(
    services: State<Services>,
    caller: Authenticated,
    key: IdempotencyKey,
    lot: PathParams<String>,
    request: JsonBody<ChangeLotRequest>,
) -> Result<impl IntoResponse, Problem> {
    changed(Change::Release, services, caller, key, lot, request).await
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

pub(crate) async fn quarantine_here(
    services: State<Services>,
    caller: Authenticated,
    key: IdempotencyKey,
    what: PathParams<(String, String)>,
    request: JsonBody<ChangeLotRequest>,
) -> Result<impl IntoResponse, Problem> {
    changed_here(Change::Quarantine, services, caller, key, what, request).await
}

pub(crate) async fn release_here(
    services: State<Services>,
    caller: Authenticated,
    key: IdempotencyKey,
    what: PathParams<(String, String)>,
    request: JsonBody<ChangeLotRequest>,
) -> Result<impl IntoResponse, Problem> {
    changed_here(Change::Release, services, caller, key, what, request).await
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
