//! Sockets: accepts connections within a number, serves HTTP/1.1 within limits, and lets answers under way end when the proxy is asked to
//! (threats section 5, T54).

use std::net::IpAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use axum::body::Body;
use axum::http::HeaderValue;
use axum::http::header::{CONNECTION, TRANSFER_ENCODING};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::graceful::GracefulShutdown;
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::timeout;

use super::metrics::Metrics;
use super::routes;
use super::socket::Guarded;
use super::state::Proxy;
use super::tls::Acceptor;

/// Connections at once (threats section 5).
const CONNECTIONS_MAX: usize = 1024;
/// For a TLS handshake, and for the head of a request.
const HEAD_WAIT: Duration = Duration::from_secs(10);
/// Fields of a head.
const HEADERS_MAX: usize = 100;
/// All bytes of a head.
pub(super) const HEAD_MAX_BYTES: usize = 64 * 1024;
/// After trouble with accepting, such as too many open files.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);
/// What one gets who comes while all connections are taken.
const FULL: &[u8] =
    b"HTTP/1.1 503 Service Unavailable\r\nretry-after: 1\r\nconnection: close\r\ncontent-length: 0\r\n\r\n";

/// Serves until `end` is there, then lets answers under way go on for at most `drain`.
pub(super) async fn serve(
    listener: TcpListener,
    acceptor: Option<Arc<Acceptor>>,
    proxy: Arc<Proxy>,
    drain: Duration,
    end: impl Future<Output = ()>,
) {
    let places = Arc::new(Semaphore::new(CONNECTIONS_MAX));
    let graceful = GracefulShutdown::new();
    tokio::pin!(end);
    loop {
        tokio::select! {
            () = &mut end => break,
            accepted = listener.accept() => match accepted {
                Ok((socket, peer)) => match places.clone().try_acquire_owned() {
                    // As it is without the form that IPv4 has on a socket of both families.
                    Ok(place) => spawn(socket, peer.ip().to_canonical(), acceptor.clone(), proxy.clone(), place, &graceful),
                    Err(_) => drop(tokio::spawn(turn_away(socket))),
                },
                Err(error) => {
                    tracing::warn!(%error, "accept");
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                }
            },
        }
    }
    drop(listener);
    proxy.end();
    tracing::info!(seconds = drain.as_secs(), "draining");
    if timeout(drain, graceful.shutdown()).await.is_err() {
        tracing::warn!("answers under way were cut off");
    }
}

async fn turn_away(mut socket: TcpStream) {
    let _ = timeout(HEAD_WAIT, socket.write_all(FULL)).await;
}

fn spawn(
    socket: TcpStream,
    peer: IpAddr,
    acceptor: Option<Arc<Acceptor>>,
    proxy: Arc<Proxy>,
    place: OwnedSemaphorePermit,
    graceful: &GracefulShutdown,
) {
    let watcher = graceful.watcher();
    tokio::spawn(async move {
        let _place = place;
        let _connected = Metrics::connection();
        // Pieces of an answer go out at once; Nagle's algorithm would hold them back for 40 ms.
        if socket.set_nodelay(true).is_err() {
            return;
        }
        let smuggled = Arc::new(AtomicBool::new(false));
        let result = match acceptor {
            None => {
                let io = Guarded::new(socket, smuggled.clone());
                watcher.watch(connection(io, peer, proxy, smuggled)).await
            }
            Some(acceptor) => match timeout(HEAD_WAIT, acceptor.accept(socket)).await {
                Ok(Ok(stream)) => {
                    let io = Guarded::new(stream, smuggled.clone());
                    watcher.watch(connection(io, peer, proxy, smuggled)).await
                }
                Ok(Err(error)) => {
                    tracing::debug!(%error, "TLS handshake");
                    return;
                }
                Err(_) => return,
            },
        };
        if let Err(error) = result {
            tracing::debug!(%error, "connection");
        }
    });
}

/// What answers the requests of one connection.
struct Service {
    proxy: Arc<Proxy>,
    peer: IpAddr,
    smuggled: Arc<AtomicBool>,
}

type Answer = Pin<
    Box<dyn Future<Output = std::result::Result<hyper::Response<Body>, std::convert::Infallible>> + Send>,
>;

impl hyper::service::Service<hyper::Request<Incoming>> for Service {
    type Response = hyper::Response<Body>;
    type Error = std::convert::Infallible;
    type Future = Answer;

    fn call(&self, request: hyper::Request<Incoming>) -> Answer {
        let (proxy, peer, smuggled) = (self.proxy.clone(), self.peer, self.smuggled.load(Ordering::Relaxed));
        // Where the body of a request in chunks ends is not followed on the socket, so no further head may come after it.
        let is_last = smuggled || request.headers().contains_key(TRANSFER_ENCODING);
        Box::pin(async move {
            let mut response = routes::answer(proxy, peer, smuggled, request.map(Body::new)).await;
            if is_last {
                response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
            }
            Ok(response)
        })
    }
}

fn connection<S>(
    io: Guarded<S>,
    peer: IpAddr,
    proxy: Arc<Proxy>,
    smuggled: Arc<AtomicBool>,
) -> http1::Connection<TokioIo<Guarded<S>>, Service>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_WAIT)
        .max_headers(HEADERS_MAX)
        .max_buf_size(HEAD_MAX_BYTES)
        .half_close(false)
        .serve_connection(TokioIo::new(io), Service { proxy, peer, smuggled })
}
