//! Chat bodies of three sizes, sealed and opened, and AES-GCM alone.

use proveil_core::crypto::AesGcm;
use proveil_core::endpoint::Event;
use proveil_core::http::ResponseHead;
use proveil_core::openai::ApiEndpoint;
use proveil_core::provider::privatemode::{
    AnswerOpener, AnswerPart, Content, Output, PlanOptions, open_document, plan,
};
use proveil_core::seal::MessageCipher;
use ring::aead::{Aad, Nonce};
use ring::digest;

use super::bare;
use super::recording::{Fields, Lcg, MODEL, SIZE, answer, chat_request, cipher, secret};
use crate::measure::{Pair, compare};
use crate::row::Row;
use crate::row::Target::{AtLeast, AtMost};

/// Bytes that come from the network at once.
const PIECE: usize = 16 * 1024;

/// The names of two rows: against the libraries, and, as a note, with the core's own scanner on the bare side too.
type Names = [&'static str; 2];

/// Sizes with the names of their rows: sealing, opening, a whole answer.
const SIZES: [(usize, &str, [Names; 3]); 3] = [
    (
        1 << 10,
        "1 KiB",
        [
            ["privatemode.seal_1k_over_bare", "privatemode.seal_1k_own_scan"],
            ["privatemode.open_1k_over_bare", "privatemode.open_1k_own_scan"],
            ["privatemode.answer_1k_over_bare", "privatemode.answer_1k_own_scan"],
        ],
    ),
    (
        100 << 10,
        "100 KiB",
        [
            ["privatemode.seal_100k_over_bare", "privatemode.seal_100k_own_scan"],
            ["privatemode.open_100k_over_bare", "privatemode.open_100k_own_scan"],
            ["privatemode.answer_100k_over_bare", "privatemode.answer_100k_own_scan"],
        ],
    ),
    (
        10 << 20,
        "10 MiB",
        [
            ["privatemode.seal_10m_over_bare", "privatemode.seal_10m_own_scan"],
            ["privatemode.open_10m_over_bare", "privatemode.open_10m_own_scan"],
            ["privatemode.answer_10m_over_bare", "privatemode.answer_10m_own_scan"],
        ],
    ),
];

/// All rows of this module.
pub fn rows() -> Vec<Row> {
    let mut rows: Vec<Row> = SIZES
        .into_iter()
        .flat_map(|(bytes, size, names)| {
            let [sealing, opening, answering] = names;
            [seal(sealing, bytes, size), open(opening, bytes, size), whole_answer(answering, bytes, size)]
        })
        .flatten()
        .collect();
    rows.push(bulk());
    rows
}

/// `time` compares with the bare work under a scanner.
fn both(
    names: Names,
    bytes: usize,
    ours: &str,
    other: &str,
    mut time: impl FnMut(bare::Scan) -> Pair,
) -> [Row; 2] {
    let what = |pair: Pair| {
        let each = pair.per(bytes);
        format!(
            "{ours} {:.2} us, {:.3} ns a byte; {other} {:.2} us, {:.3} ns a byte",
            pair.ours / 1e3,
            each.ours,
            pair.other / 1e3,
            each.other
        )
    };
    let (library, own) = (time(bare::Scan::Library), time(bare::Scan::Own));
    let [name, own_name] = names;
    [
        Row::new(name, library.ratio(), "x", AtMost(1.3), what(library)),
        Row::note(
            own_name,
            own.ratio(),
            "x",
            format!("the same beside this library's own scanner: {}", what(own)),
        ),
    ]
}

fn seal(names: Names, bytes: usize, size: &str) -> [Row; 2] {
    let (secret, body) = (secret(), chat_request(bytes));
    let sealing = || {
        let mut random = Lcg(1);
        let content = Content::Json(body.as_bytes());
        let plan = plan(ApiEndpoint::ChatCompletions, content, &PlanOptions::default(), &mut random);
        let mut cipher = cipher(&secret);
        let seal = |plaintext: &[u8], out: &mut Vec<u8>| cipher.seal_into(plaintext, &mut random, out);
        plan.and_then(|plan| plan.write(SIZE, seal)).expect("a good request")
    };
    let values = sealed_values(&body);
    let mut scratch = Vec::new();
    let mut bare = |scan| bare::seal(scan, &bare::key(&secret), &body, &values, &mut scratch);
    assert!(sealing().len() > bare(bare::Scan::Own), "both sides seal the same");
    both(
        names,
        body.len(),
        &format!("{size} chat request planned, salted and sealed"),
        "a scan, key expansion, AES-GCM and hex of its values",
        |scan| compare(sealing, || bare(scan)),
    )
}

/// The values of a request that are sealed, with the salt.
fn sealed_values(body: &str) -> Vec<String> {
    let content = Content::Json(body.as_bytes());
    let plan = plan(ApiEndpoint::ChatCompletions, content, &PlanOptions::default(), &mut Lcg(1));
    let mut values = Vec::new();
    let keep = |plaintext: &[u8], out: &mut Vec<u8>| {
        values.push(String::from_utf8(plaintext.to_vec()).expect("UTF-8"));
        out.resize(out.len() + SIZE.sealed(plaintext.len()), b'0');
        Ok(())
    };
    plan.and_then(|plan| plan.write(SIZE, keep)).expect("a good request");
    values
}

fn open(names: Names, bytes: usize, size: &str) -> [Row; 2] {
    let (secret, answer) = (secret(), answer(bytes));
    let mut fields = Fields::new();
    let text = fields.seal(&answer);
    let opening = || {
        let mut cipher = cipher(&secret);
        let open = |raw: &str, out: &mut Vec<u8>| cipher.open_into(raw.as_bytes(), out);
        open_document(&text, &ApiEndpoint::ChatCompletions, AnswerPart::Whole, SIZE, open)
            .expect("an honest answer")
    };
    assert_eq!(opening().text(), answer, "both sides open the same");
    let mut scratch = Vec::new();
    both(
        names,
        answer.len(),
        &format!("{size} chat answer opened in its place"),
        "scans, key expansion, hex and AES-GCM of its values",
        |scan| {
            compare(opening, || bare::open(scan, &bare::key(&secret), &text, &fields.sealed, &mut scratch))
        },
    )
}

fn whole_answer(names: Names, bytes: usize, size: &str) -> [Row; 2] {
    let (secret, answer) = (secret(), answer(bytes));
    let mut fields = Fields::new();
    let text = fields.seal(&answer);
    let headers = [
        ("content-type".to_owned(), "application/json".to_owned()),
        ("content-length".to_owned(), text.len().to_string()),
    ];
    let head = ResponseHead::new(200, headers);
    let taking = || {
        let model = Some(MODEL.to_owned());
        let mut opener =
            AnswerOpener::new(cipher(&secret), ApiEndpoint::ChatCompletions, Output::Texts, model, [0; 32]);
        let mut events = Vec::new();
        opener.head(&head).expect("a good head");
        for piece in text.as_bytes().chunks(PIECE) {
            opener.push(piece, &mut events).expect("an honest answer");
        }
        opener.finish(&mut events).expect("an honest answer");
        events
    };
    assert!(matches!(taking().as_slice(), [Event::Text { .. }, Event::Finish { .. }, Event::Usage { .. }]));
    let mut scratch = Vec::new();
    let mut bare = |scan| {
        let mut hash = digest::Context::new(&digest::SHA256);
        text.as_bytes().chunks(PIECE).for_each(|piece| hash.update(piece));
        std::hint::black_box(hash.finish());
        bare::open(scan, &bare::key(&secret), &text, &fields.sealed, &mut scratch)
    };
    both(
        names,
        answer.len(),
        &format!("{size} chat answer from the network's pieces to its text, with a receipt"),
        "the receipt's SHA-256, scans, key expansion, hex and AES-GCM",
        |scan| compare(taking, || bare(scan)),
    )
}

/// AES-GCM through the core's key and through `ring`'s.
fn bulk() -> Row {
    const BYTES: usize = 1 << 20;
    let ours = AesGcm::new(secret().expose()).expect("a key");
    let theirs = bare::key(&secret());
    let (mut first, mut second) = (vec![7; BYTES], vec![7; BYTES]);
    let pair = compare(
        || ours.seal(&[1; 12], &[2; 16], &mut first).expect("short enough"),
        || {
            let nonce = Nonce::assume_unique_for_key([1; 12]);
            theirs.seal_in_place_separate_tag(nonce, Aad::from([2; 16]), &mut second).expect("short enough")
        },
    );
    let speed = |nanoseconds: f64| BYTES as f64 / nanoseconds;
    let what = format!(
        "AES-256-GCM of 1 MiB, {:.2} GB/s; ring alone {:.2} GB/s",
        speed(pair.ours),
        speed(pair.other)
    );
    Row::new("privatemode.bulk_aead_of_ring", pair.speedup(), "x", AtLeast(0.88), what)
}
