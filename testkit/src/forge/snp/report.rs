//! Attestation reports, written at the offsets of attestation.md 1.1.

use proveil_core::claims::{Product, SigningKey, TcbParts};

use super::tcb_bytes;
use crate::forge::keys::EcKey;
use crate::forge::random::Random;

/// Length of a report.
const LEN: usize = 1184;
/// Length of its signed part.
const SIGNED: usize = 0x2a0;

/// Every field of a report.
#[derive(Clone, Debug)]
pub struct SnpReportSpec {
    /// 2 to 5.
    pub version: u32,
    /// Guest SVN.
    pub guest_svn: u32,
    /// Guest policy.
    pub policy: u64,
    /// Family id.
    pub family_id: [u8; 16],
    /// Image id.
    pub image_id: [u8; 16],
    /// VMPL.
    pub vmpl: u32,
    /// Signature algorithm.
    pub algorithm: u32,
    /// Current TCB.
    pub current_tcb: [u8; 8],
    /// Platform info.
    pub platform_info: u64,
    /// Signer info.
    pub signer_info: u32,
    /// Report data.
    pub report_data: [u8; 64],
    /// Measurement.
    pub measurement: [u8; 48],
    /// Host data.
    pub host_data: [u8; 32],
    /// ID key digest.
    pub id_key_digest: [u8; 48],
    /// Author key digest.
    pub author_key_digest: [u8; 48],
    /// Report id.
    pub report_id: [u8; 32],
    /// Report id of the migration agent.
    pub report_id_ma: [u8; 32],
    /// Reported TCB.
    pub reported_tcb: [u8; 8],
    /// Family, model, stepping.
    pub cpuid: [u8; 3],
    /// Chip id.
    pub chip_id: [u8; 64],
    /// Committed TCB.
    pub committed_tcb: [u8; 8],
    /// Current build, minor, major.
    pub current_version: [u8; 3],
    /// Committed build, minor, major.
    pub committed_version: [u8; 3],
    /// Launch TCB.
    pub launch_tcb: [u8; 8],
    /// Launch and current mitigation vector.
    pub mitigations: [u64; 2],
}

impl SnpReportSpec {
    /// A version 5 report of a production guest.
    pub(super) fn new(
        product: Product,
        kind: SigningKey,
        tcb: TcbParts,
        chip_id: [u8; 64],
        random: &mut Random,
    ) -> SnpReportSpec {
        let tcb = tcb_bytes(product, tcb);
        let mut report_data = [0; 64];
        random.fill(&mut report_data);
        let mut measurement = [0; 48];
        random.fill(&mut measurement);
        SnpReportSpec {
            version: 5,
            guest_svn: 0,
            policy: 0x3_0000,
            family_id: [0; 16],
            image_id: [0; 16],
            vmpl: 0,
            algorithm: 1,
            current_tcb: tcb,
            platform_info: 0x25,
            signer_info: if kind == SigningKey::Vlek { 4 } else { 0 },
            report_data,
            measurement,
            host_data: [0; 32],
            id_key_digest: [0; 48],
            author_key_digest: [0; 48],
            report_id: random.bytes(),
            report_id_ma: [0xff; 32],
            reported_tcb: tcb,
            cpuid: match product {
                Product::Milan => [0x19, 0x01, 0x01],
                Product::Genoa => [0x19, 0x11, 0x01],
                Product::Turin => [0x1a, 0x02, 0x01],
            },
            // As a real cloud: a provider's key goes with a hidden chip.
            chip_id: if kind == SigningKey::Vlek { [0; 64] } else { chip_id },
            committed_tcb: tcb,
            current_version: [40, 55, 1],
            committed_version: [40, 55, 1],
            launch_tcb: tcb,
            mitigations: [0x0b, 0x0b],
        }
    }

    /// Turns it into an older version: fields that the version does not have become zero.
    pub fn downgrade(&mut self, version: u32) {
        self.version = version;
        if version < 5 {
            self.mitigations = [0; 2];
        }
        if version < 3 {
            self.cpuid = [0; 3];
        }
    }

    fn encode(&self) -> [u8; LEN] {
        let mut out = [0; LEN];
        let mut put = |offset: usize, bytes: &[u8]| {
            out.iter_mut().skip(offset).zip(bytes).for_each(|(to, from)| *to = *from);
        };
        put(0x000, &self.version.to_le_bytes());
        put(0x004, &self.guest_svn.to_le_bytes());
        put(0x008, &self.policy.to_le_bytes());
        put(0x010, &self.family_id);
        put(0x020, &self.image_id);
        put(0x030, &self.vmpl.to_le_bytes());
        put(0x034, &self.algorithm.to_le_bytes());
        put(0x038, &self.current_tcb);
        put(0x040, &self.platform_info.to_le_bytes());
        put(0x048, &self.signer_info.to_le_bytes());
        put(0x050, &self.report_data);
        put(0x090, &self.measurement);
        put(0x0c0, &self.host_data);
        put(0x0e0, &self.id_key_digest);
        put(0x110, &self.author_key_digest);
        put(0x140, &self.report_id);
        put(0x160, &self.report_id_ma);
        put(0x180, &self.reported_tcb);
        put(0x188, &self.cpuid);
        put(0x1a0, &self.chip_id);
        put(0x1e0, &self.committed_tcb);
        put(0x1e8, &self.current_version);
        put(0x1ec, &self.committed_version);
        put(0x1f0, &self.launch_tcb);
        put(0x1f8, &self.mitigations.map(u64::to_le_bytes).concat());
        out
    }

    /// The report, signed by `key`, with bytes flipped before and after signing.
    pub(super) fn sign(&self, key: &EcKey, before: &[(usize, u8)], after: &[(usize, u8)]) -> Vec<u8> {
        let mut out = self.encode();
        flip(&mut out, before);
        let signature = key.sign_fixed(out.get(..SIGNED).unwrap_or_default());
        let (r, s) = signature.split_at(signature.len().div_euclid(2));
        for (offset, half) in [(SIGNED, r), (SIGNED.saturating_add(72), s)] {
            out.iter_mut().skip(offset).zip(half.iter().rev()).for_each(|(to, from)| *to = *from);
        }
        flip(&mut out, after);
        out.to_vec()
    }
}

fn flip(bytes: &mut [u8], changes: &[(usize, u8)]) {
    for (offset, mask) in changes {
        if let Some(byte) = bytes.get_mut(*offset) {
            *byte ^= mask;
        }
    }
}
