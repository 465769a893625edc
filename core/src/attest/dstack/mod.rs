//! dstack guests: an event log that leads to the measured registers of a verified quote gives [`DstackClaims`].
//!
//! Source: `protocols/venice.md` 2.8 and `protocols/attestation.md` 4.2, items 4 to 6. Payloads of run-time events are believed
//! only because their digests are recomputed from them; firmware events have digests only, and their payload texts are not
//! evidence. Key custody chains and the compose manager's second quote are not here.

mod config;
mod log;

pub use crate::claims::{DstackClaims, KeyProvider, MrConfig, RuntimeEvent};
pub use log::{EventLog, LoggedEvent};

use crate::attest::Check;
use crate::claims::{TdxClaims, Verified};
use crate::crypto;
use crate::error::{Code, Error, Result};
use crate::limits::COMPOSE_MAX_BYTES;
use crate::wire::hex;
use crate::wire::json::Json;

pub(super) const PARSE: &str = "eventlog.parse";
pub(super) const DIGEST: &str = "eventlog.digest";
pub(super) const REPLAY: &str = "eventlog.replay";
pub(super) const EVENTS: &str = "eventlog.events";
pub(super) const COMPOSE: &str = "compose_hash";
pub(super) const CONFIG: &str = "mr_config_id";

/// Every check, in order; see [`crate::attest::tdx::CHECKS`] for how failures relate to it.
pub static CHECKS: &[Check] = &[
    Check { id: PARSE, title: "The event log has the expected form" },
    Check { id: DIGEST, title: "Every run-time event has the digest of its content" },
    Check { id: REPLAY, title: "The event log leads to the measured registers" },
    Check { id: EVENTS, title: "Application and compose hash are stated once, before applications start" },
    Check { id: COMPOSE, title: "The application description is the measured one" },
    Check { id: CONFIG, title: "The configuration that the host set at launch agrees" },
];

/// Name of the event after which applications run and may add events of their own.
const SYSTEM_READY: &str = "system-ready";

/// What a guest publishes beside its quote.
#[derive(Clone, Copy, Debug)]
pub struct Evidence<'a> {
    /// The event log.
    pub log: &'a EventLog,
    /// The application description exactly as served (`app_compose`), at most 1 MiB.
    pub app_compose: Option<&'a str>,
    /// The document of MR_CONFIG_ID version 3.
    pub config_document: Option<&'a str>,
}

/// Verifies a log against all four registers and MR_CONFIG_ID of a verified quote.
///
/// Fails with `event_digest_mismatch`, `rtmr_mismatch`, `rtmr3_mismatch`, `duplicate_event`, `missing_event`,
/// `compose_hash_mismatch`, `mr_config_id_mismatch`, `event_log_malformed` or `malformed_field`.
pub fn verify(evidence: &Evidence<'_>, quote: &Verified<TdxClaims>) -> Result<Verified<DstackClaims>> {
    let [rtmr0, rtmr1, rtmr2, rtmr3] = &quote.body.rtmr;
    evidence.log.check_digests()?;
    for (imr, measured) in [(0, rtmr0), (1, rtmr1), (2, rtmr2)] {
        let replayed = evidence.log.replay(imr);
        if replayed != *measured {
            return Err(
                mismatch(Code::RtmrMismatch, measured, &replayed).context(format!("Register: RTMR{imr}."))
            );
        }
    }
    let mut claims = check(evidence, rtmr3, &quote.body.mr_config_id)?;
    claims.all_registers = true;
    Ok(Verified::new(claims))
}

/// The same rules over bare values, without RTMR0 to RTMR2. The result is not marked as verified: the values may come from
/// anywhere. For tests and tools.
pub fn check(evidence: &Evidence<'_>, rtmr3: &[u8; 48], mr_config_id: &[u8; 48]) -> Result<DstackClaims> {
    evidence.log.check_digests()?;
    let replayed = evidence.log.replay(3);
    if replayed != *rtmr3 || !evidence.log.has_events(3) {
        return Err(mismatch(Code::Rtmr3Mismatch, rtmr3, &replayed));
    }
    let events = evidence.log.runtime_events(SYSTEM_READY)?;
    let stated = Stated { events: &events };
    let app_id = stated.required("app-id")?;
    let compose_hash = stated.required("compose-hash")?;
    let key_provider = stated.only("key-provider")?.map(read_key_provider).transpose()?;
    let compose_matches = match evidence.app_compose {
        Some(text) => check_compose(text, &compose_hash).map(|()| true)?,
        None => false,
    };
    let bound = config::Bound {
        compose_hash: &compose_hash,
        app_id: &app_id,
        key_provider: key_provider.as_ref(),
        document: evidence.config_document,
    };
    let mr_config = config::check(mr_config_id, &bound)?;
    Ok(DstackClaims {
        app_id,
        compose_hash,
        compose_matches,
        instance_id: stated.optional("instance-id")?,
        os_image_hash: stated.optional("os-image-hash")?,
        key_provider,
        mr_config,
        events,
        all_registers: false,
    })
}

/// Events that the guest system stated before it was ready.
struct Stated<'a> {
    events: &'a [RuntimeEvent],
}

impl Stated<'_> {
    /// Payload of the only event with this name; more than one is refused.
    fn only(&self, name: &str) -> Result<Option<&[u8]>> {
        let mut found = self.events.iter().filter(|event| !event.by_application && event.name == name);
        let first = found.next();
        if found.next().is_some() {
            return Err(Error::new(Code::DuplicateEvent).at(EVENTS).found(name));
        }
        Ok(first.map(|event| event.payload.as_slice()))
    }

    fn required<const N: usize>(&self, name: &str) -> Result<[u8; N]> {
        let payload =
            self.only(name)?.ok_or_else(|| Error::new(Code::MissingEvent).at(EVENTS).expected(name))?;
        sized(name, payload)
    }

    /// An empty payload counts as absent.
    fn optional<const N: usize>(&self, name: &str) -> Result<Option<[u8; N]>> {
        self.only(name)?.filter(|payload| !payload.is_empty()).map(|payload| sized(name, payload)).transpose()
    }
}

fn sized<const N: usize>(name: &str, payload: &[u8]) -> Result<[u8; N]> {
    payload.try_into().map_err(|_| {
        Error::new(Code::EventLogMalformed)
            .at(EVENTS)
            .context(format!("Event: {name}."))
            .expected(format!("{N} bytes"))
            .found(format!("{} bytes", payload.len()))
    })
}

fn read_key_provider(payload: &[u8]) -> Result<KeyProvider> {
    let malformed = || Error::new(Code::EventLogMalformed).at(EVENTS).context("Event: key-provider.");
    let json = Json::parse(payload).map_err(|_| malformed())?;
    let text = |name| json.get(name).and_then(Json::as_str).map(str::to_owned).ok_or_else(malformed);
    Ok(KeyProvider { name: text("name")?, id: text("id")? })
}

/// The description is hashed as served; it must also be strict JSON, so that no two readers see different things in it (T10).
fn check_compose(text: &str, measured: &[u8; 32]) -> Result<()> {
    if text.len() > COMPOSE_MAX_BYTES {
        return Err(Error::new(Code::LimitExceeded).at("app_compose"));
    }
    let hash = crypto::sha256(&[text.as_bytes()]);
    if hash != *measured {
        return Err(Error::new(Code::ComposeHashMismatch)
            .at(COMPOSE)
            .expected(hex::short(measured))
            .found(hex::short(&hash)));
    }
    match Json::parse(text.as_bytes()) {
        Ok(Json::Object(_)) => Ok(()),
        _ => Err(Error::new(Code::MalformedField)
            .at(COMPOSE)
            .context("The application description is not a strict JSON object.")),
    }
}

fn mismatch(code: Code, measured: &[u8; 48], replayed: &[u8; 48]) -> Error {
    Error::new(code).at(REPLAY).expected(hex::short(measured)).found(hex::short(replayed))
}
