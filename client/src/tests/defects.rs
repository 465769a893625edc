//! Every defect that the simulator knows ends as `threats.md` asks, and no prompt leaves in clear on the way.

use proveil_core::policy::Policy;
use proveil_core::report::Verdict;
use proveil_core::{Class, Code, Error};
use proveil_testkit::sim::{CHAT_PATH, Defect, Outcome, Stage};

use super::{API_KEY, Desk, MODEL, PROMPT, body, content, count, expected, simulator};

/// Where the simulator's table assumes another policy: under `standard` an absent event log is listed as not checked.
const OTHERWISE: &[(Defect, Option<Code>)] = &[(Defect::EventLogMissing, None)];

/// A whole use of the client: proof, chat, signature.
async fn use_it(desk: &Desk, signature: bool) -> Result<String, Error> {
    let mut stream = desk.client.chat(body(PROMPT).as_bytes()).await?;
    assert_eq!(stream.report().verdict(), Verdict::Verified);
    assert!(!stream.report().not_proven().is_empty(), "a report says what the protocol cannot show");
    assert!(stream.receipt().is_none());
    let content = content(&mut stream).await.map_err(|(before, error)| {
        assert!(expected(PROMPT).starts_with(&before), "only opened text comes before an error: {before}");
        error
    })?;
    assert!(stream.receipt().is_some());
    if signature {
        stream.verify_signature().await?;
    }
    Ok(content)
}

#[tokio::test]
async fn every_defect_ends_as_it_should() {
    let sim = simulator(&[]);
    let policy =
        Policy::from_json(br#"{"schema":"proveil.policy/v1","tdx":{"min_tcb_evaluation_data_number":13}}"#)
            .unwrap();
    let endorsed = Policy::from_json(Defect::ENDORSED_POLICY.as_bytes()).unwrap();
    let mut wrong = Vec::new();
    // Nothing in a chat asks for AMD's certificates.
    for defect in Defect::all().iter().filter(|defect| defect.stage() != Stage::Kds) {
        sim.set_defects(&[*defect]);
        sim.clear_recorded();
        let policy = if defect.stage() == Stage::Endorsements { &endorsed } else { &policy };
        let desk = Desk::with(&sim, |config| config.policy = policy.clone());
        let got = use_it(&desk, defect.stage() == Stage::Signature).await;
        let code = got.as_ref().err().map(Error::code);
        let expected_code = match (OTHERWISE.iter().find(|(other, _)| other == defect), defect.outcome()) {
            (Some((_, code)), _) => *code,
            (None, Outcome::Works | Outcome::NotDetectable) => None,
            (None, Outcome::Fails(code)) => Some(code),
        };
        if code != expected_code {
            wrong.push(format!("{}: expected {expected_code:?}, got {got:?}", defect.name()));
        }
        assert!(!sim.recorded().saw_in_clear("canary-prompt"), "{}", defect.name());
        if matches!(defect.stage(), Stage::Attestation | Stage::Collateral | Stage::Endorsements)
            && code.is_some_and(|c| c != Code::StaleKey)
        {
            assert_eq!(count(&sim, CHAT_PATH), 0, "{}: nothing is sent without a proof", defect.name());
        }
        if let Err(error) = got {
            let shown =
                format!("{error} {error:?} {:?} {}", desk.client, error.report_json().unwrap_or_default());
            assert!(!shown.contains("canary-prompt") && !shown.contains(API_KEY), "{shown}");
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// `verify` gives a report for each verdict, `ready` an error that carries it.
#[tokio::test]
async fn verdicts_are_reports() {
    let sim = simulator(&[]);
    let cases = [
        (None, Verdict::Verified, None),
        (Some(Defect::TamperedQuote), Verdict::Refused, Some(Class::Verification)),
        (Some(Defect::CollateralDown), Verdict::Indeterminate, Some(Class::Indeterminate)),
    ];
    for (defect, verdict, class) in cases {
        sim.set_defects(defect.as_slice());
        let desk = Desk::new(&sim);
        let report = desk.client.verify(MODEL).await.unwrap();
        assert_eq!(report.verdict(), verdict, "{}", report.to_text());
        match (desk.client.ready(MODEL).await, class) {
            (Ok(endpoint), None) => assert_eq!(endpoint.report().verdict(), Verdict::Verified),
            (Err(error), Some(class)) => {
                assert_eq!(error.code().class(), class);
                let json = error.report_json().unwrap();
                assert!(json.contains("proveil.report/v1") && json.contains(verdict.name()), "{json}");
            }
            (result, _) => panic!("{result:?}"),
        }
    }
}

/// There is nothing to judge: input and account errors, before any prompt could leave.
#[tokio::test]
async fn input_errors_come_without_a_verdict() {
    let sim = simulator(&[]);
    let cases = [
        ("e2ee-sim-28b", Code::UnknownModel),
        ("tee-sim-9b", Code::ModelNotE2ee),
        ("e2ee-sim-name-only", Code::ModelNotE2ee),
        ("e2ee-sim-27b:enable_web_search=on", Code::ModelSuffix),
        ("E2EE-SIM-27B", Code::UnknownModel),
        ("", Code::InvalidArgument),
        ("e2ee\r\nx-evil: 1", Code::InvalidArgument),
    ];
    let desk = Desk::new(&sim);
    for (model, code) in cases {
        assert_eq!(desk.client.verify(model).await.unwrap_err().code(), code, "{model:?}");
        assert_eq!(desk.client.ready(model).await.unwrap_err().code(), code, "{model:?}");
    }
    let near = desk.client.verify("e2ee-sim-28b").await.unwrap_err();
    assert!(near.message().contains("Did you mean `e2ee-sim-27b`?"), "{near}");
    let stranger = Desk::with(&sim, |config| {
        config.api_key = proveil_core::secret::SecretText::new("canary-wrong-key".to_owned());
    });
    let error = stranger.client.verify(MODEL).await.unwrap_err();
    assert_eq!(error.code(), Code::UpstreamUnauthorized);
    assert_eq!(stranger.client.models_json().await.unwrap_err().code(), Code::UpstreamUnauthorized);
    assert_eq!(count(&sim, CHAT_PATH), 0);
}
