//! Reference manifests under throw-away roots: every defect of a signed document, and the comparison (threats T12, T15).

#![allow(clippy::arithmetic_side_effects, clippy::indexing_slicing, clippy::unwrap_used, clippy::expect_used)]

#[path = "common/nvidia.rs"]
mod nvidia_system;

use nvidia_system::{NOW, System, policy};
use proveil_core::attest::TrustRoots;
use proveil_core::attest::nvidia::{Rim, Rims, rim_ids};
use proveil_core::claims::ReferenceState;
use proveil_core::error::Code;
use proveil_core::evidence::RimDocument;
use proveil_testkit::forge::rim::{ENVELOPED, RimResource};
use proveil_testkit::forge::{DAY_S, EcKey, Model, RimSpec, World, rim};

type Change = fn(&mut RimSpec);

fn judge(system: &System, xml: &str) -> Result<String, (Code, String)> {
    Rim::verify(xml.as_bytes(), &system.roots, NOW, false)
        .map(|rim| rim.name())
        .map_err(|error| (error.code(), error.check().unwrap_or_default().to_owned()))
}

fn sign(world: &World, spec: &RimSpec) -> String {
    spec.sign(&world.rim.signer.key, &world.rim.chain())
}

/// Forms of the same document that mean the same: none of them is signed anew.
#[test]
fn honest_manifests_in_any_form() {
    let system = System::new(1);
    let spec = &system.rims(false)[0];
    let xml = sign(&system.world, spec);
    let expected = Ok("GH100 570.172.08".to_owned());
    for (name, same) in [
        ("as served", xml.clone()),
        ("canonical", xml.replace("/>", "></ns0:Resource>").replace("\"></ns0:Resource>", "\"/>")),
        ("declaration", format!("<?xml version=\"1.0\" encoding=\"UTF-8\" standalone=\"yes\"?>\n{xml}")),
        ("line ends", xml.replace('\n', "\r\n")),
        ("quotes", xml.replace("edition=\"GPU\"", "edition='GPU'")),
        ("references", xml.replace("edition=\"GPU\"", "edition=\"&#x47;&#80;U\"")),
        ("spaces", xml.replace(" edition=", "\n\t edition = ").replace("</ns0:Payload>", "</ns0:Payload  >")),
        ("order", xml.replace("edition=\"GPU\" product=\"GH100\"", "product=\"GH100\" edition=\"GPU\"")),
    ] {
        assert_eq!(judge(&system, &same), expected, "{name}");
    }
    let rim = Rim::verify(xml.as_bytes(), &system.roots, NOW, false).unwrap();
    assert_eq!(rim.active_indices(), rim::DRIVER_INDEXES.map(|index| u8::try_from(index).unwrap()));
    assert!(rim.custom_root && !rim.expired);
}

/// Each defect is signed by the trusted signer unless its name says otherwise: only the named rule stands against it.
#[test]
fn signed_defects() {
    let system = System::new(1);
    let cases: &[(&str, Change, Code, &str)] = &[
        ("reference to a part", |s| s.uri = "#part".into(), Code::CollateralSignature, "gpu.rim.reference"),
        (
            "reference to a file",
            |s| s.uri = "file:///etc/passwd".into(),
            Code::CollateralSignature,
            "gpu.rim.reference",
        ),
        (
            "SHA-256 digest",
            |s| s.digest_method = "http://www.w3.org/2001/04/xmlenc#sha256".into(),
            Code::CollateralSignature,
            "gpu.rim.algorithm",
        ),
        (
            "RSA signature",
            |s| s.signature_method = "http://www.w3.org/2001/04/xmldsig-more#rsa-sha384".into(),
            Code::CollateralSignature,
            "gpu.rim.algorithm",
        ),
        (
            "HMAC signature",
            |s| s.signature_method = "http://www.w3.org/2000/09/xmldsig#hmac-sha1".into(),
            Code::CollateralSignature,
            "gpu.rim.algorithm",
        ),
        (
            "exclusive canonicalisation",
            |s| s.canonicalization = "http://www.w3.org/2001/10/xml-exc-c14n#".into(),
            Code::CollateralSignature,
            "gpu.rim.algorithm",
        ),
        (
            "no enveloped transform",
            |s| {
                s.transforms.remove(0);
            },
            Code::CollateralSignature,
            "gpu.rim.reference",
        ),
        (
            "a third transform",
            |s| s.transforms.push(ENVELOPED.into()),
            Code::CollateralSignature,
            "gpu.rim.reference",
        ),
        (
            "an XPath transform",
            |s| s.transforms[0] = "http://www.w3.org/TR/1999/REC-xpath-19991116".into(),
            Code::CollateralSignature,
            "gpu.rim.algorithm",
        ),
        (
            "transforms in another order",
            |s| s.transforms.reverse(),
            Code::CollateralSignature,
            "gpu.rim.algorithm",
        ),
        (
            "a key value",
            |s| s.key_info = "<ds:KeyValue></ds:KeyValue>".into(),
            Code::CollateralSignature,
            "gpu.rim.chain",
        ),
        (
            "a key name",
            |s| s.key_info = "<ds:KeyName>k</ds:KeyName>".into(),
            Code::CollateralSignature,
            "gpu.rim.chain",
        ),
        (
            "a second signature inside",
            |s| s.extra = format!("<ds:Signature xmlns:ds=\"{DS}\"></ds:Signature>"),
            Code::CollateralSignature,
            "gpu.rim.reference",
        ),
        ("other edition", |s| s.edition = "CPU".into(), Code::CollateralMalformed, "gpu.rim.schema"),
        ("other maker", |s| s.manufacturer_id = "343".into(), Code::CollateralMalformed, "gpu.rim.schema"),
        ("empty version", |s| s.version = String::new(), Code::CollateralMalformed, "gpu.rim.schema"),
        (
            "an element more",
            |s| s.extra = "<ns0:Link></ns0:Link>".into(),
            Code::CollateralMalformed,
            "gpu.rim.schema",
        ),
        ("text", |s| s.extra = "text".into(), Code::CollateralMalformed, "gpu.rim.schema"),
        (
            "no value active",
            |s| s.resources.iter_mut().for_each(|r| r.active = "False".into()),
            Code::CollateralMalformed,
            "gpu.rim.schema",
        ),
        ("no measurement", |s| s.resources.clear(), Code::CollateralMalformed, "gpu.rim.schema"),
        (
            "an index twice",
            |s| {
                let first = s.resources[7].clone();
                s.resources.push(first);
            },
            Code::CollateralMalformed,
            "gpu.rim.schema",
        ),
        (
            "an index too high",
            |s| s.resources[7].index = "255".into(),
            Code::CollateralMalformed,
            "gpu.rim.schema",
        ),
        (
            "an index with a zero",
            |s| s.resources[7].index = "07".into(),
            Code::CollateralMalformed,
            "gpu.rim.schema",
        ),
        (
            "a signed index",
            |s| s.resources[7].index = "+7".into(),
            Code::CollateralMalformed,
            "gpu.rim.schema",
        ),
        (
            "activity in lower case",
            |s| s.resources[7].active = "true".into(),
            Code::CollateralMalformed,
            "gpu.rim.schema",
        ),
        ("another size", |s| s.resources[7].size = "32".into(), Code::CollateralMalformed, "gpu.rim.schema"),
        (
            "another type",
            |s| s.resources[7].kind = "OpaqueData".into(),
            Code::CollateralMalformed,
            "gpu.rim.schema",
        ),
        (
            "a short hash",
            |s| s.resources[7].hashes[0].truncate(94),
            Code::CollateralMalformed,
            "gpu.rim.schema",
        ),
        (
            "fewer values than stated",
            |s| s.resources[7].alternatives = "2".into(),
            Code::CollateralMalformed,
            "gpu.rim.schema",
        ),
        (
            "more values than stated",
            |s| {
                let more = s.resources[7].hashes[0].clone();
                s.resources[7].hashes.push(more);
            },
            Code::CollateralMalformed,
            "gpu.rim.schema",
        ),
        (
            "no values",
            |s| {
                s.resources[7].hashes.clear();
                s.resources[7].alternatives = "0".into();
            },
            Code::CollateralMalformed,
            "gpu.rim.schema",
        ),
    ];
    for (name, change, code, check) in cases {
        let mut spec = system.rims(false).remove(0);
        change(&mut spec);
        assert_eq!(judge(&system, &sign(&system.world, &spec)), Err((*code, (*check).to_owned())), "{name}");
    }
}

const DS: &str = "http://www.w3.org/2000/09/xmldsig#";

/// T15: what was signed is what is read; nothing else in the document is.
#[test]
fn changed_and_wrapped_documents() {
    let system = System::new(1);
    let spec = system.rims(false).remove(0);
    let xml = sign(&system.world, &spec);
    let mut forged = spec.clone();
    forged.resources[7].hashes[0] = "ab".repeat(48);
    let signature = &xml[xml.find("<ds:Signature").unwrap()..xml.find("</SoftwareIdentity>").unwrap()];
    let body = |content: &str, inside: &str| format!("{content}{inside}</SoftwareIdentity>");
    let reference = (Code::CollateralSignature, "gpu.rim.reference");
    let wrong = (Code::CollateralSignature, "gpu.rim.signature");
    let xml_form = (Code::CollateralMalformed, "gpu.rim.xml");
    let signature_with = |from: &str, to: &str| body(&spec.content(), &signature.replacen(from, to, 1));
    let cases: Vec<(&str, String, (Code, &str))> = vec![
        ("another value", xml.replacen(&spec.resources[7].hashes[0], &"ab".repeat(48), 1), wrong),
        ("an inactive value made active", xml.replacen("active=\"False\"", "active=\"True\"", 1), wrong),
        ("another version", xml.replacen("570.172.08", "570.172.09", 1), wrong),
        ("white space in the content", xml.replacen("    <ns0:Payload", "   <ns0:Payload", 1), wrong),
        (
            "another digest signed",
            spec.sign_other(&forged.content(), &system.world.rim.signer.key, &system.world.rim.chain()),
            wrong,
        ),
        ("genuine document inside a forged one", body(&forged.content(), xml.trim()), reference),
        ("genuine signature over a forged document", body(&forged.content(), signature), wrong),
        ("genuine signature twice", body(&spec.content(), &format!("{signature}{signature}")), reference),
        ("signature one level down", body(&forged.content(), &format!("<x>{signature}</x>")), reference),
        ("no signature", body(&spec.content(), ""), reference),
        ("signature of another namespace", signature_with(DS, "urn:x"), reference),
        (
            "an object in the signature",
            signature_with("</ds:Signature>", "<ds:Object></ds:Object></ds:Signature>"),
            reference,
        ),
        ("an id on the signature", signature_with("<ds:SignedInfo>", "<ds:SignedInfo Id=\"a\">"), reference),
        ("an id on the reference", signature_with("URI=\"\"", "Id=\"a\" URI=\"\""), reference),
        (
            "a second reference",
            signature_with("</ds:SignedInfo>", "<ds:Reference URI=\"\"></ds:Reference></ds:SignedInfo>"),
            reference,
        ),
        (
            "algorithm parameters",
            signature_with("ecdsa-sha384\"/>", "ecdsa-sha384\">48</ds:SignatureMethod>"),
            (Code::CollateralSignature, "gpu.rim.algorithm"),
        ),
        ("a short signature value", signature_with("<ds:SignatureValue>", "<ds:SignatureValue>AAAA"), wrong),
        ("a value that is not base64", signature_with("<ds:DigestValue>", "<ds:DigestValue>!"), wrong),
        ("a comment", xml.replacen("<ns0:Payload", "<!-- --><ns0:Payload", 1), xml_form),
        (
            "a comment inside a value",
            xml.replacen("<ds:DigestValue>", "<ds:DigestValue><!-- -->", 1),
            xml_form,
        ),
        ("a document type", format!("<!DOCTYPE x>{xml}"), xml_form),
        (
            "entities",
            format!("<!DOCTYPE x [<!ENTITY e \"GPU\">]>{}", xml.replace("\"GPU\"", "\"&e;\"")),
            xml_form,
        ),
        ("a processing instruction", format!("<?xml-stylesheet href=\"x\"?>{xml}"), xml_form),
        ("a second root", format!("{xml}{xml}"), xml_form),
        ("nothing", String::new(), xml_form),
        ("a web page", "<html><body>Sign in<br></body></html>".into(), xml_form),
    ];
    for (name, document, (code, check)) in cases {
        assert_eq!(judge(&system, &document), Err((code, check.to_owned())), "{name}");
    }
}

/// T15, T20: the chain, each certificate of it replaced, ended, left out, put elsewhere.
#[test]
fn chains() {
    let mut system = System::new(1);
    let world = system.world.clone();
    let spec = system.rims(false).remove(0);
    let honest = world.rim.chain();
    let chain_error = (Code::CollateralSignature, "gpu.rim.chain".to_owned());
    let stranger = rim::RimPki::generate(&mut system.random, NOW);
    let key = &world.rim.signer.key;
    for order in [
        &[][..],
        &[0],
        &[0, 1, 2],
        &[1, 0, 2, 3],
        &[0, 2, 3],
        &[0, 1, 2, 2, 3],
        &[3],
        &[0, 1, 2, 3, 3],
        &[1, 2, 3],
    ] {
        let chain: Vec<Vec<u8>> = order.iter().map(|i| honest[*i].clone()).collect();
        assert_eq!(judge(&system, &spec.sign(key, &chain)), Err(chain_error.clone()), "{order:?}");
    }
    for i in 0..4 {
        let mut chain = honest.clone();
        chain[i] = stranger.chain()[i].clone();
        assert_eq!(judge(&system, &spec.sign(key, &chain)), Err(chain_error.clone()), "replaced {i}");
    }
    assert_eq!(judge(&system, &spec.sign(&stranger.signer.key, &stranger.chain())), Err(chain_error.clone()));
    // Signed by a stranger under the genuine chain.
    let wrong = Err((Code::CollateralSignature, "gpu.rim.signature".to_owned()));
    assert_eq!(judge(&system, &spec.sign(&stranger.signer.key, &honest)), wrong);
    // A signer that is itself an authority, and a signer below the signer.
    let as_authority = spec.sign(&world.rim.line.key, &honest[1..]);
    assert_eq!(judge(&system, &as_authority), Err(chain_error.clone()));
    let mut leaf = world.rim.signer.spec.clone();
    leaf.issuer = world.rim.signer.spec.subject.clone();
    let below_key = EcKey::p384(&mut system.random);
    leaf.spki = below_key.spki();
    leaf.extensions.clear();
    let below = [vec![leaf.sign(key)], honest.clone()].concat();
    assert_eq!(judge(&system, &spec.sign(&below_key, &below)), Err(chain_error));
}

/// T19: ended and future signers are not usable; an ended one only when the caller says so.
#[test]
fn times() {
    let system = System::new(1);
    let xml = sign(&system.world, &system.rims(false)[0]);
    let at = |at: u64, allow: bool| {
        Rim::verify(xml.as_bytes(), &system.roots, at, allow)
            .map(|rim| rim.expired)
            .map_err(|error| error.code())
    };
    let end = system.world.rim.signer.spec.not_after;
    let start = system.world.rim.signer.spec.not_before;
    assert_eq!(at(end, false), Ok(false));
    assert_eq!(at(end + 1, false), Err(Code::CollateralExpired));
    assert_eq!(at(end + 1, true), Ok(true));
    assert_eq!(at(end + 8_000 * DAY_S, true), Ok(true));
    assert_eq!(at(start, false), Ok(false));
    assert_eq!(at(start - 1, false), Err(Code::CollateralNotYetValid));
    assert_eq!(at(start - 1, true), Err(Code::CollateralNotYetValid));
}

/// T68: a manifest that leads elsewhere is refused, and so is every manifest when no root for them is trusted.
#[test]
fn roots() {
    let system = System::new(1);
    let xml = sign(&system.world, &system.rims(false)[0]);
    let none = TrustRoots::from_json(b"{\"schema\":\"proveil.trust-roots/v1\"}").unwrap();
    for roots in [TrustRoots::vendors(), none] {
        let error = Rim::verify(xml.as_bytes(), &roots, NOW, false).unwrap_err();
        assert_eq!((error.code(), error.check()), (Code::CollateralSignature, Some("gpu.rim.chain")));
    }
}

/// T12: what a device measures against what its manifests say.
#[test]
fn comparisons() {
    type Edit = fn(&mut Vec<RimSpec>);
    /// Name, change, how many values were compared or what was found wrong.
    type Case<'a> = (&'a str, Edit, Result<usize, (Code, &'a str, &'a str)>);
    let mut system = System::new(2);
    let claims = system.claims();
    let honest = system.rims(false);
    let cases: &[Case<'_>] = &[
        ("honest", |_| (), Ok(34)),
        (
            "a value less",
            |rims| rims[0].resource(22).unwrap().hashes[0] = "0".repeat(96),
            Err((Code::GpuMeasurement, "gpu.measurements", "index 22")),
        ),
        (
            "two values less",
            |rims| {
                rims[0].resource(22).unwrap().hashes[0] = "0".repeat(96);
                rims[1].resource(3).unwrap().hashes[0] = "0".repeat(96);
            },
            Err((Code::GpuMeasurement, "gpu.measurements", "index 3, 22")),
        ),
        ("an inactive value", |rims| rims[0].resource(50).unwrap().hashes[0] = "1".repeat(96), Ok(34)),
        (
            "an index past the report",
            |rims| {
                let value = RimResource::new(64, &[[0; 48]]);
                rims[0].resources.push(value);
            },
            Err((Code::GpuMeasurement, "gpu.measurements", "index 64")),
        ),
        (
            "the unused video decoder",
            |rims| rims[0].resource(35).unwrap().hashes = vec!["1".repeat(96), "2".repeat(96)],
            Ok(33),
        ),
        (
            "two manifests, one index",
            |rims| {
                let value = rims[0].resources[7].clone();
                rims[1].resources[7] = value;
            },
            Err((Code::CollateralMismatch, "gpu.rim.index_conflict", "index 7")),
        ),
        (
            "no driver manifest",
            |rims| {
                rims.remove(0);
            },
            Err((Code::CollateralMissing, "gpu.rim.present", "")),
        ),
        (
            "no firmware manifest",
            |rims| {
                rims.remove(1);
            },
            Err((Code::CollateralMissing, "gpu.rim.present", "")),
        ),
        (
            "a manifest of another version",
            |rims| rims[0].version = "1.2.3".into(),
            Err((Code::CollateralMissing, "gpu.rim.present", "")),
        ),
        (
            "a manifest of another chip",
            |rims| rims[0].product = "GB100".into(),
            Err((Code::CollateralMissing, "gpu.rim.present", "")),
        ),
        (
            "a manifest of a switch",
            |rims| rims[0].edition = "SWITCH".into(),
            Err((Code::CollateralMissing, "gpu.rim.present", "")),
        ),
    ];
    for (name, edit, expected) in cases {
        let mut specs = honest.clone();
        edit(&mut specs);
        let documents: Vec<RimDocument> = specs.iter().map(|spec| system.world.sign_rim(spec)).collect();
        let rims = Rims::verify(&documents, &system.roots, NOW, false).unwrap();
        let found = rims.compare(&claims[0], &[]);
        match (found, expected) {
            (Ok(ReferenceState::Matched { compared, manifests, .. }), Ok(count)) => {
                assert_eq!((compared, manifests.len()), (*count, 2), "{name}");
            }
            (Err(error), Err((code, check, found))) => {
                assert_eq!((error.code(), error.check()), (*code, Some(*check)), "{name}");
                assert_eq!(error.found_value().unwrap_or_default(), *found, "{name}");
            }
            (found, _) => panic!("{name}: {found:?}"),
        }
    }
}

/// A manifest handed over under the device's own id must be the right one: a service or a cache can serve another under that name.
#[test]
fn manifests_under_a_name() {
    let mut system = System::new(1);
    let claims = system.claims();
    let ids = rim_ids(&claims[0]).unwrap();
    let names: Vec<&str> = ids.iter().map(|id| id.names[0].as_str()).collect();
    assert_eq!(names, ["NV_GPU_DRIVER_GH100_570.172.08", "NV_GPU_VBIOS_G520_0280_895_9600CF0002"]);
    let named = |specs: &[RimSpec]| -> Vec<RimDocument> {
        let documents = specs.iter().map(|spec| system.world.sign_rim(spec)).zip(&names);
        documents.map(|(document, name)| RimDocument { id: Some((*name).to_owned()), ..document }).collect()
    };
    let compare = |documents: &[RimDocument]| {
        let rims = Rims::verify(documents, &system.roots, NOW, false).unwrap();
        rims.compare(&claims[0], &[])
            .map(|_| ())
            .map_err(|error| (error.code(), error.check().unwrap().to_owned()))
    };
    assert_eq!(compare(&named(&system.rims(false))), Ok(()));
    let mismatch = || Err((Code::CollateralMismatch, "gpu.rim.version".to_owned()));
    for change in [
        (|spec: &mut RimSpec| spec.version = "570.172.07".into()) as fn(&mut RimSpec),
        |spec| spec.product = "GB100".into(),
        |spec| spec.edition = "SWITCH".into(),
    ] {
        for i in 0..2 {
            let mut specs = system.rims(false);
            change(&mut specs[i]);
            assert_eq!(compare(&named(&specs)), mismatch());
        }
    }
    let mut swapped = named(&system.rims(false));
    let first = swapped[0].id.take();
    swapped[0].id = std::mem::replace(&mut swapped[1].id, first);
    assert_eq!(compare(&swapped), mismatch());
}

/// Blackwell names its driver manifest after the chip in its report; switches have one manifest.
#[test]
fn other_models() {
    let mut system = System::new(0);
    let nvidia = system.world.nvidia.clone();
    system.world.gpus = vec![nvidia.device(&mut system.random, Model::Blackwell)];
    let claims = system.claims();
    let ids = rim_ids(&claims[0]).unwrap();
    assert_eq!(ids[0].names, ["NV_GPU_CC_DRIVER_GB100_570.172.08"]);
    let documents: Vec<RimDocument> =
        system.rims(false).iter().map(|spec| system.world.sign_rim(spec)).collect();
    let rims = Rims::verify(&documents, &system.roots, NOW, false).unwrap();
    assert!(rims.compare(&claims[0], &[]).is_ok());

    let mut system = System::protected(1, 1);
    let claims = system.claims();
    assert_eq!(rim_ids(&claims[1]).unwrap()[0].names, ["NV_SWITCH_BIOS_5612_0002_890_9610550001"]);
    let documents: Vec<RimDocument> =
        system.rims(true).iter().map(|spec| system.world.sign_rim(spec)).collect();
    let rims = Rims::verify(&documents, &system.roots, NOW, false).unwrap();
    let Ok(ReferenceState::Matched { compared: 31, .. }) = rims.compare(&claims[1], &[]) else { panic!() };
    assert_eq!(rims.compare(&claims[0], &[]).unwrap_err().check(), Some("gpu.rim.present"));
}

/// A mismatch that the policy names is excused, and listed.
#[test]
fn excused_mismatches() {
    let mut system = System::new(1);
    let mut specs = system.rims(false);
    specs[1].resource(9).unwrap().hashes[0] = "5".repeat(96);
    let mut endorsements = system.endorsements();
    endorsements.rims = specs.iter().map(|spec| system.world.sign_rim(spec)).collect();
    let (_, error) = system.appraise(&endorsements, &policy(r#"{"require_rim":true}"#));
    assert_eq!(error.unwrap().code(), Code::GpuMeasurement);
    let excusing = policy(r#"{"require_rim":true,"allowed_mismatches":[9]}"#);
    let (report, error) = system.appraise(&endorsements, &excusing);
    assert_eq!(error, None);
    assert!(report.policy().relaxations.contains(&"GPU measurements may differ: 9".to_owned()));
    let fact = report.facts().iter().find(|fact| fact.name == "gpu.0.reference_excused").unwrap();
    assert_eq!(fact.value, "9");
}

/// Cut and changed at any place: never a panic, never another content.
#[test]
fn sweeps() {
    let system = System::new(1);
    let xml = sign(&system.world, &system.rims(false)[0]);
    let honest = Rim::verify(xml.as_bytes(), &system.roots, NOW, false).unwrap();
    for length in (0..xml.len()).step_by(197) {
        let found = Rim::verify(&xml.as_bytes()[..length], &system.roots, NOW, false);
        assert_eq!(found.unwrap_err().check(), Some("gpu.rim.xml"), "{length}");
    }
    let mut same = 0;
    for place in (0..xml.len()).step_by(43) {
        for bit in [0, 2, 5, 7] {
            let mut changed = xml.clone().into_bytes();
            changed[place] ^= 1 << bit;
            let found = Rim::verify(&changed, &system.roots, NOW, false);
            if let Ok(found) = found {
                // White space inside tags, or in base64 text, is all that may change.
                assert_eq!(
                    (&found.version, found.active_indices()),
                    (&honest.version, honest.active_indices())
                );
                same += 1;
            }
        }
    }
    assert!(same < 10, "{same} changes go unnoticed");
}
