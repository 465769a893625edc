//! `proveil doctor`: looks at everything that has to be right before an endpoint can be verified, and says what to do next.
//!
//! It asks hosts only whether they answer: no key, prompt or evidence is sent.

mod local;
mod network;

use std::path::Path;

use proveil::{Code, Error, Provider};
use serde_json::json;

use super::on_network;
use crate::args;
use crate::config;
use crate::failure::Stop;
use crate::output::{Output, wrap_to};
use crate::progress::Progress;

/// How a check came out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Good,
    /// Works, but not as it should.
    Warning,
    /// This must be repaired first.
    Failed(Code),
}

impl State {
    const fn word(self) -> &'static str {
        match self {
            State::Good => "ok",
            State::Warning => "warn",
            State::Failed(_) => "fail",
        }
    }
}

/// One line.
#[derive(Clone, Debug)]
struct Finding {
    /// What was looked at.
    about: String,
    state: State,
    text: String,
    /// What to do.
    next: Option<String>,
}

impl Finding {
    fn good(about: impl Into<String>, text: impl Into<String>) -> Finding {
        Finding { about: about.into(), state: State::Good, text: text.into(), next: None }
    }

    fn warning(about: impl Into<String>, text: impl Into<String>, next: impl Into<String>) -> Finding {
        let next = Some(next.into());
        Finding { about: about.into(), state: State::Warning, text: text.into(), next }
    }

    fn failed(
        about: impl Into<String>,
        code: Code,
        text: impl Into<String>,
        next: impl Into<String>,
    ) -> Finding {
        let next = Some(next.into());
        Finding { about: about.into(), state: State::Failed(code), text: text.into(), next }
    }

    /// An error with all that it says.
    fn error(about: impl Into<String>, error: &Error) -> Finding {
        let mut text = error.check().map(|check| format!("{check}: ")).unwrap_or_default();
        text.push_str(&error.message());
        for (word, part) in [("Expected", error.expected_value()), ("Found", error.found_value())] {
            if let Some(part) = part {
                text.push_str(&format!(" {word} {part}."));
            }
        }
        Finding::failed(
            about,
            error.code(),
            text,
            format!("{} (proveil explain {})", error.hint(), error.code().text()),
        )
    }
}

pub(super) fn run(args: &args::Doctor, file: Option<&Path>, output: &Output) -> Result<u8, Stop> {
    let named = args.provider.as_deref().map(Provider::parse).transpose()?;
    let providers = named.map_or_else(|| Provider::ALL.to_vec(), |provider| vec![provider]);
    let mut findings = vec![local::clock()];
    match config::load(file) {
        // Without it nobody knows which addresses and files count.
        Err(error) => findings.push(Finding::error("configuration", &error)),
        Ok(settings) => {
            findings.push(local::configuration(&settings));
            findings.extend(local::proxies(|name| std::env::var(name).ok()));
            findings.extend(local::files(&settings, &providers));
            for provider in &providers {
                findings.extend(local::key(*provider, named.is_some(), &settings));
            }
            let progress = Progress::new(*output);
            let look = async {
                let mut found = Vec::new();
                for provider in &providers {
                    found.extend(network::look(*provider, &settings, &progress, output).await);
                }
                Ok(found)
            };
            findings.extend(on_network(&progress, look)?);
        }
    }
    show(&findings, output)
}

/// The exit code is that of the first failure.
fn show(findings: &[Finding], output: &Output) -> Result<u8, Stop> {
    let failed = findings.iter().find_map(|finding| match finding.state {
        State::Failed(code) => Some(code),
        State::Good | State::Warning => None,
    });
    if output.is_json() {
        let checks = findings.iter().map(|finding| {
            let code = match finding.state {
                State::Failed(code) => Some(code.text()),
                State::Good | State::Warning => None,
            };
            json!({ "about": finding.about, "state": finding.state.word(), "text": finding.text,
                "next": finding.next, "code": code })
        });
        let checks: Vec<_> = checks.collect();
        output
            .document(&json!({ "schema": "proveil.doctor/v1", "ok": failed.is_none(), "checks": checks }))?;
    } else {
        output.result(&findings.iter().map(text).collect::<String>())?;
    }
    Ok(failed.map_or(0, |code| code.row().exit))
}

/// Lines of at most 80 characters.
fn text(finding: &Finding) -> String {
    let mut out = String::new();
    let mut head = format!("{:<6}{:<22}", finding.state.word(), finding.about);
    if finding.about.chars().count() > 21 {
        // A long name has a line of its own.
        out.push_str(&format!("{head}\n"));
        head = String::new();
    }
    let mut put = |text: &str| {
        for line in wrap_to(text, 52).lines() {
            let chars: Vec<char> = line.chars().collect();
            // Addresses and paths are longer than a line at times.
            for piece in chars.chunks(52) {
                out.push_str(&format!("{head:<28}{}\n", piece.iter().collect::<String>()));
                head = String::new();
            }
        }
    };
    put(&finding.text);
    if let Some(next) = &finding.next {
        put(&format!("-> {next}"));
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_fit_80_columns() {
        let long = "/a".repeat(200);
        let finding = Finding::warning("venice: API key", format!("found in {long} and more"), &*long);
        let text = text(&finding);
        assert!(text.lines().all(|line| line.chars().count() <= 80), "{text}");
        assert!(text.starts_with("warn  venice: API key") && text.contains("->"), "{text}");
        for (about, shown) in [
            ("venice: NVIDIA OCSP", "ok    venice: NVIDIA OCSP   good\n".to_owned()),
            ("venice: NVIDIA manifests", format!("ok    venice: NVIDIA manifests\n{:28}good\n", "")),
        ] {
            assert_eq!(super::text(&Finding::good(about, "good")), shown);
        }
    }
}
