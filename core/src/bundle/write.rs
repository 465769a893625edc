//! Writes both forms of a bundle.

use super::parts::Writer;
use super::{BundleFile, Evidence, EvidenceBundle, INDEX_FILE, POLICY_FILE, ROOTS_FILE, SCHEMA, collateral};
use crate::appraise::{NotFetched, SnpExpectations, TdxExpectations};
use crate::attest::TrustRoots;
use crate::attest::contrast::SecretServiceNames;
use crate::attest::nvidia::Device;
use crate::claims::DeviceKind;
use crate::error::Error;
use crate::evidence::{GpuEndorsements, SnpEndorsements, TdxCollateral};
use crate::pin;
use crate::provider::ProviderEvidence;
use crate::provider::privatemode::{CapturedExchange, GpuRevocation, ManifestOrigin, PrivatemodeEvidence};
use crate::wire::hex;
use crate::wire::json::Json;

pub(super) fn json(bundle: &EvidenceBundle) -> String {
    document(bundle, &mut Writer::Inline).to_pretty()
}

pub(super) fn files(bundle: &EvidenceBundle) -> Vec<BundleFile> {
    let mut writer = Writer::Files(Vec::new());
    let mut index = document(bundle, &mut writer).to_pretty();
    index.push('\n');
    let parts = if let Writer::Files(parts) = writer { parts } else { Vec::new() };
    let index = BundleFile { name: INDEX_FILE.to_owned(), bytes: index.into_bytes() };
    std::iter::once(index).chain(parts).collect()
}

/// Members in order; absent values have none.
#[derive(Default)]
struct Object(Vec<(String, Json)>);

impl Object {
    fn put(&mut self, name: &str, value: Json) {
        self.0.push((name.to_owned(), value));
    }

    fn text(&mut self, name: &str, value: Option<&str>) {
        if let Some(value) = value {
            self.put(name, Json::String(value.to_owned()));
        }
    }

    fn hex(&mut self, name: &str, value: Option<&[u8]>) {
        if let Some(value) = value {
            self.put(name, Json::String(hex::encode(value)));
        }
    }

    fn json(self) -> Json {
        Json::Object(self.0)
    }
}

fn document(bundle: &EvidenceBundle, writer: &mut Writer) -> Json {
    let mut out = Object::default();
    out.text("schema", Some(SCHEMA));
    out.text("kind", Some(bundle.kind()));
    out.put("at", Json::Number(bundle.at.into()));
    out.put("policy", writer.document(POLICY_FILE, parsed(&bundle.policy.to_json())));
    if let Some(roots) = bundle.custom_roots().and_then(TrustRoots::to_json) {
        out.put("trust_roots", writer.document(ROOTS_FILE, parsed(roots)));
    }
    let evidence = match &bundle.evidence {
        Evidence::Provider(evidence) => provider(evidence, writer),
        Evidence::Snp { report, endorsements, expected } => snp(report, endorsements, expected, writer),
        Evidence::Tdx { quote, collateral, expected } => tdx(quote, collateral, expected, writer),
        Evidence::Nvidia { devices, nonce, endorsements } => nvidia(devices, nonce, endorsements, writer),
    };
    out.put(bundle.kind(), evidence);
    out.json()
}

/// A text that this library wrote.
fn parsed(text: &str) -> Json {
    Json::parse(text.as_bytes()).unwrap_or(Json::Null)
}

fn provider(evidence: &ProviderEvidence, writer: &mut Writer) -> Json {
    let mut out = Object::default();
    out.text("name", Some(evidence.provider.name()));
    out.text("model", evidence.model.as_deref());
    out.text("base_url", Some(&evidence.base_url));
    out.hex("nonce", Some(&evidence.nonce));
    out.put("response", writer.bytes("response.json", &evidence.response));
    out.put("collateral", collateral_list(&evidence.collateral, writer));
    if let Some(failure) = &evidence.collateral_failure {
        out.put("collateral_failure", failure_object(failure));
    }
    out.put("endorsements", gpu_endorsements(&evidence.endorsements, writer));
    if evidence.not_fetched != NotFetched::NOTHING {
        out.put("not_fetched", not_fetched_object(&evidence.not_fetched));
    }
    if let Some(pin) = &evidence.pin {
        // The form of a file of pins, with this one only.
        out.put(
            "pins",
            Json::parse(pin::write_pins(std::slice::from_ref(pin)).as_bytes()).unwrap_or(Json::Null),
        );
    }
    if let Some(own) = &evidence.privatemode {
        out.put("privatemode", privatemode(own, writer));
    }
    out.json()
}

fn privatemode(own: &PrivatemodeEvidence, writer: &mut Writer) -> Json {
    let PrivatemodeEvidence { manifest, origin, endorsements, names, exchange, leniency } = own;
    let mut out = Object::default();
    out.put("manifest", writer.bytes("manifest.json", manifest));
    out.text(
        "manifest_origin",
        Some(match origin {
            ManifestOrigin::Given => "given",
            ManifestOrigin::Provider => "provider",
        }),
    );
    if let Some(endorsements) = endorsements {
        let mut part = Object::default();
        snp_endorsements(endorsements, &mut part, writer);
        out.put("endorsements", part.json());
    }
    if let SecretServiceNames::Dns(name) = names {
        out.text("key_service", Some(name));
    }
    if let GpuRevocation::Lenient { grace_s } = leniency.gpu_revocation {
        out.put("gpu_revocation_grace_s", Json::Number(grace_s.into()));
    }
    if leniency.other_model {
        out.put("allow_other_model", Json::Bool(true));
    }
    if let Some(CapturedExchange { public_key, answer, asked_at }) = exchange {
        let mut part = Object::default();
        part.put("public_key", writer.bytes("public-key.bin", public_key));
        part.put("answer", writer.bytes("key-exchange.json", answer));
        part.put("asked_at", Json::Number((*asked_at).into()));
        out.put("exchange", part.json());
    }
    out.json()
}

fn not_fetched_object(not_fetched: &NotFetched) -> Json {
    let NotFetched { rims, ocsp, nras } = not_fetched;
    let mut out = Object::default();
    for (name, failure) in [("rims", rims), ("ocsp", ocsp), ("nras", nras)] {
        if let Some(failure) = failure {
            out.put(name, failure_object(failure));
        }
    }
    out.json()
}

fn failure_object(error: &Error) -> Json {
    let mut out = Object::default();
    out.text("code", Some(&error.code().text()));
    out.text("check", error.check());
    out.text("expected", error.expected_value());
    out.text("found", error.found_value());
    out.text("context", error.context_text());
    out.json()
}

fn collateral_list(list: &[TdxCollateral], writer: &mut Writer) -> Json {
    let numbered = list.iter().zip(1_usize..);
    let name = |i: usize| format!("collateral-{i}.json");
    Json::Array(numbered.map(|(one, i)| writer.document(&name(i), collateral::write(one))).collect())
}

fn snp(
    report: &[u8],
    endorsements: &SnpEndorsements,
    expected: &SnpExpectations,
    writer: &mut Writer,
) -> Json {
    let mut out = Object::default();
    out.put("report", writer.bytes("report.bin", report));
    snp_endorsements(endorsements, &mut out, writer);
    let mut values = Object::default();
    values.hex("report_data", expected.report_data.as_ref().map(|value| value.as_slice()));
    values.hex("measurement", expected.measurement.as_ref().map(|value| value.as_slice()));
    values.hex("host_data", expected.host_data.as_ref().map(|value| value.as_slice()));
    out.put("expected", values.json());
    out.json()
}

fn snp_endorsements(endorsements: &SnpEndorsements, out: &mut Object, writer: &mut Writer) {
    let SnpEndorsements { vcek, vlek, issuer, root, crl } = endorsements;
    for (name, file, part) in [
        ("vcek", "vcek.der", vcek),
        ("vlek", "vlek.der", vlek),
        ("issuer", "issuer.der", issuer),
        ("root", "root.der", root),
        ("crl", "crl.der", crl),
    ] {
        if let Some(part) = part {
            out.put(name, writer.bytes(file, part));
        }
    }
}

fn tdx(quote: &[u8], collateral: &[TdxCollateral], expected: &TdxExpectations, writer: &mut Writer) -> Json {
    let mut out = Object::default();
    out.put("quote", writer.bytes("quote.bin", quote));
    out.put("collateral", collateral_list(collateral, writer));
    let mut values = Object::default();
    values.hex("report_data", expected.report_data.as_deref());
    for (register, value) in expected.registers() {
        values.hex(register.name(), value.map(|value| value.as_slice()));
    }
    out.put("expected", values.json());
    out.json()
}

fn nvidia(devices: &[Device], nonce: &[u8; 32], endorsements: &GpuEndorsements, writer: &mut Writer) -> Json {
    let mut out = Object::default();
    out.hex("nonce", Some(nonce));
    let mut list = Vec::new();
    for (device, i) in devices.iter().zip(1_usize..) {
        let mut one = Object::default();
        one.put("report", writer.bytes(&format!("device-{i}.report.bin"), &device.report));
        one.put("chain", writer.bytes(&format!("device-{i}.chain.pem"), &device.chain));
        list.push(one.json());
    }
    out.put("devices", Json::Array(list));
    out.put("endorsements", gpu_endorsements(endorsements, writer));
    out.json()
}

fn gpu_endorsements(endorsements: &GpuEndorsements, writer: &mut Writer) -> Json {
    let GpuEndorsements { rims, ocsp, ocsp_nonce, nras } = endorsements;
    let mut out = Object::default();
    let mut list = Vec::new();
    for (rim, i) in rims.iter().zip(1_usize..) {
        let mut one = Object::default();
        one.text("id", rim.id.as_deref());
        one.put("xml", writer.bytes(&format!("rim-{i}.xml"), &rim.xml));
        list.push(one.json());
    }
    out.put("rims", Json::Array(list));
    let answers = ocsp.iter().zip(1_usize..);
    let answers = answers.map(|(answer, i)| writer.bytes(&format!("ocsp-{i}.der"), answer)).collect();
    out.put("ocsp", Json::Array(answers));
    out.hex("ocsp_nonce", ocsp_nonce.as_ref().map(|nonce| nonce.as_slice()));
    let mut list = Vec::new();
    for (answer, i) in nras.iter().zip(1_usize..) {
        let mut one = Object::default();
        let kind = if answer.kind == DeviceKind::Switch { "switch" } else { "gpu" };
        one.text("kind", Some(kind));
        one.put("tokens", writer.bytes(&format!("nras-{i}.tokens.json"), &answer.tokens));
        one.put("jwks", writer.bytes(&format!("nras-{i}.jwks.json"), &answer.jwks));
        list.push(one.json());
    }
    out.put("nras", Json::Array(list));
    out.json()
}
