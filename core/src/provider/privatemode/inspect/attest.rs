//! Coordinator, manifest and key service (protocols/privatemode.md 2, 3, 4). Nothing of the hardware's signatures is checked.

use super::Given;
use crate::attest::contrast::{
    self, GuestPolicy, Manifest, SecretServiceNames, id_block, id_key_digest, transition_digest,
    verify_key_service,
};
use crate::error::{Code, Error, Result};
use crate::evidence::{ContrastDocument, ContrastHardware, SecretAnswer};
use crate::provider::inspect_input::{Input, Members, hex_member, member, text_or_null, value_member};
use crate::seal::hpke::ExchangeKey;
use crate::wire::hex;
use crate::wire::json::Json;

pub(super) fn secret_answer(input: &Input<'_>) -> Result<Members> {
    let seed = input.array::<32>("private_seed")?;
    let key = ExchangeKey::generate(&mut Given(&seed))?;
    let answer = SecretAnswer::from_json(input.text("answer")?.as_bytes())?;
    let at = input.number("at")?;
    let mesh_ca = contrast::authority(&input.bytes("mesh_ca")?, at)?;
    let manifest =
        input.optional_bytes("manifest")?.map(|manifest| Manifest::parse(&manifest)).transpose()?;
    let names = match input.optional_text("name")? {
        Some(name) => SecretServiceNames::Dns(name.to_owned()),
        None => SecretServiceNames::Manifest,
    };
    let service = verify_key_service(key.public_key(), &answer, &mesh_ca, manifest.as_ref(), &names, at)?;
    let id = key.secret_id();
    let secret = key.open(&answer.encapsulated_key)?;
    Ok(vec![
        value_member("names", Json::Array(service.names.into_iter().map(Json::String).collect())),
        hex_member("certificate_sha256", &service.certificate_sha256),
        value_member("not_after", Json::Number(service.not_after.into())),
        member("secret_id", id),
        hex_member("secret", secret.expose()),
    ])
}

pub(super) fn report_data(input: &Input<'_>) -> Result<Members> {
    let manifests = input.bytes_list("manifests")?;
    let (root, mesh) = (input.bytes("root_ca")?, input.bytes("mesh_ca")?);
    let capabilities = input.optional_bytes("capabilities")?;
    let nonce = input.array("nonce")?;
    let data = contrast::report_data(&nonce, &manifests, &root, &mesh, capabilities.as_deref());
    Ok(vec![
        hex_member("transition_digest", &transition_digest(&manifests)),
        hex_member("report_data", &data),
    ])
}

/// AMD's names, as in manifests; what is missing is not set.
fn guest_policy(input: &Input<'_>) -> Result<GuestPolicy> {
    let mut policy = GuestPolicy::default();
    let byte = |value: &Json| value.as_u64().and_then(|number| u8::try_from(number).ok());
    for (name, value) in input.members("guest_policy")? {
        let refuse = |expected: &'static str| {
            Error::new(Code::InvalidArgument).at(format!("guest_policy.{name}")).expected(expected)
        };
        let flag = || value.as_bool().ok_or_else(|| refuse("true or false"));
        match name.as_str() {
            "ABIMinor" => policy.abi_minor = byte(value).ok_or_else(|| refuse("a byte"))?,
            "ABIMajor" => policy.abi_major = byte(value).ok_or_else(|| refuse("a byte"))?,
            "SMT" => policy.smt = flag()?,
            "MigrateMA" => policy.migrate_ma = flag()?,
            "Debug" => policy.debug = flag()?,
            "SingleSocket" => policy.single_socket = flag()?,
            "CXLAllowed" => policy.cxl_allowed = flag()?,
            "MemAES256XTS" => policy.mem_aes_256_xts = flag()?,
            "RAPLDis" => policy.rapl_dis = flag()?,
            "CipherTextHidingDRAM" => policy.ciphertext_hiding_dram = flag()?,
            "PageSwapDisable" => policy.page_swap_disable = flag()?,
            _ => return Err(refuse("a member of a guest policy")),
        }
    }
    Ok(policy)
}

fn policy_text(policy: &GuestPolicy) -> String {
    format!("{:#018x}", policy.bits())
}

pub(super) fn id_key(input: &Input<'_>) -> Result<Members> {
    let policy = guest_policy(input)?;
    let measurement = input.array("measurement")?;
    let block = id_block(&measurement, policy.bits());
    let none = || Error::new(Code::InvalidArgument).at("measurement").context("There is no such key.");
    let key = contrast::id_key(&block).ok_or_else(none)?;
    let (x, y) = key.get(1..).and_then(|point| point.split_at_checked(48)).ok_or(Code::Internal)?;
    let digest = id_key_digest(&measurement, policy.bits()).ok_or_else(none)?;
    Ok(vec![
        member("guest_policy", policy_text(&policy)),
        hex_member("id_block", &block),
        hex_member("id_key_x", x),
        hex_member("id_key_y", y),
        hex_member("id_key_digest", &digest),
    ])
}

pub(super) fn manifest(input: &Input<'_>) -> Result<Members> {
    let manifest = Manifest::parse(&input.bytes("manifest")?)?;
    let coordinator = manifest.coordinator().ok_or(Code::Internal)?;
    let snp = manifest.snp.iter().map(|reference| {
        Json::Object(vec![
            member("product", reference.product.name()),
            hex_member("measurement", &reference.measurement),
            member("guest_policy", policy_text(&reference.guest_policy)),
        ])
    });
    Ok(vec![
        hex_member("sha256", &manifest.sha256),
        hex_member("coordinator_policy_hash", &coordinator.hash),
        value_member("policies", Json::Number(manifest.policies.len().into())),
        value_member("snp", Json::Array(snp.collect())),
        value_member("tdx", Json::Number(manifest.tdx.len().into())),
        value_member("updatable", Json::Bool(manifest.updatable)),
    ])
}

fn bytes_list(list: &[Vec<u8>]) -> Json {
    Json::Array(list.iter().map(|bytes| Json::String(hex::encode(bytes))).collect())
}

pub(super) fn document(input: &Input<'_>) -> Result<Members> {
    let document = ContrastDocument::from_answer(input.text("response")?.as_bytes())?;
    let mut members = match &document.hardware {
        ContrastHardware::Snp(snp) => {
            let bytes = |bytes: &Option<Vec<u8>>| text_or_null(bytes.as_deref().map(hex::encode));
            vec![
                member("hardware", "snp"),
                hex_member("report", &snp.report),
                value_member("product", text_or_null(snp.product.map(|product| product.name()))),
                value_member("vcek", bytes(&snp.endorsements.vcek)),
                value_member("vlek", bytes(&snp.endorsements.vlek)),
                value_member("crl", bytes(&snp.endorsements.crl)),
            ]
        }
        ContrastHardware::Tdx(quote) => vec![member("hardware", "tdx"), hex_member("quote", quote)],
    };
    members.push(value_member("version", text_or_null(document.version)));
    members.push(value_member("manifests", bytes_list(&document.manifests)));
    members.push(value_member("policies", bytes_list(&document.policies)));
    members.push(hex_member("root_ca", &document.root_ca));
    members.push(hex_member("mesh_ca", &document.mesh_ca));
    Ok(members)
}
