//! The stand-in as a server: orders as HQ takes them, and beside them what a test needs.
//!
//! | route | |
//! |---|---|
//! | `POST /orders` | an order |
//! | `GET /accepted` | `{count, repeated, requests, orders: [{tenant_id, order_id, accepted, repeated, versions}]}` |
//! | `GET`, `PUT`, `POST /control` | behaviour; what a change leaves out stays as it is |
//! | `POST /reset` | forgets everything, and accepts again |
//! | `GET /health` | |

use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};

use axum::Json;
use axum::Router;
use axum::body::{Bytes, to_bytes};
use axum::extract::connect_info::Connected;
use axum::extract::{ConnectInfo, Request, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::serve::{IncomingStream, Listener};
use serde_json::{Value, json};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};

use super::{Control, HqStandIn, Reaction};

/// Largest body, in bytes: more than any order makes.
const BODY_BYTES_MAX: usize = 16 * 1024 * 1024;

/// Serves until the process ends.
///
/// # Errors
/// What the listener answers.
pub async fn serve(listener: TcpListener, stand_in: Arc<HqStandIn>) -> io::Result<()> {
    let router = Router::new()
        .route("/orders", post(order))
        .route("/accepted", get(accepted))
        .route("/control", get(behaviour).put(control).post(control))
        .route("/reset", post(reset))
        .route("/health", get(async || Json(json!({ "status": "ok" }))))
        .with_state(stand_in);
    let service = router.into_make_service_with_connect_info::<Severed>();
    axum::serve(SeverableListener(listener), service).await
}

async fn order(
    State(stand_in): State<Arc<HqStandIn>>,
    ConnectInfo(severed): ConnectInfo<Severed>,
    request: Request,
) -> Response {
    let (parts, body) = request.into_parts();
    let Ok(body) = to_bytes(body, BODY_BYTES_MAX).await else {
        return StatusCode::PAYLOAD_TOO_LARGE.into_response();
    };
    let header = |name: &str| Some(parts.headers.get(name)?.to_str().ok()?.to_owned());
    match stand_in.receive(header, &body) {
        Reaction::Answer(status, body) => {
            let status = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
            (status, Json(body)).into_response()
        }
        Reaction::Hang => std::future::pending().await,
        Reaction::Close => {
            severed.0.store(true, Ordering::SeqCst);
            // Never written.
            StatusCode::SERVICE_UNAVAILABLE.into_response()
        }
    }
}

async fn accepted(State(stand_in): State<Arc<HqStandIn>>) -> Json<Value> {
    let orders = stand_in.accepted();
    let sum = |of: fn(&super::AcceptedOrder) -> u32| orders.iter().map(|o| u64::from(of(o))).sum::<u64>();
    Json(json!({
        "count": sum(|order| order.accepted),
        "repeated": sum(|order| order.repeated),
        "requests": stand_in.requests(),
        "orders": orders,
    }))
}

async fn behaviour(State(stand_in): State<Arc<HqStandIn>>) -> Json<Value> {
    Json(stand_in.behaviour())
}

async fn control(State(stand_in): State<Arc<HqStandIn>>, body: Bytes) -> Response {
    match serde_json::from_slice::<Control>(&body) {
        Ok(control) => {
            stand_in.control(control);
            Json(stand_in.behaviour()).into_response()
        }
        Err(error) => (StatusCode::BAD_REQUEST, Json(json!({ "detail": error.to_string() }))).into_response(),
    }
}

async fn reset(State(stand_in): State<Arc<HqStandIn>>) -> Json<Value> {
    stand_in.reset();
    Json(stand_in.behaviour())
}

/// Whether a connection is cut: then nothing more is written to it.
#[derive(Clone, Default)]
struct Severed(Arc<AtomicBool>);

impl Connected<IncomingStream<'_, SeverableListener>> for Severed {
    fn connect_info(stream: IncomingStream<'_, SeverableListener>) -> Self {
        stream.io().severed.clone()
    }
}

struct SeverableListener(TcpListener);

impl Listener for SeverableListener {
    type Io = SeverableStream;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (Self::Io, Self::Addr) {
        // The listener's own accept waits out transient errors.
        let (stream, address) = Listener::accept(&mut self.0).await;
        (SeverableStream { stream, severed: Severed::default() }, address)
    }

    fn local_addr(&self) -> io::Result<Self::Addr> {
        self.0.local_addr()
    }
}

struct SeverableStream {
    stream: TcpStream,
    severed: Severed,
}

impl SeverableStream {
    fn check(&self) -> io::Result<()> {
        if self.severed.0.load(Ordering::SeqCst) {
            return Err(io::ErrorKind::ConnectionAborted.into());
        }
        Ok(())
    }
}

impl AsyncRead for SeverableStream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(context, buffer)
    }
}

impl AsyncWrite for SeverableStream {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.check()?;
        Pin::new(&mut self.stream).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.check()?;
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}
