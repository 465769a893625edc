//! `proveil demo`: the whole way of a prompt against simulated enclaves of both providers, and attempts to cheat.
//! `--also` lets programs in other languages have the same chat.

mod privatemode;

use proveil::core::report::Outcome;
use proveil::{
    BaseUrl, Client, ClientConfig, Code, Error, Event, Provider, Report, Result, SecretText, Stream,
    TextField, TrustRoots, Verdict,
};
use proveil_testkit::sim::{Defect, SimConfig, Simulator, models};
use serde_json::{Value, json};

use super::{on_network, simulate};
use crate::args;
use crate::failure::Stop;
use crate::output::{Output, wrap, wrap_to};
use crate::progress::Progress;

/// How one tries to cheat, in words, and the name of the defect.
const CHEATS: [(&str, Defect); 3] = [
    ("a byte of the hardware quote is changed", Defect::TamperedQuote),
    ("a relay puts its own key in place of the enclave's", Defect::KeySwap),
    ("the answer is cut off in the middle", Defect::StreamCut),
];
/// How much of the sealed prompt is shown, and in lines of how many characters.
const SEALED_LINES: usize = 3;
const SEALED_LINE: usize = 70;
/// Characters of a line of an error, behind its indentation.
const LESSON_WIDTH: usize = 71;
/// Pause between pieces of the answer, so that a person sees it stream.
const PACE_MS: u64 = 15;

/// What the demonstration showed.
struct Findings {
    report: Report,
    sealed: String,
    prompt_seen_in_clear: bool,
    answer: String,
    others: Vec<(String, bool)>,
    refusals: Vec<(Defect, Option<Error>)>,
    privatemode: privatemode::Findings,
}

pub(super) fn run(args: &args::Demo, output: &Output) -> Result<u8, Stop> {
    let pace_ms = if output.is_json() { 0 } else { PACE_MS };
    let simulator = simulate::start(SimConfig { pace_ms, ..SimConfig::default() })?;
    let other = privatemode::start(pace_ms)?;
    let progress = Progress::new(*output);
    let findings = on_network(&progress, show(&simulator, &other, args, output, &progress))?;
    let sound = findings.report.verdict() == Verdict::Verified
        && !findings.prompt_seen_in_clear
        && findings.others.iter().all(|(_, answered)| *answered)
        && findings.refusals.iter().all(|(_, error)| error.is_some())
        && findings.privatemode.are_sound();
    if output.is_json() {
        output.document(&document(&findings)?)?;
    }
    if sound { Ok(0) } else { Err(Error::new(Code::Internal).at("demo").into()) }
}

async fn show(
    simulator: &Simulator,
    other: &proveil_testkit::sim::privatemode::Simulator,
    args: &args::Demo,
    output: &Output,
    progress: &Progress,
) -> Result<Findings, Stop> {
    let say = |text: &str| if output.is_json() { Ok(()) } else { output.result(text) };
    let client = client(simulator, progress)?;
    say("1. PROVE  A fresh challenge; the enclave answers with hardware-signed evidence.\n")?;
    let report = client.verify(models::E2EE).await?;
    progress.done();
    if !output.is_json() {
        let text = if args.full { report.to_text() } else { summary(&report) };
        output.verdict(report.verdict(), &text)?;
    }
    say(&format!("\n2. VEIL   You ask: {}\n          The provider receives:\n", args.prompt))?;
    let mut stream = client.chat(request(&args.prompt).as_bytes()).await?;
    progress.done();
    let sealed = sealed_prompt(simulator)?;
    say(&sealed_lines(&sealed, SEALED_LINES, "hex digits, a fresh key for each message"))?;
    say("\n3. ANSWER Opened piece by piece as it arrives:\n")?;
    let answer = print_answer(&mut stream, output).await?;
    let prompt_seen_in_clear = simulator.recorded().saw_in_clear(&args.prompt);
    let others = other_programs(simulator, args, output)?;
    say("\n4. CHEAT  The same client, three dishonest providers:\n")?;
    let mut refusals = Vec::new();
    for (words, defect) in CHEATS {
        let error = attempt(simulator, defect, progress).await?;
        let result = error.as_ref().map_or_else(|| "NOT NOTICED".to_owned(), lesson);
        say(&format!("   {words}\n{result}"))?;
        refusals.push((defect, error));
    }
    let privatemode = privatemode::show(other, args, output, progress).await?;
    Ok(Findings { report, sealed, prompt_seen_in_clear, answer, others, refusals, privatemode })
}

/// Code, what happened and what to do, as a person sees it.
fn lesson(error: &Error) -> String {
    let text = format!("{}: {} {}", error.code().text(), error.message(), error.hint());
    wrap_to(&text, LESSON_WIDTH).lines().enumerate().fold(String::new(), |mut out, (i, line)| {
        out.push_str(if i == 0 { "     -> " } else { "\n        " });
        out.push_str(line);
        out
    })
}

/// The same chat from the programs that `--also` names; each must answer.
fn other_programs(
    simulator: &Simulator,
    args: &args::Demo,
    output: &Output,
) -> Result<Vec<(String, bool)>, Stop> {
    if args.also.is_empty() {
        return Ok(Vec::new());
    }
    let roots = RootsFile::write(simulator)?;
    let mut results = Vec::new();
    for (i, text) in args.also.iter().enumerate() {
        let usage =
            || Error::new(Code::Usage).at("--also").expected("a JSON array of label, program, arguments");
        let parts: Vec<String> = serde_json::from_str(text).map_err(|_| usage())?;
        let [label, program, arguments @ ..] = parts.as_slice() else { return Err(usage().into()) };
        let answer = std::process::Command::new(program)
            .args(arguments)
            .args(["venice", models::E2EE, &args.prompt, &simulator.base_url(), &simulator.collateral_url()])
            .arg(&roots.0)
            .env("VENICE_API_KEY", "demo")
            .output()
            .map_err(|_| Error::new(Code::FileUnreadable).at("--also").found(program))?;
        let text = String::from_utf8_lossy(&answer.stdout);
        let answered = answer.status.success() && !text.trim().is_empty();
        if !output.is_json() {
            let start: String =
                text.split_whitespace().collect::<Vec<_>>().join(" ").chars().take(58).collect();
            let lead = if i == 0 { "\n   The same from:\n" } else { "" };
            let shown = if answered { format!("{start}...") } else { "NO ANSWER".to_owned() };
            output.result(&format!("{lead}   {label:<8} {shown}"))?;
            if !answered {
                output.message(String::from_utf8_lossy(&answer.stderr).trim());
            }
        }
        results.push((label.clone(), answered));
    }
    Ok(results)
}

/// The simulator's roots in a file of this process; removed when dropped.
struct RootsFile(std::path::PathBuf);

impl RootsFile {
    fn write(simulator: &Simulator) -> Result<RootsFile> {
        let path = std::env::temp_dir().join(format!("proveil-demo-{}.json", std::process::id()));
        std::fs::write(&path, simulator.trust_roots_json())
            .map_err(|_| Error::new(Code::FileUnreadable).found(path.display().to_string()))?;
        Ok(RootsFile(path))
    }
}

impl Drop for RootsFile {
    fn drop(&mut self) {
        // Nothing secret is in it; a leftover is harmless.
        let _ = std::fs::remove_file(&self.0);
    }
}

/// A client that trusts this simulator and nobody else.
fn client(simulator: &Simulator, progress: &Progress) -> Result<Client> {
    let mut config = ClientConfig::new(Provider::Venice, SecretText::new("demo".to_owned()));
    config.base_url = Some(BaseUrl::parse(&simulator.base_url())?);
    config.collateral_url = Some(BaseUrl::parse(&simulator.collateral_url())?);
    config.nvidia_url = Some(BaseUrl::parse(&simulator.nvidia_url())?);
    config.roots = TrustRoots::from_json(simulator.trust_roots_json().as_bytes())?;
    Client::observed(config, progress.observer())
}

fn request(prompt: &str) -> String {
    json!({ "model": models::E2EE, "messages": [{ "role": "user", "content": prompt }] }).to_string()
}

/// Verdict, level, and one line for each group of checks.
fn summary(report: &Report) -> String {
    let mut text = format!("{}\n", wrap(report.headline()));
    if let (Some(level), Some(missing)) = (report.level(), report.missing_to_next_level()) {
        let level = format!("Level {}: {}. To the next level: {missing}.", level.name(), level.meaning());
        text.push_str(&format!("{}\n\n", wrap(&level)));
    }
    let mut groups: Vec<(&str, [usize; 3])> = Vec::new();
    for check in report.checks() {
        let heading = check.group().heading();
        if groups.iter().all(|(name, _)| *name != heading) {
            groups.push((heading, [0; 3]));
        }
        let place = match check.outcome() {
            Outcome::Pass => 0,
            Outcome::Fail => 1,
            Outcome::NotChecked => 2,
        };
        let count = groups
            .iter_mut()
            .find(|(name, _)| *name == heading)
            .and_then(|(_, counts)| counts.get_mut(place));
        if let Some(count) = count {
            *count = count.saturating_add(1);
        }
    }
    for (heading, [pass, fail, not_checked]) in groups {
        let mut line = format!("   {heading:<24} {pass:>3} pass");
        for (count, word) in [(fail, "FAIL"), (not_checked, "not checked")] {
            if count > 0 {
                line.push_str(&format!(", {count} {word}"));
            }
        }
        text.push_str(&line);
        text.push('\n');
    }
    text.push_str(&format!(
        "   Not proven, and said so: {} things (`--full` lists them)",
        report.not_proven().len()
    ));
    text
}

/// The content of the message as it reached the provider.
fn sealed_prompt(simulator: &Simulator) -> Result<String> {
    let lost = || Error::new(Code::Internal).at("demo").expected("the sealed request");
    let recorded = simulator.recorded();
    let chat = recorded.last_chat().ok_or_else(lost)?;
    let body: Value = serde_json::from_slice(&chat.body).map_err(|_| lost())?;
    body.pointer("/messages/0/content").and_then(Value::as_str).map(str::to_owned).ok_or_else(lost)
}

/// The beginning of a sealed text in lines, and its length.
fn sealed_lines(sealed: &str, lines: usize, unit: &str) -> String {
    let mut text = String::new();
    let mut rest = sealed;
    for _ in 0..lines {
        let (line, after) = rest.split_at_checked(SEALED_LINE).unwrap_or((rest, ""));
        if !line.is_empty() {
            text.push_str(&format!("   {line}\n"));
        }
        rest = after;
    }
    text.push_str(&format!("   ... {} {unit}", sealed.len()));
    text
}

async fn print_answer(stream: &mut Stream, output: &Output) -> Result<String, Stop> {
    let mut answer = String::new();
    if !output.is_json() {
        output.piece("   ")?;
    }
    let mut column: usize = 3;
    while let Some(event) = stream.next().await {
        if let Event::Text { choice: 0, field: TextField::Content, text } = event? {
            answer.push_str(&text);
            if output.is_json() {
                continue;
            }
            column = column.saturating_add(text.chars().count());
            match text.split_once(' ').filter(|_| column > 76) {
                Some((before, after)) => {
                    output.piece(&format!("{before}\n   {after}"))?;
                    column = after.chars().count().saturating_add(3);
                }
                None => output.piece(&text)?,
            }
        }
    }
    if !output.is_json() {
        output.result("")?;
    }
    Ok(answer)
}

/// A new client meets a dishonest provider: the error that it ends with, `None` if it noticed nothing.
async fn attempt(simulator: &Simulator, defect: Defect, progress: &Progress) -> Result<Option<Error>, Stop> {
    simulator.set_defects(&[defect]);
    let client = client(simulator, progress)?;
    let error = first_error(client.chat(request("Is anybody there?").as_bytes()).await).await;
    progress.done();
    simulator.set_defects(&[]);
    Ok(error)
}

/// What a chat ends with; `None` when it comes to its regular end.
async fn first_error(chat: Result<Stream>) -> Option<Error> {
    let mut stream = match chat {
        Ok(stream) => stream,
        Err(error) => return Some(error),
    };
    while let Some(event) = stream.next().await {
        if let Err(error) = event {
            return Some(error);
        }
    }
    None
}

fn refusal_json(defect: &str, error: Option<&Error>) -> Value {
    let code = error.map(Error::code);
    json!({ "defect": defect, "code": code.map(Code::text), "slug": code.map(Code::slug) })
}

fn report_json(report: &Report) -> Result<Value> {
    serde_json::from_str(&report.to_json()).map_err(|_| Error::new(Code::Internal).at("report"))
}

fn document(findings: &Findings) -> Result<Value> {
    let refusals: Vec<Value> =
        findings.refusals.iter().map(|(defect, error)| refusal_json(defect.name(), error.as_ref())).collect();
    let others: Vec<Value> = findings
        .others
        .iter()
        .map(|(label, answered)| json!({ "label": label, "answered": answered }))
        .collect();
    Ok(json!({
        "schema": "proveil.demo/v1",
        "sealed_prompt": findings.sealed,
        "prompt_seen_in_clear": findings.prompt_seen_in_clear,
        "answer": findings.answer,
        "other_programs": others,
        "refusals": refusals,
        "report": report_json(&findings.report)?,
        "privatemode": findings.privatemode.document()?,
    }))
}
