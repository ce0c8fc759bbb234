//! Hours of the week, in UTC: an endpoint knows no other clock that it could trust.

use std::fmt;
use std::str::FromStr;

use protocol::Time;
use serde::{Deserialize, Serialize, de};

const DAYS: [&str; 7] = ["mon", "tue", "wed", "thu", "fri", "sat", "sun"];
const DAY_SECONDS: u64 = 86_400;
/// 1970-01-01 was a Thursday.
const FIRST_DAY: u64 = 3;

/// As in `mon-fri 07:00-17:00`, `sat 10:00-12:00` or `sun 22:00-04:00`, which ends on the next day.
/// From the first minute on, up to the last, which is not in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Hours {
    first: usize,
    last: usize,
    from: u64,
    to: u64,
}

/// A text that is no hours.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("expected days and hours in UTC, as in `mon-fri 07:00-17:00` or `sat 22:00-04:00`")]
pub struct BadHours;

impl Hours {
    /// Whether a time lies in them.
    #[must_use]
    pub fn has(&self, at: Time) -> bool {
        let day = at.0 / DAY_SECONDS;
        let minute = at.0 % DAY_SECONDS / 60;
        let today = self.day(day) && minute >= self.from && (minute < self.to || self.wraps());
        // What began yesterday in the evening.
        let since = self.wraps() && minute < self.to && day > 0 && self.day(day - 1);
        today || since
    }

    const fn wraps(&self) -> bool {
        self.to <= self.from
    }

    fn day(&self, number: u64) -> bool {
        let day = usize::try_from((number + FIRST_DAY) % 7).unwrap_or_default();
        match self.first <= self.last {
            true => (self.first..=self.last).contains(&day),
            false => day >= self.first || day <= self.last,
        }
    }
}

fn day(text: &str) -> Result<usize, BadHours> {
    DAYS.iter().position(|day| *day == text).ok_or(BadHours)
}

fn minutes(text: &str) -> Result<u64, BadHours> {
    let (hours, minutes) = text.split_once(':').ok_or(BadHours)?;
    let number = |text: &str, most: u64| match text.len() {
        2 if text.bytes().all(|c| c.is_ascii_digit()) => {
            text.parse::<u64>().ok().filter(|n| *n <= most).ok_or(BadHours)
        }
        _ => Err(BadHours),
    };
    let (hours, minutes) = (number(hours, 24)?, number(minutes, 59)?);
    let all = hours * 60 + minutes;
    if all > 24 * 60 { Err(BadHours) } else { Ok(all) }
}

impl FromStr for Hours {
    type Err = BadHours;
    fn from_str(text: &str) -> Result<Self, BadHours> {
        let (days, hours) = text.split_once(' ').ok_or(BadHours)?;
        let (first, last) = days.split_once('-').unwrap_or((days, days));
        let (from, to) = hours.split_once('-').ok_or(BadHours)?;
        let (from, to) = (minutes(from)?, minutes(to)?);
        if from >= 24 * 60 || from == to {
            return Err(BadHours);
        }
        Ok(Self { first: day(first)?, last: day(last)?, from, to })
    }
}

impl fmt::Display for Hours {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let day = |n: usize| DAYS.get(n).copied().unwrap_or_default();
        f.write_str(day(self.first))?;
        if self.first != self.last {
            write!(f, "-{}", day(self.last))?;
        }
        let time = |minutes: u64| format!("{:02}:{:02}", minutes / 60, minutes % 60);
        write!(f, " {}-{}", time(self.from), time(self.to))
    }
}

impl Serialize for Hours {
    fn serialize<S: serde::Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        s.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Hours {
    fn deserialize<D: serde::Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        String::deserialize(d)?.parse().map_err(de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// 2026-11-23 was a Monday.
    fn at(day: u64, hour: u64, minute: u64) -> Time {
        let monday: Time = "2026-11-23T00:00:00Z".parse().unwrap();
        monday.plus(day * DAY_SECONDS + hour * 3600 + minute * 60)
    }

    fn has(hours: &str, day: u64, hour: u64, minute: u64) -> bool {
        hours.parse::<Hours>().unwrap().has(at(day, hour, minute))
    }

    #[test]
    fn hours_begin_and_end_to_the_minute_on_their_days() {
        let week = "mon-fri 07:00-17:00";
        assert!(has(week, 0, 7, 0) && has(week, 4, 16, 59));
        assert!(!has(week, 0, 6, 59) && !has(week, 4, 17, 0) && !has(week, 5, 12, 0));
        assert!(has("sat 10:00-24:00", 5, 23, 59) && !has("sat 10:00-24:00", 6, 0, 0));
        // Over midnight it is the day on which it began.
        let night = "sun 22:00-04:00";
        assert!(has(night, 6, 22, 0) && has(night, 7, 3, 59) && has(night, 0, 3, 59));
        assert!(!has(night, 6, 3, 0) && !has(night, 7, 4, 0) && !has(night, 0, 22, 0));
        // Over the end of the week.
        let around = "fri-mon 08:00-09:00";
        assert!([4, 5, 6, 0].iter().all(|day| has(around, *day, 8, 30)));
        assert!(!has(around, 2, 8, 30));
    }

    #[test]
    fn hours_have_one_spelling() {
        for good in
            ["mon-fri 07:00-17:00", "sat 10:00-24:00", "sun 22:00-04:00", "fri-mon 08:00-09:00"]
        {
            assert_eq!(good.parse::<Hours>().unwrap().to_string(), good);
        }
        for bad in [
            "",
            "mon",
            "mon 7:00-17:00",
            "mo 07:00-17:00",
            "mon 07:00",
            "mon 07:00-07:00",
            "mon 24:00-25:00",
            "mon 07:60-17:00",
            "mon 07:00-24:01",
            "mon-fri-sun 07:00-17:00",
            "Mon 07:00-17:00",
            "mon  07:00-17:00",
            "mon +7:00-17:00",
        ] {
            assert!(bad.parse::<Hours>().is_err(), "{bad}");
        }
    }
}
