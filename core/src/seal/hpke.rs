//! A key shared with an enclave by HPKE (RFC 9180; protocols/privatemode.md 4.1, 4.3).
//!
//! Two uses:
//! - a secret: the client makes an [`ExchangeKey`] and is the recipient, the enclave encapsulates to it, both export the same 32 bytes;
//! - messages (base mode with X25519 and AES-256-GCM): the enclave has the key, the client is the sender, see [`open_channel`].
//!
//! HPKE proves nothing about the sender: a secret is worth as much as the signature over `public key || encapsulated key` that came
//! with it (threats I11, T37). Checking that is not done here.

use crate::crypto::{
    self, HpkeReceiver, HpkeSender, SecureRandom, X25519_KEY_LEN, XWING_ENCAPSULATED_LEN, XWING_PUBLIC_LEN,
    XwingKey,
};
use crate::error::{Code, Error, Result};
use crate::secret::Secret;
use crate::wire::base64;

/// The id of the secret that was exchanged with a public key: its SHA-256 in base64, 44 characters.
pub fn secret_id(public_key: &[u8]) -> String {
    base64::encode(&crypto::sha256(&[public_key]))
}

/// A key pair for one exchange (X-Wing, export only). Used up by [`ExchangeKey::open`]; wiped on drop.
pub struct ExchangeKey {
    key: XwingKey,
    public: Box<[u8; XWING_PUBLIC_LEN]>,
}

impl ExchangeKey {
    /// A fresh key pair from 32 bytes of `rng`. Fails with `random_failed`.
    pub fn generate(rng: &mut dyn SecureRandom) -> Result<ExchangeKey> {
        let mut seed = Secret::zero();
        rng.fill(seed.expose_mut())?;
        let key = XwingKey::new(&seed)?;
        let public = Box::new(key.public_key()?);
        Ok(ExchangeKey { key, public })
    }

    /// The public key as it is sent: ML-KEM-768 (1184 bytes), then X25519 (32 bytes).
    pub fn public_key(&self) -> &[u8; XWING_PUBLIC_LEN] {
        &self.public
    }

    /// The id under which the secret will be known, see [`secret_id`].
    pub fn secret_id(&self) -> String {
        secret_id(self.public.as_slice())
    }

    /// The secret that the sender of `encapsulated` (1120 bytes) exported. A changed key gives another secret, not an error.
    ///
    /// Errors: `malformed_response` for another length, `invalid_point` for an X25519 part of low order (threats T28).
    pub fn open(self, encapsulated: &[u8]) -> Result<Secret<32>> {
        let encapsulated: &[u8; XWING_ENCAPSULATED_LEN] = encapsulated.try_into().map_err(|_| {
            Error::new(Code::MalformedResponse)
                .at("encapsulated key")
                .expected(format!("{XWING_ENCAPSULATED_LEN} bytes"))
                .found(format!("{} bytes", encapsulated.len()))
        })?;
        let mut secret = Secret::zero();
        self.key.receive(encapsulated, &[], &[], secret.expose_mut())?;
        Ok(secret)
    }
}

/// The enclave's side of an exchange, for servers: encapsulates to a client's public key (1216 bytes) and gives the encapsulated key
/// with the secret. Takes 64 bytes from `rng`.
///
/// Errors: `invalid_argument` for another length, `invalid_point` for bytes that are not a key, `random_failed`.
pub fn answer_exchange(
    public_key: &[u8],
    rng: &mut dyn SecureRandom,
) -> Result<([u8; XWING_ENCAPSULATED_LEN], Secret<32>)> {
    let public_key: &[u8; XWING_PUBLIC_LEN] = public_key.try_into().map_err(|_| {
        Error::new(Code::InvalidArgument).at("public key").expected(format!("{XWING_PUBLIC_LEN} bytes"))
    })?;
    let mut secret = Secret::zero();
    let encapsulated = crypto::xwing_send(public_key, &[], &[], secret.expose_mut(), rng)?;
    Ok((encapsulated, secret))
}

/// Opens a channel to the holder of an X25519 key: the encapsulated key (32 bytes), which goes ahead of the messages, and what seals them
/// in order. `info` is the protocol's name or what it binds, at most 4096 bytes. Answers are sealed under keys from
/// [`HpkeSender::export`].
///
/// Errors: `invalid_point`, `random_failed`, `invalid_argument`.
pub fn open_channel(
    public_key: &[u8; X25519_KEY_LEN],
    info: &[u8],
    rng: &mut dyn SecureRandom,
) -> Result<([u8; X25519_KEY_LEN], HpkeSender)> {
    crypto::x25519_send(public_key, info, rng)
}

/// The other end of [`open_channel`], for servers: `key` is the X25519 private key.
///
/// Errors: `invalid_point`, `invalid_argument`.
pub fn accept_channel(
    key: &Secret<32>,
    encapsulated: &[u8; X25519_KEY_LEN],
    info: &[u8],
) -> Result<HpkeReceiver> {
    crypto::x25519_receive(key, encapsulated, info)
}
