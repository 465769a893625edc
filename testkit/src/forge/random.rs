//! The only source of randomness of the forge and the simulator: ChaCha20 under a 32-byte seed.

use chacha20::ChaCha20Rng;
use chacha20::rand_core::{Rng, SeedableRng};
use proveil_core::crypto::SecureRandom;

/// A seedable random generator. The same seed gives the same world; [`Random::from_os`] gives one that never was.
pub struct Random(ChaCha20Rng);

impl Random {
    /// Everything drawn follows from `seed`.
    pub fn from_seed(seed: [u8; 32]) -> Random {
        Random(ChaCha20Rng::from_seed(seed))
    }

    /// Seeded from the operating system. Fails when its random device does.
    pub fn from_os() -> std::io::Result<Random> {
        let mut seed = [0; 32];
        getrandom::fill(&mut seed).map_err(|error| std::io::Error::other(error.to_string()))?;
        Ok(Random::from_seed(seed))
    }

    /// Fills `out`.
    pub fn fill(&mut self, out: &mut [u8]) {
        self.0.fill_bytes(out);
    }

    /// The next `N` bytes.
    pub fn bytes<const N: usize>(&mut self) -> [u8; N] {
        let mut out = [0; N];
        self.fill(&mut out);
        out
    }

    /// A generator of its own, so that later draws here do not change what it gives.
    pub fn fork(&mut self) -> Random {
        Random::from_seed(self.bytes())
    }
}

impl SecureRandom for Random {
    fn fill(&mut self, out: &mut [u8]) -> proveil_core::Result<()> {
        Random::fill(self, out);
        Ok(())
    }
}
