//! The running simulator: publisher of the manifest, gateway, coordinator, secret service, workers and AMD's service on one port.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{SystemTime, UNIX_EPOCH};

use axum::Router;
use axum::body::Body;
use axum::extract::{ConnectInfo, Request, State};
use axum::http::Response;
use axum::http::request::Parts;

use super::config::SimConfig;
use super::defect::Defect;
use super::deployment::Deployment;
use super::gateway;
use super::ocsp::GpuStatus;
use crate::forge::Random;
use crate::sim::hold::{HeldAnswer, Hold};
use crate::sim::listen::{Line, Server};
use crate::sim::record::{OpenedMessage, Recorded, RecordedRequest};
use crate::sim::reply::Reply;
use crate::sim::server::Headers;

/// Path of the published manifest.
pub const MANIFEST_PATH: &str = "/privatemode/v2/manifest.json";
/// Path of attestation requests.
pub const ATTEST_PATH: &str = "/privatemode/v1/attest";
/// Path of exchanges.
pub const SECRET_PATH: &str = "/privatemode/v1/secret";
/// Most bytes of a request that are read: one more than the gateway takes.
const BODY_MAX_BYTES: usize = 128 * 1024 * 1024 + 1;

/// A running simulated provider; it stops when dropped.
///
/// It has threads of its own: it can be started inside or outside an asynchronous runtime.
pub struct Simulator {
    shared: Arc<Shared>,
    server: Server,
}

impl Simulator {
    /// Makes a deployment, binds a port on 127.0.0.1 and serves. Takes about two seconds at the first start of a process: AMD's
    /// authorities have RSA keys. Fails when the port is taken or the system gives no randomness.
    pub fn start(config: SimConfig) -> std::io::Result<Simulator> {
        let mut random = match config.seed {
            Some(seed) => Random::from_seed(seed),
            None => Random::from_os()?,
        };
        let now = config.now.unwrap_or_else(wall_clock);
        let deployment = Deployment::generate(&mut random, now);
        let inner = Inner {
            random,
            defects: config.defects.iter().copied().collect(),
            gpus: config.gpus.clone(),
            ahead_s: 0,
            secrets: BTreeMap::new(),
            once: BTreeSet::new(),
            recorded: Recorded::default(),
            hold: None,
        };
        let port = config.port;
        let shared = Arc::new(Shared { deployment, config, now, inner: Mutex::new(inner) });
        let app = Router::new().fallback(handle).with_state(Arc::clone(&shared));
        Ok(Simulator { server: Server::start(port, app)?, shared })
    }

    /// Base URL of the API: `http://127.0.0.1:<port>`.
    pub fn base_url(&self) -> String {
        self.server.url()
    }

    /// Where the manifest is published: `http://127.0.0.1:<port>/privatemode/v2/manifest.json`.
    pub fn manifest_url(&self) -> String {
        format!("{}{MANIFEST_PATH}", self.server.url())
    }

    /// Base URL of AMD's key distribution service.
    pub fn kds_url(&self) -> String {
        self.server.url()
    }

    /// Port on 127.0.0.1.
    pub fn port(&self) -> u16 {
        self.server.port()
    }

    /// What a client has to be told to trust this simulator (`proveil.trust-roots/v1`).
    pub fn trust_roots_json(&self) -> String {
        self.shared.deployment.trust_roots_json()
    }

    /// The manifest that is active now.
    pub fn manifest(&self) -> Vec<u8> {
        self.shared.deployment.manifest(&self.shared.defects())
    }

    /// Unix seconds on the simulator's clock.
    pub fn now(&self) -> u64 {
        self.shared.now()
    }

    /// Moves the simulator's clock on.
    pub fn advance(&self, seconds: u64) {
        let mut inner = self.shared.lock();
        inner.ahead_s = inner.ahead_s.saturating_add(seconds);
    }

    /// Forgets all secrets, as a restart of the workers' store would.
    pub fn forget_secrets(&self) {
        self.shared.lock().secrets.clear();
    }

    /// Switches exactly these defects on, and makes those that happen once happen again.
    pub fn set_defects(&self, defects: &[Defect]) {
        let mut inner = self.shared.lock();
        inner.defects = defects.iter().copied().collect();
        inner.once.clear();
    }

    /// Changes what the workers know of their GPUs.
    pub fn set_gpus(&self, gpus: &[GpuStatus]) {
        self.shared.lock().gpus = gpus.to_vec();
    }

    /// Makes the next streamed answer stop after so many pieces until the result is dropped.
    pub fn hold_next(&self, after: usize) -> HeldAnswer {
        let (held, hold) = Hold::new();
        self.shared.lock().hold = Some((after, hold));
        held
    }

    /// What was received so far.
    pub fn recorded(&self) -> Recorded {
        self.shared.lock().recorded.clone()
    }

    /// Forgets what was received.
    pub fn clear_recorded(&self) {
        self.shared.lock().recorded = Recorded::default();
    }
}

fn wall_clock() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
}

/// What all requests see.
pub(super) struct Shared {
    pub(super) deployment: Deployment,
    pub(super) config: SimConfig,
    /// Unix seconds at the start.
    now: u64,
    inner: Mutex<Inner>,
}

struct Inner {
    random: Random,
    defects: BTreeSet<Defect>,
    gpus: Vec<GpuStatus>,
    /// How far the clock was moved on.
    ahead_s: u64,
    /// By id: the secret, and the Unix seconds at which it ends.
    secrets: BTreeMap<String, ([u8; 32], u64)>,
    /// Defects that happen once and have happened.
    once: BTreeSet<Defect>,
    recorded: Recorded,
    hold: Option<(usize, Hold)>,
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn now(&self) -> u64 {
        let start = if self.config.now.is_some() { self.now } else { wall_clock() };
        start.saturating_add(self.lock().ahead_s)
    }

    pub(super) fn has(&self, defect: Defect) -> bool {
        self.lock().defects.contains(&defect)
    }

    pub(super) fn defects(&self) -> BTreeSet<Defect> {
        self.lock().defects.clone()
    }

    /// True the first time that a defect that is switched on is asked for.
    pub(super) fn happens_once(&self, defect: Defect) -> bool {
        let mut inner = self.lock();
        inner.defects.contains(&defect) && inner.once.insert(defect)
    }

    /// A generator for one request, so that the lock is not held while it works.
    pub(super) fn random(&self) -> Random {
        self.lock().random.fork()
    }

    pub(super) fn gpus(&self) -> Vec<GpuStatus> {
        self.lock().gpus.clone()
    }

    pub(super) fn keep_secret(&self, id: &str, secret: [u8; 32]) {
        let now = self.now();
        let life = if self.has(Defect::ExpiredSecret) { 0 } else { self.config.secret_life_s };
        let mut inner = self.lock();
        inner.secrets.retain(|_, (_, end)| *end > now);
        inner.secrets.insert(id.to_owned(), (secret, now.saturating_add(life)));
    }

    /// A secret that has not ended.
    pub(super) fn secret(&self, id: &str) -> Option<[u8; 32]> {
        let now = self.now();
        self.lock().secrets.get(id).filter(|(_, end)| *end > now).map(|(secret, _)| *secret)
    }

    pub(super) fn forget_secret(&self, id: &str) {
        self.lock().secrets.remove(id);
    }

    /// What [`Simulator::hold_next`] asked for, once.
    pub(super) fn take_hold(&self) -> Option<(usize, Hold)> {
        self.lock().hold.take()
    }
}

/// A request as it arrived.
pub(super) struct Incoming<'a> {
    pub(super) method: &'a str,
    pub(super) path: &'a str,
    pub(super) headers: &'a Headers,
    pub(super) body: &'a [u8],
}

/// What comes of a request.
pub(super) struct Handled {
    /// The answer; `None` breaks the connection before its first byte.
    pub(super) reply: Option<Reply>,
    /// What the enclave saw.
    pub(super) opened: Option<Vec<OpenedMessage>>,
    /// What it opened, part by part.
    pub(super) sealed: Vec<(String, Vec<u8>)>,
}

impl From<Reply> for Handled {
    fn from(reply: Reply) -> Handled {
        Handled { reply: Some(reply), opened: None, sealed: Vec::new() }
    }
}

async fn handle(
    State(shared): State<Arc<Shared>>,
    ConnectInfo(line): ConnectInfo<Line>,
    request: Request,
) -> Response<Body> {
    let (parts, body) = request.into_parts();
    let headers = Headers::of(&parts);
    // What is more than this is answered as what is just too much.
    let body =
        axum::body::to_bytes(body, BODY_MAX_BYTES).await.unwrap_or_else(|_| vec![0; BODY_MAX_BYTES].into());
    let handled = {
        let Parts { method, uri, .. } = &parts;
        let request = Incoming { method: method.as_str(), path: uri.path(), headers: &headers, body: &body };
        gateway::handle(&shared, &request)
    };
    if handled.reply.is_none() {
        line.cut();
    }
    let reply = handled.reply.unwrap_or_else(|| Reply::new(500, "text/plain", Vec::new()));
    shared.lock().recorded.push(RecordedRequest {
        method: parts.method.to_string(),
        target: parts.uri.to_string(),
        headers: headers.redacted(),
        body: body.to_vec(),
        status: reply.status,
        opened: handled.opened,
        sealed: handled.sealed,
    });
    reply.into_response()
}
