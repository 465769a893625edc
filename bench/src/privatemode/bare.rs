//! What sealing and opening contain and nothing else: AES-256-GCM by `ring` under an expanded key, hexadecimal by `const-hex`, one scan of
//! each JSON text by `serde_json`. Beside that the same with the core's own scanner, which is faster.

use proveil_core::secret::Secret;
use proveil_core::wire::scan;
use ring::aead::{AES_256_GCM, Aad, LessSafeKey, Nonce, UnboundKey};
use serde::de::IgnoredAny;

/// Whose scanner looks at the grammar of JSON texts. Neither keeps anything.
#[derive(Clone, Copy)]
pub enum Scan {
    /// `serde_json`.
    Library,
    /// The core's own.
    Own,
}

impl Scan {
    fn run(self, text: &str, outer: usize) {
        match self {
            Scan::Library => drop(serde_json::from_str::<IgnoredAny>(text).expect("JSON")),
            Scan::Own => scan::check(text, outer).expect("JSON"),
        }
    }
}

/// A sealed value of an answer.
pub struct Sealed {
    aad: [u8; 16],
    iv: [u8; 12],
    /// Ciphertext and tag in hex.
    hex: Vec<u8>,
    /// What is in it.
    pub plain: String,
}

impl Sealed {
    /// Takes a message apart.
    pub fn new(message: &[u8], plain: &str, nonce: [u8; 12], counter: u32) -> Sealed {
        let text = std::str::from_utf8(message).expect("ASCII").trim_matches('"');
        let [_, _, iv, hex] = text.split(':').collect::<Vec<_>>()[..] else { panic!("not a message") };
        let iv = const_hex::decode_to_array(iv).expect("hex");
        Sealed { aad: associated(nonce, counter), iv, hex: hex.as_bytes().to_vec(), plain: plain.to_owned() }
    }
}

fn associated(nonce: [u8; 12], counter: u32) -> [u8; 16] {
    let mut aad = [0; 16];
    aad[..12].copy_from_slice(&nonce);
    aad[12..].copy_from_slice(&counter.to_le_bytes());
    aad
}

/// An expanded key.
pub fn key(secret: &Secret<32>) -> LessSafeKey {
    LessSafeKey::new(UnboundKey::new(&AES_256_GCM, secret.expose()).expect("a key"))
}

/// Encrypts values and writes their hex; scans the body that they are from. Gives the length of the hex. The room for the hex is new
/// each time, as a request's body is.
pub fn seal(scan: Scan, key: &LessSafeKey, body: &str, values: &[String], scratch: &mut Vec<u8>) -> usize {
    scan.run(body, 0);
    let bytes: usize = values.iter().map(|value| (value.len() + 16) * 2).sum();
    let mut out = vec![0; bytes];
    let mut at = 0;
    for (counter, value) in values.iter().enumerate() {
        scratch.clear();
        scratch.extend_from_slice(value.as_bytes());
        let counter = u32::try_from(counter).expect("few fields");
        let aad = Aad::from(associated([7; 12], counter));
        let nonce = Nonce::assume_unique_for_key([counter as u8; 12]);
        key.seal_in_place_append_tag(nonce, aad, scratch).expect("short enough");
        let end = at + scratch.len() * 2;
        const_hex::encode_to_slice(&scratch, &mut out[at..end]).expect("the right length");
        at = end;
    }
    std::hint::black_box(&out).len()
}

/// Scans a sealed text, decodes and decrypts its values, scans each of them. Gives the bytes of plaintext.
pub fn open(scan: Scan, key: &LessSafeKey, text: &str, values: &[Sealed], scratch: &mut Vec<u8>) -> usize {
    scan.run(text, 0);
    let mut bytes = 0;
    for value in values {
        scratch.resize(value.hex.len() / 2, 0);
        const_hex::decode_to_slice(&value.hex, scratch).expect("hex");
        let nonce = Nonce::assume_unique_for_key(value.iv);
        bytes += key.open_in_place(nonce, Aad::from(value.aad), scratch).expect("a good tag").len();
        scan.run(&value.plain, 1);
    }
    bytes
}
