//! Each rule in both directions.

use super::*;
use crate::claims::{PckFacts, TcbAssessment};

fn claims() -> TdxClaims {
    TdxClaims {
        quote_version: 5,
        body: TdBody {
            tee_tcb_svn: [0; 16],
            mr_seam: [0; 48],
            mr_signer_seam: [0; 48],
            seam_attributes: [0; 8],
            td_attributes: ATTRIBUTE_SEPT_VE_DISABLE.to_le_bytes(),
            xfam: 0x0006_02e7u64.to_le_bytes(),
            mr_td: [1; 48],
            mr_config_id: [0; 48],
            mr_owner: [0; 48],
            mr_owner_config: [0; 48],
            rtmr: [[2; 48], [3; 48], [4; 48], [5; 48]],
            report_data: [6; 64],
            tee_tcb_svn2: Some([0; 16]),
            mr_service_td: Some([0; 48]),
        },
        user_data: [0; 20],
        pck: PckFacts {
            fmspc: [0; 6],
            pce_id: [0; 2],
            ppid: [0; 16],
            platform_instance_id: None,
            cpu_svn: [0; 16],
            pce_svn: 0,
            sgx_type: None,
            dynamic_platform: None,
            smt_enabled: None,
            not_after: 0,
        },
        qe_svn: 0,
        tcb: TcbAssessment {
            status: TcbStatus::UpToDate,
            platform_status: TcbStatus::UpToDate,
            module_status: None,
            qe_status: TcbStatus::UpToDate,
            advisories: Vec::new(),
            tcb_date: 0,
            evaluation_number: 18,
        },
        collateral_issued_at: 0,
        collateral_expires_at: 0,
        verified_at: 0,
        custom_root: false,
    }
}

fn failures(claims: &TdxClaims, policy: &TdxPolicy) -> Vec<&'static str> {
    let findings = evaluate(claims, policy);
    findings.iter().filter(|finding| !finding.passed).map(|finding| finding.reason).collect()
}

/// T07: every attribute bit, alone beside SEPT_VE_DISABLE, leads to its own finding.
#[test]
fn each_attribute_bit() {
    for bit in 0..64 {
        let mut claims = claims();
        claims.body.td_attributes = (ATTRIBUTE_SEPT_VE_DISABLE | 1 << bit).to_le_bytes();
        let expected: &[&str] = match bit {
            0 | 4..=6 => &[checks::DEBUG],
            16 | 27 | 28 | 30 | 31 | 62 => &[],
            17 => &[checks::SERVICE_TD],
            29 => &[checks::MIGRATABLE],
            63 => &[checks::PERFMON],
            _ => &[checks::RESERVED],
        };
        assert_eq!(failures(&claims, &TdxPolicy::default()), expected, "bit {bit}");
    }
    let mut none = claims();
    none.body.td_attributes = [0; 8];
    assert_eq!(failures(&none, &TdxPolicy::default()), [checks::SEPT_VE_DISABLE]);
}

#[test]
fn each_extended_feature_bit() {
    for bit in 0..64 {
        let mut claims = claims();
        claims.body.xfam = (XFAM_REQUIRED ^ 1 << bit).to_le_bytes();
        let accepted = bit > 1 && XFAM_ALLOWED & 1 << bit != 0;
        assert_eq!(failures(&claims, &TdxPolicy::default()).is_empty(), accepted, "bit {bit}");
    }
}

/// T17: only UpToDate passes by default; others need the status and every advisory; Revoked never passes.
#[test]
fn each_status() {
    for status in TcbStatus::ALL {
        let mut claims = claims();
        claims.tcb.status = status;
        claims.tcb.advisories = vec!["INTEL-SA-1".into(), "INTEL-SA-2".into()];
        let passes = |statuses: &[TcbStatus], advisories: &[&str]| {
            let policy = TdxPolicy {
                accepted_statuses: statuses.to_vec(),
                accepted_advisories: advisories.iter().map(|id| (*id).to_owned()).collect(),
                ..TdxPolicy::default()
            };
            let failed = failures(&claims, &policy);
            assert!(failed.is_empty() || failed == [status_reason(status)]);
            failed.is_empty()
        };
        let (up_to_date, revoked) = (status == TcbStatus::UpToDate, status == TcbStatus::Revoked);
        assert_eq!(passes(&[TcbStatus::UpToDate], &[]), up_to_date, "{status:?} by default");
        assert_eq!(passes(&[status], &["INTEL-SA-1"]), up_to_date, "{status:?} with one advisory");
        assert_eq!(passes(&[status], &["INTEL-SA-2", "INTEL-SA-1"]), !revoked, "{status:?} with both");
    }
}

#[test]
fn every_failure_is_listed() {
    let mut claims = claims();
    claims.body.td_attributes = u64::MAX.to_le_bytes();
    claims.body.xfam = [0; 8];
    claims.body.mr_service_td = Some([1; 48]);
    claims.tcb.status = TcbStatus::OutOfDate;
    let mut policy = TdxPolicy { min_evaluation_number: 19, ..TdxPolicy::default() };
    policy.expected = Register::ALL
        .into_iter()
        .map(|register| Expected { register, any_of: vec![vec![9; 48], vec![9; 64]] })
        .collect();
    let failed = failures(&claims, &policy);
    assert_eq!(failed.len(), 8 + Register::ALL.len(), "{failed:?}");
    let permissive = TdxPolicy {
        accepted_statuses: vec![TcbStatus::OutOfDate],
        allow_debug: true,
        allow_migratable: true,
        allow_perfmon: true,
        allow_service_td: true,
        ..TdxPolicy::default()
    };
    assert_eq!(failures(&claims, &permissive), [checks::RESERVED, checks::XFAM]);
}

/// attestation.md 4.2 item 9: a machine is named by its PPID or by its platform instance id; an absent one names nothing.
#[test]
fn machines_by_name() {
    let named = |ids: &[[u8; 16]]| TdxPolicy {
        platform_ids: ids.iter().map(|id| id.to_vec()).collect(),
        ..TdxPolicy::default()
    };
    let mut claims = claims();
    (claims.pck.ppid, claims.pck.platform_instance_id) = ([1; 16], Some([2; 16]));
    for (ids, accepted) in [
        (&[][..], true),
        (&[[1; 16]], true),
        (&[[2; 16]], true),
        (&[[3; 16], [1; 16]], true),
        (&[[3; 16]], false),
        (&[[0; 16]], false),
    ] {
        let expected: &[&str] = if accepted { &[] } else { &[checks::PLATFORM] };
        assert_eq!(failures(&claims, &named(ids)), expected, "{ids:?}");
    }
    claims.pck.platform_instance_id = None;
    assert_eq!(failures(&claims, &named(&[[2; 16]])), [checks::PLATFORM]);
}

#[test]
fn a_register_may_have_several_values() {
    let claims = claims();
    for register in Register::ALL {
        let name = register.check().strip_prefix("tdx.policy.").unwrap();
        assert_eq!(Register::from_name(name), Some(register));
        let value = register.value(&claims.body).to_vec();
        let expected =
            |any_of| TdxPolicy { expected: vec![Expected { register, any_of }], ..TdxPolicy::default() };
        assert!(failures(&claims, &expected(vec![vec![9; 48], value.clone()])).is_empty());
        assert_eq!(failures(&claims, &expected(vec![value[1..].to_vec()])), [register.check()]);
        assert_eq!(failures(&claims, &expected(Vec::new())), [register.check()]);
    }
}
