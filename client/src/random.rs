//! The operating system's random source.

use proveil_core::crypto::SecureRandom;
use proveil_core::{Code, Error, Result};

/// Has no state of its own, so a forked child cannot repeat its parent's output (threats T29, T63).
pub(crate) struct OsRandom;

impl SecureRandom for OsRandom {
    fn fill(&mut self, out: &mut [u8]) -> Result<()> {
        getrandom::fill(out).map_err(|_| Error::new(Code::RandomFailed))
    }
}
