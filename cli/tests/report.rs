//! `proveil report`: every form of a saved report, from a simulated refusal to a file that is none.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    clippy::print_stdout
)]

use std::path::Path;

use assert_cmd::Command;
use proveil_testkit::sim::{Defect, SimConfig, Simulator, models};

/// A P-256 key for these tests alone.
const KEY: &str = "-----BEGIN PRIVATE KEY-----\n\
MEECAQAwEwYHKoZIzj0CAQYIKoZIzj0DAQcEJzAlAgEBBCAAAAAAAAAAAAAAAAAA\n\
AAAAAAAAAAAAAAAAAAAAAAAAAQ==\n-----END PRIVATE KEY-----\n";

struct Run {
    code: i32,
    out: String,
    err: String,
}

fn proveil(home: &Path, args: &[&str], stdin: &str) -> Run {
    let mut command = Command::new(assert_cmd::cargo::cargo_bin!("proveil"));
    let output = command
        .env_clear()
        .env("HOME", home)
        .env("VENICE_API_KEY", "k")
        .current_dir(home)
        .args(args)
        .write_stdin(stdin)
        .output()
        .unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    Run { code: output.status.code().unwrap(), out: text(output.stdout), err: text(output.stderr) }
}

/// What `verify --json` prints about the simulator with a defect.
fn saved(home: &Path, defect: Option<Defect>) -> String {
    let config = SimConfig { gpus: 1, defects: defect.into_iter().collect(), ..SimConfig::default() };
    let sim = Simulator::start(config).unwrap();
    std::fs::write(home.join("roots.json"), sim.trust_roots_json()).unwrap();
    let (base, collateral) = (sim.base_url(), sim.collateral_url());
    let args = [
        "verify",
        "venice",
        "-m",
        models::E2EE,
        "--base-url",
        &base,
        "--collateral-url",
        &collateral,
        "--trust-roots",
        "roots.json",
        "--json",
    ];
    proveil(home, &args, "").out
}

#[test]
fn a_saved_report_is_shown_in_every_form() {
    let cases = [
        (None, "Verified", "VERIFIED"),
        (Some(Defect::TamperedQuote), "Refused", "REFUSED"),
        (Some(Defect::CollateralExpired), "Could not check", "COULD NOT CHECK"),
    ];
    for (defect, word, capitals) in cases {
        let home = tempfile::tempdir().unwrap();
        let report = saved(home.path(), defect);
        std::fs::write(home.path().join("r.json"), &report).unwrap();
        for (flag, opening, part) in [
            ("--html", "<!DOCTYPE html>", word),
            ("--svg", "<svg ", word),
            ("--ear", "{\"eat_profile\":\"tag:ietf.org,2026:rats/ear#04\"", capitals),
            ("--text", "As recorded in r.json; nothing was verified now.", capitals),
        ] {
            let run = proveil(home.path(), &["report", "r.json", flag], "");
            assert_eq!((run.code, run.err.as_str()), (0, ""), "{flag}");
            assert!(
                run.out.starts_with(opening) && run.out.contains(part) && run.out.contains("CUSTOM"),
                "{flag}: {}",
                run.out
            );
            // To a file, and from standard input.
            let run = proveil(home.path(), &["report", "r.json", flag, "-o", "out"], "");
            assert_eq!((run.code, run.out.as_str()), (0, ""));
            let written = std::fs::read_to_string(home.path().join("out")).unwrap();
            assert!(written.starts_with(opening) && written.ends_with('\n'), "{flag}");
            let run = proveil(home.path(), &["report", "-", flag], &report);
            assert_eq!(run.code, 0, "{flag}: {}", run.err);
        }
        let plain = proveil(home.path(), &["report", "r.json"], "");
        assert_eq!(plain.out, proveil(home.path(), &["report", "r.json", "--text"], "").out);
        assert!(plain.out.lines().all(|line| line.chars().count() <= 80), "{}", plain.out);
        // The record comes back byte for byte.
        assert_eq!(proveil(home.path(), &["report", "r.json", "--json"], "").out, report);
        let html = proveil(home.path(), &["report", "r.json", "--html"], "").out;
        assert!(
            html.contains("As recorded in <code>r.json</code>") && html.contains("not itself a verification")
        );
    }
}

#[test]
fn an_ear_is_signed_with_a_key_that_is_named() {
    let home = tempfile::tempdir().unwrap();
    std::fs::write(home.path().join("r.json"), saved(home.path(), None)).unwrap();
    std::fs::write(home.path().join("key.pem"), KEY).unwrap();
    std::fs::write(home.path().join("bad.pem"), KEY.replace("MEEC", "MEED")).unwrap();
    let run = proveil(home.path(), &["report", "r.json", "--ear", "--ear-key", "key.pem"], "");
    assert_eq!(run.code, 0, "{}", run.err);
    let parts: Vec<&str> = run.out.trim_end().split('.').collect();
    assert_eq!((parts.len(), parts[2].len()), (3, 86), "{}", run.out);
    for (args, code) in [
        (&["report", "r.json", "--ear", "--ear-key", "bad.pem"][..], "PV-101"),
        (&["report", "r.json", "--ear", "--ear-key", "none.pem"], "PV-134"),
    ] {
        let run = proveil(home.path(), args, "");
        assert!(run.code == 2 && run.err.contains(code) && run.out.is_empty(), "{args:?}: {}", run.err);
    }
    let run = proveil(home.path(), &["report", "r.json", "--html", "--ear-key", "key.pem"], "");
    assert_eq!(run.code, 2, "{}", run.err);
}

#[test]
fn what_is_no_report_is_refused_with_a_code() {
    let home = tempfile::tempdir().unwrap();
    let report = saved(home.path(), None);
    let write = |name: &str, bytes: &[u8]| std::fs::write(home.path().join(name), bytes).unwrap();
    write("empty", b"");
    write("text", b"VERIFIED");
    write("binary", &[0, 255, 254, 1]);
    write("deep", "[".repeat(200_000).as_bytes());
    write("cut", &report.as_bytes()[..report.len() / 2]);
    write("other", report.replace("report/v1", "report/v9").as_bytes());
    write("extra", report.replacen("\"verdict\"", "\"verdit\": 1, \"verdict\"", 1).as_bytes());
    write("forged", report.replacen("\"outcome\": \"pass\"", "\"outcome\": \"fail\"", 1).as_bytes());
    write("vendor", report.replacen("\"roots\": \"custom\"", "\"roots\": \"vendor\"", 1).as_bytes());
    write("huge", &vec![b'1'; 4 * 1024 * 1024 + 1]);
    for name in ["empty", "text", "binary", "deep", "cut", "other", "extra", "forged", "vendor"] {
        let run = proveil(home.path(), &["report", name, "--html", "-o", "page.html"], "");
        assert_eq!((run.code, run.out.as_str()), (2, ""), "{name}: {}", run.err);
        assert!(run.err.contains("PV-137") && !home.path().join("page.html").exists(), "{name}: {}", run.err);
    }
    for (args, code) in [
        (&["report", "huge"][..], "PV-134"),
        (&["report", "absent"], "PV-134"),
        (&["report", "."], "PV-134"),
        (&["report", "cut", "--html", "--svg"], ""),
        (&["report", "cut", "--htm"], "--html"),
        (&["report"], ""),
    ] {
        let run = proveil(home.path(), args, "");
        assert!(run.code == 2 && run.err.contains(code) && run.out.is_empty(), "{args:?}: {}", run.err);
    }
    write("good", report.as_bytes());
    let run = proveil(home.path(), &["report", "good", "--html", "-o", "no/such/folder/x"], "");
    assert!(run.code == 2 && run.err.contains("PV-138"), "{}", run.err);
}
