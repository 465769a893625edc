//! The running simulator: one HTTP server on loopback with the provider's API and the vendors' services on the same port.

use std::collections::{BTreeSet, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::{SystemTime, UNIX_EPOCH};

use axum::Router;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::Response;
use axum::http::request::Parts;

use proveil_core::claims::Product;

use super::amd::AmdMachine;
use super::attestation::Attestation;
use super::config::SimConfig;
use super::defect::Defect;
use super::flood::{Flood, Flooded};
use super::hold::{HeldAnswer, Hold};
use super::listen::Server;
use super::models::{self, MODELS};
use super::record::{OpenedMessage, Recorded, RecordedRequest};
use super::reply::{Reply, query_value};
use super::signature::Signed;
use super::{chat, collateral, nvidia, signature};
use crate::forge::{EnclaveKey, Random, World, WorldSpec};

/// Path of the API.
pub const API_PATH: &str = "/api/v1";
/// Path of chat requests.
pub const CHAT_PATH: &str = "/api/v1/chat/completions";
/// Path of attestation requests.
pub const ATTESTATION_PATH: &str = "/api/v1/tee/attestation";
/// Largest request body that is read.
const BODY_MAX_BYTES: usize = 64 * 1024 * 1024;
/// Signatures that are kept.
const SIGNATURES_KEPT: usize = 1_000;

/// A running simulated provider; it stops when dropped.
///
/// It has threads of its own: it can be started inside or outside an asynchronous runtime.
pub struct Simulator {
    shared: Arc<Shared>,
    server: Server,
}

impl Simulator {
    /// Makes a world, binds a port on 127.0.0.1 and serves. Fails when the port is taken or the system gives no randomness.
    pub fn start(config: SimConfig) -> std::io::Result<Simulator> {
        let mut random = match config.seed {
            Some(seed) => Random::from_seed(seed),
            None => Random::from_os()?,
        };
        let now = config.now.unwrap_or_else(|| {
            SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
        });
        let world = World::generate(&mut random, &WorldSpec { now, gpus: config.gpus });
        let keys = MODELS.iter().map(|model| (model.id, EnclaveKey::generate(&mut random))).collect();
        let relay = EnclaveKey::generate(&mut random);
        let inner = Inner {
            random,
            defects: config.defects.iter().copied().collect(),
            keys,
            attestations: 0,
            limited: 0,
            rotated: false,
            recorded: Recorded::default(),
            signatures: VecDeque::new(),
            hold: None,
            flood: None,
        };
        let port = config.port;
        let shared =
            Arc::new(Shared { world, config, relay, amd: OnceLock::new(), inner: Mutex::new(inner) });
        let app = Router::new().fallback(handle).with_state(Arc::clone(&shared));
        Ok(Simulator { server: Server::start(port, app)?, shared })
    }

    /// Base URL of the provider's API: `http://127.0.0.1:<port>/api/v1`.
    pub fn base_url(&self) -> String {
        format!("{}{API_PATH}", self.server.url())
    }

    /// Base URL of the collateral endpoints: `http://127.0.0.1:<port>`.
    pub fn collateral_url(&self) -> String {
        self.server.url()
    }

    /// Base URL of NVIDIA's services: `http://127.0.0.1:<port>`.
    pub fn nvidia_url(&self) -> String {
        self.server.url()
    }

    /// Base URL of AMD's key distribution service: `http://127.0.0.1:<port>`. From the first call on it serves the certificates of
    /// [`Simulator::amd_machine`].
    pub fn kds_url(&self) -> String {
        self.amd_machine();
        self.server.url()
    }

    /// A machine with AMD's processor, made at the first call: its report and the roots to trust. It has nothing to do with the
    /// provider's enclave.
    pub fn amd_machine(&self) -> &AmdMachine {
        let shared = &self.shared;
        shared
            .amd
            .get_or_init(|| AmdMachine::generate(Product::Genoa, &mut shared.random(), shared.world.now))
    }

    /// Port on 127.0.0.1.
    pub fn port(&self) -> u16 {
        self.server.port()
    }

    /// What a client has to be told to trust this simulator (`proveil.trust-roots/v1`).
    pub fn trust_roots_json(&self) -> String {
        self.shared.world.trust_roots_json()
    }

    /// The collateral that is served now, in the nine-string form.
    pub fn collateral_json(&self) -> String {
        collateral::collateral(&self.shared.world, &self.shared.defects()).to_json()
    }

    /// The world behind it.
    pub fn world(&self) -> &World {
        &self.shared.world
    }

    /// Unix seconds around which everything is valid.
    pub fn now(&self) -> u64 {
        self.shared.world.now
    }

    /// Switches exactly these defects on.
    pub fn set_defects(&self, defects: &[Defect]) {
        let mut inner = self.shared.lock();
        inner.defects = defects.iter().copied().collect();
        inner.attestations = 0;
        inner.limited = 0;
        inner.rotated = false;
    }

    /// The enclave's public key for a model, 65 bytes; `None` for an unknown model.
    pub fn enclave_key(&self, model: &str) -> Option<[u8; 65]> {
        models::find(model).map(|model| self.shared.key(model.id).public_point())
    }

    /// Gives the enclave of a model a new key, as a restart would.
    pub fn rotate_key(&self, model: &str) {
        self.shared.rotate(model);
    }

    /// Makes the next streamed answer stop after so many pieces (the first one carries only the role) until the result is dropped.
    pub fn hold_next(&self, after: usize) -> HeldAnswer {
        let (held, hold) = Hold::new();
        self.shared.lock().hold = Some((after, hold));
        held
    }

    /// Answers all chats from now on with more than anybody wants; `None` ends that. The result counts what is sent from now on.
    pub fn flood(&self, flood: Option<Flood>) -> Arc<Flooded> {
        let flooded = Arc::new(Flooded::default());
        self.shared.lock().flood = flood.map(|flood| (flood, Arc::clone(&flooded)));
        flooded
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

/// Headers of a request, names in lower case.
pub(super) struct Headers(Vec<(String, String)>);

impl Headers {
    pub(super) fn of(parts: &Parts) -> Headers {
        let pairs = parts.headers.iter().map(|(name, value)| {
            (name.as_str().to_owned(), String::from_utf8_lossy(value.as_bytes()).into_owned())
        });
        Headers(pairs.collect())
    }

    pub(super) fn get(&self, name: &str) -> Option<&str> {
        self.0.iter().find(|(other, _)| other == name).map(|(_, value)| value.as_str())
    }

    /// For the record: the API key is a secret even in a simulator.
    pub(super) fn redacted(self) -> Vec<(String, String)> {
        let hide = |(name, value): (String, String)| {
            let value = if name == "authorization" { "[redacted]".to_owned() } else { value };
            (name, value)
        };
        self.0.into_iter().map(hide).collect()
    }
}

/// What all requests see.
pub(super) struct Shared {
    pub(super) world: World,
    pub(super) config: SimConfig,
    relay: EnclaveKey,
    amd: OnceLock<AmdMachine>,
    inner: Mutex<Inner>,
}

struct Inner {
    random: Random,
    defects: BTreeSet<Defect>,
    keys: Vec<(&'static str, EnclaveKey)>,
    attestations: u32,
    /// Requests that AMD's service refused for their rate.
    limited: u32,
    rotated: bool,
    recorded: Recorded,
    signatures: VecDeque<Signed>,
    /// For the next streamed answer: pieces that it sends before it stops.
    hold: Option<(usize, Hold)>,
    /// What chats are answered with instead of a model's words.
    flood: Option<(Flood, Arc<Flooded>)>,
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn has(&self, defect: Defect) -> bool {
        self.lock().defects.contains(&defect)
    }

    pub(super) fn defects(&self) -> BTreeSet<Defect> {
        self.lock().defects.clone()
    }

    /// A generator for one request, so that the lock is not held while it works.
    pub(super) fn random(&self) -> Random {
        self.lock().random.fork()
    }

    fn key(&self, model: &str) -> EnclaveKey {
        let inner = self.lock();
        let found = inner.keys.iter().find(|(id, _)| *id == model);
        found.map_or_else(|| self.relay.clone(), |(_, key)| key.clone())
    }

    /// The key for a chat, after any rotation that is due.
    pub(super) fn chat_key(&self, model: &str) -> EnclaveKey {
        let due = {
            let mut inner = self.lock();
            let once = inner.defects.contains(&Defect::RotateKeyOnce) && !inner.rotated;
            inner.rotated = true;
            once || inner.defects.contains(&Defect::RotateKeyAlways)
        };
        if due {
            self.rotate(model);
        }
        self.key(model)
    }

    fn rotate(&self, model: &str) {
        let mut inner = self.lock();
        let fresh = EnclaveKey::generate(&mut inner.random);
        inner.keys.iter_mut().filter(|(id, _)| *id == model).for_each(|(_, key)| *key = fresh.clone());
    }

    /// What [`Simulator::hold_next`] asked for, once.
    pub(super) fn take_hold(&self) -> Option<(usize, Hold)> {
        self.lock().hold.take()
    }

    /// What [`Simulator::flood`] asked for.
    pub(super) fn flooding(&self) -> Option<(Flood, Arc<Flooded>)> {
        self.lock().flood.clone()
    }

    pub(super) fn keep_signature(&self, signed: Signed) {
        let mut inner = self.lock();
        if inner.signatures.len() >= SIGNATURES_KEPT {
            inner.signatures.pop_front();
        }
        inner.signatures.push_back(signed);
    }

    fn authorized(&self, headers: &Headers) -> bool {
        let key = headers.get("authorization").and_then(|value| value.strip_prefix("Bearer "));
        match (&self.config.api_key, key) {
            (_, None | Some("")) => false,
            (None, Some(_)) => true,
            (Some(wanted), Some(key)) => wanted == key,
        }
    }

    fn attestation(&self, query: &str) -> Reply {
        let count = {
            let mut inner = self.lock();
            inner.attestations = inner.attestations.saturating_add(1);
            inner.attestations
        };
        if self.has(Defect::AttestationDown) || (self.has(Defect::AttestationFailsTwice) && count <= 2) {
            return Reply::error(502, "TEE_ATTESTATION_FAILED");
        }
        let Some(model) = query_value(query, "model").and_then(|id| models::find(&id)) else {
            return Reply::error(404, "Specified model not found");
        };
        if !model.attested {
            return Reply::error(400, "The model does not run in a TEE");
        }
        let nonce = query_value(query, "nonce")
            .filter(|text| text.len() == 64)
            .and_then(|text| const_hex::decode_to_array(text).ok());
        let Some(nonce) = nonce else {
            return Reply::error(400, "Nonce must be exactly 32 bytes");
        };
        let defects = self.defects();
        let other_model = if model.id == models::E2EE { models::E2EE_REASONING } else { models::E2EE };
        let other_key = if defects.contains(&Defect::DivertedEnclave) {
            self.key(other_model)
        } else {
            self.relay.clone()
        };
        let answer = Attestation {
            world: &self.world,
            model,
            key: &self.key(model.id),
            other_key: &other_key,
            nonce,
            shape: self.config.shape,
            encoding: self.config.encoding,
            quote_version: self.config.quote_version,
            defects: &defects,
        };
        Reply::json(200, &answer.to_text(&mut self.random()))
    }

    /// The rate limit of AMD's service, where a defect says that it is reached.
    fn limits_kds(&self, path: &str) -> bool {
        let mut inner = self.lock();
        let limits = path.starts_with("/vcek/")
            && inner.defects.contains(&Defect::KdsLimitedTwice)
            && inner.limited < 2;
        inner.limited = inner.limited.saturating_add(u32::from(limits));
        limits
    }

    fn signature(&self, query: &str) -> Reply {
        let id = query_value(query, "request_id").unwrap_or_default();
        let inner = self.lock();
        let signed = inner.signatures.iter().find(|signed| signed.id == id);
        signature::respond(signed, self.config.signature_text, &inner.defects, &self.relay)
    }

    fn route(&self, parts: &Parts, headers: &Headers, body: &[u8]) -> (Reply, Option<Vec<OpenedMessage>>) {
        let path = parts.uri.path();
        let query = parts.uri.query().unwrap_or_default();
        let is_get = parts.method == axum::http::Method::GET;
        if is_get && let Some(reply) = collateral::respond(&self.world, &self.defects(), path, query) {
            return (reply, None);
        }
        let defects = self.defects();
        if self.amd.get().is_some() && self.limits_kds(path) {
            return (Reply::new(429, "text/plain", Vec::new()).header("retry-after", "2"), None);
        }
        let vendor = if nvidia::is_served(path) {
            nvidia::nvidia_answer(&self.world, &defects, &mut self.random(), path, body)
        } else {
            self.amd.get().and_then(|machine| machine.respond(&defects, path))
        };
        if let Some((status, kind, body)) = vendor {
            let reply = Reply::new(status, kind, body);
            return (if status == 429 { reply.header("retry-after", "2") } else { reply }, None);
        }
        let Some(endpoint) = path.strip_prefix(API_PATH) else {
            return (Reply::error(404, "Not found"), None);
        };
        if !self.authorized(headers) {
            return (Reply::error(401, "Authentication failed"), None);
        }
        match (parts.method.as_str(), endpoint) {
            ("GET", "/models") => (Reply::json(200, &models::list().to_compact()), None),
            ("GET", "/tee/attestation") => (self.attestation(query), None),
            ("GET", "/tee/signature") => (self.signature(query), None),
            ("POST", "/chat/completions") => chat::respond(self, headers, body),
            _ => (Reply::error(404, "Not found"), None),
        }
    }
}

async fn handle(State(shared): State<Arc<Shared>>, request: Request) -> Response<Body> {
    let (parts, body) = request.into_parts();
    let headers = Headers::of(&parts);
    let (body, (reply, opened)) = match axum::body::to_bytes(body, BODY_MAX_BYTES).await {
        Ok(body) => {
            let result = shared.route(&parts, &headers, &body);
            (body.to_vec(), result)
        }
        Err(_) => (Vec::new(), (Reply::error(413, "Request body too large"), None)),
    };
    shared.lock().recorded.push(RecordedRequest {
        method: parts.method.to_string(),
        target: parts.uri.to_string(),
        headers: headers.redacted(),
        body,
        status: reply.status,
        opened,
        sealed: Vec::new(),
    });
    reply.into_response()
}
