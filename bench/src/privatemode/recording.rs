//! Requests, and answers as a deployment seals them, made here.

use proveil_core::crypto::{SecureRandom, sha256};
use proveil_core::error::Result;
use proveil_core::openai::ApiEndpoint;
use proveil_core::openai::select::Document;
use proveil_core::provider::privatemode::{Direction, MessageSize, plain_members};
use proveil_core::seal::gcm_stream::{FieldCipher, MessageKey};
use proveil_core::secret::Secret;

use super::bare::Sealed;

/// Model of all requests.
pub const MODEL: &str = "gpt-oss-120b";
/// An id as the service makes them: a SHA-256 in base64.
pub const SECRET_ID: &str = "n4bQgYhMfWWaL+qgxVrQFaO/TxsrC4Is0V1sFbDwCgg=";
/// A sentence of an answer as it stands inside a JSON text.
const SENTENCE: &str = "The sky is blue because air scatters \\\"short\\\" light more than long light, \
                        so what comes from the side is blue.\\n";

/// Numbers for a reproducible exchange; the first twelve bytes are always the same.
pub struct Lcg(pub u64);

impl SecureRandom for Lcg {
    fn fill(&mut self, out: &mut [u8]) -> Result<()> {
        for piece in out.chunks_mut(8) {
            self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            piece.copy_from_slice(&self.0.to_le_bytes()[..piece.len()]);
        }
        Ok(())
    }
}

/// The secret of the exchange.
pub fn secret() -> Secret<32> {
    Secret::take(&mut sha256(&[b"bench secret"]))
}

/// The client's side of an exchange with the first numbers of [`Lcg`].
pub fn cipher(secret: &Secret<32>) -> FieldCipher {
    FieldCipher::new(secret, SECRET_ID, &mut Lcg(1)).expect("a good id")
}

/// The sizes that go with [`SECRET_ID`].
pub const SIZE: MessageSize = MessageSize { id_bytes: SECRET_ID.len() };

fn prose(bytes: usize) -> String {
    let mut text = SENTENCE.repeat(bytes / SENTENCE.len() + 1);
    text.truncate(bytes);
    // Not in the middle of an escape.
    text.truncate(text.trim_end_matches('\\').len());
    text
}

/// A chat request of about so many bytes.
pub fn chat_request(bytes: usize) -> String {
    let body = |content: &str| {
        format!(
            "{{\"model\":\"{MODEL}\",\"messages\":[{{\"role\":\"system\",\"content\":\"You are a helpful assistant.\"}},\
             {{\"role\":\"user\",\"content\":\"{content}\"}}],\"temperature\":0.7,\"max_tokens\":1024,\"stream\":true}}"
        )
    };
    body(&prose(bytes.saturating_sub(body("").len())))
}

/// A whole answer of about so many bytes.
pub fn answer(bytes: usize) -> String {
    let body = |content: &str| {
        format!(
            "{{\"id\":\"chatcmpl-8f14e45fceea167a5a36dedd4bea2543\",\"object\":\"chat.completion\",\"created\":1790000000,\
             \"model\":\"{MODEL}\",\"choices\":[{{\"index\":0,\"message\":{{\"role\":\"assistant\",\"content\":\"{content}\"}},\
             \"logprobs\":null,\"finish_reason\":\"stop\"}}],\
             \"usage\":{{\"prompt_tokens\":12,\"total_tokens\":524,\"completion_tokens\":512}}}}"
        )
    };
    body(&prose(bytes.saturating_sub(body("").len())))
}

/// One event of a stream: a token, or the end.
pub fn event(token: Option<&str>, number: usize) -> String {
    let (delta, finish) = match token {
        Some(token) => (format!("{{\"content\":\"{token}\"}}"), "null"),
        None => ("{}".to_owned(), "\"stop\""),
    };
    format!(
        "{{\"id\":\"chatcmpl-8f14e45fceea167a5a36dedd4bea2543\",\"object\":\"chat.completion.chunk\",\"created\":1790000000,\
         \"model\":\"{MODEL}\",\"choices\":[{{\"index\":0,\"delta\":{delta},\"logprobs\":null,\"finish_reason\":{finish},\
         \"token_ids\":null}}],\"usage\":{{\"prompt_tokens\":12,\"total_tokens\":{},\"completion_tokens\":{number}}}}}",
        12 + number
    )
}

/// The deployment's side of an exchange: seals what it answers and keeps what a bare opening needs.
pub struct Fields {
    key: MessageKey,
    nonce: [u8; 12],
    random: Lcg,
    /// Every sealed value in order.
    pub sealed: Vec<Sealed>,
}

impl Fields {
    /// Answers the exchange of [`cipher`].
    pub fn new() -> Fields {
        let nonce = *cipher(&secret()).nonce();
        let key = MessageKey::new(secret().expose(), SECRET_ID, nonce).expect("a good id");
        Fields { key, nonce, random: Lcg(1 << 40), sealed: Vec::new() }
    }

    /// Seals the members of an answer or of an event that are not clear.
    pub fn seal(&mut self, text: &str) -> String {
        let plain = plain_members(&ApiEndpoint::ChatCompletions, Direction::Response).expect("an endpoint");
        let document = Document::parse(text).expect("an honest answer");
        let mut out = Vec::new();
        let replace = |_: &str, raw: &str, out: &mut Vec<u8>| {
            let counter = u32::try_from(self.sealed.len()).expect("few fields");
            let start = out.len();
            self.key.seal_at(counter, raw.as_bytes(), &mut self.random, out)?;
            self.sealed.push(Sealed::new(&out[start..], raw, self.nonce, counter));
            Ok(())
        };
        document.rewrite(plain, |bytes| SIZE.sealed(bytes), replace, &mut out).expect("an honest answer");
        String::from_utf8(out).expect("ASCII")
    }
}

impl Default for Fields {
    fn default() -> Fields {
        Fields::new()
    }
}
