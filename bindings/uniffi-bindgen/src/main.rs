//! `proveil-uniffi-bindgen LIBRARY CONFIG OUT LANGUAGE...`: writes the sources of each language below `OUT/LANGUAGE`.
//!
//! UniFFI's own command line brings an argument parser and `cargo metadata`; this uses the generator as a library instead
//! (docs/adr/0006-uniffi.md).

#![forbid(unsafe_code)]
#![allow(clippy::print_stderr, reason = "a command line tool talks to its user")]

use std::process::ExitCode;

use camino::Utf8PathBuf;
use uniffi_bindgen::bindings::{GenerateOptions, TargetLanguage, generate_with_bindgen_paths};
use uniffi_bindgen::{BindgenPaths, BindgenPathsLayer};

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [library, config, out, languages @ ..] = arguments.as_slice() else {
        eprintln!("usage: proveil-uniffi-bindgen LIBRARY CONFIG OUT {{kotlin|swift|python}}...");
        return ExitCode::from(2);
    };
    for language in languages {
        if let Err(message) = generate(library, config, out, language) {
            eprintln!("{language}: {message}");
            return ExitCode::FAILURE;
        }
    }
    ExitCode::SUCCESS
}

fn generate(library: &str, config: &str, out: &str, language: &str) -> Result<(), String> {
    let target = match language {
        "kotlin" => TargetLanguage::Kotlin,
        "swift" => TargetLanguage::Swift,
        "python" => TargetLanguage::Python,
        _ => return Err("unknown language".to_owned()),
    };
    let mut paths = BindgenPaths::default();
    paths.add_layer(Config(config.into()));
    let options = GenerateOptions {
        languages: vec![target],
        source: library.into(),
        out_dir: Utf8PathBuf::from(out).join(language),
        ..GenerateOptions::default()
    };
    generate_with_bindgen_paths(options, paths).map_err(|error| format!("{error:#}"))
}

/// The one `uniffi.toml` that there is.
struct Config(Utf8PathBuf);

impl BindgenPathsLayer for Config {
    fn get_config_path(&self, _crate_name: &str) -> Option<Utf8PathBuf> {
        Some(self.0.clone())
    }
}
