//! The proven endpoint: the only thing that can seal a request, and what opens the answer.
//!
//! [`VerifiedEndpoint`] has no public constructor: only a provider's exchange makes one, and only from the witness of an appraisal
//! that ended in `verified` (style.md B4, threats I1, I9).

mod answer;
mod opener;
mod outcome;

pub(crate) use answer::Answer;
pub use answer::{Event, Receipt, TextField};
pub use opener::Opener;
pub use outcome::Outcome;

use std::fmt;

use crate::crypto::SecureRandom;
use crate::error::{Code, Error, Result};
use crate::http::{HttpRequest, HttpResponse};
use crate::openai::ApiEndpoint;
use crate::policy::Accepted;
use crate::report::Report;

/// What a response signature showed. Never more than the protocol allows (venice.md 5.6).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SignatureVerdict {
    /// Signed by the attested enclave over exactly the bytes sent and received.
    BodyMatches,
    /// Signed by the attested enclave for this answer's id; the signed hashes are of other bytes, so the body is not vouched for.
    SignedBodyNotVerifiable,
}

impl SignatureVerdict {
    /// Stable name.
    pub const fn name(self) -> &'static str {
        match self {
            SignatureVerdict::BodyMatches => "body_matches",
            SignatureVerdict::SignedBodyNotVerifiable => "signed_body_not_verifiable",
        }
    }
}

/// How the body of a sealed request is handed over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum BodyForm {
    /// As it is on the wire.
    Whole,
    /// Large ones in chunks that are made while they are sent.
    Chunks,
}

/// How a provider seals requests to the key that was proven and opens the answers.
pub(crate) trait Channel: Send + Sync {
    /// Seals a request with fresh keys at the time `at` (seconds); gives the request and the decoder of its answer. Fails with
    /// `unsupported_endpoint` for what the provider cannot carry sealed.
    fn seal(
        &self,
        request: &ApiRequest<'_>,
        form: BodyForm,
        at: u64,
        rng: &mut dyn SecureRandom,
    ) -> Result<(HttpRequest, Box<dyn Answer>)>;

    /// The request that asks for the signature of a finished answer.
    fn signature_request(&self, receipt: &Receipt) -> Result<HttpRequest>;

    /// Judges the answer to [`Channel::signature_request`].
    fn check_signature(&self, receipt: &Receipt, response: &HttpResponse) -> Result<SignatureVerdict>;
}

/// A request in the form of the OpenAI API (or Anthropic's messages), before sealing.
#[derive(Clone, Debug)]
pub struct ApiRequest<'a> {
    /// Where it goes.
    pub endpoint: ApiEndpoint,
    /// Content type of the body; needed for forms and documents, whose type has parameters. JSON needs none.
    pub content_type: Option<&'a str>,
    /// The body.
    pub body: &'a [u8],
    /// The answer comes as [`Event::Document`] and not as texts. Endpoints other than chat have no other form.
    pub documents: bool,
}

impl<'a> ApiRequest<'a> {
    /// A chat completion whose answer comes as texts. A part of an answer that says more than texts (calls of tools, refusals, audio, log
    /// probabilities) also comes as [`Event::Document`], before its texts.
    pub const fn chat(body: &'a [u8]) -> ApiRequest<'a> {
        ApiRequest { endpoint: ApiEndpoint::ChatCompletions, content_type: None, body, documents: false }
    }

    /// Any request; its answer comes as documents.
    pub const fn new(endpoint: ApiEndpoint, content_type: Option<&'a str>, body: &'a [u8]) -> ApiRequest<'a> {
        ApiRequest { endpoint, content_type, body, documents: true }
    }
}

/// An endpoint whose key was proven. It is scoped to one provider, base URL, model, policy and API key, and ends at
/// [`VerifiedEndpoint::not_after`]. No `Clone`, no serialisation: share it behind a reference.
///
/// ```compile_fail
/// let endpoint = proveil_core::endpoint::VerifiedEndpoint { not_after: 0 };
/// ```
/// ```compile_fail
/// fn copy(endpoint: &proveil_core::endpoint::VerifiedEndpoint) -> proveil_core::endpoint::VerifiedEndpoint { endpoint.clone() }
/// ```
/// ```compile_fail
/// let endpoint = <proveil_core::endpoint::VerifiedEndpoint as Default>::default();
/// ```
pub struct VerifiedEndpoint {
    accepted: Accepted,
    report: Report,
    channel: Box<dyn Channel>,
}

impl VerifiedEndpoint {
    pub(crate) fn new(accepted: Accepted, report: Report, channel: Box<dyn Channel>) -> VerifiedEndpoint {
        VerifiedEndpoint { accepted, report, channel }
    }

    /// Provider name.
    pub fn provider(&self) -> &str {
        self.report.provider()
    }

    /// Model id.
    pub fn model(&self) -> &str {
        self.report.model()
    }

    /// The report that led here.
    pub const fn report(&self) -> &Report {
        &self.report
    }

    /// When the proof ends, in seconds since 1970-01-01T00:00:00Z.
    pub const fn not_after(&self) -> u64 {
        self.accepted.not_after()
    }

    /// Seals a request body: one JSON object in the OpenAI chat form, for this endpoint's model. Everything that the protocol can
    /// encrypt is encrypted under fresh keys; what it cannot is refused (1xx), never sent in clear.
    ///
    /// What an answer says besides texts (calls of tools, refusals, log probabilities) comes as [`Event::Document`].
    ///
    /// `at` is the current time in seconds since 1970-01-01T00:00:00Z; from [`VerifiedEndpoint::not_after`] on, and before the time of
    /// the appraisal, the proof is stale: `proof_expired` (threats T03, T22). Nothing about the call is kept: a retry seals anew.
    pub fn seal(&self, body: &[u8], at: u64, rng: &mut dyn SecureRandom) -> Result<(SealedRequest, Opener)> {
        self.seal_request(&ApiRequest::chat(body), at, rng)
    }

    /// The same for any endpoint of the API that the provider carries sealed; others are `unsupported_endpoint`.
    pub fn seal_request(
        &self,
        request: &ApiRequest<'_>,
        at: u64,
        rng: &mut dyn SecureRandom,
    ) -> Result<(SealedRequest, Opener)> {
        self.seal_as(request, BodyForm::Whole, at, rng)
    }

    /// The same for a transport that can send a large file while it is being turned into hexadecimal, which takes half the memory: see
    /// [`HttpRequest::take_chunks`]. Other requests are as from [`VerifiedEndpoint::seal_request`].
    pub fn seal_in_chunks(
        &self,
        request: &ApiRequest<'_>,
        at: u64,
        rng: &mut dyn SecureRandom,
    ) -> Result<(SealedRequest, Opener)> {
        self.seal_as(request, BodyForm::Chunks, at, rng)
    }

    fn seal_as(
        &self,
        request: &ApiRequest<'_>,
        form: BodyForm,
        at: u64,
        rng: &mut dyn SecureRandom,
    ) -> Result<(SealedRequest, Opener)> {
        if at >= self.not_after() || at < self.report.checked_at() {
            return Err(Error::new(Code::ProofExpired).at("not_after"));
        }
        let (request, answer) = self.channel.seal(request, form, at, rng)?;
        Ok((SealedRequest(request), Opener::new(answer)))
    }

    /// The request that asks the provider for the signature of a finished answer.
    pub fn signature_request(&self, receipt: &Receipt) -> Result<HttpRequest> {
        self.channel.signature_request(receipt)
    }

    /// Judges a response signature against the proven key and the bytes of this exchange.
    pub fn check_signature(&self, receipt: &Receipt, response: &HttpResponse) -> Result<SignatureVerdict> {
        self.channel.check_signature(receipt, response)
    }
}

impl fmt::Debug for VerifiedEndpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("VerifiedEndpoint")
            .field("provider", &self.provider())
            .field("model", &self.model())
            .field("not_after", &self.not_after())
            .finish_non_exhaustive()
    }
}

/// A request whose prompt is sealed to the proven key; the only request body that a transport gets.
#[derive(Debug)]
pub struct SealedRequest(HttpRequest);

impl SealedRequest {
    /// The request as it must be sent.
    pub const fn request(&self) -> &HttpRequest {
        &self.0
    }

    /// Gives up the wrapper.
    pub fn into_request(self) -> HttpRequest {
        self.0
    }
}
