//! Which lines two texts do not have in common.

/// Cells of the table of common lines. Beyond it the lines are paired by their place.
const CELLS_MAX: usize = 250_000;

/// A line with its number, from 1.
pub(super) type Line<'a> = (usize, &'a str);

/// Lines that differ, in order: of the old text, of the new one, or one in the place of the other.
pub(super) fn compare<'a>(old: &'a str, new: &'a str) -> Vec<(Option<Line<'a>>, Option<Line<'a>>)> {
    let numbered = |text: &'a str| -> Vec<Line<'a>> {
        text.lines().enumerate().map(|(i, line)| (i.saturating_add(1), line)).collect()
    };
    let (old, new) = (numbered(old), numbered(new));
    let before = old.iter().zip(&new).take_while(|((_, a), (_, b))| a == b).count();
    let (old, new) = (old.get(before..).unwrap_or_default(), new.get(before..).unwrap_or_default());
    let after = old.iter().rev().zip(new.iter().rev()).take_while(|((_, a), (_, b))| a == b).count();
    let old = old.get(..old.len().saturating_sub(after)).unwrap_or_default();
    let new = new.get(..new.len().saturating_sub(after)).unwrap_or_default();
    let common = if old.len().saturating_mul(new.len()) <= CELLS_MAX { common(old, new) } else { Vec::new() };
    let mut out = Vec::new();
    let (mut at_old, mut at_new) = (0, 0);
    for (next_old, next_new) in common.into_iter().chain([(old.len(), new.len())]) {
        let gone = old.get(at_old..next_old).unwrap_or_default();
        let come = new.get(at_new..next_new).unwrap_or_default();
        for i in 0..gone.len().max(come.len()) {
            out.push((gone.get(i).copied(), come.get(i).copied()));
        }
        (at_old, at_new) = (next_old.saturating_add(1), next_new.saturating_add(1));
    }
    out
}

/// Places of the longest sequence of common lines.
fn common(old: &[Line<'_>], new: &[Line<'_>]) -> Vec<(usize, usize)> {
    // Row i, column j: length of the longest sequence common to the lines of `old` from i on and those of `new` from j on.
    let mut rows: Vec<Vec<u32>> = vec![vec![0; new.len().saturating_add(1)]];
    for (_, a) in old.iter().rev() {
        let below = rows.last().cloned().unwrap_or_default();
        let mut row = vec![0; below.len()];
        for (j, (_, b)) in new.iter().enumerate().rev() {
            let right = j.saturating_add(1);
            let length =
                if a == b { at(&below, right).saturating_add(1) } else { at(&below, j).max(at(&row, right)) };
            if let Some(cell) = row.get_mut(j) {
                *cell = length;
            }
        }
        rows.push(row);
    }
    rows.reverse();
    let length = |i: usize, j: usize| rows.get(i).map_or(0, |row| at(row, j));
    let mut out = Vec::new();
    let (mut i, mut j) = (0_usize, 0_usize);
    while let (Some((_, a)), Some((_, b))) = (old.get(i), new.get(j)) {
        let (down, right) = (i.saturating_add(1), j.saturating_add(1));
        if a == b {
            out.push((i, j));
            (i, j) = (down, right);
        } else if length(down, j) >= length(i, right) {
            i = down;
        } else {
            j = right;
        }
    }
    out
}

fn at(row: &[u32], place: usize) -> u32 {
    row.get(place).copied().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_that_differ() {
        type Row = (&'static str, &'static str, &'static [(Option<Line<'static>>, Option<Line<'static>>)]);
        let cases: [Row; 9] = [
            ("", "", &[]),
            ("a\nb\n", "a\nb", &[]),
            ("a\nb\nc", "a\nx\nc", &[(Some((2, "b")), Some((2, "x")))]),
            ("a\nc", "a\nb\nc", &[(None, Some((2, "b")))]),
            ("a\nb\nc", "a\nc", &[(Some((2, "b")), None)]),
            ("", "a", &[(None, Some((1, "a")))]),
            ("a\nb\nc\nd", "b\nc\ne\nd", &[(Some((1, "a")), None), (None, Some((3, "e")))]),
            ("a\na\na", "a\na", &[(Some((3, "a")), None)]),
            (
                "a\nb",
                "x\ny\nz",
                &[(Some((1, "a")), Some((1, "x"))), (Some((2, "b")), Some((2, "y"))), (None, Some((3, "z")))],
            ),
        ];
        for (old, new, expected) in cases {
            assert_eq!(compare(old, new), expected, "{old:?} {new:?}");
        }
    }

    /// Texts that have nothing in common cost no more than their length.
    #[test]
    fn large_texts_are_paired_by_place() {
        let text = |prefix: &str| (0..2000).map(|i| format!("{prefix}{i}\n")).collect::<String>();
        let (old, new) = (text("a"), text("b"));
        let found = compare(&old, &new);
        assert_eq!(found.len(), 2000);
        assert_eq!(found[1999], (Some((2000, "a1999")), Some((2000, "b1999"))));
    }
}
