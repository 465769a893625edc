//! The second part of `proveil demo`: the same way of a prompt with Privatemode, whose deployment proves itself by its coordinator and
//! whose fields are sealed one by one.

use proveil::{
    BaseUrl, Client, ClientConfig, Error, Provider, Report, Result, SecretText, TrustRoots, Verdict,
};
use proveil_testkit::sim::privatemode::models::VISION;
use proveil_testkit::sim::privatemode::{Defect, SimConfig, Simulator};
use serde_json::{Value, json};

use super::{first_error, lesson, print_answer, refusal_json, report_json, sealed_lines, summary};
use crate::args;
use crate::failure::Stop;
use crate::output::Output;
use crate::progress::Progress;

/// How the deployment is tampered with, in words, and the names of the defects.
const CHEATS: [(&str, Defect); 2] = [
    ("the deployment runs other software than its manifest names", Defect::WrongMeasurement),
    ("the gateway answers the key exchange with a secret of its own", Defect::SecretSwapped),
];
const CHAT_PATH: &str = "/v1/chat/completions";

/// What this part showed.
pub(super) struct Findings {
    report: Report,
    sealed: String,
    prompt_seen_in_clear: bool,
    answer: String,
    refusals: Vec<(Defect, Option<Error>)>,
}

impl Findings {
    /// Everything came out as it must.
    pub(super) fn are_sound(&self) -> bool {
        self.report.verdict() == Verdict::Verified
            && !self.prompt_seen_in_clear
            && !self.answer.is_empty()
            && self.refusals.iter().all(|(_, error)| error.is_some())
    }

    pub(super) fn document(&self) -> Result<Value> {
        let refusals =
            self.refusals.iter().map(|(defect, error)| refusal_json(defect.name(), error.as_ref()));
        Ok(json!({
            "sealed_prompt": self.sealed,
            "prompt_seen_in_clear": self.prompt_seen_in_clear,
            "answer": self.answer,
            "refusals": refusals.collect::<Vec<Value>>(),
            "report": report_json(&self.report)?,
        }))
    }
}

pub(super) fn start(pace_ms: u64) -> Result<Simulator> {
    let config = SimConfig { pace_ms, ..SimConfig::default() };
    Simulator::start(config).map_err(|error| crate::commands::simulate::not_started(0, &error))
}

pub(super) async fn show(
    simulator: &Simulator,
    args: &args::Demo,
    output: &Output,
    progress: &Progress,
) -> Result<Findings, Stop> {
    let say = |text: &str| if output.is_json() { Ok(()) } else { output.result(text) };
    let client = client(simulator, progress)?;
    say("\n5. PROVE  Now Privatemode. Its coordinator answers for the whole deployment:\n")?;
    let report = client.verify(VISION).await?;
    progress.done();
    if !output.is_json() {
        let text = if args.full { report.to_text() } else { summary(&report) };
        output.verdict(report.verdict(), &text)?;
    }
    say("\n6. VEIL   The same question; each member of the request is sealed by itself:\n")?;
    let mut stream = client.chat(request(&args.prompt).as_bytes()).await?;
    progress.done();
    let sealed = sealed_messages(simulator);
    say(&sealed_lines(&sealed, 2, "characters, a fresh nonce for each request"))?;
    say("\n7. ANSWER Opened event by event:\n")?;
    let answer = print_answer(&mut stream, output).await?;
    let prompt_seen_in_clear = simulator.recorded().saw_in_clear(&args.prompt);
    say("\n8. CHEAT  A tampered deployment, and a gateway that listens in:\n")?;
    let mut refusals = Vec::new();
    for (words, defect) in CHEATS {
        simulator.set_defects(&[defect]);
        let client = self::client(simulator, progress)?;
        let error = first_error(client.chat(request("Is anybody there?").as_bytes()).await).await;
        progress.done();
        let result = error.as_ref().map_or_else(|| "NOT NOTICED".to_owned(), lesson);
        say(&format!("   {words}\n{result}"))?;
        refusals.push((defect, error));
    }
    simulator.set_defects(&[]);
    Ok(Findings { report, sealed, prompt_seen_in_clear, answer, refusals })
}

/// A client that trusts this simulator and nobody else.
fn client(simulator: &Simulator, progress: &Progress) -> Result<Client> {
    let mut config = ClientConfig::new(Provider::Privatemode, SecretText::new("demo".to_owned()));
    config.base_url = Some(BaseUrl::parse(&simulator.base_url())?);
    config.privatemode.amd_url = Some(BaseUrl::parse(&simulator.kds_url())?);
    // Somebody who knows the release expects exactly its manifest.
    config.privatemode.manifest = Some(simulator.manifest());
    config.roots = TrustRoots::from_json(simulator.trust_roots_json().as_bytes())?;
    Client::observed(config, progress.observer())
}

fn request(prompt: &str) -> String {
    json!({ "model": VISION, "stream": true, "messages": [{ "role": "user", "content": prompt }] })
        .to_string()
}

/// The member with the conversation as it reached the provider.
fn sealed_messages(simulator: &Simulator) -> String {
    let recorded = simulator.recorded();
    let body = recorded.to_path(CHAT_PATH).next_back().map(|request| request.body.as_slice());
    let body: Option<Value> = body.and_then(|body| serde_json::from_slice(body).ok());
    let messages = body.as_ref().and_then(|body| body.get("messages")).and_then(Value::as_str);
    messages.unwrap_or_default().to_owned()
}
