//! Times as people read them, in UTC: the same text wherever the reader sits.

/// `2026-11-20 04:00:37.125`, cut to milliseconds; of nanoseconds since the Unix epoch.
pub(super) fn of_ns(ns: u64) -> String {
    let (seconds, milliseconds) = (ns / 1_000_000_000, ns / 1_000_000 % 1_000);
    let (year, month, day) = date(seconds / 86_400);
    let (hour, minute, second) = (seconds / 3_600 % 24, seconds / 60 % 60, seconds % 60);
    format!("{year:04}-{month:02}-{day:02} {hour:02}:{minute:02}:{second:02}.{milliseconds:03}")
}

/// Year, month and day, so many days after 1970-01-01, in the Gregorian calendar.
fn date(days: u64) -> (u64, u64, u64) {
    // Years begin in March here, so that the leap day is a year's last, and 400 of them have
    // 146,097 days. 719,468 days lie between 0000-03-01 and the epoch.
    let days = days + 719_468;
    let (era, day_of_era) = (days / 146_097, days % 146_097);
    let year_of_era =
        (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    // Five months from March or August on have 153 days.
    let month_from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
    let (month, later) = match month_from_march {
        0..=9 => (month_from_march + 3, 0),
        _ => (month_from_march - 9, 1),
    };
    (era * 400 + year_of_era + later, month, day)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_by_hand() {
        assert_eq!(of_ns(0), "1970-01-01 00:00:00.000");
        assert_eq!(of_ns(951_782_399_999_999_999), "2000-02-28 23:59:59.999");
        assert_eq!(of_ns(951_782_400_000_000_000), "2000-02-29 00:00:00.000");
        assert_eq!(of_ns(1_024_380_731_002_335_000), "2002-06-18 06:12:11.002");
        assert_eq!(of_ns(u64::MAX), "2554-07-21 23:34:33.709");
    }

    #[test]
    fn days_follow_each_other() {
        let is_leap = |year: u64| {
            year.is_multiple_of(4) && !year.is_multiple_of(100) || year.is_multiple_of(400)
        };
        let (mut year, mut month, mut day) = (1970, 1, 1);
        for days in 0..220_000 {
            assert_eq!(date(days), (year, month, day));
            let last = match month {
                2 if is_leap(year) => 29,
                2 => 28,
                4 | 6 | 9 | 11 => 30,
                _ => 31,
            };
            day += 1;
            if day > last {
                (day, month) = (1, month + 1);
            }
            if month > 12 {
                (month, year) = (1, year + 1);
            }
        }
    }
}
