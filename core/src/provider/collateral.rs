//! Fetching of a vendor's collateral on the way of an exchange: the four answers of Intel's service for one platform.

use crate::attest::tdx::Platform;
use crate::error::{Code, Error, Result};
use crate::evidence::{CollateralRequests, PcsResponses, TdxCollateral};
use crate::http::{BaseUrl, HttpRequest, HttpResponse, Method};
use crate::limits;

/// Intel's provisioning certification service.
const INTEL_PCS: &str = "https://api.trustedservices.intel.com";
/// Intel's host for the root's revocation list.
const INTEL_CERTIFICATES: &str = "https://certificates.trustedservices.intel.com";

/// The four answers that make up the collateral of one platform, as they come in.
#[derive(Debug)]
pub(super) struct CollateralFetch {
    requests: CollateralRequests,
    answers: Vec<HttpResponse>,
}

impl CollateralFetch {
    pub fn new(platform: &Platform) -> CollateralFetch {
        CollateralFetch {
            requests: CollateralRequests::new(&platform.fmspc, platform.ca),
            answers: Vec::new(),
        }
    }

    /// The next request, to Intel's service or to the cache of it at `url`.
    pub fn request(&self, url: Option<&BaseUrl>) -> HttpRequest {
        let (service, root_host, root_path) = match url {
            Some(url) => (url.as_str(), url.as_str(), self.requests.root_crl_at_cache.as_str()),
            None => (INTEL_PCS, INTEL_CERTIFICATES, self.requests.root_crl.as_str()),
        };
        let (host, path, purpose, limit) = match self.answers.len() {
            0 => (service, self.requests.tcb_info.as_str(), "Intel TCB info", limits::TCB_INFO_MAX_BYTES),
            1 => (
                service,
                self.requests.qe_identity.as_str(),
                "Intel QE identity",
                limits::QE_IDENTITY_MAX_BYTES,
            ),
            2 => {
                (service, self.requests.pck_crl.as_str(), "Intel PCK revocation list", limits::CRL_MAX_BYTES)
            }
            _ => (root_host, root_path, "Intel root revocation list", limits::CRL_MAX_BYTES),
        };
        HttpRequest::new(Method::Get, format!("{host}{path}"), purpose, limit)
            .header("accept-encoding", "identity")
    }

    /// Takes the answer to [`CollateralFetch::request`]; gives the collateral when it was the last one.
    pub fn take(&mut self, response: HttpResponse) -> Result<Option<TdxCollateral>> {
        check_status(&response, Code::CollateralUnreachable, "collateral")?;
        self.answers.push(response);
        if self.answers.len() < 4 { Ok(None) } else { assemble(&self.answers).map(Some) }
    }
}

/// Puts the four answers together.
fn assemble(answers: &[HttpResponse]) -> Result<TdxCollateral> {
    let [tcb_info, qe_identity, pck_crl, root_crl] = answers else { return Err(Error::new(Code::Internal)) };
    let chain = |answer: &'_ HttpResponse, names: &[&str]| -> Result<String> {
        let header = names.iter().find_map(|name| answer.head().header(name));
        header.map(str::to_owned).ok_or_else(|| {
            Error::new(Code::CollateralUnreachable).at("issuer chain header").expected(names.join(" or "))
        })
    };
    let tcb_chain = chain(tcb_info, &["tcb-info-issuer-chain", "sgx-tcb-info-issuer-chain"])?;
    let qe_chain = chain(qe_identity, &["sgx-enclave-identity-issuer-chain"])?;
    let crl_chain = chain(pck_crl, &["sgx-pck-crl-issuer-chain"])?;
    TdxCollateral::from_pcs_responses(&PcsResponses {
        tcb_info: tcb_info.body(),
        tcb_info_issuer_chain: &tcb_chain,
        qe_identity: qe_identity.body(),
        qe_identity_issuer_chain: &qe_chain,
        pck_crl: pck_crl.body(),
        pck_crl_issuer_chain: &crl_chain,
        root_crl: root_crl.body(),
    })
}

/// 2xx or the error that the status stands for (venice.md 6.1, privatemode.md 2.3). The body is not quoted: it is not authenticated.
pub(super) fn check_status(response: &HttpResponse, unavailable: Code, purpose: &str) -> Result<()> {
    let status = response.head().status();
    let code = match status {
        200..300 => return Ok(()),
        401 | 403 => Code::UpstreamUnauthorized,
        402 => Code::UpstreamPayment,
        404 if purpose == "attestation" => Code::UnknownModel,
        _ => unavailable,
    };
    Err(Error::new(code).at(purpose).found(format!("HTTP {status}")))
}
