//! Times in words, without a clock.

/// `2026-06-10T01:47:07Z` for seconds since 1970-01-01T00:00:00Z (proleptic Gregorian calendar, RFC 3339).
pub fn rfc3339(unix_s: u64) -> String {
    let days = unix_s / 86_400;
    let second = unix_s % 86_400;
    let (year, month, day) = civil(days);
    format!(
        "{year:04}-{month:02}-{day:02}T{:02}:{:02}:{:02}Z",
        second / 3_600,
        second % 3_600 / 60,
        second % 60
    )
}

/// Date of a day counted from 1970-01-01: whole 400-year, 100-year, 4-year and 1-year spans are taken off in turn, counting years
/// from 1 March so that a leap day comes last.
fn civil(days: u64) -> (u64, u64, u64) {
    /// Days from 1 March of year 0 to 1970-01-01.
    const EPOCH: u64 = 719_468;
    let day = days.saturating_add(EPOCH);
    let era = day / 146_097;
    let in_era = day % 146_097;
    let century = (in_era / 36_524).min(3);
    let in_century = in_era.saturating_sub(century.saturating_mul(36_524));
    let leap_cycle = in_century / 1_461;
    let in_cycle = in_century % 1_461;
    let year_in_cycle = (in_cycle / 365).min(3);
    let in_year = in_cycle.saturating_sub(year_in_cycle.saturating_mul(365));
    let shifted = in_year.saturating_mul(5).saturating_add(2) / 153;
    let day_of_month =
        in_year.saturating_sub(shifted.saturating_mul(153).saturating_add(2) / 5).saturating_add(1);
    let (month, carry) =
        if shifted < 10 { (shifted.saturating_add(3), 0) } else { (shifted.saturating_sub(9), 1) };
    let year = [
        era.saturating_mul(400),
        century.saturating_mul(100),
        leap_cycle.saturating_mul(4),
        year_in_cycle,
        carry,
    ]
    .into_iter()
    .fold(0_u64, u64::saturating_add);
    (year, month, day_of_month)
}

#[cfg(test)]
mod tests {
    #[test]
    fn known_times() {
        let cases = [
            (0, "1970-01-01T00:00:00Z"),
            (951_782_400, "2000-02-29T00:00:00Z"),
            (1_078_012_799, "2004-02-28T23:59:59Z"),
            (1_781_056_027, "2026-06-10T01:47:07Z"),
            (4_107_542_400, "2100-03-01T00:00:00Z"),
        ];
        for (unix_s, text) in cases {
            assert_eq!(super::rfc3339(unix_s), text);
        }
    }
}
