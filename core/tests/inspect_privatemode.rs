//! The kinds of `provider::inspect` for Privatemode: one vector each, inputs of another form, and what docs/inspect.md says of them. All
//! vectors go through them in every language (tests/conformance/privatemode.py).

#![allow(clippy::indexing_slicing, clippy::unwrap_used)]

mod support;

use proveil_core::Code;
use proveil_core::provider::{INSPECT_KINDS, inspect};
use proveil_core::wire::hex;
use serde_json::{Map, Value, json};
use support::{text, vector_file};

/// A kind with an input, the members of it that may be missing, and what must come out.
struct Kind {
    name: &'static str,
    input: Value,
    optional: &'static [&'static str],
    output: Value,
}

fn case(set: &str, number: usize) -> Value {
    vector_file(&format!("privatemode/{set}.json"))["cases"][number].clone()
}

fn exchange(case: &Value, more: Value) -> Value {
    let mut members = Map::new();
    for (name, from) in [("key", "key_hex"), ("secret_id", "secret_id"), ("nonce", "nonce_hex")] {
        members.insert(name.to_owned(), case[from].clone());
    }
    members.extend(more.as_object().unwrap().clone());
    Value::Object(members)
}

fn hex_of(case: &Value, name: &str) -> String {
    hex::encode(text(case, name).as_bytes())
}

fn sealing() -> Vec<Kind> {
    let (field, session) = (case("message_cipher", 0), case("session", 0));
    let step = &session["steps"][0];
    let (oae, hpke) = (case("oae", 0), case("secret_exchange_hpke", 0));
    let message = &oae["messages"][0];
    vec![
        Kind {
            name: "privatemode.field",
            input: exchange(
                &field,
                json!({"counter": field["seq"], "iv": field["iv_hex"], "plaintext": field["plaintext_hex"]}),
            ),
            optional: &[],
            output: json!({"message": field["message"]}),
        },
        Kind {
            name: "privatemode.session",
            input: exchange(
                &session,
                json!({"steps": [{"plaintext": step["plaintext_hex"], "iv": step["iv_hex"]}]}),
            ),
            optional: &[],
            output: json!({"results": [{"message": step["message"]}], "sealed_fields": 1, "opened_fields": 0}),
        },
        Kind {
            name: "privatemode.oae",
            input: json!({
                "secret": oae["shared_secret_hex"], "request_header": oae["request_header_hex"],
                "response_header": oae["response_header_hex"],
                "messages": [{"stream": "request", "final": true, "iv": message["iv_hex"], "plaintext": message["plaintext_hex"]}],
                "deliver": [{"stream": "request", "message": message["sealed_hex"]}],
            }),
            optional: &[],
            output: json!({
                "sealed": [{"message": message["sealed_hex"]}], "opened": [{"plaintext": message["plaintext_hex"]}],
                "request_end": null, "response_end": "truncated",
            }),
        },
        Kind {
            name: "privatemode.secret_exchange",
            input: json!({
                "private_seed": hpke["private_seed_hex"], "info": hpke["info_hex"],
                "exporter_context": hpke["exporter_context_hex"], "length": 32,
                "encapsulated_key": hpke["encapsulated_key_hex"],
            }),
            optional: &[],
            output: json!({"exported": hpke["exported_hex"], "secret_id": hpke["secret_id"]}),
        },
    ]
}

fn bodies() -> Vec<Kind> {
    let (body, form, raw, sse) =
        (case("json_mutation", 0), case("form_mutation", 0), case("raw_body", 0), case("sse", 0));
    let (part, file) = (&form["parts"][0], &form["parts"][1]);
    vec![
        Kind {
            name: "privatemode.json_body",
            input: exchange(
                &body,
                json!({"endpoint": "/v1/chat/completions", "part": "request", "ivs": body["ivs_hex"], "body": body["input"]}),
            ),
            optional: &[],
            output: json!({"body": body["output"], "sealed": body["encrypted_order"], "clear": ["model"]}),
        },
        Kind {
            name: "privatemode.form_body",
            input: exchange(
                &form,
                json!({"ivs": form["ivs_hex"], "file_names": "part", "parts": [
                    {"name": part["name"], "data": part["data_hex"]},
                    {"name": file["name"], "filename": file["filename"], "data": file["data_hex"]},
                ]}),
            ),
            optional: &["file_names"],
            output: json!({"parts": [
                {"name": "model", "filename": null, "sealed": false, "data": part["data_hex"]},
                {"name": "file", "filename": "file", "sealed": true, "data": form["output_parts"][1]["data_hex"]},
            ]}),
        },
        Kind {
            name: "privatemode.raw_body",
            input: exchange(
                &raw,
                json!({"endpoint": "/unstructured/x", "content_type": "a/b", "ivs": [raw["iv_hex"]], "body": raw["body_hex"]}),
            ),
            optional: &[],
            output: json!({"body": raw["wire_body"], "content_type": "a/b"}),
        },
        Kind {
            name: "privatemode.stream",
            input: exchange(
                &sse,
                json!({"endpoint": "/v1/chat/completions", "status": 200, "headers": sse["response_headers"], "wire": sse["wire"]}),
            ),
            optional: &[],
            output: json!({"id": "chatcmpl-9", "ignored_bytes": 0, "body_bytes": text(&sse, "wire").len()}),
        },
    ]
}

fn requests() -> Vec<Kind> {
    let (key, policy) = (case("shard_key", 1), case("ocsp_policy", 0));
    let salt = "s".repeat(32);
    vec![
        Kind {
            name: "privatemode.shard_key",
            input: json!({"cache_salt": key["cache_salt"], "content": "a".repeat(63)}),
            optional: &[],
            output: json!({"shard_key": key["shard_key"]}),
        },
        Kind {
            name: "privatemode.cache_salt",
            input: json!({"body": "{}", "shared_salt": salt, "fresh": "00".repeat(32)}),
            optional: &["shared_salt"],
            output: json!({"body": format!("{{\"cache_salt\":\"{salt}\"}}")}),
        },
        Kind {
            name: "privatemode.ocsp_policy",
            input: json!({
                "secret": policy["secret_hex"], "rules": policy["rules"],
                "revocation_time_not_before": policy["revocation_time_not_before"],
            }),
            optional: &[],
            output: json!({"header": policy["header"], "mac": policy["mac"]}),
        },
        Kind {
            name: "privatemode.ocsp_status",
            input: json!({"status": "REVOKED", "revoked_at": -5, "rules": ["allow-revoked"], "revocation_time_not_before": -4}),
            optional: &[],
            output: json!({"accepted": false}),
        },
        Kind {
            name: "privatemode.version",
            input: json!({"version": "v1.40.0", "at_least": [1, 40]}),
            optional: &[],
            output: json!({"result": true, "usable": true}),
        },
        Kind {
            name: "privatemode.media",
            input: json!({"endpoint": "/v1/messages", "body": "{\"messages\":[]}"}),
            optional: &[],
            output: json!({"remote_images": 0}),
        },
    ]
}

fn evidence() -> Vec<Kind> {
    let (answer, data, key) =
        (case("secret_exchange_response", 0), case("report_data", 0), case("snp_id_key", 0));
    let (manifest, envelope) = (case("manifest_validation", 0), case("attestation_envelope", 0));
    let manifests: Vec<String> = data["manifests"]
        .as_array()
        .unwrap()
        .iter()
        .map(|text| hex::encode(text.as_str().unwrap().as_bytes()))
        .collect();
    vec![
        Kind {
            name: "privatemode.secret_answer",
            input: json!({
                "private_seed": answer["private_seed_hex"], "answer": answer["response_json"],
                "mesh_ca": hex_of(&answer, "mesh_ca_pem"), "at": 1_780_272_000, "name": "secret.privatemode.ai",
                "manifest": hex_of(&manifest, "manifest"),
            }),
            // The manifest of the vectors lists the same names.
            optional: &["name", "manifest"],
            output: json!({"secret": answer["secret_hex"], "secret_id": answer["secret_id"]}),
        },
        Kind {
            name: "privatemode.report_data",
            input: json!({
                "nonce": data["nonce_hex"], "manifests": manifests, "root_ca": hex_of(&data, "root_ca_pem"),
                "mesh_ca": hex_of(&data, "mesh_ca_pem"), "capabilities": null,
            }),
            optional: &["capabilities"],
            output: json!({"transition_digest": data["transition_digest_hex"], "report_data": data["report_data_hex"]}),
        },
        Kind {
            name: "privatemode.id_key",
            input: json!({"measurement": key["measurement_hex"], "guest_policy": key["guest_policy"]}),
            optional: &[],
            output: json!({
                "guest_policy": key["guest_policy_u64"], "id_block": key["id_block_hex"],
                "id_key_x": key["id_key_x_hex"], "id_key_y": key["id_key_y_hex"], "id_key_digest": key["id_key_digest_hex"],
            }),
        },
        Kind {
            name: "privatemode.manifest",
            input: json!({"manifest": hex_of(&manifest, "manifest")}),
            optional: &[],
            output: json!({"coordinator_policy_hash": manifest["facts"]["coordinator_policy_hash"], "updatable": false}),
        },
        Kind {
            name: "privatemode.document",
            input: json!({"response": envelope["response_json"]}),
            optional: &[],
            output: json!({"hardware": "snp", "product": "Genoa", "version": "v1.20.0", "vlek": null}),
        },
    ]
}

fn kinds() -> Vec<Kind> {
    [sealing(), bodies(), requests(), evidence()].into_iter().flatten().collect()
}

fn run(kind: &Kind, input: &Value) -> Result<Value, proveil_core::Error> {
    inspect(kind.name, input.to_string().as_bytes()).map(|output| serde_json::from_str(&output).unwrap())
}

#[test]
fn every_kind() {
    let mut names: Vec<&str> = kinds().iter().map(|kind| kind.name).collect();
    for kind in kinds() {
        let output = run(&kind, &kind.input).unwrap_or_else(|error| panic!("{}: {error}", kind.name));
        for (name, value) in kind.output.as_object().unwrap() {
            assert_eq!(output.get(name), Some(value), "{}: {name}", kind.name);
        }
    }
    let mut listed: Vec<&str> =
        INSPECT_KINDS.iter().copied().filter(|name| name.starts_with("privatemode.")).collect();
    names.sort_unstable();
    listed.sort_unstable();
    assert_eq!(names, listed);
}

/// A missing or mistyped member is the caller's fault. Nothing panics.
#[test]
fn inputs_of_another_form() {
    for kind in kinds() {
        for name in kind.input.as_object().unwrap().keys() {
            let mut without = kind.input.clone();
            without.as_object_mut().unwrap().remove(name);
            match run(&kind, &without) {
                Ok(_) => assert!(kind.optional.contains(&name.as_str()), "{} without {name}", kind.name),
                // Without the member that selects what is done, another one is missed.
                Err(error) => assert_eq!(error.code(), Code::InvalidArgument, "{} without {name}", kind.name),
            }
            for value in [json!(1.5), json!({"x": 1}), json!([{}]), json!(true), json!("zz")] {
                let mut mistyped = kind.input.clone();
                mistyped[name] = value.clone();
                if let Err(error) = run(&kind, &mistyped) {
                    assert_ne!(error.code(), Code::Internal, "{} with {name} {value}: {error}", kind.name);
                }
            }
        }
    }
}

/// Ivs are taken from the caller only, and each is used once.
#[test]
fn ivs_end() {
    let kinds = bodies();
    let kind = kinds.iter().find(|kind| kind.name == "privatemode.json_body").unwrap();
    let mut input = kind.input.clone();
    let first = input["ivs"][0].clone();
    for ivs in [json!([]), json!([first]), json!([first, first])] {
        input["ivs"] = ivs;
        assert_eq!(run(kind, &input).unwrap_err().code(), Code::RandomFailed);
    }
}

/// The documentation has a section for each kind that names every member.
#[test]
fn documented() {
    let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/inspect.md");
    let document = std::fs::read_to_string(path).unwrap();
    for kind in kinds() {
        let (_, section) = document
            .split_once(&format!("\n## `{}`\n", kind.name))
            .unwrap_or_else(|| panic!("{} has no section", kind.name));
        let section = section.split("\n## ").next().unwrap();
        let output = run(&kind, &kind.input).unwrap();
        let names = kind.input.as_object().unwrap().keys().chain(output.as_object().unwrap().keys());
        for name in names {
            assert!(section.contains(&format!("`{name}`")), "{}: {name}", kind.name);
        }
    }
}
