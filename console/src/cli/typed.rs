//! Values that people type in options of several commands.

use protocol::{Label, Risk, Time};

/// `30m`, `8h`, `7d` as seconds.
///
/// # Errors
/// It is no such time, or none at all.
pub fn seconds(text: &str) -> Result<u64, String> {
    let expected = || "expected a number and m, h or d, as in 7d".to_owned();
    let unit = text.chars().last().ok_or_else(expected)?;
    let number =
        text.strip_suffix(unit).and_then(|n| n.parse::<u64>().ok()).ok_or_else(expected)?;
    let each = match unit {
        'm' => 60,
        'h' => 3600,
        'd' => 86_400,
        _ => return Err(expected()),
    };
    number.checked_mul(each).filter(|all| *all > 0).ok_or_else(expected)
}

/// `2026-07-01`: when that day begins, UTC.
///
/// # Errors
/// It is no day.
pub fn day(text: &str) -> Result<Time, String> {
    let begins = format!("{text}T00:00:00Z").parse();
    begins.map_err(|_| "expected a day, as in 2026-07-01".to_owned())
}

/// `low`, `medium` or `high`.
///
/// # Errors
/// It is none of them.
pub fn risk(text: &str) -> Result<Risk, String> {
    let found = Risk::ALL.into_iter().find(|risk| risk.word() == text);
    found.ok_or_else(|| "expected low, medium or high".to_owned())
}

/// `HOST:PORT`.
///
/// # Errors
/// It is none.
pub fn address(text: &str) -> Result<String, String> {
    let port = |port: &str| port.parse::<u16>().is_ok_and(|port| port != 0);
    let is = text.rsplit_once(':').is_some_and(|(host, end)| !host.is_empty() && port(end));
    if is { Ok(text.to_owned()) } else { Err("expected HOST:PORT".to_owned()) }
}

/// `KEY=VALUE`: a label.
///
/// # Errors
/// Says what it is instead.
pub fn label(text: &str) -> Result<(Label, Label), String> {
    let (key, value) = text.split_once('=').ok_or("expected KEY=VALUE, as in group=office")?;
    let read = |part: &str| part.parse::<Label>().map_err(|e| e.to_string());
    Ok((read(key)?, read(value)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_a_host_and_a_port() {
        for good in ["desk.example:7433", "192.0.2.7:1", "[2001:db8::1]:7433"] {
            assert!(address(good).is_ok(), "{good}");
        }
        for bad in ["", "desk", ":7433", "desk:", "desk:0", "desk:99999", "desk:x"] {
            assert!(address(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_day_begins_at_midnight() {
        assert_eq!(day("2026-11-22").unwrap().to_string(), "2026-11-22T00:00:00Z");
        for bad in ["", "2026-13-01", "22.11.2026", "2026-11-22T10:00:00Z"] {
            assert!(day(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn times_are_a_number_and_a_unit() {
        assert_eq!(seconds("30m"), Ok(1800));
        assert_eq!(seconds("8h"), Ok(28_800));
        assert_eq!(seconds("7d"), Ok(604_800));
        for bad in ["", "7", "d", "0d", "-1d", "7 d", "7w", "é", "99999999999999999999d"] {
            assert!(seconds(bad).is_err(), "{bad}");
        }
    }
}
