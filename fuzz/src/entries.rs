//! One function per fuzz target: any bytes in, a panic when something that must hold does not.
//!
//! They run in the forge's world, so that changed evidence gets as deep as genuine evidence does, and so that anything accepted can be
//! held against what was really signed.

use std::sync::OnceLock;

use proveil_core::appraise::{SnpExpectations, appraise_snp};
use proveil_core::attest::TrustRoots;
use proveil_core::attest::dstack::{self, EventLog, Evidence};
use proveil_core::attest::snp::{self, REPORT_LEN, Report, VerifiedVek};
use proveil_core::attest::tdx::{self, Quote, VerifiedCollateral, decode_quote_text, rules};
use proveil_core::claims::{SigningKey, SnpReport, TdBody};
use proveil_core::endpoint::{Event, Receipt};
use proveil_core::evidence::{SnpEndorsements, TdxCollateral};
use proveil_core::http::ResponseHead;
use proveil_core::policy::Policy;
use proveil_core::provider::{EvidenceInput, Provider, appraise, inspect, opener_for_key};
use proveil_core::report::Verdict;
use proveil_core::secret::Secret;
use proveil_core::wire::hex;
use proveil_core::wire::json::Json;
use proveil_core::{Code, Error};

use super::seeds::{self, CLIENT_KEY, NONCE, NOW, Scene};

/// What every run compares with; made once.
struct Fixture {
    scene: Scene,
    roots: TrustRoots,
    raw: TdxCollateral,
    collateral: VerifiedCollateral,
    honest: TdBody,
    policy: Policy,
}

fn fixture() -> &'static Fixture {
    static FIXTURE: OnceLock<Fixture> = OnceLock::new();
    FIXTURE.get_or_init(|| {
        let scene = Scene::new();
        let roots = TrustRoots::from_json(scene.world.trust_roots_json().as_bytes()).expect("forged roots");
        let raw =
            TdxCollateral::from_json(scene.world.collateral_json().as_bytes()).expect("forged collateral");
        let collateral = VerifiedCollateral::verify(&raw, &roots, NOW).expect("signed collateral");
        let quote = scene.quote(4);
        let honest = Quote::parse(&quote).expect("a forged quote").body().clone();
        Fixture { scene, roots, raw, collateral, honest, policy: Policy::standard() }
    })
}

/// A quote as bytes and as text. One that is accepted says exactly what the world signed.
pub fn tdx_quote(data: &[u8]) {
    let fixture = fixture();
    if let Ok(quote) = Quote::parse(data) {
        let _ = (quote.platform(), quote.collateral_requests());
    }
    let kept = tdx::verify(data, &fixture.collateral, &fixture.roots, NOW);
    let fresh = tdx::verify_with_raw_collateral(data, &fixture.raw, &fixture.roots, NOW);
    assert_eq!(kept.as_ref().err().map(Error::code), fresh.as_ref().err().map(Error::code));
    if let Ok(claims) = kept {
        let (found, honest) = (&claims.body, &fixture.honest);
        assert_eq!(
            (&found.rtmr, &found.mr_td, &found.report_data),
            (&honest.rtmr, &honest.mr_td, &honest.report_data)
        );
        assert!(rules::evaluate(&claims, fixture.policy.tdx()).iter().all(|finding| finding.passed));
    }
    assert!(
        tdx::verify(data, &fixture.collateral, &TrustRoots::vendors(), NOW).is_err(),
        "forged for other roots"
    );
    if let Ok(text) = std::str::from_utf8(data) {
        let _ = decode_quote_text(text);
    }
}

/// What SEV-SNP reports are compared with; made once. Its RSA keys are new in each process.
struct SnpFixture {
    roots: TrustRoots,
    endorsements: SnpEndorsements,
    vek: VerifiedVek,
    honest: SnpReport,
    policy: Policy,
}

fn snp_fixture() -> &'static SnpFixture {
    static FIXTURE: OnceLock<SnpFixture> = OnceLock::new();
    FIXTURE.get_or_init(|| {
        let evidence = seeds::snp_evidence();
        let roots = TrustRoots::from_json(evidence.trust_roots_json.as_bytes()).expect("forged roots");
        let endorsements = evidence.endorsements;
        let vek =
            VerifiedVek::verify(&endorsements, SigningKey::Vcek, &roots, NOW).expect("a forged certificate");
        let honest = Report::parse(&evidence.report).expect("a forged report").fields().clone();
        SnpFixture { roots, endorsements, vek, honest, policy: Policy::standard() }
    })
}

/// An SEV-SNP report, and behind its 1184 bytes a file or table with certificates; without one the honest ones are taken. What is
/// accepted says exactly what was signed.
pub fn snp_report(data: &[u8]) {
    let fixture = snp_fixture();
    let (report, rest) = data.split_at_checked(REPORT_LEN).unwrap_or((data, &[]));
    if let Ok(report) = Report::parse(report) {
        let _ = (report.product(), report.kds_requests(None));
    }
    let given = SnpEndorsements::from_files([rest]);
    let _ = SnpEndorsements::from_certificate_table(rest);
    let endorsements = match &given {
        Ok(given) if !rest.is_empty() => given,
        _ => &fixture.endorsements,
    };
    let kept = snp::verify(report, &fixture.vek, &fixture.roots, NOW);
    let fresh = snp::verify_with_raw_endorsements(report, endorsements, &fixture.roots, NOW);
    if rest.is_empty() {
        assert_eq!(kept.as_ref().err(), fresh.as_ref().err());
    }
    for claims in [&kept, &fresh].into_iter().flatten() {
        assert_eq!(claims.report, fixture.honest);
    }
    let expected =
        SnpExpectations { report_data: Some(fixture.honest.report_data), ..SnpExpectations::default() };
    let (judged, result) =
        appraise_snp(report, endorsements, &expected, &fixture.policy, &fixture.roots, NOW);
    assert_eq!(result.is_ok(), judged.verdict() == Verdict::Verified);
    assert!(result.is_err() || fresh.is_ok());
    assert!(Json::parse(judged.to_json().as_bytes()).is_ok());
    let vendors = TrustRoots::vendors();
    assert!(
        snp::verify_with_raw_endorsements(report, endorsements, &vendors, NOW).is_err(),
        "forged for other roots"
    );
}

/// An event stream; the first byte says how it is cut into reads. Any cut gives what one read gives.
pub fn sse_answer(data: &[u8]) {
    let (cut, stream) = data.split_first().map_or((1, data), |(cut, rest)| (usize::from(*cut), rest));
    let whole = open(&[stream], 1);
    let pieces: Vec<&[u8]> = stream.chunks(cut.max(1)).collect();
    let workers = if cut % 2 == 0 { 1 } else { 3 };
    assert_eq!(texts(&whole.0), texts(&open(&pieces, workers).0), "reads of {cut} bytes");
    assert_eq!(outcome(&whole.1), outcome(&open(&pieces, 1).1), "reads of {cut} bytes");
}

type Opened = (Vec<Event>, Result<Receipt, Error>);

fn open(pieces: &[&[u8]], workers: usize) -> Opened {
    let mut events = Vec::new();
    let mut run = || {
        let mut opener = opener_for_key(Secret::take(&mut CLIENT_KEY.clone()), false)?;
        opener.set_workers(workers);
        opener
            .head(&ResponseHead::new(200, [("content-type".to_owned(), "text/event-stream".to_owned())]))?;
        pieces.iter().try_for_each(|piece| opener.push(piece, &mut events))?;
        opener.finish(&mut events)
    };
    let result = run();
    (events, result)
}

/// Texts joined per choice and field: reads may divide them differently.
fn texts(events: &[Event]) -> Vec<(u32, &'static str, String)> {
    let mut out: Vec<(u32, &'static str, String)> = Vec::new();
    for event in events {
        let (choice, field, text) = match event {
            Event::Text { choice, field, text } => (*choice, field.name(), text.as_str()),
            Event::Finish { choice, reason } => (*choice, "finish", reason.as_str()),
            Event::Usage { json } => (0, "usage", json.as_str()),
            Event::Document { json, .. } => (0, "document", json.as_str()),
        };
        match out.iter_mut().find(|(c, f, _)| (*c, *f) == (choice, field)) {
            Some((_, _, joined)) => joined.push_str(text),
            None => out.push((choice, field, text.to_owned())),
        }
    }
    out
}

/// Everything of a result that does not depend on where reads end.
fn outcome(result: &Result<Receipt, Error>) -> Result<(Option<&str>, u64), Code> {
    match result {
        Ok(receipt) => Ok((receipt.id.as_deref(), receipt.sealed_fields)),
        Err(error) => Err(error.code()),
    }
}

/// An event log as text, and the same inside a document. One that is accepted leads to the measured register.
pub fn event_log(data: &[u8]) {
    let fixture = fixture();
    let app = &fixture.scene.world.guest.app;
    let rtmr3 = fixture.honest.rtmr.last().copied().unwrap_or([0; 48]);
    let Ok(text) = std::str::from_utf8(data) else { return };
    let logs = [
        EventLog::read_text(text),
        Json::parse(data)
            .map_err(|_| Error::new(Code::EventLogMalformed))
            .and_then(|json| EventLog::read(&json)),
    ];
    for log in logs.into_iter().flatten() {
        for app_compose in [None, Some(app.app_compose.as_str())] {
            let evidence = Evidence { log: &log, app_compose, config_document: None };
            if let Ok(claims) = dstack::check(&evidence, &rtmr3, &fixture.honest.mr_config_id) {
                assert_eq!((claims.compose_hash, claims.app_id), (app.compose_hash(), app.app_id));
            }
        }
    }
    let input = Json::Object(vec![
        ("event_log".to_owned(), Json::String(text.to_owned())),
        ("rtmr3".to_owned(), Json::String(hex::encode(&rtmr3))),
        ("mr_config_id".to_owned(), Json::String(hex::encode(&fixture.honest.mr_config_id))),
    ]);
    let _ = inspect("dstack.event_log", input.to_compact().as_bytes());
}

/// A whole attestation answer. Report and result agree; what is verified is the enclave's key and nothing else.
pub fn attestation_answer(data: &[u8]) {
    let fixture = fixture();
    let collateral = [fixture.raw.clone()];
    let input = EvidenceInput {
        provider: Provider::Venice,
        model: Some(fixture.scene.model.id),
        response: data,
        nonce: NONCE,
        collateral: &collateral,
    };
    let (report, result) = appraise(&input, &fixture.policy, &fixture.roots, NOW);
    assert_eq!(result.is_ok(), report.verdict() == Verdict::Verified);
    assert_eq!(result.is_ok(), report.code().is_none());
    let (json, text) = (report.to_json(), report.to_text());
    assert!(Json::parse(json.as_bytes()).is_ok() && !text.is_empty());
    assert!(!text.contains('\u{1b}'), "terminal escapes");
    if result.is_ok() {
        let key = hex::encode(&fixture.scene.key.address());
        assert!(report.headline().contains(&key), "{}", report.headline());
    }
    let (_, vendors) = appraise(&input, &fixture.policy, &TrustRoots::vendors(), NOW);
    assert!(vendors.is_err(), "forged for other roots");
}

/// For seeds: the whole answer is opened.
pub fn sse_is_whole(stream: &[u8]) {
    let (events, result) = open(&[stream], 1);
    let expected = [
        (0, "reasoning", "th\u{ef}nk".to_owned()),
        (0, "content", "one \u{1f600}".to_owned()),
        (0, "finish", "stop".to_owned()),
    ];
    let found = texts(&events);
    assert!(expected.iter().all(|text| found.contains(text)), "{found:?}");
    assert_eq!(outcome(&result), Ok((Some("chatcmpl-1"), 3)));
}
