//! The model list and what each model can keep private (protocols/venice.md 1.2).

use crate::error::{Code, Error, Result};
use crate::limits::MODEL_LIST_MAX_BYTES;
use crate::wire::json::Json;

/// How private a model is, by what the catalogue says of it. A claim of Venice: evidence decides later.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum ModelClass {
    /// Runs in an enclave and takes sealed texts.
    E2ee,
    /// Runs in an enclave that can attest itself; texts pass Venice in clear.
    Tee,
    /// Venice says that it stores nothing.
    Private,
    /// Venice hides who asks; the model's operator sees the texts.
    Anonymous,
    /// Nothing known.
    Unknown,
}

impl ModelClass {
    /// `e2ee`, `tee`, `private`, `anonymous` or `unknown`.
    pub const fn name(self) -> &'static str {
        match self {
            ModelClass::E2ee => "e2ee",
            ModelClass::Tee => "tee",
            ModelClass::Private => "private",
            ModelClass::Anonymous => "anonymous",
            ModelClass::Unknown => "unknown",
        }
    }
}

/// The end of a model, as announced.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Deprecation {
    /// `date` or else `removesAt`, as written.
    pub date: Option<String>,
    /// The model named as its successor.
    pub replacement: Option<String>,
    /// Venice may serve the successor under the old name without a word.
    pub auto_remap: bool,
}

/// One model of the catalogue.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Model {
    /// The id that requests name.
    pub id: String,
    /// How private it is.
    pub class: ModelClass,
    /// `text`, `image`, ...; empty when not said.
    pub kind: String,
    /// Context window in tokens.
    pub context_tokens: Option<u64>,
    /// Announced end.
    pub deprecation: Option<Deprecation>,
}

/// Reads the answer to `GET /models`, in the order given. Entries without an id are left out.
///
/// Errors: `limit_exceeded`; `malformed_response` when it is no model list, or when one id appears with two classes.
pub fn parse_models(body: &[u8]) -> Result<Vec<Model>> {
    if body.len() > MODEL_LIST_MAX_BYTES {
        return Err(Error::new(Code::LimitExceeded).at("model list"));
    }
    let malformed = || Error::new(Code::MalformedResponse).at("model list");
    let list = Json::parse(body).map_err(|_| malformed())?;
    let data = list.get("data").and_then(Json::as_array).ok_or_else(malformed)?;
    let mut models: Vec<Model> = data.iter().filter_map(parse_model).collect();
    let mut order: Vec<(&str, ModelClass)> =
        models.iter().map(|model| (model.id.as_str(), model.class)).collect();
    order.sort_unstable();
    if order.windows(2).any(|pair| matches!(pair, [(a, left), (b, right)] if a == b && left != right)) {
        return Err(malformed().found("one id with two classes"));
    }
    let mut seen = std::collections::HashSet::new();
    models.retain(|model| seen.insert(model.id.clone()));
    Ok(models)
}

fn parse_model(entry: &Json) -> Option<Model> {
    let id = entry.get("id")?.as_str().filter(|id| !id.is_empty())?.to_owned();
    let spec = entry.get("model_spec");
    let kind = entry.get("type").and_then(Json::as_str).unwrap_or_default().to_owned();
    Some(Model {
        class: classify(spec, &kind),
        context_tokens: spec.and_then(|spec| spec.get("availableContextTokens")).and_then(Json::as_u64),
        deprecation: spec.and_then(|spec| spec.get("deprecation")).and_then(parse_deprecation),
        id,
        kind,
    })
}

/// Capabilities decide, never the name; only JSON `true` counts. Enclave models are text models.
fn classify(spec: Option<&Json>, kind: &str) -> ModelClass {
    let Some(spec) = spec else { return ModelClass::Unknown };
    let can = |name: &str| {
        matches!(kind, "text" | "")
            && spec.get("capabilities").and_then(|set| set.get(name)).and_then(Json::as_bool) == Some(true)
    };
    let attests = can("supportsTeeAttestation");
    match spec.get("privacy").and_then(Json::as_str) {
        _ if attests && can("supportsE2EE") => ModelClass::E2ee,
        _ if attests => ModelClass::Tee,
        Some("private") => ModelClass::Private,
        Some("anonymized") => ModelClass::Anonymous,
        _ => ModelClass::Unknown,
    }
}

fn parse_deprecation(value: &Json) -> Option<Deprecation> {
    value.as_object()?;
    let text = |name: &str| value.get(name).and_then(Json::as_str).map(str::to_owned);
    Some(Deprecation {
        date: text("date").or_else(|| text("removesAt")),
        replacement: text("replacementModelId"),
        auto_remap: value.get("autoRemap").and_then(Json::as_bool) == Some(true),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn class_of(entry: &str) -> ModelClass {
        let body = format!("{{\"data\":[{entry}]}}");
        parse_models(body.as_bytes()).unwrap()[0].class
    }

    #[test]
    fn only_json_true_counts() {
        for (tee, e2ee, class) in [
            ("true", "true", ModelClass::E2ee),
            ("true", "\"true\"", ModelClass::Tee),
            ("true", "1", ModelClass::Tee),
            ("\"true\"", "true", ModelClass::Unknown),
            ("1", "1", ModelClass::Unknown),
            ("null", "true", ModelClass::Unknown),
        ] {
            let entry = format!(
                "{{\"id\":\"e2ee-x\",\"type\":\"text\",\"model_spec\":{{\"capabilities\":{{\"supportsTeeAttestation\":{tee},\"supportsE2EE\":{e2ee}}}}}}}"
            );
            assert_eq!(class_of(&entry), class, "{entry}");
            assert_eq!(class_of(&entry.replace("\"text\"", "\"image\"")), ModelClass::Unknown);
        }
        assert_eq!(class_of("{\"id\":\"e2ee-name\"}"), ModelClass::Unknown);
    }

    #[test]
    fn members_and_refusals() {
        let body = br#"{"data":[{"id":"a","type":"text","model_spec":{"availableContextTokens":32000,
            "deprecation":{"date":"2026-12-01","replacementModelId":"b","autoRemap":true}}},{"noid":1},"text",{"id":""}]}"#;
        let models = parse_models(body).unwrap();
        assert_eq!(models.len(), 1);
        assert_eq!(models[0].context_tokens, Some(32_000));
        let deprecation = models[0].deprecation.clone().unwrap();
        assert_eq!(deprecation.date.as_deref(), Some("2026-12-01"));
        assert_eq!((deprecation.replacement.as_deref(), deprecation.auto_remap), (Some("b"), true));

        let private = r#"{"id":"a","model_spec":{"privacy":"private"}}"#;
        let twice = format!("{{\"data\":[{private},{private}]}}");
        assert_eq!(parse_models(twice.as_bytes()).unwrap().len(), 1);
        let conflict = format!("{{\"data\":[{private},{}]}}", private.replace("private", "anonymized"));
        for bad in [conflict.as_str(), "", "[]", "{}", "{\"data\":{}}", "{\"data\":[],\"data\":[]}"] {
            assert_eq!(parse_models(bad.as_bytes()).unwrap_err().code(), Code::MalformedResponse, "{bad}");
        }
    }
}
