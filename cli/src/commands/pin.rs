//! `proveil pin`: remembers what an endpoint runs, shows how that changed, and accepts a change only by digest or an explicit yes.

use std::path::Path;
use std::sync::Arc;

use proveil::core::wire::hex;
use proveil::core::wire::time::rfc3339;
use proveil::{Code, Difference, Error, Measured, Pin, PinStore, Provider, Result, Software};
use serde_json::{Value, json};

use super::on_network;
use crate::args::{self, PinAction};
use crate::config::{self, Loaded};
use crate::failure::{Stop, describe};
use crate::inputs;
use crate::manifest;
use crate::output::Output;
use crate::progress::Progress;

pub(super) fn run(args: &args::Pin, file: Option<&Path>, output: &Output) -> Result<u8, Stop> {
    let settings = config::load(file)?;
    match &args.action {
        Some(PinAction::List { pins }) => list(&inputs::pin_stores(pins.as_deref(), &settings)?, output),
        Some(PinAction::Accept(args)) => accept(args, &settings, output),
        None => pin(&args.endpoint, &settings, output),
    }
}

fn pin(endpoint: &args::PinEndpoint, settings: &Loaded, output: &Output) -> Result<u8, Stop> {
    let (provider, model) = named(endpoint)?;
    let progress = Progress::new(*output);
    let (connection, rules) = (&endpoint.connection, Some(&endpoint.rules));
    let client = inputs::client(provider, connection, rules, settings, progress.observer(), output)?;
    let pin = on_network(&progress, async {
        match client.pin(model).await {
            Ok(pin) => Ok(pin),
            Err(error) => {
                manifest::explain(&client, model, &error, output).await;
                Err(error.into())
            }
        }
    })?;
    let from = if pin.pinned_at > 0 { rfc3339(pin.pinned_at) } else { "-".to_owned() };
    let text = format!("Pinned since {from}. Other software is refused from now on.\n\n{}", pin_text(&pin));
    if output.is_json() {
        output.document(&with_schema(pin_json(&pin), "proveil.pin/v1"))?;
    } else {
        output.result(&text)?;
    }
    Ok(0)
}

fn named(endpoint: &args::PinEndpoint) -> Result<(Provider, &str), Error> {
    let unnamed = || Error::new(Code::Usage).context("Which provider? `proveil pin PROVIDER --model M`.");
    let (provider, model) = endpoint.named().ok_or_else(unnamed)?;
    Ok((Provider::parse(provider)?, model))
}

fn accept(args: &args::PinAccept, settings: &Loaded, output: &Output) -> Result<u8, Stop> {
    let endpoint = &args.endpoint;
    let (provider, model) = named(endpoint)?;
    let wanted = args.sha256.as_deref().map(digest).transpose()?;
    let progress = Progress::new(*output);
    let (connection, rules) = (&endpoint.connection, Some(&endpoint.rules));
    let client = inputs::client(provider, connection, rules, settings, progress.observer(), output)?;
    let (measured, pinned) = on_network(&progress, async {
        let measured = client.measure(model).await?;
        let found = measured.software.as_ref().map(Software::sha256);
        let current = measured.pinned.as_ref().filter(|pin| Some(pin.software.sha256()) == found);
        let pinned = match found {
            Some(_) if current.is_some() => current.cloned(),
            Some(found) if args.yes || wanted == Some(found) => Some(client.accept_pin(model, &found).await?),
            _ => None,
        };
        Ok((measured, pinned))
    })?;
    let Some(software) = &measured.software else {
        // More than the pin is against it: there is nothing to accept.
        let error = measured.result.err().unwrap_or_else(|| Error::new(Code::Internal).at("pin"));
        return Err(error.into());
    };
    let found = software.sha256();
    show_change(&measured, software, pinned.as_ref(), output)?;
    if pinned.is_some() {
        return Ok(0);
    }
    let error = Error::new(Code::SoftwareChanged)
        .at("software.pin")
        .expected(wanted.map_or_else(|| "--sha256 or --yes".to_owned(), |wanted| hex::encode(&wanted)))
        .found(hex::encode(&found))
        .context("Nothing was accepted.");
    if !output.is_json() {
        output.message(&describe(&error));
    }
    Ok(error.code().row().exit)
}

fn digest(text: &str) -> Result<[u8; 32]> {
    hex::decode_array(text)
        .ok_or_else(|| Error::new(Code::InvalidArgument).at("--sha256").expected("64 hex digits"))
}

fn show_change(
    measured: &Measured,
    software: &Software,
    accepted: Option<&Pin>,
    output: &Output,
) -> Result<(), Stop> {
    let sha256 = hex::encode(&software.sha256());
    if output.is_json() {
        let differences: Vec<Value> = measured.differences.iter().map(difference_json).collect();
        return Ok(output.document(&json!({
            "schema": "proveil.pin-change/v1",
            "accepted": accepted.is_some(),
            "pinned": measured.pinned.as_ref().map(pin_json),
            "found_sha256": sha256,
            "differences": differences,
        }))?);
    }
    let mut text = String::new();
    match &measured.pinned {
        None => text.push_str("Nothing was pinned for this endpoint.\n"),
        Some(pin) if measured.differences.is_empty() => {
            text.push_str(&format!("The pin of {} is current.\n", rfc3339(pin.pinned_at)));
        }
        Some(pin) => {
            text.push_str(&format!("Changed since {}:\n", rfc3339(pin.pinned_at)));
            for difference in &measured.differences {
                text.push_str(&format!("  {difference}\n"));
            }
        }
    }
    text.push_str(&format!("Software now: {sha256}\n"));
    text.push_str(if accepted.is_some() { "Pinned." } else { "Not pinned." });
    Ok(output.result(&text)?)
}

fn difference_json(difference: &Difference) -> Value {
    json!({ "place": difference.place(), "pinned": difference.pinned(), "found": difference.found() })
}

fn list(stores: &[Arc<dyn PinStore>], output: &Output) -> Result<u8, Stop> {
    let mut pins = Vec::new();
    for store in stores {
        pins.extend(store.list()?);
    }
    if output.is_json() {
        let pins: Vec<Value> = pins.iter().map(pin_json).collect();
        output.document(&json!({ "schema": "proveil.pin-list/v1", "pins": pins }))?;
    } else if pins.is_empty() {
        output.result("Nothing is pinned.")?;
    } else {
        output.result(&pins.iter().map(pin_text).collect::<Vec<_>>().join("\n"))?;
    }
    Ok(0)
}

fn pin_text(pin: &Pin) -> String {
    let mut text = format!("{} {} at {}\n", pin.key.provider, pin.key.model, pin.key.base_url);
    let roots = if pin.roots.name() == "custom" { ", against CUSTOM roots" } else { "" };
    text.push_str(&format!("  pinned   {}{roots}\n", rfc3339(pin.pinned_at)));
    text.push_str(&format!("  software {}\n", hex::encode(&pin.software.sha256())));
    for (name, value) in pin.software.values() {
        text.push_str(&format!("    {name:<22} {}\n", shortened(value)));
    }
    let (events, compose) = (pin.software.events().len(), pin.software.compose().is_some());
    let kept = if compose { "kept" } else { "not shown" };
    text.push_str(&format!("    {events} measured events, application description {kept}\n"));
    text
}

/// At most 48 characters.
fn shortened(value: &str) -> String {
    let head: String = value.chars().take(48).collect();
    if head.len() < value.len() { format!("{head}\u{2026}") } else { head }
}

fn pin_json(pin: &Pin) -> Value {
    let values: serde_json::Map<String, Value> =
        pin.software.values().iter().map(|(name, value)| (name.clone(), json!(value))).collect();
    json!({
        "provider": pin.key.provider, "model": pin.key.model, "base_url": pin.key.base_url,
        "roots": pin.roots.name(), "pinned_at": pin.pinned_at, "sha256": hex::encode(&pin.software.sha256()),
        "values": values, "events": pin.software.events().len(), "compose": pin.software.compose().is_some(),
    })
}

fn with_schema(mut document: Value, schema: &str) -> Value {
    if let Some(members) = document.as_object_mut() {
        members.insert("schema".to_owned(), json!(schema));
    }
    document
}
