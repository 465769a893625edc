//! Mutation of forged evidence (threats.md section 6): no changed byte of a quote, and no deleted, repeated or changed member of an
//! answer, stays `verified`, unless `tests/evidence/dont_care.json` names it with a reason.

#![allow(
    clippy::arithmetic_side_effects,
    clippy::cast_possible_truncation,
    clippy::indexing_slicing,
    clippy::print_stdout,
    clippy::unwrap_used
)]

mod drive;

use std::collections::BTreeSet;
use std::path::Path;

use drive::NOW;
use drive::local::Scene;
use proveil_core::attest::TrustRoots;
use proveil_core::attest::tdx::{self, VerifiedCollateral, rules};
use proveil_core::evidence::TdxCollateral;
use proveil_core::policy::Policy;
use proveil_core::provider::{EvidenceInput, Provider, appraise};
use proveil_core::report::Verdict;
use proveil_core::wire::json::Json;
use proveil_testkit::forge::Random;
use proveil_testkit::sim::{QuoteEncoding, Shape};

const NONCE: [u8; 32] = [0x5a; 32];
/// Threads that share a sweep.
const THREADS: usize = 4;

/// Runs a test over many inputs on a few threads; gives those for which it has a result.
fn sweep<T: Sync, R: Send>(inputs: &[T], test: impl Fn(&T) -> Option<R> + Sync) -> Vec<(&T, R)> {
    let run = |input| test(input).map(|result| (input, result));
    let run = &run;
    std::thread::scope(|scope| {
        let part = inputs.len().div_ceil(THREADS).max(1);
        let threads: Vec<_> = inputs
            .chunks(part)
            .map(|chunk| scope.spawn(move || chunk.iter().filter_map(run).collect::<Vec<_>>()))
            .collect();
        threads.into_iter().flat_map(|thread| thread.join().unwrap()).collect()
    })
}

/// Every byte of a quote, padding included, one bit each: none is verified.
#[test]
fn every_byte_of_a_quote() {
    let scene = Scene::new(0);
    let roots = scene.roots();
    let collateral = VerifiedCollateral::verify(&scene.collateral(&BTreeSet::new()), &roots, NOW).unwrap();
    let policy = Policy::standard();
    let verified = |quote: &[u8]| {
        tdx::verify(quote, &collateral, &roots, NOW)
            .is_ok_and(|claims| rules::evaluate(&claims, policy.tdx()).iter().all(|finding| finding.passed))
    };
    for version in [4, 5] {
        let mut spec = scene.world.quote_spec(version, [7; 64], &mut Random::from_seed([version as u8; 32]));
        spec.padding = 70;
        let quote = scene.world.sign_quote(&spec);
        assert!(verified(&quote));
        // Behind the body both versions are alike.
        let signed = spec.signed_bytes().len();
        let until = if version == 4 { quote.len() } else { signed + 4 };
        let places: Vec<usize> = (0..until).collect();
        let survivors = sweep(&places, |place| {
            let mut changed = quote.clone();
            changed[*place] ^= 1 << (place % 8);
            verified(&changed).then_some(())
        });
        println!("version {version}: {until} of {} bytes changed, {} verified", quote.len(), survivors.len());
        assert!(survivors.is_empty(), "version {version}: {survivors:?} of {}", quote.len());
    }
}

/// One step into a document.
#[derive(Clone, Debug, PartialEq)]
enum Step {
    Member(String),
    /// With `3` for an event of RTMR3, which counts differently from the firmware's.
    Element(usize, &'static str),
    /// Into a text that holds JSON.
    Text,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Op {
    Delete,
    Duplicate,
    Alter,
}

impl Op {
    const fn name(self) -> &'static str {
        match self {
            Op::Delete => "delete",
            Op::Duplicate => "duplicate",
            Op::Alter => "alter",
        }
    }
}

struct Mutation {
    path: Vec<Step>,
    op: Op,
}

impl Mutation {
    /// `/event_log/*3/digest`, `/nvidia_payload#/nonce`.
    fn pattern(&self) -> String {
        self.path.iter().fold(String::new(), |text, step| match step {
            Step::Member(name) => format!("{text}/{name}"),
            Step::Element(_, label) => format!("{text}/*{label}"),
            Step::Text => format!("{text}#"),
        })
    }

    fn apply(&self, document: &Json) -> Json {
        let mut changed = document.clone();
        change(&mut changed, &self.path, self.op);
        changed
    }
}

/// Elements of an array in a copy that are looked at.
const COPY_ELEMENTS: usize = 2;

/// Copies of what stands elsewhere in the answer: their long logs are not gone through event by event.
fn is_copy(path: &[Step]) -> bool {
    let top = |name: &str| path.contains(&Step::Member(name.to_owned()));
    top("all_attestations") || top("compose_manager_attestation") || top("tcb_info")
}

/// All mutations of a document: each member and element deleted and repeated, each leaf changed.
fn mutations(value: &Json, path: &mut Vec<Step>, out: &mut Vec<Mutation>) {
    let inside = |step: Step, child: &Json, path: &mut Vec<Step>, out: &mut Vec<Mutation>| {
        path.push(step);
        for op in [Op::Delete, Op::Duplicate] {
            out.push(Mutation { path: path.clone(), op });
        }
        mutations(child, path, out);
        path.pop();
    };
    match value {
        Json::Object(members) => {
            for (name, child) in members {
                inside(Step::Member(name.clone()), child, path, out);
            }
        }
        Json::Array(elements) => {
            let most = if is_copy(path) { COPY_ELEMENTS } else { usize::MAX };
            for (i, child) in elements.iter().enumerate().take(most) {
                let label = if child.get("imr").and_then(Json::as_u64) == Some(3) { "3" } else { "" };
                inside(Step::Element(i, label), child, path, out);
            }
        }
        leaf => match json_text(leaf) {
            Some(document @ (Json::Object(_) | Json::Array(_))) => {
                path.push(Step::Text);
                mutations(&document, path, out);
                path.pop();
            }
            _ => out.push(Mutation { path: path.clone(), op: Op::Alter }),
        },
    }
}

fn json_text(leaf: &Json) -> Option<Json> {
    leaf.as_str().and_then(|text| Json::parse(text.as_bytes()).ok())
}

fn change(value: &mut Json, path: &[Step], op: Op) {
    match (value, path, op) {
        (Json::Object(members), [Step::Member(name)], Op::Delete) => {
            members.retain(|(member, _)| member != name)
        }
        (Json::Object(members), [Step::Member(name)], Op::Duplicate) => {
            let copy = members.iter().find(|(member, _)| member == name).cloned();
            members.extend(copy);
        }
        (Json::Array(elements), [Step::Element(i, _)], Op::Delete) => drop(elements.remove(*i)),
        (Json::Array(elements), [Step::Element(i, _)], Op::Duplicate) => {
            elements.insert(*i, elements[*i].clone())
        }
        (Json::Object(members), [Step::Member(name), rest @ ..], _) => {
            let inner = members.iter_mut().find(|(member, _)| member == name);
            change(&mut inner.unwrap().1, rest, op);
        }
        (Json::Array(elements), [Step::Element(i, _), rest @ ..], _) => change(&mut elements[*i], rest, op),
        (Json::String(text), [Step::Text, rest @ ..], _) => {
            let mut document = Json::parse(text.as_bytes()).unwrap();
            change(&mut document, rest, op);
            *text = document.to_compact();
        }
        (leaf, [], Op::Alter) => *leaf = altered(leaf),
        (_, path, op) => panic!("{op:?} at {path:?}"),
    }
}

/// Another value of the same type.
fn altered(leaf: &Json) -> Json {
    match leaf {
        Json::String(text) if text.is_empty() => Json::String("00".to_owned()),
        Json::String(text) => {
            // Near the middle, so that in hex, base64 and words it is never only a prefix or padding.
            let middle = text.chars().count() / 2;
            let other = |c: char| if c == '1' { '2' } else { '1' };
            Json::String(
                text.chars().enumerate().map(|(i, c)| if i == middle { other(c) } else { c }).collect(),
            )
        }
        Json::Bool(value) => Json::Bool(!value),
        Json::Number(_) => Json::Number((leaf.as_u64().unwrap() + 1).into()),
        Json::Null => Json::String("x".to_owned()),
        container => panic!("{container:?}"),
    }
}

/// What a mutation that stays verified may do to the report.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Effect {
    /// Nothing: the place is not looked at, or something else says the same.
    None,
    /// It shows less.
    Less,
}

/// One entry of the committed list.
struct DontCare {
    ops: Vec<String>,
    paths: Vec<String>,
    /// Places below `paths` that are not meant.
    except: Vec<String>,
    effect: Effect,
}

impl DontCare {
    fn covers(&self, path: &str, op: Op) -> bool {
        let any = |patterns: &[String]| patterns.iter().any(|pattern| covers(pattern, path));
        self.ops.iter().any(|name| name == op.name()) && any(&self.paths) && !any(&self.except)
    }
}

/// `/**` at the end stands for everything below.
fn covers(pattern: &str, path: &str) -> bool {
    match pattern.strip_suffix("/**") {
        Some(above) => path.strip_prefix(above).is_some_and(|rest| rest.starts_with(['/', '#'])),
        None => pattern == path,
    }
}

fn dont_care(shape: &str) -> Vec<DontCare> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/evidence/dont_care.json");
    let list = Json::parse(&std::fs::read(path).unwrap()).unwrap();
    let texts = |entry: &Json, name: &str| -> Vec<String> {
        let values = entry.get(name).and_then(Json::as_array).unwrap_or_default();
        values.iter().map(|value| value.as_str().unwrap().to_owned()).collect()
    };
    let entries = list.get("entries").and_then(Json::as_array).unwrap();
    entries
        .iter()
        .filter(|entry| {
            let reason = entry.get("reason").and_then(Json::as_str).unwrap();
            assert!(reason.len() > 20, "{entry:?} needs a reason");
            texts(entry, "shapes").iter().any(|name| name == shape)
        })
        .map(|entry| DontCare {
            ops: texts(entry, "ops"),
            paths: texts(entry, "paths"),
            except: texts(entry, "except"),
            effect: match entry.get("report").and_then(Json::as_str) {
                Some("unchanged") => Effect::None,
                Some("less") => Effect::Less,
                other => panic!("{other:?}"),
            },
        })
        .collect()
}

struct Judge {
    policy: Policy,
    roots: TrustRoots,
    collateral: [TdxCollateral; 1],
}

impl Judge {
    /// The report of a verified answer, without the hash of the answer.
    fn verified(&self, document: &Json) -> Option<String> {
        let response = document.to_compact();
        let input = EvidenceInput {
            provider: Provider::Venice,
            model: Some(drive::MODEL),
            response: response.as_bytes(),
            nonce: NONCE,
            collateral: &self.collateral,
        };
        let (report, result) = appraise(&input, &self.policy, &self.roots, NOW);
        assert_eq!(result.is_ok(), report.verdict() == Verdict::Verified);
        let hash = |line: &&str| line.trim_start().starts_with("\"evidence_sha256\"");
        result.ok().map(|()| report.to_json().lines().filter(|line| !hash(line)).collect())
    }
}

/// Each member and element of an answer deleted and repeated, each leaf changed: what stays verified is on the list, with what it does
/// to the report, and every place on the list is one that does.
#[test]
fn every_member_of_an_answer() {
    let scene = Scene::new(1);
    let judge = Judge {
        policy: Policy::standard(),
        roots: scene.roots(),
        collateral: [scene.collateral(&BTreeSet::new())],
    };
    let mut wrong = Vec::new();
    for (shape, name) in [(Shape::Near, "near"), (Shape::Aci, "aci")] {
        let answer = scene.answer(shape, QuoteEncoding::Hex, 4, &BTreeSet::new(), NONCE);
        let document = Json::parse(answer.as_bytes()).unwrap();
        let honest = judge.verified(&document).unwrap();
        let mut all = Vec::new();
        mutations(&document, &mut Vec::new(), &mut all);
        let survivors = sweep(&all, |mutation| {
            let report = judge.verified(&mutation.apply(&document))?;
            Some(if report == honest { Effect::None } else { Effect::Less })
        });
        println!("{name}: {} mutations, {} verified", all.len(), survivors.len());

        let listed = dont_care(name);
        for (mutation, effect) in &survivors {
            let (path, op) = (mutation.pattern(), mutation.op);
            if !listed.iter().any(|entry| entry.covers(&path, op) && entry.effect == *effect) {
                wrong.push(format!("{name}: {} {path} stays verified, {effect:?}", op.name()));
            }
        }
        for entry in &listed {
            for pattern in &entry.paths {
                for op in &entry.ops {
                    let used = |(mutation, _): &(&Mutation, Effect)| {
                        mutation.op.name() == op && covers(pattern, &mutation.pattern())
                    };
                    if !survivors.iter().any(used) {
                        wrong.push(format!("{name}: {op} {pattern} is listed but refused"));
                    }
                }
            }
        }
    }
    wrong.sort();
    wrong.dedup();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
