//! What counts as the software of an endpoint.

use crate::attest::dstack::EventLog;
use crate::crypto;
use crate::report::Fact;
use crate::wire::hex;
use crate::wire::json::Json;

/// Facts that say which software it is. RTMR3 is not among them where the event log explains it: it also holds the instance's id.
const FACTS: &[&str] = &[
    "contrast.coordinator_policy",
    "contrast.manifest",
    "dstack.app_id",
    "dstack.compose_hash",
    "dstack.os_image_hash",
    "snp.author_key_digest",
    "snp.host_data",
    "snp.id_key_digest",
    "snp.measurement",
    "tdx.mr_config_id",
    "tdx.mr_td",
    "tdx.rtmr0",
    "tdx.rtmr1",
    "tdx.rtmr2",
];
const RTMR3: &str = "tdx.rtmr3";
/// Versions that each GPU states. The versions are pinned, not which device has which.
const GPU_FACTS: [&str; 2] = ["driver", "vbios"];
/// The event that names the instance, which says nothing about its software.
const INSTANCE: &str = "instance-id";
/// From this event on, applications add what they like. Which applications run is measured before.
const SYSTEM_READY: &str = "system-ready";

/// The software of one enclave, as measured and signed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Software {
    /// Name and value, sorted by name.
    pub(super) values: Vec<(String, String)>,
    /// The measured event log as far as it is about software.
    pub(super) events: Vec<LogEvent>,
    /// The application description whose hash was measured, or the manifest of a Contrast deployment.
    pub(super) compose: Option<String>,
}

/// An event of a log that led to the measured registers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogEvent {
    /// Register: 0 to 3.
    pub register: u8,
    /// Its name. Of firmware events (registers 0 to 2) it is what the guest calls them and not measured.
    pub name: String,
    /// What was measured, lowercase hex.
    pub digest: String,
    /// Payload of a run-time event, lowercase hex.
    pub payload: Option<String>,
}

impl Software {
    /// From the facts of verified evidence and, where there is one, the log that was replayed against it.
    pub(crate) fn new(facts: &[Fact], log: Option<&EventLog>, compose: Option<&str>) -> Software {
        let find = |name: &str| facts.iter().find(|fact| fact.name == name).map(|fact| fact.value.clone());
        let mut values: Vec<(String, String)> =
            FACTS.iter().filter_map(|name| Some(((*name).to_owned(), find(name)?))).collect();
        if log.is_none() {
            values.extend(find(RTMR3).map(|value| (RTMR3.to_owned(), value)));
        }
        for name in GPU_FACTS {
            let mut stated: Vec<&str> = facts
                .iter()
                .filter(|fact| of_gpu(&fact.name) == Some(name) && fact.value != "-")
                .map(|fact| fact.value.as_str())
                .collect();
            stated.sort_unstable();
            stated.dedup();
            if !stated.is_empty() {
                values.push((format!("gpu.{name}"), stated.join(", ")));
            }
        }
        values.sort();
        Software { values, events: log.map(events).unwrap_or_default(), compose: compose.map(str::to_owned) }
    }

    /// Name and value of what was measured, sorted by name.
    pub fn values(&self) -> &[(String, String)] {
        &self.values
    }

    /// The measured event log, without what is not about software: the instance's id, and what applications added.
    pub fn events(&self) -> &[LogEvent] {
        &self.events
    }

    /// The application description whose hash was measured, or the manifest of a Contrast deployment, exactly as served.
    pub fn compose(&self) -> Option<&str> {
        self.compose.as_deref()
    }

    /// SHA-256 of what was measured: the values, and register and digest of each event. Names that nobody measured do not count, nor
    /// whether the description was shown.
    pub fn sha256(&self) -> [u8; 32] {
        let text = |text: &str| Json::String(text.to_owned());
        let values = self.values.iter().map(|(name, value)| (name.clone(), text(value))).collect();
        let events = self.events.iter().map(|event| {
            Json::Array(vec![Json::Number(u64::from(event.register).into()), text(&event.digest)])
        });
        let document = Json::Object(vec![
            ("events".to_owned(), Json::Array(events.collect())),
            ("values".to_owned(), Json::Object(values)),
        ]);
        crypto::sha256(&[document.to_canonical().as_bytes()])
    }
}

/// `driver` of `gpu.3.driver`.
fn of_gpu(name: &str) -> Option<&str> {
    let (number, name) = name.strip_prefix("gpu.")?.split_once('.')?;
    number.bytes().all(|byte| byte.is_ascii_digit()).then_some(name)
}

fn events(log: &EventLog) -> Vec<LogEvent> {
    let mut ready = false;
    let mut out = Vec::new();
    for event in log.events() {
        if event.register == 3 {
            let by_application = ready;
            ready |= event.name == SYSTEM_READY;
            if by_application || event.name == INSTANCE {
                continue;
            }
        }
        out.push(LogEvent {
            register: event.register,
            name: event.name.to_owned(),
            digest: hex::encode(&event.digest),
            payload: event.payload.map(hex::encode),
        });
    }
    out
}
