//! The walk over a body: order, place, cost, and bodies that nobody should send.

use super::*;
use crate::wire::scan::work;

/// Marks each value with its counter, so that order and place can both be seen.
fn marked(text: &str, plain: &[&str]) -> Result<String> {
    let document = Document::parse(text).map_err(BodyError::in_request)?;
    let (mut out, mut counter) = (b"kept".to_vec(), 0);
    let rewritten = document.rewrite(
        plain,
        |len| len.saturating_add(4),
        |_, raw, out| {
            out.extend_from_slice(format!("<{counter:02}{raw}>").as_bytes());
            counter = usize::saturating_add(counter, 1);
            Ok(())
        },
        &mut out,
    )?;
    assert_eq!(rewritten.replaced(), counter);
    for (place, span) in rewritten.replaced_spans() {
        assert!(out[span.clone()].starts_with(b"<") && out[span.clone()].ends_with(b">"));
        assert_eq!(rewritten.spans().nth(place), Some(span.clone()));
        assert_eq!(rewritten.replacements().nth(place), Some(true));
    }
    Ok(String::from_utf8(out).unwrap().split_off(4))
}

#[test]
fn values_change_in_place_in_the_order_of_their_names() {
    let plain = ["model", "n"];
    let cases = [
        ("", ""),
        (" \n", " \n"),
        ("{}", "{}"),
        ("{\"model\":\"m\"}", "{\"model\":\"m\"}"),
        (
            " { \"z\" : 1 ,\"a\":[ 2 ],\"model\" : 3 , \"b\":null } ",
            " { \"z\" : <021> ,\"a\":<00[ 2 ]>,\"model\" : 3 , \"b\":<01null> } ",
        ),
        // The largest first, in the middle and last, with smaller ones on both sides.
        (
            "{\"c\":\"xxxxxxxx\",\"a\":1,\"d\":2,\"b\":3}",
            "{\"c\":<02\"xxxxxxxx\">,\"a\":<001>,\"d\":<032>,\"b\":<013>}",
        ),
        (
            "{\"d\":1,\"a\":2,\"b\":\"xxxxxxxx\",\"c\":3,\"0\":4}",
            "{\"d\":<041>,\"a\":<012>,\"b\":<02\"xxxxxxxx\">,\"c\":<033>,\"0\":<004>}",
        ),
        ("{\"b\":1,\"c\":2,\"a\":\"xxxxxxxx\"}", "{\"b\":<011>,\"c\":<022>,\"a\":<00\"xxxxxxxx\">}"),
        // Escaped names count as what they stand for and stay as they are.
        ("{\"\\u0062\":1,\"a\":2}", "{\"\\u0062\":<011>,\"a\":<002>}"),
        ("{\"\\u006dodel\":1,\"a\":2}", "{\"\\u006dodel\":1,\"a\":<002>}"),
        ("{\"a.b\":1,\"aZ\":2,\"ab\":3,\"a\":4}", "{\"a.b\":<021>,\"aZ\":<012>,\"ab\":<033>,\"a\":<004>}"),
        ("{\"a*\":1,\"a?\":2,\"a]\":3,\"a[\":4}", "{\"a*\":<011>,\"a?\":<022>,\"a]\":<033>,\"a[\":<004>}"),
        (
            "{\"\u{e4}\":1,\"z\":2,\"\u{1f600}\":3,\"\u{ffee}\":4}",
            "{\"\u{e4}\":<011>,\"z\":<002>,\"\u{1f600}\":<033>,\"\u{ffee}\":<024>}",
        ),
        ("[0,1,2,3,4,5,6,7,8,9,10]", "[<000>,<011>,<032>,<043>,<054>,<065>,<076>,<087>,<098>,<109>,<0210>]"),
        ("[]", "[]"),
        ("\"a\"", "\"a\""),
    ];
    for (text, expected) in cases {
        assert_eq!(marked(text, &plain).unwrap(), expected, "{text}");
    }
}

#[test]
fn members_can_be_set_and_added() {
    for (text, expected) in [
        ("{}", "{\"s\":\"x\"}"),
        ("{\"a\":1 }", "{\"a\":1 ,\"s\":\"x\"}"),
        ("{ \"s\" : null , \"a\":1}", "{ \"s\" : \"x\" , \"a\":1}"),
        ("{\"\\u0073\":\"\"}", "{\"\\u0073\":\"x\"}"),
        ("[1]", "[1]"),
        ("", ""),
    ] {
        let mut document = Document::parse(text).unwrap();
        document.set("s", Zeroizing::new("\"x\"".to_owned()));
        assert_eq!(document.to_text().unwrap().as_str(), expected);
    }
    let mut document = Document::parse("{\"t\":1,\"b\":2}").unwrap();
    document.set("s", Zeroizing::new("\"x\"".to_owned()));
    assert_eq!(document.selected_names(&[]), ["b", "s", "t"]);
    assert_eq!(document.get("s"), Some("\"x\""));
}

#[test]
fn hostile_bodies() {
    let many = |count: usize| {
        let members: Vec<String> = (0..count).map(|i| format!("\"m{i}\":{i}")).collect();
        format!("{{{}}}", members.join(","))
    };
    let deep = format!("{{\"a\":{}{}}}", "[".repeat(64), "]".repeat(64));
    let (at_most, too_many) = (many(JSON_MAX_MEMBERS), many(100_000));
    let cases = [
        (at_most.as_str(), None),
        (too_many.as_str(), Some(BodyError::Limit("members of an object"))),
        (deep.as_str(), Some(BodyError::Limit("depth of nesting"))),
        ("{\"model\":1,\"\\u006dodel\":2}", Some(BodyError::Duplicate("model".to_owned()))),
        ("{\"\\u0000\":1,\"\\u0000\":2}", Some(BodyError::Duplicate("\u{0}".to_owned()))),
        ("{\"a\":{\"b\":1,\"b\":2}}", None),
        ("{\"\\ud800\":1}", Some(BodyError::Malformed)),
        ("{\"a\":\"\\ud800\"}", None),
        ("{\"a\":1e999999999}", None),
        ("{\"a\":1", Some(BodyError::Malformed)),
        ("{\"a\":1}x", Some(BodyError::Malformed)),
        ("\u{feff}{}", Some(BodyError::Malformed)),
    ];
    for (text, expected) in cases {
        assert_eq!(Document::parse(text).err(), expected, "{}", &text[..text.len().min(40)]);
    }
    // T44: reading costs each byte once, whatever the body; an error shows a name, shortened, and no value.
    for text in [&at_most, &too_many] {
        work::take();
        let _ = Document::parse(text);
        assert_eq!(work::take(), text.len());
    }
    let long = format!("{{\"{0}\":\"CANARY\",\"{0}\":1}}", "n\u{1b}".replace('\u{1b}', "\\u001b").repeat(50));
    let error = Document::parse(&long).unwrap_err().in_request();
    assert!(error.check().unwrap().len() <= SHOWN_NAME_BYTES + 3 && !error.to_string().contains("CANARY"));
    assert!(!error.to_string().contains('\u{1b}'));
}

#[test]
fn work_is_linear_in_members() {
    let text: String = (0..5000).map(|i| format!(",\"m{}\":\"{i:064}\"", i * 7919 % 5000)).collect();
    let text = format!("{{\"z\":0{text}}}");
    let document = Document::parse(&text).unwrap();
    let (mut calls, mut bytes, mut out) = (0, 0, Vec::new());
    document
        .rewrite(
            &[],
            |len| len,
            |_, raw, out| {
                (calls, bytes) = (calls + 1, bytes + raw.len());
                out.extend_from_slice(raw.as_bytes());
                Ok(())
            },
            &mut out,
        )
        .unwrap();
    assert_eq!(out, text.as_bytes());
    assert_eq!((calls, bytes), (5001, 5000 * 66 + 1));
    assert!(out.capacity() <= text.len() * 2);
}

#[test]
fn a_wrong_size_is_noticed() {
    let document = Document::parse("{\"b\":1,\"a\":\"long value\"}").unwrap();
    let result = document.rewrite(
        &[],
        |len| len,
        |_, _, out| {
            out.extend_from_slice(b"xxxxxxxxxxxxxxx");
            Ok(())
        },
        &mut Vec::new(),
    );
    assert_eq!(result.unwrap_err().code(), Code::Internal);
}

/// The short cut against the rule as it is written.
#[test]
fn names_compare_as_their_escaped_forms() {
    let alphabet = ["", ".", "?", "*", "\\", "a", "Z", "]", "-", "~", "\u{e4}"];
    let mut names = Vec::new();
    for a in alphabet {
        for b in alphabet {
            names.extend(alphabet.iter().map(|c| format!("{a}{b}{c}")));
        }
    }
    let written = |name: &str| name.replace('.', "\\.").replace('?', "\\?").replace('*', "\\*");
    for a in &names {
        for b in &names {
            assert_eq!(compare_names(a, b), written(a).as_bytes().cmp(written(b).as_bytes()), "{a} {b}");
        }
    }
}

#[test]
fn duplicates_are_found_among_few_and_many() {
    for count in [2, 16, 17, 300] {
        let names: Vec<String> = (0..count).map(|i| format!("\"m{i}\":0")).collect();
        assert!(Document::parse(&format!("{{{}}}", names.join(","))).is_ok());
        for twice in [0, count / 2, count - 1] {
            let text = format!("{{{},\"m{twice}\":1}}", names.join(","));
            assert_eq!(Document::parse(&text).err(), Some(BodyError::Duplicate(format!("m{twice}"))));
        }
    }
}
