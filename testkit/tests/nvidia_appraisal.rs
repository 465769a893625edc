//! Whole appraisals of bare systems: every check counts, nothing more is claimed than was shown (threats T12, T13, T68).

#![allow(clippy::arithmetic_side_effects, clippy::indexing_slicing, clippy::unwrap_used, clippy::expect_used)]

#[path = "common/nvidia.rs"]
mod nvidia_system;

use nvidia_system::{NONCE, NOW, System, check, everything, outcome, policy};
use proveil_core::attest::TrustRoots;
use proveil_core::attest::nvidia::{ConfidentialMode, Device};
use proveil_core::error::Code;
use proveil_core::evidence::GpuEndorsements;
use proveil_core::policy::Policy;
use proveil_core::report::{Enforcement, Outcome, Roots, Verdict};
use proveil_testkit::forge::{Certified, DAY_S, EcKey, Gpu, GpuReportSpec, Model};

/// With everything at hand, everything passes, and the report still says what is open.
#[test]
fn honest_systems() {
    for mut system in [System::new(1), System::new(8), System::protected(8, 4)] {
        let endorsements = system.endorsements();
        let (report, error) = system.appraise(&endorsements, &everything());
        assert_eq!(error, None, "{}", report.to_text());
        assert_eq!(
            (report.verdict(), report.level(), report.roots()),
            (Verdict::Verified, None, Roots::Custom)
        );
        let open: Vec<&str> = report
            .checks()
            .iter()
            .filter(|check| check.outcome() != Outcome::Pass)
            .map(|check| check.id())
            .collect();
        assert_eq!(open, [""; 0], "{}", report.to_text());
        assert!(report.headline().starts_with("VERIFIED against CUSTOM roots - "), "{}", report.headline());
        let not_proven = report.not_proven().join("\n");
        assert!(not_proven.contains("attached to any one machine"), "{not_proven}");
        assert!(!not_proven.contains("Firmware"), "{not_proven}");
        // T13: nothing about bare devices says "bound".
        assert!(!report.to_json().contains("bound"));
        assert!(report.to_text().lines().all(|line| line.chars().count() <= 80));
    }
}

/// With nothing at hand the same devices are genuine, and no more is said.
#[test]
fn genuine_and_no_more() {
    let mut system = System::new(2);
    let none = GpuEndorsements::default();
    let (report, error) = system.appraise(&none, &Policy::standard());
    assert_eq!(error, None);
    for id in ["gpu.measurements", "gpu.cc_mode", "gpu.ocsp", "gpu.nras.token"] {
        assert_eq!(outcome(&report, id), Some((Outcome::NotChecked, Enforcement::Advisory)), "{id}");
    }
    assert!(!report.checks().iter().any(|check| check.id().starts_with("gpu.rim.")), "nothing was compared");
    let not_proven = report.not_proven().join("\n");
    assert!(not_proven.contains("developer mode") && not_proven.contains("revoked"), "{not_proven}");
    let claims = system.claims();
    assert!(claims.iter().all(|gpu| gpu.confidential_mode() == ConfidentialMode::NotShown));
    for (rule, check) in [
        (r#"{"require_rim":true}"#, "gpu.measurements"),
        (r#"{"require_measurements":true}"#, "gpu.measurements"),
        (r#"{"require_ocsp":true}"#, "gpu.ocsp"),
        (r#"{"nras":"required"}"#, "gpu.nras.token"),
    ] {
        let (report, error) = system.appraise(&none, &policy(rule));
        let error = error.unwrap();
        assert_eq!((error.code(), error.check()), (Code::RequiredCheckNotMade, Some(check)), "{rule}");
        assert_eq!(report.verdict(), Verdict::Indeterminate, "{rule}");
        assert!(!report.headline().contains("Nothing was sent"), "{}", report.headline());
    }
}

type Change = fn(&mut GpuReportSpec);

/// Name, change, what comes of it.
type ReportCase<'a> = (&'a str, Box<dyn Fn(&mut GpuReportSpec)>, Option<(Code, &'a str)>);

/// Every rule about a report, each broken by the device itself under its own signature.
#[test]
fn signed_reports_with_defects() {
    let mut system = System::new(2);
    let malformed = |check: &'static str| Some((Code::GpuEvidenceMalformed, check));
    let set = |spec: &mut GpuReportSpec, kind: u16, value: &[u8]| {
        spec.opaque.retain(|(other, _)| *other != kind);
        spec.opaque.push((kind, value.to_vec()));
    };
    let cases: Vec<ReportCase<'_>> = vec![
        ("honest", Box::new(|_| ()), None),
        ("another slot", Box::new(|s| s.slot = 3), None),
        ("SPDM 1.2 request", Box::new(|s| s.request_header[0] = 0x12), malformed("gpu.spdm")),
        ("another request", Box::new(|s| s.request_header[1] = 0x81), malformed("gpu.spdm")),
        ("no signature wanted", Box::new(|s| s.request_header[2] = 0), malformed("gpu.spdm")),
        ("one block asked for", Box::new(|s| s.request_header[3] = 1), malformed("gpu.spdm")),
        ("SPDM 1.2 answer", Box::new(|s| s.response_header[0] = 0x12), malformed("gpu.spdm")),
        ("another answer", Box::new(|s| s.response_header[1] = 0x7f), malformed("gpu.spdm")),
        ("no blocks", Box::new(|s| s.measurements.clear()), malformed("gpu.parse")),
        ("another nonce", Box::new(|s| s.nonce = [1; 32]), Some((Code::GpuNonceMismatch, "gpu.nonce"))),
        (
            "a detail twice",
            Box::new(|s| {
                let first = s.opaque[3].clone();
                s.opaque.push(first);
            }),
            malformed("gpu.opaque"),
        ),
        ("details marked invalid", Box::new(move |s| set(s, 255, b"")), malformed("gpu.opaque")),
        ("an unknown detail", Box::new(move |s| set(s, 9_999, b"new")), None),
        ("decoder neither on nor off", Box::new(move |s| set(s, 11, &[0])), malformed("gpu.opaque")),
        ("decoder on", Box::new(move |s| set(s, 11, &[0xaa])), None),
        ("unknown mode", Box::new(move |s| set(s, 36, &[9, 0])), malformed("gpu.opaque")),
        ("mode of one byte", Box::new(move |s| set(s, 36, &[0])), malformed("gpu.opaque")),
        ("protection neither on nor off", Box::new(move |s| set(s, 21, &[1])), malformed("gpu.opaque")),
        ("a short firmware version", Box::new(move |s| set(s, 6, &[0; 7])), malformed("gpu.opaque")),
        ("a driver version with a line end", Box::new(move |s| set(s, 3, b"570\n")), malformed("gpu.opaque")),
        ("an empty driver version", Box::new(move |s| set(s, 3, b"\0")), malformed("gpu.opaque")),
        ("half an identity", Box::new(move |s| set(s, 22, &[0; 12])), malformed("gpu.opaque")),
        (
            "another firmware identity",
            Box::new(move |s| set(s, 20, &[5; 48])),
            Some((Code::GpuFirmwareId, "gpu.fwid")),
        ),
        ("no firmware identity", Box::new(|s| s.opaque.retain(|(kind, _)| *kind != 20)), None),
    ];
    let gpus = system.world.gpus.clone();
    for (name, change, expected) in cases {
        // T12: one bad of two.
        let devices = [system.device(&gpus[0], |_| ()), system.device(&gpus[1], |spec| change(spec))];
        let (report, error) =
            system.appraise_at(&devices, &GpuEndorsements::default(), &Policy::standard(), NOW);
        let found = error.as_ref().map(|error| (error.code(), error.check().unwrap()));
        assert_eq!(found, expected, "{name}");
        if let Some((_, id)) = expected {
            assert_eq!(check(&report, id).outcome(), Outcome::Fail, "{name}");
        }
    }
}

/// Blocks are known by their numbers: in any order, each once, none left out.
#[test]
fn numbering_of_blocks() {
    let mut system = System::new(1);
    let gpu = system.world.gpus[0].clone();
    let endorsements = system.endorsements();
    let spec = GpuReportSpec::new(&gpu, NONCE, &mut system.random);
    let signed = spec.signed_bytes();
    let sign = |bytes: Vec<u8>| {
        let signature = gpu.leaf.key.sign_fixed(&bytes);
        Device { report: [bytes, signature].concat(), chain: gpu.chain_pem.clone().into_bytes() }
    };
    let block = |i: usize| 45 + 55 * i..45 + 55 * (i + 1);
    let mut swapped = signed.clone();
    swapped[block(0)].copy_from_slice(&signed[block(63)]);
    swapped[block(63)].copy_from_slice(&signed[block(0)]);
    let mut twice = signed.clone();
    twice[block(1)].copy_from_slice(&signed[block(0)]);
    let with = |place: usize, value: u8| {
        let mut changed = signed.clone();
        changed[place] = value;
        changed
    };
    for (name, bytes, expected) in [
        ("in order", signed.clone(), None),
        ("two swapped", swapped, None),
        ("one twice", twice, Some("gpu.spdm")),
        ("number zero", with(45, 0), Some("gpu.spdm")),
        ("number past the count", with(45, 65), Some("gpu.spdm")),
        ("another specification", with(46, 2), Some("gpu.spdm")),
        ("count too low", with(41, 63), Some("gpu.spdm")),
        ("count too high", with(41, 65), Some("gpu.spdm")),
        ("another block size", with(47, 52), Some("gpu.parse")),
        ("another value size", with(50, 47), Some("gpu.parse")),
        ("a shorter record", with(42, signed[42] - 1), Some("gpu.parse")),
    ] {
        let (report, error) = system.appraise_at(&[sign(bytes)], &endorsements, &everything(), NOW);
        assert_eq!(error.as_ref().and_then(|error| error.check()), expected, "{name}: {}", report.to_text());
    }
}

/// T20: a device's chain, each certificate replaced, ended, left out or put elsewhere; firmware identities.
#[test]
fn chains_of_devices() {
    let mut system = System::new(2);
    let gpu = system.world.gpus[0].clone();
    let other = system.world.gpus[1].clone();
    let stranger = System::new(1).world.stranger;
    let honest = system.device(&gpu, |_| ());
    let pem = |gpu: &Gpu| {
        gpu.chain_pem.split_inclusive("-----END CERTIFICATE-----\n").map(str::to_owned).collect::<Vec<_>>()
    };
    let blocks = pem(&gpu);
    let judge = |chain: String, at: u64| {
        let device = Device { report: honest.report.clone(), chain: chain.into_bytes() };
        let (_, error) = system.appraise_at(&[device], &GpuEndorsements::default(), &Policy::standard(), at);
        error.map(|error| error.check().unwrap().to_owned())
    };
    assert_eq!(judge(blocks.concat(), NOW), None);
    for order in [
        &[0][..],
        &[0, 1, 2, 3],
        &[0, 2, 1, 3, 4],
        &[0, 1, 3, 4],
        &[0, 1, 2, 2, 3, 4],
        &[4, 3, 2, 1, 0],
        &[1, 1, 2, 3, 4],
    ] {
        let chain: String = order.iter().map(|i| blocks[*i].as_str()).collect();
        assert_eq!(judge(chain, NOW).as_deref(), Some("gpu.chain"), "{order:?}");
    }
    assert_eq!(judge(other.chain_pem.clone(), NOW).as_deref(), Some("gpu.signature"));
    let mut mixed = blocks.clone();
    mixed[0] = pem(&other)[0].clone();
    assert_eq!(judge(mixed.concat(), NOW).as_deref(), Some("gpu.chain"));
    assert_eq!(judge(blocks.concat(), 0).as_deref(), Some("gpu.chain"), "before the certificates");

    type Edit = fn(&mut Certified);
    let boot = gpu.boot.clone();
    let edits: &[(&str, Edit, Option<&str>)] = &[
        ("as it is", |_| (), None),
        ("ended", |leaf| leaf.spec.not_after = NOW - DAY_S, Some("gpu.chain")),
        ("not yet valid", |leaf| leaf.spec.not_before = NOW + DAY_S, Some("gpu.chain")),
        (
            "an authority",
            |leaf| {
                leaf.spec
                    .extensions
                    .push(proveil_testkit::forge::x509::Extension::basic_constraints(true, None))
            },
            Some("gpu.chain"),
        ),
        ("another issuer", |leaf| leaf.spec.issuer.push(0), Some("gpu.chain")),
        (
            "no firmware identity",
            |leaf| {
                leaf.spec.extensions.pop();
            },
            Some("gpu.fwid"),
        ),
        (
            "firmware identity twice in other forms",
            |leaf| {
                let mut more = leaf.spec.extensions.last().unwrap().clone();
                more.oid = proveil_testkit::forge::der::oid(&[2, 23, 133, 5, 4, 1, 1]);
                leaf.spec.extensions.push(more);
            },
            Some("gpu.fwid"),
        ),
    ];
    for (name, edit, expected) in edits {
        let mut leaf = gpu.leaf.clone();
        edit(&mut leaf);
        let leaf = Certified::issue(leaf.key, leaf.spec, &boot.key);
        let mut chain = blocks.clone();
        chain[0] = proveil_testkit::forge::pem("CERTIFICATE", &leaf.der);
        assert_eq!(judge(chain.concat(), NOW).as_deref(), *expected, "{name}");
    }
    let forged = Certified::issue(gpu.leaf.key.clone(), gpu.leaf.spec.clone(), &stranger);
    let mut chain = blocks.clone();
    chain[0] = proveil_testkit::forge::pem("CERTIFICATE", &forged.der);
    assert_eq!(judge(chain.concat(), NOW).as_deref(), Some("gpu.chain"));
}

/// T12: one device as several, too many, none.
#[test]
fn numbers_of_devices() {
    let mut system = System::new(3);
    let devices = system.evidence();
    let judge = |devices: &[Device], rule: &str| {
        let (_, error) = system.appraise_at(devices, &GpuEndorsements::default(), &policy(rule), NOW);
        error.map(|error| (error.code(), error.check().unwrap_or_default().to_owned()))
    };
    let error = |code, check: &str| Some((code, check.to_owned()));
    assert_eq!(judge(&devices, r#"{"minimum":3}"#), None);
    assert_eq!(judge(&devices, r#"{"minimum":4}"#), error(Code::GpuEvidenceMissing, "gpu.missing"));
    assert_eq!(judge(&[], r#"{"minimum":0}"#), error(Code::GpuEvidenceMissing, "gpu.missing"));
    let twice = [devices.clone(), vec![devices[1].clone()]].concat();
    assert_eq!(judge(&twice, "{}"), error(Code::GpuDuplicate, "gpu.duplicate"));
    let gpu = system.world.gpus[1].clone();
    let again = System::of(system.world.clone(), system.random.fork()).device(&gpu, |_| ());
    assert_ne!(again.report, devices[1].report);
    let mut random = system.random.fork();
    let judge = |devices: &[Device]| {
        let (_, error) = system.appraise_at(devices, &GpuEndorsements::default(), &policy("{}"), NOW);
        error.map(|error| error.code())
    };
    assert_eq!(
        judge(&[devices[1].clone(), again]),
        Some(Code::GpuDuplicate),
        "a second answer of the same device"
    );
    // The boot ROM certifies another key after a restart; it is the same device all the same.
    let mut restarted = gpu.clone();
    let key = EcKey::p384(&mut random);
    let mut spec = restarted.leaf.spec.clone();
    (spec.serial, spec.spki) = (random.bytes::<20>().to_vec(), key.spki());
    spec.serial[0] = 0x11;
    restarted.leaf = Certified::issue(key, spec, &gpu.boot.key);
    let blocks: Vec<&str> = gpu.chain_pem.split_inclusive("-----END CERTIFICATE-----\n").collect();
    restarted.chain_pem =
        [proveil_testkit::forge::pem("CERTIFICATE", &restarted.leaf.der), blocks[1..].concat()].concat();
    let restarted = System::of(system.world.clone(), random).device(&restarted, |_| ());
    assert_eq!(judge(std::slice::from_ref(&restarted)), None);
    assert_eq!(judge(&[devices[1].clone(), restarted]), Some(Code::GpuDuplicate), "after a restart");
    assert_eq!(judge(&vec![devices[0].clone(); 25]), Some(Code::LimitExceeded));
    let mut large = devices[0].clone();
    large.report.resize(70_000, 0);
    assert_eq!(judge(&[large]), Some(Code::LimitExceeded));
}

/// I4: what a policy may relax where an enclave carries the verdict is not relaxed where the devices carry it themselves.
#[test]
fn nothing_is_advisory_for_bare_devices() {
    let mut system = System::new(1);
    let gpu = system.world.gpus[0].clone();
    let devices = [system.device(&gpu, |spec| spec.nonce[0] ^= 1)];
    for id in ["gpu.nonce", "gpu.signature", "gpu.chain", "gpu.missing"] {
        let document = format!("{{\"schema\":\"proveil.policy/v1\",\"advisory_checks\":[\"{id}\"]}}");
        let relaxed = Policy::from_json(document.as_bytes()).unwrap();
        let (report, error) = system.appraise_at(&devices, &GpuEndorsements::default(), &relaxed, NOW);
        assert_eq!(error.map(|error| error.code()), Some(Code::GpuNonceMismatch), "{id}");
        assert_eq!(report.verdict(), Verdict::Refused, "{id}");
        let (report, _) = system.appraise_at(&[], &GpuEndorsements::default(), &relaxed, NOW);
        assert_eq!(report.verdict(), Verdict::Refused, "{id}, no device");
    }
}

/// Versions and generations that a policy names.
#[test]
fn version_rules() {
    let mut system = System::protected(1, 1);
    let devices = system.evidence();
    let gpu = devices[..1].to_vec();
    let switch = devices[1..].to_vec();
    let judge = |devices: &[Device], rule: &str| {
        let (report, error) = system.appraise_at(devices, &GpuEndorsements::default(), &policy(rule), NOW);
        assert_eq!(error.is_none(), report.verdict() == Verdict::Verified);
        error.map(|error| (error.code(), error.check().unwrap().to_owned()))
    };
    let refused = |check: &str| Some((Code::GpuPolicy, check.to_owned()));
    for (devices, rule, expected) in [
        (&devices, r#"{"drivers":["1","570.172.08"]}"#, None),
        (&devices, r#"{"drivers":["570.172.0"]}"#, refused("gpu.policy.driver")),
        (&switch, r#"{"minimum":0,"drivers":["570.172.08"]}"#, refused("gpu.policy.driver")),
        (&gpu, r#"{"vbios":["96.00.CF.00.02"]}"#, None),
        (&devices, r#"{"vbios":["96.00.CF.00.02"]}"#, refused("gpu.policy.vbios")),
        (&devices, r#"{"vbios":["96.00.CF.00.02","96.10.55.00.01"]}"#, None),
        (&gpu, r#"{"architectures":["HOPPER"]}"#, None),
        (&gpu, r#"{"architectures":["BLACKWELL"]}"#, refused("gpu.policy.architecture")),
        (&devices, r#"{"architectures":["HOPPER"]}"#, refused("gpu.policy.architecture")),
        (&devices, r#"{"architectures":["HOPPER","LS10"]}"#, None),
        (&devices, r#"{"require_switches":true}"#, None),
        (
            &gpu,
            r#"{"require_switches":true}"#,
            Some((Code::GpuEvidenceMissing, "gpu.policy.switches".to_owned())),
        ),
    ] {
        assert_eq!(judge(devices, rule), expected, "{rule}");
    }
}

/// Protected PCIe: who is named must be who is there.
#[test]
fn topologies() {
    type Edit = fn(&mut Vec<Gpu>);
    let cases: &[(&str, Edit, Option<Outcome>)] = &[
        ("complete", |_| (), Some(Outcome::Pass)),
        ("no switch presented", |all| all.retain(|device| !device.is_switch()), Some(Outcome::NotChecked)),
        (
            "a switch less",
            |all| {
                all.pop();
            },
            Some(Outcome::Fail),
        ),
        (
            "a GPU less",
            |all| {
                all.remove(0);
            },
            Some(Outcome::Fail),
        ),
        ("a GPU that names another switch", |all| all[1].links = vec![[9; 8], [8; 8]], Some(Outcome::Fail)),
        ("a GPU that names one switch more", |all| all[1].links.push([9; 8]), Some(Outcome::Fail)),
        ("a switch that names other GPUs", |all| all[3].links = vec![[9; 8], [8; 8]], Some(Outcome::Fail)),
        (
            "foreign switches throughout",
            |all| all[..2].iter_mut().for_each(|gpu| gpu.links = vec![[9; 8], [8; 8]]),
            Some(Outcome::Fail),
        ),
        ("a switch under another's name", |all| all[3].pdi = all[2].pdi, Some(Outcome::Fail)),
        ("one GPU outside", |all| all[1].links.clear(), Some(Outcome::Fail)),
        (
            "all GPUs outside, switches there",
            |all| all[..2].iter_mut().for_each(|gpu| gpu.links.clear()),
            Some(Outcome::Fail),
        ),
        (
            "plain GPUs",
            |all| {
                all.truncate(2);
                all.iter_mut().for_each(|gpu| gpu.links.clear());
            },
            None,
        ),
    ];
    for (name, edit, expected) in cases {
        let mut system = System::protected(2, 2);
        edit(&mut system.world.gpus);
        let (report, error) = system.appraise(&GpuEndorsements::default(), &Policy::standard());
        assert_eq!(outcome(&report, "gpu.topology").map(|(outcome, _)| outcome), *expected, "{name}");
        let code = (*expected == Some(Outcome::Fail)).then_some(Code::GpuTopology);
        assert_eq!(error.map(|error| error.code()), code, "{name}");
    }
    // Switches alone have nothing to be held against.
    let mut system = System::protected(2, 2);
    system.world.gpus.retain(Gpu::is_switch);
    let (report, error) = system.appraise(&GpuEndorsements::default(), &policy(r#"{"minimum":0}"#));
    assert_eq!((error, outcome(&report, "gpu.topology")), (None, None));
}

/// The three generations side by side; Blackwell's firmware identity is in another extension.
#[test]
fn generations() {
    let mut system = System::new(0);
    let nvidia = system.world.nvidia.clone();
    let models = [Model::Hopper, Model::Blackwell];
    system.world.gpus = models.map(|model| nvidia.device(&mut system.random, model)).to_vec();
    let claims = system.claims();
    let words: Vec<&str> = claims.iter().map(|gpu| gpu.architecture.word()).collect();
    assert_eq!(words, ["HOPPER", "BLACKWELL"]);
    let gpu = system.world.gpus[1].clone();
    let other = system.device(&gpu, |spec| {
        spec.opaque.retain(|(kind, _)| *kind != 20);
        spec.opaque.push((20, vec![1; 48]));
    });
    let (_, error) = system.appraise_at(&[other], &GpuEndorsements::default(), &Policy::standard(), NOW);
    assert_eq!(error.unwrap().check(), Some("gpu.fwid"));
}

/// Manifests given incompletely, wrongly or late: wrong ones refuse always, missing and ended ones where they are required.
#[test]
fn manifests_in_a_report() {
    let mut system = System::new(1);
    let honest = system.endorsements();
    let required = policy(r#"{"require_rim":true}"#);
    let open = policy("{}");
    let (report, error) = system.appraise(&honest, &required);
    assert_eq!((error, check(&report, "gpu.cc_mode").outcome()), (None, Outcome::Pass));
    let mut partial = honest.clone();
    partial.rims.remove(1);
    partial.nras.clear();
    let (_, error) = system.appraise(&partial, &required);
    assert_eq!(error.unwrap().code(), Code::CollateralMissing);
    let (report, error) = system.appraise(&partial, &open);
    assert_eq!((error, check(&report, "gpu.rim.present").outcome()), (None, Outcome::NotChecked));
    assert_eq!(check(&report, "gpu.cc_mode").outcome(), Outcome::NotChecked);

    let mut wrong = honest.clone();
    let mut spec = system.rims(false).remove(0);
    spec.resource(30).unwrap().hashes[0] = "7".repeat(96);
    wrong.rims[0] = system.world.sign_rim(&spec);
    for policy in [&required, &open] {
        let (report, error) = system.appraise(&wrong, policy);
        let error = error.unwrap();
        assert_eq!((error.code(), error.found_value()), (Code::GpuMeasurement, Some("index 30")));
        assert_eq!(check(&report, "gpu.cc_mode").outcome(), Outcome::NotChecked);
    }
    let mut altered = honest.clone();
    let place = altered.rims[1].xml.windows(7).position(|window| window == b"edition").unwrap();
    altered.rims[1].xml[place + 9] ^= 1;
    for policy in [&required, &open] {
        assert_eq!(system.appraise(&altered, policy).1.unwrap().code(), Code::CollateralSignature);
    }
    // Later than the signer's certificate.
    let devices = system.evidence();
    let later = system.world.rim.signer.spec.not_after + 1;
    let mut alone = honest.clone();
    alone.nras.clear();
    alone.ocsp.clear();
    let at = |policy| system.appraise_at(&devices, &alone, policy, later).1.map(|error| error.code());
    assert_eq!((at(&required), at(&open)), (Some(Code::CollateralExpired), None));
    let allowing = policy(r#"{"require_rim":true,"allow_expired_rim":true}"#);
    let (report, error) = system.appraise_at(&devices, &alone, &allowing, later);
    assert_eq!(error, None);
    assert!(report.policy().relaxations.iter().any(|line| line.contains("ended signers")));
    // The proof ends no later than what it rests on.
    let soon = system.world.rim.signer.spec.not_after - 60;
    let (report, _) = system.appraise_at(&devices, &alone, &required, soon);
    assert_eq!(report.valid_until(), Some(system.world.rim.signer.spec.not_after + 1));
    let many = vec![honest.rims[0].clone(); 49];
    let too_many = GpuEndorsements { rims: many, ..GpuEndorsements::default() };
    assert_eq!(system.appraise(&too_many, &open).1.unwrap().code(), Code::LimitExceeded);
}

/// T68: under the vendors' roots nothing of this is accepted; without a root nothing is.
#[test]
fn other_roots() {
    let mut system = System::new(1);
    let endorsements = system.endorsements();
    let none = TrustRoots::from_json(b"{\"schema\":\"proveil.trust-roots/v1\"}").unwrap();
    for (roots, kind) in [(TrustRoots::vendors(), Roots::Vendor), (none, Roots::Custom)] {
        system.roots = roots;
        let (report, error) = system.appraise(&endorsements, &everything());
        assert_eq!((error.unwrap().check(), report.roots()), (Some("gpu.chain"), kind));
    }
}

/// The same appraisal gives the same bytes.
#[test]
fn reports_are_deterministic() {
    let mut system = System::protected(2, 1);
    let endorsements = system.endorsements();
    let devices = system.evidence();
    let first = system.appraise_at(&devices, &endorsements, &everything(), NOW).0.to_json();
    assert_eq!(first, system.appraise_at(&devices, &endorsements, &everything(), NOW).0.to_json());
    let changed: Change = |spec| spec.responder_nonce = [1; 32];
    let gpu = system.world.gpus[0].clone();
    let other = [vec![system.device(&gpu, changed)], devices[1..].to_vec()].concat();
    assert_ne!(first, system.appraise_at(&other, &endorsements, &everything(), NOW).0.to_json());
}
