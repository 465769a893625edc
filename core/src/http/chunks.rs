//! A large request body that is made while it is sent: sealed bytes stay bytes in memory and become hexadecimal on the way out, which
//! takes half the memory.

use std::ops::Range;

use crate::wire::hex;

/// Bytes kept of which a chunk is made.
const CHUNK_BYTES: usize = 32 * 1024;

/// A body of which parts are in hexadecimal on the wire.
#[derive(Clone)]
pub struct ChunkedBody {
    kept: Vec<u8>,
    /// In order.
    hex: Vec<Range<usize>>,
}

impl ChunkedBody {
    /// The ranges of `kept`, in order and apart, go out in lowercase hex.
    pub(crate) const fn new(kept: Vec<u8>, hex: Vec<Range<usize>>) -> ChunkedBody {
        ChunkedBody { kept, hex }
    }

    /// Bytes on the wire.
    pub fn wire_len(&self) -> usize {
        self.hex.iter().fold(self.kept.len(), |sum, range| sum.saturating_add(range.len()))
    }

    /// The next piece of the wire form, at most 64 KiB; `None` at the end. `place` starts at 0 and means nothing to the caller.
    pub fn next(&self, place: &mut usize) -> Option<Vec<u8>> {
        let start = *place;
        let range = self.hex.iter().find(|range| range.end > start && !range.is_empty());
        let (end, in_hex) = match range {
            Some(range) if range.start <= start => (range.end, true),
            Some(range) => (range.start, false),
            None => (self.kept.len(), false),
        };
        let end = end.min(start.saturating_add(CHUNK_BYTES));
        let piece = self.kept.get(start..end).filter(|piece| !piece.is_empty())?;
        *place = end;
        Some(if in_hex { hex::encode(piece).into_bytes() } else { piece.to_vec() })
    }

    /// All pieces.
    pub fn pieces(&self) -> impl Iterator<Item = Vec<u8>> {
        let mut place = 0;
        std::iter::from_fn(move || self.next(&mut place))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pieces_make_the_wire_form() {
        let kept: Vec<u8> = (0..=255).cycle().take(5 * CHUNK_BYTES + 7).collect();
        let end = kept.len();
        let cases: [&[(usize, usize)]; 6] = [
            &[],
            &[(0, end)],
            &[(0, 0), (3, 3)],
            &[(1, 2)],
            &[(0, CHUNK_BYTES)],
            &[(10, CHUNK_BYTES + 11), (CHUNK_BYTES + 11, CHUNK_BYTES + 12), (3 * CHUNK_BYTES, end - 1)],
        ];
        for case in cases {
            let ranges: Vec<Range<usize>> = case.iter().map(|(start, end)| *start..*end).collect();
            let mut expected = Vec::new();
            let mut at = 0;
            for range in &ranges {
                expected.extend_from_slice(&kept[at..range.start]);
                expected.extend_from_slice(hex::encode(&kept[range.clone()]).as_bytes());
                at = range.end;
            }
            expected.extend_from_slice(&kept[at..]);
            let body = ChunkedBody::new(kept.clone(), ranges.clone());
            let pieces: Vec<Vec<u8>> = body.pieces().collect();
            assert!(pieces.iter().all(|piece| (1..=2 * CHUNK_BYTES).contains(&piece.len())), "{ranges:?}");
            assert_eq!((body.wire_len(), pieces.concat()), (expected.len(), expected), "{ranges:?}");
        }
        assert_eq!(ChunkedBody::new(Vec::new(), Vec::new()).next(&mut 0), None);
    }
}
