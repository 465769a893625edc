//! Hardware against the manifest's reference values, and what is fetched to judge it (privatemode.md 3.3, 3.4).

use super::*;

/// T07, T08: signed reports of guests that the manifest does not accept.
#[test]
fn t07_reports_against_the_reference_value() {
    let deployment = Deployment::snp(&mut random(), NOW);
    let cases: &[(&str, ReportChange, Code, &str)] = &[
        ("debug", |r| r.policy |= 1 << 19, Code::DebugTd, "snp.policy.debug"),
        ("migration", |r| r.policy |= 1 << 18, Code::SnpGuestPolicy, "snp.policy.migrate_ma"),
        ("CXL", |r| r.policy |= 1 << 21, Code::SnpGuestPolicy, "snp.policy.cxl"),
        ("pages may be swapped", |r| r.policy &= !(1 << 25), Code::SnpGuestPolicy, "contrast.guest_policy"),
        ("policy bit 17", |r| r.policy &= !(1 << 17), Code::SnpGuestPolicy, "snp.policy.reserved"),
        ("policy bit 26", |r| r.policy |= 1 << 26, Code::SnpGuestPolicy, "snp.policy.reserved"),
        ("multithreading on", |r| r.platform_info |= 1, Code::SnpGuestPolicy, "contrast.platform_info"),
        ("transparent encryption", |r| r.platform_info |= 2, Code::SnpGuestPolicy, "contrast.platform_info"),
        ("trusted I/O", |r| r.platform_info |= 1 << 7, Code::SnpGuestPolicy, "contrast.platform_info"),
        ("no error correction", |r| r.platform_info &= !4, Code::SnpGuestPolicy, "contrast.platform_info"),
        (
            "no alias check",
            |r| r.platform_info &= !(1 << 5),
            Code::SnpGuestPolicy,
            "snp.platform.alias_check",
        ),
        ("platform bit 6", |r| r.platform_info |= 1 << 6, Code::SnpGuestPolicy, "contrast.platform_info"),
        ("platform bit 8", |r| r.platform_info |= 1 << 8, Code::SnpGuestPolicy, "contrast.platform_info"),
        ("platform bit 63", |r| r.platform_info |= 1 << 63, Code::SnpGuestPolicy, "contrast.platform_info"),
        ("privilege level 1", |r| r.vmpl = 1, Code::SnpVmpl, "snp.vmpl"),
        ("measurement", |r| r.measurement[0] ^= 1, Code::MeasurementRefused, "snp.measurement"),
        ("host data", |r| r.host_data[31] ^= 1, Code::MeasurementRefused, "snp.host_data"),
        ("no ID key", |r| r.id_key_digest = [0; 48], Code::MeasurementRefused, "snp.id_key"),
        (
            "ID key of another policy",
            |r| r.id_key_digest = id_key_digest(&r.measurement, 0x3_0000),
            Code::MeasurementRefused,
            "snp.id_key",
        ),
        ("mitigation at launch", |r| r.mitigations = [7, 15], Code::SnpTcbRefused, "contrast.mitigations"),
        ("mitigation now", |r| r.mitigations = [15, 14], Code::SnpTcbRefused, "contrast.mitigations"),
        ("version 3", |r| r.downgrade(3), Code::SnpTcbRefused, "contrast.mitigations"),
        ("launch below", |r| r.launch_tcb[7] -= 1, Code::SnpTcbRefused, "snp.tcb.minimum"),
        ("launch above", |r| r.launch_tcb[7] += 1, Code::SnpTcbRefused, "snp.tcb.inconsistent"),
        ("another chip", |r| r.chip_id[0] ^= 1, Code::SnpCertificateMismatch, "snp.chip_id.mismatch"),
        ("hidden chip", |r| r.chip_id = [0; 64], Code::SnpCertificateMismatch, "snp.chip_id.hidden"),
        ("another level", |r| r.reported_tcb[7] -= 1, Code::SnpCertificateMismatch, "snp.tcb.mismatch"),
        ("unsigned", |r| r.signer_info = 7 << 2, Code::SnpSignerMismatch, "snp.unsigned"),
    ];
    for (name, change, code, check) in cases {
        let mut document = deployment.document(&NONCE);
        change(snp_report(&mut document));
        let error = judge(&deployment, &document).unwrap_err();
        assert_eq!((error.code(), error.check()), (*code, Some(*check)), "{name}: {error}");
        assert_eq!(error.code().class(), Class::Verification, "{name}");
    }
    // Firmware that can be gone back behind is accepted, as the manifest says nothing about it.
    let mut document = deployment.document(&NONCE);
    snp_report(&mut document).committed_tcb[7] -= 1;
    assert!(judge(&deployment, &document).is_ok());
}

/// T08: manifests that ask for more, or for less.
#[test]
fn t08_reference_values_decide() {
    type Set = (&'static [&'static str], &'static str);
    let cases: &[(Set, Option<&str>)] = &[
        ((&["MinimumTCB", "MicrocodeVersion"], "85"), Some("snp.tcb.minimum")),
        ((&["MinimumTCB", "SNPVersion"], "24"), Some("snp.tcb.minimum")),
        ((&["MinimumTCB", "TEEVersion"], "1"), Some("snp.tcb.minimum")),
        ((&["MinimumTCB", "BootloaderVersion"], "11"), Some("snp.tcb.minimum")),
        ((&["MinimumTCB", "BootloaderVersion"], "0"), None),
        ((&["MinimumMitigationVector"], "16"), Some("contrast.mitigations")),
        ((&["MinimumMitigationVector"], "0"), None),
        ((&["MinimumMitigationVector"], "null"), None),
        ((&["ProductName"], "\"Milan\""), Some("contrast.product")),
        ((&["GuestPolicy", "ABIMinor"], "31"), Some("snp.id_key")),
        ((&["GuestPolicy", "PageSwapDisable"], "false"), Some("snp.id_key")),
        ((&["PlatformInfo", "RAPLDisabled"], "true"), Some("contrast.platform_info")),
        ((&["PlatformInfo", "CiphertextHidingDRAMEnabled"], "true"), Some("snp.platform.ciphertext_hiding")),
        ((&["PlatformInfo", "TSMEEnabled"], "true"), None),
        ((&["PlatformInfo"], "null"), None),
        ((&["AllowedChipIDs"], "[]"), None),
        ((&["AllowedChipIDs"], "null"), None),
        ((&["CPUs"], "null"), None),
    ];
    let honest = Deployment::snp(&mut random(), NOW);
    for ((path, value), check) in cases {
        let mut deployment = honest.clone();
        set(&mut deployment, path, json(value));
        let verdict = judge(&deployment, &deployment.document(&NONCE));
        let found = verdict.as_ref().err().and_then(Error::check);
        assert_eq!(found, *check, "{path:?} {value}");
    }
    let mut deployment = honest.clone();
    set(&mut deployment, &["AllowedChipIDs"], json(&format!("[\"{}\"]", "ab".repeat(64))));
    let error = judge(&deployment, &deployment.document(&NONCE)).unwrap_err();
    assert_eq!((error.code(), error.check()), (Code::PlatformNotAllowed, Some("snp.chip_id.allowed")));
    // Hardware of a kind that the manifest does not know.
    let mut deployment = honest;
    deployment.manifest.tdx = Deployment::tdx(&mut random(), NOW).manifest.tdx;
    deployment.manifest.snp.clear();
    let error = judge(&deployment, &deployment.document(&NONCE)).unwrap_err();
    assert_eq!((error.code(), error.check()), (Code::MeasurementRefused, Some("contrast.reference")));
}

#[test]
fn several_reference_values() {
    let mut deployment = Deployment::snp(&mut random(), NOW);
    let genuine = deployment.manifest.snp[0].clone();
    let mut document = deployment.document(&NONCE);
    // Another image; the same image with another minimum: the second gets further.
    snp_report(&mut document).measurement = [7; 48];
    let other_image = snp_reference(snp_report(&mut document));
    set(&mut deployment, &["MinimumTCB", "MicrocodeVersion"], json("99"));
    let other_minimum = deployment.manifest.snp[0].clone();
    deployment.manifest.snp = vec![other_image.clone(), other_minimum.clone(), other_image.clone()];
    let error = judge(&deployment, &deployment.document(&NONCE)).unwrap_err();
    assert_eq!(error.check(), Some("snp.tcb.minimum"));
    assert!(error.message().contains("tried: 3"), "{error}");
    deployment.manifest.snp = vec![other_image, other_minimum, genuine];
    assert_eq!(judge(&deployment, &deployment.document(&NONCE)).unwrap().reference, 2);
}

/// T19: what is missing is fetched by name; without it nothing is verified, and nothing is called bad either.
#[test]
fn t19_missing_certificates_and_lists() {
    let deployment = Deployment::snp(&mut random(), NOW);
    let roots = roots(&deployment);
    let Hardware::Snp { evidence, .. } = &deployment.hardware else { panic!("not SNP") };
    let manifest = deployment.manifest.to_bytes();
    let expected = Expectations { manifest: &manifest, nonce: &NONCE, capabilities: None };
    for (give_vcek, give_crl, code) in [
        (true, true, None),
        (false, true, Some(Code::CollateralMissing)),
        (true, false, Some(Code::CrlExpired)),
        (false, false, Some(Code::CollateralMissing)),
    ] {
        let spec = DocumentSpec { give_vcek, give_crl, ..deployment.document(&NONCE) };
        let document = ContrastDocument::from_answer(&spec.answer()).unwrap();
        let Need::Snp { requests, vcek, crl, .. } = needs(&document, &roots, NOW).unwrap() else {
            panic!("not SNP")
        };
        assert_eq!((vcek, crl), (!give_vcek, !give_crl));
        let kept = VerifiedVek::verify(&evidence.endorsements, SigningKey::Vcek, &roots, NOW).unwrap();
        assert_eq!(requests, kept.kds_requests());
        assert_eq!(requests.crl, "/vcek/v1/Genoa/crl");
        let verdict = |collateral: &Collateral<'_>| verify(&document, &expected, collateral, &roots, NOW);
        let bare = verdict(&Collateral::default());
        assert_eq!(bare.as_ref().err().map(Error::code), code);
        assert!(bare.is_ok() || bare.is_err_and(|error| error.code().class() == Class::Indeterminate));
        let fetched = SnpEndorsements {
            vcek: evidence.endorsements.vcek.clone(),
            crl: evidence.endorsements.crl.clone(),
            ..SnpEndorsements::new()
        };
        let with = verdict(&Collateral { snp: Some(&fetched), ..Collateral::default() }).unwrap();
        // A certificate that was verified before gives the same.
        let again = verdict(&Collateral { vek: Some(&kept), ..Collateral::default() }).unwrap();
        assert_eq!(with.get(), again.get());
    }
    // A list that is not current has to be fetched, and so has one that somebody else signed.
    let late = NOW + 400 * DAY_S;
    let document = ContrastDocument::from_answer(&deployment.answer(&NONCE)).unwrap();
    for (roots, at) in [(&roots, late), (&TrustRoots::vendors(), NOW)] {
        assert!(matches!(needs(&document, roots, at).unwrap(), Need::Snp { crl: true, vcek: false, .. }));
    }
    let verdict = verify(&document, &expected, &Collateral::default(), &roots, late);
    assert_eq!(verdict.unwrap_err().code(), Code::CrlExpired);
    let verdict = verify(&document, &expected, &Collateral::default(), &TrustRoots::vendors(), NOW);
    assert_eq!(verdict.unwrap_err().code(), Code::SnpChain);
}

/// T19: an issuer that AMD revoked.
#[test]
fn t19_revoked_issuer() {
    let deployment = Deployment::snp_with(&mut random(), NOW, |spec| {
        let serial = spec.issuer.serial.clone();
        spec.crl.as_mut().unwrap().revoked.push(serial);
    });
    let error = judge(&deployment, &deployment.document(&NONCE)).unwrap_err();
    assert_eq!((error.code(), error.check()), (Code::SnpRevoked, Some("snp.chain.revoked")));
}

/// A kept certificate of another chip, or of other patch levels, is not used.
#[test]
fn kept_certificates_of_others() {
    let deployment = Deployment::snp(&mut random(), NOW);
    let other = Deployment::snp(&mut Random::from_seed([3; 32]), NOW);
    let Hardware::Snp { evidence, .. } = &other.hardware else { panic!("not SNP") };
    let kept = VerifiedVek::verify(&evidence.endorsements, SigningKey::Vcek, &roots(&other), NOW).unwrap();
    let document = ContrastDocument::from_answer(&deployment.answer(&NONCE)).unwrap();
    let manifest = deployment.manifest.to_bytes();
    let expected = Expectations { manifest: &manifest, nonce: &NONCE, capabilities: None };
    let collateral = Collateral { vek: Some(&kept), ..Collateral::default() };
    assert!(verify(&document, &expected, &collateral, &roots(&deployment), NOW).is_ok());
}

/// T07, T17, T18: signed quotes of TDs that the manifest does not accept.
#[test]
fn t17_quotes_against_the_reference_value() {
    let deployment = Deployment::tdx(&mut random(), NOW);
    let cases: &[(&str, BodyChange, Code, &str)] = &[
        ("debug", |b| b.td_attributes[0] |= 1, Code::DebugTd, "tdx.attributes.debug"),
        ("faults", |b| b.td_attributes[3] = 0, Code::TdAttributes, "tdx.attributes.sept_ve_disable"),
        ("protection keys", |b| b.td_attributes[3] |= 0x40, Code::TdAttributes, "contrast.td_attributes"),
        ("features", |b| b.xfam[0] = 3, Code::TdXfam, "contrast.xfam"),
        ("firmware", |b| b.mr_td[0] ^= 1, Code::MeasurementRefused, "tdx.policy.mr_td"),
        ("register 0", |b| b.rtmr[0][0] ^= 1, Code::MeasurementRefused, "tdx.policy.rtmr0"),
        ("register 3", |b| b.rtmr[3][47] ^= 1, Code::MeasurementRefused, "tdx.policy.rtmr3"),
        ("module", |b| b.mr_seam[0] ^= 1, Code::MeasurementRefused, "tdx.policy.mr_seam"),
        ("configuration", |b| b.mr_config_id[0] ^= 1, Code::MeasurementRefused, "tdx.policy.mr_config_id"),
        (
            "configuration's tail",
            |b| b.mr_config_id[47] = 1,
            Code::MeasurementRefused,
            "tdx.policy.mr_config_id",
        ),
    ];
    for (name, change, code, check) in cases {
        let mut document = deployment.document(&NONCE);
        change(tdx_body(&mut document));
        let error = judge(&deployment, &document).unwrap_err();
        assert_eq!((error.code(), error.check()), (*code, Some(*check)), "{name}: {error}");
    }
    let mut document = deployment.document(&NONCE);
    document.nonce = [1; 32];
    let error = judge(&deployment, &document).unwrap_err();
    assert_eq!((error.code(), error.check()), (Code::ReportDataMismatch, Some("tdx.policy.report_data")));

    let values: &[(&[&str], &str, Option<&str>)] = &[
        (&["MinTCBEvaluationDataNumber"], "1", None),
        (&["MinTCBEvaluationDataNumber"], "4000000000", Some("tdx.tcb.evaluation_number")),
        (&["AllowedPIIDs"], "null", None),
        (&["AllowedPIIDs"], "[\"00112233445566778899aabbccddeeff\"]", Some("contrast.piid")),
        (&["MemoryIntegrity"], "true", Some("contrast.memory_integrity")),
        (&["SMTDisabled"], "true", Some("contrast.smt_disabled")),
        (&["StaticPlatform"], "true", Some("contrast.static_platform")),
        (&["Xfam"], "\"e702060000000001\"", Some("contrast.xfam")),
    ];
    for (path, value, check) in values {
        let mut deployment = deployment.clone();
        set(&mut deployment, path, json(value));
        let verdict = judge(&deployment, &deployment.document(&NONCE));
        assert_eq!(verdict.as_ref().err().and_then(Error::check), *check, "{path:?} {value}");
    }
}

/// T17: each status counts, and what is missing is not called bad.
#[test]
fn t17_collateral_of_a_coordinator() {
    let deployment = Deployment::tdx(&mut random(), NOW);
    let Hardware::Tdx { world, .. } = &deployment.hardware else { panic!("not TDX") };
    let document = ContrastDocument::from_answer(&deployment.answer(&NONCE)).unwrap();
    let manifest = deployment.manifest.to_bytes();
    let expected = Expectations { manifest: &manifest, nonce: &NONCE, capabilities: None };
    let roots = roots(&deployment);
    let Need::Tdx { platform, requests } = needs(&document, &roots, NOW).unwrap() else { panic!("not TDX") };
    assert_eq!(platform.fmspc, world.platform.spec.fmspc);
    assert!(requests.tcb_info.ends_with(&const_hex::encode_upper(platform.fmspc)));
    let verdict = |collateral: &Collateral<'_>| verify(&document, &expected, collateral, &roots, NOW);
    assert_eq!(verdict(&Collateral::default()).unwrap_err().code(), Code::CollateralMissing);
    let raw = collateral(&deployment).unwrap();
    let kept = VerifiedCollateral::verify(&raw, &roots, NOW).unwrap();
    let with_raw = verdict(&Collateral { tdx: Some(&raw), ..Collateral::default() }).unwrap();
    let with_kept = verdict(&Collateral { tdx_verified: Some(&kept), ..Collateral::default() }).unwrap();
    assert_eq!(with_raw.get(), with_kept.get());

    let mut spec = world.collateral_spec();
    for level in &mut spec.tcb_info.levels {
        level.status = "SWHardeningNeeded".into();
    }
    let old = TdxCollateral::from_json(spec.sign(&world.intel).to_json().as_bytes()).unwrap();
    let error = verdict(&Collateral { tdx: Some(&old), ..Collateral::default() }).unwrap_err();
    assert_eq!(error.code(), Code::TcbStatusRefused);
}
