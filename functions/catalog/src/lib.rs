//! Products, and what a tenant decides about its tills.

use std::sync::Arc;

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::IntoResponse;
use axum::routing::get;
use axum::{Json, Router};
use tillstream_app::Ports;
use tillstream_app::catalog::product_list::{self, ProductFilter};
use tillstream_app::catalog::products::{self, PutProduct};
use tillstream_app::catalog::settings as tenant_settings;
use tillstream_contracts::catalog::{ProductBody, ProductDetailReply, ProductList, ProductReply};
use tillstream_contracts::settings::SettingsBody;
use tillstream_runtime::Problem;
use tillstream_runtime::auth::Authenticator;
use tillstream_runtime::config::{self, Variable};
use tillstream_runtime::http::etag::{EntityTag, IfMatch};
use tillstream_runtime::http::{
    self, Authenticated, IdempotencyKey, JsonBody, PathParams, QueryParams, Replayed,
};

/// Name in logs and metrics.
pub const FUNCTION: &str = "catalog";

/// What it reads from its environment, beside what every function reads.
pub const VARIABLES: &[Variable] =
    &[config::CATALOG_TABLE, config::IDENTITY_TABLE, config::TOKEN_ISSUER, config::TOKEN_AUDIENCE];

/// What its handlers need.
#[derive(Clone)]
pub struct Services {
    /// Tables, time and chance.
    pub ports: Ports,
}

/// Its routes.
pub fn router(services: Services, authenticator: Arc<Authenticator>) -> Router {
    let routes = Router::new()
        .route("/v1/products", get(list))
        .route("/v1/products/{sku}", get(product).put(put_product))
        .route("/v1/settings", get(settings).put(put_settings));
    http::router(FUNCTION, routes, services, authenticator)
}

async fn list(
    State(services): State<Services>,
    Authenticated(caller): Authenticated,
    // Pairs, since attributes are filtered by names of the tenant's choice.
    QueryParams(parameters): QueryParams<Vec<(String, String)>>,
) -> Result<impl IntoResponse, Problem> {
    let (filter, limit, cursor) = ProductFilter::from_query(parameters)?;
    let (items, next_cursor) =
        product_list::list(&services.ports, &caller.scope, &filter, limit, cursor.as_deref()).await?;
    Ok(Json(ProductList { items: items.into_iter().map(ProductReply::from).collect(), next_cursor }))
}

async fn product(
    State(services): State<Services>,
    Authenticated(caller): Authenticated,
    PathParams(sku): PathParams<String>,
) -> Result<impl IntoResponse, Problem> {
    let (product, prices) = products::get(&services.ports, &caller.scope, &sku).await?;
    let (variants, more) = product_list::variants(&services.ports, &caller.scope, &sku).await?;
    let prices = prices.into_iter().map(Into::into).collect();
    let tag = EntityTag::of_version(product.version);
    let variants = variants.into_iter().map(Into::into).collect();
    let reply = ProductDetailReply { product: product.into(), prices, variants, more_variants: more };
    Ok((tag, Json(reply)))
}

async fn put_product(
    State(services): State<Services>,
    Authenticated(caller): Authenticated,
    PathParams(sku): PathParams<String>,
    IdempotencyKey(idempotency_key): IdempotencyKey,
    if_match: IfMatch,
    JsonBody(body): JsonBody<ProductBody>,
) -> Result<impl IntoResponse, Problem> {
    let request = PutProduct { sku, body, idempotency_key };
    let outcome = products::put(&services.ports, &caller, request, |current| if_match.check(current)).await?;
    let status = if outcome.created { StatusCode::CREATED } else { StatusCode::OK };
    let tag = EntityTag::of_version(outcome.now.version);
    Ok((status, tag, Replayed(outcome.replayed), Json(ProductReply::from(outcome.now))))
}

async fn settings(
    State(services): State<Services>,
    Authenticated(caller): Authenticated,
) -> Result<impl IntoResponse, Problem> {
    let settings = tenant_settings::get(&services.ports, &caller).await?;
    Ok((EntityTag::of_version(settings.version), Json(settings)))
}

async fn put_settings(
    State(services): State<Services>,
    Authenticated(caller): Authenticated,
    IdempotencyKey(key): IdempotencyKey,
    if_match: IfMatch,
    JsonBody(body): JsonBody<SettingsBody>,
) -> Result<impl IntoResponse, Problem> {
    // There are always settings, if only those without any: version 0 may be asked for.
    let precondition = |current| if_match.check(Some(current));
    let outcome = tenant_settings::put(&services.ports, &caller, body, &key, precondition).await?;
    Ok((EntityTag::of_version(outcome.now.version), Replayed(outcome.replayed), Json(outcome.now)))
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use axum::body::{Body, to_bytes};
    use axum::http::Request;
    use axum::http::header::AUTHORIZATION;
    use axum::http::response::Parts;
    use serde_json::{Value, json};
    use tillstream_app::database::Database;
    use tillstream_app::environment::Environment;
    use tillstream_testkit::memory_database::MemoryDatabase;
    use tillstream_testkit::test_environment::TestEnvironment;
    use tillstream_testkit::tokens::{AUDIENCE, Claims, ISSUER, TokenIssuer};
    use tower::ServiceExt;

    use super::*;

    struct Service {
        app: Router,
        issuer: TokenIssuer,
        environment: Arc<TestEnvironment>,
    }

    async fn service() -> Service {
        let environment = Arc::new(TestEnvironment::new(1));
        let database = Arc::new(MemoryDatabase::with_environment(environment.clone()));
        let issuer = TokenIssuer::new("k").unwrap();
        database.write(TokenIssuer::publish(&[&issuer])).await.unwrap();
        let authenticator = Authenticator::new(database.clone(), environment.clone(), ISSUER, AUDIENCE);
        let ports = Ports { database, environment: environment.clone() };
        Service { app: router(Services { ports }, Arc::new(authenticator)), issuer, environment }
    }

    impl Service {
        async fn send(&self, role: &str, mut request: Request<Body>) -> (Parts, Value) {
            let claims = Claims::new("demo", &[role], self.environment.now());
            let token = format!("Bearer {}", self.issuer.token(&claims).unwrap());
            request.headers_mut().insert(AUTHORIZATION, token.parse().unwrap());
            let (parts, body) = self.app.clone().oneshot(request).await.unwrap().into_parts();
            let bytes = to_bytes(body, usize::MAX).await.unwrap();
            (parts, serde_json::from_slice(&bytes).unwrap())
        }

        /// A sample event as API Gateway sends it.
        async fn event(&self, role: &str, event: &str) -> (Parts, Value) {
            let request = lambda_http::request::from_str(event).unwrap();
            self.send(role, tillstream_runtime::http::request_of(request)).await
        }
    }

    const PUT: &str = include_str!("../../../events/catalog/put.json");

    fn put(sku: &str, key: &str, body: Value) -> Request<Body> {
        let request = Request::put(format!("/v1/products/{sku}")).header("idempotency-key", key);
        request.body(Body::from(body.to_string())).unwrap()
    }

    #[tokio::test]
    async fn the_sample_events_are_answered() {
        let service = service().await;
        let (parts, made) = service.event("store_manager", PUT).await;
        assert_eq!((parts.status.as_u16(), &parts.headers["etag"]), (201, &"\"1\"".parse().unwrap()));
        assert_eq!(
            (&made["sku"], &made["unit"], &made["stocked"]),
            (&json!("85123A"), &json!("piece"), &json!(true))
        );
        let (parts, again) = service.event("store_manager", PUT).await;
        assert_eq!(
            (parts.status.as_u16(), &parts.headers["idempotent-replayed"]),
            (201, &"true".parse().unwrap())
        );
        assert_eq!(again, made);
        let charges =
            json!({"sku": "BANK CHARGES", "name": "Bank charges", "unit_price": "15", "currency": "GBP"});
        let (parts, _) = service.send("operator", put("BANK%20CHARGES", "k", charges)).await;
        assert_eq!(parts.status, 201);
        let (parts, one) = service.event("cashier", include_str!("../../../events/catalog/get.json")).await;
        assert_eq!((parts.status.as_u16(), &parts.headers["etag"]), (200, &"\"1\"".parse().unwrap()));
        assert_eq!((&one["name"], &one["prices"]), (&json!("Bank charges"), &json!([])));
        let (parts, page) = service.event("analyst", include_str!("../../../events/catalog/list.json")).await;
        assert_eq!(parts.status, 200);
        assert_eq!(page, json!({"items": [made], "next_cursor": null}));
    }

    #[tokio::test]
    async fn kits_and_variants_are_written_read_and_listed() {
        let service = service().await;
        let kit = include_str!("../../../events/catalog/put-kit.json");
        let (parts, made) = service.event("integration", kit).await;
        assert_eq!(parts.status, 201, "{made}");
        let components =
            json!([{"sku": "85123A", "quantity": 2}, {"sku": "ASSAM LOOSE", "quantity": "0.125"}]);
        assert_eq!((&made["components"], &made["sellable"]), (&components, &json!(true)));
        let (_, again) = service.event("integration", kit).await;
        assert_eq!(again, made);
        let parent = json!({"name": "Shirt", "unit_price": "9", "currency": "GBP", "sellable": false});
        let (_, parent) = service.send("integration", put("SHIRT", "p", parent)).await;
        assert_eq!((&parent["sellable"], &parent["variant_of"]), (&json!(false), &json!(null)));
        for (sku, size) in [("SHIRT-M", "M"), ("SHIRT-L", "L")] {
            let body = json!({"name": sku, "unit_price": "9", "currency": "GBP", "variant_of": "SHIRT",
                "attributes": {"size": size}});
            assert_eq!(service.send("integration", put(sku, sku, body)).await.0.status, 201);
        }
        let get = |path: &str| Request::get(path).body(Body::empty()).unwrap();
        let (parts, read) = service.send("cashier", get("/v1/products/SHIRT")).await;
        assert_eq!(parts.headers["etag"], "\"1\"");
        let variant = |sku: &str, size: &str| json!({"sku": sku, "name": sku, "attributes": {"size": size}, "sellable": true});
        assert_eq!(read["variants"], json!([variant("SHIRT-L", "L"), variant("SHIRT-M", "M")]));
        assert_eq!(read["more_variants"], false);
        let (_, page) = service.send("cashier", get("/v1/products?variant_of=SHIRT&attr.size=M")).await;
        assert_eq!((&page["items"][0]["sku"], &page["items"][1]), (&json!("SHIRT-M"), &json!(null)));
        let (_, read) = service.send("cashier", get("/v1/products/SHIRT-M")).await;
        assert_eq!((&read["variant_of"], &read["variants"]), (&json!("SHIRT"), &json!([])));
        let nested = json!({"name": "N", "unit_price": "1", "currency": "GBP",
            "components": [{"sku": "TEA SET", "quantity": 1}]});
        let (parts, problem) = service.send("integration", put("N", "n", nested)).await;
        assert_eq!((parts.status.as_u16(), &problem["code"]), (422, &json!("field_invalid")));
        assert_eq!(problem["errors"][0]["code"], "component_is_a_kit");
    }

    #[tokio::test]
    async fn refusals_are_problem_documents_with_their_status() {
        let service = service().await;
        let body = json!({"name": "A", "unit_price": "1", "currency": "GBP"});
        service.send("integration", put("A", "1", body.clone())).await;
        let taken = json!({"name": "B", "unit_price": "1", "currency": "GBP", "barcodes": ["96385074"]});
        service.send("integration", put("B", "1", taken.clone())).await;
        let mut unknown = body.clone();
        unknown["colour"] = "red".into();
        let mut stale = put("A", "2", body.clone());
        stale.headers_mut().insert("if-match", "\"9\"".parse().unwrap());
        let get = |path: &str| Request::get(path).body(Body::empty()).unwrap();
        let keyless = Request::put("/v1/products/A").body(Body::from(body.to_string())).unwrap();
        let cases = [
            ("cashier", put("A", "3", body.clone()), 403, "role_required"),
            ("integration", keyless, 400, "idempotency_key_missing"),
            ("integration", put("A", "3", unknown), 422, "field_invalid"),
            (
                "integration",
                put("A", "1", json!({"name": "Z", "unit_price": "1", "currency": "GBP"})),
                422,
                "idempotency_key_reused",
            ),
            (
                "integration",
                put("A", "3", json!({"sku": "B", "name": "A", "unit_price": "1", "currency": "GBP"})),
                422,
                "field_invalid",
            ),
            ("integration", stale, 412, "version_mismatch"),
            ("integration", put("C", "3", taken), 409, "barcode_taken"),
            ("cashier", get("/v1/products/NONE"), 404, "sku_not_found"),
            ("cashier", get("/v1/products?colour=red"), 422, "query_invalid"),
            ("cashier", get("/v1/products?limit=201"), 422, "limit_out_of_range"),
            ("cashier", get("/v1/products?cursor=abc"), 400, "cursor_malformed"),
        ];
        for (role, request, status, code) in cases {
            let shown = format!("{} {}", request.method(), request.uri());
            let (parts, problem) = service.send(role, request).await;
            assert_eq!(
                (parts.status.as_u16(), &problem["code"]),
                (status, &json!(code)),
                "{shown}: {problem}"
            );
            assert_eq!(parts.headers["content-type"], "application/problem+json");
        }
        let anonymous = service.app.clone().oneshot(get("/v1/products")).await.unwrap();
        assert_eq!(anonymous.status(), 401);
    }
}
