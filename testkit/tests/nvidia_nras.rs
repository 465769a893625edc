//! Answers of NVIDIA's attestation service: every step of attestation.md 3.6 and every trick on tokens (threats T12, T14).

#![allow(clippy::arithmetic_side_effects, clippy::indexing_slicing, clippy::unwrap_used, clippy::expect_used)]

#[path = "common/nvidia.rs"]
mod nvidia_system;

use nvidia_system::{NONCE, NOW, System, check, everything, outcome, policy};
use proveil_core::attest::TrustRoots;
use proveil_core::attest::nvidia::nras::{self, NRAS_ISSUER_URL, NrasExpected};
use proveil_core::attest::nvidia::requests::{self, NrasVersion, NvidiaServices};
use proveil_core::claims::{GpuClaims, NrasClaims, Verified};
use proveil_core::error::Code;
use proveil_core::evidence::NrasAnswer;
use proveil_core::http::BaseUrl;
use proveil_core::report::{Enforcement, Outcome};
use proveil_core::wire::json::Json;
use proveil_testkit::forge::nras::{ClaimsVersion, NrasPki, NrasSpec, token};
use proveil_testkit::forge::{EcKey, object, string};

fn expected(devices: usize) -> NrasExpected<'static> {
    NrasExpected { nonce: &NONCE, issuer: NRAS_ISSUER_URL, devices, allow_hold: false }
}

fn judge(system: &System, answer: &NrasAnswer) -> Result<NrasClaims, (Code, String)> {
    judge_at(system, answer, &system.roots, NOW)
}

fn judge_at(
    system: &System,
    answer: &NrasAnswer,
    roots: &TrustRoots,
    at: u64,
) -> Result<NrasClaims, (Code, String)> {
    nras::verify(answer, &expected(system.world.gpus.len()), roots, at)
        .map(|claims| claims.get().clone())
        .map_err(|error| (error.code(), error.check().unwrap_or_default().to_owned()))
}

fn token_error(check: &str) -> Result<NrasClaims, (Code, String)> {
    Err((Code::NrasToken, format!("gpu.nras.{check}")))
}

#[test]
fn honest_answers_of_both_versions() {
    let mut system = System::new(3);
    let claims = system.claims();
    for (version, words) in [(ClaimsVersion::V2, "2.0"), (ClaimsVersion::V3, "3.0")] {
        let answer = system.answer(false, &system.nras(false, version));
        let found = judge(&system, &answer).unwrap();
        assert_eq!((found.version.as_str(), found.devices.len(), found.custom_root), (words, 3, true));
        assert_eq!(found.expires_at, NOW + 3_540);
        nras::check_devices(&found, claims.iter().map(|device| device.get())).unwrap();
    }
    let mut system = System::protected(2, 2);
    let claims = system.claims();
    for version in [ClaimsVersion::V2, ClaimsVersion::V3] {
        let answer = system.answer(true, &system.nras(true, version));
        let found = nras::verify(&answer, &expected(2), &system.roots, NOW).unwrap();
        nras::check_devices(&found, claims[2..].iter().map(|device| device.get())).unwrap();
    }
}

type Change = fn(&mut NrasSpec);
/// Name, change, what comes of it.
type Case<'a> = (&'a str, Change, Result<NrasClaims, (Code, String)>);

/// Each defect is signed by the trusted key: only the named rule stands against it.
#[test]
fn signed_defects() {
    let system = System::new(2);
    let refused = |check: &str| Err((Code::NrasRefused, format!("gpu.nras.{check}")));
    let no = Json::Bool(false);
    let cases: &[Case<'_>] = &[
        ("another issuer", |s| s.set_overall("iss", string("https://nras.example")), token_error("issuer")),
        ("no issuer", |s| s.overall.retain(|(name, _)| name != "iss"), token_error("issuer")),
        ("another issuer of a device", |s| s.set_device(1, "iss", string("x")), token_error("issuer")),
        ("another nonce", |s| s.set_overall("eat_nonce", string("ab".repeat(32))), token_error("nonce")),
        ("no nonce", |s| s.overall.retain(|(name, _)| name != "eat_nonce"), token_error("nonce")),
        (
            "a device's other nonce",
            |s| s.set_device(1, "eat_nonce", string("ab".repeat(32))),
            token_error("nonce"),
        ),
        (
            "overall no",
            |s| s.set_overall("x-nvidia-overall-att-result", Json::Bool(false)),
            refused("overall_false"),
        ),
        (
            "overall in words",
            |s| s.set_overall("x-nvidia-overall-att-result", string("true")),
            refused("overall_false"),
        ),
        (
            "overall missing",
            |s| s.overall.retain(|(name, _)| name != "x-nvidia-overall-att-result"),
            refused("overall_false"),
        ),
        ("no end", |s| s.overall.retain(|(name, _)| name != "exp"), token_error("expired")),
        ("no start", |s| s.overall.retain(|(name, _)| name != "iat"), token_error("expired")),
        ("an end in words", |s| s.set_overall("exp", string("never")), token_error("expired")),
        ("a life of years", |s| s.set_overall("exp", number(NOW + 100_000_000)), token_error("expired")),
        (
            "ended",
            |s| s.set_overall("exp", number(NOW)),
            Err((Code::CollateralExpired, "gpu.nras.expired".into())),
        ),
        (
            "not begun",
            |s| s.set_overall("nbf", number(NOW + 1)),
            Err((Code::CollateralNotYetValid, "gpu.nras.not_yet_valid".into())),
        ),
        (
            "issued later",
            |s| s.set_overall("iat", number(NOW + 1)),
            Err((Code::CollateralNotYetValid, "gpu.nras.not_yet_valid".into())),
        ),
        (
            "no begin",
            |s| s.overall.retain(|(name, _)| name != "nbf"),
            Err((Code::CollateralNotYetValid, "gpu.nras.not_yet_valid".into())),
        ),
        (
            "a device ended",
            |s| s.set_device(0, "exp", number(NOW)),
            Err((Code::CollateralExpired, "gpu.nras.expired".into())),
        ),
        (
            "a device less",
            |s| {
                s.devices.pop();
            },
            token_error("submods"),
        ),
        (
            "a device more",
            |s| {
                let mut more = s.devices[0].clone();
                more.0 = "GPU-9".into();
                s.devices.push(more);
            },
            token_error("submods"),
        ),
        (
            "an error",
            |s| s.set_device(1, "x-nvidia-error-details", object([("code", number(4010))])),
            refused("claims"),
        ),
        (
            "a warning",
            |s| s.set_device(1, "x-nvidia-attestation-warning", string("CERT_HOLD")),
            refused("claims"),
        ),
        ("measurements differ", |s| s.set_device(1, "measres", string("fail")), refused("claims")),
        ("measurements not compared", |s| s.set_device(1, "measres", Json::Null), refused("claims")),
        ("debug", |s| s.set_device(1, "dbgstat", string("enabled")), refused("claims")),
        ("no secure boot", |s| s.set_device(1, "secboot", Json::Bool(false)), refused("claims")),
        ("no serial number", |s| s.set_device(1, "ueid", Json::Null), refused("claims")),
        ("no chip", |s| s.set_device(1, "hwmodel", Json::Null), refused("claims")),
        (
            "an unknown check that failed",
            |s| s.set_device(1, "x-nvidia-gpu-new-check", Json::Bool(false)),
            refused("claims"),
        ),
        (
            "a hidden check that failed",
            |s| s.set_device(1, "x-nvidia-gpu-new", object([("x-nvidia-cert-status", string("revoked"))])),
            refused("claims"),
        ),
    ];
    for (name, change, expected) in cases {
        for version in [ClaimsVersion::V2, ClaimsVersion::V3] {
            let mut spec = system.nras(false, version);
            change(&mut spec);
            assert_eq!(judge(&system, &system.answer(false, &spec)), *expected, "{name} {version:?}");
        }
    }
    // Claims 2.0 of a GPU must say both; claims 3.0 need not.
    for claim in ["secboot", "dbgstat"] {
        for (version, accepted) in [(ClaimsVersion::V2, false), (ClaimsVersion::V3, true)] {
            let (mut null, mut absent) = (system.nras(false, version), system.nras(false, version));
            null.set_device(1, claim, Json::Null);
            absent.devices[1].1.retain(|(name, _)| name != claim);
            for spec in [null, absent] {
                assert_eq!(judge(&system, &system.answer(false, &spec)).is_ok(), accepted, "{claim}");
            }
        }
    }
    // Every check that the service lists, turned to no, to a word, and left out.
    for version in [ClaimsVersion::V2, ClaimsVersion::V3] {
        let honest = system.nras(false, version);
        let claims: Vec<(String, Json)> = honest.devices[0]
            .1
            .iter()
            .filter(|(name, _)| name.starts_with("x-nvidia-gpu-"))
            .cloned()
            .collect();
        assert!(claims.len() > 12);
        for (name, value) in claims {
            if name.ends_with("-version") {
                continue;
            }
            // That a schema was checked is said by one version of the service and not by the other.
            let optional = name.ends_with("schema-validated");
            let changes = [Some(no.clone()), Some(string("true")), Some(Json::Null), None];
            for (i, change) in changes.into_iter().enumerate() {
                let mut spec = honest.clone();
                match change {
                    Some(value) => spec.set_device(0, &name, value),
                    None => spec.devices[0].1.retain(|(other, _)| *other != name),
                }
                let found = judge(&system, &system.answer(false, &spec));
                if optional && i > 0 {
                    assert!(found.is_ok(), "{name}");
                } else {
                    assert_eq!(found, refused("claims"), "{name} {i}");
                }
            }
            if let Json::Object(_) = value {
                for (part, bad) in
                    [("x-nvidia-cert-status", "expired"), ("x-nvidia-cert-ocsp-status", "revoked")]
                {
                    let mut spec = honest.clone();
                    let other = |p: &str| if p == "x-nvidia-cert-status" { "valid" } else { "good" };
                    let chain = ["x-nvidia-cert-status", "x-nvidia-cert-ocsp-status"]
                        .map(|p| (p, string(if p == part { bad } else { other(p) })));
                    spec.set_device(0, &name, object(chain));
                    assert_eq!(
                        judge(&system, &system.answer(false, &spec)),
                        refused("claims"),
                        "{name} {part}"
                    );
                }
                let mut spec = honest.clone();
                spec.set_device(0, &name, object([]));
                assert_eq!(judge(&system, &system.answer(false, &spec)), refused("claims"), "{name} empty");
            }
        }
    }
}

fn number(value: u64) -> Json {
    Json::Number(value.into())
}

/// T14: the header never chooses how or by which key it is checked.
#[test]
fn headers_and_algorithms() {
    let mut system = System::new(1);
    let pki = system.world.nras.clone();
    let stranger = EcKey::p384(&mut system.random);
    let kid = || string(pki.kid.as_str());
    let with = |header: Json, key: &EcKey| {
        let mut spec = system.nras(false, ClaimsVersion::V2);
        spec.header = header;
        judge(&system, &system.answer_of(false, &spec.sign(key)))
    };
    let key = &pki.signer.key;
    let es384 = || string("ES384");
    assert!(with(object([("alg", es384()), ("kid", kid()), ("typ", string("JWT"))]), key).is_ok());
    for (name, header, check) in [
        ("none", object([("alg", string("none")), ("kid", kid())]), "alg"),
        ("HS256", object([("alg", string("HS256")), ("kid", kid())]), "alg"),
        ("ES256", object([("alg", string("ES256")), ("kid", kid())]), "alg"),
        ("no algorithm", object([("kid", kid())]), "alg"),
        ("another case", object([("alg", string("es384")), ("kid", kid())]), "alg"),
        ("its own key", object([("alg", es384()), ("kid", kid()), ("jwk", pki.jwk())]), "alg"),
        (
            "an address of a key",
            object([("alg", es384()), ("kid", kid()), ("jku", string("https://x"))]),
            "alg",
        ),
        ("its own chain", object([("alg", es384()), ("kid", kid()), ("x5c", Json::Array(vec![]))]), "alg"),
        (
            "a critical member",
            object([("alg", es384()), ("kid", kid()), ("crit", Json::Array(vec![]))]),
            "alg",
        ),
        ("no key id", object([("alg", es384())]), "alg"),
        ("an unknown key id", object([("alg", es384()), ("kid", string("other"))]), "kid"),
    ] {
        assert_eq!(with(header, key), token_error(check), "{name}");
    }
    let honest = object([("alg", es384()), ("kid", kid())]);
    assert_eq!(with(honest.clone(), &stranger), token_error("signature"));
    // A device token by a stranger under a genuine overall token that names it.
    let spec = system.nras(false, ClaimsVersion::V2);
    let foreign = spec.tokens(&stranger);
    let answer = system.answer_of(false, &spec.sign_with(&foreign, &foreign, key));
    assert_eq!(judge(&system, &answer), token_error("signature"));
    // Two algorithms in one header are two members of one name.
    let payload = Json::Object(spec.overall.clone());
    let twice =
        Json::Object(vec![("alg".into(), es384()), ("alg".into(), string("none")), ("kid".into(), kid())]);
    let overall = Json::Array(vec![string("JWT"), string(token(&twice, &payload, key))]);
    let tokens = Json::Array(vec![overall, Json::Object(spec.tokens(key))]);
    assert_eq!(judge(&system, &system.answer_of(false, &tokens)), token_error("token"));
}

/// Steps 1 and 2: how the key list was fetched shows nothing; the certificate behind the key does.
#[test]
fn key_lists() {
    let mut system = System::new(1);
    let pki = system.world.nras.clone();
    let honest = system.answer(false, &system.nras(false, ClaimsVersion::V2));
    let list = |keys: Vec<Json>| object([("keys", Json::Array(keys))]).to_compact().into_bytes();
    let with = |jwks: Vec<u8>| judge(&system, &NrasAnswer { jwks, ..honest.clone() });
    let set = |name: &str, value: Json| {
        let Json::Object(mut members) = pki.jwk() else { panic!() };
        members.retain(|(other, _)| other != name);
        members.push((name.into(), value));
        Json::Object(members)
    };
    let other_type = object([("kty", string("RSA")), ("kid", string("r"))]);
    assert!(with(list(vec![other_type, pki.jwk()])).is_ok());
    let Some(Json::Array(chain)) = pki.jwk().get("x5c").cloned() else { panic!() };
    let [leaf, issuer] = <[Json; 2]>::try_from(chain).unwrap();
    for (name, jwks, check) in [
        ("empty", list(vec![]), "kid"),
        ("key id twice", list(vec![pki.jwk(), pki.jwk()]), "token"),
        ("no chain", list(vec![set("x5c", Json::Null)]), "token"),
        ("leaf alone", list(vec![set("x5c", Json::Array(vec![leaf.clone()]))]), "chain"),
        ("order", list(vec![set("x5c", Json::Array(vec![issuer.clone(), leaf.clone()]))]), "chain"),
        (
            "three",
            list(vec![set("x5c", Json::Array(vec![leaf.clone(), issuer.clone(), issuer.clone()]))]),
            "chain",
        ),
        ("another point", list(vec![set("x", pki.jwk().get("y").unwrap().clone())]), "chain"),
        ("a short point", list(vec![set("x", string("AAAA"))]), "token"),
        ("padding", list(vec![set("x", string("AA=="))]), "token"),
        ("too many", list(vec![object([]); 65]), "token"),
        ("no list", b"{}".to_vec(), "token"),
        ("a web page", b"<html>".to_vec(), "token"),
    ] {
        assert_eq!(with(jwks), token_error(check), "{name}");
    }
    // A list of a stranger with the same names; a stranger's key under the genuine authority's name.
    let stranger = NrasPki::generate(&mut system.random, NOW);
    let spec = NrasSpec::new(&stranger, &system.devices(false), &NONCE, ClaimsVersion::V2, NOW);
    let tokens = spec.sign(&stranger.signer.key).to_compact().into_bytes();
    let forged = NrasAnswer { tokens, jwks: list(vec![stranger.jwk()]), ..honest.clone() };
    assert_eq!(judge(&system, &forged), token_error("chain"));
    let mut mixed = pki.clone();
    mixed.signer = stranger.signer.clone();
    let forged = NrasAnswer { jwks: list(vec![mixed.jwk()]), ..forged };
    assert_eq!(judge(&system, &forged), token_error("chain"));
    // The key's certificate ends after a day, long before the authority's.
    let late = judge_at(&system, &honest, &system.roots, NOW + 86_401);
    assert_eq!(late, token_error("chain"));
    for roots in
        [TrustRoots::vendors(), TrustRoots::from_json(b"{\"schema\":\"proveil.trust-roots/v1\"}").unwrap()]
    {
        assert_eq!(judge_at(&system, &honest, &roots, NOW), token_error("chain"));
    }
}

/// Step 4: the set of tokens and their digests.
#[test]
fn sets_of_tokens() {
    let system = System::new(2);
    let key = &system.world.nras.signer.key;
    let spec = system.nras(false, ClaimsVersion::V2);
    let tokens = spec.tokens(key);
    let judge_with = |named: &[(String, Json)], carried: &[(String, Json)]| {
        judge(&system, &system.answer_of(false, &spec.sign_with(named, carried, key)))
    };
    let renamed = |from: &str, to: &str| -> Vec<(String, Json)> {
        tokens
            .iter()
            .map(|(name, token)| (if name == from { to.into() } else { name.clone() }, token.clone()))
            .collect()
    };
    assert!(judge_with(&tokens, &tokens).is_ok());
    let swapped =
        vec![(tokens[0].0.clone(), tokens[1].1.clone()), (tokens[1].0.clone(), tokens[0].1.clone())];
    for (name, named, carried, check) in [
        ("swapped", tokens.clone(), swapped, "digest"),
        ("one less carried", tokens.clone(), tokens[..1].to_vec(), "submods"),
        ("one less named", tokens[..1].to_vec(), tokens.clone(), "submods"),
        ("one less both", tokens[..1].to_vec(), tokens[..1].to_vec(), "submods"),
        ("renamed", tokens.clone(), renamed("GPU-1", "GPU-7"), "submods"),
        ("none", vec![], vec![], "submods"),
        ("not a text", tokens.clone(), vec![tokens[0].clone(), (tokens[1].0.clone(), Json::Null)], "token"),
    ] {
        assert_eq!(judge_with(&named, &carried), token_error(check), "{name}");
    }
    for text in [
        "[]",
        "{}",
        "[[\"JWT\",\"a.b.c\"]]",
        "[[\"jwt\",\"a.b.c\"],{}]",
        "[[\"JWT\",1],{}]",
        "[[\"JWT\",\"a.b.c\"],[]]",
        "x",
    ] {
        let answer = NrasAnswer { tokens: text.into(), ..system.answer(false, &spec) };
        assert_eq!(judge(&system, &answer), token_error("token"), "{text}");
    }
    // Other digests than SHA-256 in the documented form.
    let honest = spec.sign(key).to_compact();
    for (from, to) in [("DIGEST", "HASH"), ("SHA-256", "SHA-1")] {
        let mut forged = spec.clone();
        let names = tokens.iter().map(|(name, token)| {
            use sha2::Digest;
            let digest = const_hex::encode(sha2::Sha256::digest(token.as_str().unwrap()));
            let word = |w: &str| string(if w == from { to } else { w });
            let digest = Json::Array(vec![word("SHA-256"), string(digest)]);
            (name.clone(), Json::Array(vec![word("DIGEST"), digest]))
        });
        forged.set_overall("submods", Json::Object(names.collect()));
        let overall = token(&forged.header, &Json::Object(forged.overall.clone()), key);
        let tokens = Json::Array(vec![
            Json::Array(vec![string("JWT"), string(overall)]),
            Json::Object(tokens.clone()),
        ]);
        assert_ne!(tokens.to_compact(), honest);
        assert_eq!(judge(&system, &system.answer_of(false, &tokens)), token_error("digest"), "{from}");
    }
}

/// Step 6: a genuine answer about other devices, or about other versions, is not about this evidence.
#[test]
fn about_these_devices() {
    let mut system = System::new(2);
    let claims = system.claims();
    let judge = |change: Change| {
        let mut spec = system.nras(false, ClaimsVersion::V2);
        change(&mut spec);
        let answer = system.answer(false, &spec);
        let found = nras::verify(&answer, &expected(2), &system.roots, NOW).unwrap();
        nras::check_devices(&found, claims.iter().map(|device| device.get())).map_err(|error| error.code())
    };
    assert_eq!(judge(|_| ()), Ok(()));
    let cases: &[Change] = &[
        |s| s.set_device(1, "ueid", string("12345")),
        |s| {
            let first = s.devices[0].1.clone();
            s.devices[1].1 = first;
        },
        |s| s.set_device(1, "hwmodel", string("GB100")),
        |s| s.set_device(1, "x-nvidia-gpu-driver-version", string("570.172.07")),
        |s| s.set_device(1, "x-nvidia-gpu-vbios-version", string("96.00.CF.00.01")),
    ];
    for (i, change) in cases.iter().enumerate() {
        assert_eq!(judge(*change), Err(Code::NrasToken), "{i}");
    }
    let found = nras::verify(
        &system.answer(false, &system.nras(false, ClaimsVersion::V2)),
        &expected(2),
        &system.roots,
        NOW,
    )
    .unwrap();
    let one = nras::check_devices(&found, claims[..1].iter().map(|device| device.get()));
    assert_eq!(one.unwrap_err().check(), Some("gpu.nras.evidence"));
}

/// In a report NVIDIA's word stands beside our own checks and passes none of them.
#[test]
fn in_a_report() {
    let mut system = System::new(1);
    let honest = system.endorsements();
    let mut word_only = honest.clone();
    word_only.rims.clear();
    let measured = policy(r#"{"require_measurements":true}"#);
    let (report, error) = system.appraise(&word_only, &measured);
    assert_eq!(error, None, "{}", report.to_text());
    for id in ["gpu.measurements", "gpu.cc_mode"] {
        assert_eq!(outcome(&report, id), Some((Outcome::NotChecked, Enforcement::Advisory)), "{id}");
    }
    assert_eq!(check(&report, "gpu.nras.claims").outcome(), Outcome::Pass);
    assert!(report.headline().contains("NVIDIA's service calls right"), "{}", report.headline());
    // A rule for our own comparison is not met by it.
    for rule in [r#"{"require_rim":true}"#, r#"{"require_rim":true,"require_measurements":true}"#] {
        let (_, error) = system.appraise(&word_only, &policy(rule));
        assert_eq!(error.unwrap().code(), Code::RequiredCheckNotMade, "{rule}");
    }
    let (report, error) = system.appraise(&honest, &everything());
    assert_eq!(error, None, "{}", report.to_text());
    // A bad token is refused though nobody asked for one; it is not looked at only when the policy says so.
    let mut spec = system.nras(false, ClaimsVersion::V2);
    spec.set_device(0, "measres", string("fail"));
    let mut bad = honest.clone();
    bad.nras = vec![system.answer(false, &spec)];
    let (_, error) = system.appraise(&bad, &policy("{}"));
    assert_eq!(error.unwrap().check(), Some("gpu.nras.claims"));
    let (report, error) = system.appraise(&bad, &policy(r#"{"nras":"off"}"#));
    assert_eq!((error, check(&report, "gpu.nras.token").outcome()), (None, Outcome::NotChecked));
    // Two answers about the same devices; an answer about a kind that is not there.
    let mut two = honest.clone();
    two.nras.push(honest.nras[0].clone());
    assert_eq!(system.appraise(&two, &policy("{}")).1.unwrap().check(), Some("gpu.nras.token"));
    let mut foreign = honest.clone();
    foreign.nras[0].kind = proveil_core::claims::DeviceKind::Switch;
    assert_eq!(
        system.appraise(&foreign, &policy(r#"{"nras":"required"}"#)).1.unwrap().check(),
        Some("gpu.nras.token")
    );
}

fn refs(devices: &[Verified<GpuClaims>]) -> Vec<&GpuClaims> {
    devices.iter().map(Verified::get).collect()
}

/// What a client would send: the devices' evidence, the nonce, and nothing else.
#[test]
fn requests_for_the_service() {
    let mut system = System::protected(2, 1);
    let (evidence, claims) = (system.evidence(), system.claims());
    let (gpus, switches): (Vec<_>, Vec<_>) =
        claims.into_iter().partition(|device| device.driver_version.is_some());
    let services = NvidiaServices::new(None);
    let body = |request: &proveil_core::http::HttpRequest| Json::parse(request.body()).unwrap();
    let request = services.nras_request(&evidence[..2], &refs(&gpus), &NONCE, NrasVersion::V3).unwrap();
    assert_eq!(request.url(), "https://nras.attestation.nvidia.com/v3/attest/gpu");
    let json = body(&request);
    assert_eq!(json.get("arch").and_then(Json::as_str), Some("HOPPER"));
    assert_eq!(json.get("claims_version").and_then(Json::as_str), Some("2.0"));
    assert_eq!(json.get("evidence_list").and_then(Json::as_array).unwrap().len(), 2);
    let request = services.nras_request(&evidence[2..], &refs(&switches), &NONCE, NrasVersion::V4).unwrap();
    assert_eq!(request.url(), "https://nras.attestation.nvidia.com/v4/attest/switch");
    assert_eq!(body(&request).get("claims_version").and_then(Json::as_str), Some("3.0"));
    assert!(
        services.nras_request(&evidence, &refs(&gpus), &NONCE, NrasVersion::V3).is_none(),
        "lists do not fit"
    );
    assert_eq!(services.jwks_request().url(), "https://nras.attestation.nvidia.com/.well-known/jwks.json");

    let needed = requests::rims_needed(gpus.iter().chain(&switches).map(|device| device.get()));
    assert_eq!(needed.len(), 3, "each once");
    let request = services.rim_request(&needed[0].names[0]).unwrap();
    assert_eq!(request.url(), "https://rim.attestation.nvidia.com/v1/rim/NV_GPU_DRIVER_GH100_570.172.08");
    // T25: a version in a report cannot lead elsewhere.
    for name in ["", "../x", "a/b", "a?b", "a#b", "a%2fb", "a b", &"a".repeat(129)] {
        assert!(services.rim_request(name).is_none(), "{name}");
    }
    // Everything of a mirror is below one address; the key of the caller goes nowhere.
    let mirror = NvidiaServices::new(Some(&BaseUrl::parse("https://mirror.example/nvidia/").unwrap()));
    let urls =
        [mirror.rim_request("A_1").unwrap(), mirror.jwks_request()].map(|request| request.url().to_owned());
    assert_eq!(
        urls,
        ["https://mirror.example/nvidia/v1/rim/A_1", "https://mirror.example/nvidia/.well-known/jwks.json"]
    );
}

#[test]
fn sweeps() {
    let system = System::new(1);
    let answer = system.answer(false, &system.nras(false, ClaimsVersion::V2));
    for length in (0..answer.tokens.len()).step_by(11) {
        let cut = NrasAnswer { tokens: answer.tokens[..length].to_vec(), ..answer.clone() };
        assert_eq!(judge(&system, &cut), token_error("token"), "{length}");
    }
    for place in (0..answer.tokens.len()).step_by(3) {
        let mut changed = answer.clone();
        changed.tokens[place] ^= 1 << (place % 7);
        assert!(judge(&system, &changed).is_err(), "byte {place}");
    }
    for place in (0..answer.jwks.len()).step_by(3) {
        let mut changed = answer.clone();
        changed.jwks[place] ^= 1 << (place % 7);
        // Names of members that nobody reads may change; the key may not.
        if let Ok(found) = judge(&system, &changed) {
            assert_eq!(found.devices.len(), 1, "byte {place}");
        }
    }
}
