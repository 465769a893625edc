//! The transport rules, seen from the other side of the socket. Every server here is on loopback and lives as long as its test.

use std::sync::{Arc, Mutex};

use proveil_core::crypto;
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio::sync::Notify;

use super::*;

const WAIT: Duration = Duration::from_secs(30);
const CANARY: &str = "canary-key-5b1d";

/// A server that answers every request with the same bytes and then closes; it keeps what it was sent.
struct Server {
    port: u16,
    seen: Arc<Mutex<Vec<String>>>,
}

impl Server {
    async fn start(answer: impl Into<Vec<u8>>) -> Server {
        Server::serve(answer.into(), None).await
    }

    async fn serve(answer: Vec<u8>, tls: Option<tokio_rustls::TlsAcceptor>) -> Server {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let seen = Arc::new(Mutex::new(Vec::new()));
        let log = seen.clone();
        tokio::spawn(async move {
            while let Ok((socket, _)) = listener.accept().await {
                let (answer, log, tls) = (answer.clone(), log.clone(), tls.clone());
                tokio::spawn(async move {
                    match tls {
                        None => converse(socket, &answer, &log).await,
                        Some(tls) => {
                            if let Ok(socket) = tls.accept(socket).await {
                                converse(socket, &answer, &log).await;
                            }
                        }
                    }
                });
            }
        });
        Server { port, seen }
    }

    fn url(&self, path: &str) -> String {
        format!("http://127.0.0.1:{}{path}", self.port)
    }

    fn seen(&self) -> Vec<String> {
        self.seen.lock().unwrap().clone()
    }
}

async fn converse(mut socket: impl AsyncRead + AsyncWrite + Unpin, answer: &[u8], log: &Mutex<Vec<String>>) {
    let mut request = Vec::new();
    let mut buffer = [0; 4096];
    while !complete(&request) {
        match socket.read(&mut buffer).await {
            Ok(0) | Err(_) => return,
            Ok(length) => request.extend_from_slice(&buffer[..length]),
        }
    }
    log.lock().unwrap().push(String::from_utf8(request).unwrap());
    let _ = socket.write_all(answer).await;
    let _ = socket.shutdown().await;
}

fn complete(request: &[u8]) -> bool {
    let text = String::from_utf8_lossy(request).to_ascii_lowercase();
    let Some((head, body)) = text.split_once("\r\n\r\n") else { return false };
    let length = head.lines().find_map(|line| line.strip_prefix("content-length: "));
    body.len() >= length.map_or(0, |length| length.trim().parse().unwrap())
}

fn transport() -> Transport {
    Transport::new(None, &Proxy::None, 10).unwrap()
}

fn post(url: &str) -> Outgoing<'_> {
    Outgoing {
        method: Method::Post,
        url,
        headers: vec![
            ("authorization", "Bearer canary-key-5b1d", true),
            ("content-type", "application/json", false),
            ("accept-encoding", "identity", false),
        ],
        body: Payload::Whole(Bytes::from_static(b"{\"sealed\":1}")),
        tls: &TlsRule::PublicCa,
        max_response_bytes: 1000,
    }
}

async fn send(transport: &Transport, url: &str) -> Result<HttpResponse, TransportFailure> {
    transport.fetch(&post(url), WAIT).await
}

/// Threats T47: nothing but what the request names and what HTTP needs.
#[tokio::test]
async fn headers_are_exactly_those_of_the_request() {
    let server = Server::start("HTTP/1.1 200 OK\r\ncontent-length: 2\r\nset-cookie: a=b\r\n\r\nok").await;
    let transport = transport();
    for _ in 0..2 {
        let response = send(&transport, &server.url("/x?y=z")).await.unwrap();
        assert_eq!((response.head().status(), response.body()), (200, b"ok".as_slice()));
    }
    for request in server.seen() {
        let (head, body) = request.split_once("\r\n\r\n").unwrap();
        assert_eq!(body, "{\"sealed\":1}");
        let mut lines = head.lines();
        assert_eq!(lines.next(), Some("POST /x?y=z HTTP/1.1"));
        let mut names: Vec<&str> = lines.map(|line| line.split(':').next().unwrap()).collect();
        names.sort_unstable();
        let expected =
            ["accept", "accept-encoding", "authorization", "content-length", "content-type", "host"];
        assert_eq!(names, expected);
        assert!(head.contains("accept: */*"));
    }
}

/// Threats T42: neither key nor body goes where a redirect points.
#[tokio::test]
async fn redirects_are_not_followed() {
    let other = Server::start("HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n").await;
    for status in [301, 302, 303, 307, 308] {
        let answer = format!(
            "HTTP/1.1 {status} Elsewhere\r\nlocation: {}\r\ncontent-length: 0\r\n\r\n",
            other.url("/")
        );
        let server = Server::start(answer).await;
        let response = send(&transport(), &server.url("/")).await.unwrap();
        assert_eq!(response.head().status(), status);
        assert_eq!(response.head().header("location"), Some(other.url("/").as_str()));
    }
    assert_eq!(other.seen(), Vec::<String>::new());
}

#[tokio::test]
async fn long_answers_are_cut_off() {
    let chunk = format!("190\r\n{}\r\n", "x".repeat(400));
    let chunked = |chunks: usize| {
        format!("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n{}0\r\n\r\n", chunk.repeat(chunks))
    };
    let cases = [
        (format!("HTTP/1.1 200 OK\r\ncontent-length: 1000\r\n\r\n{}", "x".repeat(1000)), Ok(1000)),
        (
            format!("HTTP/1.1 200 OK\r\ncontent-length: 1001\r\n\r\n{}", "x".repeat(1001)),
            Err(TransportFailure::TooLarge),
        ),
        (
            "HTTP/1.1 200 OK\r\ncontent-length: 99999999999\r\n\r\n".to_owned(),
            Err(TransportFailure::TooLarge),
        ),
        (chunked(2), Ok(800)),
        (chunked(3), Err(TransportFailure::TooLarge)),
        (format!("HTTP/1.1 200 OK\r\n\r\n{}", "x".repeat(5000)), Err(TransportFailure::TooLarge)),
        // The end is missing.
        ("HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nshort".to_owned(), Err(TransportFailure::Broken)),
        (chunked(1).replace("0\r\n\r\n", ""), Err(TransportFailure::Broken)),
        (String::new(), Err(TransportFailure::Broken)),
        ("SSH-2.0-other\r\n".to_owned(), Err(TransportFailure::Broken)),
        (
            format!("HTTP/1.1 200 OK\r\n{}content-length: 0\r\n\r\n", "x: y\r\n".repeat(101)),
            Err(TransportFailure::Broken),
        ),
    ];
    for (answer, expected) in cases {
        let server = Server::start(answer.clone()).await;
        let got = send(&transport(), &server.url("/")).await.map(|response| response.body().len());
        assert_eq!(got, expected, "{}", answer.chars().take(120).collect::<String>());
        assert_eq!(server.seen().len(), 1, "one request, whatever the answer");
    }
}

/// Threats T42: no bomb can go off, since nothing is ever inflated; the core sees the header and refuses.
#[tokio::test]
async fn compressed_bodies_stay_compressed() {
    let body = [0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 3, 3, 0, 0, 0, 0, 0, 0, 0, 0, 0];
    for encoding in ["gzip", "br", "zstd", "deflate"] {
        let mut answer =
            format!("HTTP/1.1 200 OK\r\ncontent-encoding: {encoding}\r\ncontent-length: 20\r\n\r\n")
                .into_bytes();
        answer.extend_from_slice(&body);
        let server = Server::start(answer).await;
        let response = send(&transport(), &server.url("/")).await.unwrap();
        assert_eq!(response.head().header("content-encoding"), Some(encoding));
        assert_eq!(response.body(), body);
    }
}

#[tokio::test]
async fn header_values_that_are_not_text_are_kept() {
    let server =
        Server::start(b"HTTP/1.1 200 OK\r\ncontent-encoding: gz\xff\r\ncontent-length: 0\r\n\r\n").await;
    let response = send(&transport(), &server.url("/")).await.unwrap();
    assert_eq!(response.head().header("content-encoding"), Some("gz\u{fffd}"));
}

/// Plain http goes to this machine only, and never under a rule that names a key.
#[tokio::test]
async fn plain_http_is_for_loopback() {
    let server = Server::start("HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n").await;
    let port = server.port;
    for url in
        ["http://192.0.2.1/", "http://example.invalid/", "http://localhost.example/", "ftp://127.0.0.1/"]
    {
        assert_eq!(send(&transport(), url).await.unwrap_err(), TransportFailure::TlsRule, "{url}");
    }
    assert!(send(&transport(), &format!("http://localhost:{port}/")).await.is_ok());
    let rule = TlsRule::PinnedSpki(vec![[0; 32]]);
    let url = server.url("/");
    let pinned = Outgoing { tls: &rule, ..post(&url) };
    assert_eq!(transport().fetch(&pinned, WAIT).await.unwrap_err(), TransportFailure::TlsRule);
    assert_eq!(server.seen().len(), 1);
}

#[tokio::test]
async fn nobody_listening_is_a_connection_failure() {
    // Bound, so that nobody else comes to listen there.
    let socket = tokio::net::TcpSocket::new_v4().unwrap();
    socket.bind((std::net::Ipv4Addr::LOCALHOST, 0).into()).unwrap();
    let url = format!("http://{}/", socket.local_addr().unwrap());
    assert_eq!(send(&transport(), &url).await.unwrap_err(), TransportFailure::Connect);
}

/// The proxy sees a CONNECT for the host, and neither key nor body.
#[tokio::test]
async fn proxies_are_used_as_set() {
    let proxy = Server::start("HTTP/1.1 502 No\r\ncontent-length: 0\r\n\r\n").await;
    let direct = Server::start("HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n").await;
    let at = proxy.url("").replace("http://", "http://user:pass@");
    let lookup = |except: &'static str| {
        let at = at.clone();
        move |name: &str| match name {
            "HTTPS_PROXY" => Some(at.clone()),
            "NO_PROXY" => Some(except.to_owned()),
            _ => None,
        }
    };
    let with = |proxy: Option<reqwest::Proxy>| {
        let settings = Settings { roots: tls::roots(None).unwrap(), proxy, connect: WAIT };
        let public = settings.client(None).unwrap();
        Transport { settings, public, pinned: Mutex::default() }
    };
    // (setting, NO_PROXY, whether the proxy is asked for api.example.invalid)
    let cases = [
        (Proxy::Url(at.clone()), "", true),
        (Proxy::Url(at.clone()), "*", true),
        (Proxy::Environment, "", true),
        (Proxy::Environment, "other.invalid", true),
        (Proxy::Environment, "example.invalid", false),
        (Proxy::Environment, ".example.invalid", false),
        (Proxy::Environment, "*", false),
        (Proxy::None, "", false),
    ];
    for (setting, except, through) in cases {
        let transport = with(proxy::resolve(&setting, lookup(except)).unwrap());
        proxy.seen.lock().unwrap().clear();
        let failure = send(&transport, "https://api.example.invalid/secret-path").await.unwrap_err();
        assert_eq!(failure, TransportFailure::Connect);
        let seen = proxy.seen();
        assert_eq!(seen.len(), usize::from(through), "{setting:?} {except}");
        for request in seen {
            assert!(request.starts_with("CONNECT api.example.invalid:443 HTTP/1.1\r\n"), "{request}");
            assert!(request.contains("dXNlcjpwYXNz"), "{request}");
            assert!(!request.contains(CANARY) && !request.contains("secret-path"));
        }
        // Loopback is never proxied.
        send(&transport, &direct.url("/")).await.unwrap();
    }
    assert_eq!(direct.seen().len(), 8);
}

/// A throw-away authority and a server certificate for 127.0.0.1.
struct Authority {
    pem: String,
    acceptor: tokio_rustls::TlsAcceptor,
    spki_sha256: [u8; 32],
}

impl Authority {
    fn new() -> Authority {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let issuer = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
        let key = KeyPair::generate().unwrap();
        let leaf =
            CertificateParams::new(vec!["127.0.0.1".to_owned()]).unwrap().signed_by(&key, &issuer).unwrap();
        let der: CertificateDer<'static> = leaf.der().clone();
        let secret = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.serialize_der()));
        let config = rustls::ServerConfig::builder_with_provider(Arc::new(
            rustls::crypto::aws_lc_rs::default_provider(),
        ))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![der.clone()], secret)
        .unwrap();
        let parsed = rustls::server::ParsedCertificate::try_from(&der).unwrap();
        Authority {
            pem: issuer.pem(),
            acceptor: tokio_rustls::TlsAcceptor::from(Arc::new(config)),
            spki_sha256: crypto::sha256(&[parsed.subject_public_key_info().as_ref()]),
        }
    }
}

#[tokio::test]
async fn tls_rules_are_obeyed() {
    let authority = Authority::new();
    let answer = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok".to_vec();
    let server = Server::serve(answer, Some(authority.acceptor.clone())).await;
    let url = format!("https://127.0.0.1:{}/", server.port);
    let wrong_name = format!("https://localhost:{}/", server.port);
    let good = TlsRule::PinnedSpki(vec![[7; 32], authority.spki_sha256]);
    let bad = TlsRule::PinnedSpki(vec![[7; 32]]);
    let none = TlsRule::PinnedSpki(vec![]);
    let public = TlsRule::PublicCa;
    let trusting = Transport::new(Some(authority.pem.as_bytes()), &Proxy::None, 10).unwrap();
    let strange = transport();
    let cases = [
        ("authority of the caller", &trusting, &url, &public, Ok(())),
        ("unknown authority", &strange, &url, &public, Err(TransportFailure::Connect)),
        ("wrong name", &trusting, &wrong_name, &public, Err(TransportFailure::Connect)),
        ("pinned key", &trusting, &url, &good, Ok(())),
        ("pinned key, again", &trusting, &url, &good, Ok(())),
        ("other key", &trusting, &url, &bad, Err(TransportFailure::TlsRule)),
        ("no key", &trusting, &url, &none, Err(TransportFailure::TlsRule)),
        ("pinned key of an unknown authority", &strange, &url, &good, Err(TransportFailure::Connect)),
    ];
    let mut served = 0;
    for (what, transport, url, tls, expected) in cases {
        let result = transport.fetch(&Outgoing { tls, ..post(url) }, WAIT).await.map(|_| ());
        assert_eq!(result, expected, "{what}");
        served += usize::from(expected.is_ok());
        assert_eq!(
            server.seen().len(),
            served,
            "{what}: nothing is sent on a connection that broke the rule"
        );
    }
    let pinned: Vec<usize> = trusting.pinned.lock().unwrap().keys().map(Vec::len).collect();
    assert_eq!(pinned.len(), 3);
}

/// A process-wide TLS provider is the application's business.
#[tokio::test]
async fn no_provider_is_installed() {
    drop(transport());
    assert!(rustls::crypto::CryptoProvider::get_default().is_none());
}

#[test]
fn bad_bundles_are_refused() {
    let bad_der = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
    let cut = "-----BEGIN CERTIFICATE-----\nAAAA\n";
    for pem in ["", "text", bad_der, cut] {
        let error = Transport::new(Some(pem.as_bytes()), &Proxy::None, 10).err().map(|error| error.code());
        assert_eq!(error, Some(Code::ConfigInvalid), "{pem}");
    }
}

/// The caller's waiting times hold for the head and for each piece of the body. The server never answers, so a short wait is enough.
#[tokio::test]
async fn waits_are_bounded() {
    let short = Duration::from_millis(20);
    let silent = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/", silent.local_addr().unwrap());
    let opened = transport().open(&post(&url), short).await.map(|_| ());
    assert_eq!(opened, Err(TransportFailure::Timeout.into()));
    assert_eq!(transport().fetch(&post(&url), short).await.map(|_| ()), Err(TransportFailure::Timeout));

    let (server, _gone) = stalling().await;
    let mut incoming = transport().open(&post(&server), WAIT).await.unwrap();
    assert_eq!(incoming.body.next(WAIT).await.unwrap().as_deref(), Some(b"first".as_slice()));
    assert!(incoming.body.waiting().is_none());
    assert_eq!(incoming.body.next(short).await, Err(TransportFailure::Timeout));
}

/// Every wait counts anew, whatever the timer was set to before: given up half-way, longer, shorter.
#[tokio::test]
async fn waits_do_not_add_up() {
    let hour = Duration::from_secs(3600);
    let (server, _gone) = stalling().await;
    let mut incoming = transport().open(&post(&server), WAIT).await.unwrap();
    incoming.body.next(WAIT).await.unwrap();
    tokio::time::pause();
    for wait in [hour, 2 * hour, hour, hour / 4] {
        assert!(timeout(wait / 2, incoming.body.next(wait)).await.is_err());
        let since = Instant::now();
        assert_eq!(incoming.body.next(wait).await, Err(TransportFailure::Timeout));
        assert!((wait..wait + hour / 60).contains(&since.elapsed()), "{wait:?}: {:?}", since.elapsed());
    }
}

/// Dropping an answer closes the connection at once.
#[tokio::test]
async fn dropping_the_answer_closes_the_connection() {
    let (server, gone) = stalling().await;
    let mut incoming = transport().open(&post(&server), WAIT).await.unwrap();
    incoming.body.next(WAIT).await.unwrap();
    drop(incoming);
    tokio::time::timeout(WAIT, gone.notified()).await.unwrap();
}

/// Sends one piece of a body and then waits for the other side to hang up, which it reports.
async fn stalling() -> (String, Arc<Notify>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/", listener.local_addr().unwrap());
    let gone = Arc::new(Notify::new());
    let report = gone.clone();
    tokio::spawn(async move {
        let (mut socket, _) = listener.accept().await.unwrap();
        let mut buffer = [0; 4096];
        let mut request = Vec::new();
        while !complete(&request) {
            let length = socket.read(&mut buffer).await.unwrap();
            request.extend_from_slice(&buffer[..length]);
        }
        socket
            .write_all(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\nfirst\r\n")
            .await
            .unwrap();
        while socket.read(&mut buffer).await.is_ok_and(|length| length > 0) {}
        report.notify_one();
    });
    (url, gone)
}
