//! Dates in signed JSON, as seconds since 1970-01-01T00:00:00Z without leap seconds.

/// Seconds of a date in exactly the form `2026-06-10T00:56:35Z`, years 1970 to 9999.
pub fn unix_seconds(text: &str) -> Option<u64> {
    let bytes: &[u8; 20] = text.as_bytes().try_into().ok()?;
    let [y0, y1, y2, y3, b'-', m0, m1, b'-', d0, d1, b'T', h0, h1, b':', n0, n1, b':', s0, s1, b'Z'] = *bytes
    else {
        return None;
    };
    let year = number(&[y0, y1, y2, y3])?;
    let (month, day) = (number(&[m0, m1])?, number(&[d0, d1])?);
    let (hour, minute, second) = (number(&[h0, h1])?, number(&[n0, n1])?, number(&[s0, s1])?);
    if year < 1970 || day == 0 || day > days_of_month(year, month)? || hour > 23 || minute > 59 || second > 59
    {
        return None;
    }
    let mut days = 365u64.checked_mul(year.checked_sub(1970)?)?;
    // Leap days of all years before this one, less the 477 of the years before 1970.
    let before = year.checked_sub(1)?;
    let leaps = (before / 4).checked_sub(before / 100)?.checked_add(before / 400)?.checked_sub(477)?;
    days = days.checked_add(leaps)?;
    for earlier in 1..month {
        days = days.checked_add(days_of_month(year, earlier)?)?;
    }
    days = days.checked_add(day.checked_sub(1)?)?;
    days.checked_mul(86_400)?
        .checked_add(hour.checked_mul(3_600)?)?
        .checked_add(minute.checked_mul(60)?)?
        .checked_add(second)
}

fn number(digits: &[u8]) -> Option<u64> {
    digits.iter().try_fold(0u64, |sum, digit| {
        if !digit.is_ascii_digit() {
            return None;
        }
        sum.checked_mul(10)?.checked_add(u64::from(digit & 0x0f))
    })
}

fn days_of_month(year: u64, month: u64) -> Option<u64> {
    let leap = year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400));
    match month {
        1 | 3 | 5 | 7 | 8 | 10 | 12 => Some(31),
        4 | 6 | 9 | 11 => Some(30),
        2 => Some(if leap { 29 } else { 28 }),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::unix_seconds;

    #[test]
    fn dates() {
        let cases: &[(&str, Option<u64>)] = &[
            ("1970-01-01T00:00:00Z", Some(0)),
            ("2000-02-29T12:00:00Z", Some(951_825_600)),
            ("2026-06-10T00:56:35Z", Some(1_781_052_995)),
            ("2100-03-01T00:00:00Z", Some(4_107_542_400)),
            ("9999-12-31T23:59:59Z", Some(253_402_300_799)),
            ("1969-12-31T23:59:59Z", None),
            ("2026-02-29T00:00:00Z", None),
            ("2026-13-01T00:00:00Z", None),
            ("2026-06-00T00:00:00Z", None),
            ("2026-06-10T24:00:00Z", None),
            ("2026-06-10 00:56:35Z", None),
            ("2026-06-10T00:56:35+", None),
            ("2026-06-10T00:56:3:Z", None),
            ("2026-06-10T00:56:35.0Z", None),
        ];
        for (text, expected) in cases {
            assert_eq!(unix_seconds(text), *expected, "{text}");
        }
    }
}
