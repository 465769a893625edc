//! Reads multipart forms (RFC 7578) as the enclave receives them: just what a strict client sends.

/// One part of a form.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Part {
    /// Name of the field.
    pub name: String,
    /// File name, for files.
    pub filename: Option<String>,
    /// Content.
    pub data: Vec<u8>,
}

/// Boundary of a form's content type.
pub fn boundary(content_type: &str) -> Option<&str> {
    let (kind, parameters) = content_type.split_once(';')?;
    if !kind.trim().eq_ignore_ascii_case("multipart/form-data") {
        return None;
    }
    let value = parameters.split(';').find_map(|parameter| parameter.trim().strip_prefix("boundary="))?;
    let value = value.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')).unwrap_or(value);
    if value.is_empty() || value.len() > 70 { None } else { Some(value) }
}

/// The parts of a form in their order; `None` when it is not one.
pub fn parse(body: &[u8], boundary: &str) -> Option<Vec<Part>> {
    let first = format!("--{boundary}");
    let between = format!("\r\n--{boundary}").into_bytes();
    let mut rest = body.strip_prefix(first.as_bytes())?;
    let mut parts = Vec::new();
    loop {
        if rest.strip_prefix(b"--".as_slice()).is_some() {
            return Some(parts);
        }
        let content = rest.strip_prefix(b"\r\n".as_slice())?;
        let (part, after) = split(content, &between)?;
        parts.push(parse_part(part)?);
        rest = after;
    }
}

/// The parts that count (the first value and the first file of each name), in the order of the counters (privatemode.md 6.3).
pub fn in_order(parts: Vec<Part>) -> Vec<Part> {
    let mut kept: Vec<Part> = Vec::new();
    for part in parts {
        let same =
            |other: &Part| other.name == part.name && other.filename.is_some() == part.filename.is_some();
        if !kept.iter().any(same) {
            kept.push(part);
        }
    }
    kept.sort_by(|a, b| (a.filename.is_some(), &a.name).cmp(&(b.filename.is_some(), &b.name)));
    kept
}

fn parse_part(bytes: &[u8]) -> Option<Part> {
    let (head, data) = split(bytes, b"\r\n\r\n")?;
    let head = std::str::from_utf8(head).ok()?;
    let disposition = head.split("\r\n").find_map(|line| {
        let (name, value) = line.split_once(':')?;
        name.eq_ignore_ascii_case("content-disposition").then(|| value.trim())
    })?;
    let parameter = |name: &str| {
        let text =
            disposition.split(';').find_map(|part| part.trim().strip_prefix(name)?.strip_prefix('='))?;
        text.strip_prefix('"')?.strip_suffix('"').map(str::to_owned)
    };
    let kind = disposition.split(';').next().unwrap_or_default();
    if !kind.trim().eq_ignore_ascii_case("form-data") {
        return None;
    }
    Some(Part { name: parameter("name")?, filename: parameter("filename"), data: data.to_vec() })
}

fn split<'a>(bytes: &'a [u8], at: &[u8]) -> Option<(&'a [u8], &'a [u8])> {
    let position = memchr::memmem::find(bytes, at)?;
    let (before, rest) = bytes.split_at_checked(position)?;
    Some((before, rest.strip_prefix(at)?))
}
