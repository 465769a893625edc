//! What tests of several commands stand on.

use proveil_testkit::sim::{Defect, SimConfig, Simulator};

/// The simulated Venice, and a home in which its roots are `roots.json`.
pub(crate) struct Stage {
    pub(crate) sim: Simulator,
    pub(crate) home: tempfile::TempDir,
}

impl Stage {
    /// With one GPU, for this API key only.
    pub(crate) fn with_key(key: &str, defects: &[Defect]) -> Stage {
        let config = SimConfig {
            gpus: 1,
            defects: defects.to_vec(),
            api_key: Some(key.to_owned()),
            ..SimConfig::default()
        };
        let stage = Stage { sim: Simulator::start(config).unwrap(), home: tempfile::tempdir().unwrap() };
        std::fs::write(stage.home.path().join("roots.json"), stage.sim.trust_roots_json()).unwrap();
        stage
    }
}
