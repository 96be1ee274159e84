//! Wall time as the log writes it: `2026-01-01T00:00:00.000Z`.
//!
//! Knows: the calendar.  Does not know: which time it is.

const SECONDS_PER_DAY: i64 = 86_400;
const MICROSECONDS: f64 = 1e6;

/// Writes moments; neighbours are often of one second, which is then written once.
pub struct Moments {
    second: i64,
    /// Up to the point before the milliseconds.
    text: String,
}

impl Moments {
    /// Nothing written yet.
    pub fn new() -> Moments {
        Moments { second: 0, text: text_of(0) }
    }

    /// Append a moment, Unix seconds; rounded to microseconds as Python does, then cut to milliseconds.
    pub fn write(&mut self, at: f64, out: &mut Vec<u8>) {
        let (second, micros) = split(at);
        if second != self.second {
            (self.second, self.text) = (second, text_of(second));
        }
        let millis = micros / 1000;
        out.extend_from_slice(self.text.as_bytes());
        out.extend([millis / 100, millis / 10 % 10, millis % 10].map(|digit| b'0' + digit as u8));
        out.push(b'Z');
    }
}

/// Unix seconds as whole seconds and microseconds, rounded as Python does.
pub fn split(at: f64) -> (i64, u32) {
    let (mut second, mut micros) = (at.trunc(), (at.fract() * MICROSECONDS).round_ties_even());
    if micros >= MICROSECONDS {
        (second, micros) = (second + 1.0, micros - MICROSECONDS);
    } else if micros < 0.0 {
        (second, micros) = (second - 1.0, micros + MICROSECONDS);
    }
    (second as i64, micros as u32)
}

fn text_of(second: i64) -> String {
    let (days, of_day) = (second.div_euclid(SECONDS_PER_DAY), second.rem_euclid(SECONDS_PER_DAY));
    let (year, month, day) = civil(days);
    let (hour, minute, second) = (of_day / 3600, of_day / 60 % 60, of_day % 60);
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.")
}

/// Year, month and day of a number of days since 1970-01-01, in the Gregorian calendar.
///
/// The year is taken to begin in March, so that the leap day is its last; 400 years are 146,097 days.
fn civil(days: i64) -> (i64, i64, i64) {
    let days = days + 719_468; // since 0000-03-01
    let (era, day_of_era) = (days.div_euclid(146_097), days.rem_euclid(146_097));
    let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let months = (5 * day_of_year + 2) / 153; // since March
    let day = day_of_year - (153 * months + 2) / 5 + 1;
    let month = if months < 10 { months + 3 } else { months - 9 };
    (era * 400 + year_of_era + i64::from(month <= 2), month, day)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(at: f64) -> String {
        let mut out = Vec::new();
        Moments::new().write(at, &mut out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn days_of_every_kind_are_right() {
        for (at, text) in [
            (0.0, "1970-01-01T00:00:00.000Z"),
            (951_782_399.0, "2000-02-28T23:59:59.000Z"),
            (951_782_400.0, "2000-02-29T00:00:00.000Z"),
            (1_709_251_199.25, "2024-02-29T23:59:59.250Z"),
            (1_767_225_599.999_9, "2025-12-31T23:59:59.999Z"),
            (1_767_225_600.0, "2026-01-01T00:00:00.000Z"),
            (4_107_542_400.0, "2100-03-01T00:00:00.000Z"),
        ] {
            assert_eq!(written(at), text);
        }
    }

    #[test]
    fn what_rounds_to_a_whole_second_is_the_next_one() {
        assert_eq!(written(1.999_999_9), "1970-01-01T00:00:02.000Z");
        assert_eq!(written(1.999_999_4), "1970-01-01T00:00:01.999Z");
        assert_eq!(written(-0.25), "1969-12-31T23:59:59.750Z");
    }

    #[test]
    fn a_second_that_is_written_again_is_the_same() {
        let (mut moments, mut out) = (Moments::new(), Vec::new());
        for at in [5.001, 5.002, 3.0] {
            moments.write(at, &mut out);
        }
        assert_eq!(out, b"1970-01-01T00:00:05.001Z1970-01-01T00:00:05.002Z1970-01-01T00:00:03.000Z");
    }
}
