//! The configuration: strict files with places and nearest names, variables, precedence, and directories that must not matter
//! (threats T57, T59).

#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::arithmetic_side_effects)]

use std::path::Path;

use assert_cmd::Command;
use proveil_testkit::sim::{SimConfig, Simulator, models};

const KEY: &str = "canary-key-5c1e";

struct Run {
    code: i32,
    out: String,
    err: String,
}

/// The program in an empty environment.
fn proveil(home: &Path) -> Command {
    let mut command = Command::new(assert_cmd::cargo::cargo_bin!("proveil"));
    command.env_clear().env("HOME", home).current_dir(home);
    command
}

fn run(command: &mut Command) -> Run {
    let output = command.output().unwrap();
    let run = Run {
        code: output.status.code().unwrap(),
        out: String::from_utf8(output.stdout).unwrap(),
        err: String::from_utf8(output.stderr).unwrap(),
    };
    assert!(!run.out.contains("canary") && !run.err.contains("canary"), "{}{}", run.out, run.err);
    run
}

/// The user's own file of settings.
fn user_file(home: &Path, text: &str) {
    let directory = home.join(".config/proveil");
    std::fs::create_dir_all(&directory).unwrap();
    std::fs::write(directory.join("config.toml"), text).unwrap();
    only_own(&directory, 0o755);
    only_own(&directory.join("config.toml"), 0o644);
}

/// As with the usual mask, whatever this one is: what others can write is refused.
fn only_own(path: &Path, mode: u32) {
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
    }
    #[cfg(not(unix))]
    let _ = (path, mode);
}

/// Each file ends the command before anything happens, with the place and the nearest name.
#[test]
fn bad_files_are_named_with_line_column_and_nearest_key() {
    let cases: &[(&str, (u64, u64), &[&str])] = &[
        ("[proxy]\nlisten = '127.0.0.1:1'\nlistn = 1", (3, 1), &["proxy.listn", "Did you mean `listen`?"]),
        ("[proxxy]", (1, 2), &["no such section", "Did you mean `proxy`?"]),
        ("listen = '127.0.0.1:1'", (1, 1), &["below `[proxy]`"]),
        ("base_url = 'https://x'", (1, 1), &["below `[provider.venice]`"]),
        (
            "[provider.venise]\nbase_url = 'https://x'",
            (1, 11),
            &["provider.venise", "Did you mean `venice`?"],
        ),
        ("[provider.venice]\n  base-url = 'https://x'", (2, 3), &["Did you mean `base_url`?"]),
        ("[provider.venice]\nmanifest = 'm.json'", (2, 1), &["goes with `privatemode` only"]),
        ("[proxy]\ndrain_s = '5'", (2, 11), &["proxy.drain_s", "whole number", "found a string"]),
        ("[proxy]\ndrain_s = -5", (2, 11), &["whole number", "found -5"]),
        ("[proxy]\ndrain_s = 1.5", (2, 11), &["found a fraction"]),
        ("[proxy]\nbody_memory_mib = 63", (2, 19), &["64 to 1048576", "found 63"]),
        ("[proxy]\ndrain_s = 86401", (2, 11), &["0 to 86400", "found 86401"]),
        ("[proxy]\nemulate_tools = 'yes'", (2, 17), &["true or false", "found a string"]),
        ("[proxy]\nhosts = 'a'", (2, 9), &["list of host names", "found a string"]),
        ("[proxy]\nhosts = ['a', 1]", (2, 9), &["list of something else"]),
        ("[proxy]\nhosts = ['https://a']", (2, 9), &["list of host names"]),
        ("[proxy]\norigins = ['*']", (2, 11), &["list of origins", "found *"]),
        ("[proxy]\nlisten = 9876", (2, 10), &["127.0.0.1:9876", "found a number"]),
        ("[proxy]\nlisten = 'localhost'", (2, 10), &["127.0.0.1:9876", "found localhost"]),
        ("[proxy]\nproviders = ['venise']", (2, 13), &["Did you mean `venice`?"]),
        ("[proxy]\nproviders = []", (2, 13), &["at least one"]),
        ("[proxy]\nlog_level = 'wran'", (2, 13), &["error, warn, info, debug", "Did you mean `warn`?"]),
        ("[proxy]\ntls_key = 'k.pem'", (2, 1), &["proxy.tls_key", "goes with `proxy.tls_cert`"]),
        ("[proxy]\ntls_cert = 'c.pem'", (2, 1), &["proxy.tls_cert", "goes with `proxy.tls_key`"]),
        ("[proxy]\n\ntls_client_ca = 'c.pem'", (3, 1), &["goes with `proxy.tls_cert`"]),
        (
            "[provider.privatemode]\nmanifest = 'm'\nmanifest_url = 'https://x'",
            (3, 1),
            &["cannot be together with `provider.privatemode.manifest`"],
        ),
        ("[provider.venice]\nbase_url = 'http://api.venice.ai'", (2, 12), &["https", "http://api.venice.ai"]),
        ("[provider.venice]\nbase_url = 'https://me:canary-pw@x'", (2, 12), &["https://***@x"]),
        ("[provider.venice]\npolicy = 'strikt'", (2, 10), &["Did you mean `strict`?"]),
        ("[provider.venice]\npins = ''", (2, 8), &["absolute path"]),
        ("[provider.venice]\ntrust_roots = 'r.json'", (2, 1), &["Trust roots are never configured"]),
        ("trust_roots = 'r.json'", (1, 1), &["Trust roots are never configured"]),
        (
            "[provider.venice]\napi_key = 'canary-key'",
            (2, 1),
            &["A secret does not belong", "`api_key_file`"],
        ),
        ("[proxy]\nclient_tokens = ['canary-token']", (2, 1), &["A secret does not belong"]),
        ("[proxy]\ndrain_s = 1\ndrain_s = 2", (3, 1), &["Duplicate key"]),
        ("[proxy]\n[proxy]", (2, 2), &["Duplicate key"]),
        ("[proxy]\nlisten = 'canary", (2, 17), &["nvalid"]),
        ("[proxy\n", (1, 7), &["config.toml:1:7"]),
        ("proxy = 1", (1, 9), &["a table", "found a number"]),
        ("[[proxy]]", (1, 1), &["a table"]),
        ("provider = ['venice']", (1, 12), &["a table"]),
        ("[models]\nfast = 'venice/m'", (2, 8), &["list of `provider/model`", "found a string"]),
        ("[models]\nfast = []", (2, 8), &["1 to 32 models"]),
        ("[models]\nfast = ['venise/m']", (2, 8), &["Did you mean `venice/...`?"]),
        ("[models]\nfast = ['m']", (2, 8), &["`provider/model`", "found m"]),
        ("[models]\n'venice/m' = ['venice/m']", (2, 1), &["must not look like"]),
        ("[models]\n'a b' = ['venice/m']", (2, 1), &["visible ASCII"]),
        ("# \u{e4}\u{1f600}\n'\u{e4}\u{1f600}x' = 1", (2, 1), &["no such section"]),
        ("[proxy]\n\"\u{e4}\" = 1", (2, 1), &["no such key"]),
        (
            "proxy = { \u{22}hosts\u{22} = [\u{22}\u{e4}\u{22}] }",
            (1, 21),
            &["list of host names", "found \u{e4}"],
        ),
    ];
    let home = tempfile::tempdir().unwrap();
    for (text, place, expected) in cases {
        user_file(home.path(), text);
        let plain = run(proveil(home.path()).args(["models", "venice"]));
        assert_eq!((plain.code, plain.out.as_str()), (2, ""), "{text}: {}", plain.err);
        let (line, column) = place;
        assert!(plain.err.contains("PV-130"), "{text}: {}", plain.err);
        assert!(plain.err.contains(&format!("config.toml:{line}:{column}")), "{text}: {}", plain.err);
        for part in *expected {
            assert!(plain.err.contains(part), "{text:?} should say {part}: {}", plain.err);
        }
        let json = run(proveil(home.path()).args(["models", "venice", "--json"]));
        let document: serde_json::Value = serde_json::from_str(&json.out).unwrap();
        assert_eq!(document["code"], "PV-130");
        assert_eq!(
            (&document["details"]["line"], &document["details"]["column"]),
            (&(*line).into(), &(*column).into())
        );
    }
}

#[test]
fn bad_variables_are_named_with_the_nearest() {
    let cases: &[(&str, &str, &[&str])] = &[
        ("PROVEIL_PROXY_LISTN", "x", &["Did you mean `PROVEIL_PROXY_LISTEN`?"]),
        ("PROVEIL_VENICE_BASE_URL", "https://x", &["PROVEIL_PROVIDER_VENICE_BASE_URL"]),
        ("PROVEIL_CONFG", "/x", &["Did you mean `PROVEIL_CONFIG`?"]),
        ("PROVEIL_COMPLETELY_ELSE", "1", &["no such variable", "docs/configuration.md"]),
        ("PROVEIL_PROVIDER_VENICE_MANIFEST", "/m", &["goes with `privatemode` only"]),
        ("PROVEIL_TRUST_ROOTS", "/r.json", &["Trust roots are never configured"]),
        ("PROVEIL_PROVIDER_VENICE_TRUST_ROOTS", "/r.json", &["Trust roots are never configured"]),
        ("PROVEIL_PROVIDER_VENICE_API_KEY", "canary", &["A secret does not belong"]),
        ("PROVEIL_PROXY_DRAIN_S", "soon", &["PROVEIL_PROXY_DRAIN_S", "whole number", "found soon"]),
        ("PROVEIL_PROXY_DRAIN_S", "+5", &["whole number"]),
        ("PROVEIL_PROXY_EMULATE_TOOLS", "1", &["true or false"]),
        ("PROVEIL_PROXY_LOG_LEVEL", "inf", &["Did you mean `info`?"]),
        ("PROVEIL_PROXY_PROVIDERS", "venice,privatmode", &["Did you mean `privatemode`?"]),
        ("PROVEIL_PROVIDER_VENICE_PINS", "pins.json", &["an absolute path", "found pins.json"]),
        ("PROVEIL_PROVIDER_VENICE_POLICY", "policy.json", &["a preset, or a file that exists"]),
        ("PROVEIL_PROVIDER_VENICE_BASE_URL", "https://me:canary@x", &["https://***@x"]),
        ("PROVEIL_PROXY_TLS_CERT", "/c.pem", &["PROVEIL_PROXY_TLS_CERT", "goes with `proxy.tls_key`"]),
        ("PROVEIL_CONFIG", "config.toml", &["PROVEIL_CONFIG", "an absolute path"]),
    ];
    let home = tempfile::tempdir().unwrap();
    for name in ["policy.json", "config.toml"] {
        std::fs::write(home.path().join(name), "").unwrap();
    }
    for (name, value, expected) in cases {
        let run = run(proveil(home.path()).args(["models", "venice"]).env(name, value));
        assert_eq!((run.code, run.out.as_str()), (2, ""), "{name}: {}", run.err);
        for part in expected.iter().chain(&["PV-130"]) {
            assert!(run.err.contains(part), "{name} should say {part}: {}", run.err);
        }
    }
}

/// Variables of ours that are no settings, and what Kubernetes sets for a service of our name.
#[test]
fn other_variables_are_left_alone() {
    let home = tempfile::tempdir().unwrap();
    for (name, value) in [
        ("PROVEIL_EVIDENCE", "/x"),
        ("PROVEIL_DRIVER_RUST", "x"),
        ("PROVEIL_PROXY_LISTEN", ""),
        ("PROVEIL_PORT", "tcp://10.0.0.1:9876"),
        ("PROVEIL_PROXY_SERVICE_HOST", "10.0.0.1"),
        ("PROVEIL_PROXY_PORT_9876_TCP_ADDR", "10.0.0.1"),
    ] {
        let run = run(proveil(home.path()).args(["models", "venice"]).env(name, value));
        assert!(run.err.contains("PV-133"), "{name}: {}", run.err);
    }
}

/// Threats T57: whatever lies in the current directory changes nothing, also where variables lead there by a relative path.
#[test]
fn the_current_directory_is_never_read() {
    let home = tempfile::tempdir().unwrap();
    let bad = "[proxy]\nnonsense = 1\n";
    std::fs::create_dir_all(home.path().join("proveil")).unwrap();
    std::fs::create_dir_all(home.path().join(".config")).unwrap();
    for name in ["config.toml", "proveil.toml", ".proveil.toml", ".env", "proveil/config.toml"] {
        std::fs::write(home.path().join(name), bad).unwrap();
        only_own(&home.path().join(name), 0o644);
    }
    let here: &[(&str, &str)] = &[("HOME", "."), ("XDG_CONFIG_HOME", ".")];
    let variables: [&[(&str, &str)]; 4] = [&[], &[("HOME", "")], &[("XDG_CONFIG_HOME", "")], here];
    for set in variables {
        let run = run(proveil(home.path()).args(["models", "venice"]).envs(set.iter().copied()));
        assert!(run.code == 2 && run.err.contains("PV-133"), "{set:?}: {}", run.err);
    }
    only_own(home.path(), 0o755);
    // The check can fail: named, the same file is read.
    let named = run(proveil(home.path()).args(["models", "venice", "--config", "config.toml"]));
    assert!(named.err.contains("config.toml:2:1"), "{}", named.err);
}

/// Threats T59: a file that others can write decides nothing.
#[cfg(unix)]
#[test]
fn files_that_others_can_write_are_refused() {
    use std::os::unix::fs::{PermissionsExt, symlink};
    let set =
        |path: &Path, mode| std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
    let home = tempfile::tempdir().unwrap();
    let dir = home.path().join(".config/proveil");
    let file = dir.join("config.toml");
    user_file(home.path(), "");
    let refused = |what: &str, part: &str| {
        let run = run(proveil(home.path()).args(["models", "venice"]));
        assert_eq!(run.code, 2);
        assert!(run.err.contains(part), "{what}: {}", run.err);
    };
    refused("both private", "PV-133");
    for (path, mode) in [(&file, 0o660), (&file, 0o646), (&dir, 0o770), (&dir, 0o777), (&dir, 0o1777)] {
        let before = std::fs::metadata(path).unwrap().permissions().mode();
        set(path, mode);
        refused("open to others", "others can write to it");
        set(path, before & 0o7777);
    }
    // Through a link, the directory that it leads to counts as well.
    let other = home.path().join("dotfiles");
    std::fs::create_dir(&other).unwrap();
    set(&other, 0o755);
    std::fs::rename(&file, other.join("config.toml")).unwrap();
    symlink(other.join("config.toml"), &file).unwrap();
    refused("a link into a private directory", "PV-133");
    set(&other, 0o777);
    refused("a link into a shared directory", "others can write to it");
    set(&other, 0o755);
    std::fs::remove_file(&file).unwrap();
    std::fs::create_dir(&file).unwrap();
    refused("a directory", "not a plain file");
    let absent = run(proveil(home.path()).args(["models", "venice", "--config", "absent.toml"]));
    assert!(absent.err.contains("PV-134") && absent.err.contains("absent.toml"), "{}", absent.err);
}

/// Flag before variable before file before default, seen by which address is asked.
#[test]
fn flag_then_variable_then_file_then_default() {
    let simulators: Vec<Simulator> = (0..3)
        .map(|_| {
            Simulator::start(SimConfig { api_key: Some(KEY.to_owned()), ..SimConfig::default() }).unwrap()
        })
        .collect();
    let url = |i: usize| simulators[i].base_url();
    let home = tempfile::tempdir().unwrap();
    user_file(home.path(), &format!("[provider.venice]\nbase_url = '{}'\n", url(0)));
    let variable = "PROVEIL_PROVIDER_VENICE_BASE_URL";
    let cases: [(Option<usize>, Option<usize>, usize); 4] =
        [(None, None, 0), (None, Some(1), 1), (Some(2), Some(1), 2), (Some(2), None, 2)];
    for (flag, environment, asked) in cases {
        let mut command = proveil(home.path());
        command.args(["models", "venice"]).env("VENICE_API_KEY", KEY);
        if let Some(i) = flag {
            command.args(["--base-url", &url(i)]);
        }
        if let Some(i) = environment {
            command.env(variable, url(i));
        }
        let before: Vec<usize> = simulators.iter().map(|it| it.recorded().requests().count()).collect();
        let run = run(&mut command);
        assert_eq!(run.code, 0, "{}", run.err);
        for (i, simulator) in simulators.iter().enumerate() {
            let new = simulator.recorded().requests().count() - before[i];
            assert_eq!(new > 0, i == asked, "{flag:?} {environment:?}: {i} was asked {new} times");
        }
    }
}

/// Every default of the commands from one file, with paths seen from its directory, and warnings as the flags would give.
#[test]
fn commands_take_their_defaults_from_the_file() {
    let config = SimConfig { gpus: 1, api_key: Some(KEY.to_owned()), ..SimConfig::default() };
    let sim = Simulator::start(config).unwrap();
    let home = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| std::fs::write(home.path().join(name), text).unwrap();
    let elsewhere = home.path().join("elsewhere");
    std::fs::create_dir(&elsewhere).unwrap();
    write("roots.json", &sim.trust_roots_json());
    user_file(
        home.path(),
        &format!(
            "[provider.venice]\nbase_url = '{}'\ncollateral_url = '{}'\nnvidia_url = '{}'\napi_key_file = 'key'\n\
             policy = 'weak.json'\npins = 'pins.json'\ncache = false\n",
            sim.base_url(),
            sim.collateral_url(),
            sim.nvidia_url()
        ),
    );
    write(".config/proveil/key", KEY);
    write(
        ".config/proveil/weak.json",
        r#"{"schema":"proveil.policy/v1","name":"weak","gpu":{"evidence":"if_present"}}"#,
    );
    only_own(&home.path().join(".config/proveil/key"), 0o600);
    let roots = home.path().join("roots.json");
    let go = |args: &[&str]| {
        let mut command = proveil(home.path());
        run(command.current_dir(&elsewhere).args(args).arg("--trust-roots").arg(&roots))
    };
    let found = go(&["verify", "venice", "-m", models::E2EE]);
    assert_eq!(found.code, 0, "{}{}", found.out, found.err);
    assert!(found.err.contains("warning: policy weak is weaker than standard"), "{}", found.err);
    assert!(found.out.contains("weak"), "{}", found.out);
    let found = go(&["verify", "venice", "-m", models::E2EE, "--policy", "standard"]);
    assert!(found.code == 0 && !found.err.contains("weaker"), "the flag wins: {}", found.err);
    let found = go(&["pin", "venice", "-m", models::E2EE]);
    assert_eq!(found.code, 0, "{}{}", found.out, found.err);
    assert!(home.path().join(".config/proveil/pins.json").exists());
    let listed = run(proveil(home.path()).args(["pin", "list"]));
    assert!(listed.out.contains(models::E2EE), "{}", listed.out);
    let found = go(&["capture", "venice", "-m", models::E2EE, "-o", "kept"]);
    assert_eq!(found.code, 0, "{}", found.err);
    let found = go(&["chat", "venice", "-m", models::E2EE, "Hello"]);
    assert_eq!(found.code, 0, "{}", found.err);
}

#[test]
fn what_is_configured_is_shown_with_its_origin() {
    let home = tempfile::tempdir().unwrap();
    let show = |args: &[&str]| {
        let mut command = proveil(home.path());
        run(command.args(["config", "show"]).args(args).env("PROVEIL_PROXY_LOG_LEVEL", "debug"))
    };
    let bare = run(proveil(home.path()).args(["config", "show"]));
    assert_eq!((bare.code, bare.err.as_str()), (0, ""));
    assert!(bare.out.starts_with("file                     none\n"), "{}", bare.out);
    let long = "very-long-name.".repeat(20);
    user_file(
        home.path(),
        &format!(
            "[proxy]\nhosts = ['{long}']\n[provider.venice]\npins = 'p.json'\n[models]\n'fast.1' = ['venice/a', 'privatemode/b']\n"
        ),
    );
    let plain = show(&[]);
    assert_eq!(plain.code, 0, "{}", plain.err);
    for line in [
        "[proxy]",
        "listen                   (127.0.0.1:9876)",
        "log_level                debug",
        "base_url                 (https://api.venice.ai/api/v1)",
        "fast.1                   venice/a, privatemode/b",
    ] {
        assert!(plain.out.lines().any(|found| found == line), "{line}: {}", plain.out);
    }
    assert!(!plain.out.contains("from "), "{}", plain.out);
    let origin = show(&["--origin"]);
    for part in ["from environment PROVEIL_PROXY_LOG_LEVEL", "from default"] {
        assert!(origin.out.contains(part), "{part}: {}", origin.out);
    }
    for text in [&plain.out, &origin.out] {
        assert!(text.lines().all(|line| line.chars().count() <= 80), "{text}");
    }
    let json: serde_json::Value = serde_json::from_str(&show(&["--json"]).out).unwrap();
    assert_eq!(json["schema"], "proveil.config/v1");
    let all = json["settings"].as_array().unwrap();
    let find = |key: &str| all.iter().find(|setting| setting["key"] == key).unwrap().clone();
    let place = home.path().join(".config/proveil");
    let pins = find("provider.venice.pins");
    assert_eq!(pins["value"], place.join("p.json").display().to_string());
    assert_eq!(pins["origin"]["kind"], "file");
    assert_eq!(pins["origin"]["path"], place.join("config.toml").display().to_string());
    assert_eq!((&pins["origin"]["line"], &pins["origin"]["column"]), (&4.into(), &1.into()));
    let level = find("proxy.log_level")["origin"].clone();
    assert_eq!(level, serde_json::json!({ "kind": "environment", "name": "PROVEIL_PROXY_LOG_LEVEL" }));
    assert_eq!(find("models.fast.1")["value"], "venice/a, privatemode/b");
}

#[test]
fn the_path_of_the_file_in_use() {
    let home = tempfile::tempdir().unwrap();
    let place = home.path().join(".config/proveil/config.toml");
    let none = run(proveil(home.path()).args(["config", "path"]));
    assert_eq!((none.code, none.out.trim_end()), (0, place.to_str().unwrap()));
    assert!(none.err.contains("no configuration"), "{}", none.err);
    // Also of one that cannot be used: this is how it is found.
    user_file(home.path(), "nonsense");
    let there = run(proveil(home.path()).args(["config", "path"]));
    assert_eq!((there.code, there.out.trim_end(), there.err.as_str()), (0, place.to_str().unwrap(), ""));
    let json = run(proveil(home.path()).args(["config", "path", "--json", "--config", "x.toml"]));
    let json: serde_json::Value = serde_json::from_str(&json.out).unwrap();
    assert_eq!(
        (&json["schema"], &json["file"]),
        (&"proveil.config-path/v1".into(), &serde_json::Value::Null)
    );
    assert_eq!(json["places"][0]["path"], "x.toml");
}
