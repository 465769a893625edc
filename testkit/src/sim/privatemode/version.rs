//! How servers compare the client's version (privatemode.md 7.4).

/// Whether `version` (text of `Privatemode-Version`) is at least this major and minor number. A text that is not `v` and a semantic
/// version never is; missing minor and patch numbers count as zero, a prerelease does not count.
pub fn at_least(version: &str, major: u64, minor: u64) -> bool {
    parse(version).is_some_and(|version| version >= (major, minor))
}

fn parse(version: &str) -> Option<(u64, u64)> {
    let version = version.strip_prefix('v')?;
    let core = version.split(['-', '+']).next()?;
    let mut numbers = core.split('.');
    let major = number(numbers.next()?)?;
    let minor = numbers.next().map_or(Some(0), number)?;
    numbers.next().map_or(Some(0), number)?;
    if numbers.next().is_some() { None } else { Some((major, minor)) }
}

/// Digits without a leading zero.
fn number(text: &str) -> Option<u64> {
    let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let plain = text == "0" || !text.starts_with('0');
    if digits && plain { text.parse().ok() } else { None }
}
