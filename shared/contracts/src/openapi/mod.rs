//! The OpenAPI 3.1 document, made from the wire types.
//!
//! Each area is a module with an `Api`:
//!
//! ```text
//! #[derive(OpenApi)]
//! #[openapi(paths(list_orders, get_order))]
//! pub struct Api;
//!
//! /// Lists orders of a store.
//! #[utoipa::path(get, path = "/v1/orders", tag = "orders", params(OrderListQuery),
//!     responses((status = 200, body = OrderList), (status = 403, description = "…")))]
//! fn list_orders() {}
//! ```
//!
//! An area is added by one line in [`areas`]. What all routes share is added here: the body of every
//! refusal, the answers to a missing or invalid token, 500 and 503. A route without token says
//! `security(())`; a route that changes something lists [`headers::IdempotencyHeader`] or carries its
//! key in the body.

#![allow(dead_code, reason = "the functions under `utoipa::path` only carry their declarations")]

mod analytics;
mod approvals;
mod backorders;
mod catalog;
mod counts;
mod dispatch;
mod documents;
mod fields;
pub mod headers;
mod identity;
mod inventory;
mod lots;
mod orders;
mod pos;
mod problem;
mod purchasing;
mod replenishment;
mod settings;
mod shifts;
mod stored_value;
mod sync;
mod transfers;

use utoipa::OpenApi as _;
use utoipa::openapi::path::{Operation, PathItem};
use utoipa::openapi::schema::{SchemaType, Type};
use utoipa::openapi::security::{Http, HttpAuthScheme, SecurityRequirement, SecurityScheme};
use utoipa::openapi::{
    Components, Content, ContentBuilder, InfoBuilder, OpenApi, OpenApiBuilder, Ref, RefOr, Response, Schema,
};

pub use self::problem::{FieldProblem, ProblemDocument};

/// The areas.
fn areas() -> Vec<OpenApi> {
    vec![
        analytics::Api::openapi(),
        approvals::Api::openapi(),
        backorders::Api::openapi(),
        catalog::Api::openapi(),
        counts::Api::openapi(),
        dispatch::Api::openapi(),
        documents::Api::openapi(),
        identity::Api::openapi(),
        inventory::Api::openapi(),
        lots::Api::openapi(),
        transfers::Api::openapi(),
        orders::Api::openapi(),
        pos::Api::openapi(),
        purchasing::Api::openapi(),
        replenishment::Api::openapi(),
        settings::Api::openapi(),
        shifts::Api::openapi(),
        stored_value::Api::openapi(),
        sync::Api::openapi(),
    ]
}

/// Media type of a refusal's body.
const PROBLEM_JSON: &str = "application/problem+json";

/// The whole document.
pub fn document() -> OpenApi {
    let info = InfoBuilder::new()
        .title("Tillstream")
        .version(env!("CARGO_PKG_VERSION"))
        .description(Some("Serverless retail back end: tills, orders, stock, analytics, dispatch."));
    let mut document = OpenApiBuilder::new()
        .info(info.build())
        .security(Some([SecurityRequirement::new::<_, [String; 0], String>("bearer", [])]))
        .build();
    document.merge(problem::Api::openapi());
    for area in areas() {
        document.merge(area);
    }
    let bearer = Http::builder().scheme(HttpAuthScheme::Bearer).bearer_format("JWT").build();
    document
        .components
        .get_or_insert_with(Components::new)
        .add_security_scheme("bearer", SecurityScheme::Http(bearer));
    fields::complete_schemas(&mut document);
    for item in document.paths.paths.values_mut() {
        for operation in operations(item) {
            fields::complete_parameters(operation);
            complete(operation);
        }
    }
    document
}

/// Method and path of every route in the document.
pub fn routes() -> Vec<(&'static str, String)> {
    let mut document = document();
    let mut routes = Vec::new();
    for (path, item) in &mut document.paths.paths {
        let methods = [
            ("GET", &item.get),
            ("PUT", &item.put),
            ("POST", &item.post),
            ("PATCH", &item.patch),
            ("DELETE", &item.delete),
        ];
        routes.extend(
            methods
                .iter()
                .filter(|(_, operation)| operation.is_some())
                .map(|(method, _)| (*method, path.clone())),
        );
    }
    routes
}

fn operations(item: &mut PathItem) -> impl Iterator<Item = &mut Operation> {
    [&mut item.get, &mut item.put, &mut item.post, &mut item.patch, &mut item.delete].into_iter().flatten()
}

/// Adds what all routes share.
fn complete(operation: &mut Operation) {
    let open = operation.security.as_ref().is_some_and(|required| {
        required.is_empty() || required.iter().any(|one| *one == SecurityRequirement::default())
    });
    let shared = [
        ("401", "No token, or none that holds: the code says why.", !open),
        ("413", "The body has more than 4 MB (`body_too_large`).", operation.request_body.is_some()),
        (
            "415",
            "The body is compressed; send it as it is (`content_encoding_unsupported`).",
            operation.request_body.is_some(),
        ),
        ("500", "Ours to mend; logged under the id in `instance`.", true),
        ("503", "Busy; safe to repeat after `Retry-After` seconds.", true),
    ];
    if let Some(RefOr::T(body)) = &mut operation.request_body {
        body.content.values_mut().for_each(never_null);
    }
    let responses = &mut operation.responses.responses;
    for (status, description, applies) in shared {
        if applies {
            responses.entry(status.to_owned()).or_insert_with(|| RefOr::T(Response::new(description)));
        }
    }
    for (status, response) in responses.iter_mut() {
        if let RefOr::T(response) = response
            && status.starts_with(['4', '5'])
            && response.content.is_empty()
        {
            let schema = Ref::from_schema_name("Problem");
            let content = ContentBuilder::new().schema(Some(schema)).build();
            response.content.insert(PROBLEM_JSON.to_owned(), RefOr::T(content));
        }
    }
}

/// A body that may be absent is an `Option` to its declaration, but null it is never.
fn never_null(content: &mut RefOr<Content>) {
    let RefOr::T(content) = content else { return };
    if let Some(RefOr::T(Schema::OneOf(one_of))) = &content.schema {
        let is_null = |item: &RefOr<Schema>| matches!(item, RefOr::T(Schema::Object(object)) if object.schema_type == SchemaType::Type(Type::Null));
        let mut others = one_of.items.iter().filter(|item| !is_null(item));
        if let (Some(only), None) = (others.next(), others.next()) {
            content.schema = Some(only.clone());
        }
    }
}
