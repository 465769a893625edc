//! A message cipher of its own for the tests of what is sealed, and requests in one line.

use std::collections::VecDeque;

use proveil_core::crypto::AesGcm256;
use proveil_core::openai::ApiEndpoint;
use proveil_core::provider::privatemode::{Content, MessageSize, PlanOptions, RequestPlan, plan};
use proveil_core::secret::Secret;
use proveil_core::wire::hex;
use proveil_core::{Code, Error};
use serde_json::Value;

use super::{TestRandom, bytes, text};

/// The message cipher of protocols/privatemode.md 5.1 with ivs that are given, made for these tests.
pub struct Cipher {
    aead: AesGcm256,
    id: String,
    nonce: Vec<u8>,
    pub ivs: VecDeque<Vec<u8>>,
    counter: u32,
}

impl Cipher {
    pub fn of(case: &Value) -> Cipher {
        let mut key: [u8; 32] = bytes(case, "key_hex").try_into().unwrap();
        let mut ivs: VecDeque<Vec<u8>> = VecDeque::new();
        if let Some(listed) = case["ivs_hex"].as_array() {
            ivs.extend(listed.iter().map(|iv| hex::decode(iv.as_str().unwrap()).unwrap()));
        } else if case["iv_hex"].is_string() {
            ivs.push_back(bytes(case, "iv_hex"));
        }
        Cipher {
            aead: AesGcm256::new(&Secret::take(&mut key)).unwrap(),
            id: text(case, "secret_id").to_owned(),
            nonce: bytes(case, "nonce_hex"),
            ivs,
            counter: 0,
        }
    }

    pub fn fixed() -> Cipher {
        let ivs = (0..20_000_u32).map(|i| [[0; 8].as_slice(), &i.to_be_bytes()].concat()).collect();
        Cipher {
            aead: AesGcm256::new(&Secret::take(&mut [7; 32])).unwrap(),
            id: "i".repeat(44),
            nonce: vec![9; 12],
            ivs,
            counter: 0,
        }
    }

    pub fn size(&self) -> MessageSize {
        MessageSize { id_bytes: self.id.len() }
    }

    fn aad(&mut self) -> Vec<u8> {
        let aad = [self.nonce.as_slice(), &self.counter.to_le_bytes()].concat();
        self.counter += 1;
        aad
    }

    pub fn seal(&mut self, plaintext: &[u8], out: &mut Vec<u8>) -> Result<(), Error> {
        let iv: [u8; 12] = self.ivs.pop_front().unwrap().try_into().unwrap();
        let (aad, mut buffer) = (self.aad(), plaintext.to_vec());
        self.aead.seal(&iv, &aad, &mut buffer)?;
        let parts = [self.id.clone(), hex::encode(&self.nonce), hex::encode(&iv), hex::encode(&buffer)];
        out.extend_from_slice(format!("\"{}\"", parts.join(":")).as_bytes());
        Ok(())
    }

    pub fn open(&mut self, raw: &str, out: &mut Vec<u8>) -> Result<(), Error> {
        let inner = raw.strip_prefix('"').and_then(|raw| raw.strip_suffix('"')).ok_or(Code::NotCiphertext)?;
        let parts: Vec<&str> = inner.split(':').collect();
        let [id, nonce, iv, message] = parts.as_slice() else { return Err(Code::NotCiphertext.into()) };
        if *id != self.id || hex::decode(nonce) != Some(self.nonce.clone()) {
            return Err(Code::ForeignField.into());
        }
        let iv = hex::decode_array(iv).ok_or(Code::NotCiphertext)?;
        let mut message = hex::decode(message).ok_or(Code::NotCiphertext)?;
        let aad = self.aad();
        let opened = self.aead.open(&iv, &aad, &mut message)?;
        out.extend_from_slice(&message[..opened]);
        Ok(())
    }
}

/// The sealed body of a plan.
pub fn sealed_text(plan: &RequestPlan<'_>, cipher: &mut Cipher) -> Result<String, Error> {
    let sealed = plan.write(cipher.size(), |plaintext, out| cipher.seal(plaintext, out))?;
    Ok(String::from_utf8(sealed).unwrap())
}

/// The plan of a JSON request with default settings.
pub fn plan_json<'a>(endpoint: &ApiEndpoint, body: &'a str) -> Result<RequestPlan<'a>, Error> {
    plan(endpoint.clone(), Content::Json(body.as_bytes()), &PlanOptions::default(), &mut TestRandom(1, 0))
}
