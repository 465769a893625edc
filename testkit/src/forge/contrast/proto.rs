//! Hardware evidence as the messages in which a Contrast coordinator sends it (privatemode.md 3.3, 3.4): cut out of the finished report or
//! quote at its offsets, so that nothing can be sent that was not signed.

/// Key of the revocation list among the extra certificates.
pub const CRL_KEY: &str = "00569ee4-e480-4fba-bbf4-45b629901180";

/// A message under construction. Zero numbers and empty byte strings are left out, as proto3 writes them.
#[derive(Clone, Debug, Default)]
pub struct Message(Vec<u8>);

impl Message {
    /// Appends a number.
    pub fn number(mut self, field: u32, value: u64) -> Message {
        if value != 0 {
            self.tag(field, 0);
            self.varint(value);
        }
        self
    }

    /// Appends bytes.
    pub fn bytes(mut self, field: u32, value: &[u8]) -> Message {
        if !value.is_empty() {
            self.tag(field, 2);
            self.varint(u64::try_from(value.len()).unwrap_or(u64::MAX));
            self.0.extend_from_slice(value);
        }
        self
    }

    /// Appends a message, an empty one too.
    pub fn message(mut self, field: u32, value: &Message) -> Message {
        self.tag(field, 2);
        self.varint(u64::try_from(value.0.len()).unwrap_or(u64::MAX));
        self.0.extend_from_slice(&value.0);
        self
    }

    /// The encoding.
    pub fn finish(self) -> Vec<u8> {
        self.0
    }

    fn tag(&mut self, field: u32, wire_type: u8) {
        self.varint(u64::from(field).wrapping_shl(3) | u64::from(wire_type));
    }

    fn varint(&mut self, mut value: u64) {
        loop {
            let low = u8::try_from(value & 0x7f).unwrap_or(0);
            value >>= 7;
            self.0.push(if value == 0 { low } else { low | 0x80 });
            if value == 0 {
                return;
            }
        }
    }
}

/// Little-endian number of up to eight bytes at an offset.
fn number(bytes: &[u8], offset: usize, length: usize) -> u64 {
    let digits = bytes.iter().skip(offset).take(length);
    digits.rev().fold(0, |sum, byte| sum.wrapping_shl(8) | u64::from(*byte))
}

fn slice(bytes: &[u8], offset: usize, length: usize) -> &[u8] {
    bytes.get(offset..offset.saturating_add(length)).unwrap_or_default()
}

/// CPUID leaf 1 EAX of family, model and stepping.
fn cpuid(report: &[u8]) -> u64 {
    let [family, model, stepping] = [0x188, 0x189, 0x18a].map(|offset| number(report, offset, 1));
    let extended = family.saturating_sub(15);
    extended << 20 | (model >> 4) << 16 | family.min(15) << 8 | (model & 15) << 4 | stepping & 15
}

/// What goes with a report. Absent parts are left out.
#[derive(Clone, Copy, Debug, Default)]
pub struct SnpCertificates<'a> {
    /// The chip's certificate.
    pub vcek: Option<&'a [u8]>,
    /// The issuer's, which no verifier may trust for being here.
    pub ask: Option<&'a [u8]>,
    /// The root's, likewise.
    pub ark: Option<&'a [u8]>,
    /// The root's revocation list.
    pub crl: Option<&'a [u8]>,
    /// Number of the product: 1 Milan, 2 Genoa, 3 Turin; 0 leaves it out.
    pub product: u64,
}

/// `sevsnp.Attestation` of a finished report of 1184 bytes.
pub fn snp_attestation(report: &[u8], with: &SnpCertificates<'_>) -> Vec<u8> {
    let mut message = Message::default();
    let numbers = [(1, 0, 4), (2, 4, 4), (3, 8, 8), (6, 0x30, 4), (7, 0x34, 4), (8, 0x38, 8), (9, 0x40, 8)];
    for (field, offset, length) in numbers {
        message = message.number(field, number(report, offset, length));
    }
    let later =
        [(10, 0x48, 4), (18, 0x180, 8), (20, 0x1e0, 8), (21, 0x1e8, 1), (22, 0x1e9, 1), (23, 0x1ea, 1)];
    let last =
        [(24, 0x1ec, 1), (25, 0x1ed, 1), (26, 0x1ee, 1), (27, 0x1f0, 8), (30, 0x1f8, 8), (31, 0x200, 8)];
    for (field, offset, length) in later.into_iter().chain(last) {
        message = message.number(field, number(report, offset, length));
    }
    let strings = [
        (4, 0x10, 16),
        (5, 0x20, 16),
        (11, 0x50, 64),
        (12, 0x90, 48),
        (13, 0xc0, 32),
        (14, 0xe0, 48),
        (15, 0x110, 48),
        (16, 0x140, 32),
        (17, 0x160, 32),
        (19, 0x1a0, 64),
        (28, 0x2a0, 512),
    ];
    for (field, offset, length) in strings {
        message = message.bytes(field, slice(report, offset, length));
    }
    message = message.number(29, cpuid(report));
    let mut chain = Message::default()
        .bytes(1, with.vcek.unwrap_or_default())
        .bytes(2, with.ask.unwrap_or_default())
        .bytes(3, with.ark.unwrap_or_default());
    if let Some(crl) = with.crl {
        chain = chain.message(7, &Message::default().bytes(1, CRL_KEY.as_bytes()).bytes(2, crl));
    }
    let product = Message::default().number(1, with.product).message(3, &Message::default().number(1, 1));
    let mut attestation = Message::default().message(1, &message).message(2, &chain);
    if with.product != 0 {
        attestation = attestation.message(3, &product);
    }
    attestation.finish()
}

/// `tdx.QuoteV4` of a finished quote of version 4.
pub fn tdx_quote(quote: &[u8]) -> Vec<u8> {
    let header = Message::default()
        .number(1, number(quote, 0, 2))
        .number(2, number(quote, 2, 2))
        .number(3, number(quote, 4, 4))
        .bytes(4, slice(quote, 10, 2))
        .bytes(5, slice(quote, 8, 2))
        .bytes(6, slice(quote, 12, 16))
        .bytes(7, slice(quote, 28, 20));
    let mut body = Message::default();
    let mut offset = 48_usize;
    let fields = [16, 48, 48, 8, 8, 8, 48, 48, 48, 48, 48, 48, 48, 48, 64];
    for (place, length) in fields.into_iter().enumerate() {
        // The four run-time registers are one repeated field, 11; what follows them is 12.
        let field = match place {
            0..=9 => u32::try_from(place).unwrap_or(0).saturating_add(1),
            10..=13 => 11,
            _ => 12,
        };
        body = body.bytes(field, slice(quote, offset, length));
        offset = offset.saturating_add(length);
    }
    let length = usize::try_from(number(quote, offset, 4)).unwrap_or(0);
    let data = slice(quote, offset.saturating_add(4), length);
    let rest = quote.get(offset.saturating_add(4).saturating_add(length)..).unwrap_or_default();
    Message::default()
        .message(1, &header)
        .message(2, &body)
        .number(3, number(quote, offset, 4))
        .message(4, &signed_data(data))
        .bytes(5, rest)
        .finish()
}

fn signed_data(data: &[u8]) -> Message {
    let inner = data.get(134..).unwrap_or_default();
    let report = slice(inner, 0, 384);
    let mut enclave = Message::default().bytes(1, slice(report, 0, 16)).number(2, number(report, 16, 4));
    let strings = [(3, 20, 28), (4, 48, 16), (5, 64, 32), (6, 96, 32), (7, 128, 32), (8, 160, 96)];
    for (field, offset, length) in strings {
        enclave = enclave.bytes(field, slice(report, offset, length));
    }
    let enclave = enclave
        .number(9, number(report, 256, 2))
        .number(10, number(report, 258, 2))
        .bytes(11, slice(report, 260, 60))
        .bytes(12, slice(report, 320, 64));
    let auth_length = usize::try_from(number(inner, 448, 2)).unwrap_or(0);
    let auth = Message::default().number(1, number(inner, 448, 2)).bytes(2, slice(inner, 450, auth_length));
    let chain = inner.get(450_usize.saturating_add(auth_length)..).unwrap_or_default();
    let chain = Message::default()
        .number(1, number(chain, 0, 2))
        .number(2, number(chain, 2, 4))
        .bytes(3, chain.get(6..).unwrap_or_default());
    let certification = Message::default()
        .message(1, &enclave)
        .bytes(2, slice(inner, 384, 64))
        .message(3, &auth)
        .message(4, &chain);
    let outer = Message::default()
        .number(1, number(data, 128, 2))
        .number(2, number(data, 130, 4))
        .message(3, &certification);
    Message::default().bytes(1, slice(data, 0, 64)).bytes(2, slice(data, 64, 64)).message(3, &outer)
}
