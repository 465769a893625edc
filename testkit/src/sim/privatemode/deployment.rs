//! The parts of the deployment that prove themselves: published manifest, coordinator, AMD's service, secret service; honest or with
//! any defect of [`super::Stage::Manifest`], [`super::Stage::Attestation`], [`super::Stage::Collateral`] and
//! [`super::Stage::Exchange`] (privatemode.md 2.1 to 2.3, 3, 4).

use std::collections::BTreeSet;

use proveil_core::evidence::SnpEndorsements;
use proveil_core::wire::json::Json;

use super::defect::Defect;
use crate::forge::contrast::{
    Deployment as Forged, DocumentSpec, GUEST_POLICY, Hardware, MeshPki, answer, dns_names, extended_usage,
    id_key_digest, snp_reference,
};
use crate::forge::snp::{HwidForm, Role};
use crate::forge::x509::Extension;
use crate::forge::{Certified, EcKey, Random, SnpSpec};
use crate::sim::amd::kds_answer;
use crate::sim::nvidia::ServiceAnswer;

/// Object identifier of the kind of evidence that exists for tests of Contrast itself.
const TYPE_INSECURE: [u64; 5] = [1, 3, 9901, 2, 3];
/// More than any manifest may have.
const HUGE: usize = 5 * 1024 * 1024;

type Defects = BTreeSet<Defect>;

/// A deployment on a forged Genoa machine.
pub(super) struct Deployment(Forged);

impl Deployment {
    /// Makes everything, valid around `now`. Takes about two seconds at the first call of a process.
    pub(super) fn generate(random: &mut Random, now: u64) -> Deployment {
        Deployment(Forged::snp(random, now))
    }

    pub(super) fn trust_roots_json(&self) -> String {
        self.0.trust_roots_json()
    }

    /// The deployment as it runs now: of the next release, when a defect says so.
    fn running(&self, defects: &Defects) -> Forged {
        let mut forged = self.0.clone();
        if defects.contains(&Defect::ManifestChanged)
            && let Hardware::Snp { spec, .. } = &mut forged.hardware
        {
            spec.report.measurement.first_mut().into_iter().for_each(|byte| *byte ^= 0xff);
            spec.report.id_key_digest = id_key_digest(&spec.report.measurement, GUEST_POLICY);
            forged.manifest.snp = vec![snp_reference(&spec.report)];
        }
        forged
    }

    /// The manifest that is active.
    pub(super) fn manifest(&self, defects: &Defects) -> Vec<u8> {
        self.running(defects).manifest.to_bytes()
    }

    /// What the manifest's address gives: status, content type, body.
    pub(super) fn published(&self, defects: &Defects) -> ServiceAnswer {
        let has = |defect| defects.contains(&defect);
        let text = String::from_utf8_lossy(&self.manifest(defects)).into_owned();
        if has(Defect::ManifestDown) {
            return (503, "text/plain", Vec::new());
        }
        if has(Defect::ManifestHtml) {
            return (200, "text/html", b"<html><body>Please log in.</body></html>".to_vec());
        }
        let text = if has(Defect::ManifestGarbage) {
            text.chars().take(text.len().div_euclid(2)).collect()
        } else if has(Defect::ManifestDuplicate) {
            text.replacen('{', "{\"Policies\":{},", 1)
        } else if has(Defect::ManifestHuge) {
            format!("{text}{}", " ".repeat(HUGE))
        } else if has(Defect::ManifestReserialized) {
            Json::parse(text.as_bytes()).map(|json| json.to_compact()).unwrap_or_default()
        } else if has(Defect::ManifestOther) {
            let other: Defects = [Defect::ManifestChanged].into();
            String::from_utf8_lossy(&self.manifest(&other)).into_owned()
        } else {
            text
        };
        (200, "application/json", text.into_bytes())
    }

    /// AMD's service; `None` when the path is not one of its.
    pub(super) fn kds(&self, defects: &Defects, path: &str) -> Option<ServiceAnswer> {
        if defects.contains(&Defect::KdsDown) && path.starts_with("/vcek/v1/") {
            return Some((503, "text/plain", Vec::new()));
        }
        let (spec, given) = machine(&self.running(defects), defects)?;
        kds_answer(&spec, &given, path)
    }

    /// The answer to a challenge: text of the body.
    pub(super) fn attest(&self, nonce: &[u8; 32], defects: &Defects, random: &mut Random) -> Vec<u8> {
        let has = |defect| defects.contains(&defect);
        let forged = self.running(defects);
        let mut document = forged.document(nonce);
        if let Some((spec, endorsements)) = machine(&forged, defects)
            && let Hardware::Snp { spec: old, evidence } = &mut document.hardware
        {
            **old = spec;
            evidence.endorsements = endorsements;
        }
        let missing = has(Defect::KdsDown);
        document.give_vcek = !missing && !has(Defect::VcekMissing);
        document.give_crl = !missing && !has(Defect::CrlMissing);
        shape(&mut document, defects);
        history(&mut document, defects, self);
        authorities(&mut document, &forged, defects, random);
        if has(Defect::DocumentGarbage) {
            return answer(b"\x0a\x84\x02this is not JSON");
        }
        let text = document.answer();
        if has(Defect::DocumentDuplicate) {
            let text = String::from_utf8_lossy(&text).into_owned();
            return text.replacen('{', "{\"AttestationDoc\":\"\",", 1).into_bytes();
        }
        text
    }

    /// Key and certificate that answer an exchange.
    pub(super) fn secret_service(&self, defects: &Defects, random: &mut Random) -> Certified {
        let has = |defect| defects.contains(&defect);
        let Forged { mesh, secret_service, worker, manifest, now, .. } = &self.0;
        if has(Defect::CertificateWorkload) {
            return worker.clone();
        }
        let changed = [
            Defect::CertificateOtherCa,
            Defect::CertificateNames,
            Defect::CertificateExpired,
            Defect::CertificateClientOnly,
            Defect::CertificateP256,
        ];
        if !changed.iter().any(|defect| has(*defect)) {
            return secret_service.clone();
        }
        let all = manifest.policies.get(1).map(|policy| policy.names.clone()).unwrap_or_default();
        let names: Vec<String> = if has(Defect::CertificateNames) {
            all.into_iter().filter(|name| name != "secret.privatemode.ai").collect()
        } else {
            all
        };
        let other = has(Defect::CertificateOtherCa).then(|| MeshPki::generate(random, *now));
        let mesh = other.as_ref().unwrap_or(mesh);
        let key = if has(Defect::CertificateP256) { EcKey::p256(random) } else { EcKey::p384(random) };
        let mut spec = mesh.leaf_spec(&key, &names, *now);
        if has(Defect::CertificateExpired) {
            spec.not_after = now.saturating_sub(1);
        }
        if has(Defect::CertificateClientOnly) {
            replace(&mut spec.extensions, extended_usage(false));
        }
        replace(&mut spec.extensions, dns_names(&names));
        Certified::issue(key, spec, &mesh.mesh_ca.key)
    }
}

/// Puts an extension in the place of the one of the same identifier.
fn replace(list: &mut [Extension], with: Extension) {
    if let Some(place) = list.iter_mut().find(|extension| extension.oid == with.oid) {
        *place = with;
    }
}

/// Members that say of what kind everything is.
fn shape(document: &mut DocumentSpec, defects: &Defects) {
    for defect in defects {
        match defect {
            Defect::TypeMissing => document.attestation_type = None,
            Defect::TypeOther => document.attestation_type = Some(crate::forge::contrast::TYPE_TDX.to_vec()),
            Defect::TypeInsecure => document.attestation_type = Some(TYPE_INSECURE.to_vec()),
            Defect::PoliciesMissing => document.policies.clear(),
            Defect::FivePartReportData => {
                document.capabilities = Some(b"{\"version\":\"v1.21.0\",\"api_versions\":[\"v1\"]}".to_vec());
            }
            _ => (),
        }
    }
}

/// Which manifests there were, and which challenge is answered.
fn history(document: &mut DocumentSpec, defects: &Defects, deployment: &Deployment) {
    let has = |defect| defects.contains(&defect);
    let earlier = || deployment.manifest(&[Defect::ManifestChanged].into());
    if has(Defect::HistoryEmpty) {
        document.manifests.clear();
    }
    if has(Defect::HistoryTwo) {
        document.manifests.insert(0, earlier());
    }
    if has(Defect::HistoryHidden) {
        let mut whole = document.clone();
        whole.manifests.insert(0, earlier());
        document.report_data = Some(whole.bound());
    }
    if has(Defect::NonceOther) {
        let other = DocumentSpec { nonce: [0x5a; 32], ..document.clone() };
        document.report_data = Some(other.bound());
    }
}

/// The mesh authority in the document.
fn authorities(document: &mut DocumentSpec, forged: &Forged, defects: &Defects, random: &mut Random) {
    let has = |defect| defects.contains(&defect);
    if has(Defect::MeshCaOther) {
        document.report_data = Some(document.bound());
        document.mesh_ca = MeshPki::generate(random, forged.now).mesh_ca_pem();
    }
    let mut spec = forged.mesh.mesh_ca.spec.clone();
    if has(Defect::MeshCaLeaf) {
        replace(&mut spec.extensions, Extension::basic_constraints(false, None));
    }
    if has(Defect::MeshCaExpired) {
        spec.not_after = forged.now.saturating_sub(1);
    }
    if has(Defect::MeshCaLeaf) || has(Defect::MeshCaExpired) {
        let key = &forged.mesh.mesh_ca.key;
        let certified = Certified::issue(key.clone(), spec, key);
        document.mesh_ca = crate::forge::pem("CERTIFICATE", &certified.der);
    }
}

/// The machine that the coordinator runs on, and what AMD says of it.
fn machine(forged: &Forged, defects: &Defects) -> Option<(SnpSpec, SnpEndorsements)> {
    let Hardware::Snp { spec, evidence } = &forged.hardware else { return None };
    let (mut spec, mut given) = ((**spec).clone(), evidence.endorsements.clone());
    for defect in defects {
        report(&mut spec, *defect);
    }
    let signs_anew = [
        Defect::WrongTcb,
        Defect::OtherChip,
        Defect::LookalikeRoot,
        Defect::OtherVcek,
        Defect::RevokedAsk,
        Defect::CrlStale,
        Defect::CrlBadSignature,
    ];
    if signs_anew.iter().any(|defect| defects.contains(defect)) {
        let mut certified = spec.clone();
        defects.iter().for_each(|defect| certificates(&mut certified, *defect));
        given = certified.sign().endorsements;
    }
    Some((spec, given))
}

/// What is wrong with the report, which is then signed.
fn report(spec: &mut SnpSpec, defect: Defect) {
    let report = &mut spec.report;
    match defect {
        Defect::ReportTampered => spec.changed_after.push((0x90, 1)),
        // Nothing else is wrong: the identity block stays that of the manifest's policy.
        Defect::DebugGuest => report.policy |= 1 << 19,
        Defect::LowPrivilege => report.vmpl = 1,
        Defect::WrongMeasurement => {
            report.measurement.first_mut().into_iter().for_each(|byte| *byte ^= 1);
            report.id_key_digest = id_key_digest(&report.measurement, report.policy);
        }
        Defect::WrongIdKey => report.id_key_digest = id_key_digest(&[7; 48], report.policy),
        Defect::WrongHostData => report.host_data = [7; 32],
        Defect::MitigationMissing => report.mitigations = [0x0f, 0x07],
        Defect::SmtEnabled => report.platform_info |= 1,
        Defect::WrongTcb => {
            let levels = [
                &mut report.reported_tcb,
                &mut report.current_tcb,
                &mut report.committed_tcb,
                &mut report.launch_tcb,
            ];
            for level in levels {
                let [.., snp, _] = level;
                *snp = snp.saturating_sub(1);
            }
            spec.leaf.spl[2] = spec.leaf.spl[2].map(|level| level.saturating_sub(1));
        }
        Defect::OtherChip => {
            report.chip_id = [0x77; 64];
            spec.leaf.hwid = HwidForm::Raw(vec![0x77; 64]);
        }
        _ => (),
    }
}

/// What is wrong with what AMD says.
fn certificates(spec: &mut SnpSpec, defect: Defect) {
    match defect {
        Defect::LookalikeRoot => {
            let stranger = Role::Stranger;
            spec.issuer.spki = stranger.key().spki();
            spec.root.spki = stranger.key().spki();
            for signer in [&mut spec.leaf_signer, &mut spec.issuer_signer, &mut spec.root_signer] {
                signer.role = stranger;
            }
        }
        Defect::OtherVcek => {
            spec.leaf.spki = EcKey::p384(&mut Random::from_seed([0x4b; 32])).spki();
            spec.leaf.hwid = HwidForm::Raw(vec![0x78; 64]);
        }
        Defect::RevokedAsk => {
            let issuer = spec.issuer.serial.clone();
            spec.crl.iter_mut().for_each(|crl| crl.revoked.push(issuer.clone()));
        }
        Defect::CrlStale => {
            let now = spec.now;
            spec.crl.iter_mut().for_each(|crl| crl.next_update = Some(now.saturating_sub(1)));
        }
        Defect::CrlBadSignature => spec.crl_signer.role = Role::Stranger,
        _ => (),
    }
}
