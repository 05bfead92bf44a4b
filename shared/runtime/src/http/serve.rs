//! A router under API Gateway and Lambda.

use axum::Router;
use axum::body::Body;
use axum::http::{Request, Uri};
use jiff::Timestamp;
use lambda_http::RequestExt;
use lambda_http::request::RequestContext;
use tower::ServiceExt;

use super::extract::Deadline;
use super::observe::RequestId;

/// Runs a router as a Lambda function until the environment ends.
///
/// # Errors
/// What the runtime's own calls answer; never a request's failure.
pub async fn serve(router: Router) -> Result<(), lambda_http::Error> {
    lambda_http::run(lambda_http::service_fn(move |request: lambda_http::Request| {
        let router = router.clone();
        async move { router.oneshot(request_of(request)).await }
    }))
    .await
}

/// The request as the client sent it.
///
/// HTTP APIs decode the path before they hand it on (all but `%25`), and name the stage in it where it
/// is not `$default`; `lambda_http` adds the stage where it is missing. Routes know of neither.
pub fn request_of(request: lambda_http::Request) -> Request<Body> {
    let stage = match request.request_context_ref() {
        Some(RequestContext::ApiGatewayV2(context)) => context.stage.clone(),
        _ => None,
    };
    let context = request.lambda_context_ref();
    let id = context.map(|context| context.request_id.clone());
    let deadline =
        context.and_then(|context| Timestamp::from_millisecond(context.deadline.try_into().ok()?).ok());
    let raw_path = request.raw_http_path().to_owned();
    let (mut parts, body) = request.into_parts();
    if let Some(uri) = uri_of(&raw_path, stage.as_deref(), query_of(&parts.uri, &raw_path)) {
        parts.uri = uri;
    }
    if let Some(id) = id {
        parts.extensions.insert(RequestId(id));
    }
    parts.extensions.insert(Deadline(deadline));
    let body = match body {
        lambda_http::Body::Text(text) => Body::from(text),
        lambda_http::Body::Binary(bytes) => Body::from(bytes),
        _ => Body::empty(),
    };
    Request::from_parts(parts, body)
}

/// The query as it was sent. A question mark within the decoded path was taken for the query's begin.
fn query_of<'a>(uri: &'a Uri, raw_path: &str) -> Option<&'a str> {
    let in_path = raw_path.matches('?').count();
    uri.query().and_then(|query| query.splitn(in_path + 1, '?').nth(in_path))
}

fn uri_of(raw_path: &str, stage: Option<&str>, query: Option<&str>) -> Option<Uri> {
    let path = match stage.filter(|stage| *stage != "$default") {
        Some(stage) => match raw_path.strip_prefix('/').and_then(|path| path.strip_prefix(stage)) {
            Some("") => "/",
            Some(rest) if rest.starts_with('/') => rest,
            _ => raw_path,
        },
        None => raw_path,
    };
    let mut text = encoded(path);
    if let Some(query) = query {
        text.push('?');
        text.push_str(query);
    }
    text.parse().ok()
}

/// Undoes the gateway's decoding: `%25` stands as it is, everything else that is not allowed in a path
/// segment (RFC 3986 section 3.3) is encoded.
fn encoded(path: &str) -> String {
    let mut text = String::with_capacity(path.len());
    let mut rest = path;
    while let Some(c) = rest.chars().next() {
        if let Some(after) = rest.strip_prefix("%25") {
            text.push_str("%25");
            rest = after;
            continue;
        }
        if c.is_ascii_alphanumeric() || "/-._~!$&'()*+,;=:@".contains(c) {
            text.push(c);
        } else {
            let mut buffer = [0; 4];
            for byte in c.encode_utf8(&mut buffer).bytes() {
                text.push_str(&format!("%{byte:02X}"));
            }
        }
        rest = rest.get(c.len_utf8()..).unwrap_or_default();
    }
    if text.is_empty() { "/".to_owned() } else { text }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn path(raw: &str, stage: &str) -> String {
        uri_of(raw, Some(stage), None).unwrap().path().to_owned()
    }

    #[test]
    fn the_stage_is_not_part_of_a_route() {
        assert_eq!(path("/v1/health", "$default"), "/v1/health");
        assert_eq!(path("/dev/v1/health", "dev"), "/v1/health");
        assert_eq!(path("/v1/health", "dev"), "/v1/health");
        assert_eq!(path("/dev", "dev"), "/");
        assert_eq!(path("/developers", "dev"), "/developers");
        assert_eq!(path("", "$default"), "/");
    }

    #[test]
    fn a_question_mark_in_the_path_begins_no_query() {
        let query = |uri: &'static str, raw_path: &str| {
            let uri = Uri::from_static(uri);
            query_of(&uri, raw_path).map(str::to_owned)
        };
        assert_eq!(query("/v1/products/a?b", "/v1/products/a?b"), None);
        assert_eq!(query("/v1/x/q?limit=1?limit=5", "/v1/x/q?limit=1").as_deref(), Some("limit=5"));
        assert_eq!(query("/v1/x/a?b?c?q=d?e", "/v1/x/a?b?c").as_deref(), Some("q=d?e"));
        assert_eq!(query("/v1/products?q=a?b", "/v1/products").as_deref(), Some("q=a?b"));
        assert_eq!(query("/v1/products", "/v1/products"), None);
    }

    #[test]
    fn a_decoded_path_is_encoded_again() {
        assert_eq!(path("/v1/products/BANK CHARGES", "$default"), "/v1/products/BANK%20CHARGES");
        assert_eq!(path("/v1/products/a?b#c", "$default"), "/v1/products/a%3Fb%23c");
        assert_eq!(path("/v1/products/a%25b", "$default"), "/v1/products/a%25b");
        assert_eq!(path("/v1/products/50% off", "$default"), "/v1/products/50%25%20off");
        assert_eq!(path("/v1/products/café", "$default"), "/v1/products/caf%C3%A9");
    }
}
