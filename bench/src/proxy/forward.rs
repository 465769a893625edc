//! The bare pass-through: a server of axum that hands every request to another server with reqwest, and its answer back as it comes.

use std::net::Ipv4Addr;

use axum::Router;
use axum::body::{Body, Bytes, to_bytes};
use axum::extract::State;
use axum::http::header::{CONNECTION, CONTENT_LENGTH, HOST, HeaderMap, TRANSFER_ENCODING};
use axum::http::{Request, Response};
use axum::serve::ListenerExt;
use tokio::net::TcpListener;

/// Far above what is sent here.
const BODY_MAX_BYTES: usize = 64 << 20;

/// Serves on a free port until the process is ended; says where as JSON.
pub fn forward(target: &str) -> Result<(), String> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
    let runtime = runtime.map_err(|error| error.to_string())?;
    runtime.block_on(async {
        let listener = listener().await.map_err(|error| error.to_string())?;
        let address = listener.local_addr().map_err(|error| error.to_string())?;
        println!("{}", serde_json::json!({ "url": format!("http://{address}") }));
        let app = Router::new().fallback(pass).with_state((client(), target.to_owned()));
        // As the proxy: small events are not held back.
        let listener = listener.tap_io(|socket| drop(socket.set_nodelay(true)));
        axum::serve(listener, app).await.map_err(|error| error.to_string())
    })
}

/// A free port on 127.0.0.1.
pub(super) async fn listener() -> std::io::Result<TcpListener> {
    TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await
}

/// A client that knows no proxy variables.
pub(super) fn client() -> reqwest::Client {
    // Built together with the client crate, reqwest wants to know whose TLS it has, also where none is spoken. A second call fails, and may.
    drop(rustls::crypto::aws_lc_rs::default_provider().install_default());
    reqwest::Client::builder().no_proxy().build().expect("a client")
}

async fn pass(
    State((client, target)): State<(reqwest::Client, String)>,
    request: Request<Body>,
) -> Response<Body> {
    let response = send(&client, &target, request).await;
    let (mut head, body) = axum::http::Response::<reqwest::Body>::from(response).into_parts();
    drop_framing(&mut head.headers);
    Response::from_parts(head, Body::new(body))
}

/// Sends a request on, and waits for the head of the answer.
pub(super) async fn send(
    client: &reqwest::Client,
    target: &str,
    request: Request<Body>,
) -> reqwest::Response {
    let (head, body) = request.into_parts();
    let body: Bytes = to_bytes(body, BODY_MAX_BYTES).await.expect("a body");
    let mut headers = head.headers;
    headers.remove(HOST);
    drop_framing(&mut headers);
    let path = head.uri.path_and_query().map_or("/", |path| path.as_str());
    let request = client.request(head.method, format!("{target}{path}")).headers(headers).body(body);
    request.send().await.expect("an upstream that answers")
}

/// What each connection says for itself.
pub(super) fn drop_framing(headers: &mut HeaderMap) {
    for name in [CONNECTION, CONTENT_LENGTH, TRANSFER_ENCODING] {
        headers.remove(name);
    }
}
