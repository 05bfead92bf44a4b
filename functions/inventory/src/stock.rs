//! Routes of stock: levels, updates, movements, conservation.

use axum::Json;
use axum::extract::State;
use axum::response::IntoResponse;
use tillstream_app::stock::{change_feed, conservation, movements, read, restock, update};
use tillstream_contracts::inventory::{
    ConservationQuery, MovementQuery, PageQuery, RestockRequest, StockChangesQuery, StockListQuery,
    StockUpdateRequest,
};
use tillstream_runtime::Problem;
use tillstream_runtime::http::etag::IfMatch;
use tillstream_runtime::http::{Authenticated, IdempotencyKey, JsonBody, PathParams, QueryParams};

use crate::answers::{answered, found};
use crate::{READERS, Services, UPDATERS};

pub(crate) async fn list(
    State(services): State<Services>,
    Authenticated(caller): Authenticated,
    QueryParams(query): QueryParams<StockListQuery>,
) -> Result<impl IntoResponse, Problem> {
    caller.require_role(&READERS)?;
    Ok(Json(read::list(&services.ports, &caller, &query).await?))
}

pub(crate) async fn of_location(
    State(services): State<Services>,
    Authenticated(caller): Authenticated,
    PathParams(id): PathParams<String>,
    QueryParams(query): QueryParams<PageQuery>,
) -> Result<impl IntoResponse, Problem> {
    caller.require_role(&READERS)?;
    let cursor = query.cursor.as_deref();
    Ok(Json(read::of_location(&services.ports, &caller, &id, query.limit, cursor).await?))
}

pub(crate) async fn of_sku(
    State(services): State<Services>,
    Authenticated(caller): Authenticated,
    PathParams(sku): PathParams<String>,
    QueryParams(query): QueryParams<PageQuery>,
) -> Result<impl IntoResponse, Problem> {
    caller.require_role(&READERS)?;
    let cursor = query.cursor.as_deref();
    Ok(Json(read::of_sku(&services.ports, &caller, &sku, query.limit, cursor).await?))
}

pub(crate) async fn one(
    State(services): State<Services>,
    Authenticated(caller): Authenticated,
    PathParams((location_id, sku)): PathParams<(String, String)>,
) -> Result<impl IntoResponse, Problem> {
    caller.require_role(&READERS)?;
    let level = read::one(&services.ports, &caller, &location_id, &sku).await?;
    Ok(found(level.version, level))
}

pub(crate) async fn update(
    State(services): State<Services>,
    Authenticated(caller): Authenticated,
    IdempotencyKey(key): IdempotencyKey,
    if_match: IfMatch,
    JsonBody(request): JsonBody<StockUpdateRequest>,
) -> Result<impl IntoResponse, Problem> {
    caller.require_role(&UPDATERS)?;
    let precondition = |current| if_match.check(current);
    let answer = update::update(&services.ports, &caller, &key, &request, precondition).await?;
    Ok(answered(answer.updated.stock.version, answer.replayed, answer.updated))
}

pub(crate) async fn restock(
    State(services): State<Services>,
    Authenticated(caller): Authenticated,
    IdempotencyKey(key): IdempotencyKey,
    JsonBody(request): JsonBody<RestockRequest>,
) -> Result<impl IntoResponse, Problem> {
    caller.require_role(&UPDATERS)?;
    let answer = restock::restock(&services.ports, &caller, &key, &request).await?;
    Ok(answered(answer.restocked.stock.version, answer.replayed, answer.restocked))
}

pub(crate) async fn changes(
    State(services): State<Services>,
    Authenticated(caller): Authenticated,
    QueryParams(query): QueryParams<StockChangesQuery>,
) -> Result<impl IntoResponse, Problem> {
    caller.require_role(&READERS)?;
    Ok(Json(change_feed::changes(&services.ports, &caller, &query).await?))
}

pub(crate) async fn movements(
    State(services): State<Services>,
    Authenticated(caller): Authenticated,
    QueryParams(query): QueryParams<MovementQuery>,
) -> Result<impl IntoResponse, Problem> {
    caller.require_role(&READERS)?;
    Ok(Json(movements::list(&services.ports, &caller, &query).await?))
}

pub(crate) async fn conservation(
    State(services): State<Services>,
    Authenticated(caller): Authenticated,
    QueryParams(query): QueryParams<ConservationQuery>,
) -> Result<impl IntoResponse, Problem> {
    caller.require_role(&READERS)?;
    Ok(Json(conservation::prove(&services.ports, &caller, &query.location_id, &query.sku).await?))
}
