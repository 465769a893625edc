//! dstack guests: application description, event log with digests of both versions, and the registers that follow from it
//! (venice.md 2.8, attestation.md 4.2).

use proveil_core::wire::json::Json;
use sha2::{Digest, Sha256, Sha384};

use super::random::Random;
use super::text::{hex, number, object, string};

/// Event type of dstack's runtime events.
pub const RUNTIME_EVENT: u32 = 0x0800_0001;

/// How the digest of a runtime event is computed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DigestVersion {
    /// SHA-384 of type, name and payload with colons between; no `version` member.
    V1,
    /// SHA-384 of a canonical JSON object, which is served as `preimage`.
    V2,
}

/// One entry of an event log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    /// Register: 0 to 3.
    pub imr: u32,
    /// TCG event type, or [`RUNTIME_EVENT`].
    pub event_type: u32,
    /// Digest as served, 48 bytes, or empty.
    pub digest: Vec<u8>,
    /// Name of a runtime event; empty for firmware events.
    pub name: String,
    /// Payload.
    pub payload: Vec<u8>,
    /// `version` member.
    pub version: Option<u64>,
    /// `preimage` member.
    pub preimage: Option<Vec<u8>>,
}

impl Event {
    /// A runtime event in RTMR3 with its proper digest.
    pub fn runtime(name: &str, payload: &[u8], version: DigestVersion) -> Event {
        let preimage = match version {
            DigestVersion::V1 => {
                [&RUNTIME_EVENT.to_le_bytes(), b":".as_slice(), name.as_bytes(), b":", payload].concat()
            }
            DigestVersion::V2 => {
                let members = [
                    ("name", string(name)),
                    ("payload", hex(payload)),
                    ("type", number(u64::from(RUNTIME_EVENT))),
                ];
                object(members).to_canonical().into_bytes()
            }
        };
        let is_v2 = version == DigestVersion::V2;
        Event {
            imr: 3,
            event_type: RUNTIME_EVENT,
            digest: Sha384::digest(&preimage).to_vec(),
            name: name.to_owned(),
            payload: payload.to_vec(),
            version: is_v2.then_some(2),
            preimage: is_v2.then_some(preimage),
        }
    }

    /// A firmware event: only its digest counts.
    pub fn firmware(imr: u32, event_type: u32, payload: &[u8], digest: [u8; 48]) -> Event {
        Event {
            imr,
            event_type,
            digest: digest.to_vec(),
            name: String::new(),
            payload: payload.to_vec(),
            version: None,
            preimage: None,
        }
    }

    /// The event as an object, members in alphabetical order as Venice serves them.
    pub fn to_json(&self) -> Json {
        let mut members = vec![
            ("digest".to_owned(), hex(&self.digest)),
            ("event".to_owned(), string(self.name.as_str())),
            ("event_payload".to_owned(), hex(&self.payload)),
            ("event_type".to_owned(), number(self.event_type.into())),
            ("imr".to_owned(), number(self.imr.into())),
        ];
        if let Some(preimage) = &self.preimage {
            members.push(("preimage".to_owned(), hex(preimage)));
        }
        if let Some(version) = self.version {
            members.push(("version".to_owned(), number(version)));
        }
        Json::Object(members)
    }
}

/// An event log.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct EventLog(pub Vec<Event>);

impl EventLog {
    /// Value of a register after the whole log: `SHA-384(old || digest)` for each of its events.
    pub fn register(&self, imr: u32) -> [u8; 48] {
        self.0.iter().filter(|event| event.imr == imr).fold([0; 48], |value, event| {
            let mut digest = event.digest.clone();
            digest.resize(48, 0);
            Sha384::new().chain_update(value).chain_update(digest).finalize().into()
        })
    }

    /// RTMR0 to RTMR3.
    pub fn registers(&self) -> [[u8; 48]; 4] {
        [0, 1, 2, 3].map(|imr| self.register(imr))
    }

    /// The log as an array.
    pub fn to_json(&self) -> Json {
        Json::Array(self.0.iter().map(Event::to_json).collect())
    }

    /// First event with this name.
    pub fn find_mut(&mut self, name: &str) -> Option<&mut Event> {
        self.0.iter_mut().find(|event| event.name == name)
    }

    /// Puts `event` right after the first event with this name.
    pub fn insert_after(&mut self, name: &str, event: Event) {
        let position = self.0.iter().position(|other| other.name == name);
        let at = position.map_or(self.0.len(), |index| index.saturating_add(1));
        self.0.insert(at, event);
    }
}

/// What a guest was started with.
#[derive(Clone, Debug)]
pub struct AppSpec {
    /// `app_compose`: the exact text that is hashed.
    pub app_compose: String,
    /// Name of the application and of the guest image.
    pub name: String,
    /// `app-id` event.
    pub app_id: [u8; 20],
    /// `instance-id` event.
    pub instance_id: [u8; 20],
    /// `mr-kms` event.
    pub mr_kms: [u8; 32],
    /// `os-image-hash` event.
    pub os_image_hash: [u8; 32],
    /// `key-provider` event: JSON text.
    pub key_provider: String,
    /// Digest form of the runtime events.
    pub digest_version: DigestVersion,
}

/// Name of the simulated guest image.
const IMAGE: &str = "proveil-simulated-guest-1.0";

const COMPOSE_FILE: &str = "services:\n  inference:\n    image: example.invalid/simulated-inference@sha256:0000000000000000000000000000000000000000000000000000000000000000\n    restart: unless-stopped\n    environment:\n      - MODEL=${MODEL}\n  compose-manager:\n    image: example.invalid/simulated-compose-manager@sha256:1111111111111111111111111111111111111111111111111111111111111111\n    volumes:\n      - /var/run/dstack.sock:/var/run/dstack.sock\n";

impl AppSpec {
    /// A simulated inference application with random identities.
    pub fn simulated(random: &mut Random) -> AppSpec {
        let mut compose_file = String::new();
        proveil_core::wire::json::write_string(COMPOSE_FILE, &mut compose_file);
        // Written out by hand: dstack hashes this text as it is, indentation included.
        let app_compose = format!(
            "{{\n    \"manifest_version\": 2,\n    \"name\": \"{IMAGE}\",\n    \"runner\": \"docker-compose\",\n    \
             \"docker_compose_file\": {compose_file},\n    \"kms_enabled\": true,\n    \"gateway_enabled\": true,\n    \
             \"public_logs\": false,\n    \"allowed_envs\": [\n        \"MODEL\"\n    ],\n    \"no_instance_id\": false,\n    \
             \"secure_time\": false\n}}\n"
        );
        let kms_key = const_hex::encode(random.bytes::<32>());
        AppSpec {
            app_compose,
            name: IMAGE.to_owned(),
            app_id: random.bytes(),
            instance_id: random.bytes(),
            mr_kms: random.bytes(),
            os_image_hash: random.bytes(),
            key_provider: format!("{{\"name\":\"kms\",\"id\":\"{kms_key}\"}}"),
            digest_version: DigestVersion::V1,
        }
    }

    /// SHA-256 of the application description.
    pub fn compose_hash(&self) -> [u8; 32] {
        Sha256::digest(&self.app_compose).into()
    }

    /// MR_CONFIG_ID of form 01: `01 || compose hash || 15 zero bytes`.
    pub fn mr_config_id(&self) -> [u8; 48] {
        let mut out = [0; 48];
        out.iter_mut().zip([1].into_iter().chain(self.compose_hash())).for_each(|(to, from)| *to = from);
        out
    }

    /// Virtual machine settings, a JSON text.
    pub fn vm_config(&self, gpus: usize) -> String {
        object([
            ("spec_version", number(1)),
            ("os_image_hash", hex(&self.os_image_hash)),
            ("cpu_count", number(64)),
            ("memory_size", number(2_199_023_255_552)),
            ("qemu_version", string("9.2.1")),
            ("hugepages", Json::Bool(false)),
            ("num_gpus", number(u64::try_from(gpus).unwrap_or(0))),
            ("num_nvswitches", number(0)),
            ("hotplug_off", Json::Bool(true)),
            ("image", string(IMAGE)),
        ])
        .to_compact()
    }

    /// The log of one boot: firmware events with random digests, then dstack's own in boot order.
    pub fn boot(&self, random: &mut Random) -> EventLog {
        /// Register, event type and payload of the firmware events of one boot, in the order of a captured log.
        const FIRMWARE: [(u32, u32, &[u8]); 12] = [
            (0, 0x8000_000b, b"\x09TdxTable\0\x01\0\0\0"),
            (0, 0x8000_000a, b")Fv(XXXXXXXX-XXXX-XXXX-XXXX-XXXXXXXXXXXX)\0"),
            (0, 0x8000_0001, b"S\0e\0c\0u\0r\0e\0B\0o\0o\0t\0"),
            (0, 4, &[0, 0, 0, 0]),
            (0, 10, b"ACPI DATA"),
            (1, 0x8000_0003, b"\x18\x20\xfe\x7a"),
            (0, 0x8000_0002, b"B\0o\0o\0t\0O\0r\0d\0e\0r\0"),
            (1, 0x8000_0007, b"Calling EFI Application from Boot Option"),
            (1, 4, &[0, 0, 0, 0]),
            (2, 6, b"LOADED_IMAGE::LoadOptions\0"),
            (2, 6, b"Linux initrd\0"),
            (1, 0x8000_0007, b"Exit Boot Services Returned with Success"),
        ];
        let firmware = FIRMWARE
            .into_iter()
            .map(|(imr, kind, payload)| Event::firmware(imr, kind, payload, random.bytes()));
        let compose_hash = self.compose_hash();
        let runtime: [(&str, &[u8]); 10] = [
            ("system-preparing", &[]),
            ("app-id", &self.app_id),
            ("compose-hash", &compose_hash),
            ("instance-id", &self.instance_id),
            ("boot-mr-done", &[]),
            ("mr-kms", &self.mr_kms),
            ("os-image-hash", &self.os_image_hash),
            ("key-provider", self.key_provider.as_bytes()),
            ("storage-fs", b"zfs"),
            ("system-ready", &[]),
        ];
        let runtime =
            runtime.into_iter().map(|(name, payload)| Event::runtime(name, payload, self.digest_version));
        EventLog(firmware.chain(runtime).collect())
    }
}
