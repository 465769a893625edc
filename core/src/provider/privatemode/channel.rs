//! The sealed exchange with a proven deployment (privatemode.md 2.4, 2.5, 5, 7).

use super::chunk::{Output, StreamUsage};
use super::headers::{HeaderFacts, request_headers, request_id};
use super::ocsp::OcspPolicy;
use super::options::{GpuRevocation, PrivatemodeOptions};
use super::plan::{Content, Hex, MessageSize, PlanOptions, RequestPlan, plan};
use super::stream::AnswerOpener;
use crate::crypto::{SecureRandom, Sha256, hmac_sha256, sha256};
use crate::endpoint::{Answer, ApiRequest, BodyForm, Channel, Receipt, SignatureVerdict};
use crate::error::{Code, Error, Result};
use crate::http::{BaseUrl, ChunkedBody, HttpRequest, HttpResponse};
use crate::limits::ANSWER_MAX_BYTES;
use crate::openai::{ApiEndpoint, BodyKind};
use crate::provider::exchange::ExchangeConfig;
use crate::seal::MessageCipher;
use crate::seal::gcm_stream::FieldCipher;
use crate::secret::{Secret, SecretText};

const USER_AGENT: &str = concat!("proveil/", env!("CARGO_PKG_VERSION"));

/// Everything that a request under one secret needs.
pub(super) struct PrivatemodeChannel {
    base: BaseUrl,
    model: String,
    secret: Secret<32>,
    secret_id: String,
    api_key: SecretText,
    options: PrivatemodeOptions,
}

impl PrivatemodeChannel {
    pub fn new(
        config: &ExchangeConfig,
        base: BaseUrl,
        secret: Secret<32>,
        secret_id: String,
    ) -> PrivatemodeChannel {
        PrivatemodeChannel {
            base,
            model: config.model.clone(),
            secret,
            secret_id,
            api_key: config.api_key.duplicate(),
            options: config.privatemode.clone(),
        }
    }

    /// The two headers that tell workers which revocation states of their GPUs are accepted.
    fn gpu_revocation(&self, at: u64) -> Result<(String, String)> {
        let policy = match self.options.gpu_revocation {
            GpuRevocation::GoodOnly => OcspPolicy::strict(at),
            GpuRevocation::Lenient { grace_s } => OcspPolicy::with_grace(at, true, grace_s)?,
        };
        let mac = policy.mac(|message| hmac_sha256(self.secret.expose(), &[message]));
        Ok((policy.header(), mac))
    }
}

/// A sealed body on its way into a request.
enum Body {
    Whole(Vec<u8>),
    Chunks(ChunkedBody),
}

impl Body {
    fn write(
        plan: &RequestPlan<'_>,
        form: BodyForm,
        size: MessageSize,
        cipher: &mut FieldCipher,
        rng: &mut dyn SecureRandom,
    ) -> Result<Body> {
        let in_chunks = match form {
            BodyForm::Whole => None,
            BodyForm::Chunks => plan.write_chunks(size, |plaintext, hex, out| match hex {
                Hex::Now => cipher.seal_into(plaintext, rng, out).map(|()| 0..0),
                Hex::Later => cipher.seal_deferred(plaintext, rng, out),
            })?,
        };
        match in_chunks {
            Some(chunks) => Ok(Body::Chunks(chunks)),
            None => plan.write(size, |plaintext, out| cipher.seal_into(plaintext, rng, out)).map(Body::Whole),
        }
    }

    /// Of the body as it is sent.
    fn sha256(&self) -> [u8; 32] {
        match self {
            Body::Whole(body) => sha256(&[body]),
            Body::Chunks(chunks) => {
                let mut hash = Sha256::new();
                chunks.pieces().for_each(|piece| hash.update(&piece));
                hash.finish()
            }
        }
    }

    fn put_in(self, request: HttpRequest) -> HttpRequest {
        match self {
            Body::Whole(body) => request.with_body(body),
            Body::Chunks(chunks) => request.with_chunks(chunks),
        }
    }
}

impl Channel for PrivatemodeChannel {
    fn seal(
        &self,
        request: &ApiRequest<'_>,
        form: BodyForm,
        at: u64,
        rng: &mut dyn SecureRandom,
    ) -> Result<(HttpRequest, Box<dyn Answer>)> {
        let options = PlanOptions {
            shared_salt: self.options.cache_salt.as_deref(),
            file_names: self.options.file_names,
        };
        let content_type = || {
            let missing =
                Error::new(Code::InvalidArgument).at("content_type").expected("the body's own type");
            request.content_type.ok_or(missing)
        };
        let content = match request.endpoint.body() {
            BodyKind::Json => Content::Json(request.body),
            BodyKind::Form => Content::Multipart { content_type: content_type()?, body: request.body },
            BodyKind::Raw => Content::Raw { content_type: content_type()?, body: request.body },
            BodyKind::None => {
                return Err(Error::new(Code::UnsupportedEndpoint).found(request.endpoint.path()));
            }
        };
        let plan = plan(request.endpoint.clone(), content, &options, rng)?;
        if let Some(model) = plan.model().filter(|model| *model != self.model) {
            return Err(Error::new(Code::UnknownModel)
                .at("model")
                .expected(self.model.as_str())
                .found(model));
        }
        let mut cipher = FieldCipher::new(&self.secret, &self.secret_id, rng)?;
        let size = MessageSize { id_bytes: self.secret_id.len() };
        let body = Body::write(&plan, form, size, &mut cipher, rng)?;
        let (policy, mac) = self.gpu_revocation(at)?;
        let headers = request_headers(
            &plan,
            &HeaderFacts {
                version: &self.options.version,
                secret_id: &self.secret_id,
                ocsp: Some((&policy, &mac)),
                request_id: &request_id(at.saturating_mul(1000), rng)?,
                user_agent: USER_AGENT,
            },
        )?;
        let url = format!("{}{}", self.base.as_str(), plan.path());
        let mut sealed = HttpRequest::new(plan.method(), url, request.purpose(), ANSWER_MAX_BYTES)
            .secret_header("authorization", format!("Bearer {}", self.api_key.expose()))
            .header("accept-encoding", "identity");
        for (name, value) in headers {
            sealed = sealed.header(name, value);
        }
        // Answers of the other endpoints are no texts.
        let has_texts = matches!(request.endpoint, ApiEndpoint::ChatCompletions | ApiEndpoint::Completions);
        let output = if has_texts && !request.documents { Output::Texts } else { Output::Documents };
        let model = plan.model().filter(|_| !self.options.allow_other_model).map(str::to_owned);
        let request_sha256 = body.sha256();
        let usage = plan.clear().map(StreamUsage::of).unwrap_or_default();
        let opener = AnswerOpener::new(cipher, request.endpoint.clone(), output, model, request_sha256)
            .with_usage(usage);
        Ok((body.put_in(sealed), Box::new(opener)))
    }

    fn signature_request(&self, _: &Receipt) -> Result<HttpRequest> {
        Err(unsigned())
    }

    fn check_signature(&self, _: &Receipt, _: &HttpResponse) -> Result<SignatureVerdict> {
        Err(unsigned())
    }
}

/// Answers of this provider are authenticated member by member and not signed.
fn unsigned() -> Error {
    Error::new(Code::SignatureUnavailable)
        .context("This provider does not sign answers; each sealed part is authenticated.")
}

/// The endpoint that plain chat goes to.
impl ApiRequest<'_> {
    fn purpose(&self) -> &'static str {
        match self.endpoint {
            ApiEndpoint::ChatCompletions | ApiEndpoint::Completions | ApiEndpoint::Messages => "chat",
            ApiEndpoint::Embeddings => "embeddings",
            ApiEndpoint::Transcriptions => "transcription",
            ApiEndpoint::Unstructured(_) => "document",
            ApiEndpoint::Models => "model list",
        }
    }
}
