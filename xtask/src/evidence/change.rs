//! Changes of bytes that mutation lists of several kinds use.

use proveil_core::wire::hex;
use proveil_core::wire::json::Json;

use super::library::{number, text};

/// Applies `xor`, `set`, `truncate` or `append`; gives false for any other operation.
pub fn apply(target: &mut Vec<u8>, operation: &Json) -> Result<bool, String> {
    match text(operation, "op")? {
        "xor" => xor(target, offset(operation)?, &bytes(operation)?)?,
        "set" => overwrite(target, offset(operation)?, &bytes(operation)?)?,
        "truncate" => target.truncate(usize::try_from(number(operation, "length")?).map_err(|_| "length")?),
        "append" => target.extend(bytes(operation)?),
        _ => return Ok(false),
    }
    Ok(true)
}

/// The member `offset`.
pub fn offset(operation: &Json) -> Result<usize, String> {
    usize::try_from(number(operation, "offset")?).map_err(|_| "offset".into())
}

/// The member `bytes`, hex.
pub fn bytes(operation: &Json) -> Result<Vec<u8>, String> {
    hex::decode(text(operation, "bytes")?).ok_or_else(|| "bytes are not hex".into())
}

/// Flips bits in place.
pub fn xor(target: &mut [u8], offset: usize, mask: &[u8]) -> Result<(), String> {
    let place = target.get_mut(offset..).filter(|place| place.len() >= mask.len()).ok_or("outside")?;
    place.iter_mut().zip(mask).for_each(|(byte, mask)| *byte ^= mask);
    Ok(())
}

fn overwrite(target: &mut [u8], offset: usize, new: &[u8]) -> Result<(), String> {
    let place = target.get_mut(offset..).filter(|place| place.len() >= new.len()).ok_or("outside")?;
    place.iter_mut().zip(new).for_each(|(byte, new)| *byte = *new);
    Ok(())
}
