//! Documents of orders and reports on shifts.

use axum::extract::State;
use axum::http::header::{
    CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, HeaderName, VARY, X_CONTENT_TYPE_OPTIONS,
};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use tillstream_app::Error;
use tillstream_app::documents::{Format, read};
use tillstream_contracts::documents::DocumentQuery;
use tillstream_runtime::Problem;
use tillstream_runtime::http::etag::EntityTag;
use tillstream_runtime::http::{Authenticated, PathParams, QueryParams, accept};

use crate::Services;

/// What a document can be asked for as, the first where anything will do.
const OFFERED: [(&str, Format); 3] =
    [("text/html", Format::Html), ("text/plain", Format::Text), ("application/vnd.escpos", Format::Escpos)];

/// Of every answer. Kept by the client alone, and asked for again each time: an original becomes a reprint.
/// A page is a tenant's: it may show pictures, but runs nothing and sends nothing.
const HEADERS: [(HeaderName, &str); 4] = [
    (CACHE_CONTROL, "private, no-cache"),
    (VARY, "Authorization, Accept"),
    (X_CONTENT_TYPE_OPTIONS, "nosniff"),
    (CONTENT_SECURITY_POLICY, "default-src 'none'; style-src 'unsafe-inline'; img-src https: data:"),
];

/// `GET /v1/orders/{id}/documents`.
pub(crate) async fn list(
    State(services): State<Services>,
    Authenticated(caller): Authenticated,
    PathParams(id): PathParams<String>,
) -> Result<impl IntoResponse, Problem> {
    Ok(axum::Json(read::list(&services.ports, &caller, &id).await?))
}

/// `GET /v1/documents/{id}`.
pub(crate) async fn document(
    State(services): State<Services>,
    Authenticated(caller): Authenticated,
    PathParams(id): PathParams<String>,
    QueryParams(query): QueryParams<DocumentQuery>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let offered = OFFERED.map(|(media_type, _)| media_type);
    let wanted = accept::preferred(&headers, &offered).and_then(|position| OFFERED.get(position));
    let Some((_, format)) = wanted else {
        let detail = format!("a document is one of {}; ask for one of them in Accept", offered.join(", "));
        return Err(Problem::new(StatusCode::NOT_ACCEPTABLE, "not_acceptable", detail));
    };
    let reprint = query.reprint.unwrap_or(false);
    let rendered = read::get(&services.ports, &caller, &id, *format, reprint).await?;
    let tag =
        EntityTag::of_digest(&rendered.digest).ok_or_else(|| Error::bug("a digest is no entity tag"))?;
    if tag.is_known_to(&headers) {
        return Ok((StatusCode::NOT_MODIFIED, tag, HEADERS).into_response());
    }
    let document = rendered.document;
    Ok((tag, HEADERS, [(CONTENT_TYPE, document.media_type)], document.bytes).into_response())
}
