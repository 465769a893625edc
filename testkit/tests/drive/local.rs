//! A host without sockets: answers an exchange's requests from the forge's material.

use std::collections::BTreeSet;

use proveil_core::Error;
use proveil_core::attest::TrustRoots;
use proveil_core::endpoint::{Event, Opener};
use proveil_core::evidence::TdxCollateral;
use proveil_core::http::{HttpRequest, HttpResponse, ResponseHead, TransportFailure};
use proveil_testkit::forge::{Collateral, EnclaveKey, Random, World, WorldSpec};
use proveil_testkit::sim::{Attestation, Defect, QuoteEncoding, Shape, collateral, models, nvidia_answer};

use super::{Host, NOW, Setup};

/// A world with an enclave and somebody else's key.
pub struct Scene {
    pub world: World,
    pub key: EnclaveKey,
    pub relay: EnclaveKey,
}

/// Address under which the material stands in for a provider.
pub const BASE_URL: &str = "https://provider.example/api/v1";

impl Scene {
    pub fn new(gpus: usize) -> Scene {
        let mut random = Random::from_seed([31; 32]);
        let world = World::generate(&mut random, &WorldSpec { now: NOW, gpus });
        Scene { world, key: EnclaveKey::generate(&mut random), relay: EnclaveKey::generate(&mut random) }
    }

    pub fn roots(&self) -> TrustRoots {
        TrustRoots::from_json(self.world.trust_roots_json().as_bytes()).unwrap()
    }

    /// Under the scene's roots, with collateral to be fetched.
    pub fn setup(&self) -> Setup {
        Setup::new(BASE_URL, None, self.roots())
    }

    pub fn host(&self) -> Local<'_> {
        Local {
            scene: self,
            shape: Shape::Near,
            encoding: QuoteEncoding::Hex,
            quote_version: 4,
            defects: BTreeSet::new(),
            collateral: None,
            sent: Vec::new(),
        }
    }

    /// The collateral that the defects leave, as a host gives it.
    pub fn collateral(&self, defects: &BTreeSet<Defect>) -> TdxCollateral {
        TdxCollateral::from_json(collateral(&self.world, defects).to_json().as_bytes()).unwrap()
    }

    /// An attestation answer for the usual model.
    pub fn answer(
        &self,
        shape: Shape,
        encoding: QuoteEncoding,
        quote_version: u16,
        defects: &BTreeSet<Defect>,
        nonce: [u8; 32],
    ) -> String {
        Attestation {
            world: &self.world,
            model: models::find(models::E2EE).unwrap(),
            key: &self.key,
            other_key: &self.relay,
            nonce,
            shape,
            encoding,
            quote_version,
            defects,
        }
        .to_text(&mut Random::from_seed([32; 32]))
    }
}

pub struct Local<'a> {
    pub scene: &'a Scene,
    pub shape: Shape,
    pub encoding: QuoteEncoding,
    pub quote_version: u16,
    pub defects: BTreeSet<Defect>,
    /// Served in the place of the defects' collateral.
    pub collateral: Option<Collateral>,
    /// Purposes of the requests, in order.
    pub sent: Vec<&'static str>,
}

impl Local<'_> {
    fn respond(&self, request: &HttpRequest) -> HttpResponse {
        let purpose = request.purpose();
        if purpose == "model list" {
            return plain(models::list().to_compact().into_bytes());
        }
        if purpose == "attestation" {
            let (_, nonce) = request.url().split_once("&nonce=").unwrap();
            let nonce = const_hex::decode_to_array(nonce).unwrap();
            let answer =
                self.scene.answer(self.shape, self.encoding, self.quote_version, &self.defects, nonce);
            return plain(answer.into_bytes());
        }
        if purpose.starts_with("NVIDIA ") {
            return self.nvidia(request);
        }
        let served = match &self.collateral {
            Some(collateral) => collateral.clone(),
            None => collateral(&self.scene.world, &self.defects),
        };
        match purpose {
            "Intel TCB info" => with_chain(
                served.tcb_info_body().into_bytes(),
                "TCB-Info-Issuer-Chain",
                &served.tcb_info_issuer_chain,
            ),
            "Intel QE identity" => with_chain(
                served.qe_identity_body().into_bytes(),
                "SGX-Enclave-Identity-Issuer-Chain",
                &served.qe_identity_issuer_chain,
            ),
            "Intel PCK revocation list" => {
                with_chain(served.pck_crl, "SGX-PCK-CRL-Issuer-Chain", &served.pck_crl_issuer_chain)
            }
            "Intel root revocation list" => plain(served.root_ca_crl),
            other => panic!("unexpected request: {other}"),
        }
    }
}

impl Local<'_> {
    /// NVIDIA's services under their own names.
    fn nvidia(&self, request: &HttpRequest) -> HttpResponse {
        let (host, path) =
            request.url().strip_prefix("https://").unwrap().split_once('/').unwrap_or_default();
        let path = if request.purpose() == "NVIDIA OCSP" {
            assert_eq!(request.url(), "https://ocsp.ndis.nvidia.com");
            "/ocsp".to_owned()
        } else {
            assert!(["rim.attestation.nvidia.com", "nras.attestation.nvidia.com"].contains(&host), "{host}");
            format!("/{path}")
        };
        let mut random = Random::from_seed([33; 32]);
        let (status, _, body) =
            nvidia_answer(&self.scene.world, &self.defects, &mut random, &path, request.body()).unwrap();
        HttpResponse::new(ResponseHead::new(status, []), body)
    }
}

impl Host for Local<'_> {
    fn send(&mut self, request: &HttpRequest) -> Result<HttpResponse, TransportFailure> {
        self.sent.push(request.purpose());
        Ok(self.respond(request))
    }

    fn stream(&mut self, _: &HttpRequest, _: &mut Opener, _: &mut Vec<Event>) -> Result<(), Error> {
        panic!("nothing may be sent here")
    }
}

fn plain(body: Vec<u8>) -> HttpResponse {
    HttpResponse::new(ResponseHead::new(200, []), body)
}

fn with_chain(body: Vec<u8>, name: &str, chain: &str) -> HttpResponse {
    let encoded: String = chain.bytes().map(|byte| format!("%{byte:02X}")).collect();
    HttpResponse::new(ResponseHead::new(200, [(name.to_owned(), encoded)]), body)
}
