//! Times as people read them, in UTC: the same text wherever the reader sits.

use jiff::Timestamp;

/// `2026-11-20 04:00:37.125`, cut to milliseconds; of nanoseconds since the Unix epoch.
pub(super) fn of_ns(ns: u64) -> String {
    match Timestamp::from_nanosecond(i128::from(ns)) {
        Ok(time) => time.strftime("%Y-%m-%d %H:%M:%S.%3f").to_string(),
        // None is too late: the greatest is in the year 2554.
        Err(_) => ns.to_string(),
    }
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
}
