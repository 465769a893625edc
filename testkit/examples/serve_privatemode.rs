//! A simulated Privatemode for the tests of other languages: `cargo run -p proveil-testkit --example serve_privatemode`.
//!
//! Prints one line of JSON with the addresses (each as the client's setting of that name takes it), the manifest and the trust roots,
//! then takes commands from standard input, one a line, and answers each with one line of JSON; it ends with its input. Commands:
//! `defects NAME ...` (exactly these are on), `forget` (the workers lose all secrets), `advance SECONDS` (of the simulator's clock),
//! `recorded`, `saw TEXT` (whether it arrived in clear), `clear`, `hold N` (the next streamed answer stops after N pieces), `release`
//! (it goes on), `abandoned` (answered once the client has closed the connection of the answer that is held).

#![allow(clippy::print_stdout, reason = "it speaks on standard output")]

use std::io::{BufRead, Write};
use std::process::ExitCode;

use proveil_testkit::sim::HeldAnswer;
use proveil_testkit::sim::privatemode::models::MODELS;
use proveil_testkit::sim::privatemode::{Defect, SimConfig, Simulator};
use serde_json::{Value, json};

fn main() -> ExitCode {
    if std::env::args().len() > 1 {
        return ExitCode::from(2);
    }
    let config = SimConfig { api_key: Some("test-key".to_owned()), ..SimConfig::default() };
    let Ok(simulator) = Simulator::start(config) else { return ExitCode::FAILURE };
    let mut answer = json!({
        "base_url": simulator.base_url(),
        "manifest_url": simulator.base_url(),
        "amd_url": simulator.kds_url(),
        "manifest": String::from_utf8_lossy(&simulator.manifest()),
        "trust_roots": simulator.trust_roots_json(),
        "models": MODELS.map(|model| model.id),
        "now": simulator.now(),
    });
    let mut held = None;
    let mut commands = std::io::stdin().lock().lines();
    loop {
        let mut out = std::io::stdout().lock();
        if writeln!(out, "{answer}").and_then(|()| out.flush()).is_err() {
            return ExitCode::SUCCESS;
        }
        let Some(Ok(command)) = commands.next() else { return ExitCode::SUCCESS };
        answer = obey(&simulator, &mut held, &command);
    }
}

fn obey(simulator: &Simulator, held: &mut Option<HeldAnswer>, command: &str) -> Value {
    let (verb, rest) = command.split_once(' ').unwrap_or((command, ""));
    match verb {
        "defects" => match rest.split_whitespace().map(Defect::parse).collect::<Option<Vec<Defect>>>() {
            Some(defects) => simulator.set_defects(&defects),
            None => return json!({"error": "no such defect"}),
        },
        "forget" => simulator.forget_secrets(),
        "advance" => match rest.parse() {
            Ok(seconds) => simulator.advance(seconds),
            Err(_) => return json!({"error": "advance takes a number of seconds"}),
        },
        "recorded" => {
            let recorded = simulator.recorded();
            let targets: Vec<&str> = recorded.requests().map(|request| request.target.as_str()).collect();
            return json!({"targets": targets, "prompts": recorded.prompts()});
        }
        "saw" => return json!({"saw": simulator.recorded().saw_in_clear(rest)}),
        "clear" => simulator.clear_recorded(),
        "hold" => match rest.parse() {
            Ok(after) => *held = Some(simulator.hold_next(after)),
            Err(_) => return json!({"error": "hold takes a number of pieces"}),
        },
        "release" => *held = None,
        "abandoned" => match held.take() {
            Some(answer) => answer.wait_until_abandoned(),
            None => return json!({"error": "no answer is held"}),
        },
        _ => return json!({"error": "no such command"}),
    }
    json!({})
}
