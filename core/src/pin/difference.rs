//! Where pinned and measured software differ, in words.

use std::fmt;

use super::compose;
use super::software::{LogEvent, Software};
use crate::attest::contrast::{self, ManifestDifference};
use crate::error::cleaned;

/// Differences that are listed; the rest is counted.
const LISTED_MAX: usize = 64;
/// Bytes of a value in words.
const SHOWN_MAX: usize = 200;

/// One place where pinned and measured software differ.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Difference {
    place: String,
    pinned: Option<String>,
    found: Option<String>,
}

impl Difference {
    pub(super) fn new(place: &str, pinned: Option<String>, found: Option<String>) -> Difference {
        Difference { place: cleaned(place, SHOWN_MAX), pinned, found }
    }

    /// Where: `RTMR1`, `event 3 of RTMR3 (compose-hash)`, `app_compose.docker_compose_file line 14`.
    pub fn place(&self) -> &str {
        &self.place
    }

    /// What was pinned; `None` when there was nothing.
    pub fn pinned(&self) -> Option<&str> {
        self.pinned.as_deref()
    }

    /// What is there now; `None` when there is nothing.
    pub fn found(&self) -> Option<&str> {
        self.found.as_deref()
    }
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let shown = |value: &Option<String>| value.as_deref().map_or_else(|| "nothing".to_owned(), shown);
        match (&self.pinned, &self.found) {
            (None, None) => f.write_str(&self.place),
            (pinned, found) => write!(f, "{}: pinned {}, now {}", self.place, shown(pinned), shown(found)),
        }
    }
}

/// Digests by their first 16 digits; everything else as it is, cut and cleaned.
fn shown(value: &str) -> String {
    let digest = value.len() >= 40 && value.bytes().all(|byte| byte.is_ascii_hexdigit());
    match value.get(..16).filter(|_| digest) {
        Some(head) => format!("{head}\u{2026}"),
        None => format!("`{}`", cleaned(value, SHOWN_MAX)),
    }
}

/// Every difference: measured values, then events of the log, then the application description. At most 64, and then how many more.
pub fn differences(pinned: &Software, found: &Software) -> Vec<Difference> {
    let mut out = Vec::new();
    values(&pinned.values, &found.values, &mut out);
    for register in 0..=3 {
        events(register, &pinned.events, &found.events, &mut out);
    }
    if let (Some(old), Some(new)) = (&pinned.compose, &found.compose)
        && old != new
    {
        match contrast::differences(old.as_bytes(), new.as_bytes()) {
            Ok(found) if is_contrast(pinned) => out.extend(found.into_iter().map(of_manifest)),
            _ => compose::compare(old, new, &mut out),
        }
    }
    let more = out.len().saturating_sub(LISTED_MAX);
    if more > 0 {
        out.truncate(LISTED_MAX);
        out.push(Difference::new(&format!("{more} more places"), None, None));
    }
    out
}

/// The description that is kept of a Contrast deployment is its manifest.
fn is_contrast(software: &Software) -> bool {
    software.values.iter().any(|(name, _)| name == "contrast.manifest")
}

fn of_manifest(found: ManifestDifference) -> Difference {
    let place = if found.path.is_empty() { "manifest spelling" } else { &format!("manifest {}", found.path) };
    Difference::new(place, found.old, found.new)
}

fn values(pinned: &[(String, String)], found: &[(String, String)], out: &mut Vec<Difference>) {
    let of = |list: &[(String, String)], name: &str| {
        list.iter().find(|(known, _)| known == name).map(|(_, value)| value.clone())
    };
    let mut names: Vec<&str> = pinned.iter().chain(found).map(|(name, _)| name.as_str()).collect();
    names.sort_unstable();
    names.dedup();
    for name in names {
        let (old, new) = (of(pinned, name), of(found, name));
        if old != new {
            out.push(Difference::new(&title(name), old, new));
        }
    }
}

/// The name that people know a value by.
fn title(name: &str) -> String {
    match name {
        "contrast.coordinator_policy" => "coordinator policy".to_owned(),
        "contrast.manifest" => "manifest".to_owned(),
        "dstack.app_id" => "application id".to_owned(),
        "dstack.compose_hash" => "compose hash".to_owned(),
        "dstack.os_image_hash" => "OS image hash".to_owned(),
        "gpu.driver" => "GPU driver".to_owned(),
        "gpu.vbios" => "GPU firmware".to_owned(),
        "snp.author_key_digest" => "author key digest".to_owned(),
        "snp.host_data" => "host data".to_owned(),
        "snp.id_key_digest" => "ID key digest".to_owned(),
        "snp.measurement" => "launch measurement".to_owned(),
        "tdx.mr_td" => "MRTD".to_owned(),
        other => other.rsplit('.').next().unwrap_or(other).to_uppercase(),
    }
}

/// Events of one register: those before and after which both logs are equal are left out.
fn events(register: u8, pinned: &[LogEvent], found: &[LogEvent], out: &mut Vec<Difference>) {
    // A log that is not there now, or was not there then, shows in the values.
    if pinned.is_empty() || found.is_empty() {
        return;
    }
    let of = |events: &'_ [LogEvent]| -> Vec<LogEvent> {
        events.iter().filter(|event| event.register == register).cloned().collect()
    };
    let (old, new) = (of(pinned), of(found));
    let same = |(a, b): &(&LogEvent, &LogEvent)| a.digest == b.digest;
    let before = old.iter().zip(&new).take_while(same).count();
    let (old, new) = (old.get(before..).unwrap_or_default(), new.get(before..).unwrap_or_default());
    let after = old.iter().rev().zip(new.iter().rev()).take_while(same).count();
    let old = old.get(..old.len().saturating_sub(after)).unwrap_or_default();
    let new = new.get(..new.len().saturating_sub(after)).unwrap_or_default();
    for i in 0..old.len().max(new.len()) {
        let (old, new) = (old.get(i), new.get(i));
        let name = match (old, new) {
            (Some(old), Some(new)) if old.digest == new.digest => continue,
            (Some(old), Some(new)) if old.name != new.name => format!("{}, now {}", old.name, new.name),
            (_, Some(event)) | (Some(event), None) => event.name.clone(),
            (None, None) => continue,
        };
        let number = before.saturating_add(i).saturating_add(1);
        let place = format!("event {number} of RTMR{register} ({})", cleaned(&name, 80));
        out.push(Difference::new(&place, old.map(content), new.map(content)));
    }
}

/// Payload of a run-time event, as text where it is one; else the digest.
fn content(event: &LogEvent) -> String {
    event.payload.clone().unwrap_or_else(|| event.digest.clone())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn software(values: &[(&str, &str)], events: &[(u8, &str, &str)], compose: Option<&str>) -> Software {
        Software {
            values: values.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect(),
            events: events
                .iter()
                .map(|(register, name, payload)| LogEvent {
                    register: *register,
                    name: (*name).to_owned(),
                    digest: format!("{register}{name}{payload}"),
                    payload: (*register == 3).then(|| (*payload).to_owned()),
                })
                .collect(),
            compose: compose.map(str::to_owned),
        }
    }

    fn words(old: &Software, new: &Software) -> Vec<String> {
        differences(old, new).iter().map(Difference::to_string).collect()
    }

    #[test]
    fn values_events_and_lines() {
        let (a, b) = ("aa".repeat(48), "bb".repeat(48));
        let log: &[(u8, &str, &str)] =
            &[(0, "EV", "1"), (0, "EV", "2"), (3, "app-id", "0a"), (3, "compose-hash", "0b"), (3, "end", "")];
        let compose = |image: &str, extra: &str| {
            format!(
                "{{\"name\":\"app\",\"docker_compose_file\":\"services:\\n  llm:\\n    image: {image}\\n{extra}\",\"kms\":true}}"
            )
        };
        let (first, second) = (compose("a:1", ""), compose("a:2", "    ports: x\\n"));
        let old = software(&[("tdx.mr_td", &a), ("tdx.rtmr1", &a)], log, Some(&first));
        let cases: Vec<(Software, Vec<String>)> = vec![
            (old.clone(), vec![]),
            (
                software(&[("tdx.mr_td", &b), ("tdx.rtmr1", &a)], log, Some(&first)),
                vec![format!("MRTD: pinned {}\u{2026}, now {}\u{2026}", "a".repeat(16), "b".repeat(16))],
            ),
            (
                software(&[("gpu.driver", "1.2"), ("tdx.mr_td", &a)], log, Some(&first)),
                vec![
                    "GPU driver: pinned nothing, now `1.2`".into(),
                    format!("RTMR1: pinned {}\u{2026}, now nothing", "a".repeat(16)),
                ],
            ),
            (
                software(
                    &[("tdx.mr_td", &a), ("tdx.rtmr1", &a)],
                    &[
                        (0, "EV", "1"),
                        (0, "EV", "3"),
                        (3, "app-id", "0a"),
                        (3, "compose-hash", "0c"),
                        (3, "end", ""),
                    ],
                    Some(&second),
                ),
                vec![
                    "event 2 of RTMR0 (EV): pinned `0EV2`, now `0EV3`".into(),
                    "event 2 of RTMR3 (compose-hash): pinned `0b`, now `0c`".into(),
                    "app_compose.docker_compose_file line 3: pinned `    image: a:1`, now `    image: a:2`"
                        .into(),
                    "app_compose.docker_compose_file line 4: pinned nothing, now `    ports: x`".into(),
                ],
            ),
            (
                software(&[("tdx.mr_td", &a), ("tdx.rtmr1", &a)], &log[..4], None),
                vec!["event 3 of RTMR3 (end): pinned ``, now nothing".into()],
            ),
            (
                software(&[("tdx.mr_td", &a), ("tdx.rtmr1", &a)], log, Some(&first.replace("true", "[1]"))),
                vec!["app_compose.kms: pinned `true`, now `[1]`".into()],
            ),
            (
                software(&[("tdx.mr_td", &a), ("tdx.rtmr1", &a)], log, Some(&format!("{first} "))),
                vec!["app_compose spelling".into()],
            ),
        ];
        for (new, expected) in cases {
            assert_eq!(words(&old, &new), expected);
        }
    }

    /// The digest is about what is measured: names of firmware events and a description that is not shown do not count.
    #[test]
    fn what_the_digest_covers() {
        let old = software(&[("tdx.mr_td", "aa")], &[(0, "EV", "1")], Some("{}"));
        let mut same = old.clone();
        same.events[0].name = "other".into();
        same.compose = None;
        assert_eq!(old.sha256(), same.sha256());
        assert!(words(&old, &same).is_empty());
        let mut others = vec![old.clone(); 4];
        others[0].events[0].digest.push('0');
        others[1].events[0].register = 1;
        others[2].events.clear();
        others[3].values[0].1 = "ab".into();
        for other in others {
            assert_ne!(old.sha256(), other.sha256());
        }
    }

    /// T55: nothing of the other side can move a cursor or fill the screen.
    #[test]
    fn words_are_cut_and_cleaned() {
        let old = software(&[("tdx.mr_td", "\u{1b}[2J\u{202e}")], &[], None);
        let new = software(&[("tdx.mr_td", &"x".repeat(10_000))], &[(3, "\u{1b}", "")], None);
        for text in words(&old, &new) {
            assert!(text.len() < 1000 && !text.contains(['\u{1b}', '\u{202e}']), "{text:?}");
        }
        let many: Vec<(u8, String)> = (0..500).map(|i| (1, i.to_string())).collect();
        let log = |byte: &str| -> Vec<LogEvent> {
            many.iter()
                .map(|(register, name)| LogEvent {
                    register: *register,
                    name: name.clone(),
                    digest: format!("{byte}{name}"),
                    payload: None,
                })
                .collect()
        };
        let (mut old, mut new) = (old, new);
        (old.events, new.events) = (log("a"), log("b"));
        let found = words(&old, &new);
        assert_eq!((found.len(), found.last().map(String::as_str)), (65, Some("437 more places")));
    }
}
