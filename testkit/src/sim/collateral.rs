//! Intel-style collateral endpoints (attestation.md 2.3), honest or with any defect of [`super::Stage::Collateral`].

use std::collections::BTreeSet;

use super::defect::Defect;
use super::reply::{Reply, query_value};
use crate::forge::collateral::{Collateral, CollateralSpec, Signer};
use crate::forge::{DAY_S, World, pem};

/// The collateral that a world serves with these defects switched on.
pub fn collateral(world: &World, defects: &BTreeSet<Defect>) -> Collateral {
    let mut spec = world.collateral_spec();
    for defect in defects {
        edit(&mut spec, world, *defect);
    }
    let mut signed = spec.sign(&world.intel);
    if defects.contains(&Defect::CollateralPckSigned) {
        signed.tcb_info_issuer_chain.clone_from(&world.platform.chain_pem);
    }
    signed
}

fn edit(spec: &mut CollateralSpec, world: &World, defect: Defect) {
    let now = world.now;
    let stranger = || Signer::Other(world.stranger.clone());
    let info = &mut spec.tcb_info;
    match defect {
        Defect::TcbOutOfDate => info.set_status("OutOfDate", &["INTEL-SA-01036", "INTEL-SA-01099"]),
        Defect::TcbRevoked => info.set_status("Revoked", &["INTEL-SA-00837"]),
        Defect::TcbNoLevel => {
            info.levels.iter_mut().for_each(|level| level.pce_svn = level.pce_svn.saturating_add(20));
        }
        Defect::CollateralExpired => {
            info.issue_date = now.saturating_sub(DAY_S.saturating_mul(31));
            info.next_update = now.saturating_sub(DAY_S);
        }
        Defect::CollateralFuture => info.issue_date = now.saturating_add(DAY_S),
        Defect::EvalNumberRollback => {
            info.evaluation_number = 12;
            spec.qe_identity.evaluation_number = 12;
        }
        Defect::CollateralBadSignature => spec.tcb_info_signer = stranger(),
        Defect::CollateralPckSigned => spec.tcb_info_signer = Signer::Other(world.platform.pck.key.clone()),
        Defect::QeIdentityBadSignature => spec.qe_identity_signer = stranger(),
        Defect::CrlBadSignature => spec.pck_crl_signer = stranger(),
        Defect::CollateralOtherPlatform => info.fmspc[0] ^= 0xff,
        Defect::CrlExpired => {
            spec.pck_crl.this_update = now.saturating_sub(DAY_S.saturating_mul(31));
            spec.pck_crl.next_update = Some(now.saturating_sub(DAY_S));
        }
        Defect::PckRevoked => spec.pck_crl.revoked.push(world.platform.pck.spec.serial.clone()),
        Defect::IntermediateRevoked => spec.root_crl.revoked.push(world.intel.pck_ca.spec.serial.clone()),
        _ => (),
    }
}

/// Answers a request for collateral; `None` when the path is not one of its endpoints.
pub(super) fn respond(world: &World, defects: &BTreeSet<Defect>, path: &str, query: &str) -> Option<Reply> {
    const TCB: &str = "/tdx/certification/v4/tcb";
    const QE: &str = "/tdx/certification/v4/qe/identity";
    const PCK_CRL: &str = "/sgx/certification/v4/pckcrl";
    const ROOT_CRL: &str = "/IntelSGXRootCA.der";
    const ROOT_CRL_AT_CACHE: &str = "/sgx/certification/v4/rootcacrl";
    if ![TCB, QE, PCK_CRL, ROOT_CRL, ROOT_CRL_AT_CACHE].contains(&path) {
        return None;
    }
    if defects.contains(&Defect::CollateralDown) {
        return Some(Reply::json(503, "{\"error\":\"Service Unavailable\"}"));
    }
    if defects.contains(&Defect::CollateralHtml) {
        let page = "<html><body>Please log in to this network.</body></html>";
        return Some(Reply::new(200, "text/html", page.as_bytes().to_vec()));
    }
    let collateral = collateral(world, defects);
    Some(match path {
        TCB => {
            let fmspc = const_hex::encode(world.platform.spec.fmspc);
            if !query_value(query, "fmspc").is_some_and(|asked| asked.eq_ignore_ascii_case(&fmspc)) {
                return Some(Reply::new(404, "text/plain", Vec::new()));
            }
            Reply::json(200, &collateral.tcb_info_body())
                .header("tcb-info-issuer-chain", &url_encode(&collateral.tcb_info_issuer_chain))
        }
        QE => Reply::json(200, &collateral.qe_identity_body())
            .header("sgx-enclave-identity-issuer-chain", &url_encode(&collateral.qe_identity_issuer_chain)),
        PCK_CRL => {
            if query_value(query, "ca").as_deref() != Some("platform") {
                return Some(Reply::new(404, "text/plain", Vec::new()));
            }
            let chain = url_encode(&collateral.pck_crl_issuer_chain);
            crl(collateral.pck_crl, query).header("sgx-pck-crl-issuer-chain", &chain)
        }
        // A caching service gives the same list as hex text.
        ROOT_CRL_AT_CACHE => {
            Reply::new(200, "text/plain", const_hex::encode(&collateral.root_ca_crl).into_bytes())
        }
        _ => Reply::new(200, "application/pkix-crl", collateral.root_ca_crl),
    })
}

fn crl(list: Vec<u8>, query: &str) -> Reply {
    if query_value(query, "encoding").as_deref() == Some("der") {
        Reply::new(200, "application/pkix-crl", list)
    } else {
        Reply::new(200, "application/x-pem-file", pem("X509 CRL", &list).into_bytes())
    }
}

/// Percent-encoding as Intel's service uses it for chains in headers: everything but unreserved characters.
fn url_encode(text: &str) -> String {
    text.bytes().fold(String::new(), |mut out, byte| {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' => out.push(char::from(byte)),
            _ => out.push_str(&format!("%{byte:02X}")),
        }
        out
    })
}
