//! Clients and examples in C against the simulated provider, honest and not.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::simulator::Simulator;
use super::{Tests, text};
use crate::evidence;
use crate::package_c::failed;

/// A prompt that must not arrive in clear.
const CANARY: &str = "canary-prompt-58c1";

impl Tests {
    /// Runs the tests that need a provider.
    pub fn simulated(&mut self, package: &Path) -> Result<(), String> {
        let mut simulator = Simulator::start(&self.root)?;
        let captured = self.work.join("captured");
        let cache = self.work.join("cache");
        let _ = fs::remove_dir_all(&cache);
        for folder in [&captured, &cache] {
            fs::create_dir_all(folder).map_err(|error| failed(folder, &error))?;
        }
        let roots = captured.join("roots.json");
        fs::write(&roots, simulator.text("trust_roots")).map_err(|error| failed(&roots, &error))?;
        if let Some(program) = self.compile("exchange", package, &[], "") {
            self.check("exchange", program_for(&simulator, &program).env("PV_SIM_OUT", &captured));
        }
        if let Some(program) = self.compile("client", package, &[], "") {
            // One of its own, which it tells what to do.
            let mut simulator = Simulator::start(&self.root)?;
            let mut command = program_for(&simulator, &program);
            simulator.hand_over(&mut command);
            self.check("client", command.env("PV_SIM_CACHE", &cache));
        }
        if let Some(program) = self.compile("privatemode", package, &[], "") {
            let mut simulator = Simulator::start_privatemode(&self.root)?;
            let mut command = program_for(&simulator, &program);
            simulator.hand_over(&mut command);
            self.check("privatemode", &mut command);
        }
        self.verify_example(package, &captured, &simulator.text("now"));
        self.privatemode_example(package, &cache)?;
        self.verify_real(package);
        self.chat_example(package, &mut simulator, &roots, &cache)
    }

    /// Runs a program of the package and compares its exit code.
    fn exits(&mut self, name: &str, expected: i32, package: &Path, command: &mut Command) {
        let outcome = command
            .env("LD_LIBRARY_PATH", package.join("lib"))
            .output()
            .map_err(|error| format!("{command:?}: {error}"))
            .and_then(|output| match output.status.code() {
                Some(code) if code == expected => Ok(()),
                _ => Err(format!("{command:?}: {}, expected {expected}{}", output.status, text(&output))),
            });
        self.count(&format!("{name} exits with {expected}"), outcome);
    }

    /// `examples/c/verify.c` on what `exchange` captured.
    fn verify_example(&mut self, package: &Path, captured: &Path, now: &str) {
        let file = |name: &str| captured.join(name);
        let nonce = fs::read(file("nonce")).unwrap_or_default();
        let nonce: String = nonce.iter().map(|byte| format!("{byte:02x}")).collect();
        let (response, collateral, roots) =
            (file("response.json"), file("collateral.json"), file("roots.json"));
        let altered = self.altered(&response);
        let absent = file("absent");
        // Past the collateral's month, within the certificates' years.
        let later = later(now);
        let cases: [(&str, i32, &Path, &str, Option<&Path>); 6] = [
            ("captured answer", 0, &response, now, Some(&roots)),
            ("altered answer", 3, &altered, now, Some(&roots)),
            ("vendor roots", 3, &response, now, None),
            ("two months later", 4, &response, &later, Some(&roots)),
            ("no such file", 2, &absent, now, Some(&roots)),
            ("bad time", 2, &response, "today", Some(&roots)),
        ];
        for (name, expected, response, at, roots) in cases {
            let mut command = Command::new(self.work.join("example-verify"));
            command.arg(response).arg(&nonce).arg(&collateral).arg(at).args(roots);
            self.exits(&format!("examples/c/verify.c, {name}"), expected, package, &mut command);
        }
    }

    /// `examples/c/verify.c` on a captured answer of the real provider, with the hardware vendors' roots.
    fn verify_real(&mut self, package: &Path) {
        const NONCE: &str = "d2f37ab51f93f80365506fcc09119b28bd9c521be89ba25e3aa439912bbba732";
        const AT: &str = "1781056027";
        let folder = evidence::default_dir().join("composite");
        let response = folder.join("venice-20260610.response.json");
        let collateral = folder.join("collateral-venice-20260610-90c06f000000.json");
        if !response.is_file() {
            return self
                .skip("examples/c/verify.c, 3 cases of captured evidence", "no captured evidence here");
        }
        let altered = self.altered(&response);
        let cases = [
            ("real", 0, &response, AT.to_owned()),
            ("real, altered", 3, &altered, AT.to_owned()),
            ("real, two months later", 4, &response, later(AT)),
        ];
        for (name, expected, response, at) in cases {
            let mut command = Command::new(self.work.join("example-verify"));
            command.arg(response).arg(NONCE).arg(&collateral).arg(at);
            self.exits(&format!("examples/c/verify.c, {name}"), expected, package, &mut command);
        }
    }

    /// A copy of an answer with one digit changed within the signed part of the quote.
    fn altered(&mut self, response: &Path) -> PathBuf {
        let altered = self.work.join("altered.json");
        let mut bytes = fs::read(response).unwrap_or_default();
        let quote = bytes.windows(13).position(|window| window == b"\"intel_quote\"").unwrap_or_default();
        if let Some(digit) = bytes.get_mut(quote.saturating_add(600)) {
            *digit = if *digit == b'0' { b'1' } else { b'0' };
        }
        self.count("alter an answer", fs::write(&altered, bytes).map_err(|error| failed(&altered, &error)));
        altered
    }

    /// `examples/c/chat.c` with the other provider, whose key has a name of its own.
    fn privatemode_example(&mut self, package: &Path, home: &Path) -> Result<(), String> {
        let simulator = Simulator::start_privatemode(&self.root)?;
        let roots = self.work.join("privatemode-roots.json");
        fs::write(&roots, simulator.text("trust_roots")).map_err(|error| failed(&roots, &error))?;
        let url = simulator.text("base_url");
        for (variable, expected) in [("PRIVATEMODE_API_KEY", 0), ("VENICE_API_KEY", 2)] {
            let mut command = Command::new(self.work.join("example-chat"));
            command.args(["privatemode", "openai/sim-oss-120b", CANARY, &url, &url]).arg(&roots);
            command.env_remove("PRIVATEMODE_API_KEY").env(variable, "test-key").env("XDG_CACHE_HOME", home);
            self.exits(
                &format!("examples/c/chat.c, privatemode with {variable}"),
                expected,
                package,
                &mut command,
            );
        }
        Ok(())
    }

    /// `examples/c/chat.c` with an honest provider and with some that are not.
    fn chat_example(
        &mut self,
        package: &Path,
        simulator: &mut Simulator,
        roots: &Path,
        home: &Path,
    ) -> Result<(), String> {
        let urls = [simulator.text("base_url"), simulator.text("collateral_url")];
        let cases =
            [("", 0), ("tampered-quote", 3), ("key-swap", 3), ("attestation-down", 4), ("stream-cut", 5)];
        for (defect, expected) in cases {
            simulator.ask(&format!("defects {defect}"))?;
            let mut command = Command::new(self.work.join("example-chat"));
            command.args(["venice", "e2ee-sim-27b", CANARY]).args(&urls).arg(roots);
            command.env("VENICE_API_KEY", "test-key").env("XDG_CACHE_HOME", home);
            let name = if defect.is_empty() { "honest provider" } else { defect };
            self.exits(&format!("examples/c/chat.c, {name}"), expected, package, &mut command);
        }
        let saw = simulator.ask(&format!("saw {CANARY}"))?;
        let quiet = saw.get("saw").and_then(serde_json::Value::as_bool) == Some(false);
        self.count("no prompt arrived in clear", if quiet { Ok(()) } else { Err(saw.to_string()) });
        Ok(())
    }
}

/// A test program that finds the simulator.
fn program_for(simulator: &Simulator, program: &Path) -> Command {
    let mut command = Command::new(program);
    // Each provider has some of these; a test that asks for another one fails on the empty text.
    for (name, setting) in [
        ("PV_SIM_BASE_URL", "base_url"),
        ("PV_SIM_COLLATERAL_URL", "collateral_url"),
        ("PV_SIM_NVIDIA_URL", "nvidia_url"),
        ("PV_SIM_MANIFEST", "manifest"),
        ("PV_SIM_AMD_URL", "amd_url"),
        ("PV_SIM_ROOTS", "trust_roots"),
    ] {
        command.env(name, simulator.text(setting));
    }
    command
}

/// Sixty days after a time in seconds.
fn later(at: &str) -> String {
    at.parse::<u64>().unwrap_or_default().saturating_add(60 * 86_400).to_string()
}
