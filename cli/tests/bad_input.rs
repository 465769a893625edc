//! Malformed command lines: exit code 2, the nearest valid name, nothing on standard output, no secret anywhere.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    clippy::print_stdout
)]

use assert_cmd::Command;

const CANARY: &str = "canary-key-77aa";

/// The program in an empty environment and an empty directory.
fn proveil(home: &std::path::Path) -> Command {
    let mut command = Command::new(assert_cmd::cargo::cargo_bin!("proveil"));
    command.env_clear().env("HOME", home).current_dir(home);
    command
}

struct Run {
    code: i32,
    out: String,
    err: String,
}

fn run(command: &mut Command) -> Run {
    let output = command.output().unwrap();
    Run {
        code: output.status.code().unwrap(),
        out: String::from_utf8(output.stdout).unwrap(),
        err: String::from_utf8(output.stderr).unwrap(),
    }
}

#[test]
fn mistakes_are_named_with_the_nearest_valid_word() {
    let home = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| std::fs::write(home.path().join(name), text).unwrap();
    write("bad-policy.json", r#"{"schema":"proveil.policy/v1","gpux":{}}"#);
    write("not-json", "{");
    write("empty", "");
    write("two-lines", "canary-key-77aa\nsecond");
    let nonce = "00".repeat(32);
    let offline = |changed: &[&'static str]| -> Vec<String> {
        let mut args =
            vec!["verify", "venice", "--response", "not-json", "--collateral", "empty", "--at", "1"];
        args.extend(changed);
        args.into_iter().map(str::to_owned).collect()
    };
    let plain = |args: &[&str]| -> Vec<String> { args.iter().map(|arg| (*arg).to_owned()).collect() };
    let mut with_nonce = offline(&["--policy", "strikt"]);
    with_nonce.extend(["--nonce".to_owned(), nonce.clone()]);
    let mut bad_file = offline(&["--policy", "bad-policy.json"]);
    bad_file.extend(["--nonce".to_owned(), nonce]);
    let cases: Vec<(Vec<String>, &[&str])> = vec![
        (plain(&["verfy", "venice"]), &["'verfy'", "'verify'"]),
        (plain(&["verify", "venise", "--model", "m"]), &["PV-104", "Did you mean `venice`?"]),
        (plain(&["verify", "venice", "--modell", "m"]), &["'--modell'", "'--model'"]),
        (plain(&["verify", "venice"]), &["PV-135", "proveil models"]),
        (plain(&["verify", "venice", "--model", "m"]), &["PV-133", "VENICE_API_KEY"]),
        (plain(&["verify", "venice", "--response", "x"]), &["--nonce", "--collateral", "--at"]),
        (plain(&["verify", "venice", "--at", "now"]), &["'now'", "--at"]),
        (offline(&["--nonce", "1234"]), &["PV-101", "--nonce", "64 hex digits"]),
        (with_nonce, &["PV-131", "Did you mean `strict`?"]),
        (bad_file, &["PV-131", "gpux", "gpu"]),
        (plain(&["chat", "venice"]), &["--model"]),
        (
            plain(&["chat", "venice", "-m", "m", "hi", "--api-key", CANARY]),
            &["'--api-key'", "'--api-key-file'"],
        ),
        (plain(&["chat", "venice", "-m", "m", "hi", "--api-key-file", "absent"]), &["PV-134", "absent"]),
        (plain(&["chat", "venice", "-m", "m", "hi", "--api-key-file", "empty"]), &["PV-133"]),
        (plain(&["chat", "venice", "-m", "m", "hi", "--api-key-file", "two-lines"]), &["PV-130"]),
        (plain(&["chat", "venice", "-m", "m", "--api-key-file", "-"]), &["PV-135", "both"]),
        (plain(&["models", "venice", "--base-url", "http://api.venice.ai"]), &["PV-136", "--base-url"]),
        (plain(&["models", "venice", "--ca-bundle", "empty"]), &["PV-133"]),
        (plain(&["explain", "tdx.xfma"]), &["PV-101", "Did you mean `tdx.xfam`?"]),
        (plain(&["explain", "PV-298"]), &["PV-101", "Did you mean"]),
        (plain(&["completions", "bsh"]), &["'bsh'", "'bash'"]),
    ];
    for (args, expected) in cases {
        let run = run(proveil(home.path()).args(&args).write_stdin(""));
        assert_eq!(run.code, 2, "{args:?}: {}", run.err);
        assert_eq!(run.out, "", "{args:?}");
        for part in expected {
            assert!(run.err.contains(part), "{args:?} should say {part}: {}", run.err);
        }
        assert!(!run.err.contains("second") && !run.err.contains('\u{1b}'), "{}", run.err);
    }
}

#[test]
fn errors_have_a_json_form() {
    let home = tempfile::tempdir().unwrap();
    let cases: [(&[&str], &str); 3] = [
        (&["verify", "venise", "-m", "m", "--json"], "PV-104"),
        (&["verify", "venice", "--modell", "m", "--json"], "PV-135"),
        (&["--json", "models", "venice"], "PV-133"),
    ];
    for (args, code) in cases {
        let run = run(proveil(home.path()).args(args));
        assert_eq!((run.code, run.err.as_str()), (2, ""), "{args:?}");
        let document: serde_json::Value = serde_json::from_str(&run.out).unwrap();
        assert_eq!(document["schema"], "proveil.error/v1");
        assert_eq!(document["code"], code);
        for member in ["slug", "message", "hint", "retryable", "details", "class"] {
            assert!(document.get(member).is_some(), "{member}");
        }
    }
}

/// Threats T57: whatever lies in the current directory changes nothing.
#[test]
fn a_hostile_directory_changes_nothing() {
    let home = tempfile::tempdir().unwrap();
    let clean = run(proveil(home.path()).args(["explain", "policy"]));
    for name in [".env", "proveil.toml", "proveil.json", ".proveil", "config.toml", "standard", "strict"] {
        std::fs::write(home.path().join(name), "VENICE_API_KEY=canary-key-77aa\npolicy = \"none\"\n")
            .unwrap();
    }
    let after = run(proveil(home.path()).args(["explain", "policy"]));
    assert_eq!((clean.code, clean.out), (0, after.out));
    let models = run(proveil(home.path()).args(["models", "venice"]));
    assert_eq!(models.code, 2);
    assert!(models.err.contains("PV-133"), "{}", models.err);
}

/// Nothing listens on that port, so all of these end with the model list; what matters is which key file was complained about.
#[cfg(unix)]
#[test]
fn keys_come_from_files_and_the_environment() {
    use std::os::unix::fs::PermissionsExt;
    let home = tempfile::tempdir().unwrap();
    let open = home.path().join("open-key");
    let private = home.path().join("private-key");
    for (path, mode) in [(&open, 0o644), (&private, 0o600)] {
        std::fs::write(path, format!("{CANARY}\n")).unwrap();
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
    }
    // Bound, so that nobody else comes to listen there.
    let socket = tokio::net::TcpSocket::new_v4().unwrap();
    socket.bind((std::net::Ipv4Addr::LOCALHOST, 0).into()).unwrap();
    let url = format!("http://{}", socket.local_addr().unwrap());
    let base = |command: &mut Command| {
        command.args(["models", "venice", "--base-url", &url]);
    };
    type Give<'a> = Box<dyn Fn(&mut Command) + 'a>;
    let cases: Vec<(&str, Give<'_>, bool)> = vec![
        (
            "flag",
            Box::new(|c| {
                c.arg("--api-key-file").arg(&private);
            }),
            false,
        ),
        (
            "flag, exposed",
            Box::new(|c| {
                c.arg("--api-key-file").arg(&open);
            }),
            true,
        ),
        (
            "variable",
            Box::new(|c| {
                c.env("VENICE_API_KEY", CANARY);
            }),
            false,
        ),
        (
            "file variable",
            Box::new(|c| {
                c.env("VENICE_API_KEY_FILE", &open);
            }),
            true,
        ),
        (
            "standard input",
            Box::new(|c| {
                c.args(["--api-key-file", "-"]).write_stdin(CANARY);
            }),
            false,
        ),
    ];
    for (what, give, warned) in cases {
        let mut command = proveil(home.path());
        base(&mut command);
        give(&mut command);
        let run = run(&mut command);
        assert!(!run.err.contains("PV-133"), "{what}: {}", run.err);
        assert_eq!(run.err.contains("chmod 600"), warned, "{what}: {}", run.err);
        assert!(!run.err.contains("canary") && !run.out.contains("canary"), "{what}");
    }
}

#[test]
fn plain_results() {
    let home = tempfile::tempdir().unwrap();
    let cases: [(&[&str], &str); 9] = [
        (&["--help"], "Exit codes"),
        (&["--version"], "proveil 0."),
        (&["version"], "proveil 0."),
        (&["version", "--json"], "proveil.version/v1"),
        (&["explain", "tdx.xfam"], "attestation.md"),
        (&["explain", "tdx.tcb"], "tdx.tcb.status"),
        (&["explain", "229"], "tcb_status_refused"),
        (&["explain", "--json"], "proveil.explain/v1"),
        (&["completions", "bash"], "_proveil"),
    ];
    for (args, expected) in cases {
        let run = run(proveil(home.path()).args(args));
        assert_eq!((run.code, run.err.as_str()), (0, ""), "{args:?}");
        assert!(run.out.contains(expected), "{args:?}: {}", run.out);
        assert!(!run.out.contains('\u{1b}'), "no colour outside a terminal");
    }
}

/// A reader that goes away early is no error.
#[cfg(unix)]
#[test]
fn a_closed_pipe_is_quiet() {
    let home = tempfile::tempdir().unwrap();
    let mut child = std::process::Command::new(assert_cmd::cargo::cargo_bin!("proveil"))
        .args(["explain", "--json"])
        .env_clear()
        .env("HOME", home.path())
        .stdout(std::process::Stdio::piped())
        .stderr(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    drop(child.stdout.take());
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(0));
    assert_eq!(String::from_utf8(output.stderr).unwrap(), "");
}
