//! Routes of lots.

use axum::Json;
use axum::extract::State;
use axum::response::IntoResponse;
use tillstream_app::stock::lots::recall::{self, Answer, Change};
use tillstream_app::stock::lots::{here, list, sold};
use tillstream_contracts::inventory::PageQuery;
use tillstream_contracts::lots::{ChangeLotRequest, Lot, LotHere, LotQuery};
use tillstream_runtime::Problem;
use tillstream_runtime::http::etag::EntityTag;
use tillstream_runtime::http::{Authenticated, IdempotencyKey, JsonBody, PathParams, QueryParams, Replayed};

use crate::{READERS, Services, UPDATERS};

fn answered(answer: Answer) -> (EntityTag, Replayed, Json<Lot>) {
    let tag = EntityTag::of_version(answer.lot.version.unsigned_abs());
    (tag, Replayed(answer.replayed), Json(answer.lot))
}

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
    let found = list::one(&services.ports, &caller, &lot, query.limit, query.cursor.as_deref()).await?;
    Ok((EntityTag::of_version(found.lot.version.unsigned_abs()), Json(found)))
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
    State(services): State<Services>,
    Authenticated(caller): Authenticated,
    IdempotencyKey(key): IdempotencyKey,
    PathParams(lot): PathParams<String>,
    JsonBody(request): JsonBody<ChangeLotRequest>,
) -> Result<impl IntoResponse, Problem> {
    caller.require_role(&UPDATERS)?;
    let change = Change::Quarantine;
    Ok(answered(recall::change(&services.ports, &caller, &key, &lot, change, &request).await?))
}

pub(crate) async fn release(
    State(services): State<Services>,
    Authenticated(caller): Authenticated,
    IdempotencyKey(key): IdempotencyKey,
    PathParams(lot): PathParams<String>,
    JsonBody(request): JsonBody<ChangeLotRequest>,
) -> Result<impl IntoResponse, Problem> {
    caller.require_role(&UPDATERS)?;
    let change = Change::Release;
    Ok(answered(recall::change(&services.ports, &caller, &key, &lot, change, &request).await?))
}

fn answered_here(answer: here::Answer) -> (EntityTag, Replayed, Json<LotHere>) {
    let tag = EntityTag::of_version(answer.changed.lot.version.unsigned_abs());
    (tag, Replayed(answer.replayed), Json(answer.changed))
}

pub(crate) async fn quarantine_here(
    State(services): State<Services>,
    Authenticated(caller): Authenticated,
    IdempotencyKey(key): IdempotencyKey,
    PathParams((lot, location_id)): PathParams<(String, String)>,
    JsonBody(request): JsonBody<ChangeLotRequest>,
) -> Result<impl IntoResponse, Problem> {
    caller.require_role(&UPDATERS)?;
    let what = (lot.as_str(), location_id.as_str());
    let change = Change::Quarantine;
    Ok(answered_here(here::change(&services.ports, &caller, &key, what, change, &request).await?))
}

pub(crate) async fn release_here(
    State(services): State<Services>,
    Authenticated(caller): Authenticated,
    IdempotencyKey(key): IdempotencyKey,
    PathParams((lot, location_id)): PathParams<(String, String)>,
    JsonBody(request): JsonBody<ChangeLotRequest>,
) -> Result<impl IntoResponse, Problem> {
    caller.require_role(&UPDATERS)?;
    let what = (lot.as_str(), location_id.as_str());
    let change = Change::Release;
    Ok(answered_here(here::change(&services.ports, &caller, &key, what, change, &request).await?))
}
