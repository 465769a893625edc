//! What an exchange asks NVIDIA, when, and what the answers change: levels 1 to 4, nothing more than the policy asks for, what is at
//! hand, and what is spoilt (threats T12, T16, T19, T23, T24). Over the forge's material, without sockets.

#![allow(clippy::arithmetic_side_effects, clippy::indexing_slicing, clippy::unwrap_used)]

mod drive;

use std::collections::BTreeSet;

use drive::local::{Local, Scene};
use drive::{NOW, run_exchange};
use proveil_core::attest::TrustRoots;
use proveil_core::evidence::GpuEndorsements;
use proveil_core::policy::Policy;
use proveil_core::report::{Level, Report, Verdict};
use proveil_core::{Code, Error};
use proveil_testkit::forge::{DAY_S, Random, World, WorldSpec};
use proveil_testkit::sim::Defect;
use serde_json::{Value, json};

const MANIFEST: &str = "NVIDIA reference manifest";
const STATUS: &str = "NVIDIA OCSP";
const SERVICE: &str = "NVIDIA attestation service";
const KEYS: &str = "NVIDIA attestation service keys";

/// What one exchange came to.
struct Ran {
    report: Report,
    error: Option<Error>,
    /// How often NVIDIA was asked for manifests, statuses, tokens, keys.
    asked: [usize; 4],
    fetched: GpuEndorsements,
    used: GpuEndorsements,
}

fn run(scene: &Scene, policy: &Policy, defects: &[Defect], at_hand: &[GpuEndorsements], at: u64) -> Ran {
    let mut host: Local<'_> = scene.host();
    host.defects = defects.iter().copied().collect::<BTreeSet<Defect>>();
    let mut setup = scene.setup();
    (setup.policy, setup.at, setup.endorsements) = (policy.clone(), at, at_hand.to_vec());
    setup.random = Random::from_seed([u8::try_from(at % 251).unwrap(); 32]);
    let mut exchange = setup.exchange().unwrap();
    let outcome = run_exchange(&mut host, &mut exchange, at).unwrap();
    let asked = [MANIFEST, STATUS, SERVICE, KEYS]
        .map(|purpose| host.sent.iter().filter(|sent| **sent == purpose).count());
    Ran {
        report: outcome.report().clone(),
        error: outcome.into_result().err(),
        asked,
        fetched: exchange.fetched_endorsements().clone(),
        used: exchange.used_endorsements().clone(),
    }
}

fn policy(members: Value) -> Policy {
    let mut document = json!({ "schema": "proveil.policy/v1" });
    document.as_object_mut().unwrap().extend(members.as_object().unwrap().clone());
    Policy::from_json(document.to_string().as_bytes()).unwrap_or_else(|error| panic!("{error}: {document}"))
}

fn everything() -> Policy {
    Policy::from_json(Defect::ENDORSED_POLICY.as_bytes()).unwrap()
}

/// Each step of attestation.md 4.3, what is missing to the next, and who was asked for it.
#[test]
fn levels_one_to_four() {
    let scene = Scene::new(2);
    let hash = const_hex::encode(scene.world.guest.app.compose_hash());
    let software = json!({ "compose_hash": [hash] });
    let enforcing = json!({ "compose_hash": [hash], "enforces_gpu": true });
    let outdated = [Defect::TcbOutOfDate];
    let rows: &[(&str, Value, &[Defect], Result<Level, (Code, &str)>, [usize; 4])] = &[
        (
            "patch level excused",
            json!({ "advisory_checks": ["tdx.tcb.status"] }),
            &outdated,
            Ok(Level::L1),
            [0; 4],
        ),
        ("standard", json!({}), &[], Ok(Level::L2), [0; 4]),
        ("software", json!({ "software": software }), &[], Ok(Level::L3), [0; 4]),
        // The GPUs are right, but whose they are is not shown.
        (
            "manifests",
            json!({ "software": software, "gpu": { "require_rim": true } }),
            &[],
            Ok(Level::L3),
            [2, 0, 0, 0],
        ),
        // The software ties GPUs to the enclave, but which firmware they run is not known.
        ("software with GPUs", json!({ "software": enforcing }), &[], Ok(Level::L3), [0; 4]),
        (
            "both",
            json!({ "software": enforcing, "gpu": { "require_rim": true } }),
            &[],
            Ok(Level::L4),
            [2, 0, 0, 0],
        ),
        (
            "NVIDIA's word",
            json!({ "software": enforcing, "gpu": { "nras": "required" } }),
            &[],
            Ok(Level::L4),
            [0, 0, 1, 1],
        ),
        ("strict", json!({ "extends": "strict", "software": enforcing }), &[], Ok(Level::L4), [2, 0, 0, 0]),
        (
            "strict, software without GPUs",
            json!({ "extends": "strict", "software": software }),
            &[],
            Err((Code::RequiredCheckNotMade, "gpu.bound")),
            [2, 0, 0, 0],
        ),
        (
            "strict, no manifests",
            json!({ "extends": "strict", "software": enforcing }),
            &[Defect::RimDown],
            Err((Code::CollateralUnreachable, MANIFEST)),
            [1, 0, 0, 0],
        ),
        (
            "strict, other firmware",
            json!({ "extends": "strict", "software": enforcing }),
            &[Defect::RimOtherValues],
            Err((Code::GpuMeasurement, "gpu.measurements")),
            [2, 0, 0, 0],
        ),
    ];
    for (name, members, defects, expected, asked) in rows {
        let ran = run(&scene, &policy(members.clone()), defects, &[], NOW);
        let text = ran.report.to_text();
        assert_eq!(ran.asked, *asked, "{name}: {text}");
        match expected {
            Ok(level) => {
                assert_eq!((ran.error, ran.report.level()), (None, Some(*level)), "{name}: {text}");
                assert_eq!(ran.report.missing_to_next_level(), Some(level.missing()), "{name}");
            }
            Err((code, check)) => {
                let error = ran.error.unwrap();
                assert_eq!((error.code(), error.check()), (*code, Some(*check)), "{name}: {error} {text}");
                assert_eq!(ran.report.level(), None, "{name}");
            }
        }
        // attestation.md 4.1: that a genuine GPU answered is never called bound.
        let attached = ran.report.not_proven().iter().any(|open| open.contains("attached to this enclave"));
        let bound =
            ran.report.checks().iter().any(|check| {
                check.id() == "gpu.bound" && check.outcome() == proveil_core::report::Outcome::Pass
            });
        assert_eq!(attached, !bound, "{name}: {text}");
        assert_eq!(bound, ran.report.level() == Some(Level::L4), "{name}: {text}");
    }
}

/// Each question only where the policy requires its answer; without one nobody learns of the devices.
#[test]
fn only_what_the_policy_asks_for() {
    let scene = Scene::new(2);
    // Behind two GPUs stand their boot ROMs and two authorities, behind a manifest its signer and two.
    let rows = [
        (json!({}), [0, 0, 0, 0]),
        (json!({ "gpu": { "require_rim": true } }), [2, 0, 0, 0]),
        (json!({ "gpu": { "require_ocsp": true } }), [0, 4, 0, 0]),
        (json!({ "gpu": { "require_rim": true, "require_ocsp": true } }), [2, 7, 0, 0]),
        (json!({ "gpu": { "nras": "required" } }), [0, 0, 1, 1]),
        (json!({ "gpu": { "nras": "if_present" } }), [0, 0, 0, 0]),
        (json!({ "gpu": { "evidence": "off", "require_rim": true, "nras": "required" } }), [0, 0, 0, 0]),
    ];
    for (members, asked) in rows {
        let ran = run(&scene, &policy(members.clone()), &[], &[], NOW);
        assert_eq!(ran.asked, asked, "{members}");
        assert_eq!(ran.fetched.is_empty(), asked == [0; 4], "{members}");
        assert_eq!(ran.fetched, ran.used, "{members}");
    }
    // Nor of devices beside an enclave that is refused, that cannot be judged, or whose own evidence is wrong.
    for defect in [
        Defect::TamperedQuote,
        Defect::KeySwap,
        Defect::TcbRevoked,
        Defect::CollateralDown,
        Defect::GpuBadSignature,
        Defect::GpuOtherNonce,
        Defect::GpuDuplicate,
        Defect::GpuMissing,
    ] {
        // The server is not part of this host, so what it would not answer is taken away by hand.
        let mut host = scene.host();
        host.defects = BTreeSet::from([defect]);
        if defect == Defect::CollateralDown {
            let mut spec = scene.world.collateral_spec();
            spec.tcb_info.fmspc = [0; 6];
            host.collateral = Some(spec.sign(&scene.world.intel));
        }
        let mut setup = scene.setup();
        setup.policy = everything();
        let mut exchange = setup.exchange().unwrap();
        let outcome = run_exchange(&mut host, &mut exchange, NOW).unwrap();
        assert_ne!(outcome.report().verdict(), Verdict::Verified, "{}", defect.name());
        assert!(host.sent.iter().all(|purpose| !purpose.starts_with("NVIDIA")), "{}", defect.name());
    }
}

/// Manifests and statuses at hand save requests; a token is asked for each time, its key list is not.
#[test]
fn what_is_at_hand_is_not_fetched() {
    let scene = Scene::new(2);
    let first = run(&scene, &everything(), &[], &[], NOW);
    assert_eq!((first.error, first.asked), (None, [2, 7, 1, 1]));
    let again = run(&scene, &everything(), &[], std::slice::from_ref(&first.fetched), NOW + 60);
    assert_eq!((again.error, again.asked), (None, [0, 0, 1, 0]), "{}", again.report.to_text());
    assert_ne!(again.used.nras[0].tokens, first.used.nras[0].tokens, "a token answers one nonce");
    assert_eq!((&again.used.rims, &again.used.ocsp), (&first.used.rims, &first.used.ocsp));
    // Outages do not matter while it is good.
    let outage = [Defect::RimDown, Defect::OcspDown, Defect::JwksDown];
    let bridged = run(&scene, &everything(), &outage, std::slice::from_ref(&first.fetched), NOW + 60);
    assert_eq!(bridged.error, None);
    // After their time statuses are asked for anew; manifests stay.
    let rules = policy(json!({ "gpu": { "require_rim": true, "require_ocsp": true } }));
    let later = run(&scene, &rules, &[], std::slice::from_ref(&first.fetched), NOW + DAY_S);
    assert_eq!(later.asked, [0, 7, 0, 0]);
    // The file form carries it all.
    let file = GpuEndorsements::from_json(first.fetched.to_json().as_bytes()).unwrap();
    assert_eq!(run(&scene, &everything(), &[], &[file], NOW + 60).asked, [0, 0, 1, 0]);
}

/// T24: an entry that is spoilt, or of others, is as good as none.
#[test]
fn spoilt_entries_are_misses() {
    let scene = Scene::new(2);
    let rules = policy(json!({ "gpu": { "require_rim": true, "require_ocsp": true } }));
    let good = run(&scene, &rules, &[], &[], NOW).fetched;
    let other = World::generate(&mut Random::from_seed([9; 32]), &WorldSpec { now: NOW, gpus: 2 });
    let mut foreign = other.gpu_endorsements(&[0; 32], &mut Random::from_seed([10; 32]));
    for (document, genuine) in foreign.rims.iter_mut().zip(&good.rims) {
        document.id.clone_from(&genuine.id);
    }
    type Spoil = fn(&mut GpuEndorsements);
    let rows: &[(&str, Spoil, [usize; 4])] = &[
        ("nothing", |_| (), [0, 0, 0, 0]),
        ("a byte of a manifest", |all| all.rims[0].xml[900] ^= 1, [1, 0, 0, 0]),
        ("half a manifest", |all| all.rims[1].xml.truncate(5_000), [1, 0, 0, 0]),
        (
            "names exchanged",
            |all| {
                let id = all.rims[0].id.clone();
                all.rims[0].id = all.rims[1].id.clone();
                all.rims[1].id = id;
            },
            [2, 0, 0, 0],
        ),
        ("another name", |all| all.rims[0].id = Some("NV_GPU_DRIVER_GH100_1.2.3".to_owned()), [1, 0, 0, 0]),
        ("without name", |all| all.rims[0].id = None, [0, 0, 0, 0]),
        ("a byte of a status", |all| all.ocsp[3][200] ^= 1, [0, 7, 0, 0]),
        ("a status missing", |all| drop(all.ocsp.remove(0)), [0, 7, 0, 0]),
        ("another nonce", |all| all.ocsp_nonce = Some([1; 32]), [0, 7, 0, 0]),
        ("not a status", |all| all.ocsp.push(b"<html>".to_vec()), [0, 7, 0, 0]),
    ];
    for (name, spoil, asked) in rows {
        let mut spoilt = good.clone();
        spoil(&mut spoilt);
        let ran = run(&scene, &rules, &[], &[spoilt], NOW);
        assert_eq!((ran.error, ran.asked), (None, *asked), "{name}: {}", ran.report.to_text());
    }
    let ran = run(&scene, &rules, &[], &[foreign.clone()], NOW);
    assert_eq!((ran.error, ran.asked), (None, [2, 7, 0, 0]), "of other roots");
    // Among other sets the right one is found.
    assert_eq!(run(&scene, &rules, &[], &[foreign, good.clone()], NOW).asked, [0; 4]);
    // Under other roots the good entries are the foreign ones.
    let mut setup = scene.setup();
    setup.roots = TrustRoots::from_json(other.trust_roots_json().as_bytes()).unwrap();
    (setup.policy, setup.endorsements) = (rules, vec![good]);
    let mut exchange = setup.exchange().unwrap();
    let outcome = run_exchange(&mut scene.host(), &mut exchange, NOW).unwrap();
    assert_eq!(outcome.report().verdict(), Verdict::Refused);
    assert!(exchange.used_endorsements().is_empty());
}
