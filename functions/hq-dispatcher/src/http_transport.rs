//! HQ over HTTP.

use std::error::Error;
use std::time::Duration;

use async_trait::async_trait;
use reqwest::header::{CONTENT_TYPE, RETRY_AFTER};
use reqwest::{Certificate, Client, Response, Url, redirect};
use tillstream_app::dispatch::transport::{
    ANSWER_BYTES_MAX, HqAnswer, HqRequest, HqTransport, HqTransportError,
};
use tillstream_aws::https::trusted_certificates;

/// How long making a connection may take.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(3);

/// Sends to HQ over HTTP, on connections that are kept.
pub struct HttpTransport {
    client: Client,
    orders: Url,
}

impl HttpTransport {
    /// To the HQ at `base`: orders go to `<base>/orders`. Plain HTTP is taken for a loopback address only.
    ///
    /// # Errors
    /// What is wrong with `base`.
    pub fn new(base: &str) -> Result<Self, String> {
        let orders: Url = format!("{}/orders", base.trim_end_matches('/'))
            .parse()
            .map_err(|error| format!("HQ_URL is no URL: {error}"))?;
        let host = orders.host_str().unwrap_or_default();
        let is_loopback = matches!(host, "127.0.0.1" | "localhost" | "[::1]");
        if orders.scheme() != "https" && !(orders.scheme() == "http" && is_loopback) {
            return Err("HQ_URL must begin with https://".to_owned());
        }
        let mut builder = Client::builder();
        // Else it looks for the system's certificates itself, in every place where there may be some.
        if let Some(bundle) = trusted_certificates() {
            let certificates = Certificate::from_pem_bundle(&bundle).map_err(|error| describe(&error))?;
            builder = builder.tls_certs_only(certificates);
        }
        let client = builder
            .redirect(redirect::Policy::none())
            .connect_timeout(CONNECT_TIMEOUT)
            .pool_idle_timeout(Duration::from_secs(20))
            .user_agent(concat!("tillstream/", env!("CARGO_PKG_VERSION")))
            .build()
            .map_err(|error| describe(&error))?;
        Ok(HttpTransport { client, orders })
    }
}

#[async_trait]
impl HqTransport for HttpTransport {
    async fn post(&self, request: HqRequest) -> Result<HqAnswer, HqTransportError> {
        let mut post = self
            .client
            .post(self.orders.clone())
            .timeout(request.timeout)
            .header(CONTENT_TYPE, "application/json")
            .body(request.body);
        for (name, value) in request.headers {
            post = post.header(name, value);
        }
        let mut response = post.send().await.map_err(|error| no_answer(&error))?;
        let status = response.status().as_u16();
        let retry_after = retry_after(&response);
        let mut body = Vec::new();
        // An accepted order is accepted, whatever becomes of the rest of the answer.
        while body.len() < ANSWER_BYTES_MAX {
            match response.chunk().await {
                Ok(Some(chunk)) => {
                    body.extend(chunk.iter().take(ANSWER_BYTES_MAX - body.len()));
                }
                _ => break,
            }
        }
        Ok(HqAnswer { status, body, retry_after })
    }
}

/// `Retry-After` in seconds; the form with a date is not understood, and our own back-off stands.
fn retry_after(response: &Response) -> Option<Duration> {
    response.headers().get(RETRY_AFTER)?.to_str().ok()?.trim().parse().ok().map(Duration::from_secs)
}

fn no_answer(error: &reqwest::Error) -> HqTransportError {
    if error.is_timeout() { HqTransportError::Timeout } else { HqTransportError::Connection(describe(error)) }
}

/// The innermost cause; the outer ones repeat the URL.
fn describe(error: &reqwest::Error) -> String {
    let mut cause: &dyn Error = error;
    while let Some(inner) = cause.source() {
        cause = inner;
    }
    cause.to_string().chars().take(200).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn orders_go_by_https_but_to_this_machine() {
        for good in ["https://hq.example", "https://hq.example/api/", "http://127.0.0.1:4581"] {
            assert!(HttpTransport::new(good).is_ok(), "{good}");
        }
        for bad in ["http://hq.example", "http://127.0.0.1.example", "hq", "ftp://127.0.0.1"] {
            assert!(HttpTransport::new(bad).is_err(), "{bad}");
        }
        assert_eq!(HttpTransport::new("https://hq.example/api/").unwrap().orders.path(), "/api/orders");
    }
}
