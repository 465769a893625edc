use proveil_core::appraise::{SnpExpectations, TdxExpectations};
use proveil_core::attest::TrustRoots;
use proveil_core::bundle::{Evidence, EvidenceBundle};
use proveil_core::policy::Policy;
use proveil_core::{Code, Error, Result};

use crate::now_unix_s;
use crate::options::length;

/// Bare hardware evidence, what is expected of it, and the rules to judge it by, as languages give them. What is expected of another
/// kind of evidence is refused: an expectation that nobody looks at would be a promise.
#[derive(Debug, Default)]
pub struct HardwareOptions {
    /// Files in any order, known by their content.
    pub files: Vec<Vec<u8>>,
    /// snp: 64 bytes; tdx: 1 to 64 first bytes.
    pub report_data: Option<Vec<u8>>,
    /// snp: 48 bytes.
    pub measurement: Option<Vec<u8>>,
    /// snp: 32 bytes.
    pub host_data: Option<Vec<u8>>,
    /// tdx: 48 bytes, as all registers.
    pub mr_td: Option<Vec<u8>>,
    /// tdx.
    pub mr_seam: Option<Vec<u8>>,
    /// tdx.
    pub mr_config_id: Option<Vec<u8>>,
    /// tdx.
    pub mr_owner: Option<Vec<u8>>,
    /// tdx.
    pub mr_owner_config: Option<Vec<u8>>,
    /// tdx.
    pub rtmr0: Option<Vec<u8>>,
    /// tdx.
    pub rtmr1: Option<Vec<u8>>,
    /// tdx.
    pub rtmr2: Option<Vec<u8>>,
    /// tdx.
    pub rtmr3: Option<Vec<u8>>,
    /// What must hold.
    pub policy: Option<Policy>,
    /// Whose signatures count.
    pub trust_roots: Option<TrustRoots>,
    /// Time of the appraisal; `None` is now.
    pub at: Option<u64>,
}

impl HardwareOptions {
    /// An SEV-SNP report with what belongs to it. Fails with `invalid_argument`, or as [`Evidence::snp`] does.
    pub fn snp(self) -> Result<EvidenceBundle> {
        self.refuse("snp", &self.tdx_only())?;
        let expected = SnpExpectations {
            report_data: fixed("report_data", self.report_data.as_deref())?,
            measurement: fixed("measurement", self.measurement.as_deref())?,
            host_data: fixed("host_data", self.host_data.as_deref())?,
        };
        let evidence = Evidence::snp(&slices(&self.files), expected)?;
        self.bundle(evidence)
    }

    /// A TDX quote with collateral. Fails with `invalid_argument`, or as [`Evidence::tdx`] does.
    pub fn tdx(self) -> Result<EvidenceBundle> {
        self.refuse("tdx", &self.snp_only())?;
        let expected = TdxExpectations {
            report_data: self.report_data.clone(),
            mr_td: fixed("mr_td", self.mr_td.as_deref())?,
            mr_seam: fixed("mr_seam", self.mr_seam.as_deref())?,
            mr_config_id: fixed("mr_config_id", self.mr_config_id.as_deref())?,
            mr_owner: fixed("mr_owner", self.mr_owner.as_deref())?,
            mr_owner_config: fixed("mr_owner_config", self.mr_owner_config.as_deref())?,
            rtmr: [
                fixed("rtmr0", self.rtmr0.as_deref())?,
                fixed("rtmr1", self.rtmr1.as_deref())?,
                fixed("rtmr2", self.rtmr2.as_deref())?,
                fixed("rtmr3", self.rtmr3.as_deref())?,
            ],
        };
        let evidence = Evidence::tdx(&slices(&self.files), expected)?;
        self.bundle(evidence)
    }

    /// Devices that answered a 32-byte challenge. Fails with `invalid_argument`, or as [`Evidence::nvidia`] does.
    pub fn nvidia(self, nonce: &[u8]) -> Result<EvidenceBundle> {
        let report_data = [("report_data", self.report_data.is_some())];
        self.refuse("nvidia", &[&self.snp_only()[..], &self.tdx_only(), &report_data].concat())?;
        let nonce = nonce.try_into().map_err(|_| length("nonce", 32, nonce.len()))?;
        let evidence = Evidence::nvidia(&slices(&self.files), nonce)?;
        self.bundle(evidence)
    }

    fn bundle(self, evidence: Evidence) -> Result<EvidenceBundle> {
        let policy = self.policy.unwrap_or_default();
        let roots = self.trust_roots.unwrap_or_else(TrustRoots::vendors);
        let at = self.at.map_or_else(now_unix_s, Ok)?;
        Ok(EvidenceBundle::new(evidence, policy, roots, at))
    }

    fn snp_only(&self) -> [(&'static str, bool); 2] {
        [("measurement", self.measurement.is_some()), ("host_data", self.host_data.is_some())]
    }

    fn tdx_only(&self) -> [(&'static str, bool); 9] {
        [
            ("mr_td", self.mr_td.is_some()),
            ("mr_seam", self.mr_seam.is_some()),
            ("mr_config_id", self.mr_config_id.is_some()),
            ("mr_owner", self.mr_owner.is_some()),
            ("mr_owner_config", self.mr_owner_config.is_some()),
            ("rtmr0", self.rtmr0.is_some()),
            ("rtmr1", self.rtmr1.is_some()),
            ("rtmr2", self.rtmr2.is_some()),
            ("rtmr3", self.rtmr3.is_some()),
        ]
    }

    fn refuse(&self, kind: &str, foreign: &[(&'static str, bool)]) -> Result<()> {
        match foreign.iter().find(|(_, given)| *given) {
            Some((name, _)) => Err(Error::new(Code::InvalidArgument)
                .at(*name)
                .context(format!("It does not go with evidence of kind {kind}."))),
            None => Ok(()),
        }
    }
}

fn slices(files: &[Vec<u8>]) -> Vec<&[u8]> {
    files.iter().map(Vec::as_slice).collect()
}

fn fixed<const N: usize>(name: &str, value: Option<&[u8]>) -> Result<Option<[u8; N]>> {
    value.map(|value| value.try_into().map_err(|_| length(name, N, value.len()))).transpose()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn expectations_of_another_kind_and_length_are_refused() {
        let some = || Some(vec![0; 48]);
        let code = |result: Result<EvidenceBundle>| {
            let error = result.unwrap_err();
            (error.code(), error.check().unwrap_or_default().to_owned())
        };
        let of = |change: fn(&mut HardwareOptions, Option<Vec<u8>>)| {
            let mut options = HardwareOptions::default();
            change(&mut options, some());
            options
        };
        let invalid = |name: &str| (Code::InvalidArgument, name.to_owned());
        assert_eq!(code(of(|o, v| o.rtmr2 = v).snp()), invalid("rtmr2"));
        assert_eq!(code(of(|o, v| o.measurement = v).tdx()), invalid("measurement"));
        assert_eq!(code(of(|o, v| o.mr_td = v).nvidia(&[0; 32])), invalid("mr_td"));
        assert_eq!(code(of(|o, v| o.report_data = v).nvidia(&[0; 32])), invalid("report_data"));
        assert_eq!(code(of(|o, v| o.report_data = v).snp()), invalid("report_data"));
        assert_eq!(code(of(|o, v| o.host_data = v).snp()), invalid("host_data"));
        assert_eq!(code(HardwareOptions::default().nvidia(&[0; 31])), invalid("nonce"));
        let nothing = (Code::EvidenceInvalid, "files".to_owned());
        assert_eq!(code(of(|o, v| o.rtmr3 = v).tdx()), nothing);
        assert_eq!(code(HardwareOptions::default().snp()), nothing);
    }
}
