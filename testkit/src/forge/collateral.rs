//! Intel-shaped collateral: TCB info v3, QE identity v2, revocation lists and their issuer chains (attestation.md 2.3, 2.4).

use proveil_core::wire::json::Json;

use super::DAY_S;
use super::intel::{IntelPki, Platform};
use super::keys::EcKey;
use super::text::{hex, number, object, pem_chain, rfc3339, string};
use super::x509::CrlSpec;

/// MRSIGNER of Intel's quoting enclaves (public; attestation.md 2.4).
pub const QE_MRSIGNER: [u8; 32] = [
    0xdc, 0x9e, 0x2a, 0x7c, 0x6f, 0x94, 0x8f, 0x17, 0x47, 0x4e, 0x34, 0xa7, 0xfc, 0x43, 0xed, 0x03, 0x0f,
    0x7c, 0x15, 0x63, 0xf1, 0xba, 0xbd, 0xdf, 0x63, 0x40, 0xc8, 0x2e, 0x0e, 0x54, 0xa8, 0xc5,
];
/// Evaluation number of current collateral (19 in the newest captures).
pub const EVALUATION_NUMBER: u64 = 19;

/// Who signs one piece of collateral.
#[derive(Clone, Default)]
pub enum Signer {
    /// The key that ought to.
    #[default]
    Vendor,
    /// Another key.
    Other(EcKey),
}

impl Signer {
    fn key<'a>(&'a self, vendor: &'a EcKey) -> &'a EcKey {
        match self {
            Signer::Vendor => vendor,
            Signer::Other(key) => key,
        }
    }
}

/// One level of a TCB info.
#[derive(Clone, Debug)]
pub struct TcbLevel {
    /// Least SVN of each SGX component.
    pub sgx: Vec<u8>,
    /// Least PCESVN.
    pub pce_svn: u16,
    /// Least SVN of each TDX component.
    pub tdx: Vec<u8>,
    /// Date of the level, Unix seconds.
    pub date: u64,
    /// `UpToDate`, `OutOfDate`, ...
    pub status: String,
    /// Advisories that the level is subject to.
    pub advisories: Vec<String>,
}

/// One level of a TDX module identity or of a QE identity.
#[derive(Clone, Debug)]
pub struct IsvLevel {
    /// Least ISVSVN.
    pub isv_svn: u16,
    /// Date of the level, Unix seconds.
    pub date: u64,
    /// `UpToDate`, `OutOfDate`, ...
    pub status: String,
    /// Advisories that the level is subject to.
    pub advisories: Vec<String>,
}

impl IsvLevel {
    fn to_json(&self) -> Json {
        level(object([("isvsvn", number(self.isv_svn.into()))]), self.date, &self.status, &self.advisories)
    }
}

/// Identity of a TDX module.
#[derive(Clone, Debug)]
pub struct ModuleIdentity {
    /// `TDX_` and two upper-case hex digits of the major version.
    pub id: String,
    /// MRSIGNERSEAM.
    pub mr_signer: [u8; 48],
    /// SEAM attributes.
    pub attributes: [u8; 8],
    /// Which attribute bits count.
    pub attributes_mask: [u8; 8],
    /// Levels, newest first.
    pub levels: Vec<IsvLevel>,
}

/// Every field of a TCB info.
#[derive(Clone, Debug)]
pub struct TcbInfoSpec {
    /// `TDX`.
    pub id: String,
    /// 3.
    pub version: u64,
    /// Unix seconds.
    pub issue_date: u64,
    /// Unix seconds.
    pub next_update: u64,
    /// Platform type it is about.
    pub fmspc: [u8; 6],
    /// PCEID it is about.
    pub pce_id: [u8; 2],
    /// tcbEvaluationDataNumber.
    pub evaluation_number: u64,
    /// MRSIGNERSEAM of module version 1.0 (`tdxModule`).
    pub module_mr_signer: [u8; 48],
    /// Newer modules.
    pub modules: Vec<ModuleIdentity>,
    /// Platform levels, newest first.
    pub levels: Vec<TcbLevel>,
}

impl TcbInfoSpec {
    /// Issued a day before `now`, with the platform's own level on top as `UpToDate` and an older one below as `OutOfDate`.
    pub fn current(now: u64, platform: &Platform) -> TcbInfoSpec {
        let recent = now.saturating_sub(DAY_S.saturating_mul(390));
        let older = now.saturating_sub(DAY_S.saturating_mul(820));
        let spec = &platform.spec;
        let advisories = ["INTEL-SA-01036", "INTEL-SA-01099"].map(str::to_owned).to_vec();
        let lower = |svn: &u8| svn.saturating_sub(1);
        let up_to_date = TcbLevel {
            sgx: spec.components.to_vec(),
            pce_svn: spec.pce_svn,
            tdx: vec![5, 0, 3, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0],
            date: recent,
            status: "UpToDate".to_owned(),
            advisories: Vec::new(),
        };
        let out_of_date = TcbLevel {
            sgx: spec.components.iter().map(lower).collect(),
            pce_svn: spec.pce_svn.saturating_sub(8),
            tdx: up_to_date.tdx.iter().map(lower).collect(),
            date: older,
            status: "OutOfDate".to_owned(),
            advisories: advisories.clone(),
        };
        let module = |major: u8, up_to_date: u16, old: u16| ModuleIdentity {
            id: format!("TDX_{major:02X}"),
            mr_signer: [0; 48],
            attributes: [0; 8],
            attributes_mask: [0xff; 8],
            levels: vec![
                IsvLevel {
                    isv_svn: up_to_date,
                    date: recent,
                    status: "UpToDate".to_owned(),
                    advisories: Vec::new(),
                },
                IsvLevel {
                    isv_svn: old,
                    date: older,
                    status: "OutOfDate".to_owned(),
                    advisories: advisories.clone(),
                },
            ],
        };
        TcbInfoSpec {
            id: "TDX".to_owned(),
            version: 3,
            issue_date: now.saturating_sub(DAY_S),
            next_update: now.saturating_add(DAY_S.saturating_mul(29)),
            fmspc: spec.fmspc,
            pce_id: spec.pce_id,
            evaluation_number: EVALUATION_NUMBER,
            module_mr_signer: [0; 48],
            modules: vec![module(3, 3, 2), module(1, 6, 4)],
            levels: vec![up_to_date, out_of_date],
        }
    }

    /// Gives the newest platform level another status, as if this platform had fallen behind.
    pub fn set_status(&mut self, status: &str, advisories: &[&str]) {
        if let Some(top) = self.levels.first_mut() {
            top.status = status.to_owned();
            top.advisories = advisories.iter().map(|id| (*id).to_owned()).collect();
        }
    }

    /// The exact text that is signed.
    pub fn to_text(&self) -> String {
        let module = object([
            ("mrsigner", hex(&self.module_mr_signer)),
            ("attributes", hex(&[0; 8])),
            ("attributesMask", string("FF".repeat(8))),
        ]);
        let modules = self
            .modules
            .iter()
            .map(|module| {
                object([
                    ("id", string(module.id.as_str())),
                    ("mrsigner", hex(&module.mr_signer)),
                    ("attributes", hex(&module.attributes)),
                    ("attributesMask", string(const_hex::encode_upper(module.attributes_mask))),
                    ("tcbLevels", Json::Array(module.levels.iter().map(IsvLevel::to_json).collect())),
                ])
            })
            .collect();
        let components = |svns: &[u8]| {
            Json::Array(svns.iter().map(|svn| object([("svn", number((*svn).into()))])).collect())
        };
        let levels = self
            .levels
            .iter()
            .map(|one| {
                let tcb = object([
                    ("sgxtcbcomponents", components(&one.sgx)),
                    ("pcesvn", number(one.pce_svn.into())),
                    ("tdxtcbcomponents", components(&one.tdx)),
                ]);
                level(tcb, one.date, &one.status, &one.advisories)
            })
            .collect();
        object([
            ("id", string(self.id.as_str())),
            ("version", number(self.version)),
            ("issueDate", string(rfc3339(self.issue_date))),
            ("nextUpdate", string(rfc3339(self.next_update))),
            ("fmspc", hex(&self.fmspc)),
            ("pceId", hex(&self.pce_id)),
            ("tcbType", number(0)),
            ("tcbEvaluationDataNumber", number(self.evaluation_number)),
            ("tdxModule", module),
            ("tdxModuleIdentities", Json::Array(modules)),
            ("tcbLevels", Json::Array(levels)),
        ])
        .to_compact()
    }
}

/// Every field of a QE identity.
#[derive(Clone, Debug)]
pub struct QeIdentitySpec {
    /// `TD_QE`.
    pub id: String,
    /// 2.
    pub version: u64,
    /// Unix seconds.
    pub issue_date: u64,
    /// Unix seconds.
    pub next_update: u64,
    /// tcbEvaluationDataNumber.
    pub evaluation_number: u64,
    /// MISCSELECT and its mask.
    pub misc_select: [[u8; 4]; 2],
    /// ATTRIBUTES and their mask.
    pub attributes: [[u8; 16]; 2],
    /// MRSIGNER.
    pub mr_signer: [u8; 32],
    /// ISVPRODID.
    pub isv_prod_id: u16,
    /// Levels, newest first.
    pub levels: Vec<IsvLevel>,
}

impl QeIdentitySpec {
    /// Issued a day before `now`.
    pub fn current(now: u64) -> QeIdentitySpec {
        let mut attributes = [[0; 16]; 2];
        attributes[0][0] = 0x11;
        attributes[1][..8].copy_from_slice(&[0xfb, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff]);
        QeIdentitySpec {
            id: "TD_QE".to_owned(),
            version: 2,
            issue_date: now.saturating_sub(DAY_S),
            next_update: now.saturating_add(DAY_S.saturating_mul(29)),
            evaluation_number: EVALUATION_NUMBER,
            misc_select: [[0; 4], [0xff; 4]],
            attributes,
            mr_signer: QE_MRSIGNER,
            isv_prod_id: 2,
            levels: vec![IsvLevel {
                isv_svn: 4,
                date: now.saturating_sub(DAY_S.saturating_mul(390)),
                status: "UpToDate".to_owned(),
                advisories: Vec::new(),
            }],
        }
    }

    /// The exact text that is signed.
    pub fn to_text(&self) -> String {
        let [misc, misc_mask] = self.misc_select;
        let [attributes, attributes_mask] = self.attributes;
        let upper = |bytes: &[u8]| string(const_hex::encode_upper(bytes));
        object([
            ("id", string(self.id.as_str())),
            ("version", number(self.version)),
            ("issueDate", string(rfc3339(self.issue_date))),
            ("nextUpdate", string(rfc3339(self.next_update))),
            ("tcbEvaluationDataNumber", number(self.evaluation_number)),
            ("miscselect", upper(&misc)),
            ("miscselectMask", upper(&misc_mask)),
            ("attributes", upper(&attributes)),
            ("attributesMask", upper(&attributes_mask)),
            ("mrsigner", upper(&self.mr_signer)),
            ("isvprodid", number(self.isv_prod_id.into())),
            ("tcbLevels", Json::Array(self.levels.iter().map(IsvLevel::to_json).collect())),
        ])
        .to_compact()
    }
}

fn level(tcb: Json, date: u64, status: &str, advisories: &[String]) -> Json {
    let mut members = vec![
        ("tcb".to_owned(), tcb),
        ("tcbDate".to_owned(), string(rfc3339(date))),
        ("tcbStatus".to_owned(), string(status)),
    ];
    if !advisories.is_empty() {
        let list = advisories.iter().map(|id| string(id.as_str())).collect();
        members.push(("advisoryIDs".to_owned(), Json::Array(list)));
    }
    Json::Object(members)
}

/// Everything that goes into one set of collateral, and who signs each piece.
#[derive(Clone)]
pub struct CollateralSpec {
    /// TCB info.
    pub tcb_info: TcbInfoSpec,
    /// QE identity.
    pub qe_identity: QeIdentitySpec,
    /// The root's revocation list.
    pub root_crl: CrlSpec,
    /// The PCK Platform CA's revocation list.
    pub pck_crl: CrlSpec,
    /// Signer of the TCB info.
    pub tcb_info_signer: Signer,
    /// Signer of the QE identity.
    pub qe_identity_signer: Signer,
    /// Signer of the root's list.
    pub root_crl_signer: Signer,
    /// Signer of the PCK list.
    pub pck_crl_signer: Signer,
}

impl CollateralSpec {
    /// Honest, current collateral for a platform.
    pub fn current(pki: &IntelPki, platform: &Platform, now: u64) -> CollateralSpec {
        let yesterday = now.saturating_sub(DAY_S);
        let in_a_month = now.saturating_add(DAY_S.saturating_mul(29));
        let in_a_year = now.saturating_add(DAY_S.saturating_mul(330));
        let last_month = now.saturating_sub(DAY_S.saturating_mul(35));
        CollateralSpec {
            tcb_info: TcbInfoSpec::current(now, platform),
            qe_identity: QeIdentitySpec::current(now),
            root_crl: pki.root_crl(last_month, in_a_year),
            pck_crl: pki.pck_crl(yesterday, in_a_month),
            tcb_info_signer: Signer::Vendor,
            qe_identity_signer: Signer::Vendor,
            root_crl_signer: Signer::Vendor,
            pck_crl_signer: Signer::Vendor,
        }
    }

    /// Signs everything.
    pub fn sign(&self, pki: &IntelPki) -> Collateral {
        let tcb_info = self.tcb_info.to_text();
        let qe_identity = self.qe_identity.to_text();
        let vendor = &pki.tcb_signing.key;
        let signing_chain = pem_chain([pki.tcb_signing.der.as_slice(), pki.root.der.as_slice()]);
        Collateral {
            pck_crl_issuer_chain: pem_chain([pki.pck_ca.der.as_slice(), pki.root.der.as_slice()]),
            root_ca_crl: self.root_crl.sign(self.root_crl_signer.key(&pki.root.key)),
            pck_crl: self.pck_crl.sign(self.pck_crl_signer.key(&pki.pck_ca.key)),
            tcb_info_issuer_chain: signing_chain.clone(),
            tcb_info_signature: self.tcb_info_signer.key(vendor).sign_fixed(tcb_info.as_bytes()),
            tcb_info,
            qe_identity_issuer_chain: signing_chain,
            qe_identity_signature: self.qe_identity_signer.key(vendor).sign_fixed(qe_identity.as_bytes()),
            qe_identity,
        }
    }
}

/// Signed collateral for one platform type, as a verifier receives it.
#[derive(Clone, Debug)]
pub struct Collateral {
    /// PCK Platform CA and root, PEM.
    pub pck_crl_issuer_chain: String,
    /// The root's list, DER.
    pub root_ca_crl: Vec<u8>,
    /// The PCK list, DER.
    pub pck_crl: Vec<u8>,
    /// TCB Signing and root, PEM.
    pub tcb_info_issuer_chain: String,
    /// TCB info, the exact signed text.
    pub tcb_info: String,
    /// `r || s` over it.
    pub tcb_info_signature: Vec<u8>,
    /// TCB Signing and root, PEM.
    pub qe_identity_issuer_chain: String,
    /// QE identity, the exact signed text.
    pub qe_identity: String,
    /// `r || s` over it.
    pub qe_identity_signature: Vec<u8>,
}

impl Collateral {
    /// The nine-string form (evidence index, `collateral_format`).
    pub fn to_json(&self) -> String {
        object([
            ("pck_crl_issuer_chain", string(self.pck_crl_issuer_chain.as_str())),
            ("root_ca_crl", hex(&self.root_ca_crl)),
            ("pck_crl", hex(&self.pck_crl)),
            ("tcb_info_issuer_chain", string(self.tcb_info_issuer_chain.as_str())),
            ("tcb_info", string(self.tcb_info.as_str())),
            ("tcb_info_signature", hex(&self.tcb_info_signature)),
            ("qe_identity_issuer_chain", string(self.qe_identity_issuer_chain.as_str())),
            ("qe_identity", string(self.qe_identity.as_str())),
            ("qe_identity_signature", hex(&self.qe_identity_signature)),
        ])
        .to_compact()
    }

    /// Body of a `tcb` answer: the signed text spliced in unchanged.
    pub fn tcb_info_body(&self) -> String {
        signed_body("tcbInfo", &self.tcb_info, &self.tcb_info_signature)
    }

    /// Body of a `qe/identity` answer.
    pub fn qe_identity_body(&self) -> String {
        signed_body("enclaveIdentity", &self.qe_identity, &self.qe_identity_signature)
    }
}

fn signed_body(member: &str, text: &str, signature: &[u8]) -> String {
    format!("{{\"{member}\":{text},\"signature\":\"{}\"}}", const_hex::encode(signature))
}
