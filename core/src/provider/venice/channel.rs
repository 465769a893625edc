//! The sealed exchange with a proven Venice enclave (venice.md 3.3, 5).

use super::request::{self, KnownModels, Relaxations};
use super::sealing::seal_chat;
use super::signature::{Binding, Signer, Verdict, check_signature, parse_signature};
use crate::crypto::SecureRandom;
use crate::endpoint::{Answer, ApiRequest, BodyForm, Channel, Receipt, SignatureVerdict};
use crate::error::{Code, Error, Result};
use crate::http::{BaseUrl, HttpRequest, HttpResponse, Method, encode_query};
use crate::limits::{ANSWER_MAX_BYTES, SIGNATURE_RESPONSE_MAX_BYTES};
use crate::openai::ApiEndpoint;
use crate::provider::exchange::ExchangeConfig;
use crate::provider::node::keys::address_of;
use crate::secret::SecretText;

/// Everything that a request to one proven key needs.
pub(super) struct VeniceChannel {
    base: BaseUrl,
    model: String,
    key: [u8; 65],
    api_key: SecretText,
    relaxations: Relaxations,
}

impl VeniceChannel {
    pub fn new(config: &ExchangeConfig, base: BaseUrl, key: [u8; 65]) -> VeniceChannel {
        VeniceChannel {
            base,
            model: config.model.clone(),
            key,
            api_key: config.api_key.duplicate(),
            relaxations: Relaxations {
                allow_clear_stop: config.policy.allow_clear_stop(),
                allow_whitespace_plaintext: config.policy.allow_whitespace_plaintext(),
            },
        }
    }

    fn authorised(&self, request: HttpRequest) -> HttpRequest {
        request
            .secret_header("authorization", format!("Bearer {}", self.api_key.expose()))
            .header("accept-encoding", "identity")
    }
}

impl Channel for VeniceChannel {
    fn seal(
        &self,
        sealed: &ApiRequest<'_>,
        _: BodyForm,
        _at: u64,
        rng: &mut dyn SecureRandom,
    ) -> Result<(HttpRequest, Box<dyn Answer>)> {
        // The protocol seals the texts of a chat, and its answers are nothing else.
        if sealed.endpoint != ApiEndpoint::ChatCompletions || sealed.documents {
            return Err(Error::new(Code::UnsupportedEndpoint)
                .found(sealed.endpoint.path())
                .expected("/v1/chat/completions, answered as texts"));
        }
        let known = [self.model.as_str()];
        let plan = request::plan(sealed.body, Some(KnownModels::E2eeIds(&known)), self.relaxations)?;
        let sealed = seal_chat(&plan, &self.key, self.relaxations, rng)?;
        let url = format!("{}/chat/completions", self.base.as_str());
        let mut request = self
            .authorised(HttpRequest::new(Method::Post, url, "chat", ANSWER_MAX_BYTES))
            .header("content-type", "application/json")
            .header("accept", "text/event-stream")
            .with_body(sealed.body);
        for (name, value) in sealed.headers {
            request = request.header(name, value);
        }
        Ok((request, Box::new(sealed.opener)))
    }

    fn signature_request(&self, receipt: &Receipt) -> Result<HttpRequest> {
        let id = receipt.id.as_deref().ok_or_else(|| Error::new(Code::SignatureUnavailable).at("id"))?;
        let url = format!(
            "{}/tee/signature?model={}&request_id={}",
            self.base.as_str(),
            encode_query(&self.model),
            encode_query(id)
        );
        Ok(self
            .authorised(HttpRequest::new(Method::Get, url, "signature", SIGNATURE_RESPONSE_MAX_BYTES))
            .header("accept", "application/json"))
    }

    fn check_signature(&self, receipt: &Receipt, response: &HttpResponse) -> Result<SignatureVerdict> {
        response.head().check_plain()?;
        match response.head().status() {
            200..300 => {
                let signature = parse_signature(response.body())?;
                let attested = Signer::Ecdsa(address_of(&self.key));
                let bodies = (&receipt.request_sha256, &receipt.response_sha256);
                match check_signature(&signature, &attested, Some(bodies), Binding::ThroughRelay)? {
                    Verdict::SignedBodyMatches => Ok(SignatureVerdict::BodyMatches),
                    Verdict::SignedBodyNotVerifiable | Verdict::SignedBodyNotCompared => {
                        Ok(SignatureVerdict::SignedBodyNotVerifiable)
                    }
                }
            }
            status => Err(Error::new(Code::SignatureUnavailable).found(format!("HTTP {status}"))),
        }
    }
}
