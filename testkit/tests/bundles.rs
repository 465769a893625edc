//! Evidence bundles: what was captured gives the same report again, byte for byte, in both forms; what is hostile gives a code and
//! never a verdict that it chose itself (threats T27, T44, T55, T68).

#![allow(
    clippy::arithmetic_side_effects,
    clippy::indexing_slicing,
    clippy::print_stdout,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic
)]

#[path = "common/nvidia.rs"]
mod nvidia_system;

mod drive;

use std::collections::BTreeSet;

use drive::local::Scene;
use drive::{MODEL, NOW, run_exchange};
use nvidia_system::{NONCE, System};
use proveil_core::appraise::{SnpExpectations, TdxExpectations, appraise_tdx};
use proveil_core::attest::TrustRoots;
use proveil_core::bundle::{Evidence, EvidenceBundle, INDEX_FILE, ROOTS_FILE};
use proveil_core::claims::Product;
use proveil_core::endpoint::Outcome;
use proveil_core::error::Class;
use proveil_core::evidence::TdxCollateral;
use proveil_core::http::{HttpRequest, HttpResponse, TransportFailure};
use proveil_core::limits::EVIDENCE_BUNDLE_MAX_BYTES;
use proveil_core::policy::Policy;
use proveil_core::report::{Level, Outcome as CheckOutcome, Report, Verdict};
use proveil_core::{Code, Error};
use proveil_testkit::forge::{Random, SnpSpec};
use proveil_testkit::sim::Defect;
use serde_json::{Value, json};

const SCHEMA: &str = include_str!("../../docs/schema/proveil.evidence.v1.json");

/// A verification against the scene's provider, with what it said and what it used.
fn capture(scene: &Scene, defects: &[Defect], policy: Policy, unreachable: bool) -> (Report, EvidenceBundle) {
    struct Cut<'a>(drive::local::Local<'a>, bool);
    impl drive::Host for Cut<'_> {
        fn send(&mut self, request: &HttpRequest) -> Result<HttpResponse, TransportFailure> {
            if self.1 && request.purpose().starts_with("Intel") {
                return Err(TransportFailure::Timeout);
            }
            self.0.send(request)
        }

        fn stream(
            &mut self,
            request: &HttpRequest,
            opener: &mut proveil_core::endpoint::Opener,
            out: &mut Vec<proveil_core::endpoint::Event>,
        ) -> Result<(), Error> {
            self.0.stream(request, opener, out)
        }
    }
    let mut host = scene.host();
    host.defects = defects.iter().copied().collect();
    let mut setup = scene.setup();
    setup.policy = policy;
    let mut exchange = setup.exchange().unwrap();
    assert!(EvidenceBundle::of_exchange(&exchange).is_none(), "nothing was judged yet");
    let report = match run_exchange(&mut Cut(host, unreachable), &mut exchange, NOW).unwrap() {
        Outcome::Verified(endpoint) => endpoint.report().clone(),
        Outcome::Refused(report, _) | Outcome::Indeterminate(report, _) => report,
    };
    (report, EvidenceBundle::of_exchange(&exchange).unwrap())
}

/// From the directory form.
fn from_files(files: &[(String, Vec<u8>)]) -> Result<EvidenceBundle, Error> {
    EvidenceBundle::from_files(&mut |name, max| {
        let file = files.iter().find(|(known, _)| known == name);
        let (_, bytes) = file.ok_or_else(|| Error::new(Code::FileUnreadable).at(name))?;
        if bytes.len() > max {
            return Err(Error::new(Code::LimitExceeded).at(name));
        }
        Ok(bytes.clone())
    })
}

fn files(bundle: &EvidenceBundle) -> Vec<(String, Vec<u8>)> {
    bundle.to_files().into_iter().map(|file| (file.name, file.bytes)).collect()
}

/// Every bundle of these tests, with the report that it must give.
fn every_bundle() -> Vec<(String, EvidenceBundle, String)> {
    let scene = Scene::new(1);
    let relaxed =
        br#"{"schema":"proveil.policy/v1","name":"lab","max_age_s":600,"gpu":{"evidence":"if_present"}}"#;
    let mut out = Vec::new();
    for (name, defects, policy, unreachable) in [
        ("provider, verified", &[][..], Policy::standard(), false),
        ("provider, own policy", &[], Policy::from_json(relaxed).unwrap(), false),
        ("provider, strict", &[], Policy::strict(), false),
        ("provider, tampered quote", &[Defect::TamperedQuote], Policy::standard(), false),
        ("provider, key swap", &[Defect::KeySwap], Policy::standard(), false),
        ("provider, collateral unreachable", &[], Policy::standard(), true),
    ] {
        let (report, bundle) = capture(&scene, defects, policy, unreachable);
        out.push((name.to_owned(), bundle, report.to_json()));
    }
    for (name, bundle) in bare() {
        let report = bundle.appraise(None, None, None).0.to_json();
        out.push((name.to_owned(), bundle, report));
    }
    out
}

/// Bare hardware of each kind.
fn bare() -> Vec<(&'static str, EvidenceBundle)> {
    let snp = SnpSpec::new(Product::Genoa, &mut Random::from_seed([3; 32]), NOW).with_list().sign();
    let measurement = snp.report[0x90..0xc0].try_into().unwrap();
    let guest = Guest::new();
    let mut system = System::new(2);
    let (devices, endorsements) = (system.evidence(), system.endorsements());
    vec![
        (
            "snp",
            EvidenceBundle::new(
                Evidence::Snp {
                    report: snp.report.clone(),
                    endorsements: snp.endorsements.clone(),
                    expected: SnpExpectations {
                        measurement: Some(measurement),
                        ..SnpExpectations::default()
                    },
                },
                Policy::standard(),
                TrustRoots::from_json(snp.trust_roots_json.as_bytes()).unwrap(),
                NOW,
            ),
        ),
        ("tdx", guest.bundle(guest.expectations())),
        (
            "nvidia",
            EvidenceBundle::new(
                Evidence::Nvidia { devices, nonce: NONCE, endorsements },
                Policy::standard(),
                system.roots.clone(),
                NOW,
            ),
        ),
    ]
}

/// A TDX guest without a provider around it.
struct Guest {
    scene: Scene,
    quote: Vec<u8>,
    collateral: TdxCollateral,
}

const REPORT_DATA: [u8; 64] = [0x5d; 64];

impl Guest {
    fn new() -> Guest {
        let scene = Scene::new(0);
        let mut random = Random::from_seed([9; 32]);
        let quote = scene.world.sign_quote(&scene.world.quote_spec(4, REPORT_DATA, &mut random));
        let collateral = scene.collateral(&BTreeSet::new());
        Guest { scene, quote, collateral }
    }

    fn expectations(&self) -> TdxExpectations {
        let body = self.scene.world.guest.body(REPORT_DATA);
        TdxExpectations {
            report_data: Some(REPORT_DATA.to_vec()),
            mr_td: Some(body.mr_td),
            mr_seam: Some(body.mr_seam),
            mr_config_id: Some(body.mr_config_id),
            mr_owner: Some(body.mr_owner),
            mr_owner_config: Some(body.mr_owner_config),
            rtmr: body.rtmr.map(Some),
        }
    }

    fn bundle(&self, expected: TdxExpectations) -> EvidenceBundle {
        EvidenceBundle::new(
            Evidence::Tdx {
                quote: self.quote.clone(),
                collateral: vec![self.collateral.clone()],
                expected: Box::new(expected),
            },
            Policy::standard(),
            self.scene.roots(),
            NOW,
        )
    }

    fn judge(&self, expected: &TdxExpectations, policy: &Policy) -> (Report, Option<Error>) {
        let collateral = std::slice::from_ref(&self.collateral);
        let (report, result) =
            appraise_tdx(&self.quote, collateral, expected, policy, &self.scene.roots(), NOW);
        (report, result.err())
    }
}

/// The report of a live verification, of the bundle, and of the bundle after either form was written and read, are the same bytes.
#[test]
fn a_captured_verification_gives_the_same_report_again() {
    let schema: Value = serde_json::from_str(SCHEMA).unwrap();
    assert!(jsonschema::meta::is_valid(&schema));
    let validator = jsonschema::validator_for(&schema).unwrap();
    let mut verdicts = BTreeSet::new();
    for (name, bundle, report) in every_bundle() {
        assert_eq!(bundle.appraise(None, None, None).0.to_json(), report, "{name}");
        let text = bundle.to_json();
        let read =
            EvidenceBundle::from_json(text.as_bytes()).unwrap_or_else(|error| panic!("{name}: {error}"));
        assert_eq!((read.to_json(), read.kind(), read.at()), (text.clone(), bundle.kind(), NOW), "{name}");
        let parts = files(&bundle);
        assert_eq!(parts[0].0, INDEX_FILE);
        let unpacked = from_files(&parts).unwrap_or_else(|error| panic!("{name}: {error}"));
        assert_eq!(files(&unpacked), parts, "{name}");
        assert_eq!(unpacked.to_json(), text, "{name}");
        for again in [&read, &unpacked] {
            let roots = again.custom_roots().cloned();
            let (again, result) = again.appraise(None, roots.as_ref(), None);
            assert_eq!(again.to_json(), report, "{name}");
            assert_eq!(again.verdict() == Verdict::Verified, result.is_ok(), "{name}");
            let command = format!("proveil verify --evidence DIR --trust-roots DIR/roots.json --at {NOW}");
            assert_eq!(again.recheck(), Some(command.as_str()), "{name}");
            verdicts.insert(again.verdict().name());
        }
        for document in [&text, std::str::from_utf8(&parts[0].1).unwrap()] {
            let document: Value = serde_json::from_str(document).unwrap();
            let problems: Vec<String> = validator.iter_errors(&document).map(|e| e.to_string()).collect();
            assert!(problems.is_empty(), "{name}: {problems:?}");
        }
        for (file, bytes) in &parts {
            assert!(!bytes.windows(7).any(|part| part == b"canary-"), "no key in {file}");
        }
    }
    assert_eq!(verdicts.len(), 3);
}

/// T68, README decision 4: roots in a file are recorded, and nothing is judged by them unless the caller says so. T27: the policy can be
/// replaced, and the command says so.
#[test]
fn rules_of_the_caller() {
    let (_, bundle) = capture(&Scene::new(1), &[], Policy::standard(), false);
    let read = EvidenceBundle::from_json(bundle.to_json().as_bytes()).unwrap();
    let (report, result) = read.appraise(None, None, None);
    assert_eq!((report.verdict(), report.roots().name()), (Verdict::Refused, "vendor"));
    assert_eq!(result.unwrap_err().code(), Code::PckChain);
    assert_eq!(report.recheck(), Some(format!("proveil verify --evidence DIR --at {NOW}").as_str()));
    let roots = read.custom_roots().cloned();
    let strict = Policy::strict();
    let (report, result) = read.appraise(Some(&strict), roots.as_ref(), Some(NOW + 1));
    assert_eq!(result.unwrap_err().code(), Code::RequiredEvidenceMissing);
    let command = format!(
        "proveil verify --evidence DIR --policy strict --trust-roots DIR/roots.json --at {}",
        NOW + 1
    );
    assert_eq!((report.checked_at(), report.recheck()), (NOW + 1, Some(command.as_str())));
    let other = System::new(1).roots;
    let own = Policy::from_json(br#"{"schema":"proveil.policy/v1","max_age_s":60}"#).unwrap();
    let (report, _) = read.appraise(Some(&own), Some(&other), None);
    assert!(report.recheck().unwrap().contains("--policy POLICY.json --trust-roots ROOTS.json"));
    // Far outside the validity of the collateral nothing is verified, whatever time the bundle names.
    let (report, _) = read.appraise(None, roots.as_ref(), Some(NOW + 400 * 86_400));
    assert_eq!(report.verdict(), Verdict::Indeterminate);
}

/// Expected values of a bare quote, each in both directions, and what they are worth.
#[test]
fn expectations_of_a_quote() {
    let guest = Guest::new();
    let all = guest.expectations();
    let (report, error) = guest.judge(&all, &Policy::standard());
    assert_eq!((error, report.level()), (None, Some(Level::L3)), "{}", report.to_text());
    assert!(report.headline().contains("quote of an Intel TDX guest"), "{}", report.headline());
    assert!(report.recheck().is_none() && report.to_text().lines().all(|line| line.chars().count() <= 80));
    // Nothing expected: genuine, and it may be a replay.
    let (report, error) = guest.judge(&TdxExpectations::default(), &Policy::standard());
    assert_eq!((error, report.level()), (None, Some(Level::L0)));
    assert!(report.not_proven().iter().any(|words| words.contains("replay")));
    let only = |change: &dyn Fn(&mut TdxExpectations)| {
        let mut expected =
            TdxExpectations { report_data: Some(vec![0x5d; 32]), ..TdxExpectations::default() };
        change(&mut expected);
        expected
    };
    // What the host chose names no software.
    let chosen = only(&|expected| expected.mr_config_id = all.mr_config_id);
    assert_eq!(guest.judge(&chosen, &Policy::standard()).0.level(), Some(Level::L2));
    type Set = fn(&mut TdxExpectations, [u8; 48]);
    let registers: [(&str, Set); 9] = [
        ("mr_td", |e, v| e.mr_td = Some(v)),
        ("mr_seam", |e, v| e.mr_seam = Some(v)),
        ("mr_config_id", |e, v| e.mr_config_id = Some(v)),
        ("mr_owner", |e, v| e.mr_owner = Some(v)),
        ("mr_owner_config", |e, v| e.mr_owner_config = Some(v)),
        ("rtmr0", |e, v| e.rtmr[0] = Some(v)),
        ("rtmr1", |e, v| e.rtmr[1] = Some(v)),
        ("rtmr2", |e, v| e.rtmr[2] = Some(v)),
        ("rtmr3", |e, v| e.rtmr[3] = Some(v)),
    ];
    for (name, set) in registers {
        let (report, error) = guest.judge(&only(&|expected| set(expected, [0xee; 48])), &Policy::standard());
        let error = error.unwrap();
        let check = format!("tdx.policy.{name}");
        assert_eq!((error.code(), error.check()), (Code::MeasurementRefused, Some(check.as_str())));
        assert_eq!(report.verdict(), Verdict::Refused, "{name}");
    }
    for (report_data, passes) in [
        (REPORT_DATA.to_vec(), true),
        (vec![0x5d; 20], true),
        (vec![0x5d; 65], false),
        (vec![0x5c], false),
        (Vec::new(), false),
    ] {
        let expected = TdxExpectations { report_data: Some(report_data), ..TdxExpectations::default() };
        let (_, error) = guest.judge(&expected, &Policy::standard());
        assert_eq!(error.map(|e| e.code()), (!passes).then_some(Code::ReportDataMismatch));
    }
}

/// The policy's reference values count for a bare quote as for a provider's; those that need an event log cannot be met.
#[test]
fn reference_values_of_a_quote() {
    let guest = Guest::new();
    let data = TdxExpectations { report_data: Some(REPORT_DATA.to_vec()), ..TdxExpectations::default() };
    let mr_td = const_hex::encode(guest.scene.world.guest.mr_td);
    let policy = |software: &str| {
        let text = format!(
            "{{\"schema\":\"proveil.policy/v1\",\"extends\":\"strict\",\"software\":{{{software}}}}}"
        );
        Policy::from_json(text.as_bytes()).unwrap()
    };
    for (software, expected, code) in [
        (format!("\"mr_td\":[\"{mr_td}\"]"), &data, None),
        (format!("\"mr_td\":[\"{}\"]", "ee".repeat(48)), &data, Some(Code::MeasurementRefused)),
        (format!("\"compose_hash\":[\"{}\"]", "ee".repeat(32)), &data, Some(Code::RequiredEvidenceMissing)),
        (String::new(), &data, Some(Code::RequiredCheckNotMade)),
        (String::new(), &guest.expectations(), None),
    ] {
        let (report, error) = guest.judge(expected, &policy(&software));
        assert_eq!(error.map(|e| e.code()), code, "{software}: {}", report.to_text());
    }
    // A bare quote has no GPUs, and no policy misses them.
    let (report, _) = guest.judge(&data, &Policy::standard());
    assert!(report.checks().iter().all(|check| !check.id().starts_with("gpu.")));
    // Without collateral it cannot be judged; with another platform's it is refused.
    let (report, result) =
        appraise_tdx(&guest.quote, &[], &data, &Policy::standard(), &guest.scene.roots(), NOW);
    assert_eq!(
        (report.verdict(), result.unwrap_err().code()),
        (Verdict::Indeterminate, Code::CollateralMissing)
    );
    let mut changed = guest.quote.clone();
    changed[100] ^= 1;
    let collateral = std::slice::from_ref(&guest.collateral);
    let (report, result) =
        appraise_tdx(&changed, collateral, &data, &Policy::standard(), &guest.scene.roots(), NOW);
    assert_eq!((report.verdict(), result.unwrap_err().code()), (Verdict::Refused, Code::QuoteSignature));
    assert!(report.checks().iter().any(|check| check.outcome() == CheckOutcome::NotChecked));
}

/// Strict reading: each change of a good document is refused with its code and the path of what is wrong.
#[test]
fn hostile_documents() {
    let (_, provider) = capture(&Scene::new(1), &[], Policy::standard(), true);
    let kinds: Vec<EvidenceBundle> = bare().into_iter().map(|(_, bundle)| bundle).collect();
    let base = [&provider, &kinds[0], &kinds[1], &kinds[2]]
        .map(|bundle| serde_json::from_str::<Value>(&bundle.to_json()).unwrap());
    let invalid = Code::EvidenceInvalid;
    let long = "A".repeat(400_000);
    // Document, pointer, new value (null removes it), code, path.
    let cases: &[(usize, &str, Value, Code, &str)] = &[
        (0, "/schema", json!("proveil.evidence/v2"), invalid, "schema"),
        (0, "/kind", json!("snp"), invalid, "provider"),
        (0, "/kind", json!("sev"), invalid, "kind"),
        (0, "/at", json!(-1), invalid, "at"),
        (0, "/at", Value::Null, invalid, "at"),
        (0, "/polcy", json!({}), invalid, "polcy"),
        (0, "/policy", json!({"schema": "proveil.policy/v1", "sofware": {}}), Code::PolicyInvalid, "sofware"),
        (0, "/policy", json!({"file": "policy.json"}), Code::PolicyInvalid, "schema"),
        (0, "/trust_roots", json!({}), Code::TrustRootsInvalid, "schema"),
        (0, "/provider/name", json!("venise"), Code::UnknownProvider, ""),
        (0, "/provider/base_url", json!("ftp://x"), invalid, "provider.base_url"),
        (0, "/provider/nonce", json!("00"), invalid, "provider.nonce"),
        (0, "/provider/response", json!("%"), invalid, "provider.response"),
        (0, "/provider/response", json!({"file": "/etc/passwd"}), invalid, "provider.response"),
        (0, "/provider/model", json!("m".repeat(300)), Code::LimitExceeded, "provider.model"),
        (0, "/provider/collateral", json!(vec![0; 65]), Code::LimitExceeded, "provider.collateral"),
        (0, "/provider/collateral", json!([{}]), invalid, "provider.collateral.0.pck_crl_issuer_chain"),
        (
            0,
            "/provider/collateral_failure/code",
            json!("PV-901"),
            invalid,
            "provider.collateral_failure.code",
        ),
        (0, "/provider/endorsement", json!({}), invalid, "provider.endorsement"),
        (1, "/snp/report", json!(long), Code::LimitExceeded, "snp.report"),
        (1, "/snp/vcek", json!(long), Code::LimitExceeded, "snp.vcek"),
        (1, "/snp/expected/measurement", json!("00"), invalid, "snp.expected.measurement"),
        (1, "/snp/expected/report_dta", json!("00"), invalid, "snp.expected.report_dta"),
        (2, "/tdx/quote", Value::Null, invalid, "tdx.quote"),
        (2, "/tdx/quote", json!(long), Code::LimitExceeded, "tdx.quote"),
        (2, "/tdx/expected/report_data", json!(""), invalid, "tdx.expected.report_data"),
        (2, "/tdx/expected/report_data", json!("00".repeat(65)), invalid, "tdx.expected.report_data"),
        (2, "/tdx/expected/rtmr4", json!("00"), invalid, "tdx.expected.rtmr4"),
        (2, "/tdx/collateral/0/pck_crl", json!("3g"), invalid, "tdx.collateral.0.pck_crl"),
        (
            2,
            "/tdx/collateral/0/tcb_info",
            json!("x".repeat(600_000)),
            Code::LimitExceeded,
            "tdx.collateral.0.tcb_info",
        ),
        (3, "/nvidia/devices", json!(vec![0; 25]), Code::LimitExceeded, "nvidia.devices"),
        (3, "/nvidia/devices/0/chain", json!(7), invalid, "nvidia.devices.0.chain"),
        (3, "/nvidia/endorsements/ocsp/0", json!(long), Code::LimitExceeded, "nvidia.endorsements.ocsp.0"),
        (3, "/nvidia/endorsements/nras/0/kind", json!("dpu"), invalid, "nvidia.endorsements.nras.0.kind"),
    ];
    let validator = jsonschema::validator_for(&serde_json::from_str(SCHEMA).unwrap()).unwrap();
    for (i, pointer, value, code, path) in cases {
        let mut document = base[*i].clone();
        let (parent, name) = pointer.rsplit_once('/').unwrap();
        match document.pointer_mut(parent).unwrap() {
            Value::Object(members) if value.is_null() => drop(members.remove(name)),
            Value::Object(members) => drop(members.insert(name.to_owned(), value.clone())),
            Value::Array(list) => list[name.parse::<usize>().unwrap()] = value.clone(),
            _ => panic!("{pointer}"),
        }
        let error = EvidenceBundle::from_json(document.to_string().as_bytes()).unwrap_err();
        assert_eq!((error.code(), error.check().unwrap_or_default()), (*code, *path), "{pointer}: {error}");
        // What is a matter of form, the published schema refuses too.
        if *code == invalid && !pointer.ends_with("base_url") && !pointer.ends_with("response") {
            assert!(!validator.is_valid(&document), "{pointer}");
        }
    }
    let text = provider.to_json();
    for (text, code) in [
        (String::new(), invalid),
        ("[]".to_owned(), invalid),
        ("{}".to_owned(), invalid),
        (text.replacen("\"at\"", "\"at\": 1, \"at\"", 1), invalid),
        (text[..text.len() / 2].to_owned(), invalid),
        (" ".repeat(EVIDENCE_BUNDLE_MAX_BYTES + 1), Code::LimitExceeded),
        ("[".repeat(100_000), invalid),
    ] {
        assert_eq!(EvidenceBundle::from_json(text.as_bytes()).unwrap_err().code(), code, "{text:.40}");
    }
    let near = text.replacen("\"response\"", "\"respnse\"", 1);
    let error = EvidenceBundle::from_json(near.as_bytes()).unwrap_err();
    assert!(error.message().contains("`response`"), "{error}");
}

/// T55: a directory names plain files of its own folder, each once; what a file holds is judged as evidence, not believed.
#[test]
fn hostile_directories() {
    let (_, bundle) = capture(&Scene::new(1), &[], Policy::standard(), false);
    let good = files(&bundle);
    let names: Vec<&str> = good.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(names, [INDEX_FILE, "policy.json", ROOTS_FILE, "response.json", "collateral-1.json"]);
    for (from, to, code) in [
        ("response.json", "../response.json", Code::EvidenceInvalid),
        ("response.json", "/etc/passwd", Code::EvidenceInvalid),
        ("response.json", "evidence.json", Code::EvidenceInvalid),
        ("response.json", "policy.json", Code::EvidenceInvalid),
        ("response.json", "..", Code::EvidenceInvalid),
        ("response.json", "absent.json", Code::FileUnreadable),
        ("\"file\": \"response.json\"", "\"fill\": \"response.json\"", Code::EvidenceInvalid),
        ("{\n      \"file\": \"response.json\"\n    }", "\"e30=\"", Code::EvidenceInvalid),
    ] {
        let mut parts = good.clone();
        let index = String::from_utf8(parts[0].1.clone()).unwrap();
        assert!(index.contains(from), "{from}: {index}");
        parts[0].1 = index.replacen(from, to, 1).into_bytes();
        assert_eq!(from_files(&parts).unwrap_err().code(), code, "{to}");
    }
    // Every byte of a part counts, and none can crash.
    let roots = bundle.custom_roots().cloned();
    for part in 1..good.len() {
        for step in 1..24 {
            let mut parts = good.clone();
            let bytes = &mut parts[part].1;
            let at = bytes.len() * step / 24;
            bytes[at] ^= 0x15;
            if let Ok(read) = from_files(&parts) {
                let (report, result) = read.appraise(None, roots.as_ref(), None);
                assert_eq!(report.verdict() == Verdict::Verified, result.is_ok());
            }
            parts[part].1.truncate(at);
            let outcome = from_files(&parts).map(|read| read.appraise(None, roots.as_ref(), None).1);
            let error = match outcome {
                Err(error) | Ok(Err(error)) => error,
                Ok(Ok(())) => panic!("{} cut at {at} is verified", good[part].0),
            };
            let class = error.code().class();
            assert!(
                matches!(class, Class::Config | Class::Verification | Class::Indeterminate | Class::Limit),
                "{error}"
            );
        }
    }
    assert!(capture(&Scene::new(1), &[], Policy::standard(), false).0.model() == MODEL);
}

/// The table that every language runs: `tests/evidence/bundles`, written by `testkit/examples/evidence_bundles.rs`.
#[test]
fn the_table_of_forged_bundles() {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/evidence/bundles");
    let index: Value = serde_json::from_slice(&std::fs::read(folder.join("index.json")).unwrap()).unwrap();
    let cases = index["cases"].as_array().unwrap();
    for case in cases {
        let id = case["id"].as_str().unwrap();
        let text = std::fs::read_to_string(folder.join(case["file"].as_str().unwrap())).unwrap();
        let bundle = EvidenceBundle::from_json(text.as_bytes()).unwrap();
        assert_eq!(bundle.to_json(), text.trim_end(), "{id}");
        assert_eq!(
            (bundle.kind(), bundle.at()),
            (case["kind"].as_str().unwrap(), case["at"].as_u64().unwrap())
        );
        let (report, _) = bundle.appraise(None, bundle.custom_roots(), None);
        assert_eq!(
            (report.verdict().name(), report.level().map(Level::name), report.code()),
            (case["verdict"].as_str().unwrap(), case["level"].as_str(), case["code"].as_str()),
            "{id}"
        );
        let (report, _) = bundle.appraise(None, None, None);
        assert_eq!((report.verdict(), report.roots().name()), (Verdict::Refused, "vendor"), "{id}");
    }
    for case in index["malformed"].as_array().unwrap() {
        let error = EvidenceBundle::from_json(case["text"].as_str().unwrap().as_bytes()).unwrap_err();
        assert_eq!(error.code().text(), case["code"].as_str().unwrap(), "{}", case["id"]);
    }
    assert!(cases.len() >= 10);
}
