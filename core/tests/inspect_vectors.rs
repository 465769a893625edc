//! Every case of the Venice vector sets that `provider::inspect` knows, through it: the expected members on success, the expected
//! class on failure. Kinds, members and errors: docs/inspect.md.

#![allow(
    clippy::arithmetic_side_effects,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::print_stdout,
    clippy::unwrap_used
)]

mod common;

use std::path::Path;

use proveil_core::provider::{INSPECT_KINDS, inspect};
use proveil_core::wire::json::Json;
use proveil_core::{Code, Error};

/// File, kind, members of a case that are the input, members of the output with the place of the expected value.
struct Set {
    file: &'static str,
    kind: &'static str,
    input: &'static [&'static str],
    output: &'static [(&'static str, &'static [&'static str])],
}

const SETS: &[Set] = &[
    Set { file: "models", kind: "venice.models", input: &["response"], output: &[("classes", &["expect"])] },
    Set {
        file: "keys",
        kind: "venice.key",
        input: &["key_input", "algo"],
        output: &[("public_key_uncompressed", &["public_key_uncompressed"]), ("address", &["address"])],
    },
    Set {
        file: "reportdata",
        kind: "venice.report_data",
        input: &["report_data", "nonce", "signer", "tls_cert_fingerprint"],
        output: &[("variant", &["variant"])],
    },
    Set {
        file: "attestation_responses",
        kind: "venice.attestation",
        input: &["request", "policy", "response"],
        output: &[
            ("model_public_key", &["result", "model_public_key"]),
            ("signing_address", &["result", "signing_address"]),
            ("nonce_form", &["result", "nonce_form"]),
        ],
    },
    Set {
        file: "requests",
        kind: "venice.request",
        input: &["body"],
        output: &[("encrypt", &["encrypt"]), ("wire_stream", &["wire_stream"])],
    },
    Set {
        file: "signatures",
        kind: "venice.signature",
        input: &[
            "text",
            "signature",
            "signing_address",
            "signing_algo",
            "request_body_b64",
            "response_body_b64",
        ],
        output: &[("layout", &["layout"])],
    },
    Set { file: "quotes", kind: "tdx.quote", input: &["intel_quote"], output: &[("fields", &["fields"])] },
    Set {
        file: "dstack",
        kind: "dstack.event_log",
        input: &["event_log", "app_compose", "rtmr3", "mr_config_id"],
        output: &[
            ("compose_hash", &["compose_hash"]),
            ("app_id", &["app_id"]),
            ("instance_id", &["instance_id"]),
            ("os_image_hash", &["os_image_hash"]),
        ],
    },
];

fn file(name: &str) -> Json {
    let path =
        Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/vectors/venice").join(format!("{name}.json"));
    Json::parse(&std::fs::read(path).unwrap()).unwrap()
}

fn input(set: &Set, file: &Json, case: &Json) -> Json {
    let member = |name: &&'static str| case.get(name).map(|value| ((*name).to_owned(), value.clone()));
    let mut members: Vec<(String, Json)> = set.input.iter().filter_map(member).collect();
    if let Some(known) = file.get("known_e2ee_models").filter(|_| set.file == "requests") {
        members.push(("known_e2ee_models".to_owned(), known.clone()));
    }
    Json::Object(members)
}

/// Names of the vectors for what the registry calls otherwise; each is true for its own set only.
fn class(set: &Set, error: &Error) -> Vec<&'static str> {
    match (set.file, error.code()) {
        ("signatures", Code::SignerMismatch) => vec!["address_mismatch"],
        ("signatures", Code::SignatureInvalid) => vec!["bad_recovery_id", "bad_length", "sig_invalid"],
        ("signatures", Code::TextMismatch) => vec!["text_mismatch", "text_malformed"],
        _ => vec![error.slug()],
    }
}

fn judge(set: &Set, case: &Json, result: Result<String, Error>) -> Result<(), String> {
    let wanted_error =
        ["error_class", "reason"].iter().find_map(|name| case.get(name)).and_then(Json::as_str);
    match (result, wanted_error) {
        (Err(error), Some(wanted)) if class(set, &error).contains(&wanted) => Ok(()),
        (Err(error), wanted) => Err(format!("expected {wanted:?}, found {error}")),
        (Ok(_), Some(wanted)) => Err(format!("accepted, expected {wanted}")),
        (Ok(output), None) => {
            let output = Json::parse(output.as_bytes()).unwrap();
            set.output.iter().try_for_each(|(name, path)| {
                let expected = path.iter().try_fold(case, |value, member| value.get(member));
                agree(name, expected, output.get(name))
            })
        }
    }
}

/// Members that a case does not list are informational; objects agree when every listed member does.
fn agree(name: &str, expected: Option<&Json>, found: Option<&Json>) -> Result<(), String> {
    match (expected, found) {
        (None, _) => Ok(()),
        (Some(Json::Object(members)), Some(found)) => {
            members.iter().try_for_each(|(member, value)| agree(member, Some(value), found.get(member)))
        }
        (Some(expected), Some(found)) if expected == found => Ok(()),
        (Some(expected), found) => Err(format!("{name}: expected {expected:?}, found {found:?}")),
    }
}

#[test]
fn every_case_of_every_set() {
    let mut failures = Vec::new();
    for set in SETS {
        let file = file(set.file);
        let cases = file.get("cases").and_then(Json::as_array).unwrap();
        let mut passed = 0;
        for case in cases {
            let id = common::text(case, "id");
            let result = inspect(set.kind, input(set, &file, case).to_compact().as_bytes());
            match judge(set, case, result) {
                Ok(()) => passed += 1,
                Err(reason) => failures.push(format!("{} {id}: {reason}", set.file)),
            }
        }
        println!("{:<22} {:<20} {passed} of {}", set.file, set.kind, cases.len());
        assert!(!cases.is_empty());
    }
    assert!(failures.is_empty(), "{}", failures.join("\n"));
    let own: Vec<&str> =
        INSPECT_KINDS.iter().copied().filter(|kind| !kind.starts_with("privatemode.")).collect();
    assert_eq!(SETS.iter().map(|set| set.kind).collect::<Vec<_>>(), own, "every kind has a set");
}

/// Members that may be absent.
const OPTIONAL: &[&str] = &[
    "algo",
    "tls_cert_fingerprint",
    "policy",
    "known_e2ee_models",
    "signing_algo",
    "request_body_b64",
    "response_body_b64",
    "app_compose",
];

/// A missing member is the caller's fault and is named; one of another type is an error too. Nothing panics.
#[test]
fn inputs_of_another_form() {
    for set in SETS {
        let file = file(set.file);
        let case = &file.get("cases").and_then(Json::as_array).unwrap()[0];
        let Json::Object(members) = input(set, &file, case) else { panic!() };
        for (i, (name, _)) in members.iter().enumerate() {
            let mut without = members.clone();
            without.remove(i);
            let mut mistyped = members.clone();
            mistyped[i].1 = Json::Number(7u64.into());
            let run = |members| inspect(set.kind, Json::Object(members).to_compact().as_bytes());
            match (run(without), OPTIONAL.contains(&name.as_str())) {
                (Ok(_), true) => {}
                (Err(error), false) => {
                    assert_eq!((error.code(), error.check()), (Code::InvalidArgument, Some(name.as_str())));
                }
                (result, _) => panic!("{} without {name}: {result:?}", set.kind),
            }
            // What is not the object that it should be has no members to look at.
            assert_eq!(run(mistyped).is_ok(), name == "policy", "{} with {name} 7", set.kind);
        }
        for bad in ["", "[]", "7", "{", "{\"a\":1,\"a\":2}"] {
            assert_eq!(inspect(set.kind, bad.as_bytes()).unwrap_err().code(), Code::InvalidArgument, "{bad}");
        }
    }
}

#[test]
fn unknown_kinds_name_the_nearest() {
    let error = inspect("venice.modles", b"{}").unwrap_err();
    assert_eq!((error.code(), error.check()), (Code::InvalidArgument, Some("kind")));
    assert!(error.message().contains("Did you mean `venice.models`?"), "{error}");
    let error = inspect("nonsense", b"{}").unwrap_err();
    let expected = error.expected_value().unwrap();
    assert!(INSPECT_KINDS.iter().any(|kind| expected.contains(kind)), "{error}");
    assert!(error.to_string().ends_with("found nonsense]"), "nothing is cut off: {error}");
}

/// The documentation has a section for each kind, and names every member that a case goes in or comes out with.
#[test]
fn documented() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/inspect.md");
    let text = std::fs::read_to_string(path).unwrap();
    for set in SETS {
        let (_, section) =
            text.split_once(&format!("\n## `{}`\n", set.kind)).unwrap_or_else(|| panic!("{}", set.kind));
        let section = section.split("\n## ").next().unwrap();
        let outputs = set.output.iter().map(|(name, _)| name);
        for name in set.input.iter().chain(outputs) {
            assert!(section.contains(&format!("`{name}`")), "{}: {name}", set.kind);
        }
    }
}
