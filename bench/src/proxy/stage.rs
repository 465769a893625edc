//! What is started for a comparison.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use serde_json::json;

use super::caller::Caller;
use super::child::Process;
use super::relay::Relay;

/// Until the first proof stands, at most.
const READY_WAIT: Duration = Duration::from_secs(120);
/// Between two looks.
const READY_LOOK: Duration = Duration::from_millis(50);
/// A prompt of the length that people type.
const PROMPT: &str = "What is sealing, and why would a service that cannot read my question be able to answer it? \
                      Please name the main idea first, then the two things that I should check for myself.";

/// The release binary `proveil` beside this program, where there is a `/proc` to measure it by.
pub(super) struct Binary(PathBuf);

impl Binary {
    pub(super) fn find() -> Option<Binary> {
        let path = own_path().with_file_name(format!("proveil{}", std::env::consts::EXE_SUFFIX));
        (path.is_file() && Path::new("/proc/self/status").is_file()).then_some(Binary(path))
    }
}

fn own_path() -> PathBuf {
    std::env::current_exe().expect("the path of this program")
}

/// The provider behind the proxy.
#[derive(Clone, Copy)]
pub(super) enum Provider {
    Venice,
    Privatemode,
}

impl Provider {
    const fn name(self) -> &'static str {
        match self {
            Provider::Venice => "venice",
            Provider::Privatemode => "privatemode",
        }
    }

    const fn key(self) -> &'static str {
        match self {
            Provider::Venice => "VENICE_API_KEY",
            Provider::Privatemode => "PRIVATEMODE_API_KEY",
        }
    }

    /// A model that answers at some length: it reasons first.
    const fn model(self) -> &'static str {
        match self {
            Provider::Venice => "e2ee-sim-reasoner-p",
            Provider::Privatemode => "openai/sim-oss-120b",
        }
    }

    /// A chat request with so many choices. `most` bounds the pieces of each one's answer.
    pub(super) fn request(self, stream: bool, choices: u32, most: u32) -> String {
        let messages = [json!({ "role": "user", "content": PROMPT })];
        json!({ "model": self.model(), "stream": stream, "n": choices, "max_tokens": most, "messages": messages })
            .to_string()
    }
}

/// A proxy in front of a simulator, with the relay between them.
pub(super) struct Stage {
    pub(super) provider: Provider,
    pub(super) proxy: Process,
    pub(super) relay: Relay,
    // Ended last.
    _simulator: Process,
}

impl Stage {
    /// Starts all of it and waits until the proxy has a proof.
    pub(super) fn start(binary: &Binary, provider: Provider, more: &[&str]) -> Stage {
        let simulator =
            Process::start(&binary.0, &["--json", "simulate", provider.name(), "--pace-ms", "0"], &[]);
        let base = simulator.text("base_url");
        let path_at = base.match_indices('/').nth(2).map_or(base.len(), |(at, _)| at);
        let (server, path) = base.split_at(path_at);
        let relay = Relay::start(server.to_owned());
        let base = format!("{}{path}", relay.sealed_url);
        let roots = simulator.text("trust_roots_file");
        let mut args = vec!["--json", "proxy", "--listen", "127.0.0.1:0", "--provider", provider.name()];
        args.extend(["--base-url", &base, "--trust-roots", &roots]);
        let (first, second) = match provider {
            Provider::Venice => (simulator.text("collateral_url"), simulator.text("nvidia_url")),
            Provider::Privatemode => (server.to_owned(), simulator.text("kds_url")),
        };
        match provider {
            Provider::Venice => args.extend(["--collateral-url", &first, "--nvidia-url", &second]),
            Provider::Privatemode => args.extend(["--manifest-url", &first, "--amd-url", &second]),
        }
        args.extend(more);
        let proxy = Process::start(&binary.0, &args, &[(provider.key(), "simulated")]);
        let stage = Stage { provider, proxy, relay, _simulator: simulator };
        stage.wait_until_ready();
        stage
    }

    /// Where the proxy is.
    pub(super) fn url(&self) -> String {
        self.proxy.text("url")
    }

    pub(super) fn call(&self) -> Caller {
        Caller::connect(&self.url())
    }

    /// The bare pass-through in front of the relay's other side.
    pub(super) fn forwarder(&self) -> Process {
        Process::start(&own_path(), &["forward", &self.relay.plain_url], &[])
    }

    fn wait_until_ready(&self) {
        let since = Instant::now();
        let mut caller = self.call();
        while caller.get("/readyz") != 200 {
            assert!(since.elapsed() < READY_WAIT, "no proof of the simulated endpoint");
            std::thread::sleep(READY_LOOK);
        }
    }
}
