//! OCSP answers about devices and manifests, each part signed wrong in turn (threats T15, T19).

#![allow(clippy::arithmetic_side_effects, clippy::indexing_slicing, clippy::unwrap_used, clippy::expect_used)]

#[path = "common/nvidia.rs"]
mod nvidia_system;

use nvidia_system::{NOW, System, check, policy};
use proveil_core::attest::nvidia::requests::NvidiaServices;
use proveil_core::attest::nvidia::{Revocation, RevocationState, Rims};
use proveil_core::error::Code;
use proveil_core::pki::ocsp::{Answer, OcspProblem, Query, Status};
use proveil_core::pki::{Authority, Certificate, Problem, Serial};
use proveil_core::report::{Enforcement, Outcome};
use proveil_testkit::forge::intel::Certified;
use proveil_testkit::forge::ocsp::{self, CertStatus, OcspSpec};
use proveil_testkit::forge::x509::Extension;
use proveil_testkit::forge::{DAY_S, EcKey, Random};

const NONCE: [u8; 32] = [0x0c; 32];

/// A device's boot ROM certificate and the authority above it, with an appointed responder.
struct Scene {
    system: System,
    subject: Certified,
    issuer: Certified,
    responder: Certified,
}

impl Scene {
    fn new() -> Scene {
        let mut system = System::new(1);
        let issuer = system.world.nvidia.provisioner.clone();
        let subject = system.world.gpus[0].boot.clone();
        let responder = ocsp::responder(&issuer, &mut system.random, NOW);
        Scene { system, subject, issuer, responder }
    }

    fn spec(&self) -> OcspSpec {
        OcspSpec::new(&self.subject, &self.issuer, &self.responder, &NONCE, NOW)
    }

    fn judge(&self, answer: &[u8]) -> Result<Status, OcspProblem> {
        self.judge_at(answer, Some(&NONCE), NOW)
    }

    fn judge_at(&self, answer: &[u8], nonce: Option<&[u8; 32]>, at: u64) -> Result<Status, OcspProblem> {
        let issuer = Authority::pinned(&self.issuer.der).unwrap();
        let query = Query::new(&issuer, Serial::new(&self.subject.spec.serial).unwrap());
        Answer::parse(answer)?.verify(&query, nonce, at, 7 * DAY_S).map(|statement| statement.status)
    }
}

type Change = fn(&mut OcspSpec);

#[test]
fn statuses_and_signed_defects() {
    let scene = Scene::new();
    let key = &scene.responder.key;
    let revoked = |reason| Ok(Status::Revoked { at: NOW - 3_600, reason });
    let cases: &[(&str, Change, Result<Status, OcspProblem>)] = &[
        ("honest", |_| (), Ok(Status::Good)),
        ("by key", |s| s.responder_name = None, Ok(Status::Good)),
        ("unknown", |s| s.status = CertStatus::Unknown, Ok(Status::Unknown)),
        ("revoked", |s| s.status = CertStatus::Revoked(Some(1)), revoked(Some(1))),
        ("on hold", |s| s.status = CertStatus::Revoked(Some(6)), revoked(Some(6))),
        ("revoked without reason", |s| s.status = CertStatus::Revoked(None), revoked(None)),
        ("no end", |s| s.next_update = None, Ok(Status::Good)),
        ("another certificate", |s| s.serial = vec![1], Err(OcspProblem::OtherCertificate)),
        ("another issuer's name", |s| s.issuer_name.push(0), Err(OcspProblem::OtherCertificate)),
        ("another issuer's key", |s| s.issuer_point[9] ^= 1, Err(OcspProblem::OtherCertificate)),
        ("two statements", |s| s.statements = 2, Err(OcspProblem::OtherCertificate)),
        ("no statement", |s| s.statements = 0, Err(OcspProblem::OtherCertificate)),
        ("too many statements", |s| s.statements = 17, Err(OcspProblem::Malformed)),
        ("another nonce", |s| s.nonce = Some(vec![1; 32]), Err(OcspProblem::Nonce)),
        ("no nonce", |s| s.nonce = None, Err(OcspProblem::Nonce)),
        ("from the future", |s| s.this_update = NOW + 1, Err(OcspProblem::NotYetValid)),
        ("ended", |s| s.next_update = Some(NOW), Err(OcspProblem::Expired)),
        (
            "old without end",
            |s| {
                s.next_update = None;
                s.this_update = NOW - 7 * DAY_S;
            },
            Err(OcspProblem::Expired),
        ),
        (
            "old with a far end",
            |s| {
                s.next_update = Some(NOW + 900 * DAY_S);
                s.this_update = NOW - 7 * DAY_S;
            },
            Err(OcspProblem::Expired),
        ),
        ("an unknown critical extension", |s| s.unknown_critical = true, Err(OcspProblem::Malformed)),
        (
            "a responder by another name",
            |s| s.responder_name = Some(s.issuer_name.clone()),
            Err(OcspProblem::Responder(Problem::Name)),
        ),
        ("no responder certificate", |s| s.certificates.clear(), Err(OcspProblem::Responder(Problem::Name))),
        (
            "too many certificates",
            |s| s.certificates = vec![s.certificates[0].clone(); 5],
            Err(OcspProblem::Malformed),
        ),
        ("try later", |s| s.response_status = 3, Err(OcspProblem::Unsuccessful(3))),
        ("unauthorized", |s| s.response_status = 6, Err(OcspProblem::Unsuccessful(6))),
    ];
    for (name, change, expected) in cases {
        let mut spec = scene.spec();
        change(&mut spec);
        assert_eq!(scene.judge(&spec.sign(key)), *expected, "{name}");
    }
    // Without a nonce in the request, none is asked for.
    let mut spec = scene.spec();
    spec.nonce = None;
    assert_eq!(scene.judge_at(&spec.sign(key), None, NOW), Ok(Status::Good));
    // An issuer that answers for itself needs no certificate.
    spec.certificates.clear();
    spec.responder_name = Some(spec.issuer_name.clone());
    assert_eq!(scene.judge_at(&spec.sign(&scene.issuer.key), None, NOW), Ok(Status::Good));
    assert_eq!(scene.judge_at(&spec.sign(key), None, NOW), Err(OcspProblem::Signature));
}

/// T20: who may sign. A responder of another authority, a certificate without the purpose, a stranger: nobody else speaks for the issuer.
#[test]
fn responders() {
    let mut scene = Scene::new();
    let mut random = Random::from_seed([3; 32]);
    let stranger = EcKey::p384(&mut random);
    assert_eq!(scene.judge(&scene.spec().sign(&stranger)), Err(OcspProblem::Signature));
    let signed_by = |scene: &Scene, certificate: &Certified| {
        let mut spec = scene.spec();
        spec.certificates = vec![certificate.der.clone()];
        spec.responder_name = Some(certificate.spec.subject.clone());
        scene.judge(&spec.sign(&certificate.key))
    };
    let above = scene.system.world.nvidia.identity.clone();
    let of_another = ocsp::responder(&above, &mut random, NOW);
    assert_eq!(signed_by(&scene, &of_another), Err(OcspProblem::Responder(Problem::Name)));
    assert_eq!(signed_by(&scene, &scene.subject.clone()), Err(OcspProblem::Responder(Problem::Usage)));

    type Edit = fn(&mut Certified);
    let edits: &[(&str, Edit, Result<Status, OcspProblem>)] = &[
        ("as it is", |_| (), Ok(Status::Good)),
        ("purpose not critical", |c| c.spec.extensions[1] = ocsp::ocsp_signing(false), Ok(Status::Good)),
        (
            "no purpose",
            |c| {
                c.spec.extensions.remove(1);
            },
            Err(OcspProblem::Responder(Problem::Usage)),
        ),
        (
            "an authority",
            |c| c.spec.extensions.push(Extension::basic_constraints(true, None)),
            Err(OcspProblem::Responder(Problem::Usage)),
        ),
        (
            "signs certificates",
            |c| c.spec.extensions[0] = Extension::key_usage_ca(false),
            Err(OcspProblem::Responder(Problem::Usage)),
        ),
        ("ended", |c| c.spec.not_after = NOW - 1, Err(OcspProblem::Responder(Problem::Expired))),
        ("not yet valid", |c| c.spec.not_before = NOW + 1, Err(OcspProblem::Responder(Problem::NotYetValid))),
    ];
    for (name, edit, expected) in edits {
        let mut responder = scene.responder.clone();
        edit(&mut responder);
        let responder = Certified::issue(responder.key, responder.spec, &scene.issuer.key);
        assert_eq!(signed_by(&scene, &responder), *expected, "{name}");
    }
    let self_issued = Certified::issue(stranger.clone(), scene.responder.spec.clone(), &stranger);
    assert_eq!(signed_by(&scene, &self_issued), Err(OcspProblem::Responder(Problem::Signature)));
    // A certificate for answers alone is not taken for anything else.
    let parsed = Certificate::parse(&scene.responder.der).unwrap();
    assert_eq!((parsed.end_entity(), parsed.ocsp_signer()), (Err(Problem::Extension), Ok(())));
    scene.responder = ocsp::responder(&scene.issuer, &mut random, NOW);
    assert_eq!(scene.judge(&scene.spec().sign(&scene.responder.key)), Ok(Status::Good));
}

/// Requests name each certificate once, and their DER is what this independent encoder writes.
#[test]
fn requests_for_a_system() {
    use proveil_testkit::forge::der;
    use sha2::{Digest, Sha384};
    let mut system = System::new(2);
    let claims = system.claims();
    let documents: Vec<_> = system.rims(false).iter().map(|spec| system.world.sign_rim(spec)).collect();
    let rims = Rims::verify(&documents, &system.roots, NOW, false).unwrap();
    let requests = NvidiaServices::new(None).ocsp_requests(&claims, Some(&rims), &NONCE);
    // Two boot ROMs, two authorities above them, three certificates of the manifests' signer.
    assert_eq!(requests.len(), 7);
    let nvidia = &system.world.nvidia;
    let id = der::sequence(&[
        &der::sequence(&[&der::oid(&[2, 16, 840, 1, 101, 3, 4, 2, 2]), &der::null()]),
        &der::octets(&Sha384::digest(&nvidia.provisioner.spec.subject)),
        &der::octets(&Sha384::digest(nvidia.provisioner.key.public_point())),
        &der::integer(&system.world.gpus[0].boot.spec.serial),
    ]);
    let nonce =
        der::sequence(&[&der::oid(&[1, 3, 6, 1, 5, 5, 7, 48, 1, 2]), &der::octets(&der::octets(&NONCE))]);
    let list = der::sequence(&[&der::sequence(&[&id])]);
    let extensions = der::context(2, &der::sequence(&[&nonce]));
    let expected = der::sequence(&[&der::sequence(&[&list, &extensions])]);
    assert_eq!(requests[0].body(), expected);
    assert!(requests.iter().all(|request| request.url() == "https://ocsp.ndis.nvidia.com"));
    // A fresh nonce gives other requests.
    assert_ne!(NvidiaServices::new(None).ocsp_requests(&claims, None, &[1; 32])[0].body(), expected);
}

/// The state of whole devices: one bad certificate of eleven decides.
#[test]
fn devices_and_manifests() {
    let mut system = System::new(2);
    let claims = system.claims();
    let documents: Vec<_> = system.rims(false).iter().map(|spec| system.world.sign_rim(spec)).collect();
    let rims = Rims::verify(&documents, &system.roots, NOW, false).unwrap();
    let devices: Vec<_> = system.world.gpus.iter().collect();
    let specs = system.world.ocsp_specs(&devices, &NONCE, &mut Random::from_seed([9; 32]));
    let judge = |answers: &[Vec<u8>], allow_hold: bool| {
        let answers = Revocation::new(answers, Some(NONCE), NOW, allow_hold).map_err(|error| error.code())?;
        for device in &claims {
            answers.device(device).map_err(|error| error.code())?;
        }
        answers.rims(&rims).map_err(|error| error.code())
    };
    let honest: Vec<Vec<u8>> = specs.iter().map(|(spec, key)| spec.sign(key)).collect();
    let good = RevocationState::Good { since: NOW - 3_600, until: NOW + DAY_S };
    assert_eq!(judge(&honest, false), Ok(good));
    let mut reversed = honest.clone();
    reversed.reverse();
    assert_eq!(judge(&reversed, false), Ok(good), "any order");
    for i in 0..specs.len() {
        let with = |change: Change| {
            let mut spec = specs[i].0.clone();
            change(&mut spec);
            let mut answers = honest.clone();
            answers[i] = spec.sign(&specs[i].1);
            answers
        };
        assert_eq!(
            judge(&with(|s| s.status = CertStatus::Revoked(Some(1))), true),
            Err(Code::GpuRevoked),
            "{i}"
        );
        let hold = with(|s| s.status = CertStatus::Revoked(Some(6)));
        assert_eq!((judge(&hold, false), judge(&hold, true)), (Err(Code::GpuRevoked), Ok(good)), "{i}");
        assert_eq!(
            judge(&with(|s| s.status = CertStatus::Unknown), false),
            Err(Code::CollateralMissing),
            "{i}"
        );
        assert_eq!(judge(&with(|s| s.next_update = Some(NOW)), false), Err(Code::CollateralExpired), "{i}");
        assert_eq!(judge(&with(|s| s.nonce = None), false), Err(Code::CollateralMismatch), "{i}");
        let mut less = honest.clone();
        less.remove(i);
        assert_eq!(judge(&less, false), Err(Code::CollateralMissing), "{i}");
    }
    assert_eq!(judge(&[b"<html>".to_vec()], false), Err(Code::CollateralMalformed));
    assert_eq!(judge(&vec![honest[0].clone(); 257], false), Err(Code::LimitExceeded));
}

/// In a report: counts where the policy requires it, and what was refused counts always.
#[test]
fn in_a_report() {
    let mut system = System::new(1);
    let honest = system.endorsements();
    let required = policy(r#"{"require_ocsp":true}"#);
    let (report, error) = system.appraise(&honest, &required);
    assert_eq!((error, check(&report, "gpu.ocsp").outcome()), (None, Outcome::Pass));
    assert_eq!(report.valid_until(), Some(NOW + 1_800));
    let mut none = honest.clone();
    none.ocsp.clear();
    let (_, error) = system.appraise(&none, &required);
    assert_eq!(error.unwrap().code(), Code::RequiredCheckNotMade);
    let (report, error) = system.appraise(&none, &policy("{}"));
    let ocsp = check(&report, "gpu.ocsp");
    assert_eq!(
        (error, ocsp.outcome(), ocsp.enforcement()),
        (None, Outcome::NotChecked, Enforcement::Advisory)
    );
    // Old answers are no refusal unless somebody needs them.
    let devices = system.evidence();
    let later = NOW + 2 * DAY_S;
    let mut without_tokens = honest.clone();
    without_tokens.nras.clear();
    let stale =
        |given, policy| system.appraise_at(&devices, given, policy, later).1.map(|error| error.code());
    assert_eq!(stale(&without_tokens, &required), Some(Code::CollateralExpired));
    assert_eq!(stale(&honest, &required), Some(Code::NrasToken), "a refusal comes before what is only open");
    let (report, error) = system.appraise_at(&devices, &without_tokens, &policy("{}"), later);
    assert_eq!((error, check(&report, "gpu.ocsp").outcome()), (None, Outcome::NotChecked));
    // A forged one is, always.
    let mut forged = honest.clone();
    let last = forged.ocsp[0].len() - 700;
    forged.ocsp[0][last] ^= 1;
    let (_, error) = system.appraise(&forged, &policy("{}"));
    assert!(error.is_none_or(|error| error.check() == Some("gpu.ocsp")));
}

#[test]
fn sweeps() {
    let scene = Scene::new();
    let answer = scene.spec().sign(&scene.responder.key);
    for length in 0..answer.len() {
        assert!(scene.judge(&answer[..length]).is_err(), "{length}");
    }
    for place in 0..answer.len() {
        let mut changed = answer.clone();
        changed[place] ^= 1 << (place % 8);
        // The CRL reason aside, a status can only come from signed bytes; the hint by key is not looked at here.
        assert_ne!(scene.judge(&changed), Ok(Status::Good), "byte {place}");
    }
    let mut longer = answer.clone();
    longer.push(0);
    assert_eq!(scene.judge(&longer), Err(OcspProblem::Malformed));
    assert_eq!(scene.judge(&vec![0x30; 70_000]), Err(OcspProblem::Malformed));
}
