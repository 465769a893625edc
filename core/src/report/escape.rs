//! Text of strangers inside markup (threats T55).

use crate::error::is_invisible;

/// Appends `text` for the content or a quoted attribute of HTML, SVG and XML: markup characters become entities, control characters
/// and characters that reorder or hide text become visible replacement characters.
pub(super) fn markup(text: &str, out: &mut String) {
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            c if is_invisible(c) => out.push('\u{fffd}'),
            c => out.push(c),
        }
    }
}

/// At most `max` characters; a longer text ends in an ellipsis.
pub(super) fn shortened(text: &str, max: usize) -> String {
    if text.chars().count() <= max {
        return text.to_owned();
    }
    let mut out: String = text.chars().take(max.saturating_sub(1)).collect();
    out.push('\u{2026}');
    out
}

#[cfg(test)]
mod tests {
    #[test]
    fn nothing_leaves_the_text() {
        let mut out = String::new();
        super::markup("</td><script>\"a\" & 'b'\r\n\u{1b}[31m\u{202e}\u{200b}\u{fffe}\u{e4}", &mut out);
        assert_eq!(
            out,
            "&lt;/td&gt;&lt;script&gt;&quot;a&quot; &amp; &#39;b&#39;\u{fffd}\u{fffd}\u{fffd}[31m\u{fffd}\u{fffd}\u{fffd}\u{e4}"
        );
    }

    #[test]
    fn shortening_counts_characters() {
        assert_eq!(super::shortened("\u{e4}\u{e4}\u{e4}", 3), "\u{e4}\u{e4}\u{e4}");
        assert_eq!(super::shortened("\u{e4}\u{e4}\u{e4}\u{e4}", 3), "\u{e4}\u{e4}\u{2026}");
    }
}
