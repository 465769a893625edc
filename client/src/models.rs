//! The provider's model list in the form that every language shows.

use proveil_core::Result;
use proveil_core::provider::venice::parse_models;
use proveil_core::provider::{Provider, privatemode};
use serde_json::{Map, Value, json};

/// `{"models":[...]}` as [`crate::Client::models_json`] describes it, in the provider's order.
pub(crate) fn describe(provider: Provider, list: &[u8]) -> Result<String> {
    match provider {
        Provider::Venice => describe_venice(list),
        Provider::Privatemode => describe_privatemode(list),
    }
}

fn describe_privatemode(list: &[u8]) -> Result<String> {
    let entries = privatemode::parse_models(list)?.into_iter().map(|model| {
        // Every model of the service takes sealed requests only.
        json!({ "id": model.id, "class": "e2ee", "tasks": model.tasks })
    });
    Ok(json!({ "models": entries.collect::<Vec<Value>>() }).to_string())
}

fn describe_venice(list: &[u8]) -> Result<String> {
    let entries = parse_models(list)?.into_iter().map(|model| {
        let mut entry = Map::new();
        entry.insert("id".to_owned(), Value::from(model.id));
        entry.insert("class".to_owned(), Value::from(model.class.name()));
        if let Some(tokens) = model.context_tokens {
            entry.insert("context_tokens".to_owned(), Value::from(tokens));
        }
        Value::Object(entry)
    });
    Ok(json!({ "models": entries.collect::<Vec<Value>>() }).to_string())
}
