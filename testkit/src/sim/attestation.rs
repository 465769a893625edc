//! The attestation answer of a simulated enclave, member for member like a captured one (venice.md 2.2 shapes a and b), honest or
//! with any defect of [`super::Stage::Attestation`].

use std::collections::BTreeSet;

use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use proveil_core::wire::json::Json;
use sha2::{Digest, Sha256};

use super::config::{QuoteEncoding, Shape};
use super::defect::Defect;
use super::models::Model;
use crate::forge::dstack::{DigestVersion, Event};
use crate::forge::gpu::{GpuReportSpec, NvidiaPki, evidence_entry, payload};
use crate::forge::intel::IntelPki;
use crate::forge::quote::TdBody;
use crate::forge::world::{Guest, report_data};
use crate::forge::{EnclaveKey, Random, World, object, rfc3339, string};

/// What an attestation answer is made from.
pub struct Attestation<'a> {
    /// The world it is proven in.
    pub world: &'a World,
    /// Model asked for.
    pub model: &'a Model,
    /// The enclave's key for that model.
    pub key: &'a EnclaveKey,
    /// A key of somebody else: a relay's, or another model's enclave's.
    pub other_key: &'a EnclaveKey,
    /// The client's nonce.
    pub nonce: [u8; 32],
    /// Kind of enclave.
    pub shape: Shape,
    /// Encoding of quotes.
    pub encoding: QuoteEncoding,
    /// 4 or 5.
    pub quote_version: u16,
    /// What is wrong.
    pub defects: &'a BTreeSet<Defect>,
}

/// Members of an object that is being made.
struct Members(Vec<(String, Json)>);

impl Members {
    fn set(&mut self, name: &str, value: Json) {
        match self.0.iter_mut().find(|(member, _)| member == name) {
            Some((_, old)) => *old = value,
            None => self.0.push((name.to_owned(), value)),
        }
    }

    fn remove(&mut self, name: &str) {
        self.0.retain(|(member, _)| member != name);
    }
}

/// Everything about one answer that follows from the defects before anything is signed.
struct Made {
    /// The guest that every quote is of.
    measured: Guest,
    /// The guest that the answer describes.
    guest: Guest,
    report_data: [u8; 64],
    quote: Vec<u8>,
    nonce_text: String,
    gpu_payload: String,
}

impl Attestation<'_> {
    /// The JSON text of the answer.
    pub fn to_text(&self, random: &mut Random) -> String {
        let nonce = if self.has(Defect::NonceReplay) { random.bytes() } else { self.nonce };
        let made = self.make(nonce, random);
        let mut members = match self.shape {
            Shape::Near => self.near_members(&made, nonce, random),
            Shape::Aci => Members(Vec::new()),
        };
        self.venice_members(&made, &mut members);
        if self.shape == Shape::Aci {
            self.aci_members(&made, &mut members, random);
        }
        self.edit_members(&made, &mut members, random);
        Json::Object(members.0).to_compact()
    }

    fn has(&self, defect: Defect) -> bool {
        self.defects.contains(&defect)
    }

    fn enclave_key(&self) -> &EnclaveKey {
        if self.has(Defect::DivertedEnclave) { self.other_key } else { self.key }
    }

    fn make(&self, nonce: [u8; 32], random: &mut Random) -> Made {
        let signed_nonce = if self.has(Defect::NonceEchoOnly) { random.bytes() } else { nonce };
        let mut report_data = report_data(&self.enclave_key().address(), &signed_nonce);
        if self.has(Defect::ReportDataPadding) {
            report_data[25] = 1;
        }
        let mut guest = self.world.guest.clone();
        if self.has(Defect::SoftwareUpdated) {
            guest.app.app_compose = guest.app.app_compose.replace(&"0".repeat(64), &"2".repeat(64));
            let (hash, version) = (guest.app.compose_hash(), guest.app.digest_version);
            if let Some(event) = guest.log.find_mut("compose-hash") {
                *event = Event::runtime("compose-hash", &hash, version);
            }
        }
        if self.has(Defect::EventLogDuplicate) {
            let second = Event::runtime("compose-hash", &random.bytes::<32>(), DigestVersion::V1);
            guest.log.insert_after("compose-hash", second);
        }
        let quote = self.quote(&guest, report_data, random);
        let gpu_payload = self.gpu_payload(nonce, random);
        // From here on the guest is only described, not measured.
        let measured = guest.clone();
        if self.has(Defect::EventLogPayload)
            && let Some(event) = guest.log.find_mut("compose-hash")
        {
            event.payload = random.bytes::<32>().to_vec();
        }
        if self.has(Defect::EventLogReordered)
            && let Some(first) = guest.log.0.iter().position(|event| event.name == "app-id")
        {
            guest.log.0.swap(first, first.saturating_add(1));
        }
        if self.has(Defect::ComposeEdited) {
            guest.app.app_compose =
                guest.app.app_compose.replace("\"public_logs\": false", "\"public_logs\": true");
        }
        Made { measured, guest, report_data, quote, nonce_text: const_hex::encode(nonce), gpu_payload }
    }

    /// The main quote, signed with whatever is wrong about it, then damaged if asked.
    fn quote(&self, guest: &Guest, report_data: [u8; 64], random: &mut Random) -> Vec<u8> {
        let mut quote = self.sign(self.body(guest, report_data), true, random);
        if self.has(Defect::TamperedQuote)
            && let Some(byte) = quote.get_mut(200)
        {
            *byte ^= 1;
        }
        if self.has(Defect::TruncatedQuote) {
            quote.truncate(quote.len().saturating_sub(170));
        }
        if self.has(Defect::TrailingBytes) {
            quote.extend_from_slice(b"more");
        }
        quote
    }

    /// What is wrong with a TD is wrong in each of its quotes.
    fn body(&self, guest: &Guest, report_data: [u8; 64]) -> TdBody {
        let mut body = guest.body(report_data);
        if self.has(Defect::DebugTd) {
            body.td_attributes[0] |= 1;
        }
        if self.has(Defect::MigratableTd) {
            body.td_attributes[3] |= 0x20;
        }
        if self.has(Defect::ForbiddenXfam) {
            body.xfam[7] |= 0x80;
        }
        if self.has(Defect::ServiceTd) {
            body.mr_service_td[0] = 1;
        }
        if self.has(Defect::OtherTdxModule) {
            body.mr_signer_seam[0] = 1;
        }
        if self.has(Defect::OtherConfigId) {
            body.mr_config_id[7] ^= 1;
        }
        body
    }

    fn sign(&self, body: TdBody, is_main: bool, random: &mut Random) -> Vec<u8> {
        let has = |defect| is_main && self.has(defect);
        let version = if has(Defect::ServiceTd) { 5 } else { self.quote_version };
        let mut spec = crate::forge::QuoteSpec::new(version, body, random);
        // As in the captured quotes.
        spec.padding = 70;
        if has(Defect::WrongTeeType) {
            spec.tee_type = 0;
        }
        if has(Defect::AkNotBound) {
            spec.qe.report_data = Some(random.bytes());
        }
        if has(Defect::OtherQuotingEnclave) {
            spec.qe.mr_signer = random.bytes();
        }
        if has(Defect::LookalikeRoot) {
            let lookalike = IntelPki::generate(random, self.world.now);
            let platform = lookalike.platform(random, self.world.platform.spec.clone());
            return spec.sign(&platform, &self.world.guest.attestation_key);
        }
        self.world.sign_quote(&spec)
    }

    fn gpu_payload(&self, nonce: [u8; 32], random: &mut Random) -> String {
        if self.has(Defect::GpuMissing) {
            return payload(&nonce, Vec::new());
        }
        let mut list = self.world.gpu_evidence(nonce, random);
        let first = self.world.gpus.first().cloned();
        if self.has(Defect::GpuDuplicate)
            && let Some(entry) = list.first().cloned()
        {
            if list.len() > 1 {
                list.remove(1);
            }
            list.push(entry);
        }
        let replacement = first.and_then(|mut gpu| {
            if self.has(Defect::GpuLookalikeRoot) {
                gpu = NvidiaPki::generate(random, self.world.now).gpu(random);
            }
            let mut spec = GpuReportSpec::new(&gpu, nonce, random);
            if self.has(Defect::GpuOtherNonce) {
                spec.nonce = random.bytes();
            }
            if self.has(Defect::GpuFirmwareId) {
                let firmware = spec.opaque.iter_mut().find(|(kind, _)| *kind == 20);
                firmware.into_iter().for_each(|(_, value)| *value = random.bytes::<48>().to_vec());
            }
            let mut report = spec.sign(&gpu);
            if self.has(Defect::GpuBadSignature) {
                report.get_mut(200).into_iter().for_each(|byte| *byte ^= 1);
            }
            let changed = [
                Defect::GpuLookalikeRoot,
                Defect::GpuOtherNonce,
                Defect::GpuFirmwareId,
                Defect::GpuBadSignature,
            ];
            changed
                .iter()
                .any(|defect| self.has(*defect))
                .then(|| evidence_entry(&gpu.chain_pem, &report, &nonce))
        });
        if let (Some(replacement), Some(entry)) = (replacement, list.first_mut()) {
            *entry = replacement;
        }
        payload(&nonce, list)
    }

    fn encode(&self, quote: &[u8]) -> Json {
        string(match self.encoding {
            QuoteEncoding::Hex => const_hex::encode(quote),
            QuoteEncoding::HexPrefixed => const_hex::encode_prefixed(quote),
            QuoteEncoding::Base64 => STANDARD.encode(quote),
            QuoteEncoding::Base64Url => URL_SAFE_NO_PAD.encode(quote),
        })
    }

    fn near_members(&self, made: &Made, nonce: [u8; 32], random: &mut Random) -> Members {
        let manager = self.compose_manager(&made.measured, nonce, random);
        let guest = &made.guest;
        let mut signature = guest.ohttp_signature();
        if self.has(Defect::OhttpKey) {
            signature[0] ^= 1;
        }
        let ohttp_config = string(const_hex::encode(&guest.ohttp_config));
        let ohttp = object([
            ("signing_algo", string("ed25519")),
            ("signing_key", string(const_hex::encode(guest.ohttp_key.verifying_key().to_bytes()))),
            ("key_config", ohttp_config.clone()),
            ("signature", string(const_hex::encode(signature))),
        ]);
        let key = self.enclave_key();
        let mut members = Members(Vec::new());
        members.set("model_name", string(self.model.upstream));
        members.set("signing_address", string(const_hex::encode_prefixed(key.address())));
        members.set("signing_algo", string("ecdsa"));
        members.set("signing_public_key", string(const_hex::encode(key.public_point())));
        members.set("request_nonce", string(made.nonce_text.as_str()));
        members.set("intel_quote", self.encode(&made.quote));
        members.set("nvidia_payload", string(made.gpu_payload.as_str()));
        members.set("event_log", guest.log.to_json());
        let body = self.body(&made.measured, made.report_data);
        members.set("info", guest.info(&body, &self.world.platform, self.world.gpus.len()));
        members.set("ohttp_attestation", ohttp);
        members.set("compose_manager_attestation", manager);
        members.set("ohttp_key_config", ohttp_config);
        members
    }

    /// The second quote of the same TD: REPORTDATA is the hash of the action list and the nonce (attestation.md 4.2, 6).
    fn compose_manager(&self, guest: &Guest, nonce: [u8; 32], random: &mut Random) -> Json {
        let action = |days: u64, kind: &str, tag: &str| {
            // Names in alphabetical order, so that the list hashes alike as served and sorted.
            object([
                ("action", string(kind)),
                ("tag", string(tag)),
                ("timestamp", string(rfc3339(self.world.now.saturating_sub(days.saturating_mul(86_400))))),
            ])
        };
        let actions = Json::Array(vec![
            action(12, "compose_up", "v1.0.0"),
            action(9, "docker_restart", "v1.0.0"),
            action(5, "compose_up", "v1.0.1"),
        ]);
        let mut actions_hash: [u8; 32] = Sha256::digest(actions.to_compact()).into();
        let data = self.manager_report_data(&actions_hash, nonce);
        let quote = self.sign(self.body(guest, data), false, random);
        if self.has(Defect::ComposeManager) {
            actions_hash[0] ^= 1;
        }
        let event_log = guest.log.to_json().to_compact();
        object([
            ("actions", actions),
            ("actions_hash", string(const_hex::encode(actions_hash))),
            ("nonce", string(const_hex::encode(nonce))),
            ("nonce_source", string("client")),
            ("quote", string(const_hex::encode(quote))),
            ("event_log", string(event_log)),
            ("report_data", string(const_hex::encode(data))),
            ("vm_config", string(guest.app.vm_config(self.world.gpus.len()))),
        ])
    }

    fn manager_report_data(&self, actions_hash: &[u8; 32], nonce: [u8; 32]) -> [u8; 64] {
        let mut data = [0; 64];
        data.iter_mut().zip(actions_hash.iter().chain(&nonce)).for_each(|(to, from)| *to = *from);
        data
    }

    /// What Venice adds to its upstream's answer.
    fn venice_members(&self, made: &Made, members: &mut Members) {
        let key = self.enclave_key();
        let near = self.shape == Shape::Near;
        if near {
            members.set("signing_key", string(const_hex::encode(key.public_point())));
        } else {
            members.set("signing_public_key", string(const_hex::encode(key.public_point())));
            members.set("signing_address", string(const_hex::encode_prefixed(key.address())));
            members.set("signing_algo", string("ecdsa"));
            members.set("intel_quote", self.encode(&made.quote));
            members.set("nvidia_payload", string(made.gpu_payload.as_str()));
        }
        members.set("verified", Json::Bool(true));
        members.set("model", string(self.model.id));
        members.set("nonce", string(made.nonce_text.as_str()));
        members.set("nonce_source", string("client"));
        members.set("tee_provider", string(if near { "near-ai" } else { "phala" }));
        members.set("tee_hardware", string("intel-tdx"));
        members.set("upstream_model", string(self.model.upstream));
        members.set("server_verification", self.server_verification(made));
        members.set("candidates_evaluated", Json::Number(1u64.into()));
        members.set("candidates_available", Json::Number(1u64.into()));
    }

    fn server_verification(&self, made: &Made) -> Json {
        let yes = || Json::Bool(true);
        let body = self.body(&made.measured, made.report_data);
        let hex = |bytes: &[u8]| string(const_hex::encode(bytes));
        let [rtmr0, rtmr1, rtmr2, rtmr3] = body.rtmr;
        let measurements = object([
            ("mrtd", hex(&body.mr_td)),
            ("mrconfigid", hex(&body.mr_config_id)),
            ("mrowner", hex(&body.mr_owner)),
            ("mrownerconfig", hex(&body.mr_owner_config)),
            ("rtmr0", hex(&rtmr0)),
            ("rtmr1", hex(&rtmr1)),
            ("rtmr2", hex(&rtmr2)),
            ("rtmr3", hex(&rtmr3)),
            ("tdAttributes", hex(&body.td_attributes)),
            ("xfam", hex(&body.xfam)),
        ]);
        let bound = |method: &str| object([("bound", yes()), ("method", string(method))]);
        object([
            (
                "tdx",
                object([
                    ("valid", yes()),
                    ("signatureValid", yes()),
                    ("certificateChainValid", yes()),
                    ("rootCaPinned", yes()),
                    ("attestationKeyMatch", yes()),
                    ("reportData", hex(&made.report_data)),
                    ("measurements", measurements),
                    ("crlCheck", object([("checked", yes()), ("revoked", Json::Bool(false))])),
                ]),
            ),
            (
                "nvidia",
                object([
                    ("valid", yes()),
                    ("signatureVerified", yes()),
                    ("certificateChainStatus", object([("valid", yes()), ("intermediatePinned", yes())])),
                ]),
            ),
            (
                "signingAddressBinding",
                object([
                    ("bound", yes()),
                    ("reportDataAddress", string(const_hex::encode_prefixed(self.enclave_key().address()))),
                ]),
            ),
            ("nonceBinding", bound("raw")),
            ("nvidiaNonceBinding", bound("nvidia_payload")),
            ("verifiedAt", string(rfc3339(self.world.now).replace('Z', ".391Z"))),
            ("verificationDurationMs", Json::Number(213u64.into())),
        ])
    }

    /// The nested ACI members (venice.md 2.2 b, draft B keyset).
    fn aci_members(&self, made: &Made, members: &mut Members, random: &mut Random) {
        let key = |algorithm: &str, id: &str, random: &mut Random| {
            let public_key = const_hex::encode(random.bytes::<32>());
            let entry =
                [("algo", string(algorithm)), ("key_id", string(id)), ("public_key", string(public_key))];
            Json::Array(vec![object(entry)])
        };
        let tls = object([("spki_sha256", string(const_hex::encode(random.bytes::<32>())))]);
        let keyset = object([
            ("e2ee_public_keys", key("x25519-aes-256-gcm-hkdf-sha256", "e2ee-1", random)),
            ("not_after", Json::Number(self.world.now.saturating_add(2_592_000).into())),
            ("receipt_signing_keys", key("ed25519", "receipt-1", random)),
            ("subject", string("simulated-gateway")),
            ("tls_public_keys", Json::Array(vec![tls])),
        ]);
        let digest = format!("sha256:{}", const_hex::encode(Sha256::digest(keyset.to_canonical())));
        let data = string(const_hex::encode(made.report_data));
        let app = &made.guest.app;
        let evidence = object([
            ("quote", string(const_hex::encode(&made.quote))),
            ("quote_report_data", data.clone()),
            ("event_log", string(made.guest.log.to_json().to_compact())),
            ("vm_config", string(app.vm_config(self.world.gpus.len()))),
            ("app_compose", string(app.app_compose.as_str())),
        ]);
        let provenance = object([
            ("repo_url", string("https://example.invalid/simulated-gateway")),
            ("repo_commit", string("0".repeat(40))),
            ("image_digest", string(format!("sha256:{}", "0".repeat(64)))),
            ("image_provenance", Json::Null),
        ]);
        let attestation = object([
            ("tee_type", string("tdx")),
            ("workload_keyset", keyset),
            ("report_data", data),
            ("source_provenance", provenance),
            ("evidence", evidence),
        ]);
        members.set("api_version", string("aci/1"));
        members.set("workload_keyset_digest", string(digest));
        members.set("service_capabilities", object([("e2ee", Json::Bool(true))]));
        members.set("attestation", attestation);
        let copy = Json::Object(members.0.clone());
        members.set("all_attestations", Json::Array(vec![copy]));
    }

    /// Defects of the answer's own members, after everything signed is in place.
    fn edit_members(&self, made: &Made, members: &mut Members, random: &mut Random) {
        let key_member = if self.shape == Shape::Near { "signing_key" } else { "signing_public_key" };
        let other_point = || string(const_hex::encode(self.other_key.public_point()));
        let other_address = || string(const_hex::encode_prefixed(self.other_key.address()));
        if self.has(Defect::KeySwap) {
            members.set("signing_key", other_point());
            members.set("signing_public_key", other_point());
            members.set("signing_address", other_address());
        }
        if self.has(Defect::KeyMissing) {
            members.remove("signing_key");
            members.remove("signing_public_key");
        }
        if self.has(Defect::KeyOffCurve) {
            members.remove("signing_public_key");
            members.set("signing_key", string(format!("04{}", "11".repeat(64))));
        }
        if self.has(Defect::ConflictingKeys) {
            let right = string(const_hex::encode(self.key.public_point()));
            members.set("signing_public_key", right);
            members.set("signing_key", other_point());
        }
        if self.has(Defect::AddressMismatch) {
            members.set("signing_address", other_address());
        }
        if self.has(Defect::ConflictingQuotes) {
            let second = self.sign(self.body(&made.measured, made.report_data), false, random);
            let evidence = object([("quote", string(const_hex::encode(second)))]);
            members.set("attestation", object([("evidence", evidence)]));
        }
        if self.has(Defect::QuoteConfusion) {
            let data = self.manager_report_data(&random.bytes(), self.nonce);
            let quote = self.sign(self.body(&made.measured, data), false, random);
            members.remove("attestation");
            members.remove("all_attestations");
            members.set("intel_quote", self.encode(&quote));
        }
        if self.has(Defect::QuoteMissing) {
            members.remove("intel_quote");
            members.remove("attestation");
            members.remove("all_attestations");
        }
        if self.has(Defect::VerifiedFalse) {
            members.set("verified", Json::Bool(false));
        }
        if self.has(Defect::VerifiedMissing) {
            members.remove("verified");
        }
        if self.has(Defect::ModelMismatch) {
            members.set("model", string(format!("{}-other", self.model.id)));
        }
        if self.has(Defect::EventLogMissing) {
            for name in ["event_log", "info", "attestation", "all_attestations"] {
                members.remove(name);
            }
        }
        if self.has(Defect::MeasurementCopy) {
            edit_copy(members);
        }
        if self.has(Defect::DuplicateMember) {
            // `set` would replace the first one.
            members.0.push((key_member.to_owned(), other_point()));
        }
    }
}

/// Changes the copy of RTMR2 in `info.tcb_info`, and the copy of the report data in the nested shape.
fn edit_copy(members: &mut Members) {
    fn edit(value: &mut Json, path: &[&str]) {
        match (value, path) {
            (Json::Object(inner), [first, rest @ ..]) => {
                inner.iter_mut().filter(|(name, _)| name == first).for_each(|(_, value)| edit(value, rest));
            }
            (Json::String(text), []) => {
                let flipped = if text.ends_with('0') { '1' } else { '0' };
                text.pop();
                text.push(flipped);
            }
            _ => (),
        }
    }
    for (name, value) in &mut members.0 {
        match name.as_str() {
            "info" => edit(value, &["tcb_info", "rtmr2"]),
            "attestation" => edit(value, &["report_data"]),
            _ => (),
        }
    }
}
