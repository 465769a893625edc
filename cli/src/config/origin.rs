//! Where a setting came from, and how it is shown.

use std::fmt;
use std::path::PathBuf;

/// Where a setting came from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Origin {
    /// A place in a file of settings; line and column from 1.
    File { path: PathBuf, line: usize, column: usize },
    /// A variable.
    Environment(String),
    /// Nobody said anything.
    Default,
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Origin::File { path, line, .. } => write!(f, "file {}:{line}", path.display()),
            Origin::Environment(name) => write!(f, "environment {name}"),
            Origin::Default => f.write_str("default"),
        }
    }
}

/// A key with its value as text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Setting {
    /// `proxy.listen`, `provider.venice.base_url`, `models.ALIAS`.
    pub(crate) key: String,
    /// Without passwords; of a default in words.
    pub(crate) value: String,
    pub(crate) origin: Origin,
}

/// The text without what a URL in it says of user and password.
pub(crate) fn redacted(text: &str) -> String {
    let (scheme, rest) = match text.split_once("://") {
        Some((scheme, rest)) => (format!("{scheme}://"), rest),
        None => (String::new(), text),
    };
    let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
    let (authority, tail) = rest.split_at(end);
    // A password can hold any of the characters above, unescaped.
    match (authority.rsplit_once('@'), rest.rsplit_once('@')) {
        (Some((_, host)), _) if !tail.contains('@') => format!("{scheme}***@{host}{tail}"),
        (_, Some((_, host))) => format!("{scheme}***@{host}"),
        _ => text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn passwords_are_taken_out() {
        for (text, expected) in [
            ("http://proxy:3128", "http://proxy:3128"),
            ("http://user:canary@proxy:3128/x", "http://***@proxy:3128/x"),
            ("user:canary@proxy:3128", "***@proxy:3128"),
            ("http://user:ca/na?ry@proxy", "http://***@proxy"),
            ("http://user:c@nary@proxy", "http://***@proxy"),
            ("127.0.0.1:9876", "127.0.0.1:9876"),
            ("", ""),
        ] {
            assert_eq!(redacted(text), expected);
        }
    }
}
