//! The targets of NVIDIA evidence: reports, manifests, tokens and OCSP answers of one forged GPU.

use std::sync::OnceLock;

use proveil_core::attest::TrustRoots;
use proveil_core::attest::nvidia::nras::{self, NRAS_ISSUER_URL, NrasExpected};
use proveil_core::attest::nvidia::{self, Device, GpuEvidence, Rim};
use proveil_core::claims::{DeviceKind, GpuClaims, NrasClaims};
use proveil_core::evidence::NrasAnswer;
use proveil_core::pki::ocsp::{Answer, Query, Status};
use proveil_core::pki::{Authority, Serial};
use proveil_testkit::forge::{Certified, World};

use super::seeds::{NONCE, NOW, Scene, nvidia_seeds};

/// What every run compares with; made once.
struct Fixture {
    roots: TrustRoots,
    /// The GPU's chain and report.
    device: Device,
    claims: GpuClaims,
    rims: Vec<Rim>,
    tokens: Vec<u8>,
    jwks: Vec<u8>,
    nras: Vec<NrasClaims>,
    issuer: Authority,
    serials: [Serial; 2],
}

fn fixture() -> &'static Fixture {
    static FIXTURE: OnceLock<Fixture> = OnceLock::new();
    FIXTURE.get_or_init(|| {
        let world = Scene::new().world;
        let roots = TrustRoots::from_json(world.trust_roots_json().as_bytes()).expect("forged roots");
        let jwks = world.nras.jwks().to_compact().into_bytes();
        let seeds = nvidia_seeds(&world);
        let of = |target| {
            seeds.iter().filter(move |(name, _, _)| *name == target).map(|(_, _, bytes)| bytes.clone())
        };
        let chain = chain(&world);
        let device = Device { report: of("nvidia_report").next().expect("a report"), chain };
        let nras: Vec<NrasClaims> = of("nras_token")
            .map(|tokens| token_claims(tokens, jwks.clone(), &roots).expect("signed tokens"))
            .collect();
        let rims = of("rim")
            .map(|xml| Rim::verify(&xml, &roots, NOW, false).expect("a signed manifest").get().clone())
            .collect();
        Fixture {
            claims: report_claims(device.clone(), &roots).expect("a signed report"),
            device,
            rims,
            tokens: of("nras_token").next().expect("tokens"),
            jwks,
            nras,
            issuer: Authority::pinned(&world.nvidia.provisioner.der).expect("an authority"),
            serials: subjects(&world).map(|subject| serial(&subject)),
            roots,
        }
    })
}

/// Certificate chain of the world's GPU, PEM.
fn chain(world: &World) -> Vec<u8> {
    world.gpus.first().expect("one GPU").chain_pem.clone().into_bytes()
}

/// The GPU's boot ROM certificate, of which the seeds say that it is good, and another one, revoked.
pub fn subjects(world: &World) -> [Certified; 2] {
    let boot = world.gpus.first().expect("one GPU").boot.clone();
    [boot, world.nvidia.provisioner.clone()]
}

fn serial(subject: &Certified) -> Serial {
    Serial::new(&subject.spec.serial).expect("a serial number")
}

fn report_claims(device: Device, roots: &TrustRoots) -> Option<GpuClaims> {
    let evidence = GpuEvidence::of_devices(vec![device]).ok()?;
    let mut claims = nvidia::verify(&evidence, &NONCE, roots, NOW).ok()?;
    claims.pop().map(|claims| claims.get().clone())
}

/// A report under the honest chain, and the same bytes as a chain for the honest report. What is accepted is the GPU's own word.
pub fn nvidia_report(data: &[u8]) {
    let fixture = fixture();
    let honest = &fixture.device;
    let devices = [
        Device { report: data.to_vec(), chain: honest.chain.clone() },
        Device { report: honest.report.clone(), chain: data.to_vec() },
    ];
    for device in devices {
        if let Some(claims) = report_claims(device.clone(), &fixture.roots) {
            let (found, signed) = (&claims, &fixture.claims);
            assert_eq!(
                (&found.measurements, &found.driver_version, &found.vbios_version, &found.details),
                (&signed.measurements, &signed.driver_version, &signed.vbios_version, &signed.details)
            );
        }
        assert!(report_claims(device, &TrustRoots::vendors()).is_none(), "forged for other roots");
    }
}

/// A manifest. One that is accepted is one of those that were signed.
pub fn rim(data: &[u8]) {
    let fixture = fixture();
    for allow_expired in [false, true] {
        if let Ok(rim) = Rim::verify(data, &fixture.roots, NOW, allow_expired) {
            let signed = fixture.rims.iter().any(|honest| {
                let mut found = rim.get().clone();
                // The digest is of the document, whose certificates may be written in several ways.
                found.sha256 = honest.sha256;
                found == *honest
            });
            assert!(signed, "{:?}", rim.get());
        }
    }
    assert!(Rim::verify(data, &TrustRoots::vendors(), NOW, true).is_err(), "forged for other roots");
}

fn token_claims(tokens: Vec<u8>, jwks: Vec<u8>, roots: &TrustRoots) -> Option<NrasClaims> {
    let answer = NrasAnswer { kind: DeviceKind::Gpu, tokens, jwks };
    let expected = NrasExpected { nonce: &NONCE, issuer: NRAS_ISSUER_URL, devices: 1, allow_hold: false };
    nras::verify(&answer, &expected, roots, NOW).ok().map(|claims| claims.get().clone())
}

/// An answer of the attestation service, and the same bytes as its key list. What is accepted is what was signed.
pub fn nras_token(data: &[u8]) {
    let fixture = fixture();
    let pairs = [(data.to_vec(), fixture.jwks.clone()), (fixture.tokens.clone(), data.to_vec())];
    for (tokens, jwks) in pairs {
        if let Some(claims) = token_claims(tokens.clone(), jwks.clone(), &fixture.roots) {
            assert!(fixture.nras.contains(&claims), "{claims:?}");
        }
        assert!(token_claims(tokens, jwks, &TrustRoots::vendors()).is_none(), "forged for other roots");
    }
}

/// An OCSP answer. It never says of a certificate what its issuer did not.
pub fn ocsp(data: &[u8]) {
    let fixture = fixture();
    let Ok(answer) = Answer::parse(data) else { return };
    for (serial, good) in fixture.serials.iter().zip([true, false]) {
        let query = Query::new(&fixture.issuer, *serial);
        for nonce in [None, Some(&NONCE)] {
            if let Ok(statement) = answer.verify(&query, nonce, NOW, 86_400) {
                assert!(answer.is_about(&query));
                assert_eq!(statement.status == Status::Good, good, "{statement:?}");
            }
        }
    }
}

/// For seeds: each is accepted for what it is.
pub fn is_accepted(target: &str, data: &[u8]) -> bool {
    let fixture = fixture();
    match target {
        "nvidia_report" => {
            let device = Device { report: data.to_vec(), chain: fixture.device.chain.clone() };
            let as_chain = Device { report: fixture.device.report.clone(), chain: data.to_vec() };
            [device, as_chain].into_iter().any(|device| report_claims(device, &fixture.roots).is_some())
        }
        "rim" => Rim::verify(data, &fixture.roots, NOW, false).is_ok(),
        "nras_token" => token_claims(data.to_vec(), fixture.jwks.clone(), &fixture.roots).is_some(),
        _ => Answer::parse(data).is_ok_and(|answer| {
            fixture.serials.iter().any(|serial| {
                answer.verify(&Query::new(&fixture.issuer, *serial), Some(&NONCE), NOW, 86_400).is_ok()
            })
        }),
    }
}
