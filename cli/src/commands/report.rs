//! `proveil report`: shows a saved report in any form. Nothing is verified, and nothing is decided by what the file says.

use std::path::Path;

use proveil::core::limits::REPORT_MAX_BYTES;
use proveil::core::report::{Document, EarKey, Source};
use proveil::{Code, Error};

use crate::args;
use crate::failure::Stop;
use crate::inputs;
use crate::output::Output;

/// A private key in PEM.
const KEY_MAX_BYTES: u64 = 16 * 1024;

pub(super) fn run(args: &args::Report, output: &Output) -> Result<u8, Stop> {
    if args.ear_key.is_some() && !args.form.ear {
        return Err(Error::new(Code::Usage).at("--ear-key").context("Only `--ear` is signed.").into());
    }
    let limit = u64::try_from(REPORT_MAX_BYTES).unwrap_or(u64::MAX);
    let content = inputs::read_or_stdin(&args.file, "FILE", limit)?;
    let document = Document::from_json(&content)?;
    let rendered = match &args.form {
        args::Form { html: true, .. } => {
            let name = args.file.file_name().map_or_else(|| "-".into(), |name| name.to_string_lossy());
            let name = if name == "-" { "standard input".into() } else { name };
            document.to_html_as_recorded_in(&Source::new(&name, &content))
        }
        args::Form { svg: true, .. } => document.to_svg(),
        args::Form { ear: true, .. } => match &args.ear_key {
            Some(key) => {
                let pem = zeroize::Zeroizing::new(inputs::read(key, "--ear-key", KEY_MAX_BYTES)?);
                document.to_ear_jwt(&EarKey::from_pem(&pem).map_err(|error| error.at("--ear-key"))?)?
            }
            None => document.to_ear_json(),
        },
        args::Form { text: false, .. } if output.is_json() => document.to_json(),
        args::Form { .. } => as_text(&document, args.file.as_path()),
    };
    match &args.output {
        Some(path) => inputs::write(path, &rendered)?,
        None => output.result(&rendered)?,
    }
    Ok(0)
}

fn as_text(document: &Document, file: &Path) -> String {
    format!("As recorded in {}; nothing was verified now.\n\n{}", file.display(), document.to_text())
}
