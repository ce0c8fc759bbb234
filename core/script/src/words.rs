//! Words of the language that are ours: numbers with units, findings, bounded text functions.
//! Never anything that reads or changes a machine.

use rhai::{
    Array, Dynamic, Engine, EvalAltResult, ImmutableString, Map, NativeCallContext, Position,
};

use crate::convert::Secret;

type Fallible<T> = Result<T, Box<EvalAltResult>>;

/// Getters on whole numbers that multiply.
pub(crate) const UNITS: &[(&str, i64)] = &[
    ("KiB", 1 << 10),
    ("MiB", 1 << 20),
    ("GiB", 1 << 30),
    ("TiB", 1 << 40),
    ("seconds", 1),
    ("minutes", 60),
    ("hours", 3600),
    ("days", 86_400),
];

/// Longest sentence of a finding, characters.
pub(crate) const SUMMARY_CHARS_MAX: usize = 500;

pub(crate) fn register(engine: &mut Engine) {
    for (name, factor) in UNITS.iter().copied() {
        engine.register_get(name, move |n: &mut i64| -> Fallible<i64> {
            n.checked_mul(factor).ok_or_else(|| {
                let why = format!("{n}.{name} is too big a number");
                Box::new(EvalAltResult::ErrorArithmetic(why, Position::NONE))
            })
        });
    }
    engine.register_get("human", |n: &mut i64| human(*n));
    engine.register_get("ago", |n: &mut i64| ago(*n));
    findings(engine);
    texts(engine);
    secrets(engine);
}

/// Bytes for people, as in `3.1 GiB`.
pub(crate) fn human(bytes: i64) -> String {
    let sign = if bytes < 0 { "-" } else { "" };
    let size = bytes.unsigned_abs();
    let units = ["B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"];
    let mut scale = 1_u64;
    for (index, unit) in units.into_iter().enumerate() {
        let next = scale.saturating_mul(1024);
        if size < next || next == u64::MAX || index == 6 {
            if index == 0 {
                return format!("{sign}{size} B");
            }
            let tenths = (u128::from(size) * 10 + u128::from(scale) / 2) / u128::from(scale);
            if tenths >= 1000 {
                return format!("{sign}{} {unit}", (tenths + 5) / 10);
            }
            return format!("{sign}{}.{} {unit}", tenths / 10, tenths % 10);
        }
        scale = next;
    }
    format!("{sign}{size} B")
}

/// Seconds for people, as in `3 days`.
pub(crate) fn ago(seconds: i64) -> String {
    let count = |n: i64, unit: &str| format!("{n} {unit}{}", if n == 1 { "" } else { "s" });
    match seconds.max(0) {
        n @ 0..120 => count(n, "second"),
        n @ 120..7200 => count(n / 60, "minute"),
        n @ 7200..172_800 => count(n / 3600, "hour"),
        n => count(n / 86_400, "day"),
    }
}

fn findings(engine: &mut Engine) {
    for (name, needed) in [("needed", true), ("healthy", false)] {
        engine.register_fn(name, move |summary: &str| finding(needed, summary, Map::new()));
        let with = move |context: NativeCallContext, summary: &str, facts: Map| {
            if facts.contains_key("needed") || facts.contains_key("summary") {
                let why = "facts cannot be called `needed` or `summary`";
                let at = context.call_position();
                return Err(Box::new(EvalAltResult::ErrorRuntime(why.into(), at)));
            }
            Ok(finding(needed, summary, facts))
        };
        engine.register_fn(name, with);
    }
}

fn finding(needed: bool, summary: &str, mut facts: Map) -> Map {
    facts.insert("needed".into(), needed.into());
    facts.insert("summary".into(), line(summary, SUMMARY_CHARS_MAX).into());
    facts
}

/// One line of at most `max` characters, without control characters.
pub(crate) fn line(text: &str, max: usize) -> String {
    let clean = |c: char| if c.is_control() { ' ' } else { c };
    let mut out: String = text.trim().chars().take(max).map(clean).collect();
    if text.trim().chars().count() > max {
        out.pop();
        out.push('…');
    }
    out
}

/// Bounded replacements for rhai's package of text functions.
fn texts(engine: &mut Engine) {
    engine.register_fn("len", |text: &str| count(text.chars().count()));
    engine.register_get("len", |text: &mut ImmutableString| count(text.chars().count()));
    engine.register_fn("is_empty", |text: &str| text.is_empty());
    engine.register_fn("contains", |text: &str, part: &str| text.contains(part));
    engine.register_fn("starts_with", |text: &str, part: &str| text.starts_with(part));
    engine.register_fn("ends_with", |text: &str, part: &str| text.ends_with(part));
    engine.register_fn("trimmed", |text: &str| text.trim().to_owned());
    engine.register_fn("lower", |text: &str| text.to_lowercase());
    engine.register_fn("lines", |text: &str| list(text.lines()));
    engine.register_fn("split", |text: &str, by: &str| {
        if by.is_empty() { list(std::iter::once(text)) } else { list(text.split(by)) }
    });
    engine.register_fn("start", |text: &str, chars: i64| {
        text.chars().take(usize::try_from(chars).unwrap_or(0)).collect::<String>()
    });
    engine.register_fn("join", |parts: &mut Array, by: &str| -> Fallible<String> {
        let mut out = String::new();
        for (index, part) in parts.iter().enumerate() {
            let word = part.clone().into_immutable_string().map_err(|_| {
                let why = "join takes a list of texts".into();
                Box::new(EvalAltResult::ErrorRuntime(why, Position::NONE))
            })?;
            if out.len() + by.len() + word.len() > crate::engine::TEXT_MAX {
                let what = "Length of string".to_owned();
                return Err(Box::new(EvalAltResult::ErrorDataTooLarge(what, Position::NONE)));
            }
            out.push_str(if index == 0 { "" } else { by });
            out.push_str(&word);
        }
        Ok(out)
    });
}

fn list<'a>(parts: impl Iterator<Item = &'a str>) -> Array {
    // One above the limit is enough for rhai to refuse it.
    parts.take(crate::engine::LIST_MAX + 1).map(|part| Dynamic::from(part.to_owned())).collect()
}

fn count(n: usize) -> i64 {
    i64::try_from(n).unwrap_or(i64::MAX)
}

/// A secret has no text, no order, no equality: each attempt is an error, not an answer.
fn secrets(engine: &mut Engine) {
    fn no<T>() -> Fallible<T> {
        let entries = [("code", "secret"), ("message", "a secret has no text and no equal")];
        let map: Map = entries.into_iter().map(|(k, v)| (k.into(), v.into())).collect();
        Err(Box::new(EvalAltResult::ErrorRuntime(Dynamic::from_map(map), Position::NONE)))
    }
    for name in ["to_string", "to_debug", "print", "debug"] {
        engine.register_fn(name, |_: Secret| no::<String>());
    }
    for name in ["==", "!=", "<", ">", "<=", ">="] {
        engine.register_fn(name, |_: Secret, _: Secret| no::<bool>());
        engine.register_fn(name, |_: Secret, _: &str| no::<bool>());
        engine.register_fn(name, |_: &str, _: Secret| no::<bool>());
    }
    engine.register_fn("+", |_: Secret, _: Secret| no::<String>());
    engine.register_fn("+", |_: Secret, _: &str| no::<String>());
    engine.register_fn("+", |_: &str, _: Secret| no::<String>());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_and_ages_read_aloud() {
        for (bytes, text) in [
            (0, "0 B"),
            (1023, "1023 B"),
            (1024, "1.0 KiB"),
            (3_328_599_654, "3.1 GiB"),
            (851_443_712, "812 MiB"),
            (-2048, "-2.0 KiB"),
            (i64::MAX, "8.0 EiB"),
            (i64::MIN, "-8.0 EiB"),
        ] {
            assert_eq!(human(bytes), text);
        }
        for (seconds, text) in
            [(0, "0 seconds"), (1, "1 second"), (7199, "119 minutes"), (259_200, "3 days")]
        {
            assert_eq!(ago(seconds), text);
        }
    }

    #[test]
    fn a_summary_is_one_short_line() {
        assert_eq!(line(" a\nb\u{1b}[31m ", 99), "a b [31m");
        assert_eq!(line("abcdef", 3), "ab…");
    }
}
