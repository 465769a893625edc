//! What a dstack guest measured about itself before it started applications (`protocols/venice.md` 2.8).

/// Facts of a dstack event log that leads to the measured registers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DstackClaims {
    /// Application id, 20 bytes. Under a key management service it may be any value: compare with a pinned one, do not derive it.
    pub app_id: [u8; 20],
    /// SHA-256 of the application description.
    pub compose_hash: [u8; 32],
    /// True when an application description was given and has this hash.
    pub compose_matches: bool,
    /// Instance id; absent when the guest has none.
    pub instance_id: Option<[u8; 20]>,
    /// Hash that names the guest operating system's image, as the guest states it.
    pub os_image_hash: Option<[u8; 32]>,
    /// Where the guest's keys come from.
    pub key_provider: Option<KeyProvider>,
    /// What MR_CONFIG_ID binds.
    pub mr_config: MrConfig,
    /// Run-time events in order.
    pub events: Vec<RuntimeEvent>,
    /// True when RTMR0 to RTMR2 follow from the log too, not only RTMR3.
    pub all_registers: bool,
}

/// Source of a guest's keys.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyProvider {
    /// `kms`, `local-sgx`, `tpm`, `none`, ...
    pub name: String,
    /// Its identity, mostly a public key in hex.
    pub id: String,
}

/// Meaning of MR_CONFIG_ID, which the host sets at launch and cannot change later.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MrConfig {
    /// All zero: not used.
    Unused,
    /// Version 1: binds the compose hash.
    Compose,
    /// Version 2: binds compose hash, application id and key provider.
    ComposeAppAndKeyProvider,
    /// Version 3: binds a document that was given and matches.
    Document,
    /// Version 3, but no document was given: it binds nothing that is known here.
    DocumentNotGiven,
}

/// A run-time event whose digest was recomputed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RuntimeEvent {
    /// Name.
    pub name: String,
    /// Payload.
    pub payload: Vec<u8>,
    /// True for events from `system-ready` on: made by applications, not by the guest system.
    pub by_application: bool,
}
