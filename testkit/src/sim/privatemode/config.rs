//! How a simulated Privatemode is set up.

use super::defect::Defect;
use super::ocsp::GpuStatus;

/// Set-up of a [`super::Simulator`].
#[derive(Clone, Debug)]
pub struct SimConfig {
    /// Seed of everything random but AMD's RSA keys; from the operating system when `None`.
    pub seed: Option<[u8; 32]>,
    /// Unix seconds of the start, around which everything is valid and at which the clock stands until it is moved; the wall clock
    /// when `None`.
    pub now: Option<u64>,
    /// Port on 127.0.0.1; 0 takes a free one.
    pub port: u16,
    /// The one API key that is accepted; any when `None`.
    pub api_key: Option<String>,
    /// What is wrong from the start.
    pub defects: Vec<Defect>,
    /// What the workers know of their GPUs.
    pub gpus: Vec<GpuStatus>,
    /// Oldest client that is served, major and minor. Whether the real gateway has such a limit is not known.
    pub minimum_version: (u64, u64),
    /// Life of a secret in seconds.
    pub secret_life_s: u64,
    /// Pause before each piece of an answer, in milliseconds, so that a person sees it stream.
    pub pace_ms: u64,
    /// What [`Defect::SlowStart`] waits, in milliseconds.
    pub slow_start_ms: u64,
}

impl Default for SimConfig {
    /// Honest, on a free port, with one good GPU, no pauses, everything random and current.
    fn default() -> SimConfig {
        SimConfig {
            seed: None,
            now: None,
            port: 0,
            api_key: None,
            defects: Vec::new(),
            gpus: vec![GpuStatus::GOOD],
            minimum_version: (1, 40),
            secret_life_s: 3_600,
            pace_ms: 0,
            slow_start_ms: 1_500,
        }
    }
}
