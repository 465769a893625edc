//! The gateway in front of everything: who may ask, what is too large, which part of the deployment answers, and what the gateway says
//! on its own (privatemode.md 2).

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use proveil_core::wire::json::Json;

use super::defect::Defect;
use super::exchange::{PUBLIC_KEY_LEN, SEED_LEN, encapsulate, secret_id};
use super::models;
use super::server::{ATTEST_PATH, Handled, Incoming, MANIFEST_PATH, SECRET_PATH, Shared};
use super::version;
use super::worker::{self, Endpoint};
use crate::forge::contrast::sign_exchange;
use crate::forge::{object, string};
use crate::sim::nvidia::ServiceAnswer;
use crate::sim::reply::Reply;

/// Most bytes of a request, and of one to `/unstructured/`.
const REQUEST_MAX: usize = 128 * 1024 * 1024;
const DOCUMENT_MAX: usize = 50 * 1024 * 1024;

const PAGE: &str = "<html><head><title>502</title></head><body><h1>502 Bad Gateway</h1>\
     <script>alert(1)</script>\x1b]0;owned\x07\x1b[31mred\x1b[0m</body></html>";

/// The form of an error that a component of the service makes itself (privatemode.md 2.7).
pub(super) fn service_error(request: &Incoming<'_>, status: u16, message: &str) -> Reply {
    let error = object([("message", string(message)), ("type", string(""))]);
    let text = object([("error", error)]).to_compact();
    let reply = if request.headers.get("accept") == Some("text/event-stream") {
        Reply::new(status, "text/event-stream", format!("event: error\n\ndata: {text}\n\n").into_bytes())
    } else {
        Reply::json(status, &text)
    };
    reply.header("x-content-type-options", "nosniff").header("privatemode-encrypted", "false")
}

fn plain(status: u16, text: &str) -> Reply {
    Reply::new(status, "text/plain; charset=utf-8", text.as_bytes().to_vec())
}

fn page() -> Reply {
    Reply::new(502, "text/html; charset=utf-8", PAGE.as_bytes().to_vec())
}

fn service((status, kind, body): ServiceAnswer) -> Reply {
    Reply::new(status, kind, body)
}

/// Answers any request.
pub(super) fn handle(shared: &Shared, request: &Incoming<'_>) -> Handled {
    let is_get = request.method == "GET";
    if is_get && request.path == MANIFEST_PATH {
        return service(shared.deployment.published(&shared.defects())).into();
    }
    if is_get && let Some(answer) = shared.deployment.kds(&shared.defects(), request.path) {
        return service(answer).into();
    }
    if !authorized(shared, request) {
        return Reply::json(401, "{\"error\":{\"message\":\"invalid API key\",\"type\":\"unauthorized\"}}")
            .into();
    }
    let (major, minor) = shared.config.minimum_version;
    let version = request.headers.get("privatemode-version").unwrap_or_default();
    if !version::at_least(version, major, minor) {
        return service_error(
            request,
            400,
            &format!("client version {version:?} is older than v{major}.{minor}"),
        )
        .into();
    }
    match request.path {
        ATTEST_PATH if request.method == "POST" => attest(shared, request).into(),
        SECRET_PATH if request.method == "POST" => exchange(shared, request).into(),
        ATTEST_PATH | SECRET_PATH => plain(405, "Method Not Allowed").into(),
        _ => {
            let mut handled = infer(shared, request);
            handled.reply = handled.reply.map(|reply| with_request_id(request, version, reply));
            handled
        }
    }
}

fn authorized(shared: &Shared, request: &Incoming<'_>) -> bool {
    let key = request.headers.get("authorization").and_then(|value| value.strip_prefix("Bearer "));
    match (&shared.config.api_key, key) {
        (_, None | Some("")) => false,
        (None, Some(_)) => true,
        (Some(wanted), Some(key)) => wanted == key,
    }
}

/// The client's name for the request comes back, from the header in which its version puts it (privatemode.md 7.4).
fn with_request_id(request: &Incoming<'_>, version: &str, reply: Reply) -> Reply {
    let header =
        if version::at_least(version, 1, 40) { "privatemode-user-request-id" } else { "x-request-id" };
    match request.headers.get(header) {
        Some(id) => reply.header("x-request-id", id),
        None => reply,
    }
}

/// A member of the request's body, decoded from base64.
fn decoded(body: &[u8], member: &str) -> Option<Vec<u8>> {
    let request = Json::parse(body).ok()?;
    STANDARD.decode(request.get(member)?.as_str()?).ok()
}

fn attest(shared: &Shared, request: &Incoming<'_>) -> Reply {
    if shared.has(Defect::AttestDown) || shared.happens_once(Defect::AttestFailsOnce) {
        return page();
    }
    let nonce = decoded(request.body, "Nonce").and_then(|nonce| <[u8; 32]>::try_from(nonce).ok());
    let Some(nonce) = nonce else { return plain(400, "the nonce must have 32 bytes") };
    let body = shared.deployment.attest(&nonce, &shared.defects(), &mut shared.random());
    Reply::new(200, "application/json", body)
}

/// The secret service: encapsulates to the client's key and signs both.
fn exchange(shared: &Shared, request: &Incoming<'_>) -> Reply {
    if shared.has(Defect::SecretDown) {
        return page();
    }
    let defects = shared.defects();
    let mut random = shared.random();
    let public = decoded(request.body, "PublicKey").filter(|key| key.len() == PUBLIC_KEY_LEN);
    let Some(public) = public else { return plain(400, "the public key must have 1216 bytes") };
    let Some(sent) = encapsulate(&public, random.bytes::<SEED_LEN>()) else {
        return plain(400, "the public key is not valid");
    };
    shared.keep_secret(&secret_id(&public), sent.secret);
    let service = shared.deployment.secret_service(&defects, &mut random);
    let mut signed_key = public.clone();
    if defects.contains(&Defect::SecretOtherKey) {
        signed_key.last_mut().into_iter().for_each(|byte| *byte ^= 1);
    }
    let stranger = crate::forge::EcKey::p384(&mut random);
    let key = if defects.contains(&Defect::SecretBadSignature) { &stranger } else { &service.key };
    let signature = sign_exchange(key, &signed_key, &sent.encapsulated);
    let mut encapsulated = sent.encapsulated;
    if defects.contains(&Defect::SecretSwapped)
        && let Some(own) = encapsulate(&public, random.bytes::<SEED_LEN>())
    {
        shared.keep_secret(&secret_id(&public), own.secret);
        encapsulated = own.encapsulated;
    }
    if defects.contains(&Defect::SecretShort) {
        encapsulated.pop();
    }
    let base64 = |bytes: &[u8]| string(STANDARD.encode(bytes));
    let answer = object([
        ("EncapsulatedKey", base64(&encapsulated)),
        ("Signature", base64(&signature)),
        ("MeshCert", base64(&service.der)),
    ]);
    let without = |answer: Json| match answer {
        Json::Object(members) => Json::Object(members.into_iter().skip(1).collect()),
        other => other,
    };
    let answer = if defects.contains(&Defect::SecretGarbage) { without(answer) } else { answer };
    Reply::json(200, &answer.to_compact())
}

/// Everything that is for a model.
fn infer(shared: &Shared, request: &Incoming<'_>) -> Handled {
    let endpoint = Endpoint::of(request.path);
    let limit = if endpoint == Some(Endpoint::Unstructured) { DOCUMENT_MAX } else { REQUEST_MAX };
    if request.body.len() > limit {
        let text = if limit == DOCUMENT_MAX {
            "file too large (max 25MB)"
        } else {
            "maximum request size exceeded (max 50MB)"
        };
        return service_error(request, 413, text).into();
    }
    if request.method == "GET" {
        let model = request.path.strip_prefix("/v1/models").map(|rest| rest.trim_start_matches('/'));
        match model {
            Some("") => return Reply::json(200, &models::list().to_compact()).into(),
            Some(id) => {
                let found = models::detail(id).map(|model| Reply::json(200, &model.to_compact()));
                return found.unwrap_or_else(|| plain(404, "no such model")).into();
            }
            None => (),
        }
        if request.path.starts_with("/unstructured/") && request.path.ends_with("/healthcheck") {
            return Reply::json(200, "{\"healthcheck\":\"ok\"}").into();
        }
    }
    if let Some(reply) = http_defect(shared, request) {
        return reply.into();
    }
    if shared.has(Defect::ResetAlways) || shared.happens_once(Defect::ResetOnce) {
        return Handled { reply: None, opened: None, sealed: Vec::new() };
    }
    match endpoint {
        Some(endpoint) if request.method == "POST" => worker::answer(shared, endpoint, request),
        _ => plain(501, "unsupported endpoint").into(),
    }
}

fn http_defect(shared: &Shared, request: &Incoming<'_>) -> Option<Reply> {
    let defects = shared.defects();
    let has = |defect| defects.contains(&defect);
    if has(Defect::GatewayHtml) {
        return Some(page());
    }
    if has(Defect::RateLimited) {
        return Some(service_error(request, 429, "rate limit exceeded").header("retry-after", "1"));
    }
    if has(Defect::PaymentRequired) {
        return Some(service_error(request, 402, "the plan does not cover this request"));
    }
    if has(Defect::Unavailable) {
        return Some(service_error(request, 503, "no worker available"));
    }
    has(Defect::Redirect).then(|| Reply::json(307, "{}").header("location", "/elsewhere"))
}
