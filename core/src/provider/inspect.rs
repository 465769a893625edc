//! Pure checks over provider data for tools and tests: JSON in, JSON out, never a proof (docs/inspect.md).
//!
//! They need no collateral and no clock, so they show whether data is consistent, not whether it is genuine. The sealing and opening
//! of single fields is for SDKs that keep their own transport and request handling; the kinds that take keys are for comparing
//! implementations.

use super::inspect_input::{Input, Members, member};
use super::node::{self, Identity};
use super::privatemode;
use super::venice::appraise as venice_appraise;
use super::venice::{
    self, AnswerOpener, AnswerOptions, Binding, KnownModels, Relaxations, ResponseSignature, Signer,
    check_signature, parse_models,
};
use crate::attest::dstack::{self, EventLog, Evidence};
use crate::attest::tdx::{self, Quote};
use crate::crypto::{self, SecureRandom};
use crate::endpoint::Opener;
use crate::error::{Code, Error, Result};
use crate::seal::ecies::{self, FieldOpener};
use crate::secret::Secret;
use crate::wire::json::Json;
use crate::wire::{base64, hex, nearest};

/// The kinds that [`inspect`] knows.
pub const INSPECT_KINDS: &[&str] = &[
    "venice.models",
    "venice.key",
    "venice.report_data",
    "venice.attestation",
    "venice.request",
    "venice.signature",
    "tdx.quote",
    "dstack.event_log",
    "privatemode.field",
    "privatemode.session",
    "privatemode.json_body",
    "privatemode.form_body",
    "privatemode.raw_body",
    "privatemode.stream",
    "privatemode.shard_key",
    "privatemode.cache_salt",
    "privatemode.ocsp_policy",
    "privatemode.ocsp_status",
    "privatemode.version",
    "privatemode.media",
    "privatemode.secret_exchange",
    "privatemode.secret_answer",
    "privatemode.report_data",
    "privatemode.id_key",
    "privatemode.manifest",
    "privatemode.document",
    "privatemode.oae",
];

/// Runs one check. `input` and the answer are JSON objects whose members docs/inspect.md lists per kind. Fails with the error of
/// the first check that did not hold, or `invalid_argument` for an unknown kind or malformed input.
pub fn inspect(kind: &str, input: &[u8]) -> Result<String> {
    let input = Json::parse(input)
        .map_err(|_| Error::new(Code::InvalidArgument).at("input").expected("strict JSON"))?;
    let input = Input(&input);
    let output = match kind {
        "venice.models" => models(&input),
        "venice.key" => key(&input),
        "venice.report_data" => report_data(&input),
        "venice.attestation" => attestation(&input),
        "venice.request" => request(&input),
        "venice.signature" => signature(&input),
        "tdx.quote" => quote(&input),
        "dstack.event_log" => event_log(&input),
        _ => privatemode::inspect(kind, &input).unwrap_or_else(|| Err(unknown_kind(kind))),
    };
    output.map(|members| Json::Object(members).to_compact())
}

fn unknown_kind(kind: &str) -> Error {
    let error = Error::new(Code::InvalidArgument).at("kind").found(kind);
    match nearest(kind, INSPECT_KINDS.iter().copied()) {
        Some(near) => error.context(format!("Did you mean `{near}`?")),
        // All of them would not fit into one line.
        None => error.expected("a kind of docs/inspect.md, such as venice.key or privatemode.field"),
    }
}

/// Seals one field to a public key (SEC1, 33, 64 or 65 bytes): lowercase hex (venice.md 3.2). Fresh ephemeral key and nonce from `rng`.
/// Fails with `key_invalid`.
pub fn seal_field(recipient: &[u8], plaintext: &[u8], rng: &mut dyn SecureRandom) -> Result<String> {
    let recipient = node::keys::parse_key(&hex::encode(recipient))?;
    let mut out = String::new();
    ecies::seal_field(&recipient, plaintext, rng, &mut out)?;
    Ok(out)
}

/// Opens one sealed field with a private key: the plaintext. Fails with `not_ciphertext`, `invalid_point`, `auth_failed` or
/// `invalid_utf8`.
pub fn open_field(key: Secret<32>, field_hex: &str) -> Result<String> {
    check_private_key(&key)?;
    let mut scratch = zeroize::Zeroizing::new(Vec::new());
    FieldOpener::new(key).open_hex(field_hex.as_bytes(), &mut scratch).map(str::to_owned)
}

/// An opener for SDKs that keep their own sealing: opens a Venice answer with the private key whose public half was sent. Fails with
/// `key_invalid`.
pub fn opener_for_key(key: Secret<32>, allow_whitespace_plaintext: bool) -> Result<Opener> {
    check_private_key(&key)?;
    let options = AnswerOptions { allow_whitespace_plaintext, request_sha256: [0; 32] };
    Ok(Opener::new(Box::new(AnswerOpener::for_key(key, options))))
}

fn check_private_key(key: &Secret<32>) -> Result<()> {
    crypto::secp256k1_public_key(key).map(drop).ok_or_else(|| Error::new(Code::KeyInvalid))
}

fn models(input: &Input<'_>) -> Result<Members> {
    let models = parse_models(input.get("response")?.to_compact().as_bytes())?;
    let classes = models.into_iter().map(|model| member(&model.id, model.class.name())).collect();
    Ok(vec![("classes".to_owned(), Json::Object(classes))])
}

fn key(input: &Input<'_>) -> Result<Members> {
    let text = input.text("key_input")?;
    match input.optional_text("algo")?.unwrap_or("ecdsa") {
        "ecdsa" => {
            let public = node::keys::parse_key(text)?;
            let address = hex::encode(&node::keys::address_of(&public));
            Ok(vec![
                member("public_key_uncompressed", hex::encode(&public)),
                member("address", format!("0x{address}")),
            ])
        }
        "ed25519" => Ok(vec![member("address", hex::encode(&node::keys::parse_ed25519_key(text)?))]),
        other => Err(Error::new(Code::InvalidArgument).at("algo").found(other)),
    }
}

fn report_data(input: &Input<'_>) -> Result<Members> {
    let (identity, address) = Identity::read(input.get("signer")?)?;
    address?;
    let fingerprint = node::tls_fingerprint(input.0)?;
    // A nonce that is not 32 bytes of hex was never sent by this library; its text cannot equal the 32 bytes of the report data.
    let text = input.text("nonce")?;
    let nonce = hex::decode(text).unwrap_or_else(|| text.as_bytes().to_vec());
    let fingerprint = fingerprint.as_ref().map(|bytes| bytes.as_slice());
    let (binding, fresh) =
        node::check_report_data(&input.array("report_data")?, &identity, fingerprint, &nonce);
    let binding = binding?;
    fresh?;
    Ok(vec![member("variant", binding.name())])
}

/// The steps of venice.md 2.4 in their order, without the quote's signatures.
fn attestation(input: &Input<'_>) -> Result<Members> {
    let asked = Input(input.get("request")?);
    let nonce = asked.array::<32>("nonce")?;
    let answer = venice_appraise::parse(input.get("response")?.to_compact().as_bytes())?;
    venice_appraise::check_verified(&answer)?;
    venice_appraise::check_nonce_echo(&answer, &nonce)?;
    venice_appraise::check_model_echo(&answer, asked.text("model")?)?;
    let (identity, address) = Identity::read(&answer)?;
    let public = identity.sealing_key().ok_or_else(|| Error::new(Code::NoSigningKey))?;
    address?;
    let quote = node::quote_bytes(&answer)?;
    let quote = Quote::parse(&quote)?;
    let body = quote.body();
    if body.td_attribute_bits() & 1 != 0 {
        return Err(Error::new(Code::DebugTd).at("tdx.attributes.debug"));
    }
    let fingerprint = node::tls_fingerprint(&answer)?;
    let fingerprint = fingerprint.as_ref().map(|bytes| bytes.as_slice());
    let (binding, fresh) = node::check_report_data(&body.report_data, &identity, fingerprint, &nonce);
    binding?;
    fresh?;
    node::check_copies(&answer, &body.report_data)?;
    let required =
        input.0.get("policy").and_then(|policy| policy.get("require_gpu_evidence")).and_then(Json::as_bool);
    if required == Some(true) {
        node::check_gpu_payload(&answer, &nonce)?;
    }
    Ok(vec![
        member("model_public_key", hex::encode(public)),
        member("signing_address", format!("0x{}", hex::encode(identity.address()))),
        member("nonce_form", "raw"),
    ])
}

fn request(input: &Input<'_>) -> Result<Members> {
    let known = match input.0.get("known_e2ee_models") {
        None | Some(Json::Null) => None,
        Some(list) => {
            let wrong =
                || Error::new(Code::InvalidArgument).at("known_e2ee_models").expected("an array of texts");
            let ids: Option<Vec<&str>> =
                list.as_array().ok_or_else(wrong)?.iter().map(Json::as_str).collect();
            Some(ids.ok_or_else(wrong)?)
        }
    };
    let known = known.as_deref().map(KnownModels::E2eeIds);
    let body = input.get("body")?.to_compact();
    let plan = venice::plan(body.as_bytes(), known, Relaxations::default())?;
    let sealed = plan.sealed_fields().map(|(pointer, plaintext)| member(&pointer, plaintext)).collect();
    Ok(vec![
        ("encrypt".to_owned(), Json::Object(sealed)),
        ("wire_stream".to_owned(), Json::Bool(plan.wire_stream())),
    ])
}

fn signature(input: &Input<'_>) -> Result<Members> {
    let address = input.text("signing_address")?;
    let algorithm = input.optional_text("signing_algo")?.unwrap_or("ecdsa");
    let answer = ResponseSignature {
        text: input.text("text")?.to_owned(),
        signature: input.text("signature")?.to_owned(),
        signing_address: address.to_owned(),
        signing_algo: Some(algorithm.to_owned()),
    };
    let invalid = || Error::new(Code::SignatureInvalid).at("signing_address");
    let attested = match algorithm {
        "ed25519" => Signer::Ed25519(node::keys::parse_ed25519_key(address).map_err(|_| invalid())?),
        _ => Signer::Ecdsa(node::keys::parse_address(address).ok_or_else(invalid)?),
    };
    let digest = |name: &str| -> Result<Option<[u8; 32]>> {
        let Some(text) = input.optional_text(name)? else { return Ok(None) };
        let body = base64::decode(text).ok_or_else(|| Error::new(Code::InvalidArgument).at(name))?;
        Ok(Some(crypto::sha256(&[&body])))
    };
    let (request, response) = (digest("request_body_b64")?, digest("response_body_b64")?);
    let bodies = request.as_ref().zip(response.as_ref());
    check_signature(&answer, &attested, bodies, Binding::Direct)?;
    let parts = answer.text.rsplitn(3, ':').count();
    Ok(vec![member("layout", if parts == 3 { "three_part" } else { "two_part" })])
}

fn quote(input: &Input<'_>) -> Result<Members> {
    let bytes = tdx::decode_quote_text(input.text("intel_quote")?)?;
    let quote = Quote::parse(&bytes)?;
    let body = quote.body();
    let mut fields = vec![("version".to_owned(), Json::Number(quote.version().into()))];
    let [rtmr0, rtmr1, rtmr2, rtmr3] = &body.rtmr;
    for (name, value) in [
        ("tee_tcb_svn", body.tee_tcb_svn.as_slice()),
        ("mr_seam", &body.mr_seam),
        ("mr_signer_seam", &body.mr_signer_seam),
        ("seam_attributes", &body.seam_attributes),
        ("td_attributes", &body.td_attributes),
        ("xfam", &body.xfam),
        ("mrtd", &body.mr_td),
        ("mr_config_id", &body.mr_config_id),
        ("mr_owner", &body.mr_owner),
        ("mr_owner_config", &body.mr_owner_config),
        ("rtmr0", rtmr0),
        ("rtmr1", rtmr1),
        ("rtmr2", rtmr2),
        ("rtmr3", rtmr3),
        ("report_data", &body.report_data),
    ] {
        fields.push(member(name, hex::encode(value)));
    }
    fields.push(("debug".to_owned(), Json::Bool(body.td_attribute_bits() & 1 != 0)));
    Ok(vec![("fields".to_owned(), Json::Object(fields))])
}

fn event_log(input: &Input<'_>) -> Result<Members> {
    let log = EventLog::read(input.get("event_log")?)?;
    let evidence = Evidence {
        log: &log,
        app_compose: input.optional_text("app_compose")?,
        config_document: input.optional_text("config_document")?,
    };
    let claims = dstack::check(&evidence, &input.array("rtmr3")?, &input.array("mr_config_id")?)?;
    let mut members = vec![
        member("compose_hash", hex::encode(&claims.compose_hash)),
        member("app_id", hex::encode(&claims.app_id)),
    ];
    members.extend(claims.instance_id.map(|id| member("instance_id", hex::encode(&id))));
    members.extend(claims.os_image_hash.map(|hash| member("os_image_hash", hex::encode(&hash))));
    Ok(members)
}
