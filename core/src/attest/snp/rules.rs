//! Tests on the facts of a verified report: certificates, patch levels, guest policy, platform, identities, expected values
//! (`protocols/attestation.md` 1.7 steps 6 to 8, 1.8). Every test is made, not only up to the first failure.

mod identity;
mod platform;
mod tcb;

use super::checks;
use crate::claims::{Cpuid, Product, SnpClaims, TcbParts};
use crate::error::Code;

/// A processor family with microcode numbers of its own. AMD counts microcode per CPUID model: the numbers of one family say nothing
/// about another of the same product line.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Processor {
    /// Milan.
    Milan,
    /// Genoa proper, CPUID model 0x10 to 0x1f.
    Genoa,
    /// Bergamo and Siena, CPUID model 0xa0 to 0xaf; they share Genoa's root and certificates.
    Bergamo,
    /// Turin proper, CPUID model 0x00 to 0x0f.
    Turin,
    /// Turin with dense cores, CPUID model 0x10 and 0x11.
    TurinDense,
}

impl Processor {
    /// Every family.
    pub const ALL: [Processor; 5] =
        [Processor::Milan, Processor::Genoa, Processor::Bergamo, Processor::Turin, Processor::TurinDense];

    /// Name in policies.
    pub const fn name(self) -> &'static str {
        match self {
            Processor::Milan => "milan",
            Processor::Genoa => "genoa",
            Processor::Bergamo => "bergamo",
            Processor::Turin => "turin",
            Processor::TurinDense => "turin_dense",
        }
    }

    /// The family of a report. Version 2 does not name its model: it is taken for the product line's first.
    pub const fn of(product: Product, cpuid: Option<Cpuid>) -> Processor {
        match (product, cpuid) {
            (Product::Milan, _) => Processor::Milan,
            (Product::Genoa, Some(Cpuid { model: 0xa0..=0xaf, .. })) => Processor::Bergamo,
            (Product::Genoa, _) => Processor::Genoa,
            (Product::Turin, Some(Cpuid { model: 0x10..=0x11, .. })) => Processor::TurinDense,
            (Product::Turin, _) => Processor::Turin,
        }
    }
}

/// Lowest accepted levels of one processor family.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Minimum {
    /// Patch levels; the reported, committed and launch TCB must reach every part.
    pub tcb: TcbParts,
    /// Build of the firmware; the committed version must reach it.
    pub build: u8,
    /// Interface version of the firmware, major and minor; the committed version must reach it.
    pub abi: (u8, u8),
}

/// What is accepted. The default is attestation.md 1.8.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SnpPolicy {
    /// Accepts debug guests.
    pub allow_debug: bool,
    /// Accepts guests with a migration agent.
    pub allow_migration_agent: bool,
    /// Accepts simultaneous multithreading; otherwise neither policy nor platform may have it.
    pub allow_smt: bool,
    /// Accepts guests that may use CXL memory and devices.
    pub allow_cxl: bool,
    /// Refuses guests that are not bound to one socket.
    pub require_single_socket: bool,
    /// Accepts firmware that the platform can still go back behind.
    pub allow_provisional_firmware: bool,
    /// Accepts reports by a chip's key that do not name the chip.
    pub allow_hidden_chip_id: bool,
    /// Refuses platforms that did not check their memory for aliases at boot (BadRAM).
    pub require_alias_check: bool,
    /// Refuses platforms that do not hide ciphertext from the host.
    pub require_ciphertext_hiding: bool,
    /// Refuses issuers for which there is no current revocation list, also pinned ones.
    pub require_crl: bool,
    /// Refuses processors for which `minimum` has no entry.
    pub require_minimum: bool,
    /// Lowest levels, at most one entry per family.
    pub minimum: Vec<(Processor, Minimum)>,
    /// Lowest security version of the guest.
    pub min_guest_svn: u32,
    /// Accepted privilege levels, 0 to 3.
    pub vmpls: Vec<u8>,
    /// Cloud providers whose keys (VLEK) are accepted, as their certificates name them. Such a key does not identify the machine.
    pub csp_ids: Vec<String>,
    /// Accepted chips, if not empty: 64 bytes, or 8 of Turin.
    pub chip_ids: Vec<Vec<u8>>,
    /// Accepted ID key digests (48 bytes), if not empty.
    pub id_key_digests: Vec<Vec<u8>>,
    /// Accepted author key digests (48 bytes), if not empty.
    pub author_key_digests: Vec<Vec<u8>>,
    /// Accepted measurements (48 bytes), if not empty.
    pub measurements: Vec<Vec<u8>>,
    /// Accepted host data (32 bytes), if not empty.
    pub host_data: Vec<Vec<u8>>,
}

/// The floor of a large production deployment on Genoa (attestation.md 1.8). For other processors no value is known to be right.
pub const GENOA_MINIMUM: Minimum = Minimum {
    tcb: TcbParts { fmc: 0, bootloader: 7, tee: 0, snp: 0x0e, microcode: 0x48 },
    build: 21,
    abi: (1, 55),
};

impl Default for SnpPolicy {
    fn default() -> SnpPolicy {
        SnpPolicy {
            allow_debug: false,
            allow_migration_agent: false,
            allow_smt: true,
            allow_cxl: true,
            require_single_socket: false,
            allow_provisional_firmware: false,
            allow_hidden_chip_id: false,
            require_alias_check: false,
            require_ciphertext_hiding: false,
            require_crl: false,
            require_minimum: false,
            minimum: vec![(Processor::Genoa, GENOA_MINIMUM)],
            min_guest_svn: 0,
            vmpls: vec![0],
            csp_ids: Vec::new(),
            chip_ids: Vec::new(),
            id_key_digests: Vec::new(),
            author_key_digests: Vec::new(),
            measurements: Vec::new(),
            host_data: Vec::new(),
        }
    }
}

impl SnpPolicy {
    /// The strictest of attestation.md 1.8: no multithreading, no CXL, the alias check done, a minimum patch level known.
    pub fn strict() -> SnpPolicy {
        SnpPolicy {
            allow_smt: false,
            allow_cxl: false,
            require_alias_check: true,
            require_minimum: true,
            ..SnpPolicy::default()
        }
    }

    /// The lowest levels of a processor family.
    pub fn minimum_of(&self, processor: Processor) -> Option<&Minimum> {
        self.minimum.iter().find(|(known, _)| *known == processor).map(|(_, minimum)| minimum)
    }
}

/// Values that the caller knows. What is absent is not compared.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SnpExpectations {
    /// What the guest was asked to put into the report: a challenge, a key, or a hash of them.
    pub report_data: Option<[u8; 64]>,
    /// Measurement of the guest.
    pub measurement: Option<[u8; 48]>,
    /// What the host was asked to put into the report.
    pub host_data: Option<[u8; 32]>,
}

/// Result of one test.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// Id of the check.
    pub check: &'static str,
    /// True when the fact is accepted.
    pub passed: bool,
    /// True when a failure does not count: the test could not be made and the policy does not insist on it.
    pub advisory: bool,
    /// What was accepted.
    pub expected: String,
    /// What was found.
    pub found: String,
    /// Code of the error when the test failed; a 3xx code means that it could not be made.
    pub code: Code,
}

impl Finding {
    /// True when it refuses the report or keeps it from being judged.
    pub const fn counts(&self) -> bool {
        !self.passed && !self.advisory
    }
}

/// Makes every test, in the order of [`super::CHECKS`]. Report data, measurement and host data are left out when nothing is expected of
/// them.
pub fn evaluate(claims: &SnpClaims, policy: &SnpPolicy, expected: &SnpExpectations) -> Vec<Finding> {
    let mut findings = vec![tcb::crl(claims, policy), identity::chip_id_hidden(claims, policy)];
    findings.extend(tcb::evaluate(claims, policy));
    findings.extend(platform::evaluate(claims, policy));
    findings.extend(identity::evaluate(claims, policy, expected));
    findings
}

fn finding(check: &'static str, code: Code, passed: bool, expected: String, found: String) -> Finding {
    Finding { check, passed, advisory: false, expected, found, code }
}
