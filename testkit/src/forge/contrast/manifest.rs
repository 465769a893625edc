//! Manifests of a Contrast deployment (privatemode.md 3.5) and the ID block that a guest of one is launched with (3.3).

use proveil_core::wire::json::Json;
use sha2::{Digest, Sha256, Sha384};

use crate::forge::snp::SnpReportSpec;
use crate::forge::text::{hex, number};
use crate::forge::{TdBody, object, string};

/// A workload of a manifest.
#[derive(Clone, Debug)]
pub struct PolicySpec {
    /// The policy document; its SHA-256 is the workload's name in the manifest and in hardware reports.
    pub document: Vec<u8>,
    /// DNS names of its certificate.
    pub names: Vec<String>,
    /// Identifier of its secret.
    pub secret_id: Option<String>,
    /// True for the coordinator.
    pub coordinator: bool,
}

impl PolicySpec {
    /// SHA-256 of the document.
    pub fn hash(&self) -> [u8; 32] {
        Sha256::digest(&self.document).into()
    }
}

/// The workloads of a deployment as Privatemode names them: coordinator, key service, one worker.
pub fn policies() -> Vec<PolicySpec> {
    let policy = |document: &str, names: &[&str], secret_id: Option<&str>, coordinator| PolicySpec {
        document: document.as_bytes().to_vec(),
        names: names.iter().map(|name| (*name).to_owned()).collect(),
        secret_id: secret_id.map(str::to_owned),
        coordinator,
    };
    vec![
        policy("package agent_policy # coordinator\n", &["coordinator", "*"], None, true),
        policy(
            "package agent_policy # secret-service\n",
            &[
                "root",
                "coordinator",
                "*",
                "secret-service-internal.simulated.svc.cluster.local",
                "*.secret-service-headless.simulated.svc.cluster.local",
                "simulated.secret.privatemode.ai",
                "secret.privatemode.ai",
            ],
            Some("apps/v1/StatefulSet/simulated/secret-service"),
            false,
        ),
        policy(
            "package agent_policy # worker\n",
            &["continuum-etcd-client", "workload-simulated", "*"],
            Some("apps/v1/Deployment/simulated/workload-simulated"),
            false,
        ),
    ]
}

/// What a manifest is written from. Reference values are JSON, so that any member can be made wrong.
#[derive(Clone, Debug)]
pub struct ManifestSpec {
    /// The workloads.
    pub policies: Vec<PolicySpec>,
    /// SEV-SNP reference values.
    pub snp: Vec<Json>,
    /// TDX reference values.
    pub tdx: Vec<Json>,
}

impl ManifestSpec {
    /// The manifest's text.
    pub fn to_bytes(&self) -> Vec<u8> {
        let policies = self.policies.iter().map(|policy| {
            let names = policy.names.iter().map(|name| string(name.as_str())).collect();
            let mut members = vec![("SANs".to_owned(), Json::Array(names))];
            members.extend(
                policy.secret_id.as_ref().map(|id| ("WorkloadSecretID".to_owned(), string(id.as_str()))),
            );
            if policy.coordinator {
                members.push(("Role".to_owned(), string("coordinator")));
            }
            (const_hex::encode(policy.hash()), Json::Object(members))
        });
        let mut values = Vec::new();
        for (name, list) in [("snp", &self.snp), ("tdx", &self.tdx)] {
            if !list.is_empty() {
                values.push((name.to_owned(), Json::Array(list.clone())));
            }
        }
        object([
            ("Policies", Json::Object(policies.collect())),
            ("ReferenceValues", Json::Object(values)),
            ("SeedshareOwnerPubKeys", Json::Array(Vec::new())),
        ])
        .to_pretty()
        .into_bytes()
    }
}

/// The reference value that a Genoa report of a production guest meets exactly.
pub fn snp_reference(report: &SnpReportSpec) -> Json {
    let [bootloader, tee, .., snp, microcode] = report.reported_tcb;
    let level = |value: u8| number(u64::from(value));
    object([
        ("Platform", string("Metal-QEMU-SNP-GPU")),
        ("CPUs", number(1)),
        ("ProductName", string("Genoa")),
        ("TrustedMeasurement", hex(&report.measurement)),
        (
            "MinimumTCB",
            object([
                ("BootloaderVersion", level(bootloader)),
                ("TEEVersion", level(tee)),
                ("SNPVersion", level(snp)),
                ("MicrocodeVersion", level(microcode)),
            ]),
        ),
        ("MinimumMitigationVector", number(15)),
        ("GuestPolicy", object([("SMT", Json::Bool(true)), ("PageSwapDisable", Json::Bool(true))])),
        (
            "PlatformInfo",
            object([
                ("SMTEnabled", Json::Bool(false)),
                ("ECCEnabled", Json::Bool(true)),
                ("AliasCheckComplete", Json::Bool(true)),
            ]),
        ),
        ("AllowedChipIDs", Json::Array(vec![hex(&report.chip_id)])),
    ])
}

/// The reference value that a TD meets exactly.
pub fn tdx_reference(body: &TdBody, piid: &[u8; 16]) -> Json {
    object([
        ("Platform", string("Metal-QEMU-TDX-GPU")),
        ("MinTCBEvaluationDataNumber", number(0)),
        ("MrTd", hex(&body.mr_td)),
        ("MrSeam", hex(&body.mr_seam)),
        ("Rtmrs", Json::Array(body.rtmr.iter().map(|rtmr| hex(rtmr)).collect())),
        ("Xfam", hex(&body.xfam)),
        ("AllowedPIIDs", Json::Array(vec![hex(piid)])),
        ("MemoryIntegrity", Json::Bool(false)),
        ("SMTDisabled", Json::Bool(false)),
        ("StaticPlatform", Json::Bool(false)),
    ])
}

/// Guest policy of a Privatemode guest: multithreading allowed, page swap disabled, bit 17.
pub const GUEST_POLICY: u64 = 0x0203_0000;
/// Security version in the fixed ID block.
pub const GUEST_SVN: u32 = 2;

/// A sixteen-byte identity whose first byte is set.
pub const fn block_id(first: u8) -> [u8; 16] {
    let mut id = [0; 16];
    id[0] = first;
    id
}

/// Digest of the key that the fixed signature r = 2, s = 1 makes over the ID block of a measurement and guest policy.
pub fn id_key_digest(measurement: &[u8; 48], policy: u64) -> [u8; 48] {
    use k256::ecdsa::RecoveryId;
    use p384::ecdsa::{Signature, VerifyingKey};
    let block = [
        measurement.as_slice(),
        &block_id(1),
        &block_id(2),
        &1_u32.to_le_bytes(),
        &GUEST_SVN.to_le_bytes(),
        &policy.to_le_bytes(),
    ]
    .concat();
    let mut fixed = [0; 96];
    fixed[47] = 2;
    fixed[95] = 1;
    let digest = Sha384::digest(block);
    let recovered = |odd| {
        let signature = Signature::from_slice(&fixed).ok()?;
        VerifyingKey::recover_from_prehash(&digest, &signature, RecoveryId::new(odd, false)).ok()
    };
    let points = [false, true].map(|odd| {
        recovered(odd).map(|key| key.to_sec1_point(false).as_bytes().to_vec()).unwrap_or_default()
    });
    let point = points.into_iter().min().unwrap_or_default();
    let mut key = [0; 0x404];
    let mut put = |offset: usize, bytes: &mut dyn Iterator<Item = u8>| {
        key.iter_mut().skip(offset).zip(bytes).for_each(|(to, from)| *to = from);
    };
    put(0, &mut [2].into_iter());
    put(4, &mut point.iter().skip(1).take(48).rev().copied());
    put(76, &mut point.iter().skip(49).rev().copied());
    Sha384::digest(key).into()
}
