//! What ships the proxy (`deploy/`) against the program: every flag and variable that is used there exists, and the image's entry point
//! serves.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    clippy::print_stdout
)]

use std::collections::BTreeSet;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use proveil::Provider;
use serde_json::Value;

const DOCKERFILE: &str = "docker/Dockerfile";
const COMPOSE: &str = "docker/compose.yaml";
const CHART: &str = "helm/proveil-proxy/templates/deployment.yaml";
const SCALING: &str = "helm/proveil-proxy/templates/horizontalpodautoscaler.yaml";
const UNIT: &str = "systemd/proveil-proxy.service";

fn read(file: &str) -> String {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../deploy").join(file);
    std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

fn proveil(home: &Path) -> Command {
    let mut command = Command::new(assert_cmd::cargo::cargo_bin!("proveil"));
    command.env_clear().env("HOME", home).current_dir(home);
    command
}

/// Words that begin with two dashes.
fn flags(text: &str) -> BTreeSet<String> {
    let plain = |c: char| c.is_ascii_alphanumeric() || c == '-';
    text.split(|c: char| !plain(c))
        .filter(|word| word.strip_prefix("--").is_some_and(|rest| rest.starts_with(char::is_alphabetic)))
        .map(str::to_owned)
        .collect()
}

/// The lines of a file that `proveil proxy` gets, without those for other programs and people.
fn command_lines(file: &str) -> String {
    let text = read(file);
    let ours = |line: &&str| {
        let line = line.trim_start();
        let for_proveil = match file {
            DOCKERFILE => line.contains("\"/usr/local/bin/proveil\""),
            UNIT => line.starts_with("ExecStart="),
            _ => true,
        };
        for_proveil && !line.starts_with('#')
    };
    text.lines().filter(ours).collect::<Vec<_>>().join("\n")
}

#[test]
fn every_flag_exists() {
    let home = tempfile::tempdir().unwrap();
    let help = proveil(home.path()).args(["proxy", "--help"]).output().unwrap();
    let known = flags(&String::from_utf8(help.stdout).unwrap());
    for (file, some) in [
        (DOCKERFILE, &["--container", "--probe"][..]),
        (COMPOSE, &["--api-key-file", "--body-memory-mib", "--drain", "--probe", "--provider"]),
        (
            CHART,
            &[
                "--apiEndpoint",
                "--body-memory-mib",
                "--ca-bundle",
                "--client-tokens-file",
                "--drain",
                "--host",
                "--manifestPath",
                "--port",
            ],
        ),
        (UNIT, &["--body-memory-mib", "--drain", "--listen", "--log-format"]),
    ] {
        let used = flags(&command_lines(file));
        assert!(some.iter().all(|flag| used.contains(*flag)), "{file}: {used:?}");
        let unknown: Vec<&String> = used.difference(&known).collect();
        assert!(unknown.is_empty(), "{file}: {unknown:?} of {known:?}");
    }
    assert!(!known.contains("--no-such-flag"));
}

#[test]
fn keys_are_named_by_files_only() {
    let variables: Vec<String> =
        Provider::ALL.iter().map(|provider| format!("{}_FILE", provider.api_key_variable())).collect();
    for (file, expected) in [(CHART, &variables[..]), (UNIT, &["PRIVATEMODE_API_KEY_FILE".to_owned()])] {
        let text = read(file);
        let named: BTreeSet<&str> = text
            .split(|c: char| !(c.is_ascii_alphanumeric() || c == '_'))
            .filter(|word| word.contains("API_KEY"))
            .filter(|word| {
                !text.contains(&format!(
                    "# For Venice, `systemctl edit proveil-proxy`: another LoadCredential and {word}"
                ))
            })
            .collect();
        assert_eq!(named, expected.iter().map(String::as_str).collect(), "{file}");
    }
}

/// T53: the defaults of every set-up keep strangers out: a loopback address, or a container that serves private addresses only.
#[test]
fn t53_set_ups_are_not_exposed() {
    assert!(command_lines(UNIT).contains("--listen 127.0.0.1:"));
    assert!(read(COMPOSE).contains("- \"127.0.0.1:8080:8080\""));
    assert!(
        command_lines(DOCKERFILE)
            .contains("ENTRYPOINT [\"/usr/local/bin/proveil\", \"proxy\", \"--container\"]")
    );
    let home = tempfile::tempdir().unwrap();
    let exposed = proveil(home.path()).args(["proxy", "--demo", "--listen", "0.0.0.0:0"]).output().unwrap();
    assert_eq!(exposed.status.code(), Some(2), "{}", String::from_utf8_lossy(&exposed.stderr));
}

/// The number right after a mark.
fn number(text: &str, mark: &str) -> u64 {
    let (_, after) = text.split_once(mark).unwrap_or_else(|| panic!("no {mark:?} in {text}"));
    let digits: String = after.chars().take_while(char::is_ascii_digit).collect();
    digits.parse().unwrap_or_else(|error| panic!("{mark:?}: {error}"))
}

/// T54: what the bodies of all requests take while they are sealed fits into the memory of every set-up (`overload.rs` measures the factor).
#[test]
fn t54_bodies_fit_into_the_memory() {
    const OWN_MIB: u64 = 64;
    const FACTOR: u64 = 10;
    let (compose, unit, values) = (read(COMPOSE), read(UNIT), read("helm/proveil-proxy/values.yaml"));
    assert!(read(CHART).contains("- --body-memory-mib={{ $config.bodyMemoryMib }}\n"));
    let (_, limits) = values.split_once("\n  limits:\n").unwrap();
    for (file, bodies, limit, unit_mib) in [
        (
            COMPOSE,
            number(&compose, "- --body-memory-mib\n      - \""),
            number(&compose, "\n    mem_limit: "),
            1,
        ),
        (UNIT, number(&unit, " --body-memory-mib "), number(&unit, "\nMemoryMax="), 1024),
        (CHART, number(&values, "\n  bodyMemoryMib: "), number(limits, "\n    memory: "), 1),
    ] {
        assert!(bodies >= 64 && OWN_MIB + FACTOR * bodies <= limit * unit_mib, "{file}: {bodies} of {limit}");
    }
    assert!(compose.contains("\n    mem_limit: 768m\n") && limits.contains("\n    memory: 768Mi\n"));
    assert!(unit.contains("\nMemoryMax=1G\n"), "the units are those that were reckoned with");
}

struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// The status of a request with this `Host`, and the whole answer.
fn ask(port: u16, host: &str, line: &str, body: &str) -> (u16, String) {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).unwrap();
    let length = body.len();
    write!(
        stream,
        "{line} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\nContent-Type: application/json\r\n\
         Content-Length: {length}\r\n\r\n{body}"
    )
    .unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    (answer[9..12].parse().unwrap(), answer)
}

/// The image's entry point, with the arguments that the chart adds for its names and probes.
#[test]
fn the_entry_point_serves() {
    let home = tempfile::tempdir().unwrap();
    let mut child = proveil(home.path())
        .args(["--json", "proxy", "--container", "--port=0", "--demo", "--log-level=error"])
        .args(["--host=ai-proveil-proxy.team.svc.cluster.local", "--host=10.1.2.3", "--host=fd00::1"])
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut said = String::new();
    let mut lines = BufReader::new(child.stdout.take().unwrap());
    let running = Running(child);
    let announced: Value = loop {
        assert_ne!(lines.read_line(&mut said).unwrap(), 0, "ended: {said}");
        if let Ok(document) = serde_json::from_str(&said) {
            break document;
        }
    };
    let url = announced["url"].as_str().unwrap();
    let port = url.strip_prefix("http://[::]:").or_else(|| url.strip_prefix("http://0.0.0.0:")).expect(url);
    let port: u16 = port.parse().unwrap();
    // A pod may have addresses of one family only.
    if url.starts_with("http://[::]") && std::net::TcpListener::bind("[::1]:0").is_ok() {
        let probe = format!("http://[::1]:{port}/healthz");
        let probe = proveil(home.path()).args(["proxy", "--probe", &probe]).output().unwrap();
        assert_eq!(probe.status.code(), Some(0), "{probe:?}");
    }
    for (host, expected) in [
        ("localhost", 200),
        ("proxy", 200),
        ("ai-proveil-proxy.team.svc.cluster.local:8080", 200),
        ("10.1.2.3:8080", 200),
        ("[fd00::1]:8080", 200),
        ("10.1.2.4", 403),
        ("evil.example", 403),
    ] {
        assert_eq!(ask(port, host, "GET /healthz", "").0, expected, "{host}");
    }
    // By the name of the service, and then what the chart scales by.
    let body = r#"{"model":"venice/e2ee-sim-27b","messages":[{"role":"user","content":"Hello"}]}"#;
    let (status, answer) = ask(port, "proxy:8080", "POST /v1/chat/completions", body);
    assert_eq!(status, 200, "{answer}");
    let (_, metrics) = ask(port, "10.1.2.3:8080", "GET /metrics", "");
    assert!(read(SCALING).contains("name: proveil_answers_open\n"));
    assert!(metrics.contains("\nproveil_answers_open 0\n"), "{metrics}");
    let probe = |path: &str| {
        let url = format!("http://127.0.0.1:{port}{path}");
        proveil(home.path()).args(["proxy", "--probe", &url]).output().unwrap().status.code()
    };
    assert_eq!(probe("/healthz"), Some(0));
    assert_eq!(probe("/no-such-path"), Some(4));
    drop(running);
    assert_eq!(probe("/healthz"), Some(4));
    let elsewhere = proveil(home.path()).args(["proxy", "--probe", "http://example.com/"]).output().unwrap();
    assert_eq!(elsewhere.status.code(), Some(2));
}
