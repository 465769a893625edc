//! The platform's certificate: its chain and Intel's extension in it (`protocols/attestation.md` 2.2).

use super::checks;
use crate::claims::{PckFacts, SgxType};
use crate::error::{Code, Error, Result};
use crate::evidence::CaKind;
use crate::pki::{Authority, Certificate, Problem};
use crate::wire::der::{self, Der};

/// Common name of the leaf.
const LEAF_NAME: &str = "Intel SGX PCK Certificate";
/// Intel's SGX extension, 1.2.840.113741.1.13.1, encoded; its fields have one or two more arcs.
const SGX: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf8, 0x4d, 0x01, 0x0d, 0x01];

/// Fields of the extension that verification uses.
#[derive(Clone, Debug)]
pub(super) struct Extension {
    pub ppid: [u8; 16],
    pub pce_id: [u8; 2],
    pub fmspc: [u8; 6],
    pub components: [u8; 16],
    pub pce_svn: u16,
    pub cpu_svn: [u8; 16],
    pub platform_instance_id: Option<[u8; 16]>,
    pub sgx_type: Option<SgxType>,
    pub configuration: Configuration,
}

/// Configuration of a multi-package platform; what its certificate does not say is absent.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Configuration {
    pub dynamic_platform: Option<bool>,
    pub smt_enabled: Option<bool>,
}

/// A chain problem with its code and check.
pub(super) fn chain_error(problem: Problem) -> Error {
    Error::new(Code::PckChain).at(checks::PCK_CHAIN).context(problem.to_string())
}

/// Checks that `certificate` is one of Intel's two PCK authorities below `root` at time `at`.
pub(super) fn authority(
    root: &Authority,
    certificate: &Certificate<'_>,
    at: u64,
) -> std::result::Result<Authority, Problem> {
    root.valid_at(at)?;
    if !certificate.states_usage() {
        return Err(Problem::Usage);
    }
    let authority = Authority::below(root, certificate, at)?;
    if CaKind::from_common_name(authority.common_name()).is_none() {
        return Err(Problem::Name);
    }
    Ok(authority)
}

/// Checks that `leaf` is a PCK certificate issued by `ca` at time `at`.
pub(super) fn check_leaf(
    ca: &Authority,
    leaf: &Certificate<'_>,
    at: u64,
) -> std::result::Result<(), Problem> {
    if leaf.common_name() != Some(LEAF_NAME) {
        return Err(Problem::Name);
    }
    leaf.end_entity()?;
    if !leaf.states_usage() {
        return Err(Problem::Usage);
    }
    leaf.valid_at(at)?;
    leaf.issued_by(ca)
}

/// The claims of a leaf.
pub(super) fn facts(leaf: &Certificate<'_>, extension: &Extension) -> PckFacts {
    PckFacts {
        fmspc: extension.fmspc,
        pce_id: extension.pce_id,
        ppid: extension.ppid,
        platform_instance_id: extension.platform_instance_id,
        cpu_svn: extension.cpu_svn,
        pce_svn: extension.pce_svn,
        sgx_type: extension.sgx_type,
        dynamic_platform: extension.configuration.dynamic_platform,
        smt_enabled: extension.configuration.smt_enabled,
        not_after: leaf.not_after(),
    }
}

/// Reads Intel's extension: every field at most once and of its exact length, the needed ones present, the composite CPUSVN equal
/// to its components.
pub(super) fn read_extension(leaf: &Certificate<'_>) -> Result<Extension> {
    let content = leaf.extension(SGX).ok_or_else(|| extension_error("The extension is absent."))?;
    parse(content).ok_or_else(|| extension_error("The extension does not have the expected fields."))
}

fn extension_error(context: &str) -> Error {
    Error::new(Code::PckChain).at(checks::PCK_EXTENSION).context(context)
}

fn parse(content: &[u8]) -> Option<Extension> {
    let mut outer = Der::new(content);
    let mut fields = outer.inside(der::SEQUENCE)?;
    if !outer.is_empty() {
        return None;
    }
    let (mut ppid, mut tcb, mut pce_id, mut fmspc) = (None, None, None, None);
    let mut platform_instance_id = None;
    let (mut sgx_type, mut configuration) = (None, Configuration::default());
    let mut seen: Vec<&[u8]> = Vec::new();
    while !fields.is_empty() {
        let mut field = fields.inside(der::SEQUENCE)?;
        let arc = field.expect(der::OID)?.strip_prefix(SGX)?;
        if seen.contains(&arc) {
            return None;
        }
        seen.push(arc);
        match arc {
            [1] => ppid = Some(octets(&mut field)?),
            [2] => tcb = Some(parse_tcb(field.inside(der::SEQUENCE)?)?),
            [3] => pce_id = Some(octets(&mut field)?),
            [4] => fmspc = Some(octets(&mut field)?),
            [5] => {
                sgx_type = Some(match field.unsigned(der::ENUMERATED)? {
                    0 => SgxType::Standard,
                    1 => SgxType::Scalable,
                    2 => SgxType::ScalableWithIntegrity,
                    _ => return None,
                });
            }
            [6] => platform_instance_id = Some(octets(&mut field)?),
            [7] => configuration = parse_configuration(field.inside(der::SEQUENCE)?)?,
            _ => return None,
        }
        if !field.is_empty() {
            return None;
        }
    }
    let tcb = tcb?;
    Some(Extension {
        ppid: ppid?,
        pce_id: pce_id?,
        fmspc: fmspc?,
        components: tcb.components,
        pce_svn: tcb.pce_svn,
        cpu_svn: tcb.cpu_svn,
        platform_instance_id,
        sgx_type,
        configuration,
    })
}

/// The flags dynamic platform, cached keys and SMT, each at most once.
fn parse_configuration(mut fields: Der<'_>) -> Option<Configuration> {
    let mut flags: [Option<bool>; 3] = [None; 3];
    while !fields.is_empty() {
        let mut field = fields.inside(der::SEQUENCE)?;
        let [7, n @ 1..=3] = field.expect(der::OID)?.strip_prefix(SGX)? else { return None };
        let value = match field.expect(der::BOOLEAN)? {
            [0] => false,
            [0xff] => true,
            _ => return None,
        };
        let slot = flags.get_mut(usize::from(n.checked_sub(1)?))?;
        if slot.replace(value).is_some() || !field.is_empty() {
            return None;
        }
    }
    let [dynamic_platform, _, smt_enabled] = flags;
    Some(Configuration { dynamic_platform, smt_enabled })
}

struct Tcb {
    components: [u8; 16],
    pce_svn: u16,
    cpu_svn: [u8; 16],
}

/// The 18 fields of the TCB: components 1 to 16, PCESVN, CPUSVN.
fn parse_tcb(mut fields: Der<'_>) -> Option<Tcb> {
    let mut components: [Option<u8>; 16] = [None; 16];
    let mut pce_svn = None;
    let mut cpu_svn: Option<[u8; 16]> = None;
    while !fields.is_empty() {
        let mut field = fields.inside(der::SEQUENCE)?;
        let arc = field.expect(der::OID)?.strip_prefix(SGX)?;
        match arc {
            [2, n @ 1..=16] => {
                let slot = components.get_mut(usize::from(n.checked_sub(1)?))?;
                let svn = field.unsigned(der::INTEGER)?;
                if slot.replace(u8::try_from(svn).ok()?).is_some() {
                    return None;
                }
            }
            [2, 17] if pce_svn.is_none() => {
                pce_svn = Some(u16::try_from(field.unsigned(der::INTEGER)?).ok()?);
            }
            [2, 18] if cpu_svn.is_none() => cpu_svn = Some(octets(&mut field)?),
            _ => return None,
        }
        if !field.is_empty() {
            return None;
        }
    }
    let mut complete = [0; 16];
    for (to, from) in complete.iter_mut().zip(components) {
        *to = from?;
    }
    let cpu_svn = cpu_svn?;
    (cpu_svn == complete).then_some(Tcb { components: complete, pce_svn: pce_svn?, cpu_svn })
}

fn octets<const N: usize>(field: &mut Der<'_>) -> Option<[u8; N]> {
    field.expect(der::OCTET_STRING)?.try_into().ok()
}
