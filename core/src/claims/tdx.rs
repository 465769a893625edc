//! What a verified TDX quote says (`protocols/attestation.md` 2.1, 2.2 and 2.4).

/// State of a platform's security patches in Intel's words.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum TcbStatus {
    /// Current.
    UpToDate,
    /// Current, but software must work around an issue.
    SWHardeningNeeded,
    /// Current, but the configuration must be changed.
    ConfigurationNeeded,
    /// Current, but configuration and software must be changed.
    ConfigurationAndSWHardeningNeeded,
    /// Known vulnerabilities are not patched.
    OutOfDate,
    /// Known vulnerabilities are not patched, and the configuration must be changed.
    OutOfDateConfigurationNeeded,
    /// The TD was launched on an older TCB than the platform now has.
    TDRelaunchAdvised,
    /// The same, and the configuration must be changed.
    TDRelaunchAdvisedConfigurationNeeded,
    /// Not to be trusted at all.
    Revoked,
}

impl TcbStatus {
    /// Every status.
    pub const ALL: [TcbStatus; 9] = [
        TcbStatus::UpToDate,
        TcbStatus::SWHardeningNeeded,
        TcbStatus::ConfigurationNeeded,
        TcbStatus::ConfigurationAndSWHardeningNeeded,
        TcbStatus::OutOfDate,
        TcbStatus::OutOfDateConfigurationNeeded,
        TcbStatus::TDRelaunchAdvised,
        TcbStatus::TDRelaunchAdvisedConfigurationNeeded,
        TcbStatus::Revoked,
    ];

    /// Intel's word.
    pub const fn word(self) -> &'static str {
        match self {
            TcbStatus::UpToDate => "UpToDate",
            TcbStatus::SWHardeningNeeded => "SWHardeningNeeded",
            TcbStatus::ConfigurationNeeded => "ConfigurationNeeded",
            TcbStatus::ConfigurationAndSWHardeningNeeded => "ConfigurationAndSWHardeningNeeded",
            TcbStatus::OutOfDate => "OutOfDate",
            TcbStatus::OutOfDateConfigurationNeeded => "OutOfDateConfigurationNeeded",
            TcbStatus::TDRelaunchAdvised => "TDRelaunchAdvised",
            TcbStatus::TDRelaunchAdvisedConfigurationNeeded => "TDRelaunchAdvisedConfigurationNeeded",
            TcbStatus::Revoked => "Revoked",
        }
    }

    /// The status with this word; there is no default for an unknown one.
    pub fn from_word(word: &str) -> Option<TcbStatus> {
        TcbStatus::ALL.into_iter().find(|status| status.word() == word)
    }
}

/// The measured part of a TD report. Byte arrays are in the order of the quote.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TdBody {
    /// Security version numbers of the TDX module and platform at launch.
    pub tee_tcb_svn: [u8; 16],
    /// Measurement of the TDX module.
    pub mr_seam: [u8; 48],
    /// Signer of the TDX module; zero means Intel.
    pub mr_signer_seam: [u8; 48],
    /// Attributes of the TDX module.
    pub seam_attributes: [u8; 8],
    /// TD attributes.
    pub td_attributes: [u8; 8],
    /// Extended features that the TD may use.
    pub xfam: [u8; 8],
    /// Measurement of the TD's initial content (firmware).
    pub mr_td: [u8; 48],
    /// Set by the host at launch, fixed for the TD's life.
    pub mr_config_id: [u8; 48],
    /// Set by the host at launch, fixed for the TD's life.
    pub mr_owner: [u8; 48],
    /// Set by the host at launch, fixed for the TD's life.
    pub mr_owner_config: [u8; 48],
    /// Run-time measurement registers 0 to 3.
    pub rtmr: [[u8; 48]; 4],
    /// Chosen by the TD.
    pub report_data: [u8; 64],
    /// Current security version numbers; TD 1.5 bodies only.
    pub tee_tcb_svn2: Option<[u8; 16]>,
    /// Measurement of bound service TDs, zero if none; TD 1.5 bodies only.
    pub mr_service_td: Option<[u8; 48]>,
}

impl TdBody {
    /// TD attributes as a number; bit 0 is DEBUG.
    pub const fn td_attribute_bits(&self) -> u64 {
        u64::from_le_bytes(self.td_attributes)
    }

    /// XFAM as a number.
    pub const fn xfam_bits(&self) -> u64 {
        u64::from_le_bytes(self.xfam)
    }
}

/// What the platform's provisioning certificate says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PckFacts {
    /// Family, model, stepping and platform: selects the collateral.
    pub fmspc: [u8; 6],
    /// Identity of the provisioning certification enclave.
    pub pce_id: [u8; 2],
    /// Identity of the platform: the same for every TD on one machine.
    pub ppid: [u8; 16],
    /// Identity of one installation of a multi-package platform.
    pub platform_instance_id: Option<[u8; 16]>,
    /// Component security version numbers that the certificate was issued for.
    pub cpu_svn: [u8; 16],
    /// Security version number of the provisioning certification enclave.
    pub pce_svn: u16,
    /// What the machine's memory protection is of.
    pub sgx_type: Option<SgxType>,
    /// True when packages can be added to the platform later; absent in certificates of single-package platforms.
    pub dynamic_platform: Option<bool>,
    /// True when simultaneous multithreading is on; absent in certificates of single-package platforms.
    pub smt_enabled: Option<bool>,
    /// Last second of the certificate's validity.
    pub not_after: u64,
}

/// Kind of a platform's memory protection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum SgxType {
    /// Encryption with integrity trees, small memory.
    Standard,
    /// Encryption of all memory, without integrity.
    Scalable,
    /// Encryption of all memory with cryptographic integrity.
    ScalableWithIntegrity,
}

/// Judgement of the platform, the TDX module and the quoting enclave by Intel's collateral.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TcbAssessment {
    /// The worst of the three below, with Intel's combination rules.
    pub status: TcbStatus,
    /// The platform's level.
    pub platform_status: TcbStatus,
    /// The TDX module's level; absent for modules before 1.5, which have no level of their own.
    pub module_status: Option<TcbStatus>,
    /// The quoting enclave's level.
    pub qe_status: TcbStatus,
    /// Advisories of the matched levels, sorted, each once.
    pub advisories: Vec<String>,
    /// The oldest date of the matched levels, in seconds.
    pub tcb_date: u64,
    /// Evaluation number of the collateral: the lower of TCB info and QE identity.
    pub evaluation_number: u32,
}

/// What a verified TDX quote says. Signatures and TCB evaluation are done; acceptance is policy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TdxClaims {
    /// Quote format: 4 or 5.
    pub quote_version: u16,
    /// The TD report.
    pub body: TdBody,
    /// User data of the quote header.
    pub user_data: [u8; 20],
    /// Facts of the platform's certificate.
    pub pck: PckFacts,
    /// Security version number of the quoting enclave.
    pub qe_svn: u16,
    /// Patch state.
    pub tcb: TcbAssessment,
    /// Newest issue date among the collateral used, in seconds.
    pub collateral_issued_at: u64,
    /// From this second on, the collateral used is not to be used any more.
    pub collateral_expires_at: u64,
    /// The time of this verification, in seconds.
    pub verified_at: u64,
    /// True when the chain leads to a root other than Intel's pinned one.
    pub custom_root: bool,
}
