//! What a client does around the core's exchange and opener, for tests: one host without sockets over the forge's material, one over
//! loopback, and the state machine of venice.md 10 with its few retries.

#![allow(
    dead_code,
    clippy::arithmetic_side_effects,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "each test file uses its own part"
)]

pub mod local;
pub mod loopback;

use std::collections::BTreeMap;

use proveil_core::attest::TrustRoots;
use proveil_core::endpoint::{
    Event, Opener, Outcome, Receipt, SignatureVerdict, TextField, VerifiedEndpoint,
};
use proveil_core::evidence::{GpuEndorsements, TdxCollateral};
use proveil_core::http::{BaseUrl, HttpRequest, HttpResponse, TransportFailure};
use proveil_core::limits::{ATTESTATION_ATTEMPTS, REVERIFICATIONS_PER_REQUEST};
use proveil_core::policy::Policy;
use proveil_core::provider::privatemode::PrivatemodeOptions;
use proveil_core::provider::{Exchange, ExchangeConfig, Provider, Step};
use proveil_core::secret::SecretText;
use proveil_core::{Code, Error};
use proveil_testkit::forge::Random;
use proveil_testkit::sim::{models, text};

/// When everything happens.
pub const NOW: u64 = 1_790_000_000;
/// The caller's key; it must appear nowhere but in one header.
pub const API_KEY: &str = "canary-api-key-5b1e";
/// A question that must leave in no other form than sealed.
pub const PROMPT: &str = "What is remote attestation? canary-prompt-83d0";
/// What every secret text of these tests contains.
pub const CANARY: &str = "canary-";
/// The model that is asked.
pub const MODEL: &str = models::E2EE;

/// Carries requests out.
pub trait Host {
    /// A whole response.
    fn send(&mut self, request: &HttpRequest) -> Result<HttpResponse, TransportFailure>;

    /// Sends a request and feeds the answer to the opener as it comes in. A broken connection is the end of the body.
    fn stream(
        &mut self,
        request: &HttpRequest,
        opener: &mut Opener,
        out: &mut Vec<Event>,
    ) -> Result<(), Error>;
}

/// What is verified, and by which rules.
pub struct Setup {
    pub provider: Provider,
    pub privatemode: PrivatemodeOptions,
    pub model: String,
    pub base_url: String,
    pub collateral_url: Option<String>,
    pub nvidia_url: Option<String>,
    pub policy: Policy,
    pub roots: TrustRoots,
    pub collateral: Vec<TdxCollateral>,
    pub endorsements: Vec<GpuEndorsements>,
    pub at: u64,
    pub random: Random,
}

impl Setup {
    /// `standard`, for the usual model.
    pub fn new(base_url: &str, collateral_url: Option<&str>, roots: TrustRoots) -> Setup {
        Setup {
            provider: Provider::Venice,
            privatemode: PrivatemodeOptions::default(),
            model: MODEL.to_owned(),
            base_url: base_url.to_owned(),
            collateral_url: collateral_url.map(str::to_owned),
            nvidia_url: None,
            policy: Policy::standard(),
            roots,
            collateral: Vec::new(),
            endorsements: Vec::new(),
            at: NOW,
            random: Random::from_seed([77; 32]),
        }
    }

    pub fn exchange(&mut self) -> Result<Exchange, Error> {
        let url = |text: &String| BaseUrl::parse(text).unwrap();
        let config = ExchangeConfig {
            provider: self.provider,
            privatemode: self.privatemode.clone(),
            model: self.model.clone(),
            base_url: Some(url(&self.base_url)),
            collateral_url: self.collateral_url.as_ref().map(url),
            api_key: SecretText::new(API_KEY.to_owned()),
            policy: self.policy.clone(),
            roots: self.roots.clone(),
            collateral: self.collateral.clone(),
            endorsements: self.endorsements.clone(),
            nvidia_url: self.nvidia_url.as_ref().map(url),
            model_list: None,
        };
        Exchange::new(config, &mut self.random)
    }
}

/// Runs one exchange to its end.
pub fn run_exchange(host: &mut dyn Host, exchange: &mut Exchange, at: u64) -> Result<Outcome, Error> {
    loop {
        match exchange.next(at)? {
            Step::Send(request) => match host.send(&request) {
                Ok(response) => exchange.feed(response)?,
                Err(failure) => exchange.fail(failure)?,
            },
            Step::Done(outcome) => return Ok(*outcome),
        }
    }
}

/// Verifies, with the attempts that an unavailable attestation service is granted; each has a challenge of its own.
pub fn verify(host: &mut dyn Host, setup: &mut Setup) -> Result<Outcome, Error> {
    let mut attempt = 1;
    loop {
        let mut exchange = setup.exchange()?;
        let result = run_exchange(host, &mut exchange, setup.at);
        no_secrets(&format!("{exchange:?}"));
        match result {
            Err(error) if error.code() == Code::AttestationUnavailable && attempt < ATTESTATION_ATTEMPTS => {
                attempt += 1;
            }
            result => return result,
        }
    }
}

/// The endpoint, or why there is none.
pub fn endpoint(host: &mut dyn Host, setup: &mut Setup) -> Result<VerifiedEndpoint, Error> {
    let outcome = verify(host, setup)?;
    no_secrets(&format!("{outcome:?} {} {}", outcome.report().to_text(), outcome.report().to_json()));
    outcome.into_result()
}

/// Texts of an answer, per choice.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Texts {
    pub content: BTreeMap<u32, String>,
    pub reasoning: BTreeMap<u32, String>,
    pub finish: BTreeMap<u32, String>,
    pub usage: bool,
}

impl Texts {
    pub fn of(events: &[Event]) -> Texts {
        let mut texts = Texts::default();
        for event in events {
            match event {
                Event::Text { choice, field: TextField::Content, text } => {
                    texts.content.entry(*choice).or_default().push_str(text);
                }
                Event::Text { choice, field: TextField::Reasoning, text } => {
                    texts.reasoning.entry(*choice).or_default().push_str(text);
                }
                Event::Finish { choice, reason } => {
                    assert!(texts.finish.insert(*choice, reason.clone()).is_none());
                }
                Event::Usage { .. } => texts.usage = true,
                Event::Document { .. } => panic!("documents were not asked for"),
            }
        }
        texts
    }

    /// Content of the first choice.
    pub fn first(&self) -> &str {
        self.content.get(&0).map_or("", String::as_str)
    }
}

/// One request and its answer.
pub fn chat_once(
    host: &mut dyn Host,
    setup: &mut Setup,
    endpoint: &VerifiedEndpoint,
    body: &str,
) -> (Vec<Event>, Result<Receipt, Error>) {
    let mut events = Vec::new();
    let mut run = |events: &mut Vec<Event>| {
        let (sealed, mut opener) = endpoint.seal(body.as_bytes(), setup.at, &mut setup.random)?;
        no_secrets(&format!("{sealed:?} {opener:?} {endpoint:?}"));
        host.stream(sealed.request(), &mut opener, events)?;
        opener.finish(events)
    };
    let result = run(&mut events);
    (events, result)
}

/// How a whole use ended.
#[derive(Debug)]
pub struct Use {
    /// What was delivered, also before an error.
    pub texts: Texts,
    pub endpoint: Option<VerifiedEndpoint>,
    pub receipt: Option<Receipt>,
    pub signature: Option<Result<SignatureVerdict, Error>>,
    pub error: Option<Error>,
}

/// Verifies, asks once, checks the signature. A stale key is verified again as often as the limits grant.
pub fn use_it(host: &mut dyn Host, setup: &mut Setup, body: &str) -> Use {
    let mut used =
        Use { texts: Texts::default(), endpoint: None, receipt: None, signature: None, error: None };
    let mut reverifications = 0;
    loop {
        let proven = match endpoint(host, setup) {
            Ok(proven) => proven,
            Err(error) => {
                used.error = Some(error);
                return used;
            }
        };
        let (events, result) = chat_once(host, setup, &proven, body);
        used.texts = Texts::of(&events);
        match result {
            Err(error) if error.code() == Code::StaleKey && reverifications < REVERIFICATIONS_PER_REQUEST => {
                reverifications += 1;
                continue;
            }
            Err(error) => used.error = Some(error),
            Ok(receipt) => {
                used.signature = Some(signature(host, &proven, &receipt));
                used.receipt = Some(receipt);
            }
        }
        used.endpoint = Some(proven);
        return used;
    }
}

pub fn signature(
    host: &mut dyn Host,
    endpoint: &VerifiedEndpoint,
    receipt: &Receipt,
) -> Result<SignatureVerdict, Error> {
    let request = endpoint.signature_request(receipt)?;
    let response = host.send(&request).expect("the simulator answers");
    endpoint.check_signature(receipt, &response)
}

/// A chat request with one message.
pub fn body(prompt: &str) -> String {
    body_of(MODEL, &[("user", prompt)])
}

/// A chat request with these messages.
pub fn body_of(model: &str, messages: &[(&str, &str)]) -> String {
    let messages: Vec<serde_json::Value> = messages
        .iter()
        .map(|(role, content)| serde_json::json!({ "role": role, "content": content }))
        .collect();
    serde_json::json!({ "model": model, "messages": messages, "stream_options": { "include_usage": true } })
        .to_string()
}

/// What the simulator answers to a prompt.
pub fn expected(prompt: &str, choice: u8) -> String {
    text::answer(prompt, false, choice, true).content
}

/// Fails when a text that people may see holds a secret of these tests, or a part of the answer.
pub fn no_secrets(shown: &str) {
    assert!(!shown.contains(CANARY), "a secret is shown: {shown}");
}

/// Everything that an error shows.
pub fn shown(error: &Error) -> String {
    format!(
        "{error} {error:?} {} {} {}",
        error.message(),
        error.hint(),
        error.report_json().unwrap_or_default()
    )
}
