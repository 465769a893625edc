//! Calls of tools that were made before, and their results, as the texts that they were: for a provider that cannot carry tools sealed. What
//! cannot be said as text is refused by its name, since a model that is not told everything answers another question.

use proveil::{Code, Error, Result};
use serde_json::{Map, Value, json};

use super::tools::{CLOSE, OPEN, refuse};

/// Rewrites one message, if it has calls or is a result. Fails with `invalid_argument`, `unencryptable_field`, `unencryptable_content` and
/// `media_part`, naming the member.
pub(super) fn rewrite(message: &mut Value, place: usize) -> Result<()> {
    let at = format!("messages/{place}");
    // Anything else is refused where the message is sealed.
    let Some(members) = message.as_object_mut() else { return Ok(()) };
    if members.get("role").and_then(Value::as_str) == Some("tool") {
        *message = json!({ "role": "user", "content": result(members, &at)? });
        return Ok(());
    }
    let Some(calls) = members.remove("tool_calls").filter(|calls| !calls.is_null()) else { return Ok(()) };
    let place = format!("{at}/tool_calls");
    if members.get("role").and_then(Value::as_str) != Some("assistant") {
        return Err(Error::new(Code::UnencryptableField).at(place).expected("calls of an assistant"));
    }
    let calls = calls.as_array().ok_or_else(|| refuse(&place, "an array"))?;
    let mut text = content(members, &at)?;
    for (number, value) in calls.iter().enumerate() {
        let call = call(value, &format!("{place}/{number}"))?;
        text.push_str(&format!("{OPEN}{call}{CLOSE}"));
    }
    members.insert("content".to_owned(), Value::from(text));
    Ok(())
}

/// What a tool said.
fn result(members: &Map<String, Value>, at: &str) -> Result<String> {
    only(members, &["role", "content", "tool_call_id", "name"], at)?;
    let id = members.get("tool_call_id").filter(|id| id.is_string());
    let id = id.ok_or_else(|| refuse(&format!("{at}/tool_call_id"), "a text"))?;
    let name = match members.get("name") {
        None | Some(Value::Null) => String::new(),
        Some(name @ Value::String(_)) => format!(" name={name}"),
        Some(_) => return Err(refuse(&format!("{at}/name"), "a text")),
    };
    let content = content(members, at)?;
    Ok(format!("<tool_result id={id}{name}>\n{content}\n</tool_result>"))
}

/// The text of a message, parts joined by line breaks.
fn content(members: &Map<String, Value>, at: &str) -> Result<String> {
    let at = format!("{at}/content");
    match members.get("content") {
        None | Some(Value::Null) => Ok(String::new()),
        Some(Value::String(text)) => Ok(text.clone()),
        Some(Value::Array(parts)) => {
            let texts: Result<Vec<&str>> =
                parts.iter().enumerate().map(|(i, it)| part(it, &format!("{at}/{i}"))).collect();
            Ok(texts?.join("\n"))
        }
        Some(_) => Err(refuse(&at, "a text or text parts")),
    }
}

fn part<'p>(part: &'p Value, at: &str) -> Result<&'p str> {
    const MEDIA: [&str; 5] = ["image_url", "input_image", "input_audio", "video_url", "file"];
    let kind = part.get("type").and_then(Value::as_str).unwrap_or_default();
    if MEDIA.contains(&kind) {
        return Err(Error::new(Code::MediaPart).at(at).found(kind));
    }
    let members = part.as_object().filter(|_| kind == "text");
    let text = members.and_then(|members| members.get("text")).and_then(Value::as_str);
    match (members, text) {
        (Some(members), Some(text)) => only(members, &["type", "text"], at).map(|()| text),
        _ => Err(Error::new(Code::UnencryptableContent).at(at).expected("a text part")),
    }
}

/// A call in the form in which the model makes them, and with the id that its result has.
fn call(call: &Value, at: &str) -> Result<Value> {
    let members = call.as_object().ok_or_else(|| refuse(at, "a call of a function"))?;
    // The index only says which of the calls it is.
    only(members, &["id", "type", "function", "index"], at)?;
    if !matches!(members.get("type"), None | Some(Value::Null))
        && call.get("type") != Some(&json!("function"))
    {
        return Err(refuse(&format!("{at}/type"), "function"));
    }
    let at = format!("{at}/function");
    let function = members.get("function").and_then(Value::as_object);
    let function = function.ok_or_else(|| refuse(&at, "an object"))?;
    only(function, &["name", "arguments"], &at)?;
    let name = function.get("name").filter(|name| name.is_string());
    let name = name.ok_or_else(|| refuse(&format!("{at}/name"), "a text"))?;
    let arguments = match function.get("arguments") {
        None | Some(Value::Null) => json!({}),
        Some(Value::String(text)) if text.trim().is_empty() => json!({}),
        Some(Value::String(text)) => serde_json::from_str(text)
            .map_err(|_| refuse(&format!("{at}/arguments"), "a text that is JSON"))?,
        Some(object @ Value::Object(_)) => object.clone(),
        Some(_) => return Err(refuse(&format!("{at}/arguments"), "a text that is JSON")),
    };
    let mut out = json!({ "name": name, "arguments": arguments });
    match (members.get("id"), out.as_object_mut()) {
        (Some(id @ Value::String(_)), Some(out)) => drop(out.insert("id".to_owned(), id.clone())),
        (None | Some(Value::Null), _) => {}
        _ => return Err(refuse(&format!("{at}/id"), "a text")),
    }
    Ok(out)
}

/// Refuses what says something and is not one of these members.
pub(super) fn only(members: &Map<String, Value>, names: &[&str], at: &str) -> Result<()> {
    let other = members.iter().find(|(name, value)| !value.is_null() && !names.contains(&name.as_str()));
    match other {
        None => Ok(()),
        Some((name, _)) => Err(Error::new(Code::UnencryptableField)
            .at(format!("{at}/{name}"))
            .expected(format!("{} only", names.join(", ")))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rewritten(message: &Value) -> Result<Value> {
        let mut message = message.clone();
        rewrite(&mut message, 3).map(|()| message)
    }

    /// With the texts of calls read back.
    fn said(message: &Value) -> (String, Vec<Value>) {
        let message = rewritten(message).unwrap();
        assert!(message.get("tool_calls").is_none());
        let text = message["content"].as_str().unwrap().to_owned();
        let (before, calls) = text.split_at(text.find(OPEN).unwrap_or(text.len()));
        let calls = calls.split_inclusive(CLOSE).map(|call| {
            let call = call.strip_prefix(OPEN).and_then(|rest| rest.strip_suffix(CLOSE)).unwrap();
            serde_json::from_str(call).unwrap()
        });
        (before.to_owned(), calls.collect())
    }

    #[test]
    fn calls() {
        let text = |text: &str| json!([{ "type": "text", "text": text }, { "type": "text", "text": "b" }]);
        for (content, arguments, before, expected) in [
            (json!(null), json!("{\"city\":\"x\"}"), "", json!({ "city": "x" })),
            (json!("Look: "), json!({ "city": "x" }), "Look: ", json!({ "city": "x" })),
            (text("Look"), json!(""), "Look\nb", json!({})),
            (json!([]), json!(null), "", json!({})),
            (json!(""), json!(" "), "", json!({})),
        ] {
            let call = |id: &str| json!({ "id": id, "type": "function", "index": 0, "function": { "name": "weather", "arguments": arguments } });
            let message = json!({ "role": "assistant", "content": content, "refusal": null, "tool_calls": [call("1"), call("2")] });
            let (said, calls) = said(&message);
            let expected = |id: &str| json!({ "id": id, "name": "weather", "arguments": expected });
            assert_eq!((said.as_str(), calls), (before, vec![expected("1"), expected("2")]), "{message}");
        }
        let other = json!({ "role": "assistant", "content": "a", "name": "n", "tool_calls": [] });
        assert_eq!(
            rewritten(&other).unwrap(),
            json!({ "role": "assistant", "content": "a", "name": "n" }),
            "what remains is looked at where it is sealed"
        );
        let plain = json!({ "role": "user", "content": [{ "type": "image_url" }] });
        assert_eq!(rewritten(&plain).unwrap(), plain);
    }

    #[test]
    fn results() {
        for (content, name, expected) in [
            (json!("sunny"), json!(null), "<tool_result id=\"1\">\nsunny\n</tool_result>"),
            (
                json!([{ "type": "text", "text": "sunny" }]),
                json!(null),
                "<tool_result id=\"1\">\nsunny\n</tool_result>",
            ),
            (
                json!([{ "type": "text", "text": "sunny" }, { "text": "warm", "type": "text", "cache_control": null }]),
                json!("weather"),
                "<tool_result id=\"1\" name=\"weather\">\nsunny\nwarm\n</tool_result>",
            ),
            (json!(null), json!(null), "<tool_result id=\"1\">\n\n</tool_result>"),
        ] {
            let message = json!({ "role": "tool", "tool_call_id": "1", "name": name, "content": content });
            assert_eq!(rewritten(&message).unwrap(), json!({ "role": "user", "content": expected }));
        }
    }

    /// What cannot be said is refused, and the member is named.
    #[test]
    fn refused_by_name() {
        let tool = |content: Value| json!({ "role": "tool", "tool_call_id": "1", "content": content });
        let calls = |calls: Value| json!({ "role": "assistant", "content": null, "tool_calls": calls });
        let function =
            |function: Value| calls(json!([{ "id": "1", "type": "function", "function": function }]));
        let image = json!({ "type": "image_url", "image_url": { "url": "data:image/png;base64,AA==" } });
        let text = json!({ "type": "text", "text": "a" });
        for (message, code, at) in [
            (tool(json!([text, image])), Code::MediaPart, "content/1"),
            (tool(json!([{ "type": "audio" }])), Code::UnencryptableContent, "content/0"),
            (tool(json!([{ "type": "text" }])), Code::UnencryptableContent, "content/0"),
            (tool(json!(["a"])), Code::UnencryptableContent, "content/0"),
            (tool(json!([{ "type": "text", "text": "a", "x": 1 }])), Code::UnencryptableField, "content/0/x"),
            (tool(json!({ "a": 1 })), Code::InvalidArgument, "content"),
            (json!({ "role": "tool", "content": "a" }), Code::InvalidArgument, "tool_call_id"),
            (
                json!({ "role": "tool", "tool_call_id": 1, "content": "a" }),
                Code::InvalidArgument,
                "tool_call_id",
            ),
            (
                json!({ "role": "tool", "tool_call_id": "1", "content": "a", "artifact": 1 }),
                Code::UnencryptableField,
                "artifact",
            ),
            (
                json!({ "role": "tool", "tool_call_id": "1", "content": "a", "name": 1 }),
                Code::InvalidArgument,
                "name",
            ),
            (
                json!({ "role": "user", "content": "a", "tool_calls": [] }),
                Code::UnencryptableField,
                "tool_calls",
            ),
            (calls(json!({})), Code::InvalidArgument, "tool_calls"),
            (calls(json!([1])), Code::InvalidArgument, "tool_calls/0"),
            (
                calls(json!([{ "type": "custom", "custom": {} }])),
                Code::UnencryptableField,
                "tool_calls/0/custom",
            ),
            (calls(json!([{ "type": "custom" }])), Code::InvalidArgument, "tool_calls/0/type"),
            (
                calls(json!([{ "id": "1", "type": "function" }])),
                Code::InvalidArgument,
                "tool_calls/0/function",
            ),
            (function(json!({})), Code::InvalidArgument, "tool_calls/0/function/name"),
            (
                function(json!({ "name": "a", "arguments": "{" })),
                Code::InvalidArgument,
                "tool_calls/0/function/arguments",
            ),
            (
                function(json!({ "name": "a", "arguments": 1 })),
                Code::InvalidArgument,
                "tool_calls/0/function/arguments",
            ),
            (function(json!({ "name": "a", "x": 1 })), Code::UnencryptableField, "tool_calls/0/function/x"),
        ] {
            let error = rewritten(&message).unwrap_err();
            let found = (error.code(), error.check().map(str::to_owned));
            assert_eq!(found, (code, Some(format!("messages/3/{at}"))), "{message}");
            assert_eq!(error.code().row().http, 400, "{message}");
        }
        let mut with_image = calls(json!([]));
        with_image["content"] = json!([image]);
        assert_eq!(rewritten(&with_image).unwrap_err().code(), Code::MediaPart);
    }
}
