//! Where two application descriptions differ: which member, and in texts of several lines (the compose file inside) which line.

use super::difference::Difference;
use super::lines;
use crate::wire::json::Json;

/// Both descriptions have the measured hashes, so both are strict JSON objects; anything else is compared by line.
pub(super) fn compare(old: &str, new: &str, out: &mut Vec<Difference>) {
    match (Json::parse(old.as_bytes()), Json::parse(new.as_bytes())) {
        (Ok(old @ Json::Object(_)), Ok(new @ Json::Object(_))) => {
            let before = out.len();
            values("app_compose", Some(&old), Some(&new), out);
            if out.len() == before {
                // The same content, written in another way.
                out.push(Difference::new("app_compose spelling", None, None));
            }
        }
        _ => texts("app_compose", old, new, out),
    }
}

fn values(path: &str, old: Option<&Json>, new: Option<&Json>, out: &mut Vec<Difference>) {
    match (old, new) {
        (old, new) if old == new => {}
        (Some(Json::Object(old)), Some(Json::Object(new))) => {
            let find = |members: &'_ [(String, Json)], name: &str| {
                members.iter().find(|(member, _)| member == name).map(|(_, value)| value.clone())
            };
            let added = new.iter().filter(|(name, _)| !old.iter().any(|(member, _)| member == name));
            for (name, _) in old.iter().chain(added) {
                let (old, new) = (find(old, name), find(new, name));
                values(&format!("{path}.{name}"), old.as_ref(), new.as_ref(), out);
            }
        }
        (Some(Json::String(old)), Some(Json::String(new))) => texts(path, old, new, out),
        (old, new) => out.push(Difference::new(path, old.map(shown), new.map(shown))),
    }
}

fn texts(path: &str, old: &str, new: &str, out: &mut Vec<Difference>) {
    if !old.contains('\n') && !new.contains('\n') {
        out.push(Difference::new(path, Some(old.to_owned()), Some(new.to_owned())));
        return;
    }
    let before = out.len();
    for (old, new) in lines::compare(old, new) {
        let place = match (old, new) {
            (_, Some((number, _))) => format!("{path} line {number}"),
            (Some((number, _)), None) => format!("{path} pinned line {number}"),
            (None, None) => continue,
        };
        let text = |line: lines::Line<'_>| line.1.to_owned();
        out.push(Difference::new(&place, old.map(text), new.map(text)));
    }
    if out.len() == before {
        out.push(Difference::new(&format!("{path} line ends"), None, None));
    }
}

fn shown(value: &Json) -> String {
    match value {
        Json::String(text) => text.clone(),
        other => other.to_compact(),
    }
}
