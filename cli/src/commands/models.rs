//! `proveil models`: what a provider offers, by its own word.

use std::path::Path;

use proveil::{Code, Error, Provider};
use serde::Deserialize;
use serde_json::{Value, json};

use super::on_network;
use crate::args;
use crate::config;
use crate::failure::Stop;
use crate::inputs;
use crate::output::Output;
use crate::progress::Progress;

#[derive(Deserialize)]
struct List {
    models: Vec<Model>,
}

#[derive(Deserialize)]
struct Model {
    id: String,
    class: String,
    context_tokens: Option<u64>,
    #[serde(default)]
    tasks: Vec<String>,
}

pub(super) fn run(args: &args::Models, file: Option<&Path>, output: &Output) -> Result<u8, Stop> {
    let provider = Provider::parse(&args.provider)?;
    let settings = config::load(file)?;
    let progress = Progress::new(*output);
    let client = inputs::client(provider, &args.connection, None, &settings, progress.observer(), output)?;
    let json = on_network(&progress, async { Ok(client.models_json().await?) })?;
    let malformed = || Error::new(Code::Internal).at("model list");
    if output.is_json() {
        let list: Value = serde_json::from_str(&json).map_err(|_| malformed())?;
        output.document(&json!({
            "schema": "proveil.models/v1",
            "provider": provider.name(),
            "models": list.get("models"),
        }))?;
        return Ok(0);
    }
    let list: List = serde_json::from_str(&json).map_err(|_| malformed())?;
    output.result(&table(&list.models))?;
    Ok(0)
}

fn table(models: &[Model]) -> String {
    let width = models.iter().map(|model| model.id.chars().count()).max().unwrap_or(0).clamp(5, 50);
    // A provider names one of the two.
    let last = if models.iter().any(|model| !model.tasks.is_empty()) { "TASKS" } else { "CONTEXT" };
    let mut text = format!("{:<width$}  {:<9}  {last}\n", "MODEL", "CLASS");
    for model in models {
        let context = model.context_tokens.map_or_else(|| "-".to_owned(), |tokens| tokens.to_string());
        let detail = if model.tasks.is_empty() { context } else { model.tasks.join(", ") };
        text.push_str(&format!("{:<width$}  {:<9}  {detail}\n", model.id, model.class));
    }
    text.push_str(
        "\nOnly `e2ee` models can be verified and sealed to. The classes are the provider's own words;\n\
         `proveil verify` checks them.\n",
    );
    text
}
