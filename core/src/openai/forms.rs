//! Forms with files (`multipart/form-data`, RFC 7578): a strict reader that borrows every part, and a writer.
//!
//! One header grammar, CRLF only, no preamble, no transfer encodings: what two parsers could read differently is refused as
//! `malformed_form`. Does not know which parts are sealed.

use std::borrow::Cow;

use memchr::memmem;

use crate::crypto::SecureRandom;
use crate::error::{Code, Error, Result};
use crate::limits::{FORM_MAX_PARTS, FORM_NAME_MAX_BYTES, FORM_PART_HEADERS_MAX_BYTES, REQUEST_MAX_BYTES};
use crate::wire::hex;

/// A part of a form.
#[derive(Clone, PartialEq, Eq)]
pub struct Part<'a> {
    /// Name of the form's field.
    pub name: Cow<'a, str>,
    /// Name of the file, without folders; `None` for a value.
    pub file: Option<Cow<'a, str>>,
    /// The value or the file's content.
    pub data: &'a [u8],
}

impl std::fmt::Debug for Part<'_> {
    /// Nothing of the data, nor of the file's name.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Part")
            .field("name", &self.name)
            .field("bytes", &self.data.len())
            .finish_non_exhaustive()
    }
}

/// A form.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Form<'a> {
    parts: Vec<Part<'a>>,
}

fn malformed(what: &'static str) -> Error {
    Error::new(Code::MalformedForm).found(what)
}

impl<'a> Form<'a> {
    /// An empty form, to be filled.
    pub const fn new() -> Form<'a> {
        Form { parts: Vec::new() }
    }

    /// Reads a body by the `boundary` of its content type. Fails with `malformed_form` or `limit_exceeded`.
    pub fn parse(content_type: &str, body: &'a [u8]) -> Result<Form<'a>> {
        if body.len() > REQUEST_MAX_BYTES {
            return Err(Error::new(Code::LimitExceeded).at("request body"));
        }
        let delimiter = format!("\r\n--{}", boundary_of(content_type)?);
        let finder = memmem::Finder::new(delimiter.as_bytes());
        // The first delimiter has no line end before it.
        let start = delimiter.as_bytes().get(2..).unwrap_or_default();
        let mut rest = body.strip_prefix(start).ok_or_else(|| malformed("no boundary at the start"))?;
        let mut form = Form::new();
        loop {
            if let Some(end) = rest.strip_prefix(b"--") {
                let is_over = end.is_empty() || end == b"\r\n";
                return if is_over { Ok(form) } else { Err(malformed("bytes after the last boundary")) };
            }
            let part = rest.strip_prefix(b"\r\n").ok_or_else(|| malformed("a boundary without line end"))?;
            let (head, content) = split_head(part)?;
            let end = finder.find(content).ok_or_else(|| malformed("a part without end"))?;
            let (data, after) = content.split_at_checked(end).unwrap_or_default();
            form.push(read_part(head, data)?)?;
            rest = after.get(delimiter.len()..).unwrap_or_default();
        }
    }

    /// Adds a value. Fails with `malformed_form` for a name that cannot be written.
    pub fn value(&mut self, name: &'a str, value: &'a [u8]) -> Result<()> {
        check_name(name)?;
        self.push(Part { name: Cow::Borrowed(name), file: None, data: value })
    }

    /// Adds a file. Fails with `malformed_form` for a name that cannot be written.
    pub fn file(&mut self, name: &'a str, file_name: &'a str, content: &'a [u8]) -> Result<()> {
        check_name(name)?;
        check_text(file_name)?;
        self.push(Part {
            name: Cow::Borrowed(name),
            file: Some(Cow::Borrowed(base_name(file_name))),
            data: content,
        })
    }

    fn push(&mut self, part: Part<'a>) -> Result<()> {
        if self.parts.len() >= FORM_MAX_PARTS {
            return Err(Error::new(Code::LimitExceeded).at("parts of a form"));
        }
        self.parts.push(part);
        Ok(())
    }

    /// The parts as read or added.
    pub fn parts(&self) -> &[Part<'a>] {
        &self.parts
    }

    /// The parts that are used, in the order in which they are written: the first value of each name, by name, then the first file of
    /// each name, by name.
    pub fn ordered(&self) -> Vec<&Part<'a>> {
        let mut ordered = Vec::with_capacity(self.parts.len());
        for is_file in [false, true] {
            let mut kind: Vec<&Part<'a>> =
                self.parts.iter().filter(|part| part.file.is_some() == is_file).collect();
            // Stable, so that the first of a name stays the first.
            kind.sort_by(|a, b| a.name.as_bytes().cmp(b.name.as_bytes()));
            kind.dedup_by(|later, first| later.name == first.name);
            ordered.append(&mut kind);
        }
        ordered
    }

    /// The first value of a name.
    pub fn first_value(&self, name: &str) -> Option<&'a [u8]> {
        self.parts.iter().find(|part| part.file.is_none() && part.name == name).map(|part| part.data)
    }
}

/// The `boundary` parameter of a content type.
fn boundary_of(content_type: &str) -> Result<Cow<'_, str>> {
    let (kind, parameters) = content_type
        .split_at_checked(content_type.find(';').unwrap_or(content_type.len()))
        .unwrap_or_default();
    if !kind.trim_matches([' ', '\t']).eq_ignore_ascii_case("multipart/form-data") {
        return Err(malformed("another content type").expected("multipart/form-data"));
    }
    let mut boundary = None;
    for (name, value) in read_parameters(parameters)? {
        if name.eq_ignore_ascii_case("boundary") && boundary.replace(value).is_some() {
            return Err(malformed("two boundaries"));
        }
    }
    let boundary = boundary.ok_or_else(|| malformed("no boundary"))?;
    // RFC 2046 section 5.1.1.
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"'()+_,-./:=? ".contains(&byte);
    if !(1..=70).contains(&boundary.len()) || boundary.ends_with(' ') || !boundary.bytes().all(plain) {
        return Err(malformed("a boundary that is none"));
    }
    Ok(Cow::Borrowed(boundary))
}

/// Reads `; name=value; name="value"`.
fn read_parameters(mut text: &str) -> Result<Vec<(&str, &str)>> {
    let mut parameters = Vec::new();
    loop {
        text = text.trim_start_matches([' ', '\t']);
        if text.is_empty() {
            return Ok(parameters);
        }
        let rest = text.strip_prefix(';').ok_or_else(|| malformed("a parameter without semicolon"))?;
        let rest = rest.trim_start_matches([' ', '\t']);
        let (name, rest) = rest.split_once('=').ok_or_else(|| malformed("a parameter without value"))?;
        if name.is_empty() || !name.bytes().all(is_token) {
            return Err(malformed("a parameter without name"));
        }
        let (value, rest) = match rest.strip_prefix('"') {
            Some(rest) => rest.split_once('"').ok_or_else(|| malformed("a quote without end"))?,
            None => {
                let end = rest.bytes().position(|byte| !is_token(byte)).unwrap_or(rest.len());
                rest.split_at_checked(end).unwrap_or_default()
            }
        };
        // With escapes, two readers could see two names.
        if value.contains('\\') {
            return Err(malformed("a backslash in a parameter"));
        }
        parameters.push((name, value));
        text = rest;
    }
}

/// Characters of a token (RFC 9110 section 5.6.2).
fn is_token(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte)
}

/// The header lines of a part and what follows the empty line.
fn split_head(part: &[u8]) -> Result<(&str, &[u8])> {
    let bounded = part.get(..FORM_PART_HEADERS_MAX_BYTES).unwrap_or(part);
    let end = memmem::find(bounded, b"\r\n\r\n").ok_or_else(|| malformed("part headers without end"))?;
    let head = part.get(..end).and_then(|head| std::str::from_utf8(head).ok());
    let content = part.get(end.saturating_add(4)..).unwrap_or_default();
    Ok((head.ok_or_else(|| malformed("part headers that are not UTF-8"))?, content))
}

fn read_part<'a>(head: &'a str, data: &'a [u8]) -> Result<Part<'a>> {
    let mut part = None;
    for line in head.split("\r\n") {
        let (name, value) = line.split_once(':').ok_or_else(|| malformed("a header line without colon"))?;
        if name.is_empty()
            || !name.bytes().all(is_token)
            || value.bytes().any(|byte| byte.is_ascii_control() && byte != b'\t')
        {
            return Err(malformed("a header line that is none"));
        }
        let value = value.trim_matches([' ', '\t']);
        if name.eq_ignore_ascii_case("content-disposition") {
            let read = read_disposition(value, data)?;
            if part.replace(read).is_some() {
                return Err(malformed("two dispositions in one part"));
            }
        } else if name.eq_ignore_ascii_case("content-transfer-encoding") {
            let plain = ["binary", "8bit", "7bit"];
            if !plain.iter().any(|encoding| value.eq_ignore_ascii_case(encoding)) {
                return Err(malformed("a transfer encoding"));
            }
        }
    }
    part.ok_or_else(|| malformed("a part without disposition"))
}

fn read_disposition<'a>(value: &'a str, data: &'a [u8]) -> Result<Part<'a>> {
    let (kind, parameters) =
        value.split_at_checked(value.find(';').unwrap_or(value.len())).unwrap_or_default();
    if !kind.trim_matches([' ', '\t']).eq_ignore_ascii_case("form-data") {
        return Err(malformed("a disposition other than form-data"));
    }
    let (mut name, mut file, mut encoded) = (None, None, false);
    for (parameter, value) in read_parameters(parameters)? {
        let twice = if parameter.eq_ignore_ascii_case("name") {
            name.replace(value).is_some()
        } else if parameter.eq_ignore_ascii_case("filename") {
            file.replace(value).is_some()
        } else {
            // RFC 7578 section 4.2 forbids this form; what it says is not read, but it makes the part a file.
            encoded |= parameter.eq_ignore_ascii_case("filename*");
            false
        };
        if twice {
            return Err(malformed("a name twice"));
        }
    }
    let name = name.ok_or_else(|| malformed("a part without name"))?;
    check_name(name)?;
    if let Some(file) = file {
        check_text(file)?;
    }
    let file = file.or(encoded.then_some("")).map(|file| Cow::Borrowed(base_name(file)));
    Ok(Part { name: Cow::Borrowed(name), file, data })
}

fn check_name(name: &str) -> Result<()> {
    if name.is_empty() {
        return Err(malformed("an empty name"));
    }
    check_text(name)
}

/// Texts that can stand between quotes without escapes (threats T55).
fn check_text(text: &str) -> Result<()> {
    if text.len() > FORM_NAME_MAX_BYTES {
        return Err(malformed("a name that is too long"));
    }
    if text.contains(['"', '\\']) || text.chars().any(char::is_control) {
        return Err(malformed("a quote, backslash or control character in a name"));
    }
    Ok(())
}

fn base_name(file: &str) -> &str {
    file.rsplit('/').next().unwrap_or_default()
}

/// Writes a form part by part.
pub struct FormWriter<'o> {
    out: &'o mut Vec<u8>,
    boundary: &'o str,
    started: bool,
}

/// Bytes of a boundary: enough that no content has it by chance.
const BOUNDARY_RANDOM_BYTES: usize = 24;

/// A fresh boundary. Fails with `random_failed`.
pub fn fresh_boundary(random: &mut dyn SecureRandom) -> Result<String> {
    let mut bytes = [0; BOUNDARY_RANDOM_BYTES];
    random.fill(&mut bytes)?;
    Ok(hex::encode(&bytes))
}

impl<'o> FormWriter<'o> {
    /// Appends to `out`, with a boundary that no content has.
    pub const fn new(out: &'o mut Vec<u8>, boundary: &'o str) -> FormWriter<'o> {
        FormWriter { out, boundary, started: false }
    }

    /// The content type of a form with this boundary.
    pub fn content_type(boundary: &str) -> String {
        format!("multipart/form-data; boundary={boundary}")
    }

    /// Bytes that a part has besides its data.
    pub fn overhead(boundary: &str, name: &str, file: Option<&str>) -> usize {
        // Delimiter, header lines, quotes and line ends come to less than this.
        boundary.len().saturating_add(name.len()).saturating_add(file.map_or(0, str::len)).saturating_add(128)
    }

    /// Starts a part; its data is then appended to what this gives. Fails with `malformed_form` for names that cannot be written.
    pub fn part(&mut self, name: &str, file: Option<&str>) -> Result<&mut Vec<u8>> {
        check_name(name)?;
        let line_end = self.line_end();
        let mut head =
            format!("{line_end}--{}\r\nContent-Disposition: form-data; name=\"{name}\"", self.boundary);
        if let Some(file) = file {
            check_text(file)?;
            head.push_str(&format!("; filename=\"{file}\"\r\nContent-Type: application/octet-stream"));
        }
        head.push_str("\r\n\r\n");
        self.out.extend_from_slice(head.as_bytes());
        Ok(self.out)
    }

    /// What ends the data before a delimiter; the first delimiter has none.
    fn line_end(&mut self) -> &'static str {
        if std::mem::replace(&mut self.started, true) { "\r\n" } else { "" }
    }

    /// Ends the form.
    pub fn finish(mut self) {
        let line_end = self.line_end();
        self.out.extend_from_slice(format!("{line_end}--{}--\r\n", self.boundary).as_bytes());
    }
}
