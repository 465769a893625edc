//! Intel's collateral for one platform (`protocols/attestation.md` 2.3): the nine-string file form, the answers of Intel's
//! provisioning service or a cache of it, and the addresses to ask.

use crate::error::{Code, Error, Result};
use crate::limits::{CHAIN_MAX_BYTES, CRL_MAX_BYTES, QE_IDENTITY_MAX_BYTES, TCB_INFO_MAX_BYTES};
use crate::pki::pem;
use crate::wire::json::{self, Json};
use crate::wire::{base64, hex};

/// The check that failures of this module name.
const FORMAT: &str = "tdx.collateral.format";
/// Largest file form: the parts, twice for hex, and room for names.
const FILE_MAX_BYTES: usize =
    4 * CRL_MAX_BYTES + TCB_INFO_MAX_BYTES + QE_IDENTITY_MAX_BYTES + 4 * CHAIN_MAX_BYTES;

/// Which of Intel's two intermediate authorities issued a platform's certificate.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum CaKind {
    /// `Intel SGX PCK Platform CA` (multi-package platforms; every TDX platform seen).
    Platform,
    /// `Intel SGX PCK Processor CA`.
    Processor,
}

impl CaKind {
    /// The kind with this common name.
    pub fn from_common_name(name: &str) -> Option<CaKind> {
        match name {
            "Intel SGX PCK Platform CA" => Some(CaKind::Platform),
            "Intel SGX PCK Processor CA" => Some(CaKind::Processor),
            _ => None,
        }
    }

    /// The word in request addresses.
    pub const fn word(self) -> &'static str {
        match self {
            CaKind::Platform => "platform",
            CaKind::Processor => "processor",
        }
    }
}

/// Relative addresses of the four items, to be put after a service's base address. They carry no identity of the machine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CollateralRequests {
    /// TCB info, with header `TCB-Info-Issuer-Chain`.
    pub tcb_info: String,
    /// QE identity, with header `SGX-Enclave-Identity-Issuer-Chain`.
    pub qe_identity: String,
    /// Revocation list of the intermediate, with header `SGX-PCK-CRL-Issuer-Chain`.
    pub pck_crl: String,
    /// Revocation list of the root at Intel's certificate host, `https://certificates.trustedservices.intel.com`.
    pub root_crl: String,
    /// The same list at a caching service, under the same base address as the other three; served as hex text.
    pub root_crl_at_cache: String,
}

impl CollateralRequests {
    /// Addresses for a platform.
    pub fn new(fmspc: &[u8; 6], ca: CaKind) -> CollateralRequests {
        CollateralRequests {
            tcb_info: format!("/tdx/certification/v4/tcb?fmspc={}", hex::encode(fmspc).to_uppercase()),
            qe_identity: "/tdx/certification/v4/qe/identity".into(),
            pck_crl: format!("/sgx/certification/v4/pckcrl?ca={}&encoding=der", ca.word()),
            root_crl: "/IntelSGXRootCA.der".into(),
            root_crl_at_cache: "/sgx/certification/v4/rootcacrl".into(),
        }
    }
}

/// Answers of a provisioning service, as received: bodies, and the issuer chains from their headers (URL-encoded PEM).
#[derive(Clone, Copy, Debug)]
pub struct PcsResponses<'a> {
    /// Body of the TCB info answer: `{"tcbInfo":{...},"signature":"hex"}`.
    pub tcb_info: &'a [u8],
    /// Its header `TCB-Info-Issuer-Chain`.
    pub tcb_info_issuer_chain: &'a str,
    /// Body of the QE identity answer: `{"enclaveIdentity":{...},"signature":"hex"}`.
    pub qe_identity: &'a [u8],
    /// Its header `SGX-Enclave-Identity-Issuer-Chain`.
    pub qe_identity_issuer_chain: &'a str,
    /// Body of the PCK CRL answer: DER, PEM, or hex text.
    pub pck_crl: &'a [u8],
    /// Its header `SGX-PCK-CRL-Issuer-Chain`.
    pub pck_crl_issuer_chain: &'a str,
    /// Body of the root CRL answer: DER, PEM, or hex text.
    pub root_crl: &'a [u8],
}

/// Collateral as received. The two JSON texts are exactly the bytes that Intel signed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TdxCollateral {
    /// PEM: intermediate, root.
    pub pck_crl_issuer_chain: String,
    /// DER.
    pub root_ca_crl: Vec<u8>,
    /// DER.
    pub pck_crl: Vec<u8>,
    /// PEM: TCB signing certificate, root.
    pub tcb_info_issuer_chain: String,
    /// The signed JSON text.
    pub tcb_info: String,
    /// `r || s`, 64 bytes when well-formed.
    pub tcb_info_signature: Vec<u8>,
    /// PEM: TCB signing certificate, root.
    pub qe_identity_issuer_chain: String,
    /// The signed JSON text.
    pub qe_identity: String,
    /// `r || s`, 64 bytes when well-formed.
    pub qe_identity_signature: Vec<u8>,
}

impl TdxCollateral {
    /// Reads the file form: an object with nine texts. Other members are ignored, a repeated one is refused. Fails with
    /// `collateral_malformed`, or `collateral_missing` when a member is absent or empty.
    pub fn from_json(bytes: &[u8]) -> Result<TdxCollateral> {
        if bytes.len() > FILE_MAX_BYTES {
            return Err(too_large("collateral"));
        }
        let object = Json::parse(bytes).map_err(|_| malformed("The collateral is not strict JSON."))?;
        if object.as_object().is_none() {
            return Err(malformed("The collateral is not a JSON object."));
        }
        let text = |name: &str| match object.get(name) {
            None | Some(Json::Null) => Err(missing(name)),
            Some(Json::String(text)) if text.is_empty() => Err(missing(name)),
            Some(Json::String(text)) => Ok(text.clone()),
            Some(_) => Err(malformed("A member of the collateral is not a text.").found(name)),
        };
        let bytes = |name: &str| {
            hex::decode(&text(name)?)
                .ok_or_else(|| malformed("A member of the collateral is not hex.").found(name))
        };
        TdxCollateral {
            pck_crl_issuer_chain: text("pck_crl_issuer_chain")?,
            root_ca_crl: bytes("root_ca_crl")?,
            pck_crl: bytes("pck_crl")?,
            tcb_info_issuer_chain: text("tcb_info_issuer_chain")?,
            tcb_info: text("tcb_info")?,
            tcb_info_signature: bytes("tcb_info_signature")?,
            qe_identity_issuer_chain: text("qe_identity_issuer_chain")?,
            qe_identity: text("qe_identity")?,
            qe_identity_signature: bytes("qe_identity_signature")?,
        }
        .bounded()
    }

    /// Writes the file form.
    pub fn to_json(&self) -> String {
        let text = |name: &str, value: &str| (name.to_owned(), Json::String(value.to_owned()));
        Json::Object(vec![
            text("pck_crl_issuer_chain", &self.pck_crl_issuer_chain),
            text("root_ca_crl", &hex::encode(&self.root_ca_crl)),
            text("pck_crl", &hex::encode(&self.pck_crl)),
            text("tcb_info_issuer_chain", &self.tcb_info_issuer_chain),
            text("tcb_info", &self.tcb_info),
            text("tcb_info_signature", &hex::encode(&self.tcb_info_signature)),
            text("qe_identity_issuer_chain", &self.qe_identity_issuer_chain),
            text("qe_identity", &self.qe_identity),
            text("qe_identity_signature", &hex::encode(&self.qe_identity_signature)),
        ])
        .to_compact()
    }

    /// Takes the answers of a provisioning service. The signed JSON is cut out of the text, not written anew. Fails with
    /// `collateral_malformed`, for example for the page of a captive portal.
    pub fn from_pcs_responses(responses: &PcsResponses<'_>) -> Result<TdxCollateral> {
        let (tcb_info, tcb_info_signature) = signed_json(responses.tcb_info, "tcbInfo")?;
        let (qe_identity, qe_identity_signature) = signed_json(responses.qe_identity, "enclaveIdentity")?;
        TdxCollateral {
            pck_crl_issuer_chain: url_decode(responses.pck_crl_issuer_chain)?,
            root_ca_crl: crl_der(responses.root_crl)?,
            pck_crl: crl_der(responses.pck_crl)?,
            tcb_info_issuer_chain: url_decode(responses.tcb_info_issuer_chain)?,
            tcb_info,
            tcb_info_signature,
            qe_identity_issuer_chain: url_decode(responses.qe_identity_issuer_chain)?,
            qe_identity,
            qe_identity_signature,
        }
        .bounded()
    }

    fn bounded(self) -> Result<TdxCollateral> {
        let parts = [
            (self.pck_crl_issuer_chain.len(), CHAIN_MAX_BYTES, "pck_crl_issuer_chain"),
            (self.tcb_info_issuer_chain.len(), CHAIN_MAX_BYTES, "tcb_info_issuer_chain"),
            (self.qe_identity_issuer_chain.len(), CHAIN_MAX_BYTES, "qe_identity_issuer_chain"),
            (self.root_ca_crl.len(), CRL_MAX_BYTES, "root_ca_crl"),
            (self.pck_crl.len(), CRL_MAX_BYTES, "pck_crl"),
            (self.tcb_info.len(), TCB_INFO_MAX_BYTES, "tcb_info"),
            (self.qe_identity.len(), QE_IDENTITY_MAX_BYTES, "qe_identity"),
        ];
        match parts.iter().find(|(length, max, _)| length > max) {
            Some((_, _, name)) => Err(too_large(name)),
            None => Ok(self),
        }
    }
}

/// Cuts `{"<name>": <exact bytes>, "signature": "<hex>"}` apart.
fn signed_json(body: &[u8], name: &str) -> Result<(String, Vec<u8>)> {
    if body.len() > TCB_INFO_MAX_BYTES {
        return Err(too_large(name));
    }
    let text = std::str::from_utf8(body).map_err(|_| malformed("An answer is not UTF-8."))?;
    let members = json::raw_members(text)
        .map_err(|_| malformed("An answer is not a JSON object with distinct members.").expected(name))?;
    let raw = |wanted: &str| {
        members
            .iter()
            .find(|(member, _)| member == wanted)
            .map(|(_, value)| value.get())
            .ok_or_else(|| malformed("An answer lacks a member.").expected(wanted))
    };
    let signature = Json::parse(raw("signature")?.as_bytes())
        .ok()
        .and_then(|value| hex::decode(value.as_str()?))
        .ok_or_else(|| malformed("A signature is not hex text.").expected(name))?;
    Ok((raw(name)?.to_owned(), signature))
}

/// DER, PEM, or the hex or base64 text of DER. DER begins with 0x30, which no text form of it does.
fn crl_der(body: &[u8]) -> Result<Vec<u8>> {
    if body.len() > CRL_MAX_BYTES.saturating_mul(2) {
        return Err(too_large("CRL"));
    }
    if body.first() == Some(&0x30) {
        return Ok(body.to_vec());
    }
    let text = std::str::from_utf8(body).map_err(|_| malformed("A CRL is neither DER nor text."))?.trim();
    let der = if text.starts_with("-----BEGIN") {
        pem::crl(text).ok()
    } else {
        hex::decode(text).or_else(|| base64::decode(text))
    };
    der.filter(|der| der.first() == Some(&0x30)).ok_or_else(|| malformed("A CRL is not DER, PEM or hex."))
}

/// Decodes `%XX`; other characters stand for themselves (a `+` too: base64 contains it, and Intel encodes it anyway).
fn url_decode(text: &str) -> Result<String> {
    if text.len() > CHAIN_MAX_BYTES.saturating_mul(3) {
        return Err(too_large("issuer chain"));
    }
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&byte, tail)) = rest.split_first() {
        rest = tail;
        if byte == b'%' {
            let (digits, tail) = rest
                .split_first_chunk::<2>()
                .ok_or_else(|| malformed("An issuer chain is not URL-encoded."))?;
            let mut decoded = [0];
            if !hex::decode_into(digits, &mut decoded) {
                return Err(malformed("An issuer chain is not URL-encoded."));
            }
            bytes.extend_from_slice(&decoded);
            rest = tail;
        } else {
            bytes.push(byte);
        }
    }
    String::from_utf8(bytes).map_err(|_| malformed("An issuer chain is not text."))
}

fn malformed(context: &str) -> Error {
    Error::new(Code::CollateralMalformed).at(FORMAT).context(context)
}

fn missing(name: &str) -> Error {
    Error::new(Code::CollateralMissing).at(FORMAT).expected(name)
}

fn too_large(name: &str) -> Error {
    Error::new(Code::LimitExceeded).at(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn collateral() -> TdxCollateral {
        TdxCollateral {
            pck_crl_issuer_chain: "-----BEGIN CERTIFICATE-----\nA+/=\n".into(),
            root_ca_crl: vec![0x30, 0],
            pck_crl: vec![0x30, 1, 5],
            tcb_info_issuer_chain: "chain b".into(),
            tcb_info: "{\"id\": \"TDX\" }".into(),
            tcb_info_signature: vec![1; 64],
            qe_identity_issuer_chain: "chain c".into(),
            qe_identity: "{ }".into(),
            qe_identity_signature: vec![2; 64],
        }
    }

    #[test]
    fn file_form_round_trips_and_refuses() {
        let text = collateral().to_json();
        assert_eq!(TdxCollateral::from_json(text.as_bytes()).unwrap(), collateral());
        let cases: &[(String, Code)] = &[
            ("<html>log in</html>".into(), Code::CollateralMalformed),
            ("[]".into(), Code::CollateralMalformed),
            (text.replace("\"tcb_info\":", "\"other\":"), Code::CollateralMissing),
            (text.replace("\"chain b\"", "\"\""), Code::CollateralMissing),
            (text.replace("\"chain b\"", "null"), Code::CollateralMissing),
            (text.replace("\"chain b\"", "7"), Code::CollateralMalformed),
            (text.replace("\"300105\"", "\"30010\""), Code::CollateralMalformed),
            (text.replacen('{', "{\"pck_crl\":\"3000\",", 1), Code::CollateralMalformed),
            (text.replace("chain c", &"c".repeat(CHAIN_MAX_BYTES + 1)), Code::LimitExceeded),
        ];
        for (text, code) in cases {
            assert_eq!(TdxCollateral::from_json(text.as_bytes()).unwrap_err().code(), *code);
        }
    }

    fn answers(tcb_info: &[u8], pck_crl: &[u8], chain: &str) -> Result<TdxCollateral> {
        let signature = "02".repeat(64);
        TdxCollateral::from_pcs_responses(&PcsResponses {
            tcb_info,
            tcb_info_issuer_chain: "chain b",
            qe_identity: format!("{{\"signature\":\"{signature}\",\"enclaveIdentity\":{{ }}}}").as_bytes(),
            qe_identity_issuer_chain: "chain%20c",
            pck_crl,
            pck_crl_issuer_chain: chain,
            root_crl: b"3000\n",
        })
    }

    #[test]
    fn service_answers_keep_the_signed_bytes() {
        let chain = "-----BEGIN%20CERTIFICATE-----%0AA%2B%2F%3D%0A";
        let body = format!("{{\"tcbInfo\":{{\"id\": \"TDX\" }},\"signature\":\"{}\"}}", "01".repeat(64));
        for crl in [&[0x30, 1, 5][..], b"300105", b"-----BEGIN X509 CRL-----\nMAEF\n-----END X509 CRL-----\n"]
        {
            assert_eq!(answers(body.as_bytes(), crl, chain).unwrap(), collateral());
        }
        let twice = body.replacen('{', "{\"tcbInfo\":{},", 1);
        for (body, crl, chain) in [
            (twice.as_str(), &b"3000"[..], chain),
            ("<html></html>", b"3000", chain),
            ("{\"tcbInfo\":{}}", b"3000", chain),
            ("{\"tcbInfo\":{},\"signature\":\"0\"}", b"3000", chain),
            (&body, b"not a crl", chain),
            (&body, b"", chain),
            (&body, b"3000", "%2"),
            (&body, b"3000", "%zz"),
            (&body, b"3000", "%ff"),
        ] {
            let error = answers(body.as_bytes(), crl, chain).unwrap_err();
            assert_eq!(error.code(), Code::CollateralMalformed, "{error}");
        }
    }

    #[test]
    fn request_addresses_carry_the_platform_type_only() {
        let requests = CollateralRequests::new(&[0x90, 0xc0, 0x6f, 0, 0, 0], CaKind::Platform);
        assert_eq!(requests.tcb_info, "/tdx/certification/v4/tcb?fmspc=90C06F000000");
        assert_eq!(requests.pck_crl, "/sgx/certification/v4/pckcrl?ca=platform&encoding=der");
    }
}
