//! HPKE (RFC 9180) in base mode, with two suites; both back ends use the crate `hpke`.
//!
//! | suite | KEM | KDF | AEAD | for |
//! | --- | --- | --- | --- | --- |
//! | X-Wing | MLKEM768-X25519, 0x647a | HKDF-SHA256 | export only, 0xffff | secrets that are only exported |
//! | X25519 | DHKEM(X25519, HKDF-SHA256), 0x0020 | HKDF-SHA256 | AES-256-GCM, 0x0002 | messages |
//!
//! Suites are fixed by type, so none can be negotiated down (threats T31). The crate panics when an export-only context seals or opens,
//! when `info` has 64 KiB or more, and for authenticated modes with X-Wing: no function here seals with the first suite, `info` is
//! bounded, and base mode is the only one.

use std::convert::Infallible;

use hpke::aead::{AeadCtxR, AeadCtxS, AeadTag, AesGcm256, ExportOnlyAead};
use hpke::kdf::HkdfSha256;
use hpke::kem::{Kem, X25519HkdfSha256, XWing};
use hpke::rand_core::{TryCryptoRng, TryRng};
use hpke::{
    Deserializable, HpkeError, OpModeR, OpModeS, Serializable, setup_receiver, setup_sender_with_rng,
};

use super::{GCM_TAG_LEN, SecureRandom};
use crate::error::{Code, Error, Result};
use crate::secret::{Secret, wipe};

/// Length of an X-Wing public key in bytes: ML-KEM-768 (1184), then X25519 (32).
pub const XWING_PUBLIC_LEN: usize = 1216;
/// Length of an X-Wing encapsulated key in bytes: ML-KEM-768 ciphertext (1088), then X25519 public key (32).
pub const XWING_ENCAPSULATED_LEN: usize = 1120;
/// Length of an X25519 key in bytes.
pub const X25519_KEY_LEN: usize = 32;
/// Longest `info` and exporter context in bytes; far below where the crate panics, far above what any protocol uses.
const TEXT_MAX_BYTES: usize = 4096;
/// Longest exported secret in bytes (RFC 5869: 255 hashes).
const EXPORT_MAX_BYTES: usize = 255 * 32;

type Sender<A, K> = AeadCtxS<A, HkdfSha256, K>;
type Receiver<A, K> = AeadCtxR<A, HkdfSha256, K>;

/// An X-Wing private key, expanded once for the public key and for what is received. In one place on the heap, and wiped on drop by the
/// crate.
pub struct XwingKey(Box<<XWing as Kem>::PrivateKey>);

impl XwingKey {
    /// The key of a 32-byte seed.
    pub fn new(seed: &Secret<32>) -> Result<XwingKey> {
        let key = <XWing as Kem>::PrivateKey::from_bytes(seed.expose()).map_err(|_| Code::Internal)?;
        Ok(XwingKey(Box::new(key)))
    }

    /// Its public key.
    pub fn public_key(&self) -> Result<[u8; XWING_PUBLIC_LEN]> {
        fixed(&XWing::sk_to_pk(&self.0))
    }

    /// The recipient's side: exports into `out` what the sender of `encapsulated` exported. Whoever knows the public key can be that
    /// sender: nothing is authenticated here.
    ///
    /// Errors: `invalid_point` for an X25519 part of low order (threats T28), `invalid_argument` for `info`, `context` or `out` that is
    /// too long. A wrong ML-KEM part gives another secret, not an error (implicit rejection).
    pub fn receive(
        &self,
        encapsulated: &[u8; XWING_ENCAPSULATED_LEN],
        info: &[u8],
        context: &[u8],
        out: &mut [u8],
    ) -> Result<()> {
        check_texts(info, context, out)?;
        refuse_low_order(encapsulated)?;
        let receiver = receive::<ExportOnlyAead, XWing>(&self.0, encapsulated, info)?;
        receiver.export(context, out).map_err(|_| Error::new(Code::Internal))
    }
}

/// [`XwingKey::public_key`] of a 32-byte seed.
pub fn xwing_public_key(seed: &Secret<32>) -> Result<[u8; XWING_PUBLIC_LEN]> {
    XwingKey::new(seed)?.public_key()
}

/// [`XwingKey::receive`] with the key of a 32-byte seed.
pub fn xwing_receive(
    seed: &Secret<32>,
    encapsulated: &[u8; XWING_ENCAPSULATED_LEN],
    info: &[u8],
    context: &[u8],
    out: &mut [u8],
) -> Result<()> {
    XwingKey::new(seed)?.receive(encapsulated, info, context, out)
}

/// The sender's side with X-Wing: exports a secret into `out` and gives the encapsulated key for the recipient. Takes from `rng` the
/// ML-KEM message (32 bytes), then the X25519 private key (32 bytes).
///
/// Errors: `invalid_point` for a public key that is not one or whose X25519 part has low order (threats T28), `random_failed`,
/// `invalid_argument` for `info`, `context` or `out` that is too long.
pub fn xwing_send(
    public: &[u8; XWING_PUBLIC_LEN],
    info: &[u8],
    context: &[u8],
    out: &mut [u8],
    rng: &mut dyn SecureRandom,
) -> Result<[u8; XWING_ENCAPSULATED_LEN]> {
    check_texts(info, context, out)?;
    refuse_low_order(public)?;
    let (encapsulated, sender): (_, Sender<ExportOnlyAead, XWing>) = send(public, info, rng)?;
    sender.export(context, out).map_err(|_| Error::new(Code::Internal))?;
    Ok(encapsulated)
}

/// The X25519 public key of a 32-byte private key (clamped first, RFC 7748).
pub fn x25519_public_key(key: &Secret<32>) -> Result<[u8; X25519_KEY_LEN]> {
    fixed(&X25519HkdfSha256::sk_to_pk(&x25519_key(key)?))
}

fn x25519_key(key: &Secret<32>) -> Result<<X25519HkdfSha256 as Kem>::PrivateKey> {
    <X25519HkdfSha256 as Kem>::PrivateKey::from_bytes(key.expose()).map_err(|_| Error::new(Code::Internal))
}

/// The recipient's side with X25519. Errors: `invalid_point` when the shared point is zero (threats T28), `invalid_argument` for `info`
/// that is too long.
pub fn x25519_receive(
    key: &Secret<32>,
    encapsulated: &[u8; X25519_KEY_LEN],
    info: &[u8],
) -> Result<HpkeReceiver> {
    check_texts(info, &[], &[])?;
    receive(&x25519_key(key)?, encapsulated, info).map(HpkeReceiver)
}

/// The sender's side with X25519: the encapsulated key for the recipient, and what seals to it. Takes 32 bytes from `rng`, from which
/// the ephemeral key is derived (RFC 9180, DeriveKeyPair).
///
/// Errors: `invalid_point` when the shared point is zero (threats T28), `random_failed`, `invalid_argument` for `info` that is too long.
pub fn x25519_send(
    public: &[u8; X25519_KEY_LEN],
    info: &[u8],
    rng: &mut dyn SecureRandom,
) -> Result<([u8; X25519_KEY_LEN], HpkeSender)> {
    check_texts(info, &[], &[])?;
    send(public, info, rng).map(|(encapsulated, sender)| (encapsulated, HpkeSender(sender)))
}

/// Seals messages in order to the recipient of an encapsulated key (X25519 suite). Cannot be cloned: the count of messages makes the
/// nonces (threats T29).
pub struct HpkeSender(Sender<AesGcm256, X25519HkdfSha256>);

impl HpkeSender {
    /// Encrypts the next message in place and appends the 16-byte tag.
    ///
    /// Errors: `already_finished` after 2^64 messages, `limit_exceeded` for a message that is too long for AES-GCM.
    pub fn seal(&mut self, aad: &[u8], buffer: &mut Vec<u8>) -> Result<()> {
        let tag =
            self.0.seal_inout_detached(buffer.as_mut_slice().into(), aad).map_err(|error| match error {
                HpkeError::MessageLimitReached => Error::new(Code::AlreadyFinished),
                _ => Error::new(Code::LimitExceeded).at("AES-GCM message length"),
            })?;
        buffer.extend_from_slice(&tag.to_bytes());
        Ok(())
    }

    /// Exports a secret into `out`. Fails with `invalid_argument` for a context or `out` that is too long.
    pub fn export(&self, context: &[u8], out: &mut [u8]) -> Result<()> {
        check_texts(&[], context, out)?;
        self.0.export(context, out).map_err(|_| Error::new(Code::Internal))
    }
}

/// Opens messages in order (X25519 suite). Nothing says who sent them.
pub struct HpkeReceiver(Receiver<AesGcm256, X25519HkdfSha256>);

impl HpkeReceiver {
    /// Opens the next message (ciphertext and tag) in place; gives the plaintext's length. A message that fails is not counted. On
    /// failure the buffer is wiped and the error is `auth_failed` (threats T30, T35), or `already_finished` after 2^64 messages.
    pub fn open(&mut self, aad: &[u8], buffer: &mut [u8]) -> Result<usize> {
        let opened = self.try_open(aad, buffer);
        if opened.is_err() {
            wipe(buffer);
        }
        opened
    }

    fn try_open(&mut self, aad: &[u8], buffer: &mut [u8]) -> Result<usize> {
        let (text, tag) = buffer.split_last_chunk_mut::<GCM_TAG_LEN>().ok_or(Code::AuthFailed)?;
        let tag = AeadTag::<AesGcm256>::from_bytes(tag).map_err(|_| Code::AuthFailed)?;
        let length = text.len();
        self.0.open_inout_detached(text.into(), aad, &tag).map_err(|error| match error {
            HpkeError::MessageLimitReached => Error::new(Code::AlreadyFinished),
            _ => Error::new(Code::AuthFailed),
        })?;
        Ok(length)
    }

    /// Exports a secret into `out`. Fails with `invalid_argument` for a context or `out` that is too long.
    pub fn export(&self, context: &[u8], out: &mut [u8]) -> Result<()> {
        check_texts(&[], context, out)?;
        self.0.export(context, out).map_err(|_| Error::new(Code::Internal))
    }
}

fn check_texts(info: &[u8], context: &[u8], out: &[u8]) -> Result<()> {
    for (name, length, most) in [
        ("HPKE info", info.len(), TEXT_MAX_BYTES),
        ("HPKE exporter context", context.len(), TEXT_MAX_BYTES),
        ("HPKE exported secret", out.len(), EXPORT_MAX_BYTES),
    ] {
        if length > most {
            return Err(Error::new(Code::InvalidArgument).at(name).expected(format!("at most {most} bytes")));
        }
    }
    Ok(())
}

fn fixed<const N: usize>(value: &impl Serializable) -> Result<[u8; N]> {
    value.to_bytes().as_slice().try_into().map_err(|_| Error::new(Code::Internal))
}

fn receive<A: hpke::aead::Aead, K: Kem>(
    private: &K::PrivateKey,
    encapsulated: &[u8],
    info: &[u8],
) -> Result<Receiver<A, K>> {
    let encapsulated = K::EncappedKey::from_bytes(encapsulated).map_err(|_| Code::InvalidPoint)?;
    setup_receiver(&OpModeR::Base, private, &encapsulated, info).map_err(|_| Error::new(Code::InvalidPoint))
}

fn send<A: hpke::aead::Aead, K: Kem, const N: usize>(
    public: &[u8],
    info: &[u8],
    rng: &mut dyn SecureRandom,
) -> Result<([u8; N], Sender<A, K>)> {
    let public = K::PublicKey::from_bytes(public).map_err(|_| Code::InvalidPoint)?;
    let mut source = Source { rng, failed: None };
    let made = setup_sender_with_rng::<A, HkdfSha256, K>(&OpModeS::Base, &public, info, &mut source);
    // First of all, since a failed source has given zeros.
    if let Some(error) = source.failed {
        return Err(error);
    }
    let (encapsulated, sender) = made.map_err(|_| Code::InvalidPoint)?;
    Ok((fixed(&encapsulated)?, sender))
}

/// The caller's random source as the crate wants it, which knows no failure: what was made after one must be thrown away.
struct Source<'a> {
    rng: &'a mut dyn SecureRandom,
    failed: Option<Error>,
}

impl TryRng for Source<'_> {
    type Error = Infallible;

    fn try_next_u32(&mut self) -> Result<u32, Infallible> {
        let mut bytes = [0; 4];
        self.try_fill_bytes(&mut bytes)?;
        Ok(u32::from_le_bytes(bytes))
    }

    fn try_next_u64(&mut self) -> Result<u64, Infallible> {
        let mut bytes = [0; 8];
        self.try_fill_bytes(&mut bytes)?;
        Ok(u64::from_le_bytes(bytes))
    }

    fn try_fill_bytes(&mut self, out: &mut [u8]) -> Result<(), Infallible> {
        if let Err(error) = self.rng.fill(out) {
            out.fill(0);
            self.failed = Some(error);
        }
        Ok(())
    }
}

impl TryCryptoRng for Source<'_> {}

/// The u-coordinates of Curve25519 and its twist whose order divides 8, also those from the prime on; little-endian. X25519 gives zero
/// for exactly these.
const LOW_ORDER: [[u8; 32]; 7] = {
    let mut points = [[0; 32], [0; 32], [0xff; 32], [0xff; 32], [0xff; 32], ORDER_8_A, ORDER_8_B];
    points[1][0] = 1;
    points[2][0] = 0xec;
    points[3][0] = 0xed;
    points[4][0] = 0xee;
    points[2][31] = 0x7f;
    points[3][31] = 0x7f;
    points[4][31] = 0x7f;
    points
};
const ORDER_8_A: [u8; 32] = [
    0xe0, 0xeb, 0x7a, 0x7c, 0x3b, 0x41, 0xb8, 0xae, 0x16, 0x56, 0xe3, 0xfa, 0xf1, 0x9f, 0xc4, 0x6a, 0xda,
    0x09, 0x8d, 0xeb, 0x9c, 0x32, 0xb1, 0xfd, 0x86, 0x62, 0x05, 0x16, 0x5f, 0x49, 0xb8, 0x00,
];
const ORDER_8_B: [u8; 32] = [
    0x5f, 0x9c, 0x95, 0xbc, 0xa3, 0x50, 0x8c, 0x24, 0xb1, 0xd0, 0xb1, 0x55, 0x9c, 0x83, 0xef, 0x5b, 0x04,
    0x44, 0x5c, 0xc4, 0x58, 0x1c, 0x8e, 0x86, 0xd8, 0x22, 0x4e, 0xdd, 0xd0, 0x9f, 0x11, 0x57,
];

/// Refuses an X-Wing key whose last 32 bytes, an X25519 public key, make the classical half of the shared secret zero. The crate's
/// X-Wing takes them, Go's does not.
fn refuse_low_order(key: &[u8]) -> Result<()> {
    let mut point = *key.last_chunk::<X25519_KEY_LEN>().ok_or(Code::Internal)?;
    // X25519 ignores the first bit of the last byte (RFC 7748 section 5).
    if let Some(last) = point.last_mut() {
        *last &= 0x7f;
    }
    if LOW_ORDER.contains(&point) {
        return Err(Error::new(Code::InvalidPoint));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Repeated(u8);

    impl SecureRandom for Repeated {
        fn fill(&mut self, out: &mut [u8]) -> Result<()> {
            if self.0 == 0 {
                return Err(Error::new(Code::RandomFailed));
            }
            out.fill(self.0);
            Ok(())
        }
    }

    fn seed(byte: u8) -> Secret<32> {
        Secret::take(&mut [byte; 32])
    }

    /// The table is complete and right: X25519 itself, through the suite that checks for zero, is the judge (threats T28).
    #[test]
    fn points_of_low_order() {
        let mut points = LOW_ORDER.to_vec();
        points.extend(LOW_ORDER.map(|mut point| {
            point[31] |= 0x80;
            point
        }));
        for point in &points {
            assert_eq!(
                x25519_send(point, b"", &mut Repeated(1)).err().map(|e| e.code()),
                Some(Code::InvalidPoint)
            );
            assert_eq!(
                x25519_receive(&seed(9), point, b"").err().map(|e| e.code()),
                Some(Code::InvalidPoint)
            );
            let mut public = xwing_public_key(&seed(3)).unwrap();
            public[1184..].copy_from_slice(point);
            let refused = xwing_send(&public, b"", b"", &mut [0; 32], &mut Repeated(1));
            assert_eq!(refused.err().map(|e| e.code()), Some(Code::InvalidPoint));
            let mut encapsulated = [7; XWING_ENCAPSULATED_LEN];
            encapsulated[1088..].copy_from_slice(point);
            let refused = xwing_receive(&seed(3), &encapsulated, b"", b"", &mut [0; 32]);
            assert_eq!(refused.err().map(|e| e.code()), Some(Code::InvalidPoint));
        }
        // Neighbours of the points are not refused.
        for mut point in LOW_ORDER {
            point[1] ^= 0x10;
            assert!(x25519_send(&point, b"", &mut Repeated(1)).is_ok());
            assert!(refuse_low_order(&point).is_ok());
        }
    }

    #[test]
    fn bounds_instead_of_panics() {
        let long = vec![0; 1 << 16];
        let public = xwing_public_key(&seed(3)).unwrap();
        let plain = x25519_public_key(&seed(3)).unwrap();
        let encapsulated = xwing_send(&public, b"", b"", &mut [0; 32], &mut Repeated(1)).unwrap();
        let mut out = [0; 32];
        let refusals = [
            xwing_send(&public, &long, b"", &mut out, &mut Repeated(1)).err(),
            xwing_send(&public, b"", &long, &mut out, &mut Repeated(1)).err(),
            xwing_send(&public, b"", b"", &mut long.clone(), &mut Repeated(1)).err(),
            xwing_receive(&seed(3), &encapsulated, &long, b"", &mut out).err(),
            xwing_receive(&seed(3), &encapsulated, b"", &long, &mut out).err(),
            xwing_receive(&seed(3), &encapsulated, b"", b"", &mut long.clone()).err(),
            x25519_send(&plain, &long, &mut Repeated(1)).err(),
            x25519_receive(&seed(3), &plain, &long).err(),
        ];
        for refusal in refusals {
            assert_eq!(refusal.map(|e| e.code()), Some(Code::InvalidArgument));
        }
        let (_, sender) = x25519_send(&plain, b"", &mut Repeated(1)).unwrap();
        assert!(sender.export(b"", &mut [0; EXPORT_MAX_BYTES]).is_ok());
        assert!(sender.export(b"", &mut [0; EXPORT_MAX_BYTES + 1]).is_err());
        // A key of ones is not a canonical ML-KEM key.
        let refused = xwing_send(&[0xff; XWING_PUBLIC_LEN], b"", b"", &mut out, &mut Repeated(1));
        assert_eq!(refused.err().map(|e| e.code()), Some(Code::InvalidPoint));
    }

    #[test]
    fn a_failed_random_source_gives_nothing() {
        let public = xwing_public_key(&seed(3)).unwrap();
        let failed = xwing_send(&public, b"", b"", &mut [0; 32], &mut Repeated(0));
        assert_eq!(failed.err().map(|e| e.code()), Some(Code::RandomFailed));
        let failed = x25519_send(&x25519_public_key(&seed(3)).unwrap(), b"", &mut Repeated(0));
        assert_eq!(failed.err().map(|e| e.code()), Some(Code::RandomFailed));
    }

    #[test]
    fn messages_in_order() {
        let (encapsulated, mut sender) =
            x25519_send(&x25519_public_key(&seed(5)).unwrap(), b"info", &mut Repeated(1)).unwrap();
        let mut receiver = x25519_receive(&seed(5), &encapsulated, b"info").unwrap();
        let sealed = [b"one", b"two"].map(|text| {
            let mut buffer = text.to_vec();
            sender.seal(b"aad", &mut buffer).unwrap();
            buffer
        });
        let (mut a, mut b) = ([0; 16], [0; 16]);
        sender.export(b"context", &mut a).unwrap();
        receiver.export(b"context", &mut b).unwrap();
        assert_eq!(a, b);

        // The second before the first, changed, cut: wiped and not counted (threats T30).
        let mut changed = sealed[0].clone();
        changed[0] ^= 1;
        for mut bad in [sealed[1].clone(), changed, sealed[0][..15].to_vec(), Vec::new()] {
            assert_eq!(receiver.open(b"aad", &mut bad).unwrap_err().code(), Code::AuthFailed);
            assert!(bad.iter().all(|byte| *byte == 0));
        }
        assert!(receiver.open(b"dad", &mut sealed[0].clone()).is_err());
        for (mut sealed, text) in sealed.into_iter().zip([b"one", b"two"]) {
            let length = receiver.open(b"aad", &mut sealed).unwrap();
            assert_eq!(&sealed[..length], text);
        }
    }
}
