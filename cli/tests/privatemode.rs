//! The commands against the simulated Privatemode, as separate programs on loopback.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::arithmetic_side_effects)]

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::Stdio;

use assert_cmd::Command;
use proveil_testkit::sim::privatemode::models::{EMBEDDER, REASONER, VISION};
use proveil_testkit::sim::privatemode::{ATTEST_PATH, Defect, MANIFEST_PATH, SimConfig, Simulator};
use proveil_testkit::sim::text;
use serde_json::Value;

const PROMPT: &str = "What is sealing? canary-prompt-77e2";
const KEY: &str = "canary-key-77e2";

struct Stage {
    sim: Simulator,
    home: tempfile::TempDir,
}

struct Run {
    code: i32,
    out: String,
    err: String,
}

impl Stage {
    /// With the roots and the manifest in files.
    fn new(defects: &[Defect]) -> Stage {
        let config =
            SimConfig { defects: defects.to_vec(), api_key: Some(KEY.to_owned()), ..SimConfig::default() };
        let stage = Stage { sim: Simulator::start(config).unwrap(), home: tempfile::tempdir().unwrap() };
        std::fs::write(stage.home.path().join("roots.json"), stage.sim.trust_roots_json()).unwrap();
        std::fs::write(stage.home.path().join("manifest.json"), stage.sim.manifest()).unwrap();
        stage
    }

    /// A command that reaches the simulator, with its options in front of `args`.
    fn run(&self, verb: &[&str], args: &[&str]) -> Run {
        let (base, kds) = (self.sim.base_url(), self.sim.kds_url());
        let mut all = [verb, &["privatemode", "--base-url", &base]].concat();
        if verb != ["models"] {
            all.extend(["--trust-roots", "roots.json", "--amd-url", &kds]);
        }
        proveil(self.home.path(), &[&all[..], args].concat())
    }

    fn count(&self, path: &str) -> usize {
        self.sim.recorded().to_path(path).count()
    }
}

fn proveil(home: &Path, args: &[&str]) -> Run {
    let mut command = Command::new(assert_cmd::cargo::cargo_bin!("proveil"));
    command.env_clear().env("HOME", home).env("PRIVATEMODE_API_KEY", KEY).current_dir(home).args(args);
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
fn models_are_listed_with_their_tasks() {
    let stage = Stage::new(&[]);
    let run = stage.run(&["models"], &[]);
    assert_eq!((run.code, run.err.as_str()), (0, ""));
    assert!(
        run.out.starts_with("MODEL") && run.out.lines().next().unwrap().ends_with("TASKS"),
        "{}",
        run.out
    );
    for (id, task) in [(EMBEDDER, "embed"), (REASONER, "generate, tool_calling")] {
        assert!(run.out.lines().any(|line| line.starts_with(id) && line.ends_with(task)), "{}", run.out);
    }
    let json: Value = serde_json::from_str(&stage.run(&["models"], &["--json"]).out).unwrap();
    assert_eq!((&json["schema"], &json["provider"]), (&"proveil.models/v1".into(), &"privatemode".into()));
    assert_eq!(json["models"][0]["class"], "e2ee");
}

#[test]
fn verdicts_and_exit_codes() {
    let cases = [
        (None, 0, "VERIFIED", ""),
        (Some(Defect::WrongMeasurement), 3, "REFUSED", "Refused to send (PV-260)"),
        (Some(Defect::SecretSwapped), 3, "REFUSED", "Refused to send (PV-268)"),
        (Some(Defect::KdsDown), 4, "", "Could not check (PV-304)"),
        (Some(Defect::ManifestDown), 4, "", "Could not check (PV-314)"),
    ];
    let stage = Stage::new(&[]);
    for (defect, code, out, err) in cases {
        stage.sim.set_defects(defect.as_slice());
        let run = stage.run(&["verify"], &["-m", VISION]);
        assert_eq!(run.code, code, "{defect:?}: {}{}", run.out, run.err);
        assert!(run.out.contains(out) && run.err.contains(err), "{defect:?}: {}{}", run.out, run.err);
        assert!(run.out.lines().all(|line| line.chars().count() <= 80), "{}", run.out);
        if defect == Some(Defect::ManifestDown) {
            continue;
        }
        assert!(run.out.contains("CUSTOM") && run.err.contains("CUSTOM"), "{}", run.out);
        let run = stage.run(&["verify"], &["-m", VISION, "--json"]);
        let report: Value = serde_json::from_str(&run.out).unwrap();
        assert_eq!((run.code, &report["schema"]), (code, &"proveil.report/v1".into()));
    }
    stage.sim.set_defects(&[]);
    let full = stage.run(&["verify"], &["-m", VISION, "--full"]);
    assert!(full.code == 0 && full.out.contains("The key service signed this exchange"), "{}", full.out);
    let report: Value = serde_json::from_str(&stage.run(&["verify"], &["-m", VISION, "--json"]).out).unwrap();
    let checks: Vec<&str> =
        report["checks"].as_array().unwrap().iter().map(|check| check["id"].as_str().unwrap()).collect();
    for check in ["contrast.manifest", "contrast.secret.signature", "software.reference"] {
        assert!(checks.contains(&check), "{check} in {checks:?}");
    }
    for check in checks {
        let explained = proveil(stage.home.path(), &["explain", check]);
        assert!(explained.code == 0 && explained.out.contains("Source:"), "{}", explained.err);
    }
}

/// Every code that a defect of the simulator ends in, and every check of a report, can be explained.
#[test]
fn codes_and_checks_are_explained() {
    let home = tempfile::tempdir().unwrap();
    for code in ["PV-141", "PV-260", "PV-264", "PV-268", "PV-314", "PV-315", "PV-409", "PV-410", "PV-513"] {
        let run = proveil(home.path(), &["explain", code]);
        assert!(run.code == 0 && run.out.starts_with(code), "{}{}", run.out, run.err);
    }
    let run = proveil(home.path(), &["explain", "contrast"]);
    assert!(run.code == 0 && run.out.contains("contrast.secret.names"), "{}", run.out);
}

/// T27: the expected manifest is a reference value; another one is refused, and the refusal says where they differ.
#[test]
fn an_expected_manifest() {
    let stage = Stage::new(&[]);
    let given = &["-m", VISION, "--manifest", "manifest.json"];
    let run = stage.run(&["verify"], given);
    assert_eq!(run.code, 0, "{}", run.err);
    assert!(run.out.contains("L3") && stage.count(MANIFEST_PATH) == 0, "{}", run.out);
    let run = stage.run(&["verify"], &["-m", VISION]);
    assert!(run.code == 0 && run.out.contains("L2") && stage.count(MANIFEST_PATH) == 1, "{}", run.out);
    let mirror = stage.sim.base_url();
    let run = stage.run(&["verify"], &["-m", VISION, "--manifest-url", &mirror]);
    assert!(run.code == 0 && stage.count(MANIFEST_PATH) == 2, "{}", run.err);

    stage.sim.set_defects(&[Defect::ManifestChanged]);
    for (verb, more) in [("verify", &[][..]), ("chat", &[PROMPT]), ("pin", &[]), ("capture", &["-o", "kept"])]
    {
        let run = stage.run(&[verb], &[&given[..], more].concat());
        assert_eq!(run.code, 3, "{verb}: {}{}", run.out, run.err);
        let parts = ["PV-264", "ReferenceValues.snp[0].TrustedMeasurement\n    - \"", "\"\n    + \""];
        for part in parts {
            assert!(run.err.contains(part), "{verb}: {part} in {}", run.err);
        }
    }
    let run =
        proveil(stage.home.path(), &["verify", "--evidence", "kept", "--trust-roots", "kept/roots.json"]);
    assert!(run.code == 3 && run.err.contains("TrustedMeasurement\n    - "), "{}{}", run.out, run.err);
    let json = stage.run(&["verify"], &[&given[..], &["--json"]].concat());
    assert!(json.code == 3 && !json.err.contains("TrustedMeasurement\n"), "{}", json.err);
    assert!(!stage.sim.recorded().saw_in_clear("canary-prompt"));
    // Nobody else expects anything.
    assert_eq!(stage.run(&["verify"], &["-m", VISION]).code, 0);
}

/// A folder keeps what the deployment ran, and a change is said whether or not it is refused.
#[test]
fn a_log_of_manifests() {
    let stage = Stage::new(&[]);
    let args = |more: &'static [&'static str]| [&["-m", VISION, "--workspace", "work"][..], more].concat();
    let lines = || {
        let log = std::fs::read_to_string(stage.home.path().join("work/manifests/log.txt")).unwrap();
        log.lines().map(str::to_owned).collect::<Vec<_>>()
    };
    let run = stage.run(&["pin"], &args(&["--pins", "pins.json"]));
    assert!(run.code == 0 && lines().len() == 1, "{}", run.err);
    let changed = "manifest changed from ";
    for (verb, more) in [("verify", &[][..]), ("chat", &[PROMPT]), ("capture", &["-o", "kept"])] {
        let run = stage.run(&[verb], &args(more));
        assert!(run.code == 0 && !run.err.contains(changed) && lines().len() == 1, "{verb}: {}", run.err);
    }
    stage.sim.set_defects(&[Defect::ManifestChanged]);
    // The pin refuses it; that it runs is proven all the same.
    let run = stage.run(&["verify"], &args(&["--pins", "pins.json"]));
    assert!(run.code == 3 && run.err.contains("PV-263"), "{}", run.err);
    for part in [changed, "ReferenceValues.snp[0].TrustedMeasurement\n    - \"", "\"\n    + \""] {
        assert!(run.err.contains(part), "{part} in {}", run.err);
    }
    assert!(
        lines().len() == 2 && lines().iter().all(|line| line.ends_with(" CUSTOM roots")),
        "{:?}",
        lines()
    );
    // Manifests without lines, as a kill leaves them, get new ones; what is no manifest is in the way.
    std::fs::remove_file(stage.home.path().join("work/manifests/log.txt")).unwrap();
    let run = stage.run(&["verify"], &args(&[]));
    assert!(run.code == 0 && !run.err.contains("manifest log"), "{}", run.err);
    assert!(
        lines().len() == 2 && lines().iter().all(|line| line.contains("without a line")),
        "{:?}",
        lines()
    );
    std::fs::create_dir(stage.home.path().join("work/manifests/3.json")).unwrap();
    let run = stage.run(&["verify"], &args(&[]));
    assert!(run.code == 0 && run.err.contains("warning: the manifest log was not written"), "{}", run.err);
}

#[test]
fn bad_input() {
    let stage = Stage::new(&[]);
    let write = |name: &str, text: &str| std::fs::write(stage.home.path().join(name), text).unwrap();
    write("page.html", "<html></html>");
    write("empty.json", "{}");
    let cases: [(&[&str], &str); 8] = [
        (&["--manifest", "absent.json"], "PV-134"),
        (&["--manifest", "page.html"], "PV-141"),
        (&["--manifest", "empty.json"], "PV-141"),
        (&["--manifest-url", "http://example.com"], "--manifest-url"),
        (&["--amd-url", "ftp://example.com"], "--amd-url"),
        (&["--manifest", "manifest.json", "--manifest-url", "https://example.com"], "cannot be used with"),
        (&["--gpu-revocation-grace=-1"], "--gpu-revocation-grace"),
        (&["--gpu-revocation-grace", "two days"], "--gpu-revocation-grace"),
    ];
    let base = stage.sim.base_url();
    let common = ["verify", "privatemode", "--base-url", &base, "-m", VISION];
    for (args, text) in cases {
        let run = proveil(stage.home.path(), &[&common[..], args].concat());
        assert_eq!((run.code, run.out.as_str()), (2, ""), "{args:?}: {}", run.err);
        assert!(run.err.contains(text), "{args:?}: {}", run.err);
    }
    for args in [
        &["verify", "venice", "-m", "m", "--api-key-file", "empty.json", "--manifest", "manifest.json"][..],
        &["verify", "venice", "-m", "m", "--api-key-file", "empty.json", "--gpu-revocation-grace", "1"],
        &["verify", "tdx", "quote.bin", "--manifest", "manifest.json"],
        &["verify", "tdx", "quote.bin", "--workspace", "work"],
        &["verify", "--evidence", "kept", "--manifest", "manifest.json"],
    ] {
        let run = proveil(stage.home.path(), args);
        assert!(run.code == 2 && run.err.contains("PV-135"), "{args:?}: {}", run.err);
    }
    assert_eq!(stage.sim.recorded().requests().count(), 0, "nobody was asked");
}

#[test]
fn a_chat_streams_to_standard_output() {
    let stage = Stage::new(&[]);
    let run = stage.run(&["chat"], &["-m", VISION, PROMPT]);
    assert_eq!((run.code, run.out.as_str()), (0, answer().as_str()), "{}", run.err);
    assert!(run.err.contains("VERIFIED") && run.err.contains("CUSTOM"), "{}", run.err);
    let run = stage.run(&["chat"], &["--reasoning", "-m", REASONER, PROMPT]);
    let expected = text::answer(PROMPT, true, 0, true);
    assert_eq!(run.out, format!("{}\n", expected.content));
    assert!(run.err.contains(&expected.reasoning.unwrap()), "{}", run.err);
    let run = stage.run(&["chat"], &["--json", "-m", VISION, PROMPT]);
    let document: Value = serde_json::from_str(&run.out).unwrap();
    assert_eq!(document["content"].as_str().unwrap(), answer().trim_end());
    assert_eq!(document["report"]["verdict"], "verified");
    let cases = [
        (Defect::StreamCut, 5, "PV-502"),
        (Defect::FlippedTag, 5, "PV-404"),
        (Defect::FieldReflected, 5, "PV-409"),
        (Defect::PaymentRequired, 6, "PV-506"),
        (Defect::UnknownSecret, 6, "PV-513"),
        (Defect::ReportTampered, 3, "PV-27"),
    ];
    for (defect, code, text) in cases {
        stage.sim.set_defects(&[defect]);
        let run = stage.run(&["chat"], &["-m", VISION, PROMPT]);
        assert_eq!(run.code, code, "{}: {}", defect.name(), run.err);
        assert!(run.err.contains(text) && !run.err.contains("canary-prompt"), "{}", run.err);
        assert!(answer().starts_with(run.out.trim_end()), "only what was opened: {}", run.out);
    }
    assert!(!stage.sim.recorded().saw_in_clear("canary"));
}

/// NVIDIA revoked a worker's GPU: refused by default, accepted for so many hours when somebody says so.
#[test]
fn revoked_gpus() {
    use proveil_testkit::sim::privatemode::ocsp::{GpuStatus, Status};
    let stage = Stage::new(&[]);
    let at = i64::try_from(stage.sim.now()).unwrap() - 5 * 3_600;
    stage.sim.set_gpus(&[GpuStatus { gpu: Status::Revoked(at), ..GpuStatus::GOOD }]);
    for (grace, code) in [(None, 6), (Some("4"), 6), (Some("6"), 0)] {
        let mut args = vec!["-m", VISION, PROMPT];
        args.extend(grace.into_iter().flat_map(|hours| ["--gpu-revocation-grace", hours]));
        let run = stage.run(&["chat"], &args);
        assert_eq!(run.code, code, "{grace:?}: {}", run.err);
    }
}

#[test]
fn pins() {
    let stage = Stage::new(&[]);
    let pins = &["-m", VISION, "--pins", "pins.json"];
    let run = stage.run(&["pin"], pins);
    assert!(run.code == 0 && run.out.contains("contrast.manifest"), "{}{}", run.out, run.err);
    assert_eq!(stage.run(&["verify"], pins).code, 0);
    stage.sim.set_defects(&[Defect::ManifestChanged]);
    let run = stage.run(&["verify"], pins);
    assert!(run.code == 3 && run.err.contains("PV-263"), "{}", run.err);
    let run = stage.run(&["pin", "accept"], pins);
    assert_eq!(run.code, 3, "{}", run.err);
    assert!(run.out.contains("manifest ReferenceValues.snp[0].TrustedMeasurement: pinned"), "{}", run.out);
    let digest = run.out.lines().find_map(|line| line.strip_prefix("Software now: ")).unwrap().to_owned();
    let run = stage.run(&["pin", "accept"], &[&pins[..], &["--sha256", &digest]].concat());
    assert!(run.code == 0 && run.out.contains("Pinned."), "{}{}", run.out, run.err);
    assert_eq!(stage.run(&["verify"], pins).code, 0);
}

/// Each verdict is stored, and the command that is printed gives the same report, byte for byte, with the provider gone.
#[test]
fn a_capture_is_judged_again_without_network() {
    for (defect, code) in [
        (None, 0),
        (Some(Defect::ReportTampered), 3),
        (Some(Defect::SecretSwapped), 3),
        (Some(Defect::KdsDown), 4),
    ] {
        let stage = Stage::new(defect.as_slice());
        let run = stage.run(&["capture"], &["-m", VISION, "-o", "kept"]);
        assert_eq!(run.code, code, "{defect:?}: {}{}", run.out, run.err);
        assert!(stage.count(ATTEST_PATH) >= 1);
        let Stage { sim, home } = stage;
        drop(sim);
        let kept = home.path().join("kept");
        for entry in std::fs::read_dir(&kept).unwrap() {
            let text = String::from_utf8_lossy(&std::fs::read(entry.unwrap().path()).unwrap()).into_owned();
            assert!(!text.contains(KEY), "no key in a capture");
        }
        let report = std::fs::read_to_string(kept.join("report.json")).unwrap();
        let command = run.err.lines().find(|line| line.trim_start().starts_with("proveil verify --evidence"));
        let mut again: Vec<&str> = command.unwrap().split_whitespace().skip(1).collect();
        again.push("--json");
        let judged = proveil(home.path(), &again);
        assert_eq!((judged.code, judged.out), (code, report), "{defect:?}: {}", judged.err);
        // T68: the roots in a capture are not believed by themselves.
        let alone = proveil(home.path(), &["verify", "--evidence", "kept"]);
        let without = if code == 4 { 4 } else { 3 };
        assert!(alone.code == without && alone.err.contains("CUSTOM"), "{}{}", alone.out, alone.err);
    }
}

/// What the simulator prints is a command that works.
#[test]
fn the_printed_command_works() {
    let home = tempfile::tempdir().unwrap();
    let mut command = std::process::Command::new(assert_cmd::cargo::cargo_bin!("proveil"));
    command.env_clear().env("HOME", home.path()).env("TMPDIR", home.path());
    let mut child =
        command.args(["simulate", "privatemode", "--pace-ms", "0"]).stdout(Stdio::piped()).spawn().unwrap();
    let lines = BufReader::new(child.stdout.take().unwrap()).lines().map(Result::unwrap);
    let printed: Vec<String> = lines.take_while(|line| line != "Models").collect();
    let chat: Vec<&str> = printed
        .iter()
        .skip_while(|line| !line.starts_with("proveil chat"))
        .take_while(|line| !line.is_empty())
        .flat_map(|line| line.split_whitespace())
        .map(|word| word.trim_matches('"'))
        .filter(|word| *word != "\\")
        .collect();
    let run = proveil(home.path(), &chat[1..]);
    let ended = child.kill().and_then(|()| child.wait());
    assert!(run.code == 0 && !run.out.trim().is_empty(), "{chat:?}: {}", run.err);
    assert!(
        printed.iter().any(|line| line == "export PRIVATEMODE_API_KEY=any") && ended.is_ok(),
        "{printed:?}"
    );
}
