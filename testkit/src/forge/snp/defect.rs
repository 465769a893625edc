//! Named defects of SEV-SNP evidence, each with the one check that must refuse it. All of them are signed: nothing but the defect is
//! wrong.

use proveil_core::claims::Product;

use super::SnpSpec;
use super::pki::{HwidForm, Role, amd_extension, amd_name};
use super::rsa::{Padding, ec_key};
use crate::forge::der;
use crate::forge::keys::EcKey;
use crate::forge::random::Random;
use crate::forge::x509::Extension;

/// One defect.
pub struct SnpDefect {
    /// Name.
    pub name: &'static str,
    /// Id of the check that refuses it, and the only one that does.
    pub check: &'static str,
    apply: fn(&mut SnpSpec),
}

impl SnpDefect {
    /// Every defect. They are meant for a Milan chip's key with everything handed over ([`SnpSpec::with_list`]).
    pub const ALL: &'static [SnpDefect] = DEFECTS;

    /// Puts the defect into honest evidence.
    pub fn apply(&self, spec: &mut SnpSpec) {
        (self.apply)(spec);
    }
}

const fn defect(name: &'static str, check: &'static str, apply: fn(&mut SnpSpec)) -> SnpDefect {
    SnpDefect { name, check, apply }
}

/// Flips a bit of the report that is then signed.
macro_rules! before {
    ($name:literal $check:literal $offset:literal) => {
        defect($name, $check, |s| s.changed_before.push(($offset, 0x10)))
    };
}

/// Flips a bit of the signed report.
macro_rules! after {
    ($name:literal $check:literal $offset:literal) => {
        defect($name, $check, |s| s.changed_after.push(($offset, 0x10)))
    };
}

/// Changes one patch level of the certificate, by the last arc of its extension less one.
macro_rules! spl {
    ($name:literal $check:literal $place:literal $value:expr) => {
        defect($name, $check, |s| {
            if let Some(spl) = s.leaf.spl.get_mut($place) {
                *spl = $value;
            }
        })
    };
}

fn another_key() -> EcKey {
    EcKey::p384(&mut Random::from_seed([0x4b; 32]))
}

/// Replaces the extension that has the same identifier.
fn replace(list: &mut [Extension], like: &Extension, with: Extension) {
    if let Some(place) = list.iter_mut().find(|extension| extension.oid == like.oid) {
        *place = with;
    }
}

const DEFECTS: &[SnpDefect] = &[
    // Layout.
    defect("version-1", "snp.version", |s| s.report.downgrade(1)),
    defect("version-6", "snp.version", |s| s.report.version = 6),
    defect("version-of-65538", "snp.version", |s| s.report.version = 0x1_0002),
    defect("algorithm-0", "snp.sigalgo", |s| s.report.algorithm = 0),
    defect("algorithm-2", "snp.sigalgo", |s| s.report.algorithm = 2),
    before!("reserved-4c" "snp.reserved_nonzero" 0x4c),
    before!("reserved-4f" "snp.reserved_nonzero" 0x4f),
    before!("reserved-18b" "snp.reserved_nonzero" 0x18b),
    before!("reserved-19f" "snp.reserved_nonzero" 0x19f),
    before!("reserved-1eb" "snp.reserved_nonzero" 0x1eb),
    before!("reserved-1ef" "snp.reserved_nonzero" 0x1ef),
    before!("reserved-208" "snp.reserved_nonzero" 0x208),
    before!("reserved-29f" "snp.reserved_nonzero" 0x29f),
    defect("version-2-with-cpuid", "snp.reserved_nonzero", |s| {
        s.report.downgrade(2);
        s.report.cpuid = [0, 0, 1];
    }),
    defect("version-4-with-mitigations", "snp.reserved_nonzero", |s| {
        s.report.downgrade(4);
        s.report.mitigations = [0, 1 << 63];
    }),
    defect("signer-info-bit-5", "snp.signer_info", |s| s.report.signer_info |= 1 << 5),
    defect("signer-info-bit-31", "snp.signer_info", |s| s.report.signer_info |= 1 << 31),
    defect("signing-key-2", "snp.signer_info", |s| s.report.signer_info = 2 << 2),
    defect("unsigned", "snp.unsigned", |s| s.report.signer_info = 7 << 2),
    defect("unknown-family", "snp.product.unknown", |s| s.report.cpuid = [0x1b, 0x01, 0]),
    defect("unknown-model-19-20", "snp.product.unknown", |s| s.report.cpuid = [0x19, 0x20, 0]),
    defect("unknown-model-1a-12", "snp.product.unknown", |s| s.report.cpuid = [0x1a, 0x12, 0]),
    defect("unknown-model-1a-50", "snp.product.unknown", |s| s.report.cpuid = [0x1a, 0x50, 0]),
    // Chain.
    defect("no-certificate", "snp.vek.missing", |s| s.given.leaf = false),
    defect("issuer-of-another-root", "snp.chain.root", |s| s.issuer.issuer = amd_name("ARK-Rome")),
    defect("no-issuer", "snp.chain.root", |s| s.given.issuer = false),
    defect("issuer-signed-by-stranger", "snp.chain.signature", |s| s.issuer_signer.role = Role::Stranger),
    defect("issuer-signed-by-itself", "snp.chain.signature", |s| s.issuer_signer.role = Role::Ask),
    defect("leaf-signed-by-stranger", "snp.chain.signature", |s| s.leaf_signer.role = Role::Stranger),
    defect("leaf-signed-by-root", "snp.chain.signature", |s| s.leaf_signer.role = Role::Ark),
    defect("leaf-signed-by-other-issuer", "snp.chain.signature", |s| s.leaf_signer.role = Role::Asvk),
    defect("leaf-pkcs1", "snp.chain.profile", |s| s.leaf_signer.padding = Padding::Pkcs1),
    defect("leaf-sha256", "snp.chain.profile", |s| s.leaf_signer.padding = Padding::PssSha256),
    defect("leaf-states-salt-32", "snp.chain.profile", |s| s.leaf_signer.padding = Padding::PssStatedSalt32),
    defect("issuer-pkcs1", "snp.chain.profile", |s| s.issuer_signer.padding = Padding::Pkcs1),
    defect("leaf-expired", "snp.chain.expired", |s| s.leaf.not_after = s.now.saturating_sub(1)),
    defect("leaf-early", "snp.chain.expired", |s| s.leaf.not_before = s.now.saturating_add(1)),
    defect("issuer-expired", "snp.chain.expired", |s| s.issuer.not_after = s.now.saturating_sub(1)),
    defect("issuer-early", "snp.chain.expired", |s| s.issuer.not_before = s.now.saturating_add(1)),
    defect("root-expired", "snp.chain.expired", |s| s.root.not_after = s.now.saturating_sub(1)),
    defect("root-early", "snp.chain.expired", |s| s.root.not_before = s.now.saturating_add(1)),
    defect("pinned-issuer-expired", "snp.chain.expired", |s| {
        s.pin_issuer = true;
        s.issuer.not_after = s.now.saturating_sub(1);
    }),
    defect("issuer-no-authority", "snp.chain.profile", |s| {
        let plain = Extension::basic_constraints(false, None);
        replace(&mut s.issuer.extensions, &plain.clone(), plain);
    }),
    defect("issuer-signs-data", "snp.chain.profile", |s| {
        let usage = Extension::key_usage_leaf(false);
        replace(&mut s.issuer.extensions, &usage.clone(), usage);
    }),
    defect("issuer-of-another-product", "snp.chain.profile", |s| s.issuer.subject = amd_name("SEV-Genoa")),
    defect("chain-of-another-product", "snp.chain.profile", |s| {
        s.issuer.subject = amd_name("SEV-Genoa");
        s.leaf.product_name = "Genoa".to_owned();
        s.report.cpuid = [0x19, 0x11, 0];
    }),
    defect("issuer-of-no-product", "snp.chain.profile", |s| s.issuer.subject = amd_name("SEV-Rome")),
    defect("issuer-key-p384", "snp.chain.profile", |s| {
        s.issuer.spki = ec_key().spki();
        s.leaf_signer.padding = Padding::Ecdsa;
    }),
    defect("leaf-named-vlek", "snp.chain.profile", |s| s.leaf.common_name = "SEV-VLEK".to_owned()),
    defect("leaf-named-vcek", "snp.chain.profile", |s| s.leaf.common_name = "VCEK".to_owned()),
    defect("leaf-is-authority", "snp.chain.profile", |s| {
        s.leaf.others.push(Extension::basic_constraints(true, None));
    }),
    defect("leaf-signs-certificates", "snp.chain.profile", |s| {
        s.leaf.others.push(Extension::key_usage_ca(true));
    }),
    defect("leaf-key-p256", "snp.chain.profile", |s| {
        s.leaf.spki = EcKey::p256(&mut Random::from_seed([1; 32])).spki();
    }),
    defect("leaf-critical-extension", "snp.chain.profile", |s| {
        s.leaf.others.push(Extension { critical: true, ..amd_extension(&[9, 9], der::null()) });
    }),
    defect("unknown-amd-extension", "snp.chain.profile", |s| {
        s.leaf.others.push(amd_extension(&[3, 10], der::integer(&[0])));
    }),
    defect("extension-twice", "snp.chain.profile", |s| {
        s.leaf.others.push(amd_extension(&[3, 1], der::integer(&[4])));
    }),
    defect("struct-version", "snp.chain.profile", |s| s.leaf.struct_version = 1),
    defect("product-name", "snp.chain.profile", |s| s.leaf.product_name = "Genoa".to_owned()),
    defect("product-name-longer", "snp.chain.profile", |s| s.leaf.product_name = "Milanese".to_owned()),
    spl!("no-boot-loader" "snp.chain.profile" 0 None),
    spl!("no-tee" "snp.chain.profile" 1 None),
    spl!("no-snp" "snp.chain.profile" 2 None),
    spl!("no-spl-4" "snp.chain.profile" 3 None),
    spl!("no-spl-7" "snp.chain.profile" 6 None),
    spl!("no-microcode" "snp.chain.profile" 7 None),
    spl!("spl-4" "snp.chain.profile" 3 Some(1)),
    spl!("spl-5" "snp.chain.profile" 4 Some(1)),
    spl!("spl-6" "snp.chain.profile" 5 Some(1)),
    spl!("spl-7" "snp.chain.profile" 6 Some(1)),
    spl!("fmc-before-turin" "snp.chain.profile" 8 Some(0)),
    defect("padded-integer", "snp.chain.profile", |s| {
        if let Some(spl) = s.leaf.spl.get_mut(1) {
            *spl = None;
        }
        s.leaf.others.push(amd_extension(&[3, 2], vec![2, 2, 0, 0]));
    }),
    defect("integer-and-more", "snp.chain.profile", |s| {
        if let Some(spl) = s.leaf.spl.get_mut(1) {
            *spl = None;
        }
        s.leaf.others.push(amd_extension(&[3, 2], vec![2, 1, 0, 0]));
    }),
    defect("integer-of-256", "snp.chain.profile", |s| {
        if let Some(spl) = s.leaf.spl.get_mut(1) {
            *spl = None;
        }
        s.leaf.others.push(amd_extension(&[3, 2], der::integer(&[1, 0])));
    }),
    defect("no-hwid", "snp.chain.profile", |s| s.leaf.hwid = HwidForm::Absent),
    defect("short-hwid", "snp.chain.profile", |s| s.leaf.hwid = HwidForm::Raw(vec![7; 63])),
    defect("hwid-of-8", "snp.chain.profile", |s| s.leaf.hwid = HwidForm::Octets(vec![7; 8])),
    defect("csp-id-of-a-chip", "snp.chain.profile", |s| s.leaf.csp_id = Some("CN=x".to_owned())),
    // Revocation.
    defect("list-signed-by-stranger", "snp.crl.signature", |s| s.crl_signer.role = Role::Stranger),
    defect("list-signed-by-issuer", "snp.crl.signature", |s| s.crl_signer.role = Role::Ask),
    defect("list-of-another-root", "snp.crl.signature", |s| {
        if let Some(crl) = &mut s.crl {
            crl.issuer = amd_name("ARK-Genoa");
        }
    }),
    defect("issuer-revoked", "snp.chain.revoked", |s| {
        if let Some(crl) = &mut s.crl {
            crl.revoked.push(s.issuer.serial.clone());
        }
    }),
    defect("issuer-revoked-by-old-list", "snp.chain.revoked", |s| {
        if let Some(crl) = &mut s.crl {
            crl.revoked.push(s.issuer.serial.clone());
            crl.next_update = Some(s.now);
        }
    }),
    defect("pinned-issuer-revoked", "snp.chain.revoked", |s| {
        s.pin_issuer = true;
        if let Some(crl) = &mut s.crl {
            crl.revoked.push(s.issuer.serial.clone());
        }
    }),
    defect("list-missing", "snp.crl", |s| s.crl = None),
    defect("list-expired", "snp.crl", |s| {
        if let Some(crl) = &mut s.crl {
            crl.next_update = Some(s.now);
        }
    }),
    defect("list-early", "snp.crl", |s| {
        if let Some(crl) = &mut s.crl {
            crl.this_update = s.now.saturating_add(1);
        }
    }),
    // Certificate and report.
    defect("other-product", "snp.product.mismatch", |s| s.report.cpuid = [0x19, 0x11, 0]),
    defect("other-kind-of-key", "snp.signer_mismatch", |s| s.report.signer_info = 1 << 2),
    after!("r-padding-first" "snp.signature_format" 0x2d0),
    after!("r-padding-last" "snp.signature_format" 0x2e7),
    after!("s-padding-first" "snp.signature_format" 0x318),
    after!("s-padding-last" "snp.signature_format" 0x32f),
    after!("tail-first" "snp.signature_format" 0x330),
    after!("tail-last" "snp.signature_format" 0x49f),
    after!("r" "snp.signature" 0x2a0),
    after!("s" "snp.signature" 0x317),
    after!("signed-part" "snp.signature" 0x0a0),
    defect("another-key", "snp.signature", |s| s.key = another_key()),
    defect("tcb-reserved-current", "snp.tcb.reserved", |s| s.changed_before.push((0x38 + 2, 1))),
    defect("tcb-reserved-reported", "snp.tcb.reserved", |s| s.changed_before.push((0x180 + 3, 1))),
    defect("tcb-reserved-committed", "snp.tcb.reserved", |s| s.changed_before.push((0x1e0 + 4, 1))),
    defect("tcb-reserved-launch", "snp.tcb.reserved", |s| s.changed_before.push((0x1f0 + 5, 1))),
    spl!("boot-loader" "snp.tcb.mismatch" 0 Some(3)),
    spl!("tee" "snp.tcb.mismatch" 1 Some(1)),
    spl!("snp" "snp.tcb.mismatch" 2 Some(26)),
    spl!("microcode" "snp.tcb.mismatch" 7 Some(223)),
    defect("other-chip", "snp.chip_id.mismatch", |s| s.changed_before.push((0x1a0, 1))),
    defect("other-chip-last-byte", "snp.chip_id.mismatch", |s| s.changed_before.push((0x1df, 1))),
    // Facts that the default policy refuses.
    defect("hidden-chip", "snp.chip_id.hidden", |s| s.report.chip_id = [0; 64]),
    defect("reported-above-current", "snp.tcb.inconsistent", |s| {
        let [bootloader, .., snp, microcode] = s.report.reported_tcb;
        let below = [bootloader, 0, 0, 0, 0, 0, snp.saturating_sub(1), microcode];
        (s.report.current_tcb, s.report.committed_tcb, s.report.launch_tcb) = (below, below, below);
    }),
    defect("launch-above-current", "snp.tcb.inconsistent", |s| {
        if let Some(microcode) = s.report.launch_tcb.last_mut() {
            *microcode = microcode.saturating_add(1);
        }
    }),
    defect("committed-below-current", "snp.tcb.provisional", |s| {
        if let Some(microcode) = s.report.committed_tcb.last_mut() {
            *microcode = microcode.saturating_sub(1);
        }
    }),
    defect("committed-build-below-current", "snp.tcb.provisional", |s| {
        s.report.committed_version = [39, 55, 1]
    }),
    defect("policy-bit-17-clear", "snp.policy.reserved", |s| s.report.policy &= !(1 << 17)),
    defect("policy-bit-26", "snp.policy.reserved", |s| s.report.policy |= 1 << 26),
    defect("policy-bit-63", "snp.policy.reserved", |s| s.report.policy |= 1 << 63),
    defect("debug", "snp.policy.debug", |s| s.report.policy |= 1 << 19),
    defect("migration-agent", "snp.policy.migrate_ma", |s| s.report.policy |= 1 << 18),
    defect("vmpl-1", "snp.vmpl", |s| s.report.vmpl = 1),
    defect("vmpl-256", "snp.vmpl", |s| s.report.vmpl = 256),
    defect("asked-for-by-the-host", "snp.vmpl", |s| s.report.vmpl = u32::MAX),
    defect("author-key-without-flag", "snp.author_key", |s| s.report.author_key_digest = [7; 48]),
    defect("unnamed-provider", "snp.vlek", |s| {
        let provider = SnpSpec::by_provider(Product::Milan, &mut Random::from_seed([2; 32]), s.now);
        *s = provider.with_list();
    }),
];
