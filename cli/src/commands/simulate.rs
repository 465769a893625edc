//! `proveil simulate`: a provider on loopback whose enclave is forged under throw-away roots, for trying things out.

use std::fs::OpenOptions;
use std::io::Write;
use std::path::{Path, PathBuf};

use proveil::core::wire::nearest;
use proveil::{Code, Error, Provider, Result};
use proveil_testkit::sim::{Defect, Outcome, SimConfig, Simulator, models, privatemode};
use serde_json::{Value, json};

use super::on_network;
use crate::args;
use crate::failure::Stop;
use crate::output::Output;
use crate::progress::Progress;

pub(super) fn run(args: &args::Simulate, output: &Output) -> Result<u8, Stop> {
    if args.provider == PRIVATEMODE {
        return run_privatemode(args, output);
    }
    let provider = Provider::parse(&args.provider)?;
    let rows = || Defect::all().iter().map(|it| row(it.name(), it.threat(), it.outcome(), it.description()));
    if args.list_defects {
        return list_defects(rows(), output);
    }
    let defects = parse_defects(&args.defects, Defect::parse, rows)?;
    let simulator =
        start(SimConfig { port: args.port, defects, pace_ms: args.pace_ms, ..SimConfig::default() })?;
    let roots = RootsFile::write(args.roots_out.as_deref(), &simulator.trust_roots_json(), simulator.port())?;
    announce(provider, &simulator, &roots.path, output)?;
    // Ctrl-C is the regular end, and says so by its exit code.
    on_network(&Progress::new(*output), std::future::pending())
}

/// The other provider that can be simulated.
const PRIVATEMODE: &str = "privatemode";

fn run_privatemode(args: &args::Simulate, output: &Output) -> Result<u8, Stop> {
    use privatemode::{Defect, SimConfig, Simulator};
    let rows = || Defect::all().iter().map(|it| row(it.name(), it.threat(), it.outcome(), it.description()));
    if args.list_defects {
        return list_defects(rows(), output);
    }
    let defects = parse_defects(&args.defects, Defect::parse, rows)?;
    let config = SimConfig { port: args.port, defects, pace_ms: args.pace_ms, ..SimConfig::default() };
    let simulator = Simulator::start(config).map_err(|error| not_started(args.port, &error))?;
    let roots = RootsFile::write(args.roots_out.as_deref(), &simulator.trust_roots_json(), simulator.port())?;
    announce_privatemode(&simulator, &roots.path, output)?;
    on_network(&Progress::new(*output), std::future::pending())
}

/// Starts a simulator; a port that is taken is the user's to change.
pub(super) fn start(config: SimConfig) -> Result<Simulator> {
    let port = config.port;
    Simulator::start(config).map_err(|error| not_started(port, &error))
}

pub(super) fn not_started(port: u16, error: &std::io::Error) -> Error {
    Error::new(Code::Usage)
        .at("--port")
        .found(format!("{port}: {error}"))
        .context("The simulator could not be started.")
}

/// A defect of any provider, as it is listed.
struct Row {
    name: &'static str,
    threat: u8,
    outcome: Outcome,
    description: &'static str,
}

const fn row(name: &'static str, threat: u8, outcome: Outcome, description: &'static str) -> Row {
    Row { name, threat, outcome, description }
}

/// The defects of these names; an unknown one names its nearest.
fn parse_defects<D, I: Iterator<Item = Row>>(
    names: &[String],
    parse: fn(&str) -> Option<D>,
    rows: impl Fn() -> I,
) -> Result<Vec<D>> {
    let unknown = |name: &str| {
        let error = Error::new(Code::Usage).at("--defect").found(name);
        match nearest(name, rows().map(|row| row.name)) {
            Some(near) => error.context(format!("Did you mean `{near}`? `--list-defects` lists all.")),
            None => error.context("`--list-defects` lists all."),
        }
    };
    names.iter().map(|name| parse(name).ok_or_else(|| unknown(name))).collect()
}

fn announce(provider: Provider, simulator: &Simulator, roots: &Path, output: &Output) -> Result<(), Stop> {
    let (base, collateral) = (simulator.base_url(), simulator.collateral_url());
    let roots = roots.display().to_string();
    if output.is_json() {
        output.document(&json!({
            "schema": "proveil.simulator/v1",
            "provider": provider.name(),
            "base_url": base,
            "collateral_url": collateral,
            "nvidia_url": simulator.nvidia_url(),
            "trust_roots_file": roots,
            "models": models::MODELS.iter().map(|model| model.id).collect::<Vec<_>>(),
        }))?;
        return Ok(());
    }
    output.result(&format!(
        "Simulated {name} on {base}. Its enclave is forged: nobody else trusts its roots. Ctrl-C stops it.\n\n\
         export {key}=any\n\
         proveil chat {name} --model {model} --base-url {base} \\\n  \
         --collateral-url {collateral} --nvidia-url {nvidia} --trust-roots {roots} \"Hello\"\n",
        name = provider.name(),
        key = provider.api_key_variable(),
        model = models::E2EE,
        nvidia = simulator.nvidia_url(),
    ))?;
    Ok(())
}

fn announce_privatemode(
    simulator: &privatemode::Simulator,
    roots: &Path,
    output: &Output,
) -> Result<(), Stop> {
    let (base, manifest, kds) = (simulator.base_url(), simulator.manifest_url(), simulator.kds_url());
    let roots = roots.display().to_string();
    if output.is_json() {
        output.document(&json!({
            "schema": "proveil.simulator/v1",
            "provider": PRIVATEMODE,
            "base_url": base,
            // As `--manifest-url` takes it.
            "manifest_url": base,
            "kds_url": kds,
            "trust_roots_file": roots,
            "models": privatemode::models::MODELS.iter().map(|model| model.id).collect::<Vec<_>>(),
        }))?;
        return Ok(());
    }
    let models: Vec<String> = privatemode::models::MODELS
        .iter()
        .map(|model| format!("  {:<22} {}\n", model.id, model.tasks.join(", ")))
        .collect();
    output.result(&format!(
        "Simulated {PRIVATEMODE} on {base}. Its machine is forged: nobody else trusts its roots. Ctrl-C stops it.\n\n\
         export {key}=any\n\
         proveil chat {PRIVATEMODE} --model {model} --base-url {base} \\\n  \
         --amd-url {kds} --trust-roots {roots} \"Hello\"\n\n\
         Manifest  {manifest}\n\
         Models\n{}",
        models.concat(),
        key = Provider::Privatemode.api_key_variable(),
        model = privatemode::models::REASONER,
    ))?;
    Ok(())
}

fn list_defects(rows: impl Iterator<Item = Row>, output: &Output) -> Result<u8, Stop> {
    if output.is_json() {
        let defects: Vec<Value> = rows.map(|row| describe(&row)).collect();
        output.document(&json!({ "schema": "proveil.defects/v1", "defects": defects }))?;
        return Ok(0);
    }
    let mut text = String::new();
    for row in rows {
        let outcome = match row.outcome {
            Outcome::Works => "works".to_owned(),
            Outcome::NotDetectable => "cannot be seen".to_owned(),
            Outcome::Fails(code) => code.text(),
        };
        text.push_str(&format!("{:<26} T{:02}  {outcome:<14}  {}\n", row.name, row.threat, row.description));
    }
    output.result(&text)?;
    Ok(0)
}

fn describe(row: &Row) -> Value {
    let (outcome, code) = match row.outcome {
        Outcome::Works => ("works", None),
        Outcome::NotDetectable => ("not_detectable", None),
        Outcome::Fails(code) => ("fails", Some(code.text())),
    };
    json!({ "name": row.name, "threat": row.threat, "outcome": outcome, "code": code,
        "description": row.description })
}

/// The roots for `--trust-roots`; taken away at the end when the user named no place for them.
struct RootsFile {
    path: PathBuf,
    temporary: bool,
}

impl RootsFile {
    fn write(wanted: Option<&Path>, roots_json: &str, port: u16) -> Result<RootsFile> {
        let name = format!("proveil-sim-{}-{port}.json", std::process::id());
        let path = wanted.map_or_else(|| std::env::temp_dir().join(name), Path::to_path_buf);
        let mut options = OpenOptions::new();
        options.write(true);
        if wanted.is_some() {
            options.create(true).truncate(true);
        } else {
            // In a directory that others can write to, an existing file or link is not ours.
            options.create_new(true);
        }
        let written = options.open(&path).and_then(|mut file| file.write_all(roots_json.as_bytes()));
        written.map_err(|error| {
            Error::new(Code::FileUnreadable).at("--roots-out").found(format!("{}: {error}", path.display()))
        })?;
        Ok(RootsFile { path, temporary: wanted.is_none() })
    }
}

impl Drop for RootsFile {
    fn drop(&mut self) {
        if self.temporary {
            let _ = std::fs::remove_file(&self.path);
        }
    }
}
