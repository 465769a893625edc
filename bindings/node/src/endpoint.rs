//! The proof, and what it seals.

use std::sync::Arc;

use napi::bindgen_prelude::AsyncTask;
use napi_derive::napi;
use proveil_bindings_support::core::endpoint::VerifiedEndpoint;
use proveil_bindings_support::{OpenerCell, OsRandom, OwnedRequest, now_unix_s};

use crate::answer::{Answer, Work, answer, work};
use crate::opener::{Opener, Receipt};
use crate::report::Report;
use crate::values::{RequestFields, number, response, seconds};

/// An endpoint whose key was proven. It has no constructor.
#[napi]
pub struct Endpoint(Arc<VerifiedEndpoint>);

impl From<Arc<VerifiedEndpoint>> for Endpoint {
    fn from(endpoint: Arc<VerifiedEndpoint>) -> Endpoint {
        Endpoint(endpoint)
    }
}

/// A sealed request and what opens its answer.
#[napi(object, object_from_js = false)]
pub struct SealedFields {
    /// To be sent.
    pub request: RequestFields,
    /// Opens the answer.
    pub opener: Opener,
}

#[napi]
impl Endpoint {
    /// The report that led here.
    #[napi]
    pub fn report(&self) -> Answer<Report> {
        answer(|| Ok(self.0.report().clone().into()))
    }

    /// When the proof ends, in seconds since 1970-01-01T00:00:00Z.
    #[napi]
    pub fn not_after(&self) -> Answer<f64> {
        answer(|| Ok(number(self.0.not_after())))
    }

    /// Seals a request body, by the system's clock unless `at` is given.
    #[napi]
    pub fn seal(&self, body: &[u8], at: Option<f64>) -> AsyncTask<Work<SealedFields>> {
        let (endpoint, body) = (self.0.clone(), zeroize::Zeroizing::new(body.to_vec()));
        work(move || {
            let at = seconds("at", at)?.map_or_else(now_unix_s, Ok)?;
            let (sealed, opener) = endpoint.seal(&body, at, &mut OsRandom)?;
            Ok(SealedFields { request: sealed.request().into(), opener: OpenerCell::new(opener).into() })
        })
    }

    /// Seals a request for any endpoint.
    #[napi]
    pub fn seal_request(
        &self,
        endpoint_path: String,
        body: &[u8],
        content_type: Option<String>,
        at: Option<f64>,
    ) -> AsyncTask<Work<SealedFields>> {
        let endpoint = self.0.clone();
        let request = OwnedRequest::new(&endpoint_path, body, content_type);
        work(move || {
            let at = seconds("at", at)?.map_or_else(now_unix_s, Ok)?;
            let (sealed, opener) = endpoint.seal_request(&request?.request(), at, &mut OsRandom)?;
            Ok(SealedFields { request: sealed.request().into(), opener: OpenerCell::new(opener).into() })
        })
    }

    /// The request that asks for the signature of a finished answer.
    #[napi]
    pub fn signature_request(&self, receipt: &Receipt) -> Answer<RequestFields> {
        answer(|| Ok(RequestFields::from(&self.0.signature_request(receipt.inner())?)))
    }

    /// Judges the answer to it: the verdict's name.
    #[napi]
    pub fn check_signature(
        &self,
        receipt: &Receipt,
        status: u32,
        headers: Vec<String>,
        body: &[u8],
    ) -> AsyncTask<Work<&'static str>> {
        let (endpoint, receipt, body) = (self.0.clone(), receipt.inner().clone(), body.to_vec());
        work(move || Ok(endpoint.check_signature(&receipt, &response(status, headers, body)?)?.name()))
    }
}
