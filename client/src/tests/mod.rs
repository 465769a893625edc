//! The whole client against the simulated provider: real sockets on loopback, forged evidence under throw-away roots, clocks that the
//! test moves, no pauses.

mod caching;
mod capturing;
mod chatting;
mod defects;
mod deployment;
mod endorsements;
mod kds;
mod killing;
mod pinning;
mod privatemode;
mod privatemode_endpoints;

use std::sync::{Arc, Mutex};

use proveil_core::attest::TrustRoots;
use proveil_core::endpoint::{Event, TextField};
use proveil_core::http::BaseUrl;
use proveil_core::provider::Provider;
use proveil_core::secret::SecretText;
use proveil_core::{Error, Result};
use proveil_testkit::sim::{Defect, SimConfig, Simulator, models, text};

use crate::client::Setup;
use crate::clock::{Clock, ManualClock};
use crate::verify::Pace;
use crate::{Client, ClientConfig, Notice, Stream};

pub(super) const MODEL: &str = models::E2EE;
pub(super) const PROMPT: &str = "What is remote attestation? canary-prompt-2f90";
pub(super) const API_KEY: &str = "canary-api-key-91c4";
/// Where the simulator counts answers.
pub(super) const MODELS_PATH: &str = "/api/v1/models";

/// A simulated provider that accepts one key.
pub(super) fn simulator(defects: &[Defect]) -> Simulator {
    let config = SimConfig {
        now: Some(1_790_000_000),
        api_key: Some(API_KEY.to_owned()),
        defects: defects.to_vec(),
        gpus: 2,
        slow_start_ms: 1,
        ..SimConfig::default()
    };
    Simulator::start(config).unwrap()
}

/// A client and what moves and watches it.
pub(super) struct Desk {
    pub(super) client: Client,
    pub(super) clock: Arc<ManualClock>,
    pub(super) notices: Arc<Mutex<Vec<Notice>>>,
}

impl Desk {
    pub(super) fn new(sim: &Simulator) -> Desk {
        Desk::with(sim, |_| ())
    }

    pub(super) fn with(sim: &Simulator, change: impl FnOnce(&mut ClientConfig)) -> Desk {
        let mut config = config(sim);
        change(&mut config);
        Desk::of(config, sim.now())
    }

    /// With any settings, at a time in Unix seconds.
    pub(super) fn of(config: ClientConfig, now: u64) -> Desk {
        let clock = Arc::new(ManualClock::at(now));
        let notices = Arc::new(Mutex::new(Vec::new()));
        let log = notices.clone();
        let setup = Setup {
            config: Arc::new(config),
            clock: clock.clone() as Arc<dyn Clock>,
            pace: Pace::NONE,
            observer: Arc::new(move |notice| log.lock().unwrap().push(notice.clone())),
        };
        Desk { client: Client::with_setup(setup).unwrap(), clock, notices }
    }

    pub(super) fn warnings(&self) -> usize {
        let is_warning = |notice: &&Notice| matches!(notice, Notice::Warning(_));
        self.notices.lock().unwrap().iter().filter(is_warning).count()
    }

    pub(super) async fn chat(&self, prompt: &str) -> Result<String> {
        let mut stream = self.client.chat(body(prompt).as_bytes()).await?;
        content(&mut stream).await.map_err(|(_, error)| error)
    }
}

/// Settings that trust the simulator.
pub(super) fn config(sim: &Simulator) -> ClientConfig {
    config_at(&sim.base_url(), &sim.collateral_url(), &sim.trust_roots_json())
}

/// The same for one that another process has.
pub(super) fn config_at(base: &str, vendors: &str, roots: &str) -> ClientConfig {
    let mut config = ClientConfig::new(Provider::Venice, SecretText::new(API_KEY.to_owned()));
    config.base_url = Some(BaseUrl::parse(base).unwrap());
    config.collateral_url = Some(BaseUrl::parse(vendors).unwrap());
    config.nvidia_url = Some(BaseUrl::parse(vendors).unwrap());
    config.roots = TrustRoots::from_json(roots.as_bytes()).unwrap();
    config
}

pub(super) fn body(prompt: &str) -> String {
    serde_json::json!({ "model": MODEL, "messages": [{ "role": "user", "content": prompt }] }).to_string()
}

/// The answer of the first choice; on an error also what came before it.
pub(super) async fn content(stream: &mut Stream) -> Result<String, (String, Error)> {
    let mut content = String::new();
    while let Some(event) = stream.next().await {
        match event {
            Ok(Event::Text { choice: 0, field: TextField::Content, text }) => content.push_str(&text),
            Ok(_) => {}
            Err(error) => return Err((content, error)),
        }
    }
    assert!(stream.next().await.is_none());
    Ok(content)
}

/// What the simulator answers.
pub(super) fn expected(prompt: &str) -> String {
    text::answer(prompt, false, 0, true).content
}

/// Requests that the simulator got at a path.
pub(super) fn count(sim: &Simulator, path: &str) -> usize {
    sim.recorded().to_path(path).count()
}

/// Requests for collateral.
pub(super) fn collateral_count(sim: &Simulator) -> usize {
    sim.recorded().requests().filter(|request| request.target.contains("/certification/")).count()
}
