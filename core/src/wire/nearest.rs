/// Longest name that is compared; longer ones have no neighbour.
const NAME_MAX_CHARS: usize = 128;

/// The candidate closest to a name that was not found, for "did you mean": a small edit distance, or one that contains the name.
/// Case does not count. The first of equals wins.
pub fn nearest<'a>(name: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let wanted: Vec<char> = name.to_lowercase().chars().take(NAME_MAX_CHARS.saturating_add(1)).collect();
    if wanted.is_empty() || wanted.len() > NAME_MAX_CHARS {
        return None;
    }
    let allowed = (wanted.len() / 4).max(2);
    let contained = wanted.len() >= 3;
    candidates
        .into_iter()
        .filter_map(|candidate| {
            let lower = candidate.to_lowercase();
            let found: Vec<char> = lower.chars().take(NAME_MAX_CHARS).collect();
            let distance = edit_distance(&wanted, &found);
            let near = distance <= allowed && distance < wanted.len();
            (near || (contained && lower.contains(&name.to_lowercase()))).then_some((distance, candidate))
        })
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, candidate)| candidate)
}

/// Insertions, deletions, replacements and swaps of neighbours that lead from one text to the other.
fn edit_distance(a: &[char], b: &[char]) -> usize {
    let mut before: Vec<usize> = Vec::new();
    let mut last: Vec<usize> = (0..=b.len()).collect();
    for (i, from) in a.iter().enumerate() {
        let mut row = Vec::with_capacity(last.len());
        row.push(i.saturating_add(1));
        for (j, to) in b.iter().enumerate() {
            let at = |row: &[usize], place: usize| row.get(place).copied().unwrap_or(usize::MAX);
            let replaced = at(&last, j).saturating_add(usize::from(from != to));
            let deleted = at(&last, j.saturating_add(1)).saturating_add(1);
            let inserted = at(&row, j).saturating_add(1);
            let mut best = replaced.min(deleted).min(inserted);
            if let (Some(i), Some(j)) = (i.checked_sub(1), j.checked_sub(1))
                && a.get(i) == Some(to)
                && b.get(j) == Some(from)
            {
                best = best.min(at(&before, j).saturating_add(1));
            }
            row.push(best);
        }
        before = std::mem::replace(&mut last, row);
    }
    last.last().copied().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn distances() {
        let chars = |text: &str| text.chars().collect::<Vec<_>>();
        for (a, b, distance) in [
            ("", "", 0),
            ("", "abc", 3),
            ("abc", "", 3),
            ("abc", "abc", 0),
            ("abc", "acb", 1),
            ("abcd", "abxd", 1),
            ("abc", "xabc", 1),
            ("kitten", "sitting", 3),
        ] {
            assert_eq!(edit_distance(&chars(a), &chars(b)), distance, "{a} {b}");
        }
    }

    #[test]
    fn suggestions() {
        let models = ["e2ee-glm-5-2-p", "e2ee-qwen-3", "tee-small"];
        for (name, expected) in [
            ("e2ee-glm-5-2", Some("e2ee-glm-5-2-p")),
            ("E2EE-GLM-5-2-P", Some("e2ee-glm-5-2-p")),
            ("glm", Some("e2ee-glm-5-2-p")),
            ("e2ee-qwne-3", Some("e2ee-qwen-3")),
            ("gpt-4o", None),
            ("", None),
            ("e", None),
            (&"x".repeat(5000), None),
        ] {
            assert_eq!(nearest(name, models), expected, "{name:.20}");
        }
    }
}
