//! Core and simulator together: every way in which a provider can misbehave ends as its row in the simulator's table says, and an
//! honest one works in every form (threats.md section 4).

#![allow(
    clippy::arithmetic_side_effects,
    clippy::indexing_slicing,
    clippy::print_stdout,
    clippy::unwrap_used
)]

mod drive;

use std::collections::BTreeSet;

use drive::local::Scene;
use drive::loopback::{self, Loopback};
use drive::{MODEL, PROMPT, Use, body, expected, no_secrets, shown, use_it, verify};
use proveil_core::Code;
use proveil_core::attest::TrustRoots;
use proveil_core::evidence::TdxCollateral;
use proveil_core::policy::Policy;
use proveil_core::report::{Level, Outcome as CheckOutcome, Report, Roots, Verdict};
use proveil_testkit::forge::World;
use proveil_testkit::sim::{CHAT_PATH, Defect, Outcome, QuoteEncoding, Shape, Stage, collateral};

/// `standard`; where a defect takes away what `standard` does not ask for, with a rule that asks for it.
fn policy_for(defect: Defect, world: &World) -> Policy {
    match defect {
        Defect::EventLogMissing => {
            let hash = const_hex::encode(world.guest.app.compose_hash());
            let document = format!(
                "{{\"schema\":\"proveil.policy/v1\",\"software\":{{\"compose_hash\":[\"{hash}\"]}}}}"
            );
            Policy::from_json(document.as_bytes()).unwrap()
        }
        _ if defect.stage() == Stage::Endorsements => {
            Policy::from_json(Defect::ENDORSED_POLICY.as_bytes()).unwrap()
        }
        _ => Policy::standard(),
    }
}

fn wanted_code(outcome: Outcome) -> Option<Code> {
    match outcome {
        Outcome::Works | Outcome::NotDetectable => None,
        Outcome::Fails(code) => Some(code),
    }
}

/// What an ACI-shaped answer makes of a defect that the table lists for the other shape.
fn outcome_for(defect: Defect, shape: Shape) -> Outcome {
    match (shape, defect) {
        // It has no such member.
        (Shape::Aci, Defect::ComposeManager | Defect::OhttpKey) => Outcome::Works,
        // Its copy is one of the report data.
        (Shape::Aci, Defect::MeasurementCopy) => Outcome::Fails(Code::ConflictingFields),
        _ => defect.outcome(),
    }
}

fn line(defect: Defect, found: Option<Code>) {
    let result = match (defect.outcome(), found) {
        (Outcome::NotDetectable, None) => "not detectable, and the report says so".to_owned(),
        (_, None) => "works".to_owned(),
        (_, Some(code)) => format!("{} {}", code.text(), code.slug()),
    };
    println!(
        "T{:02} {:<26} {:<11} {result}",
        defect.threat(),
        defect.name(),
        format!("{:?}", defect.stage())
    );
}

/// The report says what the protocol cannot show (README decision 9, threats T13, T37, T38).
fn says_what_is_not_proven(report: &Report) {
    let all = report.not_proven().join("\n");
    for words in [
        "active relay",
        "Who wrote the answer",
        "dropped, repeated or reordered",
        "Forward secrecy",
        "confidential mode",
    ] {
        assert!(all.contains(words), "{words} is missing in: {all}");
    }
    let origin = report.checks().iter().find(|check| check.id() == "response.origin").unwrap();
    assert_eq!(origin.outcome(), CheckOutcome::NotChecked);
}

#[test]
fn every_defect_ends_as_its_row_says() {
    let sim = loopback::simulator(|_| ());
    let mut host = Loopback::new();
    let mut wrong = Vec::new();
    // Nothing in a chat asks for AMD's certificates.
    for defect in Defect::all().iter().filter(|defect| defect.stage() != Stage::Kds) {
        sim.set_defects(&[*defect]);
        sim.clear_recorded();
        let mut setup = loopback::setup(&sim);
        setup.policy = policy_for(*defect, sim.world());
        let used = use_it(&mut host, &mut setup, &body(PROMPT));
        let error = match (&used.error, &used.signature) {
            (Some(error), _) => Some(error),
            (None, Some(Err(error))) => Some(error),
            _ => None,
        };
        let found = error.map(proveil_core::Error::code);
        line(*defect, found);
        if found != wanted_code(defect.outcome()) {
            wrong.push(format!("{}: expected {:?}, found {error:?}", defect.name(), defect.outcome()));
            continue;
        }
        check_effects(*defect, &used, &sim.recorded());
        if let Some(error) = error {
            no_secrets(&shown(error));
            assert!(
                !shown(error).contains(&expected(PROMPT, 0)[..12]),
                "{error}: a part of the answer is shown"
            );
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// What must hold besides the code.
fn check_effects(defect: Defect, used: &Use, recorded: &proveil_testkit::sim::Recorded) {
    let name = defect.name();
    assert!(!recorded.saw_in_clear("canary-"), "{name}: a secret was seen on the wire");
    let honest = expected(PROMPT, 0);
    let text = used.texts.first();
    let chats = recorded.to_path(CHAT_PATH).count();
    if used.endpoint.is_none() {
        assert_eq!(
            chats,
            if defect == Defect::DivertedEnclave { 2 } else { 0 },
            "{name}: sent without a proof"
        );
        assert_eq!(text, "", "{name}");
        return;
    }
    let report = used.endpoint.as_ref().unwrap().report();
    assert_eq!(report.verdict(), Verdict::Verified, "{name}");
    says_what_is_not_proven(report);
    // One request, or one more after the one new verification that is allowed.
    let asked_twice =
        matches!(defect, Defect::RotateKeyOnce | Defect::RotateKeyAlways | Defect::DivertedEnclave);
    assert_eq!(chats, if asked_twice { 2 } else { 1 }, "{name}");
    match (defect.stage(), defect.outcome()) {
        (Stage::Signature, _) => assert_eq!(text, honest, "{name}: a signature does not change the answer"),
        (_, Outcome::Works) if defect == Defect::BigDeltas => assert_eq!(text.len(), 3 * 65_536),
        (_, Outcome::Works) => assert_eq!(text, honest, "{name}"),
        (_, Outcome::NotDetectable) => assert_ne!(text, honest, "{name}: a defect that has no effect"),
        (_, Outcome::Fails(_)) => {
            assert!(honest.starts_with(text), "{name}: delivered {text:?}");
            assert!(text.len() < honest.len() || defect == Defect::NoDone, "{name}: nothing is missing");
            assert_eq!(used.receipt, None, "{name}");
        }
    }
    if defect == Defect::SeveralChoices {
        assert_eq!(used.texts.content.get(&1), Some(&expected(PROMPT, 1)));
    }
}

/// Attestation and collateral again, in both shapes and both quote versions, without any socket.
#[test]
fn evidence_defects_in_every_form() {
    let scene = Scene::new(1);
    let mut wrong = Vec::new();
    // These happen in the server or show only in a chat.
    let elsewhere = [
        Defect::AttestationFailsTwice,
        Defect::AttestationDown,
        Defect::DivertedEnclave,
        Defect::CollateralDown,
        Defect::CollateralHtml,
    ];
    let stages = [Stage::Attestation, Stage::Collateral];
    let defects = || Defect::all().iter().filter(|defect| stages.contains(&defect.stage()));
    for (shape, version) in [(Shape::Near, 4), (Shape::Near, 5), (Shape::Aci, 4), (Shape::Aci, 5)] {
        for defect in defects().filter(|defect| !elsewhere.contains(defect)) {
            let mut host = scene.host();
            (host.shape, host.quote_version, host.defects) = (shape, version, BTreeSet::from([*defect]));
            let mut setup = scene.setup();
            setup.policy = policy_for(*defect, &scene.world);
            let result = verify(&mut host, &mut setup);
            let outcome = match result {
                Ok(outcome) => outcome,
                Err(error) => {
                    wrong.push(format!("{} {shape:?} v{version}: no report, {error:?}", defect.name()));
                    continue;
                }
            };
            let (report, error) = (outcome.report().clone(), outcome.into_result().err());
            let found = error.as_ref().map(proveil_core::Error::code);
            let expected = wanted_code(outcome_for(*defect, shape));
            if found != expected {
                wrong.push(format!(
                    "{} {shape:?} v{version}: expected {expected:?}, found {error:?}",
                    defect.name()
                ));
            }
            check_report(&report, found);
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// A report and the error that goes with it never disagree.
fn check_report(report: &Report, code: Option<Code>) {
    let verdict = match code.map(Code::number) {
        None => Verdict::Verified,
        Some(200..300) => Verdict::Refused,
        Some(_) => Verdict::Indeterminate,
    };
    assert_eq!((report.verdict(), report.code()), (verdict, code.map(Code::text).as_deref()));
    assert_eq!(report.roots(), Roots::Custom);
    assert_eq!(report.level().is_some(), verdict == Verdict::Verified);
    assert_eq!(report.valid_until().is_some(), verdict == Verdict::Verified);
    assert!(report.headline().contains("CUSTOM roots"), "{}", report.headline());
    let mut ids: Vec<&str> = report.checks().iter().map(proveil_core::report::Check::id).collect();
    let listed = ids.len();
    ids.sort_unstable();
    ids.dedup();
    assert_eq!(ids.len(), listed, "a check is listed twice: {}", report.to_text());
}

/// Both shapes, both quote versions, every encoding: verified at L2 under the roots that made them, refused under the vendors' (T68).
#[test]
fn honest_evidence_in_every_form() {
    let scene = Scene::new(1);
    for shape in [Shape::Near, Shape::Aci] {
        for version in [4, 5] {
            for encoding in [
                QuoteEncoding::Hex,
                QuoteEncoding::HexPrefixed,
                QuoteEncoding::Base64,
                QuoteEncoding::Base64Url,
            ] {
                let form = format!("{shape:?} v{version} {encoding:?}");
                let mut host = scene.host();
                (host.shape, host.quote_version, host.encoding) = (shape, version, encoding);
                let outcome = verify(&mut host, &mut scene.setup()).unwrap();
                let report = outcome.report();
                check_report(report, None);
                assert_eq!(report.level(), Some(Level::L2), "{form}");
                assert!(report.headline().starts_with("VERIFIED against CUSTOM roots, L2 - "), "{form}");
                says_what_is_not_proven(report);
                let endpoint = outcome.into_result().unwrap();
                assert_eq!((endpoint.provider(), endpoint.model()), ("venice", MODEL), "{form}");

                let mut setup = scene.setup();
                setup.roots = TrustRoots::vendors();
                let outcome = verify(&mut host, &mut setup).unwrap();
                assert_eq!(outcome.report().roots(), Roots::Vendor, "{form}");
                assert!(outcome.report().headline().starts_with("REFUSED (PV-221)"), "{form}");
                assert_eq!(outcome.into_result().unwrap_err().code(), Code::PckChain, "{form}");
            }
        }
    }
}

/// Each kind of request is made once and in order; collateral that the host has is not fetched.
#[test]
fn requests_of_a_verification() {
    let scene = Scene::new(1);
    let fetch =
        ["Intel TCB info", "Intel QE identity", "Intel PCK revocation list", "Intel root revocation list"];
    let none = BTreeSet::new();
    let expired = BTreeSet::from([Defect::CollateralExpired]);
    let other = BTreeSet::from([Defect::CollateralOtherPlatform]);
    for (given, fetched) in [
        (Vec::new(), true),
        (vec![scene.collateral(&none)], false),
        // What is at hand counts only while it verifies and fits.
        (vec![scene.collateral(&expired)], true),
        (vec![scene.collateral(&other)], true),
        (vec![scene.collateral(&other), scene.collateral(&none)], false),
    ] {
        let mut host = scene.host();
        let mut setup = scene.setup();
        setup.collateral = given;
        let outcome = verify(&mut host, &mut setup).unwrap();
        assert_eq!(outcome.report().verdict(), Verdict::Verified);
        let mut wanted = vec!["model list", "attestation"];
        wanted.extend(fetch.iter().filter(|_| fetched));
        assert_eq!(host.sent, wanted);
    }
}

/// When collateral cannot be fetched, what the host keeps for other platforms does not turn that into a refusal.
#[test]
fn collateral_that_cannot_be_fetched() {
    let sim = loopback::simulator(|config| config.gpus = 1);
    let other = collateral(sim.world(), &BTreeSet::from([Defect::CollateralOtherPlatform])).to_json();
    let other = TdxCollateral::from_json(other.as_bytes()).unwrap();
    sim.set_defects(&[Defect::CollateralDown]);
    for given in [vec![], vec![other]] {
        let mut setup = loopback::setup(&sim);
        setup.collateral = given;
        let error = verify(&mut Loopback::new(), &mut setup).unwrap().into_result().unwrap_err();
        assert_eq!(error.code(), Code::CollateralUnreachable, "{error}");
    }
}
