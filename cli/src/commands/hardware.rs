//! `proveil verify snp|tdx|nvidia FILES...`: bare hardware evidence, for people who run their own enclaves.

use std::time::{SystemTime, UNIX_EPOCH};

use proveil::core::appraise::{SnpExpectations, TdxExpectations};
use proveil::core::bundle::{Evidence, EvidenceBundle};
use proveil::core::evidence::SnpEndorsements;
use proveil::core::wire::hex;
use proveil::{BaseUrl, Code, Error, KdsClient, KdsConfig, Result, TrustRoots};

use super::{capture, on_network, verify};
use crate::args::{Hardware, Verify};
use crate::bundle;
use crate::failure::Stop;
use crate::inputs;
use crate::output::Output;
use crate::progress::Progress;

/// Largest single file: a revocation list, collateral or manifest.
const FILE_MAX_BYTES: u64 = 20 * 1024 * 1024;

/// What the files are about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Snp,
    Tdx,
    Nvidia,
}

impl Kind {
    pub(super) fn of(name: &str) -> Option<Kind> {
        match name {
            "snp" => Some(Kind::Snp),
            "tdx" => Some(Kind::Tdx),
            "nvidia" => Some(Kind::Nvidia),
            _ => None,
        }
    }
}

pub(super) fn run(kind: Kind, args: &Verify, output: &Output) -> Result<u8, Stop> {
    refuse_others(kind, args)?;
    if args.files.is_empty() {
        return Err(Error::new(Code::Usage).at("FILES").context("Which files hold the evidence?").into());
    }
    let files: Vec<Vec<u8>> = args
        .files
        .iter()
        .map(|path| inputs::read_or_stdin(path, "FILES", FILE_MAX_BYTES))
        .collect::<Result<_>>()?;
    let files: Vec<&[u8]> = files.iter().map(Vec::as_slice).collect();
    let flags = &args.hardware;
    let evidence = match kind {
        Kind::Snp => Evidence::snp(
            &files,
            SnpExpectations {
                report_data: fixed("--report-data", &flags.report_data)?,
                measurement: fixed("--measurement", &flags.measurement)?,
                host_data: fixed("--host-data", &flags.host_data)?,
            },
        ),
        Kind::Tdx => Evidence::tdx(&files, tdx_expectations(flags)?),
        Kind::Nvidia => {
            let nonce = args.offline.nonce.as_deref().ok_or_else(|| {
                Error::new(Code::Usage).at("--nonce").context("Which challenge did the devices answer?")
            })?;
            Evidence::nvidia(&files, inputs::nonce(nonce)?)
        }
    }?;
    let policy = inputs::policy(args.rules.policy.as_deref(), output)?;
    let roots = inputs::trust_roots(args.rules.trust_roots.as_deref(), output)?;
    let evidence = match evidence {
        Evidence::Snp { report, endorsements, expected } if flags.fetch => {
            let endorsements = fetch(&report, &endorsements, &roots, args, output)?;
            Evidence::Snp { report, endorsements, expected }
        }
        other => other,
    };
    let at = args.offline.at.map_or_else(now, Ok)?;
    let bundle = EvidenceBundle::new(evidence, policy, roots, at);
    let (report, result) = bundle.appraise(None, None, None);
    if let Some(place) = &flags.save {
        bundle::write(place, "--save", &bundle, &report)?;
        capture::stored(place, &bundle, report.recheck(), output);
    }
    verify::show(&report, result, args.full, false, output)
}

/// What AMD's key distribution service adds to the certificates that were given.
fn fetch(
    report: &[u8],
    given: &SnpEndorsements,
    roots: &TrustRoots,
    args: &Verify,
    output: &Output,
) -> Result<SnpEndorsements, Stop> {
    let progress = Progress::new(*output);
    let mut config = KdsConfig::new();
    let url = args.hardware.kds_url.as_deref().map(BaseUrl::parse).transpose();
    config.url = url.map_err(|error| error.at("--kds-url"))?;
    config.roots = roots.clone();
    config.ca_bundle_pem = inputs::ca_bundle(&args.connection)?;
    config.cache_dir = inputs::cache_dir_for(&args.connection, &args.rules);
    let client = KdsClient::observed(config, progress.observer())?;
    on_network(&progress, async { Ok(client.fetch_snp_endorsements(report, given, None).await?) })
}

fn now() -> Result<u64> {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.map(|since| since.as_secs()).map_err(|_| Error::new(Code::ClockWrong))
}

fn fixed<const N: usize>(flag: &str, text: &Option<String>) -> Result<Option<[u8; N]>> {
    text.as_deref().map(|text| inputs::fixed(text, flag)).transpose()
}

fn tdx_expectations(flags: &Hardware) -> Result<TdxExpectations> {
    let wrong = || Error::new(Code::InvalidArgument).at("--report-data").expected("2 to 128 hex digits");
    let report_data = flags
        .report_data
        .as_deref()
        .map(|text| hex::decode(text).filter(|bytes| (1..=64).contains(&bytes.len())).ok_or_else(wrong))
        .transpose()?;
    Ok(TdxExpectations {
        report_data,
        mr_td: fixed("--mr-td", &flags.mr_td)?,
        mr_seam: fixed("--mr-seam", &flags.mr_seam)?,
        mr_config_id: fixed("--mr-config-id", &flags.mr_config_id)?,
        mr_owner: fixed("--mr-owner", &flags.mr_owner)?,
        mr_owner_config: fixed("--mr-owner-config", &flags.mr_owner_config)?,
        rtmr: [
            fixed("--rtmr0", &flags.rtmr0)?,
            fixed("--rtmr1", &flags.rtmr1)?,
            fixed("--rtmr2", &flags.rtmr2)?,
            fixed("--rtmr3", &flags.rtmr3)?,
        ],
    })
}

/// The kinds of evidence that a flag is for, and whether it was given. An expectation that is not looked at would be a promise.
fn given(flags: &Hardware) -> [(&'static str, &'static [Kind], bool); 14] {
    const TDX: &[Kind] = &[Kind::Tdx];
    const SNP: &[Kind] = &[Kind::Snp];
    [
        ("--report-data", &[Kind::Snp, Kind::Tdx], flags.report_data.is_some()),
        ("--measurement", SNP, flags.measurement.is_some()),
        ("--host-data", SNP, flags.host_data.is_some()),
        ("--fetch", SNP, flags.fetch),
        ("--mr-td", TDX, flags.mr_td.is_some()),
        ("--mr-seam", TDX, flags.mr_seam.is_some()),
        ("--mr-config-id", TDX, flags.mr_config_id.is_some()),
        ("--mr-owner", TDX, flags.mr_owner.is_some()),
        ("--mr-owner-config", TDX, flags.mr_owner_config.is_some()),
        ("--rtmr0", TDX, flags.rtmr0.is_some()),
        ("--rtmr1", TDX, flags.rtmr1.is_some()),
        ("--rtmr2", TDX, flags.rtmr2.is_some()),
        ("--rtmr3", TDX, flags.rtmr3.is_some()),
        ("--save", &[Kind::Snp, Kind::Tdx, Kind::Nvidia], flags.save.is_some()),
    ]
}

/// Refuses flags for hardware evidence where there is none.
pub(super) fn refuse_flags(flags: &Hardware) -> Result<()> {
    match given(flags).into_iter().find(|(_, _, given)| *given) {
        Some((flag, ..)) => {
            Err(Error::new(Code::Usage).at(flag).context("It goes with `snp`, `tdx` or `nvidia` and files."))
        }
        None => Ok(()),
    }
}

/// Refuses what another kind of evidence, or a provider, is asked for with.
fn refuse_others(kind: Kind, args: &Verify) -> Result<()> {
    let foreign = given(&args.hardware)
        .into_iter()
        .filter(|(_, kinds, _)| !kinds.contains(&kind))
        .map(|(f, _, g)| (f, g));
    let connection = &args.connection;
    let others = [
        ("--model", args.model.is_some()),
        ("--response", args.offline.response.is_some()),
        ("--nonce", kind != Kind::Nvidia && args.offline.nonce.is_some()),
        ("--base-url", connection.base_url.is_some()),
        ("--collateral-url", connection.collateral_url.is_some()),
        ("--api-key-file", connection.api_key_file.is_some()),
    ];
    match foreign.chain(others).find(|(_, given)| *given) {
        Some((flag, _)) => {
            Err(Error::new(Code::Usage).at(flag).context("It does not go with this kind of evidence."))
        }
        None => Ok(()),
    }
}
