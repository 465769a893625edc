//! Every fuzz target's function with its seeds, with changed seeds and with noise: the same inputs in every run, without a fuzzer.

#![allow(
    clippy::arithmetic_side_effects,
    clippy::cast_possible_truncation,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::print_stdout,
    clippy::unwrap_used
)]

#[path = "../../fuzz/src/bodies.rs"]
mod bodies;
#[path = "../../fuzz/src/bundle.rs"]
mod bundle;
#[path = "../../fuzz/src/documents.rs"]
mod documents;
#[path = "../../fuzz/src/entries.rs"]
mod entries;
#[path = "../../fuzz/src/nvidia.rs"]
mod nvidia;
#[path = "../../fuzz/src/seeds.rs"]
mod seeds;

use std::collections::BTreeSet;

use proveil_testkit::forge::Random;

type Entry = fn(&[u8]);

/// Target, function, changed seeds per seed, noises.
const TARGETS: [(&str, Entry, usize, usize); 14] = [
    ("tdx_quote", entries::tdx_quote, 300, 200),
    ("sse_answer", entries::sse_answer, 150, 200),
    ("event_log", entries::event_log, 300, 200),
    ("attestation_answer", entries::attestation_answer, 120, 100),
    ("nvidia_report", nvidia::nvidia_report, 200, 100),
    ("rim", nvidia::rim, 300, 200),
    ("nras_token", nvidia::nras_token, 200, 100),
    ("ocsp", nvidia::ocsp, 300, 200),
    ("snp_report", entries::snp_report, 200, 200),
    ("policy_document", documents::policy_document, 300, 200),
    ("pins_file", documents::pins_file, 300, 200),
    ("evidence_bundle", bundle::evidence_bundle, 60, 100),
    ("json_body", bodies::json_body, 300, 200),
    ("form_body", bodies::form_body, 500, 200),
];

/// Pieces that the formats give a meaning to.
const TOKENS: [&[u8]; 20] = [
    b"{",
    b"}",
    b"[",
    b"]",
    b"\"",
    b"\\u0000",
    b"\\ud800",
    b",",
    b":",
    b"null",
    b"1e999",
    b"data: ",
    b"\n\n",
    b"\r",
    b"[DONE]",
    b"\0",
    b"\xff\xff\xff\xff",
    b"\xef\xbb\xbf",
    b"0x",
    b"-----BEGIN CERTIFICATE-----\n",
];

struct Mutator(Random);

impl Mutator {
    fn below(&mut self, limit: usize) -> usize {
        if limit == 0 { 0 } else { (u64::from_le_bytes(self.0.bytes()) % limit as u64) as usize }
    }

    /// One to four changes of one seed, sometimes with a part of another one.
    fn changed(&mut self, seed: &[u8], other: &[u8]) -> Vec<u8> {
        let mut bytes = seed.to_vec();
        for _ in 0..=self.below(4) {
            let at = self.below(bytes.len() + 1);
            let longest = if self.below(4) == 0 { 400 } else { 8 };
            let length = 1 + self.below(longest);
            let end = (at + length).min(bytes.len());
            match self.below(8) {
                0 => bytes.truncate(at),
                1 => drop(bytes.drain(at..end)),
                2 => {
                    let block = bytes[at..end].to_vec();
                    bytes.splice(at..at, block);
                }
                3 => {
                    let token = TOKENS[self.below(TOKENS.len())];
                    bytes.splice(at..end, token.iter().copied());
                }
                4 => {
                    let from = self.below(other.len());
                    let block = other[from..(from + length).min(other.len())].to_vec();
                    bytes.splice(at..end, block);
                }
                5 if at < end => bytes[at] = self.0.bytes::<1>()[0],
                6 if at < end => bytes[at] = bytes[at].wrapping_add(1),
                _ if at < end => bytes[at] ^= 1 << self.below(8),
                _ => bytes.push(self.0.bytes::<1>()[0]),
            }
        }
        bytes
    }

    fn noise(&mut self) -> Vec<u8> {
        let mut bytes = vec![0; self.below(700)];
        self.0.fill(&mut bytes);
        // Half of it is text.
        if self.below(2) == 0 {
            bytes.iter_mut().for_each(|byte| *byte = 0x20 + (*byte % 0x5f));
        }
        bytes
    }
}

fn run(target: usize) {
    let (name, entry, changes, noises) = TARGETS[target];
    let seeds: Vec<Vec<u8>> = seeds::all()
        .into_iter()
        .filter(|(target, _, _)| *target == name)
        .map(|(_, _, bytes)| bytes)
        .collect();
    assert!(!seeds.is_empty());
    let mut mutator = Mutator(Random::from_seed([target as u8; 32]));
    entry(b"");
    for (i, seed) in seeds.iter().enumerate() {
        entry(seed);
        let other = &seeds[(i + 1) % seeds.len()];
        for _ in 0..changes {
            entry(&mutator.changed(seed, other));
        }
    }
    for _ in 0..noises {
        entry(&mutator.noise());
    }
}

#[test]
fn tdx_quote() {
    run(0);
}

#[test]
fn sse_answer() {
    run(1);
}

#[test]
fn event_log() {
    run(2);
}

#[test]
fn attestation_answer() {
    run(3);
}

#[test]
fn nvidia_report() {
    run(4);
}

#[test]
fn rim() {
    run(5);
}

#[test]
fn nras_token() {
    run(6);
}

#[test]
fn ocsp() {
    run(7);
}

#[test]
fn snp_report() {
    run(8);
}

#[test]
fn policy_document() {
    run(9);
}

#[test]
fn pins_file() {
    run(10);
}

#[test]
fn evidence_bundle() {
    run(11);
}

#[test]
fn json_body() {
    run(12);
}

#[test]
fn form_body() {
    run(13);
}

/// The seeds reach the end of what they start: otherwise the targets would only test refusals.
#[test]
fn seeds_are_accepted() {
    use proveil_core::attest::dstack::{EventLog, Evidence, check};
    use proveil_core::attest::{TrustRoots, tdx};
    use proveil_core::evidence::TdxCollateral;
    let scene = seeds::Scene::new();
    let roots = TrustRoots::from_json(scene.world.trust_roots_json().as_bytes()).unwrap();
    let collateral = TdxCollateral::from_json(scene.world.collateral_json().as_bytes()).unwrap();
    let body = scene.world.guest.body([0; 64]);
    for (target, name, bytes) in seeds::all() {
        match target {
            "tdx_quote" => {
                tdx::verify_with_raw_collateral(&bytes, &collateral, &roots, seeds::NOW).unwrap();
            }
            "event_log" => {
                let log = EventLog::read_text(std::str::from_utf8(&bytes).unwrap()).unwrap();
                let evidence = Evidence { log: &log, app_compose: None, config_document: None };
                check(&evidence, &body.rtmr[3], &body.mr_config_id).unwrap();
            }
            "attestation_answer" => {
                let input = proveil_core::provider::EvidenceInput {
                    provider: proveil_core::provider::Provider::Venice,
                    model: Some(scene.model.id),
                    response: &bytes,
                    nonce: seeds::NONCE,
                    collateral: std::slice::from_ref(&collateral),
                };
                let policy = proveil_core::policy::Policy::standard();
                proveil_core::provider::appraise(&input, &policy, &roots, seeds::NOW).1.unwrap();
            }
            "snp_report" => {
                use proveil_core::attest::snp;
                let (report, rest) = bytes.split_at(snp::REPORT_LEN);
                let evidence = seeds::snp_evidence();
                let roots = TrustRoots::from_json(evidence.trust_roots_json.as_bytes()).unwrap();
                let given = proveil_core::evidence::SnpEndorsements::from_files([rest]);
                let endorsements = if rest.is_empty() { evidence.endorsements } else { given.unwrap() };
                snp::verify_with_raw_endorsements(report, &endorsements, &roots, seeds::NOW).unwrap();
            }
            "sse_answer" => entries::sse_is_whole(&bytes[1..]),
            "evidence_bundle" => {
                let bundle = proveil_core::bundle::EvidenceBundle::from_json(&bytes).unwrap();
                let roots = bundle.custom_roots().cloned();
                let (report, result) = bundle.appraise(None, roots.as_ref(), None);
                // The TDX one expects other report data than it has.
                let refused =
                    result.is_err_and(|error| error.code() == proveil_core::Code::ReportDataMismatch);
                assert_eq!(refused, name == "tdx", "{name}: {}", report.to_text());
            }
            "policy_document" | "pins_file" => {
                assert!(documents::is_accepted(target, &bytes), "{target} {name}");
            }
            "json_body" | "form_body" => assert!(bodies::is_accepted(target, &bytes), "{target} {name}"),
            _ => assert!(nvidia::is_accepted(target, &bytes), "{target} {name}"),
        }
        println!("{target} {name}: {} bytes", bytes.len());
    }
    let targets: BTreeSet<&str> = seeds::all().iter().map(|(target, _, _)| *target).collect();
    assert_eq!(targets, TARGETS.iter().map(|(name, ..)| *name).collect());
}
