//! Routes of locations.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::IntoResponse;
use tillstream_app::catalog::locations;
use tillstream_app::tenancy::Caller;
use tillstream_contracts::catalog::{LocationBody, LocationList, LocationReply};
use tillstream_contracts::inventory::PageQuery;
use tillstream_domain::location::LocationKind;
use tillstream_runtime::Problem;
use tillstream_runtime::http::etag::EntityTag;
use tillstream_runtime::http::{Authenticated, IdempotencyKey, JsonBody, PathParams, QueryParams, Replayed};

use crate::{READERS, Services};

/// A page of those in reach; what is out of reach is left out, so a page may be short.
async fn page(
    services: &Services,
    caller: &Caller,
    kind: Option<LocationKind>,
    query: &PageQuery,
) -> Result<Json<LocationList>, Problem> {
    caller.require_role(&READERS)?;
    let cursor = query.cursor.as_deref();
    let (found, next_cursor) =
        locations::list(&services.ports, &caller.scope, kind, query.limit, cursor).await?;
    let items = found.into_iter().filter(|location| caller.reaches(&location.id));
    Ok(Json(LocationList { items: items.map(LocationReply::from).collect(), next_cursor }))
}

pub(crate) async fn list(
    State(services): State<Services>,
    Authenticated(caller): Authenticated,
    QueryParams(query): QueryParams<PageQuery>,
) -> Result<impl IntoResponse, Problem> {
    page(&services, &caller, None, &query).await
}

pub(crate) async fn warehouses(
    State(services): State<Services>,
    Authenticated(caller): Authenticated,
    QueryParams(query): QueryParams<PageQuery>,
) -> Result<impl IntoResponse, Problem> {
    page(&services, &caller, Some(LocationKind::Warehouse), &query).await
}

pub(crate) async fn retail_locations(
    State(services): State<Services>,
    Authenticated(caller): Authenticated,
    QueryParams(query): QueryParams<PageQuery>,
) -> Result<impl IntoResponse, Problem> {
    page(&services, &caller, Some(LocationKind::Store), &query).await
}

pub(crate) async fn one(
    State(services): State<Services>,
    Authenticated(caller): Authenticated,
    PathParams(id): PathParams<String>,
) -> Result<impl IntoResponse, Problem> {
    caller.require_role(&READERS)?;
    caller.require_store(&id)?;
    let location = locations::get(&services.ports, &caller.scope, &id).await?;
    Ok((EntityTag::of_version(location.version), Json(LocationReply::from(location))))
}

pub(crate) async fn create(
    State(services): State<Services>,
    Authenticated(caller): Authenticated,
    IdempotencyKey(key): IdempotencyKey,
    JsonBody(body): JsonBody<LocationBody>,
) -> Result<impl IntoResponse, Problem> {
    let made = locations::create(&services.ports, &caller, body, &key).await?;
    let tag = EntityTag::of_version(made.now.version);
    Ok((StatusCode::CREATED, Replayed(made.replayed), tag, Json(LocationReply::from(made.now))))
}
