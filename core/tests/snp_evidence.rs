//! Captured SEV-SNP reports with changes that the evidence library does not list: every bit, every length, certificates, kept keys,
//! revocation lists, and what the presets make of each.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    clippy::print_stdout,
    reason = "a test fails by panicking"
)]

mod common;

use std::path::Path;

use common::{Random, captured, read_json, text};
use proveil_core::appraise::{SnpExpectations, appraise_snp};
use proveil_core::attest::TrustRoots;
use proveil_core::attest::snp::rules::{SnpPolicy, evaluate};
use proveil_core::attest::snp::{
    CHECKS, Product, Report, Revocation, SigningKey, VerifiedVek, position, verify,
    verify_with_raw_endorsements,
};
use proveil_core::error::{Class, Code};
use proveil_core::evidence::SnpEndorsements;
use proveil_core::policy::Policy;
use proveil_core::report::{Level, Outcome, Verdict};
use proveil_core::wire::json::Json;
use proveil_core::wire::{base64, hex};

/// A report with its certificate, and nothing else handed over.
struct Sample {
    id: String,
    report: Vec<u8>,
    endorsements: SnpEndorsements,
    kind: SigningKey,
    at: u64,
}

impl Sample {
    fn kept(&self) -> VerifiedVek {
        VerifiedVek::verify(&self.endorsements, self.kind, &TrustRoots::default(), self.at).unwrap()
    }
}

/// Every captured report that has a certificate.
fn samples(dir: &Path) -> Vec<Sample> {
    let index = read_json(&dir.join("index.json"));
    let all = index.get("samples").and_then(Json::as_array).unwrap().to_vec();
    let samples: Vec<Sample> = all
        .iter()
        .filter_map(|sample| {
            let file = |role| {
                let name = sample.get("files").unwrap().get(role).and_then(Json::as_str)?;
                Some(std::fs::read(dir.join(name)).unwrap())
            };
            let vek = file("vek")?;
            Some(Sample {
                id: text(sample, "id").to_owned(),
                report: file("report").unwrap(),
                endorsements: SnpEndorsements::from_files([vek.as_slice()]).unwrap(),
                kind: if text(sample, "signing_key") == "VLEK" { SigningKey::Vlek } else { SigningKey::Vcek },
                at: sample.get("verify_time").and_then(Json::as_u64).unwrap(),
            })
        })
        .collect();
    assert_eq!(samples.len(), 8);
    samples
}

fn sample(dir: &Path, id: &str) -> Sample {
    samples(dir).into_iter().find(|sample| sample.id == id).unwrap()
}

/// T06 and the mutation rule of threats section 6: there is no don't-care bit in a report. All versions, products and kinds of key; every
/// bit of one report per product, one bit of each byte of the others.
#[test]
fn every_flipped_bit_is_refused() {
    let Some(dir) = captured("snp") else { return };
    let roots = TrustRoots::default();
    for sample in samples(&dir) {
        let kept = sample.kept();
        assert!(verify(&sample.report, &kept, &roots, sample.at).is_ok(), "{}", sample.id);
        let whole = ["milan-v2-virtee", "genoa-v5-live", "turin-v5-azure"].contains(&sample.id.as_str());
        for place in 0..sample.report.len() {
            for bit in if whole { 0..8 } else { place % 8..place % 8 + 1 } {
                let mut changed = sample.report.clone();
                changed[place] ^= 1 << bit;
                let error = verify(&changed, &kept, &roots, sample.at).unwrap_err();
                assert_eq!(error.code().class(), Class::Verification, "{} {place}:{bit} {error}", sample.id);
                // Outside of the signed part only the signature and its padding are left to object.
                let check = error.check().unwrap();
                assert!(
                    place < 0x2a0 || check.starts_with("snp.signature"),
                    "{} {place}: {check}",
                    sample.id
                );
            }
        }
    }
}

#[test]
fn every_other_length_is_refused() {
    let Some(dir) = captured("snp") else { return };
    let roots = TrustRoots::default();
    for sample in samples(&dir) {
        let kept = sample.kept();
        let longer = [sample.report.as_slice(), &[0; 40]].concat();
        for length in (0..longer.len()).filter(|length| *length != sample.report.len()) {
            let error = verify(&longer[..length], &kept, &roots, sample.at).unwrap_err();
            assert_eq!((error.check(), error.code()), (Some("snp.length"), Code::SnpReportMalformed));
        }
    }
}

/// T15, T45: no change of a certificate is accepted, wherever it is handed over, and none makes a panic.
#[test]
fn changed_certificates_are_refused() {
    let Some(dir) = captured("snp") else { return };
    let roots = TrustRoots::default();
    let Sample { report, endorsements, at, .. } = sample(&dir, "genoa-v5-live");
    let mut random = Random(0x5ec0);
    let leaf = endorsements.vcek.clone().unwrap();
    let issuer = std::fs::read(dir.join("roots/genoa_ask.der")).unwrap();
    let root = std::fs::read(dir.join("roots/genoa_ark.der")).unwrap();
    let given = |leaf: &[u8], issuer: &[u8], root: &[u8]| SnpEndorsements {
        vcek: Some(leaf.to_vec()),
        vlek: None,
        issuer: Some(issuer.to_vec()),
        root: Some(root.to_vec()),
        crl: None,
    };
    let refused = |endorsements: SnpEndorsements| {
        verify_with_raw_endorsements(&report, &endorsements, &roots, at).is_err()
    };
    assert!(!refused(given(&leaf, &issuer, &root)));
    let mut flip = |certificate: &[u8], place: usize| {
        let mut changed = certificate.to_vec();
        changed[place] ^= 1 << (random.next() % 8);
        changed
    };
    for place in 0..leaf.len() {
        assert!(refused(given(&flip(&leaf, place), &issuer, &root)), "leaf, byte {place}");
        assert!(refused(given(&leaf[..place], &issuer, &root)), "leaf cut at {place}");
    }
    for place in 0..issuer.len() {
        assert!(refused(given(&leaf, &flip(&issuer, place), &root)), "issuer, byte {place}");
    }
    for place in 0..root.len() {
        assert!(refused(given(&leaf, &issuer, &flip(&root, place))), "root, byte {place}");
    }
    for longer in [&leaf, &issuer, &root] {
        let longer_by_one = [longer.as_slice(), &[0]].concat();
        let pick = |own: &Vec<u8>| if own == longer { longer_by_one.clone() } else { own.clone() };
        assert!(refused(given(&pick(&leaf), &pick(&issuer), &pick(&root))));
    }
}

/// T19, T22: a kept certificate is judged again at each use.
#[test]
fn kept_certificates_end_with_their_dates() {
    let Some(dir) = captured("snp") else { return };
    let roots = TrustRoots::default();
    for sample in samples(&dir) {
        let kept = sample.kept();
        let (from, to) = kept.validity();
        assert!(from < sample.at && sample.at < to, "{}", sample.id);
        for (at, good) in [(from - 1, false), (from, true), (to, true), (to + 1, false)] {
            let again = verify(&sample.report, &kept, &roots, at);
            let fresh = verify_with_raw_endorsements(&sample.report, &sample.endorsements, &roots, at);
            let first = VerifiedVek::verify(&sample.endorsements, sample.kind, &roots, at).err();
            for error in [again.err(), fresh.err(), first] {
                let check = error.as_ref().and_then(|error| error.check());
                assert_eq!(check, (!good).then_some("snp.chain.expired"), "{} at {at}", sample.id);
            }
        }
    }
}

/// T68: a certificate that was verified under one root is of no use under others.
#[test]
fn kept_certificates_are_bound_to_their_root() {
    let Some(dir) = captured("snp") else { return };
    let genoa = sample(&dir, "genoa-v5-live");
    let kept = genoa.kept();
    let pem = |name: &str| {
        let der = std::fs::read(dir.join(name)).unwrap();
        format!("-----BEGIN CERTIFICATE-----\\n{}\\n-----END CERTIFICATE-----\\n", base64::encode(&der))
    };
    let roots = |pem: &str| {
        let file = format!("{{\"schema\":\"proveil.trust-roots/v1\",\"amd_roots_pem\":\"{pem}\"}}");
        TrustRoots::from_json(file.as_bytes()).unwrap()
    };
    let none = TrustRoots::from_json(b"{\"schema\":\"proveil.trust-roots/v1\"}").unwrap();
    for other in [roots(&pem("roots/milan_ark.der")), none] {
        let error = verify(&genoa.report, &kept, &other, genoa.at).unwrap_err();
        assert_eq!((error.check(), error.code()), (Some("snp.chain.root"), Code::SnpChain));
        let fresh = verify_with_raw_endorsements(&genoa.report, &genoa.endorsements, &other, genoa.at);
        assert_eq!(fresh.unwrap_err().check(), Some("snp.chain.root"));
    }
    // AMD's own root, named by the caller: CUSTOM, and without a pinned issuer nothing says that it is not revoked.
    let own = roots(&pem("roots/genoa_ark.der"));
    let mut endorsements = genoa.endorsements.clone();
    endorsements.issuer = Some(std::fs::read(dir.join("roots/genoa_ask.der")).unwrap());
    let claims = verify_with_raw_endorsements(&genoa.report, &endorsements, &own, genoa.at).unwrap();
    assert!(claims.custom_root && claims.vek.revocation == Revocation::Unknown);
    let pinned = roots(&(pem("roots/genoa_ark.der") + &pem("roots/genoa_ask.der")));
    let claims = verify_with_raw_endorsements(&genoa.report, &genoa.endorsements, &pinned, genoa.at).unwrap();
    assert!(claims.custom_root && claims.vek.revocation == Revocation::Pinned);
}

/// T19: the two captured lists, by time. The Milan list is of 2025-05-06 to 2026-05-12; the Genoa one ended before the Genoa samples.
#[test]
fn captured_revocation_lists() {
    let Some(dir) = captured("snp") else { return };
    let roots = TrustRoots::default();
    let list = |name: &str| std::fs::read(dir.join("roots").join(name)).unwrap();
    let cases = [
        ("milan-v5-gcp", "milan_vcek.crl", Ok(Revocation::List)),
        ("milan-v2-virtee", "milan_vcek.crl", Ok(Revocation::Pinned)),
        ("genoa-v5-live", "genoa_vcek.crl", Ok(Revocation::Pinned)),
        ("milan-v5-gcp", "genoa_vcek.crl", Err(Code::CollateralSignature)),
        ("genoa-v5-live", "milan_vcek.crl", Err(Code::CollateralSignature)),
    ];
    for (id, name, expected) in cases {
        let mut sample = sample(&dir, id);
        sample.endorsements.crl = Some(list(name));
        let result = verify_with_raw_endorsements(&sample.report, &sample.endorsements, &roots, sample.at);
        assert_eq!(
            result.as_ref().map(|claims| claims.vek.revocation).map_err(|e| e.code()),
            expected,
            "{id}"
        );
        if let Ok(claims) = result {
            let strict = SnpPolicy { require_crl: true, ..SnpPolicy::default() };
            let finding = evaluate(&claims, &strict, &SnpExpectations::default()).remove(0);
            assert_eq!((finding.check, finding.passed), ("snp.crl", expected == Ok(Revocation::List)));
        }
    }
    let mut sample = sample(&dir, "milan-v5-gcp");
    // A kept certificate does not keep its list current: 2025-05-06T12:39:06Z to 2026-05-12T00:00:00Z.
    sample.endorsements.crl = Some(list("milan_vcek.crl"));
    let kept = sample.kept();
    for (at, expected) in [
        (1_746_535_145, Revocation::Pinned),
        (1_746_535_146, Revocation::List),
        (1_778_543_999, Revocation::List),
        (1_778_544_000, Revocation::Pinned),
    ] {
        let facts = kept.facts_at(at);
        assert_eq!(
            (facts.revocation, facts.list_expires_at.is_some()),
            (expected, expected == Revocation::List)
        );
    }
    let late = verify(&sample.report, &kept, &roots, 1_778_544_000).unwrap();
    assert_eq!(late.vek.revocation, Revocation::Pinned);
    for length in (0..700).step_by(7) {
        sample.endorsements.crl = Some(list("milan_vcek.crl")[..length].to_vec());
        let result = verify_with_raw_endorsements(&sample.report, &sample.endorsements, &roots, sample.at);
        assert_eq!(result.unwrap_err().code(), Code::CollateralMalformed);
    }
}

/// What the default policy and the strict one make of each captured report, with the reason.
#[test]
fn presets_on_captured_reports() {
    let Some(dir) = captured("snp") else { return };
    let smt = "snp.policy.smt";
    let alias = "snp.platform.alias_check";
    let minimum = ["snp.tcb.minimum", "snp.firmware.minimum"];
    // Of Milan, Bergamo and Turin no minimum is known; 0x1 in the platform info is a platform without the alias check.
    let cases: &[(&str, &[&str], &[&str])] = &[
        ("milan-v2-virtee", &[], &[minimum[0], minimum[1], smt, alias]),
        (
            "milan-v2-debug-google",
            &["snp.policy.debug"],
            &[minimum[0], minimum[1], "snp.policy.debug", smt, alias],
        ),
        (
            "milan-v3-vlek-aws",
            &["snp.tcb.provisional", "snp.vmpl", "snp.vlek"],
            &["snp.tcb.provisional", minimum[0], minimum[1], smt, "snp.vmpl", "snp.vlek"],
        ),
        ("genoa-v3-azure", &[], &[smt]),
        ("turin-v5-azure", &[], &[minimum[0], minimum[1], smt]),
        ("genoa-v5-live", &[], &[minimum[0], minimum[1], smt]),
        ("milan-v5-gcp", &[], &[minimum[0], minimum[1], smt]),
        ("milan-v3-azure-hcl", &[], &[minimum[0], minimum[1], smt]),
    ];
    for (id, standard, strict) in cases {
        let sample = sample(&dir, id);
        let claims = verify(&sample.report, &sample.kept(), &TrustRoots::default(), sample.at).unwrap();
        for (policy, expected) in [(SnpPolicy::default(), standard), (SnpPolicy::strict(), strict)] {
            let findings = evaluate(&claims, &policy, &SnpExpectations::default());
            let failed: Vec<&str> =
                findings.iter().filter(|finding| finding.counts()).map(|finding| finding.check).collect();
            assert_eq!(&failed, expected, "{id}");
        }
    }
}

#[test]
fn certificates_from_files_and_tables() {
    let Some(dir) = captured("snp") else { return };
    let read = |name: &str| std::fs::read(dir.join(name)).unwrap();
    let pem = |label: &str, der: &[u8]| {
        format!("-----BEGIN {label}-----\n{}\n-----END {label}-----\n", base64::encode(der))
    };
    let (leaf, issuer, root) =
        (read("genoa-v5-live.vcek.der"), read("roots/genoa_ask.der"), read("roots/genoa_ark.der"));
    let crl = read("roots/genoa_vcek.crl");
    let expected = SnpEndorsements {
        vcek: Some(leaf.clone()),
        vlek: None,
        issuer: Some(issuer.clone()),
        root: Some(root.clone()),
        crl: Some(crl.clone()),
    };
    let chain = pem("CERTIFICATE", &issuer) + &pem("CERTIFICATE", &root);
    let list = pem("X509 CRL", &crl);
    let files: [&[u8]; 4] = [&leaf, chain.as_bytes(), list.as_bytes(), &leaf];
    assert_eq!(SnpEndorsements::from_files(files), Ok(expected.clone()));
    assert_eq!(SnpEndorsements::from_files([crl.as_slice(), &root, &issuer, &leaf]), Ok(expected));
    let vlek = read("milan-v3-vlek-aws.vlek.der");
    let read_vlek = SnpEndorsements::from_files([vlek.as_slice()]).unwrap();
    assert_eq!((read_vlek.vlek, read_vlek.vcek), (Some(vlek), None));
    let other = read("genoa-v3-azure.vcek.der");
    for bad in [
        [leaf.as_slice(), &other],
        [&leaf, &leaf[..40]],
        [&leaf, b"-----BEGIN CERTIFICATE-----"],
        [&leaf, b"<html>"],
        [&crl, &read("roots/milan_vcek.crl")],
    ] {
        assert_eq!(SnpEndorsements::from_files(bad).unwrap_err().code(), Code::CollateralMalformed);
    }
}

fn outcome(report: &proveil_core::report::Report, id: &str) -> Option<Outcome> {
    report.checks().iter().find(|check| check.id() == id).map(|check| check.outcome())
}

/// The offline entry on captured reports: verdict, level, code.
#[test]
fn appraisals() {
    let Some(dir) = captured("snp") else { return };
    let roots = TrustRoots::default();
    let standard = Policy::standard();
    let judge = |sample: &Sample, expected: &SnpExpectations, policy: &Policy| {
        appraise_snp(&sample.report, &sample.endorsements, expected, policy, &roots, sample.at)
    };
    let fields = |sample: &Sample| Report::parse(&sample.report).unwrap().fields().clone();
    let known = |sample: &Sample| SnpExpectations {
        report_data: Some(fields(sample).report_data),
        measurement: Some(fields(sample).measurement),
        host_data: Some(fields(sample).host_data),
    };
    let nothing = SnpExpectations::default();

    let genoa = sample(&dir, "genoa-v3-azure");
    let (report, result) = judge(&genoa, &known(&genoa), &standard);
    assert!(result.is_ok(), "{result:?}");
    assert_eq!((report.verdict(), report.level()), (Verdict::Verified, Some(Level::L3)));
    assert!(
        report.headline().contains("Genoa") && !report.headline().contains("prompt"),
        "{}",
        report.headline()
    );
    let again = judge(&genoa, &known(&genoa), &standard).0;
    assert_eq!(report.to_json(), again.to_json());
    let (report, _) = judge(&genoa, &nothing, &standard);
    assert_eq!((report.verdict(), report.level()), (Verdict::Verified, Some(Level::L0)));
    assert!(report.missing_to_next_level().unwrap().contains("report data"));
    let only_data = SnpExpectations { report_data: known(&genoa).report_data, ..nothing.clone() };
    assert_eq!(judge(&genoa, &only_data, &standard).0.level(), Some(Level::L2));
    let named = hex::encode(&fields(&genoa).measurement);
    let policy = format!("{{\"schema\":\"proveil.policy/v1\",\"snp\":{{\"measurements\":[\"{named}\"]}}}}");
    let policy = Policy::from_json(policy.as_bytes()).unwrap();
    assert_eq!(judge(&genoa, &only_data, &policy).0.level(), Some(Level::L3));

    // No minimum is known for Milan: the level says so, and strict does not pass.
    let milan = sample(&dir, "milan-v5-gcp");
    let (report, _) = judge(&milan, &known(&milan), &standard);
    assert_eq!((report.verdict(), report.level()), (Verdict::Verified, Some(Level::L1)));
    assert!(report.not_proven().iter().any(|line| line.contains("milan")));
    let (report, result) = judge(&milan, &known(&milan), &Policy::strict());
    assert_eq!((report.verdict(), result.unwrap_err().code()), (Verdict::Refused, Code::SnpGuestPolicy));
    assert_eq!(outcome(&report, "snp.tcb.minimum"), Some(Outcome::NotChecked));

    let wrong = |change: fn(&mut SnpExpectations)| {
        let mut expected = known(&genoa);
        change(&mut expected);
        let (report, result) = judge(&genoa, &expected, &standard);
        assert_eq!(report.verdict(), Verdict::Refused);
        result.unwrap_err().code()
    };
    assert_eq!(wrong(|e| e.report_data = Some([1; 64])), Code::ReportDataMismatch);
    assert_eq!(wrong(|e| e.measurement = Some([1; 48])), Code::MeasurementRefused);
    assert_eq!(wrong(|e| e.host_data = Some([1; 32])), Code::MeasurementRefused);

    let debug = sample(&dir, "milan-v2-debug-google");
    let (report, result) = judge(&debug, &nothing, &standard);
    assert_eq!((report.verdict(), result.unwrap_err().code()), (Verdict::Refused, Code::DebugTd));

    // Missing inputs are indeterminate, never a pass.
    let bare = Sample { endorsements: SnpEndorsements::new(), ..sample(&dir, "genoa-v3-azure") };
    let (report, result) = judge(&bare, &nothing, &standard);
    assert_eq!(
        (report.verdict(), result.unwrap_err().code()),
        (Verdict::Indeterminate, Code::CollateralMissing)
    );
    assert_eq!(outcome(&report, "snp.vek.missing"), Some(Outcome::NotChecked));
    assert_eq!(outcome(&report, "snp.reserved_nonzero"), Some(Outcome::Pass));
    assert!(report.facts().is_empty(), "nothing is a fact before its signature");
    let list =
        Policy::from_json(b"{\"schema\":\"proveil.policy/v1\",\"snp\":{\"require_crl\":true}}").unwrap();
    let (report, result) = judge(&genoa, &nothing, &list);
    assert_eq!((report.verdict(), result.unwrap_err().code()), (Verdict::Indeterminate, Code::CrlExpired));

    let (report, result) =
        appraise_snp(&genoa.report[1..], &genoa.endorsements, &nothing, &standard, &roots, genoa.at);
    let error = result.unwrap_err();
    assert_eq!((report.verdict(), error.code()), (Verdict::Refused, Code::SnpReportMalformed));
    assert_eq!(error.report_json(), Some(report.to_json().as_str()));
    assert!(report.to_text().contains("REFUSED (PV-270)"), "{}", report.to_text());
}

/// A version 4 report is in the library without its certificate; and each report leads to the right addresses.
#[test]
fn addresses_and_versions() {
    let Some(dir) = captured("snp") else { return };
    let report = std::fs::read(dir.join("milan-v4-gce.report.bin")).unwrap();
    let report = Report::parse(&report).unwrap();
    assert_eq!((report.fields().version, report.product()), (4, Ok(Some(Product::Milan))));
    let requests = report.kds_requests(None).unwrap();
    assert!(requests.vcek.unwrap().ends_with("?blSPL=04&teeSPL=00&snpSPL=25&ucodeSPL=219"));
    assert_eq!(requests.crl, "/vcek/v1/Milan/crl");
    let provider = sample(&dir, "milan-v3-vlek-aws");
    let requests = Report::parse(&provider.report).unwrap().kds_requests(None).unwrap();
    assert_eq!((requests.vcek, requests.cert_chain.as_str()), (None, "/vlek/v1/Milan/cert_chain"));
    let old = sample(&dir, "milan-v2-virtee");
    let old = Report::parse(&old.report).unwrap();
    assert_eq!(old.kds_requests(None).unwrap_err().code(), Code::SnpProduct);
    assert!(old.kds_requests(Some(Product::Milan)).unwrap().vcek.is_some());
    // As Turin the identity would have 8 bytes, and the other 56 are not zero.
    assert_eq!(old.kds_requests(Some(Product::Turin)).unwrap_err().check(), Some("snp.chip_id.mismatch"));
    assert_eq!(position(CHECKS.last().unwrap().id), Some(CHECKS.len() - 1));
}

/// T06, T45: noise in any place never panics.
#[test]
fn noise_never_panics() {
    let Some(dir) = captured("snp") else { return };
    let roots = TrustRoots::default();
    let mut random = Random(0xa3d);
    for sample in samples(&dir) {
        for _ in 0..300 {
            let mut report = sample.report.clone();
            let mut endorsements = sample.endorsements.clone();
            let slot = [&mut endorsements.vcek, &mut endorsements.vlek].into_iter().flatten().next().unwrap();
            for bytes in [&mut report, slot] {
                for _ in 0..random.next() % 4 {
                    let place = usize::try_from(random.next()).unwrap() % bytes.len();
                    bytes[place] = random.next().to_be_bytes()[0];
                }
            }
            endorsements.issuer = random.next().is_multiple_of(2).then(|| random.bytes(200));
            endorsements.crl = random.next().is_multiple_of(2).then(|| random.bytes(200));
            let (report, result) = appraise_snp(
                &report,
                &endorsements,
                &SnpExpectations::default(),
                &Policy::standard(),
                &roots,
                sample.at,
            );
            assert_eq!(result.is_ok(), report.verdict() == Verdict::Verified);
            let length = usize::try_from(random.next() % 3000).unwrap();
            let _ = SnpEndorsements::from_files([random.bytes(length).as_slice()]);
            let _ = SnpEndorsements::from_certificate_table(&random.bytes(length));
        }
    }
}
