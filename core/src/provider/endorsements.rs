//! What to ask NVIDIA about the GPUs of one answer, as a state machine without I/O (`attestation.md` 3.3, 3.4 and 3.6): reference
//! manifests, then revocation, then the attestation service; each only where the policy requires it and nothing at hand serves.
//!
//! Only devices whose own evidence verified are asked about. What cannot be had leaves its check not made; it never makes one pass.

use std::collections::VecDeque;

use crate::appraise::gpu::NotFetched;
use crate::attest::TrustRoots;
use crate::attest::nvidia::nras::{self, NRAS_ISSUER_URL, NrasExpected};
use crate::attest::nvidia::requests::{self, NrasVersion, NvidiaServices};
use crate::attest::nvidia::rules::NrasRule;
use crate::attest::nvidia::{self, Device, GpuEvidence, Revocation, RimId, Rims, serves};
use crate::claims::{DeviceKind, GpuClaims, Verified};
use crate::crypto::SecureRandom;
use crate::error::{Class, Code, Error, Result};
use crate::evidence::{GpuEndorsements, NrasAnswer, RimDocument};
use crate::http::{BaseUrl, HttpRequest, HttpResponse, TransportFailure};
use crate::policy::{GpuRule, Policy};
use crate::wire::json::Json;

/// The rules and the moment that everything is judged by.
#[derive(Clone, Copy)]
pub(crate) struct Context<'a> {
    pub policy: &'a Policy,
    pub roots: &'a TrustRoots,
    /// The nonce that the devices answered.
    pub nonce: &'a [u8; 32],
    pub at: u64,
}

/// What is asked for next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    Start,
    Manifests,
    Revocation,
    Service,
    Keys,
    Done,
}

/// A request that is to be answered, and what its answer is.
#[derive(Debug)]
struct Ask {
    request: HttpRequest,
    item: Item,
}

#[derive(Debug)]
enum Item {
    /// A manifest under the first of these names; the others are tried when the service has none of that name.
    Manifest(VecDeque<String>),
    Status,
    Tokens(DeviceKind),
    Keys,
}

/// The questions about the GPUs of one answer.
#[derive(Debug)]
pub(crate) struct Endorsing {
    services: NvidiaServices,
    at_hand: Vec<GpuEndorsements>,
    /// For the OCSP requests of this round.
    round: [u8; 32],
    /// Whether the attestation service's word does in the place of manifests.
    either: bool,
    stage: Stage,
    pending: VecDeque<Ask>,
    evidence: Vec<Device>,
    devices: Vec<Verified<GpuClaims>>,
    tokens: Vec<(DeviceKind, Vec<u8>)>,
    used: GpuEndorsements,
    fetched: GpuEndorsements,
    not_fetched: NotFetched,
}

impl Endorsing {
    /// Prepares the questions that a policy asks; `None` when it asks none.
    pub fn new(
        policy: &Policy,
        mirror: Option<&BaseUrl>,
        at_hand: Vec<GpuEndorsements>,
        rng: &mut dyn SecureRandom,
    ) -> Result<Option<Endorsing>> {
        if !(wants_manifests(policy) || wants_revocation(policy) || wants_service(policy)) {
            return Ok(None);
        }
        let mut round = [0; 32];
        rng.fill(&mut round)?;
        Ok(Some(Endorsing {
            services: NvidiaServices::new(mirror),
            at_hand,
            round,
            either: wants_service(policy) && !policy.gpu_rules().require_rim,
            stage: Stage::Start,
            pending: VecDeque::new(),
            evidence: Vec::new(),
            devices: Vec::new(),
            tokens: Vec::new(),
            used: GpuEndorsements::default(),
            fetched: GpuEndorsements::default(),
            not_fetched: NotFetched::default(),
        }))
    }

    /// The next request, the same until it is answered; `None` when there is nothing left to ask. `payload` is the answer's GPU evidence.
    pub fn next(&mut self, payload: Option<&Json>, context: Context<'_>) -> Option<HttpRequest> {
        loop {
            if let Some(ask) = self.pending.front() {
                return Some(ask.request.clone());
            }
            self.stage = match self.stage {
                Stage::Start => self.start(payload, context),
                Stage::Manifests => self.ask_revocation(context),
                Stage::Revocation => self.ask_service(context),
                Stage::Service => self.ask_keys(context),
                Stage::Keys | Stage::Done => return None,
            };
        }
    }

    /// Takes the answer to the last request.
    pub fn feed(&mut self, response: &HttpResponse) {
        let Some(Ask { request, item }) = self.pending.pop_front() else { return };
        if let Err(error) = self.accept(item, response) {
            self.give_up(&error, request.purpose());
        }
    }

    /// The last request could not be carried out.
    pub fn fail(&mut self, failure: TransportFailure) {
        if let Some(Ask { request, .. }) = self.pending.pop_front() {
            self.give_up(&failure.error(Code::CollateralUnreachable, request.purpose()), request.purpose());
        }
    }

    /// What the appraisal works with.
    pub const fn used(&self) -> &GpuEndorsements {
        &self.used
    }

    /// What of it was fetched.
    pub const fn fetched(&self) -> &GpuEndorsements {
        &self.fetched
    }

    /// What could not be had.
    pub const fn not_fetched(&self) -> &NotFetched {
        &self.not_fetched
    }

    /// Verifies the devices and asks for their manifests.
    fn start(&mut self, payload: Option<&Json>, context: Context<'_>) -> Stage {
        let evidence = GpuEvidence::read(payload);
        let verified = evidence.and_then(|evidence| {
            let devices = nvidia::verify(&evidence, context.nonce, context.roots, context.at)?;
            Ok((evidence.devices().to_vec(), devices))
        });
        // Evidence that does not verify is the appraisal's to refuse.
        let Ok((evidence, devices)) = verified else { return Stage::Done };
        (self.evidence, self.devices) = (evidence, devices);
        if wants_manifests(context.policy) {
            for id in requests::rims_needed(self.devices.iter().map(Verified::get)) {
                self.want_manifest(id, context);
            }
        }
        Stage::Manifests
    }

    fn want_manifest(&mut self, id: RimId, context: Context<'_>) {
        let rule = (context.roots, context.at, context.policy.gpu_rules().allow_expired_rim);
        let mut at_hand = self.at_hand.iter().flat_map(|set| &set.rims);
        if let Some(document) = at_hand.find(|document| serves(document, &id, &self.devices, rule)) {
            self.used.rims.push(document.clone());
            return;
        }
        let names: VecDeque<String> = id.names.into();
        if let Some(ask) = self.manifest(names) {
            self.pending.push_back(ask);
        } else {
            let error = Error::new(Code::CollateralMissing).context("No manifest can have such a name.");
            self.not_fetched.rims = Some(error.at("NVIDIA reference manifest"));
        }
    }

    fn manifest(&self, names: VecDeque<String>) -> Option<Ask> {
        let request = self.services.rim_request(names.front()?)?;
        Some(Ask { request, item: Item::Manifest(names) })
    }

    fn ask_revocation(&mut self, context: Context<'_>) -> Stage {
        if wants_revocation(context.policy) {
            let allow_expired = context.policy.gpu_rules().allow_expired_rim;
            let rims = Rims::verify(&self.used.rims, context.roots, context.at, allow_expired).ok();
            let good = |set: &&GpuEndorsements| self.is_good_round(set, rims.as_ref(), context);
            if let Some(set) = self.at_hand.iter().find(good) {
                self.used.ocsp.clone_from(&set.ocsp);
                self.used.ocsp_nonce = set.ocsp_nonce;
            } else {
                let requests = self.services.ocsp_requests(&self.devices, rims.as_ref(), &self.round);
                self.pending.extend(requests.into_iter().map(|request| Ask { request, item: Item::Status }));
                self.used.ocsp_nonce = Some(self.round);
                self.fetched.ocsp_nonce = Some(self.round);
            }
        }
        Stage::Revocation
    }

    /// True when earlier answers call every certificate good, still now.
    fn is_good_round(&self, set: &GpuEndorsements, rims: Option<&Rims>, context: Context<'_>) -> bool {
        let hold = context.policy.gpu_rules().allow_certificate_hold;
        !set.ocsp.is_empty()
            && Revocation::new(&set.ocsp, set.ocsp_nonce, context.at, hold).is_ok_and(|answers| {
                self.devices.iter().all(|device| answers.device(device).is_ok())
                    && rims.is_none_or(|rims| answers.rims(rims).is_ok())
            })
    }

    fn ask_service(&mut self, context: Context<'_>) -> Stage {
        if wants_service(context.policy) {
            for kind in [DeviceKind::Gpu, DeviceKind::Switch] {
                let pairs = self.evidence.iter().zip(&self.devices).filter(|(_, device)| device.kind == kind);
                let (evidence, claims): (Vec<Device>, Vec<&GpuClaims>) =
                    pairs.map(|(evidence, device)| (evidence.clone(), device.get())).unzip();
                if claims.is_empty() {
                    continue;
                }
                match self.services.nras_request(&evidence, &claims, context.nonce, NrasVersion::V3) {
                    Some(request) => self.pending.push_back(Ask { request, item: Item::Tokens(kind) }),
                    None => {
                        let error = Error::new(Code::CollateralMissing).at("NVIDIA attestation service");
                        self.not_fetched.nras =
                            Some(error.context("The attestation service has no name for such devices."));
                    }
                }
            }
        }
        Stage::Service
    }

    /// Looks for a key list at hand that has the tokens' keys, and asks for the current one otherwise: once, whatever keys the tokens
    /// name (threats T14).
    fn ask_keys(&mut self, context: Context<'_>) -> Stage {
        if !self.tokens.is_empty() {
            let lists = self.at_hand.iter().flat_map(|set| &set.nras).map(|answer| &answer.jwks);
            match lists.into_iter().find(|keys| self.does(keys, context)).cloned() {
                Some(keys) => self.put_tokens(&keys),
                None => {
                    self.pending.push_back(Ask { request: self.services.jwks_request(), item: Item::Keys })
                }
            }
        }
        Stage::Keys
    }

    /// True when the tokens verify with this list. One that does not do may be out of date.
    fn does(&self, keys: &[u8], context: Context<'_>) -> bool {
        self.tokens.iter().all(|(kind, tokens)| {
            let answer = NrasAnswer { kind: *kind, tokens: tokens.clone(), jwks: keys.to_vec() };
            let expected = NrasExpected {
                nonce: context.nonce,
                issuer: NRAS_ISSUER_URL,
                devices: self.devices.iter().filter(|device| device.kind == *kind).count(),
                allow_hold: context.policy.gpu_rules().allow_certificate_hold,
            };
            nras::verify(&answer, &expected, context.roots, context.at).is_ok()
        })
    }

    fn put_tokens(&mut self, keys: &[u8]) {
        for (kind, tokens) in self.tokens.drain(..) {
            self.used.nras.push(NrasAnswer { kind, tokens, jwks: keys.to_vec() });
        }
    }

    fn accept(&mut self, item: Item, response: &HttpResponse) -> Result<()> {
        response.head().check_plain()?;
        let status = response.head().status();
        if let Item::Manifest(mut names) = item {
            let name = names.pop_front().unwrap_or_default();
            if status == 404 && !names.is_empty() {
                let next = self.manifest(names);
                self.pending.extend(next);
                return Ok(());
            }
            check_status(status)?;
            let document = RimDocument::from_service(&name, response.body())?;
            self.used.rims.push(document.clone());
            self.fetched.rims.push(document);
            return Ok(());
        }
        check_status(status)?;
        let body = response.body().to_vec();
        match item {
            Item::Status => {
                self.used.ocsp.push(body.clone());
                self.fetched.ocsp.push(body);
            }
            Item::Tokens(kind) => self.tokens.push((kind, body)),
            Item::Keys => {
                self.put_tokens(&body);
                self.fetched.nras.clone_from(&self.used.nras);
            }
            Item::Manifest(_) => {}
        }
        Ok(())
    }

    /// Notes why, and asks for nothing more: the check that wants it is not made, and more questions would tell NVIDIA of the devices
    /// in vain.
    fn give_up(&mut self, error: &Error, purpose: &str) {
        self.pending.clear();
        let error = if error.code().class() == Class::Indeterminate {
            error.clone()
        } else {
            // What a service answers in another's place is no evidence about the devices.
            Error::new(Code::CollateralUnreachable).found(error.code().text()).context(error.message())
        };
        let slot = match self.stage {
            Stage::Start | Stage::Manifests => &mut self.not_fetched.rims,
            Stage::Revocation => &mut self.not_fetched.ocsp,
            Stage::Service | Stage::Keys | Stage::Done => &mut self.not_fetched.nras,
        };
        *slot = Some(error.at(purpose));
        if !(self.either && self.stage == Stage::Manifests) {
            self.stage = Stage::Done;
        }
    }
}

fn wants_manifests(policy: &Policy) -> bool {
    policy.gpu() != GpuRule::Off && (policy.gpu_rules().require_rim || policy.require_gpu_measurements())
}

fn wants_revocation(policy: &Policy) -> bool {
    policy.gpu() != GpuRule::Off && policy.gpu_rules().require_ocsp
}

fn wants_service(policy: &Policy) -> bool {
    policy.gpu() != GpuRule::Off && policy.gpu_rules().nras == NrasRule::Required
}

/// A service that does not know what it is asked about (4xx) will not know it in a second either.
fn check_status(status: u16) -> Result<()> {
    let code = match status {
        200..300 => return Ok(()),
        408 | 429 => Code::CollateralUnreachable,
        400..500 => Code::CollateralMissing,
        _ => Code::CollateralUnreachable,
    };
    Err(Error::new(code).found(format!("HTTP {status}")))
}
