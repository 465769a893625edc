//! The key exchange beside the crate's calls; the attestation document beside its signature checks.

use hpke::aead::ExportOnlyAead;
use hpke::kdf::HkdfSha256;
use hpke::kem::{Kem, XWing};
use hpke::{Deserializable, OpModeR, Serializable, setup_receiver};
use proveil_core::attest::TrustRoots;
use proveil_core::attest::contrast::{Collateral, Expectations, verify};
use proveil_core::attest::snp::VerifiedVek;
use proveil_core::claims::SigningKey;
use proveil_core::evidence::{ContrastDocument, ContrastHardware};
use proveil_core::seal::hpke::{ExchangeKey, answer_exchange};
use proveil_testkit::forge::Random;
use proveil_testkit::forge::contrast::Deployment;

use super::recording::Lcg;
use crate::measure::{Pair, compare};
use crate::row::Row;
use crate::row::Target::AtMost;
use crate::signatures::Signed;
use crate::snp::NOW;

/// All rows of this module.
pub fn rows() -> Vec<Row> {
    let mut rows = vec![key_exchange()];
    rows.extend(documents());
    rows
}

fn key_exchange() -> Row {
    let generate = || ExchangeKey::generate(&mut Lcg(1)).expect("numbers");
    let (encapsulated, _) = answer_exchange(generate().public_key(), &mut Lcg(2)).expect("a good key");
    let mut seed = [0; 32];
    proveil_core::crypto::SecureRandom::fill(&mut Lcg(1), &mut seed).expect("numbers");
    let ours = || *generate().open(&encapsulated).expect("a good key").expose();
    let bare = || {
        let private = <XWing as Kem>::PrivateKey::from_bytes(&seed).expect("a seed");
        std::hint::black_box(XWing::sk_to_pk(&private).to_bytes());
        let encapsulated = <XWing as Kem>::EncappedKey::from_bytes(&encapsulated).expect("a key");
        let context =
            setup_receiver::<ExportOnlyAead, HkdfSha256, XWing>(&OpModeR::Base, &private, &encapsulated, &[])
                .expect("a good key");
        let mut secret = [0; 32];
        context.export(&[], &mut secret).expect("a short secret");
        secret
    };
    assert_eq!(ours(), bare(), "both sides export the same");
    let pair = compare(ours, bare);
    let what = format!(
        "X-Wing key pair, decapsulation and export {:.1} us; the crate's calls {:.1} us",
        pair.ours / 1e3,
        pair.other / 1e3
    );
    Row::new("privatemode.exchange_over_bare", pair.ratio(), "x", AtMost(1.05), what)
}

fn documents() -> [Row; 2] {
    let deployment = Deployment::snp(&mut Random::from_seed([11; 32]), NOW);
    let nonce = [9; 32];
    let answer = deployment.answer(&nonce);
    let manifest = deployment.manifest.to_bytes();
    let roots = TrustRoots::from_json(deployment.trust_roots_json().as_bytes()).expect("good roots");
    let expected = Expectations { manifest: &manifest, nonce: &nonce, capabilities: None };
    let read = || ContrastDocument::from_answer(&answer).expect("an honest document");
    let document = read();
    let ContrastHardware::Snp(attestation) = &document.hardware else { panic!("an AMD machine") };
    let vek = VerifiedVek::verify(&attestation.endorsements, SigningKey::Vcek, &roots, NOW)
        .expect("a good certificate");
    let judge = |vek: Option<&VerifiedVek>| {
        let collateral = Collateral { vek, ..Collateral::default() };
        verify(&read(), &expected, &collateral, &roots, NOW).expect("an honest document").not_after
    };
    let given = deployment_certificates(&deployment);
    let (certified, signed) =
        (Signed::certificate(&given.0, &given.1), Signed::snp_report(&attestation.report, &given.0));
    let cold = compare(
        || judge(None),
        || {
            certified.verify();
            signed.verify();
        },
    );
    let kept = compare(|| judge(Some(&vek)), || signed.verify());
    let row = |name, pair: Pair, what: &str| {
        let what =
            format!("{what} {:.0} us; the signature checks {:.0} us", pair.ours / 1e3, pair.other / 1e3);
        Row::note(name, pair.ratio(), "x", what)
    };
    [
        row(
            "privatemode.document_over_signatures",
            cold,
            "attestation document read and judged by its manifest, with the revocation list and the identity key's recovery",
        ),
        row(
            "privatemode.document_kept_over_signatures",
            kept,
            "the same under a kept certificate of the chip",
        ),
    ]
}

/// The chip's certificate and its issuer's.
fn deployment_certificates(deployment: &Deployment) -> (Vec<u8>, Vec<u8>) {
    use proveil_testkit::forge::contrast::Hardware;
    let Hardware::Snp { spec, .. } = &deployment.hardware else { panic!("an AMD machine") };
    let mut spec = spec.clone();
    spec.given.issuer = true;
    let endorsements = spec.sign().endorsements;
    (endorsements.vcek.expect("handed over"), endorsements.issuer.expect("handed over"))
}
