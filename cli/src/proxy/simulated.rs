//! Simulated providers behind the proxy, for `proveil proxy --demo`: no account, no network.

use proveil::{Provider, Result, TrustRoots};
use proveil_testkit::sim::{self, privatemode};

use super::settings::Settings;
use super::upstream::Recipe;
use crate::args::{Connection, Rules};

/// Both simulators; they end when this is dropped.
pub(crate) struct Simulated {
    venice: sim::Simulator,
    privatemode: privatemode::Simulator,
}

impl Simulated {
    /// Starts them on free ports.
    pub(crate) fn start() -> std::io::Result<Simulated> {
        Ok(Simulated {
            venice: sim::Simulator::start(sim::SimConfig::default())?,
            privatemode: privatemode::Simulator::start(privatemode::SimConfig::default())?,
        })
    }

    /// Serves them instead of the real ones.
    pub(crate) fn serve_instead(&self, settings: &mut Settings) -> Result<()> {
        let venice = Connection {
            base_url: Some(self.venice.base_url()),
            collateral_url: Some(self.venice.collateral_url()),
            nvidia_url: Some(self.venice.nvidia_url()),
            ..Connection::default()
        };
        let privatemode = Connection { base_url: Some(self.privatemode.base_url()), ..Connection::default() };
        let mut rules = Rules::default();
        rules.privatemode.manifest_url = Some(self.privatemode.base_url());
        rules.privatemode.amd_url = Some(self.privatemode.kds_url());
        let roots = |json: String| TrustRoots::from_json(json.as_bytes());
        settings.recipes = vec![
            Recipe::simulated(
                Provider::Venice,
                venice,
                Rules::default(),
                roots(self.venice.trust_roots_json())?,
            ),
            Recipe::simulated(
                Provider::Privatemode,
                privatemode,
                rules,
                roots(self.privatemode.trust_roots_json())?,
            ),
        ];
        Ok(())
    }
}
