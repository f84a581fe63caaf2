//! Instants as STAC writes them.

use std::fmt;

use serde::{Deserialize, Serialize};

const SECOND: i64 = 1_000_000;
const DAY: i64 = 86_400 * SECOND;

/// An instant in UTC: microseconds since 1970-01-01, leap seconds not counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Timestamp(pub i64);

impl Timestamp {
    /// Parses RFC 3339 (`2018-01-06T15:40:00.5Z`, any offset); without an offset UTC is meant.
    ///
    /// Digits beyond microseconds are cut off. A date alone is its first instant. `None` for anything else.
    pub fn parse(text: &str) -> Option<Self> {
        Self::parse_span(text).map(|(first, _)| first)
    }

    /// The first and the last microsecond that the text may mean: of a date its whole day, of a month its whole month,
    /// of a year its whole year; of an instant with seconds the same one twice.
    pub(crate) fn parse_span(text: &str) -> Option<(Self, Self)> {
        let text = text.trim();
        let (date, clock) = match text.find(['T', 't', ' ']) {
            Some(at) => (&text[..at], Some(&text[at + 1..])),
            None => (text, None),
        };
        let mut parts = date.splitn(3, '-');
        let year = number(parts.next()?, 4, 0..=9999)?;
        let month = parts
            .next()
            .map(|part| number(part, 2, 1..=12))
            .map_or(Some(None), |m| m.map(Some))?;
        let day = parts
            .next()
            .map(|part| number(part, 2, 1..=31))
            .map_or(Some(None), |d| d.map(Some))?;
        let (first, days) = match (month, day) {
            (None, _) => (
                days_from_civil(year, 1, 1),
                days_from_civil(year + 1, 1, 1) - days_from_civil(year, 1, 1),
            ),
            (Some(month), None) => (days_from_civil(year, month, 1), days_in_month(year, month)),
            (Some(month), Some(day)) if day <= days_in_month(year, month) => {
                (days_from_civil(year, month, day), 1)
            }
            _ => return None,
        };
        let start = first * DAY;
        match clock {
            None => Some((Self(start), Self(start + days * DAY - 1))),
            Some(clock) if day.is_some() => {
                let instant = Self(start + parse_clock(clock)?);
                Some((instant, instant))
            }
            Some(_) => None,
        }
    }

    /// Year, month (1 to 12) and day of the month (1 to 31).
    pub fn date(self) -> (i64, u8, u8) {
        civil_from_days(self.0.div_euclid(DAY))
    }

    /// The year.
    pub fn year(self) -> i64 {
        self.date().0
    }

    /// The month, 1 to 12.
    pub fn month(self) -> u8 {
        self.date().1
    }

    /// Days since 1970-01-01 of the instant as seen on a clock that is `hours` ahead of UTC.
    pub fn day_at(self, hours: i64) -> i64 {
        (self.0 + hours * 3600 * SECOND).div_euclid(DAY)
    }
}

impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (year, month, day) = self.date();
        let micros = self.0.rem_euclid(DAY);
        let (seconds, fraction) = (micros / SECOND, micros % SECOND);
        let (h, m, s) = (seconds / 3600, seconds / 60 % 60, seconds % 60);
        write!(f, "{year:04}-{month:02}-{day:02}T{h:02}:{m:02}:{s:02}")?;
        if fraction != 0 {
            write!(f, "{}", format!(".{fraction:06}").trim_end_matches('0'))?;
        }
        f.write_str("Z")
    }
}

fn number(text: &str, digits: usize, within: std::ops::RangeInclusive<i64>) -> Option<i64> {
    let is_number = text.len() == digits && text.bytes().all(|b| b.is_ascii_digit());
    let value = is_number.then(|| text.parse().ok()).flatten()?;
    within.contains(&value).then_some(value)
}

/// Microseconds since midnight UTC of `15:40:00.25+02:00`, which may be negative or above a day.
fn parse_clock(text: &str) -> Option<i64> {
    let (clock, offset) = match text.find(['Z', 'z', '+', '-']) {
        Some(at) => (&text[..at], &text[at..]),
        None => (text, "Z"),
    };
    let (clock, fraction) = clock.split_once(['.', ',']).unwrap_or((clock, "0"));
    let mut parts = clock.split(':');
    let hour = number(parts.next()?, 2, 0..=24)?;
    let minute = number(parts.next()?, 2, 0..=59)?;
    // A leap second counts as the next second's first instant.
    let second = parts.next().map_or(Some(0), |part| number(part, 2, 0..=60))?;
    if parts.next().is_some() || fraction.is_empty() || !fraction.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    let micros: i64 = format!("{fraction:0<6.6}").parse().ok()?;
    let shift = match offset {
        "Z" | "z" => 0,
        _ => {
            let sign = if offset.starts_with('-') { -1 } else { 1 };
            let digits: String = offset[1..].chars().filter(|c| *c != ':').collect();
            let (hours, minutes) = digits.split_at_checked(2)?;
            let minutes = if minutes.is_empty() { "00" } else { minutes };
            sign * (number(hours, 2, 0..=23)? * 60 + number(minutes, 2, 0..=59)?) * 60
        }
    };
    Some((hour * 3600 + minute * 60 + second - shift) * SECOND + micros)
}

fn days_in_month(year: i64, month: i64) -> i64 {
    let (next_year, next_month) = if month == 12 {
        (year + 1, 1)
    } else {
        (year, month + 1)
    };
    days_from_civil(next_year, next_month, 1) - days_from_civil(year, month, 1)
}

/// Days since 1970-01-01 of a date of the Gregorian calendar (Hinnant, "chrono-compatible low-level date algorithms").
fn days_from_civil(year: i64, month: i64, day: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let era = year.div_euclid(400);
    let year_of_era = year.rem_euclid(400);
    let day_of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    let day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    era * 146_097 + day_of_era - 719_468
}

fn civil_from_days(days: i64) -> (i64, u8, u8) {
    let days = days + 719_468;
    let era = days.div_euclid(146_097);
    let day_of_era = days.rem_euclid(146_097);
    let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted = (5 * day_of_year + 2) / 153;
    let day = (day_of_year - (153 * shifted + 2) / 5 + 1) as u8;
    let month = if shifted < 10 { shifted + 3 } else { shifted - 9 } as u8;
    (year_of_era + era * 400 + i64::from(month <= 2), month, day)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn instants_are_read_and_written() {
        let shown = |text: &str| Timestamp::parse(text).unwrap().to_string();
        assert_eq!(shown("2018-01-06T15:40:00Z"), "2018-01-06T15:40:00Z");
        assert_eq!(
            shown("2017-01-16T10:09:21.834255Z"),
            "2017-01-16T10:09:21.834255Z"
        );
        assert_eq!(
            shown("2017-01-16T10:09:21.8342559999+02:30"),
            "2017-01-16T07:39:21.834255Z"
        );
        assert_eq!(shown("2020-03-01T00:30:00+01:00"), "2020-02-29T23:30:00Z");
        assert_eq!(shown("1969-12-31"), "1969-12-31T00:00:00Z");
        assert_eq!(
            Timestamp::parse("1970-01-01T00:00:01Z"),
            Some(Timestamp(1_000_000))
        );
    }

    #[test]
    fn spans_cover_what_their_text_leaves_open() {
        let span = |text: &str| {
            Timestamp::parse_span(text)
                .map(|(a, b)| (a.to_string(), b.to_string()))
                .unwrap()
        };
        assert_eq!(span("2020-02").1, "2020-02-29T23:59:59.999999Z");
        assert_eq!(span("2019").0, "2019-01-01T00:00:00Z");
        assert_eq!(span("2019-12-31").1, "2019-12-31T23:59:59.999999Z");
    }

    #[test]
    fn other_text_is_no_instant() {
        for text in [
            "",
            "yesterday",
            "2018-13-01",
            "2018-02-30",
            "2018-01-06T25:61Z",
            "2018-1-6",
            "2018-01T10:00Z",
        ] {
            assert_eq!(Timestamp::parse(text), None, "{text}");
        }
    }

    proptest! {
        #[test]
        fn writing_and_reading_is_the_identity(micros in -62_135_596_800_000_000i64..253_402_300_799_999_999) {
            let written = Timestamp(micros).to_string();
            prop_assert_eq!(Timestamp::parse(&written), Some(Timestamp(micros)));
        }
    }
}
