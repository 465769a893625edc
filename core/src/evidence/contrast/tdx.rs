//! `tdx.QuoteV4` (privatemode.md 3.4): the quote is put together again (attestation.md 2.1), so that its signatures can be checked over the
//! very bytes that were signed. Collateral that may follow the quote is not used and is left out.

use super::{Place, fill, number, only, put};
use crate::wire::protobuf::{Message, Value};

const HEADER: &[(u32, Place)] = &[
    (1, Place::Number(0, 2)),
    (2, Place::Number(2, 2)),
    (3, Place::Number(4, 4)),
    (4, Place::Bytes(10, 2)),
    (5, Place::Bytes(8, 2)),
    (6, Place::Bytes(12, 16)),
    (7, Place::Bytes(28, 20)),
];
const HEADER_LEN: usize = 48;

/// Field 11, the four run-time registers, is repeated and is read apart.
const BODY: &[(u32, Place)] = &[
    (1, Place::Bytes(0, 16)),
    (2, Place::Bytes(16, 48)),
    (3, Place::Bytes(64, 48)),
    (4, Place::Bytes(112, 8)),
    (5, Place::Bytes(120, 8)),
    (6, Place::Bytes(128, 8)),
    (7, Place::Bytes(136, 48)),
    (8, Place::Bytes(184, 48)),
    (9, Place::Bytes(232, 48)),
    (10, Place::Bytes(280, 48)),
    (12, Place::Bytes(520, 64)),
];
const BODY_LEN: usize = 584;
/// Place of the first run-time register.
const RTMR_OFFSET: usize = 328;
const RTMR_LEN: usize = 48;
const RTMR_FIELD: u32 = 11;

const ENCLAVE: &[(u32, Place)] = &[
    (1, Place::Bytes(0, 16)),
    (2, Place::Number(16, 4)),
    (3, Place::Bytes(20, 28)),
    (4, Place::Bytes(48, 16)),
    (5, Place::Bytes(64, 32)),
    (6, Place::Bytes(96, 32)),
    (7, Place::Bytes(128, 32)),
    (8, Place::Bytes(160, 96)),
    (9, Place::Number(256, 2)),
    (10, Place::Number(258, 2)),
    (11, Place::Bytes(260, 60)),
    (12, Place::Bytes(320, 64)),
];
const ENCLAVE_LEN: usize = 384;

/// Signature and attestation key; certification data follow.
const SIGNED: &[(u32, Place)] = &[(1, Place::Bytes(0, 64)), (2, Place::Bytes(64, 64))];

/// The quote of a message; `None` when the message is not one, or states another length than its parts have.
pub(super) fn quote(message: &[u8]) -> Option<Vec<u8>> {
    let mut out = vec![0; HEADER_LEN];
    fill(only(message, 1)??, HEADER, &mut out)?;
    out.extend(body(only(message, 2)??)?);
    let data = signature_data(only(message, 4)??)?;
    push_sized(&mut out, number(message, 3)?, &data)?;
    Some(out)
}

fn body(message: &[u8]) -> Option<Vec<u8>> {
    let mut out = vec![0; BODY_LEN];
    fill(message, BODY, &mut out)?;
    let mut reader = Message::new(message);
    let mut registers = Vec::new();
    while let Some((field, value)) = reader.field().ok()? {
        match value {
            _ if field != RTMR_FIELD => {}
            Value::Bytes(register) if register.len() == RTMR_LEN && registers.len() < 4 => {
                registers.push(register)
            }
            _ => return None,
        }
    }
    if registers.len() != 4 {
        return None;
    }
    put(&mut out, RTMR_OFFSET, &registers.concat())?;
    Some(out)
}

fn signature_data(message: &[u8]) -> Option<Vec<u8>> {
    let mut out = vec![0; 128];
    fill(message, SIGNED, &mut out)?;
    let outer = only(message, 3)??;
    let inner = qe_certification(only(outer, 3)??)?;
    push_u16(&mut out, number(outer, 1)?)?;
    push_sized(&mut out, number(outer, 2)?, &inner)?;
    Some(out)
}

/// Report of the quoting enclave, its signature, its authentication data, the certificate chain.
fn qe_certification(message: &[u8]) -> Option<Vec<u8>> {
    let mut out = vec![0; ENCLAVE_LEN];
    fill(only(message, 1)??, ENCLAVE, &mut out)?;
    out.extend_from_slice(only(message, 2)?.filter(|signature| signature.len() == 64)?);
    let auth = only(message, 3)?.unwrap_or_default();
    let data = only(auth, 2)?.unwrap_or_default();
    let length = number(auth, 1)?;
    if u64::try_from(data.len()).ok()? != length {
        return None;
    }
    push_u16(&mut out, length)?;
    out.extend_from_slice(data);
    let chain = only(message, 4)??;
    push_u16(&mut out, number(chain, 1)?)?;
    push_sized(&mut out, number(chain, 2)?, only(chain, 3)?.unwrap_or_default())?;
    Some(out)
}

fn push_u16(out: &mut Vec<u8>, value: u64) -> Option<()> {
    out.extend_from_slice(&u16::try_from(value).ok()?.to_le_bytes());
    Some(())
}

/// Appends a length of four bytes and what has it.
fn push_sized(out: &mut Vec<u8>, stated: u64, bytes: &[u8]) -> Option<()> {
    let length = u32::try_from(stated).ok().filter(|length| usize::try_from(*length) == Ok(bytes.len()))?;
    out.extend_from_slice(&length.to_le_bytes());
    out.extend_from_slice(bytes);
    Some(())
}
