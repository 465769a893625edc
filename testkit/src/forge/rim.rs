//! Reference integrity manifests in NVIDIA's form (attestation.md 3.3): SWID tag, enveloped XML signature, certificate chain.
//!
//! The document is written in canonical form at once, so that the bytes that are hashed and signed are plain text here and no
//! canonicalisation is shared with the verifier. Every field and algorithm name is a knob.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use sha2::{Digest, Sha384};

use super::gpu::Gpu;
use super::intel::Certified;
use super::keys::EcKey;
use super::random::Random;
use super::x509::{Attribute, CertificateSpec, Extension, name};

/// Common name of the root.
pub const ROOT_CN: &str = "NVIDIA CoRIM signing Root CA";
/// Canonical XML 1.1.
pub const C14N11: &str = "http://www.w3.org/2006/12/xml-c14n11";
/// ECDSA with SHA-384.
pub const ECDSA_SHA384: &str = "http://www.w3.org/2001/04/xmldsig-more#ecdsa-sha384";
/// SHA-384.
pub const SHA384: &str = "http://www.w3.org/2001/04/xmldsig-more#sha384";
/// The enveloped-signature transform.
pub const ENVELOPED: &str = "http://www.w3.org/2000/09/xmldsig#enveloped-signature";

const NAMESPACES: &str = " xmlns=\"http://standards.iso.org/iso/19770/-2/2015/schema.xsd\" \
     xmlns:ns0=\"http://standards.iso.org/iso/19770/-2/2015/schema.xsd\" \
     xmlns:ns2=\"http://www.w3.org/2001/04/xmlenc#sha384\"";
const TCG: &str =
    "https://trustedcomputinggroup.org/resource/tcg-reference-integrity-manifest-rim-information-model/";
const DS: &str = "http://www.w3.org/2000/09/xmldsig#";

/// A throw-away chain of manifest signers: root, two intermediates, signer.
#[derive(Clone)]
pub struct RimPki {
    /// Self-signed root.
    pub root: Certified,
    /// `NVIDIA Reference Value GH100 CA`, issued by the root.
    pub product: Certified,
    /// `NVIDIA Reference Value L3 GH100 002`, issued by the product CA.
    pub line: Certified,
    /// `HCC RIM L4 Signer`, issued by the line CA; not a CA.
    pub signer: Certified,
}

impl RimPki {
    /// A fresh one, valid around `now` (Unix seconds); the signer for two years.
    pub fn generate(random: &mut Random, now: u64) -> RimPki {
        let day = super::DAY_S;
        let organization = (Attribute::Organization, "NVIDIA Corporation");
        let subject = |common_name: &str| name(&[(Attribute::CommonName, common_name), organization]);
        let mut make = |issuer: Option<&Certified>, common_name: &str, ca: bool, days: u64| {
            let key = EcKey::p384(random);
            let issuer_key = issuer.map_or(&key, |issuer| &issuer.key).clone();
            let constraints = Extension::basic_constraints(ca, None);
            let usage = if ca { Extension::key_usage_ca(true) } else { Extension::key_usage_leaf(false) };
            let own = subject(common_name);
            let spec = CertificateSpec {
                serial: random.bytes::<16>().to_vec(),
                issuer: issuer.map_or(&own, |issuer| &issuer.spec.subject).clone(),
                subject: own,
                not_before: now.saturating_sub(day.saturating_mul(200)),
                not_after: now.saturating_add(day.saturating_mul(days)),
                spki: key.spki(),
                extensions: vec![
                    Extension::subject_key_id(&key.identifier()),
                    Extension::authority_key_id(&issuer_key.identifier()),
                    constraints,
                    usage,
                ],
            };
            Certified::issue(key, spec, &issuer_key)
        };
        let root = make(None, ROOT_CN, true, 9_000);
        let product = make(Some(&root), "NVIDIA Reference Value GH100 CA", true, 2_500);
        let line = make(Some(&product), "NVIDIA Reference Value L3 GH100 002", true, 800);
        let signer = make(Some(&line), "HCC RIM L4 Signer", false, 530);
        RimPki { root, product, line, signer }
    }

    /// The chain as manifests carry it: signer to root.
    pub fn chain(&self) -> Vec<Vec<u8>> {
        [&self.signer, &self.line, &self.product, &self.root].map(|certified| certified.der.clone()).to_vec()
    }
}

/// One measurement of a manifest.
#[derive(Clone, Debug)]
pub struct RimResource {
    /// Index; block `index + 1` of a report.
    pub index: String,
    /// `True` or `False`.
    pub active: String,
    /// Accepted values, hex.
    pub hashes: Vec<String>,
    /// What `alternatives` says.
    pub alternatives: String,
    /// What `size` says.
    pub size: String,
    /// What `type` says.
    pub kind: String,
}

impl RimResource {
    /// A measurement with these values; without any it is inactive and all zeros.
    pub fn new(index: usize, values: &[[u8; 48]]) -> RimResource {
        let hashes = if values.is_empty() {
            vec!["0".repeat(96)]
        } else {
            values.iter().map(const_hex::encode).collect()
        };
        RimResource {
            index: index.to_string(),
            active: if values.is_empty() { "False" } else { "True" }.to_owned(),
            alternatives: hashes.len().to_string(),
            hashes,
            size: "48".to_owned(),
            kind: "Measurement".to_owned(),
        }
    }
}

/// Every field of a manifest and of its signature.
#[derive(Clone, Debug)]
pub struct RimSpec {
    /// `GPU` or `SWITCH`.
    pub edition: String,
    /// Chip.
    pub product: String,
    /// Driver or firmware version.
    pub version: String,
    /// Maker's number.
    pub manufacturer_id: String,
    /// Measurements in order.
    pub resources: Vec<RimResource>,
    /// Text put in front of `</SoftwareIdentity>`, inside what is signed.
    pub extra: String,
    /// URI of the reference.
    pub uri: String,
    /// Algorithm of `CanonicalizationMethod`.
    pub canonicalization: String,
    /// Algorithm of `SignatureMethod`.
    pub signature_method: String,
    /// Algorithm of `DigestMethod`.
    pub digest_method: String,
    /// Algorithms of the transforms in order.
    pub transforms: Vec<String>,
    /// Text put before `<ds:X509Data>`.
    pub key_info: String,
}

/// Indexes that a driver's manifest has values for, as in genuine ones.
pub const DRIVER_INDEXES: [usize; 22] =
    [7, 21, 22, 23, 24, 25, 26, 27, 28, 29, 30, 31, 32, 33, 34, 35, 36, 37, 38, 39, 40, 41];
/// The same of a firmware's manifest.
pub const VBIOS_INDEXES: [usize; 12] = [0, 1, 2, 3, 4, 5, 6, 8, 9, 10, 11, 12];

impl RimSpec {
    /// A manifest that has the values of these devices at `indexes`, and is inactive elsewhere.
    pub fn new(version: &str, product: &str, edition: &str, devices: &[&Gpu], indexes: &[usize]) -> RimSpec {
        let blocks = devices.iter().map(|device| device.measurements.len()).max().unwrap_or(0);
        let resource = |index: usize| {
            let mut values: Vec<[u8; 48]> = Vec::new();
            if indexes.contains(&index) {
                for value in devices.iter().filter_map(|device| device.measurements.get(index)) {
                    if !values.contains(value) {
                        values.push(*value);
                    }
                }
            }
            RimResource::new(index, &values)
        };
        RimSpec {
            edition: edition.to_owned(),
            product: product.to_owned(),
            version: version.to_owned(),
            manufacturer_id: "5703".to_owned(),
            resources: (0..blocks).map(resource).collect(),
            extra: String::new(),
            uri: String::new(),
            canonicalization: C14N11.to_owned(),
            signature_method: ECDSA_SHA384.to_owned(),
            digest_method: SHA384.to_owned(),
            transforms: vec![ENVELOPED.to_owned(), C14N11.to_owned()],
            key_info: String::new(),
        }
    }

    /// The resource with this index.
    pub fn resource(&mut self, index: usize) -> Option<&mut RimResource> {
        self.resources.iter_mut().find(|resource| resource.index == index.to_string())
    }

    /// The document without signature and without the root's end tag, canonical.
    pub fn content(&self) -> String {
        let mut out = format!(
            "<SoftwareIdentity{NAMESPACES} corpus=\"false\" name=\"{product}\" patch=\"false\" supplemental=\"false\" \
             tagId=\"00\" tagVersion=\"0\" version=\"1.0\">\n    \
             <ns0:Entity name=\"NVIDIA Corporation\" role=\"softwareCreator tagCreator\"></ns0:Entity>\n    \
             <ns0:Meta xmlns:ns1=\"{TCG}\" PayloadType=\"direct\" colloquialVersion=\"{version}\" edition=\"{edition}\" \
             product=\"{product}\" revision=\"r1\" ns1:BindingSpec=\"RIMIM\" ns1:FirmwareManufacturerId=\"{id}\">\
             </ns0:Meta>\n    <ns0:Payload xmlns:SHA384=\"http://www.w3.org/2001/04/xmlenc#sha384\">\n",
            product = self.product,
            version = self.version,
            edition = self.edition,
            id = self.manufacturer_id,
        );
        for resource in &self.resources {
            out.push_str(&format!(
                "        <ns0:Resource active=\"{}\" alternatives=\"{}\" index=\"{}\" name=\"Measurement_{}\" size=\"{}\" type=\"{}\"",
                resource.active, resource.alternatives, resource.index, resource.index, resource.size, resource.kind,
            ));
            let mut hashes: Vec<(String, &String)> =
                resource.hashes.iter().enumerate().map(|(i, hash)| (format!("Hash{i}"), hash)).collect();
            hashes.sort();
            for (name, hash) in hashes {
                out.push_str(&format!(" ns2:{name}=\"{hash}\""));
            }
            out.push_str("></ns0:Resource>\n");
        }
        out.push_str("    </ns0:Payload>");
        out.push_str(&self.extra);
        out.push('\n');
        out
    }

    /// The signed document, as NVIDIA's service serves it: empty elements in their short form.
    pub fn sign(&self, key: &EcKey, chain: &[Vec<u8>]) -> String {
        self.sign_other(&self.content(), key, chain)
    }

    /// A document whose signature is over other content than it has.
    pub fn sign_other(&self, signed_content: &str, key: &EcKey, chain: &[Vec<u8>]) -> String {
        let digest = STANDARD.encode(Sha384::digest(format!("{signed_content}</SoftwareIdentity>")));
        let transforms: String = self
            .transforms
            .iter()
            .map(|algorithm| format!("<ds:Transform Algorithm=\"{algorithm}\"></ds:Transform>"))
            .collect();
        let inner = format!(
            "<ds:CanonicalizationMethod Algorithm=\"{}\"></ds:CanonicalizationMethod>\
             <ds:SignatureMethod Algorithm=\"{}\"></ds:SignatureMethod>\
             <ds:Reference URI=\"{}\"><ds:Transforms>{transforms}</ds:Transforms>\
             <ds:DigestMethod Algorithm=\"{}\"></ds:DigestMethod>\
             <ds:DigestValue>{digest}</ds:DigestValue></ds:Reference>",
            self.canonicalization, self.signature_method, self.uri, self.digest_method,
        );
        // As a part of its own, SignedInfo carries the namespaces that are in scope around it.
        let around = NAMESPACES.replacen(" xmlns:ns0", &format!(" xmlns:ds=\"{DS}\" xmlns:ns0"), 1);
        let canonical = format!("<ds:SignedInfo{around}>{inner}</ds:SignedInfo>");
        let value = STANDARD.encode(key.sign_fixed(canonical.as_bytes()));
        let certificates: String = chain
            .iter()
            .map(|der| format!("<ds:X509Certificate>{}\n</ds:X509Certificate>", STANDARD.encode(der)))
            .collect();
        let document = format!(
            "{}<ds:Signature xmlns:ds=\"{DS}\"><ds:SignedInfo>{inner}</ds:SignedInfo><ds:SignatureValue>{value}</ds:SignatureValue>\
             <ds:KeyInfo>{}<ds:X509Data>{certificates}</ds:X509Data></ds:KeyInfo></ds:Signature></SoftwareIdentity>\n",
            self.content(),
            self.key_info,
        );
        let short = [
            "ns0:Resource",
            "ns0:Meta",
            "ns0:Entity",
            "ds:Transform",
            "ds:DigestMethod",
            "ds:SignatureMethod",
        ];
        short.iter().fold(document, |text, name| text.replace(&format!("></{name}>"), "/>"))
    }
}
