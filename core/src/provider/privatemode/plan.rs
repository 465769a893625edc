//! One request before sealing (protocols/privatemode.md 7.1): checked, salted, with the headers that depend on the body, and a way to write
//! the sealed body. Borrows the body: what is written is the only copy.

use std::borrow::Cow;
use std::ops::Range;

use crate::crypto::SecureRandom;
use crate::error::{Code, Error, Result};
use crate::http::{ChunkedBody, Method};
use crate::limits::REQUEST_MAX_BYTES;
use crate::openai::forms::{Form, FormWriter, Part, fresh_boundary};
use crate::openai::media::check_media;
use crate::openai::select::{BodyError, Document};
use crate::openai::{ApiEndpoint, BodyKind};

use super::plain::{ClearRequest, Direction, check_clear_form, check_clear_request, plain_members};
use super::salt::{SharedSalt, caller_salt, inject_salt};
use super::shard_key::shard_key_of;

/// Bytes of a sealed message (5.1) besides the secret's id and the ciphertext: two quotes, three colons, and in hex a nonce, an iv of 12
/// bytes each and a tag of 16.
const MESSAGE_FIXED_BYTES: usize = 2 + 3 + 24 + 24 + 32;

/// Values of so many bytes are large: their hex is not made before it is sent, where the transport can do that.
const LARGE_VALUE_BYTES: usize = 256 * 1024;

/// Sizes of sealed messages and of what is in them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MessageSize {
    /// Bytes of the secret's id.
    pub id_bytes: usize,
}

impl MessageSize {
    /// Bytes of the message, quotes included, for so many bytes of plaintext.
    pub const fn sealed(self, plaintext_bytes: usize) -> usize {
        plaintext_bytes.saturating_mul(2).saturating_add(MESSAGE_FIXED_BYTES).saturating_add(self.id_bytes)
    }

    /// Bytes of plaintext in a well-formed message of so many bytes, quotes included.
    pub const fn opened(self, message_bytes: usize) -> usize {
        message_bytes.saturating_sub(MESSAGE_FIXED_BYTES).saturating_sub(self.id_bytes) / 2
    }
}

/// How files in a form are called on the wire, where names are readable.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum FileNames {
    /// By the name of the part, with the extension if it is a common one of audio: `file.mp3`.
    #[default]
    PartAndExtension,
    /// By the name of the part only, as the vendor's proxy does.
    Part,
    /// As the caller calls them, without folders.
    Kept,
}

/// Extensions that say no more than the format.
const EXTENSIONS: &[&str] =
    &["flac", "m4a", "mp3", "mp4", "mpeg", "mpga", "oga", "ogg", "opus", "wav", "webm"];

impl FileNames {
    fn apply(self, part: &Part<'_>) -> Option<String> {
        let file = part.file.as_deref()?;
        let known = |extension: &str| EXTENSIONS.iter().find(|known| extension.eq_ignore_ascii_case(known));
        let extension = file.rsplit_once('.').and_then(|(_, extension)| known(extension));
        Some(match (self, extension) {
            (FileNames::Kept, _) if !file.is_empty() => file.to_owned(),
            (FileNames::PartAndExtension, Some(extension)) => format!("{}.{extension}", part.name),
            _ => part.name.clone().into_owned(),
        })
    }
}

/// Forms of a transcription that are JSON: of others no member could be opened (6.3).
const RESPONSE_FORMATS: [&[u8]; 2] = [b"json", b"verbose_json"];

/// What the caller wants to send.
pub enum Content<'a> {
    /// A JSON object.
    Json(&'a [u8]),
    /// A form as a body with its content type.
    Multipart {
        /// With its `boundary`.
        content_type: &'a str,
        /// The bytes.
        body: &'a [u8],
    },
    /// A form in parts.
    Form(Form<'a>),
    /// Bytes of any kind.
    Raw {
        /// Goes out in clear.
        content_type: &'a str,
        /// The bytes.
        body: &'a [u8],
    },
    /// Nothing.
    None,
}

/// Settings of a client.
#[derive(Clone, Copy, Debug, Default)]
pub struct PlanOptions<'a> {
    /// A cache salt for requests that have none; without it each gets a fresh one.
    pub shared_salt: Option<&'a SharedSalt>,
    /// Names of files in forms.
    pub file_names: FileNames,
}

enum Body<'a> {
    Json(Document<'a>),
    Form { form: Form<'a>, boundary: String, file_names: FileNames },
    Raw(&'a [u8]),
    None,
}

/// A request that may be sealed.
pub struct RequestPlan<'a> {
    endpoint: ApiEndpoint,
    body: Body<'a>,
    clear: Option<ClearRequest>,
    content_type: Option<Cow<'a, str>>,
    shard_key: Option<String>,
    remote_images: usize,
}

/// Checks and prepares a request. A resend needs a plan of its own: salt, boundary and all that is random are made here.
///
/// Fails with codes of the caller's class, naming the member and nothing of a value.
pub fn plan<'a>(
    endpoint: ApiEndpoint,
    content: Content<'a>,
    options: &PlanOptions<'_>,
    random: &mut dyn SecureRandom,
) -> Result<RequestPlan<'a>> {
    let mut plan = RequestPlan {
        endpoint,
        body: Body::None,
        clear: None,
        content_type: None,
        shard_key: None,
        remote_images: 0,
    };
    match (plan.endpoint.body(), content) {
        (BodyKind::Json, Content::Json(body)) => plan.take_json(body, options, random)?,
        (BodyKind::Form, Content::Multipart { content_type, body }) => {
            plan.take_form(Form::parse(content_type, body)?, options, random)?;
        }
        (BodyKind::Form, Content::Form(form)) => plan.take_form(form, options, random)?,
        (BodyKind::Raw, Content::Raw { content_type, body }) => {
            check_size(body.len())?;
            plan.content_type = Some(Cow::Borrowed(content_type));
            plan.body = Body::Raw(body);
        }
        (BodyKind::None, Content::None) => {}
        (kind, _) => {
            return Err(Error::new(Code::InvalidArgument).at("body").expected(match kind {
                BodyKind::Json => "a JSON object",
                BodyKind::Form => "a form",
                BodyKind::Raw => "bytes with their content type",
                BodyKind::None => "nothing",
            }));
        }
    }
    Ok(plan)
}

fn check_size(bytes: usize) -> Result<()> {
    if bytes > REQUEST_MAX_BYTES { Err(Error::new(Code::LimitExceeded).at("request body")) } else { Ok(()) }
}

/// Refuses a body with nothing to seal. The enclave could not seal an answer (privatemode.md 10.6), and what it says then sounds like an
/// outage. Bodies with a cache salt have that; what else they lack the model says, sealed.
fn check_content(document: &Document<'_>, endpoint: &ApiEndpoint) -> Result<()> {
    let plain = plain_members(endpoint, Direction::Request).unwrap_or_default();
    if document.names().any(|name| !plain.contains(&name)) {
        return Ok(());
    }
    Err(Error::new(Code::InvalidArgument).at("input").expected("something to embed"))
}

/// The same for a form; and the form of an answer must be one that can be sealed (6.3).
fn check_recording(form: &Form<'_>) -> Result<()> {
    let plain = plain_members(&ApiEndpoint::Transcriptions, Direction::Request).unwrap_or_default();
    if form.parts().iter().all(|part| part.file.is_none() && plain.contains(&part.name.as_ref())) {
        return Err(Error::new(Code::InvalidArgument).at("file").expected("a recording"));
    }
    let format = form.first_value("response_format");
    if format.is_some_and(|format| !RESPONSE_FORMATS.contains(&format)) {
        return Err(Error::new(Code::InvalidArgument).at("response_format").expected("json or verbose_json"));
    }
    Ok(())
}

impl<'a> RequestPlan<'a> {
    fn take_json(
        &mut self,
        body: &'a [u8],
        options: &PlanOptions<'_>,
        random: &mut dyn SecureRandom,
    ) -> Result<()> {
        check_size(body.len())?;
        let text = std::str::from_utf8(body).map_err(|_| Code::MalformedRequest)?;
        let mut document = Document::parse(text).map_err(BodyError::in_request)?;
        self.clear = Some(check_clear_request(&document, &self.endpoint)?);
        if let (ApiEndpoint::ChatCompletions | ApiEndpoint::Messages, Some(messages)) =
            (&self.endpoint, document.get("messages"))
        {
            self.remote_images = check_media(messages, self.endpoint == ApiEndpoint::Messages)?.remote_images;
        }
        if self.endpoint.has_prompt_cache() {
            self.shard_key = shard_key_before_salt(&document, options.shared_salt)?;
            inject_salt(&mut document, options.shared_salt, random)?;
        }
        check_content(&document, &self.endpoint)?;
        self.content_type = Some(Cow::Borrowed("application/json"));
        self.body = Body::Json(document);
        Ok(())
    }

    fn take_form(
        &mut self,
        form: Form<'a>,
        options: &PlanOptions<'_>,
        random: &mut dyn SecureRandom,
    ) -> Result<()> {
        check_size(form.parts().iter().fold(0, |sum: usize, part| sum.saturating_add(part.data.len())))?;
        self.clear = Some(check_clear_form(&form)?);
        check_recording(&form)?;
        let boundary = fresh_boundary(random)?;
        self.content_type = Some(Cow::Owned(FormWriter::content_type(&boundary)));
        self.body = Body::Form { form, boundary, file_names: options.file_names };
        Ok(())
    }

    /// The endpoint.
    pub const fn endpoint(&self) -> &ApiEndpoint {
        &self.endpoint
    }

    /// Method of the request.
    pub const fn method(&self) -> Method {
        self.endpoint.method()
    }

    /// Path of the request.
    pub fn path(&self) -> &str {
        self.endpoint.path()
    }

    /// What goes out in clear; `None` where the body has no members.
    pub const fn clear(&self) -> Option<&ClearRequest> {
        self.clear.as_ref()
    }

    /// The model, which goes out in clear.
    pub fn model(&self) -> Option<&str> {
        self.clear.as_ref().map(|clear| clear.model.as_str())
    }

    /// True when the answer was asked for as a stream.
    pub fn streams(&self) -> bool {
        self.clear.as_ref().is_some_and(|clear| clear.streams)
    }

    /// Content type of the sealed body.
    pub fn content_type(&self) -> Option<&str> {
        self.content_type.as_deref()
    }

    /// The shard key; `None` for a fresh salt, for content that is too large, and for other endpoints.
    pub fn shard_key(&self) -> Option<&str> {
        self.shard_key.as_deref()
    }

    /// Images that the enclave will fetch from elsewhere.
    pub const fn remote_images(&self) -> usize {
        self.remote_images
    }

    /// The body before sealing, for JSON: with its salt.
    pub fn document(&self) -> Option<&Document<'a>> {
        match &self.body {
            Body::Json(document) => Some(document),
            _ => None,
        }
    }

    /// The sealed body. `seal` is called for each value in the order of the counters; it appends the message with its quotes.
    ///
    /// Besides what it returns, this needs no memory in proportion to a form or raw body, and for JSON that of all sealed values but the
    /// largest.
    pub fn write(
        &self,
        size: MessageSize,
        mut seal: impl FnMut(&[u8], &mut Vec<u8>) -> Result<()>,
    ) -> Result<Vec<u8>> {
        let mut out = Vec::new();
        let plain = plain_members(&self.endpoint, Direction::Request).unwrap_or_default();
        match &self.body {
            Body::None => {}
            Body::Json(document) => {
                let replace = |_: &str, raw: &str, out: &mut Vec<u8>| seal(raw.as_bytes(), out);
                document.rewrite(plain, |bytes| size.sealed(bytes), replace, &mut out)?;
            }
            Body::Raw(body) => {
                out.reserve_exact(size.sealed(body.len()));
                seal(body, &mut out)?;
            }
            Body::Form { form, boundary, file_names } => {
                let seal = |part: &Part<'_>, out: &mut Vec<u8>| seal(part.data, out);
                let bytes = |part: &Part<'_>| size.sealed(part.data.len());
                write_form(form, boundary, *file_names, plain, bytes, seal, &mut out)?;
            }
        }
        Ok(out)
    }

    /// The same with the large values of a form, or a large raw body, as bytes that become hex while they are sent. `seal` is told which;
    /// it appends such a message with its ciphertext and tag as bytes and says where they are. `None` for a body without large values.
    ///
    /// Fails with what `seal` fails with, and with `malformed_form`.
    pub fn write_chunks(
        &self,
        size: MessageSize,
        mut seal: impl FnMut(&[u8], Hex, &mut Vec<u8>) -> Result<Range<usize>>,
    ) -> Result<Option<ChunkedBody>> {
        let (mut out, mut ranges) = (Vec::new(), Vec::new());
        let mut seal = |data: &[u8], out: &mut Vec<u8>| {
            let hex = Hex::of(data);
            let range = seal(data, hex, out)?;
            if hex == Hex::Later {
                ranges.push(range);
            }
            Ok(())
        };
        let bytes = |data: &[u8]| match Hex::of(data) {
            Hex::Now => size.sealed(data.len()),
            Hex::Later => size.sealed(0).saturating_add(data.len()),
        };
        match &self.body {
            Body::Raw(body) if Hex::of(body) == Hex::Later => {
                out.reserve_exact(bytes(body));
                seal(body, &mut out)?;
            }
            Body::Form { form, boundary, file_names }
                if form
                    .parts()
                    .iter()
                    .any(|part| part.file.is_some() && Hex::of(part.data) == Hex::Later) =>
            {
                let plain = plain_members(&self.endpoint, Direction::Request).unwrap_or_default();
                let seal = |part: &Part<'_>, out: &mut Vec<u8>| seal(part.data, out);
                let bytes = |part: &Part<'_>| bytes(part.data);
                write_form(form, boundary, *file_names, plain, bytes, seal, &mut out)?;
            }
            _ => return Ok(None),
        }
        Ok(Some(ChunkedBody::new(out, ranges)))
    }
}

/// When a sealed value becomes hexadecimal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Hex {
    /// When it is sealed.
    Now,
    /// While it is sent: it is large.
    Later,
}

impl Hex {
    const fn of(data: &[u8]) -> Hex {
        if data.len() < LARGE_VALUE_BYTES { Hex::Now } else { Hex::Later }
    }
}

/// Writes a form with the values that are not in `plain`, and all files, sealed. `bytes` says what a sealed part will take.
fn write_form(
    form: &Form<'_>,
    boundary: &str,
    file_names: FileNames,
    plain: &[&str],
    bytes: impl Fn(&Part<'_>) -> usize,
    mut seal: impl FnMut(&Part<'_>, &mut Vec<u8>) -> Result<()>,
    out: &mut Vec<u8>,
) -> Result<()> {
    let parts: Vec<(&Part<'_>, Option<String>)> =
        form.ordered().into_iter().map(|part| (part, file_names.apply(part))).collect();
    let is_plain = |part: &Part<'_>| part.file.is_none() && plain.contains(&part.name.as_ref());
    let total = parts.iter().fold(boundary.len().saturating_add(16), |sum, (part, file)| {
        let data = if is_plain(part) { part.data.len() } else { bytes(part) };
        sum.saturating_add(data).saturating_add(FormWriter::overhead(boundary, &part.name, file.as_deref()))
    });
    out.reserve_exact(total);
    let mut writer = FormWriter::new(out, boundary);
    for (part, file) in &parts {
        let out = writer.part(&part.name, file.as_deref())?;
        if is_plain(part) { out.extend_from_slice(part.data) } else { seal(part, out)? }
    }
    writer.finish();
    Ok(())
}

/// The shard key under the salt that is known before one is injected; `None` without one.
pub(super) fn shard_key_before_salt(
    document: &Document<'_>,
    shared: Option<&SharedSalt>,
) -> Result<Option<String>> {
    let own = caller_salt(document)?;
    let salt = own.as_deref().map(String::as_str).or(shared.map(SharedSalt::expose));
    Ok(salt.and_then(|salt| shard_key_of(document, salt)))
}
