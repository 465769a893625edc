/// The name closest to `wanted`, if one is close enough to be a likely slip of the pen: at most a third of its length in edits.
pub fn nearest<'a>(wanted: &str, names: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let wanted: Vec<char> = wanted.chars().take(NAME_MAX_CHARS).collect();
    names
        .into_iter()
        .map(|name| (distance(&wanted, &name.chars().take(NAME_MAX_CHARS).collect::<Vec<_>>()), name))
        .filter(|(edits, name)| edits.saturating_mul(3) <= name.chars().count().max(wanted.len()).max(3))
        .min_by_key(|(edits, _)| *edits)
        .map(|(_, name)| name)
}

/// Longer names are compared by this many characters, so that work stays bounded.
const NAME_MAX_CHARS: usize = 64;

/// Levenshtein distance, one row at a time.
fn distance(a: &[char], b: &[char]) -> usize {
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.iter().enumerate() {
        let mut left = i.saturating_add(1);
        let mut diagonal = i;
        for (y, cell) in b.iter().zip(row.iter_mut().skip(1)) {
            let above = *cell;
            let cost = diagonal.saturating_add(usize::from(x != y));
            left = cost.min(above.saturating_add(1)).min(left.saturating_add(1));
            *cell = left;
            diagonal = above;
        }
        if let Some(first) = row.first_mut() {
            *first = i.saturating_add(1);
        }
    }
    row.last().copied().unwrap_or(a.len())
}

#[cfg(test)]
mod tests {
    #[test]
    fn close_names_only() {
        let names = ["standard", "strict", "e2ee-glm-5-2-p"];
        let cases = [
            ("standart", Some("standard")),
            ("strikt", Some("strict")),
            ("e2ee-glm-52-p", Some("e2ee-glm-5-2-p")),
            ("gpt-4", None),
            ("", None),
        ];
        for (wanted, expected) in cases {
            assert_eq!(super::nearest(wanted, names), expected, "{wanted}");
        }
    }
}
