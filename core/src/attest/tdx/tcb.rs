//! TCB info version 3: reading it, and judging a platform and TDX module by it (`protocols/attestation.md` 2.4).

use std::cmp::Reverse;

use super::checks;
use super::fields::{Fields, SvnLevel, Verdict};
use super::pck::Extension;
use super::qe::{QeIdentity, QeReport};
use crate::claims::{TcbAssessment, TcbStatus, TdBody};
use crate::error::{Code, Error, Result};
use crate::wire::hex;
use crate::wire::json::Json;

/// Intel's description of one platform type.
#[derive(Clone, Debug)]
pub(super) struct TcbInfo {
    pub issued_at: u64,
    pub next_update: u64,
    pub fmspc: [u8; 6],
    pub pce_id: [u8; 2],
    pub evaluation_number: u32,
    module: Identity,
    modules: Vec<ModuleIdentity>,
    levels: Vec<Level>,
}

/// Expected signer and attributes of a TDX module.
#[derive(Clone, Debug)]
struct Identity {
    signer: [u8; 48],
    attributes: [u8; 8],
    mask: [u8; 8],
}

/// A TDX module of one major version.
#[derive(Clone, Debug)]
struct ModuleIdentity {
    version: u8,
    identity: Identity,
    levels: Vec<SvnLevel>,
}

/// A platform level: what it needs, and the judgement on platforms that reach it.
#[derive(Clone, Debug)]
struct Level {
    sgx: [u8; 16],
    pce_svn: u16,
    tdx: [u8; 16],
    verdict: Verdict,
}

impl TcbInfo {
    /// Reads a document whose signature is good.
    pub(super) fn read(text: &str) -> Result<TcbInfo> {
        let json = Json::parse(text.as_bytes()).map_err(|_| {
            Error::new(Code::CollateralMismatch).at(checks::PARSE).context("The TCB info is not strict JSON.")
        })?;
        let info = Fields::new(&json, checks::TCB_FORMAT)?;
        info.require_text("id", "TDX")?;
        info.require_number("version", 3)?;
        info.require_number("tcbType", 0)?;
        let mut modules = Vec::new();
        for module in info.optional_objects("tdxModuleIdentities")? {
            modules.push(ModuleIdentity::read(&module)?);
        }
        let mut levels = Vec::new();
        for level in info.objects("tcbLevels")? {
            levels.push(Level::read(&level)?);
        }
        // Newest first, as Intel's own verifier orders them before matching; Intel publishes them in this order.
        levels.sort_by_key(|level| Reverse((level.sgx, level.pce_svn, level.tdx)));
        Ok(TcbInfo {
            issued_at: info.date("issueDate")?,
            next_update: info.date("nextUpdate")?,
            fmspc: info.hex("fmspc")?,
            pce_id: info.hex("pceId")?,
            evaluation_number: info.number("tcbEvaluationDataNumber")?,
            module: Identity::read(&info.object("tdxModule")?)?,
            modules,
            levels,
        })
    }

    /// Judges a platform, its TDX module and its quoting enclave.
    pub(super) fn assess(
        &self,
        pck: &Extension,
        body: &TdBody,
        qe: &QeIdentity,
        qe_report: &QeReport,
    ) -> Result<TcbAssessment> {
        let platform = self.platform_level(pck, &body.tee_tcb_svn).ok_or_else(|| {
            Error::new(Code::TcbNoMatchingLevel).at(checks::NO_MATCHING_LEVEL).found(format!(
                "CPUSVN {}, PCESVN {}",
                hex::encode(&pck.components),
                pck.pce_svn
            ))
        })?;
        let module = self.module_level(body)?;
        let qe_level = qe.judge(qe_report)?;
        let mut status = combine(platform.status, qe_level.status);
        if let Some(module) = module {
            status = combine(status, module.status);
        }
        if let Some(current) = &body.tee_tcb_svn2 {
            status = self.relaunch(status, pck, current, qe_level.status);
        }
        let verdicts = [Some(platform), module, Some(qe_level)];
        let mut advisories: Vec<String> =
            verdicts.iter().flatten().flat_map(|verdict| verdict.advisories.clone()).collect();
        advisories.sort_unstable();
        advisories.dedup();
        Ok(TcbAssessment {
            status,
            platform_status: platform.status,
            module_status: module.map(|module| module.status),
            qe_status: qe_level.status,
            advisories,
            tcb_date: verdicts.iter().flatten().map(|verdict| verdict.date).min().unwrap_or(0),
            evaluation_number: self.evaluation_number.min(qe.evaluation_number),
        })
    }

    /// The newest level that the platform reaches. The first two components of TEE_TCB_SVN are the TDX module's own version when
    /// the second is not zero; then the module's identity judges them and not the platform level.
    fn platform_level(&self, pck: &Extension, svn: &[u8; 16]) -> Option<&Verdict> {
        let skipped = if svn_major(svn) > 0 { 2 } else { 0 };
        let reaches = |level: &&Level| {
            pck.components.iter().zip(&level.sgx).all(|(have, needed)| have >= needed)
                && pck.pce_svn >= level.pce_svn
                && svn.iter().zip(&level.tdx).skip(skipped).all(|(have, needed)| have >= needed)
        };
        self.levels.iter().find(reaches).map(|level| &level.verdict)
    }

    /// Checks signer and attributes of the TDX module; gives its level when it has one of its own.
    fn module_level(&self, body: &TdBody) -> Result<Option<&Verdict>> {
        let major = svn_major(&body.tee_tcb_svn);
        if major == 0 {
            return self.module.check(body).map(|()| None);
        }
        let module = self.module(major).ok_or_else(|| {
            let found = format!("TDX_{major:02X}");
            Error::new(Code::TdxModule).at(checks::MODULE_UNKNOWN).found(found)
        })?;
        module.identity.check(body)?;
        let level = SvnLevel::reached(&module.levels, svn_minor(&body.tee_tcb_svn)).ok_or_else(|| {
            Error::new(Code::TcbNoMatchingLevel)
                .at(checks::NO_MATCHING_LEVEL)
                .context("The TDX module is below every level that Intel lists.")
                .found(svn_minor(&body.tee_tcb_svn).to_string())
        })?;
        Ok(Some(&level.verdict))
    }

    fn module(&self, major: u8) -> Option<&ModuleIdentity> {
        self.modules.iter().find(|module| module.version == major)
    }

    /// TD 1.5 bodies also carry the platform's current version. When only the launch is out of date, a relaunch helps; when the
    /// current platform is revoked, nothing does.
    fn relaunch(&self, launch: TcbStatus, pck: &Extension, current: &[u8; 16], qe: TcbStatus) -> TcbStatus {
        let Some(platform) = self.platform_level(pck, current) else { return launch };
        let mut now = combine(platform.status, qe);
        if svn_major(current) > 0 {
            let level = self
                .module(svn_major(current))
                .and_then(|module| SvnLevel::reached(&module.levels, svn_minor(current)));
            let Some(level) = level else { return launch };
            now = combine(now, level.verdict.status);
        }
        match (launch, now) {
            (_, TcbStatus::Revoked) => TcbStatus::Revoked,
            (TcbStatus::OutOfDate, TcbStatus::UpToDate | TcbStatus::SWHardeningNeeded) => {
                TcbStatus::TDRelaunchAdvised
            }
            (
                TcbStatus::OutOfDate,
                TcbStatus::ConfigurationNeeded | TcbStatus::ConfigurationAndSWHardeningNeeded,
            )
            | (
                TcbStatus::OutOfDateConfigurationNeeded,
                TcbStatus::UpToDate
                | TcbStatus::SWHardeningNeeded
                | TcbStatus::ConfigurationNeeded
                | TcbStatus::ConfigurationAndSWHardeningNeeded,
            ) => TcbStatus::TDRelaunchAdvisedConfigurationNeeded,
            _ => launch,
        }
    }
}

impl Identity {
    fn read(fields: &Fields<'_>) -> Result<Identity> {
        Ok(Identity {
            signer: fields.hex("mrsigner")?,
            attributes: fields.hex("attributes")?,
            mask: fields.hex("attributesMask")?,
        })
    }

    fn check(&self, body: &TdBody) -> Result<()> {
        if body.mr_signer_seam != self.signer {
            return Err(Error::new(Code::TdxModule)
                .at(checks::MODULE_SIGNER)
                .expected(hex::short(&self.signer))
                .found(hex::short(&body.mr_signer_seam)));
        }
        if !masked_equal(&body.seam_attributes, &self.mask, &self.attributes) {
            return Err(Error::new(Code::TdxModule)
                .at(checks::MODULE_ATTRIBUTES)
                .expected(hex::encode(&self.attributes))
                .found(hex::encode(&body.seam_attributes)));
        }
        Ok(())
    }
}

impl ModuleIdentity {
    fn read(fields: &Fields<'_>) -> Result<ModuleIdentity> {
        let id = fields.text("id")?;
        let version = id.strip_prefix("TDX_").and_then(hex::decode_array::<1>);
        let Some([version]) = version else {
            return Err(Error::new(Code::CollateralMismatch).at(checks::TCB_FORMAT).found(id));
        };
        Ok(ModuleIdentity { version, identity: Identity::read(fields)?, levels: SvnLevel::read_all(fields)? })
    }
}

impl Level {
    fn read(level: &Fields<'_>) -> Result<Level> {
        let tcb = level.object("tcb")?;
        Ok(Level {
            sgx: components(&tcb, "sgxtcbcomponents")?,
            pce_svn: tcb.number("pcesvn")?,
            tdx: components(&tcb, "tdxtcbcomponents")?,
            verdict: Verdict::read(level)?,
        })
    }
}

fn components(tcb: &Fields<'_>, name: &str) -> Result<[u8; 16]> {
    let svns: Result<Vec<u8>> = tcb.objects(name)?.iter().map(|component| component.number("svn")).collect();
    svns?.try_into().map_err(|svns: Vec<u8>| {
        Error::new(Code::CollateralMismatch)
            .at(checks::TCB_FORMAT)
            .expected("16 components")
            .found(svns.len().to_string())
    })
}

/// Worst of a platform and a component, with Intel's rules.
fn combine(platform: TcbStatus, component: TcbStatus) -> TcbStatus {
    match (component, platform) {
        (TcbStatus::Revoked, _) => TcbStatus::Revoked,
        (TcbStatus::OutOfDate, TcbStatus::UpToDate | TcbStatus::SWHardeningNeeded) => TcbStatus::OutOfDate,
        (
            TcbStatus::OutOfDate,
            TcbStatus::ConfigurationNeeded | TcbStatus::ConfigurationAndSWHardeningNeeded,
        ) => TcbStatus::OutOfDateConfigurationNeeded,
        _ => platform,
    }
}

/// True when `found` and `expected` agree in every bit of `mask`.
pub(super) fn masked_equal<const N: usize>(found: &[u8; N], mask: &[u8; N], expected: &[u8; N]) -> bool {
    found.iter().zip(mask).zip(expected).all(|((found, mask), expected)| found & mask == expected & mask)
}

/// Major version of the TDX module: component 1 of a TEE_TCB_SVN.
fn svn_major(svn: &[u8; 16]) -> u8 {
    let [_, major, ..] = svn;
    *major
}

/// Security version of the TDX module within its major version: component 0.
fn svn_minor(svn: &[u8; 16]) -> u16 {
    let [minor, ..] = svn;
    u16::from(*minor)
}

#[cfg(test)]
mod tests {
    use super::*;
    use TcbStatus::{
        ConfigurationAndSWHardeningNeeded as ConfigAndSw, ConfigurationNeeded as Config, OutOfDate,
        OutOfDateConfigurationNeeded as OldAndConfig, Revoked, SWHardeningNeeded as Sw, UpToDate,
    };

    #[test]
    fn worst_of_platform_and_component() {
        let cases = [
            (UpToDate, UpToDate, UpToDate),
            (UpToDate, OutOfDate, OutOfDate),
            (Sw, OutOfDate, OutOfDate),
            (Config, OutOfDate, OldAndConfig),
            (ConfigAndSw, OutOfDate, OldAndConfig),
            (OldAndConfig, OutOfDate, OldAndConfig),
            (OutOfDate, UpToDate, OutOfDate),
            (Config, UpToDate, Config),
            (UpToDate, Revoked, Revoked),
            (Revoked, OutOfDate, Revoked),
        ];
        for (platform, component, expected) in cases {
            assert_eq!(combine(platform, component), expected, "{platform:?} and {component:?}");
        }
    }

    /// A platform type whose patch level shows in component 2 and whose module has major version 1.
    fn info() -> TcbInfo {
        let verdict = |status| Verdict { status, date: 0, advisories: Vec::new() };
        let level = |component: u8, status| {
            let mut tdx = [0; 16];
            tdx[2] = component;
            Level { sgx: [0; 16], pce_svn: 0, tdx, verdict: verdict(status) }
        };
        let identity = || Identity { signer: [0; 48], attributes: [0; 8], mask: [0; 8] };
        let module = |svn, status| SvnLevel { svn, verdict: verdict(status) };
        TcbInfo {
            issued_at: 0,
            next_update: 0,
            fmspc: [0; 6],
            pce_id: [0; 2],
            evaluation_number: 19,
            module: identity(),
            modules: vec![ModuleIdentity {
                version: 1,
                identity: identity(),
                levels: vec![module(5, UpToDate), module(3, OutOfDate), module(1, Revoked)],
            }],
            levels: vec![
                level(9, UpToDate),
                level(8, Sw),
                level(7, Config),
                level(6, ConfigAndSw),
                level(5, OutOfDate),
                level(4, OldAndConfig),
                level(3, Revoked),
            ],
        }
    }

    /// attestation.md 2.4 step 5: a relaunch helps where only the launch is out of date. It never makes a status good, and a platform or
    /// module that is revoked by now is revoked.
    #[test]
    fn relaunch() {
        use TcbStatus::{
            TDRelaunchAdvised as Relaunch, TDRelaunchAdvisedConfigurationNeeded as RelaunchAndConfig,
        };
        let pck = Extension {
            ppid: [0; 16],
            pce_id: [0; 2],
            fmspc: [0; 6],
            components: [0; 16],
            pce_svn: 0,
            cpu_svn: [0; 16],
            platform_instance_id: None,
            sgx_type: None,
            configuration: Default::default(),
        };
        let current = |minor: u8, major: u8, component: u8| {
            let mut svn = [0; 16];
            (svn[0], svn[1], svn[2]) = (minor, major, component);
            svn
        };
        let cases = [
            // Launch, current SVN, quoting enclave, result.
            (OutOfDate, current(5, 1, 9), UpToDate, Relaunch),
            (OutOfDate, current(5, 1, 8), UpToDate, Relaunch),
            (OutOfDate, current(5, 1, 7), UpToDate, RelaunchAndConfig),
            (OutOfDate, current(5, 1, 6), UpToDate, RelaunchAndConfig),
            (OldAndConfig, current(5, 1, 9), UpToDate, RelaunchAndConfig),
            (OldAndConfig, current(5, 1, 7), UpToDate, RelaunchAndConfig),
            // The platform is still out of date, or its module is, or the quoting enclave.
            (OutOfDate, current(5, 1, 5), UpToDate, OutOfDate),
            (OutOfDate, current(5, 1, 4), UpToDate, OutOfDate),
            (OutOfDate, current(4, 1, 9), UpToDate, OutOfDate),
            (OutOfDate, current(5, 1, 9), OutOfDate, OutOfDate),
            // Nothing is known about what runs now.
            (OutOfDate, current(5, 2, 9), UpToDate, OutOfDate),
            (OutOfDate, current(0, 1, 9), UpToDate, OutOfDate),
            (OutOfDate, current(5, 1, 2), UpToDate, OutOfDate),
            // Revoked by now, whatever it was at launch.
            (OutOfDate, current(5, 1, 3), UpToDate, Revoked),
            (OutOfDate, current(2, 1, 9), UpToDate, Revoked),
            (UpToDate, current(5, 1, 3), UpToDate, Revoked),
            // A current launch needs none; an older SVN now does not make it worse.
            (UpToDate, current(5, 1, 9), UpToDate, UpToDate),
            (UpToDate, current(5, 1, 5), UpToDate, UpToDate),
            (Sw, current(5, 1, 9), UpToDate, Sw),
            (Config, current(5, 1, 9), UpToDate, Config),
            (Revoked, current(5, 1, 9), UpToDate, Revoked),
            // A module without a level of its own.
            (OutOfDate, current(0, 0, 9), UpToDate, Relaunch),
        ];
        for (launch, svn, qe, expected) in cases {
            assert_eq!(info().relaunch(launch, &pck, &svn, qe), expected, "{launch:?} {svn:?} {qe:?}");
        }
    }

    /// attestation.md 2.4 steps 1 and 2: components 0 and 1 of the SVN are the module's own when the second is not zero.
    #[test]
    fn which_components_count() {
        let pck = |component: u8, pce_svn: u16| Extension {
            ppid: [0; 16],
            pce_id: [0; 2],
            fmspc: [0; 6],
            components: [component; 16],
            pce_svn,
            cpu_svn: [component; 16],
            platform_instance_id: None,
            sgx_type: None,
            configuration: Default::default(),
        };
        let mut info = info();
        for level in &mut info.levels {
            (level.sgx, level.pce_svn) = ([2; 16], 3);
            (level.tdx[0], level.tdx[1]) = (4, 0);
        }
        let svn = |minor: u8, major: u8| {
            let mut svn = [9; 16];
            (svn[0], svn[1]) = (minor, major);
            svn
        };
        for (component, pce_svn, minor, major, found) in [
            (2, 3, 4, 0, true),
            (2, 3, 3, 0, false),
            (2, 3, 0, 1, true),
            (1, 3, 4, 0, false),
            (2, 2, 4, 0, false),
            (3, 9, 9, 1, true),
        ] {
            let level = info.platform_level(&pck(component, pce_svn), &svn(minor, major));
            assert_eq!(level.is_some(), found, "{component} {pce_svn} {minor} {major}");
        }
    }
}
