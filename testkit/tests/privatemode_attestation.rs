//! The core's verdict on the simulated deployment, from the published manifest to the exchanged key: honest it is proven, every defect
//! before the first request ends with the code that it promises.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::arithmetic_side_effects)]

mod privatemode;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use privatemode::{exchange, get, post, send, start};
use proveil_core::attest::TrustRoots;
use proveil_core::attest::contrast::{
    Collateral, Expectations, KeyService, Manifest, Need, SecretServiceNames, needs, verify,
    verify_secret_answer,
};
use proveil_core::error::{Code, Error};
use proveil_core::evidence::{ContrastDocument, SecretAnswer, SnpEndorsements};
use proveil_testkit::sim::Outcome;
use proveil_testkit::sim::privatemode::{ATTEST_PATH, Defect, MANIFEST_PATH, SECRET_PATH, Simulator, Stage};

const NONCE: [u8; 32] = [0x5e; 32];

/// What the service answers, or the code for one that cannot be reached.
async fn body(request: reqwest::RequestBuilder, down: Code) -> Result<Vec<u8>, Error> {
    let raw = send(request).await.unwrap();
    if raw.status == 200 { Ok(raw.body) } else { Err(Error::new(down)) }
}

/// AMD's certificates, as far as the document lacks them.
async fn fetched(sim: &Simulator, need: Need) -> Result<Option<SnpEndorsements>, Error> {
    let Need::Snp { requests, vcek, crl, .. } = need else { panic!("not SNP") };
    if !vcek && !crl {
        return Ok(None);
    }
    let kds = async |path: &str| {
        let raw = get(sim, path).await;
        if raw.status == 200 { Ok(raw.body) } else { Err(Error::new(Code::CollateralUnreachable)) }
    };
    let vcek = Some(kds(&requests.vcek.unwrap()).await?);
    let crl = Some(kds(&requests.crl).await?);
    Ok(Some(SnpEndorsements { vcek, crl, ..SnpEndorsements::new() }))
}

/// Everything that a client does before its first request.
async fn prove(sim: &Simulator, public_key: &[u8]) -> Result<KeyService, Error> {
    let roots = TrustRoots::from_json(sim.trust_roots_json().as_bytes())?;
    let url = |path: &str| format!("{}{path}", sim.base_url());
    let manifest = body(privatemode::http().get(url(MANIFEST_PATH)), Code::ManifestUnreachable).await?;
    Manifest::parse(&manifest)?;
    let challenge = format!("{{\"Nonce\":\"{}\"}}", STANDARD.encode(NONCE));
    let answer = body(post(sim, ATTEST_PATH, challenge), Code::AttestationUnavailable).await?;
    let document = ContrastDocument::from_answer(&answer)?;
    let snp = fetched(sim, needs(&document, &roots, sim.now())?).await?;
    let expected = Expectations { manifest: &manifest, nonce: &NONCE, capabilities: None };
    let collateral = Collateral { snp: snp.as_ref(), ..Collateral::default() };
    let claims = verify(&document, &expected, &collateral, &roots, sim.now())?;
    let key = format!("{{\"PublicKey\":\"{}\"}}", STANDARD.encode(public_key));
    let answer = body(post(sim, SECRET_PATH, key), Code::SecretUnreachable).await?;
    let answer = SecretAnswer::from_json(&answer)?;
    verify_secret_answer(public_key, &answer, &claims, &SecretServiceNames::Manifest, sim.now())
}

#[tokio::test]
async fn every_defect_before_the_first_request() {
    let sim = start(&[]);
    let public_key = exchange(&sim, 5).await.public;
    assert!(prove(&sim, &public_key).await.unwrap().names.iter().any(|name| name == "secret.privatemode.ai"));
    let mut wrong = Vec::new();
    for defect in Defect::all() {
        if ![Stage::Manifest, Stage::Attestation, Stage::Collateral, Stage::Exchange]
            .contains(&defect.stage())
        {
            continue;
        }
        sim.set_defects(&[*defect]);
        let mut got = prove(&sim, &public_key).await;
        if *defect == Defect::AttestFailsOnce {
            assert_eq!(got.unwrap_err().code(), Code::AttestationUnavailable);
            got = prove(&sim, &public_key).await;
        }
        let right = match defect.outcome() {
            Outcome::Works | Outcome::NotDetectable => got.is_ok(),
            Outcome::Fails(code) => got.as_ref().is_err_and(|error| error.code() == code),
        };
        if !right {
            let got = got
                .map(|service| service.names)
                .map_err(|error| (error.code(), error.check().map(str::to_owned)));
            wrong.push(format!("{}: {:?}, not {:?}", defect.name(), got, defect.outcome()));
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}
