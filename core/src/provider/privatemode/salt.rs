//! The cache salt (protocols/privatemode.md 7.1): a sealed member without which a worker refuses a prompt. Requests with the same salt
//! can share what the worker keeps of their prompts, so by default each gets its own (threats T50).

use zeroize::Zeroizing;

use crate::crypto::SecureRandom;
use crate::error::{Code, Error, Result};
use crate::openai::select::{Document, Shape};
use crate::secret::SecretText;
use crate::wire::json::write_string;
use crate::wire::{base64, raw};

/// Name of the member.
const MEMBER: &str = "cache_salt";
/// Fewest bytes of a salt.
const MIN_BYTES: usize = 32;
/// Random bytes of a fresh salt.
const FRESH_BYTES: usize = 32;

fn refuse() -> Error {
    Error::new(Code::CacheSalt).at(MEMBER).expected("a string of at least 32 bytes")
}

/// A salt for all requests of a client or of a team.
#[derive(Debug)]
pub struct SharedSalt(SecretText);

impl SharedSalt {
    /// Takes a salt of at least 32 bytes. Fails with `cache_salt`.
    pub fn new(salt: SecretText) -> Result<SharedSalt> {
        if salt.expose().len() < MIN_BYTES { Err(refuse()) } else { Ok(SharedSalt(salt)) }
    }

    /// The text.
    pub fn expose(&self) -> &str {
        self.0.expose()
    }
}

/// The salt that the caller gave, of any length; `None` when it is missing, `null` or empty. Fails with `cache_salt` when it is no text.
pub fn caller_salt(document: &Document<'_>) -> Result<Option<Zeroizing<String>>> {
    match document.get(MEMBER) {
        None | Some("null") => Ok(None),
        Some(value) => {
            let salt = raw::decode_string(value).map_err(|_| refuse())?;
            Ok(Some(salt).filter(|salt| !salt.is_empty()))
        }
    }
}

/// Gives a request without salt the shared one or a fresh one; a body without members stays as it is. Fails with `cache_salt` for a
/// caller's salt that is too short, and with `random_failed`.
pub fn inject_salt(
    document: &mut Document<'_>,
    shared: Option<&SharedSalt>,
    random: &mut dyn SecureRandom,
) -> Result<()> {
    if document.shape() != Shape::Object {
        return Ok(());
    }
    if let Some(salt) = caller_salt(document)? {
        return if salt.len() < MIN_BYTES { Err(refuse()) } else { Ok(()) };
    }
    let value = match shared {
        Some(shared) => {
            let salt = shared.expose();
            let mut value =
                Zeroizing::new(String::with_capacity(salt.len().saturating_mul(6).saturating_add(2)));
            write_string(salt, &mut value);
            value
        }
        None => fresh(random)?,
    };
    document.set(MEMBER, value);
    Ok(())
}

/// Random bytes in base64 with quotes: no character of it needs an escape.
fn fresh(random: &mut dyn SecureRandom) -> Result<Zeroizing<String>> {
    let mut bytes = Zeroizing::new([0; FRESH_BYTES]);
    random.fill(bytes.as_mut_slice())?;
    let mut value = Zeroizing::new(String::with_capacity(FRESH_BYTES.saturating_mul(2)));
    value.push('"');
    base64::append(bytes.as_slice(), &mut value);
    value.push('"');
    Ok(value)
}
