//! Joins pieces of text whose boundaries may fall inside a character (protocols/venice.md 4).

use zeroize::Zeroize;

/// The start of a character whose rest has not arrived: at most three bytes.
#[derive(Default)]
pub(super) struct Joiner {
    held: [u8; 3],
    length: usize,
}

impl Joiner {
    /// The complete characters of what was held and `bytes`; a character that is cut at the end is held back. `None` when no
    /// continuation can make the bytes valid UTF-8.
    pub(super) fn join(&mut self, bytes: &[u8]) -> Option<String> {
        if self.length == 0
            && let Ok(text) = std::str::from_utf8(bytes)
        {
            return Some(text.to_owned());
        }
        let mut all = Vec::with_capacity(self.length.saturating_add(bytes.len()));
        all.extend_from_slice(self.held.get(..self.length)?);
        all.extend_from_slice(bytes);
        let complete = match std::str::from_utf8(&all) {
            Ok(text) => text.len(),
            Err(error) if error.error_len().is_none() => error.valid_up_to(),
            Err(_) => {
                all.zeroize();
                return None;
            }
        };
        let rest = all.split_off(complete);
        self.held.zeroize();
        self.held.get_mut(..rest.len())?.copy_from_slice(&rest);
        self.length = rest.len();
        String::from_utf8(all).ok()
    }

    /// True when nothing is held.
    pub(super) const fn is_complete(&self) -> bool {
        self.length == 0
    }
}

impl Drop for Joiner {
    fn drop(&mut self) {
        self.held.zeroize();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_cut_of_a_text() {
        let text = "a\u{e9}\u{20ac}\u{1f600}\u{feff}z";
        let bytes = text.as_bytes();
        for first in 0..=bytes.len() {
            for second in first..=bytes.len() {
                let mut joiner = Joiner::default();
                let pieces = [&bytes[..first], &bytes[first..second], &[], &bytes[second..]];
                let joined: String = pieces.iter().map(|piece| joiner.join(piece).unwrap()).collect();
                assert_eq!((joined.as_str(), joiner.is_complete()), (text, true));
            }
        }
    }

    #[test]
    fn what_cannot_become_text() {
        for (pieces, valid, complete) in [
            (&[b"\xff".as_slice()] as &[&[u8]], false, true),
            (&[b"\xe2\x82"], true, false),
            (&[b"\xe2\x82", b"a"], false, false),
            (&[b"\xe2", b"\x82", b"\xac"], true, true),
            (&[b"\xed\xa0\x80"], false, true),
            (&[b"\xc0\x80"], false, true),
            (&[b"ok\xf0\x9f\x98", b"\x80"], true, true),
        ] {
            let mut joiner = Joiner::default();
            let joined = pieces.iter().all(|piece| joiner.join(piece).is_some());
            assert_eq!(joined, valid, "{pieces:02x?}");
            if valid {
                assert_eq!(joiner.is_complete(), complete, "{pieces:02x?}");
            }
        }
    }
}
