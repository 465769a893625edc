use proveil_core::crypto::SecureRandom;
use proveil_core::{Code, Error, Result};

/// The operating system's random source. It has no state of its own, so a forked child cannot repeat its parent's output (T29, T63).
#[derive(Debug, Default)]
pub struct OsRandom;

impl SecureRandom for OsRandom {
    fn fill(&mut self, out: &mut [u8]) -> Result<()> {
        getrandom::fill(out).map_err(|_| Error::new(Code::RandomFailed))
    }
}
