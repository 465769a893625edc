//! Where the value comes from that a check compares with (users.md 9 item 4).
//!
//! A scope in front of a check's id is not part of it here, as in the catalogue.

/// Sources by check id; the longest prefix that ends at a dot or the end of the id counts.
const SOURCES: &[(&str, &str)] = &[
    ("answer.form", "the provider's documented form"),
    ("binding", "the public key in the answer"),
    ("binding.gpu", "the hash in the signed quote"),
    ("binding.report_data", "the signed quote"),
    ("binding.tls", "the signed quote"),
    ("cm.binding", "our challenge, and the action list's hash"),
    ("cm.quote", ROOT_INTEL),
    ("cm.same_td", "the signed quote"),
    ("compose_hash", "the measured event log"),
    ("contrast", "the expected manifest"),
    ("contrast.document", "the protocol"),
    ("contrast.manifest.form", "the protocol"),
    ("contrast.mesh_ca", "the signed report data"),
    ("contrast.secret", "the protocol"),
    ("contrast.secret.certificate", "the attested mesh authority"),
    ("contrast.secret.names", "the expected manifest"),
    ("contrast.secret.signature", "the key service's certificate"),
    ("contrast.tcb_status", "Intel's signed collateral"),
    ("contrast.td_attributes", "the protocol"),
    ("eventlog", "the registers in the signed quote"),
    ("gpu", "NVIDIA's report format"),
    ("gpu.bound", "the policy"),
    ("gpu.cc_mode", "NVIDIA's signed reference manifests"),
    ("gpu.chain", ROOT_NVIDIA),
    ("gpu.duplicate", "the other devices in the answer"),
    ("gpu.fwid", "the device's certificate"),
    ("gpu.measurements", "NVIDIA's signed reference manifests"),
    ("gpu.missing", "the policy"),
    ("gpu.nonce", "our challenge"),
    ("gpu.nras", "NVIDIA's attestation service"),
    ("gpu.ocsp", "NVIDIA's revocation service"),
    ("gpu.policy", "the policy"),
    ("gpu.rim", "NVIDIA's signed reference manifests"),
    ("gpu.signature", "the device's certificate"),
    ("gpu.topology", "the other devices in the answer"),
    ("instance", "the provider's list of instances"),
    ("missing", "the provider's documented form"),
    ("model.echo", "our request"),
    ("mr_config_id", "the measured event log"),
    ("nonce", "our challenge"),
    ("ohttp", "the key that the answer names"),
    ("policy.not_after", "the policy"),
    ("provider.verified", "the provider's own words"),
    ("quote.present", "the provider's documented form"),
    ("snp", "AMD's report format"),
    ("snp.author_key", "the policy"),
    ("snp.chain", "AMD's certificates"),
    ("snp.chain.root", ROOT_AMD),
    ("snp.chip_id", "the chip's certificate"),
    ("snp.chip_id.allowed", "the policy"),
    ("snp.chip_id.hidden", "the policy"),
    ("snp.crl", "AMD's signed revocation list"),
    ("snp.firmware", "the policy"),
    ("snp.guest_svn", "the policy"),
    ("snp.host_data", "the policy's reference values"),
    ("snp.id_key", "the policy"),
    ("snp.measurement", "the policy's reference values"),
    ("snp.platform", "the policy"),
    ("snp.policy", "the policy"),
    ("snp.product", "the chip's certificate"),
    ("snp.report_data", "the expected report data"),
    ("snp.signature", "the chip's certificate"),
    ("snp.tcb", "the policy"),
    ("snp.tcb.mismatch", "the chip's certificate"),
    ("snp.vlek", "the policy"),
    ("snp.vmpl", "the policy"),
    ("software.pin", "the pinned software"),
    ("software.reference", "the policy's reference values"),
    ("tcb_info", "the signed quote"),
    ("tdx", "Intel's quote format"),
    ("tdx.ak_binding", "the quoting enclave's report"),
    ("tdx.attributes", "the policy"),
    ("tdx.collateral", "the time of the check"),
    ("tdx.crl", "Intel's signed revocation lists"),
    ("tdx.fmspc", COLLATERAL_INTEL),
    ("tdx.module", COLLATERAL_INTEL),
    ("tdx.pceid", COLLATERAL_INTEL),
    ("tdx.pck_chain", ROOT_INTEL),
    ("tdx.pck_revoked", "Intel's signed revocation lists"),
    ("tdx.platform", "the policy"),
    ("tdx.policy", "the expected values"),
    ("tdx.policy.report_data", "the expected report data"),
    ("tdx.qe_identity", COLLATERAL_INTEL),
    ("tdx.qe_identity_signature", "Intel's TCB signing key"),
    ("tdx.qe_report_signature", "the platform's certificate"),
    ("tdx.quote_signature", "the attestation key"),
    ("tdx.service_td", "the policy"),
    ("tdx.tcb", COLLATERAL_INTEL),
    ("tdx.tcb.evaluation_number", "the policy"),
    ("tdx.tcb.status", "the policy, by Intel's signed collateral"),
    ("tdx.tcb_info_signature", "Intel's TCB signing key"),
    ("tdx.tcb_signing_chain", ROOT_INTEL),
    ("tdx.xfam", "the policy"),
];

const COLLATERAL_INTEL: &str = "Intel's signed collateral";
const ROOT_AMD: &str = "the pinned AMD root";
const ROOT_INTEL: &str = "the pinned Intel root";
const ROOT_NVIDIA: &str = "the pinned NVIDIA root";

/// What stands in the place of a vendor's root when the caller gave others (threats T68).
const ROOT_CUSTOM: &str = "the CUSTOM root given by the caller";

/// The source for a check id without scope.
pub fn of(id: &str) -> Option<&'static str> {
    let fits =
        |name: &str| id.strip_prefix(name).is_some_and(|rest| rest.is_empty() || rest.starts_with('.'));
    let found = SOURCES.iter().filter(|(name, _)| fits(name)).max_by_key(|(name, _)| name.len());
    found.map(|(_, source)| *source)
}

/// The same under roots that the caller gave.
pub(crate) fn under_custom_roots(source: &str) -> &str {
    if [ROOT_AMD, ROOT_INTEL, ROOT_NVIDIA].contains(&source) { ROOT_CUSTOM } else { source }
}

#[cfg(test)]
mod tests {
    use super::super::catalogue;
    use super::*;

    #[test]
    fn the_longest_prefix_counts() {
        assert_eq!(of("tdx.tcb.status"), Some("the policy, by Intel's signed collateral"));
        assert_eq!(of("tdx.tcb.no_matching_level"), Some(COLLATERAL_INTEL));
        assert_eq!(of("tdx.parse"), Some("Intel's quote format"));
        assert_eq!(of("nonce.cpu"), Some("our challenge"));
        assert_eq!(of("noncense"), None);
        assert_eq!(under_custom_roots(ROOT_INTEL), ROOT_CUSTOM);
        assert_eq!(under_custom_roots("our challenge"), "our challenge");
    }

    #[test]
    fn every_check_that_compares_has_a_source() {
        for id in catalogue::ids().filter(|id| *id != "response.origin") {
            assert!(of(id).is_some(), "{id}");
        }
    }
}
