//! The commands against the simulated provider, as separate programs on loopback.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    clippy::print_stdout
)]

mod support;

use std::io::{BufRead, BufReader, Read, Write};
use std::process::{Child, Stdio};

use assert_cmd::Command;
use proveil_testkit::sim::{ATTESTATION_PATH, Defect, models, text};
use support::Stage;

const PROMPT: &str = "What is sealing? canary-prompt-51d0";
const KEY: &str = "canary-key-51d0";

struct Run {
    code: i32,
    out: String,
    err: String,
}

impl Stage {
    fn new(defects: &[Defect]) -> Stage {
        Stage::with_key(KEY, defects)
    }

    fn command(&self, verb: &str, args: &[&str]) -> Command {
        let mut command = Command::new(assert_cmd::cargo::cargo_bin!("proveil"));
        command
            .env_clear()
            .env("HOME", self.home.path())
            .env("VENICE_API_KEY", KEY)
            .current_dir(self.home.path());
        command.args([verb, "venice", "--base-url", &self.sim.base_url()]);
        command.args(["--collateral-url", &self.sim.collateral_url()]);
        if verb != "models" {
            command.args(["--trust-roots", "roots.json"]);
        }
        command.args(args);
        command
    }

    fn run(&self, verb: &str, args: &[&str]) -> Run {
        finish(&mut self.command(verb, args))
    }
}

fn finish(command: &mut Command) -> Run {
    let output = command.output().unwrap();
    let run = Run {
        code: output.status.code().unwrap(),
        out: String::from_utf8(output.stdout).unwrap(),
        err: String::from_utf8(output.stderr).unwrap(),
    };
    assert!(!run.out.contains(KEY) && !run.err.contains(KEY), "no key in any output");
    run
}

fn answer() -> String {
    format!("{}\n", text::answer(PROMPT, false, 0, true).content)
}

#[test]
fn models_are_listed() {
    let stage = Stage::new(&[]);
    let run = stage.run("models", &[]);
    assert_eq!((run.code, run.err.as_str()), (0, ""));
    assert!(run.out.lines().any(|line| line.contains(models::E2EE) && line.contains("e2ee")), "{}", run.out);
    let json: serde_json::Value = serde_json::from_str(&stage.run("models", &["--json"]).out).unwrap();
    assert_eq!((&json["schema"], &json["provider"]), (&"proveil.models/v1".into(), &"venice".into()));
    assert!(json["models"].as_array().unwrap().len() >= 6);
}

#[test]
fn verdicts_and_exit_codes() {
    let cases = [
        (None, 0, "VERIFIED", ""),
        (Some(Defect::TamperedQuote), 3, "REFUSED", "Refused to send (PV-225)"),
        (Some(Defect::KeySwap), 3, "REFUSED", "Refused to send (PV-212)"),
        (Some(Defect::CollateralDown), 4, "", "Could not check (PV-304)"),
    ];
    for (defect, code, out, err) in cases {
        let stage = Stage::new(defect.as_slice());
        let run = stage.run("verify", &["-m", models::E2EE]);
        assert_eq!(run.code, code, "{defect:?}: {}{}", run.out, run.err);
        assert!(run.out.contains(out) && run.err.contains(err), "{defect:?}: {}{}", run.out, run.err);
        assert!(run.out.contains("CUSTOM") && run.err.contains("CUSTOM"), "{}", run.out);
        assert!(run.out.lines().all(|line| line.chars().count() <= 80), "{}", run.out);
        let run = stage.run("verify", &["-m", models::E2EE, "--json"]);
        let report: serde_json::Value = serde_json::from_str(&run.out).unwrap();
        assert_eq!((run.code, &report["schema"]), (code, &"proveil.report/v1".into()));
    }
}

#[test]
fn a_chat_streams_to_standard_output() {
    let stage = Stage::new(&[]);
    let run = stage.run("chat", &["-m", models::E2EE, PROMPT]);
    assert_eq!((run.code, run.out.as_str()), (0, answer().as_str()), "{}", run.err);
    assert!(run.err.contains("VERIFIED") && run.err.contains("CUSTOM"), "{}", run.err);
    // The prompt from standard input, without the verdict line.
    for args in [&["-q", "-m", models::E2EE] as &[&str], &["-q", "-m", models::E2EE, "-"]] {
        let run = finish(stage.command("chat", args).write_stdin(format!("{PROMPT}\n")));
        assert_eq!((run.code, run.out.as_str()), (0, answer().as_str()), "{}", run.err);
        assert!(!run.err.contains("VERIFIED"), "{}", run.err);
    }
    let run = stage.run("chat", &["--json", "--verify-signature", "-m", models::E2EE, PROMPT]);
    let document: serde_json::Value = serde_json::from_str(&run.out).unwrap();
    assert_eq!(document["schema"], "proveil.chat/v1");
    assert_eq!(document["content"].as_str().unwrap(), answer().trim_end());
    assert_eq!(document["signature"]["verdict"], "signed_body_not_verifiable");
    assert_eq!(document["report"]["verdict"], "verified");
    let run = stage.run("chat", &["--reasoning", "-m", models::E2EE_REASONING, PROMPT]);
    let expected = text::answer(PROMPT, true, 0, true);
    assert_eq!(run.out, format!("{}\n", expected.content));
    assert!(run.err.contains(&expected.reasoning.unwrap()), "{}", run.err);
    assert!(!stage.sim.recorded().saw_in_clear("canary"));
}

#[test]
fn trouble_with_an_answer_has_its_exit_code() {
    let cases = [
        (Defect::StreamCut, 5, "PV-502"),
        (Defect::PlaintextDelta, 5, "PV-402"),
        (Defect::FlippedTag, 5, "PV-404"),
        (Defect::PaymentRequired, 6, "PV-506"),
        (Defect::TamperedQuote, 3, "PV-225"),
        (Defect::CollateralDown, 4, "PV-304"),
    ];
    for (defect, code, text) in cases {
        let stage = Stage::new(&[defect]);
        let run = stage.run("chat", &["-m", models::E2EE, PROMPT]);
        assert_eq!(run.code, code, "{}: {}", defect.name(), run.err);
        assert!(run.err.contains(text), "{}: {}", defect.name(), run.err);
        assert!(answer().starts_with(run.out.trim_end()), "only what was opened: {}", run.out);
        assert!(!run.err.contains("canary-prompt"), "{}", run.err);
        let run = stage.run("chat", &["--json", "-m", models::E2EE, PROMPT]);
        let document: serde_json::Value = serde_json::from_str(&run.out).unwrap();
        assert_eq!((run.code, &document["code"]), (code, &text.into()));
    }
    let stage = Stage::new(&[]);
    let run = stage.run("chat", &["-m", "e2ee-sim-28b", PROMPT]);
    assert_eq!(run.code, 2);
    assert!(run.err.contains("PV-105") && run.err.contains("Did you mean `e2ee-sim-27b`?"), "{}", run.err);
    let run = stage.run("chat", &["-m", models::E2EE, " "]);
    assert_eq!(run.code, 2, "{}", run.err);
}

/// The cache directory is the user's; a lab's roots leave nothing there (threats T58).
#[test]
fn nothing_is_left_behind() {
    let stage = Stage::new(&[]);
    assert_eq!(stage.run("chat", &["-m", models::E2EE, PROMPT]).code, 0);
    let left: Vec<_> =
        std::fs::read_dir(stage.home.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(left, ["roots.json"]);
}

#[test]
fn the_demonstration_holds() {
    let home = tempfile::tempdir().unwrap();
    let demo = |args: &[&str]| {
        let mut command = Command::new(assert_cmd::cargo::cargo_bin!("proveil"));
        finish(command.env_clear().env("HOME", home.path()).arg("demo").args(args))
    };
    let run = demo(&[]);
    assert_eq!(run.code, 0, "{}{}", run.out, run.err);
    let venice = ["VERIFIED", "CUSTOM", "PROVE", "VEIL", "ANSWER", "CHEAT", "PV-225", "PV-212", "PV-502"];
    let privatemode = ["Privatemode", "L3", "VERIFIED", "VEIL", "ANSWER", "CHEAT", "PV-260", "PV-268"];
    let (first, second) = run.out.split_at(run.out.find("5. PROVE").unwrap());
    for (text, parts) in [(first, &venice[..]), (second, &privatemode)] {
        for part in parts {
            assert!(text.contains(part), "{part}: {text}");
        }
    }
    assert!(run.out.lines().all(|line| line.chars().count() <= 80), "{}", run.out);
    let run = demo(&["--json"]);
    let document: serde_json::Value = serde_json::from_str(&run.out).unwrap();
    assert_eq!(
        (&document["schema"], &document["prompt_seen_in_clear"]),
        (&"proveil.demo/v1".into(), &false.into())
    );
    let other = &document["privatemode"];
    assert_eq!(
        (&other["report"]["verdict"], &other["prompt_seen_in_clear"]),
        (&"verified".into(), &false.into())
    );
    assert_eq!(other["refusals"].as_array().unwrap().len(), 2);
}

#[test]
fn the_simulator_serves_and_names_its_defects() {
    let home = tempfile::tempdir().unwrap();
    let proveil = |args: &[&str]| {
        let mut command = Command::new(assert_cmd::cargo::cargo_bin!("proveil"));
        finish(command.env_clear().env("HOME", home.path()).args(args))
    };
    let run = proveil(&["simulate", "venice", "--list-defects"]);
    assert_eq!((run.code, run.out.lines().count()), (0, Defect::all().len()));
    let run = proveil(&["simulate", "venice", "--defect", "key-swop"]);
    assert_eq!(run.code, 2);
    assert!(run.err.contains("Did you mean `key-swap`?"), "{}", run.err);

    let mut child = Served::start(home.path(), &["--defect", "key-swap", "--json"]);
    let document = child.document();
    let run = proveil_with_key(home.path(), &document, &["-m", models::E2EE]);
    assert_eq!(run.code, 3, "{}", run.err);
    assert!(run.err.contains("PV-212"), "{}", run.err);
}

/// The other provider: defects by name, the addresses, and files that a client can use.
#[test]
fn the_other_simulator_serves_and_names_its_defects() {
    use proveil_testkit::sim::privatemode::{Defect, models};
    let home = tempfile::tempdir().unwrap();
    let proveil = |args: &[&str]| {
        let mut command = Command::new(assert_cmd::cargo::cargo_bin!("proveil"));
        finish(command.env_clear().env("HOME", home.path()).args(["simulate", "privatemode"]).args(args))
    };
    let run = proveil(&["--list-defects"]);
    assert_eq!((run.code, run.out.lines().count()), (0, Defect::all().len()));
    let run = proveil(&["--defect", "wrong-tbc"]);
    assert!(run.code == 2 && run.err.contains("Did you mean `wrong-tcb`?"), "{}", run.err);

    let mut child = Served::provider(home.path(), "privatemode", &["--defect", "manifest-garbage", "--json"]);
    let document = child.document();
    let listed = document["models"].as_array().unwrap();
    assert!(listed.iter().any(|id| id == models::REASONER) && document["provider"] == "privatemode");
    let roots = std::fs::read_to_string(document["trust_roots_file"].as_str().unwrap()).unwrap();
    assert!(roots.contains("amd_roots_pem"), "{roots}");
    let host = document["manifest_url"].as_str().unwrap().strip_prefix("http://").unwrap();
    let path = proveil_testkit::sim::privatemode::MANIFEST_PATH;
    let mut stream = std::net::TcpStream::connect(host).unwrap();
    write!(stream, "GET {path} HTTP/1.1\r\nhost: {host}\r\nconnection: close\r\n\r\n").unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    assert!(answer.starts_with("HTTP/1.1 200") && answer.contains("\"Policies\""), "{answer}");
}

fn proveil_with_key(home: &std::path::Path, served: &serde_json::Value, args: &[&str]) -> Run {
    let member = |name: &str| served[name].as_str().unwrap().to_owned();
    let mut command = Command::new(assert_cmd::cargo::cargo_bin!("proveil"));
    command.env_clear().env("HOME", home).env("VENICE_API_KEY", "any").args(["verify", "venice"]);
    command.args(["--base-url", &member("base_url"), "--collateral-url", &member("collateral_url")]);
    finish(command.args(["--trust-roots", &member("trust_roots_file")]).args(args))
}

/// A `proveil simulate` that ends with the test.
struct Served(Child);

impl Served {
    fn start(home: &std::path::Path, args: &[&str]) -> Served {
        Served::provider(home, "venice", args)
    }

    fn provider(home: &std::path::Path, provider: &str, args: &[&str]) -> Served {
        let mut command = std::process::Command::new(assert_cmd::cargo::cargo_bin!("proveil"));
        command.env_clear().env("HOME", home).env("TMPDIR", home).args(["simulate", provider]).args(args);
        Served(command.stdout(Stdio::piped()).spawn().unwrap())
    }

    fn document(&mut self) -> serde_json::Value {
        let mut lines = BufReader::new(self.0.stdout.as_mut().unwrap()).lines();
        let mut text = String::new();
        loop {
            let line = lines.next().unwrap().unwrap();
            text.push_str(&line);
            if line == "}" {
                return serde_json::from_str(&text).unwrap();
            }
        }
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Ctrl-C in the middle of an answer: exit 130, and the connection is gone.
#[cfg(unix)]
#[test]
fn an_interrupt_ends_at_once() {
    let stage = Stage::new(&[]);
    let sim = &stage.sim;
    let held = sim.hold_next(2);
    let mut command = std::process::Command::new(assert_cmd::cargo::cargo_bin!("proveil"));
    command
        .env_clear()
        .env("HOME", stage.home.path())
        .env("VENICE_API_KEY", KEY)
        .current_dir(stage.home.path());
    command.args(["chat", "venice", "-m", models::E2EE, "--trust-roots", "roots.json", PROMPT]);
    command.args(["--base-url", &sim.base_url(), "--collateral-url", &sim.collateral_url()]);
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut first = [0; 1];
    child.stdout.as_mut().unwrap().read_exact(&mut first).unwrap();
    let pid = rustix::process::Pid::from_child(&child);
    rustix::process::kill_process(pid, rustix::process::Signal::INT).unwrap();
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(130));
    held.wait_until_abandoned();
    assert_eq!(sim.recorded().to_path(ATTESTATION_PATH).count(), 1);
}
