//! MR_CONFIG_ID: 48 bytes that the host sets at launch, the first of which names the form (`protocols/venice.md` 2.8, item 5).

use super::CONFIG;
use crate::claims::{KeyProvider, MrConfig};
use crate::crypto::{keccak256, sha256};
use crate::error::{Code, Error, Result};
use crate::wire::hex;

/// Prefix of the hashed document of form 3.
const DOCUMENT_PREFIX: &[u8] = b"dstack-mr-config-v3:\0";

/// What the forms bind.
pub(super) struct Bound<'a> {
    pub compose_hash: &'a [u8; 32],
    pub app_id: &'a [u8; 20],
    pub key_provider: Option<&'a KeyProvider>,
    pub document: Option<&'a str>,
}

/// Checks the register; says which form it has.
pub(super) fn check(register: &[u8; 48], bound: &Bound<'_>) -> Result<MrConfig> {
    let (form, expected, meaning) = match register {
        [0, ..] => (0, [0; 32], MrConfig::Unused),
        [1, ..] => (1, *bound.compose_hash, MrConfig::Compose),
        [2, ..] => (2, key_provider_digest(bound)?, MrConfig::ComposeAppAndKeyProvider),
        [3, ..] => match bound.document {
            Some(text) => (3, sha256(&[DOCUMENT_PREFIX, text.as_bytes()]), MrConfig::Document),
            None => return Ok(MrConfig::DocumentNotGiven),
        },
        [form, ..] => return Err(mismatch().expected("form 0 to 3").found(form.to_string())),
    };
    let mut whole = [0; 48];
    for (to, from) in whole.iter_mut().zip([form].iter().chain(&expected)) {
        *to = *from;
    }
    if *register == whole {
        Ok(meaning)
    } else {
        Err(mismatch().expected(hex::short(&whole)).found(hex::short(register)))
    }
}

fn key_provider_digest(bound: &Bound<'_>) -> Result<[u8; 32]> {
    let (kind, id) = match bound.key_provider {
        None => (0, Vec::new()),
        Some(provider) => {
            let kind = match provider.name.as_str() {
                "none" => 0,
                "local" | "local-sgx" => 1,
                "kms" => 2,
                "tpm" => 3,
                other => return Err(mismatch().expected("a known key provider").found(other)),
            };
            let id = hex::decode(&provider.id);
            (kind, id.ok_or_else(|| mismatch().expected("a key provider id in hex"))?)
        }
    };
    Ok(keccak256(&[bound.compose_hash, bound.app_id, &[kind], &id]))
}

fn mismatch() -> Error {
    Error::new(Code::MrConfigIdMismatch).at(CONFIG)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn register(form: u8, digest: &[u8; 32]) -> [u8; 48] {
        let mut register = [0; 48];
        register[0] = form;
        register[1..33].copy_from_slice(digest);
        register
    }

    #[test]
    fn forms() {
        let provider = KeyProvider { name: "kms".into(), id: "0a0b".into() };
        let bound = Bound {
            compose_hash: &[7; 32],
            app_id: &[8; 20],
            key_provider: Some(&provider),
            document: Some("{}"),
        };
        let second = keccak256(&[&[7; 32], &[8; 20], &[2], &[0x0a, 0x0b]]);
        let third = sha256(&[b"dstack-mr-config-v3:", &[0], b"{}"]);
        let mut tail = register(1, &[7; 32]);
        tail[47] = 1;
        let cases = [
            ([0; 48], Some(MrConfig::Unused)),
            (register(1, &[7; 32]), Some(MrConfig::Compose)),
            (register(2, &second), Some(MrConfig::ComposeAppAndKeyProvider)),
            (register(3, &third), Some(MrConfig::Document)),
            (register(0, &[1; 32]), None),
            (register(1, &[6; 32]), None),
            (register(2, &[7; 32]), None),
            (register(3, &second), None),
            (register(4, &[7; 32]), None),
            (tail, None),
        ];
        for (register, expected) in cases {
            match (check(&register, &bound), expected) {
                (Ok(found), Some(expected)) => assert_eq!(found, expected),
                (Err(error), None) => assert_eq!(error.code(), Code::MrConfigIdMismatch),
                (found, _) => panic!("{register:02x?}: {found:?}"),
            }
        }
        let without = Bound { document: None, key_provider: None, ..bound };
        assert_eq!(check(&register(3, &third), &without).unwrap(), MrConfig::DocumentNotGiven);
        let other = KeyProvider { name: "other".into(), id: String::new() };
        let unknown = Bound { key_provider: Some(&other), ..without };
        assert!(check(&register(2, &second), &unknown).is_err());
    }
}
