//! `proveil capture`, `proveil verify --evidence` and `proveil verify snp|tdx|nvidia`, as separate programs.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    clippy::print_stdout
)]

use std::collections::BTreeSet;
use std::path::Path;

use assert_cmd::Command;
use proveil_testkit::forge::{GpuReportSpec, Random, SnpSpec, World, WorldSpec};
use proveil_testkit::sim::{Defect, SimConfig, Simulator, collateral, models};

const KEY: &str = "canary-key-11f7";
const NOW: u64 = 1_790_000_000;
const NONCE: [u8; 32] = [0x6e; 32];

struct Run {
    code: i32,
    out: String,
    err: String,
}

/// The program in `home`, with nothing of this one's environment.
fn proveil(home: &Path, args: &[&str]) -> Run {
    let mut command = Command::new(assert_cmd::cargo::cargo_bin!("proveil"));
    command.env_clear().env("HOME", home).env("VENICE_API_KEY", KEY).current_dir(home).args(args);
    let output = command.output().unwrap();
    let run = Run {
        code: output.status.code().unwrap(),
        out: String::from_utf8(output.stdout).unwrap(),
        err: String::from_utf8(output.stderr).unwrap(),
    };
    assert!(!run.out.contains(KEY) && !run.err.contains(KEY), "no key in any output");
    run
}

fn simulator(defects: &[Defect]) -> Simulator {
    let config = SimConfig {
        gpus: 1,
        defects: defects.to_vec(),
        api_key: Some(KEY.to_owned()),
        ..SimConfig::default()
    };
    Simulator::start(config).unwrap()
}

/// What the printed command does, judged in the same folder.
fn stored_command(run: &Run) -> Vec<String> {
    let line =
        run.err.lines().find(|line| line.trim_start().starts_with("proveil verify --evidence")).unwrap();
    line.split_whitespace().skip(1).map(str::to_owned).collect()
}

/// Each verdict is stored, and the command that is printed gives the same report, byte for byte, with the provider gone.
#[test]
fn a_capture_is_judged_again_without_network() {
    for (defect, code) in [
        (None, 0),
        (Some(Defect::TamperedQuote), 3),
        (Some(Defect::KeySwap), 3),
        (Some(Defect::CollateralDown), 4),
    ] {
        let home = tempfile::tempdir().unwrap();
        let sim = simulator(defect.as_slice());
        std::fs::write(home.path().join("roots.json"), sim.trust_roots_json()).unwrap();
        let (base, pcs) = (sim.base_url(), sim.collateral_url());
        let run = proveil(
            home.path(),
            &[
                "capture",
                "venice",
                "-m",
                models::E2EE,
                "-o",
                "kept",
                "--trust-roots",
                "roots.json",
                "--base-url",
                &base,
                "--collateral-url",
                &pcs,
            ],
        );
        assert_eq!(run.code, code, "{defect:?}: {}{}", run.out, run.err);
        drop(sim);
        let kept = home.path().join("kept");
        let report = std::fs::read_to_string(kept.join("report.json")).unwrap();
        for entry in std::fs::read_dir(&kept).unwrap() {
            let text = String::from_utf8_lossy(&std::fs::read(entry.unwrap().path()).unwrap()).into_owned();
            assert!(!text.contains(KEY), "no key in a capture");
        }
        let mut again = stored_command(&run);
        again.push("--json".to_owned());
        let again: Vec<&str> = again.iter().map(String::as_str).collect();
        let judged = proveil(home.path(), &again);
        assert_eq!((judged.code, judged.out.as_str()), (code, report.as_str()), "{defect:?}: {}", judged.err);
        // T68: the roots in a capture are not believed by themselves.
        let alone = proveil(home.path(), &["verify", "--evidence", "kept"]);
        assert_eq!(alone.code, 3, "{}{}", alone.out, alone.err);
        assert!(
            alone.err.contains("CUSTOM") && alone.err.contains("--trust-roots kept/roots.json"),
            "{}",
            alone.err
        );
        // Nothing is ever replaced.
        let twice = proveil(
            home.path(),
            &["capture", "venice", "-m", models::E2EE, "-o", "kept", "--base-url", &base],
        );
        assert_eq!(twice.code, 2, "{}", twice.err);
        assert!(twice.err.contains("PV-138") && twice.err.contains("not empty"), "{}", twice.err);
    }
}

/// A capture that somebody changed is refused or cannot be read, and says why.
#[test]
fn changed_captures() {
    let home = tempfile::tempdir().unwrap();
    let sim = simulator(&[]);
    std::fs::write(home.path().join("roots.json"), sim.trust_roots_json()).unwrap();
    let (base, pcs) = (sim.base_url(), sim.collateral_url());
    let run = proveil(
        home.path(),
        &[
            "capture",
            "venice",
            "-m",
            models::E2EE,
            "-o",
            "kept",
            "--trust-roots",
            "roots.json",
            "--base-url",
            &base,
            "--collateral-url",
            &pcs,
        ],
    );
    assert_eq!(run.code, 0, "{}", run.err);
    let kept = home.path().join("kept");
    let verify = |args: &[&str]| {
        let base = ["verify", "--evidence", "kept", "--trust-roots", "roots.json"];
        proveil(home.path(), &[&base[..], args].concat())
    };
    assert_eq!(verify(&["--policy", "strict"]).code, 3);
    let index: serde_json::Value =
        serde_json::from_slice(&std::fs::read(kept.join("evidence.json")).unwrap()).unwrap();
    let late = (index["at"].as_u64().unwrap() + 400 * 86_400).to_string();
    assert_eq!(verify(&["--at", &late]).code, 4);
    for (args, text) in [
        (&["--model", "m"][..], "PV-135"),
        (&["--nonce", "00"], "PV-135"),
        (&["--report-data", "00"], "PV-135"),
        (&["--response", "x"], "--evidence"),
    ] {
        let run = verify(args);
        assert_eq!((run.code, run.out.as_str()), (2, ""), "{args:?}: {}", run.err);
        assert!(run.err.contains(text), "{args:?}: {}", run.err);
    }
    let change = |file: &str, from: &str, to: &str| {
        let path = kept.join(file);
        let text = std::fs::read_to_string(&path).unwrap();
        assert!(text.contains(from), "{file}");
        std::fs::write(&path, text.replacen(from, to, 1)).unwrap();
        let run = verify(&[]);
        std::fs::write(&path, text).unwrap();
        run
    };
    let relaxed = change("policy.json", "\"evidence\": \"required\"", "\"evidence\": \"if_present\"");
    assert_eq!(relaxed.code, 0, "{}", relaxed.err);
    assert!(relaxed.err.contains("weaker than standard"), "{}", relaxed.err);
    for (file, from, to, code, text) in [
        ("evidence.json", "\"response.json\"", "\"../roots.json\"", 2, "PV-139"),
        ("evidence.json", "\"nonce\"", "\"nonze\"", 2, "Did you mean `nonce`?"),
        ("evidence.json", "\"venice\"", "\"venise\"", 2, "Did you mean `venice`?"),
        ("policy.json", "\"software\"", "\"sofware\"", 2, "PV-131"),
        ("response.json", "\"verified\":true", "\"verified\":null", 3, "PV-203"),
        ("collateral-1.json", "\"tcb_info\"", "\"tcb_inof\"", 2, "PV-139"),
    ] {
        let run = change(file, from, to);
        assert_eq!(run.code, code, "{file} {to}: {}{}", run.out, run.err);
        assert!(run.err.contains(text), "{file} {to}: {}", run.err);
    }
    std::fs::remove_file(kept.join("response.json")).unwrap();
    let run = verify(&[]);
    assert_eq!(run.code, 2);
    assert!(run.err.contains("PV-134") && run.err.contains("response.json"), "{}", run.err);
    let run = proveil(home.path(), &["verify", "--evidence", "absent"]);
    assert!(run.code == 2 && run.err.contains("PV-134"), "{}", run.err);
}

struct Files {
    home: tempfile::TempDir,
}

impl Files {
    fn new(roots: &str) -> Files {
        let files = Files { home: tempfile::tempdir().unwrap() };
        files.put("roots.json", roots.as_bytes());
        files
    }

    fn put(&self, name: &str, bytes: &[u8]) {
        std::fs::write(self.home.path().join(name), bytes).unwrap();
    }

    fn verify(&self, args: &[&str]) -> Run {
        let at = NOW.to_string();
        let common = ["--trust-roots", "roots.json", "--at", &at];
        proveil(self.home.path(), &[&["verify"][..], args, &common].concat())
    }

    /// Saves, judges what was saved, and compares.
    fn saved(&self, args: &[&str], code: i32) {
        let run = self.verify(&[args, &["--save", "kept", "--json"]].concat());
        assert_eq!(run.code, code, "{}{}", run.out, run.err);
        let again = self.verify(&["--evidence", "kept", "--json"]);
        assert_eq!((again.code, again.out.as_str()), (code, run.out.as_str()), "{}", again.err);
    }
}

#[test]
fn bare_snp_evidence() {
    let evidence = SnpSpec::new(proveil_core::claims::Product::Genoa, &mut Random::from_seed([7; 32]), NOW)
        .with_list()
        .sign();
    let files = Files::new(&evidence.trust_roots_json);
    let given = &evidence.endorsements;
    files.put("report", &evidence.report);
    files.put("report.txt", const_hex::encode(&evidence.report).as_bytes());
    files.put("extended", &[evidence.report.clone(), evidence.certificate_table()].concat());
    files.put("vcek", given.vcek.as_ref().unwrap());
    files.put("ask", given.issuer.as_ref().unwrap());
    files.put("ark", given.root.as_ref().unwrap());
    files.put("crl", given.crl.as_ref().unwrap());
    files.put("noise", b"hello");
    let data = const_hex::encode(&evidence.report[0x50..0x90]);
    let measurement = const_hex::encode(&evidence.report[0x90..0xc0]);
    for order in [
        ["crl", "vcek", "report", "ark", "ask"].as_slice(),
        &["report.txt", "vcek", "ask", "crl"],
        &["extended", "crl"],
    ] {
        let args = [&["snp"], order, &["--report-data", &data, "--measurement", &measurement]].concat();
        let run = files.verify(&args);
        assert_eq!(run.code, 0, "{order:?}: {}{}", run.out, run.err);
        assert!(run.out.starts_with("VERIFIED against CUSTOM roots, L3"), "{}", run.out);
    }
    let other = "00".repeat(64);
    let run = files.verify(&["snp", "report", "vcek", "ask", "crl", "--report-data", &other]);
    assert_eq!(run.code, 3, "{}", run.err);
    assert!(run.err.contains("Refused (PV-281)") && !run.err.contains("Refused to send"), "{}", run.err);
    assert_eq!(files.verify(&["snp", "report", "crl"]).code, 4);
    for (args, text) in [
        (&["snp"][..], "FILES"),
        (&["snp", "vcek"], "1184 bytes"),
        (&["snp", "report", "report.txt"], "file 2"),
        (&["snp", "report", "noise"], "PV-312"),
        (&["snp", "report", "--measurement", "00"], "--measurement"),
        (&["snp", "report", "--mr-td", "00"], "--mr-td"),
        (&["snp", "report", "--model", "m"], "--model"),
        (&["snp", "report", "--nonce", "00"], "--nonce"),
        (&["snp", "absent"], "PV-134"),
    ] {
        let run = files.verify(args);
        assert!([2, 4].contains(&run.code) && run.out.is_empty(), "{args:?}: {} {}", run.code, run.err);
        assert!(run.err.contains(text), "{args:?}: {}", run.err);
    }
    files.saved(&["snp", "report", "vcek", "ask", "crl", "--measurement", &measurement], 0);
}

/// T23: what is not at hand is fetched when asked for; a service that is down leaves it open, another chip's certificate is refused.
#[test]
fn snp_certificates_are_fetched() {
    for (defects, code) in [(&[][..], 0), (&[Defect::KdsOtherChip], 3)] {
        let config = SimConfig { now: Some(NOW), defects: defects.to_vec(), ..SimConfig::default() };
        let sim = Simulator::start(config).unwrap();
        let machine = &sim.amd_machine().evidence;
        let files = Files::new(&machine.trust_roots_json);
        files.put("report", &machine.report);
        let run = files.verify(&["snp", "report"]);
        assert_eq!(run.code, 4, "{}", run.err);
        let kds = sim.kds_url();
        let run = files.verify(&["snp", "report", "--fetch", "--kds-url", &kds]);
        assert_eq!(run.code, code, "{defects:?}: {}{}", run.out, run.err);
    }
    let files = Files::new("{}");
    files.put("quote", b"");
    assert_eq!(files.verify(&["tdx", "quote", "--fetch"]).code, 2);
}

#[test]
fn bare_tdx_evidence() {
    let mut random = Random::from_seed([8; 32]);
    let world = World::generate(&mut random, &WorldSpec { now: NOW, gpus: 0 });
    let quote = world.sign_quote(&world.quote_spec(4, [0x5d; 64], &mut random));
    let files = Files::new(&world.trust_roots_json());
    files.put("quote", &quote);
    files.put("quote.hex", format!("0x{}\n", const_hex::encode(&quote)).as_bytes());
    files.put("collateral", collateral(&world, &BTreeSet::new()).to_json().as_bytes());
    let body = world.guest.body([0x5d; 64]);
    let [rtmr0, rtmr1, rtmr2, rtmr3] = body.rtmr.map(const_hex::encode);
    let mr_td = const_hex::encode(body.mr_td);
    for order in [["quote", "collateral"], ["collateral", "quote.hex"]] {
        let run = files.verify(
            &[
                &["tdx"],
                &order[..],
                &[
                    "--report-data",
                    "5d5d",
                    "--mr-td",
                    &mr_td,
                    "--rtmr0",
                    &rtmr0,
                    "--rtmr1",
                    &rtmr1,
                    "--rtmr2",
                    &rtmr2,
                ],
                &["--rtmr3", &rtmr3],
            ]
            .concat(),
        );
        assert_eq!(run.code, 0, "{}{}", run.out, run.err);
        assert!(run.out.contains("quote of an Intel TDX guest") && run.out.contains("L3"), "{}", run.out);
        assert!(run.out.lines().all(|line| line.chars().count() <= 80), "{}", run.out);
    }
    let run = files.verify(&["tdx", "quote", "collateral", "--rtmr3", &"ab".repeat(48)]);
    assert!(run.code == 3 && run.err.contains("PV-260"), "{}", run.err);
    assert_eq!(files.verify(&["tdx", "quote"]).code, 4);
    for (args, text) in [
        (&["tdx", "collateral"][..], "TDX quote"),
        (&["tdx", "quote", "quote.hex"], "file 2"),
        (&["tdx", "quote", "--report-data", ""], "--report-data"),
        (&["tdx", "quote", "--measurement", "00"], "--measurement"),
    ] {
        let run = files.verify(args);
        assert!(run.code == 2 && run.err.contains(text), "{args:?}: {}", run.err);
    }
    files.saved(&["tdx", "quote", "collateral"], 0);
}

#[test]
fn bare_gpus() {
    let mut random = Random::from_seed([9; 32]);
    let world = World::generate(&mut random, &WorldSpec { now: NOW, gpus: 2 });
    let files = Files::new(&world.trust_roots_json());
    for (gpu, name) in world.gpus.iter().zip(["0", "1"]) {
        files.put(&format!("report{name}"), &GpuReportSpec::new(gpu, NONCE, &mut random).sign(gpu));
        files.put(&format!("chain{name}"), gpu.chain_pem.as_bytes());
    }
    let endorsements = world.gpu_endorsements(&NONCE, &mut random);
    files.put("payload", world.gpu_payload(NONCE, &mut random).as_bytes());
    files.put("rim0", &endorsements.rims[0].xml);
    files.put("rim1", &endorsements.rims[1].xml);
    files.put("tokens", &endorsements.nras[0].tokens);
    files.put("jwks", &endorsements.nras[0].jwks);
    let mut ocsp: Vec<String> = Vec::new();
    for (i, answer) in endorsements.ocsp.iter().enumerate() {
        ocsp.push(format!("ocsp{i}"));
        files.put(&ocsp[i], answer);
    }
    let nonce = const_hex::encode(NONCE);
    let ocsp: Vec<&str> = ocsp.iter().map(String::as_str).collect();
    let devices = ["jwks", "report0", "rim1", "chain0", "chain1", "tokens", "report1", "rim0"];
    let run = files.verify(&[&["nvidia", "--nonce", &nonce], &devices[..], &ocsp].concat());
    assert_eq!(run.code, 0, "{}{}", run.out, run.err);
    assert!(run.out.contains("2 genuine NVIDIA GPU(s), with the measurements"), "{}", run.out);
    assert_eq!(files.verify(&["nvidia", "payload", "--nonce", &nonce]).code, 0);
    // Chains in another order belong to other devices.
    let run = files.verify(&["nvidia", "report0", "report1", "chain1", "chain0", "--nonce", &nonce]);
    assert!(run.code == 3 && run.err.contains("PV-252"), "{}", run.err);
    let run = files.verify(&["nvidia", "payload", "--nonce", &"00".repeat(32)]);
    assert!(run.code == 3 && run.err.contains("PV-215"), "{}", run.err);
    for (args, text) in [
        (&["nvidia", "payload"][..], "--nonce"),
        (&["nvidia", "report0", "--nonce", &nonce], "1 reports and 0 chains"),
        (&["nvidia", "payload", "tokens", "--nonce", &nonce], "key list"),
        (&["nvidia", "payload", "jwks", "jwks", "--nonce", &nonce], "file 3"),
        (&["nvidia", "roots.json", "--nonce", &nonce], "file 1"),
    ] {
        let run = files.verify(args);
        assert!(run.code == 2 && run.err.contains(text), "{args:?}: {}", run.err);
    }
    files.saved(&["nvidia", "payload", "rim0", "rim1", "--nonce", &nonce], 0);
}
