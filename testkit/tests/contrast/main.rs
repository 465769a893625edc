//! Contrast deployments on forged hardware: honest ones verify, every defect is refused by the check that is for it
//! (privatemode.md 3 and 4.2; threats.md T01, T04 to T08, T10, T17, T19).

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    reason = "a test fails by panicking"
)]

mod exchange;
mod hardware;
mod mesh;

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

/// Makes a defect of a report.
type ReportChange = fn(&mut SnpReportSpec);
/// Makes a defect of a TD.
type BodyChange = fn(&mut TdBody);

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
