//! Intel's collateral in a bundle: the nine texts of its file form, each there.

use super::members::Members;
use crate::error::{Code, Error, Result};
use crate::evidence::TdxCollateral;
use crate::limits::{CHAIN_MAX_BYTES, CRL_MAX_BYTES, QE_IDENTITY_MAX_BYTES, TCB_INFO_MAX_BYTES};
use crate::wire::hex;
use crate::wire::json::Json;

/// Longest signature that is kept; a right one has 64 bytes.
const SIGNATURE_MAX_BYTES: usize = 1024;

const NAMES: [&str; 9] = [
    "pck_crl_issuer_chain",
    "root_ca_crl",
    "pck_crl",
    "tcb_info_issuer_chain",
    "tcb_info",
    "tcb_info_signature",
    "qe_identity_issuer_chain",
    "qe_identity",
    "qe_identity_signature",
];

pub(super) fn write(collateral: &TdxCollateral) -> Json {
    let text = |text: &str| Json::String(text.to_owned());
    let bytes = |bytes: &[u8]| Json::String(hex::encode(bytes));
    let values = [
        text(&collateral.pck_crl_issuer_chain),
        bytes(&collateral.root_ca_crl),
        bytes(&collateral.pck_crl),
        text(&collateral.tcb_info_issuer_chain),
        text(&collateral.tcb_info),
        bytes(&collateral.tcb_info_signature),
        text(&collateral.qe_identity_issuer_chain),
        text(&collateral.qe_identity),
        bytes(&collateral.qe_identity_signature),
    ];
    Json::Object(NAMES.iter().map(|name| (*name).to_owned()).zip(values).collect())
}

/// Unlike the file form it may have empty texts: what was used is kept as it was.
pub(super) fn read(value: &Json, path: &str) -> Result<TdxCollateral> {
    let members = Members::of(value, path, &NAMES)?;
    let bounded = |name: &str, length: usize, max: usize| {
        if length > max { Err(Error::new(Code::LimitExceeded).at(members.path_of(name))) } else { Ok(()) }
    };
    let text = |name: &str, max: usize| -> Result<String> {
        let text = members.must_text(name)?;
        bounded(name, text.len(), max)?;
        Ok(text.to_owned())
    };
    let bytes = |name: &str, max: usize| -> Result<Vec<u8>> {
        let text = members.must_text(name)?;
        bounded(name, text.len() / 2, max)?;
        hex::decode(text).ok_or_else(|| members.invalid(name).expected("hex"))
    };
    Ok(TdxCollateral {
        pck_crl_issuer_chain: text("pck_crl_issuer_chain", CHAIN_MAX_BYTES)?,
        root_ca_crl: bytes("root_ca_crl", CRL_MAX_BYTES)?,
        pck_crl: bytes("pck_crl", CRL_MAX_BYTES)?,
        tcb_info_issuer_chain: text("tcb_info_issuer_chain", CHAIN_MAX_BYTES)?,
        tcb_info: text("tcb_info", TCB_INFO_MAX_BYTES)?,
        tcb_info_signature: bytes("tcb_info_signature", SIGNATURE_MAX_BYTES)?,
        qe_identity_issuer_chain: text("qe_identity_issuer_chain", CHAIN_MAX_BYTES)?,
        qe_identity: text("qe_identity", QE_IDENTITY_MAX_BYTES)?,
        qe_identity_signature: bytes("qe_identity_signature", SIGNATURE_MAX_BYTES)?,
    })
}
