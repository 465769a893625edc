//! Saved reports: strict reading (users.md 9), and rendering of whatever strangers managed to write into one (threats T55, T68).

#![allow(clippy::arithmetic_side_effects, clippy::expect_used, clippy::indexing_slicing, clippy::unwrap_used)]

use std::collections::BTreeSet;

use proveil_core::Code;
use proveil_core::attest::TrustRoots;
use proveil_core::limits::{REPORT_LIST_MAX, REPORT_MAX_BYTES, REPORT_TEXT_MAX_BYTES};
use proveil_core::policy::Policy;
use proveil_core::provider::{EvidenceInput, Provider, appraise};
use proveil_core::report::{Document, Source, Verdict};
use serde_json::{Value, json};

const HEADLINE: &str = "VERIFIED, L2 - prompts for m are encrypted to key 0x6525 held by an Intel TDX enclave; \
                        checked 2026-06-10T01:47:07Z, valid until 2026-06-10T02:17:07Z.";

fn check(id: &str, group: &str, outcome: &str, enforcement: &str) -> Value {
    json!({ "id": id, "group": group, "title": "A title", "outcome": outcome, "enforcement": enforcement,
        "code": "PV-310", "reason": "a reason", "expected": "this", "found": "that", "reference": "the policy" })
}

/// A verified report with something in every place.
fn sample() -> Value {
    json!({
        "schema": "proveil.report/v1", "verdict": "verified", "level": "L2", "roots": "vendor", "headline": HEADLINE,
        "code": null, "provider": "venice", "model": "m", "base_url": "https://api.example/v1", "key": "0x6525",
        "checked_at": 1_781_056_027, "valid_until": 1_781_057_827,
        "policy": { "name": "standard", "sha256": "c4".repeat(32), "relaxations": ["check tcb_info is advisory"] },
        "missing_to_next_level": "a reference value",
        "who_can_read": [
            { "name": "your process", "standing": "proven", "note": "encrypts" },
            { "name": "a host", "standing": "asserted", "note": "decrypts" },
            { "name": "another", "standing": "unknown", "note": "reads" },
        ],
        "not_proven": ["Software identity: not compared", "Weights"],
        "checks": [
            check("tdx.quote_signature", "hardware", "pass", "enforced"),
            check("nonce.cpu", "freshness", "pass", "enforced"),
            check("binding.key", "key_binding", "pass", "enforced"),
            check("tcb_info", "software", "fail", "advisory"),
            check("gpu.bound", "gpu", "not_checked", "advisory"),
            check("answer.form", "transport", "pass", "enforced"),
        ],
        "facts": [{ "name": "gpu.0.driver", "value": "580.1" }],
        "platforms": [{ "name": "Intel TDX", "tcb_status": "UpToDate", "tcb_date": 1_747_180_800, "advisories": ["INTEL-SA-00001"],
            "collateral_issued_at": 1_781_054_653, "collateral_expires_at": 1_783_643_788 }],
        "nonce": "d2".repeat(32), "evidence_sha256": "62".repeat(32), "recheck": "proveil verify venice", "library": "proveil 0.1.0",
    })
}

fn refused() -> Value {
    let mut report = sample();
    report["verdict"] = json!("refused");
    report["headline"] = json!("REFUSED (PV-225): The quote's signature is wrong. Nothing was sent.");
    report["code"] = json!("PV-225");
    for name in ["level", "valid_until", "missing_to_next_level"] {
        report[name] = Value::Null;
    }
    report["checks"][0]["outcome"] = json!("fail");
    report
}

fn indeterminate() -> Value {
    let mut report = refused();
    report["verdict"] = json!("indeterminate");
    report["headline"] = json!("COULD NOT CHECK (PV-301): Vendor collateral has expired. Nothing was sent.");
    report["checks"][0]["outcome"] = json!("not_checked");
    report
}

fn read(report: &Value) -> Result<Document, Code> {
    Document::from_json(report.to_string().as_bytes()).map_err(|error| error.code())
}

/// Every rendered form.
fn forms(document: &Document) -> [String; 6] {
    let source = Source::new("saved <report>.json", b"{}");
    [
        document.to_html(),
        document.to_html_as_recorded_in(&source),
        document.to_svg(),
        document.to_text(),
        document.to_ear_json(),
        document.to_json(),
    ]
}

#[test]
fn a_saved_report_comes_back_byte_for_byte() {
    for report in [sample(), refused(), indeterminate()] {
        let document = read(&report).unwrap();
        let json = document.to_json();
        assert_eq!(serde_json::from_str::<Value>(&json).unwrap(), report);
        let again = Document::from_json(json.as_bytes()).unwrap();
        assert_eq!(again.to_json(), json);
        assert_eq!(forms(&again), forms(&document));
    }
}

/// A path into the document and what is put there.
type Change = (&'static str, Value);

#[test]
fn what_is_no_report_is_refused_and_says_where() {
    let long = "x".repeat(REPORT_TEXT_MAX_BYTES + 100);
    let many = Value::Array(vec![json!("x"); REPORT_LIST_MAX + 1]);
    let cases: Vec<(Change, Code, &str)> = vec![
        (("/schema", json!("proveil.report/v2")), Code::ReportInvalid, "schema"),
        (("/schema", json!(1)), Code::ReportInvalid, "schema"),
        (("/verdict", json!("Verified")), Code::ReportInvalid, "verdict"),
        (("/level", json!("L5")), Code::ReportInvalid, "level"),
        (("/roots", json!(null)), Code::ReportInvalid, "roots"),
        (("/headline", json!(7)), Code::ReportInvalid, "headline"),
        (("/code", json!("x")), Code::ReportInvalid, "code"),
        (("/model", json!("a\nb")), Code::ReportInvalid, "model"),
        (("/model", json!("a\u{202e}b")), Code::ReportInvalid, "model"),
        (("/model", json!(long)), Code::LimitExceeded, "model"),
        (("/checked_at", json!(-1)), Code::ReportInvalid, "checked_at"),
        (("/checked_at", json!(1.5)), Code::ReportInvalid, "checked_at"),
        (("/checked_at", json!(u64::MAX)), Code::ReportInvalid, "checked_at"),
        (("/policy", json!([])), Code::ReportInvalid, "policy"),
        (("/policy/sha256", json!("C4")), Code::ReportInvalid, "policy.sha256"),
        (("/policy/relaxations/0", json!({})), Code::ReportInvalid, "policy.relaxations"),
        (("/nonce", json!("0xd2")), Code::ReportInvalid, "nonce"),
        (("/not_proven", json!("none")), Code::ReportInvalid, "not_proven"),
        (("/not_proven", many), Code::LimitExceeded, "not_proven"),
        (("/who_can_read/1/standing", json!("sure")), Code::ReportInvalid, "who_can_read[1].standing"),
        (("/checks/2/group", json!("other")), Code::ReportInvalid, "checks[2].group"),
        (("/checks/2/outcome", json!("passed")), Code::ReportInvalid, "checks[2].outcome"),
        (("/checks/2/code", json!(null)), Code::ReportInvalid, ""),
        (("/platforms/0/tcb_date", json!("2025")), Code::ReportInvalid, "platforms[0].tcb_date"),
    ];
    for ((path, value), code, place) in cases {
        let mut report = sample();
        *report.pointer_mut(path).unwrap() = value;
        let result = Document::from_json(report.to_string().as_bytes());
        if place.is_empty() {
            // Null is how other members are absent; for a check it is as good as leaving it out.
            assert!(result.is_ok(), "{path}");
            continue;
        }
        let error = result.unwrap_err();
        assert_eq!((error.code(), error.check()), (code, Some(place)), "{path}: {error}");
    }
    for text in
        ["", "null", "[]", "{}", "<html>", "\"proveil.report/v1\"", "{\"schema\":\"proveil.report/v1\"}"]
    {
        assert_eq!(Document::from_json(text.as_bytes()).unwrap_err().code(), Code::ReportInvalid, "{text}");
    }
    let huge = vec![b' '; REPORT_MAX_BYTES + 1];
    assert_eq!(Document::from_json(&huge).unwrap_err().code(), Code::LimitExceeded);
    let deep = format!("{}{}", "[".repeat(100_000), "]".repeat(100_000));
    assert_eq!(Document::from_json(deep.as_bytes()).unwrap_err().code(), Code::ReportInvalid);
}

#[test]
fn no_member_may_be_missing_unknown_or_repeated() {
    let whole = sample();
    for holder in ["", "/policy", "/who_can_read/0", "/facts/0", "/platforms/0"] {
        let names: Vec<String> =
            whole.pointer(holder).unwrap().as_object().unwrap().keys().cloned().collect();
        for name in names {
            let mut report = whole.clone();
            let members = report.pointer_mut(holder).unwrap().as_object_mut().unwrap();
            members.remove(&name);
            assert_eq!(read(&report).unwrap_err(), Code::ReportInvalid, "{holder} without {name}");
        }
    }
    for holder in ["", "/policy", "/who_can_read/0", "/facts/0", "/platforms/0", "/checks/0"] {
        let mut report = whole.clone();
        let members = report.pointer_mut(holder).unwrap().as_object_mut().unwrap();
        members.insert("relaxation".to_owned(), json!("hidden"));
        assert_eq!(read(&report).unwrap_err(), Code::ReportInvalid, "{holder}");
    }
    let mut report = whole.clone();
    report["policy"]["relaxation"] = json!([]);
    let error = Document::from_json(report.to_string().as_bytes()).unwrap_err();
    assert!(error.message().contains("Did you mean `relaxations`?"), "{error}");
    let twice = whole.to_string().replacen('{', "{\"verdict\":\"verified\",", 1);
    assert_eq!(Document::from_json(twice.as_bytes()).unwrap_err().code(), Code::ReportInvalid);
}

#[test]
fn a_verdict_that_contradicts_its_checks_is_refused() {
    let cases: Vec<(Value, Vec<Change>)> = vec![
        (sample(), vec![("/checks/0/outcome", json!("fail"))]),
        (sample(), vec![("/checks/0/outcome", json!("not_checked"))]),
        (sample(), vec![("/checks", json!([]))]),
        (sample(), vec![("/code", json!("PV-225"))]),
        (sample(), vec![("/valid_until", json!(null))]),
        (sample(), vec![("/level", json!("L4"))]),
        (sample(), vec![("/missing_to_next_level", json!(null))]),
        (sample(), vec![("/headline", json!("Fine."))]),
        (sample(), vec![("/headline", json!("REFUSED (PV-225)"))]),
        // T68: custom roots in every form, or in none.
        (sample(), vec![("/roots", json!("custom"))]),
        (sample(), vec![("/headline", json!(HEADLINE.replace("VERIFIED", "VERIFIED against CUSTOM roots")))]),
        (refused(), vec![("/checks/0/outcome", json!("pass"))]),
        (refused(), vec![("/checks/0/enforcement", json!("advisory"))]),
        (refused(), vec![("/code", json!(null))]),
        (refused(), vec![("/level", json!("L2")), ("/missing_to_next_level", json!("x"))]),
        (refused(), vec![("/valid_until", json!(1))]),
        (indeterminate(), vec![("/checks/0/outcome", json!("fail"))]),
    ];
    for (mut report, changes) in cases {
        assert!(read(&report).is_ok());
        for (path, value) in &changes {
            *report.pointer_mut(path).unwrap() = value.clone();
        }
        assert_eq!(read(&report).unwrap_err(), Code::ReportInvalid, "{changes:?}");
    }
}

#[test]
fn no_changed_byte_and_no_cut_gets_further_than_a_code() {
    let text = refused().to_string();
    for end in 0..text.len() {
        assert!(Document::from_json(&text.as_bytes()[..end]).is_err(), "cut at {end}");
    }
    for place in 0..text.len() {
        for bit in [1, 0x20, 0x80] {
            let mut bytes = text.as_bytes().to_vec();
            bytes[place] ^= bit;
            match Document::from_json(&bytes) {
                Ok(document) => {
                    assert_eq!(document.verdict(), Verdict::Refused, "{place}");
                    // Rendering all of them would take most of this file's time.
                    if place % 16 == 0 {
                        assert!(forms(&document).iter().all(|form| !form.is_empty()));
                    }
                }
                Err(error) => assert!([Code::ReportInvalid, Code::LimitExceeded].contains(&error.code())),
            }
        }
    }
}

/// What strangers put where a name should be (threats T55). None has a character that a report refuses anyway.
const PAYLOADS: &[&str] = &[
    "<script>alert(1)</script>",
    "</title><script src=//evil.example/x.js></script>",
    "</style><img src=x onerror=alert(1)>",
    "\"><svg onload=alert(1)>",
    "' onmouseover='alert(1)",
    "javascript:alert(1)",
    "<meta http-equiv=refresh content=0;url=https://evil.example>",
    "<!--",
    "-->",
    "]]>",
    "<![CDATA[",
    "<?xml version=\"1.0\"?>",
    "&lt;script&gt;",
    "&#60;script&#62;",
    "{{7*7}}",
    "${7*7}",
    "<a href=https://evil.example>click</a>",
    "<form action=https://evil.example><input>",
    "<base href=https://evil.example>",
    "<link rel=stylesheet href=https://evil.example/x.css>",
    "<iframe src=https://evil.example></iframe>",
    "<ul><li>proven</ul>",
    "A: <b>bold</b>",
    "\u{fffd}\u{fffd}",
    "\u{5d0}\u{5d1}\u{5d2} \u{627}\u{644}",
];

/// Tags of a page, and of an attribute value nothing but literal markup.
fn tags(page: &str) -> BTreeSet<String> {
    page.split('<').skip(1).map(|part| part.split('>').next().unwrap().to_owned()).collect()
}

/// Every text of the document that a stranger could have a say in.
const TEXTS: &[&str] = &[
    "/provider",
    "/model",
    "/base_url",
    "/key",
    "/policy/name",
    "/policy/relaxations/0",
    "/missing_to_next_level",
    "/who_can_read/1/name",
    "/who_can_read/1/note",
    "/not_proven/0",
    "/not_proven/1",
    "/checks/0/id",
    "/checks/0/title",
    "/checks/0/reason",
    "/checks/0/expected",
    "/checks/0/found",
    "/checks/0/reference",
    "/checks/3/title",
    "/checks/3/found",
    "/checks/4/reason",
    "/facts/0/name",
    "/facts/0/value",
    "/platforms/0/name",
    "/platforms/0/tcb_status",
    "/platforms/0/advisories/0",
    "/recheck",
    "/library",
];

#[test]
fn t55_markup_of_strangers_stays_text() {
    for base in [sample(), refused(), indeterminate()] {
        let plain = read(&base).unwrap();
        let known: [BTreeSet<String>; 3] = [tags(&plain.to_html()), tags(&plain.to_svg()), {
            let mut all = tags(&plain.to_html_as_recorded_in(&Source::new("x", b"")));
            // An ordinary text with a colon is shown with its first part in bold, and names in one piece.
            all.extend(["strong", "/strong", "span", "/span"].map(str::to_owned));
            all
        }];
        for payload in PAYLOADS {
            let mut report = base.clone();
            for path in TEXTS {
                if let Some(value @ Value::String(_)) = report.pointer_mut(path) {
                    *value = json!(payload);
                }
            }
            let headline = format!("{} {payload} - L2, L2 - {payload}", base["headline"].as_str().unwrap());
            report["headline"] = json!(headline);
            let document = read(&report).unwrap();
            let source = Source::new(payload, b"");
            let html = document.to_html_as_recorded_in(&source);
            let svg = document.to_svg();
            for (found, known) in [(tags(&html), &known[2]), (tags(&svg), &known[1])] {
                let strange: Vec<&String> = found.difference(known).collect();
                assert!(strange.is_empty(), "{payload}: {strange:?}");
            }
            assert!(serde_json::from_str::<Value>(&document.to_ear_json()).is_ok(), "{payload}");
            assert!(known[0].is_subset(&known[2]));
        }
    }
}

#[test]
fn t55_invisible_characters_do_not_get_into_a_report() {
    let model = "m\r\nX-Header: 1\u{1b}[2J\u{202e}\u{200b}\u{2028}\0<b>";
    let input = EvidenceInput {
        provider: Provider::Venice,
        model: Some(model),
        response: b"{\"model\":\"\\u001b[31m\\r\\n\"}",
        nonce: [7; 32],
        collateral: &[],
    };
    let (report, _) = appraise(&input, &Policy::standard(), &TrustRoots::vendors(), 1_790_000_000);
    for form in forms(&report) {
        let bad = form
            .chars()
            .find(|c| (c.is_control() && *c != '\n') || ['\u{200b}', '\u{2028}', '\u{202e}'].contains(c));
        assert_eq!(bad, None, "{form}");
    }
    assert!(!report.to_html().contains("<b>") && !report.to_svg().contains("<b>"));
    // What the library writes, it reads.
    assert_eq!(&Document::from_json(report.to_json().as_bytes()).unwrap(), &*report);
    assert!(report.recheck().unwrap().contains("'m\u{fffd}"), "a name with blanks is one word for the shell");
}

#[test]
fn a_page_needs_nothing_else_and_allows_nothing_else() {
    for report in [sample(), refused(), indeterminate()] {
        let document = read(&report).unwrap();
        let html = document.to_html();
        for word in
            ["<script", "<img", "<link", "<iframe", "<object", "src=", "href=", "url(", "@import", "style=\""]
        {
            assert!(!html.contains(word), "{word}");
        }
        assert!(
            tags(&html).iter().all(|tag| !tag.contains(" on") || tag.starts_with("meta")),
            "an event handler"
        );
        let policy = html.split("Content-Security-Policy\" content=\"").nth(1).unwrap();
        let policy = policy.split('"').next().unwrap();
        assert!(policy.starts_with("default-src 'none'; style-src 'sha256-"), "{policy}");
        assert!(!policy.contains("unsafe") && policy.contains("form-action 'none'"), "{policy}");
        let svg = document.to_svg();
        assert!(
            svg.starts_with("<svg xmlns=\"http://www.w3.org/2000/svg\"") && svg.matches("://").count() == 1
        );
    }
}

#[test]
fn every_form_says_verdict_roots_relaxations_and_what_is_open() {
    let mut custom = sample();
    custom["roots"] = json!("custom");
    custom["headline"] = json!(HEADLINE.replace("VERIFIED", "VERIFIED against CUSTOM roots"));
    for (report, word) in [
        (sample(), "Verified"),
        (refused(), "Refused"),
        (indeterminate(), "Could not check"),
        (custom, "Verified"),
    ] {
        let document = read(&report).unwrap();
        let [html, recorded, svg, text, ear, _] = forms(&document);
        for form in [&html, &svg, &text, &ear] {
            assert!(form.to_lowercase().contains(&word.to_lowercase()) || form.contains("verdict"), "{form}");
            // T68
            assert_eq!(form.contains("CUSTOM roots"), report["roots"] == "custom", "{form}");
        }
        for form in [&html, &text, &ear] {
            assert!(form.contains("check tcb_info is advisory"), "{form}");
            assert!(form.contains("Software identity") && form.contains("not compared"), "{form}");
        }
        for form in [&html, &text] {
            for part in [
                "2026-06-10T01:24:13Z",
                "2026-07-10T00:36:28Z",
                "UpToDate",
                "INTEL-SA-00001",
                "proveil verify venice",
                "proveil 0.1.0",
            ] {
                assert!(form.contains(part), "{part}: {form}");
            }
            for digest in ["d2", "62", "c4"] {
                assert!(form.contains(&digest.repeat(32)), "{digest}");
            }
            assert!(
                form.contains("asserted by the provider")
                    && form.contains("unknown")
                    && form.contains("proven")
            );
        }
        assert!(svg.contains("Not proven: 2 things") && svg.contains("1 RELAXATION"), "{svg}");
        assert!(recorded.contains("As recorded in <code>saved &lt;report&gt;.json</code>"), "{recorded}");
        assert!(html.contains("not itself a verification") && svg.contains("not a verification"));
        assert!(text.lines().all(|line| line.chars().count() <= 80), "{text}");
    }
}
