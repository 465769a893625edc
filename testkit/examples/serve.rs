//! A simulated Venice for the tests of other languages: `cargo run -p proveil-testkit --example serve`.
//!
//! Prints one line of JSON with the addresses and the trust roots, then takes commands from standard input, one a line, and answers
//! each with one line of JSON; it ends with its input. Commands: `defects NAME ...` (exactly these are on), `rotate MODEL`,
//! `recorded`, `saw TEXT` (whether it arrived in clear), `clear`, `hold N` (the next answer stops after N pieces), `release` (it goes
//! on), `abandoned` (answered once the client has closed the connection of the answer that is held).

#![allow(clippy::print_stdout, reason = "it speaks on standard output")]

use std::io::{BufRead, Write};
use std::process::ExitCode;

use proveil_testkit::sim::models::MODELS;
use proveil_testkit::sim::{Defect, HeldAnswer, SignatureHash, SimConfig, Simulator};
use serde_json::{Value, json};

fn main() -> ExitCode {
    let mut config = SimConfig { api_key: Some("test-key".to_owned()), ..SimConfig::default() };
    for argument in std::env::args().skip(1) {
        match argument.as_str() {
            "--exact-signatures" => config.signature_hash = SignatureHash::Exact,
            _ => return ExitCode::from(2),
        }
    }
    let Ok(simulator) = Simulator::start(config) else { return ExitCode::FAILURE };
    let hello = json!({
        "base_url": simulator.base_url(),
        "collateral_url": simulator.collateral_url(),
        "nvidia_url": simulator.nvidia_url(),
        "trust_roots": simulator.trust_roots_json(),
        "models": MODELS.map(|model| model.id),
        "now": simulator.now(),
    });
    let mut answer = hello;
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
        "defects" => {
            let named: Option<Vec<Defect>> = rest.split_whitespace().map(Defect::parse).collect();
            named.map_or_else(
                || json!({"error": "no such defect"}),
                |defects| {
                    simulator.set_defects(&defects);
                    json!({})
                },
            )
        }
        "rotate" => {
            simulator.rotate_key(rest);
            json!({})
        }
        "recorded" => {
            let recorded = simulator.recorded();
            let targets: Vec<&str> = recorded.requests().map(|request| request.target.as_str()).collect();
            json!({"targets": targets, "prompts": recorded.prompts()})
        }
        "saw" => json!({"saw": simulator.recorded().saw_in_clear(rest)}),
        "clear" => {
            simulator.clear_recorded();
            json!({})
        }
        "hold" => rest.parse().map_or_else(
            |_| json!({"error": "hold takes a number of pieces"}),
            |after| {
                *held = Some(simulator.hold_next(after));
                json!({})
            },
        ),
        "release" => {
            *held = None;
            json!({})
        }
        "abandoned" => held.take().map_or_else(
            || json!({"error": "no answer is held"}),
            |answer| {
                answer.wait_until_abandoned();
                json!({})
            },
        ),
        _ => json!({"error": "no such command"}),
    }
}
