//! A file of pins, `proveil.pins/v1`: strict reading, deterministic writing. A file that cannot be read whole is an error, never an empty
//! list: who can spoil a file must not thereby take a pin away (threats T59).

use super::software::{LogEvent, Software};
use super::{Pin, PinKey};
use crate::error::{Code, Error, Result};
use crate::limits::{COMPOSE_MAX_BYTES, EVENT_LOG_MAX_EVENTS, PINS_FILE_MAX_BYTES, PINS_MAX};
use crate::report::Roots;
use crate::wire::json::Json;
use crate::wire::{hex, locate, nearest};

/// Name of the file's form.
pub const PINS_SCHEMA: &str = "proveil.pins/v1";

/// Longest text of a name or value.
const TEXT_MAX_BYTES: usize = 8 * 1024;

/// The file's text: one pin per endpoint, sorted by provider, model and address.
pub fn write_pins(pins: &[Pin]) -> String {
    let mut pins: Vec<&Pin> = pins.iter().collect();
    pins.sort_by(|a, b| a.key.cmp(&b.key));
    let lines: Vec<String> =
        pins.into_iter().map(|pin| format!("    {}", pin_json(pin).to_compact())).collect();
    let list = if lines.is_empty() { String::new() } else { format!("\n{}\n  ", lines.join(",\n")) };
    format!("{{\n  \"schema\": \"{PINS_SCHEMA}\",\n  \"pins\": [{list}]\n}}\n")
}

fn pin_json(pin: &Pin) -> Json {
    let text = |text: &str| Json::String(text.to_owned());
    let number = |number: u64| Json::Number(number.into());
    let object = |members: Vec<(&str, Json)>| {
        Json::Object(members.into_iter().map(|(name, value)| (name.to_owned(), value)).collect())
    };
    let event = |event: &LogEvent| {
        let mut members = vec![
            ("register", number(event.register.into())),
            ("name", text(&event.name)),
            ("digest", text(&event.digest)),
        ];
        members.extend(event.payload.as_ref().map(|payload| ("payload", text(payload))));
        object(members)
    };
    let Software { values, events, compose } = &pin.software;
    object(vec![
        ("provider", text(&pin.key.provider)),
        ("model", text(&pin.key.model)),
        ("base_url", text(&pin.key.base_url)),
        ("roots", text(pin.roots.name())),
        ("pinned_at", number(pin.pinned_at)),
        ("sha256", text(&hex::encode(&pin.software.sha256()))),
        ("values", Json::Object(values.iter().map(|(name, value)| (name.clone(), text(value))).collect())),
        ("events", Json::Array(events.iter().map(event).collect())),
        ("compose", compose.as_deref().map_or(Json::Null, text)),
    ])
}

/// Reads a file of at most 64 MiB and 256 pins. Fails with `pins_invalid`, naming the member, line and column.
pub fn read_pins(bytes: &[u8]) -> Result<Vec<Pin>> {
    if bytes.len() > PINS_FILE_MAX_BYTES {
        return Err(invalid("file").expected(format!("at most {PINS_FILE_MAX_BYTES} bytes")));
    }
    let document = Json::parse(bytes).map_err(|_| {
        let (place, why) = locate::fault(bytes);
        located(invalid("file").context(why), place)
    })?;
    read(&document).map_err(|error| {
        let place = error.check().and_then(|path| locate::member(bytes, path));
        located(error, place)
    })
}

fn located(error: Error, place: Option<locate::Place>) -> Error {
    match place {
        Some(place) => error.in_text(place.line, place.column),
        None => error,
    }
}

fn invalid(member: &str) -> Error {
    Error::new(Code::PinsInvalid).at(member)
}

fn read(document: &Json) -> Result<Vec<Pin>> {
    if document.get("schema").and_then(Json::as_str) != Some(PINS_SCHEMA) {
        return Err(invalid("schema").expected(PINS_SCHEMA));
    }
    let top = Object::of(document, String::new())?;
    top.only(&["schema", "pins"])?;
    let pins = top.array("pins", PINS_MAX)?;
    let pins: Vec<Pin> = pins
        .iter()
        .enumerate()
        .map(|(i, pin)| read_pin(&Object::of(pin, format!("pins[{i}]"))?))
        .collect::<Result<_>>()?;
    for (i, pin) in pins.iter().enumerate() {
        if pins.iter().take(i).any(|other| other.key == pin.key) {
            return Err(invalid(&format!("pins[{i}]")).context("The endpoint is pinned twice."));
        }
    }
    Ok(pins)
}

fn read_pin(pin: &Object<'_>) -> Result<Pin> {
    pin.only(&[
        "provider",
        "model",
        "base_url",
        "roots",
        "pinned_at",
        "sha256",
        "values",
        "events",
        "compose",
    ])?;
    let roots = pin.text("roots")?;
    let roots = [Roots::Vendor, Roots::Custom]
        .into_iter()
        .find(|known| known.name() == roots)
        .ok_or_else(|| pin.wrong("roots").expected("vendor or custom"))?;
    let values = pin.get("values")?.as_object().ok_or_else(|| pin.wrong("values").expected("an object"))?;
    let mut values: Vec<(String, String)> = values
        .iter()
        .map(|(name, value)| {
            let text = value.as_str().filter(|text| text.len().max(name.len()) <= TEXT_MAX_BYTES);
            let text = text.ok_or_else(|| pin.wrong(&format!("values.{name}")).expected("a text"))?;
            Ok((name.clone(), text.to_owned()))
        })
        .collect::<Result<_>>()?;
    values.sort();
    let events = pin
        .array("events", EVENT_LOG_MAX_EVENTS)?
        .iter()
        .enumerate()
        .map(|(i, event)| read_event(&Object::of(event, pin.place(&format!("events[{i}]")))?))
        .collect::<Result<_>>()?;
    let compose = match pin.get("compose")? {
        Json::Null => None,
        Json::String(text) if text.len() <= COMPOSE_MAX_BYTES => Some(text.clone()),
        _ => return Err(pin.wrong("compose").expected("a text or null")),
    };
    let software = Software { values, events, compose };
    // A slip in a measurement would refuse the right software, or have the wrong one accepted.
    let digest = hex::encode(&software.sha256());
    if pin.text("sha256")? != digest {
        return Err(pin.wrong("sha256").expected(digest).context("It is not that of the values and events."));
    }
    let key = PinKey {
        provider: pin.text("provider")?.to_owned(),
        model: pin.text("model")?.to_owned(),
        base_url: pin.text("base_url")?.to_owned(),
    };
    let pinned_at = pin
        .get("pinned_at")?
        .as_u64()
        .ok_or_else(|| pin.wrong("pinned_at").expected("seconds since 1970"))?;
    Ok(Pin { key, roots, pinned_at, software })
}

fn read_event(event: &Object<'_>) -> Result<LogEvent> {
    event.only(&["register", "name", "digest", "payload"])?;
    let register = event.get("register")?.as_u64().and_then(|register| u8::try_from(register).ok());
    let hex_text = |name: &str| {
        let text = event.text(name)?;
        let good = hex::decode(text).is_some_and(|bytes| hex::encode(&bytes) == text);
        if good { Ok(text.to_owned()) } else { Err(event.wrong(name).expected("lowercase hex")) }
    };
    Ok(LogEvent {
        register: register
            .filter(|register| *register <= 3)
            .ok_or_else(|| event.wrong("register").expected("0 to 3"))?,
        name: event.text("name")?.to_owned(),
        digest: hex_text("digest")?,
        payload: if event.has("payload") { Some(hex_text("payload")?) } else { None },
    })
}

/// An object of the file, and where it is.
struct Object<'a> {
    members: &'a [(String, Json)],
    path: String,
}

impl<'a> Object<'a> {
    fn of(value: &'a Json, path: String) -> Result<Object<'a>> {
        match value.as_object() {
            Some(members) => Ok(Object { members, path }),
            None => Err(invalid(&path).expected("an object")),
        }
    }

    fn place(&self, name: &str) -> String {
        if self.path.is_empty() { name.to_owned() } else { format!("{}.{name}", self.path) }
    }

    fn wrong(&self, name: &str) -> Error {
        invalid(&self.place(name))
    }

    fn only(&self, known: &[&str]) -> Result<()> {
        let unknown = self.members.iter().find(|(name, _)| !known.contains(&name.as_str()));
        match unknown {
            None => Ok(()),
            Some((name, _)) => {
                let error = self.wrong(name).found("an unknown member");
                Err(match nearest(name, known.iter().copied()) {
                    Some(near) => error.context(format!("Did you mean `{near}`?")),
                    None => error,
                })
            }
        }
    }

    fn has(&self, name: &str) -> bool {
        self.members.iter().any(|(member, _)| member == name)
    }

    fn get(&self, name: &str) -> Result<&'a Json> {
        let found = self.members.iter().find(|(member, _)| member == name);
        found.map(|(_, value)| value).ok_or_else(|| self.wrong(name).found("absent"))
    }

    /// A text; event payloads are the longest.
    fn text(&self, name: &str) -> Result<&'a str> {
        let max = crate::limits::EVENT_LOG_MAX_BYTES;
        let text = self.get(name)?.as_str().filter(|text| text.len() <= max);
        text.ok_or_else(|| self.wrong(name).expected("a text"))
    }

    fn array(&self, name: &str, max: usize) -> Result<&'a [Json]> {
        let list = self.get(name)?.as_array().filter(|list| list.len() <= max);
        list.ok_or_else(|| self.wrong(name).expected(format!("an array of at most {max} elements")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pin(model: &str) -> Pin {
        Pin {
            key: PinKey {
                provider: "venice".into(),
                model: model.into(),
                base_url: "https://api.example/v1".into(),
            },
            roots: Roots::Vendor,
            pinned_at: 1_790_000_000,
            software: Software {
                values: vec![("gpu.driver".into(), "570.1".into()), ("tdx.mr_td".into(), "ab".repeat(48))],
                events: vec![
                    LogEvent { register: 0, name: "EV \"x\"".into(), digest: "cd".repeat(48), payload: None },
                    LogEvent {
                        register: 3,
                        name: "compose-hash".into(),
                        digest: "ef".repeat(48),
                        payload: Some(String::new()),
                    },
                ],
                compose: Some("{\n\"docker_compose_file\": \"a\\nb\"}".into()),
            },
        }
    }

    #[test]
    fn files_come_back() {
        for pins in [vec![], vec![pin("b")], vec![pin("a"), pin("b")]] {
            let text = write_pins(&pins);
            assert_eq!(read_pins(text.as_bytes()).unwrap(), pins);
            let mut turned = pins.clone();
            turned.reverse();
            assert_eq!(write_pins(&turned), text);
        }
    }

    /// T59: anything but a whole file is an error, and each says where.
    #[test]
    fn broken_files_are_errors() {
        let good = write_pins(&[pin("a"), pin("b")]);
        for length in 0..good.trim_end().len() {
            if let Some(text) = good.get(..length) {
                assert_eq!(read_pins(text.as_bytes()).unwrap_err().code(), Code::PinsInvalid, "{length}");
            }
        }
        let cases = [
            ("v1\"", "v2\"", "schema"),
            ("\"pins\": [", "\"pins\": [],\"pin\": [", "pin"),
            ("\"model\":\"b\"", "\"model\":\"a\"", "pins[1]"),
            ("\"model\":\"b\"", "\"model\":7", "pins[1].model"),
            ("\"model\":\"b\",", "", "pins[1].model"),
            ("\"roots\":\"vendor\"", "\"roots\":\"any\"", "pins[0].roots"),
            ("570.1", "570.2", "pins[0].sha256"),
            ("\"register\":3", "\"register\":2", "pins[0].sha256"),
            ("\"register\":3", "\"register\":4", "pins[0].events[1].register"),
            ("\"payload\":\"\"", "\"payload\":\"0\"", "pins[0].events[1].payload"),
            ("\"payload\":\"\"", "\"payloads\":\"\"", "pins[0].events[1].payloads"),
            ("\"pinned_at\":1790000000", "\"pinned_at\":-1", "pins[0].pinned_at"),
            ("\"compose\":\"", "\"compose\":1,\"x\":\"", "pins[0].x"),
            ("\"compose\":\"", "\"compose\":null,\"compose\":\"", "file"),
        ];
        for (from, to, member) in cases {
            let text = good.replacen(from, to, 1);
            assert_ne!(text, good, "{from}");
            let error = read_pins(text.as_bytes()).unwrap_err();
            assert_eq!(
                (error.code(), error.check()),
                (Code::PinsInvalid, Some(member)),
                "{from} to {to}: {error}"
            );
            assert!(
                error.place().is_some() || text.contains("\"b\",\"base") || member.ends_with("model"),
                "{error}"
            );
        }
        for bytes in [&b"\xff"[..], b"", b"[]", b"null", b"{}"] {
            assert_eq!(read_pins(bytes).unwrap_err().code(), Code::PinsInvalid);
        }
    }
}
