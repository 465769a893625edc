//! `proveil policy` and `proveil pin`, as a separate program: what is printed, what is refused, and with which exit code.

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
use serde_json::{Value, json};

const KEY: &str = "canary-key-30be";

struct Run {
    code: i32,
    out: String,
    err: String,
}

impl Run {
    fn json(&self) -> Value {
        serde_json::from_str(&self.out).unwrap_or_else(|error| panic!("{error}: {}{}", self.out, self.err))
    }
}

fn run(home: &Path, args: &[&str]) -> Run {
    let mut command = Command::new(assert_cmd::cargo::cargo_bin!("proveil"));
    command.env_clear().env("HOME", home).env("VENICE_API_KEY", KEY).current_dir(home).args(args);
    let output = command.output().unwrap();
    let run = Run {
        code: output.status.code().unwrap(),
        out: String::from_utf8(output.stdout).unwrap(),
        err: String::from_utf8(output.stderr).unwrap(),
    };
    assert!(!run.out.contains(KEY) && !run.err.contains(KEY));
    run
}

#[test]
fn presets_are_shown_as_files_that_can_be_used() {
    let home = tempfile::tempdir().unwrap();
    for name in ["standard", "strict", "venice/standard", "venice/strict"] {
        let shown = run(home.path(), &["policy", "show", name]);
        assert_eq!(shown.code, 0, "{}", shown.err);
        assert_eq!(shown.json()["name"], json!(name));
        std::fs::write(home.path().join("mine.json"), &shown.out).unwrap();
        let checked = run(home.path(), &["policy", "check", "mine.json"]);
        assert_eq!(checked.code, 0, "{}", checked.err);
        assert!(
            checked.out.starts_with(&format!("mine.json: a valid policy, name {name}\nsha256 ")),
            "{}",
            checked.out
        );
        let facts = run(home.path(), &["policy", "show", "mine.json", "--json"]).json();
        assert_eq!((&facts["schema"], &facts["policy"]), (&json!("proveil.policy-shown/v1"), &shown.json()));
        assert!(
            checked.out.contains(facts["sha256"].as_str().unwrap())
                && shown.err.contains(facts["sha256"].as_str().unwrap())
        );
        let diff = run(home.path(), &["policy", "diff", name, "mine.json"]);
        assert_eq!((diff.code, diff.out.as_str()), (0, "The policies are the same.\n"));
    }
    assert_eq!(run(home.path(), &["policy", "show"]).json()["name"], json!("standard"));
}

/// T57, users.md 10: file, line, column, member, and the nearest valid name; exit code 2.
#[test]
fn mistakes_are_located() {
    let home = tempfile::tempdir().unwrap();
    let start = "{\n  \"schema\": \"proveil.policy/v1\",\n";
    for (text, said) in [
        (
            format!("{start}  \"sofware\": {{}}\n}}"),
            &["bad.json:3:3: sofware", "Did you mean `software`?"][..],
        ),
        (
            format!("{start}  \"extends\": \"venice/strikt\"\n}}"),
            &["bad.json:3:3: extends", "`venice/strict`"],
        ),
        (
            format!(
                "{start}  \"tdx\": {{\n    \"accepted_tcb_statuses\": [\"UpToDate\",\n      \"OutofDate\"]\n  }}\n}}"
            ),
            &["bad.json:5:7: tdx.accepted_tcb_statuses[1]", "`OutOfDate`"],
        ),
        (
            format!("{start}  \"max_age_s\": 9000\n}}"),
            &["bad.json:3:3: max_age_s", "expected 1 to 1800, found 9000"],
        ),
        (
            format!("{start}  \"name\": \"a\",\n  \"name\": \"b\"\n}}"),
            &["bad.json:4:3: document", "named twice"],
        ),
        (format!("{start}  \"name\" \"a\"\n}}"), &["bad.json:3:10: document", "not JSON"]),
        (start.to_owned(), &["bad.json:3:1: document", "ends too early"]),
        (
            format!("{start}  \"advisory_checks\": [\"nonce.cpu\"]\n}}"),
            &["bad.json:3:23: advisory_checks[0]", "cannot be relaxed"],
        ),
    ] {
        std::fs::write(home.path().join("bad.json"), &text).unwrap();
        for args in [
            &["policy", "check", "bad.json"][..],
            &["policy", "show", "bad.json"],
            &["policy", "diff", "standard", "bad.json"],
            &["verify", "venice", "-m", "m", "--policy", "bad.json"],
        ] {
            let run = run(home.path(), args);
            assert_eq!((run.code, run.out.as_str()), (2, ""), "{args:?} {text}: {}", run.err);
            for part in said {
                assert!(run.err.contains(part), "{part} in {}", run.err);
            }
        }
        let error = run(home.path(), &["policy", "check", "bad.json", "--json"]).json();
        assert_eq!((&error["code"], &error["schema"]), (&json!("PV-131"), &json!("proveil.error/v1")));
        assert!(error["details"]["line"].is_u64() && error["details"]["column"].is_u64(), "{error}");
    }
    for (args, said) in [
        (&["policy", "show", "strikt"][..], "`strict`"),
        (&["policy", "check", "none.json"], "PV-134"),
        (&["policy", "init", "--from", "none.json"], "PV-134"),
        (&["policy", "shw"], "show"),
        (&["pin"], "PROVIDER"),
        (&["pin", "accept", "venice", "-m", "m", "--yes", "--sha256", "00"], "--sha256"),
        (&["pin", "accept", "venice", "-m", "m", "--sha256", "00"], "64 hex digits"),
        (&["pin", "venise", "-m", "m"], "`venice`"),
    ] {
        let run = run(home.path(), args);
        assert_eq!(run.code, 2, "{args:?}: {}{}", run.out, run.err);
        assert!(run.err.contains(said), "{args:?}: {}", run.err);
    }
}

#[test]
fn differences_say_what_they_do() {
    let home = tempfile::tempdir().unwrap();
    let file = home.path().join("mine.json");
    std::fs::write(
        &file,
        json!({ "schema": "proveil.policy/v1", "name": "mine", "tdx": { "allow_perfmon": true },
            "software": { "app_id": ["ab".repeat(20)] }, "snp": { "vmpls": [1] } })
        .to_string(),
    )
    .unwrap();
    let run = run(home.path(), &["policy", "diff", "standard", "mine.json"]);
    assert_eq!(run.code, 0, "{}", run.err);
    for line in
        ["WEAKER    tdx.allow_perfmon", "stricter  software.app_id", "OTHER     snp.vmpls", "same      name"]
    {
        assert!(run.out.lines().any(|found| found == line), "{line} in {}", run.out);
    }
    let json = super_json(home.path());
    let effects: Vec<(&str, &str)> = json["differences"]
        .as_array()
        .unwrap()
        .iter()
        .map(|row| (row["member"].as_str().unwrap(), row["effect"].as_str().unwrap()))
        .collect();
    assert_eq!(
        effects,
        [
            ("name", "none"),
            ("snp.vmpls", "other"),
            ("software.app_id", "stricter"),
            ("tdx.allow_perfmon", "weaker")
        ]
    );
}

fn super_json(home: &Path) -> Value {
    run(home, &["policy", "diff", "standard", "mine.json", "--json"]).json()
}

struct Stage {
    sim: Simulator,
    home: tempfile::TempDir,
}

impl Stage {
    fn new() -> Stage {
        let config = SimConfig { gpus: 1, api_key: Some(KEY.to_owned()), ..SimConfig::default() };
        let stage = Stage { sim: Simulator::start(config).unwrap(), home: tempfile::tempdir().unwrap() };
        std::fs::write(stage.home.path().join("roots.json"), stage.sim.trust_roots_json()).unwrap();
        stage
    }

    /// A command about the simulated endpoint.
    fn run(&self, verb: &[&str], args: &[&str]) -> Run {
        let (base, collateral) = (self.sim.base_url(), self.sim.collateral_url());
        let mut all = verb.to_vec();
        all.extend(["venice", "-m", models::E2EE, "--base-url", &base, "--collateral-url", &collateral]);
        all.extend(["--trust-roots", "roots.json"]);
        all.extend(args);
        run(self.home.path(), &all)
    }
}

/// A policy made from a verified report accepts that software, and the next release is refused.
#[test]
fn a_policy_from_a_report() {
    let stage = Stage::new();
    let home = stage.home.path();
    std::fs::write(home.join("report.json"), stage.run(&["verify"], &["--json"]).out).unwrap();
    for (extra, machines) in [(&[][..], false), (&["--machines"][..], true)] {
        let mut args = vec!["policy", "init", "--from", "report.json", "-o", "mine.json", "--name", "mine"];
        args.extend(extra);
        let made = run(home, &args);
        assert_eq!((made.code, made.out.as_str()), (0, ""), "{}", made.err);
        assert!(made.err.contains("taken for true"), "{}", made.err);
        let policy = run(home, &["policy", "show", "mine.json"]).json();
        assert_eq!(policy["software"]["compose_hash"].as_array().unwrap().len(), 1);
        assert_eq!(policy["tdx"]["platform_ids"].as_array().unwrap().len(), usize::from(machines));
        let verified = stage.run(&["verify"], &["--policy", "mine.json"]);
        assert!(verified.code == 0 && verified.out.contains(", L3"), "{}{}", verified.out, verified.err);
    }
    stage.sim.set_defects(&[Defect::SoftwareUpdated]);
    let refused = stage.run(&["verify"], &["--policy", "mine.json"]);
    assert!(refused.code == 3 && refused.err.contains("PV-260"), "{}{}", refused.out, refused.err);
    // What was refused says nothing.
    std::fs::write(
        home.join("report.json"),
        stage.run(&["verify"], &["--policy", "mine.json", "--json"]).out,
    )
    .unwrap();
    let made = run(home, &["policy", "init", "--from", "report.json"]);
    assert!(made.code == 2 && made.err.contains("Only a verified report"), "{}", made.err);
}

/// A policy made from a capture: its evidence is verified first, under the roots that the caller names.
#[test]
fn a_policy_from_a_capture() {
    use proveil_core::appraise::TdxExpectations;
    use proveil_core::attest::TrustRoots;
    use proveil_core::bundle::{Evidence, EvidenceBundle};
    use proveil_core::evidence::TdxCollateral;
    use proveil_core::policy::Policy;
    use proveil_testkit::forge::{QuoteSpec, Random, World, WorldSpec};
    const NOW: u64 = 1_790_000_000;
    let mut random = Random::from_seed([3; 32]);
    let world = World::generate(&mut random, &WorldSpec { now: NOW, gpus: 1 });
    let mut quote = world.sign_quote(&QuoteSpec::new(4, world.guest.body([7; 64]), &mut random));
    let home = tempfile::tempdir().unwrap();
    std::fs::write(home.path().join("roots.json"), world.trust_roots_json()).unwrap();
    let roots = TrustRoots::from_json(world.trust_roots_json().as_bytes()).unwrap();
    let collateral = TdxCollateral::from_json(world.collateral_json().as_bytes()).unwrap();
    let mut capture = |name: &str, damage: bool| {
        quote[200] ^= u8::from(damage);
        let evidence = Evidence::Tdx {
            quote: quote.clone(),
            collateral: vec![collateral.clone()],
            expected: Box::new(TdxExpectations::default()),
        };
        let bundle = EvidenceBundle::new(evidence, Policy::standard(), roots.clone(), NOW);
        let folder = home.path().join(name);
        std::fs::create_dir(&folder).unwrap();
        for file in bundle.to_files() {
            std::fs::write(folder.join(file.name), file.bytes).unwrap();
        }
    };
    capture("good", false);
    capture("bad", true);
    let made = run(home.path(), &["policy", "init", "--from", "good", "--trust-roots", "roots.json"]);
    assert_eq!(made.code, 0, "{}", made.err);
    let policy = made.json();
    assert_eq!(policy["software"]["mr_td"].as_array().unwrap().len(), 1);
    assert_eq!(policy["software"]["require_reference"], json!(true));
    for args in [&["--from", "good"][..], &["--from", "bad", "--trust-roots", "roots.json"]] {
        let refused = run(home.path(), &[&["policy", "init"], args].concat());
        assert_eq!((refused.code, refused.out.as_str()), (3, ""), "{args:?}: {}", refused.err);
    }
}

/// README decision 6: pinned, changed, refused with the difference, accepted by digest only.
#[test]
fn pins() {
    let stage = Stage::new();
    let list = || run(stage.home.path(), &["pin", "list"]);
    assert_eq!((list().code, list().out.as_str()), (0, "Nothing is pinned.\n"));
    let pinned = stage.run(&["pin"], &[]);
    assert_eq!(pinned.code, 0, "{}{}", pinned.out, pinned.err);
    let file = stage.home.path().join(".local/share/proveil/pins.json");
    assert!(file.is_file() && list().out.contains(models::E2EE), "{}", list().out);
    assert_eq!(stage.run(&["pin"], &[]).code, 0);
    let verified = stage.run(&["verify"], &["--full"]);
    assert!(
        verified.code == 0 && verified.out.contains("The measured software is the pinned one"),
        "{}{}",
        verified.out,
        verified.err
    );
    assert!(stage.run(&["pin", "accept"], &[]).out.contains("is current"));

    stage.sim.set_defects(&[Defect::SoftwareUpdated]);
    for (verb, args) in [(&["verify"][..], &[][..]), (&["pin"], &[]), (&["chat"], &["hello"])] {
        let refused = stage.run(verb, args);
        assert_eq!(refused.code, 3, "{verb:?}: {}{}", refused.out, refused.err);
        assert!(
            refused.err.contains("PV-263") && refused.err.contains("compose hash"),
            "{verb:?}: {}",
            refused.err
        );
    }
    let shown = stage.run(&["pin", "accept"], &[]);
    assert_eq!(shown.code, 3, "{}{}", shown.out, shown.err);
    for part in
        ["Changed since", "event 3 of RTMR3 (compose-hash)", "docker_compose_file line 3", "Not pinned."]
    {
        assert!(shown.out.contains(part), "{part} in {}", shown.out);
    }
    let json = stage.run(&["pin", "accept"], &["--json"]).json();
    assert_eq!((&json["schema"], &json["accepted"]), (&json!("proveil.pin-change/v1"), &json!(false)));
    let digest = json["found_sha256"].as_str().unwrap().to_owned();
    assert!(shown.out.contains(&digest) && shown.err.contains("Nothing was accepted"), "{}", shown.err);
    assert_eq!(stage.run(&["pin", "accept"], &["--sha256", &"0".repeat(64)]).code, 3);
    assert_eq!(stage.run(&["verify"], &[]).code, 3);

    let accepted = stage.run(&["pin", "accept"], &["--sha256", &digest]);
    assert!(accepted.code == 0 && accepted.out.contains("Pinned."), "{}{}", accepted.out, accepted.err);
    assert_eq!(stage.run(&["verify"], &[]).code, 0);
    stage.sim.set_defects(&[]);
    assert_eq!(stage.run(&["verify"], &[]).code, 3);
    let back = stage.run(&["pin", "accept"], &["--yes", "--json"]);
    assert_eq!((back.code, &back.json()["accepted"]), (0, &json!(true)), "{}", back.err);

    // Another file has other pins; a broken one stops everything before anything is sent (T59).
    assert!(run(stage.home.path(), &["pin", "list", "--pins", "other.json"]).out.contains("Nothing"));
    std::fs::write(&file, "{").unwrap();
    stage.sim.clear_recorded();
    for (verb, args) in [
        (&["verify"][..], &[][..]),
        (&["pin"], &[]),
        (&["pin", "accept"], &["--yes"]),
        (&["chat"], &["hello"]),
    ] {
        let broken = stage.run(verb, args);
        assert_eq!(broken.code, 2, "{verb:?}: {}{}", broken.out, broken.err);
        assert!(broken.err.contains("PV-140") && broken.err.contains("pins.json"), "{}", broken.err);
    }
    assert_eq!(list().code, 2);
    assert_eq!(stage.sim.recorded().requests().count(), 0);
}
