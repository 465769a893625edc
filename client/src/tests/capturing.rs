//! Captures of live verifications: what was fetched or was at hand is in them, and they give the same report again.

use proveil_core::Code;
use proveil_core::bundle::{Evidence, EvidenceBundle};
use proveil_core::report::Verdict;
use proveil_testkit::sim::{ATTESTATION_PATH, Defect};

use super::{API_KEY, Desk, MODEL, collateral_count, count, simulator};

/// T58: whatever the verdict, the bundle has everything that led to it, and no key.
#[tokio::test]
async fn every_verdict_can_be_kept_and_made_again() {
    for (defect, verdict, code) in [
        (None, Verdict::Verified, None),
        (Some(Defect::TamperedQuote), Verdict::Refused, Some(Code::QuoteSignature)),
        (Some(Defect::KeySwap), Verdict::Refused, Some(Code::ReportDataIdentityMismatch)),
        (Some(Defect::CollateralDown), Verdict::Indeterminate, Some(Code::CollateralUnreachable)),
    ] {
        let sim = simulator(defect.as_slice());
        let desk = Desk::new(&sim);
        let capture = desk.client.capture(MODEL).await.unwrap();
        assert_eq!(capture.report.verdict(), verdict, "{defect:?}");
        assert_eq!(capture.result.as_ref().err().map(|error| error.code()), code);
        let text = capture.bundle.to_json();
        assert!(!text.contains(API_KEY));
        let read = EvidenceBundle::from_json(text.as_bytes()).unwrap();
        let roots = read.custom_roots().cloned();
        for (again, result) in
            [capture.bundle.appraise(None, None, None), read.appraise(None, roots.as_ref(), None)]
        {
            assert_eq!(again.to_json(), capture.report.to_json(), "{defect:?}");
            assert_eq!(result.err().map(|error| error.code()), code);
        }
    }
}

/// Collateral that was at hand counts as used, and a capture is always fresh and serves later calls.
#[tokio::test]
async fn what_was_at_hand_is_in_it() {
    let sim = simulator(&[]);
    let desk = Desk::new(&sim);
    desk.client.ready(MODEL).await.unwrap();
    let capture = desk.client.capture(MODEL).await.unwrap();
    assert_eq!((count(&sim, ATTESTATION_PATH), collateral_count(&sim)), (2, 4));
    let Evidence::Provider(evidence) = capture.bundle.evidence() else { panic!("another kind") };
    assert_eq!(evidence.collateral.len(), 1);
    let (report, _) = capture.bundle.appraise(None, None, None);
    assert_eq!(report.to_json(), capture.report.to_json());
    let endpoint = desk.client.ready(MODEL).await.unwrap();
    assert_eq!(endpoint.report().nonce(), capture.report.nonce());
    // Nothing to judge: there is nothing to keep.
    let down = simulator(&[Defect::AttestationDown]);
    let error = Desk::new(&down).client.capture(MODEL).await.unwrap_err();
    assert_eq!(error.code(), Code::AttestationUnavailable);
}
