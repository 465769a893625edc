//! Contrast deployments on forged hardware: honest ones verify, every defect is refused by the check that is for it
//! (privatemode.md 3 and 4.2; threats.md T01, T04 to T08, T10, T17, T19).

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    reason = "a test fails by panicking"
)]

use proveil_core::attest::contrast::{
    Collateral, ContrastClaims, ContrastHardwareClaims, Expectations, Need, SecretServiceNames, needs, rules,
    verify, verify_secret_answer,
};
use proveil_core::attest::snp::VerifiedVek;
use proveil_core::attest::tdx::VerifiedCollateral;
use proveil_core::attest::{TrustRoots, contrast, snp, tdx};
use proveil_core::claims::{SigningKey, Verified};
use proveil_core::error::{Class, Code, Error};
use proveil_core::evidence::{
    ContrastDocument, ContrastHardware, KdsRequests, SecretAnswer, SnpEndorsements, TdxCollateral,
};
use proveil_core::wire::json::Json;
use proveil_testkit::forge::contrast::{
    Deployment, DocumentSpec, Hardware, answer, dns_names, extended_usage, id_key_digest, sign_exchange,
    snp_reference,
};
use proveil_testkit::forge::intel::Certified;
use proveil_testkit::forge::x509::Extension;
use proveil_testkit::forge::{DAY_S, EcKey, Random, SnpReportSpec, TdBody, pem};

const NOW: u64 = 1_790_000_000;
const NONCE: [u8; 32] = [0x4e; 32];

fn random() -> Random {
    Random::from_seed([0xc0; 32])
}

fn roots(deployment: &Deployment) -> TrustRoots {
    TrustRoots::from_json(deployment.trust_roots_json().as_bytes()).unwrap()
}

/// Intel's collateral of a deployment on Intel's hardware.
fn collateral(deployment: &Deployment) -> Option<TdxCollateral> {
    match &deployment.hardware {
        Hardware::Tdx { world, .. } => {
            Some(TdxCollateral::from_json(world.collateral_json().as_bytes()).unwrap())
        }
        Hardware::Snp { .. } => None,
    }
}

/// The verdict on an answer of a deployment whose manifest is the expected one.
fn judge_answer(deployment: &Deployment, answer: &[u8]) -> Result<Verified<ContrastClaims>, Error> {
    let document = ContrastDocument::from_answer(answer)?;
    let manifest = deployment.manifest.to_bytes();
    let expected = Expectations { manifest: &manifest, nonce: &NONCE, capabilities: None };
    let tdx = collateral(deployment);
    let collateral = Collateral { tdx: tdx.as_ref(), ..Collateral::default() };
    verify(&document, &expected, &collateral, &roots(deployment), NOW)
}

fn judge(deployment: &Deployment, document: &DocumentSpec) -> Result<Verified<ContrastClaims>, Error> {
    judge_answer(deployment, &document.answer())
}

fn snp_report(document: &mut DocumentSpec) -> &mut SnpReportSpec {
    match &mut document.hardware {
        Hardware::Snp { spec, .. } => &mut spec.report,
        Hardware::Tdx { .. } => panic!("not SNP"),
    }
}

fn tdx_body(document: &mut DocumentSpec) -> &mut TdBody {
    match &mut document.hardware {
        Hardware::Tdx { spec, .. } => &mut spec.body,
        Hardware::Snp { .. } => panic!("not TDX"),
    }
}

/// Sets a member of the first reference value.
fn set(deployment: &mut Deployment, path: &[&str], value: Json) {
    let manifest = &mut deployment.manifest;
    let mut node = manifest.snp.first_mut().or(manifest.tdx.first_mut()).unwrap();
    for name in path {
        let Json::Object(members) = node else { panic!("{name}: not in an object") };
        if !members.iter().any(|(member, _)| member == name) {
            members.push(((*name).to_owned(), Json::Null));
        }
        node = members.iter_mut().find(|(member, _)| member == name).map(|(_, value)| value).unwrap();
    }
    *node = value;
}

fn json(text: &str) -> Json {
    Json::parse(text.as_bytes()).unwrap()
}

#[test]
fn honest_deployments_verify() {
    for deployment in [Deployment::snp(&mut random(), NOW), Deployment::tdx(&mut random(), NOW)] {
        for kind in [true, false] {
            let mut document = deployment.document(&NONCE);
            if !kind {
                // Older coordinators do not state what they run on.
                document.attestation_type = None;
            }
            let claims = judge(&deployment, &document).unwrap();
            assert_eq!(claims.reference, 0);
            assert_eq!(claims.report_data, document.bound());
            assert_eq!(claims.mesh_ca.der(), deployment.mesh.mesh_ca.der);
            assert_eq!(claims.coordinator_policy, deployment.manifest.policies[0].hash());
            assert!(claims.custom_root && claims.verified_at == NOW && !claims.manifest.updatable);
            let documents: Vec<_> =
                claims.policies.iter().map(|policy| policy.document.clone().unwrap()).collect();
            assert_eq!(documents, document.policies);
            assert!(rules::findings(&claims).iter().all(|finding| finding.passed));
            let end = match &claims.hardware {
                ContrastHardwareClaims::Snp(snp) => {
                    assert_eq!(snp.report.host_data, claims.coordinator_policy);
                    snp.vek.list_expires_at.unwrap() - 1
                }
                ContrastHardwareClaims::Tdx(tdx) => tdx.collateral_expires_at - 1,
            };
            assert_eq!(claims.not_after, end, "the list or the collateral ends first");
        }
    }
}

#[test]
fn every_finding_has_a_title() {
    for deployment in [Deployment::snp(&mut random(), NOW), Deployment::tdx(&mut random(), NOW)] {
        let claims = judge(&deployment, &deployment.document(&NONCE)).unwrap();
        for finding in rules::findings(&claims) {
            let id = finding.check;
            let known = contrast::position(id).is_some()
                || snp::position(id).is_some()
                || tdx::position(id, finding.code).is_some()
                || id.starts_with("tdx.policy.");
            assert!(known, "{id}");
        }
    }
}

#[test]
fn missing_policy_documents_are_information() {
    let deployment = Deployment::snp(&mut random(), NOW);
    let mut document = deployment.document(&NONCE);
    document.policies.remove(1);
    document.policies.push(b"of no workload".to_vec());
    let claims = judge(&deployment, &document).unwrap();
    let there: Vec<bool> = claims.policies.iter().map(|policy| policy.document.is_some()).collect();
    assert_eq!(there, [true, false, true]);
}

/// T01, T02: what newer coordinators bind beside is asked for by configuration, and neither form stands for the other.
#[test]
fn t01_capabilities_are_bound_when_they_are_known() {
    let deployment = Deployment::snp(&mut random(), NOW);
    let manifest = deployment.manifest.to_bytes();
    let body = b"{\"api_versions\":[\"v1\"]}".as_slice();
    let cases = [
        (None, None, true),
        (Some(body), Some(body), true),
        (Some(body), None, false),
        (None, Some(body), false),
        (Some(body), Some(&body[1..]), false),
    ];
    for (bound, known, accepted) in cases {
        let mut document = deployment.document(&NONCE);
        document.capabilities = bound.map(<[u8]>::to_vec);
        let document = ContrastDocument::from_answer(&document.answer()).unwrap();
        let expected = Expectations { manifest: &manifest, nonce: &NONCE, capabilities: known };
        let verdict = verify(&document, &expected, &Collateral::default(), &roots(&deployment), NOW);
        match accepted {
            true => drop(verdict.unwrap()),
            false => assert_eq!(verdict.unwrap_err().code(), Code::ReportDataMismatch),
        }
    }
}

/// Makes a defect of the document.
type Change = fn(&mut DocumentSpec);

/// T01, T04, T05, T10: everything that the coordinator binds, replaced, with the hardware's signature over what it should be or was.
#[test]
fn t04_replaced_parts_of_the_document() {
    let deployment = Deployment::snp(&mut random(), NOW);
    let honest = deployment.document(&NONCE);
    let other = Deployment::snp(&mut Random::from_seed([9; 32]), NOW);
    let cases: &[(&str, Change, Code, &str)] = &[
        ("another challenge", |d| d.nonce = [1; 32], Code::ReportDataMismatch, "snp.report_data"),
        (
            "report data of zeros",
            |d| d.report_data = Some([0; 64]),
            Code::ReportDataMismatch,
            "snp.report_data",
        ),
        (
            "report data with a tail",
            |d| {
                let mut data = d.bound();
                data[63] = 1;
                d.report_data = Some(data);
            },
            Code::ReportDataMismatch,
            "snp.report_data",
        ),
        (
            "no manifest of ours",
            |d| d.manifests = vec![b"{}".to_vec()],
            Code::ManifestMismatch,
            "contrast.manifest",
        ),
        ("one more line end", |d| d.manifests[0].push(b'\n'), Code::ManifestMismatch, "contrast.manifest"),
        (
            "set twice",
            |d| d.manifests.push(d.manifests[0].clone()),
            Code::ManifestHistory,
            "contrast.history",
        ),
        (
            "another before",
            |d| d.manifests.insert(0, b"{}".to_vec()),
            Code::ManifestHistory,
            "contrast.history",
        ),
        ("another after", |d| d.manifests.push(b"{}".to_vec()), Code::ManifestHistory, "contrast.history"),
        ("no history", |d| d.manifests.clear(), Code::ContrastMalformed, "contrast.document"),
        ("no authority", |d| d.mesh_ca.clear(), Code::MeshCa, "contrast.mesh_ca"),
        ("two lines before", |d| d.mesh_ca.insert_str(0, "x\n"), Code::MeshCa, "contrast.mesh_ca"),
        (
            "named TDX",
            |d| d.attestation_type = Some(vec![1, 3, 9901, 2, 2]),
            Code::ContrastMalformed,
            "contrast.document",
        ),
        (
            "named a test",
            |d| d.attestation_type = Some(vec![1, 3, 9901, 2, 3]),
            Code::ContrastMalformed,
            "contrast.document",
        ),
        (
            "named nothing",
            |d| d.attestation_type = Some(vec![]),
            Code::ContrastMalformed,
            "contrast.document",
        ),
    ];
    for (name, change, code, check) in cases {
        let mut document = honest.clone();
        change(&mut document);
        let error = judge(&deployment, &document).unwrap_err();
        assert_eq!((error.code(), error.check()), (*code, Some(*check)), "{name}: {error}");
    }
    // The hardware signed the honest parts; somebody put others in their place.
    let bound = Some(honest.bound());
    for (name, mesh_ca, root_ca) in [
        ("authority", other.mesh.mesh_ca_pem(), honest.root_ca.clone()),
        ("root", honest.mesh_ca.clone(), other.mesh.root_pem()),
        ("root as authority", honest.root_ca.clone(), honest.root_ca.clone()),
        ("line end", format!("{}\n", honest.mesh_ca), honest.root_ca.clone()),
    ] {
        let document = DocumentSpec { mesh_ca, root_ca, report_data: bound, ..honest.clone() };
        let error = judge(&deployment, &document).unwrap_err();
        assert_eq!(error.code(), Code::ReportDataMismatch, "{name}");
    }
    // Another deployment's genuine document, with the same manifest or its own.
    let foreign = other.document(&NONCE);
    let error = judge(&deployment, &foreign).unwrap_err();
    assert_eq!(error.code(), Code::ManifestMismatch);
    let error =
        judge(&deployment, &DocumentSpec { manifests: honest.manifests.clone(), ..foreign }).unwrap_err();
    assert_eq!(error.code().class(), Class::Verification);
}

/// T10: a difference from the expected manifest is said by its path.
#[test]
fn t10_a_changed_manifest_names_its_member() {
    let deployment = Deployment::snp(&mut random(), NOW);
    let mut changed = deployment.clone();
    set(&mut changed, &["MinimumMitigationVector"], json("7"));
    let error = judge(&deployment, &changed.document(&NONCE)).unwrap_err();
    assert_eq!(error.code(), Code::ManifestMismatch);
    assert!(error.message().contains("ReferenceValues.snp[0].MinimumMitigationVector"), "{error}");
}

/// T07, T08: signed reports of guests that the manifest does not accept.
#[test]
fn t07_reports_against_the_reference_value() {
    let deployment = Deployment::snp(&mut random(), NOW);
    let cases: &[(&str, fn(&mut SnpReportSpec), Code, &str)] = &[
        ("debug", |r| r.policy |= 1 << 19, Code::DebugTd, "snp.policy.debug"),
        ("migration", |r| r.policy |= 1 << 18, Code::SnpGuestPolicy, "snp.policy.migrate_ma"),
        ("CXL", |r| r.policy |= 1 << 21, Code::SnpGuestPolicy, "snp.policy.cxl"),
        ("pages may be swapped", |r| r.policy &= !(1 << 25), Code::SnpGuestPolicy, "contrast.guest_policy"),
        ("policy bit 17", |r| r.policy &= !(1 << 17), Code::SnpGuestPolicy, "snp.policy.reserved"),
        ("policy bit 26", |r| r.policy |= 1 << 26, Code::SnpGuestPolicy, "snp.policy.reserved"),
        ("multithreading on", |r| r.platform_info |= 1, Code::SnpGuestPolicy, "contrast.platform_info"),
        ("transparent encryption", |r| r.platform_info |= 2, Code::SnpGuestPolicy, "contrast.platform_info"),
        ("trusted I/O", |r| r.platform_info |= 1 << 7, Code::SnpGuestPolicy, "contrast.platform_info"),
        ("no error correction", |r| r.platform_info &= !4, Code::SnpGuestPolicy, "contrast.platform_info"),
        (
            "no alias check",
            |r| r.platform_info &= !(1 << 5),
            Code::SnpGuestPolicy,
            "snp.platform.alias_check",
        ),
        ("platform bit 6", |r| r.platform_info |= 1 << 6, Code::SnpGuestPolicy, "contrast.platform_info"),
        ("platform bit 8", |r| r.platform_info |= 1 << 8, Code::SnpGuestPolicy, "contrast.platform_info"),
        ("platform bit 63", |r| r.platform_info |= 1 << 63, Code::SnpGuestPolicy, "contrast.platform_info"),
        ("privilege level 1", |r| r.vmpl = 1, Code::SnpVmpl, "snp.vmpl"),
        ("measurement", |r| r.measurement[0] ^= 1, Code::MeasurementRefused, "snp.measurement"),
        ("host data", |r| r.host_data[31] ^= 1, Code::MeasurementRefused, "snp.host_data"),
        ("no ID key", |r| r.id_key_digest = [0; 48], Code::MeasurementRefused, "snp.id_key"),
        (
            "ID key of another policy",
            |r| r.id_key_digest = id_key_digest(&r.measurement, 0x3_0000),
            Code::MeasurementRefused,
            "snp.id_key",
        ),
        ("mitigation at launch", |r| r.mitigations = [7, 15], Code::SnpTcbRefused, "contrast.mitigations"),
        ("mitigation now", |r| r.mitigations = [15, 14], Code::SnpTcbRefused, "contrast.mitigations"),
        ("version 3", |r| r.downgrade(3), Code::SnpTcbRefused, "contrast.mitigations"),
        ("launch below", |r| r.launch_tcb[7] -= 1, Code::SnpTcbRefused, "snp.tcb.minimum"),
        ("launch above", |r| r.launch_tcb[7] += 1, Code::SnpTcbRefused, "snp.tcb.inconsistent"),
        ("another chip", |r| r.chip_id[0] ^= 1, Code::SnpCertificateMismatch, "snp.chip_id.mismatch"),
        ("hidden chip", |r| r.chip_id = [0; 64], Code::SnpCertificateMismatch, "snp.chip_id.hidden"),
        ("another level", |r| r.reported_tcb[7] -= 1, Code::SnpCertificateMismatch, "snp.tcb.mismatch"),
        ("unsigned", |r| r.signer_info = 7 << 2, Code::SnpSignerMismatch, "snp.unsigned"),
    ];
    for (name, change, code, check) in cases {
        let mut document = deployment.document(&NONCE);
        change(snp_report(&mut document));
        let error = judge(&deployment, &document).unwrap_err();
        assert_eq!((error.code(), error.check()), (*code, Some(*check)), "{name}: {error}");
        assert_eq!(error.code().class(), Class::Verification, "{name}");
    }
    // Firmware that can be gone back behind is accepted, as the manifest says nothing about it.
    let mut document = deployment.document(&NONCE);
    snp_report(&mut document).committed_tcb[7] -= 1;
    assert!(judge(&deployment, &document).is_ok());
}

/// T08: manifests that ask for more, or for less.
#[test]
fn t08_reference_values_decide() {
    type Set = (&'static [&'static str], &'static str);
    let cases: &[(Set, Option<&str>)] = &[
        ((&["MinimumTCB", "MicrocodeVersion"], "85"), Some("snp.tcb.minimum")),
        ((&["MinimumTCB", "SNPVersion"], "24"), Some("snp.tcb.minimum")),
        ((&["MinimumTCB", "TEEVersion"], "1"), Some("snp.tcb.minimum")),
        ((&["MinimumTCB", "BootloaderVersion"], "11"), Some("snp.tcb.minimum")),
        ((&["MinimumTCB", "BootloaderVersion"], "0"), None),
        ((&["MinimumMitigationVector"], "16"), Some("contrast.mitigations")),
        ((&["MinimumMitigationVector"], "0"), None),
        ((&["MinimumMitigationVector"], "null"), None),
        ((&["ProductName"], "\"Milan\""), Some("contrast.product")),
        ((&["GuestPolicy", "ABIMinor"], "31"), Some("snp.id_key")),
        ((&["GuestPolicy", "PageSwapDisable"], "false"), Some("snp.id_key")),
        ((&["PlatformInfo", "RAPLDisabled"], "true"), Some("contrast.platform_info")),
        ((&["PlatformInfo", "CiphertextHidingDRAMEnabled"], "true"), Some("snp.platform.ciphertext_hiding")),
        ((&["PlatformInfo", "TSMEEnabled"], "true"), None),
        ((&["PlatformInfo"], "null"), None),
        ((&["AllowedChipIDs"], "[]"), None),
        ((&["AllowedChipIDs"], "null"), None),
        ((&["CPUs"], "null"), None),
    ];
    let honest = Deployment::snp(&mut random(), NOW);
    for ((path, value), check) in cases {
        let mut deployment = honest.clone();
        set(&mut deployment, path, json(value));
        let verdict = judge(&deployment, &deployment.document(&NONCE));
        let found = verdict.as_ref().err().and_then(Error::check);
        assert_eq!(found, *check, "{path:?} {value}");
    }
    let mut deployment = honest.clone();
    set(&mut deployment, &["AllowedChipIDs"], json(&format!("[\"{}\"]", "ab".repeat(64))));
    let error = judge(&deployment, &deployment.document(&NONCE)).unwrap_err();
    assert_eq!((error.code(), error.check()), (Code::PlatformNotAllowed, Some("snp.chip_id.allowed")));
    // Hardware of a kind that the manifest does not know.
    let mut deployment = honest;
    deployment.manifest.tdx = Deployment::tdx(&mut random(), NOW).manifest.tdx;
    deployment.manifest.snp.clear();
    let error = judge(&deployment, &deployment.document(&NONCE)).unwrap_err();
    assert_eq!((error.code(), error.check()), (Code::MeasurementRefused, Some("contrast.reference")));
}

#[test]
fn several_reference_values() {
    let mut deployment = Deployment::snp(&mut random(), NOW);
    let genuine = deployment.manifest.snp[0].clone();
    let mut document = deployment.document(&NONCE);
    // Another image; the same image with another minimum: the second gets further.
    snp_report(&mut document).measurement = [7; 48];
    let other_image = snp_reference(snp_report(&mut document));
    set(&mut deployment, &["MinimumTCB", "MicrocodeVersion"], json("99"));
    let other_minimum = deployment.manifest.snp[0].clone();
    deployment.manifest.snp = vec![other_image.clone(), other_minimum.clone(), other_image.clone()];
    let error = judge(&deployment, &deployment.document(&NONCE)).unwrap_err();
    assert_eq!(error.check(), Some("snp.tcb.minimum"));
    assert!(error.message().contains("tried: 3"), "{error}");
    deployment.manifest.snp = vec![other_image, other_minimum, genuine];
    assert_eq!(judge(&deployment, &deployment.document(&NONCE)).unwrap().reference, 2);
}

/// T19: what is missing is fetched by name; without it nothing is verified, and nothing is called bad either.
#[test]
fn t19_missing_certificates_and_lists() {
    let deployment = Deployment::snp(&mut random(), NOW);
    let roots = roots(&deployment);
    let Hardware::Snp { evidence, .. } = &deployment.hardware else { panic!("not SNP") };
    let manifest = deployment.manifest.to_bytes();
    let expected = Expectations { manifest: &manifest, nonce: &NONCE, capabilities: None };
    for (give_vcek, give_crl, code) in [
        (true, true, None),
        (false, true, Some(Code::CollateralMissing)),
        (true, false, Some(Code::CrlExpired)),
        (false, false, Some(Code::CollateralMissing)),
    ] {
        let spec = DocumentSpec { give_vcek, give_crl, ..deployment.document(&NONCE) };
        let document = ContrastDocument::from_answer(&spec.answer()).unwrap();
        let Need::Snp { requests, vcek, crl } = needs(&document, &roots, NOW).unwrap() else {
            panic!("not SNP")
        };
        assert_eq!((vcek, crl), (!give_vcek, !give_crl));
        let kept = VerifiedVek::verify(&evidence.endorsements, SigningKey::Vcek, &roots, NOW).unwrap();
        assert_eq!(requests, kept.kds_requests());
        assert_eq!(requests.crl, "/vcek/v1/Genoa/crl");
        let verdict = |collateral: &Collateral<'_>| verify(&document, &expected, collateral, &roots, NOW);
        let bare = verdict(&Collateral::default());
        assert_eq!(bare.as_ref().err().map(Error::code), code);
        assert!(bare.is_ok() || bare.is_err_and(|error| error.code().class() == Class::Indeterminate));
        let fetched = SnpEndorsements {
            vcek: evidence.endorsements.vcek.clone(),
            crl: evidence.endorsements.crl.clone(),
            ..SnpEndorsements::new()
        };
        let with = verdict(&Collateral { snp: Some(&fetched), ..Collateral::default() }).unwrap();
        // A certificate that was verified before gives the same.
        let again = verdict(&Collateral { vek: Some(&kept), ..Collateral::default() }).unwrap();
        assert_eq!(with.get(), again.get());
    }
    // A list that is not current has to be fetched, and so has one that somebody else signed.
    let late = NOW + 400 * DAY_S;
    let document = ContrastDocument::from_answer(&deployment.answer(&NONCE)).unwrap();
    for (roots, at) in [(&roots, late), (&TrustRoots::vendors(), NOW)] {
        assert!(matches!(needs(&document, roots, at).unwrap(), Need::Snp { crl: true, vcek: false, .. }));
    }
    let verdict = verify(&document, &expected, &Collateral::default(), &roots, late);
    assert_eq!(verdict.unwrap_err().code(), Code::CrlExpired);
    let verdict = verify(&document, &expected, &Collateral::default(), &TrustRoots::vendors(), NOW);
    assert_eq!(verdict.unwrap_err().code(), Code::SnpChain);
}

/// T19: an issuer that AMD revoked.
#[test]
fn t19_revoked_issuer() {
    let deployment = Deployment::snp_with(&mut random(), NOW, |spec| {
        let serial = spec.issuer.serial.clone();
        spec.crl.as_mut().unwrap().revoked.push(serial);
    });
    let error = judge(&deployment, &deployment.document(&NONCE)).unwrap_err();
    assert_eq!((error.code(), error.check()), (Code::SnpRevoked, Some("snp.chain.revoked")));
}

/// A kept certificate of another chip, or of other patch levels, is not used.
#[test]
fn kept_certificates_of_others() {
    let deployment = Deployment::snp(&mut random(), NOW);
    let other = Deployment::snp(&mut Random::from_seed([3; 32]), NOW);
    let Hardware::Snp { evidence, .. } = &other.hardware else { panic!("not SNP") };
    let kept = VerifiedVek::verify(&evidence.endorsements, SigningKey::Vcek, &roots(&other), NOW).unwrap();
    let document = ContrastDocument::from_answer(&deployment.answer(&NONCE)).unwrap();
    let manifest = deployment.manifest.to_bytes();
    let expected = Expectations { manifest: &manifest, nonce: &NONCE, capabilities: None };
    let collateral = Collateral { vek: Some(&kept), ..Collateral::default() };
    assert!(verify(&document, &expected, &collateral, &roots(&deployment), NOW).is_ok());
}

/// T07, T17, T18: signed quotes of TDs that the manifest does not accept.
#[test]
fn t17_quotes_against_the_reference_value() {
    let deployment = Deployment::tdx(&mut random(), NOW);
    let cases: &[(&str, fn(&mut TdBody), Code, &str)] = &[
        ("debug", |b| b.td_attributes[0] |= 1, Code::DebugTd, "tdx.attributes.debug"),
        ("faults", |b| b.td_attributes[3] = 0, Code::TdAttributes, "tdx.attributes.sept_ve_disable"),
        ("protection keys", |b| b.td_attributes[3] |= 0x40, Code::TdAttributes, "contrast.td_attributes"),
        ("features", |b| b.xfam[0] = 3, Code::TdXfam, "contrast.xfam"),
        ("firmware", |b| b.mr_td[0] ^= 1, Code::MeasurementRefused, "tdx.policy.mr_td"),
        ("register 0", |b| b.rtmr[0][0] ^= 1, Code::MeasurementRefused, "tdx.policy.rtmr0"),
        ("register 3", |b| b.rtmr[3][47] ^= 1, Code::MeasurementRefused, "tdx.policy.rtmr3"),
        ("module", |b| b.mr_seam[0] ^= 1, Code::MeasurementRefused, "tdx.policy.mr_seam"),
        ("configuration", |b| b.mr_config_id[0] ^= 1, Code::MeasurementRefused, "tdx.policy.mr_config_id"),
        (
            "configuration's tail",
            |b| b.mr_config_id[47] = 1,
            Code::MeasurementRefused,
            "tdx.policy.mr_config_id",
        ),
    ];
    for (name, change, code, check) in cases {
        let mut document = deployment.document(&NONCE);
        change(tdx_body(&mut document));
        let error = judge(&deployment, &document).unwrap_err();
        assert_eq!((error.code(), error.check()), (*code, Some(*check)), "{name}: {error}");
    }
    let mut document = deployment.document(&NONCE);
    document.nonce = [1; 32];
    let error = judge(&deployment, &document).unwrap_err();
    assert_eq!((error.code(), error.check()), (Code::ReportDataMismatch, Some("tdx.policy.report_data")));

    let values: &[(&[&str], &str, Option<&str>)] = &[
        (&["MinTCBEvaluationDataNumber"], "1", None),
        (&["MinTCBEvaluationDataNumber"], "4000000000", Some("tdx.tcb.evaluation_number")),
        (&["AllowedPIIDs"], "null", None),
        (&["AllowedPIIDs"], "[\"00112233445566778899aabbccddeeff\"]", Some("contrast.piid")),
        (&["MemoryIntegrity"], "true", Some("contrast.memory_integrity")),
        (&["SMTDisabled"], "true", Some("contrast.smt_disabled")),
        (&["StaticPlatform"], "true", Some("contrast.static_platform")),
        (&["Xfam"], "\"e702060000000001\"", Some("contrast.xfam")),
    ];
    for (path, value, check) in values {
        let mut deployment = deployment.clone();
        set(&mut deployment, path, json(value));
        let verdict = judge(&deployment, &deployment.document(&NONCE));
        assert_eq!(verdict.as_ref().err().and_then(Error::check), *check, "{path:?} {value}");
    }
}

/// T17: each status counts, and what is missing is not called bad.
#[test]
fn t17_collateral_of_a_coordinator() {
    let deployment = Deployment::tdx(&mut random(), NOW);
    let Hardware::Tdx { world, .. } = &deployment.hardware else { panic!("not TDX") };
    let document = ContrastDocument::from_answer(&deployment.answer(&NONCE)).unwrap();
    let manifest = deployment.manifest.to_bytes();
    let expected = Expectations { manifest: &manifest, nonce: &NONCE, capabilities: None };
    let roots = roots(&deployment);
    let Need::Tdx { platform, requests } = needs(&document, &roots, NOW).unwrap() else { panic!("not TDX") };
    assert_eq!(platform.fmspc, world.platform.spec.fmspc);
    assert!(requests.tcb_info.ends_with(&const_hex::encode_upper(platform.fmspc)));
    let verdict = |collateral: &Collateral<'_>| verify(&document, &expected, collateral, &roots, NOW);
    assert_eq!(verdict(&Collateral::default()).unwrap_err().code(), Code::CollateralMissing);
    let raw = collateral(&deployment).unwrap();
    let kept = VerifiedCollateral::verify(&raw, &roots, NOW).unwrap();
    let with_raw = verdict(&Collateral { tdx: Some(&raw), ..Collateral::default() }).unwrap();
    let with_kept = verdict(&Collateral { tdx_verified: Some(&kept), ..Collateral::default() }).unwrap();
    assert_eq!(with_raw.get(), with_kept.get());

    let mut spec = world.collateral_spec();
    for level in &mut spec.tcb_info.levels {
        level.status = "SWHardeningNeeded".into();
    }
    let old = TdxCollateral::from_json(spec.sign(&world.intel).to_json().as_bytes()).unwrap();
    let error = verdict(&Collateral { tdx: Some(&old), ..Collateral::default() }).unwrap_err();
    assert_eq!(error.code(), Code::TcbStatusRefused);
}

/// T06: single bits of the hardware's message are changed. Whatever still verifies says the same.
#[test]
fn t06_single_bits_of_the_message() {
    for deployment in [Deployment::snp(&mut random(), NOW), Deployment::tdx(&mut random(), NOW)] {
        let mut document = deployment.document(&NONCE);
        if let Hardware::Snp { evidence, .. } = &mut document.hardware {
            // Nobody looks at these two, so any bit of them may change.
            (evidence.endorsements.issuer, evidence.endorsements.root) = (None, None);
        }
        let raw = document.raw_attestation();
        let (roots, tdx) = (roots(&deployment), collateral(&deployment));
        let manifest = deployment.manifest.to_bytes();
        let expected = Expectations { manifest: &manifest, nonce: &NONCE, capabilities: None };
        let collateral = Collateral { tdx: tdx.as_ref(), ..Collateral::default() };
        let judge = |raw: &[u8]| {
            let document = ContrastDocument::from_json(&document.with_raw(raw))?;
            verify(&document, &expected, &collateral, &roots, NOW)
        };
        let honest = judge(&raw).unwrap();
        let mut verified = Vec::new();
        for i in (0..raw.len()).step_by(5) {
            let mut changed = raw.clone();
            changed[i] ^= 1 << (i / 5 % 8);
            if let Ok(claims) = judge(&changed) {
                assert_eq!(claims.get(), honest.get(), "byte {i}");
                verified.push(i);
            }
        }
        // Numbers of fields that are absent anyway, the product's name, line ends of a chain.
        assert!(verified.len() < 24, "{verified:?} of {}", raw.len());
    }
}

/// T04, T10: single bits of everything else that is bound.
#[test]
fn t10_single_bits_of_bound_members() {
    let deployment = Deployment::snp(&mut random(), NOW);
    let honest = deployment.document(&NONCE);
    let raw = honest.raw_attestation();
    let judge = |document: &DocumentSpec| judge_answer(&deployment, &answer(&document.with_raw(&raw)));
    assert!(judge(&honest).is_ok());
    for i in 0..honest.manifests[0].len() {
        let mut document = honest.clone();
        document.manifests[0][i] ^= 1 << (i % 8);
        assert_eq!(judge(&document).unwrap_err().code(), Code::ManifestMismatch, "manifest {i}");
    }
    let change = |text: &str, i: usize| {
        let mut bytes = text.as_bytes().to_vec();
        // Texts stay texts; the lowest bits reach every letter.
        bytes[i] ^= 1 << (i % 4);
        String::from_utf8(bytes).unwrap()
    };
    for i in (0..honest.mesh_ca.len()).step_by(3) {
        let document = DocumentSpec { mesh_ca: change(&honest.mesh_ca, i), ..honest.clone() };
        assert_eq!(judge(&document).unwrap_err().code(), Code::ReportDataMismatch, "authority {i}");
    }
    for i in (0..honest.root_ca.len()).step_by(3) {
        let document = DocumentSpec { root_ca: change(&honest.root_ca, i), ..honest.clone() };
        assert_eq!(judge(&document).unwrap_err().code(), Code::ReportDataMismatch, "root {i}");
    }
}

/// Authorities that the hardware vouches for, and that are none.
#[test]
fn mesh_authorities() {
    let deployment = Deployment::snp(&mut random(), NOW);
    let genuine = &deployment.mesh.mesh_ca;
    let issue = |change: &dyn Fn(&mut Certified)| {
        let mut authority = genuine.clone();
        change(&mut authority);
        pem("CERTIFICATE", &authority.spec.sign(&authority.key))
    };
    let p256 = EcKey::p256(&mut random());
    let cases: &[(&str, String, bool)] = &[
        ("as it is", issue(&|_| {}), true),
        ("followed by another", format!("{}{}", issue(&|_| {}), deployment.mesh.root_pem()), true),
        (
            "P-256",
            issue(&|a| {
                a.spec.spki = p256.spki();
                a.key = p256.clone();
            }),
            true,
        ),
        ("expired", issue(&|a| a.spec.not_after = NOW - 1), false),
        ("early", issue(&|a| a.spec.not_before = NOW + 1), false),
        ("no authority", issue(&|a| a.spec.extensions[0] = Extension::basic_constraints(false, None)), false),
        ("may not issue", issue(&|a| a.spec.extensions[1] = Extension::key_usage_leaf(false)), false),
        ("signed by another key", issue(&|a| a.key = deployment.mesh.root.key.clone()), false),
        ("issued by the root", issue(&|a| a.spec.issuer = deployment.mesh.root.spec.subject.clone()), false),
        ("a workload", pem("CERTIFICATE", &deployment.worker.der), false),
    ];
    for (name, mesh_ca, accepted) in cases {
        let document = DocumentSpec { mesh_ca: mesh_ca.clone(), ..deployment.document(&NONCE) };
        let verdict = judge(&deployment, &document);
        match accepted {
            true => assert!(verdict.is_ok(), "{name}: {verdict:?}"),
            false => assert_eq!(verdict.unwrap_err().code(), Code::MeshCa, "{name}"),
        }
    }
    // What it rests on ends with the authority, if that ends first.
    let soon = issue(&|a| a.spec.not_after = NOW + 5);
    let document = DocumentSpec { mesh_ca: soon, ..deployment.document(&NONCE) };
    assert_eq!(judge(&deployment, &document).unwrap().not_after, NOW + 5);
}

/// T04, T05: who may answer a key exchange.
#[test]
fn t05_key_services() {
    let deployment = Deployment::snp(&mut random(), NOW);
    let claims = judge(&deployment, &deployment.document(&NONCE)).unwrap();
    let (public_key, encapsulated_key) = (vec![1; 1216], vec![2; 1120]);
    let service = &deployment.secret_service;
    let answer = |certified: &Certified| SecretAnswer {
        signature: sign_exchange(&certified.key, &public_key, &encapsulated_key),
        encapsulated_key: encapsulated_key.clone(),
        certificate: certified.der.clone(),
    };
    let judge = |answer: &SecretAnswer, names: &SecretServiceNames| {
        verify_secret_answer(&public_key, answer, &claims, names, NOW).map_err(|error| error.code())
    };
    let manifest = SecretServiceNames::default();
    let dns = SecretServiceNames::Dns("secret.privatemode.ai".into());
    let found = judge(&answer(service), &manifest).unwrap();
    assert_eq!(
        (found.not_after, &found.names),
        (service.spec.not_after, &deployment.manifest.policies[1].names)
    );
    assert_eq!(judge(&answer(service), &dns), Ok(found));
    // Any workload has a certificate of the authority; only the key service has these names.
    assert_eq!(judge(&answer(&deployment.worker), &manifest), Err(Code::MeshCertificate));
    assert_eq!(judge(&answer(&deployment.worker), &dns), Err(Code::MeshCertificate));

    let names = deployment.manifest.policies[1].names.clone();
    let issue = |change: &dyn Fn(&mut Certified)| {
        let mut leaf = service.clone();
        change(&mut leaf);
        leaf.der = leaf.spec.sign(&deployment.mesh.mesh_ca.key);
        leaf
    };
    let without = |place: usize| issue(&|leaf| drop(leaf.spec.extensions.remove(place)));
    let with_names = |names: &[String]| issue(&|leaf| leaf.spec.extensions[2] = dns_names(names));
    let mut reversed = names.clone();
    reversed.reverse();
    let p256 = EcKey::p256(&mut random());
    let cases: &[(&str, Certified, bool)] = &[
        (
            "P-256",
            issue(&|leaf| {
                leaf.spec.spki = p256.spki();
                leaf.key = p256.clone();
            }),
            true,
        ),
        ("names in another order", with_names(&reversed), true),
        ("without extended usage", without(3), true),
        ("one name less", with_names(&names[1..]), false),
        ("one name more", with_names(&[names.clone(), vec!["more".into()]].concat()), false),
        ("no names", without(2), false),
        (
            "another common name",
            issue(&|leaf| leaf.spec.subject = deployment.worker.spec.subject.clone()),
            false,
        ),
        ("for clients only", issue(&|leaf| leaf.spec.extensions[3] = extended_usage(false)), false),
        (
            "an authority",
            issue(&|leaf| leaf.spec.extensions[0] = Extension::basic_constraints(true, None)),
            false,
        ),
        ("expired", issue(&|leaf| leaf.spec.not_after = NOW - 1), false),
        ("early", issue(&|leaf| leaf.spec.not_before = NOW + 1), false),
        ("the authority itself", deployment.mesh.mesh_ca.clone(), false),
        (
            "of the root",
            {
                let mut leaf = service.clone();
                leaf.der = leaf.spec.sign(&deployment.mesh.root.key);
                leaf
            },
            false,
        ),
    ];
    for (name, leaf, accepted) in cases {
        let expected = if *accepted { None } else { Some(Code::MeshCertificate) };
        assert_eq!(judge(&answer(leaf), &manifest).err(), expected, "{name}");
    }
    // Signatures by another key, over other bytes, in another form.
    let honest = answer(service);
    let other = sign_exchange(&deployment.worker.key, &public_key, &encapsulated_key);
    let swapped = sign_exchange(&service.key, &encapsulated_key, &public_key);
    for signature in [other, swapped, Vec::new(), [honest.signature.clone(), vec![0]].concat()] {
        let answer = SecretAnswer { signature, ..honest.clone() };
        assert_eq!(judge(&answer, &manifest), Err(Code::SecretSignature));
    }
    let short = SecretAnswer { encapsulated_key: vec![2; 1119], ..honest };
    assert_eq!(judge(&short, &manifest), Err(Code::MalformedResponse));
}

/// What the document's hardware is put together from is what was taken apart.
#[test]
fn reports_and_quotes_survive_the_message() {
    let mut random = random();
    let snp = Deployment::snp(&mut random, NOW);
    for version in 2..=5 {
        let mut document = snp.document(&NONCE);
        let data = document.bound();
        let report = snp_report(&mut document);
        report.downgrade(version);
        report.report_id = random.bytes();
        report.report_data = data;
        let Hardware::Snp { spec, .. } = &document.hardware else { panic!("not SNP") };
        let genuine = spec.sign_report();
        let read = ContrastDocument::from_json(&document.to_bytes()).unwrap();
        let ContrastHardware::Snp(read) = &read.hardware else { panic!("not SNP") };
        assert_eq!(read.report, genuine, "version {version}");
        let requests: KdsRequests =
            snp::Report::parse(&read.report).unwrap().kds_requests(read.product).unwrap();
        assert!(requests.vcek.unwrap().starts_with("/vcek/v1/Genoa/"));
    }
    let tdx = Deployment::tdx(&mut random, NOW);
    let document = tdx.document(&NONCE);
    let Hardware::Tdx { world, spec } = &document.hardware else { panic!("not TDX") };
    let mut spec = spec.clone();
    spec.body.report_data = document.bound();
    let genuine = world.sign_quote(&spec);
    let read = ContrastDocument::from_json(&document.to_bytes()).unwrap();
    assert_eq!(read.hardware, ContrastHardware::Tdx(genuine));
}
