//! How a simulator is set up.

use super::defect::Defect;

/// The two families of enclaves behind Venice (venice.md 0.1): shape of the attestation answer and manner of the errors.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Shape {
    /// Flat, with event log, `info`, compose manager and OHTTP members, as NEAR-backed models are served.
    #[default]
    Near,
    /// With the ACI members nested, as Phala-backed models are served.
    Aci,
}

/// Encoding of `intel_quote`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum QuoteEncoding {
    /// Lowercase hex.
    #[default]
    Hex,
    /// Hex after `0x`.
    HexPrefixed,
    /// Standard base64.
    Base64,
    /// URL-safe base64 without padding.
    Base64Url,
}

/// Text of a response signature.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum SignatureText {
    /// `<model>:<request hash>:<response hash>`
    #[default]
    ThreePart,
    /// `<request hash>:<response hash>`
    TwoPart,
}

/// What a response signature hashes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum SignatureHash {
    /// The bytes that the client sent and received.
    Exact,
    /// Other bytes of the same meaning, as through Venice (venice.md 5.6).
    #[default]
    Reserialized,
}

/// Set-up of a [`super::Simulator`].
#[derive(Clone, Debug)]
pub struct SimConfig {
    /// Seed of everything random; from the operating system when `None`.
    pub seed: Option<[u8; 32]>,
    /// Unix seconds around which everything is valid; the wall clock when `None`.
    pub now: Option<u64>,
    /// Port on 127.0.0.1; 0 takes a free one.
    pub port: u16,
    /// The one API key that is accepted; any when `None`.
    pub api_key: Option<String>,
    /// What is wrong from the start.
    pub defects: Vec<Defect>,
    /// Kind of enclave.
    pub shape: Shape,
    /// Encoding of quotes.
    pub encoding: QuoteEncoding,
    /// 4 or 5.
    pub quote_version: u16,
    /// GPUs of the guest.
    pub gpus: usize,
    /// Text of response signatures.
    pub signature_text: SignatureText,
    /// What response signatures hash.
    pub signature_hash: SignatureHash,
    /// Pause before each piece of an answer, in milliseconds, so that a person sees it stream.
    pub pace_ms: u64,
    /// What [`Defect::SlowStart`] waits, in milliseconds.
    pub slow_start_ms: u64,
}

impl Default for SimConfig {
    /// Honest, on a free port, with eight GPUs, no pauses, everything random and current.
    fn default() -> SimConfig {
        SimConfig {
            seed: None,
            now: None,
            port: 0,
            api_key: None,
            defects: Vec::new(),
            shape: Shape::Near,
            encoding: QuoteEncoding::Hex,
            quote_version: 4,
            gpus: 8,
            signature_text: SignatureText::ThreePart,
            signature_hash: SignatureHash::Reserialized,
            pace_ms: 0,
            slow_start_ms: 1_500,
        }
    }
}
