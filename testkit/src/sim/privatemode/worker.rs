//! A worker: opens a request, checks it as the proxy inside the enclave does, lets the scripted model answer, seals the answer
//! (privatemode.md 5, 6, 7.3, 10.6 to 10.8).

use proveil_core::wire::json::Json;

use super::chat::{self, Head};
use super::cipher::{Message, OpenError, Session};
use super::defect::Defect;
use super::fields::{self, Document};
use super::forms::{self, Part};
use super::gateway::service_error;
use super::generate::{content_text, messages};
use super::models;
use super::ocsp::{GpuStatus, OcspPolicy, Status};
use super::server::{Handled, Incoming, Shared};
use super::wire::{Answer, Outbound};
use super::{messages as anthropic, others, validate};
use crate::forge::{Random, object, string};
use crate::sim::record::OpenedMessage;
use crate::sim::reply::Reply;

/// An endpoint whose requests are sealed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Endpoint {
    /// `/v1/chat/completions`
    Chat,
    /// `/v1/completions`
    Completions,
    /// `/v1/embeddings`
    Embeddings,
    /// `/v1/audio/transcriptions`
    Transcriptions,
    /// `/v1/messages`
    Messages,
    /// `/unstructured/...`
    Unstructured,
}

impl Endpoint {
    /// The endpoint of a path.
    pub(super) fn of(path: &str) -> Option<Endpoint> {
        match path {
            "/v1/chat/completions" => Some(Endpoint::Chat),
            "/v1/completions" => Some(Endpoint::Completions),
            "/v1/embeddings" => Some(Endpoint::Embeddings),
            "/v1/audio/transcriptions" => Some(Endpoint::Transcriptions),
            "/v1/messages" => Some(Endpoint::Messages),
            _ => path.starts_with("/unstructured/").then_some(Endpoint::Unstructured),
        }
    }

    /// Members (or parts) that stay readable: of requests, of answers.
    const fn plain(self) -> [&'static [&'static str]; 2] {
        match self {
            Endpoint::Chat | Endpoint::Completions => [fields::CHAT_REQUEST, fields::CHAT_RESPONSE],
            Endpoint::Embeddings => [fields::EMBEDDINGS_REQUEST, fields::EMBEDDINGS_RESPONSE],
            Endpoint::Messages => [fields::MESSAGES_REQUEST, fields::MESSAGES_RESPONSE],
            Endpoint::Transcriptions => [fields::TRANSCRIPTION_REQUEST, fields::TRANSCRIPTION_RESPONSE],
            Endpoint::Unstructured => [&[], fields::UNSTRUCTURED_RESPONSE],
        }
    }

    /// The member that carries the answer: whole, and in events.
    const fn content(self) -> [&'static str; 2] {
        match self {
            Endpoint::Chat | Endpoint::Completions => ["choices", "choices"],
            Endpoint::Embeddings => ["data", "data"],
            Endpoint::Messages => ["content", "delta"],
            Endpoint::Transcriptions => ["text", "choices"],
            Endpoint::Unstructured => ["0", "0"],
        }
    }

    const fn task(self) -> &'static str {
        match self {
            Endpoint::Embeddings => "embed",
            Endpoint::Transcriptions => "transcribe",
            _ => "generate",
        }
    }
}

/// A request after opening.
struct Opened {
    /// Members of a JSON request.
    json: Json,
    /// Parts of a form.
    parts: Vec<Part>,
    /// `None` when nothing was sealed.
    session: Option<Session>,
    /// Sealed values as received, in the order of the counters.
    received: Vec<String>,
    /// Names and plaintexts in the same order.
    sealed: Vec<(String, Vec<u8>)>,
}

/// Why there is no answer: a status and a text.
type Refusal = (u16, String);

fn failed(error: OpenError) -> Refusal {
    let text = match error {
        OpenError::NotAMessage => "invalid message format",
        OpenError::Foreign => "secret ID differs within the request",
        OpenError::Failed => "cipher: message authentication failed",
        OpenError::Exhausted => "too many fields",
    };
    (500, format!("mutating request: {text}"))
}

/// Answers a request to a model.
pub(super) fn answer(shared: &Shared, endpoint: Endpoint, request: &Incoming<'_>) -> Handled {
    let refuse = |(status, text): Refusal| service_error(request, status, &text);
    let opened = ocsp(shared, endpoint, request).and_then(|()| open(shared, endpoint, request));
    let opened = match opened {
        Ok(opened) => opened,
        Err(refusal) => return refuse(refusal).into(),
    };
    let seen = seen(endpoint, &opened);
    let sealed = opened.sealed.clone();
    let reply =
        validated(endpoint, &opened).and_then(|()| reply(shared, endpoint, opened)).unwrap_or_else(refuse);
    Handled { reply: Some(reply), opened: Some(seen), sealed }
}

/// What the record says that the enclave saw.
fn seen(endpoint: Endpoint, opened: &Opened) -> Vec<OpenedMessage> {
    match endpoint {
        Endpoint::Chat | Endpoint::Messages => {
            let all = messages(&opened.json).into_iter();
            all.map(|(role, content)| OpenedMessage { role, content }).collect()
        }
        _ => {
            let text = |(name, bytes): &(String, Vec<u8>)| OpenedMessage {
                role: name.clone(),
                content: match Json::parse(bytes) {
                    Ok(Json::String(text)) => text,
                    _ => String::from_utf8_lossy(bytes).into_owned(),
                },
            };
            opened.sealed.iter().map(text).collect()
        }
    }
}

/// Whether the client accepts this worker's GPUs (privatemode.md 7.3).
fn ocsp(shared: &Shared, endpoint: Endpoint, request: &Incoming<'_>) -> Result<(), Refusal> {
    if endpoint == Endpoint::Unstructured {
        return Ok(());
    }
    let policy = match request.headers.get("privatemode-nvidia-ocsp-policy") {
        None => OcspPolicy::strictest(),
        Some(header) => {
            let id = request.headers.get("privatemode-secret-id").unwrap_or_default();
            let mac = request.headers.get("privatemode-nvidia-ocsp-policy-mac").unwrap_or_default();
            let secret = shared.secret(id).ok_or_else(|| {
                (500, format!("getting secret for OCSP verification: no secret for ID {id:?}"))
            })?;
            OcspPolicy::verify(header, mac, &secret).map_err(|text| (500, text.to_owned()))?
        }
    };
    let mut gpus = shared.gpus();
    if shared.has(Defect::GpuRevoked) {
        gpus.push(GpuStatus { gpu: Status::Revoked(0), ..GpuStatus::GOOD });
    }
    policy.refusal(&gpus).map_or(Ok(()), |text| Err((500, text)))
}

fn session(shared: &Shared, first: &Message) -> Result<Session, Refusal> {
    if shared.has(Defect::UnknownSecret) || shared.happens_once(Defect::UnknownSecretOnce) {
        shared.forget_secret(&first.id);
    }
    let unknown = || (500, format!("mutating request: no secret for ID \"{}\"", first.id));
    Ok(Session::new(first, &shared.secret(&first.id).ok_or_else(unknown)?))
}

fn open(shared: &Shared, endpoint: Endpoint, request: &Incoming<'_>) -> Result<Opened, Refusal> {
    match endpoint {
        Endpoint::Unstructured => open_body(shared, request),
        Endpoint::Transcriptions => open_form(shared, request),
        _ => open_json(shared, endpoint, request),
    }
}

fn open_json(shared: &Shared, endpoint: Endpoint, request: &Incoming<'_>) -> Result<Opened, Refusal> {
    let invalid = || (500, "mutating request: invalid JSON".to_owned());
    let text = std::str::from_utf8(request.body).map_err(|_| invalid())?;
    let mut document = Document::parse(text).ok_or_else(invalid)?;
    let [plain, _] = endpoint.plain();
    let first = document.first_message(plain).transpose().map_err(failed)?;
    let mut session = first.map(|first| session(shared, &first)).transpose()?;
    let received = document.texts(plain);
    let sealed = match &mut session {
        Some(session) => document.open(plain, session).map_err(failed)?,
        None => Vec::new(),
    };
    let json = Json::parse(document.to_text().as_bytes()).map_err(|_| invalid())?;
    Ok(Opened { json, parts: Vec::new(), session, received, sealed })
}

fn open_form(shared: &Shared, request: &Incoming<'_>) -> Result<Opened, Refusal> {
    let invalid = || (500, "mutating request: invalid form".to_owned());
    let boundary = request.headers.get("content-type").and_then(forms::boundary).ok_or_else(invalid)?;
    let mut parts = forms::in_order(forms::parse(request.body, boundary).ok_or_else(invalid)?);
    let [plain, _] = Endpoint::Transcriptions.plain();
    let (mut open, mut received, mut sealed) = (None::<Session>, Vec::new(), Vec::new());
    for part in
        parts.iter_mut().filter(|part| part.filename.is_some() || !plain.contains(&part.name.as_str()))
    {
        let text = std::str::from_utf8(&part.data).map_err(|_| failed(OpenError::NotAMessage))?;
        let session = match &mut open {
            Some(session) => session,
            None => open.insert(session(shared, &Message::parse(text).map_err(failed)?)?),
        };
        let data = session.open(text).map_err(failed)?;
        received.push(text.to_owned());
        sealed.push((part.name.clone(), data.clone()));
        part.data = data;
    }
    let model = parts.iter().find(|part| part.name == "model" && part.filename.is_none());
    let model = model.map(|part| String::from_utf8_lossy(&part.data).into_owned()).unwrap_or_default();
    Ok(Opened { json: object([("model", string(model))]), parts, session: open, received, sealed })
}

fn open_body(shared: &Shared, request: &Incoming<'_>) -> Result<Opened, Refusal> {
    let text = std::str::from_utf8(request.body).map_err(|_| failed(OpenError::NotAMessage))?;
    let mut session = session(shared, &Message::parse(text).map_err(failed)?)?;
    let body = session.open(text).map_err(failed)?;
    Ok(Opened {
        json: object([]),
        parts: Vec::new(),
        session: Some(session),
        received: vec![text.to_owned()],
        sealed: vec![("body".to_owned(), body)],
    })
}

/// The checks of the proxy inside the enclave, in its order.
fn validated(endpoint: Endpoint, opened: &Opened) -> Result<(), Refusal> {
    let request = &opened.json;
    let refused = |text| (500, format!("mutating request: {text}"));
    if matches!(endpoint, Endpoint::Chat | Endpoint::Completions | Endpoint::Messages) {
        validate::cache_salt(request).map_err(refused)?;
    }
    match endpoint {
        Endpoint::Chat => validate::openai_media(request).map_err(refused),
        Endpoint::Messages => validate::anthropic_media(request).map_err(refused),
        _ => Ok(()),
    }
}

/// What the model server says of a request that it does not take.
fn model_error(status: u16, kind: &str, text: &str) -> (u16, Answer) {
    let error = object([
        ("message", string(text)),
        ("type", string(kind)),
        ("param", Json::Null),
        ("code", Json::Number(status.into())),
    ]);
    (status, Answer::Whole(object([("error", error)])))
}

fn reply(shared: &Shared, endpoint: Endpoint, opened: Opened) -> Result<Reply, Refusal> {
    let mut random = shared.random();
    let (status, answer) = model_answer(shared, endpoint, &opened, &mut random);
    let defects = shared.defects();
    let [_, plain] = endpoint.plain();
    let out = Outbound {
        plain,
        content: endpoint.content(),
        session: opened.session,
        received: opened.received,
        status,
        pace_ms: shared.config.pace_ms,
        slow_start_ms: shared.config.slow_start_ms,
        defects: &defects,
    };
    let sealing = |_| (500, "mutating response: nothing was sealed in the request".to_owned());
    let reply = out.reply(answer, &mut random).map_err(sealing)?;
    let hold = if reply.is_stream() { shared.take_hold() } else { None };
    Ok(match hold {
        Some((after, hold)) => reply.hold_after(after, hold),
        None => reply,
    })
}

/// The scripted model: a status and its answer in clear.
fn model_answer(shared: &Shared, endpoint: Endpoint, opened: &Opened, random: &mut Random) -> (u16, Answer) {
    if shared.has(Defect::SealedError) {
        return model_error(400, "BadRequestError", "The prompt is longer than the context.");
    }
    if endpoint == Endpoint::Unstructured {
        let body = opened.sealed.first().map(|(_, body)| body.as_slice()).unwrap_or_default();
        return (200, others::elements(body));
    }
    let asked = content_text(opened.json.get("model"));
    let Some(model) = models::find(&asked, endpoint.task()) else {
        return model_error(404, "NotFoundError", &format!("The model `{asked}` does not exist."));
    };
    let prefix = match endpoint {
        Endpoint::Completions => "cmpl",
        Endpoint::Embeddings => "embd",
        Endpoint::Messages => "msg",
        Endpoint::Transcriptions => "trsc",
        _ => "chatcmpl",
    };
    let id = format!("{prefix}-{}", const_hex::encode(random.bytes::<8>()));
    let head = Head { id: &id, created: shared.now(), model };
    let answer = match endpoint {
        Endpoint::Completions => Some(chat::completion(&head, &opened.json)),
        Endpoint::Embeddings => others::embeddings(&head, &opened.json),
        Endpoint::Messages => Some(anthropic::messages(&head, &opened.json)),
        Endpoint::Transcriptions => others::transcription(&head, &opened.parts),
        _ => Some(chat::chat(&head, &opened.json)),
    };
    match answer {
        Some(answer) => (200, answer),
        None => model_error(400, "BadRequestError", "The request has no input that the model can read."),
    }
}
