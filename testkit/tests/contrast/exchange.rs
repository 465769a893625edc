//! The whole dialogue with a coordinator on Intel's hardware, answered by hand: what is asked of whom, and what the report calls it.

use proveil_core::endpoint::Outcome;
use proveil_core::http::{HttpResponse, ResponseHead, TransportFailure};
use proveil_core::policy::Policy;
use proveil_core::provider::privatemode::PrivatemodeOptions;
use proveil_core::provider::{Exchange, ExchangeConfig, Provider, Step};
use proveil_core::report::{Outcome as CheckOutcome, Report};
use proveil_core::secret::SecretText;
use proveil_core::wire::base64;

use super::*;

/// A coordinator's answer was taken; the next request is for this, or there is none.
fn attested(deployment: &Deployment, at_hand: Vec<TdxCollateral>) -> (Exchange, Step) {
    let config = ExchangeConfig {
        provider: Provider::Privatemode,
        model: "m".to_owned(),
        base_url: None,
        collateral_url: None,
        nvidia_url: None,
        api_key: SecretText::new("k".to_owned()),
        policy: Policy::standard(),
        roots: roots(deployment),
        collateral: at_hand,
        endorsements: Vec::new(),
        model_list: None,
        privatemode: PrivatemodeOptions {
            manifest: Some(deployment.manifest.to_bytes()),
            ..PrivatemodeOptions::default()
        },
    };
    let mut exchange = Exchange::new(config, &mut random()).unwrap();
    let Step::Send(request) = exchange.next(NOW).unwrap() else { panic!("no request") };
    let body = Json::parse(request.body()).unwrap();
    let nonce = base64::decode(body.get("Nonce").and_then(Json::as_str).unwrap()).unwrap();
    let answer = deployment.answer(&nonce.try_into().unwrap());
    exchange.feed(HttpResponse::new(ResponseHead::new(200, []), answer)).unwrap();
    let next = exchange.next(NOW).unwrap();
    (exchange, next)
}

fn outcome_of(report: &Report, id: &str) -> Option<CheckOutcome> {
    report.checks().iter().find(|check| check.id() == id).map(|check| check.outcome())
}

/// Intel's collateral of another platform under the same roots.
fn foreign(deployment: &Deployment) -> TdxCollateral {
    let Hardware::Tdx { world, .. } = &deployment.hardware else { panic!("not TDX") };
    let mut spec = world.collateral_spec();
    spec.tcb_info.fmspc = [0x77; 6];
    TdxCollateral::from_json(spec.sign(&world.intel).to_json().as_bytes()).unwrap()
}

/// T20: what is at hand for other platforms is no reason to refuse, and no reason not to ask.
#[test]
fn only_collateral_that_fits_is_used() {
    let deployment = Deployment::tdx(&mut random(), NOW);
    let (own, other) = (collateral(&deployment).unwrap(), foreign(&deployment));
    for (at_hand, purpose) in [
        (vec![], "Intel TCB info"),
        (vec![other.clone()], "Intel TCB info"),
        (vec![own.clone()], "key exchange"),
        (vec![own.clone(), other.clone()], "key exchange"),
        (vec![other, own], "key exchange"),
    ] {
        let count = at_hand.len();
        let (_, step) = attested(&deployment, at_hand);
        let Step::Send(request) = step else { panic!("no request") };
        assert_eq!(request.purpose(), purpose, "{count}");
    }
}

/// Without collateral the check that lacks it is named, with the others of a quote; freshness has the name that it has for every provider.
#[test]
fn checks_have_their_own_names() {
    let deployment = Deployment::tdx(&mut random(), NOW);
    let (mut exchange, _) = attested(&deployment, Vec::new());
    exchange.fail(TransportFailure::Connect).unwrap();
    let Step::Done(outcome) = exchange.next(NOW).unwrap() else { panic!("no outcome") };
    let Outcome::Indeterminate(report, error) = *outcome else { panic!("{outcome:?}") };
    assert_eq!((error.code(), error.check()), (Code::CollateralUnreachable, Some("tdx.tcb_info_signature")));
    let not_checked = Some(CheckOutcome::NotChecked);
    assert_eq!(outcome_of(&report, "contrast.document"), Some(CheckOutcome::Pass));
    assert_eq!(outcome_of(&report, "tdx.quote_signature"), Some(CheckOutcome::Pass));
    assert_eq!(outcome_of(&report, "tdx.tcb_info_signature"), not_checked);
    assert_eq!(outcome_of(&report, "nonce.cpu"), not_checked);

    for deployment in [deployment, Deployment::snp(&mut random(), NOW)] {
        let at_hand = collateral(&deployment).into_iter().collect();
        let (mut exchange, _) = attested(&deployment, at_hand);
        exchange.fail(TransportFailure::Connect).unwrap();
        let error = exchange.next(NOW).unwrap_err();
        assert_eq!(error.code(), Code::SecretUnreachable);
    }
}
