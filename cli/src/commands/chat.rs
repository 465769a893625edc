//! `proveil chat`: the answer on standard output, everything about it on standard error.

use std::io::Read;
use std::path::Path;

use proveil::core::limits::REQUEST_MAX_BYTES;
use proveil::core::wire::hex;
use proveil::{Client, Code, Error, Event, Provider, Receipt, SignatureVerdict, Stream, TextField};
use serde_json::{Value, json};
use zeroize::Zeroizing;

use super::on_network;
use crate::args;
use crate::config;
use crate::failure::{Failure, Stop};
use crate::inputs;
use crate::manifest;
use crate::output::Output;
use crate::progress::Progress;

/// What was said, for the JSON form.
#[derive(Default)]
struct Answer {
    content: String,
    reasoning: String,
    finish: Option<String>,
    usage: Option<Value>,
}

pub(super) fn run(args: args::Chat, file: Option<&Path>, output: &Output) -> Result<u8, Stop> {
    let provider = Provider::parse(&args.provider)?;
    let settings = config::load(file)?;
    let key_from_stdin = args.connection.api_key_file.as_deref().is_some_and(|path| path.as_os_str() == "-");
    let progress = Progress::new(*output);
    let from_stdin = args.prompt.as_deref().is_none_or(|prompt| prompt == "-");
    if from_stdin && key_from_stdin {
        return Err(Error::new(Code::Usage)
            .context("Standard input cannot hold both the API key and the prompt.")
            .into());
    }
    let observer = progress.observer();
    let client = inputs::client(provider, &args.connection, Some(&args.rules), &settings, observer, output)?;
    let prompt = match args.prompt {
        Some(prompt) if !from_stdin => Zeroizing::new(prompt),
        _ => prompt_from_stdin()?,
    };
    if prompt.trim().is_empty() {
        return Err(Error::new(Code::Usage).context("The prompt is empty.").into());
    }
    // Some providers stream anyway, others only when they are asked to.
    let body = json!({ "model": args.model, "stream": true, "stream_options": { "include_usage": true },
        "messages": [{ "role": "user", "content": prompt.as_str() }] });
    let body = Zeroizing::new(body.to_string());
    let wanted = Wanted { reasoning: args.reasoning, signature: args.verify_signature };
    on_network(&progress, converse(&client, &args.model, &body, wanted, &progress, output))
}

#[derive(Clone, Copy)]
struct Wanted {
    reasoning: bool,
    signature: bool,
}

async fn converse(
    client: &Client,
    model: &str,
    body: &str,
    wanted: Wanted,
    progress: &Progress,
    output: &Output,
) -> Result<u8, Stop> {
    let mut stream = match client.chat(body.as_bytes()).await {
        Ok(stream) => stream,
        Err(error) => {
            manifest::explain(client, model, &error, output).await;
            return Err(error.into());
        }
    };
    progress.done();
    output.headline(stream.report().verdict(), stream.report().headline());
    let mut answer = Answer::default();
    while let Some(event) = stream.next().await {
        match event {
            Ok(event) => answer.take(event, wanted, output)?,
            Err(error) => {
                if !output.is_json() && !answer.content.is_empty() {
                    output.result("")?;
                }
                return Err(Stop::Failed(Box::new(Failure::during_answer(error, answer.content))));
            }
        }
    }
    if !output.is_json() && !answer.content.ends_with('\n') {
        output.result("")?;
    }
    let signature =
        if wanted.signature { Some(check_signature(&mut stream, progress, output).await) } else { None };
    if output.is_json() {
        output.document(&answer.document(&stream, signature.as_ref()))?;
    }
    match signature {
        Some(Err(error)) if !output.is_json() => Err(error.into()),
        Some(Err(error)) => Ok(error.code().row().exit),
        _ => Ok(0),
    }
}

impl Answer {
    fn take(&mut self, event: Event, wanted: Wanted, output: &Output) -> Result<(), Stop> {
        match event {
            Event::Text { field: TextField::Content, text, .. } => {
                if !output.is_json() {
                    output.piece(&text)?;
                }
                self.content.push_str(&text);
            }
            Event::Text { field: TextField::Reasoning, text, .. } => {
                if wanted.reasoning && !output.is_json() {
                    output.aside(&text);
                }
                if wanted.reasoning {
                    self.reasoning.push_str(&text);
                }
            }
            Event::Finish { reason, .. } => self.finish = Some(reason),
            Event::Usage { json } => self.usage = serde_json::from_str(&json).ok(),
            // Asked for by other endpoints only.
            Event::Document { .. } => {}
        }
        Ok(())
    }

    fn document(&self, stream: &Stream, signature: Option<&Result<SignatureVerdict, Error>>) -> Value {
        let report: Option<Value> = serde_json::from_str(&stream.report().to_json()).ok();
        json!({
            "schema": "proveil.chat/v1",
            "content": self.content,
            "reasoning": if self.reasoning.is_empty() { None } else { Some(&self.reasoning) },
            "unauthenticated": { "finish_reason": self.finish, "usage": self.usage },
            "receipt": stream.receipt().map(describe_receipt),
            "signature": signature.map(|result| match result {
                Ok(verdict) => json!({ "verdict": verdict.name() }),
                Err(error) => json!({ "code": error.code().text(), "message": error.message() }),
            }),
            "report": report,
        })
    }
}

fn describe_receipt(receipt: &Receipt) -> Value {
    json!({
        "id": receipt.id,
        "sealed_fields": receipt.sealed_fields,
        "body_bytes": receipt.body_bytes,
        "ignored_bytes": receipt.ignored_bytes,
        "request_sha256": hex::encode(&receipt.request_sha256),
        "response_sha256": hex::encode(&receipt.response_sha256),
    })
}

async fn check_signature(
    stream: &mut Stream,
    progress: &Progress,
    output: &Output,
) -> Result<SignatureVerdict, Error> {
    let result = stream.verify_signature().await;
    progress.done();
    if let Ok(verdict) = &result
        && !output.is_json()
        && !output.is_quiet()
    {
        output.message(match verdict {
            SignatureVerdict::BodyMatches => "Signed by the attested enclave over exactly these bytes.",
            SignatureVerdict::SignedBodyNotVerifiable => {
                "Signed by the attested enclave for this answer's id; that it covers these bytes cannot be checked."
            }
        });
    }
    result
}

/// The whole of standard input as UTF-8. One line end at its end is taken off.
fn prompt_from_stdin() -> Result<Zeroizing<String>, Error> {
    let limit = u64::try_from(REQUEST_MAX_BYTES).unwrap_or(u64::MAX);
    let mut prompt = Zeroizing::new(String::new());
    let read = std::io::stdin().lock().take(limit.saturating_add(1)).read_to_string(&mut prompt);
    read.map_err(|error| {
        Error::new(Code::FileUnreadable).at("standard input").found(error.kind().to_string())
    })?;
    if prompt.len() > REQUEST_MAX_BYTES {
        return Err(Error::new(Code::LimitExceeded)
            .at("prompt")
            .expected(format!("{REQUEST_MAX_BYTES} bytes")));
    }
    if prompt.ends_with('\n') {
        prompt.pop();
    }
    Ok(prompt)
}
