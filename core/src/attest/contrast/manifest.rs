//! Reading a manifest (`protocols/privatemode.md` 3.5): structure and ranges, on the bytes as received.
//!
//! Members that this version does not know are ignored, as by every reader of manifests. A member whose name differs from a known one in
//! case only is refused: the coordinator reads it as the known one, so ignoring it could drop a rule.

use super::checks::MANIFEST_FORM;
use crate::claims::{
    GuestPolicy, Manifest, ManifestPolicy, PlatformRules, Product, SnpReference, TcbParts, TdxReference,
};
use crate::crypto::sha256;
use crate::error::{Code, Error, Result};
use crate::limits::{CONTRAST_MANIFEST_MAX_BYTES, CONTRAST_MAX_POLICIES};
use crate::wire::hex;
use crate::wire::json::{Json, JsonError};

/// Members of a TDX entry that manifests before Contrast 1.20 have.
const OLD_TDX: [&str; 5] = ["MinimumQeSvn", "MinimumPceSvn", "MinimumTeeTcbSvn", "TdAttributes", "Rtrms"];

impl Manifest {
    /// Reads a manifest of at most 4 MiB. Fails with `manifest_invalid`, naming the member, or `limit_exceeded`.
    pub fn parse(bytes: &[u8]) -> Result<Manifest> {
        if bytes.len() > CONTRAST_MANIFEST_MAX_BYTES {
            return Err(Error::new(Code::LimitExceeded).at("Contrast manifest"));
        }
        let json = Json::parse(bytes).map_err(|error| {
            Error::new(Code::ManifestInvalid).at(MANIFEST_FORM).context(match error {
                JsonError::Malformed => "It is not strict JSON.",
                JsonError::DuplicateMember => "It names a member twice.",
            })
        })?;
        const OWNERS: [&str; 2] = ["WorkloadOwnerPubKeys", "WorkloadOwnerKeyDigests"];
        let top = Node::root(&json).object(&[
            "Policies",
            "ReferenceValues",
            "WorkloadOwnerPubKeys",
            "WorkloadOwnerKeyDigests",
            "SeedshareOwnerPubKeys",
            "MinimumAPIVersion",
        ])?;
        let policies = policies(&top.required("Policies")?)?;
        let values = top.required("ReferenceValues")?.object(&["snp", "tdx"])?;
        let snp = values.list("snp", snp_reference)?;
        let tdx = values.list("tdx", tdx_reference)?;
        if snp.is_empty() && tdx.is_empty() {
            return Err(values.error().expected("at least one reference value"));
        }
        let mut updatable = false;
        for name in OWNERS {
            updatable |= !top.list(name, |owner| owner.text().map(|_| ()))?.is_empty();
        }
        Ok(Manifest { sha256: sha256(&[bytes]), policies, snp, tdx, updatable })
    }

    /// The coordinator's policy: there is exactly one in a manifest that was read.
    pub fn coordinator(&self) -> Option<&ManifestPolicy> {
        self.policies.iter().find(|policy| policy.coordinator)
    }

    /// The policies whose secret is named so: the identifier contains the text.
    pub fn workloads<'m>(&'m self, secret_id: &'m str) -> impl Iterator<Item = &'m ManifestPolicy> {
        self.policies.iter().filter(move |policy| policy.workload_secret_id.contains(secret_id))
    }
}

fn policies(node: &Node<'_>) -> Result<Vec<ManifestPolicy>> {
    let members = node.value.as_object().ok_or_else(|| node.error().expected("an object"))?;
    if members.len() > CONTRAST_MAX_POLICIES {
        return Err(Error::new(Code::LimitExceeded)
            .at("Policies")
            .expected(format!("at most {CONTRAST_MAX_POLICIES}")));
    }
    let mut policies: Vec<ManifestPolicy> = Vec::with_capacity(members.len());
    for (name, value) in members {
        let entry = Node { value, path: format!("Policies.{name}") };
        let hash =
            hex::decode_array(name).ok_or_else(|| entry.error().expected("a name of 64 hex digits"))?;
        policies.push(policy(hash, &entry)?);
    }
    let mut hashes: Vec<&[u8; 32]> = policies.iter().map(|policy| &policy.hash).collect();
    hashes.sort_unstable();
    if hashes.windows(2).any(|pair| matches!(pair, [a, b] if a == b)) {
        return Err(node.error().context("It names a policy twice."));
    }
    let coordinators = policies.iter().filter(|policy| policy.coordinator).count();
    if coordinators != 1 {
        let found = coordinators.to_string();
        return Err(node.error().expected("exactly one policy with the role coordinator").found(found));
    }
    Ok(policies)
}

fn policy(hash: [u8; 32], entry: &Node<'_>) -> Result<ManifestPolicy> {
    let entry = entry.object(&["SANs", "WorkloadSecretID", "Role"])?;
    let role = entry.optional("Role");
    let coordinator = match role.as_ref().map(Node::text).transpose()? {
        None | Some("") => false,
        Some("coordinator") => true,
        Some(other) => {
            return Err(entry.error_at("Role").expected("coordinator, or empty").found(other));
        }
    };
    let secret_id = entry.optional("WorkloadSecretID").map(|id| id.text().map(str::to_owned)).transpose()?;
    Ok(ManifestPolicy {
        hash,
        names: entry.list("SANs", |name| name.text().map(str::to_owned))?,
        workload_secret_id: secret_id.unwrap_or_default(),
        coordinator,
    })
}

fn snp_reference(node: &Node<'_>) -> Result<SnpReference> {
    let entry = node.object(&[
        "Platform",
        "CPUs",
        "ProductName",
        "TrustedMeasurement",
        "MinimumTCB",
        "GuestPolicy",
        "PlatformInfo",
        "MinimumMitigationVector",
        "AllowedChipIDs",
        "APEIP",
    ])?;
    if let Some(reset) = entry.optional("APEIP")
        && !reset.text()?.is_empty()
    {
        return Err(reset.error().expected("no such member").context(
            "Measurements that are extended by the number of processors are not supported by this version.",
        ));
    }
    let product = entry.required("ProductName")?;
    let product = match product.text()? {
        "Milan" => Product::Milan,
        "Genoa" => Product::Genoa,
        other => return Err(product.error().expected("Milan or Genoa").found(other)),
    };
    Ok(SnpReference {
        platform: entry.text_or_empty("Platform")?,
        cpus: entry.optional("CPUs").map(|cpus| cpus.number(u64::MAX)).transpose()?,
        product,
        measurement: entry.required("TrustedMeasurement")?.hex()?,
        minimum_tcb: minimum_tcb(&entry.required("MinimumTCB")?)?,
        guest_policy: guest_policy(entry.optional("GuestPolicy"), &entry)?,
        platform_info: platform_rules(entry.optional("PlatformInfo"))?,
        mitigations: entry.number_or_zero("MinimumMitigationVector", u64::MAX)?,
        chip_ids: entry.list("AllowedChipIDs", Node::hex)?,
    })
}

/// All four are required: zero is a value, and absence is not.
fn minimum_tcb(node: &Node<'_>) -> Result<TcbParts> {
    let parts = node.object(&["BootloaderVersion", "TEEVersion", "SNPVersion", "MicrocodeVersion"])?;
    let part = |name: &str| parts.required(name)?.byte();
    Ok(TcbParts {
        fmc: 0,
        bootloader: part("BootloaderVersion")?,
        tee: part("TEEVersion")?,
        snp: part("SNPVersion")?,
        microcode: part("MicrocodeVersion")?,
    })
}

/// Reads the policy and refuses what no Contrast guest is launched with.
fn guest_policy(node: Option<Node<'_>>, entry: &Object<'_>) -> Result<GuestPolicy> {
    let node = node.ok_or_else(|| entry.error_at("GuestPolicy").context("It is missing."))?;
    let members = node.object(&[
        "ABIMinor",
        "ABIMajor",
        "SMT",
        "MigrateMA",
        "Debug",
        "SingleSocket",
        "CXLAllowed",
        "MemAES256XTS",
        "RAPLDis",
        "CipherTextHidingDRAM",
        "PageSwapDisable",
    ])?;
    let policy = GuestPolicy {
        abi_minor: members.optional("ABIMinor").map(|minor| minor.byte()).transpose()?.unwrap_or(0),
        abi_major: members.optional("ABIMajor").map(|major| major.byte()).transpose()?.unwrap_or(0),
        smt: members.flag("SMT")?,
        migrate_ma: members.flag("MigrateMA")?,
        debug: members.flag("Debug")?,
        single_socket: members.flag("SingleSocket")?,
        cxl_allowed: members.flag("CXLAllowed")?,
        mem_aes_256_xts: members.flag("MemAES256XTS")?,
        rapl_dis: members.flag("RAPLDis")?,
        ciphertext_hiding_dram: members.flag("CipherTextHidingDRAM")?,
        page_swap_disable: members.flag("PageSwapDisable")?,
    };
    let must = |name: &str, expected: &str, holds: bool| {
        if holds { Ok(()) } else { Err(members.error_at(name).expected(expected)) }
    };
    must("ABIMajor", "0", policy.abi_major == 0)?;
    must("ABIMinor", "0 or 31", matches!(policy.abi_minor, 0 | 31))?;
    must("SMT", "true", policy.smt)?;
    must("MigrateMA", "false", !policy.migrate_ma)?;
    must("Debug", "false", !policy.debug)?;
    must("SingleSocket", "false", !policy.single_socket)?;
    must("CXLAllowed", "false", !policy.cxl_allowed)?;
    must("MemAES256XTS", "false", !policy.mem_aes_256_xts)?;
    must("RAPLDis", "false", !policy.rapl_dis)?;
    must("CipherTextHidingDRAM", "false", !policy.ciphertext_hiding_dram)?;
    Ok(policy)
}

fn platform_rules(node: Option<Node<'_>>) -> Result<PlatformRules> {
    let Some(node) = node else { return Ok(PlatformRules::default()) };
    let members = node.object(&[
        "SMTEnabled",
        "TSMEEnabled",
        "ECCEnabled",
        "RAPLDisabled",
        "CiphertextHidingDRAMEnabled",
        "AliasCheckComplete",
        "TIOEnabled",
    ])?;
    Ok(PlatformRules {
        smt_enabled: members.flag("SMTEnabled")?,
        tsme_enabled: members.flag("TSMEEnabled")?,
        ecc_enabled: members.flag("ECCEnabled")?,
        rapl_disabled: members.flag("RAPLDisabled")?,
        ciphertext_hiding_dram_enabled: members.flag("CiphertextHidingDRAMEnabled")?,
        alias_check_complete: members.flag("AliasCheckComplete")?,
        tio_enabled: members.flag("TIOEnabled")?,
    })
}

fn tdx_reference(node: &Node<'_>) -> Result<TdxReference> {
    let entry = node.object(&[
        "Platform",
        "MinTCBEvaluationDataNumber",
        "MrTd",
        "MrSeam",
        "Rtmrs",
        "Xfam",
        "AllowedPIIDs",
        "MemoryIntegrity",
        "SMTDisabled",
        "StaticPlatform",
    ])?;
    if let Some(old) = OLD_TDX.iter().find(|name| entry.value.get(name).is_some()) {
        return Err(entry
            .error_at(old)
            .context("The manifest is too old: it was made for Contrast before 1.20."));
    }
    let rtmrs: Vec<[u8; 48]> = entry.list("Rtmrs", Node::hex)?;
    let found = rtmrs.len().to_string();
    let number = entry.number_or_zero("MinTCBEvaluationDataNumber", u64::from(u32::MAX))?;
    Ok(TdxReference {
        platform: entry.text_or_empty("Platform")?,
        min_evaluation_number: u32::try_from(number).unwrap_or(u32::MAX),
        mr_td: entry.required("MrTd")?.hex()?,
        mr_seam: entry.required("MrSeam")?.hex()?,
        rtmrs: rtmrs
            .try_into()
            .map_err(|_| entry.error_at("Rtmrs").expected("four registers").found(found))?,
        xfam: entry.required("Xfam")?.hex()?,
        piids: entry.list("AllowedPIIDs", Node::hex)?,
        memory_integrity: entry.flag("MemoryIntegrity")?,
        smt_disabled: entry.flag("SMTDisabled")?,
        static_platform: entry.flag("StaticPlatform")?,
    })
}

/// A value with the path that leads to it.
struct Node<'a> {
    value: &'a Json,
    path: String,
}

impl<'a> Node<'a> {
    const fn root(value: &'a Json) -> Node<'a> {
        Node { value, path: String::new() }
    }

    fn error(&self) -> Error {
        let at = if self.path.is_empty() { MANIFEST_FORM } else { self.path.as_str() };
        Error::new(Code::ManifestInvalid).at(at)
    }

    fn object(&self, known: &[&str]) -> Result<Object<'a>> {
        let members = self.value.as_object().ok_or_else(|| self.error().expected("an object"))?;
        let object = Object { value: self.value, path: self.path.clone() };
        let similar =
            |name: &str| known.iter().find(|known| name != **known && name.eq_ignore_ascii_case(known));
        match members.iter().find_map(|(name, _)| similar(name).map(|known| (name, known))) {
            Some((name, known)) => Err(object.error_at(name).expected(*known)),
            None => Ok(object),
        }
    }

    fn text(&self) -> Result<&'a str> {
        self.value.as_str().ok_or_else(|| self.error().expected("a text"))
    }

    fn number(&self, max: u64) -> Result<u64> {
        let number = self.value.as_u64().filter(|number| *number <= max);
        number.ok_or_else(|| {
            self.error().expected(format!("a number from 0 to {max}")).found(self.value.to_compact())
        })
    }

    fn byte(&self) -> Result<u8> {
        Ok(u8::try_from(self.number(255)?).unwrap_or(u8::MAX))
    }

    /// Hex digits in either case, exactly as many as `N` bytes have.
    fn hex<const N: usize>(&self) -> Result<[u8; N]> {
        let text = self.text()?;
        hex::decode_array(text).ok_or_else(|| {
            let expected = format!("{} hex digits", N.saturating_mul(2));
            self.error().expected(expected).found(format!("{} characters", text.len()))
        })
    }
}

/// An object with the path that leads to it. A member that is null is absent.
struct Object<'a> {
    value: &'a Json,
    path: String,
}

impl<'a> Object<'a> {
    fn join(&self, name: &str) -> String {
        if self.path.is_empty() { name.to_owned() } else { format!("{}.{name}", self.path) }
    }

    fn error(&self) -> Error {
        Error::new(Code::ManifestInvalid).at(self.path.as_str())
    }

    fn error_at(&self, name: &str) -> Error {
        Error::new(Code::ManifestInvalid).at(self.join(name))
    }

    fn optional(&self, name: &str) -> Option<Node<'a>> {
        let value = self.value.get(name).filter(|value| !value.is_null())?;
        Some(Node { value, path: self.join(name) })
    }

    fn required(&self, name: &str) -> Result<Node<'a>> {
        self.optional(name).ok_or_else(|| self.error_at(name).context("It is missing."))
    }

    fn text_or_empty(&self, name: &str) -> Result<String> {
        let text = self.optional(name).map(|text| text.text().map(str::to_owned)).transpose()?;
        Ok(text.unwrap_or_default())
    }

    fn number_or_zero(&self, name: &str, max: u64) -> Result<u64> {
        Ok(self.optional(name).map(|number| number.number(max)).transpose()?.unwrap_or(0))
    }

    fn flag(&self, name: &str) -> Result<bool> {
        let Some(node) = self.optional(name) else { return Ok(false) };
        node.value.as_bool().ok_or_else(|| node.error().expected("true or false"))
    }

    fn list<T>(&self, name: &str, read: impl Fn(&Node<'a>) -> Result<T>) -> Result<Vec<T>> {
        let Some(node) = self.optional(name) else { return Ok(Vec::new()) };
        let elements = node.value.as_array().ok_or_else(|| node.error().expected("a list"))?;
        let entry = |(i, value)| read(&Node { value, path: format!("{}[{i}]", node.path) });
        elements.iter().enumerate().map(entry).collect()
    }
}
