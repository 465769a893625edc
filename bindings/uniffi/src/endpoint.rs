//! The proof, and what it seals.

use std::sync::Arc;

use proveil_bindings_support::core::endpoint;
use proveil_bindings_support::{OpenerCell, OsRandom, OwnedRequest, now_unix_s};

use crate::error::{Outcome, guarded};
use crate::opener::{Opener, Receipt};
use crate::report::Report;
use crate::values::{HttpRequest, ResponseHeader, response};

/// What a response signature showed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, uniffi::Enum)]
pub enum SignatureVerdict {
    /// Signed by the attested enclave over exactly the bytes sent and received.
    BodyMatches,
    /// Signed by the attested enclave for this answer's id; the body is not vouched for.
    SignedBodyNotVerifiable,
}

impl From<endpoint::SignatureVerdict> for SignatureVerdict {
    fn from(verdict: endpoint::SignatureVerdict) -> SignatureVerdict {
        match verdict {
            endpoint::SignatureVerdict::BodyMatches => SignatureVerdict::BodyMatches,
            endpoint::SignatureVerdict::SignedBodyNotVerifiable => SignatureVerdict::SignedBodyNotVerifiable,
        }
    }
}

/// A request whose prompt is sealed to the proven key; the only request body that a transport gets.
#[derive(uniffi::Object)]
pub struct SealedRequest(Arc<HttpRequest>);

#[uniffi::export]
impl SealedRequest {
    /// The request as it must be sent.
    pub fn request(&self) -> Arc<HttpRequest> {
        self.0.clone()
    }
}

/// A sealed request and what opens its answer.
#[derive(uniffi::Record)]
pub struct Sealed {
    /// To be sent.
    pub sealed: Arc<SealedRequest>,
    /// Opens the answer.
    pub opener: Arc<Opener>,
}

impl From<(endpoint::SealedRequest, endpoint::Opener)> for Sealed {
    fn from((sealed, opener): (endpoint::SealedRequest, endpoint::Opener)) -> Sealed {
        Sealed {
            sealed: Arc::new(SealedRequest(Arc::new(sealed.into_request().into()))),
            opener: Arc::new(OpenerCell::new(opener).into()),
        }
    }
}

/// An endpoint whose key was proven. Only a verification makes one; there is no constructor.
#[derive(uniffi::Object)]
pub struct VerifiedEndpoint(Arc<endpoint::VerifiedEndpoint>);

impl From<Arc<endpoint::VerifiedEndpoint>> for VerifiedEndpoint {
    fn from(endpoint: Arc<endpoint::VerifiedEndpoint>) -> VerifiedEndpoint {
        VerifiedEndpoint(endpoint)
    }
}

#[uniffi::export]
impl VerifiedEndpoint {
    /// Provider name.
    pub fn provider(&self) -> String {
        self.0.provider().to_owned()
    }

    /// Model id.
    pub fn model(&self) -> String {
        self.0.model().to_owned()
    }

    /// The report that led here.
    pub fn report(&self) -> Arc<Report> {
        Arc::new(self.0.report().clone().into())
    }

    /// When the proof ends, in seconds since 1970-01-01T00:00:00Z.
    pub fn not_after(&self) -> u64 {
        self.0.not_after()
    }

    /// Seals a request body: one JSON object in the OpenAI chat form, for this endpoint's model. What the protocol cannot encrypt is
    /// refused, never sent in clear. A retry seals anew. `at` is the current time; default is the system's clock.
    #[uniffi::method(default(at = None))]
    pub fn seal(&self, body: Vec<u8>, at: Option<u64>) -> Outcome<Sealed> {
        guarded(|| {
            let at = at.map_or_else(now_unix_s, Ok)?;
            Ok(self.0.seal(&body, at, &mut OsRandom)?.into())
        })
    }

    /// The same for any endpoint of the API, by its path (`/v1/embeddings`); the answer opens as `document` events. Forms need their
    /// content type. What the provider does not carry sealed is refused (`unsupported_endpoint`).
    #[uniffi::method(default(content_type = None, at = None))]
    pub fn seal_request(
        &self,
        endpoint_path: String,
        body: Vec<u8>,
        content_type: Option<String>,
        at: Option<u64>,
    ) -> Outcome<Sealed> {
        guarded(|| {
            let at = at.map_or_else(now_unix_s, Ok)?;
            let request = OwnedRequest::new(&endpoint_path, &body, content_type)?;
            Ok(self.0.seal_request(&request.request(), at, &mut OsRandom)?.into())
        })
    }

    /// The request that asks the provider for the signature of a finished answer.
    pub fn signature_request(&self, receipt: Arc<Receipt>) -> Outcome<Arc<HttpRequest>> {
        guarded(|| Ok(Arc::new(self.0.signature_request(receipt.inner())?.into())))
    }

    /// Judges the answer to it against the proven key and the bytes of this exchange.
    pub fn check_signature(
        &self,
        receipt: Arc<Receipt>,
        status: u16,
        headers: Vec<ResponseHeader>,
        body: Vec<u8>,
    ) -> Outcome<SignatureVerdict> {
        guarded(|| Ok(self.0.check_signature(receipt.inner(), &response(status, headers, body))?.into()))
    }
}
