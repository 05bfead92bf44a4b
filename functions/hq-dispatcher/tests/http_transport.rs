//! HQ over real connections: answers, hang-ups, silence, redirects and floods.
#![allow(clippy::unwrap_used, clippy::panic, missing_docs, reason = "a test that cannot go on fails")]

use std::sync::Arc;
use std::time::Duration;

use hq_dispatcher::http_transport::HttpTransport;
use tillstream_app::dispatch::signature::SigningSecret;
use tillstream_app::dispatch::transport::{
    ANSWER_BYTES_MAX, HqRequest, HqTransport, HqTransportError, Verdict, judge,
};
use tillstream_testkit::hq_stand_in::{HqStandIn, Mode, server};
use tillstream_testkit::test_environment::TestEnvironment;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

fn request(timeout: Duration) -> HqRequest {
    HqRequest { headers: vec![("webhook-id", "msg_1".to_owned())], body: b"{}".to_vec(), timeout }
}

const LONG: Duration = Duration::from_secs(10);

async fn stand_in() -> (Arc<HqStandIn>, HttpTransport) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let base = format!("http://{}", listener.local_addr().unwrap());
    let secret = SigningSecret::parse("a secret between tillstream and hq").unwrap();
    let hq = Arc::new(HqStandIn::new(secret, Arc::new(TestEnvironment::real(1))));
    tokio::spawn(server::serve(listener, Arc::clone(&hq)));
    (hq, HttpTransport::new(&base).unwrap())
}

#[tokio::test]
async fn every_way_hq_can_behave_is_told_apart() {
    let (hq, transport) = stand_in().await;
    let answer = transport.post(request(LONG)).await.unwrap();
    assert_eq!(answer.status, 400);
    assert!(String::from_utf8(answer.body).unwrap().contains("header_missing"));

    hq.set_mode(Mode::Fail);
    assert_eq!(transport.post(request(LONG)).await.unwrap().status, 500);

    hq.set_mode(Mode::Down);
    for _ in 0..3 {
        let error = transport.post(request(LONG)).await.unwrap_err();
        assert!(matches!(error, HqTransportError::Connection(_)), "{error:?}");
    }

    hq.set_mode(Mode::Hang);
    let error = transport.post(request(Duration::from_millis(200))).await.unwrap_err();
    assert_eq!(error, HqTransportError::Timeout);

    hq.set_mode(Mode::Accept);
    assert_eq!(transport.post(request(LONG)).await.unwrap().status, 400);
    assert_eq!(hq.requests(), 7);

    let nobody = HttpTransport::new("http://127.0.0.1:9").unwrap();
    let error = nobody.post(request(LONG)).await.unwrap_err();
    assert!(matches!(error, HqTransportError::Connection(_)));
}

/// A server that gives one answer to everybody, and then whatever follows it.
async fn answers(head: String, flood: bool) -> HttpTransport {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let base = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(async move {
        loop {
            let (mut stream, _) = listener.accept().await.unwrap();
            let head = head.clone();
            tokio::spawn(async move {
                let mut buffer = [0; 4096];
                let _ = stream.read(&mut buffer).await;
                let _ = stream.write_all(head.as_bytes()).await;
                while flood && stream.write_all(&[b'x'; 4096]).await.is_ok() {}
            });
        }
    });
    HttpTransport::new(&base).unwrap()
}

#[tokio::test]
async fn an_endless_answer_is_read_only_so_far() {
    let transport = answers("HTTP/1.1 200 OK\r\n\r\n".to_owned(), true).await;
    let answer = transport.post(request(LONG)).await.unwrap();
    assert_eq!((answer.status, answer.body.len()), (200, ANSWER_BYTES_MAX));
}

#[tokio::test]
async fn a_redirect_is_not_followed() {
    let (hq, _) = stand_in().await;
    let head =
        "HTTP/1.1 307 Temporary Redirect\r\nlocation: http://127.0.0.1:1/\r\ncontent-length: 0\r\n\r\n";
    let transport = answers(head.to_owned(), false).await;
    let answer = transport.post(request(LONG)).await;
    assert_eq!(answer.as_ref().unwrap().status, 307);
    assert!(matches!(judge(&answer), Verdict::HqAtFault { .. }));
    assert_eq!(hq.requests(), 0);
}

#[tokio::test]
async fn hq_may_say_when_to_ask_again() {
    let head = "HTTP/1.1 503 Busy\r\nretry-after: 7\r\ncontent-length: 0\r\n\r\n";
    let transport = answers(head.to_owned(), false).await;
    let answer = transport.post(request(LONG)).await.unwrap();
    assert_eq!((answer.status, answer.retry_after), (503, Some(Duration::from_secs(7))));
}
