//! Bounded work (threats.md section 5): the largest allowed document of each kind is read within 32 MiB of allocations, all of them counted
//! and none taken off for what was freed meanwhile; and the work grows with GPUs and events as their number does. Allocations are counted,
//! not time, so the numbers are the same on every machine.

#![allow(
    clippy::arithmetic_side_effects,
    clippy::cast_precision_loss,
    clippy::indexing_slicing,
    clippy::print_stdout,
    clippy::unwrap_used
)]

mod drive;

use std::collections::BTreeSet;

use drive::NOW;
use drive::local::Scene;
use proveil_core::attest::dstack::EventLog;
use proveil_core::attest::nvidia::{self, GpuEvidence, Rim};
use proveil_core::attest::tdx::Quote;
use proveil_core::evidence::SnpEndorsements;
use proveil_core::limits;
use proveil_core::policy::Policy;
use proveil_core::provider::{EvidenceInput, Provider, appraise};
use proveil_core::wire::json::Json;
use proveil_testkit::forge::Random;
use proveil_testkit::sim::{QuoteEncoding, Shape};
use stats_alloc::{INSTRUMENTED_SYSTEM, Region, StatsAlloc};

#[global_allocator]
static ALLOCATOR: &StatsAlloc<std::alloc::System> = &INSTRUMENTED_SYSTEM;

const MIB: usize = 1024 * 1024;
const MOST: usize = 32 * MIB;
const NONCE: [u8; 32] = [0x5a; 32];

/// Bytes and number of allocations of a piece of work.
fn cost<T>(work: impl FnOnce() -> T) -> (usize, usize) {
    let region = Region::new(ALLOCATOR);
    let result = work();
    let change = region.change();
    drop(result);
    let grown = usize::try_from(change.bytes_reallocated.max(0)).unwrap();
    (change.bytes_allocated + grown, change.allocations + change.reallocations)
}

/// Text of `most` bytes: `start`, `filler` again and again, `end`.
fn filled(start: &str, filler: &str, end: &str, most: usize) -> String {
    let times = (most - start.len() - end.len()) / filler.len();
    [start, &filler.repeat(times), end].concat()
}

/// An answer of the largest size whose extra member holds `filler` again and again.
fn padded(answer: &str, start: &str, filler: &str, end: &str) -> String {
    let open = format!("{},\"padding\":{start}", answer.strip_suffix('}').unwrap());
    filled(&open, filler, &format!("{end}}}"), limits::ATTESTATION_RESPONSE_MAX_BYTES)
}

/// Kind of document, its size, and what reading it costs.
type Cost = (&'static str, usize, (usize, usize));

fn answers(scene: &Scene, out: &mut Vec<Cost>) {
    let honest = scene.answer(Shape::Near, QuoteEncoding::Hex, 4, &BTreeSet::new(), NONCE);
    let collateral = [scene.collateral(&BTreeSet::new())];
    let (roots, policy) = (scene.roots(), Policy::standard());
    for (kind, answer) in [
        ("answer, one long text", padded(&honest, "\"", "x", "\"")),
        ("answer, numbers", padded(&honest, "[0", ",0", "]")),
        ("answer, empty arrays", padded(&honest, "[[]", ",[]", "]")),
        ("answer, short texts", padded(&honest, "[\"a\"", ",\"a\"", "]")),
        ("answer, objects", padded(&honest, "[{}", ",{\"a\":{}}", "]")),
    ] {
        let input = EvidenceInput {
            provider: Provider::Venice,
            model: None,
            response: answer.as_bytes(),
            nonce: NONCE,
            collateral: &collateral,
        };
        out.push((kind, answer.len(), cost(|| appraise(&input, &policy, &roots, NOW))));
    }
}

fn collateral(scene: &Scene, out: &mut Vec<Cost>) {
    let mut spec = scene.world.collateral_spec();
    // As many entries as fit: serial, date and reason take 36 bytes or so.
    spec.pck_crl.revoked = (0..110_000u32).map(|n| n.to_be_bytes().to_vec()).collect();
    let signed = spec.sign(&scene.world.intel);
    assert!((3 * MIB..limits::CRL_MAX_BYTES).contains(&signed.pck_crl.len()), "{}", signed.pck_crl.len());
    let text = signed.to_json();
    let roots = scene.roots();
    let read = || proveil_core::evidence::TdxCollateral::from_json(text.as_bytes()).unwrap();
    out.push(("collateral file with a long revocation list", text.len(), cost(read)));
    let raw = read();
    let verify = || proveil_core::attest::tdx::VerifiedCollateral::verify(&raw, &roots, NOW).unwrap();
    out.push(("the same verified", raw.pck_crl.len(), cost(verify)));
    let table = vec![0x11; limits::CHAIN_MAX_BYTES];
    out.push((
        "certificate table",
        table.len(),
        cost(|| SnpEndorsements::from_certificate_table(&table).is_ok()),
    ));
}

fn small_documents(scene: &Scene, out: &mut Vec<Cost>) {
    let roots = scene.roots();
    let quote = vec![4; limits::TDX_QUOTE_MAX_BYTES];
    out.push(("quote", quote.len(), cost(|| Quote::parse(&quote).is_ok())));
    let log = filled("[", "{\"imr\":0},", "{}]", limits::EVENT_LOG_MAX_BYTES);
    out.push(("event log", log.len(), cost(|| EventLog::read_text(&log).is_ok())));
    for (kind, start, filler, end) in [
        ("manifest, elements", "<a>", "<b/>", "</a>"),
        ("manifest, one text", "<a>", "x", "</a>"),
        ("manifest, nested", "", "<a>", ""),
    ] {
        let xml = filled(start, filler, end, limits::RIM_MAX_BYTES);
        out.push((kind, xml.len(), cost(|| Rim::verify(xml.as_bytes(), &roots, NOW, false).is_ok())));
    }
}

fn devices(scene: &Scene) -> GpuEvidence {
    let payload = scene.world.gpu_payload(NONCE, &mut Random::from_seed([3; 32]));
    GpuEvidence::read(Some(&Json::String(payload))).unwrap()
}

/// One test, because the allocations of a whole program are counted.
#[test]
fn work_is_bounded() {
    let scene = Scene::new(1);
    let mut costs = Vec::new();
    answers(&scene, &mut costs);
    collateral(&scene, &mut costs);
    small_documents(&scene, &mut costs);
    for (kind, size, (bytes, count)) in &costs {
        println!("{kind:<48}{:>7} KiB: {:>7} KiB in {count} allocations", size / 1024, bytes / 1024);
    }
    let beyond: Vec<&Cost> = costs.iter().filter(|(.., (bytes, _))| *bytes > MOST).collect();
    assert!(beyond.is_empty(), "{beyond:?}");

    // Twice as many devices cost twice as much more: the step from 2 to 4, doubled, is the step from 4 to 8.
    let verify = |gpus| {
        let scene = Scene::new(gpus);
        let (evidence, roots) = (devices(&scene), scene.roots());
        cost(|| nvidia::verify(&evidence, &NONCE, &roots, NOW).unwrap())
    };
    check_linear("GPUs", [2, 4, 8].map(verify));
    let events = |events: usize| {
        let event = format!(
            "{{\"imr\":0,\"event_type\":1,\"digest\":\"{}\",\"event\":\"\",\"event_payload\":\"\"}}",
            "ab".repeat(48)
        );
        let log = Json::parse(format!("[{}]", vec![event; events].join(",")).as_bytes()).unwrap();
        cost(|| EventLog::read(&log).unwrap())
    };
    check_linear("events", [250, 500, 1000].map(events));
}

/// The cost of `n`, `2n` and `4n` things, in allocations and bytes, grows no faster than they do.
fn check_linear(what: &str, costs: [(usize, usize); 3]) {
    println!("{what}: {costs:?}");
    for pick in [|cost: (usize, usize)| cost.0, |cost: (usize, usize)| cost.1] {
        let [first, second, third] = costs.map(pick);
        let (step, next) = (second.saturating_sub(first), third.saturating_sub(second));
        assert!(step > 0 && next as f64 <= step as f64 * 2.2, "{what}: {costs:?}");
    }
}
