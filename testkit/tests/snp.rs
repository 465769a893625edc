//! SEV-SNP verification on forged evidence: every product, version and kind of key, every named defect, every rule of a policy.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    clippy::print_stdout,
    reason = "a test fails by panicking"
)]

use proveil_core::appraise::appraise_snp;
use proveil_core::attest::TrustRoots;
use proveil_core::attest::snp::rules::{Finding, Minimum, Processor, SnpExpectations, SnpPolicy, evaluate};
use proveil_core::attest::snp::{SnpClaims, VerifiedVek, verify, verify_with_raw_endorsements};
use proveil_core::claims::{Product, Revocation, SigningKey, SnpSigner, TcbParts, Verified};
use proveil_core::error::{Class, Error};
use proveil_core::evidence::SnpEndorsements;
use proveil_core::policy::Policy;
use proveil_core::report::{Outcome, Verdict};
use proveil_testkit::forge::snp::{HwidForm, Padding, Role, amd_name, ec_key};
use proveil_testkit::forge::{Random, SnpDefect, SnpEvidence, SnpSpec, object, pem, string};

const NOW: u64 = 1_790_000_000;
const CSP: &str = "CN=cc-test-1.cloud.example";

/// A change of honest evidence before it is signed.
type Change = fn(&mut SnpSpec);

fn random() -> Random {
    Random::from_seed([0x5e; 32])
}

fn roots(evidence: &SnpEvidence) -> TrustRoots {
    TrustRoots::from_json(evidence.trust_roots_json.as_bytes()).unwrap()
}

/// The result of verification, which must be the same under a certificate that was verified first and kept.
fn judge(evidence: &SnpEvidence) -> Result<Verified<SnpClaims>, Error> {
    let roots = roots(evidence);
    let result = verify_with_raw_endorsements(&evidence.report, &evidence.endorsements, &roots, NOW);
    for kind in [SigningKey::Vcek, SigningKey::Vlek] {
        let Ok(kept) = VerifiedVek::verify(&evidence.endorsements, kind, &roots, NOW) else { continue };
        let again = verify(&evidence.report, &kept, &roots, NOW);
        assert_eq!(again.as_ref().map(Verified::get), result.as_ref().map(Verified::get));
    }
    result
}

/// Ids of everything that refuses: verification's one check, or every finding that counts.
fn refusals(evidence: &SnpEvidence, policy: &SnpPolicy, expected: &SnpExpectations) -> Vec<String> {
    match judge(evidence) {
        Ok(claims) => {
            let findings = evaluate(&claims, policy, expected);
            findings.iter().filter(|f| f.counts()).map(|f| f.check.to_owned()).collect()
        }
        Err(error) => vec![error.check().unwrap().to_owned()],
    }
}

fn provider_policy() -> SnpPolicy {
    SnpPolicy { csp_ids: vec![CSP.to_owned()], ..SnpPolicy::default() }
}

#[test]
fn honest_evidence_of_every_product_version_and_key() {
    for product in Product::ALL {
        for is_provider in [false, true] {
            for version in 2..=5 {
                let spec = if is_provider {
                    SnpSpec::by_provider(product, &mut random(), NOW)
                } else {
                    SnpSpec::new(product, &mut random(), NOW)
                };
                let spec = spec.with(|s| s.report.downgrade(version));
                let pinned = spec.sign();
                let listed = spec.with_list().sign();
                for (evidence, revocation) in [(&pinned, Revocation::Pinned), (&listed, Revocation::List)] {
                    let none = SnpExpectations::default();
                    let refused = refusals(evidence, &provider_policy(), &none);
                    assert!(refused.is_empty(), "{product:?} version {version}: {refused:?}");
                    let claims = judge(evidence).unwrap();
                    assert_eq!((claims.product, claims.report.version), (product, version));
                    assert_eq!(claims.vek.revocation, revocation);
                    assert_eq!(matches!(claims.vek.signer, SnpSigner::Provider(_)), is_provider);
                    assert_eq!(claims.report.cpuid.is_some(), version >= 3);
                    assert_eq!(claims.report.current_mitigations.is_some(), version == 5);
                    assert!(claims.custom_root && claims.tcb.reported == claims.tcb.launch);
                    // The same from the table that comes with an extended report.
                    let mut table =
                        SnpEndorsements::from_certificate_table(&evidence.certificate_table()).unwrap();
                    table.crl = evidence.endorsements.crl.clone();
                    assert_eq!(table, evidence.endorsements);
                }
            }
        }
    }
}

/// T19: a kept certificate outlives the list that came with it; then nothing says any more that its issuer is not revoked.
#[test]
fn lists_end_while_certificates_are_kept() {
    let evidence = SnpSpec::new(Product::Milan, &mut random(), NOW).with_list().sign();
    let roots = roots(&evidence);
    let kept = VerifiedVek::verify(&evidence.endorsements, SigningKey::Vcek, &roots, NOW).unwrap();
    let end = kept.facts_at(NOW).list_expires_at.unwrap();
    for (at, passes) in [(NOW, true), (end - 1, true), (end, false)] {
        let claims = verify(&evidence.report, &kept, &roots, at).unwrap();
        let findings = evaluate(&claims, &SnpPolicy::default(), &SnpExpectations::default());
        let refused: Vec<&str> = findings.iter().filter(|f| f.counts()).map(|f| f.check).collect();
        assert_eq!(refused.is_empty(), passes, "{refused:?}");
        assert!(passes || refused == ["snp.crl"]);
    }
    // Pins are part of what it was verified under.
    let certificates = [&evidence.endorsements.root, &evidence.endorsements.issuer];
    let text: String = certificates.iter().map(|der| pem("CERTIFICATE", der.as_ref().unwrap())).collect();
    let file = object([("schema", string("proveil.trust-roots/v1")), ("amd_roots_pem", string(text))]);
    let with_pins = TrustRoots::from_json(file.to_compact().as_bytes()).unwrap();
    let error = verify(&evidence.report, &kept, &with_pins, NOW).unwrap_err();
    assert_eq!(error.check(), Some("snp.chain.root"));
}

#[test]
fn both_forms_that_amd_used() {
    for product in Product::ALL {
        let honest = SnpSpec::new(product, &mut random(), NOW);
        let HwidForm::Raw(hwid) = honest.leaf.hwid.clone() else { panic!("raw") };
        let octets = honest.clone().with(|s| s.leaf.hwid = HwidForm::Octets(hwid));
        let trailer = honest.clone().with(|s| s.leaf_signer.padding = Padding::PssTrailer);
        let list = honest.with_list().with(|s| {
            s.issuer_signer.padding = Padding::PssTrailer;
            s.crl_signer.padding = Padding::PssTrailer;
        });
        for spec in [octets, trailer, list] {
            let refused = refusals(&spec.sign(), &SnpPolicy::default(), &SnpExpectations::default());
            assert!(refused.is_empty(), "{product:?} {refused:?}");
        }
    }
}

/// T15 to T20: each defect is refused by its own check, and by no other. An honest copy of the same evidence is not.
#[test]
fn named_defects() {
    let honest = SnpSpec::new(Product::Milan, &mut random(), NOW).with_list();
    let none = SnpExpectations::default();
    assert!(refusals(&honest.sign(), &SnpPolicy::default(), &none).is_empty());
    for (i, defect) in SnpDefect::ALL.iter().enumerate() {
        assert!(SnpDefect::ALL[..i].iter().all(|other| other.name != defect.name), "{}", defect.name);
        let evidence = honest.clone().with(|spec| defect.apply(spec)).sign();
        assert_eq!(refusals(&evidence, &SnpPolicy::default(), &none), [defect.check], "{}", defect.name);
        let (report, result) = appraise_snp(
            &evidence.report,
            &evidence.endorsements,
            &none,
            &Policy::standard(),
            &roots(&evidence),
            NOW,
        );
        let error = result.unwrap_err();
        // What could not be judged is not called refused.
        let missing = ["snp.vek.missing", "snp.crl"].contains(&defect.check);
        let verdict = if missing { Verdict::Indeterminate } else { Verdict::Refused };
        assert_eq!((report.verdict(), error.check()), (verdict, Some(defect.check)), "{}", defect.name);
        let class = if missing { Class::Indeterminate } else { Class::Verification };
        assert_eq!(error.code().class(), class, "{}", defect.name);
        let failed = report.checks().iter().find(|check| check.id() == defect.check).unwrap();
        assert_ne!(failed.outcome(), Outcome::Pass, "{}", defect.name);
        assert!(report.to_text().contains(&error.code().text()));
    }
    println!("{} defects", SnpDefect::ALL.len());
}

/// Every check of verification and of the default policy is reached by a named defect.
#[test]
fn every_check_has_a_defect() {
    // A malformed certificate cannot be signed; the rest needs a policy or an expectation and is tested below.
    let elsewhere = [
        "snp.length",
        "snp.chain.parse",
        "snp.tcb.minimum",
        "snp.firmware.minimum",
        "snp.policy.smt",
        "snp.policy.cxl",
        "snp.policy.single_socket",
        "snp.guest_svn",
        "snp.platform.alias_check",
        "snp.platform.ciphertext_hiding",
        "snp.chip_id.allowed",
        "snp.id_key",
        "snp.report_data",
        "snp.measurement",
        "snp.host_data",
    ];
    for check in proveil_core::attest::snp::CHECKS {
        let has = SnpDefect::ALL.iter().any(|defect| defect.check == check.id);
        assert!(has != elsewhere.contains(&check.id), "{}", check.id);
    }
}

/// T20, T68: forged evidence under the vendors' roots; the forged root has the name of AMD's.
#[test]
fn lookalike_roots_are_refused() {
    let vendors = TrustRoots::vendors();
    for product in Product::ALL {
        for (given, check) in [(true, "snp.chain.root"), (false, "snp.chain.signature")] {
            let spec = SnpSpec::new(product, &mut random(), NOW).with_list().with(|s| s.given.root = given);
            let evidence = spec.sign();
            let result =
                verify_with_raw_endorsements(&evidence.report, &evidence.endorsements, &vendors, NOW);
            assert_eq!(result.unwrap_err().check(), Some(check), "{product:?}");
        }
        // Without an issuer the pinned one is taken, whose key is another.
        let evidence = SnpSpec::new(product, &mut random(), NOW).sign();
        let result = verify_with_raw_endorsements(&evidence.report, &evidence.endorsements, &vendors, NOW);
        assert_eq!(result.unwrap_err().check(), Some("snp.chain.signature"), "{product:?}");
    }
}

/// A root named by the caller must have AMD's form too.
#[test]
fn roots_of_another_form() {
    let honest = SnpSpec::new(Product::Milan, &mut random(), NOW).with_list();
    let cases: &[(&str, Change)] = &[
        ("EC key", |s| {
            s.root.spki = ec_key().spki();
            s.root_signer.padding = Padding::Ecdsa;
        }),
        ("signed by a stranger", |s| s.root_signer.role = Role::Stranger),
        ("PKCS#1", |s| s.root_signer.padding = Padding::Pkcs1),
        ("product", |s| {
            s.root.issuer = amd_name("ARK-Rome");
            s.root.subject = amd_name("ARK-Rome");
        }),
        ("no authority", |s| s.root.extensions.retain(|extension| !extension.critical)),
    ];
    for (defect, change) in cases {
        let evidence = honest.clone().with(change).sign();
        let error = TrustRoots::from_json(evidence.trust_roots_json.as_bytes()).unwrap_err();
        assert_eq!(error.check(), Some("amd_roots_pem"), "{defect}");
    }
}

/// The product of a version 2 report is the certificate's; from version 3 on both must say the same.
#[test]
fn products_are_not_mixed() {
    for product in Product::ALL {
        for other in Product::ALL {
            let cpuid = SnpSpec::new(other, &mut random(), NOW).report.cpuid;
            let spec = SnpSpec::new(product, &mut random(), NOW).with(|s| s.report.cpuid = cpuid);
            let refused = refusals(&spec.sign(), &SnpPolicy::default(), &SnpExpectations::default());
            let expected: &[&str] = if product == other { &[] } else { &["snp.product.mismatch"] };
            assert_eq!(refused, expected, "{product:?} {other:?}");
        }
    }
    let dense = SnpSpec::new(Product::Turin, &mut random(), NOW).with(|s| s.report.cpuid = [0x1a, 0x11, 0]);
    assert!(judge(&dense.sign()).is_ok());
    let siena = SnpSpec::new(Product::Genoa, &mut random(), NOW).with(|s| s.report.cpuid = [0x19, 0xa0, 2]);
    assert!(judge(&siena.sign()).is_ok());
}

#[test]
fn turin_has_its_own_layout() {
    let honest = SnpSpec::new(Product::Turin, &mut random(), NOW);
    let none = SnpExpectations::default();
    let cases: &[(&str, &str, Change)] = &[
        ("fmc", "snp.tcb.mismatch", |s| s.leaf.spl[8] = Some(2)),
        ("no fmc", "snp.chain.profile", |s| s.leaf.spl[8] = None),
        ("spl 4", "snp.chain.profile", |s| s.leaf.spl[3] = Some(1)),
        ("struct version", "snp.chain.profile", |s| s.leaf.struct_version = 0),
        ("long hwid", "snp.chain.profile", |s| s.leaf.hwid = HwidForm::Raw(vec![1; 64])),
        ("chip id tail", "snp.chip_id.mismatch", |s| s.report.chip_id[8] = 1),
        ("reserved byte 4", "snp.tcb.reserved", |s| s.changed_before.push((0x184, 1))),
        ("reserved byte 6", "snp.tcb.reserved", |s| s.changed_before.push((0x186, 1))),
    ];
    for (defect, check, change) in cases {
        let evidence = honest.clone().with(change).sign();
        assert_eq!(refusals(&evidence, &SnpPolicy::default(), &none), [*check], "{defect}");
    }
    // Zero is what an absent fourth level means.
    let zero = honest.with(|s| s.leaf.spl[3] = Some(0)).sign();
    assert!(judge(&zero).is_ok());
}

#[test]
fn provider_keys_have_their_own_profile() {
    let honest = SnpSpec::by_provider(Product::Genoa, &mut random(), NOW).with_list();
    let none = SnpExpectations::default();
    let cases: &[(&str, &str, Change)] = &[
        ("hwid", "snp.chain.profile", |s| s.leaf.hwid = HwidForm::Raw(vec![1; 64])),
        ("no csp id", "snp.chain.profile", |s| s.leaf.csp_id = None),
        ("other csp", "snp.vlek", |s| s.leaf.csp_id = Some("CN=cc-test-2.cloud.example".to_owned())),
        ("name of a chip's", "snp.chain.profile", |s| s.leaf.common_name = "SEV-VCEK".to_owned()),
        ("report says chip", "snp.signer_mismatch", |s| s.report.signer_info = 0),
        ("report says masked", "", |s| s.report.signer_info |= 2),
        // Nothing to compare it with: the provider's firmware states it.
        ("chip id", "", |s| s.report.chip_id = [9; 64]),
    ];
    for (defect, check, change) in cases {
        let evidence = honest.clone().with(change).sign();
        let expected: Vec<&str> = Some(*check).filter(|check| !check.is_empty()).into_iter().collect();
        assert_eq!(refusals(&evidence, &provider_policy(), &none), expected, "{defect}");
    }
}

fn finding(spec: &SnpSpec, policy: &SnpPolicy, expected: &SnpExpectations, check: &str) -> Finding {
    let claims = judge(&spec.sign()).unwrap();
    let mut findings = evaluate(&claims, policy, expected);
    let place = findings.iter().position(|finding| finding.check == check);
    findings.swap_remove(place.unwrap_or_else(|| panic!("no finding {check}")))
}

/// A rule: check, change of the evidence, change of the policy, whether both together pass.
type Rule = (&'static str, Change, fn(&mut SnpPolicy), bool);

/// T07: each member of a policy decides its check, in both directions.
#[test]
fn every_rule_of_a_policy() {
    let keep_spec: fn(&mut SnpSpec) = |_| {};
    let keep: fn(&mut SnpPolicy) = |_| {};
    let debug: fn(&mut SnpSpec) = |s| s.report.policy |= 1 << 19;
    let migrate: fn(&mut SnpSpec) = |s| s.report.policy |= 1 << 18;
    let cxl: fn(&mut SnpSpec) = |s| s.report.policy |= 1 << 21;
    let no_smt: fn(&mut SnpSpec) = |s| (s.report.policy, s.report.platform_info) = (0x2_0000, 0x24);
    let provisional: fn(&mut SnpSpec) = |s| s.report.committed_version = [39, 55, 1];
    let hidden: fn(&mut SnpSpec) = |s| s.report.chip_id = [0; 64];
    let author: fn(&mut SnpSpec) = |s| {
        s.report.signer_info |= 1;
        s.report.author_key_digest = [8; 48];
    };
    let rules: &[Rule] = &[
        ("snp.policy.debug", debug, keep, false),
        ("snp.policy.debug", debug, |p| p.allow_debug = true, true),
        ("snp.policy.migrate_ma", migrate, keep, false),
        ("snp.policy.migrate_ma", migrate, |p| p.allow_migration_agent = true, true),
        ("snp.policy.cxl", cxl, keep, true),
        ("snp.policy.cxl", cxl, |p| p.allow_cxl = false, false),
        ("snp.policy.cxl", keep_spec, |p| p.allow_cxl = false, true),
        ("snp.policy.smt", keep_spec, keep, true),
        ("snp.policy.smt", keep_spec, |p| p.allow_smt = false, false),
        ("snp.policy.smt", |s| s.report.policy = 0x2_0000, |p| p.allow_smt = false, false),
        ("snp.policy.smt", |s| s.report.platform_info = 0x24, |p| p.allow_smt = false, false),
        ("snp.policy.smt", no_smt, |p| p.allow_smt = false, true),
        ("snp.policy.single_socket", keep_spec, |p| p.require_single_socket = true, false),
        (
            "snp.policy.single_socket",
            |s| s.report.policy |= 1 << 20,
            |p| p.require_single_socket = true,
            true,
        ),
        ("snp.policy.reserved", |s| s.report.policy |= 0x3ff_ffff, keep, true),
        ("snp.platform.alias_check", |s| s.report.platform_info = 1, keep, true),
        ("snp.platform.alias_check", |s| s.report.platform_info = 1, |p| p.require_alias_check = true, false),
        ("snp.platform.alias_check", keep_spec, |p| p.require_alias_check = true, true),
        ("snp.platform.ciphertext_hiding", keep_spec, |p| p.require_ciphertext_hiding = true, false),
        (
            "snp.platform.ciphertext_hiding",
            |s| s.report.platform_info |= 1 << 4,
            |p| p.require_ciphertext_hiding = true,
            true,
        ),
        ("snp.vmpl", |s| s.report.vmpl = 3, |p| p.vmpls = vec![1, 3], true),
        ("snp.vmpl", keep_spec, |p| p.vmpls = vec![1, 3], false),
        ("snp.vmpl", |s| s.report.vmpl = 4, |p| p.vmpls = vec![4], false),
        ("snp.guest_svn", |s| s.report.guest_svn = 2, |p| p.min_guest_svn = 2, true),
        ("snp.guest_svn", |s| s.report.guest_svn = 1, |p| p.min_guest_svn = 2, false),
        ("snp.tcb.provisional", provisional, keep, false),
        ("snp.tcb.provisional", provisional, |p| p.allow_provisional_firmware = true, true),
        ("snp.tcb.inconsistent", |s| s.report.committed_version = [41, 55, 1], keep, false),
        ("snp.chip_id.hidden", hidden, |p| p.allow_hidden_chip_id = true, true),
        ("snp.chip_id.allowed", keep_spec, |p| p.chip_ids = vec![vec![3; 64]], false),
        ("snp.chip_id.allowed", hidden, |p| p.chip_ids = vec![vec![0; 64]], false),
        ("snp.id_key", keep_spec, |p| p.id_key_digests = vec![vec![7; 48]], false),
        ("snp.id_key", |s| s.report.id_key_digest = [7; 48], |p| p.id_key_digests = vec![vec![7; 48]], true),
        ("snp.id_key", |s| s.report.id_key_digest = [7; 48], keep, true),
        ("snp.author_key", author, keep, true),
        ("snp.author_key", author, |p| p.author_key_digests = vec![vec![8; 48]], true),
        ("snp.author_key", author, |p| p.author_key_digests = vec![vec![9; 48]], false),
        ("snp.author_key", keep_spec, |p| p.author_key_digests = vec![vec![0; 48]], false),
        ("snp.crl", |s| s.crl = None, |p| p.require_crl = true, false),
        ("snp.crl", |s| (s.crl, s.pin_issuer) = (None, true), keep, true),
        ("snp.crl", |s| (s.crl, s.pin_issuer) = (None, true), |p| p.require_crl = true, false),
        ("snp.crl", keep_spec, |p| p.require_crl = true, true),
    ];
    let honest = SnpSpec::new(Product::Milan, &mut random(), NOW).with_list();
    for (i, (check, change, relax, passes)) in rules.iter().enumerate() {
        let spec = honest.clone().with(change);
        let mut policy = SnpPolicy::default();
        relax(&mut policy);
        let finding = finding(&spec, &policy, &SnpExpectations::default(), check);
        assert_eq!(finding.passed, *passes, "rule {i}: {finding:?}");
        assert!(!finding.advisory, "rule {i}: {finding:?}");
    }
}

#[test]
fn chips_by_name() {
    for product in Product::ALL {
        let spec = SnpSpec::new(product, &mut random(), NOW);
        let chip = spec.report.chip_id;
        let short = chip[..8].to_vec();
        let none = SnpExpectations::default();
        for (listed, passes) in
            [(chip.to_vec(), true), (short, product == Product::Turin), (vec![1; 64], false)]
        {
            let policy = SnpPolicy { chip_ids: vec![vec![2; 64], listed], ..SnpPolicy::default() };
            assert_eq!(finding(&spec, &policy, &none, "snp.chip_id.allowed").passed, passes, "{product:?}");
        }
    }
}

/// Each part of each of the three TCBs counts by itself; a minimum is of one processor family.
#[test]
fn minimum_patch_levels() {
    let none = SnpExpectations::default();
    let with = |processor, minimum| SnpPolicy { minimum: vec![(processor, minimum)], ..SnpPolicy::default() };
    let turin = SnpSpec::new(Product::Turin, &mut random(), NOW);
    let exact = TcbParts { fmc: 1, bootloader: 1, tee: 1, snp: 4, microcode: 81 };
    let minimum = |tcb| Minimum { tcb, ..Minimum::default() };
    let passes = |spec: &SnpSpec, policy: &SnpPolicy| finding(spec, policy, &none, "snp.tcb.minimum").passed;
    assert!(passes(&turin, &with(Processor::Turin, minimum(exact))));
    for part in 0..5 {
        let mut above = exact;
        *[&mut above.fmc, &mut above.bootloader, &mut above.tee, &mut above.snp, &mut above.microcode]
            [part] += 1;
        assert!(!passes(&turin, &with(Processor::Turin, minimum(above))), "part {part}");
    }
    let changes: [fn(&mut SnpSpec); 3] = [
        |s| s.report.launch_tcb[3] = 3,
        |s| s.report.committed_tcb[3] = 3,
        |s| (s.report.reported_tcb[3], s.leaf.spl[2]) = (3, Some(3)),
    ];
    for change in changes {
        let older = turin.clone().with(change);
        assert!(!passes(&older, &with(Processor::Turin, minimum(exact))));
        assert!(passes(&older, &with(Processor::Turin, minimum(TcbParts { snp: 3, ..exact }))));
    }
    let firmware = |build, abi| {
        let minimum = Minimum { tcb: TcbParts::default(), build, abi };
        finding(&turin, &with(Processor::Turin, minimum), &none, "snp.firmware.minimum").passed
    };
    let cases = [
        ((40, (1, 55)), true),
        ((41, (1, 55)), false),
        ((40, (1, 56)), false),
        ((0, (2, 0)), false),
        ((0, (0, 99)), true),
    ];
    for ((build, abi), expected) in cases {
        assert_eq!(firmware(build, abi), expected, "build {build}, interface {abi:?}");
    }
    // Another family's numbers say nothing; without one of its own the check is open, and counts when the policy insists.
    let families = [
        (Product::Milan, [0x19, 0x01, 1], Processor::Milan),
        (Product::Genoa, [0x19, 0x11, 1], Processor::Genoa),
        (Product::Genoa, [0x19, 0xa0, 2], Processor::Bergamo),
        (Product::Turin, [0x1a, 0x02, 1], Processor::Turin),
        (Product::Turin, [0x1a, 0x11, 0], Processor::TurinDense),
    ];
    for (product, cpuid, family) in families {
        let spec = SnpSpec::new(product, &mut random(), NOW).with(|s| s.report.cpuid = cpuid);
        for other in Processor::ALL {
            let policy = with(other, Minimum::default());
            let strict = SnpPolicy { require_minimum: true, ..policy.clone() };
            for check in ["snp.tcb.minimum", "snp.firmware.minimum"] {
                let open = finding(&spec, &policy, &none, check);
                assert_eq!(
                    (open.passed, open.advisory),
                    (family == other, family != other),
                    "{family:?} {other:?}"
                );
                let counted = finding(&spec, &strict, &none, check);
                assert_eq!(counted.counts(), family != other);
            }
        }
    }
    // The one floor that is known (attestation.md 1.8).
    let genoa = SnpSpec::new(Product::Genoa, &mut random(), NOW);
    assert!(passes(&genoa, &SnpPolicy::default()));
    let old = genoa.with(|s| {
        for tcb in [&mut s.report.reported_tcb, &mut s.report.current_tcb, &mut s.report.committed_tcb] {
            tcb[7] = 0x47;
        }
        s.report.launch_tcb[7] = 0x47;
        s.leaf.spl[7] = Some(0x47);
    });
    assert!(!passes(&old, &SnpPolicy::default()));
}

#[test]
fn expected_values() {
    let spec = SnpSpec::new(Product::Genoa, &mut random(), NOW);
    let (data, measurement) = (spec.report.report_data, spec.report.measurement);
    let evidence = spec.with(|s| s.report.host_data = [5; 32]).sign();
    let known =
        SnpExpectations { report_data: Some(data), measurement: Some(measurement), host_data: Some([5; 32]) };
    let listed = SnpPolicy {
        measurements: vec![vec![1; 48], measurement.to_vec()],
        host_data: vec![vec![5; 32]],
        ..SnpPolicy::default()
    };
    let elsewhere =
        SnpPolicy { measurements: vec![vec![1; 48]], host_data: vec![vec![6; 32]], ..SnpPolicy::default() };
    let none = SnpExpectations::default();
    let open = SnpPolicy::default();
    let both = ["snp.measurement", "snp.host_data"];
    let cases: &[(&SnpPolicy, SnpExpectations, &[&str])] = &[
        (&open, none.clone(), &[]),
        (&open, known.clone(), &[]),
        (&listed, none.clone(), &[]),
        (&listed, known.clone(), &[]),
        (&elsewhere, none, &both),
        // Expectation and list must both hold.
        (&elsewhere, known.clone(), &both),
        (&open, SnpExpectations { report_data: Some([0; 64]), ..known.clone() }, &["snp.report_data"]),
        (&listed, SnpExpectations { measurement: Some([1; 48]), ..known.clone() }, &["snp.measurement"]),
        (&listed, SnpExpectations { host_data: Some([6; 32]), ..known }, &["snp.host_data"]),
    ];
    for (i, (policy, expected, refused)) in cases.iter().enumerate() {
        assert_eq!(refusals(&evidence, policy, expected), *refused, "case {i}");
    }
}

/// T06: a TDX quote is no SNP report, whatever is cut or added.
#[test]
fn foreign_evidence() {
    let mut random = random();
    let world = proveil_testkit::forge::World::generate(
        &mut random,
        &proveil_testkit::forge::WorldSpec { now: NOW, gpus: 0 },
    );
    let quote = world.sign_quote(&world.quote_spec(4, [1; 64], &mut random));
    let honest = SnpSpec::new(Product::Milan, &mut random, NOW).sign();
    for bytes in [&quote[..], &quote[..1184], &[0; 1184], &[0xff; 1184]] {
        let result = verify_with_raw_endorsements(bytes, &honest.endorsements, &roots(&honest), NOW);
        assert_eq!(result.unwrap_err().code().class(), Class::Verification);
    }
}
