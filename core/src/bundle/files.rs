//! Bare evidence from files in any order, each known by its content.
//!
//! What a file is decides only where it is put; whether it is genuine is judged later. What fits nowhere is refused: a file that was
//! handed over and silently left out could be the one that matters.

use super::Evidence;
use crate::appraise::{SnpExpectations, TdxExpectations};
use crate::attest::nvidia::{Device, GpuEvidence};
use crate::attest::snp::REPORT_LEN;
use crate::attest::tdx::decode_quote_text;
use crate::claims::DeviceKind;
use crate::error::{Code, Error, Result};
use crate::evidence::{GpuEndorsements, NrasAnswer, RimDocument, SnpEndorsements, TdxCollateral};
use crate::limits::{GPU_MAX_DEVICES, SWITCH_MAX_DEVICES};
use crate::pki::pem;
use crate::wire::der::{self, Der};
use crate::wire::json::Json;
use crate::wire::{base64, hex};

/// Files of one piece of evidence: the endorsements of the largest system.
const FILES_MAX: usize = 512;
/// Begins an SPDM 1.1 request for measurements, which stands before every GPU report.
const SPDM_GET_MEASUREMENTS: [u8; 2] = [0x11, 0xe0];

impl Evidence {
    /// An SEV-SNP report, alone or with its certificate table behind it, and what belongs to it: certificates and revocation list in DER
    /// or PEM, a certificate table. The report may be hex or base64 text. Fails with `evidence_invalid`, naming the file by its number,
    /// or `collateral_malformed`.
    pub fn snp(files: &[&[u8]], expected: SnpExpectations) -> Result<Evidence> {
        check_count(files)?;
        let mut found: Option<Vec<u8>> = None;
        let mut endorsements = SnpEndorsements::new();
        for (file, number) in files.iter().zip(1_usize..) {
            let bytes = binary(file);
            match bytes.split_at_checked(REPORT_LEN) {
                Some((report, table)) if is_snp_report(report) => {
                    if found.replace(report.to_vec()).is_some() {
                        return Err(twice(number, "report"));
                    }
                    if !table.is_empty() {
                        endorsements.add_file(table).map_err(|error| error.context(place(number)))?;
                    }
                }
                _ => endorsements.add_file(&bytes).map_err(|error| error.context(place(number)))?,
            }
        }
        let report = found.ok_or_else(|| lacks("an SEV-SNP report of 1184 bytes"))?;
        Ok(Evidence::Snp { report, endorsements, expected })
    }

    /// A TDX quote, as bytes or as hex or base64 text, and sets of Intel's collateral in the form of nine texts. Fails with
    /// `evidence_invalid`, naming the file by its number, `collateral_malformed` or `collateral_missing`.
    pub fn tdx(files: &[&[u8]], expected: TdxExpectations) -> Result<Evidence> {
        check_count(files)?;
        if expected.report_data.as_ref().is_some_and(|first| first.is_empty() || first.len() > 64) {
            return Err(Error::new(Code::InvalidArgument).at("report_data").expected("1 to 64 bytes"));
        }
        let mut found: Option<Vec<u8>> = None;
        let mut collateral = Vec::new();
        for (file, number) in files.iter().zip(1_usize..) {
            if first_character(file) == Some(b'{') {
                let set = TdxCollateral::from_json(file).map_err(|error| error.context(place(number)))?;
                collateral.push(set);
                continue;
            }
            let quote = match text(file).and_then(|text| decode_quote_text(text).ok()) {
                Some(quote) => quote,
                None => file.to_vec(),
            };
            if !matches!(quote.get(..2), Some([4 | 5, 0])) {
                return Err(unknown(number, "a TDX quote or collateral"));
            }
            if found.replace(quote).is_some() {
                return Err(twice(number, "quote"));
            }
        }
        let quote = found.ok_or_else(|| lacks("a TDX quote"))?;
        Ok(Evidence::Tdx { quote, collateral, expected: Box::new(expected) })
    }

    /// Devices: SPDM reports and as many PEM chains, paired in order, or JSON lists of both (`evidence_list`, or the list itself); and
    /// what NVIDIA says: manifests (XML), OCSP answers (DER), answers of its attestation service and its key list (JSON). Fails with
    /// `evidence_invalid`, naming the file by its number, or `gpu_evidence_malformed`.
    pub fn nvidia(files: &[&[u8]], nonce: [u8; 32]) -> Result<Evidence> {
        check_count(files)?;
        let mut found = NvidiaFiles::default();
        for (file, number) in files.iter().zip(1_usize..) {
            found.take(file, number)?;
        }
        let NvidiaFiles { mut devices, reports, chains, endorsements, tokens, jwks } = found;
        if reports.len() != chains.len() {
            let have = format!("{} reports and {} chains", reports.len(), chains.len());
            return Err(lacks("a certificate chain for every report").found(have));
        }
        devices.extend(reports.into_iter().zip(chains).map(|(report, chain)| Device { report, chain }));
        if devices.is_empty() {
            return Err(lacks("a report of a GPU or switch"));
        }
        if devices.len() > GPU_MAX_DEVICES.saturating_add(SWITCH_MAX_DEVICES) {
            return Err(Error::new(Code::LimitExceeded).at("GPU devices"));
        }
        let nras = match (tokens, jwks) {
            (tokens, None) if tokens.is_empty() => Vec::new(),
            (tokens, Some(jwks)) if !tokens.is_empty() => {
                let answer = |(kind, tokens)| NrasAnswer { kind, tokens, jwks: jwks.clone() };
                tokens.into_iter().map(answer).collect()
            }
            _ => return Err(lacks("both tokens of the attestation service and its key list")),
        };
        let endorsements = GpuEndorsements { nras, ..endorsements };
        Ok(Evidence::Nvidia { devices, nonce, endorsements })
    }
}

/// Files of devices, sorted.
#[derive(Default)]
struct NvidiaFiles {
    devices: Vec<Device>,
    reports: Vec<Vec<u8>>,
    chains: Vec<Vec<u8>>,
    endorsements: GpuEndorsements,
    tokens: Vec<(DeviceKind, Vec<u8>)>,
    jwks: Option<Vec<u8>>,
}

impl NvidiaFiles {
    fn take(&mut self, file: &[u8], number: usize) -> Result<()> {
        match first_character(file) {
            Some(b'<') => {
                self.endorsements.rims.push(RimDocument { id: None, xml: file.to_vec() });
                return Ok(());
            }
            Some(b'{' | b'[') => return self.take_json(file, number),
            Some(b'-') if file.starts_with(b"-----BEGIN CERTIFICATE") => {
                pem::certificates(file).map_err(|problem| unknown(number, &problem.to_string()))?;
                self.chains.push(file.to_vec());
                return Ok(());
            }
            _ => {}
        }
        let bytes = binary(file);
        if bytes.starts_with(&SPDM_GET_MEASUREMENTS) {
            self.reports.push(bytes);
        } else if Der::new(&bytes).inside(der::SEQUENCE).and_then(|inner| inner.peek())
            == Some(der::ENUMERATED)
        {
            self.endorsements.ocsp.push(bytes);
        } else {
            return Err(unknown(number, "a GPU report, chain, manifest, OCSP answer, token or key list"));
        }
        Ok(())
    }

    fn take_json(&mut self, file: &[u8], number: usize) -> Result<()> {
        let json = Json::parse(file).map_err(|_| unknown(number, "strict JSON"))?;
        if json.get("keys").is_some() {
            return match self.jwks.replace(file.to_vec()) {
                Some(_) => Err(twice(number, "key list")),
                None => Ok(()),
            };
        }
        let token = json.as_array().and_then(|list| list.first()?.as_array()?.first()?.as_str());
        if token == Some("JWT") {
            let devices = json.as_array().and_then(|list| list.get(1)?.as_object());
            let of_gpus = |name: &str| name.starts_with("GPU");
            let gpus = devices.and_then(|devices| devices.first()).is_none_or(|(name, _)| of_gpus(name));
            let kind = if gpus { DeviceKind::Gpu } else { DeviceKind::Switch };
            self.tokens.push((kind, file.to_vec()));
            return Ok(());
        }
        let listed = match &json {
            Json::Array(_) => Json::Object(vec![("evidence_list".to_owned(), json)]),
            _ if json.get("evidence_list").is_some() => json,
            _ => return Err(unknown(number, "evidence of devices, tokens or a key list")),
        };
        let evidence = GpuEvidence::read(Some(&listed)).map_err(|error| error.context(place(number)))?;
        self.devices.extend_from_slice(evidence.devices());
        Ok(())
    }
}

fn check_count(files: &[&[u8]]) -> Result<()> {
    if files.len() > FILES_MAX {
        return Err(Error::new(Code::LimitExceeded).at("files").expected(format!("at most {FILES_MAX}")));
    }
    Ok(())
}

/// Versions 2 to 5 in four bytes.
fn is_snp_report(bytes: &[u8]) -> bool {
    matches!(bytes.get(..4), Some([2..=5, 0, 0, 0]))
}

fn text(file: &[u8]) -> Option<&str> {
    std::str::from_utf8(file).ok().map(str::trim)
}

fn first_character(file: &[u8]) -> Option<u8> {
    let file = file.strip_prefix(b"\xef\xbb\xbf").unwrap_or(file);
    file.iter().copied().find(|byte| !byte.is_ascii_whitespace())
}

/// The bytes behind hex or base64 text; anything else as it is.
fn binary(file: &[u8]) -> Vec<u8> {
    let decoded = text(file).and_then(|text| hex::decode_prefixed(text).or_else(|| base64::decode_any(text)));
    decoded.unwrap_or_else(|| file.to_vec())
}

fn place(number: usize) -> String {
    format!("This is file {number}.")
}

fn unknown(number: usize, expected: &str) -> Error {
    Error::new(Code::EvidenceInvalid).at(format!("file {number}")).expected(expected)
}

fn twice(number: usize, what: &str) -> Error {
    Error::new(Code::EvidenceInvalid)
        .at(format!("file {number}"))
        .context(format!("There is a second {what}; judge one at a time."))
}

fn lacks(what: &str) -> Error {
    Error::new(Code::EvidenceInvalid).at("files").expected(what)
}
