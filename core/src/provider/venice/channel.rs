//! The sealed exchange with a proven Venice enclave (venice.md 3.3, 5).

use super::answer::{AnswerOpener, AnswerOptions};
use super::request::{self, RequestRules};
use super::signature;
use crate::crypto::{self, SecureRandom};
use crate::endpoint::{Answer, Channel, Receipt, SignatureVerdict};
use crate::error::{Code, Error, Result};
use crate::http::{BaseUrl, HttpRequest, HttpResponse, Method, encode_query};
use crate::limits::{ANSWER_MAX_BYTES, SIGNATURE_RESPONSE_MAX_BYTES};
use crate::provider::exchange::ExchangeConfig;
use crate::secret::SecretText;
use crate::wire::hex;

/// Everything that a request to one proven key needs.
pub(super) struct VeniceChannel {
    base: BaseUrl,
    model: String,
    key: [u8; 65],
    api_key: SecretText,
    rules: RequestRules,
    allow_whitespace_plaintext: bool,
}

impl VeniceChannel {
    pub fn new(config: &ExchangeConfig, base: BaseUrl, key: [u8; 65]) -> VeniceChannel {
        VeniceChannel {
            base,
            model: config.model.clone(),
            key,
            api_key: config.api_key.duplicate(),
            rules: RequestRules { allow_clear_stop: config.policy.allow_clear_stop() },
            allow_whitespace_plaintext: config.policy.allow_whitespace_plaintext(),
        }
    }

    fn authorised(&self, request: HttpRequest) -> HttpRequest {
        request
            .secret_header("authorization", format!("Bearer {}", self.api_key.expose()))
            .header("accept-encoding", "identity")
    }
}

impl Channel for VeniceChannel {
    fn seal(&self, body: &[u8], rng: &mut dyn SecureRandom) -> Result<(HttpRequest, Box<dyn Answer>)> {
        let plan = request::plan(body, &[&self.model], &self.rules)?;
        let client_key = crypto::secp256k1_generate(rng)?;
        let client_public = crypto::secp256k1_public_key(&client_key).ok_or(Code::Internal)?;
        let sealed = plan.seal(&self.key, rng)?;
        let request_sha256 = crypto::sha256(&[&sealed]);
        let url = format!("{}/chat/completions", self.base.as_str());
        let request = self
            .authorised(HttpRequest::new(Method::Post, url, "chat", ANSWER_MAX_BYTES))
            .header("content-type", "application/json")
            .header("accept", "text/event-stream")
            .header("x-venice-tee-signing-algo", "ecdsa")
            .header("x-venice-tee-client-pub-key", hex::encode(&client_public))
            .header("x-venice-tee-model-pub-key", hex::encode(&self.key))
            .with_body(sealed);
        let options = AnswerOptions { allow_whitespace_plaintext: self.allow_whitespace_plaintext, request_sha256 };
        Ok((request, Box::new(AnswerOpener::new(client_key, options)?)))
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
            200..300 => signature::check(response.body(), &self.key, receipt),
            status => Err(Error::new(Code::SignatureUnavailable).found(format!("HTTP {status}"))),
        }
    }
}
