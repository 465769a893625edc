//! Forms that are none, forms that two readers could read differently, and what of a form may be readable (threats T46, T55).

mod support;

use proveil_core::Code;
use proveil_core::openai::ApiEndpoint;
use proveil_core::openai::forms::Form;
use proveil_core::provider::privatemode::{Content, FileNames, PlanOptions, plan};
use support::TestRandom;
use support::fields::{Cipher, sealed_text};

const CANARY: &str = "CANARY-7f3a";

const FORM: &str = "multipart/form-data; boundary=B";

/// Forms that two readers could read differently, and others that are none.
#[test]
fn malformed_forms() {
    let part = |head: &str| format!("--B\r\n{head}\r\n\r\nx\r\n--B--\r\n");
    let named = |parameters: &str| part(&format!("Content-Disposition: form-data{parameters}"));
    let good = [
        named("; name=\"model\""),
        named("; name=model"),
        named(" ;\tname=\"model\"; filename=\"a; b=c.mp3\""),
        named("; name=\"model\"; filename*=UTF-8''a%22.mp3"),
        part(
            "content-disposition: FORM-DATA; Name=\"model\"\r\nContent-Type: text/plain\r\nContent-Transfer-Encoding: Binary\r\nX-Y: z",
        ),
        named("; name=\"model\"").trim_end().to_owned(),
        "--B--".to_owned(),
        "--B\r\nContent-Disposition: form-data; name=\"a\"\r\n\r\n\r\n--B--".to_owned(),
        "--B\r\nContent-Disposition: form-data; name=\"a\"\r\n\r\n\r\n--\r\n-- B\r\nB\n--B--\r\n--B--"
            .to_owned(),
    ];
    for body in &good {
        assert!(
            Form::parse(FORM, body.as_bytes()).is_ok(),
            "{body:?}: {:?}",
            Form::parse(FORM, body.as_bytes())
        );
    }
    let long = named(&format!("; name=\"{}\"", "n".repeat(257)));
    let heavy = part(&format!("X: {}\r\nContent-Disposition: form-data; name=\"a\"", "y".repeat(5000)));
    let bad = [
        String::new(),
        "x".to_owned(),
        named("; name=\"model\"").replace("\r\n", "\n"),
        format!("preamble\r\n{}", named("; name=\"model\"")),
        format!("{}epilogue", named("; name=\"model\"")),
        named("; name=\"model\"").replace("--B--", "--B"),
        named("; name=\"model\"").replace("\r\n--B--", ""),
        named("; name=\"model\"").replace("\r\n--B--", "\r\n--BB--"),
        named(""),
        named("; name=\"\""),
        named("; name=\"a\\\"b\""),
        named("; name=\"a\"b\""),
        named("; name=\"a"),
        named("; name=\"a\"; name=\"b\""),
        named("; name=\"a\"; filename=\"b\"; filename=\"c\""),
        named("; name=\"a\" filename=\"b\""),
        named("; name=\"a\u{1}b\""),
        named("; name=\"a\"; filename=\"C:\\\\x.mp3\""),
        named("; name=\"a\"; filename=\"x\u{0}.mp3\""),
        part("Content-Disposition: attachment; name=\"a\""),
        part("Content-Type: text/plain"),
        part("Content-Disposition: form-data; name=\"a\"\r\nContent-Disposition: form-data; name=\"b\""),
        part("Content-Disposition: form-data;\r\n name=\"a\""),
        part("Content-Disposition : form-data; name=\"a\""),
        part("Content-Disposition: form-data; name=\"a\"\r\nContent-Transfer-Encoding: quoted-printable"),
        part("no colon"),
        long,
        heavy,
    ];
    for body in &bad {
        let error = Form::parse(FORM, body.as_bytes()).unwrap_err();
        assert_eq!(error.code(), Code::MalformedForm, "{body:?}");
    }
    let body = named("; name=\"a\"");
    for kind in [
        "",
        "multipart/form-data",
        "multipart/form-data; boundary=",
        "multipart/form-data; boundary=\"\"",
        "multipart/mixed; boundary=B",
        "multipart/form-data; boundary=B; boundary=C",
        "multipart/form-data; boundary=\"B\r\n\"",
        "multipart/form-data boundary=B",
        "multipart/form-data; boundary=\"B \"",
        "application/json",
    ] {
        assert_eq!(Form::parse(kind, body.as_bytes()).unwrap_err().code(), Code::MalformedForm, "{kind}");
    }
    let many = "--B\r\nContent-Disposition: form-data; name=\"a\"\r\n\r\n\r\n".repeat(300) + "--B--";
    assert_eq!(Form::parse(FORM, many.as_bytes()).unwrap_err().code(), Code::LimitExceeded);
    for name in ["", "a\"b", "a\r\nb", "a\\b"] {
        assert_eq!(Form::new().value(name, b"").unwrap_err().code(), Code::MalformedForm);
        assert_eq!(Form::new().file("a", &format!("{name}\""), b"").unwrap_err().code(), Code::MalformedForm);
    }
}

#[test]
fn clear_parts_and_names_of_files() {
    let body = |parts: &[(&str, &str)]| {
        let parts: String = parts
            .iter()
            .map(|(head, data)| format!("--B\r\nContent-Disposition: form-data; {head}\r\n\r\n{data}\r\n"))
            .collect();
        parts + "--B--\r\n"
    };
    let planned = |text: &str, file_names: FileNames| {
        let content = Content::Multipart { content_type: FORM, body: text.as_bytes() };
        let plan = plan(
            ApiEndpoint::Transcriptions,
            content,
            &PlanOptions { file_names, ..PlanOptions::default() },
            &mut TestRandom(7, 0),
        )?;
        sealed_text(&plan, &mut Cipher::fixed())
    };
    let model = ("name=\"model\"", "whisper");
    let file = ("name=\"file\"; filename=\"a.wav\"", "audio");
    for (parts, expected) in [
        (vec![("name=\"stream\"", "true"), model, file], None),
        (vec![("name=\"stream\"", "True"), ("name=\"stream_include_usage\"", "0"), model, file], None),
        (vec![("name=\"stream\"", CANARY), model], Some("stream")),
        (vec![("name=\"stream_continuous_usage_stats\"", ""), model], Some("stream_continuous_usage_stats")),
        (vec![("name=\"model\"", "a\r\nb")], Some("model")),
        (vec![("name=\"model\"", "")], Some("model")),
        (vec![("name=\"prompt\"", "x")], Some("model")),
        (vec![("name=\"model\"; filename=\"m\"", "whisper")], Some("model")),
        (vec![("name=\"model\"; filename=\"m\"", CANARY), model], None),
        (vec![("name=\"model \"", CANARY), ("name=\"Model\"", CANARY), model], None),
    ] {
        let text = body(&parts);
        match planned(&text, FileNames::default()) {
            Ok(sealed) => assert!(expected.is_none() && !sealed.contains("CANARY"), "{text}"),
            Err(error) => {
                assert_eq!((error.code(), error.check()), (Code::InvalidArgument, expected), "{text}");
                assert!(!error.to_string().contains("CANARY"));
            }
        }
    }
    // T46: the name of a file says more than its content needs.
    for (file, modes) in [
        ("divorce call.MP3", ["file.mp3", "file", "divorce call.MP3"]),
        ("notes.CANARY", ["file", "file", "notes.CANARY"]),
        ("/music/x.wav", ["file.wav", "file", "x.wav"]),
        ("", ["file", "file", "file"]),
        ("mp3", ["file", "file", "mp3"]),
    ] {
        for (mode, name) in
            [FileNames::PartAndExtension, FileNames::Part, FileNames::Kept].into_iter().zip(modes)
        {
            let head = format!("name=\"file\"; filename=\"{file}\"");
            let text = body(&[model, (&head, "audio")]);
            assert!(
                planned(&text, mode).unwrap().contains(&format!("; filename=\"{name}\"\r\n")),
                "{file} {mode:?}"
            );
        }
    }
}
