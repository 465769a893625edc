//! What NVIDIA said about devices as one file, for caches and captures: `proveil.gpu-endorsements/v1`.
//!
//! ```text
//! {"schema":"proveil.gpu-endorsements/v1","rims":[{"id":"...","xml":base64}],"ocsp":[base64],"ocsp_nonce":hex,
//!  "nras":[{"kind":"gpu","tokens":base64,"jwks":base64}]}
//! ```
//!
//! Every member but the schema may be absent. Nothing in it is verified.

use super::{GpuEndorsements, NrasAnswer, RimDocument};
use crate::claims::DeviceKind;
use crate::error::{Code, Error, Result};
use crate::limits::{
    GPU_ENDORSEMENTS_MAX_BYTES, JWKS_MAX_BYTES, NRAS_MAX_BYTES, OCSP_MAX_ANSWERS, OCSP_MAX_BYTES,
    RIM_MAX_BYTES, RIM_MAX_DOCUMENTS,
};
use crate::wire::json::Json;
use crate::wire::{base64, hex};

const SCHEMA: &str = "proveil.gpu-endorsements/v1";
/// The check that failures of this module name.
const FORMAT: &str = "gpu.endorsements.format";
/// One answer about GPUs and one about switches.
const NRAS_MAX_ANSWERS: usize = 2;

impl GpuEndorsements {
    /// Reads the file form: strict, of at most 16 MiB. Fails with `collateral_malformed` or `limit_exceeded`.
    pub fn from_json(bytes: &[u8]) -> Result<GpuEndorsements> {
        if bytes.len() > GPU_ENDORSEMENTS_MAX_BYTES {
            return Err(Error::new(Code::LimitExceeded).at("GPU endorsements"));
        }
        let file = Json::parse(bytes).map_err(|_| malformed("It is not strict JSON."))?;
        members(&file, &["schema", "rims", "ocsp", "ocsp_nonce", "nras"])?;
        if text(&file, "schema")? != Some(SCHEMA) {
            return Err(malformed("It has another schema.").expected(SCHEMA));
        }
        let nonce = text(&file, "ocsp_nonce")?.map(|nonce| {
            hex::decode_array::<32>(nonce).ok_or_else(|| malformed("The nonce is not 32 bytes in hex."))
        });
        Ok(GpuEndorsements {
            rims: list(&file, "rims", RIM_MAX_DOCUMENTS, rim)?,
            ocsp: list(&file, "ocsp", OCSP_MAX_ANSWERS, |answer| decoded(Some(answer), OCSP_MAX_BYTES))?,
            ocsp_nonce: nonce.transpose()?,
            nras: list(&file, "nras", NRAS_MAX_ANSWERS, nras)?,
        })
    }

    /// The file form; equal content gives equal bytes.
    pub fn to_json(&self) -> String {
        let string = |text: String| Json::String(text);
        let bytes = |bytes: &[u8]| Json::String(base64::encode(bytes));
        let mut file = vec![("schema".to_owned(), string(SCHEMA.to_owned()))];
        let mut put = |name: &str, values: Vec<Json>| {
            if !values.is_empty() {
                file.push((name.to_owned(), Json::Array(values)));
            }
        };
        let rim = |document: &RimDocument| {
            let id = document.id.iter().map(|id| ("id".to_owned(), string(id.clone())));
            Json::Object(id.chain([("xml".to_owned(), bytes(&document.xml))]).collect())
        };
        put("rims", self.rims.iter().map(rim).collect());
        put("ocsp", self.ocsp.iter().map(|answer| bytes(answer)).collect());
        let nras = |answer: &NrasAnswer| {
            Json::Object(vec![
                ("kind".to_owned(), string(kind_name(answer.kind).to_owned())),
                ("tokens".to_owned(), bytes(&answer.tokens)),
                ("jwks".to_owned(), bytes(&answer.jwks)),
            ])
        };
        put("nras", self.nras.iter().map(nras).collect());
        if let Some(nonce) = &self.ocsp_nonce {
            file.push(("ocsp_nonce".to_owned(), string(hex::encode(nonce))));
        }
        Json::Object(file).to_compact()
    }

    /// True when NVIDIA said nothing.
    pub fn is_empty(&self) -> bool {
        self.rims.is_empty() && self.ocsp.is_empty() && self.nras.is_empty()
    }
}

const fn kind_name(kind: DeviceKind) -> &'static str {
    match kind {
        DeviceKind::Gpu => "gpu",
        DeviceKind::Switch => "switch",
    }
}

fn rim(entry: &Json) -> Result<RimDocument> {
    members(entry, &["id", "xml"])?;
    Ok(RimDocument {
        id: text(entry, "id")?.map(str::to_owned),
        xml: decoded(entry.get("xml"), RIM_MAX_BYTES)?,
    })
}

fn nras(entry: &Json) -> Result<NrasAnswer> {
    members(entry, &["kind", "tokens", "jwks"])?;
    let kinds = [DeviceKind::Gpu, DeviceKind::Switch];
    let kind = text(entry, "kind")?;
    let kind = kinds.into_iter().find(|known| Some(kind_name(*known)) == kind);
    Ok(NrasAnswer {
        kind: kind.ok_or_else(|| malformed("A token is about another kind of device."))?,
        tokens: decoded(entry.get("tokens"), NRAS_MAX_BYTES)?,
        jwks: decoded(entry.get("jwks"), JWKS_MAX_BYTES)?,
    })
}

/// Checks that it is an object with no other members than these.
fn members(object: &Json, known: &[&str]) -> Result<()> {
    let members = object.as_object().ok_or_else(|| malformed("A part is not an object."))?;
    match members.iter().find(|(name, _)| !known.contains(&name.as_str())) {
        None => Ok(()),
        Some((name, _)) => Err(malformed("It has an unknown member.").found(name.as_str())),
    }
}

fn list<T>(file: &Json, name: &str, most: usize, read: impl Fn(&Json) -> Result<T>) -> Result<Vec<T>> {
    let Some(values) = file.get(name) else { return Ok(Vec::new()) };
    let values = values.as_array().ok_or_else(|| malformed("A list is not a list.").found(name))?;
    if values.len() > most {
        return Err(Error::new(Code::LimitExceeded).at("GPU endorsements").found(name));
    }
    values.iter().map(read).collect()
}

fn text<'a>(object: &'a Json, name: &str) -> Result<Option<&'a str>> {
    let value = object.get(name);
    value
        .map(|value| value.as_str().ok_or_else(|| malformed("A text is not a text.").found(name)))
        .transpose()
}

fn decoded(value: Option<&Json>, limit: usize) -> Result<Vec<u8>> {
    let bytes = value.and_then(Json::as_str).and_then(base64::decode);
    let bytes = bytes.ok_or_else(|| malformed("A document is not in base64."))?;
    if bytes.len() > limit {
        return Err(Error::new(Code::LimitExceeded).at("GPU endorsements"));
    }
    Ok(bytes)
}

fn malformed(context: &str) -> Error {
    Error::new(Code::CollateralMalformed).at(FORMAT).context(context)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn full() -> GpuEndorsements {
        GpuEndorsements {
            rims: vec![
                RimDocument { id: Some("A_1".to_owned()), xml: b"<a/>".to_vec() },
                RimDocument { id: None, xml: b"<b/>".to_vec() },
            ],
            ocsp: vec![vec![0x30, 0], vec![0x30, 1, 0]],
            ocsp_nonce: Some([7; 32]),
            nras: vec![NrasAnswer { kind: DeviceKind::Switch, tokens: b"[]".to_vec(), jwks: b"{}".to_vec() }],
        }
    }

    #[test]
    fn what_is_written_is_read() {
        for all in [full(), GpuEndorsements::default()] {
            let json = all.to_json();
            assert_eq!(GpuEndorsements::from_json(json.as_bytes()), Ok(all.clone()));
            assert_eq!(GpuEndorsements::from_json(json.as_bytes()).unwrap().to_json(), json);
        }
        assert!(GpuEndorsements::default().is_empty() && !full().is_empty());
    }

    #[test]
    fn defects_of_files() {
        let good = full().to_json();
        let many = format!("\"ocsp\":[{}]", vec!["\"MAA=\""; OCSP_MAX_ANSWERS + 1].join(","));
        let cases = [
            (String::new(), Code::CollateralMalformed),
            ("[]".to_owned(), Code::CollateralMalformed),
            (good.replace("/v1", "/v2"), Code::CollateralMalformed),
            (good.replacen("\"rims\"", "\"rim\"", 1), Code::CollateralMalformed),
            (good.replace("\"xml\"", "\"XML\""), Code::CollateralMalformed),
            (good.replace("switch", "toaster"), Code::CollateralMalformed),
            (good.replace("PGEvPg==", "PGEv*g=="), Code::CollateralMalformed),
            (good.replace(&"07".repeat(32), "07"), Code::CollateralMalformed),
            (good.replacen('{', "{\"schema\":\"x\",", 1), Code::CollateralMalformed),
            (good.replacen("\"ocsp\":[\"MAA=\",\"MAEA\"]", &many, 1), Code::LimitExceeded),
            (" ".repeat(GPU_ENDORSEMENTS_MAX_BYTES + 1), Code::LimitExceeded),
        ];
        for (text, code) in cases {
            let shown: String = text.chars().take(80).collect();
            assert_eq!(
                GpuEndorsements::from_json(text.as_bytes()).map_err(|e| e.code()),
                Err(code),
                "{shown}"
            );
        }
    }
}
