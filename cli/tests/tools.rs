//! `doctor`, `setup`, `man` and completions, as separate programs; nobody but simulators on loopback is asked.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::arithmetic_side_effects)]

use std::path::Path;

use assert_cmd::Command;
use proveil_testkit::sim::{SimConfig, Simulator, privatemode};
use serde_json::Value;

const KEY: &str = "canary-key-90d2";
const APPS: [&str; 11] = [
    "openai-python",
    "openai-node",
    "anthropic",
    "litellm",
    "open-webui",
    "aider",
    "continue",
    "llm",
    "langchain",
    "ai-sdk",
    "curl",
];

struct Run {
    code: i32,
    out: String,
    err: String,
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

/// The program in an empty environment, with this file of settings.
fn proveil(home: &Path, settings: &str) -> Command {
    let directory = home.join(".config/proveil");
    std::fs::create_dir_all(&directory).unwrap();
    std::fs::write(directory.join("config.toml"), settings).unwrap();
    only_own(&directory, 0o755);
    only_own(&directory.join("config.toml"), 0o644);
    let mut command = Command::new(assert_cmd::cargo::cargo_bin!("proveil"));
    command.env_clear().env("HOME", home).current_dir(home);
    command
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

/// Both providers simulated.
struct Stage {
    venice: Simulator,
    privatemode: privatemode::Simulator,
    home: tempfile::TempDir,
}

impl Stage {
    fn new() -> Stage {
        Stage {
            venice: Simulator::start(SimConfig::default()).unwrap(),
            privatemode: privatemode::Simulator::start(privatemode::SimConfig::default()).unwrap(),
            home: tempfile::tempdir().unwrap(),
        }
    }

    fn settings(&self, venice_base: &str) -> String {
        let (venice, other) = (&self.venice, &self.privatemode);
        format!(
            "[provider.venice]\nbase_url = '{venice_base}'\ncollateral_url = '{}'\nnvidia_url = '{}'\n\
             [provider.privatemode]\nbase_url = '{}'\namd_url = '{}'\n",
            venice.collateral_url(),
            venice.nvidia_url(),
            other.base_url(),
            other.kds_url()
        )
    }

    fn doctor(&self, settings: &str, args: &[&str], variables: &[(&str, &str)]) -> Run {
        let mut command = proveil(self.home.path(), settings);
        run(command.arg("doctor").args(args).envs(variables.iter().copied()))
    }
}

fn checks(run: &Run) -> Vec<Value> {
    let document: Value = serde_json::from_str(&run.out).unwrap();
    assert_eq!(document["schema"], "proveil.doctor/v1");
    assert_eq!(document["ok"], run.code == 0);
    document["checks"].as_array().unwrap().clone()
}

fn state<'c>(checks: &'c [Value], about: &str) -> (&'c str, &'c str) {
    let check =
        checks.iter().find(|check| check["about"] == about).unwrap_or_else(|| panic!("{about}: {checks:?}"));
    (check["state"].as_str().unwrap(), check["text"].as_str().unwrap())
}

/// A socket at whose port nobody listens, and nobody can while it lives.
fn closed() -> (tokio::net::TcpSocket, u16) {
    let socket = tokio::net::TcpSocket::new_v4().unwrap();
    socket.bind((std::net::Ipv4Addr::LOCALHOST, 0).into()).unwrap();
    let port = socket.local_addr().unwrap().port();
    (socket, port)
}

#[test]
fn everything_in_order() {
    let stage = Stage::new();
    let settings = stage.settings(&stage.venice.base_url());
    let keys = [("VENICE_API_KEY", KEY), ("PRIVATEMODE_API_KEY", KEY)];
    let found = stage.doctor(&settings, &[], &keys);
    assert_eq!((found.code, found.err.as_str()), (0, ""), "{}", found.out);
    assert!(found.out.lines().all(|line| line.chars().count() <= 80), "{}", found.out);
    assert!(!found.out.contains("warn") && !found.out.contains("fail"), "{}", found.out);
    for about in
        ["venice: provider", "venice: Intel", "venice: NVIDIA", "privatemode: manifests", "privatemode: AMD"]
    {
        assert!(found.out.contains(about), "{about}: {}", found.out);
    }
    // Hosts were asked whether they answer, and told nothing.
    assert!(stage.venice.recorded().requests().count() >= 3);
    assert!(!stage.venice.recorded().saw_in_clear("canary"));
    let json = checks(&stage.doctor(&settings, &["--json"], &keys));
    assert_eq!(state(&json, "venice: API key"), ("ok", "in VENICE_API_KEY"));
    let one = checks(&stage.doctor(&settings, &["privatemode", "--json"], &keys));
    assert!(one.iter().all(|check| !check["about"].as_str().unwrap().starts_with("venice")), "{one:?}");
}

#[test]
fn what_is_wrong_is_said_with_the_next_step() {
    let stage = Stage::new();
    let good = stage.settings(&stage.venice.base_url());
    let (_socket, port) = closed();
    let nobody = format!("http://127.0.0.1:{port}");
    let closed = stage.settings(&nobody);
    let key = ("VENICE_API_KEY", KEY);
    let home = stage.home.path();
    std::fs::write(home.join("bad.pem"), "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n")
        .unwrap();
    let absent = good.replace("[provider.venice]", "[provider.venice]\nca_bundle = '/absent.pem'");
    let unusable = good.replace(
        "[provider.venice]",
        &format!("[provider.venice]\nca_bundle = '{}'", home.join("bad.pem").display()),
    );
    // The simulator serves both at one address.
    let amd = |url: &str| format!("amd_url = '{url}'");
    let without_amd = good.replace(&amd(&stage.privatemode.kds_url()), &amd(&nobody));
    /// Settings, arguments, variables, exit code, the line, its state, a part of its text.
    type Case<'c> = (&'c str, &'c [&'c str], &'c [(&'c str, &'c str)], i32, &'c str, &'c str, &'c str);
    let cases: [Case<'_>; 11] = [
        (
            &good,
            &["privatemode"],
            &[("PRIVATE_MODE_API_KEY", KEY)],
            0,
            "privatemode: API key",
            "warn",
            "in PRIVATE_MODE_API_KEY",
        ),
        (
            &good,
            &["privatemode"],
            &[("PRIVATE_MODE_API_KEY", "two words")],
            2,
            "privatemode: API key",
            "fail",
            "not valid",
        ),
        (&closed, &["venice"], &[key], 6, "venice: provider", "fail", "no connection can be made"),
        (&good, &["venice"], &[], 2, "venice: API key", "fail", "there is none"),
        (&good, &[], &[key], 0, "privatemode: API key", "warn", "there is none"),
        (&good, &["venice"], &[("VENICE_API_KEY", "two words")], 2, "venice: API key", "fail", "not valid"),
        (&good, &["venice"], &[("VENICE_API_KEY_FILE", "/absent")], 2, "venice: API key", "fail", "/absent"),
        (&absent, &["venice"], &[key], 2, "venice: settings", "fail", "/absent.pem"),
        (&unusable, &["venice"], &[key], 2, "venice: settings", "fail", "not valid"),
        (
            &without_amd,
            &["privatemode"],
            &[("PRIVATEMODE_API_KEY", KEY)],
            0,
            "privatemode: AMD",
            "warn",
            "no connection",
        ),
        ("[proxxy]", &[], &[key], 2, "configuration", "fail", "Did you mean `proxy`?"),
    ];
    for (settings, args, variables, code, about, word, part) in cases {
        let found = stage.doctor(settings, &[args, &["--json"]].concat(), variables);
        assert_eq!(found.code, code, "{about}: {}{}", found.out, found.err);
        let checks = checks(&found);
        let (state, text) = state(&checks, about);
        assert!(state == word && text.contains(part), "{about}: {state}: {text}");
        let next = checks.iter().find(|check| check["about"] == about).unwrap()["next"].clone();
        assert!(next.as_str().is_some_and(|next| !next.is_empty()), "{about}: {next}");
    }
    let unknown = stage.doctor(&good, &["venise"], &[]);
    assert!(unknown.code == 2 && unknown.err.contains("Did you mean `venice`?"), "{}", unknown.err);
}

/// Threats T59: files that others can read or write.
#[cfg(unix)]
#[test]
fn exposed_files_are_found() {
    use std::os::unix::fs::PermissionsExt;
    let stage = Stage::new();
    let home = stage.home.path();
    let set = |name: &str, mode| {
        std::fs::set_permissions(home.join(name), std::fs::Permissions::from_mode(mode)).unwrap();
    };
    for directory in [".cache/proveil", ".local/share/proveil"] {
        std::fs::create_dir_all(home.join(directory)).unwrap();
        set(directory, 0o700);
    }
    std::fs::write(home.join(".config-key"), KEY).unwrap();
    set(".config-key", 0o644);
    set(".cache/proveil", 0o777);
    let settings = stage.settings(&stage.venice.base_url());
    let key = home.join(".config-key").display().to_string();
    let proxy = ("NO_PROXY", "user:canary@nowhere.example");
    let found = stage.doctor(&settings, &["venice", "--json"], &[("VENICE_API_KEY_FILE", &key), proxy]);
    assert_eq!((found.code, found.err.as_str()), (0, ""), "{}", found.out);
    let all = checks(&found);
    for (about, part) in [("venice: API key", "others can read"), ("cache", "others can write to it")] {
        let (state, text) = state(&all, about);
        assert!(state == "warn" && text.contains(part), "{about}: {text}");
    }
    assert_eq!(state(&all, "proxy variables"), ("ok", "NO_PROXY=***@nowhere.example"));
    std::fs::write(home.join(".local/share/proveil/pins.json"), "{").unwrap();
    set(".local/share/proveil/pins.json", 0o600);
    let found = stage.doctor(&settings, &["venice", "--json"], &[("VENICE_API_KEY", KEY)]);
    assert_eq!((found.code, state(&checks(&found), "pins").0), (2, "fail"), "{}", found.out);
}

#[test]
fn apps_get_ready_settings() {
    let home = tempfile::tempdir().unwrap();
    let listed = run(proveil(home.path(), "").arg("setup"));
    assert_eq!((listed.code, listed.err.as_str()), (0, ""));
    let json: Value =
        serde_json::from_str(&run(proveil(home.path(), "").args(["setup", "--json"])).out).unwrap();
    let names: Vec<&str> =
        json["apps"].as_array().unwrap().iter().map(|app| app["name"].as_str().unwrap()).collect();
    assert_eq!(names, APPS);
    for app in APPS {
        assert!(listed.out.lines().any(|line| line.starts_with(app)), "{app}");
        let found = run(proveil(home.path(), "").args(["setup", app]).env("VENICE_API_KEY", KEY));
        assert_eq!((found.code, found.err.as_str()), (0, ""), "{app}");
        let base = if app == "anthropic" { "http://127.0.0.1:9876" } else { "http://127.0.0.1:9876/v1" };
        // There the model is chosen on the page.
        let model = if app == "open-webui" { "" } else { "venice/" };
        assert!(found.out.contains(base) && found.out.contains(model), "{app}: {}", found.out);
        for placeholder in ["{base}", "{origin}", "{key}", "{model}", "YOUR-"] {
            assert!(!found.out.contains(placeholder), "{app}: {}", found.out);
        }
    }
    let settings = "[proxy]\nlisten = '0.0.0.0:8443'\ntls_cert = 'c'\ntls_key = 'k'\nclient_tokens_file = 't'\n\
                    [models]\nfast = ['venice/m']\n";
    let found = run(proveil(home.path(), settings).args(["setup", "curl", "--json"]));
    let json: Value = serde_json::from_str(&found.out).unwrap();
    assert_eq!(
        (&json["schema"], &json["base_url"], &json["model"]),
        (&"proveil.setup/v1".into(), &"https://127.0.0.1:8443/v1".into(), &"fast".into())
    );
    assert!(json["settings"][0]["text"].as_str().unwrap().contains("Bearer YOUR-TOKEN"), "{json}");
    // As the proxy decides.
    /// Configuration, variables, the key that apps send, the model, and what is said about the key.
    type Case<'c> = (&'c str, &'c [(&'c str, &'c str)], &'c str, &'c str, &'c str);
    let cases: [Case<'_>; 7] = [
        ("", &[("PRIVATEMODE_API_KEY", KEY)], "proveil", "privatemode/", ""),
        ("", &[("PRIVATE_MODE_API_KEY", KEY)], "proveil", "privatemode/", ""),
        ("", &[("VENICE_API_KEY", KEY), ("PRIVATEMODE_API_KEY", KEY)], "proveil", "venice/", ""),
        ("", &[], "YOUR-API-KEY", "venice/", "the proxy does not start"),
        (
            "[proxy]\nproviders = ['privatemode']\n",
            &[],
            "YOUR-API-KEY",
            "privatemode/",
            "a key of privatemode",
        ),
        // A key of somebody who is not served does not help.
        (
            "[proxy]\nproviders = ['privatemode']\n",
            &[("VENICE_API_KEY", KEY)],
            "YOUR-API-KEY",
            "privatemode/",
            "a key of privatemode",
        ),
        (
            "[proxy]\nproviders = ['venice', 'privatemode']\n",
            &[("VENICE_API_KEY", KEY)],
            "YOUR-API-KEY",
            "venice/",
            "the proxy does not start",
        ),
    ];
    for (settings, variables, key, model, note) in cases {
        for app in ["curl", "anthropic"] {
            let mut command = proveil(home.path(), settings);
            let found = run(command.args(["setup", app, "--json"]).envs(variables.iter().copied()));
            let json: Value = serde_json::from_str(&found.out).unwrap();
            let case = format!("{settings} {variables:?}: {json}");
            assert!(json["model"].as_str().unwrap().starts_with(model), "{case}");
            assert!(json["settings"][0]["text"].as_str().unwrap().contains(key), "{case}");
            assert!(json["notes"].to_string().contains(note), "{case}");
            assert!(!json["notes"].to_string().contains("Only Privatemode"), "{case}");
        }
    }
    let keyless = run(proveil(home.path(), "").args(["setup", "curl", "-m", "venice/x"]));
    assert!(
        keyless.out.contains("Bearer YOUR-API-KEY") && keyless.out.contains("\"venice/x\""),
        "{}",
        keyless.out
    );
    for (args, part) in [
        (&["setup", "open-weebui"][..], "Did you mean `open-webui`?"),
        (&["setup", "emacs"], "lists all"),
        (&["setup", "curl", "-m", "x'; rm"], "PV-101"),
    ] {
        let found = run(proveil(home.path(), "").args(args));
        assert!(
            found.code == 2 && found.out.is_empty() && found.err.contains(part),
            "{args:?}: {}",
            found.err
        );
    }
}

#[test]
fn manual_pages_and_completions_know_every_command() {
    let home = tempfile::tempdir().unwrap();
    let commands = [
        "verify", "chat", "models", "capture", "pin", "policy", "report", "doctor", "config", "setup", "man",
    ];
    let page = run(proveil(home.path(), "").arg("man"));
    assert_eq!((page.code, page.err.as_str()), (0, ""));
    assert!(page.out.contains(".TH proveil 1"), "{}", page.out);
    for shell in ["bash", "zsh", "fish", "powershell", "elvish"] {
        let script = run(proveil(home.path(), "").args(["completions", shell]));
        assert!(commands.iter().all(|name| script.out.contains(name)), "{shell}");
    }
    let pages = home.path().join("a/man");
    let made = run(proveil(home.path(), "").args(["man", "--output"]).arg(&pages));
    assert_eq!((made.code, made.out.as_str()), (0, ""), "{}", made.err);
    for command in commands {
        assert!(page.out.contains(&format!("proveil\\-{command}(1)")), "{command}");
        let text = std::fs::read_to_string(pages.join(format!("proveil-{command}.1"))).unwrap();
        assert!(text.contains(".SH SYNOPSIS"), "{command}");
    }
    assert!(pages.join("proveil-config-show.1").exists() && pages.join("proveil.1").exists());
    std::fs::write(home.path().join("file"), "").unwrap();
    let refused = run(proveil(home.path(), "").args(["man", "--output", "file"]));
    assert!(refused.code == 2 && refused.err.contains("PV-138"), "{}", refused.err);
}
