//! The changes of the NVIDIA library's `mutations.json`.

use proveil_core::attest::TrustRoots;
use proveil_core::crypto;
use proveil_core::pki::{Certificate, pem};
use proveil_core::wire::json::Json;
use proveil_core::wire::{base64, hex};

use super::change;
use super::library::{Library, number, text};
use super::nvidia::{Case, Devices, Service};

/// Applies one change.
pub(super) fn apply(library: &Library, case: &mut Case, operation: &Json) -> Result<(), String> {
    let name = text(operation, "op")?;
    match case {
        Case::Devices(devices) => change_devices(library, devices, operation, name),
        Case::Manifest(manifest) => match name {
            "replace_text" => {
                let old = String::from_utf8(manifest.xml.clone()).map_err(|_| "not a text")?;
                let new = old.replacen(text(operation, "find")?, text(operation, "with")?, 1);
                if new == old {
                    return Err("the text to replace is absent".into());
                }
                manifest.xml = new.into_bytes();
                Ok(())
            }
            "set_time" => {
                manifest.at = number(operation, "unix")?;
                Ok(())
            }
            "policy" => policy(operation, |name, value| match name {
                "expected_rim_version" => {
                    manifest.version = Some(value.as_str().ok_or("not a version")?.to_owned());
                    Ok(())
                }
                _ => Err(format!("unknown policy {name}")),
            }),
            _ => Err(format!("unknown operation {name}")),
        },
        Case::Service(service) => change_service(library, service, operation, name),
    }
}

fn policy(operation: &Json, mut set: impl FnMut(&str, &Json) -> Result<(), String>) -> Result<(), String> {
    let changes = operation.get("set").and_then(Json::as_object).ok_or("no set")?;
    changes.iter().try_for_each(|(name, value)| set(name, value))
}

fn change_devices(
    library: &Library,
    devices: &mut Devices,
    operation: &Json,
    name: &str,
) -> Result<(), String> {
    match name {
        _ if change::apply(&mut devices.report, operation)? => Ok(()),
        "replace_file" => {
            devices.chain =
                library.file(library.sample(text(operation, "sample")?)?, text(operation, "role")?)?;
            Ok(())
        }
        "pem_reorder" => {
            let chain = pem::certificates(&devices.chain).map_err(|error| error.to_string())?;
            let order = operation.get("order").and_then(Json::as_array).ok_or("no order")?;
            let mut out = String::new();
            for place in order {
                let place = place.as_u64().and_then(|place| usize::try_from(place).ok()).ok_or("order")?;
                out.push_str(&to_pem(chain.get(place).ok_or("order")?));
            }
            devices.chain = out.into_bytes();
            Ok(())
        }
        "policy" => policy(operation, |name, value| match name {
            "nonce" => {
                devices.nonce = value.as_str().and_then(hex::decode_array).ok_or("nonce")?;
                Ok(())
            }
            "allowed_driver_versions" => {
                let list = value.as_array().ok_or("versions")?.iter();
                let versions: Option<Vec<String>> = list.map(|v| v.as_str().map(str::to_owned)).collect();
                devices.drivers = versions.ok_or("versions")?;
                Ok(())
            }
            _ => Err(format!("unknown policy {name}")),
        }),
        _ => Err(format!("unknown operation {name}")),
    }
}

fn change_service(
    library: &Library,
    service: &mut Service,
    operation: &Json,
    name: &str,
) -> Result<(), String> {
    let target = || text(operation, "target");
    match name {
        "jwt_sig_xor" => {
            let (offset, mask) = (change::offset(operation)?, change::bytes(operation)?);
            change_token(&mut service.tokens, target()?, |parts| {
                let mut signature = base64::decode_url(&parts[2]).ok_or("signature")?;
                change::xor(&mut signature, offset, &mask)?;
                parts[2] = base64::encode_url(&signature);
                Ok(())
            })
        }
        "jwt_payload_replace" => {
            let (find, with) = (text(operation, "find")?, text(operation, "with")?);
            change_token(&mut service.tokens, target()?, |parts| {
                let old = base64::decode_url(&parts[1]).and_then(|bytes| String::from_utf8(bytes).ok());
                let old = old.ok_or("payload")?;
                if !old.contains(find) {
                    return Err("the text to replace is absent".into());
                }
                parts[1] = base64::encode_url(old.replacen(find, with, 1).as_bytes());
                Ok(())
            })
        }
        "jwt_header_set" => {
            let changes = operation.get("header").and_then(Json::as_object).ok_or("header")?.to_vec();
            let drop = operation.get("drop_signature").and_then(Json::as_bool) == Some(true);
            let resign = operation.get("resign").is_some();
            let key = public_key(&service.jwks, &service.tokens)?;
            change_token(&mut service.tokens, target()?, |parts| {
                let header = base64::decode_url(&parts[0]).ok_or("header")?;
                let Json::Object(mut header) = Json::parse(&header).map_err(|_| "header")? else {
                    return Err("header".into());
                };
                for (name, value) in &changes {
                    header.retain(|(other, _)| other != name);
                    header.push((name.clone(), value.clone()));
                }
                parts[0] = base64::encode_url(Json::Object(header).to_compact().as_bytes());
                if drop {
                    parts[2] = String::new();
                } else if resign {
                    let signed = format!("{}.{}", parts[0], parts[1]);
                    parts[2] = base64::encode_url(&hmac_sha256(&key, signed.as_bytes()));
                }
                Ok(())
            })
        }
        "json_remove" => {
            let (holder, last) = target()?.rsplit_once('/').ok_or("target")?;
            let Json::Object(members) = slot(&mut service.tokens, holder)? else {
                return Err("target".into());
            };
            members.retain(|(name, _)| name != last);
            Ok(())
        }
        "json_copy" => {
            let value = slot(&mut service.tokens, text(operation, "from_")?)?.clone();
            let (holder, last) = target()?.rsplit_once('/').ok_or("target")?;
            let Json::Object(members) = slot(&mut service.tokens, holder)? else {
                return Err("target".into());
            };
            members.push((last.to_owned(), value));
            Ok(())
        }
        "json_swap" => {
            let (a, b) = (text(operation, "a")?, text(operation, "b")?);
            let first = slot(&mut service.tokens, a)?.clone();
            let second = std::mem::replace(slot(&mut service.tokens, b)?, first);
            *slot(&mut service.tokens, a)? = second;
            Ok(())
        }
        "set_time" => {
            service.at = number(operation, "unix")?;
            Ok(())
        }
        "policy" => policy(operation, |name, value| match name {
            "nonce" => {
                service.nonce = value.as_str().and_then(hex::decode_array).ok_or("nonce")?;
                Ok(())
            }
            "issuer" => {
                service.issuer = value.as_str().ok_or("issuer")?.to_owned();
                Ok(())
            }
            "expected_devices" => {
                service.devices = value.as_u64().and_then(|n| usize::try_from(n).ok()).ok_or("devices")?;
                Ok(())
            }
            "nras_intermediate_spki_sha256" => {
                service.roots = pinned(library, value.as_array().ok_or("pins")?)?;
                Ok(())
            }
            _ => Err(format!("unknown policy {name}")),
        }),
        _ => Err(format!("unknown operation {name}")),
    }
}

/// Roots that trust only those authorities of the library whose key has one of these digests.
fn pinned(library: &Library, pins: &[Json]) -> Result<TrustRoots, String> {
    let mut issuers = String::new();
    let entries = std::fs::read_dir(library.dir.join("roots")).map_err(|error| error.to_string())?;
    for entry in entries.filter_map(Result::ok) {
        let der = std::fs::read(entry.path()).map_err(|error| error.to_string())?;
        let certificate = Certificate::parse(&der).map_err(|error| error.to_string())?;
        let digest = hex::encode(&crypto::sha256(&[certificate.spki()]));
        if pins.iter().any(|pin| pin.as_str() == Some(&digest)) {
            issuers.push_str(&to_pem(&der));
        }
    }
    let mut members = vec![("schema".to_owned(), Json::String("proveil.trust-roots/v1".into()))];
    if !issuers.is_empty() {
        members.push(("nvidia_nras_issuers_pem".into(), Json::String(issuers)));
    }
    let file = Json::Object(members).to_compact();
    TrustRoots::from_json(file.as_bytes()).map_err(|error| error.to_string())
}

/// Changes the three parts of the token at a path such as `/0/1`.
fn change_token(
    tokens: &mut Json,
    path: &str,
    change: impl FnOnce(&mut [String; 3]) -> Result<(), String>,
) -> Result<(), String> {
    let token = slot(tokens, path)?;
    let parts: Vec<String> = token.as_str().ok_or("not a token")?.split('.').map(str::to_owned).collect();
    let mut parts: [String; 3] = parts.try_into().map_err(|_| "not a token")?;
    change(&mut parts)?;
    *token = Json::String(parts.join("."));
    Ok(())
}

fn slot<'a>(value: &'a mut Json, path: &str) -> Result<&'a mut Json, String> {
    let mut here = value;
    for step in path.split('/').skip(1) {
        here = match here {
            Json::Array(elements) => {
                step.parse::<usize>().ok().and_then(|place| elements.get_mut(place)).ok_or("path")?
            }
            Json::Object(members) => {
                let member = members.iter_mut().find(|(name, _)| name == step);
                member.map(|(_, value)| value).ok_or("path")?
            }
            _ => return Err("path".into()),
        };
    }
    Ok(here)
}

/// The public point that the overall token's key has in the key list.
fn public_key(jwks: &[u8], tokens: &Json) -> Result<Vec<u8>, String> {
    let token = tokens.as_array().and_then(|tokens| tokens.first()).and_then(Json::as_array);
    let token = token.and_then(|pair| pair.get(1)).and_then(Json::as_str).ok_or("no token")?;
    let header = token.split('.').next().and_then(base64::decode_url).ok_or("header")?;
    let header = Json::parse(&header).map_err(|_| "header")?;
    let kid = text(&header, "kid")?;
    let list = Json::parse(jwks).map_err(|_| "key list")?;
    let mut keys = list.get("keys").and_then(Json::as_array).ok_or("key list")?.iter();
    let key = keys.find(|key| text(key, "kid") == Ok(kid)).ok_or("no such key")?;
    let part = |name| text(key, name).ok().and_then(base64::decode_url).ok_or("key");
    Ok([vec![4], part("x")?, part("y")?].concat())
}

/// HMAC (RFC 2104) with SHA-256, for forging what must be refused.
fn hmac_sha256(key: &[u8], message: &[u8]) -> [u8; 32] {
    let digest = crypto::sha256(&[key]);
    let mut block = if key.len() > 64 { digest.to_vec() } else { key.to_vec() };
    block.resize(64, 0);
    let inner: Vec<u8> = block.iter().map(|byte| byte ^ 0x36).collect();
    let outer: Vec<u8> = block.iter().map(|byte| byte ^ 0x5c).collect();
    crypto::sha256(&[&outer, &crypto::sha256(&[&inner, message])])
}

fn to_pem(der: &[u8]) -> String {
    format!("-----BEGIN CERTIFICATE-----\n{}\n-----END CERTIFICATE-----\n", base64::encode(der))
}
