//! Every check that an appraisal can list: where it belongs, whether it counts by default, what it means.
//!
//! `proveil explain <check>` prints these. Ids are the reason codes of attestation.md where that document names one. A scope in
//! front (`cm.`, `gateway.`, `model.0.`) says which enclave of a document is meant and is not part of the id here.

use super::check::{Enforcement, Group};
use crate::attest::{contrast, snp, tdx};

/// What is known about a check.
#[derive(Clone, Copy, Debug)]
pub struct Entry {
    /// Stable id.
    pub id: &'static str,
    /// Group in the table.
    pub group: Group,
    /// Whether it counts by default; a policy can make it advisory.
    pub enforcement: Enforcement,
    /// What is checked, in a few words.
    pub title: &'static str,
    /// What a failure means, in a sentence or two.
    pub meaning: &'static str,
    /// Document and section that the check follows.
    pub source: &'static str,
}

macro_rules! entries {
    ($( $group:ident $enforcement:ident $id:literal $title:literal $meaning:literal $source:literal ; )+) => {
        /// The entries of checks that are not a quote's or report's own (those are listed in `attest::tdx::CHECKS`,
        /// `attest::snp::CHECKS` and `attest::contrast::CHECKS`).
        pub static ENTRIES: &[Entry] = &[ $( Entry {
            id: $id, group: Group::$group, enforcement: Enforcement::$enforcement, title: $title, meaning: $meaning, source: $source,
        }, )+ ];
    };
}

entries! {
    Transport Enforced "answer.form" "The attestation answer has the documented form" "An answer that cannot be read strictly is not trusted in part." "venice.md 2.4 step 1";
    Transport Enforced "provider.verified" "The provider itself calls the enclave verified" "The provider's word can only make a verdict worse; `false` or a missing word refuses, `true` proves nothing." "venice.md 2.4 step 2";
    Freshness Enforced "nonce.echo" "The answer names our challenge" "A replayed or cached answer names another challenge. What counts is the signed copy, checked separately." "venice.md 2.4 step 3";
    Transport Enforced "model.echo" "The answer is for the model that was asked for" "The provider answered for another model." "venice.md 2.4 step 3";
    KeyBinding Enforced "binding.signing_key" "The enclave's public key is well-formed and named consistently" "Two different keys in one answer mean that somebody changed one of them." "venice.md 2.4 step 4";
    KeyBinding Enforced "binding.address" "The signing address belongs to the public key" "The address is derived from the key; a mismatch means that one was replaced." "venice.md 2.4 step 5";
    Hardware Enforced "quote.present" "There is exactly one hardware quote" "Without a quote nothing is proven; with two different ones the answer contradicts itself." "venice.md 2.4 step 6";
    KeyBinding Enforced "binding.key" "The signed report data holds our encryption key's identity" "If this fails, the key in the answer is not the enclave's." "venice.md 2.4 step 8";
    Freshness Enforced "nonce.cpu" "The signed report data holds our challenge" "The quote was made for another request: a replay." "venice.md 2.4 step 8";
    KeyBinding Enforced "binding.report_data" "Unsigned copies of the report data equal the signed bytes" "Copies are never used to decide; a wrong one shows tampering." "venice.md 2.4 step 9";
    Transport Enforced "binding.tls" "The TLS certificate is the one bound in the quote" "The connection ends outside the enclave." "attestation.md 4.2 item 8";
    KeyBinding Enforced "instance.unknown" "The evidence is of one instance that the provider names" "The key that requests would be encrypted to belongs to another instance, or to two." "attestation.md 4.1";
    Gpu Enforced "binding.gpu" "The device evidence is the one that the enclave vouches for" "The evidence was added, removed or edited after the enclave hashed it." "attestation.md 4.1";
    Software Enforced "eventlog.parse" "The event log has the expected form" "A log that cannot be read strictly is not trusted in part." "venice.md 2.8";
    Software Enforced "eventlog.digest" "Each event's digest follows from its content" "Somebody edited an event, for instance the compose hash." "venice.md 2.8 item 2";
    Software Enforced "eventlog.replay" "The event log leads to the measured registers" "The log is not the log of this enclave." "venice.md 2.8 item 1";
    Software Enforced "eventlog.events" "Application and compose hash are stated once, before applications start" "Without exactly one event before the boundary the application is not identified." "venice.md 2.8 items 3-4";
    Software Enforced "compose_hash" "The application description hashes to the measured value" "The description shown is not the one that runs." "venice.md 2.8 item 4";
    Software Enforced "mr_config_id" "MR_CONFIG_ID holds the compose hash" "The host launched the enclave for another application." "venice.md 2.8 item 5";
    Software Enforced "tcb_info" "Unsigned copies of measurements equal the signed ones" "Copies are never used to decide; a wrong one shows tampering." "attestation.md 4.2 item 5";
    Software Enforced "cm.quote" "The compose manager's quote verifies" "The record of deployments has no proof." "attestation.md 4.2 item 6";
    Software Enforced "cm.binding" "The compose manager's quote binds its action list and our challenge" "The record of deployments is old or was replaced." "attestation.md 4.2 item 6";
    Software Enforced "cm.same_td" "The compose manager's quote is from the same enclave" "The record of deployments belongs to another machine." "attestation.md 4.2 item 6";
    Software Enforced "ohttp.key_config" "The OHTTP key configuration is named consistently" "Two different configurations mean that one was changed." "venice.md 2.2";
    Software Enforced "ohttp.signature" "The OHTTP key configuration is signed by the key it names" "The configuration was altered. (This key is not bound by this quote and is not used.)" "attestation.md 4.2 item 3";
    Software Enforced "tdx.policy.mr_td" "The initial content of the TD is an accepted one" "The enclave was started from other firmware." "attestation.md 2.5";
    Hardware Enforced "tdx.policy.mr_seam" "The TDX module is an accepted one" "The machine runs another TDX module than those you named." "attestation.md 2.5";
    Software Enforced "tdx.policy.mr_config_id" "MR_CONFIG_ID is an accepted value" "The host launched the enclave for something else." "attestation.md 2.5";
    Software Enforced "tdx.policy.mr_owner" "MR_OWNER is an accepted value" "The host launched the enclave for another owner." "attestation.md 2.5";
    Software Enforced "tdx.policy.mr_owner_config" "MR_OWNER_CONFIG is an accepted value" "The host launched the enclave with another configuration of its owner." "attestation.md 2.5";
    Software Enforced "tdx.policy.rtmr0" "RTMR0 is an accepted value" "The enclave has other firmware settings." "attestation.md 2.5";
    Software Enforced "tdx.policy.rtmr1" "RTMR1 is an accepted value" "The enclave runs another kernel or boot loader." "attestation.md 2.5";
    Software Enforced "tdx.policy.rtmr2" "RTMR2 is an accepted value" "The enclave runs another initial disk or kernel command line." "attestation.md 2.5";
    Software Enforced "tdx.policy.rtmr3" "RTMR3 is an accepted value" "The enclave measured other applications." "attestation.md 2.5";
    KeyBinding Enforced "tdx.policy.report_data" "The report data is the expected one" "The evidence was made for another challenge or key than yours." "attestation.md 2.5";
    Software Enforced "software.reference" "The measured software equals a reference value of the policy" "The enclave runs other software than the one you named." "attestation.md 4.3";
    Software Enforced "software.pin" "The measured software is the pinned one" "The software changed since it was pinned. Compare the two, and accept the new one only if you know the release." "README decision 6";
    Transport Enforced "policy.not_after" "The policy is still in force" "Whoever wrote the policy set an end to it: its values are to be looked at again." "threats.md I3";
    Transport Enforced "missing" "The report names at least one model node" "A gateway alone proves nothing about the node that reads the prompt." "venice.md 2.2";
    Gpu Enforced "gpu.missing" "GPU evidence is there" "The policy asks for GPU evidence and the answer has none." "venice.md 2.6";
    Gpu Enforced "gpu.parse" "GPU reports have the exact SPDM layout" "Altered or foreign reports are refused before any field is used." "attestation.md 3.1";
    Gpu Enforced "gpu.spdm" "GPU reports are signed SPDM answers with every block once" "A report with other message codes or with a block twice is no measurement report." "attestation.md 3.1";
    Gpu Enforced "gpu.nonce" "GPU reports answer our challenge" "The GPU evidence was made for another request." "attestation.md 3.1";
    Gpu Enforced "gpu.chain" "GPU certificates lead to NVIDIA's root" "The device is not a genuine NVIDIA GPU." "attestation.md 3.2";
    Gpu Enforced "gpu.signature" "GPU reports are signed by their devices" "A report was altered or forged." "attestation.md 3.1";
    Gpu Enforced "gpu.opaque" "Signed details of the GPUs have known forms" "A detail that occurs twice or has an unknown value could be read in two ways." "attestation.md 3.1";
    Gpu Enforced "gpu.fwid" "GPU firmware identity equals the certificate's" "The report and the certificate are of different firmware." "attestation.md 3.2";
    Gpu Enforced "gpu.duplicate" "Each GPU is presented once" "One genuine GPU was shown as several." "attestation.md 3.2";
    Gpu Enforced "gpu.topology" "GPUs and switches name each other" "In a protected PCIe system the links are not encrypted, so a foreign switch would see the data." "attestation.md 3.1, 4.2 item 7";
    Gpu Enforced "gpu.policy.architecture" "The devices are of an accepted generation" "The policy does not accept this kind of device." "attestation.md 3.1";
    Gpu Enforced "gpu.policy.driver" "The GPU driver is an accepted version" "The policy does not accept this driver, or no device states one." "attestation.md 3.1";
    Gpu Enforced "gpu.policy.vbios" "The GPU firmware is an accepted version" "The policy does not accept this firmware, or a device states none." "attestation.md 3.1";
    Gpu Enforced "gpu.policy.device" "The devices are ones that the policy names" "Only a list of known devices helps against keys that were taken out of a device." "attestation.md 4.2 item 9";
    Gpu Enforced "gpu.policy.switches" "The switches of the system are presented" "In a protected PCIe system the switches see the data; the policy asks for their evidence." "attestation.md 4.2 item 7";
    Gpu Enforced "gpu.rim.xml" "Reference manifests are strict XML" "A document type or an entity can make one text mean two things." "attestation.md 3.3";
    Gpu Enforced "gpu.rim.reference" "A manifest's one signature covers all of it" "Otherwise something else could be read than what was signed." "attestation.md 3.3";
    Gpu Enforced "gpu.rim.algorithm" "Manifests are signed with the expected algorithms" "A weaker algorithm could be forged." "attestation.md 3.3";
    Gpu Enforced "gpu.rim.chain" "Signers of manifests lead to NVIDIA's root" "The manifest is not NVIDIA's." "attestation.md 3.3";
    Gpu Enforced "gpu.rim.expired" "Signers of manifests are valid now" "Nothing shows that an ended certificate signed while it was valid." "attestation.md 3.3";
    Gpu Enforced "gpu.rim.signature" "Manifests are signed by their signers" "The manifest was altered." "attestation.md 3.3";
    Gpu Enforced "gpu.rim.schema" "Manifests have the known content" "A manifest that is not fully understood cannot be compared with." "attestation.md 3.3";
    Gpu Enforced "gpu.rim.present" "There is a manifest for every driver and firmware" "Without its manifests a device's measurements cannot be judged." "attestation.md 3.3";
    Gpu Enforced "gpu.rim.version" "Manifests are for the devices' products and versions" "A genuine manifest of another version was put in place of the right one." "attestation.md 3.3";
    Gpu Enforced "gpu.rim.index_conflict" "No measurement is claimed by two manifests" "Two manifests that claim one measurement cannot both be right." "attestation.md 3.3";
    Gpu Enforced "gpu.measurements" "GPU firmware equals NVIDIA's reference values" "Without this it is not shown that the GPU runs in confidential mode; a difference means unknown firmware or developer mode." "attestation.md 3.3, 3.5";
    Gpu Enforced "gpu.cc_mode" "GPUs are in confidential mode for production" "Only the measurements tell production from developer mode, in which memory can be read." "attestation.md 3.5";
    Gpu Enforced "gpu.ocsp" "No certificate behind the GPUs is revoked" "A revoked device may have lost its keys. NVIDIA's responder calls device certificates that it has never seen good." "attestation.md 3.4";
    Gpu Enforced "gpu.nras.token" "NVIDIA's attestation service answered" "Its word is NVIDIA's own verdict on the same evidence; it never replaces a check made here." "attestation.md 3.6";
    Gpu Enforced "gpu.nras.alg" "Its tokens are signed with ES384" "Tokens that choose their own algorithm can be forged." "attestation.md 3.6 step 1";
    Gpu Enforced "gpu.nras.kid" "Their key is in the service's key list" "A token under an unknown key proves nothing." "attestation.md 3.6 step 1";
    Gpu Enforced "gpu.nras.chain" "The key leads to the pinned NVIDIA authority" "The key is not the attestation service's." "attestation.md 3.6 step 2";
    Gpu Enforced "gpu.nras.signature" "The tokens' signatures are right" "A token was altered or forged." "attestation.md 3.6 step 2";
    Gpu Enforced "gpu.nras.issuer" "The issuer is NVIDIA's attestation service" "Another service made the token." "attestation.md 3.6 step 3";
    Gpu Enforced "gpu.nras.not_yet_valid" "The token is valid already" "The token is from the future, or the clock is wrong." "attestation.md 3.6 step 3";
    Gpu Enforced "gpu.nras.expired" "The token has not expired" "An old token says nothing about now." "attestation.md 3.6 step 3";
    Gpu Enforced "gpu.nras.nonce" "The token answers our challenge" "The token was made for another request." "attestation.md 3.6 step 3";
    Gpu Enforced "gpu.nras.overall_false" "NVIDIA calls the evidence as a whole right" "NVIDIA itself refuses this evidence." "attestation.md 3.6 step 3";
    Gpu Enforced "gpu.nras.submods" "The token speaks of exactly the devices presented" "A device is missing from NVIDIA's answer, or one too many is in it." "attestation.md 3.6 step 4";
    Gpu Enforced "gpu.nras.digest" "The overall token names every device token" "A device token was put in place of another." "attestation.md 3.6 step 4";
    Gpu Enforced "gpu.nras.claims" "NVIDIA calls every part of the evidence right" "One of NVIDIA's own checks did not pass." "attestation.md 3.6 step 5";
    Gpu Enforced "gpu.nras.evidence" "The token is about the devices verified here" "The token is about other devices." "attestation.md 3.6 step 6";
    Gpu Advisory "gpu.bound" "The GPU is attached to this enclave" "The shared challenge alone does not show this: a GPU elsewhere could answer it." "attestation.md 4.1";
    Transport Advisory "response.origin" "Answers come from the enclave" "Anyone who knows our public key could encrypt an answer to it; only a verified response signature shows the sender." "venice.md 0.2";
}

const UNKNOWN: Entry = Entry {
    id: "",
    group: Group::Hardware,
    enforcement: Enforcement::Enforced,
    title: "A check without a catalogue entry",
    meaning: "This is a defect of the library.",
    source: "",
};

/// What a failed check of a TDX quote means, by family: the first prefix that fits.
const TDX_MEANINGS: &[(&str, &str, &str)] = &[
    (
        "tdx.attributes.debug",
        "In debug mode the operator can read the enclave's memory.",
        "attestation.md 2.5",
    ),
    ("tdx.attributes", "The enclave was started in a way that weakens its protection.", "attestation.md 2.5"),
    (
        "tdx.platform",
        "Only a list of known machines helps against keys that were taken out of one.",
        "attestation.md 4.2 item 9",
    ),
    (
        "tdx.xfam",
        "Unknown CPU features may carry state outside the enclave's protection.",
        "attestation.md 2.5",
    ),
    ("tdx.service_td", "A service TD could take part in moving the enclave elsewhere.", "attestation.md 2.5"),
    (
        "tdx.tcb.evaluation_number",
        "Older collateral with lower thresholds can be replayed.",
        "attestation.md 2.3",
    ),
    (
        "tdx.tcb.status",
        "A platform below an accepted patch level has published vulnerabilities.",
        "attestation.md 2.4",
    ),
    ("tdx.tcb", "Intel lists no accepted patch level for this platform.", "attestation.md 2.4"),
    ("tdx.module", "An unknown TDX module could read the enclave's memory.", "attestation.md 2.4"),
    (
        "tdx.qe_identity",
        "Only Intel's quoting enclave keeps the attestation key honest.",
        "attestation.md 2.4",
    ),
    ("tdx.pck_revoked", "A revoked platform may have lost its keys.", "attestation.md 2.3"),
    ("tdx.pck", "A quote from anything but a provisioned Intel platform ends here.", "attestation.md 2.2"),
    ("tdx.qe_report_signature", "The quote was altered or forged.", "attestation.md 2.2"),
    (
        "tdx.ak_binding",
        "The quote was signed by a key that Intel's quoting enclave did not make.",
        "attestation.md 2.2",
    ),
    ("tdx.quote_signature", "The quote was altered after it was signed.", "attestation.md 2.2"),
    ("tdx", "Altered, old or foreign evidence and collateral can hide a weakness.", "attestation.md 2.1-2.3"),
];

/// The same for an SEV-SNP report, with the group that each belongs to.
const SNP_MEANINGS: &[(&str, Group, &str, &str)] = &[
    (
        "snp.report_data",
        Group::KeyBinding,
        "The evidence was made for another challenge or key than yours.",
        "attestation.md 1.7",
    ),
    ("snp.measurement", Group::Software, "The guest was started from other software.", "attestation.md 1.7"),
    (
        "snp.host_data",
        Group::Software,
        "The host started the guest for something else.",
        "attestation.md 1.7",
    ),
    (
        "snp.id_key",
        Group::Software,
        "The guest was not released by a publisher that you named.",
        "attestation.md 1.7",
    ),
    (
        "snp.author_key",
        Group::Software,
        "The guest was not released by an author that you named.",
        "attestation.md 1.7",
    ),
    (
        "snp.guest_svn",
        Group::Software,
        "An older release of the guest may have known weaknesses.",
        "attestation.md 1.7",
    ),
    (
        "snp.policy.debug",
        Group::Hardware,
        "In debug mode the operator can read the guest's memory.",
        "attestation.md 1.3, 1.8",
    ),
    (
        "snp.policy.migrate_ma",
        Group::Hardware,
        "A migration agent can move the guest, with its secrets, to another machine.",
        "attestation.md 1.3, 1.8",
    ),
    (
        "snp.policy",
        Group::Hardware,
        "The guest was started in a way that weakens its protection.",
        "attestation.md 1.3, 1.8",
    ),
    (
        "snp.platform",
        Group::Hardware,
        "Published attacks work on platforms without this protection.",
        "attestation.md 1.3, 1.8",
    ),
    (
        "snp.vmpl",
        Group::Hardware,
        "Code at another privilege level of the guest asked for the report.",
        "attestation.md 1.8",
    ),
    (
        "snp.tcb.minimum",
        Group::Hardware,
        "Firmware below an accepted patch level has published vulnerabilities. Without a minimum nothing is known about them.",
        "attestation.md 1.8",
    ),
    (
        "snp.firmware.minimum",
        Group::Hardware,
        "Firmware below an accepted version has published vulnerabilities. Without a minimum nothing is known about them.",
        "attestation.md 1.8",
    ),
    (
        "snp.tcb.provisional",
        Group::Hardware,
        "The operator can still go back to firmware with known vulnerabilities.",
        "attestation.md 1.7",
    ),
    (
        "snp.tcb.inconsistent",
        Group::Hardware,
        "No genuine firmware states such levels.",
        "attestation.md 1.7",
    ),
    (
        "snp.tcb",
        Group::Hardware,
        "The key that signed is of another patch level than the report states.",
        "attestation.md 1.2, 1.4",
    ),
    (
        "snp.chip_id.allowed",
        Group::Hardware,
        "Only a list of known machines helps against keys that were taken out of a chip.",
        "attestation.md 4.2 item 9",
    ),
    (
        "snp.chip_id",
        Group::Hardware,
        "The key that signed is of another chip than the report names.",
        "attestation.md 1.4",
    ),
    (
        "snp.vlek",
        Group::Hardware,
        "A cloud provider's key shows whose platform it is and not which machine.",
        "attestation.md 1.8",
    ),
    ("snp.crl", Group::Hardware, "A revoked issuer may have lost its key.", "attestation.md 1.6"),
    (
        "snp.chain",
        Group::Hardware,
        "A report from anything but a genuine AMD platform ends here.",
        "attestation.md 1.4, 1.6",
    ),
    (
        "snp.vek",
        Group::Hardware,
        "Without the signing key's certificate nothing is proven.",
        "attestation.md 1.5",
    ),
    (
        "snp.product",
        Group::Hardware,
        "Each product has its own root and its own layout.",
        "attestation.md 1.2",
    ),
    ("snp.signature", Group::Hardware, "The report was altered or forged.", "attestation.md 1.1"),
    (
        "snp",
        Group::Hardware,
        "Altered or foreign reports are refused before any field is used.",
        "attestation.md 1.1",
    ),
];

/// What a failed check of a Contrast deployment means, by family: the first prefix that fits.
const CONTRAST_MEANINGS: &[(&str, Group, &str, &str)] = &[
    (
        "contrast.document",
        Group::Transport,
        "A document that cannot be read strictly is not trusted in part.",
        "privatemode.md 3.1",
    ),
    (
        "contrast.history",
        Group::Software,
        "A deployment whose manifest can be replaced may run anything by tomorrow, and may have run anything before.",
        "privatemode.md 3.6 step 4",
    ),
    (
        "contrast.manifest.form",
        Group::Software,
        "A manifest that two readers could read differently describes no deployment.",
        "privatemode.md 3.5",
    ),
    (
        "contrast.manifest",
        Group::Software,
        "The deployment runs other software, or accepts other hardware, than the one that is expected.",
        "privatemode.md 3.6 step 4",
    ),
    (
        "contrast.reference",
        Group::Hardware,
        "The coordinator runs on hardware that its own manifest does not accept.",
        "privatemode.md 3.3, 3.4",
    ),
    (
        "contrast.mesh_ca",
        Group::KeyBinding,
        "Certificates of the deployment's workloads prove nothing without their authority.",
        "privatemode.md 3.6 step 5",
    ),
    (
        "contrast.secret.names",
        Group::KeyBinding,
        "Any workload of the deployment could have answered in the key service's place.",
        "privatemode.md 4.2",
    ),
    (
        "contrast.secret",
        Group::KeyBinding,
        "Somebody outside the deployment may have answered, and would read everything that is sent.",
        "privatemode.md 4.2",
    ),
    (
        "contrast",
        Group::Hardware,
        "The coordinator's platform or guest is not as protected as the manifest demands.",
        "privatemode.md 3.3, 3.4",
    ),
];

/// The entry of a check id without scope; an id that nobody listed is enforced.
pub fn entry(id: &str) -> Entry {
    find(id).unwrap_or(UNKNOWN)
}

/// The entry of a check id without scope, if there is one.
pub fn find(id: &str) -> Option<Entry> {
    if let Some(entry) = ENTRIES.iter().find(|entry| entry.id == id) {
        return Some(*entry);
    }
    let (check, group, meaning, source) = if let Some(check) = tdx::CHECKS.iter().find(|check| check.id == id)
    {
        let (_, meaning, source) = TDX_MEANINGS.iter().find(|(prefix, ..)| check.id.starts_with(prefix))?;
        (check, Group::Hardware, meaning, source)
    } else if let Some(check) = contrast::CHECKS.iter().find(|check| check.id == id) {
        let (_, group, meaning, source) =
            CONTRAST_MEANINGS.iter().find(|(prefix, ..)| check.id.starts_with(prefix))?;
        (check, *group, meaning, source)
    } else {
        let check = snp::CHECKS.iter().find(|check| check.id == id)?;
        let (_, group, meaning, source) =
            SNP_MEANINGS.iter().find(|(prefix, ..)| check.id.starts_with(prefix))?;
        (check, *group, meaning, source)
    };
    Some(Entry {
        id: check.id,
        group,
        enforcement: Enforcement::Enforced,
        title: check.title,
        meaning,
        source,
    })
}

/// The id without the scope in front that a report of several enclaves gives it (`gateway.nonce.cpu`).
pub fn without_scope(id: &str) -> &str {
    let mut name = id;
    while find(name).is_none() {
        match name.split_once('.') {
            Some((_, rest)) => name = rest,
            None => return id,
        }
    }
    name
}

/// Every id that has an entry.
pub fn ids() -> impl Iterator<Item = &'static str> {
    let checks = tdx::CHECKS.iter().chain(snp::CHECKS).chain(contrast::CHECKS);
    ENTRIES.iter().map(|entry| entry.id).chain(checks.map(|check| check.id))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_unique_and_described() {
        for (i, entry) in ENTRIES.iter().enumerate() {
            assert!(ENTRIES.iter().skip(i + 1).all(|other| other.id != entry.id), "{}", entry.id);
            assert!(entry.meaning.ends_with(['.', ')']) && !entry.title.ends_with('.'), "{}", entry.id);
        }
        for id in ids() {
            assert_eq!(find(id).map(|entry| entry.id), Some(id));
        }
        assert_eq!(entry("nonsense").enforcement, Enforcement::Enforced);
        for (id, expected) in [
            ("nonce.cpu", "nonce.cpu"),
            ("gateway.nonce.cpu", "nonce.cpu"),
            ("model.missing", "missing"),
            ("tdx.policy.mr_config_id", "tdx.policy.mr_config_id"),
            ("a.b.nonsense", "a.b.nonsense"),
        ] {
            assert_eq!(without_scope(id), expected);
        }
    }
}
